//! One value of a record, as the ERP's tables hold it: there is no null, every type has a blank.
//!
//! In: JSON from a request, which must be of the column's own type, or loose text from a file, which is converted. Out:
//! a [`Cell`] and its JSON. Text loses its trailing blanks, a code is upper-cased and trimmed, decimals keep all their
//! digits and lose trailing zeros.

use std::cmp::Ordering;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use rust_decimal::Decimal;
use serde_json::{Number, Value};
use uuid::Uuid;

use super::error::Refusal;
use super::schema::{Column, Kind};
use crate::filter;

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Text or a code.
    Text(Box<str>),
    Decimal(Decimal),
    Guid(Uuid),
    Bool(bool),
    Date(NaiveDate),
    DateTime(DateTime<Utc>),
    /// The place of the member in its enum.
    Member(u8),
}

impl Cell {
    /// The blank of a type.
    pub fn blank(kind: Kind) -> Cell {
        match kind {
            Kind::Guid => Cell::Guid(Uuid::nil()),
            Kind::Text(_) | Kind::Code(_) => Cell::Text("".into()),
            Kind::Decimal => Cell::Decimal(Decimal::ZERO),
            Kind::Bool => Cell::Bool(false),
            Kind::Date => Cell::Date(blank_date()),
            Kind::DateTime => Cell::DateTime(blank_date().and_time(chrono::NaiveTime::MIN).and_utc()),
            Kind::Enum(_) => Cell::Member(0),
        }
    }

    /// Tells whether it is the blank of its type.
    pub fn is_blank(&self, kind: Kind) -> bool {
        *self == Cell::blank(kind)
    }

    pub fn text(&self) -> &str {
        match self {
            Cell::Text(text) => text,
            _ => "",
        }
    }

    pub fn guid(&self) -> Uuid {
        match self {
            Cell::Guid(id) => *id,
            _ => Uuid::nil(),
        }
    }

    /// Reads a value as a request body has it.
    pub fn read(column: &Column, value: &Value) -> Result<Cell, Refusal> {
        Cell::read_as(column.name, column, value)
    }

    /// Reads a value of a request body, where its column is called `name`.
    pub fn read_as(name: &str, column: &Column, value: &Value) -> Result<Cell, Refusal> {
        let wrong = |edm: &str| {
            let message =
                format!("Cannot convert the literal '{value}' of property '{name}' to the expected type '{edm}'.");
            Err(Refusal::bad(message))
        };
        Ok(match (column.kind, value) {
            (Kind::Text(_) | Kind::Code(_) | Kind::Decimal | Kind::Guid | Kind::Date, Value::Null) => {
                Cell::blank(column.kind)
            }
            (Kind::Text(_) | Kind::Code(_), Value::String(text)) => return Cell::string(column.kind, text),
            (Kind::Text(_) | Kind::Code(_), _) => return wrong("Edm.String"),
            (Kind::Decimal, Value::Number(number)) => match filter::decimal(number.as_str()) {
                Some(decimal) => Cell::Decimal(decimal.normalize()),
                None => return wrong("Edm.Decimal"),
            },
            (Kind::Decimal, _) => return wrong("Edm.Decimal"),
            (Kind::Bool, Value::Bool(flag)) => Cell::Bool(*flag),
            (Kind::Bool, _) => return wrong("Edm.Boolean"),
            (Kind::Guid, Value::String(text)) if text.len() == 36 && Uuid::from_str(text).is_ok() => {
                Cell::Guid(Uuid::from_str(text).unwrap_or_default())
            }
            (Kind::Guid, _) => return wrong("Edm.Guid"),
            (Kind::Date, Value::String(text)) => match NaiveDate::from_str(text) {
                Ok(date) if text.len() == 10 => Cell::Date(date),
                _ => return wrong("Edm.Date"),
            },
            (Kind::Date, _) => return wrong("Edm.Date"),
            (Kind::DateTime, Value::String(text)) => match filter::instant(text) {
                Some(instant) => Cell::DateTime(instant),
                None => return wrong("Edm.DateTimeOffset"),
            },
            (Kind::DateTime, _) => return wrong("Edm.DateTimeOffset"),
            (Kind::Enum(members), Value::String(text)) => {
                match members.names.iter().position(|name| name == text) {
                    Some(place) => Cell::Member(place as u8),
                    // The gateway reads the body against the metadata and knows encoded names only.
                    None => return Err(Refusal::new(400, "RequestDataInvalid", "Request data is invalid.")),
                }
            }
            (Kind::Enum(members), _) => return wrong(&format!("Microsoft.NAV.{}", members.name)),
        })
    }

