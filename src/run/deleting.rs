//! Deletions carried out, when every table map had its turn.
//!
//! Deletions come last and go from the last table map to the first, so that what refers to a record goes before it. Each
//! names the version that was looked at; a record that somebody edited meanwhile is not deleted. What a side says of one is
//! believed when the record is seen to be gone: only then its coupling ends.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use uuid::Uuid;

use crate::apply::{Applied, couplings_after};
use crate::config::{PerSide, Side};
use crate::couple::rows_by_id;
use crate::delta::Held;
use crate::delta::deletion::{Reason, edited};
use crate::endpoint::{EndpointError, Hidden, Outcome};
use crate::extract::{self, Sought};
use crate::frame::Frame;
use crate::plan::Action;
use crate::run::consequences::Doomed;
use crate::run::decided;
use crate::run::deletions::text_before;
use crate::run::failures::{failed, kept_out, never_answered, reason};
use crate::run::refusals::{print_of, sources};
use crate::run::sending::{ROUNDS_MAX, rest, send};
use crate::run::state::PassState;
use crate::run::step::{PassError, Step};
use crate::run::unreadable::which;
use crate::run::verdict::{Deletion, judge_deletion};
use crate::run::verify::count_confirmed;
use crate::run::written::before_write;
use crate::store::{Answer, Store, Survivor};

/// Carries out the deletions of a table map.
pub(super) fn delete(step: &Step<'_>, store: &mut dyn Store, state: &mut PassState) -> Result<(), PassError> {
    let doomed = state.consequences.take_doomed();
    let mut doomed = look_closer(step, store, state, doomed)?;
    let (mut lost, mut silent) = (HashMap::new(), 0);
    for round in 0.. {
        let unanswered = doomed.iter().filter(|doomed| lost.contains_key(doomed.action.ids.of(doomed.action.side)));
        let rested = rest(step, unanswered.map(|doomed| doomed.action.side), &mut silent);
        if round >= ROUNDS_MAX && !rested {
            state.waits.hold_all(doomed.iter().map(|doomed| given_up(&doomed.action, round, &lost)));
            break;
        }
        let mut again = Vec::new();
        for left in Side::BOTH {
            let (here, elsewhere) = doomed.into_iter().partition(|doomed: &Doomed| doomed.action.side == left);
            doomed = elsewhere;
            again.extend(delete_side(step, store, state, left, here, &mut lost)?);
        }
        if again.is_empty() || step.context.options.stop.load(Ordering::Relaxed) {
            break;
        }
        doomed = again;
    }
    Ok(())
}

/// Reads again what is to be deleted on a side that tells no versions: no precondition can say there that nobody edited it
/// since it was looked at.
fn look_closer(
    step: &Step<'_>,
    store: &dyn Store,
    state: &mut PassState,
    doomed: Vec<Doomed>,
) -> Result<Vec<Doomed>, PassError> {
    if state.on_paper(step.context) {
        return Ok(doomed);
    }
    let (blind, mut sure): (Vec<Doomed>, Vec<Doomed>) =
        doomed.into_iter().partition(|doomed| doomed.action.etag.is_none());
    for left in Side::BOTH {
        let here: Vec<Doomed> = blind.iter().filter(|doomed| doomed.action.side == left).cloned().collect();
        if here.is_empty() {
            continue;
        }
        let ids = here.iter().map(|doomed| *doomed.action.ids.of(left)).collect();
        let read = extract::seek(step.scope, left, *step.context.endpoints.of(left), ids)?.frame;
        let found: HashSet<Uuid> = read.ids().into_iter().collect();
        // What is gone, or hidden, the side says when it is asked to delete it.
        let (there, rest) = here.into_iter().partition(|doomed| found.contains(doomed.action.ids.of(left)));
        sure.extend(spare(step, store, state, left, there, &read)?);
        sure.extend::<Vec<Doomed>>(rest);
    }
    Ok(sure)
}

