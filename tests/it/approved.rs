//! A plan that a person approved, over two sides in memory: it is carried out and nothing else, and what moved is named.

mod waits;

use pipeline::cli::inbox::answer::Wish;
use pipeline::config::{Limit, OnDelete, Side};
use pipeline::endpoint::Identity;
use pipeline::frame::Value;
use pipeline::plan::{ActionKind, placeholder};
use pipeline::run::RunError;
use pipeline::run::account::{RunOutcome, RunReport};
use pipeline::run::approval::Approved;
use pipeline::run::carried::{Carried, Undone};
use pipeline::store::{Decided, Store};
use uuid::Uuid;

use crate::by_hand::by_hand;
use crate::decisions::answer;
use crate::memory::Accident;
use crate::parted::parted;
use crate::rules::{CUSTOMERS, PEOPLE, World};

/// Coupled customers, ERP 1 with CRM 101 and so on, that agree.
fn coupled(pairs: u128) -> World {
    let mut world = World::new();
    for number in 1..=pairs {
        let (key, name) = (format!("C{number}"), format!("name {number}"));
        let values = [("number", &*key), ("name", &name), ("city", "Oslo"), ("phone", "1"), ("limit", "5")];
        world.erp.put("customers", number, &values);
        world.crm.put("accounts", 100 + number, &[&values[..], &[("kind", "3")]].concat());
    }
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    world
}

fn writes(world: &World) -> usize {
    world.erp.writes() + world.crm.writes()
}

fn carried(report: &RunReport) -> &Carried {
    report.carried.as_ref().unwrap()
}

/// Done now, done before, failed, moved, not in the plan.
fn sums(report: &RunReport) -> [usize; 5] {
    let Carried { done, before, failed, moved, unplanned, .. } = carried(report);
    let count = |number: u64| usize::try_from(number).unwrap();
    [count(*done), count(*before), count(*failed), moved.len(), unplanned.len()]
}

fn told(undone: &[Undone]) -> Vec<String> {
    let line = |undone: &Undone| format!("{} {}: {}", undone.record, undone.kind.key(), undone.message);
    undone.iter().map(line).collect()
}

/// Carries out a plan a second time: nothing is written, and it is done already.
fn twice(world: &mut World, planned: &RunReport) {
    let before = writes(world);
    let again = world.apply(planned, &[]);
    let actions = planned.plan.actions().count();
    assert_eq!(writes(world), before, "the second time writes nothing");
    assert_eq!(sums(&again), [0, actions, 0, 0, 0], "{:#?}", again.carried);
    assert_eq!(again.outcome, RunOutcome::Converged);
}

#[test]
fn what_moved_since_the_plan_is_left_out_and_the_others_are_written() {
    let mut world = coupled(8);
    for pair in 1..=8 {
        world.erp.put("customers", pair, &[("phone", "2")]);
    }
    let planned = world.run_as(true);
    // The source, the target in a mapped column, the target in another one, and the target gone.
    world.erp.put("customers", 1, &[("phone", "3")]);
    world.crm.put("accounts", 102, &[("phone", "4")]);
    world.crm.put("accounts", 103, &[("memo", "a note")]);
    world.crm.delete("accounts", 104);
    world.erp.put("customers", 5, &[("name", "renamed")]);
    let report = world.apply(&planned, &[]);
    assert_eq!(report.outcome, RunOutcome::Incomplete);
    assert_eq!(
        told(&carried(&report).moved),
        [
            "customers:C1 update: phone in the CRM would become `3` now, and the plan has `2`",
            "customers:C2 update: edited on both sides to different values",
            "customers:C3 update: it was edited in the CRM since",
            "customers:C4 update: customers:C4 was deleted in the CRM; it stays in the ERP until somebody decides",
            "customers:C5 update: name in the CRM would become `renamed` as well",
        ]
    );
    assert_eq!(sums(&report), [3, 0, 0, 5, 0]);
    let phones: Vec<String> =
        (1..=8).filter(|pair| *pair != 4).map(|pair| world.crm.get("accounts", 100 + pair, "phone")).collect();
    assert_eq!(phones, ["1", "4", "1", "1", "2", "2", "2"]);
    let names = [6, 7, 8].map(|pair| Uuid::from_u128(100 + pair));
    let written: Vec<Uuid> = world.crm.written.lock().unwrap().iter().map(|write| write.2).collect();
    assert_eq!(written, names, "exactly the others are written");
}

