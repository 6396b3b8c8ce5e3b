//! The talk while a run goes on: bars on a terminal, plain lines elsewhere, always on stderr.
//!
//! Hears the events of a run and shows them; what it shows decides nothing. No colour, so `NO_COLOR` has nothing to
//! switch off.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::config::{PerSide, Side};
use crate::report::layout::{count, plural};
use crate::run::account::{Counts, Event, TableReport};

/// How often a bar without news moves, so that one sees the program is alive.
const TICK: Duration = Duration::from_millis(120);

/// Where the events go.
pub struct Progress {
    /// Bars, where there is a terminal to draw them on.
    bars: Option<MultiProgress>,
    verbose: u8,
    tables: Mutex<HashMap<String, Table>>,
}

/// What is known of a table map under way.
struct Table {
    bar: ProgressBar,
    read: PerSide<usize>,
    written: PerSide<(usize, usize)>,
}

impl Progress {
    /// Looks at stderr and the environment: bars on a terminal that can move its cursor, lines elsewhere.
    pub fn new(verbose: u8) -> Progress {
        let dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        let terminal = std::io::stderr().is_terminal() && !dumb;
        Progress { bars: terminal.then(MultiProgress::new), verbose, tables: Mutex::default() }
    }

    /// Shows one event.
    pub fn tell(&self, event: Event<'_>) {
        if let Some(bars) = &self.bars {
            self.draw(bars, &event);
        }
        if let Some(line) = line(&event, self.verbose, self.bars.is_some()) {
            self.say(&line);
        }
    }

    /// Prints a line on stderr, above the bars.
    pub fn say(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| say(line)),
            None => say(line),
        }
    }

    /// Removes what is still drawn.
    pub fn clear(&self) {
        if let Some(bars) = &self.bars {
            // A terminal that went away is no reason to fail.
            let _ = bars.clear();
        }
    }

    fn draw(&self, bars: &MultiProgress, event: &Event<'_>) {
        let mut tables = self.tables.lock().expect("no event is shown by two threads that panic");
        match *event {
            Event::TableStarted { table, position, total } => {
                let bar = bars.add(ProgressBar::new_spinner());
                bar.set_style(style("{spinner} {prefix} {msg}"));
                bar.set_prefix(format!("[{position}/{total}] {table}"));
                bar.set_message("reading");
                bar.enable_steady_tick(TICK);
                let (read, written) = Default::default();
                tables.insert(table.to_owned(), Table { bar, read, written });
            }
            Event::Reading { table, side, rows } => {
                if let Some(table) = tables.get_mut(table) {
                    *table.read.of_mut(side) = rows;
                    table.bar.set_message(format!("reading: {}", rows_read(table.read)));
                }
            }
            Event::Merging { table } => {
                if let Some(table) = tables.get(table) {
                    table.bar.set_message(format!("comparing: {}", rows_read(table.read)));
                }
            }
            Event::Writing { table, side, done, total } => {
                if let Some(table) = tables.get_mut(table) {
                    *table.written.of_mut(side) = (done, total);
                    let PerSide { erp, crm } = table.written;
                    table.bar.set_style(style("{spinner} {prefix} writing [{bar:30}] {pos}/{len} {msg}"));
                    table.bar.set_length((erp.1 + crm.1) as u64);
                    table.bar.set_position((erp.0 + crm.0) as u64);
                    table.bar.set_message(side.name());
                }
            }
            Event::Warning { .. } | Event::Note { .. } => {}
            Event::TableFinished { report } => {
                if let Some(table) = tables.remove(&report.table) {
                    table.bar.finish_and_clear();
                    bars.remove(&table.bar);
                }
            }
        }
    }
}

