//! What people decided, during a pass: taken from the state at its start, and ended where nothing is left to do about it.
//!
//! A decision about a field ends when the field is settled, in the transaction in which its base moves: with the outcome that
//! carries it out, or where both sides agree. Any decision ends when what it was about is no question any more: the partner
//! is back, the pair is none any more, what was to be deleted was edited. A decision that failed stands, and so does one for
//! other values.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use uuid::Uuid;

use crate::config::{OnDelete, PerSide, Side, TableMap};
use crate::couple::taken::Seat;
use crate::couple::{Absent, Matched};
use crate::delta::decided::{Ruled, Rulings};
use crate::delta::merge::Why;
use crate::frame::Frame;
use crate::plan::ActionKind;
use crate::run::approval::admits;
use crate::run::bases::fingerprint_in;
use crate::run::context::Context;
use crate::run::deletions::action;
use crate::run::partners::Widowed;
use crate::run::state::{PassState, Turn};
use crate::store::pairs::{Decisions, Items};
use crate::store::{CouplingChange, Decided, Decision, InboxItem, InboxKind, Store, StoreError};
use crate::translate::canonical::{BLANK, fold};
use crate::translate::links::Links;

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

/// Survivors whose partner a person wants back: they are matched like any record without partner, since somebody may have
/// made the other one anew by hand.
pub(super) struct WantedBack(Vec<(PerSide<Uuid>, Side, usize)>);

impl WantedBack {
    /// Frees them for the match rules.
    pub(super) fn free(
        map: &TableMap,
        state: &PassState,
        widowed: &[Widowed],
        absent: &mut Vec<Absent>,
        uncoupled: &mut PerSide<Vec<usize>>,
    ) -> WantedBack {
        let is_wanted = |widow: &&Widowed| {
            let ruled = state.by_people.of_pair(widow.ids);
            ruled.is_some_and(|ruled| ruled.verdict == Decided::Restore) && map.direction.writes(widow.gone)
        };
        let wanted = widowed.iter().filter(is_wanted);
        let wanted: Vec<_> = wanted.filter_map(|widow| Some((widow.ids, widow.gone.other(), widow.row?))).collect();
        let freed: HashSet<PerSide<Uuid>> = wanted.iter().map(|(ids, _, _)| *ids).collect();
        absent.retain(|absent| !freed.contains(&absent.ids));
        for (_, left, row) in &wanted {
            uncoupled.of_mut(*left).push(*row);
        }
        Side::BOTH.into_iter().for_each(|side| uncoupled.of_mut(side).sort_unstable());
        WantedBack(wanted)
    }

    /// Parts those that found another partner from the one that is gone, where the run may: who may not be parted gets no other
    /// partner either. The others are left to be made anew.
    pub(super) fn settle(
        self,
        turn: &Turn<'_>,
        state: &mut PassState,
        matched: &mut Matched,
        widowed: &mut Vec<Widowed>,
        links: &Links,
    ) {
        let Turn { context, map, .. } = *turn;
        let rows = |side: Side| matched.matches.iter().map(move |found| *found.rows.of(side));
        let found: PerSide<HashSet<usize>> = PerSide::from_fn(|side| rows(side).collect());
        let (found, alone): (Vec<_>, Vec<_>) =
            self.0.into_iter().partition(|(_, left, row)| found.of(*left).contains(row));
        let alone: HashSet<(Side, usize)> = alone.into_iter().map(|(_, left, row)| (left, row)).collect();
        for side in Side::BOTH {
            matched.alone.of_mut(side).retain(|row| !alone.contains(&(side, *row)));
        }
        matched.doubts.retain(|doubt| !alone.contains(&(doubt.side, doubt.row)));
        let places: HashMap<PerSide<Uuid>, usize> = widowed.iter().map(|widow| widow.ids).zip(0..).collect();
        let mut parted: HashSet<PerSide<Uuid>> = HashSet::new();
        let mut bound: HashSet<(Side, usize)> = HashSet::new();
        for (ids, left, row) in found {
            let Some(&at) = places.get(&ids) else { continue };
            let on = state.by_people.of_pair(ids).map(|ruled| Why::Decided(ruled.on).to_string()).unwrap_or_default();
            let why = format!("deleted in the {0} and made anew there; {on}", widowed[at].gone.name());
            let parting = action(map, &widowed[at], ActionKind::Uncouple, Side::Erp, why);
            if admits(context.options.approved, map, links, state, &parting) {
                parted.insert(ids);
                // What referred to the record that is gone refers to this one, as where it is made by the run.
                state.consequences.bereave(left, *ids.of(left));
                state.draft.recouple(parting, CouplingChange::Uncouple { erp: ids.erp, crm: ids.crm });
            } else {
                bound.insert((left, row));
            }
        }
        let is_bound = |side: Side, rows: PerSide<usize>| bound.contains(&(side, *rows.of(side)));
        matched.matches.retain(|found| !Side::BOTH.into_iter().any(|side| is_bound(side, found.rows)));
        widowed.retain(|widow| !parted.contains(&widow.ids));
    }
}

/// Notes which survivors have a record on the other side that looks like the one that is gone.
pub(super) fn note_made_anew(state: &mut PassState, matched: &Matched) {
    for doubt in &matched.doubts {
        let Some(likeness) = &doubt.likeness else { continue };
        if let ([Seat { row, beyond: false }], 1) = (&likeness.seats[..], likeness.count) {
            let survivor = state.records.frame(doubt.side.other()).id(*row);
            let record = state.records.name(doubt.side, doubt.row);
            state.consequences.note_made_anew(survivor, record);
        }
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
    let beyond = state.beyond.items.iter().filter_map(|item| {
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
