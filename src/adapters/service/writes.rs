//! Writes of a service: requests of their own or batches, and what their answers prove.
//!
//! A new record counts as written when it is there under the key that was sent, or, where none was sent, when the answer
//! tells the key that the service gave. A service may have its own mind.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;

use uuid::Uuid;

use crate::adapters::batch::{self, Batch, Form, Reception, Sent};
use crate::adapters::business_central::SAME_KEY;
use crate::adapters::odata::Dialect;
use crate::adapters::odata::batch_json::{Operation, Reply};
use crate::adapters::service::Service;
use crate::adapters::service::page::{Address, Page, is_odd, question, unaddressed};
use crate::adapters::verdict::{Verdict, Word};
use crate::endpoint::{Endpoint, Key, Outcome, Query, Report, TableInfo, Write, WriteKind};
use crate::frame::Frame;

/// What is said of a new record that its service did not keep as it was sent.
const ANOTHER_KEY: &str = "the service made the record under another key than the one that was sent";
/// What is asked for to see how a service goes on after a failure: no service has such a table.
const NOBODYS_TABLE: &str = "PipelineAsksForNothing";

impl Service {
    /// Sends writes; where the file says that ids may be chosen, new records go one by one until one has shown it.
    pub(super) fn send_trusted(&self, info: &TableInfo, columns: &[String], writes: &[Write]) -> Report {
        let Key::Id(key) = &info.key else { return self.send_all(info, columns, writes) };
        // Held as long as nothing is shown, so that other threads do not send some of theirs meanwhile.
        let mut trusted = self.trusted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut report = batch::nothing(info, columns);
        let mut left = writes;
        while !trusted.contains(&info.table)
            && let Some(first) = left.iter().position(|write| write.kind == WriteKind::Insert)
        {
            let (head, tail) = left.split_at(first + 1);
            append(&mut report, self.send_all(info, columns, head));
            left = tail;
            let outcome = report.outcomes.last_mut().expect("each write has an outcome");
            let others = match outcome {
                Outcome::Written | Outcome::Exists => {
                    trusted.insert(info.table.clone());
                    continue;
                }
                Outcome::Refused { message } if message == ANOTHER_KEY => {
                    *message = format!(
                        "the service gives `{key}` itself; remove `key` from the file, and look for a record without \
                         partner there"
                    );
                    outcome.clone()
                }
                // It showed nothing, and is not there under any key.
                Outcome::Refused { .. } => continue,
                // Perhaps it is there under another key: one of these is enough.
                _ => {
                    let message = "it waits until a first new record has shown that the service keeps ids as they are";
                    Outcome::NotSent { message: message.to_owned() }
                }
            };
            append(&mut report, self.send_changes(info, columns, left, &others));
            return report;
        }
        drop(trusted);
        append(&mut report, self.send_all(info, columns, left));
        report
    }

    /// Sends writes, but for new records: what became of these is known.
    fn send_changes(&self, info: &TableInfo, columns: &[String], writes: &[Write], of_inserts: &Outcome) -> Report {
        let changes: Vec<Write> = writes.iter().filter(|write| write.kind != WriteKind::Insert).cloned().collect();
        let Report { outcomes, rows, given } = self.send_all(info, columns, &changes);
        let mut sent = outcomes.into_iter();
        let outcome = |write: &Write| match write.kind {
            WriteKind::Insert => of_inserts.clone(),
            _ => sent.next().expect("each write that was sent has an outcome"),
        };
        Report { outcomes: writes.iter().map(outcome).collect(), rows, given }
    }

    /// Sends operations as one batch, in the form that the service takes; else each by itself.
    fn send_batch(&self, page: &Page, address: &Address, operations: &[Operation]) -> Sent<Reply> {
        let form = if operations.len() > 1 { self.form(page, address) } else { None };
        let Some(form) = form else { return self.send(operations) };
        let root = self.root();
        let operations: Vec<Operation> = operations.iter().map(|operation| relative(&root, operation)).collect();
        batch::patiently(&self.client, &operations, &|some| batch::post(form, &self.client, &root, some))
    }

