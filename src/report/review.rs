//! What stands before a first load: a line of numbers and one of advice for each table map, and the next step.

use serde::Serialize;

use crate::config::{PerSide, Side};
use crate::report::document;
use crate::report::layout::{columns, count, list, plural};
use crate::report::notes::{NoteDocument, Notes};
use crate::report::selected::{self, ChosenDocument};
use crate::review::{Advice, Next, Review, TableReview};
use crate::run::account::TableReport;

/// Returns the review for people; `told` is what the dry run tells of records that were named, `file` the pipeline file as it
/// was given, with the options that name them.
pub fn text(review: &Review, told: &[TableReport], file: &str) -> String {
    let heading = ["table", "direction", "ERP", "CRM", "coupled", "matchable", "ambiguous", "new in ERP", "new in CRM"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let number = |number: u64| if number == 0 { "-".to_owned() } else { count(number) };
    rows.extend(review.tables.iter().map(|table| {
        let TableReview { rows, coupled, matchable, ambiguous, new, .. } = table;
        let numbers = [rows.erp, rows.crm, *coupled, *matchable, *ambiguous, new.erp, new.crm];
        let mut row = vec![table.table.clone(), table.direction.key().to_owned()];
        row.extend(numbers.map(number));
        row
    }));
    let only = if review.only.is_empty() { String::new() } else { format!(", only {}", list(&review.only)) };
    let mut lines = vec![format!("{}{only}: what each side holds inside its filters", review.pipeline), String::new()];
    lines.extend(columns(&rows, 2));
    lines.push(String::new());
    lines.push("advice, in the order of a run:".to_owned());
    lines.extend(review.tables.iter().map(|table| {
        let needs = if table.needs.is_empty() { String::new() } else { format!(" (after {})", list(&table.needs)) };
        format!("  {}{needs}: {}", table.table, advice(table))
    }));
    for section in [notes(told).lines(), selected::left(told)].into_iter().filter(|section| !section.is_empty()) {
        lines.push(String::new());
        lines.extend(section);
    }
    lines.push(String::new());
    lines.push(next(review, file));
    lines.join("\n") + "\n"
}

/// Returns the notes that a run would print of table maps, as of records that it leaves alone.
fn notes(told: &[TableReport]) -> Notes {
    let noted = told.iter().filter(|table| !table.notes.is_empty());
    Notes { general: Vec::new(), tables: noted.map(|table| (table.table.clone(), table.notes.clone())).collect() }
}

/// Says what is advised for a table map, and what a run would find there.
fn advice(table: &TableReview) -> String {
    let mut does = Vec::new();
    if table.matchable > 0 {
        does.push(format!("couples {} by match rules", plural(table.matchable, "pair", "pairs")));
    }
    for (verb, numbers) in [("creates", &table.new), ("changes", &table.changed)] {
        let sides = [Side::Crm, Side::Erp].map(|side| (*numbers.of(side), side.name()));
        let told = sides
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, side)| format!("{} in the {side}", count(*number)));
        let told: Vec<String> = told.collect();
        if !told.is_empty() {
            does.push(format!("{verb} {}", told.join(" and ")));
        }
    }
    if table.later > 0 {
        does.push(format!("decides {} when it has made what they refer to", count(table.later)));
    }
    let run = match does.is_empty() {
        true => "a run has nothing to do".to_owned(),
        false => format!("a run {}", does.join(", ")),
    };
    let mut told = match &table.advice {
        Advice::Unreadable(error) => format!("cannot be looked at: {error}"),
        Advice::Guarded(guarded) => format!("its guard stops it: {guarded}"),
        Advice::NoRecords => "no records found on either side".to_owned(),
        Advice::Full => format!("full synchronization, as one side is empty: {run}"),
        Advice::Couple => format!("couple first, as both sides hold records: {run}"),
        Advice::NoRule { stops: false } => {
            format!("add a `match` rule: both sides hold records, nothing tells which belong together, and {run}")
        }
        Advice::NoRule { stops: true } => {
            "add a `match` rule: both sides hold records and nothing tells which belong together, so a run stops here"
                .to_owned()
        }
        Advice::Settle => format!("coupled: {run}"),
        Advice::Nothing => "coupled: nothing to do".to_owned(),
    };
    if table.ambiguous > 0 {
        let are = if table.ambiguous == 1 { "is" } else { "are" };
        told += &format!("; {} {are} ambiguous and left alone", plural(table.ambiguous, "record", "records"));
    }
    if table.waits > 0 {
        told += &format!(
            "; {} for a person",
            if table.waits == 1 { "1 waits".to_owned() } else { format!("{} wait", count(table.waits)) }
        );
    }
    if table.apart > 0 {
        let are = if table.apart == 1 { "is" } else { "are" };
        told += &format!("; {} {are} kept apart", plural(table.apart, "record", "records"));
    }
    told
}

