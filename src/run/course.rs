//! The passes of a run one after the other, in three rounds: every table map's own turn, then the references that had
//! to wait for that, then, from the last table map to the first, the deletions. A table map that fails takes those
//! along that refer to it, and no others.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use crate::config::{Side, TableMap};
use crate::endpoint::EndpointError;
use crate::extract::Scope;
use crate::order::Pass;
use crate::run::account::{Counts, Event, Lost, RunReport, TableReport};
use crate::run::along::Along;
use crate::run::bereft::file_bereft;
use crate::run::carried::Carried;
use crate::run::context::Context;
use crate::run::pass::{self, CutOff};
use crate::run::referring::Turns;
use crate::run::sight::Sight;
use crate::run::state::PassState;
use crate::run::step::PassError;
use crate::run::{RunError, decided, later, strays};
use crate::store::{InboxItem, Store, StoreError, Watermark};
use crate::translate::links::Links;

/// The passes of a run, and what became of each so far.
pub struct Course<'a> {
    context: &'a Context<'a>,
    passes: &'a [Pass],
    scopes: &'a [Scope],
    links: Links,
    /// Of the passes that had their first step; `None` where that failed.
    states: Vec<Option<PassState>>,
    /// As many as `states`.
    reports: Vec<TableReport>,
    /// Deletions that references told of, and that wait.
    bereft: Vec<InboxItem>,
    /// The first thing that a side could not do.
    first_error: Option<EndpointError>,
    /// Why a side cannot be spoken to any more; then the course is over.
    lost: Option<EndpointError>,
}

