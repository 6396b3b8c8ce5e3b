//! The ERP fake: a company's tables behind the Business Central API v2.0 and one custom page.
//!
//! [`State`] is the whole service, a function from request to response over its tables; [`Erp`] puts it on a port. Here
//! are the tables, what a person does to them past the API, and how records come in from files and go back. The rest:
//! `schema` and `cell` say what a record is, `write` changes one, `read` and `condition` find some, `http` and `batch`
//! are the wire.

mod batch;
mod cell;
mod condition;
mod error;
mod http;
mod metadata;
mod read;
mod schema;
mod write;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::fault::Faults;
use crate::log;
use crate::net::Server;
use crate::table::{Table, Taken};
use crate::token::Tokens;
use cell::Cell;
pub use error::Refusal;
use schema::{Role, SETS, Set};

const CUSTOMERS: usize = 0;
const CONTACTS: usize = 1;

/// The internal property that ties a loaded customer to its company contact: that contact's number.
const LINK: &str = "_companyContactNumber";
/// The internal property with a saved row's version.
const VERSION: &str = "_version";
/// The number of the saved form; another form is refused.
const FORMAT: u64 = 1;
/// The sets in an order in which each points only at sets before it.
const LOAD_ORDER: [&str; 9] = [
    "currencies",
    "unitsOfMeasure",
    "salespeoplePurchasers",
    "paymentTerms",
    "shipmentMethods",
    "contacts",
    "customers",
    "items",
    "resources",
];
/// The space of the ids made for loaded rows that have none.
const IDS: Uuid = Uuid::from_u128(0x3f0c_1b6e_52d4_5a0e_9c11_7b0d_e3a8_4417);

/// The service: tables, clock, tokens and settings.
pub struct State {
    /// What comes before `/api/…` in every path.
    pub prefix: String,
    /// The rows of a page at most, whatever a client prefers.
    pub page_max: usize,
    /// Whether the application has permission sets; without them every call is refused with 403.
    pub permitted: bool,
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
            permitted: true,
            tokens: Tokens::new(
                "9d4b7c1e-0000-4c1a-8d3f-0a1b2c3d4e5f",
                "0c8f2f3a-1111-4b2b-9c3c-7d7d7d7d7d7d",
                "erp+s3cr/et=",
                "https://api.businesscentral.dynamics.com/.default",
            ),
            company: schema::COMPANY.iter().map(|column| Cell::blank(column.kind)).collect(),
            local_currency: "GBP".into(),
            tables: SETS.iter().map(|_| Table::default()).collect(),
            series: SETS.iter().map(|set| set.series.as_ref().map_or(0, |series| series.first)).collect(),
            version: 0,
            now: DateTime::UNIX_EPOCH,
            log: log::Shared::default(),
            adjusted: BTreeMap::new(),
            awaited: HashMap::new(),
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

    /// Loads rows from a file or a data set, leniently: they are data that somehow came to be, not requests.
    ///
    /// Missing properties become blank, missing ids and numbers are made, text is converted to the column's type. What
    /// cannot be kept as it is, is made to fit and counted in [`State::adjusted`]. A customer's `_companyContactNumber`
    /// ties it to that contact, loaded before or after. Rows that point at others of another set come after them.
    pub fn load(&mut self, set: &str, rows: Vec<Map<String, Value>>) {
        if set == "companies" {
            return self.load_company(rows);
        }
        let Some(place) = schema::set(set) else {
            return self.adjust(format!("{set}: no such entity set, rows left out"), rows.len() as u64);
        };
        let now = self.tick();
        let loaded: Vec<Uuid> = rows.iter().filter_map(|row| self.load_row(place, row, now)).collect();
        // Contacts point at contacts, so relations are looked at when all rows are there.
        for id in loaded {
            self.check_relations(place, id);
        }
    }

    /// Returns a set's records as the page shows them, in the order of their keys.
    pub fn records(&self, set: &str) -> Vec<Map<String, Value>> {
        if set == "companies" {
            return vec![self.company_record()];
        }
        let Some(place) = schema::set(set) else { return Vec::new() };
        self.tables[place].iter().map(|(_, _, row)| self.shown_record(place, row)).collect()
    }

    /// Returns one record as the page shows it.
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

