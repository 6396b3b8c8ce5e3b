//! A budget against a side that counts in a sliding window, while another client takes a share of it: by seeds, and by a
//! clock that nobody waits for.
//!
//! Whatever was refused and whenever, the budget has an answer to what comes next, and two windows after nothing that the
//! other client took counts any more, it grants what the side does.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Budget, Opens};

const WINDOW_MS: u64 = 300_000;

/// Numbers by chance, the same for the same seed.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }
}

/// How long a side that refuses asks to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// Until something leaves the window.
    TheTruth,
    /// For a second, whenever that is.
    ASecond,
    /// Longer and longer, the more it is pushed.
    More,
}

struct Quota {
    granted: u64,
    /// Of both clients.
    taken: VecDeque<u64>,
    asks: Asks,
    pushed: u64,
}

impl Quota {
    /// Takes a request, or tells how long to wait.
    fn take(&mut self, now: u64) -> Result<(), u64> {
        while self.taken.front().is_some_and(|taken| taken + WINDOW_MS <= now) {
            self.taken.pop_front();
        }
        if (self.taken.len() as u64) < self.granted {
            self.taken.push_back(now);
            self.pushed = 0;
            return Ok(());
        }
        let truth = (self.taken[0] + WINDOW_MS - now).next_multiple_of(1_000);
        self.pushed += 1;
        Err(match self.asks {
            Asks::TheTruth => truth,
            Asks::ASecond => 1_000,
            Asks::More => truth.min(1_000 << self.pushed.min(9)),
        })
    }
}

/// Another client with the same account, until it is gone.
struct Other {
    next: u64,
    gone: u64,
}

impl Other {
    fn go_on(&mut self, now: u64, quota: &mut Quota, chance: &mut Chance) {
        while self.next <= now.min(self.gone) {
            let _ = quota.take(self.next);
            // Mostly steadily, about as much as there is, now and then with a rest.
            let steadily = 1 + chance.below(2 * WINDOW_MS / quota.granted);
            self.next += if chance.below(30) == 0 { chance.below(WINDOW_MS) } else { steadily };
        }
    }
}

/// What came of a seed.
#[derive(Debug)]
struct Played {
    sent: u64,
    refused: u64,
    /// What was granted in the fourth window after the other client was gone, of what could be.
    share: f64,
}

fn play(seed: u64, asks: Asks) -> Played {
    let mut chance = Chance(seed);
    let granted = chance.pick(&[20, 60, 300, 600]);
    let configured = chance.pick(&[granted, granted, 2 * granted, 100_000]);
    let mut quota = Quota { granted, taken: VecDeque::new(), asks, pushed: 0 };
    let mut other = Other { next: chance.below(WINDOW_MS), gone: WINDOW_MS * (2 + chance.below(8)) };
    let mut budget = Budget::new(configured as f64, Duration::from_millis(WINDOW_MS));
    let at_once = chance.pick(&[1, 1, 4]);
    let (mut now, mut closed_until, mut pace, mut pace_until) = (0, 0, 0, 0);
    // Answers under way: when they come, and what they say.
    let mut under_way: VecDeque<(u64, Result<(), u64>)> = VecDeque::new();
    let (mut played, mut late) = (Played { sent: 0, refused: 0, share: 0.0 }, 0);
    while now < other.gone + 4 * WINDOW_MS {
        if now >= pace_until {
            pace = chance.pick(&[20, 100, 1_000, 30_000]);
            pace_until = now + chance.below(2 * WINDOW_MS);
            now += if chance.below(6) == 0 && now < other.gone { chance.below(2 * WINDOW_MS) } else { 0 };
        }
        other.go_on(now, &mut quota, &mut chance);
        while let Some((_, answer)) = under_way.pop_front_if(|(when, _)| *when <= now) {
            let moment = Duration::from_millis(now);
            match answer {
                Ok(()) => budget.spend(moment - Duration::from_millis(50), moment, 1.0),
                Err(wait) => {
                    played.refused += 1;
                    closed_until = closed_until.max(now + wait);
                    budget.refused(moment, Duration::from_millis(now + wait));
                }
            }
        }
        let is_late = now >= other.gone;
        let pause = if is_late { 20 } else { pace };
        let answer = under_way.front().map(|(when, _)| *when);
        let opens = match budget.opens(Duration::from_millis(now), 1.0, under_way.len() as f64, false) {
            _ if under_way.len() == at_once => None,
            Opens::Later => None,
            Opens::At(at) => Some(u64::try_from(at.as_millis()).unwrap().max(closed_until).max(now)),
        };
        match opens {
            Some(at) if at == now => {
                played.sent += 1;
                let answer = quota.take(now);
                late += u64::from(answer.is_ok() && now >= other.gone + 3 * WINDOW_MS);
                under_way.push_back((now + 50, answer));
                now += pause;
            }
            // A moment is rounded down, and may be the one that was.
            at => now = at.into_iter().chain(answer).min().unwrap().max(now + 1),
        }
    }
    played.share = late as f64 / granted as f64;
    played
}

#[test]
fn two_windows_later_all_is_granted_again() {
    for asks in [Asks::TheTruth, Asks::ASecond, Asks::More] {
        for seed in 0..60 {
            let played = play(seed, asks);
            assert!(played.share > 0.9, "seed {seed}, {asks:?}: {played:?}");
            // Who is told the truth is refused little.
            assert!(asks != Asks::TheTruth || played.refused * 2 < played.sent, "seed {seed}: {played:?}");
        }
    }
}
