//! Earlier runs: one line each, or one of them with its counts and every write with its answer.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value as Json;

use crate::address::Address;
use crate::report::document;
use crate::report::layout::{columns, count, plural, quoted};
use crate::run::account::Stopped;
use crate::store::{JournalRow, RunRow};

/// Writes of a run that the text shows; the JSON shows all.
const WRITES_MAX: usize = 200;

/// One run with its writes.
#[derive(Debug, Clone, PartialEq)]
pub struct Detail {
    pub run: RunRow,
    pub writes: Vec<JournalRow>,
}

/// Returns the runs for people, newest first; it ends with a line end.
pub fn text(runs: &[RunRow]) -> String {
    if runs.is_empty() {
        return "no run so far: `pipeline run` makes the first\n".to_owned();
    }
    let mut rows = vec![
        ["started", "run", "outcome", "seconds", "to CRM", "to ERP", "failed", "contested"].map(str::to_owned).to_vec(),
    ];
    rows.extend(runs.iter().map(|run| {
        let summary = Summary::of(run);
        let number = |number: Option<u64>| number.map_or_else(String::new, count);
        vec![
            run.started.clone(),
            run.run.clone(),
            end(run).to_owned(),
            summary.seconds.map(|seconds| format!("{seconds:.1}")).unwrap_or_default(),
            number(summary.to_crm),
            number(summary.to_erp),
            number(summary.failed),
            number(summary.contested),
        ]
    }));
    let mut lines = columns(&rows, 3);
    lines.extend(runs.iter().filter_map(|run| Some(format!("{}: {}", run.started, Summary::of(run).error?))));
    lines.push(String::new());
    lines.push("`pipeline history FILE RUN` shows the writes of one".to_owned());
    lines.join("\n") + "\n"
}

/// Returns how a run ended, as programs are told; one that was cut off has no end.
pub fn outcome(run: &RunRow) -> &str {
    if run.outcome.is_empty() { "unfinished" } else { &run.outcome }
}

/// Returns how a run ended, as people are told: one that somebody ended is no run that left something undone.
pub fn end(run: &RunRow) -> &str {
    let is_interrupted = serde_json::from_str::<Json>(&run.report).is_ok_and(|report| report["interrupted"] == true);
    if is_interrupted { "interrupted" } else { outcome(run) }
}

/// What a stored report tells in one line; what an older or a broken one does not have is left out.
#[derive(Debug, Default)]
pub struct Summary {
    pub seconds: Option<f64>,
    /// Records written to each side.
    pub to_crm: Option<u64>,
    pub to_erp: Option<u64>,
    pub failed: Option<u64>,
    pub contested: Option<u64>,
    /// Why nothing came of the run.
    pub error: Option<String>,
}

impl Summary {
    /// Reads a stored report.
    pub fn of(run: &RunRow) -> Summary {
        let Ok(report) = serde_json::from_str::<Json>(&run.report) else { return Summary::default() };
        let tables = report.get("tables").and_then(Json::as_array);
        let sum = |direction: &str, keys: &[&str]| {
            let of =
                |table: &Json| keys.iter().map(|key| table.get(direction)?.get(key)?.as_u64()).sum::<Option<u64>>();
            tables?.iter().map(of).sum::<Option<u64>>()
        };
        let written = ["inserted", "modified", "deleted"];
        let contested = tables.and_then(|tables| tables.iter().map(|table| table.get("contested")?.as_u64()).sum());
        Summary {
            seconds: report.get("seconds").and_then(Json::as_f64),
            to_crm: sum("to_crm", &written),
            to_erp: sum("to_erp", &written),
            failed: sum("to_crm", &["failed"]).zip(sum("to_erp", &["failed"])).map(|(crm, erp)| crm + erp),
            contested,
            error: report.get("error").and_then(|error| Some(error.get("message")?.as_str()?.to_owned())),
        }
    }
}

