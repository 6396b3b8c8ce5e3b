//! Time and patience: how long to wait before a request is repeated.
//!
//! In go the number of failed attempts and what the answer said in `Retry-After`; out comes a wait. The clock is an
//! argument, so that tests pass hours in no time. Nothing here knows HTTP connections or what is being repeated.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, NaiveDateTime, Utc};

use crate::endpoint::ClockOffset;

/// Time as the adapters see it.
pub trait Clock: Send + Sync {
    /// Returns the time since 1970, the same for both sides; never goes back.
    fn now(&self) -> Duration;

    /// Lets that much time pass, or less where the program is to end meanwhile.
    fn sleep(&self, wait: Duration);

    /// Tells whether the program is to end: then nothing waits any more.
    fn is_over(&self) -> bool {
        false
    }

    /// Hears that an answer of a host is a long time coming, and for how much longer it is waited for at most.
    fn awaits(&self, _host: &str, _left: Duration) {}

    /// Returns a number from 0 to 1 by which waits are spread, so that clients do not return all at once.
    fn jitter(&self) -> f64;
}

/// Waits of this length are told, so that nobody takes them for a hang.
pub const TOLD_FROM: Duration = Duration::from_secs(10);
/// How long a wait goes on without a look at whether the program is to end.
pub const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The clock on the wall, from 1970; what sets the wall's clock while we run does not move it.
pub struct SystemClock {
    start: Instant,
    start_since_1970: Duration,
    /// Set when the program is to end.
    stop: Arc<AtomicBool>,
    tell: Tell,
    /// Until when a wait was told, in time since the start, by the host of which an answer is waited for: of many that end
    /// together one is told.
    told_to: Mutex<HashMap<Option<String>, Duration>>,
}

/// Hears of a long wait: for a host's answer, or before something is sent again.
type Tell = fn(Option<&str>, Duration);

impl SystemClock {
    /// Starts the clock.
    pub fn start() -> SystemClock {
        SystemClock::start_until(Arc::default(), |_, _| {})
    }

    /// Starts a clock whose waits end when `stop` is set, and which tells of long ones.
    pub fn start_until(stop: Arc<AtomicBool>, tell: Tell) -> SystemClock {
        let start_since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        SystemClock { start: Instant::now(), start_since_1970, stop, tell, told_to: Mutex::default() }
    }

