//! Runs of every extent by chance: over everything, over changes, over one table map, over one record, or for the partner of one,
//! whole or cut off, while people edit and delete. What a deletion cleared comes back with the record that it led to, whichever run restores that
//! and whichever comes to the reference, and what a person cleared stays blank.
//!
//! A failure names its seed: `SEED=7 cargo test --test it runs_of_every_extent`; many of them: `SEEDS=600`.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use pipeline::cli::inbox::answer::Wish;
use pipeline::config::{OnDelete, PerSide, Side};
use pipeline::endpoint::Write;
use pipeline::run::account::{RunOutcome, RunReport};
use pipeline::run::selection::Selection;
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

/// The records of a table map: their tables, and the columns of what people call them by.
#[derive(Clone, Copy, PartialEq)]
struct Records {
    tables: PerSide<&'static str>,
    keys: PerSide<&'static str>,
}

const OF_PEOPLE: Records =
    Records { tables: PerSide { erp: "people", crm: "users" }, keys: PerSide { erp: "code", crm: "name" } };
const OF_CUSTOMERS: Records =
    Records { tables: PerSide { erp: "customers", crm: "accounts" }, keys: PerSide { erp: "number", crm: "number" } };

/// A field that leads to another record.
#[derive(Clone, Copy)]
struct Reference {
    from: Records,
    to: Records,
    columns: PerSide<&'static str>,
}

const PERSON: Reference =
    Reference { from: OF_CUSTOMERS, to: OF_PEOPLE, columns: PerSide { erp: "person", crm: "owner" } };
const PARENT: Reference =
    Reference { from: OF_CUSTOMERS, to: OF_CUSTOMERS, columns: PerSide { erp: "parent", crm: "parent" } };
/// Goes in a circle with that of a customer to a person.
const HOME: Reference = Reference { from: OF_PEOPLE, to: OF_CUSTOMERS, columns: PerSide { erp: "home", crm: "home" } };
const REFERENCES: [Reference; 3] = [PERSON, PARENT, HOME];

struct Night {
    seed: u64,
    chance: Chance,
    world: World,
    /// What each of the references of a record is to lead to, by key.
    wanted: BTreeMap<&'static str, [&'static str; REFERENCES.len()]>,
    phones: BTreeMap<&'static str, String>,
    /// Whoever has had a part in an edit of a reference since both sides agreed last: one thing at a time befalls a record.
    touched: BTreeSet<String>,
    /// Whoever was deleted since then, on either side.
    gone: BTreeSet<&'static str>,
    /// Whoever of them a run with trouble may have made anew without its references, which only the survivor holds then.
    lacking: BTreeSet<&'static str>,
    /// Customers of whom something was typed since then.
    typed: BTreeSet<&'static str>,
    edits: u32,
}

impl Night {
    fn new(seed: u64) -> Night {
        let home = "      - { erp: home, crm: home, ref: { table: customers, erp: number } }\n  customers:";
        let mut world = World::with(&TABLES.replacen("  customers:", home, 1));
        for table in &mut world.pipeline.tables {
            // In half of the worlds a person says so of each.
            let on_delete = if seed.is_multiple_of(2) { OnDelete::Restore } else { OnDelete::Hold };
            (table.on_delete, table.guard) = (on_delete, NO_GUARD);
        }
        world.crm.refers.lock().unwrap().extend([("owner", "users"), ("parent", "accounts"), ("home", "accounts")]);
        let mut wanted = BTreeMap::new();
        let mut chance = Chance(seed);
        for (number, code) in (11..).zip(PEOPLE) {
            let mail = format!("{code}@a.example");
            let home = chance.pick(&["", "C1", "C2"]);
            world.erp.put("people", number, &[("code", code), ("email", &mail), ("home", home)]);
            world.crm.put("users", 100 + number, &[("name", code), ("mail", &mail)]);
            wanted.insert(code, ["", "", home]);
        }
        for (number, key) in (1..).zip(CUSTOMERS) {
            let person = chance.pick(&["", "AA", "BB", "CC"]);
            let parent = chance.pick(&["", "C1", "C2"]);
            let parent = if parent == key { "" } else { parent };
            world.erp.put("customers", number, &[("number", key), ("person", person), ("parent", parent)]);
            world.crm.put("accounts", 100 + number, &[("number", key)]);
            wanted.insert(key, [person, parent, ""]);
        }
        assert_eq!(world.run().outcome, RunOutcome::Converged, "seed {seed}");
        Night {
            seed,
            chance,
            world,
            wanted,
            phones: CUSTOMERS.into_iter().map(|key| (key, String::new())).collect(),
            touched: BTreeSet::new(),
            gone: BTreeSet::new(),
            lacking: BTreeSet::new(),
            typed: BTreeSet::new(),
            edits: 0,
        }
    }

