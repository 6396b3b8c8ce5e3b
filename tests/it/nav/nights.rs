//! Nights over pages that know their records by keys: nothing is made twice, whatever becomes of an answer, whether the key
//! comes with a new record or from a number series; and what has no key of its own is held.

use std::collections::HashMap;
use std::path::PathBuf;

use mocks::fault::{Fault, Faults};
use pipeline::adapters::sqlite::SqliteStore;
use pipeline::config::{PerSide, Side};
use pipeline::frame;
use pipeline::run::account::{RunOutcome, RunReport};
use pipeline::store::{Agreed, InboxKind, Intent, Store, Terms};
use pipeline::translate::canonical::fingerprint;
use pipeline::why::Why;
use pipeline::why::verdict::Kind;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::selected::only;
use crate::shipped::{How, add_up, attempt, night, part, pipeline, writes};
use crate::why::ask;
use crate::world::{World, open, world};

pub const NAV: &str = include_str!("../../../pipelines/nav.yaml");

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
        let report = night(&self.world, &self.text, "nav.yaml", &self.state(), how);
        add_up(&pipeline(&self.world, &self.text, "nav.yaml"), &report);
        report
    }

    /// A run over one record.
    pub fn only(&self, name: &str, how: How) -> RunReport {
        let report = part(&self.world, &self.text, "nav.yaml", &self.state(), (how, only(&[name]))).unwrap();
        add_up(&pipeline(&self.world, &self.text, "nav.yaml"), &report);
        report
    }

    /// What `why` says of a record.
    pub fn why(&self, side: Side, id: Uuid) -> Why {
        let pipeline = pipeline(&self.world, &self.text, "nav.yaml");
        let ends = PerSide::from_fn(|side| open(side, pipeline.connections.of(side)));
        let mut store = SqliteStore::read_only(&self.state()).unwrap();
        ask(&pipeline, PerSide { erp: &*ends.erp, crm: &*ends.crm }, &mut store, ("customers", side, id))
    }

    /// Leaves an update of a customer behind as a run does that is cut off before the answer: `text` was sent in a field.
    pub fn cut_off(&self, account: Uuid, field: &str, text: &str) {
        let pipeline = pipeline(&self.world, &self.text, "nav.yaml");
        let map = pipeline.tables.iter().find(|map| map.name == "customers").unwrap();
        let field = map.fields.iter().find(|known| known.erp.as_deref() == Some(field)).unwrap();
        let now = || "2026-01-31T02:00:00Z".to_owned();
        let mut store = SqliteStore::open(&self.state(), "a test", &now, true).unwrap();
        let erp = store.coupling_of("customers", Side::Crm, account).unwrap().unwrap().ids.erp;
        let sent = frame::Value::Text(text.to_owned());
        let agreed = Agreed {
            field: field.key(),
            base: PerSide::from_fn(|side| fingerprint(&sent, side, frame::Kind::Text)),
            values: PerSide::from_fn(|_| text.to_owned()),
            terms: Terms::AGREED,
        };
        let old = store.base_values("customers", erp, account).unwrap().remove(&field.key()).unwrap().erp;
        let intent = Intent {
            also: String::new(),
            table: "customers".into(),
            side: Side::Erp,
            action: "update".into(),
            id: erp,
            partner: account,
            record: "customers:10000".into(),
            fields: vec![(field.column(Side::Erp).unwrap().to_owned(), old, text.to_owned())],
            agreed: vec![agreed],
            why: String::new(),
        };
        store.intend("a run that died", &[intent]).unwrap();
    }

    /// A night in which nobody has anything to do.
    pub fn quiet(&self) {
        let before = writes(&self.world);
        assert_eq!(self.run(How::default()).outcome, RunOutcome::Converged);
        assert_eq!(writes(&self.world), before);
    }

    pub fn account(&self, values: Value) -> Uuid {
        self.world.crm.with(|state| state.insert("accounts", values.as_object().unwrap())).unwrap()
    }

    /// The customer number that an account has.
    pub fn number(&self, account: Uuid) -> String {
        let record = self.world.crm.with(|state| state.record("accounts", account)).unwrap();
        record.get("accountnumber").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Whether an account has a customer.
    pub fn is_coupled(&self, account: Uuid) -> bool {
        let store = SqliteStore::read_only(&self.state()).unwrap();
        store.coupling_of("customers", Side::Crm, account).unwrap().is_some()
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
pub fn changed(pieces: &[(&str, &str)]) -> String {
    pieces.iter().fold(NAV.to_owned(), |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "`{from}` stands there once");
        text.replace(from, to)
    })
}

