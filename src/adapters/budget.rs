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

/// How long what was spent is remembered: as long as any window that services are known to count in.
const PAST: Duration = Duration::from_secs(600);
/// How many times what a side says has to have been granted before it counts as that of several servers.
const SEVERAL: f64 = 1.25;

/// How many times what was learned is tried once that is long ago: where it is granted, as much again after that.
const TRIED: f64 = 1.5;

/// One budget of one side.
pub struct Budget {
    window: Duration,
    /// What is configured; without end where nothing is.
    most: f64,
    limit: f64,
    /// What was spent and when, oldest first, never before the window.
    spent: VecDeque<Spent>,
    sum: f64,
    /// What has left the window, as long as a longer one may ask for it.
    past: VecDeque<Spent>,
    /// When something was spent first.
    first: Option<Duration>,
    /// When the limit was learned; until then nothing is.
    learned: Duration,
    /// A refusal of which nothing is concluded yet: what was under way then may have been granted.
    doubt: Option<Doubt>,
    /// What others spent and how it comes back; as long as it does, the limit stays, and is more than what was ours.
    others: Option<Others>,
}

/// An amount, when it began to be spent, and when it was: the side counts it somewhere between.
#[derive(Clone, Copy)]
struct Spent {
    began: Duration,
    when: Duration,
    amount: f64,
}

