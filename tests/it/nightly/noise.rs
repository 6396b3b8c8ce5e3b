//! A night in which one request of twenty meets a fault, any that can be outlasted: it ends where an undisturbed night
//! does, nothing is doubled, and it takes few requests more than the undisturbed one and what had to be sent again. And
//! the same night under a quota of the CRM: no request is refused twice in a row.
//!
//! It is a night over a company that is coupled already, on whose both sides records were made, edited and deleted. A small
//! one is played inside of the test, by a clock that does not wait. `make noise` (the variable `CHANGES`) plays a large one
//! with the programs `mocks` and `pipeline`, which wait as the services ask. Both are judged alike: the end by what people
//! did, the requests and the faults by the fakes' own count.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use mocks::crm::quota::Quota;
use mocks::data::kept::Folder;
use mocks::fault::{Fault, Faults};
use pipeline::config::Side;
use pipeline::run::account::RunOutcome;

use super::day::{Day, firms, live};
use super::oracle::Snapshot;
use super::quota::by_one_clock;
use super::world::{FULL, Kept, World};

/// How many requests of all meet a fault.
const RATE: f64 = 0.05;
const SEED: u64 = 7;
/// What `make test` plays.
const CHANGES: u64 = 400;
/// Records in a batch: few, so that a night has requests enough to meet every kind of fault.
const BATCH: usize = 4;
/// Runs until nothing is left; those that follow settle what became of lost answers.
const RUNS_MAX: usize = 4;
/// What the CRM grants in a quota's night that waits for real: a hundredth of what Dataverse does, in a thirtieth of the
/// time. The file knows nothing of it.
const QUOTA: (usize, u64) = (60, 10);

/// What a night took.
#[derive(Debug, Default)]
struct Night {
    runs: usize,
    /// Operations that were no reading.
    writes: u64,
    requests: u64,
    /// By kind, both sides together.
    faults: BTreeMap<String, u64>,
    /// Those of the requests that went to the CRM.
    crm_requests: u64,
    /// Requests that the CRM refused by its quota, and those of them that it had just refused.
    refused: u64,
    refused_again: u64,
}

impl Night {
    /// How many requests came to nothing and had to be sent again; the other faults leave the answer whole.
    fn spoilt(&self) -> u64 {
        let whole = [Fault::SlowPage, Fault::StaleEtag, Fault::ExpiredChanges].map(|fault| fault.to_string());
        self.faults.iter().filter(|(fault, _)| !whole.contains(fault)).map(|(_, count)| count).sum()
    }
}

