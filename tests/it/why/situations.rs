//! What `why` says in each situation, as people read it.

use std::collections::BTreeSet;

use insta::assert_snapshot;
use pipeline::config::{PerSide, Side};
use pipeline::endpoint::Endpoint;
use pipeline::report;
use uuid::Uuid;

use super::{agrees_everywhere, ask};
use crate::rules::{CUSTOMERS, PEOPLE, World};

/// Returns what `why` says of a record, after it was found to be what a plan says of all records.
#[track_caller]
fn told(world: &mut World, table: &str, side: Side, id: u128) -> String {
    agrees_everywhere(world, "a situation");
    let pipeline = world.pipeline.clone();
    let sides = PerSide { erp: &world.erp as &dyn Endpoint, crm: &world.crm };
    let why = ask(&pipeline, sides, &mut world.store, (table, side, Uuid::from_u128(id)));
    let json: serde_json::Value = serde_json::from_str(&report::why::json(&why)).unwrap();
    assert_eq!(json["verdict"], why.verdict.kind.key());
    report::why::text(&why)
}

/// One customer that is coupled and settled, and its salesperson.
fn settled() -> World {
    let mut world = World::new();
    world.erp.put("people", 11, &[("code", "AA"), ("email", "aa@a.example"), ("name", "Anna")]);
    world.crm.put("users", 111, &[("mail", "aa@a.example"), ("name", "Anna")]);
    world.erp.put("customers", 1, &[("number", "C1"), ("name", "Ahlgren"), ("city", "Oslo"), ("person", "AA")]);
    world.crm.put("accounts", 101, &[("number", "C1"), ("name", "Ahlgren"), ("city", "Oslo"), ("kind", "3")]);
    world.run();
    world
}

#[test]
fn in_sync() {
    assert_snapshot!(told(&mut settled(), "customers", Side::Crm, 101));
}

#[test]
fn edited_on_either_side() {
    let mut world = settled();
    world.erp.put("customers", 1, &[("name", "Ahlgren AB")]);
    world.crm.put("accounts", 101, &[("city", "Moss"), ("number", "X")]);
    assert_snapshot!(told(&mut world, "customers", Side::Erp, 1));
}

#[test]
fn contested() {
    let mut world = settled();
    world.erp.put("customers", 1, &[("name", "Ahlgren AB"), ("phone", "1")]);
    world.crm.put("accounts", 101, &[("name", "Ahlgren AS")]);
    world.run();
    assert_snapshot!(told(&mut world, "customers", Side::Erp, 1));
}

#[test]
fn on_one_side_alone() {
    let mut world = settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    world.erp.put("people", 12, &[("code", "BB"), ("email", "bb@a.example")]);
    assert_snapshot!("created", told(&mut world, "customers", Side::Erp, 2));
    assert_snapshot!("not_created", told(&mut world, "people", Side::Erp, 12));
}

#[test]
fn outside_the_filter() {
    let tables = format!("{PEOPLE}{CUSTOMERS}").replace("filter: kind = 3", "filter: kind = 3 AND city <> 'Nowhere'");
    let mut world = World::with(&tables);
    world.crm.put("accounts", 105, &[("number", "C5"), ("name", "A supplier"), ("kind", "10"), ("city", "Moss")]);
    world.erp.put("customers", 5, &[("number", "C5"), ("name", "A supplier")]);
    world.erp.put("customers", 6, &[("number", "C6"), ("name", "Dahl")]);
    world.crm.put("accounts", 106, &[("number", "C6"), ("name", "Dahl"), ("kind", "3"), ("city", "Moss")]);
    world.run();
    assert_snapshot!("outside_uncoupled", told(&mut world, "customers", Side::Crm, 105));
    assert_snapshot!("partner_outside_uncoupled", told(&mut world, "customers", Side::Erp, 5));
    world.crm.put("accounts", 106, &[("city", "Nowhere"), ("phone", "7")]);
    assert_snapshot!("outside_coupled", told(&mut world, "customers", Side::Erp, 6));
}

