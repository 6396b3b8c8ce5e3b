//! Why something was not carried out, as the inbox will say it.

use crate::config::{PerSide, Side};
use crate::delta::Held;
use crate::endpoint::Outcome;
use crate::plan::Action;
use crate::store::{InboxKind, NOT_ARRIVED, NOT_LET_IN};

/// Says why something did not come to a side where nothing is wrong with it.
pub(super) fn kept_out(what: &str, to: Side, outcome: &Outcome, message: &str) -> String {
    let how = if matches!(outcome, Outcome::Barred { .. }) { NOT_LET_IN } else { NOT_ARRIVED };
    format!("{what}{how}{}: {message}", to.name())
}

/// Says why an action is not tried once more in this run: each time its answer was lost, the last time for the reason that is
/// `unanswered`, or somebody changed the record.
pub(super) fn given_up(action: &Action, attempts: usize, unanswered: Option<&String>) -> Held {
    match unanswered {
        Some(message) => never_answered(action, &action.record, attempts, message),
        None => failed(action, &format!("it still changes after {attempts} attempts in this run")),
    }
}

/// Says that nobody knows what became of `what` any time that it was sent, and what was said the last time.
pub(super) fn never_answered(action: &Action, what: &str, attempts: usize, message: &str) -> Held {
    let message = format!("none of {attempts} attempts had an answer ({message})");
    let message = kept_out(what, action.side, &Outcome::Unknown { message: String::new() }, &message);
    Held { message, ..failed(action, "") }
}

/// Returns what a side said along with its outcome.
pub(super) fn reason(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Unknown { message }
        | Outcome::Refused { message }
        | Outcome::NotSent { message }
        | Outcome::Barred { message } => message,
        Outcome::Written | Outcome::Stale | Outcome::Exists | Outcome::Gone => "",
    }
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
