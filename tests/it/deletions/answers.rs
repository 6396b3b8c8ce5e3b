//! Each answer to a deletion, for either side, and what else may be the matter with the survivor.

use std::sync::atomic::Ordering;

use pipeline::config::{OnDelete, PerSide, Side};
use pipeline::frame::Value;
use pipeline::plan::ActionKind;
use pipeline::run::account::RunOutcome;
use pipeline::store::{CouplingChange, Cure, InboxKind, Origin, Store};
use uuid::Uuid;

use super::{coupled, id, names, side, table};
use crate::memory::Accident;
use crate::rules::World;

const ANSWERS: [OnDelete; 4] = [OnDelete::Hold, OnDelete::Restore, OnDelete::Uncouple, OnDelete::Delete];

/// Deletes the first record of a side.
fn widowed(on_delete: OnDelete, gone: Side) -> World {
    let world = coupled(on_delete, 3);
    side(&world, gone).delete(table(gone), id(gone, 1));
    world
}

fn couplings(world: &World) -> Vec<PerSide<Uuid>> {
    let couplings = world.store.couplings("customers", &[]).unwrap();
    couplings.erp.into_iter().zip(couplings.crm).map(|(erp, crm)| PerSide { erp, crm }).collect()
}

#[test]
fn each_answer_does_what_it_says() {
    let (all, two) = (["name 1", "name 2", "name 3"].as_slice(), ["name 2", "name 3"].as_slice());
    for on_delete in ANSWERS {
        for gone in Side::BOTH {
            let place = format!("{on_delete:?}, deleted in the {}", gone.name());
            let left = gone.other();
            let mut world = widowed(on_delete, gone);
            let planned = world.run_as(true);
            assert_eq!((world.erp.writes(), world.crm.writes()), (0, 0), "{place}");
            let report = world.run();
            assert_eq!(planned.plan, report.plan, "{place}: the plan is the run (I8)");
            let (told, done) = (&planned.tables[1], &report.tables[1]);
            let numbers = |table: &pipeline::run::account::TableReport| (table.to, table.coupled, table.uncoupled);
            assert_eq!(numbers(told), numbers(done), "{place}");
            let (there, here, coupled, uncoupled) = match on_delete {
                OnDelete::Hold => (two, all, 3, 0),
                OnDelete::Restore => (all, all, 3, 1),
                OnDelete::Uncouple => (two, all, 2, 1),
                OnDelete::Delete => (two, two, 2, 1),
            };
            assert_eq!(names(&world, gone), there, "{place}");
            assert_eq!(names(&world, left), here, "{place}");
            assert_eq!((done.coupled, done.uncoupled), (coupled, uncoupled), "{place}");
            let counts = (done.to.of(gone).inserted, done.to.of(left).deleted);
            let expected = (u64::from(on_delete == OnDelete::Restore), u64::from(on_delete == OnDelete::Delete));
            assert_eq!(counts, expected, "{place}");
            let held = on_delete == OnDelete::Hold;
            let outcome = if held { RunOutcome::Incomplete } else { RunOutcome::Converged };
            assert_eq!(report.outcome, outcome, "{place}: {:#?}", report.inbox);
            assert_eq!(report.inbox.iter().filter(|item| item.kind == InboxKind::Deleted).count(), usize::from(held));
            world.quiet();
            world.quiet();
            assert_eq!(names(&world, gone), there, "{place}");
            assert_eq!(names(&world, left), here, "{place}");
        }
    }
}

#[test]
fn a_survivor_that_was_edited_is_not_deleted() {
    for gone in Side::BOTH {
        let left = gone.other();
        // A field that travels both ways, and one that only its owner sends.
        for (column, text) in [("phone", "2"), ("limit", "9")] {
            let mut world = widowed(OnDelete::Delete, gone);
            side(&world, left).put(table(left), id(left, 1), &[(column, text)]);
            let planned = world.run_as(true);
            let report = world.run();
            assert_eq!(planned.plan, report.plan, "the plan is the run (I8)");
            assert_eq!(report.outcome, RunOutcome::Incomplete);
            assert_eq!(side(&world, left).get(table(left), id(left, 1), column), text, "nobody's edit is lost");
            let message = &report.inbox[0].message;
            assert!(message.contains(&format!("edited in the {} since", left.name())), "{message}");
            world.quiet();
            // Somebody takes the edit back: then nothing speaks against it any more.
            let before = if column == "phone" { "1" } else { "5" };
            side(&world, left).put(table(left), id(left, 1), &[(column, before)]);
            assert_eq!(world.run().outcome, RunOutcome::Converged);
            assert_eq!(names(&world, left), ["name 2", "name 3"]);
        }
    }
}

