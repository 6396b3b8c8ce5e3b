//! A program that may die at any step: before and after each request to a side, before and after each commit.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;

use pipeline::adapters::sqlite::SqliteStore;
use pipeline::binding::Binding;
use pipeline::config::{PerSide, Side};
use pipeline::store::{
    Agreement, Answer, Apart, Coupling, CouplingChange, Couplings, Decision, InboxItem, Intent, JournalRow, OpenIntent,
    Refusal, Reply, RunRow, Settlement, Store, StoreError, Survivor, Watermark,
};
use uuid::Uuid;

/// How many steps are left to a program before it dies; `None` lets it live.
#[derive(Debug, Default)]
pub struct Fate(Mutex<Option<u64>>);

impl Fate {
    /// Lets the program die after so many more steps, or live.
    pub fn set(&self, steps: Option<u64>) {
        *self.0.lock().unwrap() = steps;
    }

    /// Takes a step, or dies of it.
    pub fn step(&self) {
        let dies = {
            let mut left = self.0.lock().unwrap();
            let dies = *left == Some(0);
            *left = left.map(|left| left.saturating_sub(1));
            dies
        };
        if dies {
            // Without the hook: nobody needs to read of it.
            std::panic::resume_unwind(Box::new("the program was killed"));
        }
    }
}

/// A state whose program may die before or after each change of it.
pub struct Mortal<'a> {
    pub store: &'a mut SqliteStore<'static>,
    pub fate: &'a Fate,
}

impl Mortal<'_> {
    fn commit<T>(
        &mut self,
        change: impl FnOnce(&mut SqliteStore<'static>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.fate.step();
        let done = change(self.store);
        self.fate.step();
        done
    }
}

