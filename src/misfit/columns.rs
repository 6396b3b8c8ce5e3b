//! Columns and SQL: does the side have every column that is named, can it be read and written, and does SQL fit it?

use crate::config::complaint::{Path, suggestion};
use crate::config::expression::Expression;
use crate::config::{Direction, PerSide, Side, TableMap, TemplateValue, When};
use crate::endpoint::TableInfo;
use crate::extract::SideScope;
use crate::frame::Kind;
use crate::misfit::{At, Desk, described, listed};

/// Complains about columns that are read and are not there, wherever they are named outside of `fields`.
pub(super) fn check(desk: &mut Desk<'_>) {
    let map = desk.map;
    for side in Side::BOTH {
        if let Some(label) = &map.sides.of(side).label {
            let path = desk.path.key(side.key()).key("label");
            read(desk, side, label, path, At::Value);
        }
        for (column, _) in &map.sides.of(side).options {
            let path = desk.path.key(side.key()).key("options").key(column);
            read(desk, side, column, path, At::Key);
        }
    }
    for (number, rule) in map.match_rules.iter().enumerate() {
        for (erp, crm) in &rule.by {
            let path = desk.path.key("match").index(number).key("by").key(erp);
            read(desk, Side::Erp, erp, path.clone(), At::Key);
            read(desk, Side::Crm, crm, path, At::Value);
        }
    }
    for (path, side, expression, _) in expressions(desk) {
        for column in expression.columns() {
            let known = desk.found.len();
            let is_told = !read(desk, side, column, path.clone(), At::Value) && desk.found.len() > known;
            if let Some(misfit) = desk.found.last_mut().filter(|misfit| is_told && !misfit.hint.starts_with("did")) {
                misfit.hint += &format!("; a text stands in single quotes: `'{column}'`");
            }
        }
    }
}

/// Complains about a column that is not there or cannot be read; `false` if so.
pub(super) fn read(desk: &mut Desk<'_>, side: Side, name: &str, path: Path, at: At) -> bool {
    match desk.column(side, name) {
        None => missing(desk, side, name, path, at),
        Some(info) if !info.readable => {
            let hint = "take a column that can be read".to_owned();
            desk.complain(path, at, format!("`{name}` of the {} cannot be read", side.name()), hint);
        }
        Some(_) => return true,
    }
    false
}

fn missing(desk: &mut Desk<'_>, side: Side, name: &str, path: Path, at: At) {
    // Of a table that nobody told of, every column may be there.
    let Some(info) = desk.info(side) else { return };
    let (message, hint) = unknown(info, side, name);
    desk.complain(path, at, message, hint);
}

/// Says that a table has no such column, and which one was probably meant.
fn unknown(info: &TableInfo, side: Side, name: &str) -> (String, String) {
    let known = || info.columns.iter().map(|info| info.column.name.as_str());
    // Queries of the CRM name a lookup in this way.
    let bare = name.strip_prefix('_').and_then(|name| name.strip_suffix("_value"));
    let lookup = bare.filter(|bare| info.column(bare).is_some()).map(|bare| format!("did you mean `{bare}`?"));
    let hint = lookup.or_else(|| suggestion(name, known())).unwrap_or_else(|| match info.columns.is_empty() {
        true => "it has none".to_owned(),
        false => format!("it has {}", listed(known())),
    });
    (format!("the {} has no column `{name}` on `{}`", side.name(), info.table), hint)
}

/// Doubts columns that a side takes of new records alone, and to which a run would carry edits; but for those by which records
/// are matched, which people hardly edit.
pub(super) fn doubt(desk: &mut Desk<'_>) {
    let map = desk.map;
    for (number, field) in map.fields.iter().enumerate().filter(|(_, field)| field.when == When::Always) {
        for side in Side::BOTH.into_iter().filter(|side| field.writes(*side)) {
            let Some(name) = field.column(side) else { continue };
            let mut matched = map.match_rules.iter().flat_map(|rule| &rule.by);
            if matched.any(|(erp, crm)| if side == Side::Erp { erp == name } else { crm == name }) {
                continue;
            }
            if desk.column(side, name).is_some_and(|info| info.insertable && !info.updatable) {
                let message = format!("`{name}` is taken of new records and not changed afterwards");
                let hint = "an edit of it fails its record; `when: create` sends it with new records alone";
                desk.complain(desk.field(number).key(side.key()), At::Value, message, hint);
            }
        }
    }
}

/// Complains about the columns of field maps.
pub(super) fn check_fields(desk: &mut Desk<'_>) {
    let map = desk.map;
    for (number, field) in map.fields.iter().enumerate() {
        for side in Side::BOTH {
            let Some(name) = field.column(side) else { continue };
            let path = desk.field(number).key(side.key());
            if !read(desk, side, name, path.clone(), At::Value) {
                continue;
            }
            let Some(info) = desk.column(side, name).cloned() else { continue };
            if field.writes(side) && !info.insertable && !info.updatable {
                let other = if side == Side::Crm { Direction::ToErp } else { Direction::ToCrm };
                let hint = format!("`direction: {}`, or leave the field out", other.key());
                desk.complain(path.clone(), At::Value, format!("`{name}` cannot be written"), hint);
            }
            let needs_reference = info.column.kind == Kind::Guid && !info.targets.is_empty();
            if needs_reference && field.writes(side) && field.reference.is_none() {
                let hint = "say which table map translates it: `ref: { table: …, erp: … }`";
                let message = format!("`{name}` is {}", described(&info));
                desk.complain(path, At::Value, message, hint);
            }
        }
    }
}

