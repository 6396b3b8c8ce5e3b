//! What a column of the other side takes: types, lengths, options; or why it takes a value not at all.

use chrono::{Datelike, NaiveDate, NaiveTime, Timelike};
use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use unicode_segmentation::UnicodeSegmentation;

use crate::config::Side;
use crate::endpoint::ColumnInfo;
use crate::frame::evaluated::Fault;
use crate::frame::{Kind, Value, brief, choices, choices_text};
use crate::translate::canonical::{is_typed_blank, written_text};

/// Why a value has no counterpart on the other side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// The record that the value refers to has no coupling.
    Unresolved { table: String, key: String },
    /// The value refers to `record`, of which the key cannot be read, or where it is a `key` may do so.
    Illegible { table: String, key: Option<String>, record: String, why: String },
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
    /// The number is too small or too large for the column.
    Outside { value: String, column: String, min: Decimal, max: Decimal },
    /// The highest number behind the prefix is in use.
    Exhausted { prefix: String },
    /// The next number behind the prefix is not known: `record` may have it, and cannot be read.
    Uncounted { prefix: String, record: String, why: String },
    /// The column takes a day, and the value has a time of day besides; `day` is the one in UTC.
    Moment { value: String, day: NaiveDate, column: String },
    /// The column is a choice without that option.
    NoOption { value: String, column: String, known: Vec<String> },
}

impl Problem {
    /// Returns the record that would have to be read first, as people name it, where it is that.
    pub fn behind(&self) -> Option<&str> {
        match self {
            Problem::Illegible { record, .. } | Problem::Uncounted { record, .. } => Some(record),
            _ => None,
        }
    }
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
            Problem::Illegible { key: None, record, why, .. } => write!(f, "{record} cannot be read: {why}"),
            Problem::Illegible { table, key: Some(key), record, why } => {
                write!(f, "{table}:{key} may be {record}, which cannot be read: {why}")
            }
            Problem::NoValue(fault) => write!(f, "{fault}"),
            Problem::Awaited { table, key, reason } => write!(f, "{table}:{key} is not coupled yet: {reason}"),
            Problem::Unmapped { value, known } => {
                write!(f, "`{}` is not in `values`; known: {}", brief(value), list(known))
            }
            Problem::Kind { value, column, kind } => write!(f, "`{}` is no {kind}, as `{column}` needs", brief(value)),
            Problem::Long { value, column, characters, characters_max } => {
                write!(f, "`{}` has {characters} characters, `{column}` takes {characters_max}", brief(value))
            }
            Problem::Outside { value, column, min, max } => {
                write!(f, "`{value}` is not in the range of `{column}`, {} to {}", min.normalize(), max.normalize())
            }
            Problem::Moment { value, column, .. } => {
                write!(
                    f,
                    "`{value}` has a time of day, and `{column}` is a day; `CAST(… AS DATE)` takes the one in UTC"
                )
            }
            Problem::Exhausted { prefix } => write!(f, "no number behind `{prefix}` is free: the highest is in use"),
            Problem::Uncounted { prefix, record, why } => {
                write!(f, "the next number behind `{prefix}` may be that of {record}, which cannot be read: {why}")
            }
            Problem::NoOption { value, column, known } => {
                write!(f, "`{column}` has no option `{}`; known: {}", brief(value), list(known))
            }
        }
    }
}

