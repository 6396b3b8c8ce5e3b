//! Makes what `carried.rs` holds, when a pass has ended: what became of an approved plan.
//!
//! Told from what both sides and the state hold by then, so that whoever carries out a plan twice is told the second time that
//! it is done.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::couple::rows_by_id;
use crate::delta::Held;
use crate::extract::{self, Scope};
use crate::frame::Frame;
use crate::plan::{Action, ActionKind, FieldChange};
use crate::run::admitted::Planned;
use crate::run::approval::Approved;
use crate::run::aside::Aside;
use crate::run::carried::{Carried, Undone};
use crate::run::context::Context;
use crate::run::refusals::{Ids, known_ids};
use crate::run::state::PassState;
use crate::run::step::PassError;
use crate::run::written::fingerprint_in;
use crate::store::{InboxItem, InboxKind, JournalRow, Store};
use crate::translate::canonical::fingerprint;
use crate::translate::links::Links;

/// What is known at the end of a step.
struct Scene<'a> {
    map: &'a TableMap,
    links: &'a Links,
    frames: &'a PerSide<Frame>,
    rows: PerSide<HashMap<Uuid, usize>>,
    /// By side, the partner of each record.
    partners: PerSide<HashMap<Uuid, Uuid>>,
    /// Pairs inside the filters, by their ERP ids.
    compared: HashSet<Uuid>,
    /// By side and record, what waits about it, or waits for another plan.
    held: PerSide<HashMap<Uuid, &'a Held>>,
    aside: &'a Aside,
    /// By side and record, what was decided about it and is not in the plan.
    dropped: PerSide<HashMap<Uuid, Vec<&'a Action>>>,
}

/// Tells what became of the plan of a table map, as far as the pass has come.
pub(super) fn close(
    context: &Context<'_>,
    store: &dyn Store,
    scope: &Scope,
    map: &TableMap,
    links: &Links,
    state: &mut PassState,
) -> Result<(), PassError> {
    let Some(approved) = context.options.approved else { return Ok(()) };
    if state.guarding.is_over() {
        return Ok(());
    }
    look_up(context, scope, state)?;
    let couplings = store.couplings(&map.name, &[])?;
    let pairs = || couplings.erp.iter().copied().zip(couplings.crm.iter().copied());
    let scene = Scene {
        map,
        links,
        frames: state.records.frames(),
        rows: PerSide::from_fn(|side| rows_by_id(state.records.frame(side))),
        partners: PerSide { erp: pairs().collect(), crm: pairs().map(|(erp, crm)| (crm, erp)).collect() },
        compared: state.records.pairs().ids.iter().map(|ids| ids.erp).collect(),
        held: PerSide::from_fn(|side| {
            let held = state.waits.all().rev();
            held.filter_map(|held| Some(((*held.ids.of(side))?, held))).collect()
        }),
        aside: &state.aside,
        dropped: PerSide::from_fn(|side| {
            let mut by_id: HashMap<Uuid, Vec<&Action>> = HashMap::new();
            for action in state.approval.dropped() {
                by_id.entry(*action.ids.of(side)).or_default().push(action);
            }
            by_id
        }),
    };
    let mut since: HashMap<Uuid, Vec<JournalRow>> = HashMap::new();
    for row in store.writes_since(&map.name, &approved.moment)? {
        since.entry(row.intent.id).or_default().push(row);
    }
    let mut carried = Carried::default();
    let mut moved: PerSide<HashSet<Uuid>> = PerSide::default();
    for Planned { action, chosen, sent } in state.approval.planned() {
        if !chosen {
            carried.left_out += 1;
        } else if scene.holds(approved, action) || was_written(&since, approved, action) {
            *(if *sent { &mut carried.done } else { &mut carried.before }) += 1;
        } else if *sent || state.approval.is_unmade(action, |ids| scene.are_coupled(ids)) {
            carried.failed += 1;
        } else {
            for side in Side::BOTH {
                moved.of_mut(side).insert(*action.ids.of(side));
            }
            carried.moved.push(undone(action, scene.what_moved(action)));
        }
    }
    // What is left out by choice is planned, and what moved was told.
    let told = |action: &Action| Side::BOTH.into_iter().any(|side| moved.of(side).contains(action.ids.of(side)));
    // What waits is in the inbox, and told from there; what a person decided since does not wait any more.
    let mut about: HashMap<Ids, Vec<&InboxItem>> = HashMap::new();
    let decidable = |kind: InboxKind| matches!(kind, InboxKind::Contested | InboxKind::Deleted);
    for item in state.waits.inbox().iter().filter(|item| !decidable(item.kind)) {
        about.entry((item.erp_id, item.crm_id)).or_default().push(item);
    }
    let waits = |action: &Action| {
        let Some(items) = about.get(&known_ids(action)) else { return false };
        let names = |item: &InboxItem, change: &FieldChange| {
            let field = change.field.map(|field| map.fields[field].name());
            item.field.is_none() || item.field.as_deref() == field
        };
        let all = || action.fields.iter().all(|change| items.iter().any(|item| names(item, change)));
        action.kind.makes_record() || (action.kind == ActionKind::Update && all())
    };
    let besides = state.approval.dropped().iter().filter(|action| !told(action) && !state.approval.is_left_out(action));
    let besides = besides.filter(|action| !waits(action));
    carried.unplanned.extend(besides.map(|action| undone(action, would(action))));
    let leaves = !state.approval.dropped().is_empty() || !state.waits.later().is_empty();
    if leaves || !carried.moved.is_empty() || carried.left_out > 0 {
        // The next run over changes has to see them again.
        state.reached.forget();
    }
    state.carried = Some(carried);
    Ok(())
}

