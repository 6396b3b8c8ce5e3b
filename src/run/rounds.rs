//! Decide, apply, look again: for the touched pairs only, and a bounded number of times.
//!
//! What the other side assigned or refused, and what somebody edited meanwhile, is decided anew.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use uuid::Uuid;

use crate::apply::{Applied, Shown, Target, apply};
use crate::config::{PerSide, Side};
use crate::couple;
use crate::delta::inserts::decide_inserts;
use crate::delta::{Held, Rounded, Settled, Work, decide_pairs};
use crate::frame::Frame;
use crate::plan::Action;
use crate::run::account::Event;
use crate::run::approval::{admit, admit_sources};
use crate::run::background;
use crate::run::bases::{Agreeing, Proof, before_write};
use crate::run::chosen;
use crate::run::count::finish_begun;
use crate::run::deleting::as_restores;
use crate::run::failures::given_up;
use crate::run::given::{gives_key, hold_doubtful, hold_twins, take_given};
use crate::run::kept::kept_of;
use crate::run::keyed::{take_keys, with_tried};
use crate::run::marks;
use crate::run::ours::avoid_others;
use crate::run::parted::{note, partings};
use crate::run::pretend::Pretended;
use crate::run::refusals::{known_ids, leave_alone, sources};
use crate::run::state::{PassError, PassState, Step};
use crate::run::verify::{Aftermath, count_confirmed, verify};
use crate::store::{Agreed, CouplingChange, InboxKind, Store, StoreError};

/// How often a pair is written in one run: once, once more for what the server made of it, and again where somebody
/// edits the record at the same time. What had no answer is sent as often as the side's patience lasts.
pub(super) const ROUNDS_MAX: usize = 5;

/// Records that get a partner.
#[derive(Default)]
pub(super) struct Alone {
    /// By the side where they are; ids, because rows move when frames are brought up to date.
    pub(super) ids: PerSide<Vec<Uuid>>,
    /// What each side holds outside its filter, where that was read: running numbers count past it.
    pub(super) beyond: PerSide<Option<Frame>>,
    /// The pairs to decide first, by their ERP ids; all of them where nothing is named.
    pub(super) pairs: Option<HashSet<Uuid>>,
    /// The first writes of a table map come now: its guard counts what the second step is known to change besides.
    pub(super) foresees: bool,
}

