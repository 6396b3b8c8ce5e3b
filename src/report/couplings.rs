//! Who is coupled with whom: a list for people, a table for a spreadsheet, or the JSON of both.

use serde::Serialize;

use crate::config::PerSide;
use crate::report::couple::origin;
use crate::report::document;
use crate::report::layout::{columns, plural};
use crate::store::Coupling;

/// One coupling and what people call its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub table: String,
    pub coupling: Coupling,
    /// `None` for a record that has no label, is gone, or was not asked about.
    pub labels: PerSide<Option<String>>,
}

/// The columns of a table, in the order in which they are written.
pub const COLUMNS: [&str; 8] = ["table", "erp", "crm", "erp_label", "crm_label", "origin", "coupled", "settled"];

/// Returns a coupling as a row of that table.
pub fn row(listed: &Listed) -> Vec<String> {
    let Listed { table, coupling, labels } = listed;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        table.clone(),
        coupling.ids.erp.to_string(),
        coupling.ids.crm.to_string(),
        text(&labels.erp),
        text(&labels.crm),
        origin(&coupling.origin),
        coupling.coupled_at.clone(),
        text(&coupling.settled_at),
    ]
}

/// Returns couplings for people, of these table maps or, where none is named, of all; it ends with a line end.
pub fn text(couplings: &[Listed], tables: &[String]) -> String {
    if couplings.is_empty() {
        let of = if tables.is_empty() { String::new() } else { format!(" of {}", tables.join(", ")) };
        return format!("nothing{of} is coupled\n");
    }
    let mut rows = vec![["table", "ERP", "CRM", "origin", "coupled", "settled"].map(str::to_owned).to_vec()];
    rows.extend(couplings.iter().map(|listed| {
        let Listed { table, coupling, labels } = listed;
        let name = |label: &Option<String>, id: uuid::Uuid| label.clone().unwrap_or_else(|| id.to_string());
        vec![
            table.clone(),
            name(&labels.erp, coupling.ids.erp),
            name(&labels.crm, coupling.ids.crm),
            origin(&coupling.origin),
            coupling.coupled_at.clone(),
            coupling.settled_at.clone().unwrap_or_else(|| "never".to_owned()),
        ]
    }));
    let number = plural(couplings.len() as u64, "pair is", "pairs are");
    columns(&rows, 6).join("\n") + &format!("\n\n{number} coupled\n")
}

#[derive(Serialize)]
struct CouplingsDocument<'a> {
    couplings: Vec<CouplingDocument<'a>>,
}

#[derive(Serialize)]
struct CouplingDocument<'a> {
    table: &'a str,
    erp: String,
    crm: String,
    erp_label: Option<&'a str>,
    crm_label: Option<&'a str>,
    origin: String,
    coupled: &'a str,
    settled: Option<&'a str>,
}

/// Returns the same for programs.
pub fn json(couplings: &[Listed]) -> String {
    document(&CouplingsDocument { couplings: couplings.iter().map(coupling_document).collect() })
}

fn coupling_document(listed: &Listed) -> CouplingDocument<'_> {
    let Listed { table, coupling, labels } = listed;
    CouplingDocument {
        table,
        erp: coupling.ids.erp.to_string(),
        crm: coupling.ids.crm.to_string(),
        erp_label: labels.erp.as_deref(),
        crm_label: labels.crm.as_deref(),
        origin: origin(&coupling.origin),
        coupled: &coupling.coupled_at,
        settled: coupling.settled_at.as_deref(),
    }
}

/// Says where couplings were written to.
pub fn exported_text(file: &str, couplings: u64) -> String {
    format!("{} written to {file}\n", plural(couplings, "pair", "pairs"))
}

#[derive(Serialize)]
struct ExportedDocument<'a> {
    file: &'a str,
    couplings: u64,
}

/// Says the same for programs.
pub fn exported_json(file: &str, couplings: u64) -> String {
    document(&ExportedDocument { file, couplings })
}
