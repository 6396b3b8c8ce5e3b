//! Attempts to break the promises: what a kind night never does, a rule at a time, and then all of it by chance.

mod chance;
mod rules;
mod twins;
