//! The whole state on disk, in the form that both fakes share.
//!
//! Kept are the rows with their stamps and versions, what was deleted, the alternate keys, the settings and the clock; the log, the
//! tokens and the links to next pages are not.

use std::io;

use chrono::TimeDelta;
use serde_json::{Map, Value, json};

use super::schema::{self, TABLES};
use super::state::{self, State};
use super::store::{Row, Rule, Store, Unique};
use super::value;
use crate::saved::{self, broken};

/// The number of the saved form; another form is refused.
const FORMAT: u64 = 3;

impl State {
    /// Writes everything but the log and the tokens: a head, then a row a line.
    pub fn save(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let keys: Vec<Value> = (0..TABLES.len()).flat_map(|table| self.store.keys(table)).map(key_json).collect();
        let counts = TABLES.iter().enumerate();
        let counts: Map<String, Value> =
            counts.map(|(table, declared)| (declared.set.to_string(), self.store.rows(table).len().into())).collect();
        let graves = TABLES.iter().enumerate().flat_map(|(table, declared)| {
            self.store.graves(table).map(|(id, version)| json!([declared.set, id.to_string(), version]))
        });
        let deleted: Vec<Value> = graves.collect();
        let head = json!({
            "format": FORMAT,
            "version": self.version,
            "trackedFrom": self.tracked_from,
            "deleted": deleted,
            "caller": self.caller.to_string(),
            "baseCurrency": self.base_currency.to_string(),
            "productsStartActive": self.products_start_active,
            "bulkTables": self.bulk_tables,
            "clockAhead": self.clock_ahead.num_seconds(),
            "keys": keys,
            "sets": counts,
        });
        saved::write(out, &head)?;
        for table in 0..TABLES.len() {
            for (id, row) in self.store.rows(table) {
                saved::write(out, &Value::Object(state::record(table, *id, row)))?;
            }
        }
        Ok(())
    }

    /// Reads back what [`State::save`] wrote; stamps and versions are as they were.
    pub fn restore(input: &mut dyn io::Read) -> io::Result<State> {
        let mut lines = saved::Lines::new(input);
        let head = Value::Object(lines.read()?);
        let mut state = State::with_head(&head)?;
        for (set, count) in saved::sets(&head)? {
            let table = schema::by_set(&set).ok_or_else(|| broken(format!("no set {set}")))?;
            for _ in 0..count {
                state.take_back(table, &lines.read()?)?;
            }
        }
        lines.end()?;
        Ok(state)
    }

    fn with_head(head: &Value) -> io::Result<State> {
        if head["format"].as_u64() != Some(FORMAT) {
            return Err(broken("not in a format of this version"));
        }
        let id = |name: &str| head[name].as_str().and_then(value::guid).ok_or_else(|| broken(format!("no {name}")));
        let number = |name: &str| head[name].as_i64().ok_or_else(|| broken(format!("no {name}")));
        let mut state = State::default();
        state.store = Store::default();
        (state.caller, state.base_currency) = (id("caller")?, id("baseCurrency")?);
        state.products_start_active = head["productsStartActive"].as_bool().unwrap_or(true);
        if let Some(tables) = head["bulkTables"].as_array() {
            state.bulk_tables = tables.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        }
        state.clock_ahead = TimeDelta::seconds(number("clockAhead")?);
        (state.version, state.tracked_from) = (number("version")?, number("trackedFrom")?);
        for grave in head["deleted"].as_array().into_iter().flatten() {
            let table = grave[0].as_str().and_then(schema::by_set);
            let (Some(table), Some(id), Some(version)) =
                (table, grave[1].as_str().and_then(value::guid), grave[2].as_i64())
            else {
                return Err(broken("a deletion without a table, an id or a version"));
            };
            state.store.bury(table, id, version);
        }
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
            (_, note) => Err(broken(format!("{}.{}", TABLES[table].set, note.unwrap_or("a row has no id".into())))),
        }
    }
}

/// An alternate key as it is saved.
fn key_json(key: &Unique) -> Value {
    let Rule::Key(name) = &key.rule else { return Value::Null };
    let columns: Vec<&str> =
        key.columns.iter().map(|column| TABLES[key.table].columns[*column].name.as_str()).collect();
    json!({"table": TABLES[key.table].name, "name": name, "columns": columns})
}
