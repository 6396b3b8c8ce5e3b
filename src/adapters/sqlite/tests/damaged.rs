//! Files that are not what was written: bytes that turned, files that were cut, logs without their file or beside
//! another one. Each is told, or what is read of it is what was written.

use super::*;

/// A state as a run that was killed leaves it: so many couplings in the file, and some more in the log alone.
fn cut_off(couplings: u128) -> (TempDir, PathBuf) {
    let (_folder, path) = place();
    let keys = fields(&["name=name", "city=city"]);
    let base = |number| settlement(number, &[both(number as u64), both(7)], &[(0, "Ahlgren"), (1, "Oslo")]);
    let pairs = |from: u128, to: u128| {
        ((from..to).map(|n| couple(n, n)).collect::<Vec<_>>(), (from..to).map(base).collect::<Vec<_>>())
    };
    {
        let mut store = open(&path);
        let (changes, settled) = pairs(0, couplings);
        store.commit("customers", &keys, &changes, &settled).unwrap();
        store.intend("run 1", &[intent(1)]).unwrap();
    }
    let mut store = open(&path);
    for number in 0..8 {
        let (changes, settled) = pairs(couplings + number, couplings + number + 1);
        store.commit("customers", &keys, &changes, &settled).unwrap();
    }
    killed(&path)
}

/// Returns what a run would read.
fn read(store: &SqliteStore<'_>) -> (Couplings, Vec<OpenIntent>) {
    let keys = fields(&["name=name", "city=city"]);
    (store.couplings("customers", &keys).unwrap(), store.open_intents("customers").unwrap())
}

fn files(path: &Path) -> [Option<Vec<u8>>; 2] {
    [path.to_owned(), log::of(path)].map(|path| fs::read(path).ok())
}

/// Opens both ways; tells whether it was refused, in which case nothing of it changed.
#[track_caller]
fn is_refused(path: &Path, when: &str) -> bool {
    let before = files(path);
    let reading = SqliteStore::read_only(path);
    let told = match &reading {
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    };
    drop(reading);
    if told.is_some() {
        assert!(files(path) == before, "{when}: reading left something else: {told:?}");
    }
    // Reading plays a log into its file.
    let before = files(path);
    match SqliteStore::open(path, "host pid 2", &clock, true) {
        Ok(_) => false,
        Err(error) => {
            assert!(files(path) == before, "{when}: {error}: what is broken is evidence");
            let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            assert!(error.to_string().contains(&*place.to_string_lossy()), "{when}: {error}");
            true
        }
    }
}

/// A generator of its own, so that a failing place can be had again.
fn random(seed: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&seed.to_le_bytes())
}

#[test]
fn a_byte_that_turned_is_told_or_changes_nothing_that_counts() {
    let (_folder, path) = cut_off(300);
    // All of it in the file.
    drop(open(&path));
    let sound = fs::read(&path).unwrap();
    let expected = read(&SqliteStore::read_only(&path).unwrap());
    let (mut told, cases) = (0, 240);
    for seed in 0..cases {
        let mut bytes = sound.clone();
        // The header is small, so that chance alone would hardly meet it.
        let bound = if seed % 8 == 0 { 100 } else { bytes.len() as u64 };
        let place = (random(seed) % bound) as usize;
        bytes[place] ^= 1 << (random(seed + cases) % 8);
        fs::write(&path, &bytes).unwrap();
        let when = format!("seed {seed}, byte {place} of {}", sound.len());
        if is_refused(&path, &when) {
            told += 1;
        } else {
            let found = read(&SqliteStore::read_only(&path).unwrap());
            assert!(found.0 == expected.0, "{when}: other couplings");
            // An open intent is asked of its side before anything is sent; that it is there is what counts.
            assert_eq!(found.1.len(), expected.1.len(), "{when}");
        }
        let _ = fs::remove_file(log::of(&path));
    }
    assert!(told > cases / 5, "{told} of {cases} were told");
}

