//! What people answered to the inbox: the rows of `decision`, and what of `inbox`, `refusal`, `coupling` and `survivor`
//! follows from an answer. Every function works within the caller's transaction.

use std::collections::{BTreeSet, HashSet};

use rusqlite::Connection;
use uuid::Uuid;

use crate::adapters::sqlite::couplings::{change, id, side_of, table_map, table_map_for_writing};
use crate::adapters::sqlite::trouble::Trouble;
use crate::adapters::sqlite::{lease, refusals};
use crate::config::PerSide;
use crate::store::{CouplingChange, Decided, Decision, Reply, Settlement, Survivor};

/// Takes answers.
pub(super) fn reply(connection: &Connection, replies: &[Reply], now: &str) -> Result<(), Trouble> {
    let mut parted_from: BTreeSet<&str> = BTreeSet::new();
    for reply in replies {
        match reply {
            Reply::Decide(decision) => decide(connection, decision, now)?,
            Reply::Withdraw(decision) => forget(connection, decision)?,
            Reply::Retry { table, erp, crm, .. } => drop(refusals::forget(connection, table, *erp, *crm)?),
            Reply::Part { table, ids, record } => {
                let parted = CouplingChange::KeepApart { erp: ids.erp, crm: ids.crm, record: record.clone() };
                change(connection, table, &[parted], lease::seconds(now)?)?;
                let table_map = table_map_for_writing(connection, table)?;
                let pair = (table_map, ids.erp.as_bytes(), ids.crm.as_bytes());
                connection.execute("DELETE FROM inbox WHERE table_map = ?1 AND erp_id = ?2 AND crm_id = ?3", pair)?;
                connection
                    .execute("DELETE FROM survivor WHERE table_map = ?1 AND erp_id = ?2 AND crm_id = ?3", pair)?;
                refusals::forget(connection, table, Some(ids.erp), Some(ids.crm))?;
                parted_from.insert(table);
            }
        }
    }
    parted_from.into_iter().try_for_each(|table| end(connection, table, &[], now))
}

/// Forgets what stands about the same, so that nothing tells of it any more.
fn forget(connection: &Connection, decision: &Decision) -> Result<(), Trouble> {
    let table_map = table_map_for_writing(connection, &decision.table)?;
    let (erp, crm) = (decision.ids.erp.as_bytes(), decision.ids.crm.as_bytes());
    connection.execute(
        "DELETE FROM decision WHERE table_map = ?1 AND erp_id = ?2 AND crm_id = ?3 AND field IS ?4 AND ended IS NULL",
        (table_map, erp, crm, &decision.field),
    )?;
    connection.execute(
        "UPDATE inbox SET outstanding = 0 WHERE table_map = ?1 AND erp_id = ?2 AND crm_id = ?3 AND field IS ?4",
        (table_map, erp, crm, decision.field_name()),
    )?;
    Ok(())
}

fn decide(connection: &Connection, decision: &Decision, now: &str) -> Result<(), Trouble> {
    forget(connection, decision)?;
    let table_map = table_map_for_writing(connection, &decision.table)?;
    let (erp, crm) = (decision.ids.erp.as_bytes(), decision.ids.crm.as_bytes());
    connection.execute(
        "INSERT INTO decision (table_map, record, erp_id, crm_id, field, decided, erp, crm, seen, at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, \
         (SELECT print FROM survivor WHERE table_map = ?1 AND erp_id = ?3 AND crm_id = ?4), ?9)",
        (
            table_map,
            &decision.record,
            erp,
            crm,
            &decision.field,
            decision.verdict.to_string(),
            &decision.values.erp,
            &decision.values.crm,
            now,
        ),
    )?;
    Ok(())
}

/// Returns what was decided, of all table maps or of one, oldest first.
pub(super) fn load(connection: &Connection, table: Option<&str>) -> Result<Vec<Decision>, Trouble> {
    let mut statement = connection.prepare_cached(
        "SELECT name, record, erp_id, crm_id, field, decided, erp, crm, seen, at, unmet, ended FROM decision \
         JOIN table_map ON table_map.id = decision.table_map WHERE ?1 IS NULL OR name = ?1 ORDER BY decision.id",
    )?;
    let mut rows = statement.query((table,))?;
    let mut decisions = Vec::new();
    while let Some(row) = rows.next()? {
        let decided: String = row.get(5)?;
        decisions.push(Decision {
            table: row.get(0)?,
            record: row.get(1)?,
            ids: PerSide { erp: id(row, 2)?, crm: id(row, 3)? },
            field: row.get(4)?,
            verdict: Decided::parse(&decided).ok_or_else(|| Trouble::Broken(format!("`{decided}` is no decision")))?,
            values: PerSide { erp: row.get(6)?, crm: row.get(7)? },
            seen: row.get::<_, Option<i64>>(8)?.map(i64::cast_unsigned),
            at: row.get(9)?,
            unmet: row.get(10)?,
            ended: row.get(11)?,
        });
    }
    Ok(decisions)
}

