//! `$filter` text to a tree, and the query string it came in.
//!
//! In: the raw request target, or the decoded text of a filter with the parameter aliases of its query. Out: a
//! [`Filter`] whose leaves are paths and literals. What a path means, whether text compares with regard to case and what
//! null does are left to each fake; [`compare`] only orders one JSON value against one literal.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
    /// `left op right`.
    Compare {
        left: Operand,
        op: Op,
        right: Operand,
    },
    /// A function that is a condition by itself: `contains`, `startswith`, `endswith`; also a lambda, as `any` or `all`
    /// with the path of its collection, whose inside is not read.
    Call {
        name: String,
        args: Vec<Operand>,
    },
    /// `item in (a, b)`.
    In {
        item: Operand,
        list: Vec<Literal>,
    },
    /// A namespaced function with named arguments, as `Microsoft.Dynamics.CRM.In(PropertyName=@p1,PropertyValues=@p2)`;
    /// its aliases are already replaced.
    Function {
        name: String,
        args: Vec<(String, Argument)>,
    },
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A property, or a path over navigation properties with `/`.
    Path(String),
    Literal(Literal),
    /// A function of a value, as `tolower(name)`.
    Call {
        name: String,
        args: Vec<Operand>,
    },
}

/// An argument of a namespaced function.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    One(Literal),
    List(Vec<Literal>),
}

/// A constant of the filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    Text(String),
    Number(Decimal),
    Bool(bool),
    Guid(Uuid),
    Date(NaiveDate),
    DateTime(DateTime<Utc>),
    Null,
}

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

impl Op {
    /// Tells whether the operator holds for an ordering of left against right.
    pub fn holds(self, ordering: Ordering) -> bool {
        match self {
            Op::Eq => ordering.is_eq(),
            Op::Ne => ordering.is_ne(),
            Op::Gt => ordering.is_gt(),
            Op::Ge => ordering.is_ge(),
            Op::Lt => ordering.is_lt(),
            Op::Le => ordering.is_le(),
        }
    }
}

/// Why a filter could not be read: the words and the character position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    pub message: String,
    pub position: usize,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Syntax error at position {}: {}", self.position, self.message)
    }
}

/// Splits a request target into its path, still encoded, and its decoded query options in order.
pub fn query(target: &str) -> (&str, Vec<(String, String)>) {
    let (path, options) = target.split_once('?').unwrap_or((target, ""));
    let options = options
        .split('&')
        .filter(|option| !option.is_empty())
        .map(|option| {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            (decode(name, true), decode(value, true))
        })
        .collect();
    (path, options)
}

/// Returns the first query option of exactly that name.
pub fn option<'a>(options: &'a [(String, String)], name: &str) -> Option<&'a str> {
    options.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Undoes percent-encoding; a bare `+` becomes a blank when asked, as it does in queries but not in paths.
pub fn decode(text: &str, plus_is_blank: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
        match bytes[at] {
            b'%' if at + 2 < bytes.len() => match (hex(bytes[at + 1]), hex(bytes[at + 2])) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    at += 3;
                    continue;
                }
                _ => out.push(b'%'),
            },
            b'+' if plus_is_blank => out.push(b' '),
            byte => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Percent-encodes all but the unreserved characters, for links that go back to the caller.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Reads a filter; `options` are the query's, where aliases such as `@p1` are looked up.
pub fn parse(text: &str, options: &[(String, String)]) -> Result<Filter, SyntaxError> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, end: text.chars().count(), options };
    let filter = parser.either()?;
    match parser.peek() {
        None => Ok(filter),
        Some(token) => Err(parser.error(format!("'{token}' was not expected here"))),
    }
}

