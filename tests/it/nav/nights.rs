//! Nights over pages that know their records by keys: nothing is made twice, whatever becomes of an answer, and what has no
//! key of its own is held.

use std::collections::HashMap;
use std::path::PathBuf;

use mocks::fault::{Fault, Faults};
use pipeline::adapters::sqlite::SqliteStore;
use pipeline::config::Side;
use pipeline::run::RunError;
use pipeline::run::account::{RunOutcome, RunReport};
use pipeline::store::{Intent, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::shipped::{How, attempt, night, writes};
use crate::world::{World, open, world};

const NAV: &str = include_str!("../../../pipelines/nav.yaml");

pub struct Nights {
    pub world: World,
    pub text: String,
    folder: TempDir,
}

impl Nights {
    pub fn new(text: String) -> Nights {
        Nights { world: world(), text, folder: tempfile::tempdir().unwrap() }
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    pub fn run(&self, how: How) -> RunReport {
        night(&self.world, &self.text, "nav.yaml", &self.state(), how)
    }

    pub fn account(&self, values: Value) -> Uuid {
        self.world.crm.with(|state| state.insert("accounts", values.as_object().unwrap())).unwrap()
    }

    /// How many customers bear each name.
    pub fn customers(&self) -> HashMap<String, usize> {
        let mut names = HashMap::new();
        for record in self.world.records(Side::Erp, "customers") {
            *names.entry(record["displayName"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        names
    }
}

/// Returns the shipped file with pieces replaced.
fn changed(pieces: &[(&str, &str)]) -> String {
    pieces.iter().fold(NAV.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "`{from}` stands there once");
        text.replace(from, to)
    })
}

/// A file in which accounts give new customers their number.
fn numbered() -> String {
    changed(&[
        (
            "      - { erp: \"No\", crm: accountnumber, direction: to_crm }\n",
            "      - { erp: \"No\", crm: accountnumber, direction: to_erp, when: create }\n",
        ),
        ("    on_create:\n      - { side: erp, set: { \"No\": \"next_number('C', 5)\" } }\n", ""),
        ("      - by: { Name: name, City: address1_city }\n", ""),
        ("      - by: { \"No\": accountnumber }\n", "      - by: { E_Mail: emailaddress1 }\n"),
    ])
}

#[test]
fn lost_answers_double_nothing() {
    for (fault, nth) in [
        (Fault::DroppedAfter, 1),
        (Fault::DroppedBefore, 2),
        (Fault::UnavailableAfter, 3),
        (Fault::TimedOut, 40),
        (Fault::StaleEtag, 1),
    ] {
        let nights = Nights::new(NAV.to_owned());
        for number in 0..6 {
            nights.account(
                json!({"name": format!("Lost & Found {number}"), "address1_city": "Ely", "customertypecode": 3}),
            );
        }
        nights.world.erp.set_faults(Faults::once(fault, nth));
        let first = nights.run(How::default());
        nights.world.erp.set_faults(Faults::none());
        let second = nights.run(How::default());
        assert_eq!(second.outcome, RunOutcome::Converged, "{fault}: {:#?}", second.inbox);
        let names = nights.customers();
        for number in 0..6 {
            assert_eq!(names.get(&format!("Lost & Found {number}")), Some(&1), "{fault} {:?}", first.outcome);
        }
        let before = writes(&nights.world);
        assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged, "{fault}");
        assert_eq!(writes(&nights.world), before, "{fault}: a quiet night writes nothing");
    }
}

#[test]
fn nights_under_faults_end_in_agreement() {
    for seed in 0..3 {
        let nights = Nights::new(NAV.to_owned());
        let faults = |side: u64| Faults::seeded(seed * 10 + side, 0.05, &Fault::ALL);
        nights.world.erp.set_faults(faults(0));
        nights.world.crm.set_faults(faults(1));
        for _ in 0..4 {
            // What could not be read in spite of all patience is read by the next night.
            let _ = attempt(&nights.world, &nights.text, "nav.yaml", &nights.state(), How::default());
        }
        nights.world.erp.set_faults(Faults::none());
        nights.world.crm.set_faults(Faults::none());
        let last = nights.run(How::default());
        assert_eq!(last.outcome, RunOutcome::Converged, "seed {seed}: {:#?}", last.inbox);
        let before = writes(&nights.world);
        nights.run(How::default());
        assert_eq!(writes(&nights.world), before, "seed {seed}");
        let doubled: Vec<(String, usize)> = nights.customers().into_iter().filter(|(_, count)| *count > 1).collect();
        let fresh = Nights::new(NAV.to_owned()).customers();
        assert!(doubled.iter().all(|(name, count)| fresh.get(name) == Some(count)), "seed {seed}: {doubled:?}");
    }
}

/// The program died after it had sent a new record: the journal knows the key, and the page tells whether it is there.
#[test]
fn what_a_run_that_was_cut_off_made_is_found_by_its_key() {
    for (arrived, told) in [(true, false), (false, false), (false, true)] {
        let nights = Nights::new(NAV.to_owned());
        assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged);
        let account = nights.account(json!({"name": "Halfway", "address1_city": "Ely", "customertypecode": 3}));
        let info = open(Side::Erp, &nights.world.nav()).describe("Customer").unwrap();
        let intent = Intent {
            also: String::new(),
            table: "customers".into(),
            side: Side::Erp,
            action: "insert".into(),
            id: info.id_of(&["C-HALF".into()]),
            partner: account,
            record: "customers:Halfway".into(),
            fields: told.then(|| ("No".into(), String::new(), "C-HALF".into())).into_iter().collect(),
            agreed: Vec::new(),
            why: String::new(),
        };
        let now = || "2026-01-31T02:00:00Z".to_owned();
        let mut store = SqliteStore::open(&nights.state(), "a test", &now, true).unwrap();
        store.intend("a run that died", &[intent]).unwrap();
        drop(store);
        if arrived {
            let record = json!({"number": "C-HALF", "displayName": "Halfway"});
            nights.world.erp.with(|state| state.insert("customers", record.as_object().unwrap())).unwrap();
        }
        let report = nights.run(How::default());
        assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
        assert_eq!(nights.customers()["Halfway"], 1, "arrived: {arrived}");
        let found = nights.world.erp.with(|state| state.find("customers", "number", "C-HALF")).is_some();
        assert_eq!(found, arrived || told, "what may still come is made under the key that it was sent with");
    }
}

#[test]
fn a_new_record_without_a_key_of_its_own_is_held() {
    let nights = Nights::new(numbered());
    let blocked = json!({"number": "B-1", "displayName": "Blocked", "blocked": "All"});
    nights.world.erp.with(|state| state.insert("customers", blocked.as_object().unwrap())).unwrap();
    let account = |name: &str, number: &str| {
        let email = format!("{}@example.com", name.replace(' ', "."));
        nights.account(json!({"name": name, "accountnumber": number, "emailaddress1": email, "customertypecode": 3}))
    };
    let (none, taken) = (account("No number", ""), account("Taken", "b-1"));
    let twins = [account("Twin one", "T-1"), account("Twin two", "t-1 ")];
    account("Alone", "A-1");
    for how in [How { dry_run: true, ..How::default() }, How::default()] {
        let report = nights.run(how);
        assert_eq!(report.outcome, RunOutcome::Incomplete);
        let told = |ids: &[Uuid], part: &str| {
            let mut items = report.inbox.iter().filter(|item| item.crm_id.is_some_and(|id| ids.contains(&id)));
            let item = items.next().unwrap();
            assert!(item.message.contains(part) && items.next().is_none(), "{item:?}");
        };
        told(&[none], "`No` is blank, and the ERP knows its records by it");
        told(&[taken], "another record with the key `B-1` is there already");
        // Of the two one comes first, and the other one finds its key taken.
        told(&twins, "the key `T-1`");
    }
    let names = nights.customers();
    let count = |name: &str| names.get(name).copied().unwrap_or_default();
    assert_eq!([count("Alone"), count("Taken"), count("Blocked")], [1, 0, 1]);
    assert_eq!(count("Twin one") + count("Twin two"), 1);
}

#[test]
fn a_table_that_makes_records_without_their_key_is_refused_before_anything_is_read() {
    let text = changed(&[("    on_create:\n      - { side: erp, set: { \"No\": \"next_number('C', 5)\" } }\n", "")]);
    let nights = Nights::new(text);
    let error = attempt(&nights.world, &nights.text, "nav.yaml", &nights.state(), How::default()).unwrap_err();
    let RunError::Mapping(misfits) = &error else { panic!("{error:?}") };
    assert_eq!(misfits.len(), 1, "{misfits:#?}");
    assert_eq!(misfits[0].message, "the ERP knows records of `Customer` by `No`, and nothing gives that to a new one");
    assert_eq!(misfits[0].path.to_string(), "tables.customers.create");
}

/// The day is all that NAV tells of a change.
#[test]
fn changes_are_read_by_their_day() {
    let nights = Nights::new(NAV.to_owned());
    assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged);
    let days = 40 * 86_400;
    nights.world.erp.with(|state| state.advance(days));
    let edit = |number: &str, city: &str| {
        let id = nights.world.erp.with(|state| state.find("customers", "number", number)).unwrap();
        nights.world.erp.with(|state| state.edit("customers", id, json!({"city": city}).as_object().unwrap())).unwrap();
    };
    let city = |number: &str| {
        let id = nights.world.crm.with(|state| state.find("accounts", "accountnumber", number)).unwrap();
        nights.world.crm.with(|state| state.record("accounts", id)).unwrap()["address1_city"].clone()
    };
    let how = How { changed: true, ..How::default() };
    // The first one begins to track in the CRM; then twice on the same day.
    nights.run(how);
    for name in ["Bath", "Ely", "York"] {
        edit("10000", name);
        let before = nights.world.erp.counts().requests;
        let report = nights.run(how);
        assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
        assert_eq!(city("10000"), name);
        let requests = nights.world.erp.counts().requests - before;
        let customers = report.tables.iter().find(|table| table.table == "customers").unwrap();
        assert_eq!(customers.mode.key(), "changed", "{customers:#?}");
        assert!(customers.rows.erp < 20, "{} rows in {requests} requests", customers.rows.erp);
        let salespeople = report.tables.iter().find(|table| table.table == "salespeople").unwrap();
        assert_eq!(salespeople.mode.key(), "full", "nothing tells when they were modified");
    }
}
