//! The base of one coupling as bytes: fingerprints, and beside them the values as people read them.
//!
//! Fingerprints are a chain of entries in the order of the field numbers: a variable-length number, twice the field's
//! number plus one where both sides are equal, then eight bytes little-endian, once or for each side (ERP first).
//! Values are a JSON object by field number, again once where both sides are equal. What a field is called, and what a
//! fingerprint is made of, is not known here.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::adapters::sqlite::trouble::Trouble;
use crate::config::PerSide;

/// Returns the bytes of a base; `entries` are in the order of their numbers.
pub(super) fn encode(entries: &[(u32, PerSide<u64>)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.len() * 9);
    for (number, prints) in entries {
        let equal = prints.erp == prints.crm;
        let mut head = u64::from(*number) << 1 | u64::from(equal);
        while head >= 0x80 {
            bytes.push((head & 0x7f) as u8 | 0x80);
            head >>= 7;
        }
        bytes.push(head as u8);
        bytes.extend_from_slice(&prints.erp.to_le_bytes());
        if !equal {
            bytes.extend_from_slice(&prints.crm.to_le_bytes());
        }
    }
    bytes
}

/// Walks through the entries of a base; after the first broken one it ends.
pub(super) struct Entries<'a>(&'a [u8]);

/// Returns the entries of a base.
pub(super) fn entries(bytes: &[u8]) -> Entries<'_> {
    Entries(bytes)
}

impl Entries<'_> {
    fn head(&mut self) -> Option<u64> {
        let mut head = 0;
        for shift in (0..=28).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            head |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(head);
            }
        }
        None
    }

    fn print(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    fn entry(&mut self) -> Option<(u32, PerSide<u64>)> {
        let head = self.head()?;
        let number = u32::try_from(head >> 1).ok()?;
        let erp = self.print()?;
        let crm = if head & 1 == 1 { erp } else { self.print()? };
        Some((number, PerSide { erp, crm }))
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<(u32, PerSide<u64>), Trouble>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let entry = self.entry();
        if entry.is_none() {
            self.0 = &[];
        }
        Some(entry.ok_or_else(|| Trouble::Broken("the base of a coupling breaks off".to_owned())))
    }
}

/// Returns the text of the values of one coupling.
pub(super) fn encode_values(values: &BTreeMap<u32, PerSide<String>>) -> String {
    let values: Map<String, Value> = values
        .iter()
        .map(|(number, value)| {
            let value = if value.erp == value.crm {
                Value::String(value.erp.clone())
            } else {
                Value::Array(vec![value.erp.clone().into(), value.crm.clone().into()])
            };
            (number.to_string(), value)
        })
        .collect();
    Value::Object(values).to_string()
}

/// Returns the values of one coupling out of their text.
pub(super) fn decode_values(text: &str) -> Result<BTreeMap<u32, PerSide<String>>, Trouble> {
    let broken = || Trouble::Broken("the values of a coupling cannot be read".to_owned());
    let values: Map<String, Value> = serde_json::from_str(text).map_err(|_| broken())?;
    values
        .into_iter()
        .map(|(number, value)| {
            let number = number.parse().map_err(|_| broken())?;
            let value = match value {
                Value::String(text) => PerSide { erp: text.clone(), crm: text },
                Value::Array(pair) => match <[Value; 2]>::try_from(pair) {
                    Ok([Value::String(erp), Value::String(crm)]) => PerSide { erp, crm },
                    _ => return Err(broken()),
                },
                _ => return Err(broken()),
            };
            Ok((number, value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(print: u64) -> PerSide<u64> {
        PerSide { erp: print, crm: print }
    }

    #[test]
    fn a_base_comes_back_as_it_went_in() {
        let differs = PerSide { erp: 0x0102_0304_0506_0708, crm: 9 };
        for (entries_in, length) in [
            (vec![], 0),
            (vec![(0, same(0))], 9),
            (vec![(0, differs)], 17),
            (vec![(63, same(u64::MAX))], 9),
            (vec![(64, same(1))], 10),
            (vec![(1, same(7)), (2, differs), (200, same(3))], 9 + 17 + 10),
            (vec![(u32::MAX >> 1, same(1))], 13),
        ] {
            let bytes = encode(&entries_in);
            assert_eq!(bytes.len(), length, "{entries_in:?}");
            let out: Vec<_> = entries(&bytes).map(Result::unwrap).collect();
            assert_eq!(out, entries_in);
        }
        assert_eq!(encode(&[(5, differs)])[..9], [10, 8, 7, 6, 5, 4, 3, 2, 1], "number, then ERP, little-endian");
    }

    #[test]
    fn a_base_that_breaks_off_is_told() {
        let bytes = encode(&[(1, same(7)), (2, PerSide { erp: 1, crm: 2 })]);
        for length in 1..bytes.len() {
            let whole = entries(&bytes[..length]).all(|entry| entry.is_ok());
            assert_eq!(whole, length == 9, "{length} bytes");
        }
        assert!(entries(&[0xff; 20]).next().unwrap().is_err(), "a number without end");
    }

    #[test]
    fn equal_values_are_stored_once() {
        let pair = |erp: &str, crm: &str| PerSide { erp: erp.to_owned(), crm: crm.to_owned() };
        let values =
            BTreeMap::from([(1, pair("Cañón \"2\"", "Cañón \"2\"")), (2, pair("a", "b")), (10, pair("", "x"))]);
        let text = encode_values(&values);
        assert_eq!(text, r#"{"1":"Cañón \"2\"","2":["a","b"],"10":["","x"]}"#);
        assert_eq!(decode_values(&text).unwrap(), values);
        for broken in ["", "[]", "{\"a\":\"b\"}", "{\"1\":2}", "{\"1\":[\"a\"]}", "{\"1\":[\"a\",1]}"] {
            assert!(decode_values(broken).is_err(), "{broken}");
        }
    }
}
