//! What follows from the deletion of records, as far as a later part of the pass, or of the run, has to know it.

use std::collections::HashMap;

use uuid::Uuid;

use crate::config::{PerSide, Side};
use crate::plan::Action;

/// A deletion that was decided.
#[derive(Debug, Clone)]
pub(super) struct Doomed {
    pub(super) action: Action,
    /// What was remembered when the pair was last settled, by field.
    pub(super) bases: Vec<Option<PerSide<u64>>>,
    /// A fingerprint of what the record held, where a person decided that this very record is deleted.
    pub(super) print: Option<u64>,
}

/// What follows from deletions.
#[derive(Default)]
pub(super) struct Consequences {
    /// Deletions of survivors, which wait until every table map had its turn.
    doomed: Vec<Doomed>,
    /// Records to be made anew, by the side that lost them: the survivor, and the id that its partner had.
    restores: PerSide<HashMap<Uuid, Uuid>>,
    /// Survivors, by their side, about whose partner's deletion nobody decided before this run: what refers to them waits.
    bereft: PerSide<Vec<Uuid>>,
    /// By the id of a survivor, the record that looks like its lost partner.
    made_anew: HashMap<Uuid, String>,
}

impl Consequences {
    /// Dooms a record.
    pub(super) fn doom(&mut self, doomed: Doomed) {
        self.doomed.push(doomed);
    }

    /// Returns what is to be deleted.
    pub(super) fn doomed(&self) -> &[Doomed] {
        &self.doomed
    }

    /// Hands over what is doomed, to be deleted or looked at again.
    pub(super) fn take_doomed(&mut self) -> Vec<Doomed> {
        std::mem::take(&mut self.doomed)
    }

    /// Spares those that `keep` says no to.
    pub(super) fn keep_doomed(&mut self, keep: impl Fn(&Doomed) -> bool) {
        self.doomed.retain(keep);
    }

    /// Has the partner of a survivor made anew on the side where it is `gone`.
    pub(super) fn restore(&mut self, gone: Side, survivor: Uuid, partner: Uuid) {
        self.restores.of_mut(gone).insert(survivor, partner);
        self.bereave(gone.other(), survivor);
    }

    /// Returns the id that the partner of a record had, where that is made anew on a side.
    pub(super) fn restored(&self, to: Side, survivor: Uuid) -> Option<Uuid> {
        self.restores.of(to).get(&survivor).copied()
    }

    /// Notes that a record has lost its partner, and nobody had decided about that before this run.
    pub(super) fn bereave(&mut self, side: Side, survivor: Uuid) {
        self.bereft.of_mut(side).push(survivor);
    }

    /// Returns those of a side.
    pub(super) fn bereft(&self, side: Side) -> &[Uuid] {
        self.bereft.of(side)
    }

    /// Notes the record that looks like the lost partner of a survivor.
    pub(super) fn note_made_anew(&mut self, survivor: Uuid, record: String) {
        self.made_anew.insert(survivor, record);
    }

    /// Returns it.
    pub(super) fn made_anew(&self, survivor: Uuid) -> Option<&String> {
        self.made_anew.get(&survivor)
    }
}
