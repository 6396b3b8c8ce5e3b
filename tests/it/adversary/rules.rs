//! One promise, one accident each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use pipeline::config::{Limit, Side};
use pipeline::frame::Value;
use pipeline::plan::ActionKind;
use pipeline::run::account::{RunOutcome, RunReport};
use pipeline::store::{InboxKind, Store};

use crate::memory::Accident;
use crate::rules::{CUSTOMERS, PEOPLE, World};

/// The customers table with some of its lines replaced.
fn customers(replacements: &[(&str, &str)]) -> String {
    let mut text = format!("{PEOPLE}{CUSTOMERS}");
    for (from, to) in replacements {
        assert!(text.contains(from), "no `{from}` in the file");
        text = text.replace(from, to);
    }
    text
}

const SERIES: &str = "    on_create: [ { side: erp, set: { code: \"next_number('SP', 3)\" } } ]\n";

const OWNER: &str = "{ erp: person, crm: owner, ref: { table: people, erp: code }, direction: to_crm, blank: keep }";

/// A pair of salesperson and user, coupled by their mail.
fn add_person(world: &World, number: u128, code: &str) {
    let mail = format!("{code}@a.example");
    world.erp.put("people", 10 + number, &[("code", code), ("email", &mail), ("name", code)]);
    world.crm.put("users", 110 + number, &[("mail", &mail), ("name", code)]);
}

fn user(number: u128) -> String {
    uuid::Uuid::from_u128(110 + number).to_string()
}

fn table<'a>(report: &'a RunReport, name: &str) -> &'a pipeline::run::account::TableReport {
    report.tables.iter().find(|table| table.table == name).unwrap()
}

#[test]
fn a_refused_record_is_tried_and_named_once() {
    let mut world = World::settled();
    *world.crm.refuses.lock().unwrap() = Some(Box::new(|_, _| Some("no such day".into())));
    world.erp.put("customers", 1, &[("name", "Ahlgren Marine")]);
    world.crm.put("accounts", 101, &[("phone", "2")]);
    let report = world.run();
    assert_eq!(world.erp.get("customers", 1, "phone"), "2", "what the CRM refuses holds nothing else up");
    assert_eq!(world.crm.attempts.load(Ordering::Relaxed), 1);
    assert_eq!(report.inbox.len(), 1, "{:#?}", report.inbox);
    assert_eq!(table(&report, "customers").to.crm.failed, 1);
}

#[test]
fn what_waits_in_the_second_step_keeps_its_age() {
    let mut world = World::settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl"), ("parent", "C9")]);
    for attempts in 1..=3 {
        let report = world.run();
        assert_eq!(report.inbox.len(), 1, "{:#?}", report.inbox);
        assert_eq!(world.store.inbox(None).unwrap()[0].attempts, attempts);
        assert_eq!(report.inbox[0].attempts, attempts);
    }
}

#[test]
fn a_cleared_reference_is_filled_as_soon_as_it_resolves() {
    for direction in ["direction: to_crm, on_unresolved: clear", "on_unresolved: clear"] {
        let owner = OWNER.replace("direction: to_crm, blank: keep", direction);
        let mut world = World::settled_with(&customers(&[(OWNER, &owner)]));
        add_person(&world, 1, "AA");
        world.erp.put("customers", 1, &[("person", "AA")]);
        assert_eq!(world.run().outcome, RunOutcome::Converged, "{direction}");
        assert_eq!(world.crm.get("accounts", 101, "owner"), user(1), "{direction}");
        // Nobody in the CRM has this mail yet.
        world.erp.put("people", 12, &[("code", "BB"), ("email", "BB@a.example"), ("name", "BB")]);
        world.erp.put("customers", 1, &[("person", "BB")]);
        world.run();
        assert_eq!(world.crm.get("accounts", 101, "owner"), "", "{direction}");
        assert_eq!(world.erp.get("customers", 1, "person"), "BB", "{direction}");
        world.quiet();
        add_person(&world, 2, "BB");
        world.run();
        assert_eq!(world.crm.get("accounts", 101, "owner"), user(2), "{direction}");
        world.quiet();
    }
}

