//! What stands on disk: after a kill, after rot, new, old, and read beside a run.

use super::*;

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
    for content in ["", "x"] {
        fs::write(&path, content).unwrap();
        for message in [refused(&path), SqliteStore::read_only(&path).err().unwrap()].map(|error| error.to_string()) {
            assert!(message.contains("the file is empty, or nearly so, which a state never is"), "{message}");
        }
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
