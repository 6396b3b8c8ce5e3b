//! How a table map's turn begins: what a run that was cut off left open is settled, both sides are read, and their
//! records are joined on the couplings. Nothing is decided yet.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{OnDelete, PerSide, Side, TableMap};
use crate::couple::join;
use crate::delta::Held;
use crate::delta::guard::{Basis, HANDFUL};
use crate::delta::names::Names;
use crate::endpoint::{EndpointError, Hidden};
use crate::extract::{self, Inside, Scope, Undecided};
use crate::frame::Frame;
use crate::run::account::Mode;
use crate::run::admitted::Approval;
use crate::run::apart::set_apart;
use crate::run::by_people::ByPeople;
use crate::run::changed::{self, Before};
use crate::run::couplings::couplings;
use crate::run::ground::{Ground, Loose};
use crate::run::intents::settle_intents;
use crate::run::needs::name_shown;
use crate::run::notes::{count, note_it};
use crate::run::partners::{Missing, Widowed, absent, read_absent};
use crate::run::reached::Reached;
use crate::run::recall::recall;
use crate::run::refusals::Refusals;
use crate::run::returning::take_back;
use crate::run::state::PassState;
use crate::run::step::{PassError, Turn};
use crate::run::{decided, marks, remembered, unreadable};
use crate::store::{Couplings, InboxKind, Store};
use crate::translate::links::Links;

/// How a turn begins.
pub(super) enum Opened {
    Read(Ground, Loose),
    /// A side lost everything.
    Empty(Side, Ground),
}

/// Settles what a run that was cut off left open, and reads both sides as far as the run wants it.
///
/// The state has no pairs yet. Which couplings to look at comes back last, where that is not all of them.
pub(super) fn read(
    turn: &Turn<'_>,
    store: &mut dyn Store,
    links: &mut Links,
) -> Result<(PassState, Ground, Option<Vec<usize>>), PassError> {
    let Turn { context, map, scope, pass } = *turn;
    remembered::recall(context.endpoints, scope, store, map)?;
    let under_way = store.open_intents(&map.name)?;
    let asked = context.asked(map);
    let earned = settle_intents(context, store, scope, map, asked.as_ref())?;
    let couplings = couplings(context, store, map, &earned)?;
    let asked = asked.map(|asked| asked.with_partners(&couplings));
    let before = Before { couplings: &couplings, under_way: &under_way, asked: asked.as_ref() };
    let reading = changed::read(context, store, scope, pass, &before, links)?;
    if !context.options.dry_run {
        remembered::remember(context.endpoints, scope, store, map)?;
    }
    let undecided = hold_undecided(map, &reading.inside, &couplings);
    let PerSide { erp, crm } = reading.inside;
    let mut state = PassState::new(map, PerSide { erp: erp.frame, crm: crm.frame });
    state.asked = asked;
    let doubtful = PerSide { erp: (erp.undecided, erp.why), crm: (crm.undecided, crm.why) };
    take_undecided(map, undecided, &doubtful, &mut state);
    if let Some(sides) = context.pretended {
        let made = |side: Side| {
            let table = &map.sides.of(side).table;
            sides.of(side).made_count(table, &state.records.frame(side).ids())
        };
        state.report.made = PerSide::from_fn(made);
    }
    state.tally.count_recovered(earned.made.iter().filter(|made| made.gone.is_none()).count() as u64);
    state.unanswered = earned.unanswered;
    state.refusals = Refusals::load(store, map, &context.named)?;
    state.by_people = ByPeople::new(decided::load(store, map)?);
    state.approval = context.options.approved.map(|approved| Approval::of(approved, &map.name)).unwrap_or_default();
    state.report.mode = reading.mode;
    let leaves_out = |to: Side| map.direction.writes(to.other());
    state.report.partial = reading.mode == Mode::Selected || context.options.selection.to.is_some_and(leaves_out);
    // What would go to the other side is still to be read.
    let mark = reading.mark.filter(|_| context.options.selection.to.is_none());
    state.reached = Reached::new(mark, reading.again);
    if let Some(note) = reading.note {
        note_it(context, &mut state.report, note);
    }
    state.records.recall_terms(couplings.terms.clone());
    let ground = Ground {
        couplings,
        beyond: PerSide::from_fn(|side| scope.empty(side)),
        hidden: PerSide::default(),
        apart: PerSide::from_fn(|side| scope.empty(side)),
        besides: reading.besides,
        whole_to: reading.whole_to,
        undecided: doubtful,
    };
    Ok((state, ground, reading.couplings))
}

