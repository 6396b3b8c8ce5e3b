//! Error bodies: what a service says went wrong, in a form that is the same each time.
//!
//! In goes a body that may be JSON, HTML or nothing; out come a code and a message without correlation numbers, so that
//! the same trouble reads the same in two runs.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

/// What a service said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fault {
    pub status: u16,
    /// As the service gave it; may be empty.
    pub code: String,
    /// Without correlation numbers, on one line; empty where the body was no OData error.
    pub message: String,
    /// What came in place of an OData error, where that is known.
    pub instead: String,
}

/// Characters of a service's text that are shown and kept.
const TEXT_CHARS_MAX: usize = 500;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    error: Body<'a>,
}

#[derive(Deserialize)]
struct Body<'a> {
    /// A text, but for services that write their status there.
    #[serde(default)]
    code: serde_json::Value,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

impl Fault {
    /// Reads an answer that is no success.
    pub fn read(status: u16, body: &[u8]) -> Fault {
        match serde_json::from_slice::<Envelope<'_>>(body) {
            Ok(Envelope { error }) => {
                let message = legible(without_correlation(&error.message));
                let code = match error.code {
                    serde_json::Value::String(code) => code,
                    serde_json::Value::Number(number) => number.to_string(),
                    _ => String::new(),
                };
                Fault { status, code: legible(&code), message, ..Fault::default() }
            }
            Err(_) => Fault { status, ..Fault::default() },
        }
    }

    /// Tells whether the service itself answered, and not something on the way to it.
    pub fn is_odata(&self) -> bool {
        !(self.code.is_empty() && self.message.is_empty())
    }

    /// Tells whether the service itself says that there is no such record: a gateway says nothing, and an address may lead
    /// nowhere (erp-api.md §6, crm-api.md §4).
    pub fn is_of_record(&self) -> bool {
        let nowhere =
            matches!(self.code.as_str(), "BadRequest_ResourceNotFound" | "Internal_CompanyNotFound" | "0x8006088a");
        self.status == 404 && !nowhere && self.is_odata()
    }

    /// Tells whether something on the way to the service turned just this request away, so that nothing is known of its record;
    /// what is said alike to every request is no matter of the record.
    pub fn is_of_the_way(&self) -> bool {
        matches!(self.status, 400..500) && !matches!(self.status, 401 | 407 | 408 | 429) && !self.is_odata()
    }

    /// Reads an answer that is a success by its status and nothing but an error by what it holds.
    pub fn in_place_of_data(status: u16, body: &[u8]) -> Option<Fault> {
        let keys: HashMap<Cow<'_, str>, IgnoredAny> = serde_json::from_slice(body).ok()?;
        let is_alone = keys.keys().all(|key| key == "error" || key.starts_with("@odata."));
        Some(Fault::read(status, body)).filter(|fault| is_alone && fault.is_odata())
    }

    /// Tells whether what a service said passes by itself, whatever the status: it is overtaxed, or not up yet (crm-api.md §4,
    /// §15, erp-api.md §6).
    pub fn passes(&self) -> bool {
        const PASSING: [&str; 6] = [
            "0x80072321",
            "0x80072322",
            "0x80072326",
            "Application_TooManyRequests",
            "Internal_ServerError",
            "Internal_TenantUnavailable",
        ];
        self.is_overtaxed() || PASSING.contains(&self.code.as_str())
    }

    /// Tells whether the side ran out of time over a request, so that a smaller one may do: an operation that ran into its
    /// limit (erp-api.md §7), a gateway that gave up, a
    /// database that timed out or chose this one to break a deadlock (crm-api.md §4).
    pub fn is_overtaxed(&self) -> bool {
        matches!(self.status, 408 | 504) || matches!(self.code.as_str(), "0x80044151" | "0x80044150")
    }
}

/// The message and the code, or the bare status.
impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let message = self.message.trim_end_matches('.');
        match (message, self.code.as_str()) {
            ("", "" | "0x0") if !self.instead.is_empty() => write!(f, "HTTP {} ({})", self.status, self.instead),
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

/// Returns a text of a service as a terminal and a log may show it: on one line, control characters as their codes, and no
/// longer than people read.
pub fn legible(text: &str) -> String {
    let mut shown = String::new();
    let mut blank = false;
    for (count, found) in text.trim().chars().enumerate() {
        if count == TEXT_CHARS_MAX {
            let more = text.trim().chars().count() - count;
            shown.push_str(&format!("… ({more} more characters)"));
            break;
        }
        // The end of a line is a blank like any other; what turns a line around or breaks it unseen is not.
        let is_break = matches!(found, '\r' | '\n' | '\t');
        match found {
            _ if is_break && blank => {}
            _ if is_break => shown.push(' '),
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                shown.extend(found.escape_unicode());
            }
            _ if found.is_control() => shown.extend(found.escape_unicode()),
            _ => shown.push(found),
        }
        blank = is_break || found == ' ';
    }
    shown
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
            (409, r#"{"error":{"code":409,"message":"taken"}}"#, "taken (409)"),
            (503, "<html>", "HTTP 503"),
            (500, "", "HTTP 500"),
        ] {
            assert_eq!(Fault::read(status, body.as_bytes()).to_string(), expected);
        }
    }

    #[test]
    fn texts_of_a_service_are_one_line_of_characters_that_do_nothing() {
        let long = "z".repeat(600);
        let cut = format!("{}… (100 more characters)", "z".repeat(500));
        for (text, expected) in [
            ("both sides agree", "both sides agree"),
            ("\u{1b}]0;x\u{7}\u{1b}[2Jfine\r\nroot: ok", "\\u{1b}]0;x\\u{7}\\u{1b}[2Jfine root: ok"),
            (" a\r\n\r\n\tb \u{85}\u{9b}31m\u{202e}c\n", "a b \\u{85}\\u{9b}31m\\u{202e}c"),
            ("Größe “ø”", "Größe “ø”"),
            (&long, &cut),
        ] {
            assert_eq!(legible(text), expected);
            let body = serde_json::json!({"error": {"code": text, "message": text}}).to_string();
            let fault = Fault::read(400, body.as_bytes());
            assert_eq!((fault.code.as_str(), fault.message.as_str()), (expected, expected));
        }
    }
}
