//! Coupled records that are outside their filter only because a deletion cleared a reference that the filter reads.
//!
//! A record outside its filter is not compared, so nobody would put that reference back. Once what it led to was made
//! anew, the pair is taken back among those that are compared: its reference is written, and with that it is inside.
//! A reference that a person cleared leads to the same record as before, and stays cleared.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{FieldMap, OnDelete, PerSide, Side, TableMap, When};
use crate::couple::{Absent, Pairs, rows_by_id};
use crate::delta::Work;
use crate::delta::judging::{Judged, judge_pairs};
use crate::delta::merge::{Verdict, Why};
use crate::delta::restore::cleared_since;
use crate::endpoint::EndpointError;
use crate::extract;
use crate::frame::builder::Builder;
use crate::frame::{Frame, Value};
use crate::run::decided;
use crate::run::deletions::text_before;
use crate::run::ground::{Ground, Loose};
use crate::run::needs::{name_ids, name_needed};
use crate::run::orphans;
use crate::run::partners::Widowed;
use crate::run::rows::without;
use crate::run::state::PassState;
use crate::run::step::{PassError, Turn};
use crate::store::{Origin, Store};
use crate::translate::Translator;
use crate::translate::links::Links;

/// Moves the pairs that a restored reference brings back inside from what the couplings leave over to what is compared.
pub(super) fn take_back(
    turn: &Turn<'_>,
    store: &dyn Store,
    state: &mut PassState,
    (ground, loose): (&mut Ground, &mut Loose),
    links: &mut Links,
) -> Result<(), PassError> {
    let Turn { context, map, pass, .. } = *turn;
    for side in Side::BOTH {
        let columns = map.sides.of(side).filter.as_ref().map_or(&[][..], |filter| filter.columns());
        let fields: Vec<usize> = (0..map.fields.len())
            .filter(|&number| {
                let field = &map.fields[number];
                let read = field.column(side).is_some_and(|column| columns.iter().any(|read| read == column));
                // What waits for the second step would come back only after the rest was written.
                field.reference.is_some() && field.writes(side) && read && !pass.deferred[number]
            })
            .collect();
        if fields.is_empty() || !context.writes(side) {
            continue;
        }
        let cleared = cleared(state, ground, loose, side, map, &fields);
        if cleared.is_empty() {
            continue;
        }
        let (frames, pairs) = excerpt(state, ground, side, map, &cleared);
        name_needed(context, map, turn.scope, &pass.deferred, &frames, links)?;
        let held = (&frames, &pairs, state.records.terms());
        let unseen = orphans::unseen(turn, &pass.deferred, store, held, links)?;
        unseen.into_iter().for_each(|(erp, field)| state.records.orphan(erp, field));
        let step = turn.step(links);
        let judged = judge_pairs(&Work { frames: &frames, pairs: &pairs, ..state.work(&step) })?;
        let mut given: HashMap<Uuid, Vec<(&str, Value)>> = HashMap::new();
        for judged in judged.iter().filter(|judged| fields.contains(&judged.field)) {
            if let Some(value) = put_back(store, map, side, judged, links)
                && let Some(column) = map.fields[judged.field].column(side)
            {
                given.entry(*judged.ids.of(side)).or_default().push((column, value));
            }
        }
        let mut back: HashSet<Uuid> = HashSet::new();
        for row in 0..frames.of(side).rows() {
            let Some(values) = given.get(&frames.of(side).id(row)) else { continue };
            let paper = with_values(frames.of(side), row, values)
                .map_err(|message| EndpointError::Untrusted { side, message })?;
            if extract::inside(map, side, paper)?.frame.rows() == 1 {
                back.insert(frames.of(side).id(row));
            }
        }
        compare(state, ground, &loose.absent, side, &back);
        loose.absent.retain(|absent| !back.contains(absent.ids.of(side)));
    }
    Ok(())
}

