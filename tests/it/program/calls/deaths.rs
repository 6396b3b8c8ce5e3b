//! SIGKILL before, after and in the middle of a call, in a run and in the run that recovers from it.

use super::scene::{self, RUN, Scene};
use super::{Deed, Moment, disturbed, each, spread};

/// By so many calls two undisturbed runs may differ.
const SLACK: usize = 20;

/// Plays one or several deaths in a row, and the run that follows.
fn die(world: &crate::program::World, scene: &Scene, moments: &[Moment]) {
    scene.begin(world);
    let when = format!("{}, killed at {moments:?}", scene.name);
    for moment in moments {
        let answer = disturbed(world, RUN, *moment);
        // A run that recovers has fewer calls, and two undisturbed ones have not quite the same: two threads read.
        let may_live = moments.len() > 1 || moment.0 + SLACK > scene.calls.len();
        assert!(answer.code.is_none() || may_live && answer.code == scene.end.code, "{when}: it lives: {answer:#?}");
    }
    scene.recovers(world, &when);
}

/// Returns deaths at `count` of the calls, of each kind in turn; after a call is where the next one is not yet made.
fn deaths(scene: &Scene, count: usize) -> Vec<Vec<Moment>> {
    let deeds = [Deed::Before, Deed::Torn, Deed::After];
    let moment = |(turn, place): (usize, usize)| {
        let deed = deeds[turn % deeds.len()];
        let deed = if deed == Deed::Torn && !scene.calls[place].can_tear() { Deed::After } else { deed };
        vec![(place + 1, deed)]
    };
    let places = spread(scene.calls.len(), count);
    if places.len() <= count {
        return places.into_iter().enumerate().map(moment).collect();
    }
    // Between two calls nothing changes that a death could show, so that before and after are one where all are played.
    let torn = |place: &usize| scene.calls[*place].can_tear().then_some(vec![(place + 1, Deed::Torn)]);
    places.iter().map(|place| vec![(place + 1, Deed::Before)]).chain(places.iter().filter_map(torn)).collect()
}

#[test]
fn a_first_load_is_killed_at_any_call() {
    let scene = scene::first_load();
    each(&deaths(scene, 20), scene::world, |world, moments| die(world, scene, moments));
}

#[test]
fn a_later_night_is_killed_at_any_call() {
    let scene = scene::later_night();
    each(&deaths(scene, 20), scene::world, |world, moments| die(world, scene, moments));
}

#[test]
fn the_run_that_recovers_is_killed_too() {
    let scene = scene::later_night();
    let calls = scene.calls.len();
    let pairs: Vec<Vec<Moment>> = spread(calls, 6)
        .into_iter()
        .enumerate()
        .map(|(turn, place)| vec![(place + 1, Deed::After), (1 + (turn * 131 + 7) % (calls - place), Deed::Torn)])
        .collect();
    each(&pairs, scene::world, |world, moments| die(world, scene, moments));
}

#[test]
fn a_log_that_lost_its_end_is_refused_before_a_side_is_asked() {
    let (scene, world) = (scene::later_night(), scene::world());
    for part in 1..4 {
        scene.begin(&world);
        let number = scene.calls.len() * 2 / 3;
        assert_eq!(disturbed(&world, RUN, (number, Deed::Before)).code, None);
        let path = world.folder.path().join("full.db-wal");
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() * part / 4]).unwrap();
        world.turnstile.reset();
        let answer = world.run(RUN).code(3);
        assert!(answer.stderr.contains("full.db-wal beside it has lost"), "{answer:#?}");
        assert_eq!(world.turnstile.seen(), (0, 0), "a side was asked");
        std::fs::write(&path, &whole).unwrap();
        scene.recovers(&world, "with the whole log");
    }
}

/// As the message about a broken log says, and as a person does who puts back the backup of last night: what a run has
/// made since is found by its ids, and not made a second time.
#[test]
fn a_state_that_lost_a_whole_run_doubles_nothing() {
    for scene in [scene::first_load(), scene::later_night()] {
        let calls = scene.calls.len();
        let cases: Vec<Moment> = [2, 3, 4].map(|part| (calls * part / 5, Deed::Before)).to_vec();
        each(&cases, scene::world, |world, moment| {
            let when = format!("{}, killed at {moment:?}, and the state of before put back", scene.name);
            scene.begin(world);
            assert_eq!(disturbed(world, RUN, *moment).code, None, "{when}");
            scene.put_back_state(world);
            let answer = world.run(RUN);
            assert!(matches!(answer.code, Some(0 | 1)), "{when}: {answer:#?}");
            scene.has_as_many(world, &when);
            scene::quiet(world, answer.code, &when);
        });
    }
}
