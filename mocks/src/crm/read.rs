//! Reads: one row, a page of rows, a count.
//!
//! A page ends with a link to the next one whose cookie must come back byte for byte: the links that were given out
//! are remembered with the place they lead to, and no other is good. Paging is no snapshot; the next page starts
//! after the last row of the page before, in the order asked for and then by primary key.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::io::Write as _;
use std::ops::Bound;

use uuid::Uuid;

use super::address::Address;
use super::condition::{self, Condition};
use super::error::Error;
use super::picture;
use super::prefer::{PAGE_ROWS_MAX, Prefer};
use super::query::{self, Query};
use super::reply;
use super::schema::{TABLES, Table};
use super::state::State;
use super::store::{Cell, Row};
use super::tracking::{self, Token, Tracking};
use crate::filter;
use crate::service::{Request, Response};

/// The largest count that is told.
const COUNT_MAX: usize = 5000;

/// Where the next page starts.
#[derive(Debug, Clone)]
pub struct Cursor {
    page: u32,
    last: Vec<Option<Cell>>,
    id: Uuid,
    tracking: Option<Tracking>,
}

/// Answers a read of an entity set.
pub fn page(
    state: &mut State,
    table: usize,
    request: &Request,
    target: &str,
    prefer: &Prefer,
) -> Result<Response, Error> {
    let declared = &TABLES[table];
    let (path, options) = filter::query(target);
    let tracking = tracking::of(state, table, prefer.track_changes, &options)?;
    let query = query::read(table, &options)?;
    if tracking.is_some() {
        state.token_is_for(declared.set, &options)?;
    }
    let cursor = match filter::option(&options, "$skiptoken") {
        None => None,
        Some(_) => Some(state.links.take_in(target).ok_or_else(|| {
            Error::new(
                400,
                "0x80060888",
                "The skiptoken in the URI is not valid: paging cookies must be sent as they came.",
            )
        })?),
    };
    // The cookie of a page knows when its read began.
    let tracking = cursor.as_ref().and_then(|cursor| cursor.tracking).or(tracking);
    if let Some(tracking) = tracking.filter(Tracking::is_delta) {
        return Ok(delta(state, table, (path, request), &query, cursor.as_ref(), tracking, prefer));
    }
    let rows_max = match (prefer.page_rows, query.top) {
        (Some(rows), _) => rows,
        (None, Some(top)) => top.min(PAGE_ROWS_MAX),
        (None, None) => PAGE_ROWS_MAX,
    };
    // Without a preferred page size `$top` bounds the whole answer, so no further page follows.
    let linked = prefer.page_rows.is_some() || query.top.is_none();
    let (rows, more) = state.rows_after(table, &query, cursor.as_ref(), rows_max);

    let mut body = Vec::with_capacity(256 + rows.len() * 256);
    body.extend_from_slice(b"{\"@odata.context\":");
    picture::text(&mut body, &context(state, declared, &query, false));
    if query.count {
        let count = state.matching(table, query.condition.as_ref());
        let _ = write!(body, ",\"@odata.count\":{}", count.min(COUNT_MAX));
        if prefer.wants("Microsoft.Dynamics.CRM.totalrecordcount") {
            let _ = write!(body, ",\"@Microsoft.Dynamics.CRM.totalrecordcount\":{}", count.min(COUNT_MAX));
            let exceeded = count > COUNT_MAX;
            let _ = write!(body, ",\"@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded\":{exceeded}");
        }
    } else if prefer.wants("Microsoft.Dynamics.CRM.totalrecordcount") {
        body.extend_from_slice(b",\"@Microsoft.Dynamics.CRM.totalrecordcount\":-1");
        body.extend_from_slice(b",\"@Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded\":false");
    }
    body.extend_from_slice(b",\"value\":[");
    for (number, (id, row)) in rows.iter().enumerate() {
        if number > 0 {
            body.push(b',');
        }
        body.push(b'{');
        picture::row(&mut body, state, (table, *id, row), &query.columns, &query.expand, prefer);
        body.push(b'}');
    }
    body.push(b']');
    if let Some((link, next)) = rows.last().filter(|_| more && linked).map(|(id, row)| {
        let last =
            query.order.iter().map(|(column, _)| declared.cell(*column, *id, row).map(Cow::into_owned)).collect();
        let page = cursor.as_ref().map_or(2, |cursor| cursor.page + 1);
        let next = Cursor { page, last, id: *id, tracking };
        let first = rows.first().map(|(id, row)| (*id, *row)).unwrap_or((*id, row));
        (next_link(path, request, declared, &query, first, &next), next)
    }) {
        body.extend_from_slice(b",\"@odata.nextLink\":");
        picture::text(&mut body, &format!("{}{link}", state.root));
        state.links.give_out(link, next);
    } else if let Some(tracking) = tracking {
        body.extend_from_slice(b",\"@odata.deltaLink\":");
        let token = tracking.token(state);
        picture::text(&mut body, &delta_link(state, path, request, token));
        state.token_given(token, declared.set, &options);
    }
    body.push(b'}');
    let mut applied = prefer.applied(true);
    if tracking.is_some() {
        applied.push(("Preference-Applied".to_owned(), "odata.track-changes".to_owned()));
    }
    Ok(reply::json(200, body, applied))
}

