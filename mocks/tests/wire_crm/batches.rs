//! Batches, change sets and bulk messages.

use mocks::service::Response;
use serde_json::{Value, json};

use crate::caller::*;

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