    /// Returns the form in which the service takes batches, `None` where it takes none that goes on after an operation that
    /// fails: by its metadata, and by asking once.
    pub(super) fn form(&self, page: &Page, address: &Address) -> Option<Form> {
        // Held while it is asked, so that other threads do not ask as well.
        let mut form = self.form.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(form) = *form {
            return form;
        }
        let told = &self.known().ok()?.batches;
        if told.taken == Some(false) || told.goes_on == Some(false) {
            return *form.insert(None);
        }
        let root = self.root();
        let nothing = question(format!("{root}/{NOBODYS_TABLE}"));
        let questions = [nothing, page.question(address)].map(|question| relative(&root, &question));
        for tried in [Form::Json, Form::Multipart] {
            if !told.formats.is_empty() && !told.formats.iter().any(|format| format.starts_with(tried.media_type())) {
                continue;
            }
            // Where it cannot be asked now, nothing is learned.
            match tried.reception(&self.client, &root, &questions).ok()? {
                Reception::Taken => return *form.insert(Some(tried)),
                Reception::AnotherForm => {}
                // Who does not know batches may take the next question for something else.
                Reception::Nothing => break,
            }
        }
        *form.insert(None)
    }

    /// Sends each operation as a request of its own.
    fn send(&self, operations: &[Operation]) -> Sent<Reply> {
        let one = |operation: &Operation| {
            let mut more = Vec::new();
            more.extend(operation.if_match.clone().map(|etag| ("If-Match", etag)));
            let body = Some(operation.body.as_str()).filter(|body| !body.is_empty());
            more.extend(body.map(|_| ("Content-Type", "application/json".to_owned())));
            let answer =
                self.client.write(operation.method, &operation.url, &self.headers(&more), body.map(str::as_bytes));
            match answer {
                Err(error) => Err(Verdict::unanswered(&error)),
                Ok(answer) => match Verdict::of_stranger(&answer) {
                    Some(verdict) => Err(verdict),
                    None => {
                        let body = String::from_utf8_lossy(&answer.body).into_owned();
                        Ok(Reply { status: answer.status, headers: answer.headers, body })
                    }
                },
            }
        };
        Sent::Told(operations.iter().map(one).collect())
    }

    /// Sends writes and reports on them.
    fn send_all(&self, info: &TableInfo, columns: &[String], writes: &[Write]) -> Report {
        if writes.is_empty() {
            return batch::nothing(info, columns);
        }
        let changed: Vec<Uuid> =
            writes.iter().filter(|write| write.kind != WriteKind::Insert).map(|write| write.id).collect();
        let prepared = self.page(&info.table).and_then(|page| {
            let (address, layout) = (self.address(&page)?, page.layout(columns)?);
            let keys = self.keys(&page, &changed)?;
            Ok((page, address, layout, keys))
        });
        let (page, address, layout, keys) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return batch::unsendable(info, columns, writes, &error),
        };
        let key = |write: &Write| keys.get(&write.id).map(|key| &**key);
        let is_unknown = |write: &Write| write.kind != WriteKind::Insert && key(write).is_none();
        let sent: Vec<Write> = writes.iter().filter(|write| !is_unknown(write)).cloned().collect();
        let operations = sent.iter().map(|write| page.operation(&address, key(write), write)).collect();
        let batch = Batch { endpoint: self, info, columns, writes: &sent, layout: &layout, closed: &self.closed };
        let given = RefCell::new(HashMap::new());
        let Report { outcomes, rows, .. } = {
            let verdict = |write: &Write, reply: &Reply| {
                let verdict = match (verdict(&page, write, reply), key(write)) {
                    (Verdict::Settled(Outcome::Gone), Some(key)) if is_odd(key) => Verdict::refused(unaddressed(key)),
                    (verdict, _) => verdict,
                };
                if verdict != Verdict::Settled(Outcome::Written) || !page.is_given(write) {
                    return verdict;
                }
                match page.made(&reply.body) {
                    Ok(id) => {
                        given.borrow_mut().insert(write.id, id);
                        verdict
                    }
                    Err(message) => Verdict::unknown(message),
                }
            };
            let send = |operations: &[Operation]| match self.limits.batch {
                0 | 1 => self.send(operations),
                _ => self.send_batch(&page, &address, operations),
            };
            batch::carry_out(&batch, operations, &page.question(&address), &send, verdict, |reply| reply.body)
        };
        // What is in no list of keys has no address, and whether it is still there nobody has said.
        let unknown = || Outcome::Barred { message: "no list has it any more, and its key is not known".to_owned() };
        let mut outcomes = outcomes.into_iter();
        let outcome = |write: &Write| match is_unknown(write) {
            true => unknown(),
            false => outcomes.next().expect("each write that was sent has an outcome"),
        };
        let given = given.into_inner();
        let mut report = Report { outcomes: writes.iter().map(outcome).collect(), rows, given };
        self.confirm(info, columns, writes, &mut report);
        report
    }

    /// Looks for new records that the answers do not show under the key that was sent: a service may have its own mind.
    fn confirm(&self, info: &TableInfo, columns: &[String], writes: &[Write], report: &mut Report) {
        let shown: HashSet<Uuid> = report.rows.ids().into_iter().collect();
        let is_unseen = |(write, outcome): &(&Write, &Outcome)| {
            let new = write.kind == WriteKind::Insert && **outcome == Outcome::Written;
            new && !report.given.contains_key(&write.id) && !shown.contains(&write.id)
        };
        let unseen: Vec<Uuid> =
            writes.iter().zip(&report.outcomes).filter(is_unseen).map(|(write, _)| write.id).collect();
        if unseen.is_empty() {
            return;
        }
        let query = Query { info, columns: columns.to_vec(), filter: None, ids: Some(unseen.clone()) };
        let found = self.read(&query, &|_| {});
        let there: HashSet<Uuid> = found.iter().flat_map(Frame::ids).collect();
        for (write, outcome) in writes.iter().zip(&mut report.outcomes) {
            if !unseen.contains(&write.id) || there.contains(&write.id) {
                continue;
            }
            *outcome = match &found {
                Ok(_) => Outcome::Refused { message: ANOTHER_KEY.to_owned() },
                Err(error) => Outcome::Unknown { message: error.to_string() },
            };
        }
        // Records that came under another key are nobody's here.
        let ours: HashSet<Uuid> = writes.iter().map(|write| write.id).chain(report.given.values().copied()).collect();
        let rows: Vec<usize> = (0..report.rows.rows()).filter(|row| ours.contains(&report.rows.id(*row))).collect();
        report.rows = report.rows.take(&rows);
        if let Ok(found) = found {
            report.rows.upsert(&found);
        }
    }
}

