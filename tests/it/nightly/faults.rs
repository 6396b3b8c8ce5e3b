//! Things go wrong during the first night, when there is most to write: the end is the one of an undisturbed night.

use std::time::Duration;

use mocks::data::{self, Row};
use mocks::fault::{Fault, Faults};
use pipeline::config::{PerSide, Side};
use pipeline::run::account::RunOutcome;
use pipeline::store::{InboxItem, InboxKind, Store};
use serde_json::json;
use uuid::Uuid;

use super::oracle::{Snapshot, judge};
use super::world::{World, text};

/// A small company in small portions, so that each table takes several pages and batches.
fn world() -> World {
    let mut world = World::small();
    for (side, batch, page) in [(Side::Erp, 7, 12), (Side::Crm, 9, 12)] {
        let limits = &mut world.pipeline.connections.of_mut(side).limits;
        (limits.batch, limits.page) = (batch, page);
    }
    world
}

/// The fakes go by the clock on the wall, which no test waits for.
fn without_waits(mut faults: Faults) -> Faults {
    (faults.retry_after, faults.delay) = (0, Duration::from_millis(1));
    faults
}

/// Runs until nothing is left, at most so often, and demands the result of an undisturbed first night.
///
/// Returns how often anything went wrong on each side, and the world as it is then.
#[track_caller]
fn nights(faults: PerSide<Faults>, nights_max: usize, what: &str) -> (PerSide<u64>, World) {
    let mut world = world();
    let before = Snapshot::of(&world);
    for side in Side::BOTH {
        world.set_faults(side, without_waits(faults.of(side).clone()));
    }
    let mut outcomes = Vec::new();
    while outcomes.last() != Some(&RunOutcome::Converged) {
        assert!(outcomes.len() < nights_max, "{what}: {outcomes:?} {:#?}", world.inbox());
        outcomes.push(world.run().outcome);
    }
    let met = PerSide::from_fn(|side| world.faults(side).applied().values().sum());
    for side in Side::BOTH {
        world.set_faults(side, Faults::none());
    }
    judge(&before, &Snapshot::of(&world));
    assert_eq!(world.quiet().outcome, RunOutcome::Converged, "{what}");
    (met, world)
}

/// Lets a fault happen twice on each side: to the first request that it can happen to, and in the midst of things.
#[track_caller]
fn twice(fault: Fault, nights_max: usize) {
    let faults = PerSide::from_fn(|_| Faults::once(fault, 1).and(fault, 4));
    let (met, _) = nights(faults, nights_max, &fault.to_string());
    assert_eq!(met, PerSide { erp: 2, crm: 2 }, "{fault}");
}

#[test]
fn what_is_repeated_is_over_in_the_same_night() {
    for fault in [Fault::Throttled, Fault::ThrottledPlain, Fault::ExpiredToken, Fault::TruncatedPage] {
        twice(fault, 1);
    }
}

#[test]
fn a_write_of_which_nobody_knows_doubles_nothing() {
    for fault in [Fault::UnavailableBefore, Fault::UnavailableAfter, Fault::DroppedBefore] {
        twice(fault, 2);
    }
}

#[test]
fn a_write_whose_answer_is_lost_doubles_nothing() {
    for fault in [Fault::DroppedAfter, Fault::HalfBatch, Fault::TimedOut] {
        twice(fault, 2);
    }
}

/// A service that restarts turns writes away for some seconds while it answers reads: that is waited for, as with a read.
#[test]
fn a_side_that_is_away_for_some_seconds_is_waited_for() {
    for fault in [Fault::UnavailableBefore, Fault::DroppedBefore] {
        let mut world = World::small();
        let before = Snapshot::of(&world);
        for side in Side::BOTH {
            let faults = (1..=6).fold(Faults::none(), |faults, nth| faults.and(fault, nth));
            world.set_faults(side, without_waits(faults));
        }
        let report = world.run();
        assert_eq!(report.outcome, RunOutcome::Converged, "{fault}: {:#?}", report.inbox);
        assert!(Side::BOTH.iter().all(|side| world.faults(*side).applied()[&fault] == 6), "{fault}");
        judge(&before, &Snapshot::of(&world));
    }
}

