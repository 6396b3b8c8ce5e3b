//! Values spoilt and corrected at random while people edit, couple and run over some records.

use std::collections::BTreeMap;

use pipeline::config::{Blank, OnDelete, OnUnresolved, Side};
use pipeline::run::account::RunReport;
use pipeline::run::selection::Selection;
use pipeline::store::{InboxKind, Store};
use uuid::Uuid;

use super::waits;
use crate::deletions::{coupled, id, names, side, table};
use crate::dice::{Chance, each_seed};
use crate::rules::World;
use crate::selected::only;

/// The code of a person whom the CRM does not have.
const NOBODY: &str = "P3";

const COLUMNS: [&str; 5] = ["number", "name", "city", "phone", "limit"];

/// Something that happens on a side between two nights.
fn edit(world: &mut World, dice: &mut Chance, next: &mut u128) {
    let at = if dice.below(2) == 0 { Side::Erp } else { Side::Crm };
    let (pair, column) = (u128::from(1 + dice.below(14)), dice.pick(&COLUMNS));
    match dice.below(6) {
        0 => side(world, at).put(table(at), id(at, pair), &[("phone", &dice.below(99).to_string())]),
        1 => side(world, at).spoil(table(at), id(at, pair), column),
        2 => {
            *next += 1;
            let number = format!("N{next}");
            let values = [("number", &*number), ("name", &number), ("city", "Rome")];
            side(world, at).put(table(at), *next, &values);
            if at == Side::Crm {
                world.crm.put("accounts", *next, &[("kind", "3")]);
            }
            if dice.below(2) == 0 {
                side(world, at).spoil(table(at), *next, column);
            }
        }
        3 => world.erp.put("customers", pair, &[("person", &format!("P{}", dice.below(4)))]),
        4 => {
            let (at, table, first, number, column) =
                dice.pick(&[(Side::Erp, "people", 900, 4, "code"), (Side::Crm, "users", 950, 3, "mail")]);
            side(world, at).spoil(table, first + u128::from(dice.below(number)), column);
        }
        _ => side(world, at).spoilt.lock().unwrap().clear(),
    }
}

/// Some records of either side, by their ids; of those without partner only, where that is asked for.
fn some(world: &World, dice: &mut Chance, alone: bool) -> Vec<String> {
    let couplings = world.store.couplings("customers", &[]).unwrap();
    let mut all: Vec<String> = Vec::new();
    for at in Side::BOTH {
        let partnered = if at == Side::Erp { &couplings.erp } else { &couplings.crm };
        let ids: Vec<Uuid> = side(world, at).all(table(at)).into_keys().collect();
        let of_side = if at == Side::Erp { "" } else { "crm:" };
        let chosen = ids.iter().filter(|id| !alone || !partnered.contains(id));
        all.extend(chosen.map(|id| format!("customers:{of_side}{id}")));
    }
    let number = (1 + dice.below(3)).min(all.len() as u64);
    (0..number).map(|_| all[usize::try_from(dice.below(all.len() as u64)).unwrap()].clone()).collect()
}

/// The customers of the person who has no partner.
fn of_nobody(world: &World) -> Vec<Uuid> {
    let all = world.erp.all("customers");
    all.into_iter()
        .filter(|(_, values)| values.get("person").is_some_and(|it| it == NOBODY))
        .map(|(id, _)| id)
        .collect()
}

/// Whom the CRM has for the customers of the person who has no partner, as long as that one's key cannot be read: nothing is
/// cleared for it.
fn left_in_peace(world: &World) -> BTreeMap<Uuid, String> {
    let key = (Uuid::from_u128(903), "code".to_owned());
    if !world.erp.spoilt.lock().unwrap().contains(&key) {
        return BTreeMap::new();
    }
    let couplings = world.store.couplings("customers", &[]).unwrap();
    let pairs: BTreeMap<Uuid, Uuid> = couplings.erp.into_iter().zip(couplings.crm).collect();
    let owner = |id: &Uuid| Some((*id, world.crm.get("accounts", pairs.get(id)?.as_u128(), "owner")));
    of_nobody(world).iter().filter_map(owner).filter(|(_, owner)| !owner.is_empty()).collect()
}

/// Whatever was left in peace is as it was.
fn assert_kept(world: &World, before: &BTreeMap<Uuid, String>, place: &str) {
    let now = left_in_peace(world);
    for (id, owner) in before {
        assert_eq!(now.get(id), Some(owner), "{place}: {id}");
    }
}

