//! Takes what people decided from the state, for `by_people.rs` to hold, and ends it where nothing is left to do about it.
//!
//! A decision about a field ends when the field is settled, in the transaction in which its base moves: with the outcome that
//! carries it out, or where both sides agree. Any decision ends when what it was about is no question any more: the partner
//! is back, the pair is none any more, what was to be deleted was edited. A decision that failed stands, and so does one for
//! other values.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use uuid::Uuid;

use crate::config::{OnDelete, PerSide, Side, TableMap};
use crate::delta::decided::Rulings;
use crate::frame::Frame;
use crate::run::by_people::ByPeople;
use crate::run::context::Context;
use crate::run::state::PassState;
use crate::run::written::fingerprint_in;
use crate::store::pairs::{Decisions, Items};
use crate::store::{Decided, Decision, InboxItem, InboxKind, Store, StoreError};
use crate::translate::canonical::{BLANK, fold};

/// Takes the decisions that stand in a table map.
pub(super) fn load(store: &dyn Store, map: &TableMap) -> Result<Rulings, StoreError> {
    Ok(Rulings::new(map, store.decisions(Some(&map.name))?))
}

/// Returns what becomes of the survivor of a pair: what a person wants, else what the table map says.
pub(super) fn on_delete(map: &TableMap, by_people: &ByPeople, ids: PerSide<Uuid>) -> OnDelete {
    match by_people.of_pair(ids).map(|ruled| &ruled.verdict) {
        _ if by_people.wants_back(ids) => OnDelete::Restore,
        Some(Decided::Delete) => OnDelete::Delete,
        _ => map.on_delete,
    }
}

/// Fingerprints what a survivor holds in its mapped columns.
pub(super) fn print_of(map: &TableMap, side: Side, frame: &Frame, row: usize) -> u64 {
    let held = map.fields.iter().map(|field| match field.column(side) {
        Some(column) => fingerprint_in(frame, side, column, row),
        None => BLANK,
    });
    fold(0, held)
}

/// Ends the decisions about which nothing is left to do, and notes those that cannot be carried out; `deferred` tells which
/// fields have not had their turn yet.
pub(super) fn end(
    context: &Context<'_>,
    store: &mut dyn Store,
    map: &TableMap,
    deferred: &[bool],
    state: &PassState,
) -> Result<(), StoreError> {
    if context.options.dry_run {
        return Ok(());
    }
    if state.by_people.rulings().is_empty() || context.options.stop.load(Ordering::Relaxed) {
        return Ok(());
    }
    let compared: HashSet<&PerSide<Uuid>> = state.records.pairs().ids.iter().collect();
    let had_turn = |field: usize| !deferred.get(field).copied().unwrap_or(false);
    let done = state.by_people.rulings().all().filter(|(ids, field)| {
        let looked_at = match field {
            Some(field) => had_turn(*field) && compared.contains(ids),
            // Who asks for some records learns nothing of the others.
            None => state.asks(Some(ids.erp), Some(ids.crm)),
        };
        looked_at && !state.by_people.stands(*ids, *field)
    });
    let done = done.map(|(ids, field)| (ids, field.map(|field| map.fields[field].key())));
    let done: Vec<(PerSide<Uuid>, Option<String>)> =
        done.chain(state.by_people.rulings().lost.iter().cloned()).collect();
    store.end_decisions(&map.name, &done)?;
    let failed = state.waits.held().iter().filter(|held| held.kind == InboxKind::Failed);
    let failed = failed.filter_map(|held| {
        let ids = PerSide { erp: held.ids.erp?, crm: held.ids.crm? };
        let number = held.field?;
        state.by_people.stands(ids, Some(number)).then(|| (ids, Some(map.fields[number].key())))
    });
    let number = |name: &str| map.fields.iter().position(|field| field.name() == name);
    let beyond = state.outside.items().iter().filter_map(|item| {
        let (ids, field) = (PerSide { erp: item.erp_id?, crm: item.crm_id? }, number(item.field.as_ref()?)?);
        state.by_people.of_field(ids, field).map(|_| (ids, Some(map.fields[field].key())))
    });
    let unmet: Vec<_> = state.by_people.unmet().iter().map(|ids| (*ids, None)).chain(failed).chain(beyond).collect();
    if unmet.is_empty() { Ok(()) } else { store.note_unmet(&map.name, &unmet) }
}

/// Returns what waited before and is decided, where this run does not carry it out nor tells of it otherwise: it stays in the
/// inbox with the decision, for whoever wants to decide otherwise. Nobody decides on values that are no more, as where a
/// value that a person gave came to one side only.
pub(super) fn kept(
    store: &dyn Store,
    map: &TableMap,
    state: &PassState,
    earlier: &[InboxItem],
    items: &[InboxItem],
) -> Result<Vec<InboxItem>, StoreError> {
    if !state.by_people.any_stands() || earlier.is_empty() {
        return Ok(Vec::new());
    }
    let rows: HashMap<&PerSide<Uuid>, &PerSide<usize>> =
        state.records.pairs().ids.iter().zip(&state.records.pairs().rows).collect();
    let as_decided = |decision: &Decision, field: Option<usize>| {
        let Some(field) = field.map(|field| &map.fields[field]) else { return true };
        rows.get(&decision.ids).is_some_and(|rows| {
            Side::BOTH.into_iter().all(|side| {
                let held = field.column(side).map(|column| state.records.frame(side).value(column, *rows.of(side)));
                held.is_none_or(|held| held.to_string() == *decision.values.of(side))
            })
        })
    };
    let (waited, told) = (Items::new(earlier), Items::new(items));
    let mut kept = Vec::new();
    for decision in store.decisions(Some(&map.name))?.into_iter().filter(|decision| decision.ended.is_none()) {
        let number = |key: &String| map.fields.iter().position(|field| field.key() == *key);
        let field = decision.field.as_ref().map(number);
        let stands = field != Some(None) && state.by_people.stands(decision.ids, field.flatten());
        if !stands || told.decided(&decision).is_some() || !as_decided(&decision, field.flatten()) {
            continue;
        }
        let coupling = store.coupling_of(&map.name, Side::Erp, decision.ids.erp)?;
        if coupling.is_some_and(|coupling| coupling.ids == decision.ids) {
            kept.extend(waited.decided(&decision).cloned());
        }
    }
    Ok(kept)
}

/// Returns what waits in a table map and nobody has decided yet.
pub(super) fn undecided(store: &dyn Store, table: &str) -> Result<Vec<InboxItem>, StoreError> {
    let mut items = store.inbox(Some(table))?;
    if !items.is_empty() {
        let mut decisions = store.decisions(Some(table))?;
        decisions.retain(Decision::is_due);
        let decided = Decisions::new(&decisions);
        items.retain(|item| decided.about(item).is_none());
    }
    Ok(items)
}
