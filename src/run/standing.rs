//! Makes what `chosen.rs` holds, when a pass ends: each record that was asked for by name is told, none left out in silence.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::couple::rows_by_id;
use crate::frame::Frame;
use crate::run::chosen::{Chosen, Follows, Outlook, Standing};
use crate::run::refusals::Ids;
use crate::run::selection::Named;
use crate::run::state::PassState;
use crate::store::InboxKind;

/// Counts as read, of what was read, the named records and their partners; the others were read to tell who belongs to whom.
pub(super) fn count_rows(state: &mut PassState, undecided: PerSide<&Frame>) {
    if state.asked.is_none() {
        return;
    }
    for side in Side::BOTH {
        let paired: HashSet<usize> = state.records.pairs().rows.iter().map(|rows| *rows.of(side)).collect();
        let rows = 0..state.records.frame(side).rows();
        let own = rows.filter(|row| paired.contains(row) || state.asks_row(side, *row)).count();
        let asks = |id: &Uuid| match side {
            Side::Erp => state.asks(Some(*id), None),
            Side::Crm => state.asks(None, Some(*id)),
        };
        let doubtful = undecided.of(side).ids().iter().filter(|id| asks(id)).count();
        *state.report.rows.of_mut(side) = (own + doubtful) as u64;
    }
}

/// Returns what a record is called of which a plan makes the partner: that one has no label that people would know.
fn made_on_paper(state: &PassState, ids: PerSide<Uuid>) -> Option<String> {
    let mut made = state.draft.actions().iter().filter(|action| action.kind.makes_record() && action.ids == ids);
    state.records.untold().contains_key(&ids.erp).then(|| made.next().map(|action| action.record.clone()))?
}

/// Tells how the named records stand.
pub(super) fn chosen(map: &TableMap, state: &PassState, named: &[Named]) -> Vec<Chosen> {
    let Some(asked) = &state.asked else { return Vec::new() };
    let rows = PerSide::from_fn(|side| rows_by_id(state.records.frame(side)));
    let mut told: Vec<Chosen> = Vec::new();
    let mut seen: HashSet<Ids> = HashSet::new();
    let pairs: PerSide<HashMap<Uuid, usize>> =
        PerSide::from_fn(|side| state.records.pairs().ids.iter().map(|ids| *ids.of(side)).zip(0..).collect());
    for Named { address, id } in named.iter().filter(|named| named.address.table == map.name) {
        let side = address.side;
        let own = |erp: Option<Uuid>, crm: Option<Uuid>| if side == Side::Erp { erp } else { crm } == Some(*id);
        let pair = pairs.of(side).get(id).copied();
        let ids: Ids = match (pair, side) {
            (Some(pair), _) => (Some(state.records.pairs().ids[pair].erp), Some(state.records.pairs().ids[pair].crm)),
            (None, Side::Erp) => (Some(*id), None),
            (None, Side::Crm) => (None, Some(*id)),
        };
        // Somebody may name both records of a pair.
        if !seen.insert(ids) {
            continue;
        }
        let held = state.waits.held().iter().find(|held| own(held.ids.erp, held.ids.crm));
        let waits = held.map(|held| held.kind);
        let waits =
            waits.or_else(|| state.outside.items().iter().find(|item| own(item.erp_id, item.crm_id)).map(|i| i.kind));
        let undone = || Side::BOTH.iter().any(|to| state.tally.undone(*to).iter().any(|ids| own(ids.0, ids.1)));
        let row = rows.of(side).get(id);
        let unclear = || state.waits.unclear().any(|held| own(held.ids.erp, held.ids.crm));
        let standing = if let Some(kind) = waits {
            Standing::Waits(kind)
        } else if unclear() {
            Standing::Waits(InboxKind::Failed)
        } else if state.waits.later().iter().any(|held| own(held.ids.erp, held.ids.crm)) {
            Standing::Later
        } else if undone() {
            Standing::Undone
        } else if pair.is_some() {
            Standing::Settled
        } else if state.aside.is_apart(side, *id) {
            Standing::Apart
        } else if state.aside.is_outside(side, *id) || (row.is_none() && !asked.was_coupled(side, *id)) {
            Standing::Outside
        } else if asked.was_coupled(side, *id) {
            // Its partner was deleted, and what had to follow from that has followed.
            Standing::Settled
        } else {
            Standing::Alone
        };
        let record = match (pair, held, row) {
            (Some(pair), _, _) => made_on_paper(state, state.records.pairs().ids[pair])
                .unwrap_or_else(|| state.records.name_of_pair(state.records.pairs().rows[pair])),
            (None, Some(held), _) => held.record.clone(),
            (None, None, Some(row)) => state.records.name(side, *row),
            (None, None, None) => address.to_string(),
        };
        let mut outlook = Outlook::default();
        for (_, about) in state.outlook.iter().filter(|(ids, _)| own(ids.0, ids.1)) {
            outlook.created = outlook.created.or(about.created);
            for to in Side::BOTH {
                outlook.to.of_mut(to).extend(about.to.of(to).iter().cloned());
            }
        }
        let contested = state
            .waits
            .held()
            .iter()
            .filter(|held| held.kind == InboxKind::Contested && own(held.ids.erp, held.ids.crm));
        let fields = contested.filter_map(|held| held.field.map(|field| map.fields[field].name().to_owned()));
        outlook.contested = fields.collect();
        let is_alone = matches!(standing, Standing::Alone | Standing::Waits(InboxKind::Deleted));
        outlook.unpartnered = state.aside.why_unpartnered(side, *id).filter(|_| is_alone).cloned();
        outlook.follows = state.draft.actions().iter().find_map(|action| Follows::of(action, own));
        told.push(Chosen { record, standing, coupled: asked.was_coupled(side, *id), outlook });
    }
    told
}
