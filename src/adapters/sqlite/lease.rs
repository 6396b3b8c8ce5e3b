//! One writer at a time: a lock of the operating system on `STATE.lock`, and a lease in the file itself.
//!
//! The lock decides, and a process that is killed frees it at once. Where the file system has no locks, the lease
//! decides, and one that was left behind counts until it expires. In both cases each transaction renews the lease and
//! so notices that another process took it (because somebody deleted the lock file, say): then the first one writes
//! nothing more. The clock is the caller's.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use chrono::{DateTime, SecondsFormat};
use rusqlite::{Connection, OptionalExtension};

use crate::adapters::sqlite::trouble::Trouble;
use crate::store::StoreError;

/// How long a lease counts after the last transaction, where only the lease decides; longer than a large table takes
/// to be read, as no transaction falls into that time.
const LEASE_SECONDS: i64 = 60 * 60;

/// The operating system's lock on a state, for as long as this lives.
pub(super) struct Lock(File);

#[cfg(test)]
impl Lock {
    /// Returns what a child process gets of it.
    pub(super) fn copy(&self) -> File {
        self.0.try_clone().expect("the file is open")
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // It spares the next run a wrong name in a message, no more.
        let _ = self.0.set_len(0);
        // Closing the file is not enough: a child process that another thread starts at this moment has a copy of it,
        // and would keep the lock until its own program begins.
        let _ = self.0.unlock();
    }
}

/// Takes the operating system's lock; `None` where the file system has none.
pub(super) fn lock(path: &Path, holder: &str, since: &str) -> Result<Option<Lock>, StoreError> {
    let path = path.with_added_extension("lock");
    let failed = |error: std::io::Error| StoreError::Failed { message: format!("{}: {error}", path.display()) };
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = options.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(locked_by(&file)),
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    file.set_len(0).and_then(|()| write!(file, "{holder}\n{since}\n")).map_err(failed)?;
    Ok(Some(Lock(file)))
}

fn locked_by(mut file: &File) -> StoreError {
    let mut text = String::new();
    // Who it is, is for the message only; some systems forbid even to read a locked file.
    let _ = file.read_to_string(&mut text);
    match text.split_once('\n') {
        Some((holder, since)) if since.ends_with('\n') => {
            StoreError::Locked { holder: holder.to_owned(), since: since.trim_end().to_owned() }
        }
        _ => StoreError::Locked { holder: "another run".to_owned(), since: "a moment ago".to_owned() },
    }
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
    connection.execute("DELETE FROM lease WHERE holder = ?1 AND since = ?2", (holder, since))?;
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
