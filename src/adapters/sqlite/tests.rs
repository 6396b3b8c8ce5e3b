//! The store through its port, on real files.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::config::Side;
use crate::endpoint::Identity;
use crate::store::{Agreed, Agreement, Apart, Background, Decided, Decision, InboxKind, Origin, Reply, Terms};

mod couplings;
mod damaged;
mod files;
mod intents;
mod locks;
mod people;

const NOW: &str = "2026-03-01T02:00:00Z";

fn clock() -> String {
    NOW.to_owned()
}

/// A place for a state, in a folder that does not exist yet.
fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/full.db");
    (folder, path)
}

fn open(path: &Path) -> SqliteStore<'static> {
    SqliteStore::open(path, "host pid 1", &clock, true).unwrap()
}

/// Opens a state that must not open, and returns what is said, with the folder cut out.
fn refused(path: &Path) -> StoreError {
    let error = SqliteStore::open(path, "host pid 2", &clock, true).err().expect("the state is refused");
    let folder = format!("{}/", fs::canonicalize(path.parent().unwrap()).unwrap().display());
    match error {
        StoreError::Damaged { message } => StoreError::Damaged { message: message.replace(&folder, "") },
        StoreError::Failed { message } => StoreError::Failed { message: message.replace(&folder, "") },
        locked => locked,
    }
}

/// Returns the files as a process that is killed this moment leaves them.
fn killed(path: &Path) -> (TempDir, PathBuf) {
    let (folder, copy) = place();
    fs::create_dir_all(copy.parent().unwrap()).unwrap();
    for end in ["", "-wal", ".lock"] {
        let name = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
        fs::copy(name(path), name(&copy)).unwrap();
    }
    (folder, copy)
}

fn e(number: u128) -> Uuid {
    Uuid::from_u128(0xe << 64 | number)
}

fn c(number: u128) -> Uuid {
    Uuid::from_u128(0xc << 64 | number)
}

fn couple(erp: u128, crm: u128) -> CouplingChange {
    CouplingChange::Couple { erp: e(erp), crm: c(crm), origin: Origin::Matched(1) }
}

fn fields(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

fn both<T: Clone>(value: T) -> Option<PerSide<T>> {
    Some(PerSide { erp: value.clone(), crm: value })
}

fn text(value: &str) -> PerSide<String> {
    PerSide { erp: value.to_owned(), crm: value.to_owned() }
}

fn settlement(number: u128, base: &[Option<PerSide<u64>>], values: &[(usize, &str)]) -> Settlement {
    let values = values.iter().map(|(field, value)| (*field, text(value))).collect();
    Settlement { erp: e(number), crm: c(number), base: base.to_vec(), values, terms: Vec::new(), whole: false }
}

fn intent(number: u128) -> Intent {
    Intent {
        also: format!("customers:crm:{number}"),
        why: "edited in the ERP".to_owned(),
        table: "customers".to_owned(),
        side: Side::Crm,
        action: "update".to_owned(),
        id: c(number),
        partner: e(number),
        record: format!("{number}"),
        fields: vec![("name".to_owned(), "old \"é\"".to_owned(), String::new())],
        agreed: Vec::new(),
    }
}

fn answer(journal_id: i64) -> Answer {
    Answer { journal_id, outcome: "written".to_owned(), message: String::new() }
}

fn item(kind: InboxKind, number: u128, field: Option<&str>) -> InboxItem {
    InboxItem {
        table: "customers".to_owned(),
        record: format!("{number}"),
        kind,
        erp_id: Some(e(number)),
        crm_id: None,
        field: field.map(str::to_owned),
        base: Some("was".to_owned()),
        erp: Some("is here".to_owned()),
        crm: Some("is there".to_owned()),
        message: "both sides changed it".to_owned(),
        outstanding: None,
        since: String::new(),
        attempts: 0,
        background: Background {
            crm_record: Some("people:SP1".to_owned()),
            modified: PerSide { erp: Some(NOW.to_owned()), crm: None },
            crm_modified_by: Some("Ida".to_owned()),
            unreadable: true,
        },
    }
}

fn binding(name: &str) -> Binding {
    let identity = |id: Uuid, side: &str| Identity { id, name: format!("{name} {side}") };
    Binding { pipeline: "full".to_owned(), sides: PerSide { erp: identity(e(1), "ERP"), crm: identity(c(1), "CRM") } }
}

/// Makes a state as the first release left it, with one coupling and a contested field.
fn of_format_1(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    schema::migrate(&connection, 0, 1).unwrap();
    connection
        .execute_batch(
            "INSERT INTO table_map VALUES (1, 'customers');
             INSERT INTO coupling VALUES (1 << 40, 1, randomblob(16), randomblob(16), 'rule 1', 0, NULL, x'');
             INSERT INTO inbox VALUES (1, 1, '1', 'contested', NULL, NULL, 'phone', 'was', 'is here', 'is there',
                 'both sides changed it', '2026-01-31', 1, NULL)",
        )
        .unwrap();
}
