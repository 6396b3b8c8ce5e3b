//! The port to one side: what the core may ask of an ERP or a CRM, as plain data.
//!
//! An [`Endpoint`] describes tables, reads records into a [`Frame`] and writes batches. It knows nothing of table maps,
//! couplings or the other side; retries, throttling, paging and the wire's spelling of values are its own business.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::config::Side;
use crate::config::expression::Predicate;
use crate::frame::{Column, Frame, Kind, Value};

/// Who a side is: the company of the ERP, the organization of the CRM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Stays when it is renamed or moves to another address.
    pub id: Uuid,
    /// As people know it.
    pub name: String,
}

/// A table as its side describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct TableInfo {
    /// As the file names it.
    pub table: String,
    pub key: Key,
    /// Every readable or writable column, in the order of the metadata.
    pub columns: Vec<ColumnInfo>,
}

/// What tells the records of a table from each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// A GUID in that column, which whoever makes a record chooses.
    Id(String),
    /// What the record holds in these columns: a new one has to bring it along. The id is made of it, see
    /// [`TableInfo::id_of`].
    Values(Vec<String>),
}

impl TableInfo {
    /// Returns the column of that name.
    pub fn column(&self, name: &str) -> Option<&ColumnInfo> {
        self.columns.iter().find(|column| column.column.name == name)
    }

    /// Returns the id of the record whose key its side writes as these texts.
    pub fn id_of_written(&self, texts: &[String]) -> Uuid {
        let names: &[String] = match &self.key {
            Key::Values(names) => names,
            Key::Id(_) => &[],
        };
        let kind = |place: usize| names.get(place).and_then(|name| self.column(name)).map(|info| info.column.kind);
        let folded =
            |(place, text): (usize, &String)| key_text(kind(place).unwrap_or(Kind::Text), &Value::Text(text.clone()));
        self.id_of(&texts.iter().enumerate().map(folded).collect::<Vec<String>>())
    }

    /// Returns the id of the record that holds these values in its key columns, in their order, each as
    /// [`key_text`] writes it.
    ///
    /// It is a function of table and values, so it is the same in every run and on every machine. The values cannot be had
    /// back from it: who needs them remembers them, or reads the keys of the table.
    pub fn id_of(&self, values: &[String]) -> Uuid {
        const NAMESPACE: Uuid = Uuid::from_u128(0x2b7d_90c4_51ae_5e0b_8f13_64d2_9c08_7a3f);
        let mut text = self.table.clone();
        // A length before each value, so that no two lists of values make the same text.
        values.iter().for_each(|value| text.push_str(&format!("/{}:{value}", value.len())));
        Uuid::new_v5(&NAMESPACE, text.as_bytes())
    }
}

/// What may stand around a text without making it another one for whoever looks for it: the blank, and those that look like
/// it and come along with copied texts.
///
/// A database ignores blanks at the end of a text and none of the others, so an adapter has to ask for these by name. Tabs
/// and line ends are not among them: a question for those is one that a gateway may turn away.
pub const BLANKS: [char; 4] = [' ', '\u{a0}', '\u{202f}', '\u{3000}'];

/// Returns a text without the [`BLANKS`] around it.
pub fn without_blanks(text: &str) -> &str {
    text.trim_matches(BLANKS)
}

/// Returns a text in capitals as the ERP makes them of a code: letter by letter, and only where one letter becomes one. `ß` has
/// no capital there, so `FUß1` and `FUSS1` are two codes.
pub fn capitals(text: &str) -> String {
    let capital = |letter: char| {
        let mut upper = letter.to_uppercase();
        upper.next().filter(|_| upper.next().is_none()).unwrap_or(letter)
    };
    text.chars().map(capital).collect()
}

/// Returns the value of a key column as a text that is the same for equal keys: codes in [`capitals`] and trimmed. An id is made
/// of it; to ask for the record takes the key as its side writes it.
pub fn key_text(kind: Kind, value: &Value) -> String {
    let text = value.to_string();
    match kind {
        Kind::Code => capitals(text.trim()),
        Kind::Text | Kind::Enum => text,
        // A side may write the same value in several ways, as `1` and `1.0`.
        _ => kind.parse(&text).map_or(text, |value| value.to_string()),
    }
}

