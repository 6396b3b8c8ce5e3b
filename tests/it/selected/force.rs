//! One direction, and one side that wins.

use std::sync::atomic::Ordering;

use pipeline::config::{PerSide, Side};
use pipeline::delta::{Force, Overwritten};
use pipeline::frame::Value;
use pipeline::report::selected::overwritten;
use pipeline::run::account::{RunOutcome, RunReport};
use pipeline::run::chosen::Standing;
use pipeline::run::selection::Selection;
use pipeline::store::{InboxKind, Store};

use super::{force, only, to};
use crate::rules::{CUSTOMERS, PEOPLE, World};

/// Both sides of customer 1 were edited: the name by both, the city in the ERP, the phone in the CRM.
fn contested() -> World {
    let world = World::settled();
    world.erp.put("customers", 1, &[("name", "Ahlgren AB"), ("city", "Moss")]);
    world.crm.put("accounts", 101, &[("name", "Ahlgren AS"), ("phone", "2")]);
    world
}

fn held(world: &World) -> PerSide<Vec<String>> {
    let fields = ["name", "city", "phone"];
    PerSide {
        erp: fields.map(|field| world.erp.get("customers", 1, field)).to_vec(),
        crm: fields.map(|field| world.crm.get("accounts", 101, field)).to_vec(),
    }
}

#[test]
fn one_direction_leaves_the_other_one_undone_and_forgets_nothing() {
    for side in Side::BOTH {
        let mut world = contested();
        world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
        world.crm.put("accounts", 103, &[("name", "Eide"), ("city", "Oslo"), ("kind", "3")]);
        world.erp.put("people", 11, &[("code", "XX"), ("email", "xx@a.example"), ("name", "X")]);
        let marks = world.store.watermarks().unwrap();
        let before = (world.erp.writes(), world.crm.writes());
        let report = world.run_part(to(side)).unwrap();
        let writes = PerSide { erp: world.erp.writes() - before.0, crm: world.crm.writes() - before.1 };
        assert_eq!((*writes.of(side) > 0, *writes.of(side.other())), (true, 0), "{side:?}: {report:#?}");
        let sides = held(&world);
        assert_eq!(sides.of(side)[1..], ["Moss", "2"], "{side:?}");
        assert_ne!(sides.of(side.other())[1..], ["Moss", "2"], "{side:?}");
        assert_eq!(sides.erp[0], "Ahlgren AB");
        assert_eq!(sides.crm[0], "Ahlgren AS");
        assert_eq!(world.store.watermarks().unwrap(), marks, "{side:?}");
        // The other direction follows, as if nothing had been.
        let report = world.run();
        assert_eq!(report.inbox.len(), 1, "{report:#?}");
        assert_eq!(held(&world).crm[1..], ["Moss", "2"]);
        assert_eq!(held(&world).erp[1..], ["Moss", "2"]);
        assert_eq!(world.erp.column("customers", "name").len(), 3);
        assert_eq!(world.crm.column("accounts", "name").len(), 3);
        world.quiet();
    }
}

#[test]
fn a_table_that_does_not_go_there_is_left_out_and_named() {
    let mut world = contested();
    world.crm.put("users", 111, &[("mail", "new@a.example"), ("name", "New")]);
    let report = world.run_part(to(Side::Crm)).unwrap();
    assert_eq!(report.tables.len(), 1);
    let told = "left out by `--direction to_crm`: `people`, which writes only to the ERP";
    assert_eq!(report.notes.last().map(String::as_str), Some(told));
    assert!(world.erp.column("people", "name").is_empty());
}

#[test]
fn what_waits_for_the_other_direction_stays_in_the_inbox() {
    let mut world = World::settled();
    world.crm.put("accounts", 101, &[("phone", "2")]);
    *world.erp.refuses.lock().unwrap() = Some(Box::new(|_, _| Some("the record is locked".to_owned())));
    world.run();
    world.run();
    *world.erp.refuses.lock().unwrap() = None;
    let before = (world.store.inbox(None).unwrap(), world.store.refusals("customers").unwrap());
    assert_eq!((before.0[0].kind, before.1[0].times), (InboxKind::Skipped, 2));
    world.crm.put("accounts", 101, &[("phone", "3")]);
    let report = world.run_part(to(Side::Crm)).unwrap();
    assert_eq!(report.outcome, RunOutcome::Incomplete, "it waits still");
    assert_eq!((world.store.inbox(None).unwrap(), world.store.refusals("customers").unwrap()), before);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(world.erp.get("customers", 1, "phone"), "3");
}

