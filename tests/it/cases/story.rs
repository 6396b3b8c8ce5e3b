//! A story: Markdown in, the same Markdown as it really went out.
//!
//! Sections are played in their order. `## Before` and `## Edits` change both sides, `## Run` runs the pipeline and
//! tells its report, `## After` tells what both sides hold. Everything else is for people.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pipeline::adapters::sqlite::SqliteStore;
use pipeline::cli::inbox::answer::{Desk, Wish};
use pipeline::config::{PerSide, Pipeline, Side};
use pipeline::endpoint::Endpoint;
use pipeline::run::context::Options;
use pipeline::run::run;
use pipeline::store::{InboxItem, Store};

use crate::cases::{sides, telling};
use crate::fixture;
use crate::memory::{Accident, Memory};

/// A story as it is told.
pub struct Story<'a> {
    name: &'a str,
    lines: Vec<&'a str>,
}

/// Both sides and a state, while a story is played.
pub struct Stage {
    pub pipeline: Pipeline,
    pub sides: PerSide<Memory>,
    store: SqliteStore<'static>,
    stop: Arc<AtomicBool>,
    runs: u32,
    _folder: tempfile::TempDir,
}

fn now() -> String {
    "2026-01-31T02:00:00Z".into()
}

impl Stage {
    fn new(tables: &str) -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db"), "a test", &now, true).unwrap();
        let tables = tables.strip_prefix("tables:\n").expect("a pipeline.yaml begins with `tables:`");
        Stage {
            pipeline: fixture::pipeline(tables),
            sides: PerSide::from_fn(sides::empty),
            store,
            stop: Arc::default(),
            runs: 0,
            _folder: folder,
        }
    }

    /// Runs the pipeline and tells the report; `how` is the title of its section.
    fn run(&mut self, how: &str) -> String {
        self.runs += 1;
        let options = Options {
            approved: None,
            guarded_plan: None,
            only: Vec::new(),
            selection: pipeline::run::selection::Selection::default(),
            changed: how == "Run over changes",
            dry_run: how == "Plan",
            run: format!("run {}", self.runs),
            started: now(),
            elapsed: &|| 0.0,
            stop: &self.stop,
        };
        for side in Side::BOTH {
            self.sides.of(side).written.lock().unwrap().clear();
        }
        let endpoints: PerSide<&dyn Endpoint> = PerSide { erp: &self.sides.erp, crm: &self.sides.crm };
        match run(&self.pipeline, endpoints, &mut self.store, &options, &|_| {}) {
            Ok(report) => telling::report(self, &report),
            Err(error) => format!("failed: {error}\n"),
        }
    }
}