/// Returns why the last run in which a table map had its turn was stopped by the guard, if it was; `kept` is why it stopped
/// what is kept for somebody to approve.
///
/// A part of the table map that passes, or a run that could not finish it, tells nothing of what was stopped before; nor
/// does a plan that was carried out, as long as what was stopped is kept.
pub fn guarded(runs: &[RunRow], table: &str, kept: Option<&Stopped>) -> Option<Stopped> {
    let report = |run: &RunRow| Some((run.started.clone(), serde_json::from_str::<Json>(&run.report).ok()?));
    let tells = |entry: &Json, applied: bool| {
        let has = |key: &str| entry.get(key).is_some();
        // Earlier versions told of named records by their mode alone.
        let part = has("partial") || entry.get("mode").and_then(Json::as_str) == Some("selected");
        has("guarded") || !(part || has("error") || (applied && kept.is_some()))
    };
    let of_table = |(at, report): (String, Json)| {
        let tables = report.get("tables")?.as_array()?.clone();
        let own = |entry: &Json| entry.get("table").and_then(Json::as_str) == Some(table);
        let entry = tables.into_iter().find(own).filter(|entry| tells(entry, report.get("applied").is_some()))?;
        Some((at, entry))
    };
    match runs.iter().filter_map(report).find_map(of_table) {
        Some((at, last)) => Some(Stopped { why: last.get("guarded")?.as_str()?.to_owned(), at }),
        // It is longer ago than these runs.
        None => kept.cloned(),
    }
}

/// Returns, of each of these table maps, what the last run that looked at all of it said of coupled records which a side does
/// not show.
///
/// Other runs ask only for some of them: where one since then came by such a record, and the last whole one by none, that counts.
pub fn hidden(runs: &[RunRow], tables: &[&str]) -> BTreeMap<String, Vec<String>> {
    let mut open: BTreeSet<&str> = tables.iter().copied().collect();
    let mut hidden: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for run in runs {
        if open.is_empty() {
            break;
        }
        // A report holds its whole inbox, so each is read once.
        let Ok(report) = serde_json::from_str::<Json>(&run.report) else { continue };
        for entry in report.get("tables").and_then(Json::as_array).into_iter().flatten() {
            let table = entry.get("table").and_then(Json::as_str).unwrap_or_default();
            if !open.contains(table) {
                continue;
            }
            let told = entry.get("hidden").and_then(Json::as_array).into_iter().flatten();
            let told: Vec<String> = told.filter_map(Json::as_str).map(str::to_owned).collect();
            let is_full = entry.get("mode").and_then(Json::as_str) == Some("full");
            let is_whole = is_full && ["partial", "error", "guarded"].iter().all(|key| entry.get(*key).is_none());
            if is_whole {
                open.remove(table);
            }
            if !told.is_empty() && (is_whole || !hidden.contains_key(table)) {
                hidden.insert(table.to_owned(), told);
            }
        }
    }
    hidden
}

/// Returns one run for people: its counts, errors and writes.
pub fn detail_text(detail: &Detail) -> String {
    let Detail { run, writes } = detail;
    let mut lines = vec![format!("run {} of {}: {}", run.run, run.started, end(run))];
    if let Some(error) = Summary::of(run).error {
        lines.push(format!("  {error}"));
    }
    let report = serde_json::from_str::<Json>(&run.report).unwrap_or_default();
    for table in report.get("tables").and_then(Json::as_array).into_iter().flatten() {
        lines.extend(table_line(table));
    }
    lines.push(String::new());
    lines.push(plural(writes.len() as u64, "write", "writes") + ":");
    for write in writes.iter().take(WRITES_MAX) {
        lines.extend(write_lines(write));
    }
    if writes.len() > WRITES_MAX {
        let more = count((writes.len() - WRITES_MAX) as u64);
        lines.push(format!("  and {more} more: `--format json` shows all"));
    }
    lines.join("\n") + "\n"
}

/// Returns what a run did to one table map; nothing where it did nothing.
fn table_line(table: &Json) -> Option<String> {
    let name = table.get("table")?.as_str()?;
    let mut parts = Vec::new();
    for (direction, side) in [("to_crm", "CRM"), ("to_erp", "ERP")] {
        let counts = table.get(direction)?;
        let told: Vec<String> = ["inserted", "modified", "deleted", "skipped", "failed"]
            .iter()
            .filter_map(|key| Some((counts.get(key)?.as_u64().filter(|number| *number > 0)?, key)))
            .map(|(number, key)| format!("{} {key}", count(number)))
            .collect();
        if !told.is_empty() {
            parts.push(format!("to the {side} {}", told.join(", ")));
        }
    }
    for (key, word) in [("new_couplings", "newly coupled"), ("uncoupled", "uncoupled"), ("contested", "contested")] {
        if let Some(number) = table.get(key).and_then(Json::as_u64).filter(|number| *number > 0) {
            parts.push(format!("{} {word}", count(number)));
        }
    }
    if let Some(error) = table.get("error").and_then(Json::as_str) {
        parts.push(format!("could not be finished: {error}"));
    }
    (!parts.is_empty()).then(|| format!("  {name}: {}", parts.join("; ")))
}

