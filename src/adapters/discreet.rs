//! What an adapter tells, without what it logged in with (I10).
//!
//! A side may repeat what it was sent, in any spelling that it likes. So it is the messages that are looked through, once they
//! are put together, and not the bytes of which they are made. Records pass as they are: nothing of them is told as a message.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use crate::adapters::credentials::untold;
use crate::config::expression::Predicate;
use crate::endpoint::{
    Bounds, Demand, Endpoint, EndpointError, Grant, Hidden, Identity, Line, Outcome, Query, Report, TableInfo, Tracked,
    Write,
};
use crate::frame::Frame;

/// Of a secret that is cut off, so much is as bad as all of it: of a long message only the beginning is told.
const PART_BYTES_MIN: usize = 16;

/// With what a side was logged in to, shared between who logs in and who tells of it.
#[derive(Default)]
pub struct Logins(Mutex<Known>);

#[derive(Default)]
struct Known {
    latest: String,
    untold: Vec<String>,
}

impl Logins {
    /// Learns of the value of an `Authorization` header.
    pub fn learn(&self, authorization: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.latest != authorization {
            authorization.clone_into(&mut known.latest);
            known.untold.extend(untold(authorization));
        }
    }

    /// Takes the logins out of an error.
    pub fn untold(&self, mut error: EndpointError) -> EndpointError {
        match &mut error {
            EndpointError::Unreachable { message, .. }
            | EndpointError::Login { message, .. }
            | EndpointError::Credentials { message, .. }
            | EndpointError::NoCompany { known: message, .. }
            | EndpointError::Refused { message, .. }
            | EndpointError::Untrusted { message, .. } => self.hide(message),
            // As the file names it.
            EndpointError::NoTable { .. } | EndpointError::Interrupted { .. } => {}
        }
        error
    }

    /// Takes the logins out of a message.
    fn hide(&self, message: &mut String) {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut shown = String::with_capacity(message.len());
        let mut left = message.as_str();
        while let Some(first) = left.chars().next() {
            let secret = known.untold.iter().map(|secret| told_of(secret, left)).max().unwrap_or(0);
            match secret {
                0 => shown.push(first),
                _ => shown.push('…'),
            }
            left = &left[secret.max(first.len_utf8())..];
        }
        *message = shown;
    }
}

/// Returns with how many bytes of a secret a text begins: with all of it or a good part, else 0.
fn told_of(secret: &str, text: &str) -> usize {
    let mut same = secret.bytes().zip(text.bytes()).take_while(|(one, other)| one == other).count();
    while !text.is_char_boundary(same) {
        same -= 1;
    }
    if same == secret.len() || same >= PART_BYTES_MIN { same } else { 0 }
}

/// A side that keeps its logins to itself.
pub struct Discreet {
    inner: Box<dyn Endpoint>,
    logins: Arc<Logins>,
}

impl Discreet {
    /// Has `inner` tell nothing of these.
    pub fn new(inner: Box<dyn Endpoint>, logins: Arc<Logins>) -> Discreet {
        Discreet { inner, logins }
    }

    fn error(&self, error: EndpointError) -> EndpointError {
        self.logins.untold(error)
    }

    fn outcome(&self, outcome: &mut Outcome) {
        match outcome {
            Outcome::Refused { message }
            | Outcome::NotSent { message }
            | Outcome::Barred { message }
            | Outcome::Unknown { message } => self.logins.hide(message),
            Outcome::Written | Outcome::Stale | Outcome::Gone | Outcome::Exists => {}
        }
    }
}

/// Each method is passed on, the ones that have a body of their own as well.
impl Endpoint for Discreet {
    /// What it tells is told by [`Logins::untold`] already.
    fn line(&self) -> &dyn Line {
        self.inner.line()
    }

    fn open(&self) -> Result<Identity, EndpointError> {
        let mut identity = self.inner.open().map_err(|error| self.error(error))?;
        self.logins.hide(&mut identity.name);
        Ok(identity)
    }

    fn evaluates(&self, info: &TableInfo, filter: &Predicate) -> bool {
        self.inner.evaluates(info, filter)
    }

    fn prepare(&self, tables: &[&str]) -> Result<(), EndpointError> {
        self.inner.prepare(tables).map_err(|error| self.error(error))
    }

    fn describe(&self, table: &str) -> Result<TableInfo, EndpointError> {
        self.inner.describe(table).map_err(|error| self.error(error))
    }

    fn read(&self, query: &Query<'_>, progress: &dyn Fn(usize)) -> Result<Frame, EndpointError> {
        self.inner.read(query, progress).map_err(|error| self.error(error))
    }

    fn hidden(&self, info: &TableInfo, missing: &[Uuid]) -> Result<HashMap<Uuid, Hidden>, EndpointError> {
        self.inner.hidden(info, missing).map_err(|error| self.error(error))
    }

    fn seen_keys(&self, info: &TableInfo, ids: &[Uuid]) -> Vec<(Uuid, Vec<String>)> {
        self.inner.seen_keys(info, ids)
    }

    fn recall(&self, info: &TableInfo, keys: HashMap<Uuid, Vec<String>>) {
        self.inner.recall(info, keys);
    }

    fn probe(&self, query: &Query<'_>) -> Result<(), EndpointError> {
        self.inner.probe(query).map_err(|error| self.error(error))
    }

    fn read_holding(&self, query: &Query<'_>, column: &str, texts: &[String]) -> Result<Option<Frame>, EndpointError> {
        self.inner.read_holding(query, column, texts).map_err(|error| self.error(error))
    }

    fn tracks(&self, table: &str) -> Result<bool, EndpointError> {
        self.inner.tracks(table).map_err(|error| self.error(error))
    }

