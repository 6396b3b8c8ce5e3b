//! References of field maps: `ref` as written in, as meant out.
//!
//! A reference turns the ERP key of a field into the CRM record that is coupled with that key's record, and back.

use crate::config::Reference;
use crate::config::check::Desk;
use crate::config::check::table::column;
use crate::config::complaint::Path;
use crate::config::schema;

/// Checks the `ref` of a field map.
pub(super) fn check(desk: &mut Desk<'_>, path: &Path, written: &schema::Field) -> Option<Reference> {
    if let (Some(_), None) = (written.on_unresolved, &written.reference) {
        let path = path.key("on_unresolved");
        desk.refuse(&path, "needs a `ref`", "remove it".to_owned());
    }
    let reference = written.reference.as_ref()?;
    let path = path.key("ref");
    if written.crm.is_none() && !desk.tree.is_damaged(&path.parent().key("crm")) {
        let hint = "name the `crm` lookup, or remove `ref`".to_owned();
        desk.refuse(&path, "needs a CRM column that holds the reference", hint);
    }
    if written.to_erp.is_some() {
        let message = "has no place beside `to_erp`: the reference itself gives the ERP key";
        desk.refuse(&path, message, "take one of the two".to_owned());
    }
    let table = desk.required(&path, "table", "name the table map that holds the record", reference.table.clone());
    if let Some(table) = &table {
        desk.names_table(&path.key("table"), table);
    }
    let hint = "name the ERP column there that holds the key";
    let erp = desk.required(&path, "erp", hint, reference.erp.clone());
    for (key, name) in [("erp", &erp), ("crm", &reference.crm)] {
        if let Some(name) = name {
            column(desk, &path.key(key), name);
        }
    }
    Some(Reference { table: table?, erp: erp?, crm: reference.crm.clone() })
}
