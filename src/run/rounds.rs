//! Decide, apply, look again: for the touched pairs only, and a bounded number of times.
//!
//! What the other side assigned or refused, and what somebody edited meanwhile, is decided anew.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use uuid::Uuid;

use crate::apply::{Target, apply};
use crate::config::{PerSide, Side, TableMap};
use crate::couple::{self, Pairs};
use crate::delta::{Work, decide_inserts, decide_pairs};
use crate::frame::Frame;
use crate::plan::Action;
use crate::run::bases::{save, set_base};
use crate::run::state::{PassError, PassState, Step};
use crate::run::verify::verify;
use crate::run::{Context, Event};
use crate::store::Store;

/// How often a pair is decided in one run: once, once more for what the server made of it, and again where somebody
/// edits the record at the same time.
const ROUNDS_MAX: usize = 5;

/// Rows that get a partner, by the side where they are, and what their target side holds outside its filter.
type Alone<'a> = (&'a PerSide<Vec<usize>>, &'a PerSide<Option<Frame>>);

/// Decides and applies until nothing is left to do for the touched pairs.
pub(super) fn rounds(
    context: &Context<'_>,
    store: &mut dyn Store,
    map: &TableMap,
    step: &Step<'_>,
    state: &mut PassState,
    alone: Option<Alone<'_>>,
) -> Result<(), PassError> {
    let clock = || (context.options.elapsed)();
    // Records without partner, by id, because rows move when frames are brought up to date.
    let mut waiting: PerSide<Vec<Uuid>> = PerSide::default();
    if let Some((alone, _)) = alone {
        waiting = PerSide::from_fn(|side| alone.of(side).iter().map(|&row| state.frames.of(side).id(row)).collect());
    }
    let mut touched: Option<HashSet<Uuid>> = None;
    for round in 0..ROUNDS_MAX {
        let merging = clock();
        let mut actions = decide_round(context, map, step, state, touched.as_ref())?;
        for to in Side::BOTH {
            let by_id = couple::rows_by_id(state.frames.of(to.other()));
            let rows: Vec<usize> = waiting.of(to.other()).iter().filter_map(|id| by_id.get(id).copied()).collect();
            let taken = alone.and_then(|(_, beyond)| beyond.of(to).as_ref());
            let inserts = decide_inserts(&state.work(context, map, step), to, &rows, taken)?;
            actions.extend(inserts.actions);
            if round == 0 {
                state.held.extend(inserts.held);
            }
        }
        state.report.seconds.merge += clock() - merging;
        if round == 0 {
            state.plan.actions.extend(actions.iter().cloned());
        }
        if context.options.dry_run || actions.is_empty() {
            break;
        }
        let mut again: HashSet<Uuid> = HashSet::new();
        waiting = PerSide::default();
        for to in [Side::Crm, Side::Erp] {
            let side_actions: Vec<Action> = actions.iter().filter(|action| action.side == to).cloned().collect();
            if side_actions.is_empty() {
                continue;
            }
            let applying = clock();
            let total = side_actions.len();
            let target = Target {
                endpoint: *context.endpoints.of(to),
                info: step.scope.infos.of(to),
                columns: step.scope.columns.of(to),
                run: &context.options.run,
                stop: context.options.stop,
            };
            let tell = |done: usize| (context.tell)(Event::Writing { table: &map.name, side: to, done, total });
            let applied = apply(&side_actions, to, &target, store, step.scope.empty(to), &tell)?;
            state.report.seconds.apply += clock() - applying;
            let verifying = clock();
            let last = round + 1 == ROUNDS_MAX;
            verify(context, store, map, step, state, to, &side_actions, applied, &mut again, &mut waiting, last)?;
            save(store, map, state)?;
            state.report.seconds.verify += clock() - verifying;
        }
        if context.options.stop.load(Ordering::Relaxed) {
            break;
        }
        touched = Some(again);
    }
    Ok(())
}

/// Decides pairs, all of them or those touched, and takes over what is settled and what is held.
fn decide_round(
    context: &Context<'_>,
    map: &TableMap,
    step: &Step<'_>,
    state: &mut PassState,
    touched: Option<&HashSet<Uuid>>,
) -> Result<Vec<Action>, PassError> {
    let chosen: Option<Vec<usize>> = touched
        .map(|touched| (0..state.pairs.len()).filter(|&pair| touched.contains(&state.pairs.ids[pair].erp)).collect());
    let decisions = match &chosen {
        None => decide_pairs(&state.work(context, map, step))?,
        Some(chosen) => {
            let (frames, pairs) = excerpt(state, chosen);
            let work = state.work(context, map, step);
            decide_pairs(&Work { frames: &frames, pairs: &pairs, ..work })?
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
