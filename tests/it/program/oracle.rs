//! What both sides hold, in a form that is the same whatever order records were made in.
//!
//! Our own ids follow from the partner's, so they are the same in each world; what the services draw (ids of records
//! that they make along, numbers of a series, versions, times) is replaced by what it stands for. Nothing here is taken
//! from the program.

use std::collections::{BTreeSet, HashMap};

use mocks::data::Side;
use serde_json::{Map, Value};

use super::World;

type Records = Vec<(Side, &'static str, Map<String, Value>)>;

/// What each service stamps on its own at every write.
const STAMPS: [&str; 5] = ["versionnumber", "createdon", "modifiedon", "lastModifiedDateTime", "systemModifiedAt"];

/// Properties that hold a number of a series, and the set whose number it is.
const NUMBERS: [(Side, &str, &str, &[&str]); 11] = [
    (Side::Erp, "salespeoplePurchasers", "code", &["salespeoplePurchasers"]),
    (Side::Erp, "customers", "salespersonCode", &["salespeoplePurchasers"]),
    (Side::Erp, "customers", "number", &["customers"]),
    (Side::Erp, "contacts", "number", &["contacts"]),
    (Side::Erp, "contacts", "companyNumber", &["contacts"]),
    (Side::Erp, "contacts", "customerNumber", &["customers"]),
    (Side::Erp, "items", "number", &["items"]),
    (Side::Erp, "resources", "number", &["resources"]),
    (Side::Crm, "accounts", "accountnumber", &["customers"]),
    (Side::Crm, "products", "productnumber", &["items", "resources"]),
    (Side::Crm, "productpricelevels", "productnumber", &["items", "resources"]),
];

/// Returns one line for each record of both sides, in order.
pub fn contents(world: &World) -> BTreeSet<String> {
    let records = records(world);
    let (names, mut numbers) = (names_of(&records), HashMap::new());
    for (side, set, record) in &records {
        let id = id(record);
        let name = names.get(&id).unwrap_or(&id).clone();
        for (of, _, property, _) in NUMBERS.iter().filter(|(of, known, ..)| of == side && known == set) {
            if *of == Side::Erp && (*property == "number" || *property == "code") {
                numbers.insert((*set, text(record, property)), name.clone());
            }
        }
    }
    let lines: Vec<String> = records
        .into_iter()
        .map(|(side, set, mut record)| {
            for stamp in STAMPS {
                record.remove(stamp);
            }
            for (_, _, property, series) in NUMBERS.iter().filter(|(of, known, ..)| *of == side && *known == set) {
                if let Some(Value::String(number)) = record.get_mut(*property)
                    && let Some(name) = series.iter().find_map(|set| numbers.get(&(*set, number.clone())))
                {
                    *number = format!("number of {name}");
                }
            }
            for value in record.values_mut() {
                if let Value::String(text) = value
                    && let Some(name) = names.get(text)
                {
                    *text = name.clone();
                }
            }
            format!("{side} {set} {}", Value::Object(record))
        })
        .collect();
    let count = lines.len();
    let lines: BTreeSet<String> = lines.into_iter().collect();
    assert_eq!(lines.len(), count, "two records are the same but for what a service draws");
    lines
}

/// Fails with the records that differ.
#[track_caller]
pub fn assert_same(found: &BTreeSet<String>, expected: &BTreeSet<String>, when: &str) {
    let list = |lines: Vec<&String>| lines.iter().take(6).map(|line| format!("\n  {line}")).collect::<String>();
    let missing: Vec<&String> = expected.difference(found).collect();
    let odd: Vec<&String> = found.difference(expected).collect();
    assert!(
        missing.is_empty() && odd.is_empty(),
        "{when}: {} records differ\nexpected:{}\nfound:{}",
        missing.len().max(odd.len()),
        list(missing),
        list(odd)
    );
}

/// Returns what stands for the ids that a service draws.
pub fn names(world: &World) -> HashMap<String, String> {
    names_of(&records(world))
}

/// These two are made by a service along with another record, under an id of its own.
fn names_of(records: &Records) -> HashMap<String, String> {
    let mut names = HashMap::new();
    for (side, set, record) in records {
        let text = |property: &str| text(record, property);
        if *set == "uoms" {
            names.insert(id(record), format!("unit {} of {}", text("name"), text("_uomscheduleid_value")));
        } else if *side == Side::Erp && *set == "contacts" && text("type") == "Company" {
            names.insert(id(record), format!("company contact {} {}", text("displayName"), text("email")));
        }
    }
    names
}

fn text(record: &Map<String, Value>, property: &str) -> String {
    record.get(property).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn records(world: &World) -> Records {
    let erp = Side::Erp
        .sets()
        .iter()
        .flat_map(|set| world.erp.with(|erp| erp.records(set)).into_iter().map(|record| (Side::Erp, *set, record)));
    let crm = Side::Crm
        .sets()
        .iter()
        .flat_map(|set| world.crm.with(|crm| crm.records(set)).into_iter().map(|record| (Side::Crm, *set, record)));
    erp.chain(crm).collect()
}

/// Returns the id, with which a record begins on both sides.
fn id(record: &Map<String, Value>) -> String {
    record.values().next().and_then(Value::as_str).unwrap_or_default().to_owned()
}
