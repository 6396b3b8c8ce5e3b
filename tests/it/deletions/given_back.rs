//! References that a record made anew gets back, as its survivor has lost them along with a deletion on the other side.

use pipeline::config::{OnDelete, PerSide, Side};
use pipeline::run::account::RunOutcome;
use pipeline::run::selection::Selection;
use pipeline::store::Store;
use uuid::Uuid;

use crate::by_hand::create;
use crate::deletions::cascades::{CASCADES, TABLES, settled, settled_of};
use crate::rules::World;
use crate::selected::only;

/// The CRM's reference was cleared by a person, and not along with what the ERP lost.
#[test]
fn a_record_made_anew_gets_no_reference_that_a_person_cleared() {
    let mut world = settled();
    world.pipeline.tables[1].on_delete = OnDelete::Restore;
    let cascade = CASCADES[2];
    cascade.happen(&mut world, OnDelete::Restore);
    world.crm.put("accounts", 101, &[("owner", "")]);
    world.erp.delete("customers", 1);
    let planned = world.run_as(true);
    let report = world.run();
    assert_eq!(planned.plan, report.plan, "the plan is the run (I8)");
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    let records = world.erp.all("customers");
    let anew = records.values().find(|record| record["number"] == "C1").unwrap();
    assert_eq!((anew.get("person").map_or("", String::as_str), &*world.crm.get("accounts", 101, "owner")), ("", ""));
    world.quiet();
}

/// A record is deleted on one side, and what refers to it on the other.
#[test]
fn a_record_made_anew_gets_the_reference_that_the_survivor_has_lost() {
    for cascade in CASCADES {
        for (on_delete, apart) in
            [(OnDelete::Restore, false), (OnDelete::Restore, cascade.table == "people"), (OnDelete::Hold, false)]
        {
            let place = format!("{cascade:?} {on_delete:?} {apart}");
            let mut world = settled();
            cascade.answer(&mut world, on_delete);
            world.pipeline.tables[1].on_delete = on_delete;
            cascade.happen(&mut world, on_delete);
            if apart {
                world.attempt(false, &["people"], &mut |_| {}).unwrap();
            }
            match cascade.gone {
                Side::Crm => world.erp.delete("customers", 1),
                Side::Erp => world.crm.delete("accounts", 101),
            }
            if on_delete == OnDelete::Hold {
                world.run();
                world.pipeline.tables.iter_mut().for_each(|table| table.on_delete = OnDelete::Restore);
            }
            let planned = world.run_as(true);
            let report = world.run();
            assert_eq!(planned.plan, report.plan, "{place}: the plan is the run (I8)");
            assert_eq!(report.outcome, RunOutcome::Converged, "{place}: {:#?}", report.inbox);
            let by_key = |records: std::collections::BTreeMap<Uuid, std::collections::BTreeMap<String, String>>| {
                records.into_values().find(|record| record["number"] == "C1").unwrap()
            };
            let (erp, crm) = (by_key(world.erp.all("customers")), by_key(world.crm.all("accounts")));
            let (of_erp, of_crm, key) = match cascade.table {
                "people" => ("person", "owner", "AA"),
                _ => ("parent", "parent", "C2"),
            };
            assert_eq!(erp[of_erp], key, "{place}");
            let couplings = world.store.couplings(cascade.table, &[]).unwrap();
            assert!(couplings.crm.iter().any(|id| id.to_string() == crm[of_crm]), "{place}: {crm:?}");
            world.quiet();
        }
    }
}

