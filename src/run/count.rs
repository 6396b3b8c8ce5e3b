//! The end of a step: what waits is filed, and every record is counted once in each direction.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::plan::Later;
use crate::run::bases::save;
use crate::run::state::{PassError, PassState};
use crate::run::{Context, Counts};
use crate::store::{InboxItem, InboxKind, Store};

/// Saves what is left, files what waits, and counts. `deferred` tells which fields have not had their turn yet.
pub(super) fn finish(
    context: &Context<'_>,
    store: &mut dyn Store,
    map: &TableMap,
    deferred: &[bool],
    state: &mut PassState,
) -> Result<(), PassError> {
    if !context.options.dry_run {
        save(store, map, state)?;
    }
    file(context, store, map, deferred, state)?;
    state.later.sort_by(|one, other| (&one.record, one.field).cmp(&(&other.record, other.field)));
    let mut first: HashSet<(Option<Uuid>, Option<Uuid>)> = HashSet::new();
    let once = state.later.iter().filter(|held| first.insert((held.ids.erp, held.ids.crm)));
    let later = once.map(|held| Later { record: held.record.clone(), message: held.message.clone() });
    state.plan.later = state.waiting.iter().cloned().chain(later).collect();
    count_up(context, store, map, state)
}

/// By what an item is known again: kind, records and field.
type Matter = (InboxKind, Option<Uuid>, Option<Uuid>, Option<String>);

fn matter(item: &InboxItem) -> Matter {
    (item.kind, item.erp_id, item.crm_id, item.field.clone())
}

/// Files what waits for a person, beside what waited before and was not looked at yet.
fn file(
    context: &Context<'_>,
    store: &mut dyn Store,
    map: &TableMap,
    deferred: &[bool],
    state: &mut PassState,
) -> Result<(), PassError> {
    let mut items: Vec<InboxItem> = Vec::new();
    // What is decided again in a later round must not change places: a dry run has no later rounds.
    state.held.sort_by(|one, other| (one.kind, &one.record, one.field).cmp(&(other.kind, &other.record, other.field)));
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
            (held.kind, field, held.ids.erp, held.ids.crm)
        {
            item.base = store.base_values(&map.name, erp, crm)?.remove(&field.key()).map(|base| base.erp);
        }
        items.push(item);
    }

    let earlier = store.inbox(Some(&map.name))?;
    let known: HashSet<Matter> = items.iter().map(matter).collect();
    let waits = |name: &str| map.fields.iter().zip(deferred).any(|(field, waits)| *waits && field.name() == name);
    let unseen = |item: &&InboxItem| {
        let later = match &item.field {
            Some(field) => waits(field),
            None => item.kind == InboxKind::Failed && deferred.contains(&true),
        };
        (later || context.options.stop.load(Ordering::Relaxed)) && !known.contains(&matter(item))
    };
    let unseen: Vec<InboxItem> = earlier.iter().filter(unseen).cloned().collect();
    if context.options.dry_run {
        let earlier: HashMap<Matter, &InboxItem> = earlier.iter().map(|item| (matter(item), item)).collect();
        for item in &mut items {
            if let Some(before) = earlier.get(&matter(item)) {
                item.since.clone_from(&before.since);
                item.attempts = before.attempts.saturating_add(1);
            }
        }
        state.inbox = items;
    } else {
        items.extend(unseen);
        store.replace_inbox(&map.name, &items)?;
        state.inbox = store.inbox(Some(&map.name))?;
    }
    Ok(())
}

/// Counts pairs and records by direction: each row that was read once in the direction away from its side.
fn count_up(context: &Context<'_>, store: &dyn Store, map: &TableMap, state: &mut PassState) -> Result<(), PassError> {
    let mut failed: PerSide<HashSet<(Option<Uuid>, Option<Uuid>)>> = PerSide::default();
    let mut contested: HashSet<Option<Uuid>> = HashSet::new();
    for held in &state.held {
        let ids = (held.ids.erp, held.ids.crm);
        match (held.kind, held.to) {
            (InboxKind::Contested, _) => {
                contested.insert(held.ids.erp);
            }
            (_, Some(to)) => {
                failed.of_mut(to).insert(ids);
            }
            (InboxKind::Ambiguous, None) => {
                // A record in doubt is one that would have gone to the other side.
                let to = if held.ids.erp.is_some() { Side::Crm } else { Side::Erp };
                failed.of_mut(to).insert(ids);
            }
            _ => {}
        }
    }
    let mut later: PerSide<HashSet<(Option<Uuid>, Option<Uuid>)>> = PerSide::default();
    for held in &state.later {
        let ids = (held.ids.erp, held.ids.crm);
        if let Some(to) = held.to.filter(|to| !failed.of(*to).contains(&ids)) {
            later.of_mut(to).insert(ids);
        }
    }
    let mut counts = PerSide::<Counts>::default();
    for to in Side::BOTH {
        if !map.direction.writes(to) {
            continue;
        }
        let tally = &state.tally;
        let inserted = tally.inserted.of(to);
        let made = |erp: &Uuid| inserted.contains(erp) || tally.inserted.of(to.other()).contains(erp);
        let open = failed.of(to).iter().chain(later.of(to));
        let open_pairs: HashSet<Uuid> = open.filter(|(_, crm)| crm.is_some()).filter_map(|(erp, _)| *erp).collect();
        let modified: HashSet<&Uuid> =
            tally.modified.of(to).iter().filter(|erp| !inserted.contains(*erp) && !open_pairs.contains(*erp)).collect();
        let settled = |erp: &Uuid| !made(erp) && !modified.contains(erp) && !open_pairs.contains(erp);
        let counts = counts.of_mut(to);
        counts.inserted = inserted.len() as u64;
        counts.modified = modified.len() as u64;
        counts.unchanged = state.pairs.ids.iter().filter(|ids| settled(&ids.erp)).count() as u64;
        counts.skipped = *tally.skipped.of(to) + tally.left.iter().filter(|erp| settled(erp)).count() as u64;
        counts.skipped += later.of(to).len() as u64;
        counts.failed = failed.of(to).len() as u64;
    }
    state.report.to = counts;
    state.report.contested = contested.len() as u64;
    let inserted = counts.erp.inserted + counts.crm.inserted;
    let matched: u64 = state.report.matched.iter().map(|(_, count)| count).sum();
    state.report.new_couplings = inserted + matched;
    let stored = store.coupling_counts()?.get(&map.name).copied().unwrap_or(0);
    state.report.coupled = if context.options.dry_run {
        (stored + state.tally.recovered + state.report.new_couplings).saturating_sub(state.report.uncoupled)
    } else {
        stored
    };
    Ok(())
}
