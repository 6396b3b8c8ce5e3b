//! SQL in filters and field maps: text in, an [`Expression`] that can be evaluated over a frame out.
//!
//! The dialect is the one of polars SQL. An expression also offers the part of itself that a side might evaluate, as a
//! [`Predicate`]: always true where the whole is true, so that pushing it down never loses a record.

use polars::prelude::*;

/// A parsed SQL expression over one row.
#[derive(Debug, Clone)]
pub struct Expression {
    text: String,
    columns: Vec<String>,
    expr: Expr,
    predicate: Option<Predicate>,
}

/// A filter in the terms that both protocols share.
#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    All(Vec<Predicate>),
    Any(Vec<Predicate>),
    Compare { column: String, comparison: Comparison, literal: Literal },
    StartsWith { column: String, prefix: String },
    IsNull { column: String },
    IsNotNull { column: String },
}

/// How a column is compared to a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// A constant of a filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    Text(String),
    /// A number as it was written.
    Number(String),
    Boolean(bool),
}

impl Expression {
    /// Returns the SQL as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the columns that the expression reads, each once, in order of appearance.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Returns what of this filter a side might evaluate: true wherever the whole filter is true.
    pub fn predicate(&self) -> Option<&Predicate> {
        self.predicate.as_ref()
    }

    /// Evaluates the expression over all rows; a constant gives as many cells as there are rows.
    pub fn evaluate(&self, data: &DataFrame) -> PolarsResult<Series> {
        let ones = Series::new(PlSmallStr::from_static("#one"), vec![true; data.height()]);
        let mut data = data.clone();
        data.with_column(ones.into())?;
        let name = "#result";
        let result = data
            .lazy()
            .select([when(col("#one")).then(self.expr.clone()).otherwise(lit(NULL)).alias(name)])
            .collect()?;
        Ok(result.column(name)?.as_materialized_series().clone())
    }
}