/// Ends decisions of a table map: those named, and those about pairs that are not coupled any more.
pub(super) fn end(
    connection: &Connection,
    table: &str,
    done: &[(PerSide<Uuid>, Option<String>)],
    now: &str,
) -> Result<(), Trouble> {
    let Some(table_map) = table_map(connection, table)? else { return Ok(()) };
    for (ids, field) in done {
        connection.execute(
            "UPDATE decision SET ended = ?5 \
             WHERE table_map = ?1 AND erp_id = ?2 AND crm_id = ?3 AND field IS ?4 AND ended IS NULL",
            (table_map, ids.erp.as_bytes(), ids.crm.as_bytes(), field, now),
        )?;
    }
    connection.execute(
        "UPDATE decision SET ended = ?2 WHERE table_map = ?1 AND ended IS NULL AND NOT EXISTS \
         (SELECT 1 FROM coupling WHERE coupling.table_map = ?1 AND coupling.erp = erp_id AND coupling.crm = crm_id)",
        (table_map, now),
    )?;
    Ok(())
}

/// Ends the decisions about fields that are settled by now: what both sides are remembered to agree on, nobody has to decide
/// any more, whatever becomes of the run that carried it out.
pub(super) fn end_settled(
    connection: &Connection,
    table: &str,
    fields: &[String],
    settled: &[Settlement],
    now: &str,
) -> Result<(), Trouble> {
    let Some(table_map) = table_map(connection, table)? else { return Ok(()) };
    let mut statement = connection.prepare_cached(
        "SELECT erp_id, crm_id, field FROM decision WHERE table_map = ?1 AND ended IS NULL AND field IS NOT NULL",
    )?;
    let mut rows = statement.query((table_map,))?;
    let mut open: HashSet<(Uuid, Uuid, String)> = HashSet::new();
    while let Some(row) = rows.next()? {
        open.insert((id(row, 0)?, id(row, 1)?, row.get(2)?));
    }
    if open.is_empty() {
        return Ok(());
    }
    let done = settled.iter().flat_map(|one| {
        let ids = PerSide { erp: one.erp, crm: one.crm };
        let fields = one.values.iter().map(|(field, _)| fields[*field].clone());
        fields.filter(|field| open.contains(&(one.erp, one.crm, field.clone()))).map(move |field| (ids, Some(field)))
    });
    let done: Vec<(PerSide<Uuid>, Option<String>)> = done.collect();
    if done.is_empty() { Ok(()) } else { end(connection, table, &done, now) }
}

/// Notes that the decisions about these, by pair and field key, stand and could not be carried out.
pub(super) fn note_unmet(
    connection: &Connection,
    table: &str,
    subjects: &[(PerSide<Uuid>, Option<String>)],
    now: &str,
) -> Result<(), Trouble> {
    let Some(table_map) = table_map(connection, table)? else { return Ok(()) };
    for (ids, field) in subjects {
        connection.execute(
            "UPDATE decision SET unmet = ?5 \
             WHERE table_map = ?1 AND erp_id = ?2 AND crm_id = ?3 AND field IS ?4 AND ended IS NULL",
            (table_map, ids.erp.as_bytes(), ids.crm.as_bytes(), field, now),
        )?;
    }
    Ok(())
}

/// Returns what is known of the survivors of a table map.
pub(super) fn survivors(connection: &Connection, table: &str) -> Result<Vec<Survivor>, Trouble> {
    let Some(table_map) = table_map(connection, table)? else { return Ok(Vec::new()) };
    let mut statement =
        connection.prepare_cached("SELECT erp_id, crm_id, side, print FROM survivor WHERE table_map = ?1")?;
    let mut rows = statement.query((table_map,))?;
    let mut survivors = Vec::new();
    while let Some(row) = rows.next()? {
        survivors.push(Survivor {
            ids: PerSide { erp: id(row, 0)?, crm: id(row, 1)? },
            left: side_of(&row.get::<_, String>(2)?)?,
            print: row.get::<_, Option<i64>>(3)?.map(i64::cast_unsigned),
        });
    }
    Ok(survivors)
}

/// Replaces what is known of the survivors of a table map; of two about the same pair the later one counts.
pub(super) fn replace_survivors(connection: &Connection, table: &str, survivors: &[Survivor]) -> Result<(), Trouble> {
    let table_map = table_map_for_writing(connection, table)?;
    connection.execute("DELETE FROM survivor WHERE table_map = ?1", (table_map,))?;
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO survivor (table_map, erp_id, crm_id, side, print) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for Survivor { ids, left, print } in survivors {
        let print = print.map(u64::cast_signed);
        insert.execute((table_map, ids.erp.as_bytes(), ids.crm.as_bytes(), left.key(), print))?;
    }
    Ok(())
}
