//! A pass and two endpoints in, two frames out: what each side holds inside its filter.
//!
//! Both sides are read at once. The filter goes along as far as a side understands it and is evaluated again here, so
//! that pushing it down never changes the result. Before the first read, every column and expression of the file is
//! held against the metadata of its side.

use crate::config::expression::Expression;
use crate::config::{Direction, FieldMap, Fit, OnConflict, PerSide, Pipeline, Side, TableMap, TemplateValue};
use crate::endpoint::{ColumnInfo, Endpoint, EndpointError, Query, TableInfo};
use crate::frame::{Column, Frame, Kind, Value};

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
    /// The column that tells when a record was last modified; it is among those read.
    pub modified: PerSide<Option<String>>,
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
        let modified = PerSide::from_fn(|side| {
            let named = map.sides.of(side).modified.clone();
            named.or_else(|| endpoints.of(side).modified_column(infos.of(side)))
        });
        // Every run reads it along: `newest` compares the times, and the watermark is the latest of them.
        let columns = PerSide::from_fn(|side| {
            let mut columns = pipeline.columns(table, side);
            columns.extend(modified.of(side).clone().filter(|modified| !columns.contains(modified)));
            columns
        });
        Ok(Scope { table, infos, columns, modified })
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
        if let Some(name) = &map.sides.of(side).modified {
            let path = format!("{}.modified", side.key());
            match scope.infos.of(side).column(name) {
                None => {
                    let (message, hint) = unknown(side, name);
                    complain(path, message, hint);
                }
                Some(info) if info.column.kind != Kind::DateTime => {
                    let message = format!("`{name}` is no date and time");
                    complain(path, message, "name the column that tells when a record was last modified".into());
                }
                Some(_) => {}
            }
        } else if scope.modified.of(side).is_none() && map.compares_times() {
            let table = &map.sides.of(side).table;
            let message = format!(
                "`newest` needs to know when a record of `{table}` was modified, and the {} does not say",
                side.name()
            );
            let hint = format!("name its column: `{}: {{ modified: … }}`, or write `hold`, `erp` or `crm`", side.key());
            let own = map.fields.iter().position(FieldMap::compares_times).unwrap_or_default();
            let path = match map.on_conflict {
                OnConflict::Newest => "on_conflict".to_owned(),
                _ => format!("fields[{own}].on_conflict"),
            };
            complain(path, message, hint);
        }
    }
    for side in Side::BOTH {
        for name in scope.columns.of(side) {
            let is_time = scope.modified.of(side).as_ref() == Some(name);
            let mapped = map.fields.iter().any(|field| field.column(side) == Some(name));
            if !mapped && !is_time && !scope.infos.of(side).column(name).is_some_and(|info| info.readable) {
                let (message, hint) = unknown(side, name);
                complain(format!("{}.{name}", side.key()), message, hint);
                *missing.of_mut(side) = true;
            }
        }
    }
    for (number, field) in map.fields.iter().enumerate().filter(|(_, field)| field.fit == Fit::Truncate) {
        let is_text = |side: &Side| {
            let info = field.column(*side).and_then(|column| scope.infos.of(*side).column(column));
            info.is_none_or(|info| matches!(info.column.kind, Kind::Text | Kind::Code))
        };
        if !Side::BOTH.iter().filter(|side| field.writes(**side)).any(is_text) {
            let message = format!("`{}` is no text that could be cut", field.name());
            complain(format!("fields[{number}].fit"), message, "remove it".into());
        }
    }
    for (number, field) in map.fields.iter().enumerate() {
        for side in Side::BOTH.into_iter().filter(|side| field.writes(*side)) {
            let Some(info) = field.column(side).and_then(|column| scope.infos.of(side).column(column)) else {
                continue;
            };
            for (erp, crm) in &field.values {
                let text = if side == Side::Erp { erp } else { crm };
                if let Some((message, hint)) = no_option(text, info) {
                    complain(format!("fields[{number}].values"), message, hint);
                }
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

/// Says why a text of `values` can never stand in a column; `None` where it can.
fn no_option(text: &str, info: &ColumnInfo) -> Option<(String, String)> {
    let (kind, name) = (info.column.kind, &info.column.name);
    let known = |words: Vec<String>| format!("it has {}", words.join(", "));
    match (kind.parse(text), kind) {
        _ if text.is_empty() || matches!(kind, Kind::Text | Kind::Code) => None,
        (None, _) => Some((format!("`{text}` is no {}, as `{name}` needs", kind.word()), "correct it".into())),
        (Some(value), _) if value.to_string() != text && kind != Kind::Enum => {
            Some((format!("`{name}` holds `{value}`, which is not `{text}`"), format!("write `{value}`")))
        }
        (Some(Value::Integer(number)), Kind::Choice)
            if !info.options.is_empty() && !info.options.iter().any(|(option, _)| *option == number) =>
        {
            let options = info.options.iter().map(|(option, label)| format!("`{option}` {label}")).collect();
            Some((format!("`{name}` has no option `{text}`"), known(options)))
        }
        (_, Kind::Enum) if !info.options.is_empty() && !info.options.iter().any(|(_, label)| label == text) => {
            let options = info.options.iter().map(|(_, label)| format!("`{label}`")).collect();
            Some((format!("`{name}` has no option `{text}`"), known(options)))
        }
        _ => None,
    }
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