/// A file in which new customers count on from what NAV holds.
fn counted() -> String {
    let first = "    first_sync: erp\n";
    changed(&[(
        first,
        &format!("{first}    on_create:\n      - {{ side: erp, set: {{ \"No\": \"next_number('C', 5)\" }} }}\n"),
    )])
}

/// A file in which accounts give new customers their number.
fn numbered() -> String {
    changed(&[
        (
            "      - { erp: \"No\", crm: accountnumber, direction: to_crm }\n",
            "      - { erp: \"No\", crm: accountnumber, direction: to_erp, when: create }\n",
        ),
        ("      - by: { Name: name, City: address1_city }\n", ""),
        ("      - by: { \"No\": accountnumber }\n", "      - by: { E_Mail: emailaddress1 }\n"),
    ])
}

#[test]
fn lost_answers_double_nothing() {
    for (fault, nth, text) in [
        (Fault::DroppedAfter, 1),
        (Fault::DroppedBefore, 2),
        (Fault::UnavailableAfter, 3),
        (Fault::TimedOut, 40),
        (Fault::StaleEtag, 1),
    ]
    .into_iter()
    .flat_map(|fault| [(fault, counted()), (fault, NAV.to_owned())])
    .map(|((fault, nth), text)| (fault, nth, text))
    {
        let nights = Nights::new(text);
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
        // Who is gone does not come back.
        let some: Vec<Fault> = Fault::ALL.into_iter().filter(|fault| *fault != Fault::Gone).collect();
        let faults = |side: u64| Faults::seeded(seed * 10 + side, 0.05, &some);
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
        let nights = Nights::new(counted());
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

/// A customer without a number gets one from NAV's series, and the number goes to the CRM in the same run.
#[test]
fn a_new_record_gets_its_key_from_the_series() {
    let nights = Nights::new(NAV.to_owned());
    assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged);
    let account = nights.account(json!({"name": "Series", "address1_city": "Ely", "customertypecode": 3}));
    // Two that hold the same, and one who is there already and has no partner.
    let twins = [(); 2].map(|()| nights.account(json!({"name": "Twin", "telephone1": "1", "customertypecode": 3})));
    let plan = nights.run(How { dry_run: true, ..How::default() });
    let inserts = plan.plan.actions().filter(|action| action.kind.makes_record()).count();
    assert_eq!(inserts, 1, "{:#?}", plan.plan);
    let report = nights.run(How::default());
    assert_eq!(report.outcome, RunOutcome::Incomplete, "the match rules cannot tell the twins apart");
    let number = nights.number(account);
    let record = nights.world.erp.with(|state| state.find("customers", "number", &number));
    assert!(number.starts_with('C') && record.is_some(), "{number}");
    assert_eq!(nights.customers()["Series"], 1);
    assert!(twins.iter().all(|id| nights.number(*id).is_empty()));
    let before = writes(&nights.world);
    nights.run(How::default());
    assert_eq!(writes(&nights.world), before);
    // It is known by its number from now on, in both directions, and by the journal.
    let how = json!({"name": "Series & Co", "telephone1": "+44 1"});
    nights.world.crm.with(|state| state.edit("accounts", account, how.as_object().unwrap())).unwrap();
    nights.run(How::default());
    let record = nights.world.erp.with(|state| state.record("customers", record.unwrap())).unwrap();
    assert_eq!(record["displayName"], "Series & Co");
}

/// Who is made anew brings the number that it had, although the series gives them.
#[test]
fn a_record_that_is_made_anew_keeps_its_number() {
    let hold = "defaults: { create: none, on_conflict: hold, on_delete: hold }";
    let nights = Nights::new(changed(&[(hold, &hold.replace("on_delete: hold", "on_delete: restore"))]));
    assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged);
    let account = nights.account(json!({"name": "Anew", "address1_city": "Ely", "customertypecode": 3}));
    assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged);
    let number = nights.number(account);
    let find = || nights.world.erp.with(|state| state.find("customers", "number", &number));
    let made = find().unwrap();
    nights.world.erp.with(|state| state.delete("customers", made)).unwrap();
    nights.world.erp.set_faults(Faults::once(Fault::DroppedAfter, 1));
    nights.run(How::default());
    nights.world.erp.set_faults(Faults::none());
    let report = nights.run(How::default());
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    assert!(find().is_some());
    assert_eq!((nights.customers()["Anew"], nights.number(account)), (1, number.clone()));
}

