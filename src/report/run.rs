//! What a run did: a table of counts, what waits for a person, and a closing sentence; or the JSON of design §5.
//!
//! A dry run is told in the same words with "would" before them.

use std::collections::HashSet;

use serde::Serialize;

use crate::config::{PerSide, Side};
use crate::endpoint::Traffic;
use crate::plan::Plan;
use crate::report::carried::{self, CarriedDocument};
use crate::report::drift::{self, DriftDocument};
use crate::report::failure::ErrorDocument;
use crate::report::inbox::ItemDocument;
use crate::report::layout::{columns, count, list, plural};
use crate::report::notes::{NOTES_MAX, Notes};
use crate::report::selected::{self, ChosenDocument, OverwrittenDocument};
use crate::report::{document, inbox, rounded};
use crate::run::account::{Counts, Lost, Mode, RunOutcome, RunReport, Seconds, TableReport};
use crate::store::InboxKind;

/// Returns the report for people; it ends with a line end.
pub fn text(report: &RunReport) -> String {
    let mut lines = vec![heading(report), String::new()];
    lines.extend(columns(&counts(report), 2));
    let drifted = drift::lines(&report.plan, NOTES_MAX);
    let waiting = inbox::section(&report.inbox);
    let left = selected::left(&report.tables);
    let overwritten = selected::overwritten(&report.tables, &report.names, report.dry_run);
    let carried = report.carried.as_ref().map(carried::lines).unwrap_or_default();
    let first = [
        lost(report),
        failures(report),
        guarded(report),
        first_loads(report),
        matches(report),
        Notes::of(report).lines(),
    ];
    let asked = vec![requests(&report.requests, report.seconds)];
    let sections = first.into_iter().chain([overwritten, drifted, carried, left, waiting, asked]);
    for section in sections.filter(|section| !section.is_empty()) {
        lines.push(String::new());
        lines.extend(section);
    }
    lines.push(String::new());
    lines.push(closing(report));
    lines.join("\n") + "\n"
}

fn heading(report: &RunReport) -> String {
    let dry = if report.dry_run { ", a dry run" } else { "" };
    let any = |mode: Mode| report.tables.iter().any(|table| table.mode == mode);
    let changed = if any(Mode::Changed) { ", changes only" } else { "" };
    let records = report.tables.iter().map(|table| table.selected.len() as u64).sum();
    let records =
        if any(Mode::Selected) { format!(", {}", plural(records, "record", "records")) } else { String::new() };
    format!("{}: run {} of {}{records}{changed}{dry}", report.pipeline, report.run, report.started)
}

/// Returns two rows for each table map, one for each direction, under headings and above the totals.
fn counts(report: &RunReport) -> Vec<Vec<String>> {
    let deleted = report.tables.iter().any(|table| table.to.erp.deleted + table.to.crm.deleted > 0);
    let mut heading = vec!["table".to_owned(), String::new(), "read".to_owned()];
    let names: &[&str] = match (report.dry_run, deleted) {
        (false, false) => &["inserted", "modified", "unchanged", "skipped", "failed"],
        (false, true) => &["inserted", "modified", "deleted", "unchanged", "skipped", "failed"],
        (true, false) => &["would insert", "would modify", "unchanged", "skipped", "would fail"],
        (true, true) => &["would insert", "would modify", "would delete", "unchanged", "skipped", "would fail"],
    };
    heading.extend(names.iter().map(|name| (*name).to_owned()));
    heading.extend(["coupled", "contested", "seconds"].map(str::to_owned));
    let mut rows = vec![heading];
    for table in &report.tables {
        let Seconds { extract, merge, apply, verify } = table.seconds;
        rows.extend(table_rows(table, deleted, extract + merge + apply + verify));
    }
    if report.tables.len() > 1 {
        rows.extend(table_rows(&total(report), deleted, report.seconds));
    }
    rows
}

