//! What refers to a record of which the key cannot be read, beside it in every kind of run.

use std::sync::atomic::Ordering;

use pipeline::config::{Guard, Limit, OnDelete, OnUnresolved, Side};
use pipeline::run::account::{RunOutcome, RunReport};
use pipeline::store::{InboxKind, Store};
use uuid::Uuid;

use super::{partner_of, waits};
use crate::deletions::coupled;
use crate::rules::{PEOPLE, World};
use crate::selected::only;

const CUSTOMERS: &str = "
  customers:
    erp: { table: customers, label: number, filter: \"blocked = ''\" }
    crm: { table: accounts, label: number }
    direction: both
    create: both
    match: [ { by: { number: number } } ]
    first_sync: erp
    fields:
      - { erp: number, crm: number, direction: to_crm }
      - { erp: name, crm: name }
      - { erp: person, crm: owner, ref: { table: people, erp: code }, direction: to_crm }
";

/// Customer C1 is of person AA, who is coupled; BB has no partner in the CRM.
fn referring(on_unresolved: OnUnresolved) -> World {
    referring_to(PEOPLE, on_unresolved)
}

fn referring_to(people: &str, on_unresolved: OnUnresolved) -> World {
    let mut world = World::with(&format!("{people}{CUSTOMERS}"));
    world.pipeline.tables[1].fields[2].on_unresolved = on_unresolved;
    world.erp.put("people", 11, &[("code", "AA"), ("email", "aa@a.example"), ("name", "A")]);
    world.crm.put("users", 111, &[("mail", "aa@a.example"), ("name", "A")]);
    world.erp.put("people", 12, &[("code", "BB"), ("email", "bb@a.example"), ("name", "B")]);
    let owner = Uuid::from_u128(111).to_string();
    world.erp.put("customers", 1, &[("number", "C1"), ("name", "One"), ("person", "AA")]);
    world.crm.put("accounts", 101, &[("number", "C1"), ("name", "One"), ("owner", &owner)]);
    world.run();
    world.quiet();
    assert_eq!(owner_of(&world, 1), owner);
    world
}

/// The kinds of runs that come to customer C1.
const WAYS: [&str; 4] = ["all", "one table", "one record", "changes"];

fn run(world: &mut World, way: &str) -> RunReport {
    match way {
        "all" => world.run(),
        "one table" => world.attempt(false, &["customers"], &mut |_| {}).unwrap(),
        "one record" => world.run_part(only(&["customers:C1"])).unwrap(),
        _ => world.run_changed(),
    }
}

fn owner_of(world: &World, erp: u128) -> String {
    world.crm.get("accounts", partner_of(world, erp).unwrap(), "owner")
}

/// What is told of customers.
fn told(report: &RunReport) -> Vec<String> {
    let told = report.inbox.iter().filter(|item| item.table == "customers" && item.kind == InboxKind::Failed);
    told.map(|item| item.message.clone()).collect()
}

/// Whoever it is that cannot be read, it has no partner: a run over parts knows of it what a full one does.
#[test]
fn a_key_without_partner_that_cannot_be_read_clears_no_reference_in_any_run() {
    for on_unresolved in [OnUnresolved::Clear, OnUnresolved::Keep, OnUnresolved::Fail] {
        for (way, found) in WAYS.into_iter().flat_map(|way| [(way, true), (way, false)]) {
            let place = format!("{on_unresolved:?}, {way}, {found}");
            let mut world = referring(on_unresolved);
            world.erp.finds_spoilt.store(found, Ordering::Relaxed);
            world.erp.spoil("people", 12, "code");
            world.erp.put("customers", 1, &[("person", "BB")]);
            let report = run(&mut world, way);
            assert_eq!(owner_of(&world, 1), Uuid::from_u128(111).to_string(), "{place}");
            let told = told(&report);
            let expected = usize::from(on_unresolved != OnUnresolved::Keep);
            assert_eq!(told.len(), expected, "{place}: {:?}", waits(&report));
            let says = "customers:C1 waits: person: people:BB may be ";
            assert!(told.iter().all(|told| told.starts_with(says)), "{place}: {told:?}");
        }
    }
}

/// Nobody is found by a key that stands there no more. Whom the CRM refers to is known by the coupling, whether that one is inside
/// the filter of its table map or not.
#[test]
fn a_key_of_a_coupled_record_that_cannot_be_read_clears_no_reference_in_any_run() {
    let people = PEOPLE.replace("label: code }", "label: code, filter: \"home <> 'X'\" }");
    for on_unresolved in [OnUnresolved::Clear, OnUnresolved::Keep, OnUnresolved::Fail] {
        for (way, home) in WAYS.into_iter().flat_map(|way| [(way, ""), (way, "X")]) {
            let place = format!("{on_unresolved:?}, {way}, {home}");
            let mut world = referring_to(&people, on_unresolved);
            world.erp.finds_spoilt.store(false, Ordering::Relaxed);
            world.erp.put("people", 11, &[("home", home)]);
            world.erp.spoil("people", 11, "code");
            world.erp.put("customers", 1, &[("name", "Two")]);
            let report = run(&mut world, way);
            assert_eq!(owner_of(&world, 1), Uuid::from_u128(111).to_string(), "{place}");
            assert_eq!(told(&report), [""; 0], "{place}");
            assert_eq!(world.crm.get("accounts", 101, "name"), "Two", "{place}");
        }
    }
}

/// A new record is made without a reference that may be left out, and gets it as soon as that can be read.
#[test]
fn one_key_that_cannot_be_read_stops_no_new_record_that_may_go_without() {
    for on_unresolved in [OnUnresolved::Keep, OnUnresolved::Clear] {
        for changed in [false, true] {
            let place = format!("{on_unresolved:?}, {changed}");
            let mut world = referring(on_unresolved);
            world.erp.spoil("people", 11, "code");
            for (id, number, person) in [(21, "C21", "AA"), (22, "C22", "ZZ"), (23, "C23", "")] {
                world.erp.put("customers", id, &[("number", number), ("name", number), ("person", person)]);
            }
            for night in 0..2 {
                world.changed = changed;
                let planned = world.run_as(true);
                let report = world.run();
                assert_eq!(waits(&planned), waits(&report), "{place}");
                assert_eq!(told(&report), [""; 0], "{place}, {night}: {:?}", waits(&report));
                assert_eq!(world.crm.column("accounts", "number").len(), 4, "{place}");
                assert_eq!(owner_of(&world, 21), "");
            }
            world.quiet();
            world.erp.mend("people", 11, "code");
            world.changed = changed;
            world.run();
            assert_eq!(owner_of(&world, 21), Uuid::from_u128(111).to_string(), "{place}");
            assert_eq!([22, 23].map(|id| owner_of(&world, id)), ["", ""], "{place}");
            world.changed = false;
            world.quiet();
        }
    }
}

/// What somebody was asked about a pair outside its filter is no answer of a key elsewhere that cannot be read.
#[test]
fn what_waits_of_a_pair_outside_its_filter_waits_on_beside_a_key_that_cannot_be_read() {
    let mut world = referring(OnUnresolved::Fail);
    world.erp.put("customers", 1, &[("person", "ZZ")]);
    let failed = told(&world.run());
    assert!(failed.len() == 1 && failed[0].contains("people:ZZ is not coupled"), "{failed:?}");
    world.erp.put("customers", 1, &[("blocked", "X")]);
    let outside = told(&world.run());
    assert!(outside.len() == 1 && outside[0].ends_with("nothing is written until it comes back"), "{outside:?}");
    world.erp.spoil("people", 12, "code");
    for _ in 0..2 {
        let told = told(&world.run());
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with("customers:C1 waits: person: people:ZZ may be ") && told[0].contains("; outside"),
            "{told:?}"
        );
    }
    world.erp.mend("people", 12, "code");
    assert_eq!(told(&world.run()), outside);
}

