//! Tokens, pages, filters, expansion, companies and metadata.

use mocks::fault::Faulty;
use mocks::service::Service;
use serde_json::{Value, json};

use crate::caller::*;

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
