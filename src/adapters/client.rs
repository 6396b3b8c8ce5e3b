//! The client of one side: token, throttle and retries around plain requests.
//!
//! In go an address, headers and a body; out comes an answer with any status that is final, or why there is none. A read
//! is repeated until it is whole; a write only where it is proven that nothing was done. It knows no OData: what a
//! complete answer looks like, and what an error body says, is for the callers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::adapters::clock::{Clock, LOOK_EVERY, Observed, Patience, offset, retry_after};
use crate::adapters::discreet::Logins;
use crate::adapters::http::{Agent, Answer, Broken, Reach, agent, header, send};
use crate::adapters::limiter::{Facet, Limiter, Met};
use crate::adapters::odata::amiss::Amiss;
use crate::adapters::odata::fault::Fault;
use crate::adapters::odata::link::{origin, path};
use crate::adapters::token::{self, TOKEN_URL, Token, TokenAnswer, TokenError, TokenSource};
use crate::config::{Connection, Side};
use crate::endpoint::{ClockOffset, EndpointError, Keys, Traffic};

/// Attempts to connect to a side that never answered yet: a wrong address must not cost minutes.
const FIRST_CONTACT_ATTEMPTS: u32 = 2;
/// Attempts to read from a side that never gave any data, and gives something that is none: that is what stands at a wrong
/// address, and waiting does not mend it. A proxy's page may pass within seconds; after some data it may as well be that the
/// service is being changed, and then there is all our patience.
const FIRST_DATA_ATTEMPTS: u32 = 3;
/// Where in the file the address of a side stands.
const URL: Keys = &["url"];
/// What a gateway answers that gave up waiting.
const GATEWAY_TIMEOUT: u16 = 504;

/// Why a write has no final answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostError {
    /// Nothing was carried out.
    NotSent(String),
    /// It may have been carried out.
    Unknown(String),
    /// It may have been carried out; the side did not finish it in time.
    Overtaxed(String),
}

/// The client of one side, shared by all threads.
pub struct Client {
    side: Side,
    base: String,
    agent: Agent,
    token: TokenSource,
    logins: Arc<Logins>,
    limiter: Limiter,
    patience: Patience,
    clock: Arc<dyn Clock>,
    /// In which a side counts what it grants.
    window: Duration,
    reached: AtomicBool,
    /// A read has brought what it was to bring.
    given: AtomicBool,
    /// Why nothing is sent any more.
    lost: OnceLock<EndpointError>,
    /// A write was put off until patience ended, and nothing has gone well since.
    gave_up: AtomicBool,
    sent: AtomicU64,
    retried: AtomicU64,
    waited_ms: AtomicU64,
    observed: Mutex<Option<Observed>>,
}

struct Request<'a> {
    url: &'a str,
    method: &'static str,
    headers: &'a [(&'a str, String)],
    body: Option<&'a [u8]>,
    /// Nothing changes by it, so it may be repeated whatever became of it.
    is_read: bool,
    /// Statuses after which the caller asks for something else instead of the same again.
    handed_back: &'a [u16],
}

/// The header that says in whose name a request is to be carried out (crm-api.md §3): who is refused then is not the login.
pub const ACT_AS: &str = "CallerObjectId";

/// Why a request that would have to wait is not sent, or is not waited for.
const STOPPED: &str = "the run was told to end";

/// Where the next attempt waits for its turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// By itself, while others go on; so long where the side asks for it.
    Here(Option<Duration>),
    /// With everybody, because the side asks for it.
    AtTheGate,
}

/// What a failed attempt leaves behind.
enum Failure {
    /// The side cannot be spoken to; nothing was done.
    Lost(EndpointError),
    /// The program is to end; nothing was done that matters.
    Interrupted,
    /// The side is overloaded or away; nothing was done.
    Transient(String),
    /// It answers, but not with anything whole.
    Garbled(String),
    /// The request may have been carried out.
    Unknown(String),
    /// The same, because the side took too long over it.
    Overtaxed(String),
}

