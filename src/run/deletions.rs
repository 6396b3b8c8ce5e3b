//! Pairs of which one record was deleted: decided with the rest of the pass, and carried out where that means deleting
//! the other, when every table map had its turn.
//!
//! Deletions come last and go from the last table map to the first, so that what refers to a record goes before it. Each
//! names the version that was looked at; a record that somebody edited meanwhile is not deleted.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use uuid::Uuid;

use crate::apply::{Applied, couplings_after};
use crate::config::{PerSide, Side, TableMap};
use crate::couple::{Absent, alike, found_beyond, rows_by_id};
use crate::delta::deletion::{Facts, Fate, Reason, decide, edited};
use crate::delta::merge::Why;
use crate::delta::restore::give_back;
use crate::delta::{Held, restored_id};
use crate::endpoint::Outcome;
use crate::extract::{self, Scope};
use crate::frame::Frame;
use crate::plan::{Action, ActionKind};
use crate::run::Context;
use crate::run::approval::{admit, admits};
use crate::run::bases::before_write;
use crate::run::decided;
use crate::run::notes::{count, note_it};
use crate::run::partners::{Widowed, outside, without};
use crate::run::refusals::{leave_alone, print_of};
use crate::run::rounds::{Alone, ROUNDS_MAX, send};
use crate::run::state::{Doomed, PassError, PassState, Step};
use crate::run::verify::failed;
use crate::store::{Answer, CouplingChange, Couplings, InboxKind, Store, Survivor};
use crate::translate::Links;

/// Decides what becomes of the survivors; what is to be made anew goes into `alone`.
pub(super) fn settle_widowed(
    step: &Step<'_>,
    store: &dyn Store,
    state: &mut PassState,
    widowed: Vec<Widowed>,
    couplings: &Couplings,
    alone: &mut Alone,
) -> Result<(), PassError> {
    let map = step.map;
    let mut restores: PerSide<Vec<Widowed>> = PerSide::default();
    let mut deletes: PerSide<Vec<Widowed>> = PerSide::default();
    for widow in widowed {
        if state.rulings.of_pair(widow.ids).is_some() {
            state.standing.insert((widow.ids, None));
        }
        let fate = match fate(map, state, &widow) {
            Fate::Restore if !step.context.writes(widow.gone) => Fate::Hold(Reason::OtherWay),
            Fate::Delete if !step.context.writes(widow.gone.other()) => Fate::Hold(Reason::OtherWay),
            fate => fate,
        };
        match fate {
            Fate::Hold(reason) => hold(state, map, &widow, reason),
            Fate::Restore => restores.of_mut(widow.gone).push(widow),
            Fate::Delete => deletes.of_mut(widow.gone.other()).push(widow),
            Fate::Uncouple => {
                let (PerSide { erp, crm }, record) = (widow.ids, widow.record.clone());
                let why = format!("deleted in the {}; the two are kept apart from now on", widow.gone.name());
                let action = action(map, &widow, ActionKind::KeepApart, Side::Erp, why);
                if admits(step.context.options.approved, map, step.links, state, &action) {
                    state.pending.push(CouplingChange::KeepApart { erp, crm, record });
                    state.plan.actions.push(action);
                }
                skip(state, map, &widow);
            }
        }
    }
    for gone in Side::BOTH {
        let widows = std::mem::take(restores.of_mut(gone));
        if !widows.is_empty() {
            restore(step, state, gone, widows, couplings, alone)?;
        }
        let widows = std::mem::take(deletes.of_mut(gone.other()));
        if !widows.is_empty() {
            doom(step, store, state, gone.other(), widows, couplings)?;
        }
    }
    Ok(())
}

fn fate(map: &TableMap, state: &PassState, widow: &Widowed) -> Fate {
    decide(&Facts {
        on_delete: decided::on_delete(map, state.rulings.of_pair(widow.ids)),
        gone: widow.gone,
        writes: PerSide::from_fn(|side| map.direction.writes(side)),
        inside: widow.row.is_some(),
    })
}

