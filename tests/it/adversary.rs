//! Attempts to break the promises: what a kind night never does, a rule at a time, and then all of it by chance.

mod chance;
mod drawn;
mod made;
mod rules;
mod twins;

use pipeline::config::{Pipeline, Side};
use pipeline::run::account::RunReport;

/// Each row that was read is counted once in the direction away from its side.
fn adds_up(pipeline: &Pipeline, report: &RunReport, place: &str) {
    for table in &report.tables {
        let map = pipeline.tables.iter().find(|map| map.name == table.table).unwrap();
        for to in Side::BOTH.into_iter().filter(|to| map.direction.writes(*to)) {
            let counts = table.to.of(to);
            let sum = counts.inserted + counts.modified + counts.unchanged + counts.skipped + counts.failed;
            // A new record that was written back at once is one that nobody read; it may have failed for something else.
            let rows = *table.rows.of(to.other());
            let made =
                table.new_couplings - table.recognised - table.matched.iter().map(|(_, count)| count).sum::<u64>();
            // So is the lost partner of one that could not be deleted.
            let undeleted = report.inbox.iter().filter(|item| {
                item.table == table.table && item.message.contains(&format!("cannot be deleted in the {}", to.name()))
            });
            let name = (&table.table, to.name());
            assert!(
                rows <= sum && sum <= rows + made + undeleted.count() as u64,
                "{place}, {name:?}: {counts:?} of {rows}: {:#?}",
                report.inbox
            );
        }
    }
}
