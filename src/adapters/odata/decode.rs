//! JSON pages into frames: each row's cells go from the text of the page straight into typed columns.
//!
//! In go a [`Layout`] (which property feeds which column) and bodies; out come rows. Decimals keep their own digits, keys
//! may come in any order, what was not asked for is skipped. The blanks of a [`Dialect`] become ours here: an ERP text is
//! never null, a CRM text is never empty, zero GUIDs and the year 1 are null. Nothing here follows links.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::adapters::odata::fault::Fault;
use crate::adapters::odata::{Dialect, link, name};
use crate::endpoint::{TableInfo, key_text};
use crate::frame::builder::Builder;
use crate::frame::{Cell, Column, Frame, Kind, Value};

const ETAG: usize = 0;
/// Where the key begins; where it is made of several properties, they follow.
const KEY: usize = 1;
const NO_DATE: &str = "0001-01-01";
/// The longest text that a column of either service holds, in UTF-16 units: a memo of Dataverse. The ERP's are shorter (2,048).
const TEXT_CHARS_MAX: usize = 1_048_576;

/// Which property of a row feeds which column.
#[derive(Debug, Clone)]
pub struct Layout {
    dialect: Dialect,
    key: RowKey,
    columns: Vec<Column>,
    /// Property names; the first is the version, then comes the key.
    properties: Vec<String>,
    /// For each column its property, and the property inside that one for a navigation column.
    sources: Vec<(usize, Option<String>)>,
}

/// How the id of a row is found.
#[derive(Debug, Clone)]
enum RowKey {
    /// One property is the id.
    Id,
    /// It is made of as many properties as there are kinds.
    Values { info: TableInfo, kinds: Vec<Kind>, directory: Arc<Directory> },
}

/// The keys of the records that were seen so far, by their ids: what an address needs, and an id does not tell.
#[derive(Debug, Default)]
pub struct Directory(Mutex<HashMap<Uuid, Box<[String]>>>);

impl Directory {
    /// Remembers a key, as its side writes it.
    pub fn learn(&self, id: Uuid, values: Vec<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, values.into());
    }

    /// Returns the key of an id, `None` for one that was never seen.
    pub fn key(&self, id: Uuid) -> Option<Box<[String]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }
}

/// Rows as they arrive.
pub struct Rows {
    builder: Builder,
    position: HashMap<Uuid, usize>,
    superseded: HashSet<usize>,
}

impl Layout {
    /// Makes a layout: each column with the property that holds it, `outer/inner` for a navigation.
    pub fn new(dialect: Dialect, key: &str, columns: Vec<(Column, String)>) -> Layout {
        Layout::with_key(dialect, RowKey::Id, &[key.to_owned()], columns)
    }

    /// Makes a layout for a table whose records are known by what they hold in the columns of `key`; the directory
    /// learns the key of each row.
    pub fn keyed(
        dialect: Dialect,
        info: &TableInfo,
        key: &[String],
        directory: Arc<Directory>,
        columns: Vec<(Column, String)>,
    ) -> Layout {
        let kind = |name: &String| info.column(name).map_or(Kind::Text, |info| info.column.kind);
        let kinds = key.iter().map(kind).collect();
        // Only what makes the id is needed of it.
        let info = TableInfo { columns: Vec::new(), ..info.clone() };
        Layout::with_key(dialect, RowKey::Values { info, kinds, directory }, key, columns)
    }

    fn with_key(dialect: Dialect, row_key: RowKey, key: &[String], columns: Vec<(Column, String)>) -> Layout {
        let mut properties = vec!["@odata.etag".to_owned()];
        properties.extend(key.iter().cloned());
        let mut sources = Vec::with_capacity(columns.len());
        let mut kept = Vec::with_capacity(columns.len());
        for (column, property) in columns {
            let (outer, inner) = match property.split_once('/') {
                Some((outer, inner)) => (outer, Some(inner.to_owned())),
                None => (property.as_str(), None),
            };
            let position = properties.iter().position(|known| known == outer).unwrap_or_else(|| {
                properties.push(outer.to_owned());
                properties.len() - 1
            });
            sources.push((position, inner));
            kept.push(column);
        }
        Layout { dialect, key: row_key, columns: kept, properties, sources }
    }

    /// Starts without rows.
    pub fn rows(&self) -> Rows {
        Rows { builder: Builder::new(self.columns.clone()), position: HashMap::new(), superseded: HashSet::new() }
    }