/// Moves the survivors among what is compared whose partners are to be made anew, and which are inside with the references that
/// these get back and they have lost.
///
/// The links have been told what became of the records that these references led to.
pub(super) fn take_in(
    turn: &Turn<'_>,
    store: &dyn Store,
    state: &mut PassState,
    ground: &mut Ground,
    (absent, widowed): (&mut [Absent], &mut [Widowed]),
    links: &mut Links,
) -> Result<(), PassError> {
    let Turn { context, map, .. } = *turn;
    let goes_both_ways = Side::BOTH.into_iter().all(|side| context.writes(side) && map.direction.writes(side));
    for left in Side::BOTH.into_iter().filter(|side| goes_both_ways && map.sides.of(*side).filter.is_some()) {
        let there = rows_by_id(ground.beyond.of(left));
        let is_wanted = |widow: &&Widowed| {
            let (id, on_delete) = (widow.ids.of(left), decided::on_delete(map, &state.by_people, widow.ids));
            let is_there = there.contains_key(id) && ground.beyond.of(left).unreadable(*id).is_none();
            widow.gone != left && is_there && on_delete == OnDelete::Restore
        };
        let wanted: Vec<PerSide<Uuid>> = widowed.iter().filter(is_wanted).map(|widow| widow.ids).collect();
        if wanted.is_empty() {
            continue;
        }
        let rows: Vec<usize> = wanted.iter().map(|ids| there[ids.of(left)]).collect();
        let survivors = ground.beyond.of(left).take(&rows);
        let back = inside_again(turn, store, state, (left, &wanted, &survivors), links)?;
        compare(state, ground, absent, left, &back);
        let rows = rows_by_id(state.records.frame(left));
        let row = |ids: &PerSide<Uuid>| rows.get(ids.of(left)).copied().filter(|_| back.contains(ids.of(left)));
        for absent in absent.iter_mut() {
            *absent.rows.of_mut(left) = row(&absent.ids).or(*absent.rows.of(left));
        }
        widowed.iter_mut().for_each(|widow| widow.row = row(&widow.ids).or(widow.row));
    }
    Ok(())
}

/// Returns which survivors of a side, one of each of these pairs, are inside their filter with the references that they have lost.
fn inside_again(
    turn: &Turn<'_>,
    store: &dyn Store,
    state: &PassState,
    (left, pairs, survivors): (Side, &[PerSide<Uuid>], &Frame),
    links: &mut Links,
) -> Result<HashSet<Uuid>, PassError> {
    let Turn { context, map, scope, .. } = *turn;
    let gone = left.other();
    let untrusted = |side: Side| move |message: String| EndpointError::Untrusted { side, message };
    // What the partners will hold of these references once they are made.
    let columns = scope.empty(gone).columns().to_vec();
    let mut builder = Builder::new(columns.clone());
    let step = turn.step(links);
    let work = state.work(&step);
    for (row, ids) in pairs.iter().enumerate() {
        let remembered = store.base_values(&map.name, ids.erp, ids.crm)?;
        let lost = |(number, field): (usize, &FieldMap)| {
            // What goes over once only would not come back to the survivor.
            let own = field.column(left).filter(|_| field.when != When::Create)?;
            if !survivors.value(own, row).is_blank() {
                return None;
            }
            let (column, value) = cleared_since(&work, (number, field), gone, *ids, &remembered)?;
            Some((column.to_owned(), value))
        };
        let lost: HashMap<String, Value> = map.fields.iter().enumerate().filter_map(lost).collect();
        for (number, column) in columns.iter().enumerate() {
            let value = lost.get(&column.name).unwrap_or(&Value::Null);
            builder.push_value(number, value).map_err(|error| untrusted(gone)(error.to_string()))?;
        }
        builder.end(*ids.of(gone), "");
    }
    let mut frames = PerSide::from_fn(|side| scope.empty(side));
    *frames.of_mut(gone) = builder.finish();
    let partners = frames.of(gone);
    let mut given: Vec<Vec<(&str, Value)>> = vec![Vec::new(); pairs.len()];
    for field in &map.fields {
        let (Some(own), Some(column)) = (field.column(gone), field.column(left)) else { continue };
        let Some(reference) = &field.reference else { continue };
        if !links.table(&reference.table).is_complete() {
            name_ids(context, field, reference, &frames, links)?;
        }
        let Some(info) = scope.infos.of(left).column(column) else { continue };
        let Some(to_left) = Translator::new(field, left, info, links, partners)? else { continue };
        let is_lost = |row: &usize| survivors.value(column, *row).is_blank() && !partners.value(own, *row).is_blank();
        for row in (0..pairs.len()).filter(is_lost) {
            given[row].extend(to_left.value(row).ok().map(|value| (column, value)));
        }
    }
    let mut back = HashSet::new();
    for (row, given) in given.iter().enumerate().filter(|(_, given)| !given.is_empty()) {
        let paper = with_values(survivors, row, given).map_err(untrusted(left))?;
        if extract::inside(map, left, paper)?.frame.rows() == 1 {
            back.insert(survivors.id(row));
        }
    }
    Ok(back)
}

