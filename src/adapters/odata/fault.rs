//! Error bodies: what a service says went wrong, in a form that is the same each time.
//!
//! In goes a body that may be JSON, HTML or nothing; out come a code and a message without correlation numbers, so that
//! the same trouble reads the same in two runs.

use std::borrow::Cow;

use serde::Deserialize;

/// What a service said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fault {
    pub status: u16,
    /// As the service gave it; may be empty.
    pub code: String,
    /// Without correlation numbers; empty where the body was no OData error.
    pub message: String,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    error: Body<'a>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    code: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

impl Fault {
    /// Reads an answer that is no success.
    pub fn read(status: u16, body: &[u8]) -> Fault {
        match serde_json::from_slice::<Envelope<'_>>(body) {
            Ok(Envelope { error }) => {
                Fault { status, code: error.code.into_owned(), message: without_correlation(&error.message).to_owned() }
            }
            Err(_) => Fault { status, ..Fault::default() },
        }
    }

    /// Tells whether the service itself says that there is no such record: a gateway says nothing, and an address may lead
    /// nowhere (erp-api.md §6, crm-api.md §4).
    pub fn is_of_record(&self) -> bool {
        let nowhere =
            matches!(self.code.as_str(), "BadRequest_ResourceNotFound" | "Internal_CompanyNotFound" | "0x8006088a");
        self.status == 404 && !nowhere && !(self.code.is_empty() && self.message.is_empty())
    }

    /// Tells whether the side ran out of time over a request, so that a smaller one may do: a gateway that gave up, a
    /// database that timed out or chose this one to break a deadlock (crm-api.md §4).
    pub fn is_overtaxed(&self) -> bool {
        self.status == 504 || matches!(self.code.as_str(), "0x80044151" | "0x80044150")
    }
}

/// The message and the code, or the bare status.
impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let message = self.message.trim_end_matches('.');
        match (message, self.code.as_str()) {
            ("", "" | "0x0") => write!(f, "HTTP {}", self.status),
            ("", code) => write!(f, "HTTP {} ({code})", self.status),
            (message, "" | "0x0") => f.write_str(message),
            (message, code) => write!(f, "{message} ({code})"),
        }
    }
}

/// Cuts the `CorrelationId` that Business Central appends (erp-api.md §6).
fn without_correlation(message: &str) -> &str {
    message.find("CorrelationId:").map_or(message, |at| &message[..at]).trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_the_same_each_time() {
        let erp = r#"{"error":{"code":"Internal_RecordNotFound","message":"The Customer does not exist. Identification fields and values: No.='10000'  CorrelationId:  8a84f78b-06f2-46a7-9e18-318c3945afd2."}}"#;
        let crm = r#"{"error":{"message":"account With Id = a0000000-0000-4000-8000-0000000000ff Does Not Exist","code":"0x80040217"}}"#;
        for (status, body, expected) in [
            (
                404,
                erp,
                "The Customer does not exist. Identification fields and values: No.='10000' (Internal_RecordNotFound)",
            ),
            (404, crm, "account With Id = a0000000-0000-4000-8000-0000000000ff Does Not Exist (0x80040217)"),
            (400, r#"{"error":{"code":"","message":"A record exists."}}"#, "A record exists"),
            (400, r#"{"error":{"code":"0x0","message":"No \"x\"."}}"#, "No \"x\""),
            (403, r#"{"error":{"code":"0x80040220"}}"#, "HTTP 403 (0x80040220)"),
            (503, "<html>", "HTTP 503"),
            (500, "", "HTTP 500"),
        ] {
            assert_eq!(Fault::read(status, body.as_bytes()).to_string(), expected);
        }
    }
}
