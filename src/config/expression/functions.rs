//! The functions that we add to the SQL of polars: what each takes and gives, and how a call is put into an expression.
//!
//! In goes a call of a syntax tree, out comes a polars expression. The first argument of each function is a
//! value of the row; the others are constants, so that a wrong pattern is found when the file is read. NULL gives NULL.
//! A value that a function cannot use is an error of its record; the kin whose names begin with `try_` give NULL
//! instead. What a rule of the built-in system is called here stands in docs/transformations.md.

mod number;
mod pattern;
mod text;

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use polars::prelude::*;
use sqlparser::ast::{self, UnaryOperator, Value, ValueWithSpan};

use crate::config::expression::making::Way;
use crate::config::expression::reading::arguments;
use crate::config::expression::sound::STRICT;
use crate::config::expression::{ExpressionError, ours};
use number::SCALE;
use pattern::Pattern;

/// The functions by name, each with how it is written.
const FUNCTIONS: [(&str, &str); 16] = [
    ("format_date", "format_date(date, 'dd.MM.yyyy')"),
    ("from_unix", "from_unix(seconds)"),
    ("initcap", "initcap(text)"),
    ("parse_date", "parse_date(text, 'dd.MM.yyyy')"),
    ("parse_datetime", "parse_datetime(text, 'dd.MM.yyyy HH:mm')"),
    ("parse_decimal", "parse_decimal(text, ',')"),
    ("regexp_match", "regexp_match(text, 'pattern')` or `regexp_match(text, 'pattern', 'i')"),
    ("regexp_replace", "regexp_replace(text, 'pattern', 'by')` or `regexp_replace(text, 'pattern', 'by', 'i')"),
    ("round_to", "round_to(number, 0.05, '=')"),
    ("substring_after", "substring_after(text, 'mark')"),
    ("substring_before", "substring_before(text, 'mark')"),
    ("to_unix", "to_unix(date)"),
    ("try_from_unix", "try_from_unix(seconds)"),
    ("try_parse_date", "try_parse_date(text, 'dd.MM.yyyy')"),
    ("try_parse_datetime", "try_parse_datetime(text, 'dd.MM.yyyy HH:mm')"),
    ("try_parse_decimal", "try_parse_decimal(text, ',')"),
];

/// Returns the names of the functions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, _)| *name)
}

/// What a function takes as its first argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Text,
    Number,
    Moment,
}

/// One value of a row.
enum Input<'a> {
    Text(&'a str),
    /// A number in its own digits.
    Number(String),
    Moment(NaiveDateTime),
}

/// What a function gives for one row.
enum Output {
    Text(String),
    Date(NaiveDate),
    Moment(NaiveDateTime),
    /// In units of the last of [`SCALE`] digits.
    Decimal(i128),
    Integer(i64),
}

/// The kind of all values that a function gives.
#[derive(Debug, Clone, Copy)]
enum Gives {
    Text,
    Date,
    Moment,
    Decimal,
    Integer,
}

