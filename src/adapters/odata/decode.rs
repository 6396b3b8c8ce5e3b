//! JSON pages into frames: each row's cells go from the text of the page straight into typed columns.
//!
//! In go a [`Layout`] (which property feeds which column) and bodies; out come rows. Decimals keep their own digits, keys
//! may come in any order, what was not asked for is skipped. The blanks of a [`Dialect`] become ours here: an ERP text is
//! never null, a CRM text is never empty, zero GUIDs and the year 1 are null. A cell that is no value of its column costs its
//! record ([`Unreadable`]); a record without id, or too many that cannot be read, cost the page. Nothing here follows links.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::adapters::odata::amiss::Amiss;
use crate::adapters::odata::fault::{Fault, legible};
use crate::adapters::odata::{Dialect, link, name};
use crate::endpoint::{TableInfo, key_text};
use crate::frame::builder::Builder;
use crate::frame::unreadable::Unreadable;
use crate::frame::{Cell, CellError, Column, Frame, Kind, Value, brief};

const ETAG: usize = 0;
/// Where the key begins; where it is made of several properties, they follow.
const KEY: usize = 1;
const NO_DATE: &str = "0001-01-01";
/// The longest text that a column of either service holds, in UTF-16 units: a memo of Dataverse. The ERP's are shorter (2,048).
const TEXT_CHARS_MAX: usize = 1_048_576;
/// Records of one read that may each be unreadable. Where there are more, it is the file that does not fit the table, or the
/// answer that is none of it: then nothing of it is believed.
const UNREADABLE_MAX: usize = 100;

