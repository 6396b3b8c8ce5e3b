//! One table map's turn: extract, couple, decide, apply, verify, settle.
//!
//! Decisions are made for all pairs at once, carried out, and what was written is looked at again. References in a
//! circle wait for the second step, when every table map had its turn.

use std::collections::HashSet;
use std::iter;
use std::sync::atomic::Ordering;

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::couple::taken::Coupled;
use crate::couple::{Absent, match_rows};
use crate::delta::Held;
use crate::delta::guard::Trip;
use crate::extract::Scope;
use crate::order::Pass;
use crate::run::account::{Event, TableReport};
use crate::run::agenda::Agenda;
use crate::run::alone::alone_of;
use crate::run::cleared::{seek_cleared, seek_lost};
use crate::run::closing::close;
use crate::run::context::Context;
use crate::run::deleting::delete;
use crate::run::deletions::{settle_widowed, still_coupled};
use crate::run::doubts::Doubtful;
use crate::run::ending::{finish, stopped};
use crate::run::ground::{Ground, Loose};
use crate::run::later::{tell_what_waits, wait_for_match};
use crate::run::looking::{self, Read};
use crate::run::names::name_records;
use crate::run::needs::{name_illegible, name_needed};
use crate::run::opening::{Opened, join_up, name_given_back, read};
use crate::run::ours::take_ours;
use crate::run::partners::{Widowed, take_doubts, take_matches};
use crate::run::recall::look_again;
use crate::run::returning::take_in;
use crate::run::rounds::rounds;
use crate::run::rows::{unreadable_in, without};
use crate::run::standing::count_rows;
use crate::run::state::PassState;
use crate::run::step::{PassError, Step, Turn};
use crate::run::wanted_back::{WantedBack, note_made_anew};
use crate::run::{newcomers, orphans, remembered, unreadable};
use crate::store::{InboxKind, Store};
use crate::translate::links::Links;

/// A first step that could not be finished.
pub struct CutOff {
    pub error: PassError,
    /// What it had come to by then; `None` where nothing was read.
    pub report: Option<Box<TableReport>>,
}

impl From<PassError> for CutOff {
    fn from(error: PassError) -> CutOff {
        CutOff { error, report: None }
    }
}

/// Brings a table map as far as its references allow, and tells `links` what it coupled.
pub fn first_step(
    context: &Context<'_>,
    store: &mut dyn Store,
    scope: &Scope,
    pass: &Pass,
    links: &mut Links,
) -> Result<PassState, CutOff> {
    let map = &context.pipeline.tables[pass.table];
    let turn = Turn { context, map, scope, pass };
    let began = (context.options.elapsed)();
    let (mut state, ground, looked_at) = read(&turn, store, links)?;
    match go(&turn, store, &mut state, (ground, looked_at), links, began) {
        Ok(()) => Ok(state),
        Err(error) => Err(CutOff { error, report: Some(Box::new(state.cut_off())) }),
    }
}

/// Goes through the first step with what was read.
fn go(
    turn: &Turn<'_>,
    store: &mut dyn Store,
    state: &mut PassState,
    read: (Ground, Option<Vec<usize>>),
    links: &mut Links,
    began: f64,
) -> Result<(), PassError> {
    let Turn { context, map, scope, pass } = *turn;
    let clock = || (context.options.elapsed)();
    let (mut ground, loose) = match join_up(turn, store, state, read, links)? {
        Opened::Read(ground, loose) => (ground, loose),
        Opened::Empty(side, ground) => return empty(context, store, map, state, &ground, side),
    };
    // Before anything follows from a deletion, and anything can go wrong.
    orphans::mark_widowed(turn, store, state, &loose.widowed)?;
    state.report.seconds.extract = clock() - began;

    (context.tell)(Event::Merging { table: &map.name });
    let merging = clock();
    let Matching { agenda, absent, doubtful } = match_up(turn, store, state, (&mut ground, loose), links)?;
    count_rows(state, PerSide { erp: &ground.undecided.erp.0, crm: &ground.undecided.crm.0 });
    name_records(context, map, state, &ground, links);
    state.report.seconds.merge = clock() - merging;

    look(&turn.step(links), state, &ground)?;
    rounds(&turn.step(links), store, state, Agenda { foresees: true, ..agenda })?;
    refer_again(turn, &pass.deferred, store, state, links)?;
    doubt_again(turn, store, state, (&ground, &absent, doubtful), links)?;
    look_again(&turn.step(links), state)?;
    if !pass.deferred.contains(&true) {
        newcomers::tell(&turn.step(links), state)?;
    }
    name_records(context, map, state, &ground, links);
    if state.on_paper(context) {
        tell_what_waits(map, scope, state, &ground.apart, links)?;
    }
    if state.guarding.has_stopped() {
        return stopped(context, store, map, state);
    }
    finish(context, store, map, &pass.deferred, state)?;
    if state.waits.unclear().next().is_some() {
        // What waits for such a record is in the inbox once for all.
        state.reached.forget();
    }
    state.reached.note_seen(scope, state.records.frames());
    state.approval.tell_unmade(map, links);
    close(context, store, scope, map, links, state)?;
    if !context.options.dry_run {
        remembered::remember(context.endpoints, scope, store, map)?;
    }
    if state.report.new_couplings > 0 {
        links.table(&map.name).grow();
    }
    Ok(())
}

