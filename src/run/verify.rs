//! Outcomes in: frames brought up to date, bases moved, couplings of what was found, and what has to be decided again.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::apply::{Applied, couplings_after};
use crate::config::{PerSide, Side};
use crate::couple::rows_by_id;
use crate::delta::Held;
use crate::endpoint::{EndpointError, Outcome};
use crate::extract;
use crate::frame::Frame;
use crate::plan::{Action, ActionKind, FieldChange};
use crate::run::bases::{Agreeing, Proof, Written, before_write, fingerprint_in, move_bases};
use crate::run::forced;
use crate::run::marks;
use crate::run::partners::without;
use crate::run::refusals::{print_of, sources};
use crate::run::state::{PassError, PassState, Step};
use crate::store::{Agreement, Answer, CouplingChange, InboxKind, NOT_ARRIVED, NOT_LET_IN, Origin, Store};
use crate::translate::canonical::fingerprint;

/// Counts what a side confirmed, and ends the pass where it cannot be spoken to any more: what it did not carry out stays as
/// it was, held against no record, and what nobody knows of is settled by the next run's reading, as after a crash.
pub(super) fn count_confirmed(
    step: &Step<'_>,
    state: &mut PassState,
    to: Side,
    actions: &[Action],
    applied: &Applied,
) -> Result<(), EndpointError> {
    for (action, outcome) in actions.iter().zip(&applied.outcomes) {
        if *outcome == Outcome::Written {
            let tally = match &action.kind {
                ActionKind::Delete => &mut state.tally.deleted,
                kind if kind.makes_record() => &mut state.tally.inserted,
                _ => &mut state.tally.modified,
            };
            tally.of_mut(to).insert(action.ids.erp);
        }
    }
    step.context.endpoints.of(to).lost().map_or(Ok(()), Err)
}

/// What a round leaves for the next one.
#[derive(Default)]
pub(super) struct Aftermath {
    /// Pairs to decide again, by their ERP ids.
    pub(super) again: HashSet<Uuid>,
    /// Records, by the side where they are, whose new partner did not arrive.
    pub(super) waiting: PerSide<Vec<Uuid>>,
    /// Pairs that a side would not have, by that side: they are not tried twice in one run.
    pub(super) refused: PerSide<HashSet<Uuid>>,
    /// Why nobody knows what became of the latest write to a side, by the ERP id of the pair.
    pub(super) unanswered: HashMap<(Side, Uuid), String>,
    /// What was known of the records before they were written.
    pub(super) known: marks::Before,
}

