//! `pipeline review`: what stands before a first load. Reads both sides and the state, stores nothing.

use crate::adapters::sqlite::SqliteStore;
use crate::cli::args::{PartArguments, ReviewArguments};
use crate::cli::exit::{Exit, Failure, of_run};
use crate::cli::run::{Asked, open, perform};
use crate::cli::saved::quoted;
use crate::cli::signals::Signals;
use crate::cli::status::kept_apart;
use crate::cli::{print_as, progress};
use crate::report;
use crate::review::Review;
use crate::run::account::RunOutcome;
use crate::store::Store;

/// Carries out `review`.
pub fn review(arguments: &ReviewArguments) -> Result<Exit, Failure> {
    let signals = Signals::listen(progress::stopping);
    let part = PartArguments { only: arguments.only.clone(), ..PartArguments::default() };
    let asked = Asked { part: &part, dry_run: true, yes: false, verbose: arguments.talk.verbose, approved: None };
    let loaded = open(&arguments.file.path)?;
    let report = perform(&loaded, &asked, &signals)?;
    if asked.verbose > 0 {
        progress::say(&report::run::requests(&report.requests, report.seconds));
    }
    if report.outcome == RunOutcome::Interrupted {
        // Half a review would advise on half of what is there.
        return Ok(of_run(&report, signals.number()));
    }
    let store = SqliteStore::read_only(&loaded.state)?;
    let (coupled, apart) = (store.coupling_counts()?, kept_apart(&store)?);
    let review = crate::review::review(&loaded.pipeline, &report, &coupled, &apart);
    let review = Review { only: arguments.only.clone(), ..review };
    let only: Vec<String> = arguments.only.iter().map(|name| format!(" --only {}", quoted(name))).collect();
    let command = format!("{}{}", loaded.file, only.concat());
    let (text, json) = (report::review::text, report::review::json);
    print_as(arguments.file.format, || text(&review, &report.tables, &command), || json(&review, &report.tables))?;
    let whole = report.tables.iter().all(|table| table.error.is_none());
    Ok(if whole { Exit::Done } else { Exit::Unfinished })
}
