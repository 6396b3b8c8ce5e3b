//! The form in which both fakes keep their records: a head, then a record a line, all of them JSON objects.
//!
//! The head says which sets follow and how many records each has, so a file that ends too early is noticed although
//! every line of it is whole. Reading and writing hold one record at a time: a large company is a gigabyte of text.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};

use serde_json::{Map, Value};

/// Writes one line.
pub fn write(out: &mut dyn Write, record: &Value) -> io::Result<()> {
    serde_json::to_writer(&mut *out, record)?;
    out.write_all(b"\n")
}

/// Makes the error of a file that does not read.
pub fn broken(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("saved records: {what}"))
}

/// Reads the lines one after the other.
pub struct Lines<'a> {
    input: BufReader<&'a mut dyn Read>,
    line: Vec<u8>,
}

impl<'a> Lines<'a> {
    pub fn new(input: &'a mut dyn Read) -> Self {
        Lines { input: BufReader::with_capacity(1 << 16, input), line: Vec::new() }
    }

    /// Reads the next record; that there is none is an error.
    pub fn read(&mut self) -> io::Result<Map<String, Value>> {
        self.line.clear();
        if self.input.read_until(b'\n', &mut self.line)? == 0 {
            return Err(broken("the file ends too early"));
        }
        Ok(serde_json::from_slice(&self.line)?)
    }

    /// Says that no more records are expected; that there is one is an error.
    pub fn end(mut self) -> io::Result<()> {
        if self.input.fill_buf()?.is_empty() { Ok(()) } else { Err(broken("more records than the head says")) }
    }
}

/// Returns the sets that a head lists, with the number of their records.
pub fn sets(head: &Value) -> io::Result<Vec<(String, u64)>> {
    let sets = head["sets"].as_object().ok_or_else(|| broken("the head lists no sets"))?;
    let count = |(name, count): (&String, &Value)| {
        let count = count.as_u64().ok_or_else(|| broken(format!("{name}: no number of records")))?;
        Ok((name.clone(), count))
    };
    sets.iter().map(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_length_is_noticed() {
        let text = "{\"sets\":{\"a\":2}}\n{\"n\":1}\n{\"n\":2}\n";
        let read = |text: &str| -> io::Result<Vec<u64>> {
            let mut bytes = text.as_bytes();
            let mut lines = Lines::new(&mut bytes);
            let (_, count) = sets(&Value::Object(lines.read()?))?.remove(0);
            let rows: io::Result<Vec<_>> = (0..count).map(|_| Ok(lines.read()?["n"].as_u64().unwrap())).collect();
            lines.end()?;
            rows
        };
        assert_eq!(read(text).unwrap(), [1, 2]);
        let cases = [
            ("{\"sets\":{\"a\":2}}\n{\"n\":1}\n".to_string(), "ends too early"),
            (text.replace('2', "3"), "ends too early"),
            (text.replace("\"a\":2", "\"a\":1"), "more records"),
            (text.replace("\"a\":2", "\"a\":\"2\""), "no number of records"),
            (text.replace("sets", "set"), "lists no sets"),
            (text.trim_end_matches("}\n").to_string(), "EOF while parsing"),
        ];
        for (text, complaint) in cases {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains(complaint), "{text}: {error}");
        }
    }
}