#[test]
fn an_edit_while_the_run_is_at_it_saves_the_survivor() {
    let mut world = widowed(OnDelete::Delete, Side::Erp);
    world.crm.meanwhile.lock().unwrap().push(("accounts", 101, "phone", "9".into()));
    let report = world.run();
    assert_eq!(world.crm.get("accounts", 101, "phone"), "9");
    assert!(report.inbox[0].message.contains("edited in the CRM since"), "{:#?}", report.inbox);
    // A touch that changes nothing of what is mapped is no edit.
    let mut world = widowed(OnDelete::Delete, Side::Erp);
    world.crm.accidents.lock().unwrap().push(Accident::Stale);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(names(&world, Side::Crm), ["name 2", "name 3"]);
}

#[test]
fn a_survivor_that_was_edited_is_restored_as_it_is_now() {
    for gone in Side::BOTH {
        let left = gone.other();
        let mut world = widowed(OnDelete::Restore, gone);
        side(&world, left).put(table(left), id(left, 1), &[("phone", "2"), ("name", "name 1b")]);
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        assert_eq!(names(&world, gone), ["name 1b", "name 2", "name 3"]);
        let new = couplings(&world).into_iter().find(|ids| ids.of(left).as_u128() == id(left, 1)).unwrap();
        assert_eq!(side(&world, gone).get(table(gone), new.of(gone).as_u128(), "phone"), "2");
        world.quiet();
        // The new record is one like any other: edits travel, and it may be deleted again.
        side(&world, gone).put(table(gone), new.of(gone).as_u128(), &[("phone", "3")]);
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        assert_eq!(side(&world, left).get(table(left), id(left, 1), "phone"), "3");
        side(&world, gone).delete(table(gone), new.of(gone).as_u128());
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        let newer = couplings(&world).into_iter().find(|ids| ids.of(left).as_u128() == id(left, 1)).unwrap();
        assert_ne!(newer, new, "what was deleted does not come back under its own id");
        assert_eq!(names(&world, gone), ["name 1b", "name 2", "name 3"]);
    }
}

#[test]
fn a_survivor_outside_its_filter_is_left_alone() {
    for on_delete in ANSWERS {
        for gone in Side::BOTH {
            let left = gone.other();
            let mut world = widowed(on_delete, gone);
            let out = if left == Side::Erp { ("blocked", "All") } else { ("kind", "10") };
            side(&world, left).put(table(left), id(left, 1), &[out]);
            let before = (world.erp.all("customers"), world.crm.all("accounts"));
            let report = world.run();
            assert_eq!((world.erp.all("customers"), world.crm.all("accounts")), before, "{on_delete:?}");
            assert_eq!((report.outcome, couplings(&world).len()), (RunOutcome::Incomplete, 3), "{on_delete:?}");
            // It comes back, and then the answer holds.
            let back = if left == Side::Erp { ("blocked", "") } else { ("kind", "3") };
            side(&world, left).put(table(left), id(left, 1), &[back]);
            let outcome = world.run().outcome;
            assert_eq!(outcome == RunOutcome::Converged, on_delete != OnDelete::Hold, "{on_delete:?} {gone:?}");
        }
    }
}

#[test]
fn a_partner_outside_its_filter_is_not_gone() {
    for on_delete in ANSWERS {
        let mut world = coupled(on_delete, 3);
        world.erp.put("customers", 1, &[("blocked", "All")]);
        world.crm.put("accounts", 102, &[("kind", "10")]);
        let before = (world.erp.all("customers"), world.crm.all("accounts"));
        let report = world.run();
        assert_eq!((report.outcome, couplings(&world).len()), (RunOutcome::Converged, 3), "{on_delete:?}");
        assert_eq!((world.erp.all("customers"), world.crm.all("accounts")), before, "{on_delete:?}");
    }
}

