//! What a body of JSON may not do although a reader of JSON takes it: name a property twice.

use std::collections::HashSet;

/// Returns the first name that an object has twice, at any depth; the text has been read as JSON before.
pub fn named_twice(text: &[u8]) -> Option<String> {
    let mut open: Vec<HashSet<String>> = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'{' | b'[' => open.push(HashSet::new()),
            b'}' | b']' => drop(open.pop()),
            b'"' => {
                let end = end_of_string(text, at + 1);
                let follows = text[end..].iter().find(|byte| !byte.is_ascii_whitespace());
                if follows == Some(&b':') {
                    // The same name may be written in two ways.
                    let name: String = serde_json::from_slice(&text[at..end]).unwrap_or_default();
                    if !open.last_mut()?.insert(name.clone()) {
                        return Some(name);
                    }
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Returns where a string ends, behind its quote.
fn end_of_string(text: &[u8], mut at: usize) -> usize {
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_once_in_each_object() {
        for (text, expected) in [
            (r#"{"a":1,"b":{"a":2},"c":[{"a":3},{"a":4}]}"#, None),
            (r#"{"a":"b","b":"a:","c":"\"a\":"}"#, None),
            (r#"{"a":["a","a"],"b":"a"}"#, None),
            (r#"{"a":1,"a":1}"#, Some("a")),
            (r#"{"a":1,"\u0061" : 1}"#, Some("a")),
            (r#"{"x":[{"b\\":1,"b\\":2}]}"#, Some("b\\")),
            ("[]", None),
        ] {
            assert_eq!(named_twice(text.as_bytes()).as_deref(), expected, "{text}");
        }
    }
}
