//! A syntax tree made into an expression of polars.
//!
//! Polars reads SQL itself, and mostly the text goes to it as it is. Two things are put in other words before: calls of our
//! functions, which it does not know, and `IN (…)`, which it compares by other rules than `=` (it refuses whole numbers
//! beside decimals, and dates as texts).

use std::ops::ControlFlow;

use polars::prelude::*;
use sqlparser::ast::{self, BinaryOperator, Ident, UnaryOperator, VisitMut, VisitorMut};

use crate::config::expression::functions::{self, Call};
use crate::config::expression::reading::arguments;

/// What becomes of a value that one of our functions cannot use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// An error, with the reason.
    Strict,
    /// NULL, and the call is marked so that it can be told from one that was asked for.
    Lenient,
}

/// Makes the expression of a text that is SQL; `tree` is what it was parsed to.
pub(super) fn expr(text: &str, tree: &ast::Expr, way: Way) -> PolarsResult<Expr> {
    let mut reword = Reword::default();
    let mut tree = tree.clone();
    let _ = tree.visit(&mut reword);
    if !reword.changed {
        return polars::sql::sql_expr(text);
    }
    // A call stands behind those in its arguments, so each finds what its placeholders stand for.
    let mut made: Vec<Expr> = Vec::new();
    for (call, subject) in reword.calls {
        let subject = put_back(polars::sql::sql_expr(subject.to_string())?, &made);
        made.push(call.expr(subject, way));
    }
    Ok(put_back(polars::sql::sql_expr(tree.to_string())?, &made))
}

/// Takes our calls out of a tree and leaves the name of a column in their place, which no table can have; writes lists
/// as comparisons.
#[derive(Default)]
struct Reword {
    calls: Vec<(Call, ast::Expr)>,
    changed: bool,
}

impl VisitorMut for Reword {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
        let new = match expr {
            ast::Expr::Function(function) => {
                let subject = arguments(function).first().copied().flatten().cloned();
                match (functions::read(function), subject) {
                    (Some(Ok(call)), Some(subject)) => {
                        let name = placeholder(self.calls.len());
                        self.calls.push((call, subject));
                        Some(ast::Expr::Identifier(Ident::with_quote('"', name)))
                    }
                    _ => None,
                }
            }
            ast::Expr::InList { expr, list, negated } => among(expr, list).map(|among| match negated {
                true => nested(ast::Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(among) }),
                false => among,
            }),
            _ => None,
        };
        if let Some(new) = new {
            self.changed = true;
            *expr = new;
        }
        ControlFlow::Continue(())
    }
}

/// Writes a list as comparisons, in a tree that is no deeper than it has to be.
fn among(subject: &ast::Expr, list: &[ast::Expr]) -> Option<ast::Expr> {
    let binary = |left: ast::Expr, op: BinaryOperator, right: ast::Expr| {
        nested(ast::Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) })
    };
    match list {
        [] => None,
        [one] => Some(binary(nested(subject.clone()), BinaryOperator::Eq, one.clone())),
        more => {
            let (left, right) = more.split_at(more.len() / 2);
            Some(binary(among(subject, left)?, BinaryOperator::Or, among(subject, right)?))
        }
    }
}

fn nested(expr: ast::Expr) -> ast::Expr {
    ast::Expr::Nested(Box::new(expr))
}

fn placeholder(number: usize) -> String {
    format!("#call{number}")
}

fn put_back(expr: Expr, made: &[Expr]) -> Expr {
    expr.map_expr(|expr| match &expr {
        Expr::Column(name) => {
            let number = name.strip_prefix("#call").and_then(|number| number.parse::<usize>().ok());
            number.and_then(|number| made.get(number).cloned()).unwrap_or(expr)
        }
        _ => expr,
    })
}
