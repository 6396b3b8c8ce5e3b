//! The adapter of OData V4 pages, over HTTP from the fake that serves them as NAV does: keys for ids, one request for each
//! write, and errors without codes.

use mocks::fault::{Fault, Faults};
use pipeline::config::expression::{Comparison, Literal, Predicate};
use pipeline::config::{Auth, Connection, SecretSource, Side};
use std::collections::{BTreeMap, HashMap};

use pipeline::endpoint::{Endpoint, EndpointError, Hidden, Key, Outcome, Query, Report, TableInfo, Write, key_text};
use pipeline::frame::{Frame, Kind, Value};
use serde_json::json;
use uuid::Uuid;

mod gone;
mod nights;
mod other;

use crate::world::{delete, insert, names, open, query, read, refusal, text, update, world};

fn id(info: &TableInfo, key: &str) -> Uuid {
    info.id_of(&[key.to_owned()])
}

/// A new record under the id that its key makes, which comes first in the fields.
fn new(info: &TableInfo, fields: &[(&str, Value)]) -> Write {
    let key = key_text(Kind::Code, &fields[0].1);
    Write { id: id(info, &key), ..insert(0, fields) }
}

fn by_ids(endpoint: &dyn Endpoint, info: &TableInfo, columns: &[&str], ids: &[Uuid]) -> Frame {
    let query = Query { ids: Some(ids.to_vec()), ..query(info, columns) };
    endpoint.read(&query, &|_| {}).unwrap()
}

#[test]
fn what_is_read_is_what_is_there() {
    let world = world();
    let nav = open(Side::Erp, &world.nav());
    let identity = nav.open().unwrap();
    assert_eq!(identity.name, world.erp.company());
    let info = nav.describe("Customer").unwrap();
    assert_eq!(info.key, Key::Values(vec!["No".into()]));
    let key = info.column("No").unwrap();
    assert_eq!((key.insertable, key.updatable), (true, false));
    assert_eq!(nav.modified_column(&info).as_deref(), Some("Last_Date_Modified"));
    let columns = ["No", "Name", "Blocked", "Credit_Limit_LCY", "Currency_Code", "Last_Date_Modified"];
    let frame = read(&*nav, "Customer", &columns);
    let records = world.records(Side::Erp, "customers");
    assert_eq!(frame.rows(), records.len());
    assert!(records.len() > 70, "more than one page");
    for record in &records {
        let number = record["number"].as_str().unwrap();
        let row = frame.ids().iter().position(|other| *other == id(&info, number)).unwrap();
        assert_eq!(frame.value("Name", row).to_string(), record["displayName"].as_str().unwrap());
        assert_eq!(frame.value("Blocked", row).to_string(), record["blocked"].as_str().unwrap().replace("_x0020_", ""));
        let day = &record["lastModifiedDateTime"].as_str().unwrap()[..10];
        assert_eq!(frame.value("Last_Date_Modified", row).to_string(), day);
        // Its local currency is blank here, as the table has it.
        let currency = record["currencyCode"].as_str().unwrap().replace("GBP", "");
        assert_eq!(frame.value("Currency_Code", row).to_string(), currency);
        assert!(frame.etag(row).is_some());
    }
    // A record that exists is there when it is asked for by its key, whatever a list left out.
    assert!(
        nav.hidden(&info, &[id(&info, "10000")]).unwrap_err().to_string().contains("a list of ids left out record")
    );
    // Of whom nobody has seen the key nobody can ask, and one that is gone is asked for by the key that it had.
    let nobody = id(&info, "nobody");
    assert_eq!(nav.hidden(&info, &[nobody]).unwrap(), HashMap::from([(nobody, Hidden::Untold)]));
    let brief = json!({"number": "BRIEF", "displayName": "Brief"});
    let gone = world.erp.with(|state| state.insert("customers", brief.as_object().unwrap())).unwrap();
    assert_eq!(by_ids(&*nav, &info, &["Name"], &[id(&info, "BRIEF")]).rows(), 1);
    world.erp.with(|state| state.delete("customers", gone)).unwrap();
    assert_eq!(nav.hidden(&info, &[id(&info, "BRIEF")]).unwrap(), HashMap::new());
    // By key, also such as nobody has seen yet: then the list of all keys tells.
    let fresh = open(Side::Erp, &world.nav());
    let wanted = [id(&info, "10000"), id(&info, "no such number"), frame.ids()[5]];
    let found = by_ids(&*fresh, &info, &["Name"], &wanted);
    let mut ids = found.ids();
    ids.sort_unstable();
    let mut expected = vec![wanted[0], wanted[2]];
    expected.sort_unstable();
    assert_eq!(ids, expected);
    let all = by_ids(&*fresh, &info, &["Name"], &frame.ids());
    assert_eq!(all.rows(), frame.rows(), "more than fit into one request");
    // Keys that a filter misreads, that an address does not take, and both.
    let odd = ["O'HARA (1)", "A/B", "A*/B"];
    for key in odd {
        let record = json!({"number": key, "displayName": key});
        world.erp.with(|state| state.insert("customers", record.as_object().unwrap())).unwrap();
    }
    let found = by_ids(&*nav, &info, &["Name"], &odd.map(|key| id(&info, key)));
    let mut keys: Vec<String> = (0..found.rows()).map(|row| found.value("Name", row).to_string()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["A*/B", "A/B", "O'HARA (1)"]);
}

