//! A side that cannot be spoken to any more in the middle of a night: told once, nothing more is sent to it, what it did not
//! carry out is held against no record, and the next night goes on as if nothing had been.

use std::collections::BTreeSet;

use mocks::fault::{Fault, Faults};
use pipeline::config::Side;
use pipeline::endpoint::EndpointError;
use pipeline::report;
use pipeline::run::account::{Lost, RunOutcome, RunReport};
use pipeline::store::Store;

use super::oracle::{Snapshot, judge};
use super::world::World;

/// A small company in small portions: in the middle of a table there are batches before and after.
fn world() -> World {
    let mut world = World::small();
    for side in Side::BOTH {
        let limits = &mut world.pipeline.connections.of_mut(side).limits;
        (limits.batch, limits.page) = (5, 12);
    }
    world
}

/// The night in which `side` is lost at its nth request; `None` where it had come to its end before.
fn night(world: &mut World, side: Side, fault: Fault, nth: u64) -> Option<RunReport> {
    world.set_faults(side, Faults::none().from(fault, nth));
    let report = match world.attempt(&[], false) {
        Ok(report) => report,
        Err(error) => panic!("{fault} at {nth}: {error}"),
    };
    (report.outcome != RunOutcome::Converged).then_some(report)
}

/// What is demanded of such a night.
fn told_once(world: &World, report: &RunReport, side: Side) {
    assert_eq!(report.outcome, RunOutcome::Failed);
    let Some(Lost { error, untouched }) = &report.lost else { panic!("{report:#?}") };
    assert_eq!(error.side(), side);
    let text = report::run::text(report);
    assert_eq!(text.matches(&error.to_string()).count(), 1, "{text}");
    assert!(text.contains("ended early: ") && text.contains("the next run goes on"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&report::run::json(report)).unwrap();
    assert_eq!((&json["outcome"], &json["error"]["kind"]), (&"failed".into(), &error.kind().into()));
    // Every table map is finished, or was in the middle, or had no turn.
    let unfinished: Vec<_> = report.tables.iter().filter(|table| table.error.is_some()).collect();
    assert!(unfinished.len() <= 1, "{unfinished:#?}");
    let named: BTreeSet<&String> = report.tables.iter().map(|table| &table.table).chain(untouched).collect();
    assert_eq!(named.len(), world.pipeline.tables.len());
    // Nothing is held against a record.
    assert_eq!(world.inbox(), []);
    assert!(report.tables.iter().all(|table| Side::BOTH.iter().all(|side| table.to.of(*side).failed == 0)));
    let maps = &world.pipeline.tables;
    assert!(maps.iter().all(|map| world.store().refusals(&map.name).unwrap().is_empty()));
}

/// The night after is the rest of the first one, and nothing is doubled.
fn goes_on(world: &mut World, before: &Snapshot) {
    for side in Side::BOTH {
        world.set_faults(side, Faults::none());
    }
    assert_eq!(world.run().outcome, RunOutcome::Converged, "{:#?}", world.inbox());
    judge(before, &Snapshot::of(world));
    assert_eq!(world.quiet().outcome, RunOutcome::Converged);
}

#[test]
fn a_login_that_is_taken_away_ends_the_night_once() {
    let mut played = 0;
    for (side, fault) in [(Side::Erp, Fault::LockedOut), (Side::Crm, Fault::LockedOut), (Side::Crm, Fault::NotAMember)]
    {
        for nth in [17, 29] {
            let mut world = world();
            let before = Snapshot::of(&world);
            let Some(report) = night(&mut world, side, fault, nth) else { continue };
            played += 1;
            told_once(&world, &report, side);
            assert!(matches!(report.lost, Some(Lost { error: EndpointError::Login { .. }, .. })));
            // One request found out, and where its token was renewed that one again; others may have been under way.
            let many = world.pipeline.connections.of(side).limits.concurrency as u64;
            let met = world.faults(side).applied()[&fault];
            assert!(met <= 2 * many, "{fault} of the {side:?} at {nth}: {met} requests");
            goes_on(&mut world, &before);
        }
    }
    assert!(played > 4, "{played}");
}

#[test]
fn a_host_that_goes_away_ends_the_night_once() {
    for side in Side::BOTH {
        let mut world = world();
        let before = Snapshot::of(&world);
        let report = night(&mut world, side, Fault::Gone, 41).expect("there is more to do than that");
        told_once(&world, &report, side);
        let refused = "cannot be reached: the connection was refused; check `url`";
        assert!(report::run::text(&report).contains(refused));
        // Everybody's patience together is one patience: seven attempts, and each waits a minute at most.
        let waited = report.requests.of(side).waited_seconds;
        let threads = world.pipeline.connections.of(side).limits.concurrency as f64;
        assert!(waited <= threads * 130.0, "{waited}");
        let mut again = World::again(&world.keep());
        goes_on(&mut again, &before);
    }
}
