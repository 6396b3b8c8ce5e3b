//! The command line: text in, a verb with its options out.
//!
//! A verb that is planned and not built yet is known by name and refused, so that nobody takes it for a slip of the
//! pen. Nothing here looks at a file.

pub mod inbox;

use std::ffi::OsString;
use std::num::NonZero;
use std::path::PathBuf;

use crate::cli::args::inbox::InboxArguments;
use crate::config::Side;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

const EXIT_CODES: &str = "\
Exit codes:
  0         everything asked for is done and both sides agree
  1         finished, but records failed, are contested or wait for a person, a table failed, or
            `apply` met what is not in its plan
  2         arguments or configuration, also a column that a side does not have; nothing was touched
  3         could not run, or not to its end: network, login, company; state locked, damaged, or of
            another pipeline, company or organization
  4         a guard stopped a table, the others went on; 3 counts more, and 1 less
  10        with `plan --exit-code`: there is something to write, whatever waits besides; 3, 4 and
            a table that failed count more
  130, 143  interrupted by SIGINT or SIGTERM; what was done is kept

Example: pipeline run pipelines/full.yaml";

const COUPLE_EXAMPLES: &str = "\
Example: pipeline couple pipelines/full.yaml customers:10000 A-1001
         pipeline couple pipelines/full.yaml customers:crm:A-1001 10000 --sync to_erp
         pipeline couple pipelines/full.yaml customers:10000 --create
         pipeline couple pipelines/full.yaml customers --match
         pipeline couple pipelines/full.yaml customers --from pairs.csv";

const SCHEMA_EXAMPLES: &str = "\
Example: pipeline schema > pipeline.schema.json

and as the first line of a pipeline file beside it, for every editor with the YAML language server:

  # yaml-language-server: $schema=pipeline.schema.json";

const COMPLETIONS_EXAMPLES: &str = "\
Example: pipeline completions bash > ~/.local/share/bash-completion/completions/pipeline
         pipeline completions zsh > ~/.zfunc/_pipeline
         pipeline completions fish > ~/.config/fish/completions/pipeline.fish
         pipeline completions powershell >> $PROFILE
         pipeline completions elvish >> ~/.config/elvish/rc.elv

A new shell knows them; zsh where `fpath+=~/.zfunc` stands before `compinit` in ~/.zshrc.";

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
    /// Makes both sides agree: the nightly job, or one record at once.
    #[command(after_help = "Example: pipeline run pipelines/full.yaml --only customers --only contacts\n         \
        pipeline run pipelines/full.yaml --only customers:10000 --force to_crm")]
    Run(RunArguments),
    /// Shows what a run would do, record by record, and stores nothing but the plan.
    #[command(after_help = "Example: pipeline plan pipelines/full.yaml -o night.plan")]
    Plan(PlanArguments),
    /// Shows a saved plan, or a part of it, from its file alone.
    #[command(after_help = "Example: pipeline show night.plan --table customers --field creditLimit")]
    Show(ShowArguments),
    /// Carries out a saved plan, and nothing else; what moved since it was made is left out and named.
    #[command(after_help = "Example: pipeline apply night.plan --only customers:10000")]
    Apply(ApplyArguments),
    /// Looks for everything that is wrong with a pipeline file.
    #[command(after_help = "Example: pipeline check pipelines/full.yaml --online")]
    Check(CheckArguments),
    /// Shows couplings, what waits for a person, and the last runs.
    #[command(after_help = "Example: pipeline status pipelines/full.yaml")]
    Status(FileArguments),
    /// Shows earlier runs, or one of them with its writes.
    #[command(after_help = "Example: pipeline history pipelines/full.yaml last")]
    History(HistoryArguments),
    /// Couples records by hand, by a list, or by the match rules; or makes the missing partner.
    #[command(after_help = COUPLE_EXAMPLES)]
    Couple(CoupleArguments),
    /// Lists who is coupled with whom, or writes it as CSV.
    #[command(after_help = "Example: pipeline couplings pipelines/full.yaml export couplings.csv --table customers")]
    Couplings(CouplingsArguments),
    /// Ends couplings: both records stay, and are kept apart.
    #[command(after_help = "Example: pipeline uncouple pipelines/full.yaml customers:10000 --with contacts\n         \
        pipeline uncouple pipelines/full.yaml contacts --all")]
    Uncouple(UncoupleArguments),
    /// Shows what waits for a person, and takes the answers.
    #[command(after_help = "Example: pipeline inbox pipelines/full.yaml retry customers:10000")]
    Inbox(InboxArguments),
    /// Explains one record: where it is, what it is coupled with, and what is decided about each field and why.
    #[command(after_help = "Example: pipeline why pipelines/full.yaml customers:10000 --field phoneNumber")]
    Why(WhyArguments),
    /// Shows before a first load what each side holds, what belongs together and what is advised; stores nothing.
    #[command(after_help = "Example: pipeline review pipelines/full.yaml\n         \
        pipeline review pipelines/full.yaml --only customers --only items:1896-S")]
    Review(ReviewArguments),
    /// Prints the JSON Schema of the pipeline file, by which editors complete and check it.
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema(SchemaArguments),
    /// Prints what lets a shell complete verbs, options and their words.
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArguments),
}

