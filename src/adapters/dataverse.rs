//! The CRM: Dataverse by its Web API v9.2 (crm-api.md).
//!
//! Knows the addresses, lookups and their navigation properties, the multipart batch and what the CRM's error codes mean.
//! Waiting, tokens and retries are [`crate::adapters::client`]'s, text and JSON are [`crate::adapters::odata`]'s.

mod requests;
mod states;
pub mod bulk;
mod lists;
mod keys;
mod products;
mod privileges;
mod writes;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use uuid::Uuid;

use self::privileges::Holders;
use crate::adapters::absence;
use crate::adapters::batch::{self, Batch, Closed};
use crate::adapters::batch_size::BatchSize;
use crate::adapters::client::Client;
use crate::adapters::dataverse::bulk::Availability;
use crate::adapters::dataverse::lists::Lists;
use crate::adapters::dataverse::requests::path_of;
use crate::adapters::definitions::{self, CrmTable, Directory};
use crate::adapters::modifiers;
use crate::adapters::odata::amiss::Amiss;
use crate::adapters::odata::batch_multipart;
use crate::adapters::odata::decode::Layout;
use crate::adapters::odata::fault::Fault;
use crate::adapters::odata::{Dialect, filter};
use crate::adapters::pages::{self, Count, Reading};
use crate::adapters::tracking;
use crate::config::expression::Predicate;
use crate::config::{Features, Limits, Side};
use crate::endpoint::{
    Bounds, Demand, Endpoint, EndpointError, Grant, Hidden, Identity, Line, Query, Report, TableInfo, Tracked, Write,
};
use crate::frame::{Frame, Kind};

const API: &str = "/api/data/v9.2";
/// Operations that one batch takes (crm-api.md §11).
const BATCH_MAX: usize = 1_000;
/// Tables asked about in one batch; each takes thirteen operations.
const TABLES_MAX: usize = 50;
/// The longest column that a database compares as text; a memo is none.
const TEXT_LENGTH_MAX: usize = 4_000;
/// When a record was last modified (crm-api.md §13).
const MODIFIED: [&str; 1] = ["modifiedon"];

/// Who made a record and who changed it last; then, where somebody did it in another's name, who that was.
const CHANGED_BY: [[&str; 2]; 2] = [["createdby", "modifiedby"], ["createdonbehalfby", "modifiedonbehalfby"]];

/// Who the CRM takes us for (crm-api.md §12).
#[derive(Deserialize)]
struct WhoAmI {
    #[serde(rename = "UserId", default)]
    user: String,
    #[serde(rename = "OrganizationId")]
    organization: String,
}

/// The CRM, open for requests.
pub struct Dataverse {
    client: Client,
    limits: Limits,
    features: Features,
    /// In whose name is written.
    act_as: Option<Uuid>,
    directory: Mutex<Option<Arc<Directory>>>,
    tables: Mutex<HashMap<String, Arc<CrmTable>>>,
    /// How far the privileges reach that a write takes, once they were asked for.
    held: Mutex<Option<Arc<Holders>>>,
    bulk: Availability,
    batch_size: BatchSize,
    closed: Closed,
}

impl Dataverse {
    /// Makes the adapter; nothing is sent yet.
    pub fn new(client: Client, limits: Limits, features: Features, act_as: Option<Uuid>) -> Dataverse {
        Dataverse {
            client,
            limits,
            features,
            act_as,
            directory: Mutex::default(),
            tables: Mutex::default(),
            held: Mutex::default(),
            bulk: Availability::default(),
            batch_size: BatchSize::new(limits.batch.clamp(1, BATCH_MAX)),
            closed: Closed::default(),
        }
    }

    fn table(&self, table: &str) -> Result<Arc<CrmTable>, EndpointError> {
        self.learn(&[table])?;
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let found = tables.get(table).map(Arc::clone);
        found.ok_or_else(|| EndpointError::NoTable { side: Side::Crm, table: table.to_owned() })
    }

