//! The whole CRM: its organization, its rows, its users, and the ways in that are not the Web API.
//!
//! A person's work is [`State::insert`], [`State::edit`] and [`State::delete`]: they go around the Web API, and
//! stamp the row with a person as the one who changed it. How seed data comes in is in `seed`, how all of it is kept
//! in `kept`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::bulk::TABLES_WITH_BULK;
use super::caller::Logic;
use super::error::{Error, Telling};
use super::privilege::{Holding, Privilege, Roles, Special};
use super::quota::{Quota, Time, Wall};
use super::read::Cursor;
use super::schema::{self, Kind, TABLES};
use super::servers::Servers;
use super::store::{Cell, Row, Rule, Store};
use super::{rules, value, write};
use crate::log::{Log, Shared};
use crate::token::Tokens;

/// The identifier of the tenant in the paths of the identity platform.
pub(super) const TENANT: &str = "9d4b7c1e-0000-4c1a-8d3f-0a1b2c3d4e5f";
/// The client id of the one registered application.
pub(super) const CLIENT_ID: &str = "0c8f2f3a-1111-4b2b-9c3c-7d7d7d7d7d7d";
/// The client secret; it needs form encoding.
const CLIENT_SECRET: &str = "s3cr+t/val=crm";

const BUSINESS_UNIT: Uuid = Uuid::from_u128(0x8a2b0001_0000_4000_8000_000000000001);
const APPLICATION_USER: Uuid = Uuid::from_u128(0x8a2b0001_0000_4000_8000_000000000002);
const ORGANIZATION: Uuid = Uuid::from_u128(0x8a2b0001_0000_4000_8000_000000000003);
pub(super) const SYSTEM_USER: Uuid = Uuid::from_u128(0x8a2b0001_0000_4000_8000_000000000004);
const TEAM: Uuid = Uuid::from_u128(0x8a2b0001_0000_4000_8000_000000000005);
const BASE_CURRENCY: Uuid = Uuid::from_u128(0xcc000000_0000_4000_8000_000000000001);

/// How many links to next pages are good at a time.
const LINKS_MAX: usize = 4096;

/// The CRM as a pure state machine.
pub struct State {
    /// The root of the service, without `/api/data/v9.2` and without a slash at the end.
    pub root: String,
    pub tokens: Tokens,
    log: Shared,
    /// Whether a new product is active at once; a setting of the organization.
    pub products_start_active: bool,
    /// Whether the application user may publish products.
    pub may_publish: bool,
    /// The logical names of the tables that take no version as a condition of a write.
    pub unversioned: BTreeSet<String>,
    /// In which words errors are told.
    pub telling: Telling,
    /// The logical names of the tables that have the bulk messages.
    pub bulk_tables: BTreeSet<String>,
    /// Privileges by the table's logical name that the application user does not have, or has by a team; it has all others.
    pub privileges: BTreeMap<(String, Privilege), Holding>,
    /// Privileges of the application user that belong to no table; by itself it has none.
    pub specials: BTreeSet<Special>,
    /// What the roles of all other users give, for whom the application user may act.
    pub people: Roles,
    /// How many writes passed by which logic of the organization.
    pub bypasses: BTreeMap<Logic, u64>,
    /// The user for whom the operation under way acts.
    pub(super) acting: Option<Uuid>,
    pub(super) store: Store,
    pub(super) organization: Uuid,
    pub(super) business_unit: Uuid,
    /// The application user, in whose name the Web API writes.
    pub(super) caller: Uuid,
    pub(super) base_currency: Uuid,
    pub(super) links: Links,
    /// What the application user may ask for.
    pub quota: Quota,
    /// The time by which that is counted.
    pub time: Arc<dyn Time>,
    pub(super) servers: Servers,
    /// How many requests came with the cookie of a server.
    pub(super) pinned: u64,
    /// How many tokens were refused.
    pub(super) strangers: u64,
    /// The operation of the next batch from which on the database times out.
    pub(super) stumbles_at: Option<usize>,
    /// Whether a change set that failed answers with the bare error instead of a set that holds it alone; the service has
    /// been seen doing either.
    pub bare_change_set_errors: bool,
    /// How late the answer to the last request is to be sent.
    pub(super) took: Duration,
    /// What was adjusted while loading, and how often.
    pub(super) adjusted: BTreeMap<String, u64>,
    pub(super) version: i64,
    /// Change tokens of an earlier version are too old.
    pub(super) tracked_from: i64,
    /// What the change tokens that were given out are for.
    pub(super) tokens_for: BTreeMap<String, BTreeSet<String>>,
    pub(super) clock_ahead: TimeDelta,
}

