//! What became of the records that were asked for by name, as types; `standing.rs` makes them.

use std::collections::HashMap;

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::plan::{Action, ActionKind};
use crate::run::refusals::{Ids, known_ids};
use crate::store::InboxKind;

/// A record that was asked for by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// As messages name it.
    pub record: String,
    pub standing: Standing,
    /// It had a partner when the run began.
    pub coupled: bool,
    /// What was decided before anything was written.
    pub outlook: Outlook,
}

/// How a record stands after the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is nothing left to do.
    Settled,
    /// Something waits for a person.
    Waits(InboxKind),
    /// In a dry run: decided when the run has made something else.
    Later,
    /// Something would go to the side that was not to be written.
    Undone,
    /// It, or its partner, is outside the filter.
    Outside,
    /// It has no partner, and none is made.
    Alone,
    /// It has no partner and is kept apart from all.
    Apart,
}

impl Standing {
    /// Returns the word of the JSON output.
    pub fn key(self) -> &'static str {
        match self {
            Standing::Settled => "settled",
            Standing::Waits(kind) => kind.key(),
            Standing::Later => "later",
            Standing::Undone => "undone",
            Standing::Outside => "outside",
            Standing::Alone => "not_coupled",
            Standing::Apart => "kept_apart",
        }
    }
}

/// What was decided about one record before anything was written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outlook {
    /// The side where a partner is made.
    pub created: Option<Side>,
    /// Fields and reasons, by the side that they go to.
    pub to: PerSide<Vec<(String, String)>>,
    /// Fields that were edited on both sides to different values.
    pub contested: Vec<String>,
    /// Why it gets no partner, where new ones are made.
    pub unpartnered: Option<String>,
    /// Its partner, or it itself, was deleted: what follows from that, and why.
    pub follows: Option<Follows>,
}

/// What follows from the deletion of one record of a pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Follows {
    pub action: ActionKind,
    /// The side that it is done to.
    pub side: Side,
    pub why: String,
}

impl Follows {
    /// Takes what was decided about one of these records, where it follows from a deletion.
    pub(super) fn of(action: &Action, own: impl Fn(Option<Uuid>, Option<Uuid>) -> bool) -> Option<Follows> {
        let mut ids = action.ids;
        match action.kind {
            // Whoever names the deleted record means the one that is made in its place.
            ActionKind::Restore { gone } => *ids.of_mut(action.side) = gone,
            ActionKind::Delete | ActionKind::Uncouple | ActionKind::KeepApart => {}
            _ => return None,
        }
        own(Some(ids.erp), Some(ids.crm)).then(|| Follows {
            action: action.kind.clone(),
            side: action.side,
            why: action.why.clone(),
        })
    }
}

/// Notes what the first round of a step decided.
pub(super) fn note(map: &TableMap, outlook: &mut HashMap<Ids, Outlook>, actions: &[Action]) {
    for action in actions.iter().filter(|action| action.kind.writes()) {
        let about = outlook.entry(known_ids(action)).or_default();
        if action.kind.makes_record() {
            about.created = Some(action.side);
        } else if action.kind == ActionKind::Update {
            let name = |field: Option<usize>, column: &str| {
                field.map_or_else(|| column.to_owned(), |field| map.fields[field].name().to_owned())
            };
            let fields = action.fields.iter().map(|change| (name(change.field, &change.column), change.why.clone()));
            about.to.of_mut(action.side).extend(fields);
        }
    }
}
