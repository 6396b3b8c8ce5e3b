//! What waits for a person, as lines under table and kind and as the JSON of design §5.
//!
//! Runs, plans and the state all show the inbox; they differ in how much of it and under which heading.

use serde::Serialize;

use crate::report::document;
use crate::report::layout::{count, quoted};
use crate::store::{InboxItem, InboxKind};

/// Every kind, in the order in which they are told.
pub const KINDS: [InboxKind; 5] = InboxKind::ALL;

/// One item of the inbox in JSON.
#[derive(Serialize)]
pub struct ItemDocument<'a> {
    table: &'a str,
    record: &'a str,
    kind: &'static str,
    field: Option<&'a str>,
    base: Option<&'a str>,
    erp: Option<&'a str>,
    crm: Option<&'a str>,
    message: &'a str,
    /// Null for what was only planned: no run has raised it yet.
    since: Option<&'a str>,
    attempts: u32,
}

/// Returns an item as JSON shows it.
pub fn item_document(item: &InboxItem) -> ItemDocument<'_> {
    ItemDocument {
        table: &item.table,
        record: &item.record,
        kind: item.kind.key(),
        field: item.field.as_deref(),
        base: item.base.as_deref(),
        erp: item.erp.as_deref(),
        crm: item.crm.as_deref(),
        message: &item.message,
        since: Some(item.since.as_str()).filter(|since| !since.is_empty()),
        attempts: item.attempts,
    }
}

/// Returns the lines for the first `items_max` items, grouped by table, in the order in which tables first appear, and
/// by kind.
pub fn lines(items: &[InboxItem], items_max: usize) -> Vec<String> {
    let mut tables: Vec<&str> = Vec::new();
    for item in items {
        if !tables.contains(&item.table.as_str()) {
            tables.push(&item.table);
        }
    }
    let groups = tables.iter().flat_map(|table| KINDS.map(|kind| (*table, kind)));
    let mut lines = Vec::new();
    let mut left = items_max;
    for (table, kind) in groups {
        let group: Vec<_> = items.iter().filter(|item| item.table == table && item.kind == kind).take(left).collect();
        if !group.is_empty() {
            lines.push(format!("  {table}, {}", kind.key()));
        }
        lines.extend(group.iter().map(|item| format!("    {}", line(item))));
        left -= group.len();
    }
    lines
}

/// Returns what a person can do about each kind that occurs.
pub fn advice(items: &[InboxItem]) -> Vec<String> {
    KINDS
        .into_iter()
        .filter(|kind| items.iter().any(|item| item.kind == *kind))
        .map(|kind| {
            let advice = match kind {
                InboxKind::Contested => "make both sides hold the same value, or give the field an `on_conflict`",
                InboxKind::Failed => "correct the record as its message says; every run tries again",
                InboxKind::Skipped => "change the record, or ask for it: `pipeline inbox FILE retry TABLE:KEY`",
                InboxKind::Deleted => "bring the record back, or delete its partner too",
                InboxKind::Ambiguous => "make the columns of `match` differ, or agree with one record only",
            };
            format!("  {}: {advice}", kind.key())
        })
        .collect()
}

/// Returns the whole inbox for people; it ends with a line end.
pub fn text(items: &[InboxItem]) -> String {
    if items.is_empty() {
        return "nothing waits for a person\n".to_owned();
    }
    let mut all = vec![format!("waiting for a person: {}", count(items.len() as u64))];
    all.extend(lines(items, items.len()));
    all.push("what to do:".to_owned());
    all.extend(advice(items));
    all.join("\n") + "\n"
}

#[derive(Serialize)]
struct Document<'a> {
    items: Vec<ItemDocument<'a>>,
}

/// Returns the whole inbox for programs.
pub fn json(items: &[InboxItem]) -> String {
    document(&Document { items: items.iter().map(item_document).collect() })
}

/// Says of each record whether it was skipped, and is sent again by the next run.
pub fn retried_text(records: &[(&str, bool)]) -> String {
    let line = |(record, was_refused): &(&str, bool)| match was_refused {
        true => format!("{record}: the next run sends it again\n"),
        false => format!("{record}: was not refused by its side; every run tries it anyway\n"),
    };
    records.iter().map(line).collect()
}

#[derive(Serialize)]
struct RetriedDocument<'a> {
    retried: Vec<&'a str>,
    unchanged: Vec<&'a str>,
}

/// Says the same for programs.
pub fn retried_json(records: &[(&str, bool)]) -> String {
    let those = |wanted: bool| records.iter().filter(|(_, was)| *was == wanted).map(|(record, _)| *record).collect();
    document(&RetriedDocument { retried: those(true), unchanged: those(false) })
}

/// Returns one item on one line: record, field, the values that are known, message.
///
/// A message that names the record itself stands for all but the values.
fn line(item: &InboxItem) -> String {
    // The message may quote a server; a line end in it must not break the list.
    let message = item.message.replace(['\n', '\r'], " ");
    let values: Vec<String> = [("before", &item.base), ("ERP", &item.erp), ("CRM", &item.crm)]
        .into_iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("{name} {}", quoted(value))))
        .collect();
    let values = values.join(", ");
    if message.starts_with(&item.record) {
        return if values.is_empty() { message } else { format!("{message} ({values})") };
    }
    let record = match &item.field {
        Some(field) => format!("{} {field}", item.record),
        None => item.record.clone(),
    };
    match (values.is_empty(), message.is_empty()) {
        (true, true) => record,
        (true, false) => format!("{record}: {message}"),
        (false, true) => format!("{record}: {values}"),
        (false, false) => format!("{record}: {values}; {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn no_more_items_than_asked_for() {
        let mut items = samples::inbox();
        items.extend(samples::inbox());
        let shown = |max| lines(&items, max).iter().filter(|line| line.starts_with("    ")).count();
        assert_eq!((shown(0), shown(1), shown(3), shown(100)), (0, 1, 3, items.len()));
    }

    #[test]
    fn a_message_stays_on_its_line() {
        let mut item = samples::inbox().remove(0);
        item.message = "no\r\nno".into();
        assert!(line(&item).ends_with(": no  no"), "{}", line(&item));
    }
}
