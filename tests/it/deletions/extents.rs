//! Runs of every extent by chance: over everything, over changes, over one table map, over one record, whole or cut off, while
//! people edit and delete. What a deletion cleared comes back with the record that it led to, whichever run restores that
//! and whichever comes to the reference, and what a person cleared stays blank.
//!
//! A failure names its seed: `SEED=7 cargo test --test it runs_of_every_extent`; many of them: `SEEDS=600`.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use pipeline::cli::inbox::answer::Wish;
use pipeline::config::{OnDelete, PerSide, Side};
use pipeline::endpoint::Write;
use pipeline::run::account::{RunOutcome, RunReport};
use pipeline::store::InboxKind;
use uuid::Uuid;

use crate::decisions::answer;
use crate::deletions::NO_GUARD;
use crate::deletions::cascades::TABLES;
use crate::dice::{Chance, each_seed};
use crate::memory::{Accident, Memory};
use crate::rules::World;
use crate::selected::only;

const PEOPLE: [&str; 4] = ["AA", "BB", "CC", "DD"];
const CUSTOMERS: [&str; 6] = ["C1", "C2", "C3", "C4", "C5", "C6"];

/// A field of a customer that leads to another record: its columns, the tables that it leads to, and what people call these
/// records by.
#[derive(Clone, Copy)]
struct Reference {
    columns: PerSide<&'static str>,
    tables: PerSide<&'static str>,
    keys: PerSide<&'static str>,
}

const PERSON: Reference = Reference {
    columns: PerSide { erp: "person", crm: "owner" },
    tables: PerSide { erp: "people", crm: "users" },
    keys: PerSide { erp: "code", crm: "name" },
};
const PARENT: Reference = Reference {
    columns: PerSide { erp: "parent", crm: "parent" },
    tables: PerSide { erp: "customers", crm: "accounts" },
    keys: PerSide { erp: "number", crm: "number" },
};

struct Night {
    seed: u64,
    chance: Chance,
    world: World,
    /// By customer what its references are to lead to, by key, and its phone.
    wanted: BTreeMap<&'static str, (String, String, String)>,
    /// Whoever has had a part in an edit of a reference since both sides agreed last: one thing at a time befalls a record.
    touched: BTreeSet<String>,
    /// Whoever was deleted since then, on either side.
    gone: BTreeSet<&'static str>,
    /// Customers of whom something was typed since then.
    typed: BTreeSet<&'static str>,
    edits: u32,
}

impl Night {
    fn new(seed: u64) -> Night {
        let mut world = World::with(TABLES);
        for table in &mut world.pipeline.tables {
            // In half of the worlds a person says so of each.
            let on_delete = if seed.is_multiple_of(2) { OnDelete::Restore } else { OnDelete::Hold };
            (table.on_delete, table.guard) = (on_delete, NO_GUARD);
        }
        world.crm.refers.lock().unwrap().extend([("owner", "users"), ("parent", "accounts")]);
        for (number, code) in (11..).zip(PEOPLE) {
            let mail = format!("{code}@a.example");
            world.erp.put("people", number, &[("code", code), ("email", &mail)]);
            world.crm.put("users", 100 + number, &[("name", code), ("mail", &mail)]);
        }
        let mut wanted = BTreeMap::new();
        let mut chance = Chance(seed);
        for (number, key) in (1..).zip(CUSTOMERS) {
            let person = chance.pick(&["", "AA", "BB", "CC"]);
            let parent = chance.pick(&["", "C1", "C2"]);
            let parent = if parent == key { "" } else { parent };
            world.erp.put("customers", number, &[("number", key), ("person", person), ("parent", parent)]);
            world.crm.put("accounts", 100 + number, &[("number", key)]);
            wanted.insert(key, (person.to_owned(), parent.to_owned(), String::new()));
        }
        assert_eq!(world.run().outcome, RunOutcome::Converged, "seed {seed}");
        Night {
            seed,
            chance,
            world,
            wanted,
            touched: BTreeSet::new(),
            gone: BTreeSet::new(),
            typed: BTreeSet::new(),
            edits: 0,
        }
    }

    fn memory(&self, side: Side) -> &Memory {
        if side == Side::Erp { &self.world.erp } else { &self.world.crm }
    }

    /// Returns the record of that key, where it is there.
    fn find(&self, side: Side, of: Reference, key: &str) -> Option<Uuid> {
        let (table, column) = (*of.tables.of(side), *of.keys.of(side));
        let records = self.memory(side).all(table);
        records.into_iter().find(|(_, values)| values.get(column).is_some_and(|value| value == key)).map(|(id, _)| id)
    }

