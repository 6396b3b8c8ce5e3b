//! The gate before one side: so many requests at once, so many in each window, none while the side asks for rest.
//!
//! Threads come in through [`Limiter::admit`] and leave by telling the [`Permit`] what became of their request. What a
//! side refuses teaches: which of its limits was met, and how much it grants, as it says itself (crm-api.md §15) or as what
//! was granted shows. Then the gate is halved and opens one by one again: whoever was refused goes before all others, and the
//! first of them alone, so that the others go only when something was granted since, and nobody is refused twice in a row
//! (`limiter/chance.rs` plays that). It knows neither requests nor answers.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::adapters::budget::{Budget, Opens};
use crate::adapters::clock::Clock;

/// Answers that take longer than this are slow, if they take many times what they took at best.
const SLOW: Duration = Duration::from_secs(2);
/// How many times the best pace counts as slow.
const SLOW_TIMES: f64 = 3.0;
/// Bytes that a request and its answer have on top of their fixed cost of one.
const WORK_BYTES: f64 = 16_384.0;

/// What a side says of the limit that was met.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Met {
    pub facet: Facet,
    /// How much it grants (requests, seconds, or requests at once), where it says so.
    pub granted: Option<f64>,
    /// In which window, where it says so.
    pub window: Option<Duration>,
}

/// Which of its limits a side says was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facet {
    /// Requests in a window.
    Requests,
    /// The time that requests took together in a window.
    Time,
    /// Requests at once.
    Concurrency,
}

/// The gate of one side, shared by all threads.
pub struct Limiter {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// What is configured, or recommended by the side.
    most: f64,
    /// How many go at once now; grows by one in as many answers, down to one by refusals.
    width: f64,
    /// A width that was too much, and until when that is remembered.
    ceiling: Option<(f64, Duration)>,
    /// What the side bears at once, as far as refusals told.
    borne: f64,
    /// When the gate was last halved; what had begun before is no new reason.
    halved: Option<Duration>,
    busy: usize,
    /// Of these, requests that were refused before.
    returned: usize,
    /// Threads in [`Limiter::admit`] whose request was refused before.
    returning: usize,
    /// The others there.
    waiting: usize,
    closed_until: Duration,
    /// When something was refused last.
    refused: Duration,
    /// Nothing was granted since then: one request goes by itself, and its answer tells whether others may.
    alone: bool,
    requests: Budget,
    time: Budget,
    /// What the side itself says that it grants, by facet: in windows of its own.
    told: [Option<Budget>; 2],
    /// What a request takes, on the average of the latest.
    seconds: f64,
    /// What one takes that takes long.
    longest: f64,
    /// Of reads and of writes.
    paces: [Pace; 2],
}

/// How long the same work takes.
#[derive(Default)]
struct Pace {
    now: f64,
    best: f64,
    /// Answers since the gate was last narrowed for it.
    answers: f64,
}

/// The right to one request. Whoever drops it without a word had no answer.
pub struct Permit<'a> {
    limiter: &'a Limiter,
    /// How long the thread waited for its turn, not counting the wait for other requests to end.
    pub waited: Duration,
    began: Duration,
    again: bool,
    is_told: bool,
}

