//! What a person has to agree to, one by one: pairs, values that give way, and what is written besides; for programs it is
//! the list `asks` of the refusal, where nobody agreed.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use uuid::Uuid;

use crate::by_hand::Pair;
use crate::by_hand::parting::Parting;
use crate::config::{PerSide, Pipeline, Side};
use crate::delta::Overwritten;
use crate::delta::merge::Why;
use crate::plan::{Action, ActionKind, FieldChange, Plan};
use crate::report::layout::{called, count, list, plural};
use crate::store::Decision;

/// Lines that the text shows one by one.
const LINES_MAX: usize = 20;

/// One thing that would be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ask {
    /// A word of the plan (`couple`, `insert`, `update`, `delete`, `uncouple`), `overwrite` for a value that gives way, or
    /// `withdraw` for a decision that does.
    pub action: &'static str,
    pub table: String,
    /// The record as people name it.
    pub record: String,
    /// Whom it is coupled with, as people name him.
    pub partner: Option<String>,
    /// As far as the records are there.
    pub ids: PerSide<Option<Uuid>>,
    /// The side that is written.
    pub side: Option<Side>,
    /// What changes, where it is one value.
    pub value: Option<Change>,
    /// The field that it is about, where no value goes over.
    pub field: Option<String>,
    /// Why it is done; blank where that goes without saying.
    pub why: String,
}

/// A value that would go over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The field by its ERP column, else its CRM column.
    pub field: String,
    /// What its side holds, as people read it.
    pub old: String,
    /// What it gets.
    pub new: String,
}

impl Ask {
    /// Two records become a pair.
    pub fn couple(table: &str, pair: &Pair) -> Ask {
        Ask {
            action: "couple",
            table: table.to_owned(),
            record: pair.record.clone(),
            partner: Some(pair.partner.clone()),
            ids: both(pair.ids),
            why: pair.notes.join("; "),
            ..Ask::default()
        }
    }

    /// A pair ends.
    pub fn uncouple(parting: &Parting) -> Ask {
        Ask {
            action: "uncouple",
            table: parting.table.clone(),
            record: parting.record.clone(),
            ids: both(parting.ids),
            ..Ask::default()
        }
    }

    /// A value is lost.
    pub fn overwrite(lost: &Overwritten) -> Ask {
        let Overwritten { table, record, ids, field, to, old, new } = lost;
        Ask {
            action: "overwrite",
            table: table.clone(),
            record: record.clone(),
            ids: both(*ids),
            side: Some(*to),
            value: Some(Change { field: field.clone(), old: old.clone(), new: new.clone() }),
            ..Ask::default()
        }
    }

    /// A record gets a partner although `why` says that there is one.
    pub fn make_again(table: &str, record: &str, to: Side, why: &str) -> Ask {
        let (table, record, why) = (table.to_owned(), record.to_owned(), why.to_owned());
        Ask { action: "insert", table, record, side: Some(to), why, ..Ask::default() }
    }

    /// The survivor of a pair is given up.
    pub fn delete(decision: &Decision) -> Ask {
        let Decision { table, record, ids, .. } = decision;
        Ask { action: "delete", table: table.clone(), record: record.clone(), ids: both(*ids), ..Ask::default() }
    }
}

/// Returns the decisions about fields in which a plan lets one side win instead.
pub fn given_up(pipeline: &Pipeline, plan: &Plan, decisions: &[Decision]) -> Vec<Ask> {
    let mut forced: HashSet<(&str, PerSide<Uuid>, String)> = HashSet::new();
    for action in plan.actions().filter(|action| action.kind == ActionKind::Update) {
        let Some(map) = pipeline.tables.iter().find(|map| map.name == action.table) else { continue };
        let why = Why::Forced(action.side.other()).to_string();
        let fields = action.fields.iter().filter(|change| change.why == why).filter_map(|change| change.field);
        forced.extend(fields.map(|field| (action.table.as_str(), action.ids, map.fields[field].key())));
    }
    let is_one = |decision: &&Decision| {
        let subject = decision.field.clone().map(|field| (decision.table.as_str(), decision.ids, field));
        decision.ended.is_none() && subject.is_some_and(|subject| forced.contains(&subject))
    };
    let ask = |decision: &Decision| Ask {
        action: "withdraw",
        table: decision.table.clone(),
        record: decision.record.clone(),
        ids: both(decision.ids),
        field: decision.field_name().map(str::to_owned),
        why: format!("{} since {}", decision.verdict, decision.at),
        ..Ask::default()
    };
    decisions.iter().filter(is_one).map(ask).collect()
}

/// Returns these decisions for people, under a heading.
pub fn given_up_lines(asks: &[Ask]) -> Vec<String> {
    if asks.is_empty() {
        return Vec::new();
    }
    let heading = plural(asks.len() as u64, "decision of a person is", "decisions of people are");
    let mut lines = vec![format!("{heading} given up for it:")];
    lines.extend(asks.iter().take(LINES_MAX).map(|ask| {
        let field = ask.field.as_deref().unwrap_or_default();
        format!("  {} {field}: {}", ask.record, ask.why)
    }));
    if asks.len() > LINES_MAX {
        lines.push(format!("  and {} more; `--format json` lists all", count((asks.len() - LINES_MAX) as u64)));
    }
    lines
}

fn both(ids: PerSide<Uuid>) -> PerSide<Option<Uuid>> {
    PerSide::from_fn(|side| Some(*ids.of(side)))
}

