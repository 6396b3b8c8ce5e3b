//! Both fakes with a company, the shipped pipeline file, and a state: everything that a night needs.
//!
//! Time stands still unless somebody waits, so that no test does. Worlds are cheap to make again: what the fakes and the
//! state hold is kept as bytes, and a world that is settled once is there for every test that starts from one.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use mocks::crm::{self, Crm};
use mocks::data::{self, Chunk, Row};
use mocks::erp::{self, Erp};
use mocks::fault::Faults;
use mocks::log::Entry;
use pipeline::adapters::clock::{Clock, Patience};
use pipeline::adapters::open;
use pipeline::adapters::sqlite::SqliteStore;
use pipeline::config::check::{Purpose, check};
use pipeline::config::{PerSide, Pipeline, Side};
use pipeline::endpoint::Endpoint;
use pipeline::run::account::{RunOutcome, RunReport};
use pipeline::run::context::Options;
use pipeline::run::selection::Selection;
use pipeline::run::{RunError, run};
use pipeline::store::{InboxItem, Store};
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

pub const FULL: &str = include_str!("../../../pipelines/full.yaml");
/// How many firms the small company has.
const SMALL_FIRMS: usize = 40;

/// Both sides, the file and the state.
pub struct World {
    pub erp: Erp,
    pub crm: Crm,
    pub pipeline: Pipeline,
    /// Whether the next runs read changes only.
    pub changed: bool,
    /// What the next runs are narrowed to.
    pub selection: Selection,
    /// The clock of the next runs, where that has to be one that others know.
    pub clock: Option<Arc<dyn Clock>>,
    folder: TempDir,
    runs: u32,
}

/// What is left of a world when its fakes stop.
pub struct Kept {
    erp: Vec<u8>,
    crm: Vec<u8>,
    state: Option<Vec<u8>>,
    runs: u32,
}

/// A clock that only moves when somebody waits.
#[derive(Default)]
pub struct Still {
    now: Mutex<Duration>,
}

impl Clock for Still {
    fn now(&self) -> Duration {
        *self.now.lock().unwrap()
    }

    fn sleep(&self, wait: Duration) {
        *self.now.lock().unwrap() += wait;
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}

fn now() -> String {
    "2026-01-31T02:00:00Z".into()
}

/// Reads a pipeline file with the variables of two fakes.
fn pipeline(text: &str, erp: &Erp, crm: &Crm) -> Pipeline {
    let variable = |name: &str| match name {
        "ERP_URL" => Some(erp.url()),
        "ERP_TOKEN_URL" => Some(erp.token_url()),
        "ERP_CLIENT_ID" => Some(erp.client_id()),
        "ERP_CLIENT_SECRET" => Some(erp.client_secret()),
        "CRM_URL" => Some(crm.url()),
        "CRM_TOKEN_URL" => Some(crm.token_url()),
        "CRM_CLIENT_ID" => Some(crm.client_id()),
        "CRM_CLIENT_SECRET" => Some(crm.client_secret()),
        _ => None,
    };
    let checked = check(text, "full.yaml", &variable, Purpose::Run);
    checked.pipeline.unwrap_or_else(|| panic!("{:#?}", checked.complaints))
}

impl World {
    /// The default company, before the first night.
    pub fn new() -> World {
        static KEPT: OnceLock<Kept> = OnceLock::new();
        World::again(KEPT.get_or_init(|| World::fill(data::company::company(data::company::SEED))))
    }

    /// A small company, before the first night: of everything some, and fast.
    pub fn small() -> World {
        static KEPT: OnceLock<Kept> = OnceLock::new();
        World::again(KEPT.get_or_init(|| World::fill(data::scaled::scaled(SMALL_FIRMS, 1))))
    }

    /// So many firms, with a contact each and an item to ten, before the first night.
    pub fn scaled(firms: usize) -> World {
        World::again(&World::fill(data::scaled::scaled(firms, 1)))
    }

