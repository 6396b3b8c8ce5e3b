//! Constants in the type of what they are compared with, once the columns are known.
//!
//! SQL writes a date, a moment and an id as a text, and a decimal as a number; polars refuses to compare the first three
//! with their columns and compares decimals as floating point. In goes an expression with the columns of a frame, out comes
//! one that compares like with like, or why a text is no value of the column's type.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use polars::prelude::*;
use uuid::Uuid;

use crate::config::expression::ours;

/// Gives the constants of comparisons the type of the other part.
pub(super) fn typed(expr: &Expr, schema: &Schema) -> PolarsResult<Expr> {
    expr.clone().try_map_expr(|expr| match expr {
        Expr::BinaryExpr { left, op, right } if compares(op) => {
            let (new_left, new_right) = (like(&left, &right, schema)?, like(&right, &left, schema)?);
            Ok(Expr::BinaryExpr {
                left: new_left.map_or(left, Into::into),
                op,
                right: new_right.map_or(right, Into::into),
            })
        }
        expr => Ok(expr),
    })
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, EqValidity, Gt, GtEq, Lt, LtEq, NotEq, NotEqValidity};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | EqValidity | NotEqValidity)
}

/// Returns a constant in the type of `other`; `None` where it may stay as it is.
fn like(constant: &Expr, other: &Expr, schema: &Schema) -> PolarsResult<Option<Expr>> {
    let Expr::Literal(literal) = constant else { return Ok(None) };
    if matches!(other, Expr::Literal(_)) {
        return Ok(None);
    }
    // What the other part lacks is told when the whole is evaluated.
    let Ok(field) = other.to_field(schema) else { return Ok(None) };
    let scalar = match (literal.to_any_value(), field.dtype()) {
        (Some(AnyValue::Float64(number)), DataType::Decimal(_, scale)) => decimal(number, *scale),
        (Some(AnyValue::String(text)), dtype) => of_text(text, dtype)?,
        (Some(AnyValue::StringOwned(text)), dtype) => of_text(&text, dtype)?,
        (Some(AnyValue::Boolean(flag)), DataType::Decimal(..) | DataType::Date | DataType::Datetime(..)) => {
            return Err(ours(format_args!("`{flag}` is no {}", word(field.dtype()))));
        }
        // A day is no number of days, nor is an id the number that keeps it here.
        (Some(number), DataType::Date | DataType::Datetime(..) | DataType::UInt128)
            if number.is_primitive_numeric() =>
        {
            return Err(ours(format_args!("`{number}` is no {}", word(field.dtype()))));
        }
        (Some(number), DataType::Boolean) if number.is_primitive_numeric() => match number.extract::<f64>() {
            Some(0.0) => Some(Scalar::from(false)),
            Some(1.0) => Some(Scalar::from(true)),
            _ => return Err(ours(format_args!("`{number}` is no boolean"))),
        },
        _ => None,
    };
    Ok(scalar.map(lit))
}

/// Returns a text as a constant of a type; `None` where polars compares it rightly, or refuses to.
fn of_text(text: &str, dtype: &DataType) -> PolarsResult<Option<Scalar>> {
    let value = match dtype {
        DataType::Date => day(text).map(AnyValue::Date),
        DataType::Datetime(unit, _) => moment(text).map(|at| instant(at, *unit)),
        DataType::UInt128 => Uuid::try_parse(text).ok().map(|id| AnyValue::UInt128(id.as_u128())),
        // By themselves these would be compared as texts, in which 10 comes before 9.
        DataType::Decimal(..) | DataType::Boolean => None,
        _ => return Ok(None),
    };
    match value {
        Some(value) => Ok(Some(Scalar::new(dtype.clone(), value))),
        // What would be one without quotes is a text because of them.
        None if spells(text, dtype) => {
            Err(ours(format_args!("`'{text}'` is no {}: leave out the quotes", word(dtype))))
        }
        None => Err(ours(format_args!("`{text}` is no {}", word(dtype)))),
    }
}

/// Tells whether a text without its quotes is a number where one is wanted, or `true` or `false`.
fn spells(text: &str, dtype: &DataType) -> bool {
    match dtype {
        DataType::Boolean => text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
        DataType::Decimal(..) => text.parse::<f64>().is_ok_and(f64::is_finite),
        _ => false,
    }
}

/// Says what the values of a type are. Ids are the only numbers of their width.
fn word(dtype: &DataType) -> &'static str {
    match dtype {
        DataType::Date => "date",
        DataType::Datetime(..) => "date and time",
        DataType::UInt128 => "GUID",
        DataType::Boolean => "boolean",
        _ => "number",
    }
}

fn day(text: &str) -> Option<i32> {
    let date: NaiveDate = text.parse().ok()?;
    i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days()).ok()
}

