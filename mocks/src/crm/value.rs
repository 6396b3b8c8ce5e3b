//! JSON values to cells: strictly, as the service reads a body, and loosely, as a file of seed data is read.
//!
//! Strict means the service's own refusals: a quoted number, a text too long, a value no choice has. Loose means
//! that a text is taken for what the column wants, and that a text too long is cut, with a word about it.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, NaiveDateTime, SubsecRound, Utc};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;
use uuid::Uuid;

use super::error::Error;
use super::schema::{Column, Kind, Table};
use super::store::{self, Cell};
use crate::filter;

/// Reads the value of a column in a request's body; null and empty text give nothing.
pub fn strict(table: &Table, column: &Column, value: &Value) -> Result<Option<Cell>, Error> {
    if value.is_null() {
        return Ok(None);
    }
    let wrong = || literal_error(table, column, value);
    let cell = match &column.kind {
        Kind::Text { max } | Kind::Memo { max } => {
            let text = value.as_str().ok_or_else(wrong)?;
            if length(text) > *max {
                return Err(too_long(table, column, *max));
            }
            if text.is_empty() {
                return Ok(None);
            }
            Cell::Text(text.into())
        }
        Kind::Integer { min, max } => {
            let number = integer(value).ok_or_else(wrong)?;
            if number < *min || number > *max {
                return Err(out_of_range(table, column));
            }
            Cell::Whole(number)
        }
        Kind::BigInt => Cell::Whole(integer(value).ok_or_else(wrong)?),
        Kind::Picklist(choices) | Kind::State(choices) | Kind::Status(choices) => {
            let number = integer(value).ok_or_else(wrong)?;
            if !choices.iter().any(|choice| choice.value == number) {
                return Err(no_choice(table, column, number));
            }
            Cell::Whole(number)
        }
        // The values come back in the order in which they were given.
        Kind::MultiSelect(choices) => {
            let text = value.as_str().ok_or_else(wrong)?;
            if text.is_empty() {
                return Ok(None);
            }
            for part in text.split(',') {
                let number: i64 = part.parse().map_err(|_| wrong())?;
                if !choices.iter().any(|choice| choice.value == number) {
                    return Err(no_choice(table, column, number));
                }
            }
            Cell::Text(text.into())
        }
        Kind::Decimal { .. } | Kind::Money { .. } | Kind::Double { .. } | Kind::Base { .. } => {
            let Value::Number(number) = value else { return Err(wrong()) };
            let number = filter::decimal(number.as_str()).ok_or_else(|| out_of_range(table, column))?;
            Cell::Decimal(bounded(column, number).ok_or_else(|| out_of_range(table, column))?)
        }
        Kind::Boolean => Cell::Flag(value.as_bool().ok_or_else(wrong)?),
        Kind::DateTime => {
            let time = value.as_str().and_then(filter::instant).ok_or_else(wrong)?;
            check_earliest(time.date_naive())?;
            Cell::Time(time.trunc_subsecs(0))
        }
        Kind::Date => {
            let day = value.as_str().and_then(day).ok_or_else(wrong)?;
            check_earliest(day)?;
            Cell::Day(day)
        }
        Kind::Key | Kind::Guid => Cell::Id(value.as_str().and_then(guid).ok_or_else(wrong)?),
        Kind::Lookup { .. } | Kind::Owner(_) | Kind::Customer(_) => return Err(reference_error()),
    };
    Ok(Some(cell))
}

