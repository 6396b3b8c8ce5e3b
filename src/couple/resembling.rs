//! Who looks like whom by the match rules, outside of matching: doubles of one side, records outside a filter, and partners
//! that are still to be made.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use crate::config::{FieldMap, MatchRule, PerSide, Side, TableMap};
use crate::couple::Doubt;
use crate::couple::keys::{Key, keys};
use crate::couple::taken::{Index, Seat};
use crate::endpoint::TableInfo;
use crate::frame::Frame;
use crate::translate::links::Links;

/// Returns, of the rows of `side` named, those that the first rule takes for the same record as another one of them.
///
/// The first rule is the strictest: what it finds on the other side it matches whatever a later one says. Of a later one
/// two people of one name are no doubles.
pub fn doubles(
    map: &TableMap,
    infos: &PerSide<TableInfo>,
    side: Side,
    frame: &Frame,
    rows: &[usize],
    links: &Links,
) -> Vec<Doubt> {
    let Some(rule) = map.match_rules.first().filter(|_| rows.len() > 1) else { return Vec::new() };
    let (these, none) = (frame.take(rows), Frame::empty(Vec::new()));
    let frames = match side {
        Side::Erp => PerSide { erp: these, crm: none },
        Side::Crm => PerSide { erp: none, crm: these },
    };
    let keys = keys(map, rule, infos, &frames, links);
    let mut groups: HashMap<u128, PerSide<Vec<usize>>> = HashMap::new();
    let mut keyed: Vec<(usize, u128)> = Vec::new();
    for (&row, key) in rows.iter().zip(keys.of(side)) {
        if let Some(key) = *key {
            groups.entry(key).or_default().of_mut(side).push(row);
            keyed.push((row, key));
        }
    }
    groups.retain(|_, group| group.of(side).len() > 1);
    let groups: HashMap<u128, Rc<PerSide<Vec<usize>>>> =
        groups.into_iter().map(|(key, group)| (key, Rc::new(group))).collect();
    let double = |(row, key): (usize, u128)| {
        groups.get(&key).map(|group| Doubt { side, row, rule: 1, group: group.clone(), likeness: None })
    };
    keyed.into_iter().filter_map(double).collect()
}

/// Returns, of the rows of `side` named, those that some rule finds among all rows of `beyond`, a frame of the other
/// side that holds records outside the filter, each with the row there that the first such rule finds first.
pub fn found_beyond(
    map: &TableMap,
    infos: &PerSide<TableInfo>,
    side: Side,
    frame: &Frame,
    rows: &[usize],
    beyond: &Frame,
    links: &Links,
) -> HashMap<usize, usize> {
    let frames = match side {
        Side::Erp => PerSide { erp: frame.clone(), crm: beyond.clone() },
        Side::Crm => PerSide { erp: beyond.clone(), crm: frame.clone() },
    };
    let mut found: HashMap<usize, usize> = HashMap::new();
    for rule in &map.match_rules {
        let keys = keys(map, rule, infos, &frames, links);
        let mut known: HashMap<u128, usize> = HashMap::new();
        for (there, key) in keys.of(side.other()).iter().enumerate() {
            if let Some(key) = key {
                known.entry(*key).or_insert(there);
            }
        }
        for &row in rows {
            if let Some(&there) = keys.of(side)[row].and_then(|key| known.get(&key)) {
                found.entry(row).or_insert(there);
            }
        }
    }
    found
}

/// Returns, of the rows of `side` named, those that may be the same record as one of `unreadable`, records of the other side
/// that cannot be read to the end, each with the row of the first such one: by some rule nothing that could be read of the
/// two tells them apart.
pub fn may_be(
    map: &TableMap,
    infos: &PerSide<TableInfo>,
    side: Side,
    frame: &Frame,
    rows: &[usize],
    unreadable: &Frame,
    links: &Links,
) -> HashMap<usize, usize> {
    let mut found: HashMap<usize, usize> = HashMap::new();
    if rows.is_empty() || unreadable.rows() == 0 {
        return found;
    }
    let sides = |own: &Frame, other: &Frame| match side {
        Side::Erp => PerSide { erp: own.clone(), crm: other.clone() },
        Side::Crm => PerSide { erp: other.clone(), crm: own.clone() },
    };
    let own = frame.take(rows);
    for rule in &map.match_rules {
        // Of a record that is blank there the rule finds nothing, whatever the other one holds.
        let comparable = keys(map, rule, infos, &sides(&own, &unreadable.take(&[])), links);
        let is_comparable = |at: usize| comparable.of(side)[at].is_some();
        // Those that lack the same columns are compared together.
        let mut groups: HashMap<Vec<bool>, Vec<usize>> = HashMap::new();
        for there in 0..unreadable.rows() {
            let lacks = rule.by.iter().map(|columns| lacks(map, columns, side.other(), unreadable, there)).collect();
            groups.entry(lacks).or_default().push(there);
        }
        for (lacking, group) in groups {
            let by: Vec<_> =
                rule.by.iter().zip(&lacking).filter(|(_, lacks)| !**lacks).map(|(by, _)| by.clone()).collect();
            let known = MatchRule { by, ..rule.clone() };
            // A rule of which nothing is left makes one key of all.
            let keys = keys(map, &known, infos, &sides(&own, &unreadable.take(&group)), links);
            let mut there: HashMap<u128, usize> = HashMap::new();
            for (&row, key) in group.iter().zip(keys.of(side.other())) {
                key.map(|key| there.entry(key).or_insert(row));
            }
            for (at, &row) in rows.iter().enumerate().filter(|(at, _)| is_comparable(*at)) {
                if let Some(&other) = keys.of(side)[at].and_then(|key| there.get(&key)) {
                    let first = found.entry(row).or_insert(other);
                    *first = other.min(*first);
                }
            }
        }
    }
    found
}

