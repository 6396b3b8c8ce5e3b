//! What a run would do: per record and field the old and the new value and why, then sums and the plan's hash; or the
//! JSON of design §5.
//!
//! The text ends with the same sentence whatever the plan holds, so that two plans are compared by their last line.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::config::Side;
use crate::frame::Value;
use crate::plan::{Action, ActionKind, FieldChange, FollowUp, Plan, TablePlan, placeholder};
use crate::report::drift::{self, DriftDocument};
use crate::report::inbox::{self, ItemDocument};
use crate::report::layout::{list, named, plural, quoted};
use crate::report::notes::{NoteDocument, Notes};
use crate::report::selected::{self, ChosenDocument, OverwrittenDocument};
use crate::report::{document, json_value};
use crate::run::account::{RunOutcome, RunReport, TableReport};
use crate::store::InboxItem;

/// What is shown of a plan, whether it was made just now or saved before.
pub struct Shown<'a> {
    pub plan: &'a Plan,
    /// Of the whole plan, also where only a part of it is shown.
    pub hash: String,
    pub inbox: &'a [InboxItem],
    pub names: &'a BTreeMap<Uuid, String>,
    /// Table maps that could not be decided, and why.
    pub unfinished: Vec<(&'a str, &'a str)>,
    /// What became of single records, and what a forced side overwrites; nothing of a saved plan.
    pub tables: &'a [TableReport],
    pub notes: Notes,
    /// It was interrupted, so that it is not whole.
    pub interrupted: bool,
}

