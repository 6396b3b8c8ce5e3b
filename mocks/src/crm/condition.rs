//! A `$filter` resolved against a table, and its evaluation with the database's three-valued logic.
//!
//! Paths become columns and types are checked once, with the service's refusals; then each row is judged: true,
//! false or unknown. A comparison with null is unknown unless it asks for null itself, so `ne 'x'` leaves out rows
//! without a value. Text compares without regard to case; `%`, `_` and `[…]` are wildcards inside `contains` and its
//! kin.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeSet;

use rust_decimal::Decimal;
use uuid::Uuid;

use super::error::Error;
use super::schema::{self, TABLES};
use super::store::{Cell, Row, Store};
use super::value;
use crate::filter::{self, Argument, Filter, Literal, Op, Operand};

/// A condition on rows of one table.
#[derive(Debug, Clone)]
pub enum Condition {
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    IsNull(Path),
    Compare(Path, Op, Side),
    Like(Path, Vec<char>),
    In(Path, Vec<Cell>),
    /// A comparison that is always unknown, as `gt null`.
    Unknown,
}

/// What a column is compared with.
#[derive(Debug, Clone)]
pub enum Side {
    Constant(Cell),
    Column(Path),
}

/// A column, or the primary key, of the row or of one that its lookups lead to.
#[derive(Debug, Clone)]
pub struct Path {
    hops: Vec<usize>,
    table: usize,
    column: usize,
}

/// Resolves a filter against a table.
pub fn resolve(table: usize, text: &str, options: &[(String, String)]) -> Result<Condition, Error> {
    check_lists(text, options)?;
    let parsed =
        filter::parse(text, options).map_err(|error| Error::new(400, "0x80060888", format!("{error} in '{text}'.")))?;
    condition(table, &parsed)
}

/// Returns ids among which every row is for which a condition holds, in their order; `None` where it names none.
pub fn ids(condition: &Condition) -> Option<BTreeSet<Uuid>> {
    match condition {
        Condition::And(left, right) => ids(left).or_else(|| ids(right)),
        Condition::In(path, list) if path.hops.is_empty() && matches!(path.column().kind, schema::Kind::Key) => {
            Some(list.iter().filter_map(Cell::id).collect())
        }
        _ => None,
    }
}

/// Judges a row; nothing is unknown.
pub fn judge(condition: &Condition, store: &Store, id: Uuid, row: &Row) -> Option<bool> {
    match condition {
        Condition::And(left, right) => match (judge(left, store, id, row), judge(right, store, id, row)) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        },
        Condition::Or(left, right) => match (judge(left, store, id, row), judge(right, store, id, row)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            _ => None,
        },
        Condition::Not(inner) => judge(inner, store, id, row).map(|holds| !holds),
        Condition::IsNull(path) => Some(path.cell(store, id, row).is_none()),
        Condition::Compare(path, op, side) => {
            let left = path.cell(store, id, row)?;
            let ordering = match side {
                Side::Constant(cell) => left.order(cell)?,
                Side::Column(other) => left.order(other.cell(store, id, row)?.as_ref())?,
            };
            Some(op.holds(ordering))
        }
        Condition::Like(path, pattern) => {
            let cell = path.cell(store, id, row)?;
            let text: Vec<char> = cell.text()?.chars().flat_map(char::to_lowercase).collect();
            Some(like(&text, pattern))
        }
        Condition::In(path, list) => {
            let cell = path.cell(store, id, row)?;
            Some(list.iter().any(|item| cell.order(item) == Some(Ordering::Equal)))
        }
        Condition::Unknown => None,
    }
}

impl Path {
    /// Finds the value in a row; the primary key is a value like any other.
    fn cell<'a>(&self, store: &'a Store, id: Uuid, row: &'a Row) -> Option<Cow<'a, Cell>> {
        let (mut id, mut row) = (id, row);
        for hop in &self.hops {
            let Some(Cell::Link(table, to)) = row.get(*hop) else { return None };
            (id, row) = (*to, store.get(*table, *to)?);
        }
        TABLES[self.table].cell(self.column, id, row)
    }

