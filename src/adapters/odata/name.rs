//! The spelling of enum members in Business Central: `Non-Inventory` travels as `Non_x002D_Inventory`.
//!
//! The encoding is that of XML names (erp-api.md §8); a blank member is a single space there and the empty text here.

use std::borrow::Cow;

/// Returns the name as people know it.
pub fn decode(wire: &str) -> Cow<'_, str> {
    let decoded = if wire.contains("_x") { Cow::Owned(unescape(wire)) } else { Cow::Borrowed(wire) };
    if decoded.chars().all(|character| character == ' ') { Cow::Borrowed("") } else { decoded }
}

/// Returns the name as the wire wants it.
pub fn encode(name: &str) -> String {
    let name = if name.is_empty() { " " } else { name };
    let mut out = String::with_capacity(name.len() + 8);
    for (at, character) in name.char_indices() {
        let fits = character.is_alphabetic() || character == '_' || (at > 0 && character.is_numeric());
        if fits && escape_at(&name[at..]).is_none() {
            out.push(character);
        } else {
            out.push_str(&format!("_x{:04X}_", u32::from(character)));
        }
    }
    out
}

fn unescape(wire: &str) -> String {
    let mut out = String::with_capacity(wire.len());
    let mut rest = wire;
    while let Some(first) = rest.chars().next() {
        let (character, length) = escape_at(rest).unwrap_or((first, first.len_utf8()));
        out.push(character);
        rest = &rest[length..];
    }
    out
}

/// Returns the character that an escape at the start of the text stands for, and the escape's length.
fn escape_at(text: &str) -> Option<(char, usize)> {
    let hex = text.strip_prefix("_x")?.get(..4)?;
    if !text[6..].starts_with('_') || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some((char::from_u32(u32::from_str_radix(hex, 16).ok()?)?, 7))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_travel_there_and_back() {
        for (name, wire) in [
            ("", "_x0020_"),
            ("Inventory", "Inventory"),
            ("Non-Inventory", "Non_x002D_Inventory"),
            ("Credit Memo", "Credit_x0020_Memo"),
            ("1st", "_x0031_st"),
            ("A1", "A1"),
            ("_x0020_", "_x005F_x0020_"),
            ("Größe", "Größe"),
        ] {
            assert_eq!(encode(name), wire);
            assert_eq!(decode(wire), name);
        }
    }

    #[test]
    fn a_blank_has_several_spellings() {
        for wire in ["", " ", "_x0020_"] {
            assert_eq!(decode(wire), "", "{wire:?}");
        }
        assert_eq!(decode("_x00zz_"), "_x00zz_");
    }
}
