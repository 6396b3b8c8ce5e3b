//! Reading: query options to rows, rows to JSON text, and the link to the next page.
//!
//! A page is at most what the client prefers and the service allows. Its link goes on after the last row by that row's
//! key (and the values it was ordered by), so rows that come or go meanwhile neither shift nor double the rest. The link
//! is bound to its exact bytes: a changed, decoded or re-encoded one is refused.

use std::cmp::Ordering;

use serde_json::{Value, json};
use uuid::Uuid;

use super::cell::{self, Cell};
use super::condition::Condition;
use super::error::Refusal;
use super::schema::{self, Api, PAGES, Page, Role, SETS, Set};
use super::{Row, State};
use crate::filter;

const TOKEN: &str = "$skiptoken=";
const TOKEN_START: &str = "01P8A-";

/// A navigation to expand, with the properties of its page to show.
type Expansion = (usize, Option<Vec<usize>>);

/// What a read asks for.
#[derive(Debug, Default)]
pub struct Query {
    /// The properties to show, in the page's order; `None` is all.
    select: Option<Vec<usize>>,
    condition: Option<Condition>,
    /// Columns to order by, and whether downwards.
    order: Vec<(usize, bool)>,
    top: Option<u64>,
    skip: u64,
    count: bool,
    expand: Vec<Expansion>,
}

impl Query {
    /// Reads the query options of a request to a page or to one of its records.
    pub fn read(page: &Page, options: &[(String, String)]) -> Result<Query, Refusal> {
        let mut query = Query::default();
        let extended = filter::option(options, "$schemaversion") == Some("2.1");
        for (name, value) in options {
            let number = || {
                value.parse::<u64>().map_err(|_| {
                    Refusal::bad(format!(
                        "Invalid value '{value}' for {name} query option found. It must be a \
                                          non-negative integer."
                    ))
                })
            };
            match name.as_str() {
                "$select" => query.select = selected(page, value)?,
                "$filter" => {
                    let parsed = filter::parse(value, options)
                        .map_err(|error| Refusal::bad(format!("{error} in '{value}'.")))?;
                    query.condition = Some(Condition::of(&parsed, page, extended)?);
                }
                "$orderby" => {
                    for part in value.split(',').map(str::trim) {
                        let (name, direction) = part.split_once(' ').unwrap_or((part, "asc"));
                        let place = column(page, name)?;
                        let down = match direction.trim() {
                            "asc" => false,
                            "desc" => true,
                            other => return Err(Refusal::bad(format!("'{other}' is no direction to order by."))),
                        };
                        query.order.push((place, down));
                    }
                }
                "$top" => query.top = Some(number()?),
                "$skip" => query.skip = number()?,
                "$count" => {
                    query.count = match value.as_str() {
                        "true" => true,
                        "false" => false,
                        _ => {
                            return Err(Refusal::bad(format!(
                                "Invalid value '{value}' for $count query option found."
                            )));
                        }
                    }
                }
                "$expand" => query.expand = expansions(page, value)?,
                "$skiptoken" | "$schemaversion" | "$format" => {}
                // Custom options, as `company` and `tenant`, are for others.
                other if !other.starts_with('$') => {}
                other => return Err(Refusal::bad(format!("The query parameter '{other}' is not supported."))),
            }
        }
        Ok(query)
    }
}

fn column(page: &Page, name: &str) -> Result<usize, Refusal> {
    page.column(name).ok_or_else(|| Refusal::no_property(name, &page.type_name()))
}

fn selected(page: &Page, text: &str) -> Result<Option<Vec<usize>>, Refusal> {
    let names: Vec<_> = text.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.is_empty() || names.contains(&"*") {
        return Ok(None);
    }
    let mut places = Vec::with_capacity(names.len());
    for name in names {
        places.push(page.property(name).ok_or_else(|| Refusal::no_property(name, &page.type_name()))?);
    }
    places.sort_unstable();
    places.dedup();
    Ok(Some(places))
}