    /// Asks for everything about those tables that exist and are not known yet.
    fn learn(&self, sets: &[&str]) -> Result<(), EndpointError> {
        // Held while asking, so that two threads do not ask for the same.
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unknown: Vec<&str> = sets.iter().copied().filter(|set| !tables.contains_key(*set)).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.is_empty() {
            return Ok(());
        }
        let directory = self.directory()?;
        // Set, key, and logical name by which it is asked about.
        let there = |set: &&'_ str| {
            let entity = directory.by_set(set)?;
            Some(((*set).to_owned(), entity.primary_id_attribute.clone()?, entity.logical_name.clone()))
        };
        let there: Vec<(String, String, String)> = unknown.iter().filter_map(there).collect();
        for some in there.chunks(TABLES_MAX) {
            let questions: Vec<Vec<String>> = some.iter().map(|(.., name)| definitions::questions(name)).collect();
            let mut answers = self.answers(&questions.concat())?.into_iter();
            for ((set, key, name), questions) in some.iter().zip(&questions) {
                let answers: Vec<Vec<u8>> = answers.by_ref().take(questions.len()).collect();
                let table = definitions::read(set, name, key, &answers, &directory).map_err(untrusted)?;
                tables.insert(set.clone(), Arc::new(table));
            }
        }
        Ok(())
    }

    /// Asks questions about the metadata: all in one batch, or one by one where the service does not take that.
    fn answers(&self, questions: &[String]) -> Result<Vec<Vec<u8>>, EndpointError> {
        let root = self.root();
        let paths = questions.iter().map(|question| format!("{root}/{question}")).collect();
        let batch = self.batch();
        let whole = |body: &str| definitions::whole(body.as_bytes());
        match requests::ask(&self.client, &batch, paths, &read_headers(), whole)? {
            Some(answers) => Ok(answers.into_iter().map(String::into_bytes).collect()),
            None => questions.iter().map(|question| self.answer(question)).collect(),
        }
    }

    fn answer(&self, question: &str) -> Result<Vec<u8>, EndpointError> {
        let url = format!("{}{API}/{question}", self.client.base());
        let (answer, whole) = self.client.get(&url, &read_headers(), |answer| definitions::whole(&answer.body))?;
        let refused = || refused(&answer.fault());
        whole.ok_or_else(refused)?;
        Ok(answer.body)
    }

    fn directory(&self) -> Result<Arc<Directory>, EndpointError> {
        let mut directory = self.directory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = &*directory {
            return Ok(Arc::clone(directory));
        }
        let path = "EntityDefinitions?$select=LogicalName,EntitySetName,PrimaryIdAttribute,ChangeTrackingEnabled,\
                    IsOptimisticConcurrencyEnabled";
        let entities = definitions::list(&self.answer(path)?).map_err(untrusted)?;
        let found = Arc::new(Directory::new(entities));
        *directory = Some(Arc::clone(&found));
        Ok(found)
    }

    fn layout(&self, table: &CrmTable, columns: &[String]) -> Result<Layout, EndpointError> {
        let column = |name: &String| match table.info.column(name) {
            Some(info) => Ok((info.column.clone(), table.property(name))),
            None => Err(EndpointError::Refused {
                side: Side::Crm,
                message: format!("table `{}` has no column `{name}`", table.info.table),
            }),
        };
        let columns = columns.iter().map(column).collect::<Result<_, _>>()?;
        Ok(Layout::new(Dialect::Dataverse, &table.key, columns).of_table(&table.info.table))
    }

    fn reading<'a>(&'a self, url: &str, filter: Option<&str>, layout: &'a Layout) -> Reading<'a> {
        Reading::filtered(&self.client, url, filter, self.page_headers(), layout, None)
    }

    fn lists<'a>(&'a self, url: String, table: &'a CrmTable, filter: Option<&'a str>, layout: &'a Layout) -> Lists<'a> {
        Lists {
            client: &self.client,
            url,
            headers: self.page_headers(),
            batch: self.batch(),
            key: &table.key,
            filter,
            layout,
            page_rows_max: self.limits.page,
        }
    }

    fn page_headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = read_headers();
        headers.push(("Prefer", format!("odata.maxpagesize={}", self.limits.page)));
        headers
    }

    /// The path of the service's root; request lines of a batch begin with it.
    fn root(&self) -> String {
        format!("{}{API}", path_of(self.client.base()))
    }

    /// Returns the address of a batch and its headers.
    fn batch(&self) -> (String, Vec<(&'static str, String)>) {
        (format!("{}{API}/$batch", self.client.base()), batch_headers())
    }
}

impl Endpoint for Dataverse {
    fn line(&self) -> &dyn Line {
        &self.client
    }

