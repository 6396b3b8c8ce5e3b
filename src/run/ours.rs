//! Records that a run of this pipeline made for another one, and of whose coupling the state knows nothing: a backup of an
//! earlier night was put in its place, or it was begun anew.
//!
//! The id of a record that we made is a function of the record that it was made for, so the two tell by themselves that
//! they belong together; match rules need not find that out, and without a number of their own they cannot.

use std::collections::HashSet;

use crate::config::{PerSide, Side, TableMap};
use crate::couple::rows_by_id;
use crate::delta::inserts::new_id;
use crate::run::context::Context;
use crate::run::partners::couple_rows;
use crate::run::state::PassState;
use crate::store::Origin;
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
        let by_id = rows_by_id(state.frames.of(to));
        for &source in uncoupled.of(to.other()) {
            let id = new_id(&context.pipeline.name, &map.name, to, state.frames.of(to.other()).id(source));
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
        for side in Side::BOTH {
            taken.of_mut(side).insert(*rows.of(side));
        }
    }
    for side in Side::BOTH {
        uncoupled.of_mut(side).retain(|row| !taken.of(side).contains(row));
    }
}
