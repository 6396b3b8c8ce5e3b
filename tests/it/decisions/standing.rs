//! Decisions that a run comes by and does not carry out: they stand for the next one.

use pipeline::cli::inbox::answer::Wish;
use pipeline::cli::world::answered;
use pipeline::config::{Limit, OnDelete, Side};
use pipeline::report::inbox::{self, Inbox};
use pipeline::run::account::RunOutcome;
use pipeline::store::{Decision, InboxKind, Store};

use super::{answer, resolve, standing, told, withdraw};
use crate::deletions::{coupled, id, names, side, table};
use crate::rules::{CUSTOMERS, PEOPLE, World};
use crate::selected::{only, to};

/// Three pairs: the phone of the first is contested, `2` in the ERP and `3` in the CRM, and the third lost its record in
/// the CRM.
fn waiting() -> World {
    let mut world = coupled(OnDelete::Hold, 3);
    world.erp.put("customers", 1, &[("phone", "2")]);
    world.crm.put("accounts", id(Side::Crm, 1), &[("phone", "3")]);
    world.crm.delete("accounts", id(Side::Crm, 3));
    assert_eq!(world.run().outcome, RunOutcome::Incomplete);
    world
}

/// What is skipped and asked for again is decided as long as no run has sent it.
#[test]
fn a_retry_is_listed_until_the_next_run() {
    let mut world = coupled(OnDelete::Hold, 1);
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    *world.crm.refuses.lock().unwrap() = Some(Box::new(|table, _| (table == "accounts").then(|| "no".to_owned())));
    for _ in 0..2 {
        assert_eq!(world.run().outcome, RunOutcome::Incomplete);
    }
    let waits = told(&world);
    assert!(waits.starts_with("waiting for a person: 1\n  customers, skipped\n"), "{waits}");
    answer(&mut world, "customers:C2", &Wish::Retry).unwrap();
    let listed =
        "nothing waits for a person\ndecided, for the next run: 1\n  customers:C2: retry; its side is sent it again\n";
    assert_eq!(told(&world), listed);
    // A run that is not about it, and one on paper, leave it as it is.
    world.run_part(only(&["customers:C1"])).unwrap();
    world.run_as(true);
    assert_eq!(told(&world), listed);
    let items = world.store.inbox(None).unwrap();
    let json = inbox::json(&Inbox { answered: answered(&world.store, &items).unwrap(), items, ..Inbox::default() });
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let decision = &json["items"][0]["decision"];
    assert_eq!((&decision["decision"], &decision["at"]), (&"retry".into(), &serde_json::Value::Null), "{json:#}");
    // Refused once more, it fails; the second time it is skipped again.
    for kind in ["failed", "skipped"] {
        assert_eq!(world.run().outcome, RunOutcome::Incomplete);
        let waits = told(&world);
        assert!(waits.starts_with(&format!("waiting for a person: 1\n  customers, {kind}\n")), "{waits}");
    }
    *world.crm.refuses.lock().unwrap() = None;
    answer(&mut world, "customers:C2", &Wish::Retry).unwrap();
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(told(&world), "nothing waits for a person\n");
}

fn decide(world: &mut World, wish: &Wish) -> Vec<Decision> {
    resolve(world, "customers:C1", "phone", "erp");
    answer(world, "customers:C3", wish).unwrap();
    let decided = standing(world);
    assert_eq!(decided.len(), 2);
    decided
}

fn writes(world: &World) -> usize {
    world.erp.writes() + world.crm.writes()
}

/// The next run carries out what was decided, and then it stands no longer.
fn carried_out(world: &mut World, wish: &Wish) {
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    assert_eq!(world.crm.get("accounts", id(Side::Crm, 1), "phone"), "2");
    let left = if *wish == Wish::Restore { 3 } else { 2 };
    assert_eq!((names(world, Side::Erp).len(), names(world, Side::Crm).len()), (left, left));
    assert_eq!(standing(world), []);
    world.quiet();
}

