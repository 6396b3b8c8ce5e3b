//! `$batch`: many operations in one request, in JSON or (by [`multipart`]) in parts.
//!
//! Operations run in their order, each in its own transaction, and stop at the first failure unless the caller prefers
//! to go on. Those of an `atomicityGroup` hold together or fall together. `Isolation: snapshot` makes one transaction of them; when one fails, all is undone although the answers
//! before it still say that they succeeded, as the product does. Answers come in another order than the operations, so
//! that a caller that does not match them by id is found out; those of a multipart batch have no ids, and come in order.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::error::Refusal;
use super::http::{Place, base, is_json, once, only_reads, preference, refused};
use super::schema::{Api, PAGES};
use super::{State, multipart};
use crate::service::{Request, Response};

const OPERATIONS_MAX: usize = 100;

/// Returns how many operations a batch has.
pub(super) fn count(request: &Request) -> usize {
    let body = serde_json::from_slice::<Value>(&request.body).unwrap_or_default();
    body.get("requests").and_then(Value::as_array).map_or(1, Vec::len)
}

impl State {
    /// Answers a batch.
    pub(super) fn batch(&mut self, api: Api, request: &Request) -> Response {
        self.note(|log| log.batch());
        let operations = match self.operations(api, request) {
            Ok(operations) => operations,
            Err(refusal) => return refused(&refusal),
        };
        let goes_on = preference(request, "odata.continue-on-error").or(preference(request, "continue-on-error"));
        let goes_on = goes_on.is_some_and(|value| value != "false");
        let snapshot = request.header("isolation").is_some_and(|value| value.eq_ignore_ascii_case("snapshot"));
        if snapshot {
            self.begin();
        }
        let mut answers: Vec<(Option<&Value>, Response)> = Vec::with_capacity(operations.len());
        while let Some(operation) = operations.get(answers.len()) {
            let rest = &operations[answers.len()..];
            let group = match operation.group {
                None => 1,
                Some(_) => rest.iter().take_while(|other| other.group == operation.group).count(),
            };
            let failed = self.together(&operations, group, snapshot, &mut answers);
            if failed && !goes_on {
                break;
            }
        }
        if snapshot {
            self.end(answers.iter().any(|(_, answer)| answer.status >= 400));
        }
        if multipart::is_multipart(request) {
            return multipart::response(answers.iter().map(|(_, answer)| answer));
        }
        Response {
            status: 200,
            headers: vec![
                ("Content-Type".into(), "application/json; charset=utf-8".into()),
                ("OData-Version".into(), "4.0".into()),
            ],
            body: written(&answers),
        }
    }

    /// Carries out the next operations, as many as hold together, and tells whether they failed: then none of several has
    /// changed anything, and all of them say so.
    fn together<'a>(
        &mut self,
        operations: &'a [Operation],
        group: usize,
        snapshot: bool,
        answers: &mut Vec<(Option<&'a Value>, Response)>,
    ) -> bool {
        let start = answers.len();
        let own_transaction = group > 1 && !snapshot;
        if own_transaction {
            self.begin();
        }
        let mut failed = false;
        for operation in &operations[start..start + group] {
            let done = || operations.iter().zip(answers.iter());
            let has_failed = |id: &Value| {
                let named = |other: &Operation| other.id.as_ref() == Some(id) || other.group.as_ref() == Some(id);
                done().any(|(other, (_, answer))| named(other) && answer.status >= 400)
            };
            let answer = match &operation.request {
                Ok(_) if operation.depends_on.iter().any(has_failed) => {
                    refused(&Refusal::new(424, "BadRequest", "An operation that this one depends on has failed."))
                }
                Ok(inner) => self.dispatch(inner),
                Err(refusal) => {
                    self.note(|log| log.operation(&operation.method, "", None, refusal.status));
                    refused(refusal)
                }
            };
            failed = answer.status >= 400;
            answers.push((operation.id.as_ref(), answer));
            if failed {
                break;
            }
        }
        if own_transaction {
            self.end(failed);
        }
        if failed && group > 1 {
            let undone = || {
                let message = "Another operation of the same atomicity group has failed.";
                refused(&Refusal::new(424, "BadRequest", message))
            };
            answers[start..].iter_mut().filter(|(_, answer)| answer.status < 400).for_each(|(_, answer)| {
                *answer = undone();
            });
            let left = &operations[answers.len()..start + group];
            answers.extend(left.iter().map(|operation| (operation.id.as_ref(), undone())));
        }
        failed
    }

