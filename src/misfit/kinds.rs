//! Match rules: can the two columns ever hold the same?
//!
//! A rule compares texts, so a number in a text column finds its number (an amount there is a doubt); with `case_sensitive` it compares values, and
//! then both must be of one type. What a field map translates first is compared in the terms of its target.

use crate::config::{PerSide, Side};
use crate::endpoint::ColumnInfo;
use crate::frame::Kind;
use crate::misfit::{At, Desk, Pair, described};

/// Characters of a GUID as text.
const GUID_CHARACTERS: usize = 36;
/// Characters of a day as text.
const DATE_CHARACTERS: usize = 10;

/// Complains about pairs of columns that never agree.
pub(super) fn check(desk: &mut Desk<'_>) {
    for (number, erp, crm) in untranslated(desk) {
        let pair = PerSide { erp: &erp, crm: &crm };
        let path = desk.path.key("match").index(number).key("by").key(&erp.column.name);
        if !agree_as_text(&pair) {
            desk.complain(path, At::Value, format!("{}: they are never equal", told(&pair)), OTHERS);
        } else if desk.map.match_rules[number].case_sensitive && class(pair.erp) != class(pair.crm) {
            let message = format!("{}: with `case_sensitive` they are never equal", told(&pair));
            desk.complain(path, At::Value, message, "remove `case_sensitive`, and they are compared as texts");
        }
    }
}

/// Complains about pairs of columns that agree only where a text spells an amount or a day.
pub(super) fn doubt(desk: &mut Desk<'_>) {
    for (number, erp, crm) in untranslated(desk) {
        let kinds = [&erp, &crm].map(|info| info.column.kind);
        let spelled = |kind: Kind| matches!(kind, Kind::Decimal { .. } | Kind::Date);
        let pair = PerSide { erp: &erp, crm: &crm };
        if agree_as_text(&pair) && kinds.into_iter().any(spelled) && kinds.into_iter().any(is_text) {
            let path = desk.path.key("match").index(number).key("by").key(&erp.column.name);
            let message = format!("{}: they are equal only where the text spells it", told(&pair));
            desk.complain(path, At::Value, message, OTHERS);
        }
    }
}

const OTHERS: &str = "name two columns that hold the same, or pair them in `fields` with `values`, `ref` or SQL";

fn told(pair: &Pair<'_>) -> String {
    let name = |info: &ColumnInfo| info.column.name.clone();
    format!("`{}` is {} and `{}` {}", name(pair.erp), described(pair.erp), name(pair.crm), described(pair.crm))
}

/// Returns the pairs of columns that are compared as they are, each with the number of its rule.
fn untranslated(desk: &Desk<'_>) -> Vec<(usize, ColumnInfo, ColumnInfo)> {
    let map = desk.map;
    let mut pairs = Vec::new();
    for (number, rule) in map.match_rules.iter().enumerate() {
        for (erp, crm) in &rule.by {
            let translated = map.fields.iter().any(|field| {
                let is_pair = field.erp.as_ref() == Some(erp) && field.crm.as_ref() == Some(crm);
                let has_expression = Side::BOTH.into_iter().any(|side| field.expression_to(side).is_some());
                is_pair && (field.reference.is_some() || !field.values.is_empty() || has_expression)
            });
            let pair = (desk.column(Side::Erp, erp).cloned(), desk.column(Side::Crm, crm).cloned());
            if let (false, (Some(erp), Some(crm))) = (translated, pair) {
                pairs.push((number, erp, crm));
            }
        }
    }
    pairs
}

/// Tells whether the texts of two columns can be the same.
fn agree_as_text(pair: &Pair<'_>) -> bool {
    let kinds = [pair.erp, pair.crm].map(|info| info.column.kind);
    match kinds {
        [Kind::Guid, Kind::Guid] => true,
        [Kind::Guid, Kind::Text] => holds(pair.crm, GUID_CHARACTERS),
        [Kind::Text, Kind::Guid] => holds(pair.erp, GUID_CHARACTERS),
        [Kind::Guid, _] | [_, Kind::Guid] => false,
        // Nobody writes a moment into a text, and a yes or no knows no record by itself.
        [Kind::DateTime | Kind::Boolean, other] | [other, Kind::DateTime | Kind::Boolean] if is_text(other) => false,
        [Kind::Date, other] if is_text(other) => holds(pair.crm, DATE_CHARACTERS),
        [other, Kind::Date] if is_text(other) => holds(pair.erp, DATE_CHARACTERS),
        // A text may spell any number.
        [Kind::Text | Kind::Code, _] | [_, Kind::Text | Kind::Code] => true,
        _ => class(pair.erp) == class(pair.crm) || kinds.iter().all(|kind| is_number(*kind)),
    }
}

fn is_number(kind: Kind) -> bool {
    matches!(kind, Kind::Integer | Kind::Decimal { .. } | Kind::Choice)
}

fn is_text(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Code)
}

/// Tells whether a column takes a text of so many characters.
fn holds(info: &ColumnInfo, characters: usize) -> bool {
    info.length_max.is_none_or(|characters_max| characters_max >= characters)
}

/// Returns a number that two columns share whose values are compared with one another as they are.
fn class(info: &ColumnInfo) -> u8 {
    match info.column.kind {
        Kind::Text | Kind::Code | Kind::Enum => 1,
        Kind::Integer | Kind::Decimal { .. } => 2,
        Kind::Boolean => 3,
        Kind::Date => 4,
        Kind::Choice => 5,
        Kind::DateTime => 6,
        Kind::Guid => 7,
        Kind::Choices => 8,
    }
}
