//! What a pass holds between its first step and its end, and what each of its steps works with.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::couple::Pairs;
use crate::delta::decided::{Rulings, spoken};
use crate::delta::guard::Basis;
use crate::delta::names::Names;
use crate::delta::newest::Times;
use crate::delta::{Held, Overwritten, Work};
use crate::endpoint::EndpointError;
use crate::extract::Scope;
use crate::frame::Frame;
use crate::frame::evaluated::EvaluationError;
use crate::order::Pass;
use crate::plan::{Action, Drifted, Later, TablePlan};
use crate::run::account::TableReport;
use crate::run::approval::Approval;
use crate::run::background::Backgrounds;
use crate::run::beyond::Beyond;
use crate::run::carried::Carried;
use crate::run::chosen::Outlook;
use crate::run::context::Context;
use crate::run::keyed::Tried;
use crate::run::refusals::{Ids, Refusals};
use crate::run::selection::Asked;
use crate::run::sight::Sight;
use crate::store::{Background, CouplingChange, InboxItem, StoreError, Survivor, Terms, Watermark};
use crate::translate::links::Links;

/// Why a pass could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Expression(#[from] EvaluationError),
    /// A table map that this one needs has failed.
    #[error("{0}")]
    Waits(String),
}

/// A pass between its first step and its end.
pub struct PassState {
    pub(super) frames: PerSide<Frame>,
    pub(super) pairs: Pairs,
    /// How the values of settled pairs are to each other.
    pub(super) terms: Terms,
    pub(super) names: Names,
    /// What was open before and stays so outside the filter.
    pub(super) beyond: Beyond,
    /// What waits, by the pair or record that it is about.
    pub(super) held: Vec<Held>,
    /// In a dry run, what the run decides later, when it has made something else.
    pub(super) later: Vec<Held>,
    /// In a dry run, records that are not created, whose partner may come with what the run makes.
    pub(super) waiting: Vec<Later>,
    /// In a dry run, fields by ERP id of which the owner's value is not known before the run.
    pub(super) untold: HashMap<Uuid, Vec<usize>>,
    /// What gave way, on either side, where a person let one of them win.
    pub(super) overwritten: Vec<Overwritten>,
    /// By ERP id and field, where the side that is to win has had its way: what stands there now is the other's answer.
    pub(super) won: HashSet<(Uuid, usize)>,
    /// What that answer is where it is something else, by field and ERP id: the record, and what is to be said.
    pub(super) remade: BTreeMap<(usize, Uuid), (String, String)>,
    /// What was changed on the side that does not own it, and is told.
    pub(super) drifted: Vec<Drifted>,
    /// By field and ERP id, records of which a value does not come back as it went.
    pub(super) lossy: BTreeMap<(usize, Uuid), String>,
    /// What people decided about what would wait for them.
    pub(super) rulings: Rulings,
    /// What of it is still open: the pair, and the field where it is about one.
    pub(super) standing: HashSet<(PerSide<Uuid>, Option<usize>)>,
    /// Pairs without partner about which a person decided what cannot be done.
    pub(super) unmet: Vec<PerSide<Uuid>>,
    /// Pairs, by their ERP ids, to which nothing is done but what a person decided: no guard counts them.
    pub(super) decided: HashSet<Uuid>,
    /// By the id of a survivor, the record that looks like its lost partner.
    pub(super) made_anew: HashMap<Uuid, String>,
    /// By side, records that get no partner although new ones are made, and why.
    pub(super) unpartnered: PerSide<HashMap<Uuid, String>>,
    /// Survivors of deletions that wait.
    pub(super) survivors: Vec<Survivor>,
    /// When records were edited, where the newer value may win.
    pub(super) times: Option<Times>,
    pub(super) plan: TablePlan,
    /// Fields of each pair whose base is another than the state holds.
    pub(super) unsaved: HashMap<Uuid, Vec<usize>>,
    pub(super) refusals: Refusals,
    pub(super) tally: Tally,
    pub(super) report: TableReport,
    pub(super) inbox: Vec<InboxItem>,
    /// The records that the pass is about; `None` for the whole table.
    pub(super) asked: Option<Asked>,
    /// What was decided about them first.
    pub(super) outlook: HashMap<Ids, Outlook>,
    /// Those of them that are kept apart.
    pub(super) apart: PerSide<HashSet<Uuid>>,
    /// Whole pairs of them that are outside their filters.
    pub(super) outside: Vec<PerSide<Uuid>>,
    /// How far both sides are known when everything is settled.
    pub(super) mark: Option<Watermark>,
    /// Records that came again as they were settled, and were left out.
    pub(super) again: PerSide<Vec<(Uuid, u64)>>,
    /// In a dry run, what a side refused before and a run would send again.
    pub(super) sent_again: Vec<InboxItem>,
    /// Changes of couplings that wait until the guard has let the plan pass.
    pub(super) pending: Vec<CouplingChange>,
    /// Records to be made anew, by the side that lost them: the survivor, and the id that its partner had.
    pub(super) restores: PerSide<HashMap<Uuid, Uuid>>,
    /// Survivors, by their side, about whose partner's deletion nobody decided before this run.
    pub(super) left: PerSide<Vec<Uuid>>,
    /// Deletions, which wait until every table map had its turn.
    pub(super) doomed: Vec<Doomed>,
    /// What shares of the guard are shares of.
    pub(super) basis: Basis,
    /// Pairs of which the plan changes something that was settled before the run, by their ERP ids.
    pub(super) settled: HashSet<Uuid>,
    /// The guard stopped the table map: nothing of it is written any more, and the rest is decided on paper.
    pub(super) guarded: bool,
    /// Something of it had been written by then.
    pub(super) begun: bool,
    /// What waits was filed, and what was done is counted, at the end of a step.
    pub(super) filed: bool,
    /// What people want to know of what waits.
    pub(super) backgrounds: Backgrounds,
    /// What was seen of the records, where only some were asked for.
    pub(super) sight: Option<Sight>,
    /// The counts as they were when the guard stopped it.
    pub(super) stopped: Option<TableReport>,
    /// Nothing more is decided, not even on paper: a side lost everything.
    pub(super) over: bool,
    /// What is approved of the table map, where a plan is carried out.
    pub(super) approval: Approval,
    /// What became of that.
    pub(super) carried: Option<Carried>,
    /// By side, new records that were sent and may still come, by the record of the other side that they were made for.
    pub(super) tried: PerSide<HashMap<Uuid, Tried>>,
    /// By side, records that get no partner, because one may have been made already; and what is said of each.
    pub(super) in_doubt: PerSide<HashMap<Uuid, String>>,
    /// By side, what was there before new records were sent that get their key there.
    pub(super) before: PerSide<HashSet<Uuid>>,
}

