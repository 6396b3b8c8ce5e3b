//! The part of a filter that a side might evaluate: a syntax tree in, a [`Predicate`] out.
//!
//! The rule is that the predicate is true wherever the whole is true. So `AND` keeps what it can, `OR` needs both its
//! parts, and what stands below a `NOT` or is not understood is left out. The caller filters again in any case.

use sqlparser::ast::{BinaryOperator, Expr, Function, UnaryOperator, Value, ValueWithSpan};

use crate::config::expression::{Comparison, Literal, Predicate, reading};

/// Returns what of an expression a side might evaluate.
pub(super) fn of(expr: &Expr) -> Option<Predicate> {
    match expr {
        Expr::Nested(inner) => of(inner),
        Expr::Identifier(name) => Some(is(&name.value, true)),
        Expr::IsTrue(inner) => Some(is(column(inner)?, true)),
        Expr::IsFalse(inner) | Expr::UnaryOp { op: UnaryOperator::Not, expr: inner } => Some(is(column(inner)?, false)),
        Expr::IsNull(inner) => Some(Predicate::IsNull { column: column(inner)?.to_owned() }),
        Expr::IsNotNull(inner) => Some(Predicate::IsNotNull { column: column(inner)?.to_owned() }),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => all([of(left), of(right)]),
        Expr::BinaryOp { left, op: BinaryOperator::Or, right } => Some(any([of(left)?, of(right)?])),
        Expr::BinaryOp { left, op, right } => compare(left, comparison(op)?, right),
        Expr::InList { expr, list, negated: false } => {
            let column = column(expr)?;
            // A NULL in the list makes no comparison true.
            let others = list.iter().filter(|element| !is_null(element));
            let equals = others.map(|element| Some(equal(column, literal(element)?)));
            let equals = equals.collect::<Option<Vec<_>>>()?;
            (!equals.is_empty()).then_some(Predicate::Any(equals))
        }
        Expr::Between { expr, negated: false, low, high } => {
            all([compare(expr, Comparison::GreaterOrEqual, low), compare(expr, Comparison::LessOrEqual, high)])
        }
        Expr::Like { negated: false, any: false, expr, pattern, escape_char: None } => like(column(expr)?, pattern),
        Expr::Function(function) => starts_with(function),
        _ => None,
    }
}

/// Joins what is left of a conjunction.
fn all(parts: [Option<Predicate>; 2]) -> Option<Predicate> {
    let mut kept = Vec::new();
    for part in parts.into_iter().flatten() {
        match part {
            Predicate::All(inner) => kept.extend(inner),
            other => kept.push(other),
        }
    }
    if kept.len() > 1 { Some(Predicate::All(kept)) } else { kept.pop() }
}

fn any(parts: [Predicate; 2]) -> Predicate {
    let mut kept = Vec::new();
    for part in parts {
        match part {
            Predicate::Any(inner) => kept.extend(inner),
            other => kept.push(other),
        }
    }
    Predicate::Any(kept)
}

fn is(column: &str, value: bool) -> Predicate {
    equal(column, Literal::Boolean(value))
}

fn equal(column: &str, literal: Literal) -> Predicate {
    Predicate::Compare { column: column.to_owned(), comparison: Comparison::Equal, literal }
}

fn compare(left: &Expr, comparison: Comparison, right: &Expr) -> Option<Predicate> {
    let (column, comparison, literal) = match (column(left), column(right)) {
        (Some(column), None) => (column, comparison, literal(right)?),
        (None, Some(column)) => (column, flip(comparison), literal(left)?),
        _ => return None,
    };
    Some(Predicate::Compare { column: column.to_owned(), comparison, literal })
}

fn comparison(op: &BinaryOperator) -> Option<Comparison> {
    Some(match op {
        BinaryOperator::Eq => Comparison::Equal,
        BinaryOperator::NotEq => Comparison::NotEqual,
        BinaryOperator::Lt => Comparison::Less,
        BinaryOperator::LtEq => Comparison::LessOrEqual,
        BinaryOperator::Gt => Comparison::Greater,
        BinaryOperator::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

/// Returns the comparison that holds with its two parts exchanged.
fn flip(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Equal => Comparison::Equal,
        Comparison::NotEqual => Comparison::NotEqual,
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
    }
}

fn column(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Identifier(name) => Some(&name.value),
        Expr::Nested(inner) => column(inner),
        _ => None,
    }
}

fn literal(expr: &Expr) -> Option<Literal> {
    match expr {
        Expr::Nested(inner) => literal(inner),
        Expr::UnaryOp { op: UnaryOperator::Plus, expr } => match literal(expr)? {
            number @ Literal::Number(_) => Some(number),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match literal(expr)? {
            Literal::Number(number) if !number.starts_with('-') => Some(Literal::Number(format!("-{number}"))),
            _ => None,
        },
        Expr::Value(ValueWithSpan { value, .. }) => match value {
            Value::SingleQuotedString(text) => Some(Literal::Text(text.clone())),
            Value::Number(number, _) => Some(Literal::Number(number.clone())),
            Value::Boolean(value) => Some(Literal::Boolean(*value)),
            _ => None,
        },
        _ => None,
    }
}

fn text(expr: &Expr) -> Option<String> {
    match literal(expr)? {
        Literal::Text(text) => Some(text),
        _ => None,
    }
}

fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(ValueWithSpan { value: Value::Null, .. }))
}

