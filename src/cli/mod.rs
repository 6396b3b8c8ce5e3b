//! The program around the library: arguments in, result on stdout, talk on stderr, exit code out.
//!
//! Here, once, enter all impure things: the file's text, the environment, the clock, a run id, signals. Each verb has a
//! file; what a verb prints is made by [`crate::report`].

pub mod args;
pub mod exit;
pub mod signals;
pub mod progress;
pub mod ask;
pub mod sheet;
pub mod places;
pub mod world;
pub mod part;
pub mod saved;
pub mod named;
pub mod run;
pub mod plan;
pub mod show;
pub mod apply;
pub mod check;
pub mod status;
pub mod inbox;
pub mod couple;
pub mod couplings;
pub mod uncouple;
pub mod history;
pub mod why;
pub mod review;
pub mod schema;
pub mod completions;

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;

use crate::cli::args::{Arguments, Format, Verb};
use crate::cli::exit::{Exit, Failure};
use crate::report;

/// Runs the program; the first argument is its own name.
///
/// A panic ends here too: its message stands on stderr already, the exit code says that the program could not run.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let json = args::wants_json(&arguments);
    signals::outlive_file_limit();
    let result = catch_unwind(AssertUnwindSafe(|| perform(&arguments))).unwrap_or(Err(Failure::Fault));
    let exit = result.unwrap_or_else(|failure| {
        let failure = match (failure, signals::number()) {
            // What was under way was given up for that, and is not what is wrong.
            (Failure::Endpoint(_), Some(signal)) => Failure::Interrupted(signal),
            (failure, _) => failure,
        };
        tell(&failure, json);
        failure.exit()
    });
    exit.into()
}

fn perform(arguments: &[OsString]) -> Result<Exit, Failure> {
    if let Some(name) = args::not_built(arguments.get(1..).unwrap_or_default()) {
        return Err(Failure::NotBuilt(name));
    }
    let verb = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments.verb,
        Err(answer) => return answered(&answer, args::wants_json(arguments)),
    };
    match &verb {
        Verb::Run(arguments) => run::run(arguments),
        Verb::Plan(arguments) => plan::plan(arguments),
        Verb::Show(arguments) => show::show(arguments),
        Verb::Apply(arguments) => apply::apply(arguments),
        Verb::Check(arguments) => check::check(arguments),
        Verb::Status(arguments) => status::status(arguments),
        Verb::History(arguments) => history::history(arguments),
        Verb::Couple(arguments) => couple::couple(arguments),
        Verb::Couplings(arguments) => couplings::couplings(arguments),
        Verb::Uncouple(arguments) => uncouple::uncouple(arguments),
        Verb::Inbox(arguments) => inbox::inbox(arguments),
        Verb::Why(arguments) => why::why(arguments),
        Verb::Review(arguments) => review::review(arguments),
        Verb::Schema(_) => schema::schema(),
        Verb::Completions(arguments) => completions::completions(arguments),
    }
}

/// Prints what the parser of the arguments has to say: help, the version, or what it did not understand.
fn answered(answer: &clap::Error, json: bool) -> Result<Exit, Failure> {
    if !answer.use_stderr() {
        return print(&answer.render().to_string()).map(|()| Exit::Done);
    }
    if json {
        let message = answer.render().to_string();
        let message = message.trim().trim_start_matches("error: ");
        let (message, hint) = message.split_once("\n\n").unwrap_or((message, ""));
        return Err(Failure::Arguments { message: on_one_line(message, " "), hint: on_one_line(hint, "; ") });
    }
    // A stderr that is closed is no reason for another exit code.
    let _ = answer.print();
    Ok(Exit::Refused)
}

/// Joins the lines of a text that are not blank.
fn on_one_line(text: &str, between: &str) -> String {
    let lines = text.lines().map(|line| line.trim().trim_end_matches('.')).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(between)
}

/// Prints a failure: for people on stderr, and for programs that asked for JSON also on stdout.
fn tell(failure: &Failure, json: bool) {
    let (message, hint) = failure.told();
    let text = report::check::list_text(failure.complaints()) + &report::failure::text(&message, &hint);
    progress::say(text.trim_end());
    if json {
        let document = report::failure::json(failure.kind(), &message, &hint, failure.complaints(), failure.asks());
        // The failure itself decides the exit code, whether it could be printed or not.
        let _ = print(&(document + "\n"));
    }
}

/// Prints the result of a verb in the format asked for.
fn print_as(format: Format, text: impl FnOnce() -> String, json: impl FnOnce() -> String) -> Result<(), Failure> {
    match format {
        Format::Text => print(&text()),
        Format::Json => print(&(json() + "\n")),
    }
}

/// Writes to stdout; a reader that has seen enough and went away (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}
