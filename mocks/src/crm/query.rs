//! Reads: one row, a page of rows, a count; with selection, filter, order, expansion and annotations.
//!
//! A page ends with a link to the next one whose cookie must come back byte for byte: the links that were given out are
//! remembered with the place they lead to, and no other is good. Paging is no snapshot; the next page starts after the
//! last row of the page before, in the order asked for and then by primary key.

use std::cmp::Ordering;
use std::io::Write as _;

use uuid::Uuid;

use super::address::Address;
use super::condition::{self, Condition};
use super::error::Error;
use super::prefer::{PAGE_ROWS_MAX, Prefer};
use super::reply;
use super::schema::{Column, Kind, TABLES, Table};
use super::state::State;
use super::store::{Cell, Row};
use crate::filter;
use crate::service::{Request, Response};

/// The largest count that is told.
const COUNT_MAX: usize = 5000;
/// How many expansions one query may have.
const EXPAND_MAX: usize = 15;

/// Where the next page starts.
#[derive(Debug, Clone)]
pub struct Cursor {
    page: u32,
    last: Vec<Option<Cell>>,
    id: Uuid,
}

/// What a query asks of a table.
#[derive(Debug, Default)]
struct Query {
    /// The selected columns, or all.
    select: Option<Vec<usize>>,
    /// The selection as the context repeats it.
    selected: Vec<String>,
    expand: Vec<Expand>,
    condition: Option<Condition>,
    order: Vec<(usize, bool)>,
    top: Option<usize>,
    count: bool,
}

#[derive(Debug)]
struct Expand {
    navigation: &'static str,
    column: usize,
    select: Option<Vec<usize>>,
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
    if prefer.track_changes || filter::option(&options, "$deltatoken").is_some() {
        return Err(Error::argument(format!("Change tracking is not enabled for entity '{}'.", declared.name)));
    }
    let query = read(table, &options)?;
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
    json(&mut body, &context(state, declared, &query, false));
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
        state.write_row(&mut body, table, *id, row, query.select.as_deref(), &query.expand, prefer);
        body.push(b'}');
    }
    body.push(b']');
    if let Some((link, next)) = rows.last().filter(|_| more && linked).map(|(id, row)| {
        let last = query.order.iter().map(|(column, _)| cell_of(declared, *column, *id, row)).collect();
        let next = Cursor { page: cursor.as_ref().map_or(2, |cursor| cursor.page + 1), last, id: *id };
        let first = rows.first().map(|(id, row)| (*id, *row)).unwrap_or((*id, row));
        (next_link(path, request, declared, &query, first, &next), next)
    }) {
        body.extend_from_slice(b",\"@odata.nextLink\":");
        json(&mut body, &format!("{}{link}", state.root));
        state.links.give_out(link, next);
    }
    body.push(b'}');
    Ok(reply::json(200, body, prefer.applied(true)))
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
    let query = read(table, &options)?;
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
    let body = state.row_body(table, id, row, &query, prefer);
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
    let query = read(table, options)?;
    let row = state.store.get(table, id).ok_or_else(|| Error::missing_row(TABLES[table].name, id))?;
    Ok(state.row_body(table, id, row, &query, prefer))
}

/// Checks the options of a write before anything is written.
pub fn check_options(table: usize, options: &[(String, String)]) -> Result<(), Error> {
    read(table, options).map(|_| ())
}

