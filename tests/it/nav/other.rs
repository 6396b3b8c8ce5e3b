//! The adapter of any OData V4 service, by its metadata alone: tried on both of the ERP fake's services, of which it knows
//! nothing.

use std::collections::{BTreeMap, HashMap};

use mocks::fault::{Fault, Faults};
use pipeline::config::expression::{Comparison, Literal, Predicate};
use pipeline::config::{Adapter, Connection, Limits, Side};
use pipeline::endpoint::{Hidden, Key, Outcome, Query, Report, Write};
use pipeline::frame::{Kind, Value};
use pipeline::run::account::RunOutcome;
use pipeline::store::InboxKind;
use serde_json::json;
use uuid::Uuid;

use super::new;
use super::nights::{NAV, Nights};
use crate::shipped::{How, writes};
use crate::world::{World, delete, insert, names, open, query, read, refusal, text, update, world};

/// The pages, as a service whose keys are texts.
fn by_texts(world: &World) -> Connection {
    let url = world.erp.nav_url() + "/ODataV4";
    Connection { adapter: Adapter::OData, url, company: None, ..world.nav() }
}

/// The API, as a service whose keys are GUIDs that its clients may choose.
fn by_guids(world: &World) -> Connection {
    let url = world.erp.url() + "/api/v2.0";
    let keys = BTreeMap::from([("customers".to_owned(), "id".to_owned())]);
    let limits = world.nav().limits;
    Connection { adapter: Adapter::OData, url, company: None, keys, limits, ..world.connection(Side::Erp) }
}

#[test]
fn a_service_is_known_by_its_metadata() {
    let world = world();
    let (texts, guids) = (open(Side::Erp, &by_texts(&world)), open(Side::Erp, &by_guids(&world)));
    assert_eq!(texts.describe("Customer").unwrap().key, Key::Values(vec!["No".into()]));
    assert_eq!(guids.describe("customers").unwrap().key, Key::Id("id".into()));
    // Without a word of the file nobody knows whether ids may be chosen.
    assert_eq!(guids.describe("items").unwrap().key, Key::Values(vec!["id".into()]));
    // A text is a text, and a member is called as it is written.
    let info = guids.describe("items").unwrap();
    assert_eq!(info.column("number").unwrap().column.kind, Kind::Text);
    let members: Vec<&str> = info.column("type").unwrap().options.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(members, ["Inventory", "Service", "Non_x002D_Inventory"]);
    assert_eq!(guids.modified_column(&info), None, "the file names it");
    assert!(texts.open().unwrap().name.ends_with("/DynamicsNAV110/ODataV4"));
    assert_ne!(texts.open().unwrap().id, guids.open().unwrap().id);

    let all = world.records(Side::Erp, "customers");
    let fresh = open(Side::Erp, &by_texts(&world));
    for (endpoint, table, name) in [(&texts, "Customer", "Name"), (&guids, "customers", "displayName")] {
        let frame = read(&**endpoint, table, &[name]);
        assert_eq!(frame.rows(), all.len(), "{table}");
        let info = endpoint.describe(table).unwrap();
        let asked = if table == "Customer" { &fresh } else { endpoint };
        let ids = Query { ids: Some(frame.ids()), ..query(&info, &[name]) };
        assert_eq!(asked.read(&ids, &|_| {}).unwrap().rows(), all.len(), "{table}: in several lists");
        let nobody = Query { ids: Some(vec![Uuid::from_u128(5)]), ..query(&info, &[name]) };
        assert_eq!(asked.read(&nobody, &|_| {}).unwrap().rows(), 0, "{table}");
        let filter = Predicate::Compare {
            column: name.into(),
            comparison: Comparison::Equal,
            literal: Literal::Text(frame.value(name, 3).to_string()),
        };
        let one = Query { filter: Some(filter), ..query(&info, &[name]) };
        assert_eq!(endpoint.read(&one, &|_| {}).unwrap().rows(), 1, "{table}");
    }
}