/// Reads a cell of seed data or of a person's edit; the flag says that a text was cut to fit.
///
/// A lookup gives a [`Cell::Id`]; which table it leads to is for the caller to find.
pub fn loose(column: &Column, value: &Value) -> Result<(Option<Cell>, bool), &'static str> {
    const WRONG: &str = "not of its type";
    const OUTSIDE: &str = "out of range";
    let text = match value {
        Value::Null => return Ok((None, false)),
        Value::String(text) => Cow::Borrowed(text.as_str()),
        other => Cow::Owned(other.to_string()),
    };
    let trimmed = text.trim();
    if text.is_empty() || trimmed.is_empty() && !matches!(column.kind, Kind::Text { .. } | Kind::Memo { .. }) {
        return Ok((None, false));
    }
    let cell = match &column.kind {
        Kind::Text { max } | Kind::Memo { max } => {
            let mut kept = text.as_ref();
            while length(kept) > *max {
                let end = kept.char_indices().next_back().map_or(0, |(at, _)| at);
                kept = &kept[..end];
            }
            return Ok((Some(Cell::Text(kept.into())), kept.len() < text.len()));
        }
        Kind::Integer { .. } | Kind::BigInt => {
            let number = filter::decimal(trimmed).filter(|number| number.fract().is_zero()).ok_or(WRONG)?;
            Cell::Whole(i64::try_from(number.trunc()).map_err(|_| OUTSIDE)?)
        }
        Kind::Picklist(choices) | Kind::State(choices) | Kind::Status(choices) => {
            let number: i64 = trimmed.parse().map_err(|_| WRONG)?;
            if !choices.iter().any(|choice| choice.value == number) {
                return Err(OUTSIDE);
            }
            Cell::Whole(number)
        }
        Kind::MultiSelect(choices) => {
            for part in trimmed.split(',') {
                let number: i64 = part.parse().map_err(|_| WRONG)?;
                if !choices.iter().any(|choice| choice.value == number) {
                    return Err(OUTSIDE);
                }
            }
            Cell::Text(trimmed.into())
        }
        Kind::Decimal { .. } | Kind::Money { .. } | Kind::Double { .. } | Kind::Base { .. } => {
            Cell::Decimal(bounded(column, filter::decimal(trimmed).ok_or(WRONG)?).ok_or(OUTSIDE)?)
        }
        Kind::Boolean => match trimmed.to_ascii_lowercase().as_str() {
            "true" | "1" => Cell::Flag(true),
            "false" | "0" => Cell::Flag(false),
            _ => return Err(WRONG),
        },
        Kind::DateTime => Cell::Time(moment(trimmed).ok_or(WRONG)?),
        Kind::Date => Cell::Day(day(trimmed).or_else(|| moment(trimmed).map(|time| time.date_naive())).ok_or(WRONG)?),
        Kind::Key | Kind::Guid | Kind::Lookup { .. } | Kind::Owner(_) | Kind::Customer(_) => {
            Cell::Id(Uuid::parse_str(trimmed).map_err(|_| WRONG)?)
        }
    };
    Ok((Some(cell), false))
}

/// Rounds a number to what the column keeps and checks its bounds.
fn bounded(column: &Column, number: Decimal) -> Option<Decimal> {
    let (precision, min, max) = match &column.kind {
        // The precision of the currency is applied later, when the currency of the row is known.
        Kind::Money { source: 2, min, max, .. } => (4, filter::decimal(min)?, filter::decimal(max)?),
        Kind::Money { precision, min, max, .. } | Kind::Decimal { precision, min, max } => {
            (*precision, filter::decimal(min)?, filter::decimal(max)?)
        }
        Kind::Double { precision, min, max } => (*precision, Decimal::from(*min), Decimal::from(*max)),
        _ => (4, -Decimal::from(922_337_203_685_477_i64), Decimal::from(922_337_203_685_477_i64)),
    };
    if number < min || number > max {
        return None;
    }
    Some(rounded(number, precision, store::scale(column)))
}

/// Rounds half away from zero and shows the result with a fixed number of decimals.
pub fn rounded(number: Decimal, precision: u32, scale: u32) -> Decimal {
    let mut number = number.round_dp_with_strategy(precision, RoundingStrategy::MidpointAwayFromZero);
    number.rescale(scale);
    number
}

/// Reads a GUID in the one form with hyphens and without braces.
pub fn guid(text: &str) -> Option<Uuid> {
    (text.len() == 36).then(|| Uuid::parse_str(text).ok())?
}

/// Returns the name of the column's type in the service's data model.
pub fn edm(column: &Column) -> &'static str {
    match column.kind {
        Kind::Text { .. } | Kind::Memo { .. } | Kind::MultiSelect(_) => "Edm.String",
        Kind::Integer { .. } | Kind::Picklist(_) | Kind::State(_) | Kind::Status(_) => "Edm.Int32",
        Kind::BigInt => "Edm.Int64",
        Kind::Double { .. } => "Edm.Double",
        Kind::Decimal { .. } | Kind::Money { .. } | Kind::Base { .. } => "Edm.Decimal",
        Kind::Boolean => "Edm.Boolean",
        Kind::DateTime => "Edm.DateTimeOffset",
        Kind::Date => "Edm.Date",
        Kind::Key | Kind::Guid | Kind::Lookup { .. } | Kind::Owner(_) | Kind::Customer(_) => "Edm.Guid",
    }
}

/// The refusal of a lookup written as if it were a value.
pub fn reference_error() -> Error {
    let message = "CRM do not support direct update of Entity Reference properties, Use Navigation properties instead.";
    Error::new(400, "0x80060888", message)
}

fn literal_error(table: &Table, column: &Column, value: &Value) -> Error {
    let literal = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let expected = edm(column);
    let inner = format!(
        "Microsoft.OData.ODataException: Cannot convert the literal '{literal}' to the expected type '{expected}'."
    );
    Error::payload(table.set, inner)
}

fn too_long(table: &Table, column: &Column, max: usize) -> Error {
    let message = format!(
        "A validation error occurred.  The length of the '{}' attribute of the '{}' entity exceeded the maximum \
            allowed length of '{max}'.",
        column.name, table.name
    );
    Error::new(400, "0x80044331", message)
}

