//! Writes to the ERP: JSON batches with a condition on each change, and what their answers prove (erp-api.md §4 to §6).

use std::slice;

use crate::adapters::batch::{self, Batch, Form, Sent};
use crate::adapters::business_central::{BusinessCentral, Place, SAME_KEY, layout};
use crate::adapters::odata::batch_json::{Operation, Reply};
use crate::adapters::odata::{Dialect, value};
use crate::adapters::verdict::{Verdict, Word};
use crate::endpoint::{Report, TableInfo, Write, WriteKind};

/// Operations that one batch takes (erp-api.md §5).
pub(super) const BATCH_MAX: usize = 100;

impl BusinessCentral {
    /// Writes in one batch; what cannot be sent is told for each write.
    pub(super) fn write_records(&self, info: &TableInfo, columns: &[String], writes: &[Write]) -> Report {
        let prepared = self
            .place(&info.table)
            .and_then(|place| Ok((self.path(&place.set)?, layout(info, columns, &place.key)?, place)));
        let (path, layout, Place { api, key, .. }) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return batch::unsendable(info, columns, writes, &error),
        };
        let operations = writes.iter().map(|write| operation(&path, &key, info, write)).collect();
        let batch = Batch { endpoint: self, info, columns, writes, layout: &layout, closed: &self.closed };
        let url = format!("{}{api}", self.client.base());
        let post = |operations: &[Operation]| {
            let sent = batch::patiently(&self.client, operations, &|some| {
                batch::post_in_time(Form::Json, &self.client, &url, some, &|| self.batch_size.too_much(some.len()))
            });
            match &sent {
                Sent::TurnedAway(answer) if answer.status == 413 => self.batch_size.too_large(operations.len()),
                Sent::Told(told) if told.iter().any(Result::is_ok) => self.batch_size.went_well(operations.len()),
                Sent::TurnedAway(_) | Sent::Told(_) => {}
            }
            sent
        };
        let question = Operation {
            method: "GET",
            url: format!("{path}?$select={key}&$top=1"),
            if_match: None,
            body: String::new(),
        };
        let verdict = |write: &Write, reply: &Reply| verdict(slice::from_ref(&key), write, reply);
        batch::carry_out(&batch, operations, &question, &post, verdict, |reply| reply.body)
    }
}

/// Returns the request that a write is; the reason where it cannot be said on the wire.
fn operation(path: &str, key: &str, info: &TableInfo, write: &Write) -> Result<Operation, String> {
    let mut properties = Vec::with_capacity(write.fields.len() + 1);
    if write.kind == WriteKind::Insert {
        properties.push((key, value::string(&write.id.to_string())));
    }
    // The ERP validates properties in the order in which they come, so the caller's order is kept.
    for (name, new) in &write.fields {
        let column = info.column(name).ok_or_else(|| format!("there is no column `{name}`"))?;
        properties.push((name, value::json(Dialect::BusinessCentral, column, new)?));
    }
    let body = value::object(properties.iter().map(|(name, json)| (*name, json.as_str())));
    let etag = || Some(write.etag.clone().unwrap_or_else(|| "*".to_owned()));
    Ok(match write.kind {
        WriteKind::Insert => Operation { method: "POST", url: path.to_owned(), if_match: None, body },
        WriteKind::Update => {
            Operation { method: "PATCH", url: format!("{path}({})", write.id), if_match: etag(), body }
        }
        WriteKind::Delete => {
            let body = String::new();
            Operation { method: "DELETE", url: format!("{path}({})", write.id), if_match: etag(), body }
        }
    })
}