/// A column as its side describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnInfo {
    pub column: Column,
    pub readable: bool,
    /// Whether an insert may carry it.
    pub insertable: bool,
    /// Whether an update may carry it.
    pub updatable: bool,
    /// What a new record holds that was given nothing, where the side tells it.
    pub starts_with: Option<Value>,
    /// Characters a text may have.
    pub length_max: Option<usize>,
    /// The smallest and the largest number that it takes.
    pub range: Option<(Decimal, Decimal)>,
    /// Numbers and labels of a choice, member names of an enum (label only, in order).
    pub options: Vec<(i64, String)>,
    /// Tables (entity sets) that a lookup may point to; empty for anything else.
    pub targets: Vec<String>,
    /// A day that is kept as the moment at which it begins for whoever typed it: read in another time zone it is another day.
    pub local_day: bool,
}

impl ColumnInfo {
    /// Tells whether a text is not longer than the column, in UTF-16 units, which the databases of both services count.
    pub fn has_room(&self, text: &str) -> bool {
        self.length_max.is_none_or(|length_max| text.encode_utf16().count() <= length_max)
    }
}

#[cfg(test)]
impl ColumnInfo {
    /// A column that may be read and written, and of which nothing else is said.
    pub fn plain(name: &str, kind: Kind) -> ColumnInfo {
        ColumnInfo {
            column: Column { name: name.to_owned(), kind },
            readable: true,
            insertable: true,
            updatable: true,
            starts_with: None,
            length_max: None,
            range: None,
            options: Vec::new(),
            targets: Vec::new(),
            local_day: false,
        }
    }
}

/// A request for records of one table.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    pub info: &'a TableInfo,
    /// Columns by name; the frame also holds [`Frame::ID`] and [`Frame::ETAG`].
    pub columns: Vec<String>,
    /// A filter of which the side may evaluate as much as it can, as long as no record that holds is left out; the
    /// caller filters again.
    pub filter: Option<Predicate>,
    /// Only these records; ids that do not exist are missing from the answer, which by itself proves nothing
    /// ([`Endpoint::hidden`]).
    pub ids: Option<Vec<Uuid>>,
}

/// What is done to one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteKind {
    /// Makes a record with the id that the caller chose; where its side gives the key, the id is only what the caller calls
    /// it, and [`Report::given`] tells the one that it has.
    Insert,
    /// Changes the named columns of a record that exists.
    Update,
    /// Removes a record; one that is gone already is [`Outcome::Gone`].
    Delete,
}

/// One write of a batch.
#[derive(Debug, Clone)]
pub struct Write {
    pub kind: WriteKind,
    pub id: Uuid,
    /// The version that the caller saw; a change of another version is [`Outcome::Stale`], and one without goes over any.
    pub etag: Option<String>,
    /// Columns by name and their new values; [`Value::Null`] clears.
    pub fields: Vec<(String, Value)>,
}

/// What became of one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The side confirmed it; the record's state right after is in [`Report::rows`].
    Written,
    /// Somebody changed the record since it was read; nothing was written.
    Stale,
    /// The record does not exist any more; nothing was written.
    Gone,
    /// An insert met a record with the very id that was chosen.
    Exists,
    /// The side refused it for good; the message is the side's own, without correlation numbers.
    Refused { message: String },
    /// It was surely not carried out (throttled, not reached), even after retries; that passes.
    NotSent { message: String },
    /// It was surely not carried out, for something that neither is the record's fault nor passes by itself: a right that the
    /// login lacks, or what stands between here and the service.
    Barred { message: String },
    /// The answer was lost, or a part of it was carried out and the rest was not; only reading tells.
    Unknown { message: String },
}

