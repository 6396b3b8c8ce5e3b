//! Days by chance: two worlds that people edit alike. In one every run reads everything, in the other most runs read
//! changes only. No run over changes doubles, deletes or overwrites anything, and after a last full run the two are the
//! same. A failure names its seed: `SEED=7 cargo test --test it days_by_chance`; many of them: `SEEDS=600`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use pipeline::config::Side;
use pipeline::run::account::{Mode, RunOutcome};
use pipeline::store::Store;
use uuid::Uuid;

use crate::dice::{Chance, each_seed};
use crate::memory::{Accident, Memory};
use crate::rules::{PEOPLE, World};

const CUSTOMERS: &str = "
  customers:
    erp: { table: customers, label: city, filter: \"blocked = ''\" }
    crm: { table: accounts, label: city, filter: kind = 3 }
    direction: both
    create: both
    match: [ { by: { number: number } }, { by: { name: name, city: city } } ]
    first_sync: erp
    fields:
      - { erp: number, crm: number, direction: to_crm }
      - { erp: city, crm: city }
      - { erp: name, crm: name }
      - { erp: phone, crm: phone, on_conflict: erp }
      - { erp: memo, crm: memo, on_conflict: crm }
      - { erp: limit, crm: limit, direction: to_crm }
      - { erp: person, crm: owner, ref: { table: people, erp: code }, direction: to_crm }
      - { erp: parent, crm: parent, ref: { table: customers, erp: number } }
      - { crm: kind, value: 3 }
";

/// One edit by a person: side, table, the number of a record, column and text; without a column the record goes.
#[derive(Debug, Clone)]
struct Edit {
    side: Side,
    table: &'static str,
    business: u128,
    change: Option<(&'static str, String)>,
}

/// All records by their city, which nobody edits: what a business has is told by that, not by ids.
type Business = BTreeMap<String, BTreeMap<String, String>>;

struct Day {
    seed: u64,
    chance: Chance,
    /// Reads everything, always.
    full: World,
    /// Reads changes where it can.
    changed: World,
    made: u128,
    runs_changed: u32,
}

impl Day {
    fn new(seed: u64) -> Day {
        let world = || {
            let mut world = World::with(&format!("{PEOPLE}{CUSTOMERS}"));
            world.pipeline.tables[0].create = pipeline::config::Create::None;
            world
        };
        let mut day = Day { seed, chance: Chance(seed), full: world(), changed: world(), made: 0, runs_changed: 0 };
        let skew = [0, 7_200, -7_200][usize::try_from(day.chance.below(3)).unwrap()];
        for world in [&day.full, &day.changed] {
            world.erp.advance(skew);
            world.crm.advance(-skew / 2);
            world.crm.refers.lock().unwrap().push(("parent", "accounts"));
            for (number, code) in ["AA", "BB", "CC"].into_iter().enumerate() {
                let mail = format!("{code}@a.example");
                world.erp.put("people", 11 + number as u128, &[("code", code), ("email", &mail), ("name", code)]);
                if code != "CC" {
                    world.crm.put("users", 111 + number as u128, &[("mail", &mail), ("name", code)]);
                }
            }
        }
        (0..4).for_each(|_| day.make());
        day
    }

    fn worlds(&self) -> [&World; 2] {
        [&self.full, &self.changed]
    }

    /// Makes a record of the business on one side or on both.
    fn make(&mut self) {
        let id = self.made;
        self.made += 1;
        let how = self.chance.below(4);
        let (city, number, name) = (format!("city {id}"), format!("N{id}"), format!("name {id}"));
        let person = ["", "AA", "CC"][usize::try_from(self.chance.below(3)).unwrap()];
        for world in self.worlds() {
            if how != 2 {
                let values = [("number", &*number), ("name", &name), ("city", &city), ("person", person)];
                world.erp.put("customers", 1_000 + id, &values);
            }
            if how != 1 {
                // The CRM spells numbers its own way.
                let number = if how == 2 { String::new() } else { format!(" {} ", number.to_lowercase()) };
                world.crm.put(
                    "accounts",
                    2_000 + id,
                    &[("number", &number), ("name", &name), ("city", &city), ("kind", "3")],
                );
            }
        }
    }

    /// What people do before the next run, the same in both worlds.
    fn edit(&mut self) {
        for _ in 0..self.chance.below(6) {
            let side = if self.chance.one_in(2) { Side::Erp } else { Side::Crm };
            let mut business = u128::from(self.chance.below(u64::try_from(self.made).unwrap()));
            let word = format!("word {}", self.chance.below(5));
            let of_erp = side == Side::Erp;
            let change = match self.chance.below(12) {
                0..=2 => Some(("name", word)),
                3 | 4 => Some(("phone", word)),
                5 => Some(("memo", word)),
                6 => Some(("limit", format!("{}", self.chance.below(9)))),
                7 if of_erp => {
                    Some(("person", ["", "AA", "BB", "CC"][usize::try_from(self.chance.below(4)).unwrap()].into()))
                }
                8 | 11 if of_erp => Some(("parent", format!("N{}", self.chance.below(4)))),
                9 if of_erp => Some(("blocked", ["", "All"][usize::try_from(self.chance.below(2)).unwrap()].into())),
                9 => Some(("kind", ["3", "10"][usize::try_from(self.chance.below(2)).unwrap()].into())),
                // One of those that others refer to.
                10 if self.chance.one_in(3) => {
                    business = u128::from(self.chance.below(4));
                    None
                }
                _ => Some(("name", word)),
            };
            let late = if self.chance.one_in(5) { i64::try_from(self.chance.below(200)).unwrap() } else { 0 };
            let table = if of_erp { "customers" } else { "accounts" };
            let edit = Edit { side, table, business, change };
            self.worlds().into_iter().for_each(|world| carry_out(world, &edit, late));
        }
        if self.chance.one_in(3) {
            self.make();
        }
    }

    /// Makes trouble for the next run of one world; the other is spared, for it is the yardstick.
    fn trouble(&mut self) {
        for side in Side::BOTH {
            let chance = &mut self.chance;
            let memory = side_of(&self.changed, side);
            for _ in 0..chance.below(4) {
                let kinds = [Accident::AnswerLost, Accident::RequestLost, Accident::Stale, Accident::None];
                memory.accidents.lock().unwrap().push(kinds[usize::try_from(chance.below(4)).unwrap()]);
            }
            if chance.one_in(5) {
                *memory.crash_after.lock().unwrap() = Some(usize::try_from(chance.below(4)).unwrap());
            }
            if chance.one_in(6) {
                let stop = self.changed.stop.clone();
                *memory.stops.lock().unwrap() = Some(Box::new(move || stop.store(true, Ordering::Relaxed)));
            }
            if chance.one_in(8) {
                memory.unreadable.lock().unwrap().push(if side == Side::Erp { "customers" } else { "accounts" }.into());
            }
        }
    }

    fn calm(&mut self) {
        for side in Side::BOTH {
            let memory = side_of(&self.changed, side);
            memory.accidents.lock().unwrap().clear();
            memory.unreadable.lock().unwrap().clear();
            *memory.crash_after.lock().unwrap() = None;
            *memory.stops.lock().unwrap() = None;
        }
        self.changed.stop.store(false, Ordering::Relaxed);
    }

    /// Runs over changes, the first perhaps with trouble.
    fn run_changed(&mut self) {
        let place = format!("seed {}", self.seed);
        let deleted = self.gone();
        if self.chance.one_in(3) {
            self.trouble();
            self.changed.changed = true;
            let run = catch_unwind(AssertUnwindSafe(|| self.changed.run_as(false)));
            self.changed.changed = false;
            self.calm();
            if run.is_err() {
                self.changed.reopen();
            }
            once(&self.changed, &place);
        }
        // What trouble left open is done before anybody edits again, or an edit would meet another one.
        let report = self.changed.run_changed();
        self.runs_changed += u32::from(report.tables.iter().all(|table| table.mode == Mode::Changed));
        assert_ne!(report.outcome, RunOutcome::Failed, "{place}");
        let writes = (self.changed.erp.writes(), self.changed.crm.writes());
        self.changed.run_changed();
        let again = (self.changed.erp.writes(), self.changed.crm.writes());
        assert_eq!(writes, again, "{place}: a second run over changes writes nothing (I3)");
        assert_eq!(self.gone(), deleted, "{place}: a run deletes nothing (I7)");
        once(&self.changed, &place);
    }

    /// Returns how many records each side is short of what was ever made there by people.
    fn gone(&self) -> (usize, usize) {
        let made = |memory: &Memory, table: &str, from: u128| {
            let records = memory.all(table);
            (0..self.made).filter(|id| !records.contains_key(&Uuid::from_u128(from + id))).count()
        };
        (made(&self.changed.erp, "customers", 1_000), made(&self.changed.crm, "accounts", 2_000))
    }

    fn pass(&mut self, number: u64) {
        if number == 5 {
            for world in self.worlds() {
                world.crm.put("users", 113, &[("mail", "CC@a.example"), ("name", "CC")]);
            }
        }
        self.edit();
        // Hours pass, or a moment.
        let pause = [1, 400, 7_200][usize::try_from(self.chance.below(3)).unwrap()];
        for world in self.worlds() {
            world.erp.advance(pause);
            world.crm.advance(pause);
        }
        self.full.run();
        if self.chance.one_in(4) {
            self.changed.run();
        } else {
            self.run_changed();
        }
    }

    /// The last full run: then both worlds are the same.
    fn compare(&mut self) {
        let place = format!("seed {}", self.seed);
        for _ in 0..2 {
            self.full.run();
            self.changed.run();
        }
        for side in Side::BOTH {
            assert_eq!(business(&self.changed, side), business(&self.full, side), "{place}: the {}", side.name());
        }
        let held = |world: &World| {
            let inbox = world.store.inbox(None).unwrap();
            let mut held: Vec<String> =
                inbox.iter().map(|item| format!("{} {:?} {:?}", item.record, item.kind, item.field)).collect();
            held.sort();
            held
        };
        assert_eq!(held(&self.changed), held(&self.full), "{place}: the inbox");
        let writes = (self.changed.erp.writes(), self.changed.crm.writes());
        self.changed.run();
        self.changed.run_changed();
        assert_eq!((self.changed.erp.writes(), self.changed.crm.writes()), writes, "{place}: quiet when equal (I3)");
    }
}

/// Does to one world what a person did; a record that is not there is nobody's business.
fn carry_out(world: &World, edit: &Edit, late: i64) {
    let memory = side_of(world, edit.side);
    // Ids differ between the worlds where a run made the record, so records go by their city.
    let city = format!("city {}", edit.business);
    let records = memory.all(edit.table);
    let found = records.iter().find(|(_, values)| values.get("city") == Some(&city));
    let Some(id) = found.map(|(id, _)| id.as_u128()) else { return };
    match &edit.change {
        Some((column, text)) => memory.put_late(edit.table, id, &[(column, text)], late),
        None => delete(memory, edit, &records, id),
    }
}

/// Deletes a record, with which its side clears the references to it: in the ERP they are keys.
fn delete(memory: &Memory, edit: &Edit, records: &BTreeMap<Uuid, BTreeMap<String, String>>, id: u128) {
    let key = match edit.side {
        Side::Erp => records[&Uuid::from_u128(id)].get("number").cloned().unwrap_or_default(),
        Side::Crm => Uuid::from_u128(id).to_string(),
    };
    memory.delete(edit.table, id);
    for (other, values) in records {
        if values.get("parent") == Some(&key) && !key.is_empty() {
            memory.put(edit.table, other.as_u128(), &[("parent", "")]);
        }
    }
}

fn side_of(world: &World, side: Side) -> &Memory {
    match side {
        Side::Erp => &world.erp,
        Side::Crm => &world.crm,
    }
}

/// Every record of the business is there once.
fn once(world: &World, place: &str) {
    for (side, table) in [(Side::Erp, "customers"), (Side::Crm, "accounts")] {
        let mut cities = std::collections::BTreeSet::new();
        for (id, record) in side_of(world, side).all(table) {
            let city = record.get("city").cloned().unwrap_or_default();
            assert!(cities.insert(city.clone()), "{place}: {} {id} ({city}) is doubled (I2)", side.name());
        }
    }
}

/// What a side holds, with references told by the city or the code of whom they lead to.
fn business(world: &World, side: Side) -> Business {
    let (table, people) = if side == Side::Erp { ("customers", "people") } else { ("accounts", "users") };
    let memory = side_of(world, side);
    let records = memory.all(table);
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    names.extend(records.iter().map(|(id, record)| (id.to_string(), record.get("city").cloned().unwrap_or_default())));
    names.extend(
        memory
            .all(people)
            .into_iter()
            .map(|(id, record)| (id.to_string(), record.get("name").cloned().unwrap_or_default())),
    );
    records
        .into_values()
        .map(|record| {
            // When it was changed is no matter of the business.
            let told = record
                .into_iter()
                .filter(|(column, _)| column != crate::memory::MODIFIED)
                .map(|(column, text)| (column, names.get(&text).cloned().unwrap_or(text)));
            let record: BTreeMap<String, String> = told.collect();
            (record.get("city").cloned().unwrap_or_default(), record)
        })
        .collect()
}

/// What `why` says of a record is what the plan holds for it, whatever people did.
#[test]
fn why_agrees_with_the_plan_by_chance() {
    each_seed("why_agrees_with_the_plan_by_chance", 3, &[], |seed| {
        let mut day = Day::new(seed);
        for number in 0..8 {
            if number == 5 {
                day.full.crm.put("users", 113, &[("mail", "CC@a.example"), ("name", "CC")]);
            }
            day.edit();
            if day.chance.one_in(2) {
                crate::why::agrees_everywhere(&mut day.full, &format!("seed {seed}, day {number}"));
            }
            day.full.run();
        }
    });
}

#[test]
fn days_by_chance() {
    let mut runs_changed = 0;
    each_seed("days_by_chance", 6, &[13, 25], |seed| {
        let mut day = Day::new(seed);
        (0..10).for_each(|number| day.pass(number));
        day.compare();
        runs_changed += day.runs_changed;
    });
    assert!(runs_changed > 0, "no run read changes only");
}
