//! The bases of a pass: moved after a confirmed write or where both sides agree, and written to the state (I1).

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{FieldMap, PerSide, Side, TableMap, When};
use crate::delta::held_now;
use crate::frame::{Frame, Value};
use crate::plan::{Action, ActionKind};
use crate::run::state::{PassState, Step};
use crate::run::{Context, Event};
use crate::store::{Settlement, Store, StoreError};
use crate::translate::BLANK;

/// Settlements in one transaction.
const SETTLEMENTS_MAX: usize = 20_000;

pub(super) fn set_base(state: &mut PassState, pair: usize, field: usize, base: Option<PerSide<u64>>) {
    if state.pairs.bases[field][pair] == base {
        return;
    }
    state.pairs.bases[field][pair] = base;
    let fields = state.unsaved.entry(state.pairs.ids[pair].erp).or_default();
    if !fields.contains(&field) {
        fields.push(field);
    }
}

/// What the fields of the records to be updated hold before the write.
pub(super) fn before_write(state: &PassState, map: &TableMap, to: Side, actions: &[Action]) -> HashMap<Uuid, Vec<u64>> {
    let wanted: HashSet<Uuid> =
        actions.iter().filter(|action| action.kind == ActionKind::Update).map(|action| *action.ids.of(to)).collect();
    let frame = state.frames.of(to);
    frame
        .ids()
        .into_iter()
        .enumerate()
        .filter(|(_, id)| wanted.contains(id))
        .map(|(row, id)| {
            let held = map.fields.iter().map(|field| match field.column(to) {
                Some(column) => fingerprint_in(frame, to, column, row),
                None => BLANK,
            });
            (id, held.collect())
        })
        .collect()
}

fn fingerprint_in(frame: &Frame, side: Side, column: &str, row: usize) -> u64 {
    let kind = frame.column(column).map_or(crate::frame::Kind::Text, |column| column.kind);
    crate::translate::fingerprint(&frame.value(column, row), side, kind)
}

/// Moves the bases of written pairs to what both sides hold now (I1).
///
/// What the server made of a written value, and what it changed besides, is that side's base from now on: the version
/// that the write demanded proves that no person did it. A field that the written side owns is left to the next round.
#[expect(clippy::too_many_arguments, reason = "each is one thing that a round holds; a struct would only rename them")]
pub(super) fn move_bases(
    context: &Context<'_>,
    map: &TableMap,
    step: &Step<'_>,
    state: &mut PassState,
    to: Side,
    actions: &[Action],
    written: &[usize],
    before: &HashMap<Uuid, Vec<u64>>,
) {
    let by_erp: HashMap<Uuid, usize> = state.pairs.ids.iter().enumerate().map(|(pair, ids)| (ids.erp, pair)).collect();
    let mut moved: Vec<(usize, usize, Option<PerSide<u64>>)> = Vec::new();
    let mut notes = Vec::new();
    {
        let work = state.work(context, map, step);
        for action in written.iter().map(|&index| &actions[index]) {
            let Some(&pair) = by_erp.get(&action.ids.erp) else { continue };
            let rows = state.pairs.rows[pair];
            for (number, field) in map.fields.iter().enumerate() {
                if step.left_out[number] {
                    continue;
                }
                let change = action.fields.iter().find(|change| change.field == Some(number));
                let owned_there = field.writes(to.other()) && !field.writes(to);
                let now = held_now(&work, number, rows);
                if let Some(change) = change {
                    moved.push((pair, number, Some(now)));
                    let column = field.column(to).unwrap_or_default();
                    let got = work.frames.of(to).value(column, *rows.of(to));
                    if differs(&change.new, &got) {
                        notes.push(format!(
                            "{}: the {} made `{got}` of `{}` in {column}",
                            action.record,
                            to.name(),
                            change.new
                        ));
                    }
                } else if owned_there {
                    continue;
                } else if action.kind == ActionKind::Insert {
                    let source_blank = *now.of(to.other()) == BLANK;
                    let insertable = field
                        .column(to)
                        .and_then(|column| work.infos.of(to).column(column))
                        .is_some_and(|info| info.insertable);
                    if field.writes(to) && insertable && source_blank && field.when != When::Update {
                        moved.push((pair, number, Some(now)));
                    }
                } else if let (Some(base), Some(held)) =
                    (state.pairs.bases[number][pair], before.get(action.ids.of(to)))
                {
                    let (was, is) = (held[number], *now.of(to));
                    if was != is && *base.of(to) == was {
                        let mut base = base;
                        *base.of_mut(to) = is;
                        moved.push((pair, number, Some(base)));
                        notes.push(format!("{}: the {} changed {} on its own", action.record, to.name(), field.name()));
                    }
                }
            }
        }
    }
    for (pair, field, base) in moved {
        set_base(state, pair, field, base);
    }
    for note in notes {
        (context.tell)(Event::Note { table: &map.name, message: &note });
    }
}

/// Tells whether a side holds something else than what was written.
fn differs(written: &Value, held: &Value) -> bool {
    match (written, held) {
        (Value::Link { id, .. }, Value::Guid(held)) => id != held,
        (Value::Decimal(written), Value::Decimal(held)) => written != held,
        (written, held) => written.to_string() != held.to_string(),
    }
}

/// Writes couplings' bases that moved, in transactions of bounded size.
pub(super) fn save(store: &mut dyn Store, map: &TableMap, state: &mut PassState) -> Result<(), StoreError> {
    if state.unsaved.is_empty() {
        return Ok(());
    }
    let keys: Vec<String> = map.fields.iter().map(FieldMap::key).collect();
    let mut settlements = Vec::new();
    for pair in 0..state.pairs.len() {
        let ids = state.pairs.ids[pair];
        let Some(mut fields) = state.unsaved.remove(&ids.erp) else { continue };
        fields.sort_unstable();
        let rows = state.pairs.rows[pair];
        let text = |field: usize, side: Side| match map.fields[field].column(side) {
            Some(column) => state.frames.of(side).value(column, *rows.of(side)).to_string(),
            None => String::new(),
        };
        settlements.push(Settlement {
            erp: ids.erp,
            crm: ids.crm,
            base: state.pairs.bases.iter().map(|field| field[pair]).collect(),
            values: fields
                .into_iter()
                .map(|field| (field, PerSide { erp: text(field, Side::Erp), crm: text(field, Side::Crm) }))
                .collect(),
        });
        if settlements.len() == SETTLEMENTS_MAX {
            store.commit(&map.name, &keys, &[], &settlements)?;
            settlements.clear();
        }
    }
    state.unsaved.clear();
    if settlements.is_empty() { Ok(()) } else { store.commit(&map.name, &keys, &[], &settlements) }
}