/// Joins what was read on the couplings, those `looked_at` where that is not all of them, and finds out about coupled
/// records that were not read.
pub(super) fn join_up(
    turn: &Turn<'_>,
    store: &dyn Store,
    state: &mut PassState,
    (mut ground, looked_at): (Ground, Option<Vec<usize>>),
    links: &mut Links,
) -> Result<Opened, PassError> {
    let Turn { context, map, scope, .. } = *turn;
    let mut loose = join_read(map, state, &ground.couplings, looked_at.as_deref(), links);
    state.records.compare_times(marks::times(context, scope, map));
    marks::settle_under_way(&mut state.records);
    marks::distrust(store, map, &mut state.records)?;
    if let Some(side) = emptied(state, &ground, |side| map.sides.of(side).filter.is_none()) {
        return Ok(Opened::Empty(side, ground));
    }
    let sought = read_absent(context, scope, &loose.absent, &ground.undecided)?;
    ground.hidden = PerSide { erp: sought.erp.hidden, crm: sought.crm.hidden };
    ground.beyond = PerSide { erp: sought.erp.frame, crm: sought.crm.frame };
    tell_hidden(turn, &ground.hidden, state);
    refuse_gaps(map, scope, &ground)?;
    take_back(turn, store, state, (&mut ground, &mut loose), links)?;
    let Missing { widowed, outside } =
        absent(context, map, &loose.absent, (&ground.beyond, &ground.hidden), state, links);
    if context.options.selection.create {
        state.by_people.ask_back(widowed.iter().map(|widow| widow.ids));
    }
    loose.widowed = widowed;
    // A few records may all leave a filter one day, as long as they are still there; many do so for a filter that fits
    // nothing.
    let many = state.guarding.couplings_count() >= HANDFUL;
    if let Some(side) = emptied(state, &ground, |side| many || ground.beyond.of(side).rows() == 0) {
        return Ok(Opened::Empty(side, ground));
    }
    if let Some(first) = outside.first() {
        let pairs = if outside.len() == 1 { "coupled pair is" } else { "coupled pairs are" };
        let more = if outside.len() > 1 { ", …" } else { "" };
        let note = format!("{} {pairs} outside the filter and not compared ({first}{more})", outside.len());
        note_it(context, &mut state.report, note);
        state.report.outside = outside.len() as u64;
    }
    ground.apart = set_apart(context, store, map, state, &mut loose.uncoupled)?;
    recall(store, map, &loose.absent, &ground.couplings, &ground.beyond, state)?;
    for ids in &state.records.pairs().ids {
        links.table(&map.name).couple(ids.erp, ids.crm);
    }
    Ok(Opened::Read(ground, loose))
}

/// Tells the links whom the survivors refer to whose partners are made anew, where these get that back from what is shown.
pub(super) fn name_given_back(
    turn: &Turn<'_>,
    state: &PassState,
    widowed: &[Widowed],
    links: &mut Links,
) -> Result<(), PassError> {
    let Turn { context, map, scope, .. } = *turn;
    for gone in Side::BOTH {
        let is_back = |widow: &&Widowed| {
            widow.gone == gone && decided::on_delete(map, &state.by_people, widow.ids) == OnDelete::Restore
        };
        let rows: Vec<usize> = widowed.iter().filter(is_back).filter_map(|widow| widow.row).collect();
        if !rows.is_empty() {
            let of = |side: Side| if side == gone { scope.empty(side) } else { state.records.frame(side).take(&rows) };
            name_shown(context, map, scope, gone, &PerSide::from_fn(of), links)?;
        }
    }
    Ok(())
}

