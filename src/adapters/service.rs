//! The ERP by its metadata alone: OData V4 pages of NAV 2018 and Business Central (erp-api.md §1, §10), or any other OData
//! V4 service.
//!
//! Such a service knows a record by what it holds in the columns of its key: there is no id that we could choose, unless
//! the file says so. A record's id is made of its key ([`TableInfo::id_of`]); the way back is what was read, and else a
//! list of all keys. There is no batch to rely on, so each write is a request of its own, unless the file says how many
//! go into a batch. Waiting, login and retries are [`crate::adapters::client`]'s, text and JSON are [`crate::adapters::odata`]'s.

mod page;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use crate::adapters::batch::{self, Batch, Sent, Verdict};
use crate::adapters::client::Client;
use crate::adapters::csdl::{self, Style};
use crate::adapters::odata::batch_json::{Operation, Reply};
use crate::adapters::odata::decode::{Directory, Layout};
use crate::adapters::odata::fault::Fault;
use crate::adapters::odata::{Dialect, percent};
use crate::adapters::pages::{self, Reading};
use crate::adapters::service::page::{Ask, Page, quoted};
use crate::config::expression::{Comparison, Literal, Predicate};
use crate::config::{Limits, Side};
use crate::endpoint::{
    Bounds, ClockOffset, Endpoint, EndpointError, Identity, Key, Outcome, Query, Report, TableInfo, Traffic, Write,
    WriteKind,
};
use crate::frame::{Column, Frame, Kind};

const ROOT: &str = "/ODataV4";
const COMPANIES: &str = "Company";
/// Keys in one request; more make the address too long (erp-api.md §3). Of another service neither the length of the keys
/// nor that of an address is known.
const KEYS_MAX: usize = 100;
const PLAIN_KEYS_MAX: usize = 30;
/// What is said of a new record that its service did not keep as it was sent.
const ANOTHER_KEY: &str = "the service made the record under another key than the one that was sent";
/// Writes between two entries in the journal. Each is a request of its own, so a larger number saves nothing there.
const WRITES_MAX: usize = 20;
/// When a record was last modified: the system's field where there is one, else the table's own, which knows the day only.
const MODIFIED: [&str; 3] = ["SystemModifiedAt", "Last_DateTime_Modified", "Last_Date_Modified"];

/// The ERP, open for requests.
pub struct Service {
    client: Client,
    /// The company whose pages they are; none where it is no ERP of Microsoft.
    company: Option<String>,
    limits: Limits,
    /// The key columns of which the file says that we may choose what is in them, by table.
    keys: BTreeMap<String, String>,
    found: Mutex<Option<Identity>>,
    tables: Mutex<Option<Arc<HashMap<String, TableInfo>>>>,
    /// Tables of which a new record has shown that ids may be chosen.
    trusted: Mutex<HashSet<String>>,
    directories: Mutex<HashMap<String, Arc<Directory>>>,
}

impl Service {
    /// Makes the adapter of a company's pages; nothing is sent yet.
    pub fn pages(client: Client, company: String, limits: Limits) -> Service {
        Service::new(client, Some(company), limits, BTreeMap::new())
    }

    /// Makes the adapter of any other service; nothing is sent yet.
    pub fn plain(client: Client, limits: Limits, keys: BTreeMap<String, String>) -> Service {
        Service::new(client, None, limits, keys)
    }

    fn new(client: Client, company: Option<String>, limits: Limits, keys: BTreeMap<String, String>) -> Service {
        Service {
            client,
            company,
            limits,
            keys,
            found: Mutex::new(None),
            tables: Mutex::new(None),
            trusted: Mutex::default(),
            directories: Mutex::new(HashMap::new()),
        }
    }

    fn dialect(&self) -> Dialect {
        if self.company.is_some() { Dialect::BusinessCentral } else { Dialect::Plain }
    }

    /// Returns the root of the service.
    fn root(&self) -> String {
        format!("{}{}", self.client.base(), if self.company.is_some() { ROOT } else { "" })
    }

