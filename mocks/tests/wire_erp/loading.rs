//! What is loaded is made to fit, and saved as it is.

use mocks::erp::State;
use serde_json::{Value, json};

use crate::caller::*;

/// Loads customers and contacts in this order into an empty state.
fn loaded(customers: Value, contacts: Value) -> State {
    let mut state = State::default();
    state.load("customers", rows(customers));
    state.load("contacts", rows(contacts));
    state
}

fn listed(state: &State, names: &str) -> Vec<String> {
    state.records("contacts").into_iter().map(|record| shown(&Value::Object(record), names)).collect()
}

#[test]
fn loading_makes_things_fit_and_says_so() {
    let mut state = State::default();
    state.load("customers", rows(json!([
        {"displayName": "x".repeat(101), "creditLimit": "12.50", "taxLiable": "true", "blocked": "", "currencyCode": "gbp"},
        {"number": "1", "salespersonCode": "XX", "creditLimit": "much", "colour": "red"},
        {"number": "1", "displayName": "again"},
    ])));
    state.load("currencies", rows(json!([{"displayName": "no code"}])));
    let first = &state.records("customers")[1];
    assert_eq!((first["number"].as_str(), first["currencyCode"].as_str()), (Some("C00010"), Some("GBP")));
    assert_eq!((first["creditLimit"].to_string(), &first["taxLiable"]), ("12.5".into(), &json!(true)));
    let adjusted: Vec<_> = state.adjusted().iter().map(|(what, count)| format!("{what}: {count}")).collect();
    assert_eq!(
        adjusted,
        [
            "currencies: without a code, left out: 1",
            "customers.colour: no such property, left out: 1",
            "customers.creditLimit: not of its type, blanked: 1",
            "customers.displayName: too long, cut: 1",
            "customers.salespersonCode: leads nowhere, blanked: 1",
            "customers: number or code is there already, row left out: 1",
        ]
    );
}

#[test]
fn a_loaded_customer_gets_a_company_contact() {
    let customers = json!([
        {"id": AHLGREN, "number": "1001", "displayName": "Ahlgren Marine AB", "type": "Company", "city": "Gävle",
         "addressLine1": "Sjögatan 4", "phoneNumber": "+46 26 555 010", "email": "post@ahlgren.example",
         "lastModifiedDateTime": "2026-01-31T22:01:07.113Z"},
        {"id": BOE, "number": "1002", "displayName": "Ida Bøe", "type": "Person"},
    ]);
    let state = loaded(customers.clone(), json!([]));
    let names =
        "number type displayName firstName surname city addressLine1 phoneNumber email companyNumber customerNumber";
    assert_eq!(
        listed(&state, names),
        [
            "CT000001|Company|Ahlgren Marine AB|||Gävle|Sjögatan 4|+46 26 555 010|post@ahlgren.example|CT000001|1001",
            "CT000002|Person|Ida Bøe|Ida|Bøe||||||1002",
        ]
    );
    assert_eq!(listed(&state, "contactBusinessRelation"), ["Customer", "Customer"]);
    assert_eq!(listed(&state, "lastModifiedDateTime")[0], "2026-01-31T22:01:07.113Z");
    let again = loaded(customers, json!([]));
    assert_eq!(listed(&state, "id"), listed(&again, "id"), "the ids are made of the customers' ids");
    assert_eq!(state.adjusted().len(), 0, "{:?}", state.adjusted());
}

#[test]
fn made_company_contacts_step_aside_for_what_a_file_brings() {
    let customers = json!([{"id": AHLGREN, "number": "1001", "displayName": "Ahlgren Marine AB"},
                           {"id": BOE, "number": "1002", "displayName": "Bøe & Sons"}]);
    let made = listed(&loaded(customers.clone(), json!([])), "id");
    let names = "number displayName companyNumber customerNumber";
    let cases = [
        // The numbers are taken: persons follow those that were made, whatever these are called now.
        (
            json!([{"number": "ct000001", "type": "Person", "displayName": "Ida Lie", "customerNumber": "1002"},
                   {"number": "CT000002", "type": "Person", "displayName": "Eva Dahl", "customerNumber": "1001"},
                   {"number": "CT000004", "type": "Company", "displayName": "Nobody's Ltd."}]),
            vec![
                "CT000001|Ida Lie|CT000005|1002",
                "CT000002|Eva Dahl|CT000003|1001",
                "CT000003|Ahlgren Marine AB|CT000003|1001",
                "CT000004|Nobody's Ltd.|CT000004|",
                "CT000005|Bøe & Sons|CT000005|1002",
            ],
        ),
        // A company that names its customer is the customer's own.
        (
            json!([{"number": "K7", "type": "Company", "displayName": "Ahlgren", "customerNumber": "1001"},
                   {"number": "P1", "type": "Person", "displayName": "Ida Lie", "companyNumber": "K7"}]),
            vec!["CT000002|Bøe & Sons|CT000002|1002", "K7|Ahlgren|K7|1001", "P1|Ida Lie|K7|1001"],
        ),
        // So is one that was made before and written to the file; without a number it gets a free one.
        (
            json!([{"id": made[1], "type": "Company", "displayName": "Bøe AS"},
                   {"id": made[0], "number": "CT000002", "type": "Company", "displayName": "Ahlgren"}]),
            vec!["CT000002|Ahlgren|CT000002|1001", "CT000003|Bøe AS|CT000003|1002"],
        ),
    ];
    for (number, (contacts, expected)) in cases.into_iter().enumerate() {
        let state = loaded(customers.clone(), contacts);
        assert_eq!(listed(&state, names), expected, "case {number}");
        assert_eq!(state.adjusted().len(), 0, "case {number}: {:?}", state.adjusted());
    }
}

