//! A pass and two endpoints in, two frames out: what each side holds inside its filter.
//!
//! Both sides are read at once. The filter goes along as far as a side understands it and is evaluated again here, so
//! that pushing it down never changes the result.

use std::collections::{HashMap, HashSet};

use crate::config::{PerSide, Pipeline, Side, TableMap, When, columns};
use crate::endpoint::{Endpoint, EndpointError, Hidden, Key, Query, TableInfo};
use crate::frame::evaluated::{Chosen, Fault};
use crate::frame::unreadable::Unreadable;
use crate::frame::{Column, Frame, Kind};

use uuid::Uuid;

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

/// One side of a table map: what it says of its table, and what is read there.
#[derive(Debug, Clone)]
pub struct SideScope {
    pub info: TableInfo,
    pub columns: Vec<String>,
    /// As in [`Scope::modified`].
    pub modified: Option<String>,
}

impl SideScope {
    /// Asks a side for its metadata.
    pub fn describe(tables: &[TableMap], table: usize, endpoint: &dyn Endpoint) -> Result<SideScope, EndpointError> {
        let named = tables[table].sides.of(endpoint.line().side());
        let info = endpoint.describe(&named.table)?;
        let modified = named.modified.clone().or_else(|| endpoint.modified_column(&info));
        // Every run reads it along: `newest` compares the times, and the watermark is the latest of them.
        let mut columns = columns::of(tables, table, endpoint.line().side());
        columns.extend(modified.clone().filter(|modified| !columns.contains(modified)));
        Ok(SideScope { info, columns, modified })
    }

    /// Returns an empty frame with the columns that a pass reads.
    pub fn empty(&self) -> Frame {
        empty(&self.info, &self.columns)
    }

    /// Returns what [`Scope::left_to_side`] does.
    pub fn left_to_side(&self, map: &TableMap, side: Side) -> Vec<&str> {
        left_to_side(&self.info, map, side)
    }
}

impl Scope {
    /// Asks both sides for their metadata.
    pub fn describe(
        pipeline: &Pipeline,
        table: usize,
        endpoints: PerSide<&dyn Endpoint>,
    ) -> Result<Scope, EndpointError> {
        let describe = |endpoint| SideScope::describe(&pipeline.tables, table, endpoint);
        Ok(Scope::of(table, PerSide { erp: describe(endpoints.erp)?, crm: describe(endpoints.crm)? }))
    }

    /// Puts together what both sides say of the table map of that number.
    pub fn of(table: usize, PerSide { erp, crm }: PerSide<SideScope>) -> Scope {
        Scope {
            table,
            infos: PerSide { erp: erp.info, crm: crm.info },
            columns: PerSide { erp: erp.columns, crm: crm.columns },
            modified: PerSide { erp: erp.modified, crm: crm.modified },
        }
    }

    /// Returns the columns of a side's key in which the table map gives a new record nothing, so that the side has to.
    ///
    /// Of a key of several columns a text may be blank, as long as it is not the first one: a blank variant is a key, too.
    pub fn left_to_side(&self, map: &TableMap, side: Side) -> Vec<&str> {
        left_to_side(self.infos.of(side), map, side)
    }

    /// Returns an empty frame of `side` with the columns that a pass reads.
    pub fn empty(&self, side: Side) -> Frame {
        empty(self.infos.of(side), self.columns.of(side))
    }
}

fn left_to_side<'i>(info: &'i TableInfo, map: &TableMap, side: Side) -> Vec<&'i str> {
    let Key::Values(names) = &info.key else { return Vec::new() };
    let may_be_blank = |position: usize, name: &str| {
        let kind = info.column(name).map(|info| info.column.kind);
        position > 0 && matches!(kind, Some(Kind::Text | Kind::Code | Kind::Enum))
    };
    let maps = |name: &str| {
        let mut fields = map.fields.iter();
        fields.any(|field| field.column(side) == Some(name) && field.writes(side) && field.when != When::Update)
    };
    let sets = |name: &str| {
        let mut templates = map.on_create.iter().filter(|template| template.side == side);
        templates.any(|template| template.set.iter().any(|(column, _)| column == name))
    };
    let left = names.iter().enumerate().filter(|(position, name)| {
        !may_be_blank(*position, name.as_str()) && !maps(name.as_str()) && !sets(name.as_str())
    });
    left.map(|(_, name)| name.as_str()).collect()
}

fn empty(info: &TableInfo, columns: &[String]) -> Frame {
    let columns = columns.iter().filter_map(|name| info.column(name)).map(|info| info.column.clone());
    Frame::empty(columns.collect::<Vec<Column>>())
}

/// What a side holds inside its filter.
#[derive(Debug, Clone)]
pub struct Inside {
    pub frame: Frame,
    /// Records that are neither inside nor outside, and left alone.
    pub undecided: Frame,
    /// Why, for each of them.
    pub why: Vec<Undecided>,
}

impl Inside {
    /// Returns the records that may be somebody's reference: what is inside, and what cannot be read and may be so.
    pub fn referred(&self) -> HashSet<Uuid> {
        let mut all: HashSet<Uuid> = self.frame.ids().into_iter().collect();
        all.extend(self.undecided.ids().into_iter().filter(|id| self.undecided.unreadable(*id).is_some()));
        all
    }
}

/// Why a record is neither inside its filter nor outside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// The filter has no answer.
    #[error("the filter {0}")]
    Filter(Fault),
    /// It would be inside, or a column that the filter reads is missing.
    #[error("it cannot be read: {0}")]
    Unreadable(Unreadable),
}

