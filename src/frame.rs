//! Records as typed columns, and single values.
//!
//! A [`Frame`] is a table of one side with stated column types: never inferred, decimals never floats. A [`Builder`]
//! takes cells as a wire gives them; a [`Frame`] gives columns to expressions and single [`Value`]s to whoever writes
//! or prints. What is equal on both sides is decided in [`crate::delta`], not here.

pub mod builder;
pub mod evaluated;
pub mod unreadable;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use polars::prelude::{AnyValue, DataFrame, IdxCa, IdxSize, PlSmallStr, Series, TimeUnit};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::frame::builder::Builder;
use crate::frame::unreadable::Unreadable;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Text,
    /// A text that its side upper-cases and trims.
    Code,
    /// A text out of a fixed list.
    Enum,
    Integer,
    /// An exact number with so many digits after the point.
    Decimal {
        scale: u32,
    },
    Boolean,
    Date,
    /// A moment in UTC, to the millisecond.
    DateTime,
    Guid,
    /// A number out of a fixed list.
    Choice,
    /// Several numbers out of a fixed list, as a text: ascending, each once, with commas between them.
    Choices,
}

/// A column's name and kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: Kind,
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Text(String),
    Integer(i64),
    Decimal(Decimal),
    Boolean(bool),
    Date(NaiveDate),
    /// To the millisecond.
    DateTime(DateTime<Utc>),
    Guid(Uuid),
    /// A reference to a record of a table (an entity set) of the same side.
    Link {
        table: String,
        id: Uuid,
    },
}

impl Value {
    /// Tells whether the value is what people call blank: null or an empty text.
    pub fn is_blank(&self) -> bool {
        match self {
            Value::Null => true,
            Value::Text(text) => text.is_empty(),
            _ => false,
        }
    }
}

/// The value as people read it; blank is the empty text.
impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Null => Ok(()),
            Value::Text(text) => f.write_str(text),
            Value::Integer(number) => write!(f, "{number}"),
            Value::Decimal(number) => write!(f, "{}", number.normalize()),
            Value::Boolean(value) => write!(f, "{value}"),
            Value::Date(date) => write!(f, "{date}"),
            Value::DateTime(time) => f.write_str(&time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
            Value::Guid(id) | Value::Link { id, .. } => write!(f, "{id}"),
        }
    }
}

/// A cell as a wire gives it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    Null,
    Text(&'a str),
    /// A number in its own digits, so that a decimal stays exact.
    Number(&'a str),
    Boolean(bool),
}

/// A cell that does not fit its column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{cell}` in column `{column}` is no {kind}")]
pub struct CellError {
    pub column: String,
    pub cell: String,
    pub kind: &'static str,
}

impl Kind {
    /// Returns the word by which a message names the kind.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Code => "code",
            Kind::Enum => "enum",
            Kind::Integer => "whole number",
            Kind::Decimal { .. } => "decimal",
            Kind::Boolean => "boolean",
            Kind::Date => "date",
            Kind::DateTime => "date and time",
            Kind::Guid => "GUID",
            Kind::Choice => "choice",
            Kind::Choices => "list of choices",
        }
    }

    /// Returns how a sentence says what a column is: `a decimal`.
    pub fn phrase(self) -> &'static str {
        match self {
            Kind::Text => "a text",
            Kind::Code => "a code",
            Kind::Enum => "an enum",
            Kind::Integer => "a whole number",
            Kind::Decimal { .. } => "a decimal",
            Kind::Boolean => "a boolean",
            Kind::Date => "a date",
            Kind::DateTime => "a date and time",
            Kind::Guid => "a GUID",
            Kind::Choice => "a choice",
            Kind::Choices => "a list of choices",
        }
    }

    /// Reads a value of this kind from its text; blank text is [`Value::Null`].
    ///
    /// `None` where the text is no such value.
    pub fn parse(self, text: &str) -> Option<Value> {
        if text.is_empty() {
            return Some(Value::Null);
        }
        match self {
            Kind::Text | Kind::Code | Kind::Enum => Some(Value::Text(text.to_owned())),
            Kind::Integer | Kind::Choice => parse_whole(text.trim()).map(Value::Integer),
            Kind::Choices => choices(text).map(|numbers| choices_text(&numbers)),
            Kind::Decimal { scale } => {
                parse_decimal(text.trim(), scale).and_then(|mantissa| decimal(mantissa, scale)).map(Value::Decimal)
            }
            Kind::Boolean => match text.trim() {
                "true" | "True" | "TRUE" | "1" => Some(Value::Boolean(true)),
                "false" | "False" | "FALSE" | "0" => Some(Value::Boolean(false)),
                _ => None,
            },
            Kind::Date => text.trim().parse().ok().map(Value::Date),
            Kind::DateTime => parse_time(text.trim()).and_then(time).map(Value::DateTime),
            Kind::Guid => Uuid::parse_str(text.trim()).ok().map(Value::Guid),
        }
    }
}