/// A deletion that was decided.
#[derive(Debug, Clone)]
pub(super) struct Doomed {
    pub(super) action: Action,
    /// What was remembered when the pair was last settled, by field.
    pub(super) bases: Vec<Option<PerSide<u64>>>,
    /// A fingerprint of what the record held, where a person decided that this very record is deleted.
    pub(super) print: Option<u64>,
}

/// Which pairs were written, or would be in a dry run, by their ERP ids.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) inserted: PerSide<HashSet<Uuid>>,
    pub(super) modified: PerSide<HashSet<Uuid>>,
    /// Pairs of which a record left its filter while the run was at it.
    pub(super) left: HashSet<Uuid>,
    /// By the side that was written.
    pub(super) deleted: PerSide<HashSet<Uuid>>,
    /// Couplings that a run would make of what a crash left behind; a dry run counts them and stores nothing.
    pub(super) recovered: u64,
    /// Records left alone on purpose, by the side that would have been written.
    pub(super) skipped: PerSide<u64>,
    /// What would go to a side that the run does not write, by the ids that are known.
    pub(super) undone: PerSide<HashSet<(Option<Uuid>, Option<Uuid>)>>,
}

impl PassState {
    /// Starts a pass with what was read.
    pub(super) fn new(map: &TableMap, frames: PerSide<Frame>) -> PassState {
        let rows = PerSide::from_fn(|side| frames.of(side).rows() as u64);
        PassState {
            names: Names::new(map, &[&frames]),
            frames,
            pairs: Pairs::new(map.fields.len()),
            terms: Terms::default(),
            beyond: Beyond::default(),
            held: Vec::new(),
            later: Vec::new(),
            waiting: Vec::new(),
            untold: HashMap::new(),
            overwritten: Vec::new(),
            won: HashSet::new(),
            remade: BTreeMap::new(),
            drifted: Vec::new(),
            lossy: BTreeMap::new(),
            rulings: Rulings::default(),
            standing: HashSet::new(),
            unmet: Vec::new(),
            decided: HashSet::new(),
            made_anew: HashMap::new(),
            unpartnered: PerSide::default(),
            survivors: Vec::new(),
            times: None,
            plan: TablePlan { table: map.name.clone(), ..TablePlan::default() },
            unsaved: HashMap::new(),
            refusals: Refusals::default(),
            tally: Tally::default(),
            report: TableReport { table: map.name.clone(), rows, ..TableReport::default() },
            inbox: Vec::new(),
            asked: None,
            outlook: HashMap::new(),
            apart: PerSide::default(),
            outside: Vec::new(),
            mark: None,
            again: PerSide::default(),
            sent_again: Vec::new(),
            pending: Vec::new(),
            restores: PerSide::default(),
            left: PerSide::default(),
            doomed: Vec::new(),
            basis: Basis::default(),
            settled: HashSet::new(),
            guarded: false,
            begun: false,
            filed: false,
            backgrounds: Backgrounds::default(),
            sight: None,
            stopped: None,
            over: false,
            approval: Approval::default(),
            carried: None,
            tried: PerSide::default(),
            in_doubt: PerSide::default(),
            before: PerSide::default(),
        }
    }

