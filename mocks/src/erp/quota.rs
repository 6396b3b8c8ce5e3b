//! The operational limits: what one user may ask of the service in a sliding window and at once (erp-api.md §7).
//!
//! In: a request, with the operations inside of it, and the time. Out: how long it waits in the queue and how long it takes, or
//! the answer of a service that has too much to do. What a request takes is simulated, since the fake itself takes hardly any
//! time: nothing, unless it is set. A refusal says neither how long to wait nor which limit was met.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::time::Duration;

use crate::service::Request;

/// The limits, as they are documented, and what counts against them.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    pub requests_max: usize,
    pub window: Duration,
    /// Requests that are worked on at once; the others wait.
    pub processing_max: usize,
    pub queue_max: usize,
    /// How long one waits in the queue: 503 after that.
    pub queue_wait_max: Duration,
    /// How long one is worked on: 408 after that, and nothing of it is done.
    pub operation_max: Duration,
    /// How long the gateway waits for both: 504 after that, whatever becomes of it.
    pub gateway_max: Duration,
    /// What a request takes by itself.
    pub per_request: Duration,
    /// What each operation of a batch takes besides.
    pub per_operation: Duration,
}

impl Default for Quota {
    fn default() -> Quota {
        Quota {
            requests_max: 6_000,
            window: Duration::from_secs(300),
            processing_max: 5,
            queue_max: 95,
            queue_wait_max: Duration::from_secs(480),
            operation_max: Duration::from_secs(480),
            gateway_max: Duration::from_secs(600),
            per_request: Duration::ZERO,
            per_operation: Duration::ZERO,
        }
    }
}

/// What was asked for, as far as it counts.
#[derive(Debug, Default)]
pub struct Spent {
    /// When the requests of the last window came.
    recent: VecDeque<Duration>,
    /// When those that are in the house are begun with and done, in the order in which they came.
    inside: Vec<(Duration, Duration)>,
    /// What was refused last, so that a second refusal of the same is known.
    refused: HashSet<u64>,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is answered after so long.
    Answered(Duration),
    /// 429: `actual` of `most`.
    TooMany { actual: usize, most: usize, is_repeated: bool },
    /// 503 after so long: nobody had time for it.
    Unattended(Duration),
    /// 408 after so long: what was begun is undone.
    TooLong(Duration),
    /// 504 after so long: it is carried out all the same.
    GivenUp(Duration),
}

impl Spent {
    /// Takes a request with so many operations in, or not.
    pub fn admit(&mut self, quota: &Quota, request: &Request, operations: usize, now: Duration) -> Fate {
        while self.recent.front().is_some_and(|when| *when + quota.window <= now) {
            self.recent.pop_front();
        }
        self.inside.retain(|(_, done)| *done > now);
        let room = quota.processing_max + quota.queue_max;
        let full = [(self.recent.len(), quota.requests_max), (self.inside.len(), room)];
        if let Some((there, most)) = full.into_iter().find(|(there, most)| there >= most) {
            let is_repeated = !self.refused.insert(fingerprint(request));
            return Fate::TooMany { actual: there + 1, most, is_repeated };
        }
        if !self.refused.is_empty() {
            self.refused.remove(&fingerprint(request));
        }
        self.recent.push_back(now);
        let takes = quota.per_request + quota.per_operation * u32::try_from(operations).unwrap_or(u32::MAX);
        // It begins when all but so many of those before it are done.
        let mut done: Vec<Duration> = self.inside.iter().map(|(_, done)| *done).collect();
        done.sort_unstable();
        let begins = match done.len().checked_sub(quota.processing_max) {
            Some(place) => done[place],
            None => now,
        };
        let waits = begins - now;
        if waits > quota.queue_wait_max {
            self.inside.push((now, now + quota.queue_wait_max));
            return Fate::Unattended(quota.queue_wait_max);
        }
        if takes > quota.operation_max {
            self.inside.push((begins, begins + quota.operation_max));
            return Fate::TooLong(waits + quota.operation_max);
        }
        if !takes.is_zero() {
            self.inside.push((begins, begins + takes));
        }
        match waits + takes {
            both if both > quota.gateway_max => Fate::GivenUp(quota.gateway_max),
            both => Fate::Answered(both),
        }
    }
}

fn fingerprint(request: &Request) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&request.method, &request.target, &request.body).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Plays requests at moments.
    fn play(quota: Quota, moments: &[u64]) -> Vec<Fate> {
        let mut spent = Spent::default();
        let request =
            |target: usize| Request { method: "GET".into(), target: target.to_string(), ..Request::default() };
        moments.iter().enumerate().map(|(at, now)| spent.admit(&quota, &request(at), 1, seconds(*now))).collect()
    }

    #[test]
    fn a_window_takes_so_many_requests_and_then_refuses() {
        let quota = Quota { requests_max: 2, window: seconds(10), ..Quota::default() };
        let (taken, refused) =
            (Fate::Answered(Duration::ZERO), Fate::TooMany { actual: 3, most: 2, is_repeated: false });
        assert_eq!(play(quota, &[0, 4, 5, 10, 11, 14]), [taken, taken, refused, taken, refused, taken]);
    }

    #[test]
    fn few_are_worked_on_at_once_and_the_others_wait() {
        let quota = Quota { processing_max: 2, queue_max: 2, per_request: seconds(3), ..Quota::default() };
        let answered = |waits: u64| Fate::Answered(seconds(waits));
        let refused = Fate::TooMany { actual: 5, most: 4, is_repeated: false };
        assert_eq!(
            play(quota, &[0, 0, 0, 1, 1, 3, 20]),
            [answered(3), answered(3), answered(6), answered(5), refused, answered(6), answered(3)]
        );
    }

    #[test]
    fn what_takes_too_long_ends_in_one_of_three_ways() {
        let quota = Quota { processing_max: 1, per_request: seconds(400), ..Quota::default() };
        assert_eq!(
            play(quota, &[0, 0, 0]),
            [Fate::Answered(seconds(400)), Fate::GivenUp(seconds(600)), Fate::Unattended(seconds(480))]
        );
        let quota = Quota { per_request: seconds(481), ..Quota::default() };
        assert_eq!(play(quota, &[0]), [Fate::TooLong(seconds(480))]);
    }
}
