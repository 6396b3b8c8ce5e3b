//! The port to the state: couplings, bases, the journal of writes, the inbox and its answers, as plain data.
//!
//! A [`Store`] belongs to one pipeline and one writer at a time. Each method is one transaction: it happened as a whole
//! or not at all.

pub mod pairs;

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::binding::Binding;
use crate::config::{PerSide, Side};

/// The couplings of one table map, as parallel columns in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Couplings {
    pub erp: Vec<Uuid>,
    pub crm: Vec<Uuid>,
    /// How each came about.
    pub origins: Vec<Origin>,
    /// For each field asked for, for each coupling: the fingerprints of what the ERP and the CRM held when the pair was
    /// last settled (what exactly is remembered of a one-way field is the business of who compares it); `None` where the
    /// field was never settled.
    pub bases: Vec<Vec<Option<PerSide<u64>>>>,
    pub terms: Terms,
}

/// How the two values of a settled field were to each other, by the ERP id of the pair and the number of the field among
/// those asked for.
///
/// Most agreed, which is not written down. Of those that differ, as they were left to, it is a fingerprint of what each would
/// have been on the other side: where that is another by now, the difference is not the one that was settled. Of a reference
/// that agreed it may be that it is [`Terms::ORPHANED`] since.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Terms {
    /// Pairs that a program settled which did not remember that.
    pub unsure: HashSet<Uuid>,
    pub differing: HashMap<Uuid, Vec<(usize, u64)>>,
}

impl Terms {
    /// One value was what the field map made of the other.
    pub const AGREED: u64 = 0;

    /// It is not known how they were to each other.
    pub const UNSURE: u64 = 1;

    /// They differ as a side answered to a write, and were not compared yet.
    pub const ANSWERED: u64 = 2;

    /// They agreed, and the record that they lead to has lost its partner on one side since: that side may clear its reference
    /// by itself. So it stays until the field is settled, whatever becomes of that record.
    pub const ORPHANED: u64 = 4;

    /// From here on it is a fingerprint, whose lowest bit says that nobody knows how the difference came about.
    pub const FIRST: u64 = 6;

    /// Returns how the two values of a field were to each other: a fingerprint, or one of the above.
    pub fn of(&self, erp: Uuid, field: usize) -> u64 {
        if self.unsure.contains(&erp) {
            return Terms::UNSURE;
        }
        let mut differing = self.differing.get(&erp).into_iter().flatten();
        differing.find(|(number, _)| *number == field).map_or(Terms::AGREED, |(_, terms)| *terms)
    }

    /// Remembers how they are now, but for a pair that is unsure as a whole; tells whether that is something else.
    pub fn set(&mut self, erp: Uuid, field: usize, terms: u64) -> bool {
        if self.unsure.contains(&erp) || self.of(erp, field) == terms {
            return false;
        }
        let differing = self.differing.entry(erp).or_default();
        differing.retain(|(number, _)| *number != field);
        if terms != Terms::AGREED {
            differing.push((field, terms));
        }
        true
    }
}

impl Couplings {
    /// Returns the couplings named, in that order.
    pub fn subset(&self, couplings: &[usize]) -> Couplings {
        Couplings {
            erp: couplings.iter().map(|&coupling| self.erp[coupling]).collect(),
            crm: couplings.iter().map(|&coupling| self.crm[coupling]).collect(),
            origins: couplings.iter().map(|&coupling| self.origins[coupling].clone()).collect(),
            bases: self.bases.iter().map(|field| couplings.iter().map(|&coupling| field[coupling]).collect()).collect(),
            terms: self.terms.clone(),
        }
    }

    /// Returns the number of couplings.
    pub fn len(&self) -> usize {
        self.erp.len()
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.erp.is_empty()
    }
}

/// What is remembered of one coupling, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coupling {
    pub ids: PerSide<Uuid>,
    pub origin: Origin,
    /// RFC 3339, like `settled_at`.
    pub coupled_at: String,
    /// When what both sides hold was last remembered; `None` where it never was.
    pub settled_at: Option<String>,
}

/// How a coupling came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The match rule of that number (from 1).
    Matched(usize),
    /// The record was created on that side.
    Created(Side),
    /// A person coupled the two.
    Hand,
}

