//! What people answered to the inbox: the rows of `decision`, and what of `inbox`, `refusal`, `coupling` and `survivor`
//! follows from an answer. Every function works within the caller's transaction.

use std::collections::{BTreeSet, HashMap};

use rusqlite::Connection;
use uuid::Uuid;

use crate::adapters::sqlite::couplings::{change, id, side_of, table_map, table_map_for_writing};
use crate::adapters::sqlite::trouble::Trouble;
use crate::adapters::sqlite::{lease, refusals};
use crate::config::PerSide;
use crate::store::{CouplingChange, Decided, Decision, Reply, Survivor};

/// A table map, both ids of a pair, and a field where it is about one.
type Subject = (i64, Uuid, Uuid, Option<String>);

/// Rows by what they are about: of thousands of answers none looks through thousands of rows for its own.
struct Rows(HashMap<Subject, Vec<i64>>);

impl Rows {
    /// Reads the ids, table maps, pairs and fields that a question returns.
    fn of(connection: &Connection, question: &str) -> Result<Rows, Trouble> {
        let mut statement = connection.prepare_cached(question)?;
        let mut found = statement.query(())?;
        let mut rows: HashMap<Subject, Vec<i64>> = HashMap::new();
        while let Some(row) = found.next()? {
            rows.entry((row.get(1)?, id(row, 2)?, id(row, 3)?, row.get(4)?)).or_default().push(row.get(0)?);
        }
        Ok(Rows(rows))
    }

    /// Reads the decisions that stand, by the key of the field.
    fn standing(connection: &Connection) -> Result<Rows, Trouble> {
        Rows::of(connection, "SELECT id, table_map, erp_id, crm_id, field FROM decision WHERE ended IS NULL")
    }

    fn get(&self, table_map: i64, ids: PerSide<Uuid>, field: Option<&str>) -> &[i64] {
        self.0.get(&(table_map, ids.erp, ids.crm, field.map(str::to_owned))).map_or(&[], Vec::as_slice)
    }
}

/// Takes answers.
pub(super) fn reply(connection: &Connection, replies: &[Reply], now: &str) -> Result<(), Trouble> {
    let mut standing = Rows::standing(connection)?;
    let told = "SELECT id, table_map, erp_id, crm_id, field FROM inbox WHERE outstanding = 1 \
         AND erp_id IS NOT NULL AND crm_id IS NOT NULL";
    let told = Rows::of(connection, told)?;
    let waiting =
        "SELECT id, table_map, erp_id, crm_id, NULL FROM inbox WHERE erp_id IS NOT NULL AND crm_id IS NOT NULL";
    let waiting = Rows::of(connection, waiting)?;
    let mut parted: BTreeSet<&str> = BTreeSet::new();
    for reply in replies {
        match reply {
            Reply::Decide(decision) => {
                forget(connection, decision, &mut standing, &told)?;
                decide(connection, decision, &mut standing, now)?;
            }
            Reply::Withdraw(decision) => forget(connection, decision, &mut standing, &told)?,
            Reply::Retry { table, erp, crm, .. } => drop(refusals::forget(connection, table, *erp, *crm)?),
            Reply::Part { table, ids, record } => {
                let change_of = CouplingChange::KeepApart { erp: ids.erp, crm: ids.crm, record: record.clone() };
                change(connection, table, &[change_of], lease::seconds(now)?)?;
                let table_map = table_map_for_writing(connection, table)?;
                for row in waiting.get(table_map, *ids, None) {
                    connection.prepare_cached("DELETE FROM inbox WHERE id = ?1")?.execute((row,))?;
                }
                let survivor = "DELETE FROM survivor WHERE table_map = ?1 AND erp_id = ?2 AND crm_id = ?3";
                let pair = (table_map, ids.erp.as_bytes(), ids.crm.as_bytes());
                connection.prepare_cached(survivor)?.execute(pair)?;
                refusals::forget(connection, table, Some(ids.erp), Some(ids.crm))?;
                parted.insert(table);
            }
        }
    }
    parted.into_iter().try_for_each(|table| end(connection, table, &[], now))
}

/// Forgets what stands about the same, so that nothing tells of it any more.
fn forget(connection: &Connection, decision: &Decision, standing: &mut Rows, told: &Rows) -> Result<(), Trouble> {
    let table_map = table_map_for_writing(connection, &decision.table)?;
    let PerSide { erp, crm } = decision.ids;
    for row in standing.0.remove(&(table_map, erp, crm, decision.field.clone())).unwrap_or_default() {
        connection.prepare_cached("DELETE FROM decision WHERE id = ?1")?.execute((row,))?;
    }
    for row in told.get(table_map, decision.ids, decision.field_name()) {
        connection.prepare_cached("UPDATE inbox SET outstanding = 0 WHERE id = ?1")?.execute((row,))?;
    }
    Ok(())
}

fn decide(connection: &Connection, decision: &Decision, standing: &mut Rows, now: &str) -> Result<(), Trouble> {
    let table_map = table_map_for_writing(connection, &decision.table)?;
    let (erp, crm) = (decision.ids.erp.as_bytes(), decision.ids.crm.as_bytes());
    let mut insert = connection.prepare_cached(
        "INSERT INTO decision (table_map, record, erp_id, crm_id, field, decided, erp, crm, seen, at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, \
         (SELECT print FROM survivor WHERE table_map = ?1 AND erp_id = ?3 AND crm_id = ?4), ?9)",
    )?;
    let row = insert.insert((
        table_map,
        &decision.record,
        erp,
        crm,
        &decision.field,
        decision.verdict.to_string(),
        &decision.values.erp,
        &decision.values.crm,
        now,
    ))?;
    let subject = (table_map, decision.ids.erp, decision.ids.crm, decision.field.clone());
    standing.0.entry(subject).or_default().push(row);
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
    if !done.is_empty() {
        let standing = Rows::standing(connection)?;
        let mut end = connection.prepare_cached("UPDATE decision SET ended = ?2 WHERE id = ?1")?;
        for row in done.iter().flat_map(|(ids, field)| standing.get(table_map, *ids, field.as_deref())) {
            end.execute((row, now))?;
        }
    }
    connection.execute(
        "UPDATE decision SET ended = ?2 WHERE table_map = ?1 AND ended IS NULL AND NOT EXISTS \
         (SELECT 1 FROM coupling WHERE coupling.table_map = ?1 AND coupling.erp = erp_id AND coupling.crm = crm_id)",
        (table_map, now),
    )?;
    Ok(())
}

/// Notes that the decisions about these, by pair and field key, stand and could not be carried out.
pub(super) fn note_unmet(
    connection: &Connection,
    table: &str,
    subjects: &[(PerSide<Uuid>, Option<String>)],
    now: &str,
) -> Result<(), Trouble> {
    let Some(table_map) = table_map(connection, table)? else { return Ok(()) };
    let standing = Rows::standing(connection)?;
    let mut note = connection.prepare_cached("UPDATE decision SET unmet = ?2 WHERE id = ?1")?;
    for row in subjects.iter().flat_map(|(ids, field)| standing.get(table_map, *ids, field.as_deref())) {
        note.execute((row, now))?;
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