#[test]
fn a_filter_without_an_answer() {
    let tables = format!("{PEOPLE}{CUSTOMERS}").replace("blocked = ''", "CAST(memo AS INTEGER) = 1");
    let mut world = World::with(&tables);
    world.erp.put("customers", 1, &[("number", "C1"), ("memo", "one")]);
    assert_snapshot!(told(&mut world, "customers", Side::Erp, 1));
}

#[test]
fn ambiguous() {
    let mut world = settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl"), ("city", "Bergen")]);
    world.crm.put("accounts", 102, &[("name", "Dahl"), ("city", "Bergen"), ("kind", "3")]);
    world.crm.put("accounts", 103, &[("name", "Dahl"), ("city", "Bergen"), ("kind", "3")]);
    world.crm.put("accounts", 104, &[("number", "C1"), ("name", "Ahlgren II"), ("kind", "3")]);
    assert_snapshot!("ambiguous", told(&mut world, "customers", Side::Erp, 2));
    assert_snapshot!("already_coupled", told(&mut world, "customers", Side::Crm, 104));
}

#[test]
fn told_apart() {
    let mut world = settled();
    world.crm.put("accounts", 105, &[("number", "C5"), ("name", "Ahlgren"), ("city", "Oslo"), ("kind", "3")]);
    assert_snapshot!(told(&mut world, "customers", Side::Crm, 105));
}

#[test]
fn failed_and_skipped() {
    let mut world = settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl"), ("person", "XX")]);
    world.run();
    assert_snapshot!("failed", told(&mut world, "customers", Side::Erp, 2));
    *world.crm.refuses.lock().unwrap() = Some(Box::new(|_, write| {
        write.fields.iter().any(|(column, _)| column == "name").then(|| "the name is taken".to_owned())
    }));
    world.erp.put("customers", 1, &[("name", "Ahlgren AB")]);
    world.run();
    world.run();
    world.run();
    assert_snapshot!("skipped", told(&mut world, "customers", Side::Erp, 1));
}

#[test]
fn deleted() {
    let mut world = settled();
    // A side that is empty all of a sudden stops its table map.
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    world.run();
    world.crm.delete("accounts", 101);
    assert_snapshot!("deleted_held", told(&mut world, "customers", Side::Erp, 1));
    world.pipeline.tables[1].on_delete = pipeline::config::OnDelete::Restore;
    assert_snapshot!("deleted_restored", told(&mut world, "customers", Side::Erp, 1));
    world.pipeline.tables[1].on_delete = pipeline::config::OnDelete::Uncouple;
    world.run();
    assert_snapshot!("kept_apart", told(&mut world, "customers", Side::Erp, 1));
}

/// It is not said to be gone, and not said to agree either.
#[test]
fn hidden() {
    for at in Side::BOTH {
        let (id, forbids) = (if at == Side::Erp { 1 } else { 101 }, at.name());
        let mut world = settled();
        let memory = if at == Side::Erp { &world.erp } else { &world.crm };
        *memory.hidden.lock().unwrap() = BTreeSet::from([Uuid::from_u128(id)]);
        let forbidden = told(&mut world, "customers", Side::Erp, 1);
        let memory = if at == Side::Erp { &world.erp } else { &world.crm };
        *memory.untold.lock().unwrap() = BTreeSet::from([Uuid::from_u128(id)]);
        let untold = told(&mut world, "customers", Side::Erp, 1);
        let id = Uuid::from_u128(id);
        for (told, line, verdict) in [
            (forbidden, "the login may not read it", format!("the {forbids} does not let the login read it")),
            (untold, "whether it is still there cannot be told", format!("it is in no list of the {forbids}")),
        ] {
            assert!(told.contains(&format!("{forbids} {id}: {line}\n")) && told.contains(&verdict), "{told}");
            assert!(!told.contains("not there any more") && !told.contains("both sides agree"), "{told}");
        }
    }
}

