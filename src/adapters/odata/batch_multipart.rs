//! The multipart batch, as Dataverse and other services take it: HTTP requests inside of one, answered in the same order.
//!
//! In go operations, out comes the body to post; in goes the body of the answer, out come sections in the order of the
//! operations (crm-api.md §11). All lines end in CRLF. A change set is all or nothing; in answers both shapes in which one
//! fails are understood. What a reply means is for the adapter.

/// The boundary of our batches. JSON has no raw line breaks, so no body can hold a line that begins like this.
const BOUNDARY: &str = "batch_pipeline";

/// One request of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub method: &'static str,
    /// The path from the host on, or relative to the batch's own root, with its query.
    pub path: String,
    /// Headers; without a content type a body has the one that Dataverse wants.
    pub headers: Vec<(&'static str, String)>,
    /// A JSON object; blank where the request has none.
    pub body: String,
}

/// One part of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Single(Operation),
    /// Operations of which all are carried out, one after the other, or none.
    ChangeSet(Vec<Operation>),
}

impl Part {
    /// Returns how many operations it counts for.
    pub fn operations(&self) -> usize {
        match self {
            Part::Single(_) => 1,
            Part::ChangeSet(operations) => operations.len(),
        }
    }
}

/// Names and values, in the order in which they came.
type Headers = Vec<(String, String)>;

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Headers,
    pub body: String,
}

/// What became of one part of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Section {
    Single(Reply),
    /// The replies of a change set; fewer than it had requests mean that all of it failed.
    ChangeSet(Vec<Reply>),
}

/// Returns the content type of a batch.
pub fn content_type() -> String {
    // Without quotes, which the name does not need: not every service takes them off.
    format!("multipart/mixed; boundary={BOUNDARY}")
}

/// Returns the body of a batch of single operations.
pub fn build(operations: &[Operation]) -> String {
    let mut out = String::new();
    operations.iter().for_each(|operation| push(&mut out, BOUNDARY, operation, &[], None));
    out.push_str(&format!("--{BOUNDARY}--\r\n"));
    out
}

/// Returns the body of a batch, with `headers` in each of its operations. The content ids that a change set asks for are
/// unique in all of it.
pub fn build_parts(parts: &[Part], headers: &[(&'static str, String)]) -> String {
    let mut out = String::new();
    let mut content_id = 0;
    for part in parts {
        match part {
            Part::Single(operation) => push(&mut out, BOUNDARY, operation, headers, None),
            Part::ChangeSet(operations) => {
                let boundary = format!("changeset_{content_id}");
                out.push_str(&format!("--{BOUNDARY}\r\nContent-Type: multipart/mixed; boundary={boundary}\r\n\r\n"));
                for operation in operations {
                    content_id += 1;
                    push(&mut out, &boundary, operation, headers, Some(content_id));
                }
                out.push_str(&format!("--{boundary}--\r\n\r\n"));
            }
        }
    }
    out.push_str(&format!("--{BOUNDARY}--\r\n"));
    out
}

fn push(
    out: &mut String,
    boundary: &str,
    operation: &Operation,
    headers: &[(&'static str, String)],
    content_id: Option<usize>,
) {
    out.push_str("--");
    out.push_str(boundary);
    out.push_str("\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n");
    if let Some(id) = content_id {
        out.push_str(&format!("Content-ID: {id}\r\n"));
    }
    out.push_str(&format!("\r\n{} {} HTTP/1.1\r\n", operation.method, operation.path));
    let is_told = operation.headers.iter().any(|(name, _)| *name == "Content-Type");
    if !operation.body.is_empty() && !is_told {
        out.push_str("Content-Type: application/json; type=entry\r\n");
    }
    for (name, value) in operation.headers.iter().chain(headers) {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
    out.push_str(&operation.body);
    out.push_str("\r\n");
}

/// Reads the answer to a batch; `Err` where it is no multipart body or does not end as one.
pub fn parse(content_type: &str, body: &[u8]) -> Result<Vec<Section>, String> {
    let boundary = boundary(content_type).ok_or("the answer to the batch is no multipart body")?;
    let body = std::str::from_utf8(body).map_err(|_| "the answer to the batch is no UTF-8")?;
    parts(body, boundary)?.into_iter().map(section).collect()
}

/// Returns the boundary that a multipart content type names.
fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/mixed") {
        return None;
    }
    parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })
}

fn section(part: &str) -> Result<Section, String> {
    let (headers, content) = head(part)?;
    let content_type = header(&headers, "content-type").unwrap_or_default();
    match boundary(content_type) {
        Some(boundary) => {
            let replies = parts(content, boundary)?.into_iter().map(|part| reply(head(part)?.1));
            Ok(Section::ChangeSet(replies.collect::<Result<_, String>>()?))
        }
        None => Ok(Section::Single(reply(content)?)),
    }
}

/// Splits a multipart body; the closing delimiter must be there, or the body was cut short.
fn parts<'a>(body: &'a str, boundary: &str) -> Result<Vec<&'a str>, String> {
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut start = None;
    let mut at = 0;
    // A delimiter is one only at the start of a line.
    for line in body.split_inclusive('\n') {
        let text = line.trim_end();
        let closes = text.strip_prefix(&delimiter) == Some("--");
        if closes || text == delimiter {
            // The line break before a delimiter belongs to the delimiter.
            parts.extend(start.map(|start| trim_break(&body[start..at])));
            if closes {
                return Ok(parts);
            }
            start = Some(at + line.len());
        }
        at += line.len();
    }
    Err("the answer to the batch is cut short".to_owned())
}

