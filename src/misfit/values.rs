//! Constants: is what the file itself gives, in `value`, `values` and `set`, a value of its column? And does a condition
//! compare a choice with an option that it has?
//!
//! The same conversion as at night decides, so that what passes here never fails there.

use crate::config::complaint::Path;
use crate::config::expression::{Comparison, Expression, Literal, Predicate};
use crate::config::{Side, TemplateValue};
use crate::endpoint::ColumnInfo;
use crate::frame::builder::Builder;
use crate::frame::{Kind, Value};
use crate::misfit::columns::expressions;
use crate::misfit::{At, Desk};
use crate::translate::convert::{Problem, convert};

/// Complains about constants that are no value of their column.
pub(super) fn check(desk: &mut Desk<'_>) {
    let map = desk.map;
    for (number, field) in map.fields.iter().enumerate() {
        // A reference translates it first, and what it leads to is seen at night only.
        if field.reference.is_some() {
            continue;
        }
        for side in Side::BOTH.into_iter().filter(|side| field.writes(*side)) {
            let Some(info) = field.column(side).and_then(|name| desk.column(side, name)).cloned() else { continue };
            let path = desk.field(number);
            if let Some(constant) = field.value.as_ref().filter(|_| field.expression_to(side).is_none()) {
                fit(desk, path.key("value"), At::Value, Value::Text(constant.text()), side, &info);
            }
            if let Some(value) = field.expression_to(side).and_then(constant) {
                fit(desk, path.key(&format!("to_{}", side.key())), At::Value, value, side, &info);
            }
            for (erp, crm) in &field.values {
                let (at, text) = if side == Side::Crm { (At::Value, crm) } else { (At::Key, erp) };
                let path = path.key("values").key(erp);
                if fit(desk, path.clone(), at, Value::Text(text.clone()), side, &info) {
                    comes_back(desk, path, at, text, &info);
                }
            }
        }
    }
    for template in &map.on_create {
        for (column, value) in &template.set {
            let Some(info) = desk.column(template.side, column).cloned() else { continue };
            let path = desk.path.key("on_create").index(template.number).key("set").key(column);
            let value = match value {
                TemplateValue::Constant(constant) => Some(Value::Text(constant.text())),
                TemplateValue::Expression(expression) => constant(expression),
                TemplateValue::NextNumber { prefix, digits } => Some(Value::Text(format!("{prefix}{:0digits$}", 1))),
            };
            if let Some(value) = value {
                fit(desk, path, At::Value, value, template.side, &info);
            }
        }
    }
}

/// Complains about conditions that compare a choice with an option that it does not have: they would hold for no record,
/// or for every one.
pub(super) fn check_conditions(desk: &mut Desk<'_>) {
    for (path, side, expression, _) in expressions(desk).into_iter().filter(|(.., is_condition)| *is_condition) {
        let filled_in = expression.written() != expression.text();
        for (column, literal) in expression.predicate().map(equals).unwrap_or_default() {
            let Some(info) = desk.column(side, column).filter(|info| !info.options.is_empty()) else { continue };
            let text = match (info.column.kind, literal) {
                (Kind::Choice, Literal::Number(text)) | (Kind::Enum, Literal::Text(text)) => text,
                // A comparison with what is of another type is told as such.
                _ => continue,
            };
            if let Err(Problem::NoOption { value, column, known }) = convert(Value::Text(text.clone()), side, info) {
                // What a variable gave is not repeated.
                let value = if filled_in { "${…}".to_owned() } else { value };
                let message = Problem::NoOption { value, column, known }.to_string();
                desk.complain(path.clone(), At::Value, message, "take one of the options that the column has");
            }
        }
    }
}

/// Returns the columns that a condition compares for equality, each with the literal; as far as a side could read it.
fn equals(predicate: &Predicate) -> Vec<(&str, &Literal)> {
    match predicate {
        Predicate::All(parts) | Predicate::Any(parts) => parts.iter().flat_map(equals).collect(),
        Predicate::Compare { column, comparison: Comparison::Equal | Comparison::NotEqual, literal } => {
            vec![(column, literal)]
        }
        _ => Vec::new(),
    }
}

/// Returns the value of an expression that reads no column.
fn constant(expression: &Expression) -> Option<Value> {
    if !expression.columns().is_empty() {
        return None;
    }
    let mut row = Builder::new(Vec::new());
    row.end(uuid::Uuid::nil(), "");
    let frame = row.finish();
    frame.evaluate(expression).ok()?.value(0).ok()
}

/// Complains about a text of `values` that the column would give back in another spelling: it is never found again.
fn comes_back(desk: &mut Desk<'_>, path: Path, at: At, text: &str, info: &ColumnInfo) {
    let kind = info.column.kind;
    if text.is_empty() || matches!(kind, Kind::Text | Kind::Code | Kind::Enum) {
        return;
    }
    if let Some(value) = kind.parse(text).map(|value| value.to_string()).filter(|value| value != text) {
        let message = format!("`{}` holds `{value}`, which is not `{text}`", info.column.name);
        desk.complain(path, at, message, format!("write `{value}`"));
    }
}

/// Complains about a value that a column cannot hold; `false` if so.
fn fit(desk: &mut Desk<'_>, path: Path, at: At, value: Value, side: Side, info: &ColumnInfo) -> bool {
    let told = value.to_string();
    let Err(problem) = convert(value, side, info) else { return true };
    let hint = match &problem {
        Problem::NoOption { .. } => "take one of the options that the column has",
        Problem::Long { .. } => "take a shorter one",
        Problem::Outside { .. } => "take one in between",
        _ => "write a value of that type",
    };
    desk.complain(path, at, problem.to_string(), hint);
    if let Some(misfit) = desk.found.last_mut() {
        misfit.value = Some(told).filter(|told| !told.is_empty());
    }
    false
}
