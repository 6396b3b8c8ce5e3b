//! What proves a deletion (I7): a list of ids that leaves records out does not.

use std::collections::BTreeSet;

use pipeline::by_hand::Desk;
use pipeline::config::{OnDelete, PerSide, Side};
use pipeline::endpoint::Endpoint;
use pipeline::run::RunError;
use pipeline::run::account::RunOutcome;
use pipeline::store::Store;
use uuid::Uuid;

use super::{coupled, id, names, side, table};
use crate::parted::parted;

const ANSWERS: [OnDelete; 4] = [OnDelete::Hold, OnDelete::Restore, OnDelete::Uncouple, OnDelete::Delete];

/// The record left its filter, so it is asked for by its id.
fn leave_filter(world: &crate::rules::World) {
    world.crm.put("accounts", 101, &[("kind", "1")]);
}

#[test]
fn a_record_that_a_list_leaves_out_is_not_deleted() {
    for on_delete in ANSWERS {
        let mut world = coupled(on_delete, 3);
        leave_filter(&world);
        *world.crm.omitted.lock().unwrap() = BTreeSet::from([Uuid::from_u128(101)]);
        let report = world.run();
        let error = report.tables[1].error.clone().unwrap_or_default();
        assert!(error.contains("a list of ids left out record"), "{on_delete:?}: {report:#?}");
        assert_eq!((world.erp.writes(), world.crm.writes()), (0, 0), "{on_delete:?}");
        assert_eq!(world.store.couplings("customers", &[]).unwrap().erp.len(), 3, "{on_delete:?}");
        assert!(report.inbox.is_empty(), "{on_delete:?}: {:#?}", report.inbox);
    }
}

#[test]
fn a_record_that_may_not_be_read_any_more_is_not_deleted() {
    for on_delete in ANSWERS {
        for at in Side::BOTH {
            let mut world = coupled(on_delete, 3);
            let hidden = Uuid::from_u128(id(at, 1));
            *side(&world, at).hidden.lock().unwrap() = BTreeSet::from([hidden]);
            let report = world.run();
            assert_eq!(report.outcome, RunOutcome::Converged, "{on_delete:?}: {report:#?}");
            let told = format!("the {} does not let the login read 1 coupled record (", at.name());
            let notes = &report.tables[1].notes;
            assert!(
                notes.iter().any(|note| note.starts_with(&told) && note.contains(&hidden.to_string())),
                "{notes:?}"
            );
            assert_eq!((world.erp.writes(), world.crm.writes()), (0, 0), "{on_delete:?}");
            for side in Side::BOTH {
                assert_eq!(names(&world, side), ["name 1", "name 2", "name 3"]);
            }
            world.quiet();
        }
    }
}

/// A page that came empty, or a link that was missing: what is inside the filter when it is asked for by id had to come.
#[test]
fn a_list_that_left_out_what_is_inside_the_filter_proves_nothing() {
    for dropped in [101, 102] {
        let mut world = coupled(OnDelete::Delete, 3);
        world.crm.advance(60);
        world.crm.put("accounts", 103, &[("phone", "2")]);
        *world.crm.dropped.lock().unwrap() = BTreeSet::from([Uuid::from_u128(dropped)]);
        let report = world.run();
        let error = report.tables[1].error.clone().unwrap_or_default();
        assert!(error.contains("its list of accounts left out 1 coupled record inside the filter"), "{report:#?}");
        assert_eq!((world.erp.writes(), world.crm.writes()), (0, 0));
    }
}