impl Limiter {
    /// Makes a gate for `concurrency` requests at once and `requests` in each `window`.
    pub fn new(concurrency: usize, requests: usize, window: Duration) -> Limiter {
        let most = concurrency.max(1) as f64;
        let state = State {
            most,
            width: most,
            ceiling: None,
            borne: f64::INFINITY,
            halved: None,
            busy: 0,
            returned: 0,
            returning: 0,
            waiting: 0,
            closed_until: Duration::ZERO,
            refused: Duration::ZERO,
            alone: false,
            requests: Budget::new(requests.max(1) as f64, window),
            time: Budget::new(f64::INFINITY, window),
            told: [None, None],
            seconds: 0.0,
            longest: 0.0,
            paces: [Pace::default(), Pace::default()],
        };
        Limiter { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Waits until a request may go out; one that comes `again` after a refusal goes before those that are new. `None` where
    /// it would have to wait and the program is to end.
    pub fn admit<'a>(&'a self, clock: &dyn Clock, again: bool) -> Option<Permit<'a>> {
        let mut waited = Duration::ZERO;
        // Before the lock, so that it goes after it.
        let _inside = Inside::new(self, again);
        let mut state = self.lock();
        loop {
            let now = clock.now();
            match state.opens(now, again) {
                Opens::At(start) if start <= now => {
                    state.enter(again);
                    return Some(Permit { limiter: self, waited, began: now, again, is_told: false });
                }
                Opens::At(_) if clock.is_over() => return None,
                Opens::At(start) => {
                    drop(state);
                    clock.sleep(start - now);
                    waited += start - now;
                    state = self.lock();
                }
                Opens::Later => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Lowers the number of requests at once to what the side recommends.
    pub fn narrow(&self, concurrency: usize) {
        let mut state = self.lock();
        state.most = state.most.min(concurrency.max(1) as f64);
        state.width = state.width.min(state.most);
    }

    /// Returns how many requests may be under way at once.
    pub fn concurrency(&self) -> usize {
        self.lock().width as usize
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The counters stay true even if a thread died while it held them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, again: bool, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        state.exit(again);
        change(&mut state);
        drop(state);
        self.changed.notify_all();
    }
}

/// A thread in [`Limiter::admit`]. Others wait for it, so they hear of its end even where it panics.
struct Inside<'a> {
    limiter: &'a Limiter,
    again: bool,
}

impl Inside<'_> {
    fn new(limiter: &Limiter, again: bool) -> Inside<'_> {
        *limiter.lock().inside(again) += 1;
        Inside { limiter, again }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        *self.limiter.lock().inside(self.again) -= 1;
        self.limiter.changed.notify_all();
    }
}

impl State {
    /// Returns how many threads wait for their turn, of those whose request was refused before or of the others.
    fn inside(&mut self, again: bool) -> &mut usize {
        if again { &mut self.returning } else { &mut self.waiting }
    }

    fn enter(&mut self, again: bool) {
        self.busy += 1;
        self.returned += usize::from(again);
    }

    fn exit(&mut self, again: bool) {
        self.busy -= 1;
        self.returned -= usize::from(again);
    }

    fn spend(&mut self, began: Duration, now: Duration, seconds: f64) {
        self.requests.spend(began, now, 1.0);
        self.time.spend(began, now, seconds);
        for (told, amount) in self.told.iter_mut().zip([1.0, seconds]) {
            told.iter_mut().for_each(|told| told.spend(began, now, amount));
        }
        self.longest = (0.99 * self.longest).max(seconds);
        self.seconds = if self.seconds == 0.0 { seconds } else { 0.9 * self.seconds + 0.1 * seconds };
    }

    fn opens(&mut self, now: Duration, again: bool) -> Opens {
        // Whether there is more than is known is tried by others than those that were refused before, and not while one of
        // them is under way, whom it might cost its place.
        let careful = again || self.returned > 0;
        let width = if careful { self.width.min(self.borne) } else { self.width };
        let is_full = self.busy as f64 >= width.floor().max(1.0);
        // Who goes alone, or tries whether there is more, is one that was not refused yet, where there is one; else those that
        // were go before all others.
        let is_trial = self.alone || self.requests.is_unsure(now) || self.time.is_unsure(now);
        let goes_first = if is_trial { !again || self.waiting == 0 } else { again || self.returning == 0 };
        if is_full || !goes_first || (self.alone && self.busy > 0) {
            return Opens::Later;
        }
        let (busy, seconds) = (self.busy as f64, self.seconds);
        let under_way = busy * if careful { self.longest } else { seconds };
        let [told_requests, told_time] = &mut self.told;
        let windows = [
            Some(self.requests.opens(now, 1.0, busy, careful)),
            Some(self.time.opens(now, seconds, under_way, careful)),
            told_requests.as_mut().map(|told| told.opens(now, 1.0, busy, careful)),
            told_time.as_mut().map(|told| told.opens(now, seconds, under_way, careful)),
        ];
        let mut start = now.max(self.closed_until);
        for window in windows.into_iter().flatten() {
            match window {
                Opens::At(at) => start = start.max(at),
                Opens::Later => return Opens::Later,
            }
        }
        Opens::At(start)
    }

