//! The state of one pipeline in a SQLite file: the [`Store`] behind `sqlite:PATH`.
//!
//! A run opens the file for writing, holds it alone, and each call is one transaction that is on disk when the call
//! returns. `plan` and `status` open it for reading ([`reading`]): they work beside a run, change nothing and leave no
//! file behind.
//! When a run is killed, all that its last transaction wrote is there, and the next run starts at once.
//!
//! Write-ahead logging lets readers go on beside the writer. It needs `synchronous = FULL`: with `NORMAL` a commit
//! reaches the disk with the next checkpoint, so that a power cut could forget an intent whose write is out. One sync
//! for each transaction is cheap next to the request that follows it.

mod base;
mod bound;
mod couplings;
mod decisions;
mod inbox;
mod journal;
mod keys;
mod lease;
mod log;
mod reading;
mod refusals;
mod schema;
mod sound;
mod trouble;
mod watermarks;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use uuid::Uuid;

use crate::adapters::sqlite::lease::Lock;
use crate::adapters::sqlite::schema::Form;
use crate::adapters::sqlite::trouble::Trouble;
use crate::binding::Binding;
use crate::config::{PerSide, Side};
use crate::store::{
    Agreement, Answer, Apart, Coupling, CouplingChange, Couplings, Decision, InboxItem, Intent, JournalRow, OpenIntent,
    Refusal, Reply, RunRow, Settlement, Store, StoreError, Survivor, Watermark,
};

/// How long a call waits for another program that locks the file: a reader that recovers it, a person's SQL shell.
const BUSY_SECONDS: u64 = 10;

/// Without `SQLITE_OPEN_URI`: a path is a path. Nothing is made where it is not asked for.
const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// The state of one pipeline in a SQLite file.
pub struct SqliteStore<'a> {
    // The connection closes before the writer's lock is freed: fields drop in this order.
    connection: Connection,
    path: PathBuf,
    /// All of the log is in the file, so that the next transaction begins it anew.
    played: bool,
    /// `None` where the file is open for reading.
    writer: Option<Writer<'a>>,
}

/// What only the one writer has.
struct Writer<'a> {
    holder: String,
    since: String,
    now: &'a dyn Fn() -> String,
    keep_values: bool,
    /// The run that began here.
    run: Option<String>,
    /// Held for the life of the store; `None` where the file system has no locks.
    lock: Option<Lock>,
}

impl<'a> SqliteStore<'a> {
    /// Returns who has a state in use by its lock's file, and since when. The lock is not asked, as asking could make a run fail that
    /// starts in the same moment; so it may be one that was killed.
    pub fn noted_holder(path: &Path) -> Option<(String, String)> {
        lease::noted(&followed(path).ok()?)
    }

