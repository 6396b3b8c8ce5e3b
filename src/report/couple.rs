//! What was coupled by hand: pairs, what is odd about them, and where they differ; or the JSON of it.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::by_hand::Pair;
use crate::config::{PerSide, Side, TableMap};
use crate::delta::decided;
use crate::frame::Value;
use crate::plan::placeholder;
use crate::report::inbox::{self, ItemDocument};
use crate::report::layout::{count, cut, named, plural, quoted};
use crate::report::{document, run};
use crate::run::account::RunReport;
use crate::run::chosen::Standing;
use crate::store::{InboxItem, InboxKind, Origin};

/// Pairs that the text shows one by one.
const PAIRS_MAX: usize = 20;

/// What `couple` did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Coupled {
    pub table: String,
    pub pairs: Vec<Pair>,
    /// Records that the match rules have doubts about.
    pub ambiguous: Vec<InboxItem>,
    /// Records that were named and that no rule found a partner for.
    pub left: Vec<(String, Standing)>,
    /// Why records may not find their partners: what they refer to is not coupled.
    pub notes: Vec<String>,
    /// Pairs whose coupling has ended for a new one, because the other record is gone.
    pub ended: Vec<Pair>,
    /// Pairs that were asked for and coupled with each other already.
    pub already: Vec<PerSide<Uuid>>,
    /// Records of the ERP that are kept apart, where a whole table map was looked at: no rule finds a partner for these.
    pub apart: u64,
    /// Records of the table map that would fail in a run, whatever the rules could find for them.
    pub failing: u64,
    /// What the next run would do with the pairs.
    pub first: Option<First>,
    /// What was done beyond coupling.
    pub run: Option<RunReport>,
}

/// What the next run would do with pairs that were coupled a moment ago.
#[derive(Debug, Clone, PartialEq)]
pub struct First {
    /// It tells of whom they refer to as well.
    pub report: RunReport,
    /// Pairs that it would not compare, because a record of them is outside its filter.
    pub outside: u64,
}

impl Coupled {
    /// Starts with nothing.
    pub fn new(map: &TableMap) -> Coupled {
        Coupled { table: map.name.clone(), ..Coupled::default() }
    }
}

/// Says how a coupling came about.
pub fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Matched(rule) => format!("match rule {rule}"),
        Origin::Created(side) => format!("created in the {}", side.name()),
        Origin::Hand => "by hand".to_owned(),
    }
}

/// Returns the pairs that would be coupled, and what is in doubt, before somebody is asked.
pub fn preview(coupled: &Coupled) -> Vec<String> {
    let mut lines = vec![format!("{} to couple:", plural(coupled.pairs.len() as u64, "pair", "pairs"))];
    lines.extend(pair_lines(&coupled.pairs));
    lines.extend(doubts(coupled));
    lines
}

fn pair_lines(pairs: &[Pair]) -> Vec<String> {
    let line = |pair: &Pair| {
        let notes = if pair.notes.is_empty() { String::new() } else { format!(" ({})", pair.notes.join("; ")) };
        format!("  {} with {}{notes}", pair.record, pair.partner)
    };
    cut(pairs.iter().map(line), PAIRS_MAX)
}

fn doubts(coupled: &Coupled) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    if !coupled.ambiguous.is_empty() {
        lines.push(format!("in doubt, and left alone: {}", count(coupled.ambiguous.len() as u64)));
        lines.extend(cut(coupled.ambiguous.iter().map(|item| format!("  {}", item.message)), PAIRS_MAX));
    }
    let reason = |standing: &Standing| match standing {
        Standing::Outside => "outside the filter",
        Standing::Apart => "kept apart; couple it by name",
        Standing::Waits(InboxKind::Deleted) => {
            "its partner was deleted; `--create` makes a new one, `uncouple` parts the two"
        }
        Standing::Waits(_) => "fails in a run: `pipeline why` says what hinders it",
        _ => "no rule finds a partner",
    };
    if coupled.apart > 0 {
        let records = plural(coupled.apart, "record of the ERP is kept apart", "records of the ERP are kept apart");
        lines.push(format!("{records}, which no rule finds a partner for; `pipeline inbox FILE apart` lists them"));
    }
    lines.extend(coupled.left.iter().map(|(record, standing)| format!("  {record}: {}", reason(standing))));
    lines
}

/// One field in which a new pair differs.
struct Difference<'a> {
    record: &'a str,
    field: &'a str,
    erp: String,
    crm: String,
    /// What the first run does about it.
    first: String,
}