    /// Takes note of an answer to what had begun then, of so many bytes.
    fn answered(&mut self, began: Duration, now: Duration, is_read: bool, bytes: usize) {
        let seconds = now.saturating_sub(began).as_secs_f64();
        self.spend(began, now, seconds);
        // What was under way already when something was refused says nothing of what is granted since.
        self.alone &= began < self.refused;
        let work = 1.0 + bytes as f64 / WORK_BYTES;
        let width = self.width;
        let pace = &mut self.paces[usize::from(is_read)];
        if !pace.hear(seconds, work) {
            self.widen(now);
        } else if pace.answers >= width {
            pace.answers = 0.0;
            // A guess by the time alone does not go as far as a refusal.
            self.width = (width * 0.75).max(self.most / 4.0).max(1.0).min(width);
        }
    }

    /// Takes note of a refusal of what had begun then.
    fn refused(&mut self, began: Duration, now: Duration, until: Duration, met: Option<Met>) {
        self.closed_until = self.closed_until.max(until);
        (self.refused, self.alone) = (now, true);
        self.halve(began, now);
        let Some(Met { facet, granted, window }) = met else { return };
        let (known, told) = match facet {
            Facet::Requests => (&mut self.requests, 0),
            Facet::Time => (&mut self.time, 1),
            Facet::Concurrency => {
                let others = self.busy as f64;
                // Of those that went out with it, the ones still under way are what the side bears.
                let borne = others.max(1.0);
                self.borne = granted.map_or(borne, |granted| granted.max(1.0).min(borne));
                self.width = self.width.min(self.borne);
                self.ceiling = Some(((others + 1.0).max(2.0), now + self.requests.window()));
                return;
            }
        };
        match granted.zip(window) {
            Some((granted, window)) => {
                let told = self.told[told].get_or_insert_with(|| known.again(granted, window));
                told.told(now, until, granted, window);
            }
            None => known.refused(now, until),
        }
    }

    fn halve(&mut self, began: Duration, now: Duration) {
        if self.halved.is_none_or(|halved| began > halved) {
            self.width = (self.width / 2.0).max(1.0);
            self.halved = Some(now);
        }
    }

    fn widen(&mut self, now: Duration) {
        let most = match self.ceiling.filter(|(_, until)| now < *until) {
            Some((ceiling, _)) => self.most.min((ceiling - 1.0).max(1.0)),
            None => self.most,
        };
        if self.width < most {
            self.width = (self.width + 1.0 / self.width).min(most);
        }
    }
}

impl Pace {
    /// Notes an answer; tells whether the side is slow.
    fn hear(&mut self, seconds: f64, work: f64) -> bool {
        let pace = seconds / work;
        self.now = if self.best == 0.0 { pace } else { 0.8 * self.now + 0.2 * pace };
        // What was once best is forgotten slowly, or a lucky answer would slow everything for good.
        self.best = if self.best == 0.0 { self.now } else { (self.best * 1.002).min(self.now) };
        self.answers += 1.0;
        seconds > SLOW.as_secs_f64() && self.now > SLOW_TIMES * self.best
    }
}

impl Permit<'_> {
    /// Tells that an answer of so many bytes, those of the request among them, was there at `now`.
    pub fn answered(mut self, now: Duration, is_read: bool, bytes: usize) {
        self.is_told = true;
        let began = self.began;
        self.limiter.leave(self.again, |state| state.answered(began, now, is_read, bytes));
    }

    /// Tells that the side refused the request because of a limit of its own, and wants nothing before `until`.
    pub fn refused(mut self, now: Duration, until: Duration, met: Option<Met>) {
        self.is_told = true;
        let began = self.began;
        self.limiter.leave(self.again, |state| state.refused(began, now, until, met));
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            let began = self.began;
            self.limiter.leave(self.again, |state| state.requests.spend(began, began, 1.0));
        }
    }
}

