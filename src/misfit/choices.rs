//! Keys that ask something of the columns: `key` a GUID, `modified` and `newest` a time, `fit: truncate` a text, `create` a
//! key where records are known by what they hold.

use crate::config::{FieldMap, Fit, OnConflict, OnDelete, Side};
use crate::frame::Kind;
use crate::misfit::{At, Desk, columns, described};

/// Complains about keys whose columns are not what they need.
pub(super) fn check(desk: &mut Desk<'_>) {
    for side in Side::BOTH {
        check_key(desk, side);
        check_new_keys(desk, side);
        check_modified(desk, side);
    }
    let map = desk.map;
    for (number, field) in map.fields.iter().enumerate().filter(|(_, field)| field.fit == Fit::Truncate) {
        let is_text = |side: &Side| {
            let info = field.column(*side).and_then(|column| desk.column(*side, column));
            info.is_none_or(|info| matches!(info.column.kind, Kind::Text | Kind::Code))
        };
        if !Side::BOTH.iter().filter(|side| field.writes(**side)).any(is_text) {
            let message = format!("`{}` is no text that could be cut", field.name());
            desk.complain(desk.field(number).key("fit"), At::Value, message, "remove it");
        }
    }
}

fn check_key(desk: &mut Desk<'_>, side: Side) {
    let Some(name) = &desk.map.sides.of(side).key else { return };
    let path = desk.path.key(side.key()).key("key");
    if !columns::read(desk, side, name, path.clone(), At::Value) {
        return;
    }
    if let Some(info) = desk.column(side, name).filter(|info| info.column.kind != Kind::Guid) {
        let message = format!("`{name}` is {}, and a record is addressed by a GUID", described(info));
        desk.complain(path, At::Value, message, "name the column that holds the record's own id");
    }
}

/// Complains where records are made that would leave to their side what it knows them by.
fn check_new_keys(desk: &mut Desk<'_>, side: Side) {
    let map = desk.map;
    let restores = map.on_delete == OnDelete::Restore && map.direction.writes(side);
    let Some(scope) = desk.scope(side) else { return };
    let left: Vec<String> = scope.left_to_side(map, side).into_iter().map(str::to_owned).collect();
    // One of them a side may give by itself, from a number series, say.
    if (!map.create.on(side) && !restores) || left.len() < 2 {
        return;
    }
    for name in &left {
        let path = desk.path.key(if map.create.on(side) { "create" } else { "on_delete" });
        let table = &map.sides.of(side).table;
        let (side, names) = (side.name(), left.join("`, `"));
        let message = format!("the {side} knows records of `{table}` by `{name}`, and nothing gives that to a new one");
        let other = if side == Side::Erp.name() { Side::Crm.name() } else { Side::Erp.name() };
        let hint = format!(
            "pair it with a column of the {other}, or give it in `on_create`; of `{names}` the {side} can give one itself"
        );
        desk.complain(path, At::Value, message, hint);
    }
}

/// Tells whether a side says to the moment when a record was modified.
fn tells_moments(desk: &Desk<'_>, side: Side) -> bool {
    let modified = desk.scope(side).and_then(|scope| scope.modified.as_ref());
    let column = modified.and_then(|name| desk.column(side, name));
    column.is_some_and(|info| info.column.kind == Kind::DateTime)
}

fn check_modified(desk: &mut Desk<'_>, side: Side) {
    let map = desk.map;
    if let Some(name) = &map.sides.of(side).modified {
        let path = desk.path.key(side.key()).key("modified");
        if !columns::read(desk, side, name, path.clone(), At::Value) {
            return;
        }
        // A day is enough to know what to read again, and not to know who was later.
        let tells = |kind: Kind| kind == Kind::DateTime || (kind == Kind::Date && !map.compares_times());
        if let Some(info) = desk.column(side, name).filter(|info| !tells(info.column.kind)) {
            let message = format!("`{name}` is {}, no date and time", described(info));
            desk.complain(path, At::Value, message, "name the column that tells when a record was last modified");
        }
    } else if map.compares_times() && desk.scope(side).is_some() && !tells_moments(desk, side) {
        let table = &map.sides.of(side).table;
        let message = format!(
            "`newest` needs to know when a record of `{table}` was modified, and the {} does not say",
            side.name()
        );
        let hint = format!("name its column: `{}: {{ modified: … }}`, or write `hold`, `erp` or `crm`", side.key());
        let own = map.fields.iter().position(FieldMap::compares_times).unwrap_or_default();
        let path = match map.on_conflict {
            OnConflict::Newest => desk.path.key("on_conflict"),
            _ => desk.field(own).key("on_conflict"),
        };
        desk.complain(path, At::Value, message, hint);
    }
}
