//! SIGKILL in the middle of a run: the next run brings both sides to where an undisturbed one would have, nothing is
//! there twice, and then it is quiet (I1, I2, I3).
//!
//! The batches are made small, so that a run has many moments. Each moment is a request: lost on its way while the
//! program dies, carried out but never answered, or passed, with the program dying at some point after it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use pipeline::store::Store;

use super::oracle::{assert_same, contents};
use super::turnstile::{Fate, Nth};
use super::{FULL, World};

/// Kills at once: the fakes answer while another child starts.
const AT_ONCE: usize = 3;

const FATES: [Fate; 3] = [Fate::Unanswered, Fate::Lost, Fate::Passes];

/// Starts a world with the nightly pipeline in small batches.
fn world() -> World {
    let world = World::start();
    let text = std::fs::read_to_string(FULL).unwrap();
    let small = text
        .replace(
            "adapter: business-central\n",
            "adapter: business-central\n    limits: { batch: 12, concurrency: 3 }\n",
        )
        .replace("adapter: dataverse\n", "adapter: dataverse\n    limits: { batch: 60, concurrency: 3 }\n");
    assert_eq!(small.matches("limits:").count(), 2);
    world.file("night.yaml", &small);
    world
}

const RUN: &str = "run night.yaml";

/// Starts a run and kills it at that moment.
fn kill_at(world: &World, (nth, fate): (Nth, Fate)) {
    world.turnstile.stop_at(nth, fate);
    let run = world.spawn(RUN);
    world.turnstile.wait();
    run.kill();
    world.turnstile.open();
}

/// Runs to the end, compares, and runs once more.
fn recovers(world: &World, expected: &BTreeSet<String>, when: &str) {
    world.turnstile.reset();
    let answer = world.run(RUN);
    assert_eq!(answer.code, Some(0), "{when}: {answer:#?}");
    assert_same(&contents(world), expected, when);
    let store = world.store();
    for table in store.coupling_counts().unwrap().keys() {
        assert_eq!(store.open_intents(table).unwrap(), [], "{when}: {table}");
    }
    drop(store);
    world.turnstile.reset();
    let answer = world.run(RUN);
    assert_eq!((answer.code, world.turnstile.seen().1), (Some(0), 0), "{when}, and again: {answer:#?}");
}

/// Runs without disturbance; returns the contents of both sides and the numbers of requests and writes.
fn undisturbed() -> (BTreeSet<String>, (u64, u64)) {
    let world = world();
    world.run(RUN).code(0);
    (contents(&world), world.turnstile.seen())
}

/// Starts a world with the pages of NAV, which gives new customers their numbers.
fn pages() -> World {
    let mut world = World::start();
    let (user, key) = world.erp.with(|erp| erp.nav_login.clone());
    let url = world.erp.server.url() + "/DynamicsNAV110";
    world.variables.extend([("NAV_URL", url), ("NAV_USER", user), ("NAV_ACCESS_KEY", key)]);
    let mut text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/nav.yaml")).unwrap();
    for (from, to) in [
        ("adapter: nav\n", "adapter: nav\n    limits: { concurrency: 2 }\n"),
        // Else a match rule finds what was made as well.
        ("      - by: { Name: name, City: address1_city }\n", ""),
        ("statecode = 0 }", "statecode = 0 AND accountnumber IS NOT NULL }"),
    ] {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text = text.replace(from, to);
    }
    world.file("night.yaml", &text);
    world
}

/// Counts the records of both sides by what people know them by, and proves that each number is that of its customer.
fn known(world: &World) -> BTreeMap<String, usize> {
    let text = |record: &serde_json::Map<String, serde_json::Value>, name: &str| {
        record.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    let customers = world.erp.with(|erp| erp.records("customers"));
    let numbers: BTreeMap<String, String> =
        customers.iter().map(|customer| (text(customer, "number"), text(customer, "displayName"))).collect();
    let mut known = BTreeMap::new();
    for customer in &customers {
        *known.entry(format!("customer {}, {}", text(customer, "displayName"), text(customer, "city"))).or_default() +=
            1;
    }
    for account in world.crm.with(|crm| crm.records("accounts")) {
        let (name, number) = (text(&account, "name"), text(&account, "accountnumber"));
        let numbered = numbers.get(&number).is_some_and(|customer| *customer == name);
        *known.entry(format!("account {name}, {}: {numbered}", text(&account, "address1_city"))).or_default() += 1;
    }
    known
}

/// Where the ERP gives the keys, nothing but what was sent tells whose a record is.
#[test]
fn killed_where_the_server_gives_the_keys_nothing_is_there_twice() {
    let world = pages();
    world.run(RUN).code(0);
    let (expected, (_, writes)) = (known(&world), world.turnstile.seen());
    assert!(writes >= 20, "{writes}");
    for (number, nth) in spread(1, writes, 9).enumerate() {
        let fate = FATES[number % FATES.len()];
        let (world, when) = (pages(), format!("killed at write {nth}, {fate:?}"));
        kill_at(&world, (Nth::Write(nth), fate));
        world.turnstile.reset();
        let answer = world.run(RUN);
        assert_eq!((answer.code, known(&world)), (Some(0), expected.clone()), "{when}: {answer:#?}");
        let store = world.store();
        let settled = |table: &String| store.open_intents(table).unwrap().is_empty();
        assert!(store.coupling_counts().unwrap().keys().all(settled), "{when}");
        drop(store);
        world.turnstile.reset();
        let answer = world.run(RUN);
        assert_eq!((answer.code, world.turnstile.seen().1), (Some(0), 0), "{when}, and again: {answer:#?}");
    }
}

/// Returns `count` numbers from `first` to `last`, evenly spread.
fn spread(first: u64, last: u64, count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |step| first + (last - first) * step / (count - 1))
}

#[test]
fn killed_at_any_moment_the_next_run_ends_where_an_undisturbed_one_does() {
    let (expected, (requests, writes)) = undisturbed();
    assert!(writes >= 20, "{writes} writes are too few to be killed at");
    let single = spread(1, writes, 14).map(Nth::Write).chain(spread(1, requests, 6).map(Nth::Request));
    let mut cases: Vec<Vec<(Nth, Fate)>> =
        single.enumerate().map(|(number, nth)| vec![(nth, FATES[number % FATES.len()])]).collect();
    assert_eq!(cases.len(), 20);
    // The second of two writes what the first one left, or settles what it left open.
    cases.push(vec![(Nth::Write(writes / 3), Fate::Unanswered), (Nth::Write(1), Fate::Unanswered)]);
    cases.push(vec![(Nth::Write(writes / 2), Fate::Lost), (Nth::Write(writes / 4), Fate::Lost)]);
    cases.push(vec![(Nth::Write(2 * writes / 3), Fate::Unanswered), (Nth::Request(requests / 2), Fate::Passes)]);
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(|| {
                while let Some(moments) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = std::panic::catch_unwind(|| {
                        let world = world();
                        for moment in moments {
                            kill_at(&world, *moment);
                        }
                        recovers(&world, &expected, &format!("killed at {moments:?}"));
                    });
                    if result.is_err() {
                        failed.lock().unwrap().push(moments);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "the reasons stand above: {failed:?}");
}
