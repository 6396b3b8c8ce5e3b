//! Match rules: can the two columns ever hold the same?
//!
//! A rule compares texts, so a number in a text column finds its number; with `case_sensitive` it compares values, and
//! then both must be of one type. What a field map translates first is compared in the terms of its target.

use crate::config::{PerSide, Side};
use crate::endpoint::ColumnInfo;
use crate::frame::Kind;
use crate::misfit::{At, Desk, Pair, described};

/// Characters of a GUID as text.
const GUID_CHARACTERS: usize = 36;

/// Complains about pairs of columns that never agree.
pub(super) fn check(desk: &mut Desk<'_>) {
    let map = desk.map;
    for (number, rule) in map.match_rules.iter().enumerate() {
        for (erp, crm) in &rule.by {
            let translated = map.fields.iter().any(|field| {
                let is_pair = field.erp.as_ref() == Some(erp) && field.crm.as_ref() == Some(crm);
                let has_expression = Side::BOTH.into_iter().any(|side| field.expression_to(side).is_some());
                is_pair && (field.reference.is_some() || !field.values.is_empty() || has_expression)
            });
            let pair = (desk.column(Side::Erp, erp).cloned(), desk.column(Side::Crm, crm).cloned());
            let (false, (Some(erp_info), Some(crm_info))) = (translated, pair) else { continue };
            let path = desk.path.key("match").index(number).key("by").key(erp);
            let pair = PerSide { erp: &erp_info, crm: &crm_info };
            let told = format!("`{erp}` is {} and `{crm}` {}", described(pair.erp), described(pair.crm));
            if !agree_as_text(&pair) {
                let hint = "name two columns that hold the same, or pair them in `fields` with `values`, `ref` or SQL";
                desk.complain(path, At::Value, format!("{told}: they are never equal"), hint);
            } else if rule.case_sensitive && class(pair.erp) != class(pair.crm) {
                let message = format!("{told}: with `case_sensitive` they are never equal");
                desk.complain(path, At::Value, message, "remove `case_sensitive`, and they are compared as texts");
            }
        }
    }
}

/// Tells whether the texts of two columns can be the same.
fn agree_as_text(pair: &Pair<'_>) -> bool {
    let kinds = [pair.erp, pair.crm].map(|info| info.column.kind);
    match kinds {
        [Kind::Guid, Kind::Guid] => true,
        [Kind::Guid, _] => holds_guid(pair.crm),
        [_, Kind::Guid] => holds_guid(pair.erp),
        // A text may spell anything.
        [Kind::Text | Kind::Code, _] | [_, Kind::Text | Kind::Code] => true,
        _ => class(pair.erp) == class(pair.crm) || kinds.iter().all(|kind| is_number(*kind)),
    }
}

fn is_number(kind: Kind) -> bool {
    matches!(kind, Kind::Integer | Kind::Decimal { .. } | Kind::Choice)
}

/// Tells whether a column could hold the text of a GUID.
fn holds_guid(info: &ColumnInfo) -> bool {
    matches!(info.column.kind, Kind::Text) && info.length_max.is_none_or(|characters| characters >= GUID_CHARACTERS)
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
    }
}
