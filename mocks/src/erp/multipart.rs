//! The multipart `$batch` (OData 4.0 §11.7): taken apart into the operations that a JSON one has, and its answers put
//! together in the order of the operations.
//!
//! A part is a request of its own with a content type and a binary encoding; lines end in CRLF. Change sets are not
//! modelled, and refused.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::error::Refusal;
use crate::service::{Request, Response};

/// Tells whether a batch is multipart.
pub fn is_multipart(request: &Request) -> bool {
    let kind = request.header("content-type").unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("multipart/mixed")
}

/// Reads the parts of a batch, as the JSON one writes its requests.
pub fn requests(request: &Request) -> Result<Vec<Value>, Refusal> {
    let text = std::str::from_utf8(&request.body).map_err(|_| Refusal::bad("The batch is not UTF-8."))?;
    let boundary = boundary(request).ok_or_else(|| Refusal::bad("The content type of the batch has no boundary."))?;
    parts(text, &boundary)?.into_iter().map(part).collect()
}

/// Returns the batch with the first half of its parts, or as it is when it does not read.
pub fn half(request: &Request) -> Option<Request> {
    let text = std::str::from_utf8(&request.body).ok()?;
    let boundary = boundary(request)?;
    let parts = parts(text, &boundary).ok()?;
    let kept = parts[..parts.len() / 2].iter().map(|part| format!("--{boundary}\r\n{part}\r\n"));
    let body = format!("{}--{boundary}--\r\n", kept.collect::<String>());
    Some(Request { body: body.into_bytes(), ..request.clone() })
}

/// Puts the answers together.
pub fn response<'a>(answers: impl Iterator<Item = &'a Response>) -> Response {
    let boundary = format!("batchresponse_{}", Uuid::new_v4());
    let mut body = Vec::new();
    for answer in answers {
        let mut head = format!(
            "--{boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\nHTTP/1.1 {} X\r\n",
            answer.status
        );
        answer.headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(b"\r\n");
        body.extend_from_slice(&answer.body);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let headers = vec![
        ("Content-Type".into(), format!("multipart/mixed; boundary={boundary}")),
        ("OData-Version".into(), "4.0".into()),
    ];
    Response { status: 200, headers, body }
}

fn boundary(request: &Request) -> Option<String> {
    let parameters = request.header("content-type")?.split(';').skip(1);
    let mut pairs = parameters.filter_map(|parameter| parameter.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?;
    Some(value.trim().trim_matches('"').to_owned()).filter(|value| !value.is_empty())
}

/// Splits the body; what comes before the first delimiter is no part.
fn parts<'a>(text: &'a str, boundary: &str) -> Result<Vec<&'a str>, Refusal> {
    let delimiter = format!("--{boundary}");
    let (mut parts, mut start, mut at) = (Vec::new(), None, 0);
    for line in text.split_inclusive("\r\n") {
        let Some(content) = line.strip_suffix("\r\n") else { break };
        if content.contains('\n') {
            return Err(Refusal::bad("The lines of a batch end in CRLF."));
        }
        let closes = content.strip_prefix(&delimiter) == Some("--");
        if closes || content == delimiter {
            // The line end before a delimiter belongs to it.
            parts.extend(start.map(|start: usize| &text[start..at.max(start + 2) - 2]));
            if closes {
                return Ok(parts);
            }
            start = Some(at + line.len());
        }
        at += line.len();
    }
    Err(Refusal::bad("The closing boundary of the batch is missing."))
}

/// Reads headers up to the empty line; returns them and what follows.
fn head(text: &str) -> Result<(Map<String, Value>, &str), Refusal> {
    let (mut headers, mut rest) = (Map::new(), text);
    while let Some((line, after)) = rest.split_once("\r\n") {
        rest = after;
        if line.is_empty() {
            return Ok((headers, rest));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| Refusal::bad("A header of a part has no colon."))?;
        headers.insert(name.trim().to_lowercase(), value.trim().into());
    }
    Err(Refusal::bad("The headers of a part do not end with an empty line."))
}

fn part(text: &str) -> Result<Value, Refusal> {
    let (outer, http) = head(text)?;
    let told = |name: &str| outer.get(name).and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase();
    if told("content-type").starts_with("multipart/mixed") {
        return Err(Refusal::new(501, "BadRequest_MethodNotImplemented", "Change sets are not modelled."));
    }
    if told("content-type") != "application/http" || told("content-transfer-encoding") != "binary" {
        return Err(Refusal::bad("A part of a batch is an application/http message in binary encoding."));
    }
    let (line, rest) = http.split_once("\r\n").ok_or_else(|| Refusal::bad("A part has no request line."))?;
    let words: Vec<&str> = line.split(' ').collect();
    let [method, url, "HTTP/1.1"] = words[..] else {
        return Err(Refusal::bad(format!("The request line '{line}' is not valid.")));
    };
    let (headers, body) = head(rest)?;
    let body = match body.trim() {
        "" => Value::Null,
        body => serde_json::from_str(body)
            .map_err(|error| Refusal::bad(format!("The request body could not be read as JSON: {error}.")))?,
    };
    Ok(json!({"method": method, "url": url, "headers": headers, "body": body}))
}
