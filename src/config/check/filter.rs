//! A filter beside what the file itself gives new records: a constant that the filter leaves out makes records that no
//! later run compares.

use crate::config::check::Desk;
use crate::config::complaint::Path;
use crate::config::expression::{Comparison, Literal, Predicate};
use crate::config::{Constant, Side, TableMap, TemplateValue};

/// Warns of constants that the filter of their side leaves out, where records are created there.
pub(super) fn check(desk: &mut Desk<'_>, path: &Path, map: &TableMap) {
    for side in Side::BOTH.into_iter().filter(|side| map.create.on(*side)) {
        let Some(predicate) = map.sides.of(side).filter.as_ref().and_then(|filter| filter.predicate()) else {
            continue;
        };
        let terms = match predicate {
            Predicate::All(terms) => terms.as_slice(),
            one => std::slice::from_ref(one),
        };
        for term in terms {
            let Predicate::Compare { column, comparison: Comparison::Equal, literal } = term else { continue };
            for (place, constant) in constants(map, side, column) {
                if !is_same(constant, literal) {
                    let message = format!(
                        "lets in no record that this table map makes: {place} gives `{column}` another value than the filter asks for"
                    );
                    let hint = "give the value that the filter asks for, or leave that term out".to_owned();
                    desk.warn(&path.key(side.key()).key("filter"), message, hint);
                }
            }
        }
    }
}

/// Returns the constants that new records on `side` get in a column, each with its place in the table map.
fn constants<'a>(map: &'a TableMap, side: Side, column: &str) -> Vec<(String, &'a Constant)> {
    let fields =
        map.fields.iter().enumerate().filter(|(_, field)| field.column(side) == Some(column) && field.writes(side));
    let fields: Vec<_> = fields.collect();
    if !fields.is_empty() {
        let given = fields.into_iter().filter_map(|(number, field)| Some((number, field.value.as_ref()?)));
        return given.map(|(number, constant)| (format!("`fields[{number}]`"), constant)).collect();
    }
    let templates = map.on_create.iter().filter(|template| template.side == side);
    let set = templates.flat_map(|template| template.set.iter().map(|set| (template.number, set)));
    let given = set.filter_map(|(number, (name, value))| match value {
        TemplateValue::Constant(constant) if name == column => Some((format!("`on_create[{number}]`"), constant)),
        _ => None,
    });
    given.collect()
}

fn is_same(constant: &Constant, literal: &Literal) -> bool {
    let text = constant.text();
    let number = |text: &str| text.trim().parse::<f64>().ok();
    match literal {
        Literal::Text(other) | Literal::Number(other) => {
            text.eq_ignore_ascii_case(other) || number(&text).is_some_and(|own| number(other) == Some(own))
        }
        Literal::Boolean(other) => text.eq_ignore_ascii_case(&other.to_string()),
    }
}
