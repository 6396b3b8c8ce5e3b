//! Inserting, changing and deleting records, with the business logic behind the pages.
//!
//! In: a set, an id, and typed values in the order in which they were sent. Out: the changed tables, or a refusal and
//! nothing changed. Values are validated in their order, as page-based services do, so that of `currencyId` and
//! `currencyCode` the later one wins. What contacts do on their own is in `contact`.

use std::borrow::Cow;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use uuid::Uuid;

use super::cell::Cell;
use super::contact;
use super::error::Refusal;
use super::schema::{self, Api, Kind, Page, Role, SETS, Set};
use super::{CONTACTS, CUSTOMERS, Row, State};

/// Sets, the sum of their records' open entries, and what the table is called.
const OPEN_ENTRIES: [(&str, &str, &str); 2] = [("customers", "balanceDue", "Customer"), ("items", "inventory", "Item")];

/// What a row was before a change; `None` when there was no such row.
#[derive(Debug)]
pub struct Undo {
    set: usize,
    id: Uuid,
    before: Option<(String, Row)>,
}

impl State {
    /// Inserts a record and returns its id.
    pub(super) fn create(&mut self, set: usize, values: &[(usize, Cell)]) -> Result<Uuid, Refusal> {
        let schema = &SETS[set];
        let mut cells: Box<[Cell]> = schema.columns.iter().map(|column| Cell::blank(column.kind)).collect();
        self.assign(set, &mut cells, values)?;
        let (id_at, key_at) = (schema.role(Role::Id), schema.role(Role::Key));
        let id = Some(cells[id_at].guid()).filter(|id| !id.is_nil()).unwrap_or_else(Uuid::new_v4);
        if self.tables[set].get(&id).is_some() {
            return Err(Refusal::duplicate(schema.table, "SystemId", &id.to_string()));
        }
        if set == CUSTOMERS && cells[CUSTOMER_NAME].text().is_empty() {
            let message = "A \"displayName\" must be provided.";
            return Err(Refusal::new(400, "Application_DialogException", message));
        }
        self.compose(set, &mut cells)?;
        let mut key = cells[key_at].text().to_string();
        if key.is_empty() {
            let caption = schema.columns[key_at].caption;
            key = self.number(set).ok_or_else(|| Refusal::blank(caption))?;
        }
        if self.tables[set].find(&key).is_some() {
            return Err(taken(schema, &key));
        }
        cells[id_at] = Cell::Guid(id);
        cells[key_at] = Cell::Text(key.as_str().into());
        self.put(set, key, id, cells);
        if set == CUSTOMERS {
            self.add_company_contact(id);
        }
        Ok(id)
    }

    /// Changes a record.
    pub(super) fn change(&mut self, set: usize, id: Uuid, values: &[(usize, Cell)]) -> Result<(), Refusal> {
        let schema = &SETS[set];
        let key_at = schema.role(Role::Key);
        let row = self.tables[set].get(&id).ok_or_else(Refusal::not_found)?;
        let (old, mut cells, partner) = (row.cells[key_at].text().to_string(), row.cells.clone(), row.partner);
        self.assign(set, &mut cells, values)?;
        self.compose(set, &mut cells)?;
        let shares = !partner.is_nil() && contact::shared_differs(set, &row.cells, &cells);
        if set == CUSTOMERS && cells[CUSTOMER_NAME].text().is_empty() {
            let message = "The blank \"displayName\" is not allowed.";
            return Err(Refusal::new(400, "Application_DialogException", message));
        }
        let new = cells[key_at].text().to_string();
        if new != old {
            if new.is_empty() {
                return Err(Refusal::blank(schema.columns[key_at].caption));
            }
            if self.tables[set].find(&new).is_some() {
                return Err(taken(schema, &new));
            }
        }
        self.remember(set, id);
        if new != old {
            self.tables[set].rename(&id, new.clone()).expect("the new key was looked up above");
            self.cascade(set, &old, &new);
        }
        self.replace(set, id, cells);
        if shares {
            self.share(set, id, if set == CUSTOMERS { CONTACTS } else { CUSTOMERS }, partner);
        }
        Ok(())
    }

