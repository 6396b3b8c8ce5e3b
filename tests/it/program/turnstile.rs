//! Counts the requests to both fakes, and holds one of them until the test has done what it wanted to do meanwhile.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use mocks::fault::Faulty;
use mocks::service::{Request, Response, Service};
use serde_json::json;

/// How long a test may wait for a request that does not come; only a broken test or program gets there.
const HANG_SECONDS: u64 = 120;

/// Which request, counted from 1 since the stop was set, over both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nth {
    /// Of all requests.
    Request(u64),
    /// Of the requests that change records.
    Write(u64),
}

/// What becomes of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is held and never carried out.
    Lost,
    /// It is carried out, and its answer is held.
    Unanswered,
    /// It passes; the test only hears of it.
    Passes,
}

/// A service that puts all that was sent to it into what it says went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parrot {
    /// Each login is refused.
    Logins,
    /// Each request for records or metadata is answered with this status.
    Requests(u16),
    /// Each write is refused for good.
    Writes,
}

/// The one door to both fakes.
#[derive(Debug, Default)]
pub struct Turnstile {
    passage: Mutex<Passage>,
    changed: Condvar,
    /// Every token that came along with a request, and every signature that came in place of a secret.
    tokens: Mutex<BTreeSet<String>>,
    parrot: Mutex<Option<Parrot>>,
}

#[derive(Debug, Default)]
struct Passage {
    requests: u64,
    writes: u64,
    stop: Option<(Nth, Fate)>,
    reached: bool,
    open: bool,
    /// How often counting began; what an earlier stop holds goes on then.
    turn: u64,
}

impl Turnstile {
    /// Begins to count anew, without a stop.
    pub fn reset(&self) {
        self.begin(None);
    }

    /// Begins to count anew, with a stop.
    pub fn stop_at(&self, nth: Nth, fate: Fate) {
        self.begin(Some((nth, fate)));
    }

    fn begin(&self, stop: Option<(Nth, Fate)>) {
        let mut passage = self.passage.lock().unwrap();
        *passage = Passage { stop, turn: passage.turn + 1, ..Passage::default() };
        self.changed.notify_all();
    }

    /// Waits until the stop is reached.
    #[track_caller]
    pub fn wait(&self) {
        let passage = self.passage.lock().unwrap();
        let bound = Duration::from_secs(HANG_SECONDS);
        let (passage, _) = self.changed.wait_timeout_while(passage, bound, |passage| !passage.reached).unwrap();
        assert!(passage.reached, "no such request: {passage:?}");
    }

    /// Lets the held request go on, and all that come after it.
    pub fn open(&self) {
        self.passage.lock().unwrap().open = true;
        self.changed.notify_all();
    }

    /// Returns how many requests came, and how many of them change records.
    pub fn seen(&self) -> (u64, u64) {
        let passage = self.passage.lock().unwrap();
        (passage.requests, passage.writes)
    }

    /// Lets both sides repeat what they are sent, or be themselves again.
    pub fn repeat(&self, parrot: Option<Parrot>) {
        *self.parrot.lock().unwrap() = parrot;
    }

    /// Returns the tokens that came along with requests, and the signatures in place of secrets.
    pub fn tokens(&self) -> Vec<String> {
        self.tokens.lock().unwrap().iter().cloned().collect()
    }

    fn pass(&self, write: bool, answer: impl FnOnce() -> Response) -> Response {
        let fate = {
            let mut passage = self.passage.lock().unwrap();
            passage.requests += 1;
            passage.writes += u64::from(write);
            passage.stop.filter(|(nth, _)| match nth {
                Nth::Request(number) => passage.requests == *number,
                Nth::Write(number) => write && passage.writes == *number,
            })
        };
        match fate {
            None => answer(),
            Some((_, Fate::Lost)) => {
                self.hold();
                Response { status: 503, ..Response::default() }
            }
            Some((_, Fate::Unanswered)) => {
                let response = answer();
                self.hold();
                response
            }
            Some((_, Fate::Passes)) => {
                let response = answer();
                self.reach();
                response
            }
        }
    }

    fn reach(&self) {
        self.passage.lock().unwrap().reached = true;
        self.changed.notify_all();
    }

    fn hold(&self) {
        // Under one lock: whoever hears of it may open and begin anew before this thread looks again.
        let mut passage = self.passage.lock().unwrap();
        let turn = passage.turn;
        passage.reached = true;
        self.changed.notify_all();
        drop(self.changed.wait_while(passage, |passage| !passage.open && passage.turn == turn).unwrap());
    }
}

/// A fake behind the turnstile.
pub struct Gate<S> {
    pub service: S,
    pub turnstile: Arc<Turnstile>,
}

impl<S: Faulty> Service for Gate<S> {
    fn answer(&mut self, request: &Request) -> Response {
        let is_token = self.service.is_token(request);
        let write = request.method != "GET" && !is_token && changes_records(request);
        let form = String::from_utf8_lossy(&request.body);
        let signed = form.split('&').filter_map(|field| field.strip_prefix("client_assertion="));
        let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let own = bearer.into_iter().chain(signed.filter(|_| is_token)).map(str::to_owned);
        self.turnstile.tokens.lock().unwrap().extend(own);
        let parrot = *self.turnstile.parrot.lock().unwrap();
        match parrot {
            Some(Parrot::Logins) if is_token => {
                let error = json!({"error": "invalid_client", "error_codes": [7_000_215],
                    "error_description": sent(request)});
                return Response { status: 401, body: error.to_string().into_bytes(), ..Response::default() };
            }
            Some(Parrot::Requests(status)) if !is_token => return repeated(request, status),
            Some(Parrot::Writes) if write => return repeated(request, 400),
            _ => {}
        }
        self.turnstile.pass(write, || self.service.answer(request))
    }
}

/// All of a request, as a text.
fn sent(request: &Request) -> String {
    let headers: String = request.headers.iter().map(|(name, value)| format!("{name}: {value}; ")).collect();
    format!("{} {} {headers}{}", request.method, request.target, String::from_utf8_lossy(&request.body))
}

/// An error that says what was sent.
fn repeated(request: &Request, status: u16) -> Response {
    let error = json!({"error": {"code": "Repeated", "message": sent(request)}});
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    Response { status, headers, body: error.to_string().into_bytes() }
}

/// Tells a batch of reads from one of writes.
fn changes_records(request: &Request) -> bool {
    let body = String::from_utf8_lossy(&request.body);
    !request.target.contains("$batch") || ["POST", "PATCH", "DELETE"].iter().any(|method| body.contains(method))
}

impl<S: Faulty> Faulty for Gate<S> {
    fn is_token(&self, request: &Request) -> bool {
        self.service.is_token(request)
    }

    fn throttled(&mut self, retry_after: Option<u64>) -> Response {
        self.service.throttled(retry_after)
    }

    fn expire_tokens(&mut self) {
        self.service.expire_tokens();
    }

    fn touch(&mut self, request: &Request) {
        self.service.touch(request);
    }

    fn half(&self, request: &Request) -> Request {
        self.service.half(request)
    }
}
