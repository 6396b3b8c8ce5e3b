//! `pipeline run`: the nightly job, or a part of it; and what `plan` shares with it.
//!
//! Arguments, file, variables, state and network are looked at in this order, and nothing is written before all hold.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use uuid::Uuid;

use crate::adapters::sqlite::SqliteStore;
use crate::address::Unclear;
use crate::cli::args::{PartArguments, RunArguments};
use crate::cli::ask::{self, Question};
use crate::cli::exit::{Exit, Failure, of_run};
use crate::cli::inbox::find::survivor;
use crate::cli::named::name_the_others;
use crate::cli::part::{self, Part, part};
use crate::cli::places;
use crate::cli::progress::{self, Progress};
use crate::cli::signals::Signals;
use crate::cli::world::{self, Loaded};
use crate::cli::{print_as, saved, why};
use crate::config::PerSide;
use crate::config::check::Purpose;
use crate::delta::{Force, Overwritten};
use crate::report;
use crate::report::asked::{self, Ask};
use crate::report::layout::plural;
use crate::run::RunError;
use crate::run::account::{Event, RunOutcome, RunReport, TableReport};
use crate::run::approval::Approved;
use crate::run::context::Options;
use crate::run::selection::Selection;
use crate::store::{RunRow, Store, StoreError};

/// Carries out `run`.
pub fn run(arguments: &RunArguments) -> Result<Exit, Failure> {
    let signals = Signals::listen(progress::stopping);
    let asked = Asked {
        part: &arguments.part,
        dry_run: arguments.dry_run,
        yes: arguments.yes,
        verbose: arguments.talk.verbose,
        approved: None,
    };
    let loaded = open(&arguments.file.path)?;
    let report = perform(&loaded, &asked, &signals)?;
    print_as(arguments.file.format, || report::run::text(&report), || report::run::json(&report))?;
    Ok(of_run(&report, signals.number()))
}

/// What `run` and `plan` are asked for.
pub struct Asked<'a> {
    pub part: &'a PartArguments,
    pub dry_run: bool,
    /// `--force` is agreed to.
    pub yes: bool,
    pub verbose: u8,
    /// A plan that is to be carried out, and its path.
    pub approved: Option<(&'a Approved, &'a str)>,
}

/// Reads the pipeline file of a run.
pub fn open(path: &Path) -> Result<Loaded, Failure> {
    let loaded = world::load(path, Purpose::Run)?;
    world::warn(&loaded);
    Ok(loaded)
}

/// Runs what is asked for; a dry run opens the state for reading and leaves it as it is.
pub fn perform(loaded: &Loaded, asked: &Asked<'_>, signals: &Signals) -> Result<RunReport, Failure> {
    let mut part = part(loaded, asked.part)?;
    if let (Some(force), false, false) = (part.selection.force.clone(), asked.dry_run, asked.yes) {
        let seen = agreed(loaded, &part, asked, signals)?;
        part.selection.force = Some(Force { seen: Some(seen.into_iter().collect()), ..force });
    }
    let report = perform_part(loaded, &part, asked, signals)?;
    if part.selection.to.is_none() && part.selection.force.is_none() && asked.approved.is_none() {
        report::selected::advice(&report).iter().for_each(|advice| progress::say(advice));
    }
    Ok(report)
}

/// Shows what `--force` would overwrite and asks whether it may; nothing is written meanwhile, and nothing else is
/// overwritten later.
fn agreed(loaded: &Loaded, part: &Part, asked: &Asked<'_>, signals: &Signals) -> Result<Vec<Overwritten>, Failure> {
    let began = Instant::now();
    let elapsed = || began.elapsed().as_secs_f64();
    let options = Options { dry_run: true, ..options(part, asked, None, &elapsed, signals) };
    let mut store = SqliteStore::read_only(&loaded.state)?;
    let mut report = decide(loaded, &mut store, asked, &options, &|_| {})?;
    let seen: Vec<Overwritten> = report.tables.iter().flat_map(|table| table.overwritten.clone()).collect();
    if !seen.is_empty() {
        name_the_others(loaded, &store, &mut report)?;
        let asks = show_losses(loaded, &store, &report, &seen)?;
        let values = plural(seen.len() as u64, "value", "values");
        ask::agree(
            Question {
                what: format!("overwrite {values}"),
                asks,
                otherwise: "without `--force`, what both sides edited waits for a person",
            },
            asked.yes,
        )?;
    }
    Ok(seen)
}

