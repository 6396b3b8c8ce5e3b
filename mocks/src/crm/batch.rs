//! Multipart `$batch`: the request taken apart, its operations run in order, the response put together.
//!
//! Byte for byte as the service has it: CRLF everywhere, each part with its own headers, change sets that hold
//! together or fall together, and a stop at the first error unless the client prefers to go on.

use std::collections::HashSet;

use uuid::Uuid;

use super::error::Error;
use super::prefer::Prefer;
use super::reply;
use super::serve;
use super::state::State;
use crate::service::{Request, Response};

/// How many operations one batch may have, those inside of change sets included.
pub const OPERATIONS_MAX: usize = 1000;
/// The longest URL of a GET inside of a batch.
pub const URL_CHARS_MAX: usize = 65_536;

/// Names and values as they came.
type Headers = Vec<(String, String)>;

/// One part of a batch.
#[derive(Debug, Clone)]
enum Part {
    Operation(Operation),
    ChangeSet(Vec<Operation>),
}

/// One operation; its target is relative to the root of the service.
#[derive(Debug, Clone)]
struct Operation {
    content_id: Option<String>,
    request: Request,
}

/// A failure of the batch as a whole.
enum Broken {
    /// The stream cannot be read as multipart.
    Stream(&'static str),
    /// The batch is refused as it stands.
    Refused(Error),
}

/// Answers a `$batch`.
pub fn answer(state: &mut State, request: &Request) -> Response {
    let prefer = Prefer::read(request);
    let parts = match read(state, request) {
        Ok(parts) => parts,
        Err(Broken::Refused(error)) => return reply::error(&error, prefer.wants_all()),
        Err(Broken::Stream(problem)) => {
            let inner = format!("System.ArgumentException: Stream was not readable. {problem}");
            let response = reply::error(&Error::payload("$batch", inner), prefer.wants_all());
            return put_together(400, &[part(&response, None)]);
        }
    };
    let mut answers = Vec::with_capacity(parts.len());
    let mut status = 200;
    let stumbles_at = state.stumbles_at.take();
    for (number, item) in parts.iter().enumerate() {
        let (text, failed) = match item {
            _ if stumbles_at.is_some_and(|at| number >= at) => {
                (part(&reply::error(&Error::sql_timeout(), false), None), Some(500))
            }
            Part::Operation(operation) => {
                let outcome = serve::execute(state, &operation.request, URL_CHARS_MAX);
                serve::note(state, &operation.request, &outcome, outcome.response.status);
                let status = outcome.response.status;
                (part(&outcome.response, None), (status >= 400).then_some(status))
            }
            Part::ChangeSet(operations) => change_set(state, operations),
        };
        answers.push(text);
        if let Some(failed) = failed.filter(|_| !prefer.continue_on_error) {
            status = failed;
            break;
        }
    }
    put_together(status, &answers)
}

/// Returns a batch with the first half of its operations, cut between parts of the outer multipart.
pub fn half(request: &Request) -> Request {
    let Some(boundary) = boundary(request.header("content-type").unwrap_or_default()) else { return request.clone() };
    let text = String::from_utf8_lossy(&request.body).into_owned();
    let delimiter = format!("--{boundary}\r\n");
    let starts: Vec<usize> = text.match_indices(&delimiter).map(|(at, _)| at).collect();
    let Some(cut) = starts.get(starts.len().div_ceil(2)) else { return request.clone() };
    let body = format!("{}--{boundary}--\r\n", &text[..*cut]);
    Request { body: body.into_bytes(), ..request.clone() }
}

/// Returns the requests inside of a batch, for what looks at them from outside; a broken batch has none.
pub fn requests(state: &State, request: &Request) -> Vec<Request> {
    let parts = read(state, request).unwrap_or_default();
    let operations = parts.into_iter().flat_map(|part| match part {
        Part::Operation(operation) => vec![operation],
        Part::ChangeSet(operations) => operations,
    });
    operations.map(|operation| operation.request).collect()
}

/// Runs a change set: all of it, or nothing but the answer of the operation that failed.
fn change_set(state: &mut State, operations: &[Operation]) -> (Vec<u8>, Option<u16>) {
    let boundary = format!("changesetresponse_{}", Uuid::new_v4());
    let mut made: Vec<(String, String)> = Vec::new();
    let mut answers = Vec::with_capacity(operations.len());
    let mut outcomes = Vec::with_capacity(operations.len());
    let mut failed = None;
    state.store.begin();
    for operation in operations {
        let outcome = match resolve(&operation.request, &made) {
            Ok(request) => serve::execute(state, &request, URL_CHARS_MAX),
            Err(error) => serve::Outcome { response: reply::error(&error, false), ..serve::Outcome::default() },
        };
        let response = &outcome.response;
        let text = part(response, operation.content_id.as_deref());
        if response.status >= 400 {
            failed = Some(response.status);
            answers = vec![text];
            outcomes.push((operation, outcome));
            break;
        }
        let url = response.headers.iter().find(|(name, _)| name == "OData-EntityId").map(|(_, url)| url.clone());
        if let (Some(id), Some(url)) = (&operation.content_id, url) {
            made.push((id.clone(), url));
        }
        answers.push(text);
        outcomes.push((operation, outcome));
    }
    match failed {
        Some(_) => state.store.rollback(),
        None => state.store.commit(),
    }
    // What was rolled back did not succeed, whatever its own answer was.
    for (operation, outcome) in &outcomes {
        serve::note(state, &operation.request, outcome, failed.unwrap_or(outcome.response.status));
    }
    if failed.is_some() && state.bare_change_set_errors {
        return (answers.concat(), failed);
    }
    let mut out = format!("Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n").into_bytes();
    for answer in &answers {
        out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        out.extend_from_slice(answer);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--").as_bytes());
    (out, failed)
}

/// Replaces `$n` in the URL and in the references of the body by the row that operation made.
fn resolve(request: &Request, made: &[(String, String)]) -> Result<Request, Error> {
    let find = |reference: &str| {
        let id = reference.trim_start_matches('$');
        let found = made.iter().find(|(content_id, _)| content_id == id).map(|(_, url)| url.clone());
        let message = format!("Content-ID Reference: '${id}' does not exist in the batch context.");
        found.ok_or_else(|| Error::new(400, "0x80060888", message))
    };
    let mut request = request.clone();
    if request.target.starts_with('$') {
        let end = request.target.find(['/', '?']).unwrap_or(request.target.len());
        let (reference, rest) = request.target.split_at(end);
        let url = find(reference)?;
        let path = url.find("/api/data/").map_or(url.as_str(), |at| &url[at..]);
        request.target = format!("{path}{rest}");
    }
    // Content-IDs need no look into bodies that have no reference at all.
    if !request.body.windows(2).any(|pair| pair == b"\"$") {
        return Ok(request);
    }
    let Ok(serde_json::Value::Object(mut body)) = serde_json::from_slice(&request.body) else { return Ok(request) };
    for (name, value) in body.iter_mut() {
        if let Some(reference) = value.as_str().filter(|text| name.ends_with("@odata.bind") && text.starts_with('$')) {
            *value = serde_json::Value::String(find(reference)?);
        }
    }
    request.body = serde_json::Value::Object(body).to_string().into_bytes();
    Ok(request)
}

fn read(state: &State, request: &Request) -> Result<Vec<Part>, Broken> {
    let content_type = request.header("content-type").unwrap_or_default();
    let Some(boundary) = boundary(content_type) else {
        let message = format!(
            "The content type '{content_type}' is not valid for a batch: multipart/mixed with a boundary is expected."
        );
        return Err(Broken::Refused(Error::new(415, "0x80060888", message)));
    };
    check_line_ends(&request.body)?;
    let mut parts = Vec::new();
    let mut count = 0;
    let mut known = HashSet::new();
    for text in split(&request.body, &boundary)? {
        let (headers, body) = head(text)?;
        let kind = find(&headers, "content-type");
        if let Some(boundary) = self::boundary(kind) {
            let mut operations = Vec::new();
            for text in split(body, &boundary)? {
                let (headers, body) = head(text)?;
                let operation = operation(state, &headers, body)?;
                if operation.content_id.is_none() {
                    return Err(refused("Every operation of a change set must have a Content-ID."));
                }
                if let Some(id) = operation.content_id.clone().filter(|id| !known.insert(id.clone())) {
                    return Err(refused(format!("The Content-ID '{id}' is not unique within the batch.")));
                }
                if operation.request.method == "GET" {
                    return Err(refused("A change set cannot contain a GET request."));
                }
                operations.push(operation);
            }
            count += operations.len();
            parts.push(Part::ChangeSet(operations));
        } else {
            count += 1;
            parts.push(Part::Operation(operation(state, &headers, body)?));
        }
    }
    if count > OPERATIONS_MAX {
        let message = format!("The batch has {count} operations; at most {OPERATIONS_MAX} are allowed.");
        return Err(Broken::Refused(Error::argument(message)));
    }
    Ok(parts)
}

/// Reads the HTTP request inside of a part.
fn operation(state: &State, headers: &[(String, String)], text: &[u8]) -> Result<Operation, Broken> {
    if !find(headers, "content-type").eq_ignore_ascii_case("application/http") {
        return Err(refused("The content type of a batch part must be application/http or multipart/mixed."));
    }
    if !find(headers, "content-transfer-encoding").eq_ignore_ascii_case("binary") {
        return Err(refused("The content transfer encoding of a batch part must be binary."));
    }
    let end = text.windows(2).position(|pair| pair == b"\r\n").ok_or(Broken::Stream("A part has no request line."))?;
    let line = std::str::from_utf8(&text[..end]).map_err(|_| Broken::Stream("A request line is not UTF-8."))?;
    let (headers_inside, body) = head(&text[end + 2..])?;
    let mut words = line.split(' ');
    let (Some(method), Some(url), Some("HTTP/1.1"), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(refused(format!("The request line '{line}' is not valid.")));
    };
    let target = url.strip_prefix(&state.root).unwrap_or(url);
    if !target.starts_with("/api/data/v9.") && !target.starts_with('$') {
        return Err(refused(format!(
            "The URL '{url}' in the batch is neither absolute nor relative to this service's root."
        )));
    }
    if target.split('?').next().is_some_and(|path| path.ends_with("/$batch")) {
        return Err(refused("A batch cannot contain a batch."));
    }
    let content_id = headers.iter().chain(&headers_inside).find(|(name, _)| name.eq_ignore_ascii_case("content-id"));
    let content_id = content_id.map(|(_, value)| value.clone());
    let request =
        Request { method: method.to_owned(), target: target.to_owned(), headers: headers_inside, body: body.to_vec() };
    Ok(Operation { content_id, request })
}

/// Splits a multipart body at its boundary; what comes before the first delimiter is no part.
fn split<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<&'a [u8]>, Broken> {
    let delimiter = format!("--{boundary}").into_bytes();
    let missing = Broken::Stream("The closing boundary is missing.");
    let mut parts = Vec::new();
    let mut at = 0;
    let mut start = None;
    loop {
        let Some(found) = body[at..].windows(delimiter.len()).position(|window| window == delimiter) else {
            return Err(missing);
        };
        let found = at + found;
        let after = found + delimiter.len();
        let at_line_start = found == 0 || body[..found].ends_with(b"\r\n");
        let ends = body[after..].starts_with(b"--\r\n");
        if !at_line_start || !ends && !body[after..].starts_with(b"\r\n") {
            // The text of a boundary inside of a longer one, or of a line, separates nothing.
            if body[after..].is_empty() || body[after..] == *b"--" {
                return Err(Broken::Stream("The last line of the batch does not end."));
            }
            at = after;
            continue;
        }
        if let Some(start) = start {
            // The line end before a delimiter belongs to the delimiter.
            parts.push(&body[start..found.saturating_sub(2).max(start)]);
        }
        if ends {
            return Ok(parts);
        }
        start = Some(after + 2);
        at = after + 2;
    }
}

/// Splits headers from what follows the empty line.
fn head(text: &[u8]) -> Result<(Headers, &[u8]), Broken> {
    let (block, rest) = if let Some(rest) = text.strip_prefix(b"\r\n") {
        (&text[..0], rest)
    } else {
        let end = text.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.ok_or(Broken::Stream("The headers of a part do not end with an empty line."))?;
        (&text[..end], &text[end + 4..])
    };
    let block = std::str::from_utf8(block).map_err(|_| Broken::Stream("The headers of a part are not UTF-8."))?;
    let mut headers = Headers::new();
    for line in block.split("\r\n").filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(Broken::Stream("A header of a part has no colon."))?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Ok((headers, rest))
}

fn check_line_ends(body: &[u8]) -> Result<(), Broken> {
    let bare = body.iter().enumerate().any(|(at, byte)| *byte == b'\n' && (at == 0 || body[at - 1] != b'\r'));
    if bare { Err(Broken::Stream("Line endings must be CRLF.")) } else { Ok(()) }
}

/// Returns the boundary of a `multipart/mixed` content type, quoted or not.
fn boundary(content_type: &str) -> Option<String> {
    let mut parts = content_type.split(';');
    if !parts.next()?.trim().eq_ignore_ascii_case("multipart/mixed") {
        return None;
    }
    parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim().eq_ignore_ascii_case("boundary") && !value.is_empty()).then(|| value.to_owned())
    })
}

