//! A side in memory, behind the same port as the adapters: what the core does with it needs no network.
//!
//! It stamps what is changed by a clock of its own, keeps versions, refuses what a real side refuses (stale versions,
//! ids that exist, columns it does not know) and can be told to lose answers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use chrono::{DateTime, Utc};
use pipeline::config::Side;
use pipeline::config::expression::{Literal, Predicate};
use pipeline::endpoint::{
    BLANKS, Bounds, ClockOffset, ColumnInfo, Endpoint, EndpointError, Hidden, Identity, Key, Line, Outcome, Query,
    Report, TableInfo, Traffic, Write, WriteKind,
};
use pipeline::frame::builder::Builder;
use pipeline::frame::unreadable::Unreadable;
use pipeline::frame::{Cell, Column, Frame, Kind, Value};
use uuid::Uuid;

use crate::mortal::Fate;

/// A record: its version and its values by column.
type Record = (u64, BTreeMap<String, Value>);

/// A write that was carried out: table, kind, id, columns.
type Done = (String, WriteKind, Uuid, Vec<String>);

/// One table in memory.
#[derive(Clone)]
pub struct Table {
    pub info: TableInfo,
    pub records: BTreeMap<Uuid, Record>,
}

/// One side in memory.
pub struct Memory {
    side: Side,
    /// Who it says it is.
    pub identity: Mutex<Identity>,
    pub tables: Mutex<BTreeMap<String, Table>>,
    /// Every write that was carried out.
    pub written: Mutex<Vec<Done>>,
    /// What happens to the next writes, one each; none left means nothing special.
    pub accidents: Mutex<Vec<Accident>>,
    /// What the side makes of a record after each write.
    pub hook: Mutex<Option<Hook>>,
    /// New records that are under way yet, with their tables: they come before the next batch, unless somebody has their key.
    pub late: Mutex<Vec<(String, Write)>>,
    /// What is under way stays so.
    pub holds_up: AtomicBool,
    /// Columns that take no value, and of which the answer says nothing.
    pub ignores: Mutex<Vec<&'static str>>,
    /// Records that people changed since they were made: the CRM tells who did it last.
    pub touched: Mutex<BTreeSet<Uuid>>,
    /// Columns that hold the id of a record, and the table where that has to be.
    pub refers: Mutex<Vec<(&'static str, &'static str)>>,
    /// Columns that hold the id of a record, and its table: whoever deletes that deletes as well what refers to it.
    pub takes_along: Mutex<Vec<(&'static str, &'static str)>>,
    /// Tells why a write is refused.
    pub refuses: Mutex<Option<Refusal>>,
    /// What people type right before the next batch is carried out.
    pub meanwhile: Mutex<Vec<Edit>>,
    /// What people type right after the next batch was carried out, before anybody reads.
    pub afterwards: Mutex<Vec<Edit>>,
    /// What people type right after the next read, of which it brings nothing.
    pub behind: Mutex<Vec<Edit>>,
    /// The program dies after so many more writes.
    pub crash_after: Mutex<Option<usize>>,
    /// The program dies before or after a request.
    pub fate: Fate,
    /// Tables that cannot be read.
    pub unreadable: Mutex<Vec<String>>,
    /// Cells that cannot be read: record and column.
    pub spoilt: Mutex<BTreeSet<(Uuid, String)>>,
    /// Such a cell is found by the value that it had, as where only the answer is at odds with what is kept.
    pub finds_spoilt: AtomicBool,
    /// Cells that cannot be read from the next batch on.
    pub spoils: Mutex<Vec<(Uuid, String)>>,
    /// Records that a list of ids leaves out without a word.
    pub omitted: Mutex<BTreeSet<Uuid>>,
    /// Records that a read of the whole table leaves out without a word.
    pub dropped: Mutex<BTreeSet<Uuid>>,
    /// Records that the login may not read, so no list has them.
    pub hidden: Mutex<BTreeSet<Uuid>>,
    /// Those of them of which it does not even tell whether they exist.
    pub untold: Mutex<BTreeSet<Uuid>>,
    /// Answers do not hold the written records.
    pub silent: AtomicBool,
    /// Records bear no version.
    pub unversioned: AtomicBool,
    /// Records that lose their versions on their way.
    pub stripped: Mutex<BTreeSet<Uuid>>,
    /// A flag of the run, set after the next batch.
    pub stops: Mutex<Option<Stop>>,
    /// Reads that arrived.
    pub reads: AtomicUsize,
    /// Writes that arrived, whether they were carried out or not.
    pub attempts: AtomicUsize,
    /// Columns of updates that held the very value already.
    pub idle: AtomicUsize,
    /// The side's own clock, in milliseconds since 1970: what stamps a record in a column `modified`.
    pub clock_ms: AtomicI64,
    /// How far that clock is ahead, as the side's answers tell it.
    pub ahead_ms: AtomicI64,
    /// Its answers contradict each other about that.
    pub jumps: AtomicBool,
    /// Its answers do not tell that.
    pub timeless: AtomicBool,
    /// Requests for records that arrived, with the records that each brought.
    pub answers: Mutex<Vec<(String, usize)>>,
    /// Whether the side can be asked by what a column holds.
    pub searchable: AtomicBool,
    /// Whether it refuses the login.
    pub locked_out: AtomicBool,
}

