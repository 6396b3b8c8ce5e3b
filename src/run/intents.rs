//! What a run that was cut off left open, settled by reading (I2).

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::delta::inserts::restored_id;
use crate::extract::{self, Scope};
use crate::run::context::Context;
use crate::run::selection::Asked;
use crate::run::state::PassError;
use crate::store::{Answer, CouplingChange, OpenIntent, Origin, Store};

/// A coupling that a run which was cut off had earned.
pub(super) struct Made {
    pub(super) ids: PerSide<Uuid>,
    /// The side where the record was made.
    pub(super) side: Side,
    /// The record in place of which it was made.
    pub(super) gone: Option<Uuid>,
}

/// Settles what a run that was cut off left open.
///
/// Returns the couplings of records that were made after all, with the id of a record that one of them was made in
/// place of. A dry run finds them too, and stores nothing. `asked` names the records that the run is about.
pub(super) fn settle_intents(
    context: &Context<'_>,
    store: &mut dyn Store,
    scope: &Scope,
    map: &TableMap,
    asked: Option<&Asked>,
) -> Result<Vec<Made>, PassError> {
    let mut open = store.open_intents(&map.name)?;
    // What only the reading that follows settles waits for a run that reads it. New records are coupled in any case.
    open.retain(|OpenIntent { intent, .. }| {
        let ids = [Some(intent.id), Some(intent.partner)];
        let (erp, crm) = if intent.side == Side::Erp { (ids[0], ids[1]) } else { (ids[1], ids[0]) };
        intent.action == "insert" || asked.is_none_or(|asked| asked.holds(erp, crm))
    });
    if open.is_empty() {
        return Ok(Vec::new());
    }
    let couplings = store.couplings(&map.name, &[])?;
    // The partner of each record, by its side.
    let pairs = || couplings.erp.iter().copied().zip(couplings.crm.iter().copied());
    let mut partners: PerSide<HashMap<Uuid, Uuid>> =
        PerSide { erp: pairs().collect(), crm: pairs().map(|(erp, crm)| (crm, erp)).collect() };
    let mut there: PerSide<HashSet<Uuid>> = PerSide::default();
    for side in Side::BOTH {
        let ids: HashSet<Uuid> = open
            .iter()
            .filter(|open| open.intent.side == side && open.intent.action != "update")
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
        let (insert, update) = (intent.action == "insert", intent.action == "update");
        let found = there.of(intent.side).contains(&intent.id);
        let ids = match intent.side {
            Side::Erp => PerSide { erp: intent.id, crm: intent.partner },
            Side::Crm => PerSide { erp: intent.partner, crm: intent.id },
        };
        if insert && found && !partners.of(intent.side).contains_key(&intent.id) {
            // The id alone tells that the record was made in place of one that is gone, and of which one.
            let old = partners.of(intent.side.other()).get(&intent.partner).copied();
            let restored = |gone: &Uuid| {
                restored_id(&context.pipeline.name, &map.name, intent.side, intent.partner, *gone) == intent.id
            };
            if old.as_ref().is_none_or(restored) {
                if let Some(gone) = old {
                    changes.push(match intent.side {
                        Side::Erp => CouplingChange::Uncouple { erp: gone, crm: ids.crm },
                        Side::Crm => CouplingChange::Uncouple { erp: ids.erp, crm: gone },
                    });
                    partners.of_mut(intent.side).remove(&gone);
                }
                partners.erp.insert(ids.erp, ids.crm);
                partners.crm.insert(ids.crm, ids.erp);
                let (erp, crm, origin) = (ids.erp, ids.crm, Origin::Created(intent.side));
                changes.push(CouplingChange::Couple { erp, crm, origin });
                made.push(Made { ids, side: intent.side, gone: old });
            }
        }
        // What a deletion was to remove is found gone, or found, by the reading that follows.
        let outcome = match (update, found) {
            (true, _) => "read again",
            (false, true) => "found",
            (false, false) => "not found",
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
