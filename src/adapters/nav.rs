//! The ERP by its OData V4 pages: NAV 2018, and Business Central as far as it publishes pages (erp-api.md §1, §10).
//!
//! A page shows a table by the names of its fields, and knows a record by the table's primary key: there is no GUID, and
//! no id that we could choose. A record's id is made of its key ([`TableInfo::id_of`]); the way back is what was read, and
//! else a list of all keys. There is no batch to rely on, so each write is a request of its own. Waiting, login and retries
//! are [`crate::adapters::client`]'s, text and JSON are [`crate::adapters::odata`]'s.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use crate::adapters::batch::{self, Batch, Sent, Verdict};
use crate::adapters::client::Client;
use crate::adapters::csdl::{self, Style};
use crate::adapters::odata::batch_json::{Operation, Reply};
use crate::adapters::odata::decode::{Directory, Layout};
use crate::adapters::odata::fault::Fault;
use crate::adapters::odata::{Dialect, filter, percent, value};
use crate::adapters::pages::{self, Reading};
use crate::config::expression::{Comparison, Literal, Predicate};
use crate::config::{Limits, Side};
use crate::endpoint::{
    Bounds, ClockOffset, Endpoint, EndpointError, Identity, Key, Outcome, Query, Report, TableInfo, Traffic, Write,
    WriteKind,
};
use crate::frame::{Column, Frame, Kind};

const ROOT: &str = "/ODataV4";
const COMPANIES: &str = "Company";
/// Keys in one request; more make the address too long (erp-api.md §3).
const KEYS_MAX: usize = 100;
/// Writes between two entries in the journal. Each is a request of its own, so a larger number saves nothing there.
const WRITES_MAX: usize = 20;
/// When a record was last modified: the system's field where there is one, else the table's own, which knows the day only.
const MODIFIED: [&str; 3] = ["SystemModifiedAt", "Last_DateTime_Modified", "Last_Date_Modified"];
/// Characters that a server does not take in the path of an address, however they are written (erp-api.md §1).
const NOT_IN_PATHS: &[char] = &['/', '\\', '%', '+', '?', '#', '&', '*', ':', '<', '>'];

/// The ERP, open for requests.
pub struct Nav {
    client: Client,
    company: String,
    limits: Limits,
    found: Mutex<Option<Identity>>,
    tables: Mutex<Option<Arc<HashMap<String, TableInfo>>>>,
    directories: Mutex<HashMap<String, Arc<Directory>>>,
}

/// A table and what is known of its records.
struct Page {
    info: TableInfo,
    /// The columns of the key.
    key: Vec<String>,
    directory: Arc<Directory>,
}

/// How a record can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ask {
    /// By a filter, together with others.
    Listed(String),
    /// By a filter of its own: one on several columns cannot be joined with another one.
    Filtered(String),
    /// By its address: a filter would take some of its characters for its own syntax.
    Addressed(String),
}

impl Nav {
    /// Makes the adapter of a company; nothing is sent yet.
    pub fn new(client: Client, company: String, limits: Limits) -> Nav {
        Nav {
            client,
            company,
            limits,
            found: Mutex::new(None),
            tables: Mutex::new(None),
            directories: Mutex::new(HashMap::new()),
        }
    }

