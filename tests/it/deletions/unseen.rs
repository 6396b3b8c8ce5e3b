//! References that a side clears along with a deletion, in a run that sees the blank and not the deletion: it reads changes
//! only, or is over the record or the table map that refers.

use pipeline::cli::inbox::answer::Wish;
use pipeline::config::{Direction, OnDelete, Side};
use pipeline::run::account::{Mode, RunOutcome, RunReport};
use pipeline::store::{InboxItem, InboxKind, Store};

use super::cascades::{CASCADES, Cascade, settled};
use crate::decisions::answer;
use crate::rules::World;
use crate::selected::only;

/// What a run reads that does not see the deletion.
#[derive(Debug, Clone, Copy)]
enum Reads {
    Changes,
    Record,
    /// The table map that refers, and none else.
    Table,
}

impl Reads {
    const ALL: [Reads; 3] = [Reads::Changes, Reads::Record, Reads::Table];

    fn run(self, world: &mut World, dry_run: bool) -> RunReport {
        world.changed = matches!(self, Reads::Changes);
        if let Reads::Record = self {
            world.selection = only(&["customers:C1"]);
        }
        let maps: &[&str] = if let Reads::Table = self { &["customers"] } else { &[] };
        let report = world.attempt(dry_run, maps, &mut |_| {}).unwrap();
        (world.changed, world.selection) = Default::default();
        report
    }

    /// Tells whether the run reads the table of the deleted record in full.
    fn sees(self, cascade: Cascade) -> bool {
        matches!(self, Reads::Table) && cascade.table == "customers"
    }
}

/// A world in which customer 1 refers to others, some hours after the last run.
fn some_hours_later() -> World {
    let world = settled();
    later(&world);
    world
}

fn later(world: &World) {
    world.erp.advance(3_600);
    world.crm.advance(3_600);
}

/// What is told of what waits, whenever it was raised.
fn told(report: &RunReport) -> Vec<(InboxKind, String, String)> {
    report
        .inbox
        .iter()
        .map(|InboxItem { kind, record, message, .. }| (*kind, record.clone(), message.clone()))
        .collect()
}

#[test]
fn a_blank_of_a_deletion_that_is_not_seen_waits_as_in_a_full_run() {
    for cascade in CASCADES {
        for reads in Reads::ALL {
            let place = format!("{cascade:?} {reads:?}");
            let mut world = some_hours_later();
            cascade.happen(&mut world, OnDelete::Hold);
            world.crm.put("accounts", 101, &[("phone", "2")]);
            let left = cascade.held(&world);
            let planned = reads.run(&mut world, true);
            let report = reads.run(&mut world, false);
            assert_eq!(planned.plan, report.plan, "{place}: the plan is the run (I8)");
            assert_eq!(told(&planned), told(&report), "{place}");
            assert_eq!(cascade.held(&world), left, "{place}: nobody took the reference away");
            assert_eq!(world.erp.get("customers", 1, "phone"), "2", "{place}: the other fields flow");
            assert_eq!(report.outcome, RunOutcome::Incomplete, "{place}");
            // The next run of the same kind has nothing to add, and a full run says the same.
            later(&world);
            let again = reads.run(&mut world, false);
            if let Reads::Changes = reads {
                assert_eq!(told(&again), told(&report), "{place}");
            }
            let full = world.run();
            assert_eq!(told(&full), told(&report), "{place}");
            let sees_twice = matches!(reads, Reads::Changes) || reads.sees(cascade);
            assert_eq!(full.inbox[0].attempts, if sees_twice { 3 } else { 2 }, "{place}: it is the same one");
            assert_eq!(cascade.held(&world), left, "{place}");
            world.quiet();
            cascade.answer(&mut world, OnDelete::Restore);
            assert_eq!(world.run().outcome, RunOutcome::Converged, "{place}");
            cascade.refers(&world);
            world.quiet();
        }
    }
}

#[test]
fn the_next_run_over_changes_does_what_the_file_says() {
    for cascade in CASCADES {
        for reads in [Reads::Changes, Reads::Record] {
            for on_delete in [OnDelete::Restore, OnDelete::Uncouple, OnDelete::Delete] {
                let place = format!("{cascade:?} {reads:?} {on_delete:?}");
                let mut world = settled();
                // What the file says has its full run first.
                cascade.answer(&mut world, on_delete);
                world.run();
                later(&world);
                cascade.happen(&mut world, on_delete);
                let left = cascade.held(&world);
                let report = reads.run(&mut world, false);
                assert_eq!(cascade.held(&world), left, "{place}");
                let [(InboxKind::Deleted, _, message)] = &told(&report)[..] else { panic!("{place}: {report:#?}") };
                assert!(message.ends_with("decides what follows"), "{place}: {message}");
                // A survivor goes after what refers to it. Which a run over changes has read before, and another table map,
                // only a full run comes back to.
                let waits = (on_delete, cascade.table) == (OnDelete::Delete, "people");
                let waits = waits && matches!(reads, Reads::Changes);
                let expected = if waits { RunOutcome::Incomplete } else { RunOutcome::Converged };
                assert_eq!(world.run_changed().outcome, expected, "{place}");
                assert_eq!(world.run().outcome, RunOutcome::Converged, "{place}");
                match on_delete {
                    OnDelete::Restore => cascade.refers(&world),
                    _ => assert_eq!(cascade.held(&world), Default::default(), "{place}"),
                }
                world.quiet();
            }
        }
    }
}

