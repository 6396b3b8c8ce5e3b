//! People edit between two nights: what flows, what is held, what a plan says of it.

use insta::assert_snapshot;
use mocks::log::Entry;
use pipeline::config::{PerSide, Side};
use pipeline::plan::ActionKind;
use pipeline::report;
use pipeline::run::account::RunOutcome;
use pipeline::store::{InboxKind, Store};
use serde_json::json;
use uuid::Uuid;

use super::world::World;

/// A customer of the default company and its account, after the first night.
struct Customer {
    world: World,
    erp: Uuid,
    crm: Uuid,
}

fn customer() -> Customer {
    let world = World::settled();
    let erp = world.find(Side::Erp, "customers", "number", "10000");
    let crm = world.find(Side::Crm, "accounts", "accountnumber", "10000");
    Customer { world, erp, crm }
}

impl Customer {
    fn type_erp(&self, values: serde_json::Value) {
        self.world.edit(Side::Erp, "customers", self.erp, values);
    }

    fn type_crm(&self, values: serde_json::Value) {
        self.world.edit(Side::Crm, "accounts", self.crm, values);
    }

    fn erp(&self, property: &str) -> String {
        self.world.get(Side::Erp, "customers", self.erp, property)
    }

    fn crm(&self, property: &str) -> String {
        self.world.get(Side::Crm, "accounts", self.crm, property)
    }
}

/// Returns verb, set and status of writes.
fn told(writes: &[Entry]) -> Vec<(&'static str, String, u16)> {
    writes.iter().map(|entry| (entry.method, entry.set.to_string(), entry.status)).collect()
}

#[test]
fn edits_of_different_fields_both_survive() {
    let mut at = customer();
    at.type_erp(json!({"displayName": "Møller & Daughter ApS"}));
    at.type_crm(json!({"telephone1": "+45 33 55 00 11"}));
    at.world.forget();
    assert_eq!(at.world.run().outcome, RunOutcome::Converged);
    assert_eq!(at.crm("name"), "Møller & Daughter ApS");
    assert_eq!(at.erp("phoneNumber"), "+45 33 55 00 11");
    assert_eq!((at.erp("displayName"), at.crm("telephone1")), (at.crm("name"), at.erp("phoneNumber")));
    let PerSide { erp, crm } = at.world.writes();
    assert_eq!(told(&erp), [("PATCH", "customers".to_owned(), 200)]);
    assert_eq!((erp[0].id, crm.iter().map(|entry| entry.id).collect::<Vec<_>>()), (Some(at.erp), vec![Some(at.crm)]));
    at.world.quiet();
}

#[test]
fn a_field_edited_on_both_sides_is_held_and_the_others_flow() {
    let mut at = customer();
    let was = at.erp("displayName");
    at.type_erp(json!({"displayName": "Møller A/S", "city": "Aarhus"}));
    at.type_crm(json!({"name": "Møller Holding", "telephone1": "+45 33 55 00 22"}));
    let report = at.world.run();
    assert_eq!(report.outcome, RunOutcome::Incomplete);
    let names = |at: &Customer| (at.erp("displayName"), at.crm("name"));
    assert_eq!(names(&at), ("Møller A/S".to_owned(), "Møller Holding".to_owned()), "nobody is overwritten");
    assert_eq!((at.crm("address1_city"), at.erp("phoneNumber")), ("Aarhus".into(), "+45 33 55 00 22".into()));
    let held = |world: &World, attempts: u32| {
        let [item] = &world.inbox()[..] else { panic!("{:#?}", world.inbox()) };
        let values = [&item.field, &item.base, &item.erp, &item.crm].map(|value| value.clone().unwrap());
        assert_eq!((item.kind, item.record.as_str()), (InboxKind::Contested, "customers:10000"));
        assert_eq!(values, ["displayName", was.as_str(), "Møller A/S", "Møller Holding"]);
        assert_eq!(item.attempts, attempts);
    };
    held(&at.world, 1);
    for night in 2..4 {
        assert_eq!(at.world.quiet().outcome, RunOutcome::Incomplete);
        assert_eq!(names(&at), ("Møller A/S".to_owned(), "Møller Holding".to_owned()));
        held(&at.world, night);
    }
    // A person settles it by typing the same on both sides, and from then on edits flow again.
    at.type_crm(json!({"name": "Møller A/S"}));
    assert_eq!(at.world.quiet().outcome, RunOutcome::Converged);
    assert_eq!(at.world.inbox(), []);
    at.type_crm(json!({"name": "Møller Holding A/S"}));
    assert_eq!(at.world.run().outcome, RunOutcome::Converged);
    assert_eq!(at.erp("displayName"), "Møller Holding A/S");
    at.world.quiet();
}

