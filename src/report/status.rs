//! What the state of a pipeline holds now: couplings and open items by table map, the last runs, and who is writing.

use std::collections::BTreeMap;

use chrono::SecondsFormat;
use serde::Serialize;

use crate::binding::{self, Binding};
use crate::config::Side;
use crate::endpoint::Identity;
use crate::report::answers::{self, Answered, DecisionDocument};
use crate::report::inbox::{self, ItemDocument, KINDS};
use crate::report::layout::{columns, count, list, plural};
use crate::report::{document, history};
use crate::run::account::Stopped;
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
    /// What people answered, and is not carried out.
    pub answered: Answered,
    /// How many records of each table map are kept apart.
    pub apart: BTreeMap<String, u64>,
    /// By table map, of which coupled records a side does not show whether they are there, in words.
    pub hidden: BTreeMap<String, Vec<String>>,
    /// Newest first.
    pub runs: Vec<RunRow>,
    /// Why a guard stopped what is kept for somebody to approve, by table map.
    pub stopped: BTreeMap<String, Stopped>,
}

impl Status {
    fn waiting(&self, table: &str, kind: InboxKind) -> u64 {
        self.inbox.iter().filter(|item| item.table == table && item.kind == kind).count() as u64
    }

    fn decided(&self, table: &str) -> u64 {
        self.answered.tables().filter(|own| *own == table).count() as u64
    }

    fn apart(&self, table: &str) -> u64 {
        self.apart.get(table).copied().unwrap_or(0)
    }

    fn hidden(&self, table: &str) -> &[String] {
        self.hidden.get(table).map_or(&[], Vec::as_slice)
    }

    /// Returns why the guard stopped a table map, if it did.
    fn guarded(&self, table: &str) -> Option<String> {
        history::guarded(&self.runs, table, self.stopped.get(table)).map(|stopped| stopped.why)
    }

    /// Returns what nobody has answered to.
    fn undecided(&self) -> impl Iterator<Item = &InboxItem> {
        let answered = self.answered.known();
        self.inbox.iter().filter(move |item| !answered.covers(item))
    }

