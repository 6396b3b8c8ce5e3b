//! `pipeline check`: everything that is wrong with a pipeline file, all at once, and what does not fit its state; with
//! `--online` also what both sides say of it. Writes nothing.
//!
//! A variable that is missing is a warning here, as long as neither side is asked, and an error of `run`.

use crate::adapters::sqlite::SqliteStore;
use crate::cli::args::CheckArguments;
use crate::cli::exit::{Exit, Failure};
use crate::cli::world::{self, Loaded};
use crate::cli::{places, print_as};
use crate::config::PerSide;
use crate::config::check::{Purpose, check as check_text};
use crate::config::complaint::{Complaint, Path as Key};
use crate::misfit::{At, Misfit};
use crate::online::{Online, meet};
use crate::report;
use crate::store::Store;

/// Carries out `check`.
pub fn check(arguments: &CheckArguments) -> Result<Exit, Failure> {
    let path = &arguments.file.path;
    let text = world::read(path)?;
    let file = path.display().to_string();
    let purpose = if arguments.online { Purpose::Run } else { Purpose::Check };
    let mut checked = check_text(&text, &file, &world::variable, purpose);
    let pipeline = checked.pipeline.as_ref();
    // Where its place is not known, the variable that is missing is told already.
    if let (Some(pipeline), true) = (pipeline, checked.complaints.iter().all(|complaint| complaint.path != "state")) {
        checked.complaints.extend(world::state_complaints(path, &text, pipeline));
    }
    let mut exit = if pipeline.is_some() { Exit::Done } else { Exit::Refused };
    let online = match (arguments.online, pipeline) {
        (true, Some(_)) => {
            let loaded = world::load(path, Purpose::Run)?;
            let online = ask(&loaded)?;
            checked.complaints.extend(complaints(&loaded, &online));
            if !online.troubles.is_empty() || !online.withheld.is_empty() || online.foreign.is_some() {
                exit = Exit::CouldNotRun;
            } else if !online.misfits.is_empty() {
                exit = Exit::Refused;
            }
            Some(online)
        }
        _ => None,
    };
    let met = online.as_ref().zip(pipeline);
    print_as(
        arguments.file.format,
        || report::online::text(met) + &report::check::text(&file, &checked.complaints, pipeline),
        || {
            report::check::json(
                &checked.complaints,
                met.map(|(online, pipeline)| report::online::document(online, pipeline)),
            )
        },
    )?;
    Ok(exit)
}

/// Asks both sides.
fn ask(loaded: &Loaded) -> Result<Online, Failure> {
    // A state that cannot be read is a complaint already.
    let bound = SqliteStore::read_only(&loaded.state).and_then(|store| store.binding()).unwrap_or_default();
    let endpoints = world::endpoints(&loaded.pipeline);
    Ok(meet(&loaded.pipeline, PerSide { erp: &*endpoints.erp, crm: &*endpoints.crm }, bound.as_ref()))
}

/// Says of everything that was found where in the file it belongs, and what to do.
fn complaints(loaded: &Loaded, online: &Online) -> Vec<Complaint> {
    let finding = |path: Key, failure: &Failure| {
        let (message, hint) = failure.told();
        Misfit { path, at: At::Value, message, hint, value: None }
    };
    let mut found = online.misfits.clone();
    found.extend(online.withheld.iter().cloned());
    found.extend(online.troubles.iter().map(|(path, error)| finding(path.clone(), &error.clone().into())));
    if let Some(foreign) = &online.foreign {
        let foreign = Failure::Foreign { state: loaded.state.display().to_string(), foreign: foreign.clone() };
        found.push(finding(Key::root().key("state"), &foreign));
    }
    let mut complaints = places::complaints(&loaded.file, &loaded.text, &found);
    complaints.extend(places::warnings(&loaded.file, &loaded.text, &online.doubts));
    complaints
}