#[test]
fn what_is_kept_apart_stays_so_until_somebody_couples_it() {
    for gone in Side::BOTH {
        let mut world = widowed(OnDelete::Uncouple, gone);
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        world.pipeline.tables[1].on_delete = OnDelete::Restore;
        world.quiet();
        // It comes back under its own id, as out of a recycle bin, and under another one.
        for number in [id(gone, 1), 50] {
            side(&world, gone).put(table(gone), number, &[("number", "C1"), ("name", "name 1"), ("city", "Oslo")]);
            side(&world, gone).put(
                table(gone),
                number,
                &[if gone == Side::Erp { ("blocked", "") } else { ("kind", "3") }],
            );
            world.quiet();
        }
        assert_eq!(couplings(&world).len(), 2);
        assert_eq!(names(&world, gone.other()), ["name 1", "name 2", "name 3"], "and nothing is doubled");
        side(&world, gone).delete(table(gone), 50);
        let origin = Origin::Matched(1);
        let change = CouplingChange::Couple { erp: Uuid::from_u128(1), crm: Uuid::from_u128(101), origin };
        world.store.commit("customers", &[], &[change], &[]).unwrap();
        side(&world, gone.other()).put(table(gone.other()), id(gone.other(), 1), &[("phone", "7")]);
        world.run();
        assert_eq!(couplings(&world).len(), 3);
    }
}

#[test]
fn what_an_ended_coupling_leaves_is_matched_in_the_same_run() {
    for gone in Side::BOTH {
        let mut world = widowed(OnDelete::Uncouple, gone);
        // Both sides have a second record of that number: they belong together, once the first two are parted.
        for at in Side::BOTH {
            let values = [("number", "C1"), ("name", "twin"), ("city", "Moss")];
            side(&world, at).put(table(at), 50, &values);
        }
        world.crm.put("accounts", 50, &[("kind", "3"), ("phone", "9")]);
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        assert_eq!(couplings(&world).last().unwrap(), &PerSide { erp: Uuid::from_u128(50), crm: Uuid::from_u128(50) });
        world.quiet();
        // A record of that number is not made beside the one kept apart, in the very run that parts the two.
        let mut world = widowed(OnDelete::Uncouple, gone);
        side(&world, gone).put(table(gone), 50, &[("number", "C1"), ("name", "made anew")]);
        world.crm.put("accounts", 103, &[("kind", "3")]);
        side(&world, gone).put(table(gone), 50, &[if gone == Side::Erp { ("blocked", "") } else { ("kind", "3") }]);
        world.run();
        assert_eq!(names(&world, gone.other()), ["name 1", "name 2", "name 3"]);
        world.quiet();
    }
}

#[test]
fn a_record_that_somebody_made_anew_is_not_made_a_third_time() {
    for gone in Side::BOTH {
        let mut world = widowed(OnDelete::Restore, gone);
        // Nothing is created, so that the twin stays alone on its side.
        world.pipeline.tables[1].create = pipeline::config::Create::None;
        side(&world, gone).put(
            table(gone),
            50,
            &[("number", "C1"), ("name", "name 1"), ("city", "Oslo"), {
                if gone == Side::Crm { ("kind", "10") } else { ("blocked", "All") }
            }],
        );
        let report = world.run();
        assert_eq!(names(&world, gone), ["name 1", "name 2", "name 3"]);
        assert!(report.inbox[0].message.contains("without partner there matches it"), "{:#?}", report.inbox);
    }
}

#[test]
fn a_double_of_the_survivor_is_not_made_beside_its_new_partner() {
    for gone in Side::BOTH {
        let left = gone.other();
        let mut world = widowed(OnDelete::Restore, gone);
        // The number does not go to the ERP; name and city do.
        side(&world, left).put(table(left), 50, &[("number", "C1"), ("name", "name 1"), ("city", "Oslo")]);
        side(&world, left).put(table(left), 50, &[if left == Side::Erp { ("blocked", "") } else { ("kind", "3") }]);
        let planned = world.run_as(true);
        let report = world.run();
        assert_eq!(planned.plan, report.plan, "the plan is the run (I8)");
        assert_eq!(names(&world, gone), ["name 1", "name 2", "name 3"]);
        let doubts: Vec<_> = report.inbox.iter().filter(|item| item.kind == InboxKind::Ambiguous).collect();
        assert_eq!((doubts.len(), report.inbox.len()), (1, 1), "{:#?}", report.inbox);
        assert!(doubts[0].message.ends_with("and is made anew"), "{}", doubts[0].message);
        world.quiet();
    }
}

