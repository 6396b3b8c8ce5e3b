//! How far table maps were read: the rows of `watermark`.
//!
//! Every function works within the caller's transaction. A watermark is replaced as a whole; what it means, and whether it
//! may go back, is not judged here.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Row};
use uuid::Uuid;

use crate::adapters::sqlite::couplings::table_map_for_writing;
use crate::adapters::sqlite::trouble::Trouble;
use crate::config::PerSide;
use crate::store::Watermark;

/// Reads all watermarks, by table map.
pub(super) fn load(connection: &Connection) -> Result<BTreeMap<String, Watermark>, Trouble> {
    let mut statement = connection.prepare_cached(
        "SELECT name, fingerprint, erp_read_to, crm_read_to, erp_token, crm_token, erp_seen, crm_seen FROM watermark \
         JOIN table_map ON table_map.id = watermark.table_map",
    )?;
    let mut rows = statement.query(())?;
    let mut marks = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let mark = Watermark {
            fingerprint: row.get(1)?,
            read_to: PerSide { erp: time(row, 2)?, crm: time(row, 3)? },
            token: PerSide { erp: row.get(4)?, crm: row.get(5)? },
            seen: PerSide { erp: seen(row, 6)?, crm: seen(row, 7)? },
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
            "INSERT OR REPLACE INTO watermark \
             (table_map, fingerprint, erp_read_to, crm_read_to, erp_token, crm_token, erp_seen, crm_seen) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            table_map,
            &mark.fingerprint,
            milliseconds(mark.read_to.erp),
            milliseconds(mark.read_to.crm),
            &mark.token.erp,
            &mark.token.crm,
            encode(&mark.seen.erp),
            encode(&mark.seen.crm),
        ))?;
    Ok(())
}

/// Bytes of one record that will come again.
const SEEN_BYTES: usize = 24;

fn encode(seen: &[(Uuid, u64)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(seen.len() * SEEN_BYTES);
    for (id, version) in seen {
        bytes.extend_from_slice(id.as_bytes());
        bytes.extend_from_slice(&version.to_le_bytes());
    }
    bytes
}

fn seen(row: &Row<'_>, column: usize) -> Result<Vec<(Uuid, u64)>, Trouble> {
    let broken = || Trouble::Broken("the records at a watermark are cut".to_owned());
    let bytes = row.get_ref(column)?.as_blob().map_err(|_| broken())?;
    let decode = |bytes: &[u8]| {
        let (id, version) = bytes.split_at_checked(16)?;
        Some((Uuid::from_slice(id).ok()?, u64::from_le_bytes(version.try_into().ok()?)))
    };
    bytes.chunks(SEEN_BYTES).map(|bytes| decode(bytes).ok_or_else(broken)).collect()
}

fn time(row: &Row<'_>, column: usize) -> Result<Option<DateTime<Utc>>, Trouble> {
    let Some(milliseconds) = row.get::<_, Option<i64>>(column)? else { return Ok(None) };
    let broken = || Trouble::Broken(format!("a watermark has the impossible time {milliseconds}"));
    DateTime::from_timestamp_millis(milliseconds).map(Some).ok_or_else(broken)
}
