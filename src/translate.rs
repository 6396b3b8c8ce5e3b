//! A field's value in the other side's terms: expressions, value maps, references, types; and when two values are equal.
//!
//! Two values are equal when their *canonical forms* are: blank enum, empty text, null, zero GUID and a blank date are
//! all blank; codes are upper-case and trimmed; decimals have no trailing zeros; times are UTC. The ERP has no null, so
//! 0 and false equal null. A canonical form is kept as a 64-bit fingerprint; blank is [`BLANK`].
//!
//! Nothing here decides what is written; it only says what the value would be there, or why there is none.

pub mod links;

#[cfg(test)]
mod equality;

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::{Datelike, NaiveDate, Timelike};
use polars::prelude::Series;
use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use unicode_segmentation::UnicodeSegmentation;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::config::{FieldMap, Fit, Reference, Side};
use crate::endpoint::ColumnInfo;
use crate::frame::evaluated::{Evaluated, EvaluationError, Fault};
use crate::frame::{Frame, Kind, Value, value_at};
use crate::translate::links::Links;

/// The fingerprint of every blank value.
pub const BLANK: u64 = 0;

/// Why a value has no counterpart on the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The record that the value refers to has no coupling.
    Unresolved { table: String, key: String },
    /// The expression has no value for the record.
    NoValue(Fault),
    /// The record that the value refers to gets its coupling only by what the run makes first; only a plan meets this.
    Awaited { table: String, key: String, reason: String },
    /// The value map has no such value.
    Unmapped { value: String, known: Vec<String> },
    /// The value is of the wrong type for the column.
    Kind { value: String, column: String, kind: &'static str },
    /// The text is too long for the column.
    Long { value: String, column: String, characters: usize, characters_max: usize },
    /// The column is a choice without that option.
    NoOption { value: String, column: String, known: Vec<String> },
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |known: &[String]| {
            let shown = |word: &String| if word.is_empty() { "blank".to_owned() } else { format!("`{word}`") };
            let mut text = known.iter().take(12).map(shown).collect::<Vec<_>>().join(", ");
            if known.len() > 12 {
                text += &format!(" and {} more", known.len() - 12);
            }
            text
        };
        match self {
            Problem::Unresolved { table, key } => write!(f, "{table}:{key} is not coupled"),
            Problem::NoValue(fault) => write!(f, "{fault}"),
            Problem::Awaited { table, key, reason } => write!(f, "{table}:{key} is not coupled yet: {reason}"),
            Problem::Unmapped { value, known } => write!(f, "`{value}` is not in `values`; known: {}", list(known)),
            Problem::Kind { value, column, kind } => write!(f, "`{value}` is no {kind}, as `{column}` needs"),
            Problem::Long { value, column, characters, characters_max } => {
                write!(f, "`{value}` has {characters} characters, `{column}` takes {characters_max}")
            }
            Problem::NoOption { value, column, known } => {
                write!(f, "`{column}` has no option `{value}`; known: {}", list(known))
            }
        }
    }
}

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
fn is_typed_blank(value: &Value) -> bool {
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

/// Returns a text in the form in which it is compared: the ERP drops trailing blanks and upper-cases codes.
fn canonical_text(text: &str, side: Side, kind: Kind) -> Cow<'_, str> {
    match (side, kind) {
        (_, Kind::Code) => {
            let trimmed = text.trim();
            if trimmed.chars().any(char::is_lowercase) { trimmed.to_uppercase().into() } else { trimmed.into() }
        }
        (Side::Erp, _) => text.trim_end_matches(' ').into(),
        (Side::Crm, _) => text.into(),
    }
}

/// Returns a text as it is written to a column of `kind`.
///
/// A letter without a single capital stays: `ß` is `SS` in some versions and itself in others, so the side decides, and
/// for the comparison both are the same.
fn written_text(text: &str, side: Side, kind: Kind) -> String {
    let capital = |letter: char| {
        let mut capitals = letter.to_uppercase();
        match (capitals.next(), capitals.next()) {
            (Some(capital), None) => capital,
            _ => letter,
        }
    };
    match kind {
        Kind::Code => text.trim().chars().map(capital).collect(),
        _ => canonical_text(text, side, kind).into_owned(),
    }
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
fn column_fingerprints(series: &Series, kind: Kind, side: Side, target: Kind) -> Vec<u64> {
    if let (Kind::Text | Kind::Code | Kind::Enum, Ok(cells)) = (kind, series.str()) {
        return cells.iter().map(|cell| cell.map_or(BLANK, |text| fingerprint_text(text, side, target))).collect();
    }
    (0..series.len()).map(|row| fingerprint(&value_at(series, kind, row), side, target)).collect()
}

/// What a field's source rows are on the target side.
#[derive(Debug, Clone, Default)]
pub struct Translated {
    /// One for each source row; meaningless where there is a problem.
    pub fingerprints: Vec<u64>,
    pub problems: HashMap<usize, Problem>,
}

/// Translates the values of one field to one side.
pub struct Translator<'a> {
    field: &'a FieldMap,
    to: Side,
    target: &'a ColumnInfo,
    links: &'a Links,
    frame: &'a Frame,
    computed: Option<Evaluated<'a>>,
}