/// Answers a read of changes.
fn delta(
    state: &mut State,
    table: usize,
    (path, request): (&str, &Request),
    query: &Query,
    cursor: Option<&Cursor>,
    tracking: Tracking,
    prefer: &Prefer,
) -> Response {
    let declared = &TABLES[table];
    let (items, more) = state.changes(table, &tracking, prefer.page_rows.unwrap_or(PAGE_ROWS_MAX));
    let mut body = b"{\"@odata.context\":".to_vec();
    picture::text(&mut body, &format!("{}/$delta", context(state, declared, query, false)));
    let mut links = Vec::new();
    let (mut given, mut last_token) = (None, None);
    match items.last().filter(|_| more) {
        Some(last) => {
            let row = Row::default();
            let next = Cursor {
                page: cursor.map_or(2, |cursor| cursor.page + 1),
                last: Vec::new(),
                id: last.0,
                tracking: Some(tracking.after(*last, table, state)),
            };
            let link = next_link(path, request, declared, query, (items[0].0, &row), &next);
            links.extend_from_slice(b",\"@odata.nextLink\":");
            picture::text(&mut links, &format!("{}{link}", state.root));
            given = Some((link, next));
        }
        None => {
            links.extend_from_slice(b",\"@odata.deltaLink\":");
            let token = tracking.token(state);
            picture::text(&mut links, &delta_link(state, path, request, token));
            last_token = Some(token);
        }
    }
    body.extend_from_slice(&links);
    body.extend_from_slice(b",\"value\":[");
    for (number, (id, row)) in items.iter().enumerate() {
        if number > 0 {
            body.push(b',');
        }
        body.push(b'{');
        match row {
            Some(row) => picture::row(&mut body, state, (table, *id, row), &query.columns, &query.expand, prefer),
            None => {
                body.extend_from_slice(b"\"@odata.context\":");
                let context = format!("{}/api/data/v9.2/$metadata#{}/$deletedEntity", state.root, declared.set);
                picture::text(&mut body, &context);
                let _ = write!(body, ",\"id\":\"{id}\",\"reason\":\"deleted\"");
            }
        }
        body.push(b'}');
    }
    body.extend_from_slice(b"]}");
    if let Some((link, next)) = given {
        state.links.give_out(link, next);
    }
    if let Some(token) = last_token {
        state.token_given(token, declared.set, &filter::query(&request.target).1);
    }
    reply::json(200, body, prefer.applied(true))
}

/// Makes the link that a later read goes on from: the query as it came, and a token.
fn delta_link(state: &State, path: &str, request: &Request, token: Token) -> String {
    let kept = kept_options(request);
    format!("{}{path}?{kept}$deltatoken={token}", state.root)
}

/// Returns the options of a query without those that say where it goes on.
fn kept_options(request: &Request) -> String {
    let options = request.target.split_once('?').map_or("", |(_, options)| options);
    let goes_on = |option: &str| {
        ["$skiptoken=", "%24skiptoken=", "$deltatoken=", "%24deltatoken="].iter().any(|name| option.starts_with(name))
    };
    let kept: Vec<&str> = options.split('&').filter(|option| !option.is_empty() && !goes_on(option)).collect();
    if kept.is_empty() { String::new() } else { format!("{}&", kept.join("&")) }
}

