//! Tokens, limits, roles, and servers that are throttled or forget.

use std::time::Duration;

use mocks::crm::privilege::{Holding, Privilege};
use mocks::crm::quota::Quota;
use mocks::fault::Faulty;
use mocks::service::Request;
use serde_json::json;

use crate::caller::*;

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
