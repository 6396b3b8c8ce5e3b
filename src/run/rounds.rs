//! Decide, apply, look again: for the touched pairs only, and a bounded number of times.
//!
//! What the other side assigned or refused, and what somebody edited meanwhile, is decided anew.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use uuid::Uuid;

use crate::apply::{Target, apply};
use crate::config::{PerSide, Side};
use crate::couple::{self, Pairs};
use crate::delta::{Held, Work, decide_inserts, decide_pairs};
use crate::frame::Frame;
use crate::plan::{Action, ActionKind};
use crate::run::Event;
use crate::run::bases::{save, set_base};
use crate::run::marks;
use crate::run::pretend::pretend;
use crate::run::refusals::leave_alone;
use crate::run::state::{PassError, PassState, Step};
use crate::run::verify::{Aftermath, failed, verify};
use crate::store::{InboxKind, Store};

/// How often a pair is written in one run: once, once more for what the server made of it, and again where somebody
/// edits the record at the same time.
const ROUNDS_MAX: usize = 5;

/// Records that get a partner.
#[derive(Default)]
pub(super) struct Alone {
    /// By the side where they are; ids, because rows move when frames are brought up to date.
    pub(super) ids: PerSide<Vec<Uuid>>,
    /// What each side holds outside its filter, where that was read: running numbers count past it.
    pub(super) beyond: PerSide<Option<Frame>>,
}

