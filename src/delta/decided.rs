//! What people decided about contested fields and deletions, held against what both sides hold now.
//!
//! A decision is one about values: where a side holds another value by now, nothing is decided. A value that a person
//! gave is a text in the ERP's terms; here it becomes what both columns take, or the reason why one does not take it.

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::{DateTime, NaiveDate};
use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::delta::deletion::{DECIDED_ON, Reason};
use crate::delta::merge::{Ruling, Take, Why};
use crate::delta::{Work, held_now, link};
use crate::frame::builder::Builder;
use crate::frame::{Frame, Value};
use crate::plan::FieldChange;
use crate::store::{DECIDED_BY, Decided, Decision, InboxItem, InboxKind, Outstanding};
use crate::translate::Translator;
use crate::translate::canonical::{fingerprint, stored};
use crate::translate::convert::convert;

/// The decisions that stand in a table map.
#[derive(Debug, Clone, Default)]
pub struct Rulings {
    by_pair: HashMap<(Uuid, Uuid), Vec<Ruled>>,
    /// Decisions about fields that the table map does not have any more.
    pub lost: Vec<(PerSide<Uuid>, Option<String>)>,
}

/// A decision about one field, or about a whole pair.
#[derive(Debug, Clone)]
pub struct Ruled {
    /// Number of the field map.
    pub field: Option<usize>,
    pub verdict: Decided,
    /// What it was decided on.
    pub values: PerSide<String>,
    /// A fingerprint of what the survivor of a deletion held.
    pub seen: Option<u64>,
    pub on: NaiveDate,
}

impl Rulings {
    /// Takes the decisions that stand.
    pub fn new(map: &TableMap, decisions: Vec<Decision>) -> Rulings {
        let mut rulings = Rulings::default();
        for decision in decisions.into_iter().filter(|decision| decision.ended.is_none()) {
            let field = match &decision.field {
                None => None,
                Some(key) => match map.fields.iter().position(|field| field.key() == *key) {
                    None => {
                        rulings.lost.push((decision.ids, decision.field));
                        continue;
                    }
                    known => known,
                },
            };
            let on = DateTime::parse_from_rfc3339(&decision.at).map(|at| at.date_naive()).unwrap_or_default();
            let Decision { ids, verdict, values, seen, .. } = decision;
            let ruled = Ruled { field, verdict, values, seen, on };
            rulings.by_pair.entry((ids.erp, ids.crm)).or_default().push(ruled);
        }
        rulings
    }

    /// Tells whether nothing was decided.
    pub fn is_empty(&self) -> bool {
        self.by_pair.is_empty() && self.lost.is_empty()
    }

    /// Returns what was decided about a field of a pair.
    pub fn of_field(&self, ids: PerSide<Uuid>, field: usize) -> Option<&Ruled> {
        self.by_pair.get(&(ids.erp, ids.crm))?.iter().find(|ruled| ruled.field == Some(field))
    }

    /// Forgets what was decided about a field of a pair.
    pub fn end(&mut self, ids: PerSide<Uuid>, field: usize) {
        if let Some(ruled) = self.by_pair.get_mut(&(ids.erp, ids.crm)) {
            ruled.retain(|ruled| ruled.field != Some(field));
        }
    }

    /// Returns what was decided about a pair of which one record is gone.
    pub fn of_pair(&self, ids: PerSide<Uuid>) -> Option<&Ruled> {
        self.by_pair.get(&(ids.erp, ids.crm))?.iter().find(|ruled| ruled.field.is_none())
    }

    /// Tells whether any is about a pair of which one record is gone.
    pub fn of_pairs(&self) -> bool {
        self.all().any(|(_, field)| field.is_none())
    }

    /// Returns all decisions: the pair, and the field that one is about.
    pub fn all(&self) -> impl Iterator<Item = (PerSide<Uuid>, Option<usize>)> {
        let of_pair = |((erp, crm), ruled): (&(Uuid, Uuid), &Vec<Ruled>)| {
            let ids = PerSide { erp: *erp, crm: *crm };
            ruled.iter().map(move |ruled| (ids, ruled.field)).collect::<Vec<_>>()
        };
        self.by_pair.iter().flat_map(of_pair)
    }
}

impl Ruled {
    /// Returns the decision as it counts for these values; nothing where it was made on others.
    fn ruling(&self, values: &PerSide<String>) -> Option<Ruling> {
        let take = match &self.verdict {
            Decided::Take(side) => Take::Side(*side),
            Decided::Value(_) => Take::Value,
            Decided::Restore | Decided::Delete => return None,
        };
        (self.values == *values).then_some(Ruling { take, on: self.on })
    }

    /// Returns it as it is told where it does not help.
    pub fn outstanding(&self) -> Outstanding {
        let Ruled { verdict, values, on, .. } = self;
        Outstanding { verdict: verdict.clone(), values: values.clone(), on: on.to_string() }
    }
}

