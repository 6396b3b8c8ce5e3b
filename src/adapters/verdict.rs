//! What an answer says about one write, however it was sent: as a request of its own, or in a batch of either form.
//!
//! In goes a reply, out comes a [`Verdict`]. Three things are asked of it in this order: what was done, who says so, and of
//! whom. Done is only what is shown, or what has nothing to show. Only the service speaks of a record, by an error as OData
//! writes it; a gateway's page, a redirect or a bare status never counts against one, and neither does an address that
//! leads nowhere. What a code means is for the adapters.

use std::collections::HashMap;

use serde::de::IgnoredAny;

use crate::adapters::client::PostError;
use crate::adapters::http::Answer;
use crate::adapters::odata::fault::Fault;
use crate::endpoint::Outcome;

/// What an answer says about one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Settled(Outcome),
    /// An insert was refused because the key, or some other unique value, is taken.
    Duplicate(String),
}

/// What a service's own code says of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Somebody changed it meanwhile.
    Stale,
    /// It does not exist.
    Gone,
    /// What was to be unique in it is another one's.
    Taken,
}

impl Verdict {
    /// The side refused the write.
    pub fn refused(reason: impl std::fmt::Display) -> Verdict {
        Verdict::Settled(Outcome::Refused { message: reason.to_string() })
    }

    /// The write was surely not carried out.
    pub fn not_sent(reason: impl std::fmt::Display) -> Verdict {
        Verdict::Settled(Outcome::NotSent { message: reason.to_string() })
    }

    /// The write was not let in, whatever it says.
    pub fn barred(reason: impl std::fmt::Display) -> Verdict {
        Verdict::Settled(Outcome::Barred { message: reason.to_string() })
    }

    /// Nobody knows whether the write was carried out.
    pub fn unknown(reason: impl std::fmt::Display) -> Verdict {
        Verdict::Settled(Outcome::Unknown { message: reason.to_string() })
    }

    /// Concludes from a reply to a write. A record is what holds the columns of `key`; `word` tells what the service's code
    /// means, and is asked only where the service itself speaks.
    pub fn of(status: u16, body: &str, key: &[String], word: impl FnOnce(&Fault) -> Option<Word>) -> Verdict {
        let fault = Fault::read(status, body.as_bytes());
        match status {
            204 => return Verdict::Settled(Outcome::Written),
            200..300 if is_record(body, key) => return Verdict::Settled(Outcome::Written),
            200..300 => return Verdict::unknown(format!("HTTP {status}, and the answer shows no record")),
            _ => {}
        }
        // Nobody but the service knows of the condition that we set, however it says that it does not hold.
        let speaks = fault.is_odata() || (status == 412 && body.is_empty());
        match if speaks { word(&fault) } else { None } {
            Some(Word::Stale) => Verdict::Settled(Outcome::Stale),
            Some(Word::Gone) if fault.is_of_record() => Verdict::Settled(Outcome::Gone),
            Some(Word::Taken) => Verdict::Duplicate(fault.to_string()),
            Some(Word::Gone) | None => Verdict::of_failure(&fault),
        }
    }

    /// Concludes from a failure that says nothing of how a record is.
    fn of_failure(fault: &Fault) -> Verdict {
        match fault.status {
            // What the login may not do is no fault of the record.
            401 | 403 | 407 => Verdict::barred(fault),
            429 | 503 => Verdict::not_sent(fault),
            408 | 500.. => Verdict::unknown(fault),
            // Only the service itself refuses a record; whatever stands before it has not even looked (design.md §3.9).
            _ if !fault.is_odata() => {
                Verdict::barred(format!("the request was turned away on its way to the service: {fault}"))
            }
            404 if !fault.is_of_record() => Verdict::barred(fault),
            _ => Verdict::refused(fault),
        }
    }

    /// What became of each write of a request that has no answer.
    pub fn unanswered(error: &PostError) -> Verdict {
        match error {
            PostError::NotSent(message) => Verdict::not_sent(message),
            PostError::Unknown(message) | PostError::Overtaxed(message) => Verdict::unknown(message),
        }
    }

    /// What became of each write of a request that was turned away as a whole.
    pub fn turned_away(answer: &Answer) -> Verdict {
        match answer.is_success() {
            // It was carried out, but nobody knows how.
            true => Verdict::unknown("the answer to the batch cannot be read"),
            false => Verdict::of_failure(&answer.fault()),
        }
    }

    /// What became of the write of a request of its own; `None` where it takes the service's own codes, or the record.
    pub fn of_stranger(answer: &Answer) -> Option<Verdict> {
        let unmet = answer.status == 412 && answer.body.is_empty();
        (!answer.is_success() && !answer.fault().is_odata() && !unmet).then(|| Verdict::turned_away(answer))
    }
}

