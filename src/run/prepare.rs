//! Before the first pass: whose state this is, and of which tables; whether the file fits the metadata of both sides; and whom
//! the records that are not visited are coupled with.

use std::collections::HashSet;

use uuid::Uuid;

use crate::binding::Binding;
use crate::config::{PerSide, Pipeline, Side, TableMap};
use crate::endpoint::{Endpoint, EndpointError, Key, Query};
use crate::extract::{self, Scope, SideScope};
use crate::misfit::{Misfit, Told, misfits, no_table, other_table};
use crate::order::Pass;
use crate::run::RunError;
use crate::run::context::Context;
use crate::run::rows::without;
use crate::store::{InboxKind, Store, StoreError};
use crate::translate::links::Links;

/// Opens both sides and returns what a state of this pipeline belongs to; refuses one that is `bound` to another.
pub fn belongs_to(
    pipeline: &Pipeline,
    endpoints: PerSide<&dyn Endpoint>,
    bound: Option<&Binding>,
) -> Result<Binding, RunError> {
    if let Some(bound) = bound {
        bound.of_pipeline(&pipeline.name)?;
    }
    let sides = PerSide { erp: endpoints.erp.open()?, crm: endpoints.crm.open()? };
    if let Some(bound) = bound {
        bound.of_sides(&sides)?;
    }
    Ok(Binding { pipeline: pipeline.name.clone(), sides })
}

/// Asks for the metadata of all passes and holds the file against it; nothing is read before everything fits.
pub(super) fn describe(
    pipeline: &Pipeline,
    passes: &[Pass],
    endpoints: PerSide<&dyn Endpoint>,
) -> Result<Vec<Scope>, RunError> {
    let asked = PerSide { erp: Some(endpoints.erp), crm: Some(endpoints.crm) };
    let Compared { told, misfits, troubles } = compare(&pipeline.tables, passes, asked);
    if let Some(error) = troubles.into_iter().next() {
        return Err(error.into());
    }
    if !misfits.is_empty() {
        return Err(RunError::Mapping(misfits));
    }
    let both = |Told { table, sides: PerSide { erp, crm } }| Some(Scope::of(table, PerSide { erp: erp?, crm: crm? }));
    Ok(told.into_iter().filter_map(both).collect())
}

/// Table maps held against what the sides say of their tables.
#[derive(Debug)]
pub struct Compared {
    /// Those of the passes, in their order.
    pub told: Vec<Told>,
    /// Everything that does not fit, tables that a side does not have among it.
    pub misfits: Vec<Misfit>,
    /// Why a side did not say everything, each once.
    pub troubles: Vec<EndpointError>,
}

/// Asks for the metadata of all passes and holds the table maps against it, with either side alone where the other cannot
/// be asked.
pub fn compare(tables: &[TableMap], passes: &[Pass], endpoints: PerSide<Option<&dyn Endpoint>>) -> Compared {
    let needed = needed(tables, passes);
    let visited = |table: &usize| passes.iter().any(|pass| pass.table == *table);
    let (mut absent, mut troubles) = (Vec::new(), Vec::new());
    let mut asked = endpoints;
    for side in Side::BOTH {
        let names: Vec<&str> = needed.iter().map(|table| tables[*table].sides.of(side).table.as_str()).collect();
        if let Some(Err(error)) = asked.of(side).map(|endpoint| endpoint.prepare(&names)) {
            troubles.push(error);
            *asked.of_mut(side) = None;
        }
    }
    let mut describe = |table: usize| {
        let sides = PerSide::from_fn(|side| match SideScope::describe(tables, table, (*asked.of(side))?) {
            Ok(scope) => Some(scope),
            Err(EndpointError::NoTable { .. }) => {
                absent.push(no_table(&tables[table], side));
                None
            }
            Err(error) => {
                // Whoever answers may answer about the next table; whoever does not would take as long for each.
                if !matches!(error, EndpointError::Refused { .. }) {
                    *asked.of_mut(side) = None;
                }
                if !troubles.contains(&error) {
                    troubles.push(error);
                }
                None
            }
        });
        Told { table, sides }
    };
    let told: Vec<Told> = passes.iter().map(|pass| describe(pass.table)).collect();
    let others: Vec<Told> = needed.into_iter().filter(|table| !visited(table)).map(describe).collect();
    absent.extend(misfits(tables, &told, &others));
    Compared { told, misfits: absent, troubles }
}

/// Returns the numbers of the table maps that passes visit or refer to: the keys of the latter have to be there, too.
pub(super) fn needed(tables: &[TableMap], passes: &[Pass]) -> Vec<usize> {
    let visited = |table: usize| passes.iter().any(|pass| pass.table == table);
    let referred = |table: usize| passes.iter().any(|pass| tables[pass.table].refers_to(&tables[table].name));
    (0..tables.len()).filter(|table| visited(*table) || referred(*table)).collect()
}

/// Finds, of the table maps of these numbers, those whose couplings are about another table than the file names now: held against
/// that one, coupled records that it does not hold would count as deleted.
///
/// Another name alone is no objection, since a table has more than one: where every coupled record is found under its id, it is
/// the same one. Sides that know their records by keys make the ids of the name as well, so there it is always another.
pub fn elsewhere(
    tables: &[TableMap],
    numbers: &[usize],
    endpoints: PerSide<Option<&dyn Endpoint>>,
    store: &dyn Store,
) -> Result<Vec<Misfit>, RunError> {
    let noted = store.noted_tables()?;
    let mut found = Vec::new();
    for &table in numbers {
        let map = &tables[table];
        let Some(before) = noted.get(&map.name) else { continue };
        for side in Side::BOTH.into_iter().filter(|side| *before.of(*side) != map.sides.of(*side).table) {
            let Some(endpoint) = *endpoints.of(side) else { continue };
            let coupled = coupled_on(store, map, side)?;
            let there = holds(tables, table, endpoint, &coupled)?;
            if there < coupled.len() {
                found.push(other_table(map, side, before.of(side), (there, coupled.len())));
            }
        }
    }
    Ok(found)
}

