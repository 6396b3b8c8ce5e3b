//! One field of one pair judged: both columns and what would arrive from the other side, fingerprinted, held against the
//! base, the file's rules and what a person decided.

use rayon::prelude::*;
use uuid::Uuid;

use crate::config::{FieldMap, OnConflict, PerSide, Side};
use crate::delta::merge::{Arriving, Facts, Rule, UNSENT, Verdict, merge, merge_decided, merge_forced, merge_newest};
use crate::delta::{Force, Work, decided};
use crate::frame::evaluated::EvaluationError;
use crate::frame::{Kind, Value};
use crate::store::{Origin, Terms};
use crate::translate::canonical::{BLANK, fingerprint, own};
use crate::translate::convert::Problem;
use crate::translate::{Translated, Translator};

/// What came out for one field of a pair.
pub struct Told {
    pub field: usize,
    pub verdict: Verdict,
    pub settled: PerSide<u64>,
    /// How the two values are to each other, as in [`crate::store::Terms`].
    pub terms: u64,
    /// Somebody decided about the field, and both sides still differ in it.
    pub stands: bool,
    /// It was not settled like this, and waits without a word until a record can be read.
    pub is_silent: bool,
}

/// A field's columns, fingerprinted.
pub struct View<'a> {
    pub own: PerSide<Vec<u64>>,
    pub translators: PerSide<Option<Translator<'a>>>,
    pub arriving: PerSide<Option<Translated>>,
}

impl View<'_> {
    pub fn facts(&self, work: &Work<'_>, field: usize, pair: usize) -> Facts {
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
                Some(Problem::Illegible { .. }) => Arriving::Illegible { there: may_lead_there(work, field, to, rows) },
                // On the same day both agree (design §3.4: by the coarser precision); to another one the moment does not go.
                Some(Problem::Moment { day, .. }) => {
                    let print = fingerprint(&Value::Date(*day), to, Kind::Date);
                    let holds = self.own.of(to)[*rows.of(to)] == print;
                    if holds { Arriving::Value(print) } else { Arriving::Broken }
                }
                Some(_) => Arriving::Broken,
            })
        });
        let own = PerSide { erp: self.own.erp[rows.erp], crm: self.own.crm[rows.crm] };
        let two_way = Side::BOTH.into_iter().all(|side| work.map.fields[field].writes(side));
        // What is remembered of a one-way field tells the rest by itself.
        let terms = work.terms.of(pairs.ids[pair].erp, field);
        let terms = if two_way || terms == Terms::ORPHANED { terms } else { Terms::AGREED };
        let facts = Facts { base: pairs.bases[field][pair], terms, own, arriving, created, cascaded: None };
        Facts { cascaded: cascaded(work, field, rows, &facts), ..facts }
    }
}

/// Tells whether a side may hold already what a record leads to of which the key cannot be read.
fn may_lead_there(work: &Work<'_>, field: usize, side: Side, rows: PerSide<usize>) -> bool {
    let field = &work.map.fields[field];
    let (Some(reference), Some(column)) = (&field.reference, field.column(side)) else { return false };
    work.links.may_lead_there(reference, side, &work.frames.of(side).value(column, *rows.of(side)))
}

/// Tells whether a side holds nothing any more where it held something when the pair was last settled. Of a value that is
/// still to be sent nobody knows what it was before.
pub fn is_cleared(base: u64, own: u64) -> bool {
    !matches!(base, BLANK | UNSENT) && own == BLANK
}

/// Returns the side that cleared a reference by itself: it held one when the pair was last settled, is blank now, and the
/// other side's leads to a record whose partner there was deleted, or has one again that was not there then.
fn cascaded(work: &Work<'_>, field: usize, rows: PerSide<usize>, facts: &Facts) -> Option<Side> {
    let field = &work.map.fields[field];
    let (reference, base) = (field.reference.as_ref()?, facts.base?);
    let side = Side::BOTH.into_iter().find(|side| is_cleared(*base.of(*side), *facts.own.of(*side)))?;
    let other = side.other();
    let value = work.frames.of(other).value(field.column(other)?, *rows.of(other));
    let came_along = match work.links.left(reference, other, &value) {
        // Where nothing travels to that side, nothing can be put back there either: its blank goes over.
        Some(restored) => field.writes(side) || !restored,
        // It was made anew by an earlier run, in which this pair had no turn, or by hand.
        // Who refers to somebody else by now has edited it.
        None if facts.terms == Terms::ORPHANED => {
            let edited = field.writes(other) && base.of(other) != facts.own.of(other);
            field.writes(side) && !edited && work.links.partner_of(reference, other, &value).is_some()
        }
        None => false,
    };
    came_along.then_some(side)
}

/// Fingerprints all fields of both frames.
pub fn views<'a>(work: &Work<'a>) -> Result<Vec<View<'a>>, EvaluationError> {
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

/// Decides one field of one pair; tells also whether a person's decision stands for what would wait.
pub fn judge(work: &Work<'_>, view: &View<'_>, rule: &Rule, field: usize, pair: usize) -> (Facts, Verdict, bool) {
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

/// Returns what a side holds in a field, as people read it.
fn text(work: &Work<'_>, side: Side, field: &FieldMap, row: usize) -> String {
    field.column(side).map_or_else(String::new, |column| work.frames.of(side).value(column, row).to_string())
}