fn table_rows(table: &TableReport, deleted: bool, seconds: f64) -> [Vec<String>; 2] {
    let row = |name: &str, target: Side| {
        let to = table.to.of(target);
        let mut row = vec![name.to_owned(), format!("{} → {}", target.other().name(), target.name())];
        row.push(dash(*table.rows.of(target.other())));
        row.extend([dash(to.inserted), dash(to.modified)]);
        if deleted {
            row.push(dash(to.deleted));
        }
        row.extend([dash(to.unchanged), dash(to.skipped), dash(to.failed)]);
        row
    };
    let mut first = row(&table.table, Side::Crm);
    first.extend([coupled(table), dash(table.contested), format!("{seconds:.1}")]);
    [first, row("", Side::Erp)]
}

/// Zeros as dashes, so that what happened stands out.
fn dash(number: u64) -> String {
    if number == 0 { "-".to_owned() } else { count(number) }
}

fn coupled(table: &TableReport) -> String {
    let mut changes = Vec::new();
    if table.new_couplings > 0 {
        changes.push(format!("+{}", count(table.new_couplings)));
    }
    if table.uncoupled > 0 {
        changes.push(format!("-{}", count(table.uncoupled)));
    }
    match (table.coupled, changes.is_empty()) {
        (coupled, true) => dash(coupled),
        (coupled, false) => format!("{} ({})", count(coupled), changes.join(" ")),
    }
}

fn total(report: &RunReport) -> TableReport {
    let mut total = TableReport { table: "total".into(), ..TableReport::default() };
    for table in &report.tables {
        for side in Side::BOTH {
            *total.rows.of_mut(side) += table.rows.of(side);
            let (sum, to) = (total.to.of_mut(side), table.to.of(side));
            sum.inserted += to.inserted;
            sum.modified += to.modified;
            sum.deleted += to.deleted;
            sum.unchanged += to.unchanged;
            sum.skipped += to.skipped;
            sum.failed += to.failed;
        }
        total.coupled += table.coupled;
        total.new_couplings += table.new_couplings;
        total.uncoupled += table.uncoupled;
        total.contested += table.contested;
    }
    total
}

/// Says which side was lost in the middle, and what had no turn for it.
fn lost(report: &RunReport) -> Vec<String> {
    let Some(Lost { error, untouched }) = &report.lost else { return Vec::new() };
    let mut lines = vec![format!("ended early: {error}")];
    if !untouched.is_empty() {
        lines.push(format!("  had no turn: {}", untouched.join(", ")));
    }
    lines
}

fn failures(report: &RunReport) -> Vec<String> {
    let failed: Vec<_> = report
        .tables
        .iter()
        .filter_map(|table| table.error.as_ref().map(|error| format!("  {}: {error}", table.table)))
        .collect();
    under("tables that could not be finished:", failed)
}

fn guarded(report: &RunReport) -> Vec<String> {
    let stopped = report.tables.iter();
    let stopped = stopped.filter_map(|table| table.guarded.as_ref().map(|why| format!("  {}: {why}", table.table)));
    under("stopped by a guard:", stopped.collect())
}

/// Says of each table map that was loaded for the first time what came of it, in that order: what the match rules couple is
/// not created a second time.
fn first_loads(report: &RunReport) -> Vec<String> {
    let first = report.tables.iter().filter(|table| is_first_load(table) && table.new_couplings > 0).map(|table| {
        let (couple, create) = if report.dry_run { ("couple", "create") } else { ("coupled", "created") };
        let made = |side: Side| Some((table.to.of(side).inserted, side)).filter(|(number, _)| *number > 0);
        let made = [Side::Crm, Side::Erp].into_iter().filter_map(made);
        let made: Vec<String> = made
            .map(|(number, side)| format!("{} in the {}", plural(number, "record", "records"), side.name()))
            .collect();
        let coupled = match table.matched.is_empty() {
            true => format!("{couple} nothing by match rules"),
            false => format!("{couple} {}", rules(table)),
        };
        let made = if made.is_empty() { String::new() } else { format!(", then {create} {}", list(&made)) };
        format!("  {}: {coupled}{made}", table.table)
    });
    under(
        if report.dry_run { "first load, in this order would:" } else { "first load, in this order:" },
        first.collect(),
    )
}