#[test]
fn a_deletion_that_follows_the_other_way_waits() {
    for (answer, gone) in [("restore", Side::Erp), ("delete", Side::Crm)] {
        let text = CUSTOMERS.replace("first_sync: erp", &format!("first_sync: erp\n    on_delete: {answer}"));
        let mut world = World::settled_with(&format!("{PEOPLE}{text}"));
        world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
        world.run();
        match gone {
            Side::Erp => world.erp.delete("customers", 1),
            Side::Crm => world.crm.delete("accounts", 101),
        }
        let before = (world.erp.writes(), world.crm.writes());
        let report = world.run_part(to(Side::Crm)).unwrap();
        assert_eq!((world.erp.writes(), world.crm.writes()), before, "{answer}");
        assert!(report.inbox[0].message.contains("goes the other way than this run"), "{:#?}", report.inbox);
        assert_eq!(world.run().outcome, RunOutcome::Converged, "{answer}");
    }
}

#[test]
fn one_side_wins_and_the_loser_is_told() {
    for side in Side::BOTH {
        let mut world = contested();
        world.run();
        world.erp.put("customers", 1, &[("city", "Bergen")]);
        world.crm.put("accounts", 101, &[("phone", "3")]);
        let report = world.run_part(force(side, &["customers:C1"])).unwrap();
        assert_eq!(report.outcome, RunOutcome::Converged, "{report:#?}");
        let sides = held(&world);
        assert_eq!(sides.erp, sides.crm, "{side:?}");
        let expected = if side == Side::Crm { ["Ahlgren AB", "Bergen", "2"] } else { ["Ahlgren AS", "Moss", "3"] };
        assert_eq!(sides.erp, expected, "{side:?}");
        let lost: Vec<(&str, &str, &str)> = report.tables[0]
            .overwritten
            .iter()
            .map(|lost| (lost.field.as_str(), lost.old.as_str(), lost.new.as_str()))
            .collect();
        let expected = match side {
            Side::Crm => [("name", "Ahlgren AS", "Ahlgren AB"), ("phone", "3", "2")],
            Side::Erp => [("city", "Bergen", "Moss"), ("name", "Ahlgren AB", "Ahlgren AS")],
        };
        assert_eq!(lost, expected, "an edit that goes over anyway overwrites nobody");
        assert!(world.store.inbox(None).unwrap().is_empty());
        world.quiet();
    }
}

/// What a side refuses is tried again by the next runs, the way that a person wanted it and nobody else.
#[test]
fn who_was_to_win_still_does_when_the_loser_takes_it() {
    let text = CUSTOMERS.replace("{ erp: phone, crm: phone }", "{ erp: phone, crm: phone, on_conflict: erp }");
    let mut world = World::with(&format!("{PEOPLE}{text}"));
    let both = [("number", "C1"), ("name", "Ahlgren"), ("city", "Oslo"), ("phone", "1")];
    world.erp.put("customers", 1, &both);
    world.crm.put("accounts", 101, &[&both[..], &[("kind", "3")]].concat());
    world.run();
    // Customer 2 and account 102 are new to each other, and `first_sync: erp` would have it otherwise.
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl"), ("city", "Oslo"), ("phone", "1")]);
    world.crm.put("accounts", 102, &[("number", "C2"), ("name", "Dahl AS"), ("phone", "2"), ("kind", "3")]);
    world.erp.put("customers", 1, &[("phone", "8")]);
    world.crm.put("accounts", 101, &[("phone", "9")]);
    *world.erp.refuses.lock().unwrap() = Some(Box::new(|_, _| Some("the record is locked".to_owned())));
    let report = world.run_part(force(Side::Erp, &["customers:C1", "customers:C2"])).unwrap();
    assert_eq!(report.outcome, RunOutcome::Incomplete);
    *world.erp.refuses.lock().unwrap() = None;
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    let held = |id| ["name", "city", "phone"].map(|field| world.erp.get("customers", id, field));
    assert_eq!(held(1), ["Ahlgren", "Oslo", "9"]);
    assert_eq!(held(2), ["Dahl AS", "", "2"]);
    let held = |id: u128| ["name", "city", "phone"].map(|field| world.crm.get("accounts", 100 + id, field));
    assert_eq!(held(1), ["Ahlgren", "Oslo", "9"]);
    assert_eq!(held(2), ["Dahl AS", "", "2"]);
    world.quiet();
}

