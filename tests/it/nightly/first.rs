//! The first night over the default company, and the second.

use std::collections::BTreeSet;

use pipeline::run::RunOutcome;
use pipeline::store::Store;

use super::oracle::{Couplings, Snapshot, judge};
use super::world::World;

/// Returns the couplings that the state holds of the table maps that must have some.
fn couplings(world: &World, expected: &Couplings) -> Couplings {
    let store = world.store();
    let read = |name: &'static str| {
        let held = store.couplings(name, &[]).unwrap();
        let ids = held.erp.iter().zip(&held.crm).map(|(erp, crm)| (erp.to_string(), crm.to_string()));
        (name, ids.collect::<BTreeSet<_>>())
    };
    expected.keys().map(|name| read(name)).collect()
}

#[test]
fn the_first_night_makes_both_sides_agree_and_the_second_writes_nothing() {
    let mut world = World::new();
    let before = Snapshot::of(&world);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    let expected = judge(&before, &Snapshot::of(&world));
    assert_eq!(couplings(&world, &expected), expected);
    let counts: Vec<(&str, usize)> = expected.iter().map(|(name, pairs)| (*name, pairs.len())).collect();
    insta::assert_compact_debug_snapshot!(counts, @"");
    world.quiet();
}
