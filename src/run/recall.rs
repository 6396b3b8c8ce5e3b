//! What was open for a coupled pair stays open while one of its records is outside the filter.
//!
//! Nothing is written there and nothing new is raised. But what a person was asked before is not answered by a record that
//! leaves its filter, so it is decided again with today's values: it stays in the inbox until the pair comes back, both
//! sides agree, or nothing is left that a side could refuse. A deleted partner is told as such; a match in doubt has no
//! pair and ends with the record.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::couple::{self, Absent, Pairs};
use crate::delta::decided::{Ruled, Rulings};
use crate::delta::{Held, Work, decide_pairs};
use crate::frame::Frame;
use crate::plan::Action;
use crate::run::outside::Open;
use crate::run::state::PassState;
use crate::run::step::{PassError, Step};
use crate::store::{Couplings, InboxItem, InboxKind, Store};

/// What is added to a message as long as the pair is outside.
const SUFFIX: &str = "; outside the filter, so nothing is written until it comes back";

/// Finds, of the couplings that were not read as a whole, those about which something waits. `beyond` holds the coupled
/// records outside their filters.
pub(super) fn recall(
    store: &dyn Store,
    map: &TableMap,
    absent: &[Absent],
    couplings: &Couplings,
    beyond: &PerSide<Frame>,
    state: &mut PassState,
) -> Result<(), PassError> {
    if absent.is_empty() {
        return Ok(());
    }
    let mut earlier = store.inbox(Some(&map.name))?;
    earlier.retain(|item| !matches!(item.kind, InboxKind::Deleted | InboxKind::Ambiguous));
    earlier.retain(|item| state.asks(item.erp_id, item.crm_id));
    let asked: HashSet<(Uuid, Uuid)> = earlier.iter().filter_map(pair).collect();
    let mut absent: Vec<&Absent> = absent.iter().filter(|absent| asked.contains(&key(&absent.ids))).collect();
    let there = PerSide::from_fn(|side| couple::rows_by_id(beyond.of(side)));
    let exists = |absent: &Absent, side: Side| {
        absent.rows.of(side).is_some() || there.of(side).contains_key(absent.ids.of(side))
    };
    absent.retain(|absent| Side::BOTH.into_iter().all(|side| exists(absent, side)));
    let outside: HashSet<(Uuid, Uuid)> = absent.iter().map(|absent| key(&absent.ids)).collect();
    earlier.retain(|item| pair(item).is_some_and(|pair| outside.contains(&pair)));
    // Of a pair of which a record cannot be read nothing is decided: what waits about it waits on.
    let is_unreadable = |absent: &&&Absent| {
        Side::BOTH.into_iter().any(|side| beyond.of(side).unreadable(*absent.ids.of(side)).is_some())
    };
    let unreadable: HashSet<(Uuid, Uuid)> =
        absent.iter().filter(is_unreadable).map(|absent| key(&absent.ids)).collect();
    let (kept, earlier): (Vec<InboxItem>, Vec<InboxItem>) =
        earlier.into_iter().partition(|item| pair(item).is_some_and(|pair| unreadable.contains(&pair)));
    // What failed of it for one field, this among it, is told anew.
    let is_told = |item: &InboxItem| {
        let mut held = state.waits.held().iter();
        let held = held.find(|held| (held.ids.erp, held.ids.crm) == (item.erp_id, item.crm_id));
        let failed = matches!(item.kind, InboxKind::Failed | InboxKind::Skipped);
        failed && held.is_some_and(|held| item.field.is_some() || held.field.is_none())
    };
    // What is decided is no question: it is carried out when the pair can be read.
    let is_decided = |item: &InboxItem| {
        let field = map.fields.iter().position(|field| Some(field.name()) == item.field.as_deref());
        let ids = pair(item).map(|(erp, crm)| PerSide { erp, crm });
        let ruled = ids.zip(field).and_then(|(ids, field)| state.by_people.of_field(ids, field));
        item.kind == InboxKind::Contested && item.outstanding.is_none() && ruled.is_some()
    };
    let kept: Vec<InboxItem> = kept.into_iter().filter(|item| !is_told(item) && !is_decided(item)).collect();
    absent.retain(|absent| !unreadable.contains(&key(&absent.ids)));
    let outside: HashSet<(Uuid, Uuid)> = outside.difference(&unreadable).copied().collect();
    state.outside.keep(kept);
    if earlier.is_empty() {
        return Ok(());
    }
    let frames = PerSide::from_fn(|side| {
        let inside: Vec<usize> = absent.iter().filter_map(|absent| *absent.rows.of(side)).collect();
        let away = absent.iter().filter(|absent| absent.rows.of(side).is_none());
        let away: Vec<usize> = away.filter_map(|absent| there.of(side).get(absent.ids.of(side)).copied()).collect();
        let mut frame = state.records.frame(side).take(&inside);
        frame.upsert(&beyond.of(side).take(&away));
        frame
    });
    let mut pairs = Pairs::new(map.fields.len());
    for (coupling, (&erp, &crm)) in couplings.erp.iter().zip(&couplings.crm).enumerate() {
        if outside.contains(&(erp, crm)) {
            pairs.push_coupling(couplings, coupling, PerSide::default());
        }
    }
    pairs.locate(&frames);
    state.outside.take(Open { earlier, frames, pairs });
    Ok(())
}