/// Orders a JSON value against a literal of its own kind; `None` when they cannot be compared.
///
/// Text is compared by code point. A date literal against a date-time value stands for its midnight.
pub fn compare(value: &Value, literal: &Literal) -> Option<Ordering> {
    match (value, literal) {
        (Value::Null, Literal::Null) => Some(Ordering::Equal),
        (Value::String(text), Literal::Text(other)) => Some(text.as_str().cmp(other)),
        (Value::Bool(flag), Literal::Bool(other)) => Some(flag.cmp(other)),
        (Value::Number(number), Literal::Number(other)) => Some(decimal(number.as_str())?.cmp(other)),
        (Value::String(text), Literal::Guid(other)) => Some(Uuid::from_str(text).ok()?.cmp(other)),
        (Value::String(text), Literal::Date(other)) => match NaiveDate::from_str(text) {
            Ok(date) => Some(date.cmp(other)),
            Err(_) => Some(instant(text)?.cmp(&other.and_time(NaiveTime::MIN).and_utc())),
        },
        (Value::String(text), Literal::DateTime(other)) => match instant(text) {
            Some(value) => Some(value.cmp(other)),
            None => Some(NaiveDate::from_str(text).ok()?.and_time(NaiveTime::MIN).and_utc().cmp(other)),
        },
        _ => None,
    }
}

/// Reads a decimal from a JSON number's text, with or without an exponent.
pub fn decimal(text: &str) -> Option<Decimal> {
    Decimal::from_str(text).or_else(|_| Decimal::from_scientific(text)).ok()
}

/// Reads a date-time with an offset.
pub fn instant(text: &str) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc))
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Open,
    Close,
    ListOpen,
    ListClose,
    Comma,
    Equals,
    Word(String),
    Alias(String),
    Literal(Literal),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Open => f.write_str("("),
            Token::Close => f.write_str(")"),
            Token::ListOpen => f.write_str("["),
            Token::ListClose => f.write_str("]"),
            Token::Comma => f.write_str(","),
            Token::Equals => f.write_str("="),
            Token::Word(word) | Token::Alias(word) => f.write_str(word),
            Token::Literal(literal) => write!(f, "{literal:?}"),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<(Token, usize)>, SyntaxError> {
    let chars: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let start = at;
        let single = match chars[at] {
            c if c.is_whitespace() => {
                at += 1;
                continue;
            }
            '(' => Some(Token::Open),
            ')' => Some(Token::Close),
            '[' => Some(Token::ListOpen),
            ']' => Some(Token::ListClose),
            ',' => Some(Token::Comma),
            '=' => Some(Token::Equals),
            _ => None,
        };
        if let Some(token) = single {
            at += 1;
            out.push((token, start));
            continue;
        }
        let token = match chars[at] {
            '\'' => Token::Literal(Literal::Text(single_quoted(&chars, &mut at)?)),
            '"' => Token::Literal(Literal::Text(double_quoted(&chars, &mut at)?)),
            _ => {
                while at < chars.len() && !chars[at].is_whitespace() && !"()[],='\"".contains(chars[at]) {
                    at += 1;
                }
                word(chars[start..at].iter().collect(), start)?
            }
        };
        out.push((token, start));
    }
    Ok(out)
}

fn single_quoted(chars: &[char], at: &mut usize) -> Result<String, SyntaxError> {
    let start = *at;
    let mut text = String::new();
    *at += 1;
    while *at < chars.len() {
        match (chars[*at], chars.get(*at + 1)) {
            ('\'', Some('\'')) => {
                text.push('\'');
                *at += 2;
            }
            ('\'', _) => {
                *at += 1;
                return Ok(text);
            }
            (other, _) => {
                text.push(other);
                *at += 1;
            }
        }
    }
    Err(SyntaxError { message: "there is an unterminated string literal".into(), position: start })
}

/// Reads a JSON string, the form of the values in `PropertyValues=["…"]`.
fn double_quoted(chars: &[char], at: &mut usize) -> Result<String, SyntaxError> {
    let start = *at;
    *at += 1;
    while *at < chars.len() && chars[*at] != '"' {
        *at += if chars[*at] == '\\' { 2 } else { 1 };
    }
    *at += 1;
    let quoted: String = chars.get(start..*at).unwrap_or_default().iter().collect();
    serde_json::from_str(&quoted)
        .map_err(|_| SyntaxError { message: "there is an unterminated string literal".into(), position: start })
}

