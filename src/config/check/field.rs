//! Field maps: each as written in, as meant out.
//!
//! A field map joins two columns, or gives one column a constant or an expression. Which way it travels follows from its
//! own `direction`, else the table map's, less what cannot be written; what can never travel is a complaint.

use crate::config::check::sql::{self, Known};
use crate::config::check::table::{check_winner, column, filler};
use crate::config::check::{Desk, reference};
use crate::config::complaint::Path;
use crate::config::schema;
use crate::config::{
    Blank, Constant, Create, Direction, Drift, FieldMap, Fit, OnConflict, OnUnresolved, PerSide, Side, When,
};

/// What a field map has to know of its table map.
pub(super) struct Facts<'a> {
    /// `None` where that was complained about.
    pub direction: Option<Direction>,
    pub create: Option<Create>,
    pub on_conflict: OnConflict,
    /// Pairs of columns that match rules compare.
    pub matched: &'a [(String, String)],
    pub known: &'a Known,
}

/// Checks the field maps of one table map.
pub(super) fn check_all(
    desk: &mut Desk<'_>,
    path: &Path,
    written: &[Option<schema::Field>],
    facts: &Facts<'_>,
) -> Option<Vec<FieldMap>> {
    let mut fields: Vec<(Path, FieldMap)> = Vec::new();
    let elements = desk.elements(path, written);
    let count = elements.len();
    for (path, written) in elements {
        if let Some(field) = check(desk, &path, written, facts) {
            check_against(desk, &path, &field, &fields);
            fields.push((path, field));
        }
    }
    (fields.len() == count).then(|| fields.into_iter().map(|(_, field)| field).collect())
}

fn check(desk: &mut Desk<'_>, path: &Path, written: &schema::Field, facts: &Facts<'_>) -> Option<FieldMap> {
    // First what can be judged key by key, so that it is told in any case.
    let [to_crm, to_erp] = [(Side::Crm, &written.to_crm), (Side::Erp, &written.to_erp)].map(|(side, text)| {
        let path = path.key(&format!("to_{}", side.key()));
        text.as_ref().and_then(|text| sql::expression(desk, &path, text, side.other(), facts.known))
    });
    let reference = reference::check(desk, path, written);
    let first_sync = written.first_sync.and_then(|written| filler(desk, &path.key("first_sync"), written));
    let on_conflict = written.on_conflict.map(schema::Policy::winner);

    check_shape(desk, path, written)?;
    let direction = direction(desk, path, written, facts)?;
    let values = values(desk, path, written, direction, facts);
    if written.blank.is_some() && written.value.is_some() {
        desk.refuse(&path.key("blank"), "has no meaning for a constant", "remove it".to_owned());
    }
    let is_created = |create: Create| Side::BOTH.into_iter().any(|side| direction.writes(side) && create.on(side));
    // A match rule compares a pair in the terms of its field map, whether that is ever written or not.
    let is_matched = facts
        .matched
        .iter()
        .any(|(erp, crm)| (written.erp.as_deref(), written.crm.as_deref()) == (Some(erp.as_str()), Some(crm.as_str())));
    let never_created = facts.create.is_some_and(|create| !is_created(create));
    if written.when == Some(schema::When::Create) && never_created && !is_matched {
        let message = "is never written: this table map creates nothing on that side";
        desk.refuse(&path.key("when"), message, "let the table map `create`, or remove `when`".to_owned());
    }
    check_fit(desk, path, written);
    check_drift(desk, path, written, direction);
    if let Some(policy) = first_sync {
        check_winner(desk, &path.key("first_sync"), policy, direction);
    }
    if on_conflict.is_some() && direction != Direction::Both {
        let message = format!("has no effect: this field travels {} only and is never contested", direction.key());
        desk.warn(&path.key("on_conflict"), message, "remove it".to_owned());
    }

    Some(FieldMap {
        erp: written.erp.clone(),
        crm: written.crm.clone(),
        direction: Some(direction),
        to_crm,
        to_erp,
        values,
        reference,
        on_unresolved: written.on_unresolved.unwrap_or(OnUnresolved::Fail),
        first_sync,
        on_conflict: on_conflict.unwrap_or(facts.on_conflict),
        when: match written.when {
            None => When::Always,
            Some(schema::When::Create) => When::Create,
            Some(schema::When::Update) => When::Update,
        },
        blank: written.blank.unwrap_or(Blank::Write),
        fit: written.fit.unwrap_or(Fit::Reject),
        drift: written.drift.unwrap_or(Drift::Restore),
        value: written.value.and_then(|_| desk.constant(&path.key("value"))),
    })
}