    /// Takes the rows of a page; fails where a property that was asked for is missing or does not fit.
    pub fn page(&self, body: &str, rows: &mut Rows) -> Result<(), String> {
        let mut json = serde_json::Deserializer::from_str(body);
        PageSeed { layout: self, rows }.deserialize(&mut json).and_then(|()| json.end()).map_err(|e| e.to_string())
    }

    /// Returns the columns that are a property inside of another one: no answer to a write holds them.
    pub fn inside(&self) -> impl Iterator<Item = &str> {
        let columns = self.columns.iter().zip(&self.sources);
        columns.filter(|(_, (_, inner))| inner.is_some()).map(|(column, _)| column.name.as_str())
    }

    /// Takes the single row of an answer to a write; `false` where it does not hold every property asked for. Columns
    /// [`inside`](Self::inside) of others are blank in it.
    pub fn row(&self, body: &str, rows: &mut Rows) -> Result<bool, String> {
        if body.is_empty() {
            return Ok(false);
        }
        let mut cells = vec![None; self.properties.len()];
        let mut json = serde_json::Deserializer::from_str(body);
        let seed = RowSeed { properties: &self.properties, cells: &mut cells };
        seed.deserialize(&mut json).map_err(|error| error.to_string())?;
        for (position, _) in self.sources.iter().filter(|(_, inner)| inner.is_some()) {
            cells[*position] = Some("null");
        }
        // Other services may have no versions at all; where there are some, the one in the answer is wanted.
        let needed = if self.dialect == Dialect::Plain { KEY } else { ETAG };
        if cells[needed..].iter().any(Option::is_none) {
            return Ok(false);
        }
        self.push(&cells, rows).map(|()| true)
    }

    fn push(&self, cells: &[Option<&str>], rows: &mut Rows) -> Result<(), String> {
        // A row without version can still be read; it can then only be written unconditionally.
        if let Some(missing) = (KEY..cells.len()).find(|position| cells[*position].is_none()) {
            return Err(format!("a row has no `{}`", self.properties[missing]));
        }
        let raw = |position: usize| cells[position].unwrap_or("null");
        let id = match &self.key {
            RowKey::Id => {
                let id = text(raw(KEY)).and_then(|id| Uuid::try_parse(&id).ok());
                id.ok_or_else(|| format!("a row's `{}` is no GUID", self.properties[KEY]))?
            }
            RowKey::Values { info, kinds, directory } => {
                let values =
                    kinds.iter().zip(KEY..).map(|(kind, position)| key_value(self.dialect, *kind, raw(position)));
                let values = values.collect::<Option<Vec<String>>>();
                let names = || self.properties[KEY..KEY + kinds.len()].join(", ");
                let values = values.ok_or_else(|| format!("a row's key ({}) cannot be read", names()))?;
                for (name, value) in self.properties[KEY..].iter().zip(&values) {
                    within_bounds(value, name).map_err(|error| format!("a row's key: {error}"))?;
                }
                let folded = |(kind, value): (&Kind, &String)| key_text(*kind, &Value::Text(value.clone()));
                let id = info.id_of(&kinds.iter().zip(&values).map(folded).collect::<Vec<String>>());
                directory.learn(id, values);
                id
            }
        };
        for (index, (position, inner)) in self.sources.iter().enumerate() {
            let cell = match inner {
                Some(inner) => inside(raw(*position), inner)?,
                None => raw(*position),
            };
            push_cell(self.dialect, &mut rows.builder, index, cell).map_err(|error| {
                // People know it by its key, where its id says nothing.
                let key = match &self.key {
                    RowKey::Id => None,
                    RowKey::Values { directory, .. } => directory.key(id),
                };
                format!("record {}: {error}", key.map_or_else(|| id.to_string(), |key| key.join(", ")))
            })?;
        }
        if let Some(older) = rows.position.insert(id, rows.builder.rows()) {
            // The same record on two pages: it changed while we read, and the later page is newer (crm-api.md §5).
            rows.superseded.insert(older);
        }
        rows.builder.end(id, &text(raw(ETAG)).unwrap_or_default());
        Ok(())
    }
}

impl Rows {
    /// Returns the number of distinct records so far.
    pub fn count(&self) -> usize {
        self.position.len()
    }

    /// Returns a record that is none of `asked`.
    pub fn stranger(&self, asked: &HashSet<Uuid>) -> Option<Uuid> {
        self.position.keys().find(|id| !asked.contains(id)).copied()
    }

