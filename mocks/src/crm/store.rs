//! The rows: typed cells, tables ordered by primary key, unique columns, and the way back out of a failed change set.
//!
//! A row holds only the cells that are not null, so a hundred thousand accounts stay small. Decimals are exact. The
//! store knows types and uniqueness; what a caller may write is decided elsewhere, before it gets here.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write as _};

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

use super::schema::{self, Column, Kind, TABLES, Table};

/// A value that is not null.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Text(Box<str>),
    Whole(i64),
    /// Money, decimal or double; the scale is the one shown on the wire.
    Decimal(Decimal),
    Flag(bool),
    /// Whole seconds.
    Time(DateTime<Utc>),
    Day(NaiveDate),
    Id(Uuid),
    /// A lookup: the table it leads to, as a position in [`TABLES`], and the row.
    Link(usize, Uuid),
}

impl Cell {
    /// Returns the value as it goes over the wire.
    pub fn json(&self) -> Value {
        match self {
            Cell::Text(text) => Value::String(text.to_string()),
            Cell::Whole(number) => Value::from(*number),
            Cell::Decimal(number) => {
                serde_json::from_str(&number.to_string()).expect("the text of a decimal is a JSON number")
            }
            Cell::Flag(flag) => Value::Bool(*flag),
            Cell::Time(time) => Value::String(format!("{:?}Z", time.naive_utc())),
            Cell::Day(day) => Value::String(day.to_string()),
            Cell::Id(id) | Cell::Link(_, id) => Value::String(id.to_string()),
        }
    }

    /// Writes the value as JSON.
    pub fn write(&self, out: &mut Vec<u8>) {
        // Writing into memory cannot fail.
        let _ = match self {
            Cell::Text(text) => serde_json::to_writer(out, text.as_ref()).map_err(io::Error::from),
            Cell::Whole(number) => write!(out, "{number}"),
            Cell::Decimal(number) => write!(out, "{number}"),
            Cell::Flag(flag) => write!(out, "{flag}"),
            Cell::Time(time) => write!(out, "\"{:?}Z\"", time.naive_utc()),
            Cell::Day(day) => write!(out, "\"{day}\""),
            Cell::Id(id) | Cell::Link(_, id) => write!(out, "\"{id}\""),
        };
    }

    /// Returns the text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the integer, if it is one.
    pub fn whole(&self) -> Option<i64> {
        match self {
            Cell::Whole(number) => Some(*number),
            _ => None,
        }
    }

    /// Returns the id of a lookup or identifier.
    pub fn id(&self) -> Option<Uuid> {
        match self {
            Cell::Id(id) | Cell::Link(_, id) => Some(*id),
            _ => None,
        }
    }

    /// Orders two cells as the database does: text without regard to case and trailing blanks.
    pub fn order(&self, other: &Cell) -> Option<Ordering> {
        match (self, other) {
            (Cell::Text(a), Cell::Text(b)) => Some(order_text(a, b)),
            (Cell::Flag(a), Cell::Flag(b)) => Some(a.cmp(b)),
            (Cell::Time(a), Cell::Time(b)) => Some(a.cmp(b)),
            (Cell::Day(a), Cell::Day(b)) => Some(a.cmp(b)),
            _ => match (self.id(), other.id()) {
                (Some(a), Some(b)) => Some(a.cmp(&b)),
                _ => Some(self.number()?.cmp(&other.number()?)),
            },
        }
    }

    fn number(&self) -> Option<Decimal> {
        match self {
            Cell::Whole(number) => Some(Decimal::from(*number)),
            Cell::Decimal(number) => Some(*number),
            _ => None,
        }
    }
}

