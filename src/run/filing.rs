//! What waits, filed for a person, beside what waited before and was not looked at yet.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::delta::Held;
use crate::delta::decided::Ruled;
use crate::plan::Action;
use crate::run::context::Context;
use crate::run::decided;
use crate::run::postponed::Postponed;
use crate::run::state::PassState;
use crate::run::step::PassError;
use crate::store::pairs::Items;
use crate::store::{Background, InboxItem, InboxKind, Outstanding, Store, StoreError};

/// By what an item is known again: kind, records and field.
type Matter = (InboxKind, Option<Uuid>, Option<Uuid>, Option<String>);

fn matter(item: &InboxItem) -> Matter {
    // A record that failed before may be skipped now: that is the same trouble.
    let kind = if item.kind == InboxKind::Skipped { InboxKind::Failed } else { item.kind };
    (kind, item.erp_id, item.crm_id, item.field.clone())
}

/// Files what waits for a person, beside what waited before and was not looked at yet.
pub(super) fn file(
    context: &Context<'_>,
    store: &mut dyn Store,
    map: &TableMap,
    deferred: &[bool],
    state: &mut PassState,
) -> Result<(), PassError> {
    state.waits.sort();
    state.remarks.sort();
    let earlier = store.inbox(Some(&map.name))?;
    let before: HashMap<Matter, &InboxItem> = earlier.iter().map(|item| (matter(item), item)).collect();
    let mut items = items(store, map, state, &before)?;
    let known: HashSet<Matter> = items.iter().map(matter).collect();
    if context.options.dry_run {
        for item in &mut items {
            if let Some(before) = before.get(&matter(item)) {
                item.since.clone_from(&before.since);
                item.attempts = before.attempts;
            }
        }
        state.waits.file_sent_again(refused_before(&earlier, &known, state.draft.actions()));
        state.waits.file(items);
        return Ok(());
    }
    let kept = decided::kept(store, map, state, &earlier, &items)?;
    let kept = Items::new(&kept);
    let postponed = Postponed::of(&state.approval, &state.waits);
    let is_unseen = |item: &InboxItem| {
        let (fields, stops) = ((map, deferred), context.options.stop.load(Ordering::Relaxed));
        stops || waits_for_step(fields, item) || is_untouched(map, state, &postponed, item) || kept.contains(item)
    };
    // Who is told first of those that wait for the same record may be another one now. Of a new record, all that fails is
    // decided at once.
    let name = |held: &Held| held.field.map(|field| map.fields[field].name());
    let waiting: HashSet<_> = state.waits.unclear().map(|held| (held.ids, name(held))).collect();
    let new: HashSet<_> =
        waiting.iter().map(|(ids, _)| *ids).filter(|ids| ids.erp.is_none() || ids.crm.is_none()).collect();
    let waits_with_others = |item: &InboxItem| {
        let ids = PerSide { erp: item.erp_id, crm: item.crm_id };
        let is_decided =
            waiting.contains(&(ids, item.field.as_deref())) || (item.field.is_some() && new.contains(&ids));
        item.kind == InboxKind::Failed && is_decided
    };
    let stays = |item: &&InboxItem| !known.contains(&matter(item)) && is_unseen(item) && !waits_with_others(item);
    items.iter_mut().for_each(|item| item.since.clear());
    items.extend(earlier.iter().filter(stays).cloned());
    store.replace_inbox(&map.name, &items)?;
    // Few runs have any.
    if !state.waits.survivors().is_empty() || earlier.iter().any(|item| item.kind == InboxKind::Deleted) {
        // Of a record that the run is not about, what an earlier one saw of it counts.
        let mut survivors = store.survivors(&map.name)?;
        survivors.retain(|known| !state.asks(Some(known.ids.erp), Some(known.ids.crm)));
        survivors.extend(state.waits.survivors().iter().copied());
        store.replace_survivors(&map.name, &survivors)?;
    }
    Ok(())
}
/// Returns what waits as the inbox has it; `before` is what it had so far.
fn items(
    store: &dyn Store,
    map: &TableMap,
    state: &PassState,
    before: &HashMap<Matter, &InboxItem>,
) -> Result<Vec<InboxItem>, StoreError> {
    let mut items: Vec<InboxItem> = Vec::new();
    let unclear = state.waits.told_unclear(|held| state.asks(held.ids.erp, held.ids.crm));
    for held in state.waits.held().iter().chain(&unclear) {
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
        let earlier = before.get(&matter(&item)).copied();
        state.backgrounds.give(&mut item, earlier);
        item.background.unreadable =
            item.kind == InboxKind::Failed && state.aside.is_either_unreadable(item.erp_id, item.crm_id);
        items.push(item);
    }
    items.extend(state.outside.items().iter().cloned());
    Ok(items)
}

/// Tells whether an item is about fields that have not had their turn yet.
fn waits_for_step((map, deferred): (&TableMap, &[bool]), item: &InboxItem) -> bool {
    match &item.field {
        Some(name) => map.fields.iter().zip(deferred).any(|(field, waits)| *waits && field.name() == *name),
        None => item.kind == InboxKind::Failed && deferred.contains(&true),
    }
}

/// Tells whether an item is about what this run did not look at, on purpose.
fn is_untouched(map: &TableMap, state: &PassState, postponed: &Postponed, item: &InboxItem) -> bool {
    let ids = (item.erp_id, item.crm_id);
    let field = item.field.as_deref().and_then(|name| map.fields.iter().position(|field| field.name() == name));
    // Whether the side that is not written would still refuse it, this run does not find out.
    let undone = item.field.is_none() && Side::BOTH.iter().any(|to| state.tally.undone(*to).contains(&ids));
    let unread = item.kind == InboxKind::Contested && state.aside.is_either_unreadable(ids.0, ids.1);
    undone || unread || !state.asks(ids.0, ids.1) || postponed.holds(ids, field)
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
