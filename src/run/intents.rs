//! What a run that was cut off left open, settled by reading (I2).

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::extract::{self, Scope};
use crate::run::Context;
use crate::run::state::PassError;
use crate::store::{Answer, CouplingChange, OpenIntent, Origin, Store};

/// Settles what a run that was cut off left open.
///
/// Returns the couplings of records that were made after all. A dry run finds them too, and stores nothing.
pub(super) fn settle_intents(
    context: &Context<'_>,
    store: &mut dyn Store,
    scope: &Scope,
    map: &TableMap,
) -> Result<Vec<(PerSide<Uuid>, Side)>, PassError> {
    let open = store.open_intents(&map.name)?;
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let couplings = store.couplings(&map.name, &[])?;
    let mut coupled: PerSide<HashSet<Uuid>> =
        PerSide { erp: couplings.erp.into_iter().collect(), crm: couplings.crm.into_iter().collect() };
    let mut there: PerSide<HashSet<Uuid>> = PerSide::default();
    for side in Side::BOTH {
        let ids: HashSet<Uuid> = open
            .iter()
            .filter(|open| open.intent.side == side && open.intent.action == "insert")
            .map(|open| open.intent.id)
            .collect();
        let mut ids: Vec<Uuid> = ids.into_iter().collect();
        ids.sort_unstable();
        let found = extract::read_ids(scope, side, *context.endpoints.of(side), ids)?;
        *there.of_mut(side) = found.ids().into_iter().collect();
    }
    let mut answers = Vec::new();
    let mut changes = Vec::new();
    let mut made = Vec::new();
    for OpenIntent { journal_id, intent } in open {
        // An update needs no more than the reading that follows: its record is compared like any other.
        let insert = intent.action == "insert";
        let found = !insert || there.of(intent.side).contains(&intent.id);
        let ids = match intent.side {
            Side::Erp => PerSide { erp: intent.id, crm: intent.partner },
            Side::Crm => PerSide { erp: intent.partner, crm: intent.id },
        };
        if insert && found && !coupled.erp.contains(&ids.erp) && !coupled.crm.contains(&ids.crm) {
            coupled.erp.insert(ids.erp);
            coupled.crm.insert(ids.crm);
            changes.push(CouplingChange::Couple { erp: ids.erp, crm: ids.crm, origin: Origin::Created(intent.side) });
            made.push((ids, intent.side));
        }
        let outcome = match (insert, found) {
            (false, _) => "read again",
            (true, true) => "found",
            (true, false) => "not found",
        };
        answers.push(Answer {
            journal_id,
            outcome: outcome.to_owned(),
            message: "the run was cut off before the answer".to_owned(),
        });
    }
    if !context.options.dry_run {
        store.answer(&answers, &map.name, &changes)?;
    }
    Ok(made)
}
