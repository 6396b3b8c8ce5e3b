//! Records in doubt: how long they wait, and what a person can do about them.

use pipeline::cli::inbox::answer::Wish;
use pipeline::config::{OnDelete, Side};
use pipeline::run::account::RunOutcome;
use pipeline::store::{InboxKind, Store};

use super::{answer, standing};
use crate::deletions::{coupled, id, names, side, table};
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

#[test]
fn a_partner_that_was_made_anew_by_hand_is_coupled_by_restore() {
    for gone in Side::BOTH {
        let mut world = coupled(OnDelete::Hold, 3);
        side(&world, gone).delete(table(gone), id(gone, 1));
        let values = [("number", "C1"), ("name", "name 1"), ("city", "Oslo"), ("phone", "7"), ("limit", "5")];
        side(&world, gone).put(table(gone), 50, &values);
        side(&world, gone).put(table(gone), 50, &[if gone == Side::Erp { ("blocked", "") } else { ("kind", "3") }]);
        let report = world.run();
        let survivor = if gone == Side::Erp { "customers:crm:C1" } else { "customers:C1" };
        let other = if gone == Side::Erp { "customers:C1" } else { "customers:crm:C1" };
        let deleted = report.inbox.iter().find(|item| item.kind == InboxKind::Deleted).unwrap();
        let told = format!(
            "{survivor} was deleted in the {}, and {other} there looks like it: `pipeline inbox FILE restore {survivor}` \
             couples the two",
            gone.name()
        );
        assert_eq!(deleted.message, told);
        answer(&mut world, survivor, &Wish::Restore).unwrap();
        let planned = world.run_as(true);
        let before = names(&world, gone);
        let report = world.run();
        assert_eq!(planned.plan, report.plan, "the plan is the run (I8)");
        assert_eq!(report.outcome, RunOutcome::Converged, "{gone:?}: {:#?}", report.inbox);
        assert_eq!((names(&world, gone), names(&world, gone.other())), (before.clone(), before), "nothing is made");
        let couplings = world.store.couplings("customers", &[]).unwrap();
        let partners = if gone == Side::Erp { couplings.erp } else { couplings.crm };
        assert!(partners.iter().any(|partner| partner.as_u128() == 50), "{gone:?}: {partners:?}");
        assert_eq!((partners.len(), standing(&world).len()), (3, 0));
        world.quiet();
    }
}
