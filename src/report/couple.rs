//! What was coupled by hand: pairs, what is odd about them, and where they differ; or the JSON of it.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::by_hand::Pair;
use crate::config::{Side, TableMap};
use crate::report::inbox::{self, ItemDocument};
use crate::report::layout::{count, cut, named, plural, quoted};
use crate::report::{document, run};
use crate::run::account::RunReport;
use crate::run::chosen::Standing;
use crate::store::{InboxItem, InboxKind, Origin};

/// Pairs that the text shows one by one.
const PAIRS_MAX: usize = 20;

/// What `couple` did.
#[derive(Debug, Clone, PartialEq)]
pub struct Coupled {
    pub table: String,
    pub pairs: Vec<Pair>,
    /// Records that the match rules have doubts about.
    pub ambiguous: Vec<InboxItem>,
    /// Records that were named and that no rule found a partner for.
    pub left: Vec<(String, Standing)>,
    /// Partners were made; the pairs are those whose dead coupling ended before.
    pub created: bool,
    /// What the first run over the pairs would do.
    pub first: Option<RunReport>,
    /// What was done beyond coupling.
    pub run: Option<RunReport>,
}

impl Coupled {
    /// Starts with nothing.
    pub fn new(map: &TableMap) -> Coupled {
        Coupled {
            table: map.name.clone(),
            pairs: Vec::new(),
            ambiguous: Vec::new(),
            left: Vec::new(),
            created: false,
            first: None,
            run: None,
        }
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
        _ => "no rule finds a partner",
    };
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
    let Some(first) = &coupled.first else { return Vec::new() };
    let of_pair = |erp: uuid::Uuid| coupled.pairs.iter().any(|pair| pair.ids.erp == erp);
    let mut all = Vec::new();
    for action in first.plan.actions().filter(|action| action.kind.key() == "update" && of_pair(action.ids.erp)) {
        for change in &action.fields {
            let (old, new) = (named(&first.names, &change.old), named(&first.names, &change.new));
            let (erp, crm) = if action.side == Side::Crm { (new, old) } else { (old, new) };
            let first = format!("{} → {} ({})", action.side.other().name(), action.side.name(), change.why);
            all.push(Difference { record: &action.record, field: &change.column, erp, crm, first });
        }
    }
    for item in first.inbox.iter().filter(|item| item.kind == InboxKind::Contested && item.erp_id.is_some_and(of_pair))
    {
        let value = |value: &Option<String>| quoted(value.as_deref().unwrap_or_default());
        let crm = item.background.crm_record.clone().unwrap_or_else(|| value(&item.crm));
        all.push(Difference {
            record: &item.record,
            field: item.field.as_deref().unwrap_or_default(),
            erp: value(&item.erp),
            crm,
            first: format!("waits: {}", item.message),
        });
    }
    all
}

/// Returns how many of the new pairs the first run does not compare.
fn outside(first: &RunReport) -> u64 {
    first.tables.iter().map(|table| table.outside).sum()
}

/// Returns it for people; it ends with a line end.
pub fn text(coupled: &Coupled) -> String {
    let mut lines = Vec::new();
    match (coupled.created, coupled.pairs.len()) {
        (true, 0) => {}
        (true, _) => {
            lines.push("ended, because the other record is gone:".to_owned());
            lines.extend(pair_lines(&coupled.pairs));
        }
        (false, 0) => lines.push("there was nothing to couple".to_owned()),
        (false, number) => {
            lines.push(format!("coupled {}:", plural(number as u64, "pair", "pairs")));
            lines.extend(pair_lines(&coupled.pairs));
        }
    }
    lines.extend(doubts(coupled));
    let differences = differences(coupled);
    if !differences.is_empty() {
        let number = plural(differences.len() as u64, "field differs", "fields differ");
        lines.push(format!("{number}; the next run decides:"));
        let line = |one: &Difference<'_>| {
            let Difference { record, field, erp, crm, first } = one;
            format!("  {record} {field}: ERP {erp}, CRM {crm}; {first}")
        };
        lines.extend(cut(differences.iter().map(line), PAIRS_MAX));
    } else if let Some(first) = &coupled.first
        && outside(first) < coupled.pairs.len() as u64
    {
        lines.push("no mapped field differs".to_owned());
    }
    if let Some(number) = coupled.first.as_ref().map(outside).filter(|number| *number > 0) {
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
    differs: Vec<DifferenceDocument<'a>>,
    /// What was written besides, as `run` prints it; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct PairDocument<'a> {
    record: &'a str,
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
    let pairs = coupled.pairs.iter().filter(|_| !coupled.created).map(|one| {
        let (erp, crm, origin) = pair(one);
        PairDocument { record: &one.record, erp, crm, origin, notes: &one.notes }
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
        differs: differs.collect(),
        run: run.map(|run| RawValue::from_string(run).expect("a document is JSON")),
    })
}
