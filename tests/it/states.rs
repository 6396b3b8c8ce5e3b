//! New records that are to be in another state than their table's first one: made and changed together, or not at all.

use mocks::fault::{Fault, Faults};
use pipeline::adapters::dataverse::bulk::RECORDS_MIN;
use pipeline::config::Side;
use pipeline::endpoint::{Outcome, Write};
use pipeline::frame::Value;
use pipeline::run::account::RunOutcome;
use serde_json::json;
use uuid::Uuid;

use crate::nightly::world as nightly;
use crate::world::{insert, names, refusal, text, world};

fn account(id: u128, state: i64, status: i64) -> Write {
    let fields = [
        ("name", text(&format!("Account {id}"))),
        ("statecode", Value::Integer(state)),
        ("statuscode", Value::Integer(status)),
    ];
    insert(id, &fields)
}

#[test]
fn a_new_record_is_in_its_state_or_not_there() {
    let world = world();
    let crm = world.endpoint(Side::Crm);
    let info = crm.describe("accounts").unwrap();
    world.crm.log().lock().unwrap().clear();
    let mut writes = vec![account(1, 1, 2), account(2, 0, 1), account(3, 1, 1), account(4, 0, 2), account(1, 1, 2)];
    writes.push(insert(5, &[("name", text("Inactive, however")), ("statecode", text("1"))]));
    let report = crm.write(&info, &names(&["name", "statecode", "statuscode"]), &writes);
    let written = Outcome::Written;
    assert_eq!(
        (&report.outcomes[..2], &report.outcomes[4..]),
        (&[written.clone(), written.clone()][..], &[Outcome::Exists, written][..])
    );
    for (at, message) in
        [(2, "1 is not a valid status code for state code AccountState.Inactive"), (3, "2 is not a valid")]
    {
        let told = refusal(&report.outcomes[at]);
        assert!(told.starts_with(message) && told.ends_with("(0x80048408)"), "{told}");
    }
    let held = |id: u128| {
        let record = world.crm.with(|state| state.record("accounts", insert(id, &[]).id))?;
        Some((record["statecode"].clone(), record["statuscode"].clone()))
    };
    assert_eq!(
        [1, 2, 3, 4, 5].map(held),
        [Some((json!(1), json!(2))), Some((json!(0), json!(1))), None, None, Some((json!(1), json!(2))),]
    );
    // The answers hold the records as they are then, each once.
    let shown = |id: u128| {
        let row = report.rows.ids().iter().position(|shown| *shown == insert(id, &[]).id).unwrap();
        report.rows.value("statecode", row)
    };
    assert_eq!([1, 2, 5].map(shown), [1, 0, 1].map(Value::Integer));
    assert_eq!(world.crm.counts().batches, 1);
}

#[test]
fn of_many_new_records_only_those_of_another_state_go_by_themselves() {
    let world = world();
    let crm = world.endpoint(Side::Crm);
    let info = crm.describe("accounts").unwrap();
    let many = RECORDS_MIN as u128;
    let writes: Vec<Write> =
        (1..=many + 10).map(|id| account(id, i64::from(id % 11 == 0), 1 + i64::from(id % 11 == 0))).collect();
    world.crm.log().lock().unwrap().clear();
    let report = crm.write(&info, &names(&["name"]), &writes);
    assert!(report.outcomes.iter().all(|outcome| *outcome == Outcome::Written), "{:?}", report.outcomes);
    // Which tables have the message, the message, a batch.
    assert_eq!((world.crm.counts().requests, world.crm.counts().batches, report.rows.rows()), (3, 1, 10));
    for write in &writes {
        let state = world.crm.with(|state| state.record("accounts", write.id)).unwrap()["statecode"].clone();
        assert_eq!(Value::Integer(state.as_i64().unwrap()), write.fields[1].1, "{}", write.id);
    }
    // Two operations each are never more than a batch holds.
    let writes: Vec<Write> = (10_000..10_900).map(|id| account(id, 1, 2)).collect();
    world.crm.log().lock().unwrap().clear();
    let report = crm.write(&info, &names(&["name"]), &writes);
    assert!(report.outcomes.iter().all(|outcome| *outcome == Outcome::Written));
    assert_eq!((world.crm.counts().batches, report.rows.rows()), (2, 900));
}

