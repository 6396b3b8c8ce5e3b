//! What the login may do with a table, by the privileges of its user: the table's definition names those that there are,
//! `RetrieveUserPrivileges` those that the user has by roles of its own and of its teams. Nothing is written for it.
//!
//! A privilege that comes by a team is always told as one for own records, however far it reaches (Dataverse Web API
//! reference, RetrieveUserPrivileges, remarks); so only what is told to
//! reach a business unit is known to be too little for a run, which has to see every record.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use serde::Deserialize;

use super::{API, Dataverse, WhoAmI, read_headers, refused};
use crate::adapters::client::ACT_AS;
use crate::adapters::odata::amiss::Amiss;
use crate::config::{Bypass, Side};
use crate::endpoint::{Demand, EndpointError, Grant, Reach, Right, TableInfo};

/// The privilege to bypass custom logic; its id is the same everywhere.
const BYPASS_ID: &str = "0ea552b0-a491-4470-9a1b-82068deccf66";

/// The privilege to write for somebody else.
pub(super) const STAND_IN: &str = "prvActOnBehalfOfAnotherUser";

/// A table as far as it tells its privileges.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    privileges: Vec<Privilege>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Privilege {
    name: String,
    privilege_id: String,
    privilege_type: String,
}

#[derive(Deserialize)]
struct User {
    #[serde(rename = "RolePrivileges")]
    privileges: Vec<Held>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Held {
    privilege_id: String,
    depth: String,
}

/// How far the privileges of a user reach, by their ids.
type Reaches = HashMap<String, String>;

/// Whose privileges a run takes: a write takes those of both (crm-api.md §14).
pub struct Holders {
    login: Reaches,
    /// The user in whose name is written, where that is another one.
    named: Option<Reaches>,
}

impl Dataverse {
    /// Returns the rights that there are for a table, and how far each reaches.
    pub(super) fn granted(&self, info: &TableInfo) -> Result<Vec<Grant>, EndpointError> {
        let name = self.table(&info.table)?.name.clone();
        let held = self.held()?;
        let question = format!("EntityDefinitions(LogicalName='{name}')?$select=LogicalName,Privileges");
        let definition: Definition = self.ask_one(&question, &[])?;
        Ok(grants(definition, &held))
    }

    /// Returns what the connection asks for besides and the login is not allowed.
    pub(super) fn demands(&self) -> Result<Vec<Demand>, EndpointError> {
        let mut demands = Vec::new();
        if let Some(Err(EndpointError::Refused { message, .. })) = self.named().map(|user| user.map(drop)) {
            let what = format!("write for the user of `act_as`: {message}");
            demands.push(Demand { keys: &["act_as"], what, name: STAND_IN });
            return Ok(demands);
        }
        let Bypass { sync, asynchronous, .. } = self.features.bypass;
        if sync || asynchronous {
            let held = self.held()?;
            let has = |reaches: &Reaches| reaches.contains_key(BYPASS_ID);
            if !has(&held.login) || held.named.as_ref().is_some_and(|named| !has(named)) {
                let what = "bypass the organization's own logic".to_owned();
                demands.push(Demand {
                    keys: &["features", "custom_logic"],
                    what,
                    name: "prvBypassCustomBusinessLogic",
                });
            }
        }
        Ok(demands)
    }

