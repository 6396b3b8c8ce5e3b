//! The approved part of one table map, during its pass: what of all that is decided is handed on, what is dropped, and how
//! far each action of the plan has come.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::couple::rows_by_id;
use crate::plan::{Action, ActionKind, FieldChange};
use crate::run::approval::Approved;
use crate::run::records::Records;
use crate::run::refusals::Refusals;
use crate::translate::links::Links;

/// What is approved of one table map, and what became of it so far.
#[derive(Debug, Default)]
pub(super) struct Approval {
    planned: Vec<Planned>,
    /// By side and ids, the planned actions.
    by_ids: HashMap<(Side, Uuid, Uuid), Vec<usize>>,
    /// By the side where it is made, the records of which the plan makes a partner.
    sources: PerSide<HashSet<Uuid>>,
    /// By side, records that the plan left to the run.
    later: PerSide<HashSet<Uuid>>,
    /// By side, records without partner that wait by the plan: whether they still do is looked at again.
    waiting: PerSide<HashSet<Uuid>>,
    /// What was decided and is not in the plan, each as it was decided last.
    dropped: Vec<Action>,
    dropped_at: HashMap<(Side, &'static str, Uuid, Uuid), usize>,
    /// By their side, records that get no partner although the run would give them one.
    unmade: PerSide<HashSet<Uuid>>,
    /// Pairs, by their ERP ids, of which something is left undone, by the side that it was for.
    undone: PerSide<HashSet<Uuid>>,
}

/// One action of the plan.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) action: Action,
    /// It belongs to the part that is to be carried out now.
    pub(super) chosen: bool,
    /// It was decided again, and handed on to be carried out.
    pub(super) sent: bool,
}

impl Approval {
    /// Takes what is approved of a table map.
    pub(super) fn of(approved: &Approved, table: &str) -> Approval {
        let mut approval = Approval::default();
        for plan in approved.plan.tables.iter().filter(|plan| plan.table == table) {
            for action in &plan.actions {
                let at = approval.planned.len();
                approval.by_ids.entry((action.side, action.ids.erp, action.ids.crm)).or_default().push(at);
                if action.kind.makes_record() {
                    approval.sources.of_mut(action.side).insert(*action.ids.of(action.side.other()));
                }
                let chosen = approved.choice.holds(action);
                approval.planned.push(Planned { action: action.clone(), chosen, sent: false });
            }
            for item in &plan.held {
                match (item.erp_id, item.crm_id) {
                    (Some(erp), None) => drop(approval.waiting.erp.insert(erp)),
                    (None, Some(crm)) => drop(approval.waiting.crm.insert(crm)),
                    _ => {}
                }
            }
            for later in plan.later.iter().filter(|later| approved.choice.holds_record(table, &later.record, later.ids))
            {
                for side in Side::BOTH {
                    approval.later.of_mut(side).extend(*later.ids.of(side));
                }
            }
        }
        approval
    }

    /// Tells whether an action is planned, and left out by choice.
    pub(super) fn is_left_out(&self, action: &Action) -> bool {
        let planned = self.planned_for(action.side, action.ids).iter().map(|&at| &self.planned[at]);
        planned.into_iter().any(|planned| planned.action.kind == action.kind && !planned.chosen)
    }

    /// Tells whether an action is about a record that the plan makes and whose side did not take it.
    pub(super) fn is_unmade(&self, action: &Action, is_coupled: impl Fn(PerSide<Uuid>) -> bool) -> bool {
        let of_pair = Side::BOTH.into_iter().flat_map(|side| self.planned_for(side, action.ids));
        let mut made = of_pair.map(|&at| &self.planned[at]).filter(|planned| planned.action.kind.makes_record());
        made.any(|planned| planned.sent && !is_coupled(planned.action.ids))
    }

    fn planned_for(&self, side: Side, ids: PerSide<Uuid>) -> &[usize] {
        self.by_ids.get(&(side, ids.erp, ids.crm)).map_or(&[], Vec::as_slice)
    }

    /// Renames planned records on a side to the ids that it gave them.
    pub(super) fn rename(&mut self, side: Side, given: &HashMap<Uuid, Uuid>) {
        if given.is_empty() {
            return;
        }
        for (at, Planned { action, .. }) in self.planned.iter_mut().enumerate() {
            let Some(id) = given.get(action.ids.of(side)) else { continue };
            *action.ids.of_mut(side) = *id;
            self.by_ids.entry((action.side, action.ids.erp, action.ids.crm)).or_default().push(at);
        }
    }