/// The answer to a batch.
#[derive(Debug, Clone)]
pub struct Report {
    /// One for each write, in the order of the batch.
    pub outcomes: Vec<Outcome>,
    /// The records of the batch as the side holds them right after the write, in any order, with the columns asked
    /// for and the version that the write gave them. A record that is missing has to be read, and what is read may hold
    /// somebody's edit already.
    pub rows: Frame,
    /// The ids of new records whose key the side gave, by those that they were sent under.
    pub given: HashMap<Uuid, Uuid>,
}

/// Which key of the file something belongs to, from the connection on.
pub type Keys = &'static [&'static str];

/// Why a side could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No connection, or none that lasted, after all retries.
    #[error("{side} cannot be reached: {message}", side = .side.name())]
    Unreachable { side: Side, keys: Keys, message: String },
    /// It was given up because the program is to end; the side is not to blame.
    #[error("the run was told to end before {side} had answered; the next run goes on from here", side = .side.name())]
    Interrupted { side: Side },
    /// The credentials were refused.
    #[error("{side} refused the login: {message}", side = .side.name())]
    Login { side: Side, keys: Keys, message: String },
    /// There is nothing to log in with: a file that holds a secret, a token or a certificate cannot be used.
    #[error("there is no login for {side}: {message}", side = .side.name())]
    Credentials { side: Side, keys: Keys, message: String },
    /// The company does not exist.
    #[error("{side} has no company `{company}`; it has: {known}", side = .side.name())]
    NoCompany { side: Side, company: String, known: String },
    /// The table does not exist.
    #[error("{side} has no table `{table}`", side = .side.name())]
    NoTable { side: Side, table: String },
    /// The side answered with an error that no retry mends.
    #[error("{side} refused the request: {message}", side = .side.name())]
    Refused { side: Side, message: String },
    /// The answer breaks the protocol (a page chain that loops, a record without key, …), so the read proves nothing.
    #[error("{side} gave an answer that cannot be trusted: {message}", side = .side.name())]
    Untrusted { side: Side, message: String },
}

impl EndpointError {
    /// Returns the word by which programs tell these errors apart.
    pub fn kind(&self) -> &'static str {
        match self {
            EndpointError::Unreachable { .. } => "unreachable",
            EndpointError::Interrupted { .. } => "interrupted",
            EndpointError::Login { .. } | EndpointError::Credentials { .. } => "login",
            EndpointError::NoCompany { .. } => "company",
            EndpointError::NoTable { .. } => "table",
            EndpointError::Refused { .. } => "refused",
            EndpointError::Untrusted { .. } => "untrusted",
        }
    }

    /// Returns the key of the connection that it belongs to, as far as is known.
    pub fn keys(&self) -> Keys {
        match self {
            EndpointError::Unreachable { keys, .. }
            | EndpointError::Login { keys, .. }
            | EndpointError::Credentials { keys, .. } => keys,
            EndpointError::NoCompany { .. } => &["company"],
            EndpointError::Interrupted { .. }
            | EndpointError::NoTable { .. }
            | EndpointError::Refused { .. }
            | EndpointError::Untrusted { .. } => &["url"],
        }
    }

    /// Returns the side that could not be asked.
    pub fn side(&self) -> Side {
        match self {
            EndpointError::Unreachable { side, .. }
            | EndpointError::Interrupted { side }
            | EndpointError::Login { side, .. }
            | EndpointError::Credentials { side, .. }
            | EndpointError::NoCompany { side, .. }
            | EndpointError::NoTable { side, .. }
            | EndpointError::Refused { side, .. }
            | EndpointError::Untrusted { side, .. } => *side,
        }
    }
}

/// Something that a login may be allowed to do with the records of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    Read,
    Create,
    Update,
    Delete,
    /// Giving a record to another owner.
    Assign,
    /// Letting a record refer to another one.
    Append,
    /// Letting another record refer to this one.
    AppendTo,
}

impl Right {
    /// Returns the word for people and programs.
    pub fn key(self) -> &'static str {
        match self {
            Right::Read => "read",
            Right::Create => "create",
            Right::Update => "update",
            Right::Delete => "delete",
            Right::Assign => "assign",
            Right::Append => "append",
            Right::AppendTo => "append_to",
        }
    }
}

