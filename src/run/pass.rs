//! One table map's turn: extract, couple, decide, apply, verify, settle.
//!
//! Decisions are made for all pairs at once, carried out, and what was written is looked at again. References in a
//! circle wait for the second step, when every table map had its turn.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap, TemplateValue};
use crate::couple::taken::Coupled;
use crate::couple::{found_beyond, join, match_rows};
use crate::extract::{self, Scope};
use crate::frame::Frame;
use crate::order::Pass;
use crate::run::bases::keys;
use crate::run::beyond::{look_again, recall};
use crate::run::changed;
use crate::run::count::finish;
use crate::run::intents::settle_intents;
use crate::run::names::name_records;
use crate::run::needs::name_needed;
use crate::run::partners::{absent, outside, take_doubts, take_matches, without};
use crate::run::refusals::Refusals;
use crate::run::rounds::{Alone, rounds};
use crate::run::state::{PassError, PassState, Step};
use crate::run::{Context, Event, TableReport, marks};
use crate::store::{Couplings, Origin, Store};
use crate::translate::Links;

/// Brings a table map as far as its references allow, and tells `links` what it coupled.
pub fn first_step(
    context: &Context<'_>,
    store: &mut dyn Store,
    scope: &Scope,
    turn: &Pass,
    links: &mut Links,
) -> Result<PassState, PassError> {
    let map = &context.pipeline.tables[turn.table];
    let clock = || (context.options.elapsed)();
    let began = clock();

    let under_way = store.open_intents(&map.name)?;
    let made = settle_intents(context, store, scope, map)?;
    let couplings = couplings(context, store, map, &made)?;
    let reading = changed::read(context, store, scope, turn, &couplings, &under_way, links)?;
    let mut state = PassState::new(map, reading.frames);
    state.tally.recovered = made.len() as u64;
    state.refusals = Refusals::load(store, map)?;
    (state.report.mode, state.mark, state.again) = (reading.mode, reading.mark, reading.again);
    if let Some(note) = reading.note {
        note_it(context, &mut state.report, note);
    }
    match &reading.couplings {
        None => links.table(&map.name).complete(),
        Some(looked_at) => link_others(map, &couplings, looked_at, links),
    }
    let joined = join(&state.frames, reading.couplings.as_ref().unwrap_or(&couplings));
    state.pairs = joined.pairs;
    state.times = marks::times(context, scope, map);
    marks::settle_under_way(&mut state);
    marks::distrust(store, map, &mut state)?;
    let beyond = absent(context, store, scope, map, &joined.absent, &mut state, links)?;
    recall(store, map, &joined.absent, &couplings, &beyond, &mut state)?;
    for ids in &state.pairs.ids {
        links.table(&map.name).couple(ids.erp, ids.crm);
    }
    state.report.seconds.extract = clock() - began;

    (context.tell)(Event::Merging { table: &map.name });
    let merging = clock();
    name_needed(context, map, scope, &turn.deferred, &state.frames, links)?;
    let coupled = Coupled { pairs: &state.pairs, absent: &joined.absent, beyond: &beyond };
    let matched = match_rows(map, &scope.infos, &state.frames, links, &joined.uncoupled, &coupled);
    take_matches(context, store, map, &matched.matches, &mut state, links)?;
    take_doubts(map, &matched.doubts, &couplings, &beyond, &mut state);
    let alone = alone(context, scope, &mut state, matched.alone, &couplings, reading.beyond.as_ref(), links)?;
    name_records(context, map, &state, &beyond, links);
    state.report.seconds.merge = clock() - merging;

    {
        let step = Step { context, map, scope, links, left_out: turn.deferred.clone() };
        rounds(&step, store, &mut state, alone)?;
        look_again(&step, &mut state)?;
    }
    name_records(context, map, &state, &beyond, links);
    finish(context, store, map, &turn.deferred, &mut state)?;
    changed::note_seen(scope, &mut state);
    if state.report.new_couplings > 0 {
        links.table(&map.name).grow();
    }
    Ok(state)
}

/// Writes the references that had to wait until every table map had its turn.
pub fn second_step(
    context: &Context<'_>,
    store: &mut dyn Store,
    scope: &Scope,
    turn: &Pass,
    links: &mut Links,
    state: &mut PassState,
) -> Result<(), PassError> {
    let map = &context.pipeline.tables[turn.table];
    name_needed(context, map, scope, &vec![false; map.fields.len()], &state.frames, links)?;
    let left_out = turn.deferred.iter().map(|deferred| !deferred).collect();
    let step = Step { context, map, scope, links, left_out };
    rounds(&step, store, state, Alone::default())?;
    look_again(&step, state)?;
    finish(context, store, map, &[], state)?;
    changed::note_seen(scope, state);
    Ok(())
}

/// Returns the couplings of the state; a dry run adds those that a run would have `made` of open intents.
fn couplings(
    context: &Context<'_>,
    store: &dyn Store,
    map: &TableMap,
    made: &[(PerSide<Uuid>, Side)],
) -> Result<Couplings, PassError> {
    let mut couplings = store.couplings(&map.name, &keys(map))?;
    if context.options.dry_run {
        for (ids, side) in made {
            couplings.erp.push(ids.erp);
            couplings.crm.push(ids.crm);
            couplings.origins.push(Origin::Created(*side));
            couplings.bases.iter_mut().for_each(|field| field.push(None));
        }
    }
    Ok(couplings)
}

/// Chooses, of the rows without partner, those that get a new one: not where nothing is created, and not where the
/// other side has the record already, outside its filter.
fn alone(
    context: &Context<'_>,
    scope: &Scope,
    state: &mut PassState,
    rows: PerSide<Vec<usize>>,
    couplings: &Couplings,
    beyond: Option<&PerSide<Frame>>,
    links: &Links,
) -> Result<Alone, PassError> {
    let map = &context.pipeline.tables[scope.table];
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
        if !rows.is_empty() && (map.sides.of(to).filter.is_some() || beyond.is_some()) {
            let outside = match beyond {
                // What a match rule could find was asked for already.
                Some(beyond) if !counts_on(map, to) => beyond.of(to).clone(),
                _ => outside(&extract::read_all(scope, to, *context.endpoints.of(to))?, state.frames.of(to)),
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
        *alone.ids.of_mut(from) = rows.iter().map(|&row| state.frames.of(from).id(row)).collect();
    }
    Ok(alone)
}

/// Tells whether a new record on `to` gets a number past all that are there.
fn counts_on(map: &TableMap, to: Side) -> bool {
    let values = map.on_create.iter().filter(|template| template.side == to).flat_map(|template| &template.set);
    values.into_iter().any(|(_, value)| matches!(value, TemplateValue::NextNumber { .. }))
}

/// Tells the links of the couplings that the pass does not look at.
fn link_others(map: &TableMap, couplings: &Couplings, looked_at: &Couplings, links: &mut Links) {
    let looked_at: HashSet<&Uuid> = looked_at.erp.iter().collect();
    let table = links.table(&map.name);
    for (erp, crm) in couplings.erp.iter().zip(&couplings.crm).filter(|(erp, _)| !looked_at.contains(erp)) {
        table.couple(*erp, *crm);
    }
}

fn note_it(context: &Context<'_>, report: &mut TableReport, note: String) {
    (context.tell)(Event::Note { table: &report.table, message: &note });
    report.notes.push(note);
}

fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}
