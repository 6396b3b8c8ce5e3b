//! Variables of the environment in the file: `${NAME}` and `${NAME:-default}` in any scalar.
//!
//! Filled in after the YAML was parsed, so that a value can never change the file's shape, and once, so that a value
//! is never read as a variable. An empty variable counts as missing. Messages bear names, never values.

use crate::config::complaint::{Complaints, Path, Severity};
use crate::config::tree::{Node, Variables};

/// What stands for a missing variable while a file is only checked; as good as any word where a text is asked for.
pub const PLACEHOLDER: &str = "missing-variable";

/// Fills in the variables of a tree; what is missing is complained about with `severity`.
pub fn fill(tree: &mut Node, env: &dyn Fn(&str) -> Option<String>, severity: Severity, complaints: &mut Complaints) {
    tree.scalars_mut(&Path::root(), &mut |path, place, scalar| {
        if !scalar.written.contains("${") {
            return;
        }
        let filled = substitute(&scalar.written, env);
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

#[derive(Debug, Default, PartialEq)]
struct Filled {
    text: String,
    missing: Vec<String>,
    malformed: Vec<String>,
}

fn substitute(written: &str, env: &dyn Fn(&str) -> Option<String>) -> Filled {
    let mut filled = Filled::default();
    let mut rest = written;
    while let Some(start) = rest.find("${") {
        filled.text.push_str(&rest[..start]);
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
                Some(value) => filled.text.push_str(&value),
                None => {
                    filled.text.push_str(PLACEHOLDER);
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
            assert_eq!(substitute(written, &env), expected, "{written}");
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
}
