//! What a verb takes from the world: the pipeline file, variables, the state, both sides, time and names.
//!
//! Every function opens one thing and turns what can go wrong into a [`Failure`]. The order in which a verb calls them
//! is the order of the checks: file, variables, state, network.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};

use crate::adapters;
use crate::adapters::atomic_file::{self, Earlier};
use crate::adapters::clock::{Clock, Patience, SystemClock};
use crate::adapters::credentials;
use crate::adapters::sqlite::SqliteStore;
use crate::address::Address;
use crate::binding::Renamed;
use crate::cli::ask::Watch;
use crate::cli::exit::Failure;
use crate::cli::{places, progress, signals};
use crate::config::check::{Part, Purpose, check};
use crate::config::complaint::{self, Complaint, Complaints, Place, Severity, suggestion};
use crate::config::{Connection, PerSide, Pipeline, Side, TableMap, tree};
use crate::endpoint::Endpoint;
use crate::misfit::{At, Misfit};
use crate::report;
use crate::report::answers::Answered;
use crate::run::strays;
use crate::store::{Decision, InboxItem, InboxKind, Refusal, Store, StoreError};

/// A pipeline file that can be used.
#[derive(Debug)]
pub struct Loaded {
    pub pipeline: Pipeline,
    /// As it was given.
    pub file: String,
    pub text: String,
    /// Where the state is, seen from the working directory.
    pub state: PathBuf,
    /// What is odd about the file, and variables that are missing where that is allowed.
    pub warnings: Vec<Complaint>,
}

/// Refuses a path under which something is kept, before it is asked what to save there.
pub fn may_save(path: &Path) -> Result<(), Failure> {
    if path.symlink_metadata().is_ok() { Err(is_there(path)) } else { Ok(()) }
}

/// Saves a text in a new file, all of it or nothing: what is there already may be somebody's work.
pub fn save(path: &Path, text: &str) -> Result<(), Failure> {
    atomic_file::write(path, text.as_bytes(), Earlier::Stays).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => is_there(path),
        _ => Failure::Written { file: path.display().to_string(), message: error.to_string() },
    })
}

fn is_there(path: &Path) -> Failure {
    Failure::Arguments {
        message: format!("{} is there already, and stays as it is", path.display()),
        hint: "give another name, or remove it first".to_owned(),
    }
}

/// Returns the text of a file.
pub fn read(path: &Path) -> Result<String, Failure> {
    let file = || path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| Failure::File { file: file(), message: error.to_string() })?;
    String::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).into_owned();
        let line = good.rsplit('\n').next().unwrap_or_default();
        let byte = error.as_bytes()[good.len()];
        let complaint = Complaint {
            severity: Severity::Error,
            file: file(),
            line: good.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            path: String::new(),
            message: format!("is not UTF-8: there is a byte {byte:02X} behind `{}`", line.trim_start()),
            hint: Some("save the file as UTF-8".to_owned()),
        };
        Failure::Configuration { file: file(), complaints: vec![complaint] }
    })
}

/// Returns a variable of the environment; one that is no text counts as missing.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Reads and checks a pipeline file, and the certificates that it names.
pub fn load(path: &Path, purpose: Purpose) -> Result<Loaded, Failure> {
    let mut loaded = load_alone(path, purpose)?;
    let connections = &mut loaded.pipeline.connections;
    let misfits: Vec<Misfit> =
        Side::BOTH.into_iter().filter_map(|side| trust(path, side, connections.of_mut(side)).err()).collect();
    if misfits.is_empty() {
        return Ok(loaded);
    }
    let Loaded { file, text, warnings, .. } = loaded;
    let complaints = [places::complaints(&file, &text, &misfits), warnings].concat();
    Err(Failure::Configuration { file, complaints })
}

/// Reads the certificates that a connection of the file at `path` names; says what is wrong with them.
fn trust(path: &Path, side: Side, connection: &mut Connection) -> Result<(), Misfit> {
    let Some(ca_file) = &connection.ca_file else { return Ok(()) };
    connection.authorities = credentials::authorities(&folder_of(path).join(ca_file)).map_err(|message| Misfit {
        path: complaint::Path::root().key("connections").key(side.key()).key("ca_file"),
        at: At::Value,
        message,
        hint: "name a PEM file with the authority's certificate; a relative path starts at this file's folder"
            .to_owned(),
        value: None,
    })?;
    Ok(())
}

