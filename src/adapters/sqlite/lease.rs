//! One writer at a time: a lock of the operating system on `STATE.lock`, and a lease in the file itself.
//!
//! The lock decides, and a process that is killed frees it at once. Where the file system has no locks, the lease
//! decides, and one that was left behind counts until it expires. In both cases each transaction renews the lease and
//! so notices that another process took it (because somebody deleted the lock file, say): then the first one writes
//! nothing more. The clock is the caller's.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat};
use rusqlite::{Connection, OptionalExtension};

use crate::adapters::sqlite::log;
use crate::adapters::sqlite::trouble::Trouble;
use crate::store::StoreError;

/// How long a lease counts after the last transaction, where only the lease decides; longer than a large table takes
/// to be read, as no transaction falls into that time.
const LEASE_SECONDS: i64 = 60 * 60;

/// The operating system's lock on a state, for as long as this lives.
///
/// Its file says who holds it, and in a third line which transaction was the last ([`Note`]). The line is not synced: it
/// survives the death of a program, not a power cut, and is only ever behind.
pub(super) struct Lock {
    file: File,
    state: PathBuf,
    /// Where the note begins.
    head_bytes: u64,
    /// What the last program noted that held the lock and did not end well.
    pub(super) left: Option<Note>,
}

/// Which transaction of a state was the last: the stamp of its opening, and how many came before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) stamp: String,
    pub(super) turn: i64,
}

impl Note {
    /// Returns the line that holds the note: all of it twice, so that half of a line over half of another one is none.
    fn line(&self) -> String {
        let Note { stamp, turn } = self;
        format!("{stamp} {turn:020} {stamp} {turn:020}\n")
    }

    /// Reads what [`Note::line`] writes; `None` for what a program left that died while it wrote.
    fn parse(line: &str) -> Option<Note> {
        let words: Vec<&str> = line.split(' ').collect();
        let [stamp, turn, stamp_again, turn_again] = words[..] else { return None };
        let whole = (stamp, turn) == (stamp_again, turn_again);
        whole.then_some(Note { stamp: stamp.to_owned(), turn: turn.parse().ok()? })
    }
}

impl Lock {
    /// Notes a transaction that is on disk; what cannot be noted is only not looked for later.
    pub(super) fn note(&mut self, note: &Note) {
        let line = note.line();
        let _ = self.file.seek(SeekFrom::Start(self.head_bytes)).and_then(|_| self.file.write_all(line.as_bytes()));
    }

    /// Returns what a child process gets of it.
    #[cfg(test)]
    pub(super) fn copy(&self) -> File {
        self.file.try_clone().expect("the file is open")
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // As long as there is a log, what is noted of it counts. Else nothing is left to look for, and the next run is
        // spared a wrong name in a message.
        if !log::is_left(&self.state) {
            let _ = self.file.set_len(0);
        }
        // Closing the file is not enough: a child process that another thread starts at this moment has a copy of it,
        // and would keep the lock until its own program begins.
        let _ = self.file.unlock();
    }
}

/// Takes the operating system's lock; `None` where the file system has none.
pub(super) fn lock(state: &Path, holder: &str, since: &str) -> Result<Option<Lock>, StoreError> {
    let path = state.with_added_extension("lock");
    let failed = |error: std::io::Error| StoreError::Failed { message: format!("{}: {error}", path.display()) };
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = options.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(locked_by(&file)),
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let mut before = String::new();
    // Without a note nothing is looked for.
    let _ = file.read_to_string(&mut before);
    let left = before.lines().nth(2).and_then(Note::parse);
    let head = format!("{holder}\n{since}\n");
    let mut write = || {
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(head.as_bytes())
    };
    write().map_err(failed)?;
    let mut lock = Lock { file, state: state.to_owned(), head_bytes: head.len() as u64, left };
    if let Some(left) = lock.left.clone() {
        lock.note(&left);
    }
    Ok(Some(lock))
}

fn locked_by(mut file: &File) -> StoreError {
    let mut text = String::new();
    // Who it is, is for the message only; some systems forbid even to read a locked file.
    let _ = file.read_to_string(&mut text);
    let (holder, since) = named(&text).unwrap_or(("another run", "a moment ago"));
    StoreError::Locked { holder: holder.to_owned(), since: since.to_owned() }
}