/// Decides and applies until nothing is left to do for the touched pairs.
pub(super) fn rounds(
    step: &Step<'_>,
    store: &mut dyn Store,
    state: &mut PassState,
    alone: Alone,
) -> Result<(), PassError> {
    let clock = || (step.context.options.elapsed)();
    let approved = step.context.options.approved;
    let mut after = Aftermath { waiting: alone.ids, ..Aftermath::default() };
    // A record that failed in the first step is not written by halves in the second.
    let failed_before = |held: &&Held| matches!(held.kind, InboxKind::Failed | InboxKind::Skipped);
    for held in state.waits.all().filter(failed_before) {
        if let (Some(to), Some(erp)) = (held.to, held.ids.erp) {
            after.refused.of_mut(to).insert(erp);
        }
    }
    let mut silent = 0;
    for round in 0.. {
        let merging = clock();
        let touched = if round == 0 { alone.pairs.clone() } else { Some(std::mem::take(&mut after.again)) };
        let (mut actions, mut rounded) = decide_round(step, store, state, touched.as_ref())?;
        let mut waiting = std::mem::take(&mut after.waiting);
        for to in Side::BOTH {
            admit_sources(approved, step.map, state, to, waiting.of_mut(to.other()));
            if waiting.of(to.other()).is_empty() {
                continue;
            }
            let by_id = couple::rows_by_id(state.records.frame(to.other()));
            let rows: Vec<usize> = waiting.of(to.other()).iter().filter_map(|id| by_id.get(id).copied()).collect();
            let beyond = with_tried(step, state, to, alone.beyond.of(to).as_ref());
            let mut inserts = decide_inserts(&state.work(step), to, &rows, beyond.as_ref())?;
            as_restores(step, store, state, to, &mut inserts.actions)?;
            avoid_others(step, store, state, to, &mut inserts.actions)?;
            hold_doubtful(state, to, &mut inserts.actions);
            take_keys(step, state, to, &mut inserts.actions)?;
            if gives_key(step.scope, step.map, to) {
                let there = (to, alone.beyond.of(to).as_ref());
                let put_off = hold_twins(step, store, state, there, &mut inserts.actions)?;
                after.waiting.of_mut(to.other()).extend(put_off);
            }
            actions.extend(inserts.actions);
            state.waits.hold_all(inserts.held);
            state.waits.put_off(inserts.later);
            rounded.extend(inserts.rounded);
        }
        tell_rounded(step, &rounded);
        actions.retain(|action| !after.refused.of(action.side).contains(&action.ids.erp));
        leave_alone(state, step.map, &mut actions);
        if round == 0 && state.asked.is_some() {
            chosen::note(step.map, &mut state.outlook, &actions);
        }
        leave_undone(step, state, &mut actions);
        admit(approved, step.map, step.links, state, &mut actions);
        state.report.seconds.merge += clock() - merging;
        let lost = |action: &&Action| after.unanswered.contains_key(&(action.side, action.ids.erp));
        let rested = rest(step, actions.iter().filter(lost).map(|action| action.side), &mut silent);
        if round >= ROUNDS_MAX && !rested {
            state.waits.hold_all(
                actions
                    .iter()
                    .map(|action| given_up(action, round, after.unanswered.get(&(action.side, action.ids.erp)))),
            );
            break;
        }
        state.draft.add(&actions);
        // Later rounds write what the first one wrote, or made, so they add nothing to its sums.
        if round == 0 {
            let foreseen = if alone.foresees && approved.is_none() { foresee(step, state)? } else { Vec::new() };
            state.guarding.note_settled(&state.records, &actions);
            state.guarding.note_settled(&state.records, &foreseen);
            let planned = state.draft.actions().iter().chain(&foreseen);
            // What somebody approved, nobody need be asked again.
            let trip = state.guarding.judge(&step.map.guard, planned).filter(|_| approved.is_none());
            if let Some(trip) = trip {
                let has_begun = state.tally.has_written();
                if has_begun && !state.waits.is_filed() {
                    finish_begun(step, store, state)?;
                }
                state.stop(&trip, has_begun, step.context.options.guarded_plan);
            }
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

/// Waits before something goes to sides once more that had no answer, as long as for a read, or until the run has to end;
/// tells whether they are worth another attempt for that. What came late has come by then, and shows as a version or a record.
///
/// `silent` counts how often that was so.
pub(super) fn rest(step: &Step<'_>, sides: impl Iterator<Item = Side>, silent: &mut u32) -> bool {
    let sides: HashSet<Side> = sides.collect();
    *silent += u32::from(!sides.is_empty());
    let rested = |side: &Side| step.context.endpoints.of(*side).rest(*silent);
    // Each of them is waited for.
    sides.iter().filter(|side| rested(side)).count() > 0
}

/// Takes out what goes to a side that the run does not write. Its bases stay, so the next run decides it again.
fn leave_undone(step: &Step<'_>, state: &mut PassState, actions: &mut Vec<Action>) {
    actions.retain(|action| {
        let writes = step.context.writes(action.side);
        if !writes {
            state.refusals.note_unsent(action);
            state.tally.leave_undone(action.side, known_ids(action));
        }
        writes
    });
}

/// Returns what the second step will change in pairs that are there: references to the same table that lead to somebody
/// already. What leads to a record that is yet to be made, or to a table map that has not had its turn, nobody knows.
fn foresee(step: &Step<'_>, state: &mut PassState) -> Result<Vec<Action>, PassError> {
    let own = |number: usize| {
        let reference = step.map.fields[number].reference.as_ref();
        step.left_out[number] && reference.is_some_and(|reference| reference.table == step.map.name)
    };
    let left_out: Vec<bool> = (0..step.map.fields.len()).map(|number| !own(number)).collect();
    if !left_out.contains(&false) {
        return Ok(Vec::new());
    }
    let decisions = decide_pairs(&Work { left_out: &left_out, ..state.work(step) })?;
    let failed = state.waits.all().filter(|held| held.kind == InboxKind::Failed);
    let failed: HashSet<(Option<Side>, Option<Uuid>)> = failed.map(|held| (held.to, held.ids.erp)).collect();
    let decided: HashSet<Uuid> = decisions.decided.iter().map(|&pair| state.records.pairs().ids[pair].erp).collect();
    let mut actions = decisions.actions;
    actions.retain(|action| {
        // One that is blank for now may lead in the end to where it leads already.
        let leads = action.fields.iter().any(|change| !change.new.is_blank());
        let comes = step.context.writes(action.side) && !failed.contains(&(Some(action.side), Some(action.ids.erp)));
        leads && comes && !decided.contains(&action.ids.erp)
    });
    state.guarding.count_all(&actions);
    Ok(actions)
}

/// Stores the couplings that had to wait for the guard, and tells the journal of those that end.
fn couple_pending(step: &Step<'_>, store: &mut dyn Store, state: &mut PassState) -> Result<(), PassError> {
    let pending = state.draft.take_pending();
    let couples = |change: &&CouplingChange| matches!(change, CouplingChange::Couple { .. });
    state.report.uncoupled += pending.iter().filter(|change| !couples(change)).count() as u64;
    if !pending.is_empty() && !step.context.on_paper(state) {
        let partings = partings(store, step.map, state.draft.actions(), &pending)?;
        store.commit(&step.map.name, &[], &pending, &[])?;
        note(step, store, &partings)?;
    }
    Ok(())
}

/// Carries out the actions on one side and takes their outcomes.
fn write_side(
    step: &Step<'_>,
    store: &mut dyn Store,
    state: &mut PassState,
    to: Side,
    actions: &[Action],
    after: &mut Aftermath,
) -> Result<(), PassError> {
    let context = step.context;
    let clock = || (context.options.elapsed)();
    // A pair of which a record just left its filter is none any more.
    let of_side = |action: &&Action| action.side == to && !state.tally.gone_outside().contains(&action.ids.erp);
    let actions: Vec<Action> = actions.iter().filter(of_side).cloned().collect();
    if actions.is_empty() {
        return Ok(());
    }
    let applying = clock();
    let (known, must_save) = marks::before_write(&mut state.records, state.waits.held(), to, &actions);
    if must_save && !context.on_paper(state) {
        state.records.save(store, step.map)?;
    }
    after.known = known;
    let mut actions = actions;
    let mut applied = match context.paper(state) {
        Some(sides) => pretend(step, state, sides.of(to), to, &actions),
        None => {
            let sources = sources(&state.records, to, &actions);
            let before = before_write(&state.records, step.map, to, &actions);
            let agreeing = Agreeing::new(state.work(step), to, &sources);
            let agreed = |action: &Action, shown: Option<Shown<'_>>| {
                let got = shown.map(|(frame, row)| (frame, row, Proof::Returned));
                let kept = got.map_or_else(Vec::new, |got| kept_of(to, got, &before, action));
                agreeing.on(action, &kept, got)
            };
            send(step, store, to, &actions, &agreed)?
        }
    };
    state.report.seconds.apply += clock() - applying;
    count_confirmed(step, state, to, &actions, &applied)?;
    let verifying = clock();
    take_given(step, store, state, to, &mut actions, &mut applied)?;
    verify(step, store, state, to, &actions, applied, after)?;
    if !context.on_paper(state) {
        state.records.save(store, step.map)?;
    }
    state.report.seconds.verify += clock() - verifying;
    Ok(())
}

/// Sends the actions to their side; `agreed` as for [`apply`].
pub(super) fn send(
    step: &Step<'_>,
    store: &mut dyn Store,
    to: Side,
    actions: &[Action],
    agreed: &dyn Fn(&Action, Option<Shown<'_>>) -> Vec<Agreed>,
) -> Result<Applied, StoreError> {
    let context = step.context;
    let total = actions.len();
    let target = Target {
        map: step.map,
        endpoint: *context.endpoints.of(to),
        info: step.scope.infos.of(to),
        columns: step.scope.columns.of(to),
        run: &context.options.run,
        stop: context.options.stop,
    };
    let tell = |done: usize| (context.tell)(Event::Writing { table: &step.map.name, side: to, done, total });
    apply(actions, to, &target, store, step.scope.empty(to), agreed, &tell)
}

/// Carries out the actions on paper, and leaves open what only the side will tell of new records.
fn pretend(step: &Step<'_>, state: &mut PassState, side: &Pretended<'_>, to: Side, actions: &[Action]) -> Applied {
    let applied = side.apply(step.scope.infos.of(to), state.records.frame(to), actions);
    for action in actions.iter().filter(|action| !action.follow_ups.is_empty()) {
        let fields = action.follow_ups.iter().map(|follow_up| follow_up.field).collect();
        state.records.leave_untold(action.ids.erp, fields);
    }
    applied
}

/// Decides pairs, all of them or those touched, and takes over what is settled and what is held.
fn decide_round(
    step: &Step<'_>,
    store: &dyn Store,
    state: &mut PassState,
    touched: Option<&HashSet<Uuid>>,
) -> Result<(Vec<Action>, Vec<Rounded>), PassError> {
    let chosen: Option<Vec<usize>> = touched.map(|touched| {
        (0..state.records.pairs().len())
            .filter(|&pair| touched.contains(&state.records.pairs().ids[pair].erp))
            .collect()
    });
    let decisions = match &chosen {
        None => decide_pairs(&state.work(step))?,
        Some(chosen) => {
            let (frames, pairs) = state.records.excerpt(chosen);
            decide_pairs(&Work { frames: &frames, pairs: &pairs, ..state.work(step) })?
        }
    };
    let real = |pair: usize| chosen.as_ref().map_or(pair, |chosen| chosen[pair]);
    let settled: Vec<Settled> =
        decisions.settled.into_iter().map(|one| Settled { pair: real(one.pair), ..one }).collect();
    let looked_at = chosen.clone().unwrap_or_else(|| (0..state.records.pairs().len()).collect());
    state.records.tell_terms(step.map, &looked_at, &settled);
    for Settled { pair, field, base, terms } in settled {
        state.settle(pair, field, base, terms);
    }
    if let Some(touched) = touched {
        let fields = &step.left_out;
        let is_again = |held: &Held| {
            let decided = held.field.is_some_and(|field| !fields[field]);
            decided && held.ids.crm.is_some() && held.ids.erp.is_some_and(|erp| touched.contains(&erp))
        };
        state.waits.take_back(is_again);
        state.waits.take_back_later(is_again);
    }
    let again = |ids: PerSide<Uuid>, field: usize| {
        !step.left_out[field] && touched.is_none_or(|touched| touched.contains(&ids.erp))
    };
    let ids = |pair: usize| state.records.pairs().ids[real(pair)];
    state.by_people.note_fields(again, decisions.standing.into_iter().map(|(pair, field)| (ids(pair), field)));
    if touched.is_none() {
        state.guarding.count_all(&decisions.actions);
        decisions.decided.into_iter().for_each(|pair| state.guarding.spare(ids(pair).erp));
    }
    for (pair, field) in decisions.lossy {
        let record = state.records.name_of_pair(state.records.pairs().rows[real(pair)]);
        state.remarks.note_lossy(field, ids(pair).erp, record);
    }
    state.remarks.note_drifted(|told| again(told.ids, told.field), decisions.drifted);
    state.forced.note_overwritten(decisions.overwritten);
    marks::freeze(step.map, &mut state.records, &decisions.held);
    background::note(step, store, state, &decisions.held)?;
    state.waits.hold_all(decisions.held);
    state.waits.put_off(decisions.later);
    Ok((decisions.actions, decisions.rounded))
}

/// Tells which fields went over with fewer digits, each with its first record.
fn tell_rounded(step: &Step<'_>, rounded: &[Rounded]) {
    for (number, field) in step.map.fields.iter().enumerate() {
        for to in Side::BOTH {
            let mut those = rounded.iter().filter(|rounded| (rounded.field, rounded.to) == (number, to));
            let Some(first) = those.next() else { continue };
            let more = match those.count() {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            let Rounded { record, from, into, .. } = first;
            let column = field.column(to).unwrap_or_default();
            let message = format!("{record}: {column} of the {} keeps {into} of {from}{more}", to.name());
            (step.context.tell)(Event::Note { table: &step.map.name, message: &message });
        }
    }
}
