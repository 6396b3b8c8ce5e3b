//! What refers to a record of which the key cannot be read, beside it in every kind of run.

use pipeline::config::OnUnresolved;
use pipeline::run::account::RunReport;
use pipeline::store::InboxKind;
use uuid::Uuid;

use super::{partner_of, waits};
use crate::rules::{PEOPLE, World};
use crate::selected::only;

const CUSTOMERS: &str = "
  customers:
    erp: { table: customers, label: number, filter: \"blocked = ''\" }
    crm: { table: accounts, label: number }
    direction: both
    create: both
    match: [ { by: { number: number } } ]
    first_sync: erp
    fields:
      - { erp: number, crm: number, direction: to_crm }
      - { erp: name, crm: name }
      - { erp: person, crm: owner, ref: { table: people, erp: code }, direction: to_crm }
";

/// Customer C1 is of person AA, who is coupled; BB has no partner in the CRM.
fn referring(on_unresolved: OnUnresolved) -> World {
    let mut world = World::with(&format!("{PEOPLE}{CUSTOMERS}"));
    world.pipeline.tables[1].fields[2].on_unresolved = on_unresolved;
    world.erp.put("people", 11, &[("code", "AA"), ("email", "aa@a.example"), ("name", "A")]);
    world.crm.put("users", 111, &[("mail", "aa@a.example"), ("name", "A")]);
    world.erp.put("people", 12, &[("code", "BB"), ("email", "bb@a.example"), ("name", "B")]);
    let owner = Uuid::from_u128(111).to_string();
    world.erp.put("customers", 1, &[("number", "C1"), ("name", "One"), ("person", "AA")]);
    world.crm.put("accounts", 101, &[("number", "C1"), ("name", "One"), ("owner", &owner)]);
    world.run();
    world.quiet();
    assert_eq!(owner_of(&world, 1), owner);
    world
}

fn owner_of(world: &World, erp: u128) -> String {
    world.crm.get("accounts", partner_of(world, erp).unwrap(), "owner")
}

/// What is told of customers.
fn told(report: &RunReport) -> Vec<String> {
    let told = report.inbox.iter().filter(|item| item.table == "customers" && item.kind == InboxKind::Failed);
    told.map(|item| item.message.clone()).collect()
}

/// Whoever it is that cannot be read, it has no partner: a run over parts knows of it what a full one does.
#[test]
fn a_key_without_partner_that_cannot_be_read_clears_no_reference_in_any_run() {
    for on_unresolved in [OnUnresolved::Clear, OnUnresolved::Keep, OnUnresolved::Fail] {
        for way in ["all", "one table", "one record", "changes"] {
            let place = format!("{on_unresolved:?}, {way}");
            let mut world = referring(on_unresolved);
            world.erp.spoil("people", 12, "code");
            world.erp.put("customers", 1, &[("person", "BB")]);
            let report = match way {
                "all" => world.run(),
                "one table" => world.attempt(false, &["customers"], &mut |_| {}).unwrap(),
                "one record" => world.run_part(only(&["customers:C1"])).unwrap(),
                _ => world.run_changed(),
            };
            assert_eq!(owner_of(&world, 1), Uuid::from_u128(111).to_string(), "{place}");
            let told = told(&report);
            let expected = usize::from(on_unresolved != OnUnresolved::Keep);
            assert_eq!(told.len(), expected, "{place}: {:?}", waits(&report));
            assert!(
                told.iter().all(|told| told.starts_with("customers:C1 waits: person: people:BB may be ")),
                "{told:?}"
            );
        }
    }
}
