//! Records that look like one that is coupled already: never made a second time, never coupled by a guess, always named.

use pipeline::config::Side;
use pipeline::run::account::{RunOutcome, RunReport};
use pipeline::store::{InboxItem, InboxKind, Store};
use uuid::Uuid;

use crate::rules::{CUSTOMERS, PEOPLE, World};

fn table<'a>(report: &'a RunReport, name: &str) -> &'a pipeline::run::account::TableReport {
    report.tables.iter().find(|table| table.table == name).unwrap()
}

fn of_kind(report: &RunReport, kind: InboxKind) -> Vec<&InboxItem> {
    report.inbox.iter().filter(|item| item.kind == kind).collect()
}

/// The messages about ambiguous records, with the ids as the tests give them.
fn doubts(report: &RunReport) -> Vec<String> {
    let short = |message: &str| {
        let ids = (1..150).map(|id| (Uuid::from_u128(id).to_string(), format!("#{id}")));
        ids.fold(message.to_owned(), |message, (long, short)| message.replace(&long, &short))
    };
    of_kind(report, InboxKind::Ambiguous).into_iter().map(|item| short(&item.message)).collect()
}

/// Each row in doubt counts once in the direction away from its side.
fn counts_agree(report: &RunReport, name: &str) {
    let doubts = report.inbox.iter().filter(|item| item.table == name && item.kind == InboxKind::Ambiguous);
    let (erp, crm): (Vec<_>, Vec<_>) = doubts.partition(|item| item.erp_id.is_some());
    let to = table(report, name).to;
    assert_eq!((to.crm.failed, to.erp.failed), (erp.len() as u64, crm.len() as u64), "{:#?}", report.inbox);
}

/// A settled world in which an edit of the coupled pair is under way.
fn settled() -> World {
    let world = World::settled();
    world.erp.put("customers", 1, &[("phone", "9")]);
    world
}

/// Runs as plan and as run, and demands that nothing was made and that the coupled pair was not disturbed.
fn holds(world: &mut World, expected: &[&str]) -> RunReport {
    let rows = (world.erp.all("customers").len(), world.crm.all("accounts").len());
    let couplings = world.store.couplings("customers", &[]).unwrap();
    let planned = world.run_as(true);
    let report = world.run();
    assert_eq!(planned.plan, report.plan, "the plan is the run (I8)");
    assert_eq!(doubts(&report), expected);
    assert_eq!(report.outcome, RunOutcome::Incomplete);
    assert_eq!((world.erp.all("customers").len(), world.crm.all("accounts").len()), rows, "something was made");
    assert_eq!(world.store.couplings("customers", &[]).unwrap(), couplings, "something was coupled");
    counts_agree(&report, "customers");
    world.quiet();
    assert_eq!(doubts(&world.run_as(true)), expected, "the same words in every run");
    report
}

#[test]
fn a_second_record_with_the_number_of_a_coupled_one_is_held() {
    let mut world = settled();
    world.erp.put("customers", 2, &[("number", "C1"), ("name", "Ahlgren again"), ("city", "Moss")]);
    let report = holds(
        &mut world,
        &["customers:C1 (#2) matches customers:crm:C1 by rule 1, which is already coupled to customers:C1 \
           (#1)"],
    );
    assert_eq!(world.crm.get("accounts", 101, "phone"), "9", "the pair itself goes on");
    assert_eq!(table(&report, "customers").to.crm.modified, 1);

    let mut world = settled();
    world.crm.put("accounts", 102, &[("number", " c1"), ("name", "Ahlgren again"), ("kind", "3")]);
    holds(
        &mut world,
        &["customers:crm:c1 (#102) matches customers:C1 by rule 1, which is already coupled to \
           customers:crm:C1 (#101)"],
    );
}

