//! The command line: text in, a verb with its options out.
//!
//! Verbs and options of the contract that are not built yet are known by name and refused, so that nobody believes
//! they had an effect. Nothing here looks at a file.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::store::InboxKind;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

const EXIT_CODES: &str = "\
Exit codes:
  0         everything asked for is done and both sides agree
  1         finished, but records failed, are contested or wait for a person, or a table failed
  2         arguments or configuration; nothing was touched
  3         could not run: network, login, company; state locked, damaged or of another company
  4         a guard stopped a table, the others went on
  10        with `plan --exit-code`: there is something to write
  130, 143  interrupted by SIGINT or SIGTERM; what was done is kept

Example: pipeline run pipelines/full.yaml";

/// Keeps the records of an ERP and a CRM the same, field by field.
#[derive(Debug, Parser)]
#[command(name = "pipeline", version, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Makes both sides agree: the nightly job.
    #[command(after_help = "Example: pipeline run pipelines/full.yaml --only customers --only contacts")]
    Run(RunArguments),
    /// Shows what a run would do, record by record, and stores nothing.
    #[command(after_help = "Example: pipeline plan pipelines/full.yaml --exit-code")]
    Plan(PlanArguments),
    /// Looks for everything that is wrong with a pipeline file.
    #[command(after_help = "Example: pipeline check pipelines/full.yaml --format json")]
    Check(FileArguments),
    /// Shows couplings, what waits for a person, and the last runs.
    #[command(after_help = "Example: pipeline status pipelines/full.yaml")]
    Status(FileArguments),
    /// Shows earlier runs, or one of them with its writes.
    #[command(after_help = "Example: pipeline history pipelines/full.yaml last")]
    History(HistoryArguments),
    /// Shows what waits for a person, and takes the answers.
    #[command(after_help = "Example: pipeline inbox pipelines/full.yaml retry customers:10000")]
    Inbox(InboxArguments),
    /// Explains one record: where it is, what it is coupled with, and what is decided about each field and why.
    #[command(after_help = "Example: pipeline why pipelines/full.yaml customers:10000 --field phoneNumber")]
    Why(WhyArguments),
    /// Shows before a first load what each side holds, what belongs together and what is advised; stores nothing.
    #[command(after_help = "Example: pipeline review pipelines/full.yaml")]
    Review(FileArguments),
}

impl Verb {
    /// Returns how the result is printed.
    pub fn format(&self) -> Format {
        match self {
            Verb::Run(arguments) => arguments.file.format,
            Verb::Plan(arguments) => arguments.file.format,
            Verb::Check(arguments) | Verb::Status(arguments) | Verb::Review(arguments) => arguments.format,
            Verb::History(arguments) => arguments.file.format,
            Verb::Inbox(arguments) => arguments.file.format,
            Verb::Why(arguments) => arguments.file.format,
        }
    }
}

