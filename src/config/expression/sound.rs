//! Where an expression has a value: an SQL expression in, its cells and the rows without one out.
//!
//! By itself polars either gives up on all rows because of one (a text that is no number), or makes something of it that
//! nobody asked for (infinity of a division by zero). Here such a cell is nothing, and a second expression beside the first
//! tells the rows in which that mattered: a branch that `CASE` does not take does not, nor does one side of an `AND` where
//! the other is false. What else polars gives up on is found by halving the rows.

use polars::chunked_array::cast::CastOptions;
use polars::prelude::*;

use crate::config::expression::typing::typed;
use crate::config::expression::{Computed, told};

/// How often rows are halved; beyond, the rest has no value either.
const ATTEMPTS_MAX: usize = 2048;

/// An expression, and for which rows it has a value.
#[derive(Debug, Clone)]
pub(super) struct Sound {
    value: Expr,
    /// True where there is a value; `None` where there always is.
    sound: Option<Expr>,
    /// Gives up where there is none, and may say why.
    strict: Expr,
}

impl Sound {
    /// Takes an expression apart; our own functions fail in `strict`, and are marked in `lenient`.
    pub fn of(strict: Expr, lenient: Expr) -> Sound {
        let value = lenient.map_expr(loosened);
        let sound = soundness(&value);
        Sound { value: value.map_expr(unmarked), sound, strict }
    }

    /// Says why there is no value for the one row of `data`, where one of our functions knows.
    pub fn reason(&self, data: &DataFrame) -> Option<String> {
        let strict = Sound { value: self.strict.clone(), sound: None, strict: self.strict.clone() };
        strict.all(data).err().as_ref().and_then(told)
    }

    /// Evaluates the expression over all rows.
    pub fn evaluate(&self, data: &DataFrame) -> PolarsResult<Computed> {
        match self.all(data) {
            Err(_) if data.height() > 0 => {
                // Without rows nothing can go wrong but what goes wrong in all of them.
                let none = self.all(&data.head(Some(0)))?;
                self.halves(data, none.series.dtype())
            }
            computed => computed,
        }
    }

    fn all(&self, data: &DataFrame) -> PolarsResult<Computed> {
        let (ones, value, sound) = ("#one", "#value", "#sound");
        let mut data = data.clone();
        data.with_column(Series::new(PlSmallStr::from_static(ones), vec![true; data.height()]).into())?;
        // A constant gives one cell a row this way.
        let each = |expr: &Expr, name: &str| {
            let expr = typed(expr, data.schema())?;
            PolarsResult::Ok(when(col(ones)).then(expr).otherwise(lit(NULL)).alias(name))
        };
        let mut wanted = vec![each(&self.value, value)?];
        if let Some(expr) = &self.sound {
            wanted.push(each(expr, sound)?);
        }
        let result = data.lazy().select(wanted).collect()?;
        let series = result.column(value)?.as_materialized_series().clone();
        let faults = match result.column(sound) {
            Ok(column) => {
                let cells = column.as_materialized_series().bool()?;
                (0..cells.len()).filter(|row| cells.get(*row) != Some(true)).collect()
            }
            Err(_) => Vec::new(),
        };
        Ok(Computed { series, faults })
    }

    /// Finds the rows that stop the evaluation; `dtype` is the type of the others.
    fn halves(&self, data: &DataFrame, dtype: &DataType) -> PolarsResult<Computed> {
        let nothing = |length: usize| Series::full_null(PlSmallStr::EMPTY, length, dtype);
        let mut computed = Computed { series: nothing(0), faults: Vec::new() };
        let mut left = vec![(0, data.height())];
        let mut attempts = 0;
        while let Some((start, length)) = left.pop() {
            attempts += 1;
            let part = if attempts > ATTEMPTS_MAX { None } else { self.all(&data.slice(start as i64, length)).ok() };
            match part {
                Some(part) => {
                    computed.series.append(&part.series.cast(dtype)?)?;
                    computed.faults.extend(part.faults.iter().map(|row| start + row));
                }
                None if length == 1 || attempts > ATTEMPTS_MAX => {
                    computed.series.append(&nothing(length))?;
                    computed.faults.extend(start..start + length);
                }
                None => {
                    let half = length / 2;
                    left.push((start + half, length - half));
                    left.push((start, half));
                }
            }
        }
        Ok(computed)
    }
}

