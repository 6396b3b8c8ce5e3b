//! The program stopped at any of its calls to the operating system: each piece that goes out or comes in on a socket,
//! each write, sync, cut and removal of the state's files.
//!
//! `calls.c` counts them within the program and carries out what a test asks for at one of them; `killed` does the same
//! from outside, at requests. Whatever happens, the next run has to end where an undisturbed one does: the same
//! contents on both sides, the same couplings and the same inbox, nothing open, and after it silence (I1, I2, I3).
//!
//! `make test` plays a spread of all calls, `make crash` each of them (`CALLS=all`; `CALLS=20..60` plays some of them).

mod deaths;
mod full_disk;
mod scene;
mod troubled;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use super::Answer;
use super::World;

/// What happens at a call; see `calls.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Killed before it takes place.
    Before,
    /// Killed when it has taken place.
    After,
    /// Killed when half of its bytes are out.
    Torn,
    /// From there on the disk is full.
    Full,
    /// From there on each write to the disk and each sync fails.
    Broken,
}

impl Deed {
    fn key(self) -> &'static str {
        match self {
            Deed::Before => "before",
            Deed::After => "after",
            Deed::Torn => "torn",
            Deed::Full => "full",
            Deed::Broken => "broken",
        }
    }
}

/// A call, by its number from 1, and what happens at it.
pub type Moment = (usize, Deed);

/// One call of an undisturbed run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub name: String,
    /// `socket`, or a file of the state.
    pub target: String,
    pub bytes: usize,
}

impl Call {
    /// Tells whether it can stop halfway.
    pub fn can_tear(&self) -> bool {
        ["write", "pwrite", "pwrite64", "send", "writev"].contains(&&*self.name) && self.bytes > 1
    }
}

/// Compiles `calls.c`, once for all tests.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (ready, own) = (folder.join("calls.so"), folder.join(format!("calls.{}.so", std::process::id())));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/program/calls.c");
        let arguments = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", source, "-ldl", "-o"];
        let output = Command::new("cc").args(arguments).arg(&own).output().expect("SQLite needs `cc` as well");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // Another test process may use it at this moment.
        std::fs::rename(own, &ready).unwrap();
        ready
    })
}

/// Returns the program with its calls counted.
fn counted(world: &World, line: &str) -> Command {
    let mut command = world.command(line);
    let folder = std::fs::canonicalize(world.folder.path()).unwrap();
    command.env("LD_PRELOAD", library()).env("CALLS_FOLDER", folder);
    command
}

/// Runs the program, and lets something happen at one of its calls.
pub fn disturbed(world: &World, line: &str, (number, deed): Moment) -> Answer {
    let mut command = counted(world, line);
    command.env("CALLS_AT", number.to_string()).env("CALLS_DEED", deed.key());
    Answer::of(command.output().unwrap())
}

/// Runs the program undisturbed; returns its calls besides.
pub fn listed(world: &World, line: &str) -> (Answer, Vec<Call>) {
    let report = world.folder.path().with_extension("calls");
    let answer = Answer::of(counted(world, line).env("CALLS_REPORT", &report).output().unwrap());
    let text = std::fs::read_to_string(&report).unwrap();
    std::fs::remove_file(&report).unwrap();
    let calls = text.lines().map(|line| {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap().to_owned();
        Call { name: word(), target: word(), bytes: word().parse().unwrap() }
    });
    (answer, calls.collect())
}

/// Plays cases, several at once, each thread in a world of its own; fails with the ones that failed.
#[expect(clippy::print_stderr, reason = "whoever waits for hours wants to know how far it is")]
pub fn each<T: Sync + std::fmt::Debug>(
    cases: &[T],
    world: impl Fn() -> World + Sync,
    play: impl Fn(&World, &T) + Sync,
) {
    // The fakes answer one process while another one starts.
    const AT_ONCE: usize = 3;
    let next = AtomicUsize::new(0);
    let failed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(|| {
                let world = world();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(number) else { break };
                    // All of them take hours: whoever waits is told how far they are.
                    if number > 0 && number.is_multiple_of(100) {
                        eprintln!("{number} of {}", cases.len());
                    }
                    let played = std::panic::AssertUnwindSafe(|| play(&world, case));
                    if std::panic::catch_unwind(played).is_err() {
                        failed.lock().unwrap().push(case);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} of {} failed, the reasons stand above: {failed:?}", failed.len(), cases.len());
}

/// Returns `count` of the numbers below `bound`, evenly spread, or those that `CALLS` asks for.
pub fn spread(bound: usize, count: usize) -> Vec<usize> {
    match std::env::var("CALLS").as_deref() {
        Ok("all") => (0..bound).collect(),
        Ok(calls) => {
            let (from, to) = calls.split_once("..").expect("`all`, or a range like `20..60`");
            (from.parse().unwrap()..bound.min(to.parse().unwrap())).collect()
        }
        Err(_) => {
            let count = count.min(bound);
            (0..count).map(|step| step * bound / count + bound / count / 2).collect()
        }
    }
}

#[test]
fn what_goes_out_and_comes_in_is_counted() {
    let scene = scene::first_load();
    let count = |name: &str, target: &str| {
        scene.calls.iter().filter(|call| call.name.starts_with(name) && call.target.starts_with(target)).count()
    };
    for (name, target, least) in [
        ("send", "socket", 60),
        ("recv", "socket", 50),
        ("pwrite", "full.db-wal", 300),
        ("pwrite", "full.db", 20),
        ("f", "full.db-wal", 50),
        ("unlink", "full.db-wal", 1),
    ] {
        assert!(count(name, target) >= least, "{} of {name} on {target}", count(name, target));
    }
    // Whoever counts a pipe or a foreign file counts what cannot be disturbed.
    for call in &scene.calls {
        assert!(call.target == "socket" || call.target == "." || call.target.starts_with("full.db"), "{call:?}");
    }
}
