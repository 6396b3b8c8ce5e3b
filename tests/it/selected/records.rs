//! Named records: they are settled, and nobody else is touched.

use std::sync::atomic::Ordering;

use pipeline::config::{PerSide, Side};
use pipeline::frame::Value;
use pipeline::report::plan::text as plan_text;
use pipeline::report::run::text as run_text;
use pipeline::report::selected::advice;
use pipeline::run::RunError;
use pipeline::run::account::{Counts, Mode, RunOutcome};
use pipeline::run::chosen::Standing;
use pipeline::run::selection::Selection;
use pipeline::store::{InboxKind, Store};
use uuid::Uuid;

use super::{only, to};
use crate::memory::Accident;
use crate::parted::parted;
use crate::rules::{CUSTOMERS, PEOPLE, World};

/// Customer 1 and 2 are coupled, and both were edited since.
fn two_edited() -> World {
    let mut world = World::settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl"), ("city", "Moss")]);
    world.run();
    world.erp.put("customers", 1, &[("name", "Ahlgren AB")]);
    world.erp.put("customers", 2, &[("name", "Dahl AB")]);
    world
}

fn standings(report: &pipeline::run::account::RunReport) -> Vec<(String, Standing)> {
    let all = report.tables.iter().flat_map(|table| &table.selected);
    all.map(|chosen| (chosen.record.clone(), chosen.standing)).collect()
}

#[test]
fn a_named_record_is_settled_and_no_other_is_written() {
    for name in ["customers:C1", "customers:crm:C1", "customers:00000000-0000-0000-0000-000000000001"] {
        let mut world = two_edited();
        let marks = world.store.watermarks().unwrap();
        let before = (world.erp.writes(), world.crm.writes());
        let report = world.run_part(only(&[name])).unwrap();
        assert_eq!(report.outcome, RunOutcome::Converged, "{report:#?}");
        assert_eq!(report.tables[0].mode, Mode::Selected);
        assert_eq!(standings(&report), [("customers:C1".to_owned(), Standing::Settled)]);
        assert_eq!(report.tables[0].selected[0].outlook.to.crm, [("name".to_owned(), "edited in the ERP".to_owned())]);
        assert_eq!((world.erp.writes() - before.0, world.crm.writes() - before.1), (0, 1));
        assert_eq!(world.crm.get("accounts", 101, "name"), "Ahlgren AB");
        assert_eq!(world.store.watermarks().unwrap(), marks, "how far a side was read is not known any better");
        world.run();
        assert_eq!(world.crm.writes() - before.1, 2, "the other one follows with the next run");
        world.quiet();
    }
}

#[test]
fn few_records_are_read() {
    let mut world = World::settled();
    for number in 2..40 {
        let (code, name) = (format!("C{number}"), format!("Firm {number}"));
        world.erp.put("customers", number, &[("number", &code), ("name", &name)]);
    }
    world.run();
    world.erp.put("customers", 7, &[("name", "Renamed")]);
    let before = (world.erp.asked(), world.crm.asked());
    let report = world.run_part(only(&["customers:C7"])).unwrap();
    assert_eq!(report.outcome, RunOutcome::Converged);
    let after = (world.erp.asked(), world.crm.asked());
    let (erp, crm) =
        ((after.0.0 - before.0.0, after.0.1 - before.0.1), (after.1.0 - before.1.0, after.1.1 - before.1.1));
    // The label, the record, its partner; nothing else.
    assert!(erp.0 <= 2 && erp.1 <= 2 && crm.0 <= 1 && crm.1 <= 1, "{erp:?} {crm:?}");
}

