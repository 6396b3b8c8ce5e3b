//! Table maps in, passes out: which runs when, and which of its fields have to wait for a second step.
//!
//! `after` is a demand; a `ref` is one where it can be. References in a circle or to the same table cannot all come
//! first: the fields that carry them are deferred and written when every pass is over. Nothing here knows a side.

use crate::config::TableMap;

/// One table map's turn in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    /// Number of the table map among all.
    pub table: usize,
    /// For each field: its reference names a table that runs later or is this one.
    pub deferred: Vec<bool>,
}

/// Lays out all table maps; independent ones keep the order of the file.
///
/// `after` must be free of circles, as `config::check` has seen to.
pub fn passes(tables: &[TableMap]) -> Vec<Pass> {
    let position = |name: &str| tables.iter().position(|table| table.name == name);
    let count = tables.len();
    let demanded: Vec<Vec<usize>> =
        tables.iter().map(|table| table.after.iter().filter_map(|name| position(name)).collect()).collect();
    let referenced: Vec<Vec<usize>> = tables
        .iter()
        .map(|table| table.fields.iter().filter_map(|field| position(&field.reference.as_ref()?.table)).collect())
        .collect();

    let mut done: Vec<usize> = Vec::new();
    while done.len() < count {
        let open = |table: usize| !done.contains(&table);
        let ready =
            |table: &usize, needs: &[Vec<usize>]| needs[*table].iter().all(|need| need == table || !open(*need));
        let next = (0..count)
            .filter(|table| open(*table))
            .find(|table| ready(table, &demanded) && ready(table, &referenced))
            // Only a circle of references is left: the first in the file goes first and defers what it cannot resolve.
            .or_else(|| (0..count).filter(|table| open(*table)).find(|table| ready(table, &demanded)))
            .or_else(|| (0..count).find(|table| open(*table)))
            .expect("some table map is left");
        done.push(next);
    }

    done.iter()
        .enumerate()
        .map(|(turn, &table)| {
            let earlier = &done[..turn];
            let deferred = tables[table]
                .fields
                .iter()
                .map(|field| {
                    let target = field.reference.as_ref().and_then(|reference| position(&reference.table));
                    target.is_some_and(|target| !earlier.contains(&target))
                })
                .collect();
            Pass { table, deferred }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check::{Purpose, check};

    fn layout(tables: &str) -> String {
        let text = format!(
            "version: 1\nname: t\nconnections:\n  erp: {{ adapter: business-central, url: http://127.0.0.1:1, company: C, \
             auth: {{ type: oauth2, token_url: http://127.0.0.1:1/t, client_id: i, client_secret: \"${{S}}\", scope: x }} }}\n  \
             crm: {{ adapter: dataverse, url: http://127.0.0.1:1, \
             auth: {{ type: oauth2, token_url: http://127.0.0.1:1/t, client_id: i, client_secret: \"${{S}}\", scope: x }} }}\n\
             state: sqlite:t.db\ndefaults: {{ direction: both }}\ntables:\n{tables}"
        );
        let checked = check(&text, "t.yaml", &|_| Some("hush".to_owned()), Purpose::Run);
        let pipeline = checked.pipeline.unwrap_or_else(|| panic!("{:#?}", checked.complaints));
        let told: Vec<String> = passes(&pipeline.tables)
            .into_iter()
            .map(|pass| {
                let table = &pipeline.tables[pass.table];
                let deferred: Vec<&str> = table
                    .fields
                    .iter()
                    .zip(&pass.deferred)
                    .filter(|(_, deferred)| **deferred)
                    .map(|(field, _)| field.name())
                    .collect();
                if deferred.is_empty() {
                    table.name.clone()
                } else {
                    format!("{}(-{})", table.name, deferred.join(","))
                }
            })
            .collect();
        told.join(" ")
    }

    fn table(name: &str, after: &str, refs: &[(&str, &str)]) -> String {
        let mut text = format!("  {name}:\n    erp: {{ table: e{name} }}\n    crm: {{ table: c{name} }}\n");
        text += &format!("    after: [{after}]\n    fields:\n      - {{ erp: name, crm: name }}\n");
        for (field, target) in refs {
            text += &format!("      - {{ erp: {field}, crm: {field}, ref: {{ table: {target}, erp: number }} }}\n");
        }
        text
    }

    #[test]
    fn references_and_demands_come_first() {
        let tables = table("customers", "", &[("person", "people"), ("currency", "currencies")])
            + &table("people", "", &[])
            + &table("currencies", "people", &[]);
        assert_eq!(layout(&tables), "people currencies customers");
    }

    #[test]
    fn independent_tables_keep_the_order_of_the_file() {
        let tables = table("b", "", &[]) + &table("a", "", &[]) + &table("c", "", &[]);
        assert_eq!(layout(&tables), "b a c");
    }

    #[test]
    fn a_circle_is_written_in_two_steps() {
        let tables =
            table("customers", "", &[("contact", "contacts")]) + &table("contacts", "", &[("company", "customers")]);
        assert_eq!(layout(&tables), "customers(-contact) contacts");
    }

    #[test]
    fn a_table_that_refers_to_itself_defers_that_field() {
        assert_eq!(layout(&table("customers", "", &[("parent", "customers")])), "customers(-parent)");
    }
}
