//! What hangs on a record that is to be deleted: what its side would delete along with it, and other table maps' couplings of
//! the very same record.

use std::collections::{BTreeMap, BTreeSet};

use pipeline::config::{Guard, Limit, OnDelete, PerSide, Side};
use pipeline::run::account::{RunOutcome, RunReport, TableReport};
use pipeline::run::selection::Selection;
use pipeline::store::{CouplingChange, Decided, Decision, InboxKind, Reply, Store};
use uuid::Uuid;

use crate::dice::{Chance, each_seed};
use crate::rules::World;
use crate::why::agrees_everywhere;

const PEOPLE: &str = "
  people:
    erp: { table: people, label: code }
    crm: { table: users, label: mail }
    direction: both
    create: both
    on_delete: delete
    match: [ { by: { email: mail } } ]
    fields:
      - { erp: code, crm: name }
      - { erp: email, crm: mail }
";

const CUSTOMERS: &str = "
  customers:
    erp: { table: customers, label: number, filter: \"blocked = ''\" }
    crm: { table: accounts, label: number }
    direction: both
    create: both
    on_delete: delete
    match: [ { by: { number: number } } ]
    fields:
      - { erp: number, crm: number }
      - { erp: phone, crm: phone }
      - { erp: person, crm: owner, ref: { table: people, erp: code } }
      - { erp: parent, crm: parent, ref: { table: customers, erp: number } }
";

/// People 11 to 13, customers 1 to 4, of which 1 and 2 are person 11's; the CRM deletes accounts along with their owner or
/// parent.
fn settled_with(tables: &str) -> World {
    let mut world = World::with(tables);
    for (number, code) in [(11, "AA"), (12, "BB"), (13, "CC")] {
        let mail = format!("{code}@a.example");
        world.erp.put("people", number, &[("code", code), ("email", &mail)]);
        world.crm.put("users", 100 + number, &[("name", code), ("mail", &mail)]);
    }
    for (number, owner) in [(1, "AA"), (2, "AA"), (3, "BB"), (4, "")] {
        let key = format!("C{number}");
        world.erp.put("customers", number, &[("number", &key), ("phone", "1"), ("person", owner)]);
        world.crm.put("accounts", 100 + number, &[("number", &key), ("phone", "1")]);
    }
    *world.crm.takes_along.lock().unwrap() = vec![("owner", "users"), ("parent", "accounts")];
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    world.quiet();
    world
}

fn settled() -> World {
    settled_with(&format!("{PEOPLE}{CUSTOMERS}"))
}

fn there(world: &World, table: &str) -> Vec<u128> {
    let of = if matches!(table, "users" | "accounts") { &world.crm } else { &world.erp };
    of.all(table).keys().map(Uuid::as_u128).collect()
}

/// Plans, asks `why` about everything, runs; returns what is said of the person, who stays.
#[track_caller]
fn stays(world: &mut World, place: &str) -> (RunReport, String) {
    agrees_everywhere(world, place);
    let planned = world.run_as(true);
    let report = world.run();
    assert_eq!(planned.plan, report.plan, "{place}: the plan is the run (I8)");
    let said = held(&report);
    assert!(there(world, "users").contains(&111), "{place}: nobody decided about what hangs on it");
    (report, said)
}

#[track_caller]
fn held(report: &RunReport) -> String {
    let item = report.inbox.iter().find(|item| item.table == "people");
    let item = item.unwrap_or_else(|| panic!("{:#?}", report.inbox));
    assert_eq!(item.kind, InboxKind::Deleted);
    item.message.clone()
}

/// Person 11 and the customers are deleted in the ERP.
fn gone(world: &World, customers: &[u128]) {
    world.erp.delete("people", 11);
    customers.iter().for_each(|number| world.erp.delete("customers", *number));
}

#[test]
fn what_was_edited_is_not_deleted_along_with_what_it_refers_to() {
    let mut world = settled();
    gone(&world, &[1, 2]);
    world.crm.put("accounts", 101, &[("phone", "9")]);
    let (_, said) = stays(&mut world, "edited");
    let expected = "people:crm:AA@a.example was deleted in the ERP; it stays in the CRM as long as customers:crm:C1 refers to \
                    it there, which waits for a person itself: decide about that first";
    assert_eq!(said, expected);
    assert_eq!((there(&world, "accounts"), world.crm.get("accounts", 101, "phone")), (vec![101, 103, 104], "9".into()));
    world.quiet();
    // Who wants it deleted anyway is told the same, until that one is decided.
    decide(&mut world, "people", (11, 111));
    let (report, said) = stays(&mut world, "decided");
    assert_eq!(said, expected);
    let told: Vec<_> = report.inbox.iter().map(pipeline::delta::decided::told).collect();
    assert!(told.iter().any(|told| told.starts_with(expected) && told.contains("decided on")), "{told:?}");
    decide(&mut world, "customers", (1, 101));
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    assert_eq!((there(&world, "accounts"), there(&world, "users")), (vec![103, 104], vec![112, 113]));
    world.quiet();
}

/// A person decides that the survivor of a pair is deleted.
fn decide(world: &mut World, table: &str, (erp, crm): (u128, u128)) {
    let ids = PerSide { erp: Uuid::from_u128(erp), crm: Uuid::from_u128(crm) };
    let decision = Decision {
        table: table.into(),
        record: String::new(),
        ids,
        field: None,
        verdict: Decided::Delete,
        values: PerSide::default(),
        seen: None,
        at: String::new(),
        unmet: None,
        ended: None,
    };
    world.store.reply(&[Reply::Decide(decision)]).unwrap();
}

#[test]
fn what_a_guard_stopped_is_not_deleted_along_with_what_it_refers_to() {
    let mut world = settled();
    gone(&world, &[1, 2]);
    world.pipeline.tables[1].guard.delete = Some(Limit::Number(0));
    let (report, said) = stays(&mut world, "guarded");
    assert_eq!(report.outcome, RunOutcome::Guarded);
    assert!(
        said.ends_with("refer to it there, and the guard of `customers` stopped that table: see to that first"),
        "{said}"
    );
    assert!(said.contains("customers:crm:C1 and 1 more"), "{said}");
    assert_eq!(there(&world, "accounts").len(), 4);
    world.pipeline.tables[1].guard = Guard { create: None, update: None, delete: None };
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(there(&world, "accounts"), [103, 104]);
    world.quiet();
}

#[test]
fn a_table_that_fails_holds_what_it_refers_to() {
    let mut world = settled();
    gone(&world, &[1, 2]);
    world.erp.unreadable.lock().unwrap().push("customers".into());
    let planned = world.run_as(true);
    let report = world.run();
    assert_eq!(planned.plan, report.plan, "the plan is the run (I8)");
    let said = held(&report);
    assert!(said.ends_with("and `customers` was not brought to its end: see to that first"), "{said}");
    world.crm.unreadable.lock().unwrap().push("accounts".into());
    let said = held(&world.run());
    assert!(said.contains("as long as nobody knows what refers to it there: `customers` could not be asked"), "{said}");
    assert_eq!(there(&world, "accounts").len(), 4);
    world.erp.unreadable.lock().unwrap().clear();
    world.crm.unreadable.lock().unwrap().clear();
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!((there(&world, "accounts"), there(&world, "users")), (vec![103, 104], vec![112, 113]));
}

#[test]
fn a_run_over_a_part_deletes_nothing_on_which_the_rest_hangs() {
    for named in [false, true] {
        let mut world = settled();
        gone(&world, &[1, 2]);
        world.crm.put("accounts", 101, &[("phone", "9")]);
        let report = match named {
            false => world.attempt(false, &["people"], &mut |_| {}).unwrap(),
            true => {
                let record =
                    pipeline::address::Address { table: "people".into(), side: Side::Crm, key: "AA@a.example".into() };
                world.run_part(Selection { records: vec![record], ..Selection::default() }).unwrap()
            }
        };
        assert!(
            held(&report).ends_with("and this run is not about that one: a run over everything decides"),
            "{report:#?}"
        );
        assert_eq!((there(&world, "accounts").len(), there(&world, "users").len()), (4, 3));
        // On a person whom nobody refers to nothing hangs.
        world.erp.delete("people", 13);
        world.attempt(false, &["people"], &mut |_| {}).unwrap();
        assert_eq!(there(&world, "users"), [111, 112]);
    }
}

#[test]
fn a_run_over_changes_looks_at_what_it_has_not_read() {
    let mut world = settled();
    world.erp.advance(600);
    world.crm.advance(600);
    world.run();
    gone(&world, &[1, 2]);
    // Nothing but this brings the survivor into the run; it is no edit of what is mapped.
    world.crm.put("users", 111, &[("home", "")]);
    let report = world.run_changed();
    assert!(held(&report).ends_with("and a run over changes has not read that one: a full run decides"), "{report:#?}");
    assert_eq!(there(&world, "accounts").len(), 4);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!((there(&world, "accounts"), there(&world, "users")), (vec![103, 104], vec![112, 113]));
}

#[test]
fn a_record_that_lives_holds_what_it_refers_to() {
    // It is outside its filter, so its reference is not cleared.
    let mut world = settled();
    gone(&world, &[1]);
    world.erp.put("customers", 2, &[("blocked", "All"), ("person", "")]);
    let (_, said) = stays(&mut world, "alive");
    let todo = "and nobody deleted that: let it refer to something else, delete it, or part it by `pipeline uncouple FILE \
                customers:crm:C2`";
    assert!(said.ends_with(todo), "{said}");
    assert_eq!(there(&world, "accounts"), [102, 103, 104]);
    // What refers to it in turn, by way of a parent, stays as well.
    world.crm.put("accounts", 102, &[("owner", "")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!((there(&world, "accounts"), there(&world, "users")), (vec![102, 103, 104], vec![112, 113]));
}

#[test]
fn what_stays_holds_in_turn_what_it_refers_to_itself() {
    let mut world = settled();
    world.erp.put("customers", 3, &[("parent", "C1")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    // Account 103 was edited, is a part of account 101, and that is person 11's.
    gone(&world, &[1, 2, 3]);
    world.crm.put("accounts", 103, &[("phone", "9")]);
    let (report, said) = stays(&mut world, "in turn");
    assert!(said.contains("as long as customers:crm:C1 refers to it there"), "{said}");
    assert_eq!(there(&world, "accounts"), [101, 103, 104], "{:#?}", report.inbox);
    world.quiet();
    world.crm.put("accounts", 103, &[("phone", "1")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!((there(&world, "accounts"), there(&world, "users")), (vec![104], vec![112, 113]));
}

#[test]
fn what_a_side_refuses_to_delete_holds_what_it_refers_to() {
    let mut world = settled();
    gone(&world, &[1, 2]);
    let refused = Uuid::from_u128(101);
    *world.crm.refuses.lock().unwrap() = Some(Box::new(move |_, write| (write.id == refused).then(|| "no".into())));
    let said = held(&world.run());
    assert!(said.contains("customers:crm:C1 refers to it there, which waits for a person itself"), "{said}");
    assert_eq!(there(&world, "accounts"), [101, 103, 104]);
}

#[test]
fn a_plan_that_is_carried_out_later_holds_what_was_edited_since() {
    let mut world = settled();
    gone(&world, &[1, 2]);
    let planned = world.run_as(true);
    world.crm.put("accounts", 101, &[("phone", "9")]);
    let report = world.apply(&planned, &[]);
    let moved = &report.carried.as_ref().unwrap().moved;
    let moved: Vec<&str> = moved.iter().map(|moved| moved.message.as_str()).collect();
    assert!(moved.iter().any(|moved| moved.contains("as long as customers:crm:C1 refers to it there")), "{moved:?}");
    assert_eq!((there(&world, "accounts"), there(&world, "users").len()), (vec![101, 103, 104], 3));
    // The part of a plan that leaves out what hangs on it.
    let mut world = settled();
    gone(&world, &[1, 2]);
    let planned = world.run_as(true);
    world.apply(&planned, &["people"]);
    assert_eq!((there(&world, "accounts").len(), there(&world, "users").len()), (4, 3));
    world.apply(&planned, &[]);
    assert_eq!((there(&world, "accounts"), there(&world, "users")), (vec![103, 104], vec![112, 113]));
}

const TWO: &str = "
  customers:
    erp: { table: customers, label: number }
    crm: { table: accounts, label: number }
    direction: both
    on_delete: delete
    match: [ { by: { number: number } } ]
    fields:
      - { erp: phone, crm: phone }
  companies:
    erp: { table: people, label: code }
    crm: { table: accounts, label: number }
    direction: both
    on_delete: delete
    match: [ { by: { code: number } } ]
    fields:
      - { erp: name, crm: name }
";

/// Account 101 is both customer 1 and company 11.
fn twofold() -> World {
    let mut world = World::with(TWO);
    world.erp.put("customers", 1, &[("number", "C1"), ("phone", "1")]);
    world.erp.put("customers", 2, &[("number", "C2"), ("phone", "1")]);
    world.erp.put("people", 11, &[("code", "C1"), ("name", "Ahlgren")]);
    world.erp.put("people", 12, &[("code", "C3"), ("name", "Dahl")]);
    for number in [1, 2, 3] {
        let name = ["Ahlgren", "", "Dahl"][number as usize - 1];
        world.crm.put("accounts", 100 + number, &[("number", &format!("C{number}")), ("name", name), ("phone", "1")]);
    }
    world.run();
    assert_eq!(world.store.coupling_counts().unwrap().values().sum::<u64>(), 4);
    world.quiet();
    world
}

#[test]
fn a_record_with_a_partner_in_another_table_map_stays() {
    let mut world = twofold();
    world.erp.delete("customers", 1);
    agrees_everywhere(&mut world, "twofold");
    let planned = world.run_as(true);
    let report = world.run();
    assert_eq!(planned.plan, report.plan, "the plan is the run (I8)");
    let messages: Vec<&str> = report.inbox.iter().map(|item| item.message.as_str()).collect();
    let expected = "customers:crm:C1 was deleted in the ERP; it stays in the CRM as long as companies:crm:C1 is the same \
                    record there, and its partner in the ERP was not deleted: `pipeline uncouple FILE companies:crm:C1` parts \
                    those two, and then it goes";
    assert_eq!(messages, [expected]);
    world.quiet();
    assert_eq!((there(&world, "accounts"), there(&world, "people")), (vec![101, 102, 103], vec![11, 12]));
    // A run over one of the two knows of the other one.
    world.attempt(false, &["customers"], &mut |_| {}).unwrap();
    assert_eq!(there(&world, "accounts"), [101, 102, 103]);
    // Parted, it goes, and nothing else does.
    let (erp, crm) = (Uuid::from_u128(11), Uuid::from_u128(101));
    world
        .store
        .commit("companies", &[], &[CouplingChange::KeepApart { erp, crm, record: String::new() }], &[])
        .unwrap();
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!((there(&world, "accounts"), there(&world, "people")), (vec![102, 103], vec![11, 12]));
    world.quiet();
    // Both of its partners are gone: nobody wants it any more.
    let mut world = twofold();
    world.erp.delete("customers", 1);
    world.erp.delete("people", 11);
    let planned = world.run_as(true);
    let report = world.run();
    assert_eq!(planned.plan, report.plan, "the plan is the run (I8)");
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    assert_eq!(there(&world, "accounts"), [102, 103]);
    world.quiet();
}

#[test]
fn a_table_map_that_keeps_the_same_record_for_a_person_holds_it() {
    let mut world = twofold();
    world.pipeline.tables[1].on_delete = OnDelete::Hold;
    world.erp.delete("customers", 1);
    world.erp.delete("people", 11);
    let planned = world.run_as(true);
    let report = world.run();
    assert_eq!(planned.plan, report.plan, "the plan is the run (I8)");
    let messages: Vec<&str> = report.inbox.iter().map(|item| item.message.as_str()).collect();
    assert!(
        messages.iter().any(|message| message.contains("is the same record there, which waits for a person")),
        "{messages:?}"
    );
    assert_eq!(there(&world, "accounts"), [101, 102, 103]);
    // One that agrees, and does not write there, leaves it to the other.
    world.pipeline.tables[1].on_delete = OnDelete::Delete;
    world.pipeline.tables[1].direction = pipeline::config::Direction::ToErp;
    world.pipeline.tables[1].fields[0].direction = Some(pipeline::config::Direction::ToErp);
    world.run();
    assert_eq!(there(&world, "accounts"), [102, 103]);
}

/// Nothing goes but what lost its own partner and was not edited, whatever hangs on what.
#[test]
fn nothing_goes_along_by_chance() {
    let mut went = 0;
    each_seed("deletions::along::nothing_goes_along_by_chance", 40, &[], |seed| {
        let mut chance = Chance(seed);
        let mut world = settled();
        let mut agreed: BTreeMap<u128, String> = BTreeMap::new();
        for number in 1..=4 {
            let parent = chance.pick(&["", "", "C1", "C2", "C4"]);
            let owner = chance.pick(&["", "AA", "BB", "CC"]);
            let parent = if parent == format!("C{number}") { "" } else { parent };
            world.erp.put("customers", number, &[("parent", parent), ("person", owner)]);
        }
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        for night in 0..3 {
            let place = format!("seed {seed}, night {night}");
            world.pipeline.tables[1].guard.delete = chance.one_in(5).then_some(Limit::Number(0));
            world.pipeline.tables[1].on_delete = chance.pick(&[OnDelete::Delete, OnDelete::Delete, OnDelete::Hold]);
            for (table, partner, ids) in [("people", "users", 11..=13), ("customers", "accounts", 1..=4)] {
                for id in ids {
                    if chance.one_in(3) {
                        world.erp.delete(table, id);
                    }
                    if chance.one_in(6) && there(&world, partner).contains(&(100 + id)) {
                        let column = if partner == "users" { "home" } else { "phone" };
                        let text = if partner == "users" { String::new() } else { seed.to_string() };
                        world.crm.put(partner, 100 + id, &[(column, &text)]);
                    }
                }
            }
            let before: [BTreeSet<u128>; 2] =
                ["users", "accounts"].map(|table| there(&world, table).into_iter().collect());
            let phone = |world: &World, id: u128| world.crm.get("accounts", id, "phone");
            let is_edited = |id: &u128| agreed.get(id).map_or("1", String::as_str) != phone(&world, *id);
            let edited: BTreeSet<u128> = before[1].iter().copied().filter(is_edited).collect();
            let partners: [BTreeSet<u128>; 2] =
                ["people", "customers"].map(|table| there(&world, table).into_iter().map(|id| id + 100).collect());
            let partial = chance.one_in(4);
            world.changed = chance.one_in(4);
            if !world.changed && chance.one_in(4) {
                // What stops a whole table map, nobody learns from one record.
                let stopped = |table: &TableReport| table.guarded.is_some() || table.error.is_some();
                if !world.run_as(true).tables.iter().any(stopped) {
                    agrees_everywhere(&mut world, &place);
                }
            }
            let only: &[&str] = if partial { &["people"] } else { &[] };
            let planned = world.attempt(true, only, &mut |_| {}).unwrap();
            let report = world.attempt(false, only, &mut |_| {}).unwrap();
            assert_eq!(planned.plan, report.plan, "{place}: the plan is the run (I8)");
            world.changed = false;
            for id in there(&world, "accounts") {
                if there(&world, "customers").contains(&(id - 100)) {
                    let settled = (phone(&world, id), world.erp.get("customers", id - 100, "phone"));
                    if settled.0 == settled.1 {
                        agreed.insert(id, settled.0);
                    }
                }
            }
            for (number, table) in ["users", "accounts"].into_iter().enumerate() {
                let after: BTreeSet<u128> = there(&world, table).into_iter().collect();
                for id in before[number].difference(&after) {
                    went += 1;
                    assert!(!partners[number].contains(id), "{place}: {table} {id} went, and its partner is there");
                    assert!(
                        !partial || table == "users",
                        "{place}: {table} {id} went along, and nobody asked for that"
                    );
                    assert!(table == "users" || !edited.contains(id), "{place}: {table} {id} went, and was edited");
                }
            }
        }
    });
    assert!(went > 0, "nothing was deleted in all these nights");
}
