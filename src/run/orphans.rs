//! References to records that have lost their partner, marked in the state as long as nobody has settled them again.
//!
//! A side clears by itself what refers to a record that is deleted there. Within the run that sees the deletion that is known by
//! the record. A later run, in which it may have been made anew, sees a blank: of a pair that had no turn in between, because
//! the run was over other records, was cut off or could not write it, only the mark tells that nobody edited it. The ERP's
//! new record has the key of the old one, so that nothing else does.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::{PerSide, Pipeline, Side, When};
use crate::frame::{Kind, Value};
use crate::run::partners::Widowed;
use crate::run::state::PassState;
use crate::run::step::Turn;
use crate::store::{Settlement, Store, StoreError, Terms};
use crate::translate::canonical::fingerprint;

/// Marks what led to these pairs, in the state and in what the pass holds of it.
pub(super) fn mark_widowed(
    turn: &Turn<'_>,
    store: &mut dyn Store,
    state: &mut PassState,
    widowed: &[Widowed],
) -> Result<(), StoreError> {
    let Turn { context, map, pass, .. } = *turn;
    if context.options.dry_run {
        return Ok(());
    }
    let lost = PerSide::from_fn(|gone| {
        widowed.iter().filter(|widow| widow.gone == gone).map(|widow| widow.ids.crm).collect::<Vec<Uuid>>()
    });
    let mut own = |table: &str, erp: Uuid, field: usize| {
        if table == map.name {
            state.records.orphan(erp, field);
        }
    };
    mark(context.pipeline, pass.table, &lost, store, &mut own)
}

/// Marks whatever led to pairs of a table map when it was last settled, in all table maps of the file, and where a value may be
/// put back once the side that lost its record has one again. `lost` are the pairs, by that side and the id that the CRM's record
/// has or had; `tell` is told the table map, the ERP id and the number of each field that is marked.
///
/// A field that the CRM alone gives remembers the ERP's key and not the CRM's id; its owner's value goes over again without
/// any mark, as `drift` says. Where both sides did not agree, the difference is what has to be remembered.
pub fn mark(
    pipeline: &Pipeline,
    table: usize,
    lost: &PerSide<Vec<Uuid>>,
    store: &mut dyn Store,
    tell: &mut dyn FnMut(&str, Uuid, usize),
) -> Result<(), StoreError> {
    let print = |id: &Uuid| fingerprint(&Value::Guid(*id), Side::Crm, Kind::Guid);
    let lost = PerSide::from_fn(|gone| lost.of(gone).iter().map(print).collect::<HashSet<u64>>());
    if lost.erp.is_empty() && lost.crm.is_empty() {
        return Ok(());
    }
    for map in &pipeline.tables {
        let leads_there = |number: &usize| {
            let field = &map.fields[*number];
            let reference = field.reference.as_ref().filter(|_| field.when != When::Create);
            reference.is_some_and(|reference| reference.table == pipeline.tables[table].name)
        };
        let numbers: Vec<usize> = (0..map.fields.len()).filter(leads_there).collect();
        if numbers.is_empty() {
            continue;
        }
        let keys: Vec<String> = numbers.iter().map(|number| map.fields[*number].key()).collect();
        let couplings = store.couplings(&map.name, &keys)?;
        let leads_to_lost = |at: usize, place: usize| {
            let Some(base) = couplings.bases[place][at] else { return false };
            let is_lost = |gone: Side| map.fields[numbers[place]].writes(gone) && lost.of(gone).contains(&base.crm);
            let agreed = couplings.terms.of(couplings.erp[at], place) == Terms::AGREED;
            agreed && Side::BOTH.into_iter().any(is_lost)
        };
        let mut marked = Vec::new();
        for at in 0..couplings.len() {
            let orphaned: Vec<usize> = (0..keys.len()).filter(|place| leads_to_lost(at, *place)).collect();
            if !orphaned.is_empty() {
                orphaned.iter().for_each(|place| tell(&map.name, couplings.erp[at], numbers[*place]));
                marked.push(marking(couplings.erp[at], couplings.crm[at], &orphaned, keys.len()));
            }
        }
        if !marked.is_empty() {
            store.commit(&map.name, &keys, &[], &marked)?;
        }
    }
    Ok(())
}

/// Marks fields of a pair, and settles none.
fn marking(erp: Uuid, crm: Uuid, orphaned: &[usize], fields: usize) -> Settlement {
    let terms = orphaned.iter().map(|place| (*place, Terms::ORPHANED)).collect();
    Settlement { erp, crm, base: vec![None; fields], values: Vec::new(), terms, whole: false }
}

/// Takes over the marks that other table maps, which came later, have left on pairs of this one.
pub(super) fn recall(turn: &Turn<'_>, store: &dyn Store, state: &mut PassState) -> Result<(), StoreError> {
    let Turn { context, map, pass, .. } = *turn;
    let waits = pass.deferred.iter().enumerate().filter(|(_, deferred)| **deferred).map(|(number, _)| number);
    let numbers: Vec<usize> = waits.collect();
    if numbers.is_empty() || context.options.dry_run {
        return Ok(());
    }
    let keys: Vec<String> = numbers.iter().map(|number| map.fields[*number].key()).collect();
    let terms = store.couplings(&map.name, &keys)?.terms;
    for (erp, fields) in &terms.differing {
        let orphaned = fields.iter().filter(|(_, terms)| *terms == Terms::ORPHANED);
        orphaned.for_each(|(place, _)| state.records.orphan(*erp, numbers[*place]));
    }
    Ok(())
}