/// Answers a read of one row.
pub fn single(
    state: &State,
    table: usize,
    address: &Address,
    request: &Request,
    target: &str,
    prefer: &Prefer,
) -> Result<Response, Error> {
    let (_, options) = filter::query(target);
    let query = query::read(table, &options)?;
    if query.condition.is_some() || !query.order.is_empty() || query.top.is_some() || query.count {
        return Err(Error::syntax(
            "The query options $filter, $orderby, $top and $count cannot be applied to a single row.",
        ));
    }
    let id = address.id().ok_or_else(|| address.missing(table))?;
    let row = state.store.get(table, id).ok_or_else(|| address.missing(table))?;
    let tag = reply::etag(table, row);
    let unchanged = request.header("if-none-match").is_some_and(|known| known == tag);
    if unchanged && query.expand.is_empty() && prefer.annotations.is_none() {
        return Ok(Response { status: 304, headers: vec![reply::version(), ("ETag".into(), tag)], body: Vec::new() });
    }
    let body = alone(state, table, id, row, &query, prefer);
    let mut headers = prefer.applied(false);
    headers.push(("ETag".into(), tag));
    Ok(reply::json(200, body, headers))
}

/// Returns a row as a write with `return=representation` gives it back.
pub fn representation(
    state: &State,
    table: usize,
    id: Uuid,
    options: &[(String, String)],
    prefer: &Prefer,
) -> Result<Vec<u8>, Error> {
    let query = query::read(table, options)?;
    let row = state.store.get(table, id).ok_or_else(|| Error::missing_row(TABLES[table].name, id))?;
    Ok(alone(state, table, id, row, &query, prefer))
}

/// Checks the options of a write before anything is written.
pub fn check_options(table: usize, options: &[(String, String)]) -> Result<(), Error> {
    query::read(table, options).map(|_| ())
}

/// Answers `SET/$count`: a bare number.
pub fn count(state: &State, table: usize, target: &str) -> Result<Response, Error> {
    let (_, options) = filter::query(target);
    let query = query::read(table, &options)?;
    if let Some(tracking) = tracking::of(state, table, false, &options)? {
        let body = format!("\u{feff}{}", state.changes_count(table, &tracking)).into_bytes();
        let headers = vec![("Content-Type".to_owned(), "text/plain".to_owned()), reply::version()];
        return Ok(Response { status: 200, headers, body });
    }
    let count = state.matching(table, query.condition.as_ref()).min(COUNT_MAX);
    let headers = vec![("Content-Type".to_owned(), "text/plain".to_owned()), reply::version()];
    Ok(Response { status: 200, headers, body: format!("\u{feff}{count}").into_bytes() })
}

/// Answers a read of one property of a row.
pub fn property(state: &State, table: usize, address: &Address, name: &str) -> Result<Response, Error> {
    let declared = &TABLES[table];
    let column = declared.by_property(name).ok_or_else(|| Error::segment(name))?;
    let id = address.id().ok_or_else(|| address.missing(table))?;
    let row = state.store.get(table, id).ok_or_else(|| address.missing(table))?;
    let Some(cell) = declared.cell(column, id, row) else {
        return Ok(Response { status: 204, headers: vec![reply::version()], body: Vec::new() });
    };
    let mut body = b"{\"@odata.context\":".to_vec();
    picture::text(
        &mut body,
        &format!("{}/api/data/v9.2/$metadata#{}({})/{name}", state.root, declared.set, address.text()),
    );
    body.extend_from_slice(b",\"value\":");
    cell.write(&mut body);
    body.push(b'}');
    Ok(reply::json(200, body, Vec::new()))
}

impl State {
    /// Finds the rows of a page, and whether there are more.
    fn rows_after(
        &self,
        table: usize,
        query: &Query,
        cursor: Option<&Cursor>,
        rows_max: usize,
    ) -> (Vec<(Uuid, &Row)>, bool) {
        let declared = &TABLES[table];
        let holds = |id: &Uuid, row: &Row| {
            let condition = query.condition.as_ref();
            condition.is_none_or(|condition| condition::judge(condition, &self.store, *id, row) == Some(true))
        };
        let rows = self.store.rows(table);
        let ids = query.condition.as_ref().and_then(condition::ids);
        if query.order.is_empty() {
            let start = cursor.map_or(Bound::Unbounded, |cursor| Bound::Excluded(cursor.id));
            let after: Box<dyn Iterator<Item = (&Uuid, &Row)>> = match &ids {
                // A list of ids is looked up, not searched for: clients read tens of thousands of rows this way.
                Some(ids) => Box::new(ids.range((start, Bound::Unbounded)).filter_map(|id| rows.get_key_value(id))),
                None => Box::new(rows.range((start, Bound::Unbounded))),
            };
            let after = after.filter(|(id, row)| holds(id, row));
            let mut found: Vec<_> = after.take(rows_max + 1).map(|(id, row)| (*id, row)).collect();
            let more = found.len() > rows_max;
            found.truncate(rows_max);
            return (found, more);
        }
        let order = |left: (Uuid, &Row), right: (Uuid, &Row)| {
            let by_column = query.order.iter().map(|(column, descending)| {
                let (left, right) = (declared.cell(*column, left.0, left.1), declared.cell(*column, right.0, right.1));
                directed(order_cells(left.as_deref(), right.as_deref()), *descending)
            });
            by_column.fold(Ordering::Equal, Ordering::then).then(left.0.cmp(&right.0))
        };
        let comes_after = |id: Uuid, row: &Row, cursor: &Cursor| {
            let by_column = query.order.iter().zip(&cursor.last).map(|((column, descending), last)| {
                directed(order_cells(declared.cell(*column, id, row).as_deref(), last.as_ref()), *descending)
            });
            by_column.fold(Ordering::Equal, Ordering::then).then(id.cmp(&cursor.id)).is_gt()
        };
        let mut found: Vec<(Uuid, &Row)> = rows
            .iter()
            .filter(|(id, row)| cursor.is_none_or(|cursor| comes_after(**id, row, cursor)) && holds(id, row))
            .map(|(id, row)| (*id, row))
            .collect();
        let more = found.len() > rows_max;
        if more {
            // Only the rows of this page need an order among themselves.
            found.select_nth_unstable_by(rows_max, |left, right| order(*left, *right));
            found.truncate(rows_max);
        }
        found.sort_unstable_by(|left, right| order(*left, *right));
        (found, more)
    }

