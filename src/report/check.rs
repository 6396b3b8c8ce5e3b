//! What is wrong with a pipeline file: every complaint with its place, then one sentence; or the JSON of design §5.

use serde::Serialize;

use crate::config::Pipeline;
use crate::config::complaint::{Complaint, Severity};
use crate::report::document;
use crate::report::layout::{list, plural};
use crate::report::online::OnlineDocument;

/// Returns the complaints for people, one paragraph each, and a closing sentence; it ends with a line end.
///
/// `pipeline` is what the file means where it can be used.
pub fn text(file: &str, complaints: &[Complaint], pipeline: Option<&Pipeline>) -> String {
    let mut text = list_text(complaints);
    let counts = counts(complaints);
    let closing = match pipeline {
        Some(pipeline) => {
            let fields: usize = pipeline.tables.iter().map(|table| table.fields.len()).sum();
            let counts = if counts.is_empty() { "no complaints".to_owned() } else { counts };
            format!(
                "{file}: {counts}; pipeline `{}` with {} and {}",
                pipeline.name,
                plural(pipeline.tables.len() as u64, "table map", "table maps"),
                plural(fields as u64, "field map", "field maps"),
            )
        }
        None => format!("{file}: {counts}; nothing was touched"),
    };
    text.push_str(&closing);
    text.push('\n');
    text
}

/// Returns the complaints alone, each with a line end. Warnings about fields of one table map that come with the same advice are
/// told together, where the first of them stands, each with its own place.
pub fn list_text(complaints: &[Complaint]) -> String {
    let mut text = String::new();
    for (position, complaint) in complaints.iter().enumerate() {
        let shared = shared(complaint);
        let is_alike = |other: &&Complaint| shared.is_some() && self::shared(other) == shared;
        if complaints[..position].iter().any(|before| is_alike(&before)) {
            continue;
        }
        let alike: Vec<&Complaint> = complaints[position..].iter().filter(is_alike).collect();
        match shared {
            Some((_, table, hint)) if alike.len() > 1 => text.push_str(&together(table, hint, &alike)),
            _ => text.push_str(&format!("{complaint}\n")),
        }
    }
    text
}

/// Returns what a warning about a field shares with others: the file, the table map, and what to do.
fn shared(complaint: &Complaint) -> Option<(&str, &str, &str)> {
    let (table, _) = complaint.path.rsplit_once(FIELDS).filter(|_| complaint.severity == Severity::Warning)?;
    Some((&complaint.file, table, complaint.hint.as_deref()?))
}

/// What stands in a path between a table map and the number of a field.
const FIELDS: &str = ".fields[";

/// Says what is odd about several fields of a table map, about which the same can be done.
fn together(table: &str, hint: &str, alike: &[&Complaint]) -> String {
    let Complaint { file, line, column, .. } = alike[0];
    let mut text = format!("{file}:{line}:{column}: warning: {table}.fields: {} of one kind\n", alike.len());
    for Complaint { line, column, path, message, .. } in alike {
        let field = path.strip_prefix(table).unwrap_or(path).trim_start_matches('.');
        text.push_str(&format!("  {line}:{column}: {field}: {message}\n"));
    }
    text.push_str(&format!("  hint: {hint}\n"));
    text
}

/// Returns how many complaints there are, by severity; blank where there are none.
pub fn counts(complaints: &[Complaint]) -> String {
    let of = |severity| complaints.iter().filter(|complaint| complaint.severity == severity).count() as u64;
    let mut counts = Vec::new();
    if of(Severity::Error) > 0 {
        counts.push(plural(of(Severity::Error), "error", "errors"));
    }
    if of(Severity::Warning) > 0 {
        counts.push(plural(of(Severity::Warning), "warning", "warnings"));
    }
    list(&counts)
}

#[derive(Serialize)]
struct CheckDocument<'a> {
    complaints: Vec<ComplaintDocument<'a>>,
    /// What both sides say, where they were asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    online: Option<OnlineDocument<'a>>,
}

/// One complaint in JSON.
#[derive(Serialize)]
pub struct ComplaintDocument<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    path: &'a str,
    message: &'a str,
    hint: Option<&'a str>,
    /// `error`, or `warning` for what does not stop a run from being checked.
    severity: &'static str,
}

/// Returns a complaint as JSON shows it.
pub fn complaint_document(complaint: &Complaint) -> ComplaintDocument<'_> {
    ComplaintDocument {
        file: &complaint.file,
        line: complaint.line,
        column: complaint.column,
        path: &complaint.path,
        message: &complaint.message,
        hint: complaint.hint.as_deref(),
        severity: match complaint.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
    }
}

/// Returns the complaints for programs, and what both sides say where they were asked.
pub fn json(complaints: &[Complaint], online: Option<OnlineDocument<'_>>) -> String {
    document(&CheckDocument { complaints: complaints.iter().map(complaint_document).collect(), online })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use insta::assert_snapshot;

    #[test]
    fn complaints_read_with_their_places() {
        assert_snapshot!("check_text", text("full.yaml", &samples::complaints(), None));
    }

    /// Whatever stands between them, each keeps its place, and what is said of another table map or is no warning stays alone.
    #[test]
    fn warnings_with_the_same_advice_are_told_together_for_each_table_map() {
        let complaint = |severity, line, path: &str, hint: &str| Complaint {
            severity,
            file: "full.yaml".to_owned(),
            line,
            column: 16,
            path: path.to_owned(),
            message: format!("message {line}"),
            hint: Some(hint.to_owned()),
        };
        let warning = |line, path, hint| complaint(Severity::Warning, line, path, hint);
        let error = |line, path, hint| complaint(Severity::Error, line, path, hint);
        let told = list_text(&[
            warning(7, "tables.customers.fields[0].erp", "cut it"),
            warning(8, "tables.customers.fields[1].erp", "round it"),
            error(9, "tables.customers.fields[2].erp", "cut it"),
            warning(10, "tables.customers.fields[3].crm", "cut it"),
            warning(11, "tables.contacts.fields[0].crm", "cut it"),
            warning(12, "tables.contacts.guard", "cut it"),
            warning(13, "tables.contacts.guard", "cut it"),
        ]);
        assert_snapshot!("check_alike", told);
    }

    #[test]
    fn complaints_are_one_document() {
        assert_snapshot!("check_json", json(&samples::complaints(), None));
        assert_eq!(json(&[], None), "{\n  \"complaints\": []\n}");
    }

    #[test]
    fn complaints_are_counted_by_severity() {
        let all = samples::complaints();
        assert_eq!(counts(&all), "2 errors and 1 warning");
        assert_eq!(counts(&all[..1]), "1 error");
        assert_eq!(counts(&[]), "");
    }
}
