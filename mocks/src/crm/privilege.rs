//! What the application user may do, and what people may: the privileges of their roles, which a setting withholds one by one.
//!
//! In: a table and what is to be done with it. Out: nothing, or the refusal of the service; and what it tells of them, by
//! the definition of a table and by `RetrieveUserPrivileges`. All that is held is held for the whole organization; what
//! comes by a team is told as `Basic`, as the service does.

use std::collections::{BTreeMap, BTreeSet};

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

/// A privilege that belongs to no table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Special {
    ActOnBehalfOfAnotherUser,
    BypassCustomBusinessLogic,
    BypassCustomPlugins,
}

impl Special {
    fn name(self) -> String {
        format!("prv{self:?}")
    }

    /// Two of them have the same id in every environment (bypass-custom-business-logic.md).
    fn id(self) -> String {
        match self {
            Special::ActOnBehalfOfAnotherUser => metadata_id(&self.name()),
            Special::BypassCustomBusinessLogic => "0ea552b0-a491-4470-9a1b-82068deccf66".to_owned(),
            Special::BypassCustomPlugins => "148a9eaf-d0c4-4196-9852-c3a38e35f6a1".to_owned(),
        }
    }
}

/// What the roles of a user give.
#[derive(Debug, Clone, Default)]
pub struct Roles {
    /// Privileges by the table's logical name that they do not give, or that come by a team; all others they do.
    pub withheld: BTreeMap<(String, Privilege), Holding>,
    /// Privileges that belong to no table; no others are given.
    pub specials: BTreeSet<Special>,
}

/// What privileges of the table are called; a user's have another name than the table.
fn name(table: &Table, privilege: Privilege) -> String {
    let base = if table.name == "systemuser" { "User" } else { table.schema_name };
    format!("prv{privilege:?}{base}")
}

fn holding(state: &State, user: Uuid, table: &Table, privilege: Privilege) -> Option<Holding> {
    let withheld = if user == state.caller { &state.privileges } else { &state.people.withheld };
    withheld.get(&(table.name.to_owned(), privilege)).copied()
}

fn specials(state: &State, user: Uuid) -> &BTreeSet<Special> {
    if user == state.caller { &state.specials } else { &state.people.specials }
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

/// Answers `RetrieveUserPrivileges`; all people have the same.
pub fn held(state: &State, user: Uuid) -> Response {
    let all = TABLES.iter().flat_map(|table| Privilege::ALL.map(|privilege| (table, privilege)));
    let held = all.filter_map(|(table, privilege)| {
        let depth = match holding(state, user, table, privilege) {
            Some(Holding::None) => return None,
            Some(Holding::Team) => "Basic",
            None => "Global",
        };
        let name = name(table, privilege);
        Some(json!({"Depth": depth, "PrivilegeId": metadata_id(&name),
            "BusinessUnitId": state.business_unit.to_string(), "PrivilegeName": name}))
    });
    let special = |special: &Special| {
        json!({"Depth": "Global", "PrivilegeId": special.id(), "BusinessUnitId": state.business_unit.to_string(),
            "PrivilegeName": special.name()})
    };
    let held = held.chain(specials(state, user).iter().map(special));
    let context =
        format!("{}/api/data/v9.2/$metadata#Microsoft.Dynamics.CRM.RetrieveUserPrivilegesResponse", state.root);
    let body = json!({"@odata.context": context, "RolePrivileges": held.collect::<Vec<_>>()});
    reply::json(200, body.to_string().into_bytes(), Vec::new())
}

/// Refuses the application user what its roles do not give, and what those of the user do not give that it acts for.
pub fn demand(state: &State, table: usize, privilege: Privilege) -> Result<(), Error> {
    let table = &TABLES[table];
    let users = [Some(state.caller), state.acting].into_iter().flatten();
    let lacks = |user: &Uuid| holding(state, *user, table, privilege) == Some(Holding::None);
    let Some(user) = users.into_iter().find(lacks) else { return Ok(()) };
    let name = name(table, privilege);
    let message = format!(
        "Principal user (Id={}, type=8, roleCount=1, privilegeCount=0, accessMode=4) is missing {name} privilege (Id={}) on \
         OTC={} for entity '{}' (LocalizedName='{}').",
        user,
        metadata_id(&name),
        table.code,
        table.name,
        table.schema_name
    );
    Err(Error::new(403, "0x80048306", message))
}

/// Refuses a user a privilege that belongs to no table.
pub fn demand_special(state: &State, user: Uuid, special: Special) -> Result<(), Error> {
    if specials(state, user).contains(&special) {
        return Ok(());
    }
    let (name, id) = (special.name(), special.id());
    Err(Error::new(
        403,
        "0x80040220",
        format!("Principal user (Id={user}, type=8) is missing {name} privilege (Id={id})."),
    ))
}
