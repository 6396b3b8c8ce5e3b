//! One attempt: a request that waits for its turn, goes out once, and comes back with an answer or without one.
//!
//! Who sends, when and how often again is [`exchange`](super::exchange)'s; here it is counted, and told to the limiter.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::Builder;
use std::time::Duration;

use crate::adapters::client::exchange::Request;
use crate::adapters::client::learned::{met, wants_rest};
use crate::adapters::client::{Client, STOPPED};
use crate::adapters::clock::{LOOK_EVERY, TOLD_FROM};
use crate::adapters::http::{Agent, Answer, Broken, Reach, send};
use crate::adapters::odata::link::host;
use crate::adapters::token::Token;
use crate::endpoint::Line;

/// What became of a request whose thread came to no end: something is wrong here, and not there.
const FAILED: &str = "this program failed while it sent the request";

impl Client {
    /// Sends a request once; one that is sent `again` waits at the gate, before all others. Tells besides how long the answer
    /// asks to wait.
    pub(super) fn attempt(
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
            true => self.send_unless_over(&self.agent, request.method, request.url, headers, request.body),
            false => send(&self.agent, request.method, request.url, headers, request.body),
        };
        let unsent =
            |broken: &Broken| matches!(broken.reach, Reach::Unconnected | Reach::Distrusted | Reach::Unsendable);
        self.sent.fetch_add(u64::from(!result.as_ref().is_err_and(unsent)), Ordering::Relaxed);
        let now = self.clock.now();
        let asked = result.as_ref().ok().and_then(|answer| self.asked(&answer.headers));
        match &result {
            Ok(answer) if wants_rest(answer, asked) && self.is_too_long(asked) => drop(permit),
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
        if let Ok(answer) = &result {
            self.observe(answer, began, now);
        }
        if result.as_ref().map_or_else(|broken| matches!(broken.reach, Reach::Sent | Reach::Unanswered), |_| true) {
            self.reached.store(true, Ordering::Relaxed);
        }
        (result, asked)
    }

    /// Sends what changes nothing, and does not wait for its answer any more where the program is to end meanwhile. What is
    /// sent after that belongs to a write that is under way, and is waited for.
    pub(super) fn send_unless_over<'a>(
        &self,
        agent: &Agent,
        method: &'static str,
        url: &str,
        headers: impl Iterator<Item = (&'a str, &'a str)>,
        body: Option<&[u8]>,
    ) -> Result<Answer, Broken> {
        if self.clock.is_over() {
            return send(agent, method, url, headers, body);
        }
        let host = host(url);
        let (agent, answer_max) = (agent.clone(), agent.answer_max);
        let (url, body) = (url.to_owned(), body.map(<[u8]>::to_vec));
        let headers: Vec<(String, String)> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let sent = move || {
            let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            send(&agent, method, &url, headers, body.as_deref())
        };
        self.wait_unless_over(&aside(Builder::new(), sent), &host, answer_max)
    }

    /// Waits for an answer of a host that takes no longer than `answer_max` to begin, and tells once of one that takes long.
    fn wait_unless_over(
        &self,
        answer: &Receiver<Result<Answer, Broken>>,
        host: &str,
        answer_max: Duration,
    ) -> Result<Answer, Broken> {
        let (began, mut is_told) = (self.clock.now(), false);
        let message = loop {
            match answer.recv_timeout(LOOK_EVERY) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) if !self.clock.is_over() => {
                    let waited = self.clock.now().saturating_sub(began);
                    if waited >= TOLD_FROM && !is_told {
                        is_told = true;
                        self.clock.awaits(host, answer_max.saturating_sub(waited));
                    }
                }
                Err(RecvTimeoutError::Timeout) => break STOPPED,
                Err(RecvTimeoutError::Disconnected) => break FAILED,
            }
        };
        Err(Broken { message: message.to_owned(), reach: Reach::Sent })
    }
}

/// Does work on a thread of its own, and returns where its result comes. Where no further thread is to be had, it is done
/// here and now: then nobody can stop waiting for it, and everything else is as before.
fn aside<T: Send + 'static>(thread: Builder, work: impl Fn() -> T + Send + Sync + 'static) -> Receiver<T> {
    let (sender, result) = channel();
    let work = Arc::new(work);
    let (there, work_there) = (sender.clone(), Arc::clone(&work));
    // Nobody listens any more where the program is to end.
    if thread.spawn(move || drop(there.send(work_there()))).is_err() {
        let _ = sender.send(work());
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::client::tests::client;
    use std::thread;

    /// As where a container limits them. More of a stack than there are addresses is what no system gives.
    #[test]
    fn without_a_further_thread_a_request_is_sent_all_the_same() {
        let caller = thread::current().id();
        for (builder, is_here) in [(Builder::new(), false), (Builder::new().stack_size(usize::MAX / 4), true)] {
            let done_by = aside(builder, || thread::current().id()).recv().unwrap();
            assert_eq!(done_by == caller, is_here);
        }
    }

    #[test]
    fn a_thread_that_failed_is_not_the_end_of_the_program() {
        let (client, clock) = client("http://127.0.0.1:1", "http://127.0.0.1:1");
        let (sender, answer) = channel();
        let told = |answer| client.wait_unless_over(answer, "", Duration::MAX).map_err(|broken| broken.message);
        clock.over.store(true, Ordering::Relaxed);
        assert_eq!(told(&answer), Err(STOPPED.to_owned()));
        drop(sender);
        assert_eq!(told(&answer), Err(FAILED.to_owned()));
    }
}
