//! The login that requests bear: fetched with the patience of everything else, from an endpoint that is none of the side's.

use crate::adapters::client::exchange::{Failure, distrust};
use crate::adapters::client::learned::is_transient;
use crate::adapters::client::{Client, URL};
use crate::adapters::http::Reach;
use crate::adapters::odata::link::host;
use crate::adapters::token::{self, TOKEN_URL, Token, TokenAnswer, TokenError};
use crate::endpoint::{EndpointError, Line};

/// Attempts that an endpoint leaves without an answer: whoever gives tokens and has not done so by then is away, and so is
/// whatever leads there.
pub(super) const UNANSWERED_ATTEMPTS: u32 = 4;

impl Client {
    /// Returns a fresh token, fetched with the same patience as everything else.
    pub(super) fn token(&self, stale: Option<u64>) -> Result<Token, Failure> {
        if let Some(error) = self.lost() {
            return Err(Failure::Lost(error));
        }
        let side = self.side;
        // Those that wait for the token are told by the loss that there is none.
        let failed = |error| {
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
        };
        self.token.token(self.clock.now(), stale, |form| self.fetch_token(form), failed)
    }

    fn fetch_token(&self, form: &str) -> Result<TokenAnswer, TokenError> {
        let headers = [("Content-Type", "application/x-www-form-urlencoded"), ("Accept", "application/json")];
        let (host, answer_max) = (host(self.token.url()), self.login.answer_max);
        let mut failed = 0;
        loop {
            if self.clock.is_over() {
                return Err(TokenError::Interrupted);
            }
            // Another thread may have found out, before this one had its turn or since.
            if let Some(error) = self.lost.get() {
                return Err(TokenError::Unreachable(error.to_string()));
            }
            let (url, body) = (self.token.url(), Some(form.as_bytes()));
            let result = self.send_unless_over(&self.login, "POST", url, headers.into_iter(), body);
            if result.is_err() && self.clock.is_over() {
                return Err(TokenError::Interrupted);
            }
            failed += 1;
            let unanswered = |message: &str| format!("its token endpoint at {host} does not answer: {message}");
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
                Err(broken) if broken.reach == Reach::Unanswered => {
                    let seconds = answer_max.as_secs_f64();
                    let told =
                        format!("no whole answer came within {seconds} seconds (attempt {failed}); check `token_url`");
                    (unanswered(&told), None, self.patience.attempts.min(UNANSWERED_ATTEMPTS))
                }
                Err(broken) if broken.reach == Reach::Sent => {
                    (unanswered(&broken.message), None, self.patience.attempts)
                }
                Err(broken) if broken.reach == Reach::Distrusted => {
                    let told = distrust(&broken.message, "token_url");
                    (
                        format!("its token endpoint at {host} is not trusted: {told}"),
                        None,
                        self.attempts(Reach::Distrusted),
                    )
                }
                Err(broken) => {
                    let message = unanswered(&(broken.message + "; check `token_url`"));
                    (message, None, self.attempts(Reach::Unconnected))
                }
            };
            if let Some(too_long) = self.patience.too_long(asked) {
                return Err(TokenError::Unreachable(format!(
                    "its token endpoint at {host} answers nobody: {too_long}"
                )));
            }
            if failed >= attempts_max || self.lost.get().is_some() {
                return Err(TokenError::Unreachable(message));
            }
            self.pause(failed, asked);
        }
    }
}
