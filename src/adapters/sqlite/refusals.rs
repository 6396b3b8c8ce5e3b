//! Records that their side refused: the rows of `refusal`. Every function works within the caller's transaction.

use rusqlite::Connection;
use uuid::Uuid;

use crate::adapters::sqlite::couplings::{optional_id, side_of, table_map, table_map_for_writing};
use crate::adapters::sqlite::trouble::Trouble;
use crate::store::Refusal;

/// Returns the refusals of a table map.
pub(super) fn load(connection: &Connection, table: &str) -> Result<Vec<Refusal>, Trouble> {
    let Some(table_map) = table_map(connection, table)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(
        "SELECT erp_id, crm_id, message, print, times, side FROM refusal WHERE table_map = ?1 ORDER BY rowid",
    )?;
    let mut rows = statement.query((table_map,))?;
    let mut refusals = Vec::new();
    while let Some(row) = rows.next()? {
        refusals.push(Refusal {
            erp: optional_id(row, 0)?,
            crm: optional_id(row, 1)?,
            side: side_of(&row.get::<_, String>(5)?)?,
            message: row.get(2)?,
            print: row.get::<_, i64>(3)?.cast_unsigned(),
            times: row.get(4)?,
        });
    }
    Ok(refusals)
}

/// Replaces the refusals of a table map.
pub(super) fn replace(connection: &Connection, table: &str, refusals: &[Refusal]) -> Result<(), Trouble> {
    let table_map = table_map_for_writing(connection, table)?;
    connection.execute("DELETE FROM refusal WHERE table_map = ?1", (table_map,))?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO refusal (table_map, erp_id, crm_id, message, print, times, side) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for refusal in refusals {
        insert.execute((
            table_map,
            refusal.erp.map(Uuid::into_bytes),
            refusal.crm.map(Uuid::into_bytes),
            &refusal.message,
            refusal.print.cast_signed(),
            refusal.times,
            refusal.side.key(),
        ))?;
    }
    Ok(())
}

/// Forgets the refusals of one record or pair; tells whether there were any.
pub(super) fn forget(
    connection: &Connection,
    table: &str,
    erp: Option<Uuid>,
    crm: Option<Uuid>,
) -> Result<bool, Trouble> {
    let Some(table_map) = table_map(connection, table)? else { return Ok(false) };
    let forgotten = connection.execute(
        "DELETE FROM refusal WHERE table_map = ?1 AND erp_id IS ?2 AND crm_id IS ?3",
        (table_map, erp.map(Uuid::into_bytes), crm.map(Uuid::into_bytes)),
    )?;
    Ok(forgotten > 0)
}
