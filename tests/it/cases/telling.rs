//! What a run did and what a side holds, as the stories write it.
//!
//! Nothing in it changes from run to run: no id of a new record, no time. A record that a run made is `new`, with the
//! first of its values behind it.

use std::fmt::Write;

use pipeline::config::{PerSide, Side};
use pipeline::delta::decided::told;
use pipeline::endpoint::{Line, WriteKind};
use pipeline::report::run::outcome_key;
use pipeline::run::account::{Counts, Mode, RunReport};
use uuid::Uuid;

use crate::cases::sides::columns;
use crate::cases::story::Stage;
use crate::memory::Memory;

/// Tells a report: the outcome, each table map that did something, what was written, what waits.
pub fn report(stage: &Stage, report: &RunReport) -> String {
    let mut out = format!("{}\n", outcome_key(report.outcome));
    for table in &report.tables {
        let mut parts: Vec<String> = Side::BOTH
            .iter()
            .rev()
            .filter_map(|side| counts(table.to.of(*side)).map(|told| format!("to {}: {told}", side.name())))
            .collect();
        for (number, word) in
            [(table.new_couplings, "coupled"), (table.uncoupled, "uncoupled"), (table.contested, "contested")]
        {
            if number > 0 {
                parts.push(format!("{number} {word}"));
            }
        }
        if let Some(error) = &table.error {
            parts.push(format!("failed: {error}"));
        }
        if let Some(why) = &table.guarded {
            parts.push(format!("stopped by its guard: {why}"));
        }
        if !parts.is_empty() {
            let mode = if table.mode == Mode::Changed { " (changes)" } else { "" };
            let _ = writeln!(out, "{}{mode}: {}", table.table, parts.join("; "));
        }
    }
    for side in Side::BOTH {
        let mut lines: Vec<String> = Vec::new();
        for (table, kind, id, columns) in stage.sides.of(side).written.lock().unwrap().iter() {
            let word = match kind {
                WriteKind::Insert => "insert",
                WriteKind::Update => "update",
                WriteKind::Delete => "delete",
            };
            let record = record(stage.sides.of(side), table, *id);
            let line = format!("wrote {} {table} {record}: {word} {}", side.name(), columns.join(", "));
            lines.push(format!("{}\n", line.trim_end()));
        }
        lines.sort();
        out.extend(lines);
    }
    for item in &report.inbox {
        let values = item.field.as_ref().map(|field| {
            let value = |value: &Option<String>| value.clone().unwrap_or_default();
            let (base, erp, crm) = (value(&item.base), value(&item.erp), value(&item.crm));
            format!(" {field} (base `{base}`, ERP `{erp}`, CRM `{crm}`)")
        });
        let (record, values) = (&item.record, values.unwrap_or_default());
        let line = format!("{} {record}{values}: {}", item.kind.key(), told(item));
        let _ = writeln!(out, "{}", known_ids(stage, &line));
    }
    for told in report.plan.tables.iter().flat_map(|table| &table.drifted) {
        let (record, column, side, held) = (&told.record, &told.column, told.side.name(), &told.held);
        let _ =
            writeln!(out, "drifted {record}: {column} of the {side} is `{held}`, and its owner says `{}`", told.owned);
    }
    for table in &report.tables {
        for note in &table.notes {
            let _ = writeln!(out, "note: {}", known_ids(stage, note));
        }
    }
    out
}

fn counts(counts: &Counts) -> Option<String> {
    let told: Vec<String> = [
        (counts.inserted, "inserted"),
        (counts.modified, "modified"),
        (counts.deleted, "deleted"),
        (counts.unchanged, "unchanged"),
        (counts.skipped, "skipped"),
        (counts.failed, "failed"),
    ]
    .iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, word)| format!("{number} {word}"))
    .collect();
    (!told.is_empty()).then(|| told.join(", "))
}

