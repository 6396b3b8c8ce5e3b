//! Contested fields that a person decides.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pipeline::config::Blank;
use pipeline::delta::decided::told;
use pipeline::run::account::RunOutcome;
use pipeline::store::{InboxKind, Store};

use super::{answer, resolve, standing, withdraw};
use crate::rules::{CUSTOMERS, PEOPLE, World};
use pipeline::cli::inbox::answer::{Wish, take};

/// A world in which the phone of customer C1 is contested: `2` in the ERP, `3` in the CRM, `1` before.
fn contested() -> World {
    let mut world = World::settled();
    world.erp.put("customers", 1, &[("phone", "2")]);
    world.crm.put("accounts", 101, &[("phone", "3")]);
    assert_eq!(world.run().outcome, RunOutcome::Incomplete);
    world
}

fn phones(world: &World) -> (String, String) {
    (world.erp.get("customers", 1, "phone"), world.crm.get("accounts", 101, "phone"))
}

#[test]
fn the_next_run_writes_what_a_person_took() {
    for (verdict, expected, writes) in [
        ("erp", "2", (0, 1)),
        ("crm", "3", (1, 0)),
        ("value=4", "4", (1, 1)),
        ("value=2", "2", (0, 1)),
        ("value=", "", (1, 1)),
    ] {
        for changed in [false, true] {
            let mut world = contested();
            resolve(&mut world, "customers:C1", "phone", verdict);
            assert_eq!(phones(&world), ("2".into(), "3".into()), "{verdict}: an answer asks neither side");
            world.changed = changed;
            let planned = world.run_as(true);
            assert_eq!(phones(&world), ("2".into(), "3".into()), "{verdict}: a plan writes nothing");
            assert_eq!(standing(&world).len(), 1, "{verdict}: a plan ends no decision");
            let before = (world.erp.writes(), world.crm.writes());
            let report = world.run();
            assert_eq!(planned.plan, report.plan, "{verdict}: the plan is the run (I8)");
            assert_eq!(report.outcome, RunOutcome::Converged, "{verdict}: {:#?}", report.inbox);
            assert_eq!(phones(&world), (expected.into(), expected.into()), "{verdict}");
            let after = (world.erp.writes() - before.0, world.crm.writes() - before.1);
            assert_eq!(after, writes, "{verdict}: only what differs is written (I5)");
            let actions = &report.plan.tables[1].actions;
            assert!(actions.iter().all(|action| action.why == "decided by a person on 2026-01-31"), "{actions:#?}");
            let journal = world.store.writes_of_run(&report.run).unwrap();
            assert!(journal.iter().all(|write| write.intent.why == "decided by a person on 2026-01-31"));
            assert_eq!(standing(&world), [], "{verdict}");
            let ended = world.store.decisions(None).unwrap().remove(0);
            assert_eq!(ended.ended.as_deref(), Some("2026-01-31T02:00:00Z"), "{verdict}: it is kept with its date");
            world.quiet();
        }
    }
}

#[test]
fn a_decision_for_other_values_does_nothing() {
    for (erp, crm) in [("5", "3"), ("2", "5"), ("3", "2")] {
        let mut world = contested();
        resolve(&mut world, "customers:C1", "phone", "erp");
        world.erp.put("customers", 1, &[("phone", erp)]);
        world.crm.put("accounts", 101, &[("phone", crm)]);
        for _ in 0..2 {
            let report = world.run();
            assert_eq!(phones(&world), (erp.into(), crm.into()));
            let messages: Vec<_> = report.inbox.iter().map(|item| told(item)).collect();
            assert_eq!(
                messages,
                ["edited on both sides to different values; decided on 2026-01-31 for other values (ERP `2`, CRM `3`)"]
            );
            assert_eq!(standing(&world).len(), 1);
        }
        // The values come back, and with them what was decided about them.
        world.erp.put("customers", 1, &[("phone", "2")]);
        world.crm.put("accounts", 101, &[("phone", "3")]);
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        assert_eq!(phones(&world), ("2".into(), "2".into()));
    }
}