/// The links to next pages that were given out; only these are good.
#[derive(Debug, Default)]
pub struct Links {
    cursors: HashMap<String, Cursor>,
    order: VecDeque<String>,
}

impl Links {
    pub(super) fn give_out(&mut self, link: String, cursor: Cursor) {
        if self.cursors.insert(link.clone(), cursor).is_some() {
            return;
        }
        self.order.push_back(link);
        if self.order.len() > LINKS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.cursors.remove(&oldest);
        }
    }

    pub(super) fn take_in(&self, link: &str) -> Option<Cursor> {
        self.cursors.get(link).cloned()
    }
}

impl Default for State {
    /// Makes an organization with nothing but its business unit, its default team, its base currency (GBP) and two
    /// users: the application user and the disabled `SYSTEM` user.
    fn default() -> State {
        let root = "https://northbrook.crm4.dynamics.com";
        let mut state = State {
            root: root.to_owned(),
            tokens: Tokens::new(TENANT, CLIENT_ID, CLIENT_SECRET, &format!("{root}/.default")),
            log: Arc::new(Mutex::new(Log::default())),
            products_start_active: true,
            may_publish: true,
            unversioned: BTreeSet::new(),
            telling: Telling::default(),
            bulk_tables: TABLES_WITH_BULK.map(str::to_owned).into(),
            privileges: BTreeMap::new(),
            specials: BTreeSet::new(),
            people: Roles::default(),
            bypasses: BTreeMap::new(),
            acting: None,
            store: Store::default(),
            organization: ORGANIZATION,
            business_unit: BUSINESS_UNIT,
            caller: APPLICATION_USER,
            base_currency: BASE_CURRENCY,
            links: Links::default(),
            quota: Quota::default(),
            time: Arc::new(Wall::default()),
            servers: Servers::default(),
            took: Duration::ZERO,
            pinned: 0,
            strangers: 0,
            stumbles_at: None,
            bare_change_set_errors: false,
            adjusted: BTreeMap::new(),
            version: 7_100_000,
            tracked_from: 0,
            tokens_for: BTreeMap::new(),
            clock_ahead: TimeDelta::zero(),
        };
        for (set, row) in [
            (
                "businessunits",
                json!({"businessunitid": BUSINESS_UNIT.to_string(), "name": "Northbrook", "isdisabled": false}),
            ),
            (
                "teams",
                json!({"teamid": TEAM.to_string(), "name": "Northbrook", "isdefault": true, "teamtype": 0,
                    "_businessunitid_value": BUSINESS_UNIT.to_string()}),
            ),
            (
                "systemusers",
                json!({"systemuserid": SYSTEM_USER.to_string(), "lastname": "SYSTEM", "isdisabled": true,
                    "islicensed": false,
                    "isintegrationuser": false, "accessmode": 3, "_businessunitid_value": BUSINESS_UNIT.to_string()}),
            ),
            (
                "systemusers",
                json!({"systemuserid": APPLICATION_USER.to_string(), "firstname": "#", "lastname": "Integration",
                    "isdisabled": false,
                    "islicensed": false, "isintegrationuser": true, "accessmode": 4, "applicationid": CLIENT_ID,
                    "internalemailaddress": "integration@northbrook.example",
                    "domainname": "integration@northbrook.example",
                    "_businessunitid_value": BUSINESS_UNIT.to_string()}),
            ),
            (
                "transactioncurrencies",
                json!({"transactioncurrencyid": BASE_CURRENCY.to_string(), "isocurrencycode": "GBP",
                    "currencyname": "Pound Sterling",
                    "currencysymbol": "£", "currencyprecision": 2, "exchangerate": 1}),
            ),
        ] {
            state.load(set, row.as_object().cloned().into_iter().collect());
        }
        state
    }
}

impl State {
    /// Returns the log of what arrived.
    pub fn log(&self) -> Shared {
        self.log.clone()
    }

    /// Returns what was adjusted while loading, with counts; what loads as it is leaves nothing here.
    pub fn adjusted(&self) -> &BTreeMap<String, u64> {
        &self.adjusted
    }

    /// Returns how many requests came with a cookie, which pins them to one server and its limits.
    pub fn pinned(&self) -> u64 {
        self.pinned
    }

    /// Lets so many web servers answer, each with limits of its own.
    pub fn set_servers(&mut self, count: usize) {
        self.servers = Servers::new(count);
    }

    /// Returns how many requests each server has taken.
    pub fn served(&self) -> Vec<u64> {
        self.servers.served()
    }

