//! Whether a side evaluates a part of a filter or not never changes the result: random filters over random records.
//!
//! Each case asks a fake over HTTP with the part of the filter that the adapter pushes down; every record that the whole
//! filter takes out of everything must have come. The fakes compare as their services do: without regard to case and
//! with three-valued logic in the CRM, upper-cased codes and no nulls in the ERP. `FILTERS=20000 cargo test pushed` runs
//! more than the suite does; a failure prints its seed and its filter.

use std::collections::HashSet;
use std::fmt::Write as _;

use mocks::data::random::Random;
use pipeline::config::Side;
use pipeline::config::expression::Expression;
use pipeline::endpoint::{Endpoint, Query, TableInfo};
use pipeline::frame::Frame;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::world::{World, world};

/// Filters for each table that the suite runs.
const FILTERS: u64 = 500;
const RECORDS: usize = 80;

/// What a column holds, as the generator of filters sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Of {
    Text,
    Enum(&'static [&'static str]),
    Number,
    Choice,
    Flag,
    Day,
    Moment,
    Id,
}

const TEXTS: [&str; 30] = [
    "", "Oslo", "OSLO", "oslo", "Oslo ", " Oslo", "os", "Østfold", "østfold", "O'Brien", "50%", "50", "a_b", "axb",
    "a*b", "1..2", "[x]", "x", "A&B", "a+b", "#7", "straße", "STRASSE", "\u{e5}", "a\u{30a}", "😀", "a\"b", "a\\b",
    "(y)", "^x",
];
const NUMBERS: [&str; 12] =
    ["0", "1", "-1", "5", "5.5", "5.55", "5.555", "1000000", "0.01", "-0.5", "12345678.9", "1.005"];
const DAYS: [&str; 5] = ["2026-01-31", "2026-02-01", "1999-12-31", "2024-02-29", "1753-01-01"];
const MOMENTS: [&str; 5] =
    ["2026-01-31T22:10:05Z", "2026-01-31 22:10:05", "2026-01-31T22:10:05.123Z", "2020-01-01T00:00:00Z", "2026-01-31"];
const IDS: [&str; 3] = [
    "a0000000-0000-4000-8000-000000000001",
    "A0000000-0000-4000-8000-000000000002",
    "00000000-0000-0000-0000-000000000000",
];

/// A table with the columns that filters name.
struct Table {
    side: Side,
    name: &'static str,
    columns: &'static [(&'static str, Of)],
}

const TABLES: [Table; 4] = [
    Table {
        side: Side::Erp,
        name: "customers",
        columns: &[
            ("displayName", Of::Text),
            ("city", Of::Text),
            ("postalCode", Of::Text),
            ("creditLimit", Of::Number),
            ("taxLiable", Of::Flag),
            ("blocked", Of::Enum(&["", "Ship", "Invoice", "All", "ship", "None"])),
            ("taxAreaId", Of::Id),
            ("lastModifiedDateTime", Of::Moment),
        ],
    },
    Table {
        side: Side::Erp,
        name: "contacts",
        columns: &[
            ("jobTitle", Of::Text),
            ("country", Of::Text),
            ("privacyBlocked", Of::Flag),
            ("lastInteractionDate", Of::Day),
            ("type", Of::Enum(&["Company", "Person", "person", ""])),
        ],
    },
    Table {
        side: Side::Crm,
        name: "contacts",
        columns: &[
            ("nickname", Of::Text),
            ("description", Of::Text),
            ("creditlimit", Of::Number),
            ("creditonhold", Of::Flag),
            ("paymenttermscode", Of::Choice),
            ("birthdate", Of::Day),
            ("ownerid", Of::Id),
            ("modifiedon", Of::Moment),
        ],
    },
    Table {
        side: Side::Crm,
        name: "accounts",
        columns: &[
            ("address1_city", Of::Text),
            ("numberofemployees", Of::Choice),
            ("accountnumber", Of::Text),
            ("donotemail", Of::Flag),
        ],
    },
];

fn pick<T: Copy>(random: &mut Random, list: &[T]) -> T {
    list[random.below(list.len())]
}

/// Makes a record's properties; one of four is blank.
fn record(random: &mut Random, table: &Table) -> Map<String, Value> {
    let mut properties = Map::new();
    for (name, of) in table.columns {
        if random.below(4) == 0 {
            continue;
        }
        let value = match of {
            Of::Text => json!(pick(random, &TEXTS)),
            Of::Enum(members) => {
                let member = pick(random, &members[..members.len() - 2]);
                json!(if member.is_empty() { "_x0020_" } else { member })
            }
            // The CRM's amounts are not below zero.
            Of::Number if table.side == Side::Crm => {
                serde_json::from_str(pick(random, &NUMBERS).trim_start_matches('-')).unwrap()
            }
            Of::Number => serde_json::from_str(pick(random, &NUMBERS)).unwrap(),
            Of::Choice => json!(1 + random.below(4)),
            Of::Flag => json!(random.below(2) == 0),
            Of::Day => json!(pick(random, &DAYS)),
            Of::Id if table.side == Side::Erp => json!(pick(random, &IDS)),
            Of::Moment if table.side == Side::Erp => json!(pick(random, &MOMENTS[2..4])),
            // The CRM sets these itself.
            Of::Id | Of::Moment => continue,
        };
        properties.insert((*name).to_owned(), value);
    }
    properties
}