#[test]
fn a_decision_that_was_carried_out_does_not_come_back() {
    let mut world = contested();
    resolve(&mut world, "customers:C1", "phone", "erp");
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    // The same two values once more, years later: that is another question.
    world.erp.put("customers", 1, &[("phone", "9")]);
    world.run();
    world.erp.put("customers", 1, &[("phone", "2")]);
    world.crm.put("accounts", 101, &[("phone", "3")]);
    let report = world.run();
    assert_eq!(report.inbox[0].message, "edited on both sides to different values");
}

/// The run dies at any step. Once the state knows that the write was carried out, or that both sides agree, what somebody
/// does to the field is an edit, though it be the value that gave way.
#[test]
fn a_decision_does_not_outlive_what_carried_it_out() {
    for agreed_before in [false, true] {
        for who in ["state", "crm"] {
            let (mut ended, mut steps) = (0, 0);
            loop {
                let mut world = contested();
                resolve(&mut world, "customers:C1", "phone", "erp");
                if agreed_before {
                    world.crm.put("accounts", 101, &[("phone", "2")]);
                }
                let fate = if who == "state" { &world.fate } else { &world.crm.fate };
                fate.set(Some(steps));
                let died = catch_unwind(AssertUnwindSafe(|| drop(world.run()))).is_err();
                world.fate.set(None);
                world.crm.fate.set(None);
                world.reopen();
                if !died {
                    break;
                }
                let place = format!("{who}, step {steps}, agreed before: {agreed_before}");
                let ids = world.store.coupled("customers").unwrap()[0].ids;
                let base = world.store.base_values("customers", ids.erp, ids.crm).unwrap().remove("phone=phone");
                let settled = base.is_some_and(|base| base.crm == "2");
                assert_eq!(standing(&world).is_empty(), settled, "{place}");
                if settled {
                    world.crm.put("accounts", 101, &[("phone", "3")]);
                    assert_eq!(world.run().outcome, RunOutcome::Converged, "{place}");
                    assert_eq!(phones(&world), ("3".into(), "3".into()), "{place}");
                    ended += 1;
                }
                steps += 1;
            }
            // The CRM is not asked again once it has carried out the write.
            assert!(ended > 0 || who == "crm", "{who}, agreed before: {agreed_before}");
        }
    }
}

