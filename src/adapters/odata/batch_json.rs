//! The JSON batch, as Business Central and other services take it: many requests in one, answered in any order and
//! matched by id.
//!
//! In go operations, out comes the body to post; in goes the body of the answer, out come replies in the order of the
//! operations (erp-api.md §5). What a reply means is for the adapter.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::adapters::odata::value::{object, string};

/// One request of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub method: &'static str,
    /// Relative to the batch's own root, without leading slash: with one, it would start at the host.
    pub url: String,
    pub if_match: Option<String>,
    /// A JSON object; blank where the request has none.
    pub body: String,
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// Names and values, in the order of the names.
    pub headers: Vec<(String, String)>,
    /// JSON, or empty.
    pub body: String,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    responses: Vec<Response<'a>>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    status: u16,
    #[serde(borrow, default)]
    headers: Option<&'a RawValue>,
    #[serde(borrow, default)]
    body: Option<&'a RawValue>,
}

/// Returns the body of a batch; ids are the positions from 1.
pub fn build(operations: &[Operation]) -> String {
    let requests: Vec<String> = operations.iter().zip(1_usize..).map(request).collect();
    format!("{{\"requests\":[{}]}}", requests.join(","))
}

fn request((operation, id): (&Operation, usize)) -> String {
    let body = Some(operation.body.as_str()).filter(|body| !body.is_empty());
    // In lower case, as OData JSON Format 4.01 (§19.1) wants them: not every service finds them otherwise.
    let mut headers: Vec<(&str, String)> = body.iter().map(|_| ("content-type", string("application/json"))).collect();
    headers.extend(operation.if_match.as_deref().map(|etag| ("if-match", string(etag))));
    let headers = object(headers.iter().map(|(name, value)| (*name, value.as_str())));
    let (id, method, url) = (string(&id.to_string()), string(operation.method), string(&operation.url));
    let parts = [("id", id.as_str()), ("method", &method), ("url", &url), ("headers", &headers)];
    object(parts.into_iter().chain(body.map(|body| ("body", body))))
}

/// Reads the answer to `count` operations; an operation without reply is `None`.
pub fn parse(body: &[u8], count: usize) -> Result<Vec<Option<Reply>>, String> {
    let envelope: Envelope<'_> =
        serde_json::from_slice(body).map_err(|error| format!("the answer to the batch is not whole: {error}"))?;
    let mut replies = vec![None; count];
    for response in envelope.responses {
        let position = response.id.as_deref().and_then(|id| id.parse::<usize>().ok()).and_then(|id| id.checked_sub(1));
        let slot = position.and_then(|position| replies.get_mut(position));
        let slot = slot.ok_or("the answer to the batch has a reply to nothing")?;
        let headers = response.headers.map(headers).unwrap_or_default();
        let body = response.body.map_or("", RawValue::get).to_owned();
        if slot.replace(Reply { status: response.status, headers, body }).is_some() {
            return Err("the answer to the batch has two replies to one operation".to_owned());
        }
    }
    Ok(replies)
}