    /// Opens a state for writing, and makes folders and file where there are none.
    ///
    /// `holder` is what another run is told (`HOST pid 123`); `now` gives the time in RFC 3339.
    pub fn open(
        path: &Path,
        holder: &str,
        now: &'a dyn Fn() -> String,
        keep_values: bool,
    ) -> Result<SqliteStore<'a>, StoreError> {
        let path = &real_path(path)?;
        let since = now();
        let mut lock = lease::lock(path, holder, &since)?;
        let told = |trouble: Trouble| trouble.of(path);
        if !path.exists() {
            log::has_its_file(path).and_then(|()| create(path)).map_err(told)?;
        }
        refuse_empty(path)?;
        let mut connection = Connection::open_with_flags(path, FLAGS).map_err(|error| told(error.into()))?;
        prepare_for_writing(&mut connection, path, holder, &since, lock.as_mut()).map_err(told)?;
        let writer = Writer { holder: holder.to_owned(), since, now, keep_values, run: None, lock };
        Ok(SqliteStore { connection, path: path.clone(), played: false, writer: Some(writer) })
    }

    /// Opens a state for reading, beside a run if need be; a state that does not exist yet is empty.
    pub fn read_only(path: &Path) -> Result<SqliteStore<'a>, StoreError> {
        let told = |trouble: Trouble| trouble.of(path);
        let path = &followed(path)?;
        let exists = path
            .try_exists()
            .map_err(|error| StoreError::Failed { message: format!("{}: {error}", path.display()) })?;
        if !exists {
            log::has_its_file(path).map_err(told)?;
        }
        refuse_empty(path)?;
        let file = if exists { reading::open(path).map_err(told)? } else { None };
        let connection = file.map_or_else(empty_in_memory, Ok).map_err(told)?;
        Ok(SqliteStore { connection, path: path.to_owned(), played: false, writer: None })
    }

    /// Runs a question on one consistent view of the file.
    fn read<T>(&self, question: impl FnOnce(&Connection) -> Result<T, Trouble>) -> Result<T, StoreError> {
        let answer = || {
            let transaction = self.connection.unchecked_transaction()?;
            question(&transaction)
        };
        answer().map_err(|trouble: Trouble| trouble.of(&self.path))
    }

    /// Runs a change as one transaction, which is on disk when this returns.
    fn write<T>(
        &mut self,
        change: impl FnOnce(&Connection, &Writer<'_>, &str) -> Result<T, Trouble>,
    ) -> Result<T, StoreError> {
        let (connection, writer, played) = (&mut self.connection, self.writer.as_ref(), self.played);
        let carry_out = || {
            let writer = writer.ok_or_else(|| Trouble::Refused("the state is open for reading only".to_owned()))?;
            let now = (writer.now)();
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            lease::renew(&transaction, &writer.holder, &writer.since, &now)?;
            if played {
                log::begin(&transaction, false)?
            } else {
                log::renew(&transaction)?
            }
            let result = change(&transaction, writer, &now)?;
            let last = log::last(&transaction)?;
            transaction.commit()?;
            Ok((result, last))
        };
        let (result, last) = carry_out().map_err(|trouble: Trouble| trouble.of(&self.path))?;
        if let (Some(lock), Some(last)) = (self.writer.as_mut().and_then(|writer| writer.lock.as_mut()), last) {
            lock.note(&last);
        }
        self.played = log::play_where_large(&self.connection, &self.path);
        Ok(result)
    }
}

impl Drop for SqliteStore<'_> {
    fn drop(&mut self) {
        if let Some(writer) = &self.writer {
            // It does not matter for the next run, and spares it a wait.
            let _ = lease::release(&self.connection, &writer.holder, &writer.since);
        }
    }
}

/// Refuses a file without content, which no run leaves: taken for a new state, it would make a first load of a settled company.
/// SQLite takes one of a single byte for empty, too.
fn refuse_empty(path: &Path) -> Result<(), StoreError> {
    if fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= 1) {
        let message = format!(
            "{}: the file is empty, or nearly so, which a state never is; put a backup in its place, or remove the file to \
             begin anew",
            path.display()
        );
        return Err(StoreError::Damaged { message });
    }
    Ok(())
}

/// Follows links: SQLite keeps the log beside the file itself, and not beside a link to it.
fn followed(path: &Path) -> Result<PathBuf, StoreError> {
    let failed = |error: io::Error| StoreError::Failed { message: format!("{}: {error}", path.display()) };
    let leads_nowhere = |part: &&Path| part.is_symlink() && matches!(part.try_exists(), Ok(false));
    // Taken for a new state, it would make a first load of a settled company.
    if let Some(link) = path.ancestors().find(leads_nowhere) {
        let target = fs::read_link(link).map_err(failed)?;
        let which = if link == path { String::new() } else { format!(" {}", link.display()) };
        let message = format!(
            "{}: the link{which} leads to {}, where nothing is; see that it is there (a volume that is not mounted, say), \
             or remove the link to begin anew",
            path.display(),
            target.display()
        );
        return Err(StoreError::Damaged { message });
    }
    if path.is_symlink() { fs::canonicalize(path).map_err(failed) } else { Ok(path.to_owned()) }
}

