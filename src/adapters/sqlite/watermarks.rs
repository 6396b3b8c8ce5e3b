//! How far table maps were read: the rows of `watermark`.
//!
//! Every function works within the caller's transaction. A watermark is replaced as a whole; what it means, and whether it
//! may go back, is not judged here.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row};

use crate::adapters::sqlite::couplings::table_map_for_writing;
use crate::adapters::sqlite::trouble::Trouble;
use crate::config::PerSide;
use crate::store::Watermark;

/// Reads all watermarks, by table map.
pub(super) fn load(connection: &Connection) -> Result<BTreeMap<String, Watermark>, Trouble> {
    let mut statement = connection.prepare_cached(
        "SELECT name, fingerprint, erp_read_to, crm_read_to, erp_token, crm_token FROM watermark \
         JOIN table_map ON table_map.id = watermark.table_map",
    )?;
    let mut rows = statement.query(())?;
    let mut marks = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let mark = Watermark {
            fingerprint: row.get(1)?,
            read_to: PerSide { erp: time(row, 2)?, crm: time(row, 3)? },
            token: PerSide { erp: row.get(4)?, crm: row.get(5)? },
        };
        marks.insert(row.get(0)?, mark);
    }
    Ok(marks)
}

/// Replaces the watermark of a table map.
pub(super) fn set(connection: &Connection, table: &str, mark: &Watermark) -> Result<(), Trouble> {
    let table_map = table_map_for_writing(connection, table)?;
    let milliseconds = |time: Option<DateTime<Utc>>| time.map(|time| time.timestamp_millis());
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO watermark (table_map, fingerprint, erp_read_to, crm_read_to, erp_token, crm_token) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            table_map,
            &mark.fingerprint,
            milliseconds(mark.read_to.erp),
            milliseconds(mark.read_to.crm),
            &mark.token.erp,
            &mark.token.crm,
        ))?;
    Ok(())
}

fn time(row: &Row<'_>, column: usize) -> Result<Option<DateTime<Utc>>, Trouble> {
    let Some(milliseconds) = row.get::<_, Option<i64>>(column)? else { return Ok(None) };
    let broken = || Trouble::Broken(format!("a watermark has the impossible time {milliseconds}"));
    DateTime::from_timestamp_millis(milliseconds).map(Some).ok_or_else(broken)
}