#[test]
fn a_record_without_partner_is_matched_as_in_a_full_run() {
    let mut world = World::settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    world.erp.put("customers", 3, &[("number", "C3"), ("name", "Eide"), ("city", "Oslo")]);
    world.crm.put("accounts", 102, &[("number", "C2"), ("name", "Dahl AS"), ("kind", "3")]);
    world.crm.put("accounts", 103, &[("name", "Eide"), ("city", "Oslo"), ("kind", "3")]);
    let report = world.run_part(only(&["customers:C2"])).unwrap();
    assert_eq!(report.outcome, RunOutcome::Converged, "{report:#?}");
    assert_eq!(world.crm.get("accounts", 102, "name"), "Dahl");
    let couplings = world.store.couplings("customers", &[]).unwrap();
    assert_eq!(couplings.len(), 2, "C3 was not asked for");

    // Two of one number are in doubt, whichever is asked for; the other one is not told of.
    let mut world = World::settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    world.crm.put("accounts", 102, &[("number", "C2"), ("kind", "3")]);
    world.crm.put("accounts", 103, &[("number", "C2"), ("kind", "3")]);
    let report = world.run_part(only(&["customers:C2"])).unwrap();
    assert_eq!(standings(&report), [("customers:C2".to_owned(), Standing::Waits(InboxKind::Ambiguous))]);
    assert_eq!((report.outcome, report.inbox.len()), (RunOutcome::Incomplete, 1), "{:#?}", report.inbox);
    assert_eq!(world.crm.column("accounts", "name").len(), 3);
}

#[test]
fn a_candidate_of_the_same_name_is_neither_coupled_nor_created() {
    // Customer 3 comes along as a candidate of customer 2 by the second rule.
    let mut world = World::settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl"), ("city", "Moss")]);
    world.erp.put("customers", 3, &[("number", "C3"), ("name", "Dahl"), ("city", "Moss")]);
    world.crm.put("accounts", 103, &[("number", "C3"), ("name", "Dahl"), ("city", "Moss"), ("kind", "3")]);
    let report = world.run_part(only(&["customers:C2"])).unwrap();
    let couplings = world.store.couplings("customers", &[]).unwrap();
    assert!(!couplings.erp.iter().any(|id| id.as_u128() == 3), "{report:#?}");
    assert_eq!(world.store.inbox(None).unwrap().iter().filter(|item| item.record.contains("C3")).count(), 0);
}

/// Two of one side that the first match rule takes for one are no newcomers.
#[test]
fn a_double_of_a_named_record_keeps_it_from_being_made() {
    let mut world = World::settled();
    for id in [2, 3] {
        world.erp.put("customers", id, &[("number", "C2"), ("name", "Dahl"), ("city", "Moss")]);
    }
    let id = uuid::Uuid::from_u128(2);
    let part = world.run_part(only(&[&format!("customers:{id}")])).unwrap();
    assert_eq!(part.inbox.len(), 1, "{:#?}", part.inbox);
    let whole = world.run();
    assert_eq!(whole.inbox.len(), 2, "{:#?}", whole.inbox);
    assert_eq!(part.inbox[0].message, whole.inbox.iter().find(|item| item.erp_id == Some(id)).unwrap().message);
    assert_eq!(world.crm.column("accounts", "name").len(), 1);
}

#[test]
fn what_waits_of_others_stays_as_it_is() {
    let mut world = World::settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    world.run();
    world.erp.put("customers", 1, &[("name", "Ahlgren AB")]);
    world.crm.put("accounts", 101, &[("name", "Ahlgren AS")]);
    world.erp.put("customers", 2, &[("name", "Dahl AB")]);
    *world.crm.refuses.lock().unwrap() = Some(Box::new(|_, _| Some("the record is locked".to_owned())));
    world.run();
    world.run();
    *world.crm.refuses.lock().unwrap() = None;
    let before = world.store.inbox(None).unwrap();
    assert_eq!(before.iter().map(|item| item.kind).collect::<Vec<_>>(), [InboxKind::Contested, InboxKind::Skipped]);
    assert_eq!(world.store.refusals("customers").unwrap().len(), 1);

    // The contested one: the skipped one and its refusal are not touched.
    let report = world.run_part(only(&["customers:C1"])).unwrap();
    assert_eq!(standings(&report), [("customers:C1".to_owned(), Standing::Waits(InboxKind::Contested))]);
    assert_eq!(report.tables[0].selected[0].outlook.contested, ["name"]);
    assert_eq!(report.inbox.len(), 1, "only of what was asked for is told");
    let mut after = world.store.inbox(None).unwrap();
    assert_eq!(after.len(), 2);
    after.sort_by_key(|item| item.kind);
    assert_eq!(after[1], before[1], "nobody tried it again");
    assert_eq!(after[0].attempts, before[0].attempts + 1);
    assert_eq!(world.store.refusals("customers").unwrap().len(), 1);

    // The skipped one is sent again, because a person asked for it.
    let report = world.run_part(only(&["customers:C2"])).unwrap();
    assert_eq!(report.outcome, RunOutcome::Converged, "{report:#?}");
    assert_eq!(world.store.inbox(None).unwrap().len(), 1);
    assert!(world.store.refusals("customers").unwrap().is_empty());
    assert!(world.crm.column("accounts", "name").contains(&"Dahl AB".to_owned()));
}

