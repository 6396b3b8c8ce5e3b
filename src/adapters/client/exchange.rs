//! One request until there is a final answer: what follows from each attempt, and how often another one is made.
//!
//! In go a request and who reads its answer; out comes the answer with what was read, or why there is none. Nothing is
//! repeated of which it is not proven that nothing was done, unless it only reads.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::adapters::client::learned::{is_transient, wants_rest};
use crate::adapters::client::{ACT_AS, Client, URL, is_nobody};
use crate::adapters::http::{Answer, Broken, Reach};
use crate::adapters::odata::amiss::Amiss;
use crate::adapters::odata::fault::Fault;
use crate::adapters::odata::link::{host, path};
use crate::endpoint::{EndpointError, Line};

/// Attempts to connect to a side that never answered yet: a wrong address must not cost minutes.
const FIRST_CONTACT_ATTEMPTS: u32 = 2;
/// Attempts to read from a side that never gave any data, and gives something that is none: that is what stands at a wrong
/// address, and waiting does not mend it. A proxy's page may pass within seconds; after some data it may as well be that the
/// service is being changed, and then there is all our patience.
const FIRST_DATA_ATTEMPTS: u32 = 3;
/// What a gateway answers that gave up waiting.
const GATEWAY_TIMEOUT: u16 = 504;

/// A request as it is sent, as often as it takes.
pub(super) struct Request<'a> {
    pub(super) url: &'a str,
    pub(super) method: &'static str,
    pub(super) headers: &'a [(&'a str, String)],
    pub(super) body: Option<&'a [u8]>,
    /// Nothing changes by it, so it may be repeated whatever became of it.
    pub(super) is_read: bool,
    /// Statuses after which the caller asks for something else instead of the same again.
    pub(super) handed_back: &'a [u16],
}

/// Where the next attempt waits for its turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// By itself, while others go on; so long where the side asks for it.
    Here(Option<Duration>),
    /// With everybody, because the side asks for it.
    AtTheGate,
}

/// What a failed attempt leaves behind.
pub(super) enum Failure {
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

/// What follows from an attempt.
enum Step<T> {
    /// It brought what it was to bring.
    Done(T),
    /// No further one would.
    Over(Failure),
    /// The same once more at once, with a token of a later number.
    Renew,
    /// The same once more after a rest; so many attempts are made in all.
    Again(Failure, Rest, u32),
}

impl Request<'_> {
    /// Tells whether a status says that the same request may succeed later.
    fn may_pass(&self, status: u16) -> bool {
        is_transient(status) && !self.handed_back.contains(&status)
    }

    fn is_batch(&self) -> bool {
        self.url.ends_with("/$batch")
    }

    /// Tells whether it is the login itself that somebody unknown is refused for: of what is written record by record it may
    /// mean a new owner, while a batch as a whole has none.
    fn is_of_login(&self) -> bool {
        (self.is_read || self.is_batch()) && !self.headers.iter().any(|(name, _)| *name == ACT_AS)
    }
}

