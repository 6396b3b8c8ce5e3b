//! What may be spent in a sliding window, as it is configured and as refusals teach.
//!
//! In go moments and amounts (requests, or the seconds that they took); out comes when the next amount fits. A side counts
//! by its own rules, for each of its servers, and other clients may share the account: so a refusal lowers the limit to
//! what was really granted. Where that is a whole window of ours, each calm one raises it a little; where the window began
//! before us, somebody else had a part in it, and the limit holds for as long as theirs may still count.

use std::collections::VecDeque;
use std::time::Duration;

/// By how much a limit that was learned grows in a window without refusal.
const GROWTH: f64 = 1.05;
/// The most calm windows that a limit waits before it grows.
const CALM_MAX: u32 = 16;

/// One budget of one side.
pub struct Budget {
    window: Duration,
    /// What is configured; without end where nothing is.
    most: f64,
    limit: f64,
    /// What was spent and when, oldest first, never before the window.
    spent: VecDeque<(Duration, f64)>,
    sum: f64,
    /// When something was spent first.
    first: Option<Duration>,
    /// When the limit was last changed.
    changed: Duration,
    /// Whether all that the side counted was ours, as far as we know.
    is_ours: bool,
    /// Calm windows before the limit is raised; each time that was too much they become twice as many.
    calm: u32,
    /// Whether the limit was raised since the last refusal.
    grew: bool,
}

/// When an amount fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opens {
    At(Duration),
    /// Only when something that is under way has ended.
    Later,
}

impl Budget {
    /// Makes a budget of which nothing is spent yet.
    pub fn new(most: f64, window: Duration) -> Budget {
        Budget {
            window,
            most,
            limit: most,
            spent: VecDeque::new(),
            sum: 0.0,
            first: None,
            changed: Duration::ZERO,
            is_ours: false,
            calm: 1,
            grew: false,
        }
    }

    /// Notes what was spent; a side counts when it sees a request, so the moment of its answer is never too early.
    pub fn spend(&mut self, now: Duration, amount: f64) {
        self.first = self.first.or(Some(now));
        self.spent.push_back((now, amount));
        self.sum += amount;
    }

    /// Tells when `amount` fits beside what is `pending`.
    pub fn opens(&mut self, now: Duration, amount: f64, pending: f64) -> Opens {
        self.forget(now);
        if self.limit < self.most && now >= self.changed + self.window * self.calm {
            let grown = (self.limit * GROWTH).max(self.limit + amount);
            self.limit = if self.is_ours { grown.min(self.most) } else { self.most };
            // More than before is granted indeed.
            self.calm = if std::mem::replace(&mut self.grew, true) { (self.calm / 2).max(1) } else { self.calm };
            self.changed = now;
        }
        let mut used = self.sum + pending;
        let mut at = now;
        let mut spent = self.spent.iter();
        // What alone is more than the limit has to go all the same, when nothing else does.
        while used + amount > self.limit && used > 0.0 {
            match spent.next() {
                Some((when, amount)) => {
                    used -= amount;
                    at = *when + self.window;
                }
                None if pending > 0.0 => return Opens::Later,
                None => break,
            }
        }
        Opens::At(at.max(now))
    }

    /// Learns from a refusal that what was spent in this window, with what is `pending`, is all there is.
    pub fn refused(&mut self, now: Duration, pending: f64) {
        self.forget(now);
        let was_ours = std::mem::replace(&mut self.is_ours, self.first.is_some_and(|first| now >= first + self.window));
        self.calm = if was_ours { (self.calm * 2).min(CALM_MAX) } else { 1 };
        self.limit = self.limit.min(self.sum + pending);
        self.grew = false;
        self.changed = now;
    }

    fn forget(&mut self, now: Duration) {
        while let Some((when, amount)) = self.spent.front().copied().filter(|(when, _)| *when + self.window <= now) {
            debug_assert!(when <= now);
            self.spent.pop_front();
            self.sum = if self.spent.is_empty() { 0.0 } else { self.sum - amount };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_was_spent_comes_back_after_a_window() {
        let mut budget = Budget::new(3.0, at(10));
        for second in [0, 1, 2] {
            assert_eq!(budget.opens(at(second), 1.0, 0.0), Opens::At(at(second)));
            budget.spend(at(second), 1.0);
        }
        assert_eq!(budget.opens(at(3), 1.0, 0.0), Opens::At(at(10)));
        assert_eq!(budget.opens(at(3), 1.0, 1.0), Opens::At(at(11)), "one is under way");
        assert_eq!(budget.opens(at(3), 1.0, 3.0), Opens::Later);
        assert_eq!(budget.opens(at(11), 1.0, 0.0), Opens::At(at(11)));
    }

    #[test]
    fn a_refusal_teaches_the_limit_and_calm_raises_it() {
        let mut budget = Budget::new(f64::INFINITY, at(10));
        for second in 0..8 {
            budget.spend(at(second), 2.5);
        }
        assert_eq!(budget.opens(at(8), 2.5, 1e9), Opens::At(at(8)), "nothing is known of a limit");
        budget.refused(at(8), 0.0);
        assert_eq!(budget.opens(at(8), 2.5, 0.0), Opens::At(at(10)));
        // The window began before us, so it says nothing of the next one.
        assert_eq!(budget.opens(at(18), 1e9, 0.0), Opens::At(at(18)));
        for second in 11..19 {
            budget.spend(at(second), 2.5);
        }
        budget.refused(at(19), 0.0);
        assert_eq!(budget.opens(at(19), 2.5, 0.0), Opens::At(at(21)));
        // After a calm window a little more fits than the twenty that were granted.
        budget.spend(at(28), 19.5);
        assert_eq!(budget.opens(at(28), 1.0, 0.0), Opens::At(at(38)));
        assert_eq!(budget.opens(at(29), 1.0, 0.0), Opens::At(at(29)));
        budget.spend(at(29), 1.0);
        assert_eq!(budget.opens(at(29), 1.0, 0.0), Opens::At(at(38)));
        // That was too much, so twice as many have to be calm.
        budget.refused(at(30), 0.0);
        budget.spend(at(40), 20.0);
        assert_eq!(budget.opens(at(49), 1.0, 0.0), Opens::At(at(50)));
        budget.spend(at(50), 20.0);
        assert_eq!(budget.opens(at(50), 1.0, 0.0), Opens::At(at(50)));
    }

    #[test]
    fn what_is_more_than_all_goes_alone() {
        let mut budget = Budget::new(5.0, at(10));
        assert_eq!(budget.opens(at(0), 9.0, 0.0), Opens::At(at(0)));
        assert_eq!(budget.opens(at(0), 9.0, 1.0), Opens::Later);
        budget.spend(at(1), 9.0);
        assert_eq!(budget.opens(at(1), 9.0, 0.0), Opens::At(at(11)));
        // Even a side that grants nothing at all gets one request in a window.
        budget.refused(at(20), 0.0);
        assert_eq!(budget.opens(at(20), 1.0, 0.0), Opens::At(at(20)));
    }
}