/// Decides again what waits outside, for the fields of this step.
pub(super) fn look_again(step: &Step<'_>, state: &mut PassState) -> Result<(), PassError> {
    let Some(open) = state.outside.open() else { return Ok(()) };
    // What a person decided is carried out when the pair is back.
    let rulings = Rulings::default();
    let work = Work { frames: &open.frames, pairs: &open.pairs, rulings: &rulings, ..state.work(step) };
    let decisions = decide_pairs(&work)?;
    let decided = |held: &Held| {
        let ids = PerSide { erp: held.ids.erp?, crm: held.ids.crm? };
        state.by_people.of_field(ids, held.field?).map(Ruled::outstanding)
    };
    let mut items = Vec::new();
    let mut held_of: HashMap<(Option<Uuid>, Option<Uuid>), Vec<&Held>> = HashMap::new();
    let unclear: Vec<Held> = decisions.unclear.iter().map(|unclear| unclear.told(0)).collect();
    for held in decisions.held.iter().chain(&decisions.later).chain(&unclear) {
        held_of.entry((held.ids.erp, held.ids.crm)).or_default().push(held);
    }
    let mut actions_of: HashMap<(Option<Uuid>, Option<Uuid>), Vec<&Action>> = HashMap::new();
    for action in &decisions.actions {
        actions_of.entry((Some(action.ids.erp), Some(action.ids.crm))).or_default().push(action);
    }
    let silent = |&(pair, field): &(usize, usize)| (open.pairs.ids[pair], step.map.fields[field].name());
    let silent: HashSet<_> = decisions.silent.iter().map(silent).collect();
    let known: HashSet<_> = state.outside.items().iter().map(matter).collect();
    for item in &open.earlier {
        let ids = (item.erp_id, item.crm_id);
        let mut held = held_of.get(&ids).into_iter().flatten().copied();
        if let Some(field) = &item.field {
            let asked = |held: &&Held| name_of(step.map, held) == Some(field.as_str());
            if let Some(held) = held.find(asked) {
                let (values, message) = (held.values.clone(), format!("{}{SUFFIX}", held.message));
                items.push(InboxItem {
                    kind: held.kind,
                    erp: values.erp,
                    crm: values.crm,
                    message,
                    outstanding: decided(held),
                    ..item.clone()
                });
            } else if ids
                .0
                .zip(ids.1)
                .is_some_and(|(erp, crm)| silent.contains(&(PerSide { erp, crm }, field.as_str())))
            {
                // Whether it is still a question, only a record tells that cannot be read.
                items.push(item.clone());
            }
            continue;
        }
        // What a side refused, it would be sent again; what took the record out of its filter is no part of that.
        let writes = actions_of.get(&ids).into_iter().flatten().any(|action| {
            let filter = step.map.sides.of(action.side).filter.as_ref().map_or(&[][..], |filter| filter.columns());
            action.fields.iter().any(|change| !filter.contains(&change.column))
        });
        if (writes || held.next().is_some()) && !known.contains(&matter(item)) {
            let message = item.message.strip_suffix(SUFFIX).unwrap_or(&item.message);
            items.push(InboxItem { message: format!("{message}{SUFFIX}"), ..item.clone() });
        }
    }
    state.outside.keep(items);
    Ok(())
}

fn name_of<'a>(map: &'a TableMap, held: &Held) -> Option<&'a str> {
    held.field.map(|field| map.fields[field].name())
}

/// Tells by what an item is known again.
fn matter(item: &InboxItem) -> (InboxKind, Option<(Uuid, Uuid)>, Option<String>) {
    (item.kind, pair(item), item.field.clone())
}

fn pair(item: &InboxItem) -> Option<(Uuid, Uuid)> {
    item.erp_id.zip(item.crm_id)
}

fn key(ids: &PerSide<Uuid>) -> (Uuid, Uuid) {
    (ids.erp, ids.crm)
}
