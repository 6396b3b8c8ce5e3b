//! References that a side clears by itself when the record that they lead to is deleted there: no edit of anybody, as
//! long as nobody has decided about the deletion.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pipeline::address::Address;
use pipeline::by_hand::{Desk, parting};
use pipeline::cli::inbox::answer::Wish;
use pipeline::config::{Blank, Direction, OnDelete, PerSide, Policy, Side};
use pipeline::endpoint::{Endpoint, Write};
use pipeline::run::account::RunOutcome;
use pipeline::run::selection::Selection;
use pipeline::store::{CouplingChange, InboxKind, Origin, Store};
use uuid::Uuid;

use crate::by_hand::{by_hand, create, moment};
use crate::decisions::answer;
use crate::memory::Memory;
use crate::rules::World;
use crate::selected::only;

pub const TABLES: &str = "
  people:
    erp: { table: people, label: code }
    crm: { table: users, label: mail }
    direction: both
    create: both
    match: [ { by: { email: mail } } ]
    fields:
      - { erp: code, crm: name }
      - { erp: email, crm: mail }
  customers:
    erp: { table: customers, label: number }
    crm: { table: accounts, label: number }
    direction: both
    create: both
    match: [ { by: { number: number } } ]
    fields:
      - { erp: number, crm: number }
      - { erp: phone, crm: phone }
      - { erp: person, crm: owner, ref: { table: people, erp: code } }
      - { erp: parent, crm: parent, ref: { table: customers, erp: number } }
";

/// Customer 1 refers to person 11 and to customer 2, on both sides; others are there as well.
pub fn settled() -> World {
    settled_of(TABLES, &[])
}

/// Makes it of these table maps; `also` is what person 11 holds besides.
fn settled_of(tables: &str, also: &[(&str, &str)]) -> World {
    let mut world = World::with(tables);
    for (number, code) in [(11, "AA"), (12, "BB")] {
        let mail = format!("{code}@a.example");
        world.erp.put("people", number, &[("code", code), ("email", &mail)]);
        world.crm.put("users", 100 + number, &[("name", code), ("mail", &mail)]);
    }
    for (number, key) in [(1, "C1"), (2, "C2"), (3, "C3")] {
        world.erp.put("customers", number, &[("number", key)]);
        world.crm.put("accounts", 100 + number, &[("number", key)]);
    }
    world.erp.put("customers", 1, &[("person", "AA"), ("parent", "C2")]);
    world.erp.put("people", 11, also);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    world.quiet();
    world
}

/// A record is deleted on one side, and what refers to it there is cleared.
#[derive(Debug, Clone, Copy)]
pub struct Cascade {
    pub gone: Side,
    /// The table map of the deleted record.
    pub table: &'static str,
}

pub const CASCADES: [Cascade; 4] = [
    Cascade { gone: Side::Crm, table: "people" },
    Cascade { gone: Side::Crm, table: "customers" },
    Cascade { gone: Side::Erp, table: "people" },
    Cascade { gone: Side::Erp, table: "customers" },
];

impl Cascade {
    pub fn happen(self, world: &mut World, on_delete: OnDelete) {
        for table in world.pipeline.tables.iter_mut().filter(|table| table.name == self.table) {
            table.on_delete = on_delete;
        }
        let people = self.table == "people";
        match self.gone {
            Side::Crm if people => world.crm.delete("users", 111),
            Side::Crm => world.crm.delete("accounts", 102),
            Side::Erp => world.erp.delete(self.table, if people { 11 } else { 2 }),
        }
        self.clear(world);
    }

    /// The reference is cleared, by the side itself or by a person.
    pub fn clear(self, world: &World) {
        let people = self.table == "people";
        match self.gone {
            Side::Crm => world.crm.put("accounts", 101, &[(if people { "owner" } else { "parent" }, "")]),
            Side::Erp => world.erp.put("customers", 1, &[(if people { "person" } else { "parent" }, "")]),
        }
    }

    /// What customer 1 refers to now: in the ERP the key, in the CRM the id.
    pub fn held(self, world: &World) -> (String, String) {
        let (erp, crm) = if self.table == "people" { ("person", "owner") } else { ("parent", "parent") };
        (world.erp.get("customers", 1, erp), world.crm.get("accounts", 101, crm))
    }

    /// Somebody makes the record anew that was deleted, and couples it with the survivor.
    fn couple_anew(self, world: &mut World) {
        let people = self.table == "people";
        match self.gone {
            Side::Erp if people => world.erp.put("people", 50, &[("code", "AA"), ("email", "AA@a.example")]),
            Side::Erp => world.erp.put("customers", 50, &[("number", "C2")]),
            Side::Crm if people => world.crm.put("users", 50, &[("name", "AA"), ("mail", "AA@a.example")]),
            Side::Crm => world.crm.put("accounts", 50, &[("number", "C2")]),
        }
        by_hand(world, &[self.names()]).unwrap();
    }