/// Complains where there is no text to cut, or where a cut one would be another key or another option.
fn check_fit(desk: &mut Desk<'_>, path: &Path, written: &schema::Field) {
    if written.fit != Some(Fit::Truncate) {
        return;
    }
    let message = if written.reference.is_some() {
        "a key that is cut is another record's: it has no place beside a `ref`"
    } else if written.values.is_some() {
        "a value out of `values` is cut by nobody but you"
    } else if written.value.is_some() {
        "a constant is cut by nobody but you"
    } else {
        return;
    };
    desk.refuse(&path.key("fit"), message, "remove it, and write what fits".to_owned());
}

/// Complains where the field has no owner from whom the other side could drift away.
fn check_drift(desk: &mut Desk<'_>, path: &Path, written: &schema::Field, direction: Direction) {
    if !matches!(written.drift, Some(Drift::Leave | Drift::Report)) {
        return;
    }
    let (message, hint) = if direction == Direction::Both {
        let hint = "give the field a `direction`, or remove it";
        ("has no effect: this field travels both ways, an edit of either side goes over", hint)
    } else if written.when == Some(schema::When::Create) {
        ("has no effect: `when: create` never looks at the field again", "remove it")
    } else {
        return;
    };
    desk.refuse(&path.key("drift"), message, hint.to_owned());
}

/// Complains unless a field map joins two columns or fills one; `None` where nothing more can be said about it.
fn check_shape(desk: &mut Desk<'_>, path: &Path, written: &schema::Field) -> Option<()> {
    let is_gone = |key: &str| desk.tree.is_damaged(&path.key(key));
    if ["erp", "crm", "value", "to_crm", "to_erp", "direction"].into_iter().any(is_gone) {
        return None;
    }
    for (key, name) in [("erp", &written.erp), ("crm", &written.crm)] {
        if name.as_ref().is_some_and(|name| !column(desk, &path.key(key), name)) {
            return None;
        }
    }
    let side = match (&written.erp, &written.crm) {
        (Some(_), Some(_)) => {
            if written.value.is_some() {
                let message = "a constant has no place beside two columns";
                desk.refuse(&path.key("value"), message, "name only the column that is to hold it".to_owned());
                return None;
            }
            return Some(());
        }
        (Some(_), None) => Side::Erp,
        (None, Some(_)) => Side::Crm,
        (None, None) => {
            let hint = "name `erp` and `crm`, or one of them with a `value`".to_owned();
            desk.refuse(path, "names no column", hint);
            return None;
        }
    };
    let (own, other) = match side {
        Side::Erp => (&written.to_erp, &written.to_crm),
        Side::Crm => (&written.to_crm, &written.to_erp),
    };
    let (here, there) = (side.key(), side.other().key());
    if other.is_some() {
        let message = format!("`to_{there}` has no `{there}` column to write");
        desk.refuse(&path.key(&format!("to_{there}")), message, format!("name the `{there}` column"));
        return None;
    }
    if written.value.is_some() && own.is_some() {
        let message = format!("a constant and `to_{here}` both fill the column");
        desk.refuse(&path.key("value"), message, "remove one of the two".to_owned());
        return None;
    }
    if written.value.is_none() && own.is_none() {
        let hint = format!("name the `{there}` column, or give a `value` or an expression in `to_{here}`");
        desk.refuse(path, "has nothing to put into its one column", hint);
        return None;
    }
    Some(())
}

