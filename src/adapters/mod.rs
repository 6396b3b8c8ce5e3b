//! The outside: the two sides over HTTP and the state on disk, behind the ports of [`crate::endpoint`] and
//! [`crate::store`].
//!
//! [`open`] makes the adapter that a connection names; nothing is sent before its first call. Files, network and clock
//! are touched here and in [`crate::cli`] only.

pub mod odata;
pub mod clock;
pub mod budget;
pub mod limiter;
pub mod credentials;
pub mod token;
pub mod http;
#[cfg(test)]
pub mod script;
pub mod discreet;
pub mod client;
pub mod pages;
pub mod absence;
pub mod verdict;
pub mod batch;
pub mod batch_size;
pub mod csdl;
pub mod erp;
pub mod business_central;
pub mod odata_service;
pub mod definitions;
pub mod tracking;
pub mod modifiers;
pub mod dataverse;
pub mod sqlite;
pub mod atomic_file;
pub mod plan_file;

use std::sync::Arc;

use crate::adapters::business_central::BusinessCentral;
use crate::adapters::client::Client;
use crate::adapters::clock::{Clock, Patience};
use crate::adapters::dataverse::Dataverse;
use crate::adapters::discreet::Discreet;
use crate::adapters::odata_service::Service;
use crate::config::{Adapter, Connection, Side};
use crate::endpoint::Endpoint;

/// Makes the adapter of one side; nothing is sent yet.
pub fn open(side: Side, connection: &Connection, patience: Patience, clock: Arc<dyn Clock>) -> Box<dyn Endpoint> {
    let client = Client::new(side, connection, patience, clock);
    let logins = client.logins();
    let company = connection.company.clone().unwrap_or_default();
    let endpoint: Box<dyn Endpoint> = match connection.adapter {
        Adapter::BusinessCentral => {
            Box::new(BusinessCentral::new(client, company, connection.limits, connection.keys.clone()))
        }
        Adapter::Nav => Box::new(Service::pages(client, company, connection.limits, connection.options.clone())),
        Adapter::OData => Box::new(Service::plain(client, connection.limits, connection.keys.clone())),
        Adapter::Dataverse => {
            Box::new(Dataverse::new(client, connection.limits, connection.features, connection.act_as))
        }
    };
    Box::new(Discreet::new(endpoint, logins))
}
