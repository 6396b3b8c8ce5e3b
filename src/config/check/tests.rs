//! Tests of the whole way from text to [`Pipeline`]: the example of the design, and one change of it for each refusal.

mod editor;

use super::*;
use crate::config::expression::{Comparison, Literal, Predicate};
use crate::config::{
    Auth, Create, Direction, Drift, FieldMap, Fit, Guard, Limit, OnConflict, OnDelete, Policy, Proof, SecretSource,
    TemplateValue, When, columns,
};

/// A file in which every key of the file format that is built occurs.
const FULL: &str = r#"version: 1
name: full

connections:
  erp:
    adapter: business-central
    url: ${ERP_URL}/
    company: ${ERP_COMPANY:-CRONUS International Ltd.}
    auth: { type: oauth2, token_url: "${ERP_TOKEN_URL}", client_id: "${ERP_CLIENT_ID}",
            client_secret: "${ERP_CLIENT_SECRET}", scope: "https://api.businesscentral.dynamics.com/.default" }
    limits: { concurrency: 4, page: "${ERP_PAGE:-500}" }
  crm:
    adapter: dataverse
    url: ${CRM_URL}
    auth: { type: oauth2, token_url: "${CRM_TOKEN_URL}", client_id: "${CRM_CLIENT_ID}",
            client_secret: "${CRM_CLIENT_SECRET}", scope: "${CRM_URL}/.default" }

state: ${PIPELINE_STATE:-sqlite:state/full.db}

defaults: { create: none, guard: { create: 2000, delete: 0.5% }, on_conflict: hold, on_delete: hold }

tables:
  salespeople:
    erp: { table: salespeoplePurchasers, label: code }
    crm: { table: systemusers, label: internalemailaddress, filter: "isdisabled = false" }
    direction: to_erp
    create: to_erp
    match:
      - by: { email: internalemailaddress }
    on_create:
      - { side: erp, set: { code: "next_number('SP NO. ', 5)" } }
    fields:
      - { erp: displayName, crm: fullname }
      - { erp: email, crm: internalemailaddress }

  currencies:
    erp: { table: currencies, label: code }
    crm: { table: transactioncurrencies, label: isocurrencycode }
    direction: to_crm
    fields:
      - { erp: code, crm: isocurrencycode }

  customers:
    erp: { table: customers, label: number, filter: "blocked = ''" }
    crm: { table: accounts, label: accountnumber, filter: "customertypecode = 3 AND statecode = 0" }
    direction: both
    create: both
    after: [currencies]
    match:
      - by: { number: accountnumber }
      - by: { displayName: name, city: address1_city }
        case_sensitive: true
    first_sync: erp
    on_conflict: hold
    on_delete: hold
    on_create:
      - { side: crm, if: "region = 'London'", set: { industrycode: 12, ratio: 1.50, open: true, description: "'from ' || city || county" } }
    fields:
      - { erp: number, crm: accountnumber, direction: to_crm }
      - { erp: displayName, crm: name }
      - { erp: phoneNumber, crm: telephone1, blank: keep, fit: reject }
      - { erp: email, crm: emailaddress1, to_crm: "LOWER(TRIM(email))" }
      - { erp: creditLimit, crm: creditlimit, on_conflict: erp, first_sync: hold }
      - { erp: paymentTerm/code, crm: paymenttermscode, values: { "30 DAYS": 1, "14 DAYS": 2 } }
      - { erp: salespersonCode, crm: ownerid, ref: { table: salespeople, erp: code }, on_unresolved: fail }
      - { erp: currencyCode, crm: transactioncurrencyid, ref: { table: currencies, erp: code, crm: isocurrencycode } }
      - { crm: customertypecode, value: 3, drift: restore }
      - { crm: description, to_crm: "displayName || ' in ' || city", when: create }
      - { erp: taxLiable, crm: new_taxable, values: { true: "Yes", "false": "No", "": 007 } }
"#;

fn env(name: &str) -> Option<String> {
    let value = match name {
        "ERP_URL" => "http://127.0.0.1:8080/t/production",
        "CRM_URL" => "https://org.crm4.dynamics.com",
        "ERP_TOKEN_URL" | "CRM_TOKEN_URL" => "https://login.example/oauth2/v2.0/token",
        "ERP_CLIENT_ID" | "CRM_CLIENT_ID" => "client",
        "ERP_CLIENT_SECRET" | "CRM_CLIENT_SECRET" => "hush-hush",
        "ERP_COMPANY" => "2024",
        "SHOUT" => "hush-hush",
        _ => return None,
    };
    Some(value.to_owned())
}

fn told(checked: &Checked) -> String {
    checked.complaints.iter().map(Complaint::to_string).collect::<Vec<_>>().join("\n")
}

