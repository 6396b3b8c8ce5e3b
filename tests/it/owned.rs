//! What a field with an owner does with changes on its other side (`drift`), and with texts too long for it (`fit`).

use pipeline::plan::Drifted;
use pipeline::run::{RunOutcome, RunReport};
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
    insta::assert_snapshot!(world.refused(), @"
    customers.fields[4].fit: `limit` is no text that could be cut
      hint: remove it
    ");
}
