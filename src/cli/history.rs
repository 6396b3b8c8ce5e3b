//! `pipeline history`: earlier runs, their counts, errors and writes; or the writes to one record over all runs. Changes
//! nothing, and asks neither side save for the name of that record.

use crate::address::Unclear;
use crate::cli::args::HistoryArguments;
use crate::cli::exit::{Exit, Failure};
use crate::cli::why::{both_ids, locate, written_to};
use crate::cli::{print_as, world};
use crate::config::check::Purpose;
use crate::report;
use crate::report::history::Detail;
use crate::store::{RunRow, Store};

/// Carries out `history`.
pub fn history(arguments: &HistoryArguments) -> Result<Exit, Failure> {
    if let Some(record) = &arguments.record {
        return of_record(arguments, record);
    }
    let loaded = world::load_state(&arguments.file.path)?;
    let store = world::store(&loaded)?;
    let Some(wanted) = &arguments.run else {
        let runs = store.runs(arguments.limit.get())?;
        print_as(arguments.file.format, || report::history::text(&runs), || report::history::json(&runs))?;
        return Ok(Exit::Done);
    };
    let run = find(store.runs(usize::MAX)?, wanted)?;
    let writes = store.writes_of_run(&run.run)?;
    let detail = Detail { run, writes };
    let (text, json) = (report::history::detail_text, report::history::detail_json);
    print_as(arguments.file.format, || text(&detail), || json(&detail))?;
    Ok(Exit::Done)
}

/// Shows the writes to one record; its side is asked who bears that name.
fn of_record(arguments: &HistoryArguments, record: &str) -> Result<Exit, Failure> {
    let loaded = world::load(&arguments.file.path, Purpose::Run)?;
    let (address, map) = world::address(&loaded, record)?;
    let store = world::store(&loaded)?;
    let refused = |unclear: Unclear| Failure::Arguments { message: unclear.to_string(), hint: unclear.hint() };
    let found = world::speak(&loaded.pipeline, arguments.talk.verbose, |sides| locate(&store, map, sides, &address))?;
    let id = match found {
        Ok(id) => id,
        Err(unclear) => written_to(&store, map, &address)?.ok_or_else(|| refused(unclear))?,
    };
    let ids = both_ids(&store, &map.name, address.side, id)?;
    let writes = store.writes_to(&map.name, ids, arguments.limit.get())?;
    let (text, json) = (report::history::record_text, report::history::record_json);
    print_as(arguments.file.format, || text(&address, &writes), || json(&address, &writes))?;
    Ok(Exit::Done)
}

/// Finds a run by its id, by the beginning of it, or by `last`.
fn find(runs: Vec<RunRow>, wanted: &str) -> Result<RunRow, Failure> {
    let refused = |message: String, hint: &str| Failure::Arguments { message, hint: hint.to_owned() };
    let unknown = || refused(format!("no run `{wanted}` is kept"), "`pipeline history FILE` lists the runs that are");
    if wanted == "last" {
        return runs.into_iter().next().ok_or_else(unknown);
    }
    let mut found: Vec<RunRow> = runs.into_iter().filter(|run| run.run.starts_with(wanted)).collect();
    match found.len() {
        0 => Err(unknown()),
        1 => Ok(found.remove(0)),
        several => Err(refused(format!("{several} runs begin with `{wanted}`"), "give more of the id")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_found_by_the_beginning_of_its_id() {
        let runs = || ["ab12", "ab34", "cd56"].map(|run| RunRow { run: run.into(), ..RunRow::default() }).to_vec();
        for (wanted, expected) in
            [("cd", Some("cd56")), ("ab3", Some("ab34")), ("last", Some("ab12")), ("ab", None), ("x", None)]
        {
            assert_eq!(find(runs(), wanted).ok().map(|run| run.run).as_deref(), expected, "{wanted}");
        }
    }
}
