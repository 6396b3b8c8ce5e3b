//! What waits for a person: the rows of `inbox`.
//!
//! Every function works within the caller's transaction. Something that is raised again is the same thing as before
//! where kind, field and both ids are the same (without ids: where the record's name is), whatever the message says
//! now: it keeps its `since`, and counts on once a run. What comes with its `since` was not looked at: it stays.

use std::collections::HashMap;

use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use crate::adapters::sqlite::couplings::{optional_id, table_map, table_map_for_writing};
use crate::adapters::sqlite::decisions;
use crate::adapters::sqlite::trouble::Trouble;
use crate::config::PerSide;
use crate::store::pairs::Decisions;
use crate::store::{Background, InboxItem, InboxKind, Outstanding};

#[derive(PartialEq, Eq, Hash)]
struct Identity {
    kind: InboxKind,
    erp_id: Option<Uuid>,
    crm_id: Option<Uuid>,
    field: Option<String>,
    /// Only where there is no id: a record may get another name.
    record: Option<String>,
}

impl Identity {
    fn of(item: &InboxItem) -> Identity {
        let nameless = item.erp_id.is_none() && item.crm_id.is_none();
        Identity {
            kind: item.kind,
            erp_id: item.erp_id,
            crm_id: item.crm_id,
            field: item.field.clone(),
            record: nameless.then(|| item.record.clone()),
        }
    }
}

const COLUMNS: &str = "name, record, kind, erp_id, crm_id, field, base, erp, crm, message, since, attempts, run, \
     crm_record, erp_modified, crm_modified, crm_modified_by, outstanding, unreadable";

/// Reads a row of [`COLUMNS`]: what waits, and the run that counted it last. The decision that stands about it is one of
/// `standing`.
fn item(row: &Row<'_>, standing: &Decisions<'_>) -> Result<(InboxItem, Option<String>), Trouble> {
    let kind: String = row.get(2)?;
    let mut item = InboxItem {
        table: row.get(0)?,
        record: row.get(1)?,
        kind: InboxKind::from_key(&kind)
            .ok_or_else(|| Trouble::Broken(format!("the inbox has the unknown kind `{kind}`")))?,
        erp_id: optional_id(row, 3)?,
        crm_id: optional_id(row, 4)?,
        field: row.get(5)?,
        base: row.get(6)?,
        erp: row.get(7)?,
        crm: row.get(8)?,
        message: row.get(9)?,
        outstanding: None,
        since: row.get(10)?,
        attempts: row.get(11)?,
        background: Background {
            crm_record: row.get(13)?,
            modified: PerSide { erp: row.get(14)?, crm: row.get(15)? },
            crm_modified_by: row.get(16)?,
            unreadable: row.get(18)?,
        },
    };
    if row.get(17)? {
        item.outstanding = standing.on_field_of(&item).map(|decision| Outstanding {
            verdict: decision.verdict.clone(),
            values: decision.values.clone(),
            on: decision.at.get(..10).unwrap_or(&decision.at).to_owned(),
        });
    }
    Ok((item, row.get(12)?))
}

fn rows(connection: &Connection, table_map: Option<i64>) -> Result<Vec<(InboxItem, Option<String>)>, Trouble> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM inbox JOIN table_map ON table_map.id = inbox.table_map \
         WHERE ?1 IS NULL OR table_map = ?1 ORDER BY table_map, inbox.id"
    ))?;
    let mut standing = decisions::load(connection, None)?;
    standing.retain(|decision| decision.ended.is_none());
    let standing = Decisions::new(&standing);
    let mut rows = statement.query((table_map,))?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(item(row, &standing)?);
    }
    Ok(items)
}

/// Returns what waits, of all table maps or of one.
pub(super) fn load(connection: &Connection, table: Option<&str>) -> Result<Vec<InboxItem>, Trouble> {
    let table_map = match table {
        None => None,
        Some(table) => match table_map(connection, table)? {
            None => return Ok(Vec::new()),
            known => known,
        },
    };
    Ok(rows(connection, table_map)?.into_iter().map(|(item, _)| item).collect())
}

/// Replaces what waits in a table map.
pub(super) fn replace(
    connection: &Connection,
    table: &str,
    items: &[InboxItem],
    run: Option<&str>,
    now: &str,
) -> Result<(), Trouble> {
    let table_map = table_map_for_writing(connection, table)?;
    let before: HashMap<Identity, (InboxItem, Option<String>)> =
        rows(connection, Some(table_map))?.into_iter().map(|row| (Identity::of(&row.0), row)).collect();
    connection.execute("DELETE FROM inbox WHERE table_map = ?1", (table_map,))?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO inbox (table_map, record, kind, erp_id, crm_id, field, base, erp, crm, message, since, attempts, run, \
         crm_record, erp_modified, crm_modified, crm_modified_by, outstanding, unreadable) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
    )?;
    for item in items {
        let (since, attempts, counted) = match before.get(&Identity::of(item)) {
            None => (now, 1, run),
            Some((earlier, counted)) if !item.since.is_empty() || (run.is_some() && counted.as_deref() == run) => {
                (earlier.since.as_str(), earlier.attempts, counted.as_deref())
            }
            Some((earlier, _)) => (earlier.since.as_str(), earlier.attempts.saturating_add(1), run),
        };
        let Background { crm_record, modified, crm_modified_by, unreadable } = &item.background;
        insert.execute(params![
            table_map,
            &item.record,
            item.kind.key(),
            item.erp_id.map(Uuid::into_bytes),
            item.crm_id.map(Uuid::into_bytes),
            &item.field,
            &item.base,
            &item.erp,
            &item.crm,
            &item.message,
            since,
            attempts,
            counted,
            crm_record,
            &modified.erp,
            &modified.crm,
            crm_modified_by,
            item.outstanding.is_some(),
            unreadable,
        ])?;
    }
    Ok(())
}