/// Whatever keys lead to it, one record that has to be corrected is one question.
#[test]
fn all_that_wait_for_one_record_are_told_at_once_whatever_their_keys() {
    let mut world = referring(OnUnresolved::Fail);
    world.erp.spoil("people", 12, "code");
    for (id, person) in [(21, "K1"), (22, "K2"), (23, "K3")] {
        let number = format!("C{id}");
        world.erp.put("customers", id, &[("number", &*number), ("name", &number), ("person", person)]);
    }
    world.erp.put("customers", 1, &[("person", "K4")]);
    for _ in 0..2 {
        let planned = world.run_as(true);
        let report = world.run();
        assert_eq!(waits(&planned), waits(&report));
        let told = told(&report);
        assert!(
            told.len() == 1 && told[0].starts_with("customers:C1 and 3 more wait: person: people:K4 may be "),
            "{told:?}"
        );
    }
}

/// What a new record failed for before is told no more when only another field keeps it from going over.
#[test]
fn what_a_new_record_failed_for_before_does_not_stay_beside_what_it_waits_for_now() {
    let graded = CUSTOMERS.to_owned() + "      - { erp: grade, crm: memo, values: { A: best }, direction: to_crm }\n";
    let mut world = World::with(&format!("{PEOPLE}{graded}"));
    world.erp.put("people", 12, &[("code", "BB"), ("email", "bb@a.example"), ("name", "B")]);
    world.erp.put("customers", 5, &[("number", "C5"), ("name", "Five"), ("grade", "X")]);
    let failed = told(&world.run());
    assert!(failed.len() == 1 && failed[0].contains("`X` is not in `values`"), "{failed:?}");
    world.erp.spoil("people", 12, "code");
    world.erp.put("customers", 5, &[("grade", "A"), ("person", "BB")]);
    let told = told(&world.run());
    assert!(told.len() == 1 && told[0].starts_with("customers:C5 waits: person: "), "{told:?}");
}