impl Client {
    /// Sends a request until there is a final answer; `parse` reads it.
    pub(super) fn exchange<T>(
        &self,
        request: &Request<'_>,
        parse: impl Fn(&Answer) -> Result<T, Amiss>,
    ) -> Result<(Answer, T), Failure> {
        // Attempts that failed, and how many of the latest had no answer at all.
        let (mut failed, mut silent) = (0, 0);
        let (mut stale, mut again) = (None, false);
        loop {
            let token = self.token(stale)?;
            let (result, asked) = self.attempt(request, &token, failed, again);
            let step = match unless_given_up(request, result) {
                Ok(answer) => {
                    silent = 0;
                    self.judge(request, answer, asked, stale.is_some(), &parse)
                }
                Err(broken) => {
                    silent += 1;
                    self.judge_broken(request, broken, silent)
                }
            };
            match step {
                Step::Done(done) => return Ok(done),
                Step::Over(failure) => return Err(failure),
                Step::Renew => stale = Some(token.number),
                Step::Again(failure, rest, attempts_max) => {
                    failed += 1;
                    // Whatever that was, it was no refusal of the token.
                    stale = None;
                    self.rest_before(request, failure, &rest, failed, attempts_max)?;
                    again = rest == Rest::AtTheGate;
                }
            }
            self.retried.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Concludes from an answer; `asked` is how long it asks to wait.
    fn judge<T>(
        &self,
        request: &Request<'_>,
        answer: Answer,
        asked: Option<Duration>,
        is_renewed: bool,
        parse: impl Fn(&Answer) -> Result<T, Amiss>,
    ) -> Step<(Answer, T)> {
        let (side, is_read) = (self.side, request.is_read);
        match answer.status {
            // Refused at the door: nothing was done, so even a write is repeated, once and at once.
            401 if !is_renewed => Step::Renew,
            401 => {
                let message =
                    "a fresh token is not accepted; check `scope` and the rights of the application".to_owned();
                Step::Over(self.lose(EndpointError::Login { side, keys: &["auth", "scope"], message }))
            }
            403 if request.is_of_login() && is_nobody(&answer.fault()) => {
                let message = answer.fault().to_string();
                Step::Over(self.lose(EndpointError::Login { side, keys: &["auth"], message }))
            }
            status if status == 429 || (is_read && request.may_pass(status)) => {
                if let Some(error) = self.lost() {
                    return Step::Over(Failure::Lost(error));
                }
                let rest = if wants_rest(&answer, asked) { Rest::AtTheGate } else { Rest::Here(None) };
                // Who does not say how long to wait may mean until its window is over (erp-api.md §7).
                let unsaid = status == 429 && asked.is_none();
                let more = if unsaid { self.patience.attempts_in(self.window) } else { 0 };
                Step::Again(Failure::Transient(answered(&answer.fault())), rest, self.patience.attempts + more)
            }
            status if !is_read && is_transient(status) => {
                let fault = answer.fault();
                let message = answered(&fault);
                Step::Over(if fault.is_overtaxed() { Failure::Overtaxed(message) } else { Failure::Unknown(message) })
            }
            status => match parse(&answer) {
                Err(amiss) => self.judge_amiss(request, &answer, amiss),
                Ok(value) => {
                    // A batch that was taken may hold nothing but what was put off; its answer tells that.
                    if answer.is_success() && (is_read || !request.is_batch()) {
                        self.went_well();
                    }
                    self.given.fetch_or(answer.is_success() && is_read, Ordering::Relaxed);
                    self.retried.fetch_add(u64::from(request.handed_back.contains(&status)), Ordering::Relaxed);
                    Step::Done((answer, value))
                }
            },
        }
    }

    /// Concludes from an answer that is a success by its status and does not hold what it should.
    fn judge_amiss<T>(&self, request: &Request<'_>, answer: &Answer, amiss: Amiss) -> Step<T> {
        if let Amiss::PutOff { fault, parts } = amiss {
            let asked = self.asked_by_parts(parts.iter().map(Vec::as_slice));
            if self.is_too_long(asked)
                && let Some(error) = self.lost()
            {
                return Step::Over(Failure::Lost(error));
            }
            let rest = Rest::Here(asked);
            return Step::Again(Failure::Transient(answered(&fault)), rest, self.patience.attempts);
        }
        let fault = Fault::in_place_of_data(answer.status, &answer.body);
        let failure = Failure::Garbled(self.garbled(request, answer, fault.as_ref(), &amiss));
        // What the service says for good it says again, as in an answer that is no success.
        let is_for_good = fault.map_or(matches!(amiss, Amiss::Wrong(_)), |fault| !fault.passes());
        if request.is_read && is_for_good {
            return Step::Over(failure);
        }
        let is_first = answer.is_no_data() && !self.given.load(Ordering::Relaxed);
        let attempts_max = if is_first { FIRST_DATA_ATTEMPTS } else { self.patience.attempts };
        Step::Again(failure, Rest::Here(None), attempts_max)
    }

    /// Concludes from a request that had no answer, the last one of `silent` in a row.
    fn judge_broken<T>(&self, request: &Request<'_>, Broken { message, reach }: Broken, silent: u32) -> Step<T> {
        let is_read = request.is_read;
        if self.clock.is_over() && (is_read || reach == Reach::Unsendable) {
            return Step::Over(self.lost().map_or(Failure::Interrupted, Failure::Lost));
        }
        match reach {
            // It was given up while this one stood at the gate, or no request can be made of it.
            Reach::Unsendable => return Step::Over(self.lost().map_or(Failure::Transient(message), Failure::Lost)),
            // It would come again, and so would what it costs.
            Reach::Endless if is_read => return Step::Over(Failure::Garbled(message)),
            Reach::Unanswered if !is_read => return Step::Over(Failure::Overtaxed(message)),
            Reach::Unconnected | Reach::Distrusted => {}
            _ if !is_read => return Step::Over(Failure::Unknown(message)),
            _ => {}
        }
        let attempts_max = self.attempts(reach);
        let message = match reach {
            Reach::Unconnected => message + "; check `url`",
            Reach::Distrusted => distrust(&message, "url"),
            _ => message,
        };
        if matches!(reach, Reach::Unconnected | Reach::Away | Reach::Distrusted) && silent >= attempts_max {
            return Step::Over(self.lose(EndpointError::Unreachable { side: self.side, keys: URL, message }));
        }
        Step::Again(Failure::Transient(message), Rest::Here(None), attempts_max)
    }

    /// Waits before a request is sent again that failed so many times; `Err` where that is not worth it.
    fn rest_before(
        &self,
        request: &Request<'_>,
        failure: Failure,
        rest: &Rest,
        failed: u32,
        attempts_max: u32,
    ) -> Result<(), Failure> {
        let is_over = self.clock.is_over();
        // The patience of a side is one for all writes: where it ended, each further one is tried once.
        let hopeless = !request.is_read && self.gave_up.load(Ordering::Relaxed);
        match failed >= attempts_max || hopeless {
            false if is_over && request.is_read => return Err(Failure::Interrupted),
            false if !is_over => {}
            _ => {
                self.gave_up.fetch_or(!request.is_read, Ordering::Relaxed);
                return Err(failure);
            }
        }
        if let Rest::Here(asked) = rest {
            self.pause(failed, *asked);
        }
        Ok(())
    }

    /// Returns how often a connection is tried that comes about in no such way. Of many servers behind one address a single
    /// one may show another certificate, or be away; but what never was as it should be is wrong in the file.
    pub(super) fn attempts(&self, reach: Reach) -> u32 {
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

    pub(super) fn pause(&self, failed: u32, asked: Option<Duration>) {
        let wait = self.patience.wait(failed, asked, self.clock.jitter());
        self.clock.sleep(wait);
        self.count_wait(wait);
    }

    pub(super) fn count_wait(&self, wait: Duration) {
        self.waited_ms.fetch_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Takes for an answer of a gateway that gave up where we did: whoever would ask for less after the one does so, too, after the
/// other.
fn unless_given_up(request: &Request<'_>, result: Result<Answer, Broken>) -> Result<Answer, Broken> {
    match result {
        Err(broken) if broken.reach == Reach::Unanswered && request.handed_back.contains(&GATEWAY_TIMEOUT) => {
            Ok(Answer { status: GATEWAY_TIMEOUT, ..Answer::default() })
        }
        result => result,
    }
}

/// Says what an answer was that ends a request: its status, and what the service said with it.
pub(super) fn answered(fault: &Fault) -> String {
    let Fault { status, code, message, .. } = fault;
    let code = if code.is_empty() { String::new() } else { format!("({code})") };
    let said = [message.trim_end_matches('.').to_owned(), code];
    let said = said.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    if said.is_empty() { format!("it answered HTTP {status}") } else { format!("it answered HTTP {status}: {said}") }
}

/// Says what to do about a server that does not prove who it is; `key` names its address.
pub(super) fn distrust(message: &str, key: &str) -> String {
    format!(
        "{message}; check `{key}`, the certificate that is shown there, and the clock of this machine, or name an authority of \
         your own by `ca_file`"
    )
}

/// Says who gave a page for people in place of data.
pub(super) fn page_instead(url: &str) -> String {
    let host = host(url);
    format!("{host} answered with a page of HTML instead of data; check `url`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_with_an_answer_that_ends_a_request_is_kept() {
        for (status, body, expected) in [
            (503, "<html>", "it answered HTTP 503"),
            (500, r#"{"error":{"code":"0x80040216","message":"An unexpected error."}}"#, {
                "it answered HTTP 500: An unexpected error (0x80040216)"
            }),
            (500, r#"{"error":{"code":"","message":"no"}}"#, "it answered HTTP 500: no"),
        ] {
            assert_eq!(answered(&Fault::read(status, body.as_bytes())), expected);
        }
    }
}
