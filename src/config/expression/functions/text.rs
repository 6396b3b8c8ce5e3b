//! Functions of one text: title case, what stands before and after a mark, regular expressions.
//!
//! In goes a text, out comes a text; what is not found gives the empty text. Regular expressions are those of the crate
//! `regex`: no look-around and no back-references inside of a pattern, and time that is linear in the text.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

/// A function of one text.
pub(super) type OfText = Box<dyn Fn(&str) -> String + Send + Sync>;

/// Makes the first letter of each word upper case and all others lower case; an apostrophe does not end a word.
pub(super) fn initcap(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for character in text.chars() {
        if inside {
            out.extend(character.to_lowercase());
        } else {
            out.extend(character.to_uppercase());
        }
        inside = character.is_alphanumeric() || (inside && matches!(character, '\'' | '’'));
    }
    out
}

/// Returns what stands behind the first `mark`.
pub(super) fn after<'a>(text: &'a str, mark: &str) -> &'a str {
    text.split_once(mark).map_or("", |(_, after)| after)
}

/// Returns what stands in front of the first `mark`.
pub(super) fn before<'a>(text: &'a str, mark: &str) -> &'a str {
    text.split_once(mark).map_or("", |(before, _)| before)
}

/// Replaces every match of a pattern; `$1`, `${name}` and `$&` in `by` are groups and the whole match, `$$` a dollar.
pub(super) fn replace(pattern: &str, by: &str, flags: &str) -> Result<OfText, String> {
    let regex = compile(pattern, flags)?;
    let by = replacement(by, &regex)?;
    Ok(Box::new(move |text| regex.replace_all(text, by.as_str()).into_owned()))
}

/// Joins the groups of all matches of a pattern; a pattern without groups is one group itself.
pub(super) fn matched(pattern: &str, flags: &str) -> Result<OfText, String> {
    let regex = compile(pattern, flags)?;
    let first = usize::from(regex.captures_len() > 1);
    Ok(Box::new(move |text| {
        let mut out = String::new();
        for captures in regex.captures_iter(text) {
            out.extend(captures.iter().skip(first).flatten().map(|group| group.as_str()));
        }
        out
    }))
}

fn compile(pattern: &str, flags: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(pattern);
    for flag in flags.chars() {
        match flag {
            'i' => builder.case_insensitive(true),
            'm' => builder.multi_line(true),
            's' => builder.dot_matches_new_line(true),
            other => return Err(format!("the flags are `i`, `m` and `s`, not `{other}`")),
        };
    }
    builder.build().map_err(|error| {
        let told = error.to_string();
        // The first lines draw the pattern; the last one says what is wrong.
        let last = told.lines().last().unwrap_or(&told).trim_start_matches("error: ").to_owned();
        format!("`{pattern}` is no regular expression: {last}")
    })
}

/// Writes a replacement as the crate reads it: there `$1x` is a group of the name `1x`.
fn replacement(by: &str, regex: &Regex) -> Result<String, String> {
    let mut out = String::with_capacity(by.len() + 8);
    let mut rest = by;
    while let Some((before, behind)) = rest.split_once('$') {
        out.push_str(before);
        let digits = behind.len() - behind.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if let Some(behind) = behind.strip_prefix('$') {
            out.push_str("$$");
            rest = behind;
            continue;
        }
        let (name, length): (Cow<'_, str>, usize) = if behind.starts_with('&') {
            ("0".into(), 1)
        } else if digits > 0 {
            (behind[..digits].into(), digits)
        } else if let Some((name, _)) = behind.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            (name.into(), name.len() + 2)
        } else {
            out.push_str("$$");
            rest = behind;
            continue;
        };
        let known = match name.parse::<usize>() {
            Ok(number) => number < regex.captures_len(),
            Err(_) => regex.capture_names().flatten().any(|known| known == name),
        };
        if !known {
            return Err(format!("the pattern has no group `{name}`"));
        }
        out.push_str(&format!("${{{name}}}"));
        rest = &behind[length..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_with_capitals() {
        for (text, expected) in [
            ("HANS MEIER", "Hans Meier"),
            ("anna-maria von østby", "Anna-Maria Von Østby"),
            ("o'brien's 2nd shop", "O'brien's 2nd Shop"),
            ("", ""),
            ("'tis", "'Tis"),
        ] {
            assert_eq!(initcap(text), expected);
        }
    }

    #[test]
    fn replacements_name_groups() {
        let check = |pattern: &str, by: &str, expected: Result<&str, &str>| {
            let told = replace(pattern, by, "i").map(|replace| replace("Ab12 ab34"));
            assert_eq!(told.as_deref().map_err(String::as_str), expected, "{pattern} by {by}");
        };
        check("ab", "x", Ok("x12 x34"));
        check(r"(a)b(\d)", "$2x$1", Ok("1xA2 3xa4"));
        check(r"(?<n>\d+)", "<${n}>", Ok("Ab<12> ab<34>"));
        check(r"\d+", "$&$&", Ok("Ab1212 ab3434"));
        check("ab", "$$ $", Ok("$ $12 $ $34"));
        check("ab", "$1", Err("the pattern has no group `1`"));
        check("ab", "${n}", Err("the pattern has no group `n`"));
        check("a(b", "", Err("`a(b` is no regular expression: unclosed group"));
    }

    #[test]
    fn matches_give_their_groups() {
        let check = |pattern: &str, flags: &str, expected: &str| {
            assert_eq!(matched(pattern, flags).unwrap()("No. A-17, no. B-9"), expected, "{pattern} {flags}");
        };
        check(r"\d+", "", "179");
        check(r"no\. (\w)-(\d+)", "i", "A17B9");
        check(r"no\. (\w)-(\d+)", "", "B9");
        check("x", "", "");
        assert_eq!(matched("x", "y").err().as_deref(), Some("the flags are `i`, `m` and `s`, not `y`"));
    }
}
