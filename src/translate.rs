//! A field's value in the other side's terms: expressions, value maps, references, types.
//!
//! Nothing here decides what is written; it only says what the value would be there, or why there is none.

pub mod canonical;
pub mod convert;
pub mod links;

#[cfg(test)]
mod equality;

use std::collections::HashMap;

use rust_decimal::Decimal;
use uuid::Uuid;

use crate::config::{FieldMap, Fit, Reference, Side};
use crate::endpoint::ColumnInfo;
use crate::frame::evaluated::{Evaluated, EvaluationError};
use crate::frame::{Frame, Kind, Value};
use crate::translate::canonical::{BLANK, column_fingerprints, fingerprint};
use crate::translate::convert::{Problem, convert, cut};
use crate::translate::links::Links;

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
            // Of a list each member is looked up, unless the list as a whole is in the map.
            None if self.is_list() && text.contains(',') => {
                let member = |member: &str| self.mapped(&Value::Text(member.trim().to_owned()));
                let members = text.split(',').map(member).collect::<Result<Vec<Value>, Problem>>()?;
                let members = members.iter().filter(|value| !value.is_blank()).map(Value::to_string);
                Ok(Value::Text(members.collect::<Vec<_>>().join(",")))
            }
            None => {
                let known = self.field.values.iter().map(|both| pair(both).0).collect();
                Err(Problem::Unmapped { value: text, known })
            }
        }
    }

    /// Tells whether the field leads to or comes from a column that holds several choices.
    fn is_list(&self) -> bool {
        let source = self.field.column(self.to.other()).and_then(|column| self.frame.column(column));
        self.target.column.kind == Kind::Choices || source.is_some_and(|source| source.kind == Kind::Choices)
    }

    /// Follows a reference; blank refers to nothing.
    fn linked(&self, reference: &Reference, value: &Value) -> Result<Value, Problem> {
        let unresolved = |key: String| {
            let table = reference.table.clone();
            let from = self.to.other();
            if let Some(reason) = self.links.awaited(reference, from, value) {
                return Problem::Awaited { table, key, reason: reason.to_owned() };
            }
            // Nothing fails or is cleared for a key that somebody only has to correct.
            match self.links.illegible(reference, from, value) {
                Some((record, why)) => {
                    let key = Some(key).filter(|_| from == Side::Erp);
                    Problem::Illegible { table, key, record, why: why.to_owned() }
                }
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
