//! Pairs in, decisions out: the actions that would make both sides agree, and what has to wait.
//!
//! Fields are compared column by column and pairs are merged side by side, both in parallel; results are collected in
//! the order of fields and pairs, so one thread and eight give the same decisions. Nothing is written here.

pub mod doubt;
pub mod merge;
pub mod deletion;
pub mod decided;
pub mod guard;
pub mod inserts;
pub mod names;
pub mod newest;
pub mod restore;

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;
use uuid::Uuid;

use crate::config::{Drift, FieldMap, OnConflict, PerSide, Side, TableMap};
use crate::couple::Pairs;
use crate::delta::decided::Rulings;
use crate::delta::merge::{
    Arriving, Facts, Rule, UNSENT, Verdict, Why, merge, merge_decided, merge_forced, merge_newest,
};
use crate::delta::names::Names;
use crate::delta::newest::Times;
use crate::endpoint::TableInfo;
use crate::frame::evaluated::EvaluationError;
use crate::frame::{Frame, Kind, Value};
use crate::plan::{Action, ActionKind, Drifted, FieldChange};
use crate::store::{InboxKind, Origin};
use crate::translate::canonical::{BLANK, own};
use crate::translate::convert::Problem;
use crate::translate::links::Links;
use crate::translate::{Translated, Translator};

/// Everything that a decision depends on.
#[derive(Debug, Clone, Copy)]
pub struct Work<'a> {
    pub pipeline: &'a str,
    pub map: &'a TableMap,
    pub infos: &'a PerSide<TableInfo>,
    pub frames: &'a PerSide<Frame>,
    pub pairs: &'a Pairs,
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

/// What was decided about pairs.
#[derive(Debug, Clone, Default)]
pub struct Decisions {
    pub actions: Vec<Action>,
    pub held: Vec<Held>,
    /// In a plan, what can be decided only when the run has made something else.
    pub later: Vec<Held>,
    /// Pair, field and its new base, where it is another than before.
    pub settled: Vec<(usize, usize, PerSide<u64>)>,
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

/// What came out for one field of a pair.
struct Told {
    field: usize,
    verdict: Verdict,
    settled: PerSide<u64>,
    /// Somebody decided about the field, and both sides still differ in it.
    stands: bool,
}

/// A field's columns, fingerprinted.
struct View<'a> {
    own: PerSide<Vec<u64>>,
    translators: PerSide<Option<Translator<'a>>>,
    arriving: PerSide<Option<Translated>>,
}

impl View<'_> {
    fn facts(&self, work: &Work<'_>, field: usize, pair: usize) -> Facts {
        let pairs = work.pairs;
        let rows = pairs.rows[pair];
        let created = match pairs.origins[pair] {
            Origin::Created(side) => Some(side),
            Origin::Matched(_) | Origin::Hand => None,
        };
        let arriving = PerSide::from_fn(|to| {
            let translated = self.arriving.of(to).as_ref()?;
            let row = *rows.of(to.other());
            Some(match translated.problems.get(&row) {
                None => Arriving::Value(translated.fingerprints[row]),
                Some(Problem::Unresolved { .. }) => Arriving::Unresolved,
                Some(Problem::Awaited { .. }) => Arriving::Awaited,
                Some(_) => Arriving::Broken,
            })
        });
        let own = PerSide { erp: self.own.erp[rows.erp], crm: self.own.crm[rows.crm] };
        let facts = Facts { base: pairs.bases[field][pair], own, arriving, created, cascaded: None };
        Facts { cascaded: cascaded(work, field, rows, &facts), ..facts }
    }
}

/// Returns the side that cleared a reference by itself: it held one when the pair was last settled, is blank now, and the
/// other side's still leads to a record whose partner there was deleted.
fn cascaded(work: &Work<'_>, field: usize, rows: PerSide<usize>, facts: &Facts) -> Option<Side> {
    let field = &work.map.fields[field];
    let (reference, base) = (field.reference.as_ref()?, facts.base?);
    // Of a value that is still to be sent nobody knows what it was before.
    let cleared = |side: &Side| !matches!(*base.of(*side), BLANK | UNSENT) && *facts.own.of(*side) == BLANK;
    let side = Side::BOTH.into_iter().find(cleared)?;
    let other = side.other();
    let value = work.frames.of(other).value(field.column(other)?, *rows.of(other));
    let came_along = match work.links.left(reference, other, &value) {
        // Where nothing travels to that side, nothing can be put back there either: its blank goes over.
        Some(restored) => field.writes(side) || !restored,
        // It was made anew by a run that was cut off before it came here: what nobody edited leads elsewhere now.
        None => {
            let arrives = matches!(facts.arriving.crm, Some(Arriving::Value(new)) if new != BLANK && new != base.crm);
            side == Side::Crm && field.writes(Side::Erp) && base.erp == facts.own.erp && arrives
        }
    };
    came_along.then_some(side)
}