/// One change of the couplings.
#[derive(Debug, Clone, PartialEq)]
pub enum CouplingChange {
    /// Links two records that have no link in this table map.
    Couple { erp: Uuid, crm: Uuid, origin: Origin },
    /// Removes the link; the records stay.
    Uncouple { erp: Uuid, crm: Uuid },
    /// Removes the link, and remembers both records as kept apart: see [`Store::kept_apart`]. `record` is what people call
    /// them.
    KeepApart { erp: Uuid, crm: Uuid, record: String },
}

/// What both sides of a pair held when it was settled.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    pub erp: Uuid,
    pub crm: Uuid,
    /// One for each field of the `fields` given along; `None` leaves the base of the field as it is.
    pub base: Vec<Option<PerSide<u64>>>,
    /// The values as people read them, for the fields whose base changes; kept only where the pipeline keeps values.
    pub values: Vec<(usize, PerSide<String>)>,
    /// How the values of the pair are to each other, as in [`Terms`]: those of the fields that are settled and not named here
    /// agree. A field named here needs no base.
    pub terms: Vec<(usize, u64)>,
    /// Whether that holds for all fields of the pair; else nothing is said of those that are not settled.
    pub whole: bool,
}

/// What both sides of a pair agree on in one field once a write is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// By its key: see [`crate::config::FieldMap::key`].
    pub field: String,
    /// The base that follows.
    pub base: PerSide<u64>,
    /// The values as people read them.
    pub values: PerSide<String>,
    /// How they are to each other, as in [`Terms`].
    pub terms: u64,
}

/// What a pair agrees on, since a write was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    pub ids: PerSide<Uuid>,
    pub fields: Vec<Agreed>,
}

/// A write that is about to leave.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    pub table: String,
    /// The side that is written.
    pub side: Side,
    /// `insert`, `update` or `delete`; `couple` or `uncouple` where no record is written.
    pub action: String,
    /// The record that is written.
    pub id: Uuid,
    /// Its partner on the other side.
    pub partner: Uuid,
    /// The record as people name it.
    pub record: String,
    /// What it is called on the other side, as people name it there; where a pair ends, so that either name finds it when
    /// both records are gone. Blank where that is not known, or everywhere else.
    pub also: String,
    /// Column, old value, new value, as people read them.
    pub fields: Vec<(String, String, String)>,
    /// Why, as the plan says it; blank for what was written before reasons were kept.
    pub why: String,
    /// What both sides agree on once it is carried out; kept until there is an answer.
    pub agreed: Vec<Agreed>,
}

impl Intent {
    /// Returns the pair that it is about, which is not coupled yet where one of the two is to be made.
    pub fn ids(&self) -> PerSide<Uuid> {
        match self.side {
            Side::Erp => PerSide { erp: self.id, crm: self.partner },
            Side::Crm => PerSide { erp: self.partner, crm: self.id },
        }
    }

    /// Tells whether a record is written; what people couple and part changes the state alone.
    pub fn writes(&self) -> bool {
        !matches!(self.action.as_str(), "couple" | "uncouple")
    }
}

/// A write of which it is not known whether it was carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenIntent {
    pub journal_id: i64,
    pub intent: Intent,
}

/// A write of the journal and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalRow {
    pub run: String,
    pub intent: Intent,
    /// RFC 3339, like `answered_at`.
    pub intended_at: String,
    /// As in [`Answer`]; `None` while it is open.
    pub outcome: Option<String>,
    pub message: Option<String>,
    pub answered_at: Option<String>,
}

/// What became of an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub journal_id: i64,
    /// `written`, `stale`, `gone`, `exists`, `refused`, `not sent`, or `found`/`not found` for what a later read told.
    pub outcome: String,
    pub message: String,
}

/// What kind of answer a person has to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InboxKind {
    Contested,
    Failed,
    /// Refused for the same reason too often, and not sent again until something changes.
    Skipped,
    Deleted,
    Ambiguous,
}

impl InboxKind {
    /// Every kind, in the order in which they are told.
    pub const ALL: [InboxKind; 5] =
        [InboxKind::Contested, InboxKind::Failed, InboxKind::Skipped, InboxKind::Deleted, InboxKind::Ambiguous];