/// Returns the lines about one write: what, how it was answered, and each column.
fn write_lines(write: &JournalRow) -> Vec<String> {
    let JournalRow { intent, .. } = write;
    let answer = match (&write.outcome, write.message.as_deref().unwrap_or_default()) {
        (None, _) => "no answer yet: the next run settles it by reading".to_owned(),
        (Some(outcome), "") => outcome.clone(),
        (Some(outcome), message) => format!("{outcome}: {message}"),
    };
    let why = if intent.why.is_empty() { String::new() } else { format!(" ({})", intent.why) };
    let place = match intent.writes() {
        true => format!(" in the {}", intent.side.name()),
        false => ", neither record written".to_owned(),
    };
    let mut lines = vec![format!("  {} {}{place}{why}: {answer}", intent.action, intent.record)];
    for (column, old, new) in &intent.fields {
        lines.push(match old.is_empty() {
            true => format!("    {column}: {}", quoted(new)),
            false => format!("    {column}: {} → {}", quoted(old), quoted(new)),
        });
    }
    lines
}

/// Returns the writes to one record for people, newest first.
pub fn record_text(address: &Address, writes: &[JournalRow]) -> String {
    if writes.is_empty() {
        return format!("{address}: no write to it or to its partner is kept\n");
    }
    let mut lines = vec![format!("{address}: {}, newest first", plural(writes.len() as u64, "write", "writes"))];
    lines.extend(writes.iter().flat_map(dated_lines));
    lines.join("\n") + "\n"
}

/// Returns the lines about one write, with its time.
pub fn dated_lines(write: &JournalRow) -> Vec<String> {
    let mut lines = write_lines(write);
    lines[0] = format!("  {} {}", write.intended_at, lines[0].trim_start());
    lines
}

#[derive(Serialize)]
struct RecordDocument<'a> {
    record: String,
    writes: Vec<WriteDocument<'a>>,
}

/// Returns the writes to one record for programs.
pub fn record_json(address: &Address, writes: &[JournalRow]) -> String {
    let writes = writes.iter().map(write_document).collect();
    document(&RecordDocument { record: address.to_string(), writes })
}

#[derive(Serialize)]
struct ListDocument<'a> {
    runs: Vec<RunDocument<'a>>,
}

#[derive(Serialize)]
struct RunDocument<'a> {
    run: &'a str,
    started: &'a str,
    finished: Option<&'a str>,
    outcome: &'a str,
    /// As the run itself printed it with `--format json`; null where it was cut off.
    report: Option<Json>,
}

fn run_document(run: &RunRow) -> RunDocument<'_> {
    RunDocument {
        run: &run.run,
        started: &run.started,
        finished: run.finished.as_deref(),
        outcome: outcome(run),
        report: serde_json::from_str(&run.report).ok(),
    }
}

/// Returns the runs for programs.
pub fn json(runs: &[RunRow]) -> String {
    document(&ListDocument { runs: runs.iter().map(run_document).collect() })
}

#[derive(Serialize)]
struct DetailDocument<'a> {
    #[serde(flatten)]
    run: RunDocument<'a>,
    writes: Vec<WriteDocument<'a>>,
}

/// One write in JSON.
#[derive(Serialize)]
pub struct WriteDocument<'a> {
    run: &'a str,
    table: &'a str,
    record: &'a str,
    /// Null where no record was written.
    side: Option<&'static str>,
    action: &'a str,
    /// Null for what was written before reasons were kept.
    why: Option<&'a str>,
    id: String,
    intended: &'a str,
    answered: Option<&'a str>,
    outcome: Option<&'a str>,
    message: Option<&'a str>,
    fields: serde_json::Map<String, Json>,
}

/// Returns a write as JSON shows it.
pub fn write_document(write: &JournalRow) -> WriteDocument<'_> {
    let field =
        |(column, old, new): &(String, String, String)| (column.clone(), serde_json::json!({ "old": old, "new": new }));
    WriteDocument {
        run: &write.run,
        table: &write.intent.table,
        record: &write.intent.record,
        side: write.intent.writes().then(|| write.intent.side.key()),
        action: &write.intent.action,
        why: Some(write.intent.why.as_str()).filter(|why| !why.is_empty()),
        id: write.intent.id.to_string(),
        intended: &write.intended_at,
        answered: write.answered_at.as_deref(),
        outcome: write.outcome.as_deref(),
        message: write.message.as_deref().filter(|message| !message.is_empty()),
        fields: write.intent.fields.iter().map(field).collect(),
    }
}