/// Notes the coupled records that no list brings and that may exist all the same: they are left alone like those outside the
/// filter.
fn tell_hidden(turn: &Turn<'_>, hidden: &PerSide<HashMap<Uuid, Hidden>>, state: &mut PassState) {
    let Turn { context, map, scope, .. } = *turn;
    for (side, why) in Side::BOTH.into_iter().flat_map(|side| [(side, Hidden::Forbidden), (side, Hidden::Untold)]) {
        let of_kind = hidden.of(side).iter().filter(|(_, other)| **other == why);
        let ids: Vec<Uuid> = of_kind.map(|(id, _)| *id).collect();
        let Some(first) = ids.iter().min() else { continue };
        let (name, table) = (side.name(), &map.sides.of(side).table);
        let records = count(ids.len(), "coupled record");
        let (more, are, them, keys) =
            if ids.len() == 1 { ("", "is", "it", "its key") } else { (", …", "are", "them", "their keys") };
        // By its key people find it.
        let key = context.endpoints.of(side).seen_keys(scope.infos.of(side), &[*first]);
        let shown = key.first().map_or_else(|| first.to_string(), |(_, key)| key.join(", "));
        let note = match why {
            Hidden::Forbidden => format!("the {name} does not let the login read {records} ({table} {shown}{more})"),
            Hidden::Untold => format!(
                "{records} {are} in no list of the {name}, which cannot be asked for {them} by {keys} ({table} \
                 {shown}{more}); nothing is concluded from that"
            ),
        };
        state.report.hidden.push(note.clone());
        note_it(context, &mut state.report, note);
    }
}

/// Fails where a question by id shows records inside their filter that were there before a side was read as a whole, and did
/// not come: then others may be missing as well, and no absence means anything.
fn refuse_gaps(map: &TableMap, scope: &Scope, ground: &Ground) -> Result<(), PassError> {
    let Some(whole_to) = ground.whole_to else { return Ok(()) };
    for side in Side::BOTH {
        let (Some(column), Some(whole_to)) = (scope.modified.of(side), whole_to.of(side)) else { continue };
        let inside = extract::inside(map, side, ground.beyond.of(side).clone())?.frame;
        let is_old =
            |row: &usize| inside.take(&[*row]).latest(column, None).is_some_and(|modified| modified < *whole_to);
        let left_out: Vec<usize> = (0..inside.rows()).filter(is_old).collect();
        if let Some(&first) = left_out.first() {
            let (records, id, table) =
                (count(left_out.len(), "coupled record"), inside.id(first), &map.sides.of(side).table);
            let message = format!("its list of {table} left out {records} inside the filter, {id} among them");
            return Err(EndpointError::Untrusted { side, message }.into());
        }
    }
    Ok(())
}

