//! `on_conflict: newest`: whose edit is newer, by the clocks of both sides, and never by our own writes.

use std::sync::atomic::Ordering;

use pipeline::config::{OnConflict, Side};
use pipeline::run::account::{RunOutcome, RunReport};
use pipeline::store::{InboxKind, Store};

use crate::fixture::pipeline;
use crate::memory::{Accident, Memory};
use crate::rules::{CUSTOMERS, PEOPLE, World};

/// Customers whose name goes to whoever edited last.
fn newest() -> String {
    let name = "{ erp: name, crm: name }";
    let text = format!("{PEOPLE}{CUSTOMERS}");
    let at = text.rfind(name).unwrap();
    format!("{}{{ erp: name, crm: name, on_conflict: newest }}{}", &text[..at], &text[at + name.len()..])
}

impl World {
    fn memory(&self, side: Side) -> &Memory {
        match side {
            Side::Erp => &self.erp,
            Side::Crm => &self.crm,
        }
    }

    /// Lets time pass on both sides.
    pub fn pass_ms(&self, ms: i64) {
        for side in Side::BOTH {
            self.memory(side).clock_ms.fetch_add(ms, Ordering::Relaxed);
        }
    }

    /// A person's edit of customer 1, so many milliseconds later.
    fn edit(&self, side: Side, later_ms: i64, values: &[(&str, &str)]) {
        self.pass_ms(later_ms);
        match side {
            Side::Erp => self.erp.put("customers", 1, values),
            Side::Crm => self.crm.put("accounts", 101, values),
        }
    }

    fn names(&self) -> (String, String) {
        (self.erp.get("customers", 1, "name"), self.crm.get("accounts", 101, "name"))
    }
}

fn both(name: &str) -> (String, String) {
    (name.to_owned(), name.to_owned())
}

fn contested(report: &RunReport) -> Vec<&str> {
    let items = report.inbox.iter().filter(|item| item.kind == InboxKind::Contested);
    items.map(|item| item.message.as_str()).collect()
}

#[test]
fn the_newer_edit_wins_and_the_plan_says_so() {
    use Side::{Crm, Erp};
    for (first, second, later_ms, wins) in
        [(Erp, Crm, 5_000, Some("B")), (Crm, Erp, 5_000, Some("B")), (Erp, Crm, 900, None), (Crm, Erp, 1_500, None)]
    {
        let mut world = World::settled_with(&newest());
        world.edit(first, 60_000, &[("name", "A")]);
        world.edit(second, later_ms, &[("name", "B"), ("phone", "2")]);
        let planned = world.run_as(true);
        let report = world.run();
        assert_eq!(planned.plan, report.plan);
        let place = format!("{first:?} {second:?} {later_ms}");
        match wins {
            Some(name) => {
                assert_eq!(world.names(), both(name), "{place}");
                let action = report.plan.actions().find(|action| action.side == first).unwrap();
                let change = action.fields.iter().find(|change| change.column == "name").unwrap();
                let expected = match second {
                    Crm => "edited on both sides, the CRM is newer (2026-01-31T00:01:05Z against 2026-01-31T00:01:00Z)",
                    Erp => "edited on both sides, the ERP is newer (2026-01-31T00:01:05Z against 2026-01-31T00:01:00Z)",
                };
                assert_eq!(change.why, expected);
                world.quiet();
            }
            None => {
                assert_ne!(world.names().0, world.names().1, "{place}");
                assert!(contested(&report)[0].contains("within 2 s"), "{place}: {:?}", contested(&report));
            }
        }
        assert_eq!((world.erp.get("customers", 1, "phone"), world.crm.get("accounts", 101, "phone")), both("2"));
    }
}

#[test]
fn a_clock_that_is_wrong_wins_nothing() {
    for (ahead_ms, known, expected) in [(3_600_000, true, "ERP"), (-3_600_000, true, "ERP"), (3_600_000, false, "CRM")]
    {
        let mut world = World::settled_with(&newest());
        world.crm.clock_ms.fetch_add(ahead_ms, Ordering::Relaxed);
        world.crm.ahead_ms.store(if known { ahead_ms } else { 0 }, Ordering::Relaxed);
        world.edit(Side::Crm, 60_000, &[("name", "CRM")]);
        world.edit(Side::Erp, 60_000, &[("name", "ERP")]);
        world.run();
        assert_eq!(world.names(), both(expected), "{ahead_ms} ms ahead, known: {known}");
    }
}

