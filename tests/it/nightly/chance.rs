//! Nights by chance over HTTP: people edit both sides, anything goes wrong, and in the end nobody's edit is lost.
//!
//! What people typed is the whole oracle: a value typed on one side is on both in the end; values typed on both sides
//! stay where they are and wait. Creation, references and filters have an oracle of their own in `faults`.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use mocks::fault::{Fault, Faults};
use pipeline::config::{PerSide, Side};
use pipeline::run::account::RunOutcome;
use pipeline::store::InboxKind;
use serde_json::json;
use uuid::Uuid;

use super::world::{Kept, World};
use crate::dice::each_of;

/// Two-way fields of a customer: ERP property, CRM property.
const FIELDS: [(&str, &str); 3] =
    [("displayName", "name"), ("phoneNumber", "telephone1"), ("addressLine1", "address1_line1")];
/// Runs after the faults have ended, until nothing but contested fields is left.
const RUNS_MAX: usize = 3;

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }
}

/// A small company after its first night, in small portions.
fn world() -> World {
    static KEPT: OnceLock<Kept> = OnceLock::new();
    let mut world = World::again(KEPT.get_or_init(|| {
        let mut world = World::small();
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        world.keep()
    }));
    for side in Side::BOTH {
        let limits = &mut world.pipeline.connections.of_mut(side).limits;
        (limits.batch, limits.page) = (5, 15);
    }
    world
}

/// The customers that are on both sides, inside the filters.
fn pairs(world: &World) -> Vec<PerSide<Uuid>> {
    let rows = world.records(Side::Erp, "customers");
    let open = rows.iter().filter(|row| ["", " ", "_x0020_"].contains(&super::world::text(&row["blocked"]).as_str()));
    let numbers: Vec<String> = open.map(|row| super::world::text(&row["number"])).collect();
    let accounts = world.records(Side::Crm, "accounts");
    let account = |number: &String| {
        let is_it = |row: &&mocks::data::Row| super::world::text(&row["accountnumber"]) == *number;
        accounts.iter().find(is_it).filter(|row| row["statecode"] == json!(0) && row["customertypecode"] == json!(3))
    };
    let coupled = numbers.iter().filter(|number| account(number).is_some());
    coupled
        .map(|number| PerSide {
            erp: world.find(Side::Erp, "customers", "number", number),
            crm: world.find(Side::Crm, "accounts", "accountnumber", number),
        })
        .collect()
}

fn held(world: &World, ids: &PerSide<Uuid>, field: usize) -> PerSide<String> {
    let (erp, crm) = FIELDS[field];
    PerSide {
        erp: world.get(Side::Erp, "customers", ids.erp, erp),
        crm: world.get(Side::Crm, "accounts", ids.crm, crm),
    }
}

fn type_in(world: &World, side: Side, ids: &PerSide<Uuid>, field: usize, text: &str) {
    match side {
        Side::Erp => world.edit(side, "customers", ids.erp, json!({ FIELDS[field].0: text })),
        Side::Crm => world.edit(side, "accounts", ids.crm, json!({ FIELDS[field].1: text })),
    }
}

fn nights(seed: u64) {
    let mut chance = Chance(seed);
    let mut world = world();
    let pairs = pairs(&world);
    assert!(pairs.len() > 10);
    for night in 0..3 {
        let place = format!("seed {seed}, night {night}");
        // What people typed since both sides agreed.
        let mut typed: BTreeMap<(usize, usize), PerSide<Option<String>>> = BTreeMap::new();
        for edit in 0..12 {
            let (pair, field) = (chance.below(pairs.len()), chance.below(FIELDS.len()));
            let side = Side::BOTH[chance.below(2)];
            let text = format!("{seed} {night} {edit}");
            type_in(&world, side, &pairs[pair], field, &text);
            *typed.entry((pair, field)).or_default().of_mut(side) = Some(text);
        }
        for side in Side::BOTH {
            // One night may end at the door, the others are played to their end; who is gone does not come back.
            let some = |fault: &Fault| *fault != Fault::Gone && (night == 0 || !fault.turns_away());
            let some: Vec<Fault> = Fault::ALL.into_iter().filter(some).collect();
            let mut faults = Faults::seeded(seed * 100 + night * 2 + side as u64, 0.2, &some);
            (faults.retry_after, faults.delay) = (0, Duration::from_millis(1));
            world.set_faults(side, faults);
        }
        // Whether anything comes of it or not.
        let _ = world.attempt(&[], false);
        for side in Side::BOTH {
            world.set_faults(side, Faults::none());
        }
        let contested: Vec<_> = typed.iter().filter(|(_, typed)| typed.erp.is_some() && typed.crm.is_some()).collect();
        let mut runs = 0;
        loop {
            runs += 1;
            assert!(runs <= RUNS_MAX, "{place}: {:#?}", world.inbox());
            let report = world.run();
            let waits = report.inbox.iter().filter(|item| item.kind == InboxKind::Contested).count();
            if report.inbox.len() == waits {
                assert_eq!(waits, contested.len(), "{place}: {:#?}", report.inbox);
                break;
            }
        }
        for ((pair, field), typed) in &typed {
            let held = held(&world, &pairs[*pair], *field);
            match (&typed.erp, &typed.crm) {
                (Some(erp), Some(crm)) => {
                    assert_eq!((&held.erp, &held.crm), (erp, crm), "{place}: a contested field overwrites nobody");
                    type_in(&world, Side::Erp, &pairs[*pair], *field, crm);
                }
                (Some(text), None) | (None, Some(text)) => {
                    assert_eq!((&held.erp, &held.crm), (text, text), "{place}: no edit is lost");
                }
                (None, None) => unreachable!("somebody typed"),
            }
        }
        assert_eq!(world.run().outcome, RunOutcome::Converged, "{place}");
        world.quiet();
        assert_eq!(self::pairs(&world).len(), pairs.len(), "{place}: nothing is doubled or lost");
    }
}

#[test]
fn nights_by_chance_over_http() {
    // Many of them: `make simulate`.
    each_of("HTTP_SEEDS", "nightly::chance", 2, &[], nights);
}
