//! What a field with an owner does with changes on its other side (`drift`), and with texts too long for it (`fit`).

use pipeline::plan::Drifted;
use pipeline::run::account::{RunOutcome, RunReport};
use pipeline::store::InboxKind;

use crate::rules::{CUSTOMERS, PEOPLE, World};

/// The customers table with some of its lines replaced, the last place where each stands.
fn customers(replacements: &[(&str, &str)]) -> String {
    let mut text = format!("{PEOPLE}{CUSTOMERS}");
    for (from, to) in replacements {
        let at = text.rfind(from).unwrap();
        text.replace_range(at..at + from.len(), to);
    }
    text
}

fn drifted(report: &RunReport) -> Vec<(&str, &str, &str)> {
    let all = report.plan.tables.iter().flat_map(|table| &table.drifted);
    all.map(|Drifted { column, held, owned, .. }| (column.as_str(), held.as_str(), owned.as_str())).collect()
}

#[test]
fn a_change_on_the_side_that_does_not_own_a_field() {
    for (drift, stays, tells) in [("restore", false, false), ("leave", true, false), ("report", true, true)] {
        let limit = format!("{{ erp: limit, crm: limit, direction: to_crm, drift: {drift} }}");
        let memo = format!("{{ crm: memo, value: ours, drift: {drift} }}\n      - {{ crm: kind, value: 3 }}");
        let tables =
            customers(&[("{ erp: limit, crm: limit, direction: to_crm }", &limit), ("{ crm: kind, value: 3 }", &memo)]);
        let mut world = World::with(&tables);
        world.erp.put("customers", 1, &[("number", "C1"), ("name", "Ahlgren"), ("limit", "5")]);
        world.crm.put("accounts", 101, &[("number", "C1"), ("kind", "3"), ("limit", "4"), ("memo", "old")]);
        let crm = |world: &World| (world.crm.get("accounts", 101, "limit"), world.crm.get("accounts", 101, "memo"));
        let pair = |limit: &str, memo: &str| (limit.to_owned(), memo.to_owned());
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        assert_eq!(crm(&world), pair("5", "ours"), "{drift}: before anything was agreed the owner fills it");

        world.crm.put("accounts", 101, &[("limit", "9"), ("memo", "theirs")]);
        for night in 0..3 {
            let planned = world.run_as(true);
            let report = world.run();
            assert_eq!(planned.plan, report.plan, "{drift}, night {night}");
            assert_eq!(report.outcome, RunOutcome::Converged, "{drift}, night {night}: a report is no failure");
            assert_eq!(
                crm(&world),
                if stays { pair("9", "theirs") } else { pair("5", "ours") },
                "{drift}, night {night}"
            );
            let expected = [("limit", "9", "5"), ("memo", "theirs", "ours")];
            assert_eq!(drifted(&report), if tells { &expected[..] } else { &[] }, "{drift}, night {night}");
            // Other fields of the record flow.
            world.erp.put("customers", 1, &[("phone", &format!("{night}"))]);
        }
        world.erp.put("customers", 1, &[("limit", "6")]);
        let report = world.run();
        assert_eq!(crm(&world).0, "6", "{drift}: the owner moved");
        assert_eq!(drifted(&report).len(), usize::from(tells), "{drift}");
        world.quiet();
    }
}

#[test]
fn what_was_left_is_put_back_where_the_file_changes_its_mind() {
    let with = |drift: &str| {
        let limit = format!("{{ erp: limit, crm: limit, direction: to_crm, drift: {drift} }}");
        crate::fixture::pipeline(&customers(&[("{ erp: limit, crm: limit, direction: to_crm }", &limit)]))
    };
    let mut world = World::settled();
    world.erp.put("customers", 1, &[("limit", "5")]);
    world.run();
    for drift in ["leave", "report"] {
        world.pipeline = with(drift);
        world.crm.put("accounts", 101, &[("limit", "9")]);
        world.quiet();
        world.quiet();
        world.pipeline = with("restore");
        world.run();
        assert_eq!(world.crm.get("accounts", 101, "limit"), "5", "{drift}");
    }
}

#[test]
fn a_text_that_does_not_fit_fails_its_record() {
    let mut world = World::settled();
    world.crm.limit("accounts", "name", 10);
    world.erp.put("customers", 1, &[("name", "Ahlgren Marine"), ("city", "Moss")]);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Incomplete);
    let told: Vec<_> = report.inbox.iter().map(|item| (item.kind, item.message.as_str())).collect();
    let message = "customers:C1 cannot go to the CRM: name: `Ahlgren Marine` has 14 characters, `name` takes 10";
    assert_eq!(told, [(InboxKind::Failed, message)]);
    assert_eq!(world.crm.get("accounts", 101, "city"), "Oslo", "a record is not written by halves");
}