    /// Returns the id of the application user.
    pub fn caller(&self) -> Uuid {
        self.caller
    }

    /// Makes it another organization, as a copy or a refreshed sandbox is, with the records as they are.
    pub fn set_organization(&mut self, id: Uuid) {
        self.organization = id;
    }

    /// Returns the id of the organization's base currency.
    pub fn base_currency(&self) -> Uuid {
        self.base_currency
    }

    /// Makes the currency of that code the base currency, as is done once when an organization is set up.
    pub fn set_base_currency(&mut self, code: &str) -> Result<(), String> {
        let table = schema::table("transactioncurrency");
        let found =
            self.find_text(table, "isocurrencycode", code).ok_or_else(|| format!("there is no currency {code}"))?;
        let (old, rate) = (self.base_currency, TABLES[table].column("exchangerate"));
        self.base_currency = found;
        let mut row = self.store.get(table, found).cloned().unwrap_or_default();
        row.set(rate, Some(Cell::Decimal(value::rounded(Decimal::ONE, 12, 12))));
        self.store.put(table, found, row);
        if old == BASE_CURRENCY && old != found && self.store.pointing_at(table, old).is_empty() {
            self.store.remove(table, old);
        }
        Ok(())
    }

    /// Declares an alternate key, as a customizer would; rows can then be addressed by it.
    pub fn add_key(&mut self, table: &str, display_name: &str, columns: &[&str]) {
        self.store.add_unique(table, columns, Rule::Key(display_name.to_owned()));
    }

    /// Sets the clock ahead, so that a test need not wait for the next second.
    pub fn advance(&mut self, seconds: i64) {
        self.clock_ahead += TimeDelta::seconds(seconds);
    }

    /// Returns the time by the CRM's clock, in whole seconds.
    pub fn now(&self) -> DateTime<Utc> {
        (Utc::now() + self.clock_ahead).trunc_subsecs(0)
    }

    /// Returns all rows of an entity set, each with every property that is not null.
    pub fn records(&self, set: &str) -> Vec<Map<String, Value>> {
        let Some(table) = schema::by_set(set) else { return Vec::new() };
        self.store.rows(table).iter().map(|(id, row)| record(table, *id, row)).collect()
    }

    /// Returns one row.
    pub fn record(&self, set: &str, id: Uuid) -> Option<Map<String, Value>> {
        let table = schema::by_set(set)?;
        Some(record(table, id, self.store.get(table, id)?))
    }

    /// Returns the number of rows of an entity set.
    pub fn count(&self, set: &str) -> usize {
        schema::by_set(set).map_or(0, |table| self.store.rows(table).len())
    }

    /// Finds the first row whose property has that value, text without regard to case.
    pub fn find(&self, set: &str, property: &str, text: &str) -> Option<Uuid> {
        let table = schema::by_set(set)?;
        let index = TABLES[table].by_property(property)?;
        let wanted = value::loose(&TABLES[table].columns[index], &Value::from(text)).ok()?.0?;
        if let (Kind::Key, Cell::Id(id)) = (&TABLES[table].columns[index].kind, &wanted) {
            return self.store.get(table, *id).map(|_| *id);
        }
        let same = |row: &Row| row.get(index).and_then(|cell| cell.order(&wanted)).is_some_and(|order| order.is_eq());
        self.store.rows(table).iter().find(|(_, row)| same(row)).map(|(id, _)| *id)
    }

    /// Adds a row as a person would, in the CRM's own forms; text is converted to the column's type.
    pub fn insert(&mut self, set: &str, properties: &Map<String, Value>) -> Result<Uuid, Error> {
        let table = schema::by_set(set).ok_or_else(|| Error::segment(set))?;
        let (id, row) = self.read_edit(table, properties, Row::default())?;
        let id = id.unwrap_or_else(Uuid::new_v4);
        if self.store.get(table, id).is_some() {
            return Err(Error::new(412, "0x80040237", "Cannot insert duplicate key."));
        }
        let person = self.person();
        self.whole(|state| write::insert(state, table, id, row, person))?;
        Ok(id)
    }

    /// Changes a row as a person would: the business rules hold, and who and when is stamped.
    pub fn edit(&mut self, set: &str, id: Uuid, properties: &Map<String, Value>) -> Result<(), Error> {
        let table = schema::by_set(set).ok_or_else(|| Error::segment(set))?;
        let before = self.store.get(table, id).cloned().ok_or_else(|| Error::missing_row(TABLES[table].name, id))?;
        let (_, mut row) = self.read_edit(table, properties, before)?;
        if properties.contains_key("statecode") && !properties.contains_key("statuscode") {
            rules::follow_state(self, table, id, &mut row);
        }
        let person = self.person();
        self.whole(|state| write::replace(state, table, id, row, person))
    }

