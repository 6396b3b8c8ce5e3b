//! What both sides hold of a table map, whose partner each record is, and what is remembered of each pair.
//!
//! All of it changes here and nowhere else, so that two things always hold: a pair's rows are those of its records in the
//! frames, and a base that moved is written to the state by the next [`Records::save`] (I1). Who decides that something
//! moves is not known here.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{FieldMap, PerSide, Side, TableMap};
use crate::couple::{Absent, Pairs, rows_by_id};
use crate::delta::Settled;
use crate::delta::names::Names;
use crate::delta::newest::{self, Times};
use crate::frame::Frame;
use crate::store::{Couplings, Origin, Settlement, Store, StoreError, Terms};

/// Settlements in one transaction.
const SETTLEMENTS_MAX: usize = 20_000;

/// The records of a pass.
pub(super) struct Records {
    frames: PerSide<Frame>,
    pairs: Pairs,
    /// How the values of settled pairs are to each other.
    terms: Terms,
    names: Names,
    /// When records were edited, where the newer value may win.
    times: Option<Times>,
    /// In a dry run, fields by ERP id of which the owner's value is not known before the run.
    untold: HashMap<Uuid, Vec<usize>>,
    /// Fields of each pair whose base is another than the state holds.
    unsaved: HashMap<Uuid, Vec<usize>>,
}

impl Records {
    /// Starts with what was read: nobody has a partner yet.
    pub(super) fn new(map: &TableMap, frames: PerSide<Frame>) -> Records {
        Records {
            names: Names::new(map, &[&frames]),
            frames,
            pairs: Pairs::new(map.fields.len()),
            terms: Terms::default(),
            times: None,
            untold: HashMap::new(),
            unsaved: HashMap::new(),
        }
    }

    /// Returns what both sides hold.
    pub(super) fn frames(&self) -> &PerSide<Frame> {
        &self.frames
    }

    /// Returns what one side holds.
    pub(super) fn frame(&self, side: Side) -> &Frame {
        self.frames.of(side)
    }

    /// Returns who is whose partner, of those whose records are both here.
    pub(super) fn pairs(&self) -> &Pairs {
        &self.pairs
    }

    /// Returns the number of each pair, by its ERP id.
    pub(super) fn pairs_by_erp(&self) -> HashMap<Uuid, usize> {
        self.pairs.ids.iter().enumerate().map(|(pair, ids)| (ids.erp, pair)).collect()
    }

    /// Returns what people call records.
    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// Returns what people call the record in a row of a side.
    pub(super) fn name(&self, side: Side, row: usize) -> String {
        self.names.row(self.frames.of(side), side, row)
    }

    /// Returns what people call a pair.
    pub(super) fn name_of_pair(&self, rows: PerSide<usize>) -> String {
        self.names.pair(&self.frames, rows)
    }

    /// Returns when records were edited, where the newer value may win.
    pub(super) fn times(&self) -> Option<&Times> {
        self.times.as_ref()
    }

    /// Returns how the values of settled pairs are to each other.
    pub(super) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Returns, in a dry run, the fields by ERP id of which the owner's value is not known before the run.
    pub(super) fn untold(&self) -> &HashMap<Uuid, Vec<usize>> {
        &self.untold
    }

    /// Copies the rows of some pairs into frames of their own, so that a later round costs what it touches.
    pub(super) fn excerpt(&self, chosen: &[usize]) -> (PerSide<Frame>, Pairs) {
        let mut pairs = self.pairs.subset(chosen);
        let frames = PerSide::from_fn(|side| {
            let rows: Vec<usize> = pairs.rows.iter().map(|rows| *rows.of(side)).collect();
            self.frames.of(side).take(&rows)
        });
        for (row, rows) in pairs.rows.iter_mut().enumerate() {
            *rows = PerSide { erp: row, crm: row };
        }
        (frames, pairs)
    }

    /// Takes the pairs that the couplings make.
    pub(super) fn join(&mut self, pairs: Pairs) {
        self.pairs = pairs;
    }

