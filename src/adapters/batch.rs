//! From replies to a report: what the adapters conclude from the answers to a batch.
//!
//! In go a [`Verdict`] for each write and the rows that the answers held; out comes the [`Report`]. An insert that met a
//! duplicate is settled here by reading: only a record with the very id that was chosen is ours from an earlier attempt.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::adapters::client::{Client, PostError};
use crate::adapters::http::Answer;
use crate::adapters::odata::amiss::Amiss;
use crate::adapters::odata::batch_json::{self, Operation, Reply};
use crate::adapters::odata::batch_multipart::{self, Section};
use crate::adapters::odata::decode::Layout;
use crate::adapters::odata::fault::Fault;
use crate::adapters::verdict::Verdict;
use crate::couple::rows_by_id;
use crate::endpoint::{Endpoint, EndpointError, Outcome, Query, Report, TableInfo, Write, WriteKind};
use crate::frame::builder::Builder;
use crate::frame::{Column, Frame};

/// What an answer to a whole batch says.
pub enum Sent<R> {
    /// A reply or a verdict for each operation, by position.
    Told(Vec<Result<R, Verdict>>),
    /// The batch was turned away as it is, before any of it was carried out: one operation may have spoilt it for all.
    TurnedAway(Answer),
}

/// A reply to one operation of a batch.
pub trait Replied {
    fn status(&self) -> u16;
    fn headers(&self) -> &[(String, String)];
    fn body(&self) -> &str;
}

impl Replied for Reply {
    fn status(&self) -> u16 {
        self.status
    }

    fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    fn body(&self) -> &str {
        &self.body
    }
}

/// Refuses replies to questions of which some were put off, or have no answer for now.
pub fn answered<R: Replied>(replies: &[R]) -> Result<(), Amiss> {
    let put_off = |reply: &&R| reply.status() == 429 || reply.status() >= 500;
    let Some(first) = replies.iter().find(put_off) else { return Ok(()) };
    let fault = Fault::read(first.status(), first.body().as_bytes());
    Err(Amiss::PutOff { fault, parts: replies.iter().filter(put_off).map(|reply| reply.headers().to_vec()).collect() })
}

/// Posts operations, and those again that the side put off, until its patience or ours ends (design.md §3.9).
pub fn patiently<O: Clone, R: Replied>(client: &Client, operations: &[O], post: &dyn Fn(&[O]) -> Sent<R>) -> Sent<R> {
    let mut told = match post(operations) {
        Sent::Told(told) => told,
        turned_away => return turned_away,
    };
    let is_put_off = |told: &Result<R, Verdict>| told.as_ref().is_ok_and(|reply| matches!(reply.status(), 429 | 503));
    let mut failed = 0;
    loop {
        if told.iter().any(|told| told.is_ok() && !is_put_off(told)) {
            client.went_well();
        }
        let put_off: Vec<usize> = (0..told.len()).filter(|at| is_put_off(&told[*at])).collect();
        failed += 1;
        let parts = put_off.iter().filter_map(|at| told[*at].as_ref().ok()).map(Replied::headers);
        if put_off.is_empty() || !client.wait_for_part(failed, parts) {
            return Sent::Told(told);
        }
        let again: Vec<O> = put_off.iter().map(|at| operations[*at].clone()).collect();
        match post(&again) {
            Sent::Told(replies) => put_off.into_iter().zip(replies).for_each(|(at, reply)| told[at] = reply),
            Sent::TurnedAway(answer) => {
                let verdict = Verdict::turned_away(&answer);
                put_off.into_iter().for_each(|at| told[at] = Err(verdict.clone()));
                return Sent::Told(told);
            }
        }
    }
}

/// Operations that are turned away each by itself, with nothing taken, before it is asked whether anything is.
const ALONE_MAX: usize = 3;
/// Where a question is taken, so many are tried: each may be to blame by itself, but not all of them.
const SPOILED_MAX: usize = 30;

/// Tables of which a side turned away whatever it was sent: the next batch of one of them is not taken apart to learn the
/// same again.
#[derive(Default)]
pub struct Closed(Mutex<HashSet<String>>);