    /// Deletes a row as a person would, with what hangs on it.
    pub fn delete(&mut self, set: &str, id: Uuid) -> Result<(), Error> {
        let table = schema::by_set(set).ok_or_else(|| Error::segment(set))?;
        let person = self.person();
        self.whole(|state| write::remove(state, table, id, person))
    }

    /// Does something wholly or not at all.
    fn whole<T>(&mut self, change: impl FnOnce(&mut State) -> Result<T, Error>) -> Result<T, Error> {
        self.store.begin();
        let result = change(self);
        match result {
            Ok(_) => self.store.commit(),
            Err(_) => self.store.rollback(),
        }
        result
    }

    /// Stamps a row as changed now by a user.
    pub(super) fn stamp(&mut self, table: usize, row: &mut Row, user: Uuid) {
        let (now, users) = (self.now(), schema::table("systemuser"));
        self.version += 1;
        row.set(TABLES[table].column("modifiedon"), Some(Cell::Time(now)));
        row.set(TABLES[table].column("modifiedby"), Some(Cell::Link(users, user)));
        row.set(TABLES[table].column("modifiedonbehalfby"), self.behalf(user));
        row.set(TABLES[table].column("versionnumber"), Some(Cell::Whole(self.version)));
    }

    /// Tells whether the application user may not log in any more.
    pub(super) fn is_disabled(&self) -> bool {
        let users = schema::table("systemuser");
        let row = self.store.get(users, self.caller);
        row.and_then(|row| row.get(TABLES[users].column("isdisabled"))) == Some(&Cell::Flag(true))
    }

    /// Returns in whose name the operation under way writes.
    pub(super) fn writer(&self) -> Uuid {
        self.acting.unwrap_or(self.caller)
    }

    /// Returns who really writes where somebody else is stamped for it.
    pub(super) fn behalf(&self, user: Uuid) -> Option<Cell> {
        (self.acting == Some(user)).then(|| Cell::Link(schema::table("systemuser"), self.caller))
    }

    /// Finds the row whose text column has that value.
    pub(super) fn find_text(&self, table: usize, column: &str, text: &str) -> Option<Uuid> {
        let (index, wanted) = (TABLES[table].column(column), Cell::Text(text.into()));
        let rows = self.store.rows(table).iter();
        rows.filter(|(_, row)| {
            row.get(index).is_some_and(|cell| cell.order(&wanted) == Some(std::cmp::Ordering::Equal))
        })
        .map(|(id, _)| *id)
        .next()
    }

    /// Returns a user that a person works as: the first enabled one that is no application.
    pub(super) fn person(&self) -> Uuid {
        let users = schema::table("systemuser");
        let (disabled, application) = (TABLES[users].column("isdisabled"), TABLES[users].column("applicationid"));
        let mut people = self.store.rows(users).iter();
        let person =
            people.find(|(_, row)| row.get(disabled) == Some(&Cell::Flag(false)) && row.get(application).is_none());
        person.map_or(SYSTEM_USER, |(id, _)| *id)
    }

    /// Reads a person's edit: loosely, but nothing is left out or cut.
    fn read_edit(&self, table: usize, properties: &Map<String, Value>, row: Row) -> Result<(Option<Uuid>, Row), Error> {
        let mut notes = Vec::new();
        let read = self.read_loosely(table, properties, row, &mut |note| notes.push(note));
        match notes.pop() {
            None => Ok(read),
            Some(note) => Err(Error::argument(format!("{}.{note}", TABLES[table].set))),
        }
    }
}

/// Returns a row with every property that is not null, and what a polymorphic lookup leads to.
pub(super) fn record(table: usize, id: Uuid, row: &Row) -> Map<String, Value> {
    let declared = &TABLES[table];
    let mut record = Map::new();
    record.insert(declared.primary_key.to_owned(), Value::String(id.to_string()));
    for (index, cell) in row.cells() {
        let column = &declared.columns[index];
        record.insert(column.property.clone(), cell.json());
        if let (Cell::Link(target, _), true) = (cell, column.targets().len() > 1) {
            let annotation = format!("{}@Microsoft.Dynamics.CRM.lookuplogicalname", column.property);
            record.insert(annotation, Value::String(TABLES[*target].name.to_owned()));
        }
    }
    record
}
