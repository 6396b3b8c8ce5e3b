//! A value that cannot be read costs its record, whatever its table map does, and nothing but that: over two sides in memory.

mod beside;
mod chance;
mod referring;

use pipeline::config::{OnDelete, Side};
use pipeline::delta::inserts::new_id;
use pipeline::run::account::{Mode, RunOutcome, RunReport};
use pipeline::run::selection::Selection;
use pipeline::store::{InboxKind, Store};
use uuid::Uuid;

use crate::deletions::{coupled, id, side, table};
use crate::memory::Accident;
use crate::rules::{PEOPLE, World};
use crate::selected::only;

/// What waits: kind, ids, message.
fn waits(report: &RunReport) -> Vec<(InboxKind, Option<u128>, Option<u128>, String)> {
    let number = |id: Option<Uuid>| id.map(|id| id.as_u128());
    let told =
        |item: &pipeline::store::InboxItem| (item.kind, number(item.erp_id), number(item.crm_id), item.message.clone());
    report.inbox.iter().map(told).collect()
}

fn partner_of(world: &World, erp: u128) -> Option<u128> {
    let couplings = world.store.couplings("customers", &[]).unwrap();
    let at = couplings.erp.iter().position(|id| id.as_u128() == erp)?;
    Some(couplings.crm[at].as_u128())
}

/// What the state holds of a pair.
fn remembered(world: &World) -> String {
    let keys: Vec<String> = world.pipeline.tables[1].fields.iter().map(|field| field.key()).collect();
    let couplings = world.store.couplings("customers", &keys).unwrap();
    format!("{:?} {:?} {:?}", couplings.erp, couplings.crm, couplings.bases)
}

/// Both sides are edited, so that a run which believed the rest of the record would write, ask or forget.
#[test]
fn a_coupled_record_is_left_alone_with_its_pair_until_it_is_corrected() {
    for spoilt in Side::BOTH {
        let mut world = coupled(OnDelete::Delete, 14);
        let before = remembered(&world);
        side(&world, spoilt).spoil(table(spoilt), id(spoilt, 3), "limit");
        world.erp.put("customers", 3, &[("name", "by the ERP"), ("limit", "7")]);
        world.crm.put("accounts", 103, &[("name", "by the CRM"), ("phone", "2")]);
        world.erp.put("customers", 4, &[("name", "renamed")]);
        let planned = world.run_as(true);
        let report = world.run();
        assert_eq!(planned.inbox.len(), 1, "{:?}", waits(&planned));
        assert_eq!(waits(&planned), waits(&report));
        assert_eq!(report.outcome, RunOutcome::Incomplete, "{spoilt:?}");
        let (name, place) = (spoilt.name(), table(spoilt));
        let told = format!(
            "customers:C3 is left alone: {} in {place} of the {name} cannot be read: column `limit` holds `?`, which is no \
             value; correct it there, and the next run goes on with it",
            Uuid::from_u128(id(spoilt, 3))
        );
        assert_eq!(waits(&report), [(InboxKind::Failed, Some(3), Some(103), told)]);
        // The rest went on, and of this pair nothing is remembered otherwise.
        assert_eq!(world.crm.get("accounts", 104, "name"), "renamed");
        assert_eq!((world.erp.writes(), world.crm.writes()), (0, 1));
        let count = |report: &RunReport| {
            let to = report.tables[1].to;
            (to.of(spoilt.other()).failed, to.of(spoilt).failed, to.of(spoilt).skipped, report.tables[1].outside)
        };
        assert_eq!(count(&report), (1, 0, 1, 0));
        assert_eq!(count(&planned), count(&report));
        let total = |counts: &pipeline::run::account::Counts| {
            counts.inserted + counts.modified + counts.unchanged + counts.skipped + counts.failed
        };
        for to in Side::BOTH {
            assert_eq!(total(report.tables[1].to.of(to)), 14, "each row counts once");
        }
        world.quiet();
        assert_eq!(world.run().inbox.len(), 1);
        side(&world, spoilt).mend(table(spoilt), id(spoilt, 3), "limit");
        let report = world.run();
        // Both were edited: that is asked now, and the other fields flow.
        assert_eq!(waits(&report).iter().map(|wait| wait.0).collect::<Vec<_>>(), [InboxKind::Contested]);
        assert_eq!(
            (world.crm.get("accounts", 103, "limit"), world.erp.get("customers", 3, "phone")),
            ("7".into(), "2".into())
        );
        assert_ne!(before, remembered(&world));
    }
}