    fn memory(&self, side: Side) -> &Memory {
        if side == Side::Erp { &self.world.erp } else { &self.world.crm }
    }

    /// Returns the record of that key, where it is there.
    fn find(&self, side: Side, of: Records, key: &str) -> Option<Uuid> {
        let (table, column) = (*of.tables.of(side), *of.keys.of(side));
        let records = self.memory(side).all(table);
        records.into_iter().find(|(_, values)| values.get(column).is_some_and(|value| value == key)).map(|(id, _)| id)
    }

    /// What a side holds to refer to a record.
    fn link(&self, side: Side, of: Records, key: &str) -> Option<String> {
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
    fn delete(&mut self, side: Side, of: Records, key: &'static str) {
        let leading = REFERENCES.iter().enumerate().filter(|(_, reference)| reference.to == of);
        let leading: Vec<(usize, &Reference)> = leading.collect();
        let refers = |wanted: &[&str]| leading.iter().any(|(number, _)| wanted[*number] == key);
        let referring: Vec<&str> =
            self.wanted.iter().filter(|(_, wanted)| refers(*wanted)).map(|(key, _)| *key).collect();
        let Some(id) = self.find(side, of, key) else { return };
        // A side that lost all of a table is more likely one that is not what it seems.
        if self.memory(side).all(of.tables.of(side)).len() == 1 {
            return;
        }
        // What is deleted loses what was typed there.
        let is_free = !self.typed.contains(key) && !self.touched.contains(key);
        let is_held = |key: &&str| self.touched.contains(*key) || self.lacking.contains(*key);
        if !is_free || referring.iter().any(is_held) || !self.gone.insert(key) {
            return;
        }
        let held = self.link(side, of, key).unwrap();
        let memory = self.memory(side);
        memory.delete(of.tables.of(side), id.as_u128());
        for (_, Reference { from, columns, .. }) in leading {
            let (table, column) = (*from.tables.of(side), *columns.of(side));
            for (other, values) in memory.all(table) {
                if values.get(column) == Some(&held) {
                    memory.put(table, other.as_u128(), &[(column, "")]);
                }
            }
        }
    }

    /// Somebody lets a record refer to another one, or to none.
    fn refer(&mut self, side: Side, number: usize, key: &'static str, to: &'static str) {
        let reference = &REFERENCES[number];
        let before = self.wanted[key][number];
        let (id, link) = (self.find(side, reference.from, key), self.link(side, reference.to, to));
        let (Some(id), Some(link)) = (id, link) else { return };
        if to == key || before == to || !self.touch(&[key, before, to]) {
            return;
        }
        let table = *reference.from.tables.of(side);
        self.memory(side).put(table, id.as_u128(), &[(*reference.columns.of(side), &link)]);
        self.wanted.get_mut(key).unwrap()[number] = to;
    }

    fn edit_phone(&mut self, key: &'static str) {
        let Some(id) = self.find(Side::Erp, OF_CUSTOMERS, key) else { return };
        self.edits += 1;
        let phone = self.edits.to_string();
        self.world.erp.put("customers", id.as_u128(), &[("phone", &phone)]);
        self.phones.insert(key, phone);
        self.typed.insert(key);
    }

    /// What a record leads to is deleted on one side, and the record on the other.
    fn delete_both(&mut self, side: Side) {
        let leads = |(key, wanted): (&&'static str, &[&'static str; 3])| {
            (0..REFERENCES.len())
                .filter(|number| !wanted[*number].is_empty())
                .map(|number| (*key, number, wanted[number]))
                .collect::<Vec<_>>()
        };
        let leads: Vec<(&str, usize, &str)> = self.wanted.iter().flat_map(leads).collect();
        if !leads.is_empty() {
            let (key, number, to) = self.chance.pick(&leads);
            self.delete(side, REFERENCES[number].to, to);
            self.delete(side.other(), REFERENCES[number].from, key);
        }
    }

