//! Lists of pairs as comma-separated text (RFC 4180): text in, fields with their line numbers out, and back.

/// A line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it begins, from 1.
    pub number: usize,
    pub fields: Vec<String>,
}

/// Reads all lines but the blank ones; `Err` names the line of a quote that never ends.
pub fn read(text: &str) -> Result<Vec<Line>, usize> {
    let mut lines = Vec::new();
    let (mut number, mut begin) = (1, 1);
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.trim().is_empty() => {
                field.clear();
                quoted = true;
            }
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            '\n' => {
                number += 1;
                if quoted {
                    field.push('\n');
                } else {
                    end(&mut lines, begin, &mut fields, &mut field);
                    begin = number;
                }
            }
            '\r' if !quoted => {}
            letter => field.push(letter),
        }
    }
    if quoted {
        return Err(begin);
    }
    end(&mut lines, begin, &mut fields, &mut field);
    Ok(lines)
}

fn end(lines: &mut Vec<Line>, number: usize, fields: &mut Vec<String>, field: &mut String) {
    fields.push(std::mem::take(field));
    let fields: Vec<String> = std::mem::take(fields).into_iter().map(|field| field.trim().to_owned()).collect();
    if fields.iter().any(|field| !field.is_empty()) {
        lines.push(Line { number, fields });
    }
}

/// Writes one line, with its end.
pub fn write(fields: &[&str]) -> String {
    let quoted = |field: &&str| match field.contains([',', '"', '\n', '\r']) || field.trim() != *field {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => (*field).to_owned(),
    };
    fields.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_with_their_numbers() {
        let line =
            |number: usize, fields: &[&str]| Line { number, fields: fields.iter().map(|f| (*f).into()).collect() };
        for (text, expected) in [
            ("erp,crm\r\n1, 2\r\n", Ok(vec![line(1, &["erp", "crm"]), line(2, &["1", "2"])])),
            ("\u{feff}erp,crm\n\n,\n1,2", Ok(vec![line(1, &["erp", "crm"]), line(4, &["1", "2"])])),
            ("\"a, \"\"b\"\"\nc\",2\n3,4", Ok(vec![line(1, &["a, \"b\"\nc", "2"]), line(3, &["3", "4"])])),
            ("a\n\"b", Err(2)),
            ("", Ok(vec![])),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for fields in [["a", "b"], ["a,b", "say \"x\""], ["two\nlines", ""]] {
            assert_eq!(read(&write(&fields)).unwrap()[0].fields, fields);
        }
    }
}
