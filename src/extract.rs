//! A pass and two endpoints in, two frames out: what each side holds inside its filter.
//!
//! Both sides are read at once. The filter goes along as far as a side understands it and is evaluated again here, so
//! that pushing it down never changes the result. Before the first read, every column and expression of the file is
//! held against the metadata of its side.

use crate::config::expression::Expression;
use crate::config::{Direction, PerSide, Pipeline, Side, TableMap, TemplateValue};
use crate::endpoint::{Endpoint, EndpointError, Query, TableInfo};
use crate::frame::{Column, Frame, Kind};

use uuid::Uuid;

/// A column or an expression of the file that does not fit the metadata of its side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    pub table: String,
    /// `fields[3].crm`, `filter`, ….
    pub path: String,
    pub message: String,
    pub hint: String,
}

/// One table map together with what both sides say of their tables and the columns to read there.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Number of the table map in the pipeline.
    pub table: usize,
    pub infos: PerSide<TableInfo>,
    pub columns: PerSide<Vec<String>>,
}

impl Scope {
    /// Asks both sides for their metadata.
    pub fn describe(
        pipeline: &Pipeline,
        table: usize,
        endpoints: PerSide<&dyn Endpoint>,
    ) -> Result<Scope, EndpointError> {
        let map = &pipeline.tables[table];
        let erp = endpoints.erp.describe(&map.sides.erp.table)?;
        let crm = endpoints.crm.describe(&map.sides.crm.table)?;
        let infos = PerSide { erp, crm };
        let columns = PerSide::from_fn(|side| {
            let mut columns = pipeline.columns(table, side);
            let modified = infos.of(side).modified.as_ref();
            columns.extend(modified.filter(|modified| !columns.contains(modified)).cloned());
            columns
        });
        Ok(Scope { table, infos, columns })
    }

    /// Returns an empty frame of `side` with the columns that a pass reads.
    pub fn empty(&self, side: Side) -> Frame {
        let info = self.infos.of(side);
        let columns: Vec<Column> =
            self.columns.of(side).iter().filter_map(|name| info.column(name)).map(|info| info.column.clone()).collect();
        Frame::empty(columns)
    }
}

/// Holds a table map against the metadata of both sides; empty where everything fits.
pub fn misfits(map: &TableMap, scope: &Scope) -> Vec<Misfit> {
    let mut found = Vec::new();
    let mut complain = |path: String, message: String, hint: String| {
        found.push(Misfit { table: map.name.clone(), path, message, hint });
    };
    let unknown = |side: Side, column: &str| {
        let table = &map.sides.of(side).table;
        let known = scope.infos.of(side).columns.iter().map(|info| info.column.name.as_str());
        let hint = match nearest(column, known) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("see the metadata of `{table}`"),
        };
        (format!("the {} has no column `{column}` on `{table}`", side.name()), hint)
    };

    let mut missing = PerSide { erp: false, crm: false };
    for (number, field) in map.fields.iter().enumerate() {
        for side in Side::BOTH {
            let Some(name) = field.column(side) else { continue };
            let path = format!("fields[{number}].{}", side.key());
            let Some(info) = scope.infos.of(side).column(name) else {
                let (message, hint) = unknown(side, name);
                complain(path, message, hint);
                *missing.of_mut(side) = true;
                continue;
            };
            if !info.readable {
                complain(path.clone(), format!("`{name}` cannot be read"), "leave the field out".into());
            }
            if field.writes(side) && !info.insertable && !info.updatable {
                let other = if side == Side::Crm { Direction::ToErp } else { Direction::ToCrm };
                let hint = format!("`direction: {}`, or leave the field out", other.key());
                complain(path.clone(), format!("`{name}` cannot be written"), hint);
            }
            let needs_reference = info.column.kind == Kind::Guid && !info.targets.is_empty();
            if needs_reference && field.writes(side) && field.reference.is_none() {
                let hint = "say which table map translates it: `ref: { table: …, erp: … }`".to_owned();
                complain(path, format!("`{name}` refers to another table"), hint);
            }
        }
    }
    for side in Side::BOTH {
        for name in scope.columns.of(side) {
            let mapped = map.fields.iter().any(|field| field.column(side) == Some(name));
            if !mapped && !scope.infos.of(side).column(name).is_some_and(|info| info.readable) {
                let (message, hint) = unknown(side, name);
                complain(format!("{}.{name}", side.key()), message, hint);
                *missing.of_mut(side) = true;
            }
        }
    }
    for (number, template) in map.on_create.iter().enumerate() {
        for (column, _) in &template.set {
            let path = format!("on_create[{number}].set.{column}");
            match scope.infos.of(template.side).column(column) {
                None => {
                    let (message, hint) = unknown(template.side, column);
                    complain(path, message, hint);
                }
                Some(info) if !info.insertable => {
                    complain(path, format!("`{column}` cannot be set in a new record"), "leave it out".into());
                }
                Some(_) => {}
            }
        }
    }

    // An expression is tried on a frame without rows: a comparison of a text with a number shows here, not at night.
    let mut tries: Vec<(String, Side, &Expression, bool)> = Vec::new();
    for side in Side::BOTH {
        if let Some(filter) = &map.sides.of(side).filter {
            tries.push((format!("{}.filter", side.key()), side, filter, true));
        }
    }
    for (number, field) in map.fields.iter().enumerate() {
        for side in Side::BOTH {
            if let Some(expression) = field.expression_to(side) {
                tries.push((format!("fields[{number}].to_{}", side.key()), side.other(), expression, false));
            }
        }
    }
    for (number, template) in map.on_create.iter().enumerate() {
        let source = template.side.other();
        if let Some(condition) = &template.condition {
            tries.push((format!("on_create[{number}].if"), source, condition, true));
        }
        for (column, value) in &template.set {
            if let TemplateValue::Expression(expression) = value {
                tries.push((format!("on_create[{number}].set.{column}"), source, expression, false));
            }
        }
    }
    for (path, side, expression, condition) in tries {
        if *missing.of(side) {
            continue;
        }
        let frame = scope.empty(side);
        let result =
            if condition { frame.rows_where(expression).map(|_| ()) } else { frame.evaluate(expression).map(|_| ()) };
        if let Err(error) = result {
            let message = format!("`{}` cannot be evaluated: {error}", expression.text());
            complain(path, message, "see which columns are texts and which are numbers".into());
        }
    }
    found
}

fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(word.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Reads both sides of a table map, each inside its filter, at the same time.
///
/// `progress` hears the rows of a side so far.
pub fn read(
    map: &TableMap,
    scope: &Scope,
    endpoints: PerSide<&dyn Endpoint>,
    progress: &(dyn Fn(Side, usize) + Sync),
) -> Result<PerSide<Frame>, EndpointError> {
    let one = |side: Side| read_side(map, scope, side, *endpoints.of(side), &|rows| progress(side, rows));
    let (erp, crm) = std::thread::scope(|threads| {
        let erp = threads.spawn(|| one(Side::Erp));
        let crm = one(Side::Crm);
        (erp.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), crm)
    });
    Ok(PerSide { erp: erp?, crm: crm? })
}

/// Reads one side of a table map inside its filter.
pub fn read_side(
    map: &TableMap,
    scope: &Scope,
    side: Side,
    endpoint: &dyn Endpoint,
    progress: &dyn Fn(usize),
) -> Result<Frame, EndpointError> {
    let query = Query {
        info: scope.infos.of(side),
        columns: scope.columns.of(side).clone(),
        filter: map.sides.of(side).filter.as_ref().and_then(|filter| filter.predicate().cloned()),
        ids: None,
    };
    inside(map, side, endpoint.read(&query, progress)?)
}

/// Keeps the rows for which the side's filter holds.
pub fn inside(map: &TableMap, side: Side, frame: Frame) -> Result<Frame, EndpointError> {
    let Some(filter) = &map.sides.of(side).filter else { return Ok(frame) };
    let rows = frame.rows_where(filter).map_err(|error| EndpointError::Untrusted {
        side,
        message: format!("the filter `{}` cannot be evaluated over what came: {error}", filter.text()),
    })?;
    if rows.len() == frame.rows() { Ok(frame) } else { Ok(frame.take(&rows)) }
}

/// Reads records by id, whether inside the filter or not; those that do not exist are missing.
pub fn read_ids(scope: &Scope, side: Side, endpoint: &dyn Endpoint, ids: Vec<Uuid>) -> Result<Frame, EndpointError> {
    if ids.is_empty() {
        return Ok(scope.empty(side));
    }
    let query =
        Query { info: scope.infos.of(side), columns: scope.columns.of(side).clone(), filter: None, ids: Some(ids) };
    endpoint.read(&query, &|_| {})
}

/// Reads a side without its filter, so that a record outside of it is not created a second time.
pub fn read_all(scope: &Scope, side: Side, endpoint: &dyn Endpoint) -> Result<Frame, EndpointError> {
    let query = Query { info: scope.infos.of(side), columns: scope.columns.of(side).clone(), filter: None, ids: None };
    endpoint.read(&query, &|_| {})
}