/// A right that there is for a table, and what the login has of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub right: Right,
    /// As the side calls it.
    pub name: String,
    pub reach: Reach,
}

/// Something that the connection asks for besides, and that the login is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// Where the file asks for it, below the connection.
    pub keys: Keys,
    /// What is not allowed, as the end of a sentence about the login.
    pub what: String,
    /// The right that it takes, as the side calls it.
    pub name: &'static str,
}

/// For which records a right holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    Nothing,
    /// Some of them, by who owns them.
    Part,
    /// All of them, as far as the side tells.
    Everything,
}

/// Why nothing may be concluded from a record that no list brings (I7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hidden {
    /// It exists, and the login may not read it.
    Forbidden,
    /// Whether it exists nobody tells: its key is not known, or fits into no address, or what was answered to that is not the
    /// service's own word.
    Untold,
}

/// What went over the wire so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Traffic {
    pub sent: u64,
    pub retried: u64,
    pub waited_seconds: f64,
}

/// How much goes into one request, for those who choose between two ways of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Records that one request can ask for by id.
    pub ids_max: usize,
    /// Records of one page.
    pub page_rows_max: usize,
}

/// What a side that tracks changes tells.
#[derive(Debug, Clone)]
pub enum Tracked {
    /// The records, all of them or those that changed since the token was given, whatever the query's filter says.
    Changes {
        frame: Frame,
        /// Records that were deleted since, also such as nobody here has ever seen.
        deleted: Vec<Uuid>,
        /// What the next read continues from.
        token: String,
    },
    /// The side does not take the token any more, or does not track this table after all: only a full read tells.
    Refused { message: String },
}

/// How far a side's clock is ahead of ours: somewhere between the two.
///
/// An answer tells its second only, and not how long it was under way, so the truth is a range that narrows with every
/// answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockOffset {
    pub ms_min: i64,
    pub ms_max: i64,
    /// The answers tell of one clock. Else they contradict each other, the truth is not known, and the range is what lies
    /// between them.
    pub steady: bool,
}

/// Why two clocks cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoClock {
    /// The answers of that side tell no time.
    Untold(Side),
    /// They contradict each other.
    Unsteady(Side),
}

impl ClockOffset {
    /// Returns by how many milliseconds the two clocks differ at least.
    pub fn ms_off(self) -> i64 {
        self.ms_min.max(self.ms_max.saturating_neg()).max(0)
    }

    /// Returns the milliseconds by which the CRM's clock is ahead of the ERP's; 0 where the answers do not contradict it.
    pub fn between(erp: Option<ClockOffset>, crm: Option<ClockOffset>) -> Result<i64, NoClock> {
        let known = |side: Side, offset: Option<ClockOffset>| match offset {
            None => Err(NoClock::Untold(side)),
            Some(offset) if !offset.steady => Err(NoClock::Unsteady(side)),
            Some(offset) => Ok(offset),
        };
        let (erp, crm) = (known(Side::Erp, erp)?, known(Side::Crm, crm)?);
        let (min, max) = (crm.ms_min.saturating_sub(erp.ms_max), crm.ms_max.saturating_sub(erp.ms_min));
        Ok(if min <= 0 && 0 <= max { 0 } else { min.midpoint(max) })
    }
}

/// The line to a side: what is the same of it whatever is asked.
pub trait Line: Sync {
    /// Returns which side this is.
    fn side(&self) -> Side;

    /// Waits before writes are sent again of which nobody knows whether they arrived, `times` in a row (from 1): a side that
    /// is away for some seconds is there again then. `false`, at once, where patience ended or the program is to end.
    fn rest(&self, _times: u32) -> bool {
        false
    }

    /// Returns how many calls may be under way at once.
    fn concurrency(&self) -> usize;

    /// Returns what went over the wire so far.
    fn traffic(&self) -> Traffic;

    /// Returns how far this side's clock is ahead of ours, as far as its answers told; `None` where they told nothing.
    fn clock_offset(&self) -> Option<ClockOffset>;

