//! Runs, and the journal of what they wrote: the rows of `run` and `journal`.
//!
//! Every function works within the caller's transaction. What the last [`RUNS_KEPT`] runs wrote is kept, older answers
//! go when a run ends; an intent without answer stays until it has one.

use rusqlite::{Connection, Params, Row};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::adapters::sqlite::couplings::{id, table_map, table_map_for_writing};
use crate::adapters::sqlite::trouble::Trouble;
use crate::config::{PerSide, Side};
use crate::store::{Agreed, Answer, Intent, JournalRow, OpenIntent, RunRow};

/// How many runs, and the writes of how many runs, are kept.
pub(super) const RUNS_KEPT: i64 = 100;

/// The report of what people do by hand.
const BY_HAND: &str = "{}";

/// Writes intents; returns their numbers.
pub(super) fn intend(connection: &Connection, run: &str, intents: &[Intent], now: &str) -> Result<Vec<i64>, Trouble> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO journal (run, table_map, side, action, record_id, partner_id, record, fields, intended_at, why, also, \
         agreed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?;
    let mut numbers = Vec::with_capacity(intents.len());
    for intent in intents {
        let table_map = table_map_for_writing(connection, &intent.table)?;
        let fields = serde_json::to_string(&intent.fields).expect("texts are always JSON");
        numbers.push(insert.insert((
            run,
            table_map,
            intent.side.key(),
            &intent.action,
            intent.id.as_bytes(),
            intent.partner.as_bytes(),
            &intent.record,
            fields,
            now,
            &intent.why,
            &intent.also,
            encode(&intent.agreed),
        ))?);
    }
    Ok(numbers)
}

/// Writes what became of intents.
pub(super) fn answer(connection: &Connection, answers: &[Answer], now: &str) -> Result<(), Trouble> {
    let mut update = connection.prepare_cached(
        "UPDATE journal SET outcome = ?2, message = ?3, answered_at = ?4, agreed = NULL WHERE id = ?1",
    )?;
    for answer in answers {
        if update.execute((answer.journal_id, &answer.outcome, &answer.message, now))? == 0 {
            return Err(Trouble::Refused(format!("the journal has no intent {} to answer", answer.journal_id)));
        }
    }
    Ok(())
}

/// The text of what is agreed on in a field: its key, fingerprints and values, the ERP's first, and the terms, which an older
/// program did not tell.
#[derive(Serialize, Deserialize)]
struct AgreedText(String, u64, u64, String, String, #[serde(default)] u64);

/// Returns the text of what is agreed on; none where that is nothing.
fn encode(agreed: &[Agreed]) -> Option<String> {
    let entry = |Agreed { field, base, values, terms }: &Agreed| {
        AgreedText(field.clone(), base.erp, base.crm, values.erp.clone(), values.crm.clone(), *terms)
    };
    let text = || serde_json::to_string(&agreed.iter().map(entry).collect::<Vec<AgreedText>>());
    (!agreed.is_empty()).then(|| text().expect("texts and numbers are always JSON"))
}

/// Reads what [`encode`] writes; `None` where the text is another one.
fn decode(text: Option<&str>) -> Option<Vec<Agreed>> {
    let Some(text) = text else { return Some(Vec::new()) };
    let agreed = |AgreedText(field, erp, crm, erp_value, crm_value, terms)| Agreed {
        field,
        base: PerSide { erp, crm },
        values: PerSide { erp: erp_value, crm: crm_value },
        terms,
    };
    Some(serde_json::from_str::<Vec<AgreedText>>(text).ok()?.into_iter().map(agreed).collect())
}

/// A row of [`COLUMNS`]: the number of the intent, and the row.
type Entry = (i64, JournalRow);

const COLUMNS: &str = "journal.id, name, side, action, record_id, partner_id, record, fields, run, intended_at, outcome, \
                       message, answered_at, why, also, agreed";

fn entry(row: &Row<'_>) -> Result<Entry, Trouble> {
    let journal_id = row.get(0)?;
    let broken = |what: &str| Trouble::Broken(format!("{what} of intent {journal_id} cannot be read"));
    let side: String = row.get(2)?;
    let fields: String = row.get(7)?;
    let intent = Intent {
        table: row.get(1)?,
        side: Side::BOTH.into_iter().find(|known| known.key() == side).ok_or_else(|| broken("the side"))?,
        action: row.get(3)?,
        id: id(row, 4)?,
        partner: id(row, 5)?,
        record: row.get(6)?,
        also: row.get(14)?,
        fields: serde_json::from_str(&fields).map_err(|_| broken("the fields"))?,
        why: row.get(13)?,
        agreed: decode(row.get::<_, Option<String>>(15)?.as_deref()).ok_or_else(|| broken("what is agreed"))?,
    };
    let row = JournalRow {
        run: row.get(8)?,
        intent,
        intended_at: row.get(9)?,
        outcome: row.get(10)?,
        message: row.get(11)?,
        answered_at: row.get(12)?,
    };
    Ok((journal_id, row))
}

fn entries(connection: &Connection, condition: &str, parameters: impl Params) -> Result<Vec<Entry>, Trouble> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM journal JOIN table_map ON table_map.id = journal.table_map WHERE {condition}"
    ))?;
    let mut rows = statement.query(parameters)?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(entry(row)?);
    }
    Ok(entries)
}

/// Returns the intents of a table map that have no answer yet, oldest first.
pub(super) fn open_intents(connection: &Connection, table: &str) -> Result<Vec<OpenIntent>, Trouble> {
    let Some(table_map) = table_map(connection, table)? else { return Ok(Vec::new()) };
    let condition = "journal.table_map = ?1 AND outcome IS NULL ORDER BY journal.id";
    let entries = entries(connection, condition, (table_map,))?;
    Ok(entries.into_iter().map(|(journal_id, row)| OpenIntent { journal_id, intent: row.intent }).collect())
}

