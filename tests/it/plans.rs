//! What a plan foresees over two sides in memory: what follows from what it decides, and what it leaves to the run.

use pipeline::config::Side;
use pipeline::plan::{ActionKind, Plan};
use pipeline::run::account::RunOutcome;
use pipeline::store::{InboxKind, Store};

use crate::rules::World;

/// Groups are made in the CRM, units only by it, and items refer to units.
const GOODS: &str = "
  groups:
    erp: { table: people, label: code }
    crm: { table: users, label: mail }
    direction: to_crm
    create: to_crm
    match: [ { by: { code: mail } } ]
    fields:
      - { erp: code, crm: mail }
  units:
    erp: { table: customers, label: number, filter: grade = 'unit' }
    crm: { table: accounts, label: number, filter: kind = 1 }
    direction: to_crm
    match: [ { by: { number: number, person: owner } } ]
    fields:
      - { erp: number, crm: number, when: create }
      - { erp: person, crm: owner, ref: { table: groups, erp: code }, when: create }
  items:
    erp: { table: customers, label: number, filter: grade = 'item' }
    crm: { table: accounts, label: number, filter: kind = 3 }
    direction: to_crm
    create: to_crm
    match: [ { by: { number: number } } ]
    fields:
      - { erp: number, crm: number }
      - { erp: parent, crm: parent, ref: { table: units, erp: number } }
      - { crm: kind, value: 3 }
";

/// A new group with a unit, a group that both sides have with a unit that only the ERP has, and items.
fn goods(items: &[(&str, &str)]) -> World {
    let world = World::with(GOODS);
    world.erp.put("people", 1, &[("code", "NEW")]);
    world.erp.put("people", 2, &[("code", "OLD")]);
    world.crm.put("users", 102, &[("mail", "OLD")]);
    world.erp.put("customers", 11, &[("number", "U1"), ("person", "NEW"), ("grade", "unit")]);
    world.erp.put("customers", 12, &[("number", "U2"), ("person", "OLD"), ("grade", "unit")]);
    for (id, (number, unit)) in (21..).zip(items) {
        world.erp.put("customers", id, &[("number", number), ("parent", unit), ("grade", "item")]);
    }
    world
}

fn inserts(plan: &Plan) -> Vec<&str> {
    let inserts = plan.actions().filter(|action| action.kind == ActionKind::Insert);
    inserts.map(|action| action.record.as_str()).collect()
}

#[test]
fn what_waits_for_the_run_is_no_failure_of_the_plan() {
    let mut world = goods(&[("I1", "U1"), ("I2", "")]);
    let planned = world.run_as(true);
    assert_eq!((planned.outcome, &planned.inbox), (RunOutcome::Converged, &Vec::new()));
    assert_eq!(inserts(&planned.plan), ["groups:NEW", "items:I2"]);
    let later: Vec<(&str, &str)> =
        planned.plan.later().map(|(_, later)| (later.record.as_str(), later.message.as_str())).collect();
    let unit = "its partner can come with groups:NEW, which this run creates first";
    let item = format!("parent: units:U1 is not coupled yet: {unit}");
    assert_eq!(later, [("units:U1", unit), ("items:I1", &item)]);
    let items = &planned.tables[2];
    assert_eq!((items.to.crm.inserted, items.to.crm.skipped, items.to.crm.failed), (1, 1, 0));
    assert_eq!(items.notes, ["1 record left for the run to decide, when it has made what they refer to"]);

    // The CRM makes the unit along with the group.
    let group = inserted(&planned.plan, "groups:NEW");
    let unit = [("number", "U1"), ("kind", "1"), ("owner", group.as_str())];
    let typed = unit.map(|(column, text)| ("accounts", 301, column, text.to_owned()));
    world.crm.afterwards.lock().unwrap().extend(typed);
    let done = world.run();
    assert_eq!(done.outcome, RunOutcome::Converged, "{:#?}", done.inbox);
    assert_eq!(inserts(&done.plan), ["groups:NEW", "items:I1", "items:I2"]);
    assert_eq!(done.plan.later().next(), None, "a run leaves nothing for later");
    world.quiet();
}

/// Returns the id that a planned record is to have.
fn inserted(plan: &Plan, record: &str) -> String {
    let action = plan.actions().find(|action| action.record == record).unwrap();
    action.ids.of(action.side).to_string()
}