#[test]
fn a_cleared_reference_is_filled_again_with_what_it_was() {
    for direction in ["direction: to_crm, on_unresolved: clear", "on_unresolved: clear"] {
        let owner = OWNER.replace("direction: to_crm, blank: keep", direction);
        let mut world = World::settled_with(&customers(&[(OWNER, &owner)]));
        add_person(&world, 1, "AA");
        world.erp.put("customers", 1, &[("person", "AA")]);
        world.run();
        world.erp.put("customers", 1, &[("person", "BB")]);
        world.run();
        assert_eq!(world.crm.get("accounts", 101, "owner"), "", "{direction}");
        world.erp.put("customers", 1, &[("person", "AA")]);
        world.run();
        assert_eq!(world.crm.get("accounts", 101, "owner"), user(1), "{direction}");
    }
}

#[test]
fn a_field_that_waits_for_its_reference_is_still_contested() {
    let owner = OWNER.replace("direction: to_crm, blank: keep", "on_unresolved: keep");
    let mut world = World::settled_with(&customers(&[(OWNER, &owner)]));
    for (number, code) in [(1, "AA"), (3, "CC")] {
        add_person(&world, number, code);
    }
    world.erp.put("customers", 1, &[("person", "AA")]);
    world.run();
    assert_eq!(world.crm.get("accounts", 101, "owner"), user(1));
    world.erp.put("customers", 1, &[("person", "BB")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged, "it stays as it is");
    world.crm.put("accounts", 101, &[("owner", &user(3))]);
    add_person(&world, 2, "BB");
    let report = world.run();
    assert_eq!(world.crm.get("accounts", 101, "owner"), user(3), "nobody's edit is overwritten (I6)");
    assert_eq!(report.inbox.len(), 1, "{:#?}", report.inbox);
    assert_eq!(report.inbox[0].kind, InboxKind::Contested);
}

#[test]
fn the_plan_holds_the_second_step_of_new_records() {
    let mut world = World::settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Daughter"), ("parent", "C3")]);
    world.erp.put("customers", 3, &[("number", "C3"), ("name", "Mother"), ("parent", "C1")]);
    world.erp.put("customers", 1, &[("name", "Ahlgren Marine"), ("parent", "C3")]);
    let planned = world.run_as(true);
    let done = world.run();
    assert_eq!(done.outcome, RunOutcome::Converged, "{:#?}", done.inbox);
    let actions = |report: &RunReport| {
        let told = report.plan.actions().map(|action| {
            let fields: Vec<_> = action.fields.iter().map(|field| (field.column.clone(), field.new.clone())).collect();
            (action.kind.key(), action.ids, action.side, action.etag.clone(), fields)
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(actions(&planned), actions(&done), "the plan is the run (I8)");
    assert_eq!(planned.plan, done.plan);
    let counts = |report: &RunReport| -> Vec<_> {
        report.tables.iter().map(|table| (table.to, table.coupled, table.new_couplings)).collect()
    };
    assert_eq!(counts(&planned), counts(&done));
    world.quiet();
}

#[test]
fn a_plan_after_a_crash_is_the_run_after_it() {
    let mut world = World::settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    world.erp.put("customers", 3, &[("number", "C3"), ("name", "Eide")]);
    *world.crm.crash_after.lock().unwrap() = Some(1);
    assert!(catch_unwind(AssertUnwindSafe(|| world.run())).is_err());
    *world.crm.crash_after.lock().unwrap() = None;
    assert_eq!(world.crm.writes(), 1);
    let planned = world.run_as(true);
    let done = world.run();
    assert_eq!(planned.plan, done.plan, "the plan is the run (I8)");
    assert_eq!(world.crm.column("accounts", "name").len(), 3);
    world.quiet();
}

#[test]
fn a_running_number_counts_past_records_outside_the_filter() {
    let people = "erp: { table: people, label: code, filter: \"name <> 'Gone'\" }";
    let mut world = World::with(&customers(&[("erp: { table: people, label: code }", people)]));
    add_person(&world, 1, "SP007");
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    world.erp.put("people", 11, &[("name", "Gone")]);
    world.crm.put("users", 112, &[("mail", "new@a.example"), ("name", "New")]);
    world.run();
    let mut codes = world.erp.column("people", "code");
    codes.sort();
    assert_eq!(codes, ["SP007", "SP008"]);
}

#[test]
fn matching_reaches_its_end_in_one_run() {
    let mut world = World::new();
    // By number A and B could be X and Y; name and city tell A and X; what is left is unique.
    world.erp.put("customers", 1, &[("number", "N"), ("name", "A"), ("city", "Oslo")]);
    world.erp.put("customers", 2, &[("number", "N"), ("name", "B"), ("city", "Oslo")]);
    world.crm.put("accounts", 101, &[("number", "N"), ("name", "A"), ("city", "Oslo"), ("kind", "3")]);
    world.crm.put("accounts", 102, &[("number", "N"), ("name", "Y"), ("city", "Oslo"), ("kind", "3")]);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    assert_eq!(world.crm.column("accounts", "name"), ["A", "B"]);
    world.quiet();
}

#[test]
fn references_to_a_table_that_failed_are_left_alone() {
    let circle = PEOPLE.to_owned()
        + "      - { erp: home, crm: home, ref: { table: customers, erp: number }, on_unresolved: clear, direction: to_crm }\n"
        + CUSTOMERS;
    let circle = circle.replacen("direction: to_erp\n    create: to_erp", "direction: both\n    create: to_erp", 1);
    let mut world = World::settled_with(&circle);
    add_person(&world, 1, "AA");
    world.erp.put("people", 11, &[("home", "C1")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    let home = world.crm.get("users", 111, "home");
    assert_ne!(home, "");
    world.crm.unreadable.lock().unwrap().push("accounts".into());
    world.erp.put("people", 11, &[("name", "Anna")]);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Incomplete);
    assert_eq!(world.crm.get("users", 111, "home"), home, "nothing is known of the other table");
    assert!(table(&report, "people").error.as_ref().is_some_and(|error| error.contains("customers")));
    world.crm.unreadable.lock().unwrap().clear();
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(world.crm.get("users", 111, "home"), home);
}

#[test]
fn a_partner_that_is_gone_is_nobodys_reference() {
    let mut world = World::settled();
    add_person(&world, 1, "AA");
    add_person(&world, 2, "BB");
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    world.crm.delete("users", 111);
    world.erp.put("customers", 1, &[("person", "AA")]);
    let report = world.run();
    assert_eq!(world.crm.get("accounts", 101, "owner"), "");
    let messages: Vec<&str> = report.inbox.iter().map(|item| item.message.as_str()).collect();
    assert!(messages.iter().any(|message| message.ends_with("people:AA is not coupled")), "{messages:?}");
}

#[test]
fn a_changed_file_takes_effect_on_settled_records() {
    let state = |value: u8| customers(&[("{ crm: kind, value: 3 }", &format!("{{ crm: state, value: {value} }}"))]);
    let mut world = World::settled_with(&customers(&[]));
    for value in [4, 5] {
        world.pipeline = crate::fixture::pipeline(&state(value));
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        assert_eq!(world.crm.get("accounts", 101, "state"), value.to_string());
        world.quiet();
    }
}

#[test]
fn a_reference_follows_its_partner() {
    let mut world = World::settled();
    add_person(&world, 1, "AA");
    world.erp.put("customers", 1, &[("person", "AA")]);
    world.run();
    assert_eq!(world.crm.get("accounts", 101, "owner"), user(1));
    // The salesperson is another user now: under the same code, by another mail.
    world.erp.delete("people", 11);
    world.crm.delete("users", 111);
    world.erp.put("people", 12, &[("code", "AA"), ("email", "new@a.example"), ("name", "AA")]);
    world.crm.put("users", 112, &[("mail", "new@a.example"), ("name", "AA")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(world.crm.get("accounts", 101, "owner"), user(2));
    world.quiet();
}

#[test]
fn a_record_that_exists_under_our_id_is_merged_not_trusted() {
    let alone = customers(&[(
        "    match: [ { by: { number: number } }, { by: { name: name, city: city } } ]\n    first_sync: erp\n",
        "",
    )]);
    let mut world = World::with(&alone);
    world.erp.put("customers", 1, &[("number", "C1"), ("name", "Ahlgren"), ("phone", "1")]);
    world.run();
    // The state is lost, and people go on.
    let fresh = World::with(&alone);
    world.store = fresh.store;
    world.erp.put("customers", 1, &[("name", "Ahlgren Marine"), ("phone", "2")]);
    // Nothing tells that the ERP's record is the CRM's: the CRM's own would be made there.
    world.pipeline = crate::fixture::pipeline(&alone.replace("create: both", "create: to_crm"));
    let counts = |report: &RunReport| {
        let customers = table(report, "customers");
        (customers.new_couplings, customers.coupled)
    };
    assert_eq!(counts(&world.run_as(true)), (1, 1));
    // What a guard stops is not coupled.
    let guard = world.pipeline.tables[0].guard.create.replace(Limit::Number(0));
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    let stopped = world.run();
    assert_eq!((stopped.outcome, counts(&stopped)), (RunOutcome::Guarded, (0, 0)));
    assert_eq!(table(&stopped, "customers").coupled_anew(), 0);
    world.erp.delete("customers", 2);
    world.pipeline.tables[0].guard.create = guard;
    let report = world.run();
    assert_eq!(counts(&report), (1, 1));
    assert_eq!(world.crm.column("accounts", "name").len(), 1);
    let fields: Vec<_> = report.inbox.iter().map(|item| (item.kind, item.field.as_deref())).collect();
    assert_eq!(fields, [(InboxKind::Contested, Some("name")), (InboxKind::Contested, Some("phone"))]);
    world.quiet();
}

#[test]
fn false_is_a_value_where_the_value_map_names_it() {
    let mapped = "{ erp: flag, crm: state, values: { \"false\": 1, \"true\": 2 } }";
    let mut world = World::with(&customers(&[("{ erp: phone, crm: phone }", mapped)]));
    world.erp.put("customers", 1, &[("number", "C1"), ("name", "Ahlgren"), ("flag", "false")]);
    world.crm.put("accounts", 101, &[("number", "C1"), ("name", "Ahlgren"), ("kind", "3"), ("state", "2")]);
    world.run();
    assert_eq!(world.crm.get("accounts", 101, "state"), "1", "`first_sync: erp`, and the ERP is not blank");
    assert_eq!(world.erp.get("customers", 1, "flag"), "false");
    world.quiet();
}

#[test]
fn sides_that_never_agree_are_named() {
    let mut world = World::settled_with(&customers(&[(
        "{ erp: phone, crm: phone }",
        "{ erp: phone, crm: phone, direction: to_erp }",
    )]));
    // Each write makes the CRM fill in another phone, which the CRM owns; each write makes the ERP fill in a city.
    let count = std::sync::atomic::AtomicUsize::new(10);
    *world.crm.hook.lock().unwrap() = Some(Box::new(move |_, record| {
        record.insert("phone".into(), Value::Text(count.fetch_add(1, Ordering::Relaxed).to_string()));
    }));
    let count = std::sync::atomic::AtomicUsize::new(10);
    *world.erp.hook.lock().unwrap() = Some(Box::new(move |_, record| {
        let limit = count.fetch_add(1, Ordering::Relaxed).to_string();
        record.insert("limit".into(), Value::Decimal(limit.parse().unwrap()));
    }));
    world.erp.put("customers", 1, &[("limit", "1")]);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Incomplete);
    assert_eq!(report.inbox.len(), 1, "{:#?}", report.inbox);
    assert!(report.inbox[0].message.contains("customers:C1"), "{}", report.inbox[0].message);
}

#[test]
fn an_edit_right_after_our_write_survives() {
    let mut world = World::settled();
    world.crm.silent.store(true, Ordering::Relaxed);
    world.erp.put("customers", 1, &[("name", "Ahlgren Marine")]);
    let edits = [("accounts", 101, "name", "Ahlgren AS".to_owned()), ("accounts", 101, "phone", "2".to_owned())];
    world.crm.afterwards.lock().unwrap().extend(edits);
    world.run();
    world.run();
    assert_eq!(world.crm.get("accounts", 101, "name"), "Ahlgren AS");
    assert_eq!(world.erp.get("customers", 1, "name"), "Ahlgren AS");
    assert_eq!(world.erp.get("customers", 1, "phone"), "2");
    world.quiet();
}

#[test]
fn an_edit_right_before_our_write_survives() {
    let mut world = World::settled();
    world.erp.put("customers", 1, &[("name", "Ahlgren Marine")]);
    let edits = [("accounts", 101, "name", "Ahlgren AS".to_owned()), ("accounts", 101, "phone", "2".to_owned())];
    world.crm.meanwhile.lock().unwrap().extend(edits);
    let report = world.run();
    assert_eq!(report.inbox.len(), 1, "{:#?}", report.inbox);
    assert_eq!(report.inbox[0].kind, InboxKind::Contested);
    assert_eq!(world.crm.get("accounts", 101, "name"), "Ahlgren AS");
    assert_eq!(world.erp.get("customers", 1, "name"), "Ahlgren Marine");
    assert_eq!(world.erp.get("customers", 1, "phone"), "2");
}

#[test]
fn a_record_that_leaves_the_filter_during_the_run_is_left_alone() {
    let mut world = World::settled();
    world.erp.put("customers", 1, &[("name", "Ahlgren Marine")]);
    world.crm.meanwhile.lock().unwrap().push(("accounts", 101, "kind", "10".to_owned()));
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    assert_eq!(world.crm.get("accounts", 101, "name"), "Ahlgren");
    assert_eq!(world.crm.writes(), 0);
    let to_crm = table(&report, "customers").to.crm;
    assert_eq!((to_crm.skipped, to_crm.unchanged, to_crm.modified), (1, 0, 0));
    world.crm.put("accounts", 101, &[("kind", "3")]);
    world.run();
    assert_eq!(world.crm.get("accounts", 101, "name"), "Ahlgren Marine");
}

#[test]
fn every_row_is_counted_once() {
    let quiet = customers(&[("create: both", "create: to_crm"), ("create: to_erp", "create: none"), (SERIES, "")]);
    let mut world = World::settled_with(&quiet);
    // A doubt, a blank, one that nothing is made of, one to be made, one to be changed.
    for (id, name) in [(102, "Twin"), (103, "twin"), (104, ""), (105, "Solo")] {
        world.crm.put("accounts", id, &[("name", name), ("city", "Oslo"), ("kind", "3")]);
    }
    world.crm.put("accounts", 104, &[("city", "")]);
    world.erp.put("customers", 2, &[("name", "Twin"), ("city", "Oslo")]);
    world.erp.put("customers", 3, &[("number", "C3"), ("name", "New")]);
    world.erp.put("customers", 4, &[("phone", "4")]);
    world.erp.put("customers", 1, &[("phone", "9")]);
    world.erp.put("people", 21, &[("name", "No mail")]);
    world.crm.put("users", 121, &[("name", "No mail either")]);
    for dry_run in [true, false, false] {
        let report = world.run_as(dry_run);
        for table in &report.tables {
            for to in Side::BOTH {
                let map = world.pipeline.tables.iter().find(|map| map.name == table.table).unwrap();
                if map.direction.writes(to) {
                    let counts = table.to.of(to);
                    let sum = counts.inserted + counts.modified + counts.unchanged + counts.skipped + counts.failed;
                    assert_eq!(sum, *table.rows.of(to.other()), "{} to {}: {counts:?}", table.table, to.name());
                }
            }
        }
        let people: Vec<_> = report.inbox.iter().filter(|item| item.table == "people").collect();
        assert!(people.is_empty(), "nothing is made of people, so a blank mail waits for nobody: {people:#?}");
    }
}

#[test]
fn a_stopped_run_forgets_nothing_that_waits() {
    let mut world = World::settled();
    *world.crm.refuses.lock().unwrap() =
        Some(Box::new(|_, write| (write.id.as_u128() == 101).then(|| "no such day".into())));
    world.erp.put("customers", 1, &[("name", "Ahlgren Marine")]);
    add_person(&world, 1, "AA");
    world.run();
    assert_eq!(world.store.inbox(None).unwrap().len(), 1);
    world.crm.put("users", 111, &[("name", "Anna")]);
    let world_stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    world.stop = world_stop.clone();
    *world.erp.stops.lock().unwrap() = Some(Box::new(move || world_stop.store(true, Ordering::Relaxed)));
    assert_eq!(world.run().outcome, RunOutcome::Interrupted);
    assert_eq!(world.store.inbox(None).unwrap().len(), 1);
    // Stopped within the very table.
    world.stop.store(false, Ordering::Relaxed);
    let stop = world.stop.clone();
    for number in 2..9 {
        world.erp.put("customers", number, &[("number", &format!("A{number}")), ("name", "New")]);
    }
    world.crm.put("accounts", 101, &[("phone", "7")]);
    *world.crm.stops.lock().unwrap() = Some(Box::new(move || stop.store(true, Ordering::Relaxed)));
    assert_eq!(world.run().outcome, RunOutcome::Interrupted);
    assert_eq!(world.store.inbox(None).unwrap().len(), 1);
}

#[test]
fn a_lost_answer_is_counted_as_what_it_was() {
    let mut world = World::settled();
    world.erp.put("customers", 1, &[("name", "Ahlgren Marine")]);
    world.crm.accidents.lock().unwrap().push(Accident::AnswerLost);
    let report = world.run();
    let to_crm = table(&report, "customers").to.crm;
    assert_eq!((to_crm.modified, to_crm.unchanged), (1, 0));
}

#[test]
fn what_the_server_makes_of_a_value_is_not_an_edit() {
    let mut world = World::settled();
    let shout = |record: &mut std::collections::BTreeMap<String, Value>| {
        for column in ["name", "city"] {
            if let Some(Value::Text(text)) = record.get(column).cloned() {
                record.insert(column.into(), Value::Text(text.to_uppercase()));
            }
        }
        record.entry("phone".into()).or_insert_with(|| Value::Text("none".into()));
    };
    *world.crm.hook.lock().unwrap() = Some(Box::new(move |_, record| shout(record)));
    world.erp.put("customers", 1, &[("name", "Ahlgren Marine")]);
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(world.erp.column("customers", "name"), ["Ahlgren Marine", "Dahl"]);
    assert_eq!(world.crm.get("accounts", 101, "name"), "AHLGREN MARINE");
    world.quiet();
    world.crm.put("accounts", 101, &[("city", "Moss")]);
    world.run();
    assert_eq!(world.erp.get("customers", 1, "city"), "Moss");
    world.quiet();
}

#[test]
fn a_renamed_key_leads_nowhere() {
    let codes =
        customers(&[("{ erp: email, crm: mail }", "{ erp: email, crm: mail }\n      - { erp: code, crm: name }")])
            .replace("- { erp: name, crm: name }\n\n  customers", "\n  customers");
    let mut world = World::with(&codes.replace("      - { erp: name, crm: name }\n\n", "\n"));
    add_person(&world, 1, "AA");
    world.run();
    // The CRM names the people: AA becomes BB during this very run.
    world.crm.put("users", 111, &[("name", "BB")]);
    world.erp.put("customers", 1, &[("number", "C1"), ("name", "Ahlgren"), ("person", "AA")]);
    let planned = world.run_as(true);
    let report = world.run();
    assert_eq!(world.erp.get("people", 11, "code"), "BB");
    let messages: Vec<&str> = report.inbox.iter().map(|item| item.message.as_str()).collect();
    assert_eq!(messages, ["customers:C1 cannot go to the CRM: person: people:AA is not coupled"]);
    assert_eq!(planned.plan, report.plan, "the plan is the run (I8)");
}

#[test]
fn a_crash_between_coupling_and_base_loses_nothing() {
    for writes in 0..6 {
        let mut world = World::settled();
        world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl"), ("parent", "C1")]);
        world.erp.put("customers", 3, &[("number", "C3"), ("name", "Eide")]);
        world.erp.put("customers", 1, &[("name", "Ahlgren Marine")]);
        world.crm.put("accounts", 101, &[("phone", "2")]);
        *world.crm.crash_after.lock().unwrap() = Some(writes);
        let died = catch_unwind(AssertUnwindSafe(|| world.run())).is_err();
        *world.crm.crash_after.lock().unwrap() = None;
        assert_eq!(died, writes < 4, "after {writes} writes");
        let report = world.run();
        assert_eq!(report.outcome, RunOutcome::Converged, "after {writes} writes: {:#?}", report.inbox);
        assert_eq!(world.crm.column("accounts", "number").len(), 3);
        assert_eq!(world.erp.get("customers", 1, "phone"), "2");
        assert_eq!(world.crm.get("accounts", 101, "name"), "Ahlgren Marine");
        world.quiet();
    }
}

#[test]
fn thousands_of_equal_keys_are_no_burden() {
    let mut world = World::new();
    for number in 0..1_500_u128 {
        world.erp.put("customers", number, &[("name", "Cash"), ("city", "Oslo")]);
        world.crm.put("accounts", 10_000 + number, &[("name", "Cash"), ("city", "Oslo"), ("kind", "3")]);
    }
    let report = world.run_as(true);
    assert_eq!(report.plan.actions().filter(|action| action.kind == ActionKind::Insert).count(), 0);
    assert_eq!(report.inbox.len(), 3_000);
}
