//! `pipeline why`: one record explained. Reads the state and both sides, writes nowhere.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use uuid::Uuid;

use crate::adapters::sqlite::SqliteStore;
use crate::address::{self, Address, Unclear};
use crate::cli::args::WhyArguments;
use crate::cli::exit::{Exit, Failure};
use crate::cli::print_as;
use crate::cli::run::failure;
use crate::cli::world;
use crate::config::check::Purpose;
use crate::config::complaint::suggestion;
use crate::config::{FieldMap, PerSide, Side, TableMap};
use crate::endpoint::Endpoint;
use crate::report;
use crate::run::Options;
use crate::run::explain::explain;
use crate::run::selection::Selection;
use crate::store::{Store, StoreError};
use crate::why::{Question, Remembered};

/// How many writes to the record are shown.
const WRITES_MAX: usize = 5;

/// How many runs are asked for what their guards said.
const RUNS_MAX: usize = 20;

/// Carries out `why`.
pub fn why(arguments: &WhyArguments) -> Result<Exit, Failure> {
    let loaded = world::load(&arguments.file.path, Purpose::Run)?;
    world::warn(&loaded);
    let (address, map) = world::address(&loaded, &arguments.record)?;
    let field = arguments.field.as_deref().map(|name| field(map, name)).transpose()?;
    let mut store = SqliteStore::read_only(&loaded.state)?;
    world::binding(&loaded, &store)?;
    let endpoints = world::endpoints(&loaded.pipeline);
    let sides = PerSide { erp: &*endpoints.erp as &dyn Endpoint, crm: &*endpoints.crm };
    let id = match locate(&store, map, sides, &address)? {
        Ok(id) => id,
        Err(unclear @ Unclear::Nobody(_)) => {
            let (message, hint) = (unclear.to_string(), unclear.hint());
            let similar = address::similar(map, sides, &address.key)?;
            let (text, json) = (report::why::nobody_text, report::why::nobody_json);
            print_as(
                arguments.file.format,
                || text(&address, &message, &hint, &similar),
                || json(&address, &message, &hint, &similar),
            )?;
            return Ok(Exit::Unfinished);
        }
        Err(unclear) => return Err(Failure::Arguments { message: unclear.to_string(), hint: unclear.hint() }),
    };
    let began = Instant::now();
    let options = Options {
        approved: None,
        guarded_plan: None,
        selection: Selection::default(),
        only: Vec::new(),
        changed: true,
        dry_run: true,
        run: String::new(),
        started: world::now(),
        elapsed: &|| began.elapsed().as_secs_f64(),
        stop: &AtomicBool::new(false),
    };
    let subject = (map.name.as_str(), address.side, id);
    let explained = explain(&loaded.pipeline, sides, &mut store, &options, &|_| {}, subject);
    let explained = explained.map_err(|error| failure(&loaded, None, error))?;
    let question = Question { map, side: address.side, id, field };
    let why = crate::why::why(&question, explained, remember(&store, &question)?);
    print_as(arguments.file.format, || report::why::text(&why), || report::why::json(&why))?;
    Ok(Exit::Done)
}

/// Finds a field by its ERP column, or by its CRM column.
fn field(map: &TableMap, name: &str) -> Result<usize, Failure> {
    let is_it = |column: &Option<String>| column.as_deref() == Some(name);
    let by = |column: fn(&FieldMap) -> &Option<String>| map.fields.iter().position(|field| is_it(column(field)));
    by(|field| &field.erp).or_else(|| by(|field| &field.crm)).ok_or_else(|| {
        let names = || map.fields.iter().flat_map(|field| [&field.erp, &field.crm]).filter_map(|name| name.as_deref());
        let all = || format!("it has: {}", map.fields.iter().map(|field| field.name()).collect::<Vec<_>>().join(", "));
        let hint = suggestion(name, names()).unwrap_or_else(all);
        Failure::Arguments { message: format!("`{}` maps no field `{name}`", map.name), hint }
    })
}

/// Finds the record that a name means: on its side, or by its id among the couplings where it is gone there.
pub fn locate(
    store: &dyn Store,
    map: &TableMap,
    sides: PerSide<&dyn Endpoint>,
    address: &Address,
) -> Result<Result<Uuid, Unclear>, Failure> {
    let found = address::find(map, sides, std::slice::from_ref(address))?.remove(0);
    let gone = found.is_err().then(|| address.id()).flatten();
    Ok(match gone {
        Some(id) if store.coupling_of(&map.name, address.side, id)?.is_some() => Ok(id),
        _ => found,
    })
}

/// Returns a record's ids on both sides, as far as it is coupled.
pub fn both_ids(store: &dyn Store, table: &str, side: Side, id: Uuid) -> Result<PerSide<Option<Uuid>>, StoreError> {
    let coupling = store.coupling_of(table, side, id)?;
    Ok(PerSide::from_fn(|of| match &coupling {
        Some(coupling) => Some(*coupling.ids.of(of)),
        None => (of == side).then_some(id),
    }))
}

/// Returns what the state remembers of a record.
fn remember(store: &dyn Store, question: &Question<'_>) -> Result<Remembered, StoreError> {
    let Question { map, side, id, .. } = *question;
    let coupling = store.coupling_of(&map.name, side, id)?;
    let bases = match &coupling {
        Some(coupling) => store.base_values(&map.name, coupling.ids.erp, coupling.ids.crm)?,
        None => Default::default(),
    };
    let ids = both_ids(store, &map.name, side, id)?;
    Ok(Remembered {
        bases,
        apart: store.kept_apart_since(&map.name, side, id)?,
        writes: store.writes_to(&map.name, ids, WRITES_MAX)?,
        guarded: report::history::guarded(&store.runs(RUNS_MAX)?, &map.name),
        coupling,
    })
}
