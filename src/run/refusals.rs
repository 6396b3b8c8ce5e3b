//! Records that their side refused: the second refusal for the same reason makes a record *skipped* (design §3.9).
//!
//! Each side refuses for itself. A skipped record is not sent again until one of its mapped fields changes on either side, what would be sent
//! changes, or a person asks for it. Only what a side refused counts: a lost connection or a reference without coupling
//! says nothing about the record, and neither does a side that takes nothing of a table map and says the same of everything: a
//! right is missing, or the table is locked. Those fail, and are sent again by each run. What is remembered of a refusal is its reason and a fingerprint of all that the
//! attempt depended on.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::couple::rows_by_id;
use crate::delta::Held;
use crate::frame::{Kind, Value};
use crate::plan::{Action, ActionKind};
use crate::run::records::Records;
use crate::run::selection::{Asked, Named};
use crate::run::waits::Waits;
use crate::run::written::{Before, fingerprint_in};
use crate::store::{InboxKind, Refusal, Store, StoreError};
use crate::translate::canonical::{BLANK, fingerprint, fold};

/// Refusals for the same reason after which a record is left alone.
const TIMES_MAX: u32 = 2;

/// Records that a side refuses alike, and takes none beside them, until that is no fault of theirs.
const ALIKE_MIN: usize = 3;

/// A record, or a pair, as the inbox knows it.
pub(super) type Ids = (Option<Uuid>, Option<Uuid>);

/// What goes to a side: each of the two may refuse the same pair, for reasons of its own.
type Matter = (Ids, Side);

/// What a pass knows of refusals.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// From earlier runs.
    earlier: HashMap<Matter, Refusal>,
    /// Some of them are not wanted any more.
    forgotten: bool,
    /// Of this run, with what was refused.
    now: HashMap<Matter, (Refusal, ActionKind)>,
    /// Left alone in this run.
    skipped: HashSet<Matter>,
    /// Neither refused nor written in this run, though it was to be.
    unsent: HashSet<Matter>,
}

impl Refusals {
    /// Takes what earlier runs remember of a table map, but for records that a person named: they are sent again.
    pub(super) fn load(store: &dyn Store, map: &TableMap, named: &[Named]) -> Result<Refusals, StoreError> {
        let mut earlier = store.refusals(&map.name)?;
        let named = Asked::of(map, named);
        let remembered = earlier.len();
        earlier.retain(|refusal| !named.holds(refusal.erp, refusal.crm));
        let forgotten = earlier.len() < remembered;
        let earlier =
            earlier.into_iter().map(|refusal| (((refusal.erp, refusal.crm), refusal.side), refusal)).collect();
        Ok(Refusals { earlier, forgotten, ..Refusals::default() })
    }

    /// Notes that a side refused an action.
    pub(super) fn note(&mut self, action: &Action, message: &str, print: u64) {
        let (matter, ids) = (matter(action), known_ids(action));
        let times = match self.earlier.get(&matter) {
            Some(earlier) if reason(&earlier.message) == reason(message) => earlier.times.saturating_add(1),
            _ => 1,
        };
        let (side, message) = (action.side, message.to_owned());
        let refusal = Refusal { erp: ids.0, crm: ids.1, side, message, print, times };
        self.now.insert(matter, (refusal, action.kind.clone()));
    }

    /// Takes out of the actions what is skipped, and returns it to be held.
    pub(super) fn skip(&mut self, records: &Records, map: &TableMap, actions: &mut Vec<Action>) -> Vec<Held> {
        if self.earlier.values().all(|refusal| refusal.times < TIMES_MAX) {
            return Vec::new();
        }
        let rows = PerSide::from_fn(|side| rows_by_id(records.frame(side)));
        let mut skipped: HashMap<Matter, (String, String)> = HashMap::new();
        for action in actions.iter() {
            let Some(refusal) = self.earlier.get(&matter(action)) else { continue };
            let held = |side: Side| held_by(records, map, side, rows.of(side).get(action.ids.of(side)).copied());
            if refusal.times >= TIMES_MAX && refusal.print == print(action, &PerSide::from_fn(held)) {
                let told = (action.record.clone(), refusal.message.clone());
                skipped.entry(matter(action)).or_insert(told);
            }
        }
        actions.retain(|action| !skipped.contains_key(&matter(action)));
        let new = skipped.into_iter().filter(|(matter, _)| self.skipped.insert(*matter));
        new.map(|((ids, to), (record, message))| skipped_item(ids, to, record, &message)).collect()
    }

