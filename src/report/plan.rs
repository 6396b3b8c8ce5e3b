//! What a run would do: per record and field the old and the new value and why, then sums and the plan's hash; or the
//! JSON of design §5.
//!
//! The text ends with the same sentence whatever the plan holds, so that two plans are compared by their last line.

use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::value::RawValue;

use crate::config::Side;
use crate::plan::{Action, ActionKind, FieldChange, Plan, TablePlan};
use crate::report::inbox::{self, ItemDocument};
use crate::report::layout::{list, plural, shown};
use crate::report::{document, json_value};

/// Returns the plan for people; it ends with a line end.
pub fn text(plan: &Plan) -> String {
    let mut lines = Vec::new();
    let says = |table: &&TablePlan| !table.actions.is_empty() || !table.held.is_empty() || table.guarded.is_some();
    for table in plan.tables.iter().filter(says) {
        lines.push(table.table.clone());
        lines.extend(table.guarded.iter().map(|why| format!("  stopped by its guard: {why}")));
        for action in &table.actions {
            lines.push(format!("  {}", action_line(action)));
            lines.extend(action.fields.iter().map(|change| format!("    {}", change_line(action, change))));
        }
        lines.push(String::new());
    }
    if plan.held().next().is_some() {
        lines.push("waiting for a person:".to_owned());
        let held: Vec<_> = plan.held().cloned().collect();
        lines.extend(inbox::lines(&held, usize::MAX));
        lines.push(String::new());
    }
    lines.push(closing(plan));
    lines.join("\n") + "\n"
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

fn change_line(action: &Action, change: &FieldChange) -> String {
    let FieldChange { column, old, new, why, .. } = change;
    let values = match action.kind {
        ActionKind::Insert | ActionKind::Restore { .. } => shown(new),
        _ => format!("{} → {}", shown(old), shown(new)),
    };
    if why.is_empty() { format!("{column}: {values}") } else { format!("{column}: {values} ({why})") }
}

/// Returns the sums and the hash.
fn closing(plan: &Plan) -> String {
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
    let held = match plan.held().count() as u64 {
        0 => String::new(),
        held => format!("; {} for a person", if held == 1 { "1 waits".to_owned() } else { format!("{held} wait") }),
    };
    let guarded = match plan.tables.iter().filter(|table| table.guarded.is_some()).count() as u64 {
        0 => String::new(),
        stopped => format!("; a guard stops {}", plural(stopped, "table", "tables")),
    };
    format!("plan: {sums}{held}{guarded}; hash {}", plan.hash())
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
    held: Vec<ItemDocument<'a>>,
}

#[derive(Serialize)]
struct GuardedDocument<'a> {
    table: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct ActionDocument<'a> {
    table: &'a str,
    record: &'a str,
    side: &'static str,
    action: &'static str,
    why: &'a str,
    fields: Fields<'a>,
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
pub fn json(plan: &Plan) -> String {
    document(&PlanDocument {
        pipeline: &plan.pipeline,
        hash: plan.hash(),
        guarded: plan
            .tables
            .iter()
            .filter_map(|table| Some(GuardedDocument { table: &table.table, message: table.guarded.as_deref()? }))
            .collect(),
        actions: plan
            .actions()
            .map(|action| ActionDocument {
                table: &action.table,
                record: &action.record,
                side: action.side.key(),
                action: action.kind.key(),
                why: &action.why,
                fields: Fields(&action.fields),
            })
            .collect(),
        held: plan.held().map(inbox::item_document).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use insta::assert_snapshot;

    #[test]
    fn a_plan_reads_record_by_record() {
        assert_snapshot!("plan_text", text(&samples::plan()));
    }

    #[test]
    fn a_plan_that_a_guard_stops_says_so() {
        let mut plan = samples::plan();
        plan.tables[1].guarded = Some("1200 records would be created, and `guard.create` allows 1000".into());
        let text = text(&plan);
        assert!(text.contains("customers\n  stopped by its guard: 1200 records"), "{text}");
        assert!(text.contains("; a guard stops 1 table; hash "), "{text}");
        assert!(json(&plan).contains(r#""guarded": ["#));
    }

    #[test]
    fn a_plan_is_one_document() {
        assert_snapshot!("plan_json", json(&samples::plan()));
    }

    #[test]
    fn an_empty_plan_says_so() {
        let plan = Plan { pipeline: "full".into(), tables: vec![TablePlan::default()] };
        assert_eq!(text(&plan), format!("plan: nothing to do; hash {}\n", plan.hash()));
        assert!(!writes(&plan));
    }

    #[test]
    fn couplings_alone_write_to_no_side() {
        let mut plan = samples::plan();
        assert!(writes(&plan));
        plan.tables[1].actions.retain(|action| matches!(action.kind, ActionKind::Couple { .. }));
        assert!(!plan.tables[1].actions.is_empty());
        assert!(!writes(&plan));
    }
}
