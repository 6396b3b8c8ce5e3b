//! The loop over the passes, and what it tells while it goes.

pub mod selection;
pub mod approval;
mod beyond;
mod state;
mod notes;
mod needs;
mod gather;
mod candidates;
mod changed;
mod intents;
mod partners;
mod names;
mod bases;
mod marks;
mod refusals;
pub mod chosen;
mod verify;
mod pretend;
mod later;
mod keyed;
mod rounds;
mod decided;
pub mod sight;
mod apart;
mod deletions;
mod deleting;
mod newcomers;
mod doubts;
mod count;
pub mod carried;
mod returning;
mod opening;
mod alone;
mod pass;
pub mod explain;
pub mod strays;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

use crate::address::Unclear;
use crate::binding::{Binding, Foreign, Renamed};
use crate::config::{PerSide, Pipeline, Side, TableMap};
use crate::delta::Overwritten;
use crate::endpoint::{Endpoint, EndpointError, Traffic};
use crate::extract::{self, Scope};
use crate::misfit::{Misfit, misfits, no_table};
use crate::order::{Pass, passes};
use crate::plan::Plan;
use crate::run::approval::Approved;
use crate::run::carried::Carried;
use crate::run::chosen::{Chosen, Standing};
use crate::run::pretend::Pretended;
use crate::run::selection::{Asked, Named, Selection};
use crate::run::sight::{Sight, Subjects};
use crate::store::{InboxItem, InboxKind, Store, StoreError, Watermark};
use crate::translate::links::Links;

/// The eight counts of one direction, less couplings, which have none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub inserted: u64,
    pub modified: u64,
    pub deleted: u64,
    pub unchanged: u64,
    /// Seen, and left alone on purpose: the partner is outside the filter, or nothing is created in this direction.
    pub skipped: u64,
    pub failed: u64,
}

/// Where the time of a pass went, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Seconds {
    pub extract: f64,
    pub merge: f64,
    pub apply: f64,
    pub verify: f64,
}

/// How a table map was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything inside the filters.
    #[default]
    Full,
    /// What was modified since the last time, and what belongs to it.
    Changed,
    /// Named records, and what belongs to them.
    Selected,
}

impl Mode {
    /// Returns the word of the JSON output.
    pub fn key(self) -> &'static str {
        match self {
            Mode::Full => "full",
            Mode::Changed => "changed",
            Mode::Selected => "selected",
        }
    }
}

/// What a run did to one table map.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TableReport {
    pub table: String,
    pub mode: Mode,
    /// Whether only a part of it had its turn: named records, or one of its two directions.
    pub partial: bool,
    /// Rows read, inside the filters.
    pub rows: PerSide<u64>,
    /// Of these, in a dry run, those that it made itself before, for another table map of the same table.
    pub made: PerSide<u64>,
    /// Whether none of its records was coupled before.
    pub first: bool,
    /// Couplings at the end.
    pub coupled: u64,
    /// Records written to each side, by the side that is written.
    pub to: PerSide<Counts>,
    pub new_couplings: u64,
    pub uncoupled: u64,
    /// Coupled pairs that are outside the filters and were not compared.
    pub outside: u64,
    /// Records with at least one contested field.
    pub contested: u64,
    /// Values that gave way because a person let the other side win; in a dry run those that would.
    pub overwritten: Vec<Overwritten>,
    /// Records that would go to a side that the run was not to write.
    pub undone: PerSide<u64>,
    /// What became of the records that were asked for by name.
    pub selected: Vec<Chosen>,
    /// New couplings by match rule (from 1) and how many each gave.
    pub matched: Vec<(usize, u64)>,
    pub seconds: Seconds,
    /// What is worth a line: why records were left alone, what the server changed on its own.
    pub notes: Vec<String>,
    /// Why the table could not be finished.
    pub error: Option<String>,
    /// Why the guard stopped the table, and what to do about it.
    pub guarded: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunOutcome {
    /// Everything asked for is done and both sides agree.
    Converged,
    /// Finished, but something failed, is contested or waits.
    Incomplete,
    /// A guard stopped a table; the others went on.
    Guarded,
    /// Nothing could be done.
    Failed,
    /// Stopped by a signal; what was done is kept.
    Interrupted,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq)]
