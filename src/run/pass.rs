//! One table map's turn: extract, couple, decide, apply, verify, settle.
//!
//! Decisions are made for all pairs at once, carried out, and what was written is looked at again. References in a
//! circle wait for the second step, when every table map had its turn.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap, TemplateValue};
use crate::couple::taken::Coupled;
use crate::couple::{doubles, found_beyond, join, match_rows};
use crate::delta::Held;
use crate::delta::doubt::{Scene, hold_doubts};
use crate::delta::guard::{Basis, HANDFUL, Trip};
use crate::delta::names::Names;
use crate::extract::{self, Inside, Scope};
use crate::frame::Frame;
use crate::frame::evaluated::Fault;
use crate::order::Pass;
use crate::run::approval::{Approval, tell_unmade};
use crate::run::bases::keys;
use crate::run::beyond::{look_again, recall};
use crate::run::carried::close;
use crate::run::count::{finish, leave_for_later, stopped};
use crate::run::decided::{WantedBack, note_made_anew};
use crate::run::deletions::{delete, like_one_apart, set_apart, settle_widowed, still_coupled};
use crate::run::doubts::Doubtful;
use crate::run::intents::{Made, settle_intents};
use crate::run::later::{tell_what_waits, wait_for_match};
use crate::run::names::name_records;
use crate::run::needs::name_needed;
use crate::run::partners::{Missing, absent, outside, take_doubts, take_matches, without};
use crate::run::refusals::Refusals;
use crate::run::rounds::{Alone, rounds, stop};
use crate::run::sight::{self, Read};
use crate::run::state::{PassError, PassState, Step};
use crate::run::{Context, Event, TableReport, changed, decided, marks, newcomers};
use crate::store::{Couplings, InboxKind, Origin, Store};
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
    let asked = context.asked(map);
    let made = settle_intents(context, store, scope, map, asked.as_ref())?;
    let couplings = couplings(context, store, map, &made)?;
    let asked = asked.map(|asked| asked.with_partners(&couplings));
    let reading = match &asked {
        Some(asked) => changed::read_asked(context, scope, turn, &couplings, asked, links)?,
        None => changed::read(context, store, scope, turn, &couplings, &under_way, links)?,
    };
    let in_full = reading.couplings.is_none();
    let undecided = hold_undecided(map, &reading.inside);
    let mut state = PassState::new(map, PerSide { erp: reading.inside.erp.frame, crm: reading.inside.crm.frame });
    state.asked = asked;
    for side in Side::BOTH {
        *state.report.rows.of_mut(side) += undecided.of(side).len() as u64;
    }
    let undecided = undecided.erp.into_iter().chain(undecided.crm);
    let undecided: Vec<Held> = undecided.filter(|held| state.asks(held.ids.erp, held.ids.crm)).collect();
    state.held.extend(undecided);
    if let Some(sides) = context.pretended {
        let made = |side: Side| {
            let table = &map.sides.of(side).table;
            sides.of(side).made_count(table, &state.frames.of(side).ids())
        };
        state.report.made = PerSide::from_fn(made);
    }
    state.tally.recovered = made.iter().filter(|made| made.gone.is_none()).count() as u64;
    state.refusals = Refusals::load(store, map, &context.named)?;
    state.rulings = decided::load(store, map)?;
    state.approval = context.options.approved.map(|approved| Approval::of(approved, &map.name)).unwrap_or_default();
    (state.report.mode, state.mark, state.again) = (reading.mode, reading.mark, reading.again);
    // What would go to the other side is still to be read.
    state.mark = state.mark.filter(|_| context.options.selection.to.is_none());
    if let Some(note) = reading.note {
        note_it(context, &mut state.report, note);
    }
    let rows = PerSide::from_fn(|side| state.frames.of(side).rows());
    let settled = |coupling: &usize| couplings.bases[..map.fields.len()].iter().any(|field| field[*coupling].is_some());
    let known = (0..couplings.erp.len()).filter(settled).count() as u64;
    state.basis = Basis { couplings: known, rows: rows.erp.max(rows.crm) as u64 };
    state.report.first = couplings.is_empty();
    let mut joined = match &reading.couplings {
        None => {
            links.table(&map.name).complete();
            join(&state.frames, &couplings)
        }
        Some(selected) => {
            link_others(map, &couplings, selected, links);
            // Of the rows that were not read at least those that are coupled are known of.
            state.basis.rows = state.basis.rows.max(couplings.len() as u64);
            let mut joined = join(&state.frames, &couplings.subset(selected));
            joined.absent.iter_mut().for_each(|absent| absent.coupling = selected[absent.coupling]);
            joined
        }
    };
    state.pairs = joined.pairs;
    state.times = marks::times(context, scope, map);
    marks::settle_under_way(&mut state);
    marks::distrust(store, map, &mut state)?;
    // Of a read of changes it means nothing that it is empty.
    let is_empty = |couplings: &Couplings, rows, side| in_full && is_empty(couplings, rows, side);
    let unfiltered = |side: &Side| map.sides.of(*side).filter.is_none();
    if let Some(side) = Side::BOTH.into_iter().find(|side| unfiltered(side) && is_empty(&couplings, rows, *side)) {
        return empty(store, map, state, &couplings, side);
    }
    let Missing { outside: beyond, mut widowed, left } =
        absent(context, scope, map, &joined.absent, &mut state, links)?;
    // A few records may all leave a filter one day, as long as they are still there; many do so for a filter that fits
    // nothing.
    let many = known >= HANDFUL;
    let lost = |side: &Side| (many || beyond.of(*side).rows() == 0) && is_empty(&couplings, rows, *side);
    if let Some(side) = Side::BOTH.into_iter().find(lost) {
        return empty(store, map, state, &couplings, side);
    }
    if let Some(first) = left.first() {
        let pairs = if left.len() == 1 { "coupled pair is" } else { "coupled pairs are" };
        let more = if left.len() > 1 { ", …" } else { "" };
        let note = format!("{} {pairs} outside the filter and not compared ({first}{more})", left.len());
        note_it(context, &mut state.report, note);
        state.report.outside = left.len() as u64;
    }
    let mut apart = set_apart(context, store, map, &mut state, &mut joined.uncoupled)?;
    recall(store, map, &joined.absent, &couplings, &beyond, &mut state)?;
    for ids in &state.pairs.ids {
        links.table(&map.name).couple(ids.erp, ids.crm);
    }
    state.report.seconds.extract = clock() - began;

    (context.tell)(Event::Merging { table: &map.name });
    let merging = clock();
    name_needed(context, map, scope, &turn.deferred, &state.frames, links)?;
    // What waits outside the filter is decided again.
    name_needed(context, map, scope, &turn.deferred, &beyond, links)?;
    let mut absent = still_coupled(map, &state, &joined.absent, &widowed, &mut apart);
    let wanted = WantedBack::free(map, &state, &widowed, &mut absent, &mut joined.uncoupled);
    let coupled = Coupled { pairs: &state.pairs, absent: &absent, beyond: &beyond };
    let mut matched = match_rows(map, &scope.infos, &state.frames, links, &joined.uncoupled, &coupled);
    wanted.settle(map, &mut state, &mut matched, &mut widowed);
    // The others were read to tell who belongs to whom.
    matched.retain(|side, row| state.asks_row(side, row));
    take_matches(context, map, &matched.matches, &mut state, links);
    let asked = state.asked.clone();
    state.pairs.retain(|ids| asked.as_ref().is_none_or(|asked| asked.holds(Some(ids.erp), Some(ids.crm))));
    if links.waits() {
        wait_for_match(map, scope, &mut state, &mut matched, links)?;
    }
    let mut doubtful = Doubtful::of(&matched, &state.frames);
    note_made_anew(&mut state, &matched);
    take_doubts(map, &matched.doubts, &couplings, &beyond, &mut state);
    let alone = {
        let step = Step { context, map, scope, links, left_out: turn.deferred.clone() };
        let mut alone = alone_of(&step, &mut state, matched.alone, &couplings, &apart, reading.beyond.as_ref())?;
        settle_widowed(&step, store, &mut state, widowed, &couplings, &mut alone)?;
        alone
    };
    name_records(context, map, &state, &beyond, links);
    state.report.seconds.merge = clock() - merging;

    {
        let step = Step { context, map, scope, links, left_out: turn.deferred.clone() };
        if let Some(records) = sight::of_table(context, map) {
            let mut outside = reading.beyond.clone().unwrap_or_else(|| PerSide::from_fn(|side| scope.empty(side)));
            Side::BOTH.iter().for_each(|side| outside.of_mut(*side).upsert(beyond.of(*side)));
            let undecided = PerSide {
                erp: (&reading.inside.erp.undecided, &reading.inside.erp.faults[..]),
                crm: (&reading.inside.crm.undecided, &reading.inside.crm.faults[..]),
            };
            let read = Read { beyond: outside, undecided, couplings: &couplings };
            sight::look(&step, &mut state, &read, records)?;
        }
        rounds(&step, store, &mut state, Alone { foresees: true, ..alone })?;
    }
    // One doubt may hang on another.
    while !context.options.stop.load(Ordering::Relaxed) {
        let again = doubtful.match_again(map, scope, &mut state, links, &absent, &beyond);
        let Some(mut matched) = again else { break };
        take_matches(context, map, &matched.matches, &mut state, links);
        if links.waits() {
            wait_for_match(map, scope, &mut state, &mut matched, links)?;
        }
        doubtful = Doubtful::of(&matched, &state.frames);
        let pairs = matched.matches.iter().map(|found| state.frames.erp.id(found.rows.erp)).collect();
        take_doubts(map, &matched.doubts, &couplings, &beyond, &mut state);
        let step = Step { context, map, scope, links, left_out: turn.deferred.clone() };
        let left = alone_of(&step, &mut state, matched.alone, &couplings, &apart, reading.beyond.as_ref())?;
        rounds(&step, store, &mut state, Alone { pairs: Some(pairs), ..left })?;
    }
    {
        let step = Step { context, map, scope, links, left_out: turn.deferred.clone() };
        look_again(&step, &mut state)?;
        if !turn.deferred.contains(&true) {
            newcomers::tell(&step, &mut state)?;
        }
    }
    name_records(context, map, &state, &beyond, links);
    if context.on_paper(&state) {
        tell_what_waits(map, scope, &mut state, &apart, links)?;
    }
    if state.guarded {
        stopped(store, map, &mut state)?;
        return Ok(state);
    }
    finish(context, store, map, &turn.deferred, &mut state)?;
    changed::note_seen(scope, &mut state);
    tell_unmade(map, &state, links);
    close(context, store, scope, map, links, &mut state)?;
    if state.report.new_couplings > 0 {
        links.table(&map.name).grow();
    }
    Ok(state)
}

