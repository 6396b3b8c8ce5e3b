//! What was written, read again: only where the outcomes do not tell enough (I2).

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use crate::config::Side;
use crate::couple::rows_by_id;
use crate::endpoint::{EndpointError, Outcome};
use crate::extract;
use crate::frame::unreadable::Unreadable;
use crate::frame::{Frame, Kind};
use crate::plan::{Action, FieldChange};
use crate::run::kept::Forms;
use crate::run::state::PassState;
use crate::run::step::{PassError, Step};
use crate::run::verdict::Evidence;
use crate::run::written::{Before, fingerprint_in};
use crate::translate::canonical::{BLANK, fingerprint};

/// What was read after the writes to a side, of the records of which their outcomes do not tell enough.
pub(super) struct ReadBack {
    frame: Frame,
    /// Those that are there and cannot be read.
    unreadable: BTreeMap<Uuid, Unreadable>,
    /// The rows of those that are there.
    found: HashMap<Uuid, usize>,
    /// Those of them that are inside their filter.
    inside: HashSet<Uuid>,
    /// New ones that nobody else has changed since.
    untouched: HashSet<Uuid>,
    /// Records that the answers show.
    shown: HashSet<Uuid>,
}

impl ReadBack {
    /// Reads what the outcomes of `actions` leave open; `shown` holds what the answers show.
    pub(super) fn read(
        step: &Step<'_>,
        state: &PassState,
        to: Side,
        (actions, outcomes): (&[Action], &[Outcome]),
        shown: &Frame,
    ) -> Result<ReadBack, PassError> {
        let shown: HashSet<Uuid> = shown.ids().into_iter().collect();
        let is_open = |action: &Action, outcome: &Outcome| match outcome {
            Outcome::Written => !shown.contains(action.ids.of(to)),
            Outcome::Stale | Outcome::Exists | Outcome::Unknown { .. } => true,
            Outcome::Refused { .. } => was_tried(state, to, action),
            Outcome::Gone | Outcome::NotSent { .. } | Outcome::Barred { .. } => false,
        };
        let open = actions.iter().zip(outcomes).filter(|(action, outcome)| is_open(action, outcome));
        let open: Vec<Uuid> = open.map(|(action, _)| *action.ids.of(to)).collect();
        let frame = extract::read_ids(step.scope, to, *step.context.endpoints.of(to), open)?;
        let (unreadable, frame) = (frame.unreadables().clone(), frame.readable().into_owned());
        let inside = extract::inside(step.map, to, frame.clone())?.frame.ids().into_iter().collect();
        let untouched = untouched(step, to, actions, outcomes, &frame)?;
        Ok(ReadBack { found: rows_by_id(&frame), frame, unreadable, inside, untouched, shown })
    }

    /// Returns what is known of one write.
    pub(super) fn of(&self, to: Side, action: &Action) -> Evidence {
        let id = action.ids.of(to);
        Evidence {
            is_new: action.kind.makes_record(),
            is_shown: self.shown.contains(id),
            is_there: self.found.contains_key(id) || self.unreadable.contains_key(id),
            is_inside: self.inside.contains(id),
            is_untouched: self.untouched.contains(id),
        }
    }

    /// Returns why a record that is there cannot be read.
    pub(super) fn unreadable(&self, id: Uuid) -> Option<&Unreadable> {
        self.unreadable.get(&id)
    }

    /// Returns all that can be read.
    pub(super) fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Returns the row of a record, where it is there.
    pub(super) fn row(&self, id: Uuid) -> Option<usize> {
        self.found.get(&id).copied()
    }

    /// Returns the positions of the values of an action that its record does not hold, not even in a form of its side's own that
    /// it did not have `before`; nothing where there is no record.
    pub(super) fn missing(&self, (to, forms): (Side, Forms), action: &Action, before: &Before) -> Option<Vec<usize>> {
        let row = self.row(*action.ids.of(to))?;
        let was = |change: &FieldChange| before.get(action.ids.of(to))?.get(change.field?).copied();
        let holds = |change: &FieldChange| {
            let Some(column) = self.frame.column(&change.column) else { return false };
            let held = self.frame.value(&change.column, row);
            let now = fingerprint(&held, to, column.kind);
            now == fingerprint(&change.new, to, column.kind)
                || (forms.are(&held, &change.new) && was(change).is_some_and(|was| was != now))
        };
        Some((0..action.fields.len()).filter(|at| !holds(&action.fields[*at])).collect())
    }
}

/// Tells whether a new record was sent before under the same key, without an answer.
fn was_tried(state: &PassState, to: Side, action: &Action) -> bool {
    let tried = state.unanswered.tried(to, *action.ids.of(to.other()));
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