/// Says what is wrong with the certificates that a part of the file at `path` names.
pub fn certificate_complaints(path: &Path, text: &str, part: &Part) -> Vec<Complaint> {
    let misfit = |side: Side| trust(path, side, &mut part.connections.of(side).clone()?).err();
    let misfits: Vec<Misfit> = Side::BOTH.into_iter().filter_map(misfit).collect();
    places::complaints(&path.display().to_string(), text, &misfits)
}

fn load_alone(path: &Path, purpose: Purpose) -> Result<Loaded, Failure> {
    let text = read(path)?;
    let file = path.display().to_string();
    let checked = check(&text, &file, &variable, purpose);
    match checked.pipeline {
        Some(mut pipeline) => {
            let state = state_path(path, &pipeline.state);
            for side in Side::BOTH {
                pipeline.connections.of_mut(side).auth.begin_at(folder_of(path));
            }
            Ok(Loaded { pipeline, file, text, state, warnings: checked.complaints })
        }
        None => Err(Failure::Configuration { file, complaints: checked.complaints }),
    }
}

/// Reads and checks a pipeline file for a verb that needs its state and neither side: variables of the connections may
/// be missing, those of the state may not.
pub fn load_state(path: &Path) -> Result<Loaded, Failure> {
    let loaded = load_alone(path, Purpose::Check)?;
    if loaded.warnings.iter().any(|complaint| complaint.path == "state") {
        return Err(Failure::Configuration { file: loaded.file, complaints: loaded.warnings });
    }
    Ok(loaded)
}

/// Refuses a state that is not there yet, in which there is `nothing` of what is asked for.
pub fn has_state(loaded: &Loaded, nothing: &str) -> Result<(), Failure> {
    if loaded.state.exists() {
        return Ok(());
    }
    // One that has lost its file and kept its log is no state that is not there yet.
    SqliteStore::read_only(&loaded.state)?;
    Err(Failure::Arguments {
        message: format!("{nothing}: there is no state in {} yet", loaded.state.display()),
        hint: "the first `pipeline run` makes it; `state` of the file, and the variables in it, say where".to_owned(),
    })
}

/// Opens the state for reading; refuses that of a pipeline of another name.
pub fn store(loaded: &Loaded) -> Result<SqliteStore<'static>, Failure> {
    let store = SqliteStore::read_only(&loaded.state)?;
    if let Some(binding) = store.binding()? {
        let state = || loaded.state.display().to_string();
        binding.of_pipeline(&loaded.pipeline.name).map_err(|renamed| Failure::Renamed { state: state(), renamed })?;
    }
    Ok(store)
}

/// Returns what people answered to what waits, and no run has acted on: decisions that stand, and of the skipped `items`
/// those that nobody remembers a refusal of any more, since somebody asked for them.
pub fn answered(store: &dyn Store, items: &[InboxItem]) -> Result<Answered, StoreError> {
    let mut decisions = store.decisions(None)?;
    decisions.retain(|decision| decision.ended.is_none());
    let (decisions, unmet) = decisions.into_iter().partition(Decision::is_due);
    let skipped = || items.iter().filter(|item| item.kind == InboxKind::Skipped);
    let mut refused: HashMap<&str, Vec<Refusal>> = HashMap::new();
    for item in skipped() {
        if !refused.contains_key(item.table.as_str()) {
            refused.insert(&item.table, store.refusals(&item.table)?);
        }
    }
    let is_refused = |item: &&InboxItem| {
        let ids = (item.erp_id, item.crm_id);
        refused[item.table.as_str()].iter().any(|refusal| (refusal.erp, refusal.crm) == ids)
    };
    Ok(Answered { decisions, unmet, retried: skipped().filter(|item| !is_refused(item)).cloned().collect() })
}

/// Returns the path of a `sqlite:PATH` state; a relative one starts at the folder of the pipeline file.
pub fn state_path(file: &Path, state: &str) -> PathBuf {
    let path = state.strip_prefix("sqlite:").unwrap_or(state);
    folder_of(file).join(path)
}

/// Returns the folder at which relative paths of a file start.
fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

/// Prints what is odd about a file on stderr.
pub fn warn(loaded: &Loaded) {
    for complaint in &loaded.warnings {
        progress::say(&complaint.to_string());
    }
}

/// Refuses names of table maps that the file does not have.
pub fn known_tables(loaded: &Loaded, only: &[String]) -> Result<(), Failure> {
    let names: Vec<&str> = loaded.pipeline.tables.iter().map(|table| table.name.as_str()).collect();
    match only.iter().find(|name| !names.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(Failure::Arguments {
            message: format!("{} has no table map `{name}`", loaded.file),
            hint: suggestion(name, names.iter().copied()).unwrap_or_else(|| format!("it has: {}", names.join(", "))),
        }),
    }
}

