//! SQL of a table map: texts in, expressions out, judged by the columns that the table map names.
//!
//! Columns that the table map does not name are allowed here; the metadata of the side has the last word.

use crate::config::check::Desk;
use crate::config::complaint::Path;
use crate::config::expression::{self, Expression, ExpressionError};
use crate::config::tree::{Content, Variables};
use crate::config::{PerSide, Side, TemplateValue};

/// The columns that a table map names outside of SQL.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub columns: PerSide<Vec<String>>,
    /// ERP and CRM columns that belong together.
    pub pairs: Vec<(String, String)>,
}

impl Known {
    /// Notes what one place of the table map names.
    pub fn add(&mut self, erp: Option<&str>, crm: Option<&str>) {
        self.columns.erp.extend(erp.map(str::to_owned));
        self.columns.crm.extend(crm.map(str::to_owned));
        if let (Some(erp), Some(crm)) = (erp, crm) {
            self.pairs.push((erp.to_owned(), crm.to_owned()));
        }
    }

    /// Returns the column of `side` that is paired with one of the other side.
    fn partner(&self, side: Side, column: &str) -> Option<&str> {
        self.pairs.iter().find_map(|(erp, crm)| match side {
            Side::Erp => (crm == column).then_some(erp.as_str()),
            Side::Crm => (erp == column).then_some(crm.as_str()),
        })
    }
}

/// Checks SQL that reads a row of `side`.
pub(super) fn expression(
    desk: &mut Desk<'_>,
    path: &Path,
    text: &str,
    side: Side,
    known: &Known,
) -> Option<Expression> {
    if desk.tree.is_damaged(path) {
        return None;
    }
    match Expression::parse(text) {
        Ok(expression) => {
            check_columns(desk, path, &expression, side, known);
            Some(expression.written_as(desk.written(path)))
        }
        Err(error) => {
            refuse(desk, path, error);
            None
        }
    }
}

/// Checks a text of a template: SQL that reads a row of `side`, or a running number.
pub(super) fn template_value(
    desk: &mut Desk<'_>,
    path: &Path,
    text: &str,
    side: Side,
    known: &Known,
) -> Option<TemplateValue> {
    if desk.tree.is_damaged(path) {
        return None;
    }
    match expression::next_number(text) {
        Ok(Some((prefix, digits))) => Some(TemplateValue::NextNumber { prefix, digits }),
        Ok(None) => expression(desk, path, text, side, known).map(TemplateValue::Expression),
        Err(mut error) => {
            let hint = "a text that is meant as it stands wears quotes of its own: `\"'…'\"`";
            error.hint.get_or_insert_with(|| hint.to_owned());
            refuse(desk, path, error);
            None
        }
    }
}

/// Passes an error on, unless it might repeat what a variable gave.
fn refuse(desk: &mut Desk<'_>, path: &Path, error: ExpressionError) {
    match desk.tree.at(path).map(|node| &node.content) {
        Some(Content::Scalar(scalar)) if scalar.variables != Variables::None => {
            let hint = "look at the values of its variables".to_owned();
            desk.refuse(path, "is no SQL once its variables are filled in", hint);
        }
        _ => desk.refuse(path, error.message, error.hint),
    }
}

fn check_columns(desk: &mut Desk<'_>, path: &Path, expression: &Expression, side: Side, known: &Known) {
    let own = known.columns.of(side);
    let other = known.columns.of(side.other());
    for column in expression.columns() {
        if !own.contains(column) && other.contains(column) {
            let message =
                format!("`{column}` is a column of the {}, this reads the {}", side.other().name(), side.name());
            let hint = known.partner(side, column).map(|partner| match is_plain(partner) {
                true => format!("did you mean `{partner}`?"),
                false => format!("did you mean `\"{partner}\"`?"),
            });
            desk.refuse(path, message, hint);
        }
    }
    for navigation in own.iter().filter(|column| column.contains('/')) {
        // Without quotes it is one column divided by another.
        if !expression.columns().contains(navigation) && expression.text().contains(navigation.as_str()) {
            let message = format!("`{navigation}` is a division here");
            desk.refuse(path, message, format!("the column is written in double quotes: `\"{navigation}\"`"));
        }
    }
}

fn is_plain(column: &str) -> bool {
    !column.contains('/')
}
