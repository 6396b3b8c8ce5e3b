//! From replies to a report: what the adapters conclude from the answers to a batch.
//!
//! In go a [`Verdict`] for each write and the rows that the answers held; out comes the [`Report`]. An insert that met a
//! duplicate is settled here by reading: only a record with the very id that was chosen is ours from an earlier attempt.

use std::collections::HashSet;

use uuid::Uuid;

use crate::adapters::client::{Client, PostError};
use crate::adapters::http::Answer;
use crate::adapters::odata::batch_json::{self, Operation, Reply};
use crate::adapters::odata::decode::Layout;
use crate::adapters::odata::fault::Fault;
use crate::endpoint::{Endpoint, EndpointError, Outcome, Query, Report, TableInfo, Write, WriteKind};
use crate::frame::{Column, Frame};

/// What an answer says about one write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Settled(Outcome),
    /// An insert was refused because the key, or some other unique value, is taken.
    Duplicate(String),
}

impl Verdict {
    /// The side refused the write.
    pub fn refused(reason: impl std::fmt::Display) -> Verdict {
        Verdict::Settled(Outcome::Refused { message: reason.to_string() })
    }

    /// The write was surely not carried out.
    pub fn not_sent(reason: impl std::fmt::Display) -> Verdict {
        Verdict::Settled(Outcome::NotSent { message: reason.to_string() })
    }

    /// Nobody knows whether the write was carried out.
    pub fn unknown(reason: impl std::fmt::Display) -> Verdict {
        Verdict::Settled(Outcome::Unknown { message: reason.to_string() })
    }

    /// What a status means that both services use alike; `None` where it takes the service's own code.
    pub fn by_status(fault: &Fault) -> Option<Verdict> {
        match fault.status {
            200..300 => Some(Verdict::Settled(Outcome::Written)),
            429 | 503 => Some(Verdict::not_sent(fault)),
            408 | 500.. => Some(Verdict::unknown(fault)),
            _ => None,
        }
    }

    /// What became of each write of a batch that has no answer.
    pub fn unanswered(error: &PostError) -> Verdict {
        match error {
            PostError::NotSent(message) => Verdict::not_sent(message),
            PostError::Unknown(message) | PostError::Overtaxed(message) => Verdict::unknown(message),
        }
    }

    /// What became of each write of a batch that was turned away as a whole.
    pub fn turned_away(answer: &Answer) -> Verdict {
        let fault = Fault::read(answer.status, &answer.body);
        match Verdict::by_status(&fault) {
            // A success that is not readable as an answer: it was carried out, but nobody knows how.
            Some(Verdict::Settled(Outcome::Written)) => Verdict::unknown("the answer to the batch cannot be read"),
            Some(verdict) => verdict,
            None => Verdict::refused(fault),
        }
    }
}

/// What an answer to a whole batch says.
pub enum Sent<R> {
    /// A reply or a verdict for each operation, by position.
    Told(Vec<Result<R, Verdict>>),
    /// The batch was turned away as it is, before any of it was carried out: one operation may have spoilt it for all.
    TurnedAway(Answer),
}

/// Sends operations as one batch; one that is turned away as a whole is halved until the operation that spoils it is
/// alone.
fn send<O, R>(operations: &[O], post: &dyn Fn(&[O]) -> Sent<R>) -> Vec<Result<R, Verdict>> {
    match post(operations) {
        Sent::Told(told) => told,
        Sent::TurnedAway(answer) if matches!(answer.status, 400 | 413) && operations.len() > 1 => {
            let (first, second) = operations.split_at(operations.len() / 2);
            let mut told = send(first, post);
            told.extend(send(second, post));
            told
        }
        Sent::TurnedAway(answer) => {
            let verdict = Verdict::turned_away(&answer);
            operations.iter().map(|_| Err(verdict.clone())).collect()
        }
    }
}

