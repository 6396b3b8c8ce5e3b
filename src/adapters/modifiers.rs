//! Who modified records of the CRM last: the lookup `modifiedby`, by the name that the CRM itself puts beside it
//! (crm-api.md §14). For people only; what a name is depends on the caller's language. Where somebody wrote in another's
//! name, both are told: a person in whose name this program writes has not been at the keyboard.

use std::collections::HashMap;

use serde_json::Value;
use uuid::Uuid;

use crate::adapters::client::Client;
use crate::adapters::definitions::CrmTable;
use crate::adapters::odata::amiss::Amiss;
use crate::endpoint::EndpointError;

/// The lookup.
pub const COLUMN: &str = "modifiedby";

/// The lookup of who really wrote, where that was somebody else.
const BEHALF: &str = "modifiedonbehalfby";

/// The annotation that names whom it leads to.
const FORMATTED: &str = "OData.Community.Display.V1.FormattedValue";

/// Returns the lookups that the table has.
pub fn columns(table: &CrmTable) -> Vec<String> {
    let there = |name: &&str| table.info.column(name).is_some_and(|column| column.readable);
    [COLUMN, BEHALF].iter().filter(|name| there(name)).map(|name| (*name).to_owned()).collect()
}

/// Reads addresses that select the key and the lookups, one page each.
pub fn read(
    client: &Client,
    urls: impl Iterator<Item = String>,
    mut headers: Vec<(&'static str, String)>,
    table: &CrmTable,
) -> Result<HashMap<Uuid, String>, EndpointError> {
    headers.push(("Prefer", format!("odata.include-annotations=\"{FORMATTED}\"")));
    let [name, behalf] = [COLUMN, BEHALF].map(|column| format!("{}@{FORMATTED}", table.property(column)));
    let mut people = HashMap::new();
    for url in urls {
        let (_, page) = client.get(&url, &headers, |answer| {
            serde_json::from_slice::<Value>(&answer.body).map_err(|error| Amiss::of_json("the page is no JSON", &error))
        })?;
        let rows = page.as_ref().and_then(|page| page["value"].as_array()).into_iter().flatten();
        people.extend(rows.filter_map(|row| {
            let id = row[table.key.as_str()].as_str()?.parse().ok()?;
            let name = row[name.as_str()].as_str()?;
            let told = row[behalf.as_str()].as_str().map(|behalf| format!("{behalf} for {name}"));
            Some((id, told.unwrap_or_else(|| name.to_owned())))
        }));
    }
    Ok(people)
}
