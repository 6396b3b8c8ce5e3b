//! What waits: for a person, for another record, or in a plan for what the run makes first.
//!
//! Collected while a step decides and writes, and taken back where it is decided anew; filed when the step ends. Why
//! something waits, whoever held it says.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::PerSide;
use crate::delta::{Held, Unclear};
use crate::plan::Later;
use crate::store::{InboxItem, InboxKind, Survivor};

/// What waits in a table map.
#[derive(Default)]
pub(super) struct Waits {
    /// By the pair or record that it is about.
    held: Vec<Held>,
    /// In a dry run, what the run decides later, when it has made something else.
    later: Vec<Held>,
    /// What would lead to a record that cannot be read.
    unclear: Vec<Unclear>,
    /// In a dry run, records that are not created, whose partner may come with what the run makes.
    announced: Vec<Later>,
    /// Survivors of deletions, which wait.
    survivors: Vec<Survivor>,
    /// What is filed of it.
    inbox: Vec<InboxItem>,
    /// In a dry run, what a side refused before and a run would send again.
    sent_again: Vec<InboxItem>,
    /// A step has ended, and filed its part.
    is_filed: bool,
}

impl Waits {
    /// Holds something.
    pub(super) fn hold(&mut self, held: Held) {
        self.held.push(held);
    }

    /// Holds several things.
    pub(super) fn hold_all(&mut self, held: impl IntoIterator<Item = Held>) {
        self.held.extend(held);
    }

    /// Holds the survivor of a deletion.
    pub(super) fn hold_survivor(&mut self, survivor: Survivor, record: String, message: String) {
        self.survivors.push(survivor);
        self.held.push(Held {
            kind: InboxKind::Deleted,
            record,
            ids: PerSide { erp: Some(survivor.ids.erp), crm: Some(survivor.ids.crm) },
            field: None,
            values: PerSide::default(),
            to: None,
            message,
        });
    }

    /// Leaves things to the run, in a plan.
    pub(super) fn put_off(&mut self, later: impl IntoIterator<Item = Held>) {
        self.later.extend(later);
    }

    /// Leaves things until a record can be read.
    pub(super) fn await_readable(&mut self, unclear: impl IntoIterator<Item = Unclear>) {
        self.unclear.extend(unclear);
    }

    /// Announces a record whose partner may come with what the run makes, once.
    pub(super) fn announce(&mut self, later: Later) {
        if !self.announced.iter().any(|known| known.ids == later.ids) {
            self.announced.push(later);
        }
    }

    /// Returns what is held, in the order in which that was decided.
    pub(super) fn held(&self) -> &[Held] {
        &self.held
    }

    /// Returns what is left to the run.
    pub(super) fn later(&self) -> &[Held] {
        &self.later
    }

    /// Returns what is left until a record can be read.
    pub(super) fn unclear(&self) -> impl DoubleEndedIterator<Item = &Held> {
        self.unclear.iter().map(|unclear| &unclear.held)
    }

    /// Tells what is left until a record can be read, once for each such record and direction: by the first who waits for it.
    pub(super) fn told_unclear(&self, asks: impl Fn(&Held) -> bool) -> Vec<Held> {
        let mut all: Vec<&Unclear> = self.unclear.iter().filter(|unclear| asks(&unclear.held)).collect();
        all.sort_by_key(|unclear| (&unclear.held.record, unclear.held.field, &unclear.held.message));
        let mut first: Vec<&Unclear> = Vec::new();
        let mut waiting: HashMap<_, HashSet<PerSide<Option<Uuid>>>> = HashMap::new();
        let reason = |unclear: &Unclear| (unclear.held.to, unclear.held.field, unclear.behind.clone());
        for unclear in all {
            let who = waiting.entry(reason(unclear)).or_default();
            if who.is_empty() {
                first.push(unclear);
            }
            who.insert(unclear.held.ids);
        }
        let told = |unclear: &Unclear| {
            let held = unclear.told(waiting[&reason(unclear)].len() - 1);
            Held { message: format!("{}; correct it there, and the next run goes on", held.message), ..held }
        };
        first.into_iter().map(told).collect()
    }