/// Checks [`FULL`] with one piece of its text replaced.
fn changed(from: &str, to: &str) -> Checked {
    assert_eq!(FULL.matches(from).count(), 1, "`{from}` stands in the file once");
    check(&FULL.replace(from, to), "full.yaml", &env, Purpose::Run)
}

fn full() -> Pipeline {
    let checked = check(FULL, "full.yaml", &env, Purpose::Run);
    assert_eq!(told(&checked), "");
    checked.pipeline.expect("nothing is wrong")
}

#[test]
fn the_connections_mean_what_is_written() {
    let pipeline = full();
    assert_eq!((pipeline.name.as_str(), pipeline.state.as_str()), ("full", "sqlite:state/full.db"));
    assert!(pipeline.keep_values);
    let erp = &pipeline.connections.erp;
    assert_eq!(erp.url, "http://127.0.0.1:8080/t/production");
    assert_eq!(erp.company.as_deref(), Some("2024"));
    let proof = &erp.auth.client_credentials().unwrap().proof;
    assert!(matches!(proof, Proof::Secret(SecretSource::Given(secret)) if secret.reveal() == "hush-hush"));
    let limits = crate::config::Limits { concurrency: 4, requests: 6000, per_seconds: 300, batch: 100, page: 500 };
    assert_eq!(erp.limits, limits);
    let crm = &pipeline.connections.crm;
    assert_eq!((crm.limits.concurrency, crm.limits.batch, crm.limits.page), (52, 1000, 5000));
    assert_eq!(crm.auth.client_credentials().unwrap().scope, "https://org.crm4.dynamics.com/.default");
}

#[test]
fn the_table_maps_mean_what_is_written() {
    let pipeline = full();
    let names: Vec<&str> = pipeline.tables.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(names, ["salespeople", "currencies", "customers"]);
    let [salespeople, currencies, customers] = &pipeline.tables[..] else { unreachable!("three tables") };
    assert_eq!((salespeople.direction, salespeople.create), (Direction::ToErp, Create::ToErp));
    let set = &salespeople.on_create[0].set[0];
    assert!(matches!(&set.1, TemplateValue::NextNumber { prefix, digits: 5 } if prefix == "SP NO. "));
    let disabled = Predicate::Compare {
        column: "isdisabled".into(),
        comparison: Comparison::Equal,
        literal: Literal::Boolean(false),
    };
    assert_eq!(salespeople.sides.crm.filter.as_ref().and_then(|filter| filter.predicate()), Some(&disabled));
    assert_eq!((currencies.create, currencies.first_sync), (Create::None, None));
    assert_eq!((customers.create, customers.first_sync), (Create::Both, Some(Policy::Erp)));
    assert_eq!(customers.after, ["currencies"]);
    assert_eq!(customers.match_rules[1].by, [("displayName", "name"), ("city", "address1_city")].map(own));
    assert!(customers.match_rules[1].case_sensitive && !customers.match_rules[0].case_sensitive);
    let constants: Vec<String> = customers.on_create[0].set.iter().map(|(_, value)| format!("{value:?}")).collect();
    assert_eq!(constants[..3], ["Constant(Number(\"12\"))", "Constant(Number(\"1.50\"))", "Constant(Boolean(true))"]);
}

fn own((erp, crm): (&str, &str)) -> (String, String) {
    (erp.to_owned(), crm.to_owned())
}

#[test]
fn the_field_maps_mean_what_is_written() {
    let fields = full().tables.remove(2).fields;
    let directions: Vec<&str> = fields.iter().filter_map(|field| field.direction).map(Direction::key).collect();
    let expected = ["to_crm", "both", "both", "to_crm", "both", "to_crm", "both", "both", "to_crm", "to_crm", "both"];
    assert_eq!(directions, expected);
    assert_eq!((fields[4].on_conflict, fields[4].first_sync), (OnConflict::Erp, Some(Policy::Hold)));
    assert_eq!(fields[5].values, [("30 DAYS", "1"), ("14 DAYS", "2")].map(own));
    assert_eq!(fields[7].reference.as_ref().and_then(|reference| reference.crm.as_deref()), Some("isocurrencycode"));
    assert_eq!(fields[8].value, Some(Constant::Number("3".into())));
    assert_eq!((fields[9].when, fields[9].erp.as_deref()), (When::Create, None));
    assert_eq!(fields[10].values, [("true", "Yes"), ("false", "No"), ("", "007")].map(own));
}

