//! Random edits and random answers: what is decided is on both sides after one run, and nothing else is touched.

use pipeline::cli::inbox::answer::Wish;
use pipeline::cli::inbox::answer::take;
use pipeline::run::account::RunOutcome;
use pipeline::store::{InboxKind, Store};

use super::{answer, standing};
use crate::rules::World;

const FIELDS: [&str; 3] = ["name", "city", "phone"];
const RECORDS: u64 = 6;

/// Numbers that look random and follow from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn text(&mut self) -> String {
        ["", "one", "two", "three", "four"][usize::try_from(self.below(5)).unwrap()].to_owned()
    }
}

fn held(world: &World, record: u64, field: &str) -> (String, String) {
    let (erp, crm) = (u128::from(record), 100 + u128::from(record));
    (world.erp.get("customers", erp, field), world.crm.get("accounts", crm, field))
}

/// What a person wants of a record and a field, and both values that it was decided on.
struct Asked {
    record: u64,
    field: &'static str,
    wants: String,
    on: (String, String),
    /// What both sides held before somebody edited them.
    base: String,
}

/// Lives through some nights; returns how many decisions were carried out and how many were made on other values.
fn nights(seed: u64) -> (usize, usize) {
    let mut chance = Chance(seed);
    let mut world = World::new();
    // Two customers of one name and city are two, as long as each has a number.
    for record in 1..=RECORDS {
        let number = format!("C{record}");
        let values = [("number", &*number), ("name", "one"), ("city", "one"), ("phone", "one")];
        world.erp.put("customers", record.into(), &values);
        world.crm.put("accounts", 100 + u128::from(record), &[&values[..], &[("kind", "3")]].concat());
    }
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    let (mut carried_out, mut outdated) = (0, 0);
    for _ in 0..5 {
        for _ in 0..chance.below(12) {
            let (record, field) = (chance.below(RECORDS) + 1, FIELDS[usize::try_from(chance.below(3)).unwrap()]);
            let text = chance.text();
            match chance.below(2) {
                0 => world.erp.put("customers", record.into(), &[(field, &text)]),
                _ => world.crm.put("accounts", 100 + u128::from(record), &[(field, &text)]),
            }
        }
        world.run();
        let mut asked: Vec<Asked> = Vec::new();
        for item in world.store.inbox(None).unwrap() {
            assert_eq!(item.kind, InboxKind::Contested, "{item:#?}");
            if chance.below(4) == 0 {
                continue;
            }
            let field = FIELDS.into_iter().find(|field| item.field.as_deref() == Some(*field)).unwrap();
            let on = (item.erp.clone().unwrap(), item.crm.clone().unwrap());
            let (verdict, wants) = match chance.below(3) {
                0 => ("erp".to_owned(), on.0.clone()),
                1 => ("crm".to_owned(), on.1.clone()),
                _ => {
                    let text = chance.text();
                    (format!("value={text}"), text)
                }
            };
            let wish = Wish::Resolve { field: field.to_owned(), verdict: take(&verdict).unwrap() };
            answer(&mut world, &item.record, &wish).unwrap();
            let record = u64::try_from(item.erp_id.unwrap().as_u128()).unwrap();
            asked.push(Asked { record, field, wants, on, base: item.base.unwrap() });
        }
        // Somebody edits some of them again before the night.
        for Asked { record, field, .. } in &asked {
            if chance.below(4) == 0 {
                let text = chance.text();
                world.crm.put("accounts", 100 + u128::from(*record), &[(*field, &text)]);
            }
        }
        let before: Vec<(String, String)> = asked.iter().map(|asked| held(&world, asked.record, asked.field)).collect();
        world.changed = chance.below(2) == 0;
        let planned = world.run_as(true);
        let report = world.run();
        world.changed = false;
        assert_eq!(planned.plan, report.plan, "seed {seed}: the plan is the run (I8)");
        for (Asked { record, field, wants, on, base }, before) in asked.into_iter().zip(before) {
            let now = held(&world, record, field);
            let open = report.inbox.iter().any(|item| {
                item.erp_id == Some(uuid::Uuid::from_u128(record.into())) && item.field.as_deref() == Some(field)
            });
            let place = format!("seed {seed}: {record} {field} was {before:?}, decided on {on:?}");
            if before == on {
                assert_eq!((now, open), ((wants.clone(), wants), false), "{place}");
                carried_out += 1;
            } else {
                // Nobody decided about these values: where they are contested, they are so still.
                let contested = before.0 != before.1 && before.0 != base && before.1 != base;
                assert_eq!(open, contested, "{place}, is {now:?}");
                assert!(if open { now == before } else { now.0 == now.1 }, "{place}, is {now:?}");
                outdated += 1;
            }
        }
        let open = world.store.inbox(None).unwrap().len();
        assert!(standing(&world).len() <= open, "seed {seed}: a decision stands only about what waits");
        world.quiet();
    }
    (carried_out, outdated)
}

#[test]
fn what_is_decided_is_on_both_sides_and_nothing_else_is() {
    let seeds: u64 = std::env::var("SEEDS").map_or(12, |seeds| seeds.parse().unwrap());
    let sums: Vec<(usize, usize)> = (0..seeds).map(nights).collect();
    let (carried_out, outdated) = sums.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(carried_out > 10 && outdated > 0, "{carried_out} were carried out, {outdated} were made on other values");
}