fn json_headers() -> [(&'static str, String); 4] {
    [
        ("Accept", "application/json".to_owned()),
        ("Accept-Language", "en-US".to_owned()),
        ("Content-Type", "application/json".to_owned()),
        // Else the first failure ends the batch.
        ("Prefer", "odata.continue-on-error".to_owned()),
    ]
}

/// Asks questions as one JSON batch, and returns what was said of each, be it a success; `None` where the service does not
/// take the batch. Where one was throttled or has no answer, all are asked again.
pub fn ask_json(client: &Client, root: &str, questions: &[Operation]) -> Result<Option<Vec<Fault>>, EndpointError> {
    let body = batch_json::build(questions);
    let (_, faults) = client.ask(&format!("{root}/$batch"), &json_headers(), body.as_bytes(), |answer| {
        let replies = batch_json::parse(&answer.body, questions.len())?;
        let fault = |reply: Option<Reply>| {
            let reply = reply.ok_or("the answer to the batch is not whole")?;
            let fault = Fault::read(reply.status, reply.body.as_bytes());
            if reply.status == 429 || reply.status >= 500 { Err(fault.to_string()) } else { Ok(fault) }
        };
        replies.into_iter().map(fault).collect::<Result<Vec<_>, String>>()
    })?;
    Ok(faults)
}

/// Posts operations as one JSON batch to the service below `root`.
pub fn post_json(client: &Client, root: &str, operations: &[Operation]) -> Sent<Reply> {
    let all = |verdict: Verdict| Sent::Told(vec![Err(verdict); operations.len()]);
    match client.post(&format!("{root}/$batch"), &json_headers(), batch_json::build(operations).as_bytes()) {
        Err(error) => all(Verdict::unanswered(&error)),
        Ok(answer) if !answer.is_success() => Sent::TurnedAway(answer),
        Ok(answer) => match batch_json::parse(&answer.body, operations.len()) {
            Err(message) => all(Verdict::unknown(message)),
            Ok(replies) => {
                let missing = || Verdict::unknown("the answer to the batch does not mention it");
                Sent::Told(replies.into_iter().map(|reply| reply.ok_or_else(missing)).collect())
            }
        },
    }
}

/// Returns the columns of those names.
fn columns(info: &TableInfo, names: &[String]) -> Vec<Column> {
    names.iter().filter_map(|name| info.column(name)).map(|info| info.column.clone()).collect()
}

/// Decodes the records that the answers to writes hold. What is not whole, or does not fit, is left out: the caller
/// reads it, and hears there what is wrong with it.
fn rows(layout: &Layout, bodies: &[String]) -> Frame {
    let mut rows = layout.rows();
    // A row that does not fit leaves half a row behind, which spoils them all.
    match bodies.iter().try_for_each(|body| layout.row(body, &mut rows).map(drop)) {
        Ok(()) => rows.finish(),
        Err(_) => layout.rows().finish(),
    }
}

/// What a report is about: writes of one table, and how the records that they leave are decoded.
pub struct Batch<'a> {
    pub endpoint: &'a dyn Endpoint,
    pub info: &'a TableInfo,
    pub columns: &'a [String],
    pub writes: &'a [Write],
    pub layout: &'a Layout,
}

/// Sends writes as operations and reports on them; `Err` stands for a write of which no operation could be made.
///
/// `verdict` tells what a reply means for its write, `body` what record it holds.
pub fn carry_out<O: Clone, R>(
    batch: &Batch<'_>,
    operations: Vec<Result<O, String>>,
    post: &dyn Fn(&[O]) -> Sent<R>,
    verdict: impl Fn(&Write, &R) -> Verdict,
    body: impl Fn(R) -> String,
) -> Report {
    let sendable: Vec<O> = operations.iter().flatten().cloned().collect();
    let replies = if sendable.is_empty() { Vec::new() } else { send(&sendable, post) };
    let mut replies = replies.into_iter();
    let mut written = Vec::new();
    let verdicts = batch.writes.iter().zip(operations).map(|(write, operation)| {
        let reply = match operation.map(|_| replies.next()) {
            Err(message) => return Verdict::refused(message),
            Ok(None) => return Verdict::unknown("the answer to the batch does not mention it"),
            Ok(Some(Err(verdict))) => return verdict,
            Ok(Some(Ok(reply))) => reply,
        };
        let verdict = verdict(write, &reply);
        // A deletion leaves no record to be shown.
        if verdict == Verdict::Settled(Outcome::Written) && write.kind != WriteKind::Delete {
            written.push(body(reply));
        }
        verdict
    });
    let verdicts: Vec<Verdict> = verdicts.collect();
    report(batch, verdicts, rows(batch.layout, &written))
}

