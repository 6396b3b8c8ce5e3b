//! The query options of a read, resolved against a table.
//!
//! In: the options as they came, decoded. Out: a [`Query`] whose columns exist, or the service's refusal. Option
//! names are case-sensitive; what the service does not know it refuses.

use super::address;
use super::condition::{self, Condition};
use super::error::Error;
use super::schema::{self, Kind, TABLES, Table};

/// How many expansions one query may have.
const EXPAND_MAX: usize = 15;

/// What a query asks of a table.
#[derive(Debug, Default)]
pub struct Query {
    /// The columns to show: those selected with those that come unasked, or all.
    pub columns: Vec<usize>,
    /// The selection as the context of the answer repeats it.
    pub selected: Vec<String>,
    pub expand: Vec<Expand>,
    pub condition: Option<Condition>,
    /// The columns to order by, and whether descending.
    pub order: Vec<(usize, bool)>,
    pub top: Option<usize>,
    pub count: bool,
}

/// A row that a lookup leads to, shown inside of the row.
#[derive(Debug)]
pub struct Expand {
    pub navigation: &'static str,
    pub column: usize,
    /// The table that the navigation property leads to.
    pub table: usize,
    pub columns: Vec<usize>,
    selected: String,
}

/// Reads the query options of a read, or of a write that gives the row back.
pub fn read(table: usize, options: &[(String, String)]) -> Result<Query, Error> {
    let declared = &TABLES[table];
    let mut query = Query { columns: all(declared), ..Query::default() };
    for (name, text) in options {
        match name.as_str() {
            "$select" => {
                let selected = columns(declared, text)?;
                query.selected = selected.iter().map(|column| declared.columns[*column].property.clone()).collect();
                query.columns = with_companions(declared, selected);
            }
            "$expand" => query.expand = expansions(declared, text)?,
            "$filter" => query.condition = Some(condition::resolve(table, text, options)?),
            "$orderby" => query.order = order(declared, text)?,
            "$top" => {
                let invalid = || Error::syntax(format!("Invalid value '{text}' for $top query option found."));
                query.top = Some(text.parse().map_err(|_| invalid())?);
            }
            "$count" => {
                let invalid = || Error::syntax(format!("Invalid value '{text}' for $count query option found."));
                query.count = text.parse().map_err(|_| invalid())?;
            }
            // Whether change tracking is to be had is decided before.
            "$skiptoken" | "$deltatoken" => {}
            "$skip" => return Err(Error::new(400, "0x80060888", "Skip Clause is not supported in CRM")),
            alias if alias.starts_with('@') => {}
            other => {
                return Err(Error::new(400, "0x80060888", format!("The query parameter {other} is not supported")));
            }
        }
    }
    for expand in &query.expand {
        query.selected.push(format!("{}({})", expand.navigation, expand.selected));
    }
    Ok(query)
}

fn all(table: &Table) -> Vec<usize> {
    (0..table.columns.len()).collect()
}

fn columns(table: &Table, text: &str) -> Result<Vec<usize>, Error> {
    text.split(',')
        .map(|name| {
            let name = name.trim();
            table.by_property(name).ok_or_else(|| Error::property(name, table.name))
        })
        .collect()
}

fn order(table: &Table, text: &str) -> Result<Vec<(usize, bool)>, Error> {
    text.split(',')
        .map(|part| {
            let mut words = part.split_whitespace();
            let name = words.next().unwrap_or_default();
            let descending = match words.next() {
                None | Some("asc") => false,
                Some("desc") => true,
                Some(other) => {
                    return Err(Error::syntax(format!("Syntax error in '{part}': '{other}' was not expected.")));
                }
            };
            Ok((table.by_property(name).ok_or_else(|| Error::property(name, table.name))?, descending))
        })
        .collect()
}

/// Reads `nav($select=a,b),nav2`; commas inside of parentheses do not separate expansions.
fn expansions(table: &Table, text: &str) -> Result<Vec<Expand>, Error> {
    let mut depth = 0;
    let parts: Vec<&str> = text
        .split(|letter| {
            depth += i32::from(letter == '(') - i32::from(letter == ')');
            letter == ',' && depth == 0
        })
        .collect();
    if parts.len() > EXPAND_MAX {
        return Err(Error::new(400, "0x80060888", format!("A query can have at most {EXPAND_MAX} expansions.")));
    }
    parts
        .into_iter()
        .map(|part| {
            let (name, inner) = match part.split_once('(') {
                Some((name, rest)) => (name.trim(), rest.strip_suffix(')').ok_or_else(address::syntax)?),
                None => (part.trim(), ""),
            };
            let (column, target) = table.by_navigation(name).ok_or_else(|| Error::property(name, table.name))?;
            let table = schema::table(target.table);
            let mut expand = Expand {
                navigation: target.navigation,
                column,
                table,
                columns: all(&TABLES[table]),
                selected: String::new(),
            };
            for option in inner.split(';').filter(|option| !option.is_empty()) {
                match option.split_once('=') {
                    Some(("$select", names)) => {
                        expand.columns = with_companions(&TABLES[table], columns(&TABLES[table], names)?);
                        expand.selected = names.to_owned();
                    }
                    _ => {
                        return Err(Error::new(
                            400,
                            "0x80060888",
                            format!("The option '{option}' is not supported inside of $expand."),
                        ));
                    }
                }
            }
            Ok(expand)
        })
        .collect()
}

/// Adds the columns that come unasked: the primary key, and the currency with an amount.
fn with_companions(table: &Table, mut columns: Vec<usize>) -> Vec<usize> {
    let is_money = |column: &usize| matches!(table.columns[*column].kind, Kind::Money { .. } | Kind::Base { .. });
    let currency = table.by_name("transactioncurrencyid").filter(|_| columns.iter().any(is_money));
    for column in [Some(table.column(table.primary_key)), currency].into_iter().flatten() {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns
}
