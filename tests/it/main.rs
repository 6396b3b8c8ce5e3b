//! The one integration binary: linking polars once is enough.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may fail by panicking, and needs files, the environment and the clock"
)]

mod world;
mod fixture;
mod hostile;
mod dice;
mod mortal;
mod memory;
mod misfits;
mod nav;
mod nightly;

mod addresses;
mod adversary;
mod approved;
mod authentication;
mod bulk;
mod by_hand;
mod cases;
mod changed;
mod command;
mod companies;
mod cut_off;
mod damage;
mod decisions;
mod deletions;
mod endpoint_writes;
mod endpoints;
mod faults;
mod places;
mod plans;
mod products;
mod program;
mod newest;
mod owned;
mod parted;
mod pushed;
mod review;
mod rules;
mod selected;
mod shipped;
mod taken;
mod tidy;
mod transformations;
mod why;
