//! `pipeline status`: couplings, what waits, the last runs and who is writing. Asks neither side, changes nothing, and
//! works while a run goes on.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cli::args::FileArguments;
use crate::cli::exit::{Exit, Failure};
use crate::cli::{print_as, saved, world};
use crate::report;
use crate::report::status::Status;
use crate::run::strays;
use crate::store::Store;

/// How many runs are shown.
const RUNS_MAX: usize = 10;

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
        runs: store.runs(RUNS_MAX)?,
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
    let text = std::fs::read_to_string(state.with_added_extension("lock")).ok()?;
    holder_of(&text, &world::holder(), |process| {
        // Where there is no such folder, the name is believed.
        !Path::new("/proc/self").exists() || Path::new("/proc").join(process).exists()
    })
}

fn holder_of(text: &str, own: &str, lives: impl Fn(&str) -> bool) -> Option<String> {
    let (holder, since) = text.trim_end().split_once('\n')?;
    let host = |name: &str| name.rsplit_once(" pid ").map(|(host, _)| host.to_owned());
    let process = holder.rsplit_once(" pid ").map(|(_, process)| process)?;
    let here = host(holder) == host(own);
    (!here || lives(process)).then(|| format!("{holder} since {since}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_left_behind_counts_only_while_its_process_lives() {
        let text = "night pid 12\n2026-01-31T02:00:00Z\n";
        let told = Some("night pid 12 since 2026-01-31T02:00:00Z");
        for (text, own, lives, expected) in [
            (text, "night pid 99", true, told),
            (text, "night pid 99", false, None),
            (text, "day pid 99", false, told),
            ("", "night pid 99", true, None),
            ("nonsense", "night pid 99", true, None),
        ] {
            let holder = holder_of(text, own, |process| {
                assert_eq!(process, "12");
                lives
            });
            assert_eq!(holder.as_deref(), expected, "{text:?} {own}");
        }
    }
}
