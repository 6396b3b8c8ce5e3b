//! The first night over the default company, and the second.

use std::collections::BTreeSet;

use mocks::data::company::UNUSER;
use pipeline::config::Side;
use pipeline::run::account::RunOutcome;
use pipeline::store::{InboxKind, Store};
use serde_json::json;

use super::oracle::{Couplings, Snapshot, findings, judge};
use super::world::World;
use crate::shipped::add_up;

/// Returns the couplings that the state holds of the table maps that must have some.
fn couplings(world: &World, expected: &Couplings) -> Couplings {
    let store = world.store();
    let read = |name: &'static str| {
        let held = store.couplings(name, &[]).unwrap();
        let ids = held.erp.iter().zip(&held.crm).map(|(erp, crm)| (erp.to_string(), crm.to_string()));
        (name, ids.collect::<BTreeSet<_>>())
    };
    expected.keys().map(|name| read(name)).collect()
}

#[test]
fn the_first_night_makes_both_sides_agree_and_the_second_writes_nothing() {
    let mut world = World::new();
    let before = Snapshot::of(&world);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    let expected = judge(&before, &Snapshot::of(&world));
    assert_eq!(couplings(&world, &expected), expected);
    // Both sides' records inside the filters, as the data set says: common ones once, those of one side once more.
    let counts: Vec<(&str, usize)> = expected.iter().map(|(name, pairs)| (*name, pairs.len())).collect();
    let goods = [("item_prices", 340), ("items", 340), ("price_list", 1), ("resource_prices", 23), ("resources", 23)];
    let people = [("salespeople", 14), ("unit_groups", 15), ("units", 15)];
    assert_eq!(
        counts,
        [[("contacts", 558), ("currencies", 30), ("customers", 222)].as_slice(), &goods, &people].concat()
    );
    let codes = world.records(Side::Erp, "salespeoplePurchasers").into_iter().map(|row| row["code"].clone());
    let new: Vec<_> = codes.filter(|code| code.as_str().unwrap().starts_with("SP NO.")).collect();
    assert_eq!(new, ["SP NO. 00001", "SP NO. 00002", "SP NO. 00003"]);

    let report = world.quiet();
    assert_eq!(report.outcome, RunOutcome::Converged);
    let (erp, crm) = (world.erp.counts(), world.crm.counts());
    assert_eq!((erp.tokens, crm.tokens), (1, 1), "one login a side");
    assert_eq!((erp.refused, crm.refused), (0, 0));
    let sent = report.requests;
    assert_eq!((sent.erp.sent, sent.crm.sent), (erp.requests - erp.tokens, crm.requests - crm.tokens));
    // The requests are the budget of the night: who adds one changes these numbers.
    assert_eq!((erp.requests, crm.requests), (15, 15));
    assert_eq!(Snapshot::of(&world).set(Side::Erp, "customers").len(), 226);
}

#[test]
fn a_customer_whose_salesperson_is_no_user_fails_alone() {
    let mut world = World::new();
    let before = Snapshot::of(&world);
    let customer = world.find(Side::Erp, "customers", "number", UNUSER);
    world.edit(Side::Erp, "customers", customer, json!({"blocked": "_x0020_"}));
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Incomplete, "I4: a run with trouble is not done");
    let told: Vec<_> =
        report.inbox.iter().map(|item| (item.kind, item.record.as_str(), item.message.as_str())).collect();
    let message = "customers:UNUSER cannot go to the CRM: salespersonCode: salespeople:ZT is not coupled";
    assert_eq!(told, [(InboxKind::Failed, "customers:UNUSER", message)]);
    let failed: Vec<u64> = report.tables.iter().map(|table| table.to.crm.failed + table.to.erp.failed).collect();
    assert_eq!(failed.iter().sum::<u64>(), 1, "I4: nobody else is in trouble");
    // Everything else is as if the customer were still blocked.
    let mut after = Snapshot::of(&world);
    after.take(&before, Side::Erp, "customers", &customer.to_string());
    judge(&before, &after);
    assert_eq!(world.quiet().outcome, RunOutcome::Incomplete, "it waits on, and nothing is written");

    // Somebody gives the customer another salesperson, and it follows without further ado.
    world.edit(Side::Erp, "customers", customer, json!({"salespersonCode": "AB"}));
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    let account = world.find(Side::Crm, "accounts", "accountnumber", UNUSER);
    let user = world.find(Side::Crm, "systemusers", "fullname", "Agnes Bielak");
    assert_eq!(world.get(Side::Crm, "accounts", account, "_ownerid_value"), user.to_string());
}

/// The oracle is worth something only where it sees what is wrong.
#[test]
fn the_oracle_sees_every_slip() {
    let before = Snapshot::of(&World::new());
    let world = World::settled();
    judge(&before, &Snapshot::of(&world));
    let euro = world.find(Side::Crm, "transactioncurrencies", "isocurrencycode", "EUR").to_string();
    let unit = world.find(Side::Crm, "uoms", "name", "BOX").to_string();
    let (erp, crm) = (Side::Erp, Side::Crm);
    for (side, set, property, key, slip, told) in [
        (crm, "accounts", "accountnumber", "10000", json!({"name": "Moller"}), "name was"),
        (
            crm,
            "accounts",
            "accountnumber",
            "10010",
            json!({"_transactioncurrencyid_value": euro}),
            "_transactioncurrencyid_value",
        ),
        (crm, "accounts", "accountnumber", "10010", json!({"numberofemployees": 1}), "numberofemployees was"),
        (crm, "accounts", "accountnumber", "10030", json!({"description": "a note"}), "had to stay"),
        (erp, "customers", "number", UNUSER, json!({"city": "Oslo"}), "had to stay"),
        (
            erp,
            "customers",
            "number",
            "C00010",
            json!({"number": "C99990"}),
            "\"C99990\" is 1 times in the ERP, 0 in the CRM",
        ),
        (erp, "customers", "number", "10040", json!({"displayName": "Another"}), "displayName was"),
        (crm, "productpricelevels", "productnumber", "1000-S", json!({"amount": 1}), "amount was"),
        (crm, "products", "productnumber", "R0010", json!({"_pricelevelid_value": null}), "_pricelevelid_value was"),
        (crm, "uoms", "uomid", &unit, json!({"name": "A box"}), "name was"),
    ] {
        let id = world.find(side, set, property, key);
        world.edit(side, set, id, slip);
        let (_, findings) = findings(&before, &Snapshot::of(&world));
        let seen =
            |finding: &String| finding.contains(told) && (finding.contains(&id.to_string()) || told.contains("times"));
        assert!(findings.iter().any(seen), "{set} {key}: {findings:#?}");
    }
}

#[test]
fn the_counts_add_up_to_the_rows() {
    let mut world = World::new();
    let planned = world.plan();
    add_up(&world.pipeline, &planned);
    let report = world.run();
    add_up(&world.pipeline, &report);
    let customers = report.tables.iter().find(|table| table.table == "customers").unwrap();
    // 26 customers are new in the ERP, and the numbers that it gave them went back.
    assert_eq!((customers.to.erp.inserted, customers.rows.erp), (26, 196));
    let counts = customers.to.crm;
    assert_eq!(counts.inserted + counts.modified + counts.unchanged, 196 + 26);
    let report = world.run();
    add_up(&world.pipeline, &report);
}