    /// Deletes a record, and what points at it as far as the product does.
    pub(super) fn erase(&mut self, set: usize, id: Uuid) -> Result<(), Refusal> {
        let row = self.tables[set].get(&id).ok_or_else(Refusal::not_found)?;
        let (partner, key) = (row.partner, row.cells[SETS[set].role(Role::Key)].text().to_string());
        // Ledger entries are no table here; what they add up to tells that there are some.
        let entries = OPEN_ENTRIES.iter().find(|(of, ..)| SETS[set].name == *of);
        if let Some((_, column, table)) = entries
            && let Some(place) = SETS[set].column(column)
            && !row.cells[place].is_blank(SETS[set].columns[place].kind)
        {
            let message = format!("You cannot delete {table} {key} because there are one or more open ledger entries.");
            return Err(Refusal::new(400, "Application_DialogException", message));
        }
        self.remember(set, id);
        self.tables[set].remove(&id);
        if !partner.is_nil() {
            let other = if set == CUSTOMERS { CONTACTS } else { CUSTOMERS };
            self.remember(other, partner);
            if let Some(row) = self.tables[other].get_mut(&partner) {
                row.partner = Uuid::nil();
            }
        }
        if set == CONTACTS {
            // The persons of a deleted company become persons of none.
            self.cascade(CONTACTS, &key, "");
        }
        Ok(())
    }

    /// Makes a record look changed, as an edit outside the page's fields does.
    pub(super) fn touch_row(&mut self, set: usize, id: Uuid) {
        self.remember(set, id);
        if let Some(cells) = self.tables[set].get(&id).map(|row| row.cells.clone()) {
            self.replace(set, id, cells);
        }
    }

    /// Starts to remember how to undo changes.
    pub(super) fn begin(&mut self) {
        self.journal = Some(Vec::new());
    }

    /// Ends what [`State::begin`] started, and undoes the changes since when asked.
    pub(super) fn end(&mut self, undo: bool) {
        for Undo { set, id, before } in self.journal.take().unwrap_or_default().into_iter().rev() {
            if undo {
                self.tables[set].remove(&id);
                if let Some((key, row)) = before {
                    self.tables[set].insert(key, id, row).expect("the row was there under this key");
                }
            }
        }
    }

    /// Makes the primary key of its parts, where it has some; none of them may be blank.
    fn compose(&self, set: usize, cells: &mut [Cell]) -> Result<(), Refusal> {
        let schema = &SETS[set];
        let blank = |name: &&str| {
            let column = &schema.columns[schema.column(name)?];
            cells[schema.column(name)?].text().is_empty().then_some(column.caption)
        };
        if let Some(caption) = schema.parts.iter().find_map(blank) {
            return Err(Refusal::blank(caption));
        }
        if let Some(key) = schema.composed(cells) {
            cells[schema.role(Role::Key)] = Cell::Text(key.into());
        }
        Ok(())
    }