    /// Writes everything but the log and the tokens as JSON, a row at a time.
    pub fn save(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let (now, company) = (self.now.to_rfc3339(), self.company_record());
        let head = json!({
            "format": FORMAT, "now": now, "version": self.version, "localCurrency": self.local_currency,
            "series": self.series, "companies": [company],
        });
        let head = head.to_string();
        write!(out, "{},\n\"sets\":{{", head.trim_end_matches('}'))?;
        for (place, set) in SETS.iter().enumerate() {
            write!(out, "{}\"{}\":[", if place == 0 { "\n" } else { ",\n" }, set.name)?;
            for (number, (_, _, row)) in self.tables[place].iter().enumerate() {
                out.write_all(if number == 0 { b"\n" } else { b",\n" })?;
                let mut record = Map::new();
                for (column, cell) in set.columns.iter().zip(&row.cells) {
                    if !cell.is_blank(column.kind) {
                        record.insert(column.name.into(), cell.json(column.kind));
                    }
                }
                record.insert(VERSION.into(), row.version.into());
                if place == CUSTOMERS
                    && let Some(number) = self.tables[CONTACTS].key(&row.partner)
                {
                    record.insert(LINK.into(), number.into());
                }
                serde_json::to_writer(&mut *out, &record)?;
            }
            out.write_all(b"]")?;
        }
        out.write_all(b"}}\n")
    }