#[test]
fn a_one_way_table_answers_on_the_side_that_it_writes() {
    for (on_delete, gone, held) in [
        (OnDelete::Restore, Side::Crm, true),
        (OnDelete::Restore, Side::Erp, false),
        (OnDelete::Delete, Side::Crm, false),
        (OnDelete::Delete, Side::Erp, true),
        (OnDelete::Uncouple, Side::Crm, false),
        (OnDelete::Uncouple, Side::Erp, false),
    ] {
        let mut world = World::new();
        for table in &mut world.pipeline.tables {
            table.on_delete = on_delete;
        }
        for (number, code) in [(1, "AA"), (2, "BB")] {
            let mail = format!("{code}@a.example");
            world.erp.put("people", number, &[("code", code), ("email", &mail), ("name", code)]);
            world.crm.put("users", 100 + number, &[("mail", &mail), ("name", code)]);
        }
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        let (table, number) = if gone == Side::Erp { ("people", 1) } else { ("users", 101) };
        side(&world, gone).delete(table, number);
        let report = world.run();
        let outcome = if held { RunOutcome::Incomplete } else { RunOutcome::Converged };
        assert_eq!(report.outcome, outcome, "{on_delete:?} {gone:?}: {:#?}", report.inbox);
        let left = (world.erp.column("people", "name").len(), world.crm.column("users", "name").len());
        let expected = match (on_delete, gone) {
            (OnDelete::Restore, Side::Erp) => (2, 2),
            (OnDelete::Delete, Side::Crm) => (1, 1),
            (_, Side::Erp) => (1, 2),
            (_, Side::Crm) => (2, 1),
        };
        assert_eq!(left, expected, "{on_delete:?} {gone:?}");
        world.quiet();
    }
}