    /// Returns what this side's clock shows now, at the latest; at the earliest where its answers contradict each other, so
    /// that no time counts as reached which may lie ahead. `None` where they told nothing.
    fn clock(&self) -> Option<DateTime<Utc>>;

    /// Returns why the side cannot be spoken to any more: it refuses the login, or nobody is there. From then on nothing is
    /// sent to it, and every call ends at once for this reason.
    fn lost(&self) -> Option<EndpointError> {
        None
    }
}

/// One side, open for requests. Calls may come from several threads at once.
pub trait Endpoint: Sync {
    /// Returns the line over which it is asked.
    fn line(&self) -> &dyn Line;

    /// Proves that the side can be reached, that the login holds and that the company exists; returns who it is.
    fn open(&self) -> Result<Identity, EndpointError>;

    /// Tells whether the side evaluates a filter itself; what it does not is evaluated here, over more records.
    fn evaluates(&self, info: &TableInfo, filter: &Predicate) -> bool;

    /// Asks for the metadata of several tables together, where that takes fewer requests than one after the other.
    ///
    /// [`describe`](Self::describe) answers from it; it is also the one to tell of a table that does not exist.
    fn prepare(&self, _tables: &[&str]) -> Result<(), EndpointError> {
        Ok(())
    }

    /// Describes a table; the metadata is asked for once and remembered.
    fn describe(&self, table: &str) -> Result<TableInfo, EndpointError>;