/// Reads the name of a record, and finds its table map.
pub fn address<'a>(loaded: &'a Loaded, record: &str) -> Result<(Address, &'a TableMap), Failure> {
    let address = Address::parse(record).ok_or_else(|| Failure::Arguments {
        message: format!("`{record}` names no record"),
        hint: "a record is named `TABLE:KEY` by its ERP label or id, or `TABLE:crm:KEY` by those of the CRM".to_owned(),
    })?;
    known_tables(loaded, std::slice::from_ref(&address.table))?;
    let map = loaded.pipeline.tables.iter().find(|map| map.name == address.table);
    Ok((address, map.expect("its name was just found to be known")))
}

/// Makes the adapters of both sides; nothing is asked of them yet.
pub fn endpoints(pipeline: &Pipeline) -> PerSide<Box<dyn Endpoint>> {
    let clock = clock();
    PerSide::from_fn(|side| endpoint(side, pipeline.connections.of(side), &clock))
}

/// Lets a verb that makes no report of a run speak to both sides; with `-v` it is said afterwards how much they were asked,
/// whatever came of it.
pub fn speak<T>(pipeline: &Pipeline, verbose: u8, ask: impl FnOnce(PerSide<&dyn Endpoint>) -> T) -> T {
    let watch = Watch::start();
    let endpoints = endpoints(pipeline);
    let answer = ask(PerSide { erp: &*endpoints.erp, crm: &*endpoints.crm });
    if verbose > 0 {
        let requests = PerSide::from_fn(|side| endpoints.of(side).line().traffic());
        progress::say(&report::run::requests(&requests, watch.elapsed().as_secs_f64()));
    }
    answer
}

/// Makes the adapters of the sides that a part of the file at `path` says how to reach.
pub fn endpoints_of(path: &Path, part: &Part) -> PerSide<Option<Box<dyn Endpoint>>> {
    let clock = clock();
    PerSide::from_fn(|side| {
        let mut connection = part.connections.of(side).clone()?;
        connection.auth.begin_at(folder_of(path));
        // What is wrong with them is a complaint already.
        let _ = trust(path, side, &mut connection);
        Some(endpoint(side, &connection, &clock))
    })
}

fn endpoint(side: Side, connection: &Connection, clock: &Arc<dyn Clock>) -> Box<dyn Endpoint> {
    adapters::open(side, connection, Patience::default(), Arc::clone(clock))
}

/// Starts the one clock of both sides; it tells of long waits, and ends them with the program.
fn clock() -> Arc<dyn Clock> {
    let tell = |host: Option<&str>, wait: Duration| {
        let wait = wait.as_secs();
        let why = match host {
            Some(host) => format!("{host} has not answered in full yet"),
            None => "a service puts requests off, or does not answer".to_owned(),
        };
        progress::say(&format!("waiting for up to {wait} s: {why}; Ctrl-C ends the run"));
    };
    Arc::new(SystemClock::start_until(signals::stop_flag(), tell))
}

/// Returns the time in RFC 3339, to the second, in UTC.
pub fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Returns the name under which this process holds the state: `HOST pid 123`.
pub fn holder() -> String {
    let named = |name: String| Some(name.trim().to_owned()).filter(|name| !name.is_empty());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .and_then(named)
        .or_else(|| variable("HOSTNAME").and_then(named))
        .or_else(|| variable("COMPUTERNAME").and_then(named))
        .unwrap_or_else(|| "this machine".to_owned());
    format!("{host} pid {}", std::process::id())
}

