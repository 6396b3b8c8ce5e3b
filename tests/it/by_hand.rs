//! Couplings that people make, on two sides in memory: what is refused, what is stored, and what the next run does.

use pipeline::address::Address;
use pipeline::by_hand::bonds::{bonds, moved};
use pipeline::by_hand::{Desk, Moment, Objection, Pair, Wanted};
use pipeline::config::{Create, PerSide, Side};
use pipeline::endpoint::Endpoint;
use pipeline::report::couple::{Coupled, First, text as couple_text};
use pipeline::report::selected::overwritten;
use pipeline::run::account::{RunOutcome, RunReport};
use pipeline::run::chosen::Standing;
use pipeline::run::selection::Selection;
use pipeline::store::{CouplingChange, Origin, Store};
use uuid::Uuid;

use crate::rules::{CUSTOMERS, PEOPLE, World};
use crate::selected::{force, only};

pub fn moment(number: u32) -> Moment {
    Moment { run: format!("by hand {number}"), at: "2026-01-31T03:00:00Z".to_owned() }
}

/// Looks at pairs, and couples them where nothing is against it.
pub fn by_hand(world: &mut World, names: &[(&str, &str)]) -> Result<Vec<Pair>, Vec<Objection>> {
    let address = |name: &str| Address::parse(name).unwrap();
    let table = address(names[0].0).table;
    let map = world.pipeline.tables.iter().find(|map| map.name == table).unwrap();
    let sides = PerSide { erp: &world.erp as &dyn Endpoint, crm: &world.crm };
    let wanted: Vec<Wanted> = names
        .iter()
        .enumerate()
        .map(|(at, (one, other))| Wanted { line: Some(at + 2), addresses: [address(one), address(other)] })
        .collect();
    let desk = Desk::open(&world.pipeline, sides, &world.store, map).unwrap();
    let pairs = desk.look(&world.store, &wanted).unwrap()?.pairs;
    let number = u32::try_from(world.store.runs(999).unwrap().len()).unwrap();
    desk.couple(&mut world.store, &pairs, &moment(number)).unwrap();
    Ok(pairs)
}

/// Has the partner of a record made as `couple --create` does, with `--yes` where `double` is said; the plan of it is what the
/// run does.
pub fn create(world: &mut World, record: &str, double: bool) -> RunReport {
    let address = Address::parse(record).unwrap();
    let at = world.pipeline.tables.iter().position(|map| map.name == address.table).unwrap();
    let map = &world.pipeline.tables[at];
    let sides = PerSide { erp: &world.erp as &dyn Endpoint, crm: &world.crm };
    let desk = Desk::open(&world.pipeline, sides, &world.store, map).unwrap();
    desk.look_alone(&world.store, std::slice::from_ref(&address)).unwrap().unwrap();
    desk.prepare_alone(&mut world.store, &[address]).unwrap();
    let along = Create::along(map.direction);
    let usual = std::mem::replace(&mut world.pipeline.tables[at].create, along);
    world.selection = Selection { create: true, double, ..only(&[record]) };
    let planned = world.run_as(true);
    let report = world.run();
    world.selection = Selection::default();
    world.pipeline.tables[at].create = usual;
    let actions = |report: &RunReport| report.plan.actions().cloned().collect::<Vec<_>>();
    assert_eq!(actions(&planned), actions(&report), "{record}: the plan is the run (I8)");
    report
}

/// Customers 2 and 3, accounts 102 and 103, of which no rule knows who belongs to whom.
fn strangers() -> World {
    let mut world = World::settled_with(&format!("{PEOPLE}{}", CUSTOMERS.replace("create: both", "create: none")));
    for (id, name) in [(2, "Dahl"), (3, "Eide")] {
        let code = format!("C{id}");
        world.erp.put("customers", id, &[("number", &code), ("name", name), ("phone", "5")]);
        let code = format!("A{id}");
        world.crm.put("accounts", 100 + id, &[("number", &code), ("name", &format!("{name} AS")), ("kind", "3")]);
    }
    world.run();
    assert_eq!(world.store.couplings("customers", &[]).unwrap().len(), 1);
    world
}