pub struct RunReport {
    pub pipeline: String,
    /// To what the state belongs: the company and the organization that the run met.
    pub binding: Binding,
    pub run: String,
    pub outcome: RunOutcome,
    /// RFC 3339.
    pub started: String,
    pub seconds: f64,
    pub tables: Vec<TableReport>,
    pub requests: PerSide<Traffic>,
    /// What waits for a person in the tables of the run; in a dry run what would, and what a side refused before and
    /// would be sent again.
    pub inbox: Vec<InboxItem>,
    /// What is odd about file and state together, and concerns no one table map.
    pub notes: Vec<String>,
    /// What was decided; in a dry run what would have been done.
    pub plan: Plan,
    /// What people call the records that the plan's values point to, where that is known.
    pub names: BTreeMap<Uuid, String>,
    pub dry_run: bool,
    /// What became of the approved plan, where the run carried out one.
    pub carried: Option<Carried>,
}

/// What a run tells while it goes; for progress and talk only.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// A pass begins; `position` counts from 1.
    TableStarted { table: &'a str, position: usize, total: usize },
    /// So many rows were read of one side.
    Reading { table: &'a str, side: Side, rows: usize },
    /// Both sides are read; the comparison begins.
    Merging { table: &'a str },
    /// So many of the pass's writes to one side have an answer.
    Writing { table: &'a str, side: Side, done: usize, total: usize },
    /// Something that people should hear of, whatever else happens.
    Warning { message: &'a str },
    /// Something is worth a line with `-v`.
    Note { table: &'a str, message: &'a str },
    /// A pass is over.
    TableFinished { report: &'a TableReport },
}

/// Why a run could not be done.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state is another pipeline's.
    #[error(transparent)]
    Renamed(#[from] Renamed),
    /// The state is another company's or organization's.
    #[error(transparent)]
    Foreign(#[from] Box<Foreign>),
    /// Names of records mean nothing, or several records; nothing was touched.
    #[error("{}", .0.iter().map(Unclear::to_string).collect::<Vec<_>>().join("; "))]
    Unclear(Vec<Unclear>),
    /// The approved plan is another pipeline's, company's or organization's.
    #[error("{0}")]
    ForeignPlan(String),
    /// The file does not fit the metadata of a side; nothing was touched.
    #[error("the file does not fit the tables in {} places", .0.len())]
    Mapping(Vec<Misfit>),
}

/// What a run is asked for.
pub struct Options<'a> {
    /// Table maps by name; empty means all, unless records are named.
    pub only: Vec<String>,
    /// Named records, one direction, one side that wins.
    pub selection: Selection,
    /// Reads what was modified since the last time, instead of everything.
    pub changed: bool,
    /// Decides and writes nothing, not even to the state.
    pub dry_run: bool,
    /// A plan of which nothing but its actions is carried out.
    pub approved: Option<&'a Approved>,
    /// Where the plan of what a guard stops is saved, as the caller would have to name it.
    pub guarded_plan: Option<&'a str>,
    /// The id of this run.
    pub run: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// Seconds since it began, by a clock that never goes back.
    pub elapsed: &'a (dyn Fn() -> f64 + Sync),
    /// Set when the run has to end at the next safe point.
    pub stop: &'a AtomicBool,
}

/// What all passes of a run share.
struct Context<'a> {
    pipeline: &'a Pipeline,
    endpoints: PerSide<&'a dyn Endpoint>,
    options: &'a Options<'a>,
    tell: &'a (dyn Fn(Event<'_>) + Sync),
    /// The same two sides where nothing is written in earnest.
    pretended: Option<&'a PerSide<Pretended<'a>>>,
    /// Where the rest of the plan of a table map goes that its guard stopped; nobody reads it there.
    scratch: &'a PerSide<Pretended<'a>>,
    /// CRM table of each table map, for references.
    crm_tables: HashMap<String, String>,
    /// The records to explain, where that is what the run is for: no others are looked at.
    subjects: Option<&'a Subjects>,
    /// Records that were asked for by name.
    named: Vec<Named>,
}

impl Context<'_> {
    /// Returns the records that a table map's turn is about; `None` where that is the whole table.
    fn asked(&self, map: &TableMap) -> Option<Asked> {
        let whole = self.options.only.contains(&map.name) || self.named.is_empty();
        (!whole).then(|| Asked::of(map, &self.named))
    }

    /// Tells whether some table is not read in full, so that keys of references have to be asked for.
    fn reads_parts(&self) -> bool {
        self.options.changed || !self.named.is_empty()
    }

    /// Tells whether the run writes to a side.
    fn writes(&self, side: Side) -> bool {
        self.options.selection.to.is_none_or(|to| to == side)
    }
}

impl<'a> Context<'a> {
    /// Returns the sides that are written on paper, where that holds for a pass: in a dry run, and for what its guard
    /// stopped, so that its plan is whole.
    fn paper(&self, state: &state::PassState) -> Option<&'a PerSide<Pretended<'a>>> {
        if state.guarded { Some(self.scratch) } else { self.pretended }
    }

    /// Tells whether a pass leaves sides and state as they are.
    fn on_paper(&self, state: &state::PassState) -> bool {
        self.paper(state).is_some()
    }
}

/// Runs the passes asked for, in order; with `dry_run` it decides all and writes nothing.
///
/// A table map that cannot be read fails alone, with those that refer to it; only where all of them fail, or a side
/// cannot be opened at all, is it an error.
pub fn run(
    pipeline: &Pipeline,
    endpoints: PerSide<&dyn Endpoint>,
    store: &mut dyn Store,
    options: &Options<'_>,
    tell: &(dyn Fn(Event<'_>) + Sync),
) -> Result<RunReport, RunError> {
    carry_out(pipeline, endpoints, store, options, tell, None).map(|(report, _)| report)
}

/// Does what [`run`] does, for its `subjects` alone where there are any, and returns what it saw of these.
fn carry_out(
    pipeline: &Pipeline,
    endpoints: PerSide<&dyn Endpoint>,
    store: &mut dyn Store,
    options: &Options<'_>,
    tell: &(dyn Fn(Event<'_>) + Sync),
    subjects: Option<&Subjects>,
) -> Result<(RunReport, Vec<Sight>), RunError> {
    let bound = store.binding()?;
    let binding = belongs_to(pipeline, endpoints, bound.as_ref())?;
    if let Some(Approved { binding: planned, .. }) = options.approved {
        planned.of_pipeline(&pipeline.name).map_err(|renamed| RunError::ForeignPlan(renamed.to_string()))?;
        planned.of_sides(&binding.sides).map_err(|foreign| RunError::ForeignPlan(foreign.to_string()))?;
    }
    let selection = &options.selection;
    let selected = |name: &str| {
        let all = options.only.is_empty() && selection.records.is_empty();
        all || options.only.iter().chain(selection.records.iter().map(|record| &record.table)).any(|only| only == name)
    };
    let (passes, left_out): (Vec<Pass>, Vec<Pass>) = passes(pipeline)
        .into_iter()
        .filter(|pass| selected(&pipeline.tables[pass.table].name))
        .partition(|pass| selection.reaches(&pipeline.tables[pass.table]));
    let scopes = describe(pipeline, &passes, endpoints)?;
    let named = selection::look_up(pipeline, endpoints, &selection.records)?.map_err(RunError::Unclear)?;
    let crm_tables = pipeline.tables.iter().map(|map| (map.name.clone(), map.sides.crm.table.clone())).collect();
    let pretended = options.dry_run.then(|| pretend::both(endpoints, pipeline, &passes));
    let pretended = pretended.as_ref();
    let scratch = pretend::both(endpoints, pipeline, &[]);
    let endpoints = match pretended {
        Some(sides) => PerSide { erp: &sides.erp as &dyn Endpoint, crm: &sides.crm },
        None => endpoints,
    };
    let context =
        Context { pipeline, endpoints, options, tell, pretended, scratch: &scratch, crm_tables, subjects, named };

    let mut links = Links::default();
    let counts = store.coupling_counts()?;
    let mut notes: Vec<String> = strays::lost(pipeline, &counts).into_iter().collect();
    notes.extend(strays::unlinked(pipeline, &passes, &counts));
    let left_out: Vec<&TableMap> = left_out.iter().map(|pass| &pipeline.tables[pass.table]).collect();
    notes.extend(selection.left_out(&left_out));
    notes.iter().for_each(|message| tell(Event::Warning { message }));
    link_unselected(&context, &passes, store, &mut links)?;
    let mut report = RunReport {
        pipeline: pipeline.name.clone(),
        binding: binding.clone(),
        run: options.run.clone(),
        outcome: RunOutcome::Converged,
        started: options.started.clone(),
        seconds: 0.0,
        tables: Vec::new(),
        requests: PerSide::default(),
        inbox: Vec::new(),
        notes: notes.clone(),
        plan: Plan { pipeline: pipeline.name.clone(), tables: Vec::new() },
        names: BTreeMap::new(),
        dry_run: options.dry_run,
        carried: options.approved.map(|_| Carried::default()),
    };
    if !options.dry_run {
        if bound.as_ref() != Some(&binding) {
            store.bind(&binding)?;
        }
        store.begin_run(&options.run, &options.started)?;
    }
    let mut finished: Vec<Option<state::PassState>> = Vec::new();
    let mut first_error = None;
    for (position, (turn, scope)) in passes.iter().zip(&scopes).enumerate() {
        let map = &pipeline.tables[turn.table];
        if options.stop.load(Ordering::Relaxed) {
            break;
        }
        tell(Event::TableStarted { table: &map.name, position: position + 1, total: passes.len() });
        let waits_for = failed_need(map, &report.tables);
        let state = match waits_for {
            Some(need) => Err(state::PassError::Waits(format!("waits for {need}"))),
            None => pass::first_step(&context, store, scope, turn, &mut links),
        };
        let state = match state {
            Ok(state) => Some(state),
            Err(state::PassError::Store(error)) => return Err(error.into()),
            Err(error) => {
                let message = error.to_string();
                if let (None, state::PassError::Endpoint(error)) = (&first_error, error) {
                    first_error = Some(error);
                }
                let failed = TableReport { table: map.name.clone(), error: Some(message), ..TableReport::default() };
                report.tables.push(failed);
                None
            }
        };
        let state = state.map(|mut state| {
            report.tables.push(state.report());
            if !state.goes_on(turn) {
                state.release();
            }
            state
        });
        tell(Event::TableFinished { report: &report.tables[report.tables.len() - 1] });
        finished.push(state);
    }

    // References in a circle, now that every record that they could name is coupled.
    for (index, turn) in passes.iter().enumerate().take(finished.len()) {
        if !turn.deferred.contains(&true) || options.stop.load(Ordering::Relaxed) {
            continue;
        }
        if let Some(state) = finished[index].as_mut().filter(|state| !state.over) {
            let map = &pipeline.tables[turn.table];
            if let Some(need) = failed_need(map, &report.tables) {
                // Nothing is known of what its records refer to, and nothing is concluded from that.
                if !state.guarded {
                    report.tables[index].error = Some(format!("references wait for {need}"));
                }
                continue;
            }
            match pass::second_step(&context, store, &scopes[index], turn, &mut links, state) {
                Ok(()) => report.tables[index] = state.report(),
                Err(state::PassError::Store(error)) => return Err(error.into()),
                Err(error) => report.tables[index].error = Some(error.to_string()),
            }
        }
    }

    // Deletions, from the last table map to the first: what refers to a record goes before it.
    for (index, turn) in passes.iter().enumerate().take(finished.len()).rev() {
        let Some(state) = finished[index].as_mut().filter(|state| !state.doomed.is_empty()) else {
            continue;
        };
        if options.stop.load(Ordering::Relaxed) || report.tables[index].error.is_some() {
            continue;
        }
        match pass::last_step(&context, store, &scopes[index], turn, &links, state) {
            Ok(()) => report.tables[index] = state.report(),
            Err(state::PassError::Store(error)) => return Err(error.into()),
            Err(error) => report.tables[index].error = Some(error.to_string()),
        }
    }

    if finished.iter().all(Option::is_none)
        && let Some(error) = first_error
    {
        return Err(error.into());
    }
    let interrupted = options.stop.load(Ordering::Relaxed);
    if !options.dry_run && !interrupted {
        settle_watermarks(store, &finished, &report.tables)?;
    }
    let mut sights = Vec::new();
    for (state, table) in finished.into_iter().zip(&mut report.tables) {
        match state {
            Some(mut state) => {
                sights.extend(state.sight.take());
                let left = || options.approved.map(|approved| Carried::unreached(approved, &table.table));
                let own =
                    if interrupted || table.error.is_some() { left() } else { state.carried.take().or_else(left) };
                report.carried.iter_mut().for_each(|carried| carried.add(own.clone().unwrap_or_default()));
                report.inbox.extend(state.inbox());
                let plan = state.into_plan();
                if options.dry_run {
                    table.notes.extend(later::notes(&plan));
                }
                report.plan.tables.push(plan);
            }
            // Nobody looked at what waits there, so it still does.
            None => {
                let own = options.approved.map(|approved| Carried::unreached(approved, &table.table));
                report.carried.iter_mut().for_each(|carried| carried.add(own.clone().unwrap_or_default()));
                report.inbox.extend(store.inbox(Some(&table.table))?);
            }
        }
    }
    report.names = strays::names(pipeline, &report.plan, &links);
    let failed_tables = report.tables.iter().filter(|table| table.error.is_some()).count();
    let failed = |counts: &Counts| counts.failed > 0;
    // What was left undone for its direction was not asked for, and what the run decides later has not failed.
    let stays = |chosen: &Chosen| !matches!(chosen.standing, Standing::Settled | Standing::Later | Standing::Undone);
    report.outcome = if interrupted {
        RunOutcome::Interrupted
    } else if report.tables.iter().any(|table| table.guarded.is_some()) {
        RunOutcome::Guarded
    } else if failed_tables > 0
        || !report.inbox.is_empty()
        || report.carried.as_ref().is_some_and(|carried| !carried.moved.is_empty() || !carried.unplanned.is_empty())
        || report.tables.iter().any(|table| Side::BOTH.iter().any(|side| failed(table.to.of(*side))))
        || report.tables.iter().any(|table| table.selected.iter().any(stays))
    {
        RunOutcome::Incomplete
    } else {
        RunOutcome::Converged
    };
    report.requests = PerSide::from_fn(|side| endpoints.of(side).traffic());
    report.seconds = (options.elapsed)();
    Ok((report, sights))
}

/// Opens both sides and returns what a state of this pipeline belongs to; refuses one that is `bound` to another.
pub fn belongs_to(
    pipeline: &Pipeline,
    endpoints: PerSide<&dyn Endpoint>,
    bound: Option<&Binding>,
) -> Result<Binding, RunError> {
    if let Some(bound) = bound {
        bound.of_pipeline(&pipeline.name)?;
    }
    let sides = PerSide { erp: endpoints.erp.open()?, crm: endpoints.crm.open()? };
    if let Some(bound) = bound {
        bound.of_sides(&sides)?;
    }
    Ok(Binding { pipeline: pipeline.name.clone(), sides })
}

/// Moves the watermarks of the table maps whose every record is settled or in the inbox by now (I1).
fn settle_watermarks(
    store: &mut dyn Store,
    finished: &[Option<state::PassState>],
    reports: &[TableReport],
) -> Result<(), StoreError> {
    let is_whole = |report: &TableReport| report.error.is_none() && report.guarded.is_none();
    let whole = finished.iter().zip(reports).filter(|(_, report)| is_whole(report));
    let marks = whole.filter_map(|(state, report)| Some((report.table.clone(), state.as_ref()?.mark()?)));
    let marks: Vec<(String, Watermark)> = marks.collect();
    if marks.is_empty() { Ok(()) } else { store.set_watermarks(&marks) }
}

/// Asks for the metadata of all passes and holds the file against it; nothing is read before everything fits.
fn describe(pipeline: &Pipeline, passes: &[Pass], endpoints: PerSide<&dyn Endpoint>) -> Result<Vec<Scope>, RunError> {
    // The keys of table maps that are only referred to have to be there, too.
    let visited = |table: usize| passes.iter().any(|pass| pass.table == table);
    let references = |name: &str| {
        let mut fields = passes.iter().flat_map(|pass| &pipeline.tables[pass.table].fields);
        fields.any(|field| field.reference.as_ref().is_some_and(|reference| reference.table == name))
    };
    let referred = |table: &usize| !visited(*table) && references(&pipeline.tables[*table].name);
    for side in Side::BOTH {
        let needed = (0..pipeline.tables.len()).filter(|table| visited(*table) || referred(table));
        let tables: Vec<&str> = needed.map(|table| pipeline.tables[table].sides.of(side).table.as_str()).collect();
        endpoints.of(side).prepare(&tables)?;
    }
    let mut missing = Vec::new();
    let mut all = |tables: &mut dyn Iterator<Item = usize>| -> Result<Vec<Scope>, RunError> {
        let mut scopes = Vec::new();
        for table in tables {
            let map = &pipeline.tables[table];
            let absent = |side: Side| match endpoints.of(side).describe(&map.sides.of(side).table) {
                Err(EndpointError::NoTable { .. }) => Ok(Some(no_table(map, side))),
                Err(error) => Err(error),
                Ok(_) => Ok(None),
            };
            let absent: Vec<Misfit> = absent(Side::Erp)?.into_iter().chain(absent(Side::Crm)?).collect();
            if absent.is_empty() {
                scopes.push(Scope::describe(pipeline, table, endpoints)?);
            }
            missing.extend(absent);
        }
        Ok(scopes)
    };
    let scopes = all(&mut passes.iter().map(|pass| pass.table))?;
    let others = all(&mut (0..pipeline.tables.len()).filter(|table| referred(table)))?;
    missing.extend(misfits(pipeline, &scopes, &others));
    if missing.is_empty() { Ok(scopes) } else { Err(RunError::Mapping(missing)) }
}

/// Names another table map that `map` needs and that failed, or was stopped.
fn failed_need(map: &TableMap, done: &[TableReport]) -> Option<String> {
    let needs = map.fields.iter().filter_map(|field| field.reference.as_ref().map(|reference| &reference.table));
    let fate = |name: &String| {
        let table = done.iter().find(|table| table.table == *name)?;
        let stopped = table.guarded.as_ref().map(|_| format!("{name}, which its guard stopped"));
        stopped.or_else(|| table.error.as_ref().map(|_| format!("{name}, which failed")))
    };
    needs.chain(&map.after).filter(|name| **name != map.name).find_map(fate)
}

/// Fills the links of table maps that the run refers to but does not visit: stored couplings, and the keys read anew.
fn link_unselected(
    context: &Context<'_>,
    passes: &[Pass],
    store: &dyn Store,
    links: &mut Links,
) -> Result<(), RunError> {
    let visited = |table: usize| passes.iter().any(|pass| pass.table == table);
    for (table, map) in context.pipeline.tables.iter().enumerate() {
        let references = || {
            let maps = passes.iter().map(|pass| &context.pipeline.tables[pass.table]);
            maps.flat_map(|map| &map.fields).filter_map(|field| field.reference.as_ref())
        };
        if visited(table) || !references().any(|reference| reference.table == map.name) {
            continue;
        }
        let mut scope = Scope::describe(context.pipeline, table, context.endpoints)?;
        for side in Side::BOTH {
            let mut columns: Vec<String> = Vec::new();
            for reference in references().filter(|reference| reference.table == map.name) {
                let column = match side {
                    Side::Erp => Some(&reference.erp),
                    Side::Crm => reference.crm.as_ref(),
                };
                columns.extend(column.filter(|column| !columns.contains(column)).cloned());
            }
            let table_links = links.table(&map.name);
            // A run over changes, or over named records, asks for the keys that it needs.
            if columns.is_empty() || context.reads_parts() {
                continue;
            }
            *scope.columns.of_mut(side) = columns.clone();
            let frame = extract::read_all(&scope, side, *context.endpoints.of(side))?;
            for column in &columns {
                table_links.name_all(side, column, &frame);
            }
        }
        // Of a pair of which one record is gone, and nobody decided what follows, which of the two it is does not matter:
        // it leads nowhere, and what refers to it waits.
        let undecided = store.inbox(Some(&map.name))?.into_iter().filter(|item| item.kind == InboxKind::Deleted);
        let undecided: HashSet<(Uuid, Uuid)> = undecided.filter_map(|item| item.erp_id.zip(item.crm_id)).collect();
        let couplings = store.couplings(&map.name, &[])?;
        let table = links.table(&map.name);
        for (&erp, &crm) in couplings.erp.iter().zip(&couplings.crm) {
            if undecided.contains(&(erp, crm)) {
                table.leave(Side::Erp, erp);
                table.leave(Side::Crm, crm);
            } else {
                table.couple(erp, crm);
            }
        }
    }
    Ok(())
}