#[cfg(test)]
mod chance;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::clock::tests::FakeClock;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const WINDOW: Duration = Duration::from_secs(10);

    /// A limit of which nothing more is said.
    fn met(facet: Facet) -> Option<Met> {
        Some(Met { facet, granted: None, window: None })
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_window_takes_so_many_requests_and_no_more() {
        let clock = FakeClock::default();
        let limiter = Limiter::new(1, 3, WINDOW);
        let starts: Vec<u64> = (0..8)
            .map(|_| {
                limiter.admit(&clock, false).unwrap();
                let start = clock.now().as_secs();
                clock.sleep(seconds(1));
                start
            })
            .collect();
        assert_eq!(starts, [0, 1, 2, 10, 11, 12, 20, 21]);
    }

    #[test]
    fn a_side_that_asks_for_rest_gets_it() {
        let clock = FakeClock::default();
        let limiter = Limiter::new(2, 100, WINDOW);
        let (first, second) = (limiter.admit(&clock, false).unwrap(), limiter.admit(&clock, false).unwrap());
        first.refused(clock.now(), seconds(17), None);
        second.refused(clock.now(), seconds(5), None);
        let permit = limiter.admit(&clock, true).unwrap();
        assert_eq!((permit.waited, clock.now()), (seconds(17), seconds(17)));
    }

    #[test]
    fn no_more_than_the_permitted_threads_are_inside() {
        let clock = FakeClock::default();
        let limiter = Limiter::new(9, 1_000, seconds(1));
        limiter.narrow(2);
        limiter.narrow(5);
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // The first time each waits inside for another one: were only one let in, nobody would come out.
        let both = Barrier::new(2);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for time in 0..50 {
                        let permit = limiter.admit(&clock, false).unwrap();
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        if time == 0 {
                            both.wait();
                        }
                        inside.fetch_sub(1, Ordering::SeqCst);
                        permit.answered(clock.now(), true, 0);
                    }
                });
            }
        });
        assert_eq!(most.load(Ordering::SeqCst), 2);
        assert_eq!(limiter.concurrency(), 2);
    }

    /// A burst that met a limit halves the gate once; answers open it again, one for as many as go at once.
    #[test]
    fn refusals_halve_the_gate_and_answers_open_it_again() {
        let clock = FakeClock::default();
        let limiter = Limiter::new(8, 10_000, WINDOW);
        let burst: Vec<Permit<'_>> = (0..8).map(|_| limiter.admit(&clock, false).unwrap()).collect();
        clock.sleep(seconds(1));
        for permit in burst {
            permit.refused(clock.now(), clock.now(), None);
        }
        assert_eq!(limiter.concurrency(), 4);
        let mut widths = Vec::new();
        for _ in 0..30 {
            limiter.admit(&clock, false).unwrap().answered(clock.now(), true, 0);
            widths.push(limiter.concurrency());
        }
        assert_eq!((widths[3], widths[10], widths[29]), (4, 6, 8));
    }

    #[test]
    fn what_a_side_bears_at_once_is_remembered_for_a_window() {
        let clock = FakeClock::default();
        let limiter = Limiter::new(8, 10_000, WINDOW);
        let mut burst: Vec<Permit<'_>> = (0..8).map(|_| limiter.admit(&clock, false).unwrap()).collect();
        let borne = burst.split_off(5);
        for permit in burst {
            permit.refused(clock.now(), clock.now(), met(Facet::Concurrency));
        }
        assert_eq!(limiter.concurrency(), 3);
        borne.into_iter().for_each(|permit| permit.answered(clock.now(), true, 0));
        let answers = || (0..50).for_each(|_| limiter.admit(&clock, false).unwrap().answered(clock.now(), true, 0));
        answers();
        assert_eq!(limiter.concurrency(), 3);
        clock.sleep(WINDOW);
        answers();
        assert_eq!(limiter.concurrency(), 8);
    }

    /// The limits that are configured are not those of the side: it grants three requests in a window.
    #[test]
    fn what_a_side_grants_in_a_window_is_learned() {
        let clock = FakeClock::default();
        let limiter = Limiter::new(1, 10_000, WINDOW);
        let (mut granted, mut refused, mut twice, mut again) = (Vec::new(), 0, 0, false);
        while granted.len() < 60 {
            let permit = limiter.admit(&clock, again).unwrap();
            clock.sleep(Duration::from_millis(100));
            let now = clock.now();
            let recent: Vec<Duration> = granted.iter().copied().filter(|when| now < *when + WINDOW).collect();
            if recent.len() < 3 {
                granted.push(now);
                permit.answered(now, true, 0);
                again = false;
            } else {
                refused += 1;
                twice += usize::from(again);
                permit.refused(now, recent[0] + WINDOW, met(Facet::Requests));
                again = true;
            }
        }
        assert_eq!(twice, 0);
        assert!(refused <= 20 / 2, "{refused} refusals in 20 windows");
    }

    /// A window of few requests, then a refusal for a second: it was others who spent what there is.
    #[test]
    fn a_refusal_that_our_own_requests_do_not_explain_costs_no_windows() {
        let clock = FakeClock::default();
        let limiter = Limiter::new(1, 6_000, seconds(300));
        for _ in 0..15 {
            limiter.admit(&clock, false).unwrap().answered(clock.now(), true, 0);
            clock.sleep(seconds(40));
        }
        limiter.admit(&clock, false).unwrap().refused(clock.now(), clock.now() + seconds(1), met(Facet::Requests));
        let again = clock.now();
        for _ in 0..300 {
            limiter.admit(&clock, true).unwrap().answered(clock.now(), true, 0);
        }
        // What others spent comes back bit by bit: twenty in a second.
        assert_eq!((clock.now() - again).as_secs(), 15);
    }

    #[test]
    fn whoever_was_refused_goes_first() {
        let clock = FakeClock::default();
        let limiter = Limiter::new(1, 10_000, WINDOW);
        let held = limiter.admit(&clock, false).unwrap();
        let order = Mutex::new(Vec::new());
        let enter = |again: bool, name: &'static str| {
            let permit = limiter.admit(&clock, again).unwrap();
            order.lock().unwrap().push(name);
            permit.answered(clock.now(), true, 0);
        };
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| enter(false, "new"));
            }
            scope.spawn(|| enter(true, "refused"));
            // The one that was refused is waiting inside.
            while limiter.lock().returning == 0 {
                std::thread::yield_now();
            }
            held.answered(clock.now(), true, 0);
        });
        assert_eq!(order.into_inner().unwrap(), ["refused", "new", "new", "new"]);
    }

    /// A clock that fails whoever waits by it.
    struct Broken;

    /// A clock at the end of the program.
    struct Over;

    impl Clock for Over {
        fn now(&self) -> Duration {
            Duration::ZERO
        }

        fn sleep(&self, _: Duration) {
            panic!("nothing waits any more");
        }

        fn is_over(&self) -> bool {
            true
        }

        fn jitter(&self) -> f64 {
            0.0
        }
    }

    #[test]
    fn nobody_waits_at_the_gate_when_the_program_is_to_end() {
        let limiter = Limiter::new(2, 100, WINDOW);
        limiter.admit(&Over, false).unwrap().refused(Duration::ZERO, seconds(86_400), None);
        assert!(limiter.admit(&Over, true).is_none());
        assert!(limiter.admit(&Over, false).is_none());
    }

    impl Clock for Broken {
        fn now(&self) -> Duration {
            Duration::ZERO
        }

        fn sleep(&self, _: Duration) {
            panic!("the clock is broken");
        }

        fn jitter(&self) -> f64 {
            0.0
        }
    }

    #[test]
    fn nobody_waits_for_one_that_is_no_more() {
        let limiter = Limiter::new(2, 100, WINDOW);
        limiter.admit(&Broken, false).unwrap().refused(Duration::ZERO, seconds(5), None);
        let returns = || drop(limiter.admit(&Broken, true).unwrap());
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(returns)).is_err());
        assert_eq!(limiter.lock().returning, 0);
        let clock = FakeClock::default();
        drop(limiter.admit(&clock, false).unwrap());
        assert_eq!(clock.now(), seconds(5));
    }

    #[test]
    fn answers_that_come_ever_later_narrow_the_gate_a_little() {
        let clock = FakeClock::default();
        let limiter = Limiter::new(8, 10_000, WINDOW);
        let answers = |count: u64, wait: Duration, bytes: usize| {
            for _ in 0..count {
                let permit = limiter.admit(&clock, false).unwrap();
                clock.sleep(wait);
                permit.answered(clock.now(), false, bytes);
            }
            limiter.concurrency()
        };
        assert_eq!(answers(20, seconds(1), 0), 8);
        assert_eq!(answers(10, seconds(5), 100_000), 8, "they are larger, not slower");
        assert_eq!(answers(4, seconds(9), 0), 6);
        assert_eq!(answers(200, seconds(60), 0), 2, "and never by more than to a quarter");
        assert_eq!(answers(60, Duration::from_millis(100), 0), 8);
    }
}
