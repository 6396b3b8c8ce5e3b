//! One world under a drawn pipeline, night after night.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::Ordering;

use pipeline::config::{Create, Guard, Limit, PerSide, Side, TableMap};
use pipeline::endpoint::WriteKind;
use pipeline::plan::Plan;
use pipeline::run::account::{RunOutcome, RunReport};
use uuid::Uuid;

use crate::adversary::adds_up;
use crate::adversary::drawn::desk::People;
use crate::adversary::drawn::draw::{Drawn, draw};
use crate::adversary::drawn::look::{Look, Records};
use crate::adversary::drawn::oracle::Held;
use crate::dice::Chance;
use crate::memory::Memory;
use crate::rules::{PEOPLE, World};

/// Runs after everything is calm until one writes nothing, that one among them; guards that trip are not counted.
const RUNS_MAX: u32 = 3;
pub(super) const NO_GUARD: Guard = Guard { create: None, update: None, delete: None };
/// Records that others refer to: they stay, inside the filters.
pub(super) const STABLE: u128 = 3;
/// Where the ids of each side begin.
pub(super) const ERP: u128 = 1_000;
pub(super) const CRM: u128 = 2_000;

/// The ids of a pair.
pub(super) type Ids = (Uuid, Uuid);

/// A world, and what is known of it.
pub struct Night {
    pub place: String,
    pub world: World,
    pub drawn: Drawn,
    pub(super) chance: Chance,
    pub(super) number: u64,
    pub(super) made: u128,
    /// What each pair was agreed to hold, by field.
    pub(super) bases: BTreeMap<Ids, Vec<Option<Held>>>,
    /// What each record held in mapped columns at the end of the last night.
    pub(super) last: PerSide<Records>,
    /// Every record that was ever there.
    pub(super) ever: PerSide<BTreeSet<Uuid>>,
    pub(super) edited: PerSide<HashMap<Uuid, i64>>,
    /// Something else than people had a hand in it, or people typed during a run.
    pub(super) disturbed: bool,
    /// Two of the records that others refer to became one.
    pub(super) merged: bool,
    /// Names that were typed during the runs of this night, by pair.
    pub(super) typed: BTreeMap<Ids, (Side, String)>,
    /// People at the desk, where there are any.
    pub(super) people: Option<People>,
    /// Deaths by side or commit, for who wants each of them.
    pub deaths: Option<(usize, u64)>,
    pub told: Told,
    /// What was planned, in its order.
    pub plans: Vec<Plan>,
}

/// What happened, so that a test can demand that it does.
#[derive(Debug, Default, Clone, Copy)]
pub struct Told {
    pub guarded: u32,
    pub crashed: u32,
    pub changed: u32,
    pub contested: u32,
    pub widows: u32,
    pub renamed: u32,
    pub merged: u32,
    pub typed: u32,
    pub refused: u32,
    pub drifted: u32,
    pub forced: u32,
    pub resolved: u32,
    pub decided: u32,
    pub parted: u32,
    pub coupled: u32,
    pub named: u32,
    pub applied: u32,
}

