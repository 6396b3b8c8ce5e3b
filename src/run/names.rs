//! What a pass tells the references of other table maps: its couplings, and the keys of its records.

use std::collections::HashSet;

use crate::config::{PerSide, Side, TableMap};
use crate::endpoint::TableInfo;
use crate::frame::{Frame, Kind};
use crate::plan::{ActionKind, TablePlan};
use crate::run::Context;
use crate::run::state::PassState;
use crate::translate::Links;

/// Stands in a plan for a key that the side gives to a new record, such as the next number of a series.
const UNTOLD: &str = "(NEW)";

/// Tells the links what the records of this table map are called, for references of others.
pub(super) fn name_records(
    context: &Context<'_>,
    map: &TableMap,
    state: &PassState,
    beyond: &PerSide<Frame>,
    links: &mut Links,
) {
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
        table.label_all(label, &state.frames.crm);
    }
    for (side, column) in columns {
        table.name_all(side, column, state.frames.of(side));
        table.name_all(side, column, beyond.of(side));
    }
    for ids in &state.pairs.ids {
        table.couple(ids.erp, ids.crm);
    }
}

/// In a dry run, takes planned records for real, so that the plan of later tables is what a run would do.
pub(super) fn assume(
    context: &Context<'_>,
    map: &TableMap,
    infos: &PerSide<TableInfo>,
    plan: &TablePlan,
    links: &mut Links,
) {
    let is_id = |side: Side, column: &str| {
        infos.of(side).column(column).is_some_and(|info| info.column.kind == Kind::Guid && info.targets.is_empty())
    };
    let references: Vec<_> = context
        .pipeline
        .tables
        .iter()
        .flat_map(|table| &table.fields)
        .filter_map(|field| field.reference.as_ref())
        .filter(|reference| reference.table == map.name)
        .collect();
    let table = links.table(&map.name);
    for action in plan.actions.iter().filter(|action| action.kind == ActionKind::Insert) {
        table.couple(action.ids.erp, action.ids.crm);
        for reference in &references {
            let column = match action.side {
                Side::Erp => Some(&reference.erp),
                Side::Crm => reference.crm.as_ref(),
            };
            let Some(column) = column else { continue };
            let id = *action.ids.of(action.side);
            match action.fields.iter().find(|field| field.column == *column) {
                Some(value) => table.name(action.side, column, id, &value.new.to_string()),
                // An id that nobody gives is the one that we chose.
                None if is_id(action.side, column) => table.name(action.side, column, id, &id.to_string()),
                None => table.name(action.side, column, id, UNTOLD),
            }
        }
    }
}