    /// Puts values into cells in their order, checks relations, and keeps codes and ids of one relation together.
    fn assign(&self, set: usize, cells: &mut [Cell], values: &[(usize, Cell)]) -> Result<(), Refusal> {
        let schema = &SETS[set];
        let company = (set == CONTACTS).then(|| contact::company_number(cells).clone());
        let mut moves = false;
        for (place, cell) in values {
            let column = &schema.columns[*place];
            let mut cell = cell.clone();
            let (target, twin, found) = match column.role {
                Role::Code(target, twin) => {
                    // The local currency is the blank one in the table and has no row.
                    if column.name == "currencyCode" && cell.text() == self.local_currency {
                        cell = Cell::blank(column.kind);
                    }
                    (target, twin, self.table(target).find(cell.text()).map(|(id, row)| (Cell::Guid(id), row)))
                }
                Role::Link(target, twin) => {
                    let row = self.table(target).get(&cell.guid());
                    let key_at = SETS[schema::set(target).unwrap_or_default()].role(Role::Key);
                    (target, twin, row.map(|row| (row.cells[key_at].clone(), row)))
                }
                _ => {
                    cells[*place] = cell;
                    if set == CONTACTS {
                        contact::follow(cells, *place);
                    }
                    continue;
                }
            };
            let blank = cell.is_blank(column.kind);
            let is_company = |row: &Row| row.cells[contact::TYPE] == contact::COMPANY;
            let pointed_at = found.as_ref().map(|(_, row)| *row);
            let other = match found {
                Some((other, row)) if target != "contacts" || is_company(row) => Some(other),
                _ if blank => None,
                _ => {
                    let value = match &cell {
                        Cell::Guid(id) => id.to_string(),
                        cell => cell.text().to_string(),
                    };
                    let related = SETS[schema::set(target).unwrap_or_default()].table;
                    return Err(Refusal::relation(column.caption, schema.table, &value, related));
                }
            };
            if set == CONTACTS && *place == contact::CUSTOMER_NUMBER {
                let company = pointed_at.map(|customer| {
                    let missing = || format!("Customer {} has no company contact.", cell.text());
                    self.company_of_customer(customer)
                        .ok_or_else(|| Refusal::new(400, "Application_DialogException", missing()))
                });
                cells[contact::COMPANY_NUMBER] = company.transpose()?.cloned().unwrap_or(cell);
                moves = true;
                continue;
            }
            moves |= set == CONTACTS && *place == contact::COMPANY_NUMBER;
            if let Some(twin) = twin.and_then(|twin| schema.column(twin)) {
                cells[twin] = other.unwrap_or_else(|| Cell::blank(schema.columns[twin].kind));
            }
            cells[*place] = cell;
        }
        match company {
            Some(before) if moves => contact::check_company(cells, &before),
            _ => Ok(()),
        }
    }

    /// Takes the next free number of a set's series.
    pub(super) fn number(&mut self, set: usize) -> Option<String> {
        let series = SETS[set].series.as_ref()?;
        loop {
            let next = self.series[set];
            self.series[set] += series.step;
            let number = format!("{}{next:0digits$}", series.prefix, digits = series.digits);
            if self.tables[set].find(&number).is_none() {
                return Some(number);
            }
        }
    }

    pub(super) fn put(&mut self, set: usize, key: String, id: Uuid, mut cells: Box<[Cell]>) {
        self.remember(set, id);
        cells[SETS[set].role(Role::Stamp)] = Cell::DateTime(self.tick());
        let row = Row { version: self.next_version(), partner: Uuid::nil(), cells };
        self.tables[set].insert(key, id, row).expect("key and id were looked up before");
    }

    pub(super) fn replace(&mut self, set: usize, id: Uuid, mut cells: Box<[Cell]>) {
        cells[SETS[set].role(Role::Stamp)] = Cell::DateTime(self.tick());
        let version = self.next_version();
        if let Some(row) = self.tables[set].get_mut(&id) {
            row.cells = cells;
            row.version = version;
        }
    }

    pub(super) fn remember(&mut self, set: usize, id: Uuid) {
        let Some(journal) = &mut self.journal else { return };
        let table = &self.tables[set];
        let before = table.key(&id).zip(table.get(&id)).map(|(key, row)| (key.to_string(), row.clone()));
        journal.push(Undo { set, id, before });
    }

    /// Carries a new key to every row that points at the old one.
    fn cascade(&mut self, target: usize, old: &str, new: &str) {
        for (set, schema) in SETS.iter().enumerate() {
            for (place, column) in schema.columns.iter().enumerate() {
                if !matches!(column.role, Role::Code(name, _) if name == SETS[target].name) {
                    continue;
                }
                let rows = self.tables[set].iter().filter(|(_, _, row)| row.cells[place].text() == old);
                let ids: Vec<Uuid> = rows.map(|(_, id, _)| id).collect();
                for id in ids {
                    self.remember(set, id);
                    let Some(row) = self.tables[set].get(&id) else { continue };
                    let mut cells = row.cells.clone();
                    cells[place] = Cell::Text(new.into());
                    if let Some(key) = schema.composed(&cells) {
                        cells[schema.role(Role::Key)] = Cell::Text(key.as_str().into());
                        self.tables[set].rename(&id, key).expect("the part is as new as what it points at");
                    }
                    self.replace(set, id, cells);
                }
            }
        }
    }