#[test]
fn writes_have_the_outcomes_that_they_deserve() {
    let world = world();
    for (connection, table, name, number) in
        [(by_texts(&world), "Customer", "Name", "No"), (by_guids(&world), "customers", "displayName", "number")]
    {
        let endpoint = open(Side::Erp, &connection);
        let info = endpoint.describe(table).unwrap();
        let all = read(&*endpoint, table, &[number]);
        let (ids, etag) = (all.ids(), |row: usize| all.etag(row));
        let key = world.erp.with(|state| state.find("customers", "number", &all.value(number, 2).to_string())).unwrap();
        world.erp.with(|state| state.edit("customers", key, json!({"city": "Else"}).as_object().unwrap())).unwrap();
        let taken = all.value(number, 0);
        let fresh = format!("{}-1", table.to_uppercase());
        let own = if table == "Customer" { info.id_of(std::slice::from_ref(&fresh)) } else { insert(1, &[]).id };
        let writes = [
            Write { id: own, ..insert(1, &[(number, text(&fresh)), (name, text("Dahl"))]) },
            update(ids[0], etag(0), &[(name, text("Ahlgren"))]),
            update(ids[2], etag(2), &[(name, text("Late"))]),
            update(Uuid::from_u128(5), None, &[(name, text("Nobody"))]),
            insert(2, &[(number, taken), (name, text("Twin"))]),
            delete(ids[3], etag(3)),
        ];
        let Report { outcomes, rows, .. } = endpoint.write(&info, &names(&[name]), &writes);
        let expected = [Outcome::Written, Outcome::Written, Outcome::Stale];
        assert_eq!((&outcomes[..3], &outcomes[5]), (&expected[..], &Outcome::Written), "{table}");
        // Where the id is no key, nobody can ask for a record that was never seen.
        let unknown = matches!(&outcomes[3], Outcome::Barred { message } if message.contains("key is not known"));
        assert!(if table == "Customer" { unknown } else { outcomes[3] == Outcome::Gone }, "{table}: {outcomes:?}");
        assert!(refusal(&outcomes[4]).contains("already exists"), "{table}: {outcomes:?}");
        assert!(rows.ids().contains(&own) && rows.rows() == 2, "{table}");
        if table == "customers" {
            // The same insert again is recognised by its id.
            let Report { outcomes, .. } = endpoint.write(&info, &names(&[name]), &writes[..1]);
            assert_eq!(outcomes, [Outcome::Exists]);
        }
        for fault in [Fault::DroppedAfter, Fault::UnavailableBefore] {
            world.erp.set_faults(Faults::once(fault, 1));
            let outcomes = endpoint.write(&info, &[], &[update(ids[5], None, &[(name, Value::Null)])]).outcomes;
            assert!(matches!(outcomes[0], Outcome::Unknown { .. }), "{table} {fault}: {outcomes:?}");
        }
    }
}

const OTHER: &str = r#"
version: 1
name: other
state: sqlite:other.db
connections:
  erp:
    adapter: odata
    url: ${ERP_URL}/api/v2.0
    auth: { type: oauth2, token_url: "${ERP_TOKEN_URL}", client_id: "${ERP_CLIENT_ID}",
            client_secret: "${ERP_CLIENT_SECRET}", scope: "https://api.businesscentral.dynamics.com/.default" }
  crm:
    adapter: dataverse
    url: ${CRM_URL}
    auth: { type: oauth2, token_url: "${CRM_TOKEN_URL}", client_id: "${CRM_CLIENT_ID}",
            client_secret: "${CRM_CLIENT_SECRET}", scope: "${CRM_URL}/.default" }
tables:
  customers:
    erp: { table: customers, label: number, key: id, modified: lastModifiedDateTime, filter: "blocked = '_x0020_'" }
    crm: { table: accounts, label: accountnumber, filter: customertypecode = 3 AND statecode = 0 }
    direction: both
    create: both
    match:
      - by: { number: accountnumber }
      - by: { displayName: name, city: address1_city }
    first_sync: erp
    fields:
      - { erp: number, crm: accountnumber, direction: to_crm }
      - { erp: displayName, crm: name }
      - { erp: phoneNumber, crm: telephone1 }
      - { erp: city, crm: address1_city }
      - { crm: customertypecode, value: 3 }
