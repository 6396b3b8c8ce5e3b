//! One table map's turn: extract, couple, decide, apply, verify, settle.
//!
//! Decisions are made for all pairs at once, carried out, and what was written is looked at again. References in a
//! circle wait for the second step, when every table map had its turn.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{FieldMap, PerSide, Side};
use crate::couple::{Pairs, found_beyond, join, match_rows};
use crate::delta::{hold_doubt, name_row};
use crate::extract::{self, Scope};
use crate::frame::Frame;
use crate::order::Pass;
use crate::plan::TablePlan;
use crate::run::count::finish;
use crate::run::intents::settle_intents;
use crate::run::names::{assume, name_records};
use crate::run::partners::{absent, outside, take_matches};
use crate::run::rounds::rounds;
use crate::run::state::{PassError, PassState, Step, Tally};
use crate::run::{Context, Event, TableReport};
use crate::store::Store;
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
    let keys: Vec<String> = map.fields.iter().map(FieldMap::key).collect();

    if !context.options.dry_run {
        settle_intents(context, store, scope, map)?;
    }
    let progress = |side: Side, rows: usize| (context.tell)(Event::Reading { table: &map.name, side, rows });
    let frames = extract::read(map, scope, context.endpoints, &progress)?;
    let mut state = PassState {
        frames,
        pairs: Pairs::new(map.fields.len()),
        held: Vec::new(),
        plan: TablePlan { table: map.name.clone(), ..TablePlan::default() },
        unsaved: HashMap::new(),
        tally: Tally::default(),
        report: TableReport { table: map.name.clone(), ..TableReport::default() },
        inbox: Vec::new(),
    };
    state.report.rows = PerSide::from_fn(|side| state.frames.of(side).rows() as u64);

    let couplings = store.couplings(&map.name, &keys)?;
    let joined = join(&state.frames, &couplings);
    state.pairs = joined.pairs;
    let beyond = absent(context, store, scope, map, &joined.absent, &mut state, links)?;
    for (erp, crm) in couplings.erp.iter().zip(&couplings.crm) {
        links.table(&map.name).couple(*erp, *crm);
    }
    let coupled: PerSide<HashSet<Uuid>> =
        PerSide { erp: couplings.erp.iter().copied().collect(), crm: couplings.crm.iter().copied().collect() };
    state.report.seconds.extract = clock() - began;

    (context.tell)(Event::Merging { table: &map.name });
    let merging = clock();
    let matched = match_rows(map, &scope.infos, &state.frames, links, &joined.uncoupled);
    take_matches(context, store, map, &matched.matches, &mut state, links)?;
    for doubt in &matched.doubts {
        let held = hold_doubt(map, &state.frames, doubt);
        state.held.push(held);
    }
    let mut alone = matched.alone;
    let mut seen_beyond: PerSide<Option<Frame>> = PerSide::default();
    for to in Side::BOTH {
        let from = to.other();
        if !map.create.on(to) {
            if map.direction.writes(to) {
                *state.tally.skipped.of_mut(to) += alone.of(from).len() as u64;
            }
            alone.of_mut(from).clear();
            continue;
        }
        if alone.of(from).is_empty() || map.sides.of(to).filter.is_none() {
            continue;
        }
        let all = extract::read_all(scope, to, *context.endpoints.of(to))?;
        let outside = outside(&all, state.frames.of(to), coupled.of(to));
        let frame = state.frames.of(from);
        let found = found_beyond(map, &scope.infos, from, frame, alone.of(from), &outside, links);
        if !found.is_empty() {
            let first = name_row(map, frame, from, found[0]);
            let note = format!(
                "{} not created in the {}: they are there already, outside the filter ({first}{})",
                count(found.len(), "record"),
                to.name(),
                if found.len() > 1 { ", …" } else { "" }
            );
            note_it(context, &mut state.report, note);
            *state.tally.skipped.of_mut(to) += found.len() as u64;
            let found: HashSet<usize> = found.into_iter().collect();
            alone.of_mut(from).retain(|row| !found.contains(row));
        }
        *seen_beyond.of_mut(to) = Some(outside);
    }
    name_records(context, map, &state, &beyond, links);
    state.report.seconds.merge = clock() - merging;

    {
        let step = Step { scope, links, left_out: turn.deferred.clone() };
        rounds(context, store, map, &step, &mut state, Some((&alone, &seen_beyond)))?;
    }
    name_records(context, map, &state, &beyond, links);
    if context.options.dry_run {
        assume(context, map, &scope.infos, &state.plan, links);
    }
    finish(context, store, map, &keys, &mut state)?;
    Ok(state)
}

/// Writes the references that had to wait until every table map had its turn.
pub fn second_step(
    context: &Context<'_>,
    store: &mut dyn Store,
    scope: &Scope,
    turn: &Pass,
    links: &Links,
    state: &mut PassState,
) -> Result<(), PassError> {
    let map = &context.pipeline.tables[turn.table];
    let keys: Vec<String> = map.fields.iter().map(FieldMap::key).collect();
    let step = Step { scope, links, left_out: turn.deferred.iter().map(|deferred| !deferred).collect() };
    rounds(context, store, map, &step, state, None)?;
    finish(context, store, map, &keys, state)
}

fn note_it(context: &Context<'_>, report: &mut TableReport, note: String) {
    (context.tell)(Event::Note { table: &report.table, message: &note });
    report.notes.push(note);
}

fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}