/// The mark of a cast or a call that was strict: a name that no column has.
pub(super) const STRICT: &str = "#strict";

/// Lets a cast, a date and a division give nothing instead of an error or infinity, and marks them; gives whole numbers
/// that polars makes small the room that arithmetic needs, where it would begin again from the other end.
fn loosened(expr: Expr) -> Expr {
    match expr {
        expr if is_small(&expr) => {
            let marked = match expr {
                Expr::Cast { expr, dtype, options: CastOptions::Strict } => {
                    Expr::Cast { expr, dtype, options: CastOptions::NonStrict }.alias(STRICT)
                }
                expr => expr,
            };
            marked.cast(DataType::Int64)
        }
        Expr::Cast { expr, dtype, options: CastOptions::Strict } => {
            Expr::Cast { expr, dtype, options: CastOptions::NonStrict }.alias(STRICT)
        }
        Expr::Function { input, function: FunctionExpr::StringExpr(StringFunction::Strptime(dtype, options)) }
            if options.strict =>
        {
            let options = StrptimeOptions { strict: false, ..options };
            let function = FunctionExpr::StringExpr(StringFunction::Strptime(dtype, options));
            Expr::Function { input, function }.alias(STRICT)
        }
        Expr::BinaryExpr { left, op, right } if divides(op) => {
            let divisor = Expr::clone(&right);
            let divisor = when(divisor.clone().eq(lit(0))).then(lit(NULL)).otherwise(divisor);
            Expr::BinaryExpr { left, op, right: std::sync::Arc::new(divisor) }
        }
        expr => expr,
    }
}

/// Tells whether an expression gives whole numbers of fewer than 64 bits.
fn is_small(expr: &Expr) -> bool {
    use DataType::{Int8, Int16, Int32, UInt8, UInt16, UInt32};
    use TemporalFunction as Time;
    match expr {
        Expr::Cast { dtype: DataTypeExpr::Literal(dtype), .. } => {
            matches!(dtype, Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32)
        }
        Expr::Function { function: FunctionExpr::StringExpr(function), .. } => {
            matches!(function, StringFunction::LenChars | StringFunction::LenBytes | StringFunction::Find { .. })
        }
        Expr::Function { function: FunctionExpr::TemporalExpr(function), .. } => matches!(
            function,
            Time::Millennium
                | Time::Century
                | Time::Year
                | Time::IsoYear
                | Time::Quarter
                | Time::Month
                | Time::Week
                | Time::WeekDay
                | Time::Day
                | Time::OrdinalDay
                | Time::Hour
                | Time::Minute
                | Time::Second
                | Time::Millisecond
                | Time::Microsecond
                | Time::Nanosecond
        ),
        _ => false,
    }
}

fn unmarked(expr: Expr) -> Expr {
    match expr {
        Expr::Alias(expr, name) if name == STRICT => Expr::clone(&expr),
        expr => expr,
    }
}

fn divides(op: Operator) -> bool {
    matches!(op, Operator::TrueDivide | Operator::FloorDivide | Operator::RustDivide | Operator::Modulus)
}