/// Shows what a plan would overwrite, what it would write besides, and whose decisions it overrules; returns all of it.
pub fn show_losses(
    loaded: &Loaded,
    store: &dyn Store,
    report: &RunReport,
    lost: &[Overwritten],
) -> Result<Vec<Ask>, StoreError> {
    let given_up = asked::given_up(&loaded.pipeline, &report.plan, &store.decisions(None)?);
    let besides = asked::besides(&loaded.pipeline, &report.plan, lost);
    let shown = [TableReport { overwritten: lost.to_vec(), ..TableReport::default() }];
    let lines = report::selected::overwritten(&shown, &report.names, true);
    let besides_lines = asked::besides_lines(&besides, &report.names);
    let lines = [lines, besides_lines, asked::given_up_lines(&given_up)].concat();
    lines.iter().for_each(|line| progress::say(line));
    Ok(lost.iter().map(Ask::overwrite).chain(besides).chain(given_up).collect())
}

/// Returns what the engine is asked for.
pub fn options<'a>(
    part: &Part,
    asked: &Asked<'a>,
    guarded_plan: Option<&'a str>,
    elapsed: &'a (dyn Fn() -> f64 + Sync),
    signals: &'a Signals,
) -> Options<'a> {
    Options {
        approved: asked.approved.map(|(approved, _)| approved),
        guarded_plan,
        only: part.only.clone(),
        selection: part.selection.clone(),
        changed: asked.part.changed,
        dry_run: asked.dry_run,
        run: Uuid::new_v4().to_string(),
        started: world::now(),
        elapsed,
        stop: signals.stop(),
    }
}

/// Returns what the engine is asked for where it only looks at records that its caller names.
pub fn looking<'a>(elapsed: &'a (dyn Fn() -> f64 + Sync), stop: &'a AtomicBool) -> Options<'a> {
    Options {
        approved: None,
        guarded_plan: None,
        only: Vec::new(),
        selection: Selection::default(),
        changed: true,
        dry_run: true,
        run: String::new(),
        started: world::now(),
        elapsed,
        stop,
    }
}

/// Runs a part of everything.
pub fn perform_part(loaded: &Loaded, part: &Part, asked: &Asked<'_>, signals: &Signals) -> Result<RunReport, Failure> {
    let began = Instant::now();
    let elapsed = || began.elapsed().as_secs_f64();
    let is_part = !part.selection.records.is_empty() || part.selection.to.is_some();
    let guarded_path = saved::guarded_path(loaded, is_part);
    let guarded_plan = saved::quoted(&saved::absolute(&guarded_path));
    let options = options(part, asked, (!asked.dry_run).then_some(guarded_plan.as_str()), &elapsed, signals);
    let progress = Progress::new(asked.verbose);
    let tell = |event: Event<'_>| progress.tell(event);
    if asked.dry_run {
        let mut store = SqliteStore::read_only(&loaded.state)?;
        let mut result = decide(loaded, &mut store, asked, &options, &tell);
        progress.clear();
        if let Ok(report) = &mut result {
            name_values(loaded, &store, !part.selection.records.is_empty(), report);
        }
        return result;
    }
    let holder = world::holder();
    let opened = SqliteStore::open(&loaded.state, &holder, &world::now, loaded.pipeline.keep_values);
    let mut store = opened.map_err(|error| named(error, &loaded.state))?;
    let mut result = decide(loaded, &mut store, asked, &options, &tell);
    progress.clear();
    let (outcome, report) = match &result {
        Ok(report) => (report.outcome, report::run::kept(report)),
        Err(failure) => {
            let (message, hint) = (failure.to_string(), failure.hint());
            (RunOutcome::Failed, report::failure::json(failure.kind(), &message, &hint, &[], &[]))
        }
    };
    // A run that failed before it began leaves no trace in the state.
    if result.is_ok() || begun(&store, &options.run)? {
        store.finish_run(&RunRow {
            run: options.run.clone(),
            started: options.started.clone(),
            finished: Some(world::now()),
            outcome: report::run::outcome_key(outcome).to_owned(),
            report,
        })?;
    }
    if let Ok(report) = &mut result {
        name_values(loaded, &store, false, report);
    }
    // An approved plan is no run over everything: what a guard stopped before is as stopped as it was, unless it is that.
    if let Ok(report) = &result
        && report.outcome != RunOutcome::Interrupted
    {
        let kept = match asked.approved {
            Some((approved, _)) => saved::drop_carried(report, loaded, approved),
            None => saved::keep_guarded(report, loaded, asked.part, &guarded_path),
        };
        // What was done is done, and told, whether this can be kept or not.
        if let Err(failure) = kept {
            progress::say(&format!("warning: {failure}"));
        }
    }
    result
}

