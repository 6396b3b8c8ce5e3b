//! Couplings and their bases: the rows of `coupling`, `base_value`, `table_map` and `field`.
//!
//! Every function works within the caller's transaction and touches only the rows it is given. A table map and a field
//! get their numbers when they are first written. What a fingerprint means is not known here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, ErrorCode, OptionalExtension, Row};
use uuid::Uuid;

use crate::adapters::sqlite::trouble::Trouble;
use crate::adapters::sqlite::{base, lease, sound};
use crate::config::{PerSide, Side};
use crate::store::{Agreement, Apart, Coupling, CouplingChange, Couplings, Origin, Settlement, Terms};

/// Returns the number of a table map; `None` where nothing was ever written for it.
pub(super) fn table_map(connection: &Connection, table: &str) -> Result<Option<i64>, Trouble> {
    let mut statement = connection.prepare_cached("SELECT id FROM table_map WHERE name = ?1")?;
    Ok(statement.query_row((table,), |row| row.get(0)).optional()?)
}

/// Returns the number of a table map, a new one if need be.
pub(super) fn table_map_for_writing(connection: &Connection, table: &str) -> Result<i64, Trouble> {
    if let Some(id) = table_map(connection, table)? {
        return Ok(id);
    }
    connection.execute("INSERT INTO table_map (name) VALUES (?1)", (table,))?;
    Ok(connection.last_insert_rowid())
}

/// Returns the ids that couplings of a table map may have.
pub(super) fn ids(table_map: i64) -> (i64, i64) {
    (table_map << 40, ((table_map + 1) << 40) - 1)
}

/// Reads an id out of its sixteen bytes.
pub(super) fn id(row: &Row<'_>, column: usize) -> Result<Uuid, Trouble> {
    match row.get_ref(column)? {
        ValueRef::Blob(bytes) => Uuid::from_slice(bytes).ok(),
        _ => None,
    }
    .ok_or_else(|| Trouble::Broken("an id does not have 16 bytes".to_owned()))
}

/// Reads an id that may be missing.
pub(super) fn optional_id(row: &Row<'_>, column: usize) -> Result<Option<Uuid>, Trouble> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => id(row, column).map(Some),
    }
}

/// Forgets the values behind all bases.
pub(super) fn forget_values(connection: &Connection) -> Result<(), Trouble> {
    connection.execute("DELETE FROM base_value", ())?;
    Ok(())
}

pub(super) fn blob<'a>(row: &'a Row<'_>, column: usize) -> Result<&'a [u8], Trouble> {
    row.get_ref(column)?.as_blob().map_err(|_| Trouble::Broken("a base is no sequence of bytes".to_owned()))
}