#[test]
fn a_plan_that_does_not_have_it_leaves_it_standing() {
    for wish in [Wish::Restore, Wish::Delete] {
        let mut world = waiting();
        // The plan is older than the decision.
        let planned = world.run_as(true);
        let decided = decide(&mut world, &wish);
        let before = writes(&world);
        for _ in 0..2 {
            let report = world.apply(&planned, &[]);
            assert_eq!(report.carried.as_ref().unwrap().unplanned.len(), 2, "{wish:?}: {:#?}", report.carried);
            assert_eq!((writes(&world), standing(&world)), (before, decided.clone()), "{wish:?}");
        }
        carried_out(&mut world, &wish);
    }
}

#[test]
fn a_part_of_the_plan_leaves_the_rest_standing() {
    for wish in [Wish::Restore, Wish::Delete] {
        let mut world = waiting();
        let decided = decide(&mut world, &wish);
        let planned = world.run_as(true);
        world.apply(&planned, &["customers:C3"]);
        assert_eq!(standing(&world), decided[..1], "{wish:?}: the one about the phone");
        let mut world = waiting();
        let decided = decide(&mut world, &wish);
        let planned = world.run_as(true);
        world.apply(&planned, &["customers:C1"]);
        assert_eq!(standing(&world), decided[1..], "{wish:?}: the one about the deletion");
        carried_out(&mut world, &wish);
    }
}

#[test]
fn what_moved_since_the_plan_leaves_it_standing() {
    let mut world = waiting();
    resolve(&mut world, "customers:C1", "phone", "erp");
    let planned = world.run_as(true);
    // The record is in another version than the plan looked at; what was decided about is the same.
    world.crm.put("accounts", id(Side::Crm, 1), &[("memo", "a note")]);
    let report = world.apply(&planned, &[]);
    assert_eq!(report.carried.unwrap().moved.len(), 1);
    assert_eq!(standing(&world).len(), 1);
    world.run();
    assert_eq!(world.crm.get("accounts", id(Side::Crm, 1), "phone"), "2");
    assert_eq!(standing(&world), []);
}

#[test]
fn a_guard_that_trips_leaves_it_standing() {
    for wish in [Wish::Restore, Wish::Delete] {
        let mut world = waiting();
        let decided = decide(&mut world, &wish);
        world.erp.put("customers", 2, &[("phone", "9")]);
        world.pipeline.tables[1].guard.update = Some(Limit::Number(0));
        let before = writes(&world);
        for _ in 0..2 {
            assert_eq!(world.run().outcome, RunOutcome::Guarded, "{wish:?}");
            assert_eq!((writes(&world), standing(&world)), (before, decided.clone()), "{wish:?}");
        }
        world.pipeline.tables[1].guard.update = None;
        carried_out(&mut world, &wish);
    }
}

#[test]
fn a_side_that_lost_everything_leaves_it_standing() {
    let mut world = waiting();
    let decided = decide(&mut world, &Wish::Restore);
    let records = world.erp.all("customers");
    for pair in 1..=3 {
        world.erp.delete("customers", pair);
    }
    assert_eq!(world.run().outcome, RunOutcome::Guarded);
    assert_eq!(standing(&world), decided);
    for (id, record) in records {
        let values: Vec<(&str, &str)> = record.iter().map(|(column, text)| (&**column, &**text)).collect();
        world.erp.put("customers", id.as_u128(), &values);
    }
    carried_out(&mut world, &Wish::Restore);
}