    /// Tells whether something is the business of this pass, by the ids that are known of it.
    pub(super) fn asks(&self, erp: Option<Uuid>, crm: Option<Uuid>) -> bool {
        self.asked.as_ref().is_none_or(|asked| asked.holds(erp, crm))
    }

    /// Tells the same of the record in a row of a side.
    pub(super) fn asks_row(&self, side: Side, row: usize) -> bool {
        let id = Some(self.frames.of(side).id(row));
        if side == Side::Erp { self.asks(id, None) } else { self.asks(None, id) }
    }

    /// Returns what was written of a pass that was cut off: nothing else of it is known for certain.
    pub(super) fn cut_off(&self) -> TableReport {
        if let Some(stopped) = &self.stopped {
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
            let inserted = self.tally.inserted.of(to);
            let counts = report.to.of_mut(to);
            counts.inserted = inserted.len() as u64;
            counts.modified = self.tally.modified.of(to).difference(inserted).count() as u64;
            counts.deleted = self.tally.deleted.of(to).len() as u64;
            report.new_couplings += counts.inserted;
        }
        if self.pending.is_empty() {
            report.new_couplings += self.report.matched.iter().map(|(_, pairs)| pairs).sum::<u64>();
        }
        report
    }

    /// Returns the counts so far.
    pub fn report(&self) -> TableReport {
        self.stopped.as_ref().unwrap_or(&self.report).clone()
    }

    /// Returns what waits for a person, as far as the pass is about it.
    pub fn inbox(&self) -> Vec<InboxItem> {
        let own = self.inbox.iter().filter(|item| self.asks(item.erp_id, item.crm_id));
        own.chain(&self.sent_again).cloned().collect()
    }

    /// Returns how far both sides are known when everything is settled.
    pub fn mark(&self) -> Option<Watermark> {
        self.mark.clone()
    }

    /// Returns what was decided.
    pub fn into_plan(mut self) -> TablePlan {
        let decided = |item| {
            let item = spoken(item);
            InboxItem { since: String::new(), attempts: 0, background: Background::default(), ..item }
        };
        let asked = self.asked.take();
        let own = |item: &InboxItem| asked.as_ref().is_none_or(|asked| asked.holds(item.erp_id, item.crm_id));
        self.plan.held = self.inbox.into_iter().filter(own).map(decided).collect();
        self.plan.drifted = self.drifted;
        self.plan
    }

    /// Tells whether a later step needs the records: references of a circle, or deletions.
    pub fn goes_on(&self, turn: &Pass) -> bool {
        !self.over && (turn.deferred.contains(&true) || !self.doomed.is_empty())
    }

    /// Lets the records go, where no later step will ask for them.
    pub fn release(&mut self) {
        self.frames = PerSide::from_fn(|_| Frame::empty(Vec::new()));
        self.pairs = Pairs::default();
        self.terms = Terms::default();
        self.names = Names::default();
        self.beyond = Beyond::default();
        self.tally = Tally::default();
        self.held = Vec::new();
        self.later = Vec::new();
        self.untold = HashMap::new();
    }

    /// Returns what decisions depend on.
    pub(super) fn work<'a>(&'a self, step: &'a Step<'_>) -> Work<'a> {
        Work {
            pipeline: &step.context.pipeline.name,
            map: step.map,
            infos: &step.scope.infos,
            frames: &self.frames,
            pairs: &self.pairs,
            terms: &self.terms,
            links: step.links,
            left_out: &step.left_out,
            crm_tables: &step.context.crm_tables,
            untold: &self.untold,
            names: &self.names,
            times: self.times.as_ref(),
            rulings: &self.rulings,
            force: step.context.options.selection.force.as_ref(),
            won: &self.won,
        }
    }
}

/// What one step of a pass works with.
pub(super) struct Step<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) map: &'a TableMap,
    pub(super) scope: &'a Scope,
    pub(super) links: &'a Links,
    /// Fields that wait for the other step.
    pub(super) left_out: Vec<bool>,
}

/// What a pass works with while it still learns who belongs to whom, before that is a step.
#[derive(Clone, Copy)]
pub(super) struct Turn<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) map: &'a TableMap,
    pub(super) scope: &'a Scope,
    pub(super) pass: &'a Pass,
}

impl<'a> Turn<'a> {
    /// Returns the first step of the pass, in which deferred fields are left out.
    pub(super) fn step(&self, links: &'a Links) -> Step<'a> {
        let Turn { context, map, scope, pass } = *self;
        Step { context, map, scope, links, left_out: pass.deferred.clone() }
    }
}
