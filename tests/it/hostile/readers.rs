//! Everything that reads what others wrote, each as a function of bytes: for the corpus, for what chance makes of it, and
//! for `fuzz/`, which includes this file.
//!
//! A reader may refuse; it must not panic, hang, or say that it understood what it did not.

use pipeline::adapters::csdl::{self, Style};
use pipeline::adapters::definitions::{self, Directory, Entity};
use pipeline::adapters::odata::decode::{Layout, next_link};
use pipeline::adapters::odata::fault::Fault;
use pipeline::adapters::odata::link::{Chain, origin};
use pipeline::adapters::odata::{Dialect, batch_json, batch_multipart, filter};
use pipeline::config::check::{Purpose, check};
use pipeline::config::expression::Expression;
use pipeline::endpoint::{ColumnInfo, Key, TableInfo};
use pipeline::frame::builder::Builder;
use pipeline::frame::{Cell, Column, Kind};
use pipeline::report::saved;
use uuid::Uuid;

/// A reader and the name of its corpus.
pub type Reader = (&'static str, fn(&[u8]));

/// All of them.
pub const READERS: [Reader; 9] = [
    ("page", page),
    ("batch_json", batch_of_json),
    ("batch_multipart", batch_of_parts),
    ("fault", fault),
    ("metadata_xml", metadata_xml),
    ("metadata_json", metadata_json),
    ("pipeline", pipeline_file),
    ("expression", expression),
    ("plan", plan),
];

const KINDS: [(&str, Kind); 9] = [
    ("name", Kind::Text),
    ("number", Kind::Code),
    ("blocked", Kind::Enum),
    ("lines", Kind::Integer),
    ("amount", Kind::Decimal { scale: 2 }),
    ("open", Kind::Boolean),
    ("day", Kind::Date),
    ("modified", Kind::DateTime),
    ("owner", Kind::Guid),
];

fn columns() -> Vec<Column> {
    KINDS.iter().map(|(name, kind)| Column { name: (*name).to_owned(), kind: *kind }).collect()
}

fn info() -> TableInfo {
    let column = |column: Column| ColumnInfo {
        column,
        readable: true,
        insertable: true,
        updatable: true,
        starts_with: None,
        length_max: Some(100),
        range: None,
        options: vec![(0, "Ship".to_owned()), (1, "All".to_owned())],
        targets: Vec::new(),
        local_day: false,
    };
    let key = Key::Id("id".to_owned());
    TableInfo { table: "customers".to_owned(), key, columns: columns().into_iter().map(column).collect() }
}

/// A page of records: whoever takes it has as many rows as were counted, each with an id of its own.
pub fn page(bytes: &[u8]) {
    let Ok(body) = std::str::from_utf8(bytes) else { return };
    for dialect in [Dialect::BusinessCentral, Dialect::Dataverse] {
        let with_names = columns().into_iter().map(|column| (column.clone(), column.name.clone())).collect();
        let layout = Layout::new(dialect, "id", with_names);
        let mut rows = layout.rows();
        if layout.page(body, &mut rows).is_ok() {
            // The same page once more brings no new record.
            let count = rows.count();
            layout.page(body, &mut rows).expect("what was read once is read again");
            assert_eq!(rows.count(), count, "a record came twice");
            let frame = rows.finish();
            let mut ids = frame.ids().to_vec();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!((ids.len(), frame.rows()), (count, count), "each record once");
        }
        let mut row = layout.rows();
        if layout.row(body, &mut row) == Ok(true) {
            assert_eq!(row.count(), 1);
        }
    }
    if let Ok(Some(link)) = next_link(body) {
        let mut chain = Chain::new("https://erp.example/api", "https://erp.example/api/customers");
        if let Ok(next) = chain.follow(&link) {
            assert_eq!(origin(&next), origin("https://erp.example/"), "{next} leads away");
            assert!(chain.follow(&link).is_err(), "a link that was followed is followed again");
        }
    }
}

/// The answer to a batch in JSON: one reply at most to each operation.
pub fn batch_of_json(bytes: &[u8]) {
    if let Ok(replies) = batch_json::parse(bytes, 3) {
        assert_eq!(replies.len(), 3);
    }
}

/// The answer to a batch in parts; the first line of the input is its content type.
pub fn batch_of_parts(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (first, body) = bytes.split_at(end);
    let Ok(content_type) = std::str::from_utf8(first) else { return };
    if let Ok(sections) = batch_multipart::parse(content_type.trim_end(), body) {
        assert!(sections.len() <= body.len(), "more parts than bytes");
    }
}

/// An error: what is told of it is one line of characters that do nothing, and no longer than people read. It may be longer
/// than what came, since a character that would do something is told by its code.
pub fn fault(bytes: &[u8]) {
    const CODE_CHARS_MAX: usize = r"\u{10ffff}".len();
    const SHOWN_CHARS_MAX: usize = 500;
    const REST_CHARS_MAX: usize = 50;
    let fault = Fault::read(400, bytes);
    for told in [&fault.message, &fault.code] {
        let acts =
            |found: char| found.is_control() || matches!(found, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        assert!(!told.contains(acts), "{told:?}");
        let shown_max = bytes.len().min(SHOWN_CHARS_MAX);
        assert!(told.chars().count() <= shown_max * CODE_CHARS_MAX + REST_CHARS_MAX, "{told:?}");
    }
    assert!(!fault.to_string().is_empty());
}

/// The ERP's `$metadata`.
pub fn metadata_xml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for style in [Style::Api, Style::Pages] {
        for table in csdl::read(text, style).unwrap_or_default().values() {
            match &table.key {
                Key::Id(column) => assert!(!column.is_empty(), "a table without key was taken"),
                Key::Values(columns) => assert!(!columns.is_empty(), "a table without key was taken"),
            }
        }
    }
}

/// The CRM's definitions: the answers to all questions about a table, one in each line.
pub fn metadata_json(bytes: &[u8]) {
    let answers: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let entities = definitions::list::<Entity>(&answers[0]).unwrap_or_default();
    let directory = Directory::new(entities);
    let _ = directory.by_set("accounts");
    if let Ok(table) = definitions::read("accounts", "account", "accountid", &answers, &directory) {
        for column in &table.info.columns {
            assert!(!table.property(&column.column.name).is_empty());
        }
    }
}

/// A pipeline file: what is wrong has a place inside the text.
pub fn pipeline_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let variable = |name: &str| name.starts_with("ERP").then(|| "http://127.0.0.1:1".to_owned());
    for purpose in [Purpose::Check, Purpose::Run] {
        let checked = check(text, "full.yaml", &variable, purpose);
        assert!(checked.pipeline.is_some() || !checked.complaints.is_empty(), "refused without a reason");
        // A lone carriage return breaks a line, too.
        let lines = text.replace("\r\n", "\n").split(['\r', '\n']).count();
        for complaint in &checked.complaints {
            assert!((1..=lines).contains(&complaint.line), "{complaint} is outside the file");
            assert!(complaint.column >= 1, "{complaint}");
        }
    }
}

