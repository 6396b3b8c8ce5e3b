//! Couplings that people end, on two sides in memory: the records stay, and nothing is written about them any more.

use pipeline::address::Address;
use pipeline::by_hand::parting::{Parted, Parting, fails_without, part};
use pipeline::by_hand::{Desk, Objection};
use pipeline::cli::inbox::answer::Wish;
use pipeline::config::{Direction, OnDelete, PerSide, Side};
use pipeline::endpoint::Endpoint;
use pipeline::run::account::RunOutcome;
use pipeline::store::{InboxKind, Intent, JournalRow, Store};

use crate::by_hand::moment;
use crate::decisions::answer;
use crate::memory::Accident;
use crate::rules::{CUSTOMERS, PEOPLE, World};

/// Parts the named records, those of `along` that refer to them, or all; returns what would fail besides.
pub fn parted(
    world: &mut World,
    table: &str,
    names: &[&str],
    along: bool,
) -> Result<(Vec<Parted>, Vec<Parting>), Vec<Objection>> {
    let map = world.pipeline.tables.iter().find(|map| map.name == table).unwrap();
    let customers = world.pipeline.tables.iter().find(|map| map.name == "customers").unwrap();
    let sides = PerSide { erp: &world.erp as &dyn Endpoint, crm: &world.crm };
    let desk = Desk::open(&world.pipeline, sides, &world.store, map).unwrap();
    let addresses: Vec<Address> = names.iter().map(|name| Address::parse(name).unwrap()).collect();
    let mut partings = desk.look_apart(&world.store, &addresses, along).unwrap()?;
    let mut referring = match table {
        "people" => desk.referring(&world.store, customers, &partings).unwrap(),
        _ => Vec::new(),
    };
    if along {
        partings.append(&mut referring);
    }
    let number = u32::try_from(world.store.runs(999).unwrap().len()).unwrap();
    Ok((part(&desk, &mut world.store, partings, &moment(number)).unwrap(), referring))
}

/// What was written to a pair is told of each record after the two were parted, and why a run parted them.
#[test]
fn the_journal_knows_what_a_pair_was() {
    let mut world = World::settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    world.run();
    let couplings = world.store.couplings("customers", &[]).unwrap();
    let at = couplings.erp.iter().position(|id| id.as_u128() == 2).unwrap();
    let ids = PerSide { erp: couplings.erp[at], crm: couplings.crm[at] };
    let told = |world: &World, of: PerSide<Option<uuid::Uuid>>| {
        let writes = world.store.writes_to("customers", of, 9).unwrap();
        let told = |write: &JournalRow| {
            let Intent { action, record, why, .. } = &write.intent;
            format!("{action} {record}: {why} ({})", write.outcome.as_deref().unwrap_or("open"))
        };
        writes.iter().map(told).collect::<Vec<_>>()
    };
    let one = |side: Side| PerSide::from_fn(|of| (of == side).then_some(*ids.of(of)));
    let insert = told(&world, one(Side::Erp));
    assert!(insert.len() == 1 && insert[0].starts_with("insert customers:C2: "), "{insert:?}");
    parted(&mut world, "customers", &["customers:C2"], false).unwrap();
    for side in Side::BOTH {
        assert_eq!(told(&world, one(side)), ["uncouple customers:C2: by hand (done)".to_owned(), insert[0].clone()]);
    }

    let named = |world: &World, name: &str| {
        let writes = world.store.writes_named("customers", name, 9).unwrap();
        writes.iter().map(|write| write.intent.action.clone()).collect::<Vec<_>>()
    };
    assert_eq!(named(&world, "customers:crm:C2"), ["uncouple"], "of what it was called there only the end tells");

    // Both records of a pair are gone, of which nothing was ever written.
    world.erp.delete("customers", 1);
    world.crm.delete("accounts", 101);
    let of = PerSide { erp: Some(uuid::Uuid::from_u128(1)), crm: None };
    world.run_as(true);
    assert_eq!(told(&world, of), [""; 0], "a plan does nothing");
    let report = world.run();
    assert_eq!(report.tables[1].uncoupled, 1);
    assert_eq!(told(&world, of), ["uncouple customers:C1: both records are gone (done)"]);
    for name in ["customers:C1", "customers:crm:c1"] {
        assert_eq!(named(&world, name), ["uncouple"], "{name}");
    }
    world.run();
    assert_eq!(told(&world, of).len(), 1);

    // The survivor is kept apart, as the file says.
    let mut world = World::settled();
    // A side that is empty all of a sudden stops its table map.
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    world.run();
    world.pipeline.tables[1].on_delete = OnDelete::Uncouple;
    world.crm.delete("accounts", 101);
    world.run();
    let parting = "uncouple customers:C1: deleted in the CRM; the two are kept apart from now on (done)";
    assert_eq!(told(&world, of), [parting]);

    // The survivor is deleted as well, as the file says.
    let mut world = World::settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    world.run();
    world.pipeline.tables[1].on_delete = OnDelete::Delete;
    world.erp.delete("customers", 1);
    world.run();
    for name in ["customers:C1", "customers:crm:C1"] {
        assert_eq!(named(&world, name), ["delete"], "{name}");
    }
}