/// Returns the couplings that hold on while records are matched, and adds to those kept apart the survivors of the others:
/// what the next run would find uncoupled, this one does.
pub(super) fn still_coupled(
    map: &TableMap,
    state: &PassState,
    absent: &[Absent],
    widowed: &[Widowed],
    apart: &mut PerSide<Frame>,
) -> Vec<Absent> {
    let freed: Vec<&Widowed> = widowed.iter().filter(|widow| fate(map, state, widow) == Fate::Uncouple).collect();
    for left in Side::BOTH {
        let rows: Vec<usize> = freed.iter().filter(|widow| widow.gone != left).filter_map(|widow| widow.row).collect();
        if !rows.is_empty() {
            apart.of_mut(left).upsert(&state.frames.of(left).take(&rows));
        }
    }
    let freed: HashSet<Uuid> = freed.iter().map(|widow| widow.ids.erp).collect();
    absent.iter().filter(|absent| !freed.contains(&absent.ids.erp)).copied().collect()
}

/// Lets the partners of survivors be made anew, but for those of which the side has another record already.
fn restore(
    step: &Step<'_>,
    state: &mut PassState,
    gone: Side,
    widows: Vec<Widowed>,
    couplings: &Couplings,
    alone: &mut Alone,
) -> Result<(), PassError> {
    let (map, context, left) = (step.map, step.context, gone.other());
    let mut everything = state.frames.of(gone).clone();
    if map.sides.of(gone).filter.is_some() {
        everything = extract::read_beyond(step.map, step.scope, gone, *context.endpoints.of(gone))?;
        // New numbers count on past what is outside, too.
        alone.beyond.of_mut(gone).get_or_insert_with(|| outside(&everything, state.frames.of(gone)));
    }
    let taken = coupled(state, couplings, gone);
    let free = without(&everything, |id| taken.contains(id));
    let rows: Vec<usize> = widows.iter().filter_map(|widow| widow.row).collect();
    let survivors = state.frames.of(left).clone();
    let twins = found_beyond(map, &step.scope.infos, left, &survivors, &rows, &free, step.links);
    let restored: Vec<usize> = rows.iter().copied().filter(|row| !twins.contains(row)).collect();
    hold_doubles(step, state, left, &restored, alone);
    for widow in widows {
        if widow.row.is_some_and(|row| twins.contains(&row)) {
            hold(state, map, &widow, Reason::Twin);
            continue;
        }
        let survivor = *widow.ids.of(left);
        state.restores.of_mut(gone).insert(survivor, *widow.ids.of(gone));
        state.left.of_mut(left).push(survivor);
        alone.ids.of_mut(left).push(survivor);
    }
    Ok(())
}

/// Holds the records that would get a new partner beside one that is made anew and looks the same: one of the two is one
/// too many, and the next run would say so.
fn hold_doubles(step: &Step<'_>, state: &mut PassState, left: Side, restored: &[usize], alone: &mut Alone) {
    let frame = state.frames.of(left);
    let by_id = rows_by_id(frame);
    let rows: Vec<usize> = alone.ids.of(left).iter().filter_map(|id| by_id.get(id).copied()).collect();
    let found = alike(step.map, &step.scope.infos, left, frame, (&rows, restored), step.links);
    for (row, other, rule) in found {
        let (id, record) = (frame.id(row), state.names.row(frame, left, row));
        let other = state.names.row(frame, left, other);
        let message = format!(
            "{record} matches {other} by rule {rule}, whose partner was deleted in the {} and is made anew",
            left.other().name()
        );
        let ids = match left {
            Side::Erp => PerSide { erp: Some(id), crm: None },
            Side::Crm => PerSide { erp: None, crm: Some(id) },
        };
        let (kind, values) = (InboxKind::Ambiguous, PerSide::default());
        state.held.push(Held { kind, record, ids, field: None, values, to: None, message });
        alone.ids.of_mut(left).retain(|known| *known != id);
    }
}

/// Returns the records of a side that have a partner, those that this run coupled among them.
fn coupled(state: &PassState, couplings: &Couplings, side: Side) -> HashSet<Uuid> {
    let ids = if side == Side::Erp { &couplings.erp } else { &couplings.crm };
    ids.iter().chain(state.pairs.ids.iter().map(|ids| ids.of(side))).copied().collect()
}