    /// Makes the frame; of a record that came twice the later row counts.
    pub fn finish(self) -> Frame {
        let frame = self.builder.finish();
        if self.superseded.is_empty() {
            return frame;
        }
        let kept: Vec<usize> = (0..frame.rows()).filter(|row| !self.superseded.contains(row)).collect();
        frame.take(&kept)
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "@odata.nextLink")]
    next: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "@odata.context")]
    context: Option<Cow<'a, str>>,
    value: Option<IgnoredAny>,
    /// What went wrong after the status had been sent (OData JSON Format 4.01 §21.2).
    error: Option<IgnoredAny>,
}

/// Returns the link to the next page, or why the body is no complete page. One that is relative is so to the page itself.
///
/// This runs before the page is decoded, so that the next one can be asked for meanwhile; it also proves that the page
/// is whole, whatever the transport said.
pub fn next_link(body: &str) -> Result<Option<String>, String> {
    let envelope: Envelope<'_> =
        serde_json::from_str(body).map_err(|error| format!("the answer is no complete page: {error}"))?;
    if envelope.error.is_some() {
        return Err(format!("the answer breaks off with an error: {}", Fault::read(200, body.as_bytes())));
    }
    envelope.value.ok_or("the answer has no `value`")?;
    // A relative link is relative to the context, where a page names one (OData JSON Format 4.0 §4.3).
    let context = envelope.context.unwrap_or_default();
    // One that is empty leads nowhere, and not to the context.
    Ok(envelope.next.map(|next| if next.is_empty() { String::new() } else { link::join(&context, &next) }))
}

/// Returns how many records a side says there are, where a page tells.
pub fn told_count(body: &str) -> Option<usize> {
    #[derive(Deserialize)]
    struct Counted {
        #[serde(rename = "@odata.count")]
        count: Option<usize>,
    }
    serde_json::from_str::<Counted>(body).ok()?.count
}

/// Returns the text of a JSON string; `None` for anything else.
fn text(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(raw).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

/// Returns the value of a key property as its side writes it, which is how the record is asked for; `None` where it is no
/// single value.
fn key_value(dialect: Dialect, kind: Kind, raw: &str) -> Option<String> {
    match text(raw) {
        Some(text) if kind == Kind::Enum && dialect == Dialect::BusinessCentral => {
            Some(name::decode(&text).into_owned())
        }
        Some(text) => Some(text.into_owned()),
        None if raw.starts_with(['{', '[']) => None,
        None if raw == "null" => Some(String::new()),
        // A number, or `true` and `false`.
        None => Some(raw.to_owned()),
    }
}

/// Returns a property of a nested object, `null` where the object is null.
fn inside<'a>(raw: &'a str, property: &str) -> Result<&'a str, String> {
    let object: Option<BTreeMap<Cow<'a, str>, &'a RawValue>> =
        serde_json::from_str(raw).map_err(|_| format!("`{property}` was to be inside of an object"))?;
    match object {
        None => Ok("null"),
        Some(object) => {
            object.get(property).map(|raw| raw.get()).ok_or_else(|| format!("an expanded row has no `{property}`"))
        }
    }
}

fn push_cell(dialect: Dialect, builder: &mut Builder, index: usize, raw: &str) -> Result<(), String> {
    let kind = builder.columns()[index].kind;
    let is_text = matches!(kind, Kind::Text | Kind::Code | Kind::Enum);
    let held = text(raw);
    if is_text && held.is_none() && raw != "null" {
        // A number there is another column's, or another type than the metadata say: as a text it would go over.
        return Err(format!("column `{}` holds no text", builder.columns()[index].name));
    }
    if let Some(text) = &held {
        within_bounds(text, &builder.columns()[index].name)?;
    }
    let decoded;
    let cell = match (raw, &held) {
        ("null", _) if is_text && dialect != Dialect::Dataverse => Cell::Text(""),
        ("null", _) => Cell::Null,
        ("true", _) => Cell::Boolean(true),
        ("false", _) => Cell::Boolean(false),
        (_, Some(text)) => match (dialect, kind) {
            (Dialect::BusinessCentral, Kind::Enum) => {
                decoded = name::decode(text);
                Cell::Text(&decoded)
            }
            (Dialect::Dataverse, _) if text.is_empty() => Cell::Null,
            (_, Kind::Guid) if Uuid::try_parse(text).is_ok_and(|id| id.is_nil()) => Cell::Null,
            (_, Kind::Date | Kind::DateTime) if text.starts_with(NO_DATE) => Cell::Null,
            _ => Cell::Text(text),
        },
        (number, None) if number.starts_with(|first: char| first == '-' || first.is_ascii_digit()) => {
            Cell::Number(number)
        }
        _ => return Err(format!("column `{}` holds no single value", builder.columns()[index].name)),
    };
    builder.push(index, cell).map_err(|error| error.to_string())
}

