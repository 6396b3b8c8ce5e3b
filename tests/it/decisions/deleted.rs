//! Deletions about which a person decides.

use pipeline::cli::inbox::answer::Wish;
use pipeline::cli::world::answered;
use pipeline::config::{Direction, Limit, OnDelete, Side};
use pipeline::plan::ActionKind;
use pipeline::run::account::RunOutcome;
use pipeline::store::{InboxKind, Store};

use super::{answer, standing, told, told_json, withdraw};
use crate::deletions::{coupled, id, names, side, table};
use crate::rules::World;
use crate::selected::only;

const ALL: [&str; 3] = ["name 1", "name 2", "name 3"];
const TWO: [&str; 2] = ["name 2", "name 3"];

/// Three pairs, of which the first lost its record on a side, as the last run told.
fn widowed(on_delete: OnDelete, gone: Side) -> World {
    let mut world = coupled(on_delete, 3);
    side(&world, gone).delete(table(gone), id(gone, 1));
    world.run();
    world
}

/// The name of the record that is left of the first pair.
fn survivor(gone: Side) -> &'static str {
    if gone == Side::Erp { "customers:crm:C1" } else { "customers:C1" }
}

#[test]
fn the_next_run_does_what_a_person_says() {
    for gone in Side::BOTH {
        for wish in [Wish::Restore, Wish::Delete] {
            for changed in [false, true] {
                let place = format!("{wish:?}, deleted in the {}", gone.name());
                let mut world = widowed(OnDelete::Hold, gone);
                // What a person decided is nothing that a guard has to stop.
                world.pipeline.tables[1].guard.delete = Some(Limit::Number(0));
                world.pipeline.tables[1].guard.create = Some(Limit::Number(0));
                answer(&mut world, survivor(gone), &wish).unwrap();
                assert_eq!(names(&world, gone), TWO, "{place}: an answer asks neither side");
                world.changed = changed;
                let planned = world.run_as(true);
                assert_eq!(standing(&world).len(), 1, "{place}");
                let report = world.run();
                assert_eq!(planned.plan, report.plan, "{place}: the plan is the run (I8)");
                assert_eq!(report.outcome, RunOutcome::Converged, "{place}: {:#?}", report.inbox);
                let expected = if wish == Wish::Restore { ALL.as_slice() } else { TWO.as_slice() };
                assert_eq!(names(&world, gone), expected, "{place}");
                assert_eq!(names(&world, gone.other()), expected, "{place}");
                let why = &report.plan.tables[1].actions[0].why;
                assert!(why.ends_with("; decided by a person on 2026-01-31"), "{place}: {why}");
                assert_eq!(standing(&world), [], "{place}");
                world.quiet();
            }
        }
    }
}

/// A run over other records neither sees the survivor nor forgets what an earlier one saw.
#[test]
fn what_was_seen_of_a_survivor_outlives_a_run_over_others() {
    let mut world = widowed(OnDelete::Hold, Side::Crm);
    side(&world, Side::Erp).put(table(Side::Erp), id(Side::Erp, 1), &[("phone", "2")]);
    world.run();
    world.run_part(only(&["customers:C2"])).unwrap();
    answer(&mut world, survivor(Side::Crm), &Wish::Delete).unwrap();
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    assert_eq!(names(&world, Side::Erp), TWO);
}

#[test]
fn a_survivor_that_is_edited_after_the_decision_is_held() {
    for gone in Side::BOTH {
        let left = gone.other();
        let mut world = widowed(OnDelete::Hold, gone);
        // An edit before: whoever decides after the next run decides about this very record.
        side(&world, left).put(table(left), id(left, 1), &[("phone", "2")]);
        world.run();
        answer(&mut world, survivor(gone), &Wish::Delete).unwrap();
        side(&world, left).put(table(left), id(left, 1), &[("phone", "3")]);
        let report = world.run();
        assert_eq!(names(&world, left), ALL, "nobody's edit is lost");
        assert_eq!(report.inbox.len(), 1);
        let message = &report.inbox[0].message;
        assert!(message.contains("after somebody decided about it"), "{message}");
        assert_eq!(standing(&world), [], "it was about another record");
        // Also where the value is typed back, nobody decided again.
        side(&world, left).put(table(left), id(left, 1), &[("phone", "2")]);
        for _ in 0..2 {
            assert_eq!(world.run().outcome, RunOutcome::Incomplete);
            assert_eq!(names(&world, left), ALL, "deleted in the {}", gone.name());
        }
        answer(&mut world, survivor(gone), &Wish::Delete).unwrap();
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        assert_eq!(names(&world, left), TWO);
    }
}