fn order_text(a: &str, b: &str) -> Ordering {
    let lower = |text: &str| text.trim_end_matches(' ').chars().flat_map(char::to_lowercase).collect::<Vec<_>>();
    if a.is_ascii() && b.is_ascii() {
        let bytes = |text: &str| text.trim_end_matches(' ').len();
        let (a, b) = (&a[..bytes(a)], &b[..bytes(b)]);
        return a.bytes().map(|byte| byte.to_ascii_lowercase()).cmp(b.bytes().map(|byte| byte.to_ascii_lowercase()));
    }
    lower(a).cmp(&lower(b))
}

/// A row without its primary key: the cells that are not null, by column.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    cells: Vec<(u16, Cell)>,
}

impl Row {
    /// Returns the cell of a column, or nothing for null.
    pub fn get(&self, column: usize) -> Option<&Cell> {
        let at = self.cells.binary_search_by_key(&column, |(index, _)| usize::from(*index)).ok()?;
        Some(&self.cells[at].1)
    }

    /// Sets or clears the cell of a column.
    pub fn set(&mut self, column: usize, cell: Option<Cell>) {
        let index = u16::try_from(column).expect("no table has that many columns");
        match (self.cells.binary_search_by_key(&index, |(index, _)| *index), cell) {
            (Ok(at), Some(cell)) => self.cells[at].1 = cell,
            (Ok(at), None) => {
                self.cells.remove(at);
            }
            (Err(at), Some(cell)) => self.cells.insert(at, (index, cell)),
            (Err(_), None) => {}
        }
    }

    /// Returns the cells that are not null.
    pub fn cells(&self) -> impl Iterator<Item = (usize, &Cell)> {
        self.cells.iter().map(|(index, cell)| (usize::from(*index), cell))
    }

    /// Frees what growing left over; rows live long.
    fn shrink(mut self) -> Row {
        self.cells.shrink_to_fit();
        self
    }
}

impl Table {
    /// Returns the value that a row has in a column; the primary key is a column like any other.
    pub fn cell<'a>(&self, column: usize, id: Uuid, row: &'a Row) -> Option<Cow<'a, Cell>> {
        match self.columns[column].kind {
            Kind::Key => Some(Cow::Owned(Cell::Id(id))),
            _ => row.get(column).map(Cow::Borrowed),
        }
    }
}

/// Columns whose values, taken together, no two rows may share; rows with a null among them do not take part.
#[derive(Debug, Clone)]
pub struct Unique {
    pub table: usize,
    pub columns: Vec<usize>,
    pub rule: Rule,
    held: HashMap<String, Uuid>,
}

/// Who demands that columns be unique, which decides how a breach is worded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// An alternate key of that display name; rows can be addressed by it.
    Key(String),
    ProductNumber,
    CurrencyCode,
    PriceLine,
}

impl Unique {
    fn value(&self, row: &Row) -> Option<String> {
        let mut value = String::new();
        for column in &self.columns {
            match row.get(*column)? {
                Cell::Text(text) => value.extend(text.trim_end_matches(' ').chars().flat_map(char::to_lowercase)),
                cell => value.push_str(&cell.json().to_string()),
            }
            value.push('\u{1f}');
        }
        Some(value)
    }
}

/// All rows.
#[derive(Debug, Clone)]
pub struct Store {
    tables: Vec<BTreeMap<Uuid, Row>>,
    uniques: Vec<Unique>,
    /// What was deleted: table, row and the version of the deletion.
    graves: Vec<(usize, Uuid, i64)>,
    /// How many there were at [`Store::begin`].
    graves_before: usize,
    /// What was there before each change since [`Store::begin`].
    undo: Option<Vec<(usize, Uuid, Option<Row>)>>,
}

impl Default for Store {
    fn default() -> Store {
        let mut store = Store {
            tables: vec![BTreeMap::new(); TABLES.len()],
            uniques: Vec::new(),
            graves: Vec::new(),
            graves_before: 0,
            undo: None,
        };
        store.add_unique("product", &["productnumber"], Rule::ProductNumber);
        store.add_unique("transactioncurrency", &["isocurrencycode"], Rule::CurrencyCode);
        store.add_unique("productpricelevel", &["pricelevelid", "productid", "uomid"], Rule::PriceLine);
        store
    }
}