#[test]
fn newest_drift_and_fit_mean_what_is_written() {
    let customers = |from: &str, to: &str| {
        let checked = changed(from, to);
        let told = told(&checked);
        checked.pipeline.unwrap_or_else(|| panic!("{told}")).tables.remove(2)
    };
    let map = customers("on_conflict: hold\n", "on_conflict: newest\n");
    assert_eq!((map.on_conflict, map.compares_times()), (OnConflict::Newest, true));
    // A field's own policy comes first, and what goes one way is never contested.
    let compares: Vec<&str> = map.fields.iter().filter(|field| field.compares_times()).map(FieldMap::name).collect();
    assert_eq!(compares, ["displayName", "phoneNumber", "salespersonCode", "currencyCode", "taxLiable"]);
    let map = customers("on_conflict: erp,", "on_conflict: newest,");
    assert_eq!((map.on_conflict, map.fields[4].on_conflict), (OnConflict::Hold, OnConflict::Newest));
    let map = customers("label: number,", "label: number, modified: changedAt,");
    assert_eq!((map.sides.erp.modified.as_deref(), map.compares_times()), (Some("changedAt"), false));
    assert_eq!(customers("fit: reject", "fit: truncate").fields[2].fit, Fit::Truncate);
    for (word, drift) in [("restore", Drift::Restore), ("leave", Drift::Leave), ("report", Drift::Report)] {
        assert_eq!(customers("drift: restore", &format!("drift: {word}")).fields[8].drift, drift);
    }
}

#[test]
fn the_columns_to_read_are_those_that_the_file_needs() {
    let pipeline = full();
    let check = |table: usize, side: Side, expected: &[&str]| {
        assert_eq!(columns::of(&pipeline.tables, table, side), expected, "{table} {side:?}");
    };
    check(0, Side::Erp, &["code", "email", "displayName"]);
    check(0, Side::Crm, &["internalemailaddress", "fullname", "isdisabled"]);
    check(1, Side::Crm, &["isocurrencycode"]);
    let erp = "number displayName city phoneNumber email creditLimit paymentTerm/code salespersonCode currencyCode \
               taxLiable blocked region county";
    check(2, Side::Erp, &erp.split_whitespace().collect::<Vec<_>>());
    let crm = "accountnumber name address1_city telephone1 emailaddress1 creditlimit paymenttermscode ownerid \
               transactioncurrencyid customertypecode description new_taxable statecode";
    check(2, Side::Crm, &crm.split_whitespace().collect::<Vec<_>>());
    let other = changed("erp: code, crm: isocurrencycode } }", "erp: displayName, crm: currencyname } }");
    let other = other.pipeline.expect("nothing is wrong");
    assert_eq!(columns::of(&other.tables, 1, Side::Erp), ["code", "displayName"]);
    assert_eq!(columns::of(&other.tables, 1, Side::Crm), ["isocurrencycode", "currencyname"]);
    assert_eq!(other.tables[1].columns(Side::Erp), ["code"]);
}

#[test]
fn a_company_with_an_apostrophe_stays_one_text() {
    let text = FULL.replace("filter: \"blocked = ''\"", "filter: \"displayName = '${NAME}' OR city = ${NAME}\"");
    let text = text.replace("city || county\"", "city || county || ${NAME}\"");
    let env = |name: &str| if name == "NAME" { Some("O'Neil & Söhne".to_owned()) } else { env(name) };
    let checked = check(&text, "full.yaml", &env, Purpose::Run);
    assert_eq!(told(&checked), "");
    let table = &checked.pipeline.expect("nothing is wrong").tables[2];
    let filter = table.sides.erp.filter.as_ref().expect("there is a filter");
    assert_eq!(filter.text(), "displayName = 'O''Neil & Söhne' OR city = 'O''Neil & Söhne'");
    let Some(Predicate::Any(parts)) = filter.predicate() else { panic!("{:?}", filter.predicate()) };
    for part in parts {
        let Predicate::Compare { literal, .. } = part else { panic!("{part:?}") };
        assert_eq!(*literal, Literal::Text("O'Neil & Söhne".into()));
    }
    let (_, TemplateValue::Expression(set)) = &table.on_create[0].set[3] else { panic!("{:?}", table.on_create) };
    assert_eq!(set.text(), "'from ' || city || county || 'O''Neil & Söhne'");
}

#[test]
fn words_that_other_yaml_readers_take_for_booleans_are_words() {
    assert_eq!(changed("{ create: none,", "{ create: none, first_sync: hold,").complaints, []);
    assert_eq!(changed("\"14 DAYS\": 2 }", "off: 1, no: no }").complaints, []);
    let checked = changed("{ create: none,", "{ create: no,");
    let message = "full.yaml:20:21: defaults.create: `no` is not `none`, `to_crm`, `to_erp` or `both`";
    assert_eq!(told(&checked), format!("{message}\n  hint: did you mean `none`?"));
}

