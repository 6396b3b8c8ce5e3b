//! What the state belongs to: the one row of `binding`, and the tables behind each table map.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use crate::adapters::sqlite::couplings::table_map_for_writing;
use crate::adapters::sqlite::trouble::Trouble;
use crate::binding::Binding;
use crate::config::PerSide;
use crate::endpoint::Identity;

/// Returns what the state belongs to; `None` where no run has said so.
pub(super) fn load(connection: &Connection) -> Result<Option<Binding>, Trouble> {
    let question = "SELECT pipeline, erp_id, erp_name, crm_id, crm_name FROM binding";
    let binding = connection.query_row(question, (), |row| {
        let identity = |id: usize, name: usize| {
            Ok::<_, rusqlite::Error>(Identity { id: Uuid::from_bytes(row.get(id)?), name: row.get(name)? })
        };
        Ok(Binding { pipeline: row.get(0)?, sides: PerSide { erp: identity(1, 2)?, crm: identity(3, 4)? } })
    });
    Ok(binding.optional()?)
}

/// Notes what the state belongs to, within the caller's transaction.
pub(super) fn replace(connection: &Connection, binding: &Binding) -> Result<(), Trouble> {
    let PerSide { erp, crm } = &binding.sides;
    connection.execute(
        "INSERT OR REPLACE INTO binding (id, pipeline, erp_id, erp_name, crm_id, crm_name) \
         VALUES (1, ?1, ?2, ?3, ?4, ?5)",
        (&binding.pipeline, erp.id.into_bytes(), &erp.name, crm.id.into_bytes(), &crm.name),
    )?;
    Ok(())
}

/// Returns of which tables the couplings of each table map are, as far as that was noted.
pub(super) fn tables(connection: &Connection) -> Result<BTreeMap<String, PerSide<String>>, Trouble> {
    let question = "SELECT name, erp_table, crm_table FROM table_map \
                    WHERE erp_table IS NOT NULL AND crm_table IS NOT NULL";
    let mut statement = connection.prepare(question)?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, PerSide { erp: row.get(1)?, crm: row.get(2)? })))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Notes of which tables the couplings of a table map are, within the caller's transaction.
pub(super) fn note_tables(connection: &Connection, table: &str, tables: &PerSide<String>) -> Result<(), Trouble> {
    let id = table_map_for_writing(connection, table)?;
    connection
        .execute("UPDATE table_map SET erp_table = ?2, crm_table = ?3 WHERE id = ?1", (id, &tables.erp, &tables.crm))?;
    Ok(())
}
