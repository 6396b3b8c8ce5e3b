//! `couple --from`: the pairs of a CSV file, and what is wrong with its lines.

use std::path::Path;

use crate::address::Address;
use crate::by_hand::{Objection, Wanted};
use crate::cli::exit::Failure;
use crate::cli::progress;
use crate::cli::sheet::{self, Row};
use crate::cli::world;
use crate::config::{Side, TableMap};
use crate::report::layout::plural;

/// Returns the text of a list of pairs.
pub(super) fn text(path: &Path) -> Result<String, Failure> {
    world::read(path).map_err(|failure| match failure {
        Failure::File { .. } => Failure::Arguments {
            message: failure.to_string(),
            hint: "give the path of a CSV file with the columns `erp` and `crm`".to_owned(),
        },
        other => other,
    })
}

/// Reads the pairs of a table map out of a list, and what is wrong with its lines.
pub(super) fn pairs(text: &str, file: &str, map: &TableMap) -> Result<(Vec<Wanted>, Vec<Objection>), Failure> {
    let hint = || "the first line is `erp,crm`, each further one a pair of labels or ids".to_owned();
    // An exported list says of each line which table map it is of.
    let rows = sheet::read(text, &["erp", "crm", "table"])
        .or_else(|_| sheet::read(text, &["erp", "crm"]))
        .map_err(|(line, message)| Failure::Arguments { message: format!("{file}:{line}: {message}"), hint: hint() })?;
    let of_others = |row: &Row| row.cells.get(2).is_some_and(|table| table.trim() != map.name);
    let (others, rows): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(of_others);
    if let (Some(other), true) = (others.first(), rows.is_empty()) {
        return Err(Failure::Arguments {
            message: format!("{file}:{}: the list has no pair of `{}`", other.line, map.name),
            hint: format!("its column `table` says of which table map a line is, here of `{}`", other.cells[2].trim()),
        });
    }
    if !others.is_empty() {
        let lines = plural(others.len() as u64, "line", "lines");
        progress::say(&format!("{file}: {lines} of other table maps left out"));
    }
    let mut objections = Vec::new();
    let mut wanted = Vec::new();
    for row in rows {
        let line = Some(row.line);
        let [erp, crm] = [0, 1].map(|cell: usize| row.cells[cell].trim().to_owned());
        if erp.is_empty() || crm.is_empty() {
            let message = "a pair needs both an `erp` and a `crm`".to_owned();
            objections.push(Objection { line, message, hint: hint() });
            continue;
        }
        let address = |side: Side, key: String| Address { table: map.name.clone(), side, key };
        let addresses = [address(Side::Erp, erp), address(Side::Crm, crm)];
        wanted.push(Wanted { line, addresses });
    }
    Ok((wanted, objections))
}