/// A few records that somebody named are no load.
fn is_first_load(table: &TableReport) -> bool {
    table.first && table.mode != Mode::Selected
}

/// Says how many pairs each match rule coupled.
fn rules(table: &TableReport) -> String {
    let pairs = |(rule, pairs): &(usize, u64)| format!("{} by match rule {rule}", plural(*pairs, "pair", "pairs"));
    list(&table.matched.iter().map(pairs).collect::<Vec<_>>())
}

fn matches(report: &RunReport) -> Vec<String> {
    let again = report.tables.iter().filter(|table| !is_first_load(table) && !table.matched.is_empty());
    let matched = again.map(|table| format!("  {}: {}", table.table, rules(table)));
    under(if report.dry_run { "would couple:" } else { "newly coupled:" }, matched.collect())
}

/// Says how much each side was asked.
pub fn requests(requests: &PerSide<Traffic>, seconds: f64) -> String {
    let side = |side: Side| {
        let traffic = requests.of(side);
        let mut text = format!("{} {}", count(traffic.sent), side.name());
        if traffic.retried > 0 || traffic.waited_seconds >= 0.05 {
            text.push_str(&format!(" ({} sent again, {:.1} s waited)", count(traffic.retried), traffic.waited_seconds));
        }
        text
    };
    format!("requests: {}, {}; {seconds:.1} seconds", side(Side::Erp), side(Side::Crm))
}

fn under(heading: &str, lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() { lines } else { [vec![heading.to_owned()], lines].concat() }
}

/// Returns what happened and what to do next, in one sentence.
fn closing(report: &RunReport) -> String {
    let total = total(report);
    let written = |side: Side| {
        let to = total.to.of(side);
        to.inserted + to.modified + to.deleted
    };
    let mut done: Vec<String> = [Side::Crm, Side::Erp]
        .into_iter()
        .filter(|side| written(*side) > 0)
        .map(|side| format!("{} to the {}", plural(written(side), "record", "records"), side.name()))
        .collect();
    if let Some(first) = done.first_mut() {
        first.insert_str(0, if report.dry_run { "write " } else { "wrote " });
    }
    if total.new_couplings > 0 {
        let verb = if report.dry_run { "couple" } else { "coupled" };
        done.push(format!("{verb} {}", plural(total.new_couplings, "pair", "pairs")));
    }
    let open = open(report);
    if let Some(carried) = report.carried.as_ref().filter(|_| report.outcome != RunOutcome::Interrupted) {
        let sums = carried::sums(carried);
        let lost = report.lost.as_ref().map(|lost| format!("{}; apply it again to go on", ended(lost)));
        let rest = [lost, Some(open), selected::undone(&report.tables)].into_iter().flatten();
        return rest.filter(|told| !told.is_empty()).fold(sums, |all, told| format!("{all}; {told}"));
    }
    let rest = [Some(open.clone()), selected::undone(&report.tables)].into_iter().flatten();
    let rest: String = rest.filter(|told| !told.is_empty()).map(|told| format!("; {told}")).collect();
    match report.outcome {
        RunOutcome::Interrupted if report.carried.is_some() => {
            "interrupted: what was done is kept; apply the plan again to go on".to_owned()
        }
        RunOutcome::Interrupted => "interrupted: what was done is kept; run again to go on".to_owned(),
        RunOutcome::Failed if let Some(lost) = &report.lost => {
            let done = if done.is_empty() { "wrote nothing".to_owned() } else { list(&done) };
            format!("failed: {done}; {}; the next run goes on", ended(lost))
        }
        RunOutcome::Failed => "failed: no table could be finished; the reasons stand above".to_owned(),
        _ if report.dry_run => {
            let would = if done.is_empty() { "write nothing".to_owned() } else { list(&done) };
            format!("dry run, nothing was written: a run would {would}{rest}")
        }
        RunOutcome::Converged => {
            let done = if done.is_empty() { "there was nothing to write".to_owned() } else { list(&done) };
            if let Some(undone) = selected::undone(&report.tables) {
                return format!("{done}; {undone}");
            }
            match report.tables.iter().map(|table| table.outside).sum() {
                0 => format!("both sides agree: {done}"),
                left => {
                    let pairs = plural(left, "coupled pair was", "coupled pairs were");
                    format!("both sides agree within the filters: {done}; {pairs} outside and not compared")
                }
            }
        }
        RunOutcome::Incomplete => {
            let done = if done.is_empty() { "wrote nothing".to_owned() } else { list(&done) };
            format!("finished, but not everything agrees: {done}{rest}")
        }
        RunOutcome::Guarded => {
            let done = if done.is_empty() { "wrote nothing".to_owned() } else { list(&done) };
            format!("not finished: {done}; {open}")
        }
    }
}