    fn column(&self) -> &'static schema::Column {
        &TABLES[self.table].columns[self.column]
    }
}

fn condition(table: usize, filter: &Filter) -> Result<Condition, Error> {
    let pair = |left: &Filter, right: &Filter| {
        Ok::<_, Error>((Box::new(condition(table, left)?), Box::new(condition(table, right)?)))
    };
    match filter {
        Filter::And(left, right) => pair(left, right).map(|(left, right)| Condition::And(left, right)),
        Filter::Or(left, right) => pair(left, right).map(|(left, right)| Condition::Or(left, right)),
        Filter::Not(inner) => Ok(Condition::Not(Box::new(condition(table, inner)?))),
        Filter::Compare { left, op, right } => match (left, right) {
            (Operand::Path(left), Operand::Path(right)) => {
                let (left, right) = (path(table, left)?, path(table, right)?);
                if family(left.column()) != family(right.column()) {
                    return Err(incompatible(value::edm(left.column()), value::edm(right.column()), *op));
                }
                Ok(Condition::Compare(left, *op, Side::Column(right)))
            }
            (Operand::Path(left), Operand::Literal(literal)) => compare(path(table, left)?, *op, literal),
            (Operand::Literal(literal), Operand::Path(right)) => compare(path(table, right)?, turned(*op), literal),
            (Operand::Call { name, .. }, _) | (_, Operand::Call { name, .. }) => Err(unknown_function(name)),
            (Operand::Literal(_), Operand::Literal(_)) => {
                Err(Error::new(400, "0x80060888", "A comparison needs a property of the table."))
            }
        },
        Filter::Call { name, args } => like_call(table, name, args),
        Filter::In { .. } => {
            Err(Error::new(400, "0x80060888", "The operator 'in' is not supported; use Microsoft.Dynamics.CRM.In."))
        }
        Filter::Function { name, args } => in_function(table, name, args),
    }
}

/// Finds a column by a path of navigation properties and a property.
fn path(table: usize, text: &str) -> Result<Path, Error> {
    let (mut at, mut hops) = (table, Vec::new());
    let mut parts = text.split('/').peekable();
    while let Some(part) = parts.next() {
        let declared = &TABLES[at];
        if parts.peek().is_some() {
            let (column, target) = declared.by_navigation(part).ok_or_else(|| Error::property(part, declared.name))?;
            hops.push(column);
            at = schema::table(target.table);
            continue;
        }
        let column = declared.by_property(part).ok_or_else(|| Error::property(part, declared.name))?;
        return Ok(Path { hops, table: at, column });
    }
    Err(Error::property(text, TABLES[table].name))
}

fn compare(path: Path, op: Op, literal: &Literal) -> Result<Condition, Error> {
    if *literal == Literal::Null {
        return Ok(match op {
            Op::Eq => Condition::IsNull(path),
            Op::Ne => Condition::Not(Box::new(Condition::IsNull(path))),
            _ => Condition::Unknown,
        });
    }
    let column = path.column();
    let cell = match (family(column), literal) {
        ("Edm.String", Literal::Text(text)) => Cell::Text(text.as_str().into()),
        ("number", Literal::Number(number)) => Cell::Decimal(*number),
        ("Edm.Boolean", Literal::Bool(flag)) => Cell::Flag(*flag),
        ("Edm.Guid", Literal::Guid(id)) => Cell::Id(*id),
        ("Edm.Date", Literal::Date(day)) => Cell::Day(*day),
        ("Edm.DateTimeOffset", Literal::DateTime(time)) => Cell::Time(*time),
        ("Edm.DateTimeOffset", Literal::Date(day)) => {
            Cell::Time(day.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc())
        }
        (_, literal) => return Err(incompatible(value::edm(column), literal_type(literal), op)),
    };
    Ok(Condition::Compare(path, op, Side::Constant(cell)))
}