#[test]
fn a_record_that_the_other_side_has_by_now_outside_its_filter_is_not_made_and_the_reason_names_that_one() {
    let mut world = coupled(1);
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "two"), ("city", "Oslo")]);
    let planned = world.run_as(true);
    world.crm.put("accounts", 102, &[("number", "C2"), ("name", "a supplier"), ("kind", "4")]);
    let report = world.apply(&planned, &[]);
    assert_eq!(sums(&report), [0, 0, 0, 1, 0]);
    assert_eq!(
        told(&carried(&report).moved),
        ["customers:C2 insert: customers:crm:C2 is there already, outside the filter"]
    );
}

#[test]
fn a_pair_that_was_parted_since_the_plan_is_named_as_that() {
    let mut world = coupled(2);
    world.erp.put("customers", 1, &[("phone", "2")]);
    let planned = world.run_as(true);
    parted(&mut world, "customers", &["customers:C1"], false).unwrap();
    let report = world.apply(&planned, &[]);
    assert_eq!(told(&carried(&report).moved), ["customers:C1 update: the pair was parted since"]);
    // A pair that the plan couples, too.
    let mut world = coupled(1);
    world.erp.put("customers", 2, &[("number", "C2"), ("name", "two")]);
    world.crm.put("accounts", 102, &[("number", "C2"), ("name", "two"), ("kind", "3")]);
    let planned = world.run_as(true);
    by_hand(&mut world, &[("customers:C2", "customers:crm:C2")]).unwrap();
    parted(&mut world, "customers", &["customers:C2"], false).unwrap();
    let report = world.apply(&planned, &[]);
    assert_eq!(told(&carried(&report).moved), ["customers:C2 couple: the pair was parted since"]);
}

/// A person decided to have a deleted record made anew, and it was made by hand once the plan was there.
#[test]
fn a_pair_is_not_parted_where_the_plan_restores_it() {
    let mut world = coupled(2);
    world.crm.delete("accounts", 101);
    world.run();
    answer(&mut world, "customers:C1", &Wish::Restore).unwrap();
    let planned = world.run_as(true);
    world.crm.put("accounts", 201, &[("number", "C1"), ("name", "name 1"), ("city", "Oslo"), ("kind", "3")]);
    let report = world.apply(&planned, &[]);
    assert_eq!(report.outcome, RunOutcome::Incomplete, "{report:#?}");
    let couplings = world.store.couplings("customers", &[]).unwrap();
    assert_eq!(
        couplings.crm.iter().map(|id| id.as_u128()).collect::<Vec<_>>(),
        [101, 102],
        "nothing was planned of it"
    );
    assert!(world.store.decisions(None).unwrap()[0].ended.is_none(), "the decision stands");
    world.run();
    let couplings = world.store.couplings("customers", &[]).unwrap();
    assert!(couplings.crm.contains(&Uuid::from_u128(201)), "{couplings:?}");
}

/// What a person decided otherwise since is told as that, and neither as agreement nor as another partner.
#[test]
fn what_was_decided_otherwise_since_the_plan_is_told_as_that() {
    let take = |side| Wish::Resolve { field: "phone".into(), verdict: Decided::Take(side) };
    let mut world = coupled(2);
    world.erp.put("customers", 1, &[("phone", "2")]);
    world.crm.put("accounts", 101, &[("phone", "3")]);
    world.crm.delete("accounts", 102);
    world.run();
    answer(&mut world, "customers:C1", &take(Side::Crm)).unwrap();
    answer(&mut world, "customers:C2", &Wish::Restore).unwrap();
    let planned = world.run_as(true);
    answer(&mut world, "customers:C1", &take(Side::Erp)).unwrap();
    answer(&mut world, "customers:C2", &Wish::Delete).unwrap();
    let report = world.apply(&planned, &[]);
    let decided = "decided by a person on 2026-01-31";
    assert_eq!(
        told(&carried(&report).moved),
        [
            format!("customers:C1 update: a run would do otherwise by now, in the CRM: {decided}"),
            format!("customers:C2 insert: a run would do otherwise by now, in the ERP: deleted in the CRM; {decided}"),
        ]
    );
}