    /// Says what is left to do, and by whom.
    fn outlook(&self) -> String {
        let waiting = self.undecided().count() as u64;
        let stopped = self.tables.iter().filter(|(table, _)| self.guarded(table).is_some()).count() as u64;
        let decided = self.answered.tables().count() as u64;
        let phrases = [
            (waiting, format!("{} for a person", plural(waiting, "item waits", "items wait"))),
            (decided, format!("{} for the next run", plural(decided, "decision waits", "decisions wait"))),
            (stopped, format!("a guard stopped {}", plural(stopped, "table map", "table maps"))),
        ];
        let phrases: Vec<String> =
            phrases.into_iter().filter(|(number, _)| *number > 0).map(|(_, told)| told).collect();
        if phrases.is_empty() { "nothing waits for a person".to_owned() } else { list(&phrases) }
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
    heading.push("apart".to_owned());
    heading.extend(Side::BOTH.map(|side| format!("{} read to", side.name())));
    let mut rows = vec![heading];
    for (table, coupled) in &status.tables {
        let mut row = vec![table.clone(), count(*coupled)];
        let number = |number: u64| if number == 0 { "-".to_owned() } else { count(number) };
        row.extend(KINDS.map(|kind| number(status.waiting(table, kind))));
        row.push(number(status.apart(table)));
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
    let stopped = status.tables.iter().filter_map(|(table, _)| Some(format!("{table}: {}", status.guarded(table)?)));
    let stopped: Vec<String> = stopped.collect();
    let hidden = status.tables.iter().flat_map(|(table, _)| {
        status.hidden(table).iter().map(move |told| format!("{table}: {told}; `pipeline why` explains one of them"))
    });
    let hidden: Vec<String> = hidden.collect();
    let waiting: Vec<InboxItem> = status.undecided().cloned().collect();
    let sections = [
        under("notes:", &status.notes),
        under("stopped by its guard:", &stopped),
        under("coupled, and not shown by their side:", &hidden),
        inbox::section(&waiting),
        answers::section(&status.answered),
    ];
    for section in sections {
        if !section.is_empty() {
            lines.push(String::new());
            lines.extend(section);
        }
    }
    lines.push(String::new());
    lines.push(status.outlook());
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
    vec![run.started.clone(), run.run.clone(), history::end(run).to_owned(), seconds, written]
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
    /// Those that are `unmet` among them.
    decisions: Vec<DecisionDocument<'a>>,
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
    /// Decisions that wait for the next run.
    decided: u64,
    /// Records that are kept apart, on both sides.
    kept_apart: u64,
    /// Why its guard stopped it; null where it did not.
    guarded: Option<String>,
    /// Of which coupled records a side does not show whether they are there.
    hidden: &'a [String],
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
                decided: status.decided(table),
                kept_apart: status.apart(table),
                guarded: status.guarded(table),
                hidden: status.hidden(table),
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
        decisions: status.answered.documents(),
        notes: &status.notes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{run, samples};
    use crate::run::account::{Mode, RunReport, TableReport};
    use crate::run::carried::Carried;
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
        let status = Status {
            inbox,
            runs,
            held_by: None,
            exists: false,
            binding: None,
            notes: vec![],
            answered: Answered::default(),
            ..samples::status()
        };
        let text = text(&status);
        assert!(text.contains("there is no such file yet: the first run makes it"), "{text}");
        assert!(text.contains("no run so far"), "{text}");
        assert!(text.ends_with("nothing waits for a person\n"), "{text}");
    }

    #[test]
    fn a_table_map_that_its_guard_stopped_waits_for_a_person() {
        let stopped = || RunReport { tables: vec![samples::guarded()], inbox: vec![], ..samples::run() };
        let row = |report: &RunReport| RunRow { report: run::json(report), ..samples::status().runs.remove(1) };
        let quiet = || Status { inbox: vec![], answered: Answered::default(), ..samples::status() };
        let table = samples::guarded().table;
        let status = Status { runs: vec![samples::status().runs.remove(0), row(&stopped())], ..quiet() };
        let told = text(&status);
        assert!(told.contains(&format!("stopped by its guard:\n  {table}: 1200 records")), "{told}");
        assert!(told.ends_with("a guard stopped 1 table map\n"), "{told}");
        // A later run that had its turn with a part of it, or could not finish it.
        let later = |entry: TableReport| {
            let report = RunReport { tables: vec![TableReport { table: table.clone(), ..entry }], ..stopped() };
            let status = Status { runs: vec![row(&report), row(&stopped())], ..quiet() };
            text(&status)
        };
        let part = TableReport { partial: true, ..TableReport::default() };
        let failed = TableReport { error: Some("CRM cannot be reached".into()), ..TableReport::default() };
        for entry in [part, failed] {
            let told = later(entry);
            assert!(told.ends_with("a guard stopped 1 table map\n"), "{told}");
        }
        // A later run that let it pass.
        let entry = TableReport { table: table.clone(), ..TableReport::default() };
        let passed = RunReport { tables: vec![entry], ..stopped() };
        let kept = || {
            BTreeMap::from([(table.clone(), Stopped { why: "1200 records".into(), at: "2026-01-31T02:00:00Z".into() })])
        };
        for stopped_and_kept in [BTreeMap::new(), kept()] {
            let status = Status { runs: vec![row(&passed), row(&stopped())], stopped: stopped_and_kept, ..quiet() };
            assert!(text(&status).ends_with("nothing waits for a person\n"), "{}", text(&status));
        }
        // A plan that was carried out: what was stopped waits as long as it is kept.
        let applied = RunReport { carried: Some(Carried::default()), ..passed };
        for (stopped_and_kept, expected) in
            [(BTreeMap::new(), "nothing waits for a person\n"), (kept(), "a guard stopped 1 table map\n")]
        {
            let status = Status { runs: vec![row(&applied), row(&stopped())], stopped: stopped_and_kept, ..quiet() };
            assert!(text(&status).ends_with(expected), "{}", text(&status));
        }
        // It is longer ago than any run that is shown.
        let status = Status { runs: vec![samples::status().runs.remove(0)], stopped: kept(), ..quiet() };
        assert!(
            text(&status).contains(&format!("stopped by its guard:\n  {table}: 1200 records")),
            "{}",
            text(&status)
        );
    }

    #[test]
    fn what_a_side_does_not_show_is_told_by_the_last_run_that_looked_at_all() {
        let row = |entry: TableReport| {
            let entry = TableReport { table: "customers".into(), ..entry };
            let report = RunReport { tables: vec![entry], ..samples::run() };
            RunRow { report: run::json(&report), ..samples::status().runs.remove(1) }
        };
        let told = || TableReport { hidden: vec!["one".into()], ..TableReport::default() };
        let changed = || TableReport { mode: Mode::Changed, ..TableReport::default() };
        let part = || TableReport { hidden: vec!["two".into()], ..changed() };
        let failed = || TableReport { error: Some("no".into()), ..TableReport::default() };
        for (runs, expected) in [
            (vec![told()], vec!["one"]),
            (vec![changed(), failed(), told()], vec!["one"]),
            (vec![TableReport::default(), told()], vec![]),
            (vec![part(), told()], vec!["one"]),
            (vec![part(), TableReport::default()], vec!["two"]),
            (vec![part()], vec!["two"]),
            (vec![], vec![]),
        ] {
            let runs: Vec<RunRow> = runs.into_iter().map(row).collect();
            let hidden = history::hidden(&runs, &["customers", "contacts"]);
            assert_eq!(hidden.get("customers").map_or(&[][..], Vec::as_slice), expected);
            assert_eq!(hidden.get("contacts"), None);
        }
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