#[test]
fn a_reference_that_the_run_does_not_resolve_fails_in_the_plan_as_well() {
    // A unit whose group is there long since, and one that nobody has.
    let mut world = goods(&[("I1", "U2"), ("I2", "U9")]);
    let planned = world.run_as(true);
    assert_eq!(planned.outcome, RunOutcome::Incomplete);
    let failed: Vec<(InboxKind, &str)> = planned.inbox.iter().map(|item| (item.kind, item.record.as_str())).collect();
    assert_eq!(failed, [(InboxKind::Failed, "items:I1"), (InboxKind::Failed, "items:I2")]);
    let waits: Vec<&str> = planned.plan.later().map(|(_, later)| later.record.as_str()).collect();
    assert_eq!(waits, ["units:U1"]);
    let done = world.run();
    assert_eq!(planned.plan.held().collect::<Vec<_>>(), done.plan.held().collect::<Vec<_>>());
}

#[test]
fn a_coupled_record_waits_too_and_is_not_written_by_halves() {
    let mut world = goods(&[("I1", "")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    world.erp.put("people", 3, &[("code", "NEWER")]);
    world.erp.put("customers", 13, &[("number", "U3"), ("person", "NEWER"), ("grade", "unit")]);
    world.erp.put("customers", 21, &[("number", "I1B"), ("parent", "U3")]);
    let planned = world.run_as(true);
    assert_eq!(planned.outcome, RunOutcome::Converged, "{:#?}", planned.inbox);
    let waits: Vec<&str> = planned.plan.later().map(|(_, later)| later.record.as_str()).collect();
    // The unit of the earlier group still waits for somebody to make it, but not for this run.
    assert_eq!(waits, ["units:U3", "items:I1B"]);
    assert_eq!(inserts(&planned.plan), ["groups:NEWER"]);
    assert_eq!(planned.plan.actions().count(), 1, "{:#?}", planned.plan);
    let items = planned.tables[2].to.crm;
    assert_eq!((items.unchanged, items.modified, items.skipped, items.failed), (0, 0, 1, 0));
}

/// The first table map writes what the second one reads, on both sides, and moves records in and out of its filter.
#[test]
fn a_table_that_two_table_maps_read_is_read_as_it_will_be() {
    let mut world = World::with(
        "
  grades:
    erp: { table: customers, label: number }
    crm: { table: users, label: mail }
    direction: to_erp
    create: to_erp
    match: [ { by: { number: mail } } ]
    fields:
      - { erp: number, crm: mail }
      - { erp: grade, crm: name }
  customers:
    erp: { table: customers, label: number, filter: grade = 'A' }
    crm: { table: accounts, label: number, filter: kind = 3 }
    direction: to_crm
    create: to_crm
    after: [grades]
    match: [ { by: { number: number } } ]
    fields:
      - { erp: number, crm: number }
      - { erp: grade, crm: memo }
      - { crm: kind, value: 3 }
",
    );
    world.erp.put("customers", 1, &[("number", "C1"), ("grade", "A")]);
    world.crm.put("users", 101, &[("mail", "C1"), ("name", "B")]);
    world.erp.put("customers", 2, &[("number", "C2"), ("grade", "B")]);
    world.crm.put("users", 102, &[("mail", "C2"), ("name", "A")]);
    world.crm.put("users", 103, &[("mail", "C3"), ("name", "A")]);
    let planned = world.run_as(true);
    let done = world.run();
    assert_eq!(planned.plan, done.plan, "the plan is the run (I8)");
    let records: Vec<(Side, &str)> =
        planned.plan.tables[1].actions.iter().map(|action| (action.side, action.record.as_str())).collect();
    assert_eq!(records, [(Side::Crm, "customers:C2"), (Side::Crm, "customers:C3")]);
    world.quiet();
}

/// What a new record is made of is known, and so is what follows from it; what its side gives is not, and that is said.
#[test]
fn what_follows_from_a_new_record_is_planned_or_announced() {
    let mut world = World::with(
        "
  customers:
    erp: { table: customers, label: number }
    crm: { table: accounts, label: name }
    direction: both
    create: to_erp
    match: [ { by: { name: name } } ]
    fields:
      - { erp: name, crm: name }
      - { erp: number, crm: number, direction: to_crm }
      - { erp: name, crm: memo, to_crm: UPPER(name) }
      - { erp: number, crm: city, to_crm: \"name || ' ' || number\" }
",
    );
    world.crm.put("accounts", 101, &[("name", "Ahlgren")]);
    let planned = world.run_as(true);
    *world.erp.hook.lock().unwrap() = Some(Box::new(|_, record| {
        record.insert("number".into(), pipeline::frame::Value::Text("C1".into()));
    }));
    let done = world.run();
    let told = |plan: &Plan| {
        let told = plan.actions().map(|action| {
            let columns: Vec<String> =
                action.fields.iter().map(|change| format!("{}={}", change.column, change.new)).collect();
            format!("{} {} {}", action.side.key(), action.kind.key(), columns.join(" "))
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(told(&planned.plan), ["erp insert name=Ahlgren", "crm update memo=AHLGREN"]);
    assert_eq!(told(&done.plan), ["erp insert name=Ahlgren", "crm update number=C1 memo=AHLGREN city=Ahlgren C1"]);
    let insert = planned.plan.actions().next().unwrap();
    let announced: Vec<(&str, &str)> =
        insert.follow_ups.iter().map(|follow_up| (follow_up.from.as_str(), follow_up.to.as_str())).collect();
    assert_eq!(announced, [("number", "number"), ("number", "city")]);
    world.quiet();
}

/// What is made anew in place of a deleted record is new in all of this as well.
#[test]
fn what_follows_from_a_restored_record_is_announced_too() {
    let mut world = World::with(
        "
  customers:
    erp: { table: customers, label: number }
    crm: { table: accounts, label: name, filter: kind = 3 }
    direction: both
    create: to_erp
    on_delete: restore
    match: [ { by: { name: name } } ]
    fields:
      - { erp: name, crm: name }
      - { erp: number, crm: number, direction: to_crm }
      - { crm: kind, value: 3 }
  people:
    erp: { table: people, label: code }
    crm: { table: accounts, label: number, filter: kind = 1 }
    direction: to_erp
    create: to_erp
    match: [ { by: { code: number } } ]
    fields:
      - { erp: code, crm: number }
      - { erp: name, crm: parent, ref: { table: customers, erp: number } }
",
    );
    // Nobody knows the number of a lost record: values are not kept, and what may have been cut does not lead back.
    world.keep_no_values();
    world.pipeline.tables[0].fields[1].fit = pipeline::config::Fit::Truncate;
    for (id, number, name) in [(1, "C1", "Ahlgren"), (2, "C2", "Berg")] {
        world.erp.put("customers", id, &[("number", number), ("name", name)]);
        world.crm.put("accounts", 100 + id, &[("name", name), ("kind", "3")]);
    }
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    world.erp.delete("customers", 1);
    let parent = uuid::Uuid::from_u128(101).to_string();
    world.crm.put("accounts", 201, &[("number", "XX"), ("parent", &parent), ("kind", "1")]);
    let planned = world.run_as(true);
    assert_eq!((planned.outcome, &planned.inbox), (RunOutcome::Converged, &Vec::new()));
    let [restore, person] = &planned.plan.actions().collect::<Vec<_>>()[..] else {
        panic!("{:#?}", planned.plan);
    };
    assert!(matches!(restore.kind, ActionKind::Restore { .. }));
    let announced: Vec<&str> = restore.follow_ups.iter().map(|follow_up| follow_up.to.as_str()).collect();
    assert_eq!(announced, ["number"]);
    let stands = person.fields.iter().find(|change| change.column == "name").unwrap().new.to_string();
    assert_eq!(stands, pipeline::plan::placeholder(restore.ids.erp));
    *world.erp.hook.lock().unwrap() = Some(Box::new(|_, record| {
        if record.get("number").is_none_or(pipeline::frame::Value::is_blank) {
            record.insert("number".into(), pipeline::frame::Value::Text("C9".into()));
        }
    }));
    let done = world.run();
    assert_eq!(done.outcome, RunOutcome::Converged, "{:#?}", done.inbox);
    assert_eq!(world.erp.column("people", "name"), ["C9"]);
    world.quiet();
}

/// A record that is uncoupled, now or long since, has no partner on purpose: it waits for nothing.
#[test]
fn what_is_kept_apart_does_not_wait_for_the_run() {
    let mut world = World::with(&GOODS.replacen(
        "{ number: number, person: owner } } ]",
        "{ number: number, person: owner } } ]\n    on_delete: uncouple",
        1,
    ));
    world.erp.put("people", 2, &[("code", "OLD")]);
    world.crm.put("users", 102, &[("mail", "OLD")]);
    let owner = uuid::Uuid::from_u128(102).to_string();
    for (id, number) in [(11, "U1"), (12, "U2")] {
        world.erp.put("customers", id, &[("number", number), ("person", "OLD"), ("grade", "unit")]);
        world.crm.put("accounts", 100 + id, &[("number", number), ("kind", "1"), ("owner", &owner)]);
    }
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    world.crm.delete("accounts", 111);
    for group in ["NEW", "NEWER"] {
        world.erp.put("people", if group == "NEW" { 3 } else { 4 }, &[("code", group)]);
        world.erp.put("customers", 11, &[("person", group)]);
        let planned = world.run_as(true);
        assert_eq!(inserts(&planned.plan), [format!("groups:{group}")]);
        assert_eq!(planned.plan.later().next(), None);
        let done = world.run();
        assert_eq!(planned.plan, done.plan, "the plan is the run (I8)");
        assert_eq!(world.store.kept_apart("units").unwrap().erp.len(), 1);
    }
}