/// The column that shows when a record was last changed.
pub const MODIFIED: &str = "modified";

/// Called after a write with table and record.
pub type Hook = Box<dyn Fn(&str, &mut BTreeMap<String, Value>) + Send>;

/// Called before a write; a message refuses it.
pub type Refusal = Box<dyn Fn(&str, &Write) -> Option<String> + Send>;

/// Called once, after a batch.
pub type Stop = Box<dyn Fn() + Send>;

/// Table, id, column and text.
pub type Edit = (&'static str, u128, &'static str, String);

/// What may befall a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accident {
    /// It is carried out, and its answer is lost.
    AnswerLost,
    /// It is lost on its way, and so is the answer.
    RequestLost,
    /// The deletion is answered with success, and nothing is done.
    Kept,
    /// Somebody touched the record first.
    Stale,
    /// The gateway gives up, and the side carries it out later: see [`Memory::late`].
    Late,
    /// The side refuses the login from then on.
    LockedOut,
    /// Nothing at all.
    None,
}

impl Memory {
    /// Makes a side with empty tables: name and columns with their kinds.
    pub fn new(side: Side, tables: &[(&str, &[(&str, Kind)])]) -> Memory {
        let table = |columns: &[(&str, Kind)], name: &str| Table {
            info: TableInfo {
                key: Key::Id("id".into()),
                table: name.to_owned(),
                columns: columns
                    .iter()
                    .map(|(name, kind)| ColumnInfo {
                        column: Column { name: (*name).to_owned(), kind: *kind },
                        readable: true,
                        insertable: true,
                        updatable: true,
                        starts_with: None,
                        length_max: None,
                        range: None,
                        options: Vec::new(),
                        targets: Vec::new(),
                        local_day: false,
                    })
                    .collect(),
            },
            records: BTreeMap::new(),
        };
        let tables = tables.iter().map(|(name, columns)| ((*name).to_owned(), table(columns, name))).collect();
        Memory {
            side,
            identity: Mutex::new(Identity { id: Uuid::from_u128(1), name: format!("our {}", side.name()) }),
            tables: Mutex::new(tables),
            written: Mutex::default(),
            accidents: Mutex::default(),
            hook: Mutex::default(),
            refuses: Mutex::default(),
            late: Mutex::default(),
            holds_up: AtomicBool::new(false),
            ignores: Mutex::default(),
            touched: Mutex::default(),
            refers: Mutex::default(),
            takes_along: Mutex::default(),
            meanwhile: Mutex::default(),
            afterwards: Mutex::default(),
            behind: Mutex::default(),
            fate: Fate::default(),
            crash_after: Mutex::default(),
            unreadable: Mutex::default(),
            spoilt: Mutex::default(),
            finds_spoilt: AtomicBool::new(true),
            spoils: Mutex::default(),
            omitted: Mutex::default(),
            dropped: Mutex::default(),
            hidden: Mutex::default(),
            untold: Mutex::default(),
            silent: AtomicBool::new(false),
            unversioned: AtomicBool::new(false),
            stripped: Mutex::default(),
            stops: Mutex::default(),
            reads: AtomicUsize::new(0),
            attempts: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            // 2026-01-31T00:00:00Z.
            clock_ms: AtomicI64::new(1_769_817_600_000),
            ahead_ms: AtomicI64::new(0),
            jumps: AtomicBool::new(false),
            timeless: AtomicBool::new(false),
            answers: Mutex::default(),
            searchable: AtomicBool::new(true),
            locked_out: AtomicBool::new(false),
        }
    }