fn ended(lost: &Lost) -> String {
    format!("then the {} could not be spoken to any more", lost.error.side().name())
}

/// Returns what is left: what waits, tables that failed, and records that were asked for in vain.
fn open(report: &RunReport) -> String {
    let (mut open, mut waiting) = (Vec::new(), 0);
    for kind in inbox::KINDS {
        let of_kind = report.inbox.iter().filter(|item| item.kind == kind);
        let number = match kind {
            InboxKind::Contested => of_kind.count(),
            // Several fields of one record may have failed.
            _ => {
                of_kind.map(|item| (&item.table, &item.record, item.erp_id, item.crm_id)).collect::<HashSet<_>>().len()
            }
        } as u64;
        waiting += number;
        let (one, many) = match kind {
            InboxKind::Contested => ("contested field", "contested fields"),
            InboxKind::Failed => ("failed record", "failed records"),
            InboxKind::Skipped => ("skipped record", "skipped records"),
            InboxKind::Deleted => ("deleted partner", "deleted partners"),
            InboxKind::Ambiguous => ("ambiguous match", "ambiguous matches"),
        };
        if number > 0 {
            open.push(plural(number, one, many));
        }
    }
    let one = waiting == 1;
    let mut text = if open.is_empty() {
        open.concat()
    } else {
        format!("{} {} left for a person", list(&open), if one { "is" } else { "are" })
    };
    let guarded = report.tables.iter().filter(|table| table.guarded.is_some()).count() as u64;
    if guarded > 0 {
        let tables = format!("a guard stopped {}", plural(guarded, "table", "tables"));
        text = if text.is_empty() { tables } else { format!("{text}; {tables}") };
    }
    let failed = report.tables.iter().filter(|table| table.error.is_some()).count() as u64;
    if failed > 0 {
        let tables = format!("{} could not be finished", plural(failed, "table", "tables"));
        text = if text.is_empty() { tables } else { format!("{text}; {tables}") };
    }
    if let Some(stays) = selected::stays(&report.tables) {
        text = if text.is_empty() { stays } else { format!("{text}; {stays}") };
    }
    text
}

/// Returns the word of the JSON output and of the state.
///
/// An interrupted run is `incomplete` there: what it left undone, the next run does. `interrupted` beside it tells.
pub fn outcome_key(outcome: RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Converged => "converged",
        RunOutcome::Incomplete | RunOutcome::Interrupted => "incomplete",
        RunOutcome::Guarded => "guarded",
        RunOutcome::Failed => "failed",
    }
}