/// Reads `currency,paymentTerm($select=code,displayName)`.
fn expansions(page: &Page, text: &str) -> Result<Vec<Expansion>, Refusal> {
    let mut out = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = rest.find([',', '(']).unwrap_or(rest.len());
        let name = rest[..end].trim();
        let navigations = page.navigations();
        let place = navigations.iter().position(|navigation| navigation.name == name);
        let place = place.ok_or_else(|| Refusal::no_property(name, &page.type_name()))?;
        let target = &PAGES[schema::page(page.api, navigations[place].set).unwrap_or_default()];
        rest = &rest[end..];
        let mut select = None;
        if let Some(inside) = rest.strip_prefix('(') {
            let (options, after) = inside
                .split_once(')')
                .ok_or_else(|| Refusal::bad(format!("Syntax error: '{text}' has an open parenthesis.")))?;
            for option in options.split(';').map(str::trim).filter(|option| !option.is_empty()) {
                match option.split_once('=') {
                    Some(("$select", names)) => select = selected(target, names)?,
                    _ => return Err(Refusal::bad(format!("'{option}' is not supported inside $expand."))),
                }
            }
            rest = after;
        }
        out.push((place, select));
        rest = rest.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if rest.is_empty() => rest,
            None => return Err(Refusal::bad(format!("Syntax error: '{rest}' was not expected in $expand."))),
        };
    }
    Ok(out)
}

/// Where a page begins: the rows that `$top` still allows, how many rows were counted for the first page, the last row's key,
/// the values it was ordered by.
#[derive(Debug)]
struct Mark {
    top: Option<u64>,
    total: Option<u64>,
    key: String,
    values: Vec<Cell>,
}

impl Mark {
    fn text(&self, set: &Set, order: &[(usize, bool)]) -> String {
        let values = self.values.iter().zip(order).map(|(cell, (place, _))| cell.json(set.columns[*place].kind));
        json!([self.top, self.total, self.key, values.collect::<Vec<_>>()]).to_string()
    }

    fn read(text: &str, set: &Set, order: &[(usize, bool)]) -> Option<Mark> {
        let parts: Value = serde_json::from_str(text).ok()?;
        let values = parts[3].as_array()?;
        let cells = values.iter().zip(order).map(|(value, (place, _))| Cell::read(&set.columns[*place], value).ok());
        let values: Option<Vec<_>> = cells.collect();
        Some(Mark {
            top: parts[0].as_u64(),
            total: parts[1].as_u64(),
            key: parts[2].as_str()?.to_string(),
            values: values?,
        })
    }
}

impl State {
    /// Reads some of what a page shows; `target` is the request's own, `base` what stands before it.
    pub(super) fn page(
        &self,
        api: Api,
        page: usize,
        base: &str,
        target: &str,
        preferred: Option<usize>,
    ) -> Result<Vec<u8>, Refusal> {
        let page = &PAGES[page];
        let (set, schema) = (page.set, page.table());
        let (path, options) = filter::query(target);
        let query = Query::read(page, &options)?;
        let (link, mark) = self.mark(schema, target, &options, &query.order)?;
        let top = mark.as_ref().map_or(query.top, |mark| mark.top).map(|top| top as usize);
        let size = preferred.unwrap_or(self.page_max).min(self.page_max);
        let rows = self.rows(page, &query, mark.as_ref(), size.min(top.unwrap_or(usize::MAX)));
        if rows.len().min(size) > self.rows_in_time {
            return Err(Refusal::timed_out());
        }

        let mut out = Vec::with_capacity(256 + rows.len().min(size) * 512);
        out.extend_from_slice(b"{\"@odata.context\":");
        cell::write_string(&self.context(api, base, page.name), &mut out);
        let total = query.count.then(|| {
            // Counted once for all pages, since it goes through the whole table.
            mark.as_ref().and_then(|mark| mark.total).unwrap_or_else(|| {
                let counted = self.tables[set].iter().filter(|(_, _, row)| self.meets(page, &query, row)).count();
                counted as u64
            })
        });
        if let Some(total) = total {
            out.extend_from_slice(format!(",\"@odata.count\":{total}").as_bytes());
        }
        out.extend_from_slice(b",\"value\":[");
        let shown = rows.len().min(size).min(top.unwrap_or(usize::MAX));
        for (number, (_, row)) in rows[..shown].iter().enumerate() {
            if number > 0 {
                out.push(b',');
            }
            self.write_entity(page, row, &query, None, &mut out);
        }
        out.push(b']');
        let left = top.map(|top| top - shown);
        if shown < rows.len() && left != Some(0) {
            let (key, row) = rows[shown - 1];
            let values = query.order.iter().map(|(place, _)| self.shown(set, row, *place).into_owned());
            let mark =
                Mark { top: left.map(|left| left as u64), total, key: key.to_string(), values: values.collect() };
            let text = mark.text(schema, &query.order);
            let separator = if link.is_empty() { "" } else { "&" };
            let rest = format!("?{link}{separator}{TOKEN}{}", token(path, &link, &text));
            let relative = path.strip_prefix(&format!("{}/", self.root(api))).filter(|_| self.relative_links);
            let next = relative.map_or_else(|| format!("{base}{path}{rest}"), |path| format!("{path}{rest}"));
            out.extend_from_slice(b",\"@odata.nextLink\":");
            cell::write_string(&next, &mut out);
        }
        out.push(b'}');
        Ok(out)
    }

