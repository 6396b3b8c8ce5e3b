//! The ERP fake: a company's tables behind the Business Central API v2.0 and two custom pages.
//!
//! [`State`] is the whole service, a function from request to response over its tables; [`Erp`] puts it on a port. Here
//! are the tables and what a person does to them past the API. The rest: `schema` and `cell` say what a record is,
//! `write` and `contact` change one, `read` and `condition` find some, `pages` shows them as NAV does, `load` brings records
//! in from files, `kept` keeps them, `http`, `batch` and `multipart` are the wire.

mod batch;
mod cell;
mod company;
mod condition;
mod contact;
mod error;
mod http;
mod kept;
mod load;
mod metadata;
mod multipart;
mod pages;
pub mod quota;
mod read;
mod schema;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::crm::quota::{Time, Wall};
use crate::fault::Faults;
use crate::log;
use crate::net::Server;
use crate::table::Table;
use crate::token::Tokens;
use cell::Cell;
pub use error::Refusal;
use quota::{Quota, Spent};
pub(crate) use read::base64;
use schema::{Role, SETS, Set};

const CUSTOMERS: usize = 0;
const CONTACTS: usize = 1;

/// The service: tables, clock, tokens and settings.
pub struct State {
    /// What comes before `/api/…` in every path.
    pub prefix: String,
    /// The rows of a page at most, whatever a client prefers.
    pub page_max: usize,
    /// The longest path and query that it takes in: 16 KB, which is believed of http.sys and not confirmed.
    pub url_chars_max: usize,
    /// The rows that the service finds before its operation time-out; a page that would hold more answers 408.
    pub rows_in_time: usize,
    /// Whether batches in JSON, and in parts, are taken; NAV takes none unless the last one says so.
    pub json_batches: bool,
    pub multipart_batches: bool,
    pub nav_batches: bool,
    /// Whether the link to the next page is relative to the page's context, as the protocol allows and the product does not.
    pub relative_links: bool,
    /// Records that no list shows and no count counts, though they are there for whoever asks by their keys: the product has
    /// none, another service may.
    pub unlisted: BTreeSet<Uuid>,
    /// How much one user may ask for, and what that takes.
    pub quota: Quota,
    /// The time by which it is counted.
    pub time: Arc<dyn Time>,
    /// Whether the application has permission sets; without them every call is refused with 403.
    pub permitted: bool,
    /// Properties whose values a page leaves out of a write without a word, as it does with some that it does not let change.
    pub ignored: BTreeSet<String>,
    /// The user of NAV who may call, and the access key.
    pub nav_login: (String, String),
    /// The application that may call, and its tokens.
    pub tokens: Tokens,
    company: Box<[Cell]>,
    local_currency: String,
    tables: Vec<Table<Row>>,
    /// The next number of each set's series.
    series: Vec<u64>,
    version: u64,
    now: DateTime<Utc>,
    log: log::Shared,
    /// What was adjusted while loading, and how often.
    adjusted: BTreeMap<String, u64>,
    /// Company contacts by number that loaded customers wait for.
    awaited: HashMap<String, Uuid>,
    spent: Spent,
    /// How much later the answer has to be sent for what it takes.
    took: Duration,
    journal: Option<Vec<write::Undo>>,
}

/// A record: its cells in the order of the set's columns.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    version: u64,
    /// The company contact of a customer or the customer of a company contact, or nil.
    partner: Uuid,
    cells: Box<[Cell]>,
}

