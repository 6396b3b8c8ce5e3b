//! What is remembered of our own writes, so that they are never taken for somebody's edit.
//!
//! Only where the newer of two edits wins: our write makes a record look edited just now. For each record that we write
//! it is remembered in which version we left it, and when it had been edited before; [`crate::delta::newest`] reads that.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::delta::Held;
use crate::delta::newest::{KEYS, Mark, Times, UNDER_WAY};
use crate::endpoint::ClockOffset;
use crate::extract::Scope;
use crate::plan::{Action, ActionKind};
use crate::run::context::Context;
use crate::run::records::Records;
use crate::store::{InboxItem, InboxKind, Store, StoreError, Terms};

/// By ERP id, what is known of the records that are about to be written.
pub(super) type Before = HashMap<Uuid, Known>;

/// What is known of one record before we write it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// When it was edited, by its own side's clock; 0 where nobody knows.
    edited: u64,
    /// What was remembered so far.
    mark: Mark,
}

const NOTHING: Mark = Mark { left: 0, edited: 0 };

/// Returns where a pass reads the times of edits; `None` where no field asks for them.
///
/// The clocks are compared now, right after the first reading, and stay so compared for the whole pass, as far as they can be.
pub(super) fn times(context: &Context<'_>, scope: &Scope, map: &TableMap) -> Option<Times> {
    let columns = PerSide { erp: scope.modified.erp.clone()?, crm: scope.modified.crm.clone()? };
    let [erp, crm] = Side::BOTH.map(|side| context.endpoints.of(side).line().clock_offset());
    let times = Times { columns, crm_ahead_ms: ClockOffset::between(erp, crm), left: map.fields.len() };
    map.compares_times().then_some(times)
}

/// Takes note of writes of which a run that was cut off did not learn whether they arrived: what the record is now may
/// be our doing, and what it is later is not.
pub(super) fn settle_under_way(records: &mut Records) {
    let Some(times) = records.times().cloned() else { return };
    for pair in 0..records.pairs().len() {
        for side in Side::BOTH {
            if times.mark(records.pairs(), pair, side).is_some_and(|mark| mark.left == UNDER_WAY) {
                mark_as(records, &times, pair, side, None);
            }
        }
    }
}

/// Distrusts the times of pairs that waited for a person before anything was remembered of them: whose edit they tell of
/// is not known.
pub(super) fn distrust(store: &dyn Store, map: &TableMap, records: &mut Records) -> Result<(), StoreError> {
    let Some(times) = records.times().cloned() else { return Ok(()) };
    let contested = |item: &InboxItem| (item.kind == InboxKind::Contested).then_some(item.erp_id).flatten();
    let waiting: HashSet<Uuid> = store.inbox(Some(&map.name))?.iter().filter_map(contested).collect();
    for pair in 0..records.pairs().len() {
        for side in Side::BOTH {
            if waiting.contains(&records.pairs().ids[pair].erp) && times.mark(records.pairs(), pair, side).is_none() {
                mark_as(records, &times, pair, side, None);
            }
        }
    }
    Ok(())
}

/// Remembers when the records of pairs with a contested field were edited: we may write their other fields.
pub(super) fn freeze(map: &TableMap, records: &mut Records, held: &[Held]) {
    let Some(times) = records.times().cloned() else { return };
    let contested = |held: &&Held| {
        held.kind == InboxKind::Contested && held.field.is_some_and(|field| map.fields[field].compares_times())
    };
    let contested: HashSet<Uuid> = held.iter().filter(contested).filter_map(|held| held.ids.erp).collect();
    if contested.is_empty() {
        return;
    }
    for pair in 0..records.pairs().len() {
        if contested.contains(&records.pairs().ids[pair].erp) {
            for side in Side::BOTH {
                let edited = ms(&times, records, pair, side);
                mark_as(records, &times, pair, side, Some(edited));
            }
        }
    }
}

/// Before a write: returns what is known of the records to be written, and whether something has to be saved before the
/// write leaves. Of a pair with a contested field the state must know that a write is under way, since after a crash
/// nothing but the times would tell whose value is newer.
pub(super) fn before_write(records: &mut Records, held: &[Held], to: Side, actions: &[Action]) -> (Before, bool) {
    let Some(times) = records.times().cloned() else { return (Before::new(), false) };
    let wanted: HashMap<Uuid, ActionKind> =
        actions.iter().map(|action| (action.ids.erp, action.kind.clone())).collect();
    let contested: HashSet<Uuid> =
        held.iter().filter(|held| held.kind == InboxKind::Contested).filter_map(|held| held.ids.erp).collect();
    let mut before = Before::new();
    let mut must_save = false;
    for pair in 0..records.pairs().len() {
        let erp = records.pairs().ids[pair].erp;
        if wanted.get(&erp) != Some(&ActionKind::Update) {
            continue;
        }
        let edited = ms(&times, records, pair, to);
        before.insert(erp, Known { edited, mark: times.mark(records.pairs(), pair, to).unwrap_or(NOTHING) });
        if contested.contains(&erp) {
            set_mark(records, &times, pair, to, Mark { left: UNDER_WAY, edited });
            must_save = true;
        }
    }
    (before, must_save)
}

/// After a write: the record as it is now is ours. `before` is what [`before_write`] returned; `written` tells of each
/// record whether it was written and nobody else can have edited it since, or whether that is not certain.
pub(super) fn after_write(
    records: &mut Records,
    to: Side,
    actions: &[Action],
    before: &Before,
    written: impl Fn(&Action) -> Option<bool>,
) {
    let Some(times) = records.times().cloned() else { return };
    let pairs: HashMap<Uuid, usize> = records.pairs_by_erp();
    for action in actions {
        let Some(&pair) = pairs.get(&action.ids.erp) else { continue };
        let known = before.get(&action.ids.erp);
        match written(action) {
            Some(true) => mark_as(records, &times, pair, to, known.map(|known| known.edited)),
            Some(false) => mark_as(records, &times, pair, to, None),
            // Another version than the one remembered is somebody's edit.
            None => {
                if let Some(known) = known {
                    set_mark(records, &times, pair, to, known.mark);
                }
            }
        }
    }
}

/// Remembers that the record is as we left it, and when it had been edited before.
fn mark_as(records: &mut Records, times: &Times, pair: usize, side: Side, edited: Option<u64>) {
    let left = times.version(records.frame(side), side, *records.pairs().rows[pair].of(side));
    set_mark(records, times, pair, side, Mark { left, edited: edited.unwrap_or_default() });
}

fn set_mark(records: &mut Records, times: &Times, pair: usize, side: Side, mark: Mark) {
    for (base, value) in (times.left..times.left + KEYS.len()).zip([mark.left, mark.edited]) {
        let mut both = records.pairs().bases[base][pair].unwrap_or_default();
        *both.of_mut(side) = value;
        records.settle(pair, base, both, Terms::AGREED);
    }
}

fn ms(times: &Times, records: &Records, pair: usize, side: Side) -> u64 {
    let time = times.edited(records.frames(), records.pairs(), pair, side);
    time.and_then(|time| u64::try_from(time.timestamp_millis()).ok()).unwrap_or_default()
}