/// Plans to delete survivors, but for those that somebody edited, or of which the other side has another record.
fn doom(
    step: &Step<'_>,
    store: &dyn Store,
    state: &mut PassState,
    left: Side,
    widows: Vec<Widowed>,
    couplings: &Couplings,
) -> Result<(), PassError> {
    let frame = state.frames.of(left);
    let bases: Vec<Vec<Option<PerSide<u64>>>> =
        widows.iter().map(|widow| couplings.bases.iter().map(|field| field[widow.coupling]).collect()).collect();
    let rows: Vec<usize> = widows.iter().filter_map(|widow| widow.row).collect();
    let ids: Vec<PerSide<Uuid>> = widows.iter().map(|widow| widow.ids).collect();
    let text = |row: usize, field: usize| text_before(store, step.map, ids[row], left, field);
    let reasons = edited(step.map, &step.scope.infos, step.links, left, &frame.take(&rows), &bases, &text)?;
    let taken = coupled(state, couplings, left.other());
    let free = without(state.frames.of(left.other()), |id| taken.contains(id));
    let twins = found_beyond(step.map, &step.scope.infos, left, frame, &rows, &free, step.links);
    let etags: Vec<Option<String>> = rows.iter().map(|row| frame.etag(*row)).collect();
    let mut actions = Vec::new();
    for (((widow, bases), reason), etag) in widows.into_iter().zip(bases).zip(reasons).zip(etags) {
        let twin = widow.row.filter(|row| twins.contains(row)).map(|_| Reason::Twin);
        let ruled = state.rulings.of_pair(widow.ids).map(|ruled| (ruled.seen, ruled.on));
        let now = widow.row.map(|row| decided::print_of(step.map, left, state.frames.of(left), row));
        let reason = match ruled {
            // What the record held when somebody decided is what he decided about.
            Some((Some(seen), _)) => (now != Some(seen)).then_some(Reason::Changed),
            _ => twin.or(reason),
        };
        if let Some(reason) = reason {
            hold(state, step.map, &widow, reason);
            continue;
        }
        skip(state, step.map, &widow);
        let gone = widow.gone.name();
        let why = match ruled {
            Some((_, on)) => format!("deleted in the {gone}; {}", Why::Decided(on)),
            None => format!("deleted in the {gone}, and not edited in the {} since", left.name()),
        };
        if ruled.is_some() {
            state.decided.insert(widow.ids.erp);
        }
        let action = Action { etag, ..action(step.map, &widow, ActionKind::Delete, left, why) };
        actions.push(action.clone());
        state.doomed.push(Doomed { action, bases, print: now.filter(|_| ruled.is_some()) });
    }
    leave_alone(state, step.map, &mut actions);
    admit(step.context.options.approved, step.map, step.links, state, &mut actions);
    let sent: HashSet<Uuid> = actions.iter().map(|action| action.ids.erp).collect();
    state.doomed.retain(|doomed| doomed.action.side != left || sent.contains(&doomed.action.ids.erp));
    state.plan.actions.extend(actions);
    Ok(())
}

/// Returns what a side held in a field when a pair was last settled; nothing where values are not kept.
fn text_before(store: &dyn Store, map: &TableMap, ids: PerSide<Uuid>, side: Side, field: usize) -> Option<String> {
    // Who cannot read the state now cannot write it a moment later either; until then nothing is known.
    let values = store.base_values(&map.name, ids.erp, ids.crm).ok()?;
    values.get(&map.fields[field].key()).map(|value| value.of(side).clone())
}

/// Makes an action about a pair of which one record is gone.
pub(super) fn action(map: &TableMap, widow: &Widowed, kind: ActionKind, side: Side, why: String) -> Action {
    Action {
        table: map.name.clone(),
        record: widow.record.clone(),
        side,
        kind,
        why,
        ids: widow.ids,
        etag: None,
        fields: Vec::new(),
        follow_ups: Vec::new(),
    }
}