/// Returns where the new pairs differ, and what becomes of it.
fn differences(coupled: &Coupled) -> Vec<Difference<'_>> {
    let Some(First { report: first, .. }) = &coupled.first else { return Vec::new() };
    let of_pair = of_pair(coupled);
    let made = first.plan.actions().filter(|action| action.kind.makes_record());
    let made: HashMap<String, &str> =
        made.map(|action| (placeholder(*action.ids.of(action.side)), action.record.as_str())).collect();
    // What the run makes has no key yet; people know it by the record that it is made from.
    let legible = |value: &Value| match value {
        Value::Text(text) if made.contains_key(text) => made[text].to_owned(),
        value => named(&first.names, value),
    };
    let mut all = Vec::new();
    let own = first.plan.actions().filter(|action| action.table == coupled.table);
    for action in own.filter(|action| action.kind.key() == "update" && of_pair(Some(action.ids.erp))) {
        for change in &action.fields {
            let (old, new) = (legible(&change.old), legible(&change.new));
            let (erp, crm) = if action.side == Side::Crm { (new, old) } else { (old, new) };
            let first = format!("{} → {} ({})", action.side.other().name(), action.side.name(), change.why);
            all.push(Difference { record: &action.record, field: &change.column, erp, crm, first });
        }
    }
    let own = first.inbox.iter().filter(|item| item.table == coupled.table && of_pair(item.erp_id));
    for item in own.filter(|item| item.kind == InboxKind::Contested) {
        let value = |value: &Option<String>| quoted(value.as_deref().unwrap_or_default());
        let crm = item.background.crm_record.clone().unwrap_or_else(|| value(&item.crm));
        all.push(Difference {
            record: &item.record,
            field: item.field.as_deref().unwrap_or_default(),
            erp: value(&item.erp),
            crm,
            first: format!("waits: {}", decided::told(item)),
        });
    }
    all
}

/// Tells by its id in the ERP whether a record is of one of the new pairs.
fn of_pair(coupled: &Coupled) -> impl Fn(Option<Uuid>) -> bool + use<> {
    let pairs: HashSet<Uuid> = coupled.pairs.iter().map(|pair| pair.ids.erp).collect();
    move |erp| erp.is_some_and(|erp| pairs.contains(&erp))
}

/// Returns of which new pairs the next run writes nothing to a side, or decides only when it has made something else:
/// record and reason.
fn undecided(coupled: &Coupled) -> Vec<(&str, &str)> {
    let Some(First { report: first, .. }) = &coupled.first else { return Vec::new() };
    let of_pair = of_pair(coupled);
    let own = first.inbox.iter().filter(|item| item.table == coupled.table && of_pair(item.erp_id));
    let held = own.filter(|item| item.kind != InboxKind::Contested);
    let later = first.plan.later().filter(|(table, later)| *table == coupled.table && of_pair(later.ids.erp));
    let held = held.map(|item| (item.record.as_str(), item.message.as_str()));
    held.chain(later.map(|(_, later)| (later.record.as_str(), later.message.as_str()))).collect()
}

/// Returns it for people; it ends with a line end.
pub fn text(coupled: &Coupled) -> String {
    let mut lines = Vec::new();
    if !coupled.ended.is_empty() {
        lines.push("ended, because the other record is gone:".to_owned());
        lines.extend(pair_lines(&coupled.ended));
    }
    match coupled.pairs.len() {
        // The run tells which partners it made.
        0 if coupled.run.is_some() => {}
        0 => lines.push("there was nothing to couple".to_owned()),
        number => {
            lines.push(format!("coupled {}:", plural(number as u64, "pair", "pairs")));
            lines.extend(pair_lines(&coupled.pairs));
        }
    }
    lines.extend(doubts(coupled));
    if !coupled.already.is_empty() {
        lines.push(format!("{} coupled already", plural(coupled.already.len() as u64, "pair was", "pairs were")));
    }
    let (differences, undecided) = (differences(coupled), undecided(coupled));
    if !differences.is_empty() {
        let number = plural(differences.len() as u64, "field differs", "fields differ");
        lines.push(format!("{number}; the next run decides:"));
        let line = |one: &Difference<'_>| {
            let Difference { record, field, erp, crm, first } = one;
            format!("  {record} {field}: ERP {erp}, CRM {crm}; {first}")
        };
        lines.extend(cut(differences.iter().map(line), PAIRS_MAX));
    } else if let Some(First { outside, .. }) = &coupled.first
        && undecided.is_empty()
        && *outside < coupled.pairs.len() as u64
    {
        lines.push("no mapped field differs".to_owned());
    }
    if !undecided.is_empty() {
        lines.push(format!("not compared to the end: {}", count(undecided.len() as u64)));
        let line = |(record, message): &(&str, &str)| match message.starts_with(record) {
            true => format!("  {message}"),
            false => format!("  {record}: {message}"),
        };
        lines.extend(cut(undecided.iter().map(line), PAIRS_MAX));
    }
    if let Some(number) = coupled.first.as_ref().map(|first| first.outside).filter(|number| *number > 0) {
        let pairs = plural(number, "pair was", "pairs were");
        lines.push(format!("{pairs} not compared, because a record of it is outside its filter"));
    }
    if let Some(report) = &coupled.run {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(run::text(report).trim_end().to_owned());
    }
    lines.join("\n") + "\n"
}

