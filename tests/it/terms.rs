//! Pairs that nobody edited and that differ all the same: as they were settled, which stays quiet, or because the file or a
//! coupling makes something else of the same values by now, which is decided like a first synchronization.

use pipeline::config::{Blank, Fit, Limit, Pipeline, Policy, Side};
use pipeline::delta::Force;
use pipeline::run::account::RunOutcome;
use pipeline::run::selection::Selection;
use pipeline::store::{CouplingChange, InboxKind, Origin, Store};

use crate::decisions::{answer, resolve};
use crate::fixture::pipeline;
use crate::rules::World;

/// A pipeline that translates cities by these values.
fn by(values: &str) -> Pipeline {
    pipeline(&format!(
        "
  customers:
    erp: {{ table: customers, label: number }}
    crm: {{ table: accounts, label: number, filter: kind = 3 }}
    direction: both
    create: both
    match: [ {{ by: {{ number: number }} }} ]
    fields:
      - {{ erp: number, crm: number, direction: to_crm }}
      - {{ erp: city, crm: city, values: {{ {values} }} }}
      - {{ erp: phone, crm: phone }}
      - {{ erp: memo, crm: memo, blank: keep }}
      - {{ crm: kind, value: 3 }}
"
    ))
}

const BEFORE: &str = "Oslo: O, Bergen: B";
const AFTER: &str = "Oslo: B, Bergen: O";

