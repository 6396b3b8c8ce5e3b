//! Pairs that a run parts, told to the journal: nothing is written for that on either side, but somebody may ask later why
//! the two are none any more.

use std::collections::HashSet;

use uuid::Uuid;

use crate::apply::{ending, intent};
use crate::config::{Side, TableMap};
use crate::plan::{Action, ActionKind};
use crate::run::step::Step;
use crate::store::{Answer, CouplingChange, Intent, Store, StoreError};

/// Returns what the journal will hold of the pairs that `changes` part.
pub(super) fn partings(
    store: &dyn Store,
    map: &TableMap,
    actions: &[Action],
    changes: &[CouplingChange],
) -> Result<Vec<Intent>, StoreError> {
    let parted: HashSet<(Uuid, Uuid)> = changes.iter().filter_map(parted).collect();
    let parts = |action: &&Action| {
        let is_parting = matches!(action.kind, ActionKind::Uncouple | ActionKind::KeepApart);
        is_parting && parted.contains(&(action.ids.erp, action.ids.crm))
    };
    let told = |action: &Action| ending(intent(action, Side::Erp), store, map, action.ids);
    actions.iter().filter(parts).map(told).collect()
}

/// Tells the journal.
pub(super) fn note(step: &Step<'_>, store: &mut dyn Store, partings: &[Intent]) -> Result<(), StoreError> {
    if partings.is_empty() {
        return Ok(());
    }
    let journal = store.intend(&step.context.options.run, partings)?;
    let done = |journal_id: i64| Answer { journal_id, outcome: "done".into(), message: String::new() };
    store.answer(&journal.into_iter().map(done).collect::<Vec<_>>(), &step.map.name, &[], &[])
}

/// Returns the pair that a change parts.
fn parted(change: &CouplingChange) -> Option<(Uuid, Uuid)> {
    match *change {
        CouplingChange::Uncouple { erp, crm } | CouplingChange::KeepApart { erp, crm, .. } => Some((erp, crm)),
        CouplingChange::Couple { .. } => None,
    }
}