/// Returns the fields of a table map that have a number.
fn numbers(connection: &Connection, table_map: i64) -> Result<HashMap<String, u32>, Trouble> {
    let mut statement = connection.prepare_cached("SELECT key, number FROM field WHERE table_map = ?1")?;
    let rows = statement.query_map((table_map,), |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Returns the numbers of `fields`, new ones if need be.
fn numbers_for_writing(connection: &Connection, table_map: i64, fields: &[String]) -> Result<Vec<u32>, Trouble> {
    let mut known = numbers(connection, table_map)?;
    let mut next = known.values().max().map_or(0, |number| number + 1);
    let mut insert = connection.prepare_cached("INSERT INTO field (table_map, number, key) VALUES (?1, ?2, ?3)")?;
    let mut numbers = Vec::with_capacity(fields.len());
    for field in fields {
        let number = match known.get(field) {
            Some(number) => *number,
            None => {
                insert.execute((table_map, next, field))?;
                known.insert(field.clone(), next);
                next += 1;
                next - 1
            }
        };
        numbers.push(number);
    }
    Ok(numbers)
}

/// Reads all couplings of a table map, in the order in which they were made.
pub(super) fn load(connection: &Connection, table: &str, fields: &[String]) -> Result<Couplings, Trouble> {
    let mut couplings = Couplings { bases: vec![Vec::new(); fields.len()], ..Couplings::default() };
    let Some(table_map) = table_map(connection, table)? else { return Ok(couplings) };
    let numbers = numbers(connection, table_map)?;
    // For each field number the columns that ask for it: none for a field that the file does not have any more.
    let mut columns: Vec<Vec<usize>> = vec![Vec::new(); numbers.values().max().map_or(0, |max| *max as usize + 1)];
    for (column, field) in fields.iter().enumerate() {
        if let Some(number) = numbers.get(field) {
            columns[*number as usize].push(column);
        }
    }
    let question = format!("SELECT {} FROM coupling WHERE id BETWEEN ?1 AND ?2 ORDER BY id", sound::COLUMNS);
    let mut statement = connection.prepare_cached(&question)?;
    let mut rows = statement.query(ids(table_map))?;
    while let Some(row) = rows.next()? {
        let at = couplings.erp.len();
        let (_, erp, crm) = sound::coupling(row)?;
        match sound::terms(row)? {
            Some([]) => {}
            Some(terms) => {
                let mut differing = Vec::new();
                for entry in base::entries(terms) {
                    let (number, terms) = entry?;
                    differing
                        .extend(columns.get(number as usize).into_iter().flatten().map(|column| (*column, terms.erp)));
                }
                couplings.terms.differing.insert(erp, differing);
            }
            None => drop(couplings.terms.unsure.insert(erp)),
        }
        couplings.erp.push(erp);
        couplings.crm.push(crm);
        couplings.origins.push(origin(&row.get::<_, String>(3)?)?);
        for base in &mut couplings.bases {
            base.push(None);
        }
        for entry in base::entries(blob(row, 4)?) {
            let (number, prints) = entry?;
            for column in columns.get(number as usize).into_iter().flatten() {
                couplings.bases[*column][at] = Some(prints);
            }
        }
    }
    Ok(couplings)
}

/// Returns how many couplings each table map has.
pub(super) fn counts(connection: &Connection) -> Result<BTreeMap<String, u64>, Trouble> {
    let mut statement = connection.prepare_cached(
        "SELECT name, count(*) FROM coupling JOIN table_map ON table_map.id = coupling.table_map GROUP BY table_map",
    )?;
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Returns the coupling of a record.
pub(super) fn coupling_of(
    connection: &Connection,
    table: &str,
    side: Side,
    of: Uuid,
) -> Result<Option<Coupling>, Trouble> {
    let Some(table_map) = table_map(connection, table)? else { return Ok(None) };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT erp, crm, origin, coupled_at, settled_at FROM coupling WHERE table_map = ?1 AND {} = ?2",
        side.key()
    ))?;
    let mut rows = statement.query((table_map, of.as_bytes()))?;
    rows.next()?.map(coupling).transpose()
}

/// Returns what is remembered of each coupling of a table map, in the order in which they were made.
pub(super) fn coupled(connection: &Connection, table: &str) -> Result<Vec<Coupling>, Trouble> {
    let mut coupled = Vec::new();
    let Some(table_map) = table_map(connection, table)? else { return Ok(coupled) };
    let mut statement = connection.prepare_cached(
        "SELECT erp, crm, origin, coupled_at, settled_at FROM coupling WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
    )?;
    let mut rows = statement.query(ids(table_map))?;
    while let Some(row) = rows.next()? {
        coupled.push(coupling(row)?);
    }
    Ok(coupled)
}

/// Reads both ids of a coupling, its origin, when it was made and when it was settled.
fn coupling(row: &Row<'_>) -> Result<Coupling, Trouble> {
    Ok(Coupling {
        ids: PerSide { erp: id(row, 0)?, crm: id(row, 1)? },
        origin: origin(&row.get::<_, String>(2)?)?,
        coupled_at: lease::text(row.get(3)?)?,
        settled_at: row.get::<_, Option<i64>>(4)?.map(lease::text).transpose()?,
    })
}

/// Returns since when a record is kept apart.
pub(super) fn kept_apart_since(
    connection: &Connection,
    table: &str,
    side: Side,
    of: Uuid,
) -> Result<Option<String>, Trouble> {
    let Some(table_map) = table_map(connection, table)? else { return Ok(None) };
    let mut statement =
        connection.prepare_cached("SELECT since FROM apart WHERE table_map = ?1 AND side = ?2 AND id = ?3")?;
    let since = statement.query_row((table_map, side.key(), of.as_bytes()), |row| row.get(0)).optional()?;
    since.map(lease::text).transpose()
}

/// Returns the records of a table map that are kept apart.
pub(super) fn kept_apart(connection: &Connection, table: &str) -> Result<PerSide<HashSet<Uuid>>, Trouble> {
    let mut apart = PerSide::<HashSet<Uuid>>::default();
    let Some(table_map) = table_map(connection, table)? else { return Ok(apart) };
    let mut statement = connection.prepare_cached("SELECT side, id FROM apart WHERE table_map = ?1")?;
    let mut rows = statement.query((table_map,))?;
    while let Some(row) = rows.next()? {
        let side = side_of(&row.get::<_, String>(0)?)?;
        apart.of_mut(side).insert(id(row, 1)?);
    }
    Ok(apart)
}

/// Returns the records that are kept apart, in the order in which they were parted.
pub(super) fn apart(connection: &Connection) -> Result<Vec<Apart>, Trouble> {
    let mut statement = connection.prepare(
        "SELECT name, side, apart.id, record, since FROM apart JOIN table_map ON table_map.id = apart.table_map \
         ORDER BY table_map, since, record, side DESC, apart.id",
    )?;
    let mut rows = statement.query(())?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let since: i64 = row.get(4)?;
        all.push(Apart {
            table: row.get(0)?,
            side: side_of(&row.get::<_, String>(1)?)?,
            id: id(row, 2)?,
            record: row.get(3)?,
            since: lease::time(since),
        });
    }
    Ok(all)
}

