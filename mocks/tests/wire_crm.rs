//! The CRM fake on the wire, section by section of the wire examples: token, reading, writing, batch, throttling;
//! then the business rules, the metadata, and what goes in and out past the Web API.
//!
//! Most tests speak to the state directly; the last ones go over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use mocks::crm::privilege::{Holding, Privilege};
use mocks::crm::quota::Quota;
use mocks::crm::{Crm, Options, State};
use mocks::fault::{Fault, Faults, Faulty};
use mocks::service::{Request, Response, Service};
use serde_json::{Map, Value, json};
use uuid::Uuid;

const ROOT: &str = "https://northbrook.crm4.dynamics.com";
const API: &str = "/api/data/v9.2";
const AHLGREN: &str = "a0000000-0000-4000-8000-000000000001";
const BOE: &str = "a0000000-0000-4000-8000-000000000002";
const CIRIC: &str = "a0000000-0000-4000-8000-000000000003";
const NOBODY: &str = "a0000000-0000-4000-8000-0000000000ff";
const IDA: &str = "c0000000-0000-4000-8000-000000000011";
const GBP: &str = "cc000000-0000-4000-8000-000000000001";
const NOK: &str = "cc000000-0000-4000-8000-000000000002";
const JPY: &str = "cc000000-0000-4000-8000-000000000003";
const INGA: &str = "8a2b0001-0000-4000-8000-000000000101";
const GONE: &str = "8a2b0001-0000-4000-8000-000000000102";
const APPLICATION: &str = "8a2b0001-0000-4000-8000-000000000002";
const PCS_GROUP: &str = "d0000000-0000-4000-8000-000000000001";
const PCS: &str = "d0000000-0000-4000-8000-000000000002";
const BOX_GROUP: &str = "d0000000-0000-4000-8000-000000000003";
const BOX: &str = "d0000000-0000-4000-8000-000000000004";
const CABLE: &str = "b0000000-0000-4000-8000-000000000001";
const LIST: &str = "e0000000-0000-4000-8000-000000000001";
const LINE: &str = "e0000000-0000-4000-8000-000000000002";

fn rows(value: Value) -> Vec<Map<String, Value>> {
    value.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect()
}