/// Which property of a row feeds which column.
#[derive(Debug, Clone)]
pub struct Layout {
    /// What people call the table, for messages.
    table: String,
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
        Layout { table: String::new(), dialect, key: row_key, columns: kept, properties, sources }
    }

    /// Names the table, so that what is wrong with an answer can be found.
    pub fn of_table(self, table: &str) -> Layout {
        Layout { table: table.to_owned(), ..self }
    }

    /// Starts without rows.
    pub fn rows(&self) -> Rows {
        Rows { builder: Builder::new(self.columns.clone()), position: HashMap::new(), superseded: HashSet::new() }
    }

    /// Takes the rows of a page; fails where a record cannot be told from others, or too many cannot be read.
    pub fn page(&self, body: &str, rows: &mut Rows) -> Result<(), String> {
        let mut json = serde_json::Deserializer::from_str(body);
        let read = PageSeed { layout: self, rows }.deserialize(&mut json).and_then(|()| json.end());
        read.map_err(|error| self.of_this(error.to_string()))
    }

    /// Refuses what was read in several pieces where too many of its records cannot be read.
    pub fn bound(&self, frame: &Frame) -> Result<(), String> {
        few(frame.unreadables().iter().map(|(id, why)| (*id, why)), |id| self.known_as(id))
            .map_err(|message| self.of_this(message))
    }

    fn of_this(&self, message: String) -> String {
        if self.table.is_empty() { message } else { format!("{}: {message}", self.table) }
    }

    /// Returns what people find a record by: its key, where its id says nothing.
    fn known_as(&self, id: Uuid) -> String {
        let key = match &self.key {
            RowKey::Id => None,
            RowKey::Values { directory, .. } => directory.key(id),
        };
        key.map_or_else(|| id.to_string(), |key| key.join(", "))
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
        let mut row = self.object(body).map_err(|amiss| amiss.to_string())?;
        for (position, _) in self.sources.iter().filter(|(_, inner)| inner.is_some()) {
            row.cells[*position] = Some("null");
        }
        // Other services may have no versions at all; where there are some, the one in the answer is wanted.
        let needed = if self.dialect == Dialect::Plain { KEY } else { ETAG };
        if row.cells[needed..].iter().any(Option::is_none) {
            return Ok(false);
        }
        self.push(&row, rows).map(|()| true).map_err(|message| self.of_this(message))
    }

    /// Takes the record that is an answer by itself, as a row of a page is taken.
    pub fn record(&self, body: &str, rows: &mut Rows) -> Result<(), Amiss> {
        let row = self.object(body)?;
        self.push(&row, rows).map_err(|message| Amiss::Wrong(self.of_this(message)))
    }

    /// Reads one object.
    fn object<'de>(&self, body: &'de str) -> Result<Row<'de>, Amiss> {
        let mut row = Row::new(self.properties.len());
        let mut json = serde_json::Deserializer::from_str(body);
        let read = RowSeed { properties: &self.properties, row: &mut row }.deserialize(&mut json);
        match read.and_then(|()| json.end()) {
            Ok(()) => Ok(row),
            Err(error) => Err(Amiss::of_json(&self.of_this("the answer is no whole record".to_owned()), &error)),
        }
    }

    /// Takes a row; what of it cannot be read is noted, as long as it is clear which record it is.
    fn push(&self, row: &Row<'_>, rows: &mut Rows) -> Result<(), String> {
        let id = self.id(row)?;
        let mut unreadable: Option<Unreadable> = None;
        let mut spoil = |column: Option<&Column>, why: String| {
            let known = unreadable.get_or_insert_with(|| Unreadable { columns: Vec::new(), why });
            known.columns.extend(column.map(|column| column.name.clone()));
        };
        if row.twice.contains(&ETAG) {
            spoil(None, self.comes_twice(ETAG));
        }
        for (index, (column, (position, inner))) in self.columns.iter().zip(&self.sources).enumerate() {
            let cell = self.cell(row, column, *position, inner.as_ref());
            if let Err(why) = cell.and_then(|cell| push_cell(self.dialect, &mut rows.builder, index, cell)) {
                spoil(Some(column), why);
            }
        }
        if let Some(older) = rows.position.insert(id, rows.builder.rows()) {
            // The same record on two pages: it changed while we read, and the later page is newer (crm-api.md §5).
            rows.superseded.insert(older);
        }
        // A row without version can still be read; it can then only be written unconditionally.
        let etag = row.cells[ETAG].and_then(text).filter(|etag| is_version(etag)).unwrap_or_default();
        let Some(mut why) = unreadable else {
            rows.builder.end(id, &etag);
            return Ok(());
        };
        match why.columns.len() {
            0 | 1 => {}
            2 => why.why.push_str(", and one more column cannot be read"),
            columns => why.why.push_str(&format!(", and {} more columns cannot be read", columns - 1)),
        }
        rows.builder.end_unreadable(id, &etag, why);
        few(rows.builder.unreadables().iter().map(|(id, why)| (*id, why)), |id| self.known_as(id))
    }

    /// Returns which record a row is.
    fn id(&self, row: &Row<'_>) -> Result<Uuid, String> {
        let count = match &self.key {
            RowKey::Id => 1,
            RowKey::Values { kinds, .. } => kinds.len(),
        };
        for position in KEY..KEY + count {
            if row.cells[position].is_none() {
                return Err(format!("a row has no `{}`", self.properties[position]));
            }
            if row.twice.contains(&position) {
                return Err(format!("in a row {}", self.comes_twice(position)));
            }
        }
        let raw = |position: usize| row.cells[position].unwrap_or("null");
        match &self.key {
            RowKey::Id => {
                let id = text(raw(KEY)).and_then(|id| Uuid::try_parse(&id).ok());
                id.ok_or_else(|| format!("a row's `{}` is no GUID", self.properties[KEY]))
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
                Ok(id)
            }
        }
    }

    /// Returns what a row has for a column, or why that cannot be told.
    fn cell<'a>(
        &self,
        row: &Row<'a>,
        column: &Column,
        position: usize,
        inner: Option<&String>,
    ) -> Result<&'a str, String> {
        let name = &column.name;
        if row.twice.contains(&position) {
            return Err(format!("column `{name}`: {}", self.comes_twice(position)));
        }
        let raw = row.cells[position].ok_or_else(|| {
            let property = &self.properties[position];
            format!("column `{name}` is missing: there is no `{property}` in what came")
        })?;
        match inner {
            Some(inner) => inside(raw, inner).map_err(|why| format!("column `{name}`{why}")),
            None => Ok(raw),
        }
    }

    fn comes_twice(&self, position: usize) -> String {
        format!("the property `{}` comes twice", self.properties[position])
    }
}

/// Tells whether a text names a version, and can be sent as one (RFC 9110 §8.8.3): `*` would stand for every version, and what
/// is no letter of a header could end it.
fn is_version(etag: &str) -> bool {
    let is_sendable = etag.chars().all(|letter| letter == ' ' || letter.is_ascii_graphic());
    is_sendable && etag.split(',').all(|one| one.trim() != "*")
}

