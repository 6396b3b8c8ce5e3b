//! The OData V4 pages of the ERP fake on the wire, as NAV serves them (erp-api.md §1, §10).

use mocks::erp::State;
use mocks::service::{Request, Response, Service};
use serde_json::{Map, Value, json};

const ROOT: &str = "/DynamicsNAV110/ODataV4";
const COMPANY: &str = "Company('CRONUS%20International%20Ltd.')";
/// `PIPELINE:nav+key/of=32`.
const LOGIN: &str = "Basic UElQRUxJTkU6bmF2K2tleS9vZj0zMg==";

fn state() -> State {
    let rows = |value: Value| -> Vec<Map<String, Value>> {
        value.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect()
    };
    let mut state = State::default();
    state.load(
        "customers",
        rows(json!([
            {"number": "1001", "displayName": "Ahlgren Marine AB", "city": "Gävle"},
            {"number": "1002", "displayName": "Bøe & Sons", "blocked": "All"},
            {"number": "O'HARA 1", "displayName": "O'Hara"},
        ])),
    );
    state
}

fn send(state: &mut State, method: &str, tail: &str, headers: &[(&str, &str)], body: Option<Value>) -> (u16, Value) {
    let answer = raw(state, method, tail, headers, body);
    (answer.status, serde_json::from_slice(&answer.body).unwrap_or_default())
}

fn raw(state: &mut State, method: &str, tail: &str, headers: &[(&str, &str)], body: Option<Value>) -> Response {
    let mut all = vec![("Host".to_string(), "nav.example".to_string())];
    let given = |name: &str| headers.iter().any(|(other, _)| *other == name);
    for (name, value) in [("Authorization", LOGIN), ("Accept", "application/json")] {
        if !given(name) {
            all.push((name.into(), value.into()));
        }
    }
    all.extend(body.iter().map(|_| ("Content-Type".to_string(), "application/json".to_string())));
    all.extend(
        headers
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| (name.to_string(), value.to_string())),
    );
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    state.answer(&Request { method: method.into(), target: format!("{ROOT}/{tail}"), headers: all, body })
}

#[test]
fn only_the_user_with_the_key_comes_in() {
    let mut state = state();
    for login in ["", "Basic UElQRUxJTkU6", "Bearer x", "basic"] {
        assert_eq!(send(&mut state, "GET", "Company", &[("Authorization", login)], None).0, 401, "{login}");
    }
    let (status, body) = send(&mut state, "GET", "Company", &[], None);
    assert_eq!((status, &body["value"][0]["Name"]), (200, &json!("CRONUS International Ltd.")));
}

#[test]
fn records_are_known_by_their_primary_key() {
    let mut state = state();
    for (key, status) in [
        ("'1001'", 200),
        ("No='1001'", 200),
        ("'o''hara%201'", 200),
        ("'9999'", 404),
        ("1001", 404),
        ("'10'01'", 404),
        // Encoded or not, such characters break an address.
        ("'A%2FB'", 404),
        ("'A%2BB'", 404),
        ("'A%25B'", 404),
    ] {
        let tail = format!("{COMPANY}/Customer({key})");
        assert_eq!(send(&mut state, "GET", &tail, &[], None).0, status, "{key}");
    }
    let (_, one) = send(&mut state, "GET", &format!("{COMPANY}/Customer('1002')?$select=No,Name,Blocked"), &[], None);
    assert_eq!((&one["Name"], &one["Blocked"]), (&json!("Bøe & Sons"), &json!("All")));
    assert!(one.get("id").is_none() && one.get("Last_Date_Modified").is_none());
    let (_, all) = send(&mut state, "GET", &format!("{COMPANY}/Customer?$filter=Blocked eq '_x0020_'"), &[], None);
    assert_eq!(all["value"].as_array().unwrap().len(), 2);
    // The day is all that is told of a change, and it can be asked for.
    let day = all["value"][0]["Last_Date_Modified"].as_str().unwrap().to_owned();
    assert_eq!(day.len(), 10);
    let tail = format!("{COMPANY}/Customer?$filter=Last_Date_Modified ge {day}");
    assert_eq!(send(&mut state, "GET", &tail, &[], None).1["value"].as_array().unwrap().len(), 3);
    for (tail, status) in [
        (format!("{COMPANY}/customers"), 404),
        ("Company('Nobody')/Customer".to_owned(), 404),
        ("Customer?company=Nobody".to_owned(), 404),
        ("Customer".to_owned(), 200),
        (format!("{COMPANY}/Customer?$expand=paymentTerm"), 400),
    ] {
        assert_eq!(send(&mut state, "GET", &tail, &[], None).0, status, "{tail}");
    }
}