/// Returns the expression that tells where a loosened one has a value; `None` where it always does.
fn soundness(expr: &Expr) -> Option<Expr> {
    let plain = |expr: &Expr| expr.clone().map_expr(unmarked);
    let settled = |expr: &Expr, as_what: bool| plain(expr).eq(lit(as_what)).fill_null(lit(false));
    match expr {
        Expr::Alias(marked, name) if name == STRICT => {
            let there = match &**marked {
                Expr::Cast { expr: source, .. } => plain(source).is_not_null(),
                Expr::Function { input, .. } => plain(&input[0]).is_not_null(),
                // Our functions make nothing of a blank.
                Expr::AnonymousFunction { input, .. } => {
                    let text = plain(&input[0]).cast(DataType::String).str().strip_chars(lit(NULL));
                    text.neq(lit("")).fill_null(lit(false))
                }
                _ => return soundness(marked),
            };
            // What was there must still be there.
            let kept = there.not().or(plain(marked).is_not_null());
            both(inputs(marked).iter().copied().map(soundness).collect(), Some(kept))
        }
        Expr::BinaryExpr {
            left,
            op: op @ (Operator::And | Operator::LogicalAnd | Operator::Or | Operator::LogicalOr),
            right,
        } => {
            // False settles an `AND` and true an `OR`, whatever the other side is.
            let settles = matches!(op, Operator::Or | Operator::LogicalOr);
            match (soundness(left), soundness(right)) {
                (None, None) => None,
                (Some(sound), None) => Some(sound.or(settled(right, settles))),
                (None, Some(sound)) => Some(sound.or(settled(left, settles))),
                (Some(first), Some(second)) => {
                    let first = first.and(settled(left, settles).or(second.clone()));
                    Some(first.or(second.and(settled(right, settles))))
                }
            }
        }
        Expr::BinaryExpr { left, op, right } if divides(*op) => {
            // The divisor is the one that `loosened` made: nothing where it was zero.
            let Expr::Ternary { falsy: divisor, .. } = &**right else { return None };
            let not_zero = plain(divisor).eq(lit(0)).fill_null(lit(false)).not();
            both(vec![soundness(left), soundness(divisor)], Some(not_zero))
        }
        Expr::Ternary { predicate, truthy, falsy } => {
            let always = || lit(true);
            let branches = match (soundness(truthy), soundness(falsy)) {
                (None, None) => None,
                (truthy, falsy) => Some(
                    when(plain(predicate)).then(truthy.unwrap_or_else(always)).otherwise(falsy.unwrap_or_else(always)),
                ),
            };
            both(vec![soundness(predicate)], branches)
        }
        Expr::Function { input, function: FunctionExpr::Coalesce } => {
            // What stands behind a value is never asked for.
            input.iter().rev().fold(None, |rest, expr| {
                let rest = rest.map(|rest: Expr| plain(expr).is_not_null().or(rest));
                both(vec![soundness(expr)], rest)
            })
        }
        expr => both(inputs(expr).into_iter().map(soundness).collect(), None),
    }
}

/// Returns what an expression over one row is made of.
fn inputs(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Alias(expr, _) | Expr::Cast { expr, .. } => vec![expr],
        Expr::BinaryExpr { left, right, .. } => vec![left, right],
        Expr::Function { input, .. } | Expr::AnonymousFunction { input, .. } => input.iter().collect(),
        _ => Vec::new(),
    }
}

