//! What stops a run before it writes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use pipeline::config::{Guard, Limit, OnDelete, Side};
use pipeline::run::account::{RunOutcome, RunReport};
use pipeline::store::{InboxKind, Store};

use super::{NO_GUARD, coupled, id, names, side, table};
use crate::rules::World;

/// A guard stopped the customers: nothing of them was written, and the plan says the same.
fn stopped(world: &mut World, expected: &str) -> RunReport {
    let (erp, crm) = (world.erp.all("customers"), world.crm.all("accounts"));
    let couplings = world.store.couplings("customers", &["name=name".into()]).unwrap();
    let inbox = world.store.inbox(Some("customers")).unwrap();
    let planned = world.run_as(true);
    let report = world.run();
    assert_eq!((planned.outcome, report.outcome), (RunOutcome::Guarded, RunOutcome::Guarded));
    assert_eq!(planned.plan, report.plan, "the plan is the run (I8)");
    assert_eq!((world.erp.all("customers"), world.crm.all("accounts")), (erp, crm));
    assert_eq!(world.store.couplings("customers", &["name=name".into()]).unwrap(), couplings);
    assert_eq!(world.store.inbox(Some("customers")).unwrap(), inbox, "and nothing is concluded");
    for told in [&planned, &report] {
        let message = told.tables.iter().find(|table| table.table == "customers").unwrap().guarded.as_ref().unwrap();
        assert!(message.starts_with(expected), "{message}");
    }
    report
}

#[test]
fn too_many_deletions_stop_the_table_and_a_raised_guard_lets_them_pass() {
    for (on_delete, gone) in
        [(OnDelete::Delete, Side::Erp), (OnDelete::Delete, Side::Crm), (OnDelete::Uncouple, Side::Erp)]
    {
        let mut world = coupled(on_delete, 20);
        for pair in 1..=10 {
            side(&world, gone).delete(table(gone), id(gone, pair));
        }
        // What else would have happened does not, either.
        world.erp.put("customers", 15, &[("phone", "2")]);
        world.erp.put("customers", 30, &[("number", "C30"), ("name", "name 30")]);
        world.crm.put("accounts", 130, &[("number", "C30"), ("name", "name 30"), ("kind", "3")]);
        let report = stopped(
            &mut world,
            "10 coupled records would be deleted or uncoupled, and `guard.delete` allows 5% of 20 couplings; nothing of it was \
             written: `pipeline plan FILE --only customers -o PLAN` saves them; if they are meant, `pipeline apply PLAN` \
             carries out just that, or raise `tables.customers.guard.delete` and run again",
        );
        assert!(report.plan.actions().count() >= 12, "the plan shows them");
        world.pipeline.tables[1].guard.delete = Some(Limit::Share(5_000));
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        let left = if on_delete == OnDelete::Delete { 11 } else { 21 };
        assert_eq!(names(&world, gone.other()).len(), left);
        world.quiet();
    }
}

#[test]
fn a_handful_passes_a_share_and_not_a_number() {
    let mut world = coupled(OnDelete::Delete, 20);
    for pair in 1..=9 {
        world.erp.delete("customers", pair);
    }
    world.pipeline.tables[1].guard.delete = Some(Limit::Number(8));
    stopped(&mut world, "9 coupled records would be deleted or uncoupled, and `guard.delete` allows 8;");
    world.pipeline.tables[1].guard.delete = Some(Limit::Share(1));
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(names(&world, Side::Crm).len(), 11);
}