/// Names the records of which the filter cannot tell whether they are inside.
fn hold_undecided(map: &TableMap, read: &PerSide<Inside>) -> PerSide<Vec<Held>> {
    let inside = PerSide::from_fn(|side| read.of(side).frame.clone());
    let undecided = PerSide::from_fn(|side| read.of(side).undecided.clone());
    let names = Names::new(map, &[&inside, &undecided]);
    PerSide::from_fn(|side| {
        let held = |(row, fault): (usize, &Fault)| {
            let record = names.row(undecided.of(side), side, row);
            let id = Some(undecided.of(side).id(row));
            let ids = match side {
                Side::Erp => PerSide { erp: id, crm: None },
                Side::Crm => PerSide { erp: None, crm: id },
            };
            let to = if map.direction.writes(side.other()) { side.other() } else { side };
            let message = format!("{record} is left alone: the filter {fault}");
            let values = PerSide::default();
            Held { kind: InboxKind::Failed, record, ids, field: None, values, to: Some(to), message }
        };
        read.of(side).faults.iter().enumerate().map(held).collect()
    })
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
    let all = vec![false; map.fields.len()];
    name_needed(context, map, scope, &all, &state.frames, links)?;
    if let Some(frames) = state.beyond.frames() {
        name_needed(context, map, scope, &all, frames, links)?;
    }
    let left_out = turn.deferred.iter().map(|deferred| !deferred).collect();
    let step = Step { context, map, scope, links, left_out };
    if let Some(records) = sight::of_table(context, map) {
        sight::look_closer(&step, state, records)?;
    }
    rounds(&step, store, state, Alone::default())?;
    look_again(&step, state)?;
    if state.guarded {
        // What the first step did is done, and filed, or stopped as well.
        leave_for_later(state);
        return Ok(());
    }
    newcomers::tell(&step, state)?;
    finish(context, store, map, &[], state)?;
    changed::note_seen(scope, state);
    close(context, store, scope, map, links, state)
}