/// Takes the outcomes of one side's writes.
pub(super) fn verify(
    step: &Step<'_>,
    store: &mut dyn Store,
    state: &mut PassState,
    to: Side,
    actions: &[Action],
    applied: Applied,
    after: &mut Aftermath,
) -> Result<(), PassError> {
    let Applied { outcomes, journal, rows, .. } = applied;
    let returned: HashSet<Uuid> = rows.ids().into_iter().collect();
    let before = before_write(state, step.map, to, actions);
    let sources = sources(state, to, actions);
    let unread: Vec<Uuid> = actions
        .iter()
        .zip(&outcomes)
        .filter(|(action, outcome)| match outcome {
            Outcome::Written => !returned.contains(action.ids.of(to)),
            Outcome::Stale | Outcome::Exists | Outcome::Unknown { .. } => true,
            Outcome::Gone | Outcome::Refused { .. } | Outcome::NotSent { .. } | Outcome::Barred { .. } => false,
        })
        .map(|(action, _)| *action.ids.of(to))
        .collect();
    let read = extract::read_ids(step.scope, to, *step.context.endpoints.of(to), unread)?;
    let found = rows_by_id(&read);
    let inside: HashSet<Uuid> = extract::inside(step.map, to, read.clone())?.frame.ids().into_iter().collect();
    state.frames.of_mut(to).upsert(&without(&rows, |id| found.contains_key(id)));
    state.frames.of_mut(to).upsert(&read);

    let mut answers: Vec<Answer> = Vec::new();
    let mut couplings: Vec<CouplingChange> = Vec::new();
    let mut agreements: Vec<Agreement> = Vec::new();
    let mut written: Vec<Written<'_>> = Vec::new();
    let mut certain: HashMap<Uuid, bool> = HashMap::new();
    for (index, (action, outcome)) in actions.iter().zip(&outcomes).enumerate() {
        let id = *action.ids.of(to);
        let insert = action.kind.makes_record();
        let mut told = |word: &str, message: &str| {
            let answer = Answer { journal_id: journal[index], outcome: word.into(), message: message.into() };
            answers.push(answer);
        };
        match outcome {
            Outcome::Unknown { message } => drop(after.unanswered.insert((to, action.ids.erp), message.clone())),
            _ => drop(after.unanswered.remove(&(to, action.ids.erp))),
        }
        let proof = match outcome {
            Outcome::Written if found.contains_key(&id) => Some(Proof::Read),
            Outcome::Written => Some(Proof::Returned),
            Outcome::Exists => Some(Proof::Found),
            Outcome::Unknown { .. } if insert && found.contains_key(&id) => {
                told("found", "");
                couplings.extend(couplings_after(action));
                let fields = Agreeing::new(state.work(step), to, &sources).on(action);
                agreements.push(Agreement { ids: action.ids, fields });
                Some(Proof::Read)
            }
            Outcome::Unknown { message } if insert => {
                told("not found", message);
                after.waiting.of_mut(to.other()).push(*action.ids.of(to.other()));
                None
            }
            Outcome::Unknown { message } => {
                let there = found.get(&id).map_or(0, |row| held(&read, *row, to, action));
                let arrived = found.contains_key(&id) && there == action.fields.len();
                match (arrived, there) {
                    (true, _) => told("found", ""),
                    (false, 0) => told("not found", message),
                    (false, _) => told("found in part", message),
                }
                if arrived {
                    certain.insert(action.ids.erp, false);
                    state.tally.modified.of_mut(to).insert(action.ids.erp);
                }
                None
            }
            Outcome::Stale => None,
            Outcome::Gone => {
                state.held.push(failed(action, "it was deleted there during the run"));
                after.refused.of_mut(to).insert(action.ids.erp);
                continue;
            }
            Outcome::Refused { message } => {
                let print = print_of(state, step.map, action, &before, &sources);
                state.refusals.note(action, message, print);
                state.held.push(failed(action, message));
                after.refused.of_mut(to).insert(action.ids.erp);
                continue;
            }
            Outcome::NotSent { message } | Outcome::Barred { message } => {
                state.refusals.note_unsent(action);
                let message = kept_out(&action.record, to, outcome, message);
                state.held.push(Held { message, ..failed(action, "") });
                after.refused.of_mut(to).insert(action.ids.erp);
                continue;
            }
        };
        if let Some(proof) = proof {
            certain.insert(action.ids.erp, proof == Proof::Returned);
            written.push(Written { action, proof });
            if insert {
                state.tally.inserted.of_mut(to).insert(action.ids.erp);
                state.report.uncoupled += u64::from(action.kind != ActionKind::Insert);
                state.pairs.push(action.ids, PerSide::default(), Origin::Created(to));
            } else {
                state.tally.modified.of_mut(to).insert(action.ids.erp);
            }
        } else if !insert && found.contains_key(&id) && !inside.contains(&id) {
            state.tally.left.insert(action.ids.erp);
            continue;
        }
        after.again.insert(action.ids.erp);
    }
    if !answers.is_empty() || !couplings.is_empty() {
        store.answer(&answers, &step.map.name, &couplings, &agreements)?;
    }
    let left = &state.tally.left;
    after.again.retain(|erp| !left.contains(erp));
    state.pairs.retain(|ids| !left.contains(&ids.erp));
    state.pairs.locate(&state.frames);
    move_bases(step, state, to, &written, &before);
    forced::note(step, state, to, &written);
    marks::after_write(state, to, actions, &after.known, |action| certain.get(&action.ids.erp).copied());
    Ok(())
}

/// Tells how many of the values that an action would write its record, in that row, holds.
fn held(frame: &Frame, row: usize, to: Side, action: &Action) -> usize {
    let holds = |change: &&FieldChange| {
        let Some(column) = frame.column(&change.column) else { return false };
        fingerprint_in(frame, to, &change.column, row) == fingerprint(&change.new, to, column.kind)
    };
    action.fields.iter().filter(holds).count()
}

/// Says why something did not come to a side where nothing is wrong with it.
pub(super) fn kept_out(what: &str, to: Side, outcome: &Outcome, message: &str) -> String {
    let how = if matches!(outcome, Outcome::Barred { .. }) { NOT_LET_IN } else { NOT_ARRIVED };
    format!("{what}{how}{}: {message}", to.name())
}

/// Says why an action is not tried once more in this run: each time its answer was lost, or somebody changed the record.
pub(super) fn given_up(action: &Action, attempts: usize, after: &Aftermath) -> Held {
    let to = action.side;
    match after.unanswered.get(&(to, action.ids.erp)) {
        Some(message) => unanswered(action, &action.record, attempts, message),
        None => failed(action, &format!("it still changes after {attempts} attempts in this run")),
    }
}

/// Says that nobody knows what became of `what` any time that it was sent, and what was said the last time.
pub(super) fn unanswered(action: &Action, what: &str, attempts: usize, message: &str) -> Held {
    let message = format!("none of {attempts} attempts had an answer ({message})");
    let message = kept_out(what, action.side, &Outcome::Unknown { message: String::new() }, &message);
    Held { message, ..failed(action, "") }
}

/// Says why an action was not carried out.
pub(super) fn failed(action: &Action, message: &str) -> Held {
    let to = action.side;
    let known = |side: Side| !action.kind.makes_record() || side != to;
    Held {
        kind: InboxKind::Failed,
        record: action.record.clone(),
        ids: PerSide::from_fn(|side| known(side).then_some(*action.ids.of(side))),
        field: None,
        values: PerSide::default(),
        to: Some(to),
        message: format!("{} cannot go to the {}: {message}", action.record, to.name()),
    }
}
