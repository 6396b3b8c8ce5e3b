//! The couplings that a pass begins with: those of the state, and on paper what the state does not hold yet.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::run::context::Context;
use crate::run::intents::{Earned, Made};
use crate::run::records::keys;
use crate::store::{Agreement, Couplings, Origin, Store, StoreError};

/// Returns the couplings of the state; a dry run adds what a run would have `earned` of open intents, and the pairs that
/// somebody may couple.
pub(super) fn couplings(
    context: &Context<'_>,
    store: &dyn Store,
    map: &TableMap,
    earned: &Earned,
) -> Result<Couplings, StoreError> {
    let keys = keys(map);
    let stored = store.couplings(&map.name, &keys)?;
    if !context.options.dry_run {
        return Ok(stored);
    }
    let own = context.options.selection.pairs.iter().filter(|(table, _)| *table == map.name);
    let by_hand: Vec<PerSide<Uuid>> = own.map(|(_, ids)| *ids).collect();
    let mut couplings = without_ended(stored, earned, &by_hand);
    let made = earned.made.iter().map(|Made { ids, side, .. }| (*ids, Origin::Created(*side)));
    for (ids, origin) in made.chain(by_hand.into_iter().map(|ids| (ids, Origin::Hand))) {
        couplings.erp.push(ids.erp);
        couplings.crm.push(ids.crm);
        couplings.origins.push(origin);
        couplings.bases.iter_mut().for_each(|field| field.push(None));
    }
    settle(&mut couplings, &keys, &earned.agreements);
    Ok(couplings)
}

/// Takes out the couplings that end: whose other record is gone and was made anew, or is coupled by hand.
fn without_ended(couplings: Couplings, earned: &Earned, by_hand: &[PerSide<Uuid>]) -> Couplings {
    let gone = earned.made.iter().filter_map(|Made { side, gone, .. }| Some((*side, (*gone)?)));
    // A coupling whose other record is gone gives way to the new one.
    let replaced = by_hand.iter().flat_map(|ids| Side::BOTH.map(|side| (side, *ids.of(side))));
    let ended: HashSet<(Side, Uuid)> = gone.chain(replaced).collect();
    if ended.is_empty() {
        return couplings;
    }
    let ends =
        |at: usize| ended.contains(&(Side::Erp, couplings.erp[at])) || ended.contains(&(Side::Crm, couplings.crm[at]));
    let stay: Vec<usize> = (0..couplings.len()).filter(|at| !ends(*at)).collect();
    couplings.subset(&stay)
}

/// Sets the bases on which pairs agree by now.
fn settle(couplings: &mut Couplings, keys: &[String], agreements: &[Agreement]) {
    let pairs = couplings.erp.iter().copied().zip(couplings.crm.iter().copied());
    let places: HashMap<(Uuid, Uuid), usize> = pairs.zip(0..).collect();
    for Agreement { ids, fields } in agreements {
        // A pair that is ended, or gives way to another one, agrees on nothing any more.
        let Some(&place) = places.get(&(ids.erp, ids.crm)) else { continue };
        for agreed in fields {
            if let Some(field) = keys.iter().position(|key| *key == agreed.field) {
                couplings.bases[field][place] = Some(agreed.base);
                couplings.terms.set(ids.erp, field, agreed.terms);
            }
        }
    }
}
