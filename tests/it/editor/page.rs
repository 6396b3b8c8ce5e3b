//! docs/file.md, held against the schema: a row for every key and for nothing else, what is an error without it, what may
//! stand in `defaults`, the words that it takes, and what holds without it.

use std::collections::BTreeMap;
use std::path::Path;

use pipeline::config::check::{Purpose, check};
use pipeline::config::{Limits, PerSide, editor};
use serde_json::Value;

/// The tables of the page, by their heading or the words before them, and the map of the file whose keys each has.
const TABLES: [(&str, &str); 10] = [
    ("The file itself", ""),
    ("A connection", ".connections.erp"),
    ("Keys of `auth`", ".connections.erp.auth"),
    ("Keys of `limits`", ".connections.erp.limits"),
    ("Keys of `features`", ".connections.erp.features"),
    ("A table map", ".tables"),
    ("One side of a table map", ".tables.erp"),
    ("A rule of `match`", ".tables.match"),
    ("A template of `on_create`", ".tables.on_create"),
    ("A field map", ".tables.fields"),
];

/// Maps without a table of their own: the row of the key that holds one names its keys.
const WITHIN_A_ROW: [&str; 3] = [".connections", ".tables.guard", ".tables.fields.ref"];

/// A row of a table: the keys that it is about, and its cells by their headings.
struct Row {
    keys: Vec<String>,
    cells: BTreeMap<String, String>,
}

impl Row {
    fn text(&self) -> String {
        self.cells.values().cloned().collect::<Vec<_>>().join(" | ")
    }

    /// Returns what the page says of the time without the key.
    fn without(&self) -> Option<&str> {
        let (_, cell) = self.cells.iter().find(|(heading, _)| heading.starts_with("without it"))?;
        Some(cell)
    }
}

/// Returns what stands between backticks.
fn code(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Returns the tables of the page whose first column is a key, by what stands above them.
fn tables() -> BTreeMap<String, Vec<Row>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/file.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (mut tables, mut above, mut headings) = (BTreeMap::<String, Vec<Row>>::new(), String::new(), Vec::new());
    for line in page.lines() {
        if line.starts_with('#') {
            above = line.trim_start_matches('#').trim().to_owned();
        } else if line.starts_with("Keys of ") {
            above = line.split([',', ':']).next().unwrap().to_owned();
        }
        let Some(inner) = line.strip_prefix('|') else { continue };
        let cells: Vec<String> = inner.trim_end_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        if cells[0] == "key" {
            headings = cells;
        } else if !cells[0].starts_with("---") {
            assert_eq!(cells.len(), headings.len(), "{line}");
            let row = Row { keys: code(&cells[0]), cells: headings.iter().cloned().zip(cells).collect() };
            tables.entry(above.clone()).or_default().push(row);
        }
    }
    tables
}

/// Calls a function with each schema that a value of `schema` may have to follow, its own among them.
fn each<'a>(schema: &'a Value, root: &'a Value, look: &mut dyn FnMut(&'a Value)) {
    look(schema);
    if let Some(link) = schema["$ref"].as_str() {
        each(root.pointer(&link[1..]).unwrap(), root, look);
    }
    let ways = ["anyOf", "oneOf"].into_iter().flat_map(|place| schema[place].as_array().into_iter().flatten());
    ways.for_each(|way| each(way, root, look));
}

/// Returns the maps of the file by their path, those of lists and of names that a person chooses under the path of the whole.
fn maps<'a>(schema: &'a Value, root: &'a Value, path: &str, found: &mut BTreeMap<String, &'a Value>) {
    if !schema.is_object() {
        return;
    }
    each(schema, root, &mut |schema| {
        if let Some(keys) = schema["properties"].as_object() {
            found.insert(path.to_owned(), schema);
            keys.iter().for_each(|(key, own)| maps(own, root, &format!("{path}.{key}"), found));
        }
        for inside in ["items", "additionalProperties"] {
            maps(&schema[inside], root, path, found);
        }
    });
}

/// Returns the words that a key takes.
fn words(schema: &Value, root: &Value) -> Vec<String> {
    let mut words = Vec::new();
    each(schema, root, &mut |schema| words.extend(schema["const"].as_str().map(str::to_owned)));
    words
}

/// Returns what holds without a key, as its description ends: "`hold` without it".
fn default(schema: &Value) -> Option<String> {
    let description = schema["description"].as_str()?.replace('\n', " ");
    let (before, _) = description.split_once("` without ")?;
    before.rsplit('`').next().map(str::to_owned)
}

fn sorted<'a>(keys: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut keys: Vec<String> = keys.cloned().collect();
    keys.sort();
    keys
}