/// An SQL expression: what a side is asked is a filter that closes what it opens, and rows are decided or named.
pub fn expression(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(expression) = Expression::parse(text) else { return };
    let info = info();
    let property = |name: &str| Some(name.to_owned());
    for predicate in
        expression.predicate().into_iter().chain(expression.terms().iter().filter_map(Expression::predicate))
    {
        for dialect in [Dialect::BusinessCentral, Dialect::Dataverse] {
            if let Some(filter) = filter::text(dialect, predicate, &info, &property) {
                assert!(is_closed(&filter), "{filter}");
            }
        }
    }
    if expression.columns().iter().any(|name| info.column(name).is_none()) {
        return;
    }
    let mut rows = Builder::new(columns());
    // A blank row, and one in which each text may be a number.
    rows.end(Uuid::from_u128(1), "");
    for (column, (_, kind)) in KINDS.iter().enumerate() {
        if matches!(kind, Kind::Text | Kind::Code) {
            rows.push(column, Cell::Text("12")).expect("a text goes into a column of texts");
        }
    }
    rows.end(Uuid::from_u128(2), "");
    let frame = rows.finish();
    // The file's reader refuses what is no condition; here any answer will do that is no panic.
    let _ = frame.rows_where(&expression);
}

/// Tells whether quotes and parentheses are in pairs.
fn is_closed(filter: &str) -> bool {
    let (mut depth, mut quoted) = (0_i32, false);
    for letter in filter.chars() {
        match letter {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return false;
        }
    }
    depth == 0 && !quoted
}

/// A saved plan: one that is taken says the same when it is written again.
pub fn plan(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(plan) = saved::read(text) {
        let written = saved::text(&plan);
        let again = saved::read(&written).expect("what was written is read");
        assert_eq!(saved::text(&again), written);
    }
}