#[test]
fn a_run_that_writes_one_side_or_other_records_leaves_it_standing() {
    let mut world = waiting();
    let decided = decide(&mut world, &Wish::Restore);
    let before = writes(&world);
    let listed = told(&world);
    assert!(listed.starts_with("nothing waits for a person\ndecided, for the next run: 2\n"), "{listed}");
    let report = world.run_part(to(Side::Erp)).unwrap();
    assert_eq!((writes(&world), standing(&world)), (before, decided.clone()), "both go to the CRM");
    // It is in the inbox as before, and nobody is asked again.
    let sorted = |listed: &str| listed.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!((sorted(&told(&world)), report.inbox), (sorted(&listed), vec![]));
    world.run_part(only(&["customers:C2"])).unwrap();
    assert_eq!((writes(&world), standing(&world)), (before, decided));
    assert_eq!(sorted(&told(&world)), sorted(&listed));
    // What is taken back can be decided otherwise.
    withdraw(&mut world, "customers:C1", None).unwrap();
    assert!(told(&world).starts_with("waiting for a person: 1\n  customers, contested\n"), "{}", told(&world));
    resolve(&mut world, "customers:C1", "phone", "erp");
    carried_out(&mut world, &Wish::Restore);
}

/// A plan that is older than an answer leaves it standing, and asks nobody for it again.
#[test]
fn a_plan_asks_for_nothing_that_is_decided_since() {
    let mut world = waiting();
    resolve(&mut world, "customers:C1", "phone", "crm");
    let planned = world.run_as(true);
    resolve(&mut world, "customers:C1", "phone", "value=9");
    let report = world.apply(&planned, &["customers:C1"]);
    let waits: Vec<_> = report.inbox.iter().map(|item| item.record.as_str()).collect();
    assert_eq!(waits, ["customers:C3"], "{:#?}", report.carried);
    assert_eq!(standing(&world).len(), 1);
    assert!(
        told(&world).contains("decided, for the next run: 1\n  customers:C1 phone: take value=9"),
        "{}",
        told(&world)
    );
}

/// A record that its side does not take back is skipped; whoever wanted it restored can decide otherwise.
#[test]
fn a_restore_that_is_refused_stays_decided() {
    let mut world = waiting();
    resolve(&mut world, "customers:C1", "phone", "erp");
    answer(&mut world, "customers:C3", &Wish::Restore).unwrap();
    *world.crm.refuses.lock().unwrap() = Some(Box::new(|table, _| (table == "accounts").then(|| "no".to_owned())));
    for kind in ["failed", "skipped"] {
        assert_eq!(world.run().outcome, RunOutcome::Incomplete);
        let listed = told(&world);
        assert!(listed.starts_with(&format!("waiting for a person: 2\n  customers, {kind}\n")), "{listed}");
        assert!(listed.contains("  customers:C3: restore since"), "{listed}");
    }
    *world.crm.refuses.lock().unwrap() = None;
    answer(&mut world, "customers:C1", &Wish::Retry).unwrap();
    answer(&mut world, "customers:C3", &Wish::Delete).unwrap();
    assert!(told(&world).contains("  customers:C3: delete since"), "{}", told(&world));
    carried_out(&mut world, &Wish::Delete);
}

/// A value that a person gave goes to both sides; one that came to one of them only goes to the other one later.
#[test]
fn a_value_that_came_to_one_side_goes_to_the_other_one() {
    let plain = "{ erp: phone, crm: phone }";
    let plus = "{ erp: phone, crm: phone, to_erp: \"SUBSTR(phone, 2)\", to_crm: \"CONCAT('+', phone)\" }";
    for (field, given, there) in [(plain, "4", "4"), (plus, "4", "+4"), (plain, "", "")] {
        for first in Side::BOTH {
            for refused in [false, true] {
                let mut world = World::with(&format!("{PEOPLE}{}", CUSTOMERS.replace(plain, field)));
                world.erp.put("customers", 1, &[("number", "C1"), ("name", "Dahl"), ("phone", "1")]);
                world.crm.put("accounts", 101, &[("number", "C1"), ("name", "Dahl"), ("kind", "3")]);
                assert_eq!(world.run().outcome, RunOutcome::Converged);
                world.erp.put("customers", 1, &[("phone", "2")]);
                world.crm.put("accounts", 101, &[("phone", "+3")]);
                world.run();
                resolve(&mut world, "customers:C1", "phone", &format!("value={given}"));
                if refused {
                    let other = first.other();
                    *side(&world, other).refuses.lock().unwrap() = Some(Box::new(|_, _| Some("not today".to_owned())));
                    world.run();
                    *side(&world, other).refuses.lock().unwrap() = None;
                } else {
                    world.run_part(to(first)).unwrap();
                }
                let place = format!("{given} {there}, first in the {}, {refused}", first.name());
                let phones =
                    |world: &World| (world.erp.get("customers", 1, "phone"), world.crm.get("accounts", 101, "phone"));
                let half = if first == Side::Erp {
                    (given.to_owned(), "+3".to_owned())
                } else {
                    ("2".to_owned(), there.to_owned())
                };
                assert_eq!((phones(&world), standing(&world).len()), (half, 1), "{place}");
                let planned = world.run_as(true);
                let report = world.run();
                assert_eq!(planned.plan, report.plan, "{place}: the plan is the run (I8)");
                assert_eq!(report.outcome, RunOutcome::Converged, "{place}: {:#?}", report.inbox);
                assert_eq!(phones(&world), (given.to_owned(), there.to_owned()), "{place}");
                assert_eq!(standing(&world), [], "{place}");
                world.quiet();
            }
        }
    }
}