fn both(parts: Vec<Option<Expr>>, more: Option<Expr>) -> Option<Expr> {
    parts.into_iter().flatten().chain(more).reduce(Expr::and)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::expression::Expression;

    #[test]
    fn rows_without_a_value_are_told() {
        let data = df!(
            "t" => [Some("12"), Some("x"), Some(""), None],
            "n" => [Some(0_i64), Some(2), Some(0), Some(5)],
            "d" => ["2026-01-31", "", "31.01.2026", "2026-02-30"],
        )
        .unwrap();
        let check = |text: &str, expected: [&str; 4]| {
            let computed = Expression::parse(text).expect(text).evaluate(&data).expect(text);
            let told = |row: usize| match computed.faults.contains(&row) {
                true => "!".to_owned(),
                false => computed.series.get(row).unwrap().to_string(),
            };
            assert_eq!([0, 1, 2, 3].map(told), expected.map(str::to_owned), "{text}");
        };
        check("CAST(t AS INTEGER)", ["12", "!", "!", "null"]);
        check("CAST(t AS INTEGER) + n", ["12", "!", "!", "null"]);
        check("TRY_CAST(t AS INTEGER)", ["12", "null", "null", "null"]);
        check("'a' || CAST(CAST(t AS INTEGER) AS VARCHAR)", ["\"a12\"", "!", "!", "null"]);
        check("10 / n", ["!", "5.0", "!", "2.0"]);
        check("10 / (n - 5)", ["-2.0", "-3.333333", "-2.0", "!"]);
        check("DIV(7, n)", ["!", "3", "!", "1"]);
        check("MOD(7, n)", ["!", "1", "!", "2"]);
        check("7 % n", ["!", "1", "!", "2"]);
        // What is not asked for does no harm.
        check("CASE WHEN n = 0 THEN 0 ELSE 10 / n END", ["0.0", "5.0", "0.0", "2.0"]);
        check("CASE WHEN t = 'x' THEN 1 WHEN t = '' THEN 2 ELSE CAST(t AS INTEGER) END", ["12", "1", "2", "null"]);
        check("CASE WHEN CAST(t AS INTEGER) > 5 THEN 'big' ELSE 'small' END", ["\"big\"", "!", "!", "\"small\""]);
        check("IF(n = 0, 0, 10 / n) + 1", ["1.0", "6.0", "1.0", "3.0"]);
        check("n <> 0 AND 10 / n > 3", ["false", "true", "false", "false"]);
        check("10 / n > 3 AND n <> 0", ["false", "true", "false", "false"]);
        check("n = 0 OR 10 / n > 3", ["true", "true", "true", "false"]);
        check("n > 1 AND CAST(t AS INTEGER) > 1 AND 10 / n > 1", ["false", "!", "false", "null"]);
        check("NOT (CAST(t AS INTEGER) > 1)", ["false", "!", "!", "null"]);
        check("COALESCE(t, CAST(CAST('x' AS INTEGER) AS VARCHAR))", ["\"12\"", "\"x\"", "\"\"", "!"]);
        check("COALESCE(CAST(t AS INTEGER), 0)", ["12", "!", "!", "0"]);
        // Dates, and what polars gives up on for a reason of its own.
        check("CAST(d AS DATE)", ["2026-01-31", "!", "!", "!"]);
        check("DATE(d)", ["2026-01-31", "!", "!", "!"]);
        check("parse_date(d, 'yyyy-MM-dd')", ["2026-01-31", "null", "!", "!"]);
        check(
            "CASE WHEN d LIKE '%.%' THEN parse_date(d, 'dd.MM.yyyy') ELSE try_parse_date(d, 'yyyy-MM-dd') END",
            ["2026-01-31", "null", "2026-01-31", "null"],
        );
        check("parse_decimal(t, '.') + 1", ["13.0000000000", "!", "null", "null"]);
        check("STRPTIME(d, '%Y-%m-%d')", ["2026-01-31 00:00:00", "!", "!", "!"]);
    }

    #[test]
    fn whole_numbers_have_room() {
        let data = df!("t" => ["30000"], "d" => ["2026-12-31"], "n" => [7_i64]).unwrap();
        for (text, expected) in [
            ("CAST(t AS INTEGER) * 1000000", "30000000000"),
            ("CAST(t AS INTEGER) * CAST(t AS INTEGER) * 100", "90000000000"),
            ("CAST(t AS SMALLINT) * 10", "300000"),
            ("LENGTH(t) - 9", "-4"),
            ("LENGTH(t) - LENGTH(d)", "-5"),
            ("OCTET_LENGTH(t) - OCTET_LENGTH(d)", "-5"),
            ("BIT_LENGTH(t) - BIT_LENGTH(d)", "-40"),
            ("STRPOS(t, 'x') - STRPOS(t, '3')", "-1"),
            ("EXTRACT(month FROM DATE(d)) * 1000", "12000"),
            ("EXTRACT(day FROM DATE(d)) * EXTRACT(day FROM DATE(d))", "961"),
            ("DATE_PART('year', DATE(d)) * 10000000", "20260000000"),
            ("DATE_PART('quarter', DATE(d)) * DATE_PART('week', DATE(d))", "212"),
            ("SIGN(n) * 1000", "1000"),
        ] {
            let computed = Expression::parse(text).expect(text).evaluate(&data).expect(text);
            assert_eq!(computed.series.get(0).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn any_other_trouble_is_found_by_halving() {
        let mut patterns = vec!["a"; 1000];
        (patterns[17], patterns[18], patterns[900]) = ("(", "(", "[");
        let data = df!("p" => patterns).unwrap();
        let matches = lit("ab").str().contains(col("p"), true);
        let sound = Sound::of(matches.clone(), matches);
        let computed = sound.evaluate(&data).unwrap();
        assert_eq!(computed.faults, [17, 18, 900]);
        assert_eq!(computed.series.len(), 1000);
        assert_eq!(computed.series.get(0).unwrap(), AnyValue::Boolean(true));
        // Where it is too much, nothing is taken for good that was not looked at.
        let data = df!("p" => vec!["("; 5000]).unwrap();
        assert_eq!(sound.evaluate(&data).unwrap().faults.len(), 5000);
    }

    #[test]
    fn an_expression_that_never_fits_is_an_error() {
        let data = df!("t" => ["a"], "n" => [1_i64]).unwrap();
        for text in ["t > n", "t / 2", "missing = 1"] {
            assert!(Expression::parse(text).expect(text).evaluate(&data).is_err(), "{text}");
        }
    }
}