/// Names the records that the values of a report lead to, where people read them: in what gave way, and with `all` in a plan
/// of few records. What was done is done, whether they can be named or not.
fn name_values(loaded: &Loaded, store: &dyn Store, all: bool, report: &mut RunReport) {
    if (all || report.tables.iter().any(|table| !table.overwritten.is_empty()))
        && let Err(failure) = name_the_others(loaded, store, report)
    {
        progress::say(&format!("warning: {failure}"));
    }
}

/// Opens both sides and runs.
pub fn decide(
    loaded: &Loaded,
    store: &mut dyn Store,
    asked: &Asked<'_>,
    options: &Options<'_>,
    tell: &(dyn Fn(Event<'_>) + Sync),
) -> Result<RunReport, Failure> {
    let endpoints = world::endpoints(&loaded.pipeline);
    let sides = PerSide { erp: &*endpoints.erp, crm: &*endpoints.crm };
    let result = crate::run::run(&loaded.pipeline, sides, store, options, tell);
    result.map_err(|error| failure(loaded, asked.approved.map(|(_, path)| path), error))
}

/// Says why a run could not be done; `plan` is the path of one that was to be carried out.
pub fn failure(loaded: &Loaded, plan: Option<&str>, error: RunError) -> Failure {
    match error {
        RunError::Endpoint(error) => error.into(),
        RunError::Store(error) => error.into(),
        RunError::Renamed(renamed) => Failure::Renamed { state: loaded.state.display().to_string(), renamed },
        RunError::ForeignPlan(message) => Failure::ForeignPlan { plan: plan.unwrap_or_default().to_owned(), message },
        RunError::Foreign(foreign) => Failure::Foreign { state: loaded.state.display().to_string(), foreign },
        RunError::Unclear(all) => {
            let (left, gone) = lost(loaded, &all);
            part::unclear(&all, &left, &gone)
        }
        RunError::Mapping(misfits) => {
            let complaints = places::complaints(&loaded.file, &loaded.text, &misfits);
            Failure::Mapping { file: loaded.file.clone(), complaints }
        }
    }
}

/// Returns, of the names that nobody bears any more, the names of those that are left of pairs whose other record is gone; and
/// the names that the state knows without knowing of anybody that is left.
fn lost(loaded: &Loaded, all: &[Unclear]) -> (Vec<String>, Vec<String>) {
    let (mut left, mut gone) = (Vec::new(), Vec::new());
    // What the state does not tell is only a help less.
    let Ok(store) = SqliteStore::read_only(&loaded.state) else { return (left, gone) };
    for unclear in all {
        let Unclear::Nobody(address) = unclear else { continue };
        let Some(map) = loaded.pipeline.tables.iter().find(|map| map.name == address.table) else { continue };
        match survivor(&store, map, address) {
            Ok(Some(survivor)) => left.push(survivor),
            _ => gone.extend(why::lost(&store, map, address).ok().flatten().map(|_| address.to_string())),
        }
    }
    (left, gone)
}

fn begun(store: &dyn Store, run: &str) -> Result<bool, StoreError> {
    Ok(store.runs(1)?.iter().any(|row| row.run == run))
}

/// Adds the path to the one message of the state that does not have it.
pub fn named(error: StoreError, path: &Path) -> StoreError {
    match error {
        StoreError::Locked { holder, since } => {
            StoreError::Locked { holder: format!("{holder} ({})", path.display()), since }
        }
        other => other,
    }
}
