//! What became of an approved plan, as types, which `closing.rs` makes: what is done, what was done already, what moved in
//! the meantime, and what a run would do besides that the plan does not have.

use crate::config::Side;
use crate::plan::ActionKind;
use crate::run::approval::Approved;

/// What became of an approved plan, or of the part of one table map.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Carried {
    /// Actions carried out now.
    pub done: u64,
    /// Actions whose effect was there already.
    pub before: u64,
    /// Actions that their side did not take; the inbox has them.
    pub failed: u64,
    /// Actions of table maps that were not brought to their end.
    pub unreached: u64,
    /// Actions outside the part that was asked for.
    pub left_out: u64,
    /// Actions that are not carried out, because something moved since the plan, or failed on which they depend.
    pub moved: Vec<Undone>,
    /// What a run would do now and the plan does not have.
    pub unplanned: Vec<Undone>,
}

/// An action that was not carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Undone {
    pub table: String,
    pub record: String,
    pub side: Side,
    pub kind: ActionKind,
    /// What moved; or what the action would do.
    pub message: String,
}

impl Carried {
    /// Adds what became of another table map's part.
    pub(super) fn add(&mut self, other: Carried) {
        self.done += other.done;
        self.before += other.before;
        self.failed += other.failed;
        self.unreached += other.unreached;
        self.left_out += other.left_out;
        self.moved.extend(other.moved);
        self.unplanned.extend(other.unplanned);
    }

    /// Counts the plan of a table map that was not brought to its end.
    pub(super) fn unreached(approved: &Approved, table: &str) -> Carried {
        let actions = approved.plan.tables.iter().filter(|plan| plan.table == table).flat_map(|plan| &plan.actions);
        let (chosen, left_out): (Vec<_>, Vec<_>) = actions.partition(|action| approved.choice.holds(action));
        Carried { unreached: chosen.len() as u64, left_out: left_out.len() as u64, ..Carried::default() }
    }
}
