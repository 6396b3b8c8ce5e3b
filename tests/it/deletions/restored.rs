//! What only the lost side knew comes back into the record that is made anew.

use std::collections::BTreeMap;

use pipeline::config::{Drift, OnDelete, Side};
use pipeline::plan::ActionKind;
use pipeline::run::account::{RunOutcome, RunReport};
use pipeline::store::Store;
use uuid::Uuid;

use crate::by_hand::create;
use crate::rules::{PEOPLE, World};
use crate::selected::only;

/// Each way in which a field may have one owner.
const OWNED: &str = "
  customers:
    erp: { table: customers, label: number }
    crm: { table: accounts, label: number }
    direction: both
    create: both
    on_delete: restore
    match: [ { by: { number: number } } ]
    on_create: [ { side: erp, set: { number: \"'T1'\" } } ]
    fields:
      - { erp: number, crm: number, direction: to_crm }
      - { erp: name, crm: name }
      - { erp: city, crm: city, direction: to_crm, to_crm: UPPER(city) }
      - { erp: limit, crm: limit, direction: to_crm }
      - { erp: grade, crm: kind, direction: to_crm, values: { \"A\": 3, \"B\": 10 } }
      - { erp: person, crm: owner, ref: { table: people, erp: code }, direction: to_crm }
      - { erp: memo, crm: memo, direction: to_erp }
      - { erp: phone, crm: phone, direction: to_erp }
";

const VALUES: [(&str, &str); 7] = [
    ("number", "C1"),
    ("name", "Ahlgren"),
    ("city", "Oslo"),
    ("limit", "5"),
    ("grade", "B"),
    ("person", "AA"),
    ("memo", ""),
];

/// A world in which customer 1 and its account agree, and another pair.
fn settled(keep_values: bool) -> World {
    let mut world = World::with(&format!("{PEOPLE}{OWNED}"));
    if !keep_values {
        world.keep_no_values();
    }
    world.erp.put("people", 11, &[("code", "AA"), ("email", "aa@a.example"), ("name", "A")]);
    world.crm.put("users", 111, &[("mail", "aa@a.example"), ("name", "A")]);
    world.erp.put("customers", 1, &VALUES);
    world.crm.put("accounts", 101, &[("number", "C1"), ("name", "Ahlgren"), ("memo", "note"), ("phone", "1")]);
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    world.crm.put("accounts", 102, &[("number", "C2"), ("name", "Dahl")]);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{report:#?}");
    assert_eq!(world.crm.get("accounts", 101, "city"), "OSLO");
    world
}

/// The record of one side is deleted.
fn widowed(gone: Side, keep_values: bool) -> World {
    let world = settled(keep_values);
    match gone {
        Side::Erp => world.erp.delete("customers", 1),
        Side::Crm => world.crm.delete("accounts", 101),
    }
    world
}

/// What customer and account hold, whatever their ids are by now.
fn held(world: &World) -> (Vec<String>, Vec<String>) {
    let of = |all: BTreeMap<_, BTreeMap<String, String>>, columns: &[&str]| -> Vec<String> {
        let record = all.into_values().find(|record| record["name"] == "Ahlgren").unwrap();
        columns.iter().map(|column| record.get(*column).cloned().unwrap_or_default()).collect()
    };
    (
        of(world.erp.all("customers"), &["number", "city", "limit", "grade", "person", "memo", "phone"]),
        of(world.crm.all("accounts"), &["number", "city", "limit", "kind", "memo", "phone"]),
    )
}

fn notes(report: &RunReport) -> Vec<&str> {
    let mut notes = report.tables.iter().flat_map(|table| &table.notes).map(String::as_str);
    notes.by_ref().filter(|note| note.contains("given back")).collect()
}

/// Restores, as the plan says it; then the second run is quiet.
fn restore(world: &mut World) -> RunReport {
    let planned = world.run_as(true);
    let report = world.run();
    assert_eq!(planned.plan, report.plan, "the plan is the run (I8)");
    assert_eq!(notes(&planned), notes(&report));
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    world.quiet();
    report
}

#[test]
fn what_only_the_lost_side_knew_comes_back() {
    for gone in Side::BOTH {
        let before = held(&settled(true));
        let mut world = widowed(gone, true);
        let report = restore(&mut world);
        assert_eq!(held(&world), before, "deleted in the {}", gone.name());
        assert!(notes(&report).is_empty(), "{:?}", notes(&report));
        // The record is one like any other: its owner's edits go over.
        let erp = world.store.couplings("customers", &[]).unwrap().erp;
        let id = erp.into_iter().find(|id| *id != Uuid::from_u128(2)).unwrap();
        world.erp.put("customers", id.as_u128(), &[("limit", "7"), ("city", "")]);
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        assert_eq!(held(&world).1[1..3], ["", "7"]);
    }
}

#[test]
fn what_only_the_lost_side_knew_comes_back_where_somebody_asks_for_the_record() {
    for (gone, survivor) in [(Side::Erp, "customers:crm:C1"), (Side::Crm, "customers:C1")] {
        for on_delete in [OnDelete::Hold, OnDelete::Restore, OnDelete::Uncouple, OnDelete::Delete] {
            let before = held(&settled(true));
            let mut world = widowed(gone, true);
            world.pipeline.tables[1].on_delete = on_delete;
            let report = create(&mut world, survivor, false);
            assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
            let action = report.plan.actions().find(|action| action.kind.makes_record()).unwrap();
            let (lost, left) = (gone.name(), gone.other().name());
            let why = format!("deleted in the {lost}, made anew from the {left}; asked for by hand");
            assert_eq!(action.why, why, "{:?}", action.kind);
            assert!(matches!(action.kind, ActionKind::Restore { .. }));
            assert_eq!(held(&world), before, "deleted in the {lost}, {on_delete:?}");
            world.quiet();
        }
    }
}

#[test]
fn without_kept_values_the_survivor_tells_what_leads_back() {
    let mut world = widowed(Side::Erp, false);
    let report = restore(&mut world);
    let (erp, crm) = held(&world);
    assert_eq!(erp, ["C1", "", "5", "B", "AA", "note", "1"]);
    assert_eq!(crm, ["C1", "OSLO", "5", "10", "note", "1"], "what is not known clears nothing");
    let expected = "city is not given back to 1 record made anew in the ERP: nobody knows any more what it held there \
        (customers:crm:C1)";
    assert_eq!(notes(&report), [expected]);
    // Two letters for one option: the option does not tell which.
    let mut world = widowed(Side::Erp, false);
    world.pipeline.tables[1].fields[4].values.push(("C".into(), "10".into()));
    let report = restore(&mut world);
    assert_eq!((held(&world).0[3].as_str(), held(&world).1[3].as_str()), ("", "10"));
    assert!(notes(&report)[1].starts_with("grade is not given back"), "{:?}", notes(&report));
}

#[test]
fn a_value_that_drifted_is_given_back_as_the_file_says() {
    for (drift, erp, crm) in [(Drift::Restore, "5", "5"), (Drift::Leave, "9", "9")] {
        let mut world = widowed(Side::Erp, true);
        world.pipeline.tables[1].fields[3].drift = drift;
        world.crm.put("accounts", 101, &[("limit", "9")]);
        restore(&mut world);
        let held = held(&world);
        assert_eq!((held.0[2].as_str(), held.1[2].as_str()), (erp, crm), "{drift:?}");
    }
}

/// A number that no field remembers is the next one past all that are there, however little of them the run has read.
#[test]
fn a_run_over_one_record_counts_past_all_that_are_there() {
    let tables = "
  customers:
    erp: { table: customers, label: number }
    crm: { table: accounts, label: name }
    direction: both
    create: both
    on_delete: restore
    match: [ { by: { name: name } } ]
    on_create: [ { side: erp, set: { number: \"next_number('N', 3)\" } } ]
    fields:
      - { erp: name, crm: name }
";
    for changed in [false, true] {
        let mut world = World::with(tables);
        for (number, name) in [(1, "Ahlgren"), (2, "Berg"), (3, "Dahl")] {
            world.crm.put("accounts", 100 + number, &[("name", name)]);
        }
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        for memory in [&world.erp, &world.crm] {
            memory.advance(7_200);
        }
        let of = |world: &World, name: &str| {
            let records = world.erp.all("customers");
            let (id, record) = records.into_iter().find(|(_, record)| record["name"] == name).unwrap();
            (id.as_u128(), record["number"].clone())
        };
        let (gone, number) = of(&world, "Ahlgren");
        assert_eq!(number, "N001");
        world.erp.delete("customers", gone);
        if changed {
            world.crm.put("accounts", 101, &[("phone", "5")]);
            world.run_changed();
        } else {
            world.run_part(only(&["customers:crm:Ahlgren"])).unwrap();
        }
        assert_eq!(of(&world, "Ahlgren").1, "N004", "{changed}");
        world.quiet();
    }
}
