//! Batches (section 16), in JSON and in parts, and what holds together in them.

use mocks::service::{Request, Service};
use serde_json::{Value, json};

use crate::caller::*;

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
