//! The nightly run of `pipelines/full.yaml` against both fakes over HTTP, held against an oracle of our own.

pub mod world;
mod day;
mod meaning;
mod oracle;

mod chance;
mod blame;
mod changes;
mod edits;
mod faults;
mod first;
mod lost;
mod noise;
mod plan;
mod quota;
mod refusals;
mod selected;
