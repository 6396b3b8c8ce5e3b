//! New records, changes, and what bodies are refused for.

use mocks::service::{Request, Service};
use serde_json::json;

use crate::caller::*;

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
    // The database counts UTF-16 units.
    let faces = "\u{1f600}".repeat(51);
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
            json!({"displayName": faces}),
            400,
            "Application_StringExceededLength",
            "The length of the string is 102",
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