type Work = dyn Fn(Input<'_>) -> Result<Option<Output>, String> + Send + Sync;

/// A call with its constants read.
#[derive(Clone)]
pub(super) struct Call {
    name: &'static str,
    takes: Takes,
    gives: Gives,
    /// Gives NULL where the work fails.
    lenient: bool,
    work: Arc<Work>,
}

/// A constant argument.
enum Constant<'a> {
    Text(&'a str),
    Number(String),
}

/// Reads a call of one of our functions; `None` where the function is another one.
pub(super) fn read(function: &ast::Function) -> Option<Result<Call, ExpressionError>> {
    let written = function.name.to_string().to_lowercase();
    let (name, usage) = *FUNCTIONS.iter().find(|(name, _)| *name == written)?;
    let hint = Some(format!("it is written `{usage}`"));
    let wrong = |message: String| ExpressionError { message: format!("`{name}`: {message}"), hint: hint.clone() };
    let arguments = arguments(function);
    let constants: Option<Vec<Constant<'_>>> =
        arguments.iter().skip(1).map(|argument| argument.and_then(constant)).collect();
    let Some(constants) = constants else {
        return Some(Err(wrong("only the first argument may differ from row to row".into())));
    };
    if arguments.first().is_none_or(Option::is_none) {
        return Some(Err(wrong("the value is missing".into())));
    }
    Some(call(name, &constants).map_err(wrong))
}

fn constant(expr: &ast::Expr) -> Option<Constant<'_>> {
    match expr {
        ast::Expr::Nested(inner) => constant(inner),
        ast::Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => Some(Constant::Text(text)),
        ast::Expr::Value(ValueWithSpan { value: Value::Number(number, _), .. }) => {
            Some(Constant::Number(number.clone()))
        }
        ast::Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match constant(expr)? {
            Constant::Number(number) => Some(Constant::Number(format!("-{number}"))),
            Constant::Text(_) => None,
        },
        _ => None,
    }
}

fn call(name: &'static str, constants: &[Constant<'_>]) -> Result<Call, String> {
    use Constant::{Number, Text};
    let lenient = name.starts_with("try_");
    let made = |takes: Takes, gives: Gives, work: Arc<Work>| Ok(Call { name, takes, gives, lenient, work });
    let of_text = |work: Box<dyn Fn(&str) -> String + Send + Sync>| {
        made(Takes::Text, Gives::Text, Arc::new(move |input| Ok(Some(Output::Text(work(words(&input)))))))
    };
    match (name.trim_start_matches("try_"), constants) {
        ("initcap", []) => of_text(Box::new(text::initcap)),
        ("substring_after" | "substring_before", [Text("")]) => Err("the mark is empty".into()),
        ("substring_after", [Text(mark)]) => {
            let mark = (*mark).to_owned();
            of_text(Box::new(move |value| text::after(value, &mark).to_owned()))
        }
        ("substring_before", [Text(mark)]) => {
            let mark = (*mark).to_owned();
            of_text(Box::new(move |value| text::before(value, &mark).to_owned()))
        }
        ("regexp_replace", [Text(pattern), Text(by)]) => of_text(text::replace(pattern, by, "")?),
        ("regexp_replace", [Text(pattern), Text(by), Text(flags)]) => of_text(text::replace(pattern, by, flags)?),
        ("regexp_match", [Text(pattern)]) => of_text(text::matched(pattern, "")?),
        ("regexp_match", [Text(pattern), Text(flags)]) => of_text(text::matched(pattern, flags)?),
        ("parse_date" | "parse_datetime", [Text(written)]) => {
            let pattern = Pattern::read(written)?;
            pattern.names_a_day()?;
            let (written, is_date) = ((*written).to_owned(), name.ends_with("date"));
            let work: Arc<Work> = Arc::new(move |input| {
                let value = words(&input);
                if value.trim().is_empty() {
                    return Ok(None);
                }
                let kind = if is_date { "date" } else { "date and time" };
                let at = pattern.parse(value).ok_or_else(|| format!("`{value}` is no {kind} like `{written}`"))?;
                Ok(Some(if is_date { Output::Date(at.date()) } else { Output::Moment(at) }))
            });
            made(Takes::Text, if is_date { Gives::Date } else { Gives::Moment }, work)
        }
        ("format_date", [Text(pattern)]) => {
            let pattern = Pattern::read(pattern)?;
            let work: Arc<Work> = Arc::new(move |input| match input {
                Input::Moment(at) => Ok(Some(Output::Text(pattern.format(at)))),
                _ => Err("only a date has the parts of a date".into()),
            });
            made(Takes::Moment, Gives::Text, work)
        }
        ("parse_decimal", [Text(mark @ ("." | ","))]) => {
            let mark = if *mark == "," { ',' } else { '.' };
            let work: Arc<Work> = Arc::new(move |input| Ok(number::written(words(&input), mark)?.map(Output::Decimal)));
            made(Takes::Text, Gives::Decimal, work)
        }
        ("parse_decimal", [Text(_)]) => Err("the decimal mark is `'.'` or `','`".into()),
        ("round_to", [precision, Text(direction)]) => {
            let precision = match precision {
                Number(text) => text.as_str(),
                Text(text) => text,
            };
            let precision = number::plain(precision).ok().flatten().filter(|precision| *precision > 0);
            let precision = precision.ok_or("the precision is a number above 0")?;
            let direction = number::Direction::read(direction)
                .ok_or("the direction is `'='` (nearest), `'<'` (down) or `'>'` (up)")?;
            let work: Arc<Work> = Arc::new(move |input| {
                let Some(value) = number::plain(words(&input))? else { return Ok(None) };
                number::round(value, precision, direction).map(|value| Some(Output::Decimal(value)))
            });
            made(Takes::Number, Gives::Decimal, work)
        }
        ("from_unix", []) => {
            let work: Arc<Work> = Arc::new(|input| {
                let value = words(&input).trim().to_owned();
                if value.is_empty() {
                    return Ok(None);
                }
                let at = value.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
                let at = at.filter(|at| (1..=9999).contains(&chrono::Datelike::year(at)));
                let at = at.ok_or_else(|| format!("`{value}` is no number of seconds since 1970"))?;
                Ok(Some(Output::Moment(at.naive_utc())))
            });
            made(Takes::Number, Gives::Moment, work)
        }
        ("to_unix", []) => {
            let work: Arc<Work> = Arc::new(|input| match input {
                Input::Moment(at) => Ok(Some(Output::Integer(at.and_utc().timestamp()))),
                _ => Err("only a date has seconds since 1970".into()),
            });
            made(Takes::Moment, Gives::Integer, work)
        }
        _ => Err("takes other arguments".into()),
    }
}