fn coupled(world: &World, table: &str) -> usize {
    world.store.couplings(table, &[]).unwrap().len()
}

#[test]
fn what_is_parted_is_written_no_more() {
    for name in ["customers:C1", "customers:crm:C1"] {
        let mut world = World::settled();
        world.erp.put("customers", 1, &[("name", "Ahlgren AB")]);
        world.crm.put("accounts", 101, &[("name", "Ahlgren AS")]);
        world.run();
        assert_eq!(world.store.inbox(None).unwrap().len(), 1);
        let (done, _) = parted(&mut world, "customers", &[name], false).unwrap();
        assert_eq!((done.len(), done[0].parting.record.as_str(), done[0].released), (1, "customers:C1", false));
        assert_eq!((coupled(&world, "customers"), world.store.inbox(None).unwrap().len()), (0, 0));
        let before = (world.erp.writes(), world.crm.writes());
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        assert_eq!((world.erp.writes(), world.crm.writes()), before, "neither matched nor made anew");
        let ids = PerSide { erp: Some(done[0].parting.ids.erp), crm: None };
        let journal = world.store.writes_to("customers", ids, 9).unwrap();
        assert_eq!((journal[0].intent.action.as_str(), journal[0].outcome.as_deref()), ("uncouple", Some("done")));
    }
}

#[test]
fn what_cannot_be_parted_stops_everything() {
    let mut world = World::settled();
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl"), ("blocked", "All")]);
    let objections =
        parted(&mut world, "customers", &["customers:C1", "customers:C2", "customers:C9"], false).unwrap_err();
    let told: Vec<&str> = objections.iter().map(|objection| objection.message.as_str()).collect();
    assert_eq!(told, ["`customers:C2` is not coupled", "the ERP has no record `customers:C9`"]);
    assert_eq!(coupled(&world, "customers"), 1);
}

#[test]
fn a_pair_of_which_one_record_is_gone_can_be_parted_by_either_name() {
    let id = format!("customers:crm:{}", uuid::Uuid::from_u128(101));
    for name in ["customers:C1", &id] {
        let mut world = World::settled();
        world.crm.delete("accounts", 101);
        let (done, _) = parted(&mut world, "customers", &[name], false).unwrap();
        assert_eq!((done[0].parting.gone, coupled(&world, "customers")), (Some(Side::Crm), 0));
        world.quiet();
    }
}

/// It is told once, nothing is parted, and the same command does it when the login is back.
#[test]
fn a_crm_that_refuses_the_login_in_the_middle_parts_nothing() {
    let mut world = north();
    world.crm.accidents.lock().unwrap().push(Accident::LockedOut);
    let customers = world.pipeline.tables.iter().find(|map| map.name == "customers").unwrap();
    let sides = PerSide { erp: &world.erp as &dyn Endpoint, crm: &world.crm };
    let desk = Desk::open(&world.pipeline, sides, &world.store, customers).unwrap();
    let address = Address::parse("customers:C1").unwrap();
    let partings = desk.look_apart(&world.store, &[address], false).unwrap().unwrap();
    let error = part(&desk, &mut world.store, partings, &moment(99)).unwrap_err();
    assert_eq!(error.to_string(), "CRM refused the login: not any more");
    assert_eq!(coupled(&world, "customers"), 1);
    world.crm.locked_out.store(false, std::sync::atomic::Ordering::Relaxed);
    let (done, _) = parted(&mut world, "customers", &["customers:C1"], false).unwrap();
    assert_eq!((done[0].released, coupled(&world, "customers")), (true, 0));
    world.quiet();
}

