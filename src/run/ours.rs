//! Whose a record is that a run of this pipeline made: its id is a function of the record that it was made for.
//!
//! So the two tell by themselves that they belong together where the state knows nothing of their coupling: a backup of an
//! earlier night was put in its place, or it was begun anew. Match rules need not find that out, and without a number of
//! their own they cannot. Where the state knows better, since a person gave the record to another one or to nobody, the id
//! tells nothing any more, and the next record for the same one gets another.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::couple::rows_by_id;
use crate::delta::inserts::{new_id, restored_id};
use crate::plan::{Action, ActionKind};
use crate::run::context::Context;
use crate::run::partners::couple_rows;
use crate::run::state::PassState;
use crate::run::step::Step;
use crate::store::{Origin, Store, StoreError};
use crate::translate::links::Links;

/// Couples such records, and takes them out of the rows without a coupling.
pub(super) fn take_ours(
    context: &Context<'_>,
    map: &TableMap,
    uncoupled: &mut PerSide<Vec<usize>>,
    state: &mut PassState,
    links: &mut Links,
) {
    if uncoupled.erp.is_empty() || uncoupled.crm.is_empty() {
        return;
    }
    let free: PerSide<HashSet<usize>> = PerSide::from_fn(|side| uncoupled.of(side).iter().copied().collect());
    let mut found = Vec::new();
    for to in Side::BOTH.into_iter().filter(|side| map.create.on(*side)) {
        let by_id = rows_by_id(state.records.frame(to));
        for &source in uncoupled.of(to.other()) {
            let id = new_id(&context.pipeline.name, &map.name, to, state.records.frame(to.other()).id(source));
            let made = by_id.get(&id).copied().filter(|row| free.of(to).contains(row));
            found.extend(made.map(|made| match to {
                Side::Erp => (to, PerSide { erp: made, crm: source }),
                Side::Crm => (to, PerSide { erp: source, crm: made }),
            }));
        }
    }
    found.retain(|(_, rows)| Side::BOTH.iter().any(|side| state.asks_row(*side, *rows.of(*side))));
    let mut taken: PerSide<HashSet<usize>> = PerSide::default();
    for (to, rows) in found {
        let why = format!("made in the {} for it by an earlier run, as its id tells", to.name());
        if !couple_rows(context, map, (rows, Origin::Created(to), why), state, links) {
            continue;
        }
        state.report.recognised += 1;
        for side in Side::BOTH {
            taken.of_mut(side).insert(*rows.of(side));
        }
    }
    for side in Side::BOTH {
        uncoupled.of_mut(side).retain(|row| !taken.of(side).contains(row));
    }
}

/// Gives new records on `to` other ids where theirs belong to what has another partner since, or is kept apart.
pub(super) fn avoid_others(
    step: &Step<'_>,
    store: &dyn Store,
    state: &PassState,
    to: Side,
    actions: &mut [Action],
) -> Result<(), StoreError> {
    let new = |action: &&mut Action| action.kind == ActionKind::Insert;
    if !actions.iter_mut().any(|action| new(&action)) {
        return Ok(());
    }
    let couplings = store.couplings(&step.map.name, &[])?;
    let mut taken: HashSet<Uuid> = store.kept_apart(&step.map.name)?.of(to).clone();
    taken.extend(if to == Side::Erp { couplings.erp } else { couplings.crm });
    taken.extend(state.records.pairs().ids.iter().map(|ids| *ids.of(to)));
    for action in actions.iter_mut().filter(new) {
        let source = *action.ids.of(to.other());
        while taken.contains(action.ids.of(to)) {
            let id = *action.ids.of(to);
            *action.ids.of_mut(to) = restored_id(&step.context.pipeline.name, &step.map.name, to, source, id);
        }
    }
    Ok(())
}
