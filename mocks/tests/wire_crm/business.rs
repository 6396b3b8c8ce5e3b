//! What the service does by its own rules: products, units, prices, deletions along lookups; and its metadata.

use mocks::service::Response;
use serde_json::{Value, json};

use crate::caller::*;

#[test]
fn products_units_currencies_and_prices_keep_the_business_rules() {
    let mut caller = Caller::new();
    let product = |number: &str| {
        json!({"productnumber": number, "name": "Kabel", "defaultuomid@odata.bind": format!("/uoms({PCS})"),
            "defaultuomscheduleid@odata.bind": format!("/uomschedules({PCS_GROUP})"), "quantitydecimal": 2,
            "price": 12.345})
    };
    let with = |mut body: Value, name: &str, value: Value| {
        body[name] = value;
        body
    };
    let without = |mut body: Value, name: &str| {
        body.as_object_mut().unwrap().remove(name);
        body
    };
    let list = json!(format!("/pricelevels({LIST})"));
    let line = json!({"amount": 5, "pricelevelid@odata.bind": list,
        "productid@odata.bind": format!("/products({CABLE})"), "uomid@odata.bind": format!("/uoms({PCS})")});
    let currency = json!({"isocurrencycode": "SEK", "currencyname": "Krona", "currencysymbol": "kr",
        "currencyprecision": 2, "exchangerate": 14.1});
    let creates = [
        ("products", product("KAB-10"), 400, "0x8004f973"),
        ("products", product("kab-10 "), 400, "0x8004f973"),
        ("products", without(product("K1"), "productnumber"), 400, "0x80043b05"),
        ("products", without(product("K1"), "name"), 400, "0x80040203"),
        ("products", without(product("K1"), "defaultuomid@odata.bind"), 400, "0x80043b0d"),
        ("products", without(product("K1"), "defaultuomscheduleid@odata.bind"), 400, "0x80043b0a"),
        ("products", with(product("K1"), "defaultuomid@odata.bind", json!(format!("/uoms({BOX})"))), 400, "0x80043b16"),
        ("products", with(product("K1"), "pricelevelid@odata.bind", list.clone()), 400, "0x80040203"),
        ("products", with(product("K1"), "statecode", json!(1)), 204, "no error"),
        ("productpricelevels", line.clone(), 400, "0x80043b08"),
        ("productpricelevels", without(line.clone(), "pricelevelid@odata.bind"), 400, "0x80043b12"),
        ("productpricelevels", without(line.clone(), "productid@odata.bind"), 400, "0x80043b11"),
        ("productpricelevels", without(line.clone(), "uomid@odata.bind"), 400, "0x80043b0d"),
        (
            "productpricelevels",
            with(line.clone(), "uomid@odata.bind", json!(format!("/uoms({BOX})"))),
            400,
            "0x80043b14",
        ),
        (
            "productpricelevels",
            with(line.clone(), "transactioncurrencyid@odata.bind", json!(format!("/transactioncurrencies({NOK})"))),
            400,
            "0x80040203",
        ),
        ("transactioncurrencies", with(currency.clone(), "isocurrencycode", json!("nok")), 400, "0x80048cf3"),
        ("transactioncurrencies", with(currency.clone(), "exchangerate", json!(0)), 400, "0x80044330"),
        ("transactioncurrencies", without(currency.clone(), "currencysymbol"), 400, "0x80040203"),
        ("transactioncurrencies", currency, 204, "no error"),
        ("uomschedules", json!({"name": "NAV KG"}), 400, "0x80043810"),
        ("uomschedules", json!({"name": "NAV KG", "baseuomname": "KG"}), 204, "no error"),
        (
            "uoms",
            json!({"name": "DOZEN", "quantity": 12, "uomscheduleid@odata.bind": format!("/uomschedules({PCS_GROUP})")}),
            400,
            "0x80043b1c",
        ),
        (
            "uoms",
            json!({"name": "DOZEN", "quantity": 12, "uomscheduleid@odata.bind": format!("/uomschedules({PCS_GROUP})"),
                "baseuom@odata.bind": format!("/uoms({BOX})")}),
            400,
            "0x80043b0b",
        ),
        ("pricelevels", json!({"description": "no name"}), 400, "0x80043b0e"),
        ("pricelevels", json!({"name": "Spring", "begindate": "2026-03-01"}), 400, "0x80040203"),
        (
            "pricelevels",
            json!({"name": "Spring", "begindate": "2026-03-01",
                "transactioncurrencyid@odata.bind": format!("/transactioncurrencies({GBP})")}),
            204,
            "no error",
        ),
        ("accounts", json!({"accountnumber": "C-1"}), 400, "0x80040203"),
        ("contacts", json!({"firstname": "Eva"}), 400, "0x80040203"),
        // A creation passes over the state, so a status of another one is no status of it.
        ("accounts", json!({"name": "x", "statecode": 1, "statuscode": 2}), 400, "0x80048408"),
        ("accounts", json!({"name": "x", "statecode": 7}), 400, "0x8004431a"),
        ("accounts", json!({"name": "passed over", "statecode": 1}), 204, "no error"),
        ("accounts", json!({"name": "x", "statecode": 1, "statuscode": 1}), 204, "no error"),
        ("accounts", json!({"name": "x", "statuscode": 2}), 400, "0x80048408"),
    ];
    for (set, body, status, code) in creates {
        let (found_status, found_code, message) = error(&caller.post(set, body.clone()));
        assert_eq!((found_status, found_code.as_str()), (status, code), "{set} {body}: {message}");
    }
    let passed_over = caller.state.find("accounts", "name", "passed over").unwrap().to_string();
    assert_eq!(caller.row("accounts", &passed_over)["statecode"], json!(0));
    let group = caller.state.find("uomschedules", "name", "NAV KG").unwrap();
    let unit = caller.state.find("uoms", "name", "KG").expect("a group makes its base unit");
    let unit = caller.row("uoms", &unit.to_string());
    assert_eq!(
        (&unit["_uomscheduleid_value"], &unit["isschedulebaseuom"], unit["quantity"].to_string()),
        (&json!(group.to_string()), &json!(true), "1.0000000000".into())
    );
    let created = caller.state.find("products", "productnumber", "K1").unwrap().to_string();
    let row = caller.row("products", &created);
    assert_eq!(
        (row["price"].to_string(), &row["statecode"], &row["_transactioncurrencyid_value"]),
        ("12.3500".into(), &json!(0), &json!(GBP))
    );
    let row = caller.row("productpricelevels", LINE);
    assert_eq!(
        (&row["productnumber"], &row["_uomscheduleid_value"], &row["_transactioncurrencyid_value"]),
        (&json!("KAB-10"), &json!(PCS_GROUP), &json!(GBP))
    );

    let updates = [
        ("products", CABLE, json!({"productnumber": "K1"}), 400, "0x8004f973"),
        ("products", CABLE, json!({"productnumber": null}), 400, "0x80043b05"),
        ("products", CABLE, json!({"defaultuomid@odata.bind": format!("/uoms({BOX})")}), 400, "0x80043b16"),
        (
            "products",
            CABLE,
            json!({"defaultuomid@odata.bind": format!("/uoms({BOX})"),
                "defaultuomscheduleid@odata.bind": format!("/uomschedules({BOX_GROUP})")}),
            400,
            "0x80040203",
        ),
        ("products", CABLE, json!({"pricelevelid@odata.bind": list}), 204, "no error"),
        ("products", CABLE, json!({"statecode": 1, "statuscode": 1}), 400, "0x80048408"),
        ("products", CABLE, json!({"statecode": 2}), 400, "0x80048408"),
        ("products", CABLE, json!({"statecode": 1, "statuscode": 2}), 204, "no error"),
        ("products", CABLE, json!({"statecode": 0}), 204, "no error"),
        ("products", CABLE, json!({"productnumber": "KAB-11"}), 204, "no error"),
        ("productpricelevels", LINE, json!({"pricelevelid@odata.bind": list}), 400, "0x80040203"),
        ("productpricelevels", LINE, json!({"productnumber": "X"}), 400, "0x80040203"),
        ("productpricelevels", LINE, json!({"amount": 130.004}), 204, "no error"),
        ("transactioncurrencies", GBP, json!({"exchangerate": 2}), 400, "0x80048cf5"),
        ("transactioncurrencies", GBP, json!({"statecode": 1}), 400, "0x80048cf4"),
        ("transactioncurrencies", NOK, json!({"exchangerate": 13.5}), 204, "no error"),
        ("uomschedules", PCS_GROUP, json!({"baseuomname": "EA"}), 400, "0x80040203"),
        ("uoms", PCS, json!({"quantity": 2}), 400, "0x80043b18"),
        ("accounts", AHLGREN, json!({"statecode": 1, "statuscode": 2}), 204, "no error"),
        ("accounts", AHLGREN, json!({"statuscode": 1}), 400, "0x80048408"),
        ("accounts", AHLGREN, json!({"statecode": 0}), 204, "no error"),
        (
            "accounts",
            AHLGREN,
            json!({"transactioncurrencyid@odata.bind": format!("/transactioncurrencies({JPY})"), "creditlimit": 99.5}),
            204,
            "no error",
        ),
        ("contacts", IDA, json!({"middlename": "Marie"}), 204, "no error"),
    ];
    for (set, id, body, status, code) in updates {
        let (found_status, found_code, message) = error(&caller.patch(set, id, body.clone()));
        assert_eq!((found_status, found_code.as_str()), (status, code), "{set} {body}: {message}");
    }
    assert_eq!(
        caller.row("productpricelevels", LINE)["productnumber"],
        json!("KAB-11"),
        "the line's number is the product's"
    );
    assert_eq!(caller.row("productpricelevels", LINE)["amount"].to_string(), "130.0000");
    assert_eq!(caller.row("accounts", AHLGREN)["creditlimit"].to_string(), "100.0000", "yen have no decimals");
    assert_eq!(caller.row("contacts", IDA)["fullname"], json!("Ida Marie Sørli"));
    let states = caller.row("accounts", AHLGREN);
    assert_eq!(
        (&states["statecode"], &states["statuscode"]),
        (&json!(0), &json!(1)),
        "a state alone brings its status"
    );
}

