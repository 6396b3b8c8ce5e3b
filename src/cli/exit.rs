//! How a command ends: the exit codes, and every failure that the world can cause, with its kind, message and hint.
//!
//! The only place that knows which failure has which code. Records that fail are no failures here but part of a report.

use std::process::ExitCode;

use crate::binding::{Foreign, Renamed};
use crate::config::complaint::Complaint;
use crate::endpoint::EndpointError;
use crate::report::asked::Ask;
use crate::report::check::counts;
use crate::run::account::{RunOutcome, RunReport};
use crate::store::StoreError;

/// What the caller is told by the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for is done and both sides agree.
    Done,
    /// Finished, but something failed, is contested or waits.
    Unfinished,
    /// Arguments or configuration; nothing was touched.
    Refused,
    /// Network, login, company or state.
    CouldNotRun,
    /// A guard stopped a table.
    Guarded,
    /// `plan --exit-code` found something to write.
    SomethingToWrite,
    /// A signal of that number ended it; the state is saved.
    Interrupted(u8),
}

impl Exit {
    /// Returns the number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Unfinished => 1,
            Exit::Refused => 2,
            Exit::CouldNotRun => 3,
            Exit::Guarded => 4,
            Exit::SomethingToWrite => 10,
            Exit::Interrupted(signal) => 128 + signal,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// Returns how a run ended; `signal` is the one that interrupted it, if any.
pub fn of_run(report: &RunReport, signal: Option<u8>) -> Exit {
    match report.outcome {
        RunOutcome::Converged => Exit::Done,
        RunOutcome::Incomplete => Exit::Unfinished,
        RunOutcome::Guarded => Exit::Guarded,
        RunOutcome::Failed => Exit::CouldNotRun,
        RunOutcome::Interrupted => Exit::Interrupted(signal.unwrap_or(SIGINT)),
    }
}

const SIGINT: u8 = 2;
/// What to do after a run that was told to end.
const GO_ON: &str = "what was done is kept; run again to go on";

/// Why nothing came of a command.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The arguments make no sense for this file.
    #[error("{message}")]
    Arguments { message: String, hint: String },
    /// Nobody agreed to what is asked, or nobody could be asked; it is kept for programs.
    #[error("{message}")]
    NotAgreed { message: String, hint: String, asks: Vec<Ask> },
    /// Somebody else changed what a person was shown before he agreed to it.
    #[error("{what} changed while this was looked at; nothing was done")]
    Moved { what: String },
    /// A verb that is planned and does not exist yet.
    #[error("`{0}` is not built yet")]
    NotBuilt(String),
    /// The pipeline file is not there or is no text.
    #[error("{file} cannot be read: {message}")]
    File { file: String, message: String },
    /// The pipeline file is wrong.
    #[error("{file}: {}; nothing was touched", counts(.complaints))]
    Configuration { file: String, complaints: Vec<Complaint> },
    /// The pipeline file does not fit what the sides say of their tables.
    #[error("{file}: {}; nothing was touched", counts(.complaints))]
    Mapping { file: String, complaints: Vec<Complaint> },
    /// A file of answers is wrong.
    #[error("{file}: {}; nothing was done", counts(.complaints))]
    Answers { file: String, complaints: Vec<Complaint> },
    /// A file that was asked for cannot be written.
    #[error("{file} cannot be written: {message}")]
    Written { file: String, message: String },
    /// The state cannot be used; the message names the file.
    #[error(transparent)]
    State(#[from] StoreError),
    /// The state belongs to another pipeline.
    #[error("the state {state} cannot be used: {renamed}")]
    Renamed { state: String, renamed: Renamed },
    /// The state belongs to another company or organization.
    #[error("the state {state} cannot be used: {foreign}")]
    Foreign { state: String, foreign: Box<Foreign> },
    /// A saved plan is none, or does not fit its pipeline file.
    #[error("the plan {plan} cannot be used: {message}")]
    Plan { plan: String, message: String, hint: String },
    /// A saved plan was made over another state, company or organization.
    #[error("the plan {plan} cannot be carried out: {message}")]
    ForeignPlan { plan: String, message: String },
    /// A plan cannot be saved.
    #[error("the plan cannot be saved as {plan}: {message}")]
    Unsaved { plan: String, message: String },
    /// A side cannot be used.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The result cannot be printed.
    #[error("the result cannot be printed: {0}")]
    Output(std::io::Error),
    /// A signal came, of that number, and what was asked then was given up.
    #[error("interrupted")]
    Interrupted(u8),
    /// The program itself is at fault; the panic's own message stands above.
    #[error("the program failed where it must not")]
    Fault,
}

impl Failure {
    /// Returns the word by which programs tell failures apart.
    pub fn kind(&self) -> &'static str {
        match self {
            Failure::Arguments { .. } => "arguments",
            Failure::NotAgreed { .. } => "not_agreed",
            Failure::Moved { .. } => "moved",
            Failure::NotBuilt(_) => "not_built",
            Failure::File { .. } => "file",
            Failure::Configuration { .. } | Failure::Mapping { .. } => "configuration",
            Failure::Answers { .. } => "answers",
            Failure::Written { .. } => "file",
            Failure::State(error) => match error {
                StoreError::Locked { .. } => "locked",
                StoreError::Damaged { .. } => "damaged",
                StoreError::Failed { .. } => "state",
            },
            Failure::Renamed { .. } | Failure::Foreign { .. } => "foreign_state",
            Failure::Plan { .. } => "plan",
            Failure::ForeignPlan { .. } => "foreign_plan",
            Failure::Unsaved { .. } => "unsaved",
            Failure::Endpoint(error) => error.kind(),
            Failure::Output(_) => "output",
            Failure::Interrupted(_) => "interrupted",
            Failure::Fault => "fault",
        }
    }

