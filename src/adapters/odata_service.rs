//! The ERP by its metadata alone: OData V4 pages of NAV 2018 and Business Central (erp-api.md §1, §10), or any other OData
//! V4 service.
//!
//! Such a service knows a record by what it holds in the columns of its key: there is no id that we could choose, unless
//! the file says so. A record's id is made of its key ([`TableInfo::id_of`]); the way back is what was read, and else a
//! list of all keys. There is no batch to rely on: whether one is taken, and in which form, is found out before the first
//! one, and else each write is a request of its own. Waiting, login and retries are [`crate::adapters::client`]'s, text and JSON are [`crate::adapters::odata`]'s.

mod page;
mod writes;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use crate::adapters::absence;
use crate::adapters::batch::{self, Closed, Form};
use crate::adapters::client::Client;
use crate::adapters::csdl::{self, Batches, Style};
use crate::adapters::erp::{self, texts};
use crate::adapters::odata::batch_json::Operation;
use crate::adapters::odata::decode::{Directory, Layout, next_link};
use crate::adapters::odata::{Dialect, filter};
use crate::adapters::odata_service::page::{Address, Ask, Page, is_odd, question};
use crate::adapters::odata_service::writes::relative;
use crate::adapters::pages::{self, Count, Reading};
use crate::config::expression::Predicate;
use crate::config::{Limits, Side};
use crate::endpoint::{Bounds, Endpoint, EndpointError, Hidden, Identity, Key, Line, Query, Report, TableInfo, Write};
use crate::frame::{Column, Frame, Kind};

const ROOT: &str = "/ODataV4";
const COMPANIES: &str = "Company";
/// Keys in one request; more make the address too long (erp-api.md §3). Of another service neither the length of the keys
/// nor that of an address is known.
const KEYS_MAX: usize = 100;
const PLAIN_KEYS_MAX: usize = 30;
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
    chosen_keys: BTreeMap<String, String>,
    /// What the file says of options, which the metadata do not tell from texts without a length.
    options: Options,
    found: Mutex<Option<Identity>>,
    known: Mutex<Option<Arc<Known>>>,
    /// The form of batches that it takes, once that was found out.
    form: Mutex<Option<Option<Form>>>,
    /// Tables of which a new record has shown that ids may be chosen.
    trusted: Mutex<HashSet<String>>,
    /// Tables of which the service does not want to be asked how many records they have.
    uncounted: Mutex<HashSet<String>>,
    closed: Closed,
    directories: Mutex<HashMap<String, Arc<Directory>>>,
}

/// The members of columns that are options, by table and column.
type Options = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// What the metadata says.
struct Known {
    tables: HashMap<String, TableInfo>,
    batches: Batches,
}

impl Service {
    /// Makes the adapter of a company's pages; nothing is sent yet.
    pub fn pages(client: Client, company: String, limits: Limits, options: Options) -> Service {
        Service { options, ..Service::new(client, Some(company), limits, BTreeMap::new()) }
    }

    /// Makes the adapter of any other service; nothing is sent yet.
    pub fn plain(client: Client, limits: Limits, chosen_keys: BTreeMap<String, String>) -> Service {
        Service::new(client, None, limits, chosen_keys)
    }