impl Default for State {
    fn default() -> Self {
        let mut state = Self {
            prefix: "/v2.0/northbrook.example/Production".into(),
            page_max: 20_000,
            url_chars_max: 16_384,
            rows_in_time: usize::MAX,
            json_batches: true,
            multipart_batches: true,
            nav_batches: false,
            relative_links: false,
            unlisted: BTreeSet::new(),
            quota: Quota::default(),
            time: Arc::new(Wall::default()),
            permitted: true,
            ignored: BTreeSet::new(),
            tokens: Tokens::new(
                "9d4b7c1e-0000-4c1a-8d3f-0a1b2c3d4e5f",
                "0c8f2f3a-1111-4b2b-9c3c-7d7d7d7d7d7d",
                "erp+s3cr/et=",
                "https://api.businesscentral.dynamics.com/.default",
            ),
            nav_login: ("PIPELINE".into(), "nav+key/of=32".into()),
            company: schema::COMPANY.iter().map(|column| Cell::blank(column.kind)).collect(),
            local_currency: "GBP".into(),
            tables: SETS.iter().map(|_| Table::default()).collect(),
            series: SETS.iter().map(|set| set.series.as_ref().map_or(0, |series| series.first)).collect(),
            version: 0,
            now: DateTime::UNIX_EPOCH,
            log: log::Shared::default(),
            adjusted: BTreeMap::new(),
            awaited: HashMap::new(),
            spent: Spent::default(),
            took: Duration::ZERO,
            journal: None,
        };
        let company = json!({
            "id": "5b1e0c52-7a44-ef11-8e52-6045bd2b1a01",
            "systemVersion": "28.0.0.0",
            "name": "CRONUS International Ltd.",
            "displayName": "CRONUS International Ltd.",
        });
        state.load("companies", company.as_object().cloned().into_iter().collect());
        state
    }
}

impl State {
    /// Sets the clock ahead, so that a test need not wait.
    pub fn advance(&mut self, seconds: i64) {
        self.now = self.now.max(Utc::now()) + chrono::TimeDelta::seconds(seconds);
    }

    /// Sets the local currency, which is blank in the tables and no row of the currencies.
    pub fn set_local_currency(&mut self, code: &str) {
        self.local_currency = code.to_uppercase();
    }

    /// Returns the company's name.
    pub fn company(&self) -> &str {
        self.company[schema::COMPANY.iter().position(|column| column.name == "name").unwrap_or_default()].text()
    }

    /// Returns the company's id.
    pub fn company_id(&self) -> Uuid {
        self.company[0].guid()
    }

    /// Returns the log of what arrived.
    pub fn log(&self) -> log::Shared {
        self.log.clone()
    }

    /// Returns what was adjusted while loading, with counts; what loads as it is leaves nothing here.
    pub fn adjusted(&self) -> &BTreeMap<String, u64> {
        &self.adjusted
    }

    /// Returns a set's records as its pages together show them, in the order of their keys.
    pub fn records(&self, set: &str) -> Vec<Map<String, Value>> {
        if set == "companies" {
            return vec![self.company_record()];
        }
        let Some(place) = schema::set(set) else { return Vec::new() };
        self.tables[place].iter().map(|(_, _, row)| self.shown_record(place, row)).collect()
    }

    /// Returns one record as its set's pages together show it.
    pub fn record(&self, set: &str, id: Uuid) -> Option<Map<String, Value>> {
        let place = schema::set(set)?;
        Some(self.shown_record(place, self.tables[place].get(&id)?))
    }

    /// Returns the id of the first record whose property shows that text.
    pub fn find(&self, set: &str, property: &str, text: &str) -> Option<Uuid> {
        let place = schema::set(set)?;
        let column = SETS[place].column(property)?;
        let (wanted, _) = Cell::load(&SETS[place].columns[column], &Value::from(text));
        let mut rows = self.tables[place].iter();
        rows.find(|(_, _, row)| *self.shown(place, row, column) == wanted).map(|(_, id, _)| id)
    }

    /// Returns the number of records in a set.
    pub fn count(&self, set: &str) -> usize {
        schema::set(set).map_or(0, |place| self.tables[place].len())
    }

    /// Inserts a record as a person would; text is converted to the column's type.
    pub fn insert(&mut self, set: &str, values: &Map<String, Value>) -> Result<Uuid, Refusal> {
        let place = schema::set(set).ok_or_else(|| Refusal::no_segment(set))?;
        let values = typed(&SETS[place], values)?;
        self.create(place, &values)
    }

    /// Changes a record as a person would: business logic runs, and the time of change and the etag move on.
    pub fn edit(&mut self, set: &str, id: Uuid, values: &Map<String, Value>) -> Result<(), Refusal> {
        let place = schema::set(set).ok_or_else(|| Refusal::no_segment(set))?;
        let values = typed(&SETS[place], values)?;
        self.change(place, id, &values)
    }