/// Answers `SET/$count`: a bare number.
pub fn count(state: &State, table: usize, target: &str) -> Result<Response, Error> {
    let (_, options) = filter::query(target);
    let query = read(table, &options)?;
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
    let Some(cell) = cell_of(declared, column, id, row) else {
        return Ok(Response { status: 204, headers: vec![reply::version()], body: Vec::new() });
    };
    let mut body = b"{\"@odata.context\":".to_vec();
    json(&mut body, &format!("{}/api/data/v9.2/$metadata#{}({})/{name}", state.root, declared.set, address.text()));
    body.extend_from_slice(b",\"value\":");
    write_cell(&mut body, &cell);
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
        use std::ops::Bound;
        let declared = &TABLES[table];
        let holds = |id: &Uuid, row: &Row| {
            let condition = query.condition.as_ref();
            condition.is_none_or(|condition| condition::judge(condition, &self.store, *id, row) == Some(true))
        };
        let rows = self.store.rows(table);
        if query.order.is_empty() {
            let start = cursor.map_or(Bound::Unbounded, |cursor| Bound::Excluded(cursor.id));
            let after = rows.range((start, Bound::Unbounded)).filter(|(id, row)| holds(id, row));
            let mut found: Vec<_> = after.take(rows_max + 1).map(|(id, row)| (*id, row)).collect();
            let more = found.len() > rows_max;
            found.truncate(rows_max);
            return (found, more);
        }
        type Keyed<'a> = (Vec<Option<Cell>>, Uuid, &'a Row);
        let keys = |id: Uuid, row: &Row| {
            query.order.iter().map(|(column, _)| cell_of(declared, *column, id, row)).collect::<Vec<_>>()
        };
        let order = |a: &[Option<Cell>], a_id: Uuid, b: &[Option<Cell>], b_id: Uuid| {
            let by_column = query.order.iter().enumerate().map(|(at, (_, descending))| {
                let ordering = order_cells(a[at].as_ref(), b[at].as_ref());
                if *descending { ordering.reverse() } else { ordering }
            });
            by_column.fold(Ordering::Equal, Ordering::then).then(a_id.cmp(&b_id))
        };
        let mut found: Vec<Keyed> = rows
            .iter()
            .filter(|(id, row)| holds(id, row))
            .map(|(id, row)| (keys(*id, row), *id, row))
            .filter(|(keys, id, _)| cursor.is_none_or(|cursor| order(keys, *id, &cursor.last, cursor.id).is_gt()))
            .collect();
        found.sort_by(|a, b| order(&a.0, a.1, &b.0, b.1));
        let more = found.len() > rows_max;
        found.truncate(rows_max);
        (found.into_iter().map(|(_, id, row)| (id, row)).collect(), more)
    }

    fn matching(&self, table: usize, condition: Option<&Condition>) -> usize {
        let rows = self.store.rows(table);
        match condition {
            None => rows.len(),
            Some(condition) => rows
                .iter()
                .filter(|(id, row)| condition::judge(condition, &self.store, **id, row) == Some(true))
                .count(),
        }
    }

    fn row_body(&self, table: usize, id: Uuid, row: &Row, query: &Query, prefer: &Prefer) -> Vec<u8> {
        let mut body = b"{\"@odata.context\":".to_vec();
        json(&mut body, &context(self, &TABLES[table], query, true));
        body.push(b',');
        self.write_row(&mut body, table, id, row, query.select.as_deref(), &query.expand, prefer);
        body.push(b'}');
        body
    }

    /// Writes the members of a row: the etag, the columns asked for, and what comes along with them.
    #[expect(clippy::too_many_arguments, reason = "the parts of a row's picture belong to no common thing")]
    fn write_row(
        &self,
        out: &mut Vec<u8>,
        table: usize,
        id: Uuid,
        row: &Row,
        select: Option<&[usize]>,
        expand: &[Expand],
        prefer: &Prefer,
    ) {
        let declared = &TABLES[table];
        out.extend_from_slice(b"\"@odata.etag\":");
        json(out, &reply::etag(table, row));
        match select {
            None => {
                (0..declared.columns.len()).for_each(|column| self.write_property(out, table, id, row, column, prefer))
            }
            Some(select) => {
                for column in with_companions(declared, select) {
                    self.write_property(out, table, id, row, column, prefer);
                }
            }
        }
        for expand in expand {
            out.push(b',');
            json(out, expand.navigation);
            out.push(b':');
            let to = match row.get(expand.column) {
                Some(Cell::Link(target, to)) if leads(declared, expand, *target) => {
                    self.store.get(*target, *to).map(|row| (*target, *to, row))
                }
                _ => None,
            };
            match to {
                None => out.extend_from_slice(b"null"),
                Some((target, to, row)) => {
                    out.push(b'{');
                    self.write_row(out, target, to, row, expand.select.as_deref(), &[], prefer);
                    out.push(b'}');
                }
            }
        }
    }

    fn write_property(&self, out: &mut Vec<u8>, table: usize, id: Uuid, row: &Row, index: usize, prefer: &Prefer) {
        let declared = &TABLES[table];
        let column = &declared.columns[index];
        out.push(b',');
        json(out, &column.property);
        out.push(b':');
        let Some(cell) = cell_of(declared, index, id, row) else {
            // A null takes no annotation with it.
            out.extend_from_slice(b"null");
            return;
        };
        write_cell(out, &cell);
        if prefer.annotations.is_none() {
            return;
        }
        let mut annotate = |name: &str, value: &str| {
            if prefer.wants(name) {
                out.push(b',');
                json(out, &format!("{}@{name}", column.property));
                out.push(b':');
                json(out, value);
            }
        };
        if let Cell::Link(target, _) = cell {
            annotate("Microsoft.Dynamics.CRM.lookuplogicalname", TABLES[target].name);
            if let Some(to) = column.targets().iter().find(|to| to.table == TABLES[target].name) {
                annotate("Microsoft.Dynamics.CRM.associatednavigationproperty", to.navigation);
            }
        }
        if let Some(shown) = self.formatted(column, row, declared, &cell) {
            annotate("OData.Community.Display.V1.FormattedValue", &shown);
        }
    }

    /// Shows a value as the forms of a caller from the United States do.
    fn formatted(&self, column: &Column, row: &Row, table: &Table, cell: &Cell) -> Option<String> {
        Some(match (cell, &column.kind) {
            (Cell::Whole(number), Kind::Picklist(_) | Kind::State(_) | Kind::Status(_)) => {
                column.choices().iter().find(|choice| choice.value == *number)?.label.to_owned()
            }
            (Cell::Whole(number), _) => grouped(&number.to_string()),
            (Cell::Flag(flag), _) => (if *flag { "Yes" } else { "No" }).to_owned(),
            (Cell::Decimal(number), Kind::Money { .. } | Kind::Base { .. }) => {
                let currencies = super::schema::table("transactioncurrency");
                let currency = match &column.kind {
                    Kind::Money { .. } => row.get(table.by_name("transactioncurrencyid")?)?.id()?,
                    _ => self.base_currency,
                };
                let symbol = self.store.get(currencies, currency)?.get(TABLES[currencies].column("currencysymbol"))?;
                format!("{}{}", symbol.text()?, grouped(&format!("{:.2}", number)))
            }
            (Cell::Decimal(number), Kind::Decimal { precision, .. } | Kind::Double { precision, .. }) => {
                grouped(&format!("{:.*}", *precision as usize, number))
            }
            (Cell::Time(time), _) => time.format("%-m/%-d/%Y %-I:%M %p").to_string(),
            (Cell::Day(day), _) => day.format("%-m/%-d/%Y").to_string(),
            (Cell::Link(target, to), _) => {
                let declared = &TABLES[*target];
                self.store.get(*target, *to)?.get(declared.by_name(declared.primary_name)?)?.text()?.to_owned()
            }
            _ => return None,
        })
    }
}