fn next(review: &Review, file: &str) -> String {
    match review.next {
        Next::Mend => format!("next: mend what is said above, then `pipeline review {file}` again"),
        Next::Plan => {
            format!("next: `pipeline plan {file}` names the records that wait; `pipeline run {file}` does the others")
        }
        Next::Run => format!(
            "next: `pipeline plan {file}` shows every record; `pipeline run {file}` couples first and then creates what is \
             left, so that nothing is doubled"
        ),
        Next::Nothing if !review.only.is_empty() => "next: nothing to do now".to_owned(),
        Next::Nothing => format!("next: nothing to do now; `pipeline run {file}` every night keeps it so"),
    }
}

#[derive(Serialize)]
struct Document<'a> {
    pipeline: &'a str,
    /// As they were named; absent where everything is looked at.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    only: &'a [String],
    tables: Vec<TableDocument<'a>>,
    /// `mend`, `plan`, `run` or `nothing`.
    next: &'static str,
    /// What a run would note of table maps.
    table_notes: Vec<NoteDocument<'a>>,
    /// Records that were asked for by name; absent where none was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    selected: Vec<ChosenDocument<'a>>,
}

#[derive(Serialize)]
struct TableDocument<'a> {
    table: &'a str,
    direction: &'static str,
    needs: &'a [String],
    rows: SidesDocument,
    coupled: u64,
    matchable: u64,
    ambiguous: u64,
    new: SidesDocument,
    changed: SidesDocument,
    later: u64,
    waits: u64,
    kept_apart: u64,
    advice: &'static str,
    message: String,
}

#[derive(Serialize)]
struct SidesDocument {
    erp: u64,
    crm: u64,
}

/// Returns the review for programs; `told` as in [`text`].
pub fn json(review: &Review, told: &[TableReport]) -> String {
    let sides = |numbers: &PerSide<u64>| SidesDocument { erp: numbers.erp, crm: numbers.crm };
    let table = |table: &'_ TableReview| (sides(&table.rows), sides(&table.new), sides(&table.changed));
    let tables = review.tables.iter().map(|known| {
        let (rows, new, changed) = table(known);
        TableDocument {
            table: &known.table,
            direction: known.direction.key(),
            needs: &known.needs,
            rows,
            coupled: known.coupled,
            matchable: known.matchable,
            ambiguous: known.ambiguous,
            new,
            changed,
            later: known.later,
            waits: known.waits,
            kept_apart: known.apart,
            advice: known.advice.key(),
            message: advice(known),
        }
    });
    let next = match review.next {
        Next::Mend => "mend",
        Next::Plan => "plan",
        Next::Run => "run",
        Next::Nothing => "nothing",
    };
    let selected = told.iter().flat_map(selected::chosen_documents).collect();
    let notes = notes(told);
    document(&Document {
        pipeline: &review.pipeline,
        only: &review.only,
        tables: tables.collect(),
        next,
        table_notes: notes.documents(),
        selected,
    })
}
