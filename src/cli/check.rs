//! `pipeline check`: everything that is wrong with a pipeline file, all at once, and what does not fit its state; with
//! `--online` also what both sides say of it. Writes nothing.
//!
//! A variable that is missing is a warning here, as long as neither side is asked, and an error of `run`.

use std::path::Path;
use std::time::Instant;

use crate::adapters::sqlite::SqliteStore;
use crate::cli::args::CheckArguments;
use crate::cli::exit::{Exit, Failure};
use crate::cli::world;
use crate::cli::{places, print_as, progress};
use crate::config::check::{Checked, Part, Purpose, check as check_text};
use crate::config::complaint::{Complaint, Path as Key};
use crate::config::{PerSide, Side};
use crate::endpoint::Traffic;
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
    let Checked { pipeline, rest, mut complaints } = check_text(&text, &file, &world::variable, purpose);
    let part = pipeline.clone().map_or(rest, Part::from);
    // Where its place is not known, the variable that is missing is told already.
    if complaints.iter().all(|complaint| complaint.path != "state") {
        complaints.extend(world::state_complaints(path, &text, &part, pipeline.as_ref()));
    }
    let certificates = world::certificate_complaints(path, &text, &part);
    let fits = pipeline.is_some() && certificates.is_empty();
    complaints.extend(certificates);
    let mut exit = if fits { Exit::Done } else { Exit::Refused };
    let online = arguments.online.then(|| {
        let state = part.state.as_ref().map(|state| world::state_path(path, state));
        let online = ask(path, &part, state.as_deref(), arguments.talk.verbose);
        complaints.extend(findings(&file, &text, state.as_deref(), &online));
        if !online.troubles.is_empty() || !online.withheld.is_empty() || online.foreign.is_some() {
            exit = Exit::CouldNotRun;
        } else if !online.misfits.is_empty() {
            exit = Exit::Refused;
        }
        online
    });
    let met = online.as_ref().map(|online| (online, &part));
    print_as(
        arguments.file.format,
        || report::online::text(met) + &report::check::text(&file, &complaints, pipeline.as_ref()),
        || report::check::json(&complaints, met.map(|(online, part)| report::online::document(online, part))),
    )?;
    Ok(exit)
}

/// Asks the sides that the file says how to reach; with `-v` it is said what of it is asked, and afterwards how much.
fn ask(path: &Path, part: &Part, state: Option<&Path>, verbose: u8) -> Online {
    let say = |line: &str| {
        if verbose > 0 {
            progress::say(line);
        }
    };
    let began = Instant::now();
    // A state that cannot be read is a complaint already.
    let store = state.and_then(|state| SqliteStore::read_only(state).ok());
    let endpoints = world::endpoints_of(path, part);
    let endpoints = PerSide { erp: endpoints.erp.as_deref(), crm: endpoints.crm.as_deref() };
    let online = meet(&part.tables, endpoints, store.as_ref().map(|store| store as &dyn Store), &say);
    let traffic = |side: Side| endpoints.of(side).map_or_else(Traffic::default, |endpoint| endpoint.line().traffic());
    say(&report::run::requests(&PerSide::from_fn(traffic), began.elapsed().as_secs_f64()));
    online
}

/// Says of everything that was found where in the file it belongs, and what to do.
fn findings(file: &str, text: &str, state: Option<&Path>, online: &Online) -> Vec<Complaint> {
    let finding = |path: Key, failure: &Failure| {
        let (message, hint) = failure.told();
        Misfit { path, at: At::Value, message, hint, value: None }
    };
    let mut found = online.misfits.clone();
    found.extend(online.withheld.iter().cloned());
    found.extend(online.troubles.iter().map(|(path, error)| finding(path.clone(), &error.clone().into())));
    if let (Some(foreign), Some(state)) = (&online.foreign, state) {
        let foreign = Failure::Foreign { state: state.display().to_string(), foreign: foreign.clone() };
        found.push(finding(Key::root().key("state"), &foreign));
    }
    let mut complaints = places::complaints(file, text, &found);
    complaints.extend(places::warnings(file, text, &online.doubts));
    complaints
}