#[test]
fn a_cleared_field_is_an_edit_like_any_other() {
    let mut at = customer();
    at.type_erp(json!({"phoneNumber": ""}));
    at.type_crm(json!({"emailaddress1": null}));
    assert_eq!(at.world.run().outcome, RunOutcome::Converged);
    assert_eq!((at.crm("telephone1"), at.erp("email")), (String::new(), String::new()));
    at.world.quiet();
}

/// Edits of people in several tables: one side, the other, both, a new record, a value that is put back.
fn a_busy_day(at: &Customer) {
    at.type_erp(json!({"displayName": "Møller & Daughter ApS", "salespersonCode": "CE", "currencyCode": "NOK"}));
    at.type_crm(json!({"telephone1": "+45 33 55 00 11", "creditlimit": 1}));
    let item = at.world.find(Side::Erp, "items", "number", "1002-S");
    at.world.edit(Side::Erp, "items", item, json!({"unitPrice": 99.5}));
    let contact = at.world.find(Side::Crm, "contacts", "emailaddress1", "agnes.weiss@novak-print.example");
    at.world.edit(Side::Crm, "contacts", contact, json!({"jobtitle": "Head of Print"}));
    let new = json!({"number": "90000", "displayName": "Newcomer Ltd.", "city": "Leeds", "salespersonCode": "AB"});
    at.world.erp.with(|state| state.insert("customers", new.as_object().unwrap())).unwrap();
}

#[test]
fn a_plan_is_what_the_run_does() {
    let mut at = customer();
    a_busy_day(&at);
    at.world.forget();
    let kept = |world: &World| {
        let store = world.store();
        (store.coupling_counts().unwrap(), store.runs(9).unwrap(), store.inbox(None).unwrap())
    };
    let before = kept(&at.world);
    let planned = at.world.plan();
    assert_eq!(at.world.writes(), PerSide::default());
    assert_eq!(kept(&at.world), before, "a plan stores nothing");
    let done = at.world.run();
    assert_eq!(planned.plan, done.plan);
    assert_eq!(planned.plan.hash(), done.plan.hash());
    assert_eq!(
        planned.tables.iter().map(|table| table.to).collect::<Vec<_>>(),
        done.tables.iter().map(|table| table.to).collect::<Vec<_>>()
    );
    // By the sides' own logs: every action arrived once, and nothing else did.
    let writes = at.world.writes();
    for side in Side::BOTH {
        let mut arrived: Vec<Uuid> = writes.of(side).iter().filter_map(|entry| entry.id).collect();
        let actions = planned.plan.actions().filter(|action| action.side == side);
        let wrote = |kind: &ActionKind| matches!(kind, ActionKind::Insert | ActionKind::Update);
        let mut expected: Vec<Uuid> =
            actions.filter(|action| wrote(&action.kind)).map(|action| *action.ids.of(side)).collect();
        arrived.sort_unstable();
        expected.sort_unstable();
        assert_eq!(arrived, expected, "{side:?}");
    }
    at.world.quiet();
}

