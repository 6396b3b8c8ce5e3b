//! Records without partner in, those that get a new one out.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Side};
use crate::couple::resembling::{doubles, found_beyond};
use crate::delta::Held;
use crate::delta::doubt::{Scene, hold_doubts};
use crate::extract;
use crate::frame::Frame;
use crate::run::agenda::Agenda;
use crate::run::apart::{like_one_apart, who_is_there};
use crate::run::context::Context;
use crate::run::given::gives_key;
use crate::run::ground::Ground;
use crate::run::notes::{count, note_it};
use crate::run::rows::{not_in, unreadable_in, without};
use crate::run::state::PassState;
use crate::run::step::{PassError, Step};
use crate::run::unreadable::leave_resembling;

/// Chooses, of the rows without partner, those that get a new one: not where nothing is created, not where the other side
/// has the record already, kept apart or outside its filter, and nobody wants it doubled, and not two for what is one record by
/// the first match rule.
///
/// Of records that the pass is not about nothing is told. Those that would get one too may keep others from it.
pub(super) fn alone_of(
    step: &Step<'_>,
    state: &mut PassState,
    rows: PerSide<Vec<usize>>,
    ground: &Ground,
) -> Result<Agenda, PassError> {
    let Ground { couplings, apart, besides, undecided, .. } = ground;
    let Step { context, scope, map, links, .. } = *step;
    let mut agenda = Agenda::default();
    for to in Side::BOTH {
        let from = to.other();
        let (asked, others) = split(state, from, rows.of(from));
        let (opposite, _) = split(state, to, rows.of(to));
        let mut rows = asked.clone();
        if needs_others(step, to, (&asked, &opposite)) {
            rows.extend(others);
        }
        // Running numbers count past these, too, also where one is only made anew.
        let (doubtful, _) = undecided.of(to);
        if doubtful.rows() > 0 {
            *agenda.beyond.of_mut(to) = Some(doubtful.clone());
        }
        if !map.create.on(to) {
            if map.direction.writes(to) {
                state.tally.skip(to, asked.len());
            }
            continue;
        }
        if !context.options.selection.double {
            let like = like_one_apart(scope, map, state, from, &rows, apart.of(to), links);
            let looks_like = |there: &str| who_is_there(there, true);
            let what = "a record that is kept apart there looks the same";
            leave_unpartnered(context, state, to, &mut rows, (&like, apart.of(to)), what, &looks_like);
        }
        if !rows.is_empty() && (map.sides.of(to).filter.is_some() || besides.is_some()) {
            let outside = match besides {
                // What a match rule could find was asked for already.
                Some(besides) if asked.is_empty() || !(map.counts_on(to) || gives_key(scope, map, to)) => {
                    besides.of(to).clone()
                }
                _ => {
                    let all = extract::read_beyond(map, scope, to, *context.endpoints.of(to))?;
                    not_in(&all, state.records.frame(to))
                }
            };
            let ids = if to == Side::Erp { &couplings.erp } else { &couplings.crm };
            let coupled: HashSet<&Uuid> = ids.iter().collect();
            let free = without(&outside, |id| coupled.contains(id));
            if !context.options.selection.double {
                leave_resembling(step, state, from, &mut rows, &unreadable_in(&free));
            }
            let found = found_beyond(map, &scope.infos, from, state.records.frame(from), &rows, &free, links);
            let is_there = |there: &str| who_is_there(there, false);
            let what = "they are there already, outside the filter";
            if !context.options.selection.double {
                leave_unpartnered(context, state, to, &mut rows, (&found, &free), what, &is_there);
            }
            match agenda.beyond.of_mut(to) {
                Some(beyond) => beyond.upsert(&outside),
                beyond => *beyond = Some(outside),
            }
        }
        let doubts = doubles(map, &scope.infos, from, state.records.frame(from), &rows, links);
        if !doubts.is_empty() {
            let beyond = PerSide::from_fn(|side| scope.empty(side));
            let scene = Scene { map, names: state.records.names(), frames: state.records.frames(), beyond: &beyond };
            let held = hold_doubts(&scene, &doubts, std::iter::empty());
            let held: Vec<Held> = held.into_iter().filter(|held| state.asks(held.ids.erp, held.ids.crm)).collect();
            state.waits.hold_all(held);
            let doubtful: HashSet<usize> = doubts.iter().map(|doubt| doubt.row).collect();
            rows.retain(|row| !doubtful.contains(row));
        }
        let ids = |rows: Vec<usize>| rows.into_iter().map(|row| state.records.frame(from).id(row)).collect();
        let (sources, others) = split(state, from, &rows);
        (*agenda.sources.of_mut(from), *agenda.bystanders.of_mut(from)) = (ids(sources), ids(others));
    }
    Ok(agenda)
}

/// Parts the rows that the pass is about from the others.
fn split(state: &PassState, side: Side, rows: &[usize]) -> (Vec<usize>, Vec<usize>) {
    rows.iter().partition(|row| state.asks_row(side, **row))
}

/// Tells whether it counts who else would get a partner on `to` than the rows `asked` for: they may be the same as one of these,
/// or be made there as one of the `opposite` rows is.
fn needs_others(step: &Step<'_>, to: Side, (asked, opposite): (&[usize], &[usize])) -> bool {
    let Step { context, map, scope, .. } = *step;
    // Whoever wants a partner made for one of several that may be the same has said which of them gets it.
    let doubles = !context.options.selection.create && !asked.is_empty();
    let twins = !context.options.selection.double && !opposite.is_empty();
    doubles || (twins && map.create.on(to.other()) && gives_key(scope, map, to))
}

/// Leaves alone, of the rows that would get a partner on `to`, those that have somebody there already: row and row there.
/// One note tells `what` of all of them; `why` tells it of one, by the name of who is there.
fn leave_unpartnered(
    context: &Context<'_>,
    state: &mut PassState,
    to: Side,
    rows: &mut Vec<usize>,
    (found, there): (&HashMap<usize, usize>, &Frame),
    what: &str,
    why: &dyn Fn(&str) -> String,
) {
    let from = to.other();
    let (known, others): (Vec<usize>, Vec<usize>) = rows.iter().partition(|row| found.contains_key(row));
    *rows = others;
    let (known, _) = split(state, from, &known);
    let Some(&first) = known.first() else { return };
    let first = state.records.name(from, first);
    let (records, more) = (count(known.len(), "record"), if known.len() > 1 { ", …" } else { "" });
    let note = format!("{records} not created in the {}: {what} ({first}{more})", to.name());
    note_it(context, &mut state.report, note);
    state.tally.skip(to, known.len());
    for row in known {
        let reason = why(&state.records.names().row(there, to, found[&row]));
        state.aside.leave_unpartnered(from, state.records.frame(from).id(row), reason);
    }
}
