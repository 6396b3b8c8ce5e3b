//! Creating, updating and deleting rows: from the JSON body of a request to the rows in the store.
//!
//! A body is checked property by property in the service's words, its references are followed, the business rules
//! have their say, and only then anything changes. Deleting follows the lookups that lead to the row: some are
//! cleared, some take their row along, some forbid it.

use std::collections::HashSet;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::address;
use super::error::Error;
use super::privilege::{self, Privilege};
use super::schema::{self, OnDelete, TABLES, Table, Target};
use super::state::State;
use super::store::{Cell, Row};
use super::{rules, value};

/// Creates a row from a body; `key` is what the URL already says about it.
pub fn create(
    state: &mut State,
    table: usize,
    body: &Map<String, Value>,
    id: Option<Uuid>,
    key: &Row,
) -> Result<Uuid, Error> {
    privilege::demand(state, table, Privilege::Create)?;
    let caller = state.writer();
    let mut row = key.clone();
    let own = apply(state, table, body, &mut row, true, caller)?;
    if let (Some(own), Some(id)) = (own, id)
        && own != id
    {
        return Err(Error::argument("The primary key in the body differs from the one in the URL."));
    }
    let id = id.or(own).unwrap_or_else(Uuid::new_v4);
    if state.store.get(table, id).is_some() {
        return Err(Error::new(412, "0x80040237", "Cannot insert duplicate key."));
    }
    insert(state, table, id, row, caller)?;
    Ok(id)
}

/// Updates a row with a body; `key` are the columns that the URL addressed it by, whose values in the body are dropped.
pub fn update(state: &mut State, table: usize, id: Uuid, body: &Map<String, Value>, key: &Row) -> Result<(), Error> {
    privilege::demand(state, table, Privilege::Write)?;
    let caller = state.writer();
    let mut row = state.store.get(table, id).cloned().ok_or_else(|| Error::missing_row(TABLES[table].name, id))?;
    let own = apply(state, table, body, &mut row, false, caller)?;
    if own.is_some_and(|own| own != id) {
        return Err(Error::argument("The primary key in the body differs from the one in the URL."));
    }
    for (column, cell) in key.cells() {
        row.set(column, Some(cell.clone()));
    }
    if body.contains_key("statecode") && !body.contains_key("statuscode") {
        rules::follow_state(state, table, id, &mut row);
    }
    replace(state, table, id, row, caller)
}

/// Inserts a new row after the defaults and the business rules.
pub fn insert(state: &mut State, table: usize, id: Uuid, mut row: Row, user: Uuid) -> Result<(), Error> {
    let declared = &TABLES[table];
    rules::defaults(state, table, &mut row, user);
    rules::check(state, table, id, &mut row, None)?;
    rules::compute(state, table, &mut row);
    state.stamp(table, &mut row, user);
    let now = row.get(declared.column("modifiedon")).cloned();
    // A migrated row says when it was really made; the two dates then change places.
    let overridden = declared.column("overriddencreatedon");
    let created = row.get(overridden).cloned();
    if created.is_some() {
        row.set(overridden, now.clone());
    }
    row.set(declared.column("createdon"), created.or(now));
    row.set(declared.column("createdby"), Some(Cell::Link(schema::table("systemuser"), user)));
    row.set(declared.column("createdonbehalfby"), state.behalf(user));
    state.store.put(table, id, row);
    rules::after_create(state, table, id, user)
}

/// Replaces a row by its changed self after the business rules.
pub fn replace(state: &mut State, table: usize, id: Uuid, mut row: Row, user: Uuid) -> Result<(), Error> {
    let declared = &TABLES[table];
    let before = state.store.get(table, id).cloned().ok_or_else(|| Error::missing_row(declared.name, id))?;
    rules::check(state, table, id, &mut row, Some(&before))?;
    rules::compute(state, table, &mut row);
    state.stamp(table, &mut row, user);
    state.store.put(table, id, row);
    rules::after_update(state, table, id, &before);
    Ok(())
}

/// Deletes a row with what goes along, clears what pointed at it, or refuses.
pub fn remove(state: &mut State, table: usize, id: Uuid, user: Uuid) -> Result<(), Error> {
    if state.store.get(table, id).is_none() {
        return Err(Error::missing_row(TABLES[table].name, id));
    }
    let mut doomed = HashSet::from([(table, id)]);
    let mut queue = vec![(table, id)];
    let mut pointing = Vec::new();
    while let Some((table, id)) = queue.pop() {
        rules::check_delete(state, table, id, doomed.len() > 1)?;
        for (from, row, column) in state.store.pointing_at(table, id) {
            let on_delete = TABLES[from].columns[column].on_delete();
            if on_delete == OnDelete::Cascade && doomed.insert((from, row)) {
                queue.push((from, row));
            }
            pointing.push((from, row, column, on_delete));
        }
    }
    pointing.retain(|(from, row, ..)| !doomed.contains(&(*from, *row)));
    if pointing.iter().any(|(.., on_delete)| *on_delete == OnDelete::Restrict) {
        let message = "The object you tried to delete is associated with another object and cannot be deleted.";
        return Err(Error::new(405, "0x80040227", message));
    }
    for (from, row_id, column, _) in pointing {
        let mut row = state.store.get(from, row_id).cloned().unwrap_or_default();
        row.set(column, None);
        state.stamp(from, &mut row, user);
        state.store.put(from, row_id, row);
    }
    for (table, id) in doomed {
        state.store.remove(table, id);
        state.version += 1;
        state.store.bury(table, id, state.version);
    }
    Ok(())
}

