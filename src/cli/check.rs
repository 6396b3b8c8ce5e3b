//! `pipeline check`: everything that is wrong with a pipeline file, all at once, and what does not fit its state. Asks
//! neither side.
//!
//! A variable that is missing is a warning here and an error of `run`.

use crate::cli::args::FileArguments;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{print_as, world};
use crate::config::check::{Purpose, check as check_text};
use crate::report;

/// Carries out `check`.
pub fn check(arguments: &FileArguments) -> Result<Exit, Failure> {
    let text = world::read(&arguments.path)?;
    let file = arguments.path.display().to_string();
    let mut checked = check_text(&text, &file, &world::variable, Purpose::Check);
    let pipeline = checked.pipeline.as_ref();
    // Where its place is not known, the variable that is missing is told already.
    if let (Some(pipeline), true) = (pipeline, checked.complaints.iter().all(|complaint| complaint.path != "state")) {
        checked.complaints.extend(world::state_complaints(&arguments.path, &text, pipeline));
    }
    print_as(
        arguments.format,
        || report::check::text(&file, &checked.complaints, pipeline),
        || report::check::json(&checked.complaints),
    )?;
    Ok(if pipeline.is_some() { Exit::Done } else { Exit::Refused })
}
