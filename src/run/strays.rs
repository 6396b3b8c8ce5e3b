//! What people should hear of file and state together: couplings of a table map that the file lost, references that
//! lead to a table map without couplings; and what the records are called that a plan points to.
//!
//! Pure functions of the pipeline and of what is counted; who is told, and how, is not known here.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::config::{Pipeline, Reference};
use crate::frame::Value;
use crate::order::Pass;
use crate::plan::Plan;
use crate::translate::links::Links;

/// Names the table maps of which the state has couplings and the file has nothing.
///
/// A table map that is renamed in the file is a new one: its records are coupled again by the match rules, and what
/// people or creation coupled is lost.
pub fn lost(pipeline: &Pipeline, counts: &BTreeMap<String, u64>) -> Option<String> {
    let known = |name: &str| pipeline.tables.iter().any(|table| table.name == name);
    let lost: Vec<String> = counts
        .iter()
        .filter(|(name, number)| **number > 0 && !known(name))
        .map(|(name, number)| format!("{number} coupling{} of `{name}`", if *number == 1 { "" } else { "s" }))
        .collect();
    if lost.is_empty() {
        return None;
    }
    let fresh: Vec<String> = pipeline
        .tables
        .iter()
        .filter(|table| counts.get(&table.name).is_none_or(|number| *number == 0))
        .map(|table| format!("`{}`", table.name))
        .collect();
    let advice = if fresh.is_empty() {
        "they stay, and are used again when a table map has that name".to_owned()
    } else {
        format!(
            "{} {} none: where a table map was renamed, give it its old name back, or its records are coupled anew by \
             the match rules",
            fresh.join(", "),
            if fresh.len() == 1 { "has" } else { "have" }
        )
    };
    Some(format!("the state holds {}, and the file has no such table map; {advice}", lost.join(", ")))
}

/// Names the table maps outside the selection that it refers to and that have no couplings yet.
pub(super) fn unlinked(pipeline: &Pipeline, passes: &[Pass], counts: &BTreeMap<String, u64>) -> Vec<String> {
    let selected = |name: &str| passes.iter().any(|pass| pipeline.tables[pass.table].name == name);
    let mut told: Vec<String> = Vec::new();
    for pass in passes {
        let map = &pipeline.tables[pass.table];
        let references = map.fields.iter().filter_map(|field| field.reference.as_ref());
        let led_by_couplings_alone = |reference: &&Reference| reference.crm.is_none();
        for Reference { table, .. } in references.filter(led_by_couplings_alone) {
            let message = format!(
                "`{}` refers to `{table}`, which has no couplings yet, so that the records that do fail: run `{table}` \
                 first, or all table maps together",
                map.name
            );
            if !selected(table) && counts.get(table).is_none_or(|number| *number == 0) && !told.contains(&message) {
                told.push(message);
            }
        }
    }
    told
}

/// Returns what people call the records that the values of a plan point to, as far as references know.
pub(super) fn names(pipeline: &Pipeline, plan: &Plan, links: &Links) -> BTreeMap<Uuid, String> {
    let mut names = BTreeMap::new();
    for action in plan.actions() {
        let Some(map) = pipeline.tables.iter().find(|map| map.name == action.table) else { continue };
        for change in &action.fields {
            let Some(reference) = change.field.and_then(|field| map.fields[field].reference.as_ref()) else { continue };
            for value in [&change.old, &change.new] {
                if let Value::Link { id, .. } | Value::Guid(id) = value
                    && let Some(name) = links.record_of(reference, *id)
                {
                    names.insert(*id, name);
                }
            }
        }
    }
    names
}