impl Closed {
    fn tables(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a side made of the parts of a batch so far.
struct Halved<'a> {
    /// Tells whether the side takes a batch in which nothing can be wrong.
    ask: &'a dyn Fn() -> bool,
    /// What was asked, if it was.
    open: Option<bool>,
    /// It took one.
    taken: bool,
    /// Operations that it turned away although they were alone.
    alone: usize,
}

impl Halved<'_> {
    /// Tells whether it is no matter of the operations that they are turned away.
    fn is_closed(&mut self) -> bool {
        !self.taken
            && self.alone >= ALONE_MAX
            && (self.alone >= SPOILED_MAX || !*self.open.get_or_insert_with(self.ask))
    }
}

/// Sends operations as one batch; one that is turned away as a whole is halved until the operation that spoils it is
/// alone. Where the side turns away whatever it is sent, `question` among it, it is no matter of the operations: halving ends
/// early, and `closed` remembers it of the table, so that its next batches are not halved, until one is taken.
fn send<O, R>(
    table: &str,
    closed: &Closed,
    operations: &[O],
    question: &O,
    post: &dyn Fn(&[O]) -> Sent<R>,
) -> Vec<Result<R, Verdict>> {
    let was_closed = closed.tables().contains(table);
    let ask = || matches!(post(std::slice::from_ref(question)), Sent::Told(told) if told.iter().any(Result::is_ok));
    let mut halved = Halved { ask: &ask, open: None, taken: false, alone: 0 };
    let mut told = match post(operations) {
        Sent::TurnedAway(answer) if was_closed => {
            // It was found out before.
            (halved.open, halved.alone) = (Some(false), ALONE_MAX);
            operations.iter().map(|_| Err(Verdict::turned_away(&answer))).collect()
        }
        sent => follow(operations, sent, post, &mut halved),
    };
    if halved.is_closed() {
        closed.tables().insert(table.to_owned());
        let blame = |told: Result<R, Verdict>| match told {
            Err(Verdict::Settled(Outcome::Refused { message })) => {
                Err(Verdict::barred(format!("every batch is turned away, whatever is in it: {message}")))
            }
            told => told,
        };
        told = told.into_iter().map(blame).collect();
    } else if was_closed {
        closed.tables().remove(table);
    }
    told
}

fn halve<O, R>(operations: &[O], post: &dyn Fn(&[O]) -> Sent<R>, halved: &mut Halved<'_>) -> Vec<Result<R, Verdict>> {
    if halved.is_closed() {
        return operations
            .iter()
            .map(|_| Err(Verdict::barred("every batch is turned away, whatever is in it")))
            .collect();
    }
    follow(operations, post(operations), post, halved)
}

