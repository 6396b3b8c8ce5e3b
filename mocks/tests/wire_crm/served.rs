//! What goes in and out past the Web API, and the fake over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use mocks::crm::{Crm, Options, State};
use mocks::fault::{Fault, Faults};
use mocks::service::Response;
use serde_json::json;
use uuid::Uuid;

use crate::caller::*;

#[test]
fn a_person_edits_past_the_api_and_stamps_a_person() {
    let mut caller = Caller::new();
    let id: Uuid = BOE.parse().unwrap();
    caller
        .state
        .edit("accounts", id, &map(json!({"telephone1": "555 0100", "creditlimit": "12.5", "_ownerid_value": INGA})))
        .unwrap();
    let row = caller.row("accounts", BOE);
    assert_eq!(
        (&row["telephone1"], row["creditlimit"].to_string(), &row["_modifiedby_value"]),
        (&json!("555 0100"), "12.5000".into(), &json!(INGA))
    );
    let refused =
        caller.state.edit("accounts", id, &map(json!({"accountnumber": "123456789012345678901"}))).unwrap_err();
    assert_eq!(refused.message, "accounts.accountnumber: too long, cut");
    assert!(caller.state.edit("accounts", id, &map(json!({"name": ""}))).is_err(), "the rules hold for people too");
    let made = caller
        .state
        .insert("contacts", &map(json!({"firstname": "Eva", "lastname": "Lie", "_parentcustomerid_value": BOE})))
        .unwrap();
    assert_eq!(caller.state.find("contacts", "fullname", "eva lie"), Some(made));
    caller.state.delete("accounts", id).unwrap();
    assert_eq!(caller.row("contacts", &made.to_string()).get("_parentcustomerid_value"), None);
}

#[test]
fn seed_data_is_made_to_fit_and_counted() {
    let mut state = State::default();
    state.load(
        "transactioncurrencies",
        rows(json!([{"transactioncurrencyid": NOK, "isocurrencycode": "GBP",
        "currencyname": "Pound", "exchangerate": "7"}])),
    );
    assert_eq!(
        (state.base_currency().to_string(), state.count("transactioncurrencies")),
        (NOK.to_owned(), 1),
        "the loaded pound is the base"
    );
    state.load(
        "uoms",
        rows(json!([{"name": "Boxes", "quantity": "1"}, {"uomid": PCS, "name": "Pieces", "quantity": ""}])),
    );
    let group =
        state.find("uomschedules", "name", "default unit").expect("units without a group come into the default one");
    assert_eq!(state.record("uoms", PCS.parse().unwrap()).unwrap()["_uomscheduleid_value"], json!(group.to_string()));
    state.load("accounts", rows(json!([
        {"accountid": AHLGREN, "name": "x".repeat(200), "creditonhold": "false", "creditlimit": "12.5",
            "numberofemployees": "many",
         "_primarycontactid_value": IDA, "_ownerid_value": GONE, "color": "red", "modifiedon": "2025-03-12T14:27:41Z"},
    ])));
    state.load("nothings", rows(json!([{}, {}])));
    state.settle();
    let row = state.record("accounts", AHLGREN.parse().unwrap()).unwrap();
    assert_eq!(
        (row["name"].as_str().unwrap().len(), row["creditlimit"].to_string(), &row["creditonhold"]),
        (160, "12.5000".into(), &json!(false))
    );
    assert_eq!((&row["_ownerid_value"], row.get("_primarycontactid_value")), (&json!(APPLICATION), None));
    assert_eq!(
        (&row["modifiedon"], &row["createdon"]),
        (&json!("2025-03-12T14:27:41Z"), &json!("2025-03-12T14:27:41Z"))
    );
    let adjusted: Vec<_> = state.adjusted().iter().map(|(what, count)| (what.as_str(), *count)).collect();
    assert_eq!(
        adjusted,
        [
            ("accounts._ownerid_value: leads to no row, cleared", 1),
            ("accounts._primarycontactid_value: leads to no row, cleared", 1),
            ("accounts.color: no such property, left out", 1),
            ("accounts.name: too long, cut", 1),
            ("accounts.numberofemployees: not of its type, left out", 1),
            ("nothings: no such entity set, rows left out", 2),
        ]
    );
}