#[test]
fn an_edit_while_the_run_is_at_it_saves_the_survivor() {
    let mut world = widowed(OnDelete::Hold, Side::Erp);
    answer(&mut world, survivor(Side::Erp), &Wish::Delete).unwrap();
    world.crm.meanwhile.lock().unwrap().push(("accounts", 101, "phone", "9".into()));
    let report = world.run();
    assert_eq!(world.crm.get("accounts", 101, "phone"), "9");
    assert!(report.inbox[0].message.contains("after somebody decided about it"), "{:#?}", report.inbox);
    assert_eq!(standing(&world), []);
    world.crm.put("accounts", 101, &[("phone", "1")]);
    assert_eq!(world.run().outcome, RunOutcome::Incomplete);
    answer(&mut world, survivor(Side::Erp), &Wish::Delete).unwrap();
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(names(&world, Side::Crm), TWO);
}

#[test]
fn what_a_person_decides_counts_for_that_record_only() {
    let mut world = coupled(OnDelete::Hold, 3);
    world.erp.delete("customers", 1);
    world.erp.delete("customers", 2);
    world.run();
    answer(&mut world, survivor(Side::Erp), &Wish::Delete).unwrap();
    let report = world.run();
    assert_eq!((report.inbox.len(), &*report.inbox[0].record), (1, "customers:crm:C2"));
    assert_eq!(names(&world, Side::Crm), TWO);
    // Of several answers the last one counts, also against what the file says.
    world.pipeline.tables[1].on_delete = OnDelete::Delete;
    answer(&mut world, "customers:crm:C2", &Wish::Delete).unwrap();
    answer(&mut world, "customers:crm:C2", &Wish::Restore).unwrap();
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(names(&world, Side::Erp), TWO);
}

#[test]
fn uncoupling_needs_no_run() {
    let mut world = widowed(OnDelete::Hold, Side::Crm);
    answer(&mut world, survivor(Side::Crm), &Wish::Uncouple).unwrap();
    assert!(world.store.inbox(None).unwrap().is_empty());
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!((names(&world, Side::Erp).len(), names(&world, Side::Crm).len()), (3, 2));
    world.quiet();
}

#[test]
fn a_partner_that_comes_back_ends_the_decision() {
    let mut world = widowed(OnDelete::Hold, Side::Erp);
    answer(&mut world, survivor(Side::Erp), &Wish::Delete).unwrap();
    // Out of a recycle bin, under its own id.
    let values =
        [("number", "C1"), ("name", "name 1"), ("city", "Oslo"), ("phone", "1"), ("limit", "5"), ("blocked", "")];
    world.erp.put("customers", 1, &values);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!((names(&world, Side::Crm).len(), standing(&world).len()), (3, 0));
}

#[test]
fn a_side_that_the_table_does_not_write_is_refused() {
    for (direction, gone, wish, refused) in [
        (Direction::ToCrm, Side::Erp, Wish::Restore, true),
        (Direction::ToCrm, Side::Erp, Wish::Delete, false),
        (Direction::ToCrm, Side::Crm, Wish::Delete, true),
        (Direction::ToCrm, Side::Crm, Wish::Restore, false),
    ] {
        let mut world = widowed(OnDelete::Hold, gone);
        world.pipeline.tables[1].direction = direction;
        let told = answer(&mut world, survivor(gone), &wish);
        let what = if wish == Wish::Restore { "made anew" } else { "deleted" };
        let expected = format!(
            "{} cannot be {what} in the {}: `customers` goes to_crm only",
            survivor(gone),
            if wish == Wish::Restore { gone.name() } else { gone.other().name() }
        );
        assert_eq!(told.err(), refused.then_some(expected), "{gone:?} {wish:?}");
    }
}

#[test]
fn a_deletion_that_is_refused_stays_decided() {
    let mut world = widowed(OnDelete::Hold, Side::Erp);
    answer(&mut world, survivor(Side::Erp), &Wish::Delete).unwrap();
    *world.crm.refuses.lock().unwrap() = Some(Box::new(|_, _| Some("an order refers to it".to_owned())));
    let report = world.run();
    assert_eq!((report.inbox.len(), report.inbox[0].kind), (1, InboxKind::Failed));
    assert_eq!(standing(&world).len(), 1);
    *world.crm.refuses.lock().unwrap() = None;
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(names(&world, Side::Crm), TWO);
}