/// Returns which way the field travels, less what cannot be written; what was asked for and cannot be is complained about.
fn direction(desk: &mut Desk<'_>, path: &Path, written: &schema::Field, facts: &Facts<'_>) -> Option<Direction> {
    // Unknown is as good as any, so that the rest is checked.
    let table = facts.direction.unwrap_or(Direction::Both);
    let wanted = written.direction.unwrap_or(table);
    let mut writes = PerSide::from_fn(|side| wanted.writes(side));
    for side in Side::BOTH {
        let obstacle = obstacle(written, side);
        if let Some(obstacle) = &obstacle {
            *writes.of_mut(side) = false;
            if written.direction.is_some_and(|direction| direction.writes(side)) {
                let message = format!("cannot travel to the {}: {obstacle}", side.name());
                desk.refuse(&path.key("direction"), message, format!("write `direction: to_{}`", side.other().key()));
                return None;
            }
        }
        if wanted.writes(side) && !table.writes(side) {
            let message = format!("cannot travel to the {}: the table map goes {} only", side.name(), table.key());
            desk.refuse(&path.key("direction"), message, "change it here, or at the table map".to_owned());
            return None;
        }
    }
    let direction = match (writes.erp, writes.crm) {
        (true, true) => Direction::Both,
        (true, false) => Direction::ToErp,
        (false, true) => Direction::ToCrm,
        (false, false) => {
            let side = if wanted.writes(Side::Erp) { Side::Erp } else { Side::Crm };
            let obstacle = obstacle(written, side).unwrap_or_default();
            let message = format!("never travels: it goes {} only, and {obstacle}", wanted.key());
            desk.refuse(path, message, "remove it, or change the direction".to_owned());
            return None;
        }
    };
    for (side, expression) in [(Side::Crm, &written.to_crm), (Side::Erp, &written.to_erp)] {
        if expression.is_some() && !direction.writes(side) {
            let key = format!("to_{}", side.key());
            let message = format!("is never used: this field travels {} only", direction.key());
            desk.refuse(&path.key(&key), message, "remove it, or change the direction".to_owned());
        }
    }
    Some(direction)
}

/// Says why a field map can never write a side.
fn obstacle(written: &schema::Field, side: Side) -> Option<String> {
    let (column, own, other) = match side {
        Side::Erp => (&written.erp, &written.to_erp, &written.to_crm),
        Side::Crm => (&written.crm, &written.to_crm, &written.to_erp),
    };
    match column {
        None => Some(format!("it names no {} column", side.name())),
        Some(column) if column.contains('/') => Some(format!("`{column}` is read through a navigation")),
        Some(_) if own.is_none() && other.is_some() => Some(format!("only `to_{}` is given", side.other().key())),
        Some(_) => None,
    }
}

/// Returns the pairs of ERP and CRM text; what does not lead back is complained about.
fn values(
    desk: &mut Desk<'_>,
    path: &Path,
    written: &schema::Field,
    direction: Direction,
    facts: &Facts<'_>,
) -> Vec<(String, String)> {
    let Some(values) = &written.values else { return Vec::new() };
    let path = path.key("values");
    if written.value.is_some() || written.erp.is_none() || written.crm.is_none() {
        desk.refuse(&path, "needs two columns", "name both columns, or remove it".to_owned());
    }
    if written.to_crm.is_some() || written.to_erp.is_some() {
        let hint = "take one of the two; an expression can say `CASE WHEN … THEN … END`".to_owned();
        desk.refuse(&path, "has no place beside an expression", hint);
    }
    if written.reference.is_some() {
        desk.refuse(&path, "has no place beside a `ref`", "take one of the two".to_owned());
    }
    if values.0.is_empty() && !desk.has_damage_below(&path) {
        desk.refuse(&path, "holds no pair", "write `{ ERP value: CRM value }`, or remove it".to_owned());
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (erp, _) in &values.0 {
        let path = path.key(erp);
        let Some(crm) = desk.constant(&path).as_ref().map(Constant::text) else { continue };
        if direction.writes(Side::Erp)
            && (facts.direction.is_some() || written.direction.is_some())
            && let Some((first, _)) = pairs.iter().find(|(_, known)| *known == crm)
        {
            let message = format!("`{}` stands for `{first}` and `{erp}`: it has no way back", desk.written(&path));
            let hint = "give each a value of its own, or write `direction: to_crm`".to_owned();
            desk.refuse(&path, message, hint);
        }
        pairs.push((erp.clone(), crm));
    }
    pairs
}

/// Complains if an earlier field map joins or writes the same.
fn check_against(desk: &mut Desk<'_>, path: &Path, field: &FieldMap, earlier: &[(Path, FieldMap)]) {
    for (first, other) in earlier {
        if other.key() == field.key() {
            let hint = "join them: `direction`, `to_crm` and `to_erp` stand in one field map".to_owned();
            desk.refuse(path, format!("maps the same columns as {first}"), hint);
            return;
        }
        let apart = matches!((field.when, other.when), (When::Create, When::Update) | (When::Update, When::Create));
        for side in Side::BOTH {
            if !apart
                && field.writes(side)
                && other.writes(side)
                && let Some(column) = field.column(side)
                && other.column(side) == Some(column)
            {
                let message = format!("`{column}` of the {} is already written by {first}", side.name());
                let hint = "let one of the two travel the other way, or remove it".to_owned();
                desk.refuse(&path.key(side.key()), message, hint);
            }
        }
    }
}
