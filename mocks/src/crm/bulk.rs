//! The bulk messages `CreateMultiple` and `UpdateMultiple`: many rows of one table in one request, all of them or none.
//!
//! In: the targets of a message. Out: the ids of the new rows, or nothing. Which tables have the messages is a setting
//! of the organization, and what `sdkmessagefilters` tells; elsewhere they are segments that nobody knows.
//! `UpsertMultiple` and `DeleteMultiple` are had by no table here.

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::error::Error;
use super::schema::{self, TABLES};
use super::serve::Outcome;
use super::state::State;
use super::store::Row;
use super::{definition, metadata, reply, write};
use crate::service::{Request, Response};

/// Where a message's name begins in a path.
const NAMESPACE: &str = "Microsoft.Dynamics.CRM.";

/// The standard tables that have the messages unless an organization is set up otherwise: those with many rows.
pub const TABLES_WITH_BULK: [&str; 4] = ["account", "contact", "product", "productpricelevel"];

/// What a message does to its targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    Create,
    Update,
}

impl Message {
    /// Reads the segment after a set, if it is a message that the table has.
    pub fn of(state: &State, table: usize, segment: &str) -> Option<Message> {
        let has_it = state.bulk_tables.contains(TABLES[table].name);
        match segment.strip_prefix(NAMESPACE)? {
            "CreateMultiple" if has_it => Some(Message::Create),
            "UpdateMultiple" if has_it => Some(Message::Update),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Message::Create => "CreateMultiple",
            Message::Update => "UpdateMultiple",
        }
    }
}

/// Answers `sdkmessagefilters`, by which clients find out which tables have a message.
pub fn probe(state: &State, options: &[(String, String)]) -> Result<Response, Error> {
    let tables = TABLES.iter().filter(|table| state.bulk_tables.contains(table.name));
    let rows = tables.flat_map(|table| {
        [Message::Create, Message::Update].map(|message| {
            let id = definition::metadata_id(&format!("{}.{}", table.name, message.name()));
            let row = json!({"sdkmessagefilterid": id, "primaryobjecttypecode": table.name,
                "sdkmessageid": {"name": message.name()}});
            row.as_object().cloned().unwrap_or_default()
        })
    });
    metadata::collection(state, "sdkmessagefilters", "sdkmessagefilter", rows.collect(), options)
}

/// Answers a message. Whoever calls undoes everything where one target fails.
pub fn answer(
    state: &mut State,
    table: usize,
    message: Message,
    body: &Map<String, Value>,
    request: &Request,
    outcome: &mut Outcome,
) -> Result<Response, Error> {
    let declared = &TABLES[table];
    if request.header("if-match").is_some() || request.header("if-none-match").is_some_and(|tag| tag.trim() == "*") {
        return Err(Error::argument(format!("{} takes no condition on its targets.", message.name())));
    }
    let targets = match body.get("Targets") {
        Some(Value::Array(targets)) if !targets.is_empty() => targets,
        Some(Value::Array(_)) => return Err(Error::argument("The collection 'Targets' cannot be empty.")),
        _ => return Err(Error::argument("Required field 'Targets' is missing")),
    };
    if let Some(name) = body.keys().find(|name| *name != "Targets") {
        let inner = format!(
            "Microsoft.OData.ODataException: The parameter '{name}' in the request payload is not a valid parameter for \
             the operation '{}'.",
            message.name()
        );
        return Err(Error::payload(declared.set, inner));
    }
    let targets: Vec<Map<String, Value>> =
        targets.iter().map(|target| entity(table, target)).collect::<Result<_, _>>()?;
    let ids: Vec<Option<Uuid>> = targets.iter().map(|target| key_of(table, target)).collect();
    let mut seen = HashSet::new();
    if ids.iter().flatten().any(|id| !seen.insert(*id)) {
        return Err(Error::new(412, "0x80040237", "Cannot insert duplicate key."));
    }
    if message == Message::Update {
        let unknown: Vec<String> =
            ids.iter().flatten().filter(|id| state.store.get(table, **id).is_none()).map(Uuid::to_string).collect();
        if !unknown.is_empty() {
            let message = format!("{} With Ids = {} Do Not Exist", declared.name, unknown.join(", "));
            return Err(Error::new(404, "0x80040217", message));
        }
    }
    let mut done = Vec::with_capacity(targets.len());
    for (target, id) in targets.iter().zip(ids) {
        match (message, id) {
            (Message::Create, _) => done.push(("POST", write::create(state, table, target, None, &Row::default())?)),
            (Message::Update, Some(id)) => {
                write::update(state, table, id, target, &Row::default())?;
                done.push(("PATCH", id));
            }
            (Message::Update, None) => {
                let message = format!("Entity Id must be specified for the '{}' target of an update.", declared.name);
                return Err(Error::argument(message));
            }
        }
    }
    let ids: Vec<String> = done.iter().map(|(_, id)| id.to_string()).collect();
    outcome.records = done;
    Ok(match message {
        Message::Create => {
            let context = format!("{}/api/data/v9.2/$metadata#{NAMESPACE}CreateMultipleResponse", state.root);
            let body = json!({"@odata.context": context, "Ids": ids});
            reply::json(200, body.to_string().into_bytes(), Vec::new())
        }
        Message::Update => reply::no_content(None),
    })
}

/// Returns how many targets a request has, for what counts them from outside; what is no message has none.
pub fn targets(request: &Request) -> usize {
    if !request.target.contains(NAMESPACE) {
        return 0;
    }
    let body = serde_json::from_slice::<Value>(&request.body).unwrap_or_default();
    body["Targets"].as_array().map_or(0, Vec::len)
}

/// Reads a target, which has to say what it is.
fn entity(table: usize, target: &Value) -> Result<Map<String, Value>, Error> {
    let declared = &TABLES[table];
    let Value::Object(target) = target else {
        return Err(Error::payload(declared.set, "Microsoft.OData.ODataException: A target is no JSON object."));
    };
    let mut target = target.clone();
    let Some(kind) = target.remove("@odata.type") else {
        let inner = "Microsoft.OData.ODataException: A target has no '@odata.type', and 'Targets' is a collection of \
                     'mscrm.crmbaseentity', which is abstract.";
        return Err(Error::payload(declared.set, inner));
    };
    let kind = kind.as_str().unwrap_or_default().trim_start_matches('#');
    let is_known = kind.strip_prefix(NAMESPACE).is_some_and(|name| TABLES.iter().any(|table| table.name == name));
    if !is_known {
        let inner = format!("Microsoft.OData.ODataException: The type '{kind}' is not known.");
        return Err(Error::payload(declared.set, inner));
    }
    if schema::table(&kind[NAMESPACE.len()..]) != table {
        let message = format!("All targets must be of the type '{}', and one is '{kind}'.", declared.name);
        return Err(Error::argument(message));
    }
    Ok(target)
}

fn key_of(table: usize, target: &Map<String, Value>) -> Option<Uuid> {
    target.get(TABLES[table].primary_key)?.as_str().and_then(super::value::guid)
}
