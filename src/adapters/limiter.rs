//! The gate before one side: so many requests at once, so many in each window, none while the side asks for rest.
//!
//! Threads come in through [`Limiter::admit`] and leave by dropping the [`Permit`]. It knows neither requests nor
//! answers; whoever hears that the side is overloaded closes the gate for everybody with [`Limiter::rest`].

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::adapters::clock::Clock;

/// The gate of one side, shared by all threads.
pub struct Limiter {
    requests: usize,
    window: Duration,
    state: Mutex<State>,
    freed: Condvar,
}

struct State {
    concurrency: usize,
    busy: usize,
    /// When the newest requests went or will go out, oldest first; never more than fit into one window.
    recent: VecDeque<Duration>,
    closed_until: Duration,
}

/// The right to one request; dropping it lets the next thread in.
pub struct Permit<'a> {
    limiter: &'a Limiter,
    /// How long the thread waited for its turn, not counting the wait for other requests to end.
    pub waited: Duration,
}

impl Limiter {
    /// Makes a gate for `concurrency` requests at once and `requests` in each `window`.
    pub fn new(concurrency: usize, requests: usize, window: Duration) -> Limiter {
        let state =
            State { concurrency: concurrency.max(1), busy: 0, recent: VecDeque::new(), closed_until: Duration::ZERO };
        Limiter { requests: requests.max(1), window, state: Mutex::new(state), freed: Condvar::new() }
    }

    /// Waits until a request may go out.
    pub fn admit<'a>(&'a self, clock: &dyn Clock) -> Permit<'a> {
        let mut state = self.lock();
        while state.busy >= state.concurrency {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.busy += 1;
        let mut permit = Permit { limiter: self, waited: Duration::ZERO };
        let now = clock.now();
        // The slot is taken now, for later if need be, so that threads that wait do not all wake to the same slot.
        let window_opens = if state.recent.len() < self.requests {
            Duration::ZERO
        } else {
            state.recent.pop_front().map_or(Duration::ZERO, |oldest| oldest + self.window)
        };
        let mut start = now.max(window_opens).max(state.closed_until);
        state.recent.push_back(start);
        loop {
            drop(state);
            let now = clock.now();
            if start <= now {
                return permit;
            }
            clock.sleep(start - now);
            permit.waited += start - now;
            state = self.lock();
            start = state.closed_until;
        }
    }

    /// Lets no request out until `until`.
    pub fn rest(&self, until: Duration) {
        let mut state = self.lock();
        state.closed_until = state.closed_until.max(until);
    }

    /// Lowers the number of requests at once to what the side recommends.
    pub fn narrow(&self, concurrency: usize) {
        let mut state = self.lock();
        state.concurrency = state.concurrency.min(concurrency.max(1));
    }

    /// Returns how many requests may be under way at once.
    pub fn concurrency(&self) -> usize {
        self.lock().concurrency
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The counters stay true even if a thread died while it held them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.limiter.lock().busy -= 1;
        self.limiter.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::clock::tests::FakeClock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_window_takes_so_many_requests_and_no_more() {
        let clock = FakeClock::default();
        let limiter = Limiter::new(1, 3, Duration::from_secs(10));
        let starts: Vec<u64> = (0..8)
            .map(|_| {
                limiter.admit(&clock);
                let start = clock.now().as_secs();
                clock.sleep(Duration::from_secs(1));
                start
            })
            .collect();
        assert_eq!(starts, [0, 1, 2, 10, 11, 12, 20, 21]);
    }

    #[test]
    fn a_side_that_asks_for_rest_gets_it() {
        let clock = FakeClock::default();
        let limiter = Limiter::new(1, 100, Duration::from_secs(10));
        limiter.admit(&clock);
        limiter.rest(Duration::from_secs(17));
        limiter.rest(Duration::from_secs(5));
        let permit = limiter.admit(&clock);
        assert_eq!((permit.waited, clock.now()), (Duration::from_secs(17), Duration::from_secs(17)));
    }

    #[test]
    fn no_more_than_the_permitted_threads_are_inside() {
        let clock = FakeClock::default();
        let limiter = Limiter::new(9, 1_000, Duration::from_secs(1));
        limiter.narrow(2);
        limiter.narrow(5);
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _permit = limiter.admit(&clock);
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 2);
        assert_eq!(limiter.concurrency(), 2);
    }
}