/// Tells what a verb reads by the way to whoever asks for more talk, and to nobody else. What a run would do is no news
/// there: nothing of it is done.
pub fn on_request<T>(verbose: u8, work: impl FnOnce(&(dyn Fn(Event<'_>) + Sync)) -> T) -> T {
    if verbose == 0 {
        return work(&|_| {});
    }
    let progress = Progress::new(verbose);
    let done = work(&|event| match event {
        Event::TableFinished { report } => {
            let (table, rows, error) = (report.table.clone(), report.rows, report.error.clone());
            progress
                .tell(Event::TableFinished { report: &TableReport { table, rows, error, ..TableReport::default() } });
        }
        event => progress.tell(event),
    });
    progress.clear();
    done
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("the templates of this file are sound");
    style.progress_chars("=> ").tick_chars("-\\|/ ")
}

/// Prints a line on stderr; a reader that went away is no reason to fail.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Says that a signal was heard, and what becomes of what is under way.
pub fn stopping() {
    say("stopping: what was read is dropped, and the answer to a write under way is waited for; again to end at once");
}

/// Returns the line for an event; nothing where it is worth none at this verbosity.
///
/// On a terminal the bars tell that a table is under way and the report tells what became of it.
fn line(event: &Event<'_>, verbose: u8, bars: bool) -> Option<String> {
    match event {
        Event::TableStarted { table, position, total } => {
            (verbose > 1 && !bars).then(|| format!("[{position}/{total}] {table}"))
        }
        Event::Reading { table, side, rows } => {
            (verbose > 1 && !bars).then(|| format!("{table}: {} rows of the {}", count(*rows as u64), side.name()))
        }
        Event::Merging { .. } => None,
        Event::Writing { table, side, done, total } => (verbose > 1 && !bars).then(|| {
            format!("{table}: {} of {} written to the {}", count(*done as u64), count(*total as u64), side.name())
        }),
        Event::Warning { message } => Some(format!("warning: {message}")),
        Event::Note { table, message } => (verbose > 0).then(|| format!("{table}: {message}")),
        Event::TableFinished { report } => {
            (!bars || verbose > 0 || report.error.is_some() || report.guarded.is_some()).then(|| finished(report))
        }
    }
}

fn rows_read(read: PerSide<usize>) -> String {
    format!("{} ERP, {} CRM rows", count(read.erp as u64), count(read.crm as u64))
}

/// Returns what became of a table map, on one line.
fn finished(report: &TableReport) -> String {
    if let Some(error) = &report.error {
        return format!("{}: not finished: {error}", report.table);
    }
    if let Some(why) = &report.guarded {
        return format!("{}: stopped by its guard: {why}", report.table);
    }
    let read = PerSide { erp: report.rows.erp as usize, crm: report.rows.crm as usize };
    let mut parts = vec![rows_read(read)];
    let written = |counts: &Counts| counts.inserted + counts.modified + counts.deleted;
    for side in [Side::Crm, Side::Erp] {
        let counts = report.to.of(side);
        if written(counts) > 0 {
            parts.push(format!("{} to the {}", plural(written(counts), "record", "records"), side.name()));
        }
        if counts.failed > 0 {
            parts.push(format!("{} failed in the {}", count(counts.failed), side.name()));
        }
    }
    if report.new_couplings > 0 {
        parts.push(format!("{} coupled", plural(report.new_couplings, "pair", "pairs")));
    }
    if report.contested > 0 {
        parts.push(format!("{} contested", count(report.contested)));
    }
    format!("{}: {}", report.table, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn a_finished_table_is_one_line() {
        let report = samples::run_with_trouble();
        let lines: Vec<String> = report.tables.iter().map(finished).collect();
        assert_eq!(
            lines,
            [
                "salespeople: 11 ERP, 14 CRM rows, 3 records to the ERP, 12 pairs coupled",
                "customers: 12,605 ERP, 11,405 CRM rows, 2 records to the CRM, 1 failed in the CRM, 1,202 records to \
                 the ERP, 1,195 pairs coupled, 1 contested",
                "items: not finished: CRM cannot be reached: timed out after 5 attempts",
            ]
        );
    }

    #[test]
    fn more_is_told_to_those_who_ask() {
        let report = samples::run_with_trouble();
        let check = |event: &Event<'_>, expected: [bool; 6]| {
            let told = |verbose, bars| line(event, verbose, bars).is_some();
            let all = [told(0, false), told(1, false), told(2, false), told(0, true), told(1, true), told(2, true)];
            assert_eq!(all, expected, "{event:?}");
        };
        let (yes, no) = (true, false);
        check(&Event::TableStarted { table: "a", position: 1, total: 2 }, [no, no, yes, no, no, no]);
        check(&Event::Reading { table: "a", side: Side::Erp, rows: 1 }, [no, no, yes, no, no, no]);
        check(&Event::Merging { table: "a" }, [no; 6]);
        check(&Event::Writing { table: "a", side: Side::Erp, done: 1, total: 2 }, [no, no, yes, no, no, no]);
        check(&Event::Note { table: "a", message: "b" }, [no, yes, yes, no, yes, yes]);
        check(&Event::TableFinished { report: &report.tables[0] }, [yes, yes, yes, no, yes, yes]);
        check(&Event::TableFinished { report: &report.tables[2] }, [yes; 6]);
    }

    #[test]
    fn bars_follow_a_whole_run_without_a_terminal() {
        let hidden = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden());
        let progress = Progress { bars: Some(hidden), verbose: 0, tables: Mutex::default() };
        let report = TableReport { table: "a".into(), ..TableReport::default() };
        for event in [
            Event::Reading { table: "unknown", side: Side::Erp, rows: 5 },
            Event::TableStarted { table: "a", position: 1, total: 1 },
            Event::Reading { table: "a", side: Side::Erp, rows: 5 },
            Event::Merging { table: "a" },
            Event::Writing { table: "a", side: Side::Crm, done: 1, total: 4 },
            Event::Writing { table: "a", side: Side::Erp, done: 2, total: 2 },
        ] {
            progress.tell(event);
        }
        let bar = progress.tables.lock().unwrap()["a"].bar.clone();
        assert_eq!((bar.position(), bar.length()), (3, Some(6)));
        progress.tell(Event::TableFinished { report: &report });
        assert!(bar.is_finished() && progress.tables.lock().unwrap().is_empty());
        progress.clear();
    }
}
