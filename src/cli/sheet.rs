//! Tables for people who work in a spreadsheet: rows in, CSV text out, and back.
//!
//! RFC 4180, comma-separated, UTF-8 with a mark at its beginning, since that is how spreadsheets know it. A cell that
//! begins with `=`, `+`, `-`, `@`, a tab or a line end would be computed when somebody opens the file: it is written with
//! an apostrophe before it, and read without.

use csv::{ReaderBuilder, Terminator, WriterBuilder};

/// The mark of UTF-8.
const MARK: &str = "\u{feff}";

/// A row that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The line of the file on which it begins, from 1.
    pub line: usize,
    pub cells: Vec<String>,
}

/// Returns rows as CSV, the heading first.
pub fn write(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    let mut put = |cells: &[String]| {
        writer.write_record(cells.iter().map(|cell| guarded(cell))).expect("rows of one length go into memory");
    };
    put(&heading.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    rows.iter().for_each(|row| put(row));
    let bytes = writer.into_inner().expect("memory takes it all");
    MARK.to_owned() + &String::from_utf8(bytes).expect("texts were written")
}

/// Reads the rows of a CSV that has these columns, in whatever order and among others; cells come in the order of
/// `columns`. Empty lines are left out. The message of a failure says on which line it is.
pub fn read(text: &str, columns: &[&str]) -> Result<Vec<Row>, (usize, String)> {
    let text = text.strip_prefix(MARK).unwrap_or(text);
    // Where people write decimals with a comma, spreadsheets put a semicolon between cells.
    let heading = text.lines().next().unwrap_or_default();
    let delimiter = if heading.contains(';') && !heading.contains(',') { b';' } else { b',' };
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    let mut places: Option<Vec<usize>> = None;
    let mut rows = Vec::new();
    let mut counted = Lines { text, byte: 0, line: 1 };
    for record in reader.records() {
        let record = record.map_err(|error| {
            let byte = error.position().map_or(0, csv::Position::byte);
            (counted.line_of(byte), error.to_string())
        })?;
        let line = counted.line_of(record.position().map_or(0, csv::Position::byte));
        let Some(places) = &places else {
            let names: Vec<String> = record.iter().map(|name| name.trim().to_lowercase()).collect();
            let place = |column: &&str| {
                let found = names.iter().position(|name| name == column);
                found.ok_or_else(|| (line, format!("there is no column `{column}`; there are: {}", names.join(", "))))
            };
            places = Some(columns.iter().map(place).collect::<Result<_, _>>()?);
            continue;
        };
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        let cells = places.iter().map(|place| unguarded(record.get(*place).unwrap_or_default()).to_owned());
        rows.push(Row { line, cells: cells.collect() });
    }
    match places {
        Some(_) => Ok(rows),
        None => Err((1, "the file is empty".to_owned())),
    }
}

/// Counts lines while it goes through a text: what the reader itself counts does not hold where lines end with CRLF.
struct Lines<'a> {
    text: &'a str,
    byte: usize,
    line: usize,
}

impl Lines<'_> {
    /// Returns the line of the first cell at or after a byte; bytes come in their order.
    fn line_of(&mut self, byte: u64) -> usize {
        let bytes = self.text.as_bytes();
        let mut end = usize::try_from(byte).unwrap_or(usize::MAX).min(bytes.len());
        while bytes.get(end).is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
            end += 1;
        }
        self.line += bytes[self.byte.min(end)..end].iter().filter(|byte| **byte == b'\n').count();
        self.byte = end;
        self.line
    }
}

fn is_formula(cell: &str) -> bool {
    cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])
}

fn guarded(cell: &str) -> String {
    // One that begins with such a guard by itself gets a second one, so that the way back is certain.
    let guard = is_formula(cell) || cell.starts_with('\'');
    if guard { format!("'{cell}") } else { cell.to_owned() }
}

fn unguarded(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if is_formula(rest) || rest.starts_with('\'') => rest,
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [&str; 2] = ["record", "value"];

    #[test]
    fn what_goes_out_comes_back() {
        let values = [
            "",
            "plain",
            "a,b",
            "a;b",
            "a \"b\"",
            "two\nlines",
            "two\r\nlines",
            " blank ",
            "=1+1",
            "+47 22",
            "-5",
            "@SUM(A1)",
            "'quoted",
            "'=x",
            "''",
            "\tx",
            "Cañón ü 日本",
            "0010",
        ];
        let rows: Vec<Vec<String>> = values.iter().map(|value| vec!["r".to_owned(), (*value).to_owned()]).collect();
        let text = write(&COLUMNS, &rows);
        assert!(text.starts_with("\u{feff}record,value\r\n"), "{text:?}");
        let back: Vec<Vec<String>> = read(&text, &COLUMNS).unwrap().into_iter().map(|row| row.cells).collect();
        assert_eq!(back, rows);
        // No cell is a formula any more.
        for cell in ["=1+1", "+47 22", "-5", "@SUM(A1)"] {
            assert!(text.contains(&format!("r,'{cell}\r\n")), "{text}");
        }
    }

    #[test]
    fn what_a_spreadsheet_makes_of_it_is_read() {
        let row = |line, record: &str, value: &str| Row { line, cells: vec![record.to_owned(), value.to_owned()] };
        for (text, expected) in [
            ("record,value\na,1\nb,2\n", vec![row(2, "a", "1"), row(3, "b", "2")]),
            ("record,value\r\na,\"x\r\ny\"\r\n\r\nb,2", vec![row(2, "a", "x\r\ny"), row(5, "b", "2")]),
            ("\u{feff}Value, Record ,note\n1,a,n\n", vec![row(2, "a", "1")]),
            ("record;value\na;1,5\n", vec![row(2, "a", "1,5")]),
            ("record,value\na\n,,,\n", vec![row(2, "a", "")]),
            // Typed by hand, without guard.
            ("record,value\na,+47\n", vec![row(2, "a", "+47")]),
        ] {
            assert_eq!(read(text, &COLUMNS).unwrap(), expected, "{text:?}");
        }
        assert_eq!(read("", &COLUMNS).unwrap_err(), (1, "the file is empty".to_owned()));
        let missing = read("record,worth\na,1\n", &COLUMNS).unwrap_err();
        assert_eq!(missing, (1, "there is no column `value`; there are: record, worth".to_owned()));
    }
}