    fn read_tracked(
        &self,
        query: &Query<'_>,
        token: Option<&str>,
        progress: &dyn Fn(usize),
    ) -> Result<Tracked, EndpointError> {
        let mut tracked = self.inner.read_tracked(query, token, progress).map_err(|error| self.error(error))?;
        if let Tracked::Refused { message } = &mut tracked {
            self.logins.hide(message);
        }
        Ok(tracked)
    }

    fn bounds(&self) -> Bounds {
        self.inner.bounds()
    }

    fn gives_versions(&self, info: &TableInfo) -> bool {
        self.inner.gives_versions(info)
    }

    fn may_capitalize(&self) -> bool {
        self.inner.may_capitalize()
    }

    fn write(&self, info: &TableInfo, columns: &[String], writes: &[Write]) -> Report {
        let mut report = self.inner.write(info, columns, writes);
        report.outcomes.iter_mut().for_each(|outcome| self.outcome(outcome));
        report
    }

    fn batch_max(&self) -> usize {
        self.inner.batch_max()
    }

    fn modified_column(&self, info: &TableInfo) -> Option<String> {
        self.inner.modified_column(info)
    }

    fn modifiers(&self, info: &TableInfo, ids: &[Uuid]) -> Result<HashMap<Uuid, String>, EndpointError> {
        self.inner.modifiers(info, ids).map_err(|error| self.error(error))
    }

    fn grants(&self, info: &TableInfo) -> Result<Option<Vec<Grant>>, EndpointError> {
        self.inner.grants(info).map_err(|error| self.error(error))
    }

    fn untouched(&self, info: &TableInfo, ids: &[Uuid]) -> Result<HashSet<Uuid>, EndpointError> {
        self.inner.untouched(info, ids).map_err(|error| self.error(error))
    }

    fn stands_in(&self) -> Result<(), EndpointError> {
        self.inner.stands_in().map_err(|error| self.error(error))
    }

    fn lacking(&self) -> Result<Vec<Demand>, EndpointError> {
        self.inner.lacking().map_err(|error| self.error(error))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::adapters::business_central::BusinessCentral;
    use crate::adapters::client::tests::client;
    use crate::adapters::script::{Line, Script, say};
    use crate::config::Limits;

    const TOKEN: &str = "eyJ0eXAiOiJKV1Qi.c2VjcmV0+c2VjcmV0/c2VjcmV0.x-y_z";

    #[test]
    fn a_login_is_told_in_no_spelling() {
        let raw = |status: u16, body: &[u8]| {
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            Line::Bytes([head.as_bytes(), body].concat())
        };
        let error = |message: &str| format!(r#"{{"error":{{"code":"c","message":"{message}"}},"more":"MORE"}}"#);
        let escaped: String = TOKEN.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        let long = format!("{}Bearer {TOKEN}", "z".repeat(470));
        for (what, line) in [
            ("as it is", say(400, &error(&format!("Bearer {TOKEN} is no login")))),
            ("beside what is no text", {
                let body = error(&format!("Bearer {TOKEN} is no login")).into_bytes();
                let at = body.windows(4).position(|four| four == b"MORE").unwrap();
                raw(400, &[&body[..at], &[0xff], &body[at + 4..]].concat())
            }),
            (
                "escaped",
                say(400, &error(&format!("{} is no login", TOKEN.replace('+', "\\u002B").replace('/', "\\/")))),
            ),
            ("escaped in full", say(400, &error(&escaped))),
            ("cut off", say(400, &error(&long))),
            ("as a name", {
                let id = "5b1e0c52-7a44-ef11-8e52-6045bd2b1a01";
                let name = format!("Bearer {TOKEN}");
                say(200, &format!(r#"{{"value":[{{"id":"{id}","name":"{name}","displayName":"{name}"}}]}}"#))
            }),
        ] {
            let server = Script::play(vec![line]);
            let login = Script::play(vec![say(200, &format!(r#"{{"access_token":"{TOKEN}","expires_in":3599}}"#))]);
            let (client, _) = client(&server.url, &login.url);
            let limits = Limits { concurrency: 2, requests: 1000, per_seconds: 300, batch: 100, page: 10 };
            let logins = client.logins();
            let erp = BusinessCentral::new(client, "CRONUS".into(), limits, BTreeMap::new());
            let told = Discreet::new(Box::new(erp), logins).open().unwrap_err().to_string();
            assert!(told.contains('…') && !told.contains(&TOKEN[..12]), "{what}: {told}");
        }
    }

    #[test]
    fn nothing_but_a_login_is_hidden() {
        let logins = Logins::default();
        logins.learn(&format!("Bearer {TOKEN}"));
        for (text, expected) in [
            (format!("ø{TOKEN}ø"), "ø…ø"),
            (format!("{} {}", &TOKEN[..20], &TOKEN[..10]), "… eyJ0eXAiOi"),
            ("both sides agree".to_owned(), "both sides agree"),
        ] {
            let mut told = text;
            logins.hide(&mut told);
            assert_eq!(told, expected);
        }
    }

    /// One with a body of its own would else be answered by that, and not by the adapter.
    #[test]
    fn each_method_of_the_port_is_passed_on() {
        let (_, port) = include_str!("../endpoint.rs").split_once("pub trait Endpoint").unwrap();
        let (port, _) = port.split_once("\n}\n").unwrap();
        let names = port.lines().filter_map(|line| line.strip_prefix("    fn ")?.split('(').next());
        let names: Vec<&str> = names.collect();
        assert!(names.len() > 20);
        for name in names {
            let passed = format!("self.inner.{name}(");
            assert!(include_str!("discreet.rs").contains(&passed), "{name} is not passed on");
        }
    }
}
