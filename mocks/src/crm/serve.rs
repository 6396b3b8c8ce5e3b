//! From a request to the part of the service that answers it: tokens, batches, metadata, rows.
//!
//! Here are the conditions of writes (`If-Match`, `If-None-Match`), the upsert that an unconditional PATCH is, and
//! what the fault plan needs of a service.

use std::time::Duration;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::address::{self, Address};
use super::error::Error;
use super::prefer::Prefer;
use super::privilege::{self, Privilege};
use super::quota::Refusal;
use super::schema::{Kind, TABLES};
use super::state::{State, TENANT};
use super::store::{Cell, Row};
use super::{batch, bulk, caller, csdl, metadata, read, reply, write};
use crate::body::named_twice;
use crate::fault::Faulty;
use crate::filter;
use crate::service::{Request, Response, Service};
use crate::token::Access;

/// A function, which has parentheses where it has no parameters.
const RETRIEVE_USER_PRIVILEGES: &str = "Microsoft.Dynamics.CRM.RetrieveUserPrivileges()";
/// The longest URL of a GET.
const URL_CHARS_MAX: usize = 32_768;

/// An answer, with what the log notes of the operation.
#[derive(Debug, Default)]
pub struct Outcome {
    pub response: Response,
    pub set: String,
    pub id: Option<Uuid>,
    /// The rows that a bulk message wrote, each as the operation that it stands for.
    pub records: Vec<(&'static str, Uuid)>,
}

impl Service for State {
    fn answer(&mut self, request: &Request) -> Response {
        let log = self.log();
        let mut log_now = log.lock().expect("no holder of the log panics");
        log_now.request();
        if let Some(response) = self.tokens.answer(request) {
            log_now.token();
            return response;
        }
        drop(log_now);
        self.pinned += u64::from(request.header("cookie").is_some());
        if self.tokens.check(request.header("authorization")) != Access::Granted {
            return self.unauthorized();
        }
        if self.is_disabled() {
            let message = format!("The specified user(Id = {}) is disabled. Consider enabling this user.", self.caller);
            return reply::error(&Error::new(403, "0x80040225", message), false);
        }
        if let Err(refusal) = self.admit(request) {
            let mut log = log.lock().expect("no holder of the log panics");
            log.throttled(refusal.is_repeated);
            return too_many(&refusal.error, Some(refusal.retry_after));
        }
        let mut response = if filter::query(&request.target).0.ends_with("/$batch") && request.method == "POST" {
            log.lock().expect("no holder of the log panics").batch();
            batch::answer(self, request)
        } else {
            let outcome = execute(self, request, URL_CHARS_MAX);
            note(self, request, &outcome, outcome.response.status);
            outcome.response
        };
        if !response.headers.iter().any(|(name, _)| name == "REQ_ID") {
            response.headers.push(("REQ_ID".to_owned(), Uuid::new_v4().to_string()));
        }
        response.headers.push(("x-ms-service-request-id".to_owned(), Uuid::new_v4().to_string()));
        let server = self.servers.current();
        response.headers.push(("Set-Cookie".to_owned(), server.cookie()));
        let left = server.spent.left(&self.quota, self.time.now());
        response.headers.push(("x-ms-ratelimit-burst-remaining-xrm-requests".to_owned(), left.to_string()));
        let left = server.spent.time_left(&self.quota, self.time.now()).as_secs_f64();
        response.headers.push(("x-ms-ratelimit-time-remaining-xrm-requests".to_owned(), format!("{left:.2}")));
        response
    }
}

impl Faulty for State {
    fn is_token(&self, request: &Request) -> bool {
        filter::query(&request.target).0 == self.tokens.path
    }

    fn throttled(&mut self, retry_after: Option<u64>) -> Response {
        self.log().lock().expect("no holder of the log panics").request();
        let message = "Number of requests exceeded the limit of 6000 over time window of 300 seconds.";
        too_many(&Error::new(429, "0x80072322", message), retry_after)
    }

    fn stranger(&mut self) -> Response {
        self.log().lock().expect("no holder of the log panics").request();
        reply::error(&Error::new(403, "0x80072560", "The user is not a member of the organization."), false)
    }

    fn timed_out(&mut self, request: &Request) -> Response {
        if filter::query(&request.target).0.ends_with("/$batch") {
            self.stumbles_at = Some(batch::requests(self, request).len() / 2);
            return self.answer(request);
        }
        self.log().lock().expect("no holder of the log panics").request();
        reply::error(&Error::sql_timeout(), false)
    }

