//! What a plan cannot decide because the run has to make something else first, told apart from what fails (I8).
//!
//! A record without partner waits where nothing of this pipeline makes its partner, a match rule finds that by the
//! record that a reference of it leads to, and this very plan creates that record: a unit of measure, which the CRM
//! makes along with its group. What refers to a record that waits, waits as well. Every other reference without
//! coupling is a failure, in a plan as in a run.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::{FieldMap, PerSide, Side, TableMap};
use crate::couple::Matched;
use crate::delta::{Held, Unclear};
use crate::extract::Scope;
use crate::frame::Frame;
use crate::frame::evaluated::EvaluationError;
use crate::plan::{Action, Later, TablePlan};
use crate::run::notes::count;
use crate::run::state::PassState;
use crate::store::InboxKind;
use crate::translate::Translator;
use crate::translate::convert::Problem;
use crate::translate::links::Links;

/// Takes out of what was matched the records of which a match rule reads a reference that waits, or leads to a record that cannot
/// be read: whether they have a partner, the run will tell, or one after that.
pub(super) fn wait_for_match(
    map: &TableMap,
    scope: &Scope,
    state: &mut PassState,
    matched: &mut Matched,
    links: &Links,
) -> Result<(), EvaluationError> {
    for to in Side::BOTH.into_iter().filter(|to| map.create.on(*to)) {
        let (from, frame) = (to.other(), state.records.frame(to.other()));
        let unmatched = matched.doubts.iter().filter(|doubt| doubt.side == from && doubt.rule == 0);
        let mut rows: Vec<usize> = unmatched.map(|doubt| doubt.row).collect();
        rows.extend(matched.alone.of(from));
        let mut waiting: HashSet<usize> = HashSet::new();
        for (number, field) in matching_references(map) {
            let info = field.column(to).and_then(|column| scope.infos.of(to).column(column));
            let Some(info) = info else { continue };
            let Some(translator) = Translator::new(field, to, info, links, frame)? else { continue };
            for &row in &rows {
                let Err(problem @ (Problem::Awaited { .. } | Problem::Illegible { .. })) = translator.value(row) else {
                    continue;
                };
                if !waiting.insert(row) || !state.asks_row(from, row) {
                    continue;
                }
                let held = Held {
                    kind: InboxKind::Failed,
                    record: state.records.names().row(frame, from, row),
                    ids: PerSide::from_fn(|side| (side == from).then(|| frame.id(row))),
                    field: Some(number),
                    values: PerSide::default(),
                    to: Some(to),
                    message: format!("{}: {problem}", field.name()),
                };
                match problem {
                    Problem::Illegible { .. } => {
                        state.waits.await_readable([Unclear::new(held, field.name(), Some(&problem))]);
                    }
                    _ => state.waits.put_off([held]),
                }
            }
        }
        matched.doubts.retain(|doubt| doubt.side != from || !waiting.contains(&doubt.row));
        matched.alone.of_mut(from).retain(|row| !waiting.contains(row));
    }
    Ok(())
}

/// Tells the links, at the end of a table map's first step, which records this plan makes and which wait for such.
///
/// What is kept apart waits for nothing, and no more does what is deleted, uncoupled or made anew.
pub(super) fn tell_what_waits(
    map: &TableMap,
    scope: &Scope,
    state: &mut PassState,
    apart: &PerSide<Frame>,
    links: &mut Links,
) -> Result<(), EvaluationError> {
    let table = links.table(&map.name);
    for action in state.draft.actions().iter().filter(|action| action.kind.makes_record()) {
        table.make(action.side, *action.ids.of(action.side), &action.record);
    }
    for held in state.waits.later() {
        for side in Side::BOTH {
            if let (Some(id), None) = (held.ids.of(side), held.ids.of(side.other())) {
                table.wait(side, *id, "it waits itself for what this run creates first");
            }
        }
    }
    let settled: PerSide<HashSet<Uuid>> = PerSide::from_fn(|side| {
        let told = state.waits.all().filter_map(|held| *held.ids.of(side));
        let planned = state.draft.actions().iter().map(|action| *action.ids.of(side));
        let pairs = state.records.pairs().ids.iter().map(|ids| *ids.of(side));
        pairs.chain(told).chain(planned).chain(apart.of(side).ids()).collect()
    });
    let mut waiting: Vec<(Side, Uuid, Later)> = Vec::new();
    for to in Side::BOTH.into_iter().filter(|to| !map.create.on(*to)) {
        let (from, frame) = (to.other(), state.records.frame(to.other()));
        for (_, field) in matching_references(map) {
            let info = field.column(to).and_then(|column| scope.infos.of(to).column(column));
            let (Some(info), Some(reference)) = (info, &field.reference) else { continue };
            let Some(translator) = Translator::new(field, to, info, links, frame)? else { continue };
            for (row, id) in frame.ids().into_iter().enumerate() {
                if settled.of(from).contains(&id) {
                    continue;
                }
                // What has no value refers to nothing.
                let Ok(value) = translator.source(row) else { continue };
                if let Some(message) = links.depends(reference, from, &value) {
                    let ids = PerSide::from_fn(|side| (side == from).then_some(id));
                    waiting.push((
                        from,
                        id,
                        Later { record: state.records.names().row(frame, from, row), ids, message },
                    ));
                }
            }
        }
    }
    for (side, id, later) in waiting {
        links.table(&map.name).wait(side, id, &later.message);
        state.waits.announce(later);
    }
    Ok(())
}

/// Says what the plan of a table map leaves to the run.
pub(super) fn notes(plan: &TablePlan) -> Vec<String> {
    let mut notes = Vec::new();
    for side in Side::BOTH {
        let left = |action: &&Action| action.side == side && !action.follow_ups.is_empty();
        let new = plan.actions.iter().filter(left).count();
        if new > 0 {
            let (side, other, new) = (side.name(), side.other().name(), count(new, "new record"));
            notes.push(format!("{new} in the {side}: what it gives on its own will go to the {other} as well"));
        }
    }
    if !plan.later.is_empty() {
        let later = count(plan.later.len(), "record");
        notes.push(format!("{later} left for the run to decide, when it has made what they refer to"));
    }
    notes
}

/// The fields with a reference that a match rule compares.
fn matching_references(map: &TableMap) -> impl Iterator<Item = (usize, &FieldMap)> {
    let compares = |field: &FieldMap| {
        let by = map.match_rules.iter().flat_map(|rule| &rule.by);
        let (erp, crm) = (field.erp.as_ref(), field.crm.as_ref());
        by.into_iter().any(|(first, second)| erp == Some(first) && crm == Some(second))
    };
    map.fields.iter().enumerate().filter(move |(_, field)| field.reference.is_some() && compares(field))
}
