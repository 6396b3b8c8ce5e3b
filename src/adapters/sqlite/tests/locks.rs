//! One writer at a time, and what a state belongs to.

use super::*;

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