    /// Proves once that the company exists; its name is all that tells it from others.
    fn company(&self) -> Result<Identity, EndpointError> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        match &*found {
            Some(company) => Ok(company.clone()),
            None => Ok(found.insert(self.find_company()?).clone()),
        }
    }

    fn find_company(&self) -> Result<Identity, EndpointError> {
        let name = Column { name: "Name".to_owned(), kind: Kind::Text };
        let key = vec![name.name.clone()];
        let info = TableInfo { table: COMPANIES.to_owned(), key: Key::Values(key.clone()), columns: Vec::new() };
        let columns = vec![(name, "Name".to_owned())];
        let layout = Layout::keyed(Dialect::BusinessCentral, &info, &key, Arc::default(), columns);
        let url = format!("{}{ROOT}/{COMPANIES}?$select=Name", self.client.base());
        // The first request of all: what is wrong here is wrong with the connection.
        let companies = self.reading(&url, None, &layout, None).run(&|_| {}).map_err(|error| match error {
            EndpointError::Refused { side, message } => {
                let message = format!("{message}; check `url`, and that OData services are enabled there");
                EndpointError::Refused { side, message }
            }
            other => other,
        })?;
        let names = || (0..companies.rows()).map(|row| companies.value("Name", row).to_string());
        match names().position(|name| name == self.company) {
            Some(row) => Ok(Identity { id: companies.id(row), name: self.company.clone() }),
            None => Err(EndpointError::NoCompany {
                side: Side::Erp,
                company: self.company.clone(),
                known: names().collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// Finds a page by the name under which it is published.
    fn page(&self, table: &str) -> Result<Page, EndpointError> {
        let missing = || EndpointError::NoTable { side: Side::Erp, table: table.to_owned() };
        let tables = {
            let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
            match &*tables {
                Some(tables) => Arc::clone(tables),
                None => Arc::clone(tables.insert(Arc::new(self.metadata()?))),
            }
        };
        let info = tables.get(table).ok_or_else(missing)?.clone();
        let Key::Values(key) = info.key.clone() else { return Err(missing()) };
        let mut directories = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = Arc::clone(directories.entry(table.to_owned()).or_default());
        Ok(Page { info, key, directory })
    }

    fn metadata(&self) -> Result<HashMap<String, TableInfo>, EndpointError> {
        let url = format!("{}{ROOT}/$metadata", self.client.base());
        let headers = [("Accept", "application/xml".to_owned()), ("Accept-Language", "en-US".to_owned())];
        let (answer, tables) = self.client.get(&url, &headers, |answer| {
            let text = std::str::from_utf8(&answer.body).map_err(|_| "the metadata is no UTF-8".to_owned())?;
            csdl::read(text, Style::Pages)
        })?;
        tables.ok_or_else(|| EndpointError::Refused {
            side: Side::Erp,
            message: Fault::read(answer.status, &answer.body).to_string(),
        })
    }

    /// Returns the address of a page.
    fn address(&self, page: &Page) -> Result<String, EndpointError> {
        let company = percent::query(&quoted(&self.company()?.name));
        Ok(format!("{}{ROOT}/{COMPANIES}({company})/{}", self.client.base(), page.info.table))
    }

    fn reading<'a>(
        &'a self,
        url: &str,
        filter: Option<&str>,
        layout: &'a Layout,
        asked: Option<&'a [Uuid]>,
    ) -> Reading<'a> {
        let filter = filter.map(|filter| format!("&$filter={}", percent::query(filter))).unwrap_or_default();
        let headers = self.headers(&[("Prefer", format!("odata.maxpagesize={}", self.limits.page))]);
        Reading { client: &self.client, url: format!("{url}{filter}"), headers, layout, asked }
    }

    /// Returns the headers of every request; without the first one the answer may be XML.
    fn headers(&self, more: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
        let mut headers = vec![("Accept", "application/json".to_owned()), ("Accept-Language", "en-US".to_owned())];
        headers.extend_from_slice(more);
        headers
    }

    /// Returns the keys of records, by their ids. Where one was never seen, the keys of all records are read: what is not
    /// among them does not exist.
    fn keys(&self, page: &Page, ids: &[Uuid]) -> Result<HashMap<Uuid, Box<[String]>>, EndpointError> {
        if ids.iter().any(|id| page.directory.key(*id).is_none()) {
            let layout = page.layout(&[])?;
            let url = format!("{}?$select={}", self.address(page)?, page.key.join(","));
            self.reading(&url, None, &layout, None).run(&|_| {})?;
        }
        Ok(ids.iter().filter_map(|id| Some((*id, page.directory.key(*id)?))).collect())
    }

    /// Reads records by their keys; where neither a filter nor an address takes one, among all records.
    fn read_ids(
        &self,
        page: &Page,
        query: &Query<'_>,
        ids: &[Uuid],
        progress: &dyn Fn(usize),
    ) -> Result<Frame, EndpointError> {
        let layout = page.layout(&query.columns)?;
        let (url, select) = (self.address(page)?, page.select(&query.columns));
        let keys = self.keys(page, ids)?;
        let mut asks: HashMap<Uuid, Ask> = HashMap::new();
        let mut unasked: HashSet<Uuid> = HashSet::new();
        for (id, key) in &keys {
            match page.ask(key) {
                Some(ask) => {
                    asks.insert(*id, ask);
                }
                None => {
                    unasked.insert(*id);
                }
            }
        }
        let of = |listed: bool| -> Vec<Uuid> {
            let fits = |id: &&Uuid| asks.get(*id).is_some_and(|ask| matches!(ask, Ask::Listed(_)) == listed);
            ids.iter().filter(fits).copied().collect()
        };
        let listed = |ids: &[Uuid]| {
            let terms: Vec<&str> = ids
                .iter()
                .filter_map(|id| match &asks[id] {
                    Ask::Listed(term) => Some(term.as_str()),
                    _ => None,
                })
                .collect();
            let filter = terms.join(" or ");
            self.reading(&format!("{url}?{select}"), Some(&filter), &layout, Some(ids)).run(&|_| {})
        };
        let alone = |ids: &[Uuid]| match &asks[&ids[0]] {
            Ask::Listed(filter) | Ask::Filtered(filter) => {
                self.reading(&format!("{url}?{select}"), Some(filter), &layout, Some(ids)).run(&|_| {})
            }
            Ask::Addressed(key) => self.read_one(&format!("{url}({key})?{select}"), &layout),
        };
        let mut found = pages::by_ids(&self.client, &of(true), KEYS_MAX, &layout, progress, &listed)?;
        let before = found.rows();
        let more = |rows: usize| progress(before + rows);
        found.append(&pages::by_ids(&self.client, &of(false), 1, &layout, &more, &alone)?);
        if !unasked.is_empty() {
            let all = self.reading(&format!("{url}?{select}"), None, &layout, None).run(&|_| {})?;
            let rows: Vec<usize> = (0..all.rows()).filter(|row| unasked.contains(&all.id(*row))).collect();
            found.append(&all.take(&rows));
        }
        found.settle();
        Ok(found)
    }

    /// Reads the record at an address; none where there is none.
    fn read_one(&self, url: &str, layout: &Layout) -> Result<Frame, EndpointError> {
        let (answer, frame) = self.client.get(url, &self.headers(&[]), |answer| {
            let text = std::str::from_utf8(&answer.body).map_err(|_| "the answer is no UTF-8".to_owned())?;
            let mut rows = layout.rows();
            if layout.row(text, &mut rows)? { Ok(rows.finish()) } else { Err("the answer is no record".to_owned()) }
        })?;
        match (frame, answer.status) {
            (Some(frame), _) => Ok(frame),
            (None, 404) => Ok(layout.rows().finish()),
            (None, status) => {
                let message = Fault::read(status, &answer.body).to_string();
                Err(EndpointError::Refused { side: Side::Erp, message })
            }
        }
    }

    /// Sends each operation as a request of its own.
    fn send(&self, operations: &[Operation]) -> Sent<Reply> {
        let one = |operation: &Operation| {
            let mut more = Vec::new();
            more.extend(operation.if_match.clone().map(|etag| ("If-Match", etag)));
            let body = Some(operation.body.as_str()).filter(|body| !body.is_empty());
            more.extend(body.map(|_| ("Content-Type", "application/json".to_owned())));
            let answer =
                self.client.write(operation.method, &operation.url, &self.headers(&more), body.map(str::as_bytes));
            match answer {
                Err(error) => Err(Verdict::unanswered(&error)),
                Ok(answer) => {
                    let body = String::from_utf8_lossy(&answer.body).into_owned();
                    Ok(Reply { status: answer.status, body })
                }
            }
        };
        Sent::Told(operations.iter().map(one).collect())
    }
}

impl Page {
    fn layout(&self, columns: &[String]) -> Result<Layout, EndpointError> {
        let column = |name: &String| match self.info.column(name) {
            Some(info) => Ok((info.column.clone(), name.clone())),
            None => Err(EndpointError::Refused {
                side: Side::Erp,
                message: format!("table `{}` has no column `{name}`", self.info.table),
            }),
        };
        let columns = columns.iter().map(column).collect::<Result<_, _>>()?;
        Ok(Layout::keyed(Dialect::BusinessCentral, &self.info, &self.key, Arc::clone(&self.directory), columns))
    }

    fn select(&self, columns: &[String]) -> String {
        let others = columns.iter().filter(|column| !self.key.contains(column));
        let names: Vec<&str> = self.key.iter().chain(others).map(String::as_str).collect();
        format!("$select={}", names.join(","))
    }

    fn filter(&self, predicate: &Predicate) -> Option<String> {
        let property = |column: &str| (!column.contains('/')).then(|| column.to_owned());
        filter::text(Dialect::BusinessCentral, predicate, &self.info, &property)
    }

    /// Returns how a record can be asked for; `None` where neither a filter nor an address takes its key.
    fn ask(&self, key: &[String]) -> Option<Ask> {
        let equal = |(column, value): (&String, &String)| {
            let kind = self.info.column(column)?.column.kind;
            let literal = match kind {
                Kind::Integer | Kind::Choice | Kind::Decimal { .. } => Literal::Number(value.clone()),
                _ => Literal::Text(value.clone()),
            };
            match kind {
                // The members of an option are not in the metadata; of those of a record that was read one is sure.
                Kind::Enum | Kind::Boolean | Kind::Decimal { .. } => {
                    Some(format!("{column} eq {}", literal_of(kind, value)))
                }
                _ => {
                    self.filter(&Predicate::Compare { column: column.clone(), comparison: Comparison::Equal, literal })
                }
            }
        };
        let terms: Option<Vec<String>> = self.key.iter().zip(key).map(equal).collect();
        match terms {
            Some(terms) if terms.len() == 1 => Some(Ask::Listed(terms.concat())),
            Some(terms) => Some(Ask::Filtered(terms.join(" and "))),
            None => self.in_path(key).map(Ask::Addressed),
        }
    }

    /// Returns a key as an address bears it; `None` where it cannot.
    fn in_path(&self, key: &[String]) -> Option<String> {
        if key.iter().any(|value| value.contains(NOT_IN_PATHS)) {
            return None;
        }
        let literals = self.key.iter().zip(key).map(|(column, value)| {
            let kind = self.info.column(column).map_or(Kind::Text, |info| info.column.kind);
            percent::query(&literal_of(kind, value))
        });
        let literals: Vec<String> = literals.collect();
        Some(match literals.as_slice() {
            [one] => one.clone(),
            several => {
                let pairs = self.key.iter().zip(several).map(|(column, literal)| format!("{column}={literal}"));
                pairs.collect::<Vec<_>>().join(",")
            }
        })
    }

    /// Makes the request of a write. `key` is the key of the record to be changed, where it is known.
    fn operation(&self, url: &str, key: Option<&[String]>, write: &Write) -> Result<Operation, String> {
        let mut properties = Vec::with_capacity(write.fields.len());
        // Values are validated in the order in which they come, so the caller's order is kept.
        for (name, new) in &write.fields {
            let column = self.info.column(name).ok_or_else(|| format!("there is no column `{name}`"))?;
            properties.push((name.as_str(), value::json(Dialect::BusinessCentral, column, new)?));
        }
        let body = value::object(properties.iter().map(|(name, json)| (*name, json.as_str())));
        let etag = || Some(write.etag.clone().unwrap_or_else(|| "*".to_owned()));
        if write.kind == WriteKind::Insert {
            return Ok(Operation { method: "POST", url: url.to_owned(), if_match: None, body });
        }
        let key = key.ok_or("its key is not known")?;
        let in_path = self.in_path(key).ok_or_else(|| {
            format!("no address takes its key `{}`; give it one without `/`, `%`, `+` and the like", key.join(", "))
        })?;
        let url = format!("{url}({in_path})");
        Ok(match write.kind {
            WriteKind::Delete => Operation { method: "DELETE", url, if_match: etag(), body: String::new() },
            _ => Operation { method: "PATCH", url, if_match: etag(), body },
        })
    }
}

impl Endpoint for Nav {
    fn side(&self) -> Side {
        Side::Erp
    }

    fn open(&self) -> Result<Identity, EndpointError> {
        self.company()
    }

    fn describe(&self, table: &str) -> Result<TableInfo, EndpointError> {
        Ok(self.page(table)?.info)
    }

    fn evaluates(&self, info: &TableInfo, filter: &Predicate) -> bool {
        self.page(&info.table).is_ok_and(|page| page.filter(filter).is_some())
    }

    fn read(&self, query: &Query<'_>, progress: &dyn Fn(usize)) -> Result<Frame, EndpointError> {
        let page = self.page(&query.info.table)?;
        if let Some(ids) = &query.ids {
            return self.read_ids(&page, query, ids, progress);
        }
        let layout = page.layout(&query.columns)?;
        let url = format!("{}?{}", self.address(&page)?, page.select(&query.columns));
        let filter = query.filter.as_ref().and_then(|predicate| page.filter(predicate));
        self.reading(&url, filter.as_deref(), &layout, None).run(progress)
    }

    fn read_holding(&self, query: &Query<'_>, column: &str, texts: &[String]) -> Result<Option<Frame>, EndpointError> {
        let page = self.page(&query.info.table)?;
        // As in the API: codes are upper-cased by the ERP itself, and other texts are compared with regard to case.
        let Some(info) = page.info.column(column).filter(|info| info.column.kind == Kind::Code) else {
            return Ok(None);
        };
        let fits = |text: &&str| info.length_max.is_none_or(|length_max| text.chars().count() <= length_max);
        let texts: Vec<&str> = texts.iter().map(|text| text.trim()).filter(fits).collect();
        let equal = |text: &&str| Predicate::Compare {
            column: column.to_owned(),
            comparison: Comparison::Equal,
            literal: Literal::Text((*text).to_owned()),
        };
        let lists = texts.chunks(KEYS_MAX).map(|texts| page.filter(&Predicate::Any(texts.iter().map(equal).collect())));
        let Some(lists) = lists.collect::<Option<Vec<String>>>() else { return Ok(None) };
        let layout = page.layout(&query.columns)?;
        let url = format!("{}?{}", self.address(&page)?, page.select(&query.columns));
        let mut found = layout.rows().finish();
        for list in lists {
            found.upsert(&self.reading(&url, Some(&list), &layout, None).run(&|_| {})?);
        }
        Ok(Some(found))
    }

    fn bounds(&self) -> Bounds {
        Bounds { ids_max: KEYS_MAX, page_rows_max: self.limits.page }
    }

    fn write(&self, info: &TableInfo, columns: &[String], writes: &[Write]) -> Report {
        let changed: Vec<Uuid> =
            writes.iter().filter(|write| write.kind != WriteKind::Insert).map(|write| write.id).collect();
        let prepared = self.page(&info.table).and_then(|page| {
            let (url, layout) = (self.address(&page)?, page.layout(columns)?);
            let keys = self.keys(&page, &changed)?;
            Ok((page, url, layout, keys))
        });
        let (page, url, layout, keys) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return batch::unsendable(info, columns, writes, &error),
        };
        let key = |write: &Write| keys.get(&write.id).map(|key| &**key);
        let is_gone = |write: &Write| write.kind != WriteKind::Insert && key(write).is_none();
        let sent: Vec<Write> = writes.iter().filter(|write| !is_gone(write)).cloned().collect();
        let operations = sent.iter().map(|write| page.operation(&url, key(write), write)).collect();
        let batch = Batch { endpoint: self, info, columns, writes: &sent, layout: &layout };
        let Report { outcomes, rows } =
            batch::carry_out(&batch, operations, &|operations| self.send(operations), verdict, |reply| reply.body);
        // What is in no list of keys is not there any more, and has no address that could be asked.
        let mut outcomes = outcomes.into_iter();
        let outcome = |write: &Write| match is_gone(write) {
            true => Outcome::Gone,
            false => outcomes.next().expect("each write that was sent has an outcome"),
        };
        Report { outcomes: writes.iter().map(outcome).collect(), rows }
    }

    fn batch_max(&self) -> usize {
        self.limits.batch.clamp(1, WRITES_MAX)
    }

    fn concurrency(&self) -> usize {
        self.client.concurrency()
    }

    fn traffic(&self) -> Traffic {
        self.client.traffic()
    }

    fn modified_column(&self, info: &TableInfo) -> Option<String> {
        let tells = |name: &&str| {
            info.column(name).is_some_and(|column| matches!(column.column.kind, Kind::DateTime | Kind::Date))
        };
        MODIFIED.into_iter().find(tells).map(str::to_owned)
    }

    fn clock_offset(&self) -> Option<ClockOffset> {
        self.client.clock_offset()
    }
}