/// A file in which accounts have numbers of their own, which no customer has; nothing else could tell who belongs to whom.
fn unmatched() -> String {
    changed(&[
        ("      - by: { Name: name, City: address1_city }\n", ""),
        ("crm: accountnumber, direction: to_crm }\n", "crm: accountnumber, direction: to_crm, when: create }\n"),
        (
            "customertypecode = 3 AND statecode = 0 }",
            "customertypecode = 3 AND statecode = 0 AND accountnumber IS NOT NULL }",
        ),
    ])
}

/// What the run of a night sent of a new customer, when it died before the answer.
fn died(nights: &Nights, account: Uuid, name: &str) {
    let info = open(Side::Erp, &nights.world.nav()).describe("Customer").unwrap();
    let sent = |column: &str, value: &str| (column.to_owned(), String::new(), value.to_owned());
    let intent = Intent {
        also: String::new(),
        table: "customers".into(),
        side: Side::Erp,
        action: "insert".into(),
        // What it went out under; nobody has that key.
        id: info.id_of(&[format!("sent for {account}")]),
        partner: account,
        record: format!("customers:{name}"),
        fields: vec![sent("Name", name), sent("City", "Ely"), sent("Phone_No", "+44 7")],
        agreed: Vec::new(),
        why: String::new(),
    };
    let now = || "2026-01-31T02:00:00Z".to_owned();
    let mut store = SqliteStore::open(&nights.state(), "a test", &now, true).unwrap();
    store.intend("a run that died", &[intent]).unwrap();
}

#[test]
fn what_a_run_that_was_cut_off_left_to_a_series_is_found_by_what_it_sent() {
    let record = |city: &str| json!({"displayName": "Halfway", "city": city, "phoneNumber": "+44 7"});
    // What is there afterwards; how many customers are called so in the end, and whether the account has one of them.
    for (what, there, made, coupled) in [
        ("it arrived", vec![record("Ely")], 1, true),
        ("it did not", vec![], 1, true),
        ("NAV altered it", vec![record("York")], 1, false),
        ("two look the same", vec![record("Ely"), record("Ely")], 2, false),
    ] {
        let nights = Nights::new(unmatched());
        assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged);
        let values = json!({"accountnumber": "X-1", "name": "Halfway", "address1_city": "Ely", "telephone1": "+44 7",
            "customertypecode": 3});
        let account = nights.account(values);
        died(&nights, account, "Halfway");
        for values in &there {
            nights.world.erp.with(|state| state.insert("customers", values.as_object().unwrap())).unwrap();
        }
        let accounts = nights.world.records(Side::Crm, "accounts").len();
        for night in 0..2 {
            let report = nights.run(How::default());
            let expected = if coupled { RunOutcome::Converged } else { RunOutcome::Incomplete };
            assert_eq!(report.outcome, expected, "{what}, night {night}: {:#?}", report.inbox);
            assert_eq!(nights.customers()["Halfway"], made, "{what}, night {night}");
            assert_eq!(nights.is_coupled(account), coupled, "{what}, night {night}");
            let count = nights.world.records(Side::Crm, "accounts").len();
            assert_eq!(count, accounts, "{what}, night {night}: nobody in doubt gets a new partner");
            if !coupled {
                let of_account = report.inbox.iter().find(|item| item.crm_id == Some(account)).unwrap();
                assert!(of_account.message.contains("the answer to an earlier attempt was lost"), "{of_account:?}");
            }
        }
        // A person says that it was not made, and the one in doubt is a customer like any other from then on.
        if what == "NAV altered it" {
            nights.run(How { anew: Some(account), ..How::default() });
            assert_eq!((nights.customers()["Halfway"], nights.is_coupled(account)), (2, true), "{what}");
            let report = nights.run(How::default());
            assert_eq!(report.outcome, RunOutcome::Converged, "{what}: {:#?}", report.inbox);
            assert_eq!(nights.world.records(Side::Crm, "accounts").len(), accounts + 1, "{what}");
        } else if !coupled {
            // Or deletes what it was not.
            let halfway = || nights.world.erp.with(|state| state.find("customers", "displayName", "Halfway"));
            while let Some(id) = halfway() {
                nights.world.erp.with(|state| state.delete("customers", id)).unwrap();
            }
            let report = nights.run(How::default());
            assert_eq!(report.outcome, RunOutcome::Converged, "{what}: {:#?}", report.inbox);
            assert_eq!((nights.customers()["Halfway"], nights.is_coupled(account)), (1, true), "{what}");
        }
    }
}

