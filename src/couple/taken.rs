//! Coupled records in the eyes of the match rules: whoever looks like one of them is held, and nobody is made twice.
//!
//! Coupled records come in, those that a match key needs are indexed, and a record without coupling is told whom it looks
//! like. The rules are asked in their order, and the first for which both records have a value decides: where it says
//! they differ, a later rule does not make them the same. So two customers of one name and city are two where both have
//! a number, and one where either has none. What follows for the match is not known here.

use std::collections::{HashMap, HashSet};

use crate::config::{PerSide, Side, TableMap};
use crate::couple::keys::{Key, keys};
use crate::couple::{Absent, Pairs};
use crate::endpoint::TableInfo;
use crate::frame::Frame;
use crate::translate::links::Links;

/// Of thousands that are alike, the first few say enough.
pub const NAMED_MAX: usize = 5;

/// Where the coupled records of a table map are.
#[derive(Debug, Clone, Copy)]
pub struct Coupled<'a> {
    /// Those of which both records are inside their filters.
    pub pairs: &'a Pairs,
    /// The others.
    pub absent: &'a [Absent],
    /// Coupled records outside their filters.
    pub beyond: &'a PerSide<Frame>,
}

/// Where a coupled record is found: a row of its side's frame, or of what is beyond the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    pub row: usize,
    pub beyond: bool,
}

/// The coupled records of the other side that a record without coupling looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Likeness {
    /// Number of the rule, from 1.
    pub rule: usize,
    /// The first [`NAMED_MAX`] of them.
    pub seats: Vec<Seat>,
    /// How many there are.
    pub count: usize,
}

/// Coupled records of one side by the match keys that somebody asks for.
#[derive(Default)]
pub(super) struct Index {
    /// By rule and key: the records, together with which earlier rules they have a value for.
    groups: Vec<HashMap<u128, Vec<Group>>>,
}

/// Records with the same key and values for the same earlier rules.
struct Group {
    earlier: u64,
    seats: Vec<Seat>,
    count: usize,
}

/// The bit of a rule; past the last bit a rule tells nobody apart, and the record waits for a person.
fn bit(rule: usize) -> u64 {
    u32::try_from(rule).ok().and_then(|rule| 1_u64.checked_shl(rule)).unwrap_or(0)
}

impl Index {
    /// Indexes records: for each, where it is and its key for each rule. `wanted` holds, by rule, the keys to look for.
    pub(super) fn new(wanted: &[HashSet<u128>], records: impl Iterator<Item = (Seat, Vec<Key>)>) -> Index {
        let mut index = Index { groups: wanted.iter().map(|_| HashMap::new()).collect() };
        for (seat, keys) in records {
            let mut earlier = 0;
            for (rule, key) in keys.into_iter().enumerate() {
                let Some(key) = key else { continue };
                if wanted[rule].contains(&key) {
                    let groups = index.groups[rule].entry(key).or_default();
                    let known = groups.iter().position(|group| group.earlier == earlier);
                    let place = known.unwrap_or_else(|| {
                        groups.push(Group { earlier, seats: Vec::new(), count: 0 });
                        groups.len() - 1
                    });
                    groups[place].count += 1;
                    if groups[place].seats.len() < NAMED_MAX {
                        groups[place].seats.push(seat);
                    }
                }
                earlier |= bit(rule);
            }
        }
        index
    }

    /// Returns whom a record with these keys looks like.
    ///
    /// Had it the key of an earlier rule in common with a record, that rule would have answered; so an earlier rule that
    /// both have a value for tells them apart.
    pub(super) fn likeness(&self, keys: impl Iterator<Item = Key>) -> Option<Likeness> {
        let mut earlier = 0;
        for (rule, key) in keys.enumerate() {
            let Some(key) = key else { continue };
            let groups = self.groups.get(rule).and_then(|groups| groups.get(&key)).map_or(&[][..], Vec::as_slice);
            let alike = || groups.iter().filter(|group| group.earlier & earlier == 0);
            let count = alike().map(|group| group.count).sum();
            if count > 0 {
                let mut seats: Vec<Seat> = alike().flat_map(|group| group.seats.iter().copied()).collect();
                seats.sort_by_key(|seat| (seat.beyond, seat.row));
                seats.truncate(NAMED_MAX);
                return Some(Likeness { rule: rule + 1, seats, count });
            }
            earlier |= bit(rule);
        }
        None
    }
}