#[derive(Serialize)]
struct RunDocument<'a> {
    pipeline: &'a str,
    run: &'a str,
    outcome: &'static str,
    /// A signal ended it before its end; absent where none did.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    interrupted: bool,
    started: &'a str,
    seconds: f64,
    /// Why the run ended early; absent where it came to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorDocument<'a>>,
    /// Table maps that had no turn for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    untouched: Option<&'a [String]>,
    tables: Vec<TableDocument<'a>>,
    requests: SidesDocument<TrafficDocument>,
    /// What waits for a person; absent in what the state keeps of a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    inbox: Option<Vec<ItemDocument<'a>>>,
    notes: &'a [String],
    /// What became of the plan that was carried out; absent where none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<CarriedDocument<'a>>,
}

#[derive(Serialize)]
struct SidesDocument<T> {
    erp: T,
    crm: T,
}

#[derive(Serialize)]
struct TableDocument<'a> {
    table: &'a str,
    mode: &'static str,
    /// Only named records, or one of two directions, had their turn; absent where all had.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
    rows: SidesDocument<u64>,
    coupled: u64,
    to_crm: CountsDocument,
    to_erp: CountsDocument,
    new_couplings: u64,
    uncoupled: u64,
    contested: u64,
    /// Records that were asked for by name; absent where none was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    selected: Vec<ChosenDocument<'a>>,
    /// What gave way because one side was to win; absent where nothing did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overwritten: Vec<OverwrittenDocument<'a>>,
    /// What the file wants told of sides that do not own a field; absent where there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    drifted: Vec<DriftDocument<'a>>,
    seconds: SecondsDocument,
    /// Why the table could not be finished; absent where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    /// Why a guard stopped the table; absent where none did.
    #[serde(skip_serializing_if = "Option::is_none")]
    guarded: Option<&'a str>,
}

#[derive(Serialize)]
struct CountsDocument {
    inserted: u64,
    modified: u64,
    deleted: u64,
    unchanged: u64,
    skipped: u64,
    failed: u64,
}

#[derive(Serialize)]
struct SecondsDocument {
    extract: f64,
    merge: f64,
    apply: f64,
    verify: f64,
}

#[derive(Serialize)]
struct TrafficDocument {
    sent: u64,
    retried: u64,
    waited_seconds: f64,
}

/// Returns the report for programs.
pub fn json(report: &RunReport) -> String {
    let inbox = report.inbox.iter().map(inbox::item_document).collect();
    document(&run_document(report, Some(inbox)))
}

/// Returns the report that the state keeps of a run: without what waits, which the state has itself.
pub fn kept(report: &RunReport) -> String {
    document(&run_document(report, None))
}

fn run_document<'a>(report: &'a RunReport, inbox: Option<Vec<ItemDocument<'a>>>) -> RunDocument<'a> {
    RunDocument {
        pipeline: &report.pipeline,
        run: &report.run,
        outcome: outcome_key(report.outcome),
        interrupted: report.outcome == RunOutcome::Interrupted,
        started: &report.started,
        seconds: rounded(report.seconds),
        error: report.lost.as_ref().map(|lost| ErrorDocument {
            kind: lost.error.kind(),
            message: lost.error.to_string().into(),
            hint: Some("what was done is kept, and the next run goes on"),
        }),
        untouched: report.lost.as_ref().map(|lost| lost.untouched.as_slice()),
        tables: report.tables.iter().map(|table| table_document(table, &report.plan)).collect(),
        requests: sides(&report.requests, traffic_document),
        inbox,
        notes: &report.notes,
        applied: report.carried.as_ref().map(carried::document),
    }
}

fn sides<T, D>(values: &PerSide<T>, make: impl Fn(&T) -> D) -> SidesDocument<D> {
    SidesDocument { erp: make(&values.erp), crm: make(&values.crm) }
}