/// Refuses a text that no column holds: it is no value of a record, whatever sent it, and would go on into state and reports.
fn within_bounds(text: &str, column: &str) -> Result<(), String> {
    // A unit takes one byte or more.
    let units = if text.len() > TEXT_CHARS_MAX { text.encode_utf16().count() } else { 0 };
    if units <= TEXT_CHARS_MAX {
        return Ok(());
    }
    Err(format!("column `{column}` holds a text of {units} characters, and no column has more than {TEXT_CHARS_MAX}"))
}

struct PageSeed<'a> {
    layout: &'a Layout,
    rows: &'a mut Rows,
}

impl<'de> DeserializeSeed<'de> for PageSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for PageSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a page of records")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == "value" {
                map.next_value_seed(RowsSeed { layout: self.layout, rows: self.rows })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

struct RowsSeed<'a> {
    layout: &'a Layout,
    rows: &'a mut Rows,
}

impl<'de> DeserializeSeed<'de> for RowsSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for RowsSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let properties = &self.layout.properties;
        let mut cells: Vec<Option<&'de str>> = vec![None; properties.len()];
        while let Some(()) = seq.next_element_seed(RowSeed { properties, cells: &mut cells })? {
            self.layout.push(&cells, self.rows).map_err(de::Error::custom)?;
            cells.fill(None);
        }
        Ok(())
    }
}

