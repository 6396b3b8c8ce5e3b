//! Change tracking as Dataverse does it (crm-api.md §8): pages with changed rows and deletions, and a link to go on from.
//!
//! In goes an address, out come rows, the ids of what was deleted, and the delta link as a token. A token is the link
//! without the host, byte for byte otherwise, so that a state does not remember which address a service had. Whether a
//! refusal matters is the caller's business; only a login, a throttled or an unreachable service is an error here.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::adapters::client::Client;
use crate::adapters::odata::decode::Layout;
use crate::adapters::odata::link::Chain;
use crate::endpoint::{EndpointError, Tracked};

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
    next: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "@odata.deltaLink")]
    delta: Option<Cow<'a, str>>,
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
    let mut url = url.to_owned();
    loop {
        let (answer, page) = client.get(&url, headers, |answer| {
            page(std::str::from_utf8(&answer.body).map_err(|_| "the answer is no UTF-8".to_owned())?)
        })?;
        let Some(page) = page else {
            let fault = answer.fault();
            return match answer.status {
                // Whatever else is wrong with a token, a full read mends it (crm-api.md §8).
                400..=499 => Ok(Tracked::Refused { message: fault.to_string() }),
                _ => Err(EndpointError::Refused { side: client.side(), message: fault.to_string() }),
            };
        };
        layout.page(&page.rows, &mut rows).map_err(untrusted)?;
        deleted.extend(page.deleted);
        progress(rows.count());
        match (page.next, page.delta) {
            (Some(next), _) => url = chain.follow(&next).map_err(untrusted)?,
            (None, Some(delta)) => {
                // Where nothing happened at all it may well be the very link that was followed.
                let token = Chain::new(client.base(), "").follow(&delta).map_err(untrusted)?;
                let token = token.strip_prefix(client.base()).map(str::to_owned);
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
fn page(body: &str) -> Result<Page, String> {
    let envelope: Envelope<'_> =
        serde_json::from_str(body).map_err(|error| format!("the answer is no complete page: {error}"))?;
    let (mut rows, mut deleted) = (Vec::with_capacity(envelope.value.len()), Vec::new());
    for row in envelope.value {
        let mark: Mark<'_> = serde_json::from_str(row.get()).map_err(|error| format!("a row is no record: {error}"))?;
        if mark.context.is_some_and(|context| context.ends_with("/$deletedEntity")) {
            let id = mark.id.and_then(|id| Uuid::try_parse(&id).ok());
            deleted.push(id.ok_or("a deletion has no id")?);
        } else {
            rows.push(row.get());
        }
    }
    Ok(Page {
        rows: format!(r#"{{"value":[{}]}}"#, rows.join(",")),
        deleted,
        next: envelope.next.map(Cow::into_owned),
        delta: envelope.delta.map(Cow::into_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
