//! What the state of a pipeline holds now: couplings and open items by table map, the last runs, and who is writing.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use serde::Serialize;

use crate::binding::{self, Binding};
use crate::config::Side;
use crate::endpoint::Identity;
use crate::report::document;
use crate::report::inbox::{self, ItemDocument, KINDS};
use crate::report::layout::{columns, count, plural};
use crate::store::{InboxItem, InboxKind, RunRow, Watermark};

/// What is known about a pipeline without asking either side.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub pipeline: String,
    /// Where the state is.
    pub state: String,
    /// Whether there is a file at all.
    pub exists: bool,
    /// What the state belongs to, where a run has said so.
    pub binding: Option<Binding>,
    /// What is odd about file and state together.
    pub notes: Vec<String>,
    /// Who writes to it at the moment, and since when.
    pub held_by: Option<String>,
    /// Table maps in the order of the file and how many couplings each has.
    pub tables: Vec<(String, u64)>,
    /// How far each table map was read.
    pub watermarks: BTreeMap<String, Watermark>,
    pub inbox: Vec<InboxItem>,
    /// Newest first.
    pub runs: Vec<RunRow>,
}

impl Status {
    fn waiting(&self, table: &str, kind: InboxKind) -> u64 {
        self.inbox.iter().filter(|item| item.table == table && item.kind == kind).count() as u64
    }

    /// Returns the watermark of a side, by that side's own clock.
    fn read_to(&self, table: &str, side: Side) -> Option<String> {
        let time = self.watermarks.get(table).and_then(|mark| *mark.read_to.of(side))?;
        Some(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

/// Returns the status for people; it ends with a line end.
pub fn text(status: &Status) -> String {
    let mut lines = vec![format!("{}: state in {}", status.pipeline, status.state)];
    lines.push(match &status.binding {
        _ if !status.exists => "there is no such file yet: the first run makes it".to_owned(),
        Some(Binding { sides, .. }) => format!("it belongs to {}", binding::names(sides)),
        None => "it does not say which company and organization it belongs to: the next run notes that".to_owned(),
    });
    lines.push(match &status.held_by {
        Some(holder) => format!("in use by {holder}"),
        None => "no run is under way".to_owned(),
    });
    lines.push(String::new());

    let mut heading = vec!["table".to_owned(), "coupled".to_owned()];
    heading.extend(KINDS.map(|kind| kind.key().to_owned()));
    heading.extend(Side::BOTH.map(|side| format!("{} read to", side.name())));
    let mut rows = vec![heading];
    for (table, coupled) in &status.tables {
        let mut row = vec![table.clone(), count(*coupled)];
        row.extend(KINDS.map(|kind| match status.waiting(table, kind) {
            0 => "-".to_owned(),
            waiting => count(waiting),
        }));
        row.extend(Side::BOTH.map(|side| status.read_to(table, side).unwrap_or_else(|| "-".to_owned())));
        rows.push(row);
    }
    lines.extend(columns(&rows, 1));
    lines.push(String::new());

    if status.runs.is_empty() {
        lines.push("no run so far: `pipeline run` makes the first".to_owned());
    } else {
        lines.push("last runs:".to_owned());
        let rows: Vec<Vec<String>> = status.runs.iter().map(run_row).collect();
        lines.extend(columns(&rows, 5).into_iter().map(|line| format!("  {line}")));
    }
    for section in [under("notes:", &status.notes), inbox::section(&status.inbox)] {
        if !section.is_empty() {
            lines.push(String::new());
            lines.extend(section);
        }
    }
    lines.push(String::new());
    lines.push(match status.inbox.len() as u64 {
        0 => "nothing waits for a person".to_owned(),
        waiting => format!("{} for a person", plural(waiting, "item waits", "items wait")),
    });
    lines.join("\n") + "\n"
}

fn under(heading: &str, lines: &[String]) -> Vec<String> {
    let heading = (!lines.is_empty()).then(|| heading.to_owned());
    heading.into_iter().chain(lines.iter().map(|line| format!("  {line}"))).collect()
}

fn run_row(run: &RunRow) -> Vec<String> {
    let summary = summary(run);
    let seconds = summary.seconds.map(|seconds| format!("{seconds:.1} s")).unwrap_or_default();
    let written = match (summary.to_crm, summary.to_erp) {
        (Some(crm), Some(erp)) => format!("wrote {} to the CRM, {} to the ERP", count(crm), count(erp)),
        _ => String::new(),
    };
    vec![run.started.clone(), run.run.clone(), outcome(run).to_owned(), seconds, written]
}

fn outcome(run: &RunRow) -> &str {
    if run.outcome.is_empty() { "unfinished" } else { &run.outcome }
}

/// What a stored report of a run tells in one line.
#[derive(Default)]
struct Summary {
    seconds: Option<f64>,
    to_crm: Option<u64>,
    to_erp: Option<u64>,
}

/// Reads a stored report; what an older or a broken one does not have is left out.
fn summary(run: &RunRow) -> Summary {
    let Ok(report) = serde_json::from_str::<serde_json::Value>(&run.report) else { return Summary::default() };
    let written = |direction: &str| {
        let tables = report.get("tables")?.as_array()?;
        let sum = |table: &serde_json::Value| {
            let counts = table.get(direction)?;
            ["inserted", "modified", "deleted"].iter().map(|key| counts.get(key)?.as_u64()).sum::<Option<u64>>()
        };
        tables.iter().map(sum).sum::<Option<u64>>()
    };
    Summary {
        seconds: report.get("seconds").and_then(serde_json::Value::as_f64),
        to_crm: written("to_crm"),
        to_erp: written("to_erp"),
    }
}

#[derive(Serialize)]
struct StatusDocument<'a> {
    pipeline: &'a str,
    state: &'a str,
    /// Null before the first run.
    belongs_to: Option<BindingDocument<'a>>,
    in_use_by: Option<&'a str>,
    tables: Vec<TableDocument<'a>>,
    runs: Vec<RunDocument<'a>>,
    inbox: Vec<ItemDocument<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct BindingDocument<'a> {
    pipeline: &'a str,
    erp: IdentityDocument<'a>,
    crm: IdentityDocument<'a>,
}

#[derive(Serialize)]
struct IdentityDocument<'a> {
    id: String,
    name: &'a str,
}

fn identity_document(Identity { id, name }: &Identity) -> IdentityDocument<'_> {
    IdentityDocument { id: id.to_string(), name }
}