/// Complains about columns that templates fill.
pub(super) fn check_templates(desk: &mut Desk<'_>) {
    let map = desk.map;
    for template in &map.on_create {
        for (column, _) in &template.set {
            let path = desk.path.key("on_create").index(template.number).key("set").key(column);
            match desk.column(template.side, column) {
                None => missing(desk, template.side, column, path, At::Key),
                Some(info) if !info.insertable => {
                    let message = format!("`{column}` cannot be set in a new record");
                    desk.complain(path, At::Key, message, "leave it out");
                }
                Some(_) => {}
            }
        }
    }
}

/// Complains about references: the keys at the other table map, and whether the CRM column can refer there at all.
pub(super) fn check_references<'a>(
    desk: &mut Desk<'_>,
    tables: &[TableMap],
    told: impl Fn(usize) -> Option<&'a PerSide<Option<SideScope>>>,
) {
    let map = desk.map;
    for (number, field) in map.fields.iter().enumerate() {
        let Some(reference) = &field.reference else { continue };
        let path = desk.field(number);
        let table = tables.iter().position(|table| table.name == reference.table);
        if let Some(told) = table.and_then(&told) {
            let named = [(Side::Erp, Some(&reference.erp)), (Side::Crm, reference.crm.as_ref())];
            for (side, name) in named {
                let Some(scope) = told.of(side) else { continue };
                if let Some(name) = name.filter(|name| scope.info.column(name).is_none()) {
                    let (message, hint) = unknown(&scope.info, side, name);
                    desk.complain(path.key("ref").key(side.key()), At::Value, message, hint);
                }
            }
        }
        let Some(info) = field.crm.as_ref().and_then(|name| desk.column(Side::Crm, name)).cloned() else { continue };
        let name = &info.column.name;
        if info.column.kind != Kind::Guid {
            let message = format!("`{name}` is {}, and `ref` needs a column that refers to a record", described(&info));
            desk.complain(path.key("crm"), At::Value, message, "name the lookup, or remove `ref`");
            continue;
        }
        let Some(table) = table.map(|table| &tables[table]) else { continue };
        let target = &table.sides.crm.table;
        if !info.targets.is_empty() && !info.targets.contains(target) {
            let fitting = |other: &&TableMap| info.targets.contains(&other.sides.crm.table);
            let fitting: Vec<&str> = tables.iter().filter(fitting).map(|table| table.name.as_str()).collect();
            let hint = match fitting.as_slice() {
                [] => format!("add a table map with one of {}", listed(info.targets.iter().map(String::as_str))),
                [one] => format!("did you mean `{one}`?"),
                several => format!("take one of {}", listed(several.iter().copied())),
            };
            let message = format!("`{name}` is {}; `{}` holds `{target}`", described(&info), table.name);
            desk.complain(path.key("ref").key("table"), At::Value, message, hint);
        }
    }
}

/// Complains about SQL that does not fit its columns.
///
/// It is tried on a frame without rows: a comparison of a text with a number shows here, not at night.
pub(super) fn check_expressions(desk: &mut Desk<'_>) {
    for (path, side, expression, is_condition) in expressions(desk) {
        if expression.columns().iter().any(|name| !desk.column(side, name).is_some_and(|info| info.readable)) {
            continue;
        }
        let Some(frame) = desk.scope(side).map(SideScope::empty) else { continue };
        let fails = |expression: &Expression| match is_condition {
            true => frame.rows_where(expression).err(),
            false => frame.evaluate(expression).err(),
        };
        // The first that fails hides the others.
        let parts = if is_condition { expression.parts() } else { Vec::new() };
        let mut errors: Vec<_> = parts.iter().filter_map(fails).collect();
        if errors.is_empty() {
            errors.extend(fails(&expression));
        }
        for error in errors {
            let hint = match is_condition && expression.columns().is_empty() {
                true => "write a condition, as in `blocked = ''`",
                false => {
                    "compare texts with texts and numbers with numbers; `CAST(column AS type)` makes one of the other"
                }
            };
            desk.complain(path.clone(), At::Value, error.to_string(), hint);
        }
    }
}

/// Returns all SQL of the table map: its path, the side whose rows it reads, and whether it is a condition.
pub(super) fn expressions(desk: &Desk<'_>) -> Vec<(Path, Side, Expression, bool)> {
    let mut found = Vec::new();
    let map = desk.map;
    for side in Side::BOTH {
        if let Some(filter) = &map.sides.of(side).filter {
            found.push((desk.path.key(side.key()).key("filter"), side, filter.clone(), true));
        }
    }
    for (number, field) in map.fields.iter().enumerate() {
        for side in Side::BOTH {
            if let Some(expression) = field.expression_to(side) {
                let path = desk.field(number).key(&format!("to_{}", side.key()));
                found.push((path, side.other(), expression.clone(), false));
            }
        }
    }
    for template in &map.on_create {
        let path = desk.path.key("on_create").index(template.number);
        let source = template.side.other();
        if let Some(condition) = &template.condition {
            found.push((path.key("if"), source, condition.clone(), true));
        }
        for (column, value) in &template.set {
            if let TemplateValue::Expression(expression) = value {
                found.push((path.key("set").key(column), source, expression.clone(), false));
            }
        }
    }
    found
}
