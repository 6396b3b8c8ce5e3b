//! Outcomes in: frames brought up to date, couplings of what was found, and what has to be decided again.

use std::collections::HashSet;

use uuid::Uuid;

use crate::apply::Applied;
use crate::config::{PerSide, Side, TableMap};
use crate::delta::Held;
use crate::endpoint::Outcome;
use crate::extract;
use crate::plan::{Action, ActionKind};
use crate::run::Context;
use crate::run::bases::{before_write, move_bases};
use crate::run::state::{PassError, PassState, Step};
use crate::store::{Answer, CouplingChange, InboxKind, Origin, Store};

/// Takes the outcomes of one side's writes: brings the frames up to date, moves bases, and says what has to be decided
/// again.
#[expect(clippy::too_many_arguments, reason = "each is one thing that a round holds; a struct would only rename them")]
pub(super) fn verify(
    context: &Context<'_>,
    store: &mut dyn Store,
    map: &TableMap,
    step: &Step<'_>,
    state: &mut PassState,
    to: Side,
    actions: &[Action],
    applied: Applied,
    again: &mut HashSet<Uuid>,
    waiting: &mut PerSide<Vec<Uuid>>,
    last: bool,
) -> Result<(), PassError> {
    let Applied { outcomes, journal, rows } = applied;
    let returned: HashSet<Uuid> = rows.ids().into_iter().collect();
    let before = before_write(state, map, to, actions);
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
    let read = extract::read_ids(step.scope, to, *context.endpoints.of(to), unread)?;
    let found: HashSet<Uuid> = read.ids().into_iter().collect();
    let frame = state.frames.of_mut(to);
    frame.upsert(&rows);
    frame.upsert(&read);

    let mut answers: Vec<Answer> = Vec::new();
    let mut couplings: Vec<CouplingChange> = Vec::new();
    let mut written: Vec<usize> = Vec::new();
    for (index, (action, outcome)) in actions.iter().zip(&outcomes).enumerate() {
        let id = *action.ids.of(to);
        let insert = action.kind == ActionKind::Insert;
        let hold = |message: String| Held {
            kind: InboxKind::Failed,
            record: action.record.clone(),
            ids: PerSide::from_fn(|side| (!insert || side != to).then_some(*action.ids.of(side))),
            field: None,
            values: PerSide::default(),
            to: Some(to),
            message: format!("{} cannot go to the {}: {message}", action.record, to.name()),
        };
        let settled = match outcome {
            Outcome::Written | Outcome::Exists => {
                written.push(index);
                if insert {
                    state.tally.inserted.of_mut(to).insert(action.ids.erp);
                    state.pairs.push(action.ids, PerSide::default(), Some(Origin::Created(to)));
                } else {
                    state.tally.modified.of_mut(to).insert(action.ids.erp);
                }
                again.insert(action.ids.erp);
                continue;
            }
            Outcome::Stale if last => Some("somebody kept editing the record during the run".to_owned()),
            Outcome::Stale => {
                again.insert(action.ids.erp);
                None
            }
            Outcome::Unknown { .. } => {
                let word = if found.contains(&id) { "found" } else { "not found" };
                answers.push(Answer { journal_id: journal[index], outcome: word.into(), message: String::new() });
                match (insert, found.contains(&id)) {
                    (true, true) => {
                        couplings.push(CouplingChange::Couple {
                            erp: action.ids.erp,
                            crm: action.ids.crm,
                            origin: Origin::Created(to),
                        });
                        written.push(index);
                        state.tally.inserted.of_mut(to).insert(action.ids.erp);
                        state.pairs.push(action.ids, PerSide::default(), Some(Origin::Created(to)));
                        again.insert(action.ids.erp);
                        None
                    }
                    (true, false) if last => Some("its answer was lost, and it did not arrive".to_owned()),
                    (true, false) => {
                        waiting.of_mut(to.other()).push(*action.ids.of(to.other()));
                        None
                    }
                    (false, _) => {
                        again.insert(action.ids.erp);
                        None
                    }
                }
            }
            Outcome::Gone => Some("it was deleted there during the run".to_owned()),
            Outcome::Refused { message } | Outcome::NotSent { message } => Some(message.clone()),
        };
        if let Some(message) = settled {
            state.held.push(hold(message));
        }
    }
    if !answers.is_empty() || !couplings.is_empty() {
        store.answer(&answers, &map.name, &couplings)?;
    }
    state.pairs.locate(&state.frames);
    move_bases(context, map, step, state, to, actions, &written, &before);
    Ok(())
}
