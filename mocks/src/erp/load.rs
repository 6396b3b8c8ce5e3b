//! Records that come in from files and data sets.
//!
//! Loading is lenient: rows are data that somehow came to be, not requests. Missing ids and numbers are made, what does
//! not fit is made to fit and counted. A customer has a company contact: the one that it names or that names it, or one
//! that is made here and steps aside when a file brings that contact or its number. Everything made is made of what was
//! loaded, so the same rows give the same records.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::cell::{Cell, capitals};
use super::schema::{self, Role, SETS};
use super::{CONTACTS, CUSTOMERS, Row, State, contact, guid};
use crate::table::Taken;

/// The internal property that ties a loaded customer to its company contact: that contact's number.
pub(super) const LINK: &str = "_companyContactNumber";
/// The internal property with a saved row's version.
pub(super) const VERSION: &str = "_version";
/// The space of the ids made for loaded rows that have none.
const IDS: Uuid = Uuid::from_u128(0x3f0c_1b6e_52d4_5a0e_9c11_7b0d_e3a8_4417);

impl State {
    /// Loads rows from a file or a data set, leniently: they are data that somehow came to be, not requests.
    ///
    /// Missing properties become blank, missing ids and numbers are made, text is converted to the column's type. What
    /// cannot be kept as it is, is made to fit and counted in [`State::adjusted`]. A customer's `_companyContactNumber`
    /// ties it to that contact, loaded before or after; without one it gets a company contact of its own. A person's
    /// name is broken up unless its parts are there. Rows that point at others of another set come after them.
    pub fn load(&mut self, set: &str, mut rows: Vec<Map<String, Value>>) {
        if set == "companies" {
            return self.load_company(rows);
        }
        let Some(place) = schema::set(set) else {
            return self.adjust(format!("{set}: no such entity set, rows left out"), rows.len() as u64);
        };
        if place == CONTACTS {
            self.step_aside(&mut rows);
        }
        let now = self.tick();
        let load = |row| Some((self.load_row(place, row, now)?, linked(row).is_none()));
        let loaded: Vec<(Uuid, bool)> = rows.iter().filter_map(load).collect();
        // Contacts point at contacts, so relations are looked at when all rows are there.
        for (id, alone) in loaded {
            self.check_relations(place, id, false);
            if place == CUSTOMERS && alone {
                self.make_contact(id);
            }
        }
    }