#[test]
fn a_second_user_with_the_mail_of_a_coupled_one_is_held() {
    let mut world = World::settled();
    world.erp.put("people", 11, &[("code", "AA"), ("email", "a@a.example"), ("name", "Anna")]);
    world.crm.put("users", 111, &[("mail", "a@a.example"), ("name", "Anna")]);
    world.run();
    world.crm.put("users", 112, &[("mail", "A@a.example"), ("name", "Anna")]);
    let report = world.run();
    assert_eq!(world.erp.column("people", "code"), ["AA"]);
    assert_eq!(
        doubts(&report),
        ["people:crm:A@a.example (#112) matches people:AA by rule 1, which is already coupled to \
          people:crm:a@a.example (#111)"]
    );
    counts_agree(&report, "people");
}

/// Couples two more records, so that no side is without any.
fn another_pair(world: &mut World) {
    let values = [("number", "C9"), ("name", "Moe"), ("city", "Moss")];
    world.erp.put("customers", 9, &values);
    world.crm.put("accounts", 109, &[&values[..], &[("kind", "3")]].concat());
    world.run();
}

#[test]
fn a_record_deleted_and_made_anew_is_not_made_twice() {
    let mut world = settled();
    world.erp.delete("customers", 1);
    world.erp.put("customers", 2, &[("number", "C1"), ("name", "Ahlgren"), ("city", "Oslo")]);
    let report = holds(
        &mut world,
        &[
            "customers:C1 matches customers:crm:C1 by rule 1, which is still coupled to a record that was deleted in the \
           ERP",
        ],
    );
    assert_eq!(of_kind(&report, InboxKind::Deleted).len(), 1, "{:#?}", report.inbox);
    // Without the survivor nothing is in the way. A side that lost all its records would stop the table.
    another_pair(&mut world);
    world.crm.delete("accounts", 101);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    assert_eq!(world.crm.column("accounts", "number"), ["C9", "C1"]);
    world.quiet();

    let mut world = settled();
    world.crm.delete("accounts", 101);
    world.crm.put("accounts", 102, &[("name", "Ahlgren"), ("city", "Oslo"), ("kind", "3")]);
    holds(
        &mut world,
        &["customers:crm:#102 matches customers:C1 by rule 2, which is still coupled to a record that was \
           deleted in the CRM"],
    );
}

#[test]
fn a_coupled_record_outside_its_filter_is_known_too() {
    let mut world = settled();
    world.erp.put("customers", 1, &[("blocked", "All")]);
    world.crm.put("accounts", 102, &[("number", "C1"), ("name", "Ahlgren"), ("kind", "3")]);
    holds(
        &mut world,
        &["customers:crm:C1 (#102) matches customers:C1 by rule 1, which is outside the filter and already \
           coupled to customers:crm:C1 (#101)"],
    );

    // Its partner left the filter, and so did both.
    for blocked in ["", "All"] {
        let mut world = World::settled();
        world.erp.put("customers", 1, &[("blocked", blocked)]);
        world.crm.put("accounts", 101, &[("kind", "10")]);
        world.crm.put("accounts", 102, &[("number", "C1"), ("name", "Ahlgren"), ("kind", "3")]);
        let outside = if blocked.is_empty() { "" } else { "outside the filter and " };
        let expected = format!(
            "customers:crm:C1 (#102) matches customers:C1 by rule 1, which is {outside}already coupled to \
             customers:crm:C1 (#101)"
        );
        holds(&mut world, &[&expected]);
    }

    // Deleted here, outside the filter there.
    let mut world = World::settled();
    world.erp.delete("customers", 1);
    world.crm.put("accounts", 101, &[("kind", "10")]);
    world.erp.put("customers", 2, &[("number", "C1"), ("name", "Ahlgren")]);
    holds(
        &mut world,
        &[
            "customers:C1 matches customers:crm:C1 by rule 1, which is outside the filter and still coupled to a record \
           that was deleted in the ERP",
        ],
    );
}