/// Tells what was promised of a night under faults and does not hold.
fn noisy_broken(quiet: &Night, noisy: &Night, changes: u64) -> Vec<String> {
    let mut broken = Vec::new();
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

/// Tells what was promised of a night under a quota of so many requests in a window and does not hold.
fn ruled_broken(ruled: &Night, granted: usize) -> Vec<String> {
    let mut broken = Vec::new();
    if ruled.refused_again > 0 {
        broken.push(format!("{} requests were refused twice in a row", ruled.refused_again));
    }
    if ruled.crm_requests < 3 * granted as u64 {
        broken.push(format!("{} requests fit into three windows: that is no quota", ruled.crm_requests));
    }
    broken
}

/// Shows all three nights, and demands that all of it holds; `ends` are what both sides held after each.
#[track_caller]
#[expect(clippy::print_stdout, reason = "`make noise` is for the figures")]
fn judge(day: &Day, ends: [&Snapshot; 3], [quiet, noisy, ruled]: [&Night; 3], changes: u64, granted: usize) {
    let mut broken: Vec<String> = ["undisturbed", "disturbed", "under a quota"]
        .iter()
        .zip(ends)
        .flat_map(|(night, end)| day.broken(end).into_iter().map(move |finding| format!("{night}: {finding}")))
        .collect();
    broken.extend(noisy_broken(quiet, noisy, changes));
    broken.extend(ruled_broken(ruled, granted));
    let kinds: Vec<String> = noisy.faults.iter().map(|(fault, count)| format!("{count} {fault}")).collect();
    println!("changes: {}", quiet.writes);
    println!("faults: {} ({})", noisy.faults.values().sum::<u64>(), kinds.join(", "));
    println!("requests undisturbed: {} in {} run", quiet.requests, quiet.runs);
    println!("requests disturbed: {} in {} runs, {} of them spoilt", noisy.requests, noisy.runs, noisy.spoilt());
    let share = noisy.requests as f64 / (quiet.requests + noisy.spoilt()) as f64;
    println!("disturbed / (undisturbed + spoilt): {share:.3}");
    let (requests, refused, again) = (ruled.requests, ruled.refused, ruled.refused_again);
    println!("requests under the quota: {requests} in {} run, {refused} refused, {again} twice in a row", ruled.runs);
    let verdict = if broken.is_empty() { "both sides are equal, nothing is doubled" } else { "a promise is broken" };
    println!("verdict: {verdict}");
    assert!(broken.is_empty(), "{} findings:\n{}", broken.len(), broken[..broken.len().min(40)].join("\n"));
}

/// The shipped file, but deletions travel, and more of them than anybody would expect.
fn file() -> String {
    let held = "defaults: { create: none, on_conflict: hold, on_delete: hold }";
    assert!(FULL.contains(held));
    let guard = "guard: { update: 100%, delete: 100% }";
    FULL.replace(held, &format!("defaults: {{ create: none, on_conflict: hold, on_delete: delete, {guard} }}"))
}

/// A company after its first night and a day, and what people did on it.
fn settled() -> (Kept, Day) {
    let mut world = World::scaled(firms(CHANGES));
    assert_eq!(world.run().outcome, RunOutcome::Converged, "{:#?}", world.inbox());
    world.later(86_400);
    let day = world.erp.with(|erp| world.crm.with(|crm| live(erp, crm)));
    (world.keep(), day)
}

/// Plays a night inside of the test, until both sides agree.
fn played(world: &mut World, rate: f64) -> Night {
    world.load(&file());
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
    (night.refused, night.refused_again) = (world.crm.counts().throttled, world.crm.counts().throttled_again);
    for side in Side::BOTH {
        let faults = world.faults(side);
        night.requests += faults.requests();
        night.crm_requests += if side == Side::Crm { faults.requests() } else { 0 };
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
        let crm = "    adapter: dataverse\n    url: ${CRM_URL}\n";
        let limits = format!("    limits: {{ batch: {BATCH} }}\n");
        let small = file().replace(crm, &(crm.to_owned() + &limits));
        let small = small.replacen("    auth:\n", &format!("    limits: {{ batch: {BATCH} }}\n    auth:\n"), 1);
        assert_eq!(small.matches("limits:").count(), 2);
        std::fs::write(folder.path().join("full.yaml"), file()).unwrap();
        std::fs::write(folder.path().join("small.yaml"), small).unwrap();
        Programs { folder, firms }
    }

    fn data(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `mocks` around a command.
    fn mocks(&self, name: &str, options: &[&str], command: &[&str]) -> Output {
        let pipeline = Path::new(env!("CARGO_BIN_EXE_pipeline"));
        let mut mocks = Command::new(pipeline.with_file_name("mocks"));
        mocks.args(["--records", &self.firms.to_string(), "--data"]).arg(self.data(name)).args(options);
        mocks.arg("--").args(command).env_remove("ERP_COMPANY");
        mocks.output().unwrap_or_else(|error| panic!("mocks: {error}; `cargo build` makes it"))
    }

    fn run(&self, name: &str, options: &[&str], file: &str) -> Output {
        let file = self.folder.path().join(file).to_string_lossy().into_owned();
        self.mocks(name, options, &[env!("CARGO_BIN_EXE_pipeline"), "run", &file])
    }

    /// Plays the first night and the day after it, and lays the company there once for each of these names.
    fn settle(&self, names: [&str; 3]) -> Day {
        let first = self.run("first", &[], "full.yaml");
        assert_eq!(first.status.code(), Some(0), "{}", String::from_utf8_lossy(&first.stdout));
        let (folder, mut erp, mut crm) = Folder::open_kept(&self.data("first")).unwrap();
        let day = live(&mut erp, &mut crm);
        folder.save(&erp, &crm).unwrap();
        for name in names {
            std::fs::create_dir(self.data(name)).unwrap();
            for file in ["erp.json", "crm.json", "full.db"] {
                std::fs::copy(self.data("first").join(file), self.data(name).join(file)).unwrap();
            }
        }
        day
    }

    /// What both sides hold.
    fn snapshot(&self, name: &str) -> Snapshot {
        let (_folder, erp, crm) = Folder::open_kept(&self.data(name)).unwrap();
        Snapshot::from(|side, set| match side {
            Side::Erp => erp.records(set),
            Side::Crm => crm.records(set),
        })
    }

    /// Plays a night.
    fn played(&self, name: &str, rate: f64, quota: &[&str]) -> Night {
        let mut night = Night::default();
        loop {
            // Other faults in each run, or the same request would meet the same one for ever.
            let noise = format!("{rate}:{}", SEED + night.runs as u64);
            let output = self.run(name, &[&["--noise", &noise], quota].concat(), "small.yaml");
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
        for (side, counts) in lines.filter_map(|line| line.split_once(": ")) {
            for part in counts.replace(" faults: ", " faults, ").split(", ") {
                let Some((count, what)) = part.split_once(' ') else { continue };
                let Ok(count) = count.parse::<u64>() else { continue };
                match what {
                    "requests" => {
                        (self.requests, found) = (self.requests + count, found + 1);
                        self.crm_requests += if side == "crm" { count } else { 0 };
                    }
                    "writes" => self.writes += count,
                    "refused by the quota" => self.refused += count,
                    "of them twice in a row" => self.refused_again += count,
                    what if what.parse::<Fault>().is_ok() => *self.faults.entry(what.to_owned()).or_default() += count,
                    _ => {}
                }
            }
        }
        assert_eq!(found, 2, "each side tells its requests: {told}");
    }
}

#[test]
fn a_noisy_night_ends_as_a_quiet_one_and_a_quota_refuses_nothing_twice() {
    if let Ok(changes) = std::env::var("CHANGES") {
        let changes = changes.parse().unwrap();
        let programs = Programs::new(firms(changes));
        let names = ["quiet", "noisy", "ruled"];
        let day = programs.settle(names);
        let quota = format!("{}:{}", QUOTA.0, QUOTA.1);
        // They wait most of the time.
        let nights = std::thread::scope(|scope| {
            let quiet = scope.spawn(|| programs.played("quiet", 0.0, &[]));
            let noisy = scope.spawn(|| programs.played("noisy", RATE, &[]));
            let ruled = scope.spawn(|| programs.played("ruled", 0.0, &["--quota", &quota]));
            [quiet, noisy, ruled].map(|night| night.join().unwrap())
        });
        judge(&day, names.map(|name| programs.snapshot(name)).each_ref(), nights.each_ref(), changes, QUOTA.0);
        return;
    }
    let (kept, day) = settled();
    let mut worlds = [World::again(&kept), World::again(&kept), World::again(&kept)];
    by_one_clock(&mut worlds[2]);
    // Neither how many the CRM grants nor in which window stands in the file.
    let (granted, window) = (20, Duration::from_secs(40));
    let quota = Quota { requests_max: granted, window, per_request: Duration::from_secs(1), ..Quota::default() };
    worlds[2].crm.with(|crm| crm.quota = quota);
    let nights = [0.0, RATE, 0.0].iter().zip(&mut worlds).map(|(rate, world)| played(world, *rate));
    let nights: Vec<Night> = nights.collect();
    let ends = worlds.each_ref().map(Snapshot::of);
    judge(&day, ends.each_ref(), [&nights[0], &nights[1], &nights[2]], CHANGES, granted);
    for world in &mut worlds {
        world.quiet();
    }
}

/// Judged is what it is said to be: a night in which nobody did anything, and too much was asked.
#[test]
fn what_was_promised_and_does_not_hold_is_found() {
    let faults = BTreeMap::from([("throttled".to_owned(), 10), ("slow-page".to_owned(), 90)]);
    let quiet = Night { runs: 1, writes: 50, requests: 100, ..Night::default() };
    let night = |requests: u64| Night { requests, faults: faults.clone(), ..Night::default() };
    let found = |requests: u64, changes: u64| noisy_broken(&quiet, &night(requests), changes);
    assert_eq!(found(126, 50), Vec::<String>::new());
    assert_eq!(found(127, 50), ["127 requests are more than 126: 15 % above the undisturbed and repeated"]);
    assert_eq!(found(126, 51), ["the night has 50 changes and not 51"]);
    assert!(found(501, 50).last().unwrap().ends_with("that is no noise"));
    let ruled = |crm_requests, refused_again| {
        ruled_broken(&Night { crm_requests, refused: 3, refused_again, ..Night::default() }, 20)
    };
    assert_eq!(ruled(60, 0), Vec::<String>::new());
    assert_eq!(ruled(59, 0), ["59 requests fit into three windows: that is no quota"]);
    assert_eq!(ruled(60, 1), ["1 requests were refused twice in a row"]);

    // A night in which nothing was done at all.
    let world = World::scaled(60);
    let day = world.erp.with(|erp| world.crm.with(|crm| live(erp, crm)));
    let broken = day.broken(&Snapshot::of(&world));
    for (what, least) in
        [(", typed was ", 10), ("was deleted, and is there", 10), ("is 1 times in the ERP, 0 in the CRM", 5)]
    {
        let found = broken.iter().filter(|finding| finding.contains(what)).count();
        assert!(found >= least, "{what}: {found}");
    }
    assert!(broken.iter().all(|finding| !finding.contains("had to stay")), "{broken:#?}");
}

/// What is told of a run that `make noise` plays is read to the last number.
#[test]
fn what_the_fakes_tell_is_counted() {
    let mut night = Night::default();
    night.count(
        "mocks: erp: 5 reads, 7 writes, 1 tokens\nmocks: crm: 3 reads, 2 writes, 1 tokens\n\
         mocks: erp: 12 requests, 3 faults: 2 throttled, 1 slow-page\nmocks: crm: 4 requests, 0 faults\n\
         mocks: crm: 6 refused by the quota, 2 of them twice in a row\n",
    );
    assert_eq!((night.refused, night.refused_again), (6, 2));
    assert_eq!((night.writes, night.requests, night.crm_requests, night.spoilt()), (9, 16, 4, 2));
    assert_eq!(night.faults, BTreeMap::from([("slow-page".to_owned(), 1), ("throttled".to_owned(), 2)]));
}
