//! The file held against the metadata of both sides: table maps and what the sides say of their tables in, everything
//! that does not fit out, all at once, each at the key that names it.
//!
//! A column may be missing or not be writable, a constant may be no value of its column, a rule may compare what is never
//! equal, SQL may compare a text with a number, a column may take nothing of what its partner holds. All of it is told
//! before anything is read. What only may not fit is a doubt, and stops nothing. Which line a key stands in is not known
//! here.

mod choices;
mod columns;
mod fit;
mod kinds;
mod values;

use crate::config::complaint::Path;
use crate::config::{PerSide, Side, TableMap};
use crate::endpoint::{ColumnInfo, TableInfo};
use crate::extract::SideScope;

/// Something in the file that does not fit the metadata of a side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// From the file's root; keys of a table map may stand in `defaults` instead.
    pub path: Path,
    /// Where at the end of the path it is.
    pub at: At,
    pub message: String,
    pub hint: String,
    /// A part of the message that is the value at the path; it may have come out of the environment.
    pub value: Option<String>,
}

/// Which of the two ends of `key: value` is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Key,
    Value,
}

/// A table map, by its number, and what its sides say of their tables.
#[derive(Debug, Clone)]
pub struct Told {
    pub table: usize,
    /// `None` where a side has no such table, or could not be asked: of its columns nothing is known then.
    pub sides: PerSide<Option<SideScope>>,
}

/// A table map beside what its sides say of their tables, and where its complaints go.
struct Desk<'a> {
    map: &'a TableMap,
    told: &'a Told,
    path: Path,
    found: &'a mut Vec<Misfit>,
}

impl Desk<'_> {
    fn complain(&mut self, path: Path, at: At, message: String, hint: impl Into<String>) {
        let misfit = Misfit { path, at, message, hint: hint.into(), value: None };
        // A rule that two keys spell out, or a column that two halves of a key read, is told once.
        if !self.found.contains(&misfit) {
            self.found.push(misfit);
        }
    }

    fn scope(&self, side: Side) -> Option<&SideScope> {
        self.told.sides.of(side).as_ref()
    }

    fn info(&self, side: Side) -> Option<&TableInfo> {
        self.scope(side).map(|scope| &scope.info)
    }

    fn column(&self, side: Side, name: &str) -> Option<&ColumnInfo> {
        self.info(side)?.column(name)
    }

    fn field(&self, number: usize) -> Path {
        self.path.key("fields").index(number)
    }
}

/// Holds table maps against what was `told` of their tables; empty where everything fits, as far as that is known.
///
/// `others` are the tables of table maps that are referred to and not among them.
pub fn misfits(tables: &[TableMap], told: &[Told], others: &[Told]) -> Vec<Misfit> {
    let mut found = Vec::new();
    for one in told {
        let map = &tables[one.table];
        let path = Path::root().key("tables").key(&map.name);
        let mut desk = Desk { map, told: one, path, found: &mut found };
        columns::check(&mut desk);
        columns::check_fields(&mut desk);
        columns::check_templates(&mut desk);
        columns::check_references(&mut desk, tables, |table| {
            told.iter().chain(others).find(|told| told.table == table).map(|told| &told.sides)
        });
        columns::check_expressions(&mut desk);
        values::check(&mut desk);
        values::check_conditions(&mut desk);
        kinds::check(&mut desk);
        choices::check(&mut desk);
        fit::check(&mut desk);
    }
    found
}

/// Returns what may turn out not to fit, which stops no run: it is for whoever wants to know before the first one.
pub fn doubts(tables: &[TableMap], told: &[Told]) -> Vec<Misfit> {
    let mut found = Vec::new();
    for told in told {
        let map = &tables[told.table];
        let path = Path::root().key("tables").key(&map.name);
        let mut desk = Desk { map, told, path, found: &mut found };
        fit::doubt(&mut desk);
        kinds::doubt(&mut desk);
    }
    found
}

/// Returns the misfit of a table that a side does not have.
pub fn no_table(map: &TableMap, side: Side) -> Misfit {
    let table = &map.sides.of(side).table;
    let hint = match side {
        Side::Erp => "take an entity set of API v2.0 (`customers`), or `publisher/group/version/set` of an API page",
        Side::Crm => "take the name of the entity set (`accounts`), not that of the table (`account`)",
    };
    Misfit {
        path: Path::root().key("tables").key(&map.name).key(side.key()).key("table"),
        at: At::Value,
        message: format!("the {} has no table `{table}`", side.name()),
        hint: hint.to_owned(),
        value: Some(table.clone()),
    }
}

/// Returns the misfit of a table that does not hold all records that are coupled, which were of `before`: how many it holds, and
/// of how many.
pub fn other_table(map: &TableMap, side: Side, before: &str, (there, coupled): (usize, usize)) -> Misfit {
    let (name, table) = (&map.name, &map.sides.of(side).table);
    let records = if coupled == 1 { "coupled record".to_owned() } else { format!("{coupled} coupled records") };
    let told = match there {
        0 => format!("`{table}` holds none of the {records} of `{name}`, which are of `{before}`"),
        _ => {
            format!(
                "`{table}` holds {there} of the {records} of `{name}`, which are of `{before}`; the others are not deleted"
            )
        }
    };
    let first = if there == 0 { "" } else { ", and run once, which tells what was deleted there" };
    Misfit {
        path: Path::root().key("tables").key(name).key(side.key()).key("table"),
        at: At::Value,
        message: told,
        hint: format!(
            "put `{before}` back{first}; or give the table map another name, so that its records are coupled anew by the match \
             rules"
        ),
        value: Some(table.clone()),
    }
}

/// Says what a column is.
fn described(info: &ColumnInfo) -> String {
    match info.targets.as_slice() {
        [] => info.column.kind.phrase().to_owned(),
        targets => format!("a reference to {}", listed(targets.iter().map(String::as_str))),
    }
}

/// Lists names as a sentence does, the first few of many.
fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const NAMES_MAX: usize = 8;
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.len().checked_sub(NAMES_MAX) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..NAMES_MAX].join(", ")),
    }
}

/// The ERP's and the CRM's column of a pair.
type Pair<'a> = PerSide<&'a ColumnInfo>;
