//! Pairs in, decisions out: the actions that would make both sides agree, and what has to wait.
//!
//! Fields are compared column by column and pairs are merged side by side, both in parallel; results are collected in
//! the order of fields and pairs, so one thread and eight give the same decisions (I11). Nothing is written here.

pub mod doubt;
pub mod merge;
pub mod deletion;
pub mod decided;
pub mod guard;
pub mod inserts;
pub mod names;
pub mod newest;
pub mod restore;
pub mod judging;
pub mod pair;

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;
use uuid::Uuid;

use crate::config::{FieldMap, PerSide, Side, TableMap};
use crate::couple::Pairs;
use crate::delta::decided::Rulings;
use crate::delta::judging::{Told, judge, views};
use crate::delta::merge::{Rule, Verdict, merge};
use crate::delta::names::Names;
use crate::delta::newest::Times;
use crate::delta::pair::decide_pair;
use crate::endpoint::TableInfo;
use crate::frame::evaluated::EvaluationError;
use crate::frame::{Frame, Kind, Value};
use crate::plan::{Action, Drifted};
use crate::store::{InboxKind, Terms};
use crate::translate::convert::Problem;
use crate::translate::links::Links;

/// Everything that a decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    pub pipeline: &'a str,
    pub map: &'a TableMap,
    pub infos: &'a PerSide<TableInfo>,
    pub frames: &'a PerSide<Frame>,
    pub pairs: &'a Pairs,
    /// How the values of settled pairs were to each other.
    pub terms: &'a Terms,
    pub links: &'a Links,
    /// Fields that are left out of this step.
    pub left_out: &'a [bool],
    /// CRM table of each table map, for references.
    pub crm_tables: &'a HashMap<String, String>,
    /// In a plan, the fields by ERP id of which the owner's value is not known before the run.
    pub untold: &'a HashMap<Uuid, Vec<usize>>,
    pub names: &'a Names,
    /// When records were edited, where the newer value may win.
    pub times: Option<&'a Times>,
    /// What people decided about what would wait for them.
    pub rulings: &'a Rulings,
    /// Which side a person lets win.
    pub force: Option<&'a Force>,
    /// By ERP id and field, where it has won already: these are decided as if nobody were to win.
    pub won: &'a HashSet<(Uuid, usize)>,
}

impl Work<'_> {
    /// Returns what both sides of a pair hold in a field, as people read it.
    fn texts(&self, field: usize, rows: PerSide<usize>) -> PerSide<String> {
        PerSide::from_fn(|side| match self.map.fields[field].column(side) {
            Some(column) => self.frames.of(side).value(column, *rows.of(side)).to_string(),
            None => String::new(),
        })
    }
}

/// A person lets one side win in two-way fields, whatever was edited.
#[derive(Debug, Clone)]
pub struct Force {
    /// The side that is written.
    pub to: Side,
    /// What the person has seen; another value is not overwritten. `None` where that does not matter.
    pub seen: Option<Seen>,
}

/// Values that a person was shown before they are lost, by the pair.
#[derive(Debug, Clone, Default)]
pub struct Seen(HashMap<PerSide<Uuid>, Vec<Overwritten>>);

impl FromIterator<Overwritten> for Seen {
    fn from_iter<I: IntoIterator<Item = Overwritten>>(all: I) -> Seen {
        let mut seen = Seen::default();
        for lost in all {
            seen.0.entry(lost.ids).or_default().push(lost);
        }
        seen
    }
}

impl Force {
    /// Tells whether a value may be lost on a side, by what the person has seen.
    fn covers(
        &self,
        table: &str,
        ids: PerSide<Uuid>,
        field: &FieldMap,
        to: Side,
        held: impl FnOnce() -> String,
    ) -> bool {
        let Some(seen) = &self.seen else { return true };
        let held = held();
        let same = |lost: &Overwritten| lost.to == to && lost.field == field.name() && lost.old == held;
        seen.0.get(&ids).is_some_and(|all| all.iter().any(|lost| lost.table == table && same(lost)))
    }
}

/// A value of a side that gives way to the other side's where a person lets one of them win: because he wants it so, or
/// although it was edited since the pair was settled; of a newly coupled pair, any that is not blank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overwritten {
    pub table: String,
    /// The record as people name it.
    pub record: String,
    pub ids: PerSide<Uuid>,
    /// The field by its ERP column, else its CRM column.
    pub field: String,
    /// The side that is written.
    pub to: Side,
    /// What it held, as people read it.
    pub old: String,
    /// What it gets.
    pub new: String,
}

/// Something that is not decided, for a person or for another record.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub kind: InboxKind,
    pub record: String,
    pub ids: PerSide<Option<Uuid>>,
    /// Number of the field map.
    pub field: Option<usize>,
    /// What both sides hold in that field, as people read it.
    pub values: PerSide<Option<String>>,
    /// The side that would have been written.
    pub to: Option<Side>,
    pub message: String,
}

/// Something that waits until a record can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Unclear {
    pub held: Held,
    /// That record, as people name it.
    pub behind: String,
}

impl Unclear {
    /// Takes what waits because of a `problem` with a field; what is held has no message yet.
    pub fn new(held: Held, field: &str, problem: Option<&Problem>) -> Unclear {
        let behind = problem.and_then(Problem::behind).unwrap_or_default().to_owned();
        let problem = problem.map_or_else(|| "a record cannot be read".to_owned(), Problem::to_string);
        Unclear { held: Held { message: format!("{field}: {problem}"), ..held }, behind }
    }

