//! Two frames and the stored couplings in, pairs out; and what has no partner yet is matched by the match rules.
//!
//! A match rule counts only where it finds exactly one record on each side, both uncoupled and inside their filters.
//! A record with several candidates is named and left alone, and so is one that looks like a coupled record, and one to
//! be created that has no value in any match column: never a guess, and never a second record.

pub mod keys;
pub mod taken;
pub mod resembling;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use uuid::Uuid;

use crate::config::{MatchRule, PerSide, Side, TableMap};
use crate::couple::keys::{Key, keys};
use crate::couple::taken::{Coupled, Index, Likeness, Seat};
use crate::endpoint::TableInfo;
use crate::frame::Frame;
use crate::store::{Couplings, Origin};
use crate::translate::links::Links;

/// Couplings whose two records are both in the frames, as parallel columns.
#[derive(Debug, Clone, Default)]
pub struct Pairs {
    pub ids: Vec<PerSide<Uuid>>,
    /// Row of each record in its frame.
    pub rows: Vec<PerSide<usize>>,
    /// How each pair came about.
    pub origins: Vec<Origin>,
    /// For each field, for each pair: what both sides held when it was last settled.
    pub bases: Vec<Vec<Option<PerSide<u64>>>>,
}

impl Pairs {
    /// Starts without pairs, for so many fields.
    pub fn new(fields: usize) -> Pairs {
        Pairs { bases: vec![Vec::new(); fields], ..Pairs::default() }
    }

    /// Returns the number of pairs.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Adds a pair that has no base yet.
    pub fn push(&mut self, ids: PerSide<Uuid>, rows: PerSide<usize>, origin: Origin) {
        self.ids.push(ids);
        self.rows.push(rows);
        self.origins.push(origin);
        for field in &mut self.bases {
            field.push(None);
        }
    }

    /// Adds the pair of a coupling, with what is remembered of it.
    pub fn push_coupling(&mut self, couplings: &Couplings, coupling: usize, rows: PerSide<usize>) {
        let ids = PerSide { erp: couplings.erp[coupling], crm: couplings.crm[coupling] };
        self.push(ids, rows, couplings.origins[coupling].clone());
        for (to, from) in self.bases.iter_mut().zip(&couplings.bases) {
            to[self.ids.len() - 1] = from[coupling];
        }
    }

    /// Finds the rows anew after the frames have changed; a pair whose record is gone from a frame is dropped.
    pub fn locate(&mut self, frames: &PerSide<Frame>) {
        let rows = PerSide::from_fn(|side| rows_by_id(frames.of(side)));
        let mut kept = Pairs::new(self.bases.len());
        for pair in 0..self.len() {
            let ids = self.ids[pair];
            let found = (rows.erp.get(&ids.erp), rows.crm.get(&ids.crm));
            let (Some(&erp), Some(&crm)) = found else { continue };
            kept.push(ids, PerSide { erp, crm }, self.origins[pair].clone());
            let last = kept.len() - 1;
            for (to, from) in kept.bases.iter_mut().zip(&self.bases) {
                to[last] = from[pair];
            }
        }
        *self = kept;
    }

    /// Keeps the pairs whose ids `keep` says yes to.
    pub fn retain(&mut self, keep: impl Fn(&PerSide<Uuid>) -> bool) {
        let kept: Vec<usize> = (0..self.len()).filter(|&pair| keep(&self.ids[pair])).collect();
        if kept.len() < self.len() {
            *self = self.subset(&kept);
        }
    }

    /// Returns the pairs named, in that order.
    pub fn subset(&self, pairs: &[usize]) -> Pairs {
        Pairs {
            ids: pairs.iter().map(|&pair| self.ids[pair]).collect(),
            rows: pairs.iter().map(|&pair| self.rows[pair]).collect(),
            origins: pairs.iter().map(|&pair| self.origins[pair].clone()).collect(),
            bases: self.bases.iter().map(|field| pairs.iter().map(|&pair| field[pair]).collect()).collect(),
        }
    }
}

/// Returns the row of each record.
pub fn rows_by_id(frame: &Frame) -> HashMap<Uuid, usize> {
    frame.ids().into_iter().enumerate().map(|(row, id)| (id, row)).collect()
}

/// What the frames and the couplings say together.
#[derive(Debug, Clone, Default)]
pub struct Joined {
    pub pairs: Pairs,
    /// Couplings of which at least one record was not read; whether it left the filter or is gone has to be asked.
    pub absent: Vec<Absent>,
    /// Rows without a coupling.
    pub uncoupled: PerSide<Vec<usize>>,
}

/// A coupling that the frames do not hold both records of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absent {
    pub ids: PerSide<Uuid>,
    /// Number among the couplings.
    pub coupling: usize,
    /// The row on each side where the record was read.
    pub rows: PerSide<Option<usize>>,
}