#[test]
fn a_plan_is_told_to_people() {
    let mut at = customer();
    a_busy_day(&at);
    let text = report::plan::text(&at.world.plan());
    let (text, _) = text.split_once("hash ").unwrap();
    assert_snapshot!(text, @r#"
    customers
      update customers:10000 in the ERP: edited in the CRM
        phoneNumber: "5550 6056" → "+45 33 55 00 11" (edited in the CRM)
      update customers:10000 in the CRM: edited in the ERP; the ERP owns the field
        name: "Møller & Søn ApS" → "Møller & Daughter ApS" (edited in the ERP)
        transactioncurrencyid: currencies:DKK → currencies:NOK (edited in the ERP)
        creditlimit: 1 → 25000 (the ERP owns the field)
        ownerid: salespeople:AB → salespeople:CE (edited in the ERP)
      insert customers:90000 into the CRM: only the ERP has it
        accountnumber: "90000" (new)
        name: "Newcomer Ltd." (new)
        address1_city: "Leeds" (new)
        transactioncurrencyid: currencies:GBP (new)
        creditlimit: 0 (new)
        ownerid: salespeople:AB (new)
        customertypecode: 3 (new)

    contacts
      update contacts:CT000627 in the ERP: edited in the CRM
        jobTitle: "Purchasing Manager" → "Head of Print" (edited in the CRM)

    items
      update items:1002-S in the CRM: edited in the ERP
        price: 516.08 → 99.5 (edited in the ERP)

    item_prices
      update item_prices:1002-S in the CRM: edited in the ERP
        amount: 516.08 → 99.5 (edited in the ERP)

    plan: 1 insert in the CRM, 3 updates in the CRM and 2 updates in the ERP;
    "#);
}

#[test]
fn only_the_tables_asked_for_are_written() {
    let mut at = customer();
    at.type_erp(json!({"displayName": "Møller & Daughter ApS", "salespersonCode": "CE"}));
    let item = at.world.find(Side::Erp, "items", "number", "1002-S");
    at.world.edit(Side::Erp, "items", item, json!({"unitPrice": 99.5}));
    at.world.forget();
    let report = at.world.attempt(&["customers"], false).unwrap();
    assert_eq!(report.outcome, RunOutcome::Converged);
    assert_eq!(report.tables.iter().map(|table| table.table.as_str()).collect::<Vec<_>>(), ["customers"]);
    let writes = at.world.writes();
    assert_eq!(writes.erp, []);
    assert_eq!(
        writes.crm.iter().map(|entry| (&*entry.set, entry.id)).collect::<Vec<_>>(),
        [("accounts", Some(at.crm))]
    );
    let user = at.world.find(Side::Crm, "systemusers", "fullname", "Carys Evans");
    assert_eq!(at.crm("_ownerid_value"), user.to_string(), "references resolve by the stored couplings");
    assert_eq!(at.crm("name"), "Møller & Daughter ApS");
    // The rest follows with the next whole night.
    assert_eq!(at.world.run().outcome, RunOutcome::Converged);
    let product = at.world.find(Side::Crm, "products", "productnumber", "1002-S");
    assert_eq!(at.world.get(Side::Crm, "products", product, "price"), "99.5000");
    at.world.quiet();
}

/// Over the wire: the metadata tells where the times are, the answers tell of the clocks, and a write is no edit.
#[test]
fn the_newer_of_two_edits_wins() {
    let mut at = customer();
    for map in &mut at.world.pipeline.tables {
        map.fields.iter_mut().for_each(|field| field.on_conflict = pipeline::config::OnConflict::Newest);
    }
    at.type_erp(json!({"displayName": "Typed first", "city": "Moss"}));
    at.world.crm.with(|state| state.advance(60));
    at.type_crm(json!({"name": "Typed last"}));
    let report = at.world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    assert_eq!((at.erp("displayName"), at.crm("name")), ("Typed last".to_owned(), "Typed last".to_owned()));
    let reasons: Vec<&str> =
        report.plan.actions().flat_map(|action| &action.fields).map(|change| change.why.as_str()).collect();
    assert!(reasons.iter().any(|why| why.starts_with("edited on both sides, the CRM is newer (")), "{reasons:?}");
    at.world.quiet();
}