#[test]
fn a_decision_that_cannot_be_carried_out_waits_for_a_person_again() {
    for gone in Side::BOTH {
        let left = gone.other();
        for wish in [Wish::Restore, Wish::Delete] {
            let mut world = widowed(OnDelete::Hold, gone);
            answer(&mut world, survivor(gone), &wish).unwrap();
            assert!(told(&world).starts_with("nothing waits for a person\ndecided, for the next run: 1"));
            let (column, out, back) = if left == Side::Erp { ("blocked", "All", "") } else { ("kind", "10", "3") };
            side(&world, left).put(table(left), id(left, 1), &[(column, out)]);
            for _ in 0..2 {
                assert_eq!(world.run().outcome, RunOutcome::Incomplete);
                let told = told(&world);
                assert!(told.starts_with("waiting for a person: 1\n") && !told.contains("for the next run"), "{told}");
                let verdict = if wish == Wish::Restore { "restore" } else { "delete" };
                let why =
                    format!("it is left alone; decided on 2026-01-31: {verdict}, which waits until it comes back");
                assert!(told.contains(&why), "{told}");
            }
            // It stands, for what hindered it may end.
            side(&world, left).put(table(left), id(left, 1), &[(column, back)]);
            assert_eq!(world.run().outcome, RunOutcome::Converged);
            let all = if wish == Wish::Restore { &ALL[..] } else { &TWO[..] };
            assert_eq!(
                (names(&world, left), standing(&world).len()),
                (all.iter().map(|name| (*name).to_owned()).collect(), 0)
            );
        }
        // An edit after the decision, before the run and while it is at it.
        for meanwhile in [false, true] {
            let mut world = widowed(OnDelete::Hold, gone);
            answer(&mut world, survivor(gone), &Wish::Delete).unwrap();
            match meanwhile {
                true => {
                    let edit = (table(left), id(left, 1), "phone", "9".into());
                    side(&world, left).meanwhile.lock().unwrap().push(edit);
                }
                false => side(&world, left).put(table(left), id(left, 1), &[("phone", "9")]),
            }
            assert_eq!(world.run().outcome, RunOutcome::Incomplete);
            let waits = told(&world);
            assert!(waits.starts_with("waiting for a person: 1\n") && !waits.contains("for the next run"), "{waits}");
            answer(&mut world, survivor(gone), &Wish::Delete).unwrap();
            assert!(told(&world).starts_with("nothing waits for a person\ndecided, for the next run: 1"));
        }
    }
}

#[test]
fn a_decision_that_waits_is_told_until_it_is_taken_back() {
    for again in [None, Some(Wish::Delete)] {
        let mut world = widowed(OnDelete::Hold, Side::Crm);
        answer(&mut world, "customers:C1", &Wish::Restore).unwrap();
        assert_eq!(told_json(&world)["decision"]["unmet"], false);
        world.erp.put("customers", 1, &[("blocked", "All")]);
        world.run();
        let item = told_json(&world);
        let message = "customers:C1 was deleted in the CRM; in the ERP it is outside the filter, so it is left alone";
        let decided = format!("{message}; decided on 2026-01-31: restore, which waits until it comes back");
        let decision = &item["decision"];
        assert_eq!((&item["message"], &decision["decision"]), (&decided.into(), &"restore".into()));
        assert_eq!((&decision["unmet"], decision["at"].is_string()), (&true.into(), true), "{item:#}");
        let items = world.store.inbox(None).unwrap();
        let all = serde_json::to_value(answered(&world.store, &items).unwrap().documents()).unwrap();
        assert_eq!(all, serde_json::json!([decision]), "`status` has it too");
        match &again {
            None => assert_eq!(withdraw(&mut world, "customers:C1", None), Ok(1)),
            Some(wish) => answer(&mut world, "customers:C1", wish).unwrap(),
        }
        let item = told_json(&world);
        let decision = again.map_or(serde_json::Value::Null, |_| "delete".into());
        assert_eq!((&item["message"], &item["decision"]["decision"]), (&message.into(), &decision));
    }
}

