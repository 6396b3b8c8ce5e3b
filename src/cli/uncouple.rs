//! `pipeline uncouple`: links end, records stay, and the two are kept apart until somebody couples them.

use crate::address::Address;
use crate::by_hand::Desk;
use crate::by_hand::bonds::bonds;
use crate::by_hand::parting::{Parting, fails_without, part};
use crate::cli::args::UncoupleArguments;
use crate::cli::ask::{self, Question};
use crate::cli::couple::{look, moment, objected, one_table, take};
use crate::cli::exit::{Exit, Failure};
use crate::cli::part::address;
use crate::cli::print_as;
use crate::cli::run;
use crate::cli::world::{self, Loaded};
use crate::config::check::Purpose;
use crate::config::{PerSide, TableMap};
use crate::endpoint::Endpoint;
use crate::report;
use crate::report::asked::Ask;
use crate::report::layout::plural;
use crate::report::uncouple::{Referring, Uncoupled};
use crate::store::Store;

/// Carries out `uncouple`.
pub fn uncouple(arguments: &UncoupleArguments) -> Result<Exit, Failure> {
    let loaded = world::load(&arguments.file.path, Purpose::Run)?;
    world::warn(&loaded);
    let (map, addresses) = asked_for(arguments, &loaded)?;
    world::has_state(&loaded, "nothing is coupled")?;
    let verbose = arguments.talk.verbose;
    let done = world::speak(&loaded.pipeline, verbose, |sides| end(arguments, &loaded, sides, map, &addresses))?;
    print_as(arguments.file.format, || report::uncouple::text(&done), || report::uncouple::json(&done))?;
    let whole = done.parted.iter().all(|one| one.failed.is_none());
    Ok(if whole { Exit::Done } else { Exit::Unfinished })
}

/// Ends the couplings of the records of a table map, once everything is agreed to.
fn end(
    arguments: &UncoupleArguments,
    loaded: &Loaded,
    sides: PerSide<&dyn Endpoint>,
    map: &TableMap,
    addresses: &[Address],
) -> Result<Uncoupled, Failure> {
    let store = look(loaded)?;
    let told = |error| run::failure(loaded, None, error);
    let desk = Desk::open(&loaded.pipeline, sides, &store, map).map_err(told)?;
    let (partings, referring) = found(arguments, loaded, &desk, &store, addresses)?;
    let shown = bonds(&store, partings.iter().map(|parting| (parting.table.as_str(), parting.ids)))?;
    let number_before = store.coupling_counts()?.remove(&map.name);
    agree(arguments, &partings)?;
    drop(store);
    let mut store = take(loaded, &desk, &shown)?;
    // All of them are those that were counted, not those that a run coupled meanwhile.
    if arguments.all && store.coupling_counts()?.remove(&map.name) != number_before {
        return Err(Failure::Moved { what: format!("the number of couplings of `{}`", map.name) });
    }
    let parted = part(&desk, &mut store, partings, &moment()).map_err(told)?;
    Ok(Uncoupled { table: map.name.clone(), parted, referring })
}

/// Returns the table map and the records of it that the arguments name, none with `--all`; refuses what makes no sense
/// before anything is asked.
fn asked_for<'a>(arguments: &UncoupleArguments, loaded: &'a Loaded) -> Result<(&'a TableMap, Vec<Address>), Failure> {
    let Some(first) = arguments.records.first() else {
        return Err(Failure::Arguments {
            message: "no record is given that is to be parted from its partner".to_owned(),
            hint: "`pipeline uncouple FILE customers:10000`, or a table map with `--all`".to_owned(),
        });
    };
    let table = first.split(':').next().unwrap_or_default().to_owned();
    world::known_tables(loaded, std::slice::from_ref(&table))?;
    world::known_tables(loaded, &arguments.along)?;
    let tables = &loaded.pipeline.tables;
    let map = tables.iter().find(|map| map.name == table).expect("the name is known");
    let addresses = match (arguments.all, arguments.records.as_slice()) {
        (true, [name]) if *name == map.name => Vec::new(),
        (true, _) => {
            return Err(Failure::Arguments {
                message: "`--all` takes one table map".to_owned(),
                hint: format!("`pipeline uncouple FILE {table} --all`"),
            });
        }
        (false, records) => records.iter().map(|record| address(record)).collect::<Result<Vec<_>, _>>()?,
    };
    if addresses.iter().any(|address| address.table != map.name) {
        return Err(one_table(map));
    }
    let refers = |name: &String| {
        let other = tables.iter().find(|map| map.name == *name);
        other.is_some_and(|other| other.refers_to(&map.name))
    };
    if let Some(other) = arguments.along.iter().find(|name| !refers(name)) {
        return Err(Failure::Arguments {
            message: format!("`{other}` has no field that refers to `{table}`"),
            hint: format!("leave `--with {other}` out, and part its records by name"),
        });
    }
    Ok((map, addresses))
}

/// Returns whom there is to part: the records asked for, with those of `--with` that refer to them; and who else refers to
/// them.
fn found(
    arguments: &UncoupleArguments,
    loaded: &Loaded,
    desk: &Desk<'_>,
    store: &dyn Store,
    addresses: &[Address],
) -> Result<(Vec<Parting>, Vec<Referring>), Failure> {
    let told = |error| run::failure(loaded, None, error);
    let map = desk.map;
    let along = !arguments.along.is_empty();
    let mut partings = desk.look_apart(store, addresses, along).map_err(told)?.map_err(|all| objected(&all))?;
    let mut referring = Vec::new();
    let tables = loaded.pipeline.tables.iter();
    for other in tables.filter(|other| other.name != map.name && other.refers_to(&map.name)) {
        let found = desk.referring(store, other, &partings).map_err(told)?;
        if !arguments.along.contains(&other.name) && !found.is_empty() {
            let records = found.into_iter().map(|parting| parting.record).collect();
            let fails = fails_without(other, &map.name);
            referring.push(Referring { table: other.name.clone(), records, fails });
        } else {
            partings.extend(found);
        }
    }
    let before: Vec<Parting> = partings.extract_if(.., |parting| parting.before).collect();
    if let (Some(first), true) = (before.first(), partings.is_empty()) {
        let more = if before.len() > 1 { ", …" } else { "" };
        return Err(Failure::Arguments {
            message: format!(
                "`{}`{more} is not coupled, and nothing of `{}` refers to it; nothing was done",
                first.record,
                arguments.along.join("`, `")
            ),
            hint: "there is nothing to part".to_owned(),
        });
    }
    Ok((partings, referring))
}

/// Asks before more than the one pair is parted that was named.
fn agree(arguments: &UncoupleArguments, partings: &[Parting]) -> Result<(), Failure> {
    if partings.len() > 1 || (arguments.all && !partings.is_empty()) {
        let pairs = plural(partings.len() as u64, "pair", "pairs");
        let asks = partings.iter().map(Ask::uncouple).collect();
        let otherwise = "`pipeline uncouple FILE TABLE:KEY` parts a single pair";
        ask::agree(Question { what: format!("uncouple {pairs}"), asks, otherwise }, arguments.yes)?;
    }
    Ok(())
}
