//! Pairs that a run parts, told to the journal: nothing is written for that on either side, but somebody may ask later why
//! the two are none any more.

use std::collections::HashSet;

use uuid::Uuid;

use crate::apply::intent;
use crate::config::{Side, TableMap};
use crate::plan::{Action, ActionKind};
use crate::run::state::Step;
use crate::store::{Answer, CouplingChange, Intent, Store, StoreError};

/// Returns what the journal will hold of the pairs that `changes` part, by what people called them: of two records that are
/// gone only the state knows that, as long as they are coupled.
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
    let label = map.sides.erp.label.as_deref();
    let field = map.fields.iter().find(|field| label.is_some() && field.erp.as_deref() == label);
    let told = |action: &Action| {
        let mut told = intent(action, Side::Erp);
        if let (Some(field), true) = (field, told.record == format!("{}:{}", map.name, action.ids.erp)) {
            let mut values = store.base_values(&map.name, action.ids.erp, action.ids.crm)?;
            let label = values.remove(&field.key()).map(|values| values.erp.trim().to_owned());
            if let Some(label) = label.filter(|label| !label.is_empty()) {
                told.record = format!("{}:{label}", map.name);
            }
        }
        Ok(told)
    };
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
