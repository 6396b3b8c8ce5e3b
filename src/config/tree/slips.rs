//! Slips of the pen that stop a YAML parser: the text, the parser's place and words in, the true place and a hint out.

use crate::config::complaint::Place;

/// Says what was probably meant, and where.
pub(super) fn explain(text: &str, place: Place, info: &str) -> (Place, String) {
    let line = |number: usize| text.lines().nth(number.saturating_sub(1)).unwrap_or_default();
    // The parser may stop at the end of the line before.
    for number in [place.line, place.line + 1] {
        let indent: &str = line(number).split(|letter: char| !letter.is_whitespace()).next().unwrap_or_default();
        if let Some(tab) = indent.find('\t') {
            return (Place { line: number, column: tab + 1 }, "indent with spaces, not with tabs".to_owned());
        }
    }
    if line(place.line).contains("${") && !info.contains("quoted scalar") {
        return (place, "between `{` and `}`, and before `: `, a text with `${…}` needs quotes".to_owned());
    }
    if info.contains("anchor") {
        return (place, "write the value where it is needed, or in `defaults`".to_owned());
    }
    // A text without end is told at its beginning.
    let until = Place { column: place.column + usize::from(info.contains("quoted scalar")), ..place };
    match open_until(text, until) {
        Some((quote @ ('"' | '\''), at)) => (
            place,
            format!("the text that begins at line {}, column {} has no `{quote}` at its end", at.line, at.column),
        ),
        Some((bracket, at)) => {
            let closing = if bracket == '[' { ']' } else { '}' };
            let hint = format!("the `{bracket}` at line {}, column {} has no `{closing}`", at.line, at.column);
            (place, hint)
        }
        None if info.contains("mapping values") => (place, "a text that holds `: ` needs quotes".to_owned()),
        None => (place, "look at the indentation of this line and of the one before".to_owned()),
    }
}

/// Returns the last bracket or quote that is open at a place, and where it stands.
fn open_until(text: &str, until: Place) -> Option<(char, Place)> {
    let mut open: Vec<(char, Place)> = Vec::new();
    for (number, line) in text.lines().enumerate().take(until.line) {
        let mut before = ' ';
        let mut letters = line.chars().enumerate().peekable();
        while let Some((column, letter)) = letters.next() {
            let place = Place { line: number + 1, column: column + 1 };
            if place.line == until.line && place.column >= until.column {
                break;
            }
            let begins = before.is_whitespace() || "[{,:".contains(before);
            match (open.last().map(|(letter, _)| *letter), letter) {
                (Some(quote @ ('"' | '\'')), letter) => {
                    if letter == '\\' && quote == '"' {
                        letters.next();
                    } else if letter == quote {
                        open.pop();
                    }
                }
                (_, '#') if before.is_whitespace() => break,
                (_, '"' | '\'') if begins => open.push((letter, place)),
                (_, '{' | '[') if begins => open.push((letter, place)),
                (Some('{'), '}') | (Some('['), ']') => {
                    open.pop();
                }
                _ => {}
            }
            before = letter;
        }
    }
    open.pop()
}

#[cfg(test)]
mod tests {
    use crate::config::complaint::Complaints;
    use crate::config::tree::parse;

    #[test]
    fn a_slip_is_told_where_it_is() {
        for (text, expected) in [
            ("a: 1\n\tb: 2\n", "2:1: indent with spaces, not with tabs"),
            ("a:\n  b: 1\n \tc: 2\n", "3:2: indent with spaces, not with tabs"),
            ("a:\n  b: [x, y\n  c: 1\n", "the `[` at line 2, column 6 has no `]`"),
            ("a: { b: 1\nc: 2\n", "the `{` at line 1, column 4 has no `}`"),
            ("a: { b: 'it''s', c: [1, 2] \nd: 2\n", "the `{` at line 1, column 4 has no `}`"),
            ("a: \"b\nc: 1\n", "the text that begins at line 1, column 4 has no `\"` at its end"),
            ("a: b: c\n", "1:5: a text that holds `: ` needs quotes"),
            ("a: { b: ${C} }\n", "between `{` and `}`, and before `: `, a text with `${…}` needs quotes"),
            ("a:\n    b: 1\n  c: 2\n", "look at the indentation of this line and of the one before"),
        ] {
            let mut complaints = Complaints::new("f");
            assert!(parse(text, &mut complaints).is_none(), "{text}");
            let told = complaints.sorted();
            let told = format!("{}:{}: {}", told[0].line, told[0].column, told[0].hint.as_deref().unwrap_or_default());
            assert!(told.ends_with(expected), "{text:?}: {told}");
        }
    }
}
