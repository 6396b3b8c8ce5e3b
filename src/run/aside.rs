//! Records that a pass has seen and leaves aside: who asks for one of them by name, or finds it in an approved plan, is told
//! why it got no partner.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Side};

/// What is left aside of a table map, as far as the pass is about it.
#[derive(Default)]
pub(super) struct Aside {
    /// By side, records that get no partner although new ones are made, and why.
    unpartnered: PerSide<HashMap<Uuid, String>>,
    /// Those that people keep apart.
    apart: PerSide<HashSet<Uuid>>,
    /// Those that cannot be read, each with where it is and why.
    unreadable: PerSide<HashMap<Uuid, String>>,
    /// Those that may be the same as one which cannot be read, and the same of that one.
    resembling: PerSide<HashMap<Uuid, String>>,
    /// Pairs of which the run made a record that cannot be read since.
    made: Vec<PerSide<Uuid>>,
    /// Whole pairs that are outside their filters.
    outside: HashSet<PerSide<Uuid>>,
}

impl Aside {
    /// Leaves a record without partner.
    pub(super) fn leave_unpartnered(&mut self, side: Side, id: Uuid, why: String) {
        self.unpartnered.of_mut(side).insert(id, why);
    }

    /// Says why a record gets no partner although new ones are made.
    pub(super) fn why_unpartnered(&self, side: Side, id: Uuid) -> Option<&String> {
        self.unpartnered.of(side).get(&id)
    }

    /// Takes the records of a side that are kept apart.
    pub(super) fn keep_apart(&mut self, side: Side, ids: HashSet<Uuid>) {
        *self.apart.of_mut(side) = ids;
    }

    /// Tells whether a record is kept apart.
    pub(super) fn is_apart(&self, side: Side, id: Uuid) -> bool {
        self.apart.of(side).contains(&id)
    }

    /// Takes records that cannot be read.
    pub(super) fn note_unreadable(&mut self, side: Side, records: impl IntoIterator<Item = (Uuid, String)>) {
        self.unreadable.of_mut(side).extend(records);
    }

    /// Tells whether a record cannot be read.
    pub(super) fn is_unreadable(&self, side: Side, id: Uuid) -> bool {
        self.unreadable.of(side).contains_key(&id)
    }

    /// Tells whether one of two records cannot be read.
    pub(super) fn is_either_unreadable(&self, erp: Option<Uuid>, crm: Option<Uuid>) -> bool {
        let is_one = |side: Side, id: Option<Uuid>| id.is_some_and(|id| self.is_unreadable(side, id));
        is_one(Side::Erp, erp) || is_one(Side::Crm, crm)
    }

    /// Takes a pair of which the run made a record that cannot be read since.
    pub(super) fn note_made(&mut self, ids: PerSide<Uuid>) {
        self.made.push(ids);
    }

    /// Returns the pairs of which the run made a record that cannot be read since.
    pub(super) fn made(&self) -> &[PerSide<Uuid>] {
        &self.made
    }

    /// Takes a record that may be the same as one which cannot be read, and `which` that is.
    pub(super) fn note_resembling(&mut self, side: Side, id: Uuid, which: String) {
        self.resembling.of_mut(side).insert(id, which);
    }

    /// Says which record cannot be read that has a say in what becomes of this one: itself, or one that may be the same.
    pub(super) fn unread(&self, side: Side, id: Uuid) -> Option<&str> {
        let which = self.unreadable.of(side).get(&id).or_else(|| self.resembling.of(side).get(&id));
        which.map(String::as_str)
    }

    /// Tells whether a record may be the same as one which cannot be read.
    pub(super) fn is_resembling(&self, side: Side, id: Uuid) -> bool {
        self.resembling.of(side).contains_key(&id)
    }

    /// Leaves a pair outside.
    pub(super) fn leave_outside(&mut self, ids: PerSide<Uuid>) {
        self.outside.insert(ids);
    }

    /// Tells whether a record is one of a pair outside.
    pub(super) fn is_outside(&self, side: Side, id: Uuid) -> bool {
        self.outside.iter().any(|ids| *ids.of(side) == id)
    }
}
