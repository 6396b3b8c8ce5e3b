//! A night in which one request of twenty meets a fault, any that can be outlasted: it ends where an undisturbed night
//! does, nothing is doubled, and it takes few requests more than the undisturbed one and what had to be sent again.
//!
//! A small night is played inside of the test, by a clock that does not wait. `make noise` (the variable `CHANGES`) plays a
//! large one with the programs `mocks` and `pipeline`, which wait as the services ask. Both are judged alike: the end by
//! the oracle, the requests and the faults by the fakes' own count.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use mocks::data::Row;
use mocks::data::kept::Folder;
use mocks::fault::{Fault, Faults};
use pipeline::config::Side;
use pipeline::run::account::RunOutcome;

use super::oracle::{Snapshot, findings};
use super::world::World;

/// How many requests of all meet a fault.
const RATE: f64 = 0.05;
const SEED: u64 = 7;
/// What `make test` plays.
const CHANGES: u64 = 400;
/// Records in a batch: few, so that a night has requests enough to meet every kind of fault.
const BATCH: usize = 4;
/// Runs until nothing is left; those that follow settle what became of lost answers.
const RUNS_MAX: usize = 4;
/// Firms for each change of a first night: a few more than it takes.
const FIRMS_PER_CHANGE: f64 = 1.1;

/// What a night took.
#[derive(Debug, Default)]
struct Night {
    runs: usize,
    /// Operations that were no reading.
    writes: u64,
    requests: u64,
    /// By kind, both sides together.
    faults: BTreeMap<String, u64>,
}

impl Night {
    /// How many requests came to nothing and had to be sent again; the other faults leave the answer whole.
    fn spoilt(&self) -> u64 {
        let whole = [Fault::SlowPage, Fault::StaleEtag, Fault::ExpiredChanges].map(|fault| fault.to_string());
        self.faults.iter().filter(|(fault, _)| !whole.contains(fault)).map(|(_, count)| count).sum()
    }
}

/// Tells what was promised and does not hold.
fn broken(before: &Snapshot, after: &Snapshot, quiet: &Night, noisy: &Night, changes: u64) -> Vec<String> {
    let (_, mut broken) = findings(before, after);
    let most = (quiet.requests + noisy.spoilt()) * 115 / 100;
    if noisy.requests > most {
        broken
            .push(format!("{} requests are more than {most}: 15 % above the undisturbed and repeated", noisy.requests));
    }
    if quiet.writes < changes {
        broken.push(format!("the night has {} changes and not {changes}", quiet.writes));
    }
    if noisy.spoilt() * 50 < noisy.requests {
        broken.push(format!("of {} requests {} were spoilt: that is no noise", noisy.requests, noisy.spoilt()));
    }
    broken
}

/// Shows both nights, and demands that all of it holds.
#[track_caller]
#[expect(clippy::print_stdout, reason = "`make noise` is for the figures")]
fn judge(before: &Snapshot, after: &Snapshot, quiet: &Night, noisy: &Night, changes: u64) {
    let broken = broken(before, after, quiet, noisy, changes);
    let kinds: Vec<String> = noisy.faults.iter().map(|(fault, count)| format!("{count} {fault}")).collect();
    println!("changes: {}", quiet.writes);
    println!("faults: {} ({})", noisy.faults.values().sum::<u64>(), kinds.join(", "));
    println!("requests undisturbed: {} in {} run", quiet.requests, quiet.runs);
    println!("requests disturbed: {} in {} runs, {} of them spoilt", noisy.requests, noisy.runs, noisy.spoilt());
    let share = noisy.requests as f64 / (quiet.requests + noisy.spoilt()) as f64;
    println!("disturbed / (undisturbed + spoilt): {share:.3}");
    let verdict = if broken.is_empty() { "both sides are equal, nothing is doubled" } else { "a promise is broken" };
    println!("verdict: {verdict}");
    assert!(broken.is_empty(), "{} findings:\n{}", broken.len(), broken[..broken.len().min(40)].join("\n"));
}

fn firms(changes: u64) -> usize {
    (changes as f64 * FIRMS_PER_CHANGE).ceil() as usize
}

/// Plays a night inside of the test.
fn played(world: &mut World, rate: f64) -> Night {
    for side in Side::BOTH {
        world.pipeline.connections.of_mut(side).limits.batch = BATCH;
        let mut faults = Faults::noise(SEED * 2 + side as u64, rate);
        // The fakes go by the clock on the wall, which no test waits for.
        (faults.retry_after, faults.delay) = (0, Duration::from_millis(1));
        world.set_faults(side, faults);
    }
    let mut night = Night::default();
    let mut outcome = None;
    while outcome != Some(RunOutcome::Converged) {
        assert!(night.runs < RUNS_MAX, "{outcome:?} {:#?}", world.inbox());
        night.runs += 1;
        outcome = Some(world.run().outcome);
    }
    night.writes = world.erp.counts().writes + world.crm.counts().writes;
    for side in Side::BOTH {
        let faults = world.faults(side);
        night.requests += faults.requests();
        for (fault, count) in faults.applied() {
            *night.faults.entry(fault.to_string()).or_default() += count;
        }
        world.set_faults(side, Faults::none());
    }
    night
}

/// The programs, with a folder of records for each night.
struct Programs {
    folder: tempfile::TempDir,
    firms: usize,
}

impl Programs {
    fn new(firms: usize) -> Programs {
        let folder = tempfile::tempdir().unwrap();
        let small =
            super::world::FULL.replace("    auth:\n", &format!("    limits: {{ batch: {BATCH} }}\n    auth:\n"));
        std::fs::write(folder.path().join("full.yaml"), small).unwrap();
        Programs { folder, firms }
    }