/// A record that is there already with all that would be sent, and with nobody, could not be told from the one that is made.
#[test]
fn what_is_there_already_is_not_made_by_a_series_again() {
    let nights = Nights::new(unmatched());
    assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged);
    let values = json!({"displayName": "There", "city": "Ely", "blocked": "All"});
    let there = nights.world.erp.with(|state| state.insert("customers", values.as_object().unwrap())).unwrap();
    let account = |number: &str, name: &str| {
        nights.account(json!({"accountnumber": number, "name": name, "address1_city": "Ely", "customertypecode": 3}))
    };
    let own = account("X-1", "There");
    // Two that hold the same have their turn one after the other.
    let twins = [account("X-2", "Twin"), account("X-3", "Twin")];
    let report = nights.run(How::default());
    assert_eq!(report.outcome, RunOutcome::Incomplete);
    assert!(report.inbox[0].message.contains("is there already, holds all of it and has no partner"), "{report:#?}");
    assert_eq!((nights.customers()["There"], nights.is_coupled(own)), (1, false));
    assert_eq!((nights.customers()["Twin"], twins.map(|id| nights.is_coupled(id))), (2, [true, true]));
    nights
        .world
        .erp
        .with(|state| state.edit("customers", there, json!({"city": "York"}).as_object().unwrap()))
        .unwrap();
    assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged);
    assert_eq!((nights.customers()["There"], nights.is_coupled(own)), (2, true));
}

/// Who holds what a new record would is no newcomer to be doubled either: the two wait for each other until a person says.
#[test]
fn who_may_be_a_new_record_gets_no_partner_of_its_own() {
    let nights = Nights::new(unmatched());
    assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged);
    let values = json!({"displayName": "Both", "city": "Ely"});
    nights.world.erp.with(|state| state.insert("customers", values.as_object().unwrap())).unwrap();
    let account =
        nights.account(json!({"accountnumber": "X-1", "name": "Both", "address1_city": "Ely", "customertypecode": 3}));
    let accounts = || nights.world.records(Side::Crm, "accounts").iter().filter(|one| one["name"] == "Both").count();
    for how in [How { dry_run: true, ..How::default() }, How::default(), How::default()] {
        let report = nights.run(how);
        assert_eq!(report.outcome, RunOutcome::Incomplete);
        assert_eq!((nights.customers()["Both"], accounts()), (1, 1));
        let told: Vec<&str> = report.inbox.iter().map(|item| item.message.as_str()).collect();
        assert!(told.len() == 2 && told.iter().all(|message| message.contains("couple the two")), "{told:?}");
    }
    // One person says that they are two.
    nights.run(How { anew: Some(account), ..How::default() });
    assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged);
    assert_eq!((nights.customers()["Both"], accounts()), (2, 2));
    nights.quiet();
}

/// Where several hold it, none of them gets a partner: a person may choose any of them.
#[test]
fn whoever_may_be_a_new_record_is_left_to_a_person() {
    let nights = Nights::new(unmatched());
    assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged);
    let own = nights.account(json!({"accountnumber": "X-1", "name": "Both", "customertypecode": 3}));
    let number = |phone: &str| {
        let values = json!({"displayName": "Both", "phoneNumber": phone});
        let id = nights.world.erp.with(|state| state.insert("customers", values.as_object().unwrap())).unwrap();
        let record = nights.world.erp.with(|state| state.record("customers", id)).unwrap();
        record["number"].as_str().unwrap().to_owned()
    };
    let numbers = ["1", "2"].map(number);
    let told = |report: &RunReport| {
        let mut told: Vec<String> = report.inbox.iter().map(|item| item.message.clone()).collect();
        told.sort_unstable();
        told
    };
    let whole = told(&nights.run(How { dry_run: true, ..How::default() }));
    let mut parts: Vec<String> = Vec::new();
    for name in
        [format!("customers:{}", numbers[0]), format!("customers:{}", numbers[1]), format!("customers:crm:{own}")]
    {
        let part = told(&nights.only(&name, How::default()));
        assert_eq!(part.len(), 1, "{name}: {part:?}");
        parts.extend(part);
    }
    parts.sort_unstable();
    assert_eq!(parts, whole);
    assert_eq!(told(&nights.run(How::default())), whole);
    // Who is made anew at all costs ends the doubt about all of them.
    nights.run(How { anew: Some(own), ..How::default() });
    assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged);
    assert_eq!(nights.customers()["Both"], 3);
    nights.quiet();
}