fn trim_break(text: &str) -> &str {
    text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text))
}

/// Reads headers up to the blank line; returns them and what follows.
fn head(text: &str) -> Result<(Headers, &str), String> {
    let mut headers = Vec::new();
    let mut rest = text;
    while let Some((line, after)) = rest.split_once('\n') {
        rest = after;
        let line = line.trim_end();
        if line.is_empty() {
            return Ok((headers, rest));
        }
        let (name, value) = line.split_once(':').ok_or("a part of the answer has a broken header")?;
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    // Headers may end the part, without blank line and body.
    Ok((headers, ""))
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn reply(http: &str) -> Result<Reply, String> {
    let http = http.trim_start();
    let (line, rest) = http.split_once('\n').unwrap_or((http, ""));
    let mut words = line.split_whitespace();
    let status = words.next().filter(|version| version.starts_with("HTTP/")).and_then(|_| words.next()?.parse().ok());
    let status = status.ok_or("a part of the answer has no status")?;
    let (headers, body) = head(rest)?;
    Ok(Reply { status, headers, body: body.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crlf(text: &str) -> String {
        text.replace('\n', "\r\n")
    }

    fn patch(id: &str, body: &str) -> Operation {
        Operation {
            method: "PATCH",
            path: format!("/api/data/v9.2/accounts({id})"),
            headers: vec![("If-Match", "*".to_owned())],
            body: body.to_owned(),
        }
    }

    /// The request of odata-wire-examples.md §10, byte for byte save the boundary's name.
    #[test]
    fn a_batch_is_written_as_the_service_reads_it() {
        let contact = r#"{"lastname":"Falk","parentcustomerid_account@odata.bind":"/accounts(a0000000-0000-4000-8000-000000000001)"}"#;
        let body = build(&[
            patch("a0000000-0000-4000-8000-000000000001", r#"{"telephone1":"+47 11 22 33 44"}"#),
            patch("a0000000-0000-4000-8000-0000000000ff", r#"{"telephone1":"+47 00 00 00 00"}"#),
            Operation {
                method: "POST",
                path: "/api/data/v9.2/contacts".into(),
                headers: Vec::new(),
                body: contact.into(),
            },
        ]);
        let expected = r#"--batch_n0001
Content-Type: application/http
Content-Transfer-Encoding: binary

PATCH /api/data/v9.2/accounts(a0000000-0000-4000-8000-000000000001) HTTP/1.1
Content-Type: application/json; type=entry
If-Match: *

{"telephone1":"+47 11 22 33 44"}
--batch_n0001
Content-Type: application/http
Content-Transfer-Encoding: binary

PATCH /api/data/v9.2/accounts(a0000000-0000-4000-8000-0000000000ff) HTTP/1.1
Content-Type: application/json; type=entry
If-Match: *

{"telephone1":"+47 00 00 00 00"}
--batch_n0001
Content-Type: application/http
Content-Transfer-Encoding: binary

POST /api/data/v9.2/contacts HTTP/1.1
Content-Type: application/json; type=entry

{"lastname":"Falk","parentcustomerid_account@odata.bind":"/accounts(a0000000-0000-4000-8000-000000000001)"}
--batch_n0001--
"#;
        assert_eq!(body, crlf(expected).replace("batch_n0001", BOUNDARY));
        let own = vec![("Content-Type", "application/json".to_owned())];
        let body = build(&[Operation { method: "POST", path: "Ts".into(), headers: own, body: "{}".into() }]);
        assert!(body.ends_with(&format!(
            "POST Ts HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--{BOUNDARY}--\r\n"
        )));
    }

    const ANSWER: &str = r#"--batchresponse_5a7c
Content-Type: application/http
Content-Transfer-Encoding: binary

HTTP/1.1 204 No Content
OData-Version: 4.0
OData-EntityId: CRM/api/data/v9.2/accounts(a0000000-0000-4000-8000-000000000001)


--batchresponse_5a7c
Content-Type: application/http
Content-Transfer-Encoding: binary

HTTP/1.1 404 Not Found
REQ_ID: 0d2f7c00-aaaa-4bbb-8ccc-dddddddddddd
Content-Type: application/json; odata.metadata=minimal

{"error":{"code":"0x80040217","message":"account With Id = a0000000-0000-4000-8000-0000000000ff Does Not Exist"}}
--batchresponse_5a7c
Content-Type: application/http
Content-Transfer-Encoding: binary

HTTP/1.1 204 No Content
OData-Version: 4.0


--batchresponse_5a7c--
"#;

    #[test]
    fn sections_come_in_order() {
        let body = crlf(ANSWER);
        for content_type in [
            "multipart/mixed; boundary=batchresponse_5a7c",
            "Multipart/Mixed;charset=utf-8; Boundary=\"batchresponse_5a7c\"",
        ] {
            let sections = parse(content_type, body.as_bytes()).unwrap();
            let short: Vec<_> = sections
                .iter()
                .map(|section| match section {
                    Section::Single(reply) => (reply.status, reply.headers.len(), reply.body.len()),
                    Section::ChangeSet(_) => panic!("there is no change set in it"),
                })
                .collect();
            assert_eq!(short, [(204, 2, 0), (404, 2, 113), (204, 1, 0)]);
        }
    }

    #[test]
    fn a_change_set_fails_in_two_shapes() {
        let nested = r#"--b
Content-Type: multipart/mixed; boundary=changesetresponse_81

--changesetresponse_81
Content-Type: application/http
Content-Transfer-Encoding: binary
Content-ID: 2

HTTP/1.1 412 Precondition Failed
REQ_ID: 9c

{"error":{"code":"0x80060892","message":"violated"}}
--changesetresponse_81--
--b--
"#;
        let single = r#"--b
Content-Type: application/http
Content-Transfer-Encoding: binary

HTTP/1.1 412 Precondition Failed
REQ_ID: 9c

{"error":{"code":"0x80060892","message":"violated"}}
--b--
"#;
        let reply = Reply {
            status: 412,
            headers: vec![("REQ_ID".into(), "9c".into())],
            body: r#"{"error":{"code":"0x80060892","message":"violated"}}"#.into(),
        };
        let parsed = |body: &str| parse("multipart/mixed; boundary=b", crlf(body).as_bytes()).unwrap();
        assert_eq!(parsed(nested), [Section::ChangeSet(vec![reply.clone()])]);
        assert_eq!(parsed(single), [Section::Single(reply)]);
    }

    #[test]
    fn an_answer_that_is_not_whole_is_refused() {
        let body = crlf(ANSWER);
        let cut = &body[..body.len() - 30];
        let multipart = "multipart/mixed; boundary=batchresponse_5a7c";
        for (content_type, body, expected) in [
            ("application/json; odata.metadata=minimal", r#"{"error":{}}"#, "no multipart body"),
            ("multipart/mixed", "", "no multipart body"),
            (multipart, cut, "cut short"),
            (multipart, "", "cut short"),
            (multipart, "--batchresponse_5a7c\r\n\r\nnonsense\r\n--batchresponse_5a7c--", "no status"),
        ] {
            let error = parse(content_type, body.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
