//! Records that a cleared reference took out of their filter: who comes back inside with the reference, and when.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pipeline::cli::inbox::answer::Wish;
use pipeline::config::{Direction, OnDelete, Side};
use pipeline::endpoint::Write;
use pipeline::run::account::RunOutcome;
use pipeline::store::Store;

use crate::decisions::answer;
use crate::deletions::cascades::{CASCADES, TABLES, settled_in, settled_with_owners};
use crate::deletions::given_back::{PERSON, settled_in_circle};
use crate::deletions::side;
use crate::rules::World;

#[test]
fn a_record_that_its_cleared_reference_took_out_of_its_filter_comes_back() {
    let cascade = CASCADES[0];
    for direction in [Direction::Both, Direction::ToCrm] {
        let clear = |world: &mut World, on_delete: OnDelete| {
            cascade.happen(world, on_delete);
            // A person took this one out before.
            world.crm.put("accounts", 102, &[("owner", "")]);
        };
        let back = |world: &mut World| {
            cascade.refers(world);
            assert_eq!(world.erp.get("customers", 1, "person"), "AA", "{direction:?}");
            assert_eq!(world.crm.get("accounts", 102, "owner"), "", "{direction:?}: a person cleared it");
            world.quiet();
        };
        // In the run that restores, after a night in which the deletion waited.
        for changed in [false, true] {
            let mut world = settled_with_owners(direction);
            clear(&mut world, OnDelete::Hold);
            world.crm.put("accounts", 101, &[("phone", "2")]);
            world.run();
            assert_eq!(cascade.held(&world), ("AA".to_owned(), String::new()), "{direction:?}");
            assert_eq!(world.erp.get("customers", 1, "phone"), "", "outside, and not compared");
            cascade.answer(&mut world, OnDelete::Restore);
            if changed {
                world.run_changed();
            } else {
                let planned = world.run_as(true);
                let report = world.run();
                assert_eq!(planned.plan, report.plan, "{direction:?}: the plan is the run (I8)");
                assert_eq!(report.outcome, RunOutcome::Converged, "{direction:?}: {:#?}", report.inbox);
            }
            assert_eq!(world.erp.get("customers", 1, "phone"), "2", "{direction:?}");
            back(&mut world);
        }
        // A later run than the one that restored, whether the state knows the values or not.
        for keeps in [true, false] {
            let mut world = settled_with_owners(direction);
            if !keeps {
                world.keep_no_values();
            }
            clear(&mut world, OnDelete::Restore);
            world.attempt(false, &["people"], &mut |_| {}).unwrap();
            assert_eq!(world.run().outcome, RunOutcome::Converged, "{direction:?}");
            back(&mut world);
        }
        // Somebody coupled the survivor anew.
        let mut world = settled_with_owners(direction);
        clear(&mut world, OnDelete::Hold);
        world.run();
        cascade.couple_anew(&mut world);
        assert_eq!(world.run().outcome, RunOutcome::Converged, "{direction:?}");
        back(&mut world);
        // As long as the deletion waits, and where it is decided otherwise, it stays outside.
        for on_delete in [OnDelete::Hold, OnDelete::Delete, OnDelete::Uncouple] {
            let mut world = settled_with_owners(direction);
            clear(&mut world, on_delete);
            world.run();
            assert_eq!(cascade.held(&world).1, "", "{direction:?} {on_delete:?}");
            world.quiet();
        }
    }
}

#[test]
fn a_survivor_comes_back_into_its_filter_with_the_reference_of_its_partner() {
    for left in Side::BOTH {
        // A person decides, once both deletions have waited.
        let mut world = left_outside(left, true);
        world.pipeline.tables.iter_mut().for_each(|table| table.on_delete = OnDelete::Hold);
        let report = world.run();
        let (gone, name) = (left.other().name(), *PERSON.names.of(left));
        let message =
            format!("{name} was deleted in the {gone}; it stays in the {} until somebody decides", left.name());
        assert!(report.inbox.iter().any(|item| item.message == message), "{left:?}: {:#?}", report.inbox);
        world.quiet();
        let person = if left == Side::Crm { "people:AA" } else { "people:crm:AA@a.example" };
        for decided in [person, name] {
            answer(&mut world, decided, &Wish::Restore).unwrap();
            let planned = world.run_as(true);
            let report = world.run();
            assert_eq!(planned.plan, report.plan, "{left:?}: the plan is the run (I8)");
        }
        is_back_inside(&mut world, left, "decided");

        // What it led to is still there: a person cleared it, and what is outside its filter is left alone.
        let mut world = left_outside(left, false);
        let report = world.run();
        let message = format!("{name} was deleted in the {gone}; in the {} it is outside the filter", left.name());
        assert!(report.inbox[0].message.starts_with(&message), "{left:?}: {:#?}", report.inbox);
        assert_eq!(PERSON.held(&world), None, "{left:?}");
        world.quiet();
    }
}

