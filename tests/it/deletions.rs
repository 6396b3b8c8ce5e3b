//! Deletions and guards over two sides in memory: what each answer does with each deletion, and what stops a run.

mod along;
mod answers;
mod cascades;
mod crashes;
mod created;
mod extents;
mod filtered;
mod given_back;
mod guards;
mod proof;
mod restored;
mod unseen;

use pipeline::config::{Guard, OnDelete, Side};
use pipeline::run::account::RunOutcome;

use crate::memory::Memory;
use crate::rules::World;

const NO_GUARD: Guard = Guard { create: None, update: None, delete: None };

/// The table of a side that holds customers.
pub fn table(side: Side) -> &'static str {
    match side {
        Side::Erp => "customers",
        Side::Crm => "accounts",
    }
}

/// A world in which so many customers are coupled, ERP 1 with CRM 101 and so on, and both sides agree.
pub fn coupled(on_delete: OnDelete, pairs: u128) -> World {
    let mut world = World::new();
    for number in 1..=pairs {
        let (key, name) = (format!("C{number}"), format!("name {number}"));
        let values = [("number", &*key), ("name", &name), ("city", "Oslo"), ("phone", "1"), ("limit", "5")];
        world.erp.put("customers", number, &values);
        world.crm.put("accounts", 100 + number, &[&values[..], &[("kind", "3")]].concat());
    }
    for table in &mut world.pipeline.tables {
        table.on_delete = on_delete;
    }
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{report:#?}");
    assert_eq!((world.erp.writes(), world.crm.writes()), (0, 0));
    world
}

pub fn side(world: &World, side: Side) -> &Memory {
    match side {
        Side::Erp => &world.erp,
        Side::Crm => &world.crm,
    }
}

/// The id of a pair's record.
pub fn id(side: Side, pair: u128) -> u128 {
    if side == Side::Erp { pair } else { 100 + pair }
}

/// Names of all records of a side.
pub fn names(world: &World, at: Side) -> Vec<String> {
    let mut names = side(world, at).column(table(at), "name");
    names.sort();
    names
}