#[derive(Serialize)]
struct CoupleDocument<'a> {
    table: &'a str,
    coupled: Vec<PairDocument<'a>>,
    ambiguous: Vec<ItemDocument<'a>>,
    left: Vec<LeftDocument<'a>>,
    notes: &'a [String],
    differs: Vec<DifferenceDocument<'a>>,
    undecided: Vec<UndecidedDocument<'a>>,
    already: u64,
    apart: u64,
    failing: u64,
    /// What was written besides, as `run` prints it; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct PairDocument<'a> {
    record: &'a str,
    partner: &'a str,
    erp: String,
    crm: String,
    origin: String,
    notes: &'a [String],
}

#[derive(Serialize)]
struct LeftDocument<'a> {
    record: &'a str,
    standing: &'static str,
}

#[derive(Serialize)]
struct UndecidedDocument<'a> {
    record: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct DifferenceDocument<'a> {
    record: &'a str,
    field: &'a str,
    erp: String,
    crm: String,
    first_run: String,
}

/// Returns it for programs.
pub fn json(coupled: &Coupled) -> String {
    let pair = |pair: &'_ Pair| (pair.ids.erp.to_string(), pair.ids.crm.to_string(), origin(&pair.origin));
    let pairs = coupled.pairs.iter().map(|one| {
        let (erp, crm, origin) = pair(one);
        PairDocument { record: &one.record, partner: &one.partner, erp, crm, origin, notes: &one.notes }
    });
    let left = coupled.left.iter().map(|(record, standing)| LeftDocument { record, standing: standing.key() });
    let differs = differences(coupled).into_iter().map(|one| DifferenceDocument {
        record: one.record,
        field: one.field,
        erp: one.erp,
        crm: one.crm,
        first_run: one.first,
    });
    let run = coupled.run.as_ref().map(run::json);
    document(&CoupleDocument {
        table: &coupled.table,
        coupled: pairs.collect(),
        ambiguous: coupled.ambiguous.iter().map(inbox::item_document).collect(),
        left: left.collect(),
        notes: &coupled.notes,
        differs: differs.collect(),
        undecided: undecided(coupled)
            .into_iter()
            .map(|(record, message)| UndecidedDocument { record, message })
            .collect(),
        already: coupled.already.len() as u64,
        apart: coupled.apart,
        failing: coupled.failing,
        run: run.map(|run| RawValue::from_string(run).expect("a document is JSON")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, ActionKind, FieldChange, Plan, TablePlan};
    use crate::report::samples;

    #[test]
    fn a_value_that_waits_for_a_new_record_is_told_by_the_record_that_it_is_made_from() {
        let ids = |number: u128| PerSide { erp: Uuid::from_u128(number << 88), crm: Uuid::from_u128(100 + number) };
        let action =
            |table: &str, record: &str, kind: ActionKind, ids: PerSide<Uuid>, fields: Vec<FieldChange>| Action {
                table: table.into(),
                record: record.into(),
                side: Side::Erp,
                kind,
                why: String::new(),
                ids,
                etag: None,
                fields,
                follow_ups: Vec::new(),
            };
        let key = FieldChange {
            column: "customerNumber".into(),
            field: None,
            old: Value::Null,
            new: Value::Text(placeholder(ids(2).erp)),
            why: "only the CRM has a value".into(),
        };
        let actions = vec![
            action("customers", "customers:crm:A-1", ActionKind::Insert, ids(2), Vec::new()),
            action("contacts", "contacts:C1", ActionKind::Update, ids(1), vec![key]),
        ];
        let table = TablePlan { table: "contacts".into(), actions, ..TablePlan::default() };
        let report = RunReport { plan: Plan { tables: vec![table], ..Plan::default() }, ..samples::quiet_run() };
        let pair = Pair {
            ids: ids(1),
            record: "contacts:C1".into(),
            partner: "contacts:crm:Ida".into(),
            origin: Origin::Hand,
            dead: Vec::new(),
            notes: Vec::new(),
        };
        let first = Some(First { report, outside: 0 });
        let coupled = Coupled { table: "contacts".into(), pairs: vec![pair], first, ..Coupled::default() };
        let told = text(&coupled);
        let line = "  contacts:C1 customerNumber: ERP blank, CRM customers:crm:A-1; CRM → ERP (only the CRM";
        assert!(told.contains(line), "{told}");
    }
}