impl Told {
    /// Returns each with its name.
    pub fn all(&self) -> [(&'static str, u32); 10] {
        [
            ("stopped by a guard", self.guarded),
            ("killed", self.crashed),
            ("read by changes", self.changed),
            ("contested", self.contested),
            ("left by its partner", self.widows),
            ("renamed", self.renamed),
            ("merged", self.merged),
            ("typed during a run", self.typed),
            ("refused", self.refused),
            ("left drifting", self.drifted),
        ]
    }

    /// Returns what people at the desk did, each with its name.
    pub fn at_the_desk(&self) -> [(&'static str, u32); 7] {
        [
            ("overwritten", self.forced),
            ("resolved", self.resolved),
            ("decided about a deletion", self.decided),
            ("parted", self.parted),
            ("coupled by hand", self.coupled),
            ("looked after alone", self.named),
            ("carried out", self.applied),
        ]
    }

    /// Adds what happened elsewhere.
    pub fn add(&mut self, other: &Told) {
        self.guarded += other.guarded;
        self.crashed += other.crashed;
        self.changed += other.changed;
        self.contested += other.contested;
        self.widows += other.widows;
        self.renamed += other.renamed;
        self.merged += other.merged;
        self.typed += other.typed;
        self.refused += other.refused;
        self.drifted += other.drifted;
        self.forced += other.forced;
        self.resolved += other.resolved;
        self.decided += other.decided;
        self.parted += other.parted;
        self.coupled += other.coupled;
        self.named += other.named;
        self.applied += other.applied;
    }
}

impl Night {
    pub fn new(seed: u64) -> Night {
        let mut chance = Chance(seed.wrapping_mul(0x1234_5677).wrapping_add(77));
        let drawn = draw(&mut chance);
        let mut world = World::with(&format!("{PEOPLE}{}", drawn.tables));
        if !drawn.makes_people {
            world.pipeline.tables[0].create = Create::None;
        }
        if let Some(max) = drawn.memo_max {
            world.crm.limit("accounts", "memo", max);
        }
        *world.crm.refers.lock().unwrap() = vec![("owner", "users"), ("parent", "accounts")];
        let ahead = chance.pick(&[0, 3_600_000, -60_000]);
        world.crm.clock_ms.fetch_add(ahead, Ordering::Relaxed);
        world.crm.ahead_ms.store(ahead, Ordering::Relaxed);
        for (number, code) in ["AA", "BB", "CC"].into_iter().enumerate() {
            let mail = format!("{code}@a.example");
            world.erp.put("people", 11 + number as u128, &[("code", code), ("email", &mail), ("name", code)]);
            if code != "CC" {
                world.crm.put("users", 111 + number as u128, &[("mail", &mail), ("name", code)]);
            }
        }
        world.crm.put("users", 114, &[("mail", "nobody@a.example"), ("name", "nobody")]);
        let mut night = Night {
            place: format!("seed {seed}"),
            world,
            drawn,
            chance,
            number: 0,
            made: 0,
            bases: BTreeMap::new(),
            last: PerSide::default(),
            ever: PerSide::default(),
            edited: PerSide::default(),
            disturbed: false,
            merged: false,
            typed: BTreeMap::new(),
            people: None,
            deaths: None,
            told: Told::default(),
            plans: Vec::new(),
        };
        for _ in 0..STABLE {
            night.make(0);
        }
        // A crowd is what shares are about.
        if night.chance.one_in(4) {
            for _ in 0..12 {
                night.make(0);
            }
        }
        night
    }

    /// A world in which people answer what waits and do things by hand.
    pub fn with_people(seed: u64) -> Night {
        Night { people: Some(People::new(seed)), ..Night::new(seed) }
    }

    pub(super) fn map(&self) -> &TableMap {
        self.world.pipeline.tables.iter().find(|map| map.name == "customers").unwrap()
    }

    pub(super) fn memory(&self, side: Side) -> &Memory {
        match side {
            Side::Erp => &self.world.erp,
            Side::Crm => &self.world.crm,
        }
    }

    pub(super) fn table(side: Side) -> &'static str {
        match side {
            Side::Erp => "customers",
            Side::Crm => "accounts",
        }
    }

    pub(super) fn inside(&self, look: &Look, side: Side, id: Uuid) -> bool {
        let Some(record) = look.record(side, id) else { return false };
        let holds = |column: &str| record.get(column).map_or("", String::as_str);
        self.map().sides.of(side).filter.is_none()
            || match side {
                Side::Erp => holds("blocked").is_empty(),
                Side::Crm => holds("kind") == "3",
            }
    }

    pub(super) fn put(&mut self, side: Side, id: Uuid, values: &[(&str, &str)]) {
        self.memory(side).put(Night::table(side), id.as_u128(), values);
        let now_ms = self.world.erp.clock_ms.load(Ordering::Relaxed);
        let time = if side == Side::Crm { now_ms / 1_000 * 1_000 } else { now_ms };
        self.edited.of_mut(side).insert(id, time);
    }

    /// Who edited a pair last, where both were edited by people and one clearly later.
    pub(super) fn newer(&self, ids: PerSide<Uuid>) -> Option<Side> {
        let later_ms = self.edited.crm.get(&ids.crm)? - self.edited.erp.get(&ids.erp)?;
        match later_ms {
            -2_000..=2_000 => None,
            ..-2_000 => Some(Side::Erp),
            _ => Some(Side::Crm),
        }
    }

    /// Runs until a run writes nothing, and returns the last report.
    pub(super) fn settle(&mut self) -> RunReport {
        let (guard, plans) = (self.map().guard, self.chance.one_in(2));
        let mut runs = 0;
        let mut tripped = false;
        let report = loop {
            let before = (self.world.erp.writes(), self.world.crm.writes());
            let look = Look::at(&self.world);
            let planned = (runs == 0 && !tripped && plans).then(|| self.world.run_as(true).plan);
            let report = self.world.run();
            if let Some(planned) = planned {
                self.same_plan(planned, &report.plan);
            }
            let table = report.tables.iter().find(|table| table.table == "customers").unwrap();
            assert_eq!(table.error, None, "{}", self.place);
            if let Some(why) = &table.guarded {
                tripped = true;
                self.told.guarded += 1;
                let now = Look::at(&self.world);
                // References to the same table come in a second step, behind a first one that the guard let pass.
                if why.contains("nothing of it") {
                    assert_eq!(now.records, look.records, "{}: a guard lets nothing be written", self.place);
                    // But that an earlier run made a record is found out all the same.
                    let found = |ids: &PerSide<Uuid>| look.coupled.contains(ids) || look.both_exist(*ids);
                    let none_lost = look.coupled.iter().all(|ids| now.coupled.contains(ids));
                    assert!(
                        none_lost && now.coupled.iter().all(found),
                        "{}: a guard lets nothing be coupled",
                        self.place
                    );
                }
                assert_ne!(guard, NO_GUARD);
                assert_eq!(report.outcome, RunOutcome::Guarded, "{}", self.place);
                self.set_guard(NO_GUARD);
                continue;
            }
            // What a person decided is counted by no guard.
            if !tripped && self.people.is_none() {
                self.kept_within(&guard, before);
            }
            adds_up(&self.world.pipeline, &report, &self.place);
            runs += 1;
            if (self.world.erp.writes(), self.world.crm.writes()) == before {
                break report;
            }
            assert!(runs < RUNS_MAX, "{}: it still writes after {runs} runs: {:#?}", self.place, report.plan);
        };
        self.set_guard(guard);
        report
    }

    pub(super) fn set_guard(&mut self, guard: Guard) {
        self.world.pipeline.tables.iter_mut().find(|map| map.name == "customers").unwrap().guard = guard;
    }

    /// A run that no guard stopped did no more than a number allows.
    pub(super) fn kept_within(&self, guard: &Guard, before: (usize, usize)) {
        let look = Look::at(&self.world);
        let pair = |side: Side, id: Uuid| look.coupled.iter().find(|ids| *ids.of(side) == id).map(|ids| ids.erp);
        let (mut made, mut changed, mut deleted) = (BTreeSet::new(), BTreeSet::new(), 0);
        for (side, from) in [(Side::Erp, before.0), (Side::Crm, before.1)] {
            for (table, kind, id, _) in &self.memory(side).written.lock().unwrap()[from..] {
                if table != Night::table(side) {
                    continue;
                }
                match kind {
                    WriteKind::Insert => drop(made.insert(pair(side, *id))),
                    WriteKind::Update => drop(changed.insert(pair(side, *id))),
                    WriteKind::Delete => deleted += 1,
                }
            }
        }
        changed.retain(|id| !made.contains(id));
        for (done, limit, key) in [
            (made.len(), guard.create, "create"),
            (changed.len(), guard.update, "update"),
            (deleted, guard.delete, "delete"),
        ] {
            if let Some(Limit::Number(number)) = limit {
                assert!(done as u64 <= number, "{}: {done} is more than guard.{key} {number}", self.place);
            }
        }
    }

    /// Demands that the run was the plan (I8).
    pub(super) fn same_plan(&mut self, planned: Plan, done: &Plan) {
        // What only the run can tell is announced, and compared by other tests.
        let foretold = planned.tables.iter().all(|table| table.later.is_empty());
        if foretold && planned.actions().all(|action| action.follow_ups.is_empty()) {
            for (planned, done) in planned.actions().zip(done.actions()) {
                assert_eq!(planned, done, "{}: the plan is the run (I8)", self.place);
            }
            assert_eq!(planned, *done, "{}: the plan is the run (I8)", self.place);
        }
        self.plans.push(planned);
    }

    pub fn pass(&mut self, number: u64) {
        self.number = number;
        let seed = self.place.split(',').next().unwrap_or_default().to_owned();
        self.place = format!("{seed}, night {number}");
        if number > 0 {
            self.desk();
        }
        if number == 3 {
            self.world.crm.put("users", 113, &[("mail", "CC@a.example"), ("name", "CC")]);
        }
        if number > 0 {
            self.edits();
        }
        let planned = self.plan_ahead();
        self.typed.clear();
        self.confirmed();
        let edited = Look::at(&self.world);
        self.world.pass_ms(3_600_000);
        self.by_parts(planned);
        if self.deaths.is_some() {
            self.troubled(false);
        } else if self.chance.one_in(2) {
            self.troubled(true);
            if self.chance.one_in(3) {
                self.troubled(false);
            }
        } else if self.chance.one_in(3) {
            self.told.changed += 1;
            self.world.run_changed();
        }
        self.told.typed += u32::try_from(self.typed.len()).unwrap();
        let report = self.settle();
        self.confirmed();
        let after = Look::at(&self.world);
        self.judge(&edited, &after, &report);
        let writes = (self.world.erp.writes(), self.world.crm.writes());
        self.world.changed = self.chance.one_in(2);
        self.world.attempt(false, &[], &mut |_| {}).unwrap();
        self.world.changed = false;
        assert_eq!((self.world.erp.writes(), self.world.crm.writes()), writes, "{}: quiet when equal (I3)", self.place);
        for side in Side::BOTH {
            let idle = self.memory(side).idle.load(Ordering::Relaxed);
            assert_eq!(idle, 0, "{}: only what changed is written (I5)", self.place);
        }
        self.last = after.records;
    }
}
