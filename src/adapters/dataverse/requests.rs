//! Writes to Dataverse as requests of a batch, and what their replies say; questions that go as one batch.
//!
//! In go a table and a write, out comes one request: lookups by navigation property, a condition on every update. In go the
//! parts of an answer, out come replies by position and a verdict for each (crm-api.md §4, §9, §11). Writes are not sent
//! here.

use crate::adapters::batch::{Replied, answered};
use crate::adapters::client::Client;
use crate::adapters::dataverse::states::STATE;
use crate::adapters::definitions::CrmTable;
use crate::adapters::http::Answer;
use crate::adapters::odata::amiss::Amiss;
use crate::adapters::odata::batch_multipart::{self, Operation, Reply, Section};
use crate::adapters::odata::fault::Fault;
use crate::adapters::odata::{Dialect, value};
use crate::adapters::verdict::{Verdict, Word};
use crate::endpoint::{EndpointError, Write, WriteKind};
use crate::frame::Value;

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

/// Returns the path of an address, without its end slash; request lines of a batch begin with it.
pub fn path_of(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    url[after_scheme..].find('/').map_or("", |at| &url[after_scheme + at..])
}

/// Makes one request of a batch.
pub fn operation(root: &str, table: &CrmTable, select: &str, write: &Write) -> Result<Operation, String> {
    let is_insert = write.kind == WriteKind::Insert;
    let properties = properties(table, write)?;
    let body = value::object(properties.iter().map(|(name, json)| (name.as_str(), json.as_str())));
    let set = &table.info.table;
    let if_match = || ("If-Match", write.etag.clone().unwrap_or_else(|| "*".to_owned()));
    if write.kind == WriteKind::Delete {
        let path = format!("{root}/{set}({})", write.id);
        return Ok(Operation { method: "DELETE", path, headers: vec![if_match()], body: String::new() });
    }
    // The record as it is afterwards, with its new version: saves reading it back.
    let mut headers = vec![("Prefer", "return=representation".to_owned())];
    let (method, row) = if is_insert {
        ("POST", String::new())
    } else {
        // Without a condition a PATCH to a missing record would create it (crm-api.md §9).
        headers.push(if_match());
        ("PATCH", format!("({})", write.id))
    };
    Ok(Operation { method, path: format!("{root}/{set}{row}?$select={select}"), headers, body })
}

/// Returns what a write says of its record: properties and their JSON, for an insert the key among them, and not the state,
/// over which a creation passes.
pub fn properties(table: &CrmTable, write: &Write) -> Result<Vec<(String, String)>, String> {
    let is_insert = write.kind == WriteKind::Insert;
    let mut properties: Vec<(String, String)> = Vec::with_capacity(write.fields.len() + 1);
    if is_insert {
        properties.push((table.key.clone(), value::string(&write.id.to_string())));
    }
    for (name, new) in &write.fields {
        let column = table.info.column(name).ok_or_else(|| format!("there is no column `{name}`"))?;
        if is_insert && name == STATE {
            continue;
        }
        match table.lookups.get(name) {
            // A new record's lookups are blank, or the service's default, which null would be refused for.
            Some(_) if is_insert && new.is_blank() => {}
            Some(targets) => properties.push(lookup(name, targets, new)?),
            None => properties.push((name.clone(), value::json(Dialect::Dataverse, column, new)?)),
        }
    }
    Ok(properties)
}

/// Writes a lookup: by the navigation property that leads to the value's table, or null by any of its own. A bind to
/// null is ignored or refused by the service, so it is never sent (crm-api.md §9).
fn lookup(name: &str, targets: &[(String, String)], value: &Value) -> Result<(String, String), String> {
    let navigation = |set: Option<&str>| {
        let found = targets.iter().find(|(target, _)| set.is_none_or(|set| set == target));
        found.ok_or_else(|| match set {
            Some(set) => format!("lookup `{name}` cannot point to `{set}`"),
            None => format!("lookup `{name}` cannot be written: its navigation property is unknown"),
        })
    };
    let (set, id) = match value {
        value if value.is_blank() => return Ok((navigation(None)?.1.clone(), "null".to_owned())),
        Value::Link { table, id } => (Some(table.as_str()), *id),
        Value::Guid(id) if targets.len() == 1 => (None, *id),
        Value::Guid(_) => return Err(format!("lookup `{name}` points to several tables; say which by `ref`")),
        other => return Err(format!("`{other}` is no record for lookup `{name}`")),
    };
    let (set, navigation) = navigation(set)?;
    Ok((format!("{navigation}@odata.bind"), value::string(&format!("/{set}({id})"))))
}