impl<'a> Story<'a> {
    /// Takes a story apart.
    pub fn new(name: &'a str, told: &'a str) -> Story<'a> {
        assert!(told.starts_with("# "), "{name}: a story begins with its title");
        Story { name, lines: told.lines().collect() }
    }

    /// Plays the story with these table maps; returns it as it went.
    pub fn play(&self, tables: &str) -> String {
        let mut stage = Stage::new(tables);
        let mut out: Vec<String> = Vec::new();
        let mut section = "";
        let mut number = 0;
        while number < self.lines.len() {
            let line = self.lines[number];
            if let Some(title) = line.strip_prefix("## ") {
                section = title;
            }
            match (section, line) {
                ("Run" | "Run once more" | "Run over changes" | "Plan" | "After", "```") => {
                    out.push(line.to_owned());
                    let told = if section == "After" { telling::sides(&stage.sides) } else { stage.run(section) };
                    out.extend(told.lines().map(str::to_owned));
                    let rest = &self.lines[number + 1..];
                    let end = rest.iter().position(|line| *line == "```");
                    number += 1 + end.unwrap_or_else(|| panic!("{}: a block has no end", self.name));
                    out.push("```".to_owned());
                }
                ("Before" | "Edits", line) => {
                    number = self.edit(&mut stage, number, &mut out);
                    assert!(!line.starts_with("```"), "{}: what stands in a block is told by a run", self.name);
                }
                _ => out.push(line.to_owned()),
            }
            number += 1;
        }
        out.join("\n") + "\n"
    }

    /// Carries out what stands at a line (a table, a sentence of a list, or nothing); returns the last line of it.
    fn edit(&self, stage: &mut Stage, number: usize, out: &mut Vec<String>) -> usize {
        let line = self.lines[number];
        out.push(line.to_owned());
        if let Some(sentence) = line.strip_prefix("- ") {
            self.happen(stage, sentence);
            return number;
        }
        let Some((side, table)) = side_and_table(line.trim_end_matches(':')).filter(|_| line.ends_with(':')) else {
            return number;
        };
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut last = number;
        for (offset, line) in self.lines[number + 1..].iter().enumerate() {
            if line.starts_with('|') {
                rows.push(line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect());
            } else if !(line.is_empty() && rows.is_empty()) {
                break;
            }
            out.push((*line).to_owned());
            last = number + 1 + offset;
        }
        assert!(rows.len() > 2, "{}: no rows under `{line}`", self.name);
        assert_eq!(rows[0][0], "id", "{}: the first column is the id", self.name);
        for row in &rows[2..] {
            assert_eq!(row.len(), rows[0].len(), "{}: {row:?}", self.name);
            let values: Vec<(&str, &str)> =
                rows[0].iter().zip(row).skip(1).map(|(name, value)| (name.as_str(), value.as_str())).collect();
            sides::put(stage.sides.of(side), table, self.id(stage, side, table, &row[0]), &values);
        }
        last
    }

    /// Makes something happen that is no edit.
    fn happen(&self, stage: &mut Stage, sentence: &str) {
        let words: Vec<&str> = sentence.split(' ').collect();
        if let [number, "seconds", "pass"] = words[..] {
            let seconds: i64 = number.parse().unwrap_or_else(|_| panic!("{}: `{number}` is no number", self.name));
            return Side::BOTH.into_iter().for_each(|side| stage.sides.of(side).advance(seconds));
        }
        let what = words.get(3..).unwrap_or_default().join(" ");
        let place = words[..2.min(words.len())].join(" ");
        let (side, table) =
            side_and_table(&place).unwrap_or_else(|| panic!("{}: no side and table in `{sentence}`", self.name));
        let memory = stage.sides.of(side);
        match what.as_str() {
            "is asked for again" => {
                let id = Some(uuid::Uuid::from_u128(self.id(stage, side, table, words[2])));
                let name = &stage.pipeline.tables.iter().find(|map| map.sides.of(side).table == table).unwrap().name;
                let held = stage.store.inbox(Some(name)).unwrap();
                let is_it = |item: &&InboxItem| id == if side == Side::Erp { item.erp_id } else { item.crm_id };
                let item = held.iter().find(is_it).unwrap_or_else(|| panic!("{}: nothing waits", self.name));
                assert!(stage.store.retry(name, item.erp_id, item.crm_id).unwrap(), "{}: not refused", self.name);
            }
            "is deleted" => memory.delete(table, self.id(stage, side, table, words[2])),
            "answer is lost" if words[2] == "next" => memory.accidents.lock().unwrap().push(Accident::AnswerLost),
            "request is lost" if words[2] == "next" => memory.accidents.lock().unwrap().push(Accident::RequestLost),
            "be read" if words[2] == "cannot" => memory.unreadable.lock().unwrap().push(table.to_owned()),
            "be read again" if words[2] == "can" => memory.unreadable.lock().unwrap().retain(|name| name != table),
            other if other.starts_with("is answered: ") => {
                let id = Some(uuid::Uuid::from_u128(self.id(stage, side, table, words[2])));
                let (field, decision) = words[5..].split_at(words.len() - 6);
                let wish = Wish::parse(decision[0], field.first().unwrap_or(&"")).expect("a decision");
                let desk = Desk::new(&stage.pipeline, &stage.store).unwrap();
                let is_it = |item: &&InboxItem| id == if side == Side::Erp { item.erp_id } else { item.crm_id };
                let waiting: Vec<&InboxItem> = desk.items.iter().filter(is_it).collect();
                let reply = desk.answer_to(&waiting, &wish).unwrap();
                stage.store.reply(&[reply]).unwrap();
            }
            other => match other.strip_prefix("is refused: ").or(other.strip_prefix("is accepted").map(|_| "")) {
                Some("") => *memory.refuses.lock().unwrap() = None,
                Some(reason) => {
                    let (reason, table) = (reason.to_owned(), table.to_owned());
                    let id = (words[2] != "all").then(|| self.id(stage, side, &table, words[2]));
                    *memory.refuses.lock().unwrap() = Some(Box::new(move |of, write| {
                        let meant = of == table && id.is_none_or(|id| write.id.as_u128() == id);
                        meant.then(|| reason.clone())
                    }));
                }
                None => panic!("{}: `{sentence}` is not understood", self.name),
            },
        }
    }

    /// Returns the id of a record: a number, or the number in `new 1` of what a run made, by the order of the tables.
    fn id(&self, stage: &Stage, side: Side, table: &str, text: &str) -> u128 {
        match text.strip_prefix("new-") {
            Some(label) => telling::find_new(stage.sides.of(side), table, label)
                .unwrap_or_else(|| panic!("{}: no new record `{label}` in {table}", self.name)),
            None => text.parse().unwrap_or_else(|_| panic!("{}: `{text}` is no id", self.name)),
        }
    }
}

/// Reads `ERP customers`.
fn side_and_table(text: &str) -> Option<(Side, &str)> {
    let (side, table) = text.split_once(' ')?;
    let side = Side::BOTH.into_iter().find(|known| known.name() == side)?;
    sides::is_table(side, table).then_some((side, table))
}
