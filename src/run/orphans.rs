//! References to records that have lost their partner, marked in the state as long as nobody has settled them again.
//!
//! A side clears by itself what refers to a record that is deleted there. Within the run that sees the deletion that is known by
//! the record. A later run, in which it may have been made anew, sees a blank: of a pair that had no turn in between, because
//! the run was over other records, was cut off or could not write it, only the mark tells that nobody edited it. The ERP's
//! new record has the key of the old one, so that nothing else does.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::{PerSide, Side, When};
use crate::frame::{Kind, Value};
use crate::run::partners::Widowed;
use crate::run::state::PassState;
use crate::run::step::Turn;
use crate::store::{Settlement, Store, StoreError, Terms};
use crate::translate::canonical::fingerprint;

/// Marks whatever led to these pairs when it was last settled, in all table maps of the file, and where a value may be put back
/// once the side that lost its record has one again.
///
/// A field that the CRM alone gives remembers the ERP's key and not the CRM's id; its owner's value goes over again without
/// any mark, as `drift` says.
pub(super) fn mark(
    turn: &Turn<'_>,
    store: &mut dyn Store,
    state: &mut PassState,
    widowed: &[Widowed],
) -> Result<(), StoreError> {
    let Turn { context, map, pass, .. } = *turn;
    if widowed.is_empty() || context.options.dry_run {
        return Ok(());
    }
    let id = |widow: &Widowed| fingerprint(&Value::Guid(widow.ids.crm), Side::Crm, Kind::Guid);
    let lost =
        PerSide::from_fn(|gone| widowed.iter().filter(|widow| widow.gone == gone).map(id).collect::<HashSet<u64>>());
    for other in &context.pipeline.tables {
        let leads_here = |number: &usize| {
            let field = &other.fields[*number];
            let reference = field.reference.as_ref().filter(|_| field.when != When::Create);
            reference.is_some_and(|reference| context.target(reference) == pass.table)
        };
        let numbers: Vec<usize> = (0..other.fields.len()).filter(leads_here).collect();
        if numbers.is_empty() {
            continue;
        }
        let keys: Vec<String> = numbers.iter().map(|number| other.fields[*number].key()).collect();
        let couplings = store.couplings(&other.name, &keys)?;
        let leads_to_lost = |at: usize, place: usize| {
            let Some(base) = couplings.bases[place][at] else { return false };
            let field = &other.fields[numbers[place]];
            let is_lost = |gone: Side| field.writes(gone) && lost.of(gone).contains(&base.crm);
            let is_marked = couplings.terms.of(couplings.erp[at], place) == Terms::ORPHANED;
            !is_marked && Side::BOTH.into_iter().any(is_lost)
        };
        let mut marked = Vec::new();
        for at in 0..couplings.len() {
            let orphaned: Vec<usize> = (0..keys.len()).filter(|place| leads_to_lost(at, *place)).collect();
            if orphaned.is_empty() {
                continue;
            }
            if other.name == map.name {
                orphaned.iter().for_each(|place| state.records.orphan(couplings.erp[at], numbers[*place]));
            }
            marked.push(marking(couplings.erp[at], couplings.crm[at], &orphaned, keys.len()));
        }
        if !marked.is_empty() {
            store.commit(&other.name, &keys, &[], &marked)?;
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