/// Returns the couplings of which this side's record is outside its filter and alone in that, with a reference that is blank now
/// and was settled, or was to be settled when the other side's record had been made.
fn cleared(
    state: &PassState,
    ground: &Ground,
    loose: &Loose,
    side: Side,
    map: &TableMap,
    fields: &[usize],
) -> Vec<Absent> {
    let beyond = ground.beyond.of(side);
    let there = rows_by_id(beyond);
    let was_cleared = |absent: &&Absent| {
        let Some(&row) = there.get(absent.ids.of(side)).filter(|_| absent.rows.of(side.other()).is_some()) else {
            return false;
        };
        beyond.unreadable(*absent.ids.of(side)).is_none()
            && fields.iter().any(|&field| {
                let blank = map.fields[field].column(side).is_some_and(|column| beyond.value(column, row).is_blank());
                let was_made = ground.couplings.origins[absent.coupling] == Origin::Created(side.other());
                blank && (was_made || ground.couplings.bases[field][absent.coupling].is_some())
            })
    };
    let asked = |absent: &&Absent| state.asks(Some(absent.ids.erp), Some(absent.ids.crm));
    loose.absent.iter().filter(asked).filter(was_cleared).copied().collect()
}

/// Returns both records of these couplings, and the pairs that they are.
fn excerpt(
    state: &PassState,
    ground: &Ground,
    side: Side,
    map: &TableMap,
    absent: &[Absent],
) -> (PerSide<Frame>, Pairs) {
    let frames = PerSide::from_fn(|of| {
        let frame = if of == side { ground.beyond.of(of) } else { state.records.frame(of) };
        let rows = rows_by_id(frame);
        frame.take(&absent.iter().filter_map(|absent| rows.get(absent.ids.of(of)).copied()).collect::<Vec<_>>())
    });
    let mut pairs = Pairs::new(map.fields.len());
    for (row, absent) in absent.iter().enumerate() {
        pairs.push_coupling(&ground.couplings, absent.coupling, PerSide { erp: row, crm: row });
    }
    (frames, pairs)
}

/// Returns the reference that is put back on a side, where the decision is to do so.
fn put_back(store: &dyn Store, map: &TableMap, side: Side, judged: &Judged, links: &mut Links) -> Option<Value> {
    let restored = match judged.verdict {
        Verdict::Write(to, Why::Restored(_)) => to == side,
        // The other side's record was made anew with it.
        Verdict::Write(to, Why::FirstValue(of)) => to == side && judged.facts.created == Some(of),
        // Of a field with one owner it is the owner's edit, that the same value leads elsewhere: it is no edit where what
        // the field led to before has no partner any more.
        Verdict::Write(to, Why::Edited(owner)) if to == side && owner != side => {
            let before = text_before(store, map, judged.ids, side, judged.field);
            let before = before.and_then(|text| Uuid::parse_str(&text).ok());
            let table = &map.fields[judged.field].reference.as_ref()?.table;
            before.is_some_and(|id| links.table(table).partner(side, id).is_none())
        }
        _ => false,
    };
    let value = judged.arriving.of(side).as_ref().filter(|_| restored)?.as_ref().ok()?;
    (!value.is_blank()).then(|| value.clone())
}

/// Returns one record with other values in some columns.
fn with_values(frame: &Frame, row: usize, values: &[(&str, Value)]) -> Result<Frame, String> {
    let mut builder = Builder::new(frame.columns().to_vec());
    for (number, column) in frame.columns().iter().enumerate() {
        let given = values.iter().find(|(name, _)| *name == column.name).map(|(_, value)| value.clone());
        let value = given.unwrap_or_else(|| frame.value(&column.name, row));
        builder.push_value(number, &value).map_err(|error| error.to_string())?;
    }
    builder.end(frame.id(row), frame.etag(row).as_deref().unwrap_or_default());
    Ok(builder.finish())
}

/// Takes records of a side, by their ids, among those that are compared, and their pairs, of those that are `absent`.
fn compare(state: &mut PassState, ground: &mut Ground, absent: &[Absent], side: Side, back: &HashSet<Uuid>) {
    if back.is_empty() {
        return;
    }
    let returns = without(ground.beyond.of(side), |id| !back.contains(id));
    *ground.beyond.of_mut(side) = without(ground.beyond.of(side), |id| back.contains(id));
    state.records.bring_back(side, &returns, &ground.couplings, absent);
    *state.report.rows.of_mut(side) += returns.rows() as u64;
}