#[test]
fn a_pair_coupled_by_hand_is_as_if_matched() {
    let mut world = strangers();
    let writes = (world.erp.writes(), world.crm.writes());
    let pairs = by_hand(&mut world, &[("customers:C2", "customers:crm:A2")]).unwrap();
    assert_eq!((pairs[0].record.as_str(), pairs[0].notes.len()), ("customers:C2", 0));
    assert_eq!((world.erp.writes(), world.crm.writes()), writes, "coupling writes neither side");
    let couplings = world.store.couplings("customers", &[]).unwrap();
    assert_eq!(couplings.origins[1], Origin::Hand);
    let ids = PerSide { erp: Some(couplings.erp[1]), crm: Some(couplings.crm[1]) };
    let journal = world.store.writes_to("customers", ids, 9).unwrap();
    assert_eq!((journal[0].intent.action.as_str(), journal[0].outcome.as_deref()), ("couple", Some("done")));
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(world.crm.get("accounts", 102, "name"), "Dahl", "`first_sync` decides");
    assert_eq!(world.crm.get("accounts", 102, "number"), "C2");
    world.quiet();

    // The same two, found by a rule in another world.
    let mut other = strangers();
    other.crm.put("accounts", 102, &[("number", "C2")]);
    other.run();
    assert_eq!(other.crm.all("accounts"), world.crm.all("accounts"));
    assert_eq!(other.erp.all("customers"), world.erp.all("customers"));
}

/// Nobody concludes from a refusal that a record is gone, whatever kind of coupling is asked for.
#[test]
fn a_partner_that_the_login_may_not_read_is_not_deleted() {
    let mut world = strangers();
    let hidden = Uuid::from_u128(101);
    world.crm.hidden.lock().unwrap().insert(hidden);
    let told = by_hand(&mut world, &[("customers:C1", "customers:crm:A2")]).unwrap_err();
    let expected = format!("customers:C1 is coupled already, with {hidden}, which the login may not read");
    assert_eq!(told[0].message, expected);
    let alone = |world: &World| {
        let sides = PerSide { erp: &world.erp as &dyn Endpoint, crm: &world.crm };
        let desk = Desk::open(&world.pipeline, sides, &world.store, &world.pipeline.tables[1]).unwrap();
        desk.look_alone(&world.store, &[Address::parse("customers:C1").unwrap()]).unwrap()
    };
    assert_eq!(alone(&world).unwrap_err()[0].message, expected);
    assert_eq!(world.store.couplings("customers", &[]).unwrap().len(), 1);
    // Once it is really gone, its coupling gives way.
    world.crm.hidden.lock().unwrap().clear();
    world.crm.delete("accounts", 101);
    assert_eq!(alone(&world).unwrap()[0].dead.len(), 1);
    by_hand(&mut world, &[("customers:C1", "customers:crm:A2")]).unwrap();
}

#[test]
fn all_that_stands_in_the_way_is_told_at_once_and_nothing_is_coupled() {
    let mut world = strangers();
    let objections = by_hand(
        &mut world,
        &[
            ("customers:C2", "customers:crm:A2"),
            ("customers:C9", "customers:crm:A9"),
            ("customers:C2", "customers:C3"),
            ("customers:C1", "customers:crm:A3"),
            ("customers:C3", "customers:crm:C1"),
            ("customers:C1", "customers:crm:C1"),
            ("customers:C2", "customers:crm:A3"),
        ],
    )
    .unwrap_err();
    let told: Vec<String> =
        objections.iter().map(|objection| format!("{}: {}", objection.line.unwrap(), objection.message)).collect();
    assert_eq!(
        told,
        [
            "3: the ERP has no record `customers:C9`",
            "3: the CRM has no record `customers:crm:A9`",
            "4: `customers:C2` and `customers:C3` are both of the ERP",
            "5: customers:C1 is coupled already, with customers:crm:C1",
            "6: customers:crm:C1 is coupled already, with customers:C1",
            "7: customers:C1 is named twice",
            "7: customers:crm:C1 is named twice",
            "8: customers:C2 is named twice",
            "8: customers:crm:A3 is named twice",
        ]
    );
    assert!(objections[3].hint.contains("`pipeline uncouple FILE customers:C1`"), "{:#?}", objections[3]);
    assert_eq!(world.store.couplings("customers", &[]).unwrap().len(), 1);
}

