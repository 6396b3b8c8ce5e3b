//! When two values are equal: when their *canonical forms* are. What is equal is not written, on either side (I3).
//!
//! Blank enum, empty text, null, zero GUID and a blank date are all blank; codes are upper-case and trimmed; decimals have
//! no trailing zeros; times are UTC. The ERP has no null, so 0 and false equal null. A canonical form is kept as a 64-bit
//! fingerprint; blank is [`BLANK`].

use std::borrow::Cow;

use chrono::NaiveDate;
use polars::prelude::Series;
use rust_decimal::Decimal;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::config::Side;
use crate::endpoint::capitals;
use crate::frame::{Frame, Kind, Value, value_at};

/// The fingerprint of every blank value.
pub const BLANK: u64 = 0;

/// Returns the fingerprint of a value as `side` holds it in a column of `kind`.
pub fn fingerprint(value: &Value, side: Side, kind: Kind) -> u64 {
    match value {
        Value::Null => BLANK,
        Value::Text(text) => fingerprint_text(text, side, kind),
        Value::Integer(number) if kind == Kind::Choice => hash(5, &number.to_le_bytes()),
        Value::Integer(number) => fingerprint_number(Decimal::from(*number)),
        Value::Decimal(number) => fingerprint_number(*number),
        Value::Boolean(value) => {
            if *value {
                hash(3, &[1])
            } else {
                BLANK
            }
        }
        blank if is_typed_blank(blank) => BLANK,
        Value::Date(date) => hash(4, date.to_string().as_bytes()),
        Value::DateTime(time) => hash(6, &time.timestamp_millis().to_le_bytes()),
        Value::Guid(id) | Value::Link { id, .. } => hash(7, id.as_bytes()),
    }
}

/// Tells whether a value is the blank that the ERP has for its type: a zero GUID, the first day of the calendar.
pub(super) fn is_typed_blank(value: &Value) -> bool {
    let is_first = |date: NaiveDate| date <= NaiveDate::from_ymd_opt(1, 1, 1).unwrap_or_default();
    match value {
        Value::Date(date) => is_first(*date),
        Value::DateTime(time) => is_first(time.date_naive()),
        Value::Guid(id) | Value::Link { id, .. } => id.is_nil(),
        _ => false,
    }
}

fn fingerprint_text(text: &str, side: Side, kind: Kind) -> u64 {
    let text = canonical_text(text, side, kind);
    if text.is_empty() { BLANK } else { hash(1, text.as_bytes()) }
}

fn fingerprint_number(number: Decimal) -> u64 {
    let number = number.normalize();
    if number.is_zero() {
        return BLANK;
    }
    let mut bytes = [0; 20];
    bytes[..16].copy_from_slice(&number.mantissa().to_le_bytes());
    bytes[16..].copy_from_slice(&number.scale().to_le_bytes());
    hash(2, &bytes)
}

fn hash(class: u64, bytes: &[u8]) -> u64 {
    // 0 is taken by blank.
    xxh3_64_with_seed(bytes, class).max(1)
}