    /// Returns what is held, left to the run, and left until a record can be read.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = &Held> {
        self.held.iter().chain(&self.later).chain(self.unclear())
    }

    /// Returns the survivors of deletions that wait.
    pub(super) fn survivors(&self) -> &[Survivor] {
        &self.survivors
    }

    /// Takes back what is held and to be decided again.
    pub(super) fn take_back(&mut self, is_again: impl Fn(&Held) -> bool) {
        self.held.retain(|held| !is_again(held));
    }

    /// Takes back the same of what is left to the run, or until a record can be read.
    pub(super) fn take_back_later(&mut self, is_again: impl Fn(&Held) -> bool) {
        self.later.retain(|held| !is_again(held));
        self.unclear.retain(|unclear| !is_again(&unclear.held));
    }

    /// Puts something else in the place of what is held, where there is such.
    pub(super) fn replace(&mut self, by: impl Fn(&Held) -> Option<Held>) {
        for held in &mut self.held {
            if let Some(other) = by(held) {
                *held = other;
            }
        }
    }

    /// Sets aside what waits about pairs, by their ERP ids. Returns all that waits, for [`restore`](Self::restore).
    pub(super) fn set_aside(&mut self, pairs: &HashSet<Uuid>) -> (Vec<Held>, Vec<Unclear>) {
        let all = (self.held.clone(), self.unclear.clone());
        let stays = |held: &Held| held.ids.crm.is_none() || held.ids.erp.is_none_or(|erp| !pairs.contains(&erp));
        self.held.retain(stays);
        self.unclear.retain(|unclear| stays(&unclear.held));
        all
    }

    /// Takes again what was set aside.
    pub(super) fn restore(&mut self, (held, unclear): (Vec<Held>, Vec<Unclear>)) {
        (self.held, self.unclear) = (held, unclear);
    }

    /// Puts what is held into an order that does not depend on rounds: a dry run may have fewer of them.
    pub(super) fn sort(&mut self) {
        self.held
            .sort_by(|one, other| (one.kind, &one.record, one.field).cmp(&(other.kind, &other.record, other.field)));
    }

    /// Returns what a plan leaves to the run: each record once, whatever waits about it.
    pub(super) fn left_to_run(&mut self) -> Vec<Later> {
        self.later.sort_by(|one, other| (&one.record, one.field).cmp(&(&other.record, other.field)));
        let mut first: HashSet<PerSide<Option<Uuid>>> = HashSet::new();
        let once = self.later.iter().filter(|held| first.insert(held.ids));
        let later =
            once.map(|held| Later { record: held.record.clone(), ids: held.ids, message: held.message.clone() });
        self.announced.iter().cloned().chain(later).collect()
    }

    /// Takes note that a step has ended, and filed its part.
    pub(super) fn end_step(&mut self) {
        self.is_filed = true;
    }

    /// Tells whether a step has ended, and filed its part.
    pub(super) fn is_filed(&self) -> bool {
        self.is_filed
    }

    /// Takes what is filed.
    pub(super) fn file(&mut self, inbox: Vec<InboxItem>) {
        self.inbox = inbox;
    }

    /// Takes what a side refused before and a run would send again.
    pub(super) fn file_sent_again(&mut self, items: Vec<InboxItem>) {
        self.sent_again = items;
    }

    /// Returns what is filed.
    pub(super) fn inbox(&self) -> &[InboxItem] {
        &self.inbox
    }

    /// Returns what a side refused before and a run would send again.
    pub(super) fn sent_again(&self) -> &[InboxItem] {
        &self.sent_again
    }

    /// Lets go what no later step asks for; what is filed stays.
    pub(super) fn release(&mut self) {
        self.held = Vec::new();
        self.later = Vec::new();
        self.unclear = Vec::new();
    }
}