#[test]
fn a_survivor_whose_side_does_not_take_its_reference_at_first_comes_back_into_its_filter_later() {
    for left in Side::BOTH {
        let mut world = left_outside(left, true);
        *side(&world, left).refuses.lock().unwrap() = Some(Box::new(move |_, write: &Write| {
            let names = write.fields.iter().any(|(name, _)| name == PERSON.columns.of(left));
            names.then(|| "not today".to_owned())
        }));
        assert_eq!(world.run().outcome, RunOutcome::Incomplete, "{left:?}");
        *side(&world, left).refuses.lock().unwrap() = None;
        is_back_inside(&mut world, left, "refused");
    }
}

#[test]
fn a_run_that_is_cut_off_leaves_no_survivor_outside_its_filter() {
    for left in Side::BOTH {
        for at in Side::BOTH {
            for writes in 0.. {
                let mut world = left_outside(left, true);
                *side(&world, at).crash_after.lock().unwrap() = Some(writes);
                let run = catch_unwind(AssertUnwindSafe(|| world.run_as(false)));
                *side(&world, at).crash_after.lock().unwrap() = None;
                world.reopen();
                is_back_inside(&mut world, left, &format!("cut off after {writes} writes to the {}", at.name()));
                if run.is_ok() {
                    break;
                }
            }
        }
    }
}

/// The next run, which is like its plan, brings the customer back on both sides, and from then on a blank is like any other.
fn is_back_inside(world: &mut World, left: Side, what: &str) {
    let planned = world.run_as(true);
    let report = world.run();
    assert_eq!(planned.plan, report.plan, "{left:?} {what}: the plan is the run (I8)");
    assert_eq!(report.outcome, RunOutcome::Converged, "{left:?} {what}: {:#?}", report.inbox);
    let held = PERSON.held(world).unwrap_or_else(|| panic!("{left:?} {what}"));
    assert_eq!(held.erp, "AA", "{left:?} {what}");
    let couplings = world.store.couplings("people", &[]).unwrap();
    assert!(couplings.crm.iter().any(|id| id.to_string() == held.crm), "{left:?} {what}: {held:?}");
    world.quiet();
}

#[test]
fn a_record_outside_its_filter_in_the_erp_comes_back_in_a_later_run() {
    let cascade = CASCADES[2];
    let filtered = "erp: { table: customers, label: number, filter: \"person <> ''\" }";
    for changed in [false, true] {
        let tables = TABLES.replace("erp: { table: customers, label: number }", filtered);
        let mut world = settled_in(&tables, Direction::Both);
        cascade.happen(&mut world, OnDelete::Restore);
        // A person took this one out before.
        world.erp.put("customers", 2, &[("person", "")]);
        world.attempt(false, &["people"], &mut |_| {}).unwrap();
        // Nights may pass in which nobody looks at it.
        world.attempt(false, &["people"], &mut |_| {}).unwrap();
        let report = if changed { world.run_changed() } else { world.run() };
        assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
        cascade.refers(&world);
        assert_eq!(cascade.held(&world).0, "AA");
        assert_eq!(world.erp.get("customers", 2, "person"), "", "a person cleared it");
        world.quiet();
    }
}

/// `left` clears the customer's person, which takes the customer out of its filter there, because the person was deleted there or
/// because somebody wants it so; the other side deletes the customer.
pub fn left_outside(left: Side, is_deleted: bool) -> World {
    let world = settled_in_circle(Some((PERSON, left)));
    let ((people, person), (customers, customer)) = (*PERSON.to.of(left), *PERSON.from.of(left));
    if is_deleted {
        side(&world, left).delete(people, person);
    }
    side(&world, left).put(customers, customer, &[(*PERSON.columns.of(left), "")]);
    let (customers, customer) = *PERSON.from.of(left.other());
    side(&world, left.other()).delete(customers, customer);
    world
}
