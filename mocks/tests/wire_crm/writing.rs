//! New rows, updates, alternate keys, lookups, and what bodies are refused for.

use serde_json::json;

use crate::caller::*;

#[test]
fn section_6_a_row_is_created() {
    let mut caller = Caller::new();
    let body = json!({"name": "Dahl Elektro", "accountnumber": "C-1003", "creditlimit": 1500.50,
        "transactioncurrencyid@odata.bind": format!("/transactioncurrencies({NOK})"), "fax": ""});
    let response = caller.post("accounts", body);
    let url = header(&response, "OData-EntityId").unwrap();
    let id = url.strip_prefix(&format!("{ROOT}{API}/accounts(")).unwrap().trim_end_matches(')').to_owned();
    assert_eq!((response.status, response.body.len()), (204, 0));
    let row = caller.row("accounts", &id);
    let text = |name: &str| row[name].to_string();
    assert_eq!(
        (text("creditlimit"), text("exchangerate"), text("creditlimit_base")),
        ("1500.5000".into(), "13.250000000000".into(), "113.2453".into())
    );
    assert_eq!(row["_transactioncurrencyid_value"], json!(NOK));
    assert!(!row.contains_key("fax"), "empty text is stored as null");
    for name in ["_ownerid_value", "_createdby_value", "_modifiedby_value", "_owninguser_value"] {
        assert_eq!(row[name], json!(APPLICATION), "{name}");
    }
    assert_eq!((text("statecode"), text("statuscode")), ("0".into(), "1".into()));
    assert_eq!(row["createdon"], row["modifiedon"]);

    let own = "a0000000-0000-4000-8000-000000000005";
    let prefer = [("Prefer", "return=representation")];
    let body = json!({"accountid": own.to_uppercase(), "name": "Eide Rør AS"});
    let response = caller.write("POST", "/accounts?$select=accountid", &prefer, body);
    let tag = format!("W/\"{}\"", caller.row("accounts", own)["versionnumber"]);
    assert_eq!(
        (response.status, header(&response, "ETag"), header(&response, "Preference-Applied")),
        (201, Some(tag.as_str()), Some("return=representation"))
    );
    assert_eq!(header(&response, "OData-EntityId"), None);
    let expected = json!({"@odata.context": format!("{ROOT}{API}/$metadata#accounts(accountid)/$entity"),
        "@odata.etag": tag, "accountid": own});
    assert_eq!(parsed(&response).1, expected);

    let again = caller.post("accounts", json!({"accountid": own, "name": "Eide Rør AS"}));
    assert_eq!(error(&again), (412, "0x80040237".into(), "Cannot insert duplicate key.".into()));
    let nested = json!({"name": "Falk AS", "primarycontactid": {"firstname": "Eva", "lastname": "Falk"}});
    assert_eq!(caller.post("accounts", nested).status, 204);
    assert!(caller.state.find("contacts", "fullname", "Eva Falk").is_some(), "a nested row is created too");
    let broken = json!({"name": "x".repeat(161), "primarycontactid": {"lastname": "Nobody"}});
    assert_eq!(caller.post("accounts", broken).status, 400);
    assert!(caller.state.find("contacts", "lastname", "Nobody").is_none(), "a refused write leaves nothing behind");
}

