//! A row as JSON: its etag, its columns, what they are annotated with, and the rows that its lookups lead to.
//!
//! Written straight into the body of the answer, since pages are large. Nulls are shown as null and take no
//! annotation.

use uuid::Uuid;

use super::prefer::Prefer;
use super::query::Expand;
use super::reply;
use super::schema::{self, Column, Kind, TABLES, Table};
use super::state::State;
use super::store::{Cell, Row};

/// Writes the members of a row: the etag, the columns asked for, and the rows it was expanded with.
pub fn row(
    out: &mut Vec<u8>,
    state: &State,
    (table, id, row): (usize, Uuid, &Row),
    columns: &[usize],
    expand: &[Expand],
    prefer: &Prefer,
) {
    out.extend_from_slice(b"\"@odata.etag\":");
    text(out, &reply::etag(table, row));
    for column in columns {
        property(out, state, (table, id, row), *column, prefer);
    }
    for expand in expand {
        out.push(b',');
        text(out, expand.navigation);
        out.push(b':');
        let to = match row.get(expand.column) {
            Some(Cell::Link(target, to)) if *target == expand.table => {
                state.store.get(*target, *to).map(|row| (*to, row))
            }
            _ => None,
        };
        match to {
            None => out.extend_from_slice(b"null"),
            Some((to, to_row)) => {
                out.push(b'{');
                self::row(out, state, (expand.table, to, to_row), &expand.columns, &[], prefer);
                out.push(b'}');
            }
        }
    }
}

/// Writes text as JSON.
pub fn text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("text goes into memory without an error");
}

fn property(out: &mut Vec<u8>, state: &State, (table, id, row): (usize, Uuid, &Row), index: usize, prefer: &Prefer) {
    let declared = &TABLES[table];
    let column = &declared.columns[index];
    out.extend_from_slice(b",\"");
    out.extend_from_slice(column.property.as_bytes());
    out.extend_from_slice(b"\":");
    let Some(cell) = declared.cell(index, id, row) else {
        // A null takes no annotation with it.
        out.extend_from_slice(b"null");
        return;
    };
    cell.write(out);
    if prefer.annotations.is_none() {
        return;
    }
    let mut annotate = |name: &str, value: &str| {
        if prefer.wants(name) {
            out.push(b',');
            text(out, &format!("{}@{name}", column.property));
            out.push(b':');
            text(out, value);
        }
    };
    if let Cell::Link(target, _) = *cell {
        annotate("Microsoft.Dynamics.CRM.lookuplogicalname", TABLES[target].name);
        if let Some(to) = column.targets().iter().find(|to| to.table == TABLES[target].name) {
            annotate("Microsoft.Dynamics.CRM.associatednavigationproperty", to.navigation);
        }
    }
    if let Some(shown) = formatted(state, column, row, declared, &cell) {
        annotate("OData.Community.Display.V1.FormattedValue", &shown);
    }
}

/// Shows a value as the forms of a caller from the United States do.
fn formatted(state: &State, column: &Column, row: &Row, table: &Table, cell: &Cell) -> Option<String> {
    Some(match (cell, &column.kind) {
        (Cell::Whole(number), Kind::Picklist(_) | Kind::State(_) | Kind::Status(_)) => {
            column.choices().iter().find(|choice| choice.value == *number)?.label.to_owned()
        }
        (Cell::Text(text), Kind::MultiSelect(choices)) => {
            let label = |part: &str| choices.iter().find(|choice| choice.value.to_string() == part);
            text.split(',').filter_map(label).map(|choice| choice.label).collect::<Vec<_>>().join("; ")
        }
        (Cell::Whole(number), _) => grouped(&number.to_string()),
        (Cell::Flag(flag), _) => (if *flag { "Yes" } else { "No" }).to_owned(),
        (Cell::Decimal(number), Kind::Money { .. } | Kind::Base { .. }) => {
            let currencies = schema::table("transactioncurrency");
            let currency = match &column.kind {
                Kind::Money { .. } => row.get(table.by_name("transactioncurrencyid")?)?.id()?,
                _ => state.base_currency,
            };
            let symbol = state.store.get(currencies, currency)?.get(TABLES[currencies].column("currencysymbol"))?;
            format!("{}{}", symbol.text()?, grouped(&format!("{:.2}", number)))
        }
        (Cell::Decimal(number), Kind::Decimal { precision, .. } | Kind::Double { precision, .. }) => {
            grouped(&format!("{:.*}", *precision as usize, number))
        }
        (Cell::Time(time), _) => time.format("%-m/%-d/%Y %-I:%M %p").to_string(),
        (Cell::Day(day), _) => day.format("%-m/%-d/%Y").to_string(),
        (Cell::Link(target, to), _) => {
            let declared = &TABLES[*target];
            state.store.get(*target, *to)?.get(declared.by_name(declared.primary_name)?)?.text()?.to_owned()
        }
        _ => return None,
    })
}

/// Puts commas between groups of three digits.
fn grouped(number: &str) -> String {
    let (whole, rest) = number.find('.').map_or((number, ""), |at| number.split_at(at));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    format!("{sign}{out}{rest}")
}
