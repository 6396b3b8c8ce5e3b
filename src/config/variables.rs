//! Variables of the environment in the file: `${NAME}` and `${NAME:-default}` in any scalar.
//!
//! Filled in after the YAML was parsed, so that a value can never change the file's shape, and once, so that a value
//! is never read as a variable. Nor does it change the shape of SQL: there it is a value too, a part of the text in whose
//! quotes it stands, or a text, a number, `true` or `false` of its own. An empty variable counts as missing. Messages bear
//! names, never values.

use crate::config::complaint::{Complaints, Path, Severity, Step};
use crate::config::tree::{Node, Variables};

/// What stands for a missing variable while a file is only checked; as good as any word where a text is asked for.
const PLACEHOLDER: &str = "missing-variable";

/// Fills in the variables of a tree; what is missing is complained about with `severity`.
pub fn fill(tree: &mut Node, env: &dyn Fn(&str) -> Option<String>, severity: Severity, complaints: &mut Complaints) {
    tree.scalars_mut(&Path::root(), &mut |path, place, scalar| {
        if !scalar.written.contains("${") {
            return;
        }
        let filled = substitute(&scalar.written, env, is_sql(path));
        scalar.text = filled.text;
        scalar.variables = if filled.missing.is_empty() { Variables::Filled } else { Variables::Missing };
        for name in filled.missing {
            let message = format!("the environment has no variable `{name}`");
            let hint = format!("set it, or give a default: `${{{name}:-…}}`");
            complaints.add(severity, place, path, message, Some(hint));
        }
        for part in filled.malformed {
            scalar.variables = Variables::Missing;
            let message = format!("`{part}` is no variable");
            let hint = "write `${NAME}` or `${NAME:-default}`".to_owned();
            complaints.add(Severity::Error, place, path, message, Some(hint));
        }
    });
}

/// Tells whether anything of what a scalar comes to stands in the file: outside of its variables, or as a default.
pub fn holds_text(written: &str) -> bool {
    !substitute(written, &|_| None, false).text.replace(PLACEHOLDER, "").is_empty()
}

#[derive(Debug, Default, PartialEq)]
struct Filled {
    text: String,
    missing: Vec<String>,
    malformed: Vec<String>,
}

/// Tells whether a scalar of the file is SQL.
fn is_sql(path: &Path) -> bool {
    let words: Vec<&str> = path.steps().iter().map(|step| if let Step::Key(key) = step { key } else { "" }).collect();
    match words.as_slice() {
        ["tables", _, rest @ ..] | ["defaults", rest @ ..] => matches!(
            rest,
            ["erp" | "crm", "filter"]
                | ["fields", "", "to_crm" | "to_erp"]
                | ["on_create", "", "if"]
                | ["on_create", "", "set", _]
        ),
        _ => false,
    }
}

/// Where in an SQL text a reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Open,
    /// Between quotes of this kind.
    Quotes(char),
    /// Behind `--`.
    Line,
    /// Behind `/*`.
    Block,
}

impl Within {
    /// Reads on.
    fn past(mut self, sql: &str) -> Within {
        let mut letters = sql.chars().peekable();
        while let Some(letter) = letters.next() {
            let next = letters.peek().copied();
            self = match (self, letter, next) {
                (Within::Open, '\'' | '"', _) => Within::Quotes(letter),
                (Within::Open, '-', Some('-')) => Within::Line,
                (Within::Open, '/', Some('*')) => Within::Block,
                // A doubled quote ends the quotes and begins them again, which comes to the same.
                (Within::Quotes(quote), letter, _) if letter == quote => Within::Open,
                (Within::Line, '\n', _) => Within::Open,
                (Within::Block, '*', Some('/')) => {
                    letters.next();
                    Within::Open
                }
                (within, ..) => within,
            };
        }
        self
    }

    /// Writes a value so that it stays one here.
    fn write(self, value: &str) -> String {
        let is_number = |text: &str| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            digits.starts_with(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok()
        };
        match self {
            Within::Quotes(quote) => value.replace(quote, &format!("{quote}{quote}")),
            // A comment says nothing.
            Within::Line | Within::Block => String::new(),
            Within::Open if is_number(value) || ["true", "false"].contains(&value) => value.to_owned(),
            Within::Open => format!("'{}'", value.replace('\'', "''")),
        }
    }
}

fn substitute(written: &str, env: &dyn Fn(&str) -> Option<String>, is_sql: bool) -> Filled {
    let mut filled = Filled::default();
    let mut rest = written;
    let mut within = Within::Open;
    while let Some(start) = rest.find("${") {
        filled.text.push_str(&rest[..start]);
        within = within.past(&rest[..start]);
        let put = |value: &str| if is_sql { within.write(value) } else { value.to_owned() };
        let Some(end) = rest[start..].find('}').map(|length| start + length) else {
            filled.malformed.push(rest[start..].to_owned());
            return filled;
        };
        let inner = &rest[start + 2..end];
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        if !is_name(name) {
            filled.malformed.push(rest[start..=end].to_owned());
        } else {
            let value = env(name).filter(|value| !value.is_empty());
            match value.or_else(|| default.map(str::to_owned)) {
                Some(value) => filled.text.push_str(&put(&value)),
                None => {
                    filled.text.push_str(&put(PLACEHOLDER));
                    if !filled.missing.iter().any(|known| known == name) {
                        filled.missing.push(name.to_owned());
                    }
                }
            }
        }
        rest = &rest[end + 1..];
    }
    filled.text.push_str(rest);
    filled
}