#[test]
fn a_text_that_is_cut_stays_whole_where_it_was_written() {
    let cut = customers(&[("{ erp: name, crm: name }", "{ erp: name, crm: name, fit: truncate }")]);
    let names = |world: &World| (world.erp.get("customers", 1, "name"), world.crm.get("accounts", 101, "name"));
    let pair = |erp: &str, crm: &str| (erp.to_owned(), crm.to_owned());
    let mut world = World::settled_with(&cut);
    world.crm.limit("accounts", "name", 10);
    world.erp.put("customers", 1, &[("name", "Ahlgren Marine AB")]);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    assert_eq!(names(&world), pair("Ahlgren Marine AB", "Ahlgren Ma"));
    world.quiet();
    // Other edits on either side leave it alone.
    world.crm.put("accounts", 101, &[("phone", "7")]);
    world.run();
    world.erp.put("customers", 1, &[("city", "Moss")]);
    world.run();
    assert_eq!(names(&world), pair("Ahlgren Marine AB", "Ahlgren Ma"));
    // An edit behind the cut is nothing for the CRM, and moves no base that would send the short text back.
    world.erp.put("customers", 1, &[("name", "Ahlgren Marine and Sons")]);
    world.quiet();
    world.quiet();
    assert_eq!(names(&world), pair("Ahlgren Marine and Sons", "Ahlgren Ma"));
    // An edit of the short side travels.
    world.crm.put("accounts", 101, &[("name", "Dahl")]);
    world.run();
    assert_eq!(names(&world), pair("Dahl", "Dahl"));
    // Edits of both sides are contested, as ever.
    world.erp.put("customers", 1, &[("name", "Ahlgren Marine AB")]);
    world.crm.put("accounts", 101, &[("name", "Eide")]);
    assert_eq!(world.run().inbox.len(), 1);
    assert_eq!(names(&world), pair("Ahlgren Marine AB", "Eide"));
    // Unless somebody types what would be left of it anyway.
    world.crm.put("accounts", 101, &[("name", "Ahlgren Ma")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    world.quiet();
    assert_eq!(names(&world), pair("Ahlgren Marine AB", "Ahlgren Ma"));
}

#[test]
fn a_new_record_and_a_first_synchronization_cut_as_well() {
    let cut = customers(&[
        ("{ erp: name, crm: name }", "{ erp: name, crm: name, fit: truncate }"),
        ("first_sync: erp", "first_sync: crm"),
    ]);
    let mut world = World::with(&cut);
    world.crm.limit("accounts", "name", 4);
    // A letter, and another one with an accent of its own: five units in all, and the cut is before the fourth.
    world.erp.put("customers", 1, &[("number", "C1"), ("name", "abce\u{301}")]);
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Ahlgren")]);
    world.crm.put("accounts", 102, &[("number", "C2"), ("name", "Ahlg"), ("kind", "3")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    let mut names = world.crm.column("accounts", "name");
    names.sort();
    assert_eq!(names, ["Ahlg", "abc"]);
    let mut names = world.erp.column("customers", "name");
    names.sort();
    assert_eq!(names, ["Ahlgren", "abce\u{301}"], "the short text never travels back");
    world.quiet();
}

#[test]
fn only_texts_are_cut() {
    let limit = "{ erp: limit, crm: limit, direction: to_crm, fit: truncate }";
    let mut world = World::with(&customers(&[("{ erp: limit, crm: limit, direction: to_crm }", limit)]));
    insta::assert_snapshot!(world.misfits(), @"
    customers.fields[4].fit: `limit` is no text that could be cut
      hint: remove it
    ");
}

#[test]
fn expressions_that_do_not_lead_back_are_told() {
    let email = "{ erp: name, crm: name, to_crm: \"LOWER(name)\", to_erp: \"name\" }";
    let mut world = World::with(&customers(&[("{ erp: name, crm: name }", email)]));
    for number in 1..=3 {
        let (key, name) = (format!("C{number}"), if number == 1 { "dahl" } else { "Dahl" });
        world.erp.put("customers", number, &[("number", &key), ("name", name)]);
    }
    for night in 0..2 {
        let report = world.run();
        assert_eq!(report.outcome, RunOutcome::Converged, "night {night}: a note is no failure");
        assert_eq!(report.tables[1].notes.len(), 1, "night {night}: {:?}", report.tables[1].notes);
        let note = &report.tables[1].notes[0];
        assert!(note.starts_with("name: 2 values do not come back as they went, `to_crm` and"), "{note}");
    }
    world.quiet();
    assert_eq!(world.erp.get("customers", 2, "name"), "Dahl");
}

/// One row a key of the field maps that decides what a new record gets and what an old one keeps.
#[test]
fn keys_that_say_when_something_is_written() {
    // The key, and what the CRM holds of `memo` after creation, after an edit in the ERP, and after a clearing there.
    for (keys, expected) in [
        ("", ["a", "b", ""]),
        (", blank: keep", ["a", "b", "b"]),
        (", when: create", ["a", "a", "a"]),
        (", when: update", ["a", "b", ""]),
        (", direction: to_crm", ["a", "b", ""]),
        (", direction: to_crm, blank: keep", ["a", "b", "b"]),
        (", direction: to_erp", ["", "", ""]),
        (", values: { a: A, b: B }", ["A", "B", ""]),
        (", values: { a: A, b: B, \"\": none }", ["A", "B", "none"]),
        (", direction: to_crm, to_crm: \"UPPER(memo)\"", ["A", "B", ""]),
    ] {
        let memo = format!("{{ crm: kind, value: 3 }}\n      - {{ erp: memo, crm: memo{keys} }}");
        let mut world = World::with(&customers(&[("{ crm: kind, value: 3 }", &memo)]));
        world.erp.put("customers", 1, &[("number", "C1"), ("memo", "a")]);
        for (text, expected) in ["a", "b", ""].into_iter().zip(expected) {
            if !keys.contains("to_erp") {
                world.erp.put("customers", 1, &[("memo", text)]);
            }
            let report = world.run();
            assert_eq!(report.outcome, RunOutcome::Converged, "`{keys}`: {:#?}", report.inbox);
            assert_eq!(world.crm.column("accounts", "memo"), [expected], "`{keys}` after `{text}`");
            world.quiet();
        }
    }
}

#[test]
fn an_option_that_nobody_listed_fails_its_record() {
    let grade = "{ crm: kind, value: 3 }\n      - { erp: grade, crm: state, values: { A: 1, B: 2 } }";
    let mut world = World::with(&customers(&[("{ crm: kind, value: 3 }", grade)]));
    world.erp.put("customers", 1, &[("number", "C1"), ("grade", "Z")]);
    world.crm.put("accounts", 102, &[("number", "C2"), ("kind", "3"), ("state", "9")]);
    let report = world.run();
    let told: Vec<&str> = report.inbox.iter().map(|item| item.message.as_str()).collect();
    let expected = [
        "customers:C1 cannot go to the CRM: grade: `Z` is not in `values`; known: `A`, `B`",
        "customers:crm:C2 cannot go to the ERP: grade: `9` is not in `values`; known: `1`, `2`",
    ];
    assert_eq!(told, expected);
    world.erp.put("customers", 1, &[("grade", "B")]);
    world.crm.put("accounts", 102, &[("state", "1")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    let mut grades = world.erp.column("customers", "grade");
    grades.sort();
    assert_eq!(grades, ["A", "B"]);
    world.quiet();
}

#[test]
fn the_first_template_that_holds_fills_what_no_field_gives() {
    let templates = "first_sync: erp\n    on_create:\n      - { side: crm, if: \"city = 'Oslo'\", set: { memo: \"'north'\", phone: \"'0'\" } }\n      \
                     - { side: crm, if: \"city <> ''\", set: { memo: \"'of ' || city\" } }\n      - { side: crm, set: { memo: \"'somewhere'\" } }";
    let mut world = World::with(&customers(&[("first_sync: erp", templates)]));
    for (number, city, phone) in [(1, "Oslo", "7"), (2, "Oslo", ""), (3, "Moss", ""), (4, "", "")] {
        let key = format!("C{number}");
        world.erp.put("customers", number, &[("number", &key), ("city", city), ("phone", phone)]);
    }
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    let accounts = world.crm.all("accounts");
    let got = |key: &str, column: &str| {
        let account = accounts.values().find(|account| account["number"] == key).unwrap();
        account.get(column).cloned().unwrap_or_default()
    };
    let memos = ["C1", "C2", "C3", "C4"].map(|key| got(key, "memo"));
    assert_eq!(memos, ["north", "north", "of Moss", "somewhere"]);
    assert_eq!(
        (got("C1", "phone"), got("C2", "phone")),
        ("7".into(), "0".into()),
        "a mapped value wins unless it is blank"
    );
    world.quiet();
}

#[test]
fn values_that_a_column_cannot_hold_are_refused_before_anything_is_read() {
    let told = |values: &str, options: &[(i64, &str)]| {
        let grade = format!("{{ crm: kind, value: 3 }}\n      - {{ erp: grade, crm: state, values: {values} }}");
        let mut world = World::with(&customers(&[("{ crm: kind, value: 3 }", &grade)]));
        world.crm.offer("accounts", "state", options);
        world.misfits()
    };
    let choices = [(1, "Net 30"), (2, "Net 14")];
    let all = [
        told("{ A: 1, B: 3 }", &choices),
        told("{ A: 007, B: 1 }", &[]),
        told("{ A: one, B: 2, \"\": \"\" }", &choices),
    ];
    insta::assert_snapshot!(all.join("\n"), @"
    customers.fields[8].values.B: `state` has no option `3`; known: `1 Net 30`, `2 Net 14`
      hint: take one of the options that the column has
    customers.fields[8].values.A: `state` holds `7`, which is not `007`
      hint: write `7`
    customers.fields[8].values.A: `state` has no option `one`; known: `1 Net 30`, `2 Net 14`
      hint: take one of the options that the column has
    ");
}