/// `(NEW ` in somebody's name stands for no number.
#[test]
fn what_the_run_wrote_instead_is_not_done_already() {
    let mut world = coupled(1);
    world.erp.put("customers", 1, &[("name", "HOTEL (NEW YORK)")]);
    let planned = world.run_as(true);
    world.erp.put("customers", 1, &[("name", "HOTEL (NEW JERSEY)")]);
    world.run();
    let report = world.apply(&planned, &[]);
    assert_eq!(sums(&report), [0, 0, 0, 1, 0], "{:#?}", report.carried);
}

#[test]
fn a_pair_that_left_its_filter_since_the_plan_is_told_as_that() {
    let mut world = coupled(1);
    world.erp.put("customers", 1, &[("phone", "2")]);
    let planned = world.run_as(true);
    world.crm.put("accounts", 101, &[("kind", "4")]);
    let report = world.apply(&planned, &[]);
    assert_eq!(told(&carried(&report).moved), ["customers:C1 update: the pair is outside the filter by now"]);
    assert_eq!(sums(&report), [0, 0, 0, 1, 0]);
}

#[test]
fn a_plan_is_carried_out_once() {
    let mut world = coupled(3);
    world.erp.put("customers", 1, &[("phone", "2")]);
    world.crm.put("accounts", 102, &[("name", "renamed")]);
    world.erp.put("customers", 11, &[("number", "C11"), ("name", "mother")]);
    world.erp.put("customers", 12, &[("number", "C12"), ("name", "daughter"), ("parent", "C11")]);
    world.crm.put("accounts", 113, &[("name", "from the CRM"), ("city", "Moss"), ("kind", "3")]);
    world.erp.put("customers", 14, &[("number", "C14"), ("name", "on both sides")]);
    world.crm.put("accounts", 114, &[("number", "C14"), ("name", "on both sides"), ("kind", "3")]);
    // What the CRM makes of a name is no reason to believe that the plan is not done.
    *world.crm.hook.lock().unwrap() = Some(Box::new(|_, record| {
        record.insert("phone".into(), Value::Text("00".into()));
    }));
    let planned = world.run_as(true);
    let report = world.apply(&planned, &[]);
    assert_eq!(report.outcome, RunOutcome::Converged, "{report:#?}");
    assert_eq!(sums(&report), [planned.plan.actions().count(), 0, 0, 0, 0]);
    twice(&mut world, &planned);
    *world.crm.hook.lock().unwrap() = None;
    world.quiet();
}

