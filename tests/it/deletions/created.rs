//! `couple --create` of a survivor: its partner is made anew as a restore makes it, whatever was decided about the deletion.

use pipeline::cli::inbox::answer::Wish;
use pipeline::config::{OnDelete, Side};
use pipeline::endpoint::Write;
use pipeline::plan::ActionKind;
use pipeline::run::account::{RunOutcome, RunReport};
use pipeline::run::chosen::Standing;
use pipeline::store::{CouplingChange, InboxKind, Store};
use uuid::Uuid;

use super::{coupled, id, names, side, table};
use crate::by_hand::create;
use crate::decisions::answer;
use crate::rules::World;

const ALL: [&str; 3] = ["name 1", "name 2", "name 3"];

/// What is left of the first of three pairs.
fn survivor(gone: Side) -> &'static str {
    if gone == Side::Crm { "customers:C1" } else { "customers:crm:C1" }
}

/// The record of one side of the first of three pairs is deleted.
fn widowed(on_delete: OnDelete, gone: Side) -> World {
    let world = coupled(on_delete, 3);
    side(&world, gone).delete(table(gone), id(gone, 1));
    world
}

/// Somebody types the lost record anew, with something else in a field.
fn type_anew(world: &World, gone: Side, number: u128) {
    let values = [("number", "C1"), ("name", "name 1"), ("city", "Oslo"), ("phone", "2"), ("limit", "5")];
    match gone {
        Side::Erp => world.erp.put("customers", number, &values),
        Side::Crm => world.crm.put("accounts", number, &[&values[..], &[("kind", "3")]].concat()),
    }
}

/// Why the record that was asked for gets no partner.
fn reason(report: &RunReport) -> Option<&str> {
    report.tables.iter().flat_map(|table| &table.selected).find_map(|chosen| chosen.outlook.unpartnered.as_deref())
}

/// The partners of the first pair's survivor.
fn partners(world: &World, gone: Side) -> Vec<Uuid> {
    let couplings = world.store.couplings("customers", &[]).unwrap();
    let pairs = couplings.erp.into_iter().zip(couplings.crm);
    let left = Uuid::from_u128(id(gone.other(), 1));
    let of = |(erp, crm): (Uuid, Uuid)| if gone == Side::Erp { (crm, erp) } else { (erp, crm) };
    pairs.map(of).filter(|(own, _)| *own == left).map(|(_, partner)| partner).collect()
}

fn decisions(world: &World) -> usize {
    world.store.decisions(None).unwrap().iter().filter(|decision| decision.ended.is_none()).count()
}

#[test]
fn a_partner_is_made_anew_whatever_was_decided() {
    for gone in Side::BOTH {
        for wish in [None, Some(Wish::Delete), Some(Wish::Restore)] {
            let mut world = widowed(OnDelete::Hold, gone);
            if let Some(wish) = &wish {
                world.run();
                answer(&mut world, survivor(gone), wish).unwrap();
            }
            let report = create(&mut world, survivor(gone), false);
            assert_eq!(report.outcome, RunOutcome::Converged, "{wish:?}: {:#?}", report.inbox);
            let made = report.plan.actions().find(|action| action.kind.makes_record()).unwrap();
            assert!(matches!(made.kind, ActionKind::Restore { .. }) && made.why.ends_with("; asked for by hand"));
            assert_eq!((names(&world, gone), decisions(&world)), (ALL.map(str::to_owned).to_vec(), 0), "{wish:?}");
            assert_eq!(names(&world, gone.other()), ALL, "{wish:?}");
            assert_eq!(world.store.inbox(None).unwrap(), [], "{wish:?}");
            world.quiet();
        }
    }
}