#[test]
fn writes_go_one_by_one_and_need_the_version() {
    let mut state = state();
    let customers = format!("{COMPANY}/Customer");
    let (status, made) = send(&mut state, "POST", &customers, &[], Some(json!({"No": "n-1", "Name": "Dahl"})));
    assert_eq!((status, &made["No"]), (201, &json!("N-1")));
    let made_too = raw(&mut state, "POST", &customers, &[], Some(json!({"No": "n 2's", "Name": "Dahl"})));
    let location = made_too.headers.iter().find(|(name, _)| name == "Location").map(|(_, value)| value.as_str());
    let expected =
        "http://nav.example/DynamicsNAV110/ODataV4/Company('CRONUS%20International%20Ltd.')/Customer('N%202%27%27S')";
    assert_eq!(location, Some(expected));
    let (status, twin) = send(&mut state, "POST", &customers, &[], Some(json!({"No": "N-1", "Name": "Dahl"})));
    assert_eq!((status, &twin["error"]["code"]), (400, &json!("")), "{twin}");
    let message = twin["error"]["message"].as_str().unwrap();
    assert_eq!(message, "The record in table Customer already exists. Identification fields and values: No.='N-1'");
    let one = format!("{customers}('N-1')");
    let etag = made["@odata.etag"].as_str().unwrap();
    let city = || Some(json!({"City": "Bath"}));
    assert_eq!(send(&mut state, "PATCH", &one, &[], city()).0, 400, "without a version");
    assert_eq!(send(&mut state, "PATCH", &one, &[("If-Match", etag)], city()).0, 200);
    let (status, stale) = send(&mut state, "PATCH", &one, &[("If-Match", etag)], city());
    assert_eq!((status, &stale["error"]["code"]), (409, &json!("")));
    assert_eq!(send(&mut state, "PATCH", &format!("{customers}('?')"), &[("If-Match", "*")], city()).0, 404);
    assert_eq!(
        send(&mut state, "PATCH", &one, &[("If-Match", "*")], Some(json!({"Last_Date_Modified": "2026-01-01"}))).0,
        400
    );
    assert_eq!(send(&mut state, "PATCH", &one, &[("If-Match", "*")], Some(json!({"displayName": "x"}))).0, 400);
    assert_eq!(send(&mut state, "DELETE", &one, &[("If-Match", "*")], None).0, 204);
    assert_eq!(send(&mut state, "POST", "$batch", &[], Some(json!({"requests": []}))).0, 404, "there is no batch");
}

#[test]
fn who_does_not_ask_for_json_gets_xml() {
    let mut state = state();
    let tail = format!("{COMPANY}/Customer");
    for (tail, accept, is_json) in [
        (tail.clone(), "application/json", true),
        (tail.clone(), "", false),
        (format!("{tail}?$format=json"), "", true),
    ] {
        let answer = raw(&mut state, "GET", &tail, &[("Accept", accept)], None);
        assert_eq!((answer.status, answer.body.starts_with(b"{")), (200, is_json), "{tail} {accept}");
    }
    let metadata = raw(&mut state, "GET", "$metadata", &[("Accept", "application/xml")], None);
    let text = String::from_utf8(metadata.body).unwrap();
    assert!(text.contains("<EntityType Name=\"Customer\"><Key><PropertyRef Name=\"No\" /></Key>"));
    assert!(text.contains("<Property Name=\"Blocked\" Type=\"Edm.String\" />"), "an option has no length");
}

