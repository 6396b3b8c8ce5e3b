//! One table map's turn: extract, couple, decide, apply, verify, settle.
//!
//! Decisions are made for all pairs at once, carried out, and what was written is looked at again: what the other side
//! assigned or refused, and what somebody edited meanwhile, is decided anew for the touched pairs only, a bounded
//! number of times. A base moves only here, from what a side returned after it confirmed a write, or where both agree.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use uuid::Uuid;

use crate::apply::{Applied, Target, apply};
use crate::config::{PerSide, Side, TableMap, When};
use crate::couple::{self, Absent, Pairs, found_beyond, join, match_rows};
use crate::delta::{self, Held, Work, decide_inserts, decide_pairs, held_now, hold_doubt, name_row};
use crate::endpoint::{EndpointError, Outcome, TableInfo};
use crate::extract::{self, Scope};
use crate::frame::{EvaluationError, Frame, Kind, Value};
use crate::order::Pass;
use crate::plan::{Action, ActionKind, TablePlan};
use crate::run::{Context, Event, TableReport};
use crate::store::{Answer, CouplingChange, InboxItem, InboxKind, Origin, Settlement, Store, StoreError};
use crate::translate::{BLANK, Links};

/// How often a pair is decided in one run: once, once more for what the server made of it, and again where somebody
/// edits the record at the same time.
const ROUNDS_MAX: usize = 5;

/// Settlements in one transaction.
const SETTLEMENTS_MAX: usize = 20_000;

/// Stands in a plan for a key that the side gives to a new record, such as the next number of a series.
const UNTOLD: &str = "(NEW)";

/// Why a pass could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("an expression cannot be evaluated: {0}")]
    Expression(#[from] EvaluationError),
    /// A table map that this one needs has failed.
    #[error("{0}")]
    Waits(String),
}

/// A pass between its first step and its end.
pub struct PassState {
    frames: PerSide<Frame>,
    pairs: Pairs,
    /// What waits, by the pair or record that it is about.
    held: Vec<Held>,
    plan: TablePlan,
    /// Fields of each pair whose base is another than the state holds.
    unsaved: HashMap<Uuid, Vec<usize>>,
    tally: Tally,
    report: TableReport,
    inbox: Vec<InboxItem>,
}

/// Which pairs were written, by their ERP ids.
#[derive(Debug, Default)]
struct Tally {
    inserted: PerSide<HashSet<Uuid>>,
    modified: PerSide<HashSet<Uuid>>,
    /// Records left alone on purpose, by the side that would have been written.
    skipped: PerSide<u64>,
}

impl PassState {
    /// Returns the counts so far.
    pub fn report(&self) -> TableReport {
        self.report.clone()
    }

    /// Returns what waits for a person.
    pub fn inbox(&self) -> Vec<InboxItem> {
        self.inbox.clone()
    }

    /// Returns what was decided.
    pub fn into_plan(mut self) -> TablePlan {
        self.plan.held = self.inbox;
        self.plan
    }

    fn work<'a>(&'a self, context: &'a Context<'_>, map: &'a TableMap, step: &'a Step<'_>) -> Work<'a> {
        Work {
            pipeline: &context.pipeline.name,
            map,
            infos: &step.scope.infos,
            frames: &self.frames,
            pairs: &self.pairs,
            links: step.links,
            left_out: &step.left_out,
            crm_tables: &context.crm_tables,
        }
    }
}

/// What one step of a pass works with.
struct Step<'a> {
    scope: &'a Scope,
    links: &'a Links,
    /// Fields that wait for the other step.
    left_out: Vec<bool>,
}

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
    let keys: Vec<String> = map.fields.iter().map(crate::config::FieldMap::key).collect();

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
    let keys: Vec<String> = map.fields.iter().map(crate::config::FieldMap::key).collect();
    let step = Step { scope, links, left_out: turn.deferred.iter().map(|deferred| !deferred).collect() };
    rounds(context, store, map, &step, state, None)?;
    finish(context, store, map, &keys, state)
}