impl Store {
    /// Declares columns unique; rows already there are entered, the first of equals counts.
    pub fn add_unique(&mut self, table: &str, columns: &[&str], rule: Rule) {
        let table = schema::table(table);
        let columns = columns.iter().map(|name| TABLES[table].column(name)).collect();
        let mut unique = Unique { table, columns, rule, held: HashMap::new() };
        for (id, row) in &self.tables[table] {
            if let Some(value) = unique.value(row) {
                unique.held.entry(value).or_insert(*id);
            }
        }
        self.uniques.push(unique);
    }

    /// Returns the rows of a table in the order of their primary key.
    pub fn rows(&self, table: usize) -> &BTreeMap<Uuid, Row> {
        &self.tables[table]
    }

    /// Returns one row.
    pub fn get(&self, table: usize, id: Uuid) -> Option<&Row> {
        self.tables[table].get(&id)
    }

    /// Inserts or replaces a row.
    pub fn put(&mut self, table: usize, id: Uuid, row: Row) {
        let before = self.tables[table].insert(id, row.shrink());
        self.reindex(table, id, before.as_ref());
        self.remember(table, id, before);
    }

    /// Removes a row.
    pub fn remove(&mut self, table: usize, id: Uuid) {
        let before = self.tables[table].remove(&id);
        self.reindex(table, id, before.as_ref());
        self.remember(table, id, before);
    }

    /// Notes that a row was deleted.
    pub fn bury(&mut self, table: usize, id: Uuid, version: i64) {
        self.graves.push((table, id, version));
    }

    /// Returns what was deleted from a table and has not come back, each with the version of its last deletion.
    pub fn graves(&self, table: usize) -> impl Iterator<Item = (Uuid, i64)> {
        let of_table = self.graves.iter().filter(move |(of, id, _)| *of == table && self.get(table, *id).is_none());
        let last: BTreeMap<Uuid, i64> = of_table.map(|(_, id, version)| (*id, *version)).collect();
        last.into_iter()
    }

    /// Returns the version of a row's last deletion.
    pub fn buried(&self, table: usize, id: Uuid) -> i64 {
        let mut last = self.graves.iter().rev();
        last.find(|(of, row, _)| *of == table && *row == id).map_or(0, |(.., version)| *version)
    }

    /// Starts to remember, so that [`Store::rollback`] can restore what is there now.
    pub fn begin(&mut self) {
        self.undo = Some(Vec::new());
        self.graves_before = self.graves.len();
    }

    /// Tells whether something is being remembered already.
    pub fn is_remembering(&self) -> bool {
        self.undo.is_some()
    }

    /// Keeps what was done since [`Store::begin`].
    pub fn commit(&mut self) {
        self.undo = None;
    }

    /// Undoes everything since [`Store::begin`].
    pub fn rollback(&mut self) {
        if self.undo.is_some() {
            self.graves.truncate(self.graves_before);
        }
        for (table, id, row) in self.undo.take().unwrap_or_default().into_iter().rev() {
            match row {
                Some(row) => self.put(table, id, row),
                None => self.remove(table, id),
            }
        }
    }

    /// Returns the rule that a row would break, with the row that holds the values already.
    pub fn clash(&self, table: usize, id: Uuid, row: &Row) -> Option<(&Unique, Uuid)> {
        self.uniques.iter().filter(|unique| unique.table == table).find_map(|unique| {
            let held = *unique.held.get(&unique.value(row)?)?;
            (held != id).then_some((unique, held))
        })
    }

    /// Returns the alternate key over exactly these columns.
    pub fn key(&self, table: usize, columns: &[usize]) -> Option<&Unique> {
        self.keys(table).find(|unique| {
            unique.columns.len() == columns.len() && columns.iter().all(|column| unique.columns.contains(column))
        })
    }