#[test]
fn section_7_updates_are_conditional_and_an_unconditional_patch_is_an_upsert() {
    let mut caller = Caller::new();
    caller.state.advance(60);
    let before = caller.row("accounts", AHLGREN);
    let tag = format!("W/\"{}\"", before["versionnumber"]);
    let path = format!("/accounts({AHLGREN})");
    let body = json!({"name": "Ahlgren Marine Group AB", "primarycontactid": null});
    let response = caller.write("PATCH", &path, &[("If-Match", &tag)], body.clone());
    assert_eq!(
        (response.status, header(&response, "OData-EntityId")),
        (204, Some(format!("{ROOT}{API}{path}").as_str()))
    );
    let after = caller.row("accounts", AHLGREN);
    assert_eq!((&after["name"], after.get("_primarycontactid_value")), (&json!("Ahlgren Marine Group AB"), None));
    assert_eq!(after["_modifiedby_value"], json!(APPLICATION));
    assert!(after["modifiedon"].as_str() > before["modifiedon"].as_str());

    let stale = error(&caller.write("PATCH", &path, &[("If-Match", &tag)], body.clone()));
    let message = "The version of the existing record doesn't match the RowVersion property provided.";
    assert_eq!(stale, (412, "0x80060882".into(), message.into()));
    let gone = format!("account With Id = {NOBODY} Does Not Exist");
    let path = format!("/accounts({NOBODY})");
    for condition in ["*", &tag] {
        let refused = error(&caller.write("PATCH", &path, &[("If-Match", condition)], body.clone()));
        assert_eq!(refused, (404, "0x80040217".into(), gone.clone()));
    }
    assert_eq!(error(&caller.send("DELETE", &path, &[], "")), (404, "0x80040217".into(), gone));
    assert_eq!(caller.write("PATCH", &path, &[], body.clone()).status, 204);
    assert_eq!(caller.row("accounts", NOBODY)["name"], json!("Ahlgren Marine Group AB"), "the upsert created the row");
    let exists = error(&caller.write("PATCH", &path, &[("If-None-Match", "*")], body.clone()));
    assert_eq!(exists, (412, "".into(), "A record with matching key values already exists.".into()));
    assert_eq!(error(&caller.send("DELETE", &path, &[("If-Match", &tag)], "")).0, 412);
    assert_eq!(caller.send("DELETE", &path, &[], "").status, 204);
    assert_eq!(caller.write("PATCH", &path, &[("If-None-Match", "*")], body).status, 204);

    let path = format!("/accounts({BOE})");
    assert_eq!(caller.write("PUT", &format!("{path}/name"), &[], json!({"value": "Bøe AS"})).status, 204);
    assert_eq!(caller.send("DELETE", &format!("{path}/accountnumber"), &[], "").status, 204);
    let reference = json!({"@odata.id": format!("{ROOT}{API}/contacts({IDA})")});
    assert_eq!(caller.write("PUT", &format!("{path}/primarycontactid/$ref"), &[], reference).status, 204);
    let row = caller.row("accounts", BOE);
    assert_eq!(
        (&row["name"], row.get("accountnumber"), &row["_primarycontactid_value"]),
        (&json!("Bøe AS"), None, &json!(IDA))
    );
    assert_eq!(caller.send("DELETE", &format!("{path}/primarycontactid/$ref"), &[], "").status, 204);
    assert_eq!(caller.row("accounts", BOE).get("_primarycontactid_value"), None);
}

#[test]
fn sections_8_and_9_alternate_keys() {
    let mut caller = Caller::new();
    let path = "/accounts(accountnumber='C-1004')";
    let invalid = "The key in the request URI is not valid for resource 'Microsoft.Dynamics.CRM.account'. \
        Ensure that the names and number of \
                   key properties match the declared or alternate key properties for the resource \
                   'Microsoft.Dynamics.CRM.account'.";
    assert_eq!(
        error(&caller.send("GET", path, &[], "")),
        (400, "0x0".into(), invalid.into()),
        "no table has such a key by itself"
    );
    caller.state.add_key("account", "Account Number Key", &["accountnumber"]);

    let prefer = [("Prefer", "return=representation")];
    let upsert = |caller: &mut Caller| {
        caller.write("PATCH", &format!("{path}?$select=accountid"), &prefer, json!({"name": "Eide Rør AS"}))
    };
    let (created, updated) = (upsert(&mut caller), upsert(&mut caller));
    assert_eq!((created.status, updated.status), (201, 200));
    assert_eq!(parsed(&created).1["accountid"], parsed(&updated).1["accountid"]);
    assert_ne!(header(&created, "ETag"), header(&updated, "ETag"));
    let plain = caller.write("PATCH", path, &[], json!({"name": "Eide Rør", "accountnumber": "C-9999"}));
    assert_eq!((plain.status, header(&plain, "OData-EntityId")), (204, Some(format!("{ROOT}{API}{path}").as_str())));
    let (_, row) = caller.get(path);
    assert_eq!(
        (&row["name"], &row["accountnumber"]),
        (&json!("Eide Rør"), &json!("C-1004")),
        "the key cannot be renamed by itself"
    );

    let absent = "/accounts(accountnumber='C-7777')";
    assert_eq!(error(&caller.send("GET", absent, &[], "")).1, "0x80060891");
    assert_eq!(error(&caller.write("PATCH", absent, &[("If-Match", "*")], json!({}))).1, "0x80060891");
    for slashed in ["/accounts(accountnumber='C/1004')", "/accounts(accountnumber='C%2F1004')"] {
        assert!(matches!(caller.get(slashed).0, 400 | 404), "{slashed}");
    }
    let duplicate = error(&caller.post("accounts", json!({"name": "Another", "accountnumber": "c-1004"})));
    let message = "Entity Key Account Number Key violated. A record with the same value for Account Number \
        already exists. A duplicate record \
                   cannot be created. Select one or more unique values and try again.";
    assert_eq!(duplicate, (412, "0x80060892".into(), message.into()));
    let bind = json!({"parentaccountid@odata.bind": "/accounts(accountnumber='C-1004')"});
    assert_eq!(caller.patch("accounts", BOE, bind).status, 204);
    let (_, body) =
        caller.get("/EntityDefinitions(LogicalName='account')/Keys?$select=KeyAttributes,EntityKeyIndexStatus");
    assert_eq!(body["value"][0]["KeyAttributes"], json!(["accountnumber"]));
    assert_eq!(body["value"][0]["EntityKeyIndexStatus"], json!("Active"));
}