    /// Returns what a side refused for no fault of the records: several of them alike, and none was taken. New records,
    /// changes and deletions each count by themselves, as each takes a right of its own. `has_taken` tells whether a side took
    /// any of a kind.
    pub(super) fn blameless(&self, has_taken: impl Fn(Side, &ActionKind) -> bool) -> Blameless {
        let mut alike: HashMap<(Side, &str), Vec<(&Matter, &Refusal)>> = HashMap::new();
        for (matter, (refusal, kind)) in &self.now {
            if !has_taken(matter.1, kind) {
                alike.entry((matter.1, kind.key())).or_default().push((matter, refusal));
            }
        }
        alike.retain(|_, refused| {
            let of_first = reason(&refused[0].1.message);
            refused.len() >= ALIKE_MIN && refused.iter().all(|(_, refusal)| reason(&refusal.message) == of_first)
        });
        let mut told: Vec<String> = Vec::new();
        for ((side, kind), refused) in &alike {
            let (message, side, count) = (&refused[0].1.message, side.name(), refused.len());
            told.push(format!(
                "the {side} took no {kind} and refused all {count} alike, so each run tries them again: {message}"
            ));
        }
        told.sort();
        Blameless { matters: alike.values().flatten().map(|(matter, _)| **matter).collect(), told }
    }

    /// Holds as skipped what was refused for the same reason once too often.
    pub(super) fn skip_refused(&self, blameless: &Blameless, waits: &mut Waits) {
        waits.replace(|held| {
            let (ids, to) = ((held.ids.erp, held.ids.crm), held.to?);
            let (refusal, _) = self.now.get(&(ids, to)).filter(|(refusal, _)| refusal.times >= TIMES_MAX)?;
            if blameless.matters.contains(&(ids, to)) {
                return None;
            }
            let is_refusal = held.kind == InboxKind::Failed && held.field.is_none();
            is_refusal.then(|| skipped_item(ids, to, held.record.clone(), &refusal.message))
        });
    }

    /// Returns all refusals that the next run has to know, where there is anything to remember or to forget. `is_untried` tells
    /// of a record whether it had no chance to be taken or refused; `partly` that this is so of all that was not refused yet.
    /// A refusal that is no fault of its record counts for nothing.
    pub(super) fn to_remember(
        &self,
        blameless: &Blameless,
        partly: bool,
        is_untried: impl Fn(Ids) -> bool,
    ) -> Option<Vec<Refusal>> {
        let Refusals { earlier, forgotten, now, skipped, unsent } = self;
        if earlier.is_empty() && now.is_empty() && !forgotten {
            return None;
        }
        let counts = |matter: &Matter| now.contains_key(matter) && !blameless.matters.contains(matter);
        let untried = |matter: &Matter| {
            let unjudged = skipped.contains(matter) || unsent.contains(matter) || blameless.matters.contains(matter);
            unjudged || is_untried(matter.0)
        };
        let stays = |matter: &&Matter| !counts(matter) && (partly || untried(matter));
        let mut all: Vec<Refusal> = earlier.keys().filter(stays).map(|matter| earlier[matter].clone()).collect();
        all.extend(now.iter().filter(|(matter, _)| counts(matter)).map(|(_, (refusal, _))| refusal.clone()));
        all.sort_by_key(|refusal| (refusal.erp, refusal.crm, refusal.side.key()));
        Some(all)
    }

    /// Notes that an action did not reach its side.
    pub(super) fn note_unsent(&mut self, action: &Action) {
        self.unsent.insert(matter(action));
    }
}

/// What a side refused for no fault of the records.
pub(super) struct Blameless {
    matters: HashSet<Matter>,
    /// What people are told of it.
    pub(super) told: Vec<String>,
}