#[test]
fn a_record_made_anew_by_hand_outside_its_filter_is_told() {
    let mut world = widowed(OnDelete::Hold, Side::Crm);
    world.crm.put("accounts", 901, &[("number", "C1"), ("name", "name 1"), ("city", "Oslo"), ("kind", "10")]);
    answer(&mut world, "customers:C1", &Wish::Restore).unwrap();
    for _ in 0..2 {
        assert_eq!(world.run().outcome, RunOutcome::Incomplete);
        let told = told(&world);
        let why = "decided on 2026-01-31: restore, which waits until that record is gone, or the only one and inside";
        assert!(told.starts_with("waiting for a person: 1\n") && told.contains(why), "{told}");
    }
    world.crm.put("accounts", 901, &[("kind", "3")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!((names(&world, Side::Crm), standing(&world).len()), (ALL.map(str::to_owned).to_vec(), 0));
}

#[test]
fn a_partner_made_anew_by_hand_saves_the_survivor() {
    for gone in Side::BOTH {
        for changed in [false, true] {
            let mut world = widowed(OnDelete::Hold, gone);
            answer(&mut world, survivor(gone), &Wish::Delete).unwrap();
            let values = [("number", "C1"), ("name", "name 1"), ("city", "Oslo"), ("phone", "1"), ("limit", "5")];
            match gone {
                Side::Erp => world.erp.put("customers", 901, &values),
                Side::Crm => world.crm.put("accounts", 901, &[&values[..], &[("kind", "3")]].concat()),
            }
            world.changed = changed;
            for _ in 0..2 {
                assert_eq!(world.run().outcome, RunOutcome::Incomplete);
                assert_eq!(names(&world, gone.other()), ALL, "deleted in the {}", gone.name());
                let told = told(&world);
                let why = "matches it; decided on 2026-01-31: delete, which waits until that record is gone\n";
                assert!(told.contains(why) && !told.contains("for the next run"), "{told}");
            }
            side(&world, gone).delete(table(gone), 901);
            assert_eq!(world.run().outcome, RunOutcome::Converged);
            assert_eq!((names(&world, gone.other()).len(), standing(&world).len()), (2, 0));
        }
    }
}

#[test]
fn who_asks_for_one_record_gets_it_coupled_with_what_was_made_anew_by_hand() {
    for gone in Side::BOTH {
        let mut world = widowed(OnDelete::Hold, gone);
        let values = [("number", "C1"), ("name", "name 1"), ("city", "Oslo"), ("phone", "1"), ("limit", "5")];
        match gone {
            Side::Erp => world.erp.put("customers", 901, &values),
            Side::Crm => world.crm.put("accounts", 901, &[&values[..], &[("kind", "3")]].concat()),
        }
        answer(&mut world, survivor(gone), &Wish::Restore).unwrap();
        let report = world.run_part(only(&[survivor(gone)])).unwrap();
        assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
        assert_eq!(names(&world, gone), ALL, "the two are coupled, and none is made");
        let couplings = world.store.couplings("customers", &[]).unwrap();
        let ids = if gone == Side::Erp { &couplings.erp } else { &couplings.crm };
        assert!(ids.iter().any(|id| id.as_u128() == 901) && standing(&world).is_empty());
        world.quiet();
    }
}

/// Parting from the record that is gone and coupling with the new one are two lines of a plan: the second does nothing
/// without the first, and stops nothing else.
#[test]
fn who_takes_half_of_a_new_partner_gets_none() {
    for gone in Side::BOTH {
        let mut world = widowed(OnDelete::Hold, gone);
        let values = [("number", "C1"), ("name", "name 1"), ("city", "Oslo"), ("phone", "1"), ("limit", "5")];
        match gone {
            Side::Erp => world.erp.put("customers", 901, &values),
            Side::Crm => world.crm.put("accounts", 901, &[&values[..], &[("kind", "3")]].concat()),
        }
        answer(&mut world, survivor(gone), &Wish::Restore).unwrap();
        world.erp.put("customers", 2, &[("phone", "2")]);
        let mut planned = world.run_as(true);
        let couples = |action: &pipeline::plan::Action| matches!(action.kind, ActionKind::Couple { .. });
        let table = planned.plan.tables.iter_mut().find(|table| table.table == "customers").unwrap();
        assert!(table.actions.iter().any(couples), "{:#?}", table.actions);
        // As with a name that only the coupling has.
        table
            .actions
            .iter_mut()
            .filter(|action| couples(action))
            .for_each(|action| action.record = "customers:NEW".into());
        let report = world.apply(&planned, &["customers:NEW", "customers:C2"]);
        assert_eq!(world.crm.get("accounts", 102, "phone"), "2", "{:#?}", report.inbox);
        let couplings = world.store.couplings("customers", &[]).unwrap();
        assert!([couplings.erp, couplings.crm].iter().flatten().all(|id| id.as_u128() != 901), "{gone:?}");
        assert_ne!(report.outcome, RunOutcome::Converged, "{gone:?}");
        assert_eq!(world.run().outcome, RunOutcome::Converged, "{gone:?}");
        let couplings = world.store.couplings("customers", &[]).unwrap();
        assert!([couplings.erp, couplings.crm].iter().flatten().any(|id| id.as_u128() == 901), "{gone:?}");
    }
}