/// Reads the records of planned updates that the run did not bring, so that it can be told what became of them.
fn look_up(context: &Context<'_>, scope: &Scope, state: &mut PassState) -> Result<(), PassError> {
    for side in Side::BOTH {
        let rows = rows_by_id(state.records.frame(side));
        let open = state.approval.planned().iter().filter(|planned| planned.chosen && !planned.sent);
        let updates = open.filter(|planned| planned.action.kind == ActionKind::Update && planned.action.side == side);
        let unread: HashSet<Uuid> =
            updates.map(|planned| *planned.action.ids.of(side)).filter(|id| !rows.contains_key(id)).collect();
        if !unread.is_empty() {
            let mut unread: Vec<Uuid> = unread.into_iter().collect();
            unread.sort_unstable();
            let read = extract::read_ids(scope, side, *context.endpoints.of(side), unread)?;
            state.records.refresh(side, &[&read.readable()]);
        }
    }
    Ok(())
}

/// Tells whether this very write is among those since the plan was made, which come by the record that they went to.
fn was_written(since: &HashMap<Uuid, Vec<JournalRow>>, approved: &Approved, action: &Action) -> bool {
    let is_this = |row: &JournalRow| {
        let taken = row.outcome.as_deref().is_some_and(|outcome| matches!(outcome, "written" | "found" | "exists"));
        let has = |column: &str, new: &str| {
            let known = |told: &&(String, String, String)| {
                told.0 == column && (told.2 == new || approved.placeholder_in(new).is_some())
            };
            row.intent.fields.iter().any(|told| known(&told))
        };
        let same = (row.intent.side, row.intent.action.as_str()) == (action.side, action.kind.key());
        taken && same && action.fields.iter().all(|change| has(&change.column, &change.new.to_string()))
    };
    action.kind.writes() && since.get(action.ids.of(action.side)).is_some_and(|rows| rows.iter().any(is_this))
}