/// Reads several choices, ascending and each once; `None` where one of them is no number.
pub fn choices(text: &str) -> Option<Vec<i64>> {
    if text.trim().is_empty() {
        return Some(Vec::new());
    }
    let mut numbers: Vec<i64> = text.split(',').map(|number| number.trim().parse().ok()).collect::<Option<_>>()?;
    numbers.sort_unstable();
    numbers.dedup();
    Some(numbers)
}

/// Returns the value of a column that holds these choices.
pub fn choices_text(numbers: &[i64]) -> Value {
    match numbers {
        [] => Value::Null,
        numbers => Value::Text(numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(",")),
    }
}

/// The most digits after the point that a number can have here.
pub const SCALE_MAX: u32 = Decimal::MAX_SCALE;

/// Reads a decimal into a whole number of units of the last of `scale` digits; digits beyond are rounded half away
/// from zero. `None` where the text is no number or too large.
pub fn parse_decimal(text: &str, scale: u32) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], digits[at + 1..].parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    // Digits that are kept: those before the point, moved by the exponent, and `scale` after it.
    let keep = i64::try_from(whole.len()).ok()? + i64::from(exponent) + i64::from(scale);
    let mut mantissa: i128 = 0;
    let mut position: i64 = 0;
    let mut round_up = false;
    for byte in whole.bytes().chain(fraction.bytes()) {
        let digit = i128::from(byte - b'0');
        if position < keep {
            mantissa = mantissa.checked_mul(10)?.checked_add(digit)?;
        } else if position == keep {
            round_up = digit >= 5;
        }
        position += 1;
    }
    while position < keep {
        if mantissa == 0 {
            break;
        }
        mantissa = mantissa.checked_mul(10)?;
        position += 1;
    }
    if round_up {
        mantissa = mantissa.checked_add(1)?;
    }
    Some(if negative { -mantissa } else { mantissa })
}

/// Reads a whole number, however its side writes it: `3.0` and `1e2` are such (RFC 8259 §6 knows no types of numbers). `None`
/// where the text is none, or too large.
pub fn parse_whole(text: &str) -> Option<i64> {
    text.parse().ok().or_else(|| {
        let rounded = parse_decimal(text, 0)?;
        // What was rounded is the number itself where no other digit than 0 was left out.
        let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let kept = i64::try_from(whole.trim_start_matches(['-', '+']).len()).ok()? + exponent.parse::<i64>().ok()?;
        let all = || whole.trim_start_matches(['-', '+']).bytes().chain(fraction.bytes());
        let left_out = all().skip(usize::try_from(kept.max(0)).ok()?);
        left_out.into_iter().all(|digit| digit == b'0').then(|| i64::try_from(rounded).ok())?
    })
}

fn decimal(mantissa: i128, scale: u32) -> Option<Decimal> {
    Decimal::try_from_i128_with_scale(mantissa, scale).ok()
}

fn time(milliseconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(milliseconds)
}

/// Reads a date and time into milliseconds since 1970, UTC.
fn parse_time(text: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_millis());
    }
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f"))
        .ok()
        .map(|time| time.and_utc().timestamp_millis())
}

fn days(date: NaiveDate) -> i32 {
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).unwrap_or(i32::MAX)
}

/// Records of one table of one side.
#[derive(Debug, Clone)]
pub struct Frame {
    columns: Vec<Column>,
    data: DataFrame,
    /// Records that could not be read to the end: few, or the read has failed.
    unreadable: BTreeMap<Uuid, Unreadable>,
}

impl Frame {
    /// The column that holds each record's id.
    pub const ID: &'static str = "#id";
    /// The column that holds each record's version.
    pub const ETAG: &'static str = "#etag";

    /// Makes a frame without records.
    pub fn empty(columns: Vec<Column>) -> Frame {
        Builder::new(columns).finish()
    }

    /// Returns the number of records.
    pub fn rows(&self) -> usize {
        self.data.height()
    }

