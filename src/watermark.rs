//! How far a side was read: modification times in, the moment from which the next read has to begin out.
//!
//! All times are those of the side that was read, and are compared only with each other: what our clock or the other
//! side's shows does not matter. Nothing here asks a side or remembers anything.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use uuid::Uuid;

use crate::config::expression::{Comparison, Literal, Predicate};
use crate::config::{PerSide, Side, TableMap};
use crate::frame::{Column, Frame, Kind, Value};
use crate::translate::canonical::fingerprint;

/// How far behind its watermark a read begins.
///
/// Both services stamp a record inside of its transaction, so one that takes long appears with a time that was passed
/// already (erp-api.md §3, crm-api.md §14). What takes longer still is found by the next full run.
pub const OVERLAP_SECONDS: i64 = 300;

/// Returns how far a side is known after a read that took so long; `None` where no record had a time.
///
/// A read is no snapshot: a record that was edited after its page had gone by is not in it, while a later page brings
/// newer ones. So the newest time counts less the time that the read took, by any clock that runs evenly.
pub fn reached(newest: Option<DateTime<Utc>>, seconds: f64) -> Option<DateTime<Utc>> {
    let milliseconds = if seconds.is_finite() && seconds > 0.0 { (seconds * 1_000.0).ceil() } else { 0.0 };
    #[expect(clippy::cast_possible_truncation, reason = "a read takes fewer milliseconds than an i64 holds")]
    let took = TimeDelta::milliseconds(milliseconds as i64);
    newest.and_then(|newest| newest.checked_sub_signed(took))
}

/// Returns the later of what was known and what a read has reached: a read of changes never takes anything back.
pub fn advanced(before: Option<DateTime<Utc>>, reached: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    before.max(reached)
}

/// Returns the moment from which on a side is read again.
pub fn read_from(read_to: DateTime<Utc>) -> DateTime<Utc> {
    read_to.checked_sub_signed(TimeDelta::seconds(OVERLAP_SECONDS)).unwrap_or(DateTime::<Utc>::MIN_UTC)
}

/// Narrows a filter to what was modified since; without a moment nothing is narrowed.
///
/// A column that knows the day only is asked for the whole day: what was modified on the newest day that was read, or late
/// on the day before, comes again.
pub fn since(filter: Option<Predicate>, column: &Column, from: Option<DateTime<Utc>>) -> Option<Predicate> {
    let Some(from) = from else { return filter };
    let literal = match column.kind {
        Kind::Date => from.date_naive().to_string(),
        _ => from.to_rfc3339_opts(SecondsFormat::Millis, true),
    };
    let modified = Predicate::Compare {
        column: column.name.clone(),
        comparison: Comparison::GreaterOrEqual,
        literal: Literal::Text(literal),
    };
    Some(match filter {
        None => modified,
        Some(Predicate::All(mut parts)) => {
            parts.push(modified);
            Predicate::All(parts)
        }
        Some(other) => Predicate::All(vec![other, modified]),
    })
}

/// Returns the rows that were modified since; a record without a time was not.
pub fn rows_since(frame: &Frame, column: &str, from: DateTime<Utc>) -> Vec<usize> {
    let modified = |row: &usize| match frame.value(column, *row) {
        Value::DateTime(time) => time >= from,
        Value::Date(day) => day >= from.date_naive(),
        // Who cannot read the time cannot know that it passed.
        _ => frame.lacks(column, *row),
    };
    (0..frame.rows()).filter(modified).collect()
}

/// Returns the records of a frame that a read from this watermark brings again: id and a fingerprint of the version.
///
/// Whoever has settled them need not look at them again while they bear the same version. A record without a version is
/// not among them.
pub fn seen(frame: &Frame, column: &str, read_to: Option<DateTime<Utc>>) -> Vec<(Uuid, u64)> {
    let rows = match read_to {
        Some(read_to) => rows_since(frame, column, read_from(read_to)),
        None => (0..frame.rows()).collect(),
    };
    rows.into_iter().filter_map(|row| Some((frame.id(row), version(frame, row)?))).collect()
}

/// Returns the fingerprint of a record's version.
pub fn version(frame: &Frame, row: usize) -> Option<u64> {
    let etag = frame.etag(row)?;
    Some(fingerprint(&Value::Text(etag), Side::Crm, Kind::Text))
}