#[test]
fn a_lost_answer_leaves_the_record_in_its_state() {
    for fault in [Fault::DroppedBefore, Fault::DroppedAfter, Fault::SqlTimeout, Fault::HalfBatch] {
        let world = world();
        let crm = world.endpoint(Side::Crm);
        let info = crm.describe("accounts").unwrap();
        world.crm.set_faults(Faults::once(fault, 1));
        let writes: Vec<Write> = (1..5).map(|id| account(id, 1, 2)).collect();
        crm.write(&info, &names(&["name"]), &writes);
        assert!(!world.crm.faults().applied().is_empty(), "{fault:?}");
        for write in &writes {
            if let Some(record) = world.crm.with(|state| state.record("accounts", write.id)) {
                assert_eq!(record["statecode"], 1, "{fault:?}");
            }
        }
    }
}

/// Customers that are blocked are inactive accounts, on both sides.
fn mapped() -> nightly::World {
    let mut world = nightly::World::small();
    map(&mut world);
    world
}

fn map(world: &mut nightly::World) {
    world.rewrite(&[
        ("    erp: { table: customers, label: number, filter: \"blocked = ''\" }\n    crm: { table: accounts, label: accountnumber, filter: customertypecode = 3 AND statecode = 0 }",
         "    erp: { table: customers, label: number, filter: \"blocked = '' OR blocked = 'All'\" }\n    crm: { table: accounts, label: accountnumber, filter: customertypecode = 3 }"),
        ("      - { crm: customertypecode, value: 3 }\n",
         "      - { crm: customertypecode, value: 3 }\n      - { erp: blocked, crm: statecode, values: { \"\": 0, All: 1 } }\n      - { erp: blocked, crm: statuscode, values: { \"\": 1, All: 2 }, direction: to_crm }\n"),
    ]);
}

/// A customer that only the ERP has, and that is blocked.
fn blocked(world: &nightly::World) -> Uuid {
    let customer = json!({"displayName": "Closed for good", "blocked": "All", "number": "CLOSED"});
    world.erp.with(|state| state.insert("customers", customer.as_object().unwrap())).unwrap()
}

#[test]
fn a_night_makes_inactive_accounts_of_blocked_customers() {
    let mut world = mapped();
    let customer = blocked(&world);
    let plan = world.plan();
    let planned = plan.plan.actions().find(|action| action.ids.erp == customer).expect("it is planned");
    let value = |column: &str| {
        planned.fields.iter().find(|change| change.column == column).map(|change| change.new.to_string())
    };
    assert_eq!((value("statecode").as_deref(), value("statuscode").as_deref()), (Some("1"), Some("2")));
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", world.inbox());
    let times = |report: &pipeline::run::account::RunReport| {
        report.plan.actions().filter(|action| action.ids.erp == customer).count()
    };
    assert_eq!((times(&plan), times(&report)), (1, 1), "one insert, and nothing after it");
    let account = world.find(Side::Crm, "accounts", "accountnumber", "CLOSED");
    let state = |world: &nightly::World| {
        (
            world.get(Side::Crm, "accounts", account, "statecode"),
            world.get(Side::Crm, "accounts", account, "statuscode"),
        )
    };
    assert_eq!(state(&world), ("1".into(), "2".into()));
    world.quiet();
    world.later(3_600);
    world.edit(Side::Erp, "customers", customer, json!({"blocked": ""}));
    assert_eq!(world.run().outcome, RunOutcome::Converged, "{:#?}", world.inbox());
    assert_eq!(state(&world), ("0".into(), "1".into()));
    world.quiet();
}

/// A record that was made and whose state was lost on the way would look like one that somebody opened again.
#[test]
fn a_lost_answer_is_nobodys_edit() {
    let mut settled = mapped();
    assert_eq!(settled.run().outcome, RunOutcome::Converged, "{:#?}", settled.inbox());
    let settled = settled.keep();
    for fault in [Fault::DroppedBefore, Fault::DroppedAfter, Fault::SqlTimeout, Fault::UnavailableAfter] {
        let mut world = nightly::World::again(&settled);
        map(&mut world);
        let customer = blocked(&world);
        world.set_faults(Side::Crm, Faults::once(fault, 1));
        world.run();
        assert!(!world.faults(Side::Crm).applied().is_empty(), "{fault:?}");
        world.set_faults(Side::Crm, Faults::none());
        assert_eq!(world.run().outcome, RunOutcome::Converged, "{fault:?}: {:#?}", world.inbox());
        assert_eq!(world.get(Side::Erp, "customers", customer, "blocked"), "All", "{fault:?}");
        let account = world.find(Side::Crm, "accounts", "accountnumber", "CLOSED");
        assert_eq!(world.get(Side::Crm, "accounts", account, "statecode"), "1", "{fault:?}");
        world.quiet();
    }
}