    fn refuse_batch(&mut self) -> Response {
        self.log().lock().expect("no holder of the log panics").request();
        reply::error(&Error::new(400, "0x80048d19", "Error identified in Payload provided by the user."), false)
    }

    fn took(&mut self) -> Duration {
        std::mem::take(&mut self.took)
    }

    fn expire_tokens(&mut self) {
        self.tokens.expire();
    }

    fn expire_changes(&mut self) {
        State::expire_changes(self);
    }

    fn touch(&mut self, request: &Request) {
        let requests = match filter::query(&request.target).0.ends_with("/$batch") {
            true => batch::requests(self, request),
            false => vec![request.clone()],
        };
        let changed = requests.iter().filter(|request| matches!(request.method.as_str(), "PATCH" | "PUT" | "DELETE"));
        let found = changed.into_iter().find_map(|request| self.addressed(&request.target));
        if let Some((table, id)) = found {
            let (mut row, person) = (self.store.get(table, id).cloned().unwrap_or_default(), self.person());
            if let Some(description) = TABLES[table].by_name("description") {
                let text = format!("Edited on {}", self.now().format("%Y-%m-%d %H:%M:%S"));
                row.set(description, Some(Cell::Text(text.into())));
            }
            self.stamp(table, &mut row, person);
            self.store.put(table, id, row);
        }
    }

    fn half(&self, request: &Request) -> Request {
        batch::half(request)
    }
}

impl State {
    /// Finds the existing row that a URL addresses.
    fn addressed(&self, target: &str) -> Option<(usize, Uuid)> {
        let path = address::relative(filter::query(target).0)?;
        let first = filter::decode(path.split('/').next()?, false);
        let (table, address) = address::segment(self, &first).ok()?;
        let id = address?.id()?;
        self.store.get(table, id).map(|_| (table, id))
    }

    /// The refusal of a token; its body is nothing, a page of the web server's, or an error, by turns.
    fn unauthorized(&mut self) -> Response {
        let challenge = format!(
            "Bearer authorization_uri=https://login.microsoftonline.com/{TENANT}/oauth2/authorize, resource_id={}/",
            self.root
        );
        self.strangers += 1;
        let mut response = match self.strangers % 3 {
            1 => Response { status: 401, ..Response::default() },
            2 => reply::front_end(401, "401 - Unauthorized: Access is denied due to invalid credentials."),
            _ => reply::error(&Error::new(401, "0x8005F101", "The access token has expired."), false),
        };
        response.headers.push(("WWW-Authenticate".to_owned(), challenge));
        response
    }

