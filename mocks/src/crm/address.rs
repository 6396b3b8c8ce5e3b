//! What an URL addresses: a set, a row by its id or by an alternate key, and what follows it.
//!
//! Strict as the service is: names are case-sensitive, a GUID has no quotes, and a key value with a character that an
//! URL path cannot carry never finds anything.

use serde_json::Value;
use uuid::Uuid;

use super::error::Error;
use super::schema::{self, Column, Kind, TABLES};
use super::state::State;
use super::store::{Cell, Row};
use super::value;
use crate::filter;

/// A row as an URL names it.
#[derive(Debug, Clone)]
pub enum Address {
    Id(Uuid),
    /// By an alternate key: the values, and the text in parentheses as it came.
    Key {
        values: Row,
        text: String,
        found: Option<Uuid>,
    },
}

impl Address {
    /// Returns the id of the row, as far as there is or can be one.
    pub fn id(&self) -> Option<Uuid> {
        match self {
            Address::Id(id) => Some(*id),
            Address::Key { found, .. } => *found,
        }
    }

    /// Returns the text between the parentheses of the row's URL.
    pub fn text(&self) -> String {
        match self {
            Address::Id(id) => id.to_string(),
            Address::Key { text, .. } => text.clone(),
        }
    }

    /// Returns the key's values, which a new row takes over.
    pub fn values(&self) -> Row {
        match self {
            Address::Id(_) => Row::default(),
            Address::Key { values, .. } => values.clone(),
        }
    }

    /// The error of a row that is not there.
    pub fn missing(&self, table: usize) -> Error {
        match self {
            Address::Id(id) => Error::missing_row(TABLES[table].name, *id),
            Address::Key { .. } => Error::new(
                404,
                "0x80060891",
                "A record with the specified key values does not exist in ".to_owned() + TABLES[table].name + " entity",
            ),
        }
    }
}

/// Reads a segment of a path: the table, and the row if the segment names one.
pub fn segment(state: &State, text: &str) -> Result<(usize, Option<Address>), Error> {
    let (set, key) = match text.split_once('(') {
        Some((set, rest)) => (set, Some(rest.strip_suffix(')').ok_or_else(syntax)?)),
        None => (text, None),
    };
    let table = schema::by_set(set).ok_or_else(|| Error::segment(set))?;
    Ok((table, key.map(|key| address(state, table, key)).transpose()?))
}

/// Follows a reference in a body, as `/accounts(…)`, `accounts(…)` or a whole URL, to the row's id.
pub fn row(state: &State, reference: &str) -> Result<(usize, Uuid), Error> {
    let path = reference.strip_prefix(&state.root).unwrap_or(reference);
    let path = relative(path).unwrap_or(path).trim_start_matches('/');
    let path = filter::decode(path, false);
    let (table, address) = segment(state, &path)?;
    let address = address.ok_or_else(syntax)?;
    let id = address.id().ok_or_else(|| address.missing(table))?;
    Ok((table, id))
}

/// Strips the version of the API off a path; nothing if the path is none of the API's.
pub fn relative(path: &str) -> Option<&str> {
    let path = path.strip_prefix("/api/data/v9.")?;
    path.strip_prefix(['0', '1', '2'])?.strip_prefix('/')
}

/// The refusal of an URL that cannot be read.
pub fn syntax() -> Error {
    Error::syntax("Bad Request - Error in query syntax.")
}

fn address(state: &State, table: usize, key: &str) -> Result<Address, Error> {
    if !key.contains('=') {
        return value::guid(key).map(Address::Id).ok_or_else(syntax);
    }
    let declared = &TABLES[table];
    let invalid = || {
        let kind = format!("Microsoft.Dynamics.CRM.{}", declared.name);
        Error::syntax(format!(
            "The key in the request URI is not valid for resource '{kind}'. Ensure that the names and number of \
                key properties match the \
             declared or alternate key properties for the resource '{kind}'."
        ))
    };
    let mut values = Row::default();
    let mut columns = Vec::new();
    for part in split(key) {
        let (name, text) = part.split_once('=').ok_or_else(syntax)?;
        let name = name.trim();
        // The named primary key is another way to write the id, but not of users and teams, whose key is `ownerid`.
        if name == declared.primary_key && !matches!(declared.name, "systemuser" | "team") {
            return value::guid(text.trim()).map(Address::Id).ok_or_else(syntax);
        }
        let column = declared.by_property(name).ok_or_else(invalid)?;
        let cell = literal(&declared.columns[column], text.trim()).ok_or_else(syntax)?;
        columns.push(column);
        values.set(column, Some(cell));
    }
    let unique = state.store.key(table, &columns).ok_or_else(invalid)?;
    let found = state.store.find(unique, &values);
    Ok(Address::Key { values, text: key.to_owned(), found })
}

/// Splits at commas outside of quotes.
fn split(key: &str) -> Vec<&str> {
    let mut quoted = false;
    key.split(|letter| {
        quoted ^= letter == '\'';
        letter == ',' && !quoted
    })
    .collect()
}

fn literal(column: &Column, text: &str) -> Option<Cell> {
    let value = match column.kind {
        Kind::Text { .. } | Kind::Memo { .. } => {
            let inner = text.strip_prefix('\'')?.strip_suffix('\'')?.replace("''", "'");
            if inner.contains(['/', '<', '>', '*', '%', '&', ':', '\\', '?', '+']) {
                return None;
            }
            Value::String(inner)
        }
        _ if column.is_lookup() => {
            let target = schema::table(column.targets().first()?.table);
            return value::guid(text).map(|id| Cell::Link(target, id));
        }
        Kind::DateTime | Kind::Date | Kind::Guid | Kind::Key => Value::String(text.to_owned()),
        _ => serde_json::from_str(text).ok()?,
    };
    value::loose(column, &value).ok()?.0
}