    fn new(client: Client, company: Option<String>, limits: Limits, chosen_keys: BTreeMap<String, String>) -> Service {
        Service {
            client,
            company,
            limits,
            chosen_keys,
            options: BTreeMap::new(),
            found: Mutex::new(None),
            known: Mutex::new(None),
            form: Mutex::new(None),
            trusted: Mutex::default(),
            uncounted: Mutex::default(),
            closed: Closed::default(),
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
    fn identity(&self) -> Result<Identity, EndpointError> {
        erp::once(&self.found, || self.find())
    }

    fn find(&self) -> Result<Identity, EndpointError> {
        match &self.company {
            Some(company) => self.find_company(company),
            None => {
                self.known()?;
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
        let check = "`url`, and that OData services are enabled there";
        erp::find_company(&self.reading(&url, None, &layout, None), "Name", company, check, |all| {
            let row = texts(all, "Name").iter().position(|name| name == company)?;
            Some(Identity { id: all.id(row), name: company.to_owned() })
        })
    }

    /// Finds a page by the name under which it is published.
    fn page(&self, table: &str) -> Result<Page, EndpointError> {
        let missing = || EndpointError::NoTable { side: Side::Erp, table: table.to_owned() };
        let mut info = self.known()?.tables.get(table).ok_or_else(missing)?.clone();
        if let Some(key) = self.chosen_keys.get(table) {
            info.key = Key::Id(key.clone());
        }
        for (column, members) in self.options.get(table).into_iter().flatten() {
            let named = info.columns.iter_mut().find(|info| info.column.name == *column);
            if let Some(info) = named.filter(|info| info.column.kind == Kind::Enum) {
                info.options = (0..).zip(members.iter().cloned()).collect();
            }
        }
        Ok(Page { info, dialect: self.dialect(), directory: self.directory(table) })
    }

    /// Returns the keys of a table's records that were seen.
    fn directory(&self, table: &str) -> Arc<Directory> {
        let mut directories = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(directories.entry(table.to_owned()).or_default())
    }

    /// Returns what the metadata says; it is asked for once.
    fn known(&self) -> Result<Arc<Known>, EndpointError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some(known) => Ok(Arc::clone(known)),
            None => Ok(Arc::clone(known.insert(Arc::new(self.metadata()?)))),
        }
    }

    fn metadata(&self) -> Result<Known, EndpointError> {
        let style = if self.company.is_some() { Style::Pages } else { Style::Plain };
        let read = |text: &str| Ok(Known { tables: csdl::read(text, style)?, batches: csdl::batches(text) });
        erp::metadata(&self.client, &self.root(), read)?.map_err(|fault| {
            let message = format!("{fault}; check `url`");
            EndpointError::Refused { side: Side::Erp, message }
        })
    }

    /// Returns the address of a page.
    fn address(&self, page: &Page) -> Result<Address, EndpointError> {
        let (root, table) = (self.root(), &page.info.table);
        Ok(match self.company {
            Some(_) => Address::of_company(&root, &self.identity()?.name, table),
            None => Address::plain(&root, table),
        })
    }

    fn reading<'a>(
        &'a self,
        url: &str,
        filter: Option<&str>,
        layout: &'a Layout,
        asked: Option<&'a [Uuid]>,
    ) -> Reading<'a> {
        let headers = self.headers(&[("Prefer", format!("odata.maxpagesize={}", self.limits.page))]);
        Reading::filtered(&self.client, url, filter, headers, layout, asked)
    }

    /// Reads a list to its end, and holds it against the number of records that the service counts. Another service than the
    /// ERP may not tell it, or may not want to be asked.
    fn whole(&self, page: &Page, reading: &Reading<'_>, progress: &dyn Fn(usize)) -> Result<Frame, EndpointError> {
        if self.company.is_some() {
            return reading.run_counted(Count::Told, progress);
        }
        let uncounted = || self.uncounted.lock().unwrap_or_else(PoisonError::into_inner);
        if uncounted().contains(&page.info.table) {
            return reading.run(progress);
        }
        let has_begun = Cell::new(false);
        let begun = |rows: usize| {
            has_begun.set(true);
            progress(rows);
        };
        match reading.run_counted(Count::Perhaps, &begun) {
            // Who gave a page of it takes the question, and is held to what it told.
            Err(EndpointError::Refused { .. }) if !has_begun.get() => {
                // Whether it was for the count shows without it.
                let whole = reading.run(progress)?;
                uncounted().insert(page.info.table.clone());
                Ok(whole)
            }
            counted => counted,
        }
    }

    /// Returns the headers of every request; without the first one the answer may be XML, and in a later version than the
    /// third one names, it may be spelled otherwise.
    fn headers(&self, more: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
        let mut headers = vec![("Accept", "application/json".to_owned()), ("Accept-Language", "en-US".to_owned())];
        headers.extend(self.company.is_none().then(|| ("OData-MaxVersion", "4.0".to_owned())));
        headers.extend_from_slice(more);
        headers
    }