/// Says why something waits; where a decision about it stands all the same, also why that does not help.
pub fn told(item: &InboxItem) -> Cow<'_, str> {
    let InboxItem { kind, record, message, outstanding, .. } = item;
    match outstanding {
        None => Cow::Borrowed(message),
        Some(outstanding) if *kind == InboxKind::Deleted => Reason::told_decided(record, message, outstanding).into(),
        Some(Outstanding { verdict, values: PerSide { erp, crm }, on })
            if (item.erp.as_ref(), item.crm.as_ref()) == (Some(erp), Some(crm)) =>
        {
            format!("{message}; {DECIDED_BY}{on} ({verdict})").into()
        }
        Some(Outstanding { values: PerSide { erp, crm }, on, .. }) => {
            format!("{message}{DECIDED_ON}{on} for other values (ERP `{erp}`, CRM `{crm}`)").into()
        }
    }
}

/// Returns an item whose message says all of it: what a plan holds is no longer what the state may forget.
pub fn spoken(item: InboxItem) -> InboxItem {
    InboxItem { message: told(&item).into_owned(), outstanding: None, ..item }
}

/// Returns what was decided about a field as it counts for what both sides hold now; nothing where it was made on other
/// values. A value that a person gave may have come to one side, in a run that did not write the other one.
pub fn ruling(work: &Work<'_>, number: usize, pair: usize, ruled: &Ruled) -> Option<Ruling> {
    let (ids, rows) = (work.pairs.ids[pair], work.pairs.rows[pair]);
    let texts = work.texts(number, rows);
    ruled.ruling(&texts).or_else(|| {
        let given = matches!(ruled.verdict, Decided::Value(_)).then(|| put(work, number, ids, rows))?;
        let changes = given.ok()?;
        let as_decided = |side: Side| changes.of(side).is_none() || texts.of(side) == ruled.values.of(side);
        Side::BOTH.into_iter().all(as_decided).then_some(Ruling { take: Take::Value, on: ruled.on })
    })
}

/// Tells whether a value that a person gave is still to come to a side, which holds what it was decided on.
pub fn is_to_come(work: &Work<'_>, number: usize, pair: usize, side: Side) -> bool {
    let (ids, rows) = (work.pairs.ids[pair], work.pairs.rows[pair]);
    let ruled = work.rulings.of_field(ids, number);
    ruled.is_some_and(|ruled| {
        matches!(ruled.verdict, Decided::Value(_))
            && work.texts(number, rows).of(side) == ruled.values.of(side)
            && put(work, number, ids, rows).is_ok_and(|changes| changes.of(side).is_some())
    })
}

/// Returns the changes by which a value that a person gave goes to both sides, none for a side that holds it already; or
/// the side that does not take it, and why.
pub fn put(
    work: &Work<'_>,
    number: usize,
    ids: PerSide<Uuid>,
    rows: PerSide<usize>,
) -> Result<PerSide<Option<FieldChange>>, (Side, String)> {
    let field = &work.map.fields[number];
    let ruled = work.rulings.of_field(ids, number);
    let Some((text, on)) = ruled.and_then(|ruled| match &ruled.verdict {
        Decided::Value(text) => Some((text, ruled.on)),
        _ => None,
    }) else {
        return Ok(PerSide::default());
    };
    let info = |side: Side| {
        let column = field.column(side).unwrap_or_default();
        match work.infos.of(side).column(column) {
            Some(info) if info.updatable => Ok(info),
            _ => Err((side, format!("`{column}` cannot be changed once the record exists"))),
        }
    };
    let (erp, crm) = (info(Side::Erp)?, info(Side::Crm)?);
    let given = if text.is_empty() { Value::Null } else { Value::Text(text.clone()) };
    let own = convert(given, Side::Erp, erp).map_err(|problem| (Side::Erp, problem.to_string()))?;
    let frame = with(work, rows.erp, &erp.column.name, &own);
    let translator = Translator::new(field, Side::Crm, crm, work.links, &frame);
    let there = match translator.map_err(|error| (Side::Crm, error.to_string()))? {
        Some(translator) => translator.value(0).map_err(|problem| (Side::Crm, problem.to_string()))?,
        None => Value::Null,
    };
    let new = PerSide { erp: own, crm: link(work, number, Side::Crm, there) };
    let held = held_now(work, number, rows);
    Ok(PerSide::from_fn(|side| {
        let info = if side == Side::Erp { erp } else { crm };
        let (column, new) = (info.column.name.clone(), new.of(side).clone());
        let differs = fingerprint(&new, side, info.column.kind) != *held.of(side);
        let old = work.frames.of(side).value(&column, *rows.of(side));
        let why = Why::Decided(on).to_string();
        differs.then_some(FieldChange { column, field: Some(number), old, new, why })
    }))
}

/// Returns a row of the ERP with another value in one column: an expression may read more of it than that.
fn with(work: &Work<'_>, row: usize, changed: &str, value: &Value) -> Frame {
    let old = work.frames.erp.take(&[row]);
    let mut new = Builder::new(old.columns().to_vec());
    for (index, column) in old.columns().iter().enumerate() {
        let value = match column.name == changed {
            true => stored(value.clone(), Side::Erp, column.kind),
            false => old.value(&column.name, 0),
        };
        new.push_value(index, &value).expect("a value was converted for its column");
    }
    new.end(old.id(0), "");
    new.finish()
}
