//! The wire of single requests: who may call, what a path means, which verb is allowed, how an answer is dressed.
//!
//! In: a request. Out: a response, an entry in the log, and changed tables. Batches come back in here for each of their
//! operations.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::cell::Cell;
use super::error::Refusal;
use super::quota::Fate;
use super::schema::{self, Api, PAGES, Page, Role};
use super::{State, guid, metadata, pages};
use crate::body::named_twice;
use crate::fault::Faulty;
use crate::filter;
use crate::service::{Request, Response, Service};
use crate::token::Access;

/// The type of every JSON answer that holds data.
const JSON: &str = "application/json; odata.metadata=minimal; odata.streaming=true";

impl Service for State {
    fn answer(&mut self, request: &Request) -> Response {
        self.note(|log| log.request());
        if request.target.len() > self.url_chars_max {
            return too_long();
        }
        if let Some(response) = self.tokens.answer(request) {
            self.note(|log| log.token());
            return response;
        }
        let is_nav = self.pages_of(request) == Some(Api::Nav);
        let authorization = request.header("authorization");
        let is_granted = match is_nav {
            true => self.is_nav_user(authorization),
            false => self.tokens.check(authorization) == Access::Granted,
        };
        let response = match (is_granted, self.permitted) {
            (false, _) => refused(&Refusal::credentials()),
            (true, false) => refused(&Refusal::denied()),
            (true, true) => self.attend(request),
        };
        if is_nav { pages::as_nav(request, response) } else { response }
    }
}

impl Faulty for State {
    fn is_token(&self, request: &Request) -> bool {
        filter::query(&request.target).0 == self.tokens.path
    }

    fn throttled(&mut self, retry_after: Option<u64>) -> Response {
        self.note(|log| log.request());
        let mut response = too_many(101, 100);
        response.headers.extend(retry_after.map(|seconds| ("Retry-After".into(), seconds.to_string())));
        response
    }

    fn took(&mut self) -> Duration {
        std::mem::take(&mut self.took)
    }

    fn expire_tokens(&mut self) {
        self.tokens.expire();
    }

    fn touch(&mut self, request: &Request) {
        if let Some((set, id)) = self.first_changed(request) {
            self.touch_row(set, id);
        }
    }

    fn half(&self, request: &Request) -> Request {
        super::batch::half(request)
    }
}

/// What a path names.
pub(super) enum Place {
    Service,
    Metadata,
    Batch,
    Companies(Option<Uuid>),
    /// The place of a page, and of a record on it the id.
    Records(usize),
    Record(usize, Uuid),
}

impl State {
    /// Answers a request that may call, if and when the service has time for it.
    fn attend(&mut self, request: &Request) -> Response {
        let is_batch = filter::query(&request.target).0.ends_with("/$batch");
        let operations = if is_batch { super::batch::count(request) } else { 1 };
        let fate = self.spent.admit(&self.quota, request, operations, self.time.now());
        let (takes, response) = match fate {
            Fate::Answered(takes) => (takes, self.dispatch(request)),
            Fate::TooMany { actual, most, is_repeated } => {
                self.note(|log| log.throttled(is_repeated));
                (Duration::ZERO, too_many(actual, most))
            }
            Fate::Unattended(takes) => (takes, page(503, "Service Unavailable")),
            Fate::TooLong(takes) => (takes, refused(&Refusal::timed_out())),
            Fate::GivenUp(takes) => {
                self.dispatch(request);
                (takes, page(504, "504 Gateway Time-out"))
            }
        };
        self.took = self.time.pass(takes);
        response
    }

    /// Answers a request that may call, alone or inside a batch.
    pub(super) fn dispatch(&mut self, request: &Request) -> Response {
        let (api, place) = match self.place(request) {
            Ok(found) => found,
            Err(refusal) => {
                self.note(|log| log.operation(&request.method, "", None, refusal.status));
                return refused(&refusal);
            }
        };
        if let Place::Batch = place {
            return self.batch(api, request);
        }
        let (name, mut id) = match place {
            Place::Records(page) => (PAGES[page].name, None),
            Place::Record(page, id) => (PAGES[page].name, Some(id)),
            Place::Companies(id) => ("companies", id),
            Place::Metadata => ("$metadata", None),
            Place::Service | Place::Batch => ("", None),
        };
        let response = match self.operate(api, &place, request, &mut id) {
            Ok(response) => response,
            Err(refusal) => refused(&refusal),
        };
        self.note(|log| log.operation(&request.method, name, id, response.status));
        response
    }

