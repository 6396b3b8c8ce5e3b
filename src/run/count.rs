//! Every record is counted once in each direction.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::delta::Held;
use crate::run::account::Counts;
use crate::run::context::Context;
use crate::run::refusals::Ids;
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
    let open = Open::of(state);
    state.report.to = PerSide::from_fn(|to| match map.direction.writes(to) {
        true => counts(state, &open, to),
        false => Counts { failed: open.failed_count(to), ..Counts::default() },
    });
    state.report.undone = PerSide::from_fn(|to| state.tally.undone(to).len() as u64);
    // What waits about a pair outside its filter is contested still; its row was counted as left alone.
    let held = state.waits.held().iter().filter(|held| held.kind == InboxKind::Contested).map(|held| held.ids.erp);
    let outside = state.outside.items().iter().filter(|item| item.kind == InboxKind::Contested);
    let contested: HashSet<Option<Uuid>> = held.chain(outside.map(|item| item.erp_id)).collect();
    state.report.contested = contested.len() as u64;
    let inserted: u64 = Side::BOTH.iter().map(|side| state.tally.inserted(*side).len() as u64).sum();
    state.report.new_couplings = inserted + state.report.coupled_anew();
    let stored = store.coupling_counts()?.get(&map.name).copied().unwrap_or(0);
    state.report.coupled = if context.options.dry_run {
        (stored + state.tally.recovered_count() + state.report.new_couplings).saturating_sub(state.report.uncoupled)
    } else {
        stored
    };
    Ok(())
}

/// Records and pairs about which something is open, by the side that it is for.
#[derive(Default)]
struct Open {
    failed: PerSide<HashSet<Ids>>,
    skipped: PerSide<HashSet<Ids>>,
    /// Left to the run by a plan, or until a record can be read.
    later: PerSide<HashSet<Ids>>,
    /// Not in the plan that is carried out, and so left alone on purpose.
    unplanned: PerSide<HashSet<Ids>>,
}

impl Open {
    fn of(state: &PassState) -> Open {
        let mut open = Open::default();
        for held in state.waits.held() {
            let ids = (held.ids.erp, held.ids.crm);
            match (held.kind, held.to) {
                (InboxKind::Contested, _) => {}
                (InboxKind::Skipped, Some(to)) => drop(open.skipped.of_mut(to).insert(ids)),
                (_, Some(to)) => drop(open.failed.of_mut(to).insert(ids)),
                (InboxKind::Ambiguous, None) => {
                    // A record in doubt is one that would have gone to the other side.
                    let to = if held.ids.erp.is_some() { Side::Crm } else { Side::Erp };
                    open.failed.of_mut(to).insert(ids);
                }
                _ => {}
            }
        }
        // What goes over although a reference waits for a record that cannot be read counts as written.
        let written = |held: &&Held| {
            let tally = |to| [state.tally.inserted(to), state.tally.modified(to)];
            held.to.zip(held.ids.erp).is_some_and(|(to, erp)| tally(to).iter().any(|known| known.contains(&erp)))
        };
        let unclear = state.waits.unclear().filter(|held| !written(held));
        for held in state.waits.later().iter().chain(unclear) {
            let ids = (held.ids.erp, held.ids.crm);
            if let Some(to) = held.to.filter(|to| !open.failed.of(*to).contains(&ids)) {
                open.later.of_mut(to).insert(ids);
            }
        }
        for to in Side::BOTH {
            let pairs = state.records.pairs().ids.iter().filter(|ids| state.approval.leaves_undone(to, ids.erp));
            let pairs = pairs.map(|ids| (Some(ids.erp), Some(ids.crm)));
            let others: Vec<Ids> = pairs.filter(|ids| !open.waits(to, ids)).collect();
            open.unplanned.of_mut(to).extend(others);
        }
        open
    }

    /// Returns those that wait, for a person or for the run.
    fn waiting(&self, to: Side) -> impl Iterator<Item = &Ids> {
        self.failed.of(to).iter().chain(self.skipped.of(to)).chain(self.later.of(to))
    }

    fn waits(&self, to: Side, ids: &Ids) -> bool {
        [&self.failed, &self.skipped, &self.later].into_iter().any(|known| known.of(to).contains(ids))
    }

    fn failed_count(&self, to: Side) -> u64 {
        self.failed.of(to).difference(self.skipped.of(to)).count() as u64
    }
}

/// Counts what went to a side.
fn counts(state: &PassState, open: &Open, to: Side) -> Counts {
    let tally = &state.tally;
    let inserted = tally.inserted(to);
    let all = open.waiting(to).chain(tally.undone(to)).chain(open.unplanned.of(to));
    let open_pairs: HashSet<Uuid> = all.filter(|(_, crm)| crm.is_some()).filter_map(|(erp, _)| *erp).collect();
    let modified = tally.modified(to).iter().filter(|erp| !inserted.contains(*erp) && !open_pairs.contains(*erp));
    let modified: HashSet<&Uuid> = modified.collect();
    let made = |erp: &Uuid| inserted.contains(erp) || tally.inserted(to.other()).contains(erp);
    let settled = |erp: &Uuid| !made(erp) && !modified.contains(erp) && !open_pairs.contains(erp);
    let skipped = open.skipped.of(to);
    Counts {
        // What was made, and then waits for a value that it cannot be given, waits.
        inserted: inserted.difference(&open_pairs).count() as u64,
        modified: modified.len() as u64,
        deleted: tally.deleted_count(to),
        unchanged: state.records.pairs().ids.iter().filter(|ids| settled(&ids.erp)).count() as u64,
        skipped: tally.skipped_count(to)
            + tally.gone_outside().iter().filter(|erp| settled(erp)).count() as u64
            + skipped.len() as u64
            + open.later.of(to).len() as u64
            + tally.undone(to).difference(skipped).count() as u64
            + open.unplanned.of(to).len() as u64
            + state.approval.unmade_count(to.other()),
        failed: open.failed_count(to),
    }
}
