//! What a service has to do to be what its fake is: named expectations, each from a section of the protocol's description,
//! played against any address.
//!
//! In: a service that can be called, and a table of expectations. Out: of each whether it is met, not met (what was sent,
//! what came, what was expected), or not tried (why). Nothing is known here of the network (`wire`), of the two
//! protocols (`erp`, `nav`, `crm`, `odata`: tables and nothing else), or of how people are told (`tell`).
//!
//! An expectation is a few steps; a step is a request, what must hold of its answer, and what of it later ones need.
//! `<name>` in a request stands for what an earlier step kept. Where nobody kept it, the expectation cannot be tried.

pub mod answer;
mod batches;
pub mod crm;
pub mod erp;
pub mod nav;
pub mod odata;
pub mod tell;
pub mod verb;
pub mod wire;

use std::collections::BTreeMap;

use answer::{Check, Keep};
use serde_json::Value;
use uuid::Uuid;

use crate::service::{Request, Response};

/// One thing that a service has to do.
#[derive(Debug)]
pub struct Expectation {
    /// What is so where it is met.
    pub name: &'static str,
    /// The section of the protocol's description.
    pub section: &'static str,
    /// Whether it makes, changes or deletes records of its own.
    pub writes: bool,
    pub steps: &'static [Step],
    /// Why it is never tried; blank where it is. What a service does to those who ask too much cannot be seen without harm.
    pub left_out: &'static str,
}

impl Expectation {
    const fn reads(section: &'static str, name: &'static str, steps: &'static [Step]) -> Self {
        Expectation { name, section, writes: false, steps, left_out: "" }
    }

    const fn writes(section: &'static str, name: &'static str, steps: &'static [Step]) -> Self {
        Expectation { name, section, writes: true, steps, left_out: "" }
    }

    const fn left_out(section: &'static str, name: &'static str, why: &'static str) -> Self {
        Expectation { name, section, writes: false, steps: &[], left_out: why }
    }
}

/// One request, and what must hold of its answer.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    method: &'static str,
    /// Relative to the API's root, or all of an address that was kept.
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    /// Whether the login goes along.
    login: bool,
    checks: &'static [Check],
    keeps: &'static [(&'static str, Keep)],
    /// The record that this makes, or could make of a service that is wrong; deleted at the end if it is there.
    makes: &'static str,
    /// What has to be kept by now, though the request does not name it.
    needs: &'static str,
}

/// A request without a body.
const fn ask(method: &'static str, target: &'static str) -> Step {
    Step { method, target, headers: &[], body: "", login: true, checks: &[], keeps: &[], makes: "", needs: "" }
}

const fn get(target: &'static str) -> Step {
    ask("GET", target)
}

/// A request with a body of JSON.
const fn send(method: &'static str, target: &'static str, body: &'static str) -> Step {
    Step { body, headers: &[("Content-Type", "application/json")], ..ask(method, target) }
}

impl Step {
    /// Replaces all headers; those of the protocol itself come along by themselves.
    const fn headers(self, headers: &'static [(&'static str, &'static str)]) -> Step {
        Step { headers, ..self }
    }

    const fn body(self, body: &'static str) -> Step {
        Step { body, ..self }
    }

    const fn without_login(self) -> Step {
        Step { login: false, ..self }
    }

    const fn expect(self, checks: &'static [Check]) -> Step {
        Step { checks, ..self }
    }

    const fn keep(self, keeps: &'static [(&'static str, Keep)]) -> Step {
        Step { keeps, ..self }
    }

    const fn needs(self, needs: &'static str) -> Step {
        Step { needs, ..self }
    }

    const fn makes(self, makes: &'static str) -> Step {
        Step { makes, ..self }
    }
}

/// What can be asked.
pub trait Service {
    /// Sends one request, whose target is relative to the API's root or a whole address; `login` says whether the login
    /// goes along.
    ///
    /// # Errors
    ///
    /// Says why no answer came.
    fn call(&self, request: &Request, login: bool) -> Result<Response, String>;
    /// Takes what must not be shown out of a text.
    fn redacted(&self, text: String) -> String;
}

/// What became of an expectation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Met,
    NotMet { sent: String, came: String, expected: String },
    NotTried { why: String },
}

/// An expectation and what became of it.
#[derive(Debug)]
pub struct Finding {
    pub expectation: &'static Expectation,
    pub verdict: Verdict,
}

/// All findings, and what was made and could not be deleted again.
#[derive(Debug, Default)]
pub struct Report {
    pub findings: Vec<Finding>,
    pub left: Vec<String>,
}

/// The names that steps go by.
type Names = BTreeMap<String, String>;

/// Plays expectations in their order; without `write` those that change something are not tried.
///
/// `given` are names to begin with, which may hold those that a run draws for its own records.
pub fn play(
    expectations: &'static [Expectation],
    service: &dyn Service,
    given: &[(&str, &str)],
    write: bool,
) -> Report {
    let mut names = Names::new();
    draw(&mut names);
    for (name, value) in given {
        let value = filled(value, &names, false).unwrap_or_else(|_| (*value).to_owned());
        names.insert((*name).to_owned(), value);
    }
    let mut report = Report::default();
    let mut made = Vec::new();
    for expectation in expectations {
        let verdict = if !expectation.left_out.is_empty() {
            Verdict::NotTried { why: format!("left out: {}", expectation.left_out) }
        } else if expectation.writes && !write {
            Verdict::NotTried { why: "it writes; --write allows that".to_owned() }
        } else {
            tried(expectation, service, &mut names, &mut made)
        };
        report.findings.push(Finding { expectation, verdict });
    }
    report.left = cleaned(&made, service);
    report
}