    /// Finds the planned action that this one is: that one alone, or nothing but what the plan announced.
    fn find(&self, approved: &Approved, map: &TableMap, links: &Links, action: &Action) -> Found {
        if Side::BOTH.into_iter().any(|side| self.later.of(side).contains(action.ids.of(side))) {
            return Found::Announced;
        }
        let free = self.announced(map, action);
        let is_free = |change: &&FieldChange| change.field.is_some_and(|field| free.contains(&field));
        if !action.fields.is_empty() && action.fields.iter().all(|change| is_free(&change)) {
            return Found::Announced;
        }
        // A record that the plan makes has, besides, what its side gave it.
        let is_new =
            self.planned_for(action.side, action.ids).iter().any(|&at| self.planned[at].action.kind.makes_record());
        let same = |at: &&usize| {
            let planned = &self.planned[**at].action;
            let as_planned = |change: &FieldChange| {
                let field = change.field.map(|field| &map.fields[field]);
                planned.fields.iter().any(|planned| {
                    planned.column == change.column
                        && (is_new || approved.means(&planned.old, &change.old, action.ids, field, links))
                        && approved.means(&planned.new, &change.new, action.ids, field, links)
                })
            };
            let has = |planned: &FieldChange| action.fields.iter().any(|change| change.column == planned.column);
            planned.kind == action.kind
                && (planned.etag.is_none() || planned.etag == action.etag)
                && planned.fields.iter().all(has)
                && action.fields.iter().all(|change| as_planned(change) || is_free(&change))
        };
        if let Some(&at) = self.planned_for(action.side, action.ids).iter().find(same) {
            return Found::Planned(at);
        }
        // Both are gone by now: the link goes with them, as it would have with the deletion.
        let deletes = |at: &usize| self.planned[*at].chosen && self.planned[*at].action.kind == ActionKind::Delete;
        let both = Side::BOTH.into_iter().flat_map(|side| self.planned_for(side, action.ids));
        if action.kind == ActionKind::Uncouple && both.into_iter().any(deletes) {
            return Found::Announced;
        }
        Found::Nothing
    }

    /// Takes out of an action what the plan announced, where the rest of it is in no plan: what a side gives a new record
    /// goes over, whatever else it made of that record.
    fn announced_part(
        &self,
        approved: &Approved,
        map: &TableMap,
        links: &Links,
        action: &mut Action,
    ) -> Option<Action> {
        let free = self.announced(map, action);
        let is_free = |change: &FieldChange| change.field.is_some_and(|field| free.contains(&field));
        if !action.fields.iter().any(is_free) || !matches!(self.find(approved, map, links, action), Found::Nothing) {
            return None;
        }
        let (announced, rest) = std::mem::take(&mut action.fields).into_iter().partition(is_free);
        action.fields = rest;
        Some(Action { fields: announced, ..action.clone() })
    }

    /// Returns the fields that the plan announced for a pair: what the side of a new record gives goes to this one. That
    /// is so, too, of a two-way column that a record got no value for when it was made just now.
    fn announced(&self, map: &TableMap, action: &Action) -> HashSet<usize> {
        let of_new = self.planned_for(action.side.other(), action.ids).iter().map(|&at| &self.planned[at]);
        let of_new: Vec<&Planned> =
            of_new.filter(|planned| planned.chosen && action.kind == ActionKind::Update).collect();
        let filled = |field: &usize| {
            let given = |new: &Planned| new.action.fields.iter().any(|change| change.field == Some(*field));
            let made = |new: &&Planned| new.sent && new.action.kind.makes_record() && !given(new);
            map.fields[*field].writes(action.side.other()) && of_new.iter().any(made)
        };
        let blank =
            |field: usize| action.fields.iter().any(|change| change.field == Some(field) && change.old.is_blank());
        let now_filled = action.fields.iter().filter_map(|change| change.field).filter(|field| blank(*field));
        let now_filled = now_filled.filter(filled);
        let follow_ups = of_new
            .iter()
            .flat_map(|planned| planned.action.follow_ups.iter().map(move |then| (planned.sent, then.field)))
            .filter(|(sent, field)| *sent || blank(*field))
            .map(|(_, field)| field);
        follow_ups.chain(now_filled).collect()
    }

    /// Keeps, of what was decided, what is approved.
    pub(super) fn admit(
        &mut self,
        approved: &Approved,
        map: &TableMap,
        links: &Links,
        refusals: &mut Refusals,
        actions: &mut Vec<Action>,
    ) {
        for mut action in std::mem::take(actions) {
            if let Some(announced) = self.announced_part(approved, map, links, &mut action) {
                actions.push(announced);
            }
            let chosen = match self.find(approved, map, links, &action) {
                Found::Planned(at) => {
                    let planned = &mut self.planned[at];
                    planned.sent = planned.chosen;
                    planned.chosen
                }
                Found::Announced => true,
                Found::Nothing => false,
            };
            if chosen {
                actions.push(action);
                continue;
            }
            if action.kind.writes() {
                refusals.note_unsent(&action);
            }
            self.leave_undone(action);
        }
    }