    /// Returns the keys of records, by their ids. Where one was never seen, the keys of all records are read; what is not among
    /// them has none that is known.
    fn keys(&self, page: &Page, ids: &[Uuid]) -> Result<HashMap<Uuid, Box<[String]>>, EndpointError> {
        if let Key::Id(_) = page.info.key {
            return Ok(ids.iter().map(|id| (*id, vec![id.to_string()].into())).collect());
        }
        if ids.iter().any(|id| page.directory.key(*id).is_none()) {
            let layout = page.layout(&[])?;
            let url = self.address(page)?.list(&page.select(&[]));
            self.whole(page, &self.reading(&url, None, &layout, None), &|_| {})?;
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
        let (address, select) = (self.address(page)?, page.select(&query.columns));
        let list = address.list(&select);
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
        let term = |id: &Uuid| match &asks[id] {
            Ask::Listed(term) | Ask::Filtered(term) | Ask::Addressed(term) => term.as_str(),
        };
        let chunk = |ids: &[Uuid]| filter::together(page.dialect, ids.iter().map(term), self.keys_max());
        let listed = |ids: &[Uuid]| {
            let filter = ids.iter().map(term).collect::<Vec<_>>().join(" or ");
            self.reading(&list, Some(&filter), &layout, Some(ids)).run(&|_| {})
        };
        let alone = |ids: &[Uuid]| match &asks[&ids[0]] {
            Ask::Listed(filter) | Ask::Filtered(filter) => {
                self.reading(&list, Some(filter), &layout, Some(ids)).run(&|_| {})
            }
            Ask::Addressed(key) => self.read_one(&address.record(key, &select), &layout, ids),
        };
        let mut found = pages::by_ids(&self.client, &of(true), &chunk, &layout, progress, &listed)?;
        let before = found.rows();
        let more = |rows: usize| progress(before + rows);
        found.append(&pages::by_ids(&self.client, &of(false), &|_| 1, &layout, &more, &alone)?);
        if !unasked.is_empty() {
            let all = self.whole(page, &self.reading(&list, None, &layout, None), &|_| {})?;
            let rows: Vec<usize> = (0..all.rows()).filter(|row| unasked.contains(&all.id(*row))).collect();
            found.append(&all.take(&rows));
        }
        found.settle();
        Ok(found)
    }

    /// Reads the record at an address, the only one of `asked`; none where there is none.
    fn read_one(&self, url: &str, layout: &Layout, asked: &[Uuid]) -> Result<Frame, EndpointError> {
        let (answer, rows) = self.client.get(url, &self.headers(&[]), |answer| {
            let mut rows = layout.rows();
            layout.record(answer.text()?, &mut rows).map(|()| rows)
        })?;
        match (rows, answer.status) {
            (Some(rows), _) => match rows.stranger(&asked.iter().copied().collect()) {
                None => Ok(rows.finish()),
                Some(stranger) => {
                    let message = format!("record {stranger} was not asked for");
                    Err(EndpointError::Untrusted { side: Side::Erp, message })
                }
            },
            (None, status) => match answer.fault() {
                // What the lack of it means is asked for by itself.
                fault if status == 404 || fault.is_of_the_way() => Ok(layout.rows().finish()),
                fault => Err(EndpointError::Refused { side: Side::Erp, message: fault.to_string() }),
            },
        }
    }
}

impl Endpoint for Service {
    fn line(&self) -> &dyn Line {
        &self.client
    }

    fn open(&self) -> Result<Identity, EndpointError> {
        self.identity()
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
        let url = self.address(&page)?.list(&page.select(&query.columns));
        let filter = query.filter.as_ref().and_then(|predicate| page.filter(predicate));
        self.whole(&page, &self.reading(&url, filter.as_deref(), &layout, None), progress)
    }

