//! The log beside a state, `STATE-wal`: whether it belongs to the file.
//!
//! SQLite keeps there what is not in the file yet, and after a run that was killed plays it into whatever file bears the
//! name by then. A backup that is put in place of the file would become a mixture of both, and of two sound files a
//! mixture may look sound. So each opening for writing draws a stamp, and notes with it which stamps the file by itself
//! may still bear; each transaction writes that row, so that a log which holds anything holds it. A file that bears none
//! of these stamps is not the one that the log was written for. For the same reason the log is played into the file here, and
//! not by SQLite on its own: from then on another file than before fits, so that the next transaction draws a stamp.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use crate::adapters::sqlite::lease::Note;
use crate::adapters::sqlite::trouble::Trouble;
use crate::adapters::sqlite::{BUSY_SECONDS, reading};

const STAMP_BYTES: usize = 8;

/// What stands for the stamp of a file that bears none yet.
const NO_STAMP: [u8; STAMP_BYTES] = [0; STAMP_BYTES];

/// How large a log grows before it is played into the file; as much as SQLite would let it grow.
pub(super) const BYTES_MAX: u64 = 4 << 20;

/// Returns the name of one of the files that SQLite keeps beside another.
pub(super) fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Returns where a run keeps what is not in the file yet.
pub(super) fn of(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

/// Tells whether a run that did not end left something in the log; only while no run goes on.
pub(super) fn is_left(path: &Path) -> bool {
    fs::metadata(of(path)).is_ok_and(|log| log.len() > 0)
}

/// Fails where there is a log and no file: SQLite would remove it, and the last that is known of a company with it.
pub(super) fn has_its_file(path: &Path) -> Result<(), Trouble> {
    if path.exists() || !is_left(path) {
        return Ok(());
    }
    let log = of(path);
    let name = log.file_name().unwrap_or_default().to_string_lossy();
    Err(Trouble::Broken(format!(
        "the file is gone, and its log {name} is still there; put the file back beside it, or move the log away to begin \
         anew"
    )))
}

/// Fails where the log that the connection reads with the file was written for another file.
pub(super) fn belongs(connection: &Connection, path: &Path) -> Result<(), Trouble> {
    if !is_left(path) {
        return Ok(());
    }
    let together = stamps(connection)?;
    // A file that cannot be read without its log was left in the middle of a checkpoint; what is wrong with it besides
    // is found with the log.
    let Ok(alone) = reading::by_address(path, "mode=ro&immutable=1").and_then(|file| stamps(&file)) else {
        return Ok(());
    };
    let fits = match (&alone, &together) {
        (None, None) => true,
        (None, Some(together)) => together.fits(&NO_STAMP),
        (Some(_), None) => false,
        (Some(alone), Some(together)) => together.fits(&alone.stamp),
    };
    if fits {
        return Ok(());
    }
    let log = of(path);
    let name = log.file_name().unwrap_or_default().to_string_lossy();
    Err(Trouble::Broken(format!(
        "the log {name} beside it is of another file; put the file back that it belongs to, or move the log away and go \
         on with this one"
    )))
}

/// The stamp of a state, and those that the file may still bear as long as the log is not in it.
struct Stamps {
    stamp: Vec<u8>,
    before: Vec<u8>,
}

impl Stamps {
    /// Tells whether a file that bears this stamp is the one that the log was written for.
    fn fits(&self, alone: &[u8]) -> bool {
        alone == self.stamp || self.before.chunks(STAMP_BYTES).any(|before| before == alone)
    }
}

/// Reads the stamp and the earlier ones; `None` where no run has drawn one.
fn stamps(connection: &Connection) -> Result<Option<Stamps>, Trouble> {
    if !is_known(connection)? {
        return Ok(None);
    }
    let row = connection
        .query_row("SELECT stamp, before FROM stamp", (), |row| Ok(Stamps { stamp: row.get(0)?, before: row.get(1)? }));
    Ok(row.optional()?)
}

fn is_known(connection: &Connection) -> Result<bool, Trouble> {
    Ok(connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'stamp'", (), |row| row.get(0))?)
}

/// Draws a stamp, within the caller's transaction; `left` tells that the log holds something, so that the file may still
/// bear an earlier one than the last.
pub(super) fn begin(connection: &Connection, left: bool) -> Result<(), Trouble> {
    let before = match stamps(connection)? {
        Some(Stamps { stamp, before }) if left => [before, stamp].concat(),
        Some(Stamps { stamp, .. }) => stamp,
        None => NO_STAMP.to_vec(),
    };
    connection.execute(
        "INSERT OR REPLACE INTO stamp (id, stamp, before, turn) VALUES (1, randomblob(8), ?1, 0)",
        (before,),
    )?;
    Ok(())
}

/// Plays a large log into the file, and tells whether all of it is there now. A reader or the disk may be in the way of
/// that, and then it is tried again after the next transaction.
///
/// A reader that sees all of it keeps the log from being emptied, but not from being begun anew by the next transaction.
pub(super) fn play_where_large(connection: &Connection, path: &Path) -> bool {
    if fs::metadata(of(path)).map_or(0, |log| log.len()) < BYTES_MAX {
        return false;
    }
    let play = || -> Result<bool, rusqlite::Error> {
        connection.busy_timeout(Duration::ZERO)?;
        // Whether it was held up, the pages of the log, and how many of them are in the file; -1 where it did not begin.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| {
            let (pages, played): (i64, i64) = (row.get(1)?, row.get(2)?);
            Ok(pages >= 0 && pages == played)
        })
    };
    // What was to be kept is on disk already, in the log.
    let played = play().unwrap_or(false);
    connection.busy_timeout(Duration::from_secs(BUSY_SECONDS)).is_ok() && played
}

