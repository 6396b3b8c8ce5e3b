//! The key by which a match rule compares records: equal keys mean that the rule holds.

use crate::config::{FieldMap, MatchRule, PerSide, Side, TableMap};
use crate::endpoint::{TableInfo, without_blanks};
use crate::frame::{Frame, Kind, Value};
use crate::translate::Translator;
use crate::translate::canonical::{BLANK, fingerprint, own};
use crate::translate::links::Links;

/// The match key of a record for one rule; `None` where a column is blank.
pub type Key = Option<u128>;

/// Makes one key for each row of both frames, such that equal keys mean that the rule holds; `None` where a column is
/// blank.
pub fn keys(
    map: &TableMap,
    rule: &MatchRule,
    infos: &PerSide<TableInfo>,
    frames: &PerSide<Frame>,
    links: &Links,
) -> PerSide<Vec<Key>> {
    let mut keys = PerSide::from_fn(|side| vec![Some(0_u128); frames.of(side).rows()]);
    for (erp, crm) in &rule.by {
        let field =
            map.fields.iter().find(|field| field.erp.as_deref() == Some(erp) && field.crm.as_deref() == Some(crm));
        let columns = PerSide { erp: erp.as_str(), crm: crm.as_str() };
        let parts = translated_parts(field, rule, infos, frames, links)
            .unwrap_or_else(|| PerSide::from_fn(|side| plain_part(frames.of(side), side, columns.of(side), rule)));
        for side in Side::BOTH {
            for (key, part) in keys.of_mut(side).iter_mut().zip(parts.of(side)) {
                *key = match (*key, *part) {
                    (Some(key), part) if part != BLANK => {
                        // The place of a column counts, so that two columns with each other's values are not the same.
                        Some(key.wrapping_mul(0x0100_0000_01b3_0000_0000_0000_013b) ^ mix(part))
                    }
                    _ => None,
                };
            }
        }
    }
    keys
}

fn mix(part: u64) -> u128 {
    let high = part.rotate_left(31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (u128::from(high) << 64) | u128::from(part)
}

/// Where a field map translates the two columns, both are compared in the terms of the target side.
fn translated_parts(
    field: Option<&FieldMap>,
    rule: &MatchRule,
    infos: &PerSide<TableInfo>,
    frames: &PerSide<Frame>,
    links: &Links,
) -> Option<PerSide<Vec<u64>>> {
    let field = field?;
    let translates = |to: Side| field.expression_to(to).is_some();
    if field.reference.is_none() && field.values.is_empty() && !translates(Side::Crm) && !translates(Side::Erp) {
        return None;
    }
    let to = if translates(Side::Erp) && !translates(Side::Crm) { Side::Erp } else { Side::Crm };
    let info = infos.of(to).column(field.column(to)?)?;
    let source = frames.of(to.other());
    let translator = Translator::new(field, to, info, links, source).ok()??;
    let fold = !rule.case_sensitive && matches!(info.column.kind, Kind::Text | Kind::Code);
    let translated: Vec<u64> = (0..source.rows())
        .map(|row| match translator.value(row) {
            Ok(value) if fold => fold_part(&value.to_string()),
            Ok(value) => fingerprint(&value, to, info.column.kind),
            // It has a value, only not one that the other side could hold: it matches nothing, and is not blank.
            Err(_) => fingerprint(&Value::Guid(source.id(row)), to, Kind::Guid),
        })
        .collect();
    let column = field.column(to)?;
    let target = if fold { plain_part(frames.of(to), to, column, rule) } else { own(frames.of(to), to, column) };
    Some(match to {
        Side::Crm => PerSide { erp: translated, crm: target },
        Side::Erp => PerSide { erp: target, crm: translated },
    })
}

/// Fingerprints a column's values as a match rule compares them: as text without blanks around, and without regard to
/// case unless the rule says so.
fn plain_part(frame: &Frame, side: Side, column: &str, rule: &MatchRule) -> Vec<u64> {
    if rule.case_sensitive && frame.column(column).is_some_and(|column| column.kind != Kind::Code) {
        return own(frame, side, column);
    }
    let text = frame.series(column).and_then(|series| series.str().ok());
    match text {
        Some(cells) if rule.case_sensitive => {
            cells.iter().map(|cell| cell.map_or(BLANK, |text| case_part(without_blanks(text)))).collect()
        }
        Some(cells) => cells.iter().map(|cell| cell.map_or(BLANK, fold_part)).collect(),
        None => (0..frame.rows()).map(|row| fold_part(&frame.value(column, row).to_string())).collect(),
    }
}

fn fold_part(text: &str) -> u64 {
    case_part(&without_blanks(text).to_lowercase())
}

fn case_part(text: &str) -> u64 {
    fingerprint(&Value::Text(text.to_owned()), Side::Crm, Kind::Text)
}
