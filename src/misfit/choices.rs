//! Keys that ask something of the columns: `modified` and `newest` a time, `fit: truncate` a text.

use crate::config::{FieldMap, Fit, OnConflict, Side};
use crate::frame::Kind;
use crate::misfit::{At, Desk, columns, described};

/// Complains about keys whose columns are not what they need.
pub(super) fn check(desk: &mut Desk<'_>) {
    for side in Side::BOTH {
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

fn check_modified(desk: &mut Desk<'_>, side: Side) {
    let map = desk.map;
    if let Some(name) = &map.sides.of(side).modified {
        let path = desk.path.key(side.key()).key("modified");
        if !columns::read(desk, side, name, path.clone(), At::Value) {
            return;
        }
        if let Some(info) = desk.column(side, name).filter(|info| info.column.kind != Kind::DateTime) {
            let message = format!("`{name}` is {}, no date and time", described(info));
            desk.complain(path, At::Value, message, "name the column that tells when a record was last modified");
        }
    } else if desk.scope.modified.of(side).is_none() && map.compares_times() {
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