    /// Returns the columns besides id and etag.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Returns the column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Returns a column's cells.
    pub fn series(&self, name: &str) -> Option<&Series> {
        self.data.column(name).ok().map(|column| column.as_materialized_series())
    }

    /// Returns the records' ids in the order of the rows.
    pub fn ids(&self) -> Vec<Uuid> {
        let series = self.series(Frame::ID).expect("every frame has an id column");
        let ids = series.u128().expect("ids are 128 bits wide");
        ids.iter().map(|id| Uuid::from_u128(id.unwrap_or_default())).collect()
    }

    /// Returns the id of the record in `row`.
    pub fn id(&self, row: usize) -> Uuid {
        let series = self.series(Frame::ID).expect("every frame has an id column");
        let id = series.u128().expect("ids are 128 bits wide").get(row);
        Uuid::from_u128(id.unwrap_or_default())
    }

    /// Returns the version of the record in `row`, `None` where the side gave none.
    pub fn etag(&self, row: usize) -> Option<String> {
        let series = self.series(Frame::ETAG)?;
        series.str().ok()?.get(row).filter(|etag| !etag.is_empty()).map(str::to_owned)
    }

    /// Returns one value; [`Value::Null`] for a column that the frame does not have.
    pub fn value(&self, name: &str, row: usize) -> Value {
        match (self.column(name), self.series(name)) {
            (Some(column), Some(series)) => value_at(series, column.kind, row),
            _ => Value::Null,
        }
    }

    /// Returns the latest moment in a column that is not after `until`, where that is given; `None` where there is none. A
    /// day is the moment at which it begins.
    pub fn latest(&self, name: &str, until: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        let physical = self.series(name)?.to_physical_repr();
        let until_ms = until.map_or(i64::MAX, |until| until.timestamp_millis());
        // Moments are kept as milliseconds, and days as numbers of days.
        let latest_ms = match self.column(name)?.kind {
            Kind::DateTime => physical.i64().ok()?.iter().flatten().filter(|ms| *ms <= until_ms).max(),
            Kind::Date => {
                let days = physical.i32().ok()?;
                days.iter().flatten().map(|day| i64::from(day) * 86_400_000).filter(|ms| *ms <= until_ms).max()
            }
            _ => None,
        };
        latest_ms.and_then(time)
    }

    /// Returns the rows named, in that order.
    pub fn take(&self, rows: &[usize]) -> Frame {
        let indices: Vec<IdxSize> = rows.iter().map(|row| IdxSize::try_from(*row).expect("a row number")).collect();
        let indices = IdxCa::from_vec(PlSmallStr::EMPTY, indices);
        let data = self.data.take(&indices).expect("the rows are rows of this frame");
        let mut taken = Frame { columns: self.columns.clone(), data, unreadable: BTreeMap::new() };
        if !self.unreadable.is_empty() {
            let known = |id: Uuid| Some((id, self.unreadable(id)?.clone()));
            taken.unreadable = taken.ids().into_iter().filter_map(known).collect();
        }
        taken
    }

    /// Appends the rows of a frame with the same columns.
    pub fn append(&mut self, other: &Frame) {
        self.data.vstack_mut(&other.data).expect("frames of one query have the same columns");
        self.unreadable.extend(other.unreadable.iter().map(|(id, why)| (*id, why.clone())));
    }

    /// Joins all chunks into one, after the last [`append`](Self::append).
    pub fn settle(&mut self) {
        self.data.rechunk_mut();
    }

    /// Replaces the rows whose ids `newer` holds and appends those that are new.
    pub fn upsert(&mut self, newer: &Frame) {
        if newer.rows() == 0 {
            return;
        }
        let replaced: HashMap<Uuid, ()> = newer.ids().into_iter().map(|id| (id, ())).collect();
        let kept: Vec<usize> =
            self.ids().iter().enumerate().filter(|(_, id)| !replaced.contains_key(id)).map(|(row, _)| row).collect();
        if kept.len() < self.rows() {
            *self = self.take(&kept);
        }
        self.append(newer);
        self.settle();
    }
}

/// Returns the value of a column of `kind` in `row`.
pub fn value_at(series: &Series, kind: Kind, row: usize) -> Value {
    let Ok(cell) = series.get(row) else { return Value::Null };
    match (kind, cell) {
        (_, AnyValue::Null) => Value::Null,
        (Kind::Guid, AnyValue::UInt128(id)) => Value::Guid(Uuid::from_u128(id)),
        // A builder takes nothing that would not come back.
        (_, cell) => any_value(cell).unwrap_or(Value::Null),
    }
}

