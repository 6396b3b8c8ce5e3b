//! What both services make of what they are sent, as a run sees it over the wire: what they round is theirs, whichever way
//! the records went, and what a page leaves out without a word is a failure.

use std::path::PathBuf;

use mocks::fault::{Fault, Faults};
use pipeline::adapters::dataverse::bulk::RECORDS_MIN;
use pipeline::config::Side;
use pipeline::run::account::{RunOutcome, RunReport};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::shipped::{How, night};
use crate::world::{World, world};

const CONNECTIONS: &str = r#"version: 1
name: taken
state: sqlite:state/taken.db
connections:
  erp:
    adapter: business-central
    url: ${ERP_URL}
    company: CRONUS International Ltd.
    auth: { type: oauth2, token_url: "${ERP_TOKEN_URL}", client_id: "${ERP_CLIENT_ID}", client_secret: "${ERP_CLIENT_SECRET}", scope: "https://api.businesscentral.dynamics.com/.default" }
  crm:
    adapter: dataverse
    url: ${CRM_URL}
    features: { bulk: BULK }
    auth: { type: oauth2, token_url: "${CRM_TOKEN_URL}", client_id: "${CRM_CLIENT_ID}", client_secret: "${CRM_CLIENT_SECRET}", scope: "${CRM_URL}/.default" }
tables:
"#;

const NEW: &str = r#"  customers:
    erp: { table: customers, label: number, filter: "displayName LIKE 'ZZ%'" }
    crm: { table: accounts, label: name, filter: "name LIKE 'ZZ%'" }
    direction: both
    create: to_crm
    match:
      - by: { displayName: name }
    fields:
      - { erp: displayName, crm: name }
      - { erp: creditLimit, crm: creditlimit }
"#;

const KNOWN: &str = r#"  customers:
    erp: { table: customers, label: number, filter: "blocked = ''" }
    crm: { table: accounts, label: accountnumber, filter: customertypecode = 3 AND statecode = 0 }
    direction: both
    match:
      - by: { number: accountnumber }
    first_sync: erp
    fields:
      - { erp: displayName, crm: name }
      - { erp: phoneNumber, crm: telephone1 }
"#;

const BACK: &str = r#"  customers:
    erp: { table: customers, label: number, filter: "displayName LIKE 'ZZ%'" }
    crm: { table: accounts, label: name, filter: "name LIKE 'ZZ%'" }
    direction: both
    create: to_erp
    match:
      - by: { displayName: name }
    fields:
      - { erp: displayName, crm: name }
      - { erp: currencyCode, crm: transactioncurrencyid, ref: { table: currencies, erp: code, crm: isocurrencycode } }
  currencies:
    erp: { table: currencies, label: code }
    crm: { table: transactioncurrencies, label: isocurrencycode }
    direction: to_crm
    match:
      - by: { code: isocurrencycode }
    fields:
      - { erp: displayName, crm: currencyname }
"#;

struct Nights {
    world: World,
    text: String,
    folder: TempDir,
}

