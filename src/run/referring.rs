//! Who refers to records that are to be deleted, whether a run has read them or not, and what is known of these.
//!
//! A side is asked when every table map had its turn. What was written meanwhile is known from the frames, on paper too.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use crate::address::Address;
use crate::config::expression::{Comparison, Literal, Predicate};
use crate::config::{OnDelete, PerSide, Side, TableMap};
use crate::couple::rows_by_id;
use crate::delta::names::Names;
use crate::endpoint::{Endpoint, EndpointError, Query};
use crate::extract::Scope;
use crate::frame::{Frame, Value};
use crate::order::Pass;
use crate::plan::ActionKind;
use crate::run::account::TableReport;
use crate::run::context::Context;
use crate::run::state::PassState;
use crate::store::{Store, StoreError};
use crate::translate::links::{Links, canonical_key};

/// Keys that one question for those who refer to them may hold.
const KEYS_MAX: usize = 50;

/// The passes of a run when all of them had their turn.
pub(super) struct Turns<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) passes: &'a [Pass],
    /// One for each pass.
    pub(super) scopes: &'a [Scope],
    /// Of the passes that had their turn; `None` where it failed.
    pub(super) states: &'a mut [Option<PassState>],
    /// As many as `states`.
    pub(super) reports: &'a [TableReport],
    pub(super) links: &'a mut Links,
}

/// What one pass is to delete on one side.
pub(super) struct Going {
    /// The records, and the rows where they are in the frame.
    pub(super) rows: Vec<(Uuid, usize)>,
    frame: Frame,
}

impl Going {
    pub(super) fn of(turns: &Turns<'_>, place: usize, left: Side) -> Option<Going> {
        let state = turns.states[place].as_ref()?;
        let frame = state.records.frame(left).clone();
        let by_id = rows_by_id(&frame);
        let ids = state.consequences.doomed().iter().filter(|doomed| doomed.action.side == left);
        let ids = ids.map(|doomed| *doomed.action.ids.of(left));
        let rows: Vec<(Uuid, usize)> = ids.filter_map(|id| Some((id, *by_id.get(&id)?))).collect();
        (!rows.is_empty()).then_some(Going { rows, frame })
    }

    /// Names one of them as a record of another table map, by its label there if that was read.
    pub(super) fn named_in(&self, map: &TableMap, side: Side, id: Uuid) -> String {
        let row = self.rows.iter().find(|(known, _)| *known == id).map(|(_, row)| *row);
        let label = map.sides.of(side).label.as_ref().zip(row);
        let label = label.map(|(label, row)| self.frame.value(label, row).to_string());
        let key = label.filter(|label| !label.trim().is_empty()).unwrap_or_else(|| id.to_string());
        Address { table: map.name.clone(), side, key }.to_string()
    }
}

/// What is known of a table map whose records may hang on others.
pub(super) struct Known {
    /// The number of its pass, where it has one.
    pub(super) place: Option<usize>,
    map_name: String,
    /// None of its records is coupled, and none waits.
    pub(super) is_nobody: bool,
    /// It agrees to a deletion on that side and leaves it to others, since it does not write there.
    pub(super) goes_by_itself: Option<Side>,
    /// What it deletes itself.
    pub(super) doomed: PerSide<HashSet<Uuid>>,
    /// What waits for a person.
    waiting: PerSide<HashSet<Uuid>>,
    /// Whose coupling it has just ended.
    parted: PerSide<HashSet<Uuid>>,
    /// What people call its records, as far as it read them.
    pub(super) names: PerSide<HashMap<Uuid, String>>,
    /// Where they are in its frames.
    rows: PerSide<HashMap<Uuid, usize>>,
}