fn like_call(table: usize, name: &str, args: &[Operand]) -> Result<Condition, Error> {
    let around = match name {
        "contains" => (true, true),
        "startswith" => (false, true),
        "endswith" => (true, false),
        // A lambda goes over a collection, and the tables here have none.
        "any" | "all" => match args {
            [Operand::Path(path)] => return Err(Error::property(path, TABLES[table].name)),
            _ => return Err(unknown_function(name)),
        },
        _ => return Err(unknown_function(name)),
    };
    let [Operand::Path(property), Operand::Literal(Literal::Text(text))] = args else {
        let message =
            format!("No function signature for the function with name '{name}' matches the specified arguments.");
        return Err(Error::new(400, "0x80060888", message));
    };
    let path = path(table, property)?;
    if family(path.column()) != "Edm.String" {
        let message =
            format!("No function signature for the function with name '{name}' matches the specified arguments.");
        return Err(Error::new(400, "0x80060888", message));
    }
    let mut pattern: Vec<char> = text.chars().flat_map(char::to_lowercase).collect();
    if around.0 {
        pattern.insert(0, '%');
    }
    if around.1 {
        pattern.push('%');
    }
    Ok(Condition::Like(path, pattern))
}

/// `Microsoft.Dynamics.CRM.In(PropertyName='…',PropertyValues=["…"])`; a lookup goes by its logical name.
fn in_function(table: usize, name: &str, args: &[(String, Argument)]) -> Result<Condition, Error> {
    if name != "Microsoft.Dynamics.CRM.In" {
        return Err(unknown_function(name));
    }
    let argument = |wanted: &str| args.iter().find(|(name, _)| name == wanted).map(|(_, argument)| argument);
    let (Some(Argument::One(Literal::Text(property))), Some(Argument::List(values)), 2) =
        (argument("PropertyName"), argument("PropertyValues"), args.len())
    else {
        let message = "The function 'Microsoft.Dynamics.CRM.In' needs the parameters PropertyName and PropertyValues.";
        return Err(Error::new(400, "0x80060888", message));
    };
    let declared = &TABLES[table];
    let column = declared.by_name(property).ok_or_else(|| Error::property(property, declared.name))?;
    let mut cells = Vec::with_capacity(values.len());
    for value in values {
        let Literal::Text(text) = value else {
            return Err(Error::new(
                400,
                "0x80060888",
                "Every item of PropertyValues must be a string in double quotes.",
            ));
        };
        let cell = constant(&declared.columns[column], text).ok_or_else(|| {
            let expected = value::edm(&declared.columns[column]);
            Error::new(
                400,
                "0x80060888",
                format!("Cannot convert the literal '{text}' to the expected type '{expected}'."),
            )
        })?;
        cells.push(cell);
    }
    Ok(Condition::In(Path { hops: Vec::new(), table, column }, cells))
}

fn constant(column: &schema::Column, text: &str) -> Option<Cell> {
    Some(match family(column) {
        "Edm.String" => Cell::Text(text.into()),
        "number" => Cell::Decimal(filter::decimal(text)?),
        "Edm.Boolean" => Cell::Flag(text.parse().ok()?),
        "Edm.Guid" => Cell::Id(value::guid(text)?),
        "Edm.Date" => Cell::Day(text.parse().ok()?),
        _ => Cell::Time(filter::instant(text)?),
    })
}

/// Lists of values are read as JSON, where a string has double quotes.
fn check_lists(text: &str, options: &[(String, String)]) -> Result<(), Error> {
    let aliases = options.iter().filter(|(name, _)| name.starts_with('@')).map(|(_, value)| value.as_str());
    let single_quoted = |text: &str| text.split('[').skip(1).any(|rest| rest.trim_start().starts_with('\''));
    let has_function = text.contains("Microsoft.Dynamics.CRM.");
    if has_function
        && (single_quoted(text) || aliases.into_iter().any(|alias| alias.starts_with('[') && single_quoted(alias)))
    {
        let message = "Invalid JSON. A comma character ',' was expected in scope 'Array'. Every two elements in \
            an array and properties of \
                       an object must be separated by commas.";
        return Err(Error::new(400, "0x80060888", message));
    }
    Ok(())
}

