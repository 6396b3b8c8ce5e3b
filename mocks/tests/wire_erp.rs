//! The ERP fake on the wire, section by section of the wire examples: token, reading, writing, batch, throttling.
//!
//! Most tests speak to the state directly; the last ones go over HTTP, where the faults are.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use mocks::erp::{Erp, Options, State};
use mocks::fault::{Fault, Faults, Faulty};
use mocks::service::{Request, Response, Service};
use serde_json::{Map, Value, json};
use uuid::Uuid;

const ROOT: &str = "/v2.0/northbrook.example/Production/api/v2.0";
const CUSTOM: &str = "/v2.0/northbrook.example/Production/api/contoso/crm/v1.0";
const COMPANY: &str = "companies(5b1e0c52-7a44-ef11-8e52-6045bd2b1a01)";
const BASE: &str = "http://erp.example";
const AHLGREN: &str = "e1000000-0000-4000-8000-000000000001";
const BOE: &str = "e1000000-0000-4000-8000-000000000002";
const NOBODY: &str = "e1000000-0000-4000-8000-0000000000ff";
const ZERO: &str = "00000000-0000-0000-0000-000000000000";

fn rows(value: Value) -> Vec<Map<String, Value>> {
    value.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect()
}

fn seeded() -> State {
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

struct Caller {
    state: State,
    token: String,
}

impl Caller {
    fn new() -> Self {
        Self::of(seeded())
    }

    fn of(mut state: State) -> Self {
        let response = state.answer(&token_request(&state.tokens.client_secret.clone()));
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        let token = body["access_token"].as_str().unwrap().to_string();
        Self { state, token }
    }

    fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
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

    fn get(&mut self, tail: &str) -> Answer {
        self.send("GET", &format!("{ROOT}/{COMPANY}/{tail}"), &[], None)
    }

    /// Reads from the custom API.
    fn custom(&mut self, tail: &str) -> Answer {
        self.send("GET", &format!("{CUSTOM}/{COMPANY}/{tail}"), &[], None)
    }

    fn custom_post(&mut self, set: &str, body: Value) -> Answer {
        self.send("POST", &format!("{CUSTOM}/{COMPANY}/{set}"), &[], Some(body))
    }

    fn custom_patch(&mut self, record: &str, etag: &str, body: Value) -> Answer {
        self.send("PATCH", &format!("{CUSTOM}/{COMPANY}/{record}"), &[("If-Match", etag)], Some(body))
    }

    fn post(&mut self, set: &str, body: Value) -> Answer {
        self.send("POST", &format!("{ROOT}/{COMPANY}/{set}"), &[], Some(body))
    }

    fn patch(&mut self, record: &str, etag: &str, body: Value) -> Answer {
        self.send("PATCH", &format!("{ROOT}/{COMPANY}/{record}"), &[("If-Match", etag)], Some(body))
    }

    fn batch(&mut self, headers: &[(&str, &str)], requests: Value) -> Answer {
        self.send("POST", &format!("{ROOT}/$batch"), headers, Some(json!({"requests": requests})))
    }
}

struct Answer(Response);

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.0.body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&self.0.body)))
    }

    /// Returns status, code and message, the message without its correlation id, whose shape is checked.
    fn refusal(&self) -> (u16, String, String) {
        let body = self.json();
        let message = body["error"]["message"].as_str().unwrap().to_string();
        let (message, tail) = message.rsplit_once("  CorrelationId:  ").expect("a message has a correlation id");
        assert!(tail.strip_suffix('.').is_some_and(|id| id.parse::<Uuid>().is_ok()), "{tail}");
        (self.0.status, body["error"]["code"].as_str().unwrap().to_string(), message.to_string())
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Returns one property of all rows.
    fn column(&self, name: &str) -> Vec<String> {
        let rows = self.json()["value"].as_array().cloned().unwrap_or_else(|| panic!("{}", self.json()));
        rows.iter().map(|row| row[name].as_str().map_or_else(|| row[name].to_string(), str::to_string)).collect()
    }
}

