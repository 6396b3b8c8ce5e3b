//! Reading the SQL of an expression: which columns it names, and what in it we refuse.
//!
//! In goes the text, out come the syntax tree and the names of columns, or everything that is wrong at once. Refused is
//! what looks beyond one row (aggregates, windows, subqueries) and what polars is known to compute wrongly.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, UnaryOperator, Value,
    ValueWithSpan, Visit, Visitor,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Tokenizer};

use crate::config::complaint::suggestion;
use crate::config::expression::{ExpressionError, functions, is_column_name};

/// Parts that operators may join in one expression: whoever walks through such a chain goes as deep as it is long.
const CHAIN_MAX: usize = 100;

/// Comparisons in one expression, of which a chain is as rare as it is long.
const COMPARISONS_MAX: usize = 500;

/// How deep an expression may be; the stack of a debug build ends before 200.
const DEPTH_MAX: usize = 120;

/// Functions of the dialect that make one value out of one row. Lists are left out: no column holds one.
#[rustfmt::skip] // One name a line is three screens of names.
pub(super) const OF_ONE_ROW: &[&str] = &[
    "abs", "acos", "acosd", "asin", "asind", "atan", "atan2", "atan2d", "atand", "bit_and", "bit_length", "bit_not",
    "bit_or", "bit_xor", "cbrt", "ceil", "ceiling", "char_length", "character_length", "coalesce", "concat",
    "concat_ws", "cos", "cosd", "cot", "cotd", "date", "date_part", "datetime", "degrees", "div", "ends_with", "exp",
    "floor", "greatest", "if", "ifnull", "least", "left", "length", "ln", "log", "log10", "log1p", "log2", "lower",
    "lpad", "ltrim", "mod", "normalize", "nullif", "octet_length", "pi", "pow", "power", "radians", "regexp_like",
    "replace", "reverse", "right", "round", "rpad", "rtrim", "sign", "sin", "sind", "split_part", "sqrt",
    "starts_with", "strftime", "strpos", "strptime", "substr", "tan", "tand", "time", "timestamp", "trunc",
    "truncate", "upper",
];

/// Functions of the dialect that look at more than one row, or make more than one value.
#[rustfmt::skip] // As above.
const BEYOND_ONE_ROW: &[&str] = &[
    "array_agg", "avg", "columns", "corr", "count", "covar", "covar_pop", "covar_samp", "dense_rank", "first",
    "first_value", "group_concat", "lag", "last", "last_value", "lead", "listagg", "max", "median", "min",
    "quantile_cont", "quantile_disc", "rank", "row_number", "stddev", "stddev_samp", "stdev", "stdev_samp",
    "string_agg", "sum", "total", "unnest", "var", "var_samp", "variance",
];

/// Says in our words what polars refused; of its own only names and calls are taken.
pub(super) fn refused(message: &str) -> ExpressionError {
    let quoted = |mark: char| message.split(mark).nth(1).unwrap_or_default();
    if message.contains("clause)") {
        let word = quoted('\'');
        let hint =
            format!("as a column it stands in double quotes: `\"{word}\"`; as a text in single ones: `'{word}'`");
        return ExpressionError { message: format!("`{word}` is a word of SQL"), hint: Some(hint) };
    }
    if message.contains("no function matches") {
        let hint = Some("see how many arguments it takes".to_owned());
        return ExpressionError { message: format!("`{}` does not fit its arguments", quoted('`')), hint };
    }
    ExpressionError { message: "holds something that this dialect of SQL does not compute".to_owned(), hint: None }
}

/// Returns the parts of a conjunction as texts.
pub(super) fn terms(tree: &Expr) -> Vec<String> {
    match tree {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            let mut parts = terms(left);
            parts.extend(terms(right));
            parts
        }
        Expr::Nested(inner) if matches!(**inner, Expr::BinaryOp { op: BinaryOperator::And, .. }) => terms(inner),
        other => vec![other.to_string()],
    }
}

/// Returns the conditions that a condition is made of, as texts.
pub(super) fn parts(tree: &Expr) -> Vec<String> {
    match tree {
        Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
            let mut all = parts(left);
            all.extend(parts(right));
            all
        }
        Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Not, expr: inner } => parts(inner),
        other => vec![other.to_string()],
    }
}