"#;

/// A night with a service that takes our ids, and answers that are lost.
#[test]
fn a_night_with_another_service_doubles_nothing() {
    for batch in ["", "    limits: { batch: 1 }\n"] {
        let url = "    url: ${ERP_URL}/api/v2.0\n";
        let nights = Nights::new(OTHER.replace(url, &format!("{url}{batch}")));
        for number in 0..6 {
            nights.account(json!({"name": format!("Lost {number}"), "address1_city": "Ely", "customertypecode": 3}));
        }
        nights.world.erp.set_faults(Faults::once(Fault::DroppedAfter, 1).and(Fault::UnavailableAfter, 2));
        nights.run(How::default());
        nights.world.erp.set_faults(Faults::none());
        let second = nights.run(How::default());
        assert_eq!(second.outcome, RunOutcome::Converged, "{:#?}", second.inbox);
        let before = writes(&nights.world);
        assert_eq!(nights.run(How { changed: true, ..How::default() }).outcome, RunOutcome::Converged);
        assert_eq!(writes(&nights.world), before);
        let names = nights.customers();
        assert!((0..6).all(|number| names[&format!("Lost {number}")] == 1), "{names:?}");
        let batches = nights.world.erp.counts().batches;
        assert_eq!(batches > 0, batch.is_empty(), "{batches}");
    }
    // Without a word of the file, ids are the service's own, and it gives them.
    let nights = Nights::new(OTHER.replace("key: id, ", ""));
    for number in 0..6 {
        nights.account(json!({"name": format!("Lost {number}"), "address1_city": "Ely", "customertypecode": 3}));
    }
    nights.world.erp.set_faults(Faults::once(Fault::HalfBatch, 1).and(Fault::DroppedAfter, 3));
    nights.run(How::default());
    nights.world.erp.set_faults(Faults::none());
    let second = nights.run(How::default());
    assert_eq!(second.outcome, RunOutcome::Converged, "{:#?}", second.inbox);
    let names = nights.customers();
    assert!((0..6).all(|number| names[&format!("Lost {number}")] == 1), "{names:?}");
}