/// A CRM of several companies, in which account 101 is North's.
fn north() -> World {
    let text = CUSTOMERS.replace("filter: kind = 3", "filter: \"kind = 3 AND (company = 'North' OR company IS NULL)\"");
    let text =
        text.replace("{ crm: kind, value: 3 }", "{ crm: kind, value: 3 }\n      - { crm: company, value: North }");
    let mut world = World::with(&format!("{PEOPLE}{text}"));
    world.erp.put("customers", 1, &[("number", "C1"), ("name", "Ahlgren")]);
    world.crm.put("accounts", 101, &[("number", "C1"), ("name", "Ahlgren"), ("kind", "3")]);
    world.run();
    assert_eq!(world.crm.get("accounts", 101, "company"), "North");
    world
}

#[test]
fn a_parted_record_is_given_back_so_that_another_company_may_take_it() {
    for accident in [Accident::None, Accident::AnswerLost, Accident::RequestLost] {
        let mut world = north();
        world.crm.accidents.lock().unwrap().push(accident);
        let (done, _) = parted(&mut world, "customers", &["customers:C1"], false).unwrap();
        let arrives = accident != Accident::RequestLost;
        assert_eq!((done[0].released, done[0].failed.is_none()), (arrives, arrives), "{accident:?}");
        assert_eq!(world.crm.get("accounts", 101, "company").is_empty(), arrives, "{accident:?}");
        assert!(world.store.open_intents("customers").unwrap().is_empty(), "{accident:?}");
        assert_eq!(coupled(&world, "customers"), 0);
        world.quiet();
    }
    // The inbox asks neither side, and sends people to who does.
    let mut world = north();
    world.erp.put("customers", 1, &[("name", "A")]);
    world.crm.put("accounts", 101, &[("name", "B")]);
    world.run();
    let refused = answer(&mut world, "customers:C1", &Wish::Uncouple).unwrap_err();
    assert!(refused.contains("claimed for this company in the CRM, by `company`"), "{refused}");
    assert_eq!(coupled(&world, "customers"), 1);
    // What somebody changes after it was looked at may be another company's by then.
    let mut world = north();
    world.crm.meanwhile.lock().unwrap().push(("accounts", 101, "company", "South".to_owned()));
    let (done, _) = parted(&mut world, "customers", &["customers:C1"], false).unwrap();
    assert_eq!((done[0].released, done[0].failed.as_deref()), (false, Some("somebody changed it at the same time")));
    assert_eq!(world.crm.get("accounts", 101, "company"), "South");
    // What another company has claimed meanwhile is its own.
    let mut world = north();
    world.crm.put("accounts", 101, &[("company", "South")]);
    let (done, _) = parted(&mut world, "customers", &["customers:C1"], false).unwrap();
    assert_eq!((done[0].released, done[0].failed.is_none(), coupled(&world, "customers")), (false, true, 0));
    assert_eq!(world.crm.get("accounts", 101, "company"), "South");
    let mut world = north();
    *world.crm.refuses.lock().unwrap() = Some(Box::new(|_, _| Some("not allowed".to_owned())));
    let (done, _) = parted(&mut world, "customers", &["customers:C1"], false).unwrap();
    assert_eq!(done[0].failed.as_deref(), Some("not allowed"));
    assert_eq!(coupled(&world, "customers"), 0, "the link goes all the same");
}