/// Where nobody waits for it, a run over changes goes on from where the last one came to.
#[test]
fn a_key_that_cannot_be_read_and_nobody_waits_for_keeps_nothing_from_counting_as_read() {
    for coupled in [true, false] {
        let mut world = referring(OnUnresolved::Fail);
        world.erp.spoil("people", if coupled { 11 } else { 12 }, "code");
        let read_to = |world: &World| world.store.watermarks().unwrap()["customers"].read_to;
        let mut known = read_to(&world);
        for (night, name) in [(0, "two"), (1, "three")] {
            Side::BOTH.iter().for_each(|at| crate::deletions::side(&world, *at).advance(7_200));
            world.erp.put("customers", 1, &[("name", name)]);
            let report = if night == 0 { world.run() } else { world.run_changed() };
            assert_eq!(told(&report), [""; 0]);
            assert!(read_to(&world).erp > known.erp, "{coupled}, {night}");
            known = read_to(&world);
        }
        // Whoever waits for it is read again.
        Side::BOTH.iter().for_each(|at| crate::deletions::side(&world, *at).advance(7_200));
        for (id, number) in [(1, "C1"), (2, "C2")] {
            world.erp.put("customers", id, &[("number", number), ("person", "ZZ"), ("name", number)]);
        }
        world.run_changed();
        assert_eq!(read_to(&world), known, "{coupled}");
    }
}

/// Who may lead there already waits without a word. Where its reference was edited meanwhile, a run over changes reads it again.
#[test]
fn an_edit_beside_a_key_that_cannot_be_read_is_told_by_a_run_over_changes_after_it() {
    let mut world = referring(OnUnresolved::Fail);
    world.erp.spoil("people", 11, "code");
    Side::BOTH.iter().for_each(|at| crate::deletions::side(&world, *at).advance(7_200));
    world.erp.put("customers", 1, &[("person", "ZZ")]);
    for changed in [false, true] {
        world.changed = changed;
        let report = world.run();
        assert_eq!(told(&report), [""; 0], "{changed}");
        Side::BOTH.iter().for_each(|at| crate::deletions::side(&world, *at).advance(7_200));
    }
    world.erp.mend("people", 11, "code");
    let told = told(&world.run_changed());
    assert!(told.len() == 1 && told[0].contains("people:ZZ is not coupled"), "{told:?}");
}

/// Whoever would be coupled when the guard stops what follows from the first writes is no pair: nothing waits about it.
#[test]
fn a_pair_that_a_guard_stopped_waits_for_no_record_that_cannot_be_read() {
    let mut world = coupled(OnDelete::Hold, 3);
    for table in &mut world.pipeline.tables {
        table.guard = Guard { create: Some(Limit::Number(0)), update: None, delete: None };
    }
    world.erp.put("people", 12, &[("code", "BB"), ("email", "bb@a.example"), ("name", "B")]);
    world.erp.spoil("people", 12, "code");
    // Both customers are in doubt until the accounts that bear their numbers have their own ones back; the one has a
    // partner then, and the other one would get one.
    for (id, number) in [(8, "C8"), (9, "C9")] {
        world.erp.put("customers", id, &[("number", number), ("name", number), ("city", "Moss"), ("person", "BB")]);
    }
    world.erp.put("customers", 9, &[("person", "")]);
    world.crm.put("accounts", 208, &[("number", "C8"), ("name", "Eight"), ("kind", "3")]);
    world.crm.put("accounts", 101, &[("number", "C9")]);
    world.crm.put("accounts", 102, &[("number", "C8")]);
    let planned = world.run_as(true);
    let report = world.run();
    assert_eq!((planned.outcome, report.outcome), (RunOutcome::Guarded, RunOutcome::Guarded), "{:?}", waits(&report));
    assert_eq!(world.crm.get("accounts", 102, "number"), "C2");
    assert_eq!(partner_of(&world, 8), None);
    assert_eq!((told(&planned), told(&report)), (Vec::new(), Vec::new()));
    assert_eq!(report.tables[1].to.crm.skipped, 0);
    for table in &mut world.pipeline.tables {
        table.guard = Guard { create: None, update: None, delete: None };
    }
    let told = told(&world.run());
    assert_eq!(partner_of(&world, 8), Some(208));
    assert!(told.len() == 1 && told[0].starts_with("customers:C8 waits: person: "), "{told:?}");
}

/// Only what could not be read is asked for by a run over some records, not whatever else has failed.
#[test]
fn a_run_over_some_records_asks_for_none_that_failed_otherwise() {
    let mut world = referring(OnUnresolved::Fail);
    for id in 21..=23 {
        let number = format!("C{id}");
        world.erp.put("customers", id, &[("number", &*number), ("name", &number), ("person", "ZZ")]);
    }
    let failed = told(&world.run());
    assert_eq!(failed.len(), 3, "{failed:?}");
    world.erp.answers.lock().unwrap().clear();
    world.run_part(only(&["customers:C1"])).unwrap();
    let before = world.erp.answers.lock().unwrap().len();
    world.erp.spoil("customers", 23, "name");
    world.run();
    world.erp.answers.lock().unwrap().clear();
    world.run_part(only(&["customers:C1"])).unwrap();
    assert_eq!(world.erp.answers.lock().unwrap().len(), before + 1, "the one that cannot be read is asked for");
}