#[test]
fn section_9_bodies_are_refused_in_the_services_words() {
    let mut caller = Caller::new();
    let payload = "Error identified in Payload provided by the user for Entity :'contacts', For more \
        information on this error please follow this \
                   help link https://go.microsoft.com/fwlink/?linkid=2195293  ---->  InnerException : ";
    let undeclared = format!(
        "{payload}Microsoft.OData.ODataException: An undeclared property 'parentcustomerid' which only has \
            property annotations in the payload but \
         no property value was found in the payload. In OData, only declared navigation properties and declared \
         named streams can be represented \
         as properties without values."
    );
    let too_long = "A validation error occurred.  The length of the 'accountnumber' attribute of the 'account' \
        entity exceeded the maximum allowed \
                    length of '20'.";
    let outside = "A validation error occurred. The value 13 of 'customertypecode' on record of type 'account' \
        is outside the valid range. \
                   Accepted Values: 1,2,3,4,5,6,7,8,9,10,11,12";
    let reference =
        "CRM do not support direct update of Entity Reference properties, Use Navigation properties instead.";
    let bound = |set: &str, id: &str| json!(format!("/{set}({id})"));
    let cases = [
        ("accounts", json!({"accountnumber": "123456789012345678901"}), 400, "0x80044331", too_long.to_owned()),
        ("accounts", json!({"customertypecode": 13}), 400, "0x8004431a", outside.into()),
        (
            "accounts",
            json!({"Name": "x"}),
            400,
            "0x0",
            "…Invalid property 'Name' was found in entity 'Microsoft.Dynamics.CRM.account'".into(),
        ),
        (
            "accounts",
            json!({"creditlimit": "12.5"}),
            400,
            "0x80048d19",
            "…Cannot convert the literal '12.5' to the expected type 'Edm.Decimal'".into(),
        ),
        (
            "accounts",
            json!({"creditlimit": -1}),
            400,
            "0x80044330",
            "…'creditlimit' on record of type 'account' is outside the valid range.".into(),
        ),
        ("accounts", json!({"_primarycontactid_value": IDA}), 400, "0x80060888", reference.into()),
        (
            "accounts",
            json!({"primarycontactid@odata.bind": null}),
            400,
            "0x80048d19",
            "…annotation has a null value".into(),
        ),
        (
            "accounts",
            json!({"PrimaryContactId@odata.bind": bound("contacts", IDA)}),
            400,
            "0x80048d19",
            "…undeclared property 'PrimaryContactId'".into(),
        ),
        (
            "accounts",
            json!({"primarycontactid@odata.bind": bound("contacts", NOBODY)}),
            404,
            "0x80040217",
            format!("contact With Id = {NOBODY} Does Not Exist"),
        ),
        (
            "accounts",
            json!({"primarycontactid@odata.bind": bound("accounts", BOE)}),
            400,
            "0x80048d19",
            "…does not lead to 'Microsoft.Dynamics.CRM.contact'".into(),
        ),
        ("contacts", json!({"parentcustomerid@odata.bind": bound("accounts", BOE)}), 400, "0x80048d19", undeclared),
        ("contacts", json!({"parentcustomerid": null}), 400, "0x0", "…Invalid property 'parentcustomerid'".into()),
        (
            "contacts",
            json!({"fullname": "Ida Falk"}),
            400,
            "0x80040203",
            "The attribute 'fullname' of the 'contact' entity is not valid for update.".into(),
        ),
        ("contacts", json!({"lastname": null}), 400, "0x80040203", "Attribute 'lastname' cannot be NULL".into()),
        (
            "contacts",
            json!({"birthdate": "0001-01-01"}),
            400,
            "0x80040239",
            "…Actual value: 01/01/0001 00:00:00".into(),
        ),
        (
            "contacts",
            json!({"ownerid@odata.bind": bound("systemusers", GONE)}),
            403,
            "0x80040225",
            "…either disabled or is not a member".into(),
        ),
        (
            "contacts",
            json!({"modifiedon": "2026-01-01T00:00:00Z"}),
            400,
            "0x80040203",
            "…'modifiedon' of the 'contact' entity is not valid for update.".into(),
        ),
    ];
    for (set, body, status, code, message) in cases {
        let id = if set == "accounts" { AHLGREN } else { IDA };
        let before = caller.row(set, id);
        let (found_status, found_code, found) = error(&caller.patch(set, id, body.clone()));
        assert_eq!((found_status, found_code.as_str()), (status, code), "{body}: {found}");
        match message.strip_prefix('…') {
            Some(part) => assert!(found.contains(part), "{body}: {found}"),
            None => assert_eq!(found, message, "{body}"),
        }
        assert_eq!(caller.row(set, id), before, "{body} changed nothing");
    }
    let path = format!("/accounts({AHLGREN})");
    assert_eq!(error(&caller.send("PATCH", &path, &[], "{\"name\":\"x\"}")).1, "0x80048d19", "no content type");
    assert_eq!(caller.send("PATCH", &path, &[("Content-Type", "text/plain")], "{}").status, 415);
    assert_eq!(
        error(&caller.send("PATCH", &path, &[("Content-Type", "application/json")], "{\"name\":")).1,
        "0x80048d19"
    );
}

