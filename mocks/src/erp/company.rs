//! The one company, as the API lists it: read-only, and found by `$filter` like any other record.

use serde_json::{Map, Value, json};

use super::State;
use super::error::Refusal;
use super::schema;
use crate::filter::{self, Filter, Literal, Op, Operand};

impl State {
    /// Reads the companies, or the company by itself; `context` stands at its beginning.
    pub(super) fn companies(&self, context: &str, options: &[(String, String)], one: bool) -> Result<Value, Refusal> {
        let record = self.company_record();
        if one {
            let mut body = Map::new();
            body.insert("@odata.context".into(), format!("{context}/$entity").into());
            body.extend(record);
            return Ok(Value::Object(body));
        }
        let meets = match filter::option(options, "$filter") {
            None => true,
            Some(text) => {
                let parsed =
                    filter::parse(text, options).map_err(|error| Refusal::bad(format!("{error} in '{text}'.")))?;
                holds(&parsed, &record)?
            }
        };
        let found: Vec<Map<String, Value>> = meets.then_some(record).into_iter().collect();
        if filter::option(options, "$count") == Some("true") {
            return Ok(json!({"@odata.context": context, "@odata.count": found.len(), "value": found}));
        }
        Ok(json!({"@odata.context": context, "value": found}))
    }
}

/// Tells whether a filter holds; it may compare texts and ids for equality, and no more.
fn holds(filter: &Filter, record: &Map<String, Value>) -> Result<bool, Refusal> {
    Ok(match filter {
        Filter::And(left, right) => holds(left, record)? && holds(right, record)?,
        Filter::Or(left, right) => holds(left, record)? || holds(right, record)?,
        Filter::Compare { left: Operand::Path(name), op: op @ (Op::Eq | Op::Ne), right: Operand::Literal(literal) } => {
            if !schema::COMPANY.iter().any(|column| column.name == name) {
                return Err(Refusal::no_property(name, "company"));
            }
            let wanted = match literal {
                Literal::Text(text) => text.clone(),
                Literal::Guid(id) => id.to_string(),
                _ => return Err(Refusal::bad(format!("'{name}' cannot be compared with that."))),
            };
            let shown = record.get(name).and_then(Value::as_str).unwrap_or_default();
            op.holds(shown.cmp(&wanted))
        }
        _ => return Err(Refusal::bad("The companies are filtered by equality alone.")),
    })
}
