//! What fails for no fault of its record: nobody is told to correct one, and what there is to do, if anything, is said.

use mocks::crm::privilege::{Holding, Privilege};
use mocks::fault::{Fault, Faults};
use pipeline::config::Side;
use pipeline::report;
use pipeline::run::account::{RunOutcome, RunReport};
use pipeline::store::{Cure, InboxKind, Store};

use super::world::World;

/// What fails so is never left alone, however often it does.
#[track_caller]
fn fails(world: &mut World, cure: Cure, message: &str, advice: &str) {
    for _ in 0..3 {
        let report: RunReport = world.run();
        assert_eq!(report.outcome, RunOutcome::Incomplete);
        let text = report::run::text(&report);
        assert!(text.contains(message) && text.contains(advice), "{text}");
        // Besides, there is what refers to them.
        let (waiting, kept_out): (Vec<_>, Vec<_>) =
            report.inbox.into_iter().partition(|item| item.message.ends_with(" is not coupled"));
        assert!(kept_out.len() >= 5);
        for item in &kept_out {
            assert_eq!((item.kind, item.cure()), (InboxKind::Failed, cure), "{}", item.message);
        }
        assert!(waiting.iter().all(|item| item.cure() == Cure::Correction));
        let alone = report::inbox::section(&kept_out).join("\n");
        assert!(!alone.contains("correct the record"), "{alone}");
        let maps = &world.pipeline.tables;
        assert!(maps.iter().all(|map| world.store().refusals(&map.name).unwrap().is_empty()));
    }
}

#[test]
fn a_side_that_is_overloaded_for_good_is_nobodys_fault() {
    let mut world = World::small();
    world.set_faults(Side::Erp, Faults::none().from(Fault::UnavailableBefore, 1));
    let message = "did not get to the ERP: none of 7 attempts had an answer (it answered HTTP 503)";
    fails(&mut world, Cure::Time, message, "failed, did not get there: nothing to do: the next run sends it again");
    world.set_faults(Side::Erp, Faults::none());
    assert_eq!(world.run().outcome, RunOutcome::Converged);
}

#[test]
fn a_right_that_the_login_lacks_is_no_fault_of_a_record() {
    let mut world = World::small();
    let account = ("account".to_owned(), Privilege::Create);
    world.crm.with(|crm| crm.privileges.insert(account.clone(), Holding::None));
    let advice = "failed, not let in: nothing is wrong with the record; give the login the right";
    fails(&mut world, Cure::Access, "was not let into the CRM: ", advice);
    world.crm.with(|crm| crm.privileges.remove(&account));
    assert_eq!(world.run().outcome, RunOutcome::Converged);
}
