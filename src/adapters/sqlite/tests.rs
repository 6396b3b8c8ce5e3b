//! The store through its port, on real files.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::config::Side;
use crate::endpoint::Identity;
use crate::store::{Agreed, Agreement, Apart, Background, Decided, Decision, InboxKind, Origin, Reply, Terms};

mod damaged;

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
        },
    }
}

#[test]
fn couplings_come_back_in_the_order_in_which_they_were_made() {
    let (_folder, path) = place();
    let ab = fields(&["a=a", "b=b"]);
    {
        let mut store = open(&path);
        store.commit("items", &ab, &[couple(9, 9)], &[]).unwrap();
        store.commit("customers", &ab, &[couple(3, 3), couple(1, 1)], &[]).unwrap();
        store.commit("items", &ab, &[couple(8, 8)], &[settlement(9, &[both(7), None], &[])]).unwrap();
        let created = CouplingChange::Couple { erp: e(2), crm: c(2), origin: Origin::Created(Side::Erp) };
        let split = Some(PerSide { erp: 5, crm: 6 });
        store.commit("customers", &ab, &[created], &[settlement(2, &[None, split], &[])]).unwrap();
    }
    let store = SqliteStore::read_only(&path).unwrap();
    let customers = store.couplings("customers", &fields(&["b=b", "new=new", "a=a"])).unwrap();
    assert_eq!(customers.erp, [e(3), e(1), e(2)]);
    assert_eq!(customers.crm, [c(3), c(1), c(2)]);
    let split = Some(PerSide { erp: 5, crm: 6 });
    assert_eq!(customers.bases, [vec![None, None, split], vec![None; 3], vec![None; 3]]);
    let items = store.couplings("items", &ab).unwrap();
    assert_eq!((items.erp, items.bases), (vec![e(9), e(8)], vec![vec![both(7), None], vec![None; 2]]));
    let coupling = |side, id| store.coupling_of("customers", side, id).unwrap();
    let expected = Coupling {
        ids: PerSide { erp: e(2), crm: c(2) },
        origin: Origin::Created(Side::Erp),
        coupled_at: NOW.to_owned(),
        settled_at: Some(NOW.to_owned()),
    };
    assert_eq!(coupling(Side::Crm, c(2)), Some(expected.clone()));
    assert_eq!(coupling(Side::Erp, e(2)), Some(expected));
    assert_eq!(coupling(Side::Erp, e(3)).map(|coupling| coupling.settled_at), Some(None));
    assert_eq!(coupling(Side::Erp, c(2)), None);
    assert_eq!(store.coupling_of("contacts", Side::Erp, e(2)).unwrap(), None);
    assert_eq!(store.couplings("contacts", &ab).unwrap().bases, [vec![], vec![]]);
    let counts = BTreeMap::from([("customers".to_owned(), 3), ("items".to_owned(), 2)]);
    assert_eq!(store.coupling_counts().unwrap(), counts);
}

#[test]
fn what_is_kept_apart_stays_so_until_it_is_coupled() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let apart = |number| CouplingChange::KeepApart { erp: e(number), crm: c(number), record: number.to_string() };
    store.commit("customers", &[], &[couple(1, 1), couple(2, 2)], &[]).unwrap();
    store.commit("customers", &[], &[apart(1), apart(2), apart(1)], &[]).unwrap();
    assert_eq!(store.coupling_counts().unwrap(), BTreeMap::new());
    let both = |numbers: &[u128]| PerSide {
        erp: numbers.iter().map(|number| e(*number)).collect::<HashSet<_>>(),
        crm: numbers.iter().map(|number| c(*number)).collect::<HashSet<_>>(),
    };
    assert_eq!(store.kept_apart("customers").unwrap(), both(&[1, 2]));
    assert_eq!(store.kept_apart("items").unwrap(), both(&[]));
    let since = |table: &str, side, id| store.kept_apart_since(table, side, id).unwrap();
    assert_eq!(since("customers", Side::Crm, c(2)), Some(NOW.to_owned()));
    assert_eq!(since("customers", Side::Erp, c(2)), None);
    assert_eq!(since("items", Side::Crm, c(2)), None);
    store.commit("customers", &[], &[couple(1, 2)], &[]).unwrap();
    let left = store.kept_apart("customers").unwrap();
    assert_eq!(left, PerSide { erp: HashSet::from([e(2)]), crm: HashSet::from([c(1)]) });
}

#[test]
fn settling_some_fields_leaves_the_others() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let all = fields(&["a=a", "b=b", "c=c"]);
    let first = settlement(1, &[both(1), both(2), both(3)], &[(0, "A"), (1, "B"), (2, "C")]);
    store.commit("customers", &all, &[couple(1, 1)], &[first]).unwrap();
    let values = |store: &SqliteStore<'_>| {
        let values = store.base_values("customers", e(1), c(1)).unwrap();
        values.into_iter().map(|(key, value)| format!("{key} {}", value.erp)).collect::<Vec<_>>()
    };
    assert_eq!(values(&store), ["a=a A", "b=b B", "c=c C"]);

    // A new field, one without a new base, and one whose base moves without its value; `b` is not mentioned.
    let some = fields(&["d=d", "c=c", "a=a"]);
    let second = settlement(1, &[both(4), None, both(9)], &[(0, "D")]);
    store.commit("customers", &some, &[], &[second]).unwrap();
    let bases = store.couplings("customers", &fields(&["a=a", "b=b", "c=c", "d=d"])).unwrap().bases;
    assert_eq!(bases, [vec![both(9)], vec![both(2)], vec![both(3)], vec![both(4)]]);
    assert_eq!(values(&store), ["b=b B", "c=c C", "d=d D"]);
}