/// Returns one fingerprint of several, in their order.
pub fn fold(first: u64, fingerprints: impl Iterator<Item = u64>) -> u64 {
    fingerprints.fold(first, |all, part| (all.rotate_left(5) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Returns a text in the form in which it is compared: the ERP drops trailing blanks and upper-cases codes.
fn canonical_text(text: &str, side: Side, kind: Kind) -> Cow<'_, str> {
    match (side, kind) {
        (_, Kind::Code) => {
            let trimmed = text.trim();
            if trimmed.chars().any(char::is_lowercase) { capitals(trimmed).into() } else { trimmed.into() }
        }
        (Side::Erp, _) => text.trim_end_matches(' ').into(),
        (Side::Crm, _) => text.into(),
    }
}

/// Returns a text as it is written to a side: as it was given, but for the blanks at its end that the ERP drops.
///
/// A code is written so as well, although it is compared in capitals. Which texts are codes is guessed by their names, and the
/// ERP knows: what is one it puts into capitals itself.
pub(super) fn written_text(text: &str, side: Side) -> String {
    canonical_text(text, side, Kind::Text).into_owned()
}

/// Returns what a side makes of a value that it is given: the ERP has no null where a value can be blank otherwise.
pub fn stored(value: Value, side: Side, kind: Kind) -> Value {
    match (value, side, kind) {
        (Value::Null, Side::Erp, Kind::Text | Kind::Code | Kind::Enum) => Value::Text(String::new()),
        (Value::Null, Side::Erp, Kind::Boolean) => Value::Boolean(false),
        (Value::Null, Side::Erp, Kind::Integer | Kind::Decimal { .. }) => Value::Integer(0),
        (value, ..) => value,
    }
}

/// Returns the fingerprints of a column as its own side holds it, one for each row.
pub fn own(frame: &Frame, side: Side, column: &str) -> Vec<u64> {
    let (Some(described), Some(series)) = (frame.column(column), frame.series(column)) else {
        return vec![BLANK; frame.rows()];
    };
    column_fingerprints(series, described.kind, side, described.kind)
}

/// Fingerprints the cells of a column of `kind` as `side` would hold them in a column of `target`.
pub(super) fn column_fingerprints(series: &Series, kind: Kind, side: Side, target: Kind) -> Vec<u64> {
    if let (Kind::Text | Kind::Code | Kind::Enum | Kind::Choices, Ok(cells)) = (kind, series.str()) {
        return cells.iter().map(|cell| cell.map_or(BLANK, |text| fingerprint_text(text, side, target))).collect();
    }
    (0..series.len()).map(|row| fingerprint(&value_at(series, kind, row), side, target)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn equal_values_have_equal_fingerprints() {
        let decimal = |text: &str| Value::Decimal(text.parse().unwrap());
        let scale = Kind::Decimal { scale: 4 };
        for (left, right, equal) in [
            // Blank in all its spellings.
            ((Value::Null, Side::Crm, Kind::Text), (text(""), Side::Erp, Kind::Text), true),
            ((Value::Null, Side::Crm, scale), (decimal("0"), Side::Erp, scale), true),
            ((Value::Null, Side::Crm, Kind::Boolean), (Value::Boolean(false), Side::Erp, Kind::Boolean), true),
            ((Value::Guid(Uuid::nil()), Side::Erp, Kind::Guid), (Value::Null, Side::Crm, Kind::Guid), true),
            // An option of number 0 is a choice that somebody made.
            ((Value::Integer(0), Side::Crm, Kind::Choice), (Value::Null, Side::Crm, Kind::Choice), false),
            // Text.
            ((text("a"), Side::Erp, Kind::Text), (text("a "), Side::Erp, Kind::Text), true),
            ((text("a"), Side::Crm, Kind::Text), (text("a "), Side::Crm, Kind::Text), false),
            ((text("a"), Side::Erp, Kind::Text), (text("A"), Side::Crm, Kind::Text), false),
            ((text(" pcs"), Side::Erp, Kind::Code), (text("PCS"), Side::Erp, Kind::Code), true),
            ((text("straße"), Side::Erp, Kind::Code), (text("STRAßE"), Side::Erp, Kind::Code), true),
            ((text("straße"), Side::Erp, Kind::Code), (text("STRASSE"), Side::Erp, Kind::Code), false),
            // Numbers.
            ((decimal("20000.0000"), Side::Crm, scale), (decimal("20000"), Side::Erp, scale), true),
            ((Value::Integer(5), Side::Erp, Kind::Integer), (decimal("5.00"), Side::Crm, scale), true),
            ((decimal("0.5"), Side::Crm, scale), (decimal("5"), Side::Erp, scale), false),
        ] {
            let fingerprints = (fingerprint(&left.0, left.1, left.2), fingerprint(&right.0, right.1, right.2));
            assert_eq!(fingerprints.0 == fingerprints.1, equal, "{left:?} and {right:?}");
        }
    }
}