impl Verb {
    /// Returns how the result is printed.
    pub fn format(&self) -> Format {
        match self {
            Verb::Run(arguments) => arguments.file.format,
            Verb::Plan(arguments) => arguments.file.format,
            Verb::Show(arguments) => arguments.format,
            Verb::Apply(arguments) => arguments.format,
            Verb::Check(arguments) => arguments.file.format,
            Verb::Status(arguments) => arguments.format,
            Verb::Review(arguments) => arguments.file.format,
            Verb::History(arguments) => arguments.file.format,
            Verb::Couple(arguments) => arguments.file.format,
            Verb::Couplings(arguments) => arguments.file.format,
            Verb::Uncouple(arguments) => arguments.file.format,
            Verb::Inbox(arguments) => arguments.file.format,
            Verb::Why(arguments) => arguments.file.format,
            Verb::Schema(arguments) => arguments.format,
            Verb::Completions(arguments) => arguments.format,
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
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    pub format: Format,
}

/// How much is said on stderr, for every verb that speaks to a side.
#[derive(Debug, Args)]
pub struct TalkArguments {
    /// More talk on stderr; twice for still more.
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub verbose: u8,
}

/// Options of `check`.
#[derive(Debug, Args)]
#[command(mut_arg("verbose", |verbose| verbose.requires("online")))]
pub struct CheckArguments {
    #[command(flatten)]
    pub file: FileArguments,
    /// Also asks both sides: login, company, clocks, every column and filter of the file, and what has to be allowed;
    /// writes nothing.
    #[arg(long)]
    pub online: bool,
    #[command(flatten)]
    pub talk: TalkArguments,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    #[command(flatten)]
    pub file: FileArguments,
    #[command(flatten)]
    pub part: PartArguments,
    /// Decides everything and writes nothing, not even to the state.
    #[arg(long)]
    pub dry_run: bool,
    /// Agrees that `--force` overwrites edits of the other side; without it, that is asked on a terminal.
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub talk: TalkArguments,
}

/// Options of `review`.
#[derive(Debug, Args)]
pub struct ReviewArguments {
    #[command(flatten)]
    pub file: FileArguments,
    /// Only this table map, or this record, as `run --only` takes them; may be given several times.
    #[arg(long, value_name = "TABLE[:KEY]")]
    pub only: Vec<String>,
    #[command(flatten)]
    pub talk: TalkArguments,
}

/// Which part of everything a run is about, for `run` and `plan` alike.
#[derive(Debug, Default, Args)]
pub struct PartArguments {
    /// Only this table map, or this record (`customers:10000`, `customers:crm:A-1001`, or by id); may be given several times.
    #[arg(long, value_name = "TABLE[:KEY]")]
    pub only: Vec<String>,
    /// Reads only what was modified since the last time, with what belongs to it.
    #[arg(long)]
    pub changed: bool,
    /// Reads everything; this is the default.
    #[arg(long, conflicts_with = "changed")]
    pub full: bool,
    /// Writes to this side only; what would go to the other one waits for another run.
    #[arg(long, value_enum, value_name = "DIRECTION")]
    pub direction: Option<Way>,
    /// Overwrites this side's values in two-way fields with the other's, whatever was edited here; what is lost is shown,
    /// and `run` asks first.
    #[arg(long, value_enum, value_name = "DIRECTION")]
    pub force: Option<Way>,
}

/// One direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Way {
    /// From the ERP to the CRM.
    ToCrm,
    /// From the CRM to the ERP.
    ToErp,
}

impl Way {
    /// Returns the side that is written.
    pub fn side(self) -> Side {
        match self {
            Way::ToCrm => Side::Crm,
            Way::ToErp => Side::Erp,
        }
    }

