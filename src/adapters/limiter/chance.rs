//! The gate against a side of any limits, by seeds and by a clock that nobody waits for: several requests are under way at
//! once, each takes its time there and back, and what the file says of the limits may be far from what the side grants.
//!
//! Nobody is refused twice in a row; refusals are few; and where the file is right there is none, and no time lost.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::*;
use crate::adapters::budget::chance::Chance;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A side with its limits, which counts as the service does (crm-api.md §15).
#[derive(Debug)]
struct Side {
    requests: usize,
    seconds: u64,
    at_once: usize,
    window_ms: u64,
    /// Whether a refusal names the limit.
    tells: bool,
    /// When requests came, and what they took.
    recent: VecDeque<(u64, u64)>,
    busy_until: Vec<u64>,
}

impl Side {
    /// Takes a request, or says which limit it met and when it would not.
    fn take(&mut self, now: u64, takes: u64) -> Result<(), (Met, u64)> {
        while self.recent.front().is_some_and(|(when, _)| when + self.window_ms < now) {
            self.recent.pop_front();
        }
        self.busy_until.retain(|until| *until > now);
        let left = |place: usize| (self.recent[place].0 + self.window_ms).saturating_sub(now);
        let spent = |from: usize| self.recent.iter().skip(from).map(|(_, takes)| takes).sum::<u64>();
        let (facet, granted, wait) = if self.recent.len() >= self.requests {
            (Facet::Requests, self.requests as f64, left(0))
        } else if spent(0) >= self.seconds * 1_000 {
            let first = (0..).find(|from| spent(from + 1) < self.seconds * 1_000).unwrap();
            (Facet::Time, self.seconds as f64, left(first))
        } else if self.busy_until.len() >= self.at_once {
            (Facet::Concurrency, self.at_once as f64, self.busy_until.iter().min().unwrap() - now)
        } else {
            self.recent.push_back((now, takes));
            self.busy_until.push(now + takes);
            return Ok(());
        };
        let window = self.tells.then(|| ms(self.window_ms)).filter(|_| facet != Facet::Concurrency);
        let met = Met { facet, granted: self.tells.then_some(granted), window };
        Err((met, wait.max(1).next_multiple_of(1_000)))
    }
}

/// What a thread is at.
enum Thread {
    /// Waits for its turn with a request, `true` where that was refused.
    Waits(bool),
    /// Its request is at the side then.
    Out { began: u64, arrives: u64, again: bool, known: usize },
    /// Its answer is there then.
    Back { began: u64, comes: u64, again: bool, refused: Option<(Met, u64)> },
    /// There is nothing more to send.
    Over,
}

#[derive(Debug, Default)]
struct Played {
    sent: u64,
    refused: u64,
    twice: u64,
    took_ms: u64,
}

/// Sends so many requests through a gate that the file opens so wide.
fn play(
    chance: &mut Chance,
    side: &mut Side,
    (at_once, requests, window_ms): (usize, usize, u64),
    count: u64,
) -> Played {
    let limiter = Limiter::new(at_once, requests, ms(window_ms));
    let mut state = limiter.lock();
    let mut threads: Vec<Thread> = (0..at_once).map(|_| Thread::Waits(false)).collect();
    let (pace, long) = (chance.pick(&[5, 50, 400]), chance.pick(&[20, 300, 3_000]));
    let (mut played, mut left, mut now) = (Played::default(), count, 0);
    let mut known: Vec<Facet> = Vec::new();
    while !threads.iter().all(|thread| matches!(thread, Thread::Over)) {
        let mut next = BTreeSet::new();
        // What is there by now, in the order in which it came; whoever was refused goes first.
        for thread in &mut threads {
            if let Thread::Out { began, arrives, again, known: then } = *thread
                && arrives <= now
            {
                let takes = 1 + chance.below(long);
                let refused = side.take(now, takes).err();
                // A limit of which nobody had heard before may meet anyone.
                let met = refused.map(|(met, _)| met.facet);
                played.twice += u64::from(again && met.is_some_and(|met| known[..then].contains(&met)));
                let there = if refused.is_some() { 0 } else { takes };
                *thread = Thread::Back { began, comes: now + there + 1 + chance.below(pace), again, refused };
            }
            if let Thread::Back { began, comes, again, ref refused } = *thread
                && comes <= now
            {
                state.exit(again);
                *thread = match *refused {
                    None => {
                        state.answered(ms(began), ms(now), true, 0);
                        left -= 1;
                        Thread::Waits(false)
                    }
                    Some((met, wait)) => {
                        played.refused += 1;
                        known.push(met.facet);
                        let spread = chance.below(200);
                        state.refused(ms(began), ms(now), ms(now + wait + spread), Some(met));
                        Thread::Waits(true)
                    }
                };
            }
        }
        let out = |threads: &[Thread]| {
            let open = |thread: &&Thread| !matches!(thread, Thread::Waits(false) | Thread::Over);
            threads.iter().filter(open).count() as u64
        };
        let waits = |threads: &[Thread], again: bool| {
            threads.iter().filter(|thread| matches!(thread, Thread::Waits(is) if *is == again)).count()
        };
        for again in [true, false, true] {
            for place in 0..threads.len() {
                if !matches!(threads[place], Thread::Waits(is_again) if is_again == again) {
                    continue;
                }
                if !again && out(&threads) >= left {
                    threads[place] = Thread::Over;
                    continue;
                }
                (state.returning, state.waiting) = (waits(&threads, true), waits(&threads, false));
                match state.opens(ms(now), again) {
                    Opens::At(start) if start <= ms(now) => {
                        state.enter(again);
                        played.sent += 1;
                        let arrives = now + 1 + chance.below(pace);
                        threads[place] = Thread::Out { began: now, arrives, again, known: known.len() };
                    }
                    Opens::At(start) => drop(next.insert(u64::try_from(start.as_micros().div_ceil(1_000)).unwrap())),
                    Opens::Later => {}
                }
            }
        }
        for thread in &threads {
            match thread {
                Thread::Out { arrives, .. } => drop(next.insert(*arrives)),
                Thread::Back { comes, .. } => drop(next.insert(*comes)),
                Thread::Waits(_) | Thread::Over => {}
            }
        }
        match next.range(now + 1..).next() {
            Some(then) => now = *then,
            None => assert!(threads.iter().all(|thread| matches!(thread, Thread::Over)), "nobody will ever go on"),
        }
    }
    played.took_ms = now;
    played
}

fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("GATES").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(40)
}

/// Whatever the file says, and whatever the side grants, in whatever window and at once.
#[test]
fn nobody_is_refused_twice_in_a_row() {
    for seed in seeds() {
        let mut chance = Chance(seed);
        let mut side = Side {
            requests: chance.pick(&[3, 20, 60, 300, 100_000]),
            seconds: chance.pick(&[5, 30, 1_000_000]),
            at_once: chance.pick(&[1, 3, 8, 1_000]),
            window_ms: 1_000 * chance.pick(&[1, 10, 60, 300, 600]),
            tells: true,
            recent: VecDeque::new(),
            busy_until: Vec::new(),
        };
        let file = (chance.pick(&[1, 4, 8, 52]), chance.pick(&[300, 6_000]), 1_000 * chance.pick(&[60, 300]));
        let played = play(&mut chance, &mut side, file, 600);
        assert_eq!(played.twice, 0, "seed {seed}: {file:?} {played:?} {side:?}");
        // Each burst is refused once, and a limit is found anew now and then.
        assert!(played.refused * 3 < played.sent, "seed {seed}: {file:?} {played:?} {side:?}");
    }
}

/// A side that only says how long to wait: what it grants shows, as long as it counts in the window that the file says.
#[test]
fn what_is_granted_shows_where_nobody_says_it() {
    for seed in seeds() {
        let mut chance = Chance(seed);
        let window_ms = 1_000 * chance.pick(&[10, 60, 300]);
        let mut side = Side {
            requests: chance.pick(&[3, 20, 60, 300]),
            seconds: 1_000_000,
            at_once: 1_000,
            window_ms,
            tells: false,
            recent: VecDeque::new(),
            busy_until: Vec::new(),
        };
        let file = (chance.pick(&[1, 4, 8, 52]), 6_000, window_ms);
        let played = play(&mut chance, &mut side, file, 600);
        assert_eq!(played.twice, 0, "seed {seed}: {file:?} {played:?} {side:?}");
        assert!(played.refused * 3 < played.sent, "seed {seed}: {file:?} {played:?} {side:?}");
    }
}

/// With what the side grants in the file nothing is refused, and the night takes as many windows as it has to.
#[test]
fn a_file_that_is_right_costs_nothing() {
    for seed in seeds() {
        let mut chance = Chance(seed);
        let (at_once, requests, window_ms) = (chance.pick(&[4, 8]), chance.pick(&[20, 60, 300]), 60_000);
        let mut side = Side {
            requests,
            seconds: 1_000_000,
            at_once,
            window_ms,
            tells: chance.pick(&[true, false]),
            recent: VecDeque::new(),
            busy_until: Vec::new(),
        };
        let played = play(&mut chance, &mut side, (at_once, requests, window_ms), 600);
        assert_eq!((played.refused, played.sent), (0, 600), "seed {seed}: {side:?}");
        // A burst in each window, and what the last one takes: at most 4 s for each request that goes after another.
        let windows = (600 / requests as u64 - 1) * window_ms;
        let lag = 3_900 * (600 / at_once as u64 + 600 / requests as u64);
        assert!(played.took_ms < windows + lag, "seed {seed}: {played:?} {side:?}");
    }
}