/// Tells a bare word from a bare literal: GUIDs, dates and numbers begin like names do.
fn word(text: String, position: usize) -> Result<Token, SyntaxError> {
    if text.starts_with('@') {
        return Ok(Token::Alias(text));
    }
    let literal = match text.as_str() {
        "true" => Some(Literal::Bool(true)),
        "false" => Some(Literal::Bool(false)),
        "null" => Some(Literal::Null),
        // The simple 36-character form only: Uuid also reads forms that no service accepts.
        other if other.len() == 36 && Uuid::from_str(other).is_ok() => Uuid::from_str(other).ok().map(Literal::Guid),
        other => NaiveDate::from_str(other)
            .ok()
            .filter(|_| other.len() == 10)
            .map(Literal::Date)
            .or_else(|| instant(other).map(Literal::DateTime))
            .or_else(|| decimal(other).map(Literal::Number)),
    };
    match literal {
        Some(literal) => Ok(Token::Literal(literal)),
        None if text.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_') => Ok(Token::Word(text)),
        None => Err(SyntaxError { message: format!("'{text}' is neither a name nor a literal"), position }),
    }
}

struct Parser<'a> {
    tokens: Vec<(Token, usize)>,
    at: usize,
    end: usize,
    options: &'a [(String, String)],
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += 1;
        token
    }

    fn error(&self, message: impl Into<String>) -> SyntaxError {
        let position = self.tokens.get(self.at).map_or(self.end, |(_, position)| *position);
        SyntaxError { message: message.into(), position }
    }

    fn expect(&mut self, token: Token) -> Result<(), SyntaxError> {
        if self.peek() == Some(&token) {
            self.at += 1;
            return Ok(());
        }
        Err(self.error(format!("'{token}' was expected here")))
    }

    fn keyword(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(next)) if next == word);
        self.at += usize::from(found);
        found
    }

    fn either(&mut self) -> Result<Filter, SyntaxError> {
        let mut left = self.both()?;
        while self.keyword("or") {
            left = Filter::Or(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Filter, SyntaxError> {
        let mut left = self.one()?;
        while self.keyword("and") {
            left = Filter::And(Box::new(left), Box::new(self.one()?));
        }
        Ok(left)
    }

    fn one(&mut self) -> Result<Filter, SyntaxError> {
        if self.keyword("not") {
            return Ok(Filter::Not(Box::new(self.one()?)));
        }
        if self.peek() == Some(&Token::Open) {
            self.at += 1;
            let inner = self.either()?;
            self.expect(Token::Close)?;
            return Ok(inner);
        }
        if let Some(function) = self.function()? {
            return Ok(function);
        }
        if let Some(lambda) = self.lambda()? {
            return Ok(lambda);
        }
        let left = self.operand()?;
        let op = match self.next() {
            Some(Token::Word(word)) => word,
            _ => String::new(),
        };
        let op = match op.as_str() {
            "eq" => Op::Eq,
            "ne" => Op::Ne,
            "gt" => Op::Gt,
            "ge" => Op::Ge,
            "lt" => Op::Lt,
            "le" => Op::Le,
            "in" => return Ok(Filter::In { item: left, list: self.list(Token::Open, Token::Close)? }),
            _ => {
                self.at -= 1;
                return match left {
                    Operand::Call { name, args } => Ok(Filter::Call { name, args }),
                    // A bare boolean property is a condition too.
                    Operand::Path(_) if matches!(self.peek(), None | Some(Token::Close) | Some(Token::Word(_))) => {
                        Ok(Filter::Compare { left, op: Op::Eq, right: Operand::Literal(Literal::Bool(true)) })
                    }
                    _ => Err(self.error("an operator was expected here")),
                };
            }
        };
        let right = self.operand()?;
        Ok(Filter::Compare { left, op, right })
    }

    /// Reads `Namespace.Name(Parameter=value,…)`; anything else is left untouched.
    fn function(&mut self) -> Result<Option<Filter>, SyntaxError> {
        let (Some((Token::Word(name), _)), Some((Token::Open, _))) =
            (self.tokens.get(self.at), self.tokens.get(self.at + 1))
        else {
            return Ok(None);
        };
        if !name.contains('.') {
            return Ok(None);
        }
        let name = name.clone();
        self.at += 2;
        let mut args = Vec::new();
        while self.peek() != Some(&Token::Close) {
            if !args.is_empty() {
                self.expect(Token::Comma)?;
            }
            let Some(Token::Word(parameter)) = self.next() else {
                self.at -= 1;
                return Err(self.error("a parameter's name was expected here"));
            };
            self.expect(Token::Equals)?;
            args.push((parameter, self.argument()?));
        }
        self.expect(Token::Close)?;
        Ok(Some(Filter::Function { name, args }))
    }

    /// Steps over `collection/any(x:…)`; anything else is left untouched.
    fn lambda(&mut self) -> Result<Option<Filter>, SyntaxError> {
        let Some(Token::Word(word)) = self.peek() else { return Ok(None) };
        let Some((path, name @ ("any" | "all"))) = word.rsplit_once('/') else { return Ok(None) };
        let lambda = Filter::Call { name: name.into(), args: vec![Operand::Path(path.into())] };
        self.at += 1;
        self.expect(Token::Open)?;
        let mut depth = 1;
        while depth > 0 {
            match self.next() {
                Some(Token::Open) => depth += 1,
                Some(Token::Close) => depth -= 1,
                Some(_) => {}
                None => return Err(self.error("')' was expected here")),
            }
        }
        Ok(Some(lambda))
    }

    fn argument(&mut self) -> Result<Argument, SyntaxError> {
        match self.peek().cloned() {
            Some(Token::Alias(alias)) => {
                let Some(text) = option(self.options, &alias) else {
                    return Err(self.error(format!("the parameter alias '{alias}' has no value")));
                };
                // An alias's own text may not hold aliases again.
                let inner = tokens(text)?;
                let mut parser = Parser { tokens: inner, at: 0, end: text.chars().count(), options: &[] };
                let argument = parser.argument()?;
                if parser.peek().is_some() {
                    return Err(parser.error(format!("the parameter alias '{alias}' has more than one value")));
                }
                self.at += 1;
                Ok(argument)
            }
            Some(Token::ListOpen) => Ok(Argument::List(self.list(Token::ListOpen, Token::ListClose)?)),
            Some(Token::Literal(literal)) => {
                self.at += 1;
                Ok(Argument::One(literal))
            }
            _ => Err(self.error("a value was expected here")),
        }
    }

    fn list(&mut self, open: Token, close: Token) -> Result<Vec<Literal>, SyntaxError> {
        self.expect(open)?;
        let mut list = Vec::new();
        while self.peek() != Some(&close) {
            if !list.is_empty() {
                self.expect(Token::Comma)?;
            }
            match self.next() {
                Some(Token::Literal(literal)) => list.push(literal),
                _ => {
                    self.at -= 1;
                    return Err(self.error("a literal was expected here"));
                }
            }
        }
        self.expect(close)?;
        Ok(list)
    }

    fn operand(&mut self) -> Result<Operand, SyntaxError> {
        match self.next() {
            Some(Token::Literal(literal)) => Ok(Operand::Literal(literal)),
            Some(Token::Alias(alias)) => {
                self.at -= 1;
                match self.argument()? {
                    Argument::One(literal) => Ok(Operand::Literal(literal)),
                    Argument::List(_) => Err(self.error(format!("the parameter alias '{alias}' is a list"))),
                }
            }
            Some(Token::Word(name)) if self.peek() == Some(&Token::Open) => {
                self.at += 1;
                let mut args = Vec::new();
                while self.peek() != Some(&Token::Close) {
                    if !args.is_empty() {
                        self.expect(Token::Comma)?;
                    }
                    args.push(self.operand()?);
                }
                self.expect(Token::Close)?;
                Ok(Operand::Call { name, args })
            }
            Some(Token::Word(name)) => Ok(Operand::Path(name)),
            _ => {
                self.at -= 1;
                Err(self.error("a name or a literal was expected here"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> Operand {
        Operand::Path(name.into())
    }

    fn text(value: &str) -> Literal {
        Literal::Text(value.into())
    }

    fn compared(left: Operand, op: Op, right: Literal) -> Filter {
        Filter::Compare { left, op, right: Operand::Literal(right) }
    }

    fn check(input: &str, expected: Filter) {
        assert_eq!(parse(input, &[]), Ok(expected), "{input}");
    }

    #[test]
    fn literals_are_told_apart() {
        let id = "e1000000-0000-4000-8000-000000000001";
        let cases = [
            ("'O''Brien'", text("O'Brien")),
            ("''", text("")),
            ("12.50", Literal::Number(Decimal::new(1250, 2))),
            ("-3", Literal::Number(Decimal::from(-3))),
            ("true", Literal::Bool(true)),
            ("null", Literal::Null),
            (id, Literal::Guid(Uuid::from_str(id).unwrap())),
            ("2026-01-31", Literal::Date(NaiveDate::from_ymd_opt(2026, 1, 31).unwrap())),
            ("2026-01-31T21:55:00.000Z", Literal::DateTime(instant("2026-01-31T21:55:00Z").unwrap())),
        ];
        for (wire, literal) in cases {
            check(&format!("field eq {wire}"), compared(path("field"), Op::Eq, literal));
        }
    }

    #[test]
    fn and_binds_closer_than_or_and_not_closest() {
        let field = |name: &str| Box::new(compared(path(name), Op::Gt, Literal::Number(Decimal::ONE)));
        check(
            "a gt 1 or not b gt 1 and c gt 1",
            Filter::Or(field("a"), Box::new(Filter::And(Box::new(Filter::Not(field("b"))), field("c")))),
        );
        check("(a gt 1 or b gt 1) and c gt 1", Filter::And(Box::new(Filter::Or(field("a"), field("b"))), field("c")));
    }

    #[test]
    fn functions_nest_and_stand_alone() {
        check(
            "contains(tolower(name),'berg')",
            Filter::Call {
                name: "contains".into(),
                args: vec![
                    Operand::Call { name: "tolower".into(), args: vec![path("name")] },
                    Operand::Literal(text("berg")),
                ],
            },
        );
        check("lines/any(l:l/amount gt 5)", Filter::Call { name: "any".into(), args: vec![path("lines")] });
        check("number in ('A', 'B')", Filter::In { item: path("number"), list: vec![text("A"), text("B")] });
    }

    #[test]
    fn aliases_are_replaced_by_the_query() {
        let wire = "/accounts?$filter=Microsoft.Dynamics.CRM.In(PropertyName=@p1,PropertyValues=@p2)&@p1='accountid'&\
                    @p2=[%22a%22,%22b%5C%22c%22]";
        let (found, options) = query(wire);
        assert_eq!(found, "/accounts");
        let parsed = parse(option(&options, "$filter").unwrap(), &options);
        let expected = Filter::Function {
            name: "Microsoft.Dynamics.CRM.In".into(),
            args: vec![
                ("PropertyName".into(), Argument::One(text("accountid"))),
                ("PropertyValues".into(), Argument::List(vec![text("a"), text("b\"c")])),
            ],
        };
        assert_eq!(parsed, Ok(expected.clone()));
        check("Microsoft.Dynamics.CRM.In(PropertyName='accountid',PropertyValues=['a','b\"c'])", expected);
    }

    #[test]
    fn broken_text_is_refused_with_its_place() {
        let cases = [
            ("name eq 'x", 8),
            ("name eq", 7),
            ("(name eq 'x'", 12),
            ("name eq 'x' name", 12),
            ("name like 'x'", 5),
            ("a in ('x'", 9),
            ("Ns.F(P=@p9)", 7),
            ("#", 0),
        ];
        for (input, position) in cases {
            let error = parse(input, &[]).expect_err(input);
            assert_eq!(error.position, position, "{input}: {error}");
        }
    }

    #[test]
    fn values_compare_by_kind() {
        let cases = [
            (serde_json::json!("B"), text("a"), Some(Ordering::Less)),
            (serde_json::from_str("10.00").unwrap(), Literal::Number(Decimal::TEN), Some(Ordering::Equal)),
            (serde_json::json!("2026-01-31T10:00:00Z"), Literal::Date(NaiveDate::MIN), Some(Ordering::Greater)),
            (Value::Null, text(""), None),
            (serde_json::json!("10"), Literal::Number(Decimal::TEN), None),
        ];
        for (value, literal, expected) in cases {
            assert_eq!(compare(&value, &literal), expected, "{value} {literal:?}");
        }
    }

    #[test]
    fn encoding_comes_back() {
        let wire = encode("a+b & 'ø'/%41");
        assert_eq!(wire, "a%2Bb%20%26%20%27%C3%B8%27%2F%2541");
        assert_eq!(decode(&wire, true), "a+b & 'ø'/%41");
        assert_eq!(decode("a+b%zz%4", true), "a b%zz%4");
        assert_eq!(decode("a+b", false), "a+b");
    }
}