impl Known {
    pub(super) fn of(turns: &mut Turns<'_>, store: &dyn Store, table: usize) -> Result<Known, StoreError> {
        let map = &turns.context.pipeline.tables[table];
        let place = (0..turns.states.len()).find(|place| turns.passes[*place].table == table);
        let mut known = Known {
            place,
            map_name: map.name.clone(),
            is_nobody: false,
            goes_by_itself: None,
            doomed: PerSide::default(),
            waiting: PerSide::default(),
            parted: PerSide::default(),
            names: PerSide::default(),
            rows: PerSide::default(),
        };
        let state = place.and_then(|place| turns.states[place].as_ref());
        // Of records that the run is not about, what waited before does so still.
        let whole = state.filter(|state| !state.guarding.has_stopped() && state.asked.is_none());
        let filed = if whole.is_some() { Vec::new() } else { store.inbox(Some(&map.name))? };
        for item in filed.iter().chain(state.iter().flat_map(|state| state.waits.inbox())) {
            for (side, id) in [(Side::Erp, item.erp_id), (Side::Crm, item.crm_id)] {
                known.waits(side, id, &item.record);
            }
        }
        if let Some(state) = state {
            known.look(state);
            let agrees = |side: &Side| map.on_delete == OnDelete::Delete && !map.direction.writes(*side);
            known.goes_by_itself = Side::BOTH.into_iter().find(agrees).filter(|_| !state.guarding.has_stopped());
        }
        let stored = store.coupling_counts()?.get(&map.name).copied().unwrap_or(0);
        let coupled = stored > 0 || turns.links.table(&map.name).couplings_count() > 0;
        known.is_nobody = !coupled && Side::BOTH.iter().all(|side| known.waiting.of(*side).is_empty());
        Ok(known)
    }

    fn look(&mut self, state: &PassState) {
        for side in Side::BOTH {
            *self.rows.of_mut(side) = rows_by_id(state.records.frame(side));
        }
        for (ids, rows) in state.records.pairs().ids.iter().zip(&state.records.pairs().rows) {
            let record = state.records.name_of_pair(*rows);
            Side::BOTH.iter().for_each(|side| drop(self.names.of_mut(*side).insert(*ids.of(*side), record.clone())));
        }
        for held in state.waits.held() {
            Side::BOTH.iter().for_each(|side| self.waits(*side, *held.ids.of(*side), &held.record));
        }
        if state.guarding.has_stopped() {
            return;
        }
        for doomed in state.consequences.doomed() {
            let (side, id) = (doomed.action.side, *doomed.action.ids.of(doomed.action.side));
            self.doomed.of_mut(side).insert(id);
            self.names.of_mut(side).insert(id, doomed.action.record.clone());
        }
        let ends = |kind: &ActionKind| matches!(kind, ActionKind::Uncouple | ActionKind::KeepApart);
        for action in state.draft.actions().iter().filter(|action| ends(&action.kind)) {
            for side in Side::BOTH {
                self.parted.of_mut(side).insert(*action.ids.of(side));
            }
        }
    }

    fn waits(&mut self, side: Side, id: Option<Uuid>, record: &str) {
        let Some(id) = id else { return };
        self.waiting.of_mut(side).insert(id);
        self.names.of_mut(side).insert(id, record.to_owned());
    }

    /// Tells whether a record is this pipeline's business: coupled, or waiting for a person.
    pub(super) fn is_bound(
        &self,
        turns: &mut Turns<'_>,
        store: &dyn Store,
        side: Side,
        id: Uuid,
    ) -> Result<bool, StoreError> {
        if self.waiting.of(side).contains(&id) || turns.links.table(&self.map_name).partner(side, id).is_some() {
            return Ok(true);
        }
        Ok(!self.parted.of(side).contains(&id) && store.coupling_of(&self.map_name, side, id)?.is_some())
    }
}