/// Decides and applies until nothing is left to do for the touched pairs.
///
/// `alone` holds the rows that get a partner, by the side where they are, and what their target side holds outside
/// its filter.
fn rounds(
    context: &Context<'_>,
    store: &mut dyn Store,
    map: &TableMap,
    step: &Step<'_>,
    state: &mut PassState,
    alone: Option<(&PerSide<Vec<usize>>, &PerSide<Option<Frame>>)>,
) -> Result<(), PassError> {
    let clock = || (context.options.elapsed)();
    // Records without partner, by id, because rows move when frames are brought up to date.
    let mut waiting: PerSide<Vec<Uuid>> = PerSide::default();
    if let Some((alone, _)) = alone {
        waiting = PerSide::from_fn(|side| alone.of(side).iter().map(|&row| state.frames.of(side).id(row)).collect());
    }
    let mut touched: Option<HashSet<Uuid>> = None;
    for round in 0..ROUNDS_MAX {
        let merging = clock();
        let mut actions = decide_round(context, map, step, state, touched.as_ref())?;
        for to in Side::BOTH {
            let by_id = couple::rows_by_id(state.frames.of(to.other()));
            let rows: Vec<usize> = waiting.of(to.other()).iter().filter_map(|id| by_id.get(id).copied()).collect();
            let taken = alone.and_then(|(_, beyond)| beyond.of(to).as_ref());
            let inserts = decide_inserts(&state.work(context, map, step), to, &rows, taken)?;
            actions.extend(inserts.actions);
            if round == 0 {
                state.held.extend(inserts.held);
            }
        }
        state.report.seconds.merge += clock() - merging;
        if round == 0 {
            state.plan.actions.extend(actions.iter().cloned());
        }
        if context.options.dry_run || actions.is_empty() {
            break;
        }
        let mut again: HashSet<Uuid> = HashSet::new();
        waiting = PerSide::default();
        for to in [Side::Crm, Side::Erp] {
            let side_actions: Vec<Action> = actions.iter().filter(|action| action.side == to).cloned().collect();
            if side_actions.is_empty() {
                continue;
            }
            let applying = clock();
            let total = side_actions.len();
            let target = Target {
                endpoint: *context.endpoints.of(to),
                info: step.scope.infos.of(to),
                columns: step.scope.columns.of(to),
                run: &context.options.run,
                stop: context.options.stop,
            };
            let tell = |done: usize| (context.tell)(Event::Writing { table: &map.name, side: to, done, total });
            let applied = apply(&side_actions, to, &target, store, step.scope.empty(to), &tell)?;
            state.report.seconds.apply += clock() - applying;
            let verifying = clock();
            let last = round + 1 == ROUNDS_MAX;
            verify(context, store, map, step, state, to, &side_actions, applied, &mut again, &mut waiting, last)?;
            save(store, map, state)?;
            state.report.seconds.verify += clock() - verifying;
        }
        if context.options.stop.load(Ordering::Relaxed) {
            break;
        }
        touched = Some(again);
    }
    Ok(())
}

/// Decides pairs, all of them or those touched, and takes over what is settled and what is held.
fn decide_round(
    context: &Context<'_>,
    map: &TableMap,
    step: &Step<'_>,
    state: &mut PassState,
    touched: Option<&HashSet<Uuid>>,
) -> Result<Vec<Action>, PassError> {
    let chosen: Option<Vec<usize>> = touched
        .map(|touched| (0..state.pairs.len()).filter(|&pair| touched.contains(&state.pairs.ids[pair].erp)).collect());
    let decisions = match &chosen {
        None => decide_pairs(&state.work(context, map, step))?,
        Some(chosen) => {
            let (frames, pairs) = excerpt(state, chosen);
            let work = state.work(context, map, step);
            decide_pairs(&Work { frames: &frames, pairs: &pairs, ..work })?
        }
    };
    let real = |pair: usize| chosen.as_ref().map_or(pair, |chosen| chosen[pair]);
    for (pair, field, base) in decisions.settled {
        set_base(state, real(pair), field, base);
    }
    if let Some(touched) = touched {
        let fields = &step.left_out;
        state.held.retain(|held| {
            let decided = held.field.is_some_and(|field| !fields[field]);
            !(decided && held.ids.crm.is_some() && held.ids.erp.is_some_and(|erp| touched.contains(&erp)))
        });
    }
    state.held.extend(decisions.held);
    Ok(decisions.actions)
}