    fn open(&self) -> Result<Identity, EndpointError> {
        let url = format!("{}{API}/WhoAmI", self.client.base());
        let (answer, identity) = self.client.get(&url, &read_headers(), |answer| {
            let WhoAmI { organization, .. } = serde_json::from_slice(&answer.body)
                .map_err(|error| Amiss::of_json("the answer to WhoAmI is not whole", &error))?;
            let no_id = |_| Amiss::Wrong("the answer to WhoAmI names no organization".to_owned());
            Uuid::parse_str(&organization).map_err(no_id)
        })?;
        let fault = answer.fault();
        match (identity, answer.status) {
            (Some(id), _) => {
                // The service recommends how many requests to send at once (crm-api.md §15).
                let hint = answer.header("x-ms-dop-hint").and_then(|hint| hint.trim().parse().ok());
                hint.into_iter().for_each(|hint| self.client.narrow(hint));
                // The answer names nobody; people know an organization by its address.
                Ok(Identity { id, name: authority(self.client.base()).to_owned() })
            }
            (None, 403) => Err(EndpointError::Login { side: Side::Crm, keys: &["auth"], message: fault.to_string() }),
            (None, 404) => {
                let message = format!("there is no Web API at {}; check `url`", self.client.base());
                Err(EndpointError::Refused { side: Side::Crm, message })
            }
            (None, _) => Err(refused(&fault)),
        }
    }

    fn evaluates(&self, info: &TableInfo, filter: &Predicate) -> bool {
        self.table(&info.table).is_ok_and(|table| filter_text(filter, &table).is_some())
    }

    fn prepare(&self, tables: &[&str]) -> Result<(), EndpointError> {
        self.learn(tables)
    }

    fn describe(&self, table: &str) -> Result<TableInfo, EndpointError> {
        Ok(self.table(table)?.info.clone())
    }

    fn read(&self, query: &Query<'_>, progress: &dyn Fn(usize)) -> Result<Frame, EndpointError> {
        let table = self.table(&query.info.table)?;
        let layout = self.layout(&table, &query.columns)?;
        let select = select(&table, &query.columns);
        let url = format!("{}{API}/{}?$select={select}", self.client.base(), table.info.table);
        let filter = query.filter.as_ref().and_then(|predicate| filter_text(predicate, &table));
        let Some(ids) = &query.ids else {
            return self.reading(&url, filter.as_deref(), &layout).run_counted(Count::Told, progress);
        };
        let lists = self.lists(url, &table, filter.as_deref(), &layout);
        let ids_max = lists::ids_max(self.limits.page);
        pages::by_ids(&self.client, ids, &|_| ids_max, &layout, progress, &|ids| lists.read(ids))
    }

    fn hidden(&self, info: &TableInfo, missing: &[Uuid]) -> Result<HashMap<Uuid, Hidden>, EndpointError> {
        let table = self.table(&info.table)?;
        let record = |id: &Uuid| format!("{}({id})?$select={}", table.info.table, table.key);
        let root = self.root();
        let ask = |ids: &[Uuid]| {
            let paths = ids.iter().map(|id| format!("{root}/{}", record(id))).collect();
            if ids.len() > 1
                && let Some(faults) = requests::ask_each(&self.client, &self.batch(), paths, &read_headers())?
            {
                return Ok(faults);
            }
            let url = |id| format!("{}{API}/{}", self.client.base(), record(id));
            ids.iter().map(|id| absence::alone(&self.client, &url(id), &read_headers())).collect()
        };
        absence::hidden(&self.client, missing, self.batch_max(), &ask)
    }

    fn read_holding(&self, query: &Query<'_>, column: &str, texts: &[String]) -> Result<Option<Frame>, EndpointError> {
        let is_text = |length: Option<usize>| length.is_some_and(|length| length <= TEXT_LENGTH_MAX);
        let info = query.info.column(column).filter(|info| info.readable && is_text(info.length_max));
        if info.is_none_or(|info| info.column.kind != Kind::Text) {
            return Ok(None);
        }
        let table = self.table(&query.info.table)?;
        let layout = self.layout(&table, &query.columns)?;
        let url =
            format!("{}{API}/{}?$select={}", self.client.base(), table.info.table, select(&table, &query.columns));
        self.lists(url, &table, None, &layout).holding(column, texts).map(Some)
    }

    fn tracks(&self, table: &str) -> Result<bool, EndpointError> {
        if !self.features.change_tracking {
            return Ok(false);
        }
        Ok(self.directory()?.by_set(table).is_some_and(|entity| entity.change_tracking_enabled))
    }