    /// Returns the way that leads to a side.
    pub fn to(side: Side) -> Way {
        match side {
            Side::Crm => Way::ToCrm,
            Side::Erp => Way::ToErp,
        }
    }
}

/// Options of `plan`.
#[derive(Debug, Args)]
pub struct PlanArguments {
    #[command(flatten)]
    pub file: FileArguments,
    #[command(flatten)]
    pub part: PartArguments,
    /// Saves the plan as this file, for `show` and `apply`.
    #[arg(short, long, value_name = "PLAN")]
    pub output: Option<PathBuf>,
    /// Exits with 10 where there is something to write, whatever waits for a person besides; 3, 4 and a table that failed
    /// (1) count more.
    #[arg(long)]
    pub exit_code: bool,
    #[command(flatten)]
    pub talk: TalkArguments,
}

/// Options of `show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// A plan that `plan -o` saved.
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// Only this table map; may be given several times.
    #[arg(long, value_name = "TABLE")]
    pub table: Vec<String>,
    /// Only this record, as the plan names it or by id; may be given several times.
    #[arg(long, value_name = "TABLE:KEY")]
    pub record: Vec<String>,
    /// Only this field, by its column in the ERP or in the CRM; may be given several times.
    #[arg(long, value_name = "FIELD")]
    pub field: Vec<String>,
    /// How the result is printed on stdout.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Options of `apply`.
#[derive(Debug, Args)]
pub struct ApplyArguments {
    /// A plan that `plan -o` saved, or a run whose guard stopped a table.
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// Only this table map or record, as the plan names it or by id; may be given several times.
    #[arg(long, value_name = "TABLE|TABLE:KEY")]
    pub only: Vec<String>,
    /// Answers the question that is asked on a terminal.
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub talk: TalkArguments,
    /// How the result is printed on stdout.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Options of `history`.
#[derive(Debug, Args)]
#[command(mut_arg("verbose", |verbose| verbose.requires("record").conflicts_with("run")))]
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
    #[arg(long, value_name = "NUMBER", default_value_t = NonZero::new(20).expect("twenty is not zero"))]
    pub limit: NonZero<usize>,
    #[command(flatten)]
    pub talk: TalkArguments,
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
    #[command(flatten)]
    pub talk: TalkArguments,
}

/// Options of `couple`.
#[derive(Debug, Args)]
pub struct CoupleArguments {
    #[command(flatten)]
    pub file: FileArguments,
    /// `TABLE:KEY KEY` (one record, and its partner on the other side); `TABLE:KEY…` with `--create` or `--match`; `TABLE`
    /// with `--match` or `--from`.
    #[arg(value_name = "RECORD")]
    pub records: Vec<String>,
    /// Makes the partner on the side that lacks it, and couples the two; whom a match rule finds is coupled instead, after a
    /// question.
    #[arg(long, conflicts_with_all = ["by_match", "from", "sync"])]
    pub create: bool,
    /// Couples what the match rules find; shows the pairs and asks first.
    #[arg(long = "match", conflicts_with = "from")]
    pub by_match: bool,
    /// Couples the pairs of a CSV file with the columns `erp` and `crm`, labels or ids; all of them or none.
    #[arg(long, value_name = "CSV")]
    pub from: Option<PathBuf>,
    /// Synchronizes the coupled records at once; this side is overwritten.
    #[arg(long, value_enum, value_name = "DIRECTION")]
    pub sync: Option<Way>,
    /// Agrees to what would be asked on a terminal.
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub talk: TalkArguments,
}

/// Options of `schema`.
#[derive(Debug, Args)]
pub struct SchemaArguments {
    /// How the result is printed on stdout; a schema is one JSON document in either.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArguments {
    /// The shell.
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
    /// How the result is printed on stdout: the script, or a document with `shell` and `script`.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Options of `couplings`.
#[derive(Debug, Args)]
pub struct CouplingsArguments {
    #[command(flatten)]
    pub file: FileArguments,
    /// Where nothing else is asked for, which of them are listed.
    #[command(flatten)]
    pub filter: CouplingsFilter,
    #[command(flatten)]
    pub talk: TalkArguments,
    #[command(subcommand)]
    pub action: Option<CouplingsAction>,
}

/// What to do with the couplings; without one, they are listed.
#[derive(Debug, Subcommand)]
pub enum CouplingsAction {
    /// Lists who is coupled with whom, how that came about and since when.
    #[command(after_help = "Example: pipeline couplings pipelines/full.yaml list --table customers")]
    List(CouplingsFilter),
    /// Writes them as CSV; `couple FILE TABLE --from` reads such a list.
    #[command(after_help = "Example: pipeline couplings pipelines/full.yaml export couplings.csv --table customers")]
    Export {
        /// The file to write; without it, stdout.
        #[arg(value_name = "OUT.csv")]
        out: Option<PathBuf>,
        #[command(flatten)]
        filter: CouplingsFilter,
    },
}

/// Which couplings, and how much about them.
#[derive(Debug, Default, PartialEq, Args)]
pub struct CouplingsFilter {
    /// Only this table map; may be given several times.
    #[arg(long, value_name = "TABLE")]
    pub table: Vec<String>,
    /// Asks neither side: ids only, and no labels.
    #[arg(long)]
    pub offline: bool,
}

/// Options of `uncouple`.
#[derive(Debug, Args)]
pub struct UncoupleArguments {
    #[command(flatten)]
    pub file: FileArguments,
    /// `TABLE:KEY…`, or `TABLE` with `--all`.
    #[arg(value_name = "RECORD")]
    pub records: Vec<String>,
    /// Ends all couplings of the table map.
    #[arg(long)]
    pub all: bool,
    /// Also parts the records of this table map that refer to a parted one on both sides; may be given several times.
    #[arg(long = "with", value_name = "TABLE")]
    pub along: Vec<String>,
    /// Agrees to what would be asked on a terminal.
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub talk: TalkArguments,
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

const VERBS_NOT_BUILT: [&str; 1] = ["serve"];

/// Returns the verb that is planned and not built yet, if the arguments (without the program's name) hold one.
pub fn not_built(arguments: &[OsString]) -> Option<String> {
    let mut words = arguments.iter().filter_map(|argument| argument.to_str()).take_while(|word| *word != "--");
    let mut verb = words.by_ref().find(|word| !word.starts_with('-'))?;
    if verb == "help" {
        verb = words.find(|word| !word.starts_with('-'))?;
    }
    VERBS_NOT_BUILT.contains(&verb).then(|| verb.to_owned())
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
            ("serve full.yaml", Some("serve")),
            ("help serve", Some("serve")),
            ("apply night.plan --yes --only customers:1", None),
            ("inbox full.yaml retry customers:1", None),
            ("inbox full.yaml delete customers:1 --yes", None),
            ("run full.yaml --changed", None),
            ("run full.yaml --only customers:10000 --force=to_crm", None),
            ("plan full.yaml -o plan.json", None),
            ("check full.yaml --online", None),
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
    fn verbs_that_speak_to_a_side_take_more_talk() {
        let verbs = Arguments::command();
        let takes = |verb: &&clap::Command| verb.get_arguments().any(|argument| argument.get_id() == "verbose");
        let taking: Vec<&str> = verbs.get_subcommands().filter(takes).map(clap::Command::get_name).collect();
        let speaking = ["run", "plan", "apply", "check", "history", "couple", "couplings", "uncouple", "why", "review"];
        assert_eq!(taking, speaking);
    }

    #[test]
    fn arguments_are_understood() {
        let line = words("pipeline run full.yaml --only customers --only items --dry-run --format json -vv");
        let Verb::Run(run) = Arguments::try_parse_from(line).unwrap().verb else { panic!("another verb") };
        assert_eq!(run.file.path, PathBuf::from("full.yaml"));
        assert_eq!((run.part.only, run.dry_run, run.talk.verbose), (vec!["customers".into(), "items".into()], true, 2));
        assert_eq!(run.file.format, Format::Json);
        for (line, changed) in [("run a.yaml --changed", true), ("run a.yaml --full", false), ("run a.yaml", false)] {
            let line = words(&format!("pipeline {line}"));
            let Verb::Run(run) = Arguments::try_parse_from(line).unwrap().verb else { panic!("another verb") };
            assert_eq!(run.part.changed, changed);
        }
        for line in ["inbox a.yaml --format json list", "inbox a.yaml list --format json", "inbox --format=json a.yaml"]
        {
            let verb = Arguments::try_parse_from(words(&format!("pipeline {line}"))).unwrap().verb;
            assert_eq!(verb.format(), Format::Json, "{line}");
        }
        let line = words("pipeline plan a.yaml --only customers:1 --direction to_erp --force to_erp");
        let Verb::Plan(plan) = Arguments::try_parse_from(line).unwrap().verb else { panic!("another verb") };
        let sides = [plan.part.direction, plan.part.force].map(|way| way.map(Way::side));
        assert_eq!(sides, [Some(Side::Erp); 2]);
        for line in [
            "pipeline",
            "pipeline rum full.yaml",
            "pipeline run",
            "pipeline run a.yaml --format xml",
            "pipeline run a.yaml --changed --full",
            "pipeline inbox a.yaml resolve customers:1 --take erp",
            "pipeline inbox a.yaml resolve --field name --take erp",
            "pipeline inbox a.yaml resolve customers:1 --all --field name --take erp",
            "pipeline inbox a.yaml resolve customers:1 --field name --take mine",
            "pipeline inbox a.yaml resolve customers:1 --field name --take restore",
            "pipeline run a.yaml --direction both",
            "pipeline history a.yaml --limit 0",
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
            for part in verb.get_subcommands_mut().filter(|part| part.get_name() != "help") {
                let help = part.render_long_help().to_string();
                assert!(help.contains("Example: pipeline "), "{help}");
            }
        }
    }

    #[test]
    fn the_help_of_the_inbox_shows_its_answers() {
        let mut command = Arguments::command();
        let inbox = command.find_subcommand_mut("inbox").unwrap();
        assert_snapshot!("help_inbox", inbox.render_help());
        assert_snapshot!("help_inbox_resolve", inbox.find_subcommand_mut("resolve").unwrap().render_help());
    }
}
