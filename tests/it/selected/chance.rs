//! Named records by chance: whatever was edited, the named one is settled and nothing else is written. A failure names
//! its seed: `SEED=7 cargo test --test it named_by_chance`; many of them: `SEEDS=600`.

use std::collections::BTreeMap;

use pipeline::config::Side;
use pipeline::run::account::RunOutcome;
use pipeline::run::chosen::Standing;
use pipeline::store::{InboxKind, Store};
use uuid::Uuid;

use super::{force, only};
use crate::rules::World;

const FIELDS: [&str; 3] = ["name", "city", "phone"];

/// Numbers by chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Ten customers, most of them coupled, and edits on both sides.
fn world(chance: &mut Chance) -> World {
    let mut world = World::new();
    // A forced run changes most of them.
    world.pipeline.tables[1].guard.update = None;
    for number in 0..10_u128 {
        let (code, name) = (format!("C{number}"), format!("Firm {number}"));
        let how = chance.below(5);
        if how != 0 {
            world.erp.put("customers", 1 + number, &[("number", &code), ("name", &name), ("city", "Oslo")]);
        }
        if how != 1 {
            let values = [("number", code.as_str()), ("name", &name), ("city", "Oslo"), ("kind", "3")];
            world.crm.put("accounts", 101 + number, &values);
        }
    }
    world.run();
    let couplings = world.store.couplings("customers", &[]).unwrap();
    for (erp, crm) in couplings.erp.iter().zip(&couplings.crm) {
        for field in FIELDS {
            let value = format!("value {}", chance.below(3));
            match chance.below(6) {
                0 => world.erp.put("customers", erp.as_u128(), &[(field, &value)]),
                1 => world.crm.put("accounts", crm.as_u128(), &[(field, &value)]),
                2 => {
                    world.erp.put("customers", erp.as_u128(), &[(field, &value)]);
                    world.crm.put("accounts", crm.as_u128(), &[(field, "another")]);
                }
                _ => {}
            }
        }
    }
    world.erp.put("customers", 50, &[("number", "N50"), ("name", "New in the ERP")]);
    world.crm.put("accounts", 150, &[("number", "N51"), ("name", "New in the CRM"), ("kind", "3")]);
    world
}

type Held = BTreeMap<Uuid, BTreeMap<String, String>>;

fn text<'a>(record: &'a BTreeMap<String, String>, field: &str) -> &'a str {
    record.get(field).map_or("", String::as_str)
}

fn all(world: &World) -> [Held; 2] {
    [world.erp.all("customers"), world.crm.all("accounts")]
}

#[test]
fn named_by_chance() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(20),
    };
    for seed in seeds {
        let mut chance = Chance(seed);
        let mut world = world(&mut chance);
        let couplings = world.store.couplings("customers", &[]).unwrap();
        let chosen = usize::try_from(chance.below(couplings.len() as u64)).unwrap();
        let (erp, crm) = (couplings.erp[chosen], couplings.crm[chosen]);
        let name = format!("customers:{erp}");
        let before = all(&world);
        let report = world.run_part(only(&[&name])).unwrap();
        let mut after = all(&world);
        let pair = [after[0][&erp].clone(), after[1][&crm].clone()];
        let contested = &report.tables[0].selected[0].outlook.contested;
        for field in FIELDS {
            let agrees = text(&pair[0], field) == text(&pair[1], field);
            assert_eq!(
                agrees,
                !contested.iter().any(|name| name == field),
                "seed {seed}: {field} {pair:?} {report:#?}"
            );
        }
        let standing = report.tables[0].selected[0].standing;
        let expected = if contested.is_empty() { Standing::Settled } else { Standing::Waits(InboxKind::Contested) };
        assert_eq!(standing, expected, "seed {seed}");
        after[0].insert(erp, before[0][&erp].clone());
        after[1].insert(crm, before[1][&crm].clone());
        assert_eq!(after, before, "seed {seed}: another record was written");
        assert_eq!(world.store.couplings("customers", &[]).unwrap().len(), couplings.len(), "seed {seed}");

        // Once more: there is nothing left to write.
        let writes = (world.erp.writes(), world.crm.writes());
        world.run_part(only(&[&name])).unwrap();
        assert_eq!((world.erp.writes(), world.crm.writes()), writes, "seed {seed}");

        let side = if chance.below(2) == 0 { Side::Erp } else { Side::Crm };
        let report = world.run_part(force(side, &[])).unwrap();
        assert_eq!(report.outcome, RunOutcome::Converged, "seed {seed}: {report:#?}");
        let sides = all(&world);
        let couplings = world.store.couplings("customers", &[]).unwrap();
        for (erp, crm) in couplings.erp.iter().zip(&couplings.crm) {
            for field in FIELDS {
                assert_eq!(text(&sides[0][erp], field), text(&sides[1][crm], field), "seed {seed}: {field}");
            }
        }
        world.quiet();
    }
}