#[test]
fn a_filter_is_pushed_as_far_as_a_page_takes_it() {
    let world = world();
    let nav = open(Side::Erp, &world.nav());
    let info = nav.describe("Customer").unwrap();
    let is = |column: &str, literal: &str| Predicate::Compare {
        column: column.into(),
        comparison: Comparison::Equal,
        literal: Literal::Text(literal.into()),
    };
    let rows = |filter: Predicate| {
        let query = Query { filter: Some(filter), ..query(&info, &["No"]) };
        nav.read(&query, &|_| {}).unwrap().rows()
    };
    let all = world.records(Side::Erp, "customers");
    let in_london = all.iter().filter(|record| record["city"] == "London").count();
    assert!(in_london > 0 && in_london < all.len());
    assert_eq!(rows(is("City", "London")), in_london);
    assert_eq!(rows(is("No", "10000")), 1);
    // Nobody tells the members of an option, so that part is left to us.
    assert_eq!(rows(is("Blocked", "")), all.len());
    let found = nav.read_holding(&query(&info, &["No"]), "No", &names(&[" 10000 ", "nothing"])).unwrap().unwrap();
    assert_eq!(found.ids(), [id(&info, "10000")]);
    assert!(nav.read_holding(&query(&info, &["Name"]), "Name", &names(&["Adatum"])).unwrap().is_none());
}

/// The file names the members of an option: then a filter on it is the service's, and they are written as it spells them.
#[test]
fn an_option_is_what_the_file_calls_one() {
    let world = world();
    let members = BTreeMap::from([("Blocked".to_owned(), names(&["", "Ship", "Invoice", "All"]))]);
    let named = Connection { options: BTreeMap::from([("Customer".to_owned(), members)]), ..world.nav() };
    for (connection, has_members) in [(named, true), (world.nav(), false)] {
        let nav = open(Side::Erp, &connection);
        let info = nav.describe("Customer").unwrap();
        let blank = Predicate::Compare {
            column: "Blocked".into(),
            comparison: Comparison::Equal,
            literal: Literal::Text(String::new()),
        };
        assert_eq!(nav.evaluates(&info, &blank), has_members);
        let open_customers = Query { filter: Some(blank), ..query(&info, &["Blocked"]) };
        let rows = nav.read(&open_customers, &|_| {}).unwrap();
        let id = rows.ids()[0];
        let set = |value: &str| nav.write(&info, &[], &[update(id, None, &[("Blocked", text(value))])]).outcomes;
        assert_eq!(set("Ship"), [Outcome::Written]);
        if has_members {
            assert_eq!(set(""), [Outcome::Written]);
            assert!(refusal(&set("Sometimes")[0]).contains("it takes: blank, `Ship`, `Invoice`, `All`"));
        }
    }
}

