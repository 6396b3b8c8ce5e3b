//! A run that is under way: who else may look, who may not write, and what a signal does to it.

use std::process::Command;

use chrono::DateTime;
use serde_json::Value;

use super::oracle::{assert_same, contents};
use super::turnstile::{Fate, Nth};
use super::{FULL, Running, World};

/// Starts a run and returns it when its nth write has come to a side, which holds the answer back.
fn run_held_at(world: &World, write: u64) -> Running {
    world.turnstile.stop_at(Nth::Write(write), Fate::Unanswered);
    let child = world.spawn(&format!("run {FULL}"));
    world.turnstile.wait();
    child
}

#[test]
fn while_a_run_goes_on_status_tells_who_it_is_and_another_run_waits_outside() {
    let world = World::start();
    let child = run_held_at(&world, 4);
    let holder = format!(" pid {}", child.id());

    let status = world.run(&format!("status {FULL}")).code(0);
    let mut lines = status.stdout.lines().skip_while(|line| !line.contains("in use by "));
    let told = lines.next().unwrap_or_default();
    let (_, since) = told.split_once(&format!("{holder} since ")).expect(&status.stdout);
    assert!(DateTime::parse_from_rfc3339(since).is_ok() && lines.next().is_some_and(str::is_empty), "{status:#?}");
    let status = world.run(&format!("status {FULL} --format json")).code(0).json();
    assert_eq!(status["in_use_by"].as_str(), told.split_once("in use by ").map(|(_, holder)| holder), "{status:#}");
    assert_eq!(status["tables"][0]["coupled"], 14, "what is confirmed so far is there: {status:#}");

    let requests = world.turnstile.seen();
    let second = world.run(&format!("run {FULL}")).code(3);
    assert!(second.stderr.contains(&format!("{holder} (")), "{second:#?}");
    assert_eq!(second.stdout, "");
    let second = world.run(&format!("run {FULL} --format json")).code(3).json();
    assert_eq!(second["error"]["kind"], "locked", "{second:#}");
    assert_eq!(world.turnstile.seen(), requests, "neither side was asked");

    world.turnstile.open();
    child.answer().code(0);
    let status = world.run(&format!("status {FULL} --format json")).code(0).json();
    assert_eq!(status["in_use_by"], Value::Null, "{status:#}");
    world.turnstile.reset();
    world.run(&format!("run {FULL}")).code(0);
    assert_eq!(world.turnstile.seen().1, 0);
}

#[test]
fn a_signal_in_the_middle_leaves_a_state_from_which_the_next_run_goes_on() {
    let world = World::start();
    world.run(&format!("run {FULL}")).code(0);
    let (expected, (_, writes)) = (contents(&world), world.turnstile.seen());
    for (signal, code, write) in [("INT", 130, writes / 2), ("TERM", 143, 2)] {
        let world = World::start();
        let child = run_held_at(&world, write);
        send(signal, &child);
        world.turnstile.open();
        let answer = child.answer().code(code);
        assert!(answer.stdout.contains("interrupted: what was done is kept; run again to go on"), "{answer:#?}");
        for verb in ["history", "status"] {
            let told = world.run(&format!("{verb} {FULL}")).stdout;
            assert!(told.contains("interrupted") && !told.contains("incomplete"), "{verb}: {told}");
        }
        let last = world.run(&format!("history {FULL} --format json")).json()["runs"][0].take();
        assert_eq!((&last["outcome"], &last["report"]["interrupted"]), (&"incomplete".into(), &true.into()));
        let (_, written) = world.turnstile.seen();
        assert!(written < writes, "{signal}: it went on to the end");
        let status = world.run(&format!("status {FULL} --format json")).code(0).json();
        assert_eq!((&status["in_use_by"], &status["runs"][0]["outcome"]), (&Value::Null, &"incomplete".into()));

        world.turnstile.reset();
        world.run(&format!("run {FULL}")).code(0);
        assert_same(&contents(&world), &expected, signal);
        world.turnstile.reset();
        world.run(&format!("run {FULL}")).code(0);
        assert_eq!(world.turnstile.seen().1, 0, "{signal}");
    }
}

/// Nothing hangs on the answer to a read, a login among them: the side keeps it, and the run ends all the same.
#[test]
fn a_signal_gives_up_what_only_reads() {
    for (signal, code, request) in [("INT", 130, 1), ("TERM", 143, 2), ("INT", 130, 5), ("TERM", 143, 9)] {
        let world = World::start();
        world.turnstile.stop_at(Nth::Request(request), Fate::Unanswered);
        let child = world.spawn(&format!("run {FULL}"));
        world.turnstile.wait();
        assert_eq!(world.turnstile.seen().1, 0, "request {request} is no write");
        send(signal, &child);
        let answer = child.answer().code(code);
        let told = format!("{}{}", answer.stdout, answer.stderr);
        assert!(told.contains("interrupted") && !told.contains("cannot be reached"), "{request}: {answer:#?}");
        let kept = world.run(&format!("history {FULL} --format json")).stdout;
        assert!(!kept.contains("cannot be reached"), "{request}: {kept}");
        // A table map that was being read.
        for told in [told, kept].iter().filter(|_| request == 9) {
            assert!(told.contains("the run was told to end before "), "{told}");
        }
        world.turnstile.open();
        world.turnstile.reset();
        world.run(&format!("run {FULL}")).code(0);
    }
}

#[test]
fn a_further_signal_ends_a_run_at_once() {
    let world = World::start();
    let mut child = run_held_at(&world, 3);
    let mut signals = 0;
    // Two of a kind that come together are one, so it is sent until it was taken twice.
    while child.runs() {
        assert!(signals < 1000, "it goes on, whatever is sent");
        send("TERM", &child);
        signals += 1;
    }
    assert!(signals > 1, "the first one only asks for an end");
    child.answer().code(143);
    world.turnstile.reset();
    world.run(&format!("run {FULL}")).code(0);
}

fn send(signal: &str, child: &Running) {
    // One that has just ended cannot be sent anything.
    let _ = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).output().unwrap();
}
