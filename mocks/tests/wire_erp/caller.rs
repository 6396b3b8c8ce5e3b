//! Whoever speaks to a seeded fake, and reads what it answers.

use mocks::erp::{Erp, State};
use mocks::service::{Request, Response, Service};
use serde_json::{Map, Value, json};
use uuid::Uuid;

pub const ROOT: &str = "/v2.0/northbrook.example/Production/api/v2.0";
pub const CUSTOM: &str = "/v2.0/northbrook.example/Production/api/contoso/crm/v1.0";
pub const COMPANY: &str = "companies(5b1e0c52-7a44-ef11-8e52-6045bd2b1a01)";
pub const BASE: &str = "http://erp.example";
pub const AHLGREN: &str = "e1000000-0000-4000-8000-000000000001";
pub const BOE: &str = "e1000000-0000-4000-8000-000000000002";
pub const NOBODY: &str = "e1000000-0000-4000-8000-0000000000ff";
pub const ZERO: &str = "00000000-0000-0000-0000-000000000000";

pub fn rows(value: Value) -> Vec<Map<String, Value>> {
    value.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect()
}

pub fn seeded() -> State {
    let mut state = State::default();
    state.set_local_currency("EUR");
    state.load(
        "currencies",
        rows(json!([{"id": "e9000000-0000-4000-8000-000000000001", "code": "NOK"},
                                         {"code": "SEK", "displayName": "Krona"}])),
    );
    state.load("unitsOfMeasure", rows(json!([{"code": "PCS", "displayName": "Piece"}, {"code": "BOX"}])));
    state.load("salespeoplePurchasers", rows(json!([{"code": "OF", "displayName": "Otis Falk"}])));
    state.load(
        "paymentTerms",
        rows(json!([{"id": "e8000000-0000-4000-8000-000000000001", "code": "30D",
                                            "displayName": "Net 30 days"}])),
    );
    state.load(
        "contacts",
        rows(json!([
            {"number": "CT000001", "type": "Company", "displayName": "Ahlgren Marine AB"},
            {"number": "CT000002", "type": "Person", "displayName": "Ida Sørli", "companyNumber": "CT000001"},
        ])),
    );
    state.load("customers", rows(json!([
        {"id": AHLGREN, "number": "1001", "displayName": "Ahlgren Marine AB", "city": "Gävle", "creditLimit": "25000.50",
         "paymentTermsId": "e8000000-0000-4000-8000-000000000001", "_companyContactNumber": "CT000001"},
        {"id": BOE, "number": "1002", "displayName": "Bøe & Sons", "currencyCode": "NOK", "blocked": "All"},
        {"number": "1003", "displayName": "ćirić METAL"},
    ])));
    assert_eq!(state.adjusted().len(), 0, "{:?}", state.adjusted());
    state
}

pub struct Caller {
    pub state: State,
    pub token: String,
}

impl Caller {
    pub fn new() -> Self {
        Self::of(seeded())
    }

    pub fn of(mut state: State) -> Self {
        let response = state.answer(&token_request(&state.tokens.client_secret.clone()));
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        let token = body["access_token"].as_str().unwrap().to_string();
        Self { state, token }
    }

    pub fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        let mut all = vec![
            ("Host".to_string(), "erp.example".to_string()),
            ("authorization".to_string(), format!("Bearer {}", self.token)),
        ];
        if body.is_some() {
            all.push(("content-type".into(), "application/json".into()));
        }
        all.extend(headers.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = Request { method: method.into(), target: target.into(), headers: all, body };
        Answer(self.state.answer(&request))
    }

    pub fn get(&mut self, tail: &str) -> Answer {
        self.send("GET", &format!("{ROOT}/{COMPANY}/{tail}"), &[], None)
    }

    /// Reads from the custom API.
    pub fn custom(&mut self, tail: &str) -> Answer {
        self.send("GET", &format!("{CUSTOM}/{COMPANY}/{tail}"), &[], None)
    }

    pub fn custom_post(&mut self, set: &str, body: Value) -> Answer {
        self.send("POST", &format!("{CUSTOM}/{COMPANY}/{set}"), &[], Some(body))
    }

    pub fn custom_patch(&mut self, record: &str, etag: &str, body: Value) -> Answer {
        self.send("PATCH", &format!("{CUSTOM}/{COMPANY}/{record}"), &[("If-Match", etag)], Some(body))
    }

    pub fn post(&mut self, set: &str, body: Value) -> Answer {
        self.send("POST", &format!("{ROOT}/{COMPANY}/{set}"), &[], Some(body))
    }

    pub fn patch(&mut self, record: &str, etag: &str, body: Value) -> Answer {
        self.send("PATCH", &format!("{ROOT}/{COMPANY}/{record}"), &[("If-Match", etag)], Some(body))
    }

    pub fn batch(&mut self, headers: &[(&str, &str)], requests: Value) -> Answer {
        self.send("POST", &format!("{ROOT}/$batch"), headers, Some(json!({"requests": requests})))
    }
}

pub struct Answer(pub Response);

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.0.body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.0.body)))
    }

    /// Returns status, code and message, the message without its correlation id, whose shape is checked.
    pub fn refusal(&self) -> (u16, String, String) {
        let body = self.json();
        let message = body["error"]["message"].as_str().unwrap().to_string();
        let (message, tail) = message.rsplit_once("  CorrelationId:  ").expect("a message has a correlation id");
        assert!(tail.strip_suffix('.').is_some_and(|id| id.parse::<Uuid>().is_ok()), "{tail}");
        (self.0.status, body["error"]["code"].as_str().unwrap().to_string(), message.to_string())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Returns one property of all rows.
    pub fn column(&self, name: &str) -> Vec<String> {
        let rows = self.json()["value"].as_array().cloned().unwrap_or_else(|| panic!("{}", self.json()));
        rows.iter().map(|row| row[name].as_str().map_or_else(|| row[name].to_string(), str::to_string)).collect()
    }
}

pub fn token_request(secret: &str) -> Request {
    let secret = mocks::filter::encode(secret);
    Request {
        method: "POST".into(),
        target: "/9d4b7c1e-0000-4c1a-8d3f-0a1b2c3d4e5f/oauth2/v2.0/token".into(),
        headers: vec![("Content-Type".into(), "application/x-www-form-urlencoded".into())],
        body: format!(
            "grant_type=client_credentials&client_id=0c8f2f3a-1111-4b2b-9c3c-7d7d7d7d7d7d&client_secret={secret}&\
             scope=https%3A%2F%2Fapi.businesscentral.dynamics.com%2F.default"
        )
        .into(),
    }
}

pub fn name(erp: &Erp) -> String {
    let row = erp.with(|state| state.record("customers", AHLGREN.parse().unwrap())).unwrap();
    row["displayName"].as_str().unwrap().to_string()
}

/// The columns of a record, joined.
pub fn shown(record: &Value, names: &str) -> String {
    let text = |name: &str| record[name].as_str().unwrap_or_else(|| panic!("{name}: {record}")).to_string();
    names.split(' ').map(text).collect::<Vec<_>>().join("|")
}

pub fn operation(id: &str, method: &str, tail: &str, body: Value) -> Value {
    json!({"id": id, "method": method, "url": format!("{COMPANY}/{tail}"),
           "headers": {"Content-Type": "application/json", "If-Match": "*"}, "body": body})
}