    /// Somebody has the other side's record made anew by the program.
    fn create_anew(self, world: &mut World) {
        let survivor = if self.gone == Side::Crm { self.names().0 } else { self.names().1 };
        create(world, survivor, true);
    }

    /// What both records are called.
    fn names(self) -> (&'static str, &'static str) {
        match self.table {
            "people" => ("people:AA", "people:crm:AA@a.example"),
            _ => ("customers:C2", "customers:crm:C2"),
        }
    }

    pub fn answer(self, world: &mut World, on_delete: OnDelete) {
        world.pipeline.tables.iter_mut().find(|table| table.name == self.table).unwrap().on_delete = on_delete;
    }

    /// Both sides refer to the same record, and to one that is there.
    pub fn refers(self, world: &World) {
        let (key, id) = self.held(world);
        let (erp, crm) = if self.table == "people" { ("code", "users") } else { ("number", "accounts") };
        let couplings = world.store.couplings(self.table, &[]).unwrap();
        let pair = couplings.crm.iter().position(|crm| crm.to_string() == id);
        let pair = pair.unwrap_or_else(|| panic!("{self:?}: {id} is no partner"));
        assert_eq!(world.erp.get(self.table, couplings.erp[pair].as_u128(), erp), key, "{self:?}");
        assert!(world.crm.all(crm).contains_key(&couplings.crm[pair]), "{self:?}");
    }
}

#[test]
fn a_reference_waits_as_long_as_nobody_decides() {
    for cascade in CASCADES {
        let mut world = settled();
        cascade.happen(&mut world, OnDelete::Hold);
        let left = cascade.held(&world);
        // The other fields of the record still flow.
        world.crm.put("accounts", 101, &[("phone", "2")]);
        let planned = world.run_as(true);
        let report = world.run();
        assert_eq!(planned.plan, report.plan, "{cascade:?}: the plan is the run (I8)");
        assert_eq!(cascade.held(&world), left, "{cascade:?}");
        assert_eq!(world.erp.get("customers", 1, "phone"), "2", "{cascade:?}");
        let kinds: Vec<InboxKind> = report.inbox.iter().map(|item| item.kind).collect();
        assert_eq!(kinds, [InboxKind::Deleted], "{cascade:?}: {:#?}", report.inbox);
        world.quiet();
        // Whoever runs the other table map alone knows of it, too.
        if cascade.table == "people" {
            world.attempt(false, &["customers"], &mut |_| {}).unwrap();
            assert_eq!(cascade.held(&world), left, "{cascade:?}");
        }
        cascade.answer(&mut world, OnDelete::Restore);
        let planned = world.run_as(true);
        let report = world.run();
        assert_eq!(planned.plan, report.plan, "{cascade:?}: the plan is the run (I8)");
        assert_eq!(report.outcome, RunOutcome::Converged, "{cascade:?}: {:#?}", report.inbox);
        cascade.refers(&world);
        world.quiet();
    }
}

#[test]
fn a_reference_is_put_back_in_the_run_that_restores() {
    for cascade in CASCADES {
        let mut world = settled();
        cascade.happen(&mut world, OnDelete::Restore);
        let report = world.run();
        assert_eq!(report.outcome, RunOutcome::Converged, "{cascade:?}: {:#?}", report.inbox);
        cascade.refers(&world);
        world.quiet();
        // A run over changes comes back to what waited, although nobody touched it since.
        let mut world = settled();
        cascade.happen(&mut world, OnDelete::Hold);
        world.erp.advance(600);
        world.crm.advance(600);
        world.run();
        cascade.answer(&mut world, OnDelete::Restore);
        let report = world.run_changed();
        assert_eq!(report.outcome, RunOutcome::Converged, "{cascade:?}: {:#?}", report.inbox);
        cascade.refers(&world);
        world.quiet();
    }
}

/// The run after a restore puts the reference back, which nobody edited, and sends what was edited; from then on a blank is one
/// like any other.
fn is_put_back(world: &mut World, cascade: Cascade, changed: bool) {
    // What is settled of the record meanwhile tells nothing of its reference.
    world.erp.put("customers", 1, &[("phone", "7")]);
    let planned = world.run_as(true);
    let report = if changed { world.run_changed() } else { world.run() };
    assert!(changed || planned.plan == report.plan, "{cascade:?}: the plan is the run (I8)");
    assert_eq!(report.outcome, RunOutcome::Converged, "{cascade:?}: {:#?}", report.inbox);
    cascade.refers(world);
    let key = if cascade.table == "people" { "AA" } else { "C2" };
    assert_eq!((cascade.held(world).0.as_str(), &*world.crm.get("accounts", 101, "phone")), (key, "7"), "{cascade:?}");
    world.quiet();
    cascade.clear(world);
    world.run();
    assert_eq!(cascade.held(world), Default::default(), "{cascade:?}: a person cleared it");
}