fn like(column: &str, pattern: &Expr) -> Option<Predicate> {
    let pattern = text(pattern)?;
    match pattern.find(['%', '_']) {
        None => Some(equal(column, Literal::Text(pattern))),
        Some(0) => None,
        // What follows the first wildcard only narrows it further.
        Some(at) => Some(Predicate::StartsWith { column: column.to_owned(), prefix: pattern[..at].to_owned() }),
    }
}

fn starts_with(function: &Function) -> Option<Predicate> {
    if !function.name.to_string().eq_ignore_ascii_case("starts_with") {
        return None;
    }
    match reading::arguments(function).as_slice() {
        [Some(subject), Some(prefix)] => {
            Some(Predicate::StartsWith { column: column(subject)?.to_owned(), prefix: text(prefix)? })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a predicate in one line.
    fn line(predicate: &Predicate) -> String {
        let list = |parts: &[Predicate]| parts.iter().map(line).collect::<Vec<_>>().join(", ");
        match predicate {
            Predicate::All(parts) => format!("all({})", list(parts)),
            Predicate::Any(parts) => format!("any({})", list(parts)),
            Predicate::Compare { column, comparison, literal } => {
                let sign = match comparison {
                    Comparison::Equal => "=",
                    Comparison::NotEqual => "<>",
                    Comparison::Less => "<",
                    Comparison::LessOrEqual => "<=",
                    Comparison::Greater => ">",
                    Comparison::GreaterOrEqual => ">=",
                };
                let literal = match literal {
                    Literal::Text(text) => format!("'{text}'"),
                    Literal::Number(number) => number.clone(),
                    Literal::Boolean(value) => value.to_string(),
                };
                format!("{column} {sign} {literal}")
            }
            Predicate::StartsWith { column, prefix } => format!("{column} starts '{prefix}'"),
            Predicate::IsNull { column } => format!("{column} null"),
            Predicate::IsNotNull { column } => format!("{column} not null"),
        }
    }

    #[test]
    fn a_side_gets_what_it_may_evaluate() {
        let check = |text: &str, expected: &str| {
            let tree = reading::parse(text).expect(text);
            assert_eq!(of(&tree).as_ref().map_or_else(|| "-".to_owned(), line), expected, "{text}");
        };
        check("customertypecode = 3 AND statecode = 0", "all(customertypecode = 3, statecode = 0)");
        check("blocked = ''", "blocked = ''");
        check("a <> 1", "a <> 1");
        check("a != 1", "a <> 1");
        check("3 < a", "a > 3");
        check("3 >= a", "a <= 3");
        check("-2.50 = a", "a = -2.50");
        check("a = - (-1)", "-");
        check("a = +1", "a = 1");
        check("(a) = ('x')", "a = 'x'");
        check("a IS NULL", "a null");
        check("a IS NOT NULL", "a not null");
        check("a IN ('x', NULL, 'y')", "any(a = 'x', a = 'y')");
        check("a IN (NULL)", "-");
        check("a IN ('x', b)", "-");
        check("a NOT IN ('x')", "-");
        check("a BETWEEN 1 AND 5", "all(a >= 1, a <= 5)");
        check("a BETWEEN 1 AND b", "a >= 1");
        check("a NOT BETWEEN 1 AND 5", "-");
        check("a LIKE 'x%'", "a starts 'x'");
        check("a LIKE 'x%y_z'", "a starts 'x'");
        check("a LIKE '%x'", "-");
        check("a LIKE 'x'", "a = 'x'");
        check("a NOT LIKE 'x%'", "-");
        check("a ILIKE 'x%'", "-");
        check("starts_with(a, 'x')", "a starts 'x'");
        check("STARTS_WITH(LOWER(a), 'x')", "-");
        check("isdisabled", "isdisabled = true");
        check("NOT isdisabled", "isdisabled = false");
        check("NOT (a AND b)", "-");
        check("isdisabled = false", "isdisabled = false");
        check("a IS TRUE AND b IS FALSE", "all(a = true, b = false)");
        check("a = b", "-");
        check("1 = 1", "-");
        check("a = NULL", "-");
        check("LOWER(a) = 'x' AND b = 1", "b = 1");
        check("LOWER(a) = 'x' OR b = 1", "-");
        check("a = 1 OR b = 1 OR c = 1", "any(a = 1, b = 1, c = 1)");
        check("a = 1 AND (b = 2 OR c = 3) AND LENGTH(d) > 4", "all(a = 1, any(b = 2, c = 3))");
        check("(a = 1 AND LENGTH(d) > 4) OR b = 2", "any(a = 1, b = 2)");
        check("NOT (a = 1) AND b = 2", "b = 2");
        check("a = 1 AND b = 2 AND c = 3", "all(a = 1, b = 2, c = 3)");
    }
}