impl<'a> Shown<'a> {
    /// Takes what a dry run decided.
    pub fn of(report: &'a RunReport) -> Shown<'a> {
        let unfinished = report.tables.iter().filter_map(|table| Some((table.table.as_str(), table.error.as_deref()?)));
        Shown {
            plan: &report.plan,
            hash: report.plan.hash(),
            inbox: &report.inbox,
            names: &report.names,
            unfinished: unfinished.collect(),
            tables: &report.tables,
            notes: Notes::of(report),
            interrupted: report.outcome == RunOutcome::Interrupted,
        }
    }
}

/// Returns the plan for people; it ends with a line end.
pub fn text(report: &RunReport) -> String {
    text_of(&Shown::of(report))
}

/// Returns what is shown of a plan for people; it ends with a line end.
pub fn text_of(report: &Shown<'_>) -> String {
    let plan = report.plan;
    let mut lines = Vec::new();
    let used = placeholders(plan);
    let says = |table: &&TablePlan| !table.actions.is_empty() || table.guarded.is_some();
    for table in plan.tables.iter().filter(says) {
        lines.push(table.table.clone());
        lines.extend(table.guarded.iter().map(|why| format!("  stopped by its guard: {why}")));
        for action in &table.actions {
            let stands = stands_for(&used, action).map(|own| format!("; here it is {}", quoted(&own)));
            let mut told = action_lines(report.names, action);
            told[0] += stands.as_deref().unwrap_or_default();
            lines.extend(told.into_iter().map(|line| format!("  {line}")));
        }
        lines.push(String::new());
    }
    let drifted = drift::lines(plan, usize::MAX);
    for section in [selected::overwritten(report.tables, report.names, true), drifted, selected::left(report.tables)] {
        if !section.is_empty() {
            lines.extend(section);
            lines.push(String::new());
        }
    }
    if plan.later().next().is_some() {
        lines.push("decided during the run, when it has made what they wait for:".to_owned());
        lines.extend(plan.later().map(|(_, later)| format!("  {}: {}", later.record, later.message)));
        lines.push(String::new());
    }
    if !report.inbox.is_empty() {
        lines.extend(inbox::whole(report.inbox));
        lines.push(String::new());
    }
    let failed: Vec<String> = report.unfinished.iter().map(|(table, error)| format!("  {table}: {error}")).collect();
    if !failed.is_empty() {
        lines.push("tables that could not be finished:".to_owned());
        lines.extend(failed);
        lines.push(String::new());
    }
    let notes = report.notes.lines();
    if !notes.is_empty() {
        lines.extend(notes);
        lines.push(String::new());
    }
    lines.push(closing(report));
    lines.join("\n") + "\n"
}

/// Returns what is done to a record, and below it each column.
pub(super) fn action_lines(names: &BTreeMap<Uuid, String>, action: &Action) -> Vec<String> {
    let mut lines = vec![action_line(action)];
    lines.extend(action.fields.iter().map(|change| format!("  {}", change_line(names, action, change))));
    lines.extend(follow_up_line(action).map(|line| format!("  {line}")));
    lines
}

fn action_line(action: &Action) -> String {
    let (side, record) = (action.side.name(), &action.record);
    let action_text = match action.kind {
        ActionKind::Insert => format!("insert {record} into the {side}"),
        ActionKind::Restore { .. } => format!("make {record} anew in the {side}"),
        ActionKind::Update => format!("update {record} in the {side}"),
        ActionKind::Delete => format!("delete {record} in the {side}"),
        ActionKind::Couple { .. } => format!("couple {record}"),
        ActionKind::Uncouple | ActionKind::KeepApart => format!("uncouple {record}"),
    };
    if action.why.is_empty() { action_text } else { format!("{action_text}: {}", action.why) }
}

fn change_line(names: &BTreeMap<Uuid, String>, action: &Action, change: &FieldChange) -> String {
    let FieldChange { column, old, new, why, .. } = change;
    // People know a record by its name; the id is in the JSON.
    let shown = |value: &Value| named(names, value);
    let values = match action.kind {
        ActionKind::Insert | ActionKind::Restore { .. } => shown(new),
        _ => format!("{} → {}", shown(old), shown(new)),
    };
    if why.is_empty() { format!("{column}: {values}") } else { format!("{column}: {values} ({why})") }
}

/// Returns the placeholders that stand in the plan, as values or in names, for keys that are not given yet.
fn placeholders(plan: &Plan) -> HashSet<&str> {
    let values = plan.actions().flat_map(|action| &action.fields).filter_map(|change| match &change.new {
        Value::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let names = plan.actions().filter_map(|action| Some(action.record.split_once(':')?.1));
    values.chain(names).filter(|text| text.starts_with("(NEW ")).collect()
}

/// Returns what stands in the plan for the key of the record that an insert makes, where something does.
fn stands_for(used: &HashSet<&str>, action: &Action) -> Option<String> {
    let own = action.kind.makes_record().then(|| placeholder(*action.ids.of(action.side)));
    own.filter(|own| used.contains(own.as_str()))
}

/// Says which columns of a new record its side may fill, and where what it gives goes.
fn follow_up_line(action: &Action) -> Option<String> {
    let mut columns: Vec<String> = action.follow_ups.iter().map(|follow_up| follow_up.from.clone()).collect();
    columns.dedup();
    let (side, other) = (action.side.name(), action.side.other().name());
    (!columns.is_empty()).then(|| format!("left to the {side}: {}; what it gives goes to the {other}", list(&columns)))
}

/// Returns the sums and the hash.
pub fn closing(report: &Shown<'_>) -> String {
    let plan = report.plan;
    let sum = |holds: &dyn Fn(&Action) -> bool| plan.actions().filter(|action| holds(action)).count() as u64;
    let mut sums = Vec::new();
    for side in [Side::Crm, Side::Erp] {
        for (kind, one, many) in
            [("insert", "insert", "inserts"), ("update", "update", "updates"), ("delete", "deletion", "deletions")]
        {
            let number = sum(&|action| action.side == side && action.kind.key() == kind);
            if number > 0 {
                sums.push(format!("{} in the {}", plural(number, one, many), side.name()));
            }
        }
    }
    let coupled = sum(&|action| matches!(action.kind, ActionKind::Couple { .. }));
    if coupled > 0 {
        sums.push(format!("{} to couple", plural(coupled, "pair", "pairs")));
    }
    let uncoupled = sum(&|action| matches!(action.kind, ActionKind::Uncouple | ActionKind::KeepApart));
    if uncoupled > 0 {
        sums.push(format!("{} to uncouple", plural(uncoupled, "pair", "pairs")));
    }
    let sums = if sums.is_empty() { "nothing to do".to_owned() } else { list(&sums) };
    let held = match report.inbox.len() as u64 {
        0 => String::new(),
        held => format!("; {} for a person", if held == 1 { "1 waits".to_owned() } else { format!("{held} wait") }),
    };
    let later = match plan.later().count() as u64 {
        0 => String::new(),
        later => {
            format!("; {} decided during the run", if later == 1 { "1 is".to_owned() } else { format!("{later} are") })
        }
    };
    let failed = match report.unfinished.len() as u64 {
        0 => String::new(),
        failed => format!("; {} could not be finished", plural(failed, "table", "tables")),
    };
    let guarded = match plan.tables.iter().filter(|table| table.guarded.is_some()).count() as u64 {
        0 => String::new(),
        stopped => format!("; a guard stops {}", plural(stopped, "table", "tables")),
    };
    let undone = selected::undone(report.tables).map_or_else(String::new, |undone| format!("; {undone}"));
    let verb = if report.interrupted { "interrupted, so this is not the whole plan" } else { "plan" };
    format!("{verb}: {sums}{later}{held}{guarded}{failed}{undone}; hash {}", report.hash)
}

/// Tells whether the plan would write to a side; couplings alone change only the state.
pub fn writes(plan: &Plan) -> bool {
    plan.actions().any(|action| action.kind.writes())
}

#[derive(Serialize)]
struct PlanDocument<'a> {
    pipeline: &'a str,
    hash: String,
    /// Table maps whose guard stops them, and why; absent where none does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    guarded: Vec<GuardedDocument<'a>>,
    actions: Vec<ActionDocument<'a>>,
    /// Absent where there is nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    drifted: Vec<DriftDocument<'a>>,
    /// Records that were asked for by name; absent where none was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    selected: Vec<ChosenDocument<'a>>,
    /// What would give way because one side is to win; absent where nothing would.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overwritten: Vec<OverwrittenDocument<'a>>,
    held: Vec<ItemDocument<'a>>,
    later: Vec<LaterDocument<'a>>,
    /// Table maps that could not be decided; absent where all were.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unfinished: Vec<UnfinishedDocument<'a>>,
    /// What is odd about file and state together, and which table maps were left out; absent where nothing is.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
    /// Absent where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    table_notes: Vec<NoteDocument<'a>>,
}

#[derive(Serialize)]
struct UnfinishedDocument<'a> {
    table: &'a str,
    error: &'a str,
}

#[derive(Serialize)]
struct GuardedDocument<'a> {
    table: &'a str,
    message: &'a str,
}