/// Tells a table map and the columns that are read for it from any other.
///
/// What was left out under another filter, or is written by another field, may lie before the watermark.
pub fn fingerprint_of(map: &TableMap, columns: &PerSide<Vec<String>>) -> String {
    let text = format!("{map:?} {columns:?}");
    format!("{:016x}", fingerprint(&Value::Text(text), Side::Crm, Kind::Text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::expression::Expression;
    use crate::frame::builder::Builder;
    use crate::frame::{Cell, Column};

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_watermark_is_the_newest_time_less_what_the_read_took() {
        let newest = Some(at("2026-01-31T02:10:00Z"));
        for (newest, seconds, expected) in [
            (newest, 0.0, newest),
            (newest, 90.5, Some(at("2026-01-31T02:08:29.500Z"))),
            (newest, 0.0004, Some(at("2026-01-31T02:09:59.999Z"))),
            (newest, -3.0, newest),
            (newest, f64::NAN, newest),
            (None, 10.0, None),
            (Some(DateTime::<Utc>::MIN_UTC), 1.0, None),
        ] {
            assert_eq!(reached(newest, seconds), expected, "{newest:?} after {seconds} s");
        }
    }

    #[test]
    fn a_watermark_never_goes_back() {
        let (early, late) = (Some(at("2026-01-30T02:00:00Z")), Some(at("2026-01-31T02:00:00Z")));
        for (before, reached, expected) in
            [(early, late, late), (late, early, late), (late, None, late), (None, early, early), (None, None, None)]
        {
            assert_eq!(advanced(before, reached), expected, "{before:?} {reached:?}");
        }
    }

    #[test]
    fn a_read_begins_before_the_watermark() {
        assert_eq!(read_from(at("2026-01-31T02:00:00Z")), at("2026-01-31T01:55:00Z"));
        assert_eq!(read_from(DateTime::<Utc>::MIN_UTC), DateTime::<Utc>::MIN_UTC);
    }

    #[test]
    fn a_filter_is_narrowed() {
        let filter = |text: &str| Expression::parse(text).unwrap().predicate().cloned();
        let from = Some(at("2026-01-31T01:55:00Z"));
        let late = "at >= '2026-01-31T01:55:00.000Z'";
        let moment = Column { name: "at".into(), kind: Kind::DateTime };
        for (text, expected) in [
            ("a = 1", format!("a = 1 AND {late}")),
            ("a = 1 AND b = 2", format!("a = 1 AND b = 2 AND {late}")),
            ("a = 1 OR a = 2", format!("(a = 1 OR a = 2) AND {late}")),
        ] {
            assert_eq!(since(filter(text), &moment, from), filter(&expected), "{text}");
            assert_eq!(since(filter(text), &moment, None), filter(text), "{text}");
        }
        assert_eq!(since(None, &moment, from), filter(late));
        let day = Column { name: "at".into(), kind: Kind::Date };
        assert_eq!(since(None, &day, from), filter("at >= '2026-01-31'"));
    }

    /// A day is all that NAV tells, and records that are edited later bear the same one.
    #[test]
    fn a_column_that_knows_the_day_is_read_from_the_day_before_the_newest() {
        let mut rows = Builder::new(vec![Column { name: "day".into(), kind: Kind::Date }]);
        for (id, cell) in ["2026-01-29", "2026-01-30", "0001-01-01", "2026-01-31"].into_iter().enumerate() {
            rows.push(0, if cell.starts_with("0001") { Cell::Null } else { Cell::Text(cell) }).unwrap();
            rows.end(Uuid::from_u128(id as u128), "W/1");
        }
        let frame = rows.finish();
        let newest = frame.latest("day", None);
        assert_eq!(newest, Some(at("2026-01-31T00:00:00Z")));
        let from = read_from(reached(newest, 0.0).unwrap());
        assert_eq!(rows_since(&frame, "day", from), [1, 3]);
        assert_eq!(seen(&frame, "day", newest).len(), 2);
        assert_eq!(frame.take(&[2]).latest("day", None), None);
    }

    #[test]
    fn rows_are_kept_by_their_time() {
        let mut rows = Builder::new(vec![Column { name: "at".into(), kind: Kind::DateTime }]);
        for (id, cell) in [
            Cell::Text("2026-01-31T01:54:59.999Z"),
            Cell::Text("2026-01-31T01:55:00Z"),
            Cell::Null,
            Cell::Text("2027-01-31T00:00:00Z"),
        ]
        .into_iter()
        .enumerate()
        {
            rows.push(0, cell).unwrap();
            rows.end(Uuid::from_u128(id as u128), if id == 1 { "" } else { "W/1" });
        }
        let frame = rows.finish();
        assert_eq!(rows_since(&frame, "at", at("2026-01-31T01:55:00Z")), [1, 3]);
        assert_eq!(frame.latest("at", None), Some(at("2027-01-31T00:00:00Z")));
        assert_eq!(frame.latest("at", Some(at("2026-12-31T00:00:00Z"))), Some(at("2026-01-31T01:55:00Z")));
        assert_eq!(frame.latest("at", Some(at("2026-01-30T00:00:00Z"))), None);
        assert_eq!(frame.take(&[2]).latest("at", None), None);
        assert_eq!(frame.take(&[]).latest("at", None), None);
        assert_eq!(frame.latest("nothing", None), None);
        // What comes again is told by its version, as far as it has one.
        let ids = |read_to: Option<&str>| {
            let seen = seen(&frame, "at", read_to.map(at));
            assert!(seen.iter().all(|(_, version)| *version == seen[0].1));
            seen.into_iter().map(|(id, _)| id.as_u128()).collect::<Vec<_>>()
        };
        assert_eq!(ids(Some("2026-01-31T02:00:00Z")), [3]);
        assert_eq!(ids(Some("2026-01-31T01:59:59.999Z")), [0, 3]);
        assert_eq!(ids(None), [0, 2, 3]);
    }
}