/// Parses a text that is one expression and nothing else.
pub(super) fn parse(text: &str) -> Result<Expr, ExpressionError> {
    let failed = |error: ParserError| {
        let (message, hint) = match error {
            ParserError::RecursionLimitExceeded => ("is nested too deeply".to_owned(), None),
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
                let hint = if message.contains("nterminated string") {
                    Some("a text ends with `'`; an apostrophe within it is written twice: `'O''Neil'`")
                } else if message.ends_with("EOF") {
                    Some("something is missing at its end")
                } else {
                    None
                };
                (format!("does not parse as SQL: {}", lower(&message)), hint.map(str::to_owned))
            }
        };
        ExpressionError { message, hint }
    };
    if text.trim().is_empty() {
        let hint = Some("remove the key, or write an expression; an empty text is `''`".to_owned());
        return Err(ExpressionError { message: "is empty".to_owned(), hint });
    }
    let tokens =
        Tokenizer::new(&GenericDialect, text).tokenize_with_location().map_err(|error| failed(error.into()))?;
    let joints = |joins: fn(&Token) -> bool| tokens.iter().filter(|token| joins(&token.token)).count();
    if joints(joins) > CHAIN_MAX || joints(compares) > COMPARISONS_MAX {
        let hint = format!(
            "{CHAIN_MAX} that join (`AND`, `||`, `+`, `WHEN` and the like) and {COMPARISONS_MAX} that compare are the most; \
             `IN (…)`, `COALESCE(…)` and `CONCAT(…)` take as many values as you like"
        );
        let message = "has too many operators".to_owned();
        return Err(ExpressionError { message, hint: Some(hint) });
    }
    let mut parser = Parser::new(&GenericDialect).with_tokens_with_locations(tokens);
    let tree = parser.parse_expr().map_err(failed)?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        let place = format!("line {}, column {}", next.span.start.line, next.span.start.column);
        let message = format!("does not parse as SQL: `{}` at {place} is too much", next.token);
        return Err(ExpressionError { message, hint: None });
    }
    let mut depth = Depth::default();
    let _ = tree.visit(&mut depth);
    if depth.most > DEPTH_MAX { Err(failed(ParserError::RecursionLimitExceeded)) } else { Ok(tree) }
}

/// Tells whether something joins parts of an expression; each part of a chain holds all that stand before it.
fn joins(token: &Token) -> bool {
    match token {
        Token::Word(word) => matches!(word.keyword, Keyword::AND | Keyword::OR | Keyword::XOR | Keyword::WHEN),
        Token::StringConcat | Token::Plus | Token::Minus | Token::Mul | Token::Div | Token::Mod => true,
        Token::Pipe | Token::Ampersand | Token::Caret => true,
        _ => false,
    }
}

/// Tells whether something compares; each of several in a row compares what came out before.
fn compares(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            matches!(word.keyword, Keyword::IS | Keyword::LIKE | Keyword::ILIKE | Keyword::IN | Keyword::BETWEEN)
        }
        Token::Eq | Token::Neq | Token::Lt | Token::Gt | Token::LtEq | Token::GtEq | Token::DoubleEq => true,
        Token::Spaceship | Token::DoubleColon | Token::Period => true,
        _ => false,
    }
}

/// Measures how deep an expression is.
#[derive(Default)]
struct Depth {
    now: usize,
    most: usize,
}

impl Visitor for Depth {
    type Break = ();

    fn pre_visit_expr(&mut self, _expr: &Expr) -> ControlFlow<()> {
        self.now += 1;
        self.most = self.most.max(self.now);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _expr: &Expr) -> ControlFlow<()> {
        self.now -= 1;
        ControlFlow::Continue(())
    }
}