/// References to the same table have their turn when the rest of the table is written and decisions about it have ended.
#[test]
fn a_guard_that_trips_in_the_second_step_leaves_standing_what_is_about_it() {
    let mut world = coupled(OnDelete::Hold, 4);
    world.erp.put("customers", 1, &[("parent", "C2"), ("phone", "2")]);
    let account = uuid::Uuid::from_u128(id(Side::Crm, 3)).to_string();
    side(&world, Side::Crm).put(table(Side::Crm), id(Side::Crm, 1), &[("parent", &account), ("phone", "3")]);
    let report = world.run();
    let fields: Vec<_> = report.inbox.iter().map(|item| (item.kind, item.field.as_deref())).collect();
    assert_eq!(fields, [(InboxKind::Contested, Some("phone")), (InboxKind::Contested, Some("parent"))]);
    resolve(&mut world, "customers:C1", "phone", "erp");
    resolve(&mut world, "customers:C1", "parent", "erp");
    // It refers to a record that this run makes, so nobody knows of the update before that is there.
    world.erp.put("customers", 9, &[("number", "C9"), ("name", "new")]);
    world.erp.put("customers", 4, &[("parent", "C9")]);
    world.pipeline.tables[1].guard.update = Some(Limit::Number(0));
    assert_eq!(world.run().outcome, RunOutcome::Guarded);
    let fields: Vec<_> = standing(&world).into_iter().map(|decision| decision.field).collect();
    assert_eq!(fields, [Some("parent=parent".to_owned())]);
    world.pipeline.tables[1].guard.update = None;
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    let account = uuid::Uuid::from_u128(id(Side::Crm, 2)).to_string();
    assert_eq!(world.crm.get("accounts", id(Side::Crm, 1), "parent"), account);
    assert_eq!(standing(&world), []);
    world.quiet();
}

#[test]
fn what_is_decided_about_a_record_outside_its_filter_is_told_with_the_decision() {
    let mut world = waiting();
    resolve(&mut world, "customers:C1", "phone", "crm");
    world.erp.put("customers", 1, &[("blocked", "All")]);
    world.run();
    let waits = told(&world);
    let line = "edited on both sides to different values; outside the filter, so nothing is written until it comes back; \
                decided by a person on 2026-01-31 (take crm)";
    assert!(waits.contains(line), "{waits}");
    // With other values it counts no more, and with the decision goes the mention of it.
    world.erp.put("customers", 1, &[("phone", "4")]);
    world.run();
    assert!(told(&world).contains("; decided on 2026-01-31 for other values (ERP `2`, CRM `3`)"), "{}", told(&world));
    withdraw(&mut world, "customers:C1", None).unwrap();
    assert!(!told(&world).contains("decided"), "{}", told(&world));
}
