//! References to records that have lost their partner, marked in the state as long as nobody has settled them again.
//!
//! A side clears by itself what refers to a record that is deleted there. Within the run that sees the deletion that is known by
//! the record. A later run, in which it may have been made anew, sees a blank: of a pair that had no turn in between, because
//! the run was over other records, was cut off or could not write it, only the mark tells that nobody edited it: the ERP's
//! new record may have the key of the old one. That it has another one, or the CRM's another id, tells also of a deletion that
//! no run has seen.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Pipeline, Reference, Side, When};
use crate::couple::Pairs;
use crate::delta::judging::is_cleared;
use crate::extract::{self, Scope};
use crate::frame::{Frame, Kind, Value};
use crate::run::context::Context;
use crate::run::needs::name_keys;
use crate::run::partners::Widowed;
use crate::run::reading::sorted;
use crate::run::remembered;
use crate::run::state::PassState;
use crate::run::step::{PassError, Turn};
use crate::store::{Settlement, Store, StoreError, Terms};
use crate::translate::canonical::{fingerprint, own};
use crate::translate::links::Links;

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

/// Finds the references of pairs that one side has cleared, where what the other one still refers to has another partner than when
/// they were settled, and that one is gone: nobody has seen its deletion, and the pair has no mark. Returns the ERP ids and the
/// fields. Where the former partner is there, somebody parted the two, and the blank is an edit like any other.
pub(super) fn unseen(
    turn: &Turn<'_>,
    left_out: &[bool],
    store: &dyn Store,
    (frames, pairs, terms): (&PerSide<Frame>, &Pairs, &Terms),
    links: &mut Links,
) -> Result<Vec<(Uuid, usize)>, PassError> {
    let Turn { context, map, .. } = *turn;
    let mut found = Vec::new();
    for (number, field) in map.fields.iter().enumerate().filter(|(number, _)| !left_out[*number]) {
        let goes_both_ways = Side::BOTH.into_iter().all(|side| field.writes(side)) && field.when != When::Create;
        let Some(reference) = field.reference.as_ref().filter(|_| goes_both_ways) else { continue };
        let (Some(erp), Some(crm)) = (&field.erp, &field.crm) else { continue };
        let columns = PerSide { erp, crm };
        for side in Side::BOTH {
            let own = own(frames.of(side), side, columns.of(side));
            let partner = |pair: &usize| {
                let value =
                    frames.of(side.other()).value(columns.of(side.other()), *pairs.rows[*pair].of(side.other()));
                let is_left = links.left(reference, side.other(), &value).is_some();
                links.partner_of(reference, side.other(), &value).filter(|_| !is_left)
            };
            let moved = |pair: usize| {
                let base = pairs.bases[number][pair]?;
                let is_cleared = is_cleared(*base.of(side), own[*pairs.rows[pair].of(side)]);
                let is_marked = terms.of(pairs.ids[pair].erp, number) >= Terms::ORPHANED;
                let partner = (is_cleared && !is_marked).then(|| partner(&pair)).flatten()?;
                // The ERP remembers a key, which a record that was made anew may bear again.
                (side == Side::Erp || print(&partner) != base.crm).then_some((pairs.ids[pair], partner))
            };
            let moved: Vec<(PerSide<Uuid>, Uuid)> = (0..pairs.len()).filter_map(moved).collect();
            let mut former = HashMap::new();
            for (ids, partner) in moved {
                let kept = store.base_values(&map.name, ids.erp, ids.crm)?.remove(&field.key());
                former.insert(ids.erp, (partner, kept.map(|kept| kept.of(side).clone())));
            }
            let gone = match side {
                Side::Erp => without_key(turn, store, reference, former, links)?,
                Side::Crm => without_id(context, store, context.target(reference), former)?,
            };
            found.extend(gone.into_iter().map(|erp| (erp, number)));
        }
    }
    Ok(found)
}

/// What the ERP's record of a pair, by its id, refers to on a side: whom by now, and what was remembered.
type Former = HashMap<Uuid, (Uuid, Option<String>)>;

/// Returns those of which the ERP has no record any more that bears the key. Whose partner is the one that it was, that one has
/// only another key by now.
fn without_key(
    turn: &Turn<'_>,
    store: &dyn Store,
    reference: &Reference,
    mut former: Former,
    links: &mut Links,
) -> Result<Vec<Uuid>, PassError> {
    let Turn { context, map, .. } = *turn;
    let mut same = Vec::new();
    for (erp, (partner, _)) in &former {
        let settled = store.coupling_of(&map.name, Side::Erp, *erp)?.and_then(|coupling| coupling.settled_at);
        let coupled = store.coupling_of(&reference.table, Side::Erp, *partner)?.map(|coupling| coupling.coupled_at);
        let is_another = coupled.zip(settled).is_some_and(|(coupled, settled)| coupled > settled);
        same.extend((!is_another).then_some(*erp));
    }
    same.iter().for_each(|erp| drop(former.remove(erp)));
    let key = |key: &String| Value::Text(key.clone());
    let keys = former.values().filter_map(|(_, kept)| kept.clone());
    let unknown = keys.filter(|kept| links.refers_to(reference, Side::Erp, &key(kept)).is_none()).collect();
    name_keys(context, reference, unknown, links)?;
    let is_gone = |kept: &Option<String>| {
        kept.as_ref().is_some_and(|kept| links.refers_to(reference, Side::Erp, &key(kept)).is_none())
    };
    Ok(former.into_iter().filter(|(_, (_, kept))| is_gone(kept)).map(|(erp, _)| erp).collect())
}

/// Returns those of which the CRM has no record any more that bears the id. Of whom nobody knows any more who it was, nobody can
/// say that it is there.
fn without_id(context: &Context<'_>, store: &dyn Store, table: usize, former: Former) -> Result<Vec<Uuid>, PassError> {
    let id = |kept: &Option<String>| kept.as_ref().and_then(|kept| Uuid::parse_str(kept).ok());
    let there = there(context, store, table, Side::Crm, former.values().filter_map(|(_, kept)| id(kept)))?;
    let is_gone = |kept: &Option<String>| id(kept).is_none_or(|id| !there.contains(&id));
    Ok(former.into_iter().filter(|(_, (_, kept))| is_gone(kept)).map(|(erp, _)| erp).collect())
}

/// Asks a side which of these records of a table map are there, or may be.
pub(super) fn there(
    context: &Context<'_>,
    store: &dyn Store,
    table: usize,
    side: Side,
    ids: impl Iterator<Item = Uuid>,
) -> Result<HashSet<Uuid>, PassError> {
    let ids = sorted(ids.collect());
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let scope = Scope::describe(context.pipeline, table, context.endpoints)?;
    remembered::recall(context.endpoints, &scope, store, &context.pipeline.tables[table])?;
    let sought = extract::seek(&scope, side, *context.endpoints.of(side), ids)?;
    Ok(sought.frame.ids().into_iter().chain(sought.hidden.into_keys()).collect())
}

/// Marks fields of a pair, and settles none.
fn marking(erp: Uuid, crm: Uuid, orphaned: &[usize], fields: usize) -> Settlement {
    let terms = orphaned.iter().map(|place| (*place, Terms::ORPHANED)).collect();
    Settlement { erp, crm, base: vec![None; fields], values: Vec::new(), terms, whole: false }
}

/// Returns what is remembered of a reference to a record of the CRM.
fn print(id: &Uuid) -> u64 {
    fingerprint(&Value::Guid(*id), Side::Crm, Kind::Guid)
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