#[test]
fn a_product_may_start_as_a_draft_and_is_then_published() {
    let mut caller = Caller::new();
    caller.state.products_start_active = false;
    let body = json!({"productnumber": "K2", "name": "Kabel", "defaultuomid@odata.bind": format!("/uoms({PCS})"),
        "defaultuomscheduleid@odata.bind": format!("/uomschedules({PCS_GROUP})")});
    assert_eq!(caller.post("products", body).status, 204);
    let id = caller.state.find("products", "productnumber", "K2").unwrap().to_string();
    let row = caller.row("products", &id);
    assert_eq!((&row["statecode"], &row["statuscode"]), (&json!(2), &json!(0)));
    assert_eq!(error(&caller.patch("products", &id, json!({"statecode": 0, "statuscode": 1}))).1, "0x80048408");
    let path = format!("/products({id})/Microsoft.Dynamics.CRM.PublishProductHierarchy");
    assert_eq!(caller.write("POST", &path, &[], json!({})).status, 204);
    assert_eq!(caller.row("products", &id)["statecode"], json!(0));
    assert_eq!(caller.write("POST", &path, &[], json!({})).status, 400);
}

#[test]
fn deleting_follows_the_lookups() {
    let mut caller = Caller::new();
    caller.state.advance(5);
    assert_eq!(
        caller
            .patch(
                "accounts",
                AHLGREN,
                json!({"transactioncurrencyid@odata.bind": format!("/transactioncurrencies({NOK})")})
            )
            .status,
        204
    );
    let refused = [
        (format!("/transactioncurrencies({GBP})"), 400, "0x80048cff"),
        (format!("/transactioncurrencies({NOK})"), 405, "0x80040227"),
        (format!("/uoms({PCS})"), 400, "0x80043b03"),
        (format!("/uomschedules({PCS_GROUP})"), 405, "0x80040227"),
        (format!("/systemusers({INGA})"), 405, "0x80040800"),
    ];
    for (path, status, code) in refused {
        let (found_status, found_code, message) = error(&caller.send("DELETE", &path, &[], ""));
        assert_eq!((found_status, found_code.as_str()), (status, code), "{path}: {message}");
    }
    let before = caller.row("contacts", IDA);
    assert_eq!(caller.send("DELETE", &format!("/accounts({AHLGREN})"), &[], "").status, 204);
    let contact = caller.row("contacts", IDA);
    assert_eq!(contact.get("_parentcustomerid_value"), None, "the account's contacts stay, unlinked");
    assert_ne!(contact["versionnumber"], before["versionnumber"]);
    assert_eq!(caller.send("DELETE", &format!("/transactioncurrencies({NOK})"), &[], "").status, 204);
    assert_eq!(caller.send("DELETE", &format!("/uomschedules({BOX_GROUP})"), &[], "").status, 204);
    assert_eq!(caller.state.find("uoms", "name", "BOX"), None, "a group takes its units along");
    assert_eq!(caller.send("DELETE", &format!("/products({CABLE})"), &[], "").status, 204);
    assert_eq!(caller.state.count("productpricelevels"), 0, "a product takes its price lines along");
}