/// Fingerprints all fields of both frames.
fn views<'a>(work: &Work<'a>) -> Result<Vec<View<'a>>, EvaluationError> {
    work.map
        .fields
        .par_iter()
        .enumerate()
        .map(|(number, field)| {
            let column = |side: Side| match field.column(side) {
                Some(column) => own(work.frames.of(side), side, column),
                None => vec![BLANK; work.frames.of(side).rows()],
            };
            let translator = |to: Side| -> Result<Option<Translator<'a>>, EvaluationError> {
                let info = field.column(to).and_then(|column| work.infos.of(to).column(column));
                match info {
                    Some(info) if field.writes(to) && !work.left_out[number] => {
                        Translator::new(field, to, info, work.links, work.frames.of(to.other()))
                    }
                    _ => Ok(None),
                }
            };
            let translators = PerSide { erp: translator(Side::Erp)?, crm: translator(Side::Crm)? };
            let arriving = PerSide::from_fn(|to| translators.of(to).as_ref().map(Translator::all));
            Ok(View { own: PerSide::from_fn(column), translators, arriving })
        })
        .collect()
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
                let settled = facts.settled(&rules[field]);
                if !settles || facts.base != Some(settled) {
                    told.push(Told { field, verdict, settled, stands });
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

/// Decides one field of one pair; tells also whether a person's decision stands for what would wait.
fn judge(work: &Work<'_>, view: &View<'_>, rule: &Rule, field: usize, pair: usize) -> (Facts, Verdict, bool) {
    let facts = view.facts(work, field, pair);
    let open = |_: &&Force| !work.won.contains(&(work.pairs.ids[pair].erp, field));
    let forced = work.force.filter(open).and_then(|force| {
        let verdict = merge_forced(&facts, rule, force.to)?;
        let (row, field) = (*work.pairs.rows[pair].of(force.to), &work.map.fields[field]);
        let held = || text(work, force.to, field, row);
        force.covers(&work.map.name, work.pairs.ids[pair], field, force.to, held).then_some(verdict)
    });
    let verdict = match (forced.unwrap_or_else(|| merge(&facts, rule)), work.times) {
        (Verdict::Contested(_), Some(times)) if rule.on_conflict == OnConflict::Newest => {
            merge_newest(&facts, rule, times.edits(work.frames, work.pairs, pair))
        }
        (verdict, _) => verdict,
    };
    let waits = matches!(verdict, Verdict::Contested(_) | Verdict::Unfilled);
    // Nothing is left to decide where both agree, where the record that a reference leads to was deleted, and where somebody
    // lets one side win by now.
    let open = forced.is_none() && verdict != Verdict::Equal && facts.cascaded.is_none();
    let ruled = work.rulings.of_field(work.pairs.ids[pair], field).filter(|_| open);
    // What a person decided about these very values counts more than what the file says, which he has seen.
    let ruling = ruled.and_then(|ruled| decided::ruling(work, field, pair, ruled));
    let stands = ruled.is_some() && (waits || ruling.is_some());
    let verdict = ruling.map_or(verdict, |ruling| merge_decided(&facts, rule, ruling));
    (facts, verdict, stands)
}

/// One field of one pair: what was decided, and from what.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    pub ids: PerSide<Uuid>,
    /// Number of the field map.
    pub field: usize,
    pub facts: Facts,
    pub verdict: Verdict,
    /// What each side holds; `None` where the field map has no column there.
    pub own: PerSide<Option<Value>>,
    /// What each side would hold if the other side's value came over; `None` where nothing travels to it.
    pub arriving: PerSide<Option<Result<Value, Problem>>>,
}