#[test]
fn writes_have_the_outcomes_that_they_deserve() {
    let world = world();
    let nav = open(Side::Erp, &world.nav());
    let info = nav.describe("Customer").unwrap();
    let all = read(&*nav, "Customer", &["No"]);
    let etag = |key: &str| all.etag(all.ids().iter().position(|other| *other == id(&info, key)).unwrap());
    let keys: Vec<String> = (0..6).map(|row| all.value("No", row).to_string()).collect();
    let lost = world.erp.with(|state| state.find("customers", "number", &keys[5])).unwrap();
    world.erp.with(|state| state.delete("customers", lost)).unwrap();
    let of = |row: usize| id(&info, &keys[row]);
    let customer = |key: &str| world.erp.with(|state| state.find("customers", "number", key)).unwrap();
    let edit = json!({"city": "Elsewhere"});
    let edited = customer(&keys[2]);
    world.erp.with(|state| state.edit("customers", edited, edit.as_object().unwrap())).unwrap();
    world
        .erp
        .with(|state| state.insert("customers", json!({"number": "A+B", "displayName": "Odd"}).as_object().unwrap()))
        .unwrap();
    let writes = [
        new(&info, &[("No", text("nav-1")), ("Name", text("Dahl & \"Sønn\""))]),
        update(of(0), etag(&keys[0]), &[("Name", text("Ahlgren Group")), ("Phone_No", Value::Null)]),
        update(of(1), None, &[("City", text("Bath"))]),
        update(of(2), etag(&keys[2]), &[("City", text("York"))]),
        update(of(5), None, &[("City", text("York"))]),
        new(&info, &[("No", text(&keys[0])), ("Name", text("Twin"))]),
        new(&info, &[("No", text("NAV-3")), ("Name", text("x")), ("Salesperson_Code", text("NOBODY"))]),
        update(id(&info, "A+B"), None, &[("City", text("York"))]),
        delete(of(3), etag(&keys[3])),
        update(of(4), etag(&keys[4]), &[("Blocked", text("Sometimes"))]),
        delete(id(&info, "never seen"), None),
    ];
    let Report { outcomes, rows, .. } = nav.write(&info, &names(&["No", "Name", "Blocked"]), &writes);
    assert_eq!(outcomes[..5], [Outcome::Written, Outcome::Written, Outcome::Written, Outcome::Stale, Outcome::Gone]);
    assert_eq!(outcomes[8], Outcome::Written);
    assert!(matches!(&outcomes[10], Outcome::Barred { message } if message.contains("its key is not known")));
    let messages: Vec<&str> = [5, 6, 7, 9].iter().map(|at: &usize| refusal(&outcomes[*at])).collect();
    insta::assert_snapshot!(messages.join("\n"), @r"
    The record in table Customer already exists. Identification fields and values: No.='10000'
    The field Salesperson Code of table Customer contains a value (NOBODY) that cannot be found in the related table (Salesperson/Purchaser)
    no address takes its key `A+B`; give it one without `/`, `%`, `+` and the like
    Request data is invalid
    ");
    // The record is known by what it was given, as NAV writes it.
    let row = rows.ids().iter().position(|other| *other == id(&info, "NAV-1")).unwrap();
    assert_eq!((rows.rows(), rows.value("No", row), rows.value("Blocked", row)), (3, text("NAV-1"), text("")));
    let left = read(&*nav, "Customer", &[]).ids();
    assert!(left.contains(&id(&info, "NAV-1")) && !left.contains(&of(3)));
}

#[test]
fn a_lost_answer_is_unknown_and_a_write_is_repeated_only_where_nothing_was_done() {
    let world = world();
    let nav = open(Side::Erp, &world.nav());
    let info = nav.describe("Customer").unwrap();
    let count = || world.records(Side::Erp, "customers").len();
    for (number, (fault, outcome, done)) in [
        (Fault::Throttled, "written", 1),
        (Fault::ThrottledPlain, "written", 1),
        (Fault::UnavailableBefore, "unknown", 0),
        (Fault::UnavailableAfter, "unknown", 1),
        (Fault::DroppedBefore, "unknown", 0),
        (Fault::DroppedAfter, "unknown", 1),
        (Fault::TimedOut, "unknown", 1),
    ]
    .into_iter()
    .enumerate()
    {
        let before = count();
        world.erp.set_faults(Faults::once(fault, 1));
        let key = format!("LOST-{number}");
        let write = new(&info, &[("No", text(&key)), ("Name", text("Lost"))]);
        let report = nav.write(&info, &names(&["Name"]), &[write]);
        let word = match report.outcomes[0] {
            Outcome::Written => "written",
            Outcome::Unknown { .. } => "unknown",
            _ => "else",
        };
        assert_eq!((word, count() - before), (outcome, done), "{fault}: {:?}", report.outcomes);
        // Reading by the key tells what became of it.
        let found = by_ids(&*nav, &info, &["Name"], &[id(&info, &key)]).rows();
        assert_eq!(found, done, "{fault}");
    }
    let frame = read(&*nav, "Customer", &[]);
    world.erp.set_faults(Faults::once(Fault::StaleEtag, 1));
    let write = update(frame.ids()[0], frame.etag(0), &[("City", text("Bath"))]);
    assert_eq!(nav.write(&info, &[], &[write]).outcomes, [Outcome::Stale]);
}

/// A name that breaks in a path stands behind it (erp-api.md §1), for reads, writes and whatever is asked for alone.
#[test]
fn a_company_may_be_called_anything() {
    for name in ["X A/S", "A & B", "5% + more?", "O'Hara #1"] {
        let world = world();
        let company = json!({"id": "5b1e0c52-7a44-ef11-8e52-6045bd2b1a01", "name": name, "displayName": name});
        world.erp.with(|state| state.load("companies", vec![company.as_object().unwrap().clone()]));
        let all = world.records(Side::Erp, "customers").len();
        let connection = Connection { company: Some(name.to_owned()), ..world.nav() };
        let nav = open(Side::Erp, &connection);
        assert_eq!(nav.open().unwrap().name, name);
        let info = nav.describe("Customer").unwrap();
        let frame = read(&*nav, "Customer", &["No"]);
        assert_eq!(frame.rows(), all, "{name}");
        let made = new(&info, &[("No", text("ODD-(1)")), ("Name", text("Odd"))]);
        let writes = [made.clone(), update(frame.ids()[0], frame.etag(0), &[("City", text("Ely"))])];
        assert_eq!(nav.write(&info, &names(&["No"]), &writes).outcomes, [Outcome::Written, Outcome::Written], "{name}");
        assert_eq!(by_ids(&*nav, &info, &["Name"], &[made.id, frame.ids()[1]]).rows(), 2, "{name}");
        assert_eq!(nav.write(&info, &[], &[delete(made.id, None)]).outcomes, [Outcome::Written], "{name}");
        assert!(nav.hidden(&info, &[made.id]).unwrap().is_empty(), "{name}");
        nav.probe(&query(&info, &["No"])).unwrap();
    }
}

#[test]
fn what_cannot_be_opened_says_why() {
    let world = world();
    let error = |connection: &Connection| open(Side::Erp, connection).open().unwrap_err();
    let (user, _) = world.erp.nav_login();
    let auth = Auth::Basic { user, password: SecretSource::given("hush:hush".into()) };
    let wrong = error(&Connection { auth, ..world.nav() });
    assert!(matches!(&wrong, EndpointError::Login { message, .. } if message.contains("access key")), "{wrong}");
    assert!(!wrong.to_string().contains("hush"));
    let company = Some("Contoso".to_owned());
    let missing = error(&Connection { company, ..world.nav() });
    let EndpointError::NoCompany { known, .. } = &missing else { panic!("{missing:?}") };
    assert_eq!(known, "CRONUS International Ltd.");
    let nowhere = error(&Connection { url: world.erp.nav_url() + "X", ..world.nav() });
    assert!(matches!(&nowhere, EndpointError::Login { .. } | EndpointError::Refused { .. }), "{nowhere:?}");
    let nav = open(Side::Erp, &world.nav());
    for table in ["customers", "Customers", "Company(x)"] {
        assert_eq!(nav.describe(table), Err(EndpointError::NoTable { side: Side::Erp, table: table.to_owned() }));
    }
    // The same pages beside the API of Business Central, to whoever has a token.
    let limits = world.nav().limits;
    let beside = Connection { adapter: pipeline::config::Adapter::Nav, limits, ..world.connection(Side::Erp) };
    assert_eq!(read(&*open(Side::Erp, &beside), "Item", &["No"]).rows(), world.records(Side::Erp, "items").len());
}
