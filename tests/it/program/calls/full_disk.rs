//! A disk that is full from some call on, or fails: the program says so and ends, nothing is lost or sent twice, and
//! when there is room again the next run ends where an undisturbed one does.

use pipeline::store::Store;

use super::scene::{self, RUN, Scene};
use super::{Answer, Call, Deed, Moment, disturbed, each, listed, spread};
use crate::program::World;

/// Returns moments at `count` of the calls that need the disk.
fn moments(calls: &[Call], deed: Deed, count: usize) -> Vec<Moment> {
    let needs = |call: &Call| call.target != "socket" && (call.can_tear() || deed == Deed::Broken);
    let places: Vec<usize> = (0..calls.len()).filter(|place| needs(&calls[*place])).collect();
    spread(places.len(), count).into_iter().map(|turn| (places[turn] + 1, deed)).collect()
}

/// Demands one message that names the file and says what to do, or the end of a command that needed no more of the disk.
#[track_caller]
fn tells(answer: &Answer, ends: Option<i32>, when: &str) {
    if answer.code == ends && !answer.stderr.contains("error: ") {
        return;
    }
    assert_eq!(answer.code, Some(3), "{when}: {answer:#?}");
    for (part, times) in [("error: ", 1), ("\n  hint: ", 1), ("full.db", 1)] {
        assert_eq!(answer.stderr.matches(part).count(), times, "{when}: `{part}` in {answer:#?}");
    }
}

fn run(world: &World, scene: &Scene, moment: Moment) {
    let when = format!("{}, {moment:?}", scene.name);
    scene.begin(world);
    tells(&disturbed(world, RUN, moment), scene.end.code, &when);
    scene.recovers(world, &when);
}

#[test]
fn a_run_goes_on_when_the_disk_has_room_again() {
    for scene in [scene::first_load(), scene::later_night()] {
        each(&moments(&scene.calls, Deed::Full, 5), scene::world, |world, moment| run(world, scene, *moment));
    }
}

#[test]
fn a_run_goes_on_when_the_disk_works_again() {
    let scene = scene::later_night();
    each(&moments(&scene.calls, Deed::Broken, 4), scene::world, |world, moment| run(world, scene, *moment));
}

/// An answer or a coupling is there as a whole or not at all, and given once more it is there.
fn asks_again(scene: &Scene, line: &str, count: usize, undone: impl Fn(&World) -> bool + Sync) {
    let world = scene::world();
    scene.begin(&world);
    assert!(undone(&world));
    let (answer, calls) = listed(&world, line);
    answer.code(0);
    assert!(!undone(&world), "`{line}` shows");
    let expected = {
        let answer = world.run(RUN);
        (answer.code, scene::End::of(&world, answer.code))
    };
    each(&moments(&calls, Deed::Full, count), scene::world, |world, moment| {
        let when = format!("{line}, {moment:?}");
        scene.begin(world);
        let answer = disturbed(world, line, *moment);
        tells(&answer, Some(0), &when);
        assert_eq!(world.turnstile.seen().1, 0, "{when}: a side was written");
        if answer.code == Some(0) || !undone(world) {
            assert!(!undone(world), "{when}: {answer:#?}");
        } else {
            world.run(line).code(0);
        }
        let answer = world.run(RUN);
        assert_eq!((answer.code, scene::End::of(world, answer.code)), expected, "{when}");
    });
}

#[test]
fn an_answer_to_the_inbox_is_taken_or_refused() {
    let scene = scene::later_night();
    let undecided = scene::undecided();
    let line = format!("inbox night.yaml resolve customers:{undecided} --field city --take erp");
    let standing = |world: &World| {
        let decisions = world.store().decisions(None).unwrap();
        decisions.iter().filter(|decision| decision.ended.is_none()).count()
    };
    asks_again(scene, &line, 4, |world| standing(world) == 1);
}

#[test]
fn a_coupling_by_hand_is_made_or_refused() {
    let scene = scene::later_night();
    let (customer, account) = scene::newcomers();
    let line = format!("couple night.yaml customers:{customer} {account} --yes");
    let couplings = |world: &World| world.store().coupling_counts().unwrap()["customers"];
    let world = scene::world();
    scene.begin(&world);
    let before = couplings(&world);
    asks_again(scene, &line, 4, |world| couplings(world) == before);
}

#[test]
fn a_plan_is_saved_as_a_whole_or_the_earlier_one_stays() {
    let scene = scene::later_night();
    let world = scene::world();
    scene.begin(&world);
    world.run("plan night.yaml --only customers -o night.plan");
    let read = || std::fs::read(world.folder.path().join("night.plan")).unwrap();
    let earlier = read();
    let (answer, calls) = listed(&world, "plan night.yaml -o night.plan");
    assert_eq!(answer.code, scene.end.code, "{answer:#?}");
    let whole = read();
    assert_ne!(whole, earlier);
    let files = || std::fs::read_dir(world.folder.path()).unwrap().count();
    let before = files();
    let writes: Vec<usize> =
        (0..calls.len()).filter(|place| calls[*place].target.contains("night.plan")).map(|place| place + 1).collect();
    assert!(writes.len() >= 3, "{calls:?}");
    for number in writes {
        for deed in [Deed::Full, Deed::Broken, Deed::Before, Deed::Torn, Deed::After] {
            std::fs::write(world.folder.path().join("night.plan"), &earlier).unwrap();
            let answer = disturbed(&world, "plan night.yaml -o night.plan", (number, deed));
            let now = read();
            match answer.code {
                Some(3) => {
                    let told = answer.stderr.contains("error: the plan cannot be saved as night.plan: ")
                        && answer.stderr.contains("\n  hint: look at the rights and the free space");
                    assert!(told && now == earlier, "{number} {deed:?}: {answer:#?}");
                    assert_eq!(files(), before, "{number} {deed:?}: something is left");
                }
                Some(_) => assert!(deed == Deed::Full || deed == Deed::Broken, "{number} {deed:?}: {answer:#?}"),
                None => {
                    assert!(now == earlier || now.len() == whole.len(), "{number} {deed:?}: a part of a plan");
                    // Whoever is killed leaves what it was writing beside the plan, under its own number.
                    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
                        let path = entry.unwrap().path();
                        if path.to_string_lossy().ends_with(".new") {
                            std::fs::remove_file(path).unwrap();
                        }
                    }
                }
            }
        }
    }
}