    fn read_tracked(
        &self,
        query: &Query<'_>,
        token: Option<&str>,
        progress: &dyn Fn(usize),
    ) -> Result<Tracked, EndpointError> {
        let table = self.table(&query.info.table)?;
        let layout = self.layout(&table, &query.columns)?;
        let mut headers = read_headers();
        let page = format!("odata.maxpagesize={}", self.limits.page);
        let url = match token {
            Some(token) => {
                headers.push(("Prefer", page));
                format!("{}{token}", self.client.base())
            }
            None => {
                // Nothing else may be asked of such a read, so it brings what is outside the filter too.
                headers.push(("Prefer", format!("odata.track-changes,{page}")));
                let select = select(&table, &query.columns);
                format!("{}{API}/{}?$select={select}", self.client.base(), table.info.table)
            }
        };
        tracking::read(&self.client, &url, &headers, &layout, progress)
    }

    fn bounds(&self) -> Bounds {
        Bounds { ids_max: lists::ids_max(self.limits.page), page_rows_max: self.limits.page }
    }

    fn gives_versions(&self, info: &TableInfo) -> bool {
        self.table(&info.table).is_ok_and(|table| table.versioned)
    }

    fn write(&self, info: &TableInfo, columns: &[String], writes: &[Write]) -> Report {
        let prepared = self.table(&info.table).and_then(|table| Ok((self.layout(&table, columns)?, table)));
        let (layout, table) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return batch::unsendable(info, columns, writes, &error),
        };
        let batch = Batch { endpoint: self, info, columns, writes, layout: &layout, closed: &self.closed };
        if !table.versioned && writes.iter().any(|write| write.etag.is_some()) {
            return self.write_unversioned(&batch);
        }
        let drafts = self.drafts(&table, &batch);
        let mut report = match drafts.is_empty() {
            true => self.write_records(&table, &batch),
            false => self.publish(&table, &batch, &drafts),
        };
        self.name_holders(&table, writes, &mut report.outcomes);
        report
    }

    fn batch_max(&self) -> usize {
        self.batch_size.now()
    }

    fn modified_column(&self, info: &TableInfo) -> Option<String> {
        let is_time = |name: &str| info.column(name).is_some_and(|column| column.column.kind == Kind::DateTime);
        MODIFIED.into_iter().find(|name| is_time(name)).map(str::to_owned)
    }

    fn modifiers(&self, info: &TableInfo, ids: &[Uuid]) -> Result<HashMap<Uuid, String>, EndpointError> {
        let table = self.table(&info.table)?;
        if table.info.column(modifiers::COLUMN).is_none_or(|column| !column.readable) {
            return Ok(HashMap::new());
        }
        let select = select(&table, &modifiers::columns(&table));
        let root = format!("{}{API}/{}?$select={select}", self.client.base(), table.info.table);
        let list = |ids: &[Uuid]| filter::added(&root, Some(&lists::id_list(&table.key, ids, None)));
        modifiers::read(&self.client, ids.chunks(lists::IDS_MAX).map(list), read_headers(), &table)
    }

    /// By who made a record and who changed it last: the audit columns that every change sets, and in whose name
    /// (crm-api.md §14). Plug-ins and workflows that run with our request write in our name, people in theirs.
    fn untouched(&self, info: &TableInfo, ids: &[Uuid]) -> Result<HashSet<Uuid>, EndpointError> {
        let table = self.table(&info.table)?;
        let told = |name: &str| table.info.column(name).is_some_and(|column| column.readable);
        let pairs: Vec<[&str; 2]> = CHANGED_BY.into_iter().filter(|pair| pair.iter().all(|name| told(name))).collect();
        if !pairs.contains(&CHANGED_BY[0]) {
            return Ok(HashSet::new());
        }
        let columns = pairs.concat().into_iter().map(str::to_owned).collect();
        let found = self.read(&Query { info, columns, filter: None, ids: Some(ids.to_vec()) }, &|_| {})?;
        let found = found.readable();
        let is_same = |row: &usize| {
            let same = |[made, changed]: &[&str; 2]| found.value(made, *row) == found.value(changed, *row);
            !found.value(CHANGED_BY[0][0], *row).is_blank() && pairs.iter().all(same)
        };
        Ok((0..found.rows()).filter(is_same).map(|row| found.id(row)).collect())
    }

    fn grants(&self, info: &TableInfo) -> Result<Option<Vec<Grant>>, EndpointError> {
        self.granted(info).map(Some)
    }

    fn stands_in(&self) -> Result<(), EndpointError> {
        self.may_stand_in()
    }

    fn lacking(&self) -> Result<Vec<Demand>, EndpointError> {
        self.demands()
    }
}

/// Headers of every request (crm-api.md §3).
fn headers() -> Vec<(&'static str, String)> {
    [("Accept", "application/json"), ("OData-Version", "4.0"), ("OData-MaxVersion", "4.0")]
        .map(|(name, value)| (name, value.to_owned()))
        .to_vec()
}