/// Returns a text as a literal.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Returns the value of a key as a literal.
fn literal_of(kind: Kind, value: &str) -> String {
    match kind {
        Kind::Text | Kind::Code => quoted(value),
        Kind::Enum => quoted(&crate::adapters::odata::name::encode(value)),
        Kind::Date if value.is_empty() => "0001-01-01".to_owned(),
        Kind::DateTime if value.is_empty() => "0001-01-01T00:00:00Z".to_owned(),
        Kind::Guid if value.is_empty() => Uuid::nil().to_string(),
        Kind::Integer | Kind::Choice | Kind::Decimal { .. } if value.is_empty() => "0".to_owned(),
        _ => value.to_owned(),
    }
}

/// Returns what a reply says about a write (erp-api.md §4, §10): NAV may leave the code of an error blank.
fn verdict(write: &Write, reply: &Reply) -> Verdict {
    let fault = Fault::read(reply.status, reply.body.as_bytes());
    if let Some(verdict) = Verdict::by_status(&fault) {
        return verdict;
    }
    let changes = write.kind != WriteKind::Insert;
    match (fault.status, fault.code.as_str()) {
        (409 | 412, "Request_EntityChanged" | "") | (412, _) if changes => Verdict::Settled(Outcome::Stale),
        (404, code) if changes && code != "BadRequest_ResourceNotFound" => Verdict::Settled(Outcome::Gone),
        // Whoever has a record with that key already: it is not proven to be ours.
        _ => Verdict::refused(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::ColumnInfo;
    use crate::frame::Value;

    fn page(columns: &[(&str, Kind)], key: &[&str]) -> Page {
        let known = |(name, kind): &(&str, Kind)| ColumnInfo {
            column: Column { name: (*name).into(), kind: *kind },
            readable: true,
            insertable: true,
            updatable: true,
            length_max: Some(20),
            options: Vec::new(),
            targets: Vec::new(),
        };
        let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
        let columns = columns.iter().map(known).collect();
        let info = TableInfo { table: "T".into(), key: Key::Values(key.clone()), columns };
        Page { info, key, directory: Arc::default() }
    }

    #[test]
    fn a_record_is_asked_for_by_a_filter_or_else_by_its_address() {
        let simple = page(&[("No", Kind::Code)], &["No"]);
        let number = page(&[("Entry_No", Kind::Integer)], &["Entry_No"]);
        let order = page(&[("Type", Kind::Enum), ("No", Kind::Code)], &["Type", "No"]);
        let price = page(&[("No", Kind::Code), ("Starting", Kind::Date)], &["No", "Starting"]);
        let (listed, filtered) =
            (|text: &str| Some(Ask::Listed(text.into())), |text: &str| Some(Ask::Filtered(text.into())));
        let addressed = |text: &str| Some(Ask::Addressed(text.into()));
        for (page, key, expected) in [
            (&simple, &["10000"][..], listed("No eq '10000'")),
            (&simple, &["A/B"], listed("No eq 'A/B'")),
            // A filter would take these characters for its own, and an address takes them in quotes.
            (&simple, &["O'HARA (1)"], addressed("'O''HARA%20(1)'")),
            (&simple, &["A*/B"], None),
            (&number, &["42"], listed("Entry_No eq 42")),
            (&order, &["Credit Memo", "1001"], filtered("Type eq 'Credit_x0020_Memo' and No eq '1001'")),
            (&order, &["", "A=1"], addressed("Type='_x0020_',No='A%3D1'")),
            (&price, &["1000", "2026-01-31"], filtered("No eq '1000' and Starting eq 2026-01-31")),
            (&price, &["1000", ""], addressed("No='1000',Starting=0001-01-01")),
        ] {
            let key: Vec<String> = key.iter().map(|value| (*value).to_owned()).collect();
            assert_eq!(page.ask(&key), expected, "{key:?}");
        }
    }

    #[test]
    fn a_write_is_a_request_of_its_own() {
        let page = page(
            &[("Item_No", Kind::Code), ("Code", Kind::Code), ("Qty", Kind::Decimal { scale: 5 })],
            &["Item_No", "Code"],
        );
        let key = ["1000".to_owned(), "PCS".to_owned()];
        let write = |kind: WriteKind, etag: Option<&str>| Write {
            kind,
            id: Uuid::nil(),
            etag: etag.map(str::to_owned),
            fields: vec![("Qty".into(), Value::Integer(12))],
        };
        let told = |write: &Write, key: Option<&[String]>| match page.operation("R/U", key, write) {
            Ok(Operation { method, url, if_match, body }) => {
                format!("{method} {url} {} {body}", if_match.unwrap_or_default()).trim().to_owned()
            }
            Err(message) => message,
        };
        let odd = ["A%".to_owned(), "PCS".to_owned()];
        for (write, key, expected) in [
            (write(WriteKind::Insert, None), None, "POST R/U  {\"Qty\":12}"),
            (
                write(WriteKind::Update, Some("W/\"1\"")),
                Some(&key),
                "PATCH R/U(Item_No='1000',Code='PCS') W/\"1\" {\"Qty\":12}",
            ),
            (write(WriteKind::Delete, None), Some(&key), "DELETE R/U(Item_No='1000',Code='PCS') *"),
            (
                write(WriteKind::Update, None),
                Some(&odd),
                "no address takes its key `A%, PCS`; give it one without `/`, `%`, `+` and the like",
            ),
        ] {
            assert_eq!(told(&write, key.map(<[String; 2]>::as_slice)), expected);
        }
    }

    #[test]
    fn replies_are_told_apart_even_where_nav_gives_no_code() {
        use WriteKind::{Delete, Insert, Update};
        for (kind, status, code, expected) in [
            (Update, 200, "", Verdict::Settled(Outcome::Written)),
            (Update, 409, "", Verdict::Settled(Outcome::Stale)),
            (Update, 409, "Request_EntityChanged", Verdict::Settled(Outcome::Stale)),
            (Update, 412, "", Verdict::Settled(Outcome::Stale)),
            (Update, 409, "Internal_EntityWithSameKeyExists", Verdict::refused("m (Internal_EntityWithSameKeyExists)")),
            (Delete, 404, "", Verdict::Settled(Outcome::Gone)),
            (Update, 404, "BadRequest_ResourceNotFound", Verdict::refused("m (BadRequest_ResourceNotFound)")),
            (Insert, 400, "", Verdict::refused("m")),
            (Insert, 409, "", Verdict::refused("m")),
            (Insert, 400, "Internal_EntityWithSameKeyExists", Verdict::refused("m (Internal_EntityWithSameKeyExists)")),
            (Insert, 503, "", Verdict::not_sent("m")),
            (Insert, 504, "", Verdict::unknown("m")),
        ] {
            let write = Write { kind, id: Uuid::nil(), etag: None, fields: Vec::new() };
            let body = format!(r#"{{"error":{{"code":"{code}","message":"m"}}}}"#);
            assert_eq!(verdict(&write, &Reply { status, body }), expected, "{kind:?} {status} {code}");
        }
    }
}