/// Nobody's edit is overwritten by a clock of which nothing is known (I6).
#[test]
fn a_clock_that_is_not_known_decides_nothing() {
    for side in Side::BOTH {
        for (jumps, why) in
            [(true, "contradict each other about what its clock shows"), (false, "do not tell what its clock shows")]
        {
            let mut world = World::settled_with(&newest());
            world.edit(Side::Erp, 60_000, &[("name", "A"), ("city", "Moss")]);
            world.edit(Side::Crm, 3_600_000, &[("name", "B"), ("phone", "2")]);
            world.memory(side).jumps.store(jumps, Ordering::Relaxed);
            world.memory(side).timeless.store(!jumps, Ordering::Relaxed);
            let planned = world.run_as(true);
            let report = world.run();
            assert_eq!(planned.plan, report.plan);
            let told = format!("edited on both sides, and the answers of the {} {why}", side.name());
            assert_eq!(contested(&report), [told]);
            assert_eq!(world.names(), ("A".into(), "B".into()));
            // The other fields are no matter of clocks.
            assert_eq!(
                (world.crm.get("accounts", 101, "city"), world.erp.get("customers", 1, "phone")),
                ("Moss".into(), "2".into())
            );
            // A night later it is known, and the times of the edits are, too.
            world.memory(side).jumps.store(false, Ordering::Relaxed);
            world.memory(side).timeless.store(false, Ordering::Relaxed);
            world.pass_ms(86_400_000);
            world.run();
            assert_eq!(world.names(), both("B"));
            world.quiet();
        }
    }
}

/// What waits because both edits are as old as each other is not decided by what we write beside it.
#[test]
fn our_own_write_makes_nobody_newer() {
    for silent in [false, true] {
        for accident in [Accident::None, Accident::AnswerLost] {
            let mut world = World::settled_with(&newest());
            for side in Side::BOTH {
                world.memory(side).silent.store(silent, Ordering::Relaxed);
            }
            world.edit(Side::Erp, 60_000, &[("name", "A"), ("city", "Moss")]);
            world.edit(Side::Crm, 1_000, &[("name", "B"), ("phone", "2")]);
            world.crm.accidents.lock().unwrap().push(accident);
            for night in 0..4 {
                world.pass_ms(86_400_000);
                let report = world.run();
                let place = format!("silent {silent}, {accident:?}, night {night}");
                assert_eq!(contested(&report).len(), 1, "{place}: {:#?}", report.plan);
                assert_eq!(world.names(), ("A".into(), "B".into()), "{place}");
                // A new line of the file makes us write the CRM's record once more, and nobody edited anything.
                if night == 1 {
                    world.pipeline = pipeline(&format!("{}      - {{ crm: memo, value: ours }}\n", newest()));
                }
            }
            // A person edits again: now it is plain who is newer.
            world.edit(Side::Crm, 60_000, &[("name", "C")]);
            world.run();
            assert_eq!(world.names(), both("C"), "silent {silent}, {accident:?}");
            assert_eq!(world.crm.get("accounts", 101, "memo"), "ours");
            world.quiet();
        }
    }
}

/// A field that waited under another policy: our writes of those nights say nothing of the edits.
#[test]
fn a_policy_that_comes_later_does_not_trust_old_times() {
    let mut world = World::settled();
    world.edit(Side::Crm, 60_000, &[("name", "B"), ("phone", "2")]);
    world.edit(Side::Erp, 60_000, &[("name", "A")]);
    assert_eq!(world.run().outcome, RunOutcome::Incomplete);
    let field = world.pipeline.tables[1].fields.iter_mut().find(|field| field.name() == "name").unwrap();
    field.on_conflict = OnConflict::Newest;
    world.pass_ms(86_400_000);
    let report = world.run();
    assert_eq!(world.names(), ("A".into(), "B".into()));
    assert!(contested(&report)[0].contains("is not known"), "{:?}", contested(&report));
    world.edit(Side::Erp, 60_000, &[("name", "C")]);
    world.edit(Side::Crm, 60_000, &[("name", "D")]);
    world.run();
    assert_eq!(world.names(), both("D"));
}

