//! Rust text in, what a rule looks at out: code without comments and texts, and the paths that it names.
//!
//! No parser: `use` trees and paths are found by their tokens, which is enough as long as no macro builds them.

/// Returns the source with comments and the contents of texts and characters blanked out, lines kept.
pub fn code(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &source[at..];
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = raw_text(rest).filter(|_| !after_word(&out)) {
            length
        } else if rest.starts_with('"') {
            quoted(rest, b'"')
        } else if let Some(length) = character(rest) {
            length
        } else {
            let character = rest.chars().next().expect("there is a rest");
            out.push(character);
            at += character.len_utf8();
            continue;
        };
        out.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        at += length;
    }
    out
}

fn after_word(text: &str) -> bool {
    text.chars().next_back().is_some_and(is_word)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn quoted(rest: &str, quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest.as_bytes()[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Returns the length of `r"…"` or `br#"…"#` at the beginning.
fn raw_text(rest: &str) -> Option<usize> {
    let prefix = if rest.starts_with("br") { 2 } else { 1 };
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.bytes().take_while(|byte| *byte == b'#').count();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(prefix + hashes + 1 + length)
}

/// Returns the length of a character literal at the beginning; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    if inner.starts_with('\\') {
        return Some(quoted(rest, b'\''));
    }
    let first = inner.chars().next()?;
    inner[first.len_utf8()..].starts_with('\'').then(|| first.len_utf8() + 2)
}

/// Returns the number of the line, from 1, in which `at` stands.
pub fn line(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// A path as code names it, with the names of a `use` tree spelled out: `use a::{b, c::d}` gives `a::b` and `a::c::d`.
#[derive(Debug, PartialEq)]
pub struct CodePath {
    pub names: Vec<String>,
    pub line: usize,
}

#[derive(Debug, PartialEq)]
enum Token {
    Word(String),
    Colons,
    Open,
    Close,
    Comma,
    Other,
}

/// Returns every path of some code, single names included.
pub fn paths(code: &str) -> Vec<CodePath> {
    let tokens = tokens(code);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let starts = matches!(tokens[at].0, Token::Word(_)) && (at == 0 || tokens[at - 1].0 != Token::Colons);
        // After `{` or `,` a word may belong to a tree that is read already; such words only start a path of their own.
        at = if starts { tree(&tokens, at, &[], &mut found) } else { at + 1 };
    }
    found
}

/// Reads the tree that starts at a word; returns where it ends.
fn tree(tokens: &[(Token, usize)], mut at: usize, prefix: &[String], found: &mut Vec<CodePath>) -> usize {
    let mut names = prefix.to_vec();
    let line = tokens[at].1;
    while let Some((Token::Word(word), _)) = tokens.get(at) {
        names.push(word.clone());
        at += 1;
        if tokens.get(at).is_none_or(|(token, _)| *token != Token::Colons) {
            break;
        }
        at += 1;
        if tokens.get(at).is_some_and(|(token, _)| *token == Token::Open) {
            at += 1;
            while let Some((token, _)) = tokens.get(at) {
                match token {
                    Token::Close => return at + 1,
                    Token::Word(_) => at = tree(tokens, at, &names, found),
                    _ => at += 1,
                }
            }
            return at;
        }
    }
    found.push(CodePath { names, line });
    at
}

fn tokens(code: &str) -> Vec<(Token, usize)> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let mut length = first.len_utf8();
        if is_word(first) {
            length = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            // `new as old` inside a tree: both words are names, which does no harm.
            tokens.push((Token::Word(rest[..length].to_owned()), line));
        } else if rest.starts_with("::") {
            length = 2;
            tokens.push((Token::Colons, line));
        } else if !first.is_whitespace() {
            let token = match first {
                '{' => Token::Open,
                '}' => Token::Close,
                ',' => Token::Comma,
                _ => Token::Other,
            };
            tokens.push((token, line));
        }
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

#[test]
fn comments_and_texts_are_no_code() {
    for (source, expected) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("a \" b", c)"#, r"f(        , c)"),
        (r###"f(r#"a " b"#)"###, "f(          )"),
        ("let c = '\"'; d", "let c =    ; d"),
        (r"let c = '\''; d", "let c =     ; d"),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
        ("for r in x", "for r in x"),
        ("\"a\nb\"c", "  \n  c"),
    ] {
        assert_eq!(code(source), expected, "{source}");
    }
}

#[test]
fn use_trees_are_spelled_out() {
    let check = |code: &str, expected: &[&str]| {
        let found: Vec<String> = paths(code).into_iter().map(|path| path.names.join("::")).collect();
        assert_eq!(found, expected, "{code}");
    };
    check("use a::b;", &["use", "a::b"]);
    check("use a::{b, c::{d, self}, e as f};", &["use", "a::b", "a::c::d", "a::c::self", "a::e", "a::as", "a::f"]);
    check("a::b::<c::d>()", &["a::b", "c::d"]);
    check("use {a::b, c};", &["use", "a::b", "c"]);
    check("use a::*;", &["use", "a"]);
    assert_eq!(paths("a\n\nb::c")[1].line, 3);
}
