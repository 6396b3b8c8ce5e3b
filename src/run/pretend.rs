//! Two sides on which a dry run writes on paper only: what it takes for done, so that all that follows is what a run
//! would do (I8).
//!
//! A planned write becomes the row that the side would return, and where another table map reads the same table later,
//! its reading shows it; a record that is deleted is read no more. What a server would make of a record on its own is not known here: what a new record was not
//! given stays blank, but for what the side tells to begin with, and for the keys by which others refer to it, which get a placeholder.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::apply::Applied;
use crate::config::expression::Predicate;
use crate::config::{PerSide, Pipeline, Side};
use crate::couple::rows_by_id;
use crate::endpoint::{
    Bounds, Endpoint, EndpointError, Hidden, Identity, Line, Outcome, Query, Report, TableInfo, Tracked, Write,
};
use crate::frame::builder::Builder;
use crate::frame::{Frame, Kind, Value};
use crate::order::Pass;
use crate::plan::{Action, ActionKind, placeholder};
use crate::run::rows::without;
use crate::translate::canonical::stored;

/// A side that can be read, with what was pretended in between.
pub(super) struct Pretended<'a> {
    inner: &'a dyn Endpoint,
    /// By table, the columns by which the file refers to its records.
    keys: HashMap<String, Vec<String>>,
    /// Tables that several table maps of the run read; of others nothing needs to be remembered.
    shared: HashSet<String>,
    tables: Mutex<HashMap<String, Pretence>>,
}

/// What was pretended in one table.
#[derive(Default)]
struct Pretence {
    /// In the order in which they were written.
    order: Vec<Uuid>,
    records: HashMap<Uuid, Written>,
    deleted: HashSet<Uuid>,
}

/// What was pretended of one record.
struct Written {
    new: bool,
    values: HashMap<String, Value>,
}

