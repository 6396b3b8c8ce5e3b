//! The command line of `inbox`: what is listed, and the answers.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::args::FileArguments;
use crate::cli::inbox::answer::take;
use crate::store::{Decided, InboxKind};

/// Options of `inbox`.
#[derive(Debug, Args)]
pub struct InboxArguments {
    #[command(flatten)]
    pub file: FileArguments,
    /// Where nothing else is asked for, what of it is listed.
    #[command(flatten)]
    pub filter: InboxFilter,
    #[command(subcommand)]
    pub action: Option<InboxAction>,
}

/// What to do with the inbox; without one, it is listed.
#[derive(Debug, Subcommand)]
pub enum InboxAction {
    /// Lists what waits.
    #[command(after_help = "Example: pipeline inbox pipelines/full.yaml list --kind contested --table customers")]
    List(InboxFilter),
    /// Lists the records that are kept apart: neither matched nor created anew.
    #[command(after_help = "Example: pipeline inbox pipelines/full.yaml apart --format json")]
    Apart,
    /// Writes what waits as CSV, with a column `decision` to fill in: erp, crm, value=V, retry, restore, delete, uncouple.
    #[command(after_help = "Example: pipeline inbox pipelines/full.yaml export inbox.csv --kind contested")]
    Export {
        /// The file to write; without it, stdout.
        #[arg(value_name = "OUT.csv")]
        out: Option<PathBuf>,
        #[command(flatten)]
        filter: InboxFilter,
    },
    /// Takes the decisions out of an exported CSV: all of them, or none where one is wrong.
    #[command(after_help = "Example: pipeline inbox pipelines/full.yaml import inbox.csv")]
    Import {
        /// The file that was exported and filled in.
        #[arg(value_name = "IN.csv")]
        file: PathBuf,
        /// Asks nothing, also where records will be deleted.
        #[arg(long)]
        yes: bool,
    },
    /// Decides a contested field; the next run writes it.
    #[command(
        after_help = "Example: pipeline inbox pipelines/full.yaml resolve customers:10000 --field phoneNumber --take crm"
    )]
    Resolve(ResolveArguments),
    /// Takes back what was decided and not carried out; it waits for a person again.
    #[command(after_help = "Example: pipeline inbox pipelines/full.yaml withdraw customers:10000 --field phoneNumber")]
    Withdraw {
        /// Records as the inbox names them, or by id.
        #[arg(value_name = "TABLE:KEY", required = true)]
        records: Vec<String>,
        /// Only what was decided about this field, by its ERP or its CRM column; without it, all about the record.
        #[arg(long)]
        field: Option<String>,
    },
    /// Lets the next run send skipped records again.
    #[command(after_help = "Example: pipeline inbox pipelines/full.yaml retry customers:10000")]
    Retry {
        /// Records as the inbox names them, or by id: `customers:10000`, `customers:crm:ID`.
        #[arg(value_name = "TABLE:KEY", required = true)]
        records: Vec<String>,
    },
    /// Lets the next run make deleted partners anew.
    #[command(after_help = "Example: pipeline inbox pipelines/full.yaml restore customers:10000")]
    Restore {
        /// The records that are left, as the inbox names them, or by id.
        #[arg(value_name = "TABLE:KEY", required = true)]
        records: Vec<String>,
    },
    /// Lets the next run delete the records whose partners were deleted, unless they are edited before.
    #[command(after_help = "Example: pipeline inbox pipelines/full.yaml delete customers:crm:A-1001 --yes")]
    Delete {
        /// The records that are left, as the inbox names them, or by id.
        #[arg(value_name = "TABLE:KEY", required = true)]
        records: Vec<String>,
        /// Asks nothing.
        #[arg(long)]
        yes: bool,
    },
    /// Removes the link of records now; both stay, and are kept apart.
    #[command(after_help = "Example: pipeline inbox pipelines/full.yaml uncouple customers:10000")]
    Uncouple {
        /// Records as the inbox names them, or by id.
        #[arg(value_name = "TABLE:KEY", required = true)]
        records: Vec<String>,
    },
}

/// Which contested fields are decided, and how.
#[derive(Debug, Args)]
pub struct ResolveArguments {
    /// Records as the inbox names them, or by id.
    #[arg(value_name = "TABLE:KEY", required_unless_present = "all", conflicts_with = "all")]
    pub records: Vec<String>,
    /// The field, by its ERP or its CRM column.
    #[arg(long)]
    pub field: String,
    /// Whose value both sides get, or a value in the ERP's terms.
    #[arg(long, value_name = "erp|crm|value=V", value_parser = parse_take)]
    pub take: Decided,
    /// Every record in which the field is contested.
    #[arg(long)]
    pub all: bool,
    /// With --all, only this table map; may be given several times.
    #[arg(long, value_name = "TABLE", requires = "all")]
    pub table: Vec<String>,
}

fn parse_take(text: &str) -> Result<Decided, String> {
    take(text).ok_or_else(|| "it is none of `erp`, `crm` and `value=V`".to_owned())
}

/// Which part of the inbox.
#[derive(Debug, Default, PartialEq, Args)]
pub struct InboxFilter {
    /// Only this table map; may be given several times.
    #[arg(long, value_name = "TABLE")]
    pub table: Vec<String>,
    /// Only this kind; may be given several times.
    #[arg(long, value_name = "KIND", value_parser = InboxKind::ALL.map(InboxKind::key))]
    pub kind: Vec<String>,
    /// Only this field, by its ERP or its CRM column; may be given several times.
    #[arg(long, value_name = "FIELD")]
    pub field: Vec<String>,
    /// Only this record, as the inbox names it or by id; may be given several times.
    #[arg(long, value_name = "TABLE:KEY")]
    pub record: Vec<String>,
}