/// What is changed in [`FULL`], and what it becomes.
const REFUSED: &[(&str, &[(&str, &str)])] = &[
    (
        "unknown keys",
        &[
            ("first_sync: erp\n", "frist_sync: erp\n"),
            ("name: full", "name: full\nspeed: 3"),
            ("label: number,", "label: number, colour: red,"),
            ("{ erp: displayName, crm: name }", "{ erp: displayName, crm: name, dir: to_crm }"),
            ("on_delete: hold }", "on_delete: hold, fields: [] }"),
            ("on_delete: hold\n", "features: { bulk: off }\n"),
            ("label: number,", "label: number, case_sensitive: true,"),
            ("name: full", "name: full\nfirst_sync: erp"),
        ],
    ),
    (
        "duplicate keys",
        &[
            ("name: full", "name: full\nname: other"),
            ("label: number,", "label: number, label: number,"),
            ("  currencies:\n    erp", "  customers:\n    erp"),
        ],
    ),
    (
        "what is not YAML, or not ours",
        &[
            ("url: ${CRM_URL}", "url: ${CRM_URL}\n   adapter: x"),
            ("client_id: \"${ERP_CLIENT_ID}\"", "client_id: ${ERP_CLIENT_ID}"),
            ("name: full", "name: &anchor full"),
            ("name: full", "name: !!str full"),
            ("label: number,", "label: *number,"),
            ("label: number,", "[a]: b,"),
            ("name: full", "name: full\n---\nname: other"),
        ],
    ),
    (
        "wrong types and unknown words",
        &[
            ("version: 1\n", "version: one\n"),
            ("version: 1\n", "version: 2\n"),
            ("name: full", "name: 2024"),
            ("after: [currencies]", "after: currencies"),
            ("after: [currencies]", "after: [5, [currencies], ~]"),
            ("label: number,", "label: [number],"),
            ("case_sensitive: true", "case_sensitive: yes"),
            ("first_sync: erp\n", "first_sync: ERP\n"),
            ("direction: both\n", "direction: to_cmr\n"),
            ("direction: both\n", "direction: sideways\n"),
            ("first_sync: erp\n", "first_sync: both\n"),
            ("direction: both\n", "direction: { to: crm }\n"),
            ("direction: both\n", "direction: true\n"),
            ("concurrency: 4", "concurrency: 4.5"),
            ("      - { erp: displayName, crm: name }\n", "      - displayName\n"),
            ("      - { erp: displayName, crm: name }\n", "      -\n"),
            ("type: oauth2, token_url: \"${ERP", "type: basic, token_url: \"${ERP"),
            ("value: 3,", "value: [3],"),
        ],
    ),
    (
        "ways to log in",
        &[
            ("client_secret: \"${ERP_CLIENT_SECRET}\", ", ""),
            ("client_secret: \"${ERP", "certificate: a.pem, client_secret: \"${ERP"),
            ("client_secret: \"${ERP", "client_secret_file: a, client_secret: \"${ERP"),
            ("client_secret: \"${CRM", "token_file: a, client_secret: \"${CRM"),
            ("{ type: oauth2, token_url: \"${CRM_TOKEN_URL}\", client_id: \"${CRM_CLIENT_ID}\",", "{ type: bearer,"),
            ("client_secret: \"${ERP_CLIENT_SECRET}\", ", "client_secret: [], "),
            ("client_secret: \"${ERP_CLIENT_SECRET}\", ", "client_secret_file: \"\", "),
            ("client_secret: \"${ERP_CLIENT_SECRET}\", ", "certificate: \" \", "),
            ("    adapter: dataverse", "    ca_file: ''\n    adapter: dataverse"),
        ],
    ),
    (
        "what is not built yet",
        &[
            ("name: full", "name: full\nschedule: \"0 2 * * *\""),
            ("adapter: business-central", "adapter: business-central\n    features: { bulk: auto }"),
            ("adapter: business-central", "adapter: business-central\n    features: { change_tracking: auto }"),
            ("adapter: dataverse", "adapter: dataverse\n    features: { change_tracking: never }"),
            ("adapter: dataverse", "adapter: dataverse\n    features: { custom_logic: skip }"),
            (
                "adapter: business-central",
                "adapter: business-central\n    features: { custom_logic: run, flows: bypass }",
            ),
            (
                "adapter: business-central",
                "adapter: business-central\n    act_as: 8ba1f1d2-0000-4000-8000-000000000001",
            ),
            ("adapter: dataverse", "adapter: dataverse\n    act_as: someone@example.com"),
            ("sqlite:state/full.db", "postgres://host/db"),
        ],
    ),
    (
        "keys and logins",
        &[
            ("label: number,", "label: number, key: \"a b\","),
            ("label: accountnumber,", "label: accountnumber, key: accountid,"),
            ("label: number,", "label: number, options: { blocked: [] },"),
            ("label: accountnumber,", "label: accountnumber, options: { statecode: [Active] },"),
            ("url: ${ERP_URL}/", "url: https://erp.example/NAV/ODataV4"),
            ("adapter: business-central", "adapter: odata"),
            ("adapter: dataverse", "adapter: nav"),
            ("auth: { type: oauth2, token_url: \"${ERP", "auth: { type: basic, user: \"A:B\", token_url: \"${ERP"),
            (
                "auth: { type: oauth2, token_url: \"${CRM",
                "auth: { type: basic, user: A, password: B, token_url: \"${CRM",
            ),
            ("auth: { type: oauth2, token_url: \"${CRM", "auth: { type: oauth2, user: A, token_url: \"${CRM"),
        ],
    ),
    (
        "deletions and guards",
        &[
            ("on_delete: hold\n", "on_delete: remove\n"),
            ("    direction: to_crm\n", "    direction: to_crm\n    on_delete: restore\n"),
            ("    direction: to_crm\n", "    direction: to_crm\n    on_delete: delete\n"),
            ("on_conflict: hold\n", "guard: 5%\n"),
            ("on_conflict: hold\n", "guard: { creat: 5, update: 5 %%, delete: 101% }\n"),
            ("on_conflict: hold\n", "guard: { create: -1, update: 0.001%, delete: \"${SHOUT}\" }\n"),
        ],
    ),
    (
        "connections",
        &[
            ("adapter: business-central", "adapter: dataverse"),
            ("    adapter: dataverse\n", ""),
            ("    company: ${ERP_COMPANY:-CRONUS International Ltd.}\n", ""),
            ("adapter: dataverse", "adapter: dataverse\n    company: A"),
            ("url: ${ERP_URL}/", "url: http://erp.example"),
            ("url: ${ERP_URL}/", "url: ${ERP_CLIENT_SECRET}"),
            ("url: ${ERP_URL}/", "url: https://erp.example/api/v2.0"),
            ("token_url: \"${CRM_TOKEN_URL}\"", "token_url: \"http://login.example\""),
            ("concurrency: 4", "concurrency: 0, batch: 101"),
            ("concurrency: 4", "concurrency: 1001, per_seconds: 9223372036854775807"),
            ("${ERP_PAGE:-500}", "${ERP_PAGE:-20001}"),
            ("${ERP_PAGE:-500}", "${SHOUT}"),
            ("sqlite:state/full.db", "state/full.db"),
            ("adapter: dataverse", "adapter: ${SHOUT}"),
        ],
    ),
    (
        "variables",
        &[
            ("url: ${ERP_URL}/", "url: ${ERP_ADDRESS}/${ERP_TENANT}"),
            ("url: ${ERP_URL}/", "url: ${ERP-URL}"),
            ("url: ${ERP_URL}/", "url: \"${ERP_URL\""),
            ("filter: \"blocked = ''\"", "filter: \"blocked = ''${SHOUT}'\""),
            ("label: number,", "label: \"${SHOUT}\","),
        ],
    ),
    (
        "tables",
        &[
            ("after: [currencies]", "after: [curencies, nowhere]"),
            ("ref: { table: salespeople, erp: code }", "ref: { table: salespersons, erp: code }"),
            (
                "    fields:\n      - { erp: code, crm: isocurrencycode }\n",
                "    fields:\n      - { erp: code, crm: isocurrencycode }\n    after: [customers]\n",
            ),
            ("after: [currencies]", "after: [customers]"),
            ("    direction: to_crm\n", ""),
            ("table: customers,", "table: \"customers?$top=1\","),
            ("table: customers,", "table: a/b,"),
            ("table: accounts,", "table: api/v9.2/accounts,"),
            ("  customers:", "  my customers:"),
            ("    fields:\n      - { erp: code, crm: isocurrencycode }\n", ""),
            ("    fields:\n      - { erp: code, crm: isocurrencycode }\n", "    fields: []\n"),
            ("by: { number: accountnumber }", "by: {}"),
            ("by: { number: accountnumber }", "by: { number: \"account number\" }"),
        ],
    ),
    (
        "directions",
        &[
            ("    create: to_erp\n", "    create: both\n"),
            ("{ erp: displayName, crm: fullname }", "{ erp: displayName, crm: fullname, direction: to_crm }"),
            ("{ erp: displayName, crm: fullname }", "{ erp: displayName, crm: fullname, direction: both }"),
            (
                "{ erp: displayName, crm: fullname }",
                "{ erp: displayName, crm: fullname, to_crm: \"UPPER(displayName)\" }",
            ),
            ("{ erp: displayName, crm: fullname }", "{ crm: fullname, value: X }"),
            (
                "{ erp: displayName, crm: name }",
                "{ erp: displayName, crm: name, direction: to_crm, to_crm: \"displayName\", to_erp: \"name\" }",
            ),
            ("crm: paymenttermscode,", "crm: paymenttermscode, direction: both,"),
            ("{ erp: displayName, crm: fullname }", "{ erp: name/first, crm: fullname }"),
            ("value: 3,", "value: 3, direction: to_erp,"),
            (
                "direction: to_crm }\n      - { erp: displayName",
                "direction: to_crm, first_sync: crm }\n      - { erp: displayName",
            ),
            (
                "direction: to_crm }\n      - { erp: displayName",
                "direction: to_crm, on_conflict: erp }\n      - { erp: displayName",
            ),
            ("side: crm, if", "side: erp, if"),
            ("side: erp, set", "side: crm, set"),
            ("    direction: to_crm\n", "    direction: to_crm\n    on_conflict: erp\n"),
        ],
    ),
    (
        "field maps",
        &[
            ("{ erp: displayName, crm: name }", "{ erp: displayName }"),
            ("{ erp: displayName, crm: name }", "{ direction: both }"),
            ("{ erp: displayName, crm: name }", "{ erp: displayName, crm: name, value: X }"),
            ("{ erp: displayName, crm: name }", "{ crm: name, to_erp: \"name\" }"),
            ("{ erp: displayName, crm: name }", "{ crm: name, to_crm: \"displayName\", value: X }"),
            ("{ erp: displayName, crm: name }", "{ erp: display name, crm: name }"),
            ("{ true: \"Yes\"", "{ maybe: \"Yes\", true: \"Yes\""),
            ("crm: paymenttermscode,", "crm: paymenttermscode, to_crm: \"UPPER(number)\","),
            ("{ erp: displayName, crm: name }", "{ erp: displayName, crm: name, on_unresolved: keep }"),
            ("{ erp: displayName, crm: name }", "{ erp: displayName, crm: telephone1 }"),
            ("{ erp: displayName, crm: name }", "{ erp: phoneNumber, crm: telephone1, direction: to_crm }"),
            ("value: 3,", "value: 3, blank: keep,"),
            (
                "      - { erp: code, crm: isocurrencycode }",
                "      - { erp: code, crm: isocurrencycode, when: create }",
            ),
            (
                "ref: { table: salespeople, erp: code }",
                "ref: { table: salespeople }, to_erp: \"ownerid\", to_crm: \"number\"",
            ),
            (
                "{ erp: displayName, crm: name }",
                "{ erp: displayName, value: X, ref: { table: currencies, erp: code } }",
            ),
        ],
    ),
    (
        "newest, drift and fit",
        &[
            ("first_sync: erp\n", "first_sync: newest\n"),
            ("first_sync: hold", "first_sync: newest"),
            ("on_delete: hold }", "on_delete: hold, first_sync: newest }"),
            ("label: number,", "label: number, modified: \"changed at\","),
            ("{ erp: displayName, crm: name }", "{ erp: displayName, crm: name, drift: leave }"),
            ("city\", when: create", "city\", when: create, drift: report"),
            ("value: 3, drift: restore", "value: 3, fit: truncate"),
            ("on_unresolved: fail", "on_unresolved: fail, fit: truncate"),
            ("\"14 DAYS\": 2 }", "\"14 DAYS\": 2 }, fit: truncate"),
        ],
    ),
    (
        "SQL",
        &[
            ("\"LOWER(TRIM(email))\"", "\"LOWER(TRIM(email)\""),
            ("\"LOWER(TRIM(email))\"", "\"LOWERR(TRIM(email))\""),
            ("\"LOWER(TRIM(email))\"", "\"LOWER(emailaddress1)\""),
            ("\"region = 'London'\"", "\"address1_city = 'London' AND telephone1 IS NULL\""),
            ("filter: \"blocked = ''\"", "filter: \"statuscode = 1 AND accountnumber <> ''\""),
            ("filter: \"blocked = ''\"", "filter: \"paymentTerm/code = 'X'\""),
            ("filter: \"blocked = ''\"", "filter: \"\""),
            ("code: \"next_number('SP NO. ', 5)\"", "code: \"next_number('SP NO. ')\""),
            ("description: \"'from ' || city || county\"", "description: from, name/x: 1"),
        ],
    ),
];

