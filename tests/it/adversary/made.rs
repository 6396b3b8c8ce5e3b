//! What a side makes of what it is sent, however that is learned: shown by the answer, read afterwards, found after a lost
//! answer, or after the death of the program. Its own doing is quiet, an edit since is an edit, and what it did not take
//! is a failure.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use pipeline::config::Side;
use pipeline::frame::Value;
use pipeline::run::account::RunOutcome;
use pipeline::store::{InboxKind, Store};
use rust_decimal::Decimal;

use crate::dice::{Chance, each_seed};
use crate::memory::{Accident, Memory};
use crate::rules::World;

const TABLES: &str = "
  customers:
    erp: { table: customers, label: number }
    crm: { table: accounts, label: number }
    direction: both
    create: both
    match: [ { by: { number: number } } ]
    fields:
      - { erp: number, crm: number, direction: to_crm }
      - { erp: name, crm: name }
      - { erp: phone, crm: phone }
      - { erp: limit, crm: limit }
      - { erp: memo, crm: memo }
      - { crm: kind, value: 3 }
";

/// How it is learned what became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The answer holds the record.
    Shown,
    /// The answer says that it went well, and no more.
    Silent,
    /// There is no answer.
    Lost,
    /// The program dies at that step: a request or a commit, before or after it.
    Died(u64),
}

/// A settled pair; the CRM keeps one digit after the point, and has a default of its own.
fn world() -> World {
    let mut world = World::settled_with(TABLES);
    world.erp.put("customers", 1, &[("memo", "old")]);
    world.crm.put("accounts", 101, &[("memo", "old")]);
    assert_eq!((world.run().outcome, world.crm.writes()), (RunOutcome::Converged, 0));
    *world.crm.hook.lock().unwrap() = Some(Box::new(|_, record| {
        if let Some(Value::Decimal(limit)) = record.get_mut("limit") {
            *limit = limit.round_dp(1);
        }
        if record.get("memo").is_none_or(Value::is_blank) {
            record.insert("memo".into(), Value::Text("none".into()));
        }
    }));
    world
}

/// Runs once in which the first write to the CRM becomes known that way, and once more; `false` where the program had
/// nothing left at which it could have died.
fn run(world: &mut World, way: Way) -> bool {
    let mut died = true;
    match way {
        Way::Shown => {}
        Way::Silent => world.crm.silent.store(true, Ordering::Relaxed),
        Way::Lost => world.crm.accidents.lock().unwrap().push(Accident::AnswerLost),
        Way::Died(step) => {
            let (fate, step) = if step % 2 == 0 { (&world.crm.fate, step) } else { (&world.fate, step) };
            fate.set(Some(step / 2));
        }
    }
    let run = catch_unwind(AssertUnwindSafe(|| world.run()));
    world.crm.silent.store(false, Ordering::Relaxed);
    world.crm.fate.set(None);
    world.fate.set(None);
    if let Way::Died(_) = way {
        died = run.is_err();
        world.reopen();
        world.run();
    } else {
        run.unwrap();
    }
    died
}

/// Plays something in every way.
fn every_way(mut play: impl FnMut(Way) -> bool) {
    for way in [Way::Shown, Way::Silent, Way::Lost] {
        play(way);
    }
    // Requests and commits take turns, and there are more commits than requests.
    let mut alive = 0;
    for step in 0.. {
        alive = if play(Way::Died(step)) { 0 } else { alive + 1 };
        if alive == 4 {
            assert!(step > 20, "{step} steps are few");
            return;
        }
    }
}

fn id_of(memory: &Memory, table: &str, number: &str) -> u128 {
    let all = memory.all(table);
    let found = all.iter().find(|(_, record)| record.get("number").is_some_and(|held| held == number));
    found.unwrap_or_else(|| panic!("nobody is {number} among {all:#?}")).0.as_u128()
}

