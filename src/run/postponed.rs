//! What a run leaves to a later one on purpose.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::{PerSide, Side};
use crate::plan::ActionKind;
use crate::run::admitted::Approval;
use crate::run::refusals::{Ids, known_ids};
use crate::run::waits::Waits;

/// Of which records a run postponed something on purpose, neither sent nor decided: what a plan that is carried out does not
/// have, what waits for such, and what leads to a record that cannot be read. What was known of them before stays as it was.
#[derive(Default)]
pub(super) struct Postponed {
    /// By side, all of them.
    records: PerSide<HashSet<Uuid>>,
    /// By side, those that are postponed as a whole.
    whole: PerSide<HashSet<Uuid>>,
    /// By side and record, the fields that are postponed.
    fields: HashSet<(Side, Uuid, usize)>,
}

impl Postponed {
    /// Takes what a pass has postponed so far.
    pub(super) fn of(approval: &Approval, waits: &Waits) -> Postponed {
        let mut postponed = Postponed::default();
        for action in approval.dropped() {
            if action.kind == ActionKind::Update {
                action.fields.iter().for_each(|change| postponed.add(known_ids(action), change.field));
            } else {
                postponed.add(known_ids(action), None);
            }
        }
        for held in waits.later().iter().chain(waits.unclear()) {
            let is_pair = held.ids.erp.is_some() && held.ids.crm.is_some();
            postponed.add((held.ids.erp, held.ids.crm), held.field.filter(|_| is_pair));
        }
        postponed
    }

    fn add(&mut self, ids: Ids, field: Option<usize>) {
        for (side, id) in [(Side::Erp, ids.0), (Side::Crm, ids.1)] {
            let Some(id) = id else { continue };
            self.records.of_mut(side).insert(id);
            match field {
                Some(field) => drop(self.fields.insert((side, id, field))),
                None => drop(self.whole.of_mut(side).insert(id)),
            }
        }
    }

    /// Tells whether something is about what was postponed: a record, or one of its fields.
    pub(super) fn holds(&self, ids: Ids, field: Option<usize>) -> bool {
        [(Side::Erp, ids.0), (Side::Crm, ids.1)].into_iter().any(|(side, id)| {
            let Some(id) = id else { return false };
            match field {
                Some(field) => self.whole.of(side).contains(&id) || self.fields.contains(&(side, id, field)),
                None => self.records.of(side).contains(&id),
            }
        })
    }
}
