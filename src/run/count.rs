//! Every record is counted once in each direction.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::run::account::Counts;
use crate::run::context::Context;
use crate::run::state::PassState;
use crate::run::step::PassError;
use crate::store::{InboxKind, Store};

/// Counts pairs and records by direction: a pair once in each (design §3.9).
///
/// So each row that was read counts once in the direction away from its side: inserted, modified, unchanged, skipped or
/// failed. A record that this run made on that side was not read; it counts as inserted in the direction that made it, and
/// as modified in the other one only where something of it went back, a number say. A row in doubt counts even where its
/// table map does not write in that direction, because somebody has to see to it.
pub(super) fn count_up(
    context: &Context<'_>,
    store: &dyn Store,
    map: &TableMap,
    state: &mut PassState,
) -> Result<(), PassError> {
    let mut failed: PerSide<HashSet<(Option<Uuid>, Option<Uuid>)>> = PerSide::default();
    let mut skipped: PerSide<HashSet<(Option<Uuid>, Option<Uuid>)>> = PerSide::default();
    let mut contested: HashSet<Option<Uuid>> = HashSet::new();
    for held in state.waits.held() {
        let ids = (held.ids.erp, held.ids.crm);
        match (held.kind, held.to) {
            (InboxKind::Contested, _) => {
                contested.insert(held.ids.erp);
            }
            (InboxKind::Skipped, Some(to)) => {
                skipped.of_mut(to).insert(ids);
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
    // What waits about a pair outside its filter is contested still; its row was counted as left alone.
    let beyond = state.outside.items().iter().filter(|item| item.kind == InboxKind::Contested);
    contested.extend(beyond.map(|item| item.erp_id));
    let mut later: PerSide<HashSet<(Option<Uuid>, Option<Uuid>)>> = PerSide::default();
    for held in state.waits.later() {
        let ids = (held.ids.erp, held.ids.crm);
        if let Some(to) = held.to.filter(|to| !failed.of(*to).contains(&ids)) {
            later.of_mut(to).insert(ids);
        }
    }
    // What a plan that is carried out does not have was left alone on purpose.
    let mut unplanned: PerSide<HashSet<(Option<Uuid>, Option<Uuid>)>> = PerSide::default();
    for to in Side::BOTH {
        let pairs = state.records.pairs().ids.iter().filter(|ids| state.approval.leaves_undone(to, ids.erp));
        let pairs = pairs.map(|ids| (Some(ids.erp), Some(ids.crm)));
        let known = |ids: &(Option<Uuid>, Option<Uuid>)| {
            [&failed, &skipped, &later].iter().any(|known| known.of(to).contains(ids))
        };
        unplanned.of_mut(to).extend(pairs.filter(|ids| !known(ids)));
    }
    let mut counts = PerSide::<Counts>::default();
    for to in Side::BOTH {
        counts.of_mut(to).failed = failed.of(to).difference(skipped.of(to)).count() as u64;
        if !map.direction.writes(to) {
            continue;
        }
        let tally = &state.tally;
        let inserted = tally.inserted(to);
        let made = |erp: &Uuid| inserted.contains(erp) || tally.inserted(to.other()).contains(erp);
        let closed = failed.of(to).iter().chain(skipped.of(to)).chain(later.of(to));
        let open = closed.chain(tally.undone(to)).chain(unplanned.of(to));
        let open_pairs: HashSet<Uuid> = open.filter(|(_, crm)| crm.is_some()).filter_map(|(erp, _)| *erp).collect();
        let modified: HashSet<&Uuid> =
            tally.modified(to).iter().filter(|erp| !inserted.contains(*erp) && !open_pairs.contains(*erp)).collect();
        let settled = |erp: &Uuid| !made(erp) && !modified.contains(erp) && !open_pairs.contains(erp);
        let counts = counts.of_mut(to);
        // What was made, and then waits for a value that it cannot be given, waits.
        counts.inserted = inserted.difference(&open_pairs).count() as u64;
        counts.modified = modified.len() as u64;
        counts.unchanged = state.records.pairs().ids.iter().filter(|ids| settled(&ids.erp)).count() as u64;
        counts.skipped = tally.skipped_count(to)
            + tally.gone_outside().iter().filter(|erp| settled(erp)).count() as u64
            + skipped.of(to).len() as u64
            + later.of(to).len() as u64
            + tally.undone(to).difference(skipped.of(to)).count() as u64
            + unplanned.of(to).len() as u64
            + state.approval.unmade_count(to.other());
        counts.deleted = tally.deleted_count(to);
    }
    state.report.to = counts;
    state.report.undone = PerSide::from_fn(|to| state.tally.undone(to).len() as u64);
    state.report.contested = contested.len() as u64;
    let inserted: u64 = Side::BOTH.iter().map(|side| state.tally.inserted(*side).len() as u64).sum();
    let matched: u64 = state.report.matched.iter().map(|(_, count)| count).sum();
    state.report.new_couplings = inserted + matched;
    let stored = store.coupling_counts()?.get(&map.name).copied().unwrap_or(0);
    state.report.coupled = if context.options.dry_run {
        (stored + state.tally.recovered_count() + state.report.new_couplings).saturating_sub(state.report.uncoupled)
    } else {
        stored
    };
    Ok(())
}
