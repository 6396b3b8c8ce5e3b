//! Records without partner in, those that get a new one out.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap, TemplateValue};
use crate::couple::{doubles, found_beyond};
use crate::delta::doubt::{Scene, hold_doubts};
use crate::extract;
use crate::run::apart::like_one_apart;
use crate::run::notes::{count, note_it};
use crate::run::opening::Ground;
use crate::run::partners::{outside, without};
use crate::run::rounds::Alone;
use crate::run::state::{PassError, PassState, Step};

/// Chooses, of the rows without partner, those that get a new one: not where nothing is created, not where the other side
/// has the record already, outside its filter, and not two for what is one record by the first match rule.
pub(super) fn alone_of(
    step: &Step<'_>,
    state: &mut PassState,
    rows: PerSide<Vec<usize>>,
    ground: &Ground,
) -> Result<Alone, PassError> {
    let Ground { couplings, apart, besides, .. } = ground;
    let Step { context, scope, map, links, .. } = *step;
    let mut alone = Alone::default();
    for to in Side::BOTH {
        let from = to.other();
        let mut rows = rows.of(from).clone();
        if !map.create.on(to) {
            if map.direction.writes(to) {
                *state.tally.skipped.of_mut(to) += rows.len() as u64;
            }
            continue;
        }
        let like = match context.options.selection.create {
            true => Vec::new(),
            false => like_one_apart(scope, map, state, from, &rows, apart.of(to), links),
        };
        if let Some(&first) = like.first() {
            let note = format!(
                "{} not created in the {}: a record that is kept apart there looks the same ({}{})",
                count(like.len(), "record"),
                to.name(),
                state.names.row(state.frames.of(from), from, first),
                if like.len() > 1 { ", …" } else { "" }
            );
            note_it(context, &mut state.report, note);
            *state.tally.skipped.of_mut(to) += like.len() as u64;
            rows.retain(|row| !like.contains(row));
        }
        if !rows.is_empty() && (map.sides.of(to).filter.is_some() || besides.is_some()) {
            let outside = match besides {
                // What a match rule could find was asked for already.
                Some(besides) if !counts_on(map, to) => besides.of(to).clone(),
                _ => {
                    let all = extract::read_beyond(map, scope, to, *context.endpoints.of(to))?;
                    outside(&all, state.frames.of(to))
                }
            };
            let ids = if to == Side::Erp { &couplings.erp } else { &couplings.crm };
            let coupled: HashSet<&Uuid> = ids.iter().collect();
            let free = without(&outside, |id| coupled.contains(id));
            let frame = state.frames.of(from);
            let found = found_beyond(map, &scope.infos, from, frame, &rows, &free, links);
            if let Some(&first) = found.first() {
                let note = format!(
                    "{} not created in the {}: they are there already, outside the filter ({}{})",
                    count(found.len(), "record"),
                    to.name(),
                    state.names.row(frame, from, first),
                    if found.len() > 1 { ", …" } else { "" }
                );
                note_it(context, &mut state.report, note);
                *state.tally.skipped.of_mut(to) += found.len() as u64;
                let found: HashSet<usize> = found.into_iter().collect();
                rows.retain(|row| !found.contains(row));
            }
            *alone.beyond.of_mut(to) = Some(outside);
        }
        let doubts = doubles(map, &scope.infos, from, state.frames.of(from), &rows, links);
        if !doubts.is_empty() {
            let beyond = PerSide::from_fn(|side| scope.empty(side));
            let scene = Scene { map, names: &state.names, frames: &state.frames, beyond: &beyond };
            let held = hold_doubts(&scene, &doubts, std::iter::empty());
            state.held.extend(held);
            rows.retain(|row| !doubts.iter().any(|doubt| doubt.row == *row));
        }
        *alone.ids.of_mut(from) = rows.iter().map(|&row| state.frames.of(from).id(row)).collect();
    }
    Ok(alone)
}

/// Tells whether a new record on `to` gets a number past all that are there.
fn counts_on(map: &TableMap, to: Side) -> bool {
    let values = map.on_create.iter().filter(|template| template.side == to).flat_map(|template| &template.set);
    values.into_iter().any(|(_, value)| matches!(value, TemplateValue::NextNumber { .. }))
}
