//! A parsed filter made ready for one page: names looked up, literals turned into cells.
//!
//! The ERP's peculiarities are here: `or` only between conditions on one field, `in` ignored below schema version 2.1,
//! codes upper-cased, enum members by their encoded names, text compared with regard to case unless `tolower` or
//! `toupper` is applied. Evaluation is two-valued: the ERP has no null.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::cell::{Cell, capitals};
use super::error::Refusal;
use super::schema::{Kind, Page};
use crate::filter::{Filter, Literal, Op, Operand};

/// A condition on the columns of the set behind one page.
#[derive(Debug, PartialEq)]
pub enum Condition {
    /// What an ignored operator leaves.
    Always,
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    Compare {
        place: usize,
        op: Op,
        value: Cell,
        fold: bool,
    },
    /// Equality with any of several values.
    Among {
        place: usize,
        values: Vec<Cell>,
    },
    Part {
        place: usize,
        part: Part,
        needle: String,
        fold: bool,
    },
}

/// Where a piece of text is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Start,
    End,
    Anywhere,
}

impl Condition {
    /// Makes a filter ready; `extended` says that the request asked for schema version 2.1.
    pub fn of(filter: &Filter, page: &Page, extended: bool) -> Result<Condition, Refusal> {
        let inner = |filter: &Filter| Condition::of(filter, page, extended);
        Ok(match filter {
            Filter::And(left, right) => Condition::And(Box::new(inner(left)?), Box::new(inner(right)?)),
            Filter::Or(left, right) => {
                let mut fields = Vec::new();
                names(filter, &mut fields);
                if fields.iter().any(|field| *field != fields[0]) {
                    return Err(Refusal::bad(
                        "An error occurred while processing this request.  The 'OR' operator is not supported on \
                         distinct fields on an OData filter.",
                    ));
                }
                inner(left)?.or(inner(right)?)
            }
            Filter::Not(inside) => Condition::Not(Box::new(inner(inside)?)),
            Filter::Compare { left, op, right } => match (left, right) {
                (Operand::Literal(literal), field) => compare(page, field, flipped(*op), literal)?,
                (field, Operand::Literal(literal)) => compare(page, field, *op, literal)?,
                _ => return Err(Refusal::bad("A comparison needs a field and a constant.")),
            },
            Filter::In { .. } if !extended => Condition::Always,
            Filter::In { item, list } => {
                let (place, _) = field(page, item)?;
                let values: Result<_, _> = list.iter().map(|literal| constant(page, place, literal)).collect();
                Condition::Among { place, values: values? }
            }
            // Lambdas are ignored like an unknown `in`, not refused.
            Filter::Call { name, .. } if matches!(name.as_str(), "any" | "all") => Condition::Always,
            Filter::Call { name, args } => {
                let part = match name.as_str() {
                    "startswith" => Part::Start,
                    "endswith" => Part::End,
                    "contains" => Part::Anywhere,
                    other => return Err(Refusal::bad(format!("An unknown function with name '{other}' was found."))),
                };
                let [subject, Operand::Literal(Literal::Text(needle))] = args.as_slice() else {
                    return Err(Refusal::bad(format!("The function '{name}' needs a field and a text.")));
                };
                let (place, fold) = field(page, subject)?;
                if fold && !extended {
                    return Err(Refusal::bad("Nested functions are not supported in an OData filter."));
                }
                let code = match page.table().columns[place].kind {
                    Kind::Code(_) => true,
                    Kind::Text(_) => false,
                    _ => return Err(Refusal::bad(format!("The function '{name}' needs a text field."))),
                };
                let needle = if code { capitals(needle) } else { needle.clone() };
                let needle = if fold { needle.to_lowercase() } else { needle };
                Condition::Part { place, part, needle, fold }
            }
            Filter::Function { name, .. } => {
                return Err(Refusal::bad(format!("An unknown function with name '{name}' was found.")));
            }
        })
    }

    /// Tells whether a row meets the condition; `shown` gives its cells by their place.
    pub fn holds<'a>(&self, shown: &dyn Fn(usize) -> Cow<'a, Cell>) -> bool {
        match self {
            Condition::Always => true,
            Condition::And(left, right) => left.holds(shown) && right.holds(shown),
            Condition::Or(left, right) => left.holds(shown) || right.holds(shown),
            Condition::Not(inside) => !inside.holds(shown),
            Condition::Compare { place, op, value, fold } => op.holds(ordering(&shown(*place), value, *fold)),
            Condition::Among { place, values } => values.contains(&shown(*place)),
            Condition::Part { place, part, needle, fold } => {
                let cell = shown(*place);
                let lower;
                let text = if *fold {
                    lower = cell.text().to_lowercase();
                    &lower
                } else {
                    cell.text()
                };
                match part {
                    Part::Start => text.starts_with(needle),
                    Part::End => text.ends_with(needle),
                    Part::Anywhere => text.contains(needle),
                }
            }
        }
    }

    /// Joins two conditions; equalities on one column become a list, which the id lists of clients are.
    fn or(self, other: Condition) -> Condition {
        let list = |condition: Condition| match condition {
            Condition::Compare { place, op: Op::Eq, value, fold: false } => Ok((place, vec![value])),
            Condition::Among { place, values } => Ok((place, values)),
            condition => Err(condition),
        };
        match (list(self), list(other)) {
            // Both sides name one field, or the filter was refused before.
            (Ok((place, mut values)), Ok((_, more))) => {
                values.extend(more);
                Condition::Among { place, values }
            }
            (left, right) => {
                let whole = |side: Result<(usize, Vec<Cell>), Condition>| match side {
                    Ok((place, values)) => Condition::Among { place, values },
                    Err(condition) => condition,
                };
                Condition::Or(Box::new(whole(left)), Box::new(whole(right)))
            }
        }
    }
}

