//! The end of a step: what waits is filed, and every record is counted once in each direction.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::plan::ActionKind;
use crate::run::Context;
use crate::run::bases::save;
use crate::run::state::{PassError, PassState};
use crate::store::{InboxItem, InboxKind, Store};

/// Saves what is left, counts, and files what waits.
pub(super) fn finish(
    context: &Context<'_>,
    store: &mut dyn Store,
    map: &TableMap,
    keys: &[String],
    state: &mut PassState,
) -> Result<(), PassError> {
    let dry = context.options.dry_run;
    if !dry {
        save(store, map, state)?;
    }
    state.inbox = Vec::new();
    for held in &state.held {
        let field = held.field.map(|field| &map.fields[field]);
        let mut item = InboxItem {
            table: map.name.clone(),
            record: held.record.clone(),
            kind: held.kind,
            erp_id: held.ids.erp,
            crm_id: held.ids.crm,
            field: field.map(|field| field.name().to_owned()),
            base: None,
            erp: held.values.erp.clone(),
            crm: held.values.crm.clone(),
            message: held.message.clone(),
            since: context.options.started.clone(),
            attempts: 1,
        };
        if let (InboxKind::Contested, Some(field), Some(erp), Some(crm)) =
            (held.kind, held.field, held.ids.erp, held.ids.crm)
        {
            item.base = store.base_values(&map.name, erp, crm)?.remove(&keys[field]).map(|base| base.erp);
        }
        state.inbox.push(item);
    }
    if !dry {
        store.replace_inbox(&map.name, &state.inbox)?;
        let kept = store.inbox(Some(&map.name))?;
        if kept.len() == state.inbox.len() {
            state.inbox = kept;
        }
    }
    count_up(context, store, map, state)?;
    Ok(())
}

/// Counts pairs and records by direction.
fn count_up(context: &Context<'_>, store: &dyn Store, map: &TableMap, state: &mut PassState) -> Result<(), PassError> {
    let planned = |to: Side, kind: ActionKind| -> HashSet<Uuid> {
        let actions = state.plan.actions.iter().filter(|action| action.side == to && action.kind == kind);
        actions.map(|action| action.ids.erp).collect()
    };
    let mut failed: PerSide<HashSet<(Option<Uuid>, Option<Uuid>)>> = PerSide::default();
    let mut contested: HashSet<Option<Uuid>> = HashSet::new();
    for held in &state.held {
        match (held.kind, held.to) {
            (InboxKind::Contested, _) => {
                contested.insert(held.ids.erp);
            }
            (_, Some(to)) => {
                failed.of_mut(to).insert((held.ids.erp, held.ids.crm));
            }
            (InboxKind::Ambiguous, None) => {
                // A record in doubt is one that would have gone to the other side.
                let to = if held.ids.erp.is_some() { Side::Crm } else { Side::Erp };
                if map.create.on(to) {
                    failed.of_mut(to).insert((held.ids.erp, held.ids.crm));
                }
            }
            _ => {}
        }
    }
    let mut counts = PerSide::<crate::run::Counts>::default();
    for to in Side::BOTH {
        if !map.direction.writes(to) {
            continue;
        }
        let (inserted, modified) = if context.options.dry_run {
            (planned(to, ActionKind::Insert), planned(to, ActionKind::Update))
        } else {
            (state.tally.inserted.of(to).clone(), state.tally.modified.of(to).clone())
        };
        let made = |erp: &Uuid| {
            let other = state.tally.inserted.of(to.other());
            inserted.contains(erp) || other.contains(erp)
        };
        let failed_pairs: HashSet<Uuid> =
            failed.of(to).iter().filter(|(_, crm)| crm.is_some()).filter_map(|(erp, _)| *erp).collect();
        let unchanged = state
            .pairs
            .ids
            .iter()
            .filter(|ids| !made(&ids.erp) && !modified.contains(&ids.erp) && !failed_pairs.contains(&ids.erp))
            .count();
        let modified = modified.iter().filter(|erp| !inserted.contains(*erp) && !failed_pairs.contains(*erp)).count();
        let counts = counts.of_mut(to);
        counts.inserted = inserted.len() as u64;
        counts.modified = modified as u64;
        counts.unchanged = unchanged as u64;
        counts.skipped = *state.tally.skipped.of(to);
        counts.failed = failed.of(to).len() as u64;
    }
    state.report.to = counts;
    state.report.contested = contested.len() as u64;
    let inserted = counts.erp.inserted + counts.crm.inserted;
    let matched: u64 = state.report.matched.iter().map(|(_, count)| count).sum();
    state.report.new_couplings = inserted + matched;
    state.report.coupled = if context.options.dry_run {
        state.pairs.len() as u64 + inserted
    } else {
        store.coupling_counts()?.get(&map.name).copied().unwrap_or(0)
    };
    Ok(())
}
