//! The loop over the passes, and what it tells while it goes.

use std::sync::atomic::AtomicBool;

use crate::config::{PerSide, Pipeline, Side};
use crate::endpoint::{Endpoint, EndpointError, Traffic};
use crate::plan::Plan;
use crate::store::{InboxItem, Store, StoreError};

/// The eight counts of one direction, less couplings, which have none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub inserted: u64,
    pub modified: u64,
    pub deleted: u64,
    pub unchanged: u64,
    /// Seen, and left alone on purpose: the partner is outside the filter, or nothing is created in this direction.
    pub skipped: u64,
    pub failed: u64,
}

/// Where the time of a pass went, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Seconds {
    pub extract: f64,
    pub merge: f64,
    pub apply: f64,
    pub verify: f64,
}

/// What a run did to one table map.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableReport {
    pub table: String,
    /// Rows read, inside the filters.
    pub rows: PerSide<u64>,
    /// Couplings at the end.
    pub coupled: u64,
    /// Records written to each side, by the side that is written.
    pub to: PerSide<Counts>,
    pub new_couplings: u64,
    pub uncoupled: u64,
    /// Records with at least one contested field.
    pub contested: u64,
    /// New couplings by match rule (from 1) and how many each gave.
    pub matched: Vec<(usize, u64)>,
    pub seconds: Seconds,
    /// What is worth a line: why records were left alone, what the server changed on its own.
    pub notes: Vec<String>,
    /// Why the table could not be finished.
    pub error: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// Everything asked for is done and both sides agree.
    Converged,
    /// Finished, but something failed, is contested or waits.
    Incomplete,
    /// Nothing could be done.
    Failed,
    /// Stopped by a signal; what was done is kept.
    Interrupted,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq)]
pub struct RunReport {
    pub pipeline: String,
    pub run: String,
    pub outcome: RunOutcome,
    /// RFC 3339.
    pub started: String,
    pub seconds: f64,
    pub tables: Vec<TableReport>,
    pub requests: PerSide<Traffic>,
    /// What waits for a person in the tables of the run.
    pub inbox: Vec<InboxItem>,
    /// What was decided; in a dry run what would have been done.
    pub plan: Plan,
    pub dry_run: bool,
}

/// What a run tells while it goes; for progress and talk only.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// A pass begins; `position` counts from 1.
    TableStarted { table: &'a str, position: usize, total: usize },
    /// So many rows were read of one side.
    Reading { table: &'a str, side: Side, rows: usize },
    /// Both sides are read; the comparison begins.
    Merging { table: &'a str },
    /// So many of the pass's writes to one side have an answer.
    Writing { table: &'a str, side: Side, done: usize, total: usize },
    /// Something is worth a line with `-v`.
    Note { table: &'a str, message: &'a str },
    /// A pass is over.
    TableFinished { report: &'a TableReport },
}

/// A mapped column that the side's metadata does not have, or that cannot take what the map wants of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingError {
    pub table: String,
    /// `fields[3].crm`, `filter`, ….
    pub path: String,
    pub message: String,
    pub hint: String,
}

/// Why a run could not be done.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file does not fit the metadata of a side; nothing was touched.
    #[error("{} of the mapped columns do not fit", .0.len())]
    Mapping(Vec<MappingError>),
}

/// What a run is asked for.
pub struct Options<'a> {
    /// Table maps by name; empty means all.
    pub only: Vec<String>,
    /// Decides and writes nothing, not even to the state.
    pub dry_run: bool,
    /// The id of this run.
    pub run: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// Seconds since it began, by a clock that never goes back.
    pub elapsed: &'a (dyn Fn() -> f64 + Sync),
    /// Set when the run has to end at the next safe point.
    pub stop: &'a AtomicBool,
}
