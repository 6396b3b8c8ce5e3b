//! The inbox as a table that people fill in, and their answers out of it: all of them, or none where one is wrong.

use std::collections::HashMap;
use std::path::Path;

use crate::cli::exit::Failure;
use crate::cli::inbox::answer::{Desk, Wish};
use crate::cli::sheet;
use crate::config::complaint::{Complaint, Severity};
use crate::delta::decided::told;
use crate::store::{InboxItem, Reply};

/// The columns, in the order in which they are written.
const COLUMNS: [&str; 16] = [
    "table",
    "record",
    "kind",
    "field",
    "base",
    "erp",
    "crm",
    "decision",
    "message",
    "since",
    "attempts",
    "erp_id",
    "crm_id",
    "erp_modified",
    "crm_modified",
    "crm_modified_by",
];

/// Returns what waits as CSV, with an empty column for decisions.
pub fn export(items: &[InboxItem]) -> String {
    let row = |item: &InboxItem| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let id = |id: Option<uuid::Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        vec![
            item.table.clone(),
            item.record.clone(),
            item.kind.key().to_owned(),
            text(&item.field),
            text(&item.base),
            text(&item.erp),
            text(&item.crm),
            String::new(),
            told(item).into_owned(),
            item.since.clone(),
            item.attempts.to_string(),
            id(item.erp_id),
            id(item.crm_id),
            text(&item.background.modified.erp),
            text(&item.background.modified.crm),
            text(&item.background.crm_modified_by),
        ]
    };
    sheet::write(&COLUMNS, &items.iter().map(row).collect::<Vec<_>>())
}

/// Reads the answers of a table that was exported and filled in; a line without a decision is left out.
///
/// Every line is held against what waits now. All that is wrong is told at once, by line.
pub fn replies(file: &Path, text: &str, desk: &Desk<'_>) -> Result<Vec<Reply>, Failure> {
    let name = file.display().to_string();
    let complaint = |line: usize, message: String, hint: Option<String>| Complaint {
        severity: Severity::Error,
        file: name.clone(),
        line,
        column: 1,
        path: String::new(),
        message,
        hint: hint.filter(|hint| !hint.is_empty()),
    };
    let columns = ["table", "record", "kind", "field", "erp", "crm", "decision", "erp_id", "crm_id"];
    let refused = |complaints| Failure::Answers { file: name.clone(), complaints };
    let rows = sheet::read(text, &columns).map_err(|(line, message)| {
        let hint = "take a file that `pipeline inbox FILE export` made, and leave its heading".to_owned();
        refused(vec![complaint(line, message, Some(hint))])
    })?;
    let id = |id: Option<uuid::Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let mut by_place: HashMap<[String; 4], Vec<&InboxItem>> = HashMap::new();
    for item in &desk.items {
        let field = item.field.clone().unwrap_or_default();
        by_place.entry([item.table.clone(), id(item.erp_id), id(item.crm_id), field]).or_default().push(item);
    }
    let (mut replies, mut complaints) = (Vec::new(), Vec::new());
    let mut answered: HashMap<(String, String, String), usize> = HashMap::new();
    for row in rows {
        let [table, record, kind, field, erp, crm, decision, erp_id, crm_id] = &row.cells[..] else { continue };
        // What a value is may begin or end with blanks; the word before it may not.
        let decision =
            if decision.trim_start().starts_with("value=") { decision.trim_start() } else { decision.trim() };
        if decision.is_empty() {
            continue;
        }
        let place = match field.as_str() {
            "" => record.clone(),
            field => format!("{field} of {record}"),
        };
        let Some(wish) = Wish::parse(decision, field) else {
            let known = "it is one of: erp, crm, value=V, retry, restore, delete, uncouple";
            complaints.push(complaint(row.line, format!("`{decision}` is no decision"), Some(known.to_owned())));
            continue;
        };
        let place_of = [table.clone(), erp_id.to_ascii_lowercase(), crm_id.to_ascii_lowercase(), field.clone()];
        let of_record = |item: &&InboxItem| !erp_id.is_empty() || !crm_id.is_empty() || item.record == *record;
        let waiting = by_place.get(&place_of).into_iter().flatten().copied();
        let waiting: Vec<&InboxItem> = waiting.filter(of_record).collect();
        let as_told = |item: &&InboxItem| {
            let value = |value: &Option<String>| value.clone().unwrap_or_default();
            item.kind.key() == kind && value(&item.erp) == *erp && value(&item.crm) == *crm
        };
        let Some(item) = waiting.iter().copied().find(as_told) else {
            let again = "export the inbox again, and decide on what it says now";
            let (message, hint) = match waiting.first() {
                None => (format!("nothing waits of {place} any more"), again),
                Some(item) if as_told_by_numbers(item, (kind, erp, crm)) => (
                    format!(
                        "{place} is not what was exported: {}; the line says ERP `{erp}`, CRM `{crm}`",
                        told_now(item)
                    ),
                    "a spreadsheet made another value of a cell: open the exported file with its columns as text, and \
                     keep them so",
                ),
                Some(item) => {
                    let values = if field.is_empty() { String::new() } else { format!(", ERP `{erp}`, CRM `{crm}`") };
                    let told = told_now(item);
                    (format!("{place} has changed since: {told}; the line says {kind}{values}"), again)
                }
            };
            let hint = hint.to_owned();
            complaints.push(complaint(row.line, message, Some(hint)));
            continue;
        };
        // An answer about the whole record is one for each of its lines.
        let subject = match &wish {
            Wish::Resolve { .. } => field.clone(),
            _ => String::new(),
        };
        if let Some(first) = answered.insert((table.clone(), erp_id.clone() + crm_id, subject), row.line) {
            let message = format!("{place} was answered on line {first} already");
            complaints.push(complaint(row.line, message, Some("leave one of the two".to_owned())));
            continue;
        }
        match desk.answer_to(&[item], &wish) {
            Ok(reply) => replies.push(reply),
            Err(failure) => complaints.push(complaint(row.line, failure.to_string(), Some(failure.hint()))),
        }
    }
    if complaints.is_empty() { Ok(replies) } else { Err(refused(complaints)) }
}

/// Tells whether a line says of an item what it is, but for values that a spreadsheet took for numbers.
fn as_told_by_numbers(item: &InboxItem, (kind, erp, crm): (&str, &str, &str)) -> bool {
    let same = |value: &Option<String>, cell: &str| {
        let value = value.as_deref().unwrap_or_default();
        let number = |text: &str| text.trim().parse::<f64>().ok();
        value == cell || (number(value).is_some() && number(value) == number(cell))
    };
    item.kind.key() == kind && same(&item.erp, erp) && same(&item.crm, crm)
}

/// Says what an item is now.
fn told_now(item: &InboxItem) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_default();
    match &item.field {
        Some(_) => format!("it is {}, ERP `{}`, CRM `{}`", item.kind.key(), value(&item.erp), value(&item.crm)),
        None => format!("it is {}", item.kind.key()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn the_inbox_is_a_table_with_a_column_to_fill_in() {
        insta::assert_snapshot!(export(&samples::inbox()).replace(['\r', '\u{feff}'], ""));
    }
}
