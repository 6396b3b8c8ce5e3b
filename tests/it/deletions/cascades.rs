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
use crate::deletions::given_back::settled_in_circle;
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
pub fn settled_of(tables: &str, also: &[(&str, &str)]) -> World {
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
    pub fn couple_anew(self, world: &mut World) {
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
    pub fn names(self) -> (&'static str, &'static str) {
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
pub fn settled_with_owners(direction: Direction) -> World {
    let filtered = "crm: { table: accounts, label: number, filter: owner IS NOT NULL }";
    settled_in(&TABLES.replace("crm: { table: accounts, label: number }", filtered), direction)
}

/// Three customers of which each refers to a person, in these table maps.
pub fn settled_in(tables: &str, direction: Direction) -> World {
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