/// Returns one run for programs.
pub fn detail_json(detail: &Detail) -> String {
    let writes = detail.writes.iter().map(write_document).collect();
    document(&DetailDocument { run: run_document(&detail.run), writes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Side;
    use crate::report::{failure, run, samples};
    use crate::store::Intent;
    use insta::assert_snapshot;
    use uuid::Uuid;

    fn runs() -> Vec<RunRow> {
        let row = |run: &str, outcome: &str, report: String| RunRow {
            run: run.into(),
            started: format!("2026-01-{run}T02:00:00Z"),
            finished: Some(format!("2026-01-{run}T02:01:00Z")),
            outcome: outcome.into(),
            report,
        };
        let cut = RunRow { finished: None, ..row("29", "", String::new()) };
        let failed = failure::json("unreachable", "the CRM cannot be reached", "look at the network", &[], &[]);
        vec![row("31", "incomplete", run::json(&samples::run())), row("30", "failed", failed), cut]
    }

    fn write(outcome: Option<&str>, message: &str, fields: &[(&str, &str, &str)]) -> JournalRow {
        let text = |text: &str| text.to_owned();
        JournalRow {
            run: text("31"),
            intent: Intent {
                also: String::new(),
                why: text("edited in the ERP"),
                table: text("customers"),
                side: Side::Crm,
                action: text("update"),
                id: Uuid::from_u128(1),
                partner: Uuid::from_u128(2),
                record: text("customers:10000"),
                fields: fields.iter().map(|(column, old, new)| (text(column), text(old), text(new))).collect(),
                agreed: Vec::new(),
            },
            intended_at: text("2026-01-31T02:00:10Z"),
            outcome: outcome.map(text),
            message: Some(text(message)),
            answered_at: None,
        }
    }

    #[test]
    fn runs_read_line_by_line() {
        assert_snapshot!("history_text", text(&runs()));
        assert_snapshot!("history_json", json(&runs()[1..]));
        assert_eq!(text(&[]), "no run so far: `pipeline run` makes the first\n");
    }

    #[test]
    fn the_newest_run_of_a_table_says_what_its_guard_did() {
        let mut stopped = samples::run();
        stopped.tables = vec![samples::guarded()];
        let row = |report: String| RunRow { report, ..RunRow::default() };
        let (stopped, passed) = (row(run::json(&stopped)), row(run::json(&samples::run())));
        let of = |runs: &[RunRow], table: &str| guarded(runs, table, None).map(|stopped| stopped.why[..4].to_owned());
        let runs = [row(String::new()), stopped.clone(), passed.clone()];
        assert_eq!(of(&runs, "customers").as_deref(), Some("1200"));
        assert_eq!(of(&runs, "salespeople"), None, "the newest that visited it was not stopped");
        assert_eq!(of(&[passed, stopped], "customers"), None, "a later run went through");
        assert_eq!(of(&[], "customers"), None);
    }

    #[test]
    fn who_couples_or_parts_by_hand_writes_no_record() {
        for action in ["couple", "uncouple"] {
            let mut write = write(Some("done"), "", &[]);
            (write.intent.action, write.intent.why) = (action.to_owned(), "by hand".to_owned());
            assert_eq!(
                write_lines(&write),
                [format!("  {action} customers:10000, neither record written (by hand): done")]
            );
            assert_eq!(write_document(&write).side, None);
        }
    }

    #[test]
    fn a_run_is_told_with_its_writes() {
        let writes = vec![
            write(Some("written"), "", &[("telephone1", "111", "222"), ("name", "", "Ahlgren")]),
            write(Some("refused"), "the name is reserved", &[("name", "Ahlgren", "")]),
            write(None, "", &[]),
        ];
        let detail = Detail { run: runs().remove(0), writes };
        assert_snapshot!("history_detail_text", detail_text(&detail));
        assert_snapshot!("history_detail_json", {
            let document: serde_json::Value = serde_json::from_str(&detail_json(&detail)).unwrap();
            serde_json::to_string_pretty(&document["writes"][0]).unwrap()
        });
    }
}
