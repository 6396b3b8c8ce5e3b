//! What goes wrong inside this adapter, and what the port is told of it.
//!
//! SQLite's errors come in, [`StoreError`]s go out: a file that is not ours or broken is damaged, everything else that
//! the disk or its rights cause has failed. Each message names the file and what a person does next.

use std::path::Path;

use rusqlite::{ErrorCode, ffi};

use crate::store::StoreError;

/// An error of SQLite, or one that already speaks the language of the port.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error(transparent)]
    Known(#[from] StoreError),
    /// Something in the file is not what we wrote there.
    #[error("{0}")]
    Broken(String),
    /// The caller asked for what the state does not allow.
    #[error("{0}")]
    Refused(String),
}

impl Trouble {
    /// Tells whether a place could not be used as it was asked for, as far as SQLite can tell.
    pub(super) fn is_missing_right(&self) -> bool {
        let Trouble::Sql(error) = self else { return false };
        let code = error.sqlite_error_code();
        matches!(code, Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied))
    }

    /// Returns what the port says about a state file.
    pub(super) fn of(self, path: &Path) -> StoreError {
        let place = path.display();
        match self {
            Trouble::Known(error) => error,
            Trouble::Broken(message) => StoreError::Damaged { message: format!("{place}: {message}") },
            Trouble::Refused(message) => StoreError::Failed { message },
            Trouble::Sql(error) => sql(&place.to_string(), &error),
        }
    }
}

/// Returns what SQLite said, without the statement that it said it of: people did not write it.
fn said(error: &rusqlite::Error) -> String {
    let message = match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    };
    // A broken schema is quoted, statements and all.
    let end = message.find("CREATE ").or_else(|| message.find('\n')).unwrap_or(message.len());
    message[..end].trim_end_matches([' ', '(', '-', ':']).to_owned()
}

/// Tells whether it was a write that failed, of the file, its log or the index of that. Only a disk without room has a word
/// of its own; a quota or a limit has none.
fn is_write(error: &rusqlite::Error) -> bool {
    let rusqlite::Error::SqliteFailure(code, _) = error else { return false };
    matches!(code.extended_code, ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_TRUNCATE | ffi::SQLITE_IOERR_SHMSIZE)
}

fn sql(place: &str, error: &rusqlite::Error) -> StoreError {
    let failed = |message: &str| StoreError::Failed { message: format!("{place}: {message}") };
    let damaged = |message: &str| StoreError::Damaged { message: format!("{place}: {message}") };
    match error {
        rusqlite::Error::SqliteFailure(..) | rusqlite::Error::SqlInputError { .. } => match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => {
                damaged("this is no state file; name another `state`, or move the file away")
            }
            Some(ErrorCode::DatabaseCorrupt) => damaged(&format!("the file is broken ({})", said(error))),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                failed("another program keeps the file locked; close it and run again")
            }
            Some(ErrorCode::DiskFull) => failed("the disk is full; make room and run again"),
            Some(ErrorCode::SystemIoFailure) if is_write(error) => failed(
                "the file cannot be written to its end; make room, and see what one file may have (`ulimit -f`), and run \
                 again",
            ),
            Some(ErrorCode::CannotOpen) => {
                failed("no file can be opened here; see that it is no folder, and that this user may write there")
            }
            Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
                failed("this user may not write the file; give it the right to, and to its folder")
            }
            _ => failed(&said(error)),
        },
        // A column of another type than the one we wrote.
        _ => damaged(&format!("the file is broken ({})", said(error))),
    }
}
