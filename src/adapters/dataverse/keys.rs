//! Alternate keys of Dataverse: who holds the values that a record was refused for (0x80060892, crm-api.md §4, §9).
//!
//! The service says which key is violated, in the words of its users' language, and not by which record. In go a table's
//! keys and a write, out come questions whose answers name it. Nothing is asked here.

use serde::Deserialize;
use uuid::Uuid;

use crate::adapters::definitions::CrmTable;
use crate::adapters::odata::{Dialect, filter, percent};
use crate::config::expression::{Comparison, Literal, Predicate};
use crate::endpoint::Write;
use crate::frame::{Kind, Value};

/// The code of a refusal because a key is taken.
const TAKEN: &str = "(0x80060892)";

/// An alternate key, as the metadata tells it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AlternateKey {
    pub key_attributes: Vec<String>,
    /// Anything but `Active` enforces nothing yet.
    pub entity_key_index_status: String,
}

/// Tells whether a refusal is for a key that another record has.
pub fn is_taken(message: &str) -> bool {
    message.ends_with(TAKEN)
}

/// Names what has to be asked for the keys of a table, relative to the service's root.
pub fn question(table: &CrmTable) -> String {
    let of = format!("EntityDefinitions(LogicalName='{}')", table.name);
    format!("{of}/Keys?$select=KeyAttributes,EntityKeyIndexStatus")
}

/// Asks who holds the values that a write gives a key: the record's columns in words, and the question; `None` where the
/// write does not give all of them, or they cannot be asked for.
pub fn holder(table: &CrmTable, key: &AlternateKey, write: &Write) -> Option<(String, String)> {
    if key.entity_key_index_status != "Active" || key.key_attributes.is_empty() {
        return None;
    }
    let (mut parts, mut words) = (Vec::new(), Vec::new());
    for name in &key.key_attributes {
        let (_, value) = write.fields.iter().find(|(field, _)| field == name)?;
        let info = table.info.column(name)?;
        let text = value.to_string();
        let literal = match (info.column.kind, value) {
            // Rows without a value take no part in a key.
            (_, value) if value.is_blank() => return None,
            (Kind::Guid, Value::Guid(id) | Value::Link { id, .. }) => Literal::Text(id.to_string()),
            (Kind::Integer | Kind::Choice | Kind::Decimal { .. }, _) => Literal::Number(text.clone()),
            _ => Literal::Text(text.clone()),
        };
        let part = Predicate::Compare { column: name.clone(), comparison: Comparison::Equal, literal };
        let property = |column: &str| Some(table.property(column));
        // Half a key is another question.
        parts.push(filter::text(Dialect::Dataverse, &part, &table.info, &property)?);
        words.push(format!("`{name}` `{text}`"));
    }
    let filter = percent::query(&parts.join(" and "));
    let question = format!("{}?$select={}&$filter={filter}&$top=2", table.info.table, table.key);
    Some((words.join(" and "), question))
}

/// Reads who holds the values of a key: one record other than the one that was refused.
pub fn held_by(table: &CrmTable, write: &Write, answer: &[u8]) -> Option<Uuid> {
    let rows = serde_json::from_slice::<serde_json::Value>(answer).ok()?;
    let mut ids = rows["value"].as_array()?.iter().filter_map(|row| row[table.key.as_str()].as_str()?.parse().ok());
    ids.find(|id: &Uuid| *id != write.id)
}
