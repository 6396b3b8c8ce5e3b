//! What the application user may do: the privileges of its roles, which a setting withholds one by one.
//!
//! In: a table and what is to be done with it. Out: nothing, or the refusal of the service; and what it tells of them, by
//! the definition of a table and by `RetrieveUserPrivileges`. All that is held is held for the whole organization; what
//! comes by a team is told as `Basic`, as the service does.

use serde_json::{Value, json};
use uuid::Uuid;

use super::definition::metadata_id;
use super::error::Error;
use super::reply;
use super::schema::{TABLES, Table};
use super::state::State;
use crate::service::Response;

/// Something that may be done with the rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privilege {
    Create,
    Read,
    Write,
    Delete,
    /// Giving a row to another owner.
    Assign,
    /// Letting a row refer to another one.
    Append,
    /// Letting another row refer to this one.
    AppendTo,
}

impl Privilege {
    /// All of them.
    pub const ALL: [Privilege; 7] = [
        Privilege::Create,
        Privilege::Read,
        Privilege::Write,
        Privilege::Delete,
        Privilege::Assign,
        Privilege::Append,
        Privilege::AppendTo,
    ];
}

/// How a user comes by a privilege, where it is not by a role of its own that holds for the whole organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holding {
    /// Not at all.
    None,
    /// By the role of a team.
    Team,
}

/// What privileges of the table are called; a user's have another name than the table.
fn name(table: &Table, privilege: Privilege) -> String {
    let base = if table.name == "systemuser" { "User" } else { table.schema_name };
    format!("prv{privilege:?}{base}")
}

fn holding(state: &State, table: &Table, privilege: Privilege) -> Option<Holding> {
    state.privileges.get(&(table.name.to_owned(), privilege)).copied()
}

/// Returns the privileges that there are for a table, as its definition tells them.
pub fn of_table(table: &Table) -> Vec<Value> {
    let owned = table.is_owned();
    let there = Privilege::ALL.into_iter().filter(|privilege| owned || *privilege != Privilege::Assign);
    let one = |privilege: Privilege| {
        let name = name(table, privilege);
        json!({"CanBeBasic": owned, "CanBeLocal": owned, "CanBeDeep": owned, "CanBeGlobal": true,
            "CanBeEntityReference": false, "CanBeParentEntityReference": false, "Name": name,
            "PrivilegeId": metadata_id(&name), "PrivilegeType": format!("{privilege:?}")})
    };
    there.map(one).collect()
}

/// Answers `RetrieveUserPrivileges` for the application user; of others nothing is known.
pub fn held(state: &State, user: Uuid) -> Response {
    let all = TABLES.iter().flat_map(|table| Privilege::ALL.map(|privilege| (table, privilege)));
    let held = all.filter(|_| user == state.caller).filter_map(|(table, privilege)| {
        let depth = match holding(state, table, privilege) {
            Some(Holding::None) => return None,
            Some(Holding::Team) => "Basic",
            None => "Global",
        };
        let name = name(table, privilege);
        Some(json!({"Depth": depth, "PrivilegeId": metadata_id(&name),
            "BusinessUnitId": state.business_unit.to_string(), "PrivilegeName": name}))
    });
    let context =
        format!("{}/api/data/v9.2/$metadata#Microsoft.Dynamics.CRM.RetrieveUserPrivilegesResponse", state.root);
    let body = json!({"@odata.context": context, "RolePrivileges": held.collect::<Vec<_>>()});
    reply::json(200, body.to_string().into_bytes(), Vec::new())
}

/// Refuses the application user what its roles do not give.
pub fn demand(state: &State, table: usize, privilege: Privilege) -> Result<(), Error> {
    let table = &TABLES[table];
    if holding(state, table, privilege) != Some(Holding::None) {
        return Ok(());
    }
    let name = name(table, privilege);
    let message = format!(
        "Principal user (Id={}, type=8, roleCount=1, privilegeCount=0, accessMode=4) is missing {name} privilege (Id={}) on \
         OTC={} for entity '{}' (LocalizedName='{}').",
        state.caller,
        metadata_id(&name),
        table.code,
        table.name,
        table.schema_name
    );
    Err(Error::new(403, "0x80048306", message))
}