/// Headers of every read; the odd one keeps the service from answering with stale expansions.
fn read_headers() -> Vec<(&'static str, String)> {
    let mut headers = headers();
    headers.push(("If-None-Match", "null".to_owned()));
    headers
}

/// Headers of a batch.
fn batch_headers() -> Vec<(&'static str, String)> {
    let mut headers = headers();
    headers.push(("Content-Type", batch_multipart::content_type()));
    // Else the first failure ends the batch.
    headers.push(("Prefer", "odata.continue-on-error".to_owned()));
    headers
}

fn untrusted(message: String) -> EndpointError {
    EndpointError::Untrusted { side: Side::Crm, message }
}

fn refused(fault: &Fault) -> EndpointError {
    EndpointError::Refused { side: Side::Crm, message: fault.to_string() }
}

/// Returns an address without its scheme, as people know it.
fn authority(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

fn select(table: &CrmTable, columns: &[String]) -> String {
    let mut properties = vec![table.key.clone()];
    properties.extend(columns.iter().filter(|column| **column != table.key).map(|column| table.property(column)));
    properties.join(",")
}

/// Returns the part of a filter that the CRM evaluates; the caller filters again.
fn filter_text(predicate: &Predicate, table: &CrmTable) -> Option<String> {
    let property = |column: &str| Some(table.property(column));
    filter::text(Dialect::Dataverse, predicate, &table.info, &property)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::client::tests::client;
    use crate::adapters::dataverse::requests::tests::contacts;
    use crate::adapters::script::{Line, Script, say};
    use crate::config::Bypass;

    /// An answer to a batch of questions: their number, the status of the first, and what the others say.
    fn answered(questions: usize, first: u16, body: &str) -> Line {
        let part = |number: usize| {
            let status = if number == 0 { first } else { 200 };
            format!("--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {status} X\r\n\r\n{body}\r\n")
        };
        let parts: String = (0..questions).map(part).collect();
        Line::Say(200, "Content-Type: multipart/mixed; boundary=b\r\n", format!("{parts}--b--\r\n"))
    }

    #[test]
    fn metadata_is_asked_for_in_one_batch_or_else_one_by_one() {
        let (empty, count) = (r#"{"value":[]}"#, definitions::questions("a").len());
        let tables = ["as", "bs"];
        let batch = |first: u16| answered(2 * count, first, empty);
        let refusal = || say(400, r#"{"error":{"code":"0x0","message":"no batch"}}"#);
        for (what, asked, single) in [
            ("taken", vec![batch(200)], 0),
            ("throttled inside", vec![batch(429), batch(200)], 0),
            ("cut short", vec![answered(1, 200, empty), batch(200)], 0),
            ("not JSON", vec![answered(2 * count, 200, "{"), batch(200)], 0),
            ("refused as a whole", vec![refusal()], 2 * count),
            ("refused inside", vec![batch(400)], 2 * count),
        ] {
            let entity = |name: &str| {
                format!(r#"{{"LogicalName":"{name}","EntitySetName":"{name}s","PrimaryIdAttribute":"id"}}"#)
            };
            let mut lines = vec![say(200, &format!(r#"{{"value":[{},{}]}}"#, entity("a"), entity("b")))];
            let batches = asked.len();
            lines.extend(asked);
            lines.extend((0..single).map(|_| say(200, empty)));
            let server = Script::play(lines);
            let login = Script::play(vec![say(200, r#"{"access_token":"t","expires_in":3599}"#)]);
            let (client, _) = client(&server.url, &login.url);
            let limits = Limits { concurrency: 2, requests: 1000, per_seconds: 300, batch: 10, page: 10 };
            let crm = Dataverse::new(
                client,
                limits,
                Features { bulk: true, change_tracking: true, bypass: Bypass::default() },
                None,
            );
            crm.prepare(&["as", "missing", "bs", "as"]).unwrap();
            assert_eq!(tables.map(|table| crm.describe(table).unwrap().table), tables, "{what}");
            assert!(matches!(crm.describe("missing"), Err(EndpointError::NoTable { .. })), "{what}");
            assert_eq!(server.heard().len(), 1 + batches + single, "{what}: {:#?}", server.heard());
        }
    }

    #[test]
    fn addresses_are_put_together() {
        let columns = ["lastname", "contactid", "parentcustomerid"].map(str::to_owned);
        assert_eq!(select(&contacts(), &columns), "contactid,lastname,_parentcustomerid_value");
    }
}
