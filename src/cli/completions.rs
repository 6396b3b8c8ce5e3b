//! `pipeline completions`: what lets a shell complete the command line.

use clap::CommandFactory;

use crate::cli::args::{Arguments, CompletionsArguments};
use crate::cli::exit::{Exit, Failure};
use crate::cli::print_as;
use crate::report;

/// Carries out `completions`.
pub fn completions(arguments: &CompletionsArguments) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "pipeline", &mut script);
    let script = String::from_utf8_lossy(&script);
    let shell = arguments.shell.to_string();
    print_as(arguments.format, || script.clone().into_owned(), || report::editor::completions_json(&shell, &script))?;
    Ok(Exit::Done)
}
