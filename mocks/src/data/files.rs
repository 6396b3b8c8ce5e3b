//! A folder of CSV files as the records of both fakes: `erp/SET.csv` and `crm/SET.csv`, the header with property names.
//!
//! Files come from outside, so much may not fit: a column that the service does not have, a text that is too long, a
//! reference to a row that is not there. Such things are made to fit and counted, never passed over in silence; what is
//! no CSV at all stops the loading. A set without a file is empty but for what the service always has.

use super::{Row, Side};
use crate::{crm, erp};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Loads the folder into two fakes that are new; each counts what it had to make fit in its `adjusted`.
pub fn load(folder: &Path, erp: &mut erp::State, crm: &mut crm::State) -> Result<(), String> {
    let (of_erp, of_crm) = (files(folder, Side::Erp)?, files(folder, Side::Crm)?);
    if of_erp.is_empty() && of_crm.is_empty() {
        return Err(format!("{}: neither erp nor crm with a CSV file in it", folder.display()));
    }
    for (set, path) in of_erp {
        erp.load(&set, read(&path).map_err(|error| format!("{}: {error}", path.display()))?);
    }
    for (set, path) in of_crm {
        crm.load(&set, read(&path).map_err(|error| format!("{}: {error}", path.display()))?);
    }
    crm.settle();
    Ok(())
}

/// Finds the CSV files of a side, by the sets that name them: the known ones first, in their order.
fn files(folder: &Path, side: Side) -> Result<Vec<(String, PathBuf)>, String> {
    let (folder, known) = (folder.join(side.to_string()), side.sets());
    let wrong = |error: io::Error| format!("{}: {error}", folder.display());
    let mut found = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(&folder).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            if path.extension().is_some_and(|extension| extension == "csv")
                && let Some(set) = path.file_stem().and_then(OsStr::to_str).map(str::to_owned)
            {
                let order = known.iter().position(|name| *name == set).unwrap_or(known.len());
                found.push((order, set, path));
            }
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, set, path)| (set, path)).collect())
}

/// Reads the rows of a file without their empty cells.
fn read(path: &Path) -> Result<Vec<Row>, csv::Error> {
    let mut reader = csv::Reader::from_path(path)?;
    let header = reader.headers()?.clone();
    let row = |record: csv::StringRecord| {
        let cells = header.iter().zip(&record).filter(|(_, cell)| !cell.is_empty());
        cells.map(|(name, cell)| (name.to_owned(), Value::String(cell.to_owned()))).collect()
    };
    reader.records().map(|record| record.map(row)).collect()
}
