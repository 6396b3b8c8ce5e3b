//! What a round decides: pairs, new records, and what of it is left to others.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::couple::rows_by_id;
use crate::delta::inserts::{Inserts, decide_inserts};
use crate::delta::{Held, Rounded, Settled, Work, decide_pairs};
use crate::frame::Frame;
use crate::plan::Action;
use crate::run::account::Event;
use crate::run::agenda::Agenda;
use crate::run::given::{gives_key, hold_doubtful, hold_twins, note_twins};
use crate::run::keyed::{has_keys, take_keys, with_tried};
use crate::run::marks;
use crate::run::ours::avoid_others;
use crate::run::refusals::known_ids;
use crate::run::restoring::as_restores;
use crate::run::state::PassState;
use crate::run::step::{PassError, Step};
use crate::run::verify::Aftermath;
use crate::store::{InboxKind, Store, StoreError};

/// Decides what a round does: the pairs, all of them or those touched, and the records that wait for a partner. What is held is
/// held, and what a side refused before is left out.
pub(super) fn decide(
    step: &Step<'_>,
    store: &dyn Store,
    state: &mut PassState,
    agenda: &mut Agenda,
    touched: Option<&HashSet<Uuid>>,
    after: &mut Aftermath,
) -> Result<Vec<Action>, PassError> {
    let (mut actions, mut rounded) = decide_touched(step, store, state, touched)?;
    let mut waiting = std::mem::take(&mut after.waiting);
    for to in Side::BOTH {
        let sources = waiting.of_mut(to.other());
        if step.context.options.approved.is_some() {
            state.approval.admit_sources(step.map, &state.records, &mut state.refusals, to, sources);
        }
        if !sources.is_empty() {
            let (inserts, put_off) = decide_new(step, store, state, (to, agenda.beyond.of(to).as_ref()), sources)?;
            actions.extend(inserts.actions);
            rounded.extend(inserts.rounded);
            state.waits.hold_all(inserts.held);
            state.waits.put_off(inserts.later);
            state.waits.await_readable(inserts.unclear);
            if inserts.lack {
                state.reached.forget();
            }
            after.waiting.of_mut(to.other()).extend(put_off);
        }
        let bystanders = std::mem::take(agenda.bystanders.of_mut(to.other()));
        if !bystanders.is_empty() {
            foresee_new(step, store, state, (to, agenda.beyond.of(to).as_ref()), &bystanders)?;
        }
    }
    tell_rounded(step, &rounded);
    actions.retain(|action| !after.refused.of(action.side).contains(&action.ids.erp));
    state.waits.hold_all(state.refusals.skip(&state.records, step.map, &mut actions));
    Ok(actions)
}

/// Decides which new records are made on a side for those of the other one; what that side holds `beyond` its filter comes
/// along. Returns besides the sources that have their turn later.
fn decide_new(
    step: &Step<'_>,
    store: &dyn Store,
    state: &mut PassState,
    (to, beyond): (Side, Option<&Frame>),
    sources: &[Uuid],
) -> Result<(Inserts, Vec<Uuid>), PassError> {
    let mut inserts = inserts(step, state, (to, beyond), sources)?;
    as_restores(step, store, state, to, &mut inserts.actions)?;
    avoid_others(step, store, state, to, &mut inserts.actions)?;
    hold_doubtful(state, to, &mut inserts.actions);
    take_keys(step, state, to, &mut inserts.actions)?;
    let put_off = match gives_key(step.scope, step.map, to) {
        true => hold_twins(step, store, state, (to, beyond), &mut inserts.actions)?,
        false => Vec::new(),
    };
    Ok((inserts, put_off))
}

/// Takes note of whom new records on a side may be that this run does not make: those get no partner, or a run over everything
/// would find nobody left to couple them with.
fn foresee_new(
    step: &Step<'_>,
    store: &dyn Store,
    state: &mut PassState,
    (to, beyond): (Side, Option<&Frame>),
    sources: &[Uuid],
) -> Result<(), PassError> {
    if gives_key(step.scope, step.map, to) {
        let mut actions = inserts(step, state, (to, beyond), sources)?.actions;
        actions.retain(|action| has_keys(step, to, action));
        note_twins(step, store, state, (to, beyond), &actions)?;
    }
    Ok(())
}

/// Returns what new records on a side would hold, before anybody else is looked at.
fn inserts(
    step: &Step<'_>,
    state: &PassState,
    (to, beyond): (Side, Option<&Frame>),
    sources: &[Uuid],
) -> Result<Inserts, PassError> {
    let by_id = rows_by_id(state.records.frame(to.other()));
    let rows: Vec<usize> = sources.iter().filter_map(|id| by_id.get(id).copied()).collect();
    let counted = with_tried(step, state, to, beyond);
    Ok(decide_inserts(&state.work(step), to, &rows, counted.as_ref())?)
}

/// Decides pairs, all of them or those touched, and takes over what is settled and what is held.
fn decide_touched(
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
    state.backgrounds.note(step, store, (&state.records, &state.tally), &decisions.held)?;
    state.waits.hold_all(decisions.held);
    state.waits.put_off(decisions.later);
    state.waits.await_readable(decisions.unclear);
    let silent = decisions.silent.iter().map(|&(pair, field)| (real(pair), field));
    if state.reached.mark().is_some() && any_edited(step.map, store, state, silent)? {
        state.reached.forget();
    }
    Ok((decisions.actions, decisions.rounded))
}

/// Tells whether a field may have been edited, of those of pairs that wait in silence until a record can be read: those are
/// looked at again then.
fn any_edited(
    map: &TableMap,
    store: &dyn Store,
    state: &PassState,
    silent: impl Iterator<Item = (usize, usize)>,
) -> Result<bool, StoreError> {
    for (pair, number) in silent {
        let (ids, rows) = (state.records.pairs().ids[pair], state.records.pairs().rows[pair]);
        let field = &map.fields[number];
        let known = store.base_values(&map.name, ids.erp, ids.crm)?.remove(&field.key());
        let is_known = |side: Side| {
            let now =
                field.column(side).map(|column| state.records.frame(side).value(column, *rows.of(side)).to_string());
            known.as_ref().is_some_and(|known| now.is_none_or(|now| now == *known.of(side)))
        };
        if !Side::BOTH.into_iter().all(is_known) {
            return Ok(true);
        }
    }
    Ok(false)
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

/// Takes out what goes to a side that the run does not write. Its bases stay, so the next run decides it again.
pub(super) fn leave_undone(step: &Step<'_>, state: &mut PassState, actions: &mut Vec<Action>) {
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
pub(super) fn foresee(step: &Step<'_>, state: &mut PassState) -> Result<Vec<Action>, PassError> {
    let own = |number: usize| {
        let reference = step.map.fields[number].reference.as_ref();
        step.left_out[number] && reference.is_some_and(|reference| reference.table == step.map.name)
    };
    let left_out: Vec<bool> = (0..step.map.fields.len()).map(|number| !own(number)).collect();
    if !left_out.contains(&false) {
        return Ok(Vec::new());
    }
    let decisions = decide_pairs(&Work { left_out: &left_out, ..state.work(step) })?;
    let waits = state.waits.held().iter().chain(state.waits.later());
    let failed = waits.filter(|held| held.kind == InboxKind::Failed);
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