#[test]
fn errors_speak_of_the_page_and_schema_versions_are_not_known() {
    let mut state = state();
    let customers = format!("{COMPANY}/Customer");
    let mut told = |tail: String| send(&mut state, "GET", &tail, &[], None).1["error"]["message"].to_string();
    for (tail, part) in [
        ("?$filter=Last_Date_Modified%20eq%20'x'", "'Last_Date_Modified' of type 'NAV.Customer'"),
        ("?$filter=nonesuch%20eq%20'x'", "'nonesuch' on type 'NAV.Customer'"),
        ("?$select=nonesuch", "'nonesuch' on type 'NAV.Customer'"),
        ("?$schemaversion=2.1", "schema version '2.1'"),
    ] {
        let message = told(format!("{customers}{tail}"));
        assert!(message.contains(part), "{tail}: {message}");
    }
    let body = json!({"Credit_Limit_LCY": "12"});
    let (status, answer) = send(&mut state, "POST", &customers, &[], Some(body));
    assert_eq!(status, 400);
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("property 'Credit_Limit_LCY'"), "{message}");
}

/// A page whose records are known by two fields.
#[test]
fn a_key_of_two_fields_names_both() {
    let mut state = state();
    let rows = |value: Value| -> Vec<Map<String, Value>> {
        value.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect()
    };
    state.load("unitsOfMeasure", rows(json!([{"code": "PCS"}, {"code": "BOX"}])));
    state.load("items", rows(json!([{"number": "K,A'B", "displayName": "Cable"}])));
    let units = format!("{COMPANY}/ItemUnitOfMeasure");
    let unit = |code: &str| Some(json!({"Item_No": "k,a'b", "Code": code, "Qty_per_Unit_of_Measure": 12}));
    let made = raw(&mut state, "POST", &units, &[], unit("box"));
    let location = made.headers.iter().find(|(name, _)| name == "Location").map(|(_, value)| value.clone()).unwrap();
    assert!(location.ends_with("/ItemUnitOfMeasure(Item_No='K%2CA%27%27B',Code='BOX')"), "{location}");
    let (status, twin) = send(&mut state, "POST", &units, &[], unit("BOX"));
    let message = "The record in table Item Unit of Measure already exists. Identification fields and values: \
                   Item No.='K,A'B',Code='BOX'";
    assert_eq!((status, &twin["error"]["message"]), (400, &json!(message)));
    let (status, blank) = send(&mut state, "POST", &units, &[], Some(json!({"Item_No": "K,A'B"})));
    assert_eq!((status, &blank["error"]["message"]), (400, &json!("Field 'Code' must not be blank or empty.")));
    for (key, status) in [
        ("Item_No='K,A''B',Code='BOX'", 200),
        ("Code='box',Item_No='k,a''b'", 200),
        ("'K,A''B','BOX'", 404),
        ("Item_No='K,A''B'", 404),
        ("Item_No='K,A''B',Code='PCS'", 404),
    ] {
        assert_eq!(send(&mut state, "GET", &format!("{units}({key})"), &[], None).0, status, "{key}");
    }
    let (_, metadata) = (0, raw(&mut state, "GET", "$metadata", &[("Accept", "application/xml")], None));
    let metadata = String::from_utf8(metadata.body).unwrap();
    assert!(metadata.contains("<Key><PropertyRef Name=\"Item_No\" /><PropertyRef Name=\"Code\" /></Key>"));
    // Kept and read back, it is the same.
    let mut kept = Vec::new();
    state.save(&mut kept).unwrap();
    let again = State::restore(&mut kept.as_slice()).unwrap();
    assert_eq!(again.records("itemUnitsOfMeasure"), state.records("itemUnitsOfMeasure"));
    assert_eq!(again.records("itemUnitsOfMeasure").len(), 1);
}
