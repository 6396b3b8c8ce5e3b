//! What a run that was cut off had written is nobody's edit: what people do between its death and the next run is.
//!
//! The run dies before and after each change of the state and each request to the CRM. Whatever it got done, a person
//! edits the records then, and the next run has to take that for the only edit there is.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pipeline::config::{PerSide, Side};
use pipeline::run::account::RunOutcome;
use pipeline::run::selection::Selection;
use pipeline::store::Store;
use uuid::Uuid;

use crate::rules::World;
use crate::selected::force;

/// A contested field waits in one case and is decided in the two others, always against somebody.
const TABLES: &str = "
  customers:
    erp: { table: customers, label: number }
    crm: { table: accounts, label: number, filter: kind = 3 }
    direction: both
    create: both
    match: [ { by: { number: number } } ]
    first_sync: erp
    fields:
      - { erp: number, crm: number, direction: to_crm }
      - { erp: name, crm: name }
      - { erp: phone, crm: phone, on_conflict: erp }
      - { erp: memo, crm: memo, on_conflict: crm }
      - { erp: city, crm: city }
      - { crm: kind, value: 3 }
";

/// More records than one wave takes.
const COUPLED: u128 = 5;

const FIELDS: [&str; 4] = ["name", "phone", "memo", "city"];

fn edit(world: &World, side: Side, id: Uuid, text: &str) {
    let values = FIELDS.map(|field| (field, text));
    match side {
        Side::Erp => world.erp.put("customers", id.as_u128(), &values),
        Side::Crm => world.crm.put("accounts", id.as_u128(), &values),
    }
}

/// Edits in the ERP and a new record there, of which a run brought some to the CRM before it died at a step.
fn cut_off(who: &str, steps: u64) -> Option<World> {
    let mut world = World::with(TABLES);
    for number in 1..=COUPLED {
        let key = format!("C{number}");
        let values = [("number", &*key), ("name", "one"), ("phone", "one"), ("memo", "one"), ("city", "one")];
        world.erp.put("customers", number, &values);
        world.crm.put("accounts", 100 + number, &[&values[..], &[("kind", "3")]].concat());
    }
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    world.erp.put("customers", 50, &[("number", "C50")]);
    for number in (1..=COUPLED).chain([50]) {
        edit(&world, Side::Erp, Uuid::from_u128(number), "two");
    }
    let fate = if who == "state" { &world.fate } else { &world.crm.fate };
    fate.set(Some(steps));
    let died = catch_unwind(AssertUnwindSafe(|| drop(world.run()))).is_err();
    world.fate.set(None);
    world.crm.fate.set(None);
    world.reopen();
    died.then_some(world)
}

/// Every record by its number: what both sides hold in the fields.
fn all_hold(world: &World, text: &str, place: &str) {
    for records in [world.erp.all("customers"), world.crm.all("accounts")] {
        assert_eq!(records.len() as u128, COUPLED + 1, "{place}");
        for record in records.values() {
            assert_eq!(FIELDS.map(|field| record[field].as_str()), [text; 4], "{place}: {record:?}");
        }
    }
}

fn each_death(check: impl Fn(World, &str)) {
    for who in ["state", "crm"] {
        let mut deaths = 0;
        while let Some(world) = cut_off(who, deaths) {
            check(world, &format!("{who}, step {deaths}"));
            deaths += 1;
        }
        assert!(deaths >= 8, "{who}: {deaths} deaths are few");
    }
}

#[test]
fn a_later_edit_on_the_side_that_was_read_is_the_only_one() {
    each_death(|mut world, place| {
        for number in (1..=COUPLED).chain([50]) {
            edit(&world, Side::Erp, Uuid::from_u128(number), "three");
        }
        let report = world.run();
        assert_eq!(report.outcome, RunOutcome::Converged, "{place}: {:#?}", report.inbox);
        all_hold(&world, "three", place);
        world.quiet();
    });
}

#[test]
fn a_later_edit_on_the_side_that_was_written_is_the_only_one() {
    each_death(|mut world, place| {
        let there = |id: &Uuid| world.crm.all("accounts").get(id).is_some_and(|record| record["name"] == "two");
        let open = world.store.open_intents("customers").unwrap();
        // Of an update without answer nobody can say any more what the edit was made upon.
        let unclear: HashSet<Uuid> =
            open.iter().filter(|open| open.intent.action == "update").map(|open| open.intent.id).collect();
        let accounts = world.crm.all("accounts");
        let edited: Vec<Uuid> = accounts.keys().filter(|id| there(id) && !unclear.contains(id)).copied().collect();
        for id in &edited {
            edit(&world, Side::Crm, *id, "three");
        }
        let report = world.run();
        assert_eq!(report.outcome, RunOutcome::Converged, "{place}: {:#?}", report.inbox);
        let couplings = world.store.couplings("customers", &[]).unwrap();
        let pairs = couplings.erp.iter().zip(&couplings.crm).map(|(&erp, &crm)| PerSide { erp, crm });
        for ids in pairs {
            let text = if edited.contains(&ids.crm) { "three" } else { "two" };
            for record in [&world.erp.all("customers")[&ids.erp], &world.crm.all("accounts")[&ids.crm]] {
                assert_eq!(FIELDS.map(|field| record[field].as_str()), [text; 4], "{place}: {record:?}");
            }
        }
        world.quiet();
    });
}

/// What such a run agreed on with a partner that is gone by now is nothing that another pair agrees on.
#[test]
fn a_new_partner_does_not_inherit_what_the_old_one_agreed_to() {
    each_death(|mut world, place| {
        let open = world.store.open_intents("customers").unwrap();
        let Some(old) = open.iter().map(|open| open.intent.ids()).find(|ids| ids.erp != Uuid::from_u128(50)) else {
            return;
        };
        world.crm.delete("accounts", old.crm.as_u128());
        let values = FIELDS.map(|field| (field, "one"));
        world.crm.put("accounts", 200, &[&values[..], &[("number", "C200"), ("kind", "3")]].concat());
        let ids = PerSide { erp: old.erp, crm: Uuid::from_u128(200) };
        world.selection = Selection {
            pairs: vec![("customers".to_owned(), ids)],
            ..force(Side::Crm, &[&format!("customers:{}", ids.erp)])
        };
        let planned = world.run_as(true).tables.remove(0).overwritten;
        let told = planned.iter().filter(|lost| FIELDS.contains(&lost.field.as_str()));
        let told: Vec<(&str, &str)> = told.map(|lost| (lost.old.as_str(), lost.new.as_str())).collect();
        assert_eq!(told, [("one", "two"); FIELDS.len()], "{place}");
    });
}
