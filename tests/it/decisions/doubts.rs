//! Records in doubt: how long they wait, and what a person can do about them.

use pipeline::run::RunOutcome;
use pipeline::store::InboxKind;

use crate::rules::World;

#[test]
fn a_record_in_doubt_waits_no_longer_than_its_reason_lasts() {
    let mut world = World::settled();
    // A second customer of the number of the first one.
    world.erp.put("customers", 2, &[("number", "C1"), ("name", "Dahl"), ("city", "Moss")]);
    let report = world.run();
    assert_eq!((report.inbox.len(), report.inbox[0].kind), (1, InboxKind::Ambiguous), "{:#?}", report.inbox);
    // Somebody gives the first one another number: then the two are told apart.
    world.erp.put("customers", 1, &[("number", "C7")]);
    let planned = world.run_as(true);
    let report = world.run();
    assert_eq!(planned.plan, report.plan, "the plan is the run (I8)");
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    let mut numbers = world.crm.column("accounts", "number");
    numbers.sort();
    assert_eq!(numbers, ["C1", "C7"]);
    world.quiet();
}