#[test]
fn gone_on_both_sides() {
    let mut world = settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    world.run();
    world.erp.delete("customers", 1);
    world.crm.delete("accounts", 101);
    assert_snapshot!(told(&mut world, "customers", Side::Erp, 1));
}

#[test]
fn one_way_fields_and_policies() {
    let tables = format!("{PEOPLE}{CUSTOMERS}")
        .replace(
            "{ erp: limit, crm: limit, direction: to_crm }",
            "{ erp: limit, crm: limit, direction: to_crm, drift: leave }",
        )
        .replace("{ erp: phone, crm: phone }", "{ erp: phone, crm: phone, when: create }")
        .replace("{ erp: city, crm: city }", "{ erp: city, crm: city, blank: keep }");
    let mut world = World::with(&tables);
    world.erp.put("customers", 1, &[("number", "C1"), ("name", "Ahlgren"), ("city", "Oslo"), ("limit", "5")]);
    world.crm.put("accounts", 101, &[("number", "C1"), ("city", "Oslo"), ("limit", "5"), ("kind", "3")]);
    world.run();
    world.crm.put("accounts", 101, &[("limit", "9"), ("phone", "1"), ("kind", "3")]);
    world.erp.put("customers", 1, &[("city", ""), ("phone", "2"), ("parent", "C9")]);
    assert_snapshot!(told(&mut world, "customers", Side::Erp, 1));
}

#[test]
fn stopped_by_a_guard() {
    let tables = format!("{PEOPLE}{CUSTOMERS}").replace("create: both", "create: both\n    guard: { create: 0 }");
    let mut world = World::with(&tables);
    world.erp.put("customers", 1, &[("number", "C1"), ("name", "Ahlgren")]);
    assert_snapshot!(told(&mut world, "customers", Side::Erp, 1));
}

#[test]
fn a_deletion_that_is_undone_is_told_by_either_name() {
    use crate::decisions::answer;
    use pipeline::cli::inbox::answer::Wish;
    for gone in Side::BOTH {
        let mut world = settled();
        // A side that lost everything is another matter.
        world.erp.put("customers", 9, &[("number", "C9"), ("name", "Ek")]);
        world.run();
        match gone {
            Side::Erp => world.erp.delete("customers", 1),
            Side::Crm => world.crm.delete("accounts", 101),
        }
        world.run();
        let record = if gone == Side::Erp { "customers:crm:C1" } else { "customers:C1" };
        answer(&mut world, record, &Wish::Restore).unwrap();
        for (side, id) in [(Side::Erp, 1), (Side::Crm, 101)] {
            let pipeline = world.pipeline.clone();
            let sides = PerSide { erp: &world.erp as &dyn Endpoint, crm: &world.crm };
            let why = ask(&pipeline, sides, &mut world.store, ("customers", side, Uuid::from_u128(id)));
            let begins = format!("the next run makes it anew in the {}", gone.name());
            assert!(why.verdict.message.starts_with(&begins), "{gone:?} {side:?}: {:#?}", why.verdict);
        }
    }
}

#[test]
fn what_hangs_on_a_record_that_was_refused_waits() {
    let mut world = settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl"), ("parent", "C3")]);
    world.erp.put("customers", 3, &[("number", "C3"), ("name", "Ek")]);
    *world.crm.refuses.lock().unwrap() = Some(Box::new(|_, write| {
        let named = |(column, value): &(String, pipeline::frame::Value)| column == "name" && value.to_string() == "Ek";
        write.fields.iter().any(named).then(|| "no".to_owned())
    }));
    world.run();
    *world.crm.refuses.lock().unwrap() = None;
    let told = told(&mut world, "customers", Side::Erp, 2);
    assert!(told.starts_with("customers:C2 cannot go to the CRM: "), "{told}");
}
