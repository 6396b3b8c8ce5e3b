//! The tables of both sides in the cases; `tests/cases/README.md` shows them, and a test compares the two.

use std::fs;
use std::path::Path;

use pipeline::config::Side;
use pipeline::frame::Kind;

use crate::memory::{MODIFIED, Memory};

/// A column: name, kind, longest text, options.
type Column = (&'static str, Kind, Option<usize>, &'static [(i64, &'static str)]);

const MONEY: Kind = Kind::Decimal { scale: 5 };
const CENTS: Kind = Kind::Decimal { scale: 2 };
const TERMS: &[(i64, &str)] = &[(1, "Net 30"), (2, "Net 14"), (4, "Net 60")];

const ERP: &[(&str, &[Column])] = &[
    (
        "people",
        &[
            ("code", Kind::Code, Some(20), &[]),
            ("email", Kind::Text, Some(80), &[]),
            ("name", Kind::Text, Some(50), &[]),
        ],
    ),
    (
        "customers",
        &[
            ("number", Kind::Code, Some(20), &[]),
            ("name", Kind::Text, Some(50), &[]),
            ("city", Kind::Text, Some(30), &[]),
            ("phone", Kind::Text, Some(30), &[]),
            ("limit", MONEY, None, &[]),
            ("person", Kind::Code, Some(20), &[]),
            ("parent", Kind::Code, Some(20), &[]),
            ("terms", Kind::Code, Some(10), &[]),
            ("blocked", Kind::Text, Some(10), &[]),
            ("since", Kind::Date, None, &[]),
            ("loyal", Kind::Boolean, None, &[]),
            ("memo", Kind::Text, Some(250), &[]),
            (MODIFIED, Kind::DateTime, None, &[]),
        ],
    ),
];

const CRM: &[(&str, &[Column])] = &[
    (
        "users",
        &[
            ("mail", Kind::Text, Some(100), &[]),
            ("name", Kind::Text, Some(100), &[]),
            ("disabled", Kind::Boolean, None, &[]),
        ],
    ),
    (
        "accounts",
        &[
            ("number", Kind::Text, Some(20), &[]),
            ("name", Kind::Text, Some(160), &[]),
            ("city", Kind::Text, Some(10), &[]),
            ("phone", Kind::Text, Some(50), &[]),
            ("limit", CENTS, None, &[]),
            ("owner", Kind::Guid, None, &[]),
            ("parent", Kind::Guid, None, &[]),
            ("terms", Kind::Choice, None, TERMS),
            ("kind", Kind::Choice, None, &[(3, "Customer"), (10, "Supplier")]),
            ("state", Kind::Choice, None, &[(0, "Active"), (1, "Inactive")]),
            ("company", Kind::Text, Some(50), &[]),
            ("since", Kind::Date, None, &[]),
            ("loyal", Kind::Boolean, None, &[]),
            ("memo", Kind::Text, Some(250), &[]),
            (MODIFIED, Kind::DateTime, None, &[]),
        ],
    ),
];

fn tables(side: Side) -> &'static [(&'static str, &'static [Column])] {
    match side {
        Side::Erp => ERP,
        Side::Crm => CRM,
    }
}

/// Makes a side with empty tables.
pub fn empty(side: Side) -> Memory {
    let columns: Vec<(&str, Vec<(&str, Kind)>)> = tables(side)
        .iter()
        .map(|(table, columns)| (*table, columns.iter().map(|(name, kind, ..)| (*name, *kind)).collect()))
        .collect();
    let columns: Vec<(&str, &[(&str, Kind)])> = columns.iter().map(|(table, columns)| (*table, &columns[..])).collect();
    let memory = Memory::new(side, &columns);
    {
        let mut made = memory.tables.lock().unwrap();
        for (table, columns) in tables(side) {
            let infos = &mut made.get_mut(*table).unwrap().info.columns;
            for (info, (_, _, length, options)) in infos.iter_mut().zip(*columns) {
                info.length_max = *length;
                info.options = options.iter().map(|(number, label)| (*number, (*label).to_owned())).collect();
            }
        }
    }
    memory
}

/// Tells whether a side has a table.
pub fn is_table(side: Side, name: &str) -> bool {
    tables(side).iter().any(|(table, _)| *table == name)
}

/// Returns the columns of a table that people fill, in their order.
pub fn columns(side: Side, name: &str) -> Vec<&'static str> {
    let table = tables(side).iter().find(|(table, _)| *table == name);
    let columns = table.into_iter().flat_map(|(_, columns)| *columns).map(|(name, ..)| *name);
    columns.filter(|name| *name != MODIFIED).collect()
}

/// Puts a record there, or changes it; a reference is written as the number of its record.
pub fn put(memory: &Memory, table: &str, id: u128, values: &[(&str, &str)]) {
    let side = pipeline::endpoint::Line::side(memory);
    let guid = |name: &str| {
        let found = tables(side).iter().find(|(known, _)| *known == table);
        found
            .is_some_and(|(_, columns)| columns.iter().any(|(column, kind, ..)| *column == name && *kind == Kind::Guid))
    };
    let texts: Vec<(&str, String)> = values
        .iter()
        .map(|(name, text)| match text.parse::<u128>() {
            Ok(number) if guid(name) => (*name, uuid::Uuid::from_u128(number).to_string()),
            _ => (*name, (*text).to_owned()),
        })
        .collect();
    let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    memory.put(table, id, &texts);
}

#[test]
fn the_page_about_the_cases_shows_these_tables() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/README.md")).unwrap();
    for side in Side::BOTH {
        for (table, columns) in tables(side) {
            let told: Vec<String> = columns
                .iter()
                .map(|(name, kind, length, options)| {
                    let kind = match kind {
                        Kind::Decimal { scale } => format!("number with {scale} decimals"),
                        Kind::Boolean => "yes or no".to_owned(),
                        Kind::Guid => "reference".to_owned(),
                        Kind::DateTime => "moment".to_owned(),
                        kind => format!("{kind:?}").to_lowercase(),
                    };
                    let length = length.map(|length| format!(" of {length}")).unwrap_or_default();
                    let options: Vec<String> =
                        options.iter().map(|(number, label)| format!("{number} {label}")).collect();
                    let options = if options.is_empty() { String::new() } else { format!(": {}", options.join(", ")) };
                    format!("`{name}` ({kind}{length}{options})")
                })
                .collect();
            let line = format!("- {} `{table}`: {}", side.name(), told.join(", "));
            assert!(page.contains(&line), "tests/cases/README.md lacks:\n{line}");
        }
    }
}