    /// Takes what the state knows of how settled pairs are to each other.
    pub(super) fn recall_terms(&mut self, terms: Terms) {
        self.terms = terms;
    }

    /// Notes that the record to which a field of a pair leads has lost its partner: see [`Terms::ORPHANED`].
    pub(super) fn orphan(&mut self, erp: Uuid, field: usize) {
        self.terms.set(erp, field, Terms::ORPHANED);
    }

    /// Takes where the times of edits are read.
    pub(super) fn compare_times(&mut self, times: Option<Times>) {
        self.times = times;
    }

    /// Lets records outside their filters have names as well.
    pub(super) fn name_all(&mut self, map: &TableMap, outside: &PerSide<Frame>) {
        self.names = Names::new(map, &[&self.frames, outside]);
    }

    /// Couples two records.
    pub(super) fn couple(&mut self, ids: PerSide<Uuid>, rows: PerSide<usize>, origin: Origin) {
        self.pairs.push(ids, rows, origin);
    }

    /// Adds records of a side to those that are there, and takes the pairs of their couplings, of those that are `absent`.
    pub(super) fn bring_back(&mut self, side: Side, returning: &Frame, couplings: &Couplings, absent: &[Absent]) {
        // What is there keeps its row.
        let first = self.frames.of(side).rows();
        self.frames.of_mut(side).append(returning);
        self.frames.of_mut(side).settle();
        let by_id = rows_by_id(returning);
        for Absent { ids, coupling, rows } in absent {
            let (Some(row), Some(other)) = (by_id.get(ids.of(side)), *rows.of(side.other())) else { continue };
            let mut rows = PerSide { erp: other, crm: other };
            *rows.of_mut(side) = first + row;
            self.pairs.push_coupling(couplings, *coupling, rows);
        }
    }

    /// Brings records of a side up to date, or adds them.
    pub(super) fn refresh(&mut self, side: Side, newer: &[&Frame]) {
        if newer.iter().all(|frame| frame.rows() == 0) {
            return;
        }
        newer.iter().for_each(|frame| self.frames.of_mut(side).upsert(frame));
        // Rows move when others are replaced.
        self.pairs.locate(&self.frames);
    }

    /// Keeps the pairs whose ids `keep` says yes to.
    pub(super) fn keep_pairs(&mut self, keep: impl Fn(&PerSide<Uuid>) -> bool) {
        self.pairs.retain(keep);
    }

    /// Sets pairs aside, as if they had not been coupled: nothing is remembered of them. Returns all pairs, for
    /// [`join`](Self::join).
    pub(super) fn set_aside(&mut self, pairs: &HashSet<Uuid>) -> Pairs {
        let all = self.pairs.clone();
        self.unsaved.retain(|erp, _| !pairs.contains(erp));
        self.pairs.retain(|ids| !pairs.contains(&ids.erp));
        all
    }

    /// Leaves open, in a dry run, what only the side of a new record will tell.
    pub(super) fn leave_untold(&mut self, erp: Uuid, fields: Vec<usize>) {
        self.untold.insert(erp, fields);
    }

    /// Settles a field of a pair; `terms` says how its two values are to each other, as in [`Terms`].
    pub(super) fn settle(&mut self, pair: usize, field: usize, base: PerSide<u64>, terms: u64) {
        let erp = self.pairs.ids[pair].erp;
        let moves = self.pairs.bases[field][pair] != Some(base);
        if !self.terms.set(erp, field, terms) && !moves {
            return;
        }
        self.pairs.bases[field][pair] = Some(base);
        let fields = self.unsaved.entry(erp).or_default();
        if moves && !fields.contains(&field) {
            fields.push(field);
        }
    }