/// One action in JSON.
#[derive(Serialize)]
pub(super) struct ActionDocument<'a> {
    table: &'a str,
    record: &'a str,
    side: &'static str,
    action: &'static str,
    why: &'a str,
    fields: Fields<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    then: Vec<FollowUpDocument<'a>>,
    /// What stands for its key where other records of the plan refer to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    placeholder: Option<String>,
}

/// What a new record's side may give, and where it goes.
#[derive(Serialize)]
struct FollowUpDocument<'a> {
    field: &'a str,
    side: &'static str,
    column: &'a str,
}

#[derive(Serialize)]
struct LaterDocument<'a> {
    table: &'a str,
    record: &'a str,
    message: &'a str,
}

/// Changes under the names of their columns, in the order of the plan.
struct Fields<'a>(&'a [FieldChange]);

#[derive(Serialize)]
struct ChangeDocument {
    old: Box<RawValue>,
    new: Box<RawValue>,
}

impl Serialize for Fields<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for change in self.0 {
            let values = ChangeDocument { old: json_value(&change.old), new: json_value(&change.new) };
            map.serialize_entry(&change.column, &values)?;
        }
        map.end()
    }
}

/// Returns the plan for programs.
pub fn json(report: &RunReport) -> String {
    json_of(&Shown::of(report))
}

/// Returns what is shown of a plan for programs.
pub fn json_of(report: &Shown<'_>) -> String {
    let plan = report.plan;
    let used = placeholders(plan);
    document(&PlanDocument {
        pipeline: &plan.pipeline,
        hash: report.hash.clone(),
        guarded: plan
            .tables
            .iter()
            .filter_map(|table| Some(GuardedDocument { table: &table.table, message: table.guarded.as_deref()? }))
            .collect(),
        actions: plan
            .actions()
            .map(|action| ActionDocument { placeholder: stands_for(&used, action), ..action_document(action) })
            .collect(),
        drifted: drift::of_plan(plan),
        selected: report.tables.iter().flat_map(selected::chosen_documents).collect(),
        overwritten: report.tables.iter().flat_map(selected::overwritten_documents).collect(),
        held: report.inbox.iter().map(inbox::item_document).collect(),
        later: plan
            .later()
            .map(|(table, later)| LaterDocument { table, record: &later.record, message: &later.message })
            .collect(),
        unfinished: report.unfinished.iter().map(|(table, error)| UnfinishedDocument { table, error }).collect(),
        notes: &report.notes.general,
        table_notes: report.notes.documents(),
    })
}

/// Returns an action as JSON shows it.
pub(super) fn action_document(action: &Action) -> ActionDocument<'_> {
    ActionDocument {
        table: &action.table,
        record: &action.record,
        side: action.side.key(),
        action: action.kind.key(),
        why: &action.why,
        fields: Fields(&action.fields),
        then: action.follow_ups.iter().map(|follow_up| follow_up_document(action, follow_up)).collect(),
        placeholder: None,
    }
}