/// Also where that is a blank in place of a reference, which is nobody's deletion.
#[test]
fn a_blank_that_was_to_win_is_no_reference_that_a_deletion_cleared() {
    let text = CUSTOMERS.replace("direction: to_crm, blank: keep }", "direction: both }");
    let mut world = World::with(&format!("{PEOPLE}{text}"));
    world.erp.put("people", 11, &[("code", "AA"), ("email", "aa@a.example"), ("name", "A")]);
    world.crm.put("users", 111, &[("mail", "aa@a.example"), ("name", "A")]);
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl"), ("person", "AA")]);
    world.crm.put("accounts", 102, &[("number", "C2"), ("name", "Dahl AS"), ("kind", "3")]);
    world.run_part(only(&["people:AA"])).unwrap();
    *world.erp.refuses.lock().unwrap() = Some(Box::new(|_, _| Some("the record is locked".to_owned())));
    assert_eq!(world.run_part(force(Side::Erp, &["customers:C2"])).unwrap().outcome, RunOutcome::Incomplete);
    *world.erp.refuses.lock().unwrap() = None;
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!((world.erp.get("customers", 2, "person"), world.crm.get("accounts", 102, "owner")), Default::default());
    world.quiet();
}

#[test]
fn a_blank_wins_where_a_person_wants_it_and_a_field_with_an_owner_keeps_it() {
    let mut world = World::new();
    world.erp.put("customers", 1, &[("number", "C1"), ("name", "Ahlgren"), ("limit", "5")]);
    world.crm.put(
        "accounts",
        101,
        &[("number", "C1"), ("name", "Ahlgren"), ("phone", "7"), ("limit", "9"), ("kind", "3")],
    );
    let report = world.run_part(force(Side::Crm, &["customers:C1"])).unwrap();
    assert_eq!(report.outcome, RunOutcome::Converged, "{report:#?}");
    assert_eq!(world.crm.get("accounts", 101, "phone"), "");
    // Nobody agreed to any value of a new pair: what has an owner is lost as well.
    let lost = report.tables[0].overwritten.iter().map(|lost| (lost.old.as_str(), lost.new.as_str()));
    assert_eq!(lost.collect::<Vec<_>>(), [("9", "5"), ("7", "")]);
    world.crm.put("accounts", 101, &[("limit", "9")]);
    world.run_part(force(Side::Erp, &["customers:C1"])).unwrap();
    assert_eq!(
        (world.crm.get("accounts", 101, "limit"), world.erp.get("customers", 1, "limit")),
        ("5".into(), "5".into())
    );
    world.quiet();
}

#[test]
fn what_the_side_that_wins_loses_is_told_too() {
    let mut world = World::new();
    let customer = [("number", "C1"), ("name", "Ahlgren"), ("city", "Oslo"), ("phone", "1"), ("limit", "5")];
    world.erp.put("customers", 1, &customer);
    let account = [("number", "A1"), ("name", "Ahlgren"), ("city", "Oslo"), ("phone", "7"), ("limit", "9")];
    world.crm.put("accounts", 101, &account);
    world.crm.put("accounts", 101, &[("kind", "3")]);
    let lost = |report: &RunReport| -> Vec<(Side, String, String, String)> {
        let all = report.tables[0].overwritten.iter().cloned();
        all.map(|lost| (lost.to, lost.field, lost.old, lost.new)).collect()
    };
    let told = |to: Side, field: &str, old: &str, new: &str| (to, field.into(), old.into(), new.into());
    // Nobody agreed to any value of a new pair: what has an owner is lost there, whoever is to win in the others.
    let report = world.run_part(force(Side::Erp, &["customers:C1"])).unwrap();
    let expected =
        [told(Side::Crm, "limit", "9", "5"), told(Side::Crm, "number", "A1", "C1"), told(Side::Erp, "phone", "1", "7")];
    assert_eq!(lost(&report), expected);
    let lines = overwritten(&report.tables, &report.names, true);
    assert_eq!(
        lines,
        [
            "would be overwritten, as the CRM wins: 1 value",
            "  customers:C1 phone: the ERP loses `1` for `7`",
            "would be overwritten, as the ERP wins: 2 values",
            "  customers:C1 limit: the CRM loses `9` for `5`",
            "  customers:C1 number: the CRM loses `A1` for `C1`",
        ]
    );
    // What an owner's value is put back over was somebody's edit; a value that both agreed on was not.
    world.crm.put("accounts", 101, &[("limit", "8")]);
    world.erp.put("customers", 1, &[("number", "C2")]);
    let report = world.run_part(force(Side::Erp, &["customers:C2"])).unwrap();
    assert_eq!(lost(&report), [told(Side::Crm, "limit", "8", "5")]);
    // That the owner's value goes over is what a run does anyway, and nobody has to be asked for it there.
    world.crm.put("accounts", 101, &[("limit", "7")]);
    let report = world.run();
    assert_eq!((lost(&report), world.crm.get("accounts", 101, "limit")), (Vec::new(), "5".to_owned()));
}

