//! A plan of everything in, what is advised for each table map out: before the first load, and for one that is coupled.
//!
//! The built-in synchronization advises either a full synchronization, which doubles what both sides have, or coupling
//! first (sync-semantics.md §17.2). A run of ours couples first whatever is advised; the advice says what it will find. So
//! salespeople, currencies and unit groups need no advice of their own, as they have there.

use std::collections::BTreeMap;

use crate::config::{Direction, PerSide, Pipeline, Side, TableMap};
use crate::order::passes;
use crate::run::account::{Mode, RunReport, TableReport};
use crate::run::chosen::{Chosen, Standing};
use crate::store::InboxKind;

/// What stands before a first load.
#[derive(Debug, Clone, PartialEq)]
pub struct Review {
    pub pipeline: String,
    /// Table maps and records that it is about, as they were named; none means everything.
    pub only: Vec<String>,
    /// In the order of a run.
    pub tables: Vec<TableReview>,
    pub next: Next,
}

/// What one table map holds, and what is advised.
#[derive(Debug, Clone, PartialEq)]
pub struct TableReview {
    pub table: String,
    pub direction: Direction,
    /// Table maps that come before it.
    pub needs: Vec<String>,
    /// Records inside the filters.
    pub rows: PerSide<u64>,
    /// Couplings so far.
    pub coupled: u64,
    /// Pairs that the match rules find.
    pub matchable: u64,
    /// Records that a person has to tell apart.
    pub ambiguous: u64,
    /// Records that a run would make on each side.
    pub new: PerSide<u64>,
    /// Records of each side that a run would change.
    pub changed: PerSide<u64>,
    /// Records of which the run itself decides, when it has made something else.
    pub later: u64,
    /// What else waits for a person.
    pub waits: u64,
    /// Records that people keep apart, on both sides.
    pub apart: u64,
    pub advice: Advice,
}

/// What is advised for a table map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// It could not be looked at.
    Unreadable(String),
    /// Its guard would stop it.
    Guarded(String),
    /// Neither side holds a record.
    NoRecords,
    /// One side is empty: all of the other is made there, and nothing can be doubled.
    Full,
    /// Both sides hold records: what belongs together has to be coupled before anything is made.
    Couple,
    /// Both sides hold records, no rule couples them, and a run would make all of them a second time: it stops before that,
    /// unless the file says how many may be created.
    NoRule { stops: bool },
    /// It is coupled, and a run has something to do.
    Settle,
    /// It is coupled, and there is nothing to do.
    Nothing,
}

impl Advice {
    /// Returns the word of the JSON output.
    pub fn key(&self) -> &'static str {
        match self {
            Advice::Unreadable(_) => "unreadable",
            Advice::Guarded(_) => "guarded",
            Advice::NoRecords => "no_records_found",
            Advice::Full => "full_synchronization",
            Advice::Couple => "couple_first",
            Advice::NoRule { .. } => "add_a_match_rule",
            Advice::Settle => "settle",
            Advice::Nothing => "nothing_to_do",
        }
    }
}

/// What to do after the review.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Mend what keeps a table map from being looked at, or would double it.
    Mend,
    /// Look at the plan first: somebody has to tell records apart, or a guard stops.
    Plan,
    /// Run.
    Run,
    /// Nothing, until somebody edits.
    Nothing,
}

/// Reviews a pipeline; `report` is that of a dry run over everything or a part of it, `coupled` the couplings so far, and
/// `apart` the records kept apart. Where records were named, only they are counted.
pub fn review(
    pipeline: &Pipeline,
    report: &RunReport,
    coupled: &BTreeMap<String, u64>,
    apart: &BTreeMap<String, u64>,
) -> Review {
    let passes = passes(&pipeline.tables);
    let maps = passes.iter().map(|pass| &pipeline.tables[pass.table]);
    let tables: Vec<TableReview> = maps
        .filter_map(|map| {
            let told = report.tables.iter().find(|table| table.table == map.name)?;
            let of_map = |numbers: &BTreeMap<String, u64>| numbers.get(&map.name).copied().unwrap_or(0);
            let named = |is: fn(&Chosen) -> bool| told.selected.iter().filter(|chosen| is(chosen)).count() as u64;
            let (coupled, apart) = match told.mode {
                Mode::Selected => (named(|chosen| chosen.coupled), named(|chosen| chosen.standing == Standing::Apart)),
                Mode::Full | Mode::Changed => (of_map(coupled), of_map(apart)),
            };
            Some(TableReview { apart, ..table(map, told, report, coupled) })
        })
        .collect();
    let any = |is: &dyn Fn(&TableReview) -> bool| tables.iter().any(is);
    let next = if any(&|table| matches!(table.advice, Advice::Unreadable(_) | Advice::NoRule { .. })) {
        Next::Mend
    } else if any(&|table| table.ambiguous + table.waits > 0 || matches!(table.advice, Advice::Guarded(_))) {
        Next::Plan
    } else if any(&|table| matches!(table.advice, Advice::Full | Advice::Couple | Advice::Settle)) {
        Next::Run
    } else {
        Next::Nothing
    };
    Review { pipeline: pipeline.name.clone(), only: Vec::new(), tables, next }
}

fn table(map: &TableMap, told: &TableReport, report: &RunReport, coupled: u64) -> TableReview {
    let mut needs: Vec<String> = map.after.clone();
    for reference in map.fields.iter().filter_map(|field| field.reference.as_ref()) {
        if reference.table != map.name && !needs.contains(&reference.table) {
            needs.push(reference.table.clone());
        }
    }
    let items = || report.inbox.iter().filter(|item| item.table == map.name);
    let ambiguous = items().filter(|item| item.kind == InboxKind::Ambiguous).count() as u64;
    let later = report.plan.later().filter(|(table, _)| *table == map.name).count() as u64;
    let mut review = TableReview {
        table: map.name.clone(),
        direction: map.direction,
        needs,
        rows: PerSide::from_fn(|side| told.rows.of(side).saturating_sub(*told.made.of(side))),
        coupled,
        matchable: told.coupled_anew(),
        ambiguous,
        new: PerSide::from_fn(|side| told.to.of(side).inserted),
        changed: PerSide::from_fn(|side| told.to.of(side).modified + told.to.of(side).deleted),
        later,
        waits: items().count() as u64 - ambiguous,
        apart: 0,
        advice: Advice::Nothing,
    };
    review.advice = advice(map, told, &review);
    review
}

fn advice(map: &TableMap, told: &TableReport, review: &TableReview) -> Advice {
    if let Some(error) = &told.error {
        return Advice::Unreadable(error.clone());
    }
    let creates = Side::BOTH.iter().any(|side| map.create.on(*side));
    let both = review.rows.erp.min(review.rows.crm) > 0;
    if review.coupled == 0 && both && creates && map.match_rules.is_empty() {
        return Advice::NoRule { stops: told.guarded.is_some() };
    }
    if let Some(guarded) = &told.guarded {
        return Advice::Guarded(guarded.clone());
    }
    if review.coupled > 0 {
        let PerSide { erp, crm } = review.changed;
        let work = erp + crm + review.new.erp + review.new.crm + review.matchable + review.later + told.uncoupled;
        return if work > 0 { Advice::Settle } else { Advice::Nothing };
    }
    match (review.rows.erp, review.rows.crm) {
        (0, 0) => Advice::NoRecords,
        (0, _) | (_, 0) => Advice::Full,
        _ => Advice::Couple,
    }
}
