//! Opening a state for reading: beside a run, without its lock, and by people who may not write there.
//!
//! Readers of a write-ahead log share an index with the writer, and where no run is going on they make it themselves.
//! Who may not write cannot, and must not: a log that a reader left behind would be in the next run's way. So without
//! rights the log of a run is read as it is; where there is none, the file is at rest, and is copied into memory and
//! taken only if nobody touched it meanwhile.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, MAIN_DB, OpenFlags};

use crate::adapters::odata::percent;
use crate::adapters::sqlite::schema::{self, Form};
use crate::adapters::sqlite::trouble::Trouble;
use crate::adapters::sqlite::{FLAGS, log, sound, tune};

/// How often a file is copied that a run touches meanwhile; a run that goes on leaves its log, which is read then.
const COPIES_MAX: usize = 5;

/// Opens a file that exists; `None` where nothing was ever written into it.
///
/// A file of an older format is brought up to date in memory; the file itself waits for the next run. Whatever a run
/// refuses is refused here as well: what is read of a broken file is no answer.
pub(super) fn open(path: &Path) -> Result<Option<Connection>, Trouble> {
    let connection = match in_place(path) {
        Ok(Some(connection)) => connection,
        Ok(None) => without_rights(path)?,
        // What fails in both ways is told as it is told to everybody.
        Err(trouble) if trouble.is_missing_right() => match without_rights(path) {
            Err(Trouble::Sql(_)) => return Err(trouble),
            result => result?,
        },
        Err(trouble) => return Err(trouble),
    };
    log::belongs(&connection, path)?;
    let form = schema::inspect(&connection, path)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    let connection = match form {
        Form::Empty => return Ok(None),
        Form::Present => connection,
        Form::Older => {
            let copy = copied(&connection)?;
            schema::bring_up_to_date(&copy)?;
            copy
        }
    };
    connection.pragma_update(None, "query_only", true)?;
    {
        // One view for all that is held against each other: a run may go on meanwhile.
        let view = connection.unchecked_transaction()?;
        sound::check(&view)?;
    }
    Ok(Some(connection))
}

/// Opens the file where it is; `None` where this user may not write it.
fn in_place(path: &Path) -> Result<Option<Connection>, Trouble> {
    // Not `SQLITE_OPEN_READ_ONLY`: such a connection may not remove the log and the index that it has to make where no
    // run is going on. `query_only` refuses every change all the same.
    let connection = Connection::open_with_flags(path, FLAGS)?;
    if connection.is_readonly(MAIN_DB)? {
        return Ok(None);
    }
    // The last one that closes plays the log into the file, which must not be another one's.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, log::is_left(path))?;
    connection.pragma_update(None, "query_only", true)?;
    tune(&connection)?;
    touch(&connection)?;
    Ok(Some(connection))
}

/// Reads a file without making or changing anything beside it.
pub(super) fn without_rights(path: &Path) -> Result<Connection, Trouble> {
    for _ in 0..COPIES_MAX {
        if log::of(path).exists() {
            match by_address(path, "mode=ro&readonly_shm=1") {
                // The run has ended, and taken its log along.
                Err(trouble) if trouble.is_missing_right() && !log::of(path).exists() => {}
                Err(trouble) if trouble.is_missing_right() => {
                    return Err(Trouble::Refused(format!(
                        "{}: the last run was cut off, and only who may write here can read what it left; start a run, \
                         or ask for the right to write the file and its folder",
                        path.display()
                    )));
                }
                result => return result,
            }
            continue;
        }
        let before = touched(path);
        let copy = by_address(path, "mode=ro&immutable=1").and_then(|file| copied(&file));
        if before.is_some() && before == touched(path) && !log::of(path).exists() {
            return copy;
        }
    }
    Err(Trouble::Refused(format!("{}: runs begin and end all the time; try again", path.display())))
}

/// Opens a file by an address with options.
pub(super) fn by_address(path: &Path, options: &str) -> Result<Connection, Trouble> {
    let Some(name) = path.to_str() else {
        return Err(Trouble::Refused(format!(
            "{}: the name is not all text, and needs the right to write the file",
            path.display()
        )));
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(format!("file:{}?{options}", percent::strict(name)), flags)?;
    tune(&connection)?;
    touch(&connection)?;
    Ok(connection)
}

/// Reads something, so that what is wrong with the place shows here.
fn touch(connection: &Connection) -> Result<(), Trouble> {
    connection.pragma_query_value(None, "schema_version", |_| Ok(()))?;
    Ok(())
}

/// Copies a file into memory, as it is at one moment.
fn copied(file: &Connection) -> Result<Connection, Trouble> {
    let mut memory = Connection::open_in_memory()?;
    let all = -1;
    match Backup::new(file, &mut memory)?.step(all)? {
        StepResult::Done => {}
        _ => return Err(Trouble::Refused("another program keeps the state locked; close it and try again".to_owned())),
    }
    tune(&memory)?;
    Ok(memory)
}

/// Returns by what a change of the file is seen.
fn touched(path: &Path) -> Option<(u64, SystemTime)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}
