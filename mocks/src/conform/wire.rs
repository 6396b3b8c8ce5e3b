//! The service behind an address: HTTP, the login, and what of both must never be shown.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

use super::Service;
use crate::service::{Request, Response};

/// How the service is logged in to.
pub enum Login {
    /// A token of the client-credentials grant.
    Client { token_url: String, client_id: String, secret: String, scope: String },
    /// A user and an access key.
    Basic { user: String, key: String },
    /// A token that somebody fetched.
    Token(String),
    /// The service lets everybody in.
    None,
}

/// A service, logged in to.
pub struct Remote {
    agent: Agent,
    root: String,
    headers: &'static [(&'static str, &'static str)],
    authorization: Option<String>,
    secrets: Vec<String>,
}

impl Remote {
    /// Logs in to the service of that root; `headers` go along with every request that does not name them itself.
    ///
    /// # Errors
    ///
    /// Says why there is no login; never with the secret.
    pub fn open(
        root: String,
        headers: &'static [(&'static str, &'static str)],
        login: Login,
    ) -> Result<Remote, String> {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // The login would go along to wherever a service points.
            .max_redirects(0)
            .timeout_connect(seconds(20))
            .timeout_global(seconds(120));
        let config = if root.starts_with("http://127.") { config.proxy(None) } else { config };
        let mut remote =
            Remote { agent: config.build().into(), root, headers, authorization: None, secrets: Vec::new() };
        remote.authorization = match login {
            Login::None => None,
            Login::Token(token) => Some(remote.hidden("Bearer", token)),
            Login::Basic { user, key } => {
                let pair = crate::erp::base64(format!("{user}:{key}").as_bytes());
                remote.hide(&key);
                Some(remote.hidden("Basic", pair))
            }
            Login::Client { token_url, client_id, secret, scope } => {
                let form = [
                    ("grant_type", "client_credentials"),
                    ("client_id", &client_id),
                    ("client_secret", &secret),
                    ("scope", &scope),
                ];
                let form: Vec<String> =
                    form.iter().map(|(name, value)| format!("{name}={}", super::percent(value))).collect();
                remote.hide(&secret);
                remote.hide(&crate::erp::base64(format!("{client_id}:{secret}").as_bytes()));
                let headers = vec![("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
                let request = Request {
                    method: "POST".to_owned(),
                    target: token_url,
                    headers,
                    body: form.join("&").into_bytes(),
                };
                let answer = remote.call(&request, false).map_err(|error| format!("login: {error}"))?;
                let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                match body["access_token"].as_str() {
                    Some(token) if answer.status == 200 => Some(remote.hidden("Bearer", token.to_owned())),
                    // Of an answer without token only what is meant for people is told.
                    _ => {
                        let said = body["error_description"].as_str().or(body["error"].as_str()).unwrap_or_default();
                        return Err(remote.redacted(format!("login: refused with status {} {said}", answer.status)));
                    }
                }
            }
        };
        Ok(remote)
    }

    /// Asks for the root itself, whatever the answer says.
    ///
    /// # Errors
    ///
    /// Says why there is no answer at all: then nothing can be told of the service.
    pub fn reached(&self) -> Result<(), String> {
        let request = Request { method: "GET".to_owned(), ..Request::default() };
        self.call(&request, true).map(drop).map_err(|error| format!("nobody answers: {error}"))
    }

    /// Makes the header of a secret, and remembers never to show it.
    fn hidden(&mut self, scheme: &str, secret: String) -> String {
        self.hide(&secret);
        format!("{scheme} {secret}")
    }

    /// Remembers never to show a secret, in any of the forms in which it goes over a wire.
    fn hide(&mut self, secret: &str) {
        // A form writes a blank as `+`, and some write what they escape in small letters.
        let percent = super::percent(secret);
        let base64 = crate::erp::base64(secret.as_bytes());
        let forms = [
            secret.to_owned(),
            percent.replace("%20", "+"),
            lower(&percent),
            lower(&percent.replace("%20", "+")),
            percent,
            base64.trim_end_matches('=').replace('+', "-").replace('/', "_"),
            super::percent(&base64),
            base64.trim_end_matches('=').to_owned(),
            base64,
        ];
        self.secrets.extend(forms.into_iter().filter(|form| !form.is_empty()));
        // A form that holds another one goes first, or its rest would stay.
        self.secrets.sort_by_key(|form| std::cmp::Reverse(form.len()));
        self.secrets.dedup();
    }
}

/// Writes what is escaped in small letters.
fn lower(percent: &str) -> String {
    let mut pieces = percent.split('%');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (code, rest) = piece.split_at(2);
        out += &format!("%{}{rest}", code.to_ascii_lowercase());
    }
    out
}

impl Service for Remote {
    fn call(&self, request: &Request, login: bool) -> Result<Response, String> {
        let whole = request.target.starts_with("http://") || request.target.starts_with("https://");
        let url = if whole { request.target.clone() } else { format!("{}{}", self.root, request.target) };
        // The login goes to the service alone, wherever a link of its answer leads.
        let origin: String = self.root.split_inclusive('/').take(3).collect();
        let login = login && url.starts_with(&origin);
        let mut message = ureq::http::Request::builder().method(request.method.as_str()).uri(&url);
        for (name, value) in self.headers {
            if request.header(name).is_none() {
                message = message.header(*name, *value);
            }
        }
        for (name, value) in &request.headers {
            message = message.header(name, value);
        }
        if let Some(authorization) =
            self.authorization.as_ref().filter(|_| login && request.header("authorization").is_none())
        {
            message = message.header("Authorization", authorization);
        }
        let unsendable = |error: ureq::http::Error| self.redacted(format!("the request cannot be sent: {error}"));
        let answer = match request.body.is_empty() {
            true => self.agent.run(message.body(()).map_err(unsendable)?),
            false => self.agent.run(message.body(&request.body[..]).map_err(unsendable)?),
        };
        let broken = |error: ureq::Error| self.redacted(format!("{}: {error}", super::answer::clipped(&url)));
        let (parts, mut body) = answer.map_err(broken)?.into_parts();
        let body = body.with_config().limit(64 << 20).read_to_vec().map_err(broken)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
        Ok(Response { status: parts.status.as_u16(), headers, body })
    }

    fn redacted(&self, text: String) -> String {
        self.secrets.iter().fold(text, |text, secret| text.replace(secret, "***"))
    }
}