fn table_document<'a>(table: &'a TableReport, plan: &'a Plan) -> TableDocument<'a> {
    TableDocument {
        table: &table.table,
        mode: table.mode.key(),
        partial: table.partial,
        rows: sides(&table.rows, |rows| *rows),
        coupled: table.coupled,
        to_crm: counts_document(&table.to.crm),
        to_erp: counts_document(&table.to.erp),
        new_couplings: table.new_couplings,
        uncoupled: table.uncoupled,
        contested: table.contested,
        selected: selected::chosen_documents(table),
        overwritten: selected::overwritten_documents(table),
        drifted: drift::of_table(plan, &table.table),
        seconds: SecondsDocument {
            extract: rounded(table.seconds.extract),
            merge: rounded(table.seconds.merge),
            apply: rounded(table.seconds.apply),
            verify: rounded(table.seconds.verify),
        },
        error: table.error.as_deref(),
        guarded: table.guarded.as_deref(),
    }
}

fn counts_document(counts: &Counts) -> CountsDocument {
    CountsDocument {
        inserted: counts.inserted,
        modified: counts.modified,
        deleted: counts.deleted,
        unchanged: counts.unchanged,
        skipped: counts.skipped,
        failed: counts.failed,
    }
}

fn traffic_document(traffic: &Traffic) -> TrafficDocument {
    TrafficDocument { sent: traffic.sent, retried: traffic.retried, waited_seconds: rounded(traffic.waited_seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use insta::assert_snapshot;

    #[test]
    fn a_first_run_reads_well() {
        assert_snapshot!("run_first", text(&samples::run()));
    }

    #[test]
    fn a_dry_run_says_would() {
        assert_snapshot!("run_dry", text(&RunReport { dry_run: true, ..samples::run() }));
    }

    #[test]
    fn a_run_with_trouble_says_what_to_do() {
        assert_snapshot!("run_trouble", text(&samples::run_with_trouble()));
    }

    #[test]
    fn a_guard_says_what_it_stopped_and_how_to_go_on() {
        let mut report = samples::run();
        report.outcome = RunOutcome::Guarded;
        report.tables[1] = samples::guarded();
        assert_snapshot!("run_guarded", text(&report));
        let text = json(&report);
        assert!(text.contains(r#""outcome": "guarded""#) && text.contains(r#""guarded": "1200 records"#), "{text}");
    }

    #[test]
    fn a_long_inbox_is_cut_and_says_so() {
        let mut report = samples::run_with_trouble();
        report.inbox = (0..7).flat_map(|_| samples::inbox()).collect();
        let text = text(&report);
        assert!(text.contains("waiting for a person: 28 (20 of them here; `pipeline inbox FILE` lists all)"), "{text}");
    }

    #[test]
    fn the_closing_sentence_fits_the_outcome() {
        let quiet = samples::quiet_run();
        let check = |report: &RunReport, expected: &str| assert_eq!(closing(report), expected);
        check(&quiet, "both sides agree: there was nothing to write");
        check(&RunReport { dry_run: true, ..quiet.clone() }, "dry run, nothing was written: a run would write nothing");
        check(
            &RunReport { outcome: RunOutcome::Interrupted, ..quiet.clone() },
            "interrupted: what was done is kept; run again to go on",
        );
        check(
            &RunReport { outcome: RunOutcome::Failed, ..quiet.clone() },
            "failed: no table could be finished; the reasons stand above",
        );
        check(
            &samples::run(),
            "both sides agree: wrote 2 records to the CRM, 1,205 records to the ERP and coupled 1,207 pairs",
        );
        check(
            &samples::run_with_trouble(),
            "finished, but not everything agrees: wrote 2 records to the CRM, 1,205 records to the ERP and coupled \
             1,207 pairs; 2 contested fields, 1 failed record and 1 ambiguous match are left for a person; 1 table could not be finished",
        );
    }

    #[test]
    fn the_document_has_the_keys_of_the_contract() {
        assert_snapshot!("run_json", json(&samples::run()));
    }

    #[test]
    fn a_table_that_failed_says_why_in_the_document() {
        let text = json(&samples::run_with_trouble());
        assert!(text.contains(r#""outcome": "incomplete""#) && text.contains(r#""error": "CRM cannot be"#), "{text}");
    }
}
