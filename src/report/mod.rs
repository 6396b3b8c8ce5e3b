//! What people and programs read: runs, plans, complaints, the state and failures as text or as one JSON document.
//!
//! Each subject has a file with `text` and `json`, both functions of plain data. Words and places come from the data;
//! where it is printed, on what terminal, and which exit code goes with it is not known here.

pub mod layout;
pub mod selected;
pub mod notes;
mod carried;
pub mod run;
pub mod couple;
pub mod asked;
pub mod couplings;
pub mod uncouple;
pub mod plan;
pub mod saved;
pub mod show;
pub mod online;
pub mod check;
pub mod history;
pub mod status;
pub mod failure;
mod drift;
pub mod inbox;
pub mod answers;
pub mod why;
pub mod review;
pub mod editor;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::frame::Value;

/// Writes a document as JSON, indented, without a line end.
fn document(content: &impl Serialize) -> String {
    serde_json::to_string_pretty(content).expect("texts, numbers and lists always have a JSON form")
}

/// Returns a value as JSON: text, an exact number, true or false, or null for what is missing.
fn json_value(value: &Value) -> Box<RawValue> {
    let text = match value {
        Value::Null => "null".to_owned(),
        Value::Integer(number) => number.to_string(),
        // The decimal's own digits: a detour over a float would change them.
        Value::Decimal(number) => number.normalize().to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Text(_) | Value::Date(_) | Value::DateTime(_) | Value::Guid(_) | Value::Link { .. } => {
            serde_json::to_string(&value.to_string()).expect("a text always has a JSON form")
        }
    };
    RawValue::from_string(text).expect("each arm wrote one JSON scalar")
}

/// Rounds seconds to the millisecond, so that a document holds no digits that mean nothing.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

#[cfg(test)]
pub(crate) mod samples;

#[cfg(test)]
mod tests {
    use super::*;
    use rust_decimal::Decimal;
    use uuid::Uuid;

    #[test]
    fn values_keep_their_digits_in_json() {
        for (value, expected) in [
            (Value::Null, "null"),
            (Value::Text(String::new()), r#""""#),
            (Value::Text("a \"b\"\n".into()), r#""a \"b\"\n""#),
            (Value::Integer(-7), "-7"),
            (Value::Decimal("123456789012345678.1234".parse::<Decimal>().unwrap()), "123456789012345678.1234"),
            (Value::Decimal("20000.0000".parse::<Decimal>().unwrap()), "20000"),
            (Value::Boolean(true), "true"),
            (Value::Date("2026-01-31".parse().unwrap()), r#""2026-01-31""#),
            (Value::Guid(Uuid::from_u128(1)), r#""00000000-0000-0000-0000-000000000001""#),
            (
                Value::Link { table: "accounts".into(), id: Uuid::from_u128(2) },
                r#""00000000-0000-0000-0000-000000000002""#,
            ),
        ] {
            assert_eq!(json_value(&value).get(), expected, "{value:?}");
        }
    }
}
