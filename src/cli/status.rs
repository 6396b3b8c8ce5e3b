//! `pipeline status`: couplings, what waits, the last runs and who is writing. Asks neither side, changes nothing, and
//! works while a run goes on.

use std::collections::BTreeMap;
use std::path::Path;

use crate::adapters::sqlite::SqliteStore;
use crate::cli::args::FileArguments;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{print_as, saved, world};
use crate::report;
use crate::report::status::Status;
use crate::run::strays;
use crate::store::Store;

/// How many runs are shown.
const RUNS_MAX: usize = 10;

/// How many are looked through for the last one that looked at all of a table map.
const LOOKED_THROUGH_MAX: usize = 100;

/// Carries out `status`.
pub fn status(arguments: &FileArguments) -> Result<Exit, Failure> {
    let loaded = world::load_state(&arguments.path)?;
    let store = world::store(&loaded)?;
    let binding = store.binding()?;
    let mut couplings = store.coupling_counts()?;
    let notes = strays::lost(&loaded.pipeline, &couplings).into_iter().collect();
    let mut tables: Vec<(String, u64)> = loaded
        .pipeline
        .tables
        .iter()
        .map(|table| (table.name.clone(), couplings.remove(&table.name).unwrap_or(0)))
        .collect();
    // Table maps that the file no longer has, but the state still knows.
    tables.extend(couplings);
    let inbox = store.inbox(None)?;
    let answered = world::answered(&store, &inbox)?;
    let stopped = saved::stopped(&loaded);
    let mut runs = store.runs(LOOKED_THROUGH_MAX)?;
    let names: Vec<&str> = tables.iter().map(|(table, _)| table.as_str()).collect();
    let hidden = report::history::hidden(&runs, &names);
    runs.truncate(RUNS_MAX);
    let status = Status {
        pipeline: loaded.pipeline.name,
        state: loaded.state.display().to_string(),
        exists: loaded.state.exists(),
        binding,
        notes,
        held_by: holder(&loaded.state),
        tables,
        watermarks: store.watermarks()?,
        inbox,
        answered,
        apart: kept_apart(&store)?,
        hidden,
        runs,
        stopped,
    };
    print_as(arguments.format, || report::status::text(&status), || report::status::json(&status))?;
    Ok(Exit::Done)
}

/// Returns how many records of each table map are kept apart.
pub fn kept_apart(store: &dyn Store) -> Result<BTreeMap<String, u64>, Failure> {
    let mut apart: BTreeMap<String, u64> = BTreeMap::new();
    for record in store.apart()? {
        *apart.entry(record.table).or_default() += 1;
    }
    Ok(apart)
}

/// Returns who writes to the state, by what the writer left beside it.
///
/// A writer that was killed leaves its name behind. Asking for the lock would tell, but could make a run fail that
/// starts in the same moment; so a name of this machine counts only while its process lives.
fn holder(state: &Path) -> Option<String> {
    let (holder, since) = SqliteStore::noted_holder(state)?;
    let lives = |process: &str| {
        // Where there is no such folder, the name is believed.
        !Path::new("/proc/self").exists() || Path::new("/proc").join(process).exists()
    };
    may_live(&holder, &world::holder(), lives).then(|| format!("{holder} since {since}"))
}

/// Tells whether a holder may be there still, as far as this machine can know.
fn may_live(holder: &str, own: &str, lives: impl Fn(&str) -> bool) -> bool {
    let parts = |name: &str| name.rsplit_once(" pid ").map(|(host, process)| (host.to_owned(), process.to_owned()));
    let Some((host, process)) = parts(holder) else { return false };
    parts(own).is_none_or(|(own, _)| own != host) || lives(&process)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_left_behind_counts_only_while_its_process_lives() {
        for (holder, own, lives, expected) in [
            ("night pid 12", "night pid 99", true, true),
            ("night pid 12", "night pid 99", false, false),
            ("night pid 12", "day pid 99", false, true),
            ("nonsense", "night pid 99", true, false),
        ] {
            let may = may_live(holder, own, |process| {
                assert_eq!(process, "12");
                lives
            });
            assert_eq!(may, expected, "{holder:?} {own}");
        }
    }
}
