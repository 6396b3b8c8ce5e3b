//! A side grants little: a first night, which has most to write, keeps within what it grants and ends in agreement.
//!
//! The limits are those of Dataverse scaled down, and the connection knows their window and nothing else: what is granted is
//! learned from the refusals. A request that is refused goes again when it is granted, and not before. Where requests and
//! their time are counted, the CRM and we go by one clock, which only waiting and the CRM's work move.

use std::sync::Arc;
use std::time::Duration;

use mocks::crm::quota::{Quota, Time};
use mocks::erp;
use pipeline::adapters::clock::{Clock, SystemClock};
use pipeline::config::Side;
use pipeline::run::account::RunOutcome;

use super::oracle::{Snapshot, judge};
use super::world::{Still, World};

/// A side's view of our clock.
struct Shared(Arc<Still>);

impl Time for Shared {
    fn now(&self) -> Duration {
        self.0.now()
    }

    fn pass(&self, takes: Duration) -> Duration {
        self.0.sleep(takes);
        Duration::ZERO
    }
}

/// A company whose tables go over in portions of a few records.
fn world() -> World {
    let mut world = World::small();
    for side in Side::BOTH {
        let limits = &mut world.pipeline.connections.of_mut(side).limits;
        (limits.batch, limits.page) = (5, 12);
    }
    world
}

/// Runs a first night under a quota; it must end in agreement, with refusals, and none of them twice in a row.
#[track_caller]
fn night(mut world: World, quota: Quota) {
    let before = Snapshot::of(&world);
    world.crm.with(|state| state.quota = quota);
    assert_eq!(world.run().outcome, RunOutcome::Converged, "{:#?}", world.inbox());
    let counts = world.crm.counts();
    assert!(counts.throttled > 0 && counts.throttled_again == 0, "{counts:?}");
    // Refusals are a small part of what went over the wire.
    assert!(counts.throttled * 5 < counts.requests, "{counts:?}");
    world.crm.with(|state| state.quota = Quota::default());
    judge(&before, &Snapshot::of(&world));
    assert_eq!(world.quiet().outcome, RunOutcome::Converged);
}

/// Lets both sides and us go by one clock, which only waiting and their work move.
pub fn by_one_clock(world: &mut World) {
    let clock = Arc::new(Still::default());
    world.clock = Some(Arc::<Still>::clone(&clock));
    world.erp.with(|state| state.time = Arc::new(Shared(Arc::clone(&clock))));
    world.crm.with(|state| state.time = Arc::new(Shared(clock)));
}

/// The same by one clock.
#[track_caller]
fn counted(quota: Quota) {
    let mut world = world();
    by_one_clock(&mut world);
    night(world, quota);
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn few_requests_in_a_window() {
    counted(Quota { requests_max: 20, per_request: seconds(4), ..Quota::default() });
}

#[test]
fn little_time_in_a_window() {
    let per = Duration::from_millis(500);
    counted(Quota { execution_max: seconds(60), per_request: per, per_operation: per, ..Quota::default() });
}

#[test]
fn little_of_both() {
    let per_request = seconds(1);
    counted(Quota { requests_max: 25, execution_max: seconds(20), per_request, ..Quota::default() });
}

/// The ERP says neither how long to wait nor what it grants, so it is the file that has to: then it refuses nothing. Where the file
/// does not, whoever is refused waits as long as a window is.
#[test]
fn the_erp_grants_little_and_says_nothing() {
    for in_file in [true, false] {
        let mut world = world();
        by_one_clock(&mut world);
        let before = Snapshot::of(&world);
        let (granted, per_request) = (12, seconds(2));
        world.erp.with(|state| state.quota = erp::quota::Quota { requests_max: granted, per_request, ..state.quota });
        if in_file {
            world.pipeline.connections.erp.limits.requests = granted;
        }
        assert_eq!(world.run().outcome, RunOutcome::Converged, "{:#?}", world.inbox());
        let counts = world.erp.counts();
        assert!(counts.requests > 3 * granted as u64, "{counts:?}");
        assert_eq!(counts.throttled > 0, !in_file, "{counts:?}");
        world.erp.with(|state| state.quota = erp::quota::Quota::default());
        judge(&before, &Snapshot::of(&world));
        assert_eq!(world.quiet().outcome, RunOutcome::Converged);
    }
}

/// A batch that takes longer than the service has time for is undone, and its records go in smaller ones.
#[test]
fn the_erp_has_no_time_for_many_at_once() {
    let mut world = World::small();
    by_one_clock(&mut world);
    let before = Snapshot::of(&world);
    world.erp.with(|state| {
        let (operation_max, per_operation) = (seconds(100), seconds(9));
        state.quota = erp::quota::Quota { operation_max, per_operation, ..state.quota };
    });
    assert_eq!(world.run().outcome, RunOutcome::Converged, "{:#?}", world.inbox());
    judge(&before, &Snapshot::of(&world));
    let sizes = world.erp.counts();
    assert!(sizes.batches > 0);
    assert_eq!(world.quiet().outcome, RunOutcome::Converged);
}

/// What goes at once needs a clock on the wall; a second's window lets the night go on soon.
#[test]
fn few_requests_at_once() {
    let mut world = world();
    world.pipeline.connections.crm.limits.per_seconds = 1;
    world.clock = Some(Arc::new(SystemClock::start()));
    let per_request = Duration::from_millis(30);
    night(world, Quota { concurrency_max: 2, window: seconds(1), per_request, ..Quota::default() });
}