/// Copies the rows of some pairs into frames of their own, so that a later round costs what it touches.
fn excerpt(state: &PassState, chosen: &[usize]) -> (PerSide<Frame>, Pairs) {
    let mut pairs = state.pairs.subset(chosen);
    let frames = PerSide::from_fn(|side| {
        let rows: Vec<usize> = pairs.rows.iter().map(|rows| *rows.of(side)).collect();
        state.frames.of(side).take(&rows)
    });
    for (row, rows) in pairs.rows.iter_mut().enumerate() {
        *rows = PerSide { erp: row, crm: row };
    }
    (frames, pairs)
}

fn set_base(state: &mut PassState, pair: usize, field: usize, base: Option<PerSide<u64>>) {
    if state.pairs.bases[field][pair] == base {
        return;
    }
    state.pairs.bases[field][pair] = base;
    let fields = state.unsaved.entry(state.pairs.ids[pair].erp).or_default();
    if !fields.contains(&field) {
        fields.push(field);
    }
}

/// Takes the outcomes of one side's writes: brings the frames up to date, moves bases, and says what has to be decided
/// again.
#[expect(clippy::too_many_arguments, reason = "each is one thing that a round holds; a struct would only rename them")]
fn verify(
    context: &Context<'_>,
    store: &mut dyn Store,
    map: &TableMap,
    step: &Step<'_>,
    state: &mut PassState,
    to: Side,
    actions: &[Action],
    applied: Applied,
    again: &mut HashSet<Uuid>,
    waiting: &mut PerSide<Vec<Uuid>>,
    last: bool,
) -> Result<(), PassError> {
    let Applied { outcomes, journal, rows } = applied;
    let returned: HashSet<Uuid> = rows.ids().into_iter().collect();
    let before = before_write(state, map, to, actions);
    let unread: Vec<Uuid> = actions
        .iter()
        .zip(&outcomes)
        .filter(|(action, outcome)| match outcome {
            Outcome::Written => !returned.contains(action.ids.of(to)),
            Outcome::Stale | Outcome::Exists | Outcome::Unknown { .. } => true,
            Outcome::Gone | Outcome::Refused { .. } | Outcome::NotSent { .. } => false,
        })
        .map(|(action, _)| *action.ids.of(to))
        .collect();
    let read = extract::read_ids(step.scope, to, *context.endpoints.of(to), unread)?;
    let found: HashSet<Uuid> = read.ids().into_iter().collect();
    let frame = state.frames.of_mut(to);
    frame.upsert(&rows);
    frame.upsert(&read);

    let mut answers: Vec<Answer> = Vec::new();
    let mut couplings: Vec<CouplingChange> = Vec::new();
    let mut written: Vec<usize> = Vec::new();
    for (index, (action, outcome)) in actions.iter().zip(&outcomes).enumerate() {
        let id = *action.ids.of(to);
        let insert = action.kind == ActionKind::Insert;
        let hold = |message: String| Held {
            kind: InboxKind::Failed,
            record: action.record.clone(),
            ids: PerSide::from_fn(|side| (!insert || side != to).then_some(*action.ids.of(side))),
            field: None,
            values: PerSide::default(),
            to: Some(to),
            message: format!("{} cannot go to the {}: {message}", action.record, to.name()),
        };
        let settled = match outcome {
            Outcome::Written | Outcome::Exists => {
                written.push(index);
                if insert {
                    state.tally.inserted.of_mut(to).insert(action.ids.erp);
                    state.pairs.push(action.ids, PerSide::default(), Some(Origin::Created(to)));
                } else {
                    state.tally.modified.of_mut(to).insert(action.ids.erp);
                }
                again.insert(action.ids.erp);
                continue;
            }
            Outcome::Stale if last => Some("somebody kept editing the record during the run".to_owned()),
            Outcome::Stale => {
                again.insert(action.ids.erp);
                None
            }
            Outcome::Unknown { .. } => {
                let word = if found.contains(&id) { "found" } else { "not found" };
                answers.push(Answer { journal_id: journal[index], outcome: word.into(), message: String::new() });
                match (insert, found.contains(&id)) {
                    (true, true) => {
                        couplings.push(CouplingChange::Couple {
                            erp: action.ids.erp,
                            crm: action.ids.crm,
                            origin: Origin::Created(to),
                        });
                        written.push(index);
                        state.tally.inserted.of_mut(to).insert(action.ids.erp);
                        state.pairs.push(action.ids, PerSide::default(), Some(Origin::Created(to)));
                        again.insert(action.ids.erp);
                        None
                    }
                    (true, false) if last => Some("its answer was lost, and it did not arrive".to_owned()),
                    (true, false) => {
                        waiting.of_mut(to.other()).push(*action.ids.of(to.other()));
                        None
                    }
                    (false, _) => {
                        again.insert(action.ids.erp);
                        None
                    }
                }
            }
            Outcome::Gone => Some("it was deleted there during the run".to_owned()),
            Outcome::Refused { message } | Outcome::NotSent { message } => Some(message.clone()),
        };
        if let Some(message) = settled {
            state.held.push(hold(message));
        }
    }
    if !answers.is_empty() || !couplings.is_empty() {
        store.answer(&answers, &map.name, &couplings)?;
    }
    state.pairs.locate(&state.frames);
    move_bases(context, map, step, state, to, actions, &written, &before);
    Ok(())
}