/// Indexes the coupled records of `side`.
pub(super) fn index(
    map: &TableMap,
    infos: &PerSide<TableInfo>,
    side: Side,
    frames: &PerSide<Frame>,
    coupled: &Coupled<'_>,
    links: &Links,
    wanted: &[HashSet<u128>],
) -> Index {
    let inside = coupled.pairs.rows.iter().map(|rows| *rows.of(side));
    let inside: Vec<usize> = inside.chain(coupled.absent.iter().filter_map(|absent| *absent.rows.of(side))).collect();
    let beyond = coupled.beyond.of(side);
    let sources = [(frames.of(side), inside, false), (beyond, (0..beyond.rows()).collect(), true)];
    let sources = sources.into_iter().filter(|(_, rows, _)| !rows.is_empty());
    let records = sources.flat_map(|(frame, rows, beyond)| {
        let nobody = frames.of(side.other()).take(&[]);
        let frames = match side {
            Side::Erp => PerSide { erp: frame.clone(), crm: nobody },
            Side::Crm => PerSide { erp: nobody, crm: frame.clone() },
        };
        let keys =
            map.match_rules.iter().map(|rule| std::mem::take(keys(map, rule, infos, &frames, links).of_mut(side)));
        let keys: Vec<Vec<Key>> = keys.collect();
        rows.into_iter().map(move |row| (Seat { row, beyond }, keys.iter().map(|keys| keys[row]).collect()))
    });
    Index::new(wanted, records)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of coupled records with their keys, and whom a record looks like: rule, rows, count.
    fn check(coupled: &[&[u128]], own: &[u128], expected: Option<(usize, &[usize], usize)>) {
        let keys = |keys: &[u128]| -> Vec<Key> { keys.iter().map(|key| Some(*key).filter(|key| *key > 0)).collect() };
        let wanted: Vec<HashSet<u128>> = own.iter().map(|key| HashSet::from([*key])).collect();
        let records = coupled.iter().enumerate().map(|(row, record)| (Seat { row, beyond: false }, keys(record)));
        let likeness = Index::new(&wanted, records).likeness(keys(own).into_iter());
        let seats = |seats: &[Seat]| seats.iter().map(|seat| seat.row).collect::<Vec<_>>();
        let got = likeness.as_ref().map(|found| (found.rule, seats(&found.seats), found.count));
        assert_eq!(got, expected.map(|(rule, rows, count)| (rule, rows.to_vec(), count)), "{coupled:?}, {own:?}");
    }

    #[test]
    fn the_first_rule_that_both_have_a_value_for_decides() {
        // 0 is blank.
        check(&[&[1]], &[1], Some((1, &[0], 1)));
        check(&[&[1]], &[2], None);
        check(&[&[0]], &[0], None);
        check(&[], &[1], None);
        // Numbers differ: the names count no more.
        check(&[&[1, 7]], &[2, 7], None);
        // Either has no number: the names decide.
        check(&[&[0, 7]], &[2, 7], Some((2, &[0], 1)));
        check(&[&[1, 7]], &[0, 7], Some((2, &[0], 1)));
        check(&[&[1, 0, 9]], &[0, 7, 9], Some((3, &[0], 1)));
        check(&[&[1, 0, 9]], &[2, 7, 9], None);
        // The earlier rule speaks, whatever the later one finds.
        check(&[&[1, 8], &[0, 7]], &[1, 7], Some((1, &[0], 1)));
        // Only those that nothing tells apart are named.
        check(&[&[3, 7], &[0, 7], &[4, 7], &[0, 7]], &[2, 7], Some((2, &[1, 3], 2)));
        check(&[&[3, 7], &[0, 7], &[4, 7]], &[0, 7], Some((2, &[0, 1, 2], 3)));
    }

    #[test]
    fn of_many_the_first_are_named_and_all_are_counted() {
        let many: Vec<[u128; 1]> = vec![[1]; 12];
        let many: Vec<&[u128]> = many.iter().map(|keys| keys.as_slice()).collect();
        check(&many, &[1], Some((1, &[0, 1, 2, 3, 4], 12)));
    }
}