/// A reference, what holds it and what it leads to, by their tables and numbers.
#[derive(Debug, Clone, Copy)]
pub struct Led {
    pub from: PerSide<(&'static str, u128)>,
    /// What holds it, as each side names it.
    pub names: PerSide<&'static str>,
    pub columns: PerSide<&'static str>,
    pub to: PerSide<(&'static str, u128)>,
    pub key: &'static str,
}

impl Led {
    /// Returns what the two records hold in it that are there by now, once both are.
    pub fn held(self, world: &World) -> Option<PerSide<String>> {
        let held = |side: Side| {
            let memory = if side == Side::Erp { &world.erp } else { &world.crm };
            let (label, name) = self.label(side);
            let records = memory.all(self.from.of(side).0);
            let record = records.into_values().find(|record| record[label] == name)?;
            Some(record.get(*self.columns.of(side)).cloned().unwrap_or_default())
        };
        Some(PerSide { erp: held(Side::Erp)?, crm: held(Side::Crm)? })
    }

    /// Returns what tells its record from others.
    pub fn label(self, side: Side) -> (&'static str, &'static str) {
        match (side, self.from.erp.0) {
            (Side::Erp, "people") => ("code", "AA"),
            (Side::Crm, "people") => ("name", "AA"),
            _ => ("number", "C1"),
        }
    }
}

/// What a run is over.
#[derive(Debug, Clone, Copy)]
enum Extent {
    Everything,
    Changes,
    Table,
    Record,
    /// A record whose partner somebody asks for by hand, whatever the file says.
    Asked,
}

/// What an earlier run has made of the deletion of what is led to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Earlier {
    Nothing,
    Held,
    Restored,
}

/// What is made anew gets its reference whatever the run is over that makes it, also where the reference goes in a circle.
#[test]
fn a_run_of_no_extent_loses_the_reference_of_a_record_made_anew() {
    in_every_extent(false);
}

/// So it is where the survivor has left its filter with its reference.
#[test]
fn a_run_of_no_extent_leaves_outside_what_its_cleared_reference_took_out_of_its_filter() {
    in_every_extent(true);
}

pub const PERSON: Led = Led {
    from: PerSide { erp: ("customers", 1), crm: ("accounts", 101) },
    names: PerSide { erp: "customers:C1", crm: "customers:crm:C1" },
    columns: PerSide { erp: "person", crm: "owner" },
    to: PerSide { erp: ("people", 11), crm: ("users", 111) },
    key: "AA",
};

fn in_every_extent(filtered: bool) {
    let parent = Led {
        columns: PerSide { erp: "parent", crm: "parent" },
        to: PerSide { erp: ("customers", 2), crm: ("accounts", 102) },
        key: "C2",
        ..PERSON
    };
    let home = Led {
        from: PerSide { erp: ("people", 11), crm: ("users", 111) },
        names: PerSide { erp: "people:AA", crm: "people:crm:AA@a.example" },
        columns: PerSide { erp: "home", crm: "home" },
        ..parent
    };
    for led in [PERSON, parent, home] {
        for gone in Side::BOTH {
            for extent in [Extent::Everything, Extent::Changes, Extent::Table, Extent::Record, Extent::Asked] {
                is_given_back(led, gone, (extent, Earlier::Nothing), filtered);
            }
            let later = match gone {
                Side::Erp => [(Extent::Everything, Earlier::Restored), (Extent::Asked, Earlier::Held)],
                Side::Crm => [(Extent::Record, Earlier::Restored), (Extent::Changes, Earlier::Held)],
            };
            for when in later {
                is_given_back(led, gone, when, filtered);
            }
        }
    }
}

/// `gone` loses what is led to, and the other side what leads there. Where it is `filtered` the survivor has left its filter
/// with its reference.
fn is_given_back(led: Led, gone: Side, (extent, earlier): (Extent, Earlier), filtered: bool) {
    let place = format!("{led:?} {gone:?} {extent:?} {earlier:?} {filtered}");
    let mut world = settled_in_circle(filtered.then_some((led, gone)));
    let before = led.held(&world).unwrap();
    assert_eq!(before.erp, led.key, "{place}");
    let (of, holder) = (gone.other(), if gone == Side::Erp { &world.erp } else { &world.crm });
    let ((target, id), (table, own)) = (*led.to.of(gone), *led.from.of(gone));
    holder.delete(target, id);
    holder.put(table, own, &[(*led.columns.of(gone), "")]);
    match earlier {
        Earlier::Nothing => {}
        Earlier::Held => {
            world.pipeline.tables.iter_mut().for_each(|table| table.on_delete = OnDelete::Hold);
            world.run();
            world.pipeline.tables.iter_mut().for_each(|table| table.on_delete = OnDelete::Restore);
        }
        Earlier::Restored => {
            let survivor = if led.to.erp.0 == "people" {
                PerSide { erp: "people:AA", crm: "people:crm:AA@a.example" }
            } else {
                PerSide { erp: "customers:C2", crm: "customers:crm:C2" }
            };
            world.run_part(only(&[*survivor.of(of)])).unwrap();
        }
    }
    let (table, own) = *led.from.of(of);
    if of == Side::Erp {
        world.erp.delete(table, own)
    } else {
        world.crm.delete(table, own)
    }
    let (map, survivor) = (led.from.erp.0, *led.names.of(gone));
    let maps: &[&str] = if matches!(extent, Extent::Table) { &[map] } else { &[] };
    world.changed = matches!(extent, Extent::Changes);
    if matches!(extent, Extent::Record) {
        world.selection = only(&[survivor]);
    }
    let report = if matches!(extent, Extent::Asked) {
        world.pipeline.tables.iter_mut().for_each(|table| table.on_delete = OnDelete::Hold);
        let report = create(&mut world, survivor, false);
        world.pipeline.tables.iter_mut().for_each(|table| table.on_delete = OnDelete::Restore);
        report
    } else {
        let planned = world.attempt(true, maps, &mut |_| {}).unwrap();
        let report = world.attempt(false, maps, &mut |_| {}).unwrap();
        assert_eq!(planned.plan, report.plan, "{place}: the plan is the run (I8)");
        report
    };
    // What is outside waits for what it led to, be it made earlier or by the same run.
    let comes_first = led.key == "AA" && matches!(extent, Extent::Everything | Extent::Changes);
    if !filtered || earlier == Earlier::Restored || comes_first {
        let held = led.held(&world).unwrap_or_default();
        assert_eq!(held.of(of), before.of(of), "{place}: {:#?} {:#?}", report.plan, report.inbox);
    }
    (world.changed, world.selection) = (false, Selection::default());
    let planned = world.run_as(true);
    let mut report = world.run();
    assert_eq!(planned.plan, report.plan, "{place}: the plan is the run (I8)");
    if filtered && led.key == "C2" && report.outcome == RunOutcome::Incomplete {
        report = world.run();
    }
    assert_eq!(report.outcome, RunOutcome::Converged, "{place}: {:#?}", report.inbox);
    let held = led.held(&world).unwrap();
    assert_eq!(held.erp, led.key, "{place}");
    let couplings = world.store.couplings(led.to.erp.0, &[]).unwrap();
    assert!(couplings.crm.iter().any(|id| id.to_string() == held.crm), "{place}: {held:?}");
    world.quiet();
}

/// As [`settled`], and person 11 refers to customer 2, which goes in a circle. What is `led` is outside the filter of that side
/// without its reference.
pub fn settled_in_circle(led: Option<(Led, Side)>) -> World {
    let home = "      - { erp: home, crm: home, ref: { table: customers, erp: number } }\n  customers:";
    let tables = TABLES.replacen("  customers:", home, 1);
    let mut world = settled_of(&tables, &[("home", "C2")]);
    if let Some((led, side)) = led {
        let (label, name) = led.label(side);
        let is_led = if side == Side::Erp { "<> ''" } else { "IS NOT NULL" };
        let filter = format!("filter: \"{label} <> '{name}' OR {} {is_led}\"", led.columns.of(side));
        let table = format!("{}: {{ table: {}, ", side.name().to_lowercase(), led.from.of(side).0);
        let filtered = tables.replacen(&table, &format!("{table}{filter}, "), 1);
        assert!(filtered.contains(&filter));
        world.pipeline = World::with(&filtered).pipeline;
        world.quiet();
    }
    world.pipeline.tables.iter_mut().for_each(|table| table.on_delete = OnDelete::Restore);
    for memory in [&world.erp, &world.crm] {
        memory.advance(7_200);
    }
    world
}