    /// Returns what to do about it; blank where the message says it all.
    pub fn hint(&self) -> String {
        match self {
            Failure::Arguments { hint, .. } | Failure::NotAgreed { hint, .. } | Failure::Plan { hint, .. } => {
                hint.clone()
            }
            Failure::ForeignPlan { .. } => {
                "carry it out where it was made, or make one for this place with `pipeline plan FILE -o PLAN`".into()
            }
            Failure::Unsaved { .. } => {
                "look at the rights and the free space of its folder, or give another `-o`".into()
            }
            Failure::Moved { .. } => "the same command again shows what is so now".into(),
            Failure::NotBuilt(_) => "`pipeline --help` lists what is there".into(),
            Failure::File { .. } => "give the path of a pipeline file, as in `pipeline run pipelines/full.yaml`".into(),
            Failure::Configuration { file, .. } => {
                format!("correct the file or set the variables, then look again with `pipeline check {file}`")
            }
            Failure::Mapping { file, .. } => {
                format!("correct the file, then look again with `pipeline plan {file}`, which writes nothing")
            }
            Failure::Answers { file, .. } => {
                format!("correct these lines, or empty their decisions, and import {file} again")
            }
            Failure::Written { .. } => "look at the folder, its rights and its free space".into(),
            Failure::State(error) => match error {
                StoreError::Locked { .. } => "wait until that run has ended; one run at a time writes to a state",
                StoreError::Damaged { .. } => {
                    "put a backup in its place, or move the file aside: the next run then couples by the match rules"
                }
                StoreError::Failed { .. } => "look at the rights and the free space of its folder",
            }
            .into(),
            Failure::Renamed { renamed, .. } => format!(
                "give this pipeline a `state` of its own, or its name `{}` back: the ids of the records that it makes \
                 follow from the name",
                renamed.bound
            ),
            Failure::Foreign { .. } => {
                "lead the file back there, or name another `state` for the other place; where it was restored, copied \
                 or refreshed, its records are others too: move the state aside, and look at `pipeline plan`, which \
                 couples them anew by the match rules"
                    .into()
            }
            Failure::Endpoint(error) => {
                let connection = |side: &crate::config::Side| format!("connections.{}", side.key());
                match error {
                    EndpointError::Unreachable { side, keys, .. } => {
                        let (connection, key) = (connection(side), keys.join("."));
                        format!("look at `{connection}.{key}`, and at the network; run again when it answers")
                    }
                    EndpointError::Interrupted { .. } => GO_ON.into(),
                    EndpointError::Login { side, .. } => {
                        format!("look at what `{}.auth` logs in with", connection(side))
                    }
                    EndpointError::Credentials { side, .. } => {
                        format!(
                            "look at the file that `{}.auth` names; a relative path starts at the pipeline file's folder",
                            connection(side)
                        )
                    }
                    EndpointError::NoCompany { side, .. } => {
                        format!("write one that exists into `{}.company`", connection(side))
                    }
                    EndpointError::NoTable { side, .. } => {
                        format!("look at the names of the {} tables in the pipeline file", side.name())
                    }
                    EndpointError::Refused { side, .. } => {
                        format!("the message is the {}'s own; look at the rights of the client there", side.name())
                    }
                    EndpointError::Untrusted { .. } => {
                        "nothing was concluded from it; run again, and tell whoever runs that service if it stays"
                            .into()
                    }
                }
            }
            Failure::Output(_) => "look at where stdout leads; a run is kept in the state all the same".into(),
            Failure::Interrupted(_) => GO_ON.into(),
            Failure::Fault => "what was confirmed is in the state; run again, and report the message above".into(),
        }
    }