#[test]
fn what_is_left_alone_is_told_by_name() {
    let mut world = World::settled_with(&format!("{PEOPLE}{}", CUSTOMERS.replace("create: both", "create: none")));
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    world.erp.put("customers", 3, &[("number", "C3"), ("name", "Eide"), ("blocked", "All")]);
    world.erp.put("customers", 1, &[("name", "Ahlgren AB")]);
    let report = world.run_part(only(&["customers:C1", "customers:C2", "customers:C3"])).unwrap();
    assert_eq!(
        standings(&report),
        [
            ("customers:C1".to_owned(), Standing::Settled),
            ("customers:C2".to_owned(), Standing::Alone),
            ("customers:C3".to_owned(), Standing::Outside)
        ]
    );
    assert_eq!(report.outcome, RunOutcome::Incomplete);
    assert_eq!(world.crm.get("accounts", 101, "name"), "Ahlgren AB");

    // A coupled record outside its filter.
    world.erp.put("customers", 1, &[("blocked", "All"), ("name", "B")]);
    let report = world.run_part(only(&["customers:C1"])).unwrap();
    assert_eq!(standings(&report), [("customers:C1".to_owned(), Standing::Outside)]);
    assert_eq!(world.crm.get("accounts", 101, "name"), "Ahlgren AB");
}

#[test]
fn a_named_record_of_which_something_goes_the_other_way_does_not_agree() {
    let mut world = two_edited();
    world.run();
    world.crm.put("accounts", 101, &[("phone", "7")]);
    let asked = Selection { to: Some(Side::Crm), ..only(&["customers:C1"]) };
    let report = world.run_part(asked.clone()).unwrap();
    assert_eq!(standings(&report), [("customers:C1".to_owned(), Standing::Undone)]);
    assert_eq!(report.outcome, RunOutcome::Incomplete);
    let told = run_text(&report);
    let closing =
        "not everything agrees: wrote nothing; the other direction was left out: 1 record would go to the ERP\n";
    assert!(told.ends_with(closing), "{told}");
    // Where nothing was named, what was asked for is done.
    let report = world.run_part(to(Side::Crm)).unwrap();
    assert_eq!(report.outcome, RunOutcome::Converged);
    world.run();
    assert_eq!(world.run_part(asked).unwrap().outcome, RunOutcome::Converged);
}

#[test]
fn of_what_was_read_to_tell_who_belongs_to_whom_nothing_is_counted() {
    let mut world = World::settled();
    parted(&mut world, "customers", &["customers:C1"], false).unwrap();
    let report = world.run_part(only(&["customers:C1"])).unwrap();
    let table = &report.tables[0];
    // Its former partner is one that a match rule could find.
    assert_eq!((table.rows.erp, table.to.crm.skipped), (1, 1));
    assert_eq!((table.rows.crm, table.to.erp), (0, Counts::default()));
    // What is found and coupled counts in each direction.
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    world.crm.put("accounts", 102, &[("number", "C2"), ("name", "Dahl"), ("kind", "3")]);
    let report = world.run_part(only(&["customers:C2"])).unwrap();
    let table = &report.tables[0];
    let sum = |counts: &Counts| counts.modified + counts.unchanged;
    assert_eq!((table.rows, sum(&table.to.crm), sum(&table.to.erp)), (PerSide { erp: 1, crm: 1 }, 1, 1));
}