/// Both are named, the one that is made anew and the one that refers to it.
#[test]
fn a_run_over_both_ends_puts_the_reference_back_as_planned() {
    for cascade in CASCADES {
        for circle in [false, true] {
            let mut world = if circle { settled_in_circle(None) } else { settled() };
            cascade.happen(&mut world, OnDelete::Restore);
            let survivor = if cascade.gone == Side::Crm { cascade.names().0 } else { cascade.names().1 };
            world.selection = only(&["customers:C1", survivor]);
            let planned = world.run_as(true);
            let report = world.run();
            assert_eq!(planned.plan, report.plan, "{cascade:?} {circle}: the plan is the run (I8)");
            world.selection = Selection::default();
            cascade.refers(&world);
            // Whoever was not named follows.
            world.run();
            world.quiet();
        }
    }
}

#[test]
fn a_run_over_other_table_maps_that_restores_loses_no_reference() {
    for cascade in [CASCADES[0], CASCADES[2]] {
        for changed in [false, true] {
            let mut world = settled();
            cascade.happen(&mut world, OnDelete::Restore);
            world.attempt(false, &["people"], &mut |_| {}).unwrap();
            is_put_back(&mut world, cascade, changed);
        }
    }
}

#[test]
fn a_run_that_is_cut_off_after_a_restore_loses_no_reference() {
    for cascade in CASCADES {
        // After each write of the run, until one comes through.
        for writes in 0.. {
            let mut world = settled();
            cascade.happen(&mut world, OnDelete::Restore);
            // Its turn settles something else of the record before the reference comes.
            world.erp.put("customers", 1, &[("phone", "6")]);
            let lost = if cascade.gone == Side::Erp { &world.erp } else { &world.crm };
            *lost.crash_after.lock().unwrap() = Some(writes);
            let run = catch_unwind(AssertUnwindSafe(|| world.run_as(false)));
            *world.erp.crash_after.lock().unwrap() = None;
            *world.crm.crash_after.lock().unwrap() = None;
            let survived = run.is_ok();
            world.reopen();
            is_put_back(&mut world, cascade, false);
            if survived {
                assert!(writes > 1, "{cascade:?}: it was cut off");
                break;
            }
        }
    }
}

#[test]
fn a_reference_that_its_side_does_not_take_back_at_first_is_put_back_later() {
    for cascade in CASCADES {
        let mut world = settled();
        cascade.happen(&mut world, OnDelete::Restore);
        let column = match (cascade.gone, cascade.table) {
            (Side::Erp, "people") => "person",
            (Side::Crm, "people") => "owner",
            _ => "parent",
        };
        let memory = if cascade.gone == Side::Erp { &world.erp } else { &world.crm };
        *memory.refuses.lock().unwrap() = Some(Box::new(move |_, write: &Write| {
            let names = write.fields.iter().any(|(name, _)| name == column);
            names.then(|| "not today".to_owned())
        }));
        let report = world.run();
        assert_eq!(report.outcome, RunOutcome::Incomplete, "{cascade:?}");
        let memory = if cascade.gone == Side::Erp { &world.erp } else { &world.crm };
        *memory.refuses.lock().unwrap() = None;
        is_put_back(&mut world, cascade, false);
    }
}

#[test]
fn a_reference_is_put_back_where_somebody_coupled_the_survivor_anew() {
    for cascade in CASCADES {
        for (is_seen, couple) in [true, false].into_iter().flat_map(|is_seen| {
            [(is_seen, Cascade::couple_anew as fn(Cascade, &mut World)), (is_seen, Cascade::create_anew)]
        }) {
            let mut world = settled();
            cascade.happen(&mut world, OnDelete::Hold);
            if is_seen {
                world.run();
                // Whoever couples them has thought better of it.
                let survivor = if cascade.gone == Side::Crm { cascade.names().0 } else { cascade.names().1 };
                answer(&mut world, survivor, &Wish::Restore).unwrap();
            }
            couple(cascade, &mut world);
            let decisions = world.store.decisions(None).unwrap();
            assert!(decisions.iter().all(|decision| decision.ended.is_some()), "{cascade:?}: {decisions:?}");
            is_put_back(&mut world, cascade, false);
        }
    }
}

