//! Time and patience: how long to wait before a request is repeated.
//!
//! In go the number of failed attempts and what the answer said in `Retry-After`; out comes a wait. The clock is an
//! argument, so that tests pass hours in no time. Nothing here knows HTTP connections or what is being repeated.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

use chrono::DateTime;

/// Time as the adapters see it.
pub trait Clock: Send + Sync {
    /// Returns the time since some fixed moment; never goes back.
    fn now(&self) -> Duration;

    /// Lets that much time pass.
    fn sleep(&self, wait: Duration);

    /// Returns a number from 0 to 1 by which waits are spread, so that clients do not return all at once.
    fn jitter(&self) -> f64;
}

/// The clock on the wall.
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts the clock.
    pub fn start() -> SystemClock {
        SystemClock { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, wait: Duration) {
        std::thread::sleep(wait);
    }

    fn jitter(&self) -> f64 {
        // Every `RandomState` has keys of its own: random enough to spread waits, and no crate more.
        let random = RandomState::new().build_hasher().finish();
        f64::from(u32::try_from(random >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }
}

/// How often and how long to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Attempts in all, the first one included.
    pub attempts: u32,
    /// The first wait; each further one doubles it.
    pub base_ms: u64,
    /// The longest wait of our own choice.
    pub cap_ms: u64,
    /// The longest wait that a side may ask for.
    pub retry_after_cap_ms: u64,
}

impl Default for Patience {
    /// 2, 4, 8 … 60 s, as erp-api.md §7 advises; a CRM that is pushed may ask for minutes (crm-api.md §15).
    fn default() -> Patience {
        Patience { attempts: 7, base_ms: 2_000, cap_ms: 60_000, retry_after_cap_ms: 600_000 }
    }
}

impl Patience {
    /// Returns the wait after so many failed attempts (from 1).
    ///
    /// A side's `Retry-After` is a promise that an earlier request is in vain, so spreading only adds to it. A wait of
    /// our own is spread from half of it to the whole.
    pub fn wait(&self, failed: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
        match retry_after {
            Some(asked) => {
                let wait = asked.min(Duration::from_millis(self.retry_after_cap_ms));
                wait + Duration::from_millis(self.base_ms).mul_f64(0.1 * jitter)
            }
            None => {
                let doubled = self.base_ms.saturating_mul(1 << failed.saturating_sub(1).min(20));
                Duration::from_millis(doubled.min(self.cap_ms)).mul_f64(0.5 + 0.5 * jitter)
            }
        }
    }
}

/// Reads `Retry-After`: seconds, or a date that is compared to the `Date` of the same answer, so that a wrong clock on
/// either side does not matter. `None` where nothing usable is said.
pub fn retry_after(header: Option<&str>, date: Option<&str>) -> Option<Duration> {
    let text = header?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(text).ok()?;
    let now = DateTime::parse_from_rfc2822(date?.trim()).ok()?;
    until.signed_duration_since(now).to_std().ok()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A clock that only moves when somebody sleeps.
    #[derive(Default)]
    pub struct FakeClock {
        now: Mutex<Duration>,
    }

    impl Clock for FakeClock {
        fn now(&self) -> Duration {
            *self.now.lock().unwrap()
        }

        fn sleep(&self, wait: Duration) {
            *self.now.lock().unwrap() += wait;
        }

        fn jitter(&self) -> f64 {
            1.0
        }
    }

    #[test]
    fn waits_double_up_to_the_cap_and_a_side_may_ask_for_longer() {
        let patience = Patience { attempts: 9, base_ms: 2_000, cap_ms: 60_000, retry_after_cap_ms: 600_000 };
        let seconds = |failed, asked: Option<u64>, jitter| {
            patience.wait(failed, asked.map(Duration::from_secs), jitter).as_secs_f64()
        };
        for (failed, asked, jitter, expected) in [
            (1, None, 1.0, 2.0),
            (2, None, 1.0, 4.0),
            (3, None, 0.0, 4.0),
            (5, None, 1.0, 32.0),
            (6, None, 1.0, 60.0),
            (60, None, 1.0, 60.0),
            (1, Some(17), 0.0, 17.0),
            (1, Some(17), 1.0, 17.2),
            (1, Some(0), 0.0, 0.0),
            (1, Some(99_999), 0.0, 600.0),
        ] {
            let wait = seconds(failed, asked, jitter);
            assert!((wait - expected).abs() < 1e-9, "{failed} {asked:?} {jitter}: {wait}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let date = Some("Sat, 31 Jan 2026 22:00:00 GMT");
        for (header, date, expected) in [
            (Some("17"), None, Some(17)),
            (Some(" 4 "), None, Some(4)),
            (Some("Sat, 31 Jan 2026 22:00:05 GMT"), date, Some(5)),
            (Some("Sat, 31 Jan 2026 22:00:05 GMT"), None, None),
            (Some("Sat, 31 Jan 2026 21:00:05 GMT"), date, None),
            (Some("soon"), date, None),
            (Some("-3"), date, None),
            (None, date, None),
        ] {
            assert_eq!(retry_after(header, date), expected.map(Duration::from_secs), "{header:?} at {date:?}");
        }
    }
}
