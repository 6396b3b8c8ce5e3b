//! What does not fit the metadata of a side is told before anything is read: each at the key that names it, once, with
//! what to do.

use std::sync::atomic::AtomicBool;

use insta::assert_snapshot;
use pipeline::adapters::sqlite::SqliteStore;
use pipeline::cli::places;
use pipeline::config::check::{Purpose, check};
use pipeline::config::{PerSide, Side};
use pipeline::endpoint::{ColumnInfo, Key};
use pipeline::frame::Kind;
use pipeline::run::context::Options;
use pipeline::run::{RunError, run};

use crate::memory::Memory;

const HEAD: &str = "version: 1
name: test
connections:
  erp:
    adapter: business-central
    url: http://127.0.0.1:1
    company: CRONUS
    auth: { type: oauth2, token_url: http://127.0.0.1:1/token, client_id: id, client_secret: \"${SECRET}\", scope: s }
  crm:
    adapter: dataverse
    url: http://127.0.0.1:1
    auth: { type: oauth2, token_url: http://127.0.0.1:1/token, client_id: id, client_secret: \"${SECRET}\", scope: s }
state: sqlite:test.db
";

/// Two table maps that fit.
const FITTING: &str = r#"defaults: { create: none }
tables:
  people:
    erp: { table: people, label: code }
    crm: { table: users, label: mail }
    direction: to_erp
    match: [ { by: { email: mail } } ]
    fields:
      - { erp: name, crm: name }
  customers:
    erp: { table: customers, label: number, filter: "blocked = '' AND limit2 < 10" }
    crm: { table: accounts, label: number, filter: kind = 3 }
    direction: both
    create: both
    match:
      - by: { number: number }
      - by: { limit2: phone, name: name }
      - by: { id: memo }
      - by: { person: owner }
    on_create:
      - { side: erp, if: "phone = '1'", set: { grade: "name", memo: "'note'", limit2: 5, status: "'Active'" } }
      - { side: crm, set: { memo: "number || city", kind: 3, phone: "next_number('P', 3)" } }
    fields:
      - { erp: number, crm: number, direction: to_crm }
      - { erp: name, crm: name, to_crm: "UPPER(name)", to_erp: "LOWER(name)" }
      - { erp: status, crm: kind, values: { Active: 3, Closed: 1, "": "" } }
      - { erp: person, crm: owner, ref: { table: people, erp: code, crm: mail }, direction: to_crm }
      - { erp: payment/code, crm: phone }
      - { crm: state, value: 0 }
      - { crm: since, to_crm: "'2026-01-31'" }
"#;

fn memory() -> PerSide<Memory> {
    let decimal = Kind::Decimal { scale: 2 };
    let erp = [
        ("people", &[("code", Kind::Code), ("email", Kind::Text), ("name", Kind::Text)][..]),
        (
            "customers",
            &[
                ("id", Kind::Guid),
                ("number", Kind::Code),
                ("name", Kind::Text),
                ("city", Kind::Text),
                ("limit2", decimal),
                ("person", Kind::Code),
                ("blocked", Kind::Text),
                ("grade", Kind::Text),
                ("memo", Kind::Text),
                ("status", Kind::Enum),
                ("since", Kind::Date),
                ("flag", Kind::Boolean),
                ("payment/code", Kind::Code),
            ],
        ),
    ];
    let crm = [
        ("users", &[("mail", Kind::Text), ("name", Kind::Text)][..]),
        (
            "accounts",
            &[
                ("number", Kind::Text),
                ("name", Kind::Text),
                ("phone", Kind::Text),
                ("owner", Kind::Guid),
                ("kind", Kind::Choice),
                ("state", Kind::Choice),
                ("memo", Kind::Text),
                ("since", Kind::Date),
                ("made", Kind::DateTime),
                ("born", Kind::DateTime),
                ("flag", Kind::Boolean),
            ],
        ),
    ];
    let sides = PerSide { erp: Memory::new(Side::Erp, &erp), crm: Memory::new(Side::Crm, &crm) };
    let change = |side: &Memory, table: &str, column: &str, change: &dyn Fn(&mut ColumnInfo)| {
        let mut tables = side.tables.lock().unwrap();
        let columns = &mut tables.get_mut(table).unwrap().info.columns;
        change(columns.iter_mut().find(|info| info.column.name == column).unwrap());
    };
    let options =
        |labels: &[(i64, &str)]| labels.iter().map(|(number, label)| (*number, (*label).to_owned())).collect();
    change(&sides.erp, "customers", "status", &|info| info.options = options(&[(0, ""), (1, "Active"), (2, "Closed")]));
    change(&sides.erp, "customers", "number", &|info| info.length_max = Some(20));
    change(&sides.erp, "customers", "memo", &|info| info.length_max = Some(10));
    change(&sides.erp, "customers", "payment/code", &|info| (info.insertable, info.updatable) = (false, false));
    change(&sides.crm, "accounts", "kind", &|info| info.options = options(&[(1, "Rival"), (3, "Customer")]));
    change(&sides.crm, "accounts", "state", &|info| info.options = options(&[(0, "Open"), (1, "Shut")]));
    change(&sides.crm, "accounts", "born", &|info| info.local_day = true);
    change(&sides.crm, "accounts", "phone", &|info| info.length_max = Some(8));
    change(&sides.crm, "accounts", "owner", &|info| info.targets = vec!["users".into(), "teams".into()]);
    sides
}

/// Returns what is told about [`FITTING`] with one piece replaced; blank where it runs.
fn told(from: &str, to: &str) -> String {
    told_by(memory(), from, to)
}

fn told_by(sides: PerSide<Memory>, from: &str, to: &str) -> String {
    assert_eq!(FITTING.matches(from).count(), 1, "`{from}` stands there once");
    let text = format!("{HEAD}{}", FITTING.replace(from, to));
    let env = |name: &str| ["SHOUT", "SECRET"].contains(&name).then(|| "hush-hush".to_owned());
    let checked = check(&text, "test.yaml", &env, Purpose::Run);
    let pipeline = checked.pipeline.unwrap_or_else(|| panic!("{to}: {:#?}", checked.complaints));
    let folder = tempfile::tempdir().unwrap();
    let now = || "2026-01-31T02:00:00Z".to_owned();
    let mut store = SqliteStore::open(&folder.path().join("state.db"), "a test", &now, true).unwrap();
    let options = Options {
        approved: None,
        guarded_plan: None,
        only: Vec::new(),
        selection: pipeline::run::selection::Selection::default(),
        changed: false,
        dry_run: false,
        run: "a run".into(),
        started: now(),
        elapsed: &|| 0.0,
        stop: &AtomicBool::new(false),
    };
    match run(&pipeline, PerSide { erp: &sides.erp, crm: &sides.crm }, &mut store, &options, &|_| {}) {
        Ok(report) => {
            assert!(report.tables.iter().all(|table| table.error.is_none()), "{to}: {:#?}", report.tables);
            String::new()
        }
        Err(RunError::Mapping(misfits)) => {
            let complaints = places::complaints("test.yaml", &text, &misfits);
            complaints.iter().map(|complaint| format!("{complaint}\n")).collect()
        }
        Err(error) => panic!("{to}: {error}"),
    }
}

/// What is changed, and what it becomes.
const CHANGES: &[(&str, &[(&str, &str)])] = &[
    (
        "conditions that compare a choice with what is no option of it",
        &[
            ("filter: kind = 3", "filter: kind = 99"),
            ("filter: kind = 3", "filter: \"(kind IN (3, 4) OR kind IS NULL) AND state <> 7\""),
            ("filter: kind = 3", "filter: \"kind = 3 AND state = ${SHUT:-5}\""),
            ("filter: kind = 3", "filter: kind = '3'"),
            ("blocked = '' AND", "status = 'Activ' AND"),
            ("blocked = '' AND", "(status = '' OR status = 'Closed') AND"),
            ("if: \"phone = '1'\"", "if: \"kind = 2\""),
        ],
    ),
    (
        "columns that are not there",
        &[
            ("table: people, label: code", "table: people, label: cod"),
            ("direction: both\n", "direction: both\n    first_sync: erp\n"),
            ("blocked = '' AND", "blokked = '' AND"),
            ("filter: kind = 3", "filter: kind = 3 AND statecode = 0 AND stat = 1"),
            ("by: { number: number }", "by: { numbr: numer }"),
            ("by: { limit2: phone, name: name }", "by: { limit2: phone, nam: name }"),
            ("if: \"phone = '1'\"", "if: \"fone = '1'\""),
            ("grade: \"name\"", "grad: \"nam\""),
            ("erp: number, crm: number, direction", "erp: numbr, crm: numbre, direction"),
            ("\"UPPER(name)\"", "\"UPPER(nme)\""),
            ("\"LOWER(name)\"", "\"LOWER(nme)\""),
            ("erp: code, crm: mail }, d", "erp: kode, crm: male }, d"),
            ("erp: person, crm: owner, ref", "erp: person, crm: _owner_value, ref"),
            ("create: none }", "create: none, match: [ { by: { nme: name } } ] }"),
            ("table: accounts, label", "table: account, label"),
        ],
    ),
    (
        "columns that cannot be used",
        &[
            ("owner, ref: { table: people, erp: code, crm: mail }", "owner"),
            ("kind = 3", "kind = 'x'"),
            ("blocked = '' AND", "city AND"),
            ("blocked = '' AND limit2 < 10", "7"),
            ("blocked = '' AND limit2 < 10", "city > 5 AND name = '${SHOUT}'"),
            ("\"UPPER(name)\"", "\"name / 2\""),
            ("blocked = '' AND limit2 < 10", "limit2 > 'a'"),
            ("blocked = '' AND limit2 < 10", "flag = 'maybe'"),
            ("filter: kind = 3", "filter: \"flag = '${SHOUT}'\""),
            ("filter: kind = 3", "filter: made > 5"),
        ],
    ),
    (
        "types of which no value fits",
        &[
            ("erp: payment/code, crm: phone", "erp: since, crm: flag"),
            ("erp: payment/code, crm: phone", "erp: since, crm: born"),
            ("erp: payment/code, crm: phone", "erp: since, crm: born, to_crm: since, to_erp: \"CAST(born AS DATE)\""),
            ("erp: payment/code, crm: phone", "erp: id, crm: phone, direction: to_crm"),
            ("erp: payment/code, crm: phone", "erp: limit2, crm: made, to_crm: \"DATE('2026-01-31')\""),
            ("erp: status, crm: kind, values: { Active: 3, Closed: 1, \"\": \"\" }", "erp: status, crm: kind"),
            ("erp: payment/code, crm: phone", "erp: limit2, crm: memo"),
        ],
    ),
    (
        "constants",
        &[
            ("crm: state, value: 0", "crm: state, value: 7"),
            ("crm: state, value: 0", "crm: state, value: Open"),
            ("crm: state, value: 0", "crm: flag, value: perhaps"),
            ("crm: state, value: 0", "crm: made, value: 31.01.2026"),
            ("crm: state, value: 0", "crm: memo, value: \"${SHOUT}\""),
            ("crm: state, value: 0", "crm: made, value: \"${SHOUT}\""),
            ("'2026-01-31'", "'tomorrow'"),
            ("Active: 3, Closed: 1", "Active: 4, Closed: 1"),
            ("Active: 3, Closed: 1", "Activ: 3, Closed: 1"),
            ("memo: \"'note'\", limit2: 5", "memo: \"'a longer note'\", limit2: \"'five'\""),
            ("status: \"'Active'\" }", "status: \"'Gone'\" }"),
            ("status: \"'Active'\" }", "status: Active }"),
            ("kind: 3, phone: \"next_number('P', 3)\"", "kind: 5, phone: \"next_number('PHONE', 4)\""),
        ],
    ),
    (
        "references",
        &[
            ("erp: person, crm: owner, ref", "erp: person, crm: memo, ref"),
            ("ref: { table: people, erp: code, crm: mail }", "ref: { table: customers, erp: number }"),
        ],
    ),
    (
        "match rules",
        &[
            ("by: { id: memo }", "by: { id: number }"),
            ("by: { id: memo }", "by: { id: phone }"),
            ("by: { id: memo }", "by: { number: owner }"),
            ("by: { id: memo }", "by: { since: made }"),
            ("by: { id: memo }", "by: { since: phone }"),
            ("by: { id: memo }", "by: { flag: kind }"),
            ("by: { id: memo }", "by: { flag: memo }"),
            ("by: { id: memo }", "by: { name: made }"),
            ("by: { id: memo }", "by: { limit2: kind }"),
            ("by: { id: memo }", "by: { status: state }"),
            ("by: { id: memo }", "by: { status: kind }"),
            ("by: { id: memo }", "by: { limit2: number }\n        case_sensitive: true"),
            ("by: { id: memo }", "by: { city: number }\n        case_sensitive: true"),
        ],
    ),
];

#[test]
fn each_misfit_is_told_at_its_key() {
    let mut text = String::new();
    for (subject, changes) in CHANGES {
        text += &format!("## {subject}\n");
        for (from, to) in *changes {
            let told = told(from, to);
            text += &format!("\n{}\n{}", to.trim(), if told.is_empty() { "(fits)\n" } else { &told });
        }
        text += "\n";
    }
    assert!(!text.contains("hush-hush"), "a complaint repeats what a variable gave");
    assert_snapshot!(text);
}

/// Of a key of several columns a side can give one by itself.
#[test]
fn a_new_record_brings_its_key_but_for_what_its_side_gives() {
    let keyed = |names: &[&str]| {
        let sides = memory();
        let key = Key::Values(names.iter().map(|name| (*name).to_owned()).collect());
        sides.erp.tables.lock().unwrap().get_mut("customers").unwrap().info.key = key;
        told_by(sides, "create: both", "create: both")
    };
    assert_eq!((keyed(&["number"]), keyed(&["name", "since"])), (String::new(), String::new()));
    assert_snapshot!(keyed(&["number", "since"]), @"
    test.yaml:27:13: tables.customers.create: the ERP knows records of `customers` by `number`, and nothing gives that to a new one
      hint: pair it with a column of the CRM, or give it in `on_create`; of `number`, `since` the ERP can give one itself
    test.yaml:27:13: tables.customers.create: the ERP knows records of `customers` by `since`, and nothing gives that to a new one
      hint: pair it with a column of the CRM, or give it in `on_create`; of `number`, `since` the ERP can give one itself
    ");
}