/// Returns who refers to what is to be deleted on a side, as pairs of the two, and what people call it.
pub(super) fn referring(
    turns: &Turns<'_>,
    (table, side): (usize, Side),
    (place, doomed): (usize, &Going),
    known: &Known,
) -> Result<BTreeMap<(Uuid, Uuid), String>, EndpointError> {
    let Turns { context, passes, scopes, states, .. } = turns;
    let (pipeline, endpoint) = (context.pipeline, *context.endpoints.of(side));
    let (map, target) = (&pipeline.tables[table], &pipeline.tables[passes[place].table].name);
    let pass = passes.iter().position(|pass| pass.table == table);
    let scope = match pass {
        Some(pass) => scopes[pass].clone(),
        None => Scope::describe(pipeline, table, context.endpoints)?,
    };
    let info = scope.infos.of(side);
    let state = known.place.and_then(|place| states[place].as_ref());
    let mut found = BTreeMap::new();
    for field in &map.fields {
        let Some(reference) = field.reference.as_ref().filter(|reference| reference.table == *target) else { continue };
        let Some(column) = field.column(side) else { continue };
        if info.column(column).is_none_or(|info| !info.readable) {
            continue;
        }
        // The ERP refers by a key, the CRM by an id.
        let mut wanted: HashMap<String, Vec<Uuid>> = HashMap::new();
        for (id, row) in &doomed.rows {
            let key = match side {
                Side::Erp => canonical_key(&doomed.frame.value(&reference.erp, *row).to_string()),
                Side::Crm => id.to_string(),
            };
            if !key.is_empty() {
                wanted.entry(key).or_default().push(*id);
            }
        }
        let frame = read_referring(&scope, side, endpoint, column, &wanted, map)?;
        let names = {
            let mut frames = PerSide::from_fn(|of| scope.empty(of));
            *frames.of_mut(side) = frame.clone();
            Names::new(map, &[&frames])
        };
        for row in 0..frame.rows() {
            let by = frame.id(row);
            // What was written since is in the frame of the pass, on paper too.
            let own = known
                .rows
                .of(side)
                .get(&by)
                .zip(state)
                .map(|(row, state)| state.records.frame(side).value(column, *row));
            let key = match (side, own.unwrap_or_else(|| frame.value(column, row))) {
                (Side::Erp, value) => canonical_key(&value.to_string()),
                (Side::Crm, Value::Guid(id) | Value::Link { id, .. }) => id.to_string(),
                (Side::Crm, value) => Uuid::parse_str(&value.to_string()).map(|id| id.to_string()).unwrap_or_default(),
            };
            // Whom it refers to, where that cannot be read, may be any of them.
            let all = wanted.values().flatten().filter(|_| frame.lacks(column, row));
            for id in wanted.get(&key).into_iter().flatten().chain(all) {
                found.insert((*id, by), names.row(&frame, side, row));
            }
        }
    }
    Ok(found)
}

/// Reads the records of a side that hold one of these keys in a column, and maybe others: by asking for them, or the table
/// where that takes fewer requests.
fn read_referring(
    scope: &Scope,
    side: Side,
    endpoint: &dyn Endpoint,
    column: &str,
    wanted: &HashMap<String, Vec<Uuid>>,
    map: &TableMap,
) -> Result<Frame, EndpointError> {
    let info = scope.infos.of(side);
    let mut columns = vec![column.to_owned()];
    columns.extend(map.sides.of(side).label.clone().filter(|label| label != column));
    let mut keys: Vec<&String> = wanted.keys().collect();
    keys.sort_unstable();
    let equal = |key: &&String| Predicate::Compare {
        column: column.to_owned(),
        comparison: Comparison::Equal,
        literal: Literal::Text((*key).clone()),
    };
    let lists = keys.chunks(KEYS_MAX).map(|keys| Predicate::Any(keys.iter().map(equal).collect()));
    let lists: Vec<Predicate> = lists.collect();
    let filters = match lists.iter().all(|list| endpoint.evaluates(info, list)) {
        true => lists.into_iter().map(Some).collect(),
        false => vec![None],
    };
    let mut found: Option<Frame> = None;
    for filter in filters {
        let read = endpoint.read(&Query { info, columns: columns.clone(), filter, ids: None }, &|_| {})?;
        match &mut found {
            Some(found) => found.upsert(&read),
            None => found = Some(read),
        }
    }
    Ok(found.unwrap_or_else(|| scope.empty(side)))
}