/// Returns a cell as a value, by the type that it has; `None` for a number that is infinite, none, or too large.
fn any_value(cell: AnyValue<'_>) -> Option<Value> {
    Some(match cell {
        AnyValue::Null => Value::Null,
        AnyValue::String(text) => Value::Text(text.to_owned()),
        AnyValue::StringOwned(text) => Value::Text(text.to_string()),
        AnyValue::Boolean(value) => Value::Boolean(value),
        AnyValue::Date(day) => {
            Value::Date(NaiveDate::default().checked_add_signed(chrono::TimeDelta::days(i64::from(day)))?)
        }
        AnyValue::Datetime(at, unit, _) => {
            let milliseconds = match unit {
                TimeUnit::Milliseconds => at,
                TimeUnit::Microseconds => at.div_euclid(1_000),
                TimeUnit::Nanoseconds => at.div_euclid(1_000_000),
            };
            Value::DateTime(time(milliseconds)?)
        }
        AnyValue::Decimal(mantissa, _, scale) => Value::Decimal(decimal(mantissa, u32::try_from(scale).ok()?)?),
        AnyValue::UInt128(id) => Value::Guid(Uuid::from_u128(id)),
        AnyValue::Float32(number) => float(f64::from(number))?,
        AnyValue::Float64(number) => float(number)?,
        other => other.extract::<i64>().map_or_else(|| Value::Text(other.to_string()), Value::Integer),
    })
}

/// An expression may compute with floating point; its result becomes a decimal at once, by its shortest digits.
fn float(number: f64) -> Option<Value> {
    number.to_string().parse().ok().map(Value::Decimal)
}

/// Characters of a value that people are shown.
const SHOWN_CHARS_MAX: usize = 200;

