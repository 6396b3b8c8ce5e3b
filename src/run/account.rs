//! What a run tells: what happens while it goes, and the account of it in the end. `report` alone puts it into words.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::binding::Binding;
use crate::config::{PerSide, Side};
use crate::delta::Overwritten;
use crate::endpoint::{EndpointError, Traffic};
use crate::plan::Plan;
use crate::run::carried::Carried;
use crate::run::chosen::Chosen;
use crate::store::{InboxItem, Origin};

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

/// How a table map was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything inside the filters.
    #[default]
    Full,
    /// What was modified since the last time, and what belongs to it.
    Changed,
    /// Named records, and what belongs to them.
    Selected,
}

impl Mode {
    /// Returns the word of the JSON output.
    pub fn key(self) -> &'static str {
        match self {
            Mode::Full => "full",
            Mode::Changed => "changed",
            Mode::Selected => "selected",
        }
    }
}

/// What a run did to one table map.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableReport {
    pub table: String,
    pub mode: Mode,
    /// Whether only a part of it had its turn: named records, or one of its two directions.
    pub partial: bool,
    /// Rows read, inside the filters.
    pub rows: PerSide<u64>,
    /// Of these, in a dry run, those that it made itself before, for another table map of the same table.
    pub made: PerSide<u64>,
    /// Whether none of its records was coupled before.
    pub first: bool,
    /// Couplings at the end.
    pub coupled: u64,
    /// Records written to each side, by the side that is written.
    pub to: PerSide<Counts>,
    pub new_couplings: u64,
    pub uncoupled: u64,
    /// Coupled pairs that are outside the filters and were not compared.
    pub outside: u64,
    /// Records with at least one contested field.
    pub contested: u64,
    /// Values that gave way, on either side, where a person let one of them win; in a dry run those that would.
    pub overwritten: Vec<Overwritten>,
    /// Records that would go to a side that the run was not to write.
    pub undone: PerSide<u64>,
    /// What became of the records that were asked for by name.
    pub selected: Vec<Chosen>,
    /// New couplings by match rule (from 1) and how many each gave.
    pub matched: Vec<(usize, u64)>,
    /// How many it gave besides, of which one record tells by its id that an earlier run made it for the other.
    pub recognised: u64,
    pub seconds: Seconds,
    /// Of which coupled records a side does not show whether they are there, in words.
    pub hidden: Vec<String>,
    /// What is worth a line: why records were left alone, what the server changed on its own.
    pub notes: Vec<String>,
    /// Why the table could not be finished.
    pub error: Option<String>,
    /// Why the guard stopped the table, and what to do about it.
    pub guarded: Option<String>,
}

impl TableReport {
    /// Returns how many pairs were coupled of what was there already, by match rules or by their ids.
    pub fn coupled_anew(&self) -> u64 {
        self.matched.iter().map(|(_, pairs)| pairs).sum::<u64>() + self.recognised
    }

    /// Takes one of these off, which is not coupled after all.
    pub(super) fn discount(&mut self, origin: &Origin) {
        match origin {
            Origin::Matched(rule) => {
                let of_rule = self.matched.iter_mut().filter(|(other, _)| other == rule);
                of_rule.for_each(|(_, pairs)| *pairs = pairs.saturating_sub(1));
                self.matched.retain(|(_, pairs)| *pairs > 0);
            }
            Origin::Created(_) => self.recognised = self.recognised.saturating_sub(1),
            Origin::Hand => {}
        }
    }

    /// Takes all of these off.
    pub(super) fn discount_all(&mut self) {
        self.matched.clear();
        self.recognised = 0;
    }
}

/// What the guard of a table map stopped in an earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// With the numbers that it saw then.
    pub why: String,
    /// When that run began, RFC 3339.
    pub at: String,
}

/// A side that could not be spoken to any more in the middle of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    pub error: EndpointError,
    /// Table maps that had no turn for it.
    pub untouched: Vec<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// Everything asked for is done and both sides agree.
    Converged,
    /// Finished, but something failed, is contested or waits.
    Incomplete,
    /// A guard stopped a table; the others went on.
    Guarded,
    /// Nothing could be done, or a side was lost in the middle; what was done before is kept.
    Failed,
    /// Stopped by a signal; what was done is kept.
    Interrupted,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq)]
pub struct RunReport {
    pub pipeline: String,
    /// To what the state belongs: the company and the organization that the run met.
    pub binding: Binding,
    pub run: String,
    pub outcome: RunOutcome,
    /// RFC 3339.
    pub started: String,
    pub seconds: f64,
    pub tables: Vec<TableReport>,
    /// The side for which the run ended early.
    pub lost: Option<Lost>,
    pub requests: PerSide<Traffic>,
    /// What waits for a person in the tables of the run; in a dry run what would, and what a side refused before and
    /// would be sent again.
    pub inbox: Vec<InboxItem>,
    /// What is odd about file and state together, and concerns no one table map.
    pub notes: Vec<String>,
    /// What was decided; in a dry run what would have been done.
    pub plan: Plan,
    /// What people call the records that the plan's values point to, where that is known.
    pub names: BTreeMap<Uuid, String>,
    pub dry_run: bool,
    /// What became of the approved plan, where the run carried out one.
    pub carried: Option<Carried>,
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
    /// Something that people should hear of, whatever else happens.
    Warning { message: &'a str },
    /// Something is worth a line with `-v`.
    Note { table: &'a str, message: &'a str },
    /// A pass is over.
    TableFinished { report: &'a TableReport },
}
