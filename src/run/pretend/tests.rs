//! What was pretended is read, and nothing leaves.

use super::*;
use crate::config::Side;
use crate::endpoint::{ClockOffset, ColumnInfo, Key, Traffic};
use crate::frame::{Cell, Column};
use crate::plan::FieldChange;
use chrono::{DateTime, Utc};

/// An ERP whose filter lets only the first of its two records through.
struct Filtering;

fn columns() -> Vec<Column> {
    let column = |name: &str, kind| Column { name: name.into(), kind };
    vec![column("number", Kind::Code), column("name", Kind::Text), column("blocked", Kind::Boolean)]
}

fn info() -> TableInfo {
    let known = |column: Column| ColumnInfo::plain(&column.name, column.kind);
    TableInfo {
        table: "customers".into(),
        key: Key::Id("id".into()),
        columns: columns().into_iter().map(known).collect(),
    }
}

impl Line for Filtering {
    fn side(&self) -> Side {
        Side::Erp
    }
    fn concurrency(&self) -> usize {
        1
    }
    fn traffic(&self) -> Traffic {
        Traffic::default()
    }
    fn clock_offset(&self) -> Option<ClockOffset> {
        None
    }
    fn clock(&self) -> Option<DateTime<Utc>> {
        None
    }
}

impl Endpoint for Filtering {
    fn line(&self) -> &dyn Line {
        self
    }
    fn open(&self) -> Result<Identity, EndpointError> {
        Ok(Identity { id: Uuid::nil(), name: String::new() })
    }
    fn evaluates(&self, _: &TableInfo, _: &Predicate) -> bool {
        true
    }
    fn describe(&self, _: &str) -> Result<TableInfo, EndpointError> {
        Ok(info())
    }
    fn read(&self, query: &Query<'_>, _: &dyn Fn(usize)) -> Result<Frame, EndpointError> {
        let mut rows = Builder::new(columns());
        for id in [1, 2].map(Uuid::from_u128) {
            let asked = query.ids.as_ref().map_or(id.as_u128() == 1, |ids| ids.contains(&id));
            if asked {
                let name = if id.as_u128() == 1 { "One" } else { "Two" };
                for (index, cell) in [Cell::Text(name), Cell::Text(name), Cell::Boolean(true)].into_iter().enumerate() {
                    rows.push(index, cell).unwrap();
                }
                rows.end(id, "version");
            }
        }
        Ok(rows.finish())
    }
    fn hidden(&self, _: &TableInfo, _: &[Uuid]) -> Result<HashMap<Uuid, Hidden>, EndpointError> {
        Ok(HashMap::new())
    }
    fn write(&self, _: &TableInfo, _: &[String], _: &[Write]) -> Report {
        panic!("a dry run writes nothing");
    }
    fn bounds(&self) -> Bounds {
        Bounds { ids_max: 1, page_rows_max: 1 }
    }
    fn batch_max(&self) -> usize {
        1
    }
    fn modified_column(&self, _: &TableInfo) -> Option<String> {
        None
    }
}

fn action(kind: ActionKind, id: u128, name: &str) -> Action {
    let new = Value::Text(name.into());
    let change = FieldChange { column: "name".into(), field: Some(0), old: Value::Null, new, why: String::new() };
    Action {
        table: "customers".into(),
        record: String::new(),
        side: Side::Erp,
        kind,
        why: String::new(),
        ids: PerSide { erp: Uuid::from_u128(id), crm: Uuid::from_u128(100 + id) },
        etag: None,
        fields: vec![change],
        follow_ups: Vec::new(),
    }
}

fn told(frame: &Frame) -> Vec<(u128, String, String, String)> {
    let text = |column: &str, row| frame.value(column, row).to_string();
    let row = |row| (frame.id(row).as_u128(), text("number", row), text("name", row), text("blocked", row));
    (0..frame.rows()).map(row).collect()
}

#[test]
fn what_was_pretended_is_read() {
    let info = info();
    let tables = HashSet::from(["customers".to_owned()]);
    let keys = HashMap::from([("customers".to_owned(), vec!["number".to_owned()])]);
    let side = Pretended { inner: &Filtering, keys, shared: tables, tables: Mutex::default() };
    let query = |ids: Option<&[u128]>| Query {
        info: &info,
        columns: columns().into_iter().map(|column| column.name).collect(),
        filter: None,
        ids: ids.map(|ids| ids.iter().copied().map(Uuid::from_u128).collect()),
    };
    let read = |ids| side.read(&query(ids), &|_| {}).unwrap();
    let (insert, update) = (ActionKind::Insert, ActionKind::Update);
    let both = read(Some(&[1, 2]));
    let applied = side.apply(&info, &both, &[action(update, 2, "Second"), action(insert, 3, "Third")]);
    let second = (2, "Two".to_owned(), "Second".to_owned(), "true".to_owned());
    let third = (3, placeholder(Uuid::from_u128(3)), "Third".to_owned(), "false".to_owned());
    assert_eq!(told(&applied.rows), [second.clone(), third.clone()]);
    // The side knows nothing of the change that brings the second record into the filter.
    let first = (1, "One".to_owned(), "One".to_owned(), "true".to_owned());
    assert_eq!(told(&read(None)), [first.clone(), second.clone(), third.clone()]);
    assert_eq!(told(&read(Some(&[1]))), [first]);
    assert_eq!(told(&read(Some(&[3, 4]))), [third]);
    // The version that was looked at before the change is another one; a record goes once.
    let delete = |id, etag: Option<&str>| Action { etag: etag.map(Into::into), ..action(ActionKind::Delete, id, "") };
    let deletes = [delete(1, Some("version")), delete(1, Some("version")), delete(2, Some("version")), delete(3, None)];
    let applied = side.apply(&info, &read(None), &deletes);
    assert_eq!(applied.outcomes, [Outcome::Written, Outcome::Gone, Outcome::Stale, Outcome::Written]);
    assert_eq!(applied.rows.rows(), 0);
    assert_eq!(told(&read(None)), std::slice::from_ref(&second));
    assert_eq!(told(&read(Some(&[1, 2, 3]))), [second]);
    // Nothing leaves, whoever asks.
    let write = Write { kind: crate::endpoint::WriteKind::Insert, id: Uuid::nil(), etag: None, fields: Vec::new() };
    assert!(matches!(side.write(&info, &[], &[write]).outcomes[..], [Outcome::NotSent { .. }]));
}

#[test]
fn what_is_not_written_stays_as_it_is() {
    let mut rows = Builder::new(columns());
    for (index, cell) in [Cell::Text("One"), Cell::Text("One"), Cell::Null].into_iter().enumerate() {
        rows.push(index, cell).unwrap();
    }
    rows.end(Uuid::from_u128(1), "version");
    let side = Pretended { inner: &Filtering, keys: HashMap::new(), shared: HashSet::new(), tables: Mutex::default() };
    let actions = [action(ActionKind::Update, 1, "First"), action(ActionKind::Insert, 2, "Second")];
    let applied = side.apply(&info(), &rows.finish(), &actions);
    assert_eq!(applied.rows.value("blocked", 0), Value::Null);
    assert_eq!(applied.rows.value("blocked", 1), Value::Boolean(false), "a new record has no null there");
}