#[test]
fn values_are_left_out_where_they_are_not_kept() {
    let (_folder, path) = place();
    let a = fields(&["a=a"]);
    open(&path).commit("customers", &a, &[couple(1, 1)], &[settlement(1, &[both(1)], &[(0, "A")])]).unwrap();
    let mut store = SqliteStore::open(&path, "host pid 1", &clock, false).unwrap();
    assert_eq!(store.base_values("customers", e(1), c(1)).unwrap().len(), 1, "it may be another pipeline's state");
    store.begin_run("run 1", NOW).unwrap();
    assert_eq!(store.base_values("customers", e(1), c(1)).unwrap(), BTreeMap::new(), "kept from an earlier run");
    store.commit("customers", &a, &[couple(2, 2)], &[settlement(2, &[both(1)], &[(0, "A")])]).unwrap();
    assert_eq!(store.base_values("customers", e(2), c(2)).unwrap(), BTreeMap::new());
}

#[test]
fn a_record_has_one_coupling_in_a_table_map() {
    let (_folder, path) = place();
    let mut store = open(&path);
    store.commit("customers", &[], &[couple(1, 1), couple(2, 2)], &[]).unwrap();
    store.commit("items", &[], &[couple(1, 2)], &[]).unwrap();
    let message = |error: StoreError| {
        error.to_string().replace(&e(0).to_string()[..35], "e").replace(&c(0).to_string()[..35], "c")
    };
    for (changes, expected) in [
        (
            vec![couple(3, 3), couple(1, 4)],
            "customers: ERP e1 cannot be coupled with CRM c4, as there is already ERP e1 with CRM c1; uncouple first",
        ),
        (
            vec![couple(4, 1)],
            "customers: ERP e4 cannot be coupled with CRM c1, as there is already ERP e1 with CRM c1; uncouple first",
        ),
        (
            vec![couple(1, 2)],
            "customers: ERP e1 cannot be coupled with CRM c2, as there is already ERP e1 with CRM c1 and ERP e2 with \
             CRM c2; uncouple first",
        ),
    ] {
        let error = message(store.commit("customers", &[], &changes, &[]).unwrap_err());
        assert_eq!(error, format!("the state cannot be used: {expected}"));
    }
    assert_eq!(store.coupling_counts().unwrap()["customers"], 2, "a change that fails leaves nothing");
    store.commit("customers", &[], &[couple(1, 1)], &[]).unwrap();
    let uncouple = CouplingChange::Uncouple { erp: e(1), crm: c(1) };
    store.commit("customers", &[], &[uncouple, couple(1, 5)], &[]).unwrap();
    assert_eq!(store.couplings("customers", &[]).unwrap().crm, [c(2), c(5)]);
    let error = store.commit("customers", &[], &[], &[settlement(1, &[], &[])]).unwrap_err();
    assert!(message(error).ends_with("customers: ERP e1 and CRM c1 are not coupled, so they cannot be settled"));
}

#[test]
fn uncoupling_takes_base_and_values_along() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let a = fields(&["a=a"]);
    store.commit("customers", &a, &[couple(1, 1)], &[settlement(1, &[both(1)], &[(0, "A")])]).unwrap();
    store.commit("customers", &a, &[CouplingChange::Uncouple { erp: e(1), crm: c(1) }], &[]).unwrap();
    store.commit("customers", &a, &[couple(1, 1)], &[]).unwrap();
    assert_eq!(store.couplings("customers", &a).unwrap().bases, [[None]]);
    assert_eq!(store.base_values("customers", e(1), c(1)).unwrap(), BTreeMap::new());
}

#[test]
fn what_was_written_survives_a_kill() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let a = fields(&["a=a"]);
    store.begin_run("run 1", NOW).unwrap();
    store.commit("customers", &a, &[couple(1, 1)], &[settlement(1, &[both(1)], &[(0, "A")])]).unwrap();
    let numbers = store.intend("run 1", &[intent(1), intent(2), intent(3)]).unwrap();
    store.answer(&[answer(numbers[1])], "customers", &[couple(2, 2)], &[]).unwrap();
    let (_copy_folder, copy) = killed(&path);

    let mut store = SqliteStore::open(&copy, "host pid 2", &clock, true).expect("the dead run's lease is no obstacle");
    let open: Vec<OpenIntent> = store.open_intents("customers").unwrap();
    let expected = [(numbers[0], intent(1)), (numbers[2], intent(3))];
    assert_eq!(open, expected.map(|(journal_id, intent)| OpenIntent { journal_id, intent }));
    assert_eq!(store.open_intents("items").unwrap(), []);
    let couplings = store.couplings("customers", &a).unwrap();
    assert_eq!((couplings.erp, couplings.bases), (vec![e(1), e(2)], vec![vec![both(1), None]]));
    let cut_off = RunRow { run: "run 1".to_owned(), started: NOW.to_owned(), ..RunRow::default() };
    assert_eq!(store.runs(5).unwrap(), [cut_off]);
    store.answer(&[answer(numbers[0]), answer(numbers[2])], "customers", &[], &[]).unwrap();
    assert_eq!(store.open_intents("customers").unwrap(), []);
    let error = store.answer(&[answer(77)], "customers", &[], &[]).unwrap_err();
    assert_eq!(error.to_string(), "the state cannot be used: the journal has no intent 77 to answer");
}

