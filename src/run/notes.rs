//! What is worth a line in the report besides the counts.

use crate::run::account::{Event, TableReport};
use crate::run::context::Context;

/// Tells something that is worth a line, and keeps it for the report.
pub(super) fn note_it(context: &Context<'_>, report: &mut TableReport, note: String) {
    (context.tell)(Event::Note { table: &report.table, message: &note });
    report.notes.push(note);
}

/// Says how many there are.
pub(super) fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}
