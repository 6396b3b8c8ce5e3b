//! No value is silently damaged (I9): what an SQL expression cannot compute stops its record, by name, and no other.

use std::sync::Mutex;

use pipeline::config::PerSide;
use pipeline::endpoint::Endpoint;
use pipeline::frame::Kind;
use pipeline::run::account::{Event, RunOutcome, RunReport};
use pipeline::run::context::Options;
use pipeline::run::run;
use pipeline::store::InboxKind;

use crate::rules::World;

/// Customers of whom `grade` is a text, and `limit` a number; `$MORE` joins the keys, `$FIELD` the field maps.
fn customers(filter: &str, more: &str, field: &str) -> World {
    World::with(&format!(
        "
  customers:
    erp: {{ table: customers, label: number, filter: \"{filter}\" }}
    crm: {{ table: accounts, label: number }}
    direction: to_crm
    create: to_crm
    match: [ {{ by: {{ number: number }} }} ]
    {more}
    fields:
      - {{ erp: number, crm: number }}
      - {{ erp: name, crm: name }}
      {field}
"
    ))
}

/// Puts a customer with a grade and a limit.
fn put(world: &World, id: u128, grade: &str, limit: &str) {
    let (number, name) = (format!("C{id}"), format!("Name {id}"));
    world.erp.put("customers", id, &[("number", &number), ("name", &name), ("grade", grade), ("limit", limit)]);
}

/// Returns the messages of what waits, each of a failure, without raw words of the machinery.
#[track_caller]
fn told(report: &RunReport) -> Vec<String> {
    assert!(report.tables.iter().all(|table| table.error.is_none()), "{:#?}", report.tables);
    for item in &report.inbox {
        assert_eq!(item.kind, InboxKind::Failed);
        for raw in ["i64", "str`", "Utf8", "conversion from", "ComputeError", "dtype", "polars"] {
            assert!(!item.message.contains(raw), "`{raw}` in {}", item.message);
        }
    }
    report.inbox.iter().map(|item| item.message.clone()).collect()
}

#[test]
fn a_result_that_is_not_finite_fails_its_record() {
    let field = "- { erp: limit, crm: limit, to_crm: '\"limit\" / LENGTH(grade)' }";
    let mut world = customers("TRUE", "", field);
    put(&world, 1, "ab", "5");
    put(&world, 2, "ab", "10");
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{report:#?}");
    assert_eq!(world.crm.column("accounts", "limit").len(), 2);

    put(&world, 1, "", "5");
    put(&world, 2, "ab", "20");
    put(&world, 3, "", "7");
    let report = world.run();
    assert_eq!(
        told(&report),
        [
            "customers:C1 cannot go to the CRM: limit: `\"limit\" / LENGTH(grade)` has no value where limit is `5` and \
             grade is blank",
            "customers:C3 cannot go to the CRM: limit: `\"limit\" / LENGTH(grade)` has no value where limit is `7` and \
             grade is blank",
        ]
    );
    let mut limits = world.crm.column("accounts", "limit");
    limits.sort();
    assert_eq!(limits, ["10", "2.5"], "nothing was blanked");
    world.quiet();
}

#[test]
fn a_bad_cast_fails_its_record_alone() {
    let field = "- { erp: grade, crm: limit, to_crm: \"CAST(grade AS INTEGER) * 2\" }";
    let mut world = customers("TRUE", "", field);
    put(&world, 1, "7", "0");
    put(&world, 2, "A1", "0");
    put(&world, 3, "8", "0");
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Incomplete);
    let message =
        "customers:C2 cannot go to the CRM: grade: `CAST(grade AS INTEGER) * 2` has no value where grade is `A1`";
    assert_eq!(told(&report), [message]);
    let mut limits = world.crm.column("accounts", "limit");
    limits.sort();
    assert_eq!(limits, ["14", "16"]);

    put(&world, 1, "B", "0");
    put(&world, 2, "2", "0");
    assert_eq!(told(&world.run()).len(), 1);
    let mut limits = world.crm.column("accounts", "limit");
    limits.sort();
    assert_eq!(limits, ["14", "16", "4"], "what C1 held stays");
}

#[test]
fn what_a_condition_keeps_away_is_no_failure() {
    let field =
        "- { erp: grade, crm: limit, to_crm: \"CASE WHEN grade = '' THEN 0 ELSE 6 / CAST(grade AS INTEGER) END\" }";
    let mut world = customers("grade = '' OR CAST(grade AS INTEGER) > 0", "", field);
    put(&world, 1, "", "0");
    put(&world, 2, "3", "0");
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    let mut limits = world.crm.column("accounts", "limit");
    limits.sort();
    assert_eq!(limits, ["0", "2"]);
}

#[test]
fn a_record_for_which_the_filter_has_no_answer_is_named_and_left_alone() {
    let mut world = customers("CAST(grade AS INTEGER) > 2", "", "");
    put(&world, 1, "3", "0");
    put(&world, 2, "1", "0");
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(world.crm.column("accounts", "name"), ["Name 1"]);

    // C1 is coupled, C3 new: neither is written, and neither is taken for outside or gone.
    world.erp.put("customers", 1, &[("grade", "x"), ("name", "Other")]);
    put(&world, 3, "y", "0");
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Incomplete);
    let message = |number: u8, grade: &str| {
        format!(
            "customers:C{number} is left alone: the filter `CAST(grade AS INTEGER) > 2` has no value where grade is \
             `{grade}`"
        )
    };
    assert_eq!(told(&report), [message(1, "x"), message(3, "y")]);
    assert_eq!(world.crm.column("accounts", "name"), ["Name 1"]);
    assert_eq!(report.tables[0].to.crm.failed, 2);
    world.quiet();

    world.erp.put("customers", 1, &[("grade", "4")]);
    world.erp.put("customers", 3, &[("grade", "2")]);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    assert_eq!(world.crm.column("accounts", "name"), ["Other"]);
}

#[test]
fn a_template_that_cannot_be_computed_fails_its_record_alone() {
    let more =
        "on_create: [ { side: crm, if: \"CAST(grade AS INTEGER) > 2\", set: { phone: \"STRPTIME(memo, '%Y')\" } },
                  { side: crm, set: { limit: \"CAST(memo AS INTEGER)\" } } ]";
    let more = more.replace("STRPTIME(memo, '%Y')", "'high'");
    let mut world = customers("TRUE", &more, "");
    put(&world, 1, "3", "0");
    put(&world, 2, "1", "0");
    put(&world, 3, "z", "0");
    put(&world, 4, "2", "0");
    for (id, memo) in [(1, "no number"), (2, "12"), (3, "13"), (4, "XIV")] {
        world.erp.put("customers", id, &[("memo", memo)]);
    }
    let report = world.run();
    assert_eq!(
        told(&report),
        [
            "customers:C3 cannot go to the CRM: on_create: `CAST(grade AS INTEGER) > 2` has no value where grade is `z`",
            "customers:C4 cannot go to the CRM: limit: `CAST(memo AS INTEGER)` has no value where memo is `XIV`",
        ]
    );
    let mut limits = world.crm.column("accounts", "limit");
    limits.sort();
    assert_eq!(limits, ["", "12"]);
    let mut phones = world.crm.column("accounts", "phone");
    phones.sort();
    assert_eq!(phones, ["", "high"]);
}

#[test]
fn digits_that_the_column_does_not_keep_are_told() {
    let mut world = customers("TRUE", "", "- { erp: limit, crm: limit, to_crm: '\"limit\" / 3' }");
    {
        let mut tables = world.crm.tables.lock().unwrap();
        let columns = &mut tables.get_mut("accounts").unwrap().info.columns;
        let limit = columns.iter_mut().find(|info| info.column.name == "limit").unwrap();
        limit.column.kind = Kind::Decimal { scale: 2 };
    }
    put(&world, 1, "", "10");
    put(&world, 2, "", "9");
    put(&world, 3, "", "20");
    let notes = Mutex::new(Vec::new());
    let night = |world: &mut World| {
        let options = Options {
            approved: None,
            guarded_plan: None,
            only: Vec::new(),
            selection: pipeline::run::selection::Selection::default(),
            changed: false,
            dry_run: false,
            run: "a run".into(),
            started: "2026-01-31T02:00:00Z".into(),
            elapsed: &|| 0.0,
            stop: &world.stop,
        };
        let tell = |event: Event<'_>| {
            if let Event::Note { message, .. } = event {
                notes.lock().unwrap().push(message.to_owned());
            }
        };
        let sides: PerSide<&dyn Endpoint> = PerSide { erp: &world.erp, crm: &world.crm };
        run(&world.pipeline, sides, &mut world.store, &options, &tell).unwrap();
        std::mem::take(&mut *notes.lock().unwrap())
    };
    let note = "customers:C1: limit of the CRM keeps 3.33 of 3.3333, and 1 more";
    assert_eq!(night(&mut world), [note]);
    assert_eq!(night(&mut world), [""; 0], "both are equal now");
    world.erp.put("customers", 2, &[("limit", "11")]);
    assert_eq!(night(&mut world), ["customers:C2: limit of the CRM keeps 3.67 of 3.6667"]);
    world.quiet();
}