fn hold(state: &mut PassState, map: &TableMap, widow: &Widowed, reason: Reason) {
    skip(state, map, widow);
    let left = widow.gone.other();
    let print = widow.row.map(|row| decided::print_of(map, left, state.frames.of(left), row));
    state.survivors.push(Survivor { ids: widow.ids, left, print });
    state.left.of_mut(left).push(*widow.ids.of(left));
    // Somebody made it anew by hand: then there is one thing to do about both records.
    let anew = state.made_anew.get(widow.ids.of(left)).filter(|_| map.direction.writes(widow.gone));
    let message = match (anew, reason) {
        (Some(anew), Reason::Asked | Reason::Twin | Reason::Edited | Reason::NeverSettled) => {
            reason_made_anew(&widow.record, widow.gone, anew)
        }
        _ => reason.sentence(&widow.record, widow.gone),
    };
    state.held.push(held(widow.record.clone(), widow.ids, message));
}

fn reason_made_anew(record: &str, gone: Side, anew: &str) -> String {
    let name = if record.contains(' ') { format!("'{record}'") } else { record.to_owned() };
    format!(
        "{record} was deleted in the {}, and {anew} there looks like it: `pipeline inbox FILE restore {name}` couples the two",
        gone.name()
    )
}

fn held(record: String, ids: PerSide<Uuid>, message: String) -> Held {
    Held {
        kind: InboxKind::Deleted,
        record,
        ids: PerSide { erp: Some(ids.erp), crm: Some(ids.crm) },
        field: None,
        values: PerSide::default(),
        to: None,
        message,
    }
}

/// Counts a survivor that was read, in the direction away from it.
fn skip(state: &mut PassState, map: &TableMap, widow: &Widowed) {
    if widow.row.is_some() && map.direction.writes(widow.gone) {
        *state.tally.skipped.of_mut(widow.gone) += 1;
    }
}

/// Turns inserts of survivors' partners into restores, with what only the side that lost them knew.
pub(super) fn as_restores(
    step: &Step<'_>,
    store: &dyn Store,
    state: &mut PassState,
    to: Side,
    actions: &mut [Action],
) -> Result<(), PassError> {
    let (map, pipeline) = (step.map, &step.context.pipeline.name);
    for action in actions.iter_mut() {
        let source = *action.ids.of(to.other());
        let Some(&gone) = state.restores.of(to).get(&source) else { continue };
        action.kind = ActionKind::Restore { gone };
        *action.ids.of_mut(to) = gone;
        let ruled = state.rulings.of_pair(action.ids).map(|ruled| Why::Decided(ruled.on));
        *action.ids.of_mut(to) = restored_id(pipeline, &map.name, to, source, gone);
        action.why = format!("deleted in the {}, made anew from the {}", to.name(), to.other().name());
        if let Some(why) = ruled {
            action.why += &format!("; {why}");
            state.decided.insert(action.ids.erp);
        }
    }
    // What cannot be read now is not known; the survivor may show it.
    let remembered = |ids: PerSide<Uuid>| store.base_values(&map.name, ids.erp, ids.crm).unwrap_or_default();
    let lost = give_back(&state.work(step), to, actions, &remembered)?;
    for (number, field) in map.fields.iter().enumerate() {
        let mut records = lost.iter().filter(|(lost, _)| *lost == number).map(|(_, record)| record);
        let Some(first) = records.next() else { continue };
        let more = records.count();
        let (those, rest) = (count(more + 1, "record"), if more > 0 { ", …" } else { "" });
        let info = field.column(to).and_then(|column| step.scope.infos.of(to).column(column));
        let why = match info.is_some_and(|info| info.insertable) {
            true => "nobody knows any more what it held there",
            false => "it cannot be written there",
        };
        let (name, side) = (field.name(), to.name());
        let note = format!("{name} is not given back to {those} made anew in the {side}: {why} ({first}{rest})");
        // A record whose answer was lost is decided a second time.
        if !state.report.notes.contains(&note) {
            note_it(step.context, &mut state.report, note);
        }
    }
    Ok(())
}