#[test]
fn a_record_that_came_into_the_filter_while_the_list_was_read_is_nobodys_fault() {
    let mut world = coupled(OnDelete::Delete, 3);
    world.crm.advance(60);
    world.crm.put("accounts", 103, &[("phone", "2")]);
    world.crm.advance(1);
    leave_filter(&world);
    // The list is read before somebody puts it back.
    world.crm.advance(1);
    *world.crm.dropped.lock().unwrap() = BTreeSet::from([Uuid::from_u128(101)]);
    world.crm.put("accounts", 101, &[("kind", "3")]);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{report:#?}");
    assert_eq!(report.tables[1].outside, 1);
}

/// The file leads a table map to another table. What was coupled is not there, and that proves nothing.
#[test]
fn what_is_coupled_in_another_table_is_not_deleted() {
    for on_delete in ANSWERS {
        for at in Side::BOTH {
            let mut world = coupled(on_delete, 3);
            let others = side(&world, at);
            others.publish(table(at), "others");
            (1..=3).for_each(|pair| others.delete("others", id(at, pair)));
            others.put("others", 999, &[("number", "X"), ("name", "name 9")]);
            world.pipeline.tables[1].sides.of_mut(at).table = "others".to_owned();
            let told = format!(
                "customers.{}.table: `others` holds none of the 3 coupled records of `customers`, which are of `{}`\n",
                at.key(),
                table(at)
            );
            assert!(world.misfits().starts_with(&told), "{}", world.misfits());
            for changed in [false, true] {
                world.changed = changed;
                assert!(matches!(world.attempt(true, &["customers"], &mut |_| {}), Err(RunError::Mapping(_))));
                let others = world.attempt(false, &["people"], &mut |_| {}).unwrap();
                assert_eq!(others.outcome, RunOutcome::Converged, "people do not refer to it");
            }
            world.changed = false;
            let map = &world.pipeline.tables[1];
            let sides = PerSide { erp: &world.erp as &dyn Endpoint, crm: &world.crm };
            let desk = Desk::open(&world.pipeline, sides, &world.store, map).unwrap();
            assert!(matches!(desk.look(&world.store, &[]), Err(RunError::Mapping(_))), "nothing is added to these");
            assert_eq!((world.erp.writes(), world.crm.writes()), (0, 0), "{on_delete:?}");
            assert_eq!(world.store.couplings("customers", &[]).unwrap().erp.len(), 3, "{on_delete:?}");
            // Who parts them all begins anew.
            parted(&mut world, "customers", &[], false).unwrap();
            world.run();
            assert_eq!(world.store.noted_tables().unwrap()["customers"].of(at), "others");
        }
    }
}

/// A table may have two names, as a page of one's own for the customers beside the standard one. A page may leave out some of
/// them, and who is missing then was not deleted.
#[test]
fn the_same_table_under_another_name_is_the_same_where_all_are_there() {
    // Of so many the table is read as a whole.
    for pairs in [3, 1001] {
        for at in Side::BOTH {
            let mut world = coupled(OnDelete::Delete, pairs);
            side(&world, at).publish(table(at), "others");
            world.pipeline.tables[1].sides.of_mut(at).table = "others".to_owned();
            side(&world, at).delete("others", id(at, 2));
            let told = format!("`others` holds {} of the {pairs} coupled records of `customers`", pairs - 1);
            assert!(world.misfits().contains(&told), "{}", world.misfits());
            assert_eq!((world.erp.writes(), world.crm.writes()), (0, 0));
            side(&world, at).publish(table(at), "others");
            assert_eq!(world.run().outcome, RunOutcome::Converged);
            assert_eq!((world.erp.writes(), world.crm.writes()), (0, 0));
            assert_eq!(world.store.noted_tables().unwrap()["customers"].of(at), "others");
            // From then on it is like any other.
            side(&world, at).delete("others", id(at, 2));
            assert_eq!(world.run().outcome, RunOutcome::Converged);
            assert_eq!((world.erp.writes(), world.crm.writes()), if at == Side::Erp { (0, 1) } else { (1, 0) });
            world.quiet();
        }
    }
}

/// Who is known to be gone is missing in the other table as well.
#[test]
fn a_deletion_that_waits_is_none_of_the_other_table() {
    let mut world = coupled(OnDelete::Hold, 3);
    world.crm.delete("accounts", 102);
    world.run();
    world.crm.publish("accounts", "others");
    world.pipeline.tables[1].sides.crm.table = "others".to_owned();
    let report = world.run();
    assert_eq!((report.outcome, report.inbox.len()), (RunOutcome::Incomplete, 1), "{report:#?}");
    assert_eq!(world.store.noted_tables().unwrap()["customers"].crm, "others");
}
