//! Reading through both adapters, over HTTP from the fakes: what is read is what is there, whatever the wire does.

use std::cell::RefCell;
use std::collections::HashSet;

use mocks::fault::{Fault, Faults};
use pipeline::config::expression::{Comparison, Literal, Predicate};
use pipeline::config::{Connection, Features, Limits, Proof, SecretSource, Side};
use pipeline::endpoint::{EndpointError, Query, Tracked};
use pipeline::frame::{Frame, Value};
use serde_json::{Map, json};
use uuid::Uuid;

use crate::world::{RESOURCES, login, names, open, query, read, text, world};

/// Compares a column of a frame with what the fake holds, cell by cell.
fn assert_column(frame: &Frame, column: &str, records: &[Map<String, serde_json::Value>], property: &str, key: &str) {
    let ids = frame.ids();
    assert_eq!(ids.len(), records.len());
    for record in records {
        let id: Uuid = record[key].as_str().unwrap().parse().unwrap();
        let row = ids.iter().position(|other| *other == id).unwrap();
        let ours = frame.value(column, row);
        let theirs = record.get(property).unwrap_or(&serde_json::Value::Null);
        let same = match (&ours, theirs) {
            (Value::Null, theirs) => {
                theirs.is_null()
                    || theirs
                        .as_str()
                        .is_some_and(|text| text.starts_with("0001-01-01") || text.starts_with("00000000-"))
            }
            (Value::Decimal(ours), theirs) => theirs.to_string().parse() == Ok(*ours),
            (Value::DateTime(ours), theirs) => theirs.as_str().unwrap().parse() == Ok(*ours),
            (Value::Text(ours), theirs) => theirs.as_str().unwrap().replace("_x0020_", "") == *ours,
            (ours, serde_json::Value::String(theirs)) => *theirs == ours.to_string(),
            (ours, theirs) => ours.to_string() == *theirs.to_string(),
        };
        assert!(same, "{column} of {id}: {ours:?} is not {theirs}");
    }
}

#[test]
fn what_is_read_is_what_is_there() {
    let world = world();
    for (side, table, set, key, columns) in [
        (
            Side::Erp,
            "customers",
            "customers",
            "id",
            &["number", "displayName", "creditLimit", "blocked", "currencyId", "taxLiable", "lastModifiedDateTime"][..],
        ),
        (Side::Erp, "contacts", "contacts", "id", &["number", "type", "companyNumber", "email"]),
        (Side::Erp, "items", "items", "id", &["number", "unitPrice", "baseUnitOfMeasureCode", "type"]),
        (Side::Erp, RESOURCES, "resources", "id", &["number", "name", "unitPrice", "blocked"]),
        (Side::Erp, "salespeoplePurchasers", "salespeoplePurchasers", "id", &["code", "displayName", "email"]),
        (
            Side::Crm,
            "accounts",
            "accounts",
            "accountid",
            &["name", "creditlimit", "customertypecode", "statecode", "modifiedon"],
        ),
        (Side::Crm, "contacts", "contacts", "contactid", &["lastname", "emailaddress1", "fullname"]),
        (Side::Crm, "systemusers", "systemusers", "systemuserid", &["fullname", "isdisabled"]),
        (Side::Crm, "products", "products", "productid", &["productnumber", "price", "quantitydecimal"]),
        (Side::Crm, "uoms", "uoms", "uomid", &["name", "quantity", "isschedulebaseuom"]),
    ] {
        let frame = read(&*world.endpoint(side), table, columns);
        let records = world.records(side, set);
        assert!(!records.is_empty(), "the fake has no {set}");
        for column in columns {
            assert_column(&frame, column, &records, column, key);
        }
        assert!((0..frame.rows()).all(|row| frame.etag(row).is_some()), "{set} have versions");
    }
}