/// Concludes from what came back for operations, and sends their halves where it was nothing.
fn follow<O, R>(
    operations: &[O],
    sent: Sent<R>,
    post: &dyn Fn(&[O]) -> Sent<R>,
    halved: &mut Halved<'_>,
) -> Vec<Result<R, Verdict>> {
    match sent {
        Sent::Told(told) => {
            halved.taken = true;
            told
        }
        Sent::TurnedAway(answer) if matches!(answer.status, 400 | 413) && operations.len() > 1 => {
            let (first, second) = operations.split_at(operations.len() / 2);
            let mut told = halve(first, post, halved);
            told.extend(halve(second, post, halved));
            told
        }
        Sent::TurnedAway(answer) => {
            halved.alone += usize::from(operations.len() == 1);
            operations.iter().map(|_| Err(Verdict::turned_away(&answer))).collect()
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

/// Asks questions as one batch, and returns what was said of each, be it a success; `None` where the service does not
/// take the batch. Where one was throttled or has no answer, all are asked again.
pub fn ask(
    form: Form,
    client: &Client,
    root: &str,
    questions: &[Operation],
) -> Result<Option<Vec<Fault>>, EndpointError> {
    let body = form.body(questions);
    let (_, faults) = client.ask(&format!("{root}/$batch"), &form.headers(), body.as_bytes(), |answer| {
        let replies = form.replies(answer, questions.len()).map_err(Amiss::Broken)?;
        let replies = replies.into_iter().collect::<Option<Vec<Reply>>>();
        let replies = replies.ok_or_else(|| Amiss::Broken("the answer to the batch is not whole".to_owned()))?;
        answered(&replies)?;
        Ok(replies.iter().map(|reply| Fault::read(reply.status, reply.body.as_bytes())).collect())
    })?;
    Ok(faults)
}

/// How operations are put into one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    Multipart,
}

impl Form {
    /// Returns the media type of such a batch.
    pub fn media_type(self) -> &'static str {
        match self {
            Form::Json => "application/json",
            Form::Multipart => "multipart/mixed",
        }
    }

    fn headers(self) -> Vec<(&'static str, String)> {
        let mut headers = json_headers().to_vec();
        if self == Form::Multipart {
            headers.retain(|(name, _)| !matches!(*name, "Accept" | "Content-Type"));
            headers.push(("Accept", self.media_type().to_owned()));
            headers.push(("Content-Type", batch_multipart::content_type()));
        }
        headers
    }

    fn body(self, operations: &[Operation]) -> String {
        let part = |operation: &Operation| {
            let mut headers = vec![("Accept", "application/json".to_owned())];
            if !operation.body.is_empty() {
                headers.push(("Content-Type", "application/json".to_owned()));
            }
            headers.extend(operation.if_match.clone().map(|etag| ("If-Match", etag)));
            let (path, body) = (operation.url.clone(), operation.body.clone());
            batch_multipart::Operation { method: operation.method, path, headers, body }
        };
        match self {
            Form::Json => batch_json::build(operations),
            Form::Multipart => batch_multipart::build(&operations.iter().map(part).collect::<Vec<_>>()),
        }
    }

    /// Reads the answer to `count` operations; an operation without reply is `None`.
    fn replies(self, answer: &Answer, count: usize) -> Result<Vec<Option<Reply>>, String> {
        if self == Form::Json {
            return batch_json::parse(&answer.body, count);
        }
        let content_type = answer.header("content-type").unwrap_or_default();
        let sections = batch_multipart::parse(content_type, &answer.body)?;
        // Nothing but their order tells what they are replies to.
        if sections.len() != count {
            return Err(format!("the answer to the batch has {} replies to {count} operations", sections.len()));
        }
        let reply = |section| match section {
            Section::Single(reply) => {
                Ok(Some(Reply { status: reply.status, headers: reply.headers, body: reply.body }))
            }
            Section::ChangeSet(_) => Err("the answer to the batch has a change set that nobody sent".to_owned()),
        };
        sections.into_iter().map(reply).collect()
    }

    /// Asks a service whether it takes batches of this form, by two questions of which the first one fails: what follows on
    /// a failure has to be answered as well. Nothing is changed by it.
    pub fn reception(
        self,
        client: &Client,
        root: &str,
        questions: &[Operation; 2],
    ) -> Result<Reception, EndpointError> {
        let (url, body) = (format!("{root}/$batch"), self.body(questions));
        // A service that fails over it does so again.
        let (answer, told) = client.ask_unless(&[500], &url, &self.headers(), body.as_bytes(), |_| Ok(()))?;
        let replies = told.and_then(|()| self.replies(&answer, questions.len()).ok()).unwrap_or_default();
        let statuses: Vec<u16> = replies.iter().flatten().map(|reply| reply.status).collect();
        Ok(match (&statuses[..], answer.status) {
            ([400..500, 200..300], _) => Reception::Taken,
            (_, 400 | 406 | 415) => Reception::AnotherForm,
            _ => Reception::Nothing,
        })
    }
}

/// What a service makes of batches of one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reception {
    Taken,
    /// It turns this form away; perhaps it takes another one.
    AnotherForm,
    /// It has none, or none that is of use.
    Nothing,
}

/// Posts operations as one batch to the service below `root`.
pub fn post(form: Form, client: &Client, root: &str, operations: &[Operation]) -> Sent<Reply> {
    post_in_time(form, client, root, operations, &|| {})
}