    fn operations(&self, api: Api, request: &Request) -> Result<Vec<Operation>, Refusal> {
        only_reads(request)?;
        if request.method != "POST" {
            return Err(Refusal::method(&request.method, "$batch", "Action"));
        }
        let is_multipart = multipart::is_multipart(request);
        if !(if is_multipart { self.multipart_batches } else { self.json_batches }) {
            let kind = request.header("content-type").unwrap_or_default();
            let message = format!("The content type '{kind}' of a batch is not supported.");
            return Err(Refusal::new(415, "BadRequest", message));
        }
        let requests = if is_multipart {
            multipart::requests(request)?
        } else {
            is_json(request)?;
            let mut body: Value = serde_json::from_slice(&request.body)
                .map_err(|error| Refusal::bad(format!("The request body could not be read as JSON: {error}.")))?;
            once(&request.body)?;
            let Value::Array(requests) = body["requests"].take() else {
                return Err(Refusal::bad("A batch must have an array named 'requests'."));
            };
            requests
        };
        if requests.len() > OPERATIONS_MAX {
            let message = format!(
                "The current change set contains too many operations. A maximum number of '{OPERATIONS_MAX}' query \
                 operations and change sets are allowed in a batch request."
            );
            return Err(Refusal::new(500, "Internal_ServerError", message));
        }
        let mut operations: Vec<Operation> = Vec::with_capacity(requests.len());
        for value in requests {
            let Value::Object(value) = value else {
                return Err(Refusal::bad("Each request of a batch must be a JSON object."));
            };
            let operation = self.operation(api, request, value)?;
            if operation.id.is_some() && operations.iter().any(|other| other.id == operation.id) {
                return Err(Refusal::bad("The ids of the requests of a batch must differ."));
            }
            let is_before = |id: &&Value| {
                operations.iter().any(|other| other.id.as_ref() == Some(*id) || other.group.as_ref() == Some(*id))
            };
            if let Some(id) = operation.depends_on.iter().find(|id| !is_before(id)) {
                let message = format!("A request of the batch depends on {id}, and no request before it is called so.");
                return Err(Refusal::bad(message));
            }
            let is_of_group = |other: &Operation| operation.group.is_some() && other.group == operation.group;
            if operations.iter().any(is_of_group) && !operations.last().is_some_and(is_of_group) {
                return Err(Refusal::bad("The requests of an atomicity group must follow each other."));
            }
            operations.push(operation);
        }
        Ok(operations)
    }