/// Carries out the deletions of a table map.
pub(super) fn delete(step: &Step<'_>, store: &mut dyn Store, state: &mut PassState) -> Result<(), PassError> {
    let mut doomed = std::mem::take(&mut state.doomed);
    for round in 0..=ROUNDS_MAX {
        let mut again = Vec::new();
        for left in Side::BOTH {
            let (here, elsewhere) = doomed.into_iter().partition(|doomed: &Doomed| doomed.action.side == left);
            doomed = elsewhere;
            again.extend(delete_side(step, store, state, left, here, round == ROUNDS_MAX)?);
        }
        if again.is_empty() || step.context.options.stop.load(Ordering::Relaxed) {
            break;
        }
        doomed = again;
    }
    Ok(())
}

/// Deletes on one side; returns what has to be tried again.
fn delete_side(
    step: &Step<'_>,
    store: &mut dyn Store,
    state: &mut PassState,
    left: Side,
    doomed: Vec<Doomed>,
    last: bool,
) -> Result<Vec<Doomed>, PassError> {
    let (context, scope) = (step.context, step.scope);
    if doomed.is_empty() {
        return Ok(Vec::new());
    }
    let clock = || (context.options.elapsed)();
    let applying = clock();
    let actions: Vec<Action> = doomed.iter().map(|doomed| doomed.action.clone()).collect();
    let before = before_write(state, step.map, left, &actions);
    let Applied { outcomes, journal, .. } = match context.paper(state) {
        Some(sides) => sides.of(left).apply(scope.infos.of(left), &scope.empty(left), &actions),
        None => send(step, store, left, &actions)?,
    };
    state.report.seconds.apply += clock() - applying;

    let unclear = |outcome: &Outcome| matches!(outcome, Outcome::Stale | Outcome::Exists | Outcome::Unknown { .. });
    let unread = actions.iter().zip(&outcomes).filter(|(_, outcome)| unclear(outcome));
    let unread: Vec<Uuid> = unread.map(|(action, _)| *action.ids.of(left)).collect();
    let read = extract::read_ids(scope, left, *context.endpoints.of(left), unread)?;
    let found: HashSet<Uuid> = read.ids().into_iter().collect();
    let (mut answers, mut changes, mut again) = (Vec::new(), Vec::new(), Vec::new());
    for ((doomed, outcome), journal_id) in doomed.into_iter().zip(&outcomes).zip(journal) {
        let action = &doomed.action;
        let there = found.contains(action.ids.of(left));
        match outcome {
            Outcome::Written => drop(state.tally.deleted.of_mut(left).insert(action.ids.erp)),
            // Somebody was faster; there is nothing left to do.
            Outcome::Gone => {}
            Outcome::Refused { message } | Outcome::NotSent { message } => {
                if matches!(outcome, Outcome::Refused { .. }) {
                    let print = print_of(state, step.map, action, &before);
                    state.refusals.note(action, message, print);
                } else {
                    state.refusals.note_unsent(action);
                }
                state.held.push(undeleted(action, message));
                continue;
            }
            Outcome::Stale | Outcome::Exists | Outcome::Unknown { .. } => {
                if let Outcome::Unknown { .. } = outcome {
                    let outcome = if there { "found" } else { "not found" }.to_owned();
                    answers.push(Answer { journal_id, outcome, message: String::new() });
                }
                if there {
                    again.push(doomed);
                    continue;
                }
                changes.extend(couplings_after(action));
                if let Outcome::Unknown { .. } = outcome {
                    state.tally.deleted.of_mut(left).insert(action.ids.erp);
                }
            }
        }
        state.report.uncoupled += 1;
    }
    if !context.on_paper(state) && (!answers.is_empty() || !changes.is_empty()) {
        store.answer(&answers, &step.map.name, &changes)?;
    }
    let mut again = spare(step, store, state, left, again, &read)?;
    again.retain(|doomed| admits(context.options.approved, step.map, step.links, state, &doomed.action));
    if last {
        let message = format!("it still changes after {ROUNDS_MAX} attempts in this run");
        state.held.extend(again.iter().map(|doomed| undeleted(&doomed.action, &message)));
        return Ok(Vec::new());
    }
    Ok(again)
}