    /// Deletes a record as a person would.
    pub fn delete(&mut self, set: &str, id: Uuid) -> Result<(), Refusal> {
        self.erase(schema::set(set).ok_or_else(|| Refusal::no_segment(set))?, id)
    }

    fn company_record(&self) -> Map<String, Value> {
        let cells = schema::COMPANY.iter().zip(&self.company);
        cells.map(|(column, cell)| (column.name.to_string(), cell.json(column.kind))).collect()
    }

    fn shown_record(&self, set: usize, row: &Row) -> Map<String, Value> {
        let columns = SETS[set].columns.iter().enumerate();
        let is_shown = |column: &schema::Column| match column.role {
            Role::Key => SETS[set].parts.is_empty(),
            _ => column.name != schema::LAST_DAY,
        };
        let columns = columns.filter(|(_, column)| is_shown(column));
        columns.map(|(place, column)| (column.name.into(), self.shown(set, row, place).json(column.kind))).collect()
    }

    fn table(&self, set: &str) -> &Table<Row> {
        &self.tables[schema::set(set).expect("relations lead to sets of the schema, as its test says")]
    }
}

/// Converts what a person typed; read-only properties are refused as on the page.
fn typed(set: &Set, values: &Map<String, Value>) -> Result<Vec<(usize, Cell)>, Refusal> {
    let mut out = Vec::with_capacity(values.len());
    for (name, value) in values {
        let place = set.column(name).ok_or_else(|| Refusal::no_property(name, set.entity))?;
        let column = &set.columns[place];
        if matches!(column.role, Role::ReadOnly | Role::Stamp) {
            return Err(Refusal::read_only(column.caption));
        }
        let cell = match (Cell::load(column, value), Cell::read(column, value)) {
            ((cell, false), _) => cell,
            (_, read) => read?,
        };
        out.push((place, cell));
    }
    Ok(out)
}

/// How a fake is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The port of 127.0.0.1, or any free one.
    pub port: Option<u16>,
    pub faults: Faults,
}

/// The ERP on a loopback port; it stops when dropped.
pub struct Erp {
    state: Arc<Mutex<State>>,
    faults: Arc<Mutex<Faults>>,
    server: Server,
}

impl Erp {
    /// Starts to serve a state.
    pub fn start(state: State, options: Options) -> io::Result<Erp> {
        let (state, faults) = (Arc::new(Mutex::new(state)), Arc::new(Mutex::new(options.faults)));
        let server = Server::start(state.clone(), options.port, faults.clone())?;
        Ok(Erp { state, faults, server })
    }

    /// Returns the port of 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Returns the service's root, to which `/api/v2.0` is added.
    pub fn url(&self) -> String {
        format!("{}{}", self.server.url(), self.lock().prefix)
    }

    /// Returns the root of NAV, to which `/ODataV4` is added.
    pub fn nav_url(&self) -> String {
        format!("{}{}", self.server.url(), pages::NAV)
    }

    /// Returns the user of NAV and the access key.
    pub fn nav_login(&self) -> (String, String) {
        self.lock().nav_login.clone()
    }

    /// Returns the address of the token endpoint.
    pub fn token_url(&self) -> String {
        format!("{}{}", self.server.url(), self.lock().tokens.path)
    }

    pub fn client_id(&self) -> String {
        self.lock().tokens.client_id.clone()
    }

    pub fn client_secret(&self) -> String {
        self.lock().tokens.client_secret.clone()
    }

    /// Returns the company's name.
    pub fn company(&self) -> String {
        self.lock().company().to_string()
    }

    /// Gives the log of what arrived.
    pub fn log(&self) -> log::Shared {
        self.lock().log()
    }

    /// Returns the sums of what arrived.
    pub fn counts(&self) -> log::Counts {
        self.lock().log.lock().unwrap_or_else(PoisonError::into_inner).counts()
    }

    /// Looks at the state or changes it, between two requests.
    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.lock())
    }

    /// Replaces the fault plan.
    pub fn set_faults(&self, faults: Faults) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Returns the fault plan with what of it has happened.
    pub fn faults(&self) -> Faults {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a GUID as URLs carry it: bare, 36 characters.
fn guid(text: &str) -> Option<Uuid> {
    Uuid::from_str(text).ok().filter(|_| text.len() == 36)
}