/// Reads both sides of a table map, each inside its filter, at the same time.
///
/// `progress` hears the rows of a side so far.
pub fn read(
    map: &TableMap,
    scope: &Scope,
    endpoints: PerSide<&dyn Endpoint>,
    progress: &(dyn Fn(Side, usize) + Sync),
) -> Result<PerSide<Inside>, EndpointError> {
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
) -> Result<Inside, EndpointError> {
    let query = Query {
        info: scope.infos.of(side),
        columns: scope.columns.of(side).clone(),
        filter: map.sides.of(side).filter.as_ref().and_then(|filter| filter.predicate().cloned()),
        ids: None,
    };
    inside(map, side, endpoint.read(&query, progress)?)
}

/// Keeps the rows for which the side's filter holds.
pub fn inside(map: &TableMap, side: Side, frame: Frame) -> Result<Inside, EndpointError> {
    let filter = map.sides.of(side).filter.as_ref();
    let everything = || Chosen { rows: (0..frame.rows()).collect(), faults: Vec::new() };
    let chosen = filter.map_or_else(|| Ok(everything()), |filter| frame.rows_where(filter));
    let chosen = chosen.map_err(|error| EndpointError::Untrusted { side, message: format!("the filter {error}") })?;
    if chosen.rows.len() == frame.rows() && frame.unreadables().is_empty() {
        return Ok(Inside { undecided: frame.take(&[]), why: Vec::new(), frame });
    }
    let columns = filter.map_or(&[][..], |filter| filter.columns());
    let (rows, undecided) = split(&frame, columns, chosen);
    let (doubtful, why): (Vec<usize>, Vec<Undecided>) = undecided.into_iter().unzip();
    Ok(Inside { frame: frame.take(&rows), undecided: frame.take(&doubtful), why })
}

/// Returns the rows inside a filter, which reads `columns`, and those of which nobody can tell. A record that cannot be read
/// to the end is outside only where what could be read of it says so.
fn split(frame: &Frame, columns: &[String], chosen: Chosen) -> (Vec<usize>, Vec<(usize, Undecided)>) {
    let Chosen { mut rows, faults } = chosen;
    let mut undecided: Vec<(usize, Undecided)> =
        faults.into_iter().map(|(row, fault)| (row, Undecided::Filter(fault))).collect();
    if frame.unreadables().is_empty() {
        return (rows, undecided);
    }
    let known: HashSet<usize> = rows.iter().copied().chain(undecided.iter().map(|(row, _)| *row)).collect();
    let lacks = |why: &Unreadable| columns.iter().any(|column| why.columns.contains(column));
    let of_row = |(row, id): (usize, Uuid)| Some((row, frame.unreadable(id)?.clone()));
    let unreadable: HashMap<usize, Unreadable> = (0..).zip(frame.ids()).filter_map(of_row).collect();
    rows.retain(|row| !unreadable.contains_key(row));
    undecided.retain(|(row, _)| !unreadable.contains_key(row));
    let unreadable = unreadable.into_iter().filter(|(row, why)| known.contains(row) || lacks(why));
    undecided.extend(unreadable.map(|(row, why)| (row, Undecided::Unreadable(why))));
    undecided.sort_unstable_by_key(|(row, _)| *row);
    (rows, undecided)
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

/// Records that were asked for by id, with proof of those that are missing.
#[derive(Debug, Clone)]
pub struct Sought {
    pub frame: Frame,
    /// Those that may exist all the same; what is neither here nor there does not.
    pub hidden: HashMap<Uuid, Hidden>,
}

/// Reads records by id as [`read_ids`] does, and has proven of each that did not come that it does not exist: only so may a
/// deletion be concluded (I7).
pub fn seek(scope: &Scope, side: Side, endpoint: &dyn Endpoint, ids: Vec<Uuid>) -> Result<Sought, EndpointError> {
    let frame = read_ids(scope, side, endpoint, ids.clone())?;
    let found: HashSet<Uuid> = frame.ids().into_iter().collect();
    let missing: Vec<Uuid> = ids.into_iter().filter(|id| !found.contains(id)).collect();
    let hidden = if missing.is_empty() { HashMap::new() } else { endpoint.hidden(scope.infos.of(side), &missing)? };
    Ok(Sought { frame, hidden })
}

/// Reads a side without its filter, so that a record outside of it is not created a second time; records of another
/// company are none of this one's (sync-semantics.md §24).
pub fn read_beyond(map: &TableMap, scope: &Scope, side: Side, endpoint: &dyn Endpoint) -> Result<Frame, EndpointError> {
    let Some(company) = map.company_of(side) else { return read_all(scope, side, endpoint) };
    let columns = scope.columns.of(side).clone();
    let query = Query { info: scope.infos.of(side), columns, filter: Some(company.predicate()), ids: None };
    Ok(of_company(map, side, endpoint.read(&query, &|_| {})?))
}

/// Leaves out records of another company.
pub fn of_company(map: &TableMap, side: Side, frame: Frame) -> Frame {
    let Some(company) = map.company_of(side) else { return frame };
    let rows: Vec<usize> =
        (0..frame.rows()).filter(|&row| company.may_own(&frame.value(company.column, row).to_string())).collect();
    if rows.len() == frame.rows() { frame } else { frame.take(&rows) }
}

/// Reads a side without its filter.
pub fn read_all(scope: &Scope, side: Side, endpoint: &dyn Endpoint) -> Result<Frame, EndpointError> {
    let query = Query { info: scope.infos.of(side), columns: scope.columns.of(side).clone(), filter: None, ids: None };
    endpoint.read(&query, &|_| {})
}