/// Two customers, in Oslo and nowhere.
fn settled() -> World {
    let mut world = World::new();
    world.pipeline = by(BEFORE);
    for number in 1..=2 {
        let key = format!("C{number}");
        world.erp.put("customers", number, &[("number", &key), ("phone", "1"), ("memo", "m")]);
        world.crm.put("accounts", 100 + number, &[("number", &key), ("phone", "1"), ("memo", "m"), ("kind", "3")]);
    }
    world.erp.put("customers", 1, &[("city", "Oslo")]);
    world.crm.put("accounts", 101, &[("city", "O")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!((world.erp.writes(), world.crm.writes()), (0, 0));
    world
}

fn cities(world: &World) -> (String, String) {
    (world.erp.get("customers", 1, "city"), world.crm.get("accounts", 101, "city"))
}

fn pair(erp: &str, crm: &str) -> (String, String) {
    (erp.to_owned(), crm.to_owned())
}

fn to_crm() -> Selection {
    Selection { force: Some(Force { to: Side::Crm, seen: None }), ..Selection::default() }
}

#[test]
fn another_translation_is_brought_over_as_at_first() {
    for (first, expected) in [(Policy::Erp, pair("Oslo", "B")), (Policy::Crm, pair("Bergen", "O"))] {
        for changed in [false, true] {
            let mut world = settled();
            world.pipeline = by(AFTER);
            world.pipeline.tables[0].first_sync = Some(first);
            world.changed = changed;
            let planned = world.run_as(true);
            let report = world.run();
            assert_eq!(planned.plan, report.plan, "the plan is the run (I8)");
            let filler = if first == Policy::Erp { "ERP" } else { "CRM" };
            let why = format!("edited on neither side, but translated otherwise than before; the {filler} fills it");
            let told: Vec<_> =
                report.plan.tables[0].actions.iter().map(|action| (&*action.record, &action.why)).collect();
            assert_eq!(told, [("customers:C1", &why)]);
            assert_eq!((cities(&world), report.outcome), (expected.clone(), RunOutcome::Converged));
            world.quiet();
        }
    }
}

#[test]
fn a_guard_counts_another_translation() {
    let mut world = settled();
    world.pipeline = by(AFTER);
    world.pipeline.tables[0].first_sync = Some(Policy::Erp);
    world.pipeline.tables[0].guard.update = Some(Limit::Number(0));
    for _ in 0..2 {
        assert_eq!(world.run().outcome, RunOutcome::Guarded);
        assert_eq!(cities(&world), pair("Oslo", "O"));
    }
}

#[test]
fn another_translation_waits_where_nobody_says_who_wins() {
    for by_decision in [true, false] {
        let mut world = settled();
        world.pipeline = by(AFTER);
        for _ in 0..2 {
            let report = world.run();
            assert_eq!(report.outcome, RunOutcome::Incomplete);
            let told: Vec<_> = report.inbox.iter().map(|item| (item.kind, &*item.record, &*item.message)).collect();
            let message = "edited on neither side, but translated otherwise than when the pair was settled, and `first_sync` \
                           does not say who fills it";
            assert_eq!(told, [(InboxKind::Contested, "customers:C1", message)]);
            assert_eq!(cities(&world), pair("Oslo", "O"));
        }
        if by_decision {
            resolve(&mut world, "customers:C1", "city", "erp");
            assert_eq!(world.run().outcome, RunOutcome::Converged);
        } else {
            assert_eq!(world.run_part(to_crm()).unwrap().outcome, RunOutcome::Converged);
        }
        assert_eq!(cities(&world), pair("Oslo", "B"));
        world.quiet();
    }
}

/// The value is not in the map any more: the record fails as it would if it were new.
#[test]
fn what_has_no_counterpart_any_more_fails() {
    let mut world = settled();
    world.pipeline = by("Bergen: B");
    world.pipeline.tables[0].first_sync = Some(Policy::Erp);
    let report = world.run();
    assert_eq!((report.outcome, report.inbox.len()), (RunOutcome::Incomplete, 1));
    assert_eq!(report.inbox[0].kind, InboxKind::Failed);
    world.pipeline = by(BEFORE);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    world.quiet();
}

/// Two known differences: what the CRM makes of a phone, and a memo that is kept where somebody cleared it.
fn differing() -> World {
    let mut world = settled();
    *world.crm.hook.lock().unwrap() = Some(Box::new(|table, record| {
        if table == "accounts" {
            let phone = record["phone"].to_string();
            record.insert(
                "phone".to_owned(),
                pipeline::frame::Value::Text(format!("+{}", phone.trim_start_matches('+'))),
            );
        }
    }));
    world.erp.put("customers", 1, &[("phone", "2"), ("memo", "")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(world.crm.get("accounts", 101, "phone"), "+2");
    assert_eq!(world.crm.get("accounts", 101, "memo"), "m");
    world.quiet();
    world
}

#[test]
fn a_known_difference_stays_quiet_whatever_else_changes() {
    for older in [false, true] {
        let mut world = differing();
        if older {
            world.forget_terms();
        }
        world.quiet();
        world.pipeline = by("Oslo: O, Bergen: B, Moss: M");
        world.pipeline.tables[0].first_sync = Some(Policy::Erp);
        for field in &mut world.pipeline.tables[0].fields[1..4] {
            field.fit = Fit::Truncate;
        }
        world.quiet();
        // A blank that went nowhere may now, and one never wins.
        world.pipeline.tables[0].fields[3].blank = Blank::Write;
        let report = world.run();
        let writes: Vec<_> =
            report.plan.tables[0].actions.iter().map(|action| (action.side, &*action.fields[0].column)).collect();
        assert_eq!(writes, [(Side::Erp, "memo")], "as an older program left it: {older}");
        world.quiet();
    }
}

/// What a side made of a value it is not sent again; what an older program left may have other reasons.
#[test]
fn who_is_to_win_wins_over_what_nobody_knows_the_reason_of() {
    let mut world = differing();
    *world.crm.hook.lock().unwrap() = None;
    world.run_part(to_crm()).unwrap();
    assert_eq!(world.crm.get("accounts", 101, "phone"), "+2");
    world.forget_terms();
    world.quiet();
    assert_eq!(world.run_part(to_crm()).unwrap().outcome, RunOutcome::Converged);
    assert_eq!(world.crm.get("accounts", 101, "phone"), "2");
    assert_eq!(world.crm.get("accounts", 101, "memo"), "m", "a blank is kept");
    world.quiet();
}

/// What an older program left says nothing of how it was translated. Its first run writes nothing for that, whatever changed
/// with it; from then on the program knows.
#[test]
fn a_state_of_an_older_program_knows_after_its_first_run() {
    let mut world = settled();
    world.forget_terms();
    world.pipeline = by(AFTER);
    world.pipeline.tables[0].first_sync = Some(Policy::Erp);
    world.quiet();
    world.quiet();
    // Only a side that is to win settles it.
    assert_eq!(world.run_part(to_crm()).unwrap().outcome, RunOutcome::Converged);
    assert_eq!(cities(&world), pair("Oslo", "B"));
    let mut world = settled();
    world.forget_terms();
    world.quiet();
    world.pipeline = by(AFTER);
    world.pipeline.tables[0].first_sync = Some(Policy::Erp);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(cities(&world), pair("Oslo", "B"));
}

/// Who was written by a run that died, or only in part, is known as well as anybody.
#[test]
fn an_edit_is_sent_as_it_is_translated_now() {
    let mut world = settled();
    world.pipeline = by(AFTER);
    world.erp.put("customers", 1, &[("city", "Bergen")]);
    world.erp.put("customers", 2, &[("city", "Oslo")]);
    // What the first becomes is what its partner holds already.
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!((cities(&world), world.crm.get("accounts", 102, "city")), (pair("Bergen", "O"), "B".to_owned()));
    world.quiet();
    world.pipeline = by(BEFORE);
    world.pipeline.tables[0].first_sync = Some(Policy::Erp);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!((cities(&world), world.crm.get("accounts", 102, "city")), (pair("Bergen", "B"), "O".to_owned()));
}

/// A reference leads elsewhere once its record is coupled with another one.
#[test]
fn a_record_that_is_coupled_anew_takes_the_references_along() {
    let mut world = World::new();
    for number in 1..=2 {
        let key = format!("C{number}");
        world.erp.put("customers", number, &[("number", &key), ("name", &key)]);
        world.crm.put("accounts", 100 + number, &[("number", &key), ("name", &key), ("kind", "3")]);
    }
    world.erp.put("customers", 2, &[("parent", "C1")]);
    let id = |number: u128| uuid::Uuid::from_u128(number);
    world.crm.put("accounts", 102, &[("parent", &id(101).to_string())]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!((world.erp.writes(), world.crm.writes()), (0, 0));
    // Somebody made the account anew, and couples the customer with that one.
    world.crm.put("accounts", 103, &[("number", "C1"), ("name", "C1"), ("kind", "3")]);
    world.crm.put("accounts", 101, &[("kind", "10")]);
    let (old, new) = (
        CouplingChange::Uncouple { erp: id(1), crm: id(101) },
        CouplingChange::Couple { erp: id(1), crm: id(103), origin: Origin::Hand },
    );
    world.store.commit("customers", &[], &[old, new], &[]).unwrap();
    world.pipeline.tables[1].first_sync = Some(Policy::Crm);
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    assert_eq!(world.crm.get("accounts", 102, "parent"), id(103).to_string());
    assert_eq!(world.erp.get("customers", 2, "parent"), "C1");
    world.quiet();
}

#[test]
fn what_somebody_takes_of_another_translation_is_carried_out() {
    let mut world = settled();
    world.pipeline = by(AFTER);
    world.run();
    resolve(&mut world, "customers:C1", "city", "crm");
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(cities(&world), pair("Bergen", "O"));
    let wish = pipeline::cli::inbox::answer::Wish::Retry;
    assert!(answer(&mut world, "customers:C1", &wish).is_err(), "nothing waits any more");
    world.quiet();
}