#[test]
fn lookups_and_navigations_are_read_by_our_names() {
    let world = world();
    let contacts =
        read(&*world.endpoint(Side::Crm), "contacts", &["parentcustomerid", "ownerid", "transactioncurrencyid"]);
    let records = world.records(Side::Crm, "contacts");
    for column in ["parentcustomerid", "ownerid", "transactioncurrencyid"] {
        assert_column(&contacts, column, &records, &format!("_{column}_value"), "contactid");
    }
    let customers = read(&*world.endpoint(Side::Erp), "customers", &["paymentTerm/code", "number"]);
    let terms = world.records(Side::Erp, "paymentTerms");
    let blank = (0..customers.rows()).filter(|row| customers.value("paymentTerm/code", *row) == text("")).count();
    assert!(blank < customers.rows(), "no customer has a payment term");
    let ids = customers.ids();
    for record in world.records(Side::Erp, "customers") {
        let row = ids.iter().position(|id| record["id"] == json!(id.to_string())).unwrap();
        let code = terms
            .iter()
            .find(|term| term["id"] == record["paymentTermsId"])
            .map_or("", |term| term["code"].as_str().unwrap());
        assert_eq!(customers.value("paymentTerm/code", row), text(code));
    }
}

#[test]
fn a_day_of_each_readers_zone_is_told_from_a_moment() {
    let world = world();
    let info = world.endpoint(Side::Crm).describe("accounts").unwrap();
    let local_day = |name: &str| info.column(name).unwrap().local_day;
    assert_eq!(["new_customersince", "modifiedon"].map(local_day), [true, false]);
}