/// Deletes on one side; returns what has to be tried again, and in `lost` why nobody knows what became of it.
fn delete_side(
    step: &Step<'_>,
    store: &mut dyn Store,
    state: &mut PassState,
    left: Side,
    doomed: Vec<Doomed>,
    lost: &mut HashMap<Uuid, String>,
) -> Result<Vec<Doomed>, PassError> {
    let (context, scope) = (step.context, step.scope);
    if doomed.is_empty() {
        return Ok(Vec::new());
    }
    let clock = || (context.options.elapsed)();
    let applying = clock();
    let actions: Vec<Action> = doomed.iter().map(|doomed| doomed.action.clone()).collect();
    let before = before_write(&state.records, step.map, left, &actions);
    let sources = sources(&state.records, left, &actions);
    let applied = match state.paper(context) {
        Some(sides) => sides.of(left).apply(scope.infos.of(left), &scope.empty(left), &actions),
        None => send(step, store, left, &actions, &|_, _| Vec::new())?,
    };
    state.report.seconds.apply += clock() - applying;
    count_confirmed(step, state, left, &actions, &applied)?;
    let Applied { outcomes, journal, .. } = applied;

    let on_paper = state.on_paper(context);
    let Sought { frame: read, hidden } = look_after(step, left, &actions, &outcomes, on_paper)?;
    let found: HashSet<Uuid> = read.ids().into_iter().collect();
    let (mut answers, mut changes, mut again) = (Vec::new(), Vec::new(), Vec::new());
    for ((doomed, outcome), journal_id) in doomed.into_iter().zip(&outcomes).zip(journal) {
        let (action, id) = (&doomed.action, *doomed.action.ids.of(left));
        let verdict = judge_deletion(outcome, found.contains(&id), hidden.get(&id).copied());
        let mut tell = |outcome: &str, message: &str| {
            answers.push(Answer { journal_id, outcome: outcome.to_owned(), message: message.to_owned() });
        };
        match outcome {
            Outcome::Unknown { message } => drop(lost.insert(id, message.clone())),
            _ => drop(lost.remove(&id)),
        }
        match verdict {
            Deletion::Done => {
                match outcome {
                    Outcome::Written => tell("written", ""),
                    Outcome::Gone => tell("gone", ""),
                    Outcome::Unknown { message } => tell("not found", message),
                    // The journal knows of it what there is to know.
                    _ => {}
                }
                changes.extend(couplings_after(action));
                if let Outcome::Written | Outcome::Unknown { .. } = outcome {
                    state.tally.count(left, &action.kind, action.ids.erp);
                }
                state.report.uncoupled += 1;
            }
            Deletion::Kept => {
                let side = left.name();
                let message = match outcome {
                    Outcome::Gone => format!("the {side} says that it is gone, and still has it"),
                    _ => format!("the {side} answered success and kept it"),
                };
                tell("kept", &message);
                let print = print_of(&state.records, step.map, action, &before, &sources);
                state.refusals.note(action, &message, print);
                state.waits.hold(undeleted(action, &message));
            }
            Deletion::Open => {
                if let Outcome::Unknown { message } = outcome {
                    tell("found", message);
                }
                again.push(doomed);
            }
            Deletion::Hidden(why) => {
                let message = match why {
                    Hidden::Forbidden => "the login may not read it any more",
                    Hidden::Untold => "whether it is still there cannot be told",
                };
                state.waits.hold(undeleted(action, message));
            }
            Deletion::Refused => {
                let print = print_of(&state.records, step.map, action, &before, &sources);
                state.refusals.note(action, reason(outcome), print);
                state.waits.hold(undeleted(action, reason(outcome)));
            }
            Deletion::KeptOut => {
                state.refusals.note_unsent(action);
                let record = format!("the deletion of {}", action.record);
                let message = kept_out(&record, left, outcome, reason(outcome));
                state.waits.hold(Held { message, ..failed(action, "") });
            }
        }
    }
    if !on_paper && (!answers.is_empty() || !changes.is_empty()) {
        store.answer(&answers, &step.map.name, &changes, &[])?;
    }
    let mut again = spare(step, store, state, left, again, &read)?;
    again.retain(|doomed| state.admits(context, step.map, step.links, &doomed.action));
    Ok(again)
}

/// Reads what the outcomes of deletions leave open.
///
/// Of a record that its side says it has deleted, a list that does not bring it is the second witness; of what nobody here has
/// deleted only the question for each by itself proves that it is gone (I7).
fn look_after(
    step: &Step<'_>,
    left: Side,
    actions: &[Action],
    outcomes: &[Outcome],
    on_paper: bool,
) -> Result<Sought, EndpointError> {
    let endpoint = *step.context.endpoints.of(left);
    let of = |is_meant: &dyn Fn(&Outcome) -> bool| -> Vec<Uuid> {
        let meant = actions.iter().zip(outcomes).filter(|(_, outcome)| is_meant(outcome));
        meant.map(|(action, _)| *action.ids.of(left)).collect()
    };
    // On paper what was deleted is gone, and no side needs to be asked.
    let confirmed = of(&|outcome| *outcome == Outcome::Written && !on_paper);
    let unproven = of(&|outcome| match outcome {
        Outcome::Gone => !on_paper,
        Outcome::Stale | Outcome::Exists | Outcome::Unknown { .. } => true,
        Outcome::Written | Outcome::Refused { .. } | Outcome::NotSent { .. } | Outcome::Barred { .. } => false,
    });
    let mut sought = extract::seek(step.scope, left, endpoint, unproven)?;
    sought.frame.upsert(&extract::read_ids(step.scope, left, endpoint, confirmed)?);
    Ok(sought)
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
        let id = survivors.id(row);
        let unread = survivors.unreadable(id).map(|why| which(map, left, id, why));
        let unreadable = unread.as_ref().map(|_| Reason::Unreadable);
        let outside = unreadable.or((!inside.contains(&id)).then_some(Reason::Outside));
        match outside.or(reason) {
            None => {
                doomed.action.etag = survivors.etag(row);
                kept.push(doomed);
            }
            Some(reason) => {
                let action = &doomed.action;
                let message = reason.told(&action.record, left.other(), unread.as_deref());
                state.by_people.note_held(action.ids, reason);
                let survivor = Survivor { ids: action.ids, left, print: Some(now) };
                state.waits.hold_survivor(survivor, action.record.clone(), message);
            }
        }
    }
    Ok(kept)
}

/// Says why a deletion is not tried once more in this run.
fn given_up(action: &Action, attempts: usize, lost: &HashMap<Uuid, String>) -> Held {
    match lost.get(action.ids.of(action.side)) {
        Some(message) => never_answered(action, &format!("the deletion of {}", action.record), attempts, message),
        None => undeleted(action, &format!("it still changes after {attempts} attempts in this run")),
    }
}

fn undeleted(action: &Action, message: &str) -> Held {
    let message = format!("{} cannot be deleted in the {}: {message}", action.record, action.side.name());
    Held { message, ..failed(action, "") }
}
