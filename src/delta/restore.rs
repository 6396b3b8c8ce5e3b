//! A record made anew gets back what only its side knew: the fields that the lost side owns, and references that the survivor's
//! side has cleared by itself since, as what they led to was deleted there.
//!
//! Nobody sends them there, so an insert leaves them blank. What that side held when both last agreed is remembered by
//! the state, or the survivor still shows it; a value that can be had from neither is named, and the survivor keeps what
//! it has of it ([`merge`](crate::delta::merge): the blank of a record just made clears nothing). Nothing is written here.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::config::{Drift, FieldMap, Fit, PerSide, Side};
use crate::couple::rows_by_id;
use crate::delta::inserts::follow_ups;
use crate::delta::{Work, link};
use crate::endpoint::ColumnInfo;
use crate::frame::Value;
use crate::frame::evaluated::EvaluationError;
use crate::plan::{Action, ActionKind, FieldChange};
use crate::store::Terms;
use crate::translate::Translator;
use crate::translate::convert::convert;

/// What both sides held, as people read it, when a pair was last settled; by field key.
pub type Remembered = BTreeMap<String, PerSide<String>>;

/// A field that only the lost side sends.
struct Owned<'a> {
    number: usize,
    field: &'a FieldMap,
    /// The column of the record made anew.
    info: &'a ColumnInfo,
    /// The survivor's column.
    shown: &'a str,
    /// The way back from what the survivor shows, where it loses nothing.
    back: Option<Translator<'a>>,
}

/// Adds to the records that are made anew on `to` what that side alone sends; returns the fields, each with its record,
/// of which the survivor has a value that does not lead back.
///
/// `remembered` is asked with the ids that a pair had.
pub fn give_back(
    work: &Work<'_>,
    to: Side,
    actions: &mut [Action],
    remembered: &dyn Fn(PerSide<Uuid>) -> Remembered,
) -> Result<Vec<(usize, String)>, EvaluationError> {
    let mut lost = Vec::new();
    let restores = |action: &Action| matches!(action.kind, ActionKind::Restore { .. });
    if !actions.iter().any(restores) {
        return Ok(lost);
    }
    let survivors = work.frames.of(to.other());
    let rows = rows_by_id(survivors);
    let owned = owned(work, to)?;
    for action in actions {
        let ActionKind::Restore { gone } = action.kind else { continue };
        let Some(&row) = rows.get(action.ids.of(to.other())) else { continue };
        let mut pair = action.ids;
        *pair.of_mut(to) = gone;
        let remembered = remembered(pair);
        for owned in &owned {
            let column = &owned.info.column.name;
            // Another field map gave the column a value already; a template's gives way.
            if action.fields.iter().any(|change| change.field.is_some() && change.column == *column) {
                continue;
            }
            let shown = survivors.value(owned.shown, row);
            let kept = remembered.get(&owned.field.key()).filter(|kept| owned.trusts(kept, to.other(), &shown));
            let (value, why) = match kept {
                Some(kept) => {
                    let value = convert(Value::Text(kept.of(to).clone()), to, owned.info).ok();
                    (value, format!("what the {} held when both last agreed", to.name()))
                }
                None => {
                    let value = owned.back.as_ref().and_then(|back| back.value(row).ok());
                    (value, format!("what the {} shows of it", to.other().name()))
                }
            };
            match value {
                Some(value) if value.is_blank() => {}
                Some(value) if owned.info.insertable => give(work, to, action, (owned.number, column, value, why)),
                _ if shown.is_blank() => {}
                _ => lost.push((owned.number, action.record.clone())),
            }
        }
        for (number, field) in work.map.fields.iter().enumerate() {
            let Some((column, value)) = cleared_since(work, (number, field), to, pair, &remembered) else { continue };
            let shows = field.column(to.other()).is_some_and(|shown| !survivors.value(shown, row).is_blank());
            let is_given = action.fields.iter().any(|change| change.column == *column && !change.new.is_blank());
            if !shows && !is_given {
                let why = format!("what the {} held when both last agreed", to.name());
                give(work, to, action, (number, column, value, why));
            }
        }
        action.follow_ups = follow_ups(work.map, to, &action.fields);
    }
    Ok(lost)
}