/// A service may put a text into capitals without a word in its metadata. After a lost answer that is what it made of what it was
/// sent, and nobody's edit; of a service that tells its codes, capitals in another text are somebody's.
#[test]
fn what_a_service_puts_into_capitals_is_nobodys_edit() {
    let city = "      - { erp: city, crm: address1_city }\n";
    let other = OTHER.replace(city, &format!("{city}      - {{ erp: postalCode, crm: address1_postalcode }}\n"));
    // What becomes of the answer: it is lost, or the run is cut off before it.
    for is_cut_off in [false, true] {
        let nights = Nights::new(other.clone());
        assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged);
        let account = nights.world.crm.with(|state| state.find("accounts", "accountnumber", "10000")).unwrap();
        let customer = nights.world.erp.with(|state| state.find("customers", "number", "10000")).unwrap();
        let type_in = |side: Side, text: &str| match side {
            Side::Erp => {
                let values = json!({"postalCode": text});
                nights.world.erp.with(|state| state.edit("customers", customer, values.as_object().unwrap())).unwrap();
            }
            Side::Crm => {
                let values = json!({"address1_postalcode": text});
                nights.world.crm.with(|state| state.edit("accounts", account, values.as_object().unwrap())).unwrap();
            }
        };
        let held = || {
            let erp = nights.world.erp.with(|state| state.record("customers", customer)).unwrap();
            let crm = nights.world.crm.with(|state| state.record("accounts", account)).unwrap();
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            (text(&erp["postalCode"]), text(&crm["address1_postalcode"]))
        };
        let both = |erp: &str, crm: &str| (erp.to_owned(), crm.to_owned());
        type_in(Side::Crm, "sw1a 1aa");
        if is_cut_off {
            type_in(Side::Erp, "SW1A 1AA");
            nights.cut_off(account, "postalCode", "sw1a 1aa");
        } else {
            nights.world.erp.set_faults(Faults::once(Fault::DroppedAfter, 1));
        }
        let report = nights.run(How::default());
        assert_eq!(report.outcome, RunOutcome::Converged, "{is_cut_off}: {:#?}", report.inbox);
        nights.world.erp.set_faults(Faults::none());
        assert_eq!(held(), both("SW1A 1AA", "sw1a 1aa"), "{is_cut_off}");
        nights.quiet();
        // Whatever somebody types from now on goes over, other capitals among it.
        for (side, text, erp, crm) in [
            (Side::Erp, "N1 9GU", "N1 9GU", "N1 9GU"),
            (Side::Crm, "e1 6an", "E1 6AN", "e1 6an"),
            (Side::Crm, "E1 6an", "E1 6AN", "E1 6an"),
            (Side::Erp, "E1 6AP", "E1 6AP", "E1 6AP"),
        ] {
            type_in(side, text);
            let report = nights.run(How::default());
            assert_eq!(report.outcome, RunOutcome::Converged, "{text}: {:#?}", report.inbox);
            assert_eq!(held(), both(erp, crm), "{text}");
            nights.quiet();
        }
    }
    for (text, field, tells) in [(other.as_str(), "displayName", false), (NAV, "Name", true)] {
        let nights = Nights::new(text.to_owned());
        assert_eq!(nights.run(How::default()).outcome, RunOutcome::Converged);
        let account = nights.world.crm.with(|state| state.find("accounts", "accountnumber", "10000")).unwrap();
        let customer = nights.world.erp.with(|state| state.find("customers", "number", "10000")).unwrap();
        let typed = json!({"name": "Berg"});
        nights.world.crm.with(|state| state.edit("accounts", account, typed.as_object().unwrap())).unwrap();
        let typed = json!({"displayName": "BERG"});
        nights.world.erp.with(|state| state.edit("customers", customer, typed.as_object().unwrap())).unwrap();
        nights.cut_off(account, field, "Berg");
        let report = nights.run(How::default());
        assert_eq!(report.inbox.iter().any(|item| item.kind == InboxKind::Contested), tells, "{:#?}", report.inbox);
    }
}

/// Writes go in a batch where the service takes one, in whichever form, and each by itself where it takes none. What it takes
/// is found out once, by two questions.
#[test]
fn writes_go_in_the_batches_that_a_service_takes() {
    for (json, multipart, asked, batches, requests) in
        [(true, true, 1, 1, 1), (false, true, 2, 1, 1), (false, false, 2, 0, 3)]
    {
        let world = world();
        world.erp.with(|state| (state.json_batches, state.multipart_batches) = (json, multipart));
        let limits = Limits { batch: 3, ..world.nav().limits };
        let pages = Connection { adapter: Adapter::Nav, limits, ..world.connection(Side::Erp) };
        let endpoint = open(Side::Erp, &pages);
        assert_eq!(endpoint.batch_max(), 3);
        let info = endpoint.describe("Customer").unwrap();
        let frame = read(&*endpoint, "Customer", &["No"]);
        let (ids, stale) = (frame.ids(), frame.etag(1));
        let number = frame.value("No", 1).to_string();
        let edited = world.erp.with(|state| state.find("customers", "number", &number)).unwrap();
        world.erp.with(|state| state.edit("customers", edited, json!({"city": "Ely"}).as_object().unwrap())).unwrap();
        let writes = |key: &str| {
            [
                new(&info, &[("No", text(key)), ("Name", text("Dahl \u{e9}\r\n--batch_pipeline--"))]),
                update(ids[0], None, &[("Name", text("Ahlgren"))]),
                new(&info, &[("No", text(key)), ("Name", text("Twin"))]),
            ]
        };
        let before = world.erp.counts();
        for (round, key) in ["B-1", "B-2"].into_iter().enumerate() {
            let before = world.erp.counts();
            let outcomes = endpoint.write(&info, &names(&["Name"]), &writes(key)).outcomes;
            assert_eq!(outcomes[..2], [Outcome::Written, Outcome::Written]);
            assert!(refusal(&outcomes[2]).contains("already exists"), "{outcomes:?}");
            let after = world.erp.counts();
            let asked = if round == 0 { asked } else { 0 };
            let sent = (after.batches - before.batches, after.requests - before.requests);
            assert_eq!(sent, (batches + asked, requests + asked), "json {json}, multipart {multipart}");
        }
        let changes = [update(ids[1], stale, &[("City", text("York"))]), delete(ids[2], None)];
        let outcomes = endpoint.write(&info, &[], &changes).outcomes;
        assert_eq!(outcomes, [Outcome::Stale, Outcome::Written]);
        assert!(world.erp.counts().batches > before.batches);
    }
    // NAV has none in some builds, and then each write goes by itself; the half of a batch that is lost is unknown.
    let world = world();
    let limits = Limits { batch: 4, ..world.nav().limits };
    for (takes, batches) in [(false, 0), (true, 1)] {
        world.erp.with(|state| (state.nav_batches, state.json_batches) = (takes, false));
        let nav = open(Side::Erp, &Connection { limits, ..world.nav() });
        let info = nav.describe("Customer").unwrap();
        let write = |number: usize| new(&info, &[("No", text(&format!("N-{takes}-{number}"))), ("Name", text("Dahl"))]);
        let outcomes = nav.write(&info, &[], &[write(1), write(2)]).outcomes;
        assert_eq!(outcomes, [Outcome::Written, Outcome::Written], "{takes}");
        let before = world.erp.counts().batches;
        assert_eq!(nav.write(&info, &[], &[write(3), write(4)]).outcomes.len(), 2);
        assert_eq!(world.erp.counts().batches - before, batches);
        if takes {
            world.erp.set_faults(Faults::once(Fault::HalfBatch, 1));
            let outcomes = nav.write(&info, &[], &[write(5), write(6)]).outcomes;
            assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Unknown { .. })), "{outcomes:?}");
            let made = |number| world.erp.with(|state| state.find("customers", "number", &format!("N-TRUE-{number}")));
            assert!(made(5).is_some() && made(6).is_none());
        }
    }
}

