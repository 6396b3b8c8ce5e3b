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
mod lists;
mod misfits;
mod nav;
mod nightly;

mod addresses;
mod adversary;
mod approved;
mod authentication;
mod bulk;
mod by_hand;
mod callers;
mod cases;
mod changed;
mod command;
mod companies;
mod cut_off;
mod damage;
mod decisions;
mod deletions;
mod editor;
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
mod states;
mod taken;
mod terms;
mod tidy;
mod transformations;
mod unreadable;
mod why;