    /// Replaces parts of the shipped file for the next runs.
    pub fn rewrite(&mut self, parts: &[(&str, &str)]) {
        let text = parts.iter().fold(FULL.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        self.load(&text);
    }

    /// Takes another file for the next runs.
    pub fn load(&mut self, text: &str) {
        self.pipeline = pipeline(text, &self.erp, &self.crm);
    }

    /// Lets time pass on both sides.
    pub fn later(&self, seconds: i64) {
        self.erp.with(|state| state.advance(seconds));
        self.crm.with(|state| state.advance(seconds));
    }

    /// Runs over what was changed since the last time.
    pub fn run_changed(&mut self) -> RunReport {
        self.changed = true;
        let report = self.run();
        self.changed = false;
        report
    }

    /// How many requests for records arrived at each side, by set and in that order; metadata and logins left out.
    pub fn asked(&self) -> PerSide<Vec<(String, usize)>> {
        let count = |reads: Vec<Entry>| {
            let mut sets: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
            let records =
                reads.iter().filter(|entry| entry.set.starts_with(|letter: char| letter.is_ascii_lowercase()));
            records.for_each(|entry| *sets.entry(entry.set.to_string()).or_default() += 1);
            sets.into_iter().collect()
        };
        PerSide {
            erp: count(self.erp.log().lock().unwrap().reads()),
            crm: count(self.crm.log().lock().unwrap().reads()),
        }
    }

    /// The default company after its first night.
    pub fn settled() -> World {
        static KEPT: OnceLock<Kept> = OnceLock::new();
        World::again(KEPT.get_or_init(|| {
            let mut world = World::new();
            let report = world.run();
            assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
            world.keep()
        }))
    }

    fn fill(chunks: impl Iterator<Item = Chunk>) -> Kept {
        let (mut erp, mut crm) = (erp::State::default(), crm::State::default());
        erp.set_local_currency(data::LOCAL_CURRENCY);
        crm.set_base_currency(data::LOCAL_CURRENCY).unwrap();
        data::fill(chunks, &mut erp, &mut crm).unwrap();
        let mut kept = Kept { erp: Vec::new(), crm: Vec::new(), state: None, runs: 0 };
        erp.save(&mut kept.erp).unwrap();
        crm.save(&mut kept.crm).unwrap();
        kept
    }

    /// Makes a world from what was kept of another.
    pub fn again(kept: &Kept) -> World {
        let erp = erp::State::restore(&mut kept.erp.as_slice()).unwrap();
        let crm = crm::State::restore(&mut kept.crm.as_slice()).unwrap();
        let erp = Erp::start(erp, erp::Options::default()).unwrap();
        let crm = Crm::start(crm, crm::Options::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let world = World {
            pipeline: pipeline(FULL, &erp, &crm),
            changed: false,
            selection: Selection::default(),
            clock: None,
            erp,
            crm,
            folder,
            runs: kept.runs,
        };
        if let Some(state) = &kept.state {
            std::fs::write(world.path(), state).unwrap();
        }
        world
    }

    /// Keeps what the world holds.
    pub fn keep(&self) -> Kept {
        let mut kept =
            Kept { erp: Vec::new(), crm: Vec::new(), state: std::fs::read(self.path()).ok(), runs: self.runs };
        self.erp.with(|state| state.save(&mut kept.erp)).unwrap();
        self.crm.with(|state| state.save(&mut kept.crm)).unwrap();
        kept
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    /// Looks into the state, between two runs.
    pub fn store(&self) -> SqliteStore<'static> {
        SqliteStore::open(&self.path(), "a test", &now, true).unwrap()
    }

    /// Opens both sides, with tokens and metadata of their own.
    pub fn endpoints(&self) -> PerSide<Box<dyn Endpoint>> {
        let clock = self.clock.clone().unwrap_or_else(|| Arc::new(Still::default()));
        PerSide::from_fn(|side| open(side, self.pipeline.connections.of(side), Patience::default(), Arc::clone(&clock)))
    }

    /// Runs with what is asked for; each run is a process of its own, with tokens and metadata of its own.
    pub fn attempt(&mut self, only: &[&str], dry_run: bool) -> Result<RunReport, RunError> {
        self.runs += 1;
        let options = Options {
            approved: None,
            guarded_plan: None,
            only: only.iter().map(|name| (*name).to_owned()).collect(),
            selection: self.selection.clone(),
            changed: self.changed,
            dry_run,
            run: format!("run {}", self.runs),
            started: now(),
            elapsed: &|| 0.0,
            stop: &AtomicBool::new(false),
        };
        let endpoints = self.endpoints();
        let sides = PerSide { erp: &*endpoints.erp, crm: &*endpoints.crm };
        let mut store = self.store();
        run(&self.pipeline, sides, &mut store, &options, &|_| {})
    }

    /// Runs everything.
    pub fn run(&mut self) -> RunReport {
        self.attempt(&[], false).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs everything without writing.
    pub fn plan(&mut self) -> RunReport {
        self.attempt(&[], true).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs once more and demands that no write arrives at either side (I3).
    #[track_caller]
    pub fn quiet(&mut self) -> RunReport {
        self.forget();
        let report = self.run();
        assert_eq!(self.writes(), PerSide::default(), "a run without edits writes nothing");
        report
    }

    /// Forgets what has arrived at both sides.
    pub fn forget(&self) {
        self.erp.log().lock().unwrap().clear();
        self.crm.log().lock().unwrap().clear();
    }

    /// The writes that arrived at both sides, by the sides' own log.
    pub fn writes(&self) -> PerSide<Vec<Entry>> {
        PerSide { erp: self.erp.log().lock().unwrap().writes(), crm: self.crm.log().lock().unwrap().writes() }
    }

    /// What waits for a person.
    pub fn inbox(&self) -> Vec<InboxItem> {
        self.store().inbox(None).unwrap()
    }

    /// Sets the faults of one side.
    pub fn set_faults(&self, side: Side, faults: Faults) {
        match side {
            Side::Erp => self.erp.set_faults(faults),
            Side::Crm => self.crm.set_faults(faults),
        }
    }

    /// Returns the faults of one side with what of them has happened.
    pub fn faults(&self, side: Side) -> Faults {
        match side {
            Side::Erp => self.erp.faults(),
            Side::Crm => self.crm.faults(),
        }
    }

    /// Returns all records of a set.
    pub fn records(&self, side: Side, set: &str) -> Vec<Row> {
        match side {
            Side::Erp => self.erp.with(|state| state.records(set)),
            Side::Crm => self.crm.with(|state| state.records(set)),
        }
    }

    /// Finds the record of a set whose property shows that text.
    #[track_caller]
    pub fn find(&self, side: Side, set: &str, property: &str, text: &str) -> Uuid {
        let found = match side {
            Side::Erp => self.erp.with(|state| state.find(set, property, text)),
            Side::Crm => self.crm.with(|state| state.find(set, property, text)),
        };
        found.unwrap_or_else(|| panic!("no record of {set} with {property} = {text}"))
    }

    /// Returns one property of a record as text.
    #[track_caller]
    pub fn get(&self, side: Side, set: &str, id: Uuid, property: &str) -> String {
        let record = match side {
            Side::Erp => self.erp.with(|state| state.record(set, id)),
            Side::Crm => self.crm.with(|state| state.record(set, id)),
        };
        text(record.unwrap().get(property).unwrap_or(&Value::Null))
    }

    /// Edits a record as a person would.
    #[track_caller]
    pub fn edit(&self, side: Side, set: &str, id: Uuid, values: Value) {
        let values = values.as_object().unwrap();
        match side {
            Side::Erp => self.erp.with(|state| state.edit(set, id, values)).map_err(|error| format!("{error:?}")),
            Side::Crm => self.crm.with(|state| state.edit(set, id, values)).map_err(|error| format!("{error:?}")),
        }
        .unwrap();
    }
}

/// Returns a value as text; null is blank.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