/// Returns an operation whose address is relative to the root of its batch.
pub(super) fn relative(root: &str, operation: &Operation) -> Operation {
    let url = operation.url.strip_prefix(root).unwrap_or(&operation.url).trim_start_matches('/').to_owned();
    Operation { url, ..operation.clone() }
}

/// Adds a report on the writes that follow.
fn append(report: &mut Report, next: Report) {
    report.outcomes.extend(next.outcomes);
    report.given.extend(next.given);
    report.rows.append(&next.rows);
}

/// Returns what a reply says about a write (erp-api.md §4, §10): NAV may leave the code of an error blank, and of another
/// service the code means nothing.
fn verdict(page: &Page, write: &Write, reply: &Reply) -> Verdict {
    let changes = write.kind != WriteKind::Insert;
    Verdict::of(reply.status, &reply.body, page.key(), |fault| match (fault.status, fault.code.as_str()) {
        (409, "Request_EntityChanged" | "") | (412, _) if changes => Some(Word::Stale),
        // The server's own deadlocks among them, which pass.
        (409, code) if changes && page.dialect != Dialect::Plain && code != SAME_KEY => Some(Word::Stale),
        (404, _) if changes => Some(Word::Gone),
        // What the login may not do, and what is put off, is not taken.
        (401 | 403 | 407 | 408 | 429, _) => None,
        // Whether it is there already, reading tells: only we give that id.
        (400..500, _) if !changes && matches!(page.info.key, Key::Id(_)) => Some(Word::Taken),
        // Whoever has a record with that key already: it is not proven to be ours.
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::client::tests::client;
    use crate::adapters::script::{Line, Script, say};
    use crate::config::Limits;
    use crate::frame::Value;
    use std::collections::BTreeMap;

    const ID: u128 = 0x1111_0000_0000_4000_8000_0000_0000_0001;

    /// Writes so many new records and a change with a service that says these things.
    fn written(key: Option<&str>, inserts: u128, answers: Vec<Line>) -> (String, Vec<String>) {
        let metadata = r#"<edmx:Edmx xmlns:edmx="x"><Schema><EntityType Name="t"><Key><PropertyRef Name="ID"/></Key>
            <Property Name="ID" Type="Edm.Guid"/><Property Name="Name" Type="Edm.String"/></EntityType>
            <EntityContainer><EntitySet Name="Ts" EntityType="N.t"/></EntityContainer></Schema></edmx:Edmx>"#;
        let lines = std::iter::once(say(200, metadata)).chain(answers).collect();
        let server = Script::play(lines);
        let login = Script::play(vec![say(200, r#"{"access_token":"t","expires_in":3599}"#)]);
        let (client, _) = client(&server.url, &login.url);
        let limits = Limits { concurrency: 2, requests: 1000, per_seconds: 300, batch: 1, page: 10 };
        let keys = key.iter().map(|key| ("Ts".to_owned(), (*key).to_owned())).collect();
        let service = Service::plain(client, limits, keys);
        let info = service.describe("Ts").unwrap();
        let write = |kind, id: u128| Write {
            kind,
            id: Uuid::from_u128(id),
            etag: None,
            fields: vec![("Name".into(), Value::Text("x".into()))],
        };
        let mut writes: Vec<Write> = (0..inserts).map(|number| write(WriteKind::Insert, ID + number)).collect();
        writes.push(write(WriteKind::Update, ID + inserts));
        let Report { outcomes, rows, .. } = service.write(&info, &["Name".into()], &writes);
        let word = |outcome: &Outcome| match outcome {
            Outcome::Written => "written".to_owned(),
            Outcome::Refused { message } => message.split(';').next().unwrap_or_default().to_owned(),
            Outcome::Unknown { .. } => "unknown".to_owned(),
            Outcome::NotSent { message } => message.split(" until").next().unwrap_or_default().to_owned(),
            other => format!("{other:?}"),
        };
        let told = outcomes.iter().map(word).collect::<Vec<_>>().join(", ");
        let method = |line: String| line.split(' ').next().unwrap_or_default().to_owned();
        let heard = server.heard().into_iter().skip(1).map(method).collect();
        (format!("{told} ({} rows)", rows.rows()), heard)
    }

    fn row(id: u128) -> String {
        format!(r#"{{"ID":"{}","Name":"x"}}"#, Uuid::from_u128(id))
    }

    #[test]
    fn a_service_that_gives_ids_itself_makes_one_record_and_no_more() {
        let page = |rows: &[String]| say(200, &format!(r#"{{"value":[{}]}}"#, rows.join(",")));
        let no = || say(400, r#"{"error":{"code":"","message":"no"}}"#);
        for (what, inserts, answers, told, heard) in [
            (
                "ours",
                2,
                vec![say(201, &row(ID)), say(201, &row(ID + 1)), say(200, &row(ID + 2))],
                "written, written, written (3 rows)",
                &["POST", "POST", "PATCH"][..],
            ),
            (
                "without a word",
                2,
                vec![say(204, ""), page(&[row(ID)]), say(204, ""), say(204, ""), page(&[row(ID + 1)])],
                "written, written, written (2 rows)",
                &["POST", "GET", "POST", "PATCH", "GET"],
            ),
            (
                "its own",
                2,
                vec![say(201, &row(7)), page(&[]), say(200, &row(ID + 2))],
                "the service gives `ID` itself, the service gives `ID` itself, written (1 rows)",
                &["POST", "GET", "PATCH"],
            ),
            (
                "the first refused, then its own",
                3,
                vec![no(), page(&[]), say(201, &row(7)), page(&[]), say(200, &row(ID + 3))],
                "no, the service gives `ID` itself, the service gives `ID` itself, written (1 rows)",
                &["POST", "GET", "POST", "GET", "PATCH"],
            ),
            (
                "the first refused, then ours",
                3,
                vec![no(), page(&[]), say(201, &row(ID + 1)), say(201, &row(ID + 2)), say(200, &row(ID + 3))],
                "no, written, written, written (3 rows)",
                &["POST", "GET", "POST", "POST", "PATCH"],
            ),
            (
                "the first lost",
                3,
                vec![say(504, ""), say(200, &row(ID + 3))],
                "unknown, it waits, it waits, written (1 rows)",
                &["POST", "PATCH"],
            ),
        ] {
            let (outcomes, requests) = written(Some("ID"), inserts, answers);
            assert_eq!(
                (outcomes.as_str(), requests.as_slice()),
                (told, heard.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>().as_slice()),
                "{what}"
            );
        }
    }

    /// A gateway that knows the address no more, or has people sign in, says nothing of a record (review of the adapters).
    #[test]
    fn what_stands_before_a_service_is_held_against_no_record() {
        let page = |status| Line::Say(status, "Content-Type: text/html\r\n", "<html>404 - Not Found</html>".into());
        let away = || Line::Say(302, "Location: https://login.corp.example/\r\n", "<html>moved</html>".into());
        let way = "Barred { message: \"the request was turned away on its way to the service: HTTP";
        for (what, answer, told) in [
            ("a page", page(404), format!("{way} 404 (a page of HTML, as a gateway or a sign-in page gives)")),
            ("a redirect", away(), format!("{way} 302 (it sends us on to https://login.corp.example:443")),
            ("a page for success", page(200), "unknown (0 rows)".to_owned()),
            ("no record", say(200, r#"{"message":"sign in"}"#), "unknown (0 rows)".to_owned()),
            ("nothing", say(200, ""), "unknown (0 rows)".to_owned()),
            ("an empty 404", say(404, ""), format!("{way} 404\"")),
            ("an empty 412", say(412, ""), "Stale (0 rows)".to_owned()),
        ] {
            let (outcomes, requests) = written(Some("ID"), 0, vec![answer]);
            assert!(outcomes.starts_with(&told), "{what}: {outcomes}");
            assert_eq!(requests, ["PATCH"], "{what}");
        }
    }

    /// Which requests two changes take, in the order in which they come, where a service has so much to say of batches.
    #[test]
    fn the_form_of_batches_is_found_out_once_and_without_harm() {
        let table = r#"<EntityType Name="t"><Key><PropertyRef Name="ID"/></Key><Property Name="ID" Type="Edm.String"/>
            <Property Name="Name" Type="Edm.String"/></EntityType>"#;
        let metadata = |told: &str| {
            let set = r#"<EntitySet Name="Ts" EntityType="N.t"/>"#;
            let container = format!("<EntityContainer>{set}{told}</EntityContainer>");
            say(200, &format!(r#"<edmx:Edmx xmlns:edmx="x"><Schema>{table}{container}</Schema></edmx:Edmx>"#))
        };
        let no = |status| say(status, r#"{"error":{"code":"","message":"no"}}"#);
        let page = || say(200, r#"{"value":[{"ID":"1","Name":"a"},{"ID":"2","Name":"b"}]}"#);
        let json = |statuses: &[u16]| {
            let reply = |(at, status): (usize, &u16)| format!(r#"{{"id":"{}","status":{status}}}"#, at + 1);
            let replies: Vec<String> = statuses.iter().enumerate().map(reply).collect();
            say(200, &format!(r#"{{"responses":[{}]}}"#, replies.join(",")))
        };
        let parts = |statuses: &[u16]| {
            let part =
                |status: &u16| format!("--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {status} X\r\n\r\n\r\n");
            let body = statuses.iter().map(part).collect::<String>() + "--b--\r\n";
            Line::Say(200, "Content-Type: multipart/mixed; boundary=b\r\n", body)
        };
        let term = |name: &str, what: &str| format!(r#"<Annotation Term="Org.OData.Capabilities.V1.{name}" {what}"#);
        let unsupported = term("BatchSupported", r#"Bool="false"/>"#);
        let formats =
            term("BatchSupport", "><Record><PropertyValue Property=\"SupportedFormats\"><Collection><String>")
                + "multipart/mixed</String></Collection></PropertyValue></Record></Annotation>";
        let stops =
            term("BatchSupport", "><Record><PropertyValue Property=\"ContinueOnErrorSupported\" Bool=\"false\"/>")
                + "</Record></Annotation>";
        let (written, alone) = ([204, 204], ["PATCH", "PATCH"]);
        for (what, told, answers, requests) in [
            ("in JSON", "", vec![json(&[404, 200]), json(&written), json(&written)], vec!["ask", "batch", "batch"]),
            (
                "in parts",
                "",
                vec![no(415), parts(&[404, 200]), parts(&written), parts(&written)],
                vec!["ask", "ask", "batch", "batch"],
            ),
            (
                "in parts, by its word",
                &formats,
                vec![parts(&[404, 200]), parts(&written), parts(&written)],
                vec!["ask", "batch", "batch"],
            ),
            ("it fails over it", "", vec![no(500)], [&["ask"][..], &alone, &alone].concat()),
            ("it knows none", "", vec![no(404)], [&["ask"][..], &alone, &alone].concat()),
            ("it stops at a failure", "", vec![json(&[404])], [&["ask"][..], &alone, &alone].concat()),
            ("it answers something", "", vec![page()], [&["ask"][..], &alone, &alone].concat()),
            ("it says that it takes none", &unsupported, vec![], [&alone[..], &alone].concat()),
            ("it says that it stops", &stops, vec![], [&alone[..], &alone].concat()),
        ] {
            let singles = (0..4).filter(|_| requests.contains(&"PATCH")).map(|_| say(204, ""));
            let lines = [metadata(told), page()].into_iter().chain(answers).chain(singles).collect();
            let server = Script::play(lines);
            let login = Script::play(vec![say(200, r#"{"access_token":"t","expires_in":3599}"#)]);
            let limits = Limits { concurrency: 2, requests: 1000, per_seconds: 300, batch: 100, page: 10 };
            let service = Service::plain(client(&server.url, &login.url).0, limits, BTreeMap::new());
            let info = service.describe("Ts").unwrap();
            let query = Query { info: &info, columns: vec!["Name".into()], filter: None, ids: None };
            let ids = service.read(&query, &|_| {}).unwrap().ids();
            let change = |id: Uuid| Write {
                kind: WriteKind::Update,
                id,
                etag: None,
                fields: vec![("Name".into(), Value::Text("x".into()))],
            };
            let writes: Vec<Write> = ids.into_iter().map(change).collect();
            for _ in 0..2 {
                let outcomes = service.write(&info, &[], &writes).outcomes;
                assert_eq!(outcomes, [Outcome::Written, Outcome::Written], "{what}");
            }
            let word = |line: &String| match line {
                line if line.contains(NOBODYS_TABLE) => "ask",
                line if line.starts_with("POST") => "batch",
                _ => "PATCH",
            };
            assert_eq!(server.heard().iter().skip(2).map(word).collect::<Vec<_>>(), requests, "{what}");
        }
    }

    #[test]
    fn replies_are_told_apart_even_where_nav_gives_no_code() {
        use WriteKind::{Delete, Insert, Update};
        let key = crate::endpoint::ColumnInfo::plain("No", crate::frame::Kind::Code);
        let info = TableInfo { table: "T".into(), key: Key::Values(vec!["No".into()]), columns: vec![key] };
        let page = |dialect| Page { info: info.clone(), dialect, directory: std::sync::Arc::default() };
        let (nav, plain) = (page(Dialect::BusinessCentral), page(Dialect::Plain));
        let busy = r#"{"error":{"code":"Busy","message":"m"}}"#;
        let write = |kind| Write { kind, id: Uuid::nil(), etag: None, fields: Vec::new() };
        let conflict = Reply { status: 409, headers: Vec::new(), body: busy.to_owned() };
        assert_eq!(verdict(&nav, &write(Update), &conflict), Verdict::Settled(Outcome::Stale));
        assert_eq!(verdict(&plain, &write(Update), &conflict), Verdict::refused("m (Busy)"), "nobody knows the code");
        for (kind, status, code, expected) in [
            (Update, 204, "", Verdict::Settled(Outcome::Written)),
            (Update, 200, "", Verdict::unknown("HTTP 200, and the answer shows no record")),
            (Update, 409, "", Verdict::Settled(Outcome::Stale)),
            (Update, 409, "Request_EntityChanged", Verdict::Settled(Outcome::Stale)),
            (Update, 412, "", Verdict::Settled(Outcome::Stale)),
            (Update, 409, "Internal_EntityWithSameKeyExists", Verdict::refused("m (Internal_EntityWithSameKeyExists)")),
            (Delete, 404, "", Verdict::Settled(Outcome::Gone)),
            (Update, 404, "BadRequest_ResourceNotFound", Verdict::barred("m (BadRequest_ResourceNotFound)")),
            (Insert, 400, "", Verdict::refused("m")),
            (Insert, 409, "", Verdict::refused("m")),
            (Insert, 400, "Internal_EntityWithSameKeyExists", Verdict::refused("m (Internal_EntityWithSameKeyExists)")),
            (Insert, 503, "", Verdict::not_sent("m")),
            (Insert, 504, "", Verdict::unknown("m")),
        ] {
            let body = format!(r#"{{"error":{{"code":"{code}","message":"m"}}}}"#);
            assert_eq!(
                verdict(&nav, &write(kind), &Reply { status, headers: Vec::new(), body }),
                expected,
                "{kind:?} {status} {code}"
            );
        }
    }
}