/// Joins both frames to the couplings.
pub fn join(frames: &PerSide<Frame>, couplings: &Couplings) -> Joined {
    let mut free = PerSide::from_fn(|side| rows_by_id(frames.of(side)));
    let mut joined = Joined { pairs: Pairs::new(couplings.bases.len()), ..Joined::default() };
    for (coupling, (&erp, &crm)) in couplings.erp.iter().zip(&couplings.crm).enumerate() {
        let ids = PerSide { erp, crm };
        let rows = PerSide { erp: free.erp.remove(&erp), crm: free.crm.remove(&crm) };
        match rows {
            PerSide { erp: Some(erp), crm: Some(crm) } => {
                joined.pairs.push_coupling(couplings, coupling, PerSide { erp, crm });
            }
            rows => joined.absent.push(Absent { ids, coupling, rows }),
        }
    }
    joined.uncoupled = PerSide::from_fn(|side| {
        let mut rows: Vec<usize> = free.of(side).values().copied().collect();
        rows.sort_unstable();
        rows
    });
    joined
}

/// Two rows that a match rule found to be the same record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    pub rows: PerSide<usize>,
    /// Number of the rule, from 1.
    pub rule: usize,
}

/// A row that cannot be matched without a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    pub side: Side,
    pub row: usize,
    /// Number of the rule, from 1; 0 where every match column is blank.
    pub rule: usize,
    /// All rows that the rule takes for the same record, this one among them; shared by the doubts of all.
    group: Rc<PerSide<Vec<usize>>>,
    /// The coupled records that this one looks like by that rule.
    pub likeness: Option<Likeness>,
}

impl Doubt {
    /// Returns the rows of the other side that could be the partner.
    pub fn candidates(&self) -> &[usize] {
        self.group.of(self.side.other())
    }

    /// Returns how many rivals there are.
    pub fn rivals_count(&self) -> usize {
        self.group.of(self.side).len().saturating_sub(1)
    }

    /// Returns the further rows of the same side that the same candidates could belong to.
    pub fn rivals(&self) -> impl Iterator<Item = usize> {
        self.group.of(self.side).iter().copied().filter(|row| *row != self.row)
    }
}

/// What the match rules found.
#[derive(Debug, Clone, Default)]
pub struct Matched {
    pub matches: Vec<Match>,
    pub doubts: Vec<Doubt>,
    /// Rows for which no rule found anything.
    pub alone: PerSide<Vec<usize>>,
}

impl Matched {
    /// Keeps the matches and doubts that are about the rows that `keep` says yes to. Whoever is alone stays: two of those may
    /// yet turn out to be one.
    pub fn retain(&mut self, keep: impl Fn(Side, usize) -> bool) {
        self.matches.retain(|found| keep(Side::Erp, found.rows.erp) || keep(Side::Crm, found.rows.crm));
        self.doubts.retain(|doubt| keep(doubt.side, doubt.row));
    }
}

