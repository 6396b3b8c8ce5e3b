//! Contacts, the custom page that shows them, and the customers that they belong to.

use serde_json::{Map, json};

use crate::caller::*;

const NAMES: &str = "firstName middleName surname displayName";

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
