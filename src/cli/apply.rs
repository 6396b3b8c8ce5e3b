//! `pipeline apply`: carries out a saved plan, and nothing else.
//!
//! The plan names its pipeline file and its state; secrets are read from the environment again. Whether the plan still
//! fits them is looked at before anything is asked of a side.

use std::path::Path;

use crate::cli::args::ApplyArguments;
use crate::cli::ask::{self, Question};
use crate::cli::exit::{Exit, Failure, of_run};
use crate::cli::run::{Asked, open, perform};
use crate::cli::saved::part_of;
use crate::cli::show::known;
use crate::cli::signals::Signals;
use crate::cli::world::{self, Loaded};
use crate::cli::{print_as, progress, saved};
use crate::plan::choice::Choice;
use crate::plan::fingerprint;
use crate::report;
use crate::report::plan::Shown;
use crate::report::saved::Saved;
use crate::run::approval::Approved;

/// Carries out `apply`.
pub fn apply(arguments: &ApplyArguments) -> Result<Exit, Failure> {
    let signals = Signals::listen(progress::stopping);
    let plan_path = arguments.plan.display().to_string();
    let plan = saved::read(&arguments.plan)?;
    let choice = Choice::of_words(&arguments.only);
    known(&plan_path, &choice, &plan.plan)?;
    unchanged(&plan_path, &plan)?;
    let only = if choice.is_all() { plan.asked.only.clone() } else { choice.tables_named() };
    agreed(&plan, &choice, arguments.yes)?;
    let approved = Approved::new(plan.plan.clone(), plan.binding.clone(), plan.moment.clone(), choice);
    let asked = Asked {
        part: &part_of(&plan.asked, only),
        dry_run: false,
        // What is overwritten stands in the plan, and nothing else is.
        yes: true,
        verbose: arguments.talk.verbose,
        approved: Some((&approved, &plan_path)),
    };
    let loaded = open(Path::new(&plan.file))?;
    same_state(&plan_path, &plan, &loaded)?;
    let report = perform(&loaded, &asked, &signals)?;
    print_as(arguments.format, || report::run::text(&report), || report::run::json(&report))?;
    Ok(of_run(&report, signals.number()))
}

/// Refuses a plan whose pipeline file says something else by now.
fn unchanged(path: &str, plan: &Saved) -> Result<(), Failure> {
    let file = Path::new(&plan.file);
    let misfit = |message: String| Failure::Plan {
        plan: path.to_owned(),
        message,
        hint: format!("make it anew with `pipeline plan {} -o {path}`, and look at it again", plan.file),
    };
    let text = world::read(file).map_err(|error| match error {
        Failure::File { .. } => misfit(format!("its pipeline file {error}")),
        other => other,
    })?;
    if fingerprint(&text) == plan.fingerprint {
        return Ok(());
    }
    Err(misfit(format!("its pipeline file {} was changed since it was made", plan.file)))
}

/// Refuses a plan that was made over another state.
fn same_state(path: &str, plan: &Saved, loaded: &Loaded) -> Result<(), Failure> {
    let now = saved::absolute(&loaded.state);
    if now == plan.state {
        return Ok(());
    }
    let message = format!("it was made over the state {}, and its pipeline file now leads to {now}", plan.state);
    Err(Failure::ForeignPlan { plan: path.to_owned(), message })
}

/// Asks whether the plan is meant, where somebody is there to answer: a script that carries out a plan has said so.
fn agreed(plan: &Saved, choice: &Choice, yes: bool) -> Result<(), Failure> {
    if yes || !ask::is_possible() {
        return Ok(());
    }
    let part = choice.part(&plan.plan);
    progress::say(&report::plan::closing(&Shown { plan: &part, ..plan.shown() }));
    let otherwise = "`pipeline show PLAN` says what is in it";
    // What it is about is in the plan itself.
    ask::agree(Question { what: "carry this out".to_owned(), asks: Vec::new(), otherwise }, false)
}
