//! What both adapters of the ERP ask of it alike: which companies there are, and what the metadata say.
//!
//! Where that stands, and what is read out of it, they know themselves.

use std::sync::{Mutex, PoisonError};

use crate::adapters::client::Client;
use crate::adapters::odata::amiss::Amiss;
use crate::adapters::odata::fault::Fault;
use crate::adapters::pages::{self, Reading};
use crate::config::Side;
use crate::endpoint::{EndpointError, Identity};
use crate::frame::{Frame, Value};

/// Returns what was found out once, by whoever asked first; others wait meanwhile, so that nobody asks twice.
pub fn once(
    found: &Mutex<Option<Identity>>,
    find: impl FnOnce() -> Result<Identity, EndpointError>,
) -> Result<Identity, EndpointError> {
    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
    match &*found {
        Some(identity) => Ok(identity.clone()),
        None => Ok(found.insert(find()?).clone()),
    }
}

/// Finds the company that is `wanted` in a list of companies, which have their names in the column `name`.
///
/// The first request of all: what is wrong here is wrong with the connection, and `check` says what to look at.
pub fn find_company(
    companies: &Reading<'_>,
    name: &str,
    wanted: &str,
    check: &str,
    choose: impl Fn(&Frame) -> Option<Identity>,
) -> Result<Identity, EndpointError> {
    let companies = companies.run(&|_| {}).map_err(|error| match error {
        EndpointError::Refused { side, message } => {
            EndpointError::Refused { side, message: format!("{message}; check {check}") }
        }
        other => other,
    })?;
    choose(&companies).ok_or_else(|| EndpointError::NoCompany {
        side: Side::Erp,
        company: wanted.to_owned(),
        known: pages::listed(&texts(&companies, name)),
    })
}

/// Returns what a column of texts holds.
pub fn texts(frame: &Frame, column: &str) -> Vec<String> {
    let text = |row| match frame.value(column, row) {
        Value::Text(text) => text,
        other => other.to_string(),
    };
    (0..frame.rows()).map(text).collect()
}

/// Reads the metadata below a root; else says what the service answered in their place.
pub fn metadata<T>(
    client: &Client,
    root: &str,
    read: impl Fn(&str) -> Result<T, Amiss>,
) -> Result<Result<T, Fault>, EndpointError> {
    let headers = [("Accept", "application/xml".to_owned()), ("Accept-Language", "en-US".to_owned())];
    let (answer, metadata) = client.get(&format!("{root}/$metadata"), &headers, |answer| read(answer.text()?))?;
    Ok(metadata.ok_or_else(|| answer.fault()))
}