/// Records that a list left out are asked for in the batches that a service takes, and else one by one.
#[test]
fn records_that_are_gone_are_few_requests() {
    for (takes, several, one) in [(true, 3, 1), (false, 152, 1)] {
        let world = world();
        world.erp.with(|state| (state.json_batches, state.multipart_batches) = (takes, false));
        let limits = Limits { batch: 100, ..world.nav().limits };
        let endpoint = open(Side::Erp, &Connection { limits, ..by_guids(&world) });
        let info = endpoint.describe("customers").unwrap();
        let there = read(&*endpoint, "customers", &[]).ids()[0];
        let nobody: Vec<Uuid> = (1..=150).map(Uuid::from_u128).collect();
        for (missing, requests) in [(&nobody[..1], one), (&nobody[..], several)] {
            let before = endpoint.line().traffic().sent;
            assert_eq!(endpoint.hidden(&info, missing).unwrap(), HashMap::new(), "{takes}");
            assert_eq!(endpoint.line().traffic().sent - before, requests, "{takes}");
        }
        let error = endpoint.hidden(&info, &[&nobody[..9], &[there]].concat()).unwrap_err().to_string();
        assert!(error.contains(&there.to_string()), "{error}");
    }
}

/// The link to the next page may be relative to the page's context (OData JSON Format 4.0, §4.3).
#[test]
fn pages_are_followed_by_relative_links() {
    let world = world();
    world.erp.with(|state| (state.relative_links, state.page_max) = (true, 7));
    for (connection, table) in [(by_texts(&world), "Customer"), (by_guids(&world), "customers")] {
        let endpoint = open(Side::Erp, &connection);
        assert_eq!(read(&*endpoint, table, &[]).rows(), world.records(Side::Erp, "customers").len(), "{table}");
    }
}