/// Reads a side out of its key.
pub(super) fn side_of(key: &str) -> Result<Side, Trouble> {
    let side = Side::BOTH.into_iter().find(|known| known.key() == key);
    side.ok_or_else(|| Trouble::Broken(format!("`{key}` is no side")))
}

/// Returns the values behind the base of one coupling, by field key.
pub(super) fn values(
    connection: &Connection,
    table: &str,
    erp: Uuid,
    crm: Uuid,
) -> Result<BTreeMap<String, PerSide<String>>, Trouble> {
    let Some(table_map) = table_map(connection, table)? else { return Ok(BTreeMap::new()) };
    let mut statement = connection.prepare_cached(
        "SELECT data FROM coupling JOIN base_value ON base_value.coupling = coupling.id \
         WHERE table_map = ?1 AND erp = ?2 AND crm = ?3",
    )?;
    let text: Option<String> =
        statement.query_row((table_map, erp.as_bytes(), crm.as_bytes()), |row| row.get(0)).optional()?;
    let mut values = base::decode_values(text.as_deref().unwrap_or("{}"))?;
    let numbers = numbers(connection, table_map)?;
    Ok(numbers.into_iter().filter_map(|(field, number)| Some((field, values.remove(&number)?))).collect())
}

/// Returns the pairs that held a text in a field of a side when they were last settled.
pub(super) fn pairs_with(
    connection: &Connection,
    table: &str,
    field: &str,
    side: Side,
    text: &str,
) -> Result<Vec<PerSide<Uuid>>, Trouble> {
    let Some(table_map) = table_map(connection, table)? else { return Ok(Vec::new()) };
    let Some(number) = numbers(connection, table_map)?.remove(field) else { return Ok(Vec::new()) };
    let mut statement = connection.prepare_cached(
        "SELECT erp, crm, data FROM coupling JOIN base_value ON base_value.coupling = coupling.id \
         WHERE coupling.id BETWEEN ?1 AND ?2 ORDER BY coupling.id",
    )?;
    let fold = |text: &str| text.trim().to_lowercase();
    let wanted = fold(text);
    let mut pairs = Vec::new();
    let mut rows = statement.query(ids(table_map))?;
    while let Some(row) = rows.next()? {
        let values = base::decode_values(row.get_ref(2)?.as_str().unwrap_or_default())?;
        if values.get(&number).is_some_and(|value| fold(value.of(side)) == wanted) {
            pairs.push(PerSide { erp: id(row, 0)?, crm: id(row, 1)? });
        }
    }
    Ok(pairs)
}

