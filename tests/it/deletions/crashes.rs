//! The program dies: before and after every change of the state, and before every write to a side.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;

use pipeline::config::{OnDelete, PerSide, Side};
use pipeline::endpoint::Endpoint;
use pipeline::run::account::RunOutcome;
use pipeline::run::context::Options;
use pipeline::run::run;
use pipeline::run::selection::Selection;
use pipeline::store::Store;

use super::{coupled, id, names, side, table};
use crate::mortal::{Fate, Mortal};
use crate::rules::World;

/// Runs until a change of the state, with or without the last one on disk; tells whether the program died of it.
fn dies(world: &mut World, changes: u64, after: bool) -> bool {
    let stop = AtomicBool::new(false);
    let options = Options {
        selection: Selection::default(),
        approved: None,
        guarded_plan: None,
        only: Vec::new(),
        changed: false,
        dry_run: false,
        run: "a short one".into(),
        started: "2026-01-31T02:00:00Z".into(),
        elapsed: &|| 0.0,
        stop: &stop,
    };
    let endpoints: PerSide<&dyn Endpoint> = PerSide { erp: &world.erp, crm: &world.crm };
    let fate = Fate::default();
    // A change is two steps: before it, and when it is on disk.
    fate.set(Some(2 * changes + u64::from(after)));
    let mut store = Mortal { store: &mut world.store, fate: &fate };
    let pipeline = &world.pipeline;
    catch_unwind(AssertUnwindSafe(|| drop(run(pipeline, endpoints, &mut store, &options, &|_| {}).unwrap()))).is_err()
}

/// After the crash one plan, one run and a quiet one bring everything where it would have been.
fn recovers(world: &mut World, on_delete: OnDelete, gone: Side, place: &str) {
    world.reopen();
    let planned = world.run_as(true);
    let report = world.run();
    assert_eq!(planned.plan, report.plan, "{place}: the plan is the run (I8)");
    assert_eq!(
        (planned.tables[1].coupled, planned.tables[1].to),
        (report.tables[1].coupled, report.tables[1].to),
        "{place}"
    );
    assert_eq!(report.outcome, RunOutcome::Converged, "{place}: {:#?}", report.inbox);
    let (all, two) = (["name 1", "name 2", "name 3"].as_slice(), ["name 2", "name 3"].as_slice());
    let (there, here, coupled) = match on_delete {
        OnDelete::Restore => (all, all, 3),
        OnDelete::Delete => (two, two, 2),
        _ => (two, all, 2),
    };
    assert_eq!(names(world, gone), there, "{place}");
    assert_eq!(names(world, gone.other()), here, "{place}");
    assert_eq!(report.tables[1].coupled, coupled, "{place}");
    assert!(world.store.open_intents("customers").unwrap().is_empty(), "{place}");
    world.quiet();
}

#[test]
fn whatever_the_program_dies_of_nothing_is_doubled_or_lost() {
    for on_delete in [OnDelete::Restore, OnDelete::Uncouple, OnDelete::Delete] {
        for gone in Side::BOTH {
            for after in [false, true] {
                let mut crashes = 0;
                loop {
                    let place = format!("{on_delete:?}, {gone:?}, after {crashes} changes ({after})");
                    let mut world = coupled(on_delete, 3);
                    side(&world, gone).delete(table(gone), id(gone, 1));
                    if !dies(&mut world, crashes, after) {
                        break;
                    }
                    recovers(&mut world, on_delete, gone, &place);
                    crashes += 1;
                }
                assert!(crashes > 3, "{on_delete:?}: {crashes} changes are few");
            }
        }
    }
}

#[test]
fn a_side_that_the_program_dies_at_is_read_again() {
    for (on_delete, gone) in [
        (OnDelete::Restore, Side::Erp),
        (OnDelete::Restore, Side::Crm),
        (OnDelete::Delete, Side::Erp),
        (OnDelete::Delete, Side::Crm),
    ] {
        let mut world = coupled(on_delete, 3);
        side(&world, gone).delete(table(gone), id(gone, 1));
        let written = if on_delete == OnDelete::Restore { gone } else { gone.other() };
        *side(&world, written).crash_after.lock().unwrap() = Some(0);
        assert!(catch_unwind(AssertUnwindSafe(|| world.run())).is_err());
        *side(&world, written).crash_after.lock().unwrap() = None;
        recovers(&mut world, on_delete, gone, &format!("{on_delete:?} {gone:?}"));
    }
}
