//! The nightly run of `pipelines/full.yaml` against both fakes over HTTP, held against an oracle of our own.

mod edits;
mod faults;
mod first;
mod oracle;
mod refusals;
mod world;
