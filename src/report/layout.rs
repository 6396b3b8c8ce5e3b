//! Plain text for a terminal or a log: aligned columns, numbers with separators, quoted values, plurals.
//!
//! No colour and no width of a terminal: the same bytes everywhere.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::frame::{Value, brief};

/// Lays rows out in columns two blanks apart; the first `left` columns are flush left, all others flush right.
///
/// Returns one line for each row, without blanks at its end.
pub fn columns(rows: &[Vec<String>], left: usize) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    rows.iter()
        .map(|row| {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let gap = " ".repeat(widths[column] - cell.chars().count());
                if column > 0 {
                    line.push_str("  ");
                }
                if column < left {
                    line.push_str(cell);
                    line.push_str(&gap);
                } else {
                    line.push_str(&gap);
                    line.push_str(cell);
                }
            }
            line.truncate(line.trim_end().len());
            line
        })
        .collect()
}

/// Returns a number with a comma before each three digits.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns `1 record`, `2 records`, `1,000 records`.
pub fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Joins phrases as a sentence does: `a`, `a and b`, `a, b and c`.
pub fn list(phrases: &[String]) -> String {
    match phrases {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Returns the first `lines_max` lines, and how many more there are.
pub fn cut(lines: impl ExactSizeIterator<Item = String>, lines_max: usize) -> Vec<String> {
    let more = lines.len().saturating_sub(lines_max);
    let mut shown: Vec<String> = lines.take(lines_max).collect();
    if more > 0 {
        shown.push(format!("  and {} more", count(more as u64)));
    }
    shown
}

/// Returns a value as a report shows it: text in quotes, `blank` for what is empty, anything else as it is.
pub fn shown(value: &Value) -> String {
    match value {
        value if value.is_blank() => "blank".to_owned(),
        Value::Text(text) => quoted(text),
        other => other.to_string(),
    }
}

/// Returns a value as [`shown`] does; a record that it points to by what people call it, where that is known.
pub fn named(names: &BTreeMap<Uuid, String>, value: &Value) -> String {
    match value {
        Value::Guid(id) | Value::Link { id, .. } => names.get(id).cloned().unwrap_or_else(|| shown(value)),
        _ => shown(value),
    }
}

/// Returns a value that is known as people read it: as a text, or the name of the record that it leads to.
pub fn called(names: &BTreeMap<Uuid, String>, text: &str) -> String {
    match Uuid::try_parse(text).ok().and_then(|id| names.get(&id)) {
        Some(name) => name.clone(),
        None if text.is_empty() => "blank".to_owned(),
        None => format!("`{}`", brief(text)),
    }
}

/// Returns a text in quotes, on one line whatever it holds, and shortened; `blank` for an empty one.
pub fn quoted(text: &str) -> String {
    if text.is_empty() { "blank".to_owned() } else { format!("{:?}", brief(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        for (number, expected) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (123_456, "123,456"), (1_000_000, "1,000,000")]
        {
            assert_eq!(count(number), expected);
        }
    }

    #[test]
    fn columns_align_and_lines_end_with_their_text() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let rows = [row(&["table", "read", "note"]), row(&["kürzel", "12", ""]), row(&["a"])];
        assert_eq!(columns(&rows, 1), ["table   read  note", "kürzel    12", "a"]);
    }

    #[test]
    fn phrases_are_joined_as_in_a_sentence() {
        for (phrases, expected) in [(vec![], ""), (vec!["a"], "a"), (vec!["a", "b", "c"], "a, b and c")] {
            let phrases: Vec<String> = phrases.into_iter().map(str::to_owned).collect();
            assert_eq!(list(&phrases), expected);
        }
    }

    #[test]
    fn values_are_shown_on_one_line() {
        let long = "ø".repeat(1_000);
        let cut = format!("{}… (800 more characters)", "ø".repeat(200));
        assert_eq!(quoted(&long), format!("\"{cut}\""));
        assert_eq!(called(&BTreeMap::new(), &long), format!("`{cut}`"));
        assert_eq!(quoted(&long[..400]), format!("\"{}\"", &long[..400]));
        for (value, expected) in [
            (Value::Null, "blank"),
            (Value::Text(String::new()), "blank"),
            (Value::Text("Ida\nSørli \"x\"".into()), r#""Ida\nSørli \"x\"""#),
            (Value::Integer(3), "3"),
            (Value::Boolean(false), "false"),
        ] {
            assert_eq!(shown(&value), expected);
        }
    }
}
