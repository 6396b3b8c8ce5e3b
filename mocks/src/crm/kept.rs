//! The whole state on disk: one JSON document, a row a line, so that it is written and read without holding it
//! twice.
//!
//! Kept are the rows with their stamps and versions, the alternate keys, the settings and the clock; the log, the
//! tokens and the links to next pages are not.

use std::io::{self, BufRead};

use chrono::TimeDelta;
use serde_json::{Map, Value, json};

use super::schema::{self, TABLES};
use super::state::{self, State};
use super::store::{Row, Rule, Store, Unique};
use super::value;

/// The number of the saved form; another form is refused.
const FORMAT: u64 = 1;

impl State {
    /// Writes everything but the log and the tokens as JSON, a row at a time.
    pub fn save(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let keys: Vec<Value> = (0..TABLES.len()).flat_map(|table| self.store.keys(table)).map(key_json).collect();
        let head = json!({
            "format": FORMAT,
            "version": self.version,
            "caller": self.caller.to_string(),
            "baseCurrency": self.base_currency.to_string(),
            "productsStartActive": self.products_start_active,
            "clockAhead": self.clock_ahead.num_seconds(),
            "keys": keys,
        });
        write!(out, "{},\n\"sets\":{{", head.to_string().trim_end_matches('}'))?;
        for (table, declared) in TABLES.iter().enumerate() {
            write!(out, "{}\"{}\":[", if table == 0 { "\n" } else { ",\n" }, declared.set)?;
            for (number, (id, row)) in self.store.rows(table).iter().enumerate() {
                out.write_all(if number == 0 { b"\n" } else { b",\n" })?;
                serde_json::to_writer(&mut *out, &state::record(table, *id, row))?;
            }
            out.write_all(b"]")?;
        }
        out.write_all(b"}}\n")
    }

    /// Reads back what [`State::save`] wrote; stamps and versions are as they were.
    pub fn restore(input: &mut dyn io::Read) -> io::Result<State> {
        let mut lines = io::BufReader::new(input).lines();
        let head = lines.next().transpose()?.unwrap_or_default();
        // The first line is the head of the document, left open for the sets.
        let head: Value = serde_json::from_str(&format!("{}}}", head.trim_end_matches(',')))?;
        let mut state = State::with_head(&head)?;
        let mut table = None;
        for line in lines {
            let line = line?;
            if let Some(set) = line.strip_prefix('"') {
                table = schema::by_set(set.split('"').next().unwrap_or_default());
            } else if line.starts_with('{') {
                let text = ["]}}", "],", ","].iter().find_map(|end| line.strip_suffix(end)).unwrap_or(&line);
                let row: Map<String, Value> = serde_json::from_str(text)?;
                state.take_back(table.ok_or_else(|| broken("a row of no set"))?, &row)?;
            }
            if line.ends_with("]}}") {
                return Ok(state);
            }
        }
        Err(broken("the end is missing"))
    }

    fn with_head(head: &Value) -> io::Result<State> {
        if head["format"].as_u64() != Some(FORMAT) {
            return Err(broken("not in a format of this version"));
        }
        let id = |name: &str| head[name].as_str().and_then(value::guid).ok_or_else(|| broken(&format!("no {name}")));
        let number = |name: &str| head[name].as_i64().ok_or_else(|| broken(&format!("no {name}")));
        let mut state = State::default();
        state.store = Store::default();
        (state.caller, state.base_currency) = (id("caller")?, id("baseCurrency")?);
        state.products_start_active = head["productsStartActive"].as_bool().unwrap_or(true);
        state.clock_ahead = TimeDelta::seconds(number("clockAhead")?);
        state.version = number("version")?;
        for key in head["keys"].as_array().into_iter().flatten() {
            let columns: Vec<&str> =
                key["columns"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let (Some(table), Some(name)) = (key["table"].as_str(), key["name"].as_str()) else {
                return Err(broken("a key without a table or a name"));
            };
            state.add_key(table, name, &columns);
        }
        Ok(state)
    }

    fn take_back(&mut self, table: usize, properties: &Map<String, Value>) -> io::Result<()> {
        let mut notes = Vec::new();
        let (id, row) = self.read_loosely(table, properties, Row::default(), &mut |note| notes.push(note));
        match (id, notes.pop()) {
            (Some(id), None) => {
                self.store.put(table, id, row);
                Ok(())
            }
            (_, note) => Err(broken(&format!("{}.{}", TABLES[table].set, note.unwrap_or("a row has no id".into())))),
        }
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("saved CRM records: {what}"))
}

/// An alternate key as it is saved.
fn key_json(key: &Unique) -> Value {
    let Rule::Key(name) = &key.rule else { return Value::Null };
    let columns: Vec<&str> =
        key.columns.iter().map(|column| TABLES[key.table].columns[*column].name.as_str()).collect();
    json!({"table": TABLES[key.table].name, "name": name, "columns": columns})
}