    /// Keeps, of the records of a side that are to get a partner, those of which the plan makes one: running numbers are
    /// given to them as the plan gave them. Behind them stay those that wait by the plan, so that they are filed again.
    pub(super) fn admit_sources(
        &mut self,
        map: &TableMap,
        records: &Records,
        refusals: &mut Refusals,
        to: Side,
        ids: &mut Vec<Uuid>,
    ) {
        if ids.is_empty() {
            return;
        }
        let from = to.other();
        let rows = rows_by_id(records.frame(from));
        let mut waiting = Vec::new();
        for id in std::mem::take(ids) {
            let record = rows.get(&id).map(|row| records.name(from, *row)).unwrap_or_default();
            if self.sources.of(to).contains(&id) || self.later.of(from).contains(&id) {
                ids.push(id);
                continue;
            }
            if self.waiting.of(from).contains(&id) {
                waiting.push(id);
                continue;
            }
            let mut own = PerSide::from_fn(|_| Uuid::nil());
            *own.of_mut(from) = id;
            let action = Action {
                table: map.name.clone(),
                record,
                side: to,
                kind: ActionKind::Insert,
                why: format!("only the {} has it", from.name()),
                ids: own,
                etag: None,
                fields: Vec::new(),
                follow_ups: Vec::new(),
            };
            refusals.note_unsent(&action);
            self.leave_undone(action);
        }
        ids.extend(waiting);
    }

    /// Tells the links of the records that get no partner now: what refers to them waits for the next plan.
    pub(super) fn tell_unmade(&self, map: &TableMap, links: &mut Links) {
        for side in Side::BOTH {
            for id in self.unmade.of(side) {
                links.table(&map.name).wait(side, *id, "its partner is not in the plan");
            }
        }
    }

    /// Returns the actions of the plan, and how far each has come.
    pub(super) fn planned(&self) -> &[Planned] {
        &self.planned
    }

    /// Returns what was decided and is not in the plan.
    pub(super) fn dropped(&self) -> &[Action] {
        &self.dropped
    }

    /// Returns how many records of a side get no partner although the run would give them one.
    pub(super) fn unmade_count(&self, side: Side) -> u64 {
        self.unmade.of(side).len() as u64
    }

    /// Tells whether something is left undone of a pair that was for a side.
    pub(super) fn leaves_undone(&self, to: Side, erp: Uuid) -> bool {
        self.undone.of(to).contains(&erp)
    }

    /// Notes that an action that was handed on is not carried out after all.
    pub(super) fn take_back(&mut self, action: &Action) {
        for at in self.planned_for(action.side, action.ids).to_vec() {
            if self.planned[at].action.kind == action.kind {
                self.planned[at].sent = false;
            }
        }
    }

    /// Notes that something is left undone.
    fn leave_undone(&mut self, action: Action) {
        if action.kind.makes_record() {
            self.unmade.of_mut(action.side.other()).insert(*action.ids.of(action.side.other()));
        } else if matches!(action.kind, ActionKind::Couple { .. }) {
            for side in Side::BOTH {
                self.unmade.of_mut(side).insert(*action.ids.of(side));
            }
        } else if action.kind == ActionKind::Update {
            self.undone.of_mut(action.side).insert(action.ids.erp);
        }
        // What was handed on before and is decided anew did not come to pass.
        let again = |planned: &Action| {
            let overlaps = |change: &FieldChange| action.fields.iter().any(|now| now.column == change.column);
            planned.kind == action.kind && (planned.fields.is_empty() || planned.fields.iter().any(overlaps))
        };
        for at in self.planned_for(action.side, action.ids).to_vec() {
            if again(&self.planned[at].action) {
                self.planned[at].sent = false;
            }
        }
        let key = (action.side, action.kind.key(), action.ids.erp, action.ids.crm);
        match self.dropped_at.get(&key) {
            Some(&at) => self.dropped[at] = action,
            None => {
                self.dropped_at.insert(key, self.dropped.len());
                self.dropped.push(action);
            }
        }
    }
}

/// What the plan says of an action.
enum Found {
    /// It is that action of the plan.
    Planned(usize),
    /// It follows from what the plan announced.
    Announced,
    Nothing,
}
