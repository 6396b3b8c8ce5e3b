//! Every verb that asks the sides, under every fault that can be outlasted, at the first request of a side that it can happen to:
//! the command ends as it does without trouble, tells the same, and leaves the same on both sides and in the state.
//!
//! `make test` plays some of the cases, `FAULTS=all` each of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use mocks::fault::{Fault, Faults};
use pipeline::config::Side;

use super::scene::{self, End, Scene};
use super::{Answer, each};
use crate::program::World;
use crate::program::oracle::assert_same;

/// Commands, each after those that prepare it.
fn deeds() -> Vec<Vec<String>> {
    let undecided = scene::undecided();
    let (customer, account) = scene::newcomers();
    let deed = |lines: &[&str]| {
        let filled = |line: &&str| {
            line.replace("FILE", "night.yaml")
                .replace("UNDECIDED", &undecided)
                .replace("CUSTOMER", &customer)
                .replace("ACCOUNT", &account)
        };
        lines.iter().map(filled).collect()
    };
    [
        &["run FILE"][..],
        &["run FILE --changed"],
        &["run FILE --dry-run"],
        &["run FILE --only customers:UNDECIDED --force to_crm --yes"],
        &["plan FILE"],
        &["plan FILE -o night.plan", "apply night.plan --yes"],
        &["review FILE"],
        &["check FILE --online"],
        &["couplings FILE --table customers"],
        &["couple FILE customers:CUSTOMER ACCOUNT --yes"],
        &["couple FILE customers:CUSTOMER ACCOUNT --sync --yes"],
        &["couple FILE customers:CUSTOMER --create --yes"],
        &["uncouple FILE customers:UNDECIDED --yes"],
        &["why FILE customers:UNDECIDED"],
        &["inbox FILE"],
        &["inbox FILE resolve customers:UNDECIDED --field city --take erp", "run FILE --only customers"],
    ]
    .map(deed)
    .into()
}

/// What a person reads, a line each, without what a fault or another port may change: how long it took, and how many requests.
fn told(world: &World, answer: &Answer) -> BTreeSet<String> {
    let host = world.crm.server.url().replace("http://", "");
    let seconds = |word: &str| word.split_once('.').is_some_and(|(_, tenths)| tenths.parse::<u8>().is_ok());
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().filter(|word| !seconds(word)).collect();
        words.join(" ").replace(&host, "HOST")
    };
    let changes = |line: &&str| line.starts_with("requests:") || line.contains(": run ");
    answer.stdout.lines().filter(|line| !changes(line)).map(line).collect()
}

/// How a deed ends: what it told, and what is there afterwards.
type Ending = (Option<i32>, BTreeSet<String>, End);

fn play(world: &World, scene: &Scene, lines: &[String], trouble: Option<(Side, Fault)>) -> Ending {
    scene.begin(world);
    let (last, before) = lines.split_last().unwrap();
    for line in before {
        let answer = world.run(line);
        assert!(matches!(answer.code, Some(0 | 1)), "{line}: {answer:#?}");
    }
    if let Some((side, fault)) = trouble {
        let mut faults = Faults::once(fault, 1);
        faults.delay = Duration::from_millis(20);
        match side {
            Side::Erp => world.erp.set_faults(faults),
            Side::Crm => world.crm.set_faults(faults),
        }
    }
    let answer = world.run(last);
    world.erp.set_faults(Faults::none());
    world.crm.set_faults(Faults::none());
    let end = End::of(world, answer.code);
    (answer.code, told(world, &answer), end)
}

#[test]
fn every_verb_outlasts_every_fault() {
    let scene = scene::later_night();
    let deeds = deeds();
    let calm: HashMap<usize, Mutex<Option<Ending>>> = (0..deeds.len()).map(|deed| (deed, Mutex::new(None))).collect();
    // A person who edits in between, and a login that is gone, change how a command ends.
    let outlasted = |fault: &Fault| fault.passes() && *fault != Fault::StaleEtag;
    let faults: Vec<Fault> = Fault::ALL.into_iter().filter(outlasted).collect();
    let all = Side::BOTH.into_iter().flat_map(|side| faults.iter().map(move |fault| (side, *fault)));
    let mut cases: Vec<(usize, Side, Fault)> =
        all.flat_map(|(side, fault)| (0..deeds.len()).map(move |deed| (deed, side, fault))).collect();
    if std::env::var("FAULTS").as_deref() != Ok("all") {
        // Each verb and each fault have their turns.
        cases = cases.into_iter().step_by(deeds.len() + 1).collect();
    }
    each(&cases, scene::world, |world, &(deed, side, fault)| {
        let lines = &deeds[deed];
        let expected = calm[&deed].lock().unwrap().get_or_insert_with(|| play(world, scene, lines, None)).clone();
        let found = play(world, scene, lines, Some((side, fault)));
        let when = format!("{lines:?} with {fault} in the {}", side.name());
        assert_eq!(found.0, expected.0, "{when}: {:?}", found.1);
        assert_same(&found.1, &expected.1, &when);
        assert_same(&found.2.contents, &expected.2.contents, &when);
        assert_same(&found.2.remembered, &expected.2.remembered, &when);
    });
}
