//! What a pass holds between its first step and its end.
//!
//! It is made of parts, each of which keeps what has to hold of it. A function that needs a part takes that part; who decides
//! or writes takes the whole.

use std::collections::HashMap;

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::delta::Work;
use crate::delta::decided::spoken;
use crate::delta::guard::Trip;
use crate::frame::Frame;
use crate::order::Pass;
use crate::plan::{Action, TablePlan};
use crate::run::account::TableReport;
use crate::run::admitted::Approval;
use crate::run::aside::Aside;
use crate::run::background::Backgrounds;
use crate::run::by_people::ByPeople;
use crate::run::carried::Carried;
use crate::run::chosen::Outlook;
use crate::run::consequences::Consequences;
use crate::run::context::Context;
use crate::run::draft::Draft;
use crate::run::forced::Forced;
use crate::run::guarding::Guarding;
use crate::run::outside::Outside;
use crate::run::pretend::Pretended;
use crate::run::reached::Reached;
use crate::run::records::Records;
use crate::run::refusals::{Ids, Refusals};
use crate::run::remarks::Remarks;
use crate::run::selection::Asked;
use crate::run::sight::Sight;
use crate::run::step::Step;
use crate::run::tally::Tally;
use crate::run::unanswered::Unanswered;
use crate::run::waits::Waits;
use crate::store::{Background, InboxItem, Watermark};
use crate::translate::links::Links;

/// A pass between its first step and its end. Each part is changed by its own methods, which keep what has to hold of it.
pub struct PassState {
    /// What both sides hold, who is whose partner, and what is remembered of each pair.
    pub(super) records: Records,
    /// The records that the pass is about; `None` for the whole table.
    pub(super) asked: Option<Asked>,
    /// What was decided about them first.
    pub(super) outlook: HashMap<Ids, Outlook>,
    /// What is left aside of them.
    pub(super) aside: Aside,
    /// How far both sides are known when everything is settled.
    pub(super) reached: Reached,

    /// What people decided, and what became of that.
    pub(super) by_people: ByPeople,
    /// What came of it that a person lets one side win.
    pub(super) forced: Forced,
    /// What is approved, where a plan is carried out.
    pub(super) approval: Approval,
    /// What became of that.
    pub(super) carried: Option<Carried>,

    /// What was decided: the plan.
    pub(super) draft: Draft,
    /// What the guard counts of it, and whether it stopped the table map.
    pub(super) guarding: Guarding,
    /// What follows from deletions.
    pub(super) consequences: Consequences,

    /// What waits, and what is filed of it.
    pub(super) waits: Waits,
    /// What was open before and stays so outside the filter.
    pub(super) outside: Outside,
    /// What people want to know of what waits.
    pub(super) backgrounds: Backgrounds,
    /// What sides refused.
    pub(super) refusals: Refusals,
    /// New records of which nobody knows whether they are there.
    pub(super) unanswered: Unanswered,

    /// What was written.
    pub(super) tally: Tally,
    pub(super) report: TableReport,
    pub(super) remarks: Remarks,
    /// What was seen of the records, where they are to be explained.
    pub(super) sight: Option<Sight>,
}

impl PassState {
    /// Starts a pass with what was read.
    pub(super) fn new(map: &TableMap, frames: PerSide<Frame>) -> PassState {
        let rows = PerSide::from_fn(|side| frames.of(side).rows() as u64);
        PassState {
            records: Records::new(map, frames),
            asked: None,
            outlook: HashMap::new(),
            aside: Aside::default(),
            reached: Reached::default(),
            by_people: ByPeople::default(),
            forced: Forced::default(),
            approval: Approval::default(),
            carried: None,
            draft: Draft::new(&map.name),
            guarding: Guarding::default(),
            consequences: Consequences::default(),
            waits: Waits::default(),
            outside: Outside::default(),
            backgrounds: Backgrounds::default(),
            refusals: Refusals::default(),
            unanswered: Unanswered::default(),
            tally: Tally::default(),
            report: TableReport { table: map.name.clone(), rows, ..TableReport::default() },
            remarks: Remarks::default(),
            sight: None,
        }
    }

    /// Tells whether something is the business of this pass, by the ids that are known of it.
    pub(super) fn asks(&self, erp: Option<Uuid>, crm: Option<Uuid>) -> bool {
        self.asked.as_ref().is_none_or(|asked| asked.holds(erp, crm))
    }

    /// Tells the same of the record in a row of a side.
    pub(super) fn asks_row(&self, side: Side, row: usize) -> bool {
        let id = Some(self.records.frame(side).id(row));
        if side == Side::Erp { self.asks(id, None) } else { self.asks(None, id) }
    }

