//! Change tracking, its tokens and what it refuses.

use mocks::crm::State;
use serde_json::{Value, json};

use crate::caller::*;

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