    fn people_work(&mut self) {
        for _ in 0..self.chance.below(5) {
            let side = self.chance.pick(&Side::BOTH);
            let (customer, person) = (self.chance.pick(&CUSTOMERS), self.chance.pick(&PEOPLE));
            match self.chance.below(8) {
                0 | 1 => self.delete(side, OF_PEOPLE, person),
                2 => self.delete(side, OF_CUSTOMERS, customer),
                3 => {
                    let to = if self.chance.one_in(3) { "" } else { person };
                    self.refer(side, 0, customer, to);
                }
                4 => {
                    let to = self.chance.pick(&["", "C1", "C2", "C3"]);
                    self.refer(side, 1, customer, to);
                }
                5 => {
                    let to = if self.chance.one_in(3) { "" } else { customer };
                    self.refer(side, 2, person, to);
                }
                6 => self.delete_both(side),
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
                    let columns = REFERENCES.map(|of| *of.columns.of(side));
                    let names = write.fields.iter().any(|(name, _)| columns.contains(&name.as_str()));
                    names.then(|| "not today".to_owned())
                }));
            }
            if unreadable < 2 {
                let of = if unreadable == 0 { OF_PEOPLE } else { OF_CUSTOMERS };
                let table = *of.tables.of(side);
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
            self.lacking.extend(&self.gone);
            self.trouble();
        }
        let extent = self.chance.below(7);
        let mut keys: Vec<&str> = PEOPLE.into_iter().chain(CUSTOMERS).collect();
        if self.chance.one_in(2) && !self.gone.is_empty() {
            keys = self.gone.iter().copied().collect();
        }
        let key = self.chance.pick(&keys);
        let name = match (PEOPLE.contains(&key), self.chance.pick(&Side::BOTH)) {
            (true, Side::Erp) => format!("people:{key}"),
            (true, Side::Crm) => format!("people:crm:{key}@a.example"),
            (false, Side::Erp) => format!("customers:{key}"),
            (false, Side::Crm) => format!("customers:crm:{key}"),
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
            // Somebody wants its partner made, be it gone or there.
            4 => world.run_part(Selection { create: true, ..only(&[&name]) }).ok(),
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

    /// Somebody wants back what was deleted, and once more tried what was refused.
    fn answer(&mut self, report: &RunReport) {
        for item in &report.inbox {
            let wish = match item.kind {
                InboxKind::Deleted => Wish::Restore,
                InboxKind::Skipped => Wish::Retry,
                _ => continue,
            };
            answer(&mut self.world, &item.record, &wish).unwrap();
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
        self.lacking.clear();
        self.typed.clear();
    }

    /// Both sides hold what is wanted.
    fn check(&self) {
        for side in Side::BOTH {
            let name = side.name();
            for (of, keys) in [(OF_PEOPLE, &PEOPLE[..]), (OF_CUSTOMERS, &CUSTOMERS[..])] {
                let all = self.memory(side).all(of.tables.of(side));
                assert_eq!(all.len(), keys.len(), "seed {}: nothing is doubled or lost in the {name}", self.seed);
                for key in keys {
                    let id = self.find(side, of, key).unwrap_or_else(|| panic!("seed {}: {key} is gone", self.seed));
                    let held = |column: &str| all[&id].get(column).cloned().unwrap_or_default();
                    for (reference, to) in REFERENCES.iter().zip(self.wanted[key]).filter(|(led, _)| led.from == of) {
                        let column = *reference.columns.of(side);
                        let place = format!("seed {}: {column} of {key} in the {name} leads to {to}", self.seed);
                        assert_eq!(Some(held(column)), self.link(side, reference.to, to), "{place}");
                    }
                    if let Some(phone) = self.phones.get(key) {
                        assert_eq!(&held("phone"), phone, "seed {}: phone of {key}", self.seed);
                    }
                }
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
