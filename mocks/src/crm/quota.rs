//! The service protection limits: what one application user may ask of one server in a sliding window.
//!
//! In: a request, with the operations inside of it. Out: that it is taken, or which of three limits it met and how many
//! seconds to wait. What a request takes is simulated, since the fake itself takes hardly any time: nothing, unless it is
//! set. Whoever comes back before the wait is over is refused again, and waits longer.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};

use super::error::Error;
use crate::service::Request;

/// The time by which requests are counted.
pub trait Time: Send + Sync {
    /// Returns the time since some fixed moment.
    fn now(&self) -> Duration;

    /// Lets the time pass that a request takes; returns how much later its answer has to be sent for that.
    fn pass(&self, takes: Duration) -> Duration;
}

/// The time on the wall: whoever waits for an answer sees it pass.
pub struct Wall(Instant);

impl Default for Wall {
    fn default() -> Wall {
        Wall(Instant::now())
    }
}

impl Time for Wall {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn pass(&self, takes: Duration) -> Duration {
        takes
    }
}

/// The limits, as Dataverse documents them, and what counts against them.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    pub requests_max: usize,
    pub window: Duration,
    pub execution_max: Duration,
    pub concurrency_max: usize,
    /// What a request takes by itself.
    pub per_request: Duration,
    /// What each operation of a batch, and each record of a bulk message, takes besides.
    pub per_operation: Duration,
}

/// What was asked for, as far as it counts.
#[derive(Debug, Default)]
pub struct Spent {
    /// When the requests of the last window came, and what they took.
    recent: VecDeque<(Duration, Duration)>,
    /// Until when those that are under way are.
    busy: Vec<Duration>,
    /// What was refused last, so that a second refusal of the same is known.
    refused: HashSet<u64>,
}

/// A refusal.
#[derive(Debug)]
pub struct Refusal {
    pub error: Error,
    pub retry_after: u64,
    /// The same request was refused just before.
    pub is_repeated: bool,
}

impl Default for Quota {
    fn default() -> Quota {
        Quota {
            requests_max: 6000,
            window: Duration::from_secs(300),
            execution_max: Duration::from_secs(1200),
            concurrency_max: 52,
            per_request: Duration::ZERO,
            per_operation: Duration::ZERO,
        }
    }
}

impl Spent {
    /// Takes a request with so many operations, and tells what it takes, or refuses it.
    pub fn admit(
        &mut self,
        quota: &Quota,
        request: &Request,
        operations: usize,
        now: Duration,
    ) -> Result<Duration, Refusal> {
        if let Some((error, wait)) = self.met(quota, now) {
            let is_repeated = !self.refused.insert(fingerprint(request));
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            let retry_after = seconds.max(1) * if is_repeated { 2 } else { 1 };
            return Err(Refusal { error, retry_after, is_repeated });
        }
        if !self.refused.is_empty() {
            self.refused.remove(&fingerprint(request));
        }
        let takes = quota.per_request + quota.per_operation * u32::try_from(operations).unwrap_or(u32::MAX);
        self.recent.push_back((now, takes));
        if !takes.is_zero() {
            self.busy.push(now + takes);
        }
        Ok(takes)
    }

    /// Returns how many requests the window still takes.
    pub fn left(&mut self, quota: &Quota, now: Duration) -> usize {
        self.forget(quota.window, now);
        quota.requests_max.saturating_sub(self.recent.len())
    }

    /// Returns how much time the window's requests may still take.
    pub fn time_left(&mut self, quota: &Quota, now: Duration) -> Duration {
        self.forget(quota.window, now);
        quota.execution_max.saturating_sub(self.recent.iter().map(|(_, takes)| *takes).sum())
    }