/// Carries out the deletions, after every table map had its turn.
pub fn last_step(
    context: &Context<'_>,
    store: &mut dyn Store,
    scope: &Scope,
    turn: &Pass,
    links: &Links,
    state: &mut PassState,
) -> Result<(), PassError> {
    let map = &context.pipeline.tables[turn.table];
    let step = Step { context, map, scope, links, left_out: Vec::new() };
    delete(&step, store, state)?;
    if state.guarded {
        return Ok(());
    }
    finish(context, store, map, &[], state)?;
    close(context, store, scope, map, links, state)
}

/// Tells whether a side returned nothing although records of it are coupled.
fn is_empty(couplings: &Couplings, rows: PerSide<usize>, side: Side) -> bool {
    !couplings.erp.is_empty() && *rows.of(side) == 0
}

/// Stops at a side that lost everything: more likely than that somebody deleted it all is a wrong company, a missing
/// right or an answer that is not what it seems (I7).
fn empty(
    store: &dyn Store,
    map: &TableMap,
    mut state: PassState,
    couplings: &Couplings,
    side: Side,
) -> Result<PassState, PassError> {
    let couplings = couplings.erp.len() as u64;
    state.pending.clear();
    state.plan.actions.clear();
    stop(&mut state, &Trip::Empty { side, couplings }, None);
    state.over = true;
    stopped(store, map, &mut state)?;
    Ok(state)
}