#[test]
fn what_the_plan_does_not_have_is_not_done_and_named() {
    let mut world = coupled(5);
    world.erp.put("customers", 1, &[("phone", "2")]);
    let planned = world.run_as(true);
    world.erp.put("customers", 2, &[("phone", "3")]);
    world.erp.put("customers", 11, &[("number", "C11"), ("name", "new")]);
    world.erp.put("customers", 12, &[("number", "C12"), ("name", "on both sides")]);
    world.crm.put("accounts", 112, &[("number", "C12"), ("name", "on both sides"), ("kind", "3")]);
    world.erp.delete("customers", 3);
    world.crm.delete("accounts", 103);
    // It refers to a record that is not made: it waits as well, and has not failed.
    world.erp.put("customers", 4, &[("parent", "C11")]);
    world.crm.put("users", 111, &[("mail", "new@a.example"), ("name", "New")]);
    let report = world.apply(&planned, &[]);
    assert_eq!((report.outcome, report.inbox.len()), (RunOutcome::Incomplete, 0), "{:#?}", report.inbox);
    assert_eq!(sums(&report)[..4], [1, 0, 0, 0]);
    assert_eq!(
        told(&carried(&report).unplanned),
        [
            "people:crm:new@a.example insert: only the CRM has it".into(),
            format!("customers:{} uncouple: both records are gone", Uuid::from_u128(3)),
            "customers:C12 couple: match rule 1: number = number".into(),
            "customers:C11 insert: only the ERP has it".into(),
            "customers:C2 update: phone to `3`".into(),
        ]
    );
    assert_eq!((world.erp.writes(), world.crm.writes()), (0, 1));
    assert_eq!(world.store.coupling_counts().unwrap()["customers"], 5);
    // Every record that was read is counted once all the same.
    let customers = &report.tables[1];
    for to in Side::BOTH {
        let counts = customers.to.of(to);
        let sum = counts.inserted + counts.modified + counts.unchanged + counts.skipped + counts.failed;
        assert_eq!(sum, *customers.rows.of(to.other()), "{counts:?}");
    }
    // A new plan takes it in.
    let planned = world.run_as(true);
    assert_eq!(sums(&world.apply(&planned, &[]))[3..], [0, 0]);
    world.quiet();
}

#[test]
fn deletions_restores_and_those_kept_apart_are_approved_too() {
    for on_delete in [OnDelete::Delete, OnDelete::Restore, OnDelete::Uncouple] {
        let mut world = coupled(6);
        world.pipeline.tables[1].on_delete = on_delete;
        world.crm.delete("accounts", 101);
        world.erp.delete("customers", 2);
        world.crm.delete("accounts", 103);
        let planned = world.run_as(true);
        assert_eq!(planned.plan.actions().count(), 3);
        // One more goes, one of those in the plan is edited, and one is gone on both sides by now.
        world.crm.delete("accounts", 104);
        world.erp.put("customers", 1, &[("name", "edited")]);
        world.crm.delete("accounts", 102);
        let report = world.apply(&planned, &[]);
        let Carried { moved, unplanned, .. } = carried(&report);
        let records = |undone: &[Undone]| undone.iter().map(|undone| undone.record.clone()).collect::<Vec<_>>();
        let couplings = world.store.coupling_counts().unwrap()["customers"];
        match on_delete {
            OnDelete::Delete => {
                assert_eq!(sums(&report), [1, 1, 0, 1, 1], "{:#?}", report.carried);
                assert_eq!(
                    (records(moved), records(unplanned)),
                    (vec!["customers:C1".into()], vec!["customers:C4".into()])
                );
                assert!(moved[0].message.contains("edited"), "{}", moved[0].message);
                assert_eq!((world.erp.all("customers").len(), couplings), (4, 4));
            }
            OnDelete::Restore => {
                assert_eq!(sums(&report), [1, 0, 0, 2, 1], "{:#?}", report.carried);
                assert_eq!(moved[1].message, "name in the CRM would become `edited` now, and the plan has `name 1`");
                assert_eq!(world.crm.all("accounts").len(), 3);
            }
            _ => {
                // Being kept apart asks for no version of the record.
                assert_eq!(sums(&report)[0], 2, "{:#?}", report.carried);
                assert_eq!(world.store.kept_apart("customers").unwrap().erp.len(), 2);
                assert_eq!(couplings, 4);
            }
        }
    }
}