    /// Returns the limit that another request meets, and when it would not.
    fn met(&mut self, quota: &Quota, now: Duration) -> Option<(Error, Duration)> {
        self.forget(quota.window, now);
        let seconds = quota.window.as_secs();
        if self.recent.len() >= quota.requests_max {
            let text = format!(
                "Number of requests exceeded the limit of {} over time window of {seconds} seconds.",
                quota.requests_max
            );
            return Some((Error::new(429, "0x80072322", text), self.until_left(0, quota.window, now)));
        }
        let mut spent: Duration = self.recent.iter().map(|(_, takes)| *takes).sum();
        if spent >= quota.execution_max {
            let text = format!(
                "Combined execution time of incoming requests exceeded limit of {} milliseconds over time window of \
                 {seconds} seconds. Decrease number of concurrent requests or reduce the duration of requests and try \
                 again later.",
                thousands(quota.execution_max.as_millis())
            );
            let takes = self.recent.iter().map(|(_, takes)| *takes);
            let first = takes.take_while(|takes| {
                spent = spent.saturating_sub(*takes);
                spent >= quota.execution_max
            });
            let first = first.count();
            return Some((Error::new(429, "0x80072321", text), self.until_left(first, quota.window, now)));
        }
        if self.busy.len() >= quota.concurrency_max {
            let text = format!("Number of concurrent requests exceeded the limit of {}.", quota.concurrency_max);
            let first = self.busy.iter().min().map_or(Duration::ZERO, |until| *until - now);
            return Some((Error::new(429, "0x80072326", text), first));
        }
        None
    }

    /// Returns when the request at a place in the window will have left it.
    fn until_left(&self, place: usize, window: Duration, now: Duration) -> Duration {
        self.recent.get(place).map_or(Duration::ZERO, |(when, _)| (*when + window).saturating_sub(now))
    }

    fn forget(&mut self, window: Duration, now: Duration) {
        while self.recent.front().is_some_and(|(when, _)| *when + window < now) {
            self.recent.pop_front();
        }
        self.busy.retain(|until| *until > now);
    }
}

fn fingerprint(request: &Request) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&request.method, &request.target, &request.body).hash(&mut hasher);
    hasher.finish()
}

/// Writes a number with commas, as the service does.
fn thousands(number: u128) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str) -> Request {
        Request { method: "GET".into(), target: target.into(), ..Request::default() }
    }

    /// Plays requests at moments; tells the code and the wait of each, or nothing where it was taken.
    fn play(quota: Quota, requests: &[(u64, &str)]) -> Vec<String> {
        let mut spent = Spent::default();
        let one = |(milliseconds, target): &(u64, &str)| {
            let now = Duration::from_millis(*milliseconds);
            match spent.admit(&quota, &request(target), 2, now) {
                Ok(_) => String::new(),
                Err(refusal) => format!("{} {}", refusal.error.code, refusal.retry_after),
            }
        };
        requests.iter().map(one).collect()
    }

    #[test]
    fn each_limit_is_met_by_itself() {
        let window = Duration::from_secs(10);
        let quota = Quota { requests_max: 2, window, ..Quota::default() };
        let found = play(quota, &[(0, "a"), (4_000, "b"), (5_000, "c"), (6_000, "c"), (10_001, "c"), (10_002, "d")]);
        assert_eq!(found, ["", "", "0x80072322 5", "0x80072322 8", "", "0x80072322 4"], "whoever pushes waits longer");
        let per = Duration::from_secs(1);
        let quota = Quota { execution_max: per * 6, window, per_request: per, per_operation: per, ..Quota::default() };
        let found = play(quota, &[(0, "a"), (4_000, "b"), (7_500, "c"), (10_001, "c")]);
        assert_eq!(found, ["", "", "0x80072321 3", ""]);
        let quota = Quota { concurrency_max: 1, per_request: per * 2, ..Quota::default() };
        assert_eq!(play(quota, &[(0, "a"), (500, "b"), (2_000, "b")]), ["", "0x80072326 2", ""]);
    }

    #[test]
    fn numbers_have_commas() {
        for (number, text) in [(0, "0"), (999, "999"), (1_200_000, "1,200,000")] {
            assert_eq!(thousands(number), text);
        }
    }
}