/// Tells whether a body is a record: JSON that holds the columns of its key, and is no error.
fn is_record(body: &str, key: &[String]) -> bool {
    let Ok(properties) = serde_json::from_str::<HashMap<String, IgnoredAny>>(body) else { return false };
    !properties.contains_key("error") && key.iter().all(|column| properties.contains_key(column))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However its parts are named, an answer proves no more than it shows.
    #[test]
    fn only_a_record_or_nothing_to_show_is_a_success() {
        let shown = |status| Verdict::unknown(format!("HTTP {status}, and the answer shows no record"));
        let written = || Verdict::Settled(Outcome::Written);
        for (status, body, expected) in [
            (204, "", written()),
            (200, r#"{"@odata.etag":"W/\"1\"","id":"7","name":"x"}"#, written()),
            (201, r#"{"id":null}"#, written()),
            (200, "", shown(200)),
            (202, "", shown(202)),
            (200, "{}", shown(200)),
            (200, r#"{"message":"sign in"}"#, shown(200)),
            (200, r#"{"error":{"code":"1","message":"no"},"id":"7"}"#, shown(200)),
            (200, r#"[{"id":"7"}]"#, shown(200)),
            (200, "<html>", shown(200)),
            (201, r#""<html>""#, shown(201)),
        ] {
            assert_eq!(Verdict::of(status, body, &["id".to_owned()], |_| panic!("no code is asked for")), expected);
        }
        assert_eq!(Verdict::of(200, "{}", &[], |_| None), written(), "what is no record has no key");
    }

    #[test]
    fn only_the_service_itself_speaks_of_a_record() {
        let gone = r#"{"error":{"code":"Internal_RecordNotFound","message":"m"}}"#;
        let nowhere = r#"{"error":{"code":"Internal_CompanyNotFound","message":"m"}}"#;
        let way =
            |status| Verdict::barred(format!("the request was turned away on its way to the service: HTTP {status}"));
        let settled = Verdict::Settled;
        for (status, body, word, expected) in [
            (404, gone, Word::Gone, settled(Outcome::Gone)),
            (404, nowhere, Word::Gone, Verdict::barred("m (Internal_CompanyNotFound)")),
            (404, "<html>", Word::Gone, way(404)),
            (404, "", Word::Gone, way(404)),
            (410, "", Word::Gone, way(410)),
            (302, "<html>", Word::Stale, way(302)),
            (409, gone, Word::Stale, settled(Outcome::Stale)),
            (409, "<html>", Word::Stale, way(409)),
            (412, "", Word::Stale, settled(Outcome::Stale)),
            (412, "<html>", Word::Stale, way(412)),
            (400, "<html>", Word::Taken, way(400)),
            (500, gone, Word::Taken, Verdict::Duplicate("m (Internal_RecordNotFound)".to_owned())),
        ] {
            assert_eq!(Verdict::of(status, body, &[], |_| Some(word)), expected, "{status} {body}");
        }
    }

    /// What never reached the service, or what the login may not do, says nothing about a record (design.md §3.9).
    #[test]
    fn only_the_service_itself_refuses_a_record() {
        let error = r#"{"error":{"code":"0x1","message":"no"}}"#;
        let way = "the request was turned away on its way to the service: HTTP";
        let page = ("content-type".to_owned(), "text/html".to_owned());
        let moved = ("location".to_owned(), "https://new.example/api?x=1".to_owned());
        for (status, header, body, expected) in [
            (400, None, error, Verdict::refused("no (0x1)")),
            (413, None, "", Verdict::barred(format!("{way} 413"))),
            (400, Some(page.clone()), "<html>", {
                Verdict::barred(format!("{way} 400 (a page of HTML, as a gateway or a sign-in page gives)"))
            }),
            (404, None, "", Verdict::barred(format!("{way} 404"))),
            (307, Some(moved), "", {
                let target =
                    "it sends us on to https://new.example:443; if the service has moved there, write that as `url`";
                Verdict::barred(format!("{way} 307 ({target})"))
            }),
            (403, None, error, Verdict::barred("no (0x1)")),
            (403, Some(page), "<html>", {
                Verdict::barred("HTTP 403 (a page of HTML, as a gateway or a sign-in page gives)")
            }),
            (429, None, "", Verdict::not_sent("HTTP 429")),
            (502, None, "", Verdict::unknown("HTTP 502")),
            (200, None, "<html>", Verdict::unknown("the answer to the batch cannot be read")),
        ] {
            let answer = Answer { status, headers: header.into_iter().collect(), body: body.into() };
            assert_eq!(Verdict::turned_away(&answer), expected, "{status} {body}");
        }
    }
}