#[test]
fn what_waited_before_waits_on_and_nothing_is_forgotten() {
    let mut world = coupled(OnDelete::Hold, 12);
    world.erp.put("customers", 3, &[("name", "by the ERP")]);
    world.crm.put("accounts", 103, &[("name", "by the CRM")]);
    let report = world.run();
    assert_eq!(waits(&report).len(), 1);
    let (before, since) = (remembered(&world), report.inbox[0].since.clone());
    world.crm.spoil("accounts", 103, "city");
    let report = world.run();
    assert_eq!(
        report.inbox.iter().map(|item| item.kind).collect::<Vec<_>>(),
        [InboxKind::Failed, InboxKind::Contested]
    );
    assert_eq!(report.inbox[1].since, since);
    assert_eq!(report.tables[1].contested, 1);
    assert_eq!(before, remembered(&world));
    world.crm.mend("accounts", 103, "city");
    let report = world.run();
    assert_eq!(report.inbox.iter().map(|item| item.kind).collect::<Vec<_>>(), [InboxKind::Contested]);
}

/// Both records of a pair are one trouble, and both have to be corrected.
#[test]
fn a_pair_of_which_neither_can_be_read_is_told_once() {
    let mut world = coupled(OnDelete::Hold, 12);
    world.erp.spoil("customers", 3, "phone");
    world.crm.spoil("accounts", 103, "city");
    let report = world.run();
    let told = waits(&report);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].3.contains("column `phone`") && told[0].3.contains("column `city`"), "{}", told[0].3);
    assert_eq!(report.tables[1].to.crm.failed + report.tables[1].to.erp.skipped, 2, "{:?}", report.tables[1].to);
    world.erp.mend("customers", 3, "phone");
    assert_eq!(world.run().inbox.len(), 1);
    world.crm.mend("accounts", 103, "city");
    assert_eq!(world.run().outcome, RunOutcome::Converged);
}

/// A record that cannot be read is there: neither its deletion nor that of its partner follows from that.
#[test]
fn nothing_is_deleted_because_of_it() {
    for spoilt in Side::BOTH {
        let mut world = coupled(OnDelete::Delete, 14);
        side(&world, spoilt).spoil(table(spoilt), id(spoilt, 3), "city");
        // The partner is gone: what follows waits for the survivor to be read.
        side(&world, spoilt).spoil(table(spoilt), id(spoilt, 4), "city");
        side(&world, spoilt.other()).delete(table(spoilt.other()), id(spoilt.other(), 4));
        let report = world.run();
        assert_eq!((world.erp.writes(), world.crm.writes()), (0, 0));
        let deleted = waits(&report).into_iter().find(|wait| wait.0 == InboxKind::Deleted).unwrap();
        assert!(deleted.3.contains("cannot be read"), "{}", deleted.3);
        for pair in [3, 4] {
            assert_eq!(partner_of(&world, pair), Some(100 + pair));
            side(&world, spoilt).mend(table(spoilt), id(spoilt, pair), "city");
        }
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        assert_eq!(side(&world, spoilt).column(table(spoilt), "number").len(), 13);
        assert_eq!((partner_of(&world, 3), partner_of(&world, 4)), (Some(103), None));
    }
}