    /// Returns message and hint, with nothing said twice: a message that carries its own next step gives it to the hint.
    pub fn told(&self) -> (String, String) {
        let message = self.to_string();
        let parts = match self {
            Failure::State(_) => message.split_once("; ").map(|(what, next)| (what, next.to_owned())),
            // The place is what our message cannot know; a server's own text is left as it is.
            Failure::Endpoint(
                EndpointError::Login { side, .. }
                | EndpointError::Unreachable { side, .. }
                | EndpointError::Refused { side, .. },
            ) => message.rsplit_once("; check ").map(|(what, next)| {
                // A certificate is seen by whoever got there.
                let is_way = self.kind() == "unreachable" && !next.contains("certificate");
                let network = if is_way { ", and the network" } else { "" };
                (what, format!("check {next}; see `connections.{}`{network}", side.key()))
            }),
            _ => None,
        };
        match parts {
            Some((what, next)) => (what.to_owned(), next),
            None => (message, self.hint()),
        }
    }

    /// Returns what is wrong with the file, where that is the reason.
    pub fn complaints(&self) -> &[Complaint] {
        match self {
            Failure::Configuration { complaints, .. }
            | Failure::Mapping { complaints, .. }
            | Failure::Answers { complaints, .. } => complaints,
            _ => &[],
        }
    }

    /// Returns what a person would have had to agree to, where that is the reason.
    pub fn asks(&self) -> &[Ask] {
        match self {
            Failure::NotAgreed { asks, .. } => asks,
            _ => &[],
        }
    }

