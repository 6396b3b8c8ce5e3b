//! The program dies: before and after every change of the state, and before every write to a side.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;

use pipeline::binding::Binding;
use pipeline::config::{OnDelete, PerSide, Side};
use pipeline::endpoint::Endpoint;
use pipeline::run::selection::Selection;
use pipeline::run::{Options, RunOutcome, run};
use pipeline::store::{
    Answer, Apart, Coupling, CouplingChange, Couplings, Decision, InboxItem, Intent, JournalRow, OpenIntent, Refusal,
    Reply, RunRow, Settlement, Store, StoreError, Survivor, Watermark,
};
use uuid::Uuid;

use super::{coupled, id, names, side, table};
use crate::rules::World;

/// A state that lets the program die at one of its changes.
struct Mortal<'a> {
    store: &'a mut dyn Store,
    /// Changes that still go well.
    left: Cell<usize>,
    /// Whether the last one is on disk when the program dies.
    after: bool,
}

fn die() -> ! {
    // Without the hook: nobody needs to read of it.
    std::panic::resume_unwind(Box::new("the program was killed"))
}

impl Mortal<'_> {
    fn change<T>(&mut self, change: impl FnOnce(&mut dyn Store) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let last = self.left.get() == 0;
        if last && !self.after {
            die();
        }
        let result = change(self.store);
        if last {
            die();
        }
        self.left.set(self.left.get() - 1);
        result
    }
}

impl Store for Mortal<'_> {
    fn couplings(&self, table: &str, fields: &[String]) -> Result<Couplings, StoreError> {
        self.store.couplings(table, fields)
    }

    fn coupling_of(&self, table: &str, side: Side, id: Uuid) -> Result<Option<Coupling>, StoreError> {
        self.store.coupling_of(table, side, id)
    }

    fn kept_apart_since(&self, table: &str, side: Side, id: Uuid) -> Result<Option<String>, StoreError> {
        self.store.kept_apart_since(table, side, id)
    }

    fn kept_apart(&self, table: &str) -> Result<PerSide<HashSet<Uuid>>, StoreError> {
        self.store.kept_apart(table)
    }

    fn apart(&self) -> Result<Vec<Apart>, StoreError> {
        self.store.apart()
    }

    fn reply(&mut self, replies: &[Reply]) -> Result<(), StoreError> {
        self.change(|store| store.reply(replies))
    }

    fn decisions(&self, table: Option<&str>) -> Result<Vec<Decision>, StoreError> {
        self.store.decisions(table)
    }

    fn end_decisions(&mut self, table: &str, done: &[(PerSide<Uuid>, Option<String>)]) -> Result<(), StoreError> {
        self.change(|store| store.end_decisions(table, done))
    }

    fn survivors(&self, table: &str) -> Result<Vec<Survivor>, StoreError> {
        self.store.survivors(table)
    }

    fn replace_survivors(&mut self, table: &str, survivors: &[Survivor]) -> Result<(), StoreError> {
        self.change(|store| store.replace_survivors(table, survivors))
    }

    fn base_values(&self, table: &str, erp: Uuid, crm: Uuid) -> Result<BTreeMap<String, PerSide<String>>, StoreError> {
        self.store.base_values(table, erp, crm)
    }

    fn commit(
        &mut self,
        table: &str,
        fields: &[String],
        changes: &[CouplingChange],
        settled: &[Settlement],
    ) -> Result<(), StoreError> {
        self.change(|store| store.commit(table, fields, changes, settled))
    }

    fn intend(&mut self, run: &str, intents: &[Intent]) -> Result<Vec<i64>, StoreError> {
        self.change(|store| store.intend(run, intents))
    }

    fn answer(&mut self, answers: &[Answer], table: &str, changes: &[CouplingChange]) -> Result<(), StoreError> {
        self.change(|store| store.answer(answers, table, changes))
    }

    fn open_intents(&self, table: &str) -> Result<Vec<OpenIntent>, StoreError> {
        self.store.open_intents(table)
    }

    fn replace_inbox(&mut self, table: &str, items: &[InboxItem]) -> Result<(), StoreError> {
        self.change(|store| store.replace_inbox(table, items))
    }

    fn inbox(&self, table: Option<&str>) -> Result<Vec<InboxItem>, StoreError> {
        self.store.inbox(table)
    }

    fn refusals(&self, table: &str) -> Result<Vec<Refusal>, StoreError> {
        self.store.refusals(table)
    }

    fn replace_refusals(&mut self, table: &str, refusals: &[Refusal]) -> Result<(), StoreError> {
        self.change(|store| store.replace_refusals(table, refusals))
    }

    fn retry(&mut self, table: &str, erp: Option<Uuid>, crm: Option<Uuid>) -> Result<bool, StoreError> {
        self.change(|store| store.retry(table, erp, crm))
    }

    fn writes_of_run(&self, run: &str) -> Result<Vec<JournalRow>, StoreError> {
        self.store.writes_of_run(run)
    }

    fn writes_to(
        &self,
        table: &str,
        ids: PerSide<Option<Uuid>>,
        rows_max: usize,
    ) -> Result<Vec<JournalRow>, StoreError> {
        self.store.writes_to(table, ids, rows_max)
    }

    fn binding(&self) -> Result<Option<Binding>, StoreError> {
        self.store.binding()
    }

    fn bind(&mut self, binding: &Binding) -> Result<(), StoreError> {
        self.change(|store| store.bind(binding))
    }

    fn watermarks(&self) -> Result<BTreeMap<String, Watermark>, StoreError> {
        self.store.watermarks()
    }

    fn set_watermarks(&mut self, marks: &[(String, Watermark)]) -> Result<(), StoreError> {
        self.change(|store| store.set_watermarks(marks))
    }

    fn coupling_counts(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        self.store.coupling_counts()
    }

    fn begin_run(&mut self, run: &str, started: &str) -> Result<(), StoreError> {
        self.change(|store| store.begin_run(run, started))
    }

    fn finish_run(&mut self, row: &RunRow) -> Result<(), StoreError> {
        self.change(|store| store.finish_run(row))
    }

    fn runs(&self, rows_max: usize) -> Result<Vec<RunRow>, StoreError> {
        self.store.runs(rows_max)
    }
}