fn is_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in_once() {
        let env = |name: &str| match name {
            "URL" => Some("https://erp.example".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${URL}".to_owned()),
            _ => None,
        };
        let check = |written: &str, text: &str, missing: &[&str], malformed: &[&str]| {
            let strings = |list: &[&str]| list.iter().map(|s| s.to_string()).collect();
            let expected = Filled { text: text.into(), missing: strings(missing), malformed: strings(malformed) };
            assert_eq!(substitute(written, &env, false), expected, "{written}");
        };
        check("${URL}", "https://erp.example", &[], &[]);
        check("${URL}/.default", "https://erp.example/.default", &[], &[]);
        check("a ${URL:-b} c", "a https://erp.example c", &[], &[]);
        check("${NONE:-sqlite:state/full.db}", "sqlite:state/full.db", &[], &[]);
        check("${NONE:-a:-b}", "a:-b", &[], &[]);
        check("${EMPTY:-full}", "full", &[], &[]);
        check("${NONE:-}", "", &[], &[]);
        check("${NESTED}", "${URL}", &[], &[]);
        check(
            "${NONE} ${NONE} ${EMPTY}",
            "missing-variable missing-variable missing-variable",
            &["NONE", "EMPTY"],
            &[],
        );
        check("5 $ and {x}", "5 $ and {x}", &[], &[]);
        check("${}", "", &[], &["${}"]);
        check("${1A} ${URL", " ", &[], &["${1A}", "${URL"]);
    }

    #[test]
    fn what_stands_in_the_file_is_told_from_what_a_variable_gives() {
        for (written, expected) in
            [("${A}", false), ("${A}${B}", false), ("${A:-}", false), ("", false), ("x", true), ("x${A}", true)]
        {
            assert_eq!(holds_text(written), expected, "{written}");
        }
        assert!(holds_text("${A:-x}"));
    }

    #[test]
    fn a_value_stays_a_value_within_sql() {
        let env = |name: &str| match name {
            "COMPANY" => Some("O'Neil & \"Söhne\"".to_owned()),
            "LIMIT" => Some("-12.50".to_owned()),
            "FLAG" => Some("true".to_owned()),
            "EVIL" => Some("' OR 1 = 1 --".to_owned()),
            "WORD" => Some("inf".to_owned()),
            _ => None,
        };
        for (written, expected) in [
            ("name = '${COMPANY}'", "name = 'O''Neil & \"Söhne\"'"),
            ("name = ${COMPANY}", "name = 'O''Neil & \"Söhne\"'"),
            (
                "n = 'A ' || '${COMPANY} ''x'' ${COMPANY}'",
                "n = 'A ' || 'O''Neil & \"Söhne\" ''x'' O''Neil & \"Söhne\"'",
            ),
            ("\"${COMPANY}\" = ''", "\"O'Neil & \"\"Söhne\"\"\" = ''"),
            ("a > ${LIMIT} AND b = ${FLAG} AND c = '${LIMIT}'", "a > -12.50 AND b = true AND c = '-12.50'"),
            ("a = '${EVIL}' OR b = ${EVIL}", "a = ''' OR 1 = 1 --' OR b = ''' OR 1 = 1 --'"),
            ("a = ${WORD}", "a = 'inf'"),
            ("a = '${NONE:-it's}'", "a = 'it''s'"),
            (
                "a /* don't ${EVIL} */ = ${EVIL} -- don't ${EVIL}\n OR b = ${LIMIT}",
                "a /* don't  */ = ''' OR 1 = 1 --' -- don't \n OR b = -12.50",
            ),
        ] {
            assert_eq!(substitute(written, &env, true).text, expected, "{written}");
        }
    }

    #[test]
    fn sql_is_known_by_its_key() {
        let path = |keys: &[&str]| {
            keys.iter().fold(Path::root(), |path, key| if key.is_empty() { path.index(0) } else { path.key(key) })
        };
        for (keys, expected) in [
            (&["tables", "a", "erp", "filter"][..], true),
            (&["tables", "a", "fields", "", "to_crm"], true),
            (&["tables", "a", "on_create", "", "if"], true),
            (&["tables", "a", "on_create", "", "set", "x"], true),
            (&["defaults", "on_create", "", "set", "x"], true),
            (&["tables", "a", "fields", "", "value"], false),
            (&["tables", "a", "erp", "table"], false),
            (&["connections", "erp", "filter"], false),
        ] {
            assert_eq!(is_sql(&path(keys)), expected, "{keys:?}");
        }
    }
}