#[test]
fn metadata_tells_what_writes_then_meet() {
    let mut caller = Caller::new();
    let path = "/EntityDefinitions?$filter=EntitySetName eq 'accounts'&$select=LogicalName,PrimaryIdAttribute&\
                $expand=Attributes($select=LogicalName,AttributeType,IsValidForCreate;$filter=LogicalName eq \
                'name'),ManyToOneRelationships($select=ReferencingAttribute)";
    let (status, body) = caller.get(&path.replace(' ', "%20"));
    assert_eq!((status, body["value"].as_array().map(Vec::len)), (200, Some(1)), "{body}");
    let account = &body["value"][0];
    assert_eq!(
        (&account["LogicalName"], &account["PrimaryIdAttribute"], account.get("SchemaName")),
        (&json!("account"), &json!("accountid"), None)
    );
    let select = "ReferencingAttribute,ReferencingEntityNavigationPropertyName,ReferencedEntity";
    let path = format!("/EntityDefinitions(LogicalName='contact')/ManyToOneRelationships?$select={select}");
    let (_, body) = caller.get(&path);
    let relations: Vec<_> = body["value"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|relation| relation["ReferencingAttribute"] == "parentcustomerid")
        .map(|relation| {
            (
                relation["ReferencingEntityNavigationPropertyName"].as_str().unwrap(),
                relation["ReferencedEntity"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(relations, [("parentcustomerid_account", "account"), ("parentcustomerid_contact", "contact")]);

    let cast = |kind: &str, select: &str| {
        format!(
            "/EntityDefinitions(LogicalName='account')/Attributes/Microsoft.Dynamics.CRM.{kind}AttributeMetadata\
             ?$select={select}"
        )
    };
    let mut find = |kind: &str, select: &str, name: &str| {
        let (status, body) = caller.get(&cast(kind, select));
        assert_eq!(status, 200, "{body}");
        let mut found = body["value"].as_array().unwrap().iter();
        found.find(|attribute| attribute["LogicalName"] == name).unwrap_or_else(|| panic!("{kind} {name}")).clone()
    };
    assert_eq!(find("String", "LogicalName,MaxLength", "accountnumber")["MaxLength"], json!(20));
    let money = find("Money", "LogicalName,Precision,MinValue,MaxValue", "creditlimit");
    assert_eq!((&money["Precision"], money["MaxValue"].to_string()), (&json!(2), "100000000000000".into()));
    assert_eq!(find("Lookup", "LogicalName,Targets", "ownerid")["Targets"], json!(["systemuser", "team"]));
    assert_eq!(caller.get(&cast("String", "LogicalName,Precision")).0, 400, "text has no precision");

    let path = "/EntityDefinitions(LogicalName='account')/Attributes/Microsoft.Dynamics.CRM.PicklistAttributeMetadata\
                ?$select=LogicalName&$expand=OptionSet";
    let (_, body) = caller.get(path);
    let mut attributes = body["value"].as_array().unwrap().iter();
    let terms = attributes.find(|attribute| attribute["LogicalName"] == "paymenttermscode").unwrap();
    let options: Vec<_> = terms["OptionSet"]["Options"]
        .as_array()
        .unwrap()
        .iter()
        .map(|option| {
            (option["Value"].as_i64().unwrap(), option["Label"]["UserLocalizedLabel"]["Label"].as_str().unwrap())
        })
        .collect();
    assert_eq!(options, [(1, "Net 30"), (2, "2% 10, Net 30"), (3, "Net 45"), (4, "Net 60")]);
    let path = "/EntityDefinitions(LogicalName='product')/Attributes(LogicalName='statuscode')/\
                Microsoft.Dynamics.CRM.StatusAttributeMetadata?$select=LogicalName&$expand=OptionSet";
    let (_, body) = caller.get(path);
    assert_eq!(body["OptionSet"]["Options"][0]["State"], json!(2));
    assert_eq!(caller.get("/EntityDefinitions(LogicalName='nothing')").0, 404);
    assert_eq!(caller.get("/EntityDefinitions(LogicalName='account')?$select=Nothing").0, 400);

    // Whatever the metadata calls writable is accepted, whatever it does not is refused.
    for (set, table, id) in
        [("accounts", "account", AHLGREN), ("contacts", "contact", IDA), ("products", "product", CABLE)]
    {
        let select = "LogicalName,AttributeType,IsValidForUpdate,IsPrimaryId";
        let (_, body) = caller.get(&format!("/EntityDefinitions(LogicalName='{table}')/Attributes?$select={select}"));
        for attribute in body["value"].as_array().unwrap() {
            let name = attribute["LogicalName"].as_str().unwrap();
            let value = match attribute["AttributeType"].as_str().unwrap() {
                "Lookup" | "Owner" | "Customer" => continue,
                _ if attribute["IsPrimaryId"] == json!(true) => continue,
                _ => caller.row(set, id).get(name).cloned().unwrap_or(Value::Null),
            };
            let (status, _, message) = error(&caller.patch(set, id, json!({name: value})));
            let expected = if attribute["IsValidForUpdate"] == json!(true) { 204 } else { 400 };
            assert_eq!(status, expected, "{table}.{name}: {message}");
        }
    }
    let (status, body) = caller.get("/");
    assert!(status == 200 && body["value"].as_array().unwrap().iter().any(|set| set["name"] == "uomschedules"));
    let document = caller.send("GET", "/$metadata", &[("Accept", "application/xml")], "");
    let text = String::from_utf8(document.body).unwrap();
    assert!(
        text.contains("<Property Name=\"accountnumber\" Type=\"Edm.String\" MaxLength=\"20\" Unicode=\"true\" />"),
        "{text}"
    );
    assert_eq!(
        header(&Response { headers: document.headers, ..Response::default() }, "content-type"),
        Some("application/xml")
    );
}
