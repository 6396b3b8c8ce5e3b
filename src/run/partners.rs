//! Who belongs to whom: coupled records that were not read, and new couplings by the match rules.

use std::collections::HashMap;

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::couple::{self, Absent, Doubt};
use crate::delta::doubt::{Scene, hold_doubts};
use crate::endpoint::Hidden;
use crate::extract::{self, Scope, Sought, Undecided};
use crate::frame::Frame;
use crate::plan::{Action, ActionKind};
use crate::run::context::Context;
use crate::run::state::PassState;
use crate::run::step::PassError;
use crate::store::{CouplingChange, Couplings, Origin};
use crate::translate::links::Links;

/// What became of coupled records that were not read.
pub(super) struct Missing {
    /// Pairs of which one record is gone.
    pub(super) widowed: Vec<Widowed>,
    /// Pairs that are whole and of which at least one record is outside its filter, as people name them.
    pub(super) outside: Vec<String>,
}

/// A pair of which one record is gone.
pub(super) struct Widowed {
    pub(super) ids: PerSide<Uuid>,
    /// Number among the couplings.
    pub(super) coupling: usize,
    /// The side that lost its record.
    pub(super) gone: Side,
    /// The survivor's row, where it is inside its filter.
    pub(super) row: Option<usize>,
    /// The survivor as people name it.
    pub(super) record: String,
}

impl Widowed {
    /// Makes an action about the pair.
    pub(super) fn action(&self, map: &TableMap, kind: ActionKind, side: Side, why: String) -> Action {
        Action {
            table: map.name.clone(),
            record: self.record.clone(),
            side,
            kind,
            why,
            ids: self.ids,
            etag: None,
            fields: Vec::new(),
            follow_ups: Vec::new(),
        }
    }
}

/// Reads the coupled records that were not read: those that exist are outside their filter, or hidden. What was read and is
/// `undecided` is known to be there.
pub(super) fn read_absent(
    context: &Context<'_>,
    scope: &Scope,
    absent: &[Absent],
    undecided: &PerSide<(Frame, Vec<Undecided>)>,
) -> Result<PerSide<Sought>, PassError> {
    let one = |side: Side| {
        let there = couple::rows_by_id(&undecided.of(side).0);
        let missing = absent.iter().filter(|absent| absent.rows.of(side).is_none());
        let missing = missing.map(|absent| *absent.ids.of(side));
        let (known, ids): (Vec<Uuid>, Vec<Uuid>) = missing.partition(|id| there.contains_key(id));
        let mut sought = extract::seek(scope, side, *context.endpoints.of(side), ids)?;
        sought.frame.upsert(&undecided.of(side).0.take(&known.iter().map(|id| there[id]).collect::<Vec<_>>()));
        Ok::<Sought, PassError>(sought)
    };
    Ok(PerSide { erp: one(Side::Erp)?, crm: one(Side::Crm)? })
}

