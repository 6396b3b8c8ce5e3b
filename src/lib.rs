//! `pipeline` keeps the records of an ERP and a CRM the same.
//!
//! The story in ten lines, and the modules in reading order. **A module imports only modules that stand above it**;
//! `tests/it/tidy.rs` reads the sources and checks it.
//!
//! 1. `main` gives the arguments to `cli`; there, once, enter all impure things: file text, environment, clock, a run id.
//! 2. `config` turns YAML text into a `Pipeline` and a list of complaints.
//! 3. `order` lays the table maps out as passes, each with the columns and the filter to ask each side for.
//! 4. `extract` asks both endpoints for a pass's records and builds two frames with stated column types.
//! 5. `translate` says a value in the other side's terms; `couple` joins the frames on their couplings, then on match fields.
//! 6. `delta` compares ERP, CRM and base field by field, in parallel, and decides the actions.
//! 7. `apply` sends the actions to both sides in bounded batches: intent to the `store` first, outcome after.
//! 8. Only an outcome moves couplings and bases; `adapters` write them to disk.
//! 9. `run` is the loop over 4–8 and emits an event for each; it knows neither terminal, network nor disk.
//! 10. `report` turns events into text or JSON and counts; `cli` prints it and picks the exit code.

pub mod config;
pub mod frame;
pub mod endpoint;
pub mod binding;
pub mod store;
pub mod plan;
pub mod order;
pub mod extract;
pub mod address;
pub mod translate;
pub mod watermark;
pub mod misfit;
pub mod couple;
pub mod delta;
pub mod apply;
pub mod run;
pub mod why;
pub mod review;
pub mod by_hand;
pub mod online;
pub mod report;
#[expect(clippy::disallowed_methods, reason = "the edge of the program: files, clocks, waiting")]
pub mod adapters;
#[expect(clippy::disallowed_methods, reason = "the edge of the program: here the environment and the clock enter")]
pub mod cli;
