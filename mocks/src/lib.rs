//! Stateful fakes of the two services that `pipeline` speaks to: an ERP with the Business Central API v2.0 and a CRM
//! with the Dataverse Web API.
//!
//! They know the two protocols and nothing of `pipeline`: an independent oracle. Each fake is a [`service::Service`],
//! a pure state machine from request to response; [`net`] puts it behind wiremock on a loopback port.

pub mod service;
mod body;
pub mod log;
pub mod fault;
pub mod token;
pub mod filter;
pub mod table;
pub mod saved;
pub mod erp;
pub mod crm;
pub mod data;
pub mod net;
pub mod conform;
