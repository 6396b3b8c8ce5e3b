//! Change tracking as Dataverse does it (crm-api.md §8): pages with changed rows and deletions, and a link to go on from.
//!
//! In goes an address, out come rows, the ids of what was deleted, and the delta link as a token. A token is the link
//! without the host, byte for byte otherwise, so that a state does not remember which address a service had. Whether a
//! refusal matters is the caller's business; only a login, a throttled or an unreachable service is an error here.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::adapters::client::Client;
use crate::adapters::odata::amiss::Amiss;
use crate::adapters::odata::decode::{Layout, link_text};
use crate::adapters::odata::link::{self, Chain};
use crate::adapters::pages::Idle;
use crate::endpoint::{EndpointError, Line, Tracked};

/// What a page of a tracked read holds.
#[derive(Debug, PartialEq)]
struct Page {
    /// The page again, without what was deleted.
    rows: String,
    deleted: Vec<Uuid>,
    next: Option<String>,
    /// Only the last page has one.
    delta: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "@odata.nextLink")]
    next: Option<&'a RawValue>,
    #[serde(borrow, rename = "@odata.deltaLink")]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Vec<&'a RawValue>,
}

/// A row that may be the mark of a deletion.
#[derive(Deserialize)]
struct Mark<'a> {
    #[serde(borrow, rename = "@odata.context")]
    context: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
}

/// Reads all pages of a tracked read; `url` is the address to begin with, or the token of an earlier one.
pub fn read(
    client: &Client,
    url: &str,
    headers: &[(&str, String)],
    layout: &Layout,
    progress: &dyn Fn(usize),
) -> Result<Tracked, EndpointError> {
    let untrusted = |message: String| EndpointError::Untrusted { side: client.side(), message };
    let mut chain = Chain::new(client.base(), url);
    let (mut rows, mut deleted) = (layout.rows(), Vec::new());
    // Those of `deleted`: what a page tells once more is nothing new.
    let mut gone: HashSet<Uuid> = HashSet::new();
    let mut idle = Idle::new(headers);
    let first = url;
    let mut url = url.to_owned();
    loop {
        let (answer, page) = client.get(&url, headers, |answer| page(answer.text()?))?;
        let Some(page) = page else {
            let fault = answer.fault();
            return match answer.status {
                // Whatever else is wrong with a token, a full read mends it (crm-api.md §8).
                400..=499 => Ok(Tracked::Refused { message: fault.to_string() }),
                _ => Err(EndpointError::Refused { side: client.side(), message: fault.to_string() }),
            };
        };
        layout.page(&page.rows, &mut rows).map_err(untrusted)?;
        deleted.extend(page.deleted.into_iter().filter(|id| gone.insert(*id)));
        let path = link::path(client.base(), first);
        idle.arrived(rows.count() + gone.len()).map_err(|message| untrusted(format!("{path}: {message}")))?;
        progress(rows.count());
        match (page.next, page.delta) {
            (Some(next), _) => url = chain.follow(&next).map_err(untrusted)?,
            (None, Some(delta)) => {
                let token = chain.delta(&delta).map_err(untrusted)?;
                let token = link::behind(client.base(), &token).map(str::to_owned);
                let away = || untrusted("the delta link leads to another service".to_owned());
                return Ok(Tracked::Changes { frame: rows.finish(), deleted, token: token.ok_or_else(away)? });
            }
            (None, None) => {
                return Ok(Tracked::Refused { message: "the answer has no delta link".to_owned() });
            }
        }
    }
}

