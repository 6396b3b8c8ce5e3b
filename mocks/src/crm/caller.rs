//! In whose name a request acts, and which logic of the organization it passes by: the headers that only some callers may
//! send.
//!
//! In: the headers of one operation, inside of a batch or not. Out: who is stamped as the one who wrote, and what was
//! bypassed; or the refusal of a caller who may not do that. What acts for somebody else is allowed what both are.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::error::Error;
use super::privilege::{self, Special};
use super::schema::{self, TABLES};
use super::state::State;
use super::store::Cell;
use crate::service::Request;

/// Logic of an organization that a write sets off unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Logic {
    /// Plug-ins and workflows that belong to the transaction.
    Sync,
    /// Those that come after it.
    Async,
    /// What Power Automate waits for.
    Flows,
}

/// Returns the user that a request acts for, where it is not the caller itself.
pub fn acts_for(state: &State, request: &Request) -> Result<Option<Uuid>, Error> {
    let users = schema::table("systemuser");
    let stranger = || Error::new(403, "0x80072560", "The user is not a member of the organization.");
    let found = match (request.header("callerobjectid"), request.header("mscrmcallerid")) {
        (Some(object), _) => {
            let column = TABLES[users].column("azureactivedirectoryobjectid");
            let wanted = Uuid::parse_str(object.trim()).ok().map(Cell::Id).ok_or_else(stranger)?;
            let mut rows = state.store.rows(users).iter();
            rows.find(|(_, row)| row.get(column) == Some(&wanted)).map(|(id, _)| *id).ok_or_else(stranger)?
        }
        (None, Some(user)) => {
            let id = Uuid::parse_str(user.trim()).map_err(|_| stranger())?;
            state.store.get(users, id).map(|_| id).ok_or_else(stranger)?
        }
        (None, None) => return Ok(None),
    };
    if found == state.caller {
        return Ok(None);
    }
    privilege::demand_special(state, state.caller, Special::ActOnBehalfOfAnotherUser)?;
    let disabled = TABLES[users].column("isdisabled");
    if state.store.get(users, found).and_then(|row| row.get(disabled)) == Some(&Cell::Flag(true)) {
        let message = format!("The specified user(Id = {found}) is disabled. Consider enabling this user.");
        return Err(Error::new(403, "0x80040225", message));
    }
    Ok(Some(found))
}

/// Returns what of the organization's logic a request bypasses.
pub fn bypassed(state: &State, request: &Request) -> Result<BTreeSet<Logic>, Error> {
    let mut bypassed = BTreeSet::new();
    if let Some(wanted) = request.header("mscrm.bypassbusinesslogicexecution") {
        for word in wanted.split(',').map(str::trim) {
            bypassed.insert(match word {
                "CustomSync" => Logic::Sync,
                "CustomAsync" => Logic::Async,
                _ => return Err(Error::argument(format!("'{word}' is no value of BypassBusinessLogicExecution."))),
            });
        }
        for user in [Some(state.caller), state.acting].into_iter().flatten() {
            privilege::demand_special(state, user, Special::BypassCustomBusinessLogic)?;
        }
    }
    if is_true(request, "mscrm.bypasscustompluginexecution") {
        privilege::demand_special(state, state.caller, Special::BypassCustomPlugins)?;
        bypassed.insert(Logic::Sync);
    }
    if is_true(request, "mscrm.suppresscallbackregistrationexpanderjob") {
        bypassed.insert(Logic::Flows);
    }
    Ok(bypassed)
}