/// Applies coupling changes, in their order.
pub(super) fn change(
    connection: &Connection,
    table: &str,
    changes: &[CouplingChange],
    now: i64,
) -> Result<(), Trouble> {
    if changes.is_empty() {
        return Ok(());
    }
    let table_map = table_map_for_writing(connection, table)?;
    let (first, last) = ids(table_map);
    let newest: Option<i64> = connection
        .prepare_cached("SELECT id FROM coupling WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 1")?
        .query_row((first, last), |row| row.get(0))
        .optional()?;
    let mut next = newest.map_or(first, |id| id + 1);
    let mut insert = connection.prepare_cached(
        "INSERT INTO coupling (id, table_map, erp, crm, origin, coupled_at, base, print, terms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, x'', ?7, x'')",
    )?;
    // What was settled goes with it, by the foreign key.
    let mut delete =
        connection.prepare_cached("DELETE FROM coupling WHERE table_map = ?1 AND erp = ?2 AND crm = ?3")?;
    let mut apart = connection.prepare_cached(
        "INSERT OR IGNORE INTO apart (table_map, side, id, since, record) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut reunite = connection.prepare_cached("DELETE FROM apart WHERE table_map = ?1 AND side = ?2 AND id = ?3")?;
    for change in changes {
        match change {
            CouplingChange::Couple { erp, crm, origin } => {
                for (side, id) in [(Side::Erp, erp), (Side::Crm, crm)] {
                    reunite.execute((table_map, side.key(), id.as_bytes()))?;
                }
                let origin = origin_text(origin);
                let print = sound::print(next, *erp, *crm, origin.as_bytes(), &[], &[]);
                let row = (next, table_map, erp.as_bytes(), crm.as_bytes(), origin, now, print);
                match insert.execute(row) {
                    Ok(_) => next += 1,
                    Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
                        refuse_unless_same(connection, table_map, table, *erp, *crm)?;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            CouplingChange::Uncouple { erp, crm } => {
                delete.execute((table_map, erp.as_bytes(), crm.as_bytes()))?;
            }
            CouplingChange::KeepApart { erp, crm, record } => {
                delete.execute((table_map, erp.as_bytes(), crm.as_bytes()))?;
                for (side, id) in [(Side::Erp, erp), (Side::Crm, crm)] {
                    apart.execute((table_map, side.key(), id.as_bytes(), now, record))?;
                }
            }
        }
    }
    Ok(())
}

fn origin(text: &str) -> Result<Origin, Trouble> {
    let rule = || text.strip_prefix("rule ").and_then(|rule| rule.parse().ok()).map(Origin::Matched);
    let side = || Side::BOTH.into_iter().find(|side| text.strip_prefix("created in ") == Some(side.key()));
    let hand = || (text == "by hand").then_some(Origin::Hand);
    rule()
        .or_else(|| side().map(Origin::Created))
        .or_else(hand)
        .ok_or_else(|| Trouble::Broken(format!("`{text}` is no origin of a coupling")))
}

fn origin_text(origin: &Origin) -> String {
    match origin {
        Origin::Matched(rule) => format!("rule {rule}"),
        Origin::Created(side) => format!("created in {}", side.key()),
        Origin::Hand => "by hand".to_owned(),
    }
}

/// Names the couplings that stand in the way of a new one; the very same one does not.
fn refuse_unless_same(
    connection: &Connection,
    table_map: i64,
    table: &str,
    erp: Uuid,
    crm: Uuid,
) -> Result<(), Trouble> {
    let mut statement =
        connection.prepare("SELECT erp, crm FROM coupling WHERE table_map = ?1 AND (erp = ?2 OR crm = ?3)")?;
    let mut rows = statement.query((table_map, erp.as_bytes(), crm.as_bytes()))?;
    let mut present = Vec::new();
    while let Some(row) = rows.next()? {
        let pair = (id(row, 0)?, id(row, 1)?);
        if pair == (erp, crm) {
            return Ok(());
        }
        present.push(format!("ERP {} with CRM {}", pair.0, pair.1));
    }
    Err(Trouble::Refused(format!(
        "{table}: ERP {erp} cannot be coupled with CRM {crm}, as there is already {}; uncouple first",
        present.join(" and ")
    )))
}

/// Returns agreements as settlements of all the fields that any of them names.
pub(super) fn settlements(agreements: &[Agreement]) -> (Vec<String>, Vec<Settlement>) {
    let named: BTreeSet<&String> = agreements.iter().flat_map(|one| one.fields.iter().map(|one| &one.field)).collect();
    let places: BTreeMap<&String, usize> = named.iter().enumerate().map(|(place, field)| (*field, place)).collect();
    let settlement = |Agreement { ids, fields }: &Agreement| {
        let mut base = vec![None; places.len()];
        let (mut values, mut terms) = (Vec::with_capacity(fields.len()), Vec::new());
        for agreed in fields {
            let place = places[&agreed.field];
            base[place] = Some(agreed.base);
            values.push((place, agreed.values.clone()));
            if agreed.terms != Terms::AGREED {
                terms.push((place, agreed.terms));
            }
        }
        Settlement { erp: ids.erp, crm: ids.crm, base, values, terms, whole: false }
    };
    let settled = agreements.iter().filter(|one| !one.fields.is_empty()).map(settlement).collect();
    (named.into_iter().cloned().collect(), settled)
}

/// Writes what pairs held when they were settled.
pub(super) fn settle(
    connection: &Connection,
    table: &str,
    fields: &[String],
    settled: &[Settlement],
    now: i64,
    keep_values: bool,
) -> Result<(), Trouble> {
    if settled.is_empty() {
        return Ok(());
    }
    let table_map = table_map_for_writing(connection, table)?;
    let numbers = numbers_for_writing(connection, table_map, fields)?;
    let question = format!("SELECT {} FROM coupling WHERE table_map = ?1 AND erp = ?2 AND crm = ?3", sound::COLUMNS);
    let mut find = connection.prepare_cached(&question)?;
    let mut update = connection.prepare_cached(
        "UPDATE coupling SET base = ?2, settled_at = ifnull(?3, settled_at), print = ?4, terms = ?5 WHERE id = ?1",
    )?;
    let mut values = ValueStatements {
        find: connection.prepare_cached("SELECT data FROM base_value WHERE coupling = ?1")?,
        write: connection.prepare_cached("INSERT OR REPLACE INTO base_value (coupling, data) VALUES (?1, ?2)")?,
        delete: connection.prepare_cached("DELETE FROM base_value WHERE coupling = ?1")?,
    };
    for settlement in settled {
        let (coupling, origin, old, told) = {
            let mut rows = find.query((table_map, settlement.erp.as_bytes(), settlement.crm.as_bytes()))?;
            let Some(row) = rows.next()? else {
                return Err(Trouble::Refused(format!(
                    "{table}: ERP {} and CRM {} are not coupled, so they cannot be settled",
                    settlement.erp, settlement.crm
                )));
            };
            let entries: Result<BTreeMap<u32, PerSide<u64>>, Trouble> = base::entries(blob(row, 4)?).collect();
            let told: Option<Vec<(u32, u64)>> = match sound::terms(row)? {
                Some(terms) => Some(
                    base::entries(terms).map(|one| one.map(|(n, terms)| (n, terms.erp))).collect::<Result<_, _>>()?,
                ),
                None => None,
            };
            (sound::coupling(row)?.0, row.get::<_, String>(3)?, entries?, told)
        };
        let mut new = old.clone();
        for (number, prints) in numbers.iter().zip(&settlement.base) {
            if let Some(prints) = prints {
                new.insert(*number, *prints);
            }
        }
        let entries: Vec<(u32, PerSide<u64>)> = new.iter().map(|(number, prints)| (*number, *prints)).collect();
        let base = base::encode(&entries);
        let terms = terms(settlement, &numbers, &old, told);
        let told = terms.as_deref().unwrap_or_default();
        let print = sound::print(coupling, settlement.erp, settlement.crm, origin.as_bytes(), &base, told);
        // Who only notes something about old bases settles nothing.
        let at = settlement.base.iter().any(Option::is_some).then_some(now);
        update.execute((coupling, base, at, print, &terms))?;
        if keep_values {
            // A value whose base moved without it would tell a person what was never agreed.
            let outdated = old.iter().filter(|(number, prints)| new.get(number) != Some(prints)).map(|(n, _)| *n);
            let given = settlement.values.iter().map(|(field, value)| (numbers[*field], value));
            values.merge(coupling, !old.is_empty(), outdated.collect(), given.collect())?;
        }
    }
    Ok(())
}

/// Returns how the values of a pair are to each other once it is settled so, as bytes; `old` is what it was settled on
/// before, `told` what was known of that. Of fields that the file does not have any more what is known stays.
fn terms(
    settlement: &Settlement,
    numbers: &[u32],
    old: &BTreeMap<u32, PerSide<u64>>,
    told: Option<Vec<(u32, u64)>>,
) -> Option<Vec<u8>> {
    let mut terms: BTreeMap<u32, u64> = match told {
        Some(told) => told.into_iter().collect(),
        None if settlement.whole => old.keys().map(|number| (*number, Terms::UNSURE)).collect(),
        None => return None,
    };
    for (number, base) in numbers.iter().zip(&settlement.base) {
        if settlement.whole || base.is_some() {
            terms.remove(number);
        }
    }
    terms.extend(settlement.terms.iter().map(|(field, terms)| (numbers[*field], *terms)));
    let entries: Vec<(u32, PerSide<u64>)> =
        terms.into_iter().map(|(number, terms)| (number, PerSide { erp: terms, crm: terms })).collect();
    Some(base::encode(&entries))
}

struct ValueStatements<'a> {
    find: CachedStatement<'a>,
    write: CachedStatement<'a>,
    delete: CachedStatement<'a>,
}

impl ValueStatements<'_> {
    /// Replaces some of the values of one coupling; `present` tells that it may have some.
    fn merge(
        &mut self,
        coupling: i64,
        present: bool,
        outdated: Vec<u32>,
        given: Vec<(u32, &PerSide<String>)>,
    ) -> Result<(), Trouble> {
        if outdated.is_empty() && given.is_empty() {
            return Ok(());
        }
        let mut values = BTreeMap::new();
        if present && let Some(text) = self.find.query_row((coupling,), |row| row.get::<_, String>(0)).optional()? {
            values = base::decode_values(&text)?;
        }
        for number in outdated {
            values.remove(&number);
        }
        values.extend(given.into_iter().map(|(number, value)| (number, value.clone())));
        if values.is_empty() {
            self.delete.execute((coupling,))?;
        } else {
            self.write.execute((coupling, base::encode_values(&values)))?;
        }
        Ok(())
    }
}