#[test]
fn who_refers_to_what_is_parted_is_found_on_both_sides() {
    for along in [false, true] {
        let mut world = World::settled();
        world.erp.put("people", 11, &[("code", "AA"), ("email", "aa@a.example"), ("name", "A")]);
        world.crm.put("users", 111, &[("mail", "aa@a.example"), ("name", "A")]);
        world.erp.put("customers", 1, &[("person", "AA")]);
        world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl"), ("person", "AA")]);
        world.erp.put("customers", 3, &[("number", "C3"), ("name", "Eide")]);
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        // Somebody gives the second one to another owner in the CRM.
        let couplings = world.store.couplings("customers", &[]).unwrap();
        let at = couplings.erp.iter().position(|id| id.as_u128() == 2).unwrap();
        world.crm.put("accounts", couplings.crm[at].as_u128(), &[("owner", &uuid::Uuid::from_u128(999).to_string())]);
        let (done, left) = parted(&mut world, "people", &["people:AA"], along).unwrap();
        let names = |all: &[Parting]| all.iter().map(|one| one.record.clone()).collect::<Vec<_>>();
        let done: Vec<Parting> = done.into_iter().map(|one| one.parting).collect();
        assert_eq!(names(&left), if along { vec![] } else { vec!["customers:C1"] });
        assert_eq!(names(&done), if along { vec!["people:AA", "customers:C1"] } else { vec!["people:AA"] });
        assert_eq!((coupled(&world, "people"), coupled(&world, "customers")), (0, if along { 2 } else { 3 }));
    }
}

#[test]
fn a_whole_table_map_can_be_parted() {
    let mut world = World::settled();
    for number in 2..6_u128 {
        world.erp.put("customers", number, &[("number", &format!("C{number}")), ("name", "X")]);
    }
    world.run();
    let (done, _) = parted(&mut world, "customers", &[], false).unwrap();
    assert_eq!((done.len(), coupled(&world, "customers")), (5, 0));
    world.quiet();
}

#[test]
fn references_by_different_columns_are_all_found() {
    let by_mail = "erp: memo, crm: parent, ref: { table: people, erp: email }";
    let customers = CUSTOMERS.replace("erp: parent, crm: parent, ref: { table: customers, erp: number }", by_mail);
    let mut world = World::settled_with(&format!("{PEOPLE}{customers}"));
    world.erp.put("people", 11, &[("code", "AA"), ("email", "aa@a.example"), ("name", "A")]);
    world.crm.put("users", 111, &[("mail", "aa@a.example"), ("name", "A")]);
    world.erp.put("customers", 1, &[("person", "AA")]);
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl"), ("memo", "aa@a.example")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    let (_, referring) = parted(&mut world, "people", &["people:AA"], false).unwrap();
    let mut records: Vec<&str> = referring.iter().map(|parting| parting.record.as_str()).collect();
    records.sort_unstable();
    assert_eq!(records, ["customers:C1", "customers:C2"]);
}

#[test]
fn who_refers_to_what_was_parted_is_told_what_becomes_of_it() {
    for direction in [Direction::Both, Direction::ToCrm] {
        let mut world = World::settled();
        world.pipeline.tables[1].fields[5].direction = Some(direction);
        world.erp.put("people", 11, &[("code", "AA"), ("email", "aa@a.example"), ("name", "A")]);
        world.crm.put("users", 111, &[("mail", "aa@a.example"), ("name", "A")]);
        world.erp.put("customers", 1, &[("person", "AA")]);
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        let (_, referring) = parted(&mut world, "people", &["people:AA"], false).unwrap();
        assert_eq!(referring.len(), 1);
        let fails = fails_without(&world.pipeline.tables[1], "people");
        assert_eq!(fails, direction == Direction::ToCrm);
        let report = world.run();
        let failed = report.inbox.iter().any(|item| item.kind == InboxKind::Failed && item.record == "customers:C1");
        assert_eq!(failed, fails, "{direction:?}: {:#?}", report.inbox);
        // What newly refers to it has nowhere to lead to.
        world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl"), ("person", "AA")]);
        let failed =
            |report: pipeline::run::account::RunReport| report.inbox.iter().any(|item| item.record == "customers:C2");
        assert!(failed(world.run()), "{direction:?}");
    }
}