/// Sets a column of a new record: of a field, to a value, for a reason.
fn give(work: &Work<'_>, to: Side, action: &mut Action, (number, column, value, why): (usize, &str, Value, String)) {
    action.fields.retain(|change| change.column != column);
    action.fields.push(FieldChange {
        column: column.to_owned(),
        field: Some(number),
        old: Value::Null,
        new: link(work, number, to, value),
        why,
    });
}

/// Returns what `to` held in a reference of both sides when the pair was last settled, and its column, where that leads to a
/// record whose partner was deleted since: what the survivor's side has cleared then is nobody's edit.
pub fn cleared_since<'a>(
    work: &Work<'a>,
    (number, field): (usize, &FieldMap),
    to: Side,
    pair: PerSide<Uuid>,
    remembered: &Remembered,
) -> Option<(&'a str, Value)> {
    let reference = field.reference.as_ref().filter(|_| Side::BOTH.into_iter().all(|side| field.writes(side)))?;
    let info = work.infos.of(to).column(field.column(to)?).filter(|info| info.insertable)?;
    let kept = remembered.get(&field.key())?;
    let value = convert(Value::Text(kept.of(to).clone()), to, info).ok().filter(|value| !value.is_blank())?;
    let is_marked = work.terms.of(pair.erp, number) == Terms::ORPHANED;
    let was_left = work.links.left(reference, to, &value).is_some();
    // The mark does not say which side lost its record. Where that was the CRM, the partner has another id by now.
    let has_another = || {
        let before = work.links.refers_to(reference, Side::Crm, &Value::Text(kept.crm.clone()));
        let now = work.links.partner_of(reference, to, &value);
        now.is_some() && (to == Side::Crm || now != before)
    };
    let leads_there = was_left || (is_marked && has_another());
    leads_there.then_some((info.column.name.as_str(), value))
}

/// Returns the fields that only `to` sends and that both sides have a column for.
fn owned<'a>(work: &Work<'a>, to: Side) -> Result<Vec<Owned<'a>>, EvaluationError> {
    let left = to.other();
    let mut all = Vec::new();
    for (number, field) in work.map.fields.iter().enumerate() {
        let (Some(column), Some(shown)) = (field.column(to), field.column(left)) else { continue };
        let Some(info) = work.infos.of(to).column(column) else { continue };
        if field.writes(to) || !field.writes(left) {
            continue;
        }
        // What an expression made of a value, and what was cut, does not lead back.
        let leads_back = field.expression_to(left).is_none() || field.expression_to(to).is_some();
        let back = if leads_back && field.fit == Fit::Reject {
            Translator::new(field, to, info, work.links, work.frames.of(left))?
        } else {
            None
        };
        all.push(Owned { number, field, info, shown, back: back.filter(|_| one_to_one(field, left)) });
    }
    Ok(all)
}

/// Tells whether each value of `shown` stands for one value of the other side.
fn one_to_one(field: &FieldMap, shown: Side) -> bool {
    let mut texts: Vec<&str> =
        field.values.iter().map(|(erp, crm)| if shown == Side::Erp { erp } else { crm }.as_str()).collect();
    texts.sort_unstable();
    texts.windows(2).all(|pair| pair[0] != pair[1])
}

impl Owned<'_> {
    /// Tells whether what is remembered is what counts: not a key, which may lead elsewhere by now, and not where the
    /// survivor was changed since and may keep that.
    fn trusts(&self, kept: &PerSide<String>, left: Side, shown: &Value) -> bool {
        let keeps = self.field.drift != Drift::Restore && *kept.of(left) != shown.to_string();
        self.field.reference.is_none() && !keeps
    }
}
