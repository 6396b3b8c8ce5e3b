//! What a pass tells the references of other table maps: its couplings, and the keys of its records.

use std::collections::HashSet;

use crate::config::{Side, TableMap};
use crate::run::context::Context;
use crate::run::ground::Ground;
use crate::run::rows::without;
use crate::run::state::PassState;
use crate::translate::links::Links;

/// Tells the links what the records of this table map are called, for references of others.
pub(super) fn name_records(
    context: &Context<'_>,
    map: &TableMap,
    state: &PassState,
    ground: &Ground,
    links: &mut Links,
) {
    let Ground { beyond, undecided, .. } = ground;
    let references = context.pipeline.tables.iter().flat_map(|table| &table.fields);
    let references = references.filter_map(|field| field.reference.as_ref()).filter(|known| known.table == map.name);
    let mut columns: HashSet<(Side, &str)> = HashSet::new();
    for reference in references {
        columns.insert((Side::Erp, &reference.erp));
        if let Some(column) = &reference.crm {
            columns.insert((Side::Crm, column));
        }
    }
    let table = links.table(&map.name);
    if let (Some(label), false) = (&map.sides.crm.label, columns.is_empty()) {
        table.label_all(label, state.records.frame(Side::Crm));
    }
    for &(side, column) in &columns {
        table.name_all(side, column, state.records.frame(side));
        table.name_all(side, column, beyond.of(side));
        // A record that cannot be read is still somebody's reference.
        let (doubtful, _) = undecided.of(side);
        table.name_all(side, column, &without(doubtful, |id| doubtful.unreadable(*id).is_none()));
    }
    for ids in state.records.pairs().ids.iter().chain(state.aside.made()) {
        table.couple(ids.erp, ids.crm);
    }
    for side in Side::BOTH {
        state.consequences.bereft(side).iter().for_each(|id| table.leave(side, *id));
    }
}
