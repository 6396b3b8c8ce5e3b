//! Outcomes in: frames brought up to date, bases moved, couplings of what was found, and what has to be decided again.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::apply::{Applied, couplings_after};
use crate::config::{PerSide, Side};
use crate::couple::rows_by_id;
use crate::delta::Held;
use crate::endpoint::{EndpointError, Outcome};
use crate::extract;
use crate::frame::{Frame, Kind};
use crate::plan::{Action, ActionKind, FieldChange};
use crate::run::bases::{Agreeing, Before, Proof, Written, before_write, fingerprint_in, move_bases};
use crate::run::forced;
use crate::run::kept::{self, is_form_of, kept_of, what_is_left};
use crate::run::keyed::Tried;
use crate::run::marks;
use crate::run::partners::without;
use crate::run::refusals::{print_of, sources};
use crate::run::state::{PassError, PassState, Step};
use crate::store::{Agreement, Answer, CouplingChange, InboxKind, NOT_ARRIVED, NOT_LET_IN, Origin, Store};
use crate::translate::canonical::{BLANK, fingerprint};

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
            Outcome::Refused { .. } => was_tried(state, to, action),
            Outcome::Gone | Outcome::NotSent { .. } | Outcome::Barred { .. } => false,
        })
        .map(|(action, _)| *action.ids.of(to))
        .collect();
    let read = extract::read_ids(step.scope, to, *step.context.endpoints.of(to), unread)?;
    let found = rows_by_id(&read);
    let inside: HashSet<Uuid> = extract::inside(step.map, to, read.clone())?.frame.ids().into_iter().collect();
    let untouched = untouched(step, to, actions, &outcomes, &read)?;
    state.frames.of_mut(to).upsert(&without(&rows, |id| found.contains_key(id)));
    state.frames.of_mut(to).upsert(&read);
    let on_paper = step.context.on_paper(state);
    let rows = rows_by_id(state.frames.of(to));

    let mut answers: Vec<Answer> = Vec::new();
    let mut couplings: Vec<CouplingChange> = Vec::new();
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
            Outcome::Written if returned.contains(&id) => Some(Proof::Returned),
            Outcome::Exists => Some(Proof::Found),
            // The side confirmed it, and did not show what it made of it; or the answer was lost.
            Outcome::Written | Outcome::Unknown { .. } if insert && found.contains_key(&id) => {
                if *outcome == Outcome::Written {
                    told("written", "");
                } else {
                    told("found", "");
                    couplings.extend(couplings_after(action));
                }
                Some(if untouched.contains(&id) { Proof::Returned } else { Proof::Read })
            }
            Outcome::Written => {
                told("written", "");
                Some(Proof::Read)
            }
            // An earlier attempt took the key after all.
            Outcome::Refused { .. } if insert && found.contains_key(&id) => {
                told("found", "");
                couplings.extend(couplings_after(action));
                Some(Proof::Read)
            }
            Outcome::Unknown { message } if insert => {
                let sent = action.fields.iter().map(|change| (change.column.as_str(), change.new.to_string()));
                match Tried::of(step.scope.infos.of(to), id, sent, journal[index]) {
                    Some(tried) => tried.note(*action.ids.of(to.other()), state.tried.of_mut(to)),
                    None => told("not found", message),
                }
                after.waiting.of_mut(to.other()).push(*action.ids.of(to.other()));
                None
            }
            Outcome::Unknown { message } => {
                let missing = found.get(&id).map(|row| missing(&read, *row, to, action, &before));
                let arrived = missing.as_ref().is_some_and(Vec::is_empty);
                match &missing {
                    Some(missing) if missing.is_empty() => told("found", ""),
                    Some(missing) if missing.len() < action.fields.len() => told("found in part", message),
                    _ => told("not found", message),
                }
                if arrived {
                    certain.insert(action.ids.erp, false);
                    state.tally.modified.of_mut(to).insert(action.ids.erp);
                }
                // What is there of it is settled, whatever became of the rest.
                written.extend(missing.map(|kept| Written { action, proof: Proof::Read, kept }));
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
            let row = rows.get(&id).copied().filter(|_| proof != Proof::Found);
            let frame = state.frames.of(to);
            let kept = match row {
                Some(row) if !on_paper => kept_of(to, (frame, row, proof), &before, action),
                _ => Vec::new(),
            };
            if let (Some(row), false) = (row, kept.is_empty()) {
                let left = what_is_left(action, &kept);
                let message = kept::told(&left, frame, row);
                told("kept", &message);
                let print = print_of(state, step.map, &left, &before, &sources);
                state.refusals.note(&left, &message, print);
                state.held.push(failed(&left, &message));
                after.refused.of_mut(to).insert(action.ids.erp);
            }
            written.push(Written { action, proof, kept });
            if insert {
                let open = state.tried.of_mut(to).remove(action.ids.of(to.other())).filter(|_| !on_paper);
                let open = open.into_iter().flat_map(|tried| tried.journal).filter(|open| *open != journal[index]);
                answers.extend(open.map(|journal_id| Answer {
                    journal_id,
                    outcome: "sent again".to_owned(),
                    message: String::new(),
                }));
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
    let agreeing = Agreeing::new(state.work(step), to, &sources, &before);
    let shown = |record: &Written<'_>| {
        let row = *found.get(record.action.ids.of(to)).filter(|_| record.proof != Proof::Found)?;
        let fields = agreeing.on(record.action, Some((&read, row, record.proof)));
        Some(Agreement { ids: record.action.ids, fields })
    };
    let agreements: Vec<Agreement> = written.iter().filter_map(shown).collect();
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

/// Tells whether a new record was sent before under the same key, without an answer.
fn was_tried(state: &PassState, to: Side, action: &Action) -> bool {
    let tried = state.tried.of(to).get(action.ids.of(to.other()));
    action.kind.makes_record() && tried.is_some_and(|tried| tried.id == *action.ids.of(to))
}

/// Returns those of the new records which had to be read that nobody else has changed since: what such a one holds besides
/// what was sent, its side has made. A side is asked only where that makes a difference.
fn untouched(
    step: &Step<'_>,
    to: Side,
    actions: &[Action],
    outcomes: &[Outcome],
    read: &Frame,
) -> Result<HashSet<Uuid>, EndpointError> {
    let rows = rows_by_id(read);
    let columns: Vec<&str> = step.map.fields.iter().filter_map(|field| field.column(to)).collect();
    let doubtful = |(action, outcome): (&Action, &Outcome)| {
        let id = *action.ids.of(to);
        let row = *rows.get(&id)?;
        let is_new = action.kind.makes_record() && matches!(outcome, Outcome::Written | Outcome::Unknown { .. });
        let differs = |column: &&str| {
            let kind = read.column(column).map_or(Kind::Text, |column| column.kind);
            let sent = action.fields.iter().find(|change| change.column == **column);
            let sent = sent.map_or(BLANK, |change| fingerprint(&change.new, to, kind));
            fingerprint_in(read, to, column, row) != sent
        };
        (is_new && columns.iter().any(differs)).then_some(id)
    };
    let ids: Vec<Uuid> = actions.iter().zip(outcomes).filter_map(doubtful).collect();
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    step.context.endpoints.of(to).untouched(step.scope.infos.of(to), &ids)
}

/// Returns the positions of the values of an action that a record does not hold in `row`, not even in a form of its side's own
/// that it did not have `before`.
fn missing(frame: &Frame, row: usize, to: Side, action: &Action, before: &Before) -> Vec<usize> {
    let was = |change: &FieldChange| before.get(action.ids.of(to))?.get(change.field?).copied();
    let holds = |change: &FieldChange| {
        let Some(column) = frame.column(&change.column) else { return false };
        let held = frame.value(&change.column, row);
        let now = fingerprint(&held, to, column.kind);
        now == fingerprint(&change.new, to, column.kind)
            || (is_form_of(&held, &change.new) && was(change).is_some_and(|was| was != now))
    };
    (0..action.fields.len()).filter(|at| !holds(&action.fields[*at])).collect()
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