    /// Returns the word of the JSON output.
    pub fn key(self) -> &'static str {
        match self {
            InboxKind::Contested => "contested",
            InboxKind::Failed => "failed",
            InboxKind::Skipped => "skipped",
            InboxKind::Deleted => "deleted",
            InboxKind::Ambiguous => "ambiguous",
        }
    }

    /// Returns the kind of that word.
    pub fn from_key(key: &str) -> Option<InboxKind> {
        InboxKind::ALL.into_iter().find(|kind| kind.key() == key)
    }
}

/// Something that waits for a person.
#[derive(Debug, Clone, PartialEq)]
pub struct InboxItem {
    pub table: String,
    /// The record as people name it.
    pub record: String,
    pub kind: InboxKind,
    pub erp_id: Option<Uuid>,
    pub crm_id: Option<Uuid>,
    /// The contested field by its ERP column, else its CRM column.
    pub field: Option<String>,
    pub base: Option<String>,
    pub erp: Option<String>,
    pub crm: Option<String>,
    /// Why it waits, as if nobody had decided about it.
    pub message: String,
    /// What a person decided, and the run could not act on; gone with the decision.
    pub outstanding: Option<Outstanding>,
    /// When it was first raised, RFC 3339; filled by the store.
    pub since: String,
    /// In how many runs it was raised; filled by the store.
    pub attempts: u32,
    pub background: Background,
}

/// A decision that stands although what it is about waits: it was made for other values, or something hinders it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outstanding {
    pub verdict: Decided,
    /// What it was decided on.
    pub values: PerSide<String>,
    /// The day, as in RFC 3339.
    pub on: String,
}

/// What is known besides of something that waits, for people; nothing is decided by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Background {
    /// What people call the record that the CRM's value leads to.
    pub crm_record: Option<String>,
    /// Of a contested field, when each record had last been modified when the field was filed with these values: whichever
    /// field it was. RFC 3339, each by its own side's clock.
    pub modified: PerSide<Option<String>>,
    /// Who modified the CRM's record then, as people read it.
    pub crm_modified_by: Option<String>,
    /// Whether a record of it could not be read: a run over some records asks for that one again.
    pub unreadable: bool,
}

/// What a person decided about something that waits. The next run acts on it; until it has, the decision stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub table: String,
    /// The record as people name it.
    pub record: String,
    /// The pair that it is about.
    pub ids: PerSide<Uuid>,
    /// The contested field by its key; `None` for a decision about the whole pair.
    pub field: Option<String>,
    pub verdict: Decided,
    /// What both sides held in that field when it was decided, as people read it: for other values nothing is decided.
    pub values: PerSide<String>,
    /// A fingerprint of what the survivor of a deletion held when a run last saw it; filled by the store.
    pub seen: Option<u64>,
    /// When it was decided, RFC 3339; filled by the store.
    pub at: String,
    /// When a run last found that it could not carry it out, RFC 3339: then somebody has to look again. What hindered it
    /// may end by itself.
    pub unmet: Option<String>,
    /// When nothing was left to do about it, RFC 3339; `None` as long as it stands.
    pub ended: Option<String>,
}

/// What failed says so, between what it is and the side, where it did not come there for something that passes: nobody has to
/// do anything.
pub const NOT_ARRIVED: &str = " did not get to the ";

/// The same where it was not let in, for something that is no fault of the record and does not pass by itself.
pub const NOT_LET_IN: &str = " was not let into the ";

/// What it takes until something that failed can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cure {
    /// The record, or the file, has to be corrected.
    Correction,
    /// Nothing but time.
    Time,
    /// A right, or a way to the service.
    Access,
}

impl InboxItem {
    /// Tells what it takes until what failed can be done, as its message says it.
    pub fn cure(&self) -> Cure {
        let says = |how: &str| self.kind == InboxKind::Failed && self.message.contains(how);
        match (says(NOT_ARRIVED), says(NOT_LET_IN)) {
            (true, _) => Cure::Time,
            (false, true) => Cure::Access,
            (false, false) => Cure::Correction,
        }
    }
}

/// Why something is written, or was to be, begins so where a person decided it; the date follows.
pub const DECIDED_BY: &str = "decided by a person on ";

