//! `pipeline couplings`: who is coupled with whom, as a list or as CSV. Reads the state and, for the labels, both sides.

use std::collections::HashMap;
use std::path::Path;

use uuid::Uuid;

use crate::address;
use crate::cli::args::{CouplingsAction, CouplingsArguments, CouplingsFilter, Format};
use crate::cli::exit::{Exit, Failure};
use crate::cli::run::failure;
use crate::cli::world::{self, Loaded};
use crate::cli::{print, print_as, sheet};
use crate::config::check::Purpose;
use crate::config::{PerSide, Side};
use crate::endpoint::Endpoint;
use crate::report::couplings as report;
use crate::report::couplings::Listed;
use crate::run::prepare::belongs_to;
use crate::store::Store;

/// Carries out `couplings`.
pub fn couplings(arguments: &CouplingsArguments) -> Result<Exit, Failure> {
    if arguments.action.is_some() && arguments.filter != CouplingsFilter::default() {
        return Err(Failure::Arguments {
            message: "`--table` and `--offline` before `list` or `export` say nothing about it".to_owned(),
            hint: "give them behind it".to_owned(),
        });
    }
    let (filter, out) = match &arguments.action {
        None => (&arguments.filter, None),
        Some(CouplingsAction::List(filter)) => (filter, None),
        Some(CouplingsAction::Export { out, filter }) => (filter, Some(out.as_deref())),
    };
    let verbose = arguments.talk.verbose;
    if filter.offline && verbose > 0 {
        return Err(Failure::Arguments {
            message: "`-v` says how much both sides are asked, and `--offline` asks neither".to_owned(),
            hint: "leave one of them out".to_owned(),
        });
    }
    let loaded = match filter.offline {
        true => world::load_state(&arguments.file.path)?,
        false => world::load(&arguments.file.path, Purpose::Run)?,
    };
    if let Some(Some(path)) = out {
        world::may_save(path)?;
    }
    let couplings = match filter.offline {
        true => listed(&loaded, filter, None)?,
        false => world::speak(&loaded.pipeline, verbose, |sides| listed(&loaded, filter, Some(sides)))?,
    };
    match (out, arguments.file.format) {
        (Some(Some(path)), format) => export(&couplings, path, format)?,
        (Some(None), Format::Text) => print(&csv(&couplings))?,
        // Programs get the same document whichever way they ask.
        (None, _) | (Some(None), Format::Json) => {
            print_as(arguments.file.format, || report::text(&couplings, &filter.table), || report::json(&couplings))?;
        }
    }
    Ok(Exit::Done)
}

/// Returns the couplings of the table maps asked for, in the order of the file; with labels where there are `sides` to ask.
fn listed(
    loaded: &Loaded,
    filter: &CouplingsFilter,
    sides: Option<PerSide<&dyn Endpoint>>,
) -> Result<Vec<Listed>, Failure> {
    world::known_tables(loaded, &filter.table)?;
    let store = world::store(loaded)?;
    let bound = store.binding()?;
    if let Some(sides) = sides {
        belongs_to(&loaded.pipeline, sides, bound.as_ref()).map_err(|error| failure(loaded, None, error))?;
    }
    let mut all = Vec::new();
    let asked = |name: &String| filter.table.is_empty() || filter.table.contains(name);
    for map in loaded.pipeline.tables.iter().filter(|map| asked(&map.name)) {
        let coupled = store.coupled(&map.name)?;
        let mut labels: PerSide<HashMap<Uuid, String>> = PerSide::default();
        if let (Some(sides), false) = (sides, coupled.is_empty()) {
            for side in Side::BOTH {
                *labels.of_mut(side) = address::labels(map, side, *sides.of(side), None)?;
            }
        }
        all.extend(coupled.into_iter().map(|coupling| {
            let labels = PerSide::from_fn(|side| labels.of(side).get(coupling.ids.of(side)).cloned());
            Listed { table: map.name.clone(), coupling, labels }
        }));
    }
    Ok(all)
}

fn csv(couplings: &[Listed]) -> String {
    sheet::write(&report::COLUMNS, &couplings.iter().map(report::row).collect::<Vec<_>>())
}

/// Writes couplings as CSV into a file.
fn export(couplings: &[Listed], path: &Path, format: Format) -> Result<(), Failure> {
    world::save(path, &csv(couplings))?;
    let file = path.display().to_string();
    let number = couplings.len() as u64;
    print_as(format, || report::exported_text(&file, number), || report::exported_json(&file, number))
}
