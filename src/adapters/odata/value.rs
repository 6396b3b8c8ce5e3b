//! Single values into JSON, as each service wants them written.
//!
//! In goes a column and a [`Value`]; out comes JSON text, or why the value cannot be written there. Decimals are written
//! in their own digits. A blank is `null` for Dataverse and the blank of its type for Business Central, which has no null
//! (erp-api.md §8); for other services it is an empty text, and null for everything else. Lookups are not values of a column on the wire; the Dataverse adapter writes them itself.

use chrono::NaiveTime;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::adapters::odata::{Dialect, name};
use crate::endpoint::ColumnInfo;
use crate::frame::{Kind, Value, brief, choices, choices_text};

/// Returns the JSON text of a value for a column.
pub fn json(dialect: Dialect, column: &ColumnInfo, value: &Value) -> Result<String, String> {
    let kind = column.column.kind;
    if value.is_blank() {
        if kind == Kind::Enum {
            check_option(column, "", |(_, label)| label.is_empty())?;
        }
        return Ok(match dialect {
            Dialect::Plain if matches!(kind, Kind::Text | Kind::Code) => string(""),
            Dialect::Dataverse | Dialect::Plain => "null".to_owned(),
            Dialect::BusinessCentral => match erp_blank(kind) {
                _ if kind == Kind::Enum && column.options.is_empty() => string(""),
                blank => blank.to_owned(),
            },
        });
    }
    let unfit = || format!("`{}` is no {} for column `{}`", brief(&value.to_string()), kind.word(), column.column.name);
    // A text that an expression or a constant made is read as what the column holds.
    let read;
    let value = match (kind, value) {
        (Kind::Text | Kind::Code | Kind::Enum | Kind::Choices, _) => value,
        (_, Value::Text(text)) => {
            read = kind.parse(text).ok_or_else(unfit)?;
            &read
        }
        _ => value,
    };
    match (kind, value) {
        (Kind::Enum, value) => {
            let member = value.to_string();
            check_option(column, &member, |(_, label)| *label == member)?;
            // Of a column without known members it may be a text that only looks like an option, and is written as it is.
            let is_plain = dialect == Dialect::Plain || column.options.is_empty();
            Ok(string(&if is_plain { member } else { name::encode(&member) }))
        }
        (Kind::Choice, Value::Integer(number)) => {
            check_option(column, &number.to_string(), |(option, _)| option == number)?;
            Ok(number.to_string())
        }
        (Kind::Choices, value) => {
            let numbers = choices(&value.to_string()).ok_or_else(unfit)?;
            for number in &numbers {
                check_option(column, &number.to_string(), |(option, _)| option == number)?;
            }
            let text = choices_text(&numbers).to_string();
            Ok(if text.is_empty() { "null".to_owned() } else { string(&text) })
        }
        (Kind::Text | Kind::Code, value) => Ok(string(&value.to_string())),
        (Kind::Integer | Kind::Decimal { .. }, Value::Integer(number)) => Ok(number.to_string()),
        (Kind::Integer | Kind::Choice, Value::Decimal(number)) if number.fract() == Decimal::ZERO => {
            let whole = number.to_i64().ok_or_else(unfit)?;
            json(dialect, column, &Value::Integer(whole))
        }
        (Kind::Decimal { .. }, Value::Decimal(number)) => Ok(number.to_string()),
        (Kind::Boolean, Value::Boolean(value)) => Ok(value.to_string()),
        (Kind::Boolean, Value::Integer(number @ (0 | 1))) => Ok((*number == 1).to_string()),
        (Kind::Date, Value::Date(date)) => Ok(string(&date.to_string())),
        (Kind::Date, Value::DateTime(time)) if time.time() == NaiveTime::MIN => {
            Ok(string(&time.date_naive().to_string()))
        }
        (Kind::DateTime, value @ Value::DateTime(_)) => Ok(string(&value.to_string())),
        (Kind::DateTime, Value::Date(date)) => Ok(string(&format!("{date}T00:00:00Z"))),
        (Kind::Guid, Value::Guid(id) | Value::Link { id, .. }) => Ok(string(&id.to_string())),
        _ => Err(unfit()),
    }
}

/// Refuses a value that is not in the column's list; the services say only that something is invalid.
fn check_option(column: &ColumnInfo, value: &str, fits: impl Fn(&(i64, String)) -> bool) -> Result<(), String> {
    if column.options.is_empty() || column.options.iter().any(fits) {
        return Ok(());
    }
    let shown = |text: &str| if text.is_empty() { "blank".to_owned() } else { format!("`{}`", brief(text)) };
    let known: Vec<String> = match column.column.kind {
        Kind::Choice | Kind::Choices => {
            column.options.iter().map(|(option, label)| format!("{option} {label}")).collect()
        }
        _ => column.options.iter().map(|(_, label)| shown(label)).collect(),
    };
    Err(format!("{} is no value of column `{}`; it takes: {}", shown(value), column.column.name, known.join(", ")))
}

/// Returns a JSON object of properties in the order given; the values are JSON already.
pub fn object<'a>(properties: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs: Vec<String> = properties.into_iter().map(|(name, json)| format!("{}:{json}", string(name))).collect();
    format!("{{{}}}", pairs.join(","))
}