    /// Puts a record there, or changes it, as a person would.
    pub fn put(&self, table: &str, id: u128, values: &[(&str, &str)]) {
        self.touched.lock().unwrap().insert(Uuid::from_u128(id));
        let mut tables = self.tables.lock().unwrap();
        let table = tables.get_mut(table).unwrap();
        let infos = table.info.clone();
        let record = table.records.entry(Uuid::from_u128(id)).or_default();
        record.0 += 1;
        self.stamp(&infos, &mut record.1);
        for (column, text) in values {
            let kind = infos.column(column).unwrap().column.kind;
            record.1.insert((*column).to_owned(), kind.parse(text).unwrap());
        }
    }

    /// Shows a table's records, as they are now, under another name as well.
    pub fn publish(&self, table: &str, name: &str) {
        let mut tables = self.tables.lock().unwrap();
        let mut other = tables[table].clone();
        name.clone_into(&mut other.info.table);
        tables.insert(name.to_owned(), other);
    }

    /// Says that records of a table are known by what they hold in a column, as those of NAV are.
    pub fn know_by(&self, table: &str, column: &str) {
        let mut tables = self.tables.lock().unwrap();
        tables.get_mut(table).unwrap().info.key = Key::Values(vec![column.to_owned()]);
    }

    /// Carries out what was under way.
    pub fn arrive(&self) {
        let mut tables = self.tables.lock().unwrap();
        for (table, write) in std::mem::take(&mut *self.late.lock().unwrap()) {
            let records = &mut tables.get_mut(&table).unwrap().records;
            records.entry(write.id).or_insert_with(|| (1, write.fields.into_iter().collect()));
        }
    }

    /// Lets the side's clock go on, or sets it wrong.
    pub fn advance(&self, seconds: i64) {
        self.clock_ms.fetch_add(seconds * 1_000, Ordering::Relaxed);
    }

    /// Changes a record in a transaction that took long: its time is the one at which that began.
    pub fn put_late(&self, table: &str, id: u128, values: &[(&str, &str)], seconds: i64) {
        self.advance(-seconds);
        self.put(table, id, values);
        self.advance(seconds);
    }

    /// Returns how many requests for records arrived, and how many records they brought.
    pub fn asked(&self) -> (usize, usize) {
        let reads = self.answers.lock().unwrap();
        (reads.len(), reads.iter().map(|(_, rows)| rows).sum())
    }

    /// Types what people type at this moment.
    fn type_in(&self, edits: &Mutex<Vec<Edit>>) {
        for (table, id, column, text) in std::mem::take(&mut *edits.lock().unwrap()) {
            self.put(table, id, &[(column, &text)]);
        }
    }

    fn told(&self, table: &str, frame: Frame) -> Frame {
        self.answers.lock().unwrap().push((table.to_owned(), frame.rows()));
        frame
    }