/// Plays a log that is not whole beside its file and its lock; it is refused, or all is there.
fn play(file: &[u8], log: &[u8], lock: &[u8], when: &str) -> bool {
    let (_folder, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let name = path.with_added_extension("lock");
    for (path, bytes) in [(&path, file), (&log::of(&path), log), (&name, lock)] {
        fs::write(path, bytes).unwrap();
    }
    let before = files(&path);
    match SqliteStore::open(&path, "host pid 2", &clock, true) {
        Ok(store) => {
            assert_eq!(read(&store).0.len(), 28, "{when}: something is missing");
            false
        }
        Err(error) => {
            assert!(files(&path) == before, "{when}: {error}: what is broken is evidence");
            // Neither does a second look find it better.
            assert_eq!(SqliteStore::open(&path, "host pid 3", &clock, true).err(), Some(error), "{when}");
            true
        }
    }
}

#[test]
fn a_log_in_which_a_byte_turned_is_told() {
    let (_folder, path) = cut_off(20);
    let (file, sound) = (fs::read(&path).unwrap(), fs::read(log::of(&path)).unwrap());
    let lock = fs::read(path.with_added_extension("lock")).unwrap();
    let mut told = 0;
    let cases = 120;
    for seed in 0..cases {
        let mut bytes = sound.clone();
        let place = (random(seed) % if seed % 8 == 0 { 32 } else { bytes.len() as u64 }) as usize;
        bytes[place] ^= 1 << (random(seed + 1000) % 8);
        told += u64::from(play(&file, &bytes, &lock, &format!("seed {seed}, byte {place} of {}", sound.len())));
    }
    // The log's own number and the like can be another one without harm.
    assert!(told > cases * 9 / 10, "{told} of {cases} were told");
}

#[test]
fn a_log_that_lost_its_end_is_told() {
    let (_folder, path) = cut_off(20);
    let (file, sound) = (fs::read(&path).unwrap(), fs::read(log::of(&path)).unwrap());
    let lock = fs::read(path.with_added_extension("lock")).unwrap();
    for part in 1..24 {
        let length = sound.len() * part / 24;
        assert!(play(&file, &sound[..length], &lock, &format!("{length} of {} bytes", sound.len())));
    }
    assert!(!play(&file, &sound, &lock, "whole"));
    // After a power cut the note may be older than the log.
    assert!(!play(&file, &sound, b"host pid 1\nsome time\n", "no note"));
    assert!(!play(&file, &sound, b"", "nothing in the lock"));
    // A program that died between its first transaction and its note of it; and one that died within a note.
    let (_first_folder, first) = cut_off(20);
    let earlier = fs::read(first.with_added_extension("lock")).unwrap();
    let store = open(&first);
    let (_second_folder, second) = killed(&first);
    drop(store);
    let bytes = |path: &Path| fs::read(path).unwrap();
    assert!(!play(&bytes(&second), &bytes(&log::of(&second)), &earlier, "an earlier note"));
    let text = String::from_utf8(lock.clone()).unwrap();
    let torn = text.replacen("00 ", "99 ", 1).replacen("08 ", "99 ", 1).replacen("07 ", "99 ", 1);
    assert_ne!(torn, text);
    assert!(!play(&file, &sound, torn.as_bytes(), "a torn note"));
    let error = {
        let (_folder, copy) = place();
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::write(&copy, &file).unwrap();
        fs::write(log::of(&copy), &sound[..sound.len() / 2]).unwrap();
        fs::write(copy.with_added_extension("lock"), &lock).unwrap();
        refused(&copy)
    };
    insta::assert_snapshot!(error, @"the state cannot be read: full.db: the log full.db-wal beside it has lost what the last run wrote at its end; put back a backup of both, or move the log away and look at `pipeline plan` before the next run: what that run made may be coupled anew");
}

#[test]
fn a_file_that_was_cut_is_told() {
    let (_folder, path) = cut_off(300);
    drop(open(&path));
    let sound = fs::read(&path).unwrap();
    for part in 0..24 {
        let length = sound.len() * part / 24 + part % 3;
        fs::write(&path, &sound[..length]).unwrap();
        assert!(is_refused(&path, &format!("{length} of {} bytes", sound.len())));
    }
    fs::write(&path, &sound).unwrap();
    assert!(!is_refused(&path, "whole"));
}

#[test]
fn a_log_without_its_file_or_beside_another_one_is_told() {
    let (_folder, path) = place();
    let commit = |number| open(&path).commit("customers", &[], &[couple(number, number)], &[]).unwrap();
    commit(1);
    let old = fs::read(&path).unwrap();
    commit(2);
    let last = fs::read(&path).unwrap();
    let mut store = open(&path);
    store.commit("customers", &[], &[couple(3, 3)], &[]).unwrap();
    let (_copy_folder, copy) = killed(&path);
    // A run long enough for its log to be played into the file: from then on the last backup does not fit any more.
    while !store.played {
        let many: Vec<_> = (10_000..12_000).map(|n| couple(n, n)).collect();
        let none: Vec<_> = (10_000..12_000).map(|n| CouplingChange::Uncouple { erp: e(n), crm: c(n) }).collect();
        store.commit("customers", &[], &many, &[]).unwrap();
        store.commit("customers", &[], &none, &[]).unwrap();
    }
    store.commit("customers", &[], &[couple(4, 4)], &[]).unwrap();
    let (_long_folder, long) = killed(&path);
    drop(store);

    let (_other_folder, other) = place();
    drop(open(&other));
    let (_strange_folder, strange) = place();
    fs::create_dir_all(strange.parent().unwrap()).unwrap();
    Connection::open(&strange)
        .unwrap()
        .execute_batch("CREATE TABLE song (name TEXT); INSERT INTO song VALUES ('a')")
        .unwrap();
    let (other, strange) = (fs::read(other).unwrap(), fs::read(strange).unwrap());
    let mut told = String::new();
    type Case<'a> = (&'a str, &'a Path, Option<&'a [u8]>, Option<usize>);
    let cases: [Case<'_>; 9] = [
        ("its own file", &copy, None, Some(3)),
        ("as it was when the log began", &copy, Some(&last), Some(3)),
        ("an earlier backup", &copy, Some(&old), None),
        ("another state", &copy, Some(&other), None),
        ("another application's", &copy, Some(&strange), None),
        ("its own file, after a long run", &long, None, Some(4)),
        ("as it was before the long run", &long, Some(&last), None),
        ("no file", &copy, Some(&[]), None),
        ("no file at all", &long, Some(&[]), None),
    ];
    for (name, from, file, expected) in cases {
        let (_case_folder, case) = place();
        fs::create_dir_all(case.parent().unwrap()).unwrap();
        fs::copy(log::of(from), log::of(&case)).unwrap();
        match file {
            None => drop(fs::copy(from, &case).unwrap()),
            Some([]) => {}
            Some(bytes) => fs::write(&case, bytes).unwrap(),
        }
        match expected {
            None => {
                assert!(SqliteStore::read_only(&case).is_err(), "{name}");
                assert!(is_refused(&case, name), "{name}");
                told += &format!("{name}: {}\n", refused(&case));
            }
            Some(couplings) => {
                assert!(!is_refused(&case, name), "{name}");
                assert_eq!(read(&open(&case)).0.len(), couplings, "{name}");
            }
        }
    }
    insta::assert_snapshot!(told, @r"
    an earlier backup: the state cannot be read: full.db: the log full.db-wal beside it is of another file; put the file back that it belongs to, or move the log away and go on with this one
    another state: the state cannot be read: full.db: the log full.db-wal beside it is of another file; put the file back that it belongs to, or move the log away and go on with this one
    another application's: the state cannot be read: full.db: this is a database of another application; name another `state`
    as it was before the long run: the state cannot be read: full.db: the log full.db-wal beside it is of another file; put the file back that it belongs to, or move the log away and go on with this one
    no file: the state cannot be read: full.db: the file is gone, and its log full.db-wal is still there; put the file back beside it, or move the log away to begin anew
    no file at all: the state cannot be read: full.db: the file is gone, and its log full.db-wal is still there; put the file back beside it, or move the log away to begin anew
    ");
}

/// Of a log that is in the file to its end nothing counts any more, even where a reader keeps it from being emptied.
#[test]
fn a_log_of_which_all_is_in_the_file_is_no_other_file_s() {
    let (_folder, path) = place();
    drop(open(&path));
    let before = fs::read(&path).unwrap();
    let mut store = open(&path);
    let reader = || {
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM coupling").unwrap();
        reader
    };
    // It keeps the log from being played into the file, as long as that is needed.
    let early = reader();
    let many: Vec<_> = (0..40_000).map(|number| couple(number, number)).collect();
    store.commit("customers", &[], &many, &[]).unwrap();
    assert!(fs::metadata(log::of(&path)).unwrap().len() > log::BYTES_MAX);
    drop(early);
    // This one sees all of it, so that all of it can be played and nothing removed.
    let late = reader();
    store.played = log::play_where_large(&store.connection, &path);
    drop(late);
    // From here on the log begins anew, and again a reader holds up what follows.
    let _last = reader();
    store.commit("customers", &[], &[couple(50_000, 50_000)], &[]).unwrap();
    let (_killed_folder, killed) = killed(&path);
    let (_restored_folder, restored) = place();
    fs::create_dir_all(restored.parent().unwrap()).unwrap();
    for name in [log::of as fn(&Path) -> PathBuf, |path| path.with_added_extension("lock")] {
        fs::copy(name(&killed), name(&restored)).unwrap();
    }
    fs::write(&restored, before).unwrap();
    assert!(is_refused(&restored, "as it was before the run"));
    assert!(!is_refused(&killed, "its own file"));
    assert_eq!(read(&open(&killed)).0.len(), 40_001);
}

/// A link has no log of its own: SQLite keeps it beside the file.
#[test]
fn a_state_is_the_same_through_a_link() {
    use std::os::unix::fs::symlink;

    let (_folder, path) = place();
    open(&path).commit("customers", &[], &[couple(1, 1)], &[]).unwrap();
    let backup = fs::read(&path).unwrap();
    open(&path).commit("customers", &[], &[couple(2, 2)], &[]).unwrap();
    let mut store = open(&path);
    store.commit("customers", &[], &[couple(3, 3)], &[]).unwrap();
    let (elsewhere, killed) = killed(&path);
    drop(store);
    let link = elsewhere.path().join("link.db");
    symlink(&killed, &link).unwrap();
    let (file, log) = (fs::read(&killed).unwrap(), fs::read(log::of(&killed)).unwrap());
    fs::write(&killed, backup).unwrap();
    assert!(is_refused(&link, "a backup"));
    assert!(fs::read(log::of(&killed)).is_ok_and(|kept| kept == log), "the log is evidence");
    fs::write(&killed, file).unwrap();
    assert_eq!(SqliteStore::read_only(&link).unwrap().coupling_counts().unwrap()["customers"], 3);
    // A volume that is not there is no new company.
    let (nowhere, folder) = (elsewhere.path().join("nowhere.db"), elsewhere.path().join("volume"));
    symlink("not/there.db", &nowhere).unwrap();
    symlink("not", &folder).unwrap();
    let mut told = String::new();
    for path in [&nowhere, &folder.join("full.db")] {
        assert!(is_refused(path, "a link that leads nowhere"));
        let (reading, writing) = (SqliteStore::read_only(path).err(), SqliteStore::open(path, "h", &clock, true).err());
        assert_eq!(reading, writing);
        told += &reading.unwrap().to_string().replace(&*elsewhere.path().to_string_lossy(), "FOLDER");
        told.push('\n');
    }
    insta::assert_snapshot!(told, @r"
    the state cannot be read: FOLDER/nowhere.db: the link leads to not/there.db, where nothing is; see that it is there (a volume that is not mounted, say), or remove the link to begin anew
    the state cannot be read: FOLDER/volume/full.db: the link FOLDER/volume leads to not, where nothing is; see that it is there (a volume that is not mounted, say), or remove the link to begin anew
    ");
}

/// The log is never played into the file meanwhile: it may still be as the first run found it.
#[test]
fn one_death_after_the_other_from_the_first_run_on_is_gone_over() {
    let keys = fields(&["name=name"]);
    let (mut folder, mut path) = place();
    for number in 0..4 {
        let mut store = open(&path);
        assert_eq!(store.couplings("customers", &keys).unwrap().erp.len(), number as usize);
        store.commit("customers", &keys, &[couple(number, number)], &[]).unwrap();
        let left = killed(&path);
        drop(store);
        (folder, path) = left;
    }
    assert!(!is_refused(&path, "after four deaths"));
    drop(folder);
}

#[test]
fn couplings_of_an_older_program_get_their_prints() {
    let (_folder, path) = place();
    of_format_1(&path);
    drop(open(&path));
    let connection = Connection::open(&path).unwrap();
    let sealed: i64 = connection.query_row("SELECT count(print) FROM coupling", (), |row| row.get(0)).unwrap();
    assert_eq!(sealed, 1);
    connection.execute("UPDATE coupling SET crm = randomblob(16)", ()).unwrap();
    drop(connection);
    let error = refused(&path).to_string();
    assert!(error.contains("is not what was written"), "{error}");
}
