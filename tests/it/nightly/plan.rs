//! The plan of a first load, held against what the run then does, record by record.
//!
//! What the run does beyond the plan must be of a kind that no plan can tell, and the plan must have announced it: the
//! values that a side gives to new records, and the records that wait for what the run makes first.

use std::collections::{BTreeMap, HashMap, HashSet};

use insta::assert_snapshot;
use pipeline::config::{PerSide, Side};
use pipeline::frame::Value;
use pipeline::plan::{Action, ActionKind, FieldChange, Plan};
use pipeline::report;
use pipeline::run::account::RunOutcome;
use pipeline::store::Store;
use uuid::Uuid;

use super::world::World;

/// What the run decides of one record on one side, in its order.
type Decisions<'a> = HashMap<(&'a str, Side, Uuid), Vec<&'a Action>>;

fn by_record(plan: &Plan) -> Decisions<'_> {
    let mut decisions = Decisions::new();
    for action in plan.actions() {
        decisions.entry((&action.table, action.side, action.ids.erp)).or_default().push(action);
    }
    decisions
}

/// Tells whether a planned value is what was written; a placeholder stands for one value throughout.
fn stands_for(planned: &Value, done: &Value, given: &mut HashMap<String, String>) -> bool {
    match planned {
        Value::Text(text) if text.starts_with("(NEW ") => {
            given.entry(text.clone()).or_insert_with(|| done.to_string()) == &done.to_string()
        }
        planned => planned == done,
    }
}

/// Returns which fields of a written record the plan does not hold, or what contradicts it.
fn beyond<'a>(
    planned: Option<&Action>,
    done: &'a Action,
    given: &mut HashMap<String, String>,
) -> Result<Vec<&'a FieldChange>, String> {
    let mut open: Vec<&FieldChange> = planned.iter().flat_map(|action| &action.fields).collect();
    let mut beyond = Vec::new();
    for change in &done.fields {
        match open.iter().position(|planned| planned.column == change.column) {
            Some(found) if stands_for(&open[found].new, &change.new, given) => {
                open.remove(found);
            }
            Some(found) => return Err(format!("{}: {} became {}", change.column, open[found].new, change.new)),
            None => beyond.push(change),
        }
    }
    if open.is_empty() { Ok(beyond) } else { Err(format!("not written: {open:?}")) }
}

#[test]
fn the_plan_of_the_first_night_is_what_the_night_does() {
    let mut world = World::new();
    let planned = world.plan();
    assert_eq!((planned.outcome, planned.inbox), (RunOutcome::Converged, Vec::new()), "what waits has not failed");
    assert_eq!(world.writes(), PerSide::default());
    assert!(world.store().coupling_counts().unwrap().is_empty());
    let done = world.run();

    // What the run says that it did is what the sides saw.
    let writes = world.writes();
    for side in Side::BOTH {
        let wrote = |action: &&Action| matches!(action.kind, ActionKind::Insert | ActionKind::Update);
        let told = done.plan.actions().filter(wrote).filter(|action| action.side == side);
        let mut told: Vec<Uuid> = told.map(|action| *action.ids.of(side)).collect();
        let mut seen: Vec<Uuid> = writes.of(side).iter().filter_map(|entry| entry.id).collect();
        told.sort_unstable();
        seen.sort_unstable();
        assert_eq!(told, seen, "{side:?}");
    }

    let waits: HashSet<&str> = planned.plan.later().map(|(_, later)| later.record.as_str()).collect();
    let mut told = by_record(&planned.plan);
    let mut given = HashMap::new();
    let mut unforeseeable: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut decided: HashSet<&str> = HashSet::new();
    let done_by_record = by_record(&done.plan);
    for (record, actions) in &done_by_record {
        let mut planned_ones = told.remove(record).unwrap_or_default();
        // The insert on the other side announces what comes back from there.
        let other = (record.0, record.1.other(), record.2);
        let announcing = planned.plan.actions().find(|action| {
            (action.table.as_str(), action.side, action.ids.erp) == other && action.kind == ActionKind::Insert
        });
        let announced = |change: &&FieldChange| {
            let mut follow_ups = announcing.iter().flat_map(|action| &action.follow_ups);
            follow_ups.any(|follow_up| Some(follow_up.field) == change.field && follow_up.to == change.column)
        };
        for action in actions {
            let index = planned_ones.iter().position(|planned| planned.kind == action.kind);
            let planned = index.map(|index| planned_ones.remove(index));
            if planned.is_none() && waits.contains(action.record.as_str()) {
                decided.insert(&action.record);
                *unforeseeable.entry((&action.table, "waited")).or_default() += 1;
                continue;
            }
            let beyond = beyond(planned, action, &mut given);
            let beyond = beyond.unwrap_or_else(|slip| panic!("{}: {slip}", action.record));
            assert!(planned.is_some() || !beyond.is_empty(), "not planned: {action:#?}");
            assert!(beyond.iter().all(announced), "{}: not announced: {beyond:#?}", action.record);
            if !beyond.is_empty() {
                *unforeseeable.entry((&action.table, "given")).or_default() += 1;
            }
        }
        assert!(planned_ones.is_empty(), "planned, but not done: {planned_ones:#?}");
    }
    assert!(told.is_empty(), "planned, but not done: {told:#?}");
    assert_eq!(decided, waits, "the run decides what waited");
    assert_eq!(
        unforeseeable,
        BTreeMap::from([
            // The base units of four new groups, the three items in such units, and their price lines.
            (("units", "waited"), 4),
            (("items", "waited"), 6),
            (("item_prices", "waited"), 3),
            // The numbers that the ERP gives.
            (("customers", "given"), 26),
            (("items", "given"), 42),
            (("resources", "given"), 3),
        ])
    );
    // A placeholder is one record's number throughout.
    let numbers: HashSet<&String> = given.values().collect();
    assert_eq!(numbers.len(), given.len(), "{given:?}");
}

#[test]
fn what_a_plan_cannot_tell_is_told() {
    let text = report::plan::text(&World::new().plan());
    let (_, later) = text.split_once("decided during the run").unwrap();
    let (later, sums) = later.split_once("plan: ").unwrap();
    assert_snapshot!(later);
    assert_snapshot!(
        sums.split_once("hash ").unwrap().0,
        @"381 inserts in the CRM, 343 updates in the CRM, 138 inserts in the ERP, 27 updates in the ERP and 1,052 pairs to couple; 10 are decided during the run;"
    );
    let number = |line: &&str| line.trim_start().starts_with("left to the ERP: number");
    let left: Vec<&str> = text.lines().filter(number).take(1).collect();
    assert_snapshot!(
        left[0].trim(),
        @"left to the ERP: number, creditLimit, paymentTerm/code, shipmentMethod/code and salespersonCode; what it gives goes to the CRM"
    );
}