fn no_choice(table: &Table, column: &Column, number: i64) -> Error {
    let accepted: Vec<_> = column.choices().iter().map(|choice| choice.value.to_string()).collect();
    let message = format!(
        "A validation error occurred. The value {number} of '{}' on record of type '{}' is outside the valid \
            range. Accepted Values: {}",
        column.name,
        table.name,
        accepted.join(",")
    );
    Error::new(400, "0x8004431a", message)
}

fn out_of_range(table: &Table, column: &Column) -> Error {
    let message = format!(
        "A validation error occurred.  The value of '{}' on record of type '{}' is outside the valid range.",
        column.name, table.name
    );
    Error::new(400, "0x80044330", message)
}

/// The database knows no day before 1753; the blank date of other systems, 0001-01-01, is refused.
fn check_earliest(day: NaiveDate) -> Result<(), Error> {
    if day >= NaiveDate::from_ymd_opt(1753, 1, 1).expect("the first day of 1753 is a date") {
        return Ok(());
    }
    let message = format!(
        "DateTime is less than minimum value supported by CrmDateTime. Actual value: {}, Minimum value \
            supported: 01/01/1753 00:00:00",
        day.format("%m/%d/%Y 00:00:00")
    );
    Err(Error::new(400, "0x80040239", message))
}

/// The service counts UTF-16 units.
fn length(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.encode_utf16().count() }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_str().parse().ok(),
        _ => None,
    }
}

fn day(text: &str) -> Option<NaiveDate> {
    (text.len() == 10).then(|| text.parse().ok())?
}

fn moment(text: &str) -> Option<DateTime<Utc>> {
    let plain = || NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").ok().map(|time| time.and_utc());
    let time = filter::instant(text).or_else(plain).or_else(|| Some(day(text)?.and_hms_opt(0, 0, 0)?.and_utc()))?;
    Some(time.trunc_subsecs(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crm::schema::{TABLES, table};
    use serde_json::json;

    fn read(table_name: &str, column: &str, value: Value) -> Result<Option<Value>, &'static str> {
        let table = &TABLES[table(table_name)];
        let column = &table.columns[table.column(column)];
        strict(table, column, &value).map(|cell| cell.map(|cell| cell.json())).map_err(|error| error.code)
    }

    #[test]
    fn bodies_are_read_strictly() {
        let long = "ø".repeat(21);
        let cases = [
            ("account", "accountnumber", json!("C-1"), Ok(Some(json!("C-1")))),
            ("account", "accountnumber", json!(""), Ok(None)),
            ("account", "accountnumber", json!(null), Ok(None)),
            ("account", "accountnumber", json!(long[2..]), Ok(Some(json!(long[2..])))),
            ("account", "accountnumber", json!(long), Err("0x80044331")),
            ("account", "accountnumber", json!(12), Err("0x80048d19")),
            ("account", "numberofemployees", json!(12), Ok(Some(json!(12)))),
            ("account", "numberofemployees", json!("12"), Err("0x80048d19")),
            ("account", "numberofemployees", json!(-1), Err("0x80044330")),
            ("account", "customertypecode", json!(12), Ok(Some(json!(12)))),
            ("account", "customertypecode", json!(13), Err("0x8004431a")),
            ("account", "creditlimit", json!("1500.50"), Err("0x80048d19")),
            ("account", "creditlimit", json!(-1), Err("0x80044330")),
            ("account", "creditonhold", json!("true"), Err("0x80048d19")),
            ("contact", "birthdate", json!("1980-02-29"), Ok(Some(json!("1980-02-29")))),
            ("contact", "birthdate", json!("1980-02-29T00:00:00Z"), Err("0x80048d19")),
            ("contact", "birthdate", json!("0001-01-01"), Err("0x80040239")),
            ("account", "accountid", json!("nonsense"), Err("0x80048d19")),
        ];
        for (table, column, value, expected) in cases {
            assert_eq!(read(table, column, value.clone()), expected, "{table}.{column} {value}");
        }
    }

    #[test]
    fn numbers_are_rounded_to_the_precision_and_shown_with_the_scale() {
        let cases = [
            ("product", "price", "129.5", "129.5000"),
            ("product", "price", "0.125", "0.1300"),
            ("product", "price", "1e2", "100.0000"),
            ("product", "stockweight", "2.345", "2.3500000000"),
            ("transactioncurrency", "exchangerate", "0.8512345678901", "0.851234567890"),
            ("account", "address1_latitude", "59.9139012", "59.91390"),
        ];
        for (table, column, number, expected) in cases {
            let value = serde_json::from_str(number).unwrap();
            assert_eq!(read(table, column, value).unwrap().unwrap().to_string(), expected, "{number}");
        }
    }
}