    /// Finds what a request's path names.
    pub(super) fn place(&self, request: &Request) -> Result<(Api, Place), Refusal> {
        if let Some(api) = self.pages_of(request) {
            return Ok((api, self.page_place(api, request)?));
        }
        let (path, options) = filter::query(&request.target);
        let rest = path.strip_prefix(&self.prefix).ok_or_else(Refusal::not_found)?;
        let apis = [Api::Standard, Api::Custom];
        let found = apis.into_iter().find_map(|api| {
            let rest = rest.strip_prefix(api.path())?;
            (rest.is_empty() || rest.starts_with('/')).then_some((api, rest.trim_matches('/')))
        });
        let (api, rest) = found.ok_or_else(Refusal::not_found)?;
        let mut segments =
            rest.split('/').filter(|segment| !segment.is_empty()).map(|text| filter::decode(text, false));
        let Some(first) = segments.next() else { return Ok((api, Place::Service)) };
        let (name, key) = segment(&first)?;
        let place = match (name, key) {
            ("$metadata", None) => Place::Metadata,
            ("$batch", None) => Place::Batch,
            ("companies", None) => Place::Companies(None),
            ("companies", Some(id)) => {
                self.is_company(id)?;
                match segments.next() {
                    None => Place::Companies(Some(id)),
                    Some(second) => self.record_place(api, &second)?,
                }
            }
            // Without a company in the path it comes from an option, a header, or is the only one.
            _ => {
                let option = filter::option(&options, "company").map(|text| guid(text).unwrap_or_default());
                option.map_or(Ok(()), |id| self.is_company(id))?;
                if request.header("company").is_some_and(|name| name != self.company()) {
                    return Err(no_company());
                }
                self.record_place(api, &first)?
            }
        };
        match segments.next() {
            None => Ok((api, place)),
            Some(more) => Err(Refusal::no_segment(segment(&more).map_or("", |(name, _)| name))),
        }
    }

    /// Returns the path of an API on this host.
    pub(super) fn root(&self, api: Api) -> String {
        let service = if api == Api::Nav { pages::NAV } else { &self.prefix };
        format!("{service}{}", api.path())
    }

    fn is_nav_user(&self, authorization: Option<&str>) -> bool {
        let (user, key) = &self.nav_login;
        authorization == Some(&format!("Basic {}", super::read::base64(format!("{user}:{key}").as_bytes())))
    }

    fn record_place(&self, api: Api, text: &str) -> Result<Place, Refusal> {
        let (name, key) = segment(text)?;
        let page = schema::page(api, name).ok_or_else(|| Refusal::no_segment(name))?;
        Ok(key.map_or(Place::Records(page), |id| Place::Record(page, id)))
    }

    fn is_company(&self, id: Uuid) -> Result<(), Refusal> {
        if id == self.company_id() { Ok(()) } else { Err(no_company()) }
    }