/// Somebody coupled the person with another record before any run looked, and the reference to the former one is blank.
#[test]
fn a_blank_beside_a_new_coupling_is_an_edit_unless_what_it_led_to_is_gone() {
    for (lost, is_gone, keep_values, is_put_back) in [
        (Side::Crm, true, true, true),
        (Side::Crm, false, true, false),
        (Side::Crm, true, false, true),
        (Side::Erp, true, true, true),
        (Side::Erp, false, true, false),
    ] {
        let place = format!("{lost:?} {is_gone} {keep_values}");
        let mut world = settled();
        if !keep_values {
            world.keep_no_values();
        }
        world.let_a_day_pass();
        let (erp, crm, other) = (Uuid::from_u128(11), Uuid::from_u128(111), Uuid::from_u128(50));
        let couple = |erp: Uuid, crm: Uuid| CouplingChange::Couple { erp, crm, origin: Origin::Hand };
        let couple = match lost {
            Side::Crm => {
                world.crm.put("users", 50, &[("name", "AA"), ("mail", "AA@a.example")]);
                match is_gone {
                    true => world.crm.delete("users", 111),
                    false => world.crm.put("users", 111, &[("name", "XX"), ("mail", "XX@a.example")]),
                }
                world.crm.put("accounts", 101, &[("owner", "")]);
                couple(erp, other)
            }
            Side::Erp => {
                world.erp.put("people", 50, &[("code", "ZZ"), ("email", "AA@a.example")]);
                match is_gone {
                    true => world.erp.delete("people", 11),
                    false => world.erp.put("people", 11, &[("email", "XX@a.example")]),
                }
                world.erp.put("customers", 1, &[("person", "")]);
                couple(other, crm)
            }
        };
        world.store.commit("people", &[], &[CouplingChange::Uncouple { erp, crm }, couple], &[]).unwrap();
        for table in &mut world.pipeline.tables {
            table.first_sync = Some(Policy::Erp);
        }
        let planned = world.run_as(true);
        let report = world.run();
        assert_eq!(planned.plan, report.plan, "{place}: the plan is the run (I8)");
        assert_eq!(report.outcome, RunOutcome::Converged, "{place}: {:#?}", report.inbox);
        let held = match (lost, is_put_back) {
            (_, false) => (String::new(), String::new()),
            (Side::Crm, true) => ("AA".to_owned(), other.to_string()),
            (Side::Erp, true) => ("ZZ".to_owned(), crm.to_string()),
        };
        assert_eq!(CASCADES[0].held(&world), held, "{place}");
        world.quiet();
    }
}

/// The record has another number now, and somebody clears what refers to it.
#[test]
fn a_reference_to_a_record_that_was_renumbered_can_be_cleared() {
    let mut world = settled();
    world.let_a_day_pass();
    world.erp.put("people", 11, &[("code", "ZZ")]);
    world.erp.put("customers", 1, &[("person", "")]);
    world.run();
    assert_eq!(CASCADES[0].held(&world), Default::default());
    world.quiet();
}

/// Both parted and coupled by commands, while the former partner is deleted before, between or not at all.
#[test]
fn a_reference_comes_back_whenever_its_record_was_parted_and_deleted() {
    for cascade in CASCADES {
        for (order, anew) in
            [("delete part", false), ("delete part", true), ("part delete", false), ("part delete", true)]
        {
            let place = format!("{cascade:?} {order} {anew}");
            let mut world = settled();
            world.let_a_day_pass();
            let survivor = if cascade.gone == Side::Crm { cascade.names().0 } else { cascade.names().1 };
            for step in order.split(' ') {
                match step {
                    "delete" => cascade.happen(&mut world, OnDelete::Hold),
                    _ => part(&mut world, survivor),
                }
            }
            if anew {
                cascade.couple_anew(&mut world)
            } else {
                cascade.create_anew(&mut world)
            }
            let report = world.run();
            assert_eq!(report.outcome, RunOutcome::Converged, "{place}: {:#?}", report.inbox);
            cascade.refers(&world);
            world.quiet();
        }
    }
}

/// Parts a record from its partner, as `uncouple` does.
fn part(world: &mut World, record: &str) {
    let address = Address::parse(record).unwrap();
    let map = world.pipeline.tables.iter().find(|map| map.name == address.table).unwrap();
    let sides = PerSide { erp: &world.erp as &dyn Endpoint, crm: &world.crm };
    let desk = Desk::open(&world.pipeline, sides, &world.store, map).unwrap();
    let partings = desk.look_apart(&world.store, &[address], false).unwrap().unwrap();
    parting::part(&desk, &mut world.store, partings, &moment(88)).unwrap();
}