#[test]
fn too_many_edits_and_too_many_new_records_stop_the_table() {
    let mut world = coupled(OnDelete::Hold, 20);
    for pair in 1..=11 {
        let at = if pair % 2 == 0 { Side::Erp } else { Side::Crm };
        side(&world, at).put(table(at), id(at, pair), &[("phone", "2")]);
    }
    stopped(&mut world, "11 coupled records would be changed, and `guard.update` allows 50% of 20 couplings;");
    world.erp.put("customers", 1, &[("phone", "2")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged, "both hold it now: ten are half, and half is allowed");
    for number in 31..=34 {
        world.erp.put("customers", number, &[("number", &format!("C{number}")), ("name", "new")]);
    }
    world.pipeline.tables[1].guard.create = Some(Limit::Number(3));
    stopped(&mut world, "4 records would be created, and `guard.create` allows 3;");
    world.pipeline.tables[1].guard.create = Some(Limit::Share(100));
    assert_eq!(world.run().outcome, RunOutcome::Converged);
}

#[test]
fn the_first_load_passes_every_share() {
    let mut world = World::new();
    let share = Some(Limit::Share(0));
    world.pipeline.tables[1].guard = Guard { create: share, update: share, delete: share };
    for number in 1..=30 {
        let key = format!("C{number}");
        world.erp.put("customers", number, &[("number", &key), ("name", "new")]);
        if number > 15 {
            world.crm.put("accounts", number, &[("number", &key), ("name", "other"), ("kind", "3")]);
        }
    }
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(names(&world, Side::Crm).len(), 30);
}

#[test]
fn a_first_load_that_was_cut_off_goes_on() {
    let mut world = World::new();
    for number in 1..=30 {
        let key = format!("C{number}");
        world.erp.put("customers", number, &[("number", &key), ("name", "new")]);
        world.crm.put("accounts", number, &[("number", &key), ("name", "other"), ("kind", "3")]);
    }
    *world.crm.crash_after.lock().unwrap() = Some(4);
    assert!(catch_unwind(AssertUnwindSafe(|| world.run())).is_err());
    *world.crm.crash_after.lock().unwrap() = None;
    world.reopen();
    assert_eq!(world.store.coupling_counts().unwrap()["customers"], 30);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    world.quiet();
}

#[test]
fn an_empty_side_stops_the_table_whatever_the_guard_says() {
    for on_delete in [OnDelete::Hold, OnDelete::Restore, OnDelete::Uncouple, OnDelete::Delete] {
        for gone in Side::BOTH {
            let mut world = coupled(on_delete, 2);
            world.pipeline.tables[1].guard = NO_GUARD;
            for pair in 1..=2 {
                side(&world, gone).delete(table(gone), id(gone, pair));
            }
            let message = format!(
                "the {0} returned no record, and 2 of it are coupled; nothing of it was written: look at the company, the \
                 rights and the filter of the {0}; nothing is concluded from it",
                gone.name()
            );
            stopped(&mut world, &message);
        }
    }
    // Where it was meant, the message says what ends it.
    let mut world = coupled(OnDelete::Delete, 2);
    for pair in 1..=2 {
        Side::BOTH.iter().for_each(|at| side(&world, *at).delete(table(*at), id(*at, pair)));
    }
    stopped(
        &mut world,
        "neither side returned a record, and 2 pairs are coupled; nothing of it was written: look at company, rights and \
         filter of both sides; nothing is concluded from it. Where all of it was deleted on purpose, `pipeline uncouple FILE \
         customers --all` ends what is coupled",
    );
    // Without a filter nobody need be asked by id.
    let mut world = coupled(OnDelete::Delete, 2);
    world.pipeline.tables[1].sides.erp.filter = None;
    world.erp.delete("customers", 1);
    world.erp.delete("customers", 2);
    stopped(&mut world, "the ERP returned no record, and 2 of it are coupled;");
}

#[test]
fn a_side_of_which_all_left_the_filter_is_not_empty() {
    let mut world = coupled(OnDelete::Delete, 2);
    world.erp.put("customers", 1, &[("blocked", "All")]);
    world.erp.put("customers", 2, &[("blocked", "All")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(names(&world, Side::Crm), ["name 1", "name 2"]);
    // One of them is deleted: it alone is concluded from.
    world.erp.delete("customers", 1);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(names(&world, Side::Crm), ["name 2"]);
}

#[test]
fn a_filter_that_fits_nothing_stops_the_table() {
    let mut world = coupled(OnDelete::Delete, 10);
    for customer in 1..=10 {
        world.erp.put("customers", customer, &[("blocked", "All")]);
    }
    world.crm.put("accounts", 101, &[("phone", "9")]);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Guarded);
    assert_eq!((world.erp.writes(), world.crm.attempts.load(Ordering::Relaxed)), (0, 0));
    world.erp.put("customers", 1, &[("blocked", "")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged, "one that is left tells that the filter fits");
}

#[test]
fn what_refers_to_a_stopped_table_waits() {
    let mut world = coupled(OnDelete::Hold, 2);
    world.pipeline.tables[0].guard.create = Some(Limit::Number(0));
    world.crm.put("users", 111, &[("mail", "new@a.example"), ("name", "New")]);
    world.erp.put("customers", 1, &[("phone", "2")]);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Guarded);
    assert_eq!(report.tables[1].error.as_deref(), Some("waits for people, which its guard stopped"));
    assert_eq!((world.erp.writes(), world.crm.attempts.load(Ordering::Relaxed)), (0, 0));
    assert_eq!(world.store.inbox(None).unwrap().iter().filter(|item| item.kind == InboxKind::Failed).count(), 0);
    world.pipeline.tables[0].guard = NO_GUARD;
    assert_eq!(world.run().outcome, RunOutcome::Converged);
}

/// The plan of what was stopped holds all that follows, so that it can be looked at and approved as a whole.
#[test]
fn the_plan_of_a_stopped_table_is_whole() {
    let mut world = coupled(OnDelete::Delete, 2);
    world.pipeline.tables[1].guard.create = Some(Limit::Number(1));
    for (customer, parent) in [(31, ""), (32, "C31")] {
        let number = format!("C{customer}");
        world.erp.put("customers", customer, &[("number", &number), ("name", "new"), ("parent", parent)]);
    }
    world.crm.put("accounts", 133, &[("name", "from the CRM"), ("city", "Oslo"), ("kind", "3")]);
    world.crm.delete("accounts", 102);
    let report = stopped(&mut world, "3 records would be created, and `guard.create` allows 1;");
    let told = report.plan.actions().map(|action| {
        let columns: Vec<&str> = action.fields.iter().map(|change| change.column.as_str()).collect();
        format!("{} {} {}: {}", action.side.key(), action.kind.key(), action.record, columns.join(" "))
    });
    let told: Vec<String> = told.collect();
    assert_eq!(
        told,
        [
            "erp delete customers:C2: ",
            &format!("erp insert customers:crm:{}: name city", uuid::Uuid::from_u128(133)),
            "crm insert customers:C31: number name kind",
            "crm insert customers:C32: number name kind",
            "crm update customers:C32: parent",
        ],
        "references that wait for the second step are there"
    );
    let counts = report.tables[1].to;
    assert_eq!((counts.crm.inserted, counts.erp.deleted, report.tables[1].coupled), (0, 0, 2), "and counted nowhere");
    world.pipeline.tables[1].guard = NO_GUARD;
    let done = world.run();
    assert_eq!(done.outcome, RunOutcome::Converged);
    let planned: Vec<_> = report.plan.actions().map(|action| (action.side, action.kind.clone(), action.ids)).collect();
    let carried: Vec<_> = done.plan.actions().map(|action| (action.side, action.kind.clone(), action.ids)).collect();
    assert_eq!(planned, carried);
}

#[test]
fn the_second_step_has_its_guard_too() {
    let mut world = coupled(OnDelete::Hold, 20);
    for pair in 1..=11 {
        world.erp.put("customers", pair, &[("parent", "C20")]);
    }
    let report = stopped(
        &mut world,
        "11 coupled records would be changed, and `guard.update` allows 50% of 20 couplings; nothing of it was written",
    );
    assert_eq!(report.plan.actions().count(), 11);
}

/// What the second step will change in pairs that are there is known before the first one writes.
#[test]
fn a_guard_counts_both_steps_before_the_first_write() {
    let mut world = coupled(OnDelete::Hold, 20);
    for pair in 1..=6 {
        world.erp.put("customers", pair, &[("phone", "2")]);
    }
    // Two of them are the same pairs, and count once.
    for pair in 5..=11 {
        world.erp.put("customers", pair, &[("parent", "C20")]);
    }
    let report = stopped(
        &mut world,
        "11 coupled records would be changed, and `guard.update` allows 50% of 20 couplings; nothing of it was written",
    );
    assert_eq!(report.plan.actions().count(), 13, "the plan shows both steps");
    world.erp.put("customers", 11, &[("parent", "")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged, "ten are half, and half is allowed");
    world.quiet();
}

/// Of a record that leads to one that is yet to be made, the second step alone knows: what the first one wrote stays.
#[test]
fn what_leads_to_a_record_that_is_yet_to_be_made_is_counted_in_the_second_step() {
    let mut world = coupled(OnDelete::Hold, 20);
    world.pipeline.tables[1].guard.update = Some(Limit::Number(1));
    world.erp.put("customers", 30, &[("number", "C30"), ("name", "new")]);
    world.erp.put("customers", 1, &[("phone", "2")]);
    world.erp.put("customers", 2, &[("parent", "C30")]);
    let report = world.run();
    let told = report.tables[1].guarded.as_ref().unwrap();
    assert!(told.contains("2 coupled records would be changed") && told.contains("nothing more of it"), "{told}");
    let account = id(Side::Crm, 1);
    assert_eq!((world.crm.get("accounts", account, "phone"), names(&world, Side::Crm).len()), ("2".into(), 21));
    assert_eq!(world.crm.get("accounts", id(Side::Crm, 2), "parent"), "");
    // What was written counts no more.
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    world.quiet();
}

/// A record in doubt is freed by what is written first, and is one too many then: what was done is counted and filed all the
/// same.
#[test]
fn what_was_done_before_a_guard_stopped_the_rest_is_told() {
    let mut world = coupled(OnDelete::Hold, 2);
    for table in &mut world.pipeline.tables {
        table.guard = Guard { create: Some(Limit::Number(0)), ..NO_GUARD };
    }
    // Somebody gave the account the number of a customer that is new in the ERP.
    world.crm.put("accounts", 101, &[("number", "C9")]);
    world.erp.put("customers", 9, &[("number", "C9"), ("name", "Nielsen"), ("city", "Moss")]);
    world.erp.put("customers", 2, &[("phone", "2")]);
    world.crm.put("accounts", 102, &[("phone", "3")]);
    let planned = world.run_as(true);
    let report = world.run();
    assert_eq!((planned.outcome, report.outcome), (RunOutcome::Guarded, RunOutcome::Guarded));
    assert_eq!(planned.plan, report.plan, "the plan is the run (I8)");
    assert_eq!((world.crm.get("accounts", 101, "number"), world.crm.all("accounts").len()), ("C1".to_owned(), 2));
    for told in [&planned, &report] {
        let table = told.tables.iter().find(|table| table.table == "customers").unwrap();
        let message = table.guarded.as_ref().unwrap();
        assert!(message.contains("nothing more of it was written"), "{message}");
        assert_eq!((table.to.crm.modified, table.to.crm.inserted, table.contested), (1, 0, 1), "{table:#?}");
        assert_eq!((table.to.crm.unchanged, table.to.erp.unchanged), (1, 2), "{table:#?}");
        let kinds: Vec<_> = told.inbox.iter().map(|item| item.kind).collect();
        assert_eq!(kinds, [InboxKind::Contested]);
    }
    let waits = world.store.inbox(Some("customers")).unwrap();
    assert_eq!((waits.len(), waits[0].kind), (1, InboxKind::Contested));
    for table in &mut world.pipeline.tables {
        table.guard = NO_GUARD;
    }
    assert_eq!(world.run().outcome, RunOutcome::Incomplete);
    assert_eq!(world.crm.all("accounts").len(), 3);
}