/// Turns the first letter of a parser's sentence small, as a fragment begins.
fn lower(message: &str) -> String {
    let mut letters = message.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// Returns the columns that an expression names, each once, in order of appearance.
pub(super) fn columns(tree: &Expr) -> Result<Vec<String>, ExpressionError> {
    let mut walk = Walk::default();
    let _ = tree.visit(&mut walk);
    if walk.faults.is_empty() {
        return Ok(walk.columns);
    }
    let messages: Vec<&str> = walk.faults.iter().map(|fault| fault.message.as_str()).collect();
    let hints: Vec<&str> = walk.faults.iter().filter_map(|fault| fault.hint.as_deref()).collect();
    let hint = (!hints.is_empty()).then(|| hints.join("; "));
    Err(ExpressionError { message: messages.join("; "), hint })
}

#[derive(Default)]
struct Walk {
    columns: Vec<String>,
    faults: Vec<ExpressionError>,
}

impl Walk {
    fn refuse(&mut self, message: String, hint: Option<String>) {
        let fault = ExpressionError { message, hint };
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    fn column(&mut self, name: &str) {
        if !is_column_name(name) {
            let hint = format!("a text stands in single quotes: '{name}'");
            self.refuse(format!("`{name}` is no name of a column"), Some(hint));
        } else if !self.columns.iter().any(|known| known == name) {
            self.columns.push(name.to_owned());
        }
    }

    fn function(&mut self, function: &Function) {
        let written = function.name.to_string();
        let name = written.to_lowercase();
        if name == "next_number" {
            let hint = "it stands alone: `code: \"next_number('NO. ', 5)\"`";
            self.refuse("`next_number` is only possible as a whole value of `set`".to_owned(), Some(hint.to_owned()));
        } else if BEYOND_ONE_ROW.contains(&name.as_str()) {
            let hint = match name.as_str() {
                "min" => Some("the smallest of several values of a row is `LEAST(…)`".to_owned()),
                "max" => Some("the greatest of several values of a row is `GREATEST(…)`".to_owned()),
                _ => None,
            };
            self.refuse(format!("`{written}` looks beyond one row, which an expression cannot"), hint);
        } else if function.over.is_some() || function.filter.is_some() || !function.within_group.is_empty() {
            self.refuse(format!("`{written}` looks beyond one row, which an expression cannot"), None);
        } else if let Some(call) = functions::read(function) {
            if let Err(error) = call {
                self.refuse(error.message, error.hint);
            }
        } else if !OF_ONE_ROW.contains(&name.as_str()) {
            let known = OF_ONE_ROW.iter().copied().chain(functions::names());
            self.refuse(format!("no function `{written}`"), suggestion(&name, known));
        } else if matches!(name.as_str(), "coalesce" | "greatest" | "least") && arguments(function).is_empty() {
            // polars-sql 0.55 panics here.
            self.refuse(format!("`{written}` needs a value at least"), None);
        } else if name == "substr" {
            let arguments = arguments(function);
            if arguments.len() == 2 && !arguments[1].is_some_and(is_number) {
                self.substring(&written);
            }
        }
    }

    /// polars-sql 0.55 answers with the start plus one instead of the text.
    fn substring(&mut self, written: &str) {
        let hint = "give a length as third argument, or take `RIGHT(…)`";
        let message = format!("`{written}` without a length needs a number as its start");
        self.refuse(message, Some(hint.to_owned()));
    }
}

impl Visitor for Walk {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.refuse("a subquery looks beyond one row, which an expression cannot".to_owned(), None);
        ControlFlow::Break(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => self.column(&name.value),
            Expr::CompoundIdentifier(parts) => {
                let parts: Vec<&str> = parts.iter().map(|part| part.value.as_str()).collect();
                let hint = format!("a column has one name; a navigation is written \"{}\"", parts.join("/"));
                self.refuse(format!("`{}` is no name of a column", parts.join(".")), Some(hint));
            }
            Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => {
                self.refuse("`*` is no name of a column".to_owned(), None);
            }
            Expr::AnyOp { .. } | Expr::AllOp { .. } => {
                self.refuse("`ANY` and `ALL` look beyond one row".to_owned(), Some("use `IN (…)`".to_owned()));
            }
            Expr::InList { list, .. } if !list.iter().all(is_constant) => {
                let hint = "compare one by one: `a = b OR a = c`";
                self.refuse("`IN (…)` takes constants only".to_owned(), Some(hint.to_owned()));
            }
            // The parser takes all that follows for the right side of the comparison.
            Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) if !is_operand(right) => {
                let hint = "put the comparison in parentheses: `(a IS DISTINCT FROM b) AND c`";
                self.refuse("it is unclear where `IS DISTINCT FROM` ends".to_owned(), Some(hint.to_owned()));
            }
            Expr::Function(function) => self.function(function),
            Expr::Substring { substring_from: Some(from), substring_for: None, .. } if !is_number(from) => {
                self.substring("SUBSTRING");
            }
            Expr::Value(ValueWithSpan { value: Value::Placeholder(name), .. }) => {
                let hint = "a variable of the environment is written `${NAME}`";
                self.refuse(format!("`{name}` has no value"), Some(hint.to_owned()));
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn is_constant(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(_) | Expr::TypedString(_)) || is_number(expr)
}

/// Tells whether an expression is one value, or stands in parentheses.
fn is_operand(expr: &Expr) -> bool {
    let is_signed = |expr: &Expr| matches!(expr, Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, .. });
    let is_call = |expr: &Expr| matches!(expr, Expr::Function(_) | Expr::Cast { .. } | Expr::Case { .. });
    matches!(expr, Expr::Value(_) | Expr::TypedString(_) | Expr::Identifier(_) | Expr::Nested(_))
        || is_signed(expr)
        || is_call(expr)
}

fn is_number(expr: &Expr) -> bool {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(..), .. }) => true,
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => is_number(expr),
        Expr::Nested(expr) => is_number(expr),
        _ => false,
    }
}

/// Returns the arguments of a call; `None` for what is no plain expression.
pub(super) fn arguments(function: &Function) -> Vec<Option<&Expr>> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let argument = |argument| match argument {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expr)) => Some(expr),
        _ => None,
    };
    list.args.iter().map(argument).collect()
}

/// Reads a call of `next_number`; `None` for any other expression.
pub(super) fn next_number(tree: &Expr) -> Result<Option<(String, usize)>, ExpressionError> {
    let Expr::Function(function) = tree else { return Ok(None) };
    if !function.name.to_string().eq_ignore_ascii_case("next_number") {
        return Ok(None);
    }
    if let [
        Some(Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(prefix), .. })),
        Some(Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. })),
    ] = arguments(function).as_slice()
        && let Ok(digits @ 1..=18) = digits.parse()
    {
        return Ok(Some((prefix.clone(), digits)));
    }
    let message = "`next_number` takes a text and a number of digits from 1 to 18".to_owned();
    Err(ExpressionError { message, hint: Some("for example `next_number('SP NO. ', 5)`".to_owned()) })
}