/// Takes out what must not be deleted after all: what was edited, and what left its filter. The others get the version
/// that was looked at. `frame` holds them as they are now.
fn spare(
    step: &Step<'_>,
    store: &dyn Store,
    state: &mut PassState,
    left: Side,
    doomed: Vec<Doomed>,
    frame: &Frame,
) -> Result<Vec<Doomed>, PassError> {
    let (map, infos) = (step.map, &step.scope.infos);
    let by_id = rows_by_id(frame);
    let row = |doomed: &Doomed| by_id.get(doomed.action.ids.of(left)).copied();
    let rows: Vec<usize> = doomed.iter().filter_map(row).collect();
    let survivors = frame.take(&rows);
    let bases: Vec<_> = doomed.iter().map(|doomed| doomed.bases.clone()).collect();
    let ids: Vec<PerSide<Uuid>> = doomed.iter().map(|doomed| doomed.action.ids).collect();
    let text = |row: usize, field: usize| text_before(store, map, ids[row], left, field);
    let reasons = edited(map, infos, step.links, left, &survivors, &bases, &text)?;
    let inside: HashSet<Uuid> = extract::inside(map, left, survivors.clone())?.frame.ids().into_iter().collect();
    let mut kept = Vec::new();
    for (row, (mut doomed, reason)) in doomed.into_iter().zip(reasons).enumerate() {
        let now = decided::print_of(map, left, &survivors, row);
        let reason = match doomed.print {
            Some(print) => (now != print).then_some(Reason::Changed),
            None => reason,
        };
        let outside = (!inside.contains(&survivors.id(row))).then_some(Reason::Outside);
        match outside.or(reason) {
            None => {
                doomed.action.etag = survivors.etag(row);
                kept.push(doomed);
            }
            Some(reason) => {
                let action = &doomed.action;
                let message = reason.sentence(&action.record, left.other());
                state.survivors.push(Survivor { ids: action.ids, left, print: Some(now) });
                state.held.push(held(action.record.clone(), action.ids, message));
            }
        }
    }
    Ok(kept)
}

fn undeleted(action: &Action, message: &str) -> Held {
    let message = format!("{} cannot be deleted in the {}: {message}", action.record, action.side.name());
    Held { message, ..failed(action, "") }
}

/// Takes out of uncoupled rows what is kept apart, and counts it.
pub(super) fn set_apart(
    context: &Context<'_>,
    store: &dyn Store,
    map: &TableMap,
    state: &mut PassState,
    uncoupled: &mut PerSide<Vec<usize>>,
) -> Result<PerSide<Frame>, PassError> {
    let apart = store.kept_apart(&map.name)?;
    Ok(PerSide::from_fn(|side| {
        let frame = state.frames.of(side);
        let ids = frame.ids();
        let (kept, free): (Vec<usize>, Vec<usize>) =
            std::mem::take(uncoupled.of_mut(side)).into_iter().partition(|row| {
                // Whoever wants a partner made for a record ends that it is kept apart.
                let freed = context.options.selection.create && state.asks_row(side, *row);
                apart.of(side).contains(&ids[*row]) && !freed
            });
        *uncoupled.of_mut(side) = free;
        let asked: HashSet<Uuid> = kept.iter().filter(|row| state.asks_row(side, **row)).map(|row| ids[*row]).collect();
        if map.direction.writes(side.other()) {
            *state.tally.skipped.of_mut(side.other()) += asked.len() as u64;
        }
        *state.apart.of_mut(side) = asked;
        state.frames.of(side).take(&kept)
    }))
}

/// Names, of the rows of `from` that would get a new partner, those that look like a record kept apart.
pub(super) fn like_one_apart(
    scope: &Scope,
    map: &TableMap,
    state: &PassState,
    from: Side,
    rows: &[usize],
    apart: &Frame,
    links: &Links,
) -> Vec<usize> {
    if apart.rows() == 0 || rows.is_empty() {
        return Vec::new();
    }
    found_beyond(map, &scope.infos, from, state.frames.of(from), rows, apart, links)
}
