//! Every file in `pipelines/` is checked, planned and run: a shipped example cannot rot.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use pipeline::adapters::sqlite::SqliteStore;
use pipeline::address::Address;
use pipeline::config::check::{Purpose, check};
use pipeline::config::{PerSide, Pipeline, Proof, SecretSource, Side};
use pipeline::plan::ActionKind;
use pipeline::run::account::{RunOutcome, RunReport};
use pipeline::run::context::Options;
use pipeline::run::selection::Selection;
use pipeline::run::{RunError, run};
use uuid::Uuid;

use crate::world::{World, world};

fn now() -> String {
    "2026-01-31T02:00:00Z".into()
}

/// The variables that the program `mocks` sets.
fn variable(world: &World, name: &str) -> Option<String> {
    match name {
        "NAV_URL" => return Some(world.erp.nav_url()),
        "ODATA_URL" => return Some(world.erp.nav_url() + "/ODataV4"),
        "NAV_USER" | "ODATA_USER" => return Some(world.erp.nav_login().0),
        "NAV_ACCESS_KEY" | "ODATA_PASSWORD" => return Some(world.erp.nav_login().1),
        _ => {}
    }
    let sides = PerSide::from_fn(|side| world.connection(side));
    let (side, what) = match name.split_once('_')? {
        ("ERP", what) => (&sides.erp, what),
        ("CRM", what) => (&sides.crm, what),
        _ => return None,
    };
    let login = side.auth.client_credentials()?;
    match what {
        "URL" => Some(side.url.clone()),
        "TOKEN_URL" => Some(login.token_url.clone()),
        "CLIENT_ID" => Some(login.client_id.clone()),
        "CLIENT_SECRET" => match &login.proof {
            Proof::Secret(SecretSource::Given(secret)) => Some(secret.reveal().to_owned()),
            _ => None,
        },
        _ => None,
    }
}

/// How a night goes.
#[derive(Clone, Copy, Default)]
pub struct How {
    pub dry_run: bool,
    pub changed: bool,
    /// The account that gets a customer at all costs, and nobody else.
    pub anew: Option<uuid::Uuid>,
}

/// Reads a file with the variables of the fakes.
pub fn pipeline(world: &World, text: &str, file: &str) -> Pipeline {
    let checked = check(text, file, &|name| variable(world, name), Purpose::Run);
    assert!(checked.complaints.is_empty(), "{:#?}", checked.complaints);
    checked.pipeline.unwrap()
}

/// Runs a file once.
pub fn night(world: &World, text: &str, file: &str, state: &Path, how: How) -> RunReport {
    attempt(world, text, file, state, how).unwrap()
}

/// In each direction every row of the source side counts once, and besides a record that the run made on that side where
/// something of it went back.
pub fn add_up(pipeline: &Pipeline, report: &RunReport) {
    for (table, plan) in report.tables.iter().zip(&report.plan.tables) {
        let map = pipeline.tables.iter().find(|map| map.name == table.table).unwrap();
        for to in Side::BOTH {
            let counts = table.to.of(to);
            let sum = counts.inserted + counts.modified + counts.unchanged + counts.skipped + counts.failed;
            let those = |makes: bool, side: Side| -> HashSet<Uuid> {
                let actions = plan.actions.iter().filter(|action| action.side == side && action.kind.writes());
                actions.filter(|action| action.kind.makes_record() == makes).map(|action| action.ids.erp).collect()
            };
            let back = those(false, to).intersection(&those(true, to.other())).count() as u64;
            let expected = if map.direction.writes(to) { table.rows.of(to.other()) + back } else { 0 };
            assert_eq!(sum, expected, "{} to the {}: {counts:?}, {back} went back", table.table, to.name());
        }
    }
}

/// The same, where it may not be possible to run.
pub fn attempt(world: &World, text: &str, file: &str, state: &Path, how: How) -> Result<RunReport, RunError> {
    let anew = how.anew.map(|id| Address::parse(&format!("customers:crm:{id}")).unwrap());
    let selection = match anew {
        None => Selection::default(),
        Some(address) => Selection { records: vec![address], create: true, double: true, ..Selection::default() },
    };
    part(world, text, file, state, (how, selection))
}

/// Runs a part of a file once.
pub fn part(
    world: &World,
    text: &str,
    file: &str,
    state: &Path,
    (how, selection): (How, Selection),
) -> Result<RunReport, RunError> {
    let How { dry_run, changed, .. } = how;
    let pipeline = pipeline(world, text, file);
    let ends = PerSide::from_fn(|side| crate::world::open(side, pipeline.connections.of(side)));
    let options = Options {
        approved: None,
        guarded_plan: None,
        only: Vec::new(),
        selection,
        changed,
        dry_run,
        run: "a run".into(),
        started: now(),
        elapsed: &|| 0.0,
        stop: &AtomicBool::new(false),
    };
    let mut store = if dry_run {
        SqliteStore::read_only(state).unwrap()
    } else {
        SqliteStore::open(state, "a test", &now, pipeline.keep_values).unwrap()
    };
    run(&pipeline, PerSide { erp: &*ends.erp, crm: &*ends.crm }, &mut store, &options, &|_| {})
}

/// Returns how many writes arrived at both sides.
pub fn writes(world: &World) -> usize {
    let of = |side: Side| match side {
        Side::Erp => world.erp.log().lock().unwrap().writes().len(),
        Side::Crm => world.crm.log().lock().unwrap().writes().len(),
    };
    of(Side::Erp) + of(Side::Crm)
}

#[test]
fn every_file_is_planned_and_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 2, "{files:?}");
    for path in files {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let (world, state) = (world(), tempfile::tempdir().unwrap());
        let state = state.path().join("state.db");

        let planned = night(&world, &text, &file, &state, How { dry_run: true, ..How::default() });
        assert_eq!(writes(&world), 0, "{file}: a plan writes nothing");
        assert!(!state.exists(), "{file}: a plan keeps nothing");
        let updates =
            |report: &RunReport| report.plan.actions().filter(|action| action.kind == ActionKind::Update).count();
        assert!(updates(&planned) > 0, "{file}: the company has differences");

        let done = night(&world, &text, &file, &state, How::default());
        assert_eq!(done.outcome, RunOutcome::Converged, "{file}: {:#?}", done.inbox);
        let written = writes(&world);
        assert!(written > 0, "{file}");
        assert_eq!(night(&world, &text, &file, &state, How::default()).outcome, RunOutcome::Converged, "{file}");
        assert_eq!(writes(&world), written, "{file}: a second run writes nothing");
    }
}