/// Writes the stamp once more, within the caller's transaction.
pub(super) fn renew(connection: &Connection) -> Result<(), Trouble> {
    connection.prepare_cached("UPDATE stamp SET turn = turn + 1")?.execute(())?;
    Ok(())
}

/// Returns which transaction is the last one; `None` where no run has drawn a stamp.
pub(super) fn last(connection: &Connection) -> Result<Option<Note>, Trouble> {
    if !is_known(connection)? {
        return Ok(None);
    }
    let mut statement = connection.prepare_cached("SELECT hex(stamp), turn FROM stamp")?;
    Ok(statement.query_row((), |row| Ok(Note { stamp: row.get(0)?, turn: row.get(1)? })).optional()?)
}

/// Fails where something of what a program wrote before it was killed is missing; `left` is what it noted.
///
/// SQLite reads a log as far as it is sound, and takes the rest for a transaction that did not come to its end: right
/// for what a death leaves, wrong for a disk that lost what was on it already.
pub(super) fn has_its_end(connection: &Connection, path: &Path, left: Option<&Note>) -> Result<(), Trouble> {
    let Some(left) = left.filter(|_| is_left(path)) else { return Ok(()) };
    let is_reached = |found: &Note| found.stamp == left.stamp && found.turn >= left.turn;
    // A program that died before it noted the first transaction of its own left the note of the one before.
    let is_passed = || -> Result<bool, Trouble> {
        let before: String = connection.query_row("SELECT hex(before) FROM stamp", (), |row| row.get(0))?;
        Ok(before.as_bytes().chunks(2 * STAMP_BYTES).any(|stamp| stamp == left.stamp.as_bytes()))
    };
    if let Some(found) = last(connection)?
        && (is_reached(&found) || is_passed()?)
    {
        return Ok(());
    }
    let log = of(path);
    let name = log.file_name().unwrap_or_default().to_string_lossy();
    Err(Trouble::Broken(format!(
        "the log {name} beside it has lost what the last run wrote at its end; put back a backup of both, or move the log \
         away and look at `pipeline plan` before the next run: what that run made may be coupled anew"
    )))
}
