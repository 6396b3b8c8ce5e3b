//! States that are damaged, foreign, or not whole: each verb that could act on one refuses it before a side is asked,
//! says which file it is and what to do, and leaves the files as they are.

use std::path::Path;

use insta::assert_snapshot;

use super::refusals::Transcript;
use super::{FULL, World};

const TWO: &str = "--only salespeople --only currencies";

/// Turns one bit of these bytes wherever they stand: in the table, in its index, and where else.
fn turned(mut bytes: Vec<u8>, wanted: &[u8]) -> Vec<u8> {
    let places: Vec<usize> = (0..bytes.len() - wanted.len()).filter(|at| bytes[*at..].starts_with(wanted)).collect();
    assert!(places.len() > 1);
    places.into_iter().for_each(|at| bytes[at] ^= 0x10);
    bytes
}

fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
}

#[test]
fn a_state_that_is_not_what_was_written_is_refused_by_every_verb() {
    let world = World::start();
    let run = format!("run {FULL} {TWO}");
    let log = world.folder.path().join("full.db-wal");
    world.run(&run).code(0);
    let backup = std::fs::read(world.state()).unwrap();
    world.run(&run).code(0);
    // A run that is killed leaves its log.
    world.turnstile.stop_at(super::turnstile::Nth::Request(8), super::turnstile::Fate::Lost);
    let child = world.spawn(&format!("run {FULL}"));
    world.turnstile.wait();
    child.kill();
    world.turnstile.open();
    let (kept, kept_log) = (world.folder.path().join("kept"), world.folder.path().join("kept-log"));
    copy(&world.state(), &kept);
    copy(&log, &kept_log);
    world.turnstile.reset();
    let sound = std::fs::read(&kept).unwrap();
    let id = world.erp.with(|erp| erp.records("salespeoplePurchasers"))[2]["id"].as_str().unwrap().to_owned();
    let id: uuid::Uuid = id.parse().unwrap();
    let cases: [(&str, Option<Vec<u8>>, bool); 4] = [
        ("an id of a coupling has turned", Some(turned(sound.clone(), id.as_bytes())), false),
        ("cut in the middle of a page", Some(sound[..sound.len() - 5000].to_vec()), false),
        ("a backup beside the log of a later run", Some(backup), true),
        ("the log alone", None, true),
    ];
    let mut told = Transcript::new(&world);
    for (name, bytes, with_log) in cases {
        for name in world.state_files().into_keys() {
            std::fs::remove_file(world.folder.path().join(name)).unwrap();
        }
        if let Some(bytes) = bytes {
            std::fs::write(world.state(), bytes).unwrap();
        }
        if with_log {
            copy(&kept_log, &log);
        }
        let evidence = || {
            let mut files = world.state_files();
            files.retain(|name, _| name == "full.db" || name == "full.db-wal");
            files
        };
        let before = evidence();
        told.text += &format!("# {name}\n");
        told.ask(&run, &[], 3);
        for line in [format!("inbox {FULL} retry salespeople:X"), format!("couple {FULL} customers:10000 10000")] {
            let answer = world.run(&line).code(3);
            assert!(answer.stderr.contains("full.db") && answer.stderr.contains("hint: "), "{name}: {answer:#?}");
        }
        assert_eq!(world.turnstile.seen(), (0, 0), "{name}: a side was asked");
        // Who only reads refuses it just as well, before anybody is asked.
        let reading = ["plan", "status", "history", "inbox", "review", "why", "couplings"];
        for verb in reading {
            let more = if verb == "why" { " currencies:EUR" } else { "" };
            let answer = world.run(&format!("{verb} {FULL}{more}")).code(3);
            assert!(answer.stderr.contains("full.db") && answer.stdout.is_empty(), "{verb}, {name}: {answer:#?}");
        }
        let answer = world.run(&format!("check {FULL}")).code(0);
        assert!(answer.stdout.contains("warning: state: ") && answer.stdout.contains("full.db"), "{name}: {answer:#?}");
        assert_eq!(world.turnstile.seen(), (0, 0), "{name}: a side was asked");
        assert!(evidence() == before, "{name}: the files are evidence and stay as they are");
        world.turnstile.reset();
    }
    assert_snapshot!("not_what_was_written", told.text);
    // With its own file the log is what a run goes on with.
    copy(&kept, &world.state());
    copy(&kept_log, &log);
    world.run(&run).code(0);
    assert_eq!(world.turnstile.seen().1, 0);
}

/// A state on a volume that is not mounted is no new state: neither does a plan show a first load, nor does a run make one.
#[test]
fn a_link_that_leads_nowhere_is_refused() {
    let world = World::start();
    std::os::unix::fs::symlink("volume/full.db", world.state()).unwrap();
    for line in [format!("plan {FULL} {TWO}"), format!("status {FULL}"), format!("run {FULL} {TWO}")] {
        let answer = world.run(&line).code(3);
        assert!(
            answer.stderr.contains("the link leads to volume/full.db, where nothing is\n  hint: see that it is there"),
            "{answer:#?}"
        );
    }
    assert!(world.state().is_symlink() && !world.folder.path().join("volume").exists());
    assert_eq!(world.turnstile.seen().1, 0, "something was written");
}