    pub(super) fn load_company(&mut self, rows: Vec<Map<String, Value>>) {
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

    pub(super) fn load_row(&mut self, set: usize, values: &Map<String, Value>, now: DateTime<Utc>) -> Option<Uuid> {
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
        if let Some(key) = schema.composed(&cells) {
            cells[key_at] = Cell::Text(key.into());
        }
        if cells[key_at].text().is_empty() {
            match self.number(set) {
                Some(number) => cells[key_at] = Cell::Text(number.into()),
                None => {
                    self.adjust(format!("{}: without a code, left out", schema.name), 1);
                    return None;
                }
            }
        }
        if set == CONTACTS {
            contact::complete(&mut cells);
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
                if let Some(number) = linked(values) {
                    match self.tables[CONTACTS].find(number) {
                        Some((contact, row)) if !is_made(contact, row) => self.link(id, contact),
                        _ => drop(self.awaited.insert(number.to_string(), id)),
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

    /// Makes the codes and ids of a loaded row's relations agree, and blanks those that lead nowhere; what was `kept` of
    /// this fake stays, since the ERP lets a code be deleted that others still bear.
    pub(super) fn check_relations(&mut self, set: usize, id: Uuid, kept: bool) {
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
            let found = found.filter(|(_, row)| target != "contacts" || row.cells[contact::TYPE] == contact::COMPANY);
            let twin = twin.and_then(|twin| schema.column(twin));
            match (found, twin) {
                // A code that is found decides over the id beside it.
                (Some((other, _)), Some(twin)) if is_code || cells[twin].is_blank(schema.columns[twin].kind) => {
                    cells[twin] = other;
                }
                (Some(_), _) => {}
                (None, _) if kept => {}
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
        if set == CONTACTS {
            self.check_contact(id, &mut cells);
        }
        if let Some(row) = self.tables[set].get_mut(&id) {
            row.cells = cells;
        }
    }

    /// Turns the customer that a loaded contact names into its company, as far as the one fits the other.
    fn check_contact(&mut self, id: Uuid, cells: &mut [Cell]) {
        let number = std::mem::replace(&mut cells[contact::CUSTOMER_NUMBER], Cell::Text("".into()));
        let customer = self.tables[CUSTOMERS].find(number.text());
        let customer = customer.map(|(_, customer)| (customer.partner, self.company_of_customer(customer).cloned()));
        if cells[contact::TYPE] == contact::COMPANY {
            let company = std::mem::replace(&mut cells[contact::COMPANY_NUMBER], Cell::Text("".into()));
            if !company.text().is_empty() && company != cells[contact::NUMBER] {
                self.adjust("contacts.companyNumber: a company is its own, left out".into(), 1);
            }
            if customer.is_some_and(|(partner, _)| partner != id) {
                self.adjust("contacts.customerNumber: has another company contact, left out".into(), 1);
            }
            return;
        }
        match customer {
            Some((_, Some(company))) if cells[contact::COMPANY_NUMBER].text().is_empty() => {
                cells[contact::COMPANY_NUMBER] = company;
            }
            Some((_, Some(company))) if cells[contact::COMPANY_NUMBER] == company => {}
            // A customer that is a person is its own contact.
            Some((partner, None)) if partner == id => {}
            Some(_) => self.adjust("contacts.customerNumber: not that of the company, left out".into(), 1),
            None => {}
        }
    }

    /// Gives a loaded customer a company contact, as the product does when a customer is inserted.
    fn make_contact(&mut self, customer: Uuid) {
        let id = made_id(customer);
        if self.tables[CONTACTS].get(&id).is_some() {
            return self.link(customer, id);
        }
        let Some(number) = self.number(CONTACTS) else { return };
        let version = self.next_version();
        let Some(row) = self.tables[CUSTOMERS].get(&customer) else { return };
        let mut cells = contact::company_contact(&row.cells, id, &number);
        cells[SETS[CONTACTS].role(Role::Stamp)] = row.cells[SETS[CUSTOMERS].role(Role::Stamp)].clone();
        let row = Row { version, partner: Uuid::nil(), cells };
        self.tables[CONTACTS].insert(number, id, row).expect("number and id were looked up before");
        self.link(customer, id);
    }

    /// Takes company contacts that were made here out of the way of rows that are about to be loaded.
    ///
    /// A row that is such a contact, by its id or by the customer that it names, takes its place; from a row that only
    /// has its number it moves on to a free one. Persons follow.
    fn step_aside(&mut self, rows: &mut [Map<String, Value>]) {
        let taken: BTreeSet<String> = rows.iter().filter_map(number_of).collect();
        let mut moved: HashMap<String, String> = HashMap::new();
        for row in rows.iter_mut() {
            let Some((id, customer)) = self.made_contact_of(row) else { continue };
            let Some(old) = self.tables[CONTACTS].key(&id).map(str::to_string) else { continue };
            self.tables[CONTACTS].remove(&id);
            let own = || Some(old.clone()).filter(|old| !taken.contains(old)).or_else(|| self.free_number(&taken));
            let Some(number) = number_of(row).or_else(own) else { continue };
            row.insert("number".into(), number.as_str().into());
            self.awaited.insert(number.clone(), customer);
            moved.insert(old, number);
        }
        for number in &taken {
            let made = self.tables[CONTACTS].find(number).filter(|(id, row)| is_made(*id, row));
            let Some((id, _)) = made else { continue };
            let Some(free) = self.free_number(&taken) else { continue };
            self.tables[CONTACTS].rename(&id, free.clone()).expect("a number of the series is free");
            if let Some(row) = self.tables[CONTACTS].get_mut(&id) {
                row.cells[contact::NUMBER] = Cell::Text(free.as_str().into());
            }
            moved.insert(number.clone(), free);
        }
        if moved.is_empty() {
            return;
        }
        let place = contact::COMPANY_NUMBER;
        let follows = |row: &Row| Some(Cell::Text(moved.get(row.cells[place].text())?.as_str().into()));
        let persons: Vec<(Uuid, Cell)> =
            self.tables[CONTACTS].iter().filter_map(|(_, id, row)| Some((id, follows(row)?))).collect();
        for (id, company) in persons {
            if let Some(row) = self.tables[CONTACTS].get_mut(&id) {
                row.cells[place] = company;
            }
        }
    }

    /// Takes a number of the contacts that no row about to be loaded has.
    fn free_number(&mut self, taken: &BTreeSet<String>) -> Option<String> {
        std::iter::from_fn(|| self.number(CONTACTS)).find(|number| !taken.contains(number))
    }

    /// Finds the contact made here that a row about to be loaded is meant to be, and its customer.
    fn made_contact_of(&self, row: &Map<String, Value>) -> Option<(Uuid, Uuid)> {
        let text = |name: &str| row.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let by_id = text("id").and_then(guid);
        let by_customer = || {
            let customer = text("customerNumber").filter(|_| text("type").is_none_or(|kind| kind == "Company"))?;
            Some(self.tables[CUSTOMERS].find(&capitals(customer.trim()))?.1.partner)
        };
        let made = |id: Uuid| {
            let row = self.tables[CONTACTS].get(&id)?;
            is_made(id, row).then_some((id, row.partner))
        };
        by_id.and_then(made).or_else(|| by_customer().and_then(made))
    }

    pub(super) fn adjust(&mut self, what: String, count: u64) {
        *self.adjusted.entry(what).or_default() += count;
    }
}

/// Returns the number of the company contact that a loaded customer names.
fn linked(row: &Map<String, Value>) -> Option<&str> {
    row.get(LINK).and_then(Value::as_str).filter(|number| !number.is_empty())
}

/// Returns the number that a loaded row brings.
fn number_of(row: &Map<String, Value>) -> Option<String> {
    let number = capitals(row.get("number")?.as_str()?.trim());
    (!number.is_empty()).then_some(number)
}

/// Returns the id of the company contact that is made for a customer.
fn made_id(customer: Uuid) -> Uuid {
    Uuid::new_v5(&customer, b"company contact")
}

/// Whether a contact was made for its customer and came from no file.
fn is_made(id: Uuid, contact: &Row) -> bool {
    !contact.partner.is_nil() && id == made_id(contact.partner)
}