    fn data(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `mocks` around a command.
    fn mocks(&self, name: &str, noise: &str, command: &[&str]) -> Output {
        let pipeline = Path::new(env!("CARGO_BIN_EXE_pipeline"));
        let mut mocks = Command::new(pipeline.with_file_name("mocks"));
        mocks.args(["--records", &self.firms.to_string(), "--noise", noise, "--data"]).arg(self.data(name));
        mocks.arg("--").args(command).env_remove("ERP_COMPANY");
        mocks.output().unwrap_or_else(|error| panic!("mocks: {error}; `cargo build` makes it"))
    }

    /// What both sides hold.
    fn snapshot(&self, name: &str) -> Snapshot {
        let (_folder, erp, crm) = Folder::open_kept(&self.data(name)).unwrap();
        let records = |side: Side, set: &str| -> Vec<Row> {
            match side {
                Side::Erp => erp.records(set),
                Side::Crm => crm.records(set),
            }
        };
        Snapshot::from(records)
    }

    /// Plays a night.
    fn played(&self, name: &str, rate: f64) -> Night {
        let mut night = Night::default();
        let file = self.folder.path().join("full.yaml").to_string_lossy().into_owned();
        loop {
            // Other faults in each run, or the same request would meet the same one for ever.
            let noise = format!("{rate}:{}", SEED + night.runs as u64);
            let output = self.mocks(name, &noise, &[env!("CARGO_BIN_EXE_pipeline"), "run", &file]);
            let told = String::from_utf8_lossy(&output.stderr);
            night.runs += 1;
            night.count(&told);
            if output.status.code() == Some(0) {
                return night;
            }
            let report = String::from_utf8_lossy(&output.stdout);
            assert!(night.runs < RUNS_MAX, "{}\n{report}\n{told}", output.status);
        }
    }
}

impl Night {
    /// Adds what `mocks` told of a run at its end.
    fn count(&mut self, told: &str) {
        let lines = told.lines().filter_map(|line| line.strip_prefix("mocks: "));
        let mut found = 0;
        for (_, counts) in lines.filter_map(|line| line.split_once(": ")) {
            for part in counts.replace(" faults: ", " faults, ").split(", ") {
                let Some((count, what)) = part.split_once(' ') else { continue };
                let Ok(count) = count.parse::<u64>() else { continue };
                match what {
                    "requests" => (self.requests, found) = (self.requests + count, found + 1),
                    "writes" => self.writes += count,
                    what if what.parse::<Fault>().is_ok() => *self.faults.entry(what.to_owned()).or_default() += count,
                    _ => {}
                }
            }
        }
        assert_eq!(found, 2, "each side tells its requests: {told}");
    }
}

#[test]
fn a_noisy_night_ends_as_a_quiet_one_for_few_requests_more() {
    if let Ok(changes) = std::env::var("CHANGES") {
        let changes = changes.parse().unwrap();
        let programs = Programs::new(firms(changes));
        programs.mocks("noisy", "0", &["true"]);
        let before = programs.snapshot("noisy");
        let (quiet, noisy) = (programs.played("quiet", 0.0), programs.played("noisy", RATE));
        judge(&before, &programs.snapshot("noisy"), &quiet, &noisy, changes);
        return;
    }
    let quiet = played(&mut World::scaled(firms(CHANGES)), 0.0);
    let mut world = World::scaled(firms(CHANGES));
    let before = Snapshot::of(&world);
    let noisy = played(&mut world, RATE);
    judge(&before, &Snapshot::of(&world), &quiet, &noisy, CHANGES);
    world.quiet();
}

/// Judged is what it is said to be: a night in which nobody did anything, and too much was asked.
#[test]
fn what_was_promised_and_does_not_hold_is_found() {
    let snapshot = Snapshot::of(&World::small());
    let faults = BTreeMap::from([("throttled".to_owned(), 10), ("slow-page".to_owned(), 90)]);
    let quiet = Night { runs: 1, writes: 50, requests: 100, ..Night::default() };
    let night = |requests: u64| Night { requests, faults: faults.clone(), ..Night::default() };
    let found = |requests: u64, changes: u64| broken(&snapshot, &snapshot, &quiet, &night(requests), changes);
    let undone = found(126, 50);
    assert!(
        undone.iter().any(|finding| finding == "customers: \"100006\" is 1 times in the ERP, 0 in the CRM"),
        "{undone:?}"
    );
    assert_eq!(
        found(127, 50)[undone.len()..],
        ["127 requests are more than 126: 15 % above the undisturbed and repeated"]
    );
    assert_eq!(found(126, 51)[undone.len()..], ["the night has 50 changes and not 51"]);
    assert!(found(501, 50).last().unwrap().ends_with("that is no noise"));
}

/// What is told of a run that `make noise` plays is read to the last number.
#[test]
fn what_the_fakes_tell_is_counted() {
    let mut night = Night::default();
    night.count(
        "mocks: erp: 5 reads, 7 writes, 1 tokens\nmocks: crm: 3 reads, 2 writes, 1 tokens\n\
         mocks: erp: 12 requests, 3 faults: 2 throttled, 1 slow-page\nmocks: crm: 4 requests, 0 faults\n",
    );
    assert_eq!((night.writes, night.requests, night.spoilt()), (9, 16, 2));
    assert_eq!(night.faults, BTreeMap::from([("slow-page".to_owned(), 1), ("throttled".to_owned(), 2)]));
}
