//! Keys of coupled records whose ids do not tell them: the rows of `record_key`.
//!
//! What a key means, and whether it is that of its id, is not known here.

use std::collections::HashMap;

use rusqlite::Connection;
use uuid::Uuid;

use crate::adapters::sqlite::couplings;
use crate::adapters::sqlite::trouble::Trouble;
use crate::config::Side;

/// Returns the keys that are remembered of a side of a table map.
pub(super) fn load(connection: &Connection, table: &str, side: Side) -> Result<HashMap<Uuid, Vec<String>>, Trouble> {
    let Some(table_map) = couplings::table_map(connection, table)? else { return Ok(HashMap::new()) };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {}, key FROM coupling JOIN record_key ON record_key.coupling = coupling.id \
         WHERE coupling.id BETWEEN ?1 AND ?2 AND side = ?3",
        side.key()
    ))?;
    let (first, last) = couplings::ids(table_map);
    let mut rows = statement.query((first, last, side.key()))?;
    let mut keys = HashMap::new();
    while let Some(row) = rows.next()? {
        let key = serde_json::from_str(&row.get::<_, String>(1)?)
            .map_err(|_| Trouble::Broken("the key of a record is no list of texts".to_owned()))?;
        keys.insert(couplings::id(row, 0)?, key);
    }
    Ok(keys)
}

/// Returns the coupled records of a side of which no key is remembered.
pub(super) fn missing(connection: &Connection, table: &str, side: Side) -> Result<Vec<Uuid>, Trouble> {
    let Some(table_map) = couplings::table_map(connection, table)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {} FROM coupling WHERE id BETWEEN ?1 AND ?2 \
         AND NOT EXISTS (SELECT 1 FROM record_key WHERE record_key.coupling = coupling.id AND side = ?3) ORDER BY id",
        side.key()
    ))?;
    let (first, last) = couplings::ids(table_map);
    let mut rows = statement.query((first, last, side.key()))?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        ids.push(couplings::id(row, 0)?);
    }
    Ok(ids)
}

/// Remembers keys, of those that are coupled.
pub(super) fn remember(
    connection: &Connection,
    table: &str,
    side: Side,
    keys: &[(Uuid, Vec<String>)],
) -> Result<(), Trouble> {
    let Some(table_map) = couplings::table_map(connection, table)? else { return Ok(()) };
    let mut insert = connection.prepare_cached(&format!(
        "INSERT OR REPLACE INTO record_key (coupling, side, key) \
         SELECT id, ?2, ?4 FROM coupling WHERE table_map = ?1 AND {} = ?3",
        side.key()
    ))?;
    for (id, key) in keys {
        insert.execute((table_map, side.key(), id.as_bytes(), serde_json::Value::from(key.as_slice()).to_string()))?;
    }
    Ok(())
}