#[test]
fn what_a_side_makes_of_a_value_is_its_own() {
    every_way(|way| {
        let mut world = world();
        world.erp.put("customers", 1, &[("limit", "10.26"), ("name", "Ahlgren Marine")]);
        world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl"), ("limit", "20.26")]);
        let died = run(&mut world, way);
        let report = world.run();
        assert_eq!(report.outcome, RunOutcome::Converged, "{way:?}: {:#?}", report.inbox);
        let new = id_of(&world.crm, "accounts", "C2");
        let crm = [(101, "limit"), (new, "limit"), (new, "memo")].map(|(id, name)| world.crm.get("accounts", id, name));
        assert_eq!(crm, ["10.3", "20.3", "none"], "{way:?}");
        let erp = [(1, "limit"), (2, "limit"), (2, "memo")].map(|(id, name)| world.erp.get("customers", id, name));
        assert_eq!(erp, ["10.26", "20.26", ""], "{way:?}");
        assert_eq!(world.erp.writes(), 0, "{way:?}: what the CRM did on its own is nobody's edit");
        world.quiet();
        // What follows is an edit again.
        world.crm.put("accounts", new, &[("limit", "7")]);
        world.run();
        assert_eq!(world.erp.get("customers", 2, "limit"), "7", "{way:?}");
        died
    });
}

#[test]
fn what_somebody_typed_since_is_an_edit() {
    for way in [Way::Shown, Way::Silent, Way::Lost] {
        for insert in [false, true] {
            let mut world = world();
            let (erp, number) = if insert { (2, "C2") } else { (1, "C1") };
            world.erp.put("customers", erp, &[("number", number), ("name", "Dahl"), ("limit", "10.26")]);
            let planned = world.run_as(true);
            let action =
                planned.plan.actions().find(|action| action.side == Side::Crm && action.kind.writes()).unwrap();
            let typed = [("limit", "99"), ("memo", "urgent")];
            let edits = typed.map(|(column, text)| ("accounts", action.ids.crm.as_u128(), column, text.to_owned()));
            world.crm.afterwards.lock().unwrap().extend(edits);
            run(&mut world, way);
            let report = world.run();
            if way == Way::Lost && !insert {
                // Whether the write came first nobody knows, so nobody is overwritten.
                assert_eq!(report.inbox[0].kind, InboxKind::Contested, "{:#?}", report.inbox);
                assert_eq!(world.crm.get("accounts", 101, "limit"), "99");
                continue;
            }
            assert_eq!(report.outcome, RunOutcome::Converged, "{way:?}, {insert}: {:#?}", report.inbox);
            for (column, text) in typed {
                assert_eq!(world.erp.get("customers", erp, column), text, "{way:?}, {insert}");
                assert_eq!(world.crm.get("accounts", action.ids.crm.as_u128(), column), text, "{way:?}, {insert}");
            }
            world.quiet();
        }
    }
}

#[test]
fn what_a_side_does_not_take_is_a_failure_and_no_edit() {
    every_way(|way| {
        let mut world = world();
        world.crm.ignores.lock().unwrap().extend(["phone"]);
        world.erp.put("customers", 1, &[("phone", "2"), ("name", "Ahlgren Marine")]);
        world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl"), ("phone", "3")]);
        let died = run(&mut world, way);
        let report = world.run();
        assert_eq!(report.outcome, RunOutcome::Incomplete, "{way:?}");
        let messages: Vec<&str> = report.inbox.iter().map(|item| item.message.as_str()).collect();
        let new = id_of(&world.crm, "accounts", "C2");
        for (record, kept, sent) in [("customers:C1", "`1`", "`2`"), ("customers:C2", "blank", "`3`")] {
            let told = format!("the CRM answered success and kept {kept} in phone where {sent} was sent");
            let tells = |message: &&&str| message.starts_with(record) && message.contains(&told);
            assert_eq!(messages.iter().filter(tells).count(), 1, "{way:?}: {messages:#?}");
        }
        assert_eq!(messages.len(), 2, "{way:?}: {messages:#?}");
        let held = [world.erp.get("customers", 1, "phone"), world.crm.get("accounts", 101, "phone")];
        assert_eq!(held, ["2", "1"], "{way:?}: nobody's edit is overwritten (I6)");
        assert_eq!(world.erp.get("customers", 2, "phone"), "3", "{way:?}");
        assert_eq!([101, new].map(|id| world.crm.get("accounts", id, "name")), ["Ahlgren Marine", "Dahl"], "{way:?}");
        assert_eq!(world.erp.writes(), 0, "{way:?}");
        // Refused twice, both are left alone until something changes.
        world.run();
        world.quiet();
        assert_eq!(world.run().inbox.len(), 2, "{way:?}");
        world.crm.ignores.lock().unwrap().clear();
        world.erp.put("customers", 1, &[("phone", "4")]);
        world.erp.put("customers", 2, &[("phone", "5")]);
        let report = world.run();
        assert_eq!(report.outcome, RunOutcome::Converged, "{way:?}: {:#?}", report.inbox);
        assert_eq!([101, new].map(|id| world.crm.get("accounts", id, "phone")), ["4", "5"], "{way:?}");
        died
    });
}