impl Decision {
    /// Returns the name by which people call the field that it is about: its ERP column, else its CRM column.
    pub fn field_name(&self) -> Option<&str> {
        // The key of a field is both columns.
        let (erp, crm) = self.field.as_deref()?.split_once('=')?;
        Some(if erp.is_empty() { crm } else { erp })
    }

    /// Tells whether the next run is expected to carry it out.
    pub fn is_due(&self) -> bool {
        self.unmet.is_none() && self.ended.is_none()
    }

    /// Tells whether it is about an item, with the values that it has now.
    pub fn is_about(&self, item: &InboxItem) -> bool {
        let ids = (Some(self.ids.erp), Some(self.ids.crm));
        if self.table != item.table || ids != (item.erp_id, item.crm_id) {
            return false;
        }
        let held = (item.erp.as_deref().unwrap_or_default(), item.crm.as_deref().unwrap_or_default());
        match (self.field_name(), &item.field) {
            (Some(field), Some(own)) => field == own && held == (&*self.values.erp, &*self.values.crm),
            (None, None) => item.kind == InboxKind::Deleted,
            _ => false,
        }
    }
}

/// The decision itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    /// That side's value goes to the other one.
    Take(Side),
    /// This value goes to both, in the ERP's terms.
    Value(String),
    /// The deleted partner is made anew.
    Restore,
    /// The survivor is deleted too.
    Delete,
}

impl Decided {
    /// Reads what [`std::fmt::Display`] writes.
    pub fn parse(text: &str) -> Option<Decided> {
        match text {
            "take erp" => Some(Decided::Take(Side::Erp)),
            "take crm" => Some(Decided::Take(Side::Crm)),
            "restore" => Some(Decided::Restore),
            "delete" => Some(Decided::Delete),
            other => other.strip_prefix("take value=").map(|value| Decided::Value(value.to_owned())),
        }
    }
}

impl std::fmt::Display for Decided {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Decided::Take(side) => write!(f, "take {}", side.key()),
            Decided::Value(value) => write!(f, "take value={value}"),
            Decided::Restore => f.write_str("restore"),
            Decided::Delete => f.write_str("delete"),
        }
    }
}

/// What is known of a pair of which one record was deleted, and which waits for a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Survivor {
    pub ids: PerSide<Uuid>,
    /// The side that still has its record.
    pub left: Side,
    /// A fingerprint of what that record holds; `None` where it was not read, being outside its filter.
    pub print: Option<u64>,
}

/// An answer to something that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The next run acts on it; an earlier decision about the same is forgotten.
    Decide(Decision),
    /// The next run sends the record again: see [`Store::retry`].
    Retry { table: String, erp: Option<Uuid>, crm: Option<Uuid>, record: String },
    /// A decision that is not carried out is forgotten, and what it was about waits again.
    Withdraw(Decision),
    /// The link goes, both records are kept apart, and nothing waits of them any more.
    Part { table: String, ids: PerSide<Uuid>, record: String },
}

/// A record that is kept apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apart {
    pub table: String,
    pub side: Side,
    pub id: Uuid,
    /// The pair as people named it; `None` for one that was parted before names were kept.
    pub record: Option<String>,
    /// RFC 3339.
    pub since: String,
}

/// How far the two sides of a table map were read and settled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watermark {
    /// What the table map said when it was read; under another one nothing is known of what was read.
    pub fingerprint: String,
    /// The newest modification time, each by that side's own clock; `None` where no record had any.
    pub read_to: PerSide<Option<DateTime<Utc>>>,
    /// What a side that tracks its changes goes on from.
    pub token: PerSide<Option<String>>,
    /// Records so close to the watermark that they will come again: id and a fingerprint of the version that was settled.
    pub seen: PerSide<Vec<(Uuid, u64)>>,
}

/// A record that its side refused, by the ids that are known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub erp: Option<Uuid>,
    pub crm: Option<Uuid>,
    /// The side that refused it: the other one may refuse it, too, for a reason of its own.
    pub side: Side,
    /// The side's own words.
    pub message: String,
    /// A fingerprint of all that the attempt depended on.
    pub print: u64,
    /// How often in a row it was refused for that reason.
    pub times: u32,
}

