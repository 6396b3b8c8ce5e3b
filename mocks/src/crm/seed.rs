//! Seed data: rows that somehow came to be, from files or made by formula, and what a real CRM would have made of
//! them.
//!
//! Lenient where the Web API is strict: what cannot be kept as it is, is made to fit and counted. A loaded base
//! currency or application user takes the place of the built-in one.

use rust_decimal::Decimal;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::schema::{self, Kind, TABLES};
use super::state::{CLIENT_ID, SYSTEM_USER, State};
use super::store::{Cell, Row};
use super::{rules, sales, value};

impl State {
    /// Takes in seed data, leniently: rows of an entity set with wire-named properties, text or typed.
    ///
    /// Missing ids are made, missing owners, states and stamps get their defaults, text is converted to the column's
    /// type. What cannot be kept as it is, is made to fit and counted in [`State::adjusted`]. Sets may come in any
    /// order that loads units after their groups and price lines after products; [`State::settle`] ends it.
    pub fn load(&mut self, set: &str, rows: Vec<Map<String, Value>>) {
        let Some(table) = schema::by_set(set) else {
            return self.adjust(format!("{set}: no such entity set, rows left out"), rows.len() as u64);
        };
        for properties in rows {
            let mut notes = Vec::new();
            let (id, mut row) = self.read_loosely(table, &properties, Row::default(), &mut |note| notes.push(note));
            notes.into_iter().for_each(|note| self.adjust(format!("{set}.{note}"), 1));
            let id = id.unwrap_or_else(Uuid::new_v4);
            self.make_room(table, id, &row);
            seed_defaults(self, table, id, &mut row);
            self.stamp_missing(table, &mut row);
            rules::compute(self, table, &mut row);
            self.store.put(table, id, row);
        }
    }

    /// Clears lookups that lead nowhere, after all sets are loaded, and counts them as adjusted.
    pub fn settle(&mut self) {
        let mut loose_ends = Vec::new();
        for table in 0..TABLES.len() {
            for (id, row) in self.store.rows(table) {
                for (column, cell) in row.cells() {
                    // The parts of the owner are computed and follow it.
                    let part = TABLES[table].columns[column].name.starts_with("owning");
                    if let Cell::Link(target, to) = cell
                        && !part
                        && self.store.get(*target, *to).is_none()
                    {
                        loose_ends.push((table, *id, column));
                    }
                }
            }
        }
        for (table, id, column) in loose_ends {
            let (declared, mut row) = (&TABLES[table], self.store.get(table, id).cloned().unwrap_or_default());
            row.set(column, None);
            if declared.by_name("ownerid") == Some(column) {
                let caller = self.caller;
                rules::defaults(self, table, &mut row, caller);
                rules::compute(self, table, &mut row);
            }
            self.store.put(table, id, row);
            self.adjust(format!("{}.{}: leads to no row, cleared", declared.set, declared.columns[column].property), 1);
        }
    }

    fn adjust(&mut self, what: String, count: u64) {
        *self.adjusted.entry(what).or_default() += count;
    }

    pub(super) fn read_loosely(
        &self,
        table: usize,
        properties: &Map<String, Value>,
        mut row: Row,
        note: &mut dyn FnMut(String),
    ) -> (Option<Uuid>, Row) {
        let declared = &TABLES[table];
        let mut id = None;
        for (property, given) in properties {
            if property.contains('@') {
                continue;
            }
            let Some(index) = declared.by_property(property) else {
                note(format!("{property}: no such property, left out"));
                continue;
            };
            let column = &declared.columns[index];
            let cell = match value::loose(column, given) {
                Ok((cell, cut)) => {
                    if cut {
                        note(format!("{property}: too long, cut"));
                    }
                    cell
                }
                Err(problem) => {
                    note(format!("{property}: {problem}, left out"));
                    None
                }
            };
            match (&column.kind, cell) {
                (Kind::Key, cell) => id = cell.and_then(|cell| cell.id()),
                (_, Some(Cell::Id(to))) if column.is_lookup() => {
                    row.set(index, Some(Cell::Link(self.target_of(table, index, to, properties), to)));
                }
                (_, cell) => row.set(index, cell),
            }
        }
        (id, row)
    }

    /// Finds the table that a lookup of seed data leads to: the annotation says it, or the row is there, or it is the
    /// first of the tables it may lead to.
    fn target_of(&self, table: usize, column: usize, to: Uuid, properties: &Map<String, Value>) -> usize {
        let column = &TABLES[table].columns[column];
        let targets: Vec<usize> = column.targets().iter().map(|target| schema::table(target.table)).collect();
        let annotation = format!("{}@Microsoft.Dynamics.CRM.lookuplogicalname", column.property);
        let said = properties.get(&annotation).and_then(Value::as_str).and_then(schema::by_name);
        let said = said.filter(|said| targets.contains(said));
        let there = || targets.iter().copied().find(|target| self.store.get(*target, to).is_some());
        said.or_else(there).unwrap_or(targets[0])
    }

    /// Removes a built-in row that a loaded one takes the place of.
    fn make_room(&mut self, table: usize, id: Uuid, row: &Row) {
        let same = |column: &str, wanted: &str| {
            let cell = row.get(TABLES[table].column(column));
            cell.is_some_and(|cell| cell.json().as_str().is_some_and(|text| text.eq_ignore_ascii_case(wanted)))
        };
        let replaced = match TABLES[table].name {
            "systemuser" if id != self.caller && same("applicationid", CLIENT_ID) => self.caller,
            "transactioncurrency" if id != self.base_currency && same("isocurrencycode", &self.base_code()) => {
                self.base_currency
            }
            _ => return,
        };
        for (from, pointing, column) in self.store.pointing_at(table, replaced) {
            let mut pointing_row = self.store.get(from, pointing).cloned().unwrap_or_default();
            pointing_row.set(column, Some(Cell::Link(table, id)));
            self.store.put(from, pointing, pointing_row);
        }
        self.store.remove(table, replaced);
        match TABLES[table].name {
            "systemuser" => self.caller = id,
            _ => self.base_currency = id,
        }
    }

