//! What may be spent in a sliding window, as it is configured and as refusals teach.
//!
//! In go moments and amounts (requests, or the seconds that they took); out comes when the next amount fits. A side counts
//! by its own rules, for each of its servers, and other clients may share the account. A refusal after a whole window of
//! ours tells what is granted: that is the limit then, for two windows, as it may have been little only because others had
//! the rest. One before that, or one that ends before anything of ours is over, means that somebody else had a part in the
//! window; what they spent comes back bit by bit until it is over. Whatever a side refuses, two windows later nothing of it
//! is left (`budget/chance.rs` plays that). Nothing here waits.

use std::collections::VecDeque;
use std::time::Duration;

/// The windows for which a limit that was learned is kept. Fewer would meet the same refusal in every window, more would
/// let a night creep on after others are gone.
const KEPT: u32 = 2;
/// The part of a window by which a side's moments may be before ours: it counts requests when they come, we their answers.
const UNSURE: u32 = 20;

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
    /// When the limit was learned.
    learned: Duration,
    /// What others spent and how it comes back; as long as it does, the limit stays, and is more than what was ours.
    others: Option<Others>,
}

/// What others spent in a window that began before us: nothing of it is back at `from`, all of it at `to`.
struct Others {
    /// What is left of the limit for us as long as nothing is back.
    ours: f64,
    from: Duration,
    to: Duration,
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
            learned: Duration::ZERO,
            others: None,
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
        self.others.take_if(|others| now >= others.to);
        if self.others.is_none() && now >= self.learned + self.window * KEPT {
            self.limit = self.most;
        }
        let others = self.others.as_ref();
        let limit = others.map_or(self.limit, |others| others.leave(self.limit, now));
        let mut used = self.sum + pending;
        let mut at = Some(now);
        let mut spent = self.spent.iter();
        // What alone is more than the limit has to go all the same, when nothing else does.
        while used + amount > limit && used > 0.0 {
            match spent.next() {
                Some((when, amount)) => {
                    used -= amount;
                    at = Some(*when + self.window);
                }
                None if pending > 0.0 => {
                    at = None;
                    break;
                }
                None => break,
            }
        }
        let back = others.map(|others| others.back(self.limit, self.sum + pending + amount));
        match at.into_iter().chain(back).min() {
            Some(at) => Opens::At(at.max(now)),
            None => Opens::Later,
        }
    }

    /// Learns from a refusal of what there is besides the spent and the `pending`, before `until` at least: nothing.
    pub fn refused(&mut self, now: Duration, until: Duration, pending: f64) {
        self.forget(now);
        let ours = self.sum + pending;
        // Had we alone spent all there is, something of it would leave the window when the side opens again.
        let opens = until + self.window / UNSURE;
        let explains = self.spent.front().is_some_and(|(when, _)| *when + self.window <= opens);
        if explains && self.first.is_some_and(|first| now >= first + self.window) {
            self.limit = self.limit.min(ours);
            self.learned = now;
            self.others = None;
        } else if self.limit.is_finite() && ours < self.limit {
            self.others = Some(Others { ours, from: until, to: (now + self.window).max(until) });
        }
    }

    fn forget(&mut self, now: Duration) {
        while let Some((when, amount)) = self.spent.front().copied().filter(|(when, _)| *when + self.window <= now) {
            debug_assert!(when <= now);
            self.spent.pop_front();
            self.sum = if self.spent.is_empty() { 0.0 } else { self.sum - amount };
        }
    }
}

impl Others {
    /// Returns what is left of a limit at a moment.
    fn leave(&self, limit: f64, now: Duration) -> f64 {
        let (gone, all) = (now.saturating_sub(self.from).as_secs_f64(), (self.to - self.from).as_secs_f64());
        if all == 0.0 { limit } else { self.ours + (limit - self.ours) * (gone / all).min(1.0) }
    }

    /// Returns when so much of a limit is left.
    fn back(&self, limit: f64, used: f64) -> Duration {
        if limit <= self.ours {
            return self.to;
        }
        let part = ((used - self.ours) / (limit - self.ours)).clamp(0.0, 1.0);
        self.from + (self.to - self.from).mul_f64(part)
    }
}