/// A run over one of the two, or over changes, decides what one over everything does, and so say `why` and `couple`.
#[test]
fn who_may_be_a_new_record_gets_no_partner_from_a_run_over_single_records() {
    for account in [
        json!({"name": "Both", "address1_city": "Ely"}),
        // What it leaves blank tells nobody apart.
        json!({"name": "Both"}),
        json!({"name": "Both", "telephone1": "7"}),
    ] {
        let nights = Nights::new(unmatched());
        assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged);
        let mut values = account.as_object().unwrap().clone();
        values.extend([("accountnumber".to_owned(), json!("X-1")), ("customertypecode".to_owned(), json!(3))]);
        let own = nights.account(Value::Object(values));
        let values = json!({"displayName": "Both", "city": "Ely", "phoneNumber": "7"});
        let there = nights.world.erp.with(|state| state.insert("customers", values.as_object().unwrap())).unwrap();
        let number = nights.world.erp.with(|state| state.record("customers", there)).unwrap()["number"].clone();
        let number = number.as_str().unwrap().to_owned();
        let accounts = nights.world.records(Side::Crm, "accounts").len();
        let key =
            open(Side::Erp, &nights.world.nav()).describe("Customer").unwrap().id_of(std::slice::from_ref(&number));
        let of_erp = "it holds all of what customers:crm:X-1 would be made with".to_owned();
        let of_crm = format!("customers:{number} is there already, holds all of it and has no partner");
        for how in [How { dry_run: true, ..How::default() }, How::default()] {
            for (name, message) in [(&format!("customers:{number}"), &of_erp), (&"customers:crm:X-1".into(), &of_crm)] {
                let report = nights.only(name, how);
                let told: Vec<&str> = report.inbox.iter().map(|item| item.message.as_str()).collect();
                assert!(told.len() == 1 && told[0].contains(message.as_str()), "{account}, {name}: {told:?}");
                assert_eq!(report.plan.actions().count(), 0, "{account}, {name}");
            }
        }
        for (side, id, message) in [(Side::Erp, key, &of_erp), (Side::Crm, own, &of_crm)] {
            let why = nights.why(side, id);
            assert_eq!(why.verdict.kind, Kind::Waits(InboxKind::Failed), "{account}: {:?}", why.verdict);
            assert!(why.verdict.message.contains(message.as_str()), "{account}: {:?}", why.verdict);
            assert!(why.actions.is_empty(), "{account}: {:#?}", why.actions);
        }
        for changed in [true, true, false] {
            let report = nights.run(How { changed, ..How::default() });
            let mut told: Vec<&str> = report.inbox.iter().map(|item| item.message.as_str()).collect();
            told.sort_unstable();
            assert!(told.len() == 2 && told.iter().all(|one| one.contains("couple the two")), "{account}: {told:?}");
        }
        assert_eq!(nights.world.records(Side::Crm, "accounts").len(), accounts);
        // Whoever is not alike has a turn.
        let id = nights.world.erp.with(|state| state.find("customers", "number", &number)).unwrap();
        let other = json!({"displayName": "Another", "city": "York"});
        nights.world.erp.with(|state| state.edit("customers", id, other.as_object().unwrap())).unwrap();
        let report = nights.only(&format!("customers:{number}"), How::default());
        assert_eq!(report.outcome, RunOutcome::Converged, "{account}: {:#?}", report.inbox);
        assert_eq!(nights.world.records(Side::Crm, "accounts").len(), accounts + 1);
    }
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