    fn operate(
        &mut self,
        api: Api,
        place: &Place,
        request: &Request,
        id: &mut Option<Uuid>,
    ) -> Result<Response, Refusal> {
        let method = request.method.as_str();
        only_reads(request)?;
        let (_, options) = filter::query(&request.target);
        let versions: &[&str] = if api == Api::Nav { &[] } else { &["1.0", "2.0", "2.1"] };
        if let Some(version) = filter::option(&options, "$schemaversion").filter(|version| !versions.contains(version))
        {
            return Err(Refusal::bad(format!("The schema version '{version}' is not supported.")));
        }
        let base = base(request);
        match (method, place) {
            ("GET", Place::Service) => Ok(self.service_document(api, &base)),
            ("GET", Place::Metadata) => Ok(Response {
                status: 200,
                headers: vec![
                    ("Content-Type".into(), "application/xml".into()),
                    ("OData-Version".into(), "4.0".into()),
                ],
                body: match api {
                    Api::Pages | Api::Nav => pages::document().into_bytes(),
                    _ => metadata::document(api).into_bytes(),
                },
            }),
            ("GET", Place::Companies(id)) => {
                let root = format!("{base}{}", self.root(api));
                let body = match api {
                    Api::Pages | Api::Nav => self.published_companies(&root, *id),
                    _ => self.companies(&format!("{root}/$metadata#companies"), &options, id.is_some())?,
                };
                Ok(found(200, body.to_string().into_bytes()))
            }
            ("GET", Place::Records(page)) => {
                let preferred = preference(request, "odata.maxpagesize").or(preference(request, "maxpagesize"));
                let size = preferred.as_deref().and_then(|text| text.parse().ok()).filter(|size| *size > 0);
                let mut response = found(200, self.page(api, *page, &base, &request.target, size)?);
                if let Some(size) = size.map(|size: usize| size.min(self.page_max)) {
                    response.headers.push(("Preference-Applied".into(), format!("odata.maxpagesize={size}")));
                }
                Ok(response)
            }
            ("GET", Place::Record(page, id)) => Ok(found(200, self.entity(api, *page, id, &base, &options)?)),
            ("POST", Place::Records(page)) => {
                let body = body(request)?;
                let made = self.create(PAGES[*page].set, &values(&PAGES[*page], &body, None, &self.ignored)?)?;
                *id = Some(made);
                let (name, root, set) = (PAGES[*page].name, self.root(api), PAGES[*page].set);
                let location = match api {
                    Api::Pages | Api::Nav => {
                        let key = self.tables[set].key(&made).unwrap_or_default();
                        let literal = |text: &str| format!("'{}'", filter::encode(&text.replace('\'', "''")));
                        let names: Vec<&str> = PAGES[*page].key().map(|property| property.name).collect();
                        let key = match names[..] {
                            [_] => literal(key),
                            _ => {
                                let parts = names.iter().zip(key.split(schema::PART_END));
                                let parts = parts.map(|(name, part)| format!("{name}={}", literal(part)));
                                parts.collect::<Vec<_>>().join(",")
                            }
                        };
                        format!("{base}{root}/Company({})/{name}({key})", literal(self.company()))
                    }
                    _ => format!("{base}{root}/companies({})/{name}({made})", self.company_id()),
                };
                let mut response = if preference(request, "return-no-content").is_some() {
                    Response { status: 204, ..Response::default() }
                } else {
                    found(201, self.entity(api, *page, &made, &base, &options)?)
                };
                response.headers.push(("Location".into(), location));
                Ok(response)
            }
            ("PATCH", Place::Record(page, id)) => {
                self.condition(PAGES[*page].set, id, request.header("if-match"), true)?;
                let body = body(request)?;
                self.change(PAGES[*page].set, *id, &values(&PAGES[*page], &body, Some(*id), &self.ignored)?)?;
                Ok(found(200, self.entity(api, *page, id, &base, &options)?))
            }
            ("DELETE", Place::Record(page, id)) => {
                self.condition(PAGES[*page].set, id, request.header("if-match"), false)?;
                self.erase(PAGES[*page].set, *id)?;
                Ok(Response {
                    status: 204,
                    headers: vec![("OData-Version".into(), "4.0".into())],
                    ..Response::default()
                })
            }
            (_, Place::Records(page)) => Err(Refusal::method(method, PAGES[*page].name, "Collection")),
            (_, Place::Record(page, _)) => Err(Refusal::method(method, PAGES[*page].name, "Entity")),
            (_, Place::Companies(None)) => Err(Refusal::method(method, "companies", "Collection")),
            (_, Place::Companies(Some(_))) => Err(Refusal::method(method, "companies", "Entity")),
            _ => Err(Refusal::method(method, "$metadata", "Metadata")),
        }
    }

    /// Holds an `If-Match` against the record; a change must have one, a deletion may.
    fn condition(&self, set: usize, id: &Uuid, condition: Option<&str>, required: bool) -> Result<(), Refusal> {
        let well_formed = |text: &str| text == "*" || text.starts_with("W/\"") && text.ends_with('"') && text.len() > 4;
        match condition {
            None if required => return Err(Refusal::token_missing()),
            Some(text) if !well_formed(text) => return Err(Refusal::token_missing()),
            _ => {}
        }
        let row = self.tables[set].get(id).ok_or_else(Refusal::not_found)?;
        match condition {
            Some(text) if text != "*" && text != row.etag() => Err(Refusal::changed()),
            _ => Ok(()),
        }
    }

    fn service_document(&self, api: Api, base: &str) -> Response {
        let is_pages = matches!(api, Api::Pages | Api::Nav);
        let shown = if is_pages { Api::Pages } else { api };
        let names = PAGES.iter().filter(|page| page.api == shown).map(|page| page.name);
        let sets = std::iter::once(if is_pages { "Company" } else { "companies" }).chain(names);
        let sets: Vec<_> =
            sets.map(|name| serde_json::json!({"name": name, "kind": "EntitySet", "url": name})).collect();
        let context = format!("{base}{}/$metadata", self.root(api));
        found(200, serde_json::json!({"@odata.context": context, "value": sets}).to_string().into_bytes())
    }

