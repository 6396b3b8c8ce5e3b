//! The default company: what `why` says of records of every kind is what the plan lists for them.

use std::collections::{BTreeMap, HashSet};

use pipeline::config::{PerSide, Side};
use pipeline::endpoint::Endpoint;
use pipeline::run::account::RunReport;
use serde_json::json;
use uuid::Uuid;

use super::{agrees, ask};
use crate::nightly::world::World;

/// Returns some records of each table map and of each kind: by what is done, by what waits, and those of which a plan
/// says nothing.
fn sample(world: &World, plan: &RunReport) -> Vec<(String, Side, Uuid)> {
    let mut kinds: BTreeMap<(String, String), Vec<(Side, Uuid)>> = BTreeMap::new();
    let mut told: HashSet<Uuid> = HashSet::new();
    let mut there: HashSet<Uuid> = HashSet::new();
    for action in plan.plan.actions() {
        let made = action.kind.makes_record();
        let side = if made { action.side.other() } else { Side::Erp };
        let kind = format!("{:?} {:?} {}", action.side, action.kind.key(), action.why);
        kinds.entry((action.table.clone(), kind)).or_default().push((side, *action.ids.of(side)));
        told.extend([action.ids.erp, action.ids.crm]);
    }
    for item in &plan.inbox {
        let side = if item.erp_id.is_some() { Side::Erp } else { Side::Crm };
        let Some(id) = item.erp_id.or(item.crm_id) else { continue };
        kinds.entry((item.table.clone(), format!("{:?}", item.kind))).or_default().push((side, id));
        told.extend(item.erp_id.into_iter().chain(item.crm_id));
    }
    for map in &world.pipeline.tables {
        for side in Side::BOTH {
            let key = if side == Side::Erp { "id".to_owned() } else { key_of(world, &map.sides.crm.table) };
            for record in world.records(side, &map.sides.of(side).table) {
                let Some(id) = record.get(&key).and_then(|id| id.as_str()?.parse().ok()) else { continue };
                there.insert(id);
                if !told.contains(&id) {
                    kinds.entry((map.name.clone(), format!("{side:?} nothing"))).or_default().push((side, id));
                }
            }
        }
    }
    // The last of each kind that is there: a plan also tells of records that follow from its own.
    let some = |((table, _), records): ((String, String), Vec<(Side, Uuid)>)| {
        let (side, id) = records.into_iter().rev().find(|(_, id)| there.contains(id))?;
        Some((table, side, id))
    };
    kinds.into_iter().filter_map(some).collect()
}

/// Returns the property of a CRM set that holds its ids: the one that is named after it.
fn key_of(world: &World, set: &str) -> String {
    let records = world.records(Side::Crm, set);
    let keys = records.first().into_iter().flat_map(|record| record.keys());
    let stem = |key: &&String| key.ends_with("id") && set.starts_with(&key[..key.len() - 4]);
    keys.filter(stem).max_by_key(|key| key.len()).cloned().unwrap_or_default()
}

fn agrees_on_a_sample(world: &mut World, place: &str, least: usize) {
    let plan = world.plan();
    let sample = sample(world, &plan);
    assert!(sample.len() >= least, "{place}: only {} records", sample.len());
    let pipeline = world.pipeline.clone();
    let endpoints = world.endpoints();
    world.forget();
    for (table, side, id) in sample {
        let sides = PerSide { erp: &*endpoints.erp as &dyn Endpoint, crm: &*endpoints.crm };
        let subject = (table.as_str(), side, id);
        let why = ask(&pipeline, sides, &mut world.store(), subject);
        agrees(&plan, &why, subject, place);
    }
    assert_eq!(world.writes(), PerSide::default(), "{place}: `why` writes nothing");
}

#[test]
fn before_the_first_night() {
    agrees_on_a_sample(&mut World::new(), "before the first night", 40);
}

#[test]
fn after_people_edited() {
    let mut world = World::settled();
    let customer = |number: &str| world.find(Side::Erp, "customers", "number", number);
    let account = |number: &str| world.find(Side::Crm, "accounts", "accountnumber", number);
    let (one, two, three) = (customer("10000"), customer("10010"), customer("10130"));
    world.edit(Side::Erp, "customers", one, json!({"displayName": "Here"}));
    world.edit(Side::Crm, "accounts", account("10000"), json!({"name": "There", "telephone1": "1"}));
    world.edit(Side::Erp, "customers", two, json!({"blocked": "All"}));
    world.edit(Side::Crm, "accounts", account("10130"), json!({"creditlimit": 1}));
    world.edit(Side::Erp, "customers", three, json!({"city": "Elsewhere"}));
    let gone = account("10190");
    world.crm.with(|state| state.delete("accounts", gone)).unwrap();
    agrees_on_a_sample(&mut world, "after people edited", 20);
}