    fn matching(&self, table: usize, condition: Option<&Condition>) -> usize {
        let rows = self.store.rows(table);
        match condition {
            None => rows.len(),
            Some(condition) => rows
                .iter()
                .filter(|(id, row)| condition::judge(condition, &self.store, **id, row) == Some(true))
                .take(COUNT_MAX + 1)
                .count(),
        }
    }
}

/// A row as the whole answer.
fn alone(state: &State, table: usize, id: Uuid, row: &Row, query: &Query, prefer: &Prefer) -> Vec<u8> {
    let mut body = b"{\"@odata.context\":".to_vec();
    picture::text(&mut body, &context(state, &TABLES[table], query, true));
    body.push(b',');
    picture::row(&mut body, state, (table, id, row), &query.columns, &query.expand, prefer);
    body.push(b'}');
    body
}

fn directed(ordering: Ordering, descending: bool) -> Ordering {
    if descending { ordering.reverse() } else { ordering }
}

/// Orders for `$orderby`: nulls come first, as in the database.
fn order_cells(a: Option<&Cell>, b: Option<&Cell>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.order(b).unwrap_or(Ordering::Equal),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

fn context(state: &State, table: &Table, query: &Query, single: bool) -> String {
    let selected = if query.selected.is_empty() { String::new() } else { format!("({})", query.selected.join(",")) };
    let entity = if single { "/$entity" } else { "" };
    format!("{}/api/data/v9.2/$metadata#{}{selected}{entity}", state.root, table.set)
}

/// Makes the link to the next page: the query as it came, and a cookie in the service's own double encoding.
fn next_link(
    path: &str,
    request: &Request,
    table: &Table,
    query: &Query,
    first: (Uuid, &Row),
    next: &Cursor,
) -> String {
    let mut inner = format!("<cookie page=\"{}\">", next.page - 1);
    let mut element = |name: &str, last: Option<&Cell>, first: Option<&Cell>| {
        let text = |cell: Option<&Cell>| match cell {
            Some(Cell::Id(id) | Cell::Link(_, id)) => format!("{{{}}}", id.to_string().to_uppercase()),
            Some(Cell::Text(text)) => escape(text),
            Some(cell) => escape(cell.json().to_string().trim_matches('"')),
            None => String::new(),
        };
        inner.push_str(&format!("<{name} last=\"{}\" first=\"{}\" />", text(last), text(first)));
    };
    for ((column, _), last) in query.order.iter().zip(&next.last) {
        if table.columns[*column].name != table.primary_key {
            element(&table.columns[*column].name, last.as_ref(), table.cell(*column, first.0, first.1).as_deref());
        }
    }
    element(table.primary_key, Some(&Cell::Id(next.id)), Some(&Cell::Id(first.0)));
    inner.push_str("</cookie>");
    let inner = percent(&percent(&inner));
    let cookie = format!(
        "%3Ccookie%20pagenumber=%22{}%22%20pagingcookie=%22{inner}%22%20istracking=%22{}%22%20/%3E",
        next.page,
        if next.tracking.is_some() { "True" } else { "False" }
    );
    format!("{path}?{}$skiptoken={cookie}", kept_options(request))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Percent-encodes in lower case, as the cookie has it.
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02x}"));
        }
    }
    out
}
