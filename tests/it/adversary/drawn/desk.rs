//! What people do at the desk: they answer what waits, couple and part, let one side win, look after one record, and carry
//! out a plan that they saved before others went on editing.

use std::collections::BTreeSet;

use pipeline::cli::inbox::answer::{Desk, Wish};
use pipeline::config::{OnConflict, PerSide, Side};
use pipeline::run::account::RunReport;
use pipeline::run::selection::Selection;
use pipeline::store::{Decided, InboxItem, InboxKind, Store};
use uuid::Uuid;

use crate::adversary::drawn::judge::Waiting;
use crate::adversary::drawn::look::Look;
use crate::adversary::drawn::night::{CRM, ERP, Ids, NO_GUARD, Night, STABLE};
use crate::adversary::drawn::oracle::Held;
use crate::by_hand::by_hand;
use crate::dice::Chance;
use crate::parted::parted;
use crate::selected::{force, only};

/// What people at the desk want, and what they wanted so far.
#[derive(Debug)]
pub(super) struct People {
    pub(super) chance: Chance,
    /// By pair and field what was decided, and on which values.
    pub(super) fields: std::collections::BTreeMap<(Ids, String), (Decided, Held)>,
    /// By pair, what becomes of the record that was left.
    pub(super) pairs: std::collections::BTreeMap<Ids, Decided>,
    /// Pairs that were parted by hand.
    parted: Vec<Ids>,
    /// The side that is overwritten in the pair that is looked at now.
    pub(super) forced: Option<Side>,
}

impl People {
    pub(super) fn new(seed: u64) -> People {
        People {
            chance: Chance(seed.wrapping_mul(0x2545_f491).wrapping_add(5)),
            fields: Default::default(),
            pairs: Default::default(),
            parted: Vec::new(),
            forced: None,
        }
    }
}

fn name(side: Side, id: Uuid) -> String {
    match side {
        Side::Erp => format!("customers:{id}"),
        Side::Crm => format!("customers:crm:{id}"),
    }
}

impl Night {
    fn die(&mut self) -> Option<&mut Chance> {
        self.people.as_mut().map(|people| &mut people.chance)
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.die().is_some_and(|chance| chance.one_in(bound))
    }

    /// Before anybody edits: both sides are quiet, so only what is asked for happens.
    pub(super) fn desk(&mut self) {
        if self.people.is_none() {
            return;
        }
        self.typed.clear();
        if self.one_in(2) {
            self.overwrite();
        }
        self.answers();
        if self.one_in(3) {
            self.part();
        }
        if self.one_in(2) {
            self.couple();
        }
    }

    /// Somebody edits one pair and lets a side win in it: nothing else is written.
    fn overwrite(&mut self) {
        let look = Look::at(&self.world);
        let inside = |ids: &&PerSide<Uuid>| Side::BOTH.into_iter().all(|side| self.inside(&look, side, *ids.of(side)));
        let pairs: Vec<PerSide<Uuid>> = look.coupled.iter().filter(inside).copied().collect();
        let Some(chance) = self.die() else { return };
        if pairs.is_empty() {
            return;
        }
        let ids = chance.pick(&pairs);
        let (to, by) = (chance.pick(&Side::BOTH), chance.pick(&Side::BOTH));
        for side in Side::BOTH {
            if !self.one_in(3) {
                self.edit(&Look::at(&self.world), side, *ids.of(side), true);
            }
        }
        if !self.map().direction.writes(to) {
            return;
        }
        let (guard, edited) = (self.map().guard, Look::at(&self.world));
        self.set_guard(NO_GUARD);
        let report = self.world.run_part(force(to, &[&name(by, *ids.of(by))])).unwrap();
        self.set_guard(guard);
        let after = Look::at(&self.world);
        self.nobody_else(&edited, &after, ids);
        self.forget(ids);
        if let Some(people) = &mut self.people {
            people.forced = Some(to);
        }
        self.pair(ids, &edited, &after, &report, &mut Waiting::default());
        if let Some(people) = &mut self.people {
            people.forced = None;
        }
        self.last = after.records;
        self.told.forced += 1;
    }