    /// Makes a text or code cell; too long a text is refused.
    pub fn string(kind: Kind, text: &str) -> Result<Cell, Refusal> {
        let (text, max) = match kind {
            Kind::Code(max) => (capitals(text.trim()), max),
            Kind::Text(max) => (text.trim_end().to_string(), max),
            _ => (text.to_string(), usize::MAX),
        };
        let length = text.encode_utf16().count();
        if length > max { Err(Refusal::too_long(&text, length, max)) } else { Ok(Cell::Text(text.into())) }
    }

    /// Reads a value of a file: JSON of the right type, or its text; an empty text is blank.
    ///
    /// What does not fit is made to fit; the second value says whether it was.
    pub fn load(column: &Column, value: &Value) -> (Cell, bool) {
        let blank = Cell::blank(column.kind);
        if *value == Value::Null || value.as_str() == Some("") {
            return (blank, false);
        }
        if let (Kind::Text(max) | Kind::Code(max), Value::String(text)) = (column.kind, value) {
            return match Cell::string(column.kind, text) {
                Ok(cell) => (cell, false),
                Err(_) => {
                    // Trimming may shorten it further, so the cut comes first.
                    let start = if matches!(column.kind, Kind::Code(_)) { text.trim_start() } else { text };
                    let cut: String = start.chars().take(max).collect();
                    (Cell::string(column.kind, &cut).unwrap_or(blank), true)
                }
            };
        }
        let value = match (column.kind, value) {
            (Kind::Text(_) | Kind::Code(_), other) => Value::String(other.to_string()),
            (Kind::Decimal, Value::String(text)) => match filter::decimal(text.trim()) {
                Some(decimal) => return (Cell::Decimal(decimal.normalize()), false),
                None => return (blank, true),
            },
            (Kind::Bool, Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" => Value::Bool(true),
                "false" | "0" | "no" => Value::Bool(false),
                _ => return (blank, true),
            },
            (_, other) => other.clone(),
        };
        match Cell::read(column, &value) {
            Ok(cell) => (cell, false),
            Err(_) => (blank, true),
        }
    }

    /// Makes the JSON value.
    pub fn json(&self, kind: Kind) -> Value {
        match self {
            Cell::Text(text) => Value::String(text.to_string()),
            Cell::Decimal(decimal) => match Number::from_str(&decimal.to_string()) {
                Ok(number) => Value::Number(number),
                Err(_) => Value::from(0),
            },
            Cell::Guid(id) => Value::String(id.to_string()),
            Cell::Bool(flag) => Value::Bool(*flag),
            Cell::Date(date) => Value::String(date.format("%Y-%m-%d").to_string()),
            Cell::DateTime(instant) => Value::String(stamp(*instant)),
            Cell::Member(place) => {
                let Kind::Enum(members) = kind else { return Value::from("") };
                Value::String(members.names.get(*place as usize).copied().unwrap_or_default().to_string())
            }
        }
    }