#[test]
fn a_blank_that_is_kept_from_going_over_is_not_filled_by_a_restore() {
    let cascade = CASCADES[2];
    let mut world = settled();
    world.pipeline.tables[1].fields[2].blank = Blank::Keep;
    // A person clears it, on the side where the record will be deleted.
    cascade.clear(&world);
    world.run();
    world.quiet();
    let left = cascade.held(&world);
    assert_eq!(left.0, "");
    cascade.happen(&mut world, OnDelete::Restore);
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    assert_eq!(cascade.held(&world), left);
    world.quiet();
}

/// What a person makes of the other reference meanwhile is no question of the deletion: it is told as where nobody deleted anything.
#[test]
fn a_reference_that_was_edited_on_the_other_side_is_contested() {
    for cascade in [CASCADES[0], CASCADES[2]] {
        let edit = |world: &World| match cascade.gone {
            Side::Erp => world.crm.put("accounts", 101, &[("owner", &Uuid::from_u128(112).to_string())]),
            Side::Crm => world.erp.put("customers", 1, &[("person", "BB")]),
        };
        for restored in [true, false] {
            let mut world = settled();
            cascade.happen(&mut world, if restored { OnDelete::Restore } else { OnDelete::Hold });
            if restored {
                world.attempt(false, &["people"], &mut |_| {}).unwrap();
            }
            edit(&world);
            let left = cascade.held(&world);
            let planned = world.run_as(true);
            let report = world.run();
            assert_eq!(planned.plan, report.plan, "{cascade:?}: the plan is the run (I8)");
            assert!(report.inbox.iter().any(|item| item.kind == InboxKind::Contested), "{cascade:?}");
            assert_eq!(cascade.held(&world), left, "{cascade:?}");
        }
        // A deletion of what neither refers to any more decides nothing.
        let mut world = settled();
        cascade.clear(&world);
        edit(&world);
        world.run();
        let left = cascade.held(&world);
        cascade.happen(&mut world, OnDelete::Restore);
        let planned = world.run_as(true);
        let report = world.run();
        assert_eq!(planned.plan, report.plan, "{cascade:?}: the plan is the run (I8)");
        assert_eq!(report.inbox[0].kind, InboxKind::Contested, "{cascade:?}");
        assert_eq!(cascade.held(&world), left, "{cascade:?}");
    }
}

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
struct Led {
    from: PerSide<(&'static str, u128)>,
    /// What holds it, as each side names it.
    names: PerSide<&'static str>,
    columns: PerSide<&'static str>,
    to: PerSide<(&'static str, u128)>,
    key: &'static str,
}

impl Led {
    /// Returns what the two records hold in it that are there by now, once both are.
    fn held(self, world: &World) -> Option<PerSide<String>> {
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
    fn label(self, side: Side) -> (&'static str, &'static str) {
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

const PERSON: Led = Led {
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

/// `left` clears the customer's person, which takes the customer out of its filter there, because the person was deleted there or
/// because somebody wants it so; the other side deletes the customer.
fn left_outside(left: Side, is_deleted: bool) -> World {
    let world = settled_in_circle(Some((PERSON, left)));
    let ((people, person), (customers, customer)) = (*PERSON.to.of(left), *PERSON.from.of(left));
    if is_deleted {
        memory(&world, left).delete(people, person);
    }
    memory(&world, left).put(customers, customer, &[(*PERSON.columns.of(left), "")]);
    let (customers, customer) = *PERSON.from.of(left.other());
    memory(&world, left.other()).delete(customers, customer);
    world
}

fn memory(world: &World, side: Side) -> &Memory {
    if side == Side::Erp { &world.erp } else { &world.crm }
}

/// As [`settled`], and person 11 refers to customer 2, which goes in a circle. What is `led` is outside the filter of that side
/// without its reference.
fn settled_in_circle(led: Option<(Led, Side)>) -> World {
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

#[test]
fn once_it_is_decided_the_blank_travels() {
    for cascade in CASCADES {
        for on_delete in [OnDelete::Delete, OnDelete::Uncouple] {
            let mut world = settled();
            cascade.happen(&mut world, on_delete);
            let planned = world.run_as(true);
            let report = world.run();
            assert_eq!(planned.plan, report.plan, "{cascade:?}: the plan is the run (I8)");
            assert_eq!(report.outcome, RunOutcome::Converged, "{cascade:?} {on_delete:?}: {:#?}", report.inbox);
            assert_eq!(cascade.held(&world), Default::default(), "{cascade:?} {on_delete:?}");
            world.quiet();
        }
        // Held first, and then a person takes the link away.
        let mut world = settled();
        cascade.happen(&mut world, OnDelete::Hold);
        world.run();
        let (erp, crm) = if cascade.table == "people" { (11, 111) } else { (2, 102) };
        let (erp, crm) = (Uuid::from_u128(erp), Uuid::from_u128(crm));
        let change = CouplingChange::KeepApart { erp, crm, record: String::new() };
        world.store.commit(cascade.table, &[], &[change], &[]).unwrap();
        assert_eq!(world.run().outcome, RunOutcome::Converged, "{cascade:?}");
        assert_eq!(cascade.held(&world), Default::default(), "{cascade:?}");
    }
}

#[test]
fn a_reference_that_a_person_changes_meanwhile_is_an_edit() {
    let cascade = CASCADES[0];
    let mut world = settled();
    cascade.happen(&mut world, OnDelete::Hold);
    world.run();
    world.crm.put("accounts", 101, &[("owner", &Uuid::from_u128(112).to_string())]);
    world.run();
    assert_eq!(cascade.held(&world).0, "BB");
    // Of a record that nobody deleted, a blank is one like any other.
    world.crm.put("accounts", 101, &[("owner", "")]);
    world.run();
    assert_eq!(cascade.held(&world).0, "");
}

#[test]
fn a_reference_with_one_owner_waits_as_well() {
    for (cascade, direction) in
        [(CASCADES[0], Direction::ToCrm), (CASCADES[0], Direction::ToErp), (CASCADES[2], Direction::ToCrm)]
    {
        let mut world = settled();
        world.pipeline.tables[1].fields[2].direction = Some(direction);
        world.run();
        cascade.happen(&mut world, OnDelete::Hold);
        let left = cascade.held(&world);
        world.erp.put("customers", 1, &[("phone", "3")]);
        let report = world.run();
        assert_eq!(cascade.held(&world), left, "{cascade:?} {direction:?}");
        assert_eq!(world.crm.get("accounts", 101, "phone"), "3", "{cascade:?} {direction:?}");
        assert_eq!(report.inbox.len(), 1, "{cascade:?} {direction:?}: {:#?}", report.inbox);
        cascade.answer(&mut world, OnDelete::Restore);
        assert_eq!(world.run().outcome, RunOutcome::Converged, "{cascade:?} {direction:?}");
        // Its owner cleared it, and nobody sends it back to him.
        let owner = if direction == Direction::ToCrm { Side::Erp } else { Side::Crm };
        match cascade.gone == owner {
            true => assert_eq!(cascade.held(&world), Default::default(), "{cascade:?} {direction:?}"),
            false => cascade.refers(&world),
        }
        world.quiet();
    }
}

/// A world as [`settled`], in which an account without owner is outside the filter.
fn settled_with_owners(direction: Direction) -> World {
    let filtered = "crm: { table: accounts, label: number, filter: owner IS NOT NULL }";
    settled_in(&TABLES.replace("crm: { table: accounts, label: number }", filtered), direction)
}

/// Three customers of which each refers to a person, in these table maps.
fn settled_in(tables: &str, direction: Direction) -> World {
    let mut world = World::with(tables);
    world.pipeline.tables[1].fields[2].direction = Some(direction);
    for (number, code) in [(11, "AA"), (12, "BB")] {
        let mail = format!("{code}@a.example");
        world.erp.put("people", number, &[("code", code), ("email", &mail)]);
        world.crm.put("users", 100 + number, &[("name", code), ("mail", &mail)]);
    }
    for (number, key, owner) in [(1, "C1", "AA"), (2, "C2", "BB"), (3, "C3", "AA")] {
        world.erp.put("customers", number, &[("number", key), ("person", owner)]);
        let owner = Uuid::from_u128(if owner == "AA" { 111 } else { 112 }).to_string();
        world.crm.put("accounts", 100 + number, &[("number", key), ("owner", &owner)]);
    }
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    world.quiet();
    world
}

#[test]
fn a_record_that_its_cleared_reference_took_out_of_its_filter_comes_back() {
    let cascade = CASCADES[0];
    for direction in [Direction::Both, Direction::ToCrm] {
        let clear = |world: &mut World, on_delete: OnDelete| {
            cascade.happen(world, on_delete);
            // A person took this one out before.
            world.crm.put("accounts", 102, &[("owner", "")]);
        };
        let back = |world: &mut World| {
            cascade.refers(world);
            assert_eq!(world.erp.get("customers", 1, "person"), "AA", "{direction:?}");
            assert_eq!(world.crm.get("accounts", 102, "owner"), "", "{direction:?}: a person cleared it");
            world.quiet();
        };
        // In the run that restores, after a night in which the deletion waited.
        for changed in [false, true] {
            let mut world = settled_with_owners(direction);
            clear(&mut world, OnDelete::Hold);
            world.crm.put("accounts", 101, &[("phone", "2")]);
            world.run();
            assert_eq!(cascade.held(&world), ("AA".to_owned(), String::new()), "{direction:?}");
            assert_eq!(world.erp.get("customers", 1, "phone"), "", "outside, and not compared");
            cascade.answer(&mut world, OnDelete::Restore);
            if changed {
                world.run_changed();
            } else {
                let planned = world.run_as(true);
                let report = world.run();
                assert_eq!(planned.plan, report.plan, "{direction:?}: the plan is the run (I8)");
                assert_eq!(report.outcome, RunOutcome::Converged, "{direction:?}: {:#?}", report.inbox);
            }
            assert_eq!(world.erp.get("customers", 1, "phone"), "2", "{direction:?}");
            back(&mut world);
        }
        // A later run than the one that restored, whether the state knows the values or not.
        for keeps in [true, false] {
            let mut world = settled_with_owners(direction);
            if !keeps {
                world.keep_no_values();
            }
            clear(&mut world, OnDelete::Restore);
            world.attempt(false, &["people"], &mut |_| {}).unwrap();
            assert_eq!(world.run().outcome, RunOutcome::Converged, "{direction:?}");
            back(&mut world);
        }
        // Somebody coupled the survivor anew.
        let mut world = settled_with_owners(direction);
        clear(&mut world, OnDelete::Hold);
        world.run();
        cascade.couple_anew(&mut world);
        assert_eq!(world.run().outcome, RunOutcome::Converged, "{direction:?}");
        back(&mut world);
        // As long as the deletion waits, and where it is decided otherwise, it stays outside.
        for on_delete in [OnDelete::Hold, OnDelete::Delete, OnDelete::Uncouple] {
            let mut world = settled_with_owners(direction);
            clear(&mut world, on_delete);
            world.run();
            assert_eq!(cascade.held(&world).1, "", "{direction:?} {on_delete:?}");
            world.quiet();
        }
    }
}

#[test]
fn a_survivor_comes_back_into_its_filter_with_the_reference_of_its_partner() {
    for left in Side::BOTH {
        // A person decides, once both deletions have waited.
        let mut world = left_outside(left, true);
        world.pipeline.tables.iter_mut().for_each(|table| table.on_delete = OnDelete::Hold);
        let report = world.run();
        let (gone, name) = (left.other().name(), *PERSON.names.of(left));
        let message =
            format!("{name} was deleted in the {gone}; it stays in the {} until somebody decides", left.name());
        assert!(report.inbox.iter().any(|item| item.message == message), "{left:?}: {:#?}", report.inbox);
        world.quiet();
        let person = if left == Side::Crm { "people:AA" } else { "people:crm:AA@a.example" };
        for decided in [person, name] {
            answer(&mut world, decided, &Wish::Restore).unwrap();
            let planned = world.run_as(true);
            let report = world.run();
            assert_eq!(planned.plan, report.plan, "{left:?}: the plan is the run (I8)");
        }
        is_back_inside(&mut world, left, "decided");

        // What it led to is still there: a person cleared it, and what is outside its filter is left alone.
        let mut world = left_outside(left, false);
        let report = world.run();
        let message = format!("{name} was deleted in the {gone}; in the {} it is outside the filter", left.name());
        assert!(report.inbox[0].message.starts_with(&message), "{left:?}: {:#?}", report.inbox);
        assert_eq!(PERSON.held(&world), None, "{left:?}");
        world.quiet();
    }
}

#[test]
fn a_survivor_whose_side_does_not_take_its_reference_at_first_comes_back_into_its_filter_later() {
    for left in Side::BOTH {
        let mut world = left_outside(left, true);
        *memory(&world, left).refuses.lock().unwrap() = Some(Box::new(move |_, write: &Write| {
            let names = write.fields.iter().any(|(name, _)| name == PERSON.columns.of(left));
            names.then(|| "not today".to_owned())
        }));
        assert_eq!(world.run().outcome, RunOutcome::Incomplete, "{left:?}");
        *memory(&world, left).refuses.lock().unwrap() = None;
        is_back_inside(&mut world, left, "refused");
    }
}

#[test]
fn a_run_that_is_cut_off_leaves_no_survivor_outside_its_filter() {
    for left in Side::BOTH {
        for at in Side::BOTH {
            for writes in 0.. {
                let mut world = left_outside(left, true);
                *memory(&world, at).crash_after.lock().unwrap() = Some(writes);
                let run = catch_unwind(AssertUnwindSafe(|| world.run_as(false)));
                *memory(&world, at).crash_after.lock().unwrap() = None;
                world.reopen();
                is_back_inside(&mut world, left, &format!("cut off after {writes} writes to the {}", at.name()));
                if run.is_ok() {
                    break;
                }
            }
        }
    }
}

/// The next run, which is like its plan, brings the customer back on both sides, and from then on a blank is like any other.
fn is_back_inside(world: &mut World, left: Side, what: &str) {
    let planned = world.run_as(true);
    let report = world.run();
    assert_eq!(planned.plan, report.plan, "{left:?} {what}: the plan is the run (I8)");
    assert_eq!(report.outcome, RunOutcome::Converged, "{left:?} {what}: {:#?}", report.inbox);
    let held = PERSON.held(world).unwrap_or_else(|| panic!("{left:?} {what}"));
    assert_eq!(held.erp, "AA", "{left:?} {what}");
    let couplings = world.store.couplings("people", &[]).unwrap();
    assert!(couplings.crm.iter().any(|id| id.to_string() == held.crm), "{left:?} {what}: {held:?}");
    world.quiet();
}

#[test]
fn a_record_outside_its_filter_in_the_erp_comes_back_in_a_later_run() {
    let cascade = CASCADES[2];
    let filtered = "erp: { table: customers, label: number, filter: \"person <> ''\" }";
    for changed in [false, true] {
        let tables = TABLES.replace("erp: { table: customers, label: number }", filtered);
        let mut world = settled_in(&tables, Direction::Both);
        cascade.happen(&mut world, OnDelete::Restore);
        // A person took this one out before.
        world.erp.put("customers", 2, &[("person", "")]);
        world.attempt(false, &["people"], &mut |_| {}).unwrap();
        // Nights may pass in which nobody looks at it.
        world.attempt(false, &["people"], &mut |_| {}).unwrap();
        let report = if changed { world.run_changed() } else { world.run() };
        assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
        cascade.refers(&world);
        assert_eq!(cascade.held(&world).0, "AA");
        assert_eq!(world.erp.get("customers", 2, "person"), "", "a person cleared it");
        world.quiet();
    }
}

/// Somebody makes the person anew that was deleted, by hand, and `restore` is the answer.
fn made_anew_by_hand(world: &mut World, gone: Side) {
    match gone {
        Side::Crm => world.crm.put("users", 150, &[("name", "AA"), ("mail", "AA@a.example")]),
        Side::Erp => world.erp.put("people", 50, &[("code", "AA"), ("email", "AA@a.example")]),
    }
    world.run();
    let survivor = if gone == Side::Crm { "people:AA" } else { "people:crm:AA@a.example" };
    answer(world, survivor, &Wish::Restore).unwrap();
    let planned = world.run_as(true);
    let report = world.run();
    assert_eq!(planned.plan, report.plan, "{gone:?}: the plan is the run (I8)");
    assert_eq!(report.outcome, RunOutcome::Converged, "{gone:?}: {:#?}", report.inbox);
}

#[test]
fn a_reference_is_put_back_where_what_it_led_to_was_made_anew_by_hand() {
    for cascade in [CASCADES[0], CASCADES[2]] {
        let mut world = settled();
        cascade.happen(&mut world, OnDelete::Hold);
        world.run();
        made_anew_by_hand(&mut world, cascade.gone);
        cascade.refers(&world);
        assert_eq!(cascade.held(&world).0, "AA", "{cascade:?}");
        world.quiet();
        // One that its cleared reference took out of its filter comes back in.
        let mut world = match cascade.gone {
            Side::Crm => settled_with_owners(Direction::Both),
            Side::Erp => {
                let filtered = "erp: { table: customers, label: number, filter: \"person <> ''\" }";
                settled_in(&TABLES.replace("erp: { table: customers, label: number }", filtered), Direction::Both)
            }
        };
        cascade.happen(&mut world, OnDelete::Hold);
        // A person took this one out before.
        match cascade.gone {
            Side::Crm => world.crm.put("accounts", 102, &[("owner", "")]),
            Side::Erp => world.erp.put("customers", 2, &[("person", "")]),
        }
        world.run();
        let (erp, crm) = cascade.held(&world);
        assert!(erp.is_empty() != crm.is_empty(), "{cascade:?}: it waits");
        made_anew_by_hand(&mut world, cascade.gone);
        cascade.refers(&world);
        assert_eq!(cascade.held(&world).0, "AA", "{cascade:?}");
        let other = match cascade.gone {
            Side::Crm => world.crm.get("accounts", 102, "owner"),
            Side::Erp => world.erp.get("customers", 2, "person"),
        };
        assert_eq!(other, "", "{cascade:?}: a person cleared it");
        world.quiet();
    }
}