    /// Reads one record; `context` is left out inside a collection.
    pub(super) fn entity(
        &self,
        api: Api,
        page: usize,
        id: &Uuid,
        base: &str,
        options: &[(String, String)],
    ) -> Result<Vec<u8>, Refusal> {
        let page = &PAGES[page];
        let query = Query::read(page, options)?;
        let row = self.tables[page.set].get(id).ok_or_else(Refusal::not_found)?;
        let context = format!("{}/$entity", self.context(api, base, page.name));
        let mut out = Vec::with_capacity(1024);
        self.write_entity(page, row, &query, Some(&context), &mut out);
        Ok(out)
    }

    pub(super) fn context(&self, api: Api, base: &str, set: &str) -> String {
        let root = self.root(api);
        match api {
            Api::Pages | Api::Nav => format!("{base}{root}/$metadata#Company('{}')/{set}", self.company()),
            _ => format!("{base}{root}/$metadata#companies({})/{set}", self.company_id()),
        }
    }

    /// Splits the skip token off the raw query, checks it, and reads where it says to go on.
    fn mark(
        &self,
        set: &Set,
        target: &str,
        options: &[(String, String)],
        order: &[(usize, bool)],
    ) -> Result<(String, Option<Mark>), Refusal> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (tokens, others): (Vec<&str>, Vec<&str>) =
            query.split('&').filter(|option| !option.is_empty()).partition(|option| option.starts_with(TOKEN));
        let link = others.join("&");
        let Some(decoded) = filter::option(options, "$skiptoken") else { return Ok((link, None)) };
        let broken = || Refusal::bad(format!("The value '{decoded}' of $skiptoken is not valid."));
        let [raw] = tokens.as_slice() else { return Err(broken()) };
        let text = decoded.strip_prefix(TOKEN_START).and_then(|rest| rest.get(17..)).ok_or_else(broken)?;
        // Made again from what it says, it must come out the same to the byte.
        if raw[TOKEN.len()..] != token(path, &link, text) {
            return Err(broken());
        }
        let mark = Mark::read(text, set, order).ok_or_else(broken)?;
        Ok((link, Some(mark)))
    }

    /// Finds the rows from a mark on: `max` of them, and one more if there is one.
    fn rows<'a>(&'a self, page: &Page, query: &Query, mark: Option<&Mark>, max: usize) -> Vec<(&'a str, &'a Row)> {
        let set = page.set;
        let table = &self.tables[set];
        let id_at = SETS[set].role(Role::Id);
        let by_id = match &query.condition {
            Some(Condition::Among { place, values }) if *place == id_at => Some(values),
            _ => None,
        };
        let wanted = max.saturating_add(1);
        let skip = if mark.is_some() { 0 } else { usize::try_from(query.skip).unwrap_or(usize::MAX) };
        if query.order.is_empty() && by_id.is_none() {
            let rows: Box<dyn Iterator<Item = (&str, Uuid, &Row)>> = match mark {
                Some(mark) => Box::new(table.after(&mark.key)),
                None => Box::new(table.iter()),
            };
            let rows = rows.map(|(key, _, row)| (key, row)).filter(|(_, row)| self.meets(page, query, row));
            return rows.skip(skip).take(wanted).collect();
        }
        let mut rows: Vec<(&str, &Row)> = match by_id {
            // A list of ids is looked up, not searched for: clients read tens of thousands of rows this way.
            Some(values) => {
                let mut keys: Vec<&str> = values.iter().filter_map(|cell| table.key(&cell.guid())).collect();
                keys.sort_unstable();
                keys.dedup();
                let rows = keys.into_iter().filter_map(|key| Some((key, table.find(key)?.1)));
                rows.filter(|(_, row)| self.meets(page, query, row)).collect()
            }
            None => {
                let rows = table.iter().map(|(key, _, row)| (key, row));
                rows.filter(|(_, row)| self.meets(page, query, row)).collect()
            }
        };
        let compare = |key: &str, values: &dyn Fn(usize, usize) -> Ordering, other: &str| {
            let mut order = Ordering::Equal;
            for (number, (place, down)) in query.order.iter().enumerate() {
                let step = values(number, *place);
                order = order.then(if *down { step.reverse() } else { step });
            }
            order.then_with(|| key.cmp(other))
        };
        rows.sort_by(|(key, row), (other_key, other)| {
            let values = |_: usize, place: usize| self.shown(set, row, place).order(&self.shown(set, other, place));
            compare(key, &values, other_key)
        });
        if let Some(mark) = mark {
            let start = rows.partition_point(|(key, row)| {
                let values = |number: usize, place: usize| self.shown(set, row, place).order(&mark.values[number]);
                compare(key, &values, &mark.key).is_le()
            });
            rows.drain(..start);
        }
        rows.into_iter().skip(skip).take(wanted).collect()
    }

    fn meets(&self, page: &Page, query: &Query, row: &Row) -> bool {
        if !self.unlisted.is_empty() && self.unlisted.contains(&row.cells[SETS[page.set].role(Role::Id)].guid()) {
            return false;
        }
        let Some(condition) = &query.condition else { return true };
        condition.holds(&|place| self.shown_on(page, row, place))
    }

    fn write_entity(&self, page: &Page, row: &Row, query: &Query, context: Option<&str>, out: &mut Vec<u8>) {
        out.push(b'{');
        if let Some(context) = context {
            out.extend_from_slice(b"\"@odata.context\":");
            cell::write_string(context, out);
            out.push(b',');
        }
        out.extend_from_slice(b"\"@odata.etag\":");
        cell::write_string(&row.etag(), out);
        let mut write = |property: usize| {
            let property = &page.properties[property];
            out.extend_from_slice(b",\"");
            out.extend_from_slice(property.name.as_bytes());
            out.extend_from_slice(b"\":");
            self.shown_on(page, row, property.place).write(page.behind(property).kind, out);
        };
        match &query.select {
            Some(properties) => properties.iter().copied().for_each(&mut write),
            None => (0..page.properties.len()).for_each(&mut write),
        }
        for (place, select) in &query.expand {
            let navigation = &page.navigations()[*place];
            out.push(b',');
            cell::write_string(navigation.name, out);
            out.push(b':');
            let target = &PAGES[schema::page(page.api, navigation.set).unwrap_or_default()];
            let id = page.table().column(navigation.column).map(|place| row.cells[place].guid()).unwrap_or_default();
            match self.tables[target.set].get(&id) {
                Some(related) => {
                    let inner = Query { select: select.clone(), ..Query::default() };
                    self.write_entity(target, related, &inner, None, out);
                }
                None => out.extend_from_slice(b"null"),
            }
        }
        out.push(b'}');
    }
}

impl Row {
    /// Returns the row's etag: a number that every change moves on, in the product's wrapping.
    pub(super) fn etag(&self) -> String {
        format!("W/\"{}\"", base64(format!("'20;{:020};{:02};00;'", self.version * 7919, self.version % 89).as_bytes()))
    }
}

/// Makes a skip token; the sum in front binds it to the link that it is part of.
fn token(path: &str, link: &str, text: &str) -> String {
    let bytes = [path, "?", link, "#", text].into_iter().flat_map(str::bytes);
    // FNV-1a.
    let sum = bytes.fold(0xcbf2_9ce4_8422_2325u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{TOKEN_START}{sum:016x}-{}", filter::encode(text))
}

/// Writes bytes as Base64.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = DIGITS[(group >> (18 - 6 * place)) as usize & 63];
            out.push(if place > chunk.len() { '=' } else { digit as char });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_the_standard_one() {
        for (input, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(input.as_bytes()), expected);
        }
    }
}