impl<'a> Translator<'a> {
    /// Prepares the translation of `field` for the rows of `frame`, which belong to the side opposite `to`.
    ///
    /// `target` describes the field's column on `to`. `None` where the field has no value to send there.
    pub fn new(
        field: &'a FieldMap,
        to: Side,
        target: &'a ColumnInfo,
        links: &'a Links,
        frame: &'a Frame,
    ) -> Result<Option<Translator<'a>>, EvaluationError> {
        let computed = match field.expression_to(to) {
            Some(expression) => Some(frame.evaluate(expression)?),
            None => None,
        };
        if computed.is_none() && field.value.is_none() && field.column(to.other()).is_none() {
            return Ok(None);
        }
        Ok(Some(Translator { field, to, target, links, frame, computed }))
    }

    /// Returns the source value of a row, before it is translated.
    pub fn source(&self, row: usize) -> Result<Value, Problem> {
        if let Some(computed) = &self.computed {
            return computed.value(row).map_err(Problem::NoValue);
        }
        Ok(match (self.field.column(self.to.other()), &self.field.value) {
            (Some(column), _) => self.frame.value(column, row),
            (None, Some(constant)) => Value::Text(constant.text()),
            (None, None) => Value::Null,
        })
    }

    /// Returns the value of a row as the target side would hold it.
    pub fn value(&self, row: usize) -> Result<Value, Problem> {
        let mut value = self.source(row)?;
        if !self.field.values.is_empty() {
            value = self.mapped(&value)?;
        }
        if let Some(reference) = &self.field.reference {
            return self.linked(reference, &value);
        }
        match convert(value, self.to, self.target) {
            Err(Problem::Long { value, column, characters, characters_max }) if self.field.fit == Fit::Truncate => {
                cut(&value, characters_max).map(Value::Text).ok_or(Problem::Long {
                    value,
                    column,
                    characters,
                    characters_max,
                })
            }
            converted => converted,
        }
    }

    /// Returns the number in `row` that has more digits than the target column keeps.
    pub fn rounded(&self, row: usize) -> Option<Decimal> {
        let Kind::Decimal { scale } = self.target.column.kind else { return None };
        let number = match self.source(row).ok()? {
            Value::Decimal(number) => number,
            Value::Text(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        (number.normalize().scale() > scale).then_some(number)
    }

    /// Returns what all rows would be on the target side.
    pub fn all(&self) -> Translated {
        let plain = self.computed.is_none() && self.field.values.is_empty() && self.field.reference.is_none();
        let column = self.field.column(self.to.other());
        if let (true, Some(column)) = (plain, column)
            && let (Some(described), Some(series)) = (self.frame.column(column), self.frame.series(column))
            && let (Kind::Text | Kind::Code, Kind::Text | Kind::Code) = (described.kind, self.target.column.kind)
        {
            let kind = self.target.column.kind;
            let mut fingerprints = column_fingerprints(series, described.kind, self.to, kind);
            // Lengths are looked at only where a text is longer in bytes than the column takes in characters.
            let mut problems = HashMap::new();
            if let (Some(characters_max), Ok(cells)) = (self.target.length_max, series.str()) {
                for (row, cell) in cells.iter().enumerate() {
                    if cell.is_none_or(|text| text.len() <= characters_max) {
                        continue;
                    }
                    match self.value(row) {
                        Ok(value) => fingerprints[row] = fingerprint(&value, self.to, kind),
                        Err(problem) => {
                            problems.insert(row, problem);
                        }
                    }
                }
            }
            return Translated { fingerprints, problems };
        }
        let mut translated = Translated { fingerprints: Vec::with_capacity(self.frame.rows()), ..Default::default() };
        for row in 0..self.frame.rows() {
            match self.value(row) {
                Ok(value) => {
                    translated.fingerprints.push(fingerprint(&value, self.to, self.target.column.kind));
                }
                Err(problem) => {
                    translated.fingerprints.push(BLANK);
                    translated.problems.insert(row, problem);
                }
            }
        }
        translated
    }

    /// Puts a value through the value map; blank is blank unless the map lists it.
    fn mapped(&self, value: &Value) -> Result<Value, Problem> {
        let text = value.to_string();
        let pair = |pair: &(String, String)| match self.to {
            Side::Crm => (pair.0.clone(), pair.1.clone()),
            Side::Erp => (pair.1.clone(), pair.0.clone()),
        };
        let found = self.field.values.iter().map(pair).find(|(from, _)| *from == text);
        match found {
            Some((_, to)) => Ok(Value::Text(to)),
            None if text.is_empty() => Ok(Value::Null),
            None => {
                let known = self.field.values.iter().map(|both| pair(both).0).collect();
                Err(Problem::Unmapped { value: text, known })
            }
        }
    }

    /// Follows a reference; blank refers to nothing.
    fn linked(&self, reference: &Reference, value: &Value) -> Result<Value, Problem> {
        let unresolved = |key: String| {
            let table = reference.table.clone();
            match self.links.awaited(reference, self.to.other(), value) {
                Some(reason) => Problem::Awaited { table, key, reason: reason.to_owned() },
                None => Problem::Unresolved { table, key },
            }
        };
        match self.to {
            Side::Crm => {
                let key = value.to_string();
                if key.trim().is_empty() {
                    return Ok(Value::Null);
                }
                self.links.crm_id(reference, &key).map(Value::Guid).ok_or_else(|| unresolved(key))
            }
            Side::Erp => {
                let id = match value {
                    Value::Guid(id) | Value::Link { id, .. } if !id.is_nil() => *id,
                    value if value.is_blank() => return Ok(Value::Null),
                    Value::Guid(_) | Value::Link { .. } => return Ok(Value::Null),
                    other => match Uuid::parse_str(&other.to_string()) {
                        Ok(id) => id,
                        Err(_) => return Err(unresolved(other.to_string())),
                    },
                };
                let key = self.links.erp_key(reference, id).ok_or_else(|| {
                    let label = self.links.label(reference, id);
                    unresolved(format!("crm:{}", label.map_or_else(|| id.to_string(), str::to_owned)))
                })?;
                convert(Value::Text(key.to_owned()), self.to, self.target)
            }
        }
    }
}

/// Returns as much of a text as so many UTF-16 units hold, cut between two characters as people see them, and without the
/// blanks that the cut leaves at the end. `None` where that is nothing.
fn cut(text: &str, units_max: usize) -> Option<String> {
    let mut units = 0;
    let mut end = 0;
    for (start, character) in text.grapheme_indices(true) {
        units += character.encode_utf16().count();
        if units > units_max {
            break;
        }
        end = start + character.len();
    }
    let kept = text[..end].trim_end_matches(' ');
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// Turns a value into what `target`, a column of `side`, takes.
pub fn convert(value: Value, side: Side, target: &ColumnInfo) -> Result<Value, Problem> {
    let column = || target.column.name.clone();
    let kind = target.column.kind;
    let wrong = |value: &Value| Problem::Kind { value: value.to_string(), column: column(), kind: kind.word() };
    let blanks = |text: &str| !matches!(kind, Kind::Text | Kind::Code | Kind::Enum) && text.trim().is_empty();
    if value.is_blank() || is_typed_blank(&value) || matches!(&value, Value::Text(text) if blanks(text)) {
        return Ok(Value::Null);
    }
    let value = match kind {
        Kind::Text | Kind::Code => {
            let text = match &value {
                Value::Text(text) => written_text(text, side, kind),
                other => other.to_string(),
            };
            // Both services count UTF-16 units, as their databases do.
            let characters = text.encode_utf16().count();
            match target.length_max {
                Some(characters_max) if characters > characters_max => {
                    Err(Problem::Long { value: text, column: column(), characters, characters_max })
                }
                _ if text.is_empty() => Ok(Value::Null),
                _ => Ok(Value::Text(text)),
            }
        }
        Kind::Enum => {
            let text = value.to_string();
            if target.options.is_empty() || target.options.iter().any(|(_, label)| *label == text) {
                return Ok(Value::Text(text));
            }
            let known = target.options.iter().map(|(_, label)| label.clone()).collect();
            Err(Problem::NoOption { value: text, column: column(), known })
        }
        Kind::Choice => {
            let number = match &value {
                Value::Integer(number) => Some(*number),
                Value::Decimal(number) if number.is_integer() => number.to_i64(),
                Value::Text(text) => text.trim().parse().ok(),
                Value::Boolean(flag) => Some(i64::from(*flag)),
                _ => None,
            };
            match number {
                Some(number) if target.options.iter().any(|(option, _)| *option == number) => {
                    Ok(Value::Integer(number))
                }
                Some(number) if target.options.is_empty() => Ok(Value::Integer(number)),
                None if target.options.is_empty() => Err(wrong(&value)),
                _ => {
                    let shown = |(option, label): &(i64, String)| format!("{option} {label}").trim_end().to_owned();
                    let known = target.options.iter().map(shown).collect();
                    Err(Problem::NoOption { value: value.to_string(), column: column(), known })
                }
            }
        }
        Kind::Integer => match &value {
            Value::Integer(_) => Ok(value),
            Value::Decimal(number) if number.is_integer() => {
                number.to_i64().map(Value::Integer).ok_or_else(|| wrong(&value))
            }
            Value::Text(text) => kind.parse(text).ok_or_else(|| wrong(&value)),
            Value::Boolean(flag) => Ok(Value::Integer(i64::from(*flag))),
            _ => Err(wrong(&value)),
        },
        Kind::Decimal { scale } => {
            let number = match &value {
                Value::Integer(number) => Decimal::from(*number),
                Value::Decimal(number) => *number,
                Value::Text(text) => match kind.parse(text) {
                    Some(Value::Decimal(number)) => number,
                    _ => return Err(wrong(&value)),
                },
                _ => return Err(wrong(&value)),
            };
            Ok(Value::Decimal(number.round_dp_with_strategy(scale, RoundingStrategy::MidpointAwayFromZero)))
        }
        Kind::Boolean => match &value {
            Value::Boolean(_) => Ok(value),
            Value::Integer(0) => Ok(Value::Boolean(false)),
            Value::Integer(1) => Ok(Value::Boolean(true)),
            Value::Text(text) => kind.parse(text).ok_or_else(|| wrong(&value)),
            _ => Err(wrong(&value)),
        },
        Kind::Date => match &value {
            Value::Date(_) => Ok(value),
            Value::DateTime(time) => Ok(Value::Date(time.date_naive())),
            Value::Text(text) => kind.parse(text).ok_or_else(|| wrong(&value)),
            _ => Err(wrong(&value)),
        },
        Kind::DateTime => {
            let time = match &value {
                Value::DateTime(time) => *time,
                Value::Date(date) => date.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc(),
                Value::Text(text) => match kind.parse(text) {
                    Some(Value::DateTime(time)) => time,
                    _ => return Err(wrong(&value)),
                },
                _ => return Err(wrong(&value)),
            };
            // The CRM keeps whole seconds.
            let time = if side == Side::Crm { time.with_nanosecond(0).unwrap_or(time) } else { time };
            Ok(Value::DateTime(time))
        }
        Kind::Guid => match &value {
            Value::Guid(_) | Value::Link { .. } => Ok(value),
            Value::Text(text) => kind.parse(text).ok_or_else(|| wrong(&value)),
            _ => Err(wrong(&value)),
        },
    }?;
    match &value {
        // A text may have spelled a blank, too.
        blank if is_typed_blank(blank) => Ok(Value::Null),
        // Years have four digits on both wires.
        Value::Date(date) if date.year() > 9999 => Err(wrong(&value)),
        Value::DateTime(time) if time.year() > 9999 => Err(wrong(&value)),
        _ => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Column;

    fn info(kind: Kind) -> ColumnInfo {
        ColumnInfo {
            column: Column { name: "c".into(), kind },
            readable: true,
            insertable: true,
            updatable: true,
            length_max: None,
            options: Vec::new(),
            targets: Vec::new(),
        }
    }

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
            ((text("straße"), Side::Erp, Kind::Code), (text("STRASSE"), Side::Erp, Kind::Code), true),
            // Numbers.
            ((decimal("20000.0000"), Side::Crm, scale), (decimal("20000"), Side::Erp, scale), true),
            ((Value::Integer(5), Side::Erp, Kind::Integer), (decimal("5.00"), Side::Crm, scale), true),
            ((decimal("0.5"), Side::Crm, scale), (decimal("5"), Side::Erp, scale), false),
        ] {
            let fingerprints = (fingerprint(&left.0, left.1, left.2), fingerprint(&right.0, right.1, right.2));
            assert_eq!(fingerprints.0 == fingerprints.1, equal, "{left:?} and {right:?}");
        }
    }

    #[test]
    fn values_become_what_the_column_takes() {
        let mut short = info(Kind::Text);
        short.length_max = Some(3);
        let mut choice = info(Kind::Choice);
        choice.options = vec![(1, "Net 30".into()), (3, "Customer".into())];
        let time = Kind::DateTime.parse("2026-01-31T22:10:05.123Z").unwrap();
        for (value, side, target, expected) in [
            (text("abc"), Side::Crm, &short, Ok("abc")),
            (text("abc "), Side::Erp, &short, Ok("abc")),
            (text("Æøå"), Side::Erp, &short, Ok("Æøå")),
            (text("abcd"), Side::Crm, &short, Err("`abcd` has 4 characters, `c` takes 3")),
            (text("pcs "), Side::Erp, &info(Kind::Code), Ok("PCS")),
            (text("3"), Side::Crm, &choice, Ok("3")),
            (text("2"), Side::Crm, &choice, Err("`c` has no option `2`; known: `1 Net 30`, `3 Customer`")),
            (text("x"), Side::Crm, &choice, Err("`c` has no option `x`; known: `1 Net 30`, `3 Customer`")),
            (text("1.23456"), Side::Crm, &info(Kind::Decimal { scale: 2 }), Ok("1.23")),
            (text("1,5"), Side::Crm, &info(Kind::Decimal { scale: 2 }), Err("`1,5` is no decimal, as `c` needs")),
            (text("true"), Side::Crm, &info(Kind::Boolean), Ok("true")),
            (time.clone(), Side::Crm, &info(Kind::DateTime), Ok("2026-01-31T22:10:05Z")),
            (time, Side::Erp, &info(Kind::DateTime), Ok("2026-01-31T22:10:05.123Z")),
            (text(""), Side::Crm, &info(Kind::Date), Ok("")),
        ] {
            let told = format!("{value:?}");
            let got =
                convert(value, side, target).map(|value| value.to_string()).map_err(|problem| problem.to_string());
            assert_eq!(got.as_deref().map_err(String::as_str), expected, "{told} for {target:?}");
        }
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        for (text, units_max, expected) in [
            ("abcdef", 3, Some("abc")),
            ("ab cdef", 3, Some("ab")),
            ("Æøåé", 3, Some("Æøå")),
            // An accent of its own belongs to its letter.
            ("abe\u{301}f", 3, Some("ab")),
            ("abe\u{301}f", 4, Some("abe\u{301}")),
            // Two units, of which one alone is nothing.
            ("ab😀", 3, Some("ab")),
            ("ab😀c", 4, Some("ab😀")),
            // A flag is two letters, a family several people.
            ("a🇳🇴b", 4, Some("a")),
            ("👩‍👩‍👧", 3, None),
            ("a\r\nb", 2, Some("a")),
            ("   ab", 2, None),
        ] {
            assert_eq!(cut(text, units_max).as_deref(), expected, "{text:?} in {units_max}");
        }
    }

    #[test]
    fn keys_lead_to_partners_and_back() {
        let id = Uuid::from_u128;
        let mut links = Links::default();
        let table = links.table("currencies");
        table.couple(id(1), id(11));
        for (erp, code) in [(1, "EUR"), (2, "NOK"), (3, "DUP"), (4, "dup")] {
            table.name(Side::Erp, "code", id(erp), code);
        }
        for (crm, code) in [(11, "EUR"), (12, "GBP"), (13, "XXX"), (14, "XXX")] {
            table.name(Side::Crm, "isocurrencycode", id(crm), code);
        }
        let plain = Reference { table: "currencies".into(), erp: "code".into(), crm: None };
        let keyed = Reference { crm: Some("isocurrencycode".into()), ..plain.clone() };
        for (reference, key, expected) in [
            (&plain, "eur", Some(11)),
            (&plain, "NOK", None),
            (&plain, "DUP", None),
            (&plain, "GBP", None),
            (&keyed, "GBP", Some(12)),
            (&keyed, "XXX", None),
        ] {
            assert_eq!(links.crm_id(reference, key), expected.map(id), "{key}");
        }
        for (reference, crm, expected) in
            [(&plain, 11, Some("EUR")), (&plain, 12, None), (&keyed, 12, Some("GBP")), (&keyed, 99, None)]
        {
            assert_eq!(links.erp_key(reference, id(crm)), expected, "{crm}");
        }
    }
}
