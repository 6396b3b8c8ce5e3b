//! Types and lengths: does what a column holds fit the column that it is written to?
//!
//! What never fits is an error of every verb. What may not fit is told by those who ask for doubts: a text that is to be
//! a number may well spell one each time, and a long column may hold short texts only.
//!
//! The same conversion as at night decides where the values of a column are known; elsewhere the table in [`fit`] says
//! what that conversion does with values of a type. What an expression, `values` or `ref` makes is not looked at here.

use crate::config::{FieldMap, Fit, Side};
use crate::endpoint::ColumnInfo;
use crate::frame::{Kind, Value};
use crate::misfit::{At, Desk, described};
use crate::translate::convert::convert;

/// Characters of the shortest text that is a GUID.
const GUID_CHARACTERS_MIN: usize = 32;

/// How the values of one column fit another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fitting {
    /// Each of them, as far as the metadata tells.
    All,
    /// Only what spells a value of the other type, or is one of its options.
    Some,
    /// Only so many characters.
    Short {
        from: usize,
        to: usize,
    },
    /// With so many digits after the point; more are rounded.
    Rounded {
        from: u32,
        to: u32,
    },
    /// Only a midnight is a day.
    Midnight,
    /// The column of that side keeps days as moments that are other days elsewhere.
    LocalDay(Side),
    None,
}

/// Complains about fields of whose values none can be written.
pub(super) fn check(desk: &mut Desk<'_>) {
    for (number, to, from, info) in pairs(desk) {
        let path = desk.field(number).key(to.key());
        match fit(&from, to, &info) {
            Fitting::None => {
                let hint = format!(
                    "pair columns of one type, translate by `values` or `to_{}`, or leave that direction out",
                    to.key()
                );
                desk.complain(path, At::Value, format!("{}: no value fits", both(&from, &info)), hint);
            }
            Fitting::LocalDay(side) => {
                let name = if side == to { &info.column.name } else { &from.column.name };
                let message = format!(
                    "`{name}` of the {} shows a day in each reader's own time zone (format Date Only, behavior User Local), so \
                     it would be another day on the other side",
                    side.name()
                );
                let hint = format!(
                    "give the column the behavior Date Only or Time-Zone Independent, or say by `to_{}` which day is meant",
                    to.key()
                );
                desk.complain(path, At::Value, message, hint);
            }
            _ => {}
        }
    }
}

/// Complains about fields of whose values some may not be written as they are.
pub(super) fn doubt(desk: &mut Desk<'_>) {
    for (number, to, from, info) in pairs(desk) {
        let name = &info.column.name;
        let (message, hint) = match fit(&from, to, &info) {
            Fitting::All | Fitting::LocalDay(_) | Fitting::None => continue,
            Fitting::Midnight => (
                format!("{}: only a midnight fits", both(&from, &info)),
                format!(
                    "a moment within a day is refused; `to_{}: CAST({} AS DATE)` takes its day in UTC",
                    to.key(),
                    from.column.name
                ),
            ),
            Fitting::Some => {
                let what = match (info.options.is_empty(), from.column.kind) {
                    (false, _) => "is one of its options",
                    (true, Kind::Text | Kind::Code | Kind::Enum) => "spells such a value",
                    (true, _) => "is such a value",
                };
                (
                    format!("{}: only what {what} fits", both(&from, &info)),
                    format!("translate by `values` or `to_{}`, or leave that direction out", to.key()),
                )
            }
            Fitting::Short { .. } if desk.map.fields[number].fit == Fit::Truncate => continue,
            Fitting::Short { from: held, to: taken } => (
                format!("`{}` holds up to {held} characters, `{name}` takes {taken}", from.column.name),
                "a longer text is refused; `fit: truncate` cuts it".to_owned(),
            ),
            Fitting::Rounded { from: held, to: taken } => (
                format!("`{}` may have {held} digits after the point, `{name}` keeps {taken}", from.column.name),
                "more digits are rounded".to_owned(),
            ),
        };
        desk.complain(desk.field(number).key(to.key()), At::Value, message, hint);
    }
}

/// Returns what is written as it is: the number of the field, the side it goes to, the column it comes from and the one it
/// goes to.
fn pairs(desk: &Desk<'_>) -> Vec<(usize, Side, ColumnInfo, ColumnInfo)> {
    let plain = |field: &FieldMap, to: Side| {
        field.writes(to) && field.expression_to(to).is_none() && field.values.is_empty() && field.reference.is_none()
    };
    let mut pairs = Vec::new();
    for (number, field) in desk.map.fields.iter().enumerate() {
        for to in Side::BOTH.into_iter().filter(|to| plain(field, *to)) {
            let column = |side: Side| field.column(side).and_then(|name| desk.column(side, name)).cloned();
            if let (Some(from), Some(info)) = (column(to.other()), column(to)) {
                // A reference without `ref` is told as such.
                if info.targets.is_empty() {
                    pairs.push((number, to, from, info));
                }
            }
        }
    }
    pairs
}