impl<'a> Pretended<'a> {
    /// Stands in front of a side, for the passes of a run.
    pub(super) fn new(inner: &'a dyn Endpoint, pipeline: &Pipeline, passes: &[Pass]) -> Pretended<'a> {
        let side = inner.line().side();
        let mut keys: HashMap<String, Vec<String>> = HashMap::new();
        let fields = pipeline.tables.iter().flat_map(|map| &map.fields);
        for reference in fields.filter_map(|field| field.reference.as_ref()) {
            let Some(map) = pipeline.tables.iter().find(|map| map.name == reference.table) else { continue };
            let column = match side {
                Side::Erp => Some(&reference.erp),
                Side::Crm => reference.crm.as_ref(),
            };
            let keys = keys.entry(map.sides.of(side).table.clone()).or_default();
            keys.extend(column.filter(|column| !keys.contains(column)).cloned());
        }
        let mut seen = HashSet::new();
        let tables = passes.iter().map(|pass| &pipeline.tables[pass.table].sides.of(side).table);
        let shared = tables.filter(|table| !seen.insert(*table)).cloned().collect();
        Pretended { inner, keys, shared, tables: Mutex::default() }
    }

    /// Carries out actions on paper: `frame` holds the records that are updated.
    pub(super) fn apply(&self, info: &TableInfo, frame: &Frame, actions: &[Action]) -> Applied {
        let side = self.inner.line().side();
        let mut tables = self.lock();
        let pretence = tables.entry(info.table.clone()).or_default();
        let keys = self.keys.get(&info.table).map_or(&[][..], Vec::as_slice);
        let mut rows = Builder::new(frame.columns().to_vec());
        let known = rows_by_id(frame);
        let mut outcomes = Vec::with_capacity(actions.len());
        for action in actions {
            let id = *action.ids.of(side);
            if action.kind == ActionKind::Delete {
                outcomes.push(pretence.delete(id, action.etag.as_deref()));
                continue;
            }
            outcomes.push(Outcome::Written);
            let mut values: HashMap<String, Value> =
                action.fields.iter().map(|change| (change.column.clone(), change.new.clone())).collect();
            let new = action.kind.makes_record();
            for column in info.columns.iter().filter(|_| new) {
                if let Some(value) = &column.starts_with {
                    values.entry(column.column.name.clone()).or_insert_with(|| value.clone());
                }
            }
            for key in keys.iter().filter(|_| new) {
                if values.get(key).is_some_and(|value| !value.is_blank()) {
                    continue;
                }
                match info.column(key).map(|info| info.column.kind) {
                    Some(Kind::Text | Kind::Code) => {
                        values.insert(key.clone(), Value::Text(placeholder(id)));
                    }
                    // An id that nobody gives is the one that we chose.
                    Some(Kind::Guid) => {
                        values.insert(key.clone(), Value::Guid(id));
                    }
                    _ => {}
                }
            }
            push_row(&mut rows, side, id, &values, frame, known.get(&id).copied());
            if self.shared.contains(&info.table) {
                pretence.remember(id, new, values);
            }
        }
        Applied { outcomes, journal: vec![0; actions.len()], rows: rows.finish(), given: HashMap::new() }
    }

    /// Returns how many of these records were made on paper.
    pub(super) fn made_count(&self, table: &str, ids: &[Uuid]) -> u64 {
        let tables = self.lock();
        let Some(pretence) = tables.get(table) else { return 0 };
        let is_made = |id: &&Uuid| pretence.records.get(*id).is_some_and(|written| written.new);
        ids.iter().filter(is_made).count() as u64
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Pretence>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pretence {
    fn remember(&mut self, id: Uuid, new: bool, values: HashMap<String, Value>) {
        match self.records.get_mut(&id) {
            Some(written) => written.values.extend(values),
            None => {
                self.order.push(id);
                self.records.insert(id, Written { new, values });
            }
        }
    }

    /// Deletes a record that was looked at in the version `etag`: not one that another table map wrote since, and none
    /// twice.
    fn delete(&mut self, id: Uuid, etag: Option<&str>) -> Outcome {
        if self.deleted.contains(&id) {
            return Outcome::Gone;
        }
        if self.records.contains_key(&id) && etag.is_some() {
            return Outcome::Stale;
        }
        self.order.retain(|known| *known != id);
        self.records.remove(&id);
        self.deleted.insert(id);
        Outcome::Written
    }

    /// Returns the remembered records that a query may ask for, in their order.
    fn asked<'q>(&'q self, query: &'q Query<'_>) -> impl Iterator<Item = (Uuid, &'q Written)> {
        let ids: Option<HashSet<&Uuid>> = query.ids.as_ref().map(|ids| ids.iter().collect());
        let asked = move |id: &&Uuid| ids.as_ref().is_none_or(|ids| ids.contains(id));
        self.order.iter().filter(asked).map(|id| (*id, &self.records[id]))
    }
}

impl Pretended<'_> {
    /// Brings what the side returned to where the plan has brought it so far.
    fn as_pretended(&self, query: &Query<'_>, mut frame: Frame) -> Result<Frame, EndpointError> {
        let tables = self.lock();
        let Some(pretence) = tables.get(&query.info.table) else { return Ok(frame) };
        if !pretence.deleted.is_empty() {
            frame = without(&frame, |id| pretence.deleted.contains(id));
        }
        if pretence.order.is_empty() {
            return Ok(frame);
        }
        let known = rows_by_id(&frame);
        // A change may have brought a record into the filter that the side, which knows nothing of it, left out.
        let beyond = pretence.asked(query).filter(|(id, written)| !written.new && !known.contains_key(id));
        let beyond: Vec<Uuid> = beyond.map(|(id, _)| id).collect();
        if query.ids.is_none() && !beyond.is_empty() {
            let query = Query { filter: None, ids: Some(beyond), ..query.clone() };
            frame.upsert(&self.inner.read(&query, &|_| {})?);
        }
        let known = rows_by_id(&frame);
        let mut rows = Builder::new(frame.columns().to_vec());
        for (id, written) in pretence.asked(query) {
            let row = known.get(&id).copied();
            if row.is_some() || written.new {
                push_row(&mut rows, self.inner.line().side(), id, &written.values, &frame, row);
            }
        }
        frame.upsert(&rows.finish());
        Ok(frame)
    }
}

impl Endpoint for Pretended<'_> {
    fn line(&self) -> &dyn Line {
        self.inner.line()
    }

    fn open(&self) -> Result<Identity, EndpointError> {
        self.inner.open()
    }

    fn evaluates(&self, info: &TableInfo, filter: &Predicate) -> bool {
        self.inner.evaluates(info, filter)
    }

    fn describe(&self, table: &str) -> Result<TableInfo, EndpointError> {
        self.inner.describe(table)
    }