/// What the fields of the records to be updated hold before the write.
fn before_write(state: &PassState, map: &TableMap, to: Side, actions: &[Action]) -> HashMap<Uuid, Vec<u64>> {
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
fn move_bases(
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
fn save(store: &mut dyn Store, map: &TableMap, state: &mut PassState) -> Result<(), StoreError> {
    if state.unsaved.is_empty() {
        return Ok(());
    }
    let keys: Vec<String> = map.fields.iter().map(crate::config::FieldMap::key).collect();
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

/// Settles what a run that was cut off left open, by reading (I2).
fn settle_intents(
    context: &Context<'_>,
    store: &mut dyn Store,
    scope: &Scope,
    map: &TableMap,
) -> Result<(), PassError> {
    let open = store.open_intents(&map.name)?;
    if open.is_empty() {
        return Ok(());
    }
    let couplings = store.couplings(&map.name, &[])?;
    let mut coupled: PerSide<HashSet<Uuid>> =
        PerSide { erp: couplings.erp.into_iter().collect(), crm: couplings.crm.into_iter().collect() };
    let mut there: PerSide<HashSet<Uuid>> = PerSide::default();
    for side in Side::BOTH {
        let ids: HashSet<Uuid> = open
            .iter()
            .filter(|open| open.intent.side == side && open.intent.action == "insert")
            .map(|open| open.intent.id)
            .collect();
        let mut ids: Vec<Uuid> = ids.into_iter().collect();
        ids.sort_unstable();
        *there.of_mut(side) =
            extract::read_ids(scope, side, *context.endpoints.of(side), ids)?.ids().into_iter().collect();
    }
    let mut answers = Vec::new();
    let mut changes = Vec::new();
    for OpenJournal { journal_id, intent } in open.into_iter().map(OpenJournal::from) {
        // An update needs no more than the reading that follows: its record is compared like any other.
        let insert = intent.action == "insert";
        let found = !insert || there.of(intent.side).contains(&intent.id);
        let ids = match intent.side {
            Side::Erp => PerSide { erp: intent.id, crm: intent.partner },
            Side::Crm => PerSide { erp: intent.partner, crm: intent.id },
        };
        if insert && found && !coupled.erp.contains(&ids.erp) && !coupled.crm.contains(&ids.crm) {
            coupled.erp.insert(ids.erp);
            coupled.crm.insert(ids.crm);
            changes.push(CouplingChange::Couple { erp: ids.erp, crm: ids.crm, origin: Origin::Created(intent.side) });
        }
        let outcome = match (insert, found) {
            (false, _) => "read again",
            (true, true) => "found",
            (true, false) => "not found",
        };
        answers.push(Answer {
            journal_id,
            outcome: outcome.to_owned(),
            message: "the run was cut off before the answer".to_owned(),
        });
    }
    store.answer(&answers, &map.name, &changes)?;
    Ok(())
}

/// An open intent taken apart.
struct OpenJournal {
    journal_id: i64,
    intent: crate::store::Intent,
}

impl From<crate::store::OpenIntent> for OpenJournal {
    fn from(open: crate::store::OpenIntent) -> OpenJournal {
        OpenJournal { journal_id: open.journal_id, intent: open.intent }
    }
}

/// Finds out about coupled records that were not read: outside the filter, or gone (I7).
///
/// Returns the records that exist outside their filter.
fn absent(
    context: &Context<'_>,
    store: &mut dyn Store,
    scope: &Scope,
    map: &TableMap,
    absent: &[Absent],
    state: &mut PassState,
    links: &mut Links,
) -> Result<PerSide<Frame>, PassError> {
    let mut outside = PerSide::from_fn(|side| scope.empty(side));
    for side in Side::BOTH {
        let missing = absent.iter().filter(|absent| absent.rows.of(side).is_none());
        let ids: Vec<Uuid> = missing.map(|absent| *absent.ids.of(side)).collect();
        *outside.of_mut(side) = extract::read_ids(scope, side, *context.endpoints.of(side), ids)?;
    }
    let there = PerSide::from_fn(|side| couple::rows_by_id(outside.of(side)));
    let mut gone = Vec::new();
    for Absent { ids, rows } in absent {
        let exists = PerSide::from_fn(|side| rows.of(side).is_some() || there.of(side).contains_key(ids.of(side)));
        if !exists.erp && !exists.crm {
            gone.push(CouplingChange::Uncouple { erp: ids.erp, crm: ids.crm });
            state.plan.actions.push(Action {
                table: map.name.clone(),
                record: format!("{}:{}", map.name, ids.erp),
                side: Side::Erp,
                kind: ActionKind::Uncouple,
                why: "both records are gone".into(),
                ids: *ids,
                etag: None,
                fields: Vec::new(),
            });
            continue;
        }
        for side in Side::BOTH {
            // Only what was read is counted: the survivor inside its filter, in the direction away from it.
            if rows.of(side).is_some() && map.direction.writes(side.other()) {
                *state.tally.skipped.of_mut(side.other()) += 1;
            }
        }
        if let Some(side) = Side::BOTH.into_iter().find(|side| !exists.of(*side)) {
            let survivor = side.other();
            let record = match (rows.of(survivor), there.of(survivor).get(ids.of(survivor))) {
                (Some(row), _) => name_row(map, state.frames.of(survivor), survivor, *row),
                (None, Some(row)) => name_row(map, outside.of(survivor), survivor, *row),
                (None, None) => format!("{}:{}", map.name, ids.erp),
            };
            let message = format!(
                "{record} was deleted in the {}; it stays in the {} until somebody decides",
                side.name(),
                survivor.name()
            );
            state.held.push(Held {
                kind: InboxKind::Deleted,
                record,
                ids: PerSide { erp: Some(ids.erp), crm: Some(ids.crm) },
                field: None,
                values: PerSide::default(),
                to: None,
                message,
            });
        }
    }
    state.report.uncoupled += gone.len() as u64;
    if !gone.is_empty() && !context.options.dry_run {
        store.commit(&map.name, &[], &gone, &[])?;
    }
    // A record outside its filter is still somebody's reference.
    for Absent { ids, .. } in absent {
        links.table(&map.name).couple(ids.erp, ids.crm);
    }
    Ok(outside)
}

/// Makes couplings of what the match rules found.
fn take_matches(
    context: &Context<'_>,
    store: &mut dyn Store,
    map: &TableMap,
    matches: &[couple::Match],
    state: &mut PassState,
    links: &mut Links,
) -> Result<(), PassError> {
    let mut changes = Vec::new();
    let mut by_rule: HashMap<usize, u64> = HashMap::new();
    for found in matches {
        let ids = PerSide::from_fn(|side| state.frames.of(side).id(*found.rows.of(side)));
        let origin = Origin::Matched(found.rule);
        *by_rule.entry(found.rule).or_default() += 1;
        changes.push(CouplingChange::Couple { erp: ids.erp, crm: ids.crm, origin: origin.clone() });
        links.table(&map.name).couple(ids.erp, ids.crm);
        let rule = &map.match_rules[found.rule - 1];
        let columns: Vec<String> = rule.by.iter().map(|(erp, crm)| format!("{erp} = {crm}")).collect();
        state.plan.actions.push(Action {
            table: map.name.clone(),
            record: delta::name_pair(map, &state.frames, found.rows),
            side: Side::Erp,
            kind: ActionKind::Couple { origin: origin.clone() },
            why: format!("match rule {}: {}", found.rule, columns.join(" and ")),
            ids,
            etag: None,
            fields: Vec::new(),
        });
        state.pairs.push(ids, found.rows, Some(origin));
    }
    if !changes.is_empty() && !context.options.dry_run {
        store.commit(&map.name, &[], &changes, &[])?;
    }
    state.report.matched = by_rule.into_iter().collect();
    state.report.matched.sort_unstable();
    Ok(())
}

/// Returns the rows of `all` that the frame does not hold and that have no coupling.
fn outside(all: &Frame, frame: &Frame, coupled: &HashSet<Uuid>) -> Frame {
    let inside = couple::rows_by_id(frame);
    let rows: Vec<usize> = all
        .ids()
        .into_iter()
        .enumerate()
        .filter(|(_, id)| !inside.contains_key(id) && !coupled.contains(id))
        .map(|(row, _)| row)
        .collect();
    all.take(&rows)
}

/// Tells the links what the records of this table map are called, for references of others.
fn name_records(context: &Context<'_>, map: &TableMap, state: &PassState, beyond: &PerSide<Frame>, links: &mut Links) {
    let references = context.pipeline.tables.iter().flat_map(|table| &table.fields);
    let references = references.filter_map(|field| field.reference.as_ref()).filter(|known| known.table == map.name);
    let mut columns: HashSet<(Side, &str)> = HashSet::new();
    for reference in references {
        columns.insert((Side::Erp, &reference.erp));
        if let Some(column) = &reference.crm {
            columns.insert((Side::Crm, column));
        }
    }
    let table = links.table(&map.name);
    for (side, column) in columns {
        table.name_all(side, column, state.frames.of(side));
        table.name_all(side, column, beyond.of(side));
    }
    for ids in &state.pairs.ids {
        table.couple(ids.erp, ids.crm);
    }
}

/// In a dry run, takes planned records for real, so that the plan of later tables is what a run would do.
fn assume(context: &Context<'_>, map: &TableMap, infos: &PerSide<TableInfo>, plan: &TablePlan, links: &mut Links) {
    let is_id = |side: Side, column: &str| {
        infos.of(side).column(column).is_some_and(|info| info.column.kind == Kind::Guid && info.targets.is_empty())
    };
    let references: Vec<_> = context
        .pipeline
        .tables
        .iter()
        .flat_map(|table| &table.fields)
        .filter_map(|field| field.reference.as_ref())
        .filter(|reference| reference.table == map.name)
        .collect();
    let table = links.table(&map.name);
    for action in plan.actions.iter().filter(|action| action.kind == ActionKind::Insert) {
        table.couple(action.ids.erp, action.ids.crm);
        for reference in &references {
            let column = match action.side {
                Side::Erp => Some(&reference.erp),
                Side::Crm => reference.crm.as_ref(),
            };
            let Some(column) = column else { continue };
            let id = *action.ids.of(action.side);
            match action.fields.iter().find(|field| field.column == *column) {
                Some(value) => table.name(action.side, column, id, &value.new.to_string()),
                // An id that nobody gives is the one that we chose.
                None if is_id(action.side, column) => table.name(action.side, column, id, &id.to_string()),
                None => table.name(action.side, column, id, UNTOLD),
            }
        }
    }
}

/// Saves what is left, counts, and files what waits.
fn finish(
    context: &Context<'_>,
    store: &mut dyn Store,
    map: &TableMap,
    keys: &[String],
    state: &mut PassState,
) -> Result<(), PassError> {
    let dry = context.options.dry_run;
    if !dry {
        save(store, map, state)?;
    }
    state.inbox = Vec::new();
    for held in &state.held {
        let field = held.field.map(|field| &map.fields[field]);
        let mut item = InboxItem {
            table: map.name.clone(),
            record: held.record.clone(),
            kind: held.kind,
            erp_id: held.ids.erp,
            crm_id: held.ids.crm,
            field: field.map(|field| field.name().to_owned()),
            base: None,
            erp: held.values.erp.clone(),
            crm: held.values.crm.clone(),
            message: held.message.clone(),
            since: context.options.started.clone(),
            attempts: 1,
        };
        if let (InboxKind::Contested, Some(field), Some(erp), Some(crm)) =
            (held.kind, held.field, held.ids.erp, held.ids.crm)
        {
            item.base = store.base_values(&map.name, erp, crm)?.remove(&keys[field]).map(|base| base.erp);
        }
        state.inbox.push(item);
    }
    if !dry {
        store.replace_inbox(&map.name, &state.inbox)?;
        let kept = store.inbox(Some(&map.name))?;
        if kept.len() == state.inbox.len() {
            state.inbox = kept;
        }
    }
    count_up(context, store, map, state)?;
    Ok(())
}

/// Counts pairs and records by direction.
fn count_up(context: &Context<'_>, store: &dyn Store, map: &TableMap, state: &mut PassState) -> Result<(), PassError> {
    let planned = |to: Side, kind: ActionKind| -> HashSet<Uuid> {
        let actions = state.plan.actions.iter().filter(|action| action.side == to && action.kind == kind);
        actions.map(|action| action.ids.erp).collect()
    };
    let mut failed: PerSide<HashSet<(Option<Uuid>, Option<Uuid>)>> = PerSide::default();
    let mut contested: HashSet<Option<Uuid>> = HashSet::new();
    for held in &state.held {
        match (held.kind, held.to) {
            (InboxKind::Contested, _) => {
                contested.insert(held.ids.erp);
            }
            (_, Some(to)) => {
                failed.of_mut(to).insert((held.ids.erp, held.ids.crm));
            }
            (InboxKind::Ambiguous, None) => {
                // A record in doubt is one that would have gone to the other side.
                let to = if held.ids.erp.is_some() { Side::Crm } else { Side::Erp };
                if map.create.on(to) {
                    failed.of_mut(to).insert((held.ids.erp, held.ids.crm));
                }
            }
            _ => {}
        }
    }
    let mut counts = PerSide::<crate::run::Counts>::default();
    for to in Side::BOTH {
        if !map.direction.writes(to) {
            continue;
        }
        let (inserted, modified) = if context.options.dry_run {
            (planned(to, ActionKind::Insert), planned(to, ActionKind::Update))
        } else {
            (state.tally.inserted.of(to).clone(), state.tally.modified.of(to).clone())
        };
        let made = |erp: &Uuid| {
            let other = state.tally.inserted.of(to.other());
            inserted.contains(erp) || other.contains(erp)
        };
        let failed_pairs: HashSet<Uuid> =
            failed.of(to).iter().filter(|(_, crm)| crm.is_some()).filter_map(|(erp, _)| *erp).collect();
        let unchanged = state
            .pairs
            .ids
            .iter()
            .filter(|ids| !made(&ids.erp) && !modified.contains(&ids.erp) && !failed_pairs.contains(&ids.erp))
            .count();
        let modified = modified.iter().filter(|erp| !inserted.contains(*erp) && !failed_pairs.contains(*erp)).count();
        let counts = counts.of_mut(to);
        counts.inserted = inserted.len() as u64;
        counts.modified = modified as u64;
        counts.unchanged = unchanged as u64;
        counts.skipped = *state.tally.skipped.of(to);
        counts.failed = failed.of(to).len() as u64;
    }
    state.report.to = counts;
    state.report.contested = contested.len() as u64;
    let inserted = counts.erp.inserted + counts.crm.inserted;
    let matched: u64 = state.report.matched.iter().map(|(_, count)| count).sum();
    state.report.new_couplings = inserted + matched;
    state.report.coupled = if context.options.dry_run {
        state.pairs.len() as u64 + inserted
    } else {
        store.coupling_counts()?.get(&map.name).copied().unwrap_or(0)
    };
    Ok(())
}

fn note_it(context: &Context<'_>, report: &mut TableReport, note: String) {
    (context.tell)(Event::Note { table: &report.table, message: &note });
    report.notes.push(note);
}

fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}