#[test]
fn what_the_policy_of_a_field_decides_in_a_forced_run_is_told() {
    let text = CUSTOMERS.replace("erp: phone, crm: phone", "erp: phone, crm: phone, on_conflict: erp");
    let mut world = World::settled_with(&format!("{PEOPLE}{text}"));
    world.erp.put("customers", 1, &[("phone", "2")]);
    world.crm.put("accounts", 101, &[("phone", "3")]);
    let report = world.run_part(force(Side::Crm, &["customers:C1"])).unwrap();
    assert_eq!(world.crm.get("accounts", 101, "phone"), "2");
    let lost = report.tables[0].overwritten.iter().map(|lost| (lost.to, lost.old.as_str(), lost.new.as_str()));
    assert_eq!(lost.collect::<Vec<_>>(), [(Side::Crm, "3", "2")]);
}

#[test]
fn only_what_a_person_has_seen_is_overwritten() {
    let mut world = contested();
    world.selection = force(Side::Crm, &["customers:C1"]);
    let plan = world.attempt(true, &[], &mut |_| {}).unwrap();
    assert_eq!(world.crm.get("accounts", 101, "name"), "Ahlgren AS", "a plan writes nothing");
    let seen = plan.tables[0].overwritten.clone();
    assert_eq!(seen.len(), 2, "name and phone: {seen:#?}");
    // While the person thinks, somebody edits the name once more.
    world.crm.put("accounts", 101, &[("name", "Ahlgren Group")]);
    let agreed = Selection {
        force: Some(Force { to: Side::Crm, seen: Some(seen.into_iter().collect()) }),
        ..only(&["customers:C1"])
    };
    let report = world.run_part(agreed).unwrap();
    assert_eq!(held(&world).crm, ["Ahlgren Group", "Moss", "1"]);
    assert_eq!(report.tables[0].selected[0].standing, Standing::Waits(InboxKind::Contested));
}

#[test]
fn what_was_edited_while_a_person_thought_is_lost_to_nobody() {
    // A new pair: what is not forced goes by `first_sync` and by the owner of the field, which overwrite as well.
    let mut world = World::new();
    let values = [("number", "C1"), ("name", "Ahlgren"), ("phone", "5"), ("limit", "5")];
    world.erp.put("customers", 1, &values);
    world.crm.put("accounts", 101, &values);
    world.crm.put("accounts", 101, &[("name", "Ahlgren AS"), ("phone", "7"), ("limit", "9"), ("kind", "3")]);
    world.selection = force(Side::Erp, &["customers:C1"]);
    let plan = world.attempt(true, &[], &mut |_| {}).unwrap();
    let seen = plan.tables[0].overwritten.clone();
    assert_eq!(seen.len(), 3, "name, phone and limit: {seen:#?}");
    world.crm.put("accounts", 101, &[("limit", "10")]);
    world.erp.put("customers", 1, &[("phone", "6")]);
    let agreed = Selection {
        force: Some(Force { to: Side::Erp, seen: Some(seen.into_iter().collect()) }),
        ..only(&["customers:C1"])
    };
    let report = world.run_part(agreed).unwrap();
    let field = |field: &str| (world.erp.get("customers", 1, field), world.crm.get("accounts", 101, field));
    let both = |erp: &str, crm: &str| (erp.to_owned(), crm.to_owned());
    assert_eq!(field("name"), both("Ahlgren AS", "Ahlgren AS"), "what was agreed to is done");
    assert_eq!(field("phone"), both("6", "7"));
    assert_eq!(field("limit"), both("5", "10"));
    let waits: Vec<(&str, &str)> =
        report.inbox.iter().map(|item| (item.field.as_deref().unwrap(), item.message.as_str())).collect();
    let not_shown = "the CRM would lose a value that nobody was shown before this was agreed to; the next run decides";
    assert_eq!(waits, [("phone", not_shown), ("limit", not_shown)], "{report:#?}");
    assert_eq!(report.outcome, RunOutcome::Incomplete);
    // Another run is asked for nothing.
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!((world.crm.get("accounts", 101, "phone"), world.crm.get("accounts", 101, "limit")), both("6", "5"));
}