impl Store for Mortal<'_> {
    fn couplings(&self, table: &str, fields: &[String]) -> Result<Couplings, StoreError> {
        self.store.couplings(table, fields)
    }

    fn coupling_of(&self, table: &str, side: Side, id: Uuid) -> Result<Option<Coupling>, StoreError> {
        self.store.coupling_of(table, side, id)
    }

    fn coupled(&self, table: &str) -> Result<Vec<Coupling>, StoreError> {
        self.store.coupled(table)
    }

    fn record_keys(&self, table: &str, side: Side) -> Result<HashMap<Uuid, Vec<String>>, StoreError> {
        self.store.record_keys(table, side)
    }

    fn without_key(&self, table: &str, side: Side) -> Result<Vec<Uuid>, StoreError> {
        self.store.without_key(table, side)
    }

    fn remember_keys(&mut self, table: &str, side: Side, keys: &[(Uuid, Vec<String>)]) -> Result<(), StoreError> {
        Mortal::commit(self, |store| store.remember_keys(table, side, keys))
    }

    fn kept_apart_since(&self, table: &str, side: Side, id: Uuid) -> Result<Option<String>, StoreError> {
        self.store.kept_apart_since(table, side, id)
    }

    fn apart(&self) -> Result<Vec<Apart>, StoreError> {
        self.store.apart()
    }

    fn reply(&mut self, replies: &[Reply]) -> Result<(), StoreError> {
        Mortal::commit(self, |store| store.reply(replies))
    }

    fn decisions(&self, table: Option<&str>) -> Result<Vec<Decision>, StoreError> {
        self.store.decisions(table)
    }

    fn end_decisions(&mut self, table: &str, done: &[(PerSide<Uuid>, Option<String>)]) -> Result<(), StoreError> {
        Mortal::commit(self, |store| store.end_decisions(table, done))
    }

    fn note_unmet(&mut self, table: &str, subjects: &[(PerSide<Uuid>, Option<String>)]) -> Result<(), StoreError> {
        Mortal::commit(self, |store| store.note_unmet(table, subjects))
    }

    fn survivors(&self, table: &str) -> Result<Vec<Survivor>, StoreError> {
        self.store.survivors(table)
    }

    fn replace_survivors(&mut self, table: &str, survivors: &[Survivor]) -> Result<(), StoreError> {
        Mortal::commit(self, |store| store.replace_survivors(table, survivors))
    }

    fn kept_apart(&self, table: &str) -> Result<PerSide<HashSet<Uuid>>, StoreError> {
        self.store.kept_apart(table)
    }

    fn base_values(&self, table: &str, erp: Uuid, crm: Uuid) -> Result<BTreeMap<String, PerSide<String>>, StoreError> {
        self.store.base_values(table, erp, crm)
    }

    fn pairs_with(&self, table: &str, field: &str, side: Side, text: &str) -> Result<Vec<PerSide<Uuid>>, StoreError> {
        self.store.pairs_with(table, field, side, text)
    }

    fn commit(
        &mut self,
        table: &str,
        fields: &[String],
        changes: &[CouplingChange],
        settled: &[Settlement],
    ) -> Result<(), StoreError> {
        Mortal::commit(self, |store| store.commit(table, fields, changes, settled))
    }

    fn intend(&mut self, run: &str, intents: &[Intent]) -> Result<Vec<i64>, StoreError> {
        Mortal::commit(self, |store| store.intend(run, intents))
    }

    fn answer(
        &mut self,
        answers: &[Answer],
        table: &str,
        changes: &[CouplingChange],
        agreements: &[Agreement],
    ) -> Result<(), StoreError> {
        Mortal::commit(self, |store| store.answer(answers, table, changes, agreements))
    }

    fn open_intents(&self, table: &str) -> Result<Vec<OpenIntent>, StoreError> {
        self.store.open_intents(table)
    }

    fn replace_inbox(&mut self, table: &str, items: &[InboxItem]) -> Result<(), StoreError> {
        Mortal::commit(self, |store| store.replace_inbox(table, items))
    }

    fn inbox(&self, table: Option<&str>) -> Result<Vec<InboxItem>, StoreError> {
        self.store.inbox(table)
    }

    fn refusals(&self, table: &str) -> Result<Vec<Refusal>, StoreError> {
        self.store.refusals(table)
    }

    fn replace_refusals(&mut self, table: &str, refusals: &[Refusal]) -> Result<(), StoreError> {
        Mortal::commit(self, |store| store.replace_refusals(table, refusals))
    }

    fn retry(&mut self, table: &str, erp: Option<Uuid>, crm: Option<Uuid>) -> Result<bool, StoreError> {
        Mortal::commit(self, |store| store.retry(table, erp, crm))
    }

    fn coupling_counts(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        self.store.coupling_counts()
    }

    fn watermarks(&self) -> Result<BTreeMap<String, Watermark>, StoreError> {
        self.store.watermarks()
    }

    fn set_watermarks(&mut self, marks: &[(String, Watermark)]) -> Result<(), StoreError> {
        Mortal::commit(self, |store| store.set_watermarks(marks))
    }

    fn binding(&self) -> Result<Option<Binding>, StoreError> {
        self.store.binding()
    }

    fn bind(&mut self, binding: &Binding) -> Result<(), StoreError> {
        Mortal::commit(self, |store| store.bind(binding))
    }

    fn noted_tables(&self) -> Result<BTreeMap<String, PerSide<String>>, StoreError> {
        self.store.noted_tables()
    }

    fn note_tables(&mut self, tables: &[(String, PerSide<String>)]) -> Result<(), StoreError> {
        Mortal::commit(self, |store| store.note_tables(tables))
    }

    fn begin_run(&mut self, run: &str, started: &str) -> Result<(), StoreError> {
        Mortal::commit(self, |store| store.begin_run(run, started))
    }

    fn finish_run(&mut self, row: &RunRow) -> Result<(), StoreError> {
        Mortal::commit(self, |store| store.finish_run(row))
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

    fn writes_since(&self, table: &str, moment: &str) -> Result<Vec<JournalRow>, StoreError> {
        self.store.writes_since(table, moment)
    }

    fn writes_named(&self, table: &str, record: &str, rows_max: usize) -> Result<Vec<JournalRow>, StoreError> {
        self.store.writes_named(table, record, rows_max)
    }

    fn runs(&self, rows_max: usize) -> Result<Vec<RunRow>, StoreError> {
        self.store.runs(rows_max)
    }
}