/// Matches sections to parts by position: `sizes` are the operations of each, one for what is no change set. A part
/// without section was not carried out where an error ended the batch, and is unknown otherwise (crm-api.md §11).
pub fn by_position(sections: Vec<Section>, sizes: &[usize], success: bool) -> Vec<Result<Reply, Verdict>> {
    if sections.len() > sizes.len() {
        return vec![Err(Verdict::unknown("the answer to the batch has too many parts")); sizes.len()];
    }
    let mut replies: Vec<Result<Reply, Verdict>> =
        sections.into_iter().zip(sizes).map(|(section, size)| reply_of(section, *size)).collect();
    let stopped = !success && matches!(replies.last(), Some(Ok(reply)) if reply.status >= 400);
    replies.resize_with(sizes.len(), || {
        Err(match stopped {
            true => Verdict::not_sent("an earlier failure ended the batch"),
            false => Verdict::unknown("the answer to the batch does not mention it"),
        })
    });
    replies
}

/// Returns the reply that stands for a part. A change set fails in one of two forms: by an error of its own, or by the
/// error of one operation; where all were carried out, the last one says what the record is then.
fn reply_of(section: Section, size: usize) -> Result<Reply, Verdict> {
    match section {
        Section::Single(reply) if size == 1 || reply.status >= 400 => Ok(reply),
        Section::ChangeSet(_) if size == 1 => {
            Err(Verdict::unknown("the answer to the batch has a change set where none was sent"))
        }
        Section::ChangeSet(replies) => match replies.iter().position(|reply| reply.status >= 400) {
            Some(at) => replies.into_iter().nth(at),
            None if replies.len() == size => replies.into_iter().next_back(),
            None => None,
        }
        .ok_or_else(|| Verdict::unknown("the answer to the batch does not tell what became of a change set")),
        Section::Single(_) => {
            Err(Verdict::unknown("the answer to the batch does not tell what became of a change set"))
        }
    }
}