/// Reports that nothing could be sent.
pub fn unsendable(info: &TableInfo, columns_asked: &[String], writes: &[Write], error: &EndpointError) -> Report {
    let outcome = Outcome::NotSent { message: error.to_string() };
    Report { outcomes: vec![outcome; writes.len()], ..nothing(info, columns_asked) }
}

/// Returns the report on no writes.
pub fn nothing(info: &TableInfo, columns_asked: &[String]) -> Report {
    Report { outcomes: Vec::new(), rows: Frame::empty(columns(info, columns_asked)) }
}

/// Makes the report, reading what duplicates leave open.
fn report(batch: &Batch<'_>, verdicts: Vec<Verdict>, mut rows: Frame) -> Report {
    let Batch { endpoint, info, columns, writes, .. } = *batch;
    let is_duplicate = |verdict: &Verdict| matches!(verdict, Verdict::Duplicate(_));
    let doubtful: Vec<Uuid> =
        writes.iter().zip(&verdicts).filter(|(_, verdict)| is_duplicate(verdict)).map(|(write, _)| write.id).collect();
    let mut found = Ok(HashSet::new());
    if !doubtful.is_empty() {
        let query = Query { info, columns: columns.to_vec(), filter: None, ids: Some(doubtful) };
        found = endpoint.read(&query, &|_| {}).map(|frame| {
            rows.upsert(&frame);
            frame.ids().into_iter().collect()
        });
    }
    let outcomes = writes.iter().zip(verdicts).map(|(write, verdict)| match (verdict, &found) {
        (Verdict::Settled(outcome), _) => outcome,
        (Verdict::Duplicate(_), Ok(found)) if found.contains(&write.id) => Outcome::Exists,
        (Verdict::Duplicate(message), Ok(_)) => Outcome::Refused { message },
        (Verdict::Duplicate(message), Err(error)) => Outcome::Unknown { message: format!("{message}; then {error}") },
    });
    Report { outcomes: outcomes.collect(), rows }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn what_spoils_a_batch_is_found_by_halving() {
        let sizes = RefCell::new(Vec::new());
        let post = |status: u16, spoiler: u32| {
            let sizes = &sizes;
            move |operations: &[u32]| {
                sizes.borrow_mut().push(operations.len());
                if operations.contains(&spoiler) {
                    Sent::TurnedAway(Answer { status, headers: Vec::new(), body: Vec::new() })
                } else {
                    Sent::Told(operations.iter().map(|number| Ok(*number)).collect())
                }
            }
        };
        let operations = [1, 2, 3, 4, 5];
        for (status, spoiler, told, sent) in [
            (413, 0, "1 2 3 4 5", vec![5]),
            (413, 4, "1 2 3 - 5", vec![5, 2, 3, 1, 2, 1, 1]),
            (400, 1, "- 2 3 4 5", vec![5, 2, 1, 1, 3]),
            // Rights and the like are no matter of one operation.
            (403, 4, "- - - - -", vec![5]),
        ] {
            sizes.borrow_mut().clear();
            let replies: Vec<String> = send(&operations, &post(status, spoiler))
                .into_iter()
                .map(|reply| reply.map_or_else(|_| "-".to_owned(), |number| number.to_string()))
                .collect();
            assert_eq!((replies.join(" ").as_str(), sizes.borrow().as_slice()), (told, sent.as_slice()), "{status}");
        }
    }
}