#[test]
fn what_the_plan_announced_follows() {
    let mut world = World::with(
        "
  customers:
    erp: { table: customers, label: number }
    crm: { table: accounts, label: name, filter: kind = 3 }
    direction: both
    create: to_erp
    match: [ { by: { name: name } } ]
    fields:
      - { erp: name, crm: name }
      - { erp: number, crm: number, direction: to_crm }
      - { erp: name, crm: memo, to_crm: UPPER(name) }
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
    world.crm.put("accounts", 101, &[("name", "Ahlgren"), ("kind", "3")]);
    world.crm.put("accounts", 102, &[("name", "Berg"), ("kind", "3")]);
    let parent = Uuid::from_u128(101).to_string();
    for (id, number) in [(201, "XX"), (202, "YY")] {
        world.crm.put("accounts", id, &[("number", number), ("parent", &parent), ("kind", "1")]);
    }
    *world.erp.hook.lock().unwrap() = Some(Box::new(|table, record| {
        if table == "customers" && record.get("number").is_none_or(Value::is_blank) {
            let name = record["name"].to_string();
            record.insert("number".into(), Value::Text(format!("C-{name}")));
        }
    }));
    let planned = world.run_as(true);
    let ahlgren = planned.plan.actions().find(|action| action.record.ends_with("Ahlgren")).unwrap();
    let stands = placeholder(ahlgren.ids.erp);
    let refers = |action: &&pipeline::plan::Action| action.fields.iter().any(|change| change.new.to_string() == stands);
    assert_eq!(planned.plan.actions().filter(refers).count(), 2);
    // What stands for the key of one record does not stand for that of another.
    world.crm.put("accounts", 202, &[("parent", &Uuid::from_u128(102).to_string())]);
    let report = world.apply(&planned, &[]);
    let moved = told(&carried(&report).moved);
    assert_eq!(
        moved,
        [format!("people:crm:YY insert: name in the ERP would become `C-Berg` now, and the plan has `{stands}`")]
    );
    assert_eq!(world.crm.get("accounts", 101, "number"), "C-Ahlgren");
    assert_eq!(world.crm.get("accounts", 101, "memo"), "AHLGREN");
    assert_eq!(world.erp.column("people", "name"), ["C-Ahlgren"]);
    let planned = world.run_as(true);
    assert_eq!(sums(&world.apply(&planned, &[])), [1, 0, 0, 0, 0]);
    twice(&mut world, &planned);
    world.quiet();
}

#[test]
fn running_numbers_are_given_as_planned() {
    let mut world = World::new();
    for (id, name) in [(111, "new"), (112, "newer")] {
        world.crm.put("users", id, &[("mail", &format!("{name}@a.example")), ("name", name)]);
    }
    let planned = world.run_as(true);
    world.crm.put("users", 110, &[("mail", "first@a.example"), ("name", "first")]);
    let second = planned.plan.actions().nth(1).unwrap().record.clone();
    // One of two alone has the number that the plan gave it; the other one has the next turn.
    let report = world.apply(&planned, &[&second]);
    assert_eq!(sums(&report), [1, 0, 0, 0, 1], "{:#?}", report.carried);
    assert_eq!((world.erp.column("people", "code"), carried(&report).left_out), (vec!["SP002".to_owned()], 1));
    let report = world.apply(&planned, &[]);
    assert_eq!(sums(&report), [0, 1, 0, 1, 1], "{:#?}", report.carried);
    assert_eq!(
        told(&carried(&report).moved),
        ["people:crm:new@a.example insert: code in the ERP would become `SP003` now, and the plan has `SP001`"
            .replace("people:crm:new@a.example", &planned.plan.actions().next().unwrap().record)]
    );
}

/// The plan has the code as the file makes it, and the ERP puts it into capitals.
#[test]
fn a_key_in_small_letters_that_the_plan_makes_is_the_one_that_the_erp_made_of_it() {
    let people = PEOPLE.replace("next_number('SP', 3)", "'sp1'");
    let customers =
        CUSTOMERS.replace("ref: { table: people, erp: code }, direction: to_crm", "ref: { table: people, erp: code }");
    let mut world = World::with(&format!("{people}{customers}"));
    world.crm.put("users", 111, &[("mail", "new@a.example"), ("name", "New")]);
    let values = [("number", "C1"), ("name", "one"), ("kind", "3"), ("owner", &*Uuid::from_u128(111).to_string())];
    world.crm.put("accounts", 101, &values);
    let planned = world.run_as(true);
    let report = world.apply(&planned, &[]);
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.carried);
    assert_eq!(world.erp.column("customers", "person"), ["SP1"]);
    assert_eq!(sums(&report), [planned.plan.actions().count(), 0, 0, 0, 0], "{:#?}", report.carried);
}