impl Client {
    /// Makes a client for a connection; nothing is sent yet.
    pub fn new(side: Side, connection: &Connection, patience: Patience, clock: Arc<dyn Clock>) -> Client {
        let limits = connection.limits;
        let window = Duration::from_secs(limits.per_seconds as u64);
        Client {
            side,
            base: connection.url.trim_end_matches('/').to_owned(),
            agent: agent(
                &connection.url,
                limits.concurrency,
                Duration::from_millis(patience.answer_ms_max),
                &connection.authorities,
            ),
            token: TokenSource::new(connection.auth.clone()),
            logins: Arc::default(),
            limiter: Limiter::new(limits.concurrency, limits.requests, window),
            patience,
            clock,
            window,
            reached: AtomicBool::new(false),
            given: AtomicBool::new(false),
            lost: OnceLock::new(),
            gave_up: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            waited_ms: AtomicU64::new(0),
            observed: Mutex::new(None),
        }
    }

    /// Returns which side this is.
    pub fn side(&self) -> Side {
        self.side
    }

    /// Returns the service root, without trailing slash.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Returns what it logs in with, for whoever tells of its answers.
    pub fn logins(&self) -> Arc<Logins> {
        Arc::clone(&self.logins)
    }

    /// Returns how many requests may be under way at once.
    pub fn concurrency(&self) -> usize {
        self.limiter.concurrency()
    }

    /// Lowers the number of requests at once to what the side recommends.
    pub fn narrow(&self, concurrency: usize) {
        self.limiter.narrow(concurrency);
    }