fn is_true(request: &Request, header: &str) -> bool {
    request.header(header).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::crm::privilege::{Holding, Privilege};
    use crate::crm::serve;

    const INGA: &str = "8a2b0001-0000-4000-8000-000000000101";
    const OBJECT: &str = "e39c5d16-675b-48d1-8e67-667427e9c084";

    /// An organization in which Inga works, and the application may do everything.
    fn organization() -> State {
        let mut state = State::default();
        let inga = json!({"systemuserid": INGA, "firstname": "Inga", "lastname": "Holm",
            "azureactivedirectoryobjectid": OBJECT});
        state.load("systemusers", vec![inga.as_object().cloned().unwrap_or_default()]);
        state.specials = [Special::ActOnBehalfOfAnotherUser, Special::BypassCustomBusinessLogic].into();
        state
    }

    /// Carries out an operation; returns the status, the body, and the code of an error.
    fn send(
        state: &mut State,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> (u16, Value, String) {
        let plain = [("Content-Type", "application/json"), ("Prefer", "return=representation")];
        let headers = plain.iter().chain(headers).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let target = format!("/api/data/v9.2/{path}");
        let body = if method == "GET" { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request { method: method.to_owned(), target, headers: headers.collect(), body };
        let response = serve::execute(state, &request, 65_536).response;
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let code = body["error"]["code"].as_str().unwrap_or_default().to_owned();
        (response.status, body, code)
    }

    #[test]
    fn who_acts_for_somebody_stamps_both() {
        let mut state = organization();
        let application = state.caller.to_string();
        for header in [("CallerObjectId", OBJECT), ("MSCRMCallerID", INGA)] {
            let (status, row, _) = send(&mut state, "POST", "accounts", &[header], &json!({"name": "For Inga"}));
            assert_eq!(status, 201);
            let names = ["createdby", "modifiedby", "ownerid", "createdonbehalfby", "modifiedonbehalfby"];
            let found = names.map(|name| row[format!("_{name}_value")].as_str().unwrap_or_default().to_owned());
            assert_eq!(found, [INGA, INGA, INGA, &application, &application], "{header:?}");
            let (_, who, _) = send(&mut state, "GET", "WhoAmI", &[header], &Value::Null);
            assert_eq!(who["UserId"], INGA);
            // The next one who writes in its own name is stamped alone.
            let path = format!("accounts({})", row["accountid"].as_str().unwrap_or_default());
            let (_, row, _) = send(&mut state, "PATCH", &path, &[], &json!({"fax": "1"}));
            assert_eq!(
                (&row["_modifiedby_value"], &row["_modifiedonbehalfby_value"]),
                (&json!(application), &Value::Null)
            );
        }
    }

    #[test]
    fn what_acts_for_somebody_is_allowed_what_both_are() {
        let mut state = organization();
        let object = [("CallerObjectId", OBJECT)];
        let create = |state: &mut State, headers: &[(&str, &str)]| {
            let (status, _, code) = send(state, "POST", "accounts", headers, &json!({"name": "x"}));
            (status, code)
        };
        let refused = |code: &str| (403, code.to_owned());
        assert_eq!(create(&mut state, &[("CallerObjectId", INGA)]), refused("0x80072560"));
        assert_eq!(create(&mut state, &[("MSCRMCallerID", OBJECT)]), refused("0x80072560"));
        state.people.withheld.insert(("account".to_owned(), Privilege::Create), Holding::None);
        assert_eq!(create(&mut state, &object), refused("0x80048306"));
        assert_eq!(create(&mut state, &[]).0, 201);
        state.people.withheld.clear();
        state.privileges.insert(("account".to_owned(), Privilege::Create), Holding::None);
        assert_eq!(create(&mut state, &object), refused("0x80048306"));
        state.privileges.clear();
        let inga = Uuid::parse_str(INGA).unwrap_or_default();
        state
            .edit("systemusers", inga, json!({"isdisabled": true}).as_object().unwrap_or(&serde_json::Map::new()))
            .unwrap_or_default();
        assert_eq!(create(&mut state, &object), refused("0x80040225"));
        state.specials.clear();
        assert_eq!(create(&mut state, &object), refused("0x80040220"));
    }

    #[test]
    fn what_is_bypassed_takes_a_privilege_and_is_counted() {
        let mut state = organization();
        const LOGIC: &str = "MSCRM.BypassBusinessLogicExecution";
        const FLOWS: &str = "MSCRM.SuppressCallbackRegistrationExpanderJob";
        let create = |state: &mut State, headers: &[(&str, &str)]| {
            send(state, "POST", "accounts", headers, &json!({"name": "x"})).2
        };
        assert_eq!(create(&mut state, &[(LOGIC, "CustomSync,CustomAsync"), (FLOWS, "true")]), "");
        assert_eq!(create(&mut state, &[(LOGIC, "CustomAsync"), (FLOWS, "false")]), "");
        assert_eq!(create(&mut state, &[(LOGIC, "Everything")]), "0x80040203");
        let two = json!({"Targets": [{"@odata.type": "Microsoft.Dynamics.CRM.account", "name": "a"},
            {"@odata.type": "Microsoft.Dynamics.CRM.account", "name": "b"}]});
        let message = "accounts/Microsoft.Dynamics.CRM.CreateMultiple";
        assert_eq!(send(&mut state, "POST", message, &[(LOGIC, "CustomSync")], &two).0, 200);
        send(&mut state, "GET", "accounts", &[(LOGIC, "CustomSync")], &Value::Null);
        let counted = [(Logic::Sync, 3), (Logic::Async, 2), (Logic::Flows, 1)];
        assert_eq!(state.bypasses, counted.into());
        // The one for whom is written has to be allowed it as well.
        assert_eq!(create(&mut state, &[(LOGIC, "CustomSync"), ("CallerObjectId", OBJECT)]), "0x80040220");
        state.people.specials.insert(Special::BypassCustomBusinessLogic);
        assert_eq!(create(&mut state, &[(LOGIC, "CustomSync"), ("CallerObjectId", OBJECT)]), "");
        assert_eq!(create(&mut state, &[("MSCRM.BypassCustomPluginExecution", "true")]), "0x80040220");
        state.specials.remove(&Special::BypassCustomBusinessLogic);
        assert_eq!(create(&mut state, &[(LOGIC, "CustomSync")]), "0x80040220");
        assert_eq!(create(&mut state, &[(FLOWS, "true")]), "", "no privilege is needed for it");
    }
}
