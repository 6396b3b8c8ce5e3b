//! Runs over named records, in one direction, and with one side that wins.

mod chance;
mod force;
mod records;

use pipeline::address::Address;
use pipeline::config::Side;
use pipeline::delta::Force;
use pipeline::run::selection::Selection;

/// Named records.
pub fn only(names: &[&str]) -> Selection {
    let records = names.iter().map(|name| Address::parse(name).unwrap()).collect();
    Selection { records, ..Selection::default() }
}

/// One direction.
pub fn to(side: Side) -> Selection {
    Selection { to: Some(side), ..Selection::default() }
}

/// One side is overwritten, whatever somebody may have seen of it.
pub fn force(side: Side, names: &[&str]) -> Selection {
    Selection { force: Some(Force { to: side, seen: None }), ..only(names) }
}