/// Runs over some records, as it was planned.
fn run_part(world: &mut World, selection: Selection, place: &str) -> RunReport {
    world.selection = selection.clone();
    let planned = world.run_as(true);
    world.selection = Selection::default();
    let before = left_in_peace(world);
    let report = world.run_part(selection).unwrap();
    assert_kept(world, &before, place);
    assert_eq!(waits(&planned), waits(&report), "{place}");
    report
}

/// Nothing is ever doubled, deleted or lost, and in the end both sides agree.
#[test]
fn whatever_cannot_be_read_for_a_while_both_sides_agree_in_the_end() {
    each_seed("whatever_cannot_be_read_for_a_while", 12, &[], |seed| {
        let mut dice = Chance(seed);
        let mut world = coupled(OnDelete::Delete, 14);
        let on_unresolved = dice.pick(&[OnUnresolved::Fail, OnUnresolved::Keep, OnUnresolved::Clear]);
        for field in world.pipeline.tables[1].fields.iter_mut().filter(|field| field.name() == "person") {
            (field.on_unresolved, field.blank) = (on_unresolved, Blank::Write);
        }
        for person in 0..4 {
            let (code, mail) = (format!("P{person}"), format!("p{person}@a.example"));
            world.erp.put("people", 900 + person, &[("code", &*code), ("email", &*mail), ("name", &*code)]);
            if code != NOBODY {
                world.crm.put("users", 950 + person, &[("mail", &*mail), ("name", &*code)]);
            }
        }
        world.run();
        let mut next = 1_000_u128;
        for night in 0..6 {
            let place = format!("seed {seed}, night {night}");
            for _ in 0..dice.below(6) {
                edit(&mut world, &mut dice, &mut next);
            }
            for at in Side::BOTH {
                side(&world, at).advance(7_200);
            }
            for alone in [false, true] {
                let records = if dice.below(2) == 0 { some(&world, &mut dice, alone) } else { Vec::new() };
                let records: Vec<&str> = records.iter().map(String::as_str).collect();
                if !records.is_empty() {
                    // What `run --only` does, and `couple --create` of those without partner.
                    run_part(&mut world, Selection { create: alone, ..only(&records) }, &place);
                }
            }
            let before = left_in_peace(&world);
            if dice.one_in(3) {
                world.attempt(false, &["customers"], &mut |_| {}).unwrap();
                assert_kept(&world, &before, &place);
            }
            world.changed = night % 2 == 1;
            let planned = world.run_as(true);
            let report = world.run();
            assert_kept(&world, &before, &place);
            assert_eq!(waits(&planned), waits(&report), "{place}");
            let spoilt = Side::BOTH.iter().any(|at| !side(&world, *at).spoilt.lock().unwrap().is_empty());
            let unresolved = on_unresolved == OnUnresolved::Fail && !of_nobody(&world).is_empty();
            let failed = report.inbox.iter().any(|item| item.kind == InboxKind::Failed);
            assert_eq!(failed, spoilt || unresolved, "{place}: {:?}", waits(&report));
        }
        world.changed = false;
        for at in Side::BOTH {
            side(&world, at).spoilt.lock().unwrap().clear();
        }
        for id in of_nobody(&world) {
            world.erp.put("customers", id.as_u128(), &[("person", "P0")]);
        }
        world.run();
        let report = world.run();
        let contested = report.inbox.iter().all(|item| item.kind == InboxKind::Contested);
        assert!(contested, "seed {seed}: {:?}", waits(&report));
        let expected = 14 + usize::try_from(next - 1_000).unwrap();
        assert_eq!(names(&world, Side::Erp).len(), expected, "seed {seed}");
        assert_eq!(names(&world, Side::Erp), names(&world, Side::Crm), "seed {seed}");
        let couplings = world.store.couplings("customers", &[]).unwrap();
        for erp in world.erp.all("customers").into_keys() {
            let at = couplings.erp.iter().position(|id| *id == erp).unwrap();
            let owner = world.crm.get("accounts", couplings.crm[at].as_u128(), "owner");
            let person = world.erp.get("customers", erp.as_u128(), "person");
            let leads = person
                .strip_prefix('P')
                .map_or(String::new(), |person| Uuid::from_u128(950 + person.parse::<u128>().unwrap()).to_string());
            assert_eq!(owner, leads, "seed {seed}: {erp}");
        }
        world.quiet();
    });
}