/// Refuses a read of which too many records cannot be read; `known_as` names one.
fn few<'a>(
    mut unreadable: impl ExactSizeIterator<Item = (Uuid, &'a Unreadable)>,
    known_as: impl Fn(Uuid) -> String,
) -> Result<(), String> {
    let count = unreadable.len();
    match unreadable.next() {
        Some((id, why)) if count > UNREADABLE_MAX => Err(format!(
            "{count} of the records so far cannot be read, which is more than single mistakes; record {}: {why}",
            known_as(id)
        )),
        _ => Ok(()),
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
    next: Option<&'a RawValue>,
    #[serde(borrow, rename = "@odata.context")]
    context: Option<&'a RawValue>,
    value: Option<IgnoredAny>,
    /// What went wrong after the status had been sent (OData JSON Format 4.01 §21.2).
    error: Option<IgnoredAny>,
}

/// Returns the link to the next page, or why the body is no complete page. One that is relative is so to the page itself.
///
/// This runs before the page is decoded, so that the next one can be asked for meanwhile; it also proves that the page
/// is whole, whatever the transport said.
pub fn next_link(body: &str) -> Result<Option<String>, Amiss> {
    let envelope: Envelope<'_> =
        serde_json::from_str(body).map_err(|error| Amiss::of_json("the answer is no complete page", &error))?;
    if envelope.error.is_some() {
        let fault = Fault::read(200, body.as_bytes());
        return Err(Amiss::Broken(format!("the answer breaks off with an error: {fault}")));
    }
    // What has another shape, and is whole, comes from something that is no such service.
    envelope.value.ok_or_else(|| Amiss::Wrong("the answer has no `value`".to_owned()))?;
    // A relative link is relative to the context, where a page names one (OData JSON Format 4.0 §4.3).
    let context = link_text("context", envelope.context)?.unwrap_or_default();
    let next = link_text("link to the next page", envelope.next)?;
    // One that is empty leads nowhere, and not to the context.
    Ok(next.map(|next| if next.is_empty() { String::new() } else { link::join(&context, &next) }))
}

/// Returns the link that a page gives under some name, where it gives one. What is no text is no link, and no later answer
/// makes it one.
pub fn link_text<'a>(name: &str, raw: Option<&'a RawValue>) -> Result<Option<Cow<'a, str>>, Amiss> {
    let no_text = |raw: &str| Amiss::Wrong(format!("its {name} is no text: {}", shown(raw)));
    raw.map(|raw| text(raw.get()).ok_or_else(|| no_text(raw.get()))).transpose()
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

/// Returns a property of a nested object, `null` where the object is null; else the end of a sentence that says why not.
fn inside<'a>(raw: &'a str, property: &String) -> Result<&'a str, String> {
    if raw == "null" {
        return Ok("null");
    }
    let mut row = Row::new(1);
    let seed = RowSeed { properties: std::slice::from_ref(property), row: &mut row };
    let read = seed.deserialize(&mut serde_json::Deserializer::from_str(raw));
    read.map_err(|_| format!(" was to be inside of an object, and there is {}", shown(raw)))?;
    match (row.cells[0], row.twice.is_empty()) {
        (_, false) => Err(format!(": the property `{property}` comes twice")),
        (Some(raw), true) => Ok(raw),
        (None, true) => Err(format!(" is missing: an expanded row has no `{property}`")),
    }
}

/// Returns what came as people are shown it.
fn shown(raw: &str) -> String {
    format!("`{}`", legible(&brief(raw)))
}

fn push_cell(dialect: Dialect, builder: &mut Builder, index: usize, raw: &str) -> Result<(), String> {
    let Column { name, kind } = builder.columns()[index].clone();
    let is_text = matches!(kind, Kind::Text | Kind::Code | Kind::Enum);
    let held = text(raw);
    if is_text && held.is_none() && raw != "null" {
        // A number there is another column's, or another type than the metadata say: as a text it would go over.
        return Err(format!("column `{name}` holds {}, which is no text", shown(raw)));
    }
    if let Some(text) = &held {
        within_bounds(text, &name)?;
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
        _ => return Err(format!("column `{name}` holds {}, which is no single value", shown(raw))),
    };
    let unfit = |CellError { cell, kind, .. }| format!("column `{name}` holds {}, which is no {kind}", shown(&cell));
    builder.push(index, cell).map_err(unfit)
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
        let mut row = Row::new(properties.len());
        while let Some(()) = seq.next_element_seed(RowSeed { properties, row: &mut row })? {
            self.layout.push(&row, self.rows).map_err(de::Error::custom)?;
            row.clear();
        }
        Ok(())
    }
}

/// A row as it came.
struct Row<'de> {
    /// One for each property, as far as it was there.
    cells: Vec<Option<&'de str>>,
    /// Properties that came more than once: which of their values counts nobody says (RFC 7493 §2.3).
    twice: Vec<usize>,
}

impl Row<'_> {
    fn new(properties_count: usize) -> Self {
        Row { cells: vec![None; properties_count], twice: Vec::new() }
    }

    fn clear(&mut self) {
        self.cells.fill(None);
        self.twice.clear();
    }
}

struct RowSeed<'a, 'de> {
    properties: &'a [String],
    row: &'a mut Row<'de>,
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
                    let value = map.next_value::<&'de RawValue>()?.get();
                    if self.row.cells[position].replace(value).is_some() {
                        self.row.twice.push(position);
                    }
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
mod tests;