fn both(from: &ColumnInfo, to: &ColumnInfo) -> String {
    format!("`{}` is {} and `{}` {}", from.column.name, described(from), to.column.name, described(to))
}

/// Says how the values of a column fit another, which is one of `side`.
fn fit(from: &ColumnInfo, side: Side, to: &ColumnInfo) -> Fitting {
    if let Some(values) = values(from) {
        let fitting = values.iter().filter(|value| convert((*value).clone(), side, to).is_ok()).count();
        return match fitting {
            0 => Fitting::None,
            all if all == values.len() => Fitting::All,
            _ => Fitting::Some,
        };
    }
    match (from.column.kind, to.column.kind) {
        (_, Kind::Text | Kind::Code) => match (characters(from), to.length_max) {
            // A GUID has as many characters in each row.
            (Some(from_max), Some(to_max)) if from.column.kind == Kind::Guid && from_max > to_max => Fitting::None,
            (Some(from), Some(to)) if from > to => Fitting::Short { from, to },
            _ => Fitting::All,
        },
        (Kind::Text | Kind::Code, Kind::Guid) if from.length_max.is_some_and(|max| max < GUID_CHARACTERS_MIN) => {
            Fitting::None
        }
        (Kind::Text | Kind::Code, Kind::Enum) if to.options.is_empty() => Fitting::All,
        (Kind::Text | Kind::Code | Kind::Enum, _) => Fitting::Some,
        (from, Kind::Enum) => {
            let spelled = |(_, label): &(i64, String)| !label.is_empty() && from.parse(label).is_some();
            match to.options.is_empty() || to.options.iter().any(spelled) {
                true => Fitting::Some,
                false => Fitting::None,
            }
        }
        (Kind::Integer | Kind::Choice, Kind::Integer | Kind::Decimal { .. }) => Fitting::All,
        (Kind::Integer | Kind::Choice, Kind::Choice) if to.options.is_empty() => Fitting::All,
        (Kind::Integer | Kind::Choice, Kind::Choice | Kind::Boolean) => Fitting::Some,
        (Kind::Decimal { scale: from }, Kind::Decimal { scale: to }) if from > to => Fitting::Rounded { from, to },
        (Kind::Decimal { .. }, Kind::Decimal { .. }) => Fitting::All,
        (Kind::Decimal { .. }, Kind::Integer | Kind::Choice) => Fitting::Some,
        // A list of one is what it lists.
        (Kind::Choices, Kind::Integer | Kind::Choice | Kind::Choices) => Fitting::Some,
        (Kind::Integer | Kind::Choice, Kind::Choices) => Fitting::Some,
        (Kind::DateTime, Kind::Date) if from.local_day => Fitting::LocalDay(side.other()),
        (Kind::Date, Kind::DateTime) if to.local_day => Fitting::LocalDay(side),
        (Kind::DateTime, Kind::Date) => Fitting::Midnight,
        (Kind::Date | Kind::DateTime, Kind::Date | Kind::DateTime) | (Kind::Guid, Kind::Guid) => Fitting::All,
        _ => Fitting::None,
    }
}

/// Returns all values of a column that has a few only, without blank; `None` where there are more.
fn values(info: &ColumnInfo) -> Option<Vec<Value>> {
    let values: Vec<Value> = match info.column.kind {
        Kind::Boolean => [true, false].map(Value::Boolean).to_vec(),
        Kind::Choice => info.options.iter().map(|(number, _)| Value::Integer(*number)).collect(),
        Kind::Enum => {
            let labels = info.options.iter().map(|(_, label)| label).filter(|label| !label.trim().is_empty());
            labels.map(|label| Value::Text(label.clone())).collect()
        }
        _ => Vec::new(),
    };
    (!values.is_empty()).then_some(values)
}