#[test]
fn what_is_agreed_stands_with_the_intent_until_the_answer_and_is_a_base_then() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let ab = fields(&["a=a", "b=b"]);
    let first = settlement(1, &[both(1), both(2)], &[(0, "A"), (1, "B")]);
    store.commit("customers", &ab, &[couple(1, 1)], &[first]).unwrap();
    let value = |text: &str| PerSide { erp: text.to_owned(), crm: text.to_owned() };
    let agreed = |field: &str, print: u64, text: &str| Agreed {
        field: field.to_owned(),
        base: PerSide { erp: print, crm: u64::MAX },
        values: value(text),
        terms: Terms::AGREED,
    };
    let answered = Agreed { terms: Terms::ANSWERED, ..agreed("c=c", 5, "C") };
    let update = Intent { agreed: vec![agreed("b=b", 3, "\"B\" 2")], ..intent(1) };
    let insert = Intent { agreed: vec![agreed("a=a", 4, ""), answered], ..intent(2) };
    let numbers = store.intend("run 1", &[update.clone(), insert.clone(), intent(3)]).unwrap();
    let open: Vec<Intent> = store.open_intents("customers").unwrap().into_iter().map(|open| open.intent).collect();
    assert_eq!(open, [update.clone(), insert.clone(), intent(3)]);

    let answers: Vec<Answer> = numbers.iter().map(|number| answer(*number)).collect();
    let agreement = |intent: &Intent| Agreement { ids: intent.ids(), fields: intent.agreed.clone() };
    let agreements = [agreement(&update), agreement(&insert), agreement(&intent(3))];
    store.answer(&answers, "customers", &[couple(2, 2)], &agreements).unwrap();
    let abc = fields(&["a=a", "b=b", "c=c"]);
    let print = |print: u64| Some(PerSide { erp: print, crm: u64::MAX });
    let expected = [vec![both(1), print(4)], vec![print(3), None], vec![None, print(5)]];
    let couplings = store.couplings("customers", &abc).unwrap();
    assert_eq!(couplings.bases, expected);
    assert_eq!(couplings.terms.differing, std::collections::HashMap::from([(e(2), vec![(2, Terms::ANSWERED)])]));
    assert_eq!(store.base_values("customers", e(1), c(1)).unwrap()["b=b"], value("\"B\" 2"));
    assert_eq!(store.base_values("customers", e(2), c(2)).unwrap()["c=c"], value("C"));
    let writes = store.writes_of_run("run 1").unwrap();
    assert!(writes.iter().all(|write| write.intent.agreed.is_empty()), "it is kept once: {writes:?}");
}

#[test]
fn a_second_writer_is_told_who_holds_the_state() {
    let (_folder, path) = place();
    let store = open(&path);
    let locked = StoreError::Locked { holder: "host pid 1".to_owned(), since: NOW.to_owned() };
    assert_eq!(refused(&path), locked);
    assert_eq!(locked.to_string(), "the state is in use by host pid 1 since 2026-03-01T02:00:00Z");
    #[cfg(unix)]
    {
        let link = path.with_file_name("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(refused(&link), locked, "by another name");
    }
    drop(store);
    open(&path);
}

#[test]
fn a_lease_decides_where_the_system_has_no_locks() {
    let (_folder, path) = place();
    drop(open(&path));
    let connection = Connection::open(&path).unwrap();
    lease::take(&connection, "a", NOW, false).unwrap();
    lease::renew(&connection, "a", NOW, "2026-03-01T03:30:00Z").unwrap();
    let taken = |now: &str, locked: bool| match lease::take(&connection, "b", now, locked) {
        Ok(()) => true,
        Err(trouble) => {
            let expected = StoreError::Locked { holder: "a".to_owned(), since: NOW.to_owned() };
            assert_eq!(trouble.of(&path), expected);
            false
        }
    };
    assert!(!taken("2026-03-01T04:29:59Z", false), "renewed an hour and a half later, it counts another hour");
    assert!(taken("2026-03-01T04:30:00Z", false), "it expires");
    let error = lease::renew(&connection, "a", NOW, "2026-03-01T04:30:01Z").unwrap_err();
    let expected = StoreError::Locked { holder: "b".to_owned(), since: "2026-03-01T04:30:00Z".to_owned() };
    assert_eq!(error.of(&path), expected, "the first one notices");
    lease::take(&connection, "c", "2026-03-01T04:30:02Z", true).expect("with a lock, no lease counts");
}

#[test]
fn a_writer_that_lost_its_lease_writes_nothing() {
    let (_folder, path) = place();
    let mut first = open(&path);
    fs::remove_file(path.with_added_extension("lock")).unwrap();
    let later = || "2026-03-01T02:00:01Z".to_owned();
    let mut second = SqliteStore::open(&path, "host pid 2", &later, true).unwrap();
    let error = first.intend("run", &[intent(1)]).unwrap_err();
    assert_eq!(error, StoreError::Locked { holder: "host pid 2".to_owned(), since: later() });
    drop(first);
    second.intend("run", &[intent(1)]).expect("the first one gives back nothing that is not its own");
}

#[test]
fn reading_works_beside_a_run_and_leaves_nothing_behind() {
    let (folder, path) = place();
    let names = || {
        let mut names: Vec<_> = fs::read_dir(path.parent().unwrap())
            .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
            .unwrap_or_default();
        names.sort();
        names
    };
    let count = |store: &SqliteStore<'_>| store.coupling_counts().unwrap().get("customers").copied();
    let nothing = SqliteStore::read_only(&path).unwrap();
    assert_eq!((count(&nothing), nothing.runs(9).unwrap()), (None, vec![]));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "reading makes no folder");

    let mut writer = open(&path);
    writer.commit("customers", &[], &[couple(1, 1)], &[]).unwrap();
    let reader = SqliteStore::read_only(&path).unwrap();
    writer.commit("customers", &[], &[couple(2, 2)], &[]).unwrap();
    assert_eq!(count(&reader), Some(2));
    drop((reader, writer));

    assert_eq!(names(), ["full.db", "full.db.lock"]);
    let before = fs::read(&path).unwrap();
    let mut reader = SqliteStore::read_only(&path).unwrap();
    assert_eq!(count(&reader), Some(2));
    let error = reader.commit("customers", &[], &[couple(3, 3)], &[]).unwrap_err();
    assert_eq!(error.to_string(), "the state cannot be used: the state is open for reading only");
    drop(reader);
    assert_eq!(names(), ["full.db", "full.db.lock"]);
    assert!(fs::read(&path).unwrap() == before, "reading changes nothing");
}