fn compare(page: &Page, subject: &Operand, op: Op, literal: &Literal) -> Result<Condition, Refusal> {
    let (place, fold) = field(page, subject)?;
    let mut value = constant(page, place, literal)?;
    if fold {
        value = Cell::Text(value.text().to_lowercase().into());
    }
    Ok(Condition::Compare { place, op, value, fold })
}

fn ordering(cell: &Cell, value: &Cell, fold: bool) -> Ordering {
    if fold { cell.text().to_lowercase().as_str().cmp(value.text()) } else { cell.order(value) }
}

/// Finds the column of an operand, and whether its case is to be ignored.
fn field(page: &Page, operand: &Operand) -> Result<(usize, bool), Refusal> {
    match operand {
        Operand::Path(name) => {
            let place = page.column(name).ok_or_else(|| Refusal::no_property(name, &page.type_name()))?;
            Ok((place, false))
        }
        Operand::Call { name, args } if matches!(name.as_str(), "tolower" | "toupper") && args.len() == 1 => {
            let (place, _) = field(page, &args[0])?;
            match page.table().columns[place].kind {
                Kind::Text(_) | Kind::Code(_) => Ok((place, true)),
                _ => Err(Refusal::bad(format!("The function '{name}' needs a text field."))),
            }
        }
        Operand::Call { name, .. } => Err(Refusal::bad(format!("An unknown function with name '{name}' was found."))),
        Operand::Literal(_) => Err(Refusal::bad("A comparison needs a field and a constant.")),
    }
}

/// Turns a literal into a cell of the column.
fn constant(page: &Page, place: usize, literal: &Literal) -> Result<Cell, Refusal> {
    let column = &page.table().columns[place];
    let incompatible = || {
        Refusal::bad(format!(
            "A binary operator with incompatible types was detected on property '{}' of type '{}'.",
            page.properties
                .iter()
                .find(|property| property.place == place)
                .map_or(column.name, |property| property.name),
            page.type_name()
        ))
    };
    Ok(match (column.kind, literal) {
        // There is no null in the tables; the filter means the blank.
        (kind, Literal::Null) => Cell::blank(kind),
        (Kind::Code(max), Literal::Text(text)) => {
            let length = text.encode_utf16().count();
            if length > max {
                let message = format!(
                    "The filter \"{text}\" is not valid for the {} field on the {} table. The length of the string \
                     is {length}, but it must be less than or equal to {max} characters.",
                    column.caption,
                    page.table().table
                );
                return Err(Refusal::new(400, "Application_FilterErrorException", message));
            }
            Cell::string(column.kind, text)?
        }
        (Kind::Text(_), Literal::Text(text)) => Cell::Text(text.trim_end().into()),
        (Kind::Enum(members), Literal::Text(text)) => {
            let member = members.names.iter().position(|name| name == text);
            Cell::Member(member.ok_or_else(incompatible)? as u8)
        }
        (Kind::Guid, Literal::Guid(id)) => Cell::Guid(*id),
        (Kind::Decimal, Literal::Number(number)) => Cell::Decimal(number.normalize()),
        (Kind::Bool, Literal::Bool(flag)) => Cell::Bool(*flag),
        (Kind::Date, Literal::Date(date)) => Cell::Date(*date),
        (Kind::DateTime, Literal::DateTime(instant)) => Cell::DateTime(*instant),
        _ => return Err(incompatible()),
    })
}

fn flipped(op: Op) -> Op {
    match op {
        Op::Gt => Op::Lt,
        Op::Ge => Op::Le,
        Op::Lt => Op::Gt,
        Op::Le => Op::Ge,
        same => same,
    }
}

/// Collects the names of all fields in a filter.
fn names<'a>(filter: &'a Filter, out: &mut Vec<&'a str>) {
    match filter {
        Filter::And(left, right) | Filter::Or(left, right) => {
            names(left, out);
            names(right, out);
        }
        Filter::Not(inside) => names(inside, out),
        Filter::Compare { left, right, .. } => {
            operand_names(left, out);
            operand_names(right, out);
        }
        Filter::Call { args, .. } => args.iter().for_each(|arg| operand_names(arg, out)),
        Filter::In { item, .. } => operand_names(item, out),
        Filter::Function { .. } => {}
    }
}

fn operand_names<'a>(operand: &'a Operand, out: &mut Vec<&'a str>) {
    match operand {
        Operand::Path(name) => out.push(name),
        Operand::Call { args, .. } => args.iter().for_each(|arg| operand_names(arg, out)),
        Operand::Literal(_) => {}
    }
}