/// Nights in which one side edits a field of each kind, in whatever way it becomes known what the other one made of it.
#[test]
fn what_sides_make_of_values_by_chance() {
    let mut all_kept = 0;
    each_seed("adversary::made::what_sides_make_of_values_by_chance", 8, &[], |seed| {
        let mut chance = Chance(seed.wrapping_mul(0x9e37).wrapping_add(5));
        let mut world = world();
        let (mut kept, mut made) = (0, 1_u128);
        for night in 0..8 {
            let place = format!("seed {seed}, night {night}");
            let ignores = chance.one_in(3);
            world.crm.ignores.lock().unwrap().extend(ignores.then_some("phone"));
            let (by_crm, name, phone) = (chance.one_in(3), chance.below(1_000), chance.below(1_000));
            let limit = Decimal::new(i64::try_from(chance.below(90_000)).unwrap() + 1, 2);
            let before = [world.erp.get("customers", 1, "phone"), world.crm.get("accounts", 101, "phone")];
            let rounded = if by_crm { limit.round_dp(1) } else { limit };
            if by_crm {
                world.crm.put("accounts", 101, &[("limit", &rounded.to_string()), ("name", &format!("name {name}"))]);
            } else {
                let phone = format!("phone {phone}");
                let values = [("limit", &*limit.to_string()), ("name", &format!("name {name}")), ("phone", &phone)];
                world.erp.put("customers", 1, &values);
            }
            if chance.one_in(3) {
                made += 1;
                let number = format!("C{made}");
                world.erp.put("customers", made, &[("number", &number), ("name", &number), ("limit", "5.55")]);
            }
            for side in [&world.erp, &world.crm] {
                side.silent.store(chance.one_in(2), Ordering::Relaxed);
                for _ in 0..chance.below(4) {
                    let accidents = [Accident::AnswerLost, Accident::RequestLost, Accident::Stale, Accident::None];
                    side.accidents.lock().unwrap().push(chance.pick(&accidents));
                }
                if chance.one_in(3) {
                    side.fate.set(Some(chance.below(12)));
                }
            }
            if chance.one_in(3) {
                world.fate.set(Some(chance.below(20)));
            }
            let run = catch_unwind(AssertUnwindSafe(|| world.run()));
            for side in [&world.erp, &world.crm] {
                side.silent.store(false, Ordering::Relaxed);
                side.accidents.lock().unwrap().clear();
                side.fate.set(None);
            }
            world.fate.set(None);
            if run.is_err() {
                world.reopen();
            }
            let planned = world.run_as(true);
            let writes = (world.erp.writes(), world.crm.writes());
            let report = world.run();
            let same = planned.plan.actions().eq(report.plan.actions());
            assert!(same, "{place}: the plan is the run (I8): {:#?}, {:#?}", planned.plan, report.plan);
            let number = |text: String| text.parse::<Decimal>().unwrap_or_default();
            let limits = [world.erp.get("customers", 1, "limit"), world.crm.get("accounts", 101, "limit")].map(number);
            assert_eq!(limits, [rounded, rounded.round_dp(1)], "{place}: {writes:?}");
            let names = [world.erp.get("customers", 1, "name"), world.crm.get("accounts", 101, "name")];
            assert_eq!(names, [format!("name {name}"), format!("name {name}")], "{place}");
            let phones = [world.erp.get("customers", 1, "phone"), world.crm.get("accounts", 101, "phone")];
            if ignores && !by_crm {
                assert_eq!(
                    phones,
                    [format!("phone {phone}"), before[1].clone()],
                    "{place}: nobody's edit is lost (I6)"
                );
                let told = report.inbox.iter().filter(|item| item.message.contains("in phone where"));
                assert_eq!(told.count(), 1, "{place}: {:#?}", report.inbox);
                kept += 1;
                // Somebody lets it be changed there.
                world.crm.ignores.lock().unwrap().clear();
                world.erp.put("customers", 1, &[("phone", "changed")]);
                world.run();
            }
            world.crm.ignores.lock().unwrap().clear();
            let report = world.run();
            assert_eq!(report.outcome, RunOutcome::Converged, "{place}: {report:#?}");
            let phones = [world.erp.get("customers", 1, "phone"), world.crm.get("accounts", 101, "phone")];
            assert_eq!(phones[0], phones[1], "{place}");
            for id in 2..=made {
                assert_eq!(world.erp.get("customers", id, "limit"), "5.55", "{place}, {id}");
                assert_eq!(world.erp.get("customers", id, "memo"), "", "{place}, {id}");
            }
            world.quiet();
        }
        all_kept += kept;
    });
    assert!(all_kept > 0 || std::env::var("SEED").is_ok(), "nothing was kept in all these nights");
}