#[test]
fn a_saved_state_comes_back_as_it_was() {
    let mut caller = Caller::new();
    caller.state.add_key("account", "Account Number Key", &["accountnumber"]);
    let mut saved = Vec::new();
    caller.state.save(&mut saved).unwrap();
    let mut restored = Caller::of(State::restore(&mut saved.as_slice()).unwrap());
    for set in [
        "systemusers",
        "transactioncurrencies",
        "uomschedules",
        "uoms",
        "products",
        "productpricelevels",
        "accounts",
        "contacts",
    ] {
        assert_eq!(restored.state.records(set), caller.state.records(set), "{set}");
    }
    assert_eq!(restored.get("/accounts(accountnumber='C-1001')").0, 200, "the key is there");
    assert_eq!(error(&restored.post("products", json!({"productnumber": "KAB-10"}))).0, 400);
    let mut again = Vec::new();
    State::restore(&mut saved.as_slice()).unwrap().save(&mut again).unwrap();
    assert_eq!(again, saved);
    let mut other = saved.clone();
    other.truncate(saved.len() / 2);
    assert!(State::restore(&mut other.as_slice()).is_err());
    assert_eq!(restored.patch("accounts", BOE, json!({"fax": "1"})).status, 204);
    let version = |caller: &Caller| caller.row("accounts", BOE)["versionnumber"].as_i64();
    assert!(version(&restored) > version(&caller));
}

/// Sends one request over HTTP and reads the answer; nothing when the connection closes first.
fn over_http(crm: &Crm, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Option<Response> {
    let address = crm.url().strip_prefix("http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n", body.len());
    headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1)?.parse().unwrap();
    let mut response = Response { status, ..Response::default() };
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().unwrap();
        }
        response.headers.push((name.to_owned(), value.to_owned()));
    }
    response.body.resize(length, 0);
    reader.read_exact(&mut response.body).unwrap();
    Some(response)
}

#[test]
fn over_http_links_lead_back_and_a_dropped_answer_was_still_a_write() {
    let crm =
        Crm::start(seeded(), Options { faults: Faults::once(Fault::DroppedAfter, 1), ..Options::default() }).unwrap();
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope={}",
        crm.client_id(),
        mocks::filter::encode(&crm.client_secret()),
        mocks::filter::encode(&format!("{}/.default", crm.url()))
    );
    let path = crm.token_url().strip_prefix(&crm.url()).unwrap().to_owned();
    let token =
        over_http(&crm, "POST", &path, &[("Content-Type", "application/x-www-form-urlencoded")], &form).unwrap();
    let token = format!("Bearer {}", parsed(&token).1["access_token"].as_str().unwrap());
    let headers = [("Authorization", token.as_str()), ("Prefer", "odata.maxpagesize=2")];
    let page = over_http(&crm, "GET", &format!("{API}/accounts?$select=name"), &headers, "").unwrap();
    let link = parsed(&page).1["@odata.nextLink"].as_str().unwrap().to_owned();
    let next = link.strip_prefix(&crm.url()).expect("the link leads to this server");
    let page = over_http(&crm, "GET", next, &headers, "").unwrap();
    assert_eq!(parsed(&page).1["value"][0]["accountid"], json!(CIRIC));

    let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
    let id = "a0000000-0000-4000-8000-000000000009";
    let body = format!("{{\"accountid\":\"{id}\",\"name\":\"Nord AS\"}}");
    assert!(over_http(&crm, "POST", &format!("{API}/accounts"), &headers, &body).is_none(), "no answer");
    let again = over_http(&crm, "POST", &format!("{API}/accounts"), &headers, &body).unwrap();
    assert_eq!(error(&again).1, "0x80040237", "the first attempt was stored");
    assert_eq!(crm.with(|state| state.count("accounts")), 4);
    let counts = crm.counts();
    assert_eq!((counts.tokens, counts.reads, counts.writes), (1, 2, 2));
}