    /// Returns what went over the wire so far; tokens are not counted, they come from elsewhere.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            sent: self.sent.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
            waited_seconds: Duration::from_millis(self.waited_ms.load(Ordering::Relaxed)).as_secs_f64(),
        }
    }

    /// Returns how far the side's clock is ahead of ours, as its answers told so far.
    pub fn clock_offset(&self) -> Option<ClockOffset> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner).map(Observed::offset)
    }

    /// Returns what the side's clock shows now, at the latest; at the earliest where its answers contradict each other.
    pub fn side_clock(&self) -> Option<DateTime<Utc>> {
        let now_ms = i64::try_from(self.clock.now().as_millis()).ok()?;
        let offset = self.clock_offset()?;
        let ahead_ms = if offset.steady { offset.ms_max } else { offset.ms_min };
        DateTime::from_timestamp_millis(now_ms.checked_add(ahead_ms)?)
    }

    /// Returns why the side cannot be spoken to any more. What refused a login refuses the next one too, and where nobody
    /// was there for the whole of our patience nobody is there for the next request: so it is found out once.
    pub fn lost(&self) -> Option<EndpointError> {
        self.lost.get().cloned()
    }

    /// Gives the side up, and returns why: what was found out first.
    pub fn give_up(&self, error: EndpointError) -> EndpointError {
        self.lost.get_or_init(|| error).clone()
    }

    fn lose(&self, error: EndpointError) -> Failure {
        Failure::Lost(self.give_up(error))
    }

    /// Reads an address. `parse` sees the body of every success and says what it holds, or what is amiss with it; where the
    /// next answer may be right, the read is repeated. Other statuses that are final come back without a value.
    pub fn get<T>(
        &self,
        url: &str,
        headers: &[(&str, String)],
        parse: impl Fn(&Answer) -> Result<T, Amiss>,
    ) -> Result<(Answer, Option<T>), EndpointError> {
        self.get_unless(&[], url, headers, parse)
    }

    /// Reads an address as [`get`](Self::get) does, but gives answers of the `handed_back` statuses to the caller at once:
    /// what took too long is not to be asked for in the same way again.
    pub fn get_unless<T>(
        &self,
        handed_back: &[u16],
        url: &str,
        headers: &[(&str, String)],
        parse: impl Fn(&Answer) -> Result<T, Amiss>,
    ) -> Result<(Answer, Option<T>), EndpointError> {
        self.read(&Request { url, method: "GET", headers, body: None, is_read: true, handed_back }, parse)
    }

    /// Posts a question, which changes nothing; otherwise as [`get`](Self::get).
    pub fn ask<T>(
        &self,
        url: &str,
        headers: &[(&str, String)],
        body: &[u8],
        parse: impl Fn(&Answer) -> Result<T, Amiss>,
    ) -> Result<(Answer, Option<T>), EndpointError> {
        self.ask_unless(&[], url, headers, body, parse)
    }

    /// Posts a question as [`ask`](Self::ask) does, but gives answers of the `handed_back` statuses to the caller at once.
    pub fn ask_unless<T>(
        &self,
        handed_back: &[u16],
        url: &str,
        headers: &[(&str, String)],
        body: &[u8],
        parse: impl Fn(&Answer) -> Result<T, Amiss>,
    ) -> Result<(Answer, Option<T>), EndpointError> {
        self.read(&Request { url, method: "POST", headers, body: Some(body), is_read: true, handed_back }, parse)
    }

    fn read<T>(
        &self,
        request: &Request<'_>,
        parse: impl Fn(&Answer) -> Result<T, Amiss>,
    ) -> Result<(Answer, Option<T>), EndpointError> {
        let parsed = |answer: &Answer| if answer.is_success() { parse(answer).map(Some) } else { Ok(None) };
        self.exchange(request, parsed).map_err(|failure| {
            let side = self.side;
            match failure {
                Failure::Lost(error) => error,
                Failure::Interrupted => EndpointError::Interrupted { side },
                Failure::Garbled(message) => EndpointError::Untrusted { side, message },
                Failure::Transient(message) | Failure::Unknown(message) | Failure::Overtaxed(message) => {
                    EndpointError::Unreachable { side, keys: URL, message }
                }
            }
        })
    }

    /// Posts a body. The request is repeated only where the side surely did nothing with it.
    pub fn post(&self, url: &str, headers: &[(&str, String)], body: &[u8]) -> Result<Answer, PostError> {
        self.write("POST", url, headers, Some(body))
    }

    /// Sends a write of any method, repeated as [`post`](Self::post) is.
    pub fn write(
        &self,
        method: &'static str,
        url: &str,
        headers: &[(&str, String)],
        body: Option<&[u8]>,
    ) -> Result<Answer, PostError> {
        let request = Request { url, method, headers, body, is_read: false, handed_back: &[] };
        let result = self.exchange(&request, |_| Ok(()));
        let result = result.and_then(|(answer, ())| match answer.is_success() && answer.is_page() {
            // A page to sign in at, say: it may be of the service, or of what stands before it.
            true => Err(Failure::Unknown(page_instead(url))),
            false => Ok(answer),
        });
        result.map_err(|failure| match failure {
            Failure::Lost(error) => PostError::NotSent(error.to_string()),
            Failure::Interrupted => PostError::NotSent(STOPPED.to_owned()),
            Failure::Transient(message) => PostError::NotSent(message),
            Failure::Garbled(message) | Failure::Unknown(message) => PostError::Unknown(message),
            Failure::Overtaxed(message) => PostError::Overtaxed(message),
        })
    }

    fn exchange<T>(
        &self,
        request: &Request<'_>,
        parse: impl Fn(&Answer) -> Result<T, Amiss>,
    ) -> Result<(Answer, T), Failure> {
        let (side, is_read) = (self.side, request.is_read);
        let transient = |status: u16| is_transient(status) && !request.handed_back.contains(&status);
        // Attempts that failed, and how many of the latest had no answer at all.
        let (mut failed, mut silent) = (0, 0);
        let mut stale = None;
        let mut again = false;
        loop {
            let token = self.token(stale)?;
            let (result, asked) = self.attempt(request, &token, failed, again);
            let result = match result {
                // Whoever would ask for less after a gateway gave up does so, too, where we did.
                Err(broken) if broken.reach == Reach::Unanswered && request.handed_back.contains(&GATEWAY_TIMEOUT) => {
                    Ok(Answer { status: GATEWAY_TIMEOUT, ..Answer::default() })
                }
                result => result,
            };
            silent = if result.is_ok() { 0 } else { silent + 1 };
            let (failure, rest, attempts_max) = match result {
                Ok(answer) if answer.status == 401 => {
                    if stale.is_some() {
                        let message = "a fresh token is not accepted; check `scope` and the rights of the application";
                        let keys = &["auth", "scope"];
                        return Err(self.lose(EndpointError::Login { side, keys, message: message.to_owned() }));
                    }
                    // Refused at the door: nothing was done, so even a write is repeated, once and at once.
                    stale = Some(token.number);
                    self.retried.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                // Of what is written record by record it may mean a new owner; a batch as a whole has none.
                Ok(answer)
                    if is_stranger(&answer)
                        && (is_read || request.url.ends_with("/$batch"))
                        && !request.headers.iter().any(|(name, _)| *name == ACT_AS) =>
                {
                    let message = answer.fault().to_string();
                    return Err(self.lose(EndpointError::Login { side, keys: &["auth"], message }));
                }
                Ok(answer) if answer.status == 429 || (is_read && transient(answer.status)) => {
                    let message = answered(&answer.fault());
                    let rest = if wants_rest(&answer, asked) { Rest::AtTheGate } else { Rest::Here(None) };
                    // Who does not say how long to wait may mean until its window is over (erp-api.md §7).
                    let unsaid = answer.status == 429 && asked.is_none();
                    let more = if unsaid { self.patience.attempts_in(self.window) } else { 0 };
                    (Failure::Transient(message), rest, self.patience.attempts + more)
                }
                Ok(answer) if !is_read && is_transient(answer.status) => {
                    let fault = answer.fault();
                    let message = answered(&fault);
                    return Err(match fault.is_overtaxed() {
                        true => Failure::Overtaxed(message),
                        false => Failure::Unknown(message),
                    });
                }
                Ok(answer) => match parse(&answer) {
                    Ok(value) => {
                        // A batch that was taken may hold nothing but what was put off; its answer tells that.
                        if answer.is_success() && (is_read || !request.url.ends_with("/$batch")) {
                            self.went_well();
                        }
                        self.given.fetch_or(answer.is_success() && is_read, Ordering::Relaxed);
                        self.retried
                            .fetch_add(u64::from(request.handed_back.contains(&answer.status)), Ordering::Relaxed);
                        return Ok((answer, value));
                    }
                    Err(Amiss::PutOff { fault, parts }) => {
                        let rest = Rest::Here(self.asked_by_parts(parts.iter().map(Vec::as_slice)));
                        (Failure::Transient(answered(&fault)), rest, self.patience.attempts)
                    }
                    Err(amiss) => {
                        let fault = Fault::in_place_of_data(answer.status, &answer.body);
                        let failure = Failure::Garbled(self.garbled(request, &answer, fault.as_ref(), &amiss));
                        // What the service says for good it says again, as in an answer that is no success.
                        let is_for_good = fault.map_or(matches!(amiss, Amiss::Wrong(_)), |fault| !fault.passes());
                        if is_read && is_for_good {
                            return Err(failure);
                        }
                        let is_first = answer.is_no_data() && !self.given.load(Ordering::Relaxed);
                        let attempts_max = if is_first { FIRST_DATA_ATTEMPTS } else { self.patience.attempts };
                        (failure, Rest::Here(None), attempts_max)
                    }
                },
                Err(broken) => {
                    let unconnected = broken.reach == Reach::Unconnected;
                    let away = broken.reach == Reach::Away;
                    if self.clock.is_over() && (is_read || broken.reach == Reach::Unsendable) {
                        return Err(self.lost().map_or(Failure::Interrupted, Failure::Lost));
                    } else if broken.reach == Reach::Unsendable {
                        // It was given up while this one stood at the gate, or no request can be made of it.
                        return Err(self.lost().map_or(Failure::Transient(broken.message), Failure::Lost));
                    } else if is_read && broken.reach == Reach::Endless {
                        // It would come again, and so would what it costs.
                        return Err(Failure::Garbled(broken.message));
                    } else if !is_read && broken.reach == Reach::Unanswered {
                        return Err(Failure::Overtaxed(broken.message));
                    } else if !is_read && !matches!(broken.reach, Reach::Unconnected | Reach::Distrusted) {
                        return Err(Failure::Unknown(broken.message));
                    }
                    let distrusted = broken.reach == Reach::Distrusted;
                    let attempts_max = self.attempts(broken.reach);
                    let message = match broken.reach {
                        Reach::Unconnected => broken.message + "; check `url`",
                        Reach::Distrusted => distrust(&broken.message, "url"),
                        _ => broken.message,
                    };
                    if (unconnected || away || distrusted) && silent >= attempts_max {
                        return Err(self.lose(EndpointError::Unreachable { side, keys: URL, message }));
                    }
                    (Failure::Transient(message), Rest::Here(None), attempts_max)
                }
            };
            failed += 1;
            // Whatever that was, it was no refusal of the token.
            stale = None;
            // The patience of a side is one for all writes: where it ended, each further one is tried once.
            let hopeless = !is_read && self.gave_up.load(Ordering::Relaxed);
            if is_read && failed < attempts_max && self.clock.is_over() {
                return Err(Failure::Interrupted);
            }
            if failed >= attempts_max || hopeless || self.clock.is_over() {
                if !is_read {
                    self.gave_up.store(true, Ordering::Relaxed);
                }
                return Err(failure);
            }
            again = rest == Rest::AtTheGate;
            if let Rest::Here(asked) = rest {
                self.pause(failed, asked);
            }
            self.retried.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns how often a connection is tried that comes about in no such way. Of many servers behind one address a single
    /// one may show another certificate, or be away; but what never was as it should be is wrong in the file.
    fn attempts(&self, reach: Reach) -> u32 {
        match reach {
            _ if self.reached.load(Ordering::Relaxed) => self.patience.attempts,
            Reach::Distrusted => 1,
            Reach::Unconnected => FIRST_CONTACT_ATTEMPTS,
            _ => self.patience.attempts,
        }
    }

    /// Says to which request an answer came that holds no data, and what stands there.
    fn garbled(&self, request: &Request<'_>, answer: &Answer, fault: Option<&Fault>, amiss: &Amiss) -> String {
        let path = path(&self.base, request.url);
        let told = match fault {
            Some(fault) => format!("the answer is an error, with HTTP {}: {fault}", answer.status),
            None if answer.is_page() => page_instead(request.url),
            None => [Some(amiss.to_string()), answer.no_json()].into_iter().flatten().collect::<Vec<_>>().join("; "),
        };
        format!("{} {path}: {told}", request.method)
    }

    /// Notes that the side carries out what it is asked for.
    pub fn went_well(&self) {
        self.gave_up.store(false, Ordering::Relaxed);
    }

    /// Waits before parts of a batch are sent again that the side put off `failed` times, as long as their headers ask for;
    /// tells whether that is worth it.
    pub fn wait_for_part<'a>(&self, failed: u32, parts: impl Iterator<Item = &'a [(String, String)]>) -> bool {
        let hopeless = self.gave_up.load(Ordering::Relaxed) || self.lost.get().is_some() || self.clock.is_over();
        if failed >= self.patience.attempts || hopeless {
            self.gave_up.store(true, Ordering::Relaxed);
            return false;
        }
        self.pause(failed, self.asked_by_parts(parts));
        self.retried.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Waits before writes are sent again that had no answer `times` in a row, as long as for a read; tells whether that is
    /// worth it.
    pub fn rest(&self, times: u32) -> bool {
        if times >= self.patience.attempts || self.lost.get().is_some() || self.clock.is_over() {
            return false;
        }
        self.pause(times, None);
        true
    }

    fn pause(&self, failed: u32, asked: Option<Duration>) {
        let wait = self.patience.wait(failed, asked, self.clock.jitter());
        self.clock.sleep(wait);
        self.count_wait(wait);
    }

    fn count_wait(&self, wait: Duration) {
        self.waited_ms.fetch_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Returns how long headers ask to wait; where several do, who passed it on among them, the longest of it.
    fn asked(&self, headers: &[(String, String)]) -> Option<Duration> {
        // By the side's clock at the earliest, if it is known: a wait that is a second too long does no harm.
        let ahead_ms = self.clock_offset().filter(|offset| offset.steady).map_or(0, |offset| offset.ms_min);
        let now = self.clock.now();
        let ahead = Duration::from_millis(ahead_ms.unsigned_abs());
        let now = if ahead_ms < 0 { now.saturating_sub(ahead) } else { now.saturating_add(ahead) };
        let date = header(headers, "date");
        let asked = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
        asked.filter_map(|(_, value)| retry_after(Some(value), date, now)).max()
    }

    /// Returns how long parts of an answer ask to wait, each by its headers: the longest of it.
    fn asked_by_parts<'a>(&self, parts: impl Iterator<Item = &'a [(String, String)]>) -> Option<Duration> {
        parts.filter_map(|headers| self.asked(headers)).max()
    }

    /// Sends a request once; one that is sent `again` waits at the gate, before all others. Tells besides how long the answer
    /// asks to wait.
    fn attempt(
        &self,
        request: &Request<'_>,
        token: &Token,
        failed: u32,
        again: bool,
    ) -> (Result<Answer, Broken>, Option<Duration>) {
        let unsendable = |message| (Err(Broken { message, reach: Reach::Unsendable }), None);
        let Some(permit) = self.limiter.admit(&*self.clock, again) else {
            return unsendable(STOPPED.to_owned());
        };
        self.count_wait(permit.waited);
        if let Some(error) = self.lost() {
            return unsendable(error.to_string());
        }
        let headers = request.headers.iter().map(|(name, value)| (*name, value.as_str()));
        self.logins.learn(&token.authorization);
        let headers = headers.chain([("Authorization", token.authorization.as_str())]);
        let began = self.clock.now();
        let result = match request.is_read {
            true => self.send_unless_over(request.method, request.url, headers, request.body),
            false => send(&self.agent, request.method, request.url, headers, request.body),
        };
        let unsent =
            |broken: &Broken| matches!(broken.reach, Reach::Unconnected | Reach::Distrusted | Reach::Unsendable);
        self.sent.fetch_add(u64::from(!result.as_ref().is_err_and(unsent)), Ordering::Relaxed);
        let now = self.clock.now();
        let asked = result.as_ref().ok().and_then(|answer| self.asked(&answer.headers));
        match &result {
            // Whoever is told to wait while others go on gets told to wait longer (crm-api.md §15).
            Ok(answer) if wants_rest(answer, asked) => {
                let until = now + self.patience.wait(failed + 1, asked, self.clock.jitter());
                permit.refused(now, until, met(answer));
            }
            Ok(answer) => {
                let bytes = answer.body.len() + request.body.map_or(0, <[u8]>::len);
                permit.answered(now, request.is_read, bytes);
            }
            Err(_) => drop(permit),
        }
        // What is not from the service itself (a gateway that is overloaded, say) may have another clock.
        if let Some(answer) = result.as_ref().ok().filter(|answer| answer.is_success())
            && let Some(told) = offset(answer.header("date"), began, now)
        {
            let mut known = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
            *known = Some(Observed::with(*known, told));
        }
        if result.as_ref().map_or_else(|broken| matches!(broken.reach, Reach::Sent | Reach::Unanswered), |_| true) {
            self.reached.store(true, Ordering::Relaxed);
        }
        (result, asked)
    }

    /// Sends what changes nothing, and does not wait for its answer any more where the program is to end meanwhile. What is
    /// sent after that belongs to a write that is under way, and is waited for.
    fn send_unless_over<'a>(
        &self,
        method: &'static str,
        url: &str,
        headers: impl Iterator<Item = (&'a str, &'a str)>,
        body: Option<&[u8]>,
    ) -> Result<Answer, Broken> {
        if self.clock.is_over() {
            return send(&self.agent, method, url, headers, body);
        }
        let (agent, url, body) = (self.agent.clone(), url.to_owned(), body.map(<[u8]>::to_vec));
        let headers: Vec<(String, String)> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let (sender, answer) = channel();
        thread::spawn(move || {
            let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            // Nobody listens any more where the program is to end.
            let _ = sender.send(send(&agent, method, &url, headers, body.as_deref()));
        });
        loop {
            match answer.recv_timeout(LOOK_EVERY) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) if !self.clock.is_over() => {}
                Err(_) => return Err(Broken { message: STOPPED.to_owned(), reach: Reach::Sent }),
            }
        }
    }

    /// Tells whether the program is to end: then nothing new is begun that only reads.
    pub fn is_ending(&self) -> bool {
        self.clock.is_over()
    }

    /// Returns a fresh token, fetched with the same patience as everything else.
    fn token(&self, stale: Option<u64>) -> Result<Token, Failure> {
        if let Some(error) = self.lost() {
            return Err(Failure::Lost(error));
        }
        let side = self.side;
        let fetched = self.token.token(self.clock.now(), stale, |form| self.fetch_token(form));
        fetched.map_err(|error| {
            self.lose(match error {
                // The endpoint is not to blame, and the next run asks it again.
                TokenError::Interrupted => return Failure::Interrupted,
                TokenError::Refused(keys, message) => EndpointError::Login { side, keys, message },
                TokenError::Unusable(keys, message) => EndpointError::Credentials { side, keys, message },
                // A scope is mostly made of the address, and then the address is what was mistyped.
                TokenError::Scope(message) => EndpointError::Login {
                    side,
                    keys: URL,
                    message: format!(
                        "{message}: nothing there has the scope `{}`, and `url` is `{}`; check `url`, and `auth.scope` \
                         if it does not follow from it",
                        self.token.scope(),
                        self.base
                    ),
                },
                TokenError::Unreachable(message) => EndpointError::Unreachable { side, keys: TOKEN_URL, message },
            })
        })
    }

    fn fetch_token(&self, form: &str) -> Result<TokenAnswer, TokenError> {
        let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")];
        let mut failed = 0;
        loop {
            if self.clock.is_over() {
                return Err(TokenError::Interrupted);
            }
            let result = self.send_unless_over("POST", self.token.url(), headers.into_iter(), Some(form.as_bytes()));
            if result.is_err() && self.clock.is_over() {
                return Err(TokenError::Interrupted);
            }
            failed += 1;
            let unanswered = |message: &str| format!("its token endpoint does not answer: {message}");
            let (message, asked, attempts_max) = match result {
                Ok(answer) if answer.status == 429 || is_transient(answer.status) => {
                    let message = unanswered(&format!("HTTP {}", answer.status));
                    (message, self.asked(&answer.headers), self.patience.attempts)
                }
                Ok(answer) if let Some(said) = token::put_off(&answer.body) => {
                    (unanswered(&said), self.asked(&answer.headers), self.patience.attempts)
                }
                Ok(answer) => {
                    let elsewhere = answer.elsewhere();
                    return Ok(TokenAnswer { status: answer.status, body: answer.body, elsewhere });
                }
                Err(broken) if matches!(broken.reach, Reach::Sent | Reach::Unanswered) => {
                    (unanswered(&broken.message), None, self.patience.attempts)
                }
                Err(broken) if broken.reach == Reach::Distrusted => {
                    let told = distrust(&broken.message, "token_url");
                    (format!("its token endpoint is not trusted: {told}"), None, self.attempts(Reach::Distrusted))
                }
                Err(broken) => {
                    let message = unanswered(&(broken.message + "; check `token_url`"));
                    (message, None, self.attempts(Reach::Unconnected))
                }
            };
            // Another thread may have found out meanwhile.
            if failed >= attempts_max || self.lost.get().is_some() {
                return Err(TokenError::Unreachable(message));
            }
            self.pause(failed, asked);
        }
    }
}