/// The same; `overtaxed` hears when the side had no time for so many.
pub fn post_in_time(
    form: Form,
    client: &Client,
    root: &str,
    operations: &[Operation],
    overtaxed: &dyn Fn(),
) -> Sent<Reply> {
    let all = |verdict: Verdict| Sent::Told(vec![Err(verdict); operations.len()]);
    match client.post(&format!("{root}/$batch"), &form.headers(), form.body(operations).as_bytes()) {
        Err(error) => {
            if matches!(error, PostError::Overtaxed(_)) {
                overtaxed();
            }
            all(Verdict::unanswered(&error))
        }
        Ok(answer) if !answer.is_success() => Sent::TurnedAway(answer),
        Ok(answer) => match form.replies(&answer, operations.len()) {
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

/// Decodes the records that the answers to writes hold. What is not whole, or cannot be read, is left out: the caller
/// reads it, and hears there what is wrong with it.
fn rows(layout: &Layout, bodies: &[String]) -> Frame {
    let mut rows = layout.rows();
    // What is no record at all leaves nothing behind.
    bodies.iter().for_each(|body| drop(layout.row(body, &mut rows)));
    rows.finish().readable().into_owned()
}

/// What a report is about: writes of one table, and how the records that they leave are decoded.
pub struct Batch<'a> {
    pub endpoint: &'a dyn Endpoint,
    pub info: &'a TableInfo,
    pub columns: &'a [String],
    pub writes: &'a [Write],
    pub layout: &'a Layout,
    /// What is known of the side's tables so far.
    pub closed: &'a Closed,
}

/// Sends writes as operations and reports on them; `Err` stands for a write of which no operation could be made.
///
/// `question` is an operation that changes nothing, and in which nothing can be wrong. `verdict` tells what a reply means for
/// its write, `body` what record it holds.
pub fn carry_out<O: Clone, R>(
    batch: &Batch<'_>,
    operations: Vec<Result<O, String>>,
    question: &O,
    post: &dyn Fn(&[O]) -> Sent<R>,
    verdict: impl Fn(&Write, &R) -> Verdict,
    body: impl Fn(R) -> String,
) -> Report {
    let sendable: Vec<O> = operations.iter().flatten().cloned().collect();
    let replies = match sendable.is_empty() {
        true => Vec::new(),
        false => send(&batch.info.table, batch.closed, &sendable, question, post),
    };
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
    report(batch, verdicts, completed(batch, rows(batch.layout, &written)))
}

/// Adds to the records that answers hold what no answer does, columns inside of others, by reading.
///
/// All else, and the version, stays as the answer told it: only that proves what the side made of a write, and an edit since
/// then shows in the next reading. A record that cannot be read is left out.
fn completed(batch: &Batch<'_>, rows: Frame) -> Frame {
    let Batch { endpoint, info, columns, layout, .. } = *batch;
    let inside: HashSet<&str> = layout.inside().collect();
    if inside.is_empty() || rows.rows() == 0 {
        return rows;
    }
    let query = Query { info, columns: columns.to_vec(), filter: None, ids: Some(rows.ids()) };
    let Ok(read) = endpoint.read(&query, &|_| {}) else { return rows.take(&[]) };
    let read = read.readable();
    let read_rows = rows_by_id(&read);
    let mut whole = Builder::new(rows.columns().to_vec());
    for (row, id) in rows.ids().into_iter().enumerate() {
        let Some(&read_row) = read_rows.get(&id) else { continue };
        for (index, column) in rows.columns().iter().enumerate() {
            let (frame, row) = if inside.contains(column.name.as_str()) { (&*read, read_row) } else { (&rows, row) };
            whole.push_value(index, &frame.value(&column.name, row)).expect("it is out of such a column");
        }
        whole.end(id, &rows.etag(row).unwrap_or_default());
    }
    whole.finish()
}

/// Reports that nothing could be sent.
pub fn unsendable(info: &TableInfo, columns_asked: &[String], writes: &[Write], error: &EndpointError) -> Report {
    let message = error.to_string();
    let outcome = match error {
        EndpointError::Unreachable { .. } | EndpointError::Interrupted { .. } | EndpointError::Untrusted { .. } => {
            Outcome::NotSent { message }
        }
        _ => Outcome::Barred { message },
    };
    Report { outcomes: vec![outcome; writes.len()], ..nothing(info, columns_asked) }
}

/// Returns the report on no writes.
pub fn nothing(info: &TableInfo, columns_asked: &[String]) -> Report {
    Report { outcomes: Vec::new(), rows: Frame::empty(columns(info, columns_asked)), given: HashMap::new() }
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
            rows.upsert(&frame.readable());
            frame.ids().into_iter().collect()
        });
    }
    let outcomes = writes.iter().zip(verdicts).map(|(write, verdict)| match (verdict, &found) {
        (Verdict::Settled(outcome), _) => outcome,
        (Verdict::Duplicate(_), Ok(found)) if found.contains(&write.id) => Outcome::Exists,
        (Verdict::Duplicate(message), Ok(_)) => Outcome::Refused { message },
        (Verdict::Duplicate(message), Err(error)) => Outcome::Unknown { message: format!("{message}; then {error}") },
    });
    Report { outcomes: outcomes.collect(), rows, given: HashMap::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::client::tests::client;
    use crate::adapters::clock::Clock;
    use crate::adapters::script::{Line, Script, say};
    use std::cell::RefCell;

    /// Stands for every operation.
    const ALL: u32 = 99;

    #[test]
    fn what_is_turned_away_whatever_is_in_it_is_held_against_no_record() {
        let body = r#"{"error":{"code":"0x1","message":"no"}}"#;
        let post =
            |_: &[u32]| Sent::<Reply>::TurnedAway(Answer { status: 400, headers: Vec::new(), body: body.into() });
        for told in send("customers", &Closed::default(), &[1, 2, 3, 4, 5, 6], &0, &post) {
            assert!(matches!(told, Err(Verdict::Settled(Outcome::Barred { .. }))), "{told:?}");
        }
        // One alone may be to blame.
        let alone = send("customers", &Closed::default(), &[1], &0, &post);
        assert!(matches!(alone[..], [Err(Verdict::Settled(Outcome::Refused { .. }))]));
    }

    /// Those that are refused come first every night, and the good ones after them have to arrive all the same (I4).
    #[test]
    fn records_that_spoil_their_batch_starve_no_other() {
        let body = r#"{"error":{"code":"RequestDataInvalid","message":"no"}}"#;
        let posts = RefCell::new(Vec::new());
        let post = |operations: &[u32]| {
            posts.borrow_mut().push(operations.len());
            match operations.iter().any(|number| (1..=3).contains(number)) {
                true => Sent::TurnedAway(Answer { status: 400, headers: Vec::new(), body: body.into() }),
                false => Sent::Told(operations.iter().map(|number| Ok(*number)).collect()),
            }
        };
        for (operations, told, requests) in [
            ((1..=10).collect::<Vec<u32>>(), "- - - 4 5 6 7 8 9 10", vec![10, 5, 2, 1, 1, 3, 1, 1, 2, 5]),
            // With none but those left, they are to blame, and not the way to the service.
            (vec![1, 2, 3], "- - -", vec![3, 1, 2, 1, 1, 1]),
        ] {
            posts.borrow_mut().clear();
            let closed = Closed::default();
            let replies = send("customers", &closed, &operations, &0, &post);
            let word = |told: &Result<u32, Verdict>| match told {
                Ok(number) => number.to_string(),
                Err(Verdict::Settled(Outcome::Refused { .. })) => "-".to_owned(),
                Err(other) => format!("{other:?}"),
            };
            let replies = replies.iter().map(word).collect::<Vec<_>>().join(" ");
            assert_eq!((replies.as_str(), posts.borrow().as_slice()), (told, requests.as_slice()));
            assert!(closed.tables().is_empty());
        }
        // Where questions are taken and no write ever is, halving has an end as well.
        posts.borrow_mut().clear();
        let never = |operations: &[u32]| match operations {
            [0] => post(operations),
            _ => {
                posts.borrow_mut().push(operations.len());
                Sent::<u32>::TurnedAway(Answer { status: 400, headers: Vec::new(), body: body.into() })
            }
        };
        let told = send("customers", &Closed::default(), &(1..=64).collect::<Vec<u32>>(), &0, &never);
        assert!(told.iter().all(|told| matches!(told, Err(Verdict::Settled(Outcome::Barred { .. })))), "{told:?}");
        let alone = posts.borrow().iter().filter(|count| **count == 1).count();
        assert_eq!(alone, SPOILED_MAX + 1, "and the question");
    }

    /// What one batch has found out serves the next one of its table, and of no other, until something is taken.
    #[test]
    fn a_table_that_is_closed_is_found_out_once() {
        let (posts, is_open, closed) = (RefCell::new(0), RefCell::new(false), Closed::default());
        let post = |operations: &[u32]| {
            *posts.borrow_mut() += 1;
            match *is_open.borrow() {
                true => Sent::Told(
                    operations
                        .iter()
                        .map(|_| Ok(Reply { status: 204, headers: Vec::new(), body: String::new() }))
                        .collect(),
                ),
                false => Sent::TurnedAway(Answer { status: 413, headers: Vec::new(), body: Vec::new() }),
            }
        };
        let sent = |table: &str, open: bool| {
            posts.replace(0);
            is_open.replace(open);
            let told = send(table, &closed, &[1, 2, 3, 4, 5, 6, 7, 8], &0, &post);
            assert_eq!(told.len(), 8);
            let is_barred =
                |told: &Result<Reply, Verdict>| matches!(told, Err(Verdict::Settled(Outcome::Barred { .. })));
            assert_eq!(told.iter().all(is_barred), !open);
            *posts.borrow()
        };
        let counts = [
            sent("customers", false),
            sent("customers", false),
            sent("items", false),
            sent("customers", true),
            sent("customers", false),
        ];
        assert_eq!(counts, [8, 1, 8, 1, 8]);
    }

    #[test]
    fn what_is_put_off_inside_of_a_batch_is_sent_again() {
        let reply = |status| Ok(Reply { status, headers: Vec::new(), body: String::new() });
        for (answers, told, sent) in [
            (vec![vec![204, 429, 503], vec![429, 204], vec![204]], vec![204, 204, 204], "1 2 3|2 3|2"),
            (vec![vec![204, 429, 400], vec![429], vec![429]], vec![204, 429, 400], "1 2 3|2|2"),
            (vec![vec![204, 403, 204]], vec![204, 403, 204], "1 2 3"),
        ] {
            let (client, clock) = client("http://127.0.0.1:1", "http://127.0.0.1:1");
            let (answers, posts) = (RefCell::new(answers.into_iter()), RefCell::new(Vec::new()));
            let post = |operations: &[u32]| {
                posts.borrow_mut().push(operations.iter().map(u32::to_string).collect::<Vec<_>>().join(" "));
                Sent::Told(answers.borrow_mut().next().unwrap().into_iter().map(reply).collect())
            };
            let Sent::Told(replies) = patiently(&client, &[1, 2, 3], &post) else { panic!("it was taken") };
            let statuses: Vec<u16> = replies.into_iter().map(|reply| reply.unwrap().status).collect();
            assert_eq!((statuses, posts.borrow().join("|").as_str()), (told, sent));
            assert_eq!(clock.now().is_zero(), posts.borrow().len() == 1, "it waits before it sends again");
        }
    }

    /// What one operation asks to wait, in seconds or by date, is waited before it is sent again: the longest of them.
    #[test]
    fn a_part_that_asks_for_a_wait_gets_it() {
        let operation = |url: &str| Operation { method: "PATCH", url: url.into(), if_match: None, body: "{}".into() };
        let operations = ["a(1)", "a(2)"].map(operation);
        let date = "Sat, 31 Jan 2026 22:00:00 GMT";
        for (seconds, other, waited) in [
            ("17", "4", 17),
            ("Sat, 31 Jan 2026 22:00:09 GMT", "4", 9),
            ("Saturday, 31-Jan-26 22:00:09 GMT", "", 9),
            ("Sat, 31 Jan 2026 21:00:00 GMT", "", 2),
            ("600", "4", 600),
            ("soon", "", 2),
        ] {
            for form in [Form::Json, Form::Multipart] {
                let body = |replies: &[(u16, &str)]| {
                    let json = |(id, (status, wait)): (usize, &(u16, &str))| {
                        format!(r#"{{"id":"{id}","status":{status},"headers":{{"Retry-After":"{wait}"}}}}"#)
                    };
                    let part = |(status, wait): &(u16, &str)| {
                        format!(
                            "--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {status} X\r\nRetry-After: {wait}\r\n\r\n\r\n"
                        )
                    };
                    match form {
                        Form::Json => {
                            let parts: Vec<String> = (1..).zip(replies).map(json).collect();
                            format!(r#"{{"responses":[{}]}}"#, parts.join(","))
                        }
                        Form::Multipart => replies.iter().map(part).collect::<String>() + "--b--\r\n",
                    }
                };
                let answer = |replies: &[(u16, &str)]| {
                    let body = body(replies);
                    let head = format!(
                        "HTTP/1.1 200 X\r\nDate: {date}\r\nConnection: close\r\nContent-Length: {}\r\n",
                        body.len()
                    );
                    let kind = match form {
                        Form::Json => "application/json",
                        Form::Multipart => "multipart/mixed; boundary=b",
                    };
                    Line::Bytes(format!("{head}Content-Type: {kind}\r\n\r\n{body}").into_bytes())
                };
                let login = Script::play(vec![say(200, r#"{"access_token":"t","expires_in":3599}"#)]);
                let server =
                    Script::play(vec![answer(&[(429, seconds), (503, other)]), answer(&[(204, ""), (204, "")])]);
                let (client, clock) = client(&server.url, &login.url);
                let told = patiently(&client, &operations, &|some| post(form, &client, &server.url, some));
                let Sent::Told(replies) = told else { panic!("it was taken") };
                assert!(
                    replies.iter().all(|reply| reply.as_ref().is_ok_and(|reply| reply.status == 204)),
                    "{replies:?}"
                );
                assert_eq!(clock.now().as_secs(), waited, "{form:?}: {seconds} {other}");
            }
        }
    }

    /// The same of questions, which are all asked again: as long as any of them asks for, and no less patiently than alone.
    #[test]
    fn a_question_that_asks_for_a_wait_gets_it() {
        let questions = ["a(1)", "a(2)", "a(3)"].map(|url| Operation {
            method: "GET",
            url: url.into(),
            if_match: None,
            body: String::new(),
        });
        let replies = |waits: [(u16, &str); 3]| {
            let reply = |(id, (status, wait)): (usize, (u16, &str))| {
                format!(r#"{{"id":"{id}","status":{status},"headers":{{"Retry-After":"{wait}"}}}}"#)
            };
            let replies: Vec<String> = (1..).zip(waits).map(reply).collect();
            say(200, &format!(r#"{{"responses":[{}]}}"#, replies.join(",")))
        };
        let busy = || replies([(429, "17"), (200, ""), (503, "4")]);
        let told = |lines: Vec<Line>| {
            let login = Script::play(vec![say(200, r#"{"access_token":"t","expires_in":3599}"#)]);
            let server = Script::play(lines);
            let (client, clock) = client(&server.url, &login.url);
            let faults = ask(Form::Json, &client, &server.url, &questions);
            let statuses = faults.map(|faults| faults.map(|all| all.iter().map(|one| one.status).collect::<Vec<_>>()));
            (statuses.map_err(|error| error.to_string()), clock.now().as_secs())
        };
        let (taken, mixed) = (|| replies([(200, ""); 3]), || replies([(404, ""), (200, ""), (200, "")]));
        assert_eq!(told(vec![busy(), taken()]), (Ok(Some(vec![200; 3])), 17));
        assert_eq!(told(vec![replies([(500, ""); 3]), mixed()]), (Ok(Some(vec![404, 200, 200])), 2));
        let expected = "CRM cannot be reached: it answered HTTP 429".to_owned();
        assert_eq!(told(vec![busy(), busy(), busy()]), (Err(expected), 34));
    }

    #[test]
    fn what_spoils_a_batch_is_found_by_halving() {
        let sizes = RefCell::new(Vec::new());
        let post = |status: u16, spoiler: u32| {
            let sizes = &sizes;
            move |operations: &[u32]| {
                sizes.borrow_mut().push(operations.len());
                if spoiler == ALL || operations.contains(&spoiler) {
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
            // Where nothing is ever taken, it is not for what is in it.
            (400, ALL, "- - - - -", vec![5, 2, 1, 1, 3, 1, 1]),
            (413, ALL, "- - - - -", vec![5, 2, 1, 1, 3, 1, 1]),
        ] {
            sizes.borrow_mut().clear();
            let replies: Vec<String> = send("customers", &Closed::default(), &operations, &0, &post(status, spoiler))
                .into_iter()
                .map(|reply| reply.map_or_else(|_| "-".to_owned(), |number| number.to_string()))
                .collect();
            assert_eq!((replies.join(" ").as_str(), sizes.borrow().as_slice()), (told, sent.as_slice()), "{status}");
        }
    }
}