#[test]
fn a_dead_coupling_gives_way_and_one_that_was_parted_is_whole_again() {
    let mut world = strangers();
    world.crm.delete("accounts", 101);
    let pairs = by_hand(&mut world, &[("customers:C1", "customers:crm:A2")]).unwrap();
    assert!(pairs[0].notes[0].contains("the CRM has no such record any more"), "{pairs:#?}");
    assert_eq!(world.store.couplings("customers", &[]).unwrap().len(), 1);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(world.crm.get("accounts", 102, "name"), "Ahlgren");

    let couplings = world.store.couplings("customers", &[]).unwrap();
    let (erp, crm, record) = (couplings.erp[0], couplings.crm[0], String::new());
    world.store.commit("customers", &[], &[CouplingChange::KeepApart { erp, crm, record }], &[]).unwrap();
    by_hand(&mut world, &[("customers:crm:C1", "customers:C1")]).unwrap();
    assert!(world.store.kept_apart("customers").unwrap().erp.is_empty());
    world.quiet();
}

#[test]
fn a_record_outside_its_filter_is_coupled_and_told() {
    let mut world = strangers();
    world.erp.put("customers", 2, &[("blocked", "All")]);
    let pairs = by_hand(&mut world, &[("customers:C2", "customers:crm:A2")]).unwrap();
    assert_eq!(pairs[0].notes, ["customers:C2 is outside its filter: nothing is written until it comes back"]);
    world.run();
    assert_eq!(world.crm.get("accounts", 102, "name"), "Dahl AS");
}

#[test]
fn a_partner_is_made_for_a_record_that_is_kept_apart_and_for_no_other() {
    let mut world = strangers();
    by_hand(&mut world, &[("customers:C2", "customers:crm:A2")]).unwrap();
    world.run();
    let couplings = world.store.couplings("customers", &[]).unwrap();
    let at = couplings.erp.iter().position(|id| id.as_u128() == 2).unwrap();
    let (erp, crm, record) = (couplings.erp[at], couplings.crm[at], String::new());
    world.store.commit("customers", &[], &[CouplingChange::KeepApart { erp, crm, record }], &[]).unwrap();
    // What `couple --create` asks for.
    world.pipeline.tables[1].create = pipeline::config::Create::Both;
    let wanted = Selection { create: true, ..only(&["customers:C2"]) };
    let report = world.run_part(wanted.clone()).unwrap();
    let left = &report.tables[0].selected[0];
    let alike = Some("customers:crm:C2, which is kept apart, looks the same");
    assert_eq!((left.standing, left.outlook.unpartnered.as_deref()), (Standing::Alone, alike), "{report:#?}");
    let report = world.run_part(Selection { double: true, ..wanted }).unwrap();
    assert_eq!(report.outcome, RunOutcome::Converged, "{report:#?}");
    world.pipeline.tables[1].create = pipeline::config::Create::None;
    let couplings = world.store.couplings("customers", &[]).unwrap();
    let at = couplings.erp.iter().position(|id| id.as_u128() == 2).unwrap();
    assert_eq!(couplings.origins[at], Origin::Created(Side::Crm));
    let apart = world.store.kept_apart("customers").unwrap();
    assert_eq!((apart.erp.len(), apart.crm.len()), (0, 1), "its former partner stays apart");
    assert_eq!(world.erp.column("customers", "name").len(), 3);
    world.quiet();
}

