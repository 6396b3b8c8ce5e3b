//! Whether a state holds what was written there.
//!
//! SQLite looks at the form of its pages, not at what they hold: a byte that turned on the disk makes another id or
//! another base, and a run over it another record or another decision. So each coupling has a print of its own, both
//! indexes over couplings are held against them, and the names of table maps and fields against theirs.

use rusqlite::{Connection, Row};
use uuid::Uuid;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::adapters::sqlite::couplings::{blob, id};
use crate::adapters::sqlite::trouble::Trouble;

/// Returns the print of a coupling: of its number, which names the table map too, both ids, origin, base and terms.
pub(super) fn print(number: i64, erp: Uuid, crm: Uuid, origin: &[u8], base: &[u8], terms: &[u8]) -> i64 {
    let mut print = Xxh3::new();
    for part in [&number.to_le_bytes(), erp.as_bytes().as_slice(), crm.as_bytes(), origin, base, terms] {
        print.update(part);
    }
    print.digest().cast_signed()
}

/// What a row of `coupling` is asked for where it is held against its print: number, ids, origin, base, print, terms.
pub(super) const COLUMNS: &str = "id, erp, crm, origin, base, print, terms";

/// Reads number and ids of a row of [`COLUMNS`]; fails where it is another than the one that was written.
pub(super) fn coupling(row: &Row<'_>) -> Result<(i64, Uuid, Uuid), Trouble> {
    let (number, erp, crm) = (row.get(0)?, id(row, 1)?, id(row, 2)?);
    let found: Option<i64> = row.get(5)?;
    if found == Some(print(number, erp, crm, text(row)?, blob(row, 4)?, terms(row)?.unwrap_or_default())) {
        return Ok((number, erp, crm));
    }
    Err(Trouble::Broken(format!(
        "the file is broken (the coupling of ERP {erp} with CRM {crm} is not what was written)"
    )))
}

fn text<'a>(row: &'a Row<'_>) -> Result<&'a [u8], Trouble> {
    row.get_ref(3)?.as_bytes().map_err(|_| Trouble::Broken("the origin of a coupling is no text".to_owned()))
}

/// Returns how the values of a row of [`COLUMNS`] are to each other; nothing where nobody told.
pub(super) fn terms<'a>(row: &'a Row<'_>) -> Result<Option<&'a [u8]>, Trouble> {
    let terms = row.get_ref(6)?.as_blob_or_null();
    terms.map_err(|_| Trouble::Broken("the terms of a coupling are no sequence of bytes".to_owned()))
}

/// Gives each coupling its print, where an older program wrote it, which knew of no terms.
pub(super) fn seal(connection: &Connection) -> Result<(), Trouble> {
    let mut read = connection.prepare("SELECT id, erp, crm, origin, base FROM coupling WHERE print IS NULL")?;
    let mut rows = read.query(())?;
    let mut prints = Vec::new();
    while let Some(row) = rows.next()? {
        let number = row.get(0)?;
        prints.push((number, print(number, id(row, 1)?, id(row, 2)?, text(row)?, blob(row, 4)?, &[])));
    }
    let mut write = connection.prepare("UPDATE coupling SET print = ?2 WHERE id = ?1")?;
    for numbered in prints {
        write.execute(numbered)?;
    }
    Ok(())
}

/// Looks through the whole file, whoever opens it, and before a run writes anything: what is found when its couplings are wanted is found
/// after other tables were written. For a million couplings with their values the first look takes half a second of
/// processor time; each of the others reads the couplings, or one index, once.
pub(super) fn check(connection: &Connection) -> Result<(), Trouble> {
    let broken = |what: String| Trouble::Broken(format!("the file is broken ({what})"));
    // Names are few, and each stands in an index as well. Of the couplings this would take eight times as long.
    for looks in ["quick_check(1)", "integrity_check(table_map)", "integrity_check(field)"] {
        let result: String = connection.query_row(&format!("PRAGMA {looks}"), (), |row| row.get(0))?;
        if result != "ok" {
            // Above it stands in which database, of which there is one.
            return Err(broken(result.lines().last().unwrap_or_default().to_owned()));
        }
    }
    let (mut by_erp, mut by_crm) = (0, 0);
    let mut couplings = connection.prepare(&format!("SELECT {COLUMNS}, table_map FROM coupling NOT INDEXED"))?;
    let mut rows = couplings.query(())?;
    while let Some(row) = rows.next()? {
        let ((number, erp, crm), table_map) = (coupling(row)?, row.get(7)?);
        add(&mut by_erp, number, table_map, erp);
        add(&mut by_crm, number, table_map, crm);
    }
    for (side, expected) in [("erp", by_erp), ("crm", by_crm)] {
        let question = format!("SELECT id, table_map, {side} FROM coupling INDEXED BY coupling_{side}");
        let mut index = connection.prepare(&question)?;
        let mut rows = index.query(())?;
        let mut sum = 0;
        while let Some(row) = rows.next()? {
            add(&mut sum, row.get(0)?, row.get(1)?, id(row, 2)?);
        }
        if sum != expected {
            return Err(broken(format!("the couplings and their index by {side} differ")));
        }
    }
    Ok(())
}

/// Adds one entry to a sum that is the same in whatever order entries come.
fn add(sum: &mut u64, number: i64, table_map: i64, id: Uuid) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes[8..16].copy_from_slice(&table_map.to_le_bytes());
    bytes[16..].copy_from_slice(id.as_bytes());
    *sum = sum.wrapping_add(xxh3_64(&bytes));
}