#[test]
fn a_forced_run_over_a_whole_table_obeys_its_guard() {
    let text = CUSTOMERS.replace("first_sync: erp", "first_sync: erp\n    guard: { update: 1 }");
    let mut world = World::settled_with(&format!("{PEOPLE}{text}"));
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    world.run();
    let ids: Vec<u128> = world.store.couplings("customers", &[]).unwrap().crm.iter().map(|id| id.as_u128()).collect();
    for id in ids {
        world.crm.put("accounts", id, &[("phone", "9")]);
    }
    let before = world.crm.writes();
    let report = world.run_part(force(Side::Crm, &[])).unwrap();
    assert_eq!((report.outcome, world.crm.writes()), (RunOutcome::Guarded, before), "{report:#?}");
    assert!(report.tables.iter().all(|table| table.overwritten.is_empty()));
    // Nor does it go the other way where a person agreed to what was shown before.
    world.selection = force(Side::Crm, &[]);
    let plan = world.attempt(true, &[], &mut |_| {}).unwrap();
    let seen: Vec<Overwritten> = plan.tables.iter().flat_map(|table| table.overwritten.clone()).collect();
    assert_eq!(seen.len(), 2, "{plan:#?}");
    let before = (world.erp.writes(), world.crm.writes());
    let agreed = Selection {
        force: Some(Force { to: Side::Crm, seen: Some(seen.into_iter().collect()) }),
        ..Selection::default()
    };
    assert_eq!(world.run_part(agreed).unwrap().outcome, RunOutcome::Guarded);
    assert_eq!((world.erp.writes(), world.crm.writes()), before);
}

#[test]
fn what_a_side_makes_of_a_value_that_was_forced_on_it_stands() {
    for (to, silent) in [(Side::Crm, false), (Side::Crm, true), (Side::Erp, false), (Side::Erp, true)] {
        let mut world = World::settled();
        let (side, refilled) = if to == Side::Crm { (&world.crm, "accounts") } else { (&world.erp, "customers") };
        *side.hook.lock().unwrap() = Some(Box::new(move |table, record| {
            let phone = record.get("phone").cloned().unwrap_or(Value::Null);
            if table == refilled && phone.is_blank() {
                record.insert("phone".to_owned(), Value::Text("0".to_owned()));
            }
        }));
        // Silent answers do not tell what the side made of it: it has to be read, and so might be somebody's edit.
        side.silent.store(silent, Ordering::Relaxed);
        if to == Side::Crm {
            world.erp.put("customers", 1, &[("phone", "")]);
        } else {
            world.crm.put("accounts", 101, &[("phone", "")]);
        }
        let report = world.run_part(force(to, &["customers:C1"])).unwrap();
        assert_eq!(report.outcome, RunOutcome::Converged, "{to:?} {silent}: {report:#?}");
        let writes = PerSide { erp: world.erp.writes(), crm: world.crm.writes() };
        assert_eq!((*writes.of(to), *writes.of(to.other())), (1, usize::from(silent)), "{to:?} {silent}");
        assert_eq!(report.tables[0].overwritten, [], "{to:?} {silent}");
        let phones =
            PerSide { erp: world.erp.get("customers", 1, "phone"), crm: world.crm.get("accounts", 101, "phone") };
        // As in any run: what was read goes over as an edit, what the answer told is known to be the side's own.
        let there = if silent { "0" } else { "" };
        assert_eq!((phones.of(to).as_str(), phones.of(to.other()).as_str()), ("0", there), "{to:?} {silent}");
        let told = format!(
            "phone: the {} holds `0` where blank was written (customers:C1); it is not overwritten again",
            to.name()
        );
        assert_eq!(report.tables[0].notes, [told], "{to:?} {silent}");
        world.quiet();
        world.quiet();
        let report = world.run_part(force(to, &["customers:C1"])).unwrap();
        assert_eq!(report.outcome, RunOutcome::Converged, "{to:?} {silent}: {report:#?}");
        assert_eq!(PerSide { erp: world.erp.writes(), crm: world.crm.writes() }, writes, "{to:?} {silent}");
    }
}
