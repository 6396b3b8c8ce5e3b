//! What is worth a line besides counts and decisions: about file and state together, and about single table maps.

use serde::Serialize;

use crate::config::PerSide;
use crate::plan::choice::Choice;
use crate::report::layout::count;
use crate::run::account::RunReport;

/// Notes of one table map that a text shows.
pub(super) const NOTES_MAX: usize = 10;

/// The notes of a run or of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// What is odd about file and state together, and which table maps were left out.
    pub general: Vec<String>,
    /// Those of each table map that has any.
    pub tables: Vec<(String, Vec<String>)>,
}

/// One note of a table map in the JSON of a plan.
#[derive(Serialize)]
pub(super) struct NoteDocument<'a> {
    table: &'a str,
    message: &'a str,
}

impl Notes {
    /// Takes the notes of a run.
    pub fn of(report: &RunReport) -> Notes {
        let noted = report.tables.iter().filter(|table| !table.notes.is_empty());
        Notes {
            general: report.notes.clone(),
            tables: noted.map(|table| (table.table.clone(), table.notes.clone())).collect(),
        }
    }

    /// Returns those of a part of a plan: what concerns a whole table map belongs to none of its records.
    pub fn part(&self, choice: &Choice) -> Notes {
        let meant = |table: &str| choice.holds_record(table, "", PerSide::default());
        Notes {
            general: if choice.is_all() { self.general.clone() } else { Vec::new() },
            tables: self.tables.iter().filter(|(table, _)| meant(table)).cloned().collect(),
        }
    }

    /// Returns them for people, under a heading; no lines where there are none.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.general.iter().map(|note| format!("  {note}")).collect();
        for (table, notes) in &self.tables {
            lines.extend(notes.iter().take(NOTES_MAX).map(|note| format!("  {table}: {note}")));
            if notes.len() > NOTES_MAX {
                lines.push(format!("  {table}: and {} more", count((notes.len() - NOTES_MAX) as u64)));
            }
        }
        if !lines.is_empty() {
            lines.insert(0, "notes:".to_owned());
        }
        lines
    }

    /// Returns those of table maps for programs.
    pub(super) fn documents<'a>(&'a self) -> Vec<NoteDocument<'a>> {
        let of_table = |(table, notes): &'a (String, Vec<String>)| {
            notes.iter().map(move |message| NoteDocument { table, message })
        };
        self.tables.iter().flat_map(of_table).collect()
    }
}