/// The types that compare with each other under one name.
fn family(column: &schema::Column) -> &'static str {
    match value::edm(column) {
        "Edm.Int32" | "Edm.Int64" | "Edm.Double" | "Edm.Decimal" => "number",
        other => other,
    }
}

fn literal_type(literal: &Literal) -> &'static str {
    match literal {
        Literal::Text(_) => "Edm.String",
        Literal::Number(number) if number.fract() == Decimal::ZERO => "Edm.Int32",
        Literal::Number(_) => "Edm.Decimal",
        Literal::Bool(_) => "Edm.Boolean",
        Literal::Guid(_) => "Edm.Guid",
        Literal::Date(_) => "Edm.Date",
        Literal::DateTime(_) => "Edm.DateTimeOffset",
        Literal::Null => "Edm.Null",
    }
}

fn incompatible(left: &str, right: &str, op: Op) -> Error {
    let kind = match op {
        Op::Eq => "Equal",
        Op::Ne => "NotEqual",
        Op::Gt => "GreaterThan",
        Op::Ge => "GreaterThanOrEqual",
        Op::Lt => "LessThan",
        Op::Le => "LessThanOrEqual",
    };
    let message = format!(
        "A binary operator with incompatible types was detected. Found operand types '{left}' and '{right}' for \
            operator kind '{kind}'."
    );
    Error::new(400, "0x80060888", message)
}

fn unknown_function(name: &str) -> Error {
    Error::new(400, "0x80060888", format!("An unknown function with name '{name}' was found."))
}

fn turned(op: Op) -> Op {
    match op {
        Op::Gt => Op::Lt,
        Op::Ge => Op::Le,
        Op::Lt => Op::Gt,
        Op::Le => Op::Ge,
        same => same,
    }
}

/// Matches text against a pattern of the database: `%` any run, `_` any character, `[…]` any of a set.
fn like(text: &[char], pattern: &[char]) -> bool {
    let Some(first) = pattern.first() else { return text.is_empty() };
    match first {
        '%' => (0..=text.len()).any(|skip| like(&text[skip..], &pattern[1..])),
        '_' => !text.is_empty() && like(&text[1..], &pattern[1..]),
        '[' => {
            let Some(end) = pattern.iter().position(|letter| *letter == ']') else {
                return text.first() == Some(&'[') && like(&text[1..], &pattern[1..]);
            };
            let Some(letter) = text.first() else { return false };
            let (negated, set) = match &pattern[1..end] {
                ['^', set @ ..] => (true, set),
                set => (false, set),
            };
            member(set, *letter) != negated && like(&text[1..], &pattern[end + 1..])
        }
        letter => text.first() == Some(letter) && like(&text[1..], &pattern[1..]),
    }
}

fn member(set: &[char], letter: char) -> bool {
    match set {
        [low, '-', high, rest @ ..] => (*low..=*high).contains(&letter) || member(rest, letter),
        [one, rest @ ..] => *one == letter || member(rest, letter),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_knows_the_wildcards_of_the_database() {
        let cases = [
            ("adatum", "%dat%", true),
            ("adatum", "a_atum", true),
            ("adatum", "b%", false),
            ("50% off", "%50%%", true),
            ("x7y", "x[0-9]y", true),
            ("xzy", "x[^0-9]y", true),
            ("x7y", "x[^0-9]y", false),
            ("", "%", true),
            ("", "_", false),
        ];
        for (text, pattern, expected) in cases {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(like(&chars(text), &chars(pattern)), expected, "{text} like {pattern}");
        }
    }
}