/// Reads the headers of a reply, which are texts; a number is one without its quotes. Nothing hangs on them, so what is
/// neither is as good as none.
fn headers(headers: &RawValue) -> Vec<(String, String)> {
    let headers: BTreeMap<String, Value> = serde_json::from_str(headers.get()).unwrap_or_default();
    let text = |value| match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    headers.into_iter().filter_map(|(name, value)| Some((name, text(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPANY: &str = "companies(5b1e0c52-7a44-ef11-8e52-6045bd2b1a01)";

    fn operation(method: &'static str, url: &str, if_match: Option<&str>, body: &str) -> Operation {
        Operation { method, url: format!("{COMPANY}/{url}"), if_match: if_match.map(str::to_owned), body: body.into() }
    }

    /// The request of odata-wire-examples.md §16, without its line breaks and with its headers in lower case, and a deletion.
    #[test]
    fn a_batch_is_written_as_the_service_reads_it() {
        let body = build(&[
            operation(
                "PATCH",
                "customers(e1000000-0000-4000-8000-000000000001)",
                Some("*"),
                r#"{"phoneNumber":"+46 8 111"}"#,
            ),
            operation(
                "PATCH",
                "customers(e1000000-0000-4000-8000-0000000000ff)",
                Some("W/\"x\""),
                r#"{"phoneNumber":"+46 8 222"}"#,
            ),
            operation("POST", "items", None, r#"{"number":"KAB-10","unitPrice":129.5}"#),
            operation("DELETE", "items(e1000000-0000-4000-8000-000000000002)", Some("W/\"y\""), ""),
        ]);
        let expected = [
            r#"{"requests":["#,
            r#"{"id":"1","method":"PATCH","url":"companies(5b1e0c52-7a44-ef11-8e52-6045bd2b1a01)/customers(e1000000-0000-4000-8000-000000000001)","headers":{"content-type":"application/json","if-match":"*"},"body":{"phoneNumber":"+46 8 111"}},"#,
            r#"{"id":"2","method":"PATCH","url":"companies(5b1e0c52-7a44-ef11-8e52-6045bd2b1a01)/customers(e1000000-0000-4000-8000-0000000000ff)","headers":{"content-type":"application/json","if-match":"W/\"x\""},"body":{"phoneNumber":"+46 8 222"}},"#,
            r#"{"id":"3","method":"POST","url":"companies(5b1e0c52-7a44-ef11-8e52-6045bd2b1a01)/items","headers":{"content-type":"application/json"},"body":{"number":"KAB-10","unitPrice":129.5}},"#,
            r#"{"id":"4","method":"DELETE","url":"companies(5b1e0c52-7a44-ef11-8e52-6045bd2b1a01)/items(e1000000-0000-4000-8000-000000000002)","headers":{"if-match":"W/\"y\""}}"#,
            "]}",
        ];
        assert_eq!(body, expected.concat());
    }

    /// The shuffled answer of odata-wire-examples.md §16.
    #[test]
    fn replies_are_matched_by_id() {
        let body = r#"{"responses":[
 {"id":"1","status":200,"headers":{"content-type":"application/json","odata-version":"4.0"},"body":{"phoneNumber":"+46 8 111"}},
 {"id":"3","status":201,"headers":{"location":"..."},"body":{"number":"KAB-10"}},
 {"id":"2","status":404,"headers":{},"body":{"error":{"code":"BadRequest_NotFound","message":"..."}}}
]}"#;
        let replies = parse(body.as_bytes(), 4).unwrap();
        let short: Vec<_> =
            replies.iter().map(|reply| reply.as_ref().map(|reply| (reply.status, &*reply.body))).collect();
        let expected = [
            Some((200, r#"{"phoneNumber":"+46 8 111"}"#)),
            Some((404, r#"{"error":{"code":"BadRequest_NotFound","message":"..."}}"#)),
            Some((201, r#"{"number":"KAB-10"}"#)),
            None,
        ];
        assert_eq!(short, expected);
    }

    #[test]
    fn the_headers_of_a_reply_are_texts() {
        for (headers, expected) in [
            (r#"{"retry-after":"17","Date":"Sat"}"#, "Date: Sat, retry-after: 17"),
            (r#"{"Retry-After":17,"x":[1],"y":null}"#, "Retry-After: 17"),
            ("{}", ""),
            ("null", ""),
            ("[17]", ""),
        ] {
            let body = format!(r#"{{"responses":[{{"id":"1","status":429,"headers":{headers}}}]}}"#);
            let reply = parse(body.as_bytes(), 1).unwrap().remove(0).unwrap();
            let told: Vec<String> = reply.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
            assert_eq!(told.join(", "), expected, "{headers}");
        }
    }

    #[test]
    fn an_answer_that_cannot_be_matched_is_refused() {
        for (body, expected) in [
            (r#"{"responses":[{"id":"1","status":200}"#, "not whole"),
            (r#"{"responses":[{"id":null,"status":200}]}"#, "a reply to nothing"),
            (r#"{"responses":[{"id":"3","status":200}]}"#, "a reply to nothing"),
            (r#"{"responses":[{"id":"0","status":200}]}"#, "a reply to nothing"),
            (r#"{"responses":[{"id":"1","status":200},{"id":"1","status":200}]}"#, "two replies"),
        ] {
            let error = parse(body.as_bytes(), 2).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