/// Finds out about coupled records that were not read: `outside` the filter, or gone (I7).
///
/// Tells the links of the couplings that are whole: nobody can refer to a record that is gone.
pub(super) fn absent(
    context: &Context<'_>,
    map: &TableMap,
    absent: &[Absent],
    (outside, hidden): (&PerSide<Frame>, &PerSide<HashMap<Uuid, Hidden>>),
    state: &mut PassState,
    links: &mut Links,
) -> Missing {
    state.records.name_all(map, outside);
    let there = PerSide::from_fn(|side| couple::rows_by_id(outside.of(side)));
    let (mut widowed, mut away) = (Vec::new(), Vec::new());
    for Absent { ids, coupling, rows } in absent {
        let exists = PerSide::from_fn(|side| {
            let id = ids.of(side);
            rows.of(side).is_some() || there.of(side).contains_key(id) || hidden.of(side).contains_key(id)
        });
        if !exists.erp && !exists.crm {
            let action = Action {
                table: map.name.clone(),
                record: format!("{}:{}", map.name, ids.erp),
                side: Side::Erp,
                kind: ActionKind::Uncouple,
                why: "both records are gone".into(),
                ids: *ids,
                etag: None,
                fields: Vec::new(),
                follow_ups: Vec::new(),
            };
            if state.admits(context, map, links, &action) {
                state.draft.recouple(action, CouplingChange::Uncouple { erp: ids.erp, crm: ids.crm });
            }
            continue;
        }
        let asked = state.asks(Some(ids.erp), Some(ids.crm));
        if exists.erp && exists.crm {
            let name = match (rows.erp, there.erp.get(&ids.erp)) {
                (Some(row), _) => state.records.name(Side::Erp, row),
                (None, Some(&row)) => state.records.names().row(&outside.erp, Side::Erp, row),
                (None, None) => format!("{}:{}", map.name, ids.erp),
            };
            let unreadable = PerSide::from_fn(|side| state.aside.is_unreadable(side, *ids.of(side)));
            let is_left_alone = unreadable.erp || unreadable.crm;
            if asked && !is_left_alone {
                away.push(name);
                state.aside.leave_outside(*ids);
            }
            if asked && unreadable.erp && unreadable.crm && map.direction.writes(Side::Erp) {
                // Both rows are held as one pair, which counts once.
                state.tally.skip(Side::Erp, usize::from(map.direction.writes(Side::Crm)));
            }
            // A record outside its filter is still somebody's reference.
            links.table(&map.name).couple(ids.erp, ids.crm);
            for side in Side::BOTH {
                // Only what was read is counted, in the direction away from it; in which the pair may be held already.
                let is_held = *unreadable.of(side.other()) && !map.direction.writes(side);
                if asked && rows.of(side).is_some() && map.direction.writes(side.other()) && !is_held {
                    state.tally.skip(side.other(), 1);
                }
            }
        }
        if let Some(side) = Side::BOTH.into_iter().find(|side| asked && !exists.of(*side)) {
            let survivor = side.other();
            let record = match (rows.of(survivor), there.of(survivor).get(ids.of(survivor))) {
                (Some(row), _) => state.records.name(survivor, *row),
                (None, Some(row)) => state.records.names().row(outside.of(survivor), survivor, *row),
                (None, None) => format!("{}:{}", map.name, ids.erp),
            };
            let row = *rows.of(survivor);
            widowed.push(Widowed { ids: *ids, coupling: *coupling, gone: side, row, record });
        }
    }
    Missing { widowed, outside: away }
}

/// Makes couplings of what the match rules found.
pub(super) fn take_matches(
    context: &Context<'_>,
    map: &TableMap,
    matches: &[couple::Match],
    state: &mut PassState,
    links: &mut Links,
) {
    let mut by_rule: HashMap<usize, u64> = HashMap::new();
    for found in matches {
        let origin = Origin::Matched(found.rule);
        let rule = &map.match_rules[found.rule - 1];
        let columns: Vec<String> = rule.by.iter().map(|(erp, crm)| format!("{erp} = {crm}")).collect();
        let why = format!("match rule {}: {}", found.rule, columns.join(" and "));
        if couple_rows(context, map, (found.rows, origin, why), state, links) {
            *by_rule.entry(found.rule).or_default() += 1;
        }
    }
    for (rule, earlier) in std::mem::take(&mut state.report.matched) {
        *by_rule.entry(rule).or_default() += earlier;
    }
    state.report.matched = by_rule.into_iter().collect();
    state.report.matched.sort_unstable();
}

/// Couples two records that were read, with where that comes from and why; tells whether the plan that is carried out, if
/// there is one, has it.
pub(super) fn couple_rows(
    context: &Context<'_>,
    map: &TableMap,
    (rows, origin, why): (PerSide<usize>, Origin, String),
    state: &mut PassState,
    links: &mut Links,
) -> bool {
    let ids = PerSide::from_fn(|side| state.records.frame(side).id(*rows.of(side)));
    let action = Action {
        table: map.name.clone(),
        record: state.records.name_of_pair(rows),
        side: Side::Erp,
        kind: ActionKind::Couple { origin: origin.clone() },
        why,
        ids,
        etag: None,
        fields: Vec::new(),
        follow_ups: Vec::new(),
    };
    if !state.admits(context, map, links, &action) {
        return false;
    }
    state.draft.recouple(action, CouplingChange::Couple { erp: ids.erp, crm: ids.crm, origin: origin.clone() });
    links.table(&map.name).couple(ids.erp, ids.crm);
    state.records.couple(ids, rows, origin);
    true
}

/// Holds what the match rules have doubts about; a coupled record is named together with its partner.
pub(super) fn take_doubts(
    map: &TableMap,
    doubts: &[Doubt],
    couplings: &Couplings,
    beyond: &PerSide<Frame>,
    state: &mut PassState,
) {
    let stored = couplings.erp.iter().zip(&couplings.crm).map(|(erp, crm)| PerSide { erp: *erp, crm: *crm });
    // What this run coupled is among the pairs only.
    let pairs = stored.chain(state.records.pairs().ids.iter().copied());
    let scene = Scene { map, names: state.records.names(), frames: state.records.frames(), beyond };
    let held = hold_doubts(&scene, doubts, pairs);
    state.waits.hold_all(held);
}
