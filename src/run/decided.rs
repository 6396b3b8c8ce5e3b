//! What people decided, during a pass: taken from the state at its start, and ended where nothing is left to do about it.
//!
//! A decision ends with the outcome that carries it out, or when what it was about is no question any more: both sides
//! agree, the partner is back, the pair is none any more. A decision that failed stands, and so does one for other values.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use uuid::Uuid;

use crate::config::{OnDelete, PerSide, Side, TableMap};
use crate::delta::decided::{Ruled, Rulings};
use crate::frame::Frame;
use crate::run::Context;
use crate::run::bases::fingerprint_in;
use crate::run::state::PassState;
use crate::store::{Decided, Store, StoreError};
use crate::translate::BLANK;

/// Takes the decisions that stand in a table map.
pub(super) fn load(store: &dyn Store, map: &TableMap) -> Result<Rulings, StoreError> {
    Ok(Rulings::new(map, store.decisions(Some(&map.name))?))
}

/// Returns what becomes of the survivor of a pair: what a person decided, else what the table map says.
pub(super) fn on_delete(map: &TableMap, ruled: Option<&Ruled>) -> OnDelete {
    match ruled.map(|ruled| &ruled.verdict) {
        Some(Decided::Restore) => OnDelete::Restore,
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
    held.fold(0, |all: u64, part| (all.rotate_left(5) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Ends the decisions about which nothing is left to do; `deferred` tells which
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
    if state.rulings.is_empty() || context.options.stop.load(Ordering::Relaxed) {
        return Ok(());
    }
    let compared: HashSet<&PerSide<Uuid>> = state.pairs.ids.iter().collect();
    let had_turn = |field: usize| !deferred.get(field).copied().unwrap_or(false);
    let done = state.rulings.all().filter(|(ids, field)| {
        let looked_at = field.is_none_or(|field| had_turn(field) && compared.contains(ids));
        looked_at && !state.standing.contains(&(*ids, *field))
    });
    let done = done.map(|(ids, field)| (ids, field.map(|field| map.fields[field].key())));
    let done: Vec<(PerSide<Uuid>, Option<String>)> = done.chain(state.rulings.lost.iter().cloned()).collect();
    store.end_decisions(&map.name, &done)
}