/// The program dies between a write and its note: nobody knows whose time the record shows.
#[test]
fn a_crash_beside_a_contested_field_makes_nobody_newer() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    for writes in 0..3 {
        let mut world = World::settled_with(&newest());
        world.edit(Side::Erp, 60_000, &[("name", "A"), ("city", "Moss")]);
        world.edit(Side::Crm, 1_000, &[("name", "B"), ("phone", "2")]);
        world.pass_ms(60_000);
        *world.erp.crash_after.lock().unwrap() = Some(writes);
        let died = catch_unwind(AssertUnwindSafe(|| world.run())).is_err();
        assert_eq!(died, writes == 0);
        *world.erp.crash_after.lock().unwrap() = None;
        if died {
            world.reopen();
        }
        for _ in 0..2 {
            world.pass_ms(60_000);
            let report = world.run();
            assert_eq!(contested(&report).len(), 1, "dead after {writes}: {:#?}", report.plan);
            assert_eq!(world.names(), ("A".into(), "B".into()), "dead after {writes}");
        }
    }
}

/// Somebody edits while we write: the times of that reading count, not those of the first one.
#[test]
fn an_edit_during_the_run_counts_with_its_own_time() {
    let mut world = World::settled_with(&newest());
    world.edit(Side::Crm, 60_000, &[("name", "B")]);
    world.edit(Side::Erp, 60_000, &[("city", "Moss")]);
    world.pass_ms(60_000);
    // The run wants to write B; right before, somebody types A.
    world.erp.meanwhile.lock().unwrap().push(("customers", 1, "name", "A".into()));
    world.run();
    assert_eq!(world.names(), both("A"));
    world.quiet();
    assert_eq!(world.store.inbox(None).unwrap().len(), 0);
}

#[test]
fn a_side_that_does_not_tell_times_is_refused_before_anything_is_read() {
    let mut world = World::settled_with(&newest());
    world.crm.forget("accounts", "modified");
    insta::assert_snapshot!(world.misfits(), @"
    customers.fields[1].on_conflict: `newest` needs to know when a record of `accounts` was modified, and the CRM does not say
      hint: name its column: `crm: { modified: … }`, or write `hold`, `erp` or `crm`
    ");
    world.pipeline.tables[1].sides.crm.modified = Some("name".into());
    insta::assert_snapshot!(world.misfits(), @"
    customers.crm.modified: `name` is a text, no date and time
      hint: name the column that tells when a record was last modified
    ");
    world.pipeline.tables[1].sides.crm.modified = Some("changed".into());
    insta::assert_snapshot!(world.misfits(), @"
    customers.crm.modified: the CRM has no column `changed` on `accounts`
      hint: it has `number`, `name`, `city`, `phone`, `limit`, `owner`, `parent`, `kind` and 3 more
    ");
}

/// A side that tells no versions: what it was modified at tells whether it is as we left it.
#[test]
fn a_record_without_a_version_is_not_for_ever_as_we_left_it() {
    for versions in [true, false] {
        let mut world = World::settled_with(&newest());
        world.crm.unversioned.store(!versions, Ordering::Relaxed);
        // We write to the CRM, and nobody edits it.
        world.edit(Side::Erp, 60_000, &[("name", "Berg")]);
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        world.edit(Side::Erp, 60_000, &[("name", "Dahl")]);
        world.edit(Side::Crm, 60_000, &[("name", "Eng")]);
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        assert_eq!(world.names(), both("Eng"), "versions: {versions}");
        world.edit(Side::Crm, 60_000, &[("name", "Gran")]);
        world.edit(Side::Erp, 60_000, &[("name", "Falk")]);
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        assert_eq!(world.names(), both("Falk"), "versions: {versions}");
        world.quiet();
    }
}
