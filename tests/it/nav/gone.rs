//! What proves a deletion to services that know their records by keys (I7): the service's own word on a record that was asked
//! for by its key, and nothing else. Each night is a program of its own, which has only the state to know keys from.

use pipeline::adapters::sqlite::SqliteStore;
use pipeline::address::Address;
use pipeline::by_hand::{Desk, Moment, Wanted};
use pipeline::config::PerSide;
use pipeline::run::account::RunOutcome;
use pipeline::store::InboxKind;
use serde_json::json;
use uuid::Uuid;

use super::nights::{Nights, changed};
use crate::shipped::{self, How};
use crate::world::open;

const ODATA: &str = include_str!("../../../pipelines/odata.yaml");
const HOLD: &str = "on_delete: hold }";

/// A file by which who lost his partner is deleted as well.
fn files() -> [String; 2] {
    let odata = ODATA.replace(HOLD, "on_delete: delete }");
    [changed(&[(HOLD, "on_delete: delete }")]), odata]
}

impl Nights {
    fn customer(&self, number: &str) -> Uuid {
        let record = json!({"number": number, "displayName": format!("Customer {number}"), "city": "Ely"});
        self.world.erp.with(|state| state.insert("customers", record.as_object().unwrap())).unwrap()
    }

    fn accounts(&self) -> usize {
        self.world.crm.with(|state| state.count("accounts"))
    }
}

#[test]
fn a_record_that_lists_leave_out_is_not_gone() {
    for text in files() {
        let nights = Nights::new(text);
        let numbers = ["X-1", "X-2", "X-3"];
        let customers = numbers.map(|number| nights.customer(number));
        assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged);
        let accounts = nights.accounts();
        nights.world.erp.with(|state| state.unlisted.extend(customers));
        let report = nights.run(How::default());
        let table = report.tables.iter().find(|table| table.table == "customers").unwrap();
        let error = table.error.clone().unwrap_or_default();
        assert!(error.contains("a list of ids left out record"), "{report:#?}");
        assert_eq!(nights.accounts(), accounts);
        // Deleted in earnest, the service says so of each, and nobody else has to.
        nights.world.erp.with(|state| state.unlisted.clear());
        customers.into_iter().for_each(|id| nights.world.erp.with(|state| state.delete("customers", id)).unwrap());
        let report = nights.run(How::default());
        assert_eq!(report.outcome, RunOutcome::Converged, "{report:#?}");
        assert_eq!(nights.accounts(), accounts - 3);
        nights.quiet();
    }
}

/// Nobody has read it since, so its coupling has to bring its key along: by who looked for it, or by a question for it.
#[test]
fn a_record_that_was_coupled_by_hand_and_deleted_at_once_is_gone() {
    for (text, looked) in [(changed(&[]), true), (changed(&[]), false), (ODATA.to_owned(), true)] {
        let nights = Nights::new(text);
        let customer = nights.customer("X-1");
        let account = nights.account(json!({"name": "Stranger", "accountnumber": "S-1", "customertypecode": 3}));
        let pipeline = shipped::pipeline(&nights.world, &nights.text, "nav.yaml");
        let ends = PerSide::from_fn(|side| open(side, pipeline.connections.of(side)));
        let desk = |store: &SqliteStore<'_>, ends| {
            let map = pipeline.tables.iter().find(|map| map.name == "customers").unwrap();
            Desk::open(&pipeline, ends, store, map).unwrap()
        };
        let mut store = SqliteStore::open(&nights.state(), "a test", &|| "2026-01-31T01:00:00Z".into(), true).unwrap();
        let own = desk(&store, PerSide { erp: &*ends.erp, crm: &*ends.crm });
        let addresses = ["customers:X-1".to_owned(), format!("customers:crm:{account}")];
        let addresses = addresses.map(|address| Address::parse(&address).unwrap());
        let pairs = own.look(&store, &[Wanted { line: None, addresses }]).unwrap().unwrap().pairs;
        let others = PerSide::from_fn(|side| open(side, pipeline.connections.of(side)));
        let other = desk(&store, PerSide { erp: &*others.erp, crm: &*others.crm });
        own.bind(&mut store).unwrap();
        let moment = Moment { run: "by hand".to_owned(), at: "2026-01-31T01:00:00Z".to_owned() };
        if looked { own } else { other }.couple(&mut store, &pairs, &moment).unwrap();
        drop(store);
        nights.world.erp.with(|state| state.delete("customers", customer)).unwrap();
        let report = nights.run(How::default());
        let [item] = &report.inbox[..] else { panic!("{report:#?}") };
        assert_eq!((item.kind, item.crm_id), (InboxKind::Deleted, Some(account)), "{}", item.message);
    }
}

/// NAV takes no such key in an address (erp-api.md §1), and many another service finds nothing there: so nobody can ask for its
/// record, or change it.
#[test]
fn a_record_that_cannot_be_asked_for_is_never_gone() {
    for text in files() {
        let nights = Nights::new(text);
        let customer = nights.customer("A/B");
        assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged);
        let accounts = nights.accounts();
        let phone = |phone: serde_json::Value| {
            let phone = json!({"telephone1": phone});
            nights.world.crm.with(|state| {
                let account = state.find("accounts", "accountnumber", "A/B").unwrap();
                state.edit("accounts", account, phone.as_object().unwrap()).unwrap();
            });
        };
        phone(json!("2"));
        let report = nights.run(How::default());
        let told: Vec<&String> = report.inbox.iter().map(|item| &item.message).collect();
        assert!(told.len() == 1 && told[0].contains("no address takes its key `A/B`"), "{told:?}");
        phone(json!(null));
        assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged);
        nights.world.erp.with(|state| state.delete("customers", customer)).unwrap();
        for how in [How { dry_run: true, ..How::default() }, How::default()] {
            let report = nights.run(how);
            let table = report.tables.iter().find(|table| table.table == "customers").unwrap();
            let told =
                "1 coupled record is in no list of the ERP, which cannot be asked for it by its key (Customer A/B)";
            assert!(table.notes.iter().any(|note| note.contains(told)), "{report:#?}");
            assert_eq!((table.outside, nights.accounts()), (1, accounts));
        }
        nights.quiet();
    }
}

/// A letter that has no capital stays as it is in a code, and so the record is asked for by it.
#[test]
fn a_key_is_asked_for_as_its_side_writes_it() {
    for text in files() {
        let nights = Nights::new(text);
        let customer = nights.customer("fuß1");
        assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged);
        let accounts = nights.accounts();
        let number = nights.world.erp.with(|state| state.record("customers", customer)).unwrap()["number"].clone();
        assert_eq!(number, "FUß1");
        let blocked = json!({"blocked": "All"});
        nights.world.erp.with(|state| state.edit("customers", customer, blocked.as_object().unwrap())).unwrap();
        let report = nights.run(How::default());
        assert_eq!((report.outcome, nights.accounts()), (RunOutcome::Converged, accounts), "{report:#?}");
    }
}
