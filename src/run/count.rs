//! The end of a step: what waits is filed, and every record is counted once in each direction.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::delta::Held;
use crate::delta::decided::Ruled;
use crate::plan::Action;
use crate::run::account::Counts;
use crate::run::background;
use crate::run::chosen::chosen;
use crate::run::context::Context;
use crate::run::decided;
use crate::run::forced;
use crate::run::notes::note_it;
use crate::run::refusals::{Left, remember};
use crate::run::state::{PassError, PassState, Step};
use crate::store::pairs::Items;
use crate::store::{Background, CouplingChange, InboxItem, InboxKind, Origin, Outstanding, Store};

/// Saves what is left, files what waits, and counts. `deferred` tells which fields have not had their turn yet.
pub(super) fn finish(
    context: &Context<'_>,
    store: &mut dyn Store,
    map: &TableMap,
    deferred: &[bool],
    state: &mut PassState,
) -> Result<(), PassError> {
    forced::remember(context, map, deferred, state);
    if !context.options.dry_run {
        state.records.save(store, map)?;
    }
    if !deferred.contains(&true) {
        let notes = state.remarks.lossy_notes(map);
        notes.into_iter().for_each(|note| note_it(context, &mut state.report, note));
    }
    let stopped = context.options.stop.load(Ordering::Relaxed);
    remember(store, map, state, stopped || deferred.contains(&true), context.options.dry_run)?;
    file(context, store, map, deferred, state)?;
    decided::end(context, store, map, deferred, state)?;
    if !context.options.dry_run {
        state.waits.file(decided::undecided(store, &map.name)?);
    }
    forced::tell(context, map, state);
    keep_overwritten(state);
    state.draft.leave_to_run(state.waits.left_to_run());
    state.report.selected = chosen(map, state, &context.named);
    state.waits.end_step();
    count_up(context, store, map, state)
}

/// Files and counts what the first step has done, before its guard stops what follows from that. What would be coupled now is
/// stopped with the rest: nothing is remembered of it, and it does not count.
pub(super) fn finish_begun(step: &Step<'_>, store: &mut dyn Store, state: &mut PassState) -> Result<(), PassError> {
    let mut stopped: HashSet<Uuid> = HashSet::new();
    for change in state.draft.pending() {
        let CouplingChange::Couple { erp, origin, .. } = change else { continue };
        stopped.insert(*erp);
        let counts = state.report.matched.iter_mut().filter(|(rule, _)| *origin == Origin::Matched(*rule));
        counts.for_each(|(_, pairs)| *pairs = pairs.saturating_sub(1));
    }
    state.report.matched.retain(|(_, pairs)| *pairs > 0);
    let (pairs, held) = (state.records.set_aside(&stopped), state.waits.set_aside(&stopped));
    finish(step.context, store, step.map, &step.left_out, state)?;
    state.records.join(pairs);
    state.waits.restore(held);
    Ok(())
}

/// Reports what was overwritten on a side, as far as it was written.
fn keep_overwritten(state: &mut PassState) {
    let written: HashSet<(Side, Uuid)> =
        state.draft.actions().iter().map(|action| (action.side, action.ids.erp)).collect();
    state.report.overwritten = state.forced.overwritten(&written);
}

/// Ends the first step of a pass that its guard stopped: nothing is filed, and what waited before waits on; where something
/// was written before, that was filed by [`finish_begun`].
///
/// A plan tells what would be overwritten if it were not stopped: whoever agrees to what he is shown has to be shown it, or
/// the run after that would let nobody win, and write what the guard let pass.
pub(super) fn stopped(
    context: &Context<'_>,
    store: &dyn Store,
    map: &TableMap,
    state: &mut PassState,
) -> Result<(), PassError> {
    state.draft.leave_to_run(state.waits.left_to_run());
    keep_overwritten(state);
    if let Some(report) = state.guarding.report_mut().filter(|_| context.options.dry_run) {
        report.overwritten = std::mem::take(&mut state.report.overwritten);
    }
    if state.guarding.had_begun() {
        return Ok(());
    }
    state.waits.file(decided::undecided(store, &map.name)?);
    if let Some(report) = state.guarding.report_mut() {
        report.coupled = store.coupling_counts()?.get(&map.name).copied().unwrap_or(0);
        report.matched.clear();
    }
    Ok(())
}

/// By what an item is known again: kind, records and field.
type Matter = (InboxKind, Option<Uuid>, Option<Uuid>, Option<String>);