fn skipped_item(ids: Ids, to: Side, record: String, message: &str) -> Held {
    Held {
        kind: InboxKind::Skipped,
        message: format!("{record} was refused by the {} twice and is left alone: {message}", to.name()),
        record,
        ids: PerSide { erp: ids.0, crm: ids.1 },
        field: None,
        values: PerSide::default(),
        to: Some(to),
    }
}

fn matter(action: &Action) -> Matter {
    (known_ids(action), action.side)
}

/// Returns by what the record of an action is known to people: a partner that is still to be made has no name.
pub(super) fn known_ids(action: &Action) -> Ids {
    let known = |side: Side| !action.kind.makes_record() || side != action.side;
    (known(Side::Erp).then_some(action.ids.erp), known(Side::Crm).then_some(action.ids.crm))
}

/// Returns the rows of the records from which `actions` on `to` come, by id.
pub(super) fn sources(records: &Records, to: Side, actions: &[Action]) -> HashMap<Uuid, usize> {
    let wanted: HashSet<Uuid> = actions.iter().map(|action| *action.ids.of(to.other())).collect();
    let rows = records.frame(to.other()).ids().into_iter().enumerate();
    rows.filter(|(_, id)| wanted.contains(id)).map(|(row, id)| (id, row)).collect()
}

/// Fingerprints what an attempt depended on, from the frames as they were before it: `before` holds the written side,
/// `sources` the rows of the other one.
pub(super) fn print_of(
    records: &Records,
    map: &TableMap,
    action: &Action,
    before: &Before,
    sources: &HashMap<Uuid, usize>,
) -> u64 {
    let held = |side: Side| {
        if side == action.side {
            return before.get(action.ids.of(side)).cloned().unwrap_or_default();
        }
        held_by(records, map, side, sources.get(action.ids.of(side)).copied())
    };
    print(action, &PerSide::from_fn(held))
}

/// Returns the fingerprints of the mapped fields of one record; nothing where there is no record.
fn held_by(records: &Records, map: &TableMap, side: Side, row: Option<usize>) -> Vec<u64> {
    let Some(row) = row else { return Vec::new() };
    let frame = records.frame(side);
    let column = |column: Option<&str>| column.map_or(BLANK, |column| fingerprint_in(frame, side, column, row));
    map.fields.iter().map(|field| column(field.column(side))).collect()
}

fn print(action: &Action, held: &PerSide<Vec<u64>>) -> u64 {
    let text = |text: String| fingerprint(&Value::Text(text), Side::Crm, Kind::Text);
    let sent = action.fields.iter().map(|field| text(format!("{}={}", field.column, field.new)));
    // Sent columns come in the order of the file; which of them are sent tells as much as their values.
    let parts = sent.chain(held.erp.iter().copied()).chain(held.crm.iter().copied());
    fold(text(action.side.key().to_owned()), parts)
}

/// Returns a message without what differs from one attempt to the next: ids and correlation numbers, which are words of
/// at least eight hexadecimal digits, times and the like.
fn reason(message: &str) -> String {
    let is_number = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let hexadecimal = word.len() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit() || "-:.TZ".contains(c));
        hexadecimal && word.contains(|c: char| c.is_ascii_digit())
    };
    message.split_whitespace().filter(|word| !is_number(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_message_is_the_same_for_every_attempt() {
        let reason_of = reason("the record is locked (CorrelationId: 3f2504e0-4f89-11d3-9a0c-0305e82c3301).");
        for (other, same) in [
            ("the record is locked (CorrelationId: 0b0e3b0a-0000-11d3-9a0c-0305e82c3301).", true),
            ("the record is locked by an order", false),
        ] {
            assert_eq!(reason(other) == reason_of, same, "{other}");
        }
        for (one, other, same) in [
            ("refused at 2026-01-31T02:00:00Z", "refused at 2026-02-01T02:00:07Z", true),
            ("customer 10000 is blocked", "customer 20000 is blocked", false),
            ("effaced", "deadbeef", false),
        ] {
            assert_eq!(reason(one) == reason(other), same, "{one} / {other}");
        }
    }
}