/// Warns of what does not fit between a file and its state, as far as the file says where that is; a state that does not
/// exist yet fits. Which table maps it lost is known only of a whole `pipeline`.
pub fn state_complaints(path: &Path, text: &str, part: &Part, pipeline: Option<&Pipeline>) -> Vec<Complaint> {
    let file = path.display().to_string();
    let Some(state) = part.state.as_ref().map(|state| state_path(path, state)) else { return Vec::new() };
    let tree = tree::parse(text, &mut Complaints::new(&file));
    let complaint = |key: &str, message: String, hint: Option<String>| {
        let path = complaint::Path::root().key(key);
        let place = tree.as_ref().map_or(Place::START, |tree| tree.place_of(&path));
        let (line, column, path) = (place.line, place.column, path.to_string());
        Complaint { severity: Severity::Warning, file: file.clone(), line, column, path, message, hint }
    };
    let look = || {
        let store = SqliteStore::read_only(&state)?;
        Ok((store.binding()?, store.coupling_counts()?))
    };
    let (binding, couplings) = match look() {
        Ok(found) => found,
        Err(error) => {
            let failure = Failure::State(error);
            let (message, hint) = failure.told();
            return vec![complaint("state", message, Some(hint))];
        }
    };
    let renamed = binding.zip(part.name.as_ref()).and_then(|(binding, name)| binding.of_pipeline(name).err());
    let renamed = renamed.map(|renamed| {
        let hint = Failure::Renamed { state: String::new(), renamed: renamed.clone() }.hint();
        let Renamed { bound, now } = renamed;
        complaint(
            "name",
            format!("the state {} belongs to the pipeline `{bound}`, not `{now}`", state.display()),
            Some(hint),
        )
    });
    let lost = pipeline.and_then(|pipeline| strays::lost(pipeline, &couplings)).map(|message| {
        let (message, hint) =
            message.split_once("; ").map_or((&*message, None), |(message, hint)| (message, Some(hint)));
        complaint("tables", message.to_owned(), hint.map(str::to_owned))
    });
    renamed.into_iter().chain(lost).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_state_starts_at_the_folder_of_the_file() {
        for (file, state, expected) in [
            ("pipelines/full.yaml", "sqlite:state/full.db", "pipelines/state/full.db"),
            ("full.yaml", "sqlite:state/full.db", "state/full.db"),
            ("/etc/full.yaml", "sqlite:../var/full.db", "/etc/../var/full.db"),
            ("pipelines/full.yaml", "sqlite:/var/full.db", "/var/full.db"),
        ] {
            assert_eq!(state_path(Path::new(file), state), PathBuf::from(expected), "{file} {state}");
        }
    }

    #[test]
    fn a_file_of_another_encoding_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("latin.yaml");
        std::fs::write(&path, b"version: 1\n  name: S\xf6hne\n").unwrap();
        let Err(Failure::Configuration { complaints, .. }) = read(&path) else { panic!("it is no UTF-8") };
        let told = (complaints[0].line, complaints[0].column, complaints[0].message.as_str());
        assert_eq!(told, (2, 10, "is not UTF-8: there is a byte F6 behind `name: S`"));
    }

    /// One clear error for each, at its line; and what only the state is needed for goes without.
    #[test]
    fn certificates_that_are_none_are_told_with_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("full.yaml");
        let good = include_str!("../../tests/it/data/authority.pem");
        let text = include_str!("../../pipelines/full.yaml");
        let adapter = "    adapter: business-central\n";
        assert_eq!(text.matches(adapter).count(), 1);
        std::fs::write(&file, text.replace(adapter, &format!("{adapter}    ca_file: own.pem\n"))).unwrap();
        let damaged = good.replace("-----BEGIN CERTIFICATE-----\nM", "-----BEGIN CERTIFICATE-----\nA");
        for (content, expected) in [
            (None, "own.pem cannot be read: "),
            (Some("hello"), "own.pem holds no certificate in PEM"),
            (Some(&damaged), "own.pem is damaged"),
            (Some(good), ""),
            (Some(&format!("{good}\n{good}")), ""),
        ] {
            if let Some(content) = content {
                std::fs::write(folder.path().join("own.pem"), content).unwrap();
            }
            match load(&file, Purpose::Check) {
                Ok(loaded) => assert!(expected.is_empty() && !loaded.pipeline.connections.erp.authorities.is_empty()),
                Err(Failure::Configuration { complaints, .. }) => {
                    let told = complaints.iter().find(|told| told.path == "connections.erp.ca_file").unwrap();
                    assert!(!expected.is_empty() && told.message.contains(expected), "{told:?}");
                    let line = text.lines().position(|line| format!("{line}\n") == adapter).unwrap() + 2;
                    assert_eq!((told.line, told.severity), (line, Severity::Error));
                }
                Err(other) => panic!("{other:?}"),
            }
            assert!(load_state(&file).is_ok());
            // `check` says the same of a file that may be broken besides.
            let text = read(&file).unwrap();
            let checked = check(&text, "full.yaml", &variable, Purpose::Check);
            let part = checked.pipeline.map_or(checked.rest, Part::from);
            assert_eq!(certificate_complaints(&file, &text, &part).is_empty(), expected.is_empty(), "{expected}");
        }
    }

    #[test]
    fn the_holder_is_a_host_and_a_process() {
        let holder = holder();
        let (host, process) = holder.rsplit_once(" pid ").unwrap();
        assert!(!host.trim().is_empty());
        assert_eq!(process, std::process::id().to_string());
    }
}