/// Reads the query options; names are case-sensitive and what the service does not know it refuses.
fn read(table: usize, options: &[(String, String)]) -> Result<Query, Error> {
    let declared = &TABLES[table];
    let mut query = Query::default();
    for (name, text) in options {
        match name.as_str() {
            "$select" => {
                query.select = Some(columns(declared, text)?);
                query.selected.extend(text.split(',').map(|name| name.trim().to_owned()));
            }
            "$expand" => query.expand = expansions(declared, text)?,
            "$filter" => query.condition = Some(condition::resolve(table, text, options)?),
            "$orderby" => query.order = order(declared, text)?,
            "$top" => {
                let invalid = || Error::syntax(format!("Invalid value '{text}' for $top query option found."));
                query.top = Some(text.parse().map_err(|_| invalid())?);
            }
            "$count" => {
                let invalid = || Error::syntax(format!("Invalid value '{text}' for $count query option found."));
                query.count = text.parse().map_err(|_| invalid())?;
            }
            "$skiptoken" => {}
            "$skip" => return Err(Error::new(400, "0x80060888", "Skip Clause is not supported in CRM")),
            alias if alias.starts_with('@') => {}
            other => {
                return Err(Error::new(400, "0x80060888", format!("The query parameter {other} is not supported")));
            }
        }
    }
    for expand in &query.expand {
        let columns = expand.select.iter().flatten();
        let target =
            declared.columns[expand.column].targets().iter().find(|target| target.navigation == expand.navigation);
        let names: Vec<_> = columns
            .filter_map(|column| Some(TABLES[super::schema::table(target?.table)].columns[*column].property.clone()))
            .collect();
        query.selected.push(format!("{}({})", expand.navigation, names.join(",")));
    }
    Ok(query)
}

fn columns(table: &Table, text: &str) -> Result<Vec<usize>, Error> {
    text.split(',')
        .map(|name| {
            let name = name.trim();
            table.by_property(name).ok_or_else(|| Error::property(name, table.name))
        })
        .collect()
}

fn order(table: &Table, text: &str) -> Result<Vec<(usize, bool)>, Error> {
    text.split(',')
        .map(|part| {
            let mut words = part.split_whitespace();
            let name = words.next().unwrap_or_default();
            let descending = match words.next() {
                None | Some("asc") => false,
                Some("desc") => true,
                Some(other) => {
                    return Err(Error::syntax(format!("Syntax error in '{part}': '{other}' was not expected.")));
                }
            };
            Ok((table.by_property(name).ok_or_else(|| Error::property(name, table.name))?, descending))
        })
        .collect()
}

