//! The CRM fake on the wire, section by section of the wire examples: token, reading, writing, batch, throttling;
//! then the business rules, the metadata, and what goes in and out past the Web API.
//!
//! Most tests speak to the state directly; those of `served` go over HTTP.

mod batches;
mod business;
mod caller;
mod limits;
mod reading;
mod served;
mod tracking;
mod writing;