#[test]
fn the_customer_of_a_loaded_contact_has_to_fit() {
    let customers = json!([{"number": "1001", "displayName": "Ahlgren"}, {"number": "1002", "displayName": "Bøe"}]);
    let contacts = json!([
        {"number": "K7", "type": "Company", "displayName": "Ahlgren", "customerNumber": "1001"},
        {"number": "K8", "type": "Company", "displayName": "Ahlgren again", "customerNumber": "1001"},
        {"number": "K9", "type": "Company", "displayName": "Nobody's", "companyNumber": "K7"},
        {"number": "P1", "type": "Person", "displayName": "Ida Lie", "companyNumber": "K7", "customerNumber": "1002"},
        {"number": "P2", "type": "Person", "displayName": "Eva Dahl", "customerNumber": "4711"},
    ]);
    let state = loaded(customers, contacts);
    let found = listed(&state, "number companyNumber customerNumber");
    assert_eq!(found, ["CT000002|CT000002|1002", "K7|K7|1001", "K8|K8|", "K9|K9|", "P1|K7|1001", "P2||"]);
    let adjusted: Vec<_> = state.adjusted().iter().map(|(what, count)| format!("{what}: {count}")).collect();
    assert_eq!(
        adjusted,
        [
            "contacts.companyNumber: a company is its own, left out: 1",
            "contacts.customerNumber: has another company contact, left out: 1",
            "contacts.customerNumber: leads nowhere, blanked: 1",
            "contacts.customerNumber: not that of the company, left out: 1",
        ]
    );
}

#[test]
fn a_loaded_customer_that_names_its_contact_gets_no_other() {
    let mut state = State::default();
    state.load("customers", rows(json!([{"number": "1001", "displayName": "Made"}])));
    state.load(
        "customers",
        rows(json!([{"number": "1002", "displayName": "Named", "_companyContactNumber": "CT000001"}])),
    );
    state.load("contacts", rows(json!([{"number": "CT000001", "type": "Company", "displayName": "Named"}])));
    let found = listed(&state, "number displayName customerNumber");
    assert_eq!(found, ["CT000001|Named|1002", "CT000002|Made|1001"]);
    assert_eq!(state.adjusted().len(), 0, "{:?}", state.adjusted());
}

#[test]
fn a_saved_state_comes_back_the_same() {
    let mut caller = Caller::new();
    caller.post("customers", json!({"displayName": "Dahl \"Elektro\"", "creditLimit": 0.10}));
    caller.send(
        "POST",
        &format!("{CUSTOM}/{COMPANY}/resources"),
        &[],
        Some(json!({"name": "Fitter", "baseUnitOfMeasure": "PCS"})),
    );
    let mut saved = Vec::new();
    caller.state.save(&mut saved).unwrap();
    let mut other = Caller::of(State::restore(&mut saved.as_slice()).unwrap());
    for tail in ["customers", "contacts", "items", "currencies", "paymentTerms", "salespeoplePurchasers"] {
        assert_eq!(other.get(tail).json(), caller.get(tail).json(), "{tail}");
    }
    assert_eq!(other.custom("contacts").json(), caller.custom("contacts").json());
    let mut again = Vec::new();
    other.state.save(&mut again).unwrap();
    assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(saved.clone()).unwrap());
    // Links, series and clock are kept too.
    other.patch(&format!("customers({AHLGREN})"), "*", json!({"displayName": "Ahlgren Ny"}));
    assert!(other.state.find("contacts", "displayName", "Ahlgren Ny").is_some());
    assert_eq!(other.post("customers", json!({"displayName": "Next"})).json()["number"], "C00020");
    let broken = String::from_utf8(saved).unwrap().replace("\"format\":2", "\"format\":1");
    assert!(State::restore(&mut broken.as_bytes()).is_err());
}
