//! What people call the records that the values of a plan point to, where the run did not have to know.
//!
//! A run over few records reads only whom its decisions need; whoever shows what they lose wants the others by name, too.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::address::labels;
use crate::cli::exit::Failure;
use crate::cli::world::{self, Loaded};
use crate::config::Side;
use crate::frame::Value;
use crate::run::account::RunReport;
use crate::store::Store;

/// Records that are asked for one by one; of more of them all labels are read.
const IDS_MAX: usize = 200;

/// Adds the names that are missing in a report: by the label of the partner in the ERP, else by the one in the CRM.
///
/// Takes no request where none is missing.
pub fn name_the_others(loaded: &Loaded, store: &dyn Store, report: &mut RunReport) -> Result<(), Failure> {
    let mut missing: BTreeMap<&str, BTreeSet<Uuid>> = BTreeMap::new();
    for action in report.plan.actions() {
        let Some(map) = loaded.pipeline.tables.iter().find(|map| map.name == action.table) else { continue };
        for change in &action.fields {
            let Some(reference) = change.field.and_then(|field| map.fields[field].reference.as_ref()) else { continue };
            for value in [&change.old, &change.new] {
                if let Value::Guid(id) | Value::Link { id, .. } = value
                    && !report.names.contains_key(id)
                {
                    missing.entry(&reference.table).or_default().insert(*id);
                }
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let endpoints = world::endpoints(&loaded.pipeline);
    for (table, ids) in missing {
        let Some(map) = loaded.pipeline.tables.iter().find(|map| map.name == table) else { continue };
        // As references name them: by the ERP's record where there is one, else by the CRM's own.
        let mut partners = BTreeMap::new();
        for id in &ids {
            if let Some(coupling) = store.coupling_of(table, Side::Crm, *id)? {
                partners.insert(coupling.ids.erp, *id);
            }
        }
        let own: Vec<Uuid> = ids.iter().copied().filter(|id| !partners.values().any(|known| known == id)).collect();
        let of_side = [(Side::Erp, partners), (Side::Crm, own.into_iter().map(|id| (id, id)).collect())];
        for (side, wanted) in of_side.into_iter().filter(|(_, wanted)| !wanted.is_empty()) {
            let asked: Option<Vec<Uuid>> = (wanted.len() <= IDS_MAX).then(|| wanted.keys().copied().collect());
            for (id, label) in labels(map, side, &**endpoints.of(side), asked)? {
                if let Some(id) = wanted.get(&id) {
                    report.names.insert(*id, format!("{table}:{}", label.trim()));
                }
            }
        }
    }
    Ok(())
}
