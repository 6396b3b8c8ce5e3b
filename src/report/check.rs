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

/// Returns the complaints alone, each with a line end.
pub fn list_text(complaints: &[Complaint]) -> String {
    complaints.iter().map(|complaint| format!("{complaint}\n")).collect()
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