/// What is known once it is clear who belongs to whom.
struct Matching {
    /// What is decided first: all pairs, and the records that get a partner.
    agenda: Agenda,
    /// Couplings that stand although at least one of their records was not read.
    absent: Vec<Absent>,
    /// Records that the match rules had doubts about.
    doubtful: Doubtful,
}

/// Finds out who belongs to whom: new couplings by the match rules, records that get a partner, pairs that lost one.
fn match_up(
    turn: &Turn<'_>,
    store: &dyn Store,
    state: &mut PassState,
    (ground, loose): (&mut Ground, Loose),
    links: &mut Links,
) -> Result<Matching, PassError> {
    let Turn { context, map, scope, pass } = *turn;
    let Loose { mut absent, mut uncoupled, mut widowed } = loose;
    name_needed(context, map, scope, &pass.deferred, state.records.frames(), links)?;
    // What waits outside the filter is decided again.
    name_needed(context, map, scope, &pass.deferred, &ground.beyond, links)?;
    for frames in [state.records.frames(), &ground.beyond] {
        name_illegible(context, map, scope, &pass.deferred, frames, links)?;
    }
    mark_unseen(turn, &pass.deferred, store, state, links)?;
    seek_cleared(turn, &pass.deferred, store, state, links)?;
    seek_lost(turn, store, state, (&widowed, ground), links)?;
    if widowed.iter().any(|widow| widow.row.is_none()) {
        // What a survivor outside its filter has lost may have led to this very table map.
        name_records(context, map, state, ground, links);
    }
    take_in(turn, store, state, ground, (&mut absent, &mut widowed), links)?;
    name_given_back(turn, state, &widowed, links)?;
    let mut absent = still_coupled(map, state, &absent, &widowed, &mut ground.apart);
    let wanted = WantedBack::free(map, state, &widowed, &mut absent, &mut uncoupled);
    take_ours(context, map, &mut uncoupled, state, links);
    leave_unread(&turn.step(links), state, ground, &mut uncoupled, &widowed);
    let coupled = Coupled { pairs: state.records.pairs(), absent: &absent, beyond: &ground.beyond };
    let mut matched = match_rows(map, &scope.infos, state.records.frames(), links, &uncoupled, &coupled);
    wanted.settle(turn, state, &mut matched, &mut widowed, links);
    let doubtful = Doubtful::of(&matched, state.records.frames());
    // The others were read to tell who belongs to whom.
    matched.retain(|side, row| state.asks_row(side, row));
    take_matches(context, map, &matched.matches, state, links);
    if let Some(asked) = &state.asked {
        state.records.keep_pairs(|ids| asked.holds(Some(ids.erp), Some(ids.crm)));
    }
    if links.waits() || unreadable::is_referred_to(map, links) {
        wait_for_match(map, scope, state, &mut matched, links)?;
    }
    note_made_anew(state, &matched);
    take_doubts(map, &matched.doubts, &ground.couplings, &ground.beyond, state);
    let step = turn.step(links);
    let mut agenda = alone_of(&step, state, matched.alone, ground)?;
    settle_widowed(&step, store, state, widowed, &ground.couplings, &mut agenda)?;
    Ok(Matching { agenda, absent, doubtful })
}