/// Returns the text of a value that is no moment.
fn words<'a>(input: &'a Input<'_>) -> &'a str {
    match input {
        Input::Text(text) => text,
        Input::Number(digits) => digits,
        Input::Moment(_) => "",
    }
}

impl Call {
    /// Makes the expression of the call.
    pub(super) fn expr(self, subject: Expr, way: Way) -> Expr {
        // The others use whatever they are given.
        let fails = ["parse_", "from_unix", "round_to"].iter().any(|begin| self.name.starts_with(begin));
        if way == Way::Lenient && fails {
            return Call { lenient: true, ..self }.expr(subject, Way::Strict).alias(STRICT);
        }
        let checked = self.clone();
        subject.map(
            move |column| self.run(&column),
            move |_, field| {
                checked.check(field.dtype())?;
                Ok(Field::new(field.name().clone(), checked.gives.dtype()))
            },
        )
    }

    /// Refuses a column that the function does not take.
    fn check(&self, dtype: &DataType) -> PolarsResult<()> {
        let is_text = matches!(dtype, DataType::String | DataType::Null);
        let (fits, what) = match self.takes {
            Takes::Text => (is_text, "a text"),
            // Ids are 128 bits wide; all other whole numbers are numbers.
            Takes::Number => (is_text || (dtype.is_numeric() && *dtype != DataType::UInt128), "a number or its text"),
            Takes::Moment => {
                (matches!(dtype, DataType::Date | DataType::Datetime(..) | DataType::Null), "a date or a moment")
            }
        };
        if fits || dtype.is_unknown() {
            return Ok(());
        }
        Err(ours(format_args!("`{}` takes {what}, not {}", self.name, phrase(dtype))))
    }

