//! The ERP fake on the wire, section by section of the wire examples: token, reading, writing, batch, throttling.
//!
//! Most tests speak to the state directly; those of `served` go over HTTP, where the faults are.

mod batches;
mod caller;
mod contacts;
mod loading;
mod reading;
mod served;
mod writing;