/// Marks, in what the pass holds, what led to records whose deletion no run has seen.
fn mark_unseen(
    turn: &Turn<'_>,
    left_out: &[bool],
    store: &dyn Store,
    state: &mut PassState,
    links: &mut Links,
) -> Result<(), PassError> {
    let records = &mut state.records;
    let held = (records.frames(), records.pairs(), records.terms());
    let found = orphans::unseen(turn, left_out, store, held, links)?;
    found.into_iter().for_each(|(erp, field)| records.orphan(erp, field));
    Ok(())
}

/// Leaves alone whoever may be the same as a record that cannot be read, survivors of deletions among them.
fn leave_unread(
    step: &Step<'_>,
    state: &mut PassState,
    ground: &Ground,
    uncoupled: &mut PerSide<Vec<usize>>,
    widowed: &[Widowed],
) {
    for side in Side::BOTH {
        let ids = if side == Side::Erp { &ground.couplings.erp } else { &ground.couplings.crm };
        let there = without(&unreadable_in(&ground.undecided.of(side).0), |id| ids.contains(id));
        if there.rows() == 0 {
            continue;
        }
        let survivors = widowed.iter().filter(|widow| widow.gone == side).filter_map(|widow| widow.row);
        unreadable::note_survivors(step, state, side.other(), &survivors.collect::<Vec<_>>(), &there);
        unreadable::leave_resembling(step, state, side.other(), uncoupled.of_mut(side.other()), &there);
    }
}

/// Takes note of what the pass knows of the records to explain, where it has any.
fn look(step: &Step<'_>, state: &mut PassState, ground: &Ground) -> Result<(), PassError> {
    let Some(subjects) = step.context.subjects_of(step.map) else { return Ok(()) };
    let mut outside = ground.besides.clone().unwrap_or_else(|| PerSide::from_fn(|side| step.scope.empty(side)));
    Side::BOTH.iter().for_each(|side| outside.of_mut(*side).upsert(ground.beyond.of(*side)));
    let undecided = PerSide::from_fn(|side| {
        let (frame, why) = ground.undecided.of(side);
        (frame, &why[..])
    });
    let read = Read { beyond: outside, hidden: &ground.hidden, undecided, couplings: &ground.couplings };
    looking::look(step, state, &read, subjects)
}

/// Matches the doubtful records once more after the writes, as long as that helps: one doubt may hang on another.
fn doubt_again(
    turn: &Turn<'_>,
    store: &mut dyn Store,
    state: &mut PassState,
    (ground, absent, mut doubtful): (&Ground, &[Absent], Doubtful),
    links: &mut Links,
) -> Result<(), PassError> {
    let Turn { context, map, scope, .. } = *turn;
    while !context.options.stop.load(Ordering::Relaxed) {
        let again = doubtful.match_again(map, scope, state, links, absent, &ground.beyond);
        let Some(mut matched) = again else { break };
        doubtful = Doubtful::of(&matched, state.records.frames());
        matched.retain(|side, row| state.asks_row(side, row));
        take_matches(context, map, &matched.matches, state, links);
        if links.waits() || unreadable::is_referred_to(map, links) {
            wait_for_match(map, scope, state, &mut matched, links)?;
        }
        let pairs = matched.matches.iter().map(|found| state.records.frames().erp.id(found.rows.erp)).collect();
        take_doubts(map, &matched.doubts, &ground.couplings, &ground.beyond, state);
        let step = turn.step(links);
        let agenda = alone_of(&step, state, matched.alone, ground)?;
        rounds(&step, store, state, Agenda { pairs: Some(pairs), ..agenda })?;
    }
    Ok(())
}

