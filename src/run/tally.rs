//! Which records a pass has written, or would have in a dry run, and which it left alone. Pairs go by their ERP ids.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::{PerSide, Side};
use crate::plan::ActionKind;
use crate::run::refusals::Ids;

/// What was written so far, by the side that was written.
#[derive(Debug, Default)]
pub(super) struct Tally {
    inserted: PerSide<HashSet<Uuid>>,
    modified: PerSide<HashSet<Uuid>>,
    deleted: PerSide<HashSet<Uuid>>,
    /// Pairs of which a record went outside its filter while the run was at it.
    gone_outside: HashSet<Uuid>,
    /// Couplings that a run would make of what a crash left behind; a dry run counts them and stores nothing.
    recovered: u64,
    /// Records left alone on purpose, by the side that would have been written.
    skipped: PerSide<u64>,
    /// What would go to a side that the run does not write, by the ids that are known.
    undone: PerSide<HashSet<Ids>>,
}

impl Tally {
    /// Counts what a side has carried out.
    pub(super) fn count(&mut self, to: Side, kind: &ActionKind, erp: Uuid) {
        let written = match kind {
            ActionKind::Delete => &mut self.deleted,
            kind if kind.makes_record() => &mut self.inserted,
            _ => &mut self.modified,
        };
        written.of_mut(to).insert(erp);
    }

    /// Counts couplings that a dry run only finds out about.
    pub(super) fn count_recovered(&mut self, number: u64) {
        self.recovered = number;
    }

    /// Counts records that are left alone.
    pub(super) fn skip(&mut self, to: Side, number: usize) {
        *self.skipped.of_mut(to) += number as u64;
    }

    /// Counts what is left undone.
    pub(super) fn leave_undone(&mut self, to: Side, ids: Ids) {
        self.undone.of_mut(to).insert(ids);
    }

    /// Counts a pair that is none any more, because a record went outside its filter meanwhile.
    pub(super) fn goes_outside(&mut self, erp: Uuid) {
        self.gone_outside.insert(erp);
    }

    /// Returns the pairs of which a record was made on a side.
    pub(super) fn inserted(&self, to: Side) -> &HashSet<Uuid> {
        self.inserted.of(to)
    }

    /// Returns the pairs of which a record was changed on a side, those that were made there among them.
    pub(super) fn modified(&self, to: Side) -> &HashSet<Uuid> {
        self.modified.of(to)
    }

    /// Returns how many records were deleted on a side.
    pub(super) fn deleted_count(&self, to: Side) -> u64 {
        self.deleted.of(to).len() as u64
    }

    /// Returns the pairs of which a record went outside its filter meanwhile.
    pub(super) fn gone_outside(&self) -> &HashSet<Uuid> {
        &self.gone_outside
    }

    /// Returns how many couplings a run would make of what a crash left behind.
    pub(super) fn recovered_count(&self) -> u64 {
        self.recovered
    }

    /// Returns how many records were left alone that would have gone to a side.
    pub(super) fn skipped_count(&self, to: Side) -> u64 {
        *self.skipped.of(to)
    }

    /// Returns what would go to a side that the run does not write.
    pub(super) fn undone(&self, to: Side) -> &HashSet<Ids> {
        self.undone.of(to)
    }

    /// Tells whether a pair was changed on either side.
    pub(super) fn has_modified(&self, erp: Uuid) -> bool {
        Side::BOTH.iter().any(|side| self.modified.of(*side).contains(&erp))
    }

    /// Tells whether a side took anything of that kind.
    pub(super) fn has_taken(&self, to: Side, kind: &ActionKind) -> bool {
        let taken = match kind {
            ActionKind::Delete => &self.deleted,
            kind if kind.makes_record() => &self.inserted,
            _ => &self.modified,
        };
        !taken.of(to).is_empty()
    }

    /// Tells whether anything was made or changed.
    pub(super) fn has_written(&self) -> bool {
        Side::BOTH.iter().any(|side| !self.inserted.of(*side).is_empty() || !self.modified.of(*side).is_empty())
    }
}