#[test]
fn a_file_that_is_no_sound_state_is_told() {
    type Harm = fn(&Path);
    fn sql(path: &Path, text: &str) {
        Connection::open(path).unwrap().execute_batch(text).unwrap();
    }
    let (_folder, path) = place();
    drop(open(&path));
    fs::write(&path, "").unwrap();
    for message in [refused(&path), SqliteStore::read_only(&path).err().unwrap()].map(|error| error.to_string()) {
        assert!(message.contains("the file is empty, which a state never is"), "{message}");
    }
    let cases: [(&str, Harm); 7] = [
        ("schema", |path| {
            sql(
                path,
                "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = 'CREATE TABLE oops (' WHERE name = 'run'",
            )
        }),
        ("garbage", |path| fs::write(path, "records, records, records".repeat(100)).unwrap()),
        ("cut", |path| {
            let file = fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        }),
        ("newer", |path| sql(path, "PRAGMA user_version = 99")),
        ("other application", |path| sql(path, "PRAGMA application_id = 0")),
        ("table lost", |path| sql(path, "DROP TABLE base_value")),
        ("folder", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
    ];
    let mut told = String::new();
    for (name, harm) in cases {
        let (_folder, path) = place();
        open(&path).commit("customers", &[], &[couple(1, 1)], &[]).unwrap();
        harm(&path);
        told += &format!("{name}\n  run: {}\n", refused(&path));
        let reading = SqliteStore::read_only(&path).err().expect("reading is refused, too");
        told += &format!("  status: {}\n", reading.to_string().replace(path.to_str().unwrap(), "full.db"));
    }
    let told = told.replace(&format!("formats up to {}", schema::MIGRATIONS.len()), "formats up to the present one");
    insta::assert_snapshot!(told, @r"
    schema
      run: the state cannot be read: full.db: the file is broken (malformed database schema (run))
      status: the state cannot be read: full.db: the file is broken (malformed database schema (run))
    garbage
      run: the state cannot be read: full.db: this is no state file; name another `state`, or move the file away
      status: the state cannot be read: full.db: this is no state file; name another `state`, or move the file away
    cut
      run: the state cannot be read: full.db: the file is broken (database disk image is malformed)
      status: the state cannot be read: full.db: the file is broken (database disk image is malformed)
    newer
      run: the state cannot be read: full.db: the file has format 99 and this program knows formats up to the present one; use the newer program that wrote it
      status: the state cannot be read: full.db: the file has format 99 and this program knows formats up to the present one; use the newer program that wrote it
    other application
      run: the state cannot be read: full.db: this is a database of another application; name another `state`
      status: the state cannot be read: full.db: this is a database of another application; name another `state`
    table lost
      run: the state cannot be read: full.db: `base_value` is missing or altered
      status: the state cannot be read: full.db: `base_value` is missing or altered
    folder
      run: the state cannot be used: full.db: no file can be opened here; see that it is no folder, and that this user may write there
      status: the state cannot be used: full.db: no file can be opened here; see that it is no folder, and that this user may write there
    ");
}

#[test]
fn rot_is_found_after_a_run_that_was_cut_off() {
    let (_folder, path) = place();
    open(&path).commit("customers", &[], &(0..2000).map(|n| couple(n, n)).collect::<Vec<_>>(), &[]).unwrap();
    let connection = Connection::open(&path).unwrap();
    lease::take(&connection, "host pid 0", NOW, true).unwrap();
    connection.pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap();
    let page: u32 = connection
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'coupling_crm'", (), |row| row.get(0))
        .unwrap();
    drop(connection);
    let mut bytes = fs::read(&path).unwrap();
    bytes[(page as usize - 1) * 4096..][..64].fill(0xff);
    fs::write(&path, bytes).unwrap();
    assert!(matches!(refused(&path), StoreError::Damaged { .. }));
}

#[test]
fn what_waits_keeps_its_since_and_counts_runs() {
    let (_folder, path) = place();
    let time = std::cell::Cell::new(1);
    let now = || format!("2026-03-0{}T02:00:00Z", time.get());
    let mut store = SqliteStore::open(&path, "host pid 1", &now, true).unwrap();
    let mut nameless = item(InboxKind::Ambiguous, 7, None);
    nameless.erp_id = None;
    let phone = item(InboxKind::Contested, 1, Some("phone"));
    let failed = item(InboxKind::Failed, 1, None);
    let rounds: [(&str, Vec<InboxItem>); 4] = [
        ("run 1", vec![phone.clone(), failed.clone(), nameless.clone()]),
        ("run 1", vec![phone.clone(), failed.clone(), nameless.clone()]),
        ("run 2", vec![phone.clone(), nameless.clone(), item(InboxKind::Contested, 1, Some("name"))]),
        ("run 3", vec![failed.clone(), InboxItem { message: "another".to_owned(), ..phone.clone() }, nameless.clone()]),
    ];
    let mut seen = String::new();
    for (round, (run, items)) in rounds.into_iter().enumerate() {
        time.set(round + 1);
        store.begin_run(run, NOW).unwrap();
        store.replace_inbox("customers", &items).unwrap();
        seen += &format!("{run}\n");
        for item in store.inbox(Some("customers")).unwrap() {
            let field = item.field.as_deref().unwrap_or("-");
            seen += &format!("  {} {field}: {} since {}\n", item.kind.key(), item.attempts, &item.since[..10]);
        }
    }
    insta::assert_snapshot!(seen, @r"
    run 1
      contested phone: 1 since 2026-03-01
      failed -: 1 since 2026-03-01
      ambiguous -: 1 since 2026-03-01
    run 1
      contested phone: 1 since 2026-03-01
      failed -: 1 since 2026-03-01
      ambiguous -: 1 since 2026-03-01
    run 2
      contested phone: 2 since 2026-03-01
      ambiguous -: 2 since 2026-03-01
      contested name: 1 since 2026-03-03
    run 3
      failed -: 1 since 2026-03-04
      contested phone: 3 since 2026-03-01
      ambiguous -: 3 since 2026-03-01
    ");

    store.replace_inbox("items", &[InboxItem { table: "items".to_owned(), ..phone.clone() }]).unwrap();
    let all = store.inbox(None).unwrap();
    let tables: Vec<&str> = all.iter().map(|item| item.table.as_str()).collect();
    assert_eq!(tables, ["customers", "customers", "customers", "items"]);
    assert_eq!(all[3], InboxItem { table: "items".to_owned(), since: now(), attempts: 1, ..phone });
    store.replace_inbox("customers", &[]).unwrap();
    assert_eq!(store.inbox(Some("customers")).unwrap(), []);
    assert_eq!(store.inbox(Some("contacts")).unwrap(), []);
    assert_eq!(store.inbox(None).unwrap().len(), 1, "another table map's stays");
}

#[test]
fn the_journal_forgets_old_answers_but_no_open_intent() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let runs_kept = usize::try_from(journal::RUNS_KEPT).unwrap();
    let journal = |store: &SqliteStore<'_>| -> Vec<i64> {
        let mut statement = store.connection.prepare("SELECT id FROM journal ORDER BY id").unwrap();
        statement.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    // Each run writes twice; the first one leaves its second write open.
    for run in 1..=runs_kept + 3 {
        let name = format!("run {run}");
        store.begin_run(&name, NOW).unwrap();
        let numbers = store.intend(&name, &[intent(1), intent(2)]).unwrap();
        store.answer(&[answer(numbers[0])], "customers", &[], &[]).unwrap();
        if run > 1 {
            store.answer(&[answer(numbers[1])], "customers", &[], &[]).unwrap();
        }
        let row = RunRow {
            run: name,
            started: NOW.to_owned(),
            finished: Some(NOW.to_owned()),
            outcome: "converged".to_owned(),
            report: "{\"tables\":[]}".to_owned(),
        };
        store.finish_run(&row).unwrap();
    }
    let last = i64::try_from(2 * (runs_kept + 3)).unwrap();
    assert_eq!(journal(&store), std::iter::once(2).chain(7..=last).collect::<Vec<i64>>());
    assert_eq!(store.open_intents("customers").unwrap().len(), 1);
    let runs = store.runs(usize::MAX).unwrap();
    assert_eq!((runs.len(), runs[0].run.as_str()), (runs_kept, "run 103"));
    assert_eq!(runs[0].outcome, "converged");
    assert_eq!(store.runs(2).unwrap().len(), 2);
    // However much people do by hand, the nights stay.
    for number in 1..=runs_kept + 3 {
        let run = format!("hand {number}");
        let report = "{}".to_owned();
        store.finish_run(&RunRow { run, started: NOW.to_owned(), report, ..RunRow::default() }).unwrap();
    }
    let runs = store.runs(usize::MAX).unwrap();
    assert_eq!((runs.len(), runs[0].run.as_str()), (2 * runs_kept, "hand 103"));
    assert_eq!(runs.iter().filter(|run| run.run.starts_with("run ")).count(), runs_kept);
    assert_eq!(journal(&store).len(), 2 * runs_kept + 1);
}

#[test]
fn watermarks_come_back_and_move_together() {
    let (_folder, path) = place();
    let mut store = open(&path);
    assert_eq!(store.watermarks().unwrap(), BTreeMap::new());
    let time = |text: &str| Some(text.parse().unwrap());
    let mark = Watermark {
        fingerprint: "f".into(),
        read_to: PerSide { erp: time("2026-01-31T02:00:00.123Z"), crm: None },
        token: PerSide { erp: None, crm: Some("/api?$deltatoken=1%212".into()) },
        seen: PerSide { erp: vec![(e(1), 7), (e(2), u64::MAX)], crm: vec![] },
    };
    let later = Watermark { read_to: PerSide { erp: None, crm: time("1969-12-31T23:59:59Z") }, ..mark.clone() };
    store.set_watermarks(&[("customers".into(), mark.clone()), ("items".into(), Watermark::default())]).unwrap();
    store.set_watermarks(&[("items".into(), later.clone())]).unwrap();
    drop(store);
    let expected = BTreeMap::from([("customers".to_owned(), mark), ("items".to_owned(), later)]);
    assert_eq!(SqliteStore::read_only(&path).unwrap().watermarks().unwrap(), expected);
    let mut store = open(&path);
    Connection::open(&path).unwrap().execute("UPDATE watermark SET erp_seen = x'00'", ()).unwrap();
    assert!(matches!(store.watermarks(), Err(StoreError::Damaged { .. })));
    assert!(store.set_watermarks(&[]).is_ok());
}

fn binding(name: &str) -> Binding {
    let identity = |id: Uuid, side: &str| Identity { id, name: format!("{name} {side}") };
    Binding { pipeline: "full".to_owned(), sides: PerSide { erp: identity(e(1), "ERP"), crm: identity(c(1), "CRM") } }
}

#[test]
fn a_state_remembers_what_it_belongs_to() {
    let (_folder, path) = place();
    assert_eq!(SqliteStore::read_only(&path).unwrap().binding().unwrap(), None);
    let mut store = open(&path);
    assert_eq!(store.binding().unwrap(), None);
    store.bind(&binding("old")).unwrap();
    store.bind(&binding("new")).unwrap();
    drop(store);
    assert_eq!(SqliteStore::read_only(&path).unwrap().binding().unwrap(), Some(binding("new")));
    assert_eq!(open(&path).binding().unwrap(), Some(binding("new")));
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

#[test]
fn an_older_state_is_read_as_it_is_and_brought_forward_by_a_run() {
    let (_folder, path) = place();
    of_format_1(&path);
    let count = |store: &SqliteStore<'_>| store.coupling_counts().unwrap()["customers"];
    let before = fs::read(&path).unwrap();
    let reader = SqliteStore::read_only(&path).unwrap();
    assert_eq!((count(&reader), reader.binding().unwrap()), (1, None));
    let waiting = reader.inbox(None).unwrap();
    assert_eq!((waiting[0].record.as_str(), &waiting[0].background), ("1", &Background::default()));
    drop(reader);
    assert!(fs::read(&path).unwrap() == before, "reading changes nothing");
    let mut store = open(&path);
    assert_eq!((count(&store), store.binding().unwrap()), (1, None));
    assert_eq!(store.inbox(None).unwrap(), waiting);
    store.bind(&binding("old")).unwrap();
    drop(store);
    let version: i32 =
        Connection::open(&path).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(usize::try_from(version).unwrap(), schema::MIGRATIONS.len());
}

/// What an older program settled is unsure as a whole until somebody tells, a field that the file lost included.
#[test]
fn terms_come_back_and_an_older_state_has_none() {
    let (_folder, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    schema::migrate(&connection, 0, 10).unwrap();
    connection
        .execute_batch(
            "INSERT INTO table_map VALUES (1, 'customers');
             INSERT INTO field VALUES (1, 0, 'lost=lost'), (1, 1, 'a=a'), (1, 2, 'b=b')",
        )
        .unwrap();
    for number in 1..=2_u128 {
        let id = (1 << 40) + i64::try_from(number).unwrap();
        let prints = base::encode(&[0, 1, 2].map(|field| (field, PerSide { erp: 7, crm: 7 })));
        let print = sound::print(id, e(number), c(number), b"rule 1", &prints, &[]);
        let insert = "INSERT INTO coupling (id, table_map, erp, crm, origin, coupled_at, base, print) \
                      VALUES (?1, 1, ?2, ?3, 'rule 1', 0, ?4, ?5)";
        connection.execute(insert, (id, e(number).as_bytes(), c(number).as_bytes(), prints, print)).unwrap();
    }
    drop(connection);
    let mut store = open(&path);
    let ab = fields(&["a=a", "b=b"]);
    let terms = |store: &SqliteStore<'_>, keys: &[String]| store.couplings("customers", keys).unwrap().terms;
    assert_eq!(terms(&store, &ab).unsure, HashSet::from([e(1), e(2)]));
    let told = |number: u128, base: &[Option<PerSide<u64>>], terms: Option<&[(usize, u64)]>| Settlement {
        terms: terms.unwrap_or_default().to_vec(),
        whole: terms.is_some(),
        ..settlement(number, base, &[])
    };
    let mut commit = |settled: Settlement| {
        store.commit("customers", &ab, &[couple(3, 3)], &[settled]).unwrap();
        let all = fields(&["a=a", "b=b", "lost=lost"]);
        (terms(&store, &ab), terms(&store, &all).differing.remove(&e(1)).unwrap_or_default())
    };
    // A write that is answered tells of its own fields only.
    let (known, all) = commit(told(1, &[both(8), None], None));
    assert_eq!((known.unsure.len(), all), (2, Vec::new()));
    let (known, all) = commit(told(1, &[None, None], Some(&[(1, 99)])));
    assert_eq!((known.unsure, &known.differing[&e(1)]), (HashSet::from([e(2)]), &vec![(1, 99)]));
    assert_eq!(all, [(2, Terms::UNSURE), (1, 99)]);
    let (known, all) = commit(told(1, &[both(9), None], None));
    assert_eq!((&known.differing[&e(1)], all.len()), (&vec![(1, 99)], 2));
    let (known, all) = commit(told(1, &[None, both(9)], None));
    assert_eq!((known.differing[&e(1)].len(), all), (0, vec![(2, Terms::UNSURE)]));
    drop(store);
    // It counts among what decides.
    let connection = Connection::open(&path).unwrap();
    connection.execute("UPDATE coupling SET terms = x'' WHERE erp = ?1", (e(1).as_bytes(),)).unwrap();
    drop(connection);
    let broken = refused(&path).to_string();
    assert!(broken.contains("is not what was written"), "{broken}");
}

#[test]
fn what_older_messages_say_of_a_decision_is_made_of_the_decision() {
    let (_folder, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    schema::migrate(&connection, 0, 9).unwrap();
    connection.execute_batch("INSERT INTO table_map VALUES (1, 'customers')").unwrap();
    let base = "1 was deleted in the CRM";
    let stays = format!("{base} and edited in the ERP since; it stays there until somebody decides");
    let twin = format!("{base}, and a record without partner there matches it");
    let cases = [
        (
            1,
            "contested",
            Some("phone"),
            "both changed it; decided on 2026-01-31 for other values (ERP `a`)".to_owned(),
            "both changed it".to_owned(),
        ),
        (2, "deleted", None, format!("{stays} again; decided on 2026-01-31: delete"), stays.clone()),
        (
            3,
            "deleted",
            None,
            format!("{twin}; decided on 2026-01-31: delete, which waits until"),
            format!("{twin}; nothing is done until somebody decides"),
        ),
        (4, "failed", None, "refused; decided on high".to_owned(), "refused; decided on high".to_owned()),
    ];
    for (number, kind, field, message, _) in &cases {
        let (erp, crm) = (e(*number).into_bytes(), c(*number).into_bytes());
        let row = (erp, crm, kind, field, message);
        let insert = "INSERT INTO inbox (table_map, record, kind, erp_id, crm_id, field, message, since, attempts) \
                      VALUES (1, '1', ?3, ?1, ?2, ?4, ?5, '', 1)";
        connection.execute(insert, row).unwrap();
        let insert = "INSERT INTO decision (table_map, record, erp_id, crm_id, field, decided, erp, crm, at) \
                      VALUES (1, '1', ?1, ?2, ?3, 'take erp', 'a', 'b', '2026-01-31T02:00:00Z')";
        connection.execute(insert, (erp, crm, field.map(|field| format!("{field}=telephone1")))).unwrap();
    }
    drop(connection);
    let read = |store: &SqliteStore<'_>| {
        let inbox = store.inbox(None).unwrap();
        for (item, (number, kind, _, _, expected)) in inbox.iter().zip(&cases) {
            assert_eq!(item.message, *expected, "{number}");
            let on = item.outstanding.as_ref().map(|outstanding| outstanding.on.as_str());
            assert_eq!(on, (*kind != "failed").then_some("2026-01-31"), "{number}");
        }
        assert_eq!(inbox.len(), cases.len());
    };
    read(&SqliteStore::read_only(&path).unwrap());
    read(&open(&path));
}

#[test]
fn who_may_not_write_reads_a_state_at_rest_and_beside_a_run() {
    let (_folder, path) = place();
    let names = || {
        let entries = fs::read_dir(path.parent().unwrap()).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect::<std::collections::BTreeSet<_>>()
    };
    let count = || {
        let connection = reading::without_rights(&path).unwrap();
        connection.query_row("SELECT count(*) FROM coupling", (), |row| row.get::<_, i64>(0)).unwrap()
    };
    open(&path).commit("customers", &[], &[couple(1, 1)], &[]).unwrap();
    let (before, bytes) = (names(), fs::read(&path).unwrap());
    assert_eq!(count(), 1);
    assert_eq!(names(), before, "no log is left for a run to stumble over");
    assert!(fs::read(&path).unwrap() == bytes);

    let mut writer = open(&path);
    writer.commit("customers", &[], &[couple(2, 2)], &[]).unwrap();
    let before = names();
    assert!(before.contains("full.db-wal"), "{before:?}");
    assert_eq!(count(), 2, "what the run wrote a moment ago");
    writer.commit("customers", &[], &[couple(3, 3)], &[]).unwrap();
    assert_eq!((count(), names()), (3, before));
    drop(writer);
    assert_eq!(count(), 3);
}

#[test]
fn what_a_run_that_was_cut_off_left_is_not_passed_over() {
    let (_folder, path) = place();
    let mut store = open(&path);
    store.commit("customers", &[], &[couple(1, 1)], &[]).unwrap();
    // The log alone: its index was lost, and who may not write cannot make one.
    let (_copy_folder, copy) = killed(&path);
    let error = reading::without_rights(&copy).unwrap_err().of(&copy).to_string();
    let said = error.replace(&copy.display().to_string(), "full.db");
    insta::assert_snapshot!(said, @"the state cannot be used: full.db: the last run was cut off, and only who may write here can read what it left; start a run, or ask for the right to write the file and its folder");
    assert_eq!(SqliteStore::read_only(&copy).unwrap().coupling_counts().unwrap()["customers"], 1);
}

#[test]
fn the_journal_is_asked_by_run_and_by_record() {
    let (_folder, path) = place();
    let mut store = open(&path);
    store.intend("run 1", &[intent(1), intent(2)]).unwrap();
    let to_partner = Intent { side: Side::Erp, id: e(1), partner: c(1), ..intent(1) };
    let numbers = store.intend("run 2", &[intent(1), to_partner]).unwrap();
    store.answer(&[answer(numbers[0])], "customers", &[], &[]).unwrap();
    let told = |rows: Vec<JournalRow>| -> Vec<String> {
        let row =
            |row: JournalRow| format!("{} {} {} {:?}", row.run, row.intent.side.key(), row.intent.id, row.outcome);
        rows.into_iter().map(row).collect()
    };
    let (crm, erp) = (c(1), e(1));
    let second = format!("run 2 crm {crm} Some(\"written\")");
    assert_eq!(told(store.writes_of_run("run 2").unwrap()), [second.clone(), format!("run 2 erp {erp} None")]);
    let both = PerSide { erp: Some(erp), crm: Some(crm) };
    let newest = [format!("run 2 erp {erp} None"), second, format!("run 1 crm {crm} None")];
    assert_eq!(told(store.writes_to("customers", both, 9).unwrap()), newest);
    assert_eq!(told(store.writes_to("customers", both, 1).unwrap()), newest[..1]);
    assert_eq!(told(store.writes_to("customers", PerSide { erp: Some(e(7)), crm: None }, 9).unwrap()), [""; 0]);
    assert_eq!(told(store.writes_to("items", both, 9).unwrap()), [""; 0]);
    assert_eq!(store.writes_since("customers", NOW).unwrap().len(), 4);
    assert_eq!(store.writes_since("customers", "2999-01-31T02:00:00Z").unwrap(), []);
    assert_eq!(store.writes_since("items", NOW).unwrap(), []);
}

#[test]
fn a_lock_ends_with_its_store_whoever_has_a_copy_of_the_file() {
    let (_folder, path) = place();
    let store = open(&path);
    // As a child process has it that a thread begins to start at this moment.
    let copy = store.writer.as_ref().unwrap().lock.as_ref().unwrap().copy();
    drop(store);
    drop(open(&path));
    drop(copy);
}

#[test]
fn a_new_state_is_there_as_a_whole_or_not_at_all() {
    let (_folder, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // What is left where a program dies while it makes one.
    for name in ["full.db.new", "full.db.new-journal", "full.db.lock"] {
        fs::write(path.with_file_name(name), "a part of something").unwrap();
    }
    open(&path).commit("customers", &[], &[couple(1, 1)], &[]).unwrap();
    let names = fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["full.db", "full.db.lock"]);
}

#[test]
fn refusals_are_kept_until_they_are_replaced_or_forgotten() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let refusal = |number: u128, crm: bool| Refusal {
        side: if crm { Side::Erp } else { Side::Crm },
        erp: Some(e(number)),
        crm: crm.then(|| c(number)),
        message: "locked".to_owned(),
        print: u64::MAX - u64::try_from(number).unwrap(),
        times: 2,
    };
    store.replace_refusals("customers", &[refusal(1, true), refusal(2, false)]).unwrap();
    store.replace_refusals("items", &[refusal(3, true)]).unwrap();
    store.replace_refusals("customers", &[refusal(2, false), refusal(4, true)]).unwrap();
    drop(store);
    let mut store = open(&path);
    assert_eq!(store.refusals("customers").unwrap(), [refusal(2, false), refusal(4, true)]);
    assert!(!store.retry("customers", Some(e(2)), Some(c(2))).unwrap(), "a pair is another matter than its record");
    assert!(store.retry("customers", Some(e(2)), None).unwrap());
    assert!(!store.retry("customers", Some(e(2)), None).unwrap());
    assert_eq!(store.refusals("customers").unwrap(), [refusal(4, true)]);
    assert_eq!(store.refusals("items").unwrap(), [refusal(3, true)]);
}

#[test]
fn what_a_person_decided_stands_until_it_is_carried_out() {
    let (_folder, path) = place();
    let decision = |number: u128, field: Option<&str>, verdict: Decided| Decision {
        table: "customers".to_owned(),
        record: format!("customers:{number}"),
        ids: PerSide { erp: e(number), crm: c(number) },
        field: field.map(str::to_owned),
        verdict,
        values: PerSide { erp: "is here".to_owned(), crm: "is there".to_owned() },
        seen: None,
        at: String::new(),
        unmet: None,
        ended: None,
    };
    {
        let mut store = open(&path);
        store.commit("customers", &[], &[couple(1, 1), couple(2, 2)], &[]).unwrap();
        let survivor = |print| Survivor { ids: PerSide { erp: e(2), crm: c(2) }, left: Side::Crm, print };
        store.replace_survivors("customers", &[survivor(None), survivor(Some(u64::MAX))]).unwrap();
        assert_eq!(store.survivors("customers").unwrap(), [survivor(Some(u64::MAX))]);
        let first = decision(1, Some("phone=phone"), Decided::Take(Side::Erp));
        let replies = [
            Reply::Decide(first.clone()),
            Reply::Decide(decision(1, Some("name=name"), Decided::Value(" = \"é\" ".to_owned()))),
            Reply::Decide(decision(2, None, Decided::Restore)),
            // About the same as before: only this one counts.
            Reply::Decide(Decision { verdict: Decided::Take(Side::Crm), ..first }),
            Reply::Decide(decision(2, None, Decided::Delete)),
        ];
        store.reply(&replies).unwrap();
    }
    let mut store = open(&path);
    let standing = |store: &SqliteStore<'_>| {
        let all = store.decisions(Some("customers")).unwrap();
        all.into_iter().filter(|decision| decision.ended.is_none()).collect::<Vec<_>>()
    };
    let dated = |decision: Decision| Decision { at: NOW.to_owned(), ..decision };
    let name = dated(decision(1, Some("name=name"), Decided::Value(" = \"é\" ".to_owned())));
    let phone = dated(decision(1, Some("phone=phone"), Decided::Take(Side::Crm)));
    let delete = Decision { seen: Some(u64::MAX), ..dated(decision(2, None, Decided::Delete)) };
    assert_eq!(standing(&store), [name.clone(), phone.clone(), delete.clone()]);
    // What a run could not carry out is due no more until it is decided once more.
    store.note_unmet("customers", &[(delete.ids, None), (phone.ids, phone.field.clone())]).unwrap();
    let unmet = |decision: &Decision| Decision { unmet: Some(NOW.to_owned()), ..decision.clone() };
    assert_eq!(standing(&store), [name.clone(), unmet(&phone), unmet(&delete)]);
    assert!(phone.is_due() && !unmet(&delete).is_due());
    store.reply(&[Reply::Decide(decision(1, Some("phone=phone"), Decided::Take(Side::Crm)))]).unwrap();
    store.reply(&[Reply::Decide(decision(2, None, Decided::Delete))]).unwrap();
    assert_eq!(standing(&store), [name.clone(), phone.clone(), delete.clone()]);
    assert!(store.decisions(Some("items")).unwrap().is_empty());

    store.end_decisions("customers", &[(name.ids, name.field.clone())]).unwrap();
    assert_eq!(standing(&store), [phone.clone(), delete]);
    assert_eq!(store.decisions(None).unwrap()[0], Decision { ended: Some(NOW.to_owned()), ..name });
    // A pair that is none any more has nothing to decide.
    store.commit("customers", &[], &[CouplingChange::Uncouple { erp: e(2), crm: c(2) }], &[]).unwrap();
    store.end_decisions("customers", &[]).unwrap();
    assert_eq!(standing(&store), [phone]);
}

#[test]
fn a_pair_is_found_by_what_it_held() {
    let (_folder, path) = place();
    let mut store = open(&path);
    store.commit("items", &[], &[couple(1, 1)], &[]).unwrap();
    store.commit("customers", &[], &[couple(1, 1), couple(2, 2), couple(3, 3)], &[]).unwrap();
    let settlement = |number: u128, erp: &str, crm: &str| Settlement {
        erp: e(number),
        crm: c(number),
        base: vec![Some(PerSide { erp: 1, crm: 1 }); 2],
        values: vec![
            (0, PerSide { erp: erp.to_owned(), crm: crm.to_owned() }),
            (1, PerSide { erp: "b".to_owned(), crm: "b".to_owned() }),
        ],
        terms: Vec::new(),
        whole: false,
    };
    let fields = ["number=number".to_owned(), "name=name".to_owned()];
    let settled = [settlement(1, " A ", "a"), settlement(2, "b", "A"), settlement(3, "b", "b")];
    store.commit("customers", &fields, &[], &settled).unwrap();
    let found = |field: &str, side: Side, text: &str| {
        store.pairs_with("customers", field, side, text).unwrap().into_iter().map(|ids| ids.erp).collect::<Vec<_>>()
    };
    assert_eq!(found(&fields[0], Side::Erp, "a"), [e(1)]);
    assert_eq!(found(&fields[0], Side::Crm, "A"), [e(1), e(2)]);
    assert_eq!(found(&fields[1], Side::Erp, "b").len(), 3);
    assert!(found(&fields[1], Side::Erp, "a").is_empty() && found("other=other", Side::Erp, "b").is_empty());
    assert!(store.pairs_with("items", &fields[0], Side::Erp, "a").unwrap().is_empty());
}

#[test]
fn a_pair_that_is_parted_waits_for_nothing() {
    let (_folder, path) = place();
    let mut store = open(&path);
    let coupled = |number| InboxItem { crm_id: Some(c(number)), ..item(InboxKind::Contested, number, Some("phone")) };
    store.commit("customers", &[], &[couple(1, 1), couple(2, 2)], &[]).unwrap();
    store.replace_inbox("customers", &[coupled(1), coupled(2)]).unwrap();
    let ids = PerSide { erp: e(1), crm: c(1) };
    let refusal =
        Refusal { erp: Some(e(1)), crm: Some(c(1)), side: Side::Crm, message: String::new(), print: 1, times: 2 };
    store.replace_refusals("customers", &[refusal]).unwrap();
    store.reply(&[Reply::Part { table: "customers".to_owned(), ids, record: "customers:1".to_owned() }]).unwrap();
    assert_eq!(store.couplings("customers", &[]).unwrap().erp, [e(2)]);
    let left = store.inbox(None).unwrap();
    assert_eq!((left.len(), left[0].erp_id, left[0].attempts), (1, Some(e(2)), 1));
    assert!(store.refusals("customers").unwrap().is_empty());
    let apart = |side, id| Apart {
        table: "customers".to_owned(),
        side,
        id,
        record: Some("customers:1".to_owned()),
        since: NOW.to_owned(),
    };
    assert_eq!(store.apart().unwrap(), [apart(Side::Erp, e(1)), apart(Side::Crm, c(1))]);
}