/// Returns what a reply says about a write (erp-api.md §4, §6).
fn verdict(key: &[String], write: &Write, reply: &Reply) -> Verdict {
    let changes = write.kind != WriteKind::Insert;
    Verdict::of(reply.status, &reply.body, key, |fault| match (fault.status, fault.code.as_str()) {
        (412, _) if changes => Some(Word::Stale),
        // The server's own deadlocks and the like among them, which pass.
        (409, code) if changes && code != SAME_KEY => Some(Word::Stale),
        (404, _) if changes => Some(Word::Gone),
        (_, SAME_KEY) if !changes => Some(Word::Taken),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use uuid::Uuid;

    use super::*;
    use crate::adapters::client::tests::client;
    use crate::adapters::script::{Script, say};
    use crate::config::Limits;
    use crate::endpoint::{Endpoint, Outcome};
    use crate::frame::Value;

    #[test]
    fn replies_are_told_apart_by_code_and_not_by_status_alone() {
        use WriteKind::{Delete, Insert, Update};
        let refused = |message: &str| Verdict::refused(message);
        for (kind, status, code, expected) in [
            (Update, 204, "", Verdict::Settled(Outcome::Written)),
            (Update, 409, "Application_DatabaseDeadlock", Verdict::Settled(Outcome::Stale)),
            (Update, 409, "Request_EntityChanged", Verdict::Settled(Outcome::Stale)),
            (Update, 412, "Request_EntityChanged", Verdict::Settled(Outcome::Stale)),
            (Update, 409, "Internal_EntityWithSameKeyExists", refused("m (Internal_EntityWithSameKeyExists)")),
            (Update, 404, "Internal_RecordNotFound", Verdict::Settled(Outcome::Gone)),
            (Update, 404, "BadRequest_ResourceNotFound", Verdict::barred("m (BadRequest_ResourceNotFound)")),
            (Update, 404, "Internal_CompanyNotFound", Verdict::barred("m (Internal_CompanyNotFound)")),
            (Delete, 204, "", Verdict::Settled(Outcome::Written)),
            (Delete, 409, "Request_EntityChanged", Verdict::Settled(Outcome::Stale)),
            (Delete, 404, "BadRequest_NotFound", Verdict::Settled(Outcome::Gone)),
            (Delete, 404, "BadRequest_ResourceNotFound", Verdict::barred("m (BadRequest_ResourceNotFound)")),
            (Delete, 400, "Application_DialogException", refused("m (Application_DialogException)")),
            (Delete, 504, "", Verdict::unknown("m")),
            (Insert, 404, "BadRequest_NotFound", refused("m (BadRequest_NotFound)")),
            (
                Insert,
                400,
                "Internal_EntityWithSameKeyExists",
                Verdict::Duplicate("m (Internal_EntityWithSameKeyExists)".into()),
            ),
            (Insert, 400, "Application_DialogException", refused("m (Application_DialogException)")),
            (Insert, 429, "", Verdict::not_sent("m")),
            (Insert, 503, "", Verdict::not_sent("m")),
            (Insert, 504, "", Verdict::unknown("m")),
            (Update, 500, "Internal_ServerError", Verdict::unknown("m (Internal_ServerError)")),
        ] {
            let write = Write { kind, id: Uuid::nil(), etag: None, fields: Vec::new() };
            let body = format!(r#"{{"error":{{"code":"{code}","message":"m  CorrelationId:  1."}}}}"#);
            let found = verdict(&["id".to_owned()], &write, &Reply { status, headers: Vec::new(), body });
            assert_eq!(found, expected, "{kind:?} {status} {code}");
        }
    }

    /// What a batch can come back as (erp-api.md §5). A write that is not answered for stays open: whoever reads its record
    /// tells whether it arrived.
    #[test]
    fn a_batch_says_of_each_write_no_more_than_its_answer_does() {
        let metadata = r#"<edmx:Edmx xmlns:edmx="x"><Schema><EntityType Name="item"><Key><PropertyRef Name="id"/></Key>
            <Property Name="id" Type="Edm.Guid"/><Property Name="displayName" Type="Edm.String" MaxLength="100"/></EntityType>
            <EntityContainer><EntitySet Name="items" EntityType="N.item"/></EntityContainer></Schema></edmx:Edmx>"#;
        let companies =
            r#"{"value":[{"id":"5b1e0c52-7a44-ef11-8e52-6045bd2b1a01","name":"CRONUS","displayName":"CRONUS"}]}"#;
        let refusal = r#"{"error":{"code":"Application_DialogException","message":"No.  CorrelationId:  1."}}"#;
        let answered = |parts: &[&str]| format!(r#"{{"responses":[{}]}}"#, parts.join(","));
        let good = |id: &str| format!(r#"{{"id":{id},"status":200,"headers":{{}},"body":{{"id":"x"}}}}"#);
        let page = r#"{"id":"1","status":200,"headers":{},"body":"<html>"}"#;
        let bad = |id: &str, status: u16| format!(r#"{{"id":{id},"status":{status},"headers":{{}},"body":{refusal}}}"#);
        let (first, second, failed) = (good("\"1\""), good("\"2\""), bad("\"1\"", 400));
        let (busy, slow) = (bad("\"2\"", 429), bad("\"2\"", 504));
        for (what, status, body, expected) in [
            ("in another order", 200, answered(&[&second, &first]), "written, written"),
            ("a page in place of a record", 200, answered(&[page, &second]), "unknown, written"),
            ("one fails", 200, answered(&[&second, &failed]), "refused, written"),
            ("it ends at the first failure", 200, answered(&[&failed]), "refused, unknown"),
            ("nothing is answered for", 200, answered(&[]), "unknown, unknown"),
            ("no ids", 200, answered(&[&good("null"), &good("null")]), "unknown, unknown"),
            ("an id twice", 200, answered(&[&first, &first]), "unknown, unknown"),
            ("a number for an id", 200, answered(&[&good("1"), &second]), "unknown, unknown"),
            ("throttled inside", 200, answered(&[&first, &busy]), "written, not sent"),
            ("out of time inside", 200, answered(&[&first, &slow]), "written, unknown"),
            ("cut", 200, "{\"responses\":[".to_owned(), "unknown, unknown"),
            ("too many operations", 500, refusal.to_owned(), "unknown, unknown"),
            ("no rights", 403, refusal.to_owned(), "barred, barred"),
        ] {
            // What is put off is put off to the end.
            let still_busy = || say(200, &answered(&[&bad("\"1\"", 429)]));
            let lines = vec![say(200, metadata), say(200, companies), say(status, &body), still_busy(), still_busy()];
            let server = Script::play(lines);
            let login = Script::play(vec![say(200, r#"{"access_token":"t","expires_in":3599}"#)]);
            let (client, _) = client(&server.url, &login.url);
            let limits = Limits { concurrency: 2, requests: 1000, per_seconds: 300, batch: 500, page: 10 };
            let erp = BusinessCentral::new(client, "CRONUS".into(), limits, BTreeMap::new());
            assert_eq!(erp.batch_max(), BATCH_MAX, "the 101st operation would cost the whole batch");
            let info = erp.describe("items").unwrap();
            let write = |id: u128| Write {
                kind: WriteKind::Update,
                id: Uuid::from_u128(id),
                etag: Some("W/\"1\"".into()),
                fields: vec![("displayName".into(), Value::Text("x".into()))],
            };
            let report = erp.write(&info, &[], &[write(1), write(2)]);
            let word = |outcome: &Outcome| match outcome {
                Outcome::Written => "written",
                Outcome::Refused { .. } => "refused",
                Outcome::NotSent { .. } => "not sent",
                Outcome::Barred { .. } => "barred",
                Outcome::Unknown { .. } => "unknown",
                _ => "else",
            };
            let words: Vec<&str> = report.outcomes.iter().map(word).collect();
            assert_eq!(words.join(", "), expected, "{what}");
        }
    }
}