/// Tells whether what a rule compares of a record of `side` could not be read: the column, or one that makes its value.
fn lacks(map: &TableMap, (erp, crm): &(String, String), side: Side, frame: &Frame, row: usize) -> bool {
    let mut fields = map.fields.iter();
    let field = fields.find(|field| field.erp.as_ref() == Some(erp) && field.crm.as_ref() == Some(crm));
    let read = field.and_then(|field| field.expression_to(side.other())).map_or(&[][..], |sql| sql.columns());
    frame.lacks(if side == Side::Erp { erp } else { crm }, row) || read.iter().any(|column| frame.lacks(column, row))
}

/// Returns, of the rows of `side` named, those that will look like a partner still to be made of one of `others`, rows of
/// the same frame: the row, the other one and the number of the rule, from 1. The new partner holds only what field maps
/// send there or, as it is made anew, give back.
pub fn alike(
    map: &TableMap,
    infos: &PerSide<TableInfo>,
    side: Side,
    frame: &Frame,
    (rows, others): (&[usize], &[usize]),
    links: &Links,
) -> Vec<(usize, usize, usize)> {
    if rows.is_empty() || others.is_empty() {
        return Vec::new();
    }
    let excerpt = |rows: &[usize]| {
        let (these, none) = (frame.take(rows), Frame::empty(Vec::new()));
        match side {
            Side::Erp => PerSide { erp: these, crm: none },
            Side::Crm => PerSide { erp: none, crm: these },
        }
    };
    let keys_of = |rows: &[usize]| -> Vec<Vec<Key>> {
        let frames = excerpt(rows);
        map.match_rules.iter().map(|rule| keys(map, rule, infos, &frames, links).of(side).clone()).collect()
    };
    let sent = |rule: &MatchRule| {
        rule.by.iter().all(|(erp, crm)| {
            let pairs = |field: &FieldMap| field.erp.as_ref() == Some(erp) && field.crm.as_ref() == Some(crm);
            map.fields.iter().any(|field| pairs(field) && field.direction.is_some())
        })
    };
    let (own, mut theirs) = (keys_of(rows), keys_of(others));
    for (rule, keys) in map.match_rules.iter().zip(&mut theirs) {
        if !sent(rule) {
            keys.fill(None);
        }
    }
    let wanted: Vec<HashSet<u128>> = own.iter().map(|keys| keys.iter().flatten().copied().collect()).collect();
    let seats = others
        .iter()
        .enumerate()
        .map(|(at, &row)| (Seat { row, beyond: false }, theirs.iter().map(|keys| keys[at]).collect()));
    let index = Index::new(&wanted, seats);
    let like = rows.iter().enumerate().filter_map(|(at, &row)| {
        let likeness = index.likeness(own.iter().map(|keys| keys[at]))?;
        Some((row, likeness.seats[0].row, likeness.rule))
    });
    like.collect()
}

/// Returns the rows of `pool` that a rule takes for the same record as one of `rows`, whichever side that is on.
pub fn like_any(
    map: &TableMap,
    rule: &MatchRule,
    infos: &PerSide<TableInfo>,
    rows: &PerSide<Frame>,
    pool: &PerSide<Frame>,
    links: &Links,
) -> PerSide<Vec<usize>> {
    let wanted = keys(map, rule, infos, rows, links);
    let wanted: HashSet<u128> = wanted.erp.into_iter().chain(wanted.crm).flatten().collect();
    let found = keys(map, rule, infos, pool, links);
    PerSide::from_fn(|side| {
        let is_wanted = |key: &Option<u128>| key.is_some_and(|key| wanted.contains(&key));
        found.of(side).iter().enumerate().filter(|(_, key)| is_wanted(key)).map(|(row, _)| row).collect()
    })
}

/// Tells of each row of both frames whether a rule finds a value in all of its columns.
pub fn has_key(
    map: &TableMap,
    rule: &MatchRule,
    infos: &PerSide<TableInfo>,
    frames: &PerSide<Frame>,
    links: &Links,
) -> PerSide<Vec<bool>> {
    let keys = keys(map, rule, infos, frames, links);
    PerSide::from_fn(|side| keys.of(side).iter().map(Option::is_some).collect())
}