#[test]
fn a_pair_stays_where_its_side_refuses_the_new_record() {
    for gone in Side::BOTH {
        for wish in [None, Some(Wish::Delete), Some(Wish::Restore)] {
            let mut world = widowed(OnDelete::Hold, gone);
            if let Some(wish) = &wish {
                world.run();
                answer(&mut world, survivor(gone), wish).unwrap();
            }
            *side(&world, gone).refuses.lock().unwrap() = Some(Box::new(|_, _: &Write| Some("not today".to_owned())));
            let report = create(&mut world, survivor(gone), false);
            assert_eq!(report.outcome, RunOutcome::Incomplete, "{wish:?}");
            let lost = Uuid::from_u128(id(gone, 1));
            assert_eq!(partners(&world, gone), [lost], "{wish:?}: the coupling is there");
            let waits = world.store.inbox(None).unwrap();
            let is_told = waits.iter().any(|item| item.message.contains("not today"));
            // What was decided before, and is wanted still, waits with its decision.
            assert!(is_told && waits.len() == if wish == Some(Wish::Restore) { 2 } else { 1 }, "{wish:?}: {waits:#?}");
            // Who wants the record back does not want the other one deleted any more.
            *side(&world, gone).refuses.lock().unwrap() = None;
            let report = world.run();
            let back = wish == Some(Wish::Restore);
            assert_eq!(names(&world, gone.other()), ALL, "{wish:?}");
            assert_eq!(names(&world, gone).len(), if back { 3 } else { 2 }, "{wish:?}");
            let waits: Vec<InboxKind> = report.inbox.iter().map(|item| item.kind).collect();
            assert_eq!(waits, if back { vec![] } else { vec![InboxKind::Deleted] }, "{wish:?}");
            if !back {
                create(&mut world, survivor(gone), false);
            }
            assert_eq!(names(&world, gone), ALL, "{wish:?}");
            world.quiet();
        }
    }
}

#[test]
fn whom_a_rule_finds_is_coupled_and_not_made_a_second_time() {
    for gone in Side::BOTH {
        for double in [false, true] {
            let mut world = widowed(OnDelete::Hold, gone);
            type_anew(&world, gone, 901);
            let report = create(&mut world, survivor(gone), double);
            assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
            let parted = report.plan.actions().find(|action| action.kind == ActionKind::Uncouple).unwrap();
            let why = format!("deleted in the {} and made anew there; asked for by hand", gone.name());
            assert_eq!(parted.why, why);
            assert_eq!(
                (names(&world, gone), partners(&world, gone)),
                (ALL.map(str::to_owned).to_vec(), vec![Uuid::from_u128(901)])
            );
            world.quiet();
        }
    }
}

#[test]
fn who_is_kept_apart_or_outside_the_filter_is_told_and_made_a_second_time_on_request() {
    for gone in Side::BOTH {
        for apart in [true, false] {
            let mut world = widowed(OnDelete::Hold, gone);
            type_anew(&world, gone, 901);
            let ids = (Uuid::from_u128(901), Uuid::from_u128(999));
            let (erp, crm) = if gone == Side::Erp { ids } else { (ids.1, ids.0) };
            if apart {
                let change = CouplingChange::KeepApart { erp, crm, record: String::new() };
                world.store.commit("customers", &[], &[change], &[]).unwrap();
            } else if gone == Side::Erp {
                world.erp.put("customers", 901, &[("blocked", "all")]);
            } else {
                world.crm.put("accounts", 901, &[("kind", "10")]);
            }
            let report = create(&mut world, survivor(gone), false);
            let other = if gone == Side::Erp { "customers:C1" } else { "customers:crm:C1" };
            let told = match apart {
                true => format!("{other}, which is kept apart, looks the same"),
                false => format!("{other} is there already, outside the filter"),
            };
            assert_eq!(reason(&report), Some(told.as_str()), "{:#?}", report.tables);
            assert_eq!(report.tables[0].selected[0].standing, Standing::Waits(InboxKind::Deleted));
            assert_eq!(partners(&world, gone), [Uuid::from_u128(id(gone, 1))]);
            let report = create(&mut world, survivor(gone), true);
            assert_eq!((report.outcome, reason(&report)), (RunOutcome::Converged, None), "{:#?}", report.inbox);
            assert_eq!(names(&world, gone), ["name 1", "name 1", "name 2", "name 3"]);
            world.quiet();
        }
    }
}

/// Which of two it is, only a person can say: that one is wanted a second time does not tell.
#[test]
fn of_two_that_look_the_same_none_is_coupled_and_none_is_made() {
    for gone in Side::BOTH {
        for double in [false, true] {
            let mut world = widowed(OnDelete::Hold, gone);
            type_anew(&world, gone, 901);
            type_anew(&world, gone, 902);
            let report = create(&mut world, survivor(gone), double);
            assert_eq!((report.inbox.len(), reason(&report)), (1, None), "{:#?}", report.inbox);
            assert!(report.inbox[0].message.contains("a record without partner there matches it"));
            assert_eq!(partners(&world, gone), [Uuid::from_u128(id(gone, 1))]);
            assert_eq!(names(&world, gone).len(), 4);
        }
    }
}