/// Returns what a plan writes besides what is lost: each value, and each record that is made or deleted.
pub fn besides(pipeline: &Pipeline, plan: &Plan, lost: &[Overwritten]) -> Vec<Ask> {
    let lost: HashSet<(&str, PerSide<Uuid>, Side, &str)> =
        lost.iter().map(|lost| (lost.table.as_str(), lost.ids, lost.to, lost.field.as_str())).collect();
    let of_action = |action: &Action| {
        let ask = |value: Option<Change>, why: &str| Ask {
            action: action.kind.key(),
            table: action.table.clone(),
            record: action.record.clone(),
            partner: None,
            ids: PerSide::from_fn(|side| {
                // The record that is made has nothing but an id that was chosen for it.
                (!action.kind.makes_record() || side != action.side).then(|| *action.ids.of(side))
            }),
            side: Some(action.side),
            value,
            field: None,
            why: why.to_owned(),
        };
        if action.kind != ActionKind::Update {
            return vec![ask(None, &action.why)];
        }
        let map = pipeline.tables.iter().find(|map| map.name == action.table);
        let name = |change: &FieldChange| match (map, change.field) {
            (Some(map), Some(field)) => map.fields[field].name().to_owned(),
            _ => change.column.clone(),
        };
        let fields = action.fields.iter().map(|change| (name(change), change));
        let fields =
            fields.filter(|(field, _)| !lost.contains(&(action.table.as_str(), action.ids, action.side, field)));
        let value = |(field, change): (String, &FieldChange)| {
            ask(Some(Change { field, old: change.old.to_string(), new: change.new.to_string() }), &change.why)
        };
        fields.map(value).collect()
    };
    plan.actions().filter(|action| action.kind.writes()).flat_map(of_action).collect()
}

/// Returns what is written besides for people, under a heading; nothing where nothing is.
pub fn besides_lines(asks: &[Ask], names: &BTreeMap<Uuid, String>) -> Vec<String> {
    if asks.is_empty() {
        return Vec::new();
    }
    let number = |action: &str| asks.iter().filter(|ask| ask.action == action).count() as u64;
    let mut sums = Vec::new();
    for (action, one, many) in [
        ("update", "value", "values"),
        ("insert", "new record", "new records"),
        ("delete", "deleted record", "deleted records"),
    ] {
        if number(action) > 0 {
            sums.push(plural(number(action), one, many));
        }
    }
    let mut lines = vec![format!("would be written besides: {}", list(&sums))];
    lines.extend(asks.iter().take(LINES_MAX).map(|ask| format!("  {}", besides_line(ask, names))));
    if asks.len() > LINES_MAX {
        lines.push(format!("  and {} more; `--format json` lists all", count((asks.len() - LINES_MAX) as u64)));
    }
    lines
}

fn besides_line(ask: &Ask, names: &BTreeMap<Uuid, String>) -> String {
    let (record, side) = (&ask.record, ask.side.map_or("", Side::name));
    let done = match &ask.value {
        Some(Change { field, old, new }) => {
            let [old, new] = [old, new].map(|text| called(names, text));
            format!("{record} {field}: the {side} gets {new} for {old}")
        }
        None if ask.action == "insert" => format!("{record} is made in the {side}"),
        None => format!("{record} is deleted in the {side}"),
    };
    if ask.why.is_empty() { done } else { format!("{done} ({})", ask.why) }
}

/// One thing that a person has to agree to, as a document; what makes no sense for its action is absent.
#[derive(Serialize)]
pub(super) struct AskDocument<'a> {
    action: &'static str,
    table: &'a str,
    record: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    partner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    erp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    crm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    side: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    why: &'a str,
}

/// Returns it for programs.
pub(super) fn ask_document(ask: &Ask) -> AskDocument<'_> {
    let id = |side: Side| ask.ids.of(side).map(|id| id.to_string());
    let value = ask.value.as_ref();
    AskDocument {
        action: ask.action,
        table: &ask.table,
        record: &ask.record,
        partner: ask.partner.as_deref(),
        erp: id(Side::Erp),
        crm: id(Side::Crm),
        side: ask.side.map(Side::key),
        field: value.map(|value| &value.field).or(ask.field.as_ref()).map(String::as_str),
        old: value.map(|value| value.old.as_str()),
        new: value.map(|value| value.new.as_str()),
        why: &ask.why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_besides_is_counted_and_told_line_by_line() {
        let id = Uuid::from_u128(7);
        let names = BTreeMap::from([(id, "salespeople:JR".to_owned())]);
        let of = |action: &'static str, value: Option<Change>, why: &str| Ask {
            action,
            record: "customers:1".into(),
            side: Some(Side::Crm),
            value,
            why: why.into(),
            ..Ask::default()
        };
        let value = Change { field: "salespersonCode".into(), old: String::new(), new: id.to_string() };
        let mut all = vec![
            of("update", Some(value), "edited in the ERP"),
            of("insert", None, "only the ERP has it"),
            of("delete", None, ""),
        ];
        let expected = [
            "would be written besides: 1 value, 1 new record and 1 deleted record",
            "  customers:1 salespersonCode: the CRM gets salespeople:JR for blank (edited in the ERP)",
            "  customers:1 is made in the CRM (only the ERP has it)",
            "  customers:1 is deleted in the CRM",
        ];
        assert_eq!(besides_lines(&all, &names), expected);
        all.extend(vec![of("insert", None, ""); 18]);
        assert_eq!(besides_lines(&all, &names).last().unwrap(), "  and 1 more; `--format json` lists all");
        assert!(besides_lines(&[], &names).is_empty());
    }
}
