//! Outcomes in: frames brought up to date, bases moved, couplings of what was found, and what has to be decided again.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::apply::{Applied, couplings_after};
use crate::config::{PerSide, Side};
use crate::delta::Held;
use crate::endpoint::Outcome;
use crate::extract;
use crate::frame::Frame;
use crate::plan::{Action, ActionKind};
use crate::run::bases::{Agreeing, Proof, Written, before_write, fingerprint_in, move_bases};
use crate::run::forced;
use crate::run::marks;
use crate::run::partners::without;
use crate::run::refusals::{print_of, sources};
use crate::run::state::{PassError, PassState, Step};
use crate::store::{Agreement, Answer, CouplingChange, InboxKind, Origin, Store};
use crate::translate::canonical::fingerprint;

/// What a round leaves for the next one.
#[derive(Default)]
pub(super) struct Aftermath {
    /// Pairs to decide again, by their ERP ids.
    pub(super) again: HashSet<Uuid>,
    /// Records, by the side where they are, whose new partner did not arrive.
    pub(super) waiting: PerSide<Vec<Uuid>>,
    /// Pairs that a side would not have, by that side: they are not tried twice in one run.
    pub(super) refused: PerSide<HashSet<Uuid>>,
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
            Outcome::Gone | Outcome::Refused { .. } | Outcome::NotSent { .. } => false,
        })
        .map(|(action, _)| *action.ids.of(to))
        .collect();
    let read = extract::read_ids(step.scope, to, *step.context.endpoints.of(to), unread)?;
    let found: HashSet<Uuid> = read.ids().into_iter().collect();
    let inside: HashSet<Uuid> = extract::inside(step.map, to, read.clone())?.frame.ids().into_iter().collect();
    state.frames.of_mut(to).upsert(&without(&rows, |id| found.contains(id)));
    state.frames.of_mut(to).upsert(&read);

    let mut answers: Vec<Answer> = Vec::new();
    let mut couplings: Vec<CouplingChange> = Vec::new();
    let mut agreements: Vec<Agreement> = Vec::new();
    let mut written: Vec<Written<'_>> = Vec::new();
    let mut certain: HashMap<Uuid, bool> = HashMap::new();
    for (index, (action, outcome)) in actions.iter().zip(&outcomes).enumerate() {
        let id = *action.ids.of(to);
        let insert = action.kind.makes_record();
        let mut told = |word: &str| {
            let answer = Answer { journal_id: journal[index], outcome: word.into(), message: String::new() };
            answers.push(answer);
        };
        let proof = match outcome {
            Outcome::Written if found.contains(&id) => Some(Proof::Read),
            Outcome::Written => Some(Proof::Returned),
            Outcome::Exists => Some(Proof::Found),
            Outcome::Unknown { .. } if insert && found.contains(&id) => {
                told("found");
                couplings.extend(couplings_after(action));
                let fields = Agreeing::new(state.work(step), to, &sources).on(action);
                agreements.push(Agreement { ids: action.ids, fields });
                Some(Proof::Read)
            }
            Outcome::Unknown { .. } if insert => {
                told("not found");
                after.waiting.of_mut(to.other()).push(*action.ids.of(to.other()));
                None
            }
            Outcome::Unknown { .. } => {
                let arrived = found.contains(&id) && holds(&read, to, action);
                told(if arrived { "found" } else { "not found" });
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
            Outcome::Refused { message } | Outcome::NotSent { message } => {
                if matches!(outcome, Outcome::Refused { .. }) {
                    let print = print_of(state, step.map, action, &before, &sources);
                    state.refusals.note(action, message, print);
                } else {
                    state.refusals.note_unsent(action);
                }
                state.held.push(failed(action, message));
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
        } else if !insert && found.contains(&id) && !inside.contains(&id) {
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

/// Tells whether a record holds everything that an action would write.
fn holds(frame: &Frame, to: Side, action: &Action) -> bool {
    let Some(row) = frame.ids().iter().position(|id| id == action.ids.of(to)) else { return false };
    action.fields.iter().all(|change| {
        let Some(column) = frame.column(&change.column) else { return false };
        fingerprint_in(frame, to, &change.column, row) == fingerprint(&change.new, to, column.kind)
    })
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