#[test]
fn the_page_of_the_file_has_a_row_for_every_key_and_for_nothing_else() {
    let (schema, tables) = (editor::schema(), tables());
    let root = schema.as_value();
    let mut found = BTreeMap::new();
    maps(root, root, "", &mut found);
    assert_eq!(sorted(tables.keys()), sorted(TABLES.map(|(title, _)| title.to_owned()).iter()));
    for (path, map) in found.iter().filter(|(path, _)| *path != ".defaults") {
        // Both sides, and a table map and the defaults, have the same keys.
        let path = path.replacen(".defaults", ".tables", 1).replacen("s.crm", "s.erp", 1);
        let keys = sorted(map["properties"].as_object().unwrap().keys());
        match TABLES.iter().find(|(_, own)| *own == path) {
            Some((title, _)) => {
                assert_eq!(sorted(tables[*title].iter().flat_map(|row| &row.keys)), keys, "docs/file.md, {title}");
            }
            None => {
                assert!(WITHIN_A_ROW.contains(&path.as_str()), "docs/file.md has no table for {path}");
                let (above, key) = path.rsplit_once('.').unwrap();
                let (title, _) = TABLES.iter().find(|(_, own)| *own == above).unwrap();
                let row = tables[*title].iter().find(|row| row.keys.iter().any(|own| own == key)).unwrap();
                let named = code(&row.text());
                for own in keys {
                    let is_named = named.iter().any(|word| word.split(':').next() == Some(&own));
                    assert!(is_named, "docs/file.md, {title}: `{key}` does not name `{own}`");
                    if let Some(default) = default(&map["properties"][&own]) {
                        assert!(row.without().unwrap().contains(&default), "docs/file.md, {title}: `{key}.{own}`");
                    }
                }
            }
        }
    }
}

#[test]
fn the_page_of_the_file_says_what_the_schema_says() {
    let (schema, tables) = (editor::schema(), tables());
    let root = schema.as_value();
    let mut found = BTreeMap::new();
    maps(root, root, "", &mut found);
    let mut defaults = 0;
    for (title, path) in TABLES {
        let map = found[path];
        for (key, row) in tables[title].iter().flat_map(|row| row.keys.iter().map(move |key| (key, row))) {
            let (own, place) = (&map["properties"][key], format!("docs/file.md, {title}: `{key}`"));
            if let Some(without) = row.without() {
                let required = map["required"].as_array().is_some_and(|all| all.contains(&Value::from(key.as_str())));
                // What may stand in `defaults` is missed where it stands in neither place, which the schema does not say.
                if row.cells.get("in `defaults`").is_none_or(|may| may == "no") {
                    assert_eq!(without == "an error", required, "{place}");
                }
                // A cell that begins with a word of code and goes on with a sentence, or not at all, begins with the default.
                let begins = without.strip_prefix('`').and_then(|cell| cell.split_once('`'));
                let told = begins.filter(|(_, after)| after.is_empty() || after.starts_with([':', '.']));
                assert_eq!(told.map(|(word, _)| word.to_owned()), default(own), "{place}");
                defaults += usize::from(told.is_some());
            }
            if let Some(may) = row.cells.get("in `defaults`") {
                assert_eq!(may == "yes", found[".defaults"]["properties"].get(key).is_some(), "{place}");
            }
            let rows = || tables.values().flatten().filter(|row| row.keys.contains(key));
            for word in words(own, root) {
                assert!(rows().any(|row| code(&row.text()).contains(&word)), "{place} does not take up `{word}`");
            }
        }
    }
    assert!(defaults > 10, "{defaults} defaults");
}

/// Returns the limits of both sides where the file says nothing of them.
fn limits(adapter: &str) -> PerSide<Limits> {
    let text = format!(
        "version: 1\nname: a\nstate: sqlite:a.db\nconnections:\n  erp: {{ adapter: {adapter}, url: \"https://a.example\", \
         company: A, auth: {{ type: bearer, token_file: a }} }}\n  crm: {{ adapter: dataverse, url: \
         \"https://b.example\", auth: {{ type: bearer, token_file: a }} }}\ntables:\n  a:\n    erp: {{ table: a }}\n    \
         crm: {{ table: b }}\n    direction: both\n    fields: [{{ erp: a, crm: b }}]\n"
    );
    let checked = check(&text, "a.yaml", &|_| None, Purpose::Check);
    let connections = checked.pipeline.unwrap_or_else(|| panic!("{:?}", checked.complaints)).connections;
    PerSide { erp: connections.erp.limits, crm: connections.crm.limits }
}

#[test]
fn the_page_of_the_file_has_the_limits_of_the_program() {
    let tables = tables();
    let (central, nav) = (limits("business-central"), limits("nav"));
    let of = |limits: &Limits| {
        let Limits { concurrency, requests, per_seconds, batch, page } = *limits;
        [
            ("concurrency", concurrency),
            ("requests", requests),
            ("per_seconds", per_seconds),
            ("batch", batch),
            ("page", page),
        ]
    };
    for (key, number) in [&central.erp, &central.crm, &nav.erp].into_iter().flat_map(of) {
        let row = tables["Keys of `limits`"].iter().find(|row| row.keys.iter().any(|own| own == key)).unwrap();
        let told = row.without().unwrap();
        let numbers = told.split(|c: char| !c.is_ascii_digit() && c != ',').map(|word| word.replace(',', ""));
        let numbers: Vec<String> = numbers.collect();
        assert!(numbers.contains(&number.to_string()), "`{key}` is {number}, and the page has: {told}");
    }
}