    fn read(&self, query: &Query<'_>, progress: &dyn Fn(usize)) -> Result<Frame, EndpointError> {
        self.as_pretended(query, self.inner.read(query, progress)?)
    }

    fn hidden(&self, info: &TableInfo, missing: &[Uuid]) -> Result<HashMap<Uuid, Hidden>, EndpointError> {
        let pretended = |id: &Uuid| self.lock().get(&info.table).is_some_and(|table| table.deleted.contains(id));
        let unknown: Vec<Uuid> = missing.iter().copied().filter(|id| !pretended(id)).collect();
        if unknown.is_empty() { Ok(HashMap::new()) } else { self.inner.hidden(info, &unknown) }
    }

    fn seen_keys(&self, info: &TableInfo, ids: &[Uuid]) -> Vec<(Uuid, Vec<String>)> {
        self.inner.seen_keys(info, ids)
    }

    fn recall(&self, info: &TableInfo, keys: HashMap<Uuid, Vec<String>>) {
        self.inner.recall(info, keys);
    }

    /// Asks as the run asks; what was pretended comes along whatever it holds, as may always be.
    fn read_holding(&self, query: &Query<'_>, column: &str, texts: &[String]) -> Result<Option<Frame>, EndpointError> {
        let frame = self.inner.read_holding(query, column, texts)?;
        frame.map(|frame| self.as_pretended(query, frame)).transpose()
    }

    fn tracks(&self, table: &str) -> Result<bool, EndpointError> {
        self.inner.tracks(table)
    }

    fn read_tracked(
        &self,
        query: &Query<'_>,
        token: Option<&str>,
        progress: &dyn Fn(usize),
    ) -> Result<Tracked, EndpointError> {
        Ok(match self.inner.read_tracked(query, token, progress)? {
            Tracked::Changes { frame, deleted, token } => {
                Tracked::Changes { frame: self.as_pretended(query, frame)?, deleted, token }
            }
            refused @ Tracked::Refused { .. } => refused,
        })
    }

    fn bounds(&self) -> Bounds {
        self.inner.bounds()
    }

    fn may_capitalize(&self) -> bool {
        self.inner.may_capitalize()
    }

    fn modifiers(&self, info: &TableInfo, ids: &[Uuid]) -> Result<HashMap<Uuid, String>, EndpointError> {
        self.inner.modifiers(info, ids)
    }

    fn untouched(&self, info: &TableInfo, ids: &[Uuid]) -> Result<HashSet<Uuid>, EndpointError> {
        self.inner.untouched(info, ids)
    }

    /// Nothing leaves in a dry run.
    fn write(&self, info: &TableInfo, columns: &[String], writes: &[Write]) -> Report {
        let columns = columns.iter().filter_map(|name| info.column(name)).map(|info| info.column.clone()).collect();
        let message = "a dry run writes nothing".to_owned();
        let outcomes = vec![Outcome::NotSent { message }; writes.len()];
        Report { outcomes, rows: Frame::empty(columns), given: HashMap::new() }
    }

    fn batch_max(&self) -> usize {
        self.inner.batch_max()
    }

    fn modified_column(&self, info: &TableInfo) -> Option<String> {
        self.inner.modified_column(info)
    }
}

/// Adds a record as `side` would return it: with the `values` that it was given, and else what its `row` of the frame
/// holds.
fn push_row(
    rows: &mut Builder,
    side: Side,
    id: Uuid,
    values: &HashMap<String, Value>,
    frame: &Frame,
    row: Option<usize>,
) {
    for (index, column) in frame.columns().iter().enumerate() {
        let value = match (values.get(&column.name), row) {
            (Some(value), _) => stored(value.clone(), side, column.kind),
            // What is not written stays as it is.
            (None, Some(row)) => frame.value(&column.name, row),
            (None, None) => stored(Value::Null, side, column.kind),
        };
        rows.push_value(index, &value).expect("a value is converted for its column before it is planned");
    }
    rows.end(id, "");
}

/// Both sides of a dry run.
pub(super) fn both<'a>(
    endpoints: PerSide<&'a dyn Endpoint>,
    pipeline: &Pipeline,
    passes: &[Pass],
) -> PerSide<Pretended<'a>> {
    PerSide::from_fn(|side| Pretended::new(*endpoints.of(side), pipeline, passes))
}

#[cfg(test)]
mod tests;