    fn operation(&self, api: Api, outer: &Request, mut value: Map<String, Value>) -> Result<Operation, Refusal> {
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_string);
        let (Some(method), Some(url)) = (text("method"), text("url")) else {
            return Err(Refusal::bad("Each request of a batch must have a 'method' and an 'url'."));
        };
        let method = method.to_uppercase();
        let mut headers = vec![("Host".to_string(), outer.header("host").unwrap_or("localhost").to_string())];
        if let Some(Value::Object(given)) = value.get("headers") {
            for (name, header) in given {
                headers.push((name.clone(), header.as_str().map_or_else(|| header.to_string(), str::to_string)));
            }
        }
        let root = format!("{}/", self.root(api));
        let target = match url.strip_prefix(&format!("{}{root}", base(outer))) {
            Some(rest) => Ok(format!("{root}{rest}")),
            // A slash in front leads to the host's root, where nothing is.
            None if url.starts_with('/') || url.contains("://") => {
                let message =
                    format!("No HTTP resource was found that matches the request URI '{}{url}'.", base(outer));
                Err(Refusal::new(404, "BadRequest_NotFound", message))
            }
            None if url.starts_with("$batch") => Err(Refusal::bad("A batch may not contain a batch.")),
            None => Ok(format!("{root}{url}")),
        };
        let body = value.get("body").filter(|body| !body.is_null()).map(Value::to_string).unwrap_or_default();
        let request = target.map(|target| Request { method: method.clone(), target, headers, body: body.into() });
        let depends_on = match value.remove("dependsOn") {
            Some(Value::Array(ids)) => ids,
            _ => Vec::new(),
        };
        let mut named = |name: &str| value.remove(name).filter(|value| !value.is_null());
        Ok(Operation { id: named("id"), group: named("atomicityGroup"), method, depends_on, request })
    }

    /// Finds the first existing record that a write, or a batch of them, is about to change.
    pub(super) fn first_changed(&self, request: &Request) -> Option<(usize, Uuid)> {
        match self.place(request).ok()? {
            (_, Place::Record(page, id)) if request.method != "GET" => self.existing(PAGES[page].set, id),
            (api, Place::Batch) => {
                let operations = self.operations(api, request).ok()?;
                operations.iter().filter_map(|operation| operation.request.as_ref().ok()).find_map(|inner| {
                    // Only one level: a batch holds no batch.
                    match self.place(inner).ok()? {
                        (_, Place::Record(page, id)) if inner.method != "GET" => self.existing(PAGES[page].set, id),
                        _ => None,
                    }
                })
            }
            _ => None,
        }
    }

    fn existing(&self, set: usize, id: Uuid) -> Option<(usize, Uuid)> {
        self.tables[set].get(&id).map(|_| (set, id))
    }
}

/// Returns the batch with the first half of its operations, or as it is when it does not read.
pub(super) fn half(request: &Request) -> Request {
    if multipart::is_multipart(request) {
        return multipart::half(request).unwrap_or_else(|| request.clone());
    }
    let mut request = request.clone();
    if let Ok(mut body) = serde_json::from_slice::<Value>(&request.body)
        && let Some(requests) = body["requests"].as_array_mut()
    {
        requests.truncate(requests.len() / 2);
        request.body = body.to_string().into_bytes();
    }
    request
}

struct Operation {
    id: Option<Value>,
    /// The group that holds together or falls together.
    group: Option<Value>,
    method: String,
    depends_on: Vec<Value>,
    request: Result<Request, Refusal>,
}

/// Writes the answers: first those that succeeded, the last of them in front, then those that failed.
fn written(answers: &[(Option<&Value>, Response)]) -> Vec<u8> {
    let (good, bad): (Vec<_>, Vec<_>) = answers.iter().partition(|(_, answer)| answer.status < 400);
    let mut out = b"{\"responses\":[".to_vec();
    for (number, (id, answer)) in good.iter().rev().chain(&bad).enumerate() {
        if number > 0 {
            out.push(b',');
        }
        let id = id.map_or_else(|| "null".to_string(), Value::to_string);
        let headers: Map<String, Value> =
            answer.headers.iter().map(|(name, value)| (name.to_lowercase(), Value::from(value.as_str()))).collect();
        let headers = Value::Object(headers);
        out.extend_from_slice(format!("{{\"id\":{id},\"status\":{},\"headers\":{headers}", answer.status).as_bytes());
        if !answer.body.is_empty() {
            out.extend_from_slice(b",\"body\":");
            let xml = answer.headers.iter().any(|(_, value)| value.contains("xml"));
            if xml {
                super::cell::write_string(&String::from_utf8_lossy(&answer.body), &mut out);
            } else {
                out.extend_from_slice(&answer.body);
            }
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}
