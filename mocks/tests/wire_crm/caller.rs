//! Whoever speaks to a seeded fake, and reads what it answers.

use mocks::crm::State;
use mocks::service::{Request, Response, Service};
use serde_json::{Map, Value, json};

pub const ROOT: &str = "https://northbrook.crm4.dynamics.com";
pub const API: &str = "/api/data/v9.2";
pub const AHLGREN: &str = "a0000000-0000-4000-8000-000000000001";
pub const BOE: &str = "a0000000-0000-4000-8000-000000000002";
pub const CIRIC: &str = "a0000000-0000-4000-8000-000000000003";
pub const NOBODY: &str = "a0000000-0000-4000-8000-0000000000ff";
pub const IDA: &str = "c0000000-0000-4000-8000-000000000011";
pub const GBP: &str = "cc000000-0000-4000-8000-000000000001";
pub const NOK: &str = "cc000000-0000-4000-8000-000000000002";
pub const JPY: &str = "cc000000-0000-4000-8000-000000000003";
pub const INGA: &str = "8a2b0001-0000-4000-8000-000000000101";
pub const GONE: &str = "8a2b0001-0000-4000-8000-000000000102";
pub const APPLICATION: &str = "8a2b0001-0000-4000-8000-000000000002";
pub const PCS_GROUP: &str = "d0000000-0000-4000-8000-000000000001";
pub const PCS: &str = "d0000000-0000-4000-8000-000000000002";
pub const BOX_GROUP: &str = "d0000000-0000-4000-8000-000000000003";
pub const BOX: &str = "d0000000-0000-4000-8000-000000000004";
pub const CABLE: &str = "b0000000-0000-4000-8000-000000000001";
pub const LIST: &str = "e0000000-0000-4000-8000-000000000001";
pub const LINE: &str = "e0000000-0000-4000-8000-000000000002";

pub fn rows(value: Value) -> Vec<Map<String, Value>> {
    value.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect()
}

pub fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

pub fn seeded() -> State {
    let mut state = State::default();
    let sets = [
        (
            "systemusers",
            json!([
                {"systemuserid": INGA, "firstname": "Inga", "lastname": "Holm",
                    "internalemailaddress": "Inga.Holm@northbrook.example"},
                {"systemuserid": GONE, "firstname": "Odd", "lastname": "Vik", "isdisabled": "true"},
            ]),
        ),
        (
            "transactioncurrencies",
            json!([
                {"transactioncurrencyid": NOK, "isocurrencycode": "NOK", "currencyname": "Krone",
                    "currencysymbol": "kr",
                 "exchangerate": "13.25", "currencyprecision": 2},
                {"transactioncurrencyid": JPY, "isocurrencycode": "JPY", "currencyname": "Yen", "currencysymbol": "¥",
                 "exchangerate": "190", "currencyprecision": 0},
            ]),
        ),
        (
            "uomschedules",
            json!([
                {"uomscheduleid": PCS_GROUP, "name": "NAV PCS", "baseuomname": "PCS"},
                {"uomscheduleid": BOX_GROUP, "name": "NAV BOX", "baseuomname": "BOX"},
            ]),
        ),
        (
            "uoms",
            json!([
                {"uomid": PCS, "name": "PCS", "quantity": "1", "_uomscheduleid_value": PCS_GROUP},
                {"uomid": BOX, "name": "BOX", "quantity": "1", "_uomscheduleid_value": BOX_GROUP},
            ]),
        ),
        (
            "pricelevels",
            json!([{"pricelevelid": LIST, "name": "Default Price List", "_transactioncurrencyid_value": GBP}]),
        ),
        (
            "products",
            json!([
                {"productid": CABLE, "productnumber": "KAB-10", "name": "Kabel 10 m", "price": "129.5",
                    "_defaultuomid_value": PCS},
            ]),
        ),
        (
            "productpricelevels",
            json!([
                {"productpricelevelid": LINE, "amount": "129.5", "_pricelevelid_value": LIST,
                    "_productid_value": CABLE, "_uomid_value": PCS},
            ]),
        ),
        (
            "accounts",
            json!([
                {"accountid": AHLGREN, "name": "Ahlgren Marine AB", "accountnumber": "C-1001", "creditlimit": "25000",
                 "_primarycontactid_value": IDA, "modifiedon": "2026-01-30T21:04:11Z", "customertypecode": "3"},
                {"accountid": BOE, "name": "Bøe & Sons", "accountnumber": "C-1002",
                    "modifiedon": "2026-01-31T09:00:00Z"},
                {"accountid": CIRIC, "name": "Ćirić Metal", "creditlimit": 0, "modifiedon": "2026-01-02T00:00:00Z",
                    "address1_city": "Niš"},
            ]),
        ),
        (
            "contacts",
            json!([
                {"contactid": IDA, "firstname": "Ida", "lastname": "Sørli", "_parentcustomerid_value": AHLGREN,
                    "birthdate": "1980-02-29"},
            ]),
        ),
    ];
    for (set, seed) in sets {
        state.load(set, rows(seed));
    }
    state.settle();
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
        let token = fetch(&mut state);
        Caller { state, token }
    }

    pub fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Response {
        let mut all = vec![("authorization".to_string(), format!("Bearer {}", self.token))];
        all.extend(headers.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        let request =
            Request { method: method.into(), target: format!("{API}{target}"), headers: all, body: body.into() };
        self.state.answer(&request)
    }

    pub fn get(&mut self, target: &str) -> (u16, Value) {
        parsed(&self.send("GET", target, &[], ""))
    }

    pub fn write(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: Value) -> Response {
        let headers: Vec<_> =
            [("content-type", "application/json; charset=utf-8")].iter().chain(headers).copied().collect();
        self.send(method, target, &headers, body.to_string())
    }

    pub fn post(&mut self, set: &str, body: Value) -> Response {
        self.write("POST", &format!("/{set}"), &[], body)
    }

    pub fn patch(&mut self, set: &str, id: &str, body: Value) -> Response {
        self.write("PATCH", &format!("/{set}({id})"), &[("If-Match", "*")], body)
    }

    pub fn batch(&mut self, body: &str, headers: &[(&str, &str)]) -> Response {
        let headers: Vec<_> =
            [("Content-Type", "multipart/mixed; boundary=\"batch_n0001\"")].iter().chain(headers).copied().collect();
        self.send("POST", "/$batch", &headers, body)
    }

    pub fn row(&self, set: &str, id: &str) -> Map<String, Value> {
        self.state.record(set, id.parse().unwrap()).unwrap_or_else(|| panic!("{set} has {id}"))
    }
}