    /// Reads records, completely or not at all; `progress` hears the number of rows so far after each page.
    fn read(&self, query: &Query<'_>, progress: &dyn Fn(usize)) -> Result<Frame, EndpointError>;

    /// Finds out about records that a read by ids did not bring, each by a question of its own: a list leaves out without a
    /// word what it does not show, so it proves no deletion (I7).
    ///
    /// Returns those that may exist all the same; all others do not exist. One that comes after all is
    /// [`EndpointError::Untrusted`]: the list was not whole. Costs requests for these records only, many in one where the
    /// side takes that.
    fn hidden(&self, info: &TableInfo, missing: &[Uuid]) -> Result<HashMap<Uuid, Hidden>, EndpointError>;

    /// Returns the keys of records, as far as this side knows them and their ids do not tell them ([`Key::Values`]).
    fn seen_keys(&self, _info: &TableInfo, _ids: &[Uuid]) -> Vec<(Uuid, Vec<String>)> {
        Vec::new()
    }

    /// Hears keys that [`seen_keys`](Self::seen_keys) returned in an earlier run: a record that is in no list any more can be
    /// asked for by nothing else.
    fn recall(&self, _info: &TableInfo, _keys: HashMap<Uuid, Vec<String>>) {}

    /// Asks what [`read`](Self::read) asks, whatever ids the query names, and keeps nothing of the answer: a side that must
    /// not be read, or that does not understand the columns or the filter, says so.
    ///
    /// One record at most is asked for, or one that does not exist.
    fn probe(&self, query: &Query<'_>) -> Result<(), EndpointError> {
        let nobody = Uuid::from_u128(1);
        self.read(&Query { ids: Some(vec![nobody]), ..query.clone() }, &|_| {}).map(drop)
    }

    /// Reads the records that hold one of `texts` in a column, compared without regard to case and to [`BLANKS`] around.
    ///
    /// More may come, none may be missing; `None` where the side cannot promise that, and the table has to be read.
    fn read_holding(
        &self,
        _query: &Query<'_>,
        _column: &str,
        _texts: &[String],
    ) -> Result<Option<Frame>, EndpointError> {
        Ok(None)
    }

    /// Tells whether the side tracks the changes of a table, deletions among them.
    fn tracks(&self, _table: &str) -> Result<bool, EndpointError> {
        Ok(false)
    }

    /// Reads what changed since `token` was given; without one everything, and begins to track.
    fn read_tracked(
        &self,
        _query: &Query<'_>,
        _token: Option<&str>,
        _progress: &dyn Fn(usize),
    ) -> Result<Tracked, EndpointError> {
        Ok(Tracked::Refused { message: format!("the {} tracks no changes", self.line().side().name()) })
    }

    /// Returns how much goes into one request.
    fn bounds(&self) -> Bounds;

    /// Tells whether the side gives each record of a table a version, so that one without has lost it on its way here.
    fn gives_versions(&self, _info: &TableInfo) -> bool {
        false
    }

    /// Tells whether the side may keep a text in capitals of whose column its metadata does not tell that.
    fn may_capitalize(&self) -> bool {
        false
    }

    /// Writes a batch of at most [`batch_max`](Self::batch_max) records of one table and returns them with `columns`.
    ///
    /// Never fails as a whole: what could not be sent is an outcome of each write.
    fn write(&self, info: &TableInfo, columns: &[String], writes: &[Write]) -> Report;

    /// Returns how many writes fit into one call.
    fn batch_max(&self) -> usize;

    /// Returns the column in which this side keeps when a record was last modified, where the table has it.
    fn modified_column(&self, info: &TableInfo) -> Option<String>;

    /// Returns who modified records last, as people read it; those of whom the side does not tell it are missing.
    ///
    /// Takes a request for every [`Bounds::ids_max`] records.
    fn modifiers(&self, _info: &TableInfo, _ids: &[Uuid]) -> Result<HashMap<Uuid, String>, EndpointError> {
        Ok(HashMap::new())
    }

    /// Returns those of these new records, made by this program, that nobody but their maker has changed since, as far as the
    /// side tells; asked for after the records were read, it tells of what was read.
    ///
    /// So what such a record holds is what its side made of what it was sent, however the answer to the insert was lost.
    fn untouched(&self, _info: &TableInfo, _ids: &[Uuid]) -> Result<HashSet<Uuid>, EndpointError> {
        Ok(HashSet::new())
    }

    /// Tells which rights there are for a table and what the login has of them; `None` where the side does not tell before
    /// something is written.
    fn grants(&self, _info: &TableInfo) -> Result<Option<Vec<Grant>>, EndpointError> {
        Ok(None)
    }

    /// Returns what the connection asks for besides and the login is not allowed, as far as the side tells that before
    /// something is written.
    fn lacking(&self) -> Result<Vec<Demand>, EndpointError> {
        Ok(Vec::new())
    }

    /// Proves that the side takes writes in the name that the connection gives, where it gives one; else nothing is asked.
    ///
    /// Who may not is no user there, or the login may not write for others: that is true of every record alike.
    fn stands_in(&self) -> Result<(), EndpointError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_record_is_made_of_its_key() {
        let info = |table: &str| TableInfo {
            table: table.into(),
            key: Key::Values(vec!["Item_No".into(), "Code".into()]),
            columns: Vec::new(),
        };
        let id = |table: &str, values: [&str; 2]| info(table).id_of(&values.map(str::to_owned));
        let one = id("ItemUnits", ["1000", "PCS"]);
        assert_eq!(one, id("ItemUnits", ["1000", "PCS"]));
        // It stands in the states of everybody who coupled by it.
        assert_eq!(one.to_string(), "cbe8b502-7fc5-5f43-b9f2-ae78404d7604");
        for (table, values) in [
            ("ItemUnits", ["1000P", "CS"]),
            ("ItemUnits", ["1000", "pcs"]),
            ("ItemUnits", ["1000/3:PCS", ""]),
            ("Items", ["1000", "PCS"]),
        ] {
            assert_ne!(id(table, values), one, "{table} {values:?}");
        }
        for (kind, value, expected) in [
            (Kind::Code, Value::Text(" c-1 ".into()), "C-1"),
            (Kind::Text, Value::Text("Ab ".into()), "Ab "),
            (Kind::Integer, Value::Text("10000".into()), "10000"),
            (Kind::Integer, Value::Integer(10_000), "10000"),
            (Kind::Decimal { scale: 2 }, Value::Text("1.50".into()), "1.5"),
            (Kind::Date, Value::Null, ""),
        ] {
            assert_eq!(key_text(kind, &value), expected, "{kind:?} {value:?}");
        }
    }
}