/// Returns as much of a text as so many UTF-16 units hold, cut between two characters as people see them, and without the
/// blanks that the cut leaves at the end. `None` where that is nothing.
pub(super) fn cut(text: &str, units_max: usize) -> Option<String> {
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

/// Turns a value into what `target`, a column of `side`, takes, or says why it takes it not at all: nothing is damaged in
/// silence (I9).
pub fn convert(value: Value, side: Side, target: &ColumnInfo) -> Result<Value, Problem> {
    let kind = target.column.kind;
    let blanks = |text: &str| !matches!(kind, Kind::Text | Kind::Code | Kind::Enum) && text.trim().is_empty();
    if value.is_blank() || is_typed_blank(&value) || matches!(&value, Value::Text(text) if blanks(text)) {
        return Ok(Value::Null);
    }
    let value = match kind {
        Kind::Text | Kind::Code => text(&value, side, target),
        Kind::Enum => member(&value, target),
        Kind::Choice => option(&value, target),
        Kind::Choices => options(&value, target),
        Kind::Integer => integer(value, target),
        Kind::Decimal { scale } => decimal(&value, scale, target),
        Kind::Boolean => boolean(value, target),
        Kind::Date => day(value, target),
        Kind::DateTime => moment(&value, side, target),
        Kind::Guid => id(value, target),
    }?;
    check_range(&value, target)?;
    match &value {
        // A text may have spelled a blank, too.
        blank if is_typed_blank(blank) => Ok(Value::Null),
        // Years have four digits on both wires.
        Value::Date(date) if date.year() > 9999 => Err(wrong(&value, target)),
        Value::DateTime(time) if time.year() > 9999 => Err(wrong(&value, target)),
        _ => Ok(value),
    }
}

fn wrong(value: &Value, target: &ColumnInfo) -> Problem {
    let column = &target.column;
    Problem::Kind { value: value.to_string(), column: column.name.clone(), kind: column.kind.word() }
}

fn text(value: &Value, side: Side, target: &ColumnInfo) -> Result<Value, Problem> {
    let text = match value {
        Value::Text(text) => written_text(text, side),
        other => other.to_string(),
    };
    // Both services count UTF-16 units, as their databases do.
    let characters = text.encode_utf16().count();
    match target.length_max {
        Some(characters_max) if characters > characters_max => {
            Err(Problem::Long { value: text, column: target.column.name.clone(), characters, characters_max })
        }
        _ if text.is_empty() => Ok(Value::Null),
        _ => Ok(Value::Text(text)),
    }
}

/// Finds a member of an enum by its name; one without members in the metadata takes any.
fn member(value: &Value, target: &ColumnInfo) -> Result<Value, Problem> {
    let text = value.to_string();
    if target.options.is_empty() || target.options.iter().any(|(_, label)| *label == text) {
        return Ok(Value::Text(text));
    }
    let known = target.options.iter().map(|(_, label)| label.clone()).collect();
    Err(Problem::NoOption { value: text, column: target.column.name.clone(), known })
}

/// Finds an option of a choice by its number; one without options in the metadata takes any.
fn option(value: &Value, target: &ColumnInfo) -> Result<Value, Problem> {
    let number = match value {
        Value::Integer(number) => Some(*number),
        Value::Decimal(number) if number.is_integer() => number.to_i64(),
        Value::Text(text) => text.trim().parse().ok(),
        Value::Boolean(flag) => Some(i64::from(*flag)),
        _ => None,
    };
    match number {
        Some(number) if has_option(target, number) => Ok(Value::Integer(number)),
        None if target.options.is_empty() => Err(wrong(value, target)),
        _ => Err(no_option(value.to_string(), target)),
    }
}

/// Finds the options of a choice of several.
fn options(value: &Value, target: &ColumnInfo) -> Result<Value, Problem> {
    let numbers = match value {
        Value::Integer(number) => Some(vec![*number]),
        Value::Decimal(number) if number.is_integer() => number.to_i64().map(|number| vec![number]),
        Value::Text(text) => choices(text),
        _ => None,
    };
    let numbers = numbers.ok_or_else(|| wrong(value, target))?;
    match numbers.iter().find(|number| !has_option(target, **number)) {
        Some(unknown) => Err(no_option(unknown.to_string(), target)),
        None => Ok(choices_text(&numbers)),
    }
}

fn has_option(target: &ColumnInfo, number: i64) -> bool {
    target.options.is_empty() || target.options.iter().any(|(option, _)| *option == number)
}

fn no_option(value: String, target: &ColumnInfo) -> Problem {
    let shown = |(option, label): &(i64, String)| format!("{option} {label}").trim_end().to_owned();
    let known = target.options.iter().map(shown).collect();
    Problem::NoOption { value, column: target.column.name.clone(), known }
}

/// Reads a text as a value of the column's kind.
fn parsed(text: &str, value: &Value, target: &ColumnInfo) -> Result<Value, Problem> {
    target.column.kind.parse(text).ok_or_else(|| wrong(value, target))
}

fn integer(value: Value, target: &ColumnInfo) -> Result<Value, Problem> {
    match &value {
        Value::Integer(_) => Ok(value),
        Value::Decimal(number) if number.is_integer() => {
            number.to_i64().map(Value::Integer).ok_or_else(|| wrong(&value, target))
        }
        Value::Text(text) => parsed(text, &value, target),
        Value::Boolean(flag) => Ok(Value::Integer(i64::from(*flag))),
        _ => Err(wrong(&value, target)),
    }
}

fn decimal(value: &Value, scale: u32, target: &ColumnInfo) -> Result<Value, Problem> {
    let number = match value {
        Value::Integer(number) => Decimal::from(*number),
        Value::Decimal(number) => *number,
        Value::Text(text) => match parsed(text, value, target)? {
            Value::Decimal(number) => number,
            _ => return Err(wrong(value, target)),
        },
        _ => return Err(wrong(value, target)),
    };
    Ok(Value::Decimal(number.round_dp_with_strategy(scale, RoundingStrategy::MidpointAwayFromZero)))
}

fn boolean(value: Value, target: &ColumnInfo) -> Result<Value, Problem> {
    match &value {
        Value::Boolean(_) => Ok(value),
        Value::Integer(0) => Ok(Value::Boolean(false)),
        Value::Integer(1) => Ok(Value::Boolean(true)),
        Value::Text(text) => parsed(text, &value, target),
        _ => Err(wrong(&value, target)),
    }
}

fn day(value: Value, target: &ColumnInfo) -> Result<Value, Problem> {
    match &value {
        Value::Date(_) => Ok(value),
        // Which day that is depends on where one is, so nobody decides it unasked.
        Value::DateTime(time) if time.time() != NaiveTime::MIN => {
            let column = target.column.name.clone();
            Err(Problem::Moment { value: value.to_string(), day: time.date_naive(), column })
        }
        Value::DateTime(time) => Ok(Value::Date(time.date_naive())),
        Value::Text(text) => parsed(text, &value, target),
        _ => Err(wrong(&value, target)),
    }
}

fn moment(value: &Value, side: Side, target: &ColumnInfo) -> Result<Value, Problem> {
    let time = match value {
        Value::DateTime(time) => *time,
        Value::Date(date) => date.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc(),
        Value::Text(text) => match parsed(text, value, target)? {
            Value::DateTime(time) => time,
            _ => return Err(wrong(value, target)),
        },
        _ => return Err(wrong(value, target)),
    };
    // The CRM keeps whole seconds.
    let time = if side == Side::Crm { time.with_nanosecond(0).unwrap_or(time) } else { time };
    Ok(Value::DateTime(time))
}

fn id(value: Value, target: &ColumnInfo) -> Result<Value, Problem> {
    match &value {
        Value::Guid(_) | Value::Link { .. } => Ok(value),
        Value::Text(text) => parsed(text, &value, target),
        _ => Err(wrong(&value, target)),
    }
}

/// Refuses a number that is too small or too large for the column.
fn check_range(value: &Value, target: &ColumnInfo) -> Result<(), Problem> {
    let number = match value {
        Value::Integer(number) => Decimal::from(*number),
        Value::Decimal(number) => *number,
        _ => return Ok(()),
    };
    match target.range {
        Some((min, max)) if number < min || number > max => {
            Err(Problem::Outside { value: value.to_string(), column: target.column.name.clone(), min, max })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(kind: Kind) -> ColumnInfo {
        ColumnInfo::plain("c", kind)
    }

    #[test]
    fn a_number_is_within_its_bounds_after_it_was_rounded() {
        let bounds = Some((Decimal::ZERO, Decimal::new(1000, 1)));
        let column = |kind| ColumnInfo { range: bounds, ..info(kind) };
        let two = column(Kind::Decimal { scale: 2 });
        let text = |text: &str| convert(Value::Text(text.to_owned()), Side::Crm, &two);
        assert_eq!(text("100.004"), Ok(Value::Decimal(Decimal::new(10_000, 2))));
        assert_eq!(convert(Value::Integer(100), Side::Crm, &column(Kind::Integer)), Ok(Value::Integer(100)));
        assert_eq!(convert(Value::Null, Side::Crm, &two), Ok(Value::Null));
        let problem = |problem: Result<Value, Problem>| problem.unwrap_err().to_string();
        assert_eq!(problem(text("100.005")), "`100.01` is not in the range of `c`, 0 to 100");
        assert_eq!(problem(text("-1")), "`-1` is not in the range of `c`, 0 to 100");
        let number = convert(Value::Integer(101), Side::Crm, &column(Kind::Integer));
        assert_eq!(problem(number), "`101` is not in the range of `c`, 0 to 100");
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn values_become_what_the_column_takes() {
        let mut short = info(Kind::Text);
        short.length_max = Some(3);
        let mut choice = info(Kind::Choice);
        choice.options = vec![(1, "Net 30".into()), (3, "Customer".into())];
        let time = Kind::DateTime.parse("2026-01-31T22:10:05.123Z").unwrap();
        let midnight = Kind::DateTime.parse("2026-01-31T00:00:00Z").unwrap();
        let refused =
            "`2026-01-31T22:10:05.123Z` has a time of day, and `c` is a day; `CAST(… AS DATE)` takes the one in UTC";
        for (value, side, target, expected) in [
            (midnight, Side::Erp, &info(Kind::Date), Ok("2026-01-31")),
            (time.clone(), Side::Erp, &info(Kind::Date), Err(refused)),
            (text("abc"), Side::Crm, &short, Ok("abc")),
            (text("abc "), Side::Erp, &short, Ok("abc")),
            (text("Æøå"), Side::Erp, &short, Ok("Æøå")),
            (text("abcd"), Side::Crm, &short, Err("`abcd` has 4 characters, `c` takes 3")),
            (text("pcs "), Side::Erp, &info(Kind::Code), Ok("pcs")),
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
}