/// All that a side has cannot be read: it is there, and nothing was lost.
#[test]
fn a_table_of_a_few_records_none_of_which_can_be_read_is_not_empty() {
    let mut world = coupled(OnDelete::Delete, 3);
    for pair in 1..=3 {
        world.crm.spoil("accounts", 100 + pair, "city");
    }
    let report = world.run();
    assert_eq!((report.tables[1].guarded.clone(), report.inbox.len()), (None, 3));
    assert_eq!((world.erp.writes(), world.crm.writes()), (0, 0));
}

/// Whoever may be the same record as one that cannot be read is neither coupled with another one nor made a second time.
#[test]
fn no_record_is_doubled_or_coupled_amiss_beside_one_that_cannot_be_read() {
    for spoilt in Side::BOTH {
        let other = spoilt.other();
        let put = |world: &World, at: Side, id: u128, number: &str, name: &str| {
            side(world, at).put(table(at), id, &[("number", number), ("name", name), ("city", "Rome")]);
            if at == Side::Crm {
                world.crm.put("accounts", id, &[("kind", "3")]);
            }
        };
        let count = |world: &World, at: Side| side(world, at).column(table(at), "number").len();
        for (what, column, left) in [
            // The number could be any, so whoever has one waits.
            ("the match column", "number", &[501, 502, 503][..]),
            // The number can be read: only its bearer waits, and who bears the name.
            ("another column", "phone", &[501, 503]),
            // The city could be any: of the second rule the name is left.
            ("a part of a rule", "city", &[501, 503]),
        ] {
            let mut world = coupled(OnDelete::Hold, 12);
            put(&world, spoilt, 601, "N1", "New");
            side(&world, spoilt).spoil(table(spoilt), 601, column);
            put(&world, other, 501, "N1", "New");
            put(&world, other, 502, "N2", "Else");
            put(&world, other, 503, "N3", "New");
            let report = world.run();
            let made = 3 - left.len();
            assert_eq!(
                (count(&world, spoilt), count(&world, other)),
                (13 + made, 15),
                "{what}, {spoilt:?}: {report:#?}"
            );
            assert_eq!(waits(&report).len(), 1, "{what}: {:?}", waits(&report));
            let told = report.tables[1].notes.iter().find(|note| note.contains("neither matched nor created")).unwrap();
            assert!(told.starts_with(&format!("{} records of the {}", left.len(), other.name())), "{told}");
            world.quiet();
            // Corrected, it is what it is: the run matches it, and makes what is still to be made, also one over changes.
            side(&world, spoilt).mend(table(spoilt), 601, column);
            let report = world.run_changed();
            assert_eq!(report.outcome, RunOutcome::Converged, "{what}: {:?}", waits(&report));
            assert_eq!((count(&world, spoilt), count(&world, other)), (15, 15), "{what}");
            let pair = if spoilt == Side::Erp { partner_of(&world, 601) } else { partner_of(&world, 501) };
            assert_eq!(pair, Some(if spoilt == Side::Erp { 501 } else { 601 }), "{what}");
            world.quiet();
        }
    }
}

/// Nor is that so where only some records are read: what cannot be read is asked for like any other candidate.
#[test]
fn no_record_is_doubled_by_a_run_over_some_records() {
    for spoilt in Side::BOTH {
        for (column, number, changed) in [
            ("number", "N1", true),
            ("number", "N1", false),
            ("name", "N1", true),
            ("name", "N1", false),
            ("name", "", false),
        ] {
            let other = spoilt.other();
            let mut world = coupled(OnDelete::Hold, 12);
            let values = |number: &'static str| [("number", number), ("name", "New"), ("city", "Rome")];
            let named = |at: Side| if at == Side::Crm { &[("kind", "3")][..] } else { &[] };
            side(&world, spoilt).put(table(spoilt), 601, &[&values(number)[..], named(spoilt)].concat());
            side(&world, spoilt).spoil(table(spoilt), 601, column);
            if changed {
                // It was there before the changes.
                assert_eq!(world.run().outcome, RunOutcome::Incomplete);
            }
            side(&world, other).put(table(other), 501, &[&values("N1")[..], named(other)].concat());
            let report = if changed {
                world.run_changed()
            } else {
                let name = if other == Side::Erp { "customers:N1" } else { "customers:crm:N1" };
                world.run_part(only(&[name])).unwrap()
            };
            assert_eq!(report.outcome, RunOutcome::Incomplete, "{spoilt:?} {column} {changed}: {report:#?}");
            assert_eq!(side(&world, spoilt).column(table(spoilt), "city").len(), 13, "{spoilt:?} {column} {changed}");
            side(&world, spoilt).mend(table(spoilt), 601, column);
            assert_eq!(world.run().outcome, RunOutcome::Converged);
            let pair = if spoilt == Side::Erp { (601, 501) } else { (501, 601) };
            assert_eq!(partner_of(&world, pair.0), Some(pair.1));
        }
    }
}