    /// Notes when a record is modified; the CRM knows whole seconds only.
    fn stamp(&self, info: &TableInfo, record: &mut BTreeMap<String, Value>) {
        let resolution_ms = if self.side == Side::Crm { 1_000 } else { 1 };
        let now_ms = self.clock_ms.load(Ordering::Relaxed) / resolution_ms * resolution_ms;
        if let (Some(_), Some(now)) = (info.column("modified"), chrono::DateTime::from_timestamp_millis(now_ms)) {
            record.insert("modified".to_owned(), Value::DateTime(now));
        }
    }

    /// Takes a record away, as a person would.
    pub fn delete(&self, table: &str, id: u128) {
        let (id, mut tables) = (Uuid::from_u128(id), self.tables.lock().unwrap());
        tables.get_mut(table).unwrap().records.remove(&id);
        take_along(&self.takes_along.lock().unwrap(), &mut tables, table, vec![id]);
    }

    /// Puts something into a cell that is no value of its column, as a service may that is at odds with its own metadata.
    pub fn spoil(&self, table: &str, id: u128, column: &str) {
        self.put(table, id, &[]);
        self.spoilt.lock().unwrap().insert((Uuid::from_u128(id), column.to_owned()));
    }

    /// Corrects that.
    pub fn mend(&self, table: &str, id: u128, column: &str) {
        self.put(table, id, &[]);
        self.spoilt.lock().unwrap().remove(&(Uuid::from_u128(id), column.to_owned()));
    }

    /// Takes a column out of the metadata.
    pub fn forget(&self, table: &str, column: &str) {
        let mut tables = self.tables.lock().unwrap();
        tables.get_mut(table).unwrap().info.columns.retain(|info| info.column.name != column);
    }

    /// Says which options a choice has.
    pub fn offer(&self, table: &str, column: &str, options: &[(i64, &str)]) {
        let mut tables = self.tables.lock().unwrap();
        let mut columns = tables.get_mut(table).unwrap().info.columns.iter_mut();
        columns.find(|info| info.column.name == column).unwrap().options =
            options.iter().map(|(option, label)| (*option, (*label).to_owned())).collect();
    }

    /// Says how long a text may be.
    pub fn limit(&self, table: &str, column: &str, units_max: usize) {
        let mut tables = self.tables.lock().unwrap();
        let mut columns = tables.get_mut(table).unwrap().info.columns.iter_mut();
        columns.find(|info| info.column.name == column).unwrap().length_max = Some(units_max);
    }

    /// Returns a column of all records as text, in the order of their ids.
    pub fn column(&self, table: &str, column: &str) -> Vec<String> {
        let tables = self.tables.lock().unwrap();
        tables[table]
            .records
            .values()
            .map(|(_, values)| values.get(column).map(ToString::to_string).unwrap_or_default())
            .collect()
    }

    /// Returns one value as text.
    pub fn get(&self, table: &str, id: u128, column: &str) -> String {
        let tables = self.tables.lock().unwrap();
        let record = &tables[table].records[&Uuid::from_u128(id)];
        record.1.get(column).map(ToString::to_string).unwrap_or_default()
    }

    /// Returns all records of a table as text, by id and column.
    pub fn all(&self, table: &str) -> BTreeMap<Uuid, BTreeMap<String, String>> {
        let tables = self.tables.lock().unwrap();
        let text = |values: &BTreeMap<String, Value>| {
            values.iter().map(|(column, value)| (column.clone(), value.to_string())).collect()
        };
        tables[table].records.iter().map(|(id, (_, values))| (*id, text(values))).collect()
    }

    /// Returns how many writes were carried out so far.
    pub fn writes(&self) -> usize {
        self.written.lock().unwrap().len()
    }

