//! Who modified records of the CRM last: the lookup `modifiedby`, by the name that the CRM itself puts beside it
//! (crm-api.md §8). For people only; what a name is depends on the caller's language.

use std::collections::HashMap;

use serde_json::Value;
use uuid::Uuid;

use crate::adapters::client::Client;
use crate::adapters::definitions::CrmTable;
use crate::endpoint::EndpointError;

/// The lookup.
pub const COLUMN: &str = "modifiedby";

/// The annotation that names whom it leads to.
const FORMATTED: &str = "OData.Community.Display.V1.FormattedValue";

/// Reads addresses that select the key and the lookup, one page each.
pub fn read(
    client: &Client,
    urls: impl Iterator<Item = String>,
    mut headers: Vec<(&'static str, String)>,
    table: &CrmTable,
) -> Result<HashMap<Uuid, String>, EndpointError> {
    headers.push(("Prefer", format!("odata.include-annotations=\"{FORMATTED}\"")));
    let name = format!("{}@{FORMATTED}", table.property(COLUMN));
    let mut people = HashMap::new();
    for url in urls {
        let (_, page) = client.get(&url, &headers, |answer| {
            serde_json::from_slice::<Value>(&answer.body).map_err(|error| format!("the page is no JSON: {error}"))
        })?;
        let rows = page.as_ref().and_then(|page| page["value"].as_array()).into_iter().flatten();
        people.extend(rows.filter_map(|row| {
            let id = row[table.key.as_str()].as_str()?.parse().ok()?;
            Some((id, row[name.as_str()].as_str()?.to_owned()))
        }));
    }
    Ok(people)
}
