//! What became of the records that were asked for by name: each is told, none is left out in silence.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::couple::rows_by_id;
use crate::frame::Frame;
use crate::plan::{Action, ActionKind};
use crate::run::refusals::{Ids, known_ids};
use crate::run::selection::Named;
use crate::run::state::PassState;
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
    fn of(action: &Action, own: impl Fn(Option<Uuid>, Option<Uuid>) -> bool) -> Option<Follows> {
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

/// Counts as read, of what was read, the named records and their partners; the others were read to tell who belongs to whom.
pub(super) fn count_rows(state: &mut PassState, undecided: PerSide<&Frame>) {
    if state.asked.is_none() {
        return;
    }
    for side in Side::BOTH {
        let paired: HashSet<usize> = state.records.pairs().rows.iter().map(|rows| *rows.of(side)).collect();
        let rows = 0..state.records.frame(side).rows();
        let own = rows.filter(|row| paired.contains(row) || state.asks_row(side, *row)).count();
        let asks = |id: &Uuid| match side {
            Side::Erp => state.asks(Some(*id), None),
            Side::Crm => state.asks(None, Some(*id)),
        };
        let doubtful = undecided.of(side).ids().iter().filter(|id| asks(id)).count();
        *state.report.rows.of_mut(side) = (own + doubtful) as u64;
    }
}

/// Returns what a record is called of which a plan makes the partner: that one has no label that people would know.
fn made_on_paper(state: &PassState, ids: PerSide<Uuid>) -> Option<String> {
    let mut made = state.draft.actions().iter().filter(|action| action.kind.makes_record() && action.ids == ids);
    state.records.untold().contains_key(&ids.erp).then(|| made.next().map(|action| action.record.clone()))?
}

/// Tells how the named records stand.
pub(super) fn chosen(map: &TableMap, state: &PassState, named: &[Named]) -> Vec<Chosen> {
    let Some(asked) = &state.asked else { return Vec::new() };
    let rows = PerSide::from_fn(|side| rows_by_id(state.records.frame(side)));
    let mut told: Vec<Chosen> = Vec::new();
    let mut seen: HashSet<Ids> = HashSet::new();
    let pairs: PerSide<HashMap<Uuid, usize>> =
        PerSide::from_fn(|side| state.records.pairs().ids.iter().map(|ids| *ids.of(side)).zip(0..).collect());
    for Named { address, id } in named.iter().filter(|named| named.address.table == map.name) {
        let side = address.side;
        let own = |erp: Option<Uuid>, crm: Option<Uuid>| if side == Side::Erp { erp } else { crm } == Some(*id);
        let pair = pairs.of(side).get(id).copied();
        let ids: Ids = match (pair, side) {
            (Some(pair), _) => (Some(state.records.pairs().ids[pair].erp), Some(state.records.pairs().ids[pair].crm)),
            (None, Side::Erp) => (Some(*id), None),
            (None, Side::Crm) => (None, Some(*id)),
        };
        // Somebody may name both records of a pair.
        if !seen.insert(ids) {
            continue;
        }
        let held = state.waits.held().iter().find(|held| own(held.ids.erp, held.ids.crm));
        let waits = held.map(|held| held.kind);
        let waits =
            waits.or_else(|| state.beyond.items.iter().find(|item| own(item.erp_id, item.crm_id)).map(|i| i.kind));
        let undone = || Side::BOTH.iter().any(|to| state.tally.undone(*to).iter().any(|ids| own(ids.0, ids.1)));
        let row = rows.of(side).get(id);
        let standing = if let Some(kind) = waits {
            Standing::Waits(kind)
        } else if state.waits.later().iter().any(|held| own(held.ids.erp, held.ids.crm)) {
            Standing::Later
        } else if undone() {
            Standing::Undone
        } else if pair.is_some() {
            Standing::Settled
        } else if state.aside.is_apart(side, *id) {
            Standing::Apart
        } else if state.aside.is_outside(side, *id) || (row.is_none() && !asked.was_coupled(side, *id)) {
            Standing::Outside
        } else if asked.was_coupled(side, *id) {
            // Its partner was deleted, and what had to follow from that has followed.
            Standing::Settled
        } else {
            Standing::Alone
        };
        let record = match (pair, held, row) {
            (Some(pair), _, _) => made_on_paper(state, state.records.pairs().ids[pair])
                .unwrap_or_else(|| state.records.name_of_pair(state.records.pairs().rows[pair])),
            (None, Some(held), _) => held.record.clone(),
            (None, None, Some(row)) => state.records.name(side, *row),
            (None, None, None) => address.to_string(),
        };
        let mut outlook = Outlook::default();
        for (_, about) in state.outlook.iter().filter(|(ids, _)| own(ids.0, ids.1)) {
            outlook.created = outlook.created.or(about.created);
            for to in Side::BOTH {
                outlook.to.of_mut(to).extend(about.to.of(to).iter().cloned());
            }
        }
        let contested = state
            .waits
            .held()
            .iter()
            .filter(|held| held.kind == InboxKind::Contested && own(held.ids.erp, held.ids.crm));
        let fields = contested.filter_map(|held| held.field.map(|field| map.fields[field].name().to_owned()));
        outlook.contested = fields.collect();
        outlook.unpartnered = state.aside.why_unpartnered(side, *id).filter(|_| standing == Standing::Alone).cloned();
        outlook.follows = state.draft.actions().iter().find_map(|action| Follows::of(action, own));
        told.push(Chosen { record, standing, coupled: asked.was_coupled(side, *id), outlook });
    }
    told
}