    /// Reads back what [`State::save`] wrote.
    pub fn restore(input: &mut dyn io::Read) -> io::Result<State> {
        let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("saved ERP records: {what}"));
        let mut saved: Value = serde_json::from_reader(io::BufReader::new(input))?;
        if saved["format"].as_u64() != Some(FORMAT) {
            return Err(broken("not in a format of this version"));
        }
        let mut state = State::default();
        let rows = |value: Value| match value {
            Value::Array(rows) => rows.into_iter().filter_map(|row| row.as_object().cloned()).collect(),
            _ => Vec::new(),
        };
        state.local_currency = saved["localCurrency"].as_str().ok_or_else(|| broken("no local currency"))?.into();
        state.load("companies", rows(saved["companies"].take()));
        for set in LOAD_ORDER {
            state.load(set, rows(saved["sets"][set].take()));
        }
        for (number, next) in state.series.iter_mut().enumerate() {
            *next = saved["series"][number].as_u64().ok_or_else(|| broken("a number series is missing"))?;
        }
        state.version = saved["version"].as_u64().ok_or_else(|| broken("no version"))?;
        let now = saved["now"].as_str().and_then(crate::filter::instant);
        state.now = now.ok_or_else(|| broken("no time"))?;
        match state.adjusted.keys().next() {
            Some(adjustment) => Err(broken(adjustment)),
            None => Ok(state),
        }
    }

    fn load_company(&mut self, rows: Vec<Map<String, Value>>) {
        if rows.len() > 1 {
            self.adjust("companies: only the first one is kept".into(), rows.len() as u64 - 1);
        }
        let Some(row) = rows.first() else { return };
        for (column, cell) in schema::COMPANY.iter().zip(&mut self.company) {
            *cell = Cell::load(column, row.get(column.name).unwrap_or(&Value::Null)).0;
        }
        if self.company_id().is_nil() {
            self.company[0] = Cell::Guid(Uuid::new_v5(&IDS, self.company().as_bytes()));
        }
    }

    fn company_record(&self) -> Map<String, Value> {
        let cells = schema::COMPANY.iter().zip(&self.company);
        cells.map(|(column, cell)| (column.name.to_string(), cell.json(column.kind))).collect()
    }

    fn shown_record(&self, set: usize, row: &Row) -> Map<String, Value> {
        let columns = SETS[set].columns.iter().enumerate();
        columns.map(|(place, column)| (column.name.into(), self.shown(set, row, place).json(column.kind))).collect()
    }

    fn load_row(&mut self, set: usize, values: &Map<String, Value>, now: DateTime<Utc>) -> Option<Uuid> {
        let schema = &SETS[set];
        for name in values.keys() {
            if schema.column(name).is_none() && !name.starts_with('_') && !name.starts_with('@') {
                self.adjust(format!("{}.{name}: no such property, left out", schema.name), 1);
            }
        }
        let mut cells = Vec::with_capacity(schema.columns.len());
        for column in schema.columns {
            let (cell, changed) = Cell::load(column, values.get(column.name).unwrap_or(&Value::Null));
            if changed {
                let what = if matches!(cell, Cell::Text(_)) { "too long, cut" } else { "not of its type, blanked" };
                self.adjust(format!("{}.{}: {what}", schema.name, column.name), 1);
            }
            cells.push(cell);
        }
        let mut cells = cells.into_boxed_slice();
        let (id_at, key_at, stamp_at) = (schema.role(Role::Id), schema.role(Role::Key), schema.role(Role::Stamp));
        if cells[key_at].text().is_empty() {
            match self.number(set) {
                Some(number) => cells[key_at] = Cell::Text(number.into()),
                None => {
                    self.adjust(format!("{}: without a code, left out", schema.name), 1);
                    return None;
                }
            }
        }
        let key = cells[key_at].text().to_string();
        if cells[id_at].guid().is_nil() {
            cells[id_at] = Cell::Guid(Uuid::new_v5(&IDS, format!("{}/{key}", schema.name).as_bytes()));
        }
        if cells[stamp_at].is_blank(schema.columns[stamp_at].kind) {
            cells[stamp_at] = Cell::DateTime(now);
        }
        let id = cells[id_at].guid();
        self.version += 1;
        let version = values.get(VERSION).and_then(Value::as_u64).unwrap_or(self.version);
        let row = Row { version, partner: Uuid::nil(), cells };
        if let Err(taken) = self.tables[set].insert(key.clone(), id, row) {
            let what = if taken == Taken::Key { "number or code" } else { "id" };
            self.adjust(format!("{}: {what} is there already, row left out", schema.name), 1);
            return None;
        }
        match set {
            CUSTOMERS => {
                if let Some(number) = values.get(LINK).and_then(Value::as_str) {
                    match self.tables[CONTACTS].find(number) {
                        Some((contact, _)) => self.link(id, contact),
                        None => drop(self.awaited.insert(number.to_string(), id)),
                    }
                }
            }
            CONTACTS => {
                if let Some(customer) = self.awaited.remove(&key) {
                    self.link(customer, id);
                }
            }
            _ => {}
        }
        Some(id)
    }

    /// Makes the codes and ids of a loaded row's relations agree, and blanks those that lead nowhere.
    fn check_relations(&mut self, set: usize, id: Uuid) {
        let schema = &SETS[set];
        let Some(mut cells) = self.tables[set].get(&id).map(|row| row.cells.clone()) else { return };
        for (place, column) in schema.columns.iter().enumerate() {
            let (target, twin, is_code) = match column.role {
                Role::Code(target, twin) => (target, twin, true),
                Role::Link(target, twin) => (target, twin, false),
                _ => continue,
            };
            if column.name == "currencyCode" && cells[place].text() == self.local_currency {
                cells[place] = Cell::blank(column.kind);
            }
            if cells[place].is_blank(column.kind) {
                continue;
            }
            let key_at = SETS[schema::set(target).unwrap_or_default()].role(Role::Key);
            let found = if is_code {
                self.table(target).find(cells[place].text()).map(|(id, row)| (Cell::Guid(id), row))
            } else {
                self.table(target).get(&cells[place].guid()).map(|row| (row.cells[key_at].clone(), row))
            };
            let found =
                found.filter(|(_, row)| target != "contacts" || row.cells[write::CONTACT_TYPE] == write::COMPANY);
            let twin = twin.and_then(|twin| schema.column(twin));
            match (found, twin) {
                // A code that is found decides over the id beside it.
                (Some((other, _)), Some(twin)) if is_code || cells[twin].is_blank(schema.columns[twin].kind) => {
                    cells[twin] = other;
                }
                (Some(_), _) => {}
                (None, _) => {
                    // The id of a local currency's row has no meaning of its own, nor has one beside a good code.
                    let silent = !is_code && twin.is_some();
                    cells[place] = Cell::blank(column.kind);
                    if !silent {
                        self.adjust(format!("{}.{}: leads nowhere, blanked", schema.name, column.name), 1);
                    }
                }
            }
        }
        if let Some(row) = self.tables[set].get_mut(&id) {
            row.cells = cells;
        }
    }

    fn adjust(&mut self, what: String, count: u64) {
        *self.adjusted.entry(what).or_default() += count;
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

    /// Returns the service's root, to which `/api/v2.0` is added.
    pub fn url(&self) -> String {
        format!("{}{}", self.server.url(), self.lock().prefix)
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