/// Asks the questions at these paths in one batch, which is its address and its headers, and returns the bodies of their
/// answers, all of them or an error.
///
/// `None` where the service does not take the batch, or refuses one of the questions: it says why when it is asked alone.
/// Where one was throttled, or where `whole` finds something missing in a body, all of them are asked again.
pub fn ask(
    client: &Client,
    batch: &(String, Vec<(&'static str, String)>),
    paths: Vec<String>,
    headers: &[(&'static str, String)],
    whole: impl Fn(&str) -> Result<(), Amiss>,
) -> Result<Option<Vec<String>>, EndpointError> {
    let operations = questions(paths, headers);
    let (url, batch_headers) = batch;
    let body = batch_multipart::build(&operations);
    let (_, bodies) = client.ask(url, batch_headers, body.as_bytes(), |answer| {
        let replies = replies(answer, operations.len())?;
        if replies.iter().any(|reply| reply.status >= 300) {
            return Ok(None);
        }
        replies.iter().try_for_each(|reply| whole(&reply.body))?;
        Ok(Some(replies.into_iter().map(|reply| reply.body).collect()))
    })?;
    Ok(bodies.flatten())
}

/// Asks as [`ask`] does, and returns what was said of each question, be it a success.
pub fn ask_each(
    client: &Client,
    batch: &(String, Vec<(&'static str, String)>),
    paths: Vec<String>,
    headers: &[(&'static str, String)],
) -> Result<Option<Vec<Fault>>, EndpointError> {
    let operations = questions(paths, headers);
    let (url, batch_headers) = batch;
    let body = batch_multipart::build(&operations);
    let (_, faults) = client.ask(url, batch_headers, body.as_bytes(), |answer| {
        let replies = replies(answer, operations.len())?;
        Ok(replies.iter().map(|reply| Fault::read(reply.status, reply.body.as_bytes())).collect())
    })?;
    Ok(faults)
}

fn questions(paths: Vec<String>, headers: &[(&'static str, String)]) -> Vec<Operation> {
    paths.into_iter().map(|path| question(path, headers)).collect()
}

/// Makes a request that changes nothing.
pub fn question(path: String, headers: &[(&'static str, String)]) -> Operation {
    Operation { method: "GET", path, headers: headers.to_vec(), body: String::new() }
}

/// Returns the replies to so many questions; an error where one is missing or was put off.
fn replies(answer: &Answer, count: usize) -> Result<Vec<Reply>, Amiss> {
    let content_type = answer.header("content-type").unwrap_or_default();
    let sections = batch_multipart::parse(content_type, &answer.body).map_err(Amiss::Broken)?;
    let replies: Vec<Reply> = by_position(sections, &vec![1; count], true).into_iter().filter_map(Result::ok).collect();
    if replies.len() != count {
        return Err(Amiss::Broken("the answer to the batch is not whole".to_owned()));
    }
    answered(&replies)?;
    Ok(replies)
}

/// Returns what a reply says about a write (crm-api.md §4, §9); `key` is what a record is known by, nothing where none comes.
pub fn verdict(key: &[String], write: &Write, reply: &Reply) -> Verdict {
    let changes = write.kind != WriteKind::Insert;
    Verdict::of(reply.status, &reply.body, key, |fault| match (fault.status, fault.code.as_str()) {
        (400.., "0x80040237" | "0x80060892") if !changes => Some(Word::Taken),
        // The vendor's own sample has no code here.
        (412, "" | "0x0") if !changes => Some(Word::Taken),
        (412, "0x80060882" | "" | "0x0") if changes => Some(Word::Stale),
        (404, _) if changes && names_record(&fault.message, write) => Some(Word::Gone),
        _ => None,
    })
}

/// Tells whether a "does not exist" speaks of the record itself and not of one that a lookup was to point to.
fn names_record(message: &str, write: &Write) -> bool {
    // What a deletion does not find must be the record itself: on that rests that it is gone.
    let links = write.kind == WriteKind::Delete
        || write.fields.iter().any(|(_, value)| matches!(value, Value::Link { .. } | Value::Guid(_)));
    !links || message.to_ascii_lowercase().contains(&write.id.to_string())
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::collections::HashMap;

    use uuid::Uuid;

    use crate::endpoint::{ColumnInfo, Outcome, TableInfo};
    use crate::frame::Kind;

    pub fn contacts() -> CrmTable {
        let column = |name: &str, kind: Kind| ColumnInfo::plain(name, kind);
        let targets = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(set, navigation)| ((*set).to_owned(), (*navigation).to_owned())).collect::<Vec<_>>()
        };
        let customer = [("accounts", "parentcustomerid_account"), ("contacts", "parentcustomerid_contact")];
        CrmTable {
            info: TableInfo {
                key: crate::endpoint::Key::Id("contactid".into()),
                table: "contacts".into(),
                columns: vec![
                    column("contactid", Kind::Guid),
                    column("lastname", Kind::Text),
                    column("parentcustomerid", Kind::Guid),
                    column("transactioncurrencyid", Kind::Guid),
                    column("statecode", Kind::Choice),
                    column("statuscode", Kind::Choice),
                ],
            },
            name: "contact".into(),
            key: "contactid".into(),
            lookups: HashMap::from([
                ("parentcustomerid".to_owned(), targets(&customer)),
                ("transactioncurrencyid".to_owned(), targets(&[("transactioncurrencies", "transactioncurrencyid")])),
            ]),
            versioned: true,
            starts_in: Some(0),
        }
    }

    pub fn write(kind: WriteKind, fields: &[(&str, Value)]) -> Write {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Write { kind, id: Uuid::from_u128(7), etag: None, fields }
    }

    pub fn link(table: &str) -> Value {
        Value::Link { table: table.into(), id: Uuid::from_u128(1) }
    }

    #[test]
    fn writes_become_requests() {
        use WriteKind::{Delete, Insert, Update};
        let mut stale = write(Update, &[("lastname", Value::Null)]);
        stale.etag = Some("W/\"1\"".into());
        let blanks = [("parentcustomerid", Value::Null), ("transactioncurrencyid", Value::Null)];
        let insert = write(
            Insert,
            &[("lastname", Value::Text("Falk".into())), ("parentcustomerid", link("accounts")), blanks[1].clone()],
        );
        let requests: Vec<String> = [insert, write(Update, &blanks), stale, write(Delete, &[])]
            .iter()
            .map(|write| operation("/org/api/data/v9.2", &contacts(), "contactid,lastname", write).unwrap())
            .map(|operation| {
                format!("{} {}\n{:?}\n{}", operation.method, operation.path, operation.headers, operation.body)
            })
            .collect();
        insta::assert_snapshot!(requests.join("\n\n"), @r#"
        POST /org/api/data/v9.2/contacts?$select=contactid,lastname
        [("Prefer", "return=representation")]
        {"contactid":"00000000-0000-0000-0000-000000000007","lastname":"Falk","parentcustomerid_account@odata.bind":"/accounts(00000000-0000-0000-0000-000000000001)"}

        PATCH /org/api/data/v9.2/contacts(00000000-0000-0000-0000-000000000007)?$select=contactid,lastname
        [("Prefer", "return=representation"), ("If-Match", "*")]
        {"parentcustomerid_account":null,"transactioncurrencyid":null}

        PATCH /org/api/data/v9.2/contacts(00000000-0000-0000-0000-000000000007)?$select=contactid,lastname
        [("Prefer", "return=representation"), ("If-Match", "W/\"1\"")]
        {"lastname":null}

        DELETE /org/api/data/v9.2/contacts(00000000-0000-0000-0000-000000000007)
        [("If-Match", "*")]
        "#);
    }

    #[test]
    fn a_lookup_that_cannot_be_written_is_named() {
        let customer = contacts().lookups["parentcustomerid"].clone();
        for (targets, value, expected) in [
            (&customer[..], link("teams"), "lookup `x` cannot point to `teams`"),
            (&customer[..], Value::Guid(Uuid::nil()), "lookup `x` points to several tables; say which by `ref`"),
            (&customer[..], Value::Text("10".into()), "`10` is no record for lookup `x`"),
            (&[], Value::Null, "lookup `x` cannot be written: its navigation property is unknown"),
        ] {
            assert_eq!(lookup("x", targets, &value), Err(expected.to_owned()));
        }
        let bound = lookup("x", &customer[1..], &Value::Guid(Uuid::nil())).unwrap();
        assert_eq!(bound.0, "parentcustomerid_contact@odata.bind");
    }

    #[test]
    fn replies_are_told_apart_by_code_and_not_by_status_alone() {
        use WriteKind::{Delete, Insert, Update};
        let own = "contact With Id = 00000000-0000-0000-0000-000000000007 Does Not Exist";
        let other = "account With Id = 00000000-0000-0000-0000-000000000001 Does Not Exist";
        let linked = [("parentcustomerid", link("accounts"))];
        for (kind, fields, status, code, message, expected) in [
            (Update, &[][..], 204, "", "", Verdict::Settled(Outcome::Written)),
            (Update, &[], 412, "0x80060882", "m", Verdict::Settled(Outcome::Stale)),
            (Update, &[], 412, "0x80060892", "m", Verdict::refused("m (0x80060892)")),
            (Update, &[], 404, "0x80040217", own, Verdict::Settled(Outcome::Gone)),
            (Update, &linked, 404, "0x80040217", own, Verdict::Settled(Outcome::Gone)),
            (Update, &linked, 404, "0x80040217", other, Verdict::refused(format!("{other} (0x80040217)"))),
            (Delete, &[], 204, "", "", Verdict::Settled(Outcome::Written)),
            (Delete, &[], 412, "0x80060882", "m", Verdict::Settled(Outcome::Stale)),
            (Delete, &[], 404, "0x80040217", own, Verdict::Settled(Outcome::Gone)),
            (Delete, &[], 404, "0x8006088a", own, Verdict::barred(format!("{own} (0x8006088a)"))),
            (
                Update,
                &[],
                404,
                "",
                "",
                Verdict::barred("the request was turned away on its way to the service: HTTP 404"),
            ),
            (Delete, &[], 405, "0x80040227", "m", Verdict::refused("m (0x80040227)")),
            (Insert, &linked, 404, "0x80040217", other, Verdict::refused(format!("{other} (0x80040217)"))),
            (Insert, &[], 412, "0x80040237", "m", Verdict::Duplicate("m (0x80040237)".into())),
            (Insert, &[], 500, "0x80040237", "m", Verdict::Duplicate("m (0x80040237)".into())),
            (Insert, &[], 412, "0x80060892", "m", Verdict::Duplicate("m (0x80060892)".into())),
            (Insert, &[], 412, "", "m", Verdict::Duplicate("m".into())),
            (Insert, &[], 400, "0x80044331", "m", Verdict::refused("m (0x80044331)")),
            (Update, &[], 429, "0x80072322", "m", Verdict::not_sent("m (0x80072322)")),
            (Update, &[], 500, "0x80044151", "m", Verdict::unknown("m (0x80044151)")),
        ] {
            let body = format!(r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#);
            let reply = Reply { status, headers: Vec::new(), body };
            assert_eq!(
                verdict(&["contactid".to_owned()], &write(kind, fields), &reply),
                expected,
                "{kind:?} {status} {code} {message}"
            );
        }
    }

    #[test]
    fn paths_begin_after_the_host() {
        for (url, path) in
            [("https://crm.example", ""), ("https://crm.example/org", "/org"), ("http://[::1]:80/a/b", "/a/b")]
        {
            assert_eq!(path_of(url), path);
        }
    }

    #[test]
    fn parts_are_matched_by_position_and_missing_ones_are_not_guessed() {
        let single = |status| Section::Single(Reply { status, headers: Vec::new(), body: String::new() });
        let short = |sections: Vec<Section>, success| -> Vec<String> {
            by_position(sections, &[1; 3], success)
                .into_iter()
                .map(|reply| match reply {
                    Ok(reply) => reply.status.to_string(),
                    Err(Verdict::Settled(Outcome::NotSent { .. })) => "not sent".to_owned(),
                    Err(_) => "unknown".to_owned(),
                })
                .collect()
        };
        assert_eq!(short(vec![single(204), single(404), single(204)], true), ["204", "404", "204"]);
        assert_eq!(short(vec![single(204), single(404)], false), ["204", "404", "not sent"]);
        assert_eq!(short(vec![single(204), single(404)], true), ["204", "404", "unknown"]);
        assert_eq!(short(vec![single(204)], false), ["204", "unknown", "unknown"]);
        assert_eq!(short(vec![single(204), Section::ChangeSet(Vec::new())], true), ["204", "unknown", "unknown"]);
        assert_eq!(short((0..4).map(|_| single(204)).collect(), true), ["unknown"; 3]);
    }

    #[test]
    fn a_change_set_is_one_reply() {
        let reply = |status, body: &str| Reply { status, headers: Vec::new(), body: body.to_owned() };
        let set = |replies: &[Reply]| Section::ChangeSet(replies.to_vec());
        for (section, expected) in [
            (set(&[reply(201, "a"), reply(200, "b")]), Some((200, "b"))),
            (set(&[reply(400, "why")]), Some((400, "why"))),
            (set(&[reply(201, "a"), reply(400, "why")]), Some((400, "why"))),
            (Section::Single(reply(412, "why")), Some((412, "why"))),
            (Section::Single(reply(201, "a")), None),
            (set(&[reply(201, "a")]), None),
            (set(&[]), None),
        ] {
            let found = by_position(vec![section.clone()], &[2], true).remove(0).ok();
            let found = found.map(|reply| (reply.status, reply.body));
            assert_eq!(found, expected.map(|(status, body)| (status, body.to_owned())), "{section:?}");
        }
    }
}
