//! Records that people keep apart: neither matched nor created anew.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::couple::resembling::found_beyond;
use crate::extract::Scope;
use crate::frame::Frame;
use crate::run::context::Context;
use crate::run::state::PassState;
use crate::run::step::PassError;
use crate::store::Store;
use crate::translate::links::Links;

/// Takes out of uncoupled rows what is kept apart, and counts it.
pub(super) fn set_apart(
    context: &Context<'_>,
    store: &dyn Store,
    map: &TableMap,
    state: &mut PassState,
    uncoupled: &mut PerSide<Vec<usize>>,
) -> Result<PerSide<Frame>, PassError> {
    let apart = store.kept_apart(&map.name)?;
    Ok(PerSide::from_fn(|side| {
        let frame = state.records.frame(side);
        let ids = frame.ids();
        let (kept, free): (Vec<usize>, Vec<usize>) =
            std::mem::take(uncoupled.of_mut(side)).into_iter().partition(|row| {
                // Whoever wants a partner made for a record ends that it is kept apart.
                let freed = context.options.selection.create && state.asks_row(side, *row);
                apart.of(side).contains(&ids[*row]) && !freed
            });
        *uncoupled.of_mut(side) = free;
        let asked: HashSet<Uuid> = kept.iter().filter(|row| state.asks_row(side, **row)).map(|row| ids[*row]).collect();
        if map.direction.writes(side.other()) {
            state.tally.skip(side.other(), asked.len());
        }
        state.aside.keep_apart(side, asked);
        state.records.frame(side).take(&kept)
    }))
}

/// Names, of the rows of `from` that would get a new partner, those that look like a record kept apart, with its row.
pub(super) fn like_one_apart(
    scope: &Scope,
    map: &TableMap,
    state: &PassState,
    from: Side,
    rows: &[usize],
    apart: &Frame,
    links: &Links,
) -> HashMap<usize, usize> {
    if apart.rows() == 0 || rows.is_empty() {
        return HashMap::new();
    }
    found_beyond(map, &scope.infos, from, state.records.frame(from), rows, apart, links)
}

/// Says of a record who is `there` already, so that no partner is made: kept apart, or else outside the filter.
pub(super) fn who_is_there(there: &str, is_apart: bool) -> String {
    match is_apart {
        true => format!("{there}, which is kept apart, looks the same"),
        false => format!("{there} is there already, outside the filter"),
    }
}