/// Returns the writes of a run, in their order.
pub(super) fn writes_of_run(connection: &Connection, run: &str) -> Result<Vec<JournalRow>, Trouble> {
    let entries = entries(connection, "run = ?1 ORDER BY journal.id", (run,))?;
    Ok(entries.into_iter().map(|(_, row)| row).collect())
}

/// Returns the writes to a record of a table map and to whatever was its partner then, newest first.
pub(super) fn writes_to(
    connection: &Connection,
    table: &str,
    ids: PerSide<Option<Uuid>>,
    rows_max: usize,
) -> Result<Vec<JournalRow>, Trouble> {
    let Some(table_map) = table_map(connection, table)? else { return Ok(Vec::new()) };
    let condition = "journal.table_map = ?1 AND ((side = 'erp' AND (record_id IS ?2 OR partner_id IS ?3)) \
                     OR (side = 'crm' AND (record_id IS ?3 OR partner_id IS ?2))) ORDER BY journal.id DESC LIMIT ?4";
    let rows_max = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let (erp, crm) = (ids.erp.map(Uuid::into_bytes), ids.crm.map(Uuid::into_bytes));
    let entries = entries(connection, condition, (table_map, erp, crm, rows_max))?;
    Ok(entries.into_iter().map(|(_, row)| row).collect())
}

/// Returns the writes of a table map whose intents are of this moment or later, oldest first; moments are texts of one form,
/// so their order is that of time.
pub(super) fn writes_since(connection: &Connection, table: &str, moment: &str) -> Result<Vec<JournalRow>, Trouble> {
    let Some(table_map) = table_map(connection, table)? else { return Ok(Vec::new()) };
    let condition = "journal.table_map = ?1 AND intended_at >= ?2 ORDER BY journal.id";
    let entries = entries(connection, condition, (table_map, moment))?;
    Ok(entries.into_iter().map(|(_, row)| row).collect())
}

/// Returns the writes to whatever was called so on either side of a table map, newest first.
pub(super) fn writes_named(
    connection: &Connection,
    table: &str,
    record: &str,
    rows_max: usize,
) -> Result<Vec<JournalRow>, Trouble> {
    let Some(table_map) = table_map(connection, table)? else { return Ok(Vec::new()) };
    let condition = "journal.table_map = ?1 AND (record = ?2 COLLATE NOCASE OR also = ?2 COLLATE NOCASE) \
                     ORDER BY journal.id DESC LIMIT ?3";
    let rows_max = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let entries = entries(connection, condition, (table_map, record, rows_max))?;
    Ok(entries.into_iter().map(|(_, row)| row).collect())
}

/// Notes that a run began.
pub(super) fn begin_run(connection: &Connection, run: &str, started: &str) -> Result<(), Trouble> {
    connection.execute(
        "INSERT INTO run (run, started, outcome, report, journal_before) \
         VALUES (?1, ?2, '', '', (SELECT coalesce(max(id), 0) FROM journal)) ON CONFLICT (run) DO NOTHING",
        (run, started),
    )?;
    Ok(())
}

/// Notes how a run ended, and forgets what is too old.
pub(super) fn finish_run(connection: &Connection, row: &RunRow) -> Result<(), Trouble> {
    begin_run(connection, &row.run, &row.started)?;
    connection.execute(
        "UPDATE run SET finished = ?2, outcome = ?3, report = ?4 WHERE run = ?1",
        (&row.run, &row.finished, &row.outcome, &row.report),
    )?;
    // What people do by hand has no report, and however much it is, it does not push out what the nights did.
    let newest =
        |report: &str| format!("SELECT id FROM run WHERE report {report} '{BY_HAND}' ORDER BY id DESC LIMIT ?1");
    let old = format!("DELETE FROM run WHERE id NOT IN ({}) AND id NOT IN ({})", newest("<>"), newest("="));
    connection.execute(&old, (RUNS_KEPT,))?;
    connection.execute(
        "DELETE FROM journal WHERE outcome IS NOT NULL \
         AND id <= (SELECT journal_before FROM run ORDER BY id LIMIT 1)",
        (),
    )?;
    connection.execute("DELETE FROM decision WHERE ended < (SELECT started FROM run ORDER BY id LIMIT 1)", ())?;
    Ok(())
}

/// Returns the newest runs first.
pub(super) fn runs(connection: &Connection, rows_max: usize) -> Result<Vec<RunRow>, Trouble> {
    let mut statement = connection
        .prepare_cached("SELECT run, started, finished, outcome, report FROM run ORDER BY id DESC LIMIT ?1")?;
    let rows_max = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let rows = statement.query_map((rows_max,), |row| {
        Ok(RunRow {
            run: row.get(0)?,
            started: row.get(1)?,
            finished: row.get(2)?,
            outcome: row.get(3)?,
            report: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// An older program did not tell how the values are to each other: it agreed on what it sent.
#[test]
fn what_an_older_program_agreed_on_is_read() {
    let agreed = decode(Some(r#"[["name=name",18446744073709551615,2,"A","B"]]"#)).expect("it is whole");
    let values = PerSide { erp: "A".to_owned(), crm: "B".to_owned() };
    let base = PerSide { erp: u64::MAX, crm: 2 };
    let expected = [Agreed { field: "name=name".to_owned(), base, values, terms: crate::store::Terms::AGREED }];
    assert_eq!(agreed, expected);
    assert_eq!(decode(encode(&agreed).as_deref()).as_deref(), Some(&expected[..]));
}