/// Somebody may have made it anew by hand: then a survivor waits for that to be read.
#[test]
fn a_partner_is_not_made_anew_beside_a_record_that_cannot_be_read() {
    for policy in [OnDelete::Restore, OnDelete::Delete] {
        let mut world = coupled(policy, 12);
        world.crm.delete("accounts", 103);
        world.crm.put("accounts", 203, &[("number", "C3"), ("name", "name 3"), ("city", "Oslo"), ("kind", "3")]);
        world.crm.spoil("accounts", 203, "number");
        let report = world.run();
        let kinds: Vec<InboxKind> = waits(&report).iter().map(|wait| wait.0).collect();
        assert_eq!(kinds, [InboxKind::Failed, InboxKind::Deleted], "{:?}", waits(&report));
        assert_eq!((world.erp.writes(), world.crm.writes()), (0, 0));
    }
}

#[test]
fn what_is_outside_by_what_can_be_read_of_it_is_no_trouble() {
    let mut world = coupled(OnDelete::Delete, 12);
    world.crm.put("accounts", 301, &[("number", "S1"), ("kind", "10")]);
    world.crm.spoil("accounts", 301, "city");
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    // The column that the filter reads: nobody can tell whether it is inside.
    world.crm.spoil("accounts", 301, "kind");
    let report = world.run();
    assert_eq!(waits(&report).iter().map(|wait| wait.2).collect::<Vec<_>>(), [Some(301)]);
    // A coupled one that is outside is outside.
    world.crm.mend("accounts", 301, "kind");
    world.crm.put("accounts", 103, &[("kind", "10")]);
    world.crm.spoil("accounts", 103, "city");
    let report = world.run();
    assert_eq!((report.outcome, report.tables[1].outside), (RunOutcome::Converged, 1));
}

/// Its key can be read, or it is known by its coupling: what refers to it goes on.
#[test]
fn references_to_it_lead_on() {
    let mut world = World::new();
    world.erp.put("people", 11, &[("code", "AA"), ("email", "aa@a.example"), ("name", "A")]);
    world.crm.put("users", 111, &[("mail", "aa@a.example"), ("name", "A")]);
    world.erp.put("customers", 1, &[("number", "C1"), ("name", "Ahlgren")]);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    for (at, table, id) in [(Side::Erp, "people", 11), (Side::Crm, "users", 111)] {
        side(&world, at).spoil(table, id, "name");
        world.erp.put("customers", 1, &[("person", if at == Side::Erp { "AA" } else { "" })]);
        world.erp.put("customers", 2, &[("number", "C2"), ("name", "Dahl"), ("person", "AA")]);
        let report = world.run();
        assert_eq!(report.inbox.iter().map(|item| item.table.as_str()).collect::<Vec<_>>(), ["people"]);
        let partner = partner_of(&world, 2).unwrap();
        assert_eq!(world.crm.get("accounts", partner, "owner"), Uuid::from_u128(111).to_string());
        side(&world, at).mend(table, id, "name");
        assert_eq!(world.run().outcome, RunOutcome::Converged);
    }
}

