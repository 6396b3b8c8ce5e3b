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
use crate::endpoint::{EndpointError, Grant, Reach, Right, TableInfo};

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

impl Dataverse {
    /// Returns the rights that there are for a table, and how far each reaches.
    pub(super) fn granted(&self, info: &TableInfo) -> Result<Vec<Grant>, EndpointError> {
        let name = self.table(&info.table)?.name.clone();
        let held = self.held()?;
        let question = format!("EntityDefinitions(LogicalName='{name}')?$select=LogicalName,Privileges");
        let definition: Definition = self.ask_one(&question)?;
        Ok(grants(definition, &held))
    }

    /// Returns how far the user's privileges reach; asked for once.
    fn held(&self) -> Result<Arc<HashMap<String, String>>, EndpointError> {
        let mut known = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = &*known {
            return Ok(Arc::clone(held));
        }
        let WhoAmI { user, .. } = self.ask_one("WhoAmI")?;
        let function = format!("systemusers({user})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges()");
        let User { privileges } = self.ask_one(&function)?;
        let held = privileges.into_iter().map(|held| (held.privilege_id.to_lowercase(), held.depth));
        let held = Arc::new(held.collect());
        *known = Some(Arc::clone(&held));
        Ok(held)
    }

    fn ask_one<T: for<'de> Deserialize<'de>>(&self, question: &str) -> Result<T, EndpointError> {
        let url = format!("{}{API}/{question}", self.client.base());
        let (answer, found) = self.client.get(&url, &read_headers(), |answer| {
            serde_json::from_slice(&answer.body).map_err(|error| format!("the answer is not whole: {error}"))
        })?;
        found.ok_or_else(|| refused(&answer.fault()))
    }
}

fn grants(definition: Definition, held: &HashMap<String, String>) -> Vec<Grant> {
    let grant = |privilege: Privilege| {
        let reach = match held.get(&privilege.privilege_id.to_lowercase()).map(String::as_str) {
            None => Reach::Nothing,
            Some("Local" | "Deep") => Reach::Part,
            Some(_) => Reach::Everything,
        };
        Some(Grant { right: right(&privilege.privilege_type)?, name: privilege.name, reach })
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
        let held = held.map(|(id, depth)| (id.to_owned(), depth.to_owned())).into();
        let found = grants(serde_json::from_str(definition).unwrap(), &held);
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
    }
}