    /// Where the key was never seen, or fits into no address, there is nothing to ask at.
    fn hidden(&self, info: &TableInfo, missing: &[Uuid]) -> Result<HashMap<Uuid, Hidden>, EndpointError> {
        let page = self.page(&info.table)?;
        let (root, address, select) = (self.root(), self.address(&page)?, page.select(&[]));
        let key = |id: &Uuid| match page.info.key {
            Key::Id(_) => Some(vec![id.to_string()].into()),
            Key::Values(_) => page.directory.key(*id),
        };
        // What is answered at an odd address is no word about the record.
        let sure = |id: &Uuid| key(id).filter(|key| !is_odd(key));
        let get = |id: &Uuid| Some((*id, question(address.record(&page.in_path(&sure(id)?)?, &select))));
        let questions: HashMap<Uuid, Operation> = missing.iter().filter_map(get).collect();
        let (ids, untold): (Vec<Uuid>, Vec<Uuid>) = missing.iter().partition(|id| questions.contains_key(id));
        let form = if self.limits.batch > 1 && ids.len() > 1 { self.form(&page, &address) } else { None };
        let ask = |ids: &[Uuid]| {
            if let Some(form) = form.filter(|_| ids.len() > 1) {
                let batch: Vec<Operation> = ids.iter().map(|id| relative(&root, &questions[id])).collect();
                if let Some(faults) = batch::ask(form, &self.client, &root, &batch)? {
                    return Ok(faults);
                }
            }
            let alone = |id| absence::alone(&self.client, &questions[id].url, &self.headers(&[]));
            ids.iter().map(alone).collect()
        };
        let mut hidden = absence::hidden(&self.client, &ids, self.limits.batch.max(1), &ask)?;
        hidden.extend(untold.into_iter().map(|id| (id, Hidden::Untold)));
        Ok(hidden)
    }

    fn seen_keys(&self, info: &TableInfo, ids: &[Uuid]) -> Vec<(Uuid, Vec<String>)> {
        let directory = self.directory(&info.table);
        ids.iter().filter_map(|id| Some((*id, directory.key(*id)?.into_vec()))).collect()
    }

    fn recall(&self, info: &TableInfo, keys: HashMap<Uuid, Vec<String>>) {
        let directory = self.directory(&info.table);
        // The file may name another table by now.
        let own = keys.into_iter().filter(|(id, key)| info.id_of_written(key) == *id);
        own.for_each(|(id, key)| directory.learn(id, key));
    }

    /// An id says nothing here before all keys were read, so any record is asked for.
    fn probe(&self, query: &Query<'_>) -> Result<(), EndpointError> {
        let page = self.page(&query.info.table)?;
        let layout = page.layout(&query.columns)?;
        let filter = query.filter.as_ref().and_then(|predicate| page.filter(predicate));
        let list = self.address(&page)?.list(&page.select(&query.columns));
        let url = filter::added(&list, filter.as_deref()) + "&$top=1";
        // What follows on the first page is of no interest, should there be more after all.
        let (answer, page) = self.client.get(&url, &self.headers(&[]), |answer| {
            let text = answer.text()?;
            next_link(text).map(|_| text.to_owned())
        })?;
        let Some(page) = page else {
            let message = answer.fault().to_string();
            return Err(EndpointError::Refused { side: Side::Erp, message });
        };
        let untrusted = |message| EndpointError::Untrusted { side: Side::Erp, message };
        let mut rows = layout.rows();
        layout.page(&page, &mut rows).map_err(untrusted)?;
        // A column that is not there at all is missing in each record.
        match rows.finish().unreadables().first_key_value() {
            Some((_, why)) => Err(untrusted(format!("{}: {why}", query.info.table))),
            None => Ok(()),
        }
    }