/// Makes the folder, and follows links, so that a file has one lock whatever name it is opened by.
fn real_path(path: &Path) -> Result<PathBuf, StoreError> {
    let path = followed(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| StoreError::Failed {
        message: format!("the folder {} cannot be made: {error}", folder.display()),
    })?;
    Ok(fs::canonicalize(&path).unwrap_or(path))
}

/// Makes a new state beside its place, and moves it there as a whole: whatever the program dies of, and wherever the disk
/// is full, there is an empty state or none, never a part of one.
fn create(path: &Path) -> Result<(), Trouble> {
    let beside = path.with_added_extension("new");
    let remove = || {
        for file in [beside.clone(), log::beside(&beside, "-journal")] {
            // What a run that was killed here left, or nothing.
            let _ = fs::remove_file(file);
        }
    };
    remove();
    let make = || {
        let mut connection = Connection::open_with_flags(&beside, FLAGS | OpenFlags::SQLITE_OPEN_CREATE)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "fullfsync", true)?;
        let transaction = connection.transaction()?;
        schema::bring_up_to_date(&transaction)?;
        transaction.commit()?;
        connection.close().map_err(|(_, error)| error)?;
        let failed = |error: io::Error| StoreError::Failed { message: format!("{}: {error}", path.display()) };
        Ok(fs::rename(&beside, path).map_err(failed)?)
    };
    // Its name reaches the disk with the log, whose first sync is one of the folder too.
    make().inspect_err(|_| remove())
}