#[test]
fn why_a_named_record_gets_no_partner_is_told() {
    let mut world = World::settled();
    world.crm.put("accounts", 102, &[("number", "C2"), ("name", "Dahl"), ("kind", "10")]);
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    let report = world.run_part(only(&["customers:C2"])).unwrap();
    assert_eq!(standings(&report), [("customers:C2".to_owned(), Standing::Alone)]);
    let told = "\n  customers:C2: not coupled, and no partner is made: customers:crm:C2 is there already, outside the filter\n";
    assert!(run_text(&report).contains(told), "{}", run_text(&report));
    world.selection = only(&["customers:C2"]);
    let planned = world.run_as(true);
    assert!(plan_text(&planned).contains(told), "{}", plan_text(&planned));
}

#[test]
fn a_name_that_means_nothing_or_several_records_stops_everything() {
    let mut world = two_edited();
    world.erp.put("customers", 3, &[("number", "C3"), ("name", "X")]);
    world.erp.put("customers", 4, &[("number", "C3"), ("name", "Y")]);
    let before = (world.erp.writes(), world.crm.writes(), world.store.runs(9).unwrap().len());
    let Err(RunError::Unclear(all)) = world.run_part(only(&["customers:C1", "customers:C99", "customers:C3"])) else {
        panic!("they are unclear");
    };
    let told: Vec<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["the ERP has no record `customers:C99`", "2 records of the ERP are named `customers:C3`"]);
    assert_eq!((world.erp.writes(), world.crm.writes(), world.store.runs(9).unwrap().len()), before);
}

#[test]
fn a_deleted_partner_is_made_anew_only_where_there_is_no_twin() {
    for twin in [false, true] {
        let tables =
            format!("{PEOPLE}{}", CUSTOMERS.replace("first_sync: erp", "first_sync: erp\n    on_delete: restore"));
        let mut world = World::settled_with(&tables);
        world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
        world.run();
        world.crm.delete("accounts", 101);
        if twin {
            world.crm.put("accounts", 109, &[("number", "C1"), ("name", "Ahlgren"), ("kind", "3")]);
        }
        let report = world.run_part(only(&["customers:C1"])).unwrap();
        let expected = if twin { Standing::Waits(InboxKind::Deleted) } else { Standing::Settled };
        assert_eq!(standings(&report), [("customers:C1".to_owned(), expected)], "{report:#?}");
        assert_eq!(world.crm.column("accounts", "name").iter().filter(|name| *name == "Ahlgren").count(), 1);
    }
}

#[test]
fn what_follows_from_a_deletion_is_told() {
    let gone = "deleted in the CRM";
    for (on_delete, expected) in [
        ("restore", format!("{gone}, made anew from the ERP")),
        ("uncouple", format!("{gone}; the two are kept apart from now on")),
        ("delete", format!("{gone}, and not edited in the ERP since; it is deleted in the ERP too")),
    ] {
        let answered = format!("first_sync: erp\n    on_delete: {on_delete}");
        let mut world = World::settled_with(&format!("{PEOPLE}{}", CUSTOMERS.replace("first_sync: erp", &answered)));
        world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
        world.run();
        world.crm.delete("accounts", 101);
        for dry_run in [true, false] {
            world.selection = only(&["customers:C1"]);
            let report = world.attempt(dry_run, &[], &mut |_| {}).unwrap();
            let told = advice(&report);
            assert_eq!(told, Some(format!("customers:C1: {expected}")), "{on_delete} {dry_run}: {report:#?}");
        }
    }
}

#[test]
fn a_run_that_leaves_something_out_is_no_turn_of_the_whole_table_map() {
    let mut world = World::settled();
    for (selection, expected) in [
        (only(&["customers:C1"]), [("customers", true)].as_slice()),
        (to(Side::Erp), &[("people", false), ("customers", true)]),
        (to(Side::Crm), &[("customers", true)]),
        (Selection::default(), &[("people", false), ("customers", false)]),
    ] {
        let report = world.run_part(selection).unwrap();
        let told: Vec<(&str, bool)> = report.tables.iter().map(|table| (table.table.as_str(), table.partial)).collect();
        assert_eq!(told, expected);
    }
}