    /// Returns the alternate keys of a table.
    pub fn keys(&self, table: usize) -> impl Iterator<Item = &Unique> {
        self.uniques.iter().filter(move |unique| unique.table == table && matches!(unique.rule, Rule::Key(_)))
    }

    /// Finds a row by the values of an alternate key.
    pub fn find(&self, key: &Unique, row: &Row) -> Option<Uuid> {
        key.held.get(&key.value(row)?).copied()
    }

    /// Returns every lookup that leads to a row: the pointing table, row and column.
    pub fn pointing_at(&self, table: usize, id: Uuid) -> Vec<(usize, Uuid, usize)> {
        let mut found = Vec::new();
        for (from, rows) in self.tables.iter().enumerate() {
            let leads_there = |column: &Column| column.targets().iter().any(|to| to.table == TABLES[table].name);
            let columns = TABLES[from].columns.iter().enumerate().filter(|(_, column)| leads_there(column));
            let columns: Vec<usize> = columns.map(|(column, _)| column).collect();
            if columns.is_empty() {
                continue;
            }
            let link = Cell::Link(table, id);
            for (row_id, row) in rows {
                let pointing = columns.iter().filter(|column| row.get(**column) == Some(&link));
                found.extend(pointing.map(|column| (from, *row_id, *column)));
            }
        }
        found
    }

    fn reindex(&mut self, table: usize, id: Uuid, before: Option<&Row>) {
        let now = self.tables[table].get(&id);
        for unique in self.uniques.iter_mut().filter(|unique| unique.table == table) {
            let (old, new) = (before.and_then(|row| unique.value(row)), now.and_then(|row| unique.value(row)));
            if old == new {
                continue;
            }
            if let Some(old) = old.filter(|old| unique.held.get(old) == Some(&id)) {
                unique.held.remove(&old);
            }
            if let Some(new) = new {
                unique.held.entry(new).or_insert(id);
            }
        }
    }

    fn remember(&mut self, table: usize, id: Uuid, before: Option<Row>) {
        if let Some(undo) = &mut self.undo {
            undo.push((table, id, before));
        }
    }
}

/// How many decimals a column shows: four for money, ten for decimals unless the column has more.
pub fn scale(column: &Column) -> u32 {
    match column.kind {
        Kind::Money { .. } | Kind::Base { .. } => 4,
        Kind::Decimal { precision, .. } => precision.max(10),
        Kind::Double { precision, .. } => precision,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_ordered_without_regard_to_case_and_trailing_blanks() {
        let text = |text: &str| Cell::Text(text.into());
        let cases = [
            ("Adatum", "ADATUM  ", Ordering::Equal),
            ("Ćirić", "ćirić", Ordering::Equal),
            ("a", "B", Ordering::Less),
            ("ab", "a", Ordering::Greater),
            ("Zoë", "zoo", Ordering::Greater),
        ];
        for (a, b, expected) in cases {
            assert_eq!(text(a).order(&text(b)), Some(expected), "{a} {b}");
        }
    }

    #[test]
    fn a_rollback_restores_rows_and_unique_values() {
        let table = schema::table("product");
        let number = TABLES[table].column("productnumber");
        let row = |text: &str| {
            let mut row = Row::default();
            row.set(number, Some(Cell::Text(text.into())));
            row
        };
        let mut store = Store::default();
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        store.put(table, a, row("KAB-10"));
        store.begin();
        store.put(table, a, row("KAB-11"));
        store.put(table, b, row("kab-10"));
        assert!(store.clash(table, Uuid::nil(), &row("KAB-11")).is_some());
        store.rollback();
        assert_eq!(store.get(table, b), None);
        assert_eq!(store.get(table, a), Some(&row("KAB-10")));
        assert!(store.clash(table, b, &row("kab-10 ")).is_some());
        assert!(store.clash(table, b, &row("KAB-11")).is_none());
    }
}