    /// What a side holds to refer to a record.
    fn link(&self, side: Side, of: Reference, key: &str) -> Option<String> {
        match (side, key) {
            (_, "") => Some(String::new()),
            (Side::Erp, key) => self.find(side, of, key).map(|_| key.to_owned()),
            (Side::Crm, key) => self.find(side, of, key).map(|id| id.to_string()),
        }
    }

    /// Takes these for touched, where nothing has befallen any of them.
    fn touch(&mut self, keys: &[&str]) -> bool {
        let free = keys.iter().all(|key| !self.touched.contains(*key) && !self.gone.contains(*key));
        if free {
            self.touched.extend(keys.iter().filter(|key| !key.is_empty()).map(|key| (*key).to_owned()));
        }
        free
    }

    /// Somebody deletes a record, and its side clears what refers to it.
    fn delete(&mut self, side: Side, of: Reference, key: &'static str) {
        let is_person = of.tables == PERSON.tables;
        let refers = |(_, (person, parent, _)): &(&&'static str, &(String, String, String))| {
            if is_person { person == key } else { parent == key }
        };
        let referring: Vec<&str> = self.wanted.iter().filter(refers).map(|(key, _)| *key).collect();
        let Some(id) = self.find(side, of, key) else { return };
        // What is deleted loses what was typed there.
        let is_free = !self.typed.contains(key) && !self.touched.contains(key);
        if !is_free || referring.iter().any(|key| self.touched.contains(*key)) || !self.gone.insert(key) {
            return;
        }
        let held = self.link(side, of, key).unwrap();
        let (table, column) = (*PARENT.tables.of(side), *of.columns.of(side));
        let memory = self.memory(side);
        memory.delete(of.tables.of(side), id.as_u128());
        for (other, values) in memory.all(table) {
            if values.get(column) == Some(&held) {
                memory.put(table, other.as_u128(), &[(column, "")]);
            }
        }
    }

    /// Somebody lets a customer refer to another record, or to none.
    fn refer(&mut self, side: Side, of: Reference, key: &'static str, to: &'static str) {
        let is_person = of.tables == PERSON.tables;
        let (person, parent, _) = &self.wanted[key];
        let before = if is_person { person.clone() } else { parent.clone() };
        let (Some(id), Some(link)) = (self.find(side, PARENT, key), self.link(side, of, to)) else { return };
        if to == key || before == to || !self.touch(&[key, &before, to]) {
            return;
        }
        self.memory(side).put(PARENT.tables.of(side), id.as_u128(), &[(*of.columns.of(side), &link)]);
        let wanted = self.wanted.get_mut(key).unwrap();
        *(if is_person { &mut wanted.0 } else { &mut wanted.1 }) = to.to_owned();
    }

    fn edit_phone(&mut self, key: &'static str) {
        let Some(id) = self.find(Side::Erp, PARENT, key) else { return };
        self.edits += 1;
        let phone = self.edits.to_string();
        self.world.erp.put("customers", id.as_u128(), &[("phone", &phone)]);
        self.wanted.get_mut(key).unwrap().2 = phone;
        self.typed.insert(key);
    }

    fn people_work(&mut self) {
        for _ in 0..self.chance.below(5) {
            let side = self.chance.pick(&Side::BOTH);
            let (customer, person) = (self.chance.pick(&CUSTOMERS), self.chance.pick(&PEOPLE));
            match self.chance.below(6) {
                0 | 1 => self.delete(side, PERSON, person),
                2 => self.delete(side, PARENT, customer),
                3 => {
                    let to = if self.chance.one_in(3) { "" } else { person };
                    self.refer(side, PERSON, customer, to);
                }
                4 => {
                    let to = self.chance.pick(&["", "C1", "C2", "C3"]);
                    self.refer(side, PARENT, customer, to);
                }
                _ if !self.touched.contains(customer) && !self.gone.contains(customer) => self.edit_phone(customer),
                _ => {}
            }
        }
    }

    /// Makes trouble for the next run.
    fn trouble(&mut self) {
        for side in Side::BOTH {
            let (crash, refuses, unreadable) = (self.chance.below(8), self.chance.one_in(5), self.chance.below(10));
            let accidents: Vec<Accident> = (0..self.chance.below(3))
                .map(|_| self.chance.pick(&[Accident::AnswerLost, Accident::RequestLost, Accident::None]))
                .collect();
            let memory = self.memory(side);
            *memory.crash_after.lock().unwrap() = (crash < 4).then(|| usize::try_from(crash).unwrap());
            memory.accidents.lock().unwrap().extend(accidents);
            if refuses {
                *memory.refuses.lock().unwrap() = Some(Box::new(move |_, write: &Write| {
                    let columns = [PERSON, PARENT].map(|of| *of.columns.of(side));
                    let names = write.fields.iter().any(|(name, _)| columns.contains(&name.as_str()));
                    names.then(|| "not today".to_owned())
                }));
            }
            if unreadable < 2 {
                let table = *[PERSON, PARENT][usize::try_from(unreadable).unwrap()].tables.of(side);
                memory.unreadable.lock().unwrap().push(table.to_owned());
            }
        }
    }