fn find<'a>(headers: &'a [(String, String)], wanted: &str) -> &'a str {
    headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map_or("", |(_, value)| value.as_str())
}

fn refused(message: impl Into<String>) -> Broken {
    Broken::Refused(Error::new(400, "0x80048d19", message))
}

/// Writes a response as a part, without the line end that belongs to the next delimiter.
fn part(response: &Response, content_id: Option<&str>) -> Vec<u8> {
    let mut out = String::from("Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n");
    if let Some(id) = content_id {
        out.push_str(&format!("Content-ID: {id}\r\n"));
    }
    out.push_str(&format!("\r\nHTTP/1.1 {} {}\r\n", response.status, reply::reason(response.status)));
    for (name, value) in &response.headers {
        if name == "OData-EntityId" {
            out.push_str(&format!("Location: {value}\r\n"));
        }
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
    let mut out = out.into_bytes();
    out.extend_from_slice(&response.body);
    out
}

fn put_together(status: u16, parts: &[Vec<u8>]) -> Response {
    let boundary = format!("batchresponse_{}", Uuid::new_v4());
    let mut body = Vec::new();
    for part in parts {
        body.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        body.extend_from_slice(part);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let headers = vec![("Content-Type".to_owned(), format!("multipart/mixed; boundary={boundary}")), reply::version()];
    Response { status, headers, body }
}
