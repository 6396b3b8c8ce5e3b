//! What goes wrong in a run: accidents, refusals, deaths at any step, and people who type meanwhile.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use pipeline::config::{Direction, Side, When};
use pipeline::run::account::{Mode, RunOutcome};
use pipeline::store::InboxKind;

use crate::adversary::adds_up;
use crate::adversary::drawn::desk::People;
use crate::adversary::drawn::look::Look;
use crate::adversary::drawn::night::Night;
use crate::dice::Chance;
use crate::memory::{Accident, Edit};

impl Night {
    /// Makes trouble for the next run; returns what people are going to type during it.
    pub(super) fn trouble(&mut self, refuses: bool) {
        let look = Look::at(&self.world);
        for side in Side::BOTH {
            let mut chance = Chance(self.chance.below(u64::MAX));
            let memory = self.memory(side);
            memory.silent.store(chance.one_in(4), Ordering::Relaxed);
            for _ in 0..chance.below(6) {
                let kinds = [Accident::AnswerLost, Accident::RequestLost, Accident::Stale, Accident::None];
                memory.accidents.lock().unwrap().push(chance.pick(&kinds));
            }
            if chance.one_in(4) {
                memory.fate.set(Some(chance.below(12)));
            }
            if chance.one_in(8) {
                let stop = self.world.stop.clone();
                *memory.stops.lock().unwrap() = Some(Box::new(move || stop.store(true, Ordering::Relaxed)));
            }
            if chance.one_in(10) {
                memory.unreadable.lock().unwrap().push(Night::table(side).to_owned());
            }
            if refuses && chance.one_in(3) {
                let words = ["it is full", "it is late", "the moon is", "nobody", "not today", "a mood", "no", "never"];
                let word = words[usize::try_from(self.number).unwrap() % words.len()];
                let share = 1 + u128::from(chance.below(3));
                *memory.refuses.lock().unwrap() =
                    Some(Box::new(move |_, write| write.id.as_u128().is_multiple_of(share).then(|| word.to_owned())));
            }
        }
        if self.chance.one_in(4) {
            let steps = self.chance.below(20);
            self.world.fate.set(Some(steps));
        }
        let name = self.map().fields.iter().find(|field| field.erp.as_deref() == Some("name"));
        let free = name.is_some_and(|name| name.direction == Some(Direction::Both) && name.when == When::Always);
        if free && !self.drawn.matches_names && self.chance.one_in(2) {
            for ids in &look.coupled {
                let here = Side::BOTH.into_iter().all(|side| self.inside(&look, side, *ids.of(side)));
                let decides = |people: &People| people.fields.keys().any(|(pair, _)| *pair == (ids.erp, ids.crm));
                let free = !self.typed.contains_key(&(ids.erp, ids.crm)) && !self.people.as_ref().is_some_and(decides);
                if here && free && self.chance.one_in(3) {
                    let side = self.chance.pick(&Side::BOTH);
                    let text = format!("typed {}", self.chance.below(1_000_000));
                    let edit: Edit = (Night::table(side), ids.of(side).as_u128(), "name", text.clone());
                    let moment = self.chance.below(3);
                    let memory = self.memory(side);
                    let when =
                        [&memory.behind, &memory.meanwhile, &memory.afterwards][usize::try_from(moment).unwrap()];
                    when.lock().unwrap().push(edit);
                    self.typed.insert((ids.erp, ids.crm), (side, text));
                }
            }
        }
    }

    pub(super) fn calm(&mut self) {
        for side in Side::BOTH {
            let memory = match side {
                Side::Erp => &self.world.erp,
                Side::Crm => &self.world.crm,
            };
            memory.accidents.lock().unwrap().clear();
            memory.silent.store(false, Ordering::Relaxed);
            memory.unreadable.lock().unwrap().clear();
            memory.fate.set(None);
            *memory.stops.lock().unwrap() = None;
            *memory.refuses.lock().unwrap() = None;
            for edits in [&memory.behind, &memory.meanwhile, &memory.afterwards] {
                // Nobody came to type it.
                for (_, _, _, text) in std::mem::take(&mut *edits.lock().unwrap()) {
                    self.typed.retain(|_, (_, typed)| *typed != text);
                }
            }
        }
        self.world.fate.set(None);
        self.world.stop.store(false, Ordering::Relaxed);
    }

    /// A run in which something may go wrong.
    pub(super) fn troubled(&mut self, refuses: bool) {
        self.disturbed = true;
        match self.deaths {
            Some((who, step)) => [&self.world.erp.fate, &self.world.crm.fate, &self.world.fate][who].set(Some(step)),
            None => self.trouble(refuses),
        }
        self.world.changed = self.chance.one_in(3);
        self.told.changed += u32::from(self.world.changed);
        let run = catch_unwind(AssertUnwindSafe(|| self.world.attempt(false, &[], &mut |_| {})));
        self.world.changed = false;
        self.calm();
        match run {
            // Only a death at the right place is one of ours.
            Err(cause) => {
                let ours = cause.downcast_ref::<&str>() == Some(&"the program was killed");
                assert!(ours, "{}: a run ended in a panic", self.place);
                self.told.crashed += 1;
                self.world.reopen();
            }
            Ok(Ok(report)) => {
                let failed = report.tables.iter().any(|table| table.error.is_some() || table.guarded.is_some());
                let whole = report.outcome != RunOutcome::Interrupted && !failed && self.typed.is_empty();
                if whole && report.tables.iter().all(|table| table.mode == Mode::Full) {
                    adds_up(&self.world.pipeline, &report, &self.place);
                }
                self.told.refused += u32::from(report.inbox.iter().any(|item| item.kind == InboxKind::Failed));
            }
            Ok(Err(_)) => {}
        }
        self.confirmed();
    }

    /// Every coupling is of two records that were really there (I1), and nothing is there twice (I2).
    pub(super) fn confirmed(&mut self) {
        let look = Look::at(&self.world);
        for side in Side::BOTH {
            self.ever.of_mut(side).extend(look.records.of(side).keys());
            for ids in &look.coupled {
                let known = self.ever.of(side).contains(ids.of(side));
                assert!(known, "{}: {ids:?} was coupled before it was confirmed (I1)", self.place);
            }
            let mut cities = BTreeSet::new();
            for (id, record) in look.records.of(side) {
                let city = record.get("city").cloned().unwrap_or_default();
                let place = format!("{}, {} {id}: {city}", self.place, side.name());
                assert!(!city.is_empty() && cities.insert(city), "{place} is doubled (I2)");
            }
        }
    }
}