    fn run(&self, column: &Column) -> PolarsResult<Column> {
        self.check(column.dtype())?;
        let series = column.as_materialized_series();
        let mut cells = Vec::with_capacity(series.len());
        for cell in series.iter() {
            let output = match input(&cell) {
                None => None,
                Some(input) => match (self.work)(input) {
                    Ok(output) => output,
                    Err(_) if self.lenient => None,
                    Err(message) => return Err(ours(message)),
                },
            };
            cells.push(output);
        }
        self.gives.column(series.name().clone(), cells)
    }
}

/// Says what a column is.
fn phrase(dtype: &DataType) -> &'static str {
    match dtype {
        DataType::String => "a text",
        DataType::Boolean => "a boolean",
        DataType::Date => "a date",
        DataType::Datetime(..) => "a date and time",
        // Ids are the only numbers of this width.
        DataType::UInt128 => "a GUID",
        dtype if dtype.is_integer() => "a whole number",
        dtype if dtype.is_numeric() => "a decimal",
        _ => "this",
    }
}

impl Gives {
    fn dtype(self) -> DataType {
        match self {
            Gives::Text => DataType::String,
            Gives::Date => DataType::Date,
            Gives::Moment => DataType::Datetime(TimeUnit::Milliseconds, None),
            Gives::Decimal => DataType::Decimal(38, SCALE as usize),
            Gives::Integer => DataType::Int64,
        }
    }

    fn column(self, name: PlSmallStr, cells: Vec<Option<Output>>) -> PolarsResult<Column> {
        let whole = |cell: Option<Output>| match cell {
            Some(Output::Integer(number)) => Some(number),
            Some(Output::Moment(at)) => Some(at.and_utc().timestamp_millis()),
            _ => None,
        };
        let cells = cells.into_iter();
        Ok(match self {
            Gives::Text => {
                let texts = cells.map(|cell| match cell {
                    Some(Output::Text(text)) => Some(text),
                    _ => None,
                });
                StringChunked::from_iter_options(name, texts).into_column()
            }
            Gives::Date => {
                let days = cells.map(|cell| match cell {
                    Some(Output::Date(date)) => {
                        i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
                    }
                    _ => None,
                });
                Int32Chunked::from_iter_options(name, days).into_date().into_column()
            }
            Gives::Moment => Int64Chunked::from_iter_options(name, cells.map(whole))
                .into_datetime(TimeUnit::Milliseconds, None)
                .into_column(),
            Gives::Decimal => {
                let units = cells.map(|cell| match cell {
                    Some(Output::Decimal(units)) => Some(units),
                    _ => None,
                });
                Int128Chunked::from_iter_options(name, units).into_decimal(38, SCALE as usize)?.into_column()
            }
            Gives::Integer => Int64Chunked::from_iter_options(name, cells.map(whole)).into_column(),
        })
    }
}

/// Reads a cell; `None` for NULL.
fn input<'a>(cell: &'a AnyValue<'a>) -> Option<Input<'a>> {
    Some(match cell {
        AnyValue::Null => return None,
        AnyValue::String(text) => Input::Text(text),
        AnyValue::StringOwned(text) => Input::Text(text.as_str()),
        AnyValue::Date(day) => {
            let date = NaiveDate::default().checked_add_signed(chrono::TimeDelta::days(i64::from(*day)))?;
            Input::Moment(date.and_hms_opt(0, 0, 0)?)
        }
        AnyValue::Datetime(at, unit, _) => Input::Moment(
            match unit {
                TimeUnit::Milliseconds => DateTime::from_timestamp_millis(*at)?,
                TimeUnit::Microseconds => DateTime::from_timestamp_micros(*at)?,
                TimeUnit::Nanoseconds => DateTime::from_timestamp_nanos(*at),
            }
            .naive_utc(),
        ),
        AnyValue::Decimal(units, _, scale) => Input::Number(number::digits(*units, *scale)),
        number => Input::Number(number.to_string()),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_function_stands_in_the_documentation() {
        let page = include_str!("../../../docs/transformations.md");
        let missing: Vec<&str> = super::names().filter(|name| !page.contains(&format!("`{name}"))).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