    fn read_holding(&self, query: &Query<'_>, column: &str, texts: &[String]) -> Result<Option<Frame>, EndpointError> {
        let page = self.page(&query.info.table)?;
        // As in the API: codes are upper-cased by the ERP itself, and other texts are compared with regard to case. Of
        // another service nobody knows.
        let Some(info) = page.info.column(column).filter(|info| info.column.kind == Kind::Code) else {
            return Ok(None);
        };
        let questions = filter::holding(info, texts);
        let terms = questions.iter().map(|question| page.filter(question));
        let Some(terms) = terms.collect::<Option<Vec<String>>>() else { return Ok(None) };
        let layout = page.layout(&query.columns)?;
        let url = self.address(&page)?.list(&page.select(&query.columns));
        let mut found = layout.rows().finish();
        for list in filter::lists(page.dialect, &terms, self.keys_max()) {
            found.upsert(&self.reading(&url, Some(&list), &layout, None).run(&|_| {})?);
        }
        Ok(Some(found))
    }

    fn bounds(&self) -> Bounds {
        Bounds { ids_max: self.keys_max(), page_rows_max: self.limits.page }
    }

    /// Of another service nobody knows.
    fn gives_versions(&self, info: &TableInfo) -> bool {
        self.page(&info.table).is_ok_and(|page| page.dialect == Dialect::BusinessCentral)
    }

    /// Which columns of another service are codes nobody knows.
    fn may_capitalize(&self) -> bool {
        self.dialect() == Dialect::Plain
    }

    fn write(&self, info: &TableInfo, columns: &[String], writes: &[Write]) -> Report {
        self.send_trusted(info, columns, writes)
    }

    fn batch_max(&self) -> usize {
        // Without a batch this is only how often the journal is written.
        let form = *self.form.lock().unwrap_or_else(PoisonError::into_inner);
        if self.limits.batch > 1 && form != Some(None) { self.limits.batch } else { WRITES_MAX }
    }