/// Whoever edits a record just before it is written: each of the first batches meets somebody.
#[test]
fn a_person_who_is_quicker_loses_nothing() {
    let faults = PerSide::from_fn(|_| (1..=20).fold(Faults::none(), |faults, nth| faults.and(Fault::StaleEtag, nth)));
    let (met, world) = nights(faults, 3, "stale");
    assert!(met.erp >= 4 && met.crm == 20, "{met:?}");
    let edited = |row: &Row| row.get("description").is_some_and(|note| text(note).starts_with("Edited on"));
    let rows = data::Side::Crm.sets().iter().flat_map(|set| world.records(Side::Crm, set));
    assert!(rows.filter(edited).count() > 0);
}

#[test]
fn what_is_too_large_or_takes_too_long_goes_in_smaller_portions() {
    for (fault, nights_max) in [(Fault::TooLarge, 1), (Fault::BatchRefused, 1), (Fault::SqlTimeout, 2)] {
        twice(fault, nights_max);
    }
}

/// While nobody is coupled yet, those who may be the same record wait for it.
#[test]
fn a_value_that_cannot_be_read_delays_a_first_load_by_a_night() {
    twice(Fault::SpoiltValue, 2);
}

/// A night over a table of which one record of each page cannot be read: everything else is brought into agreement, and what
/// could not be read is in the inbox until it can.
#[test]
fn a_value_that_cannot_be_read_costs_its_record_only() {
    for spoilt in Side::BOTH {
        let mut world = World::small();
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        let pairs = world.store().couplings("customers", &[]).unwrap();
        let phone = |erp: &Uuid| format!("+47 {}", &erp.to_string()[..8]);
        let edited = || pairs.erp.iter().zip(&pairs.crm).step_by(3);
        for (erp, _) in edited() {
            world.edit(Side::Erp, "customers", *erp, json!({ "phoneNumber": phone(erp) }));
        }
        world.set_faults(spoilt, without_waits(Faults::none().from(Fault::SpoiltValue, 1)));
        let planned = world.plan();
        let report = world.run();
        assert_eq!(report.outcome, RunOutcome::Incomplete);
        assert_eq!(planned.inbox.len(), report.inbox.len());
        assert!(report.tables.iter().all(|table| table.guarded.is_none()), "{:#?}", report.tables);
        let told = |item: &InboxItem| {
            item.kind == InboxKind::Failed
                && item.message.contains(&format!("of the {} cannot be read: column `", spoilt.name()))
        };
        assert!(!report.inbox.is_empty() && report.inbox.iter().all(told), "{:#?}", report.inbox);
        let customers = report.tables.iter().find(|table| table.table == "customers").unwrap();
        let waiting = report.inbox.iter().filter(|item| item.table == "customers").count() as u64;
        assert!(waiting == 1 && customers.to.crm.modified > 10, "{waiting} {:?}", customers.to);
        world.set_faults(spoilt, Faults::none());
        let report = world.run();
        assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
        let customers = report.tables.iter().find(|table| table.table == "customers").unwrap();
        assert!(customers.to.crm.modified <= 1, "{:?}", customers.to);
        for (erp, crm) in edited() {
            assert_eq!(world.get(Side::Crm, "accounts", *crm, "telephone1"), phone(erp));
        }
        assert_eq!(world.quiet().outcome, RunOutcome::Converged);
    }
}

#[test]
fn a_mixture_of_everything() {
    // Who may not come in cannot run at all.
    let some: Vec<Fault> = Fault::ALL.into_iter().filter(|fault| fault.passes()).collect();
    for seed in 1..4 {
        let faults = PerSide::from_fn(|side| Faults::seeded(seed * 10 + side as u64, 0.25, &some));
        let (met, _) = nights(faults, 8, &format!("seed {seed}"));
        assert!(met.erp + met.crm > 10, "seed {seed}: {met:?}");
    }
}
