//! References that one side of a pair has cleared, where nobody has looked yet whether what they led to is still there.
//!
//! A side clears by itself what refers to a record that is deleted there. A run that reads parts, or leaves out the table map
//! that a reference leads to, sees the blank and not the deletion. So that side is asked, by id, for the records that the
//! other side still refers to. Where one is gone its partner is left, as by a run that had read both: the blank waits for
//! what becomes of that one. Where it is there the blank is an edit like any other.

use std::collections::{BTreeMap, HashSet};

use uuid::Uuid;

use crate::config::{FieldMap, Reference, Side, When};
use crate::couple::rows_by_id;
use crate::delta::judging::is_cleared;
use crate::extract::{self, Scope};
use crate::frame::Value;
use crate::run::needs::name_keys;
use crate::run::reading::sorted;
use crate::run::remembered;
use crate::run::state::PassState;
use crate::run::step::{PassError, Turn};
use crate::store::Store;
use crate::translate::canonical::own;
use crate::translate::links::Links;

/// Tells the links which of the records are gone that a cleared reference led to, save in fields that wait for another step.
pub(super) fn seek_cleared(
    turn: &Turn<'_>,
    left_out: &[bool],
    store: &dyn Store,
    state: &PassState,
    links: &mut Links,
) -> Result<(), PassError> {
    let Turn { context, map, .. } = *turn;
    let mut doubtful: BTreeMap<(usize, Side), HashSet<Uuid>> = BTreeMap::new();
    for (number, field) in map.fields.iter().enumerate().filter(|(number, _)| !left_out[*number]) {
        let Some(reference) = field.reference.as_ref().filter(|_| field.when != When::Create) else { continue };
        if links.table(&reference.table).is_complete() {
            continue;
        }
        for side in Side::BOTH {
            let values = kept(state, (number, field), side);
            let ids = ids(turn, reference, side.other(), &values, links)?;
            let partners = ids.into_iter().filter_map(|id| links.table(&reference.table).partner(side.other(), id));
            doubtful.entry((context.target(reference), side)).or_default().extend(partners);
        }
    }
    for ((target, side), ids) in doubtful.into_iter().filter(|(_, ids)| !ids.is_empty()) {
        let map = &context.pipeline.tables[target];
        let scope = Scope::describe(context.pipeline, target, context.endpoints)?;
        remembered::recall(context.endpoints, &scope, store, map)?;
        let ids = sorted(ids);
        let sought = extract::seek(&scope, side, *context.endpoints.of(side), ids.clone())?;
        let there = rows_by_id(&sought.frame);
        for id in ids.into_iter().filter(|id| !there.contains_key(id) && !sought.hidden.contains_key(id)) {
            links.table(&map.name).bereave(side, id);
        }
    }
    Ok(())
}

/// Returns what the other side of those pairs refers to of which `side` has cleared a field since they were last settled.
fn kept(state: &PassState, (number, field): (usize, &FieldMap), side: Side) -> Vec<Value> {
    let (Some(column), Some(other)) = (field.column(side), field.column(side.other())) else { return Vec::new() };
    let (pairs, own) = (state.records.pairs(), own(state.records.frame(side), side, column));
    let cleared = |pair: &usize| {
        let (ids, row) = (pairs.ids[*pair], *pairs.rows[*pair].of(side));
        state.asks(Some(ids.erp), Some(ids.crm))
            && pairs.bases[number][*pair].is_some_and(|base| is_cleared(*base.of(side), own[row]))
    };
    let value = |pair: usize| state.records.frame(side.other()).value(other, *pairs.rows[pair].of(side.other()));
    (0..pairs.len()).filter(cleared).map(value).filter(|value| !value.is_blank()).collect()
}

/// Returns the records of a side that values of it refer to.
fn ids(
    turn: &Turn<'_>,
    reference: &Reference,
    side: Side,
    values: &[Value],
    links: &mut Links,
) -> Result<Vec<Uuid>, PassError> {
    if side == Side::Erp {
        let keys = values.iter().filter(|key| links.refers_to(reference, side, key).is_none());
        let keys = keys.map(ToString::to_string).collect();
        name_keys(turn.context, reference, keys, links)?;
    }
    Ok(values.iter().filter_map(|value| links.refers_to(reference, side, value)).collect())
}