#[cfg(test)]
mod chance;

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
    fn a_refusal_teaches_the_limit_for_two_windows() {
        let mut budget = Budget::new(f64::INFINITY, at(10));
        for second in 0..19 {
            budget.spend(at(second), 2.5);
        }
        assert_eq!(budget.opens(at(19), 2.5, 1e9), Opens::At(at(19)), "nothing is known of a limit");
        budget.refused(at(19), at(20), 0.0);
        assert_eq!(budget.opens(at(19), 2.5, 0.0), Opens::At(at(20)));
        // Twenty-two and a half were granted.
        budget.spend(at(28), 22.5);
        assert_eq!(budget.opens(at(28), 1.0, 0.0), Opens::At(at(38)));
        budget.spend(at(38), 22.5);
        assert_eq!(budget.opens(at(38), 1.0, 0.0), Opens::At(at(48)));
        assert_eq!(budget.opens(at(39), 1.0, 0.0), Opens::At(at(39)), "it may grant more by now");
        // It does not.
        budget.refused(at(40), at(48), 0.0);
        assert_eq!(budget.opens(at(40), 1.0, 0.0), Opens::At(at(48)));
        // The last of a burst tells how much it was: the others that seemed to be under way were refused, too.
        budget.spend(at(48), 20.0);
        budget.refused(at(50), at(58), 1.5);
        budget.refused(at(50), at(58), 0.0);
        assert_eq!(budget.opens(at(58), 21.0, 0.0), Opens::At(at(58)));
        budget.spend(at(58), 19.0);
        assert_eq!(budget.opens(at(58), 1.0, 0.0), Opens::At(at(58)));
        assert_eq!(budget.opens(at(58), 1.5, 0.0), Opens::At(at(68)));
    }

    #[test]
    fn what_others_spent_before_us_comes_back_bit_by_bit() {
        let mut budget = Budget::new(100.0, at(10));
        budget.spend(at(1), 1.0);
        budget.refused(at(2), at(4), 0.0);
        assert_eq!(budget.opens(at(2), 1.0, 0.0), Opens::At(Duration::from_secs_f64(4.0 + 8.0 / 99.0)));
        assert_eq!(budget.opens(at(8), 49.0, 0.0), Opens::At(at(8)));
        assert_eq!(budget.opens(at(8), 50.0, 0.0), Opens::At(Duration::from_secs_f64(4.0 + 8.0 * 50.0 / 99.0)));
        assert_eq!(budget.opens(at(12), 100.0, 0.0), Opens::At(at(12)));
    }

    #[test]
    fn what_is_more_than_all_goes_alone() {
        let mut budget = Budget::new(5.0, at(10));
        assert_eq!(budget.opens(at(0), 9.0, 0.0), Opens::At(at(0)));
        assert_eq!(budget.opens(at(0), 9.0, 1.0), Opens::Later);
        budget.spend(at(1), 9.0);
        assert_eq!(budget.opens(at(1), 9.0, 0.0), Opens::At(at(11)));
    }

    /// It is sent a request now and then, and is refused after a while without one: all that was spent is of others.
    #[test]
    fn a_refusal_of_the_first_request_after_a_rest_is_not_about_us() {
        let mut budget = Budget::new(100.0, at(10));
        budget.spend(at(0), 1.0);
        budget.refused(at(60), at(61), 0.0);
        assert_eq!(budget.opens(at(61), 1.0, 1.0), Opens::At(Duration::from_secs_f64(61.0 + 9.0 * 2.0 / 100.0)));
        assert_eq!(budget.opens(at(66), 50.0, 0.0), Opens::At(at(66)));
        assert_eq!(budget.opens(at(70), 100.0, 0.0), Opens::At(at(70)));
        // Nothing is known of a limit, and nothing is learned of one.
        let mut budget = Budget::new(f64::INFINITY, at(10));
        budget.spend(at(0), 1.0);
        budget.refused(at(60), at(61), 0.0);
        assert_eq!(budget.opens(at(61), 1e9, 1e9), Opens::At(at(61)));
    }

    /// A second refusal explains what the first one did not, and what is left of the limit is what was ours then.
    #[test]
    fn a_refusal_that_explains_itself_ends_what_others_had() {
        let mut budget = Budget::new(6_000.0, at(300));
        for second in (0..=300).step_by(30) {
            budget.spend(at(second), 1.0);
        }
        budget.refused(at(310), at(311), 0.0);
        budget.refused(at(311), at(317), 0.0);
        assert_eq!(budget.opens(at(317), 1.0, 0.0), Opens::At(at(330)));
        assert_eq!(budget.opens(at(330), 1.0, 0.0), Opens::At(at(330)));
        budget.spend(at(330), 1.0);
        assert_eq!(budget.opens(at(331), 1.0, 0.0), Opens::At(at(360)));
        // Less than that: a moment to come, and not one that is over.
        budget.refused(at(359), at(361), 0.0);
        budget.refused(at(361), at(362), 0.0);
        assert_eq!(budget.opens(at(362), 1.0, 0.0), Opens::At(at(390)));
        assert_eq!(budget.opens(at(961), 1.0, 5_999.0), Opens::At(at(961)), "two windows later all of it is forgotten");
    }
}