#[derive(Serialize)]
struct TableDocument<'a> {
    table: &'a str,
    coupled: u64,
    contested: u64,
    failed: u64,
    skipped: u64,
    deleted: u64,
    ambiguous: u64,
    /// How far each side was read, by its own clock; null where it was not, or tells no times.
    read_to: ReadToDocument,
}

#[derive(Serialize)]
struct ReadToDocument {
    erp: Option<String>,
    crm: Option<String>,
}

#[derive(Serialize)]
struct RunDocument<'a> {
    started: &'a str,
    finished: Option<&'a str>,
    run: &'a str,
    outcome: &'a str,
    seconds: Option<f64>,
    to_crm: Option<u64>,
    to_erp: Option<u64>,
}

/// Returns the status for programs.
pub fn json(status: &Status) -> String {
    document(&StatusDocument {
        pipeline: &status.pipeline,
        state: &status.state,
        belongs_to: status.binding.as_ref().map(|Binding { pipeline, sides }| BindingDocument {
            pipeline,
            erp: identity_document(&sides.erp),
            crm: identity_document(&sides.crm),
        }),
        in_use_by: status.held_by.as_deref(),
        tables: status
            .tables
            .iter()
            .map(|(table, coupled)| TableDocument {
                table,
                coupled: *coupled,
                contested: status.waiting(table, InboxKind::Contested),
                failed: status.waiting(table, InboxKind::Failed),
                skipped: status.waiting(table, InboxKind::Skipped),
                deleted: status.waiting(table, InboxKind::Deleted),
                ambiguous: status.waiting(table, InboxKind::Ambiguous),
                read_to: ReadToDocument {
                    erp: status.read_to(table, Side::Erp),
                    crm: status.read_to(table, Side::Crm),
                },
            })
            .collect(),
        runs: status
            .runs
            .iter()
            .map(|run| {
                let Summary { seconds, to_crm, to_erp } = summary(run);
                RunDocument {
                    started: &run.started,
                    finished: run.finished.as_deref(),
                    run: &run.run,
                    outcome: outcome(run),
                    seconds,
                    to_crm,
                    to_erp,
                }
            })
            .collect(),
        inbox: status.inbox.iter().map(inbox::item_document).collect(),
        notes: &status.notes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use insta::assert_snapshot;

    #[test]
    fn a_state_reads_table_by_table() {
        assert_snapshot!("status_text", text(&samples::status()));
    }

    #[test]
    fn a_state_is_one_document() {
        assert_snapshot!("status_json", json(&samples::status()));
    }

    #[test]
    fn a_new_state_says_what_comes_first() {
        let (inbox, runs) = (vec![], vec![]);
        let status =
            Status { inbox, runs, held_by: None, exists: false, binding: None, notes: vec![], ..samples::status() };
        let text = text(&status);
        assert!(text.contains("there is no such file yet: the first run makes it"), "{text}");
        assert!(text.contains("no run so far"), "{text}");
        assert!(text.ends_with("nothing waits for a person\n"), "{text}");
    }

    #[test]
    fn a_stored_report_that_cannot_be_read_gives_no_numbers() {
        for report in ["", "{", "{}", r#"{"tables": [{}]}"#, r#"{"tables": 3}"#] {
            let run = RunRow { report: report.into(), ..samples::status().runs.remove(0) };
            let summary = summary(&run);
            assert_eq!((summary.to_crm, summary.to_erp), (None, None), "{report}");
        }
    }
}
