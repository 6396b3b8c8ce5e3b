//! What a pass tells the references of other table maps: its couplings, and the keys of its records.

use std::collections::HashSet;

use crate::config::{PerSide, Side, TableMap};
use crate::frame::Frame;
use crate::plan::{ActionKind, TablePlan};
use crate::run::Context;
use crate::run::state::PassState;
use crate::translate::Links;

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
pub(super) fn assume(context: &Context<'_>, map: &TableMap, plan: &TablePlan, links: &mut Links) {
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
            let value = column.and_then(|column| action.fields.iter().find(|field| field.column == *column));
            if let (Some(column), Some(value)) = (column, value) {
                table.name(action.side, column, *action.ids.of(action.side), &value.new.to_string());
            }
        }
    }
}