/// A gateway gives up, and the side makes the record after all: before the next attempt, after it, or between two runs.
#[test]
fn a_new_record_that_comes_late_is_not_made_under_another_key() {
    const PEOPLE: &str = "
  people:
    erp: { table: people, label: code }
    crm: { table: users, label: mail }
    direction: to_erp
    create: to_erp
    match: [ { by: { email: mail } } ]
    on_create: [ { side: erp, set: { code: \"next_number('SP', 3)\" } } ]
    fields:
      - { erp: email, crm: mail }
      - { erp: name, crm: name }
";
    for (holds_up, attempts) in [(false, 1), (true, 1), (true, 20), (false, 20)] {
        let mut world = World::with(PEOPLE);
        world.erp.know_by("people", "code");
        let user = |world: &World, number: u128, name: &str| {
            world.crm.put("users", number, &[("mail", &format!("{name}@a.example")), ("name", name)]);
        };
        user(&world, 101, "ann");
        user(&world, 102, "ben");
        // The first of the two is under way, the other one is made at once.
        let accidents = std::iter::repeat_n(Accident::Late, attempts).collect();
        *world.erp.accidents.lock().unwrap() = accidents;
        if attempts == 1 {
            world.erp.accidents.lock().unwrap().insert(0, Accident::None);
        }
        world.erp.holds_up.store(holds_up, Ordering::Relaxed);
        let first = world.run();
        let place = format!("holds up: {holds_up}, {attempts} attempts: {:#?}", first.inbox);
        // Another one comes, and gets another number.
        user(&world, 103, "cat");
        world.erp.accidents.lock().unwrap().clear();
        let planned = world.run_as(true);
        let report = world.run();
        let actions =
            |report: &pipeline::run::account::RunReport| format!("{:#?}", report.plan.actions().collect::<Vec<_>>());
        assert_eq!(actions(&planned), actions(&report), "{place}: the plan is the run (I8)");
        world.erp.holds_up.store(false, Ordering::Relaxed);
        world.erp.arrive();
        let report = world.run();
        assert_eq!(report.outcome, RunOutcome::Converged, "{place}: {:#?}", report.inbox);
        let mut names = world.erp.column("people", "name");
        names.sort();
        assert_eq!(names, ["ann", "ben", "cat"], "{place}: nothing is made twice (I2)");
        let mut codes = world.erp.column("people", "code");
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), 3, "{place}");
        let coupled = world.store.coupling_counts().unwrap().get("people").copied();
        assert_eq!(coupled, Some(3), "{place}");
        world.quiet();
        assert_eq!(world.store.open_intents("people").unwrap(), [], "{place}");
    }
}
