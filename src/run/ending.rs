//! The end of a step: what is left is saved, what waits is filed, and every record is counted.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap, When};
use crate::delta::Held;
use crate::delta::merge::UNSENT;
use crate::run::context::Context;
use crate::run::count::count_up;
use crate::run::decided;
use crate::run::filing::file;
use crate::run::notes::note_it;
use crate::run::postponed::Postponed;
use crate::run::refusals::Ids;
use crate::run::standing::chosen;
use crate::run::state::PassState;
use crate::run::step::{PassError, Step};
use crate::run::written::fingerprint_in;
use crate::store::{CouplingChange, InboxKind, Store, Terms};
use crate::translate::canonical::BLANK;

/// Saves what is left, files what waits, and counts. `deferred` tells which fields have not had their turn yet.
pub(super) fn finish(
    context: &Context<'_>,
    store: &mut dyn Store,
    map: &TableMap,
    deferred: &[bool],
    state: &mut PassState,
) -> Result<(), PassError> {
    remember_forced(context, map, deferred, state);
    if !context.options.dry_run {
        state.records.save(store, map)?;
    }
    if !deferred.contains(&true) {
        let notes = state.remarks.lossy_notes(map);
        notes.into_iter().for_each(|note| note_it(context, &mut state.report, note));
    }
    let stopped = context.options.stop.load(Ordering::Relaxed);
    remember_refusals(context, store, map, state, stopped || deferred.contains(&true))?;
    file(context, store, map, deferred, state)?;
    decided::end(context, store, map, deferred, state)?;
    if !context.options.dry_run {
        state.waits.file(decided::undecided(store, &map.name)?);
    }
    let notes = state.forced.take_notes(map);
    notes.into_iter().for_each(|note| note_it(context, &mut state.report, note));
    keep_overwritten(state);
    state.draft.leave_to_run(state.waits.left_to_run());
    state.report.selected = chosen(map, state, &context.named);
    state.waits.end_step();
    count_up(context, store, map, state)
}

/// Files and counts what the first step has done, before its guard stops what follows from that. What would be coupled now is
/// stopped with the rest: nothing is remembered of it, and it does not count.
pub(super) fn finish_begun(step: &Step<'_>, store: &mut dyn Store, state: &mut PassState) -> Result<(), PassError> {
    let mut stopped: HashSet<Uuid> = HashSet::new();
    for change in state.draft.pending() {
        let CouplingChange::Couple { erp, origin, .. } = change else { continue };
        stopped.insert(*erp);
        state.report.discount(origin);
    }
    let (pairs, held) = (state.records.set_aside(&stopped), state.waits.set_aside(&stopped));
    finish(step.context, store, step.map, &step.left_out, state)?;
    state.records.join(pairs);
    state.waits.restore(held);
    Ok(())
}

/// Reports what was overwritten on a side, as far as it was written.
fn keep_overwritten(state: &mut PassState) {
    let written: HashSet<(Side, Uuid)> =
        state.draft.actions().iter().map(|action| (action.side, action.ids.erp)).collect();
    state.report.overwritten = state.forced.overwritten(&written);
}

/// Ends the first step of a pass that its guard stopped: nothing is filed, and what waited before waits on; where something
/// was written before, that was filed by [`finish_begun`].
///
/// A plan tells what would be overwritten if it were not stopped: whoever agrees to what he is shown has to be shown it, or
/// the run after that would let nobody win, and write what the guard let pass.
pub(super) fn stopped(
    context: &Context<'_>,
    store: &dyn Store,
    map: &TableMap,
    state: &mut PassState,
) -> Result<(), PassError> {
    state.draft.leave_to_run(state.waits.left_to_run());
    keep_overwritten(state);
    if let Some(report) = state.guarding.report_mut().filter(|_| context.options.dry_run) {
        report.overwritten = std::mem::take(&mut state.report.overwritten);
    }
    if state.guarding.had_begun() {
        return Ok(());
    }
    state.waits.file(decided::undecided(store, &map.name)?);
    if let Some(report) = state.guarding.report_mut() {
        report.coupled = store.coupling_counts()?.get(&map.name).copied().unwrap_or(0);
        report.discount_all();
    }
    Ok(())
}

/// Holds as skipped what was refused for the same reason once too often, and remembers all refusals for the next run; `partly`
/// tells that fields of the table map still wait for their turn, so that what was not refused yet may be.
fn remember_refusals(
    context: &Context<'_>,
    store: &mut dyn Store,
    map: &TableMap,
    state: &mut PassState,
    partly: bool,
) -> Result<(), PassError> {
    let blameless = state.refusals.blameless(|to, kind| state.tally.has_taken(to, kind));
    state.refusals.skip_refused(&blameless, &mut state.waits);
    // What a later step adds is told with that.
    if !partly {
        blameless.told.iter().for_each(|note| note_it(context, &mut state.report, note.clone()));
    }
    if context.options.dry_run {
        return Ok(());
    }
    let postponed = Postponed::of(&state.approval, &state.waits);
    // What is outside its filter was not tried.
    let unreadable = |(erp, crm): Ids| state.aside.is_either_unreadable(erp, crm);
    let is_untried = |ids: Ids| {
        postponed.holds(ids, None) || state.outside.holds(ids) || unreadable(ids) || !state.asks(ids.0, ids.1)
    };
    if let Some(all) = state.refusals.to_remember(&blameless, partly, is_untried) {
        store.replace_refusals(&map.name, &all)?;
    }
    Ok(())
}

/// Remembers what was to win and was refused: it stays a value to be sent, and what it overwrites one that somebody agreed to
/// lose. Else the next run would go by the table map's own policy, which may be the opposite.
fn remember_forced(context: &Context<'_>, map: &TableMap, deferred: &[bool], state: &mut PassState) {
    let Some(force) = &context.options.selection.force else { return };
    let failed =
        |held: &&Held| held.to == Some(force.to) && matches!(held.kind, InboxKind::Failed | InboxKind::Skipped);
    let failed: HashSet<Uuid> = state.waits.held().iter().filter(failed).filter_map(|held| held.ids.erp).collect();
    // What was edited while somebody thought about it, nobody agreed to lose.
    let waits = |held: &Held| Some((held.ids.erp?, held.field.filter(|_| held.kind == InboxKind::Contested)?));
    let waiting: HashSet<(Uuid, usize)> = state.waits.held().iter().filter_map(waits).collect();
    for pair in 0..state.records.pairs().len() {
        let (ids, rows) = (state.records.pairs().ids[pair], state.records.pairs().rows[pair]);
        if !failed.contains(&ids.erp) || !state.asks(Some(ids.erp), Some(ids.crm)) {
            continue;
        }
        for (number, field) in map.fields.iter().enumerate() {
            let forced = field.writes(Side::Erp) && field.writes(Side::Crm) && field.when != When::Create;
            if !forced || deferred.get(number) == Some(&true) || waiting.contains(&(ids.erp, number)) {
                continue;
            }
            let mut base = PerSide::from_fn(|side| {
                let column = field.column(side);
                column.map_or(BLANK, |column| fingerprint_in(state.records.frame(side), side, column, *rows.of(side)))
            });
            if state.records.pairs().bases[number][pair] != Some(base) {
                *base.of_mut(force.to.other()) = UNSENT;
                state.settle(pair, number, base, Terms::AGREED);
            }
        }
    }
}