/// Says what an answer was that ends a request: its status, and what the service said with it.
fn answered(fault: &Fault) -> String {
    let Fault { status, code, message, .. } = fault;
    let code = if code.is_empty() { String::new() } else { format!("({code})") };
    let said = [message.trim_end_matches('.').to_owned(), code];
    let said = said.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    if said.is_empty() { format!("it answered HTTP {status}") } else { format!("it answered HTTP {status}: {said}") }
}

/// Says what to do about a server that does not prove who it is; `key` names its address.
fn distrust(message: &str, key: &str) -> String {
    format!(
        "{message}; check `{key}`, the certificate that is shown there, and the clock of this machine, or name an authority of \
         your own by `ca_file`"
    )
}

/// Says who gave a page for people in place of data.
fn page_instead(url: &str) -> String {
    let host = origin(url).map(|(_, host, _)| host).unwrap_or_default();
    format!("{host} answered with a page of HTML instead of data; check `url`")
}

/// Tells whether a side wants rest: it says that there was too much, or how long it is away.
fn wants_rest(answer: &Answer, asked: Option<Duration>) -> bool {
    answer.status == 429 || (asked.is_some() && is_transient(answer.status))
}

/// Returns which limit a 429 speaks of, by the codes of Dataverse, and what it says of it (crm-api.md §15); others do not say.
fn met(answer: &Answer) -> Option<Met> {
    let fault = answer.fault();
    let facet = match fault.code.as_str() {
        "0x80072322" => Facet::Requests,
        "0x80072321" => Facet::Time,
        "0x80072326" => Facet::Concurrency,
        _ => return None,
    };
    let number = |before: &str| {
        let (_, rest) = fault.message.split_once(before)?;
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ',').unwrap_or(rest.len());
        rest[..end].replace(',', "").parse::<u32>().ok().filter(|number| *number > 0)
    };
    let granted = number("limit of ").map(f64::from);
    let granted = if facet == Facet::Time { granted.map(|milliseconds| milliseconds / 1_000.0) } else { granted };
    let window = number("time window of ").map(|seconds| Duration::from_secs(u64::from(seconds)));
    Some(Met { facet, granted, window })
}

/// Tells whether the caller is no user of the side, or none any more (crm-api.md §2): then it may do nothing there, whatever
/// it asks for.
fn is_stranger(answer: &Answer) -> bool {
    is_nobody(&answer.fault())
}

/// Tells whether a refusal is that of somebody who is no user of the side.
pub fn is_nobody(fault: &Fault) -> bool {
    fault.status == 403 && matches!(fault.code.as_str(), "0x80072560" | "0x80040225")
}

/// Tells whether a status says that the same read may succeed later.
///
/// 500 is among them: the ERP answers it for a restarting service, the CRM for a database deadlock (erp-api.md §6,
/// crm-api.md §4).
fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 500 | 502 | 503 | 504)
}

#[cfg(test)]
mod hostile;

#[cfg(test)]
pub mod tests;