#[test]
fn a_person_answers_a_deletion_that_a_reference_told_of() {
    for cascade in CASCADES {
        for wish in [Wish::Restore, Wish::Delete] {
            let place = format!("{cascade:?} {wish:?}");
            let mut world = some_hours_later();
            cascade.happen(&mut world, OnDelete::Hold);
            let report = Reads::Record.run(&mut world, false);
            answer(&mut world, &report.inbox[0].record, &wish).unwrap();
            let report = world.run();
            assert_eq!(report.outcome, RunOutcome::Converged, "{place}: {:#?}", report.inbox);
            match wish {
                Wish::Restore => cascade.refers(&world),
                _ => assert_eq!(cascade.held(&world), Default::default(), "{place}"),
            }
            world.quiet();
        }
    }
}

#[test]
fn a_blank_that_a_person_left_goes_over_at_the_price_of_one_request() {
    for cascade in CASCADES {
        for reads in Reads::ALL {
            let place = format!("{cascade:?} {reads:?}");
            let asked = |world: &World| world.erp.asked().0 + world.crm.asked().0;
            let cost = |edit: &dyn Fn(&World)| {
                let mut world = some_hours_later();
                edit(&world);
                let before = asked(&world);
                let report = reads.run(&mut world, false);
                assert_eq!(report.outcome, RunOutcome::Converged, "{place}: {:#?}", report.inbox);
                let cost = asked(&world) - before;
                (world, cost)
            };
            let (mut world, cost_cleared) = cost(&|world| cascade.clear(world));
            assert_eq!(cascade.held(&world), Default::default(), "{place}");
            world.quiet();
            // Nothing is asked where no reference was cleared; of a phone, where the same records are read.
            let (_, cost_phone) = cost(&|world| match cascade.gone {
                Side::Erp => world.erp.put("customers", 1, &[("phone", "7")]),
                Side::Crm => world.crm.put("accounts", 101, &[("phone", "7")]),
            });
            let more = if reads.sees(cascade) { 0 } else { 1 };
            assert!(cost_cleared <= cost_phone + more, "{place}: {cost_cleared} against {cost_phone}");
        }
    }
}

#[test]
fn a_reference_with_one_owner_is_not_cleared_nor_sent_back() {
    for (cascade, direction) in
        [(CASCADES[0], Direction::ToCrm), (CASCADES[0], Direction::ToErp), (CASCADES[2], Direction::ToCrm)]
    {
        for reads in Reads::ALL {
            let place = format!("{cascade:?} {direction:?} {reads:?}");
            let mut world = settled();
            world.pipeline.tables[1].fields[2].direction = Some(direction);
            world.run();
            later(&world);
            cascade.happen(&mut world, OnDelete::Hold);
            let left = cascade.held(&world);
            let report = reads.run(&mut world, false);
            assert_eq!(cascade.held(&world), left, "{place}");
            assert_eq!(report.inbox.len(), 1, "{place}: {:#?}", report.inbox);
            assert_eq!(told(&world.run()), told(&report), "{place}");
        }
    }
}

/// Whom the login may not read is not known to be gone: then nobody but a person cleared the reference, as in a full run.
#[test]
fn a_record_that_the_login_may_not_read_any_more_holds_no_blank() {
    let cascade = CASCADES[0];
    for reads in Reads::ALL {
        let mut world = some_hours_later();
        world.crm.hidden.lock().unwrap().insert(uuid::Uuid::from_u128(111));
        cascade.clear(&world);
        let report = reads.run(&mut world, false);
        assert_eq!(report.outcome, RunOutcome::Converged, "{reads:?}: {:#?}", report.inbox);
        assert_eq!(cascade.held(&world).0, "", "{reads:?}");
    }
}

/// Where a side cannot be asked, its table map fails, and nothing is taken for an edit.
#[test]
fn where_nobody_can_tell_nothing_is_written() {
    let cascade = CASCADES[0];
    for reads in [Reads::Record, Reads::Table] {
        let mut world = some_hours_later();
        cascade.happen(&mut world, OnDelete::Hold);
        world.crm.unreadable.lock().unwrap().push("users".into());
        let left = cascade.held(&world);
        world.changed = false;
        if let Reads::Record = reads {
            world.selection = only(&["customers:C1"]);
        }
        let maps: &[&str] = if let Reads::Table = reads { &["customers"] } else { &[] };
        let result = world.attempt(false, maps, &mut |_| {});
        world.selection = Default::default();
        assert!(result.is_err() || result.is_ok_and(|report| report.outcome != RunOutcome::Converged), "{reads:?}");
        assert_eq!(cascade.held(&world), left, "{reads:?}");
        world.crm.unreadable.lock().unwrap().clear();
        reads.run(&mut world, false);
        assert_eq!(cascade.held(&world), left, "{reads:?}");
        assert_eq!(world.store.inbox(None).unwrap().len(), 1, "{reads:?}");
    }
}

#[test]
fn a_run_over_changes_stays_one() {
    for cascade in CASCADES {
        let mut world = some_hours_later();
        cascade.happen(&mut world, OnDelete::Hold);
        let report = world.run_changed();
        assert!(report.tables.iter().all(|table| table.mode == Mode::Changed), "{cascade:?}");
    }
}