#[test]
fn an_earlier_rule_tells_namesakes_apart() {
    // Two customers of the same name and city are two where their numbers differ.
    let mut world = World::settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Ahlgren"), ("city", "Oslo")]);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    assert_eq!(world.crm.column("accounts", "number"), ["C1", "C2"].map(String::from).to_vec());
    world.quiet();

    // Without a number nothing tells an account from a coupled customer of that name and city.
    let mut world = settled();
    world.crm.put("accounts", 102, &[("name", "Ahlgren"), ("city", "Oslo"), ("kind", "3")]);
    holds(
        &mut world,
        &["customers:crm:#102 matches customers:C1 by rule 2, which is already coupled to customers:crm:C1"],
    );
}

#[test]
fn twins_on_both_sides_are_not_coupled_with_each_other() {
    let mut world = settled();
    world.erp.put("customers", 2, &[("number", "C1"), ("name", "Second"), ("city", "Moss")]);
    world.crm.put("accounts", 102, &[("number", "C1"), ("name", "Second"), ("city", "Moss"), ("kind", "3")]);
    holds(
        &mut world,
        &[
            "customers:C1 (#2) matches customers:crm:C1 (#101) by rule 1, which is already coupled \
             to customers:C1 (#1); it also matches customers:crm:C1 (#102), which is not coupled",
            "customers:crm:C1 (#102) matches customers:C1 (#1) by rule 1, which is already coupled \
             to customers:crm:C1 (#101); it also matches customers:C1 (#2), which is not coupled",
        ],
    );
}