    fn modified_column(&self, info: &TableInfo) -> Option<String> {
        let tells = |name: &&str| {
            info.column(name).is_some_and(|column| matches!(column.column.kind, Kind::DateTime | Kind::Date))
        };
        MODIFIED.into_iter().find(tells).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::client::tests::client;
    use crate::adapters::script::{Script, say};
    use crate::config::expression::{Comparison, Literal};

    /// A table whose keys nobody knows yet, and one of which the file says that we choose the ids.
    #[test]
    fn a_probe_asks_for_one_record_with_the_columns_and_the_filter() {
        let metadata = r#"<edmx:Edmx xmlns:edmx="x"><Schema><EntityType Name="t"><Key><PropertyRef Name="No"/></Key>
            <Property Name="No" Type="Edm.String"/><Property Name="Id" Type="Edm.Guid"/><Property Name="City" Type="Edm.String"/>
            </EntityType><EntityContainer><EntitySet Name="Ts" EntityType="N.t"/></EntityContainer></Schema></edmx:Edmx>"#;
        let row = r#"{"No":"1","Id":"00000000-0000-0000-0000-000000000007","City":"Oslo"}"#;
        for (key, columns) in [(None, "No,City"), (Some("Id"), "Id,City")] {
            for (answer, told) in [
                (say(200, &format!(r#"{{"value":[{row}],"@odata.nextLink":"more"}}"#)), "nothing"),
                (say(200, r#"{"value":[{"No":"1"}]}"#), "cannot be trusted"),
                (say(400, r#"{"error":{"code":"","message":"no such filter"}}"#), "no such filter"),
            ] {
                let server = Script::play(vec![say(200, metadata), answer]);
                let login = Script::play(vec![say(200, r#"{"access_token":"t","expires_in":3599}"#)]);
                let limits = Limits { concurrency: 2, requests: 1000, per_seconds: 300, batch: 1, page: 10 };
                let keys = key.iter().map(|key: &&str| ("Ts".to_owned(), (*key).to_owned())).collect();
                let service = Service::plain(client(&server.url, &login.url).0, limits, keys);
                let info = service.describe("Ts").unwrap();
                let filter = Predicate::Compare {
                    column: "City".into(),
                    comparison: Comparison::Equal,
                    literal: Literal::Text("Oslo".into()),
                };
                let query = Query { info: &info, columns: vec!["City".into()], filter: Some(filter), ids: None };
                let said = service.probe(&query).map_or_else(|error| error.to_string(), |()| "nothing".to_owned());
                assert!(said.contains(told), "{said}");
                let heard = server.heard();
                let asked: Vec<&str> = heard.iter().skip(1).map(String::as_str).collect();
                let address = format!("GET /Ts?$select={columns}&$filter=City%20eq%20'Oslo'&$top=1 HTTP/1.1 [t]");
                assert_eq!(asked, [address]);
            }
        }
    }

    /// As in a list: what of it cannot be read costs the record and not its table, and nothing of it goes missing.
    #[test]
    fn a_record_that_is_asked_for_by_its_address_is_read_as_in_a_list() {
        let metadata = r#"<edmx:Edmx xmlns:edmx="x"><Schema><EntityType Name="c"><Key><PropertyRef Name="No"/></Key>
            <Property Name="No" Type="Edm.String" MaxLength="20"/><Property Name="City" Type="Edm.String" MaxLength="30"/>
            <NavigationProperty Name="Country" Type="N.l"/></EntityType>
            <EntityType Name="l"><Key><PropertyRef Name="Name"/></Key>
            <Property Name="Name" Type="Edm.String" MaxLength="10"/></EntityType>
            <EntityContainer><EntitySet Name="Customer" EntityType="N.c"/></EntityContainer></Schema></edmx:Edmx>"#;
        // No filter takes it.
        let key = vec!["O'HARA (1)".to_owned()];
        for (record, expected) in [
            (r#"{"@odata.etag":"e","No":"O'HARA (1)","City":"Oslo","Country":{"Name":"NO"}}"#, "Oslo NO"),
            (r#"{"@odata.etag":"e","No":"O'HARA (1)","City":"Oslo","Country":null}"#, "Oslo "),
            (
                r#"{"@odata.etag":"e","No":"O'HARA (1)","Country":{"Name":"NO"}}"#,
                "column `City` is missing: there is no `City` in what came",
            ),
            (
                r#"{"@odata.etag":"e","No":"O'HARA (1)","City":7,"Country":{"Name":"NO"}}"#,
                "column `City` holds `7`, which is no text",
            ),
            (r#"{"City":"Oslo","Country":null}"#, "Customer('O''HARA%20(1)'): Customer: a row has no `No`"),
            (r#"{"@odata.etag":"e","No":"X","City":"Oslo","Country":null}"#, "was not asked for"),
        ] {
            let companies = r#"{"value":[{"Name":"C"}]}"#;
            let server = Script::play(vec![say(200, metadata), say(200, companies), say(200, record)]);
            let login = Script::play(vec![say(200, r#"{"access_token":"t","expires_in":3599}"#)]);
            let limits = Limits { concurrency: 2, requests: 1000, per_seconds: 300, batch: 1, page: 10 };
            let client = client(&server.url, &login.url).0;
            let service = Service::pages(client, "C".to_owned(), limits, BTreeMap::new());
            let info = service.describe("Customer").unwrap();
            let id = info.id_of_written(&key);
            service.recall(&info, HashMap::from([(id, key.clone())]));
            let columns = vec!["City".to_owned(), "Country/Name".to_owned()];
            let query = Query { info: &info, columns, filter: None, ids: Some(vec![id]) };
            let told = match service.read(&query, &|_| {}) {
                Ok(frame) => match frame.unreadables().get(&id) {
                    Some(why) => why.why.clone(),
                    None => format!("{} {}", frame.value("City", 0), frame.value("Country/Name", 0)),
                },
                Err(error) => error.to_string(),
            };
            assert!(told.ends_with(expected), "{told}");
            assert_eq!(server.heard().len(), 3, "{record}");
        }
    }

    /// What stands there is another service, and stays one.
    #[test]
    fn metadata_without_a_table_are_asked_for_once() {
        let metadata = r#"<edmx:Edmx xmlns:edmx="x"><Schema><EntityContainer/></Schema></edmx:Edmx>"#;
        for (answer, told, requests) in [
            (metadata, "GET /$metadata: the metadata names no table", 1),
            (&metadata[..40], "the metadata is no XML", 3),
        ] {
            let server = Script::play((0..3).map(|_| say(200, answer)).collect());
            let login = Script::play(vec![say(200, r#"{"access_token":"t","expires_in":3599}"#)]);
            let limits = Limits { concurrency: 2, requests: 1000, per_seconds: 300, batch: 1, page: 10 };
            let service = Service::plain(client(&server.url, &login.url).0, limits, BTreeMap::new());
            let error = service.open().unwrap_err();
            assert!(error.kind() == "untrusted" && error.to_string().contains(told), "{error}");
            assert_eq!(server.heard().len(), requests, "{answer}");
        }
    }

    /// Who counts is held to it, and who does not, or does not want to be asked, is read all the same.
    #[test]
    fn another_service_counts_where_it_can() {
        let metadata = r#"<edmx:Edmx xmlns:edmx="x"><Schema><EntityType Name="t"><Key><PropertyRef Name="No"/></Key>
            <Property Name="No" Type="Edm.String"/></EntityType><EntityContainer><EntitySet Name="Ts" EntityType="N.t"/>
            </EntityContainer></Schema></edmx:Edmx>"#;
        let page = |count: &str| say(200, &format!(r#"{{{count}"value":[{{"No":"1"}},{{"No":"2"}}]}}"#));
        let told = |count: usize| page(&format!(r#""@odata.count":{count},"#));
        let refused = || say(400, r#"{"error":{"code":"","message":"no such option"}}"#);
        let linked = || page(r#""@odata.count":3,"@odata.nextLink":"ROOT/Ts?$select=No&$skiptoken=2","#);
        let (counted, plain, again, second) = ("&$count=true", "", "&$count=true&$top=1", "&$skiptoken=2");
        for (what, answers, expected, asked) in [
            ("tallies", vec![told(2), told(2)], ["2", "2"], vec![counted, counted]),
            (
                "left out",
                vec![told(3), told(3), told(2)],
                ["it counts 3 records, and 2 came", "2"],
                vec![counted, again, counted],
            ),
            (
                "not counted again",
                vec![told(3), refused(), told(2)],
                ["it counts 3 records, and 2 came; asked again, it says: no such option", "2"],
                vec![counted, again, counted],
            ),
            (
                "refused later on",
                vec![linked(), refused(), told(2)],
                ["no such option", "2"],
                vec![counted, second, counted],
            ),
            ("not told", vec![page(""), page("")], ["2", "2"], vec![counted, counted]),
            ("no such option", vec![refused(), page(""), page("")], ["2", "2"], vec![counted, plain, plain]),
            ("refused", vec![refused(), refused(), told(2)], ["no such option", "2"], vec![counted, plain, counted]),
        ] {
            let server = Script::play(std::iter::once(say(200, metadata)).chain(answers).collect());
            let login = Script::play(vec![say(200, r#"{"access_token":"t","expires_in":3599}"#)]);
            let limits = Limits { concurrency: 2, requests: 1000, per_seconds: 300, batch: 1, page: 10 };
            let service = Service::plain(client(&server.url, &login.url).0, limits, BTreeMap::new());
            let info = service.describe("Ts").unwrap();
            for expected in expected {
                let query = Query { info: &info, columns: Vec::new(), filter: None, ids: None };
                let told = service.read(&query, &|_| {});
                let told = told.map_or_else(|error| error.to_string(), |frame| frame.rows().to_string());
                assert!(told.ends_with(expected), "{what}: {told}");
            }
            let heard = server.heard();
            let paths: Vec<&str> = heard[1..].iter().filter_map(|line| line.split(' ').nth(1)).collect();
            let asked: Vec<String> = asked.into_iter().map(|more| format!("/Ts?$select=No{more}")).collect();
            assert_eq!(paths, asked, "{what}");
        }
    }
}