    /// Holds a request against the service protection limits.
    fn admit(&mut self, request: &Request) -> Result<(), Refusal> {
        let operations = if self.quota.per_operation.is_zero() {
            0
        } else if filter::query(&request.target).0.ends_with("/$batch") {
            batch::requests(self, request).len()
        } else {
            bulk::targets(request)
        };
        let server = self.servers.answering(request);
        let takes = server.spent.admit(&self.quota, request, operations, self.time.now())?;
        server.taken += 1;
        self.took = self.time.pass(takes);
        Ok(())
    }
}

/// The refusal of a request beyond the service protection limits.
fn too_many(error: &Error, retry_after: Option<u64>) -> Response {
    let mut response = reply::error(error, false);
    response.headers.extend(retry_after.map(|seconds| ("Retry-After".to_owned(), seconds.to_string())));
    response.headers.push(("x-ms-ratelimit-burst-remaining-xrm-requests".to_owned(), "0".to_owned()));
    response
}

/// Notes an operation in the log; a bulk message counts as the operations that it stands for.
pub fn note(state: &State, request: &Request, outcome: &Outcome, status: u16) {
    let log = state.log();
    let mut log = log.lock().expect("no holder of the log panics");
    for (method, id) in &outcome.records {
        log.operation(method, &outcome.set, Some(*id), status);
    }
    if outcome.records.is_empty() {
        log.operation(&request.method, &outcome.set, outcome.id, status);
    }
}

/// Answers one operation, inside of a batch or not.
pub fn execute(state: &mut State, request: &Request, url_chars_max: usize) -> Outcome {
    if request.method == "GET" && state.root.len() + request.target.len() > url_chars_max {
        return Outcome { response: reply::front_end(414, "Request-URI Too Long"), ..Outcome::default() };
    }
    let prefer = Prefer::read(request);
    let mut outcome = Outcome::default();
    // A refused operation leaves nothing behind; inside of a change set, the set itself remembers.
    let own = !state.store.is_remembering();
    if own {
        state.store.begin();
    }
    let result = in_whose_name(state, request, &prefer, &mut outcome);
    match (&result, own) {
        (Ok(_), true) => state.store.commit(),
        (Err(_), true) => state.store.rollback(),
        (_, false) => {}
    }
    let telling = state.telling;
    outcome.response = result.unwrap_or_else(|error| reply::error(&error.told(telling), prefer.wants_all()));
    outcome
}

/// Carries out an operation in the name of whom it says, past the logic that it says.
fn in_whose_name(
    state: &mut State,
    request: &Request,
    prefer: &Prefer,
    outcome: &mut Outcome,
) -> Result<Response, Error> {
    state.acting = caller::acts_for(state, request)?;
    let bypassed = caller::bypassed(state, request);
    let result = bypassed.and_then(|bypassed| Ok((route(state, request, prefer, outcome)?, bypassed)));
    state.acting = None;
    let (response, bypassed) = result?;
    let writes = if request.method == "GET" { 0 } else { outcome.records.len().max(1) as u64 };
    for logic in bypassed {
        *state.bypasses.entry(logic).or_default() += writes;
    }
    Ok(response)
}

fn route(state: &mut State, request: &Request, prefer: &Prefer, outcome: &mut Outcome) -> Result<Response, Error> {
    let (path, options) = filter::query(&request.target);
    let path = address::relative(path).ok_or_else(|| Error::segment(path.trim_start_matches('/')))?;
    let segments: Vec<String> = path.split('/').map(|segment| filter::decode(segment, false)).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let method = request.method.as_str();
    outcome.set = segments[0].split('(').next().unwrap_or_default().to_owned();
    match (method, segments.as_slice()) {
        ("GET", [""]) => return Ok(csdl::service_document(state)),
        ("GET", ["$metadata"]) if takes_xml(request) => return Ok(csdl::document()),
        ("GET", ["$metadata"]) => {
            let message = "The service metadata is XML: application/xml has to be accepted.";
            return Err(Error::new(415, "0x80060888", message));
        }
        ("GET", ["WhoAmI" | "WhoAmI()"]) => return Ok(who_am_i(state)),
        ("GET", ["sdkmessagefilters"]) => return bulk::probe(state, &options),
        (_, [first, ..]) if first.starts_with("EntityDefinitions") => {
            let read = method == "GET";
            return if read { metadata::answer(state, &segments, &options) } else { Err(wrong_verb(method)) };
        }
        _ => {}
    }
    let (table, address) = address::segment(state, segments[0])?;
    outcome.id = address.as_ref().and_then(Address::id);
    if method == "GET" {
        privilege::demand(state, table, Privilege::Read)?;
    }
    match (method, address, &segments[1..]) {
        ("GET", None, []) => read::page(state, table, request, &request.target, prefer),
        ("GET", None, ["$count"]) => read::count(state, table, &request.target),
        ("GET", Some(address), []) => read::single(state, table, &address, request, &request.target, prefer),
        ("GET", Some(address), [RETRIEVE_USER_PRIVILEGES | "Microsoft.Dynamics.CRM.RetrieveUserPrivileges"])
            if TABLES[table].name == "systemuser" =>
        {
            existing(state, table, &address).map(|(user, _)| privilege::held(state, user))
        }
        ("GET", Some(address), [property]) => read::property(state, table, &address, property),
        ("POST", None, []) => post(state, table, request, &options, prefer, outcome),
        ("POST", None, [segment]) => match bulk::Message::of(state, table, segment) {
            Some(message) => bulk::answer(state, table, message, &body(table, request)?, request, outcome),
            None => Err(Error::segment(segment)),
        },
        ("POST", Some(address), ["Microsoft.Dynamics.CRM.PublishProductHierarchy"])
            if TABLES[table].name == "product" =>
        {
            publish(state, table, &address)
        }
        ("PATCH", Some(address), []) => patch(state, table, &address, request, &options, prefer, outcome),
        ("DELETE", Some(address), []) => delete(state, table, &address, request),
        ("PUT", Some(address), [name, "$ref"]) => put_reference(state, table, &address, name, request),
        ("DELETE", Some(address), [name, "$ref"]) => clear_reference(state, table, &address, name),
        ("PUT", Some(address), [name]) => put_property(state, table, &address, name, request),
        ("DELETE", Some(address), [name]) => clear_property(state, table, &address, name),
        (_, _, []) => Err(wrong_verb(method)),
        (_, _, rest) => Err(Error::segment(rest[0])),
    }
}

fn post(
    state: &mut State,
    table: usize,
    request: &Request,
    options: &[(String, String)],
    prefer: &Prefer,
    outcome: &mut Outcome,
) -> Result<Response, Error> {
    read::check_options(table, options)?;
    let body = body(table, request)?;
    let id = write::create(state, table, &body, None, &Row::default())?;
    outcome.id = Some(id);
    written(state, table, id, &id.to_string(), true, options, prefer)
}

/// PATCH: an update under a condition, and without one an upsert.
fn patch(
    state: &mut State,
    table: usize,
    address: &Address,
    request: &Request,
    options: &[(String, String)],
    prefer: &Prefer,
    outcome: &mut Outcome,
) -> Result<Response, Error> {
    read::check_options(table, options)?;
    let existing = address.id().filter(|id| state.store.get(table, *id).is_some());
    check_match(state, table, address, existing, request)?;
    if existing.is_some() && request.header("if-none-match").is_some_and(is_any) {
        return Err(Error::new(412, "", "A record with matching key values already exists."));
    }
    let body = body(table, request)?;
    let id = match existing {
        Some(id) => {
            write::update(state, table, id, &body, &address.values())?;
            id
        }
        None => write::create(state, table, &body, address.id(), &address.values())?,
    };
    outcome.id = Some(id);
    written(state, table, id, &address.text(), existing.is_none(), options, prefer)
}

fn delete(state: &mut State, table: usize, address: &Address, request: &Request) -> Result<Response, Error> {
    let existing = address.id().filter(|id| state.store.get(table, *id).is_some());
    check_match(state, table, address, existing, request)?;
    privilege::demand(state, table, Privilege::Delete)?;
    let (id, caller) = (existing.ok_or_else(|| address.missing(table))?, state.writer());
    write::remove(state, table, id, caller)?;
    Ok(reply::no_content(None))
}

/// Publishes a draft, the only way from draft to active.
fn publish(state: &mut State, table: usize, address: &Address) -> Result<Response, Error> {
    let declared = &TABLES[table];
    let (state_code, status) = (declared.column("statecode"), declared.column("statuscode"));
    let (id, mut row) = existing(state, table, address)?;
    if !state.may_publish {
        let message = format!("Principal user (Id={}) is missing prvPublishProduct privilege.", state.caller);
        return Err(Error::new(403, "0x80040220", message));
    }
    if !matches!(row.get(state_code), Some(Cell::Whole(2 | 3))) {
        return Err(Error::new(
            400,
            "0x80048408",
            "Only a product that is a draft or under revision can be published.",
        ));
    }
    row.set(state_code, Some(Cell::Whole(0)));
    row.set(status, Some(Cell::Whole(1)));
    let writer = state.writer();
    state.stamp(table, &mut row, writer);
    state.store.put(table, id, row);
    Ok(reply::no_content(None))
}

fn put_property(
    state: &mut State,
    table: usize,
    address: &Address,
    name: &str,
    request: &Request,
) -> Result<Response, Error> {
    let mut body = body(table, request)?;
    let value =
        body.remove("value").ok_or_else(|| Error::payload(TABLES[table].set, "The body must have a 'value'."))?;
    set_property(state, table, address, name, value)
}

fn clear_property(state: &mut State, table: usize, address: &Address, name: &str) -> Result<Response, Error> {
    set_property(state, table, address, name, Value::Null)
}

fn set_property(
    state: &mut State,
    table: usize,
    address: &Address,
    name: &str,
    value: Value,
) -> Result<Response, Error> {
    let declared = &TABLES[table];
    let column = declared.by_property(name).ok_or_else(|| Error::segment(name))?;
    if declared.columns[column].is_lookup() || matches!(declared.columns[column].kind, Kind::Key) {
        return Err(super::value::reference_error());
    }
    let (id, _) = existing(state, table, address)?;
    write::update(state, table, id, &Map::from_iter([(name.to_owned(), value)]), &Row::default())?;
    Ok(reply::no_content(None))
}

fn put_reference(
    state: &mut State,
    table: usize,
    address: &Address,
    name: &str,
    request: &Request,
) -> Result<Response, Error> {
    let mut body = body(table, request)?;
    let url = body
        .remove("@odata.id")
        .ok_or_else(|| Error::payload(TABLES[table].set, "The body must have an '@odata.id'."))?;
    let (id, _) = existing(state, table, address)?;
    write::update(state, table, id, &Map::from_iter([(format!("{name}@odata.bind"), url)]), &Row::default())?;
    Ok(reply::no_content(None))
}

fn clear_reference(state: &mut State, table: usize, address: &Address, name: &str) -> Result<Response, Error> {
    TABLES[table].by_navigation(name).ok_or_else(|| Error::segment(name))?;
    let (id, _) = existing(state, table, address)?;
    write::update(state, table, id, &Map::from_iter([(name.to_owned(), Value::Null)]), &Row::default())?;
    Ok(reply::no_content(None))
}

fn existing(state: &State, table: usize, address: &Address) -> Result<(Uuid, Row), Error> {
    let id = address.id().ok_or_else(|| address.missing(table))?;
    let row = state.store.get(table, id).cloned().ok_or_else(|| address.missing(table))?;
    Ok((id, row))
}

/// Checks `If-Match`: any row at all, or the version that the client knows.
fn check_match(
    state: &State,
    table: usize,
    address: &Address,
    existing: Option<Uuid>,
    request: &Request,
) -> Result<(), Error> {
    let Some(wanted) = request.header("if-match") else { return Ok(()) };
    let row = existing.and_then(|id| state.store.get(table, id)).ok_or_else(|| address.missing(table))?;
    let tag = reply::etag(table, row);
    if !is_any(wanted) && state.unversioned.contains(TABLES[table].name) {
        let message = format!(
            "Optimistic concurrency isn't enabled for entity type {}. The IfVersionMatches value of ConcurrencyBehavior \
             can only be used if optimistic concurrency is enabled.",
            TABLES[table].name
        );
        return Err(Error::new(400, "0x8006088d", message));
    }
    if is_any(wanted) || wanted.split(',').any(|wanted| wanted.trim() == tag) {
        return Ok(());
    }
    let message = "The version of the existing record doesn't match the RowVersion property provided.";
    Err(Error::new(412, "0x80060882", message))
}

/// Tells whether the caller takes XML; who says nothing takes anything.
fn takes_xml(request: &Request) -> bool {
    request.header("accept").is_none_or(|accepted| ["xml", "*/*"].iter().any(|kind| accepted.contains(kind)))
}

fn is_any(condition: &str) -> bool {
    matches!(condition.trim(), "*" | "\"*\"")
}

fn written(
    state: &State,
    table: usize,
    id: Uuid,
    key: &str,
    created: bool,
    options: &[(String, String)],
    prefer: &Prefer,
) -> Result<Response, Error> {
    if !prefer.representation {
        let url = format!("{}/api/data/v9.2/{}({key})", state.root, TABLES[table].set);
        return Ok(reply::no_content(Some(url)));
    }
    let body = read::representation(state, table, id, options, prefer)?;
    let mut headers = prefer.applied(false);
    if let Some(row) = state.store.get(table, id) {
        headers.push(("ETag".to_owned(), reply::etag(table, row)));
    }
    Ok(reply::json(if created { 201 } else { 200 }, body, headers))
}

/// Reads the JSON object of a write.
fn body(table: usize, request: &Request) -> Result<Map<String, Value>, Error> {
    let set = TABLES[table].set;
    let content_type = request.header("content-type").unwrap_or_default();
    let media = content_type.split(';').next().unwrap_or_default().trim();
    if media.is_empty() {
        let inner = "Microsoft.OData.ODataContentTypeException: A missing or empty content type header was \
            found when trying to read a \
                     message. The content type header is required.";
        return Err(Error::payload(set, inner));
    }
    if !media.eq_ignore_ascii_case("application/json") {
        let message = format!("The content type '{content_type}' is not supported: application/json is expected.");
        return Err(Error::new(415, "0x80060888", message));
    }
    match serde_json::from_slice(&request.body) {
        Ok(Value::Object(body)) => match named_twice(&request.body) {
            None => Ok(body),
            Some(name) => {
                let problem = format!("Multiple properties with the name '{name}' were detected in a resource.");
                Err(Error::payload(set, format!("Microsoft.OData.ODataException: {problem}")))
            }
        },
        Ok(_) => Err(Error::payload(set, "Microsoft.OData.ODataException: A JSON object was expected.")),
        Err(error) => Err(Error::payload(set, format!("Microsoft.OData.ODataException: Invalid JSON: {error}."))),
    }
}

fn who_am_i(state: &State) -> Response {
    let body = json!({
        "@odata.context": format!("{}/api/data/v9.2/$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse", state.root),
        "BusinessUnitId": state.business_unit.to_string(),
        "UserId": state.writer().to_string(),
        "OrganizationId": state.organization.to_string(),
    });
    reply::json(200, body.to_string().into_bytes(), vec![("x-ms-dop-hint".to_owned(), "8".to_owned())])
}

fn wrong_verb(method: &str) -> Error {
    Error::new(405, "0x0", format!("The requested resource does not support http method '{method}'."))
}