#[test]
fn a_record_whose_only_candidate_is_a_twin_waits_as_well() {
    let mut world = settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl"), ("city", "Bergen")]);
    world.crm.put("accounts", 102, &[("number", "C1"), ("name", "Dahl"), ("city", "Bergen"), ("kind", "3")]);
    holds(
        &mut world,
        &[
            "customers:C2 matches customers:crm:C1 (#102) by rule 2, which is in doubt itself",
            "customers:crm:C1 (#102) matches customers:C1 by rule 1, which is already coupled to \
             customers:crm:C1 (#101)",
        ],
    );
    // The number was a mistake.
    world.crm.put("accounts", 102, &[("number", "C2")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(world.store.coupling_counts().unwrap()["customers"], 2);
}

#[test]
fn a_partner_found_in_this_very_run_is_taken_too() {
    let mut world = World::new();
    world.erp.put("customers", 1, &[("number", "N"), ("name", "A"), ("city", "Oslo")]);
    world.erp.put("customers", 2, &[("number", "N"), ("name", "B"), ("city", "Oslo")]);
    world.crm.put("accounts", 101, &[("number", "N"), ("name", "A"), ("city", "Oslo"), ("kind", "3")]);
    for _ in 0..2 {
        let planned = world.run_as(true);
        let report = world.run();
        assert_eq!(planned.plan, report.plan);
        assert_eq!(
            doubts(&report),
            ["customers:N (#2) matches customers:crm:N by rule 1, which is already coupled to customers:N \
              (#1)"]
        );
        assert_eq!(world.crm.column("accounts", "name"), ["A"]);
        assert_eq!(world.store.coupling_counts().unwrap()["customers"], 1);
        counts_agree(&report, "customers");
    }
}

#[test]
fn translated_match_columns_are_compared_as_they_are_translated() {
    let tables = CUSTOMERS
        .replace("{ by: { number: number } }, { by: { name: name, city: city } }", "{ by: { grade: state } }")
        .replace("{ erp: phone, crm: phone }", "{ erp: grade, crm: state, values: { A: 1, B: 2 } }");
    let mut world = World::with(&format!("{PEOPLE}{tables}"));
    world.erp.put("customers", 1, &[("number", "C1"), ("grade", "A")]);
    world.crm.put("accounts", 101, &[("number", "C1"), ("state", "1"), ("kind", "3")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    world.erp.put("customers", 2, &[("number", "C2"), ("grade", "A")]);
    world.crm.put("accounts", 103, &[("number", "C3"), ("state", "1"), ("kind", "3")]);
    world.crm.put("accounts", 104, &[("number", "C4"), ("state", "2"), ("kind", "3")]);
    let report = world.run();
    assert_eq!(of_kind(&report, InboxKind::Ambiguous).len(), 2, "{:#?}", report.inbox);
    assert_eq!(world.crm.column("accounts", "state"), ["1", "1", "2"]);
    assert_eq!(world.erp.column("customers", "grade").iter().filter(|grade| *grade == "B").count(), 1);
    counts_agree(&report, "customers");
}

#[test]
fn where_nothing_is_created_a_twin_is_only_left_alone() {
    let tables = CUSTOMERS.replace("create: both", "create: none");
    let mut world = World::settled_with(&format!("{PEOPLE}{tables}"));
    world.erp.put("customers", 2, &[("number", "C1"), ("name", "Ahlgren again")]);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    assert_eq!(table(&report, "customers").to.crm.skipped, 1);
    // Coupling two of them would be a guess there as well.
    world.crm.put("accounts", 102, &[("number", "C1"), ("kind", "3")]);
    let report = world.run();
    assert_eq!(of_kind(&report, InboxKind::Ambiguous).len(), 2, "{:#?}", report.inbox);
    assert_eq!(world.store.coupling_counts().unwrap()["customers"], 1);
    counts_agree(&report, "customers");
}

#[test]
fn without_match_rules_nobody_looks_like_anybody() {
    let rules = "    match: [ { by: { number: number } }, { by: { name: name, city: city } } ]\n";
    let mut world = World::settled();
    world.pipeline.tables.iter_mut().find(|map| map.name == "customers").unwrap().match_rules.clear();
    assert!(CUSTOMERS.contains(rules));
    world.erp.put("customers", 2, &[("number", "C1"), ("name", "Ahlgren again")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(world.crm.column("accounts", "number"), ["C1", "C1"]);
}

#[test]
fn many_twins_of_many_coupled_records_are_no_burden() {
    let mut world = World::new();
    for number in 0..1_500_u128 {
        let key = format!("C{number}");
        world.erp.put("customers", number, &[("number", &key), ("name", "Cash"), ("city", "Oslo")]);
        world.crm.put(
            "accounts",
            10_000 + number,
            &[("number", &key), ("name", "Cash"), ("city", "Oslo"), ("kind", "3")],
        );
    }
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    for number in 0..1_500_u128 {
        world.crm.put("accounts", 20_000 + number, &[("name", "Cash"), ("city", "Oslo"), ("kind", "3")]);
    }
    let report = world.run_as(true);
    assert_eq!(report.inbox.len(), 1_500);
    assert!(report.inbox[0].message.contains(", 1495 more by rule 2, which are already coupled"));
}

#[test]
fn a_row_in_doubt_counts_where_its_direction_is_not_written_too() {
    // Salespeople go one way only; the one that two users match is in doubt all the same.
    let mut world = World::new();
    world.erp.put("people", 11, &[("code", "AA"), ("email", "a@a.example")]);
    for id in [111, 112] {
        world.crm.put("users", id, &[("mail", "a@a.example")]);
    }
    for dry_run in [true, false] {
        let report = world.run_as(dry_run);
        assert_eq!(of_kind(&report, InboxKind::Ambiguous).len(), 3);
        counts_agree(&report, "people");
    }
}

#[test]
fn a_record_says_which_of_its_match_columns_are_blank() {
    let mut world = World::settled();
    world.crm.put("accounts", 102, &[("name", "Dahl"), ("kind", "3")]);
    world.crm.put("accounts", 103, &[("city", "Oslo"), ("kind", "3")]);
    world.crm.put("accounts", 104, &[("kind", "3")]);
    let report = world.run();
    assert_eq!(
        doubts(&report),
        [
            "customers:crm:#102 cannot be told from others: of its match columns number and city are blank",
            "customers:crm:#103 cannot be told from others: of its match columns number and name are blank",
            "customers:crm:#104 cannot be told from others: of its match columns number, name and city are blank",
        ]
    );
}

#[test]
fn records_of_the_same_label_are_named_with_their_ids() {
    let tables = CUSTOMERS.replace("label: number", "label: name");
    let mut world = World::with(&format!("{PEOPLE}{tables}"));
    for (id, number, name) in [(1, "C1", "Ahlgren"), (2, "C2", " ahlgren"), (3, "C3", "Dahl")] {
        world.erp.put("customers", id, &[("number", number), ("name", name)]);
        world.crm.put("accounts", 100 + id, &[("number", number), ("name", name), ("kind", "3")]);
    }
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    for id in 1..=3 {
        world.erp.put("customers", id, &[("phone", "1")]);
        world.crm.put("accounts", 100 + id, &[("phone", "2")]);
    }
    let names = [
        format!("customers:Ahlgren ({})", Uuid::from_u128(1)),
        "customers:Dahl".to_owned(),
        format!("customers:ahlgren ({})", Uuid::from_u128(2)),
    ];
    for dry_run in [true, false, false] {
        let report = world.run_as(dry_run);
        let told: Vec<&String> = report.inbox.iter().map(|item| &item.record).collect();
        assert_eq!(told, names.iter().collect::<Vec<_>>());
    }
    // One of them leaves the filter, and the other one's name stays what it was.
    world.erp.put("customers", 2, &[("blocked", "All")]);
    let report = world.run();
    assert!(report.inbox.iter().any(|item| item.record == names[0]), "{:#?}", report.inbox);
    // A deleted partner is told by the survivor's name.
    world.erp.delete("customers", 1);
    let report = world.run();
    let gone = of_kind(&report, InboxKind::Deleted);
    assert_eq!(gone[0].record, format!("customers:crm:Ahlgren ({})", Uuid::from_u128(101)));
}

/// A world in which both sides edited the name of customer 1.
fn contested() -> World {
    let mut world = World::settled();
    world.erp.put("customers", 1, &[("name", "Ahlgren AB")]);
    world.crm.put("accounts", 101, &[("name", "Ahlgren AS")]);
    let report = world.run();
    assert_eq!((report.inbox.len(), table(&report, "customers").contested), (1, 1));
    world
}

/// Takes the record of one side out of its filter, or back into it.
fn leave(world: &World, side: Side, away: bool) {
    match side {
        Side::Erp => world.erp.put("customers", 1, &[("blocked", if away { "All" } else { "" })]),
        Side::Crm => world.crm.put("accounts", 101, &[("kind", if away { "10" } else { "3" })]),
    }
}

#[test]
fn what_is_contested_stays_open_outside_the_filter() {
    for side in Side::BOTH {
        let mut world = contested();
        leave(&world, side, true);
        let planned = world.run_as(true);
        let report = world.run();
        assert_eq!(planned.plan, report.plan, "the plan is the run (I8)");
        for (report, attempts) in [(report, 2), (world.run(), 3)] {
            assert_eq!(report.outcome, RunOutcome::Incomplete, "{side:?}");
            assert_eq!(table(&report, "customers").contested, 1);
            let item = &report.inbox[0];
            assert_eq!((report.inbox.len(), item.kind, item.attempts), (1, InboxKind::Contested, attempts));
            assert_eq!(
                item.message,
                "edited on both sides to different values; outside the filter, so nothing is written until it comes back"
            );
            let values = (item.base.as_deref(), item.erp.as_deref(), item.crm.as_deref());
            assert_eq!(values, (Some("Ahlgren"), Some("Ahlgren AB"), Some("Ahlgren AS")));
        }
        leave(&world, side, false);
        let report = world.run();
        assert_eq!(report.inbox[0].message, "edited on both sides to different values");
        assert_eq!(report.inbox[0].attempts, 4, "it is the same matter still");
    }
}

#[test]
fn what_was_contested_is_settled_outside_the_filter_too() {
    for side in Side::BOTH {
        let mut world = contested();
        leave(&world, side, true);
        assert_eq!(world.run().outcome, RunOutcome::Incomplete);
        world.crm.put("accounts", 101, &[("name", "Ahlgren AC")]);
        assert_eq!(world.run().inbox[0].crm.as_deref(), Some("Ahlgren AC"), "the values are today's");
        world.crm.put("accounts", 101, &[("name", "Ahlgren AB")]);
        let report = world.run();
        assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
        leave(&world, side, false);
        world.run();
        world.quiet();
    }
    // Deleted: then that is what is told.
    let mut world = contested();
    another_pair(&mut world);
    leave(&world, Side::Erp, true);
    world.run();
    world.erp.delete("customers", 1);
    let report = world.run();
    assert_eq!((report.inbox.len(), report.inbox[0].kind), (1, InboxKind::Deleted), "{:#?}", report.inbox);
}

#[test]
fn a_contested_reference_of_the_second_step_stays_open_too() {
    let mut world = World::settled();
    for (id, number) in [(2, "C2"), (3, "C3")] {
        world.erp.put("customers", id, &[("number", number), ("name", number)]);
        world.crm.put("accounts", 100 + id, &[("number", number), ("name", number), ("kind", "3")]);
    }
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    world.erp.put("customers", 1, &[("parent", "C2")]);
    world.crm.put("accounts", 101, &[("parent", &Uuid::from_u128(103).to_string())]);
    assert_eq!(world.run().inbox.len(), 1);
    leave(&world, Side::Crm, true);
    let planned = world.run_as(true);
    let report = world.run();
    assert_eq!(planned.plan, report.plan, "the plan is the run (I8)");
    assert_eq!((report.inbox.len(), report.inbox[0].field.as_deref()), (1, Some("parent")), "{:#?}", report.inbox);
    assert_eq!(table(&report, "customers").contested, 1);
    world.erp.put("customers", 1, &[("parent", "C3")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
}

#[test]
fn what_a_side_refused_stays_open_outside_the_filter() {
    let mut world = World::settled();
    *world.crm.refuses.lock().unwrap() = Some(Box::new(|_, _| Some("no such day".into())));
    world.erp.put("customers", 1, &[("name", "Ahlgren Marine")]);
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "New")]);
    assert_eq!(world.run().inbox.len(), 2);
    leave(&world, Side::Crm, true);
    world.erp.put("customers", 2, &[("blocked", "All")]);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Incomplete);
    let expected = "customers:C1 cannot go to the CRM: no such day; outside the filter, so nothing is written until it \
                    comes back";
    assert_eq!(report.inbox.len(), 1, "a new record outside the filter is nobody's business: {:#?}", report.inbox);
    assert_eq!(report.inbox[0].message, expected);
    assert_eq!(world.run().inbox[0].message, expected);
    // The edit is taken back: there is nothing left to refuse.
    world.erp.put("customers", 1, &[("name", "Ahlgren")]);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
}

#[test]
fn what_is_skipped_stays_skipped_outside_the_filter() {
    let mut world = World::settled();
    *world.crm.refuses.lock().unwrap() = Some(Box::new(|_, _| Some("no such day".into())));
    world.erp.put("customers", 1, &[("name", "Ahlgren Marine")]);
    world.run();
    assert_eq!(of_kind(&world.run(), InboxKind::Skipped).len(), 1);
    leave(&world, Side::Erp, true);
    for _ in 0..2 {
        let report = world.run();
        assert_eq!(report.outcome, RunOutcome::Incomplete);
        let told = of_kind(&report, InboxKind::Skipped);
        assert!(
            told[0].message.ends_with("no such day; outside the filter, so nothing is written until it comes back")
        );
    }
    // Nothing but the filter has changed, so it is not sent again either.
    leave(&world, Side::Erp, false);
    let attempts = world.crm.attempts.load(std::sync::atomic::Ordering::Relaxed);
    let report = world.run();
    assert_eq!(of_kind(&report, InboxKind::Skipped).len(), 1, "{:#?}", report.inbox);
    assert_eq!(world.crm.attempts.load(std::sync::atomic::Ordering::Relaxed), attempts);
}