#[test]
fn each_mistake_is_refused_in_its_place() {
    let mut text = String::new();
    for (subject, changes) in REFUSED {
        text += &format!("## {subject}\n");
        for (from, to) in *changes {
            let checked = changed(from, to);
            assert!(checked.pipeline.is_none() || !checked.complaints.is_empty(), "{to}");
            text += &format!("\n{}\n{}\n", to.trim(), told(&checked));
        }
        text += "\n";
    }
    assert!(!text.contains("hush-hush"), "a complaint repeats what a variable gave");
    insta::assert_snapshot!(text);
}

#[test]
fn a_missing_variable_is_a_warning_of_check_and_an_error_of_run() {
    let none = |_: &str| None;
    let checked = check(FULL, "full.yaml", &none, Purpose::Check);
    assert!(checked.complaints.iter().all(|complaint| complaint.severity == Severity::Warning));
    assert!(checked.pipeline.is_some());
    insta::assert_snapshot!("missing_variables", told(&checked));
    let run = check(FULL, "full.yaml", &none, Purpose::Run);
    assert!(run.pipeline.is_none());
    assert!(run.complaints.iter().all(|complaint| complaint.severity == Severity::Error));
    assert_eq!(run.complaints.len(), checked.complaints.len());
}

#[test]
fn a_file_full_of_mistakes_is_told_in_one_go() {
    let text = r#"version: 3
naem: full
connections:
  erp:
    adapter: businesscentral
    url: ftp://erp.example
    company: [CRONUS]
    auth: { type: oauth2, token_url: "${TOKEN_URL}", client_secret: 5, scope: x }
    limits: { batch: 1000, pages: 5 }
state: here
keep_values: maybe
defaults: { create: sometimes, guard: 5 }
tables:
  a:
    erp: { table: customers, filter: "LOWR(name) = 'x'" }
    crm: { filter: "statecode = " }
    direction: to_both
    after: [b, c, a]
    match:
      - { by: { number: accountnumber }, case: true }
      - by: [number]
    fields:
      - { erp: number, crm: accountnumber, on_delete: hold }
      - { erp: name, crm: accountnumber, to_crm: "UPPER(accountnumber)", to_crm: "x" }
      - { erp: a, crm: b, values: { x: { y: z } }, ref: { tabel: b }, fit: truncate }
      - { crm: c, value: 1, when: always }
      - 7
  b:
    erp: { table: items }
    crm: { table: products }
    direction: to_crm
    after: [a]
    on_create:
      - { side: left, set: { x: "SUM(y)" } }
      - { side: crm, set: { x: "SUM(y)", z: nothing( } }
    fields: nothing
"#;
    let checked = check(text, "wrong.yaml", &env, Purpose::Run);
    assert!(checked.pipeline.is_none());
    insta::assert_snapshot!(told(&checked));
}

/// Nor is it repeated by whoever complains about it.
#[test]
fn a_secret_comes_from_a_variable_or_a_file() {
    let basic = |secret: &str| {
        let (from, to) = ("type: oauth2", format!("type: basic, user: NAV, password: {secret}"));
        let at = FULL.find(from).unwrap();
        let end = at + FULL[at..].find(" }").unwrap();
        check(&format!("{}{to}{}", &FULL[..at], &FULL[end..]), "full.yaml", &secrets, Purpose::Run)
    };
    fn secrets(name: &str) -> Option<String> {
        match name {
            "ENDED" => Some("hush hush\r\n".to_owned()),
            "LINES" => Some("hush\nhush".to_owned()),
            name => env(name),
        }
    }
    let given = |secret: &str| {
        let text = FULL.replacen("client_secret: \"${ERP_CLIENT_SECRET}\"", &format!("client_secret: {secret}"), 1);
        assert_ne!(text, FULL);
        check(&text, "full.yaml", &secrets, Purpose::Run)
    };
    for (secret, expected) in [
        ("plain", "stands in this file itself, for everybody who may read it"),
        ("\"begun${ERP_CLIENT_SECRET}\"", "stands in this file itself, for everybody who may read it"),
        ("\"${ERP_CLIENT_SECRET:-words}\"", "stands in this file itself, for everybody who may read it"),
        ("\"begun${NONE}\"", "stands in this file itself, for everybody who may read it"),
        ("\"${LINES}\"", "its variable holds more than one line"),
    ] {
        for checked in [given(secret), basic(secret)] {
            let told = told(&checked);
            assert!(told.contains(expected) && checked.pipeline.is_none(), "{secret}: {told}");
            assert!(["plain", "begun", "words", "hush"].iter().all(|part| !told.contains(part)), "{told}");
        }
    }
    // As a block of its own gives it.
    assert_eq!(told(&given("\"${ENDED}\\n\"")), "");
    let Some(Auth::OAuth2(credentials)) = given("\"${ENDED}\"").pipeline.map(|pipeline| pipeline.connections.erp.auth)
    else {
        panic!("it is a secret")
    };
    let Proof::Secret(SecretSource::Given(secret)) = credentials.proof else { panic!("it is given") };
    assert_eq!(secret.reveal(), "hush hush", "the end of its line is none of it");
}

#[test]
fn what_nothing_is_wrong_with_can_be_used() {
    let names = |tables: &[TableMap]| tables.iter().map(|map| map.name.clone()).collect::<Vec<_>>().join(" ");
    let all = names(&full().tables);
    for (from, to, tables, broken, sides) in [
        ("after: [currencies]", "after: [curencies]", "salespeople currencies", "customers", "erp crm"),
        // Where a default is wrong, so is who takes it from there.
        ("defaults: {", "defaults: { match: [ { by: 5 } ],", "salespeople customers", "currencies", "erp crm"),
        ("defaults: {", "defaults: { unheard_of: 1,", "", all.as_str(), "erp crm"),
        ("url: ${ERP_URL}/", "url: nowhere", all.as_str(), "", "crm"),
        ("url: ${ERP_URL}/", "url: ${NONE}", all.as_str(), "", "crm"),
        ("version: 1", "version: 2", all.as_str(), "", "erp crm"),
    ] {
        let checked = changed(from, to);
        assert!(checked.pipeline.is_none(), "{to}");
        let rest = checked.rest;
        assert_eq!((names(&rest.tables).as_str(), rest.broken.join(" ").as_str()), (tables, broken), "{to}");
        let known = Side::BOTH.into_iter().filter(|side| rest.connections.of(*side).is_some()).map(Side::key);
        assert_eq!(known.collect::<Vec<_>>().join(" "), sides, "{to}");
    }
    assert_eq!(changed("sqlite:state/full.db", "postgres://x").rest.state, None);
    assert_eq!(check("tables: [", "full.yaml", &env, Purpose::Run).rest.tables.len(), 0);
}

#[test]
fn no_text_makes_the_check_panic() {
    let ends = (0..FULL.len()).step_by(29).filter(|end| FULL.is_char_boundary(*end));
    let begun = ends.map(|end| FULL[..end].to_owned());
    let lines: Vec<&str> = FULL.lines().collect();
    let gaps = (0..lines.len()).map(|gap| [&lines[..gap], &lines[gap + 1..]].concat().join("\n"));
    let odd = [
        "",
        "~",
        "5",
        "[]",
        "{}",
        "- a",
        "? a",
        "a: &b [*b]",
        "\u{feff}version: 1",
        "a: |\n\tb",
        "\0",
        "tables: { a: ~ }",
    ];
    let deep = "[".repeat(1000);
    for text in begun.chain(gaps).chain(odd.map(str::to_owned)).chain([deep]) {
        let checked = check(&text, "full.yaml", &env, Purpose::Run);
        assert!(checked.pipeline.is_some() || !checked.complaints.is_empty(), "{text}");
    }
}

#[test]
fn a_guard_takes_what_it_does_not_say_from_the_defaults() {
    let number = |number| Some(Limit::Number(number));
    let share = |share| Some(Limit::Share(share));
    for (default, own, expected) in [
        ("", "", Guard { create: None, update: share(5_000), delete: share(500) }),
        (
            "",
            "guard: { create: 7, delete: \"3\" }",
            Guard { create: number(7), update: share(5_000), delete: number(3) },
        ),
        ("guard: { update: 12.5%, delete: 0% }, ", "guard: { delete: 100 % }", {
            Guard { create: None, update: share(1_250), delete: share(10_000) }
        }),
    ] {
        let text = FULL
            .replace("guard: { create: 2000, delete: 0.5% }, ", default)
            .replace("    on_delete: hold\n", &format!("    on_delete: uncouple\n    {own}\n"));
        let checked = check(&text, "full.yaml", &env, Purpose::Run);
        let pipeline = checked.pipeline.unwrap_or_else(|| panic!("{:#?}", checked.complaints));
        let customers = pipeline.tables.iter().find(|table| table.name == "customers").unwrap();
        assert_eq!((customers.guard, customers.on_delete), (expected, OnDelete::Uncouple), "{default} {own}");
        assert_eq!(pipeline.tables[0].on_delete, OnDelete::Hold);
    }
    assert_eq!([1_250, 500, 5, 125].map(|share| Limit::Share(share).to_string()), ["12.5%", "5%", "0.05%", "1.25%"]);
}

#[test]
fn a_constant_that_its_filter_leaves_out_is_a_warning() {
    let warned = |from: &str, to: &str| {
        let checked = changed(from, to);
        assert!(checked.pipeline.is_some(), "{:#?}", checked.complaints);
        let lines = checked.complaints.iter().map(|complaint| {
            assert_eq!(complaint.severity, Severity::Warning);
            format!("{}: {}", complaint.path, complaint.message)
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(warned("customertypecode, value: 3", "customertypecode, value: 3.0"), "");
    let lets_in = "tables.customers.crm.filter: lets in no record that this table map makes";
    let told = warned("customertypecode, value: 3", "customertypecode, value: 10");
    assert_eq!(told.split(": `").next(), Some(lets_in), "{told}");
    assert!(told.contains("gives `customertypecode` another value than the filter asks for"), "{told}");
}

#[test]
fn what_is_only_made_anew_has_templates() {
    let text = FULL.replace("    create: to_erp\n", "    create: none\n    on_delete: restore\n");
    let checked = check(&text, "full.yaml", &env, Purpose::Run);
    let pipeline = checked.pipeline.unwrap_or_else(|| panic!("{:#?}", checked.complaints));
    assert_eq!((pipeline.tables[0].create, pipeline.tables[0].on_create.len()), (Create::None, 1));
}
