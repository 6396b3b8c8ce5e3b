//! Which columns a run must read: a table map, or all of them, in; names of columns of one side out.
//!
//! Each column once, in the order in which the file needs them: labels, match rules, fields, expressions, references of
//! other table maps. Whether the side has them is not known here.

use crate::config::{Side, TableMap, TemplateValue};

impl TableMap {
    /// Returns every column of `side` that this table map itself needs.
    pub fn columns(&self, side: Side) -> Vec<String> {
        let mut columns = Columns::default();
        let table = self.sides.of(side);
        columns.add(table.label.as_deref());
        for (erp, crm) in self.match_rules.iter().flat_map(|rule| &rule.by) {
            columns.add(Some(match side {
                Side::Erp => erp,
                Side::Crm => crm,
            }));
        }
        for field in &self.fields {
            columns.add(field.column(side));
            // What travels to the other side is computed from this one.
            columns.add(field.expression_to(side.other()).into_iter().flat_map(|sql| sql.columns()));
        }
        columns.add(table.filter.iter().flat_map(|sql| sql.columns()));
        for template in self.on_create.iter().filter(|template| template.side == side.other()) {
            columns.add(template.condition.iter().flat_map(|sql| sql.columns()));
            for (_, value) in &template.set {
                if let TemplateValue::Expression(sql) = value {
                    columns.add(sql.columns());
                }
            }
        }
        // A running number counts on past what its own column holds.
        for template in self.on_create.iter().filter(|template| template.side == side) {
            for (column, value) in &template.set {
                if matches!(value, TemplateValue::NextNumber { .. }) {
                    columns.add([column]);
                }
            }
        }
        columns.0
    }
}

/// Returns every column of `side` that the run needs of a table map, also for the references of others to it.
pub fn of(tables: &[TableMap], table: usize, side: Side) -> Vec<String> {
    let map = &tables[table];
    let mut columns = Columns(map.columns(side));
    let references = tables.iter().flat_map(|other| &other.fields).filter_map(|field| field.reference.as_ref());
    for reference in references.filter(|reference| reference.table == map.name) {
        columns.add(match side {
            Side::Erp => Some(&reference.erp),
            Side::Crm => reference.crm.as_ref(),
        });
    }
    columns.0
}

#[derive(Default)]
struct Columns(Vec<String>);

impl Columns {
    fn add<T: AsRef<str>>(&mut self, names: impl IntoIterator<Item = T>) {
        for name in names {
            if !self.0.iter().any(|known| known == name.as_ref()) {
                self.0.push(name.as_ref().to_owned());
            }
        }
    }
}
