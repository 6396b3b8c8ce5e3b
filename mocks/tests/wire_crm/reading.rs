//! Pages, queries, filters, lists of ids, expansion.

use mocks::crm::State;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::caller::*;

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
