//! Decide, apply, look again: for the touched pairs only, and a bounded number of times.
//!
//! What the other side assigned or refused, and what somebody edited meanwhile, is decided anew.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use uuid::Uuid;

use crate::config::{PerSide, Side};
use crate::plan::Action;
use crate::run::agenda::Agenda;
use crate::run::chosen;
use crate::run::deciding::{decide, foresee, leave_undone};
use crate::run::ending::finish_begun;
use crate::run::failures::given_up;
use crate::run::parted::{note, partings};
use crate::run::sending::{ROUNDS_MAX, rest};
use crate::run::state::PassState;
use crate::run::step::{PassError, Step};
use crate::run::verify::Aftermath;
use crate::run::writing::write_side;
use crate::store::{CouplingChange, InboxKind, Store};

/// Decides and applies until nothing is left to do for the touched pairs.
pub(super) fn rounds(
    step: &Step<'_>,
    store: &mut dyn Store,
    state: &mut PassState,
    mut agenda: Agenda,
) -> Result<(), PassError> {
    let clock = || (step.context.options.elapsed)();
    let waiting = std::mem::take(&mut agenda.sources);
    let mut after = Aftermath { waiting, refused: failed_before(state), ..Aftermath::default() };
    let mut silent = 0;
    for round in 0.. {
        let merging = clock();
        let touched = if round == 0 { agenda.pairs.clone() } else { Some(std::mem::take(&mut after.again)) };
        let mut actions = decide(step, store, state, &mut agenda, touched.as_ref(), &mut after)?;
        if round == 0 && state.asked.is_some() {
            chosen::note(step.map, &mut state.outlook, &actions);
        }
        leave_undone(step, state, &mut actions);
        state.admit(step.context, step.map, step.links, &mut actions);
        state.report.seconds.merge += clock() - merging;
        let lost = |action: &Action| after.unanswered.get(&(action.side, action.ids.erp));
        let sides = actions.iter().filter(|action| lost(action).is_some()).map(|action| action.side);
        let rested = rest(step, sides, &mut silent);
        if round >= ROUNDS_MAX && !rested {
            state.waits.hold_all(actions.iter().map(|action| given_up(action, round, lost(action))));
            break;
        }
        state.draft.add(&actions);
        // Later rounds write what the first one wrote, or made, so they add nothing to its sums.
        if round == 0 {
            ask_guard(step, store, state, &actions, agenda.foresees)?;
            couple_pending(step, store, state)?;
        }
        if actions.is_empty() {
            break;
        }
        for to in [Side::Crm, Side::Erp] {
            write_side(step, store, state, to, &actions, &mut after)?;
        }
        if step.context.options.stop.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}

/// Returns the pairs that failed in the first step, by the side that they were for: they are not written by halves in the
/// second.
fn failed_before(state: &PassState) -> PerSide<HashSet<Uuid>> {
    let mut failed: PerSide<HashSet<Uuid>> = PerSide::default();
    let waits = state.waits.held().iter().chain(state.waits.later());
    for held in waits.filter(|held| matches!(held.kind, InboxKind::Failed | InboxKind::Skipped)) {
        if let (Some(to), Some(erp)) = (held.to, held.ids.erp) {
            failed.of_mut(to).insert(erp);
        }
    }
    failed
}

/// Stops the table map where its guard says so, by what is planned, and where it `foresees` that, by what the second step will do;
/// what had been written before is filed.
fn ask_guard(
    step: &Step<'_>,
    store: &mut dyn Store,
    state: &mut PassState,
    actions: &[Action],
    foresees: bool,
) -> Result<(), PassError> {
    // What somebody approved, nobody need be asked again.
    let is_approved = step.context.options.approved.is_some();
    let foreseen = if foresees && !is_approved { foresee(step, state)? } else { Vec::new() };
    state.guarding.note_settled(&state.records, actions);
    state.guarding.note_settled(&state.records, &foreseen);
    let planned = state.draft.actions().iter().chain(&foreseen);
    let Some(trip) = state.guarding.judge(&step.map.guard, planned).filter(|_| !is_approved) else { return Ok(()) };
    let has_begun = state.tally.has_written();
    if has_begun && !state.waits.is_filed() {
        finish_begun(step, store, state)?;
    }
    state.stop(&trip, has_begun, step.context.options.guarded_plan);
    Ok(())
}

/// Stores the couplings that had to wait for the guard, and tells the journal of those that end.
fn couple_pending(step: &Step<'_>, store: &mut dyn Store, state: &mut PassState) -> Result<(), PassError> {
    let pending = state.draft.take_pending();
    let couples = |change: &&CouplingChange| matches!(change, CouplingChange::Couple { .. });
    state.report.uncoupled += pending.iter().filter(|change| !couples(change)).count() as u64;
    if !pending.is_empty() && !state.on_paper(step.context) {
        let partings = partings(store, step.map, state.draft.actions(), &pending)?;
        store.commit(&step.map.name, &[], &pending, &[])?;
        note(step, store, &partings)?;
    }
    Ok(())
}