#[test]
fn only_the_part_that_is_named_is_carried_out() {
    let mut world = coupled(3);
    for pair in 1..=3 {
        world.erp.put("customers", pair, &[("phone", "2")]);
    }
    world.crm.put("users", 111, &[("mail", "new@a.example"), ("name", "New")]);
    let planned = world.run_as(true);
    let report = world.apply(&planned, &["customers:C2"]);
    assert_eq!((sums(&report), carried(&report).left_out), ([1, 0, 0, 0, 0], 2));
    assert_eq!((world.erp.writes(), world.crm.writes()), (0, 1));
    let report = world.apply(&planned, &["customers:crm:00000000-0000-0000-0000-000000000065", "people"]);
    assert_eq!((sums(&report), carried(&report).left_out), ([2, 0, 0, 0, 0], 2));
    let report = world.apply(&planned, &[]);
    assert_eq!(sums(&report), [1, 3, 0, 0, 0]);
    world.quiet();
}

#[test]
fn a_guard_lets_an_approved_plan_pass_but_never_an_empty_side() {
    let mut world = coupled(20);
    world.pipeline.tables[1].guard.update = Some(Limit::Number(3));
    for pair in 1..=5 {
        world.erp.put("customers", pair, &[("phone", "2"), ("parent", "C20")]);
    }
    let stopped = world.run();
    assert_eq!((stopped.outcome, world.crm.writes()), (RunOutcome::Guarded, 0));
    let planned = world.run_as(true);
    assert_eq!(planned.plan, stopped.plan);
    let report = world.apply(&stopped, &[]);
    assert_eq!(report.outcome, RunOutcome::Converged, "{report:#?}");
    assert_eq!(sums(&report), [10, 0, 0, 0, 0], "and the second step");
    twice(&mut world, &planned);
    world.quiet();

    world.erp.put("customers", 1, &[("phone", "3")]);
    let planned = world.run_as(true);
    for pair in 1..=20 {
        world.crm.delete("accounts", 100 + pair);
    }
    let report = world.apply(&planned, &[]);
    assert_eq!((report.outcome, carried(&report).unreached), (RunOutcome::Guarded, 1));
}

#[test]
fn what_moves_while_the_plan_is_carried_out_is_left_out_too() {
    let mut world = coupled(2);
    for pair in 1..=2 {
        world.erp.put("customers", pair, &[("phone", "2")]);
    }
    let planned = world.run_as(true);
    world.crm.meanwhile.lock().unwrap().push(("accounts", 101, "memo", "a note".into()));
    let report = world.apply(&planned, &[]);
    assert_eq!(sums(&report), [1, 0, 0, 1, 0], "{:#?}", report.carried);
    assert_eq!(told(&carried(&report).moved), ["customers:C1 update: it was edited in the CRM since"]);
    assert_eq!(world.crm.get("accounts", 101, "phone"), "1");
    // A lost answer is none of that.
    let planned = world.run_as(true);
    world.crm.accidents.lock().unwrap().push(Accident::RequestLost);
    assert_eq!(sums(&world.apply(&planned, &[])), [1, 0, 0, 0, 0]);
    world.erp.put("customers", 1, &[("phone", "3")]);
    let planned = world.run_as(true);
    *world.crm.refuses.lock().unwrap() = Some(Box::new(|_, _| Some("no".into())));
    let report = world.apply(&planned, &[]);
    assert_eq!((sums(&report), report.outcome), ([0, 0, 1, 0, 0], RunOutcome::Incomplete));
}

