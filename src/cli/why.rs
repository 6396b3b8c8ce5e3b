//! `pipeline why`: one record explained. Reads the state and both sides, writes nowhere.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use uuid::Uuid;

use crate::adapters::sqlite::SqliteStore;
use crate::address::{self, Address, Unclear};
use crate::cli::args::WhyArguments;
use crate::cli::exit::{Exit, Failure};
use crate::cli::inbox::find::lost_names;
use crate::cli::run::{failure, looking};
use crate::cli::world::{self, Loaded};
use crate::cli::{print_as, progress, saved};
use crate::config::check::Purpose;
use crate::config::complaint::suggestion;
use crate::config::{FieldMap, PerSide, Side, TableMap};
use crate::endpoint::Endpoint;
use crate::report;
use crate::run::account::Stopped;
use crate::run::explain::explain;
use crate::store::{JournalRow, Store, StoreError};
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
    let store = world::store(&loaded)?;
    let verbose = arguments.talk.verbose;
    world::speak(&loaded.pipeline, verbose, |sides| answer(arguments, &loaded, sides, store, (&address, map), field))
}

/// Explains the record of that name, or says who else bears one like it.
fn answer(
    arguments: &WhyArguments,
    loaded: &Loaded,
    sides: PerSide<&dyn Endpoint>,
    mut store: SqliteStore<'_>,
    (address, map): (&Address, &TableMap),
    field: Option<usize>,
) -> Result<Exit, Failure> {
    let id = match locate(&store, map, sides, address)? {
        Ok(id) => id,
        Err(unclear @ Unclear::Nobody(_)) => {
            let hint = unclear.hint();
            let message = match last_write(&store, map, address)? {
                Some(write) => format!("{unclear} any more: {}", told(&write)),
                None => unclear.to_string(),
            };
            let similar = address::similar(map, sides, &address.key)?;
            let (text, json) = (report::why::nobody_text, report::why::nobody_json);
            print_as(
                arguments.file.format,
                || text(address, &message, &hint, &similar),
                || json(address, &message, &hint, &similar),
            )?;
            return Ok(Exit::Unfinished);
        }
        Err(unclear) => return Err(Failure::Arguments { message: unclear.to_string(), hint: unclear.hint() }),
    };
    let began = Instant::now();
    let (elapsed, stop) = (|| began.elapsed().as_secs_f64(), AtomicBool::new(false));
    let options = looking(&elapsed, &stop);
    let subject = (map.name.as_str(), address.side, id);
    let explained = progress::on_request(arguments.talk.verbose, |tell| {
        explain(&loaded.pipeline, sides, &mut store, &options, tell, subject)
    });
    let explained = explained.map_err(|error| failure(loaded, None, error))?;
    let question = Question { map, side: address.side, id, field };
    let stopped = saved::stopped(loaded);
    let remembered = remember(&store, &question, stopped.get(&map.name))?;
    let why = crate::why::why(&question, explained, remembered);
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

/// Returns the newest write to the record of that name or id, or to its partner.
fn last_write(store: &dyn Store, map: &TableMap, address: &Address) -> Result<Option<JournalRow>, StoreError> {
    let Some(id) = written_to(store, map, address)? else { return Ok(None) };
    let ids = PerSide::from_fn(|side| (side == address.side).then_some(id));
    Ok(store.writes_to(&map.name, ids, 1)?.pop())
}

/// Returns the record of that name or id to which something was written, as the journal has it.
pub fn written_to(store: &dyn Store, map: &TableMap, address: &Address) -> Result<Option<Uuid>, StoreError> {
    if let Some(id) = address.id() {
        let ids = PerSide::from_fn(|side| (side == address.side).then_some(id));
        return Ok(store.writes_to(&map.name, ids, 1)?.pop().map(|_| id));
    }
    let write = store.writes_named(&map.name, &address.to_string(), 1)?.pop().map(|write| write.intent);
    Ok(write.map(|write| if write.side == address.side { write.id } else { write.partner }))
}

/// Says what was done last to a record that is not there any more.
fn told(write: &JournalRow) -> String {
    let (side, at) = (write.intent.side.name(), &write.intended_at);
    let what = match write.intent.action.as_str() {
        "delete" => format!("this pipeline deleted it in the {side} on {at}"),
        action if write.intent.writes() => {
            format!("the last that this pipeline did to it was `{action}` in the {side} on {at}")
        }
        "uncouple" => format!("it was uncoupled on {at}"),
        action => format!("the last that was done with it here was `{action}` on {at}"),
    };
    let answer = match write.outcome.as_deref() {
        None => " (no answer yet)".to_owned(),
        Some("written" | "found" | "done") => String::new(),
        Some(outcome) => format!(" ({outcome})"),
    };
    format!("{what}{answer}, because: {}", write.intent.why)
}

/// Finds the record that a name means: on its side, or where it is gone there, by its id among the couplings, by what it
/// was called among the deletions that wait or when it was settled, or by the name under which something was written to it.
pub fn locate(
    store: &dyn Store,
    map: &TableMap,
    sides: PerSide<&dyn Endpoint>,
    address: &Address,
) -> Result<Result<Uuid, Unclear>, Failure> {
    let found = address::find(map, sides, std::slice::from_ref(address))?.remove(0);
    if !matches!(found, Err(Unclear::Nobody(_))) {
        return Ok(found);
    }
    let gone = match address.id() {
        Some(id) => Some(id),
        None => lost(store, map, address)?,
    };
    Ok(match gone {
        Some(id) if store.coupling_of(&map.name, address.side, id)?.is_some() => Ok(id),
        _ => found,
    })
}

/// Returns the id of a record that no live one is called like, as the state remembers it.
pub fn lost(store: &dyn Store, map: &TableMap, address: &Address) -> Result<Option<Uuid>, StoreError> {
    let items = store.inbox(Some(&map.name))?;
    let names = lost_names(store, map, &items)?;
    let is_it = |name: &Address| name.side == address.side && name.key.eq_ignore_ascii_case(&address.key);
    let mut waiting = names.iter().filter(|(name, _)| is_it(name));
    if let (Some((_, item)), None) = (waiting.next(), waiting.next()) {
        return Ok(if address.side == Side::Erp { item.erp_id } else { item.crm_id });
    }
    // No run has seen it gone yet: its partner is coupled still, and the values that both agreed on name it.
    let label = map.sides.of(address.side).label.as_deref();
    let field = map.fields.iter().find(|field| label.is_some() && field.column(address.side) == label);
    if let Some(field) = field
        && let [pair] = store.pairs_with(&map.name, &field.key(), address.side, &address.key)?[..]
    {
        return Ok(Some(*pair.of(address.side)));
    }
    written_to(store, map, address)
}

/// Returns a record's ids on both sides, as far as it is coupled.
pub fn both_ids(store: &dyn Store, table: &str, side: Side, id: Uuid) -> Result<PerSide<Option<Uuid>>, StoreError> {
    let coupling = store.coupling_of(table, side, id)?;
    Ok(PerSide::from_fn(|of| match &coupling {
        Some(coupling) => Some(*coupling.ids.of(of)),
        None => (of == side).then_some(id),
    }))
}

/// Returns what the state remembers of a record; `kept` is why a guard stopped what is kept of its table map.
fn remember(store: &dyn Store, question: &Question<'_>, kept: Option<&Stopped>) -> Result<Remembered, StoreError> {
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
        inbox: store.inbox(Some(&map.name))?,
        guarded: report::history::guarded(&store.runs(RUNS_MAX)?, &map.name, kept),
        coupling,
    })
}
