//! Values that a side holds against the owner of the field, and that the file wants told (`drift: report`): as lines, and
//! as the JSON of runs and plans. They wait for nobody, so they are no part of the inbox.

use serde::Serialize;

use crate::plan::{Drifted, Plan};
use crate::report::layout::{count, quoted};

/// One such value in JSON.
#[derive(Serialize)]
pub struct DriftDocument<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<&'a str>,
    record: &'a str,
    side: &'static str,
    column: &'a str,
    /// What the owner would put there.
    owned: &'a str,
    held: &'a str,
}

/// Returns the lines for the first `values_max` values of a plan, under a heading; none where nothing drifted.
pub fn lines(plan: &Plan, values_max: usize) -> Vec<String> {
    let all = || plan.tables.iter().flat_map(|table| &table.drifted);
    let total = all().count();
    if total == 0 {
        return Vec::new();
    }
    let mut lines = vec![format!("changed against their owner, and left (`drift: report`): {}", count(total as u64))];
    lines.extend(all().take(values_max).map(|drifted| {
        let Drifted { record, side, column, owned, held, .. } = drifted;
        format!("  {record} {column}: the {} holds {} instead of {}", side.name(), quoted(held), quoted(owned))
    }));
    if total > values_max {
        lines.push(format!("  and {} more", count((total - values_max) as u64)));
    }
    lines
}

/// Returns the values of the whole plan, each with its table.
pub fn of_plan(plan: &Plan) -> Vec<DriftDocument<'_>> {
    let mut documents = Vec::new();
    for table in &plan.tables {
        let named = |drifted| DriftDocument { table: Some(table.table.as_str()), ..document(drifted) };
        documents.extend(table.drifted.iter().map(named));
    }
    documents
}

/// Returns the values of one table map.
pub fn of_table<'a>(plan: &'a Plan, table: &str) -> Vec<DriftDocument<'a>> {
    let own = plan.tables.iter().filter(|plan| plan.table == table);
    own.flat_map(|plan| plan.drifted.iter().map(document)).collect()
}

fn document(drifted: &Drifted) -> DriftDocument<'_> {
    let Drifted { record, side, column, owned, held, .. } = drifted;
    DriftDocument { table: None, record, side: side.key(), column, owned, held }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{plan, run, samples};

    #[test]
    fn what_drifted_is_told_in_runs_and_plans() {
        let mut report = samples::quiet_run();
        assert!(!run::text(&report).contains("owner") && !run::json(&report).contains("drifted"));
        let mut told = samples::drifted();
        told.extend((0..30).map(|_| samples::drifted().remove(0)));
        report.plan.tables[1].drifted = told;
        let text = lines(&report.plan, 3).join("\n");
        assert!(run::text(&report).contains("and left (`drift: report`): 32\n"), "{}", run::text(&report));
        report.plan.tables[1].drifted.truncate(2);
        report.plan.tables.iter_mut().for_each(|table| table.actions.clear());
        let plan_text = plan::text(&report);
        let json = plan::json(&report);
        let runs: serde_json::Value = serde_json::from_str(&run::json(&report)).unwrap();
        insta::assert_snapshot!(format!("{text}\n\n{plan_text}\n{json}\n{}", runs["tables"][1]["drifted"]));
    }
}