#[test]
fn tables_and_records_may_be_mixed() {
    let mut world = two_edited();
    world.crm.put("users", 111, &[("mail", "new@a.example"), ("name", "New")]);
    world.selection = only(&["customers:C2"]);
    let report = world.attempt(false, &["people"], &mut |_| {}).unwrap();
    assert_eq!(report.outcome, RunOutcome::Converged, "{report:#?}");
    let modes: Vec<(&str, Mode)> = report.tables.iter().map(|table| (table.table.as_str(), table.mode)).collect();
    assert_eq!(modes, [("people", Mode::Full), ("customers", Mode::Selected)]);
    assert_eq!(world.erp.column("people", "name"), ["New"]);
    assert_eq!(world.crm.get("accounts", 101, "name"), "Ahlgren");
}

#[test]
fn references_to_tables_outside_the_selection_use_what_is_coupled() {
    let mut world = World::settled();
    world.erp.put("people", 11, &[("code", "AA"), ("email", "aa@a.example"), ("name", "A")]);
    world.crm.put("users", 111, &[("mail", "aa@a.example"), ("name", "A")]);
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Mother")]);
    world.run();
    world.erp.put("customers", 1, &[("person", "AA"), ("parent", "C2")]);
    let report = world.run_part(only(&["customers:C1"])).unwrap();
    assert_eq!(report.outcome, RunOutcome::Converged, "{report:#?}");
    assert!(world.crm.get("accounts", 101, "owner").ends_with(&format!("{:x}", 111)));
    assert!(!world.crm.get("accounts", 101, "parent").is_empty());
    world.quiet();
}

#[test]
fn a_lost_answer_of_a_named_record_doubles_nothing() {
    let mut world = World::settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    world.crm.accidents.lock().unwrap().push(Accident::AnswerLost);
    world.run_part(only(&["customers:C2"])).unwrap();
    assert_eq!(world.crm.column("accounts", "name").iter().filter(|name| *name == "Dahl").count(), 1);
    world.quiet();
}

#[test]
fn whom_a_side_refers_to_by_itself_is_looked_up() {
    let text = CUSTOMERS.replace("direction: to_crm, blank: keep }", "blank: keep }");
    let mut world = World::settled_with(&format!("{PEOPLE}{text}"));
    world.crm.put("users", 111, &[("mail", "a@a.example"), ("name", "Anna")]);
    world.run();
    let code = world.erp.column("people", "code").remove(0);
    *world.erp.hook.lock().unwrap() = Some(Box::new(move |table, record| {
        if table == "customers" {
            record.insert("person".to_owned(), Value::Text(code.clone()));
        }
    }));
    world.erp.silent.store(true, Ordering::Relaxed);
    world.crm.put("accounts", 101, &[("city", "Moss")]);
    let report = world.run_part(only(&["customers:C1"])).unwrap();
    assert_eq!(report.outcome, RunOutcome::Converged, "{report:#?}");
    assert_eq!(world.crm.get("accounts", 101, "owner"), Uuid::from_u128(111).to_string());
    world.quiet();
}

/// A reference leads to whoever is coupled or inside its filter, whether its own table map has a turn or not.
#[test]
fn a_run_over_one_table_refers_to_nobody_outside_another_ones_filter() {
    let tables = format!("{PEOPLE}{CUSTOMERS}")
        .replace("crm: { table: users, label: mail }", "crm: { table: users, label: mail, filter: name <> 'CC' }")
        .replace("ref: { table: people, erp: code }", "ref: { table: people, erp: code, crm: name }");
    let mut world = World::with(&tables);
    world.crm.put("users", 111, &[("mail", "aa@a.example"), ("name", "AA")]);
    world.crm.put("users", 113, &[("mail", "cc@a.example"), ("name", "CC")]);
    for (number, person) in [(1, "AA"), (2, "CC")] {
        world.erp.put("customers", number, &[("number", &format!("C{number}")), ("name", person), ("person", person)]);
    }
    let full: Vec<String> = world.run().inbox.into_iter().map(|item| item.message).collect();
    let part = world.attempt(false, &["customers"], &mut |_| {}).unwrap();
    let part: Vec<String> = part.inbox.into_iter().map(|item| item.message).collect();
    assert_eq!((full.len(), &part), (1, &full));
    assert_eq!(world.crm.column("accounts", "name"), ["AA"], "and nothing is made that a full run refuses");
}