#[test]
fn a_run_over_changes_reads_it_again_until_it_can_be_read() {
    let mut world = coupled(OnDelete::Delete, 12);
    world.changed = true;
    world.run();
    world.changed = false;
    for at in Side::BOTH {
        for spoilt in ["city", "modified"] {
            for other in Side::BOTH {
                side(&world, other).advance(7_200);
            }
            side(&world, at).put(table(at), id(at, 3), &[("phone", spoilt)]);
            side(&world, at).spoil(table(at), id(at, 3), spoilt);
            for _ in 0..2 {
                let report = world.run_changed();
                assert_eq!(waits(&report).len(), 1, "{at:?} {spoilt}");
                assert_eq!(report.tables[1].mode, Mode::Changed, "{:?}", report.tables[1].notes);
                for other in Side::BOTH {
                    side(&world, other).advance(7_200);
                }
            }
            // Nobody touches it: what a service reads amiss is right again one day.
            side(&world, at).spoilt.lock().unwrap().clear();
            let report = world.run_changed();
            assert_eq!((report.outcome, report.tables[1].mode), (RunOutcome::Converged, Mode::Changed));
            assert_eq!(side(&world, at.other()).get(table(at.other()), id(at.other(), 3), "phone"), spoilt);
        }
    }
    world.quiet();
}

/// Read back after a write, it is there: it was written, and coupled, and what it holds is found out when it can be read.
#[test]
fn a_record_that_cannot_be_read_back_is_written_once() {
    use std::sync::atomic::Ordering;
    for silent in [false, true] {
        let mut world = coupled(OnDelete::Delete, 12);
        world.crm.silent.store(silent, Ordering::Relaxed);
        world.erp.put("customers", 3, &[("name", "renamed")]);
        world.erp.put("customers", 40, &[("number", "C40"), ("name", "New")]);
        if !silent {
            world.crm.accidents.lock().unwrap().extend([Accident::AnswerLost, Accident::AnswerLost]);
        }
        let new = new_id(&world.pipeline.name, "customers", Side::Crm, Uuid::from_u128(40));
        let cells = [(new, "city".to_owned()), (Uuid::from_u128(103), "city".to_owned())];
        world.crm.spoils.lock().unwrap().extend(cells);
        let before = world.crm.writes();
        let report = world.run();
        let kinds: Vec<InboxKind> = report.inbox.iter().map(|item| item.kind).collect();
        assert_eq!(kinds, [InboxKind::Failed, InboxKind::Failed], "{silent}: {:?}", waits(&report));
        // What the side confirmed counts as written, and each row once.
        let counts = report.tables[1].to;
        // Of an update without an answer nobody knows.
        let modified = u64::from(silent);
        let told = (counts.crm.inserted, counts.crm.modified, counts.crm.failed);
        assert_eq!(told, (1, modified, 1 - modified), "{silent}: {counts:?}");
        assert_eq!((counts.crm.unchanged, counts.crm.skipped), (11, 0), "{silent}: {counts:?}");
        assert_eq!((counts.erp.unchanged, counts.erp.skipped, counts.erp.failed), (11, 1, 0), "{silent}: {counts:?}");
        let told: Vec<String> = waits(&report).into_iter().map(|wait| wait.3).collect();
        let left_alone = if silent { "was changed in the CRM, and is left alone since" } else { "is left alone" };
        assert!(told[0].starts_with(&format!("customers:C3 {left_alone}: ")), "{told:?}");
        assert!(told[1].starts_with("customers:C40 was created in the CRM, and is left alone since: "), "{told:?}");
        assert_eq!(world.crm.writes() - before, 2, "one new record, and one name");
        assert_eq!(partner_of(&world, 40), Some(new.as_u128()));
        world.quiet();
        assert_eq!(world.run().inbox.len(), 2);
        // What a person typed meanwhile is an edit, and what was written is none.
        world.crm.put("accounts", 103, &[("phone", "77")]);
        world.crm.spoilt.lock().unwrap().clear();
        let report = world.run();
        assert_eq!(report.outcome, RunOutcome::Converged, "{silent}: {:?}", waits(&report));
        assert_eq!(world.erp.get("customers", 3, "phone"), "77");
        assert_eq!(
            (world.erp.get("customers", 3, "name"), world.crm.get("accounts", 103, "name")),
            ("renamed".into(), "renamed".into())
        );
        assert_eq!(world.crm.writes() - before, 2);
        world.quiet();
    }
}