/// Returns a JSON string.
pub fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn erp_blank(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Code | Kind::Choices => r#""""#,
        Kind::Enum => r#""_x0020_""#,
        Kind::Integer | Kind::Decimal { .. } | Kind::Choice => "0",
        Kind::Boolean => "false",
        Kind::Date => r#""0001-01-01""#,
        Kind::DateTime => r#""0001-01-01T00:00:00Z""#,
        Kind::Guid => r#""00000000-0000-0000-0000-000000000000""#,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, NaiveDate};
    use uuid::Uuid;

    fn column(kind: Kind) -> ColumnInfo {
        ColumnInfo::plain("c", kind)
    }

    #[test]
    fn values_are_written_as_their_side_wants_them() {
        use Dialect::{BusinessCentral, Dataverse};
        let moment = Value::DateTime(DateTime::from_timestamp_millis(1_769_897_405_123).unwrap());
        let scale = Kind::Decimal { scale: 4 };
        for (dialect, kind, value, expected) in [
            (BusinessCentral, Kind::Text, Value::Text("a \"b\"\n".into()), r#""a \"b\"\n""#),
            (BusinessCentral, Kind::Text, Value::Null, r#""""#),
            // Nobody knows that it is an option.
            (BusinessCentral, Kind::Enum, Value::Text("Bad Ems".into()), r#""Bad Ems""#),
            (BusinessCentral, Kind::Enum, Value::Text(String::new()), r#""""#),
            (BusinessCentral, scale, Value::Null, "0"),
            (BusinessCentral, scale, Value::Decimal("1234567890123456.7800".parse().unwrap()), "1234567890123456.7800"),
            (BusinessCentral, Kind::Boolean, Value::Null, "false"),
            (BusinessCentral, Kind::Date, Value::Null, r#""0001-01-01""#),
            (BusinessCentral, Kind::DateTime, moment, r#""2026-01-31T22:10:05.123Z""#),
            (BusinessCentral, Kind::Guid, Value::Null, r#""00000000-0000-0000-0000-000000000000""#),
            (Dataverse, Kind::Text, Value::Text(String::new()), "null"),
            (Dataverse, Kind::Text, Value::Integer(7), r#""7""#),
            (Dataverse, scale, Value::Integer(3), "3"),
            (Dataverse, scale, Value::Text("3.50".into()), "3.5000"),
            (Dataverse, Kind::Choice, Value::Text("3".into()), "3"),
            (Dataverse, Kind::Choice, Value::Decimal(Decimal::new(30, 1)), "3"),
            (Dataverse, Kind::Date, Value::Date(NaiveDate::from_ymd_opt(2026, 1, 31).unwrap()), r#""2026-01-31""#),
            (
                Dataverse,
                Kind::Date,
                Value::DateTime(DateTime::from_timestamp_millis(86_400_000).unwrap()),
                r#""1970-01-02""#,
            ),
            (Dataverse, Kind::Boolean, Value::Text("false".into()), "false"),
            (Dataverse, Kind::Guid, Value::Guid(Uuid::nil()), r#""00000000-0000-0000-0000-000000000000""#),
        ] {
            assert_eq!(json(dialect, &column(kind), &value).as_deref(), Ok(expected), "{value:?} as {kind:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (kind, value, expected) in [
            (Kind::Integer, Value::Decimal(Decimal::new(15, 1)), "`1.5` is no whole number for column `c`"),
            (Kind::Choice, Value::Text("Net 30".into()), "`Net 30` is no choice for column `c`"),
            (Kind::Boolean, Value::Integer(2), "`2` is no boolean for column `c`"),
            (
                Kind::Date,
                Value::DateTime(DateTime::from_timestamp_millis(1_000).unwrap()),
                "`1970-01-01T00:00:01Z` is no date for column `c`",
            ),
            (Kind::Guid, Value::Text("x".into()), "`x` is no GUID for column `c`"),
        ] {
            assert_eq!(json(Dialect::Dataverse, &column(kind), &value), Err(expected.to_owned()));
        }
    }

    #[test]
    fn what_is_not_in_the_list_is_refused_with_the_list() {
        let listed = |kind, options: &[(i64, &str)]| ColumnInfo {
            options: options.iter().map(|(number, label)| (*number, (*label).to_owned())).collect(),
            ..column(kind)
        };
        let blocked = listed(Kind::Enum, &[(0, ""), (1, "Ship"), (2, "Non-Paying")]);
        let sort = listed(Kind::Enum, &[(0, "Inventory")]);
        let state = listed(Kind::Choice, &[(0, "Active"), (1, "Inactive")]);
        for (column, value, expected) in [
            (&blocked, Value::Text("Ship".into()), Ok(r#""Ship""#)),
            (&blocked, Value::Null, Ok(r#""_x0020_""#)),
            (&blocked, Value::Text("Non-Paying".into()), Ok(r#""Non_x002D_Paying""#)),
            (
                &blocked,
                Value::Text("ship".into()),
                Err("`ship` is no value of column `c`; it takes: blank, `Ship`, `Non-Paying`"),
            ),
            (&sort, Value::Null, Err("blank is no value of column `c`; it takes: `Inventory`")),
            (&state, Value::Decimal(Decimal::ONE), Ok("1")),
            (&state, Value::Text("2".into()), Err("`2` is no value of column `c`; it takes: 0 Active, 1 Inactive")),
        ] {
            let found = json(Dialect::BusinessCentral, column, &value);
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{value:?}");
        }
    }

    #[test]
    fn objects_keep_their_order() {
        assert_eq!(object([("z", "1"), ("a\"", "null")]), r#"{"z":1,"a\"":null}"#);
    }
}