    fn frame(&self, table: &Table, columns: &[String], ids: impl Iterator<Item = Uuid>) -> Frame {
        let described: Vec<Column> =
            columns.iter().map(|name| table.info.column(name).unwrap().column.clone()).collect();
        let mut builder = Builder::new(described.clone());
        for id in ids {
            let Some((version, values)) = table.records.get(&id) else { continue };
            let mut lacking = Vec::new();
            for (index, column) in described.iter().enumerate() {
                if self.spoilt.lock().unwrap().contains(&(id, column.name.clone())) {
                    lacking.push(column.name.clone());
                    continue;
                }
                let text_kind = matches!(column.kind, Kind::Text | Kind::Code | Kind::Enum);
                let value = if column.name == "id" {
                    Value::Guid(id)
                } else {
                    values.get(&column.name).cloned().unwrap_or(Value::Null)
                };
                let text = value.to_string();
                let cell = match value {
                    Value::Null if text_kind && self.side == Side::Erp => Cell::Text(""),
                    Value::Null => Cell::Null,
                    Value::Integer(_) | Value::Decimal(_) => Cell::Number(&text),
                    Value::Boolean(value) => Cell::Boolean(value),
                    _ => Cell::Text(&text),
                };
                builder.push(index, cell).unwrap();
            }
            let bare = self.unversioned.load(Ordering::Relaxed) || self.stripped.lock().unwrap().contains(&id);
            let version = if bare { String::new() } else { version.to_string() };
            match lacking.first() {
                Some(first) => {
                    let why = format!("column `{first}` holds `?`, which is no value");
                    builder.end_unreadable(id, &version, Unreadable { columns: lacking, why });
                }
                None => builder.end(id, &version),
            }
        }
        builder.finish()
    }
}

impl Line for Memory {
    fn side(&self) -> Side {
        self.side
    }

    fn concurrency(&self) -> usize {
        1
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    fn clock_offset(&self) -> Option<ClockOffset> {
        let ms = self.ahead_ms.load(Ordering::Relaxed);
        let steady = !self.jumps.load(Ordering::Relaxed);
        (!self.timeless.load(Ordering::Relaxed)).then_some(ClockOffset { ms_min: ms, ms_max: ms, steady })
    }

    fn clock(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.clock_ms.load(Ordering::Relaxed))
    }

    fn lost(&self) -> Option<EndpointError> {
        let is_lost = self.locked_out.load(Ordering::Relaxed);
        is_lost.then(|| EndpointError::Login { side: self.side, keys: &["auth"], message: "not any more".to_owned() })
    }
}

impl Endpoint for Memory {
    fn line(&self) -> &dyn Line {
        self
    }

    fn open(&self) -> Result<Identity, EndpointError> {
        Ok(self.identity.lock().unwrap().clone())
    }

    fn evaluates(&self, _: &TableInfo, filter: &Predicate) -> bool {
        since(filter).is_some()
    }

    fn describe(&self, table: &str) -> Result<TableInfo, EndpointError> {
        let tables = self.tables.lock().unwrap();
        let known = tables.get(table).map(|table| table.info.clone());
        known.ok_or_else(|| EndpointError::NoTable { side: self.side, table: table.to_owned() })
    }

    fn read(&self, query: &Query<'_>, progress: &dyn Fn(usize)) -> Result<Frame, EndpointError> {
        self.fate.step();
        self.reads.fetch_add(1, Ordering::Relaxed);
        if self.unreadable.lock().unwrap().contains(&query.info.table) {
            return Err(EndpointError::Unreachable {
                side: self.side,
                keys: &["url"],
                message: "the line is dead".into(),
            });
        }
        let tables = self.tables.lock().unwrap();
        let table = &tables[&query.info.table];
        let ids: Vec<Uuid> = match &query.ids {
            Some(ids) => {
                let omitted = self.omitted.lock().unwrap();
                ids.iter().copied().filter(|id| !omitted.contains(id)).collect()
            }
            None => {
                let from = query.filter.as_ref().and_then(since);
                let stamp = |record: &Record| match record.1.get(MODIFIED) {
                    Some(Value::DateTime(time)) => Some(time.timestamp_millis()),
                    _ => None,
                };
                let is_new = |record: &Record| from.is_none_or(|from| stamp(record).is_some_and(|stamp| stamp >= from));
                let dropped = self.dropped.lock().unwrap();
                let records = table.records.iter().filter(|(id, record)| is_new(record) && !dropped.contains(id));
                records.map(|(id, _)| *id).collect()
            }
        };
        let hidden = self.hidden.lock().unwrap().clone();
        let frame = self.frame(table, &query.columns, ids.into_iter().filter(|id| !hidden.contains(id)));
        drop(tables);
        self.type_in(&self.behind);
        self.fate.step();
        progress(frame.rows());
        Ok(self.told(&query.info.table, frame))
    }

