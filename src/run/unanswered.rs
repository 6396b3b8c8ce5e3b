//! New records that were sent and had no answer: some may still come, of others nobody knows whether they are there.
//!
//! Neither may be made a second time (I2). Who is sent again goes under the key that went before; who may be there already
//! gets no partner, and no more does the record that it may be, until a person has seen to it.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Side};
use crate::endpoint::{Key, TableInfo, key_text};
use crate::frame::{Frame, Kind, Value};

/// How many records one message names.
const NAMED_MAX: usize = 3;

/// What a pass knows of such records.
#[derive(Default)]
pub(super) struct Unanswered {
    /// By side, new records that may still come, by the record of the other side that they were made for.
    tried: PerSide<HashMap<Uuid, Tried>>,
    /// By side, records that get no partner, because one may have been made already; and what is said of each.
    in_doubt: PerSide<HashMap<Uuid, String>>,
    /// By side, what was there before new records were sent that get their key there.
    before: PerSide<HashSet<Uuid>>,
}

impl Unanswered {
    /// Notes an attempt on a side, for the record that it was to be made for.
    pub(super) fn note_tried(&mut self, to: Side, source: Uuid, tried: Tried) {
        let all = self.tried.of_mut(to);
        let earlier = all.remove(&source).filter(|earlier| earlier.id == tried.id);
        let mut journal = earlier.map(|earlier| earlier.journal).unwrap_or_default();
        journal.extend(&tried.journal);
        all.insert(source, Tried { journal, ..tried });
    }

    /// Returns the attempt for a record.
    pub(super) fn tried(&self, to: Side, source: Uuid) -> Option<&Tried> {
        self.tried.of(to).get(&source)
    }

    /// Returns all attempts on a side.
    pub(super) fn all_tried(&self, to: Side) -> impl Iterator<Item = &Tried> {
        self.tried.of(to).values()
    }

    /// Takes out the attempt for a record, which has come.
    pub(super) fn take_tried(&mut self, to: Side, source: Uuid) -> Option<Tried> {
        self.tried.of_mut(to).remove(&source)
    }

    /// Takes note of a doubt, so that nobody concerned gets a new partner.
    pub(super) fn note_doubt(&mut self, doubt: InDoubt) {
        let candidate = "an earlier run may have made it, whose answer was lost; couple it by hand, or delete it";
        for id in doubt.candidates {
            self.in_doubt.of_mut(doubt.side).insert(id, candidate.to_owned());
        }
        self.in_doubt.of_mut(doubt.side.other()).insert(doubt.source, doubt.message);
    }

    /// Takes note of a record that may be what another one of the other side is to be made as; of several such, each run tells of
    /// the same one.
    pub(super) fn note_alike(&mut self, side: Side, id: Uuid, message: String) {
        let known = self.in_doubt.of_mut(side).entry(id).or_insert_with(|| message.clone());
        if message < *known {
            *known = message;
        }
    }

    /// Returns the records of a side that get no partner for a doubt, and what is said of each.
    pub(super) fn in_doubt(&self, side: Side) -> &HashMap<Uuid, String> {
        self.in_doubt.of(side)
    }

    /// Takes what is there before new records are sent to a side.
    pub(super) fn note_before(&mut self, to: Side, ids: Vec<Uuid>) {
        self.before.of_mut(to).extend(ids);
    }

    /// Returns what was there before new records were sent to a side.
    pub(super) fn before(&self, to: Side) -> &HashSet<Uuid> {
        self.before.of(to)
    }
}

/// An attempt at a new record that had no answer, and of which nothing is there yet.
#[derive(Debug, Clone)]
pub(super) struct Tried {
    pub(super) id: Uuid,
    /// Columns of the key and what was sent in them.
    pub(super) key: Vec<(String, Value)>,
    /// The numbers of its intents in the journal, which stay open as long as nobody knows.
    pub(super) journal: Vec<i64>,
}

impl Tried {
    /// Returns an attempt under `id` that sent these columns and texts; `None` where they do not tell the key.
    pub(super) fn of<'a>(
        info: &TableInfo,
        id: Uuid,
        sent: impl Iterator<Item = (&'a str, String)>,
        journal_id: i64,
    ) -> Option<Tried> {
        let Key::Values(names) = &info.key else { return None };
        let sent: HashMap<&str, String> = sent.collect();
        let kind = |name: &String| info.column(name).map_or(Kind::Text, |info| info.column.kind);
        let value = |name: &String| sent.get(name.as_str()).and_then(|text| kind(name).parse(text));
        let texts: Vec<String> =
            names.iter().map(|name| key_text(kind(name), &value(name).unwrap_or(Value::Null))).collect();
        let key = names.iter().filter_map(|name| Some((name.clone(), value(name)?))).collect();
        (info.id_of(&texts) == id).then(|| Tried { id, key, journal: vec![journal_id] })
    }
}

/// A new record of which nobody knows whether it was made, and what is said of it and of those that it may be.
#[derive(Debug, Clone)]
pub(super) struct InDoubt {
    /// The side where it may have been made.
    side: Side,
    /// The record of the other side that it was made for.
    source: Uuid,
    message: String,
    candidates: Vec<Uuid>,
}

impl InDoubt {
    /// Names the records among `all` that it may be, by the columns of their `key`.
    pub(super) fn new(side: Side, source: Uuid, candidates: Vec<Uuid>, all: &Frame, key: &[String]) -> InDoubt {
        let named = |row: usize| {
            let values: Vec<String> = key.iter().map(|name| all.value(name, row).to_string()).collect();
            if key.iter().all(|name| all.column(name).is_some()) { values.join(", ") } else { all.id(row).to_string() }
        };
        let rows = (0..all.rows()).filter(|row| candidates.contains(&all.id(*row)));
        let names: Vec<String> = rows.take(NAMED_MAX).map(named).collect();
        let more = if candidates.len() > names.len() { ", …" } else { "" };
        let message = format!(
            "the answer to an earlier attempt was lost, and it may be there already, as {}{more}; couple it by hand, or \
             have it made anew by `couple TABLE:KEY --create --yes`",
            names.join(", ")
        );
        InDoubt { side, source, message, candidates }
    }

    /// Says what is to be done about it.
    pub(super) fn message(&self) -> &str {
        &self.message
    }
}