fn prepare_for_writing(
    connection: &mut Connection,
    path: &Path,
    holder: &str,
    now: &str,
    lock: Option<&mut Lock>,
) -> Result<(), Trouble> {
    let left = log::is_left(path);
    // Whatever is wrong, the file and its log are evidence and stay as they are.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, left)?;
    tune(connection)?;
    log::belongs(connection, path)?;
    log::has_its_end(connection, path, lock.as_ref().and_then(|lock| lock.left.as_ref()))?;
    let form = schema::inspect(connection, path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // On one system a plain sync leaves data in the drive's cache; elsewhere these two do nothing.
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if form != Form::Present {
        schema::bring_up_to_date(&transaction)?;
    }
    lease::take(&transaction, holder, now, lock.is_some())?;
    sound::check(&transaction)?;
    log::begin(&transaction, left)?;
    let last = log::last(&transaction)?;
    transaction.commit()?;
    if let (Some(lock), Some(last)) = (lock, last) {
        lock.note(&last);
    }
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(())
}

fn empty_in_memory() -> Result<Connection, Trouble> {
    let connection = Connection::open_in_memory()?;
    schema::bring_up_to_date(&connection)?;
    Ok(connection)
}

fn tune(connection: &Connection) -> Result<(), Trouble> {
    connection.busy_timeout(Duration::from_secs(BUSY_SECONDS))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // In KiB: the two indexes of a million couplings are written at random places.
    connection.pragma_update(None, "cache_size", -(128 << 10))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

impl Store for SqliteStore<'_> {
    fn couplings(&self, table: &str, fields: &[String]) -> Result<Couplings, StoreError> {
        self.read(|connection| couplings::load(connection, table, fields))
    }

    fn coupling_of(&self, table: &str, side: Side, id: Uuid) -> Result<Option<Coupling>, StoreError> {
        self.read(|connection| couplings::coupling_of(connection, table, side, id))
    }

    fn coupled(&self, table: &str) -> Result<Vec<Coupling>, StoreError> {
        self.read(|connection| couplings::coupled(connection, table))
    }

    fn record_keys(&self, table: &str, side: Side) -> Result<HashMap<Uuid, Vec<String>>, StoreError> {
        self.read(|connection| keys::load(connection, table, side))
    }

    fn without_key(&self, table: &str, side: Side) -> Result<Vec<Uuid>, StoreError> {
        self.read(|connection| keys::missing(connection, table, side))
    }

    fn remember_keys(&mut self, table: &str, side: Side, keys: &[(Uuid, Vec<String>)]) -> Result<(), StoreError> {
        self.write(|connection, _, _| keys::remember(connection, table, side, keys))
    }

    fn kept_apart_since(&self, table: &str, side: Side, id: Uuid) -> Result<Option<String>, StoreError> {
        self.read(|connection| couplings::kept_apart_since(connection, table, side, id))
    }

    fn kept_apart(&self, table: &str) -> Result<PerSide<HashSet<Uuid>>, StoreError> {
        self.read(|connection| couplings::kept_apart(connection, table))
    }

    fn apart(&self) -> Result<Vec<Apart>, StoreError> {
        self.read(couplings::apart)
    }

    fn base_values(&self, table: &str, erp: Uuid, crm: Uuid) -> Result<BTreeMap<String, PerSide<String>>, StoreError> {
        self.read(|connection| couplings::values(connection, table, erp, crm))
    }

    fn pairs_with(&self, table: &str, field: &str, side: Side, text: &str) -> Result<Vec<PerSide<Uuid>>, StoreError> {
        self.read(|connection| couplings::pairs_with(connection, table, field, side, text))
    }

    fn commit(
        &mut self,
        table: &str,
        fields: &[String],
        changes: &[CouplingChange],
        settled: &[Settlement],
    ) -> Result<(), StoreError> {
        self.write(|connection, writer, now| {
            let seconds = lease::seconds(now)?;
            couplings::change(connection, table, changes, seconds)?;
            couplings::settle(connection, table, fields, settled, seconds, writer.keep_values)?;
            decisions::end_settled(connection, table, fields, settled, now)
        })
    }

    fn intend(&mut self, run: &str, intents: &[Intent]) -> Result<Vec<i64>, StoreError> {
        self.write(|connection, _, now| journal::intend(connection, run, intents, now))
    }

    fn answer(
        &mut self,
        answers: &[Answer],
        table: &str,
        changes: &[CouplingChange],
        agreements: &[Agreement],
    ) -> Result<(), StoreError> {
        self.write(|connection, writer, now| {
            journal::answer(connection, answers, now)?;
            let seconds = lease::seconds(now)?;
            couplings::change(connection, table, changes, seconds)?;
            let (fields, settled) = couplings::settlements(agreements);
            couplings::settle(connection, table, &fields, &settled, seconds, writer.keep_values)?;
            decisions::end_settled(connection, table, &fields, &settled, now)
        })
    }

    fn open_intents(&self, table: &str) -> Result<Vec<OpenIntent>, StoreError> {
        self.read(|connection| journal::open_intents(connection, table))
    }

    fn replace_inbox(&mut self, table: &str, items: &[InboxItem]) -> Result<(), StoreError> {
        self.write(|connection, writer, now| inbox::replace(connection, table, items, writer.run.as_deref(), now))
    }

    fn inbox(&self, table: Option<&str>) -> Result<Vec<InboxItem>, StoreError> {
        self.read(|connection| inbox::load(connection, table))
    }

    fn refusals(&self, table: &str) -> Result<Vec<Refusal>, StoreError> {
        self.read(|connection| refusals::load(connection, table))
    }

    fn replace_refusals(&mut self, table: &str, refusals: &[Refusal]) -> Result<(), StoreError> {
        self.write(|connection, _, _| refusals::replace(connection, table, refusals))
    }

    fn retry(&mut self, table: &str, erp: Option<Uuid>, crm: Option<Uuid>) -> Result<bool, StoreError> {
        self.write(|connection, _, _| refusals::forget(connection, table, erp, crm))
    }

    fn reply(&mut self, replies: &[Reply]) -> Result<(), StoreError> {
        self.write(|connection, _, now| decisions::reply(connection, replies, now))
    }

    fn decisions(&self, table: Option<&str>) -> Result<Vec<Decision>, StoreError> {
        self.read(|connection| decisions::load(connection, table))
    }

    fn end_decisions(&mut self, table: &str, done: &[(PerSide<Uuid>, Option<String>)]) -> Result<(), StoreError> {
        self.write(|connection, _, now| decisions::end(connection, table, done, now))
    }

    fn note_unmet(&mut self, table: &str, subjects: &[(PerSide<Uuid>, Option<String>)]) -> Result<(), StoreError> {
        self.write(|connection, _, now| decisions::note_unmet(connection, table, subjects, now))
    }

    fn survivors(&self, table: &str) -> Result<Vec<Survivor>, StoreError> {
        self.read(|connection| decisions::survivors(connection, table))
    }

    fn replace_survivors(&mut self, table: &str, survivors: &[Survivor]) -> Result<(), StoreError> {
        self.write(|connection, _, _| decisions::replace_survivors(connection, table, survivors))
    }

    fn coupling_counts(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        self.read(couplings::counts)
    }

    fn watermarks(&self) -> Result<BTreeMap<String, Watermark>, StoreError> {
        self.read(watermarks::load)
    }

    fn set_watermarks(&mut self, marks: &[(String, Watermark)]) -> Result<(), StoreError> {
        self.write(|connection, _, _| {
            marks.iter().try_for_each(|(table, mark)| watermarks::set(connection, table, mark))
        })
    }

    fn binding(&self) -> Result<Option<Binding>, StoreError> {
        self.read(bound::load)
    }

    fn bind(&mut self, binding: &Binding) -> Result<(), StoreError> {
        self.write(|connection, _, _| bound::replace(connection, binding))
    }

    fn noted_tables(&self) -> Result<BTreeMap<String, PerSide<String>>, StoreError> {
        self.read(bound::tables)
    }

    fn note_tables(&mut self, tables: &[(String, PerSide<String>)]) -> Result<(), StoreError> {
        self.write(|connection, _, _| {
            tables.iter().try_for_each(|(table, sides)| bound::note_tables(connection, table, sides))
        })
    }

    fn begin_run(&mut self, run: &str, started: &str) -> Result<(), StoreError> {
        self.write(|connection, writer, _| {
            if !writer.keep_values {
                couplings::forget_values(connection)?;
            }
            journal::begin_run(connection, run, started)
        })?;
        if let Some(writer) = &mut self.writer {
            writer.run = Some(run.to_owned());
        }
        Ok(())
    }

    fn finish_run(&mut self, row: &RunRow) -> Result<(), StoreError> {
        self.write(|connection, _, _| journal::finish_run(connection, row))
    }

    fn writes_of_run(&self, run: &str) -> Result<Vec<JournalRow>, StoreError> {
        self.read(|connection| journal::writes_of_run(connection, run))
    }

    fn writes_to(
        &self,
        table: &str,
        ids: PerSide<Option<Uuid>>,
        rows_max: usize,
    ) -> Result<Vec<JournalRow>, StoreError> {
        self.read(|connection| journal::writes_to(connection, table, ids, rows_max))
    }

    fn writes_since(&self, table: &str, moment: &str) -> Result<Vec<JournalRow>, StoreError> {
        self.read(|connection| journal::writes_since(connection, table, moment))
    }

    fn writes_named(&self, table: &str, record: &str, rows_max: usize) -> Result<Vec<JournalRow>, StoreError> {
        self.read(|connection| journal::writes_named(connection, table, record, rows_max))
    }

    fn runs(&self, rows_max: usize) -> Result<Vec<RunRow>, StoreError> {
        self.read(|connection| journal::runs(connection, rows_max))
    }
}

#[cfg(test)]
mod tests;