/// A refusal, and until when nothing more is granted.
struct Doubt {
    at: Duration,
    until: Duration,
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
            past: VecDeque::new(),
            first: None,
            learned: Duration::ZERO,
            doubt: None,
            others: None,
        }
    }

    /// Returns the window.
    pub fn window(&self) -> Duration {
        self.window
    }

    /// Makes another budget of what was spent so far, with a limit and a window of its own.
    pub fn again(&self, most: f64, window: Duration) -> Budget {
        let mut again = Budget::new(most, window);
        self.past.iter().chain(&self.spent).for_each(|spent| again.spend(spent.began, spent.when, spent.amount));
        again
    }

    /// Notes what was spent; a side counts when it sees a request, so the moment of its answer is never too early.
    pub fn spend(&mut self, began: Duration, now: Duration, amount: f64) {
        self.first = self.first.or(Some(now));
        self.spent.push_back(Spent { began, when: now, amount });
        self.sum += amount;
        if self.is_unsure(now) {
            let granted = self.spent.iter().filter(|spent| spent.began + self.window > now);
            self.limit = self.limit.max(granted.map(|spent| spent.amount).sum::<f64>().min(self.most));
        }
    }

    /// Tells whether what was learned is so long ago that it may be another limit by now.
    pub fn is_unsure(&self, now: Duration) -> bool {
        self.limit < self.most && self.others.is_none() && now >= self.learned + self.window * KEPT
    }

    /// Tells when `amount` fits beside what is `pending`; whoever is `careful` does not try whether there is more by now than
    /// was learned.
    pub fn opens(&mut self, now: Duration, amount: f64, pending: f64, careful: bool) -> Opens {
        if let Some(doubt) = self.doubt.take_if(|doubt| pending == 0.0 || now >= doubt.until) {
            self.learn(&doubt);
        }
        self.forget(now);
        self.others.take_if(|others| now >= others.to);
        let more = (TRIED * self.limit + 1.0).min(self.most);
        let limit = if self.is_unsure(now) && !careful { more } else { self.limit };
        let others = self.others.as_ref();
        let limit = others.map_or(limit, |others| others.leave(limit, now));
        let mut used = self.sum + pending;
        let mut at = Some(now);
        let mut spent = self.spent.iter();
        // What alone is more than the limit has to go all the same, when nothing else does.
        while used + amount > limit && used > 0.0 {
            match spent.next() {
                Some(Spent { when, amount, .. }) => {
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

    /// Notes a refusal of what there is besides the spent and what is under way: nothing, before `until` at least.
    pub fn refused(&mut self, now: Duration, until: Duration) {
        self.doubt = Some(Doubt { at: now, until });
    }

    /// Learns from a refusal, when it is known what was granted by then.
    fn learn(&mut self, &Doubt { at, until }: &Doubt) {
        let window = self.window;
        // What was under way then is known by now.
        let known =
            || self.past.iter().chain(&self.spent).filter(|spent| spent.began <= at && spent.when + window > at);
        let ours: f64 = known().map(|spent| spent.amount).sum();
        // Had we alone spent all there is, something of it would leave the window when the side opens again. In a first
        // window what others spent before may leave it soon after, so there it has to be that very moment.
        let is_first = self.first.is_none_or(|first| at < first + window);
        let slack = if is_first { Duration::ZERO } else { window / UNSURE };
        let leaves = |spent: &Spent| if is_first { spent.began } else { spent.when } + window;
        if known().map(leaves).min().is_some_and(|leaves| leaves <= until + slack) {
            // All that began and was answered within one window was granted within one.
            let last = known().map(|spent| spent.when).max().unwrap_or(at);
            let surely = known().filter(|spent| spent.began + window > last);
            self.limit = surely.map(|spent| spent.amount).sum::<f64>().min(self.most);
            self.learned = at;
            self.others = None;
        } else if self.limit.is_finite() && ours < self.limit {
            self.others = Some(Others { ours, from: until, to: (at + window).max(until) });
        }
    }

    /// Learns what a side says that it grants, when it refuses. Where it granted more than that to us alone, several of its
    /// servers did, each of which counts by itself.
    pub fn told(&mut self, now: Duration, until: Duration, granted: f64, window: Duration) {
        if window != self.window {
            *self = self.again(granted, window);
        }
        self.forget(now);
        self.most = if self.sum > SEVERAL * granted { self.sum } else { granted };
        self.limit = self.most;
        // Something of ours has to leave; where it does not, others had a part, and what they spent comes back bit by bit.
        let ours = self.sum;
        self.others =
            (ours < 0.9 * granted).then_some(Others { ours, from: until, to: (now + self.window).max(until) });
    }

    fn forget(&mut self, now: Duration) {
        while let Some(spent) = self.spent.front().copied().filter(|spent| spent.when + self.window <= now) {
            debug_assert!(spent.when <= now);
            self.spent.pop_front();
            self.past.push_back(spent);
            self.sum = if self.spent.is_empty() { 0.0 } else { self.sum - spent.amount };
        }
        while self.past.front().is_some_and(|spent| spent.when + PAST <= now) {
            self.past.pop_front();
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
pub mod chance;

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
            assert_eq!(budget.opens(at(second), 1.0, 0.0, false), Opens::At(at(second)));
            budget.spend(at(second), at(second), 1.0);
        }
        assert_eq!(budget.opens(at(3), 1.0, 0.0, false), Opens::At(at(10)));
        assert_eq!(budget.opens(at(3), 1.0, 1.0, false), Opens::At(at(11)), "one is under way");
        assert_eq!(budget.opens(at(3), 1.0, 3.0, false), Opens::Later);
        assert_eq!(budget.opens(at(11), 1.0, 0.0, false), Opens::At(at(11)));
    }

    #[test]
    fn a_refusal_teaches_the_limit_for_two_windows() {
        let mut budget = Budget::new(f64::INFINITY, at(10));
        for second in 0..19 {
            budget.spend(at(second), at(second), 2.5);
        }
        assert_eq!(budget.opens(at(19), 2.5, 1e9, false), Opens::At(at(19)), "nothing is known of a limit");
        budget.refused(at(19), at(20));
        assert_eq!(budget.opens(at(19), 2.5, 0.0, false), Opens::At(at(20)));
        // Twenty-two and a half were granted.
        budget.spend(at(28), at(28), 22.5);
        assert_eq!(budget.opens(at(28), 1.0, 0.0, false), Opens::At(at(38)));
        budget.spend(at(38), at(38), 22.5);
        assert_eq!(budget.opens(at(38), 1.0, 0.0, false), Opens::At(at(48)));
        assert_eq!(budget.opens(at(39), 1.0, 0.0, false), Opens::At(at(39)), "it may grant more by now");
        // It does not.
        budget.refused(at(40), at(48));
        assert_eq!(budget.opens(at(40), 1.0, 0.0, false), Opens::At(at(48)));
        // The last of a burst tells how much it was: the others that seemed to be under way were refused, too.
        budget.spend(at(48), at(48), 20.0);
        budget.refused(at(50), at(58));
        budget.refused(at(50), at(58));
        assert_eq!(budget.opens(at(58), 21.0, 0.0, false), Opens::At(at(58)));
        budget.spend(at(58), at(58), 19.0);
        assert_eq!(budget.opens(at(58), 1.0, 0.0, false), Opens::At(at(58)));
        assert_eq!(budget.opens(at(58), 1.5, 0.0, false), Opens::At(at(68)));
    }

    #[test]
    fn what_others_spent_before_us_comes_back_bit_by_bit() {
        let mut budget = Budget::new(100.0, at(10));
        budget.spend(at(1), at(1), 1.0);
        budget.refused(at(2), at(4));
        assert_eq!(budget.opens(at(2), 1.0, 0.0, false), Opens::At(Duration::from_secs_f64(4.0 + 8.0 / 99.0)));
        assert_eq!(budget.opens(at(8), 49.0, 0.0, false), Opens::At(at(8)));
        assert_eq!(budget.opens(at(8), 50.0, 0.0, false), Opens::At(Duration::from_secs_f64(4.0 + 8.0 * 50.0 / 99.0)));
        assert_eq!(budget.opens(at(12), 100.0, 0.0, false), Opens::At(at(12)));
    }

    #[test]
    fn what_is_more_than_all_goes_alone() {
        let mut budget = Budget::new(5.0, at(10));
        assert_eq!(budget.opens(at(0), 9.0, 0.0, false), Opens::At(at(0)));
        assert_eq!(budget.opens(at(0), 9.0, 1.0, false), Opens::Later);
        budget.spend(at(1), at(1), 9.0);
        assert_eq!(budget.opens(at(1), 9.0, 0.0, false), Opens::At(at(11)));
    }

    /// It is sent a request now and then, and is refused after a while without one: all that was spent is of others.
    #[test]
    fn a_refusal_of_the_first_request_after_a_rest_is_not_about_us() {
        let mut budget = Budget::new(100.0, at(10));
        budget.spend(at(0), at(0), 1.0);
        budget.refused(at(60), at(61));
        assert_eq!(budget.opens(at(61), 1.0, 1.0, false), Opens::At(Duration::from_secs_f64(61.0 + 9.0 * 2.0 / 100.0)));
        assert_eq!(budget.opens(at(66), 50.0, 0.0, false), Opens::At(at(66)));
        assert_eq!(budget.opens(at(70), 100.0, 0.0, false), Opens::At(at(70)));
        // Nothing is known of a limit, and nothing is learned of one.
        let mut budget = Budget::new(f64::INFINITY, at(10));
        budget.spend(at(0), at(0), 1.0);
        budget.refused(at(60), at(61));
        assert_eq!(budget.opens(at(61), 1e9, 1e9, false), Opens::At(at(61)));
    }

    /// A second refusal explains what the first one did not, and what is left of the limit is what was ours then.
    #[test]
    fn a_refusal_that_explains_itself_ends_what_others_had() {
        let mut budget = Budget::new(6_000.0, at(300));
        for second in (0..=300).step_by(30) {
            budget.spend(at(second), at(second), 1.0);
        }
        budget.refused(at(310), at(311));
        budget.refused(at(311), at(317));
        assert_eq!(budget.opens(at(317), 1.0, 0.0, false), Opens::At(at(330)));
        assert_eq!(budget.opens(at(330), 1.0, 0.0, false), Opens::At(at(330)));
        budget.spend(at(330), at(330), 1.0);
        assert_eq!(budget.opens(at(331), 1.0, 0.0, false), Opens::At(at(360)));
        // Less than that: a moment to come, and not one that is over.
        budget.refused(at(359), at(361));
        budget.refused(at(361), at(362));
        assert_eq!(budget.opens(at(362), 1.0, 0.0, false), Opens::At(at(390)));
        // Two windows later it is tried whether there is more, and there is.
        for _ in 0..5_999 {
            assert_eq!(budget.opens(at(970), 1.0, 0.0, false), Opens::At(at(970)));
            budget.spend(at(970), at(970), 1.0);
        }
        assert_eq!(budget.opens(at(970), 1.0, 0.0, true), Opens::At(at(1_270)), "by whoever has nothing to lose");
    }
}