    /// Proves that the login may write for the user that the connection names; gives the CRM up where it may not.
    pub(super) fn may_stand_in(&self) -> Result<(), EndpointError> {
        match self.named() {
            Some(Err(EndpointError::Refused { message, .. })) => Err(self.cannot_stand_in(&message)),
            Some(Err(error)) => Err(error),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// Gives the CRM up, since it takes no write in the name that the connection gives.
    pub(super) fn cannot_stand_in(&self, message: &str) -> EndpointError {
        let message = format!(
            "it may not write for the user of `act_as`: {message}; check `act_as`, and that a role of the login has \
             `{STAND_IN}`"
        );
        self.client.give_up(EndpointError::Login { side: Side::Crm, keys: &["act_as"], message })
    }

    /// Returns the user in whose name is written.
    pub(super) fn named(&self) -> Option<Result<String, EndpointError>> {
        let name = self.act_as?;
        let who = self.ask_one::<WhoAmI>("WhoAmI", &[(ACT_AS, name.to_string())]);
        Some(who.map(|who| who.user))
    }

    /// Returns how far the privileges reach; asked for once.
    fn held(&self) -> Result<Arc<Holders>, EndpointError> {
        let mut known = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = &*known {
            return Ok(Arc::clone(held));
        }
        let WhoAmI { user, .. } = self.ask_one("WhoAmI", &[])?;
        // One in whose name nobody may write is a finding of its own.
        let named = self.named().and_then(Result::ok).map(|user| self.reaches(&user)).transpose()?;
        let held = Arc::new(Holders { login: self.reaches(&user)?, named });
        *known = Some(Arc::clone(&held));
        Ok(held)
    }

    fn reaches(&self, user: &str) -> Result<Reaches, EndpointError> {
        let function = format!("systemusers({user})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges()");
        let User { privileges } = self.ask_one(&function, &[])?;
        Ok(privileges.into_iter().map(|held| (held.privilege_id.to_lowercase(), held.depth)).collect())
    }

    fn ask_one<T: for<'de> Deserialize<'de>>(
        &self,
        question: &str,
        more: &[(&'static str, String)],
    ) -> Result<T, EndpointError> {
        let url = format!("{}{API}/{question}", self.client.base());
        let mut headers = read_headers();
        headers.extend(more.iter().cloned());
        let (answer, found) = self.client.get(&url, &headers, |answer| {
            serde_json::from_slice(&answer.body).map_err(|error| Amiss::of_json("the answer is not whole", &error))
        })?;
        found.ok_or_else(|| refused(&answer.fault()))
    }
}

fn grants(definition: Definition, held: &Holders) -> Vec<Grant> {
    let grant = |privilege: Privilege| {
        let id = privilege.privilege_id.to_lowercase();
        let reach = |reaches: &Reaches| match reaches.get(&id).map(String::as_str) {
            None => Reach::Nothing,
            Some("Local" | "Deep") => Reach::Part,
            Some(_) => Reach::Everything,
        };
        let right = right(&privilege.privilege_type)?;
        // Reading is the login's own, in nobody else's name.
        let named = held.named.as_ref().filter(|_| right != Right::Read).map(reach);
        let reach = match (reach(&held.login), named.unwrap_or(Reach::Everything)) {
            (Reach::Nothing, _) | (_, Reach::Nothing) => Reach::Nothing,
            (Reach::Part, _) | (_, Reach::Part) => Reach::Part,
            _ => Reach::Everything,
        };
        Some(Grant { right, name: privilege.name, reach })
    };
    definition.privileges.into_iter().filter_map(grant).collect()
}

/// Returns our word for a type of privilege; `None` for one that no run needs.
fn right(privilege_type: &str) -> Option<Right> {
    Some(match privilege_type {
        "Read" => Right::Read,
        "Create" => Right::Create,
        "Write" => Right::Update,
        "Delete" => Right::Delete,
        "Assign" => Right::Assign,
        "Append" => Right::Append,
        "AppendTo" => Right::AppendTo,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_what_the_user_has_of_what_there_is() {
        let definition = r#"{"LogicalName":"account","Privileges":[
            {"Name":"prvReadAccount","PrivilegeId":"A1","PrivilegeType":"Read"},
            {"Name":"prvWriteAccount","PrivilegeId":"A2","PrivilegeType":"Write"},
            {"Name":"prvShareAccount","PrivilegeId":"A3","PrivilegeType":"Share"},
            {"Name":"prvDeleteAccount","PrivilegeId":"A4","PrivilegeType":"Delete"},
            {"Name":"prvAssignAccount","PrivilegeId":"A5","PrivilegeType":"Assign"}]}"#;
        let held = [("a1", "Deep"), ("a2", "Basic"), ("a3", "Global"), ("a5", "Global"), ("a6", "Global")];
        let login: Reaches = held.map(|(id, depth)| (id.to_owned(), depth.to_owned())).into();
        let holders = Holders { login: login.clone(), named: None };
        let found = grants(serde_json::from_str(definition).unwrap(), &holders);
        let found: Vec<(Right, Reach)> = found.iter().map(|grant| (grant.right, grant.reach)).collect();
        assert_eq!(
            found,
            [
                (Right::Read, Reach::Part),
                // By a team, perhaps, and then for everything.
                (Right::Update, Reach::Everything),
                (Right::Delete, Reach::Nothing),
                (Right::Assign, Reach::Everything),
            ]
        );
        // Whoever writes for somebody else may do what both may, and reads by itself.
        let named = [("a4", "Global"), ("a5", "Local")].map(|(id, depth)| (id.to_owned(), depth.to_owned())).into();
        let found = grants(serde_json::from_str(definition).unwrap(), &Holders { login, named: Some(named) });
        let found: Vec<Reach> = found.iter().map(|grant| grant.reach).collect();
        assert_eq!(found, [Reach::Part, Reach::Nothing, Reach::Nothing, Reach::Part]);
    }
}