/// Returns the records of a side that are coupled, but for pairs of which one is known to be gone.
fn coupled_on(store: &dyn Store, map: &TableMap, side: Side) -> Result<HashSet<Uuid>, StoreError> {
    let gone = store.inbox(Some(&map.name))?.into_iter().filter(|item| item.kind == InboxKind::Deleted);
    let gone: HashSet<Uuid> = gone.filter_map(|item| item.erp_id).collect();
    let couplings = store.couplings(&map.name, &[])?;
    let pairs = couplings.erp.into_iter().zip(couplings.crm).filter(|(erp, _)| !gone.contains(erp));
    Ok(pairs.map(|(erp, crm)| if side == Side::Erp { erp } else { crm }).collect())
}

/// Returns how many of these records the table holds that a table map names now.
fn holds(
    tables: &[TableMap],
    table: usize,
    endpoint: &dyn Endpoint,
    ids: &HashSet<Uuid>,
) -> Result<usize, EndpointError> {
    // More are fewer requests where the whole table is read.
    const BY_ID_MAX: usize = 1_000;
    let scope = match SideScope::describe(tables, table, endpoint) {
        Ok(scope) if !matches!(scope.info.key, Key::Values(_)) => scope,
        Ok(_) | Err(EndpointError::NoTable { .. }) => return Ok(0),
        Err(error) => return Err(error),
    };
    let asked = (ids.len() <= BY_ID_MAX).then(|| ids.iter().copied().collect());
    let query = Query { info: &scope.info, columns: scope.columns.clone(), filter: None, ids: asked };
    Ok(endpoint.read(&query, &|_| {})?.ids().iter().filter(|id| ids.contains(id)).count())
}

/// Notes of which tables the couplings of these table maps are from now on.
pub fn note_tables<'a>(maps: impl Iterator<Item = &'a TableMap>, store: &mut dyn Store) -> Result<(), StoreError> {
    let noted = store.noted_tables()?;
    let now = maps.map(|map| (map.name.clone(), PerSide::from_fn(|side| map.sides.of(side).table.clone())));
    let fresh: Vec<_> = now.filter(|(name, tables)| noted.get(name) != Some(tables)).collect();
    if fresh.is_empty() { Ok(()) } else { store.note_tables(&fresh) }
}

/// Fills the links of table maps that the run refers to but does not visit: stored couplings, and the keys read anew.
pub(super) fn link_unselected(
    context: &Context<'_>,
    passes: &[Pass],
    store: &dyn Store,
    links: &mut Links,
) -> Result<(), RunError> {
    let visited = |table: usize| passes.iter().any(|pass| pass.table == table);
    for (table, map) in context.pipeline.tables.iter().enumerate() {
        let references = || {
            let maps = passes.iter().map(|pass| &context.pipeline.tables[pass.table]);
            maps.flat_map(|map| &map.fields).filter_map(|field| field.reference.as_ref())
        };
        if visited(table) || !references().any(|reference| reference.table == map.name) {
            continue;
        }
        let couplings = store.couplings(&map.name, &[])?;
        let mut scope = Scope::describe(context.pipeline, table, context.endpoints)?;
        for side in Side::BOTH {
            let mut columns: Vec<String> = Vec::new();
            for reference in references().filter(|reference| reference.table == map.name) {
                let column = match side {
                    Side::Erp => Some(&reference.erp),
                    Side::Crm => reference.crm.as_ref(),
                };
                columns.extend(column.filter(|column| !columns.contains(column)).cloned());
            }
            // A run over changes, or over named records, asks for the keys that it needs.
            if columns.is_empty() || context.reads_parts() {
                continue;
            }
            let mut read = columns.clone();
            let filter = map.sides.of(side).filter.iter().flat_map(|filter| filter.columns());
            filter.for_each(|column| read.extend((!read.contains(column)).then(|| column.clone())));
            *scope.columns.of_mut(side) = read;
            let frame = extract::read_all(&scope, side, *context.endpoints.of(side))?;
            // Who is neither coupled nor inside the filter is nobody's reference, as where the table map has its turn.
            let coupled = if side == Side::Erp { &couplings.erp } else { &couplings.crm };
            let mut known = extract::inside(map, side, frame.clone())?.referred();
            known.extend(coupled);
            let frame = without(&frame, |id| !known.contains(id));
            for column in &columns {
                links.table(&map.name).name_all(side, column, &frame);
            }
        }
        // Of a pair of which one record is gone, and nobody decided what follows, which of the two it is does not matter:
        // it leads nowhere, and what refers to it waits.
        let undecided = store.inbox(Some(&map.name))?.into_iter().filter(|item| item.kind == InboxKind::Deleted);
        let undecided: HashSet<(Uuid, Uuid)> = undecided.filter_map(|item| item.erp_id.zip(item.crm_id)).collect();
        let table = links.table(&map.name);
        for (&erp, &crm) in couplings.erp.iter().zip(&couplings.crm) {
            if undecided.contains(&(erp, crm)) {
                table.leave(Side::Erp, erp);
                table.leave(Side::Crm, crm);
            } else {
                table.couple(erp, crm);
            }
        }
    }
    Ok(())
}
