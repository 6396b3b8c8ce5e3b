//! Holds what people decided about what waits in a table map, and what has become of that so far.
//!
//! Whoever asks a run for the partner of a survivor has decided that as well, and whatever else was decided about it is over.
//! A decision stands as long as what it was about is a question still; one that stands and cannot be carried out is told to
//! whoever made it. [`decided`](crate::run::decided) says when that is so.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::PerSide;
use crate::delta::decided::{Ruled, Rulings};
use crate::delta::deletion::Reason;
use crate::delta::merge::Why;
use crate::store::Decided;

/// The decisions of people during a pass.
#[derive(Default)]
pub(super) struct ByPeople {
    rulings: Rulings,
    /// Which of them are still open: the pair, and the field where it is about one.
    standing: HashSet<(PerSide<Uuid>, Option<usize>)>,
    /// Pairs that have lost a record which a person wants made anew by this very run.
    asked_back: HashSet<PerSide<Uuid>>,
    /// Pairs without partner about which a person decided what cannot be done.
    unmet: Vec<PerSide<Uuid>>,
}

impl ByPeople {
    /// Starts with the decisions that the state holds.
    pub(super) fn new(rulings: Rulings) -> ByPeople {
        ByPeople { rulings, ..ByPeople::default() }
    }

    /// Returns the decisions, for those who decide by them.
    pub(super) fn rulings(&self) -> &Rulings {
        &self.rulings
    }

    /// Returns what was decided about a field of a pair.
    pub(super) fn of_field(&self, ids: PerSide<Uuid>, field: usize) -> Option<&Ruled> {
        self.rulings.of_field(ids, field)
    }

    /// Takes the pairs that have lost a record which a person wants made anew by this very run.
    pub(super) fn ask_back(&mut self, pairs: impl Iterator<Item = PerSide<Uuid>>) {
        self.asked_back.extend(pairs);
    }

    /// Returns what was decided about a pair of which one record is gone, unless the person who asks for that one thought better
    /// of it.
    pub(super) fn of_pair(&self, ids: PerSide<Uuid>) -> Option<&Ruled> {
        let is_over = |ruled: &Ruled| self.asked_back.contains(&ids) && ruled.verdict != Decided::Restore;
        self.rulings.of_pair(ids).filter(|ruled| !is_over(ruled))
    }

    /// Tells whether a person wants the record of a pair back that is gone.
    pub(super) fn wants_back(&self, ids: PerSide<Uuid>) -> bool {
        self.asked_back.contains(&ids) || self.of_pair(ids).is_some_and(|ruled| ruled.verdict == Decided::Restore)
    }

    /// Says how a person came to have a say in what becomes of a pair of which one record is gone, where one has.
    pub(super) fn why(&self, ids: PerSide<Uuid>) -> Option<Why> {
        let by_hand = self.asked_back.contains(&ids).then_some(Why::ByHand);
        by_hand.or_else(|| self.of_pair(ids).map(|ruled| Why::Decided(ruled.on)))
    }

    /// Ends a decision about a field, which is settled.
    pub(super) fn end(&mut self, ids: PerSide<Uuid>, field: usize) {
        self.rulings.end(ids, field);
    }

    /// Notes that a decision about a pair stands, where there is one.
    pub(super) fn note_pair(&mut self, ids: PerSide<Uuid>) {
        if self.of_pair(ids).is_some() {
            self.standing.insert((ids, None));
        }
    }

    /// Takes which decisions about fields stand, of those that were looked at `again`.
    pub(super) fn note_fields(
        &mut self,
        again: impl Fn(PerSide<Uuid>, usize) -> bool,
        standing: impl Iterator<Item = (PerSide<Uuid>, usize)>,
    ) {
        self.standing.retain(|(ids, field)| !field.is_some_and(|field| again(*ids, field)));
        self.standing.extend(standing.map(|(ids, field)| (ids, Some(field))));
    }

    /// Notes what becomes of a decision about the survivor of a pair, where there is one, when it is held for a `reason`.
    pub(super) fn note_held(&mut self, ids: PerSide<Uuid>, reason: Reason) {
        if self.of_pair(ids).is_none() {
            return;
        }
        match reason {
            // What only goes the other way than this run, the next one does, and so it is where a record cannot be read.
            Reason::OtherWay | Reason::Unreadable | Reason::Unseen => {}
            // It was about a record that is no more: where the value comes back, nobody decided about that.
            Reason::Changed => drop(self.standing.remove(&(ids, None))),
            _ => self.unmet.push(ids),
        }
    }

    /// Notes that a decision about the survivor of a pair, where there is one, cannot be carried out.
    pub(super) fn note_unmet(&mut self, ids: PerSide<Uuid>) {
        if self.of_pair(ids).is_some() {
            self.unmet.push(ids);
        }
    }

    /// Tells whether a decision is still open.
    pub(super) fn stands(&self, ids: PerSide<Uuid>, field: Option<usize>) -> bool {
        self.standing.contains(&(ids, field))
    }

    /// Tells whether any is.
    pub(super) fn any_stands(&self) -> bool {
        !self.standing.is_empty()
    }

    /// Returns the pairs about which a person decided what cannot be done.
    pub(super) fn unmet(&self) -> &[PerSide<Uuid>] {
        &self.unmet
    }
}