/// The id of a record that we make follows from the one that it is made for, and so does not tell any more for whom it is
/// once a person has given it to somebody else, or to nobody.
#[test]
fn a_record_that_we_made_and_that_has_another_partner_now_is_not_taken_back() {
    let made = |world: &World| {
        let couplings = world.store.couplings("customers", &[]).unwrap();
        let at = couplings.erp.iter().position(|id| id.as_u128() == 5).unwrap();
        assert_eq!(couplings.origins[at], Origin::Created(Side::Crm));
        couplings.crm[at]
    };
    let create = |world: &mut World| {
        let wanted = Selection { create: true, double: true, ..only(&["customers:C55"]) };
        world.run_part(wanted).unwrap()
    };
    for way in ["made anew", "parted, given away", "parted"] {
        let mut world = strangers();
        world.pipeline.tables[1].create = pipeline::config::Create::Both;
        world.erp.put("customers", 5, &[("number", "C5"), ("name", "Eng")]);
        world.run();
        let account = made(&world);
        let give_away = |world: &mut World| {
            world.erp.put("customers", 6, &[("number", "C6"), ("name", "Foss"), ("blocked", "All")]);
            by_hand(world, &[("customers:C6", &format!("customers:crm:{account}"))]).unwrap();
        };
        let report = match way {
            "made anew" => {
                world.erp.delete("customers", 5);
                give_away(&mut world);
                world.erp.put("customers", 5, &[("number", "C55"), ("name", "Somebody else")]);
                world.run()
            }
            _ => {
                let change = CouplingChange::KeepApart { erp: Uuid::from_u128(5), crm: account, record: String::new() };
                world.store.commit("customers", &[], &[change], &[]).unwrap();
                if way == "parted, given away" {
                    give_away(&mut world);
                }
                // By its old number it would be taken for a record that has a partner.
                world.erp.put("customers", 5, &[("number", "C55"), ("name", "Engh")]);
                create(&mut world)
            }
        };
        assert_eq!(report.outcome, RunOutcome::Converged, "{way}: {:#?}", report.inbox);
        assert_ne!(made(&world), account, "{way}");
        assert_eq!(world.crm.get("accounts", account.as_u128(), "name"), "Eng", "{way}");
        world.quiet();
    }
}

#[test]
fn what_a_synchronization_would_overwrite_is_known_before_anything_is_coupled() {
    for side in Side::BOTH {
        let mut world = strangers();
        // The partner that the account had is gone, and their coupling gives way.
        world.erp.delete("customers", 1);
        world.crm.put("accounts", 101, &[("number", "A1"), ("phone", "7"), ("limit", "9")]);
        let ids = PerSide { erp: uuid::Uuid::from_u128(2), crm: uuid::Uuid::from_u128(101) };
        let before = (world.erp.writes(), world.crm.writes());
        world.selection = Selection {
            pairs: vec![("customers".to_owned(), ids)],
            ..force(side, &[&format!("customers:{}", ids.erp)])
        };
        let planned = world.run_as(true).tables.remove(0).overwritten;
        world.selection = Selection::default();
        assert_eq!((world.erp.writes(), world.crm.writes()), before);
        assert_eq!(world.store.couplings("customers", &[]).unwrap().len(), 1);
        let lost: Vec<(&str, &str, &str)> =
            planned.iter().map(|lost| (lost.field.as_str(), lost.old.as_str(), lost.new.as_str())).collect();
        // The city of customer 2 is blank: in the ERP there is nothing to overwrite, in the CRM a blank wins.
        let expected = match side {
            Side::Crm => vec![
                ("city", "Oslo", ""),
                ("limit", "9", ""),
                ("name", "Ahlgren", "Dahl"),
                ("number", "A1", "C2"),
                ("phone", "7", "5"),
            ],
            // What the ERP owns goes to the CRM all the same.
            Side::Erp => {
                vec![("limit", "9", ""), ("name", "Dahl", "Ahlgren"), ("number", "A1", "C2"), ("phone", "5", "7")]
            }
        };
        assert_eq!(lost, expected, "{side:?}");
        by_hand(&mut world, &[("customers:C2", &format!("customers:crm:{}", ids.crm))]).unwrap();
        let report = world.run_part(force(side, &["customers:C2"])).unwrap();
        assert_eq!(report.tables[0].overwritten, planned, "{side:?}");
    }
}

