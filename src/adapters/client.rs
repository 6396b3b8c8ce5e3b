//! The client of one side: token, throttle and retries around plain requests.
//!
//! In go an address, headers and a body; out comes an answer with any status that is final, or why there is none. A read
//! is repeated until it is whole; a write only where it is proven that nothing was done. It knows no OData: what a
//! complete answer looks like, and what an error body says, is for the callers.

mod attempt;
mod exchange;
mod learned;
mod login;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::adapters::client::exchange::{Failure, Request, page_instead};
use crate::adapters::clock::{Clock, Observed, Patience};
use crate::adapters::discreet::Logins;
use crate::adapters::http::{Agent, Answer, agent};
use crate::adapters::limiter::Limiter;
use crate::adapters::odata::amiss::Amiss;
use crate::adapters::odata::fault::Fault;
use crate::adapters::token::TokenSource;
use crate::config::{Connection, Side};
use crate::endpoint::{ClockOffset, EndpointError, Keys, Line, Traffic};

/// Where in the file the address of a side stands.
const URL: Keys = &["url"];

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
    /// Leads to where tokens are given.
    login: Agent,
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

/// The header that says in whose name a request is to be carried out (crm-api.md §3): who is refused then is not the login.
pub const ACT_AS: &str = "CallerObjectId";

/// Why a request that would have to wait is not sent, or is not waited for.
const STOPPED: &str = "the run was told to end";

impl Client {
    /// Makes a client for a connection; nothing is sent yet.
    pub fn new(side: Side, connection: &Connection, patience: Patience, clock: Arc<dyn Clock>) -> Client {
        let limits = connection.limits;
        let window = Duration::from_secs(limits.per_seconds as u64);
        let token = TokenSource::new(connection.auth.clone());
        let agent = |url: &str, concurrency, answer_ms_max| {
            agent(url, concurrency, Duration::from_millis(answer_ms_max), &connection.authorities)
        };
        Client {
            side,
            base: connection.url.trim_end_matches('/').to_owned(),
            agent: agent(&connection.url, limits.concurrency, patience.answer_ms_max),
            // One token at a time.
            login: agent(token.url(), 1, patience.token_ms_max),
            token,
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

    /// Returns the service root, without trailing slash.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Returns what it logs in with, for whoever tells of its answers.
    pub fn logins(&self) -> Arc<Logins> {
        Arc::clone(&self.logins)
    }

    /// Lowers the number of requests at once to what the side recommends.
    pub fn narrow(&self, concurrency: usize) {
        self.limiter.narrow(concurrency);
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

    /// Gives the side up where it asks for a longer wait than a run has, and tells whether it does.
    fn is_too_long(&self, asked: Option<Duration>) -> bool {
        let Some(message) = self.patience.too_long(asked) else { return false };
        self.give_up(EndpointError::Unreachable { side: self.side, keys: URL, message });
        true
    }

    /// Notes that the side carries out what it is asked for.
    pub fn went_well(&self) {
        self.gave_up.store(false, Ordering::Relaxed);
    }

    /// Waits before parts of a batch are sent again that the side put off `failed` times, as long as their headers ask for;
    /// tells whether that is worth it.
    pub fn wait_for_part<'a>(&self, failed: u32, parts: impl Iterator<Item = &'a [(String, String)]>) -> bool {
        let asked = self.asked_by_parts(parts);
        let is_given_up = self.is_too_long(asked) || self.lost.get().is_some();
        let hopeless = self.gave_up.load(Ordering::Relaxed) || is_given_up || self.clock.is_over();
        if failed >= self.patience.attempts || hopeless {
            self.gave_up.store(true, Ordering::Relaxed);
            return false;
        }
        self.pause(failed, asked);
        self.retried.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Tells whether the program is to end: then nothing new is begun that only reads.
    pub fn is_ending(&self) -> bool {
        self.clock.is_over()
    }
}

impl Line for Client {
    fn side(&self) -> Side {
        self.side
    }

    /// As long as for a read.
    fn rest(&self, times: u32) -> bool {
        if times >= self.patience.attempts || self.lost.get().is_some() || self.clock.is_over() {
            return false;
        }
        self.pause(times, None);
        self.retried.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn concurrency(&self) -> usize {
        self.limiter.concurrency()
    }

    /// Tokens are not counted, they come from elsewhere.
    fn traffic(&self) -> Traffic {
        Traffic {
            sent: self.sent.load(Ordering::Relaxed),
            retried: self.retried.load(Ordering::Relaxed),
            waited_seconds: Duration::from_millis(self.waited_ms.load(Ordering::Relaxed)).as_secs_f64(),
        }
    }

    fn clock_offset(&self) -> Option<ClockOffset> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner).map(Observed::offset)
    }

    fn clock(&self) -> Option<DateTime<Utc>> {
        let now_ms = i64::try_from(self.clock.now().as_millis()).ok()?;
        let offset = self.clock_offset()?;
        let ahead_ms = if offset.steady { offset.ms_max } else { offset.ms_min };
        DateTime::from_timestamp_millis(now_ms.checked_add(ahead_ms)?)
    }

    /// What refused a login refuses the next one too, and where nobody was there for the whole of our patience nobody is there for
    /// the next request: so it is found out once.
    fn lost(&self) -> Option<EndpointError> {
        self.lost.get().map(|error| self.logins.untold(error.clone()))
    }
}

/// Tells whether a refusal is that of somebody who is no user of the side, or none any more (crm-api.md §2): then they may do
/// nothing there, whatever they ask for.
pub fn is_nobody(fault: &Fault) -> bool {
    fault.status == 403 && matches!(fault.code.as_str(), "0x80072560" | "0x80040225")
}

#[cfg(test)]
mod hostile;

#[cfg(test)]
pub mod tests;