/// Takes a page apart.
fn page(body: &str) -> Result<Page, Amiss> {
    let envelope: Envelope<'_> =
        serde_json::from_str(body).map_err(|error| Amiss::of_json("the answer is no complete page", &error))?;
    let (mut rows, mut deleted) = (Vec::with_capacity(envelope.value.len()), Vec::new());
    for row in envelope.value {
        let mark: Mark<'_> =
            serde_json::from_str(row.get()).map_err(|error| Amiss::of_json("a row is no record", &error))?;
        if mark.context.is_some_and(|context| context.ends_with("/$deletedEntity")) {
            let id = mark.id.and_then(|id| Uuid::try_parse(&id).ok());
            deleted.push(id.ok_or_else(|| Amiss::Wrong("a deletion has no id".to_owned()))?);
        } else {
            rows.push(row.get());
        }
    }
    Ok(Page {
        rows: format!(r#"{{"value":[{}]}}"#, rows.join(",")),
        deleted,
        next: link_text("link to the next page", envelope.next)?.map(Cow::into_owned),
        delta: link_text("delta link", envelope.delta)?.map(Cow::into_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::client::tests::client;
    use crate::adapters::odata::Dialect;
    use crate::adapters::script::{Line, Script, say};

    /// Reads what a script serves; tells the token or the error, and how many pages were asked for.
    fn read_pages(base: impl Fn(&str) -> String, pages: Vec<Line>) -> (String, usize) {
        let login = Script::play(vec![say(200, r#"{"access_token":"t","expires_in":3599}"#)]);
        let server = Script::play(pages);
        let (client, _) = client(&base(&server.url), &login.url);
        let layout = Layout::new(Dialect::Dataverse, "contactid", Vec::new());
        let told = match read(&client, &format!("{}/t?1", client.base()), &[], &layout, &|_| {}) {
            Ok(Tracked::Changes { frame, deleted, token }) => format!("{} {} {token}", frame.rows(), deleted.len()),
            Ok(Tracked::Refused { message }) => message,
            Err(error) => error.to_string(),
        };
        (told, server.heard().len())
    }

    fn tracked(id: u8, next: &str, delta: &str) -> Line {
        let row = format!(r#"{{"contactid":"c0000000-0000-4000-8000-0000000000{id:02}"}}"#);
        let gone = r#"{"@odata.context":"R/$deletedEntity","id":"d0000000-0000-4000-8000-000000000001"}"#;
        let link = |name: &str, link: &str| {
            if link.is_empty() { String::new() } else { format!(r#""@odata.{name}":"{link}","#) }
        };
        say(200, &format!(r#"{{{}{}"value":[{row},{gone}]}}"#, link("nextLink", next), link("deltaLink", delta)))
    }

    #[test]
    fn a_chain_that_brings_nothing_new_is_given_up() {
        let pages = (2..=90).map(|number| tracked(1, &format!("ROOT/t?{number}"), "")).collect();
        let (told, asked) = read_pages(str::to_owned, pages);
        assert_eq!(
            told,
            "CRM gave an answer that cannot be trusted: /t: its last 51 pages bring nothing new, and it goes on"
        );
        assert!(asked < 60, "{asked}");
    }

    #[test]
    fn a_link_that_is_no_text_is_asked_for_once() {
        for (name, told) in [("nextLink", "link to the next page"), ("deltaLink", "delta link")] {
            let (result, asked) =
                read_pages(str::to_owned, vec![say(200, &format!(r#"{{"@odata.{name}":7,"value":[]}}"#))]);
            let expected = format!("CRM gave an answer that cannot be trusted: GET /t: its {told} is no text: `7`");
            assert_eq!((result, asked), (expected, 1));
        }
    }

    #[test]
    fn a_token_is_what_stands_behind_the_host_however_that_is_written() {
        let pages = || vec![tracked(1, "ROOT/t?2", ""), tracked(2, "", "ROOT/t?$deltatoken=1%212")];
        let capital = |url: &str| url.replace("http://", "HTTP://");
        for base in [str::to_owned, capital as fn(&str) -> String] {
            assert_eq!(read_pages(base, pages()), ("2 1 /t?$deltatoken=1%212".to_owned(), 2));
        }
    }

    /// As where a page leads on: it would be the token of the next run.
    #[test]
    fn a_delta_link_stays_with_what_was_asked_for() {
        let untrusted = "CRM gave an answer that cannot be trusted: /t: its delta link";
        for (delta, expected) in [
            ("ROOT/T?$deltatoken=1", "1 1 /T?$deltatoken=1".to_owned()),
            // Nothing happened.
            ("ROOT/t?1", "1 1 /t?1".to_owned()),
            ("ROOT/d?$deltatoken=1", format!("{untrusted} leads elsewhere, to `/d`")),
            ("http://evil.example/t?1", format!("{untrusted} leads away, to http://evil.example:80")),
        ] {
            assert_eq!(read_pages(str::to_owned, vec![tracked(1, "", delta)]), (expected, 1));
        }
    }

    #[test]
    fn deletions_are_told_from_rows() {
        let gone = r#"{"@odata.context":"R/$metadata#contacts/$deletedEntity","id":"c0000000-0000-4000-8000-000000000012","reason":"deleted"}"#;
        let row = r#"{"@odata.etag":"W/\"1\"","fullname":"Ida","contactid":"c0000000-0000-4000-8000-000000000011"}"#;
        let body =
            format!(r#"{{"@odata.context":"x","@odata.deltaLink":"R/d?$deltatoken=1%212","value":[{row},{gone}]}}"#);
        let found = page(&body).unwrap();
        assert_eq!(found.rows, format!(r#"{{"value":[{row}]}}"#));
        assert_eq!(found.deleted, [Uuid::from_u128(0xc000_0000_0000_4000_8000_0000_0000_0012)]);
        assert_eq!((found.next, found.delta.as_deref()), (None, Some("R/d?$deltatoken=1%212")));
        for broken in ["{", r#"{"value":[1]}"#, &body.replace("c0000000-0000-4000-8000-000000000012", "x")] {
            assert!(page(broken).is_err(), "{broken}");
        }
    }

    /// It is whole, and stays as it is.
    #[test]
    fn a_deletion_without_an_id_is_asked_for_once() {
        for (row, told) in [
            (r#"{"@odata.context":"R/$deletedEntity","id":"x"}"#, "a deletion has no id"),
            ("1", "a row is no record: invalid type: integer `1`, expected struct Mark at line 1 column 1"),
        ] {
            let pages = (0..3).map(|_| say(200, &format!(r#"{{"value":[{row}]}}"#))).collect();
            let expected = format!("CRM gave an answer that cannot be trusted: GET /t: {told}");
            assert_eq!(read_pages(str::to_owned, pages), (expected, 1));
        }
    }
}