    fn hidden(&self, info: &TableInfo, missing: &[Uuid]) -> Result<HashMap<Uuid, Hidden>, EndpointError> {
        let tables = self.tables.lock().unwrap();
        let records = &tables[&info.table].records;
        let there: Vec<Uuid> = missing.iter().copied().filter(|id| records.contains_key(id)).collect();
        let hidden = self.hidden.lock().unwrap();
        match there.iter().find(|id| !hidden.contains(*id)) {
            Some(id) => {
                let message = format!("a list of ids left out record {id}, which is there when it is asked for alone");
                Err(EndpointError::Untrusted { side: self.side, message })
            }
            None => {
                let untold = self.untold.lock().unwrap();
                let why = |id| if untold.contains(&id) { Hidden::Untold } else { Hidden::Forbidden };
                Ok(there.into_iter().map(|id| (id, why(id))).collect())
            }
        }
    }

    fn untouched(&self, info: &TableInfo, ids: &[Uuid]) -> Result<HashSet<Uuid>, EndpointError> {
        let tables = self.tables.lock().unwrap();
        let touched = self.touched.lock().unwrap();
        let is_as_made = |id: &&Uuid| tables[&info.table].records.contains_key(*id) && !touched.contains(*id);
        Ok(ids.iter().filter(|id| self.side == Side::Crm && is_as_made(id)).copied().collect())
    }

    fn read_holding(&self, query: &Query<'_>, column: &str, texts: &[String]) -> Result<Option<Frame>, EndpointError> {
        // As the real sides: the CRM compares texts without regard to case, the ERP only codes; neither ignores at the end
        // what is no plain blank.
        let kind = query.info.column(column).unwrap().column.kind;
        let can = kind == Kind::Code || (kind == Kind::Text && self.side == Side::Crm);
        if !can || !self.searchable.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if self.unreadable.lock().unwrap().contains(&query.info.table) {
            return Err(EndpointError::Unreachable {
                side: self.side,
                keys: &["url"],
                message: "the line is dead".into(),
            });
        }
        let fold = |text: &str| text.trim_end_matches(' ').to_lowercase();
        let texts: Vec<String> = texts.iter().map(|text| fold(text)).collect();
        let is_odd = |text: &str| text.starts_with(' ') || text.chars().any(|c| c != ' ' && BLANKS.contains(&c));
        let odd = |text: &str| self.side == Side::Crm && is_odd(text);
        let tables = self.tables.lock().unwrap();
        let table = &tables[&query.info.table];
        let mut unfound = self.spoilt.lock().unwrap().clone();
        unfound.retain(|_| !self.finds_spoilt.load(Ordering::Relaxed));
        let holds = |id: &Uuid, values: &BTreeMap<String, Value>| {
            let text = values.get(column).map_or_else(String::new, ToString::to_string);
            // What stands there in place of a value equals none.
            !unfound.contains(&(*id, column.to_owned())) && (odd(&text) || texts.contains(&fold(&text)))
        };
        let ids = table.records.iter().filter(|(id, (_, values))| holds(id, values)).map(|(id, _)| *id);
        let frame = self.frame(table, &query.columns, ids);
        drop(tables);
        Ok(Some(self.told(&query.info.table, frame)))
    }