/// What one run did to one table map, kept for `status`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunRow {
    pub run: String,
    pub started: String,
    pub finished: Option<String>,
    /// `converged`, `incomplete`, `guarded`, `failed`, or blank while it runs or where it was cut off.
    pub outcome: String,
    /// The report of the run as JSON.
    pub report: String,
}

/// Why the state could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another run holds the lease.
    #[error("the state is in use by {holder} since {since}")]
    Locked { holder: String, since: String },
    /// The file is no state of ours, or broken.
    #[error("the state cannot be read: {message}")]
    Damaged { message: String },
    /// The disk, or rights on it, or a change that the state does not allow.
    #[error("the state cannot be used: {message}")]
    Failed { message: String },
}

/// The state of one pipeline, held by one writer.
pub trait Store {
    /// Returns the couplings of a table map, with bases aligned to `fields` ([`crate::config::FieldMap::key`]).
    fn couplings(&self, table: &str, fields: &[String]) -> Result<Couplings, StoreError>;

    /// Returns the coupling of a record.
    fn coupling_of(&self, table: &str, side: Side, id: Uuid) -> Result<Option<Coupling>, StoreError>;

    /// Returns the keys of coupled records that were remembered.
    fn record_keys(&self, table: &str, side: Side) -> Result<HashMap<Uuid, Vec<String>>, StoreError>;

    /// Returns the coupled records of which no key is remembered.
    fn without_key(&self, table: &str, side: Side) -> Result<Vec<Uuid>, StoreError>;

    /// Remembers what tells records from others where their ids do not: see [`crate::endpoint::Key::Values`]. It goes with
    /// the coupling; of records that are not coupled nothing is kept.
    fn remember_keys(&mut self, table: &str, side: Side, keys: &[(Uuid, Vec<String>)]) -> Result<(), StoreError>;

    /// Returns what is remembered of each coupling of a table map, in the order in which they were made.
    fn coupled(&self, table: &str) -> Result<Vec<Coupling>, StoreError>;

    /// Returns since when a record is kept apart, RFC 3339; `None` where it is not.
    fn kept_apart_since(&self, table: &str, side: Side, id: Uuid) -> Result<Option<String>, StoreError>;

    /// Returns the records of a table map that are neither matched nor given a new partner, until a coupling names them.
    fn kept_apart(&self, table: &str) -> Result<PerSide<HashSet<Uuid>>, StoreError>;

    /// Returns the records that are kept apart, of all table maps, in the order in which they were parted.
    fn apart(&self) -> Result<Vec<Apart>, StoreError>;

    /// Returns the values behind the base of one coupling, by field key.
    fn base_values(&self, table: &str, erp: Uuid, crm: Uuid) -> Result<BTreeMap<String, PerSide<String>>, StoreError>;

    /// Returns the pairs that held a text in a field, whatever its case, when they were last settled, as far as values are
    /// kept.
    fn pairs_with(&self, table: &str, field: &str, side: Side, text: &str) -> Result<Vec<PerSide<Uuid>>, StoreError>;

    /// Applies coupling changes and settlements together; bases of fields not in `fields` stay. A decision about a field ends
    /// when the field is settled, here and in [`Store::answer`].
    fn commit(
        &mut self,
        table: &str,
        fields: &[String],
        changes: &[CouplingChange],
        settled: &[Settlement],
    ) -> Result<(), StoreError>;

    /// Writes intents to disk, durably, before anything is sent; returns their numbers in the journal.
    fn intend(&mut self, run: &str, intents: &[Intent]) -> Result<Vec<i64>, StoreError>;

    /// Writes what became of intents, together with the couplings and bases that follow from it.
    fn answer(
        &mut self,
        answers: &[Answer],
        table: &str,
        changes: &[CouplingChange],
        agreements: &[Agreement],
    ) -> Result<(), StoreError>;

    /// Returns the intents of a table map that have no answer yet.
    fn open_intents(&self, table: &str) -> Result<Vec<OpenIntent>, StoreError>;

    /// Replaces what waits for a person in a table map; what was there before keeps its `since` and counts on.
    fn replace_inbox(&mut self, table: &str, items: &[InboxItem]) -> Result<(), StoreError>;