/// Joins the rows on the couplings: pairs go to the state, and what is left over comes back.
fn join_read(
    map: &TableMap,
    state: &mut PassState,
    couplings: &Couplings,
    looked_at: Option<&[usize]>,
    links: &mut Links,
) -> Loose {
    let rows = PerSide::from_fn(|side| state.records.frame(side).rows());
    let settled = |coupling: &usize| couplings.bases[..map.fields.len()].iter().any(|field| field[*coupling].is_some());
    let known = (0..couplings.erp.len()).filter(settled).count() as u64;
    let unruled = map.match_rules.is_empty() && state.asked.is_none() && rows.erp.min(rows.crm) > 0;
    // Of the rows that were not read at least those that are coupled are known of.
    let coupled = looked_at.map_or(0, |_| couplings.len());
    let rows = rows.erp.max(rows.crm).max(coupled) as u64;
    state.guarding.weigh(Basis { couplings: known, rows, unruled });
    state.report.first = couplings.is_empty();
    let joined = match looked_at {
        None => {
            links.table(&map.name).complete();
            join(state.records.frames(), couplings)
        }
        Some(selected) => {
            link_others(map, couplings, selected, links);
            let mut joined = join(state.records.frames(), &couplings.subset(selected));
            joined.absent.iter_mut().for_each(|absent| absent.coupling = selected[absent.coupling]);
            joined
        }
    };
    state.records.join(joined.pairs);
    Loose { absent: joined.absent, uncoupled: joined.uncoupled, widowed: Vec::new() }
}

/// Returns the first side, of those that `counts` says yes to, that returned nothing although records of it are coupled.
/// Of a read of some records it means nothing that it is empty.
fn emptied(state: &PassState, ground: &Ground, counts: impl Fn(Side) -> bool) -> Option<Side> {
    let rows = |side| state.records.frame(side).rows() + ground.undecided.of(side).0.rows();
    let is_empty = |side| !ground.couplings.is_empty() && rows(side) == 0;
    let in_full = ground.besides.is_none();
    Side::BOTH.into_iter().find(|side| in_full && counts(*side) && is_empty(*side))
}

/// Counts the records that are neither inside nor outside, and holds those that the pass is about.
fn take_undecided(
    map: &TableMap,
    held: Vec<Held>,
    undecided: &PerSide<(Frame, Vec<Undecided>)>,
    state: &mut PassState,
) {
    for side in Side::BOTH {
        let (frame, _) = undecided.of(side);
        *state.report.rows.of_mut(side) += frame.rows() as u64;
        let unreadable = frame.unreadables().iter();
        let unreadable = unreadable.map(|(id, why)| (*id, unreadable::which(map, side, *id, why)));
        state.aside.note_unreadable(side, unreadable);
    }
    let held: Vec<Held> = held.into_iter().filter(|held| state.asks(held.ids.erp, held.ids.crm)).collect();
    state.waits.hold_all(held);
}

/// Names the records that cannot be read, and those of which the filter cannot tell whether they are inside.
fn hold_undecided(map: &TableMap, read: &PerSide<Inside>, couplings: &Couplings) -> Vec<Held> {
    let inside = PerSide::from_fn(|side| read.of(side).frame.clone());
    let undecided = PerSide::from_fn(|side| read.of(side).undecided.clone());
    let names = Names::new(map, &[&inside, &undecided]);
    let mut all = unreadable::hold(map, read, couplings, &names);
    for side in Side::BOTH {
        let held = |(row, why): (usize, &Undecided)| {
            let Undecided::Filter(fault) = why else { return None };
            let record = names.row(undecided.of(side), side, row);
            let id = Some(undecided.of(side).id(row));
            let ids = match side {
                Side::Erp => PerSide { erp: id, crm: None },
                Side::Crm => PerSide { erp: None, crm: id },
            };
            let to = side.other();
            let message = format!("{record} is left alone: the filter {fault}");
            let values = PerSide::default();
            Some(Held { kind: InboxKind::Failed, record, ids, field: None, values, to: Some(to), message })
        };
        all.extend(read.of(side).why.iter().enumerate().filter_map(held));
    }
    all
}

/// Tells the links of the couplings that the pass does not look at.
fn link_others(map: &TableMap, couplings: &Couplings, looked_at: &[usize], links: &mut Links) {
    let looked_at: HashSet<usize> = looked_at.iter().copied().collect();
    let table = links.table(&map.name);
    for coupling in (0..couplings.len()).filter(|coupling| !looked_at.contains(coupling)) {
        table.couple(couplings.erp[coupling], couplings.crm[coupling]);
    }
}