#[test]
fn tables_are_described() {
    let world = world();
    let describe = |side: Side, table: &str, columns: &[&str]| -> String {
        let info = world.endpoint(side).describe(table).unwrap();
        let line = |name: &&str| {
            let column = info.column(name).unwrap_or_else(|| panic!("{table} has no {name}"));
            let writes = (column.insertable, column.updatable);
            let more = (column.length_max, column.options.len(), &column.targets);
            format!("{table}.{name}: {:?} {writes:?} {more:?}", column.column.kind)
        };
        columns.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    let lines = [
        describe(
            Side::Erp,
            "customers",
            &[
                "id",
                "number",
                "displayName",
                "blocked",
                "creditLimit",
                "balanceDue",
                "paymentTerm/code",
                "lastModifiedDateTime",
            ],
        ),
        describe(Side::Erp, RESOURCES, &["number", "type", "unitPrice", "baseUnitOfMeasure"]),
        describe(
            Side::Crm,
            "accounts",
            &["accountid", "name", "creditlimit", "ownerid", "customertypecode", "modifiedon", "primarycontactid"],
        ),
        describe(Side::Crm, "contacts", &["fullname", "parentcustomerid", "birthdate"]),
        describe(Side::Crm, "products", &["pricelevelid", "price", "defaultuomid"]),
        describe(Side::Crm, "pricelevels", &["begindate", "transactioncurrencyid"]),
    ];
    insta::assert_snapshot!(lines.join("\n"), @r#"
    customers.id: Guid (false, false) (None, 0, [])
    customers.number: Code (true, true) (Some(20), 0, [])
    customers.displayName: Text (true, true) (Some(100), 0, [])
    customers.blocked: Enum (true, true) (None, 4, [])
    customers.creditLimit: Decimal { scale: 10 } (true, true) (None, 0, [])
    customers.balanceDue: Decimal { scale: 10 } (false, false) (None, 0, [])
    customers.paymentTerm/code: Code (false, false) (Some(10), 0, [])
    customers.lastModifiedDateTime: DateTime (false, false) (None, 0, [])
    contoso/crm/v1.0/resources.number: Code (true, true) (Some(20), 0, [])
    contoso/crm/v1.0/resources.type: Enum (true, true) (None, 2, [])
    contoso/crm/v1.0/resources.unitPrice: Decimal { scale: 10 } (true, true) (None, 0, [])
    contoso/crm/v1.0/resources.baseUnitOfMeasure: Code (true, true) (Some(10), 0, [])
    accounts.accountid: Guid (false, false) (None, 0, [])
    accounts.name: Text (true, true) (Some(160), 0, [])
    accounts.creditlimit: Decimal { scale: 4 } (true, true) (None, 0, [])
    accounts.ownerid: Guid (true, true) (None, 0, ["systemusers", "teams"])
    accounts.customertypecode: Choice (true, true) (None, 12, [])
    accounts.modifiedon: DateTime (false, false) (None, 0, [])
    accounts.primarycontactid: Guid (true, true) (None, 0, ["contacts"])
    contacts.fullname: Text (false, false) (Some(160), 0, [])
    contacts.parentcustomerid: Guid (true, true) (None, 0, ["accounts", "contacts"])
    contacts.birthdate: Date (true, true) (None, 0, [])
    products.pricelevelid: Guid (false, true) (None, 0, ["pricelevels"])
    products.price: Decimal { scale: 4 } (true, true) (None, 0, [])
    products.defaultuomid: Guid (true, true) (None, 0, ["uoms"])
    pricelevels.begindate: Date (true, true) (None, 0, [])
    pricelevels.transactioncurrencyid: Guid (true, true) (None, 0, ["transactioncurrencies"])
    "#);
}

#[test]
fn pages_are_followed_to_the_end_and_progress_is_told() {
    let world = world();
    for (side, table) in [(Side::Erp, "customers"), (Side::Crm, "accounts")] {
        let endpoint = world.endpoint(side);
        let info = endpoint.describe(table).unwrap();
        let heard = RefCell::new(Vec::new());
        let column = info.columns[1].column.name.clone();
        let frame = endpoint.read(&query(&info, &[&column]), &|rows| heard.borrow_mut().push(rows)).unwrap();
        let heard = heard.into_inner();
        assert!(heard.len() > 2 && heard.windows(2).all(|pair| pair[0] <= pair[1]), "{heard:?}");
        assert_eq!(heard.last(), Some(&frame.rows()));
    }
}

#[test]
fn a_filter_is_pushed_as_far_as_the_side_goes() {
    let world = world();
    let is = |column: &str, comparison, literal| Predicate::Compare { column: column.into(), comparison, literal };
    let blank = || Literal::Text(String::new());
    type Holds = fn(&dyn Fn(&str) -> serde_json::Value) -> bool;
    let both = |one, other| Predicate::All(vec![one, other]);
    let unblocked = is("blocked", Comparison::Equal, blank());
    let person = is("type", Comparison::Equal, Literal::Text("Person".into()));
    let employed = is("companyNumber", Comparison::NotEqual, blank());
    let sold = is("blocked", Comparison::Equal, Literal::Boolean(false));
    let customer = is("customertypecode", Comparison::Equal, Literal::Number("3".into()));
    let active = is("statecode", Comparison::Equal, Literal::Number("0".into()));
    let child = Predicate::IsNotNull { column: "parentcustomerid".into() };
    let enabled = is("isdisabled", Comparison::Equal, Literal::Boolean(false));
    let cases: [(Side, &str, Predicate, Holds); 6] = [
        (Side::Erp, "customers", unblocked, |of| of("blocked") == "_x0020_"),
        (Side::Erp, "contacts", both(person, employed), |of| of("type") == "Person" && of("companyNumber") != ""),
        (Side::Erp, "items", sold, |of| of("blocked") == false),
        (Side::Crm, "accounts", both(customer, active), |of| of("customertypecode") == 3 && of("statecode") == 0),
        (Side::Crm, "contacts", child, |of| !of("_parentcustomerid_value").is_null()),
        (Side::Crm, "systemusers", enabled, |of| of("isdisabled") == false),
    ];
    for (side, table, filter, holds) in cases {
        let endpoint = world.endpoint(side);
        let info = endpoint.describe(table).unwrap();
        let query = Query { filter: Some(filter), ..query(&info, &[]) };
        let frame = endpoint.read(&query, &|_| {}).unwrap();
        let all = world.records(side, table);
        let of = |record: &Map<String, serde_json::Value>| {
            let record = record.clone();
            move |property: &str| record.get(property).cloned().unwrap_or_default()
        };
        let expected = all.iter().filter(|record| holds(&of(record))).count();
        assert_eq!(frame.rows(), expected, "{table}");
        assert!(expected > 0 && expected < all.len(), "{table}: {expected} of {}", all.len());
    }
}

#[test]
fn records_are_read_by_id_and_missing_ones_are_missing() {
    let world = world();
    for (side, table) in [(Side::Erp, "contacts"), (Side::Crm, "contacts")] {
        let endpoint = world.endpoint(side);
        let info = endpoint.describe(table).unwrap();
        let mut ids = read(&*endpoint, table, &[]).ids();
        let expected: HashSet<Uuid> = ids.iter().copied().collect();
        assert!(ids.len() > 300, "several lists are needed");
        ids.push(Uuid::from_u128(1));
        ids.push(ids[0]);
        let found = endpoint.read(&Query { ids: Some(ids), ..query(&info, &[]) }, &|_| {}).unwrap();
        assert_eq!(found.rows(), expected.len());
        assert_eq!(found.ids().into_iter().collect::<HashSet<_>>(), expected);
        let none = endpoint.read(&Query { ids: Some(Vec::new()), ..query(&info, &[]) }, &|_| {}).unwrap();
        assert_eq!(none.rows(), 0);
    }
}

/// One is asked for by itself, several go as batches, and one that is there after all speaks against the list (I7).
#[test]
fn a_record_that_a_list_left_out_is_asked_for_alone() {
    let world = world();
    for (side, table, requests) in [(Side::Erp, "contacts", 2), (Side::Crm, "contacts", 1)] {
        let endpoint = world.endpoint(side);
        let info = endpoint.describe(table).unwrap();
        let there = read(&*endpoint, table, &[]).ids()[0];
        let nobody: Vec<Uuid> = (1..=150).map(Uuid::from_u128).collect();
        for (missing, requests) in [(&nobody[..], requests), (&nobody[..1], 1), (&[], 0)] {
            let before = endpoint.line().traffic().sent;
            assert!(endpoint.hidden(&info, missing).unwrap().is_empty(), "{side:?}");
            assert_eq!(endpoint.line().traffic().sent - before, requests, "{side:?} {}", missing.len());
        }
        for missing in [vec![there], [&nobody[..9], &[there]].concat()] {
            let error = endpoint.hidden(&info, &missing).unwrap_err();
            let EndpointError::Untrusted { message, .. } = &error else { panic!("{error}") };
            assert!(message.contains(&there.to_string()), "{message}");
        }
    }
}

/// The ERP turns away a long address: a list of values that none takes is ours to look for, and lists of texts are cut.
#[test]
fn no_address_is_longer_than_the_erp_takes() {
    let world = world();
    for (connection, table, number, name) in
        [(world.connection(Side::Erp), "customers", "number", "displayName"), (world.nav(), "Customer", "No", "Name")]
    {
        let erp = open(Side::Erp, &connection);
        let info = erp.describe(table).unwrap();
        assert!(erp.gives_versions(&info), "{table}");
        let all = read(&*erp, table, &[number]).rows();
        let is = |text: String| Predicate::Compare {
            column: number.into(),
            comparison: Comparison::Equal,
            literal: Literal::Text(text),
        };
        let among = |count: usize| Predicate::Any((0..count).map(|count| is(format!("NUMBER {count:05}"))).collect());
        assert!(erp.evaluates(&info, &among(100)) && !erp.evaluates(&info, &among(600)), "{table}");
        let query = Query { filter: Some(among(600)), ..query(&info, &[number, name]) };
        assert_eq!(erp.read(&query, &|_| {}).unwrap().rows(), all, "{table}: it is filtered again here");
        let texts: Vec<String> = (0..130).map(|count| format!("{}{count:03}", "\u{c6}".repeat(17))).collect();
        let record = json!({"number": texts[129], "displayName": "Last"});
        world.erp.with(|state| state.insert("customers", record.as_object().unwrap())).unwrap();
        let before = world.erp.counts().requests;
        let found = erp.read_holding(&query, number, &texts).unwrap().unwrap();
        assert_eq!((found.rows(), found.value(name, 0).to_string()), (1, "Last".to_owned()), "{table}");
        assert!((2..6).contains(&(world.erp.counts().requests - before)), "{table}");
        // By their keys, which are as long.
        let nobody = if table == "Customer" {
            texts.iter().map(|text| info.id_of(std::slice::from_ref(text))).collect()
        } else {
            Vec::new()
        };
        let keys = nobody.iter().copied().zip(texts.iter().map(|text| vec![text.clone()]));
        erp.recall(&info, keys.collect());
        let ids = Query { ids: Some([nobody, found.ids()].concat()), filter: None, ..query.clone() };
        assert_eq!(erp.read(&ids, &|_| {}).unwrap().ids(), found.ids(), "{table}");
        world.erp.with(|state| state.find("customers", "displayName", "Last").map(|id| state.delete("customers", id)));
    }
}

/// Many ids are lists in one batch; a filter that would make an address too long is not sent.
#[test]
fn lists_of_ids_are_few_requests_that_the_crm_takes() {
    let world = world();
    let connection = world.connection(Side::Crm);
    let limits = Limits { page: 5_000, ..connection.limits };
    let crm = open(Side::Crm, &Connection { limits, ..connection });
    let info = crm.describe("contacts").unwrap();
    let mut ids = read(&*crm, "contacts", &[]).ids();
    let count = ids.len();
    ids.extend((0..2_000).map(Uuid::from_u128));
    let named = |text: String| Predicate::Compare {
        column: "lastname".into(),
        comparison: Comparison::NotEqual,
        literal: Literal::Text(text),
    };
    for (filter, requests) in [(None, 2), (Some(named("x".repeat(5_000))), 2), (Some(named("ø".repeat(6_000))), 2)] {
        let before = world.crm.counts().requests;
        let query = Query { ids: Some(ids.clone()), filter: filter.clone(), ..query(&info, &["lastname"]) };
        assert_eq!(crm.read(&query, &|_| {}).unwrap().rows(), count);
        assert_eq!(world.crm.counts().requests - before, requests);
        // Without ids as well.
        let query = Query { ids: None, ..query };
        assert_eq!(crm.read(&query, &|_| {}).unwrap().rows(), count);
    }
}

#[test]
fn reads_outlast_the_faults_of_the_wire() {
    let world = world();
    for (side, table) in [(Side::Erp, "customers"), (Side::Crm, "accounts")] {
        let endpoint = world.endpoint(side);
        let info = endpoint.describe(table).unwrap();
        let whole = endpoint.read(&query(&info, &[]), &|_| {}).unwrap().ids();
        for fault in [Fault::Throttled, Fault::ThrottledPlain, Fault::ExpiredToken, Fault::TruncatedPage] {
            // One that remembers no earlier refusals.
            let endpoint = world.endpoint(side);
            endpoint.describe(table).unwrap();
            let before = endpoint.line().traffic();
            world.set_faults(side, Faults::once(fault, 2));
            let ids = endpoint.read(&query(&info, &[]), &|_| {}).unwrap().ids();
            assert_eq!(ids, whole, "{side:?} {fault}");
            let faults = world.faults(side);
            assert_eq!(faults.applied().get(&fault), Some(&1), "{side:?} {fault}");
            assert_eq!(faults.impatient(), 0, "{side:?} {fault}: a request came before its time");
            let after = endpoint.line().traffic();
            assert_eq!(after.retried, before.retried + 1, "{side:?} {fault}");
            assert_eq!(after.waited_seconds > before.waited_seconds, fault != Fault::ExpiredToken, "{side:?} {fault}");
        }
    }
}

#[test]
fn a_side_is_opened_once_and_metadata_is_asked_for_once() {
    let world = world();
    for (side, table) in [(Side::Erp, "customers"), (Side::Crm, "accounts")] {
        let endpoint = world.endpoint(side);
        assert_eq!(endpoint.line().traffic().sent, 0);
        endpoint.open().unwrap();
        endpoint.describe(table).unwrap();
        let sent = endpoint.line().traffic().sent;
        endpoint.describe(table).unwrap();
        assert_eq!(endpoint.line().traffic().sent, sent, "{side:?}");
        let counts = match side {
            Side::Erp => world.erp.counts(),
            Side::Crm => world.crm.counts(),
        };
        assert_eq!((counts.requests - counts.tokens, counts.tokens), (sent, 1), "{side:?}");
        let concurrency = endpoint.line().concurrency();
        assert!((1..=8).contains(&concurrency), "{side:?} recommends {concurrency}");
    }
}

#[test]
fn what_cannot_be_opened_says_why() {
    let world = world();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let mut messages = Vec::new();
    for side in Side::BOTH {
        let good = world.connection(side);
        let mut wrong_secret = good.clone();
        login(&mut wrong_secret).proof = Proof::Secret(SecretSource::given("hush+hush".into()));
        let unreachable = Connection { url: nowhere.clone(), ..good.clone() };
        let mut no_tokens = good.clone();
        login(&mut no_tokens).token_url = format!("{nowhere}/token");
        let elsewhere = Connection { url: format!("{}/typo", good.url), ..good.clone() };
        for connection in [wrong_secret, unreachable, no_tokens, elsewhere] {
            messages.push(open(side, &connection).open().unwrap_err().to_string());
        }
    }
    let company = Connection { company: Some("Cronus".into()), ..world.connection(Side::Erp) };
    messages.push(open(Side::Erp, &company).open().unwrap_err().to_string());
    world.erp.with(|state| state.permitted = false);
    messages.push(world.endpoint(Side::Erp).open().unwrap_err().to_string());
    let messages = messages.join("\n").replace(&world.crm.url(), "CRM");
    assert!(!messages.contains("hush"), "{messages}");
    insta::assert_snapshot!(messages, @r#"
    ERP refused the login: invalid_client (AADSTS7000215); check `client_secret`, which may have expired
    ERP cannot be reached: the connection was refused; check `url`
    ERP cannot be reached: its token endpoint at 127.0.0.1 does not answer: the connection was refused; check `token_url`
    ERP refused the request: Bad Request - Error in query syntax (BadRequest_NotFound); check `url` and the permission sets of the application
    CRM refused the login: invalid_client (AADSTS7000215); check `client_secret`, which may have expired
    CRM cannot be reached: the connection was refused; check `url`
    CRM cannot be reached: its token endpoint at 127.0.0.1 does not answer: the connection was refused; check `token_url`
    CRM refused the request: there is no Web API at CRM/typo; check `url`
    ERP has no company `Cronus`; it has: CRONUS International Ltd.
    ERP refused the request: The application does not have the permission sets that the request needs (Authorization_RequestDenied); check `url` and the permission sets of the application
    "#);
}

#[test]
fn a_table_that_is_not_there_is_named() {
    let world = world();
    for (side, table) in [(Side::Erp, "customer"), (Side::Erp, "a/b/c/d"), (Side::Erp, "a/b"), (Side::Crm, "Accounts")]
    {
        let expected = EndpointError::NoTable { side, table: table.to_owned() };
        assert_eq!(world.endpoint(side).describe(table), Err(expected));
    }
}

/// The ERP finds so many rows in the eight minutes that it gives itself, and no more (erp-api.md §7).
#[test]
fn a_table_that_is_too_slow_for_its_pages_is_read_in_smaller_ones() {
    let world = world();
    let limits = Limits { page: 400, ..world.connection(Side::Erp).limits };
    let endpoint = open(Side::Erp, &Connection { limits, ..world.connection(Side::Erp) });
    let info = endpoint.describe("customers").unwrap();
    let all = world.records(Side::Erp, "customers");
    assert!((101..400).contains(&all.len()), "{}", all.len());
    world.erp.with(|state| state.rows_in_time = 100);
    endpoint.open().unwrap();
    let before = endpoint.line().traffic();
    let frame = endpoint.read(&query(&info, &["number"]), &|_| {}).unwrap();
    assert_column(&frame, "number", &all, "number", "id");
    let traffic = endpoint.line().traffic();
    // Pages of 400 and 200 are in vain, and then all of them come with 100.
    let pages = u64::try_from(all.len().div_ceil(100)).unwrap();
    assert_eq!((traffic.retried - before.retried, traffic.sent - before.sent), (2, 2 + pages));
    // A gateway that gives up once costs one page.
    world.erp.with(|state| state.rows_in_time = usize::MAX);
    world.set_faults(Side::Erp, Faults::once(Fault::TimedOut, 1));
    let frame = endpoint.read(&query(&info, &["number"]), &|_| {}).unwrap();
    assert_column(&frame, "number", &all, "number", "id");
    assert_eq!(endpoint.line().traffic().retried - traffic.retried, 1);
}

#[test]
fn the_crm_tells_what_changed() {
    let world = world();
    let crm = world.endpoint(Side::Crm);
    assert!(crm.tracks("accounts").unwrap() && !crm.tracks("uoms").unwrap());
    let features = Features { change_tracking: false, ..world.connection(Side::Crm).features };
    let off = Connection { features, ..world.connection(Side::Crm) };
    assert!(!open(Side::Crm, &off).tracks("accounts").unwrap());
    let info = crm.describe("accounts").unwrap();
    let query = query(&info, &["name", "ownerid", "modifiedon"]);
    let read = |token: Option<&str>| match crm.read_tracked(&query, token, &|_| {}).unwrap() {
        Tracked::Changes { frame, deleted, token } => (frame, deleted, token),
        Tracked::Refused { message } => panic!("{message}"),
    };
    // Several pages; the token is the way back, without the host.
    let (all, deleted, token) = read(None);
    assert_eq!((all.rows(), deleted.len()), (world.records(Side::Crm, "accounts").len(), 0));
    assert!(all.rows() > 70 && token.starts_with("/api/data/v9.2/accounts?$select="), "{token}");
    let (none, deleted, next) = read(Some(&token));
    assert_eq!((none.rows(), deleted.len()), (0, 0));
    let ids = all.ids();
    world.crm.with(|state| {
        state.edit("accounts", ids[0], serde_json::json!({"name": "Renamed"}).as_object().unwrap()).unwrap();
        state.delete("accounts", ids[1]).unwrap();
    });
    for token in [&token, &next] {
        let (changed, deleted, _) = read(Some(token));
        let found = changed.ids().iter().position(|id| *id == ids[0]).expect("the edited record is among the changes");
        assert_eq!(changed.value("name", found), text("Renamed"));
        assert_eq!(deleted, [ids[1]]);
    }
    // A token that is too old, or none at all, is no error: a full read mends it.
    world.set_faults(Side::Crm, Faults::once(Fault::ExpiredChanges, 1));
    for token in [token.as_str(), "/api/data/v9.2/accounts?$select=name&$deltatoken=nonsense"] {
        match crm.read_tracked(&query, Some(token), &|_| {}).unwrap() {
            Tracked::Refused { message } => assert!(!message.is_empty()),
            Tracked::Changes { .. } => panic!("{token}"),
        }
    }
    let units = crm.describe("uoms").unwrap();
    let query = crate::world::query(&units, &["name"]);
    assert!(matches!(crm.read_tracked(&query, None, &|_| {}).unwrap(), Tracked::Refused { .. }));
}

#[test]
fn records_are_found_by_what_a_column_holds() {
    let world = world();
    for (side, table, column, texts) in [
        (Side::Erp, "customers", "number", [" 10000 ", "nothing"]),
        (Side::Crm, "accounts", "accountnumber", ["10000", "it's \"nothing\""]),
    ] {
        let endpoint = world.endpoint(side);
        let info = endpoint.describe(table).unwrap();
        let query = query(&info, &[column]);
        let found = endpoint.read_holding(&query, column, &names(&texts)).unwrap().expect("it can be asked");
        assert_eq!(found.rows(), 1, "{side:?}");
        assert_eq!(found.value(column, 0), text("10000"));
        assert_eq!(endpoint.read_holding(&query, column, &[]).unwrap().map(|frame| frame.rows()), Some(0));
    }
    // Without regard to case, and with blanks before it.
    let crm = world.endpoint(Side::Crm);
    let id = world.crm.with(|state| {
        let id = state.find("accounts", "accountnumber", "10000").unwrap();
        state.edit("accounts", id, serde_json::json!({"name": "  O'Hara & Søn "}).as_object().unwrap()).unwrap();
        id
    });
    let info = crm.describe("accounts").unwrap();
    let found = crm.read_holding(&query(&info, &["name"]), "name", &names(&["o'hara & søn"])).unwrap().unwrap();
    assert_eq!(found.ids(), [id]);
    // What a side compares otherwise, or takes for its own syntax, is not asked.
    let erp = world.endpoint(Side::Erp);
    let info = erp.describe("customers").unwrap();
    let query = query(&info, &["number", "displayName"]);
    for (column, text) in [("displayName", "Adatum"), ("number", "1*"), ("number", "A..B")] {
        assert!(erp.read_holding(&query, column, &names(&[text])).unwrap().is_none(), "{column} {text}");
    }
    let long = erp.read_holding(&query, "number", &names(&["a number that is longer than any"])).unwrap();
    assert_eq!(long.map(|frame| frame.rows()), Some(0));
}