    /// A run over one pair writes no other record.
    fn nobody_else(&self, before: &Look, after: &Look, own: PerSide<Uuid>) {
        for side in Side::BOTH {
            let ids: BTreeSet<&Uuid> = before.records.of(side).keys().chain(after.records.of(side).keys()).collect();
            let partner = |id: &Uuid| {
                let pairs = before.coupled.iter().chain(&after.coupled);
                let of_own = |ids: &&PerSide<Uuid>| ids.erp == own.erp || ids.crm == own.crm;
                pairs.filter(of_own).any(|ids| ids.of(side) == id)
            };
            for id in ids.into_iter().filter(|id| *id != own.of(side) && !partner(id)) {
                let (was, is) = (before.record(side, *id), after.record(side, *id));
                assert_eq!(was, is, "{}: {} {id} was not asked for", self.place, side.name());
            }
        }
    }

    fn forget(&mut self, ids: PerSide<Uuid>) {
        if let Some(people) = &mut self.people {
            people.fields.retain(|(pair, _), _| *pair != (ids.erp, ids.crm));
        }
    }

    /// Answers some of what waits.
    fn answers(&mut self) {
        let look = Look::at(&self.world);
        for item in self.world.store.inbox(Some("customers")).unwrap() {
            if self.one_in(2) {
                self.answer(&look, &item);
            }
        }
    }

    fn answer(&mut self, look: &Look, item: &InboxItem) {
        let Some((erp, crm)) = item.erp_id.zip(item.crm_id) else { return };
        let (ids, key) = (PerSide { erp, crm }, (erp, crm));
        let Some(wish) = self.wish(look, item, ids) else { return };
        let desk = Desk::new(&self.world.pipeline, &self.world.store).unwrap();
        let Ok(reply) = desk.answer_to(&[item], &wish) else { return };
        self.world.store.reply(&[reply]).unwrap();
        let map = self.map();
        let field = map.fields.iter().find(|field| item.field.as_deref() == Some(field.name())).cloned();
        let people = self.people.as_mut().unwrap();
        match wish {
            Wish::Resolve { field: name, verdict } => {
                let field = field.unwrap();
                let own = PerSide::from_fn(|side| look.text(side, *ids.of(side), field.column(side)));
                people.fields.insert((key, name), (verdict, own));
                self.told.resolved += 1;
            }
            Wish::Retry => {}
            Wish::Restore | Wish::Delete => {
                let verdict = if wish == Wish::Restore { Decided::Restore } else { Decided::Delete };
                people.pairs.insert(key, verdict);
                self.told.decided += 1;
            }
            Wish::Uncouple => self.told.parted += 1,
        }
    }

    fn wish(&mut self, look: &Look, item: &InboxItem, ids: PerSide<Uuid>) -> Option<Wish> {
        let inside = Side::BOTH.into_iter().all(|side| self.inside(look, side, *ids.of(side)));
        let name = item.field.clone();
        let by_time = self
            .map()
            .fields
            .iter()
            .any(|field| Some(field.name()) == name.as_deref() && field.on_conflict == OnConflict::Newest);
        let chance = self.die()?;
        match item.kind {
            // What was clearly edited later wins one day without anybody's decision.
            InboxKind::Contested if inside && !by_time => {
                let field = name?;
                let word = format!("decided {}", chance.below(1_000));
                let value = match &*field {
                    "name" => Some(word.as_str()),
                    "phone" => Some(chance.pick(&["", "1", "4"])),
                    "memo" => Some(chance.pick(&["", "x", "w"])),
                    _ => None,
                };
                let verdict = match (chance.below(3), value) {
                    (0, Some(value)) => Decided::Value(value.to_owned()),
                    (1, _) => Decided::Take(Side::Erp),
                    _ => Decided::Take(Side::Crm),
                };
                Some(Wish::Resolve { field, verdict })
            }
            InboxKind::Skipped => Some(Wish::Retry),
            InboxKind::Deleted => Some(match chance.below(5) {
                0 => Wish::Uncouple,
                1 | 2 => Wish::Restore,
                _ => Wish::Delete,
            }),
            _ => None,
        }
    }