/// Records that are known by two columns, over pages and as any service has them.
#[test]
fn a_key_may_have_several_columns() {
    let world = world();
    let items = world.records(Side::Erp, "items");
    let number = |at: usize| items[at]["number"].as_str().unwrap().to_owned();
    for row in [
        json!({"itemNumber": number(0), "code": "PCS", "qtyPerUnitOfMeasure": 1}),
        json!({"itemNumber": number(1), "code": "PCS", "qtyPerUnitOfMeasure": 1}),
    ] {
        world.erp.with(|state| state.insert("itemUnitsOfMeasure", row.as_object().unwrap())).unwrap();
    }
    for (round, connection) in [world.nav(), by_texts(&world)].into_iter().enumerate() {
        let endpoint = open(Side::Erp, &connection);
        let info = endpoint.describe("ItemUnitOfMeasure").unwrap();
        assert_eq!(info.key, Key::Values(vec!["Item_No".into(), "Code".into()]));
        let id = |at: usize, code: &str| info.id_of(&[number(at), code.to_owned()]);
        let all = read(&*endpoint, "ItemUnitOfMeasure", &["Code", "Qty_per_Unit_of_Measure"]);
        assert_eq!(all.rows(), 2);
        // By their keys, which another adapter of the same service has to find out first.
        let ids = Query { ids: Some(vec![id(1, "PCS"), id(1, "BOX")]), ..query(&info, &["Code"]) };
        assert_eq!(open(Side::Erp, &connection).read(&ids, &|_| {}).unwrap().ids(), [id(1, "PCS")]);
        let fields =
            |at: usize, code: &str| [("Item_No", text(&number(at))), ("Code", text(code)), ("Weight", text("2.5"))];
        let new = |at: usize, code: &str| Write { id: id(at, code), ..insert(0, &fields(at, code)) };
        let etag = all.etag(all.ids().iter().position(|other| *other == id(0, "PCS")).unwrap());
        let writes = [
            new(0, "BOX"),
            update(id(0, "PCS"), etag.clone(), &[("Weight", text("7"))]),
            update(id(0, "PCS"), etag, &[("Weight", text("8"))]),
            new(1, "PCS"),
            update(id(1, "CASE"), None, &[("Weight", text("7"))]),
            new(0, "NOSUCH"),
        ];
        let Report { outcomes, rows, .. } = endpoint.write(&info, &names(&["Weight"]), &writes);
        let expected = [Outcome::Written, Outcome::Written, Outcome::Stale];
        assert_eq!(outcomes[..3], expected, "round {round}");
        assert!(matches!(outcomes[4], Outcome::Barred { .. }), "round {round}: {outcomes:?}");
        let taken = format!("already exists. Identification fields and values: Item No.='{}',Code='PCS'", number(1));
        assert!(refusal(&outcomes[3]).contains(&taken), "{outcomes:?}");
        assert!(
            refusal(&outcomes[5]).contains("cannot be found in the related table (Unit of Measure)"),
            "{outcomes:?}"
        );
        assert_eq!((rows.rows(), rows.ids().contains(&id(0, "BOX"))), (2, true));
        let told = |code: &str| endpoint.hidden(&info, &[id(0, code)]).unwrap().get(&id(0, code)).copied();
        assert_eq!(told("CASE"), Some(Hidden::Untold));
        endpoint.recall(&info, HashMap::from([(id(0, "CASE"), vec![number(0), "CASE".to_owned()])]));
        assert_eq!(told("CASE"), None, "round {round}");
        // What is no key of that id is none of that record.
        endpoint.recall(&info, HashMap::from([(id(0, "BAG"), vec![number(0), "BOX".to_owned()])]));
        assert_eq!(told("BAG"), Some(Hidden::Untold));
        // Who renames an item renames its units as well: they are others from now on.
        let item = world.erp.with(|state| state.find("items", "number", &number(0))).unwrap();
        let renamed = json!({"number": "RENAMED"});
        world.erp.with(|state| state.edit("items", item, renamed.as_object().unwrap())).unwrap();
        let boxes = info.id_of(&["RENAMED".into(), "BOX".into()]);
        assert!(read(&*endpoint, "ItemUnitOfMeasure", &[]).ids().contains(&boxes));
        assert_eq!(endpoint.write(&info, &[], &[delete(boxes, None)]).outcomes, [Outcome::Written]);
        let back = json!({"number": number(0)});
        world.erp.with(|state| state.edit("items", item, back.as_object().unwrap())).unwrap();
    }
}
