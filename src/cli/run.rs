//! `pipeline run`: the nightly job; and what `plan` shares with it.
//!
//! Arguments, file, variables, state and network are looked at in this order, and nothing is written before all hold.

use std::path::Path;
use std::time::Instant;

use uuid::Uuid;

use crate::adapters::sqlite::SqliteStore;
use crate::cli::args::RunArguments;
use crate::cli::exit::{Exit, Failure, of_run};
use crate::cli::places;
use crate::cli::progress::{self, Progress};
use crate::cli::signals::Signals;
use crate::cli::world::{self, Loaded};
use crate::cli::{print_as, saved};
use crate::config::PerSide;
use crate::config::check::Purpose;
use crate::report;
use crate::run::approval::Approved;
use crate::run::{Options, RunError, RunOutcome, RunReport};
use crate::store::{RunRow, Store, StoreError};

/// Carries out `run`.
pub fn run(arguments: &RunArguments) -> Result<Exit, Failure> {
    let signals = Signals::listen();
    let asked = Asked {
        only: &arguments.only,
        changed: arguments.changed,
        dry_run: arguments.dry_run,
        verbose: arguments.verbose,
        approved: None,
    };
    let loaded = open(&arguments.file.path, &asked)?;
    let report = perform(&loaded, &asked, &signals)?;
    print_as(arguments.file.format, || report::run::text(&report), || report::run::json(&report))?;
    Ok(of_run(&report, signals.number()))
}

/// What `run` and `plan` are asked for.
pub struct Asked<'a> {
    pub only: &'a [String],
    pub changed: bool,
    pub dry_run: bool,
    pub verbose: u8,
    /// A plan that is to be carried out, and its path.
    pub approved: Option<(&'a Approved, &'a str)>,
}

/// Opens the pipeline file for what is asked.
pub fn open(path: &Path, asked: &Asked<'_>) -> Result<Loaded, Failure> {
    let loaded = world::load(path, Purpose::Run)?;
    world::warn(&loaded);
    world::known_tables(&loaded, asked.only)?;
    Ok(loaded)
}

/// Opens the state and runs; a dry run opens it for reading and leaves it as it is.
pub fn perform(loaded: &Loaded, asked: &Asked<'_>, signals: &Signals) -> Result<RunReport, Failure> {
    let began = Instant::now();
    let guarded_plan = saved::quoted(&saved::absolute(&saved::guarded_path(loaded)));
    let options = Options {
        approved: asked.approved.map(|(approved, _)| approved),
        guarded_plan: (!asked.dry_run).then_some(guarded_plan.as_str()),
        only: asked.only.to_vec(),
        changed: asked.changed,
        dry_run: asked.dry_run,
        run: Uuid::new_v4().to_string(),
        started: world::now(),
        elapsed: &|| began.elapsed().as_secs_f64(),
        stop: signals.stop(),
    };
    let progress = Progress::new(asked.verbose);
    if asked.dry_run {
        let mut store = SqliteStore::read_only(&loaded.state)?;
        return decide(loaded, &mut store, asked, &options, &progress);
    }
    let holder = world::holder();
    let opened = SqliteStore::open(&loaded.state, &holder, &world::now, loaded.pipeline.keep_values);
    let mut store = opened.map_err(|error| named(error, &loaded.state))?;
    let result = decide(loaded, &mut store, asked, &options, &progress);
    let (outcome, report) = match &result {
        Ok(report) => (report.outcome, report::run::kept(report)),
        Err(failure) => {
            let (message, hint) = (failure.to_string(), failure.hint());
            (RunOutcome::Failed, report::failure::json(failure.kind(), &message, &hint, &[]))
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
    // An approved plan is no run over everything: what a guard stopped before is as stopped as it was.
    if let (Ok(report), None) = (&result, asked.approved)
        && report.outcome != RunOutcome::Interrupted
    {
        // What was done is done, and told, whether this can be kept or not.
        if let Err(failure) = saved::keep_guarded(report, loaded, asked.changed) {
            progress::say(&format!("warning: {failure}"));
        }
    }
    result
}

/// Opens both sides and runs.
fn decide(
    loaded: &Loaded,
    store: &mut dyn Store,
    asked: &Asked<'_>,
    options: &Options<'_>,
    progress: &Progress,
) -> Result<RunReport, Failure> {
    let endpoints = world::endpoints(&loaded.pipeline);
    let sides = PerSide { erp: &*endpoints.erp, crm: &*endpoints.crm };
    let result = crate::run::run(&loaded.pipeline, sides, store, options, &|event| progress.tell(event));
    progress.clear();
    result.map_err(|error| match error {
        RunError::Endpoint(error) => error.into(),
        RunError::Store(error) => error.into(),
        RunError::Renamed(renamed) => Failure::Renamed { state: loaded.state.display().to_string(), renamed },
        RunError::ForeignPlan(message) => {
            let plan = asked.approved.map_or_else(String::new, |(_, path)| path.to_owned());
            Failure::ForeignPlan { plan, message }
        }
        RunError::Foreign(foreign) => Failure::Foreign { state: loaded.state.display().to_string(), foreign },
        RunError::Mapping(misfits) => {
            let complaints = places::complaints(&loaded.file, &loaded.text, &misfits);
            Failure::Mapping { file: loaded.file.clone(), complaints }
        }
    })
}

fn begun(store: &dyn Store, run: &str) -> Result<bool, StoreError> {
    Ok(store.runs(1)?.iter().any(|row| row.run == run))
}

/// Adds the path to the one message of the state that does not have it.
fn named(error: StoreError, path: &Path) -> StoreError {
    match error {
        StoreError::Locked { holder, since } => {
            StoreError::Locked { holder: format!("{holder} ({})", path.display()), since }
        }
        other => other,
    }
}