    fn calm(&mut self) {
        for side in Side::BOTH {
            let memory = self.memory(side);
            memory.accidents.lock().unwrap().clear();
            memory.unreadable.lock().unwrap().clear();
            *memory.crash_after.lock().unwrap() = None;
            *memory.refuses.lock().unwrap() = None;
        }
    }

    /// A run of some extent, perhaps with trouble.
    fn run(&mut self) {
        let has_trouble = self.chance.one_in(2);
        if has_trouble {
            self.trouble();
        }
        let extent = self.chance.below(6);
        let name = match (self.chance.one_in(2), self.chance.pick(&Side::BOTH)) {
            (true, Side::Erp) => format!("people:{}", self.chance.pick(&PEOPLE)),
            (true, Side::Crm) => format!("people:crm:{}@a.example", self.chance.pick(&PEOPLE)),
            (false, Side::Erp) => format!("customers:{}", self.chance.pick(&CUSTOMERS)),
            (false, Side::Crm) => format!("customers:crm:{}", self.chance.pick(&CUSTOMERS)),
        };
        let world = &mut self.world;
        let run = catch_unwind(AssertUnwindSafe(|| match extent {
            0 => world.attempt(false, &[], &mut |_| {}).ok(),
            1 => {
                world.changed = true;
                world.attempt(false, &[], &mut |_| {}).ok()
            }
            2 => world.attempt(false, &["people"], &mut |_| {}).ok(),
            3 => world.attempt(false, &["customers"], &mut |_| {}).ok(),
            // A record that is not there is nobody's business.
            _ => world.run_part(only(&[&name])).ok(),
        }));
        self.world.changed = false;
        self.world.selection = Default::default();
        self.calm();
        if run.is_err() {
            self.world.reopen();
        }
        // In half of the nights nobody waits until both sides agree.
        if self.chance.one_in(2) {
            self.settle();
        }
    }

    /// Somebody wants back what was deleted.
    fn answer(&mut self, report: &RunReport) {
        for item in report.inbox.iter().filter(|item| item.kind == InboxKind::Deleted) {
            answer(&mut self.world, &item.record, &Wish::Restore).unwrap();
        }
    }

    /// Runs over everything until both sides agree.
    fn settle(&mut self) {
        let mut report: RunReport = self.world.run();
        for _ in 0..3 {
            if report.outcome != RunOutcome::Converged {
                self.answer(&report);
                report = self.world.run();
            }
        }
        assert_eq!(report.outcome, RunOutcome::Converged, "seed {}: {:#?}", self.seed, report.inbox);
        self.check();
        self.world.quiet();
        self.touched.clear();
        self.gone.clear();
        self.typed.clear();
    }

    /// Both sides hold what is wanted.
    fn check(&self) {
        for side in Side::BOTH {
            let all = self.memory(side).all(PARENT.tables.of(side));
            assert_eq!(
                all.len(),
                CUSTOMERS.len(),
                "seed {}: nothing is doubled or lost in the {}",
                self.seed,
                side.name()
            );
            for (key, (person, parent, phone)) in &self.wanted {
                let id = self.find(side, PARENT, key).unwrap_or_else(|| panic!("seed {}: {key} is gone", self.seed));
                let held = |column: &str| all[&id].get(column).cloned().unwrap_or_default();
                let links = [(PERSON, person), (PARENT, parent)];
                for (of, to) in links {
                    let column = *of.columns.of(side);
                    let place = format!("seed {}: {column} of {key} in the {} leads to {to}", self.seed, side.name());
                    assert_eq!(Some(held(column)), self.link(side, of, to), "{place}");
                }
                assert_eq!(&held("phone"), phone, "seed {}: phone of {key}", self.seed);
            }
        }
    }
}

#[test]
fn runs_of_every_extent_by_chance() {
    each_seed("runs_of_every_extent_by_chance", 12, &[], |seed| {
        let mut night = Night::new(seed);
        for _ in 0..8 {
            night.people_work();
            // Hours pass, or a moment.
            let pause = night.chance.pick(&[1, 400, 7_200]);
            night.world.erp.advance(pause);
            night.world.crm.advance(pause);
            night.run();
        }
        night.settle();
    });
}