/// Returns a text as people are shown it, in messages and reports: the beginning of a long one, and how much more there is.
pub fn brief(text: &str) -> Cow<'_, str> {
    let Some((end, _)) = text.char_indices().nth(SHOWN_CHARS_MAX) else { return Cow::Borrowed(text) };
    Cow::Owned(format!("{}… ({} more characters)", &text[..end], text[end..].chars().count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_exactly() {
        for (text, scale, expected) in [
            ("0", 4, Some(0)),
            ("20000.0000", 4, Some(200_000_000)),
            ("-1.005", 2, Some(-101)),
            ("1.005", 2, Some(101)),
            ("1.0049", 2, Some(100)),
            (".5", 0, Some(1)),
            ("1e3", 2, Some(100_000)),
            ("12.5E-1", 2, Some(125)),
            ("123456789012345678.1234", 4, Some(1_234_567_890_123_456_781_234)),
            ("", 4, None),
            (".", 4, None),
            ("1,5", 4, None),
            ("abc", 4, None),
        ] {
            assert_eq!(parse_decimal(text, scale), expected, "{text} with {scale} digits");
        }
    }

    /// Numbers of JSON have no types: some services write each with a point.
    #[test]
    fn whole_numbers_are_read_however_they_are_written() {
        for (text, expected) in [
            ("3", Some(3)),
            ("3.0", Some(3)),
            ("-3.000", Some(-3)),
            ("1e2", Some(100)),
            ("1.5e1", Some(15)),
            ("1E+2", Some(100)),
            ("300e-2", Some(3)),
            ("0.0", Some(0)),
            ("0e9", Some(0)),
            ("9223372036854775807.0", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("3.5", None),
            ("0.4", None),
            ("1e-1", None),
            ("25e-2", None),
            ("9223372036854775808", None),
            ("9223372036854775808.0", None),
            ("1e400", None),
            ("1e9999999999", None),
            ("", None),
            (".", None),
            ("e1", None),
            ("3,0", None),
            ("x", None),
        ] {
            assert_eq!(parse_whole(text), expected, "{text}");
        }
    }

    #[test]
    fn a_record_that_could_not_be_read_stays_what_it_is_wherever_its_row_goes() {
        let columns = vec![Column { name: "n".into(), kind: Kind::Integer }];
        let why = Unreadable { columns: vec!["n".into()], why: "column `n` holds `x`".into() };
        let frame = |rows: &[(u128, Option<&str>)]| {
            let mut builder = Builder::new(columns.clone());
            for (id, cell) in rows {
                match cell {
                    Some(cell) => {
                        builder.push(0, Cell::Number(cell)).unwrap();
                        builder.end(Uuid::from_u128(*id), "");
                    }
                    None => builder.end_unreadable(Uuid::from_u128(*id), "", why.clone()),
                }
            }
            builder.finish()
        };
        let unreadable = |frame: &Frame| frame.unreadables().keys().map(Uuid::as_u128).collect::<Vec<_>>();
        let mut all = frame(&[(1, Some("10")), (2, None), (3, Some("30"))]);
        assert_eq!((unreadable(&all), all.value("n", 1)), (vec![2], Value::Null));
        assert!(all.lacks("n", 1) && !all.lacks("n", 0) && !all.lacks("m", 1));
        assert_eq!(all.readable().ids(), [1, 3].map(Uuid::from_u128));
        assert_eq!(unreadable(&all.take(&[2, 1])), [2]);
        assert!(all.take(&[0, 2]).unreadables().is_empty());
        all.append(&frame(&[(4, None)]));
        assert_eq!(unreadable(&all), [2, 4]);
        all.upsert(&frame(&[(2, Some("20")), (3, None)]));
        assert_eq!(unreadable(&all), [3, 4]);
    }

    #[test]
    fn cells_come_back_as_they_went_in() {
        let kinds = [
            ("text", Kind::Text, Cell::Text("a"), Value::Text("a".into())),
            ("number", Kind::Integer, Cell::Number("-7"), Value::Integer(-7)),
            ("decimal", Kind::Decimal { scale: 4 }, Cell::Number("1.5"), Value::Decimal(Decimal::new(15, 1))),
            ("flag", Kind::Boolean, Cell::Boolean(true), Value::Boolean(true)),
            ("day", Kind::Date, Cell::Text("2026-01-31"), Value::Date(NaiveDate::from_ymd_opt(2026, 1, 31).unwrap())),
            (
                "moment",
                Kind::DateTime,
                Cell::Text("2026-01-31T22:10:05.123Z"),
                Value::DateTime(DateTime::from_timestamp_millis(1_769_897_405_123).unwrap()),
            ),
            (
                "guid",
                Kind::Guid,
                Cell::Text("A0000000-0000-4000-8000-000000000001"),
                Value::Guid(Uuid::from_u128(0xa000_0000_0000_4000_8000_0000_0000_0001)),
            ),
        ];
        let columns = kinds.iter().map(|(name, kind, ..)| Column { name: (*name).to_owned(), kind: *kind }).collect();
        let mut builder = Builder::new(columns);
        for (index, (_, _, cell, _)) in kinds.iter().enumerate() {
            builder.push(index, *cell).unwrap();
        }
        builder.end(Uuid::from_u128(1), "W/\"1\"");
        builder.end(Uuid::from_u128(2), "");
        let frame = builder.finish();
        for (name, _, _, value) in &kinds {
            assert_eq!(&frame.value(name, 0), value, "{name}");
            assert_eq!(frame.value(name, 1), Value::Null, "{name}");
        }
        assert_eq!(frame.ids(), [Uuid::from_u128(1), Uuid::from_u128(2)]);
        assert_eq!((frame.etag(0).as_deref(), frame.etag(1)), (Some("W/\"1\""), None));
    }

    #[test]
    fn a_cell_that_does_not_fit_is_named() {
        let mut builder = Builder::new(vec![Column { name: "credit".into(), kind: Kind::Decimal { scale: 2 } }]);
        let error = builder.push(0, Cell::Text("12")).unwrap_err();
        assert_eq!(error.to_string(), "`12` in column `credit` is no decimal");
    }

    #[test]
    fn newer_rows_replace_older_ones() {
        let columns = vec![Column { name: "n".into(), kind: Kind::Integer }];
        let frame = |rows: &[(u128, &str)]| {
            let mut builder = Builder::new(columns.clone());
            for (id, cell) in rows {
                builder.push(0, Cell::Number(cell)).unwrap();
                builder.end(Uuid::from_u128(*id), "");
            }
            builder.finish()
        };
        let mut old = frame(&[(1, "10"), (2, "20")]);
        old.upsert(&frame(&[(3, "30"), (1, "11")]));
        let values: Vec<Value> = (0..old.rows()).map(|row| old.value("n", row)).collect();
        assert_eq!(old.ids(), [2, 3, 1].map(Uuid::from_u128));
        assert_eq!(values, [20, 30, 11].map(Value::Integer));
    }
}
