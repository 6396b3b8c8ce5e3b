//! What was parted by hand, and who refers to it; or the JSON of it.

use serde::Serialize;

use crate::by_hand::parting::Parted;
use crate::report::document;
use crate::report::layout::{cut, plural};

/// Records that the text names one by one.
const RECORDS_MAX: usize = 20;

/// What `uncouple` did.
#[derive(Debug, Clone, PartialEq)]
pub struct Uncoupled {
    pub table: String,
    pub parted: Vec<Parted>,
    pub referring: Vec<Referring>,
}

/// Records of another table map that refer to parted ones, and stay coupled.
#[derive(Debug, Clone, PartialEq)]
pub struct Referring {
    pub table: String,
    pub records: Vec<String>,
    /// Whether they fail from the next run on; else they do once somebody gives them another such reference.
    pub fails: bool,
}

/// Returns it for people; it ends with a line end.
pub fn text(done: &Uncoupled) -> String {
    if done.parted.is_empty() {
        return format!("`{}` has no coupling: there was nothing to part\n", done.table);
    }
    let number = plural(done.parted.len() as u64, "pair", "pairs");
    let mut lines = vec![format!("uncoupled {number}; they are kept apart until somebody couples them:")];
    lines.extend(cut(done.parted.iter().map(parted_line), RECORDS_MAX));
    for Referring { table, records, fails } in &done.referring {
        let (number, first) = (plural(records.len() as u64, "record", "records"), records.first());
        let more = if records.len() > 1 { ", …" } else { "" };
        let then = match fails {
            true => "will fail in the next run",
            false => "stay as they are, until somebody changes that reference",
        };
        lines.push(format!(
            "{number} of `{table}` refer to what was parted and {then} ({}{more}); the same command with `--with {table}` parts them, too",
            first.map_or("", String::as_str)
        ));
    }
    lines.join("\n") + "\n"
}

fn parted_line(Parted { parting, released, failed }: &Parted) -> String {
    let mut notes = Vec::new();
    if let Some(gone) = parting.gone {
        notes.push(format!("the {} has no such record any more", gone.name()));
    }
    if *released {
        notes.push("given back in the CRM: it belongs to no company".to_owned());
    }
    if let Some(message) = failed {
        notes.push(format!("still of this company in the CRM: {message}"));
    }
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
    format!("  {}{notes}", parting.record)
}

#[derive(Serialize)]
struct UncoupleDocument<'a> {
    table: &'a str,
    uncoupled: Vec<PartedDocument<'a>>,
    referring: Vec<ReferringDocument<'a>>,
}

#[derive(Serialize)]
struct PartedDocument<'a> {
    table: &'a str,
    record: &'a str,
    erp: String,
    crm: String,
    /// The side that has no such record any more.
    gone: Option<&'static str>,
    released: bool,
    /// Why the CRM's record could not be given back.
    message: Option<&'a str>,
}

#[derive(Serialize)]
struct ReferringDocument<'a> {
    table: &'a str,
    records: &'a [String],
    fails: bool,
}

/// Returns it for programs.
pub fn json(done: &Uncoupled) -> String {
    let parted = done.parted.iter().map(|one| PartedDocument {
        table: &one.parting.table,
        record: &one.parting.record,
        erp: one.parting.ids.erp.to_string(),
        crm: one.parting.ids.crm.to_string(),
        gone: one.parting.gone.map(crate::config::Side::key),
        released: one.released,
        message: one.failed.as_deref(),
    });
    let referring = done.referring.iter();
    document(&UncoupleDocument {
        table: &done.table,
        uncoupled: parted.collect(),
        referring: referring
            .map(|one| ReferringDocument { table: &one.table, records: &one.records, fails: one.fails })
            .collect(),
    })
}