/// Reads `nav($select=a,b),nav2`; commas inside of parentheses do not separate expansions.
fn expansions(table: &Table, text: &str) -> Result<Vec<Expand>, Error> {
    let mut depth = 0;
    let parts: Vec<&str> = text
        .split(|letter| {
            depth += i32::from(letter == '(') - i32::from(letter == ')');
            letter == ',' && depth == 0
        })
        .collect();
    if parts.len() > EXPAND_MAX {
        return Err(Error::new(400, "0x80060888", format!("A query can have at most {EXPAND_MAX} expansions.")));
    }
    parts
        .into_iter()
        .map(|part| {
            let (name, inner) = match part.split_once('(') {
                Some((name, rest)) => (name.trim(), rest.strip_suffix(')').ok_or_else(super::address::syntax)?),
                None => (part.trim(), ""),
            };
            let (column, target) = table.by_navigation(name).ok_or_else(|| Error::property(name, table.name))?;
            let mut select = None;
            for option in inner.split(';').filter(|option| !option.is_empty()) {
                match option.split_once('=') {
                    Some(("$select", names)) => {
                        select = Some(columns(&TABLES[super::schema::table(target.table)], names)?);
                    }
                    _ => {
                        return Err(Error::new(
                            400,
                            "0x80060888",
                            format!("The option '{option}' is not supported inside of $expand."),
                        ));
                    }
                }
            }
            Ok(Expand { navigation: target.navigation, column, select })
        })
        .collect()
}

/// Adds the columns that come unasked: the primary key, and the currency with an amount.
fn with_companions(table: &Table, select: &[usize]) -> Vec<usize> {
    let mut columns = select.to_vec();
    let is_money = |column: &usize| matches!(table.columns[*column].kind, Kind::Money { .. } | Kind::Base { .. });
    let currency = table.by_name("transactioncurrencyid").filter(|_| select.iter().any(is_money));
    for column in [Some(table.column(table.primary_key)), currency].into_iter().flatten() {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns
}

fn leads(table: &Table, expand: &Expand, target: usize) -> bool {
    let mut targets = table.columns[expand.column].targets().iter();
    targets.any(|to| to.navigation == expand.navigation && to.table == TABLES[target].name)
}

fn cell_of(table: &Table, column: usize, id: Uuid, row: &Row) -> Option<Cell> {
    match table.columns[column].kind {
        Kind::Key => Some(Cell::Id(id)),
        _ => row.get(column).cloned(),
    }
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
            element(&table.columns[*column].name, last.as_ref(), cell_of(table, *column, first.0, first.1).as_ref());
        }
    }
    element(table.primary_key, Some(&Cell::Id(next.id)), Some(&Cell::Id(first.0)));
    inner.push_str("</cookie>");
    let inner = percent(&percent(&inner));
    let cookie = format!(
        "%3Ccookie%20pagenumber=%22{}%22%20pagingcookie=%22{inner}%22%20istracking=%22False%22%20/%3E",
        next.page
    );
    let kept: Vec<&str> = request
        .target
        .split_once('?')
        .map_or("", |(_, options)| options)
        .split('&')
        .filter(|option| {
            !option.is_empty() && !option.starts_with("$skiptoken=") && !option.starts_with("%24skiptoken=")
        })
        .collect();
    let kept = if kept.is_empty() { String::new() } else { format!("{}&", kept.join("&")) };
    format!("{path}?{kept}$skiptoken={cookie}")
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

/// Puts commas between groups of three digits.
fn grouped(number: &str) -> String {
    let (whole, rest) = number.find('.').map_or((number, ""), |at| number.split_at(at));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    format!("{sign}{out}{rest}")
}

fn json(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("text goes into memory without an error");
}

fn write_cell(out: &mut Vec<u8>, cell: &Cell) {
    // Writing into memory cannot fail.
    let _ = match cell {
        Cell::Text(text) => {
            json(out, text);
            Ok(())
        }
        Cell::Whole(number) => write!(out, "{number}"),
        Cell::Decimal(number) => write!(out, "{number}"),
        Cell::Flag(flag) => write!(out, "{flag}"),
        Cell::Time(time) => write!(out, "\"{}\"", time.format("%Y-%m-%dT%H:%M:%SZ")),
        Cell::Day(day) => write!(out, "\"{day}\""),
        Cell::Id(id) | Cell::Link(_, id) => write!(out, "\"{id}\""),
    };
}
