//! The table of docs/transformations.md, row by row: what the page says that a value becomes is what it becomes.

use std::path::Path;

use pipeline::config::expression::Expression;
use pipeline::frame::builder::Builder;
use pipeline::frame::{Cell, Column, Frame, Kind, Value};
use uuid::Uuid;

/// The types of rules of sync-semantics.md §4, as the page names them.
const RULES: [&str; 16] = [
    "Uppercase",
    "Lowercase",
    "Title Case",
    "Trim",
    "Substring",
    "Replace",
    "Regular Expression – Replace",
    "Regular Expression – Match",
    "Remove Non-Alphanumeric Characters",
    "Date Formatting",
    "Date and Time Formatting",
    "Decimal Formatting",
    "Field Lookup",
    "Round",
    "Extract From Date",
    "Unix timestamp",
];

struct Row {
    rule: String,
    expression: String,
    value: String,
    result: String,
}

fn rows() -> Vec<Row> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/transformations.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let table = page.lines().skip_while(|line| !line.starts_with("| rule |")).skip(2);
    table
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            // A bar inside of a cell is escaped.
            let line = line.replace("\\|", "\u{1}");
            let cells: Vec<String> =
                line.trim_matches('|').split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect();
            let [rule, expression, value, result] = cells.try_into().expect("four cells a row");
            Row { rule, expression: code(&expression), value: code(&value), result }
        })
        .collect()
}

fn code(cell: &str) -> String {
    cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`')).unwrap_or_else(|| panic!("no code: {cell}")).into()
}

/// Makes a record that holds a value as the page writes it.
fn record(value: &str) -> Frame {
    let text = value.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')).map(|text| text.replace("''", "'"));
    let (name, kind, cell) = match &text {
        Some(text) => ("t", Kind::Text, Cell::Text(text)),
        None if value.ends_with('Z') => ("at", Kind::DateTime, Cell::Text(value)),
        None if Kind::Date.parse(value).is_some() => ("d", Kind::Date, Cell::Text(value)),
        None => ("n", Kind::Decimal { scale: 4 }, Cell::Number(value)),
    };
    let mut builder = Builder::new(vec![Column { name: name.into(), kind }]);
    builder.push(0, cell).expect("the value fits");
    builder.end(Uuid::from_u128(1), "");
    builder.finish()
}

/// Writes a result as the page does.
fn shown(row: &Row) -> String {
    let expression = match Expression::parse(&row.expression) {
        Ok(expression) => expression,
        Err(error) => return format!("no expression: {error}"),
    };
    let record = record(&row.value);
    match record.evaluate(&expression).map(|evaluated| evaluated.value(0)) {
        Err(error) => format!("never fits: {error}"),
        Ok(Err(fault)) => format!("fails: {}", fault.reason.unwrap_or_default()),
        Ok(Ok(Value::Null)) => "`NULL`".into(),
        Ok(Ok(Value::Text(text))) => format!("`'{}'`", text.replace('\'', "''")),
        Ok(Ok(other)) => format!("`{other}`"),
    }
}

#[test]
fn every_row_of_the_page_holds() {
    let rows = rows();
    let wrong: Vec<String> = rows
        .iter()
        .map(|row| (row, shown(row)))
        .filter(|(row, shown)| *shown != row.result)
        .map(|(row, shown)| format!("{}: {} of {}: {shown}, not {}", row.rule, row.expression, row.value, row.result))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(rows.len() > 50, "{} rows", rows.len());
}

#[test]
fn every_type_of_rule_has_a_row() {
    let rows = rows();
    let named = |rule: &&&str| {
        rows.iter()
            .any(|row| row.rule.strip_prefix(**rule).is_some_and(|rest| rest.is_empty() || rest.starts_with(',')))
    };
    let missing: Vec<_> = RULES.iter().filter(|rule| !named(rule)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