#[test]
fn records_that_values_point_to_are_told_by_name() {
    let mut world = strangers();
    for (id, code) in [(11, "SP1"), (12, "SP2")] {
        let mail = format!("{code}@a.example");
        world.erp.put("people", id, &[("code", code), ("email", &mail)]);
        world.crm.put("users", 100 + id, &[("mail", &mail)]);
    }
    world.run();
    world.erp.put("customers", 2, &[("person", "SP2")]);
    world.crm.put("accounts", 102, &[("owner", &uuid::Uuid::from_u128(111).to_string())]);
    let ids = PerSide { erp: uuid::Uuid::from_u128(2), crm: uuid::Uuid::from_u128(102) };
    world.selection = Selection { pairs: vec![("customers".to_owned(), ids)], ..force(Side::Crm, &["customers:C2"]) };
    let planned = world.run_as(true);
    world.selection = only(&["customers:C2"]);
    let lines = overwritten(&planned.tables, &planned.names, true);
    assert!(lines.iter().any(|line| line.ends_with("` for people:SP2")), "{lines:#?}");
    let pairs = by_hand(&mut world, &[("customers:C2", "customers:crm:A2")]).unwrap();
    let map = world.pipeline.tables[1].clone();
    // Whom the value that gives way leads to, the run need not know; who shows it asks.
    let mut first = world.run_as(true);
    first.names.insert(uuid::Uuid::from_u128(111), "people:SP1".to_owned());
    let told = couple_text(&Coupled { pairs, first: Some(First { report: first, outside: 0 }), ..Coupled::new(&map) });
    let line = "  customers:C2 owner: ERP people:SP2, CRM people:SP1; ERP → CRM (the ERP owns the field)\n";
    assert!(told.contains(line), "{told}");
}

#[test]
fn a_pair_that_is_not_compared_is_not_told_to_agree() {
    let mut world = strangers();
    world.erp.put("customers", 2, &[("blocked", "All")]);
    let pairs = by_hand(&mut world, &[("customers:C2", "customers:crm:A2")]).unwrap();
    let map = world.pipeline.tables[1].clone();
    world.selection = Selection { records: vec![Address::parse("customers:C2").unwrap()], ..Selection::default() };
    let first = Some(First { report: world.run_as(true), outside: 1 });
    let told = couple_text(&Coupled { pairs, first, ..Coupled::new(&map) });
    assert!(told.contains("1 pair was not compared, because a record of it is outside its filter"), "{told}");
    assert!(!told.contains("no mapped field differs"), "{told}");
}

#[test]
fn a_doubt_ends_with_the_coupling_that_settles_it() {
    let mut world = World::settled();
    for id in [102, 103] {
        world.crm.put("accounts", id, &[("number", "C2"), ("name", "Dahl"), ("kind", "3")]);
    }
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl")]);
    world.run();
    let waits = |world: &World| world.store.inbox(None).unwrap();
    let of_customer = |world: &World| waits(world).into_iter().filter(|item| item.record == "customers:C2").count();
    assert_eq!(of_customer(&world), 1, "{:#?}", waits(&world));
    let since: Vec<String> = waits(&world).into_iter().map(|item| item.since).collect();
    let account = format!("customers:crm:{}", uuid::Uuid::from_u128(102));
    by_hand(&mut world, &[("customers:C2", &account)]).unwrap();
    assert_eq!(of_customer(&world), 0, "{:#?}", waits(&world));
    assert!(waits(&world).iter().all(|item| since.contains(&item.since)), "what else waits is as it was");
}

#[test]
fn whoever_was_coupled_or_parted_meanwhile_is_seen() {
    let mut world = strangers();
    let ids = |erp: u128, crm: u128| PerSide { erp: Uuid::from_u128(erp), crm: Uuid::from_u128(crm) };
    let shown = bonds(&world.store, [("customers", ids(1, 101)), ("customers", ids(2, 102))]).unwrap();
    assert_eq!(shown.len(), 4);
    let moved_now = |world: &World| moved(&world.store, &shown).unwrap().map(|bond| (bond.side, bond.id.as_u128()));
    world.run();
    assert_eq!(moved_now(&world), None, "what is settled anew is no other coupling");
    let PerSide { erp, crm } = ids(1, 101);
    let parted = CouplingChange::KeepApart { erp, crm, record: String::new() };
    let again = CouplingChange::Couple { erp, crm, origin: Origin::Hand };
    world.store.commit("customers", &[], &[parted], &[]).unwrap();
    assert_eq!(moved_now(&world), Some((Side::Erp, 1)));
    world.store.commit("customers", &[], &[again], &[]).unwrap();
    assert_eq!(moved_now(&world), None);
    let PerSide { erp, crm } = ids(3, 102);
    world.store.commit("customers", &[], &[CouplingChange::Couple { erp, crm, origin: Origin::Hand }], &[]).unwrap();
    assert_eq!(moved_now(&world), Some((Side::Crm, 102)));
}
