//! What has to hold after a night: pairs, survivors of deletions, records without partner, and the inbox.

use std::collections::BTreeSet;

use pipeline::config::{OnDelete, OnUnresolved, PerSide, Side, When};
use pipeline::run::account::RunReport;
use pipeline::store::{Decided, InboxItem, InboxKind, Store};
use uuid::Uuid;

use crate::adversary::drawn::draw::Terms;
use crate::adversary::drawn::look::{Look, Record};
use crate::adversary::drawn::night::Night;
use crate::adversary::drawn::oracle::Arriving;

/// By what an item of the inbox is known: one record or a pair.
type Whom = (Option<Uuid>, Option<Uuid>);

/// What has to be in the inbox, and what may be.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) contested: BTreeSet<(Whom, String)>,
    pub(super) failed: BTreeSet<Whom>,
    pub(super) deleted: BTreeSet<Whom>,
    /// Of these the oracle does not know enough.
    pub(super) free: BTreeSet<Whom>,
    pub(super) drifted: BTreeSet<(Uuid, String)>,
}

impl Night {
    /// Holds what both sides hold against what the oracle says, pair by pair.
    pub(super) fn judge(&mut self, edited: &Look, after: &Look, report: &RunReport) {
        let mut expected = Waiting::default();
        self.widows(edited, after, &mut expected);
        for ids in after.coupled.clone() {
            self.pair(ids, edited, after, report, &mut expected);
        }
        self.alone(after, report, &mut expected);
        let inbox: Vec<&InboxItem> = report.inbox.iter().filter(|item| item.table == "customers").collect();
        for item in &inbox {
            let ids = (item.erp_id, item.crm_id);
            let name = item.field.clone().unwrap_or_default();
            let known = expected.free.contains(&ids)
                || match item.kind {
                    InboxKind::Contested => expected.contested.contains(&(ids, name)),
                    InboxKind::Failed | InboxKind::Skipped => expected.failed.contains(&ids),
                    InboxKind::Deleted => expected.deleted.contains(&ids),
                    InboxKind::Ambiguous => self.drawn.matches_numbers_only,
                };
            assert!(known, "{}: nobody knows why this waits: {item:#?}", self.place);
        }
        for (ids, name) in &expected.contested {
            let waits = |item: &&InboxItem| {
                (item.erp_id, item.crm_id) == *ids
                    && item.kind == InboxKind::Contested
                    && item.field.as_ref() == Some(name)
            };
            assert!(inbox.iter().any(waits), "{}: {name} of {ids:?} is contested, and not in the inbox", self.place);
        }
        for ids in &expected.failed {
            let waits = |item: &&InboxItem| (item.erp_id, item.crm_id) == *ids && item.kind == InboxKind::Failed;
            assert!(inbox.iter().any(waits), "{}: {ids:?} failed, and is not in the inbox", self.place);
        }
        self.told.contested += u32::try_from(expected.contested.len()).unwrap();
        self.told.drifted += u32::try_from(expected.drifted.len()).unwrap();
        let fields = &self.map().fields;
        let told: BTreeSet<(Uuid, String)> = report
            .plan
            .tables
            .iter()
            .filter(|table| table.table == "customers")
            .flat_map(|table| &table.drifted)
            .map(|told| (told.ids.erp, fields[told.field].name().to_owned()))
            .collect();
        assert_eq!(told, expected.drifted, "{}: what drifted is told", self.place);
    }