    fn keys_max(&self) -> usize {
        if self.company.is_some() { KEYS_MAX } else { PLAIN_KEYS_MAX }
    }

    /// Proves once that the company exists, or the service; its name is all that tells it from others.
    fn company(&self) -> Result<Identity, EndpointError> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        match &*found {
            Some(company) => Ok(company.clone()),
            None => Ok(found.insert(self.find()?).clone()),
        }
    }

    fn find(&self) -> Result<Identity, EndpointError> {
        match &self.company {
            Some(company) => self.find_company(company),
            None => {
                self.tables()?;
                // Nothing but its address tells one service from another.
                let name = self.client.base().split_once("://").map_or(self.client.base(), |(_, rest)| rest).to_owned();
                let info = TableInfo { table: String::new(), key: Key::Values(Vec::new()), columns: Vec::new() };
                Ok(Identity { id: info.id_of(std::slice::from_ref(&name)), name })
            }
        }
    }

    fn find_company(&self, company: &str) -> Result<Identity, EndpointError> {
        let name = Column { name: "Name".to_owned(), kind: Kind::Text };
        let key = vec![name.name.clone()];
        let info = TableInfo { table: COMPANIES.to_owned(), key: Key::Values(key.clone()), columns: Vec::new() };
        let columns = vec![(name, "Name".to_owned())];
        let layout = Layout::keyed(Dialect::BusinessCentral, &info, &key, Arc::default(), columns);
        let url = format!("{}/{COMPANIES}?$select=Name", self.root());
        // The first request of all: what is wrong here is wrong with the connection.
        let companies = self.reading(&url, None, &layout, None).run(&|_| {}).map_err(|error| match error {
            EndpointError::Refused { side, message } => {
                let message = format!("{message}; check `url`, and that OData services are enabled there");
                EndpointError::Refused { side, message }
            }
            other => other,
        })?;
        let names = || (0..companies.rows()).map(|row| companies.value("Name", row).to_string());
        match names().position(|name| name == company) {
            Some(row) => Ok(Identity { id: companies.id(row), name: company.to_owned() }),
            None => Err(EndpointError::NoCompany {
                side: Side::Erp,
                company: company.to_owned(),
                known: names().collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// Finds a page by the name under which it is published.
    fn page(&self, table: &str) -> Result<Page, EndpointError> {
        let missing = || EndpointError::NoTable { side: Side::Erp, table: table.to_owned() };
        let mut info = self.tables()?.get(table).ok_or_else(missing)?.clone();
        if let Some(key) = self.keys.get(table) {
            info.key = Key::Id(key.clone());
        }
        let mut directories = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = Arc::clone(directories.entry(table.to_owned()).or_default());
        Ok(Page { info, dialect: self.dialect(), directory })
    }

    /// Returns all tables; the metadata is asked for once.
    fn tables(&self) -> Result<Arc<HashMap<String, TableInfo>>, EndpointError> {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        match &*tables {
            Some(tables) => Ok(Arc::clone(tables)),
            None => Ok(Arc::clone(tables.insert(Arc::new(self.metadata()?)))),
        }
    }

    fn metadata(&self) -> Result<HashMap<String, TableInfo>, EndpointError> {
        let url = format!("{}/$metadata", self.root());
        let style = if self.company.is_some() { Style::Pages } else { Style::Plain };
        let headers = [("Accept", "application/xml".to_owned()), ("Accept-Language", "en-US".to_owned())];
        let (answer, tables) = self.client.get(&url, &headers, |answer| {
            let text = std::str::from_utf8(&answer.body).map_err(|_| "the metadata is no UTF-8".to_owned())?;
            csdl::read(text, style)
        })?;
        tables.ok_or_else(|| {
            let message = format!("{}; check `url`", Fault::read(answer.status, &answer.body));
            EndpointError::Refused { side: Side::Erp, message }
        })
    }

    /// Returns the address of a page.
    fn address(&self, page: &Page) -> Result<String, EndpointError> {
        let root = self.root();
        Ok(match self.company {
            Some(_) => {
                let company = percent::query(&quoted(&self.company()?.name));
                format!("{root}/{COMPANIES}({company})/{}", page.info.table)
            }
            None => format!("{root}/{}", page.info.table),
        })
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
        if let Key::Id(_) = page.info.key {
            return Ok(ids.iter().map(|id| (*id, vec![id.to_string()].into())).collect());
        }
        if ids.iter().any(|id| page.directory.key(*id).is_none()) {
            let layout = page.layout(&[])?;
            let url = format!("{}?$select={}", self.address(page)?, page.key().join(","));
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
        let mut found = pages::by_ids(&self.client, &of(true), self.keys_max(), &layout, progress, &listed)?;
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

    /// Sends operations as a JSON batch, where the file says that the service takes some.
    fn send_batch(&self, operations: &[Operation]) -> Sent<Reply> {
        let root = self.root();
        let relative = |operation: &Operation| {
            let url = operation.url.strip_prefix(&root).unwrap_or(&operation.url).trim_start_matches('/').to_owned();
            Operation { url, ..operation.clone() }
        };
        let operations: Vec<Operation> = operations.iter().map(relative).collect();
        match batch::post_json(&self.client, &root, &operations) {
            Sent::TurnedAway(answer) if matches!(answer.status, 404 | 405 | 415 | 501) => {
                let fault = Fault::read(answer.status, &answer.body);
                let message = format!("there is no JSON batch ({fault}); take `batch` out of `limits`");
                Sent::Told(vec![Err(Verdict::not_sent(message)); operations.len()])
            }
            sent => sent,
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

impl Endpoint for Service {
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
        // As in the API: codes are upper-cased by the ERP itself, and other texts are compared with regard to case. Of
        // another service nobody knows.
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
        Bounds { ids_max: self.keys_max(), page_rows_max: self.limits.page }
    }

    fn write(&self, info: &TableInfo, columns: &[String], writes: &[Write]) -> Report {
        let first = writes.iter().position(|write| write.kind == WriteKind::Insert);
        let (Key::Id(key), Some(first)) = (&info.key, first) else { return self.send_all(info, columns, writes) };
        // The file says that the service takes ids which we choose; the first new record shows whether it does. Others wait.
        let mut trusted = self.trusted.lock().unwrap_or_else(PoisonError::into_inner);
        if trusted.contains(&info.table) {
            drop(trusted);
            return self.send_all(info, columns, writes);
        }
        let (head, tail) = writes.split_at(first + 1);
        let Report { mut outcomes, mut rows } = self.send_all(info, columns, head);
        let is_strange = matches!(&outcomes[first], Outcome::Refused { message } if message == ANOTHER_KEY);
        if is_strange {
            let message = format!(
                "the service gives `{key}` itself; remove `key` from the file, and look for a record without partner there"
            );
            let refused = Outcome::Refused { message };
            outcomes[first] = refused.clone();
            let rest: Vec<Write> = tail.iter().filter(|write| write.kind != WriteKind::Insert).cloned().collect();
            let report = self.send_all(info, columns, &rest);
            let mut sent = report.outcomes.into_iter();
            outcomes.extend(tail.iter().map(|write| match write.kind {
                WriteKind::Insert => refused.clone(),
                _ => sent.next().expect("each write that was sent has an outcome"),
            }));
            rows.append(&report.rows);
            return Report { outcomes, rows };
        }
        if matches!(outcomes[first], Outcome::Written | Outcome::Exists) {
            trusted.insert(info.table.clone());
        }
        drop(trusted);
        let report = self.send_all(info, columns, tail);
        outcomes.extend(report.outcomes);
        rows.append(&report.rows);
        Report { outcomes, rows }
    }

    fn batch_max(&self) -> usize {
        // Without a batch this is only how often the journal is written.
        if self.limits.batch > 1 { self.limits.batch } else { WRITES_MAX }
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

impl Service {
    /// Sends writes and reports on them.
    fn send_all(&self, info: &TableInfo, columns: &[String], writes: &[Write]) -> Report {
        if writes.is_empty() {
            let error = EndpointError::Refused { side: Side::Erp, message: String::new() };
            return batch::unsendable(info, columns, writes, &error);
        }
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
        let Report { outcomes, rows } = {
            let chosen = matches!(page.info.key, Key::Id(_));
            let verdict = |write: &Write, reply: &Reply| verdict(write, reply, chosen);
            let send = |operations: &[Operation]| match self.limits.batch {
                0 | 1 => self.send(operations),
                _ => self.send_batch(operations),
            };
            batch::carry_out(&batch, operations, &send, verdict, |reply| reply.body)
        };
        // What is in no list of keys is not there any more, and has no address that could be asked.
        let mut outcomes = outcomes.into_iter();
        let outcome = |write: &Write| match is_gone(write) {
            true => Outcome::Gone,
            false => outcomes.next().expect("each write that was sent has an outcome"),
        };
        let mut report = Report { outcomes: writes.iter().map(outcome).collect(), rows };
        self.confirm(info, columns, writes, &mut report);
        report
    }

    /// Looks for new records that the answers do not show under the key that was sent: a service may have its own mind.
    fn confirm(&self, info: &TableInfo, columns: &[String], writes: &[Write], report: &mut Report) {
        let shown: HashSet<Uuid> = report.rows.ids().into_iter().collect();
        let is_unseen = |(write, outcome): &(&Write, &Outcome)| {
            write.kind == WriteKind::Insert && **outcome == Outcome::Written && !shown.contains(&write.id)
        };
        let unseen: Vec<Uuid> =
            writes.iter().zip(&report.outcomes).filter(is_unseen).map(|(write, _)| write.id).collect();
        if unseen.is_empty() {
            return;
        }
        let query = Query { info, columns: columns.to_vec(), filter: None, ids: Some(unseen.clone()) };
        let found = self.read(&query, &|_| {});
        let there: HashSet<Uuid> = found.iter().flat_map(Frame::ids).collect();
        for (write, outcome) in writes.iter().zip(&mut report.outcomes) {
            if !unseen.contains(&write.id) || there.contains(&write.id) {
                continue;
            }
            *outcome = match &found {
                Ok(_) => Outcome::Refused { message: ANOTHER_KEY.to_owned() },
                Err(error) => Outcome::Unknown { message: error.to_string() },
            };
        }
        // Records that came under another key are nobody's here.
        let ours: HashSet<Uuid> = writes.iter().map(|write| write.id).collect();
        let rows: Vec<usize> = (0..report.rows.rows()).filter(|row| ours.contains(&report.rows.id(*row))).collect();
        report.rows = report.rows.take(&rows);
        if let Ok(found) = found {
            report.rows.upsert(&found);
        }
    }
}

/// Returns what a reply says about a write (erp-api.md §4, §10): NAV may leave the code of an error blank, and of another
/// service the code means nothing. `chosen` tells that new records bear ids which we chose.
fn verdict(write: &Write, reply: &Reply, chosen: bool) -> Verdict {
    let fault = Fault::read(reply.status, reply.body.as_bytes());
    if let Some(verdict) = Verdict::by_status(&fault) {
        return verdict;
    }
    let changes = write.kind != WriteKind::Insert;
    match (fault.status, fault.code.as_str()) {
        (409, "Request_EntityChanged" | "") | (412, _) if changes => Verdict::Settled(Outcome::Stale),
        (404, code) if changes && code != "BadRequest_ResourceNotFound" => Verdict::Settled(Outcome::Gone),
        // Whether it is there already, reading tells: only we give that id.
        (400..500, _) if !changes && chosen => Verdict::Duplicate(fault.to_string()),
        // Whoever has a record with that key already: it is not proven to be ours.
        _ => Verdict::refused(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::client::tests::client;
    use crate::adapters::script::{Line, Script, say};
    use crate::frame::Value;

    const ID: u128 = 0x1111_0000_0000_4000_8000_0000_0000_0001;

    /// Writes two new records and a change with a service that says these things.
    fn written(key: Option<&str>, answers: Vec<Line>) -> (String, Vec<String>) {
        let metadata = r#"<edmx:Edmx xmlns:edmx="x"><Schema><EntityType Name="t"><Key><PropertyRef Name="ID"/></Key>
            <Property Name="ID" Type="Edm.Guid"/><Property Name="Name" Type="Edm.String"/></EntityType>
            <EntityContainer><EntitySet Name="Ts" EntityType="N.t"/></EntityContainer></Schema></edmx:Edmx>"#;
        let lines = std::iter::once(say(200, metadata)).chain(answers).collect();
        let server = Script::play(lines);
        let login = Script::play(vec![say(200, r#"{"access_token":"t","expires_in":3599}"#)]);
        let (client, _) = client(&server.url, &login.url);
        let limits = Limits { concurrency: 2, requests: 1000, per_seconds: 300, batch: 1, page: 10 };
        let keys = key.iter().map(|key| ("Ts".to_owned(), (*key).to_owned())).collect();
        let service = Service::plain(client, limits, keys);
        let info = service.describe("Ts").unwrap();
        let write = |kind, id: u128| Write {
            kind,
            id: Uuid::from_u128(id),
            etag: None,
            fields: vec![("Name".into(), Value::Text("x".into()))],
        };
        let writes = [write(WriteKind::Insert, ID), write(WriteKind::Insert, ID + 1), write(WriteKind::Update, ID + 2)];
        let Report { outcomes, rows } = service.write(&info, &["Name".into()], &writes);
        let word = |outcome: &Outcome| match outcome {
            Outcome::Written => "written".to_owned(),
            Outcome::Refused { message } => message.split(';').next().unwrap_or_default().to_owned(),
            other => format!("{other:?}"),
        };
        let told = outcomes.iter().map(word).collect::<Vec<_>>().join(", ");
        let method = |line: String| line.split(' ').next().unwrap_or_default().to_owned();
        let heard = server.heard().into_iter().skip(1).map(method).collect();
        (format!("{told} ({} rows)", rows.rows()), heard)
    }

    fn row(id: u128) -> String {
        format!(r#"{{"ID":"{}","Name":"x"}}"#, Uuid::from_u128(id))
    }

    #[test]
    fn a_service_that_gives_ids_itself_makes_one_record_and_no_more() {
        let page = |rows: &[String]| say(200, &format!(r#"{{"value":[{}]}}"#, rows.join(",")));
        for (what, answers, told, heard) in [
            (
                "ours",
                vec![say(201, &row(ID)), say(201, &row(ID + 1)), say(200, &row(ID + 2))],
                "written, written, written (3 rows)",
                &["POST", "POST", "PATCH"][..],
            ),
            (
                "without a word",
                vec![say(204, ""), page(&[row(ID)]), say(204, ""), say(204, ""), page(&[row(ID + 1)])],
                "written, written, written (2 rows)",
                &["POST", "GET", "POST", "PATCH", "GET"],
            ),
            (
                "its own",
                vec![say(201, &row(7)), page(&[]), say(200, &row(ID + 2))],
                "the service gives `ID` itself, the service gives `ID` itself, written (1 rows)",
                &["POST", "GET", "PATCH"],
            ),
        ] {
            let (outcomes, requests) = written(Some("ID"), answers);
            assert_eq!(
                (outcomes.as_str(), requests.as_slice()),
                (told, heard.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>().as_slice()),
                "{what}"
            );
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
            assert_eq!(verdict(&write, &Reply { status, body }, false), expected, "{kind:?} {status} {code}");
        }
    }
}