/// Looks up whom the references lead to that a side answered a write with, and decides those that failed for it again:
/// before the writes nobody had to know these records.
fn refer_again(
    turn: &Turn<'_>,
    left_out: &[bool],
    store: &mut dyn Store,
    state: &mut PassState,
    links: &mut Links,
) -> Result<(), PassError> {
    let Turn { context, map, scope, .. } = *turn;
    if !name_needed(context, map, scope, left_out, state.records.frames(), links)? {
        return Ok(());
    }
    name_illegible(context, map, scope, left_out, state.records.frames(), links)?;
    let refers = |held: &Held| {
        let reference = held.field.is_some_and(|field| map.fields[field].reference.is_some() && !left_out[field]);
        let erp = held.ids.erp.filter(|_| held.ids.crm.is_some() && held.kind == InboxKind::Failed && reference)?;
        state.tally.has_modified(erp).then_some(erp)
    };
    let pairs: HashSet<Uuid> = state.waits.held().iter().filter_map(refers).collect();
    if pairs.is_empty() {
        return Ok(());
    }
    state.waits.take_back(|held| refers(held).is_some());
    let step = Step { context, map, scope, links, left_out: left_out.to_vec() };
    rounds(&step, store, state, Agenda { pairs: Some(pairs), ..Agenda::default() })
}

/// Writes the references that had to wait until every table map had its turn.
pub fn second_step(
    context: &Context<'_>,
    store: &mut dyn Store,
    scope: &Scope,
    pass: &Pass,
    links: &mut Links,
    state: &mut PassState,
) -> Result<(), PassError> {
    let map = &context.pipeline.tables[pass.table];
    let all = vec![false; map.fields.len()];
    name_needed(context, map, scope, &all, state.records.frames(), links)?;
    if let Some(frames) = state.outside.frames() {
        name_needed(context, map, scope, &all, frames, links)?;
    }
    for frames in iter::once(state.records.frames()).chain(state.outside.frames()) {
        name_illegible(context, map, scope, &all, frames, links)?;
    }
    let left_out: Vec<bool> = pass.deferred.iter().map(|deferred| !deferred).collect();
    let turn = Turn { context, map, scope, pass };
    orphans::recall(&turn, store, state)?;
    mark_unseen(&turn, &left_out, store, state, links)?;
    seek_cleared(&turn, &left_out, store, state, links)?;
    let step = Step { context, map, scope, links, left_out };
    if let Some(records) = context.subjects_of(map) {
        looking::look_closer(&step, state, records)?;
    }
    rounds(&step, store, state, Agenda::default())?;
    let left_out = step.left_out;
    refer_again(&turn, &left_out, store, state, links)?;
    let step = Step { context, map, scope, links, left_out };
    look_again(&step, state)?;
    if state.guarding.has_stopped() {
        // What the first step did is done, and filed, or stopped as well.
        state.draft.leave_to_run(state.waits.left_to_run());
        return Ok(());
    }
    newcomers::tell(&step, state)?;
    finish(context, store, map, &[], state)?;
    if state.waits.unclear().next().is_some() {
        state.reached.forget();
    }
    state.reached.note_seen(scope, state.records.frames());
    close(context, store, scope, map, links, state)
}

/// Carries out the deletions, after every table map had its turn.
pub fn last_step(
    context: &Context<'_>,
    store: &mut dyn Store,
    scope: &Scope,
    pass: &Pass,
    links: &Links,
    state: &mut PassState,
) -> Result<(), PassError> {
    let map = &context.pipeline.tables[pass.table];
    let step = Step { context, map, scope, links, left_out: Vec::new() };
    delete(&step, store, state)?;
    if state.guarding.has_stopped() {
        return Ok(());
    }
    finish(context, store, map, &[], state)?;
    close(context, store, scope, map, links, state)
}

/// Stops at a side that lost everything: more likely than that somebody deleted it all is a wrong company, a missing
/// right or an answer that is not what it seems (I7).
fn empty(
    context: &Context<'_>,
    store: &dyn Store,
    map: &TableMap,
    state: &mut PassState,
    ground: &Ground,
    side: Side,
) -> Result<(), PassError> {
    let couplings = ground.couplings.erp.len() as u64;
    let other = side.other();
    let both = state.records.frame(other).rows() + ground.undecided.of(other).0.rows() == 0;
    state.draft.clear();
    state.stop(&Trip::Empty { side, both, couplings }, false, None);
    state.guarding.end();
    stopped(context, store, map, state)
}