#[test]
fn what_is_edited_right_after_the_write_of_a_decision_is_an_edit() {
    for silent in [false, true] {
        let mut world = contested();
        resolve(&mut world, "customers:C1", "phone", "erp");
        world.crm.silent.store(silent, std::sync::atomic::Ordering::Relaxed);
        // Where the answer does not show the record, the value that gave way would be one that was not taken.
        let typed = if silent { "4" } else { "3" };
        world.crm.afterwards.lock().unwrap().push(("accounts", 101, "phone", typed.to_owned()));
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        world.crm.silent.store(false, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        assert_eq!((phones(&world), standing(&world).len()), ((typed.into(), typed.into()), 0), "silent: {silent}");
    }
}

#[test]
fn a_decision_about_what_both_sides_settled_themselves_ends() {
    let mut world = contested();
    resolve(&mut world, "customers:C1", "phone", "crm");
    world.crm.put("accounts", 101, &[("phone", "2")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!((phones(&world), standing(&world).len()), (("2".into(), "2".into()), 0));
}

#[test]
fn a_write_that_is_refused_or_lost_leaves_the_decision_standing() {
    use crate::memory::Accident;
    let mut world = contested();
    resolve(&mut world, "customers:C1", "phone", "erp");
    *world.crm.refuses.lock().unwrap() = Some(Box::new(|_, _| Some("locked".to_owned())));
    assert_eq!(world.run().inbox[0].kind, InboxKind::Failed);
    assert_eq!(standing(&world).len(), 1);
    *world.crm.refuses.lock().unwrap() = None;
    world.crm.accidents.lock().unwrap().push(Accident::RequestLost);
    world.run();
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!((phones(&world), standing(&world).len()), (("2".into(), "2".into()), 0));
}

#[test]
fn an_edit_while_the_run_is_at_it_is_contested_anew() {
    let mut world = contested();
    resolve(&mut world, "customers:C1", "phone", "erp");
    world.crm.meanwhile.lock().unwrap().push(("accounts", 101, "phone", "7".into()));
    let report = world.run();
    assert_eq!(world.crm.get("accounts", 101, "phone"), "7", "nobody's edit is lost: {:#?}", report.inbox);
    assert!(told(&report.inbox[0]).contains("for other values"), "{:#?}", report.inbox);
}

#[test]
fn a_new_pair_that_differs_is_filled_as_a_person_says() {
    let tables = format!("{PEOPLE}{}", CUSTOMERS.replace("first_sync: erp", "first_sync: hold"));
    for (verdict, expected) in [("erp", "2"), ("crm", "3"), ("value=4", "4")] {
        let mut world = World::with(&tables);
        world.erp.put("customers", 1, &[("number", "C1"), ("name", "Ahlgren"), ("phone", "2")]);
        world.crm.put("accounts", 101, &[("number", "C1"), ("name", "Ahlgren"), ("phone", "3"), ("kind", "3")]);
        assert_eq!(world.run().outcome, RunOutcome::Incomplete);
        resolve(&mut world, "customers:C1", "phone", verdict);
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        assert_eq!(phones(&world), (expected.into(), expected.into()));
        world.quiet();
    }
}

#[test]
fn a_blank_that_a_person_takes_is_written_also_where_blanks_stay() {
    let mut world = World::settled();
    for field in &mut world.pipeline.tables[1].fields {
        field.blank = Blank::Keep;
    }
    world.erp.put("customers", 1, &[("phone", "")]);
    world.crm.put("accounts", 101, &[("phone", "3")]);
    world.run();
    resolve(&mut world, "customers:C1", "phone", "erp");
    world.run();
    assert_eq!(phones(&world), (String::new(), String::new()));
    world.quiet();
}

#[test]
fn a_value_goes_through_the_field_map_and_fails_where_it_does_not_fit() {
    let fields = "{ erp: phone, crm: phone, to_crm: \"CONCAT('+', phone)\", to_erp: \"SUBSTR(phone, 2)\" }";
    let tables = format!("{PEOPLE}{}", CUSTOMERS.replace("{ erp: phone, crm: phone }", fields));
    let mut world = World::with(&tables);
    world.erp.put("customers", 1, &[("number", "C1"), ("name", "Ahlgren"), ("phone", "1")]);
    world.crm.put("accounts", 101, &[("number", "C1"), ("name", "Ahlgren"), ("phone", "+1"), ("kind", "3")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    world.erp.put("customers", 1, &[("phone", "2")]);
    world.crm.put("accounts", 101, &[("phone", "+3")]);
    world.run();
    for side in [&world.erp, &world.crm] {
        for table in side.tables.lock().unwrap().values_mut() {
            for info in &mut table.info.columns {
                info.length_max = (info.column.name == "phone").then_some(4);
            }
        }
    }
    for (value, side) in [("12345", "ERP"), ("1234", "CRM")] {
        resolve(&mut world, "customers:C1", "phone", &format!("value={value}"));
        world.erp.put("customers", 1, &[("city", value)]);
        let report = world.run();
        assert_eq!(phones(&world), ("2".into(), "+3".into()), "it goes to both sides or to none");
        let item = &report.inbox[0];
        let begin = format!("customers:C1 cannot go to the {side}: phone: `");
        assert!(item.message.starts_with(&begin) && item.message.contains("takes 4"), "{item:#?}");
        assert!(item.message.ends_with("(decided by a person on 2026-01-31)"), "{item:#?}");
        assert_eq!((item.kind, report.inbox.len()), (InboxKind::Failed, 1));
    }
    // Whoever gave a value that does not fit gives another one.
    resolve(&mut world, "customers:C1", "phone", "value=123");
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(phones(&world), ("123".into(), "+123".into()));
    world.quiet();
}

#[test]
fn a_value_becomes_what_the_columns_hold() {
    let tables = format!(
        "{PEOPLE}{}",
        CUSTOMERS.replace("{ erp: limit, crm: limit, direction: to_crm }", "{ erp: limit, crm: limit }")
    );
    let mut world = World::settled_with(&tables);
    world.erp.put("customers", 1, &[("limit", "2")]);
    world.crm.put("accounts", 101, &[("limit", "3")]);
    world.run();
    resolve(&mut world, "customers:C1", "limit", "value=lots");
    let message = world.run().inbox.remove(0).message;
    assert!(message.contains("`lots` is no decimal, as `limit` needs"), "{message}");
    resolve(&mut world, "customers:C1", "limit", "value=12.50");
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    let limits = (world.erp.get("customers", 1, "limit"), world.crm.get("accounts", 101, "limit"));
    assert_eq!(limits, ("12.5".into(), "12.5".into()));
}

#[test]
fn answers_that_make_no_sense_are_refused() {
    let mut world = contested();
    world.crm.put("accounts", 101, &[("city", "Moss")]);
    world.erp.put("customers", 1, &[("city", "Bergen")]);
    world.run();
    let resolve = |field: &str, verdict: &str| Wish::Resolve { field: field.into(), verdict: take(verdict).unwrap() };
    for (record, wish, expected) in [
        ("customers:C9", resolve("phone", "erp"), "nothing waits of `customers:C9`"),
        ("customers:C1", resolve("fone", "erp"), "customers has no field `fone`"),
        ("customers:C1", resolve("name", "erp"), "name of customers:C1 is not contested"),
        ("customers:C1", Wish::Retry, "customers:C1 is contested: that is nothing to retry"),
        ("customers:C1", Wish::Restore, "customers:C1 is contested: that is nothing to restore"),
        ("customers:C1", Wish::Delete, "customers:C1 is contested: that is nothing to delete"),
    ] {
        assert_eq!(answer(&mut world, record, &wish).unwrap_err(), expected);
    }
    assert_eq!(standing(&world), []);
    // Somebody changes the file after the field was contested.
    let field = world.pipeline.tables[1].fields.iter_mut().find(|field| field.name() == "phone").unwrap();
    field.direction = Some(pipeline::config::Direction::ToCrm);
    for (verdict, expected) in [
        ("crm", "phone goes to_crm only, so nothing can be taken to the ERP"),
        ("value=4", "phone goes to_crm only, so nothing can be taken to the ERP"),
    ] {
        assert_eq!(answer(&mut world, "customers:C1", &resolve("phone", verdict)).unwrap_err(), expected);
    }
    answer(&mut world, "customers:C1", &resolve("phone", "erp")).unwrap();
}

#[test]
fn a_value_that_the_field_does_not_list_is_refused_at_once() {
    let fields = "{ erp: city, crm: city, values: { Oslo: O, Bergen: B } }";
    let tables = format!("{PEOPLE}{}", CUSTOMERS.replace("{ erp: city, crm: city }", fields))
        .replace(", { by: { name: name, city: city } }", "");
    let mut world = World::with(&tables);
    world.erp.put("customers", 1, &[("number", "C1"), ("city", "Oslo")]);
    world.crm.put("accounts", 101, &[("number", "C1"), ("city", "O"), ("kind", "3")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    world.erp.put("customers", 1, &[("city", "Bergen")]);
    world.crm.put("accounts", 101, &[("city", "")]);
    world.run();
    let resolve = |verdict: &str| Wish::Resolve { field: "city".into(), verdict: take(verdict).unwrap() };
    let refused = answer(&mut world, "customers:C1", &resolve("value=Moss")).unwrap_err();
    assert_eq!(refused, "`Moss` is not in `values` of city");
    answer(&mut world, "customers:C1", &resolve("value=Oslo")).unwrap();
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(
        (world.erp.get("customers", 1, "city"), world.crm.get("accounts", 101, "city")),
        ("Oslo".into(), "O".into())
    );
}

#[test]
fn what_is_decided_outside_the_filter_waits_until_it_comes_back() {
    let mut world = contested();
    resolve(&mut world, "customers:C1", "phone", "crm");
    world.crm.put("accounts", 101, &[("kind", "10")]);
    for _ in 0..2 {
        let report = world.run();
        assert_eq!((phones(&world), standing(&world).len()), (("2".into(), "3".into()), 1));
        assert_eq!(report.inbox.len(), 1);
    }
    world.crm.put("accounts", 101, &[("kind", "3")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!((phones(&world), standing(&world).len()), (("3".into(), "3".into()), 0));
}

#[test]
fn no_guard_counts_what_a_person_decided() {
    let mut world = contested();
    world.pipeline.tables[1].guard.update = Some(pipeline::config::Limit::Number(0));
    resolve(&mut world, "customers:C1", "phone", "erp");
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    // Beside an edit that nobody decided, the record counts.
    let mut world = contested();
    world.pipeline.tables[1].guard.update = Some(pipeline::config::Limit::Number(0));
    resolve(&mut world, "customers:C1", "phone", "erp");
    world.erp.put("customers", 1, &[("city", "Bergen")]);
    assert_eq!(world.run().outcome, RunOutcome::Guarded);
    assert_eq!((phones(&world), standing(&world).len()), (("2".into(), "3".into()), 1));
}

/// As long as both sides hold what it was decided on: who would win by the file, a person has seen.
#[test]
fn what_a_person_decided_counts_more_than_the_file() {
    // The newer edit wins, and neither was; then somebody edits another field.
    let text = CUSTOMERS.replace("{ erp: phone, crm: phone }", "{ erp: phone, crm: phone, on_conflict: newest }");
    let mut world = World::settled_with(&format!("{PEOPLE}{text}"));
    world.erp.put("customers", 1, &[("phone", "2")]);
    world.crm.put("accounts", 101, &[("phone", "3")]);
    assert_eq!(world.run().outcome, RunOutcome::Incomplete);
    resolve(&mut world, "customers:C1", "phone", "crm");
    world.pass_ms(60_000);
    world.erp.put("customers", 1, &[("city", "Moss")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!((phones(&world), standing(&world)), (("3".into(), "3".into()), Vec::new()));
    world.quiet();
    // The file lets a side win by now.
    for first in [false, true] {
        let mut world = if first { World::with(&format!("{PEOPLE}{CUSTOMERS}")) } else { contested() };
        if first {
            world.pipeline.tables[1].first_sync = Some(pipeline::config::Policy::Hold);
            world.erp.put("customers", 1, &[("number", "C1"), ("name", "Ahlgren"), ("phone", "2")]);
            world.crm.put("accounts", 101, &[("number", "C1"), ("name", "Ahlgren"), ("phone", "3"), ("kind", "3")]);
            assert_eq!(world.run().outcome, RunOutcome::Incomplete);
        }
        resolve(&mut world, "customers:C1", "phone", "crm");
        world.pipeline.tables[1].first_sync = Some(pipeline::config::Policy::Erp);
        for field in &mut world.pipeline.tables[1].fields {
            field.on_conflict = pipeline::config::OnConflict::Erp;
        }
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        assert_eq!((phones(&world), standing(&world)), (("3".into(), "3".into()), Vec::new()), "{first}");
        world.quiet();
    }
}

#[test]
fn a_pair_that_is_uncoupled_by_a_person_is_kept_apart() {
    let mut world = contested();
    answer(&mut world, "customers:C1", &Wish::Uncouple).unwrap();
    assert!(world.store.inbox(None).unwrap().is_empty(), "no run is needed");
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(phones(&world), ("2".into(), "3".into()));
    world.quiet();
    let apart = world.store.apart().unwrap();
    assert!(
        apart.len() == 2 && apart.iter().all(|apart| apart.record.as_deref() == Some("customers:C1")),
        "{apart:#?}"
    );
}

#[test]
fn a_contested_field_knows_when_its_records_were_modified_when_it_was_filed() {
    let mut world = World::settled();
    let told = |world: &World, field: &str| {
        let items = world.store.inbox(None).unwrap();
        let item = items.iter().find(|item| item.field.as_deref() == Some(field)).unwrap();
        let [erp, crm] = [&item.background.modified.erp, &item.background.modified.crm].map(|time| {
            let time = chrono::DateTime::parse_from_rfc3339(time.as_deref().unwrap()).unwrap();
            time.timestamp_millis()
        });
        (erp, crm)
    };
    let now = |world: &World| world.erp.clock_ms.load(std::sync::atomic::Ordering::Relaxed);
    world.pass_ms(60_000);
    world.erp.put("customers", 1, &[("phone", "2"), ("city", "Moss")]);
    let erp = now(&world);
    world.pass_ms(60_000);
    world.crm.put("accounts", 101, &[("phone", "3"), ("name", "Ahlgren AS")]);
    let crm = now(&world);
    world.pass_ms(60_000);
    world.run_as(true);
    // City and name go over in the same run: our own writes are nobody's modification.
    world.run();
    assert_eq!(told(&world, "phone"), (erp, crm / 1_000 * 1_000));
    // Neither are they in the next night, nor is an edit of another field.
    world.pass_ms(60_000);
    world.erp.put("customers", 1, &[("city", "Bergen")]);
    world.run();
    assert_eq!(told(&world, "phone"), (erp, crm / 1_000 * 1_000));
    // Other values were filed when they were seen.
    world.pass_ms(60_000);
    world.erp.put("customers", 1, &[("phone", "4")]);
    let again = now(&world);
    world.run();
    assert_eq!(told(&world, "phone").0, again);
}

#[test]
fn a_contested_reference_is_told_by_name() {
    let mut world = World::settled();
    for id in [2, 3] {
        let code = format!("C{id}");
        world.erp.put("customers", id, &[("number", &code), ("name", &code)]);
        world.crm.put("accounts", 100 + id, &[("number", &code), ("name", &code), ("kind", "3")]);
    }
    world.run();
    world.erp.put("customers", 1, &[("parent", "C2"), ("city", "Moss")]);
    world.crm.put("accounts", 101, &[("parent", &uuid::Uuid::from_u128(103).to_string())]);
    let report = world.run();
    let item = &report.inbox[0];
    assert_eq!((item.kind, item.background.crm_record.as_deref()), (InboxKind::Contested, Some("customers:C3")));
    let told = pipeline::report::inbox::whole(&report.inbox);
    assert!(told[2].contains("ERP \"C2\", CRM customers:C3"), "{told:#?}");
    // References have their turn last, when this run has written the city: of the CRM only our own time is left.
    let modified = &item.background.modified;
    assert_eq!((modified.erp.is_some(), &modified.crm), (true, &None), "{item:#?}");
}

#[test]
fn a_decision_that_is_withdrawn_was_never_made() {
    let mut world = contested();
    let before = world.store.inbox(None).unwrap();
    let nothing = "nothing is decided of `customers:C1` that is still to be carried out (`pipeline inbox FILE` lists \
                   what is decided, for the next run; a `retry` is not taken back: the record is sent until its \
                   side refuses it twice)";
    assert_eq!(withdraw(&mut world, "customers:C1", None).unwrap_err(), nothing);
    resolve(&mut world, "customers:C1", "phone", "erp");
    assert_eq!(
        withdraw(&mut world, "customers:C1", Some("city")).unwrap_err(),
        "nothing is decided of city of `customers:C1` (decided is phone)"
    );
    assert_eq!(standing(&world).len(), 1);
    let account = format!("customers:crm:{}", uuid::Uuid::from_u128(101));
    assert_eq!(withdraw(&mut world, &account, Some("phone")), Ok(1));
    assert_eq!((standing(&world), world.store.inbox(None).unwrap()), (Vec::new(), before));
    assert_eq!(world.run().outcome, RunOutcome::Incomplete);
    assert_eq!(phones(&world), ("2".into(), "3".into()));
    // Neither is it told any more that it was made for other values.
    resolve(&mut world, "customers:C1", "phone", "erp");
    world.crm.put("accounts", 101, &[("phone", "5")]);
    world.run();
    let message = |world: &World| told(&world.store.inbox(None).unwrap()[0]).into_owned();
    let told = message(&world);
    let (why, _) = told.split_once("; decided on 2026-01-31 for other values").unwrap();
    assert_eq!(world.store.inbox(None).unwrap()[0].message, why, "what is stored says nothing of it");
    assert_eq!(withdraw(&mut world, "customers:C1", None), Ok(1));
    assert_eq!(message(&world), why);
    // What is carried out cannot be taken back.
    resolve(&mut world, "customers:C1", "phone", "erp");
    world.run();
    assert_eq!(withdraw(&mut world, "customers:C1", None).unwrap_err(), nothing);
    assert_eq!(world.store.decisions(None).unwrap().len(), 1);
}

#[test]
fn a_decision_that_is_withdrawn_half_way_leaves_the_field_to_a_person() {
    let mut world = contested();
    resolve(&mut world, "customers:C1", "phone", "value=4");
    *world.crm.refuses.lock().unwrap() = Some(Box::new(|_, _| Some("locked".to_owned())));
    world.run();
    assert_eq!(phones(&world), ("4".into(), "3".into()));
    assert_eq!(withdraw(&mut world, "customers:C1", None), Ok(1));
    *world.crm.refuses.lock().unwrap() = None;
    let report = world.run();
    let contested = report.inbox.iter().find(|item| item.kind == InboxKind::Contested).unwrap();
    assert_eq!((contested.erp.as_deref(), contested.crm.as_deref()), (Some("4"), Some("3")));
    assert_eq!(phones(&world), ("4".into(), "3".into()));
}

/// What a run could not do with a value that a person gave waits for another one, and is not listed as decided.
#[test]
fn a_value_that_does_not_fit_waits_for_another_one() {
    let mut world = contested();
    world.erp.limit("customers", "name", 8);
    world.erp.put("customers", 1, &[("name", "Dahl ERP")]);
    world.crm.put("accounts", 101, &[("name", "Dahl CRM")]);
    assert_eq!(world.run().inbox.len(), 2);
    resolve(&mut world, "customers:C1", "name", &format!("value={}", "y".repeat(500)));
    resolve(&mut world, "customers:C1", "phone", "erp");
    let report = world.run();
    let waits: Vec<_> = report.inbox.iter().map(|item| (item.kind, item.field.as_deref())).collect();
    assert_eq!(waits, [(InboxKind::Failed, Some("name"))], "{:#?}", report.inbox);
    let listed = super::told(&world);
    let another = "of what a person decided, decide on another value: `pipeline inbox FILE resolve";
    assert!(listed.starts_with("waiting for a person: 1\n  customers, failed\n"), "{listed}");
    assert!(listed.contains(another), "{listed}");
    // The other decision waits for this one, and is listed all the while.
    assert!(listed.contains("decided, for the next run: 1\n  customers:C1 phone: take erp"), "{listed}");
    // Taken back, it can be decided all the same.
    assert_eq!(withdraw(&mut world, "customers:C1", Some("name")), Ok(1));
    assert!(super::told(&world).starts_with("waiting for a person: 1\n"), "{}", super::told(&world));
    resolve(&mut world, "customers:C1", "name", "value=Dahl");
    assert!(
        super::told(&world).starts_with("nothing waits for a person\ndecided, for the next run: 2\n"),
        "{}",
        super::told(&world)
    );
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!((phones(&world), world.erp.get("customers", 1, "name")), (("2".into(), "2".into()), "Dahl".into()));
}