    fn bounds(&self) -> Bounds {
        Bounds { ids_max: 3, page_rows_max: 10 }
    }

    fn gives_versions(&self, _: &TableInfo) -> bool {
        !self.unversioned.load(Ordering::Relaxed)
    }

    fn write(&self, info: &TableInfo, columns: &[String], writes: &[Write]) -> Report {
        self.fate.step();
        self.type_in(&self.meanwhile);
        if !self.holds_up.load(Ordering::Relaxed) {
            self.arrive();
        }
        self.attempts.fetch_add(writes.len(), Ordering::Relaxed);
        let mut tables = self.tables.lock().unwrap();
        let refers: Vec<(&str, BTreeSet<Uuid>)> = {
            let refers = self.refers.lock().unwrap();
            refers.iter().map(|(column, table)| (*column, tables[*table].records.keys().copied().collect())).collect()
        };
        let nobody = |(column, value): &(String, Value)| {
            let (Value::Guid(id) | Value::Link { id, .. }) = value else { return None };
            let known = refers.iter().find(|(name, _)| name == column).is_none_or(|(_, known)| known.contains(id));
            (!known).then(|| format!("{column} refers to a record that does not exist"))
        };
        let table = tables.get_mut(&info.table).unwrap();
        let (mut outcomes, mut confirmed, mut along) = (Vec::new(), Vec::new(), Vec::new());
        for write in writes {
            let dies = self.crash_after.lock().unwrap().as_mut().is_some_and(|left| {
                let dies = *left == 0;
                *left = left.saturating_sub(1);
                dies
            });
            if dies {
                drop(tables);
                // Without the hook: nobody needs to read of it.
                std::panic::resume_unwind(Box::new("the program was killed"));
            }
            let accident = self.accidents.lock().unwrap().pop();
            if accident == Some(Accident::LockedOut) {
                self.locked_out.store(true, Ordering::Relaxed);
            }
            if self.locked_out.load(Ordering::Relaxed) {
                outcomes.push(Outcome::NotSent { message: "the login was refused".into() });
                continue;
            }
            if accident == Some(Accident::Late) && write.kind == WriteKind::Insert {
                self.late.lock().unwrap().push((info.table.clone(), write.clone()));
            }
            if matches!(accident, Some(Accident::RequestLost | Accident::Late)) {
                outcomes.push(Outcome::Unknown { message: "the connection broke".into() });
                continue;
            }
            if accident == Some(Accident::Stale)
                && let Some(record) = table.records.get_mut(&write.id)
            {
                record.0 += 1;
                self.stamp(info, &mut record.1);
            }
            let there = table.records.get(&write.id);
            let outcome = match (write.kind, there) {
                // It is not proven to be ours.
                (WriteKind::Insert, Some(_)) if matches!(info.key, Key::Values(_)) => {
                    Some(Outcome::Refused { message: "the record exists already".into() })
                }
                (WriteKind::Insert, Some(_)) => Some(Outcome::Exists),
                (WriteKind::Update | WriteKind::Delete, None) => Some(Outcome::Gone),
                (WriteKind::Update | WriteKind::Delete, Some((version, _)))
                    if write.etag.as_ref().is_some_and(|etag| *etag != version.to_string()) =>
                {
                    Some(Outcome::Stale)
                }
                _ => None,
            };
            let refusal = self.refuses.lock().unwrap().as_ref().and_then(|refuses| refuses(&info.table, write));
            let refusal = refusal.or_else(|| write.fields.iter().find_map(&nobody));
            let outcome = outcome.or_else(|| refusal.map(|message| Outcome::Refused { message }));
            if let Some(outcome) = outcome {
                outcomes.push(outcome);
                continue;
            }
            if write.kind == WriteKind::Delete && accident == Some(Accident::Kept) {
                outcomes.push(Outcome::Written);
                continue;
            }
            if write.kind == WriteKind::Delete {
                table.records.remove(&write.id);
                along.push(write.id);
                self.written.lock().unwrap().push((info.table.clone(), write.kind, write.id, Vec::new()));
                outcomes.push(match accident {
                    Some(Accident::AnswerLost) => Outcome::Unknown { message: "the connection broke".into() },
                    _ => Outcome::Written,
                });
                continue;
            }
            let record = table.records.entry(write.id).or_default();
            record.0 += 1;
            self.stamp(info, &mut record.1);
            for (column, value) in &write.fields {
                assert!(info.column(column).is_some(), "no column {column} on {}", info.table);
                if self.ignores.lock().unwrap().iter().any(|ignored| ignored == column) {
                    continue;
                }
                let is_code = info.column(column).is_some_and(|info| info.column.kind == Kind::Code);
                let value = match value {
                    // The ERP puts its codes into capitals itself.
                    Value::Text(text) if is_code && self.side == Side::Erp => Value::Text(text.trim().to_uppercase()),
                    value => value.clone(),
                };
                let before = record.1.insert(column.clone(), value.clone()).unwrap_or(Value::Null);
                if write.kind == WriteKind::Update && before.to_string() == value.to_string() {
                    self.idle.fetch_add(1, Ordering::Relaxed);
                }
            }
            if let Some(hook) = &*self.hook.lock().unwrap() {
                hook(&info.table, &mut record.1);
            }
            let names = write.fields.iter().map(|(column, _)| column.clone()).collect();
            self.written.lock().unwrap().push((info.table.clone(), write.kind, write.id, names));
            if accident == Some(Accident::AnswerLost) {
                outcomes.push(Outcome::Unknown { message: "the connection broke".into() });
            } else {
                outcomes.push(Outcome::Written);
                if !self.silent.load(Ordering::Relaxed) {
                    confirmed.push(write.id);
                }
            }
        }
        let rows = self.frame(&tables[&info.table], columns, confirmed.into_iter());
        take_along(&self.takes_along.lock().unwrap(), &mut tables, &info.table, along);
        drop(tables);
        self.type_in(&self.afterwards);
        self.spoilt.lock().unwrap().extend(std::mem::take(&mut *self.spoils.lock().unwrap()));
        self.fate.step();
        if let Some(stop) = self.stops.lock().unwrap().take() {
            stop();
        }
        Report { outcomes, rows, given: std::collections::HashMap::new() }
    }