pub fn fetch(state: &mut State) -> String {
    let scope = mocks::filter::encode(&state.tokens.scope);
    let secret = mocks::filter::encode(&state.tokens.client_secret);
    let request = Request {
        method: "POST".into(),
        target: state.tokens.path.clone(),
        headers: vec![("Content-Type".into(), "application/x-www-form-urlencoded".into())],
        body: format!(
            "grant_type=client_credentials&client_id={}&client_secret={secret}&scope={scope}",
            state.tokens.client_id
        )
        .into_bytes(),
    };
    parsed(&state.answer(&request)).1["access_token"].as_str().unwrap().to_owned()
}

pub fn parsed(response: &Response) -> (u16, Value) {
    (response.status, serde_json::from_slice(&response.body).unwrap_or(Value::Null))
}

pub fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

pub fn error(response: &Response) -> (u16, String, String) {
    let (status, body) = parsed(response);
    let text = |name: &str| body["error"][name].as_str().unwrap_or("no error").to_owned();
    (status, text("code"), text("message"))
}

pub const JSON: &[&str] = &["Content-Type: application/json; type=entry"];
pub const JSON_ANY: &[&str] = &["Content-Type: application/json; type=entry", "If-Match: *"];

/// Makes a multipart body of operations: method, URL, headers, body.
pub fn multipart(boundary: &str, operations: &[(&str, &str, &[&str], &str)]) -> String {
    let mut text = String::new();
    for (method, url, headers, body) in operations {
        text.push_str(&format!(
            "--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n"
        ));
        let (part, inner): (Vec<&str>, Vec<&str>) = headers.iter().partition(|header| header.starts_with("Content-ID"));
        part.iter().for_each(|header| text.push_str(&format!("{header}\r\n")));
        text.push_str(&format!("\r\n{method} {url} HTTP/1.1\r\n"));
        inner.iter().for_each(|header| text.push_str(&format!("{header}\r\n")));
        text.push_str(&format!("\r\n{body}\r\n"));
    }
    text + &format!("--{boundary}--\r\n")
}