    /// Returns what waits, of all table maps or of one.
    fn inbox(&self, table: Option<&str>) -> Result<Vec<InboxItem>, StoreError>;

    /// Returns the records of a table map that were refused when they were last sent.
    fn refusals(&self, table: &str) -> Result<Vec<Refusal>, StoreError>;

    /// Replaces what is remembered of refusals in a table map.
    fn replace_refusals(&mut self, table: &str, refusals: &[Refusal]) -> Result<(), StoreError>;

    /// Forgets how often a record was refused, so that the next run sends it again; tells whether anything was
    /// remembered.
    fn retry(&mut self, table: &str, erp: Option<Uuid>, crm: Option<Uuid>) -> Result<bool, StoreError>;

    /// Takes answers of a person, all of them or none.
    fn reply(&mut self, replies: &[Reply]) -> Result<(), StoreError>;

    /// Returns what was decided, of all table maps or of one, oldest first; also what has ended.
    fn decisions(&self, table: Option<&str>) -> Result<Vec<Decision>, StoreError>;

    /// Ends decisions of a table map, by pair and field key, and those about pairs that are not coupled any more.
    fn end_decisions(&mut self, table: &str, done: &[(PerSide<Uuid>, Option<String>)]) -> Result<(), StoreError>;

    /// Notes that the decisions about these, by pair and field key, stand and could not be carried out.
    fn note_unmet(&mut self, table: &str, subjects: &[(PerSide<Uuid>, Option<String>)]) -> Result<(), StoreError>;

    /// Returns what is known of the survivors of deletions that wait in a table map.
    fn survivors(&self, table: &str) -> Result<Vec<Survivor>, StoreError>;

    /// Replaces that.
    fn replace_survivors(&mut self, table: &str, survivors: &[Survivor]) -> Result<(), StoreError>;

    /// Returns how many couplings each table map has.
    fn coupling_counts(&self) -> Result<BTreeMap<String, u64>, StoreError>;

    /// Returns how far each table map was read.
    fn watermarks(&self) -> Result<BTreeMap<String, Watermark>, StoreError>;

    /// Notes how far table maps were read and settled, all of them or none.
    fn set_watermarks(&mut self, marks: &[(String, Watermark)]) -> Result<(), StoreError>;

    /// Returns what the state belongs to; `None` before its first run, and for one that is older than this knowledge.
    fn binding(&self) -> Result<Option<Binding>, StoreError>;

    /// Notes what the state belongs to.
    fn bind(&mut self, binding: &Binding) -> Result<(), StoreError>;

    /// Returns of which tables of both sides the couplings of each table map are, where a run has noted it.
    fn noted_tables(&self) -> Result<BTreeMap<String, PerSide<String>>, StoreError>;

    /// Notes that, for these table maps.
    fn note_tables(&mut self, tables: &[(String, PerSide<String>)]) -> Result<(), StoreError>;

    /// Notes that a run began.
    fn begin_run(&mut self, run: &str, started: &str) -> Result<(), StoreError>;

    /// Notes how a run ended.
    fn finish_run(&mut self, row: &RunRow) -> Result<(), StoreError>;

    /// Returns the writes of a run in their order, as far as the journal still has them.
    fn writes_of_run(&self, run: &str) -> Result<Vec<JournalRow>, StoreError>;

    /// Returns the writes to a record and to whatever was its partner then, newest first, as far as the journal still has
    /// them, what was uncoupled among them.
    fn writes_to(
        &self,
        table: &str,
        ids: PerSide<Option<Uuid>>,
        rows_max: usize,
    ) -> Result<Vec<JournalRow>, StoreError>;

    /// Returns the writes of a table map whose intents are of this moment or later, oldest first, as far as the journal still
    /// has them.
    fn writes_since(&self, table: &str, moment: &str) -> Result<Vec<JournalRow>, StoreError>;

    /// Returns the writes to whatever was called so on either side, newest first, as far as the journal still has them.
    fn writes_named(&self, table: &str, record: &str, rows_max: usize) -> Result<Vec<JournalRow>, StoreError>;

    /// Returns the newest runs first.
    fn runs(&self, rows_max: usize) -> Result<Vec<RunRow>, StoreError>;
}