    /// What people deleted has the consequences that the table map names, and no other (I7).
    fn widows(&mut self, edited: &Look, after: &Look, expected: &mut Waiting) {
        let map = self.map();
        let (usual, direction) = (map.on_delete, map.direction);
        let decided = self.people.as_ref().map(|people| people.pairs.clone()).unwrap_or_default();
        let on_delete = |ids: &PerSide<Uuid>| match decided.get(&(ids.erp, ids.crm)) {
            Some(Decided::Restore) => OnDelete::Restore,
            Some(Decided::Delete) => OnDelete::Delete,
            _ => usual,
        };
        for side in Side::BOTH {
            for (id, was) in edited.records.of(side) {
                if after.record(side, *id).is_some() {
                    continue;
                }
                let place = format!("{}: {} {id} is gone", self.place, side.name());
                let ids = edited.coupled.iter().find(|ids| ids.of(side) == id);
                let ids = *ids.unwrap_or_else(|| panic!("{place}, and was never coupled (I7)"));
                let widowed = edited.record(side.other(), *ids.of(side.other())).is_none();
                let meant =
                    on_delete(&ids) == OnDelete::Delete && direction.writes(side) && self.inside(edited, side, *id);
                assert!(widowed && meant, "{place}, and nothing says so (I7)");
                let Some(last) = self.last.of(side).get(id) else { continue };
                for field in self.map().fields.iter().filter(|field| field.when != When::Create) {
                    let Some(column) = field.column(side) else { continue };
                    let text = |record: &Record| record.get(column).cloned().unwrap_or_default();
                    let typed = text(was) != text(last) && text(was) != "false";
                    assert!(!typed, "{place}, and somebody had edited its {column}: {was:?}, {last:?}");
                }
            }
        }
        let apart = self.world.store.kept_apart("customers").unwrap();
        for ids in &edited.coupled {
            let known = (Some(ids.erp), Some(ids.crm));
            let lost = |side: Side| edited.record(side, *ids.of(side)).is_none();
            if lost(Side::Erp) && lost(Side::Crm) {
                assert!(!after.coupled.contains(ids), "{}: {ids:?} are both gone, and coupled", self.place);
                continue;
            }
            let Some(gone) = Side::BOTH.into_iter().find(|side| lost(*side)) else { continue };
            self.told.widows += 1;
            let left = gone.other();
            let survivor = *ids.of(left);
            let place = format!("{}: {} {survivor} was left", self.place, left.name());
            let here = after.record(left, survivor).is_some();
            let partner = after.coupled.iter().find(|now| *now.of(left) == survivor);
            let inside = self.inside(edited, left, survivor);
            let holds = here && partner == Some(ids);
            let fate = on_delete(ids);
            match fate {
                _ if fate != OnDelete::Hold && !inside => assert!(holds, "{place} outside"),
                OnDelete::Uncouple => {
                    let parted = here && partner.is_none() && apart.of(left).contains(&survivor);
                    assert!(parted, "{place}");
                    continue;
                }
                OnDelete::Restore if direction.writes(gone) => {
                    let fails = self.insert_fails(edited, after, gone, survivor);
                    assert!(fails || partner.is_some_and(|now| now != ids), "{place}, and nobody was made anew");
                    assert!(here, "{place}");
                    if fails {
                        expected.free.insert(known);
                        let alone = |id| if left == Side::Erp { (Some(id), None) } else { (None, Some(id)) };
                        expected.free.insert(alone(survivor));
                    }
                    continue;
                }
                OnDelete::Delete if direction.writes(left) => {
                    assert!(holds || !here && partner.is_none(), "{place}");
                }
                _ => assert!(holds, "{place}"),
            }
            if holds {
                expected.deleted.insert(known);
                expected.free.insert(known);
                assert_eq!(edited.record(left, survivor), after.record(left, survivor), "{place}, and was written");
            }
        }
    }

    /// Tells whether a new record cannot be made on `to`.
    fn insert_fails(&self, edited: &Look, after: &Look, to: Side, source: Uuid) -> bool {
        self.map().fields.iter().enumerate().any(|(number, field)| {
            let text = edited.text(to.other(), source, field.column(to.other()));
            let arriving = after.arriving(&self.drawn, number, field, to, &text);
            let second_step = self.drawn.terms[number] == Terms::Parent;
            field.when != When::Update
                && !second_step
                && match arriving {
                    Some(Arriving::Broken) => true,
                    Some(Arriving::Unresolved) => field.on_unresolved == OnUnresolved::Fail,
                    _ => false,
                }
        })
    }

    /// Every record inside is coupled, or everybody knows why not.
    fn alone(&self, after: &Look, report: &RunReport, expected: &mut Waiting) {
        let map = self.map();
        let apart = self.world.store.kept_apart("customers").unwrap();
        for side in Side::BOTH {
            for id in after.records.of(side).keys() {
                let coupled = after.coupled.iter().any(|ids| ids.of(side) == id);
                if coupled || apart.of(side).contains(id) || !self.inside(after, side, *id) {
                    continue;
                }
                let place = format!("{}: {} {id} has no partner", self.place, side.name());
                let city = after.text(side, *id, Some("city"));
                let other = after.records.of(side.other()).iter();
                let twin = other.filter(|(_, record)| record.get("city") == Some(&city)).map(|(id, _)| *id).next();
                let key = if side == Side::Erp { (Some(*id), None) } else { (None, Some(*id)) };
                if !map.create.on(side.other()) {
                    // What is on both sides is coupled whatever is created.
                    let meets = twin.is_some_and(|twin| self.inside(after, side.other(), twin));
                    let apart = twin.is_some_and(|twin| apart.of(side.other()).contains(&twin));
                    assert!(!meets || apart || self.drawn.matches_numbers_only, "{place}");
                    continue;
                }
                let waits = |item: &&InboxItem| (item.erp_id, item.crm_id) == key;
                let held: Vec<&InboxItem> = report.inbox.iter().filter(waits).collect();
                let fails = self.insert_fails(after, after, side.other(), *id);
                let blank = self.drawn.matches_numbers_only && after.text(side, *id, Some("number")).is_empty();
                let there = twin.is_some();
                assert!(there || !held.is_empty() && (fails || blank), "{place}: {held:#?}");
                if fails && !blank && !there {
                    expected.failed.insert(key);
                }
                expected.free.insert(key);
            }
        }
    }
}
