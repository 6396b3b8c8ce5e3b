//! What a pass has decided so far: its plan, and the changes of couplings that wait until the guard has let it pass.

use std::collections::HashMap;

use uuid::Uuid;

use crate::config::{PerSide, Side};
use crate::plan::{Action, ActionKind, Drifted, Later, TablePlan};
use crate::store::{CouplingChange, InboxItem};

/// A plan that is being made.
pub(super) struct Draft {
    plan: TablePlan,
    /// Each of them is an action of the plan, too.
    pending: Vec<CouplingChange>,
}

impl Draft {
    /// Starts a plan in which nothing happens.
    pub(super) fn new(table: &str) -> Draft {
        Draft { plan: TablePlan { table: table.to_owned(), ..TablePlan::default() }, pending: Vec::new() }
    }

    /// Returns the name of the table map.
    pub(super) fn table(&self) -> &str {
        &self.plan.table
    }

    /// Returns what was decided, in the order of that.
    pub(super) fn actions(&self) -> &[Action] {
        &self.plan.actions
    }

    /// Adds what a round decided.
    ///
    /// The version of a record that this plan itself writes before cannot be known, so none is demanded. What only has to
    /// be tried again is in the plan already.
    pub(super) fn add(&mut self, actions: &[Action]) {
        let mut planned: HashMap<(Side, Uuid), Vec<&Action>> = HashMap::new();
        for action in self.plan.actions.iter().filter(|action| action.kind.writes()) {
            planned.entry((action.side, action.ids.erp)).or_default().push(action);
        }
        let mut new = Vec::new();
        for action in actions {
            let mut action = action.clone();
            if let Some(before) = planned.get(&(action.side, action.ids.erp)) {
                if before.iter().any(|before| before.kind == action.kind && before.fields == action.fields) {
                    continue;
                }
                action.etag = None;
            }
            new.push(action);
        }
        self.plan.actions.extend(new);
    }

    /// Adds an action that couples or parts two records, and what the state has to remember for it.
    pub(super) fn recouple(&mut self, action: Action, change: CouplingChange) {
        self.plan.actions.push(action);
        self.pending.push(change);
    }

    /// Adds deletions, which wait for the end of the run.
    pub(super) fn add_deletions(&mut self, actions: Vec<Action>) {
        self.plan.actions.extend(actions);
    }

    /// Takes out a deletion that is not to be.
    pub(super) fn drop_deletion(&mut self, side: Side, ids: PerSide<Uuid>) {
        let is_it = |action: &Action| action.kind == ActionKind::Delete && action.side == side && action.ids == ids;
        self.plan.actions.retain(|action| !is_it(action));
    }

    /// Renames new records on a side to the ids that it gave them.
    pub(super) fn rename(&mut self, side: Side, given: &HashMap<Uuid, Uuid>) {
        for action in self.plan.actions.iter_mut().filter(|action| action.side == side) {
            if let Some(id) = given.get(action.ids.of(side)) {
                *action.ids.of_mut(side) = *id;
            }
        }
    }

    /// Says why nothing of it is written.
    pub(super) fn guard(&mut self, message: String) {
        self.plan.guarded = Some(message);
    }

    /// Takes what it leaves to the run.
    pub(super) fn leave_to_run(&mut self, later: Vec<Later>) {
        self.plan.later = later;
    }

    /// Returns the changes of couplings that wait.
    pub(super) fn pending(&self) -> &[CouplingChange] {
        &self.pending
    }

    /// Hands them over, to be stored.
    pub(super) fn take_pending(&mut self) -> Vec<CouplingChange> {
        std::mem::take(&mut self.pending)
    }

    /// Drops everything that was decided.
    pub(super) fn clear(&mut self) {
        self.pending.clear();
        self.plan.actions.clear();
    }

    /// Returns the plan, with what waits and what was changed on the wrong side.
    pub(super) fn finish(self, held: Vec<InboxItem>, drifted: Vec<Drifted>) -> TablePlan {
        TablePlan { held, drifted, ..self.plan }
    }
}