/// Returns how many characters the text of a value may have; `None` where that is not known.
fn characters(info: &ColumnInfo) -> Option<usize> {
    match info.column.kind {
        Kind::Text | Kind::Code => info.length_max,
        Kind::Date => Some("2026-01-31".len()),
        Kind::DateTime => Some("2026-01-31T22:10:05.123Z".len()),
        Kind::Guid => Some(36),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: Kind) -> ColumnInfo {
        ColumnInfo::plain("c", kind)
    }

    fn long(kind: Kind, characters: usize) -> ColumnInfo {
        ColumnInfo { length_max: Some(characters), ..column(kind) }
    }

    fn options(kind: Kind, options: &[(i64, &str)]) -> ColumnInfo {
        let options = options.iter().map(|(number, label)| (*number, (*label).to_owned())).collect();
        ColumnInfo { options, ..column(kind) }
    }

    /// Whichever way, the side is the one that has the local day.
    #[test]
    fn a_day_of_each_readers_zone_fits_no_day() {
        let local_day = ColumnInfo { local_day: true, ..column(Kind::DateTime) };
        for side in Side::BOTH {
            assert_eq!(fit(&column(Kind::Date), side, &local_day), Fitting::LocalDay(side));
            assert_eq!(fit(&local_day, side, &column(Kind::Date)), Fitting::LocalDay(side.other()));
        }
    }

    #[test]
    fn columns_fit_as_their_types_lengths_and_options_say() {
        let decimal = |scale: u32| column(Kind::Decimal { scale });
        let grades = options(Kind::Choice, &[(1, "Gold"), (2, "Tin")]);
        let flags = options(Kind::Choice, &[(0, "No"), (1, "Yes")]);
        let kinds = options(Kind::Enum, &[(0, " "), (1, "Person"), (2, "Company")]);
        for (from, to, expected) in [
            (column(Kind::Text), column(Kind::Text), Fitting::All),
            (long(Kind::Text, 100), long(Kind::Text, 50), Fitting::Short { from: 100, to: 50 }),
            (long(Kind::Code, 20), long(Kind::Text, 50), Fitting::All),
            (decimal(2), long(Kind::Text, 50), Fitting::All),
            (column(Kind::Boolean), long(Kind::Text, 50), Fitting::All),
            (column(Kind::Boolean), long(Kind::Text, 4), Fitting::Some),
            (column(Kind::Boolean), long(Kind::Text, 3), Fitting::None),
            (column(Kind::Guid), long(Kind::Text, 20), Fitting::None),
            (column(Kind::Guid), long(Kind::Text, 36), Fitting::All),
            (long(Kind::Code, 20), column(Kind::Guid), Fitting::None),
            (column(Kind::Text), column(Kind::Guid), Fitting::Some),
            (column(Kind::Text), column(Kind::Boolean), Fitting::Some),
            (column(Kind::Text), column(Kind::Integer), Fitting::Some),
            (column(Kind::Text), column(Kind::Enum), Fitting::All),
            (column(Kind::Text), grades.clone(), Fitting::Some),
            (column(Kind::Text), kinds.clone(), Fitting::Some),
            (column(Kind::Boolean), grades.clone(), Fitting::Some),
            (column(Kind::Boolean), flags.clone(), Fitting::All),
            (column(Kind::Boolean), decimal(2), Fitting::None),
            (column(Kind::Boolean), kinds.clone(), Fitting::None),
            (flags.clone(), column(Kind::Boolean), Fitting::All),
            (grades.clone(), column(Kind::Boolean), Fitting::Some),
            (grades.clone(), flags.clone(), Fitting::Some),
            (grades.clone(), column(Kind::Integer), Fitting::All),
            (kinds.clone(), column(Kind::Text), Fitting::All),
            (kinds.clone(), grades.clone(), Fitting::None),
            (kinds.clone(), options(Kind::Enum, &[(0, "Company")]), Fitting::Some),
            (kinds.clone(), column(Kind::Integer), Fitting::None),
            (column(Kind::Integer), kinds.clone(), Fitting::None),
            (column(Kind::Integer), options(Kind::Enum, &[(0, "7")]), Fitting::Some),
            (column(Kind::Integer), decimal(2), Fitting::All),
            (decimal(2), column(Kind::Integer), Fitting::Some),
            (decimal(2), column(Kind::Boolean), Fitting::None),
            (decimal(5), decimal(2), Fitting::Rounded { from: 5, to: 2 }),
            (decimal(2), decimal(5), Fitting::All),
            (column(Kind::Integer), column(Kind::Date), Fitting::None),
            (column(Kind::Date), column(Kind::DateTime), Fitting::All),
            (column(Kind::DateTime), column(Kind::Date), Fitting::Midnight),
            (column(Kind::DateTime), ColumnInfo { local_day: true, ..column(Kind::DateTime) }, Fitting::All),
            (column(Kind::DateTime), long(Kind::Text, 10), Fitting::Short { from: 24, to: 10 }),
            (column(Kind::Date), decimal(2), Fitting::None),
            (column(Kind::Guid), column(Kind::Integer), Fitting::None),
        ] {
            assert_eq!(fit(&from, Side::Crm, &to), expected, "{from:?} into {to:?}");
        }
    }
}