    pub(super) fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// Reads the clock, which never shows the same time twice.
    pub(super) fn tick(&mut self) -> DateTime<Utc> {
        let now = Utc::now().trunc_subsecs(3);
        self.now = now.max(self.now + TimeDelta::milliseconds(1));
        self.now
    }

    /// Returns the value of a column as a page shows it: OData V4 pages show the local currency as the table has it, blank.
    pub(super) fn shown_on<'a>(&'a self, page: &Page, row: &'a Row, place: usize) -> Cow<'a, Cell> {
        match (page.api, page.set, place) {
            (Api::Pages, CUSTOMERS, CUSTOMER_CURRENCY) => Cow::Borrowed(&row.cells[place]),
            _ => self.shown(page.set, row, place),
        }
    }

    /// Returns the value of a column as the API shows it.
    pub(super) fn shown<'a>(&'a self, set: usize, row: &'a Row, place: usize) -> Cow<'a, Cell> {
        let cell = &row.cells[place];
        match (set, place) {
            (CUSTOMERS, CUSTOMER_CURRENCY) if cell.text().is_empty() => {
                Cow::Owned(Cell::Text(self.local_currency.as_str().into()))
            }
            _ if SETS[set].columns[place].name == schema::LAST_DAY => {
                let Cell::DateTime(at) = row.cells[SETS[set].role(Role::Stamp)] else { return Cow::Borrowed(cell) };
                Cow::Owned(Cell::Date(at.date_naive()))
            }
            (CONTACTS, contact::COMPANY_NUMBER) => Cow::Borrowed(contact::company_number(&row.cells)),
            (CONTACTS, contact::COMPANY_NAME) => match self.company_of(row) {
                Some(company) => Cow::Borrowed(&company.cells[contact::NAME]),
                None => Cow::Owned(Cell::blank(Kind::Text(100))),
            },
            (CONTACTS, contact::RELATION) => {
                let related = self.customer_of(row).is_some();
                Cow::Owned(Cell::Member(if related { schema::CUSTOMER_RELATION } else { schema::NO_RELATION }))
            }
            (CONTACTS, contact::CUSTOMER_NUMBER) => {
                let customer = self.customer_of(row).and_then(|id| self.tables[CUSTOMERS].key(&id));
                Cow::Owned(Cell::Text(customer.unwrap_or_default().into()))
            }
            _ => Cow::Borrowed(cell),
        }
    }
}

/// Refuses a primary key that another record has.
fn taken(schema: &Set, key: &str) -> Refusal {
    let caption = |name: &str| schema.column(name).map_or("", |place| schema.columns[place].caption);
    if schema.parts.is_empty() {
        return Refusal::duplicate(schema.table, schema.columns[schema.role(Role::Key)].caption, key);
    }
    let (first, rest) = key.split_once(schema::PART_END).unwrap_or((key, ""));
    let rest = schema.parts[1..].iter().zip(rest.split(schema::PART_END));
    let rest: String = rest.map(|(name, value)| format!("',{}='{value}", caption(name))).collect();
    Refusal::duplicate(schema.table, caption(schema.parts[0]), &format!("{first}{rest}"))
}

/// Places of the columns that the business logic knows by name; a test holds them against the schema.
const CUSTOMER_NAME: usize = 2;
const CUSTOMER_CURRENCY: usize = 21;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_known_by_place_are_where_they_are_said_to_be() {
        for (place, name) in [(CUSTOMER_NAME, "displayName"), (CUSTOMER_CURRENCY, "currencyCode")] {
            assert_eq!(SETS[CUSTOMERS].columns[place].name, name);
        }
    }
}