fn follow_up_document<'a>(action: &Action, follow_up: &'a FollowUp) -> FollowUpDocument<'a> {
    FollowUpDocument { field: &follow_up.from, side: action.side.other().key(), column: &follow_up.to }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use insta::assert_snapshot;

    #[test]
    fn a_plan_reads_record_by_record() {
        assert_snapshot!("plan_text", text(&samples::planned()));
    }

    #[test]
    fn a_plan_that_a_guard_stops_says_so() {
        let mut report = samples::planned();
        report.plan.tables[1].guarded = Some("1200 records would be created, and `guard.create` allows 1000".into());
        let text = text(&report);
        assert!(text.contains("customers\n  stopped by its guard: 1200 records"), "{text}");
        assert!(text.contains("; a guard stops 1 table; hash "), "{text}");
        assert!(json(&report).contains(r#""guarded": ["#));
    }

    #[test]
    fn a_plan_is_one_document() {
        assert_snapshot!("plan_json", json(&samples::planned()));
    }

    #[test]
    fn an_empty_plan_says_so() {
        let plan = Plan { pipeline: "full".into(), tables: vec![TablePlan::default()] };
        let report = RunReport { plan: plan.clone(), tables: vec![], inbox: vec![], ..samples::planned() };
        assert_eq!(text(&report), format!("plan: nothing to do; hash {}\n", plan.hash()));
        assert!(!writes(&plan));
    }

    #[test]
    fn a_plan_that_is_not_whole_says_so() {
        let hash = samples::plan().hash();
        let closing = |report: RunReport| closing(&Shown::of(&report)).replace(&hash, "H");
        let sums = "1 insert in the CRM, 1 deletion in the CRM, 2 inserts in the ERP, 1 update in the ERP, 1 pair to \
                    couple and 2 pairs to uncouple; 1 is decided during the run";
        let failed =
            RunReport { inbox: samples::inbox(), tables: samples::run_with_trouble().tables, ..samples::planned() };
        assert!(text(&failed).contains("tables that could not be finished:\n  items: CRM cannot be reached"));
        assert!(json(&failed).contains("\"unfinished\": ["));
        let told = format!("plan: {sums}; 4 wait for a person; 1 table could not be finished; hash H");
        assert_eq!(closing(failed), told);
        let interrupted = RunReport { outcome: RunOutcome::Interrupted, inbox: vec![], ..samples::planned() };
        assert_eq!(closing(interrupted), format!("interrupted, so this is not the whole plan: {sums}; hash H"));
    }

    #[test]
    fn a_reference_is_told_by_the_name_of_the_record() {
        let mut report = samples::planned();
        report.names.insert(Uuid::from_u128(7), "salespeople:JR".into());
        let link = |id: u128| Value::Link { table: "systemusers".into(), id: Uuid::from_u128(id) };
        let change = &mut report.plan.tables[1].actions[2].fields[0];
        (change.old, change.new) = (link(7), link(8));
        let line = format!("phoneNumber: salespeople:JR → {} (only the CRM changed)", Uuid::from_u128(8));
        assert!(text(&report).contains(&line), "{}", text(&report));
        assert!(json(&report).contains(&format!("\"old\": \"{}\"", Uuid::from_u128(7))));
    }

    #[test]
    fn couplings_alone_write_to_no_side() {
        let mut plan = samples::plan();
        assert!(writes(&plan));
        plan.tables[1].actions.retain(|action| matches!(action.kind, ActionKind::Couple { .. }));
        assert!(!plan.tables[1].actions.is_empty());
        assert!(!writes(&plan));
    }

    #[test]
    fn the_hash_tells_what_is_held_and_not_how_long() {
        let plan = samples::plan();
        let changed = |change: &dyn Fn(&mut InboxItem)| {
            let mut other = plan.clone();
            change(&mut other.tables[1].held[1]);
            other.hash() != plan.hash()
        };
        assert!(changed(&|item| item.erp = Some("0301 300".into())));
        assert!(changed(&|item| item.crm = None), "blank is not the same as unknown");
        assert!(changed(&|item| item.field = None));
        assert!(changed(&|item| item.crm_id = None));
        assert!(!changed(&|item| (item.since, item.attempts) = ("2026-02-01T02:00:00Z".into(), 7)));
        let mut less = plan.clone();
        less.tables[1].held.pop();
        assert_ne!(less.hash(), plan.hash());
    }
}