#[test]
fn a_plan_over_changes_leaves_to_the_next_run_what_it_does_not_have() {
    let mut world = coupled(4);
    world.changed = true;
    world.run();
    world.erp.advance(60);
    world.erp.put("customers", 1, &[("phone", "2")]);
    let planned = world.run_as(true);
    world.erp.put("customers", 2, &[("phone", "3")]);
    assert_eq!(sums(&world.apply(&planned, &[])), [1, 0, 0, 0, 1]);
    twice_with(&mut world, &planned, 1);
    world.erp.advance(60);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged);
    assert_eq!(world.crm.get("accounts", 102, "phone"), "3", "the watermark did not pass over it");
    twice(&mut world, &planned);
}

fn twice_with(world: &mut World, planned: &RunReport, unplanned: usize) {
    let before = writes(world);
    let again = world.apply(planned, &[]);
    assert_eq!((writes(world), sums(&again)), (before, [0, planned.plan.actions().count(), 0, 0, unplanned]));
}

#[test]
fn what_the_plan_left_to_the_run_is_decided_then() {
    let mut world = World::with(&format!(
        "{PEOPLE}
  customers:
    erp: {{ table: customers, label: number }}
    crm: {{ table: accounts, label: number, filter: kind = 3 }}
    direction: to_erp
    match: [ {{ by: {{ number: number, person: owner }} }} ]
    fields:
      - {{ erp: number, crm: number, when: create }}
      - {{ erp: person, crm: owner, ref: {{ table: people, erp: code }}, when: create }}
      - {{ erp: phone, crm: phone }}
"
    ));
    world.crm.put("users", 111, &[("mail", "new@a.example"), ("name", "New")]);
    let owner = Uuid::from_u128(111).to_string();
    world.crm.put("accounts", 101, &[("number", "C1"), ("owner", &owner), ("phone", "2"), ("kind", "3")]);
    let planned = world.run_as(true);
    let later: Vec<&str> = planned.plan.later().map(|(_, later)| later.record.as_str()).collect();
    assert_eq!(later, ["customers:crm:C1"]);
    // The ERP makes the customer along with the person.
    let made = [("number", "C1"), ("person", "SP001"), ("phone", "1")];
    let typed = made.map(|(column, text)| ("customers", 1, column, text.to_owned()));
    world.erp.afterwards.lock().unwrap().extend(typed);
    let report = world.apply(&planned, &[]);
    assert_eq!((report.outcome, sums(&report)), (RunOutcome::Converged, [1, 0, 0, 0, 0]), "{report:#?}");
    assert_eq!(world.erp.get("customers", 1, "phone"), "2");
    let kinds: Vec<ActionKind> = report.plan.actions().map(|action| action.kind.clone()).collect();
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    world.quiet();
}

#[test]
fn a_plan_of_another_place_is_refused_before_anything_is_read() {
    let mut world = coupled(1);
    world.erp.put("customers", 1, &[("phone", "2")]);
    let planned = world.run_as(true);
    let mut binding = planned.binding.clone();
    binding.sides.crm = Identity { id: Uuid::from_u128(9), name: "theirs".into() };
    let mut renamed = planned.binding.clone();
    renamed.pipeline = "other".into();
    for (binding, expected) in [(binding, "CRM organization `theirs`"), (renamed, "the pipeline `other`")] {
        let approved = Approved::new(planned.plan.clone(), binding, planned.started.clone(), Default::default());
        world.approved = Some(approved);
        let reads = world.erp.asked();
        match world.attempt(false, &[], &mut |_| {}) {
            Err(RunError::ForeignPlan(message)) => assert!(message.contains(expected), "{message}"),
            other => panic!("{other:#?}"),
        }
        assert_eq!(world.erp.asked(), reads);
    }
    world.approved = None;
    assert_eq!(writes(&world), 0);
}

#[test]
fn a_plan_without_actions_is_carried_out_quietly() {
    let mut world = World::settled();
    let planned = world.run_as(true);
    let report = world.apply(&planned, &[]);
    assert_eq!((report.outcome, sums(&report)), (RunOutcome::Converged, [0, 0, 0, 0, 0]));
}
