//! What waits while a plan is carried out: nothing that it does not carry out is forgotten, and nothing is called done.

use pipeline::config::Side;
use pipeline::frame::Value;
use pipeline::run::account::{RunOutcome, RunReport};
use pipeline::store::{InboxItem, InboxKind, Refusal, Store};

use crate::approved::{carried, coupled, sums};
use crate::memory::Accident;
use crate::rules::World;

/// A world in which a record fails, one is refused, one is skipped and one is ambiguous, each known to the inbox.
fn troubled() -> World {
    let mut world = coupled(4);
    world.erp.put("people", 91, &[("code", "ZZ"), ("email", "zz@a.example")]);
    world.erp.put("customers", 11, &[("number", "C11"), ("name", "failing"), ("person", "ZZ")]);
    world.erp.put("customers", 12, &[("number", "C12"), ("name", "skipped")]);
    for id in [114, 115] {
        world.crm.put("accounts", id, &[("name", "twin"), ("city", "Moss"), ("kind", "3")]);
    }
    world.erp.put("customers", 14, &[("number", "C14"), ("name", "twin"), ("city", "Moss")]);
    *world.crm.refuses.lock().unwrap() = Some(Box::new(|_, write| {
        let is_refused = |value: &Value| matches!(value.to_string().as_str(), "skipped" | "refused");
        write.fields.iter().any(|(_, value)| is_refused(value)).then(|| "no".into())
    }));
    world.run();
    world.erp.put("customers", 13, &[("number", "C13"), ("name", "refused")]);
    assert_eq!(world.run().outcome, RunOutcome::Incomplete);
    world
}

/// What the state knows of troubles, but for how often a record was tried.
fn known(world: &World) -> (Vec<InboxItem>, Vec<Refusal>) {
    let mut items = world.store.inbox(None).unwrap();
    items.iter_mut().for_each(|item| item.attempts = 0);
    items.sort_by_key(|item| (item.kind, item.erp_id, item.crm_id, item.field.clone()));
    (items, world.store.refusals("customers").unwrap())
}

/// Carries out a part of a plan, after which everything that waited waits, in the state as in the report.
fn keeps(world: &mut World, planned: &RunReport, words: &[&str]) {
    let before = known(world);
    for kind in [InboxKind::Failed, InboxKind::Skipped, InboxKind::Ambiguous] {
        assert!(before.0.iter().any(|item| item.kind == kind), "{kind:?}: {before:#?}");
    }
    let report = world.apply(planned, words);
    assert_eq!(known(world), before, "{words:?}");
    assert_eq!((report.outcome, report.inbox.len()), (RunOutcome::Incomplete, before.0.len()));
    assert_eq!(sums(&report)[4], 0, "what waits is in the plan: {:#?}", carried(&report).unplanned);
}

#[test]
fn what_is_not_carried_out_waits_as_before() {
    let mut world = troubled();
    world.changed = true;
    world.run();
    world.erp.advance(60);
    world.erp.put("customers", 1, &[("phone", "2")]);
    let planned = world.run_as(true);
    keeps(&mut world, &planned, &["customers:C1"]);
    assert_eq!(world.crm.get("accounts", 101, "phone"), "2");
    world.erp.advance(60);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Incomplete, "a run over changes has not lost them");
}

#[test]
fn what_came_to_wait_after_the_plan_waits_on() {
    let planned = coupled(1).run_as(true);
    let mut world = troubled();
    let before = known(&world);
    let report = world.apply(&planned, &[]);
    assert_eq!(known(&world), before);
    assert_eq!((report.outcome, sums(&report)), (RunOutcome::Incomplete, [0; 5]), "{:#?}", report.carried);
}

#[test]
fn a_record_that_fails_in_the_plan_fails_when_that_is_carried_out() {
    let mut world = coupled(1);
    world.erp.put("people", 91, &[("code", "ZZ"), ("email", "zz@a.example")]);
    world.erp.put("customers", 11, &[("number", "C11"), ("name", "failing"), ("person", "ZZ")]);
    let planned = world.run_as(true);
    let report = world.apply(&planned, &[]);
    assert_eq!((report.outcome, sums(&report)), (RunOutcome::Incomplete, [0; 5]), "{:#?}", report.carried);
    let filed: Vec<(InboxKind, String)> = report.inbox.iter().map(|item| (item.kind, item.record.clone())).collect();
    assert_eq!(filed, [(InboxKind::Failed, "customers:C11".to_owned())]);
}

#[test]
fn what_a_side_fills_in_of_a_record_that_the_plan_makes_goes_over() {
    let mut world = coupled(1);
    world.crm.put("accounts", 111, &[("name", "from the CRM"), ("city", "Moss"), ("kind", "3")]);
    *world.erp.hook.lock().unwrap() = Some(Box::new(|_, record| {
        if record.get("phone").is_none_or(Value::is_blank) {
            record.insert("phone".into(), Value::Text("47".into()));
        }
    }));
    let planned = world.run_as(true);
    // Who gave a value is not known where the answer is lost: it goes over like an edit.
    world.erp.accidents.lock().unwrap().push(Accident::AnswerLost);
    let report = world.apply(&planned, &[]);
    assert_eq!((report.outcome, sums(&report)), (RunOutcome::Converged, [1, 0, 0, 0, 0]), "{:#?}", report.carried);
    assert_eq!(world.crm.get("accounts", 111, "phone"), "47");
    world.quiet();
}

#[test]
fn what_is_not_in_the_plan_and_makes_the_sides_differ_is_no_success() {
    let mut world = coupled(2);
    let planned = world.run_as(true);
    world.erp.put("customers", 2, &[("phone", "3")]);
    let report = world.apply(&planned, &[]);
    assert_eq!((report.outcome, sums(&report)), (RunOutcome::Incomplete, [0, 0, 0, 0, 1]));
    assert_eq!(report.tables[1].to.of(Side::Crm).skipped, 1);
}