/// Runs until a change of the state; tells whether the program died of it.
fn dies(world: &mut World, changes: usize, after: bool) -> bool {
    let stop = AtomicBool::new(false);
    let options = Options {
        selection: Selection::default(),
        approved: None,
        guarded_plan: None,
        only: Vec::new(),
        changed: false,
        dry_run: false,
        run: "a short one".into(),
        started: "2026-01-31T02:00:00Z".into(),
        elapsed: &|| 0.0,
        stop: &stop,
    };
    let endpoints: PerSide<&dyn Endpoint> = PerSide { erp: &world.erp, crm: &world.crm };
    let mut store = Mortal { store: &mut world.store, left: Cell::new(changes), after };
    let pipeline = &world.pipeline;
    catch_unwind(AssertUnwindSafe(|| drop(run(pipeline, endpoints, &mut store, &options, &|_| {}).unwrap()))).is_err()
}

/// After the crash one plan, one run and a quiet one bring everything where it would have been.
fn recovers(world: &mut World, on_delete: OnDelete, gone: Side, place: &str) {
    world.reopen();
    let planned = world.run_as(true);
    let report = world.run();
    assert_eq!(planned.plan, report.plan, "{place}: the plan is the run (I8)");
    assert_eq!(
        (planned.tables[1].coupled, planned.tables[1].to),
        (report.tables[1].coupled, report.tables[1].to),
        "{place}"
    );
    assert_eq!(report.outcome, RunOutcome::Converged, "{place}: {:#?}", report.inbox);
    let (all, two) = (["name 1", "name 2", "name 3"].as_slice(), ["name 2", "name 3"].as_slice());
    let (there, here, coupled) = match on_delete {
        OnDelete::Restore => (all, all, 3),
        OnDelete::Delete => (two, two, 2),
        _ => (two, all, 2),
    };
    assert_eq!(names(world, gone), there, "{place}");
    assert_eq!(names(world, gone.other()), here, "{place}");
    assert_eq!(report.tables[1].coupled, coupled, "{place}");
    assert!(world.store.open_intents("customers").unwrap().is_empty(), "{place}");
    world.quiet();
}

#[test]
fn whatever_the_program_dies_of_nothing_is_doubled_or_lost() {
    for on_delete in [OnDelete::Restore, OnDelete::Uncouple, OnDelete::Delete] {
        for gone in Side::BOTH {
            for after in [false, true] {
                let mut crashes = 0;
                loop {
                    let place = format!("{on_delete:?}, {gone:?}, after {crashes} changes ({after})");
                    let mut world = coupled(on_delete, 3);
                    side(&world, gone).delete(table(gone), id(gone, 1));
                    if !dies(&mut world, crashes, after) {
                        break;
                    }
                    recovers(&mut world, on_delete, gone, &place);
                    crashes += 1;
                }
                assert!(crashes > 3, "{on_delete:?}: {crashes} changes are few");
            }
        }
    }
}

#[test]
fn a_side_that_the_program_dies_at_is_read_again() {
    for (on_delete, gone) in [
        (OnDelete::Restore, Side::Erp),
        (OnDelete::Restore, Side::Crm),
        (OnDelete::Delete, Side::Erp),
        (OnDelete::Delete, Side::Crm),
    ] {
        let mut world = coupled(on_delete, 3);
        side(&world, gone).delete(table(gone), id(gone, 1));
        let written = if on_delete == OnDelete::Restore { gone } else { gone.other() };
        *side(&world, written).crash_after.lock().unwrap() = Some(0);
        assert!(catch_unwind(AssertUnwindSafe(|| world.run())).is_err());
        *side(&world, written).crash_after.lock().unwrap() = None;
        recovers(&mut world, on_delete, gone, &format!("{on_delete:?} {gone:?}"));
    }
}