impl Scene<'_> {
    fn are_coupled(&self, ids: PerSide<Uuid>) -> bool {
        self.partners.erp.get(&ids.erp) == Some(&ids.crm)
    }

    /// Tells whether the effect of an action is there.
    fn holds(&self, approved: &Approved, action: &Action) -> bool {
        let coupled = self.are_coupled(action.ids);
        match action.kind {
            ActionKind::Insert | ActionKind::Restore { .. } | ActionKind::Couple { .. } => coupled,
            ActionKind::Uncouple | ActionKind::KeepApart => !coupled,
            ActionKind::Delete => !self.rows.of(action.side).contains_key(action.ids.of(action.side)),
            ActionKind::Update => {
                let side = action.side;
                let Some(&row) = self.rows.of(side).get(action.ids.of(side)) else { return false };
                let frame = self.frames.of(side);
                coupled
                    && action.fields.iter().all(|change| {
                        let Some(column) = frame.column(&change.column) else { return false };
                        let now = frame.value(&change.column, row);
                        let field = change.field.map(|field| &self.map.fields[field]);
                        fingerprint_in(frame, side, &change.column, row) == fingerprint(&change.new, side, column.kind)
                            || approved.means(&change.new, &now, action.ids, field, self.links)
                    })
            }
        }
    }

    /// Says why an action that was planned is not carried out.
    fn what_moved(&self, action: &Action) -> String {
        let (side, from) = (action.side, action.side.other());
        let dropped = |at: Side| self.dropped.of(at).get(action.ids.of(at)).into_iter().flatten();
        let again = dropped(from).find(|now| now.side == side && now.kind.key() == action.kind.key());
        if let Some(message) = again.and_then(|now| difference(action, now)) {
            return message;
        }
        if let Some(held) = Side::BOTH.into_iter().find_map(|at| self.held.of(at).get(action.ids.of(at))) {
            return held.message.clone();
        }
        let makes = action.kind.makes_record();
        for at in Side::BOTH.into_iter().filter(|at| !makes || *at == from) {
            if !self.rows.of(at).contains_key(action.ids.of(at)) {
                return format!("its record in the {} is gone or outside the filter", at.name());
            }
        }
        if let Some(reason) = self.aside.why_unpartnered(from, *action.ids.of(from)).filter(|_| makes) {
            return reason.clone();
        }
        for at in Side::BOTH {
            // Who is to be made anew is still coupled with the one that is gone.
            let gone = |partner: &Uuid| matches!(&action.kind, ActionKind::Restore { gone } if gone == partner);
            let another = |partner: &&Uuid| *partner != action.ids.of(at.other()) && !gone(partner);
            if self.partners.of(at).get(action.ids.of(at)).is_some_and(|partner| another(&partner)) {
                return format!("its record in the {} is coupled with another one now", at.name());
            }
            if let Some(now) = dropped(at).find(|now| matches!(now.kind, ActionKind::Couple { .. })) {
                return format!("it has a partner now: {}", now.why);
            }
        }
        let is_apart = self.aside.is_apart(from, *action.ids.of(from));
        if is_apart || !(makes || matches!(action.kind, ActionKind::Couple { .. }) || self.are_coupled(action.ids)) {
            return "the pair was parted since".to_owned();
        }
        if action.kind == ActionKind::Update && !self.compared.contains(&action.ids.erp) {
            return "the pair is outside the filter by now".to_owned();
        }
        if let (ActionKind::Update, Some(&row)) = (&action.kind, self.rows.of(side).get(action.ids.of(side))) {
            let frame = self.frames.of(side);
            let changed = action.fields.iter().find(|change| frame.value(&change.column, row) != change.old);
            if let Some(change) = changed {
                let now = frame.value(&change.column, row);
                let (column, old) = (&change.column, shown(&change.old));
                return format!("{column} in the {} is {} now, and was {old}", side.name(), shown(&now));
            }
        }
        // A person may have decided otherwise, or somebody edited the other side.
        let otherwise =
            Side::BOTH.into_iter().flat_map(dropped).find(|now| now.side != side || now.kind != action.kind);
        otherwise.map_or_else(
            || "both sides agree otherwise by now".to_owned(),
            |now| format!("a run would do otherwise by now, in the {}: {}", now.side.name(), now.why),
        )
    }
}

/// Says in what an action as it is decided now differs from the planned one.
fn difference(planned: &Action, now: &Action) -> Option<String> {
    let side = now.side.name();
    for change in &now.fields {
        let column = &change.column;
        match planned.fields.iter().find(|planned| planned.column == *column) {
            None => return Some(format!("{column} in the {side} would become {} as well", shown(&change.new))),
            Some(before) if before.old != change.old => {
                let (old, new) = (shown(&before.old), shown(&change.old));
                return Some(format!("{column} in the {side} is {new} now, and was {old}"));
            }
            Some(before) if before.new != change.new => {
                let (old, new) = (shown(&before.new), shown(&change.new));
                return Some(format!("{column} in the {side} would become {new} now, and the plan has {old}"));
            }
            Some(_) => {}
        }
    }
    let gone = |before: &&crate::plan::FieldChange| !now.fields.iter().any(|change| change.column == before.column);
    if let Some(before) = planned.fields.iter().find(gone).filter(|_| !now.fields.is_empty()) {
        return Some(format!("{} in the {side} would not change any more", before.column));
    }
    (planned.etag.is_some() && planned.etag != now.etag).then(|| format!("it was edited in the {side} since"))
}

fn shown(value: &crate::frame::Value) -> String {
    if value.is_blank() { "blank".to_owned() } else { format!("`{}`", crate::frame::brief(&value.to_string())) }
}

/// Says what an action would do.
fn would(action: &Action) -> String {
    let changes: Vec<String> =
        action.fields.iter().map(|change| format!("{} to {}", change.column, shown(&change.new))).collect();
    if changes.is_empty() { action.why.clone() } else { changes.join(", ") }
}

fn undone(action: &Action, message: String) -> Undone {
    Undone {
        table: action.table.clone(),
        record: action.record.clone(),
        side: action.side,
        kind: action.kind.clone(),
        message,
    }
}