struct RowSeed<'a, 'de> {
    properties: &'a [String],
    cells: &'a mut [Option<&'de str>],
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut expected = 0;
        while let Some(found) = map.next_key_seed(KeySeed { properties: self.properties, expected })? {
            match found {
                Some(position) => {
                    self.cells[position] = Some(map.next_value::<&'de RawValue>()?.get());
                    expected = position + 1;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Finds a key among the properties, beginning where it will most likely be: keys come in the same order row by row.
struct KeySeed<'a> {
    properties: &'a [String],
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a property name")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<Option<usize>, E> {
        let count = self.properties.len();
        Ok((0..count).map(|step| (self.expected + step) % count).find(|at| self.properties[*at] == key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Value;
    use rust_decimal::Decimal;

    fn layout(dialect: Dialect, key: &str, columns: &[(&str, Kind, &str)]) -> Layout {
        let columns = columns
            .iter()
            .map(|(name, kind, property)| (Column { name: (*name).to_owned(), kind: *kind }, (*property).to_owned()));
        Layout::new(dialect, key, columns.collect())
    }

    fn accounts() -> Layout {
        let columns = [
            ("name", Kind::Text, "name"),
            ("creditlimit", Kind::Decimal { scale: 4 }, "creditlimit"),
            ("primarycontactid", Kind::Guid, "_primarycontactid_value"),
            ("accountid", Kind::Guid, "accountid"),
        ];
        layout(Dialect::Dataverse, "accountid", &columns)
    }

    fn values(frame: &Frame, column: &str) -> Vec<String> {
        (0..frame.rows()).map(|row| format!("{:?}", frame.value(column, row))).collect()
    }

    /// What no column holds is no value: the read fails and names the record, and the text goes nowhere.
    #[test]
    fn a_text_that_no_column_holds_is_refused_with_its_record() {
        let page = |text: &str| {
            let id = "a0000000-0000-4000-8000-000000000001";
            let row =
                format!(r#"{{"accountid":"{id}","name":"{text}","creditlimit":1,"_primarycontactid_value":null}}"#);
            let mut rows = accounts().rows();
            accounts().page(&format!(r#"{{"value":[{row}]}}"#), &mut rows).map(|()| rows.finish())
        };
        let longest = "ø".repeat(TEXT_CHARS_MAX);
        assert_eq!(page(&longest).unwrap().value("name", 0), Value::Text(longest.clone()));
        for longer in
            [format!("{longest}x"), "\u{1f600}".repeat(TEXT_CHARS_MAX / 2 + 1), r"\u00f8".repeat(TEXT_CHARS_MAX + 1)]
        {
            let error = page(&longer).unwrap_err();
            let told = "record a0000000-0000-4000-8000-000000000001: column `name` holds a text of 104857";
            assert!(error.starts_with(told) && error.len() < 250, "{}", error.len());
        }
        // Where records are known by keys, people find them by these.
        let name = Column { name: "Name".to_owned(), kind: Kind::Text };
        let info =
            TableInfo { table: "T".into(), key: crate::endpoint::Key::Values(vec!["No".into()]), columns: Vec::new() };
        let columns = vec![(name, "Name".to_owned())];
        let keyed = Layout::keyed(Dialect::Plain, &info, &["No".to_owned()], Arc::default(), columns);
        for (number, name, told) in
            [("4711", &*longest, "record 4711: column `Name` "), (&longest, "x", "a row's key: column `No` ")]
        {
            let body = format!(r#"{{"value":[{{"No":"{number}","Name":"{name}x"}}]}}"#)
                .replace("\"Name\":\"xx", "\"Name\":\"x");
            let body = if number == longest { body.replace(&longest, &format!("{longest}x")) } else { body };
            let error = keyed.page(&body, &mut keyed.rows()).unwrap_err();
            assert!(error.starts_with(told), "{}", &error[..100]);
        }
    }

    #[test]
    fn a_crm_page_becomes_rows() {
        let body = r#"{"@odata.nextLink":"https://crm.example/\u0022next","@odata.context":"x","value":[
          {"@odata.etag":"W/\"7100001\"","name":"B\u00f8e \"& Sons","creditlimit":25000.0000,"_primarycontactid_value":"C0000000-0000-4000-8000-000000000011","_primarycontactid_value@x.y":"contact","accountid":"a0000000-0000-4000-8000-000000000001","_transactioncurrencyid_value":null},
          {"accountid":"a0000000-0000-4000-8000-000000000002","creditlimit":null,"name":"","_primarycontactid_value":null,"more":{"a":[1]},"@odata.etag":"W/\"2\""}
        ],"@odata.count":2}"#;
        assert_eq!(next_link(body).unwrap().as_deref(), Some("https://crm.example/\"next"));
        let mut rows = accounts().rows();
        accounts().page(body, &mut rows).unwrap();
        let frame = rows.finish();
        let id = Uuid::from_u128(0xa000_0000_0000_4000_8000_0000_0000_0001);
        assert_eq!(frame.ids()[0], id);
        assert_eq!(frame.etag(0).as_deref(), Some("W/\"7100001\""));
        assert_eq!(frame.value("name", 0), Value::Text("Bøe \"& Sons".into()));
        assert_eq!(frame.value("creditlimit", 0), Value::Decimal(Decimal::new(250_000_000, 4)));
        assert_eq!(frame.value("accountid", 0), Value::Guid(id));
        for column in ["name", "creditlimit", "primarycontactid"] {
            assert_eq!(frame.value(column, 1), Value::Null, "{column}");
        }
    }

    #[test]
    fn erp_blanks_become_ours() {
        let columns = [
            ("number", Kind::Code, "number"),
            ("blocked", Kind::Enum, "blocked"),
            ("currencyId", Kind::Guid, "currencyId"),
            ("lastModifiedDateTime", Kind::DateTime, "lastModifiedDateTime"),
            ("day", Kind::Date, "day"),
            ("paymentTerm/code", Kind::Code, "paymentTerm/code"),
            ("paymentTerm/displayName", Kind::Text, "paymentTerm/displayName"),
        ];
        let layout = layout(Dialect::BusinessCentral, "id", &columns);
        let body = r#"{"value":[
          {"@odata.etag":"e","id":"e1000000-0000-4000-8000-000000000001","number":null,"blocked":"_x0020_","currencyId":"00000000-0000-0000-0000-000000000000","lastModifiedDateTime":"0001-01-01T00:00:00Z","day":"0001-01-01","paymentTerm":null},
          {"@odata.etag":"e","id":"e1000000-0000-4000-8000-000000000002","number":"10","blocked":"Non_x002D_Inventory","currencyId":"e9000000-0000-4000-8000-000000000001","lastModifiedDateTime":"2026-01-30T21:04:11.237Z","day":"2026-01-30","paymentTerm":{"@odata.etag":"x","displayName":"a","code":"30 DAYS"}}
        ]}"#;
        let mut rows = layout.rows();
        layout.page(body, &mut rows).unwrap();
        let frame = rows.finish();
        let table: Vec<_> = columns.iter().map(|(column, ..)| values(&frame, column).join(" | ")).collect();
        insta::assert_snapshot!(table.join("\n"), @r#"
        Text("") | Text("10")
        Text("") | Text("Non-Inventory")
        Null | Guid(e9000000-0000-4000-8000-000000000001)
        Null | DateTime(2026-01-30T21:04:11.237Z)
        Null | Date(2026-01-30)
        Text("") | Text("30 DAYS")
        Text("") | Text("a")
        "#);
    }

    #[test]
    fn of_a_record_on_two_pages_the_later_counts() {
        let page = |names: &[(u8, &str)]| {
            let row = |(id, name): &(u8, &str)| {
                format!(
                    r#"{{"@odata.etag":"e","accountid":"00000000-0000-4000-8000-0000000000{id:02}","name":"{name}","creditlimit":1,"_primarycontactid_value":null}}"#
                )
            };
            format!(r#"{{"value":[{}]}}"#, names.iter().map(row).collect::<Vec<_>>().join(","))
        };
        let mut rows = accounts().rows();
        accounts().page(&page(&[(1, "a"), (2, "b")]), &mut rows).unwrap();
        accounts().page(&page(&[(2, "B"), (3, "c")]), &mut rows).unwrap();
        assert_eq!(rows.count(), 3);
        assert_eq!(values(&rows.finish(), "name").join(""), r#"Text("a")Text("B")Text("c")"#);
    }

    #[test]
    fn a_page_that_cannot_be_trusted_is_refused() {
        let row = |cells: &str| format!(r#"{{"value":[{{"@odata.etag":"e",{cells}}}]}}"#);
        let id = r#""accountid":"a0000000-0000-4000-8000-000000000001""#;
        for (body, expected) in [
            (row(r#""name":"x""#), "a row has no `accountid`"),
            (row(&format!(r#"{id},"name":"x","creditlimit":1"#)), "a row has no `_primarycontactid_value`"),
            (
                row(&format!(r#"{id},"name":"x","creditlimit":"1","_primarycontactid_value":null"#)),
                "record a0000000-0000-4000-8000-000000000001: `1` in column `creditlimit` is no decimal",
            ),
            (
                row(r#""accountid":"1","name":"x","creditlimit":1,"_primarycontactid_value":null"#),
                "a row's `accountid` is no GUID",
            ),
            (
                row(&format!(r#"{id},"name":["x"],"creditlimit":1,"_primarycontactid_value":null"#)),
                "column `name` holds no text",
            ),
            (
                row(&format!(r#"{id},"name":17,"creditlimit":1,"_primarycontactid_value":null"#)),
                "column `name` holds no text",
            ),
            (
                row(&format!(r#"{id},"name":true,"creditlimit":1,"_primarycontactid_value":null"#)),
                "column `name` holds no text",
            ),
            (
                row(&format!(r#"{id},"name":"x","creditlimit":[1],"_primarycontactid_value":null"#)),
                "column `creditlimit` holds no single value",
            ),
        ] {
            let error = accounts().page(&body, &mut accounts().rows()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        for cut in [r#"{"value":[{"a":1}"#, r#"{"value":[]"#, "", "<html>", r#"{"other":[]}"#] {
            assert!(next_link(cut).is_err(), "{cut}");
        }
        let broken = r#"{"value":[],"error":{"code":"0x80044151","message":"Generic SQL error."}}"#;
        for body in [broken, &broken.replace(r#""value":[],"#, "")] {
            let told = "the answer breaks off with an error: Generic SQL error (0x80044151)";
            assert_eq!(next_link(body).unwrap_err(), told);
        }
    }

    #[test]
    fn an_answer_to_a_write_counts_only_where_it_is_whole() {
        let whole = r#"{"@odata.context":"x","@odata.etag":"e","accountid":"a0000000-0000-4000-8000-000000000001","name":"x","creditlimit":1,"_primarycontactid_value":null}"#;
        let without_etag = whole.replace(r#""@odata.etag":"e","#, "");
        let without_name = whole.replace(r#""name":"x","#, "");
        for (body, expected) in [(whole, true), (without_etag.as_str(), false), (&without_name, false), ("", false)] {
            let mut rows = accounts().rows();
            assert_eq!(accounts().row(body, &mut rows), Ok(expected));
            assert_eq!(rows.finish().rows(), usize::from(expected));
        }
    }
}