/// Applies a body to a row and gives back the primary key that the body named.
fn apply(
    state: &mut State,
    table: usize,
    body: &Map<String, Value>,
    row: &mut Row,
    creating: bool,
    user: Uuid,
) -> Result<Option<Uuid>, Error> {
    let declared = &TABLES[table];
    let mut own = None;
    for (name, given) in body {
        if let Some((navigation, annotation)) = name.split_once('@') {
            if annotation == "odata.bind" {
                let (column, target) =
                    declared.by_navigation(navigation).ok_or_else(|| undeclared(declared, navigation))?;
                check_valid(declared, column, creating)?;
                let link = bind(state, declared, column, target, navigation, given)?;
                relate(state, table, column, &link, row, user)?;
                row.set(column, Some(link));
            }
            // Other annotations are what a client got from a read; the service passes over them.
            continue;
        }
        if let Some((column, target)) = declared.by_navigation(name) {
            check_valid(declared, column, creating)?;
            let link = match given {
                Value::Null => None,
                Value::Object(nested) if creating => Some(deep_insert(state, target, nested, user)?),
                _ => {
                    return Err(Error::payload(
                        declared.set,
                        format!("Microsoft.OData.ODataException: A value of '{name}' was not expected."),
                    ));
                }
            };
            row.set(column, link);
            continue;
        }
        let Some(column) = declared.by_property(name) else {
            return Err(Error::invalid_property(declared.set, declared.name, name));
        };
        if declared.columns[column].is_lookup() {
            return Err(value::reference_error());
        }
        let cell = value::strict(declared, &declared.columns[column], given)?;
        if declared.columns[column].name == declared.primary_key {
            own = cell.and_then(|cell| cell.id());
            continue;
        }
        // A new row starts in the first state of its table, whatever it says; its status has to belong to that.
        if creating && matches!(declared.columns[column].kind, schema::Kind::State(_)) {
            continue;
        }
        check_valid(declared, column, creating)?;
        row.set(column, cell);
    }
    Ok(own)
}

/// Demands what it takes that a row refers to another one; an owner is given the row.
fn relate(state: &State, table: usize, column: usize, link: &Cell, row: &Row, user: Uuid) -> Result<(), Error> {
    let Cell::Link(target, id) = link else { return Ok(()) };
    if matches!(TABLES[table].columns[column].kind, schema::Kind::Owner(_)) {
        let owner = row.get(column).and_then(Cell::id).unwrap_or(user);
        return if owner == *id { Ok(()) } else { privilege::demand(state, table, Privilege::Assign) };
    }
    privilege::demand(state, table, Privilege::Append)?;
    privilege::demand(state, *target, Privilege::AppendTo)
}

fn check_valid(table: &Table, column: usize, creating: bool) -> Result<(), Error> {
    let column = &table.columns[column];
    let (valid, word) = if creating { (column.create, "create") } else { (column.update, "update") };
    if valid {
        return Ok(());
    }
    Err(Error::argument(format!(
        "The attribute '{}' of the '{}' entity is not valid for {word}.",
        column.name, table.name
    )))
}

/// Follows an `@odata.bind` to the row it names.
fn bind(
    state: &State,
    table: &Table,
    column: usize,
    first: Target,
    navigation: &str,
    given: &Value,
) -> Result<Cell, Error> {
    let Some(text) = given.as_str() else {
        let problem = if given.is_null() { "has a null value" } else { "is no string" };
        let inner = format!(
            "Microsoft.OData.ODataException: The 'odata.bind' instance or property annotation {problem}. In \
                OData, the 'odata.bind' instance \
             or property annotation must have a non-null string value."
        );
        return Err(Error::payload(table.set, inner));
    };
    let (target, id) = address::row(state, text)?;
    let fits = |target_of: &&Target| target_of.navigation == navigation && schema::table(target_of.table) == target;
    if !table.columns[column].targets().iter().any(|target| fits(&target)) {
        let inner = format!(
            "Microsoft.OData.ODataException: The URL '{text}' in '{navigation}@odata.bind' does not lead to \
                'Microsoft.Dynamics.CRM.{}'.",
            first.table
        );
        return Err(Error::payload(table.set, inner));
    }
    if state.store.get(target, id).is_none() {
        return Err(Error::missing_row(TABLES[target].name, id));
    }
    Ok(Cell::Link(target, id))
}

/// Creates the row that a body nests, first, so that the outer row can point at it.
fn deep_insert(state: &mut State, target: Target, nested: &Map<String, Value>, user: Uuid) -> Result<Cell, Error> {
    let target = schema::table(target.table);
    privilege::demand(state, target, Privilege::Create)?;
    let mut row = Row::default();
    let own = apply(state, target, nested, &mut row, true, user)?;
    let id = own.unwrap_or_else(Uuid::new_v4);
    if state.store.get(target, id).is_some() {
        return Err(Error::new(412, "0x80040237", "Cannot insert duplicate key."));
    }
    insert(state, target, id, row, user)?;
    Ok(Cell::Link(target, id))
}

fn undeclared(table: &Table, property: &str) -> Error {
    let inner = format!(
        "Microsoft.OData.ODataException: An undeclared property '{property}' which only has property \
            annotations in the payload but no \
         property value was found in the payload. In OData, only declared navigation properties and declared \
         named streams can be \
         represented as properties without values."
    );
    Error::payload(table.set, inner)
}