    fn batch_max(&self) -> usize {
        3
    }

    fn modified_column(&self, info: &TableInfo) -> Option<String> {
        info.column("modified").map(|column| column.column.name.clone())
    }
}

/// Deletes what refers to deleted records of a table, by the columns for which that is so, and what refers to that.
fn take_along(
    columns: &[(&'static str, &'static str)],
    tables: &mut BTreeMap<String, Table>,
    table: &str,
    deleted: Vec<Uuid>,
) {
    let mut open: Vec<(String, Uuid)> = deleted.into_iter().map(|id| (table.to_owned(), id)).collect();
    while let Some((from, id)) = open.pop() {
        for (column, _) in columns.iter().filter(|(_, target)| *target == from) {
            for (name, table) in tables.iter_mut() {
                let refers =
                    |record: &Record| record.1.get(*column).is_some_and(|value| value.to_string() == id.to_string());
                let along: Vec<Uuid> =
                    table.records.iter().filter(|(_, record)| refers(record)).map(|(id, _)| *id).collect();
                for id in along {
                    table.records.remove(&id);
                    open.push((name.clone(), id));
                }
            }
        }
    }
}

/// Returns the moment, in milliseconds since 1970, from which on a filter wants records that were changed.
fn since(filter: &Predicate) -> Option<i64> {
    match filter {
        Predicate::All(parts) => parts.iter().find_map(since),
        Predicate::Compare { column, literal: Literal::Text(text), .. } if column == MODIFIED => {
            Some(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
        }
        _ => None,
    }
}
