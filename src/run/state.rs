//! What a pass holds between its first step and its end, and what each of its steps works with.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, TableMap};
use crate::couple::Pairs;
use crate::delta::guard::Basis;
use crate::delta::names::Names;
use crate::delta::newest::Times;
use crate::delta::{Held, Work};
use crate::endpoint::EndpointError;
use crate::extract::Scope;
use crate::frame::Frame;
use crate::frame::evaluated::EvaluationError;
use crate::order::Pass;
use crate::plan::{Action, Drifted, Later, TablePlan};
use crate::run::beyond::Beyond;
use crate::run::refusals::Refusals;
use crate::run::sight::Sight;
use crate::run::{Context, TableReport};
use crate::store::{CouplingChange, InboxItem, StoreError, Watermark};
use crate::translate::Links;

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
    /// What was changed on the side that does not own it, and is told.
    pub(super) drifted: Vec<Drifted>,
    /// By field and ERP id, records of which a value does not come back as it went.
    pub(super) lossy: BTreeMap<(usize, Uuid), String>,
    /// When records were edited, where the newer value may win.
    pub(super) times: Option<Times>,
    pub(super) plan: TablePlan,
    /// Fields of each pair whose base is another than the state holds.
    pub(super) unsaved: HashMap<Uuid, Vec<usize>>,
    pub(super) refusals: Refusals,
    pub(super) tally: Tally,
    pub(super) report: TableReport,
    pub(super) inbox: Vec<InboxItem>,
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
    /// Deletions, which wait until every table map had its turn.
    pub(super) doomed: Vec<Doomed>,
    /// What shares of the guard are shares of.
    pub(super) basis: Basis,
    /// Pairs of which the plan changes something that was settled before the run, by their ERP ids.
    pub(super) settled: HashSet<Uuid>,
    /// The guard stopped the table map; nothing of it is written any more.
    pub(super) guarded: bool,
    /// What was seen of the records, where only some were asked for.
    pub(super) sight: Option<Sight>,
}

/// A deletion that was decided.
#[derive(Debug, Clone)]
pub(super) struct Doomed {
    pub(super) action: Action,
    /// What was remembered when the pair was last settled, by field.
    pub(super) bases: Vec<Option<PerSide<u64>>>,
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
}

impl PassState {
    /// Starts a pass with what was read.
    pub(super) fn new(map: &TableMap, frames: PerSide<Frame>) -> PassState {
        let rows = PerSide::from_fn(|side| frames.of(side).rows() as u64);
        PassState {
            names: Names::new(map, &[&frames]),
            frames,
            pairs: Pairs::new(map.fields.len()),
            beyond: Beyond::default(),
            held: Vec::new(),
            later: Vec::new(),
            waiting: Vec::new(),
            untold: HashMap::new(),
            drifted: Vec::new(),
            lossy: BTreeMap::new(),
            times: None,
            plan: TablePlan { table: map.name.clone(), ..TablePlan::default() },
            unsaved: HashMap::new(),
            refusals: Refusals::default(),
            tally: Tally::default(),
            report: TableReport { table: map.name.clone(), rows, ..TableReport::default() },
            inbox: Vec::new(),
            mark: None,
            again: PerSide::default(),
            sent_again: Vec::new(),
            pending: Vec::new(),
            restores: PerSide::default(),
            doomed: Vec::new(),
            basis: Basis::default(),
            settled: HashSet::new(),
            guarded: false,
            sight: None,
        }
    }

    /// Returns the counts so far.
    pub fn report(&self) -> TableReport {
        self.report.clone()
    }

    /// Returns what waits for a person.
    pub fn inbox(&self) -> Vec<InboxItem> {
        self.inbox.iter().chain(&self.sent_again).cloned().collect()
    }

    /// Returns how far both sides are known when everything is settled.
    pub fn mark(&self) -> Option<Watermark> {
        self.mark.clone()
    }

    /// Returns what was decided.
    pub fn into_plan(mut self) -> TablePlan {
        let decided = |item| InboxItem { since: String::new(), attempts: 0, ..item };
        self.plan.held = self.inbox.into_iter().map(decided).collect();
        self.plan.drifted = self.drifted;
        self.plan
    }

    /// Tells whether a later step needs the records: references of a circle, or deletions.
    pub fn goes_on(&self, turn: &Pass) -> bool {
        !self.guarded && (turn.deferred.contains(&true) || !self.doomed.is_empty())
    }

    /// Lets the records go, where no later step will ask for them.
    pub fn release(&mut self) {
        self.frames = PerSide::from_fn(|_| Frame::empty(Vec::new()));
        self.pairs = Pairs::default();
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
            links: step.links,
            left_out: &step.left_out,
            crm_tables: &step.context.crm_tables,
            untold: &self.untold,
            names: &self.names,
            times: self.times.as_ref(),
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