    /// Returns the exit code.
    pub fn exit(&self) -> Exit {
        match self {
            Failure::Arguments { .. }
            | Failure::NotAgreed { .. }
            | Failure::NotBuilt(_)
            | Failure::File { .. }
            | Failure::Configuration { .. }
            | Failure::Mapping { .. }
            | Failure::Answers { .. }
            | Failure::Written { .. }
            | Failure::Plan { .. }
            | Failure::Endpoint(EndpointError::NoTable { .. }) => Exit::Refused,
            // Only a signal sets the program to end, and whoever knows which one says that in its place.
            Failure::Endpoint(EndpointError::Interrupted { .. }) => Exit::Interrupted(SIGINT),
            Failure::State(_)
            | Failure::Moved { .. }
            | Failure::Renamed { .. }
            | Failure::Foreign { .. }
            | Failure::ForeignPlan { .. }
            | Failure::Unsaved { .. }
            | Failure::Endpoint(_)
            | Failure::Output(_)
            | Failure::Fault => Exit::CouldNotRun,
            Failure::Interrupted(signal) => Exit::Interrupted(*signal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Side;
    use crate::config::complaint::Severity;
    use insta::assert_snapshot;

    fn failures() -> Vec<Failure> {
        let complaint = Complaint {
            severity: Severity::Error,
            file: "full.yaml".into(),
            line: 1,
            column: 1,
            path: String::new(),
            message: "`version` is missing".into(),
            hint: None,
        };
        let state = Failure::State;
        let message = || "what it said".to_owned();
        vec![
            Failure::Arguments {
                message: "no table map `custmers` in full.yaml".into(),
                hint: "did you mean `customers`?".into(),
            },
            Failure::NotAgreed {
                message: "whether to overwrite 1 value has to be asked, and there is no terminal to ask on".into(),
                hint: "`--yes` answers it; nothing was done".into(),
                asks: Vec::new(),
            },
            Failure::NotBuilt("serve".into()),
            Failure::File { file: "full.yaml".into(), message: "no such file".into() },
            Failure::Configuration { file: "full.yaml".into(), complaints: vec![complaint.clone()] },
            Failure::Mapping { file: "full.yaml".into(), complaints: vec![complaint.clone()] },
            Failure::Answers { file: "inbox.csv".into(), complaints: vec![complaint] },
            Failure::Written { file: "inbox.csv".into(), message: "no such folder".into() },
            state(StoreError::Locked { holder: "night pid 4711".into(), since: "2026-01-31T02:00:00Z".into() }),
            state(StoreError::Damaged { message: message() }),
            state(StoreError::Failed { message: message() }),
            EndpointError::Unreachable { side: Side::Erp, keys: &["url"], message: message() }.into(),
            EndpointError::Interrupted { side: Side::Crm }.into(),
            EndpointError::Login { side: Side::Crm, keys: &["auth"], message: message() }.into(),
            EndpointError::Credentials { side: Side::Crm, keys: &["auth"], message: message() }.into(),
            EndpointError::NoCompany { side: Side::Erp, company: "CRONUS".into(), known: "A, B".into() }.into(),
            EndpointError::NoTable { side: Side::Crm, table: "acounts".into() }.into(),
            EndpointError::Refused { side: Side::Crm, message: message() }.into(),
            EndpointError::Untrusted { side: Side::Erp, message: message() }.into(),
            Failure::Plan { plan: "night.plan".into(), message: message(), hint: "what to do".into() },
            Failure::ForeignPlan { plan: "night.plan".into(), message: message() },
            Failure::Unsaved { plan: "night.plan".into(), message: message() },
            Failure::Output(std::io::Error::other("no space left on device")),
            Failure::Interrupted(2),
            Failure::Fault,
        ]
    }

    #[test]
    fn each_failure_has_its_code_kind_message_and_hint() {
        let lines: Vec<String> = failures()
            .iter()
            .map(|failure| {
                let (code, kind, hint) = (failure.exit().code(), failure.kind(), failure.hint());
                format!("{code} {kind}: {failure}\n    {hint}")
            })
            .collect();
        assert_snapshot!("failures", lines.join("\n"));
    }

    #[test]
    fn a_run_ends_with_the_code_of_its_outcome() {
        for (outcome, signal, code) in [
            (RunOutcome::Converged, None, 0),
            (RunOutcome::Converged, Some(15), 0),
            (RunOutcome::Incomplete, None, 1),
            (RunOutcome::Failed, None, 3),
            (RunOutcome::Guarded, None, 4),
            (RunOutcome::Interrupted, Some(2), 130),
            (RunOutcome::Interrupted, Some(15), 143),
        ] {
            let report = RunReport { outcome, ..crate::report::samples::run() };
            assert_eq!(of_run(&report, signal).code(), code, "{outcome:?} {signal:?}");
        }
        assert_eq!(Exit::SomethingToWrite.code(), 10);
    }
}