    /// Writes the JSON text, without the detour over a [`Value`].
    pub fn write(&self, kind: Kind, out: &mut Vec<u8>) {
        match self {
            Cell::Text(text) => write_string(text, out),
            Cell::Decimal(decimal) => out.extend_from_slice(decimal.to_string().as_bytes()),
            Cell::Guid(id) => {
                let mut buffer = [b'"'; 38];
                id.hyphenated().encode_lower(&mut buffer[1..37]);
                out.extend_from_slice(&buffer);
            }
            Cell::Bool(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
            other => out.extend_from_slice(other.json(kind).to_string().as_bytes()),
        }
    }

    /// Orders two cells of one column.
    pub fn order(&self, other: &Cell) -> Ordering {
        match (self, other) {
            (Cell::Text(a), Cell::Text(b)) => a.cmp(b),
            (Cell::Decimal(a), Cell::Decimal(b)) => a.cmp(b),
            (Cell::Guid(a), Cell::Guid(b)) => a.cmp(b),
            (Cell::Bool(a), Cell::Bool(b)) => a.cmp(b),
            (Cell::Date(a), Cell::Date(b)) => a.cmp(b),
            (Cell::DateTime(a), Cell::DateTime(b)) => a.cmp(b),
            (Cell::Member(a), Cell::Member(b)) => a.cmp(b),
            _ => Ordering::Equal,
        }
    }
}

/// Returns a text in capitals as the platform makes them: letter by letter, so that `ß`, which has no capital of one letter,
/// stays.
pub fn capitals(text: &str) -> String {
    let capital = |letter: char| {
        let mut upper = letter.to_uppercase();
        upper.next().filter(|_| upper.next().is_none()).unwrap_or(letter)
    };
    text.chars().map(capital).collect()
}

/// Writes a JSON string.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string goes into memory without fail");
}

/// Writes a date-time as the ERP does: milliseconds, but none when the time is blank.
fn stamp(instant: DateTime<Utc>) -> String {
    let blank = instant.date_naive() == blank_date();
    instant.to_rfc3339_opts(if blank { SecondsFormat::Secs } else { SecondsFormat::Millis }, true)
}

fn blank_date() -> NaiveDate {
    NaiveDate::from_ymd_opt(1, 1, 1).expect("the first day of the calendar exists")
}

#[cfg(test)]
mod tests {
    use super::super::schema::{self, SETS};
    use super::*;

    fn column(set: &str, name: &str) -> &'static Column {
        let set = &SETS[schema::set(set).unwrap()];
        &set.columns[set.column(name).unwrap()]
    }

    #[test]
    fn requests_must_have_the_type_and_files_need_not() {
        let cases = [
            ("displayName", r#""Dahl  ""#, Some(r#""Dahl""#), r#""Dahl""#),
            ("displayName", "12", None, r#""12""#),
            ("country", r#"" no ""#, Some(r#""NO""#), r#""NO""#),
            ("creditLimit", "1500.50", Some("1500.5"), "1500.5"),
            ("creditLimit", r#""1500.50""#, None, "1500.5"),
            ("creditLimit", "0.10000000000000000001", Some("0.10000000000000000001"), "0.10000000000000000001"),
            ("creditLimit", "null", Some("0"), "0"),
            ("taxLiable", "true", Some("true"), "true"),
            ("taxLiable", r#""true""#, None, "true"),
            ("taxLiable", "null", None, "false"),
            ("blocked", r#""All""#, Some(r#""All""#), r#""All""#),
            ("blocked", r#"" ""#, None, r#""_x0020_""#),
            ("currencyId", r#""x""#, None, r#""00000000-0000-0000-0000-000000000000""#),
            ("lastModifiedDateTime", r#""""#, None, r#""0001-01-01T00:00:00Z""#),
        ];
        for (name, wire, strict, loose) in cases {
            let (column, value) = (column("customers", name), serde_json::from_str(wire).unwrap());
            let read = Cell::read(column, &value).ok().map(|cell| cell.json(column.kind).to_string());
            assert_eq!(read.as_deref(), strict, "{name} from {wire}");
            let (cell, _) = Cell::load(column, &value);
            assert_eq!(cell.json(column.kind).to_string(), loose, "{name} from {wire}");
            let mut written = Vec::new();
            cell.write(column.kind, &mut written);
            assert_eq!(String::from_utf8(written).unwrap(), loose);
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_refused_or_cut_and_said() {
        let column = column("customers", "city");
        let value = Value::from("Ø".repeat(31));
        let refusal = Cell::read(column, &value).unwrap_err();
        assert!(refusal.message.starts_with("The length of the string is 31, but it must be less than or equal to 30"));
        assert_eq!(Cell::load(column, &value), (Cell::Text("Ø".repeat(30).into()), true));
    }
}