    /// Tells of a wait, unless one was told that ends apart from it by no more than a spread.
    fn tell_once(&self, host: Option<&str>, wait: Duration) {
        let end = self.start.elapsed() + wait;
        let mut told_to = self.told_to.lock().unwrap_or_else(PoisonError::into_inner);
        let told_to = told_to.entry(host.map(str::to_owned)).or_default();
        let is_news = end > *told_to + wait / 4;
        *told_to = end.max(*told_to);
        if is_news {
            (self.tell)(host, wait);
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.start_since_1970 + self.start.elapsed()
    }

    fn sleep(&self, wait: Duration) {
        let began = Instant::now();
        if wait >= TOLD_FROM {
            self.tell_once(None, wait);
        }
        while let Some(left) = wait.checked_sub(began.elapsed()).filter(|left| !left.is_zero() && !self.is_over()) {
            std::thread::sleep(left.min(LOOK_EVERY));
        }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn awaits(&self, host: &str, left: Duration) {
        self.tell_once(Some(host), left);
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
    /// The longest wait that a side may ask for; one that asks for more is given up at once, since whatever is sent before is
    /// refused.
    pub retry_after_cap_ms: u64,
    /// How long an answer may take to begin, and again to end. The gateway of the ERP gives up after ten minutes itself
    /// (erp-api.md §7).
    pub answer_ms_max: u64,
    /// The same for a token, which is small, and of which nothing is made that takes long.
    pub token_ms_max: u64,
}

impl Default for Patience {
    /// 2, 4, 8 … 60 s, as erp-api.md §7 advises; a CRM that is pushed may ask for minutes (crm-api.md §15).
    fn default() -> Patience {
        Patience {
            attempts: 7,
            base_ms: 2_000,
            cap_ms: 60_000,
            retry_after_cap_ms: 600_000,
            answer_ms_max: 660_000,
            token_ms_max: 30_000,
        }
    }
}

impl Patience {
    /// Says why a side is not waited for that asks for a longer wait than a run has.
    pub fn too_long(&self, asked: Option<Duration>) -> Option<String> {
        let run_waits = Duration::from_millis(self.retry_after_cap_ms);
        let asked = asked.filter(|asked| *asked > run_waits)?.as_secs();
        Some(format!("it takes no request for {asked} seconds, and a run waits for {} at most", run_waits.as_secs()))
    }

    /// Returns how many of the longest waits of our own choice fill a time.
    pub fn attempts_in(&self, time: Duration) -> u32 {
        u32::try_from(time.as_millis().div_ceil(u128::from(self.cap_ms.max(1)))).unwrap_or(u32::MAX)
    }

    /// Returns the wait after so many failed attempts (from 1), of which none asks for [`too_long`](Self::too_long) a one.
    ///
    /// A side's `Retry-After` is a promise that an earlier request is in vain, so spreading only adds to it. A wait of
    /// our own is spread from half of it to the whole.
    pub fn wait(&self, failed: u32, retry_after: Option<Duration>, jitter: f64) -> Duration {
        match retry_after {
            Some(asked) => asked + Duration::from_millis(self.base_ms).mul_f64(0.1 * jitter),
            None => {
                let doubled = self.base_ms.saturating_mul(1 << failed.saturating_sub(1).min(20));
                Duration::from_millis(doubled.min(self.cap_ms)).mul_f64(0.5 + 0.5 * jitter)
            }
        }
    }
}

/// Reads `Retry-After`: seconds, or a date (RFC 9110 §10.2.3) that is compared to the `Date` of the same answer, so that a
/// wrong clock on either side does not matter; where it has none, to `now`, the time since 1970. `None` where nothing usable
/// is said: of a date in the past nobody knows how long a wait was meant.
pub fn retry_after(header: Option<&str>, date: Option<&str>, now: Duration) -> Option<Duration> {
    let text = header?.trim();
    if !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit()) {
        // More than fits is as long as ever.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let until = http_date(text)?;
    let ours = || DateTime::from_timestamp_millis(i64::try_from(now.as_millis()).ok()?);
    until.signed_duration_since(date.and_then(http_date).or_else(ours)?).to_std().ok()
}

/// Reads a moment in one of the three forms that a date in HTTP has (RFC 9110 §5.6.7).
fn http_date(text: &str) -> Option<DateTime<Utc>> {
    const OBSOLETE: [&str; 2] = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let text = text.trim();
    let usual = DateTime::parse_from_rfc2822(text).ok().map(|time| time.to_utc());
    let obsolete = |form: &&str| NaiveDateTime::parse_from_str(text, form).ok();
    usual.or_else(|| OBSOLETE.iter().find_map(obsolete).map(|time| time.and_utc()))
}

/// Returns how far the clock that wrote `date` into an answer is ahead of the one that saw the exchange begin and end.
pub fn offset(date: Option<&str>, began: Duration, ended: Duration) -> Option<ClockOffset> {
    let ms = |time: Duration| i64::try_from(time.as_millis()).ok();
    let date_ms = http_date(date?)?.timestamp_millis();
    // The header has whole seconds: the true time is up to one later.
    Some(ClockOffset { ms_min: date_ms - ms(ended)?, ms_max: date_ms + 999 - ms(began)?, steady: true })
}

/// Answers may be so far from one clock: servers that share an address differ a little, some look at their clock once a
/// second only, and a clock that runs wrong is put right bit by bit.
const UNSTEADY_MS: i64 = 2_000;

/// What all answers of a side told of its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// It is so far ahead at least, by the answer that says most.
    ms_min: i64,
    /// And so far at most, by the one that says least.
    ms_max: i64,
}

impl Observed {
    /// Narrows what was known of a clock by what one more answer tells.
    pub fn with(known: Option<Observed>, told: ClockOffset) -> Observed {
        let ClockOffset { ms_min, ms_max, .. } = told;
        known.map_or(Observed { ms_min, ms_max }, |known| Observed {
            ms_min: known.ms_min.max(ms_min),
            ms_max: known.ms_max.min(ms_max),
        })
    }

    /// Returns what follows from the answers. Where they contradict each other nobody knows which of them is right: whoever
    /// believed the latest one would let any answer say whose edit is the newer one.
    pub fn offset(self) -> ClockOffset {
        let Observed { ms_min, ms_max } = self;
        let steady = ms_min.saturating_sub(ms_max) <= UNSTEADY_MS;
        ClockOffset { ms_min: ms_min.min(ms_max), ms_max: ms_max.max(ms_min), steady }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::config::Side;
    use crate::endpoint::NoClock;
    use std::sync::atomic::AtomicU64;

    /// A clock that only moves when somebody sleeps.
    #[derive(Default)]
    pub struct FakeClock {
        now: Mutex<Duration>,
        /// The program is to end.
        pub over: AtomicBool,
    }

    impl Clock for FakeClock {
        fn now(&self) -> Duration {
            *self.now.lock().unwrap()
        }

        fn sleep(&self, wait: Duration) {
            *self.now.lock().unwrap() += wait;
        }

        fn is_over(&self) -> bool {
            self.over.load(Ordering::Relaxed)
        }

        fn jitter(&self) -> f64 {
            1.0
        }
    }

    #[test]
    fn a_wait_ends_when_the_program_is_to_end_and_a_long_one_is_told_once() {
        static TOLD: AtomicU64 = AtomicU64::new(0);
        let stop = Arc::new(AtomicBool::new(false));
        let clock = SystemClock::start_until(Arc::clone(&stop), |_, wait| {
            TOLD.fetch_add(wait.as_secs(), Ordering::Relaxed);
        });
        std::thread::scope(|threads| {
            let waits = [0, 1].map(|_| threads.spawn(|| clock.sleep(Duration::from_secs(3_600))));
            while TOLD.load(Ordering::Relaxed) == 0 {
                std::thread::yield_now();
            }
            assert!(!waits.iter().any(|wait| wait.is_finished()));
            stop.store(true, Ordering::Relaxed);
        });
        clock.sleep(Duration::from_secs(3_600));
        assert!(clock.is_over());
        assert_eq!(TOLD.load(Ordering::Relaxed), 3_600);
        for _ in 0..2 {
            clock.awaits("login.example", Duration::from_secs(20));
        }
        assert_eq!(TOLD.load(Ordering::Relaxed), 3_620, "another host is another wait");
    }

    #[test]
    fn waits_double_up_to_the_cap_and_a_side_may_ask_for_longer_but_not_for_too_long() {
        let patience = Patience {
            attempts: 9,
            base_ms: 2_000,
            cap_ms: 60_000,
            retry_after_cap_ms: 600_000,
            ..Patience::default()
        };
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
            (1, Some(600), 0.0, 600.0),
        ] {
            let wait = seconds(failed, asked, jitter);
            assert!((wait - expected).abs() < 1e-9, "{failed} {asked:?} {jitter}: {wait}");
        }
        for (asked, expected) in [(None, false), (Some(600), false), (Some(601), true), (Some(u64::MAX), true)] {
            assert_eq!(patience.too_long(asked.map(Duration::from_secs)).is_some(), expected, "{asked:?}");
        }
    }

    #[test]
    fn a_clock_is_told_by_the_dates_of_its_answers() {
        let seconds = Duration::from_millis;
        let date = Some("Thu, 01 Jan 1970 00:01:40 GMT");
        for (name, date, began, ended, expected) in [
            ("in step", date, 100_200, 100_300, Some((-300, 799))),
            ("slow", date, 95_000, 102_000, Some((-2_000, 5_999))),
            ("a minute ahead", date, 40_000, 40_100, Some((59_900, 60_999))),
            ("no date", None, 0, 0, None),
            ("no such date", Some("now"), 0, 0, None),
        ] {
            let told = offset(date, seconds(began), seconds(ended)).map(|told| (told.ms_min, told.ms_max));
            assert_eq!(told, expected, "{name}");
        }
        let told = |ms_min, ms_max| ClockOffset { ms_min, ms_max, steady: true };
        let unsteady = |ms_min, ms_max| ClockOffset { steady: false, ..told(ms_min, ms_max) };
        for (answers, expected) in [
            (&[(0, 9)][..], told(0, 9)),
            (&[(0, 9), (5, 20)], told(5, 9)),
            (&[(0, 9), (500, 510)], told(9, 500)),
            (&[(0, 9), (2_009, 2_020)], told(9, 2_009)),
            (&[(0, 9), (2_010, 2_020)], unsteady(9, 2_010)),
            (&[(3_600_000, 3_600_900), (0, 9)], unsteady(9, 3_600_000)),
            // Bit by bit is as far, and what was said once stays said.
            (&[(0, 900), (1_500, 2_400), (3_000, 3_900)], unsteady(900, 3_000)),
            (&[(0, 9), (9_000, 9_900), (0, 9), (0, 9)], unsteady(9, 9_000)),
        ] {
            let told = |(ms_min, ms_max): &(i64, i64)| ClockOffset { ms_min: *ms_min, ms_max: *ms_max, steady: true };
            let known = answers.iter().map(told).fold(None, |known, told| Some(Observed::with(known, told)));
            assert_eq!(known.map(Observed::offset), Some(expected), "{answers:?}");
        }
        for (name, erp, crm, expected) in [
            ("nothing is known", None, Some(told(0, 9)), Err(NoClock::Untold(Side::Erp))),
            ("it contradicts itself", Some(told(0, 9)), Some(unsteady(0, 9)), Err(NoClock::Unsteady(Side::Crm))),
            ("they may be equal", Some(told(-300, 700)), Some(told(500, 1_500)), Ok(0)),
            ("both are wrong by as much", Some(told(60_000, 61_000)), Some(told(60_100, 60_900)), Ok(0)),
            ("the CRM is ahead", Some(told(-400, 400)), Some(told(60_000, 61_000)), Ok(60_500)),
            ("the CRM is behind", Some(told(-400, 400)), Some(told(-61_000, -60_000)), Ok(-60_500)),
        ] {
            assert_eq!(ClockOffset::between(erp, crm), expected, "{name}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let date = Some("Sat, 31 Jan 2026 22:00:00 GMT");
        // Two seconds behind that.
        let now = Duration::from_secs(1_769_896_798);
        for (header, date, expected) in [
            (Some("17"), None, Some(17)),
            (Some(" 4 "), None, Some(4)),
            (Some("99999999999999999999999"), None, Some(u64::MAX)),
            (Some("1.5"), date, None),
            (Some(""), date, None),
            (Some("Sat, 31 Jan 2026 22:00:05 GMT"), date, Some(5)),
            (Some("Saturday, 31-Jan-26 22:00:05 GMT"), date, Some(5)),
            (Some("Sat Jan 31 22:00:05 2026"), date, Some(5)),
            (Some("Sun Feb  1 22:00:05 2026"), date, Some(86_405)),
            (Some("Sat, 31 Jan 2026 22:00:05 GMT"), None, Some(7)),
            (Some("Sat, 31 Jan 2026 22:00:05 GMT"), Some("now"), Some(7)),
            (Some("Sat, 31 Jan 2026 22:00:00 GMT"), date, Some(0)),
            (Some("Sat, 31 Jan 2026 21:59:59 GMT"), date, None),
            (Some("Sat, 31 Jan 2026 21:59:57 GMT"), None, None),
            (Some("Mon, 31 Jan 2026 22:00:05 GMT"), date, None),
            (Some("soon"), date, None),
            (Some("-3"), date, None),
            (None, date, None),
        ] {
            assert_eq!(retry_after(header, date, now), expected.map(Duration::from_secs), "{header:?} at {date:?}");
        }
    }
}
