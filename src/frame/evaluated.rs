//! An expression evaluated over a frame: a value for each row, or a [`Fault`] that says which and why not.
//!
//! A row without a value stands alone; only an expression that does not fit the columns at all is an
//! [`EvaluationError`]. Neither repeats a word of the machinery below.

use std::collections::HashSet;

use polars::prelude::Series;

use crate::config::expression::{self, Computed, Expression};
use crate::frame::{Frame, Value, any_value};

/// How many columns a message names.
const COLUMNS_MAX: usize = 4;
/// How many characters of a value a message repeats.
const CHARACTERS_MAX: usize = 60;

/// An expression that does not fit the columns of a frame, whatever they hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {message}")]
pub struct EvaluationError {
    pub text: String,
    pub message: String,
}

/// Why an expression has no value for a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` has no value{place}{}", .reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
pub struct Fault {
    pub text: String,
    /// ` where a is `1` and b is blank`, or nothing.
    pub place: String,
    /// What the function says that failed, where it is one of ours.
    pub reason: Option<String>,
}

/// What an expression gives for the rows of a frame.
#[derive(Debug)]
pub struct Evaluated<'a> {
    expression: &'a Expression,
    frame: &'a Frame,
    series: Series,
    faults: HashSet<usize>,
}

impl Evaluated<'_> {
    /// Returns the value in `row`.
    pub fn value(&self, row: usize) -> Result<Value, Fault> {
        if self.faults.contains(&row) {
            return Err(self.frame.fault(self.expression, row));
        }
        let value = self.series.get(row).map_or(Some(Value::Null), any_value);
        value.ok_or_else(|| self.frame.fault(self.expression, row))
    }
}

/// What a filter says of the rows of a frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chosen {
    /// Rows for which it is true, in order.
    pub rows: Vec<usize>,
    /// Rows for which it is neither true nor anything else.
    pub faults: Vec<(usize, Fault)>,
}

impl Frame {
    /// Evaluates an expression over all rows.
    pub fn evaluate<'a>(&'a self, expression: &'a Expression) -> Result<Evaluated<'a>, EvaluationError> {
        let Computed { series, faults } = self.compute(expression)?;
        Ok(Evaluated { expression, frame: self, series, faults: faults.into_iter().collect() })
    }

    /// Returns the rows for which `filter` is true, and those for which it cannot be told.
    pub fn rows_where(&self, filter: &Expression) -> Result<Chosen, EvaluationError> {
        let Computed { series, faults } = self.compute(filter)?;
        // `NULL` is neither true nor false and has no type.
        let mask = match series.bool() {
            Ok(mask) => mask.clone(),
            Err(_) if series.null_count() == series.len() && series.dtype().is_null() => return Ok(Chosen::default()),
            Err(_) => {
                let message = "is neither true nor false".to_owned();
                return Err(EvaluationError { text: filter.written().to_owned(), message });
            }
        };
        let mut chosen = Chosen::default();
        let without: HashSet<usize> = faults.iter().copied().collect();
        let holds = mask.iter().enumerate().filter(|(_, holds)| *holds == Some(true)).map(|(row, _)| row);
        chosen.rows = holds.filter(|row| !without.contains(row)).collect();
        chosen.faults = faults.into_iter().map(|row| (row, self.fault(filter, row))).collect();
        Ok(chosen)
    }

    fn compute(&self, expression: &Expression) -> Result<Computed, EvaluationError> {
        expression.evaluate(&self.data).map_err(|error| {
            let filled_in = expression.written() != expression.text();
            let told = expression::told(&error).map(|told| match told.split_once("` is no ") {
                // What a variable gave is not repeated.
                Some((_, what)) if filled_in => format!("does not fit: `${{…}}` is no {what}"),
                _ => format!("does not fit: {told}"),
            });
            let known = |name: &String| match self.column(name) {
                Some(column) => format!("`{name}` is {}", column.kind.phrase()),
                None => format!("`{name}` is not there"),
            };
            let columns: Vec<String> = expression.columns().iter().map(known).collect();
            let message = told.unwrap_or_else(|| match columns.as_slice() {
                [] => "cannot be computed".to_owned(),
                columns => format!("does not fit its columns: {}", columns.join(", ")),
            });
            EvaluationError { text: expression.written().to_owned(), message }
        })
    }

    fn fault(&self, expression: &Expression, row: usize) -> Fault {
        let told = |name: &String| match self.value(name, row).to_string() {
            blank if blank.is_empty() => format!("{name} is blank"),
            long if long.chars().count() > CHARACTERS_MAX => {
                format!("{name} is `{}…`", long.chars().take(CHARACTERS_MAX).collect::<String>())
            }
            value => format!("{name} is `{value}`"),
        };
        let values: Vec<String> = expression.columns().iter().take(COLUMNS_MAX).map(told).collect();
        let place = if values.is_empty() { String::new() } else { format!(" where {}", values.join(" and ")) };
        let row = i64::try_from(row).expect("a row number");
        let reason = expression.reason(&self.data.slice(row, 1));
        Fault { text: expression.written().to_owned(), place, reason }
    }
}