#[test]
fn what_refers_to_a_record_is_deleted_before_it() {
    let mut world = coupled(OnDelete::Delete, 3);
    for (number, code) in [(11, "AA"), (12, "BB")] {
        let mail = format!("{code}@a.example");
        world.erp.put("people", number, &[("code", code), ("email", &mail), ("name", code)]);
        world.crm.put("users", 100 + number, &[("mail", &mail), ("name", code)]);
    }
    world.erp.put("customers", 1, &[("person", "AA")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    world.crm.delete("users", 111);
    world.crm.delete("accounts", 101);
    world.erp.written.lock().unwrap().clear();
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    let tables: Vec<String> = world.erp.written.lock().unwrap().iter().map(|write| write.0.clone()).collect();
    assert_eq!(tables, ["customers", "people"]);
    world.quiet();
}

#[test]
fn a_refused_deletion_waits_and_the_others_go() {
    let mut world = coupled(OnDelete::Delete, 3);
    world.erp.delete("customers", 1);
    world.erp.delete("customers", 2);
    *world.crm.refuses.lock().unwrap() = Some(Box::new(|_, write| {
        (write.id == Uuid::from_u128(101)).then(|| "it is associated with another object".into())
    }));
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Incomplete);
    assert_eq!(names(&world, Side::Crm), ["name 1", "name 3"]);
    let item = &report.inbox[0];
    assert_eq!((report.inbox.len(), item.kind), (1, InboxKind::Failed));
    let expected = "customers:crm:C1 cannot be deleted in the CRM: it is associated with another object";
    assert_eq!(item.message, expected);
    assert_eq!((report.tables[1].to.crm.deleted, report.tables[1].to.crm.failed), (1, 1));
    *world.crm.refuses.lock().unwrap() = None;
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(names(&world, Side::Crm), ["name 3"]);
    world.quiet();
}

#[test]
fn a_lost_answer_to_a_deletion_is_settled_by_reading() {
    for accident in [Accident::AnswerLost, Accident::RequestLost] {
        for gone in Side::BOTH {
            let mut world = widowed(OnDelete::Delete, gone);
            side(&world, gone.other()).accidents.lock().unwrap().push(accident);
            let report = world.run();
            assert_eq!(report.outcome, RunOutcome::Converged, "{accident:?}: {:#?}", report.inbox);
            assert_eq!(report.tables[1].to.of(gone.other()).deleted, 1, "{accident:?}");
            assert_eq!((names(&world, gone.other()).len(), couplings(&world).len()), (2, 2));
            world.quiet();
        }
    }
}

/// Else the coupling would be gone, and the next run would make what is left anew on the other side.
#[test]
fn a_deletion_that_a_side_answers_with_success_and_does_not_do_has_failed() {
    for gone in Side::BOTH {
        let (mut world, left) = (coupled(OnDelete::Delete, 3), gone.other());
        for pair in [1, 2] {
            side(&world, gone).delete(table(gone), id(gone, pair));
        }
        // The last one goes first.
        side(&world, left).accidents.lock().unwrap().extend([Accident::None, Accident::Kept]);
        let before = side(&world, left).attempts.load(Ordering::Relaxed);
        let report = world.run();
        assert_eq!(report.outcome, RunOutcome::Incomplete, "{report:#?}");
        let [item] = &report.inbox[..] else { panic!("{:#?}", report.inbox) };
        let expected = format!("cannot be deleted in the {0}: the {0} answered success and kept it", left.name());
        assert!(item.kind == InboxKind::Failed && item.message.ends_with(&expected), "{}", item.message);
        assert_eq!(side(&world, left).attempts.load(Ordering::Relaxed) - before, 2, "each is sent once");
        let done = &report.tables[1];
        assert_eq!((done.to.of(left).deleted, done.to.of(left).failed, done.uncoupled), (1, 1, 1));
        assert_eq!((names(&world, left).len(), couplings(&world).len()), (2, 2));
        let writes = world.store.writes_since("customers", "2026").unwrap();
        let mut told: Vec<&str> = writes.iter().filter_map(|row| row.outcome.as_deref()).collect();
        told.sort_unstable();
        assert_eq!(told, ["kept", "written"]);
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        assert_eq!((names(&world, left), names(&world, gone)), (vec!["name 3".into()], vec!["name 3".into()]));
        world.quiet();
    }
}

/// Nobody is told to correct a record for it, and what was said is in the journal.
#[test]
fn a_deletion_that_never_has_an_answer_is_nobodys_fault() {
    for gone in Side::BOTH {
        let (mut world, left) = (widowed(OnDelete::Delete, gone), gone.other());
        side(&world, left).accidents.lock().unwrap().extend([Accident::RequestLost; 5]);
        let report = world.run();
        let [item] = &report.inbox[..] else { panic!("{:#?}", report.inbox) };
        let message =
            format!("did not get to the {}: none of 5 attempts had an answer (the connection broke)", left.name());
        assert!(item.message.starts_with("the deletion of ") && item.message.ends_with(&message), "{}", item.message);
        assert_eq!(item.cure(), Cure::Time);
        assert!(world.store.refusals("customers").unwrap().is_empty());
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        assert_eq!(names(&world, left), ["name 2", "name 3"]);
        world.quiet();
    }
}

#[test]
fn nothing_is_concluded_from_a_side_that_cannot_be_read() {
    for on_delete in ANSWERS {
        for gone in Side::BOTH {
            let mut world = widowed(on_delete, gone);
            side(&world, gone).unreadable.lock().unwrap().push(table(gone).into());
            let before = (world.erp.all("customers"), world.crm.all("accounts"));
            let report = world.run();
            assert_eq!(report.outcome, RunOutcome::Incomplete);
            assert_eq!((world.erp.all("customers"), world.crm.all("accounts")), before, "{on_delete:?}");
            assert_eq!(couplings(&world).len(), 3);
        }
    }
}

#[test]
fn a_restore_is_named_in_the_plan() {
    let mut world = widowed(OnDelete::Restore, Side::Crm);
    let report = world.run_as(true);
    let action = report.plan.actions().next().unwrap();
    assert_eq!(action.kind, ActionKind::Restore { gone: Uuid::from_u128(101) });
    assert_eq!((action.kind.key(), action.why.as_str()), ("insert", "deleted in the CRM, made anew from the ERP"));
    assert!(action.fields.iter().any(|field| field.column == "number" && field.new == Value::Text("C1".into())));
}

/// Without a version no precondition protects what somebody edits between the reading and the deletion.
#[test]
fn a_survivor_without_a_version_that_is_edited_meanwhile_is_held() {
    for left in Side::BOTH {
        let mut world = coupled(OnDelete::Delete, 2);
        side(&world, left).unversioned.store(true, Ordering::Relaxed);
        side(&world, left.other()).delete(table(left.other()), id(left.other(), 1));
        // Before the deletions another record is written there, and then somebody edits the survivor.
        side(&world, left.other()).put(table(left.other()), id(left.other(), 2), &[("phone", "3")]);
        let edit = (table(left), id(left, 1), "phone", "2".to_owned());
        side(&world, left).meanwhile.lock().unwrap().push(edit);
        let report = world.run();
        assert_eq!(names(&world, left).len(), 2, "{left:?}");
        assert_eq!((report.outcome, report.inbox.len()), (RunOutcome::Incomplete, 1), "{left:?}: {:#?}", report.inbox);
        // Whom nobody edited is deleted.
        let mut world = coupled(OnDelete::Delete, 2);
        side(&world, left).unversioned.store(true, Ordering::Relaxed);
        side(&world, left.other()).delete(table(left.other()), id(left.other(), 1));
        assert_eq!(world.run().outcome, RunOutcome::Converged, "{left:?}");
        assert_eq!(names(&world, left).len(), 1, "{left:?}");
    }
}