/// Adds random records to the default company.
fn filled() -> World {
    let world = world();
    for (place, table) in TABLES.iter().enumerate() {
        let mut records = Vec::new();
        for number in 0..RECORDS {
            let random = &mut Random::new(7, (place * RECORDS + number) as u64);
            let mut properties = record(random, table);
            let key = match (table.side, table.name) {
                (Side::Erp, _) => "number",
                (Side::Crm, "accounts") => "name",
                (Side::Crm, _) => "lastname",
            };
            properties.insert(key.into(), json!(format!("N{number}")));
            records.push(properties);
        }
        match table.side {
            // What only the service writes is set here as well.
            Side::Erp => world.erp.with(|state| state.load(table.name, records)),
            Side::Crm => world.crm.with(|state| {
                for properties in records {
                    state.advance(7);
                    state.insert(table.name, &properties).unwrap_or_else(|error| panic!("{error:?}: {properties:?}"));
                }
            }),
        }
    }
    world
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Makes a literal for a column, as a rule of its own type.
fn literal(random: &mut Random, of: Of, known: &[String]) -> String {
    match of {
        Of::Text => quote(pick(random, &TEXTS)),
        Of::Enum(members) => quote(pick(random, members)),
        Of::Number => pick(random, &NUMBERS).to_owned(),
        Of::Choice => (random.below(6) as i64 - 1).to_string(),
        Of::Flag => pick(random, &["TRUE", "FALSE"]).to_owned(),
        Of::Day => quote(pick(random, &DAYS)),
        Of::Moment | Of::Id if random.below(2) == 0 && !known.is_empty() => quote(&known[random.below(known.len())]),
        Of::Moment => quote(pick(random, &MOMENTS)),
        Of::Id => quote(pick(random, &IDS)),
    }
}

/// Makes a condition on one column.
fn condition(random: &mut Random, table: &Table, known: &[Vec<String>]) -> String {
    let place = random.below(table.columns.len());
    let ((name, of), known) = (table.columns[place], &known[place]);
    let operator = pick(random, &["=", "<>", "!=", "<", "<=", ">", ">="]);
    let equality = pick(random, &["=", "<>"]);
    let one = literal(random, of, known);
    let two = literal(random, of, known);
    let texts = matches!(of, Of::Text | Of::Enum(_));
    match random.below(if texts { 18 } else { 12 }) {
        0 | 1 => format!("{name} {operator} {one}"),
        2 => format!("{one} {operator} {name}"),
        3 => format!("{name} {equality} {one}"),
        4 => format!("{name} IS NULL"),
        5 => format!("{name} IS NOT NULL"),
        6 => format!("{name} IN ({one}, {two})"),
        7 => format!("{name} NOT IN ({one}, {two})"),
        8 => format!("{name} IN ({one}, NULL)"),
        9 => format!("{name} BETWEEN {one} AND {two}"),
        10 if of == Of::Flag => pick(random, &["{}", "NOT {}", "{} IS TRUE", "{} IS NOT FALSE"]).replace("{}", name),
        10 => format!("COALESCE({name}, {one}) {equality} {two}"),
        11 => format!("({name} IS DISTINCT FROM {one})"),
        12 => format!("{name} LIKE {}", quote(&pattern(random))),
        13 => format!("{name} NOT LIKE {}", quote(&pattern(random))),
        14 => format!("{name} ILIKE {}", quote(&pattern(random))),
        15 => format!("STARTS_WITH({name}, {one})"),
        16 => format!("{}({name}) {equality} {one}", pick(random, &["LOWER", "UPPER", "TRIM", "initcap"])),
        _ => format!("LENGTH({name}) {operator} {}", random.below(6)),
    }
}

fn pattern(random: &mut Random) -> String {
    let mut pattern = String::new();
    for _ in 0..=random.below(2) {
        let text = pick(random, &TEXTS);
        let cut = text.char_indices().nth(random.below(4)).map_or(text.len(), |(at, _)| at);
        let _ = write!(pattern, "{}{}", &text[..cut], pick(random, &["%", "_", "", "%%"]));
    }
    pattern
}

/// Makes a whole filter.
fn filter(random: &mut Random, table: &Table, known: &[Vec<String>], depth: usize) -> String {
    if depth == 0 {
        return condition(random, table, known);
    }
    let part = |random: &mut Random| filter(random, table, known, depth - 1);
    match random.below(8) {
        0..=2 => format!("{} AND {}", part(random), part(random)),
        3 | 4 => format!("({} OR {})", part(random), part(random)),
        5 => format!("NOT ({})", part(random)),
        6 => format!("({})", part(random)),
        _ => condition(random, table, known),
    }
}

/// How the cases of a table went.
#[derive(Debug, Default)]
struct Tally {
    run: u64,
    pushed: u64,
    narrowed: u64,
    matched: u64,
    refused: Vec<String>,
    wrong: Vec<String>,
}

fn rows(
    endpoint: &dyn Endpoint,
    info: &TableInfo,
    columns: &[String],
    filter: Option<&Expression>,
) -> Result<Frame, String> {
    let filter = filter.and_then(|filter| filter.predicate().cloned());
    let query = Query { info, columns: columns.to_vec(), filter, ids: None };
    endpoint.read(&query, &|_| {}).map_err(|error| error.to_string())
}

fn chosen(frame: &Frame, filter: &Expression) -> Result<Vec<Uuid>, String> {
    let chosen = frame.rows_where(filter).map_err(|error| error.to_string())?;
    // What the filter has no answer for is no more lost than what it takes.
    Ok(chosen.rows.into_iter().chain(chosen.faults.into_iter().map(|(row, _)| row)).map(|row| frame.id(row)).collect())
}

fn run(world: &World, table: &Table, filters: u64) -> Tally {
    let endpoint = world.endpoint(table.side);
    let endpoint = &*endpoint;
    let info = endpoint.describe(table.name).unwrap();
    let columns: Vec<String> = table.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let all = rows(endpoint, &info, &columns, None).unwrap();
    assert!(all.rows() >= RECORDS);
    let held = |name: &str| -> Vec<String> {
        (0..all.rows()).map(|row| all.value(name, row).to_string()).filter(|text| !text.is_empty()).collect()
    };
    let known: Vec<Vec<String>> = table.columns.iter().map(|(name, _)| held(name)).collect();
    let mut tally = Tally::default();
    for seed in 0..filters {
        let random = &mut Random::new(seed, 1);
        let depth = random.below(4);
        let text = filter(random, table, &known, depth);
        let case = format!("{:?} {} seed {seed}: {text}", table.side, table.name);
        let expression = match Expression::parse(&text) {
            Ok(expression) => expression,
            Err(error) => {
                tally.refused.push(format!("{case}\n  {error}"));
                continue;
            }
        };
        let whole = match chosen(&all, &expression) {
            Ok(whole) => whole,
            Err(error) => {
                tally.refused.push(format!("{case}\n  {error}"));
                continue;
            }
        };
        tally.run += 1;
        tally.matched += u64::from(!whole.is_empty());
        if expression.predicate().is_none() {
            continue;
        }
        match rows(endpoint, &info, &columns, Some(&expression)) {
            Err(error) => tally.wrong.push(format!("{case}\n  {error}")),
            Ok(part) => {
                tally.pushed += 1;
                tally.narrowed += u64::from(part.rows() < all.rows());
                // The rest is decided row by row, so nothing else can differ than what did not come.
                let came: HashSet<Uuid> = part.ids().into_iter().collect();
                let lost = whole.iter().filter(|id| !came.contains(id)).count();
                if lost > 0 {
                    tally.wrong.push(format!("{case}\n  {lost} of {} records lost", whole.len()));
                }
            }
        }
    }
    tally
}

#[test]
fn a_filter_gives_the_same_wherever_it_is_evaluated() {
    let filters = std::env::var("FILTERS").ok().and_then(|filters| filters.parse().ok()).unwrap_or(FILTERS);
    let world = filled();
    let tallies: Vec<Tally> = std::thread::scope(|threads| {
        let running: Vec<_> = TABLES.iter().map(|table| threads.spawn(|| run(&world, table, filters))).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let wrong: Vec<&str> = tallies.iter().flat_map(|tally| &tally.wrong).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    for (table, tally) in TABLES.iter().zip(&tallies) {
        let (run, refused) = (tally.run, tally.refused.len() as u64);
        assert!(refused * 20 < filters, "{}: {refused} refused:\n{}", table.name, tally.refused[..20].join("\n"));
        assert!(
            tally.narrowed * 8 > run && tally.matched * 3 > run,
            "{}: of {run} filters {} were pushed, {} narrowed the answer, {} matched something",
            table.name,
            tally.pushed,
            tally.narrowed,
            tally.matched
        );
    }
}
