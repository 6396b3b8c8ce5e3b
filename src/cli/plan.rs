//! `pipeline plan`: what a run would do, record by record. Reads both sides and the state, stores nothing but the plan
//! where that is asked for.

use crate::cli::args::PlanArguments;
use crate::cli::exit::{Exit, Failure, of_run};
use crate::cli::run::{Asked, open, perform};
use crate::cli::signals::Signals;
use crate::cli::{print_as, progress, saved};
use crate::report;
use crate::report::saved::is_whole;
use crate::run::account::{RunOutcome, RunReport};

/// Carries out `plan`.
pub fn plan(arguments: &PlanArguments) -> Result<Exit, Failure> {
    let signals = Signals::listen(progress::stopping);
    let asked =
        Asked { part: &arguments.part, dry_run: true, yes: false, verbose: arguments.talk.verbose, approved: None };
    if let Some(output) = &arguments.output {
        saved::may_save(output)?;
    }
    let loaded = open(&arguments.file.path)?;
    let report = perform(&loaded, &asked, &signals)?;
    if let Some(output) = &arguments.output {
        if is_whole(&report) {
            saved::save(output, &report, &loaded, asked.part)?;
        } else {
            progress::say("the plan is not whole, so it was not saved");
        }
    }
    print_as(arguments.file.format, || report::plan::text(&report), || report::plan::json(&report))?;
    Ok(exit(&report, arguments.exit_code, signals.number()))
}

/// Returns how `plan` ended; with `exit_code` something to write comes before what waits for a person, but not before
/// a plan that is not whole.
fn exit(report: &RunReport, exit_code: bool, signal: Option<u8>) -> Exit {
    let whole = matches!(report.outcome, RunOutcome::Converged | RunOutcome::Incomplete)
        && report.tables.iter().all(|table| table.error.is_none());
    if exit_code && whole && report::plan::writes(&report.plan) {
        return Exit::SomethingToWrite;
    }
    of_run(report, signal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::report::samples;

    #[test]
    fn ten_only_where_asked_for_and_where_there_is_something_to_write() {
        let (full, trouble) = (samples::run(), samples::run_with_trouble());
        let waiting = RunReport { outcome: RunOutcome::Incomplete, ..samples::run() };
        let empty = RunReport { plan: Plan::default(), ..samples::run() };
        let interrupted = RunReport { outcome: RunOutcome::Interrupted, ..samples::run() };
        for (report, exit_code, expected) in [
            (&full, false, 0),
            (&full, true, 10),
            (&waiting, false, 1),
            (&waiting, true, 10),
            (&trouble, true, 1),
            (&empty, true, 0),
            (&interrupted, true, 143),
        ] {
            assert_eq!(exit(report, exit_code, Some(15)).code(), expected, "{:?} {exit_code}", report.outcome);
        }
    }
}