/// Draws what names this run's own records, and ids that no record has.
fn draw(names: &mut Names) {
    for own in ["own", "second own", "third own", "fourth own", "inactive", "staged", "nobody"] {
        names.insert(own.to_owned(), Uuid::new_v4().to_string());
    }
    let mark = &names["own"][..8];
    let (code, upper) = (format!("cf{mark}"), format!("CF{}", mark.to_uppercase()));
    let no_code = format!("NO{}", mark.to_uppercase());
    let long = "x".repeat(1000);
    let marked = format!("Conformance {mark}");
    names.extend(
        [("code", code), ("upper code", upper), ("no code", no_code), ("long", long), ("mark", marked)]
            .map(|(a, b)| (a.to_owned(), b)),
    );
    let batch = |count: usize| {
        let one = |at| format!(r#"{{"id":"r{at}","method":"GET","url":"companies"}}"#);
        (0..count).map(one).collect::<Vec<_>>().join(",")
    };
    names.insert("101 requests".to_owned(), batch(101));
    // Longer than any address may be.
    names.insert("33,000 letters".to_owned(), "x".repeat(33_000));
    names.insert("1,001 reads".to_owned(), batches::WHO_AM_I.repeat(1001));
}

/// Plays the steps of an expectation up to the first that fails.
fn tried(expectation: &Expectation, service: &dyn Service, names: &mut Names, made: &mut Vec<String>) -> Verdict {
    for step in expectation.steps {
        let request = match request(step, names) {
            Ok(request) => request,
            Err(missing) => return Verdict::NotTried { why: format!("the service has given no {missing} so far") },
        };
        if let Ok(record) = filled(step.makes, names, true)
            && !record.is_empty()
        {
            made.push(record);
        }
        let not_met = |came: String, expected: String| Verdict::NotMet {
            sent: service.redacted(shown(&request)),
            came: service.redacted(came),
            expected,
        };
        let answer = match service.call(&request, step.login) {
            Ok(answer) => answer,
            Err(broken) => return not_met(broken, "an answer".to_owned()),
        };
        made.extend(elsewhere(&request, &answer));
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        for check in step.checks {
            if let Err(expected) = check.hold(&answer, &body, |text| filled(text, names, false)) {
                return not_met(answer::shown(&answer), expected);
            }
        }
        for (name, keep) in step.keeps {
            match keep.take(&answer, &body, |text| filled(text, names, false)) {
                Some(value) => names.insert((*name).to_owned(), value),
                None => names.remove(*name),
            };
        }
    }
    Verdict::Met
}

/// Where a service says that it made a record; one that gives ids of its own makes it where nobody looks for it.
fn elsewhere(request: &Request, answer: &Response) -> Option<String> {
    let is_made = request.method == "POST" && [201, 204].contains(&answer.status);
    let named = |name: &str| answer.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
    is_made.then(|| named("Location").or(named("OData-EntityId"))).flatten().map(|(_, record)| record.clone())
}

/// Deletes what was made and is there still; returns what stays.
fn cleaned(made: &[String], service: &dyn Service) -> Vec<String> {
    let mut left = Vec::new();
    for record in made.iter().rev() {
        let headers = vec![("If-Match".to_owned(), "*".to_owned())];
        let request = Request { method: "DELETE".to_owned(), target: record.clone(), headers, body: Vec::new() };
        match service.call(&request, true) {
            Ok(answer) if [200, 204, 404].contains(&answer.status) => {}
            Ok(answer) => left.push(service.redacted(format!("{record}: {}", answer::shown(&answer)))),
            Err(broken) => left.push(service.redacted(format!("{record}: {broken}"))),
        }
    }
    left
}

/// Makes the request of a step; fails with the name that nobody kept.
fn request(step: &Step, names: &Names) -> Result<Request, String> {
    filled(step.needs, names, false)?;
    let headers = step.headers.iter().map(|(name, value)| Ok(((*name).to_owned(), filled(value, names, false)?)));
    let headers = headers.collect::<Result<Vec<_>, String>>()?;
    let body = filled(step.body, names, false)?;
    // A multipart body has a line end of its own, unless it is meant to be wrong.
    let multipart = step.headers.iter().any(|(_, value)| value.starts_with("multipart/mixed; boundary=batch"));
    let body = if multipart { body.replace('\n', "\r\n") } else { body };
    // An address that a service gave goes back as it came.
    let whole = step.target.starts_with('<') && step.target.ends_with('>') && step.target.matches('<').count() == 1;
    let target = filled(step.target, names, !whole)?;
    Ok(Request { method: step.method.to_owned(), target, headers, body: body.into_bytes() })
}

/// Puts values for names; fails with the name that has none.
fn filled(text: &str, names: &Names, in_address: bool) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        let (name, after) = after.split_once('>').ok_or_else(|| after.to_owned())?;
        let value = names.get(name).ok_or_else(|| name.to_owned())?;
        out.push_str(before);
        // What is raw is a literal already.
        out.push_str(&if in_address && !name.starts_with("raw ") { encoded(value) } else { value.clone() });
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Encodes a value for a literal in an address, where a quote is doubled.
fn encoded(value: &str) -> String {
    percent(&value.replace('\'', "''"))
}

/// Encodes what is not plain in an address or a form.
fn percent(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    value.bytes().map(one).collect()
}

/// A request in one line.
fn shown(request: &Request) -> String {
    let headers: Vec<String> = request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let body = String::from_utf8_lossy(&request.body);
    let parts = [format!("{} {}", request.method, request.target), headers.join(", "), answer::clipped(&body)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" | ")
}