#[test]
fn a_named_record_that_cannot_be_read_is_told_by_either_name() {
    let mut world = coupled(OnDelete::Delete, 12);
    world.crm.spoil("accounts", 103, "city");
    for name in ["customers:C3", "customers:crm:C3"] {
        let report = world.run_part(Selection { records: only(&[name]).records, ..Selection::default() }).unwrap();
        assert_eq!(waits(&report).len(), 1, "{name}: {report:#?}");
    }
}

/// What is planned about a record is not carried out once it cannot be read, and told as such.
#[test]
fn a_plan_leaves_alone_what_cannot_be_read_by_now() {
    let mut world = coupled(OnDelete::Delete, 12);
    world.erp.put("customers", 3, &[("name", "renamed")]);
    world.erp.put("customers", 4, &[("name", "renamed, too")]);
    let planned = world.run_as(true);
    world.crm.spoil("accounts", 103, "city");
    let report = world.apply(&planned, &[]);
    assert_eq!(world.crm.get("accounts", 103, "name"), "name 3");
    assert_eq!(world.crm.get("accounts", 104, "name"), "renamed, too");
    let carried = report.carried.as_ref().unwrap();
    assert_eq!((carried.done, carried.moved.len()), (1, 1));
    assert!(carried.moved[0].message.contains("cannot be read"), "{:?}", carried.moved);
    world.crm.mend("accounts", 103, "city");
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(world.crm.get("accounts", 103, "name"), "renamed");
}

/// A reference whose key cannot be read leads nowhere for now, and is cleared for nobody.
#[test]
fn a_key_that_cannot_be_read_clears_no_reference() {
    for (on_unresolved, direction) in
        ["clear", "keep", "fail"].into_iter().flat_map(|word| [(word, "both"), (word, "to_crm"), (word, "to_erp")])
    {
        let customers = format!(
            "
  customers:
    erp: {{ table: customers, label: number }}
    crm: {{ table: accounts, label: number }}
    direction: both
    create: both
    match: [ {{ by: {{ number: number }} }} ]
    fields:
      - {{ erp: number, crm: number, direction: to_crm }}
      - {{ erp: name, crm: name }}
      - {{ erp: person, crm: owner, ref: {{ table: people, erp: code }}, on_unresolved: {on_unresolved}, direction: {direction} }}
"
        );
        let mut world = World::with(&format!("{PEOPLE}{customers}"));
        world.erp.put("people", 11, &[("code", "AA"), ("email", "aa@a.example"), ("name", "A")]);
        world.crm.put("users", 111, &[("mail", "aa@a.example"), ("name", "A")]);
        world.erp.put("customers", 1, &[("number", "C1"), ("name", "Ahlgren"), ("person", "AA")]);
        world.crm.put(
            "accounts",
            101,
            &[("number", "C1"), ("name", "Ahlgren"), ("owner", &Uuid::from_u128(111).to_string())],
        );
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        world.erp.spoil("people", 11, "code");
        world.erp.put("customers", 1, &[("name", "Ahlgren AS")]);
        world.run();
        assert_eq!(world.crm.get("accounts", 101, "owner"), Uuid::from_u128(111).to_string(), "{on_unresolved}");
        assert_eq!(world.erp.get("customers", 1, "person"), "AA", "{on_unresolved}");
        world.erp.mend("people", 11, "code");
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        assert_eq!(world.crm.get("accounts", 101, "name"), "Ahlgren AS");
    }
}