    fn base_code(&self) -> String {
        let table = schema::table("transactioncurrency");
        let row = self.store.get(table, self.base_currency);
        row.and_then(|row| row.get(TABLES[table].column("isocurrencycode"))?.text().map(str::to_owned))
            .unwrap_or_default()
    }

    fn stamp_missing(&mut self, table: usize, row: &mut Row) {
        let declared = &TABLES[table];
        let (created, modified) = (declared.column("createdon"), declared.column("modifiedon"));
        let (given_created, given_modified) = (row.get(created).cloned(), row.get(modified).cloned());
        let by = [declared.column("createdby"), declared.column("modifiedby")];
        let given_by = row.get(by[1]).cloned();
        self.stamp(table, row, SYSTEM_USER);
        let now = row.get(modified).cloned();
        row.set(modified, given_modified.clone().or_else(|| given_created.clone()).or(now.clone()));
        row.set(created, given_created.or(given_modified).or(now));
        let system = row.get(by[1]).cloned();
        if row.get(by[0]).is_none() {
            row.set(by[0], system.clone());
        }
        row.set(by[1], given_by.or(system));
    }
}

/// Fills what a row of seed data lacks, beyond [`rules::defaults`]: what a real organization would always have.
fn seed_defaults(state: &mut State, table: usize, id: Uuid, row: &mut Row) {
    let declared = &TABLES[table];
    let units = schema::table("uom");
    match declared.name {
        "uom" => {
            let (group, base) = (declared.column("uomscheduleid"), declared.column("baseuom"));
            if row.get(group).is_none() {
                let id = default_unit_group(state);
                row.set(group, Some(Cell::Link(schema::table("uomschedule"), id)));
            }
            let known_base = row.get(group).and_then(Cell::id).and_then(|group| base_unit(state, group));
            let flag = declared.column("isschedulebaseuom");
            if row.get(flag).is_none() {
                row.set(flag, Some(Cell::Flag(known_base.is_none() && row.get(base).is_none())));
            }
            if row.get(flag) == Some(&Cell::Flag(false)) && row.get(base).is_none() {
                row.set(base, known_base.map(|id| Cell::Link(units, id)));
            }
            if row.get(declared.column("quantity")).is_none() {
                row.set(declared.column("quantity"), Some(Cell::Decimal(value::rounded(Decimal::ONE, 10, 10))));
            }
        }
        "product" => {
            let group = declared.column("defaultuomscheduleid");
            let unit = row.get(declared.column("defaultuomid")).and_then(Cell::id);
            if row.get(group).is_none()
                && let Some(unit) = unit.and_then(|unit| state.store.get(units, unit))
            {
                row.set(group, unit.get(TABLES[units].column("uomscheduleid")).cloned());
            }
            // Seed data without a state means products in use, whatever new ones start as.
            if row.get(declared.column("statecode")).is_none() && row.get(declared.column("statuscode")).is_none() {
                row.set(declared.column("statecode"), Some(Cell::Whole(0)));
            }
        }
        "transactioncurrency" => {
            if row.get(declared.column("currencyprecision")).is_none() {
                row.set(declared.column("currencyprecision"), Some(Cell::Whole(2)));
            }
            // The rate is the amount of the currency for one unit of the base currency.
            if row.get(declared.column("exchangerate")).is_none() || id == state.base_currency {
                row.set(declared.column("exchangerate"), Some(Cell::Decimal(value::rounded(Decimal::ONE, 12, 12))));
            }
        }
        "productpricelevel" => {
            // What is wrong with a line shows when somebody next saves it.
            let _ = sales::check_price_line(state, row);
        }
        "pricelevel" if row.get(declared.column("transactioncurrencyid")).is_none() => {
            let currency = Cell::Link(schema::table("transactioncurrency"), state.base_currency);
            row.set(declared.column("transactioncurrencyid"), Some(currency));
        }
        "systemuser" | "team" if row.get(declared.column("businessunitid")).is_none() => {
            let unit = Cell::Link(schema::table("businessunit"), state.business_unit);
            row.set(declared.column("businessunitid"), Some(unit));
        }
        _ => {}
    }
    let caller = state.caller;
    rules::defaults(state, table, row, caller);
}

fn base_unit(state: &State, group: Uuid) -> Option<Uuid> {
    let units = schema::table("uom");
    let link = Cell::Link(schema::table("uomschedule"), group);
    let column = TABLES[units].column("uomscheduleid");
    let mut rows = state.store.rows(units).iter();
    rows.find(|(_, row)| row.get(column) == Some(&link) && sales::is_base_unit(row)).map(|(id, _)| *id)
}

/// The group that units of seed data without one belong to, as in every organization.
fn default_unit_group(state: &mut State) -> Uuid {
    let groups = schema::table("uomschedule");
    if let Some(id) = state.find_text(groups, "name", "Default Unit") {
        return id;
    }
    let id = Uuid::from_u128(0x8a2b0001_0000_4000_8000_000000000010);
    let mut row = Row::default();
    row.set(TABLES[groups].column("name"), Some(Cell::Text("Default Unit".into())));
    let caller = state.caller;
    rules::defaults(state, groups, &mut row, caller);
    state.stamp(groups, &mut row, caller);
    let modified = row.get(TABLES[groups].column("modifiedon")).cloned();
    row.set(TABLES[groups].column("createdon"), modified);
    state.store.put(groups, id, row);
    id
}