/// Decides and applies until nothing is left to do for the touched pairs.
pub(super) fn rounds(
    step: &Step<'_>,
    store: &mut dyn Store,
    state: &mut PassState,
    alone: Alone,
) -> Result<(), PassError> {
    let clock = || (step.context.options.elapsed)();
    let mut after = Aftermath { waiting: alone.ids, ..Aftermath::default() };
    // A record that failed in the first step is not written by halves in the second.
    let failed_before = |held: &&Held| matches!(held.kind, InboxKind::Failed | InboxKind::Skipped);
    for held in state.held.iter().filter(failed_before) {
        if let (Some(to), Some(erp)) = (held.to, held.ids.erp) {
            after.refused.of_mut(to).insert(erp);
        }
    }
    for round in 0..=ROUNDS_MAX {
        let merging = clock();
        let touched = (round > 0).then(|| std::mem::take(&mut after.again));
        let mut actions = decide_round(step, state, touched.as_ref())?;
        let waiting = std::mem::take(&mut after.waiting);
        for to in Side::BOTH {
            if waiting.of(to.other()).is_empty() {
                continue;
            }
            let by_id = couple::rows_by_id(state.frames.of(to.other()));
            let rows: Vec<usize> = waiting.of(to.other()).iter().filter_map(|id| by_id.get(id).copied()).collect();
            let inserts = decide_inserts(&state.work(step), to, &rows, alone.beyond.of(to).as_ref())?;
            actions.extend(inserts.actions);
            state.held.extend(inserts.held);
        }
        actions.retain(|action| !after.refused.of(action.side).contains(&action.ids.erp));
        leave_alone(state, step.map, &mut actions);
        state.report.seconds.merge += clock() - merging;
        if round == 0 {
            plan(state, &actions);
        }
        if step.context.options.dry_run {
            pretend(state, &actions);
            break;
        }
        if actions.is_empty() {
            break;
        }
        if round == ROUNDS_MAX {
            let message = format!("it still changes after {ROUNDS_MAX} attempts in this run");
            state.held.extend(actions.iter().map(|action| failed(action, &message)));
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

/// Takes over into the plan what the first round decided.
///
/// The version of a record that this plan itself writes before cannot be known, so none is demanded.
fn plan(state: &mut PassState, actions: &[Action]) {
    let writes = |action: &&Action| matches!(action.kind, ActionKind::Insert | ActionKind::Update);
    let planned: HashSet<(Side, Uuid)> =
        state.plan.actions.iter().filter(writes).map(|action| (action.side, action.ids.erp)).collect();
    for action in actions {
        let mut action = action.clone();
        if planned.contains(&(action.side, action.ids.erp)) {
            action.etag = None;
        }
        state.plan.actions.push(action);
    }
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
    let of_side = |action: &&Action| action.side == to && !state.tally.left.contains(&action.ids.erp);
    let actions: Vec<Action> = actions.iter().filter(of_side).cloned().collect();
    if actions.is_empty() {
        return Ok(());
    }
    let applying = clock();
    let total = actions.len();
    let target = Target {
        endpoint: *context.endpoints.of(to),
        info: step.scope.infos.of(to),
        columns: step.scope.columns.of(to),
        run: &context.options.run,
        stop: context.options.stop,
    };
    let (known, must_save) = marks::before_write(state, to, &actions);
    if must_save {
        save(store, step.map, state)?;
    }
    after.known = known;
    let tell = |done: usize| (context.tell)(Event::Writing { table: &step.map.name, side: to, done, total });
    let applied = apply(&actions, to, &target, store, step.scope.empty(to), &tell)?;
    state.report.seconds.apply += clock() - applying;
    let verifying = clock();
    verify(step, store, state, to, &actions, applied, after)?;
    save(store, step.map, state)?;
    state.report.seconds.verify += clock() - verifying;
    Ok(())
}

/// Decides pairs, all of them or those touched, and takes over what is settled and what is held.
fn decide_round(
    step: &Step<'_>,
    state: &mut PassState,
    touched: Option<&HashSet<Uuid>>,
) -> Result<Vec<Action>, PassError> {
    let chosen: Option<Vec<usize>> = touched
        .map(|touched| (0..state.pairs.len()).filter(|&pair| touched.contains(&state.pairs.ids[pair].erp)).collect());
    let decisions = match &chosen {
        None => decide_pairs(&state.work(step))?,
        Some(chosen) => {
            let (frames, pairs) = excerpt(state, chosen);
            decide_pairs(&Work { frames: &frames, pairs: &pairs, ..state.work(step) })?
        }
    };
    let real = |pair: usize| chosen.as_ref().map_or(pair, |chosen| chosen[pair]);
    for (pair, field, base) in decisions.settled {
        set_base(state, real(pair), field, base);
    }
    if let Some(touched) = touched {
        let fields = &step.left_out;
        state.held.retain(|held| {
            let decided = held.field.is_some_and(|field| !fields[field]);
            !(decided && held.ids.crm.is_some() && held.ids.erp.is_some_and(|erp| touched.contains(&erp)))
        });
    }
    for (pair, field) in decisions.lossy {
        let (ids, rows) = (state.pairs.ids[real(pair)], state.pairs.rows[real(pair)]);
        state.lossy.insert((field, ids.erp), state.names.pair(&state.frames, rows));
    }
    let decided: HashSet<(Uuid, usize)> = decisions.drifted.iter().map(|told| (told.ids.erp, told.field)).collect();
    state.drifted.retain(|told| {
        let again = touched.is_none_or(|touched| touched.contains(&told.ids.erp)) && !step.left_out[told.field];
        !again && !decided.contains(&(told.ids.erp, told.field))
    });
    state.drifted.extend(decisions.drifted);
    marks::freeze(step.map, state, &decisions.held);
    state.held.extend(decisions.held);
    Ok(decisions.actions)
}

/// Copies the rows of some pairs into frames of their own, so that a later round costs what it touches.
fn excerpt(state: &PassState, chosen: &[usize]) -> (PerSide<Frame>, Pairs) {
    let mut pairs = state.pairs.subset(chosen);
    let frames = PerSide::from_fn(|side| {
        let rows: Vec<usize> = pairs.rows.iter().map(|rows| *rows.of(side)).collect();
        state.frames.of(side).take(&rows)
    });
    for (row, rows) in pairs.rows.iter_mut().enumerate() {
        *rows = PerSide { erp: row, crm: row };
    }
    (frames, pairs)
}