/// Matches uncoupled rows by the rules of a table map, in their order.
///
/// A match takes two rows out of the way of others, so the rules are tried until none finds anything more: what the
/// next run could conclude, this one does.
///
/// A row that looks like a coupled record is that record once more, or it belongs to what a person has to sort out: it is
/// matched by none but the rules before the one that says so, and it is not alone either. The built-in synchronization
/// does not match such a row and makes a new record of it (sync-semantics §14.6 and 14.7, "already coupled"), which is
/// how it doubles. Who looks like whom says [`taken`].
pub fn match_rows(
    map: &TableMap,
    infos: &PerSide<TableInfo>,
    frames: &PerSide<Frame>,
    links: &Links,
    uncoupled: &PerSide<Vec<usize>>,
    coupled: &Coupled<'_>,
) -> Matched {
    let mut matched = Matched::default();
    if uncoupled.erp.is_empty() && uncoupled.crm.is_empty() {
        return matched;
    }
    // On most nights few rows of many are left, and only theirs are compared.
    let excerpts = PerSide::from_fn(|side| frames.of(side).take(uncoupled.of(side)));
    let by_row = |side: Side, keys: &[Key]| {
        let mut all = vec![None; frames.of(side).rows()];
        for (&row, key) in uncoupled.of(side).iter().zip(keys) {
            all[row] = *key;
        }
        all
    };
    let keys_of = |rule: &MatchRule| {
        let keys = keys(map, rule, infos, &excerpts, links);
        PerSide::from_fn(|side| by_row(side, keys.of(side)))
    };
    let keys: Vec<PerSide<Vec<Key>>> = map.match_rules.iter().map(keys_of).collect();
    let own = |side: Side, row: usize| keys.iter().map(move |keys| keys.of(side)[row]);
    let wanted = |side: Side, rows: &[usize]| -> Vec<HashSet<u128>> {
        keys.iter().map(|keys| rows.iter().filter_map(|row| keys.of(side)[*row]).collect()).collect()
    };

    // Coupled records are many: they are looked at only where a row without coupling could be created or matched.
    let keyed = PerSide::from_fn(|side| wanted(side, uncoupled.of(side)));
    let meet = keyed.erp.iter().zip(&keyed.crm).any(|(erp, crm)| !erp.is_disjoint(crm));
    let likenesses: PerSide<HashMap<usize, Likeness>> = PerSide::from_fn(|side| {
        let keyed = keyed.of(side);
        if !(meet || map.create.on(side.other())) || keyed.iter().all(HashSet::is_empty) {
            return HashMap::new();
        }
        let index = taken::index(map, infos, side.other(), frames, coupled, links, keyed);
        let like = |row: &usize| index.likeness(own(side, *row)).map(|likeness| (*row, likeness));
        uncoupled.of(side).iter().filter_map(like).collect()
    });

    let mut left = uncoupled.clone();
    let doubts = loop {
        let before = matched.matches.len();
        let mut doubts: HashMap<(Side, usize), Doubt> = HashMap::new();
        for (number, keys) in keys.iter().enumerate() {
            let rule = number + 1;
            let taken = |side: Side, row| likenesses.of(side).get(&row).is_some_and(|likeness| likeness.rule <= rule);
            match_by_rule(rule, keys, &taken, &mut left, &mut matched.matches, &mut doubts);
        }
        if matched.matches.len() == before {
            break doubts;
        }
    };
    for side in Side::BOTH {
        let creates = map.create.on(side.other());
        // Whom this run coupled, the next one would find coupled.
        let seats = matched.matches.iter().map(|found| *found.rows.of(side.other()));
        let seats = seats.map(|row| (Seat { row, beyond: false }, own(side.other(), row).collect()));
        let new = if creates { Index::new(&wanted(side, left.of(side)), seats) } else { Index::default() };
        for &row in left.of(side) {
            let doubt = doubts.get(&(side, row)).cloned();
            let likeness = likenesses.of(side).get(&row).cloned();
            let likeness = likeness.or_else(|| new.likeness(own(side, row)).filter(|_| doubt.is_none()));
            let comparable = || own(side, row).any(|key| key.is_some());
            match (doubt, likeness) {
                (Some(doubt), Some(likeness)) if likeness.rule == doubt.rule => {
                    matched.doubts.push(Doubt { likeness: Some(likeness), ..doubt });
                }
                (Some(doubt), likeness) if likeness.as_ref().is_none_or(|likeness| doubt.rule < likeness.rule) => {
                    matched.doubts.push(doubt);
                }
                (doubt, Some(likeness)) if creates || doubt.is_some() => {
                    let rule = likeness.rule;
                    matched.doubts.push(Doubt { side, row, rule, group: Rc::default(), likeness: Some(likeness) });
                }
                // Only of a record that would be created now must somebody know that it is new.
                (_, None) if !keys.is_empty() && creates && !comparable() => {
                    matched.doubts.push(Doubt { side, row, rule: 0, group: Rc::default(), likeness: None });
                }
                _ => matched.alone.of_mut(side).push(row),
            }
        }
    }
    matched
}

/// Takes out of `left` what one rule matches; the earliest rule that finds several candidates makes the doubt. A row that
/// is `taken` for a coupled record is nobody's partner, but still a candidate.
fn match_by_rule(
    rule: usize,
    keys: &PerSide<Vec<Key>>,
    taken: &dyn Fn(Side, usize) -> bool,
    left: &mut PerSide<Vec<usize>>,
    matches: &mut Vec<Match>,
    doubts: &mut HashMap<(Side, usize), Doubt>,
) {
    let mut groups: HashMap<u128, PerSide<Vec<usize>>> = HashMap::new();
    let mut order: Vec<u128> = Vec::new();
    for side in Side::BOTH {
        for &row in left.of(side) {
            let Some(key) = keys.of(side)[row] else { continue };
            let group = groups.entry(key).or_insert_with(|| {
                order.push(key);
                PerSide::default()
            });
            group.of_mut(side).push(row);
        }
    }
    let mut found: PerSide<HashSet<usize>> = PerSide::default();
    for key in order {
        let group = groups.remove(&key).unwrap_or_default();
        match (group.erp.as_slice(), group.crm.as_slice()) {
            ([], _) | (_, []) => {}
            (&[erp], &[crm]) if !taken(Side::Erp, erp) && !taken(Side::Crm, crm) => {
                matches.push(Match { rows: PerSide { erp, crm }, rule });
                found.erp.insert(erp);
                found.crm.insert(crm);
            }
            _ => {
                let group = Rc::new(group);
                for side in Side::BOTH {
                    for &row in group.of(side) {
                        let doubt = || Doubt { side, row, rule, group: group.clone(), likeness: None };
                        doubts.entry((side, row)).or_insert_with(doubt);
                    }
                }
            }
        }
    }
    for side in Side::BOTH {
        left.of_mut(side).retain(|row| !found.of(side).contains(row));
    }
}