#[test]
fn a_property_stands_once_in_a_body_and_the_metadata_is_xml() {
    let mut caller = Caller::new();
    let headers = [("Content-Type", "application/json"), ("If-Match", "*")];
    let twice = r#"{"telephone1":"1","telephone1":"2"}"#;
    let (status, code, message) = error(&caller.send("PATCH", &format!("/accounts({AHLGREN})"), &headers, twice));
    assert_eq!((status, code.as_str()), (400, "0x80048d19"));
    assert!(message.contains("'telephone1'"), "{message}");
    assert_eq!(caller.send("GET", "/$metadata", &[("Accept", "application/json")], "").status, 415);
    for accepted in ["application/xml", "*/*"] {
        assert_eq!(caller.send("GET", "/$metadata", &[("Accept", accepted)], "").status, 200, "{accepted}");
    }
}

#[test]
fn lookups_are_bound_cleared_and_annotated() {
    let mut caller = Caller::new();
    let full = format!("{ROOT}{API}/accounts({BOE})");
    for reference in [format!("/accounts({BOE})"), format!("accounts({BOE})"), full] {
        assert_eq!(
            caller.patch("contacts", IDA, json!({"parentcustomerid_account@odata.bind": reference})).status,
            204,
            "{reference}"
        );
        assert_eq!(caller.row("contacts", IDA)["_parentcustomerid_value"], json!(BOE));
        assert_eq!(caller.patch("contacts", IDA, json!({"parentcustomerid_account": null})).status, 204);
        assert_eq!(caller.row("contacts", IDA).get("_parentcustomerid_value"), None);
    }
    assert_eq!(
        caller
            .patch("contacts", IDA, json!({"parentcustomerid_contact@odata.bind": format!("/contacts({IDA})")}))
            .status,
        204
    );
    let row = caller.row("contacts", IDA);
    assert_eq!(row["_parentcustomerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"], json!("contact"));
    assert_eq!(
        caller.patch("contacts", IDA, json!({"ownerid@odata.bind": format!("/systemusers({INGA})")})).status,
        204
    );
    let row = caller.row("contacts", IDA);
    assert_eq!((&row["_ownerid_value"], &row["_owninguser_value"]), (&json!(INGA), &json!(INGA)));
    let team = caller.state.records("teams")[0]["teamid"].as_str().unwrap().to_owned();
    assert_eq!(caller.patch("contacts", IDA, json!({"ownerid@odata.bind": format!("/teams({team})")})).status, 204);
    let row = caller.row("contacts", IDA);
    assert_eq!((&row["_owningteam_value"], row.get("_owninguser_value")), (&json!(team), None));
    assert_eq!(caller.get(&format!("/systemusers(systemuserid={INGA})")).0, 400, "users have no named primary key");
    assert_eq!(caller.get(&format!("/accounts(accountid={BOE})")).0, 200);
}
