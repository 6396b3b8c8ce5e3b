//! One run from its beginning to its end, for `run`, `plan`, `apply` and `why` alike.

// Each file imports only files declared above it.

// The parts of a pass: what belongs together, with what has to hold of it.
mod rows;
mod records;
mod waits;
mod written;
mod kept;
pub mod selection;
mod refusals;
mod tally;
mod aside;
mod outside;
mod reached;
mod by_people;
mod draft;
mod consequences;
mod unanswered;
mod remarks;
pub mod approval;
mod admitted;
mod postponed;

// What a run is asked for, and what it tells.
pub mod sight;
pub mod carried;
pub mod chosen;
pub mod account;
mod pretend;
pub mod context;
pub mod prepare;
mod notes;
pub mod strays;

// The pass as a whole.
mod guarding;
mod step;
mod marks;
mod forced;
mod background;
mod state;

// How it begins: what is read, and what is left open from before.
mod reading;
mod gather;
pub mod remembered;
mod needs;
mod candidates;
mod decided;
mod failures;
mod given;
mod twins;
mod changed;
mod bases;
mod intents;
mod couplings;
mod partners;
mod ground;
mod apart;
mod unreadable;
mod recall;
mod agenda;
mod deletions;
pub mod orphans;
mod returning;
mod opening;

// Who belongs to whom.
mod names;
mod cleared;
mod ours;
mod wanted_back;
mod doubts;
mod alone;
mod later;
mod looking;

// What is decided is written, and verified.
mod sending;
mod parted;
mod keyed;
mod restoring;
mod verdict;
mod read_back;
mod verify;
mod deciding;
mod writing;

// How it ends: what waits is filed, what was done is counted.
mod newcomers;
mod standing;
mod count;
mod filing;
mod ending;
mod rounds;
mod deleting;
mod closing;

// One pass from beginning to end, all passes of a run, and single records.
mod pass;
mod referring;
mod along;
mod bereft;
mod course;
pub mod explain;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use crate::address::Unclear;
use crate::binding::{Foreign, Renamed};
use crate::config::{PerSide, Pipeline, Side, TableMap};
use crate::endpoint::{Endpoint, EndpointError};
use crate::misfit::Misfit;
use crate::order::{Pass, passes};
use crate::plan::Plan;
use crate::run::account::{Counts, Event, RunOutcome, RunReport};
use crate::run::approval::Approved;
use crate::run::carried::Carried;
use crate::run::chosen::{Chosen, Standing};
use crate::run::context::{Context, Options};
use crate::run::course::Course;
use crate::run::prepare::{belongs_to, describe, elsewhere, link_unselected, needed, note_tables};
use crate::run::sight::{Sight, Subjects};
use crate::store::{Store, StoreError};
use crate::translate::links::Links;

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
    for side in Side::BOTH {
        endpoints.of(side).stands_in()?;
    }
    let (passes, left_out) = passes_asked_for(pipeline, options);
    let scopes = describe(pipeline, &passes, endpoints)?;
    let asked = PerSide { erp: Some(endpoints.erp), crm: Some(endpoints.crm) };
    let misfits = elsewhere(&pipeline.tables, &needed(&pipeline.tables, &passes), asked, store)?;
    if !misfits.is_empty() {
        return Err(RunError::Mapping(misfits));
    }
    let named = selection::look_up(pipeline, endpoints, &options.selection.records)?.map_err(RunError::Unclear)?;
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

    let counts = store.coupling_counts()?;
    let mut notes: Vec<String> = strays::lost(pipeline, &counts).into_iter().collect();
    notes.extend(strays::unlinked(pipeline, &passes, &counts));
    notes.extend(options.selection.left_out(&left_out));
    notes.iter().for_each(|message| tell(Event::Warning { message }));
    let mut links = Links::default();
    link_unselected(&context, &passes, store, &mut links)?;
    if !options.dry_run {
        if bound.as_ref() != Some(&binding) {
            store.bind(&binding)?;
        }
        note_tables(passes.iter().map(|pass| &pipeline.tables[pass.table]), store)?;
        store.begin_run(&options.run, &options.started)?;
    }

    let mut course = Course::new(&context, &passes, &scopes, links);
    course.first_steps(store)?;
    course.second_steps(store)?;
    course.deletions(store)?;
    course.file_bereft(store)?;
    course.failed_throughout()?;
    let interrupted = options.stop.load(Ordering::Relaxed);
    let lost = course.lost();
    if !options.dry_run && !interrupted && lost.is_none() {
        course.settle_watermarks(store)?;
    }

    let mut report = RunReport {
        pipeline: pipeline.name.clone(),
        binding,
        run: options.run.clone(),
        outcome: RunOutcome::Converged,
        started: options.started.clone(),
        seconds: 0.0,
        tables: Vec::new(),
        lost,
        requests: PerSide::default(),
        inbox: Vec::new(),
        notes,
        plan: Plan { pipeline: pipeline.name.clone(), tables: Vec::new() },
        names: BTreeMap::new(),
        dry_run: options.dry_run,
        carried: options.approved.map(|_| Carried::default()),
    };
    let finished_nothing = course.finished_nothing();
    let sights = course.account_for(store, interrupted, &mut report)?;
    report.outcome = match (interrupted, report.lost.is_some() || finished_nothing) {
        (true, _) => RunOutcome::Interrupted,
        (false, true) => RunOutcome::Failed,
        (false, false) => outcome(&report),
    };
    report.requests = PerSide::from_fn(|side| endpoints.of(side).line().traffic());
    report.seconds = (options.elapsed)();
    Ok((report, sights))
}

/// Returns the passes that the options ask for, in order, and the table maps left out since they do not go the one
/// direction that is asked for.
fn passes_asked_for<'p>(pipeline: &'p Pipeline, options: &Options<'_>) -> (Vec<Pass>, Vec<&'p TableMap>) {
    let selection = &options.selection;
    let asked_for = |pass: &Pass| {
        let name = &pipeline.tables[pass.table].name;
        let all = options.only.is_empty() && selection.records.is_empty();
        all || options.only.contains(name) || selection.records.iter().any(|record| record.table == *name)
    };
    let reached = |pass: &Pass| selection.reaches(&pipeline.tables[pass.table]);
    let (passes, left_out): (Vec<Pass>, Vec<Pass>) =
        passes(&pipeline.tables).into_iter().filter(asked_for).partition(reached);
    (passes, left_out.iter().map(|pass| &pipeline.tables[pass.table]).collect())
}

/// Tells how a run ended that nobody interrupted, and for which both sides were there.
fn outcome(report: &RunReport) -> RunOutcome {
    let failed = |counts: &Counts| counts.failed > 0;
    // What the run decides later has not failed. What is left undone for its direction was not asked for, but where its
    // record was named.
    let stays = |chosen: &Chosen| !matches!(chosen.standing, Standing::Settled | Standing::Later);
    let tables = &report.tables;
    if tables.iter().any(|table| table.guarded.is_some()) {
        RunOutcome::Guarded
    } else if tables.iter().any(|table| table.error.is_some())
        || !report.inbox.is_empty()
        || report.carried.as_ref().is_some_and(|carried| !carried.moved.is_empty() || !carried.unplanned.is_empty())
        || tables.iter().any(|table| Side::BOTH.iter().any(|side| failed(table.to.of(*side))))
        || tables.iter().any(|table| table.selected.iter().any(stays))
    {
        RunOutcome::Incomplete
    } else {
        RunOutcome::Converged
    }
}
