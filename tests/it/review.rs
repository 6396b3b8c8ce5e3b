//! What is advised before a first load, and afterwards.

use insta::assert_snapshot;
use pipeline::cli::status::kept_apart;
use pipeline::config::Create;
use pipeline::report;
use pipeline::review::review;
use pipeline::run::account::RunOutcome;
use pipeline::store::Store;

use crate::rules::{CUSTOMERS, PEOPLE, World};
use crate::selected::only;

/// Returns the review of a world.
fn told(world: &mut World) -> String {
    let before = (world.erp.writes(), world.crm.writes());
    let plan = world.run_as(true);
    let (coupled, apart) = (world.store.coupling_counts().unwrap(), kept_apart(&world.store).unwrap());
    let review = review(&world.pipeline, &plan, &coupled, &apart);
    let json: serde_json::Value = serde_json::from_str(&report::review::json(&review, &plan.tables)).unwrap();
    for (table, known) in review.tables.iter().zip(json["tables"].as_array().unwrap()) {
        assert_eq!(known["advice"], table.advice.key());
    }
    assert_eq!((world.erp.writes(), world.crm.writes()), before, "a review writes nothing");
    report::review::text(&review, &plan.tables, "test.yaml")
}

/// People on both sides of whom one is in both, customers in the ERP only.
fn filled() -> World {
    let world = World::new();
    world.erp.put("people", 11, &[("code", "AA"), ("email", "aa@a.example")]);
    world.crm.put("users", 111, &[("mail", "aa@a.example"), ("name", "Anna")]);
    world.crm.put("users", 112, &[("mail", "bb@a.example"), ("name", "Berit")]);
    world.erp.put("customers", 1, &[("number", "C1"), ("name", "Ahlgren")]);
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl"), ("blocked", "All")]);
    world
}

#[test]
fn an_empty_company_has_nothing_to_load() {
    assert_snapshot!(told(&mut World::new()));
}

#[test]
fn an_empty_side_is_filled_and_two_full_ones_are_coupled_first() {
    assert_snapshot!(told(&mut filled()));
}

#[test]
fn ambiguous_records_are_counted() {
    let mut world = filled();
    for id in [101, 102] {
        world.crm.put("accounts", id, &[("number", "C1"), ("name", "Ahlgren"), ("kind", "3")]);
    }
    assert_snapshot!(told(&mut world));
}

#[test]
fn without_a_match_rule_both_sides_would_be_doubled() {
    let mut world = filled();
    world.pipeline.tables[0].match_rules.clear();
    assert_snapshot!("no_rule", told(&mut world));
    // The run that follows does not do what is advised against.
    let report = world.run();
    let table = &report.tables[0];
    assert_eq!(
        (report.outcome, table.to.erp.inserted, table.to.crm.inserted),
        (RunOutcome::Guarded, 0, 0),
        "{table:#?}"
    );
    assert!(table.guarded.as_deref().is_some_and(|told| told.contains("no `match` rule tells which")), "{table:#?}");
    world.pipeline.tables[0].guard.create = Some(pipeline::config::Limit::Number(2));
    assert!(told(&mut world).contains("nothing tells which belong together, and a run creates 2 in the ERP"));
    world.pipeline.tables[0].create = Create::None;
    assert!(told(&mut world).contains("people: couple first, as both sides hold records: a run has nothing to do"));
}

#[test]
fn what_a_guard_stops_or_cannot_be_read_is_said() {
    let mut world = filled();
    world.pipeline.tables[1].guard.create = Some(pipeline::config::Limit::Number(0));
    assert_snapshot!("guarded", told(&mut world));
    world.crm.unreadable.lock().unwrap().push("accounts".into());
    assert_snapshot!("unreadable", told(&mut world));
}

#[test]
fn what_is_coupled_has_nothing_to_do_or_something_to_settle() {
    let mut world = World::settled();
    assert_snapshot!("nothing", told(&mut world));
    world.erp.put("customers", 1, &[("name", "Ahlgren AB")]);
    world.crm.put("accounts", 101, &[("phone", "7")]);
    assert_snapshot!("settle", told(&mut world));
}

#[test]
fn what_is_kept_apart_is_mentioned() {
    let tables = CUSTOMERS.replace("first_sync: erp", "first_sync: erp\n    on_delete: uncouple");
    let mut world = World::settled_with(&format!("{PEOPLE}{tables}"));
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    world.run();
    world.crm.delete("accounts", 101);
    world.run();
    let text = told(&mut world);
    assert!(text.contains("customers (after people): coupled: nothing to do; 2 records are kept apart\n"), "{text}");
}

#[test]
fn of_named_records_only_they_are_counted() {
    let mut world = World::settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    world.erp.put("customers", 3, &[("number", "C3"), ("name", "Eide")]);
    world.run();
    world.erp.put("customers", 1, &[("name", "Ahlgren AB")]);
    world.erp.put("customers", 4, &[("number", "C4"), ("name", "Falk"), ("blocked", "All")]);
    world.selection = only(&["customers:C1", "customers:C2", "customers:C4"]);
    assert_snapshot!("named", told(&mut world));
}