    /// Returns the sides that are written on paper, where that holds for the pass: in a dry run, and for what its guard
    /// stopped, so that its plan is whole.
    pub(super) fn paper<'a>(&self, context: &Context<'a>) -> Option<&'a PerSide<Pretended<'a>>> {
        if self.guarding.has_stopped() { Some(context.scratch) } else { context.pretended }
    }

    /// Tells whether the pass leaves sides and state as they are.
    pub(super) fn on_paper(&self, context: &Context<'_>) -> bool {
        self.paper(context).is_some()
    }

    /// Keeps, of what was decided, what is approved; where no plan is carried out that is everything.
    pub(super) fn admit(&mut self, context: &Context<'_>, map: &TableMap, links: &Links, actions: &mut Vec<Action>) {
        if let Some(approved) = context.options.approved {
            self.approval.admit(approved, map, links, &mut self.refusals, actions);
        }
    }

    /// Tells whether a single action is approved.
    pub(super) fn admits(&mut self, context: &Context<'_>, map: &TableMap, links: &Links, action: &Action) -> bool {
        let mut actions = vec![action.clone()];
        self.admit(context, map, links, &mut actions);
        !actions.is_empty()
    }

    /// Returns what was written of a pass that was cut off: nothing else of it is known for certain.
    pub(super) fn cut_off(&self) -> TableReport {
        if let Some(stopped) = self.guarding.report() {
            return stopped.clone();
        }
        let mut report = TableReport {
            table: self.report.table.clone(),
            mode: self.report.mode,
            partial: self.report.partial,
            rows: self.report.rows,
            first: self.report.first,
            uncoupled: self.report.uncoupled,
            seconds: self.report.seconds,
            ..TableReport::default()
        };
        for to in Side::BOTH {
            let inserted = self.tally.inserted(to);
            let counts = report.to.of_mut(to);
            counts.inserted = inserted.len() as u64;
            counts.modified = self.tally.modified(to).difference(inserted).count() as u64;
            counts.deleted = self.tally.deleted_count(to);
            report.new_couplings += counts.inserted;
        }
        if self.draft.pending().is_empty() {
            report.new_couplings += self.report.coupled_anew();
        }
        report
    }

    /// Returns the counts so far.
    pub fn report(&self) -> TableReport {
        self.guarding.report().unwrap_or(&self.report).clone()
    }

    /// Returns what waits for a person, as far as the pass is about it.
    pub fn inbox(&self) -> Vec<InboxItem> {
        let own = self.waits.inbox().iter().filter(|item| self.asks(item.erp_id, item.crm_id));
        own.chain(self.waits.sent_again()).cloned().collect()
    }

    /// Returns how far both sides are known when everything is settled.
    pub fn mark(&self) -> Option<Watermark> {
        self.reached.mark().cloned()
    }

    /// Returns what was decided.
    pub fn into_plan(mut self) -> TablePlan {
        let decided = |item| {
            let item = spoken(item);
            InboxItem { since: String::new(), attempts: 0, background: Background::default(), ..item }
        };
        let asked = self.asked.take();
        let own = |item: &InboxItem| asked.as_ref().is_none_or(|asked| asked.holds(item.erp_id, item.crm_id));
        let held = self.waits.inbox().iter().filter(|item| own(item)).cloned().map(decided).collect();
        self.draft.finish(held, self.remarks.into_drifted())
    }

    /// Tells whether a later step needs the records: references of a circle, or deletions.
    pub fn goes_on(&self, turn: &Pass) -> bool {
        !self.guarding.is_over() && (turn.deferred.contains(&true) || !self.consequences.doomed().is_empty())
    }

    /// Lets the records go, where no later step will ask for them.
    pub fn release(&mut self) {
        self.records.release();
        self.outside = Outside::default();
        self.tally = Tally::default();
        self.waits.release();
    }

    /// Stops the table map before anything of it is written, or anything more; what is left is decided on paper. `plan` is
    /// where that is saved.
    pub(super) fn stop(&mut self, trip: &Trip, has_begun: bool, plan: Option<&str>) {
        let hint = trip.hint(self.draft.table(), plan);
        // The second step follows on a first one that its guard let pass, and so does what a write frees from a doubt.
        let nothing = if has_begun { "nothing more" } else { "nothing" };
        let message = format!("{trip}; {nothing} of it was written: {hint}");
        self.draft.guard(message.clone());
        self.report.guarded = Some(message);
        self.guarding.stop(self.report.clone(), has_begun);
    }

    /// Settles a field of a pair. With that a decision about it ends, as it does in the state: what somebody does to the field
    /// from now on, in this very run too, is an edit like any other. `terms` as for [`Records::settle`].
    pub(super) fn settle(&mut self, pair: usize, field: usize, base: PerSide<u64>, terms: u64) {
        self.by_people.end(self.records.pairs().ids[pair], field);
        self.records.settle(pair, field, base, terms);
    }

    /// Returns what decisions depend on.
    pub(super) fn work<'a>(&'a self, step: &'a Step<'_>) -> Work<'a> {
        Work {
            pipeline: &step.context.pipeline.name,
            map: step.map,
            infos: &step.scope.infos,
            frames: self.records.frames(),
            pairs: self.records.pairs(),
            terms: self.records.terms(),
            links: step.links,
            left_out: &step.left_out,
            crm_tables: &step.context.crm_tables,
            untold: self.records.untold(),
            names: self.records.names(),
            times: self.records.times(),
            rulings: self.by_people.rulings(),
            force: step.context.options.selection.force.as_ref(),
            won: self.forced.won(),
        }
    }
}
