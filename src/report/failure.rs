//! Why nothing came of a command: heading, message and what to do next, as text or as JSON.

use std::borrow::Cow;

use serde::Serialize;

use crate::config::complaint::Complaint;
use crate::report::asked::{Ask, AskDocument, ask_document};
use crate::report::check::{ComplaintDocument, complaint_document};
use crate::report::document;

/// Returns the failure for people; it ends with a line end.
pub fn text(message: &str, hint: &str) -> String {
    if hint.is_empty() { format!("error: {message}\n") } else { format!("error: {message}\n  hint: {hint}\n") }
}

#[derive(Serialize)]
struct FailureDocument<'a> {
    error: ErrorDocument<'a>,
    /// What is wrong with the file, where that is the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    complaints: Vec<ComplaintDocument<'a>>,
    /// What a person would have had to agree to, where nobody did.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    asks: Vec<AskDocument<'a>>,
}

/// Why something could not be done, as JSON has it everywhere (design §5).
#[derive(Serialize)]
pub(super) struct ErrorDocument<'a> {
    pub(super) kind: &'a str,
    pub(super) message: Cow<'a, str>,
    pub(super) hint: Option<&'a str>,
}

/// Returns the failure for programs.
pub fn json(kind: &str, message: &str, hint: &str, complaints: &[Complaint], asks: &[Ask]) -> String {
    document(&FailureDocument {
        error: ErrorDocument { kind, message: message.into(), hint: Some(hint).filter(|hint| !hint.is_empty()) },
        complaints: complaints.iter().map(complaint_document).collect(),
        asks: asks.iter().map(ask_document).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use insta::assert_snapshot;

    #[test]
    fn a_failure_says_what_to_do() {
        assert_eq!(text("it broke", "mend it"), "error: it broke\n  hint: mend it\n");
        assert_eq!(text("it broke", ""), "error: it broke\n");
    }

    #[test]
    fn a_failure_is_one_document() {
        assert_snapshot!("failure_json", json("login", "CRM refused the login", "look at the client secret", &[], &[]));
        let complaints = &samples::complaints()[..1];
        assert_snapshot!("failure_complaints_json", json("configuration", "1 error", "", complaints, &[]));
    }
}