    /// Notes something in the log.
    pub(super) fn note(&self, note: impl FnOnce(&mut crate::log::Log)) {
        note(&mut self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

/// Refuses a write that only means to read; a batch is one, whatever is in it.
pub(super) fn only_reads(request: &Request) -> Result<(), Refusal> {
    let method = &request.method;
    let read_only = request.header("data-access-intent").is_some_and(|value| value.eq_ignore_ascii_case("ReadOnly"));
    if method == "GET" || !read_only {
        return Ok(());
    }
    Err(Refusal::bad(format!("The header Data-Access-Intent: ReadOnly is not allowed with '{method}' requests.")))
}

/// Makes the response of a refusal.
pub(super) fn refused(refusal: &Refusal) -> Response {
    let kind = if refusal.status == 401 {
        "application/json; charset=utf-8"
    } else {
        "application/json; odata.metadata=minimal"
    };
    Response {
        status: refusal.status,
        headers: vec![("Content-Type".into(), kind.into()), ("OData-Version".into(), "4.0".into())],
        body: refusal.body(),
    }
}

fn found(status: u16, body: Vec<u8>) -> Response {
    Response {
        status,
        headers: vec![
            ("Content-Type".into(), JSON.into()),
            ("OData-Version".into(), "4.0".into()),
            ("request-id".into(), Uuid::new_v4().to_string()),
        ],
        body,
    }
}

/// What stands in front of the service says to an address that it does not take in.
/// Says that there are too many requests, and neither of what nor for how long.
fn too_many(actual: usize, most: usize) -> Response {
    let message = format!("Too many requests reached. Actual ({actual}). Maximum ({most}).");
    let body = serde_json::json!({"error": {"code": "Application_TooManyRequests", "message": message}});
    let headers = vec![("Content-Type".into(), "application/json; charset=utf-8".into())];
    Response { status: 429, headers, body: body.to_string().into_bytes() }
}

/// What a gateway says.
fn page(status: u16, title: &str) -> Response {
    let headers = vec![("Content-Type".into(), "text/html; charset=utf-8".into())];
    let body = format!("<html><head><title>{title}</title></head></html>\r\n");
    Response { status, headers, body: body.into_bytes() }
}

fn too_long() -> Response {
    let headers = vec![("Content-Type".to_string(), "text/html; charset=us-ascii".to_string())];
    let body = "<!DOCTYPE HTML><HTML><HEAD><TITLE>Request URL Too Long</TITLE></HEAD><BODY></BODY></HTML>\r\n";
    Response { status: 414, headers, body: body.into() }
}

fn no_company() -> Refusal {
    Refusal::new(404, "Internal_CompanyNotFound", "Cannot find company.")
}

/// Splits `customers(id)`; keys are bare GUIDs.
fn segment(text: &str) -> Result<(&str, Option<Uuid>), Refusal> {
    match text.split_once('(') {
        None => Ok((text, None)),
        Some((name, key)) => {
            let id = key.strip_suffix(')').and_then(guid).ok_or_else(Refusal::not_found)?;
            Ok((name, Some(id)))
        }
    }
}

/// Returns what the caller knows this service as.
pub(super) fn base(request: &Request) -> String {
    format!("http://{}", request.header("host").unwrap_or("localhost"))
}

/// Returns the value of a preference, empty when it has none.
pub(super) fn preference(request: &Request, name: &str) -> Option<String> {
    let headers = request.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case("prefer"));
    headers.flat_map(|(_, value)| value.split([',', ';'])).find_map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_string())
    })
}

fn body(request: &Request) -> Result<Map<String, Value>, Refusal> {
    is_json(request)?;
    let body = serde_json::from_slice(&request.body)
        .map_err(|error| Refusal::bad(format!("The request body could not be read as JSON: {error}.")))?;
    once(&request.body)?;
    Ok(body)
}

/// Refuses a body that names a property twice.
pub(super) fn once(body: &[u8]) -> Result<(), Refusal> {
    named_twice(body).map_or(Ok(()), |name| {
        let message = format!("Multiple properties with the name '{name}' were detected in a resource.");
        Err(Refusal::bad(message))
    })
}

/// Refuses a body that does not say it is JSON.
pub(super) fn is_json(request: &Request) -> Result<(), Refusal> {
    let kind = request.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Refusal::new(415, "BadRequest", format!("The content type '{kind}' of the request body is not supported.")))
}

/// Reads a body's values in their order, but for properties that are `ignored`; `current` is the id of the record that is
/// changed.
fn values(
    page: &Page,
    body: &Map<String, Value>,
    current: Option<Uuid>,
    ignored: &BTreeSet<String>,
) -> Result<Vec<(usize, Cell)>, Refusal> {
    let mut out = Vec::with_capacity(body.len());
    for (name, value) in body {
        if name.starts_with("@odata.") {
            continue;
        }
        let property = page.property(name).map(|place| &page.properties[place]).ok_or_else(|| {
            Refusal::bad(format!(
                "The property '{name}' does not exist on type '{}'. Make sure to only use property names \
                 that are defined by the type.",
                page.type_name()
            ))
        })?;
        let column = page.behind(property);
        if page.is_read_only(property) {
            return Err(Refusal::read_only(column.caption));
        }
        let cell = Cell::read_as(property.name, column, value)?;
        if column.role == Role::Id && current.is_some_and(|id| id != cell.guid()) {
            return Err(Refusal::read_only(column.caption));
        }
        if !ignored.contains(name) {
            out.push((property.place, cell));
        }
    }
    Ok(out)
}