fn matter(item: &InboxItem) -> Matter {
    // A record that failed before may be skipped now: that is the same trouble.
    let kind = if item.kind == InboxKind::Skipped { InboxKind::Failed } else { item.kind };
    (kind, item.erp_id, item.crm_id, item.field.clone())
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
    state.waits.sort();
    state.remarks.sort();
    for held in state.waits.held() {
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
            outstanding: outstanding(state, held),
            // The store knows; what no run has raised yet has neither.
            since: String::new(),
            attempts: 0,
            background: Background::default(),
        };
        if let (InboxKind::Contested, Some(field), Some(erp), Some(crm)) =
            (held.kind, field, held.ids.erp, held.ids.crm)
        {
            item.base = store.base_values(&map.name, erp, crm)?.remove(&field.key()).map(|base| base.erp);
        }
        items.push(item);
    }
    items.extend(state.beyond.items.iter().cloned());

    let earlier = store.inbox(Some(&map.name))?;
    let before: HashMap<Matter, &InboxItem> = earlier.iter().map(|item| (matter(item), item)).collect();
    for item in items.iter_mut().take(state.waits.held().len()) {
        background::give(state, item, before.get(&matter(item)).copied());
    }
    let known: HashSet<Matter> = items.iter().map(matter).collect();
    let waits = |name: &str| map.fields.iter().zip(deferred).any(|(field, waits)| *waits && field.name() == name);
    let left = Left::of(state);
    let number = |name: &str| map.fields.iter().position(|field| field.name() == name);
    let kept = decided::kept(store, map, state, &earlier, &items)?;
    let kept = Items::new(&kept);
    let unseen = |item: &&InboxItem| {
        let later = match &item.field {
            Some(field) => waits(field),
            None => item.kind == InboxKind::Failed && deferred.contains(&true),
        };
        let ids = (item.erp_id, item.crm_id);
        // Whether the side that is not written would still refuse it, this run does not find out.
        let undone = || item.field.is_none() && Side::BOTH.iter().any(|to| state.tally.undone(*to).contains(&ids));
        let open = later || context.options.stop.load(Ordering::Relaxed) || undone() || !state.asks(ids.0, ids.1);
        let open = open || left.holds(ids, item.field.as_deref().and_then(number)) || kept.contains(item);
        open && !known.contains(&matter(item))
    };
    let unseen: Vec<InboxItem> = earlier.iter().filter(unseen).cloned().collect();
    if context.options.dry_run {
        for item in &mut items {
            if let Some(before) = before.get(&matter(item)) {
                item.since.clone_from(&before.since);
                item.attempts = before.attempts;
            }
        }
        state.waits.file_sent_again(refused_before(&earlier, &known, state.draft.actions()));
        state.waits.file(items);
    } else {
        items.iter_mut().for_each(|item| item.since.clear());
        items.extend(unseen);
        store.replace_inbox(&map.name, &items)?;
        // Few runs have any.
        if !state.waits.survivors().is_empty() || earlier.iter().any(|item| item.kind == InboxKind::Deleted) {
            // Of a record that the run is not about, what an earlier one saw of it counts.
            let mut survivors = store.survivors(&map.name)?;
            survivors.retain(|known| !state.asks(Some(known.ids.erp), Some(known.ids.crm)));
            survivors.extend(state.waits.survivors().iter().copied());
            store.replace_survivors(&map.name, &survivors)?;
        }
    }
    Ok(())
}

/// Returns the decision that stands about what is held all the same.
fn outstanding(state: &PassState, held: &Held) -> Option<Outstanding> {
    let ids = PerSide { erp: held.ids.erp?, crm: held.ids.crm? };
    let ruled = match held.kind {
        InboxKind::Contested => state.by_people.of_field(ids, held.field?),
        InboxKind::Deleted if state.by_people.unmet().contains(&ids) => state.by_people.of_pair(ids),
        _ => None,
    };
    ruled.map(Ruled::outstanding)
}

/// Returns what a side refused and a plan sends again: until it is taken, it waits.
///
/// What failed because of one field is decided anew by the plan itself; a refusal names none.
fn refused_before(earlier: &[InboxItem], known: &HashSet<Matter>, actions: &[Action]) -> Vec<InboxItem> {
    let mut sent: PerSide<HashSet<Uuid>> = PerSide::default();
    for action in actions.iter().filter(|action| action.kind.writes()) {
        for side in Side::BOTH {
            sent.of_mut(side).insert(*action.ids.of(side));
        }
    }
    let again = |item: &&InboxItem| {
        let refused = item.kind == InboxKind::Failed && item.field.is_none() && !known.contains(&matter(item));
        let holds = |side: &HashSet<Uuid>, id: Option<Uuid>| id.is_some_and(|id| side.contains(&id));
        refused && (holds(&sent.erp, item.erp_id) || holds(&sent.crm, item.crm_id))
    };
    earlier.iter().filter(again).cloned().collect()
}

/// Counts pairs and records by direction: a pair once in each (design §3.9).
///
/// So each row that was read counts once in the direction away from its side: inserted, modified, unchanged, skipped or
/// failed. A record that this run made on that side was not read; it counts as inserted in the direction that made it, and
/// as modified in the other one only where something of it went back, a number say. A row in doubt counts even where its
/// table map does not write in that direction, because somebody has to see to it.
fn count_up(context: &Context<'_>, store: &dyn Store, map: &TableMap, state: &mut PassState) -> Result<(), PassError> {
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
    let beyond = state.beyond.items.iter().filter(|item| item.kind == InboxKind::Contested);
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
        let pairs = state.records.pairs().ids.iter().filter(|ids| state.approval.left.of(to).contains(&ids.erp));
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
            + state.approval.unmade.of(to.other()).len() as u64;
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