    /// Parts a pair that nobody refers to.
    fn part(&mut self) {
        let look = Look::at(&self.world);
        let free = |ids: &&PerSide<Uuid>| {
            look.both_exist(**ids)
                && ids.erp.as_u128() >= ERP + STABLE
                && !(CRM..CRM + STABLE).contains(&ids.crm.as_u128())
        };
        let pairs: Vec<PerSide<Uuid>> = look.coupled.iter().filter(free).copied().collect();
        let Some(chance) = self.die().filter(|_| !pairs.is_empty()) else { return };
        let (ids, by) = (chance.pick(&pairs), chance.pick(&Side::BOTH));
        parted(&mut self.world, "customers", &[&name(by, *ids.of(by))], false).unwrap();
        self.told.parted += 1;
        self.people.as_mut().unwrap().parted.push((ids.erp, ids.crm));
        assert_eq!(Look::at(&self.world).records, look.records, "{}: parting writes nothing", self.place);
    }

    /// Couples again what was parted, where both are still there.
    fn couple(&mut self) {
        let look = Look::at(&self.world);
        let apart = self.world.store.kept_apart("customers").unwrap();
        let parted = std::mem::take(&mut self.people.as_mut().unwrap().parted);
        for (erp, crm) in parted {
            let ids = PerSide { erp, crm };
            let there =
                look.both_exist(ids) && Side::BOTH.into_iter().all(|side| apart.of(side).contains(ids.of(side)));
            if !there || self.one_in(2) {
                self.people.as_mut().unwrap().parted.push((erp, crm));
                continue;
            }
            by_hand(&mut self.world, &[(&name(Side::Erp, erp), &name(Side::Crm, crm))]).unwrap();
            // Nothing is left of what they agreed on before.
            self.bases.remove(&(erp, crm));
            self.told.coupled += 1;
        }
        assert_eq!(Look::at(&self.world).records, look.records, "{}: coupling writes nothing", self.place);
    }

    /// Saves a plan, now and then, and lets others go on editing.
    pub(super) fn plan_ahead(&mut self) -> Option<RunReport> {
        if !self.one_in(3) {
            return None;
        }
        let planned = self.world.run_as(true);
        self.edits();
        Some(planned)
    }

    /// Carries out the plan, and looks after single records or one side, before the night's runs.
    pub(super) fn by_parts(&mut self, planned: Option<RunReport>) {
        if let Some(planned) = planned {
            self.disturbed = true;
            let before = [self.world.erp.writes(), self.world.crm.writes()];
            self.world.apply(&planned, &[]);
            for (side, from) in Side::BOTH.into_iter().zip(before) {
                for (table, _, id, _) in &self.memory(side).written.lock().unwrap()[from..] {
                    let mut planned = planned.plan.actions().filter(|action| action.side == side);
                    let known = planned.any(|action| action.ids.of(side) == id);
                    assert!(known, "{}: {} {table} {id} is not in the plan (I8)", self.place, side.name());
                }
            }
            self.told.applied += 1;
            self.confirmed();
        }
        if self.one_in(3) {
            self.one_alone();
        }
        if self.one_in(6) {
            let to = self.die().map(|chance| chance.pick(&Side::BOTH));
            let other = to.map_or(0, |to| self.memory(to.other()).writes());
            self.disturbed = true;
            self.world.run_part(Selection { to, ..Selection::default() }).unwrap();
            let now = to.map_or(0, |to| self.memory(to.other()).writes());
            assert_eq!(now, other, "{}: only the {to:?} is written", self.place);
            self.confirmed();
        }
    }

    /// Somebody looks after one record, whatever it is.
    fn one_alone(&mut self) {
        let before = Look::at(&self.world);
        let everybody: Vec<(Side, Uuid)> =
            Side::BOTH.into_iter().flat_map(|side| before.records.of(side).keys().map(move |id| (side, *id))).collect();
        let Some(chance) = self.die().filter(|_| !everybody.is_empty()) else { return };
        let (side, id) = chance.pick(&everybody);
        let to = if chance.one_in(3) { Some(chance.pick(&Side::BOTH)) } else { None };
        self.disturbed = true;
        self.world.changed = false;
        self.world.run_part(Selection { to, ..only(&[&name(side, id)]) }).unwrap();
        let after = Look::at(&self.world);
        let mut own = PerSide::from_fn(|_| Uuid::nil());
        *own.of_mut(side) = id;
        let pairs = || before.coupled.iter().chain(&after.coupled);
        if let Some(ids) = pairs().find(|ids| *ids.of(side) == id) {
            own = *ids;
        }
        self.nobody_else(&before, &after, own);
        self.told.named += 1;
        self.confirmed();
    }
}