    /// Says who waits, with so many others, and what for.
    pub fn told(&self, others: usize) -> Held {
        let Held { record, message, .. } = &self.held;
        let wait = if others == 0 { " waits".to_owned() } else { format!(" and {others} more wait") };
        Held { message: format!("{record}{wait}: {message}"), ..self.held.clone() }
    }
}

/// A number that goes over with fewer digits, because the column there keeps no more.
///
/// Both sides are equal afterwards: decimals are compared by the smaller scale (design §3.4).
#[derive(Debug, Clone, PartialEq)]
pub struct Rounded {
    /// Number of the field map.
    pub field: usize,
    pub to: Side,
    pub record: String,
    pub from: String,
    pub into: String,
}

/// What is to be remembered of a field that needs nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    pub pair: usize,
    pub field: usize,
    pub base: PerSide<u64>,
    /// As in [`Terms`].
    pub terms: u64,
}

/// What was decided about pairs.
#[derive(Debug, Clone, Default)]
pub struct Decisions {
    pub actions: Vec<Action>,
    pub held: Vec<Held>,
    /// In a plan, what can be decided only when the run has made something else.
    pub later: Vec<Held>,
    /// What would lead to a record that cannot be read.
    pub unclear: Vec<Unclear>,
    /// Pairs and fields of which that may be so, and which are left as they are meanwhile without a word.
    pub silent: Vec<(usize, usize)>,
    /// Fields of which something else is to be remembered than before.
    pub settled: Vec<Settled>,
    pub rounded: Vec<Rounded>,
    /// What the file wants told of a side that does not own a field.
    pub drifted: Vec<Drifted>,
    /// Values that give way, on either side, where a person lets one of them win.
    pub overwritten: Vec<Overwritten>,
    /// Pairs and fields that count as equal although a value would not come back as it went: their two expressions are
    /// not each other's inverse there.
    pub lossy: Vec<(usize, usize)>,
    /// Pairs and fields that are still what somebody decided about, whether it is carried out now or was decided for other
    /// values.
    pub standing: Vec<(usize, usize)>,
    /// Pairs of which nothing changes but what a person decided.
    pub decided: Vec<usize>,
}

/// Decides what happens to pairs.
pub fn decide_pairs(work: &Work<'_>) -> Result<Decisions, EvaluationError> {
    let views = views(work)?;
    let rules: Vec<Rule> = work.map.fields.iter().map(|field| Rule::of(work.map, field)).collect();
    // Only what differs from the quiet case comes out, so a night without edits keeps nothing.
    let verdicts: Vec<Vec<Told>> = (0..work.pairs.len())
        .into_par_iter()
        .map(|pair| {
            let mut told = Vec::new();
            let untold = work.untold.get(&work.pairs.ids[pair].erp);
            for (field, view) in views.iter().enumerate() {
                if work.left_out[field] || untold.is_some_and(|untold| untold.contains(&field)) {
                    continue;
                }
                let (facts, verdict, stands) = judge(work, view, &rules[field], field, pair);
                let settles = matches!(verdict, Verdict::Equal | Verdict::Known);
                let is_silent = verdict == Verdict::Wait && facts.is_illegible() && facts.base != Some(facts.own);
                let (settled, terms) = (facts.settled(&rules[field]), facts.terms_now(&rules[field]));
                if !settles || facts.base != Some(settled) || facts.terms != terms {
                    told.push(Told { field, verdict, settled, terms, stands, is_silent });
                }
            }
            told
        })
        .collect();

    let mut decisions = Decisions::default();
    for (number, field) in work.map.fields.iter().enumerate() {
        if field.to_crm.is_none() || field.to_erp.is_none() || work.left_out[number] {
            continue;
        }
        decisions.lossy.extend((0..work.pairs.len()).map(|pair| (pair, number)).filter(|(pair, _)| {
            let facts = views[number].facts(work, number, *pair);
            merge(&facts, &rules[number]) == Verdict::Equal && !facts.comes_back()
        }));
    }
    for (pair, told) in verdicts.into_iter().enumerate() {
        if !told.is_empty() {
            decide_pair(work, &views, pair, &told, &mut decisions);
        }
    }
    Ok(decisions)
}

fn failure(record: &str, to: Side, field: &str, problem: &str) -> String {
    format!("{record} cannot go to the {}: {field}: {problem}", to.name())
}

/// A CRM id that a reference resolved to becomes a link that says to which table it points.
fn link(work: &Work<'_>, field: usize, to: Side, value: Value) -> Value {
    match (value, &work.map.fields[field].reference, to) {
        (Value::Guid(id), Some(reference), Side::Crm) => match work.crm_tables.get(&reference.table) {
            Some(table) => Value::Link { table: table.clone(), id },
            None => Value::Guid(id),
        },
        (value, _, _) => value,
    }
}

/// Returns the fingerprint that both sides of a pair hold in a field, for a base after a write.
pub fn held_now(work: &Work<'_>, field: usize, rows: PerSide<usize>) -> PerSide<u64> {
    PerSide::from_fn(|side| {
        let column = work.map.fields[field].column(side);
        let kind =
            column.and_then(|column| work.frames.of(side).column(column)).map_or(Kind::Text, |column| column.kind);
        let value = column.map_or(Value::Null, |column| work.frames.of(side).value(column, *rows.of(side)));
        crate::translate::canonical::fingerprint(&value, side, kind)
    })
}