/// Writes ids in a message as the stories do.
fn known_ids(stage: &Stage, message: &str) -> String {
    let mut out = message.to_owned();
    for side in Side::BOTH {
        let memory = stage.sides.of(side);
        let tables: Vec<String> = memory.tables.lock().unwrap().keys().cloned().collect();
        for table in tables {
            for id in memory.all(&table).keys() {
                if out.contains(&id.to_string()) {
                    out = out.replace(&id.to_string(), &record(memory, &table, *id));
                }
            }
        }
    }
    // What is gone is not found any more, but its number shows.
    let mut text = String::new();
    let mut rest = out.as_str();
    while let Some(at) = rest.find("00000000-0000-0000-0000-") {
        let id = rest.get(at..at + 36).and_then(|id| id.parse::<Uuid>().ok());
        text.push_str(&rest[..at]);
        match id {
            Some(id) => text.push_str(&id.as_u128().to_string()),
            None => text.push_str(rest.get(at..at + 36).unwrap_or_default()),
        }
        rest = rest.get(at + 36..).unwrap_or_default();
    }
    text + rest
}

/// Names a record: its number, or `new-` and the first value that it has.
fn record(memory: &Memory, table: &str, id: Uuid) -> String {
    if id.as_u128() < 1 << 32 {
        return id.as_u128().to_string();
    }
    format!("new-{}", label(memory, table, id).replace(' ', "-"))
}

fn label(memory: &Memory, table: &str, id: Uuid) -> String {
    let values = memory.all(table).remove(&id).unwrap_or_default();
    let first = columns(memory.side(), table).into_iter().filter_map(|column| values.get(column).cloned());
    first.into_iter().find(|value| !value.is_empty()).unwrap_or_default()
}

/// Returns the id of a record that a run made, by the first value that it has.
pub fn find_new(memory: &Memory, table: &str, wanted: &str) -> Option<u128> {
    let ids: Vec<Uuid> = memory.all(table).into_keys().collect();
    ids.into_iter().find(|id| record(memory, table, *id) == format!("new-{wanted}")).map(|id| id.as_u128())
}

/// Tells everything that both sides hold: every table with a record, every column with a value.
pub fn sides(sides: &PerSide<Memory>) -> String {
    let mut out = String::new();
    for side in Side::BOTH {
        let memory = sides.of(side);
        let tables: Vec<String> = memory.tables.lock().unwrap().keys().cloned().collect();
        for table in tables {
            let records = memory.all(&table);
            let has_value = |column: &&str| {
                records.values().any(|values| values.get(*column).is_some_and(|value| !value.is_empty()))
            };
            let shown: Vec<&str> = columns(side, &table).into_iter().filter(has_value).collect();
            let mut rows: Vec<Vec<String>> = records
                .iter()
                .map(|(id, values)| {
                    let cell = |column: &&str| refer(memory, values.get(*column).cloned().unwrap_or_default());
                    std::iter::once(record(memory, &table, *id)).chain(shown.iter().map(cell)).collect()
                })
                .collect();
            if rows.is_empty() {
                continue;
            }
            // By number; new ones behind, by their names.
            rows.sort_by_key(|row| (row[0].parse::<u128>().unwrap_or(u128::MAX), row[0].clone()));
            rows.insert(0, std::iter::once("id").chain(shown).map(str::to_owned).collect());
            let widths: Vec<usize> = (0..rows[0].len())
                .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default())
                .collect();
            let _ = writeln!(out, "{} {table}", side.name());
            for row in rows {
                let cells: Vec<String> =
                    row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
                let _ = writeln!(out, "  {}", cells.join(" | ").trim_end());
            }
        }
    }
    out
}

/// Writes a reference as the record that it points to.
fn refer(memory: &Memory, value: String) -> String {
    let Ok(id) = value.parse::<Uuid>() else { return value };
    let tables: Vec<String> = memory.tables.lock().unwrap().keys().cloned().collect();
    let found = tables.iter().find(|table| memory.all(table).contains_key(&id));
    found.map_or(value, |table| record(memory, table, id))
}