/// The file, and how the result is printed.
#[derive(Debug, Args)]
pub struct FileArguments {
    /// The pipeline file.
    #[arg(value_name = "FILE")]
    pub path: PathBuf,
    /// How the result is printed on stdout.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    #[command(flatten)]
    pub file: FileArguments,
    /// Only this table map; may be given several times.
    #[arg(long, value_name = "TABLE")]
    pub only: Vec<String>,
    /// Reads only what was modified since the last time, with what belongs to it.
    #[arg(long)]
    pub changed: bool,
    /// Reads everything; this is the default.
    #[arg(long, conflicts_with = "changed")]
    pub full: bool,
    /// Decides everything and writes nothing, not even to the state.
    #[arg(long)]
    pub dry_run: bool,
    /// More talk on stderr; twice for still more.
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// Options of `plan`.
#[derive(Debug, Args)]
pub struct PlanArguments {
    #[command(flatten)]
    pub file: FileArguments,
    /// Only this table map; may be given several times.
    #[arg(long, value_name = "TABLE")]
    pub only: Vec<String>,
    /// Reads only what was modified since the last time, with what belongs to it.
    #[arg(long)]
    pub changed: bool,
    /// Reads everything; this is the default.
    #[arg(long, conflicts_with = "changed")]
    pub full: bool,
    /// Exits with 10 where there is something to write.
    #[arg(long)]
    pub exit_code: bool,
    /// More talk on stderr; twice for still more.
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// Options of `history`.
#[derive(Debug, Args)]
pub struct HistoryArguments {
    #[command(flatten)]
    pub file: FileArguments,
    /// One run, by the beginning of its id; `last` for the newest.
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// The writes to one record, over all runs: `customers:10000`, `customers:crm:KEY`.
    #[arg(long, value_name = "TABLE:KEY", conflicts_with = "run")]
    pub record: Option<String>,
    /// How many runs are listed, or writes to a record.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pub limit: usize,
}

/// Options of `why`.
#[derive(Debug, Args)]
pub struct WhyArguments {
    #[command(flatten)]
    pub file: FileArguments,
    /// The record, by ERP label or id (`customers:10000`) or by those of the CRM (`customers:crm:KEY`).
    #[arg(value_name = "TABLE:KEY")]
    pub record: String,
    /// Only this field, by its ERP or CRM column.
    #[arg(long, value_name = "FIELD")]
    pub field: Option<String>,
}

/// Options of `inbox`.
#[derive(Debug, Args)]
pub struct InboxArguments {
    #[command(flatten)]
    pub file: FileArguments,
    #[command(subcommand)]
    pub action: Option<InboxAction>,
}

/// What to do with the inbox; without one, it is listed.
#[derive(Debug, Subcommand)]
pub enum InboxAction {
    /// Lists what waits.
    List(InboxFilter),
    /// Lets the next run send skipped records again.
    Retry {
        /// Records as the inbox names them, or by id: `customers:10000`, `customers:crm:ID`.
        #[arg(value_name = "TABLE:KEY", required = true)]
        records: Vec<String>,
    },
}

/// Which part of the inbox.
#[derive(Debug, Args)]
pub struct InboxFilter {
    /// Only this table map; may be given several times.
    #[arg(long, value_name = "TABLE")]
    pub table: Vec<String>,
    /// Only this kind; may be given several times.
    #[arg(long, value_name = "KIND", value_parser = InboxKind::ALL.map(InboxKind::key))]
    pub kind: Vec<String>,
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

const VERBS_NOT_BUILT: [&str; 6] = ["apply", "couple", "uncouple", "serve", "schema", "completions"];

/// Answers of the contract that are not built.
const INBOX_NOT_BUILT: [&str; 6] = ["restore", "delete", "uncouple", "resolve", "export", "import"];

/// Options of the contract that are not built, by verb; a blank verb stands for all.
const OPTIONS_NOT_BUILT: [(&str, &str); 5] =
    [("run", "--direction"), ("run", "--force"), ("plan", "-o"), ("check", "--online"), ("", "--yes")];

/// Returns the verb or option that belongs to the contract but is not built yet, if the arguments (without the
/// program's name) hold one.
pub fn not_built(arguments: &[OsString]) -> Option<String> {
    let mut words = arguments.iter().filter_map(|argument| argument.to_str()).take_while(|word| *word != "--");
    let mut verb = words.by_ref().find(|word| !word.starts_with('-'))?;
    if verb == "help" {
        verb = words.by_ref().find(|word| !word.starts_with('-'))?;
    }
    if VERBS_NOT_BUILT.contains(&verb) {
        return Some(verb.to_owned());
    }
    if verb == "inbox" {
        let mut answers = words.clone().filter(|word| INBOX_NOT_BUILT.contains(word));
        return answers.next().map(|answer| format!("inbox {answer}"));
    }
    let mut only = false;
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let option = OPTIONS_NOT_BUILT.iter().find(|(of, option)| {
            let short = option.len() == 2 && word.starts_with(option);
            (of.is_empty() || *of == verb) && (*option == name || short)
        });
        if let Some((_, option)) = option {
            return Some(format!("{verb} {option}"));
        }
        if (only && word.contains(':')) || (name == "--only" && value.contains(':')) {
            return Some(format!("{verb} --only TABLE:KEY"));
        }
        only = name == "--only";
    }
    None
}

/// Tells whether the arguments ask for JSON, as far as that can be told before they are understood.
pub fn wants_json(arguments: &[OsString]) -> bool {
    let words: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    words.contains(&"--format=json") || words.windows(2).any(|pair| pair == ["--format", "json"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use insta::assert_snapshot;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn what_is_not_built_is_named() {
        for (line, expected) in [
            ("apply plan.json", Some("apply")),
            ("help apply", Some("apply")),
            ("inbox full.yaml retry customers:1", None),
            ("inbox full.yaml resolve customers:1", Some("inbox resolve")),
            ("run full.yaml --changed", None),
            ("run full.yaml --direction to_crm", Some("run --direction")),
            ("run full.yaml --force=to_crm", Some("run --force")),
            ("run full.yaml --only customers:10000", Some("run --only TABLE:KEY")),
            ("run full.yaml --only=customers:crm:A-1", Some("run --only TABLE:KEY")),
            ("plan full.yaml -o plan.json", Some("plan -o")),
            ("plan full.yaml -oplan.json", Some("plan -o")),
            ("check full.yaml --online", Some("check --online")),
            ("run full.yaml --yes", Some("run --yes")),
            ("run full.yaml --only customers --dry-run -vv", None),
            ("run C:full.yaml", None),
            ("check full.yaml --format json", None),
            ("run -- --force", None),
            ("--version", None),
            ("", None),
        ] {
            assert_eq!(not_built(&words(line)).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn no_verb_is_both_built_and_not() {
        Arguments::command().debug_assert();
        for verb in Arguments::command().get_subcommands() {
            assert!(!VERBS_NOT_BUILT.contains(&verb.get_name()), "{}", verb.get_name());
        }
    }

    #[test]
    fn arguments_are_understood() {
        let line = words("pipeline run full.yaml --only customers --only items --dry-run --format json -vv");
        let Verb::Run(run) = Arguments::try_parse_from(line).unwrap().verb else { panic!("another verb") };
        assert_eq!(run.file.path, PathBuf::from("full.yaml"));
        assert_eq!((run.only, run.dry_run, run.verbose), (vec!["customers".into(), "items".into()], true, 2));
        assert_eq!(run.file.format, Format::Json);
        for (line, changed) in [("run a.yaml --changed", true), ("run a.yaml --full", false), ("run a.yaml", false)] {
            let line = words(&format!("pipeline {line}"));
            let Verb::Run(run) = Arguments::try_parse_from(line).unwrap().verb else { panic!("another verb") };
            assert_eq!(run.changed, changed);
        }
        for line in [
            "pipeline",
            "pipeline rum full.yaml",
            "pipeline run",
            "pipeline run a.yaml --format xml",
            "pipeline run a.yaml --changed --full",
        ] {
            assert_eq!(Arguments::try_parse_from(words(line)).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn json_is_seen_before_the_arguments_are_understood() {
        for (line, expected) in [
            ("run full.yaml --format json", true),
            ("run --format=json --nonsense", true),
            ("run full.yaml", false),
            ("run json --format text", false),
        ] {
            assert_eq!(wants_json(&words(line)), expected, "{line}");
        }
    }

    #[test]
    fn the_help_shows_verbs_and_exit_codes() {
        assert_snapshot!("help", Arguments::command().render_long_help());
    }

    #[test]
    fn the_help_of_each_verb_has_an_example() {
        for verb in Arguments::command().get_subcommands_mut() {
            let help = verb.render_long_help().to_string();
            assert!(help.contains("Example: pipeline "), "{help}");
        }
    }
}
