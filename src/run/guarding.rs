//! What the guard of a table map counts, and what it stopped.
//!
//! Once it has stopped the table map nothing of it is written any more, and the rest is decided on paper. What was reported
//! until then is what the run has done.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::Guard;
use crate::delta::guard::{Basis, Sums, Trip, judge};
use crate::plan::{Action, ActionKind};
use crate::run::account::TableReport;
use crate::run::records::Records;

/// A guard at work.
#[derive(Default)]
pub(super) struct Guarding {
    /// What its shares are shares of.
    basis: Basis,
    /// Pairs of which the plan changes something that was settled before the run, by their ERP ids.
    settled: HashSet<Uuid>,
    /// Pairs, by their ERP ids, to which nothing is done but what a person decided: they count in nothing.
    decided: HashSet<Uuid>,
    stop: Option<Stop>,
}

/// A table map that its guard has stopped.
struct Stop {
    /// The counts as they were then.
    report: TableReport,
    /// Something of it had been written by then.
    has_begun: bool,
    /// Nothing more is decided, not even on paper: a side lost everything.
    is_over: bool,
}

impl Guarding {
    /// Takes what its shares are shares of.
    pub(super) fn weigh(&mut self, basis: Basis) {
        self.basis = basis;
    }

    /// Returns how many couplings there were before the run.
    pub(super) fn couplings_count(&self) -> u64 {
        self.basis.couplings
    }

    /// Takes note of a pair to which nothing is done but what a person decided.
    pub(super) fn spare(&mut self, erp: Uuid) {
        self.decided.insert(erp);
    }

    /// Takes back that notice: something else is done to the pairs of these actions as well.
    pub(super) fn count_all(&mut self, actions: &[Action]) {
        for action in actions {
            self.decided.remove(&action.ids.erp);
        }
    }

    /// Notes the pairs of which something changes that was settled before. What was never settled belongs to a first load:
    /// of a field that is new in the file, of pairs coupled just now, or of a run that was cut off.
    pub(super) fn note_settled(&mut self, records: &Records, actions: &[Action]) {
        let updates = || actions.iter().filter(|action| action.kind == ActionKind::Update);
        if updates().next().is_none() {
            return;
        }
        let pairs = records.pairs_by_erp();
        for action in updates() {
            let Some(&pair) = pairs.get(&action.ids.erp) else { continue };
            let mut fields = action.fields.iter().filter_map(|change| change.field);
            if fields.any(|field| records.pairs().bases[field][pair].is_some()) {
                self.settled.insert(action.ids.erp);
            }
        }
    }

    /// Holds actions against what the file allows; says what is too much of a table map that is not stopped yet.
    pub(super) fn judge<'a>(&self, guard: &Guard, actions: impl Iterator<Item = &'a Action>) -> Option<Trip> {
        let sums = Sums::of(actions, &self.settled, &self.decided);
        if self.stop.is_some() { None } else { judge(guard, &sums, &self.basis) }
    }

    /// Stops the table map, of which something may have been written.
    pub(super) fn stop(&mut self, report: TableReport, has_begun: bool) {
        self.stop = Some(Stop { report, has_begun, is_over: false });
    }

    /// Ends a table map that was stopped: there is nothing left to decide.
    pub(super) fn end(&mut self) {
        if let Some(stop) = &mut self.stop {
            stop.is_over = true;
        }
    }

    /// Tells whether the table map is stopped.
    pub(super) fn has_stopped(&self) -> bool {
        self.stop.is_some()
    }

    /// Tells whether something of it had been written before it was stopped.
    pub(super) fn had_begun(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.has_begun)
    }

    /// Tells whether not even its plan goes on.
    pub(super) fn is_over(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| stop.is_over)
    }

    /// Returns the counts as they were when it was stopped.
    pub(super) fn report(&self) -> Option<&TableReport> {
        self.stop.as_ref().map(|stop| &stop.report)
    }

    /// Returns them to be completed.
    pub(super) fn report_mut(&mut self) -> Option<&mut TableReport> {
        self.stop.as_mut().map(|stop| &mut stop.report)
    }
}