fn token_request(secret: &str) -> Request {
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

// Sections 1 and 2: tokens.

#[test]
fn a_wrong_secret_gets_no_token() {
    let mut state = seeded();
    let answer = Answer(state.answer(&token_request("wrong")));
    let body = answer.json();
    assert_eq!((answer.0.status, body["error"].as_str()), (401, Some("invalid_client")));
    assert!(body["error_description"].as_str().unwrap().starts_with("AADSTS7000215: Invalid client secret provided. "));
    assert_eq!(state.log().lock().unwrap().counts().tokens, 1);
}

#[test]
fn without_a_good_token_nothing_is_told() {
    let mut caller = Caller::new();
    assert_eq!(caller.get("customers").0.status, 200);
    caller.state.expire_tokens();
    let expected = (
        401,
        "Authentication_InvalidCredentials".to_string(),
        "The server has rejected the client credentials.".to_string(),
    );
    assert_eq!(caller.get("customers").refusal(), expected);
    caller.token = "made.up".into();
    assert_eq!(caller.get("nowhere").refusal(), expected);
    let mut caller = Caller::new();
    caller.state.permitted = false;
    assert_eq!(caller.get("customers").refusal().0, 403);
}

// Section 13: reading.

#[test]
fn pages_follow_the_opaque_link() {
    let mut caller = Caller::new();
    let options = "$select=id,number,displayName,currencyId,currencyCode,blocked";
    let target = format!("{ROOT}/{COMPANY}/customers?{options}");
    let prefer = [("Prefer", "odata.maxpagesize=2"), ("Data-Access-Intent", "ReadOnly")];
    let first = caller.send("GET", &target, &prefer, None);
    assert_eq!(first.header("preference-applied"), Some("odata.maxpagesize=2"));
    assert_eq!(first.header("content-type"), Some("application/json; odata.metadata=minimal; odata.streaming=true"));
    let body = first.json();
    assert_eq!(body["@odata.context"], format!("{BASE}{ROOT}/$metadata#{COMPANY}/customers"));
    let mut row = body["value"][0].clone();
    let etag = row.as_object_mut().unwrap().shift_remove("@odata.etag").unwrap();
    assert!(etag.as_str().unwrap().starts_with("W/\"Jz") && etag.as_str().unwrap().ends_with('"'));
    assert_eq!(
        row.to_string(),
        json!({"id": AHLGREN, "number": "1001", "displayName": "Ahlgren Marine AB", "currencyId": ZERO,
               "currencyCode": "EUR", "blocked": "_x0020_"})
        .to_string()
    );
    assert_eq!(body["value"][1]["currencyId"], "e9000000-0000-4000-8000-000000000001");

    let link = body["@odata.nextLink"].as_str().unwrap().strip_prefix(BASE).unwrap().to_string();
    assert!(link.starts_with(&format!("{target}&$skiptoken=")), "{link}");
    let second = caller.send("GET", &link, &prefer, None);
    assert_eq!(second.column("number"), ["1003"]);
    assert_eq!(second.json().get("@odata.nextLink"), None);

    let decoded = mocks::filter::decode(&link, false);
    for broken in
        [decoded, link.replace("$skiptoken", "%24skiptoken"), format!("{link}0"), link.replace("id,number", "number")]
    {
        assert_ne!(broken, link);
        assert_eq!(caller.send("GET", &broken, &prefer, None).refusal().0, 400, "{broken}");
    }
}

#[test]
fn pages_neither_lose_nor_double_rows_that_stay() {
    let mut caller = Caller::new();
    let more: Vec<Value> =
        (0..20).map(|n| json!({"number": format!("2{n:03}"), "displayName": format!("Name {}", n % 3)})).collect();
    caller.state.load("customers", rows(Value::Array(more)));
    for options in
        ["$orderby=displayName desc,number", "$top=17", "$filter=startswith(displayName,'Name')&$orderby=displayName"]
    {
        let mut target =
            format!("{ROOT}/{COMPANY}/customers?$select=number,displayName&{}", options.replace(' ', "%20"));
        let whole = caller.send("GET", &target, &[], None).column("number");
        let mut seen = Vec::new();
        loop {
            let page = caller.send("GET", &target, &[("Prefer", "odata.maxpagesize=4")], None);
            seen.extend(page.column("number"));
            // A row that was seen goes; the others must not move.
            if seen.len() == 8 {
                let id = caller.state.find("customers", "number", &seen[7]).unwrap();
                caller.state.delete("customers", id).unwrap();
            }
            match page.json().get("@odata.nextLink") {
                Some(link) => target = link.as_str().unwrap().strip_prefix(BASE).unwrap().to_string(),
                None => break,
            }
        }
        assert_eq!(seen, whole, "{options}");
    }
}

#[test]
fn a_page_is_never_longer_than_the_service_allows() {
    let mut caller = Caller::new();
    caller.state.page_max = 2;
    let answer =
        caller.send("GET", &format!("{ROOT}/{COMPANY}/customers"), &[("Prefer", "odata.maxpagesize=50")], None);
    assert_eq!(answer.column("number"), ["1001", "1002"]);
    assert!(answer.json()["@odata.nextLink"].is_string());
}

#[test]
fn filters_find_what_they_say() {
    let mut caller = Caller::new();
    let both = ["1001", "1002"].as_slice();
    let all = ["1001", "1002", "1003"].as_slice();
    let ids = format!("id eq {BOE} or id eq {NOBODY} or id eq {AHLGREN}");
    let in_ids = format!("id in ({AHLGREN},{BOE})");
    let cases: &[(&str, &[&str])] = &[
        (&ids, both),
        // The operator is ignored, not refused.
        (&in_ids, all),
        ("lines/any(l:l/amount gt 5)", all),
        ("displayName eq 'Ćirić Metal'", &[]),
        ("tolower(displayName) eq 'ĆIRIĆ metal'", &["1003"]),
        ("number ge '1002' and blocked ne 'All'", &["1003"]),
        ("not (blocked eq 'All')", &["1001", "1003"]),
        ("creditLimit gt 25000.5", &[]),
        ("creditLimit eq 25000.50", &["1001"]),
        ("0 lt creditLimit", &["1001"]),
        ("contains(displayName,'& S')", &["1002"]),
        ("endswith(displayName,'METAL')", &["1003"]),
        ("currencyCode eq 'nok'", &["1002"]),
        ("city eq null", &["1002", "1003"]),
        ("taxLiable eq false", all),
        ("lastModifiedDateTime lt 2026-01-31T21:55:00.000Z", &[]),
        ("lastModifiedDateTime ge 0001-01-01T00:00:00Z", all),
    ];
    for (text, numbers) in cases {
        let target = format!("customers?$select=number&$filter={}", mocks::filter::encode(text));
        assert_eq!(caller.get(&target).column("number"), *numbers, "{text}");
    }
    let target = format!("customers?$schemaversion=2.1&$filter={}", mocks::filter::encode(&in_ids));
    assert_eq!(caller.get(&target).column("number"), both);
    let counted = caller.get("customers?$count=true&$top=1&$filter=blocked%20eq%20'_x0020_'").json();
    assert_eq!((counted["@odata.count"].as_u64(), counted["value"].as_array().unwrap().len()), (Some(2), 1));
}

#[test]
fn what_reads_wrongly_is_refused() {
    let mut caller = Caller::new();
    let or = "An error occurred while processing this request.  The 'OR' operator is not supported on distinct fields \
              on an OData filter.";
    let name = "Could not find a property named 'Name' on type 'Microsoft.NAV.customer'.";
    let cases = [
        ("customers?$filter=number eq '1001' or displayName eq 'x'", 400, "BadRequest", or),
        ("customers?$select=Name", 400, "BadRequest", name),
        ("customers?$filter=Name eq 'x'", 400, "BadRequest", name),
        ("customers?$orderby=Name", 400, "BadRequest", name),
        ("customers?$expand=Name", 400, "BadRequest", name),
        ("customers?$filter=blocked eq ' '", 400, "BadRequest", "incompatible types"),
        ("customers?$filter=id eq 'x'", 400, "BadRequest", "incompatible types"),
        ("customers?$filter=number eq", 400, "BadRequest", "Syntax error"),
        ("customers?$filter=contains(tolower(displayName),'x')", 400, "BadRequest", "Nested functions"),
        ("customers?$search=x", 400, "BadRequest", "$search"),
        ("customers?$top=x", 400, "BadRequest", "$top"),
        (
            "customers?$filter=number eq '123456789012345678901'",
            400,
            "Application_FilterErrorException",
            "length of the string is 21",
        ),
        ("Customers", 404, "BadRequest_ResourceNotFound", "Resource not found for the segment 'Customers'."),
        ("resources", 404, "BadRequest_ResourceNotFound", "Resource not found for the segment 'resources'."),
        ("customers('1001')", 404, "BadRequest_NotFound", "Bad Request - Error in query syntax."),
        ("customers(e1000000-0000-4000-8000-0000000000ff)", 404, "BadRequest_NotFound", "Bad Request"),
    ];
    for (tail, status, code, message) in cases {
        let refusal = caller.get(&tail.replace(' ', "%20")).refusal();
        assert_eq!((refusal.0, refusal.1.as_str()), (status, code), "{tail}");
        assert!(refusal.2.contains(message), "{tail}: {}", refusal.2);
    }
    let target = format!("{ROOT}/companies({NOBODY})/customers");
    let refusal = caller.send("GET", &target, &[], None).refusal();
    assert_eq!((refusal.0, refusal.1.as_str()), (404, "Internal_CompanyNotFound"));
}

#[test]
fn related_records_come_with_expand() {
    let mut caller = Caller::new();
    let tail = "customers?$select=number&$expand=paymentTerm($select=code,displayName),currency($select=code)";
    let body = caller.get(tail).json();
    let term = &body["value"][0]["paymentTerm"];
    assert_eq!(
        (term["code"].as_str(), term["displayName"].as_str(), term.get("id")),
        (Some("30D"), Some("Net 30 days"), None)
    );
    assert_eq!(body["value"][0]["currency"], Value::Null);
    assert_eq!(body["value"][1]["currency"]["code"], "NOK");
}

#[test]
fn companies_and_metadata_are_served() {
    let mut caller = Caller::new();
    let companies = caller.send("GET", &format!("{ROOT}/companies"), &[], None);
    assert_eq!(companies.column("name"), ["CRONUS International Ltd."]);
    for (filter, found) in [
        ("name eq 'CRONUS International Ltd.'", 1),
        ("name eq 'Nobody'", 0),
        ("id eq 5b1e0c52-7a44-ef11-8e52-6045bd2b1a01", 1),
        ("(id eq e1000000-0000-4000-8000-0000000000ff) and (name ne 'Nobody')", 0),
    ] {
        let target = format!("{ROOT}/companies?$filter={}", filter.replace(' ', "%20"));
        let companies = caller.send("GET", &target, &[], None).column("name");
        assert_eq!(companies.len(), found, "{filter}");
    }
    let one = caller.send("GET", &format!("{ROOT}/{COMPANY}"), &[], None).json();
    assert_eq!(one["id"], "5b1e0c52-7a44-ef11-8e52-6045bd2b1a01");
    let standard = caller.send("GET", &format!("{ROOT}/$metadata"), &[], None);
    let text = String::from_utf8(standard.0.body.clone()).unwrap();
    for part in [
        r#"<EntityType Name="customer"><Key><PropertyRef Name="id" /></Key>"#,
        r#"<Property Name="displayName" Type="Edm.String" MaxLength="100" />"#,
        r#"<Property Name="id" Type="Edm.Guid" Nullable="false" />"#,
        r#"<Property Name="creditLimit" Type="Edm.Decimal" Scale="Variable" />"#,
        r#"<Member Name="Non_x002D_Inventory" Value="2" />"#,
        r#"<NavigationProperty Name="paymentTerm" Type="Microsoft.NAV.paymentTerm">"#,
        r#"<EntitySet Name="salespeoplePurchasers" EntityType="Microsoft.NAV.salespersonPurchaser" />"#,
    ] {
        assert!(text.contains(part), "{part}");
    }
    assert!(!text.contains("Name=\"resources\""));
    let custom = caller.send("GET", &format!("{CUSTOM}/$metadata"), &[], None);
    let text = String::from_utf8(custom.0.body.clone()).unwrap();
    assert!(text.contains("<EntityType Name=\"resource\">") && !text.contains("Name=\"customers\""));
}

// Section 14: creating.

#[test]
fn a_record_is_made_whole_and_once() {
    let mut caller = Caller::new();
    let body = json!({"number": " d-1 ", "displayName": "Dahl Elektro  ", "type": "Company", "blocked": "_x0020_"});
    let made = caller.post("customers", body.clone());
    let row = made.json();
    assert_eq!(made.0.status, 201);
    let id = row["id"].as_str().unwrap().to_string();
    assert_eq!(made.header("location"), Some(format!("{BASE}{ROOT}/{COMPANY}/customers({id})").as_str()));
    assert_eq!(row["@odata.context"], format!("{BASE}{ROOT}/$metadata#{COMPANY}/customers/$entity"));
    for (name, value) in [
        ("number", json!("D-1")),
        ("displayName", json!("Dahl Elektro")),
        ("addressLine1", json!("")),
        ("currencyId", json!(ZERO)),
        ("currencyCode", json!("EUR")),
        ("creditLimit", json!(0)),
        ("taxLiable", json!(false)),
    ] {
        assert_eq!(row[name], value, "{name}");
    }
    let again = caller.post("customers", body).refusal();
    let message = "The record in table Customer already exists. Identification fields and values: No.='D-1'";
    assert_eq!(again, (400, "Internal_EntityWithSameKeyExists".into(), message.into()));
}

#[test]
fn an_own_id_is_honoured_once() {
    let mut caller = Caller::new();
    let body = json!({"id": NOBODY, "displayName": "Eide Rør AS"});
    let row = caller.post("customers", body.clone()).json();
    assert_eq!((row["id"].as_str(), row["number"].as_str()), (Some(NOBODY), Some("C00010")));
    let refusal = caller.post("customers", body).refusal();
    assert_eq!((refusal.0, refusal.1.as_str()), (400, "Internal_EntityWithSameKeyExists"));
    assert_eq!(caller.state.count("customers"), 4);
    let next = caller.post("customers", json!({"number": "", "displayName": "Falk"})).json();
    assert_eq!(next["number"], "C00020", "the refused insert took no number");
}

#[test]
fn what_cannot_be_stored_is_refused_and_leaves_nothing() {
    let mut caller = Caller::new();
    let before = ["customers", "contacts", "items"].map(|set| caller.state.records(set));
    let long = "x".repeat(101);
    let salesperson = "The field Salesperson Code of table Customer contains a value (XX) that cannot be found in the \
                       related table (Salesperson/Purchaser).";
    let cases = [
        (
            "customers",
            json!({"number": "10000000000000000000003", "displayName": "x"}),
            400,
            "Application_StringExceededLength",
            "The length of the string is 23, but it must be less than or equal to 20 characters. Value: 10000000000000000000003",
        ),
        (
            "customers",
            json!({"displayName": long}),
            400,
            "Application_StringExceededLength",
            "The length of the string is 101",
        ),
        (
            "customers",
            json!({"displayName": "x", "salespersonCode": "xx"}),
            400,
            "Internal_InvalidTableRelation",
            salesperson,
        ),
        (
            "customers",
            json!({"displayName": "x", "currencyCode": "XXX"}),
            400,
            "Internal_InvalidTableRelation",
            "(Currency)",
        ),
        (
            "customers",
            json!({"displayName": "x", "paymentTermsId": NOBODY}),
            400,
            "Internal_InvalidTableRelation",
            "(Payment Terms)",
        ),
        ("customers", json!({"displayName": "x", "balanceDue": 1}), 400, "BadRequest_InvalidOperation", "is read-only"),
        (
            "customers",
            json!({"displayName": "x", "lastModifiedDateTime": "2026-01-01T00:00:00Z"}),
            400,
            "BadRequest_InvalidOperation",
            "Control 'Last Date Modified' is read-only",
        ),
        (
            "customers",
            json!({"name": "x"}),
            400,
            "BadRequest",
            "The property 'name' does not exist on type 'Microsoft.NAV.customer'. Make sure to only use property names that \
          are defined by the type.",
        ),
        ("customers", json!({"displayName": 5}), 400, "BadRequest", "Edm.String"),
        ("customers", json!({"displayName": "x", "creditLimit": "5"}), 400, "BadRequest", "Edm.Decimal"),
        ("customers", json!({"displayName": "x", "taxLiable": "true"}), 400, "BadRequest", "Edm.Boolean"),
        (
            "customers",
            json!({"displayName": "x", "blocked": " "}),
            400,
            "RequestDataInvalid",
            "Request data is invalid.",
        ),
        ("customers", json!({"city": "Oslo"}), 400, "Application_DialogException", "displayName"),
        (
            "contacts",
            json!({"displayName": "x", "companyNumber": "CT000002"}),
            400,
            "Internal_InvalidTableRelation",
            "(CT000002)",
        ),
        (
            "items",
            json!({"displayName": "x", "baseUnitOfMeasureCode": "KG"}),
            400,
            "Internal_InvalidTableRelation",
            "(Unit of Measure)",
        ),
        (
            "items",
            json!({"displayName": "x", "type": "Non-Inventory"}),
            400,
            "RequestDataInvalid",
            "Request data is invalid.",
        ),
        (
            "currencies",
            json!({"code": "", "displayName": "x"}),
            400,
            "BadRequest_RequiredParamNotProvided",
            "Field 'Code' must not be blank or empty.",
        ),
    ];
    for (set, body, status, code, message) in cases {
        let refusal = caller.post(set, body.clone()).refusal();
        assert_eq!((refusal.0, refusal.1.as_str()), (status, code), "{body}");
        assert!(refusal.2.contains(message), "{body}: {}", refusal.2);
    }
    assert_eq!(["customers", "contacts", "items"].map(|set| caller.state.records(set)), before);
}

#[test]
fn codes_and_ids_of_a_relation_stay_together() {
    let mut caller = Caller::new();
    let sek = caller.state.find("currencies", "code", "SEK").unwrap().to_string();
    let cases = [
        (json!({"currencyCode": "sek"}), "SEK", sek.as_str()),
        (json!({"currencyId": "e9000000-0000-4000-8000-000000000001"}), "NOK", "e9000000-0000-4000-8000-000000000001"),
        // The later one wins.
        (json!({"currencyCode": "NOK", "currencyId": sek}), "SEK", sek.as_str()),
        (json!({"currencyCode": "EUR"}), "EUR", ZERO),
        (json!({"currencyCode": "SEK"}), "SEK", sek.as_str()),
        (json!({"currencyCode": null}), "EUR", ZERO),
        (json!({"currencyCode": "NOK", "currencyId": ZERO}), "EUR", ZERO),
    ];
    for (body, code, id) in cases {
        let row = caller.patch(&format!("customers({AHLGREN})"), "*", body.clone()).json();
        assert_eq!((row["currencyCode"].as_str(), row["currencyId"].as_str()), (Some(code), Some(id)), "{body}");
    }
    let item = caller
        .post("items", json!({"displayName": "Kabel", "baseUnitOfMeasureCode": "pcs", "unitPrice": 129.50}))
        .json();
    let unit = caller.state.find("unitsOfMeasure", "code", "PCS").unwrap();
    assert_eq!(item["baseUnitOfMeasureId"], unit.to_string());
    assert_eq!(item["unitPrice"].to_string(), "129.5");
}

#[test]
fn renaming_carries_to_what_points_there() {
    let mut caller = Caller::new();
    let nok = "currencies(e9000000-0000-4000-8000-000000000001)";
    let before = caller.get(&format!("customers({BOE})")).json();
    assert_eq!(caller.patch(nok, "*", json!({"code": "NKR"})).0.status, 200);
    let after = caller.get(&format!("customers({BOE})")).json();
    assert_eq!((after["currencyCode"].as_str(), &after["currencyId"]), (Some("NKR"), &before["currencyId"]));
    assert_ne!(after["@odata.etag"], before["@odata.etag"]);
    let refusal = caller.patch(nok, "*", json!({"code": "SEK"})).refusal();
    assert_eq!(refusal.1, "Internal_EntityWithSameKeyExists");
}

#[test]
fn a_customer_keeps_its_company_contact() {
    let mut caller = Caller::new();
    let body = json!({"displayName": "Dahl Elektro", "addressLine1": "Havnegata 1", "email": "post@dahl.example"});
    let customer = caller.post("customers", body).json();
    let tail = "contacts?$filter=displayName%20eq%20'Dahl%20Elektro'";
    let contact = caller.get(tail).json()["value"][0].clone();
    for (name, value) in [
        ("number", "CT000005"),
        ("type", "Company"),
        ("companyNumber", "CT000005"),
        ("contactBusinessRelation", "Customer"),
        ("addressLine1", "Havnegata 1"),
        ("email", "post@dahl.example"),
    ] {
        assert_eq!(contact[name], value, "{name}");
    }
    let person = caller
        .post("contacts", json!({"type": "Person", "displayName": "Ola Dahl", "companyNumber": "CT000005"}))
        .json();
    assert_eq!((person["companyName"].as_str(), person["number"].as_str()), (Some("Dahl Elektro"), Some("CT000006")));

    let record = format!("customers({})", customer["id"].as_str().unwrap());
    caller.patch(&record, "*", json!({"displayName": "Dahl Gruppen", "phoneNumber": "+47 555 01 010"}));
    let renamed = caller.get(&format!("contacts({})", contact["id"].as_str().unwrap())).json();
    assert_eq!(
        (renamed["displayName"].as_str(), renamed["phoneNumber"].as_str()),
        (Some("Dahl Gruppen"), Some("+47 555 01 010"))
    );
    assert!(renamed["lastModifiedDateTime"].as_str() > contact["lastModifiedDateTime"].as_str());
    let person = caller.get(&format!("contacts({})", person["id"].as_str().unwrap())).json();
    assert_eq!(person["companyName"], "Dahl Gruppen");
    let credit = caller.patch(&record, "*", json!({"creditLimit": 5})).json();
    let untouched = caller.get(&format!("contacts({})", contact["id"].as_str().unwrap())).json();
    assert_eq!((credit["creditLimit"].as_u64(), &untouched), (Some(5), &renamed));
}

#[test]
fn a_loaded_customer_has_the_company_contact_that_it_names() {
    let mut caller = Caller::new();
    caller.patch(&format!("customers({AHLGREN})"), "*", json!({"displayName": "Ahlgren Group AB"}));
    let contact = caller.state.find("contacts", "number", "CT000001").unwrap();
    assert_eq!(caller.state.record("contacts", contact).unwrap()["displayName"], "Ahlgren Group AB");
    let mut values = Map::new();
    values.insert("phoneNumber".into(), "555-0100".into());
    caller.state.edit("contacts", contact, &values).unwrap();
    let customer = caller.state.record("customers", AHLGREN.parse().unwrap()).unwrap();
    assert_eq!(customer["phoneNumber"], "555-0100", "a change of the contact goes back to the customer");
}

// Section 15: changing and deleting.

#[test]
fn a_change_needs_the_current_etag() {
    let mut caller = Caller::new();
    let record = format!("customers({AHLGREN})");
    let target = format!("{ROOT}/{COMPANY}/{record}");
    let body = json!({"displayName": "Ahlgren Marine Group AB"});
    let missing = "Could not validate the client concurrency token required by the service. Please provide a valid token \
                   in the client request.";
    let expected = (400, "BadRequest_InvalidToken".to_string(), missing.to_string());
    assert_eq!(caller.send("PATCH", &target, &[], Some(body.clone())).refusal(), expected);
    assert_eq!(caller.patch(&record, "\"JzIw\"", body.clone()).refusal(), expected);

    let before = caller.get(&record).json();
    let etag = before["@odata.etag"].as_str().unwrap().to_string();
    let changed = caller.patch(&record, &etag, body.clone());
    let after = changed.json();
    assert_eq!((changed.0.status, after["displayName"].as_str()), (200, Some("Ahlgren Marine Group AB")));
    assert_ne!(after["@odata.etag"], before["@odata.etag"]);
    assert!(after["lastModifiedDateTime"].as_str() > before["lastModifiedDateTime"].as_str());
    let stamp = after["lastModifiedDateTime"].as_str().unwrap();
    assert_eq!((stamp.len(), stamp.ends_with('Z')), ("2026-01-31T22:01:07.113Z".len(), true));

    let stale = (409, "Request_EntityChanged".to_string(), "Another user has already changed the record.".to_string());
    assert_eq!(caller.patch(&record, &etag, body.clone()).refusal(), stale);
    assert_eq!(caller.send("DELETE", &target, &[("If-Match", &etag)], None).refusal(), stale);
    assert_eq!(caller.patch(&record, "*", json!({"phoneNumber": null})).0.status, 200);
    assert_eq!(caller.patch(&format!("customers({NOBODY})"), "*", body.clone()).refusal().0, 404);
    assert_eq!(caller.patch(&record, "*", json!({"id": BOE})).refusal().1, "BadRequest_InvalidOperation");
    assert_eq!(caller.patch(&record, "*", json!({"displayName": ""})).refusal().1, "Application_DialogException");

    let read_only = [("If-Match", "*"), ("Data-Access-Intent", "ReadOnly")];
    assert_eq!(caller.send("PATCH", &target, &read_only, Some(body)).refusal().0, 400);
    let text = [("If-Match", "*"), ("content-type", "text/plain")];
    assert_eq!(caller.send("PATCH", &target, &text, None).refusal().0, 415);

    assert_eq!(caller.send("DELETE", &target, &[("If-Match", "*")], None).0.status, 204);
    assert_eq!(caller.send("DELETE", &target, &[], None).refusal().0, 404);
}

#[test]
fn verbs_that_a_resource_has_not_are_refused() {
    let mut caller = Caller::new();
    let message = "'PATCH' requests for 'customers' of EdmType 'Collection' are not allowed within Dynamics 365 Business \
                   Central OData web services.";
    let refusal = caller.patch("customers", "*", json!({})).refusal();
    assert_eq!(refusal, (405, "BadRequest_MethodNotAllowed".into(), message.into()));
    for (method, tail) in [("PUT", format!("customers({AHLGREN})")), ("POST", format!("customers({AHLGREN})"))] {
        let answer = caller.send(method, &format!("{ROOT}/{COMPANY}/{tail}"), &[], Some(json!({})));
        assert_eq!(answer.refusal().0, 405, "{method} {tail}");
    }
    assert_eq!(caller.send("DELETE", &format!("{ROOT}/{COMPANY}"), &[], None).refusal().0, 405);
    assert_eq!(caller.send("GET", &format!("{ROOT}/$batch"), &[], None).refusal().0, 405);
}

#[test]
fn the_custom_page_is_under_its_own_api() {
    let mut caller = Caller::new();
    let body = json!({"name": "Fitter", "type": "Person", "baseUnitOfMeasure": "box", "unitPrice": 75.25});
    let row = caller.custom_post("resources", body).json();
    assert_eq!((row["number"].as_str(), row["baseUnitOfMeasure"].as_str()), (Some("R0010"), Some("BOX")));
    let since = row["systemModifiedAt"].as_str().unwrap();
    let answer = caller.custom(&format!("resources?$filter=systemModifiedAt%20ge%20{since}"));
    assert_eq!(answer.column("name"), ["Fitter"]);
    let names: Vec<&str> =
        row.as_object().unwrap().keys().map(String::as_str).filter(|n| !n.starts_with('@')).collect();
    let shown =
        "id number type name baseUnitOfMeasure unitPrice unitCost vendorNumber capacity blocked systemModifiedAt";
    assert_eq!(names.join(" "), shown);
    let record = format!("resources({})", row["id"].as_str().unwrap());
    let refusal = caller.custom_patch(&record, "*", json!({"baseUnitOfMeasure": "DAY"})).refusal();
    assert_eq!(refusal.1, "Internal_InvalidTableRelation");
    assert_eq!(caller.custom_patch(&record, "*", json!({"capacity": 8})).refusal().1, "BadRequest_InvalidOperation");
}

// The custom page of contacts: the table of the standard page, with names in parts and the customer.

/// The columns of a record, joined.
fn shown(record: &Value, names: &str) -> String {
    let text = |name: &str| record[name].as_str().unwrap_or_else(|| panic!("{name}: {record}")).to_string();
    names.split(' ').map(text).collect::<Vec<_>>().join("|")
}

const NAMES: &str = "firstName middleName surname displayName";

#[test]
fn two_pages_show_one_contact() {
    let mut caller = Caller::new();
    let body = json!({"id": NOBODY, "type": "Person", "firstName": "Lars Erik", "surname": "Dahl", "customerNumber": "1001",
                      "jobTitle": "Buyer", "email": "lars@ahlgren.example"});
    let made = caller.custom_post("contacts", body.clone());
    let record = format!("contacts({NOBODY})");
    assert_eq!(made.0.status, 201);
    assert_eq!(made.header("location"), Some(format!("{BASE}{CUSTOM}/{COMPANY}/{record}").as_str()));
    let custom = made.json();
    assert_eq!(custom["@odata.context"], format!("{BASE}{CUSTOM}/$metadata#{COMPANY}/contacts/$entity"));
    let names: Vec<&str> =
        custom.as_object().unwrap().keys().map(String::as_str).filter(|n| !n.starts_with('@')).collect();
    assert_eq!(
        names.join(" "),
        "id number type firstName middleName surname displayName jobTitle companyNumber customerNumber addressLine1 \
         addressLine2 city state country postalCode phoneNumber mobilePhoneNumber email website systemModifiedAt"
    );
    assert_eq!(shown(&custom, NAMES), "Lars Erik||Dahl|Lars Erik Dahl");
    assert_eq!(shown(&custom, "number companyNumber customerNumber"), "CT000005|CT000001|1001");

    let standard = caller.get(&record).json();
    assert_eq!(standard["@odata.etag"], custom["@odata.etag"]);
    assert_eq!(standard["lastModifiedDateTime"], custom["systemModifiedAt"]);
    assert_eq!(
        shown(&standard, "number displayName companyNumber companyName contactBusinessRelation"),
        "CT000005|Lars Erik Dahl|CT000001|Ahlgren Marine AB|Customer"
    );
    for hidden in ["firstName", "middleName", "surname", "customerNumber", "systemModifiedAt"] {
        assert_eq!(standard.get(hidden), None, "{hidden}");
    }

    // A change through the one page makes what the other page read stale.
    let etag = custom["@odata.etag"].as_str().unwrap();
    let changed = caller.patch(&record, etag, json!({"displayName": "Lars Erik Dahl"})).json();
    assert!(changed["lastModifiedDateTime"].as_str() > custom["systemModifiedAt"].as_str());
    assert_eq!(caller.custom_patch(&record, etag, json!({"city": "Bergen"})).refusal().1, "Request_EntityChanged");
    let after = caller.custom(&record).json();
    assert_eq!(
        (&after["@odata.etag"], &after["systemModifiedAt"]),
        (&changed["@odata.etag"], &changed["lastModifiedDateTime"])
    );
    assert_eq!(shown(&after, NAMES), "Lars|Erik|Dahl|Lars Erik Dahl");

    assert_eq!(caller.custom_post("contacts", body).refusal().1, "Internal_EntityWithSameKeyExists");
    let target = format!("{CUSTOM}/{COMPANY}/{record}");
    assert_eq!(caller.send("DELETE", &target, &[("If-Match", "*")], None).0.status, 204);
    assert_eq!(caller.get(&record).refusal().0, 404);
    let log = caller.state.log();
    let log = log.lock().unwrap();
    let last = log.writes().pop().unwrap();
    assert_eq!(
        (last.method, &*last.set, last.id, last.status),
        ("DELETE", "contacts", Some(NOBODY.parse().unwrap()), 204)
    );
}

#[test]
fn a_persons_name_follows_its_parts_and_they_the_name() {
    let mut caller = Caller::new();
    let id = caller.state.find("contacts", "number", "CT000002").unwrap();
    let record = format!("contacts({id})");
    assert_eq!(shown(&caller.custom(&record).json(), NAMES), "Ida||Sørli|Ida Sørli", "a loaded name is broken up");
    let cases = [
        (
            true,
            json!({"firstName": "Ida", "middleName": "Marie", "surname": "Sørli"}),
            "Ida|Marie|Sørli|Ida Marie Sørli",
        ),
        (true, json!({"middleName": null}), "Ida||Sørli|Ida Sørli"),
        (
            true,
            json!({"firstName": "Anna Maria  ", "surname": "van der Berg"}),
            "Anna Maria||van der Berg|Anna Maria van der Berg",
        ),
        (true, json!({"surname": ""}), "Anna Maria|||Anna Maria"),
        (true, json!({"firstName": "", "middleName": "", "surname": ""}), "|||"),
        (true, json!({"surname": "Dahl"}), "||Dahl|Dahl"),
        (true, json!({"type": "Person"}), "||Dahl|Dahl"),
        (false, json!({"displayName": "Dahl"}), "Dahl|||Dahl"),
        (false, json!({"displayName": "Eva Dahl"}), "Eva||Dahl|Eva Dahl"),
        (false, json!({"displayName": "Eva Lund Dahl"}), "Eva|Lund|Dahl|Eva Lund Dahl"),
        (false, json!({"displayName": "Anna Maria van der Berg"}), "Anna Maria van|der|Berg|Anna Maria van der Berg"),
        (false, json!({"displayName": ""}), "|||"),
        (false, json!({"jobTitle": "Buyer"}), "|||"),
    ];
    for (custom, body, expected) in cases {
        let answer = match custom {
            true => caller.custom_patch(&record, "*", body.clone()),
            false => caller.patch(&record, "*", body.clone()),
        };
        assert_eq!(answer.0.status, 200, "{body}");
        let after = caller.custom(&record).json();
        assert_eq!(shown(&after, NAMES), expected, "{body}");
        assert_eq!(caller.get(&record).json()["displayName"], after["displayName"], "{body}");
    }
}

#[test]
fn a_new_contacts_name_does_not_depend_on_where_the_type_comes() {
    let mut caller = Caller::new();
    let cases = [
        (
            true,
            json!({"type": "Person", "firstName": "Anna Maria", "surname": "Berg"}),
            "Anna Maria||Berg|Anna Maria Berg",
        ),
        (
            true,
            json!({"firstName": "Anna Maria", "surname": "Berg", "type": "Person"}),
            "Anna Maria||Berg|Anna Maria Berg",
        ),
        (false, json!({"type": "Person", "displayName": "Eva Dahl"}), "Eva||Dahl|Eva Dahl"),
        (false, json!({"displayName": "Eva Dahl", "type": "Person"}), "Eva||Dahl|Eva Dahl"),
        (false, json!({"displayName": "Eva Dahl"}), "|||Eva Dahl"),
        (false, json!({"displayName": "Eva Dahl", "type": "Company"}), "|||Eva Dahl"),
    ];
    for (custom, body, expected) in cases {
        let made = match custom {
            true => caller.custom_post("contacts", body.clone()),
            false => caller.post("contacts", body.clone()),
        };
        let record = format!("contacts({})", made.json()["id"].as_str().unwrap());
        assert_eq!(shown(&caller.custom(&record).json(), NAMES), expected, "{body}");
    }
}

#[test]
fn the_customer_of_a_contact_is_that_of_its_company() {
    let mut caller = Caller::new();
    let id = caller.state.find("contacts", "number", "CT000002").unwrap();
    let record = format!("contacts({id})");
    let company = caller.post("contacts", json!({"type": "Company", "displayName": "Nobody's Ltd."})).json();
    let company = company["number"].as_str().unwrap().to_string();
    let cases = [
        (true, json!({"customerNumber": "1002"}), "CT000003|1002"),
        (true, json!({"customerNumber": ""}), "|"),
        (true, json!({"customerNumber": " 1001 "}), "CT000001|1001"),
        (false, json!({"companyNumber": company}), &*format!("{company}|")),
        (true, json!({"customerNumber": "1001"}), "CT000001|1001"),
        (true, json!({"customerNumber": null}), "|"),
        (false, json!({"companyNumber": "CT000003"}), "CT000003|1002"),
    ];
    for (custom, body, expected) in cases {
        let answer = match custom {
            true => caller.custom_patch(&record, "*", body.clone()),
            false => caller.patch(&record, "*", body.clone()),
        };
        assert_eq!(answer.0.status, 200, "{body}");
        assert_eq!(shown(&caller.custom(&record).json(), "companyNumber customerNumber"), expected, "{body}");
    }
    // The number is read where it is, so a renamed customer needs no change of its contacts.
    let before = caller.custom(&record).json();
    caller.patch(&format!("customers({BOE})"), "*", json!({"number": "9002"}));
    let after = caller.custom(&record).json();
    assert_eq!(shown(&after, "customerNumber"), "9002");
    assert_eq!(after["@odata.etag"], before["@odata.etag"]);
    // The company itself shows its customer too; without the customer nothing is left to show.
    let boe = caller.custom("contacts?$filter=number%20eq%20'CT000003'").json()["value"][0].clone();
    assert_eq!(shown(&boe, "type companyNumber customerNumber"), "Company|CT000003|9002");
    caller.state.delete("customers", BOE.parse().unwrap()).unwrap();
    assert_eq!(shown(&caller.custom(&record).json(), "companyNumber customerNumber"), "CT000003|");
}

#[test]
fn what_the_custom_contacts_do_not_take_is_refused() {
    let mut caller = Caller::new();
    let find = |caller: &Caller, number| caller.state.find("contacts", "number", number).unwrap();
    let (company, person) = (find(&caller, "CT000001"), find(&caller, "CT000002"));
    caller.state.delete("contacts", find(&caller, "CT000004")).unwrap();
    let relation = "The field Customer No. of table Contact contains a value (4711) that cannot be found in the related \
                    table (Customer).";
    let type_is = "Type must be equal to 'Person' in Contact: No.=CT000001. Current value is 'Company'.";
    let unknown = "The property 'companyName' does not exist on type 'Microsoft.NAV.contact'. Make sure to only use property \
                   names that are defined by the type.";
    let cases = [
        (person, json!({"customerNumber": "4711"}), "Internal_InvalidTableRelation", relation),
        (
            person,
            json!({"customerNumber": "1003"}),
            "Application_DialogException",
            "Customer 1003 has no company contact.",
        ),
        (person, json!({"displayName": "Ida"}), "BadRequest_InvalidOperation", "Control 'Name' is read-only"),
        (
            person,
            json!({"companyNumber": "CT000001"}),
            "BadRequest_InvalidOperation",
            "Control 'Company No.' is read-only",
        ),
        (
            person,
            json!({"systemModifiedAt": "2026-01-01T00:00:00Z"}),
            "BadRequest_InvalidOperation",
            "Control 'Last Date Modified' is read-only",
        ),
        (person, json!({"companyName": "x"}), "BadRequest", unknown),
        (
            person,
            json!({"firstName": "x".repeat(31)}),
            "Application_StringExceededLength",
            "The length of the string is 31, but it must be less than or equal to 30 characters. Value: \
             xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        ),
        (company, json!({"customerNumber": "1002"}), "Application_FieldValidationException", type_is),
        (company, json!({"customerNumber": ""}), "Application_FieldValidationException", type_is),
    ];
    let before = caller.state.records("contacts");
    for (id, body, code, message) in cases {
        let refusal = caller.custom_patch(&format!("contacts({id})"), "*", body.clone()).refusal();
        assert_eq!(refusal, (400, code.to_string(), message.to_string()), "{body}");
    }
    let elsewhere = json!({"companyNumber": "CT000003"});
    assert_eq!(caller.patch(&format!("contacts({company})"), "*", elsewhere).refusal().2, type_is);
    assert_eq!(caller.state.records("contacts"), before);
    // What changes nothing is taken.
    let same = json!({"customerNumber": "1001"});
    assert_eq!(caller.custom_patch(&format!("contacts({company})"), "*", same).0.status, 200);
    assert_eq!(caller.get("contacts?$select=customerNumber").refusal().1, "BadRequest");
}

#[test]
fn the_custom_contacts_are_filtered_and_ordered_by_all_they_show() {
    let mut caller = Caller::new();
    caller.state.load(
        "contacts",
        rows(json!([
            {"number": "P1", "type": "Person", "firstName": "Olga", "surname": "Berg", "customerNumber": "1002"},
            {"number": "P2", "type": "Person", "displayName": "Carys Ann Price", "customerNumber": "1001"},
            {"number": "P3", "type": "Person", "displayName": "Zofia"},
        ])),
    );
    assert_eq!(caller.state.adjusted().len(), 0, "{:?}", caller.state.adjusted());
    let cases = [
        ("customerNumber eq '1001'", &["CT000001", "CT000002", "P2"][..]),
        ("customerNumber eq '1001' or customerNumber eq '1002'", &["CT000001", "CT000002", "CT000003", "P1", "P2"]),
        ("customerNumber eq ''", &["P3"]),
        ("startswith(customerNumber,'100') and type eq 'Person'", &["CT000002", "P1", "P2"]),
        ("middleName ne ''", &["P2"]),
        ("surname eq 'Berg'", &["P1"]),
        ("contains(displayName,'Ann')", &["P2"]),
        ("companyNumber eq 'ct000003'", &["CT000003", "P1"]),
        ("systemModifiedAt lt 2020-01-01T00:00:00Z", &[]),
    ];
    for (filter, expected) in cases {
        let tail = format!("contacts?$select=number&$filter={}", mocks::filter::encode(filter));
        assert_eq!(caller.custom(&tail).column("number"), expected, "{filter}");
    }
    let orders = [
        ("customerNumber desc,firstName", "CT000004 CT000003 P1 CT000001 P2 CT000002 P3"),
        ("surname,number desc", "P3 CT000004 CT000003 CT000001 P1 P2 CT000002"),
    ];
    for (order, expected) in orders {
        let mut target =
            format!("{CUSTOM}/{COMPANY}/contacts?$select=number,surname&$orderby={}", mocks::filter::encode(order));
        let mut seen = Vec::new();
        loop {
            let page = caller.send("GET", &target, &[("Prefer", "odata.maxpagesize=2")], None);
            seen.extend(page.column("number"));
            match page.json().get("@odata.nextLink") {
                Some(link) => target = link.as_str().unwrap().strip_prefix(BASE).unwrap().to_string(),
                None => break,
            }
        }
        assert_eq!(seen.join(" "), expected, "{order}");
    }
    let refusal = caller.custom("contacts?$filter=lastModifiedDateTime%20gt%202020-01-01T00:00:00Z").refusal();
    assert_eq!(refusal.2, "Could not find a property named 'lastModifiedDateTime' on type 'Microsoft.NAV.contact'.");
}

#[test]
fn the_custom_metadata_describes_both_pages() {
    let mut caller = Caller::new();
    let custom = caller.send("GET", &format!("{CUSTOM}/$metadata"), &[], None);
    let text = String::from_utf8(custom.0.body.clone()).unwrap();
    let (_, contact) = text.split_once("<EntityType Name=\"contact\">").unwrap();
    let (contact, _) = contact.split_once("</EntityType>").unwrap();
    for part in [
        r#"<Property Name="firstName" Type="Edm.String" MaxLength="30" />"#,
        r#"<Property Name="customerNumber" Type="Edm.String" MaxLength="20" />"#,
        r#"<Property Name="type" Type="Microsoft.NAV.contactType" />"#,
        r#"<Property Name="systemModifiedAt" Type="Edm.DateTimeOffset" />"#,
    ] {
        assert!(contact.contains(part), "{part}");
    }
    assert_eq!(contact.matches("<Property ").count(), 21);
    for part in [
        r#"<EntitySet Name="contacts" EntityType="Microsoft.NAV.contact" />"#,
        r#"<EntitySet Name="resources" EntityType="Microsoft.NAV.resource" />"#,
        r#"<EnumType Name="contactType"><Member Name="Company" Value="0" /><Member Name="Person" Value="1" />"#,
    ] {
        assert!(text.contains(part), "{part}");
    }
    let document = caller.send("GET", &format!("{CUSTOM}/"), &[], None).json();
    let names: Vec<&str> =
        document["value"].as_array().unwrap().iter().map(|set| set["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["companies", "resources", "contacts"]);
    let standard = caller.send("GET", &format!("{ROOT}/$metadata"), &[], None);
    assert!(!String::from_utf8(standard.0.body.clone()).unwrap().contains("customerNumber"));
}

#[test]
fn a_customer_that_is_a_person_is_its_own_contact() {
    let mut caller = Caller::new();
    let body = json!({"number": "P-1", "type": "Person", "displayName": "Eva Lund Dahl"});
    let customer = caller.post("customers", body).json();
    let read =
        |caller: &mut Caller| caller.custom("contacts?$filter=customerNumber%20eq%20'P-1'").json()["value"][0].clone();
    let contact = read(&mut caller);
    assert_eq!(shown(&contact, NAMES), "Eva|Lund|Dahl|Eva Lund Dahl");
    assert_eq!(shown(&contact, "type companyNumber"), "Person|");
    caller.custom_patch(&format!("contacts({})", contact["id"].as_str().unwrap()), "*", json!({"surname": "Berg"}));
    let record = format!("customers({})", customer["id"].as_str().unwrap());
    assert_eq!(caller.get(&record).json()["displayName"], "Eva Lund Berg");
    caller.patch(&record, "*", json!({"displayName": "Eva Berg"}));
    assert_eq!(shown(&read(&mut caller), NAMES), "Eva||Berg|Eva Berg");
}

// Section 16: batches.

fn operation(id: &str, method: &str, tail: &str, body: Value) -> Value {
    json!({"id": id, "method": method, "url": format!("{COMPANY}/{tail}"),
           "headers": {"Content-Type": "application/json", "If-Match": "*"}, "body": body})
}

fn three() -> Value {
    json!([
        operation("1", "PATCH", &format!("customers({AHLGREN})"), json!({"phoneNumber": "+46 8 111"})),
        operation("2", "PATCH", &format!("customers({NOBODY})"), json!({"phoneNumber": "+46 8 222"})),
        operation(
            "3",
            "POST",
            "items",
            json!({"number": "KAB-10", "displayName": "Kabel 10 m", "unitPrice": 129.5,
                                               "baseUnitOfMeasureCode": "PCS"})
        ),
    ])
}

fn statuses(answer: &Answer) -> Vec<(String, u64)> {
    let body = answer.json();
    let responses = body["responses"].as_array().unwrap_or_else(|| panic!("{body}"));
    responses.iter().map(|r| (r["id"].as_str().unwrap_or("none").to_string(), r["status"].as_u64().unwrap())).collect()
}

#[test]
fn a_batch_goes_on_or_stops() {
    let mut caller = Caller::new();
    let answer = caller.batch(&[("Prefer", "odata.continue-on-error")], three());
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    let found = statuses(&answer);
    assert_eq!(found, [("3".to_string(), 201), ("1".to_string(), 200), ("2".to_string(), 404)]);
    let first = &answer.json()["responses"][1];
    assert_eq!(
        (first["body"]["phoneNumber"].as_str(), first["headers"]["odata-version"].as_str()),
        (Some("+46 8 111"), Some("4.0"))
    );
    assert_eq!(answer.json()["responses"][2]["body"]["error"]["code"], "BadRequest_NotFound");

    let mut caller = Caller::new();
    let answer = caller.batch(&[], three());
    assert_eq!(statuses(&answer), [("1".to_string(), 200), ("2".to_string(), 404)]);
    assert_eq!(caller.state.count("items"), 0, "the third did not run");
    let customer = caller.state.record("customers", AHLGREN.parse().unwrap()).unwrap();
    assert_eq!(customer["phoneNumber"], "+46 8 111", "the first stays");
    let log = caller.state.log();
    let log = log.lock().unwrap();
    assert_eq!((log.counts().batches, log.counts().writes, log.counts().requests), (1, 2, 2));
    assert_eq!((log.writes()[1].method, &*log.writes()[1].set, log.writes()[1].status), ("PATCH", "customers", 404));
}

#[test]
fn a_snapshot_is_undone_as_a_whole_and_says_otherwise() {
    let mut caller = Caller::new();
    let before = ["customers", "contacts", "items"].map(|set| caller.state.records(set));
    let requests = json!([
        operation(
            "a",
            "PATCH",
            &format!("customers({AHLGREN})"),
            json!({"number": "9001", "displayName": "Ahlgren Ny"})
        ),
        operation("b", "POST", "customers", json!({"displayName": "Dahl"})),
        operation("c", "DELETE", &format!("customers({BOE})"), json!(null)),
        operation("d", "POST", "items", json!({"displayName": "x", "baseUnitOfMeasureCode": "KG"})),
    ]);
    let answer = caller.batch(&[("Isolation", "snapshot")], requests.clone());
    let expected = [("c", 204), ("b", 201), ("a", 200), ("d", 400)].map(|(id, status)| (id.to_string(), status));
    assert_eq!(statuses(&answer), expected);
    assert_eq!(["customers", "contacts", "items"].map(|set| caller.state.records(set)), before);
    assert_eq!(caller.get(&format!("customers({AHLGREN})")).json()["number"], "1001");

    let good: Vec<Value> = requests.as_array().unwrap()[..3].to_vec();
    caller.batch(&[("Isolation", "snapshot")], Value::Array(good));
    assert_eq!(caller.get("customers?$select=number&$orderby=number").column("number"), ["1003", "9001", "C00020"]);
}

/// The same in parts: the answers come in the order of the operations, and tell nothing else of which is whose.
#[test]
fn a_multipart_batch_is_answered_part_by_part() {
    let part = |method: &str, tail: &str, body: &str| {
        format!(
            "--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n{method} {COMPANY}/{tail} \
             HTTP/1.1\r\nContent-Type: application/json\r\nIf-Match: *\r\n\r\n{body}\r\n"
        )
    };
    let parts = [
        part("PATCH", &format!("customers({AHLGREN})"), r#"{"phoneNumber":"+46 8 111"}"#),
        part("PATCH", &format!("customers({NOBODY})"), r#"{"phoneNumber":"+46 8 222"}"#),
        part("GET", &format!("customers({AHLGREN})?$select=phoneNumber"), ""),
    ]
    .concat();
    let send = |caller: &mut Caller, kind: &str, goes_on: &str, body: String| {
        let headers = [
            ("Host", "erp.example"),
            ("Authorization", &format!("Bearer {}", caller.token)),
            ("Content-Type", kind),
            ("Prefer", goes_on),
        ];
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_string())).to_vec();
        let target = format!("{ROOT}/$batch");
        Answer(caller.state.answer(&Request { method: "POST".into(), target, headers, body: body.into_bytes() }))
    };
    let kind = "multipart/mixed; boundary=b";
    for (goes_on, expected) in [("odata.continue-on-error", &["200", "404", "200"][..]), ("", &["200", "404"])] {
        let mut caller = Caller::new();
        let answer = send(&mut caller, kind, goes_on, format!("{parts}--b--\r\n"));
        let boundary = answer.header("content-type").unwrap().strip_prefix("multipart/mixed; boundary=").unwrap();
        let text = String::from_utf8(answer.0.body.clone()).unwrap();
        assert!(text.ends_with(&format!("--{boundary}--\r\n")) && !text.replace("\r\n", "").contains('\n'), "{text}");
        let statuses: Vec<&str> = text.split("HTTP/1.1 ").skip(1).map(|part| &part[..3]).collect();
        assert_eq!(statuses, expected, "{goes_on}");
        assert_eq!(text.matches("+46 8 111").count(), expected.len() - 1, "{goes_on}");
    }
    let mut caller = Caller::new();
    let change_set = "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n--b--\r\n";
    for (kind, body, status) in [
        ("multipart/mixed", format!("{parts}--b--\r\n"), 400),
        (kind, parts.clone(), 400),
        (kind, format!("{parts}--b--\r\n").replace("\r\n", "\n"), 400),
        (kind, change_set.to_owned(), 501),
        (kind, format!("{parts}--b--\r\n").replace("binary", "8bit"), 400),
    ] {
        assert_eq!(send(&mut caller, kind, "", body.clone()).refusal().0, status, "{kind} {body}");
    }
    caller.state.multipart_batches = false;
    assert_eq!(send(&mut caller, kind, "", format!("{parts}--b--\r\n")).refusal().0, 415);
}

#[test]
fn a_batch_that_is_wrong_in_itself_is_refused() {
    let mut caller = Caller::new();
    let many: Vec<Value> = (0..101).map(|n| operation(&n.to_string(), "GET", "items", Value::Null)).collect();
    let refusal = caller.batch(&[], Value::Array(many.clone())).refusal();
    assert_eq!(refusal.0, 500);
    assert!(refusal.2.contains("maximum number of '100' query operations"), "{}", refusal.2);
    assert_eq!(statuses(&caller.batch(&[], Value::Array(many[..100].to_vec()))).len(), 100);

    let mut slash = operation("1", "GET", "items", Value::Null);
    slash["url"] = format!("/{COMPANY}/items").into();
    let answer = caller.batch(&[], json!([slash])).json();
    let response = &answer["responses"][0];
    assert_eq!(response["status"], 404);
    assert!(
        response["body"]["error"]["message"].as_str().unwrap().starts_with("No HTTP resource was found that matches")
    );

    let mut bare = operation("1", "PATCH", &format!("customers({AHLGREN})"), json!({"city": "Oslo"}));
    bare["headers"] = json!({"If-Match": "*"});
    assert_eq!(statuses(&caller.batch(&[], json!([bare])))[0].1, 415, "an inner body needs its content type");
    bare["headers"] = json!({"content-type": "application/json"});
    assert_eq!(statuses(&caller.batch(&[], json!([bare])))[0].1, 400, "an inner change needs its etag");
    bare.as_object_mut().unwrap().shift_remove("id");
    assert_eq!(statuses(&caller.batch(&[], json!([bare])))[0].0, "none");

    let twice = json!([operation("1", "GET", "items", Value::Null), operation("1", "GET", "items", Value::Null)]);
    assert_eq!(caller.batch(&[], twice).refusal().0, 400);
}

#[test]
fn the_custom_api_has_its_own_batch() {
    let mut caller = Caller::new();
    let person = caller.state.find("contacts", "number", "CT000002").unwrap();
    let requests = json!({"requests": [operation("1", "POST", "resources", json!({"name": "Fitter"})),
                                       operation("2", "GET", "customers", Value::Null),
                                       operation("3", "POST", "contacts", json!({"type": "Person", "surname": "Dahl"})),
                                       operation("4", "PATCH", &format!("contacts({person})"), json!({"surname": "Lie"}))]});
    let answer =
        caller.send("POST", &format!("{CUSTOM}/$batch"), &[("Prefer", "odata.continue-on-error")], Some(requests));
    let expected = [("4", 200), ("3", 201), ("1", 201), ("2", 404)].map(|(id, status)| (id.to_string(), status));
    assert_eq!(statuses(&answer), expected);
    assert_eq!(caller.get(&format!("contacts({person})")).json()["displayName"], "Ida Lie");
    assert!(caller.state.find("contacts", "displayName", "Dahl").is_some());
}

// The state: loading, people, keeping.

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

// Section 17 and the faults, over HTTP.

struct Client {
    stream: BufReader<TcpStream>,
    root: String,
    token: String,
}

impl Client {
    fn new(erp: &Erp) -> Self {
        let url = erp.url();
        let (host, _) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let stream = BufReader::new(TcpStream::connect(host).unwrap());
        let root = url[7 + host.len()..].to_string();
        let mut client = Self { stream, root, token: String::new() };
        let request = token_request(&erp.client_secret());
        assert!(erp.token_url().ends_with(&request.target));
        let form = String::from_utf8(request.body).unwrap();
        let (_, _, body) = client
            .exchange("POST", &request.target, "Content-Type: application/x-www-form-urlencoded\r\n", &form)
            .expect("the token endpoint answers");
        let body: Value = serde_json::from_str(&body).unwrap();
        client.token = body["access_token"].as_str().unwrap().to_string();
        client
    }

    /// Sends a request; `None` when the connection closed without an answer or inside it.
    fn exchange(&mut self, method: &str, target: &str, headers: &str, body: &str) -> Option<(u16, String, String)> {
        let length = body.len();
        let token = &self.token;
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: erp.example\r\nAuthorization: Bearer {token}\r\n{headers}\
             Content-Length: {length}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let head = head.to_lowercase();
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).ok()?;
        Some((status, head, String::from_utf8(body).unwrap()))
    }

    fn rename(&mut self, name: &str, etag: &str) -> Option<(u16, String, String)> {
        let target = format!("{}/api/v2.0/{COMPANY}/customers({AHLGREN})", self.root);
        let headers = format!("Content-Type: application/json\r\nIf-Match: {etag}\r\n");
        self.exchange("PATCH", &target, &headers, &json!({"displayName": name}).to_string())
    }

    fn customers(&mut self) -> Option<(u16, String, String)> {
        let target = format!("{}/api/v2.0/{COMPANY}/customers", self.root);
        self.exchange("GET", &target, "", "")
    }
}

fn served(faults: Faults) -> Erp {
    Erp::start(seeded(), Options { port: None, faults }).unwrap()
}

fn name(erp: &Erp) -> String {
    let row = erp.with(|state| state.record("customers", AHLGREN.parse().unwrap())).unwrap();
    row["displayName"].as_str().unwrap().to_string()
}

#[test]
fn the_wire_carries_what_the_state_answers() {
    let erp = served(Faults::none());
    let mut client = Client::new(&erp);
    let (status, head, body) = client.customers().unwrap();
    assert_eq!((status, head.contains("\r\nodata-version: 4.0\r\n")), (200, true));
    let body: Value = serde_json::from_str(&body).unwrap();
    let etag = body["value"][0]["@odata.etag"].as_str().unwrap();
    assert_eq!(client.rename("Over HTTP", etag).unwrap().0, 200);
    assert_eq!(name(&erp), "Over HTTP");
    assert_eq!((erp.counts().requests, erp.counts().writes, erp.counts().reads, erp.counts().tokens), (3, 1, 1, 1));
}

#[test]
fn each_fault_leaves_the_record_as_its_name_says() {
    let cases = [
        (Fault::ThrottledPlain, Some(429), "Ahlgren Marine AB"),
        (Fault::ExpiredToken, Some(401), "Ahlgren Marine AB"),
        (Fault::UnavailableBefore, Some(503), "Ahlgren Marine AB"),
        (Fault::UnavailableAfter, Some(503), "Changed"),
        (Fault::DroppedBefore, None, "Ahlgren Marine AB"),
        (Fault::DroppedAfter, None, "Changed"),
    ];
    for (fault, status, after) in cases {
        let erp = served(Faults::once(fault, 1));
        let answer = Client::new(&erp).rename("Changed", "*");
        assert_eq!(answer.as_ref().map(|(status, _, _)| *status), status, "{fault}");
        assert_eq!(name(&erp), after, "{fault}");
        if status == Some(503) {
            let (_, head, body) = answer.unwrap();
            assert!(head.contains("\r\nretry-after: 1\r\n") && body.contains("<html>"), "{head}{body}");
        }
        assert_eq!(Client::new(&erp).rename("Again", "*").unwrap().0, 200, "{fault} happens once");
        assert_eq!(erp.faults().applied().get(&fault), Some(&1));
    }
}

#[test]
fn throttling_has_its_words() {
    let erp = served(Faults::once(Fault::Throttled, 1).and(Fault::ThrottledPlain, 2));
    erp.set_faults({
        let mut faults = erp.faults();
        faults.retry_after = 0;
        faults
    });
    let mut client = Client::new(&erp);
    let words = r#"{"error":{"code":"Application_TooManyRequests","message":"Too many requests reached. Actual (101). Maximum (100)."}}"#;
    let (status, head, body) = client.customers().unwrap();
    assert_eq!((status, head.contains("retry-after: 0"), body.as_str()), (429, true, words));
    let (status, head, body) = client.customers().unwrap();
    assert_eq!((status, head.contains("retry-after"), body.as_str()), (429, false, words));
    assert_eq!(client.customers().unwrap().0, 200);
}

#[test]
fn a_person_is_quicker_and_a_page_is_cut() {
    let erp = served(Faults::once(Fault::StaleEtag, 1).and(Fault::TruncatedPage, 2));
    let mut client = Client::new(&erp);
    let (_, _, page) = client.customers().unwrap();
    let page: Value = serde_json::from_str(&page).unwrap();
    let etag = page["value"][0]["@odata.etag"].as_str().unwrap().to_string();
    assert_eq!(client.rename("Mine", &etag).unwrap().0, 409);
    assert_eq!(client.customers(), None, "the page ends before its length");
    let mut client = Client::new(&erp);
    assert_eq!(client.customers().unwrap().0, 200);
}

#[test]
fn half_a_batch_is_applied_and_no_answer_comes() {
    let erp = served(Faults::once(Fault::HalfBatch, 1));
    let mut client = Client::new(&erp);
    let requests: Vec<Value> = (0..4)
        .map(|n| operation(&n.to_string(), "POST", "items", json!({"displayName": format!("Item {n}")})))
        .collect();
    let target = format!("{}/api/v2.0/$batch", client.root);
    let body = json!({"requests": requests}).to_string();
    assert_eq!(client.exchange("POST", &target, "Content-Type: application/json\r\n", &body), None);
    assert_eq!(erp.with(|state| state.count("items")), 2);
}

#[test]
fn a_batch_that_only_means_to_read_is_refused() {
    let mut caller = Caller::new();
    let change = operation("a", "PATCH", &format!("customers({AHLGREN})"), json!({"city": "Malmö"}));
    for operations in [json!([change]), json!([operation("a", "GET", "customers", json!(null))])] {
        let headers = [("Data-Access-Intent", "ReadOnly")];
        let answer = caller.send("POST", &format!("{ROOT}/$batch"), &headers, Some(json!({"requests": operations})));
        assert_eq!(answer.0.status, 400, "{operations}");
    }
    assert_eq!(caller.get(&format!("customers({AHLGREN})")).json()["city"], "Gävle");
}

#[test]
fn an_atomicity_group_holds_together_or_falls_together() {
    let mut caller = Caller::new();
    let change = |id: &str, who: &str, city: &str, group: Option<&str>| {
        let mut operation = operation(id, "PATCH", &format!("customers({who})"), json!({"city": city}));
        operation["headers"]["If-Match"] = json!("*");
        operation["headers"]["Content-Type"] = json!("application/json");
        if let Some(group) = group {
            operation["atomicityGroup"] = json!(group);
        }
        operation
    };
    let mut statuses = |operations: Value| -> Vec<(String, u64)> {
        let headers = [("Prefer", "odata.continue-on-error")];
        let answer = caller.send("POST", &format!("{ROOT}/$batch"), &headers, Some(json!({"requests": operations})));
        let body = answer.json();
        let Some(all) = body["responses"].as_array() else { return vec![(body.to_string(), 400)] };
        let one = |answer: &Value| (answer["id"].as_str().unwrap().to_owned(), answer["status"].as_u64().unwrap());
        let mut all: Vec<_> = all.iter().map(one).collect();
        all.sort();
        all
    };
    let told = |expected: [(&str, u64); 4]| expected.map(|(id, status)| (id.to_owned(), status)).to_vec();
    let group = Some("g");
    let failing = json!([
        change("a", AHLGREN, "Lost", group),
        change("b", NOBODY, "Lost", group),
        change("c", BOE, "Lost", group),
        change("d", BOE, "Kept", None),
    ]);
    assert_eq!(statuses(failing), told([("a", 424), ("b", 404), ("c", 424), ("d", 200)]));
    let mut after = change("d", BOE, "After", None);
    after["dependsOn"] = json!(["g"]);
    let good = json!([
        change("a", AHLGREN, "One", group),
        change("b", BOE, "Two", group),
        change("c", AHLGREN, "Three", None),
        after,
    ]);
    assert_eq!(statuses(good), told([("a", 200), ("b", 200), ("c", 200), ("d", 200)]));
    let mut lonely = change("d", BOE, "Nowhere", None);
    lonely["dependsOn"] = json!(["x"]);
    for wrong in [
        json!([lonely]),
        json!([
            change("a", BOE, "Nowhere", group),
            change("b", BOE, "Nowhere", None),
            change("c", BOE, "Nowhere", group)
        ]),
    ] {
        assert_eq!(statuses(wrong)[0].1, 400);
    }
    let mut city = |who: &str| caller.get(&format!("customers({who})")).json()["city"].clone();
    assert_eq!((city(AHLGREN), city(BOE)), (json!("Three"), json!("After")));
}

#[test]
fn bodies_addresses_and_versions_are_read_strictly() {
    let mut caller = Caller::new();
    let of = |body: &str, target: String| Request {
        method: "PATCH".into(),
        target,
        headers: vec![("Content-Type".into(), "application/json".into()), ("If-Match".into(), "*".into())],
        body: body.into(),
    };
    let mut request = of(r#"{"city":"Malmö","city":"Lund"}"#, format!("{ROOT}/{COMPANY}/customers({AHLGREN})"));
    request.headers.push(("Authorization".into(), format!("Bearer {}", caller.token)));
    let answer = caller.state.answer(&request);
    assert_eq!(answer.status, 400);
    assert!(String::from_utf8_lossy(&answer.body).contains("'city'"));
    let filter = |count: usize| {
        let terms: Vec<String> = (0..count).map(|_| format!("id%20eq%20{AHLGREN}")).collect();
        format!("customers?$select=id&$filter={}", terms.join("%20or%20"))
    };
    assert_eq!(caller.get(&filter(100)).0.status, 200);
    assert_eq!(caller.get(&filter(400)).0.status, 414);
    caller.state.url_chars_max = usize::MAX;
    assert_eq!(caller.get(&filter(400)).0.status, 200);
    for (version, status) in [("1.0", 200), ("2.0", 200), ("2.1", 200), ("3.0", 400), ("", 400)] {
        assert_eq!(caller.get(&format!("customers?$schemaversion={version}")).0.status, status, "{version}");
    }
    let preferred = [("Prefer", "odata.maxpagesize=30000")];
    let answer = caller.send("GET", &format!("{ROOT}/{COMPANY}/customers"), &preferred, None);
    let applied = answer.0.headers.iter().find(|(name, _)| name == "Preference-Applied").unwrap();
    assert_eq!(applied.1, "odata.maxpagesize=20000");
}