fn map(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn seeded() -> State {
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

struct Caller {
    state: State,
    token: String,
}

impl Caller {
    fn new() -> Self {
        Self::of(seeded())
    }

    fn of(mut state: State) -> Self {
        let token = fetch(&mut state);
        Caller { state, token }
    }

    fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Response {
        let mut all = vec![("authorization".to_string(), format!("Bearer {}", self.token))];
        all.extend(headers.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        let request =
            Request { method: method.into(), target: format!("{API}{target}"), headers: all, body: body.into() };
        self.state.answer(&request)
    }

    fn get(&mut self, target: &str) -> (u16, Value) {
        parsed(&self.send("GET", target, &[], ""))
    }

    fn write(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: Value) -> Response {
        let headers: Vec<_> =
            [("content-type", "application/json; charset=utf-8")].iter().chain(headers).copied().collect();
        self.send(method, target, &headers, body.to_string())
    }

    fn post(&mut self, set: &str, body: Value) -> Response {
        self.write("POST", &format!("/{set}"), &[], body)
    }

    fn patch(&mut self, set: &str, id: &str, body: Value) -> Response {
        self.write("PATCH", &format!("/{set}({id})"), &[("If-Match", "*")], body)
    }

    fn batch(&mut self, body: &str, headers: &[(&str, &str)]) -> Response {
        let headers: Vec<_> =
            [("Content-Type", "multipart/mixed; boundary=\"batch_n0001\"")].iter().chain(headers).copied().collect();
        self.send("POST", "/$batch", &headers, body)
    }

    fn row(&self, set: &str, id: &str) -> Map<String, Value> {
        self.state.record(set, id.parse().unwrap()).unwrap_or_else(|| panic!("{set} has {id}"))
    }
}

fn fetch(state: &mut State) -> String {
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

fn parsed(response: &Response) -> (u16, Value) {
    (response.status, serde_json::from_slice(&response.body).unwrap_or(Value::Null))
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn error(response: &Response) -> (u16, String, String) {
    let (status, body) = parsed(response);
    let text = |name: &str| body["error"][name].as_str().unwrap_or("no error").to_owned();
    (status, text("code"), text("message"))
}

/// Makes a multipart body of operations: method, URL, headers, body.
fn multipart(boundary: &str, operations: &[(&str, &str, &[&str], &str)]) -> String {
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

/// The boundary of a response, checked to be unquoted.
fn boundary(response: &Response, prefix: &str) -> String {
    let content_type = header(response, "content-type").unwrap();
    let boundary = content_type.strip_prefix("multipart/mixed; boundary=").unwrap_or_else(|| panic!("{content_type}"));
    assert!(boundary.starts_with(prefix) && !boundary.contains('"'), "{boundary}");
    boundary.to_owned()
}

/// Replaces what differs from run to run: boundaries, request ids, the ids of new rows.
fn scrubbed(text: &str) -> String {
    text.split("\r\n")
        .map(|line| match line.split_once(": ") {
            Some(("REQ_ID", _)) => "REQ_ID: …".to_owned(),
            _ => line.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("\r\n")
}

const JSON: &[&str] = &["Content-Type: application/json; type=entry"];
const JSON_ANY: &[&str] = &["Content-Type: application/json; type=entry", "If-Match: *"];

#[test]
fn section_1_and_2_tokens_and_the_401_of_an_expired_one() {
    let mut caller = Caller::new();
    let response = caller.send("GET", "/WhoAmI", &[], "");
    assert_eq!(header(&response, "x-ms-dop-hint"), Some("8"));
    assert_eq!(header(&response, "odata-version"), Some("4.0"));
    assert!(header(&response, "x-ms-service-request-id").is_some());
    let (status, body) = parsed(&response);
    assert_eq!(status, 200);
    assert_eq!(body["@odata.context"], json!(format!("{ROOT}{API}/$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse")));
    assert_eq!(body["UserId"], json!(APPLICATION));

    caller.state.expire_tokens();
    let response = caller.send("GET", "/WhoAmI", &[], "");
    assert_eq!((response.status, response.body.len()), (401, 0));
    assert!(header(&response, "www-authenticate").unwrap().ends_with(&format!("resource_id={ROOT}/")));
    caller.token = fetch(&mut caller.state);
    assert_eq!(caller.get("/WhoAmI").0, 200);
    let log = caller.state.log();
    let counts = log.lock().unwrap().counts();
    assert_eq!((counts.requests, counts.tokens, counts.reads), (5, 2, 2));
}

#[test]
fn section_3_pages_are_linked_by_a_cookie_that_must_come_back_as_it_was() {
    let mut caller = Caller::new();
    let query =
        "/accounts?$select=name,accountnumber,creditlimit,_primarycontactid_value,modifiedon&$orderby=name,accountid";
    let annotated = "odata.maxpagesize=2,odata.include-annotations=\"Microsoft.Dynamics.CRM.lookuplogicalname\"";
    let response = caller.send("GET", query, &[("prefer", annotated), ("If-None-Match", "null")], "");
    let applied: Vec<_> = response
        .headers
        .iter()
        .filter(|(name, _)| name == "Preference-Applied")
        .map(|(_, value)| value.as_str())
        .collect();
    let annotations = "odata.include-annotations=\"Microsoft.Dynamics.CRM.lookuplogicalname\"";
    assert_eq!(applied, ["odata.maxpagesize=2", annotations]);
    let text = String::from_utf8(response.body.clone()).unwrap();
    let version = |id: &str| caller.row("accounts", id)["versionnumber"].clone();
    let expected = format!(
        "{{\"@odata.context\":\"{ROOT}{API}/$metadata#accounts(name,accountnumber,creditlimit,_primarycontactid_value,\
         modifiedon)\",\
         \"value\":[{{\"@odata.etag\":\"W/\\\"{}\\\"\",\"name\":\"Ahlgren Marine \
         AB\",\"accountnumber\":\"C-1001\",\"creditlimit\":25000.0000,\
         \"_primarycontactid_value\":\"{IDA}\",\
         \"_primarycontactid_value@Microsoft.Dynamics.CRM.lookuplogicalname\":\"contact\",\
         \"modifiedon\":\"2026-01-30T21:04:11Z\",\"accountid\":\"{AHLGREN}\",\
         \"_transactioncurrencyid_value\":\"{GBP}\",\
         \"_transactioncurrencyid_value@Microsoft.Dynamics.CRM.lookuplogicalname\":\"transactioncurrency\"}},\
         {{\"@odata.etag\":\"W/\\\"{}\\\"\",\"name\":\"Bøe & Sons\",\"accountnumber\":\"C-1002\",\"creditlimit\":null,\
         \"_primarycontactid_value\":null,\"modifiedon\":\"2026-01-31T09:00:00Z\",\"accountid\":\"{BOE}\",\
         \"_transactioncurrencyid_value\":null}}],\"@odata.nextLink\":\"",
        version(AHLGREN),
        version(BOE)
    );
    assert!(text.starts_with(&expected), "{text}\n{expected}");

    let link = parsed(&response).1["@odata.nextLink"].as_str().unwrap().to_owned();
    let cookie = "$skiptoken=%3Ccookie%20pagenumber=%222%22%20pagingcookie=%22%253ccookie%2520page%253d%25221%2522%253e\
                  %253cname%2520last%253d";
    let rest = link.strip_prefix(&format!("{ROOT}{API}{query}&")).expect("the query is repeated as it came");
    assert!(rest.starts_with(cookie) && rest.ends_with("%22%20istracking=%22False%22%20/%3E"), "{rest}");
    let target = link.strip_prefix(&format!("{ROOT}{API}")).unwrap();
    let (status, body) = parsed(&caller.send("GET", target, &[("Prefer", "odata.maxpagesize=2")], ""));
    assert_eq!((status, body["value"][0]["accountid"].as_str(), body.get("@odata.nextLink")), (200, Some(CIRIC), None));
    assert!(!body.to_string().contains("lookuplogicalname"), "annotations go when the preference is not repeated");

    for spoiled in [
        target.replace("%253c", "%253C"),
        target.replace("pagenumber=%222", "pagenumber=%223"),
        target.replace("%22", "\""),
    ] {
        assert_eq!(caller.get(&spoiled).0, 400, "{spoiled}");
    }
}

#[test]
fn a_query_is_read_case_sensitively_and_refused_in_the_services_words() {
    let mut caller = Caller::new();
    let type_name = "on type 'Microsoft.Dynamics.CRM.account'.";
    let no_property = |name: &str| format!("Could not find a property named '{name}' {type_name}");
    let cases = [
        ("/Account", 404, "0x8006088a", "Resource not found for the segment 'Account'.".to_owned()),
        ("/accounts?$select=Name", 400, "0x0", no_property("Name")),
        ("/accounts?$select=primarycontactid", 400, "0x0", no_property("primarycontactid")),
        ("/accounts?$filter=Name eq 'x'", 400, "0x0", no_property("Name")),
        ("/accounts?$orderby=nothing", 400, "0x0", no_property("nothing")),
        ("/accounts?$expand=primarycontact", 400, "0x0", no_property("primarycontact")),
        ("/accounts?$skip=5", 400, "0x80060888", "Skip Clause is not supported in CRM".into()),
        ("/accounts?$Select=name", 400, "0x80060888", "The query parameter $Select is not supported".into()),
        ("/accounts(nonsense)", 400, "0x0", "Bad Request - Error in query syntax.".into()),
        ("/accounts('C-1001')", 400, "0x0", "Bad Request - Error in query syntax.".into()),
        (
            "/accounts?$filter=accountid eq 'a0000000-0000-4000-8000-000000000001'",
            400,
            "0x80060888",
            "A binary operator with incompatible types was detected. Found operand types 'Edm.Guid' and \
                'Edm.String' for operator kind 'Equal'."
                .into(),
        ),
        (
            "/accounts?$filter=accountid in (a0000000-0000-4000-8000-000000000001)",
            400,
            "0x80060888",
            "The operator 'in' is not supported; use Microsoft.Dynamics.CRM.In.".into(),
        ),
        (
            "/accounts?$filter=tolower(name) eq 'x'",
            400,
            "0x80060888",
            "An unknown function with name 'tolower' \
            was found."
                .into(),
        ),
    ];
    for (target, status, code, message) in cases {
        let response = caller.send("GET", target, &[], "");
        assert_eq!(error(&response), (status, code.to_owned(), message), "{target}");
        assert!(header(&response, "REQ_ID").is_some());
    }
    let path = format!("/accounts({NOBODY})?$select=name");
    assert_eq!(
        error(&caller.send("GET", &path, &[], "")),
        (404, "0x80040217".into(), format!("account With Id = {NOBODY} Does Not Exist"))
    );
    let long = format!("/accounts?$filter=name eq '{}'", "x".repeat(32_768));
    let response = caller.send("GET", &long, &[], "");
    assert_eq!((response.status, header(&response, "content-type")), (414, Some("text/html; charset=us-ascii")));
    assert_eq!(caller.send("PATCH", "/accounts", &[], "{}").status, 405);
    assert_eq!(caller.send("GET", "/../v8.2/accounts", &[], "").status, 404);
    let annotated = caller.send("GET", "/accounts?$select=Name", &[("Prefer", "odata.include-annotations=\"*\"")], "");
    assert!(parsed(&annotated).1["error"]["@Microsoft.PowerApps.CDS.InnerError.Message"].is_string());
}

#[test]
fn filters_have_three_values_and_no_case() {
    let mut caller = Caller::new();
    let all = [AHLGREN, BOE, CIRIC];
    let cases: [(&str, &[&str]); 24] = [
        ("name eq 'AHLGREN marine ab'", &all[..1]),
        ("name eq 'ćIRIĆ metal '", &all[2..]),
        ("accountnumber ne 'C-1001'", &all[1..2]),
        ("not (accountnumber eq 'C-1001')", &all[1..2]),
        ("accountnumber eq null", &all[2..]),
        ("accountnumber ne null", &all[..2]),
        ("accountnumber ne 'C-1001' or accountnumber eq null", &all[1..]),
        ("creditlimit ge 0.00", &[AHLGREN, CIRIC]),
        ("creditlimit gt null", &[]),
        ("contains(name,'%marine%')", &all[..1]),
        ("startswith(name,'b') and endswith(name,'SONS')", &all[1..2]),
        ("contains(accountnumber,'c_100[1-1]')", &all[..1]),
        ("name eq 'B%C3%B8e %26 Sons'", &all[1..2]),
        ("customertypecode eq 3", &all[..1]),
        ("modifiedon ge 2026-01-30T21:04:11Z", &all[..2]),
        ("modifiedon gt 2026-01-31", &all[1..2]),
        ("modifiedon ge 2026-01-30T22:04:12%2B01:00", &all[1..2]),
        ("_primarycontactid_value eq c0000000-0000-4000-8000-000000000011", &all[..1]),
        ("primarycontactid/fullname eq 'ida sørli'", &all[..1]),
        ("accountid eq A0000000-0000-4000-8000-000000000002", &all[1..2]),
        ("creditonhold eq false", &all),
        ("statecode eq 0 and (name eq 'x' or name ne 'x')", &all),
        ("address1_city eq name", &[]),
        ("25000 eq creditlimit", &all[..1]),
    ];
    for (filter, expected) in cases {
        let (status, body) = caller.get(&format!("/accounts?$select=name&$filter={}", filter.replace(' ', "%20")));
        let found: Vec<_> = body["value"]
            .as_array()
            .unwrap_or_else(|| panic!("{filter}: {body}"))
            .iter()
            .map(|row| row["accountid"].as_str().unwrap())
            .collect();
        assert_eq!((status, found.as_slice()), (200, expected), "{filter}");
    }
    let (_, body) = caller
        .get("/contacts?$filter=birthdate eq 1980-02-29 and parentcustomerid_account/name eq 'Ahlgren Marine AB'");
    assert_eq!(body["value"][0]["birthdate"], json!("1980-02-29"));
}

#[test]
fn section_4_id_lists_go_by_the_in_function_in_both_forms() {
    let mut caller = Caller::new();
    let found = |(status, body): (u16, Value)| {
        assert_eq!(status, 200, "{body}");
        body["value"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["accountid"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let function = "/accounts?$select=name&$filter=Microsoft.Dynamics.CRM.In";
    let aliased =
        format!("{function}(PropertyName=@p1,PropertyValues=@p2)&@p1='accountid'&@p2=[%22{AHLGREN}%22,%22{NOBODY}%22]");
    assert_eq!(found(caller.get(&aliased)), [AHLGREN]);
    let inline =
        format!("{function}(PropertyName='accountnumber',PropertyValues=[%22c-1002%22,%22C-1001%22,%22C-1001%22])");
    assert_eq!(found(caller.get(&inline)), [AHLGREN, BOE]);
    let lookup = format!("{function}(PropertyName='primarycontactid',PropertyValues=[%22{IDA}%22])");
    assert_eq!(found(caller.get(&lookup)), [AHLGREN]);
    let number = format!("{function}(PropertyName='customertypecode',PropertyValues=[%223%22])");
    assert_eq!(found(caller.get(&number)), [AHLGREN]);

    for (wrong, message) in [
        (
            format!("{function}(PropertyName='accountid',PropertyValues=['{AHLGREN}'])"),
            "Invalid JSON. A comma character ','",
        ),
        (format!("{function}(PropertyName='customertypecode',PropertyValues=[3])"), "Every item of PropertyValues"),
        (
            format!("{function}(PropertyName='_primarycontactid_value',PropertyValues=[%22{IDA}%22])"),
            "Could not find a property",
        ),
        (format!("{function}(PropertyName='accountid',PropertyValues=[%22x%22])"), "Cannot convert the literal 'x'"),
    ] {
        let (status, _, found) = error(&caller.send("GET", &wrong, &[], ""));
        assert!(status == 400 && found.starts_with(message), "{wrong}: {found}");
    }
}

#[test]
fn selection_expansion_order_count_and_annotations() {
    let mut caller = Caller::new();
    let (_, all) = caller.get("/accounts");
    let row = all["value"][1].as_object().unwrap();
    assert!(row.contains_key("fax") && row["fax"].is_null(), "without $select every column is there, null or not");
    assert_eq!(all["@odata.context"], json!(format!("{ROOT}{API}/$metadata#accounts")));

    let (_, top) = caller.get("/accounts?$select=name&$orderby=name desc&$top=2&$count=true");
    let names: Vec<_> = top["value"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(
        (names, top["@odata.count"].as_u64(), top.get("@odata.nextLink")),
        (vec!["Ćirić Metal", "Bøe & Sons"], Some(3), None)
    );
    let ignored = caller.send("GET", "/accounts?$select=name&$top=1", &[("Prefer", "odata.maxpagesize=2")], "");
    assert_eq!(parsed(&ignored).1["value"].as_array().unwrap().len(), 2, "$top is ignored beside a page size");
    let (_, nulls) = caller.get("/accounts?$select=accountnumber&$orderby=accountnumber");
    assert_eq!(nulls["value"][0]["accountid"], json!(CIRIC), "nulls come first");
    let count = caller.send("GET", "/accounts/$count?$filter=accountnumber ne null", &[], "");
    assert_eq!(String::from_utf8(count.body).unwrap(), "\u{feff}2");

    let path = "/contacts?$select=lastname\
                &$expand=parentcustomerid_account($select=name),parentcustomerid_contact,transactioncurrencyid";
    let (_, expanded) = caller.get(path);
    let row = &expanded["value"][0];
    assert_eq!(
        (row["parentcustomerid_account"]["name"].as_str(), &row["parentcustomerid_contact"]),
        (Some("Ahlgren Marine AB"), &Value::Null)
    );
    assert!(row.as_object().unwrap().contains_key("transactioncurrencyid"));

    let prefer = [("Prefer", "odata.include-annotations=\"*\"")];
    let path = format!("/contacts({IDA})?$select=birthdate,statecode,_parentcustomerid_value,_ownerid_value,createdon");
    let (_, row) = parsed(&caller.send("GET", &path, &prefer, ""));
    assert_eq!(row["_parentcustomerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"], json!("account"));
    assert_eq!(
        row["_parentcustomerid_value@Microsoft.Dynamics.CRM.associatednavigationproperty"],
        json!("parentcustomerid_account")
    );
    assert_eq!(row["_parentcustomerid_value@OData.Community.Display.V1.FormattedValue"], json!("Ahlgren Marine AB"));
    assert_eq!(row["birthdate@OData.Community.Display.V1.FormattedValue"], json!("2/29/1980"));
    assert_eq!(row["statecode@OData.Community.Display.V1.FormattedValue"], json!("Active"));
    assert_eq!(row["_ownerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"], json!("systemuser"));
    let (_, row) = parsed(&caller.send("GET", &format!("/accounts({AHLGREN})?$select=creditlimit"), &prefer, ""));
    assert_eq!(row["creditlimit@OData.Community.Display.V1.FormattedValue"], json!("£25,000.00"));

    let tag = row["@odata.etag"].as_str().unwrap().to_owned();
    let path = format!("/accounts({AHLGREN})?$select=name");
    let unchanged = caller.send("GET", &path, &[("If-None-Match", &tag)], "");
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    let annotated = caller.send("GET", &path, &[("If-None-Match", &tag), prefer[0]], "");
    assert_eq!(annotated.status, 200, "no 304 beside annotations");
    assert_eq!(caller.get(&format!("/accounts({AHLGREN})/name")).1["value"], json!("Ahlgren Marine AB"));
}

#[test]
fn section_5_changes_are_tracked() {
    let mut caller = Caller::new();
    let track = [("Prefer", "odata.track-changes,odata.maxpagesize=2")];
    let query = "/accounts?$select=name,accountnumber";
    let first = caller.send("GET", query, &track, "");
    let applied: Vec<&str> = first
        .headers
        .iter()
        .filter(|(name, _)| name == "Preference-Applied")
        .map(|(_, value)| value.as_str())
        .collect();
    assert!(applied.contains(&"odata.track-changes"), "{applied:?}");
    let (status, body) = parsed(&first);
    assert_eq!((status, body["value"].as_array().unwrap().len(), body.get("@odata.deltaLink")), (200, 2, None));
    let next = body["@odata.nextLink"].as_str().unwrap();
    assert!(next.ends_with("%20istracking=%22True%22%20/%3E"), "{next}");

    // What changes between two pages belongs to the next read.
    let edit = |caller: &mut Caller, id: &str, name: &str| {
        let values = json!({ "name": name });
        caller.state.edit("accounts", id.parse().unwrap(), values.as_object().unwrap()).unwrap();
    };
    edit(&mut caller, AHLGREN, "Meanwhile");
    let target = |link: &Value| link.as_str().unwrap().strip_prefix(&format!("{ROOT}{API}")).unwrap().to_owned();
    let (status, body) = parsed(&caller.send("GET", &target(&body["@odata.nextLink"]), &track, ""));
    assert_eq!((status, body.get("@odata.nextLink")), (200, None));
    let link = target(&body["@odata.deltaLink"]);
    let (path, token) = link.split_once("&$deltatoken=").unwrap();
    assert_eq!(path, query);
    let shape = token.replace(|letter: char| letter.is_ascii_digit(), "0");
    assert!(shape.ends_with("%0000%0f00%0f0000%0000%0a00%0a00"), "{token}");
    assert!(token.contains("%21") && token.contains("%2f") && token.contains("%3a"), "{token}");
    let (_, body) = caller.get(&link);
    assert_eq!(body["@odata.context"], json!(format!("{ROOT}{API}/$metadata#accounts(name,accountnumber)/$delta")));
    assert_eq!(body["value"].as_array().unwrap().len(), 1);
    assert_eq!((&body["value"][0]["name"], &body["value"][0]["accountid"]), (&json!("Meanwhile"), &json!(AHLGREN)));

    // Nothing happened since; then changes by their version, and deletions after them, also of what was never seen.
    let link = target(&body["@odata.deltaLink"]);
    let (_, body) = caller.get(&link);
    assert_eq!(body["value"], json!([]));
    let made = caller.state.insert("accounts", json!({"name": "Short-lived"}).as_object().unwrap()).unwrap();
    caller.state.delete("accounts", made).unwrap();
    edit(&mut caller, CIRIC, "First");
    edit(&mut caller, AHLGREN, "Second");
    edit(&mut caller, AHLGREN, "Third");
    let changes = |caller: &mut Caller, link: &str, prefer: &str| {
        let (mut told, mut next) = (Vec::new(), link.to_owned());
        loop {
            let (status, body) = parsed(&caller.send("GET", &next, &[("Prefer", prefer)], ""));
            assert_eq!(status, 200, "{body}");
            for row in body["value"].as_array().unwrap() {
                told.push(row["name"].as_str().or(row["reason"].as_str()).unwrap().to_owned());
            }
            match body.get("@odata.nextLink") {
                Some(link) => next = target(link),
                None => return (told, target(&body["@odata.deltaLink"])),
            }
        }
    };
    let told = changes(&mut caller, &link, "odata.maxpagesize=5000").0;
    assert_eq!(told, ["First", "Third", "deleted"]);
    assert_eq!(changes(&mut caller, &link, "odata.maxpagesize=1").0, told, "page by page it is the same");
    let text = caller.send("GET", &link, &[], "").body;
    let gone = format!(
        "{{\"@odata.context\":\"{ROOT}{API}/$metadata#accounts/$deletedEntity\",\"id\":\"{made}\",\"reason\":\"deleted\"}}"
    );
    assert!(String::from_utf8(text).unwrap().contains(&gone));
    let count = link.replace(query, "/accounts/$count?");
    assert_eq!(String::from_utf8(caller.send("GET", &count.replace("?&", "?"), &[], "").body).unwrap(), "\u{feff}3");

    // A deletion that is rolled back was none.
    let mut kept = Vec::new();
    caller.state.save(&mut kept).unwrap();
    let mut again = Caller::of(State::restore(&mut kept.as_slice()).unwrap());
    again.state.root = ROOT.into();
    assert_eq!(changes(&mut again, &link, "odata.maxpagesize=5000").0, told, "a kept state knows what was deleted");
}

#[test]
fn section_5_what_change_tracking_refuses() {
    let mut caller = Caller::new();
    let track = [("Prefer", "odata.track-changes")];
    let (_, body) = parsed(&caller.send("GET", "/contacts?$select=fullname", &track, ""));
    let link = body["@odata.deltaLink"].as_str().unwrap().strip_prefix(&format!("{ROOT}{API}")).unwrap().to_owned();
    for option in ["$filter=fullname eq 'x'", "$orderby=fullname", "$top=1", "$expand=parentcustomerid_account"] {
        let name = option.split('=').next().unwrap();
        let expected = format!("The \"{name}\" query parameter isn't supported when Change Tracking is enabled.");
        for (target, headers) in [(format!("/contacts?{option}"), &track[..]), (format!("{link}&{option}"), &[])] {
            let refused = error(&caller.send("GET", &target, headers, ""));
            assert_eq!(refused, (400, "0x80060888".into(), expected.clone()), "{target}");
        }
    }
    for table in ["transactioncurrencies", "uoms", "pricelevels", "productpricelevels"] {
        assert_eq!(caller.send("GET", &format!("/{table}"), &track, "").status, 400, "{table}");
    }
    for (table, expected) in
        [("contact", true), ("account", true), ("product", true), ("systemuser", true), ("uom", false)]
    {
        let path = format!("/EntityDefinitions(LogicalName='{table}')?$select=ChangeTrackingEnabled");
        assert_eq!(caller.get(&path).1["ChangeTrackingEnabled"], json!(expected), "{table}");
    }
    let bad = |caller: &mut Caller, token: &str| {
        error(&caller.send("GET", &format!("/contacts?$select=fullname&$deltatoken={token}"), &[], ""))
    };
    assert_eq!(bad(&mut caller, "8120045").0, 400);
    assert_eq!(bad(&mut caller, "99999999999%2101%2f31%2f2026%2022%3a00%3a02").0, 400);
    let old = "Version stamp associated with the client has expired. Please perform a full sync.";
    assert_eq!(caller.send("GET", &link, &[], "").status, 200);
    caller.state.advance(8 * 24 * 3600);
    assert_eq!(error(&caller.send("GET", &link, &[], "")), (400, "0x80044352".into(), old.into()));
    let (_, body) = parsed(&caller.send("GET", "/contacts?$select=fullname", &track, ""));
    let link = body["@odata.deltaLink"].as_str().unwrap().strip_prefix(&format!("{ROOT}{API}")).unwrap().to_owned();
    caller.state.expire_changes();
    assert_eq!(error(&caller.send("GET", &link, &[], "")), (400, "0x80044352".into(), old.into()));
}

#[test]
fn section_15_limits_are_enforced_and_say_which() {
    let mut caller = Caller::new();
    let window = Duration::from_secs(300);
    caller.state.quota = Quota { requests_max: 2, window, ..Quota::default() };
    for left in ["1", "0"] {
        let response = caller.send("GET", "/WhoAmI", &[], "");
        assert_eq!(header(&response, "x-ms-ratelimit-burst-remaining-xrm-requests"), Some(left));
        assert_eq!(header(&response, "x-ms-ratelimit-time-remaining-xrm-requests"), Some("1200.00"));
    }
    let refused = caller.send("GET", "/WhoAmI", &[], "");
    let message = "Number of requests exceeded the limit of 2 over time window of 300 seconds.";
    assert_eq!(error(&refused), (429, "0x80072322".into(), message.into()));
    assert_eq!(header(&refused, "Retry-After"), Some("300"));
    let again = caller.send("GET", "/WhoAmI", &[], "");
    assert_eq!(header(&again, "Retry-After"), Some("600"), "the same request again");
    caller.send("GET", "/accounts?$select=name", &[], "");
    let counts = caller.state.log().lock().unwrap().counts();
    assert_eq!((counts.throttled, counts.throttled_again), (3, 1));
    // A batch counts as one request, and takes as long as its operations.
    let second = Duration::from_secs(1);
    caller.state.quota = Quota { execution_max: second * 5, per_operation: second, ..Quota::default() };
    let account = format!("{API}/accounts({AHLGREN})");
    let patch = ("PATCH", account.as_str(), &["If-Match: *", "Content-Type: application/json"][..], r#"{"fax":"1"}"#);
    let body = multipart("b", &[patch; 5]);
    let batch = [("Content-Type", "multipart/mixed; boundary=b")];
    assert_eq!(caller.send("POST", "/$batch", &batch, body.as_str()).status, 200);
    let refused = caller.send("POST", "/$batch", &batch, body.as_str());
    assert_eq!((refused.status, error(&refused).1.as_str()), (429, "0x80072321"));
}

#[test]
fn section_4_what_the_roles_do_not_give_is_refused_and_told() {
    let mut caller = Caller::new();
    let mut withhold = |table: &str, privilege: Privilege, holding: Holding| {
        caller.state.privileges.insert((table.to_owned(), privilege), holding);
    };
    for privilege in [Privilege::Create, Privilege::Delete, Privilege::AppendTo, Privilege::Assign] {
        withhold("account", privilege, Holding::None);
    }
    withhold("contact", Privilege::Write, Holding::Team);
    withhold("product", Privilege::Read, Holding::None);
    let json = [("Content-Type", "application/json")];
    let account = format!("/accounts({AHLGREN})");
    for (method, path, body, name) in [
        ("POST", "/accounts".to_owned(), r#"{"name":"x"}"#.to_owned(), "prvCreateAccount"),
        ("PATCH", format!("/accounts({NOBODY})"), r#"{"name":"x"}"#.to_owned(), "prvCreateAccount"),
        ("DELETE", account.clone(), String::new(), "prvDeleteAccount"),
        ("PATCH", account.clone(), format!(r#"{{"ownerid@odata.bind":"/systemusers({INGA})"}}"#), "prvAssignAccount"),
        (
            "PATCH",
            format!("/contacts({IDA})"),
            format!(r#"{{"parentcustomerid_account@odata.bind":"/accounts({BOE})"}}"#),
            "prvAppendToAccount",
        ),
        ("GET", "/products?$select=name".to_owned(), String::new(), "prvReadProduct"),
    ] {
        let (status, code, message) = error(&caller.send(method, &path, &json, body.as_str()));
        assert_eq!((status, code.as_str()), (403, "0x80048306"), "{method} {path}: {message}");
        assert!(message.contains(&format!("is missing {name} privilege")), "{method} {path}: {message}");
    }
    assert_eq!(caller.send("PATCH", &account, &json, r#"{"telephone1":"1"}"#).status, 204);

    let function = format!("/systemusers({APPLICATION})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges()");
    let (_, held) = parsed(&caller.send("GET", &function, &[], ""));
    let depth = |name: &str| {
        let held = held["RolePrivileges"].as_array().unwrap().iter();
        held.clone().find(|held| held["PrivilegeName"] == name).map(|held| held["Depth"].as_str().unwrap().to_owned())
    };
    assert_eq!(depth("prvReadAccount").as_deref(), Some("Global"));
    assert_eq!(depth("prvWriteContact").as_deref(), Some("Basic"), "what comes by a team is told as that");
    assert_eq!(depth("prvCreateAccount"), None);
    let definition = "/EntityDefinitions(LogicalName='account')?$select=LogicalName,Privileges";
    let (_, account) = parsed(&caller.send("GET", definition, &[], ""));
    let privileges = account["Privileges"].as_array().unwrap();
    let write = privileges.iter().find(|privilege| privilege["PrivilegeType"] == "Write").unwrap();
    let held = held["RolePrivileges"].as_array().unwrap();
    assert!(held.iter().any(|held| held["PrivilegeId"] == write["PrivilegeId"]), "both know it by one id");
}

#[test]
fn section_15_a_cookie_would_pin_its_sender_to_one_server() {
    let mut caller = Caller::new();
    let response = caller.send("GET", "/WhoAmI", &[], "");
    let cookie = header(&response, "Set-Cookie").unwrap().to_owned();
    assert!(cookie.starts_with("ARRAffinity="), "{cookie}");
    assert_eq!(caller.state.pinned(), 0);
    caller.send("GET", "/WhoAmI", &[("Cookie", cookie.split(';').next().unwrap())], "");
    assert_eq!(caller.state.pinned(), 1);
    // Three servers grant three times as much, but not to who keeps the cookie of one.
    caller.state.set_servers(3);
    caller.state.quota = Quota { requests_max: 2, ..Quota::default() };
    let kept = header(&caller.send("GET", "/WhoAmI", &[], ""), "Set-Cookie").unwrap().to_owned();
    let pinned = [("Cookie", kept.split(';').next().unwrap())];
    let statuses = [200, 429, 429].map(|_| caller.send("GET", "/WhoAmI", &pinned, "").status);
    assert_eq!((statuses, caller.state.served()), ([200, 429, 429], vec![0, 2, 0]));
    let free = [0; 4].map(|_| caller.send("GET", "/WhoAmI", &[], "").status);
    assert_eq!(free, [200, 200, 429, 200], "each has its turn, also the one that grants no more");
}

#[test]
fn section_13_bulk_messages_are_told_by_their_probe() {
    let mut caller = Caller::new();
    let probe = |message: &str, tables: &str| {
        format!(
            "/sdkmessagefilters?$select=primaryobjecttypecode&$filter=sdkmessageid/name eq '{message}' and ({tables})"
        )
    };
    let both = "primaryobjecttypecode eq 'account' or primaryobjecttypecode eq 'systemuser'";
    let found = |caller: &mut Caller, message: &str| {
        let (status, body) = caller.get(&probe(message, both));
        let tables = body["value"].as_array().unwrap().iter().map(|row| row["primaryobjecttypecode"].clone());
        (status, tables.collect::<Vec<_>>())
    };
    for (message, tables) in [("CreateMultiple", 1), ("UpdateMultiple", 1), ("UpsertMultiple", 0)] {
        let expected = ["account"].map(Value::from)[..tables].to_vec();
        assert_eq!(found(&mut caller, message), (200, expected), "{message}");
    }
    let unknown = |caller: &mut Caller, set: &str, message: &str| {
        let path = format!("/{set}/Microsoft.Dynamics.CRM.{message}");
        let refused = error(&caller.write("POST", &path, &[], json!({"Targets": []})));
        let expected = format!("Resource not found for the segment 'Microsoft.Dynamics.CRM.{message}'.");
        assert_eq!(refused, (404, "0x8006088a".into(), expected));
    };
    for (set, message) in
        [("systemusers", "CreateMultiple"), ("accounts", "UpsertMultiple"), ("accounts", "DeleteMultiple")]
    {
        unknown(&mut caller, set, message);
    }
    caller.state.bulk_tables.clear();
    assert_eq!(found(&mut caller, "CreateMultiple"), (200, Vec::new()));
    unknown(&mut caller, "accounts", "CreateMultiple");
}

#[test]
fn section_13_bulk_messages_are_all_or_nothing() {
    let mut caller = Caller::new();
    let account = |id: u32, name: &str| {
        json!({"@odata.type": "Microsoft.Dynamics.CRM.account", "name": name,
            "accountid": format!("a1000000-0000-4000-8000-{id:012}")})
    };
    let created = |id: u32| format!("a1000000-0000-4000-8000-{id:012}");
    let create = "/accounts/Microsoft.Dynamics.CRM.CreateMultiple";
    let update = "/accounts/Microsoft.Dynamics.CRM.UpdateMultiple";
    let before = caller.state.count("accounts");
    let targets = json!({"Targets": [account(1, "One"), account(2, "Two")]});
    let response = caller.write("POST", create, &[], targets.clone());
    let (status, body) = parsed(&response);
    assert_eq!((status, &body["Ids"]), (200, &json!([created(1), created(2)])));
    assert_eq!(body["@odata.context"], format!("{ROOT}{API}/$metadata#Microsoft.Dynamics.CRM.CreateMultipleResponse"));
    assert_eq!(caller.state.count("accounts"), before + 2);
    // Each row counts as the operation that it stands for.
    let writes = caller.state.log().lock().unwrap().writes();
    assert_eq!(writes.iter().map(|entry| (entry.method, entry.status)).collect::<Vec<_>>(), [("POST", 200); 2]);
    let long = "x".repeat(161);
    let without = |name: &str, mut target: Value| {
        target.as_object_mut().unwrap().remove(name);
        target
    };
    let with = |name: &str, value: Value, mut target: Value| {
        target.as_object_mut().unwrap().insert(name.into(), value);
        target
    };
    for (path, targets, expected) in [
        (create, json!([account(3, "Three"), account(1, "Again")]), (412, "0x80040237")),
        (create, json!([account(3, "Three"), account(3, "Twice")]), (412, "0x80040237")),
        (create, json!([account(3, "Three"), account(4, &long)]), (400, "0x80044331")),
        (create, json!([account(3, "Three"), without("@odata.type", account(4, "Four"))]), (400, "0x80048d19")),
        (
            create,
            json!([with("@odata.type", json!("#Microsoft.Dynamics.CRM.contact"), account(3, "X"))]),
            (400, "0x80040203"),
        ),
        (create, json!([with("@odata.type", json!("account"), account(3, "X"))]), (400, "0x80048d19")),
        (create, json!([with("nonsense", json!(1), account(3, "X"))]), (400, "0x0")),
        (create, json!([]), (400, "0x80040203")),
        (create, json!("account"), (400, "0x80040203")),
        (update, json!([account(1, "Uno"), account(9, "Nobody")]), (404, "0x80040217")),
        (update, json!([account(1, "Uno"), account(1, "Due")]), (412, "0x80040237")),
        (update, json!([account(1, "Uno"), without("accountid", account(2, "Due"))]), (400, "0x80040203")),
    ] {
        let refused = error(&caller.write("POST", path, &[], json!({"Targets": targets})));
        assert_eq!((refused.0, refused.1.as_str()), expected, "{path} {targets}");
        assert_eq!(caller.state.count("accounts"), before + 2, "{path} {targets}");
        let one = caller.state.record("accounts", created(1).parse().unwrap()).unwrap();
        assert_eq!(one["name"], "One", "{path} {targets}");
    }
    let condition = [("If-Match", "*")];
    assert_eq!(error(&caller.write("POST", update, &condition, targets.clone())).0, 400, "no conditions");
    assert_eq!(error(&caller.write("POST", create, &[], with("More", json!(1), targets))).1, "0x80048d19");
    // The number sign before a type is allowed, and an update gives nothing back.
    let target = with("@odata.type", json!("#Microsoft.Dynamics.CRM.account"), account(1, "Uno"));
    let response = caller.write("POST", update, &[], json!({"Targets": [target]}));
    assert_eq!((response.status, response.body.len()), (204, 0));
    assert_eq!(caller.state.record("accounts", created(1).parse().unwrap()).unwrap()["name"], "Uno");
}

#[test]
fn section_6_a_row_is_created() {
    let mut caller = Caller::new();
    let body = json!({"name": "Dahl Elektro", "accountnumber": "C-1003", "creditlimit": 1500.50,
        "transactioncurrencyid@odata.bind": format!("/transactioncurrencies({NOK})"), "fax": ""});
    let response = caller.post("accounts", body);
    let url = header(&response, "OData-EntityId").unwrap();
    let id = url.strip_prefix(&format!("{ROOT}{API}/accounts(")).unwrap().trim_end_matches(')').to_owned();
    assert_eq!((response.status, response.body.len()), (204, 0));
    let row = caller.row("accounts", &id);
    let text = |name: &str| row[name].to_string();
    assert_eq!(
        (text("creditlimit"), text("exchangerate"), text("creditlimit_base")),
        ("1500.5000".into(), "13.250000000000".into(), "113.2453".into())
    );
    assert_eq!(row["_transactioncurrencyid_value"], json!(NOK));
    assert!(!row.contains_key("fax"), "empty text is stored as null");
    for name in ["_ownerid_value", "_createdby_value", "_modifiedby_value", "_owninguser_value"] {
        assert_eq!(row[name], json!(APPLICATION), "{name}");
    }
    assert_eq!((text("statecode"), text("statuscode")), ("0".into(), "1".into()));
    assert_eq!(row["createdon"], row["modifiedon"]);

    let own = "a0000000-0000-4000-8000-000000000005";
    let prefer = [("Prefer", "return=representation")];
    let body = json!({"accountid": own.to_uppercase(), "name": "Eide Rør AS"});
    let response = caller.write("POST", "/accounts?$select=accountid", &prefer, body);
    let tag = format!("W/\"{}\"", caller.row("accounts", own)["versionnumber"]);
    assert_eq!(
        (response.status, header(&response, "ETag"), header(&response, "Preference-Applied")),
        (201, Some(tag.as_str()), Some("return=representation"))
    );
    assert_eq!(header(&response, "OData-EntityId"), None);
    let expected = json!({"@odata.context": format!("{ROOT}{API}/$metadata#accounts(accountid)/$entity"),
        "@odata.etag": tag, "accountid": own});
    assert_eq!(parsed(&response).1, expected);

    let again = caller.post("accounts", json!({"accountid": own, "name": "Eide Rør AS"}));
    assert_eq!(error(&again), (412, "0x80040237".into(), "Cannot insert duplicate key.".into()));
    let nested = json!({"name": "Falk AS", "primarycontactid": {"firstname": "Eva", "lastname": "Falk"}});
    assert_eq!(caller.post("accounts", nested).status, 204);
    assert!(caller.state.find("contacts", "fullname", "Eva Falk").is_some(), "a nested row is created too");
    let broken = json!({"name": "x".repeat(161), "primarycontactid": {"lastname": "Nobody"}});
    assert_eq!(caller.post("accounts", broken).status, 400);
    assert!(caller.state.find("contacts", "lastname", "Nobody").is_none(), "a refused write leaves nothing behind");
}

#[test]
fn section_7_updates_are_conditional_and_an_unconditional_patch_is_an_upsert() {
    let mut caller = Caller::new();
    caller.state.advance(60);
    let before = caller.row("accounts", AHLGREN);
    let tag = format!("W/\"{}\"", before["versionnumber"]);
    let path = format!("/accounts({AHLGREN})");
    let body = json!({"name": "Ahlgren Marine Group AB", "primarycontactid": null});
    let response = caller.write("PATCH", &path, &[("If-Match", &tag)], body.clone());
    assert_eq!(
        (response.status, header(&response, "OData-EntityId")),
        (204, Some(format!("{ROOT}{API}{path}").as_str()))
    );
    let after = caller.row("accounts", AHLGREN);
    assert_eq!((&after["name"], after.get("_primarycontactid_value")), (&json!("Ahlgren Marine Group AB"), None));
    assert_eq!(after["_modifiedby_value"], json!(APPLICATION));
    assert!(after["modifiedon"].as_str() > before["modifiedon"].as_str());

    let stale = error(&caller.write("PATCH", &path, &[("If-Match", &tag)], body.clone()));
    let message = "The version of the existing record doesn't match the RowVersion property provided.";
    assert_eq!(stale, (412, "0x80060882".into(), message.into()));
    let gone = format!("account With Id = {NOBODY} Does Not Exist");
    let path = format!("/accounts({NOBODY})");
    for condition in ["*", &tag] {
        let refused = error(&caller.write("PATCH", &path, &[("If-Match", condition)], body.clone()));
        assert_eq!(refused, (404, "0x80040217".into(), gone.clone()));
    }
    assert_eq!(error(&caller.send("DELETE", &path, &[], "")), (404, "0x80040217".into(), gone));
    assert_eq!(caller.write("PATCH", &path, &[], body.clone()).status, 204);
    assert_eq!(caller.row("accounts", NOBODY)["name"], json!("Ahlgren Marine Group AB"), "the upsert created the row");
    let exists = error(&caller.write("PATCH", &path, &[("If-None-Match", "*")], body.clone()));
    assert_eq!(exists, (412, "".into(), "A record with matching key values already exists.".into()));
    assert_eq!(error(&caller.send("DELETE", &path, &[("If-Match", &tag)], "")).0, 412);
    assert_eq!(caller.send("DELETE", &path, &[], "").status, 204);
    assert_eq!(caller.write("PATCH", &path, &[("If-None-Match", "*")], body).status, 204);

    let path = format!("/accounts({BOE})");
    assert_eq!(caller.write("PUT", &format!("{path}/name"), &[], json!({"value": "Bøe AS"})).status, 204);
    assert_eq!(caller.send("DELETE", &format!("{path}/accountnumber"), &[], "").status, 204);
    let reference = json!({"@odata.id": format!("{ROOT}{API}/contacts({IDA})")});
    assert_eq!(caller.write("PUT", &format!("{path}/primarycontactid/$ref"), &[], reference).status, 204);
    let row = caller.row("accounts", BOE);
    assert_eq!(
        (&row["name"], row.get("accountnumber"), &row["_primarycontactid_value"]),
        (&json!("Bøe AS"), None, &json!(IDA))
    );
    assert_eq!(caller.send("DELETE", &format!("{path}/primarycontactid/$ref"), &[], "").status, 204);
    assert_eq!(caller.row("accounts", BOE).get("_primarycontactid_value"), None);
}

#[test]
fn sections_8_and_9_alternate_keys() {
    let mut caller = Caller::new();
    let path = "/accounts(accountnumber='C-1004')";
    let invalid = "The key in the request URI is not valid for resource 'Microsoft.Dynamics.CRM.account'. \
        Ensure that the names and number of \
                   key properties match the declared or alternate key properties for the resource \
                   'Microsoft.Dynamics.CRM.account'.";
    assert_eq!(
        error(&caller.send("GET", path, &[], "")),
        (400, "0x0".into(), invalid.into()),
        "no table has such a key by itself"
    );
    caller.state.add_key("account", "Account Number Key", &["accountnumber"]);

    let prefer = [("Prefer", "return=representation")];
    let upsert = |caller: &mut Caller| {
        caller.write("PATCH", &format!("{path}?$select=accountid"), &prefer, json!({"name": "Eide Rør AS"}))
    };
    let (created, updated) = (upsert(&mut caller), upsert(&mut caller));
    assert_eq!((created.status, updated.status), (201, 200));
    assert_eq!(parsed(&created).1["accountid"], parsed(&updated).1["accountid"]);
    assert_ne!(header(&created, "ETag"), header(&updated, "ETag"));
    let plain = caller.write("PATCH", path, &[], json!({"name": "Eide Rør", "accountnumber": "C-9999"}));
    assert_eq!((plain.status, header(&plain, "OData-EntityId")), (204, Some(format!("{ROOT}{API}{path}").as_str())));
    let (_, row) = caller.get(path);
    assert_eq!(
        (&row["name"], &row["accountnumber"]),
        (&json!("Eide Rør"), &json!("C-1004")),
        "the key cannot be renamed by itself"
    );

    let absent = "/accounts(accountnumber='C-7777')";
    assert_eq!(error(&caller.send("GET", absent, &[], "")).1, "0x80060891");
    assert_eq!(error(&caller.write("PATCH", absent, &[("If-Match", "*")], json!({}))).1, "0x80060891");
    for slashed in ["/accounts(accountnumber='C/1004')", "/accounts(accountnumber='C%2F1004')"] {
        assert!(matches!(caller.get(slashed).0, 400 | 404), "{slashed}");
    }
    let duplicate = error(&caller.post("accounts", json!({"name": "Another", "accountnumber": "c-1004"})));
    let message = "Entity Key Account Number Key violated. A record with the same value for Account Number \
        already exists. A duplicate record \
                   cannot be created. Select one or more unique values and try again.";
    assert_eq!(duplicate, (412, "0x80060892".into(), message.into()));
    let bind = json!({"parentaccountid@odata.bind": "/accounts(accountnumber='C-1004')"});
    assert_eq!(caller.patch("accounts", BOE, bind).status, 204);
    let (_, body) =
        caller.get("/EntityDefinitions(LogicalName='account')/Keys?$select=KeyAttributes,EntityKeyIndexStatus");
    assert_eq!(body["value"][0]["KeyAttributes"], json!(["accountnumber"]));
    assert_eq!(body["value"][0]["EntityKeyIndexStatus"], json!("Active"));
}

#[test]
fn section_9_bodies_are_refused_in_the_services_words() {
    let mut caller = Caller::new();
    let payload = "Error identified in Payload provided by the user for Entity :'contacts', For more \
        information on this error please follow this \
                   help link https://go.microsoft.com/fwlink/?linkid=2195293  ---->  InnerException : ";
    let undeclared = format!(
        "{payload}Microsoft.OData.ODataException: An undeclared property 'parentcustomerid' which only has \
            property annotations in the payload but \
         no property value was found in the payload. In OData, only declared navigation properties and declared \
         named streams can be represented \
         as properties without values."
    );
    let too_long = "A validation error occurred.  The length of the 'accountnumber' attribute of the 'account' \
        entity exceeded the maximum allowed \
                    length of '20'.";
    let outside = "A validation error occurred. The value 13 of 'customertypecode' on record of type 'account' \
        is outside the valid range. \
                   Accepted Values: 1,2,3,4,5,6,7,8,9,10,11,12";
    let reference =
        "CRM do not support direct update of Entity Reference properties, Use Navigation properties instead.";
    let bound = |set: &str, id: &str| json!(format!("/{set}({id})"));
    let cases = [
        ("accounts", json!({"accountnumber": "123456789012345678901"}), 400, "0x80044331", too_long.to_owned()),
        ("accounts", json!({"customertypecode": 13}), 400, "0x8004431a", outside.into()),
        (
            "accounts",
            json!({"Name": "x"}),
            400,
            "0x0",
            "…Invalid property 'Name' was found in entity 'Microsoft.Dynamics.CRM.account'".into(),
        ),
        (
            "accounts",
            json!({"creditlimit": "12.5"}),
            400,
            "0x80048d19",
            "…Cannot convert the literal '12.5' to the expected type 'Edm.Decimal'".into(),
        ),
        (
            "accounts",
            json!({"creditlimit": -1}),
            400,
            "0x80044330",
            "…'creditlimit' on record of type 'account' is outside the valid range.".into(),
        ),
        ("accounts", json!({"_primarycontactid_value": IDA}), 400, "0x80060888", reference.into()),
        (
            "accounts",
            json!({"primarycontactid@odata.bind": null}),
            400,
            "0x80048d19",
            "…annotation has a null value".into(),
        ),
        (
            "accounts",
            json!({"PrimaryContactId@odata.bind": bound("contacts", IDA)}),
            400,
            "0x80048d19",
            "…undeclared property 'PrimaryContactId'".into(),
        ),
        (
            "accounts",
            json!({"primarycontactid@odata.bind": bound("contacts", NOBODY)}),
            404,
            "0x80040217",
            format!("contact With Id = {NOBODY} Does Not Exist"),
        ),
        (
            "accounts",
            json!({"primarycontactid@odata.bind": bound("accounts", BOE)}),
            400,
            "0x80048d19",
            "…does not lead to 'Microsoft.Dynamics.CRM.contact'".into(),
        ),
        ("contacts", json!({"parentcustomerid@odata.bind": bound("accounts", BOE)}), 400, "0x80048d19", undeclared),
        ("contacts", json!({"parentcustomerid": null}), 400, "0x0", "…Invalid property 'parentcustomerid'".into()),
        (
            "contacts",
            json!({"fullname": "Ida Falk"}),
            400,
            "0x80040203",
            "The attribute 'fullname' of the 'contact' entity is not valid for update.".into(),
        ),
        ("contacts", json!({"lastname": null}), 400, "0x80040203", "Attribute 'lastname' cannot be NULL".into()),
        (
            "contacts",
            json!({"birthdate": "0001-01-01"}),
            400,
            "0x80040239",
            "…Actual value: 01/01/0001 00:00:00".into(),
        ),
        (
            "contacts",
            json!({"ownerid@odata.bind": bound("systemusers", GONE)}),
            403,
            "0x80040225",
            "…either disabled or is not a member".into(),
        ),
        (
            "contacts",
            json!({"modifiedon": "2026-01-01T00:00:00Z"}),
            400,
            "0x80040203",
            "…'modifiedon' of the 'contact' entity is not valid for update.".into(),
        ),
    ];
    for (set, body, status, code, message) in cases {
        let id = if set == "accounts" { AHLGREN } else { IDA };
        let before = caller.row(set, id);
        let (found_status, found_code, found) = error(&caller.patch(set, id, body.clone()));
        assert_eq!((found_status, found_code.as_str()), (status, code), "{body}: {found}");
        match message.strip_prefix('…') {
            Some(part) => assert!(found.contains(part), "{body}: {found}"),
            None => assert_eq!(found, message, "{body}"),
        }
        assert_eq!(caller.row(set, id), before, "{body} changed nothing");
    }
    let path = format!("/accounts({AHLGREN})");
    assert_eq!(error(&caller.send("PATCH", &path, &[], "{\"name\":\"x\"}")).1, "0x80048d19", "no content type");
    assert_eq!(caller.send("PATCH", &path, &[("Content-Type", "text/plain")], "{}").status, 415);
    assert_eq!(
        error(&caller.send("PATCH", &path, &[("Content-Type", "application/json")], "{\"name\":")).1,
        "0x80048d19"
    );
}

#[test]
fn lookups_are_bound_cleared_and_annotated() {
    let mut caller = Caller::new();
    let full = format!("{ROOT}{API}/accounts({BOE})");
    for reference in [format!("/accounts({BOE})"), format!("accounts({BOE})"), full] {
        assert_eq!(
            caller.patch("contacts", IDA, json!({"parentcustomerid_account@odata.bind": reference})).status,
            204,
            "{reference}"
        );
        assert_eq!(caller.row("contacts", IDA)["_parentcustomerid_value"], json!(BOE));
        assert_eq!(caller.patch("contacts", IDA, json!({"parentcustomerid_account": null})).status, 204);
        assert_eq!(caller.row("contacts", IDA).get("_parentcustomerid_value"), None);
    }
    assert_eq!(
        caller
            .patch("contacts", IDA, json!({"parentcustomerid_contact@odata.bind": format!("/contacts({IDA})")}))
            .status,
        204
    );
    let row = caller.row("contacts", IDA);
    assert_eq!(row["_parentcustomerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"], json!("contact"));
    assert_eq!(
        caller.patch("contacts", IDA, json!({"ownerid@odata.bind": format!("/systemusers({INGA})")})).status,
        204
    );
    let row = caller.row("contacts", IDA);
    assert_eq!((&row["_ownerid_value"], &row["_owninguser_value"]), (&json!(INGA), &json!(INGA)));
    let team = caller.state.records("teams")[0]["teamid"].as_str().unwrap().to_owned();
    assert_eq!(caller.patch("contacts", IDA, json!({"ownerid@odata.bind": format!("/teams({team})")})).status, 204);
    let row = caller.row("contacts", IDA);
    assert_eq!((&row["_owningteam_value"], row.get("_owninguser_value")), (&json!(team), None));
    assert_eq!(caller.get(&format!("/systemusers(systemuserid={INGA})")).0, 400, "users have no named primary key");
    assert_eq!(caller.get(&format!("/accounts(accountid={BOE})")).0, 200);
}

#[test]
fn section_10_a_batch_goes_on_or_stops_byte_for_byte() {
    let (a, b) = (format!("{API}/accounts({AHLGREN})"), format!("{ROOT}{API}/accounts({NOBODY})"));
    let falk = format!("{{\"lastname\":\"Falk\",\"parentcustomerid_account@odata.bind\":\"/accounts({AHLGREN})\"}}");
    let contacts = format!("{API}/contacts");
    let body = multipart(
        "batch_n0001",
        &[
            ("PATCH", &a, JSON_ANY, "{\"telephone1\":\"+47 11 22 33 44\"}"),
            ("PATCH", &b, JSON_ANY, "{\"telephone1\":\"+47 00 00 00 00\"}"),
            ("POST", &contacts, JSON, &falk),
        ],
    );
    let start = |boundary: &str| {
        format!(
            "--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: \
                binary\r\n\r\nHTTP/1.1 204 No Content\r\n\
             OData-Version: 4.0\r\nLocation: {ROOT}{a}\r\nOData-EntityId: {ROOT}{a}\r\n\r\n\r\n\
             --{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: \
             binary\r\n\r\nHTTP/1.1 404 Not Found\r\n\
             REQ_ID: …\r\nContent-Type: application/json; odata.metadata=minimal\r\nOData-Version: 4.0\r\n\r\n\
             {{\"error\":{{\"code\":\"0x80040217\",\"message\":\"account With Id = {NOBODY} Does Not Exist\"}}}}\r\n"
        )
    };

    let mut caller = Caller::new();
    let response = caller.batch(&body, &[("Prefer", "odata.continue-on-error")]);
    let boundary_on = boundary(&response, "batchresponse_");
    let falk = caller.state.find("contacts", "lastname", "Falk").expect("the third operation ran");
    let expected = start(&boundary_on)
        + &format!(
            "--{boundary_on}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: \
                binary\r\n\r\nHTTP/1.1 204 No Content\r\n\
             OData-Version: 4.0\r\nLocation: {ROOT}{API}/contacts({falk})\r\nOData-EntityId: \
             {ROOT}{API}/contacts({falk})\r\n\r\n\r\n\
             --{boundary_on}--\r\n"
        );
    assert_eq!((response.status, scrubbed(&String::from_utf8(response.body).unwrap())), (200, expected));
    assert_eq!(caller.row("accounts", AHLGREN)["telephone1"], json!("+47 11 22 33 44"));
    let log = caller.state.log();
    let log = log.lock().unwrap();
    let statuses: Vec<_> =
        log.writes().iter().map(|entry| (entry.method, entry.set.to_string(), entry.status)).collect();
    assert_eq!(
        statuses,
        [("PATCH", "accounts".to_owned(), 204), ("PATCH", "accounts".into(), 404), ("POST", "contacts".into(), 204)]
    );
    assert_eq!((log.counts().batches, log.writes()[2].id), (1, Some(falk)));

    let mut caller = Caller::new();
    let response = caller.batch(&body, &[]);
    let boundary = boundary(&response, "batchresponse_");
    let expected = start(&boundary) + &format!("--{boundary}--\r\n");
    assert_eq!((response.status, scrubbed(&String::from_utf8(response.body).unwrap())), (404, expected));
    assert!(caller.state.find("contacts", "lastname", "Falk").is_none(), "the third operation did not run");
    assert_eq!(caller.row("accounts", AHLGREN)["telephone1"], json!("+47 11 22 33 44"), "the first stays");
}

#[test]
fn section_10_a_change_set_holds_together() {
    let accounts = format!("{API}/accounts");
    let part = |text: &str| {
        format!(
            "--batch_n0001\r\nContent-Type: multipart/mixed; \
                boundary=\"changeset_y\"\r\n\r\n{text}\r\n--batch_n0001--\r\n"
        )
    };
    let headers: [&[&str]; 3] = [
        &["Content-ID: 1", "Content-Type: application/json"],
        &["Content-ID: 2", "Content-Type: application/json"],
        &["Content-ID: 3", "Content-Type: application/json", "If-Match: *"],
    ];
    let contacts = format!("{API}/contacts");
    let good = multipart(
        "changeset_y",
        &[
            ("POST", &accounts, headers[0], "{\"name\":\"Grønn Energi\"}"),
            ("POST", &contacts, headers[1], "{\"lastname\":\"Lie\",\"parentcustomerid_account@odata.bind\":\"$1\"}"),
            ("PATCH", "$1", headers[2], "{\"primarycontactid@odata.bind\":\"$2\"}"),
        ],
    );
    let mut caller = Caller::new();
    let response = caller.batch(&part(&good), &[]);
    let text = String::from_utf8(response.body).unwrap();
    assert_eq!((response.status, text.matches("HTTP/1.1 204 No Content").count()), (200, 3), "{text}");
    assert!(text.contains("boundary=changesetresponse_") && text.contains("Content-ID: 3\r\n"));
    let (account, contact) = (
        caller.state.find("accounts", "name", "Grønn Energi").unwrap(),
        caller.state.find("contacts", "lastname", "Lie").unwrap(),
    );
    assert_eq!(caller.row("accounts", &account.to_string())["_primarycontactid_value"], json!(contact.to_string()));
    assert_eq!(caller.row("contacts", &contact.to_string())["_parentcustomerid_value"], json!(account.to_string()));

    let bad = multipart(
        "changeset_y",
        &[
            ("POST", &accounts, headers[0], "{\"name\":\"Hav og Land\"}"),
            ("POST", &contacts, headers[1], "{\"lastname\":null}"),
            ("POST", &contacts, headers[2], "{\"lastname\":\"Moe\"}"),
        ],
    );
    for (headers, outer) in [(&[][..], 400), (&[("Prefer", "odata.continue-on-error")][..], 200)] {
        let response = caller.batch(&part(&bad), headers);
        let text = String::from_utf8(response.body).unwrap();
        assert_eq!(response.status, outer);
        assert_eq!((text.matches("HTTP/1.1 ").count(), text.matches("Content-ID: 2\r\n").count()), (1, 1), "{text}");
        for gone in
            [caller.state.find("accounts", "name", "Hav og Land"), caller.state.find("contacts", "lastname", "Moe")]
        {
            assert_eq!(gone, None, "the change set was rolled back");
        }
    }
    // The service has been seen to leave out the set around the error.
    caller.state.bare_change_set_errors = true;
    let text = String::from_utf8(caller.batch(&part(&bad), &[]).body).unwrap();
    assert_eq!((text.matches("HTTP/1.1 400").count(), text.matches("changesetresponse_").count()), (1, 0), "{text}");
    caller.state.bare_change_set_errors = false;
    let early = multipart(
        "changeset_y",
        &[("PATCH", "$1", headers[0], "{}"), ("POST", &accounts, headers[1], "{\"name\":\"x\"}")],
    );
    let text = String::from_utf8(caller.batch(&part(&early), &[]).body).unwrap();
    assert!(text.contains("Content-ID Reference: '$1' does not exist in the batch context."), "{text}");
    let log = caller.state.log();
    let failed = log.lock().unwrap().writes().iter().filter(|entry| entry.status >= 400).count();
    assert_eq!(failed, 7, "what was rolled back is no success in the log");
}

#[test]
fn section_10_a_batch_is_read_strictly() {
    let mut caller = Caller::new();
    let account = format!("{API}/accounts({AHLGREN})");
    let read = format!("{API}/accounts?$select=name&$filter=contains(name,'{}')", "n".repeat(40_000));
    let reads = multipart(
        "batch_n0001",
        &[("GET", &format!("{account}?$select=name"), &["Accept: application/json"], ""), ("GET", &read, &[], "")],
    );
    let response = caller.batch(&reads, &[]);
    let text = String::from_utf8(response.body).unwrap();
    assert_eq!(
        (response.status, text.matches("HTTP/1.1 200 OK").count()),
        (200, 2),
        "a GET in a batch may be longer: {text}"
    );
    assert!(text.contains("\"name\":\"Ahlgren Marine AB\""));

    let write = |headers: &[&str]| multipart("batch_n0001", &[("PATCH", &account, headers, "{\"fax\":\"1\"}")]);
    let good = write(JSON_ANY);
    let unquoted =
        caller.send("POST", "/$batch", &[("Content-Type", "multipart/mixed;boundary=batch_n0001")], good.clone());
    assert_eq!(unquoted.status, 200, "a boundary needs no quotes");
    let bare = caller.batch(&good.replace("\r\n", "\n"), &[]);
    let text = String::from_utf8(bare.body.clone()).unwrap();
    assert_eq!(bare.status, 400);
    boundary(&bare, "batchresponse_");
    assert!(
        text.contains("0x80048d19") && text.contains("System.ArgumentException: Stream was not readable."),
        "{text}"
    );
    let part_of = |text: String| text.matches("HTTP/1.1 400").count();
    for broken in [
        good.trim_end().to_owned(),
        good.replace("--batch_n0001--\r\n", ""),
        reads.replace("HTTP/1.1\r\nAccept: application/json\r\n\r\n", "HTTP/1.1\r\nAccept: application/json\r\n"),
    ] {
        let response = caller.batch(&broken, &[]);
        assert_eq!((response.status, part_of(String::from_utf8(response.body).unwrap())), (400, 1), "{broken}");
    }
    for (refused, status) in [
        (good.replace("application/http", "application/json"), 400),
        (good.replace("Transfer-Encoding: binary", "Transfer-Encoding: base64"), 400),
        (good.replace(API, "/accounts"), 400),
        (good.replace(&account, &format!("{API}/$batch")), 400),
    ] {
        let response = caller.batch(&refused, &[]);
        assert_eq!(
            (response.status, header(&response, "content-type")),
            (status, Some("application/json; odata.metadata=minimal"))
        );
    }
    let bare_part = caller.batch(&write(&["If-Match: *"]), &[]);
    assert!(String::from_utf8(bare_part.body).unwrap().contains("A missing or empty content type header"));
    assert_eq!(
        caller.send("POST", "/$batch", &[("Content-Type", "application/json")], "{\"requests\":[]}").status,
        415
    );

    let many =
        |count: usize| multipart("batch_n0001", &vec![("PATCH", account.as_str(), JSON_ANY, "{\"fax\":\"2\"}"); count]);
    let response = caller.batch(&many(1000), &[]);
    assert_eq!(
        (response.status, String::from_utf8(response.body).unwrap().matches("HTTP/1.1 204").count()),
        (200, 1000)
    );
    let version = caller.row("accounts", AHLGREN)["versionnumber"].clone();
    assert_eq!(
        error(&caller.batch(&many(1001), &[])),
        (400, "0x80040203".into(), "The batch has 1001 operations; at most 1000 are allowed.".into())
    );
    assert_eq!(caller.row("accounts", AHLGREN)["versionnumber"], version, "nothing of it ran");
}

#[test]
fn products_units_currencies_and_prices_keep_the_business_rules() {
    let mut caller = Caller::new();
    let product = |number: &str| {
        json!({"productnumber": number, "name": "Kabel", "defaultuomid@odata.bind": format!("/uoms({PCS})"),
            "defaultuomscheduleid@odata.bind": format!("/uomschedules({PCS_GROUP})"), "quantitydecimal": 2,
            "price": 12.345})
    };
    let with = |mut body: Value, name: &str, value: Value| {
        body[name] = value;
        body
    };
    let without = |mut body: Value, name: &str| {
        body.as_object_mut().unwrap().remove(name);
        body
    };
    let list = json!(format!("/pricelevels({LIST})"));
    let line = json!({"amount": 5, "pricelevelid@odata.bind": list,
        "productid@odata.bind": format!("/products({CABLE})"), "uomid@odata.bind": format!("/uoms({PCS})")});
    let currency = json!({"isocurrencycode": "SEK", "currencyname": "Krona", "currencysymbol": "kr",
        "currencyprecision": 2, "exchangerate": 14.1});
    let creates = [
        ("products", product("KAB-10"), 400, "0x8004f973"),
        ("products", product("kab-10 "), 400, "0x8004f973"),
        ("products", without(product("K1"), "productnumber"), 400, "0x80043b05"),
        ("products", without(product("K1"), "name"), 400, "0x80040203"),
        ("products", without(product("K1"), "defaultuomid@odata.bind"), 400, "0x80043b0d"),
        ("products", without(product("K1"), "defaultuomscheduleid@odata.bind"), 400, "0x80043b0a"),
        ("products", with(product("K1"), "defaultuomid@odata.bind", json!(format!("/uoms({BOX})"))), 400, "0x80043b16"),
        ("products", with(product("K1"), "pricelevelid@odata.bind", list.clone()), 400, "0x80040203"),
        ("products", with(product("K1"), "statecode", json!(1)), 204, "no error"),
        ("productpricelevels", line.clone(), 400, "0x80043b08"),
        ("productpricelevels", without(line.clone(), "pricelevelid@odata.bind"), 400, "0x80043b12"),
        ("productpricelevels", without(line.clone(), "productid@odata.bind"), 400, "0x80043b11"),
        ("productpricelevels", without(line.clone(), "uomid@odata.bind"), 400, "0x80043b0d"),
        (
            "productpricelevels",
            with(line.clone(), "uomid@odata.bind", json!(format!("/uoms({BOX})"))),
            400,
            "0x80043b14",
        ),
        (
            "productpricelevels",
            with(line.clone(), "transactioncurrencyid@odata.bind", json!(format!("/transactioncurrencies({NOK})"))),
            400,
            "0x80040203",
        ),
        ("transactioncurrencies", with(currency.clone(), "isocurrencycode", json!("nok")), 400, "0x80048cf3"),
        ("transactioncurrencies", with(currency.clone(), "exchangerate", json!(0)), 400, "0x80044330"),
        ("transactioncurrencies", without(currency.clone(), "currencysymbol"), 400, "0x80040203"),
        ("transactioncurrencies", currency, 204, "no error"),
        ("uomschedules", json!({"name": "NAV KG"}), 400, "0x80043810"),
        ("uomschedules", json!({"name": "NAV KG", "baseuomname": "KG"}), 204, "no error"),
        (
            "uoms",
            json!({"name": "DOZEN", "quantity": 12, "uomscheduleid@odata.bind": format!("/uomschedules({PCS_GROUP})")}),
            400,
            "0x80043b1c",
        ),
        (
            "uoms",
            json!({"name": "DOZEN", "quantity": 12, "uomscheduleid@odata.bind": format!("/uomschedules({PCS_GROUP})"),
                "baseuom@odata.bind": format!("/uoms({BOX})")}),
            400,
            "0x80043b0b",
        ),
        ("pricelevels", json!({"description": "no name"}), 400, "0x80043b0e"),
        ("pricelevels", json!({"name": "Spring", "begindate": "2026-03-01"}), 400, "0x80040203"),
        (
            "pricelevels",
            json!({"name": "Spring", "begindate": "2026-03-01",
                "transactioncurrencyid@odata.bind": format!("/transactioncurrencies({GBP})")}),
            204,
            "no error",
        ),
        ("accounts", json!({"accountnumber": "C-1"}), 400, "0x80040203"),
        ("contacts", json!({"firstname": "Eva"}), 400, "0x80040203"),
        // A creation passes over the state, so a status of another one is no status of it.
        ("accounts", json!({"name": "x", "statecode": 1, "statuscode": 2}), 400, "0x80048408"),
        ("accounts", json!({"name": "x", "statecode": 7}), 400, "0x8004431a"),
        ("accounts", json!({"name": "passed over", "statecode": 1}), 204, "no error"),
        ("accounts", json!({"name": "x", "statecode": 1, "statuscode": 1}), 204, "no error"),
        ("accounts", json!({"name": "x", "statuscode": 2}), 400, "0x80048408"),
    ];
    for (set, body, status, code) in creates {
        let (found_status, found_code, message) = error(&caller.post(set, body.clone()));
        assert_eq!((found_status, found_code.as_str()), (status, code), "{set} {body}: {message}");
    }
    let passed_over = caller.state.find("accounts", "name", "passed over").unwrap().to_string();
    assert_eq!(caller.row("accounts", &passed_over)["statecode"], json!(0));
    let group = caller.state.find("uomschedules", "name", "NAV KG").unwrap();
    let unit = caller.state.find("uoms", "name", "KG").expect("a group makes its base unit");
    let unit = caller.row("uoms", &unit.to_string());
    assert_eq!(
        (&unit["_uomscheduleid_value"], &unit["isschedulebaseuom"], unit["quantity"].to_string()),
        (&json!(group.to_string()), &json!(true), "1.0000000000".into())
    );
    let created = caller.state.find("products", "productnumber", "K1").unwrap().to_string();
    let row = caller.row("products", &created);
    assert_eq!(
        (row["price"].to_string(), &row["statecode"], &row["_transactioncurrencyid_value"]),
        ("12.3500".into(), &json!(0), &json!(GBP))
    );
    let row = caller.row("productpricelevels", LINE);
    assert_eq!(
        (&row["productnumber"], &row["_uomscheduleid_value"], &row["_transactioncurrencyid_value"]),
        (&json!("KAB-10"), &json!(PCS_GROUP), &json!(GBP))
    );

    let updates = [
        ("products", CABLE, json!({"productnumber": "K1"}), 400, "0x8004f973"),
        ("products", CABLE, json!({"productnumber": null}), 400, "0x80043b05"),
        ("products", CABLE, json!({"defaultuomid@odata.bind": format!("/uoms({BOX})")}), 400, "0x80043b16"),
        (
            "products",
            CABLE,
            json!({"defaultuomid@odata.bind": format!("/uoms({BOX})"),
                "defaultuomscheduleid@odata.bind": format!("/uomschedules({BOX_GROUP})")}),
            400,
            "0x80040203",
        ),
        ("products", CABLE, json!({"pricelevelid@odata.bind": list}), 204, "no error"),
        ("products", CABLE, json!({"statecode": 1, "statuscode": 1}), 400, "0x80048408"),
        ("products", CABLE, json!({"statecode": 2}), 400, "0x80048408"),
        ("products", CABLE, json!({"statecode": 1, "statuscode": 2}), 204, "no error"),
        ("products", CABLE, json!({"statecode": 0}), 204, "no error"),
        ("products", CABLE, json!({"productnumber": "KAB-11"}), 204, "no error"),
        ("productpricelevels", LINE, json!({"pricelevelid@odata.bind": list}), 400, "0x80040203"),
        ("productpricelevels", LINE, json!({"productnumber": "X"}), 400, "0x80040203"),
        ("productpricelevels", LINE, json!({"amount": 130.004}), 204, "no error"),
        ("transactioncurrencies", GBP, json!({"exchangerate": 2}), 400, "0x80048cf5"),
        ("transactioncurrencies", GBP, json!({"statecode": 1}), 400, "0x80048cf4"),
        ("transactioncurrencies", NOK, json!({"exchangerate": 13.5}), 204, "no error"),
        ("uomschedules", PCS_GROUP, json!({"baseuomname": "EA"}), 400, "0x80040203"),
        ("uoms", PCS, json!({"quantity": 2}), 400, "0x80043b18"),
        ("accounts", AHLGREN, json!({"statecode": 1, "statuscode": 2}), 204, "no error"),
        ("accounts", AHLGREN, json!({"statuscode": 1}), 400, "0x80048408"),
        ("accounts", AHLGREN, json!({"statecode": 0}), 204, "no error"),
        (
            "accounts",
            AHLGREN,
            json!({"transactioncurrencyid@odata.bind": format!("/transactioncurrencies({JPY})"), "creditlimit": 99.5}),
            204,
            "no error",
        ),
        ("contacts", IDA, json!({"middlename": "Marie"}), 204, "no error"),
    ];
    for (set, id, body, status, code) in updates {
        let (found_status, found_code, message) = error(&caller.patch(set, id, body.clone()));
        assert_eq!((found_status, found_code.as_str()), (status, code), "{set} {body}: {message}");
    }
    assert_eq!(
        caller.row("productpricelevels", LINE)["productnumber"],
        json!("KAB-11"),
        "the line's number is the product's"
    );
    assert_eq!(caller.row("productpricelevels", LINE)["amount"].to_string(), "130.0000");
    assert_eq!(caller.row("accounts", AHLGREN)["creditlimit"].to_string(), "100.0000", "yen have no decimals");
    assert_eq!(caller.row("contacts", IDA)["fullname"], json!("Ida Marie Sørli"));
    let states = caller.row("accounts", AHLGREN);
    assert_eq!(
        (&states["statecode"], &states["statuscode"]),
        (&json!(0), &json!(1)),
        "a state alone brings its status"
    );
}

#[test]
fn a_product_may_start_as_a_draft_and_is_then_published() {
    let mut caller = Caller::new();
    caller.state.products_start_active = false;
    let body = json!({"productnumber": "K2", "name": "Kabel", "defaultuomid@odata.bind": format!("/uoms({PCS})"),
        "defaultuomscheduleid@odata.bind": format!("/uomschedules({PCS_GROUP})")});
    assert_eq!(caller.post("products", body).status, 204);
    let id = caller.state.find("products", "productnumber", "K2").unwrap().to_string();
    let row = caller.row("products", &id);
    assert_eq!((&row["statecode"], &row["statuscode"]), (&json!(2), &json!(0)));
    assert_eq!(error(&caller.patch("products", &id, json!({"statecode": 0, "statuscode": 1}))).1, "0x80048408");
    let path = format!("/products({id})/Microsoft.Dynamics.CRM.PublishProductHierarchy");
    assert_eq!(caller.write("POST", &path, &[], json!({})).status, 204);
    assert_eq!(caller.row("products", &id)["statecode"], json!(0));
    assert_eq!(caller.write("POST", &path, &[], json!({})).status, 400);
}

#[test]
fn deleting_follows_the_lookups() {
    let mut caller = Caller::new();
    caller.state.advance(5);
    assert_eq!(
        caller
            .patch(
                "accounts",
                AHLGREN,
                json!({"transactioncurrencyid@odata.bind": format!("/transactioncurrencies({NOK})")})
            )
            .status,
        204
    );
    let refused = [
        (format!("/transactioncurrencies({GBP})"), 400, "0x80048cff"),
        (format!("/transactioncurrencies({NOK})"), 405, "0x80040227"),
        (format!("/uoms({PCS})"), 400, "0x80043b03"),
        (format!("/uomschedules({PCS_GROUP})"), 405, "0x80040227"),
        (format!("/systemusers({INGA})"), 405, "0x80040800"),
    ];
    for (path, status, code) in refused {
        let (found_status, found_code, message) = error(&caller.send("DELETE", &path, &[], ""));
        assert_eq!((found_status, found_code.as_str()), (status, code), "{path}: {message}");
    }
    let before = caller.row("contacts", IDA);
    assert_eq!(caller.send("DELETE", &format!("/accounts({AHLGREN})"), &[], "").status, 204);
    let contact = caller.row("contacts", IDA);
    assert_eq!(contact.get("_parentcustomerid_value"), None, "the account's contacts stay, unlinked");
    assert_ne!(contact["versionnumber"], before["versionnumber"]);
    assert_eq!(caller.send("DELETE", &format!("/transactioncurrencies({NOK})"), &[], "").status, 204);
    assert_eq!(caller.send("DELETE", &format!("/uomschedules({BOX_GROUP})"), &[], "").status, 204);
    assert_eq!(caller.state.find("uoms", "name", "BOX"), None, "a group takes its units along");
    assert_eq!(caller.send("DELETE", &format!("/products({CABLE})"), &[], "").status, 204);
    assert_eq!(caller.state.count("productpricelevels"), 0, "a product takes its price lines along");
}

#[test]
fn metadata_tells_what_writes_then_meet() {
    let mut caller = Caller::new();
    let path = "/EntityDefinitions?$filter=EntitySetName eq 'accounts'&$select=LogicalName,PrimaryIdAttribute&\
                $expand=Attributes($select=LogicalName,AttributeType,IsValidForCreate;$filter=LogicalName eq \
                'name'),ManyToOneRelationships($select=ReferencingAttribute)";
    let (status, body) = caller.get(&path.replace(' ', "%20"));
    assert_eq!((status, body["value"].as_array().map(Vec::len)), (200, Some(1)), "{body}");
    let account = &body["value"][0];
    assert_eq!(
        (&account["LogicalName"], &account["PrimaryIdAttribute"], account.get("SchemaName")),
        (&json!("account"), &json!("accountid"), None)
    );
    let select = "ReferencingAttribute,ReferencingEntityNavigationPropertyName,ReferencedEntity";
    let path = format!("/EntityDefinitions(LogicalName='contact')/ManyToOneRelationships?$select={select}");
    let (_, body) = caller.get(&path);
    let relations: Vec<_> = body["value"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|relation| relation["ReferencingAttribute"] == "parentcustomerid")
        .map(|relation| {
            (
                relation["ReferencingEntityNavigationPropertyName"].as_str().unwrap(),
                relation["ReferencedEntity"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(relations, [("parentcustomerid_account", "account"), ("parentcustomerid_contact", "contact")]);

    let cast = |kind: &str, select: &str| {
        format!(
            "/EntityDefinitions(LogicalName='account')/Attributes/Microsoft.Dynamics.CRM.{kind}AttributeMetadata\
             ?$select={select}"
        )
    };
    let mut find = |kind: &str, select: &str, name: &str| {
        let (status, body) = caller.get(&cast(kind, select));
        assert_eq!(status, 200, "{body}");
        let mut found = body["value"].as_array().unwrap().iter();
        found.find(|attribute| attribute["LogicalName"] == name).unwrap_or_else(|| panic!("{kind} {name}")).clone()
    };
    assert_eq!(find("String", "LogicalName,MaxLength", "accountnumber")["MaxLength"], json!(20));
    let money = find("Money", "LogicalName,Precision,MinValue,MaxValue", "creditlimit");
    assert_eq!((&money["Precision"], money["MaxValue"].to_string()), (&json!(2), "100000000000000".into()));
    assert_eq!(find("Lookup", "LogicalName,Targets", "ownerid")["Targets"], json!(["systemuser", "team"]));
    assert_eq!(caller.get(&cast("String", "LogicalName,Precision")).0, 400, "text has no precision");

    let path = "/EntityDefinitions(LogicalName='account')/Attributes/Microsoft.Dynamics.CRM.PicklistAttributeMetadata\
                ?$select=LogicalName&$expand=OptionSet";
    let (_, body) = caller.get(path);
    let mut attributes = body["value"].as_array().unwrap().iter();
    let terms = attributes.find(|attribute| attribute["LogicalName"] == "paymenttermscode").unwrap();
    let options: Vec<_> = terms["OptionSet"]["Options"]
        .as_array()
        .unwrap()
        .iter()
        .map(|option| {
            (option["Value"].as_i64().unwrap(), option["Label"]["UserLocalizedLabel"]["Label"].as_str().unwrap())
        })
        .collect();
    assert_eq!(options, [(1, "Net 30"), (2, "2% 10, Net 30"), (3, "Net 45"), (4, "Net 60")]);
    let path = "/EntityDefinitions(LogicalName='product')/Attributes(LogicalName='statuscode')/\
                Microsoft.Dynamics.CRM.StatusAttributeMetadata?$select=LogicalName&$expand=OptionSet";
    let (_, body) = caller.get(path);
    assert_eq!(body["OptionSet"]["Options"][0]["State"], json!(2));
    assert_eq!(caller.get("/EntityDefinitions(LogicalName='nothing')").0, 404);
    assert_eq!(caller.get("/EntityDefinitions(LogicalName='account')?$select=Nothing").0, 400);

    // Whatever the metadata calls writable is accepted, whatever it does not is refused.
    for (set, table, id) in
        [("accounts", "account", AHLGREN), ("contacts", "contact", IDA), ("products", "product", CABLE)]
    {
        let select = "LogicalName,AttributeType,IsValidForUpdate,IsPrimaryId";
        let (_, body) = caller.get(&format!("/EntityDefinitions(LogicalName='{table}')/Attributes?$select={select}"));
        for attribute in body["value"].as_array().unwrap() {
            let name = attribute["LogicalName"].as_str().unwrap();
            let value = match attribute["AttributeType"].as_str().unwrap() {
                "Lookup" | "Owner" | "Customer" => continue,
                _ if attribute["IsPrimaryId"] == json!(true) => continue,
                _ => caller.row(set, id).get(name).cloned().unwrap_or(Value::Null),
            };
            let (status, _, message) = error(&caller.patch(set, id, json!({name: value})));
            let expected = if attribute["IsValidForUpdate"] == json!(true) { 204 } else { 400 };
            assert_eq!(status, expected, "{table}.{name}: {message}");
        }
    }
    let (status, body) = caller.get("/");
    assert!(status == 200 && body["value"].as_array().unwrap().iter().any(|set| set["name"] == "uomschedules"));
    let document = caller.send("GET", "/$metadata", &[("Accept", "application/xml")], "");
    let text = String::from_utf8(document.body).unwrap();
    assert!(
        text.contains("<Property Name=\"accountnumber\" Type=\"Edm.String\" MaxLength=\"20\" Unicode=\"true\" />"),
        "{text}"
    );
    assert_eq!(
        header(&Response { headers: document.headers, ..Response::default() }, "content-type"),
        Some("application/xml")
    );
}

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

#[test]
fn a_large_table_is_read_page_by_page_without_loss() {
    let mut state = State::default();
    let row = |number: u128| {
        json!({"accountid": Uuid::from_u128(number).to_string(), "name": format!("Firm \
        {}", number % 97)})
    };
    state.load("accounts", rows((1..=6001).map(row).collect()));
    let mut caller = Caller::of(state);
    let (_, body) = caller.get("/accounts?$select=name&$count=true");
    assert_eq!((body["value"].as_array().unwrap().len(), body["@odata.count"].as_u64()), (5000, Some(5000)));
    for query in [
        "/accounts?$select=name",
        "/accounts?$select=name&$orderby=name desc",
        "/accounts?$select=name&$filter=name ne 'Firm 3'",
    ] {
        let (mut target, mut seen, mut pages) = (query.to_owned(), Vec::new(), 0);
        loop {
            let (status, body) = parsed(&caller.send("GET", &target, &[("Prefer", "odata.maxpagesize=700")], ""));
            assert_eq!(status, 200);
            seen.extend(
                body["value"].as_array().unwrap().iter().map(|row| row["accountid"].as_str().unwrap().to_owned()),
            );
            pages += 1;
            match body["@odata.nextLink"].as_str() {
                Some(link) => target = link.strip_prefix(&format!("{ROOT}{API}")).unwrap().to_owned(),
                None => break,
            }
        }
        let expected = if query.contains("filter") { 6001 - 62 } else { 6001 };
        let distinct: std::collections::HashSet<_> = seen.iter().collect();
        assert_eq!((seen.len(), distinct.len(), pages), (expected, expected, 9), "{query}");
    }
}

#[test]
fn section_12_throttling_stale_etags_and_half_batches() {
    let mut caller = Caller::new();
    let response = caller.state.throttled(Some(17));
    assert_eq!(
        (header(&response, "Retry-After"), header(&response, "x-ms-ratelimit-burst-remaining-xrm-requests")),
        (Some("17"), Some("0"))
    );
    let message = "Number of requests exceeded the limit of 6000 over time window of 300 seconds.";
    assert_eq!(error(&response), (429, "0x80072322".into(), message.into()));
    assert_eq!(header(&caller.state.throttled(None), "Retry-After"), None);

    let patch = |target: &str| Request { method: "PATCH".into(), target: target.into(), ..Request::default() };
    let before = caller.row("accounts", BOE);
    caller.state.touch(&patch(&format!("{API}/accounts({BOE})")));
    let after = caller.row("accounts", BOE);
    assert_ne!(
        (&before["versionnumber"], before.get("description")),
        (&after["versionnumber"], after.get("description"))
    );
    assert_eq!(after["_modifiedby_value"], json!(INGA));

    let account = format!("{API}/accounts({AHLGREN})");
    let operations: Vec<_> = ["1", "2", "3"].map(|fax| format!("{{\"fax\":\"{fax}\"}}")).into();
    let operations: Vec<_> =
        operations.iter().map(|body| ("PATCH", account.as_str(), JSON_ANY, body.as_str())).collect();
    let headers = vec![("Content-Type".to_owned(), "multipart/mixed; boundary=batch_n0001".to_owned())];
    let body = multipart("batch_n0001", &operations).into_bytes();
    let whole = Request { method: "POST".into(), target: format!("{API}/$batch"), headers, body };
    let half = caller.state.half(&whole);
    let response = caller.batch(&String::from_utf8(half.body).unwrap(), &[]);
    assert_eq!(String::from_utf8(response.body).unwrap().matches("HTTP/1.1 204").count(), 2);
    assert_eq!(caller.row("accounts", AHLGREN)["fax"], json!("2"));
    caller.state.touch(&whole);
    assert!(caller.row("accounts", AHLGREN).contains_key("description"), "the first row that a batch changes");
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

#[test]
fn a_content_id_stands_once_in_a_batch() {
    let mut caller = Caller::new();
    let url = format!("{API}/accounts({AHLGREN})");
    let change = |id: &'static str| -> [&str; 3] { [id, "Content-Type: application/json", "If-Match: *"] };
    let batch = |ids: [&'static str; 2]| {
        let sets = ids.map(|id| {
            let set = multipart("set", &[("PATCH", &url, &change(id), r#"{"telephone1":"9"}"#)]);
            format!("--batch_n0001\r\nContent-Type: multipart/mixed; boundary=set\r\n\r\n{set}\r\n")
        });
        format!("{}--batch_n0001--\r\n", sets.concat())
    };
    let (status, code, message) = error(&caller.batch(&batch(["Content-ID: 1", "Content-ID: 1"]), &[]));
    assert_eq!((status, code.as_str()), (400, "0x80048d19"), "{message}");
    assert_eq!(caller.row("accounts", AHLGREN).get("telephone1"), None);
    assert_eq!(caller.batch(&batch(["Content-ID: 1", "Content-ID: 2"]), &[]).status, 200);
    assert_eq!(caller.row("accounts", AHLGREN)["telephone1"], json!("9"));
}

#[test]
fn a_bulk_change_names_the_records_that_nobody_has() {
    let mut caller = Caller::new();
    let target =
        |id: &str| json!({"@odata.type": "Microsoft.Dynamics.CRM.account", "accountid": id, "telephone1": "9"});
    let nobody = "a0000000-0000-4000-8000-0000000000ff";
    let path = "/accounts/Microsoft.Dynamics.CRM.UpdateMultiple";
    let answer = caller.write("POST", path, &[], json!({"Targets": [target(AHLGREN), target(nobody)]}));
    let message = format!("account With Ids = {nobody} Do Not Exist");
    assert_eq!(error(&answer), (404, "0x80040217".to_owned(), message));
    assert_eq!(caller.row("accounts", AHLGREN).get("telephone1"), None, "nothing is written");
}

#[test]
fn a_property_stands_once_in_a_body_and_the_metadata_is_xml() {
    let mut caller = Caller::new();
    let headers = [("Content-Type", "application/json"), ("If-Match", "*")];
    let twice = r#"{"telephone1":"1","telephone1":"2"}"#;
    let (status, code, message) = error(&caller.send("PATCH", &format!("/accounts({AHLGREN})"), &headers, twice));
    assert_eq!((status, code.as_str()), (400, "0x80048d19"));
    assert!(message.contains("'telephone1'"), "{message}");
    assert_eq!(caller.send("GET", "/$metadata", &[("Accept", "application/json")], "").status, 415);
    for accepted in ["application/xml", "*/*"] {
        assert_eq!(caller.send("GET", "/$metadata", &[("Accept", accepted)], "").status, 200, "{accepted}");
    }
}

#[test]
fn a_change_token_is_for_the_columns_that_it_was_given_for() {
    let mut caller = Caller::new();
    let (_, first) =
        parsed(&caller.send("GET", "/accounts?$select=name,accountnumber", &[("Prefer", "odata.track-changes")], ""));
    let link = first["@odata.deltaLink"].as_str().unwrap().strip_prefix(&format!("{ROOT}{API}")).unwrap().to_owned();
    assert_eq!(caller.get(&link).0, 200);
    assert_eq!(caller.get(&link.replace("name,accountnumber", "accountnumber,name")).0, 200);
    for other in ["name", "name,telephone1", "name,accountnumber,telephone1"] {
        let answer = caller.send("GET", &link.replace("name,accountnumber", other), &[], "");
        assert_eq!((error(&answer).0, error(&answer).1.as_str()), (400, "0x80060888"), "{other}");
    }
    let token = link.split("$deltatoken=").nth(1).unwrap();
    assert_eq!(caller.get(&format!("/contacts?$select=lastname&$deltatoken={token}")).0, 400);
    // What the link leads on to is for the same columns.
    let next = caller.get(&link).1["@odata.deltaLink"].as_str().unwrap().to_owned();
    let next = next.strip_prefix(&format!("{ROOT}{API}")).unwrap();
    assert_eq!(caller.get(next).0, 200);
    assert_eq!(caller.send("GET", &next.replace("name,accountnumber", "name"), &[], "").status, 400);
}
