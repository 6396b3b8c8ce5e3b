//! The rules of a run over changes, on two sides in memory, each with a clock of its own.

use std::sync::atomic::Ordering;

use pipeline::config::{Create, Side};
use pipeline::run::account::{Mode, RunOutcome, RunReport};
use pipeline::run::selection::Selection;
use pipeline::store::{InboxKind, Store};
use pipeline::watermark::OVERLAP_SECONDS;

use crate::by_hand::by_hand;
use crate::memory::Memory;
use crate::rules::World;
use crate::selected::only;

const HOUR: i64 = 3_600;

/// A settled world some hours later: what was written last lies before the overlap.
fn settled() -> World {
    let mut world = World::settled();
    for number in 2..30 {
        let (code, name) = (format!("C{number}"), format!("Firm {number}"));
        world.erp.put("customers", number, &[("number", &code), ("name", &name)]);
    }
    world.erp.put("people", 11, &[("code", "AA"), ("email", "aa@a.example"), ("name", "A")]);
    world.crm.put("users", 111, &[("mail", "aa@a.example"), ("name", "A")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    later(&world);
    world.erp.put("customers", 1, &[("memo", "x")]);
    world.crm.put("accounts", 101, &[("memo", "x")]);
    world.erp.put("people", 11, &[("home", "X")]);
    world.crm.put("users", 111, &[("home", "")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    later(&world);
    world
}

fn later(world: &World) {
    world.erp.advance(HOUR);
    world.crm.advance(HOUR);
}

fn mode(report: &RunReport, table: &str) -> Mode {
    report.tables.iter().find(|report| report.table == table).unwrap().mode
}

fn partner(world: &World, erp: u128) -> u128 {
    let couplings = world.store.couplings("customers", &[]).unwrap();
    let at = couplings.erp.iter().position(|id| id.as_u128() == erp).unwrap();
    couplings.crm[at].as_u128()
}

#[test]
fn only_what_was_touched_is_read() {
    let mut world = settled();
    world.erp.put("customers", 2, &[("name", "Renamed")]);
    world.crm.put("accounts", 101, &[("phone", "99")]);
    let before = (world.erp.asked(), world.crm.asked());
    let report = world.run_changed();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    assert_eq!((mode(&report, "customers"), mode(&report, "people")), (Mode::Changed, Mode::Changed));
    assert_eq!(world.crm.get("accounts", partner(&world, 2), "name"), "Renamed");
    assert_eq!(world.erp.get("customers", 1, "phone"), "99");
    let after = (world.erp.asked(), world.crm.asked());
    // Changes of both tables, and the partners of what changed on the other side; records at the edge come again.
    assert!(after.0.0 - before.0.0 <= 3 && after.1.0 - before.1.0 <= 3, "{before:?} {after:?}");
    assert!(after.0.1 - before.0.1 <= 5 && after.1.1 - before.1.1 <= 5, "{before:?} {after:?}");
    world.quiet();
    world.changed = true;
    world.quiet();
}

#[test]
fn what_the_state_does_not_know_is_read_in_full() {
    let mut world = World::settled();
    world.pipeline.tables[1].fields.pop();
    let report = world.run_changed();
    assert_eq!((mode(&report, "people"), mode(&report, "customers")), (Mode::Changed, Mode::Full));
    let notes = &report.tables[1].notes;
    assert_eq!(notes[0], "read in full: there is no watermark for it as the file has it now");
    assert_eq!(mode(&world.run_changed(), "customers"), Mode::Changed);

    let mut world = World::new();
    world.erp.put("customers", 1, &[("number", "C1"), ("name", "Ahlgren")]);
    let report = world.run_changed();
    assert_eq!((mode(&report, "customers"), report.outcome), (Mode::Full, RunOutcome::Converged));
    assert_eq!(world.crm.column("accounts", "name"), ["Ahlgren"]);

    // A table that tells no times.
    for table in ["customers", "accounts"] {
        let mut world = World::settled();
        let memory = if table == "customers" { &world.erp } else { &world.crm };
        memory.forget(table, "modified");
        world.run();
        let report = world.run_changed();
        assert_eq!((mode(&report, "people"), mode(&report, "customers")), (Mode::Changed, Mode::Full));
        assert!(report.tables[1].notes[0].ends_with("does not tell when a record was changed"));
    }
}

#[test]
fn clocks_that_differ_do_no_harm() {
    for (erp, crm) in [(2 * HOUR, -2 * HOUR), (-2 * HOUR, 2 * HOUR)] {
        let mut world = World::new();
        world.erp.advance(erp);
        world.crm.advance(crm);
        world.erp.put("customers", 1, &[("number", "C1"), ("name", "Ahlgren")]);
        world.crm.put("accounts", 102, &[("name", "Dahl"), ("city", "Moss"), ("kind", "3")]);
        world.run();
        for round in 0..4 {
            later(&world);
            let (name, phone) = (format!("name {round}"), format!("{round}"));
            world.erp.put("customers", 1, &[("name", &name)]);
            world.crm.put("accounts", 102, &[("phone", &phone)]);
            let report = world.run_changed();
            assert_eq!((report.outcome, mode(&report, "customers")), (RunOutcome::Converged, Mode::Changed));
            assert_eq!(world.crm.get("accounts", partner(&world, 1), "name"), name);
            assert!(world.erp.column("customers", "phone").contains(&phone));
        }
        world.quiet();
    }
}

#[test]
fn a_late_commit_is_found_by_the_overlap_or_by_the_next_full_run() {
    for (late, found) in [(OVERLAP_SECONDS - 10, true), (OVERLAP_SECONDS + 10, false)] {
        for side in Side::BOTH {
            let mut world = settled();
            world.erp.put("customers", 3, &[("name", "Newest")]);
            world.crm.put("accounts", 101, &[("city", "Newest")]);
            assert_eq!(world.run_changed().outcome, RunOutcome::Converged);
            match side {
                Side::Erp => world.erp.put_late("customers", 2, &[("phone", "7")], late),
                Side::Crm => world.crm.put_late("accounts", partner(&world, 2), &[("phone", "7")], late),
            }
            let phones = |world: &World| {
                (world.erp.get("customers", 2, "phone"), world.crm.get("accounts", partner(world, 2), "phone"))
            };
            world.run_changed();
            let both = ("7".to_owned(), "7".to_owned());
            assert_eq!(phones(&world) == both, found, "{late} s late in the {}", side.name());
            world.run();
            assert_eq!(phones(&world), both);
        }
    }
}

/// A clock that was wrong for a day leaves a record behind that looks edited years from now.
#[test]
fn a_time_that_is_not_reached_yet_hides_no_later_edit() {
    const YEAR: i64 = 365 * 24 * HOUR;
    for side in Side::BOTH {
        let mut world = settled();
        let stamp = |world: &World| match side {
            Side::Erp => world.erp.put("customers", 3, &[("memo", "odd")]),
            Side::Crm => world.crm.put("accounts", 101, &[("memo", "odd")]),
        };
        let of = |world: &World, seconds: i64| match side {
            Side::Erp => world.erp.advance(seconds),
            Side::Crm => world.crm.advance(seconds),
        };
        of(&world, YEAR);
        stamp(&world);
        of(&world, -YEAR);
        assert_eq!(mode(&world.run_changed(), "customers"), Mode::Changed);
        for (round, phone) in ["1", "2"].into_iter().enumerate() {
            later(&world);
            match side {
                Side::Erp => world.erp.put("customers", 2, &[("phone", phone)]),
                Side::Crm => world.crm.put("accounts", partner(&world, 2), &[("phone", phone)]),
            }
            assert_eq!(mode(&world.run_changed(), "customers"), Mode::Changed, "{round}");
            let phones =
                (world.erp.get("customers", 2, "phone"), world.crm.get("accounts", partner(&world, 2), "phone"));
            assert_eq!(phones, (phone.to_owned(), phone.to_owned()), "{} {round}", side.name());
        }
        // A clock that is set back: what was read was not all there is until then.
        of(&world, -2 * HOUR);
        let report = world.run_changed();
        assert_eq!(mode(&report, "customers"), Mode::Full);
        let note = format!("it counts as read up to a time that the {} has not reached yet", side.name());
        assert!(report.tables[1].notes.iter().any(|told| told.ends_with(&note)), "{:?}", report.tables[1].notes);
        later(&world);
        assert_eq!(mode(&world.run_changed(), "customers"), Mode::Changed);
    }
}

#[test]
fn a_record_edited_while_the_read_went_on_is_found() {
    use pipeline::run::context::Options;
    use pipeline::run::run;
    let mut world = settled();
    // The read takes ten minutes by our clock, and ten by the side's: the newest of its records was made at its end.
    world.erp.advance(600);
    world.erp.put("customers", 3, &[("name", "At the end")]);
    let ticks = std::sync::atomic::AtomicU32::new(0);
    let elapsed = || f64::from(ticks.fetch_add(600, Ordering::Relaxed));
    let options = Options {
        approved: None,
        guarded_plan: None,
        only: Vec::new(),
        selection: pipeline::run::selection::Selection::default(),
        changed: true,
        dry_run: false,
        run: "a long one".into(),
        started: "2026-01-31T02:00:00Z".into(),
        elapsed: &elapsed,
        stop: &world.stop,
    };
    let sides: pipeline::config::PerSide<&dyn pipeline::endpoint::Endpoint> =
        pipeline::config::PerSide { erp: &world.erp, crm: &world.crm };
    run(&world.pipeline, sides, &mut world.store, &options, &|_| {}).unwrap();
    // This one had gone by already when it was edited.
    world.erp.put_late("customers", 2, &[("name", "In the middle")], 500);
    world.run_changed();
    assert_eq!(world.crm.get("accounts", partner(&world, 2), "name"), "In the middle");
}

#[test]
fn a_pair_coupled_by_hand_is_settled_although_nobody_touched_it() {
    for one_direction_first in [false, true] {
        let mut world = settled();
        world.pipeline.tables[1].create = Create::None;
        world.erp.put("customers", 77, &[("number", "C77"), ("name", "Dahl"), ("city", "Moss"), ("phone", "")]);
        world.crm.put("accounts", 177, &[("number", "A77"), ("name", "Dahl AS"), ("phone", "5"), ("kind", "3")]);
        world.run();
        later(&world);
        world.erp.put("customers", 2, &[("memo", "pushes the watermark")]);
        world.crm.put("accounts", 101, &[("memo", "pushes the watermark")]);
        world.run();
        later(&world);
        by_hand(&mut world, &[("customers:C77", "customers:crm:A77")]).unwrap();
        if one_direction_first {
            world.run_part(Selection { to: Some(Side::Crm), ..only(&["customers:C77"]) }).unwrap();
            // What that wrote is behind the watermark, too.
            world.crm.put_late("accounts", 177, &[("memo", "long ago")], HOUR);
            world.erp.put("customers", 2, &[("memo", "pushes it once more")]);
        }
        let report = world.run_changed();
        assert_eq!((report.outcome, mode(&report, "customers")), (RunOutcome::Converged, Mode::Changed));
        let account = ["number", "name", "city"].map(|column| world.crm.get("accounts", 177, column));
        assert_eq!(
            (account, world.erp.get("customers", 77, "phone")),
            (["C77", "Dahl", "Moss"].map(str::to_owned), "5".to_owned())
        );
        // From then on it is a pair like any other, and nobody asks for it.
        later(&world);
        world.erp.put("customers", 2, &[("memo", "pushes the watermark again")]);
        world.crm.put("accounts", 101, &[("memo", "pushes the watermark again")]);
        world.run_changed();
        later(&world);
        let before = (world.erp.asked(), world.crm.asked());
        world.run_changed();
        assert_eq!((world.erp.asked().0 - before.0.0, world.crm.asked().0 - before.1.0), (2, 2), "one for each table");
    }
}

#[test]
fn a_failed_record_is_not_lost() {
    let mut world = settled();
    world.erp.put("people", 12, &[("code", "XX"), ("email", "xx@a.example"), ("name", "X")]);
    world.erp.put("customers", 50, &[("number", "C50"), ("name", "Waits"), ("person", "XX")]);
    world.erp.put("customers", 2, &[("person", "XX"), ("name", "Waits too")]);
    *world.crm.refuses.lock().unwrap() = Some(Box::new(|table, write| {
        let is_third = write.fields.iter().any(|(_, value)| value.to_string() == "Refused");
        (table == "accounts" && is_third).then(|| "no".to_owned())
    }));
    world.erp.put("customers", 3, &[("name", "Refused")]);
    assert_eq!(world.run_changed().outcome, RunOutcome::Incomplete);
    let failed = |world: &World| {
        let inbox = world.store.inbox(None).unwrap();
        assert!(inbox.iter().all(|item| matches!(item.kind, InboxKind::Failed | InboxKind::Skipped)), "{inbox:#?}");
        inbox.len()
    };
    assert_eq!(failed(&world), 3);
    // Days later: nobody touched them, and they are tried again all the same.
    for attempts in 2..4 {
        (0..30).for_each(|_| later(&world));
        world.erp.put("customers", 4, &[("name", &format!("pushes the watermark {attempts}"))]);
        let report = world.run_changed();
        assert_eq!((report.outcome, mode(&report, "customers")), (RunOutcome::Incomplete, Mode::Changed));
        assert_eq!(failed(&world), 3);
        let inbox = world.store.inbox(None).unwrap();
        let tried: Vec<u32> =
            inbox.iter().filter(|item| item.kind == InboxKind::Failed).map(|item| item.attempts).collect();
        assert_eq!(tried, [attempts; 2]);
    }
    // The user appears, and the refusal ends; what was refused twice is skipped until somebody edits it.
    (0..30).for_each(|_| later(&world));
    world.crm.put("users", 112, &[("mail", "XX@a.example"), ("name", "X")]);
    *world.crm.refuses.lock().unwrap() = None;
    world.erp.put("customers", 3, &[("phone", "3")]);
    let report = world.run_changed();
    assert_eq!(
        (report.outcome, mode(&report, "customers")),
        (RunOutcome::Converged, Mode::Changed),
        "{:#?}",
        report.inbox
    );
    for name in ["Waits", "Waits too", "Refused"] {
        assert!(world.crm.column("accounts", "name").contains(&name.to_owned()), "{name}");
    }
    world.quiet();
}

#[test]
fn an_interrupted_run_and_a_failed_table_move_nothing() {
    let mut world = settled();
    let known = world.store.watermarks().unwrap();
    assert_eq!(known.len(), 2);
    world.erp.put("customers", 2, &[("name", "Renamed")]);
    world.erp.put("customers", 3, &[("name", "Renamed too")]);
    let stop = world.stop.clone();
    *world.crm.stops.lock().unwrap() = Some(Box::new(move || stop.store(true, Ordering::Relaxed)));
    assert_eq!(world.run_changed().outcome, RunOutcome::Interrupted);
    assert_eq!(world.store.watermarks().unwrap(), known);
    world.stop.store(false, Ordering::Relaxed);

    world.crm.unreadable.lock().unwrap().push("accounts".into());
    assert_eq!(world.run_changed().outcome, RunOutcome::Incomplete);
    let failed = world.store.watermarks().unwrap();
    assert_eq!(failed["customers"], known["customers"]);
    world.crm.unreadable.lock().unwrap().clear();

    world.changed = true;
    world.run_as(true);
    assert_eq!(world.store.watermarks().unwrap(), failed, "a plan stores nothing");

    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert!(world.store.watermarks().unwrap()["customers"].read_to.erp > known["customers"].read_to.erp);
    assert_eq!(world.crm.get("accounts", partner(&world, 3), "name"), "Renamed too");
    world.quiet();
}

#[test]
fn a_new_record_finds_the_partner_that_nobody_touched() {
    for searchable in [true, false] {
        let mut world = settled();
        for memory in [&world.erp, &world.crm] {
            memory.searchable.store(searchable, Ordering::Relaxed);
        }
        // Unknown to any coupling, for nobody had the right to create them.
        world.pipeline.tables[1].create = pipeline::config::Create::None;
        world.crm.put("accounts", 201, &[("number", " c77 "), ("name", "By number"), ("kind", "3")]);
        world.crm.put("accounts", 202, &[("name", "By Name"), ("city", "Moss"), ("kind", "3")]);
        world.run();
        later(&world);
        world.pipeline.tables[1].create = pipeline::config::Create::Both;
        world.run();
        later(&world);
        world.crm.put("accounts", 203, &[("number", "C78"), ("name", "Outside"), ("kind", "10")]);
        later(&world);
        world.crm.put("accounts", 101, &[("memo", "pushes the watermark")]);
        world.run();
        later(&world);
        let couplings = world.store.couplings("customers", &[]).unwrap();
        assert!(couplings.crm.iter().any(|id| id.as_u128() == 201), "created by the full run");
        // New ones, one of them the customer of an account that lies outside the filter.
        world.erp.put("customers", 78, &[("number", "C78"), ("name", "Outside")]);
        world.erp.put("customers", 79, &[("number", "C79"), ("name", "Quite new")]);
        let report = world.run_changed();
        assert_eq!(mode(&report, "customers"), Mode::Changed);
        let numbers = world.crm.column("accounts", "number");
        let count = |number: &str| numbers.iter().filter(|known| *known == number).count();
        assert_eq!((count("C78"), count("C79")), (1, 1), "{searchable}: {numbers:?}");
    }
}

/// No database ignores all that looks like a blank; what a full run couples, one over changes must not make anew.
#[test]
fn what_only_looks_like_a_blank_hides_no_partner() {
    for around in [" ", "\u{a0}", "\u{202f}", "\u{3000}"] {
        for (before, behind) in [(around, ""), ("", around)] {
            let mut world = settled();
            let number = format!("{before}C77{behind}");
            // Outside its filter, so that no run has made a customer of it.
            world.crm.put("accounts", 201, &[("number", &number), ("name", "Zorbit"), ("kind", "10")]);
            later(&world);
            world.crm.put("accounts", 101, &[("memo", "pushes the watermark")]);
            world.run();
            later(&world);
            world.erp.put("customers", 77, &[("number", "C77"), ("name", "Zorbit")]);
            let report = world.run_changed();
            assert_eq!(mode(&report, "customers"), Mode::Changed);
            let numbers = world.crm.column("accounts", "number");
            assert_eq!(numbers.iter().filter(|known| known.contains("C77")).count(), 1, "{numbers:?}");
        }
    }
}

#[test]
fn a_match_is_told_from_several_as_in_a_full_run() {
    for searchable in [true, false] {
        let mut world = settled();
        for memory in [&world.erp, &world.crm] {
            memory.searchable.store(searchable, Ordering::Relaxed);
        }
        // Two accounts that nobody touched for long, unknown to any coupling since nothing is created in the ERP.
        world.pipeline.tables[1].create = pipeline::config::Create::ToCrm;
        world.crm.put("accounts", 201, &[("number", "C77"), ("name", "One"), ("kind", "3")]);
        world.crm.put("accounts", 202, &[("number", "c77"), ("name", "Two"), ("kind", "3")]);
        world.crm.put("accounts", 203, &[("number", "C80"), ("name", "Three"), ("kind", "3")]);
        world.run();
        later(&world);
        world.crm.put("accounts", 101, &[("memo", "pushes the watermark")]);
        world.run();
        later(&world);
        world.erp.put("customers", 77, &[("number", "C77"), ("name", "New")]);
        world.erp.put("customers", 80, &[("number", "C80"), ("name", "New as well")]);
        let report = world.run_changed();
        assert_eq!(mode(&report, "customers"), Mode::Changed);
        assert_eq!(partner(&world, 80), 203);
        let mut held: Vec<String> =
            report.inbox.iter().map(|item| format!("{:?} {}", item.kind, item.message)).collect();
        held.sort();
        let mut full: Vec<String> =
            world.run().inbox.iter().map(|item| format!("{:?} {}", item.kind, item.message)).collect();
        full.sort();
        assert_eq!(held, full, "searchable: {searchable}");
        assert_eq!(held.len(), 3, "{held:#?}");
    }
}

#[test]
fn a_deleted_partner_is_found_when_the_survivor_was_edited() {
    for side in Side::BOTH {
        let mut world = settled();
        let crm = partner(&world, 2);
        match side {
            Side::Erp => world.erp.delete("customers", 2),
            Side::Crm => world.crm.delete("accounts", crm),
        }
        let before = world.store.coupling_counts().unwrap();
        let report = world.run_changed();
        assert_eq!((report.outcome, report.inbox.len()), (RunOutcome::Converged, 0), "absence says nothing");
        match side {
            Side::Erp => world.crm.put("accounts", crm, &[("phone", "5")]),
            Side::Crm => world.erp.put("customers", 2, &[("phone", "5")]),
        }
        for _ in 0..2 {
            let report = world.run_changed();
            assert_eq!(report.inbox.len(), 1, "{:#?}", report.inbox);
            assert_eq!(report.inbox[0].kind, InboxKind::Deleted);
            later(&world);
        }
        assert_eq!(world.store.coupling_counts().unwrap(), before);
    }
}

#[test]
fn a_record_that_left_its_filter_is_left_alone_until_it_comes_back() {
    let mut world = settled();
    let crm = partner(&world, 2);
    let writes = |world: &World| (world.erp.writes(), world.crm.writes());
    let before = writes(&world);
    world.crm.put("accounts", crm, &[("kind", "10"), ("phone", "1")]);
    assert_eq!(world.run_changed().outcome, RunOutcome::Converged);
    later(&world);
    world.erp.put("customers", 2, &[("name", "Edited meanwhile")]);
    assert_eq!(world.run_changed().outcome, RunOutcome::Converged);
    assert_eq!(writes(&world), before, "nothing is written on either side");
    (0..5).for_each(|_| later(&world));
    world.erp.put("customers", 3, &[("name", "Pushes the watermark")]);
    world.run_changed();
    world.crm.put("accounts", crm, &[("kind", "3")]);
    assert_eq!(world.run_changed().outcome, RunOutcome::Converged);
    assert_eq!(world.crm.get("accounts", crm, "name"), "Edited meanwhile");
    assert_eq!(world.erp.get("customers", 2, "phone"), "1");
    world.quiet();
}

#[test]
fn references_resolve_by_records_that_nobody_touched() {
    let mut world = settled();
    world.erp.put("people", 12, &[("code", "BB"), ("name", "pushes the watermark")]);
    world.run();
    later(&world);
    let names =
        |memory: &Memory, table: &str| memory.answers.lock().unwrap().iter().filter(|read| read.0 == table).count();
    let before = names(&world.erp, "people");
    world.erp.put("customers", 2, &[("person", "AA"), ("parent", "C5")]);
    world.crm.put("accounts", 101, &[("parent", &uuid::Uuid::from_u128(partner(&world, 6)).to_string())]);
    let report = world.run_changed();
    assert_eq!(
        (report.outcome, mode(&report, "customers")),
        (RunOutcome::Converged, Mode::Changed),
        "{:#?}",
        report.inbox
    );
    let crm = partner(&world, 2);
    assert_eq!(world.crm.get("accounts", crm, "owner"), uuid::Uuid::from_u128(111).to_string());
    assert_eq!(world.crm.get("accounts", crm, "parent"), uuid::Uuid::from_u128(partner(&world, 5)).to_string());
    assert_eq!(world.erp.get("customers", 1, "parent"), "C6");
    assert_eq!(names(&world.erp, "people") - before, 2, "what changed there, and the one key");
    // With a table left out of the run as well.
    later(&world);
    world.erp.put("customers", 3, &[("person", "AA")]);
    world.run_changed();
    assert_eq!(world.crm.get("accounts", partner(&world, 3), "owner"), uuid::Uuid::from_u128(111).to_string());
    world.quiet();
}

#[test]
fn running_numbers_count_past_records_that_nobody_touched() {
    let mut world = settled();
    world.erp.put("people", 12, &[("code", "SP041"), ("email", "old@a.example"), ("name", "Old")]);
    world.run();
    later(&world);
    world.erp.put("people", 11, &[("name", "A")]);
    world.run();
    later(&world);
    world.crm.put("users", 112, &[("mail", "new@a.example"), ("name", "New")]);
    let report = world.run_changed();
    assert_eq!((report.outcome, mode(&report, "people")), (RunOutcome::Converged, Mode::Changed));
    assert!(
        world.erp.column("people", "code").contains(&"SP042".to_owned()),
        "{:?}",
        world.erp.column("people", "code")
    );
    world.quiet();
}

#[test]
fn many_partners_are_read_with_the_table() {
    let mut world = settled();
    let before = world.crm.asked().0;
    for number in 2..16 {
        world.erp.put("customers", number, &[("phone", &format!("{number}"))]);
    }
    let report = world.run_changed();
    assert_eq!((report.outcome, mode(&report, "customers")), (RunOutcome::Converged, Mode::Changed));
    // By three ids a request it would be five; the table has three pages.
    assert_eq!(world.crm.asked().0 - before, 3, "changes of two tables, and one table");
    assert_eq!(world.crm.get("accounts", partner(&world, 15), "phone"), "15");
    world.quiet();
}

#[test]
fn a_plan_over_changes_is_what_the_run_does() {
    let mut world = settled();
    world.erp.put("customers", 2, &[("name", "Renamed")]);
    world.crm.put("accounts", 101, &[("phone", "99")]);
    world.crm.put("accounts", 300, &[("name", "New"), ("city", "Moss"), ("kind", "3")]);
    world.changed = true;
    let planned = world.run_as(true);
    let done = world.run_as(false);
    assert_eq!(planned.plan, done.plan);
    assert_eq!(planned.plan.hash(), done.plan.hash());
    assert!(planned.plan.actions().count() >= 3);
}

#[test]
fn a_plan_over_changes_asks_as_the_run_asks() {
    let mut world = settled();
    // A match rule looks for its partner, and a reference for its key.
    world.erp.put("customers", 50, &[("number", "C50"), ("name", "New"), ("person", "AA")]);
    let asked = |world: &World| [&world.erp, &world.crm].map(|side| std::mem::take(&mut *side.answers.lock().unwrap()));
    asked(&world);
    world.changed = true;
    let planned = world.run_as(true);
    let plan = asked(&world);
    let report = world.run();
    assert_eq!((mode(&report, "customers"), planned.plan), (Mode::Changed, report.plan));
    let mut run = asked(&world);
    run.iter_mut().zip(&plan).for_each(|(run, plan)| run.truncate(plan.len()));
    assert_eq!(plan, run);
    let most = plan.iter().flatten().map(|(_, rows)| *rows).max();
    assert!(most < Some(10), "no table of 29 records is read in full: {plan:?}");
}

#[test]
fn a_reference_that_waits_in_silence_resolves_with_the_new_coupling() {
    for policy in ["keep", "clear"] {
        let customers = crate::rules::CUSTOMERS.replace("blank: keep", &format!("on_unresolved: {policy}"));
        let mut world = World::settled_with(&format!("{}{customers}", crate::rules::PEOPLE));
        world.erp.put("people", 12, &[("code", "XX"), ("email", "xx@a.example"), ("name", "X")]);
        world.erp.put("customers", 1, &[("person", "XX")]);
        assert_eq!(world.run_changed().outcome, RunOutcome::Converged);
        for round in 0..3 {
            later(&world);
            world.erp.put("customers", 9, &[("number", "C9"), ("name", &format!("pushes the watermark {round}"))]);
            assert_eq!(world.run_changed().outcome, RunOutcome::Converged);
        }
        world.crm.put("users", 112, &[("mail", "XX@a.example"), ("name", "X")]);
        let report = world.run_changed();
        assert_eq!((mode(&report, "people"), mode(&report, "customers")), (Mode::Changed, Mode::Full));
        assert_eq!(world.crm.get("accounts", 101, "owner"), uuid::Uuid::from_u128(112).to_string(), "{policy}");
        assert_eq!(mode(&world.run_changed(), "customers"), Mode::Changed);
    }
}

#[test]
fn a_write_of_which_nobody_knows_the_end_is_looked_at_again() {
    use pipeline::store::Intent;
    let mut world = settled();
    let (erp, crm) = (uuid::Uuid::from_u128(2), uuid::Uuid::from_u128(partner(&world, 2)));
    let intent = Intent {
        also: String::new(),
        why: String::new(),
        table: "customers".into(),
        side: Side::Crm,
        action: "update".into(),
        id: crm,
        partner: erp,
        record: "customers:C2".into(),
        fields: Vec::new(),
        agreed: Vec::new(),
    };
    world.store.intend("a run that was cut off", &[intent]).unwrap();
    let report = world.run_changed();
    let customers = report.tables.iter().find(|table| table.table == "customers").unwrap();
    assert_eq!((customers.mode, customers.rows.erp, customers.rows.crm), (Mode::Changed, 1, 1), "{customers:#?}");
    assert_eq!(world.store.open_intents("customers").unwrap(), []);
}

#[test]
fn the_guard_takes_the_couplings_for_the_table_and_an_empty_read_for_nothing() {
    let mut world = settled();
    // Nothing at all changed on either side: no reason to stop.
    let report = world.run_changed();
    assert_eq!((report.outcome, mode(&report, "customers")), (RunOutcome::Converged, Mode::Changed));
    world.pipeline.tables[1].guard.create = Some(pipeline::config::Limit::Share(5_000));
    for number in 50..62 {
        let (code, name) = (format!("C{number}"), format!("Firm {number}"));
        world.erp.put("customers", number, &[("number", &code), ("name", &name)]);
    }
    // Twelve are less than half of what is coupled, though they are all that was read.
    let known = world.store.watermarks().unwrap();
    assert_eq!(world.run_changed().outcome, RunOutcome::Converged);
    assert_ne!(world.store.watermarks().unwrap(), known);
    // A table that its guard stops keeps its watermark.
    world.pipeline.tables[1].guard.update = Some(pipeline::config::Limit::Number(1));
    world.run();
    let known = world.store.watermarks().unwrap();
    later(&world);
    for number in 2..4 {
        world.erp.put("customers", number, &[("name", &format!("Renamed {number}"))]);
    }
    let report = world.run_changed();
    assert_eq!((report.outcome, mode(&report, "customers")), (RunOutcome::Guarded, Mode::Changed));
    assert_eq!(world.store.watermarks().unwrap()["customers"], known["customers"]);
    world.pipeline.tables[1].guard.update = None;
    assert_eq!(world.run_changed().outcome, RunOutcome::Converged);
    assert_eq!(world.crm.get("accounts", partner(&world, 3), "name"), "Renamed 3");
}

#[test]
fn a_deletion_with_a_policy_is_decided_on_the_whole_table() {
    use pipeline::config::OnDelete;
    for (policy, left) in [(OnDelete::Delete, 28), (OnDelete::Restore, 29), (OnDelete::Uncouple, 28)] {
        let mut world = settled();
        world.pipeline.tables[1].on_delete = policy;
        world.run();
        later(&world);
        let crm = partner(&world, 2);
        world.crm.delete("accounts", crm);
        assert_eq!(world.run_changed().outcome, RunOutcome::Converged, "absence says nothing");
        world.erp.put("customers", 2, &[("memo", "touched, though no mapped field of it")]);
        let report = world.run_changed();
        assert_eq!((report.outcome, mode(&report, "customers")), (RunOutcome::Converged, Mode::Full), "{policy:?}");
        assert_eq!(report.tables[1].notes[0], "read in full: 1 of the coupled records lost their partner");
        assert_eq!(world.store.coupling_counts().unwrap()["customers"], left, "{policy:?}");
        assert_eq!(world.erp.all("customers").len(), if policy == OnDelete::Delete { 28 } else { 29 });
        assert_eq!(mode(&world.run_changed(), "customers"), Mode::Changed);
        world.quiet();
    }
}