/// Decides every field of every pair as [`decide_pairs`] does, and keeps what it was decided from: for a few pairs.
pub fn judge_pairs(work: &Work<'_>) -> Result<Vec<Judged>, EvaluationError> {
    let views = views(work)?;
    let mut judged = Vec::new();
    for pair in 0..work.pairs.len() {
        let rows = work.pairs.rows[pair];
        for (number, field) in work.map.fields.iter().enumerate().filter(|(number, _)| !work.left_out[*number]) {
            let (facts, verdict, _) = judge(work, &views[number], &Rule::of(work.map, field), number, pair);
            let own = |side: Side| field.column(side).map(|column| work.frames.of(side).value(column, *rows.of(side)));
            let arriving = |to: Side| {
                let translator = views[number].translators.of(to).as_ref()?;
                Some(translator.value(*rows.of(to.other())))
            };
            judged.push(Judged {
                ids: work.pairs.ids[pair],
                field: number,
                facts,
                verdict,
                own: PerSide::from_fn(own),
                arriving: PerSide::from_fn(arriving),
            });
        }
    }
    Ok(judged)
}

/// Turns the verdicts on one pair's fields into at most one update a side.
fn decide_pair(work: &Work<'_>, views: &[View<'_>], pair: usize, told: &[Told], decisions: &mut Decisions) {
    let rows = work.pairs.rows[pair];
    let ids = work.pairs.ids[pair];
    let record = work.names.pair(work.frames, rows);
    let mut changes: PerSide<Vec<FieldChange>> = PerSide::default();
    let mut failed: PerSide<bool> = PerSide::default();
    let mut only_decided = true;
    let mut overwritten: Vec<Overwritten> = Vec::new();

    for &Told { field: number, verdict, settled, stands } in told {
        let field = &work.map.fields[number];
        if stands {
            decisions.standing.push((pair, number));
        }
        let values = || {
            PerSide::from_fn(|side| {
                field.column(side).map(|column| work.frames.of(side).value(column, *rows.of(side)).to_string())
            })
        };
        let hold = |list: &mut Vec<Held>, kind: InboxKind, to: Option<Side>, message: String| {
            list.push(Held {
                kind,
                record: record.clone(),
                ids: PerSide { erp: Some(ids.erp), crm: Some(ids.crm) },
                field: Some(number),
                values: values(),
                to,
                message,
            });
        };
        match verdict {
            Verdict::Equal | Verdict::Known => decisions.settled.push((pair, number, settled)),
            // The base stays: what it remembers is what an edit meanwhile is told by.
            Verdict::Wait => {}
            Verdict::Drifted if field.drift == Drift::Report => {
                let side = if field.writes(Side::Crm) { Side::Crm } else { Side::Erp };
                let translator = views[number].translators.of(side).as_ref();
                let owned = translator.and_then(|translator| translator.value(*rows.of(side.other())).ok());
                let held = values().of(side).clone();
                decisions.drifted.push(Drifted {
                    record: record.clone(),
                    ids,
                    field: number,
                    column: field.column(side).unwrap_or_default().to_owned(),
                    side,
                    owned: owned.map_or_else(String::new, |value| value.to_string()),
                    held: held.unwrap_or_default(),
                });
            }
            // As with what waits, the base stays: it remembers what the file may want restored one day.
            Verdict::Drifted => {}
            Verdict::Contested(standoff) => {
                hold(&mut decisions.held, InboxKind::Contested, None, standoff.to_string());
            }
            Verdict::Unfilled => {
                let message = "newly coupled with different values, and `first_sync` does not say who fills it";
                hold(&mut decisions.held, InboxKind::Contested, None, message.into());
            }
            Verdict::Fail(to) => {
                *failed.of_mut(to) = true;
                let problem =
                    views[number].arriving.of(to).as_ref().and_then(|all| all.problems.get(rows.of(to.other())));
                match problem {
                    Some(problem @ Problem::Awaited { .. }) => {
                        let message = format!("{}: {problem}", field.name());
                        hold(&mut decisions.later, InboxKind::Failed, Some(to), message);
                    }
                    problem => {
                        let problem = problem.map_or_else(|| "no value".to_owned(), Problem::to_string);
                        let message = failure(&record, to, field.name(), &problem);
                        hold(&mut decisions.held, InboxKind::Failed, Some(to), message);
                    }
                }
            }
            Verdict::Put(on) => match decided::put(work, number, ids, rows) {
                Ok(put) => {
                    for to in Side::BOTH {
                        changes.of_mut(to).extend(put.of(to).clone());
                    }
                }
                // It goes to both sides or to none.
                Err((to, problem)) => {
                    failed = PerSide { erp: true, crm: true };
                    let message = failure(&record, to, field.name(), &problem);
                    let message = format!("{message} ({})", Why::Decided(on));
                    hold(&mut decisions.held, InboxKind::Failed, Some(to), message);
                }
            },
            Verdict::Write(to, why) => {
                only_decided &= matches!(why, Why::Decided(_));
                let column = field.column(to).expect("a field that writes to a side has a column there");
                let info = work.infos.of(to).column(column);
                if info.is_some_and(|info| !info.updatable) {
                    *failed.of_mut(to) = true;
                    let problem = format!("`{column}` cannot be changed once the record exists");
                    let message = failure(&record, to, field.name(), &problem);
                    hold(&mut decisions.held, InboxKind::Failed, Some(to), message);
                    continue;
                }
                let translator = views[number].translators.of(to).as_ref();
                let new = translator.map_or(Ok(Value::Null), |translator| translator.value(*rows.of(to.other())));
                let source = translator.and_then(|translator| translator.rounded(*rows.of(to.other())));
                if let (Some(from), Ok(into)) = (source, &new) {
                    let (from, into) = (from.to_string(), into.to_string());
                    decisions.rounded.push(Rounded { field: number, to, record: record.clone(), from, into });
                }
                // What is unresolved and may be written at all is to be cleared.
                let new = link(work, number, to, new.unwrap_or(Value::Null));
                let old = work.frames.of(to).value(column, *rows.of(to));
                // In a settled pair somebody has edited what is lost; nobody has agreed to any value of a new one.
                let is_lost = match (why, work.pairs.bases[number][pair]) {
                    (Why::Forced(_), _) => true,
                    // That side cleared it by itself.
                    (Why::Restored(_), _) => false,
                    (_, Some(base)) => base.of(to) != settled.of(to),
                    (_, None) => !old.is_blank(),
                };
                // Whoever is to win: an owner and a policy have their say on either side, and a person who was asked has
                // agreed to no other loss.
                if let Some(force) = work.force.filter(|_| is_lost) {
                    if !force.covers(&work.map.name, ids, field, to, || old.to_string()) {
                        let message = format!(
                            "the {} would lose a value that nobody was shown before this was agreed to; the next run decides",
                            to.name()
                        );
                        hold(&mut decisions.held, InboxKind::Contested, None, message);
                        continue;
                    }
                    overwritten.push(Overwritten {
                        table: work.map.name.clone(),
                        record: record.clone(),
                        ids,
                        field: field.name().to_owned(),
                        to,
                        old: old.to_string(),
                        new: new.to_string(),
                    });
                }
                // A constant has nobody who could have edited it.
                let why = if field.column(to.other()).is_none() { Why::Owner(to.other()) } else { why };
                let change =
                    FieldChange { column: column.to_owned(), field: Some(number), old, new, why: why.to_string() };
                changes.of_mut(to).push(change);
            }
        }
    }
    if only_decided && !(changes.erp.is_empty() && changes.crm.is_empty()) {
        decisions.decided.push(pair);
    }
    decisions.overwritten.extend(overwritten.into_iter().filter(|lost| !failed.of(lost.to)));
    for to in Side::BOTH {
        let fields = std::mem::take(changes.of_mut(to));
        if fields.is_empty() || *failed.of(to) {
            continue;
        }
        decisions.actions.push(Action {
            table: work.map.name.clone(),
            record: record.clone(),
            side: to,
            kind: ActionKind::Update,
            why: summary(&fields),
            ids,
            etag: work.frames.of(to).etag(*rows.of(to)),
            fields,
            follow_ups: Vec::new(),
        });
    }
}

/// Returns what a side holds in a field, as people read it.
fn text(work: &Work<'_>, side: Side, field: &FieldMap, row: usize) -> String {
    field.column(side).map_or_else(String::new, |column| work.frames.of(side).value(column, row).to_string())
}

fn failure(record: &str, to: Side, field: &str, problem: &str) -> String {
    format!("{record} cannot go to the {}: {field}: {problem}", to.name())
}

/// Joins the reasons of the fields, each once.
fn summary(fields: &[FieldChange]) -> String {
    let mut reasons: Vec<&str> = Vec::new();
    for field in fields {
        if !reasons.contains(&field.why.as_str()) {
            reasons.push(&field.why);
        }
    }
    reasons.join("; ")
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