    /// Takes down how the values of pairs are to each other that an older program settled, and that are looked at now: what
    /// was `settled` just now is told, and of a field that is not settled, or had no turn yet, nobody knows it.
    pub(super) fn tell_terms(&mut self, map: &TableMap, looked_at: &[usize], settled: &[Settled]) {
        let two_way: Vec<usize> = (0..map.fields.len()).filter(|number| is_two_way(&map.fields[*number])).collect();
        if self.terms.unsure.is_empty() || two_way.is_empty() {
            return;
        }
        let mut told: HashMap<usize, Vec<(usize, u64)>> = HashMap::new();
        for one in settled {
            told.entry(one.pair).or_default().push((one.field, one.terms));
        }
        for &pair in looked_at {
            let erp = self.pairs.ids[pair].erp;
            if !self.terms.unsure.remove(&erp) {
                continue;
            }
            let told = told.remove(&pair).unwrap_or_default();
            let of = |field: &usize| {
                told.iter().find(|(number, _)| number == field).map_or(Terms::UNSURE, |(_, terms)| *terms)
            };
            let differing =
                two_way.iter().map(|field| (*field, of(field))).filter(|(_, terms)| *terms != Terms::AGREED);
            self.terms.differing.insert(erp, differing.collect());
            self.unsaved.entry(erp).or_default();
        }
    }

    /// Writes to the state what moved, in transactions of bounded size.
    pub(super) fn save(&mut self, store: &mut dyn Store, map: &TableMap) -> Result<(), StoreError> {
        if self.unsaved.is_empty() {
            return Ok(());
        }
        let keys = keys(map);
        let mut settlements = Vec::new();
        for pair in 0..self.pairs.len() {
            let Some(fields) = self.unsaved.remove(&self.pairs.ids[pair].erp) else { continue };
            settlements.push(self.settlement(map, pair, fields));
            if settlements.len() == SETTLEMENTS_MAX {
                store.commit(&map.name, &keys, &[], &settlements)?;
                settlements.clear();
            }
        }
        self.unsaved.clear();
        if settlements.is_empty() { Ok(()) } else { store.commit(&map.name, &keys, &[], &settlements) }
    }

    /// Returns what the state remembers of a pair of which these fields moved.
    fn settlement(&self, map: &TableMap, pair: usize, mut fields: Vec<usize>) -> Settlement {
        fields.sort_unstable();
        let (PerSide { erp, crm }, rows) = (self.pairs.ids[pair], self.pairs.rows[pair]);
        let text = |field: usize, side: Side| match map.fields[field].column(side) {
            Some(column) => self.frames.of(side).value(column, *rows.of(side)).to_string(),
            None => String::new(),
        };
        let texts = |field: usize| (field, PerSide::from_fn(|side| text(field, side)));
        let told = !self.terms.unsure.contains(&erp);
        Settlement {
            terms: self.terms.differing.get(&erp).filter(|_| told).cloned().unwrap_or_default(),
            whole: told,
            erp,
            crm,
            base: self.pairs.bases.iter().map(|field| field[pair]).collect(),
            values: fields.into_iter().filter(|field| *field < map.fields.len()).map(texts).collect(),
        }
    }

    /// Lets everything go, where no later step will ask for it.
    pub(super) fn release(&mut self) {
        self.frames = PerSide::from_fn(|_| Frame::empty(Vec::new()));
        self.pairs = Pairs::default();
        self.terms = Terms::default();
        self.names = Names::default();
        self.untold = HashMap::new();
        self.unsaved = HashMap::new();
    }
}

/// Tells whether values of a field travel to both sides.
pub(super) fn is_two_way(field: &FieldMap) -> bool {
    Side::BOTH.into_iter().all(|side| field.writes(side))
}

/// Returns the names under which the state keeps the bases of a table map: one for each field, and what is remembered of
/// our own writes where the newer value may win.
pub(super) fn keys(map: &TableMap) -> Vec<String> {
    let own_writes = if map.compares_times() { &newest::KEYS[..] } else { &[] };
    map.fields.iter().map(FieldMap::key).chain(own_writes.iter().map(|key| (*key).to_owned())).collect()
}