/// Returns the couplings of the state; a dry run adds those that a run would have `made` of open intents.
fn couplings(context: &Context<'_>, store: &dyn Store, map: &TableMap, made: &[Made]) -> Result<Couplings, PassError> {
    let mut couplings = store.couplings(&map.name, &keys(map))?;
    if context.options.dry_run {
        for Made { ids, side, gone } in made {
            if let Some(gone) = gone {
                let old = if *side == Side::Erp { &couplings.erp } else { &couplings.crm };
                if let Some(at) = old.iter().position(|id| id == gone) {
                    couplings.erp.remove(at);
                    couplings.crm.remove(at);
                    couplings.origins.remove(at);
                    for field in &mut couplings.bases {
                        field.remove(at);
                    }
                }
            }
            couplings.erp.push(ids.erp);
            couplings.crm.push(ids.crm);
            couplings.origins.push(Origin::Created(*side));
            couplings.bases.iter_mut().for_each(|field| field.push(None));
        }
    }
    Ok(couplings)
}

/// Chooses, of the rows without partner, those that get a new one: not where nothing is created, not where the other side
/// has the record already, outside its filter, and not two for what is one record by the first match rule.
fn alone_of(
    step: &Step<'_>,
    state: &mut PassState,
    rows: PerSide<Vec<usize>>,
    couplings: &Couplings,
    apart: &PerSide<Frame>,
    beyond: Option<&PerSide<Frame>>,
) -> Result<Alone, PassError> {
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
        if !rows.is_empty() && (map.sides.of(to).filter.is_some() || beyond.is_some()) {
            let outside = match beyond {
                // What a match rule could find was asked for already.
                Some(beyond) if !counts_on(map, to) => beyond.of(to).clone(),
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

/// Tells the links of the couplings that the pass does not look at.
fn link_others(map: &TableMap, couplings: &Couplings, looked_at: &[usize], links: &mut Links) {
    let looked_at: HashSet<usize> = looked_at.iter().copied().collect();
    let table = links.table(&map.name);
    for coupling in (0..couplings.len()).filter(|coupling| !looked_at.contains(coupling)) {
        table.couple(couplings.erp[coupling], couplings.crm[coupling]);
    }
}

/// Tells something that is worth a line, and keeps it for the report.
pub(super) fn note_it(context: &Context<'_>, report: &mut TableReport, note: String) {
    (context.tell)(Event::Note { table: &report.table, message: &note });
    report.notes.push(note);
}

/// Says how many there are.
pub(super) fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}