/// Returns who the lock's file says holds it, and since when; it may be one that was killed.
pub(super) fn noted(state: &Path) -> Option<(String, String)> {
    let text = std::fs::read_to_string(state.with_added_extension("lock")).ok()?;
    named(&text).map(|(holder, since)| (holder.to_owned(), since.to_owned()))
}

/// Reads the first two lines of the lock's file, which are whole or nothing.
fn named(text: &str) -> Option<(&str, &str)> {
    let mut lines = text.split_inclusive('\n').map(|line| line.strip_suffix('\n'));
    lines.next().flatten().zip(lines.next().flatten())
}

/// Takes the lease, within the caller's transaction.
///
/// `locked` tells that the operating system's lock is ours, so that the earlier holder cannot be alive.
pub(super) fn take(connection: &Connection, holder: &str, now: &str, locked: bool) -> Result<(), Trouble> {
    let earlier = connection
        .query_row("SELECT holder, since, expires FROM lease", (), |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?))
        })
        .optional()?;
    if let Some((holder, since, expires)) = earlier
        && !locked
        && expires > seconds(now)?
    {
        return Err(StoreError::Locked { holder, since }.into());
    }
    connection.execute(
        "INSERT OR REPLACE INTO lease (id, holder, since, expires) VALUES (1, ?1, ?2, ?3)",
        (holder, now, seconds(now)? + LEASE_SECONDS),
    )?;
    Ok(())
}

/// Renews the lease, within the caller's transaction; fails where it is another's by now.
pub(super) fn renew(connection: &Connection, holder: &str, since: &str, now: &str) -> Result<(), Trouble> {
    let renewed = connection
        .prepare_cached("UPDATE lease SET expires = ?3 WHERE holder = ?1 AND since = ?2")?
        .execute((holder, since, seconds(now)? + LEASE_SECONDS))?;
    if renewed == 1 {
        return Ok(());
    }
    let other = connection
        .query_row("SELECT holder, since FROM lease", (), |row| {
            Ok(StoreError::Locked { holder: row.get(0)?, since: row.get(1)? })
        })
        .optional()?;
    Err(other.map_or_else(
        || Trouble::Refused("the lease was taken away, so nothing more is written".to_owned()),
        Trouble::from,
    ))
}

/// Gives the lease back.
pub(super) fn release(connection: &Connection, holder: &str, since: &str) -> Result<(), Trouble> {
    let transaction = connection.unchecked_transaction()?;
    let ours = transaction.execute("DELETE FROM lease WHERE holder = ?1 AND since = ?2", (holder, since))?;
    if ours == 1 {
        log::renew(&transaction)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Returns seconds since 1970 as a time in RFC 3339.
pub(super) fn time(seconds: i64) -> String {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Returns a time as seconds since 1970.
pub(super) fn seconds(time: &str) -> Result<i64, Trouble> {
    match DateTime::parse_from_rfc3339(time) {
        Ok(time) => Ok(time.timestamp()),
        Err(_) => Err(Trouble::Refused(format!("`{time}` is no time in RFC 3339"))),
    }
}

/// Returns seconds since 1970 as a time.
pub(super) fn text(seconds: i64) -> Result<String, Trouble> {
    let time = DateTime::from_timestamp(seconds, 0);
    let time = time.ok_or_else(|| Trouble::Broken(format!("{seconds} is no time in seconds since 1970")))?;
    Ok(time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program dies at any byte of its note, over that of an earlier opening: what stands there then is one of the two
    /// notes or none, and never the one's stamp with the other's turn.
    #[test]
    fn half_a_note_over_another_is_none() {
        let note = |stamp: &str, turn| Note { stamp: stamp.to_owned(), turn };
        let (before, after) = (note("0123456789ABCDEF", 25), note("FEDCBA9876543210", 0));
        for written in 0..=after.line().len() {
            let line = after.line()[..written].to_owned() + &before.line()[written..];
            let found = Note::parse(line.trim_end());
            assert!(found.is_none() || found == Some(before.clone()) || found == Some(after.clone()), "{line}");
        }
        assert_eq!(Note::parse(after.line().trim_end()), Some(after));
    }
}
