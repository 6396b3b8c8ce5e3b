//! Records that a list of ids did not bring: what the answer to a question for each of them alone says (I7).
//!
//! A list leaves out without a word whatever it does not show (crm-api.md §7), so that a record is not in it is no proof
//! that it is gone. In go the answers to requests for single records; out come those that may exist all the same. How a
//! record is asked for is the adapters' business.

use std::collections::HashMap;

use uuid::Uuid;

use crate::adapters::client::Client;
use crate::adapters::odata::fault::Fault;
use crate::endpoint::{EndpointError, Hidden, Line};

/// Asks for some records, and returns what was said of each.
pub type Ask<'a> = dyn Fn(&[Uuid]) -> Result<Vec<Fault>, EndpointError> + 'a;

/// Asks for each of `missing`, by `ask` at most `chunk` at once, and returns those that are not proven to be gone.
///
/// A record that comes after all was left out of its list, which proves nothing then, and what the service itself answers
/// otherwise is no answer to the question: both are errors. Something on the way that turns one record away says nothing of it,
/// and nothing of the others.
pub fn hidden(
    client: &Client,
    missing: &[Uuid],
    chunk: usize,
    ask: &Ask<'_>,
) -> Result<HashMap<Uuid, Hidden>, EndpointError> {
    let side = client.side();
    let mut hidden = HashMap::new();
    for ids in missing.chunks(chunk.max(1)) {
        for (id, fault) in ids.iter().zip(ask(ids)?) {
            match fault.status {
                200..300 => {
                    let message =
                        format!("a list of ids left out record {id}, which is there when it is asked for alone");
                    return Err(EndpointError::Untrusted { side, message });
                }
                403 if fault.is_odata() => hidden.extend([(*id, Hidden::Forbidden)]),
                404 if fault.is_of_record() => {}
                _ if fault.is_of_the_way() => hidden.extend([(*id, Hidden::Untold)]),
                _ => {
                    let message = format!("whether record {id} still exists cannot be told: {fault}");
                    return Err(EndpointError::Refused { side, message });
                }
            }
        }
    }
    Ok(hidden)
}

/// Asks for one record by its address.
pub fn alone(client: &Client, url: &str, headers: &[(&str, String)]) -> Result<Fault, EndpointError> {
    let (answer, _) = client.get(url, headers, |_| Ok(()))?;
    Ok(answer.fault())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::client::tests::client;

    #[test]
    fn only_the_service_itself_says_that_a_record_is_gone() {
        let (client, _) = client("http://127.0.0.1:1", "http://127.0.0.1:1");
        let id = Uuid::from_u128(7);
        let error = |code: &str| format!(r#"{{"error":{{"code":"{code}","message":"m"}}}}"#);
        let refused = "CRM refused the request: whether record";
        for (status, body, told) in [
            (404, error("0x80040217"), "gone"),
            (404, error("BadRequest_NotFound"), "gone"),
            (404, error("Internal_RecordNotFound"), "gone"),
            // The address leads nowhere.
            (404, error("BadRequest_ResourceNotFound"), refused),
            (404, error("0x8006088a"), refused),
            // It was a gateway that answered.
            (404, "<html>".to_owned(), "Untold"),
            (404, String::new(), "Untold"),
            (400, "<html>".to_owned(), "Untold"),
            (403, "<html>".to_owned(), "Untold"),
            (414, String::new(), "Untold"),
            // To whoever asks for anything.
            (401, String::new(), refused),
            (407, "<html>".to_owned(), refused),
            (408, String::new(), refused),
            (429, String::new(), refused),
            (302, String::new(), refused),
            (500, String::new(), refused),
            (400, error("0x0"), refused),
            (403, error("0x80040220"), "Forbidden"),
            (200, "{}".to_owned(), "CRM gave an answer that cannot be trusted: a list of ids left out record"),
        ] {
            let ask = |_: &[Uuid]| Ok(vec![Fault::read(status, body.as_bytes())]);
            let found = match hidden(&client, &[id], 10, &ask) {
                Ok(hidden) => hidden.get(&id).map_or("gone".to_owned(), |hidden| format!("{hidden:?}")),
                Err(error) => error.to_string(),
            };
            assert!(found.starts_with(told), "{status} {body}: {found}");
        }
    }
}