impl Nights {
    fn new(bulk: &str, tables: &str) -> Nights {
        let text = format!("{}{tables}", CONNECTIONS.replace("BULK", bulk));
        Nights { world: world(), text, folder: tempfile::tempdir().unwrap() }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    fn go(&self, dry_run: bool) -> RunReport {
        night(&self.world, &self.text, "taken.yaml", &self.state(), How { dry_run, ..How::default() })
    }

    fn writes(&self, side: Side) -> usize {
        match side {
            Side::Erp => self.world.erp.log().lock().unwrap().writes().len(),
            Side::Crm => self.world.crm.log().lock().unwrap().writes().len(),
        }
    }

    /// The values of a property, of records whose name begins so.
    fn held(&self, side: Side, set: &str, name: &str, property: &str) -> Vec<Value> {
        let records = self.world.records(side, set);
        let named = |record: &&serde_json::Map<String, Value>| {
            ["displayName", "name"]
                .iter()
                .any(|key| record.get(*key).and_then(Value::as_str).is_some_and(|held| held.starts_with(name)))
        };
        records.iter().filter(named).map(|record| record.get(property).cloned().unwrap_or_default()).collect()
    }
}

#[test]
fn what_the_crm_rounds_is_its_own_however_many_records_go() {
    let fault = |fault| Some(Faults::once(fault, 1));
    for (bulk, count, lost) in [
        ("auto", RECORDS_MIN + 20, None),
        ("off", RECORDS_MIN + 20, None),
        ("auto", RECORDS_MIN + 20, fault(Fault::DroppedAfter)),
        ("auto", 3, fault(Fault::DroppedAfter)),
        ("auto", 3, None),
    ] {
        let nights = Nights::new(bulk, NEW);
        for number in 0..count {
            let values = json!({"displayName": format!("ZZ {number:03}"), "creditLimit": 10.1234});
            nights.world.erp.with(|state| state.insert("customers", values.as_object().unwrap())).unwrap();
        }
        let erp_before = nights.writes(Side::Erp);
        let planned = nights.go(true);
        lost.into_iter().for_each(|lost| nights.world.set_faults(Side::Crm, lost));
        let done = nights.go(false);
        nights.world.set_faults(Side::Crm, Faults::none());
        assert_eq!(done.outcome, RunOutcome::Converged, "{bulk}, {count}: {:#?}", done.inbox);
        let counts = |report: &RunReport| report.tables[0].to;
        assert_eq!(counts(&planned), counts(&done), "{bulk}, {count}: the plan is the run (I8)");
        assert_eq!(counts(&done).crm.inserted, count as u64);
        assert_eq!(nights.writes(Side::Erp), erp_before, "{bulk}, {count}: nobody edited anything");
        let crm = nights.held(Side::Crm, "accounts", "ZZ", "creditlimit");
        assert_eq!(crm.len(), count);
        assert!(crm.iter().all(|held| held.as_f64() == Some(10.12)), "{crm:?}");
        let before = [Side::Erp, Side::Crm].map(|side| nights.writes(side));
        assert_eq!(nights.go(false).outcome, RunOutcome::Converged);
        assert_eq!([Side::Erp, Side::Crm].map(|side| nights.writes(side)), before, "{bulk}, {count}: quiet (I3)");
    }
}

#[test]
fn what_the_erp_leaves_out_of_a_write_is_a_failure() {
    for more in ["", "      - { erp: paymentTerm/code, crm: description, direction: to_crm }\n"] {
        let nights = Nights::new("auto", &format!("{KNOWN}{more}"));
        assert_eq!(nights.go(false).outcome, RunOutcome::Converged);
        let account = nights
            .world
            .records(Side::Crm, "accounts")
            .into_iter()
            .find(|record| record.get("accountnumber").is_some_and(|number| number == "10000"));
        let account = account.unwrap();
        let id: Uuid = account["accountid"].as_str().unwrap().parse().unwrap();
        let edit = json!({"telephone1": "4711", "name": "Another Name"});
        nights.world.crm.with(|state| state.edit("accounts", id, edit.as_object().unwrap())).unwrap();
        nights.world.erp.with(|state| state.ignored.extend(["phoneNumber".to_owned()]));
        let report = nights.go(false);
        assert_eq!(report.outcome, RunOutcome::Incomplete, "{more}");
        let messages: Vec<&str> = report.inbox.iter().map(|item| item.message.as_str()).collect();
        assert!(messages.len() == 1 && messages[0].contains("the ERP answered success and kept"), "{messages:?}");
        assert!(messages[0].contains("in phoneNumber where `4711` was sent"), "{messages:?}");
        let phones = nights.held(Side::Crm, "accounts", "Another Name", "telephone1");
        assert_eq!(phones, ["4711"], "{more}: nobody's edit is overwritten");
        assert_eq!(
            nights.held(Side::Erp, "customers", "Another Name", "phoneNumber").len(),
            1,
            "{more}: the rest goes"
        );
        // Once the page takes it, it goes over.
        nights.world.erp.with(|state| state.ignored.clear());
        assert_eq!(nights.go(false).outcome, RunOutcome::Converged, "{more}");
        assert_eq!(nights.held(Side::Erp, "customers", "Another Name", "phoneNumber"), ["4711"], "{more}");
    }
}

/// The ERP does not tell who changed a record last: what a new one holds that nobody sent may be its own default or what
/// somebody typed, and only the answer to the insert tells. Where that is lost it goes over, for no edit may be passed over.
#[test]
fn what_the_erp_fills_in_goes_over_only_where_its_answer_is_lost() {
    for lost in [false, true] {
        let nights = Nights::new("auto", BACK);
        let account = json!({"name": "ZZ 1", "customertypecode": 3});
        nights.world.crm.with(|state| state.insert("accounts", account.as_object().unwrap())).unwrap();
        if lost {
            nights.world.set_faults(Side::Erp, Faults::once(Fault::DroppedAfter, 1));
        }
        let done = nights.go(false);
        assert_eq!(done.outcome, RunOutcome::Converged, "{:#?}", done.inbox);
        assert_eq!(nights.held(Side::Erp, "customers", "ZZ", "currencyCode"), ["GBP"]);
        let currency = &nights.held(Side::Crm, "accounts", "ZZ", "_transactioncurrencyid_value")[0];
        assert_eq!(currency.is_string(), lost, "{currency}");
        let before = [Side::Erp, Side::Crm].map(|side| nights.writes(side));
        assert_eq!(nights.go(false).outcome, RunOutcome::Converged);
        assert_eq!([Side::Erp, Side::Crm].map(|side| nights.writes(side)), before, "quiet (I3)");
    }
}
