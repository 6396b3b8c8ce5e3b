//! References that one side of a pair has cleared, where nobody has looked yet whether what they led to is still there.
//!
//! A side clears by itself what refers to a record that is deleted there. A run that reads parts, leaves out the table map
//! that a reference leads to, or has not come to it yet, sees the blank and not the deletion. So that side is asked, by id,
//! for the records that the other side still refers to, or referred to where its record was deleted since. Where one is gone
//! its partner is left, as by a run that had read both: the blank waits for what becomes of that one, and whoever is made
//! anew leads to it again. Where it is there the blank is an edit like any other.

use std::collections::{BTreeMap, HashSet};

use uuid::Uuid;

use crate::config::{FieldMap, PerSide, Reference, Side, When};
use crate::couple::rows_by_id;
use crate::delta::judging::is_cleared;
use crate::frame::Value;
use crate::run::ground::Ground;
use crate::run::needs::name_keys;
use crate::run::orphans::there;
use crate::run::partners::Widowed;
use crate::run::state::PassState;
use crate::run::step::{PassError, Turn};
use crate::store::Store;
use crate::translate::canonical::{BLANK, own};
use crate::translate::links::Links;

/// Pairs of which a record may be gone, by the number of their table map and the side of that record.
type Doubtful = BTreeMap<(usize, Side), HashSet<PerSide<Uuid>>>;

/// Tells the links which of the records are gone that a cleared reference led to, save in fields that wait for another step.
pub(super) fn seek_cleared(
    turn: &Turn<'_>,
    left_out: &[bool],
    store: &dyn Store,
    state: &PassState,
    links: &mut Links,
) -> Result<(), PassError> {
    let Turn { context, map, .. } = *turn;
    let mut doubtful = Doubtful::default();
    for (number, field) in map.fields.iter().enumerate().filter(|(number, _)| !left_out[*number]) {
        let Some(reference) = field.reference.as_ref().filter(|_| field.when != When::Create) else { continue };
        if links.table(&reference.table).is_complete() {
            continue;
        }
        for side in Side::BOTH {
            let values = kept(state, (number, field), side);
            let ids = ids(turn, reference, side.other(), &values, links)?;
            let table = links.table(&reference.table);
            let pairs = ids.into_iter().filter_map(|id| {
                let partner = table.partner(side.other(), id).filter(|partner| !table.makes(side, *partner))?;
                Some(PerSide::from_fn(|of| if of == side { partner } else { id }))
            });
            doubtful.entry((context.target(reference), side)).or_default().extend(pairs);
        }
    }
    for ((target, side), mut pairs) in doubtful {
        let there = there(context, store, target, side, pairs.iter().map(|ids| *ids.of(side)))?;
        pairs.retain(|ids| !there.contains(ids.of(side)));
        let table = links.table(&context.pipeline.tables[target].name);
        pairs.into_iter().for_each(|ids| table.bereave(side, ids));
    }
    Ok(())
}

/// Tells the links what became of the records that a reference led to which a survivor has lost while the other record is to be
/// made anew. That one may lead at once to whoever is there, so no field waits for another step.
pub(super) fn seek_lost(
    turn: &Turn<'_>,
    store: &dyn Store,
    state: &PassState,
    (widowed, ground): (&[Widowed], &Ground),
    links: &mut Links,
) -> Result<(), PassError> {
    let Turn { context, map, .. } = *turn;
    let beyond = PerSide::from_fn(|side| rows_by_id(ground.beyond.of(side)));
    let mut doubtful = Doubtful::default();
    for (number, field) in map.fields.iter().enumerate() {
        let both = Side::BOTH.into_iter().all(|side| field.writes(side));
        let Some(reference) = field.reference.as_ref().filter(|_| both) else { continue };
        if links.table(&reference.table).is_complete() {
            continue;
        }
        let mut held: PerSide<Vec<Value>> = PerSide::default();
        for widow in widowed {
            let left = widow.gone.other();
            let outside = || Some((ground.beyond.of(left), *beyond.of(left).get(widow.ids.of(left))?));
            let inside = widow.row.map(|row| (state.records.frame(left), row));
            let Some((frame, row)) = inside.or_else(outside) else { continue };
            let base = ground.couplings.bases[number][widow.coupling];
            let was_led = base.is_some_and(|base| is_cleared(*base.of(left), BLANK));
            let is_blank = |column| frame.value(column, row).is_blank();
            if was_led && field.column(left).is_some_and(is_blank) {
                let mut kept = store.base_values(&map.name, widow.ids.erp, widow.ids.crm)?;
                let kept = kept.remove(&field.key()).map(|kept| Value::Text(kept.of(widow.gone).clone()));
                held.of_mut(widow.gone).extend(kept);
            }
        }
        for side in Side::BOTH {
            let pairs = doubtful.entry((context.target(reference), side.other())).or_default();
            for id in ids(turn, reference, side, held.of(side), links)? {
                pairs.extend(store.coupling_of(&reference.table, side, id)?.map(|coupling| coupling.ids));
            }
        }
    }
    for ((target, side), pairs) in doubtful {
        let there = |side: Side| there(context, store, target, side, pairs.iter().map(|ids| *ids.of(side)));
        let there = PerSide { erp: there(Side::Erp)?, crm: there(Side::Crm)? };
        let is_there = |side: Side, ids: &PerSide<Uuid>| there.of(side).contains(ids.of(side));
        let table = links.table(&context.pipeline.tables[target].name);
        // Nobody is led to whom both sides have lost.
        for ids in pairs.iter().copied().filter(|ids| is_there(side.other(), ids)) {
            match is_there(side, &ids) {
                true => table.couple(ids.erp, ids.crm),
                false => table.bereave(side, ids),
            }
        }
    }
    Ok(())
}

/// Returns what the other side of those pairs refers to of which `side` has cleared a field since they were last settled.
fn kept(state: &PassState, (number, field): (usize, &FieldMap), side: Side) -> Vec<Value> {
    let (Some(column), Some(other)) = (field.column(side), field.column(side.other())) else { return Vec::new() };
    let (pairs, own) = (state.records.pairs(), own(state.records.frame(side), side, column));
    let cleared = |pair: &usize| {
        let (ids, row) = (pairs.ids[*pair], *pairs.rows[*pair].of(side));
        state.asks(Some(ids.erp), Some(ids.crm))
            && pairs.bases[number][*pair].is_some_and(|base| is_cleared(*base.of(side), own[row]))
    };
    let value = |pair: usize| state.records.frame(side.other()).value(other, *pairs.rows[pair].of(side.other()));
    (0..pairs.len()).filter(cleared).map(value).filter(|value| !value.is_blank()).collect()
}

/// Returns the records of a side that values of it refer to.
fn ids(
    turn: &Turn<'_>,
    reference: &Reference,
    side: Side,
    values: &[Value],
    links: &mut Links,
) -> Result<Vec<Uuid>, PassError> {
    if side == Side::Erp {
        let keys = values.iter().filter(|key| links.refers_to(reference, side, key).is_none());
        let keys = keys.map(ToString::to_string).collect();
        name_keys(turn.context, reference, keys, links)?;
    }
    Ok(values.iter().filter_map(|value| links.refers_to(reference, side, value)).collect())
}