/// Reads a moment; without a zone it is UTC, without a time it is midnight.
fn moment(text: &str) -> Option<NaiveDateTime> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.naive_utc());
    }
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f")
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f"))
        .ok()
        .or_else(|| text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0))
}

fn instant(at: NaiveDateTime, unit: TimeUnit) -> AnyValue<'static> {
    let at = at.and_utc();
    let number = match unit {
        TimeUnit::Milliseconds => at.timestamp_millis(),
        TimeUnit::Microseconds => at.timestamp_micros(),
        TimeUnit::Nanoseconds => at.timestamp_nanos_opt().unwrap_or(i64::MAX),
    };
    AnyValue::Datetime(number, unit, None)
}

/// Returns a number by its shortest digits, which are those that were written.
fn decimal(number: f64, scale: usize) -> Option<Scalar> {
    let digits = number.to_string();
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let scale = scale.max(fraction.len());
    let units = format!("{whole}{fraction:0<scale$}").parse().ok().filter(|_| scale <= 38)?;
    Some(Scalar::new(DataType::Decimal(38, scale), AnyValue::Decimal(units, 38, scale)))
}

#[cfg(test)]
mod tests {
    use crate::config::expression::Expression;
    use polars::prelude::*;

    #[test]
    fn constants_are_compared_in_the_type_of_the_column() {
        let id = 0xa000_0000_0000_4000_8000_0000_0000_0001_u128;
        let data = df!("id" => [Some(id), None], "flag" => [Some(true), None], "day" => [Some(20484_i32), None], "at" => [Some(1_769_897_405_123_i64), None])
            .unwrap()
            .lazy()
            .with_columns([
                col("day").cast(DataType::Date),
                col("at").cast(DataType::Datetime(TimeUnit::Milliseconds, None)),
                lit(123_456_789_000_000_000_i64).cast(DataType::Decimal(38, 0)).alias("n"),
            ])
            .collect()
            .unwrap();
        // 12345678.9 in units of the tenth digit, beyond what floating point holds exactly.
        let units =
            Int128Chunked::from_iter_options("n".into(), [Some(123_456_789_000_000_001_i128), None].into_iter());
        let mut data = data.drop("n").unwrap();
        data.with_column(units.into_decimal(38, 10).unwrap().into_column()).unwrap();
        let check = |text: &str, expected: Result<bool, &str>| {
            let found = Expression::parse(text).unwrap().evaluate(&data).map_err(|error| error.to_string());
            let found = found.map(|computed| computed.series.bool().unwrap().get(0) == Some(true));
            match (&found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(*found, expected, "{text}"),
                (Err(error), Err(part)) => assert!(error.contains(part), "{text}: {error}"),
                _ => panic!("{text}: {found:?}"),
            }
        };
        check("id = 'A0000000-0000-4000-8000-000000000001'", Ok(true));
        check("id = 'a0000000-0000-4000-8000-000000000002'", Ok(false));
        check("id <> 'a0000000-0000-4000-8000-000000000002'", Ok(true));
        check("id IN ('a0000000-0000-4000-8000-000000000001', NULL)", Ok(true));
        check("id = 'x'", Err("`x` is no GUID"));
        check("day >= '2026-01-31' AND '2026-02-01' > day", Ok(true));
        check("day IN ('2026-01-30', '2026-01-31')", Ok(true));
        check("COALESCE(day, DATE('2026-01-01')) = '2026-01-31'", Ok(true));
        check("day = 'yesterday'", Err("`yesterday` is no date"));
        check("at = '2026-01-31T22:10:05.123Z'", Ok(true));
        check("at = '2026-01-31T23:10:05.123+01:00'", Ok(true));
        check("at BETWEEN '2026-01-31' AND '2026-01-31 22:10:06'", Ok(true));
        check("at IS DISTINCT FROM '2026-01-31'", Ok(true));
        check("n = 12345678.9", Ok(false));
        check("n > 12345678.9", Ok(true));
        check("n <> -12345678.9", Ok(true));
        check("n > -0.5 AND 0.00000000001 < n", Ok(true));
        check("n > 'a'", Err("`a` is no number"));
        check("n IN (1, '5')", Err("`'5'` is no number: leave out the quotes"));
        check("n = TRUE", Err("`true` is no number"));
        check("at > 5", Err("`5` is no date and time"));
        check("day <> 20260131", Err("`20260131` is no date"));
        check("id = 5", Err("`5` is no GUID"));
        check("at = FALSE", Err("`false` is no date and time"));
        check("flag = 'maybe'", Err("`maybe` is no boolean"));
        check("flag = 'true'", Err("`'true'` is no boolean: leave out the quotes"));
        check("flag = 5", Err("`5` is no boolean"));
        check("flag = 1", Ok(true));
        check("0 = flag OR flag <> TRUE", Ok(false));
    }
}