impl<'a> Course<'a> {
    /// Makes the course of a run of which no table map had its turn yet; `scopes` has one for each pass.
    pub fn new(context: &'a Context<'a>, passes: &'a [Pass], scopes: &'a [Scope], links: Links) -> Course<'a> {
        let (states, reports, bereft) = (Vec::new(), Vec::new(), Vec::new());
        Course { context, passes, scopes, links, states, reports, bereft, first_error: None, lost: None }
    }

    /// Gives every table map its turn, until the run has to end.
    pub fn first_steps(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        for (position, (turn, scope)) in self.passes.iter().zip(self.scopes).enumerate() {
            if self.is_to_stop() {
                break;
            }
            let map = self.map(turn);
            let total = self.passes.len();
            (self.context.tell)(Event::TableStarted { table: &map.name, position: position + 1, total });
            let state = match failed_need(map, &self.reports) {
                Some(need) => Err(PassError::Waits(format!("waits for {need}")).into()),
                None => pass::first_step(self.context, store, scope, turn, &mut self.links),
            };
            match state {
                Ok(mut state) => {
                    self.reports.push(state.report());
                    if !state.goes_on(turn) && !self.hangs_on_doomed(map) {
                        state.release();
                    }
                    self.states.push(Some(state));
                }
                Err(CutOff { error: PassError::Store(error), .. }) => return Err(error),
                Err(CutOff { error, report }) => {
                    // What a dry run came to is nothing that was done.
                    let report = report.filter(|_| !self.context.options.dry_run);
                    let mut report = report.map_or_else(TableReport::default, |report| *report);
                    report.table.clone_from(&map.name);
                    report.coupled = store.coupling_counts()?.get(&map.name).copied().unwrap_or(0);
                    report.error = Some(self.reason(&error));
                    self.reports.push(report);
                    self.states.push(None);
                    if let (None, PassError::Endpoint(error)) = (&self.first_error, error) {
                        self.first_error = Some(error);
                    }
                }
            }
            (self.context.tell)(Event::TableFinished { report: &self.reports[position] });
        }
        Ok(())
    }

    /// Writes references in a circle, now that every record that they could name is coupled.
    pub fn second_steps(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        for index in 0..self.states.len() {
            let turn = &self.passes[index];
            if !turn.deferred.contains(&true) || self.is_to_stop() {
                continue;
            }
            let need = failed_need(self.map(turn), &self.reports);
            let Some(state) = self.states[index].as_mut().filter(|state| !state.guarding.is_over()) else { continue };
            if let Some(need) = need {
                // Nothing is known of what its records refer to, and nothing is concluded from that.
                if !state.guarding.has_stopped() {
                    self.reports[index].error = Some(format!("references wait for {need}"));
                }
                continue;
            }
            let done = pass::second_step(self.context, store, &self.scopes[index], turn, &mut self.links, state);
            self.take(index, done)?;
        }
        Ok(())
    }

    /// Carries out deletions, from the last table map to the first: what refers to a record goes before it, and one on
    /// which something hangs that stays does not go.
    pub fn deletions(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        if self.is_to_stop() {
            return Ok(());
        }
        let Some(along) = Along::find(&mut self.turns(), store)? else { return Ok(()) };
        let is_due =
            |state: &Option<PassState>| state.as_ref().is_some_and(|state| !state.consequences.doomed().is_empty());
        let due: Vec<bool> = self.states.iter().map(is_due).collect();
        for index in (0..self.states.len()).rev().filter(|index| due[*index]) {
            if self.is_to_stop() || self.reports[index].error.is_some() {
                continue;
            }
            along.hold_back(&mut self.turns());
            let Some(state) = self.states[index].as_mut() else { continue };
            let turn = &self.passes[index];
            let done = pass::last_step(self.context, store, &self.scopes[index], turn, &self.links, state);
            self.take(index, done)?;
        }
        Ok(())
    }

    /// Files the deletions that references told of, which their own table maps did not see.
    pub fn file_bereft(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        let mut filed: HashSet<usize> = HashSet::new();
        for index in 0..self.states.len() {
            let references = self.map(&self.passes[index]).fields.iter().filter_map(|field| field.reference.as_ref());
            for reference in references {
                let table = self.context.target(reference);
                if self.is_to_stop() || filed.contains(&table) {
                    continue;
                }
                let place = (0..self.states.len()).find(|place| self.passes[*place].table == table);
                let own = place.and_then(|place| self.states[place].as_ref());
                match file_bereft(self.context, store, table, own, &mut self.links) {
                    Ok(items) => {
                        filed.insert(table);
                        self.bereft.extend(items);
                    }
                    // Whoever came upon one comes upon it again.
                    Err(error) => self.take(index, Err(error))?,
                }
            }
        }
        Ok(())
    }

    /// Tells why nothing at all could be done, where that is so. A dry run that lost a side has nothing to show.
    pub fn failed_throughout(&mut self) -> Result<(), EndpointError> {
        // The last step may have lost it.
        self.is_to_stop();
        if let Some(error) = self.lost.clone().filter(|_| self.context.options.dry_run) {
            return Err(error);
        }
        let wrote = |report: &TableReport| {
            report.new_couplings > 0 || Side::BOTH.iter().any(|side| *report.to.of(*side) != Counts::default())
        };
        match self.first_error.clone().filter(|_| self.finished_nothing() && !self.reports.iter().any(wrote)) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Tells whether no table map at all could be finished, because a side could not be asked.
    pub fn finished_nothing(&self) -> bool {
        self.first_error.is_some() && self.states.iter().all(Option::is_none)
    }

    /// Returns the side that cannot be spoken to any more, where there is one, with what had no turn for it.
    pub fn lost(&self) -> Option<Lost> {
        let error = self.lost.clone()?;
        let untouched = self.passes.iter().skip(self.reports.len()).map(|turn| self.map(turn).name.clone());
        Some(Lost { error, untouched: untouched.collect() })
    }

    /// Moves the watermarks of the table maps whose every record is settled or in the inbox by now (I1).
    pub fn settle_watermarks(&self, store: &mut dyn Store) -> Result<(), StoreError> {
        let is_whole = |report: &TableReport| report.error.is_none() && report.guarded.is_none();
        let whole = self.states.iter().zip(&self.reports).filter(|(_, report)| is_whole(report));
        let marks = whole.filter_map(|(state, report)| Some((report.table.clone(), state.as_ref()?.mark()?)));
        let marks: Vec<(String, Watermark)> = marks.collect();
        if marks.is_empty() { Ok(()) } else { store.set_watermarks(&marks) }
    }

    /// Enters what became of every table map into the report of the run, and returns what was seen of the records to
    /// explain.
    pub fn account_for(
        self,
        store: &dyn Store,
        interrupted: bool,
        report: &mut RunReport,
    ) -> Result<Vec<Sight>, RunError> {
        let options = self.context.options;
        let mut sights = Vec::new();
        report.inbox.extend(self.bereft);
        for ((state, mut table), turn) in self.states.into_iter().zip(self.reports).zip(self.passes) {
            let unreached = || options.approved.map(|approved| Carried::unreached(approved, &table.table));
            let carried = match state {
                Some(mut state) => {
                    sights.extend(state.sight.take());
                    let ended_early = interrupted || (report.lost.is_some() && state.goes_on(turn));
                    let reached = !ended_early && table.error.is_none();
                    let carried = state.carried.take().filter(|_| reached).or_else(unreached);
                    report.inbox.extend(state.inbox());
                    let plan = state.into_plan();
                    if options.dry_run {
                        table.notes.extend(later::notes(&plan));
                    }
                    report.plan.tables.push(plan);
                    carried
                }
                // Nobody looked at what waits there, so it still does.
                None => {
                    report.inbox.extend(decided::undecided(store, &table.table)?);
                    unreached()
                }
            };
            if let Some(all) = &mut report.carried {
                all.add(carried.unwrap_or_default());
            }
            report.tables.push(table);
        }
        // Those that had no turn.
        if let (Some(all), Some(approved)) = (&mut report.carried, options.approved) {
            for turn in &self.passes[report.tables.len()..] {
                all.add(Carried::unreached(approved, &self.context.pipeline.tables[turn.table].name));
            }
        }
        report.names = strays::names(self.context.pipeline, &report.plan, &self.links);
        Ok(sights)
    }

    fn turns(&mut self) -> Turns<'_> {
        Turns {
            context: self.context,
            passes: self.passes,
            scopes: self.scopes,
            states: &mut self.states,
            reports: &self.reports,
            links: &mut self.links,
        }
    }

    /// Tells whether records of a table map may refer to some that are to be deleted: then they are looked at again.
    fn hangs_on_doomed(&self, map: &TableMap) -> bool {
        let doomed = self.states.iter().flatten().filter(|state| !state.consequences.doomed().is_empty());
        let mut doomed = doomed.map(|state| state.draft.table());
        let refers = |name: &str| {
            map.fields.iter().any(|field| field.reference.as_ref().is_some_and(|reference| reference.table == *name))
        };
        doomed.any(refers)
    }

    fn map(&self, turn: &Pass) -> &'a TableMap {
        &self.context.pipeline.tables[turn.table]
    }

    /// Tells whether the run has to end, and takes note where a side is the reason.
    fn is_to_stop(&mut self) -> bool {
        if self.lost.is_none() {
            self.lost = Side::BOTH.into_iter().find_map(|side| self.context.endpoints.of(side).line().lost());
        }
        self.lost.is_some() || self.context.options.stop.load(Ordering::Relaxed)
    }

    /// Says why a table map could not be finished; what is the matter with a side is told once, and not of each.
    fn reason(&self, error: &PassError) -> String {
        match error {
            PassError::Endpoint(error) if self.context.endpoints.of(error.side()).line().lost().is_some() => {
                format!("the {} was lost in the middle of it", error.side().name())
            }
            error => error.to_string(),
        }
    }

    /// Takes note of how a later step of a pass ended; only the state's own trouble ends the run.
    fn take(&mut self, index: usize, done: Result<(), PassError>) -> Result<(), StoreError> {
        match (done, &self.states[index]) {
            (Err(PassError::Store(error)), _) => return Err(error),
            (Err(error), state) => {
                let reason = self.reason(&error);
                let report = &mut self.reports[index];
                report.error = Some(reason);
                let written = state.as_ref().filter(|_| !self.context.options.dry_run).map(PassState::cut_off);
                for side in Side::BOTH {
                    let Some(written) = written.as_ref().map(|written| *written.to.of(side)) else { continue };
                    let Counts { inserted, modified, deleted, .. } = written;
                    *report.to.of_mut(side) = Counts { inserted, modified, deleted, ..*report.to.of(side) };
                }
            }
            (Ok(()), Some(state)) => self.reports[index] = state.report(),
            (Ok(()), None) => {}
        }
        Ok(())
    }
}

/// Names another table map that `map` needs and that failed, or was stopped.
fn failed_need(map: &TableMap, done: &[TableReport]) -> Option<String> {
    let needs = map.fields.iter().filter_map(|field| field.reference.as_ref().map(|reference| &reference.table));
    let fate = |name: &String| {
        let table = done.iter().find(|table| table.table == *name)?;
        let stopped = table.guarded.as_ref().map(|_| format!("{name}, which its guard stopped"));
        stopped.or_else(|| table.error.as_ref().map(|_| format!("{name}, which failed")))
    };
    needs.chain(&map.after).filter(|name| **name != map.name).find_map(fate)
}
