//! `CreateMultiple`: many new records of one table in one request, all of them or none (crm-api.md §13).
//!
//! In go writes, out comes the body to post; in goes an answer, out comes what it says about all of them. It is used for
//! inserts only. `UpdateMultiple` takes no condition on its targets, so an edit that somebody made since we read the
//! record would be overwritten unseen (I6); updates stay in batches, each with its `If-Match`. Nothing is sent here.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use uuid::Uuid;

use crate::adapters::client::PostError;
use crate::adapters::dataverse::requests::properties;
use crate::adapters::definitions::{self, CrmTable};
use crate::adapters::http::Answer;
use crate::adapters::odata::{percent, value};
use crate::endpoint::{Outcome, Write, WriteKind};

/// The name of the message, as an address and the service's own tables have it.
pub const MESSAGE: &str = "CreateMultiple";
/// Fewer inserts than this are no gain: a batch answers with the records, and here they are read back by one request more.
pub const RECORDS_MIN: usize = 100;
/// Refused messages after which a table goes without them: each is sent once more, record by record.
const REFUSALS_MAX: u32 = 3;

/// Which tables have the message, as far as it was asked, by logical name.
#[derive(Default)]
pub struct Availability {
    tables: Mutex<HashMap<String, Standing>>,
}

#[derive(Clone, Copy)]
struct Standing {
    has_it: bool,
    refused: u32,
}

/// A table that has a message, among the service's own records.
#[derive(Deserialize)]
struct MessageFilter {
    #[serde(rename = "primaryobjecttypecode")]
    table: String,
}

#[derive(Deserialize)]
struct Made {
    #[serde(rename = "Ids")]
    ids: Vec<String>,
}

/// What an answer says.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// The same about every record.
    All(Outcome),
    /// Nothing was made, because of one record or because there is no such message: another way has to be found.
    Refused,
}

impl Availability {
    /// Tells whether a table has the message; `ask` learns it of all the tables named at once where it is not known yet.
    ///
    /// Where the service does not say, no table has it: the other way always works.
    pub fn of(&self, table: &str, all: &[String], ask: impl FnOnce(&str) -> Option<Vec<u8>>) -> bool {
        // Held while asking, so that two threads do not ask for the same.
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        if !tables.contains_key(table) {
            let unknown: Vec<&str> =
                all.iter().map(String::as_str).filter(|name| !tables.contains_key(*name)).collect();
            let answer = ask(&question(&unknown)).unwrap_or_default();
            let found: HashSet<String> = definitions::list::<MessageFilter>(&answer)
                .map(|filters| filters.into_iter().map(|filter| filter.table).collect())
                .unwrap_or_default();
            let standing = |name: &str| Standing { has_it: found.contains(name), refused: 0 };
            tables.extend(unknown.into_iter().map(|name| (name.to_owned(), standing(name))));
        }
        tables.get(table).is_some_and(|standing| standing.has_it && standing.refused < REFUSALS_MAX)
    }

    /// Notes that a message was refused.
    pub fn refused(&self, table: &str) {
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.entry(table.to_owned()).and_modify(|standing| standing.refused += 1);
    }
}

/// Asks which of these tables have the message.
fn question(tables: &[&str]) -> String {
    let terms: Vec<String> = tables.iter().map(|table| format!("primaryobjecttypecode eq '{table}'")).collect();
    let filter = format!("sdkmessageid/name eq '{MESSAGE}' and ({})", terms.join(" or "));
    format!("sdkmessagefilters?$select=sdkmessagefilterid,primaryobjecttypecode&$filter={}", percent::query(&filter))
}

/// Cuts writes where one way of sending them ends and another may begin; their order stays, since one may need another.
pub fn runs(writes: &[Write]) -> impl Iterator<Item = &[Write]> {
    writes.chunk_by(|one, next| (one.kind == WriteKind::Insert) == (next.kind == WriteKind::Insert))
}

/// Tells whether a run of writes is for the message.
pub fn suits(run: &[Write]) -> bool {
    run.len() >= RECORDS_MIN && run.iter().all(|write| write.kind == WriteKind::Insert)
}

/// Makes the target of one write.
pub fn target(table: &CrmTable, write: &Write) -> Result<String, String> {
    let mut target = vec![("@odata.type".to_owned(), value::string(&format!("Microsoft.Dynamics.CRM.{}", table.name)))];
    target.extend(properties(table, write)?);
    Ok(value::object(target.iter().map(|(name, json)| (name.as_str(), json.as_str()))))
}

/// Makes the body of a message.
pub fn body(targets: &[String]) -> String {
    format!(r#"{{"Targets":[{}]}}"#, targets.join(","))
}

/// Reads the answer to a message that was to make these records.
pub fn said(ids: &[Uuid], answer: &Result<Answer, PostError>) -> Said {
    let unknown = |message: String| Outcome::Unknown { message };
    Said::All(match answer {
        Err(PostError::NotSent(message)) => Outcome::NotSent { message: message.clone() },
        Err(PostError::Unknown(message) | PostError::Overtaxed(message)) => unknown(message.clone()),
        Ok(answer) if answer.is_success() => match serde_json::from_slice::<Made>(&answer.body) {
            Ok(made) if made.ids.iter().map(|id| Uuid::try_parse(id).ok()).eq(ids.iter().copied().map(Some)) => {
                Outcome::Written
            }
            _ => unknown("the answer does not name the records that were to be made".to_owned()),
        },
        // All or nothing: whatever was wrong, no record of it is there.
        Ok(answer) if (400..500).contains(&answer.status) => return Said::Refused,
        Ok(answer) => unknown(answer.fault().to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::dataverse::requests::tests::{contacts, link, write};
    use crate::frame::Value;

    #[test]
    fn new_records_become_targets() {
        let fields = [("lastname", Value::Text("Falk \"x\"".into())), ("parentcustomerid", link("accounts"))];
        let targets = [target(&contacts(), &write(WriteKind::Insert, &fields)).unwrap(), "{}".to_owned()];
        insta::assert_snapshot!(body(&targets), @r#"{"Targets":[{"@odata.type":"Microsoft.Dynamics.CRM.contact","contactid":"00000000-0000-0000-0000-000000000007","lastname":"Falk \"x\"","parentcustomerid_account@odata.bind":"/accounts(00000000-0000-0000-0000-000000000001)"},{}]}"#);
        assert!(target(&contacts(), &write(WriteKind::Insert, &[("nonsense", Value::Null)])).is_err());
    }

    #[test]
    fn an_answer_speaks_of_all_records_or_of_none() {
        let ids = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let answer = |status: u16, body: &str| Ok(Answer { status, headers: Vec::new(), body: body.into() });
        let made = |numbers: &[u128]| {
            let ids: Vec<String> = numbers.iter().map(|id| format!("\"{}\"", Uuid::from_u128(*id))).collect();
            format!(r#"{{"@odata.context":"x","Ids":[{}]}}"#, ids.join(","))
        };
        let unknown = |message: &str| Said::All(Outcome::Unknown { message: message.into() });
        let unnamed = || unknown("the answer does not name the records that were to be made");
        for (answer, expected) in [
            (answer(200, &made(&[1, 2])), Said::All(Outcome::Written)),
            (answer(200, &made(&[2, 1])), unnamed()),
            (answer(200, &made(&[1])), unnamed()),
            (answer(200, "<html>"), unnamed()),
            (answer(400, r#"{"error":{"code":"0x80044331","message":"m"}}"#), Said::Refused),
            (answer(404, ""), Said::Refused),
            (answer(501, ""), unknown("HTTP 501")),
            (Err(PostError::NotSent("m".into())), Said::All(Outcome::NotSent { message: "m".into() })),
            (Err(PostError::Unknown("m".into())), unknown("m")),
        ] {
            assert_eq!(said(&ids, &answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn inserts_are_sent_together_and_the_order_stays() {
        use WriteKind::{Delete, Insert, Update};
        let kinds = [Update, Insert, Insert, Delete, Update, Insert];
        let writes: Vec<Write> = kinds.iter().map(|kind| write(*kind, &[])).collect();
        let lengths = |writes: &[Write]| runs(writes).map(<[Write]>::len).collect::<Vec<_>>();
        assert_eq!(lengths(&writes), [1, 2, 2, 1]);
        let many = |kind, count| (0..count).map(|_| write(kind, &[])).collect::<Vec<_>>();
        assert!(suits(&many(Insert, RECORDS_MIN)));
        assert!(!suits(&many(Insert, RECORDS_MIN - 1)) && !suits(&many(Update, RECORDS_MIN)));
    }

    #[test]
    fn tables_are_asked_about_once_and_together() {
        let (availability, mut asked) = (Availability::default(), Vec::new());
        let all = ["account", "contact"].map(str::to_owned);
        let mut of = |table: &str, all: &[String], answer: Option<&str>| {
            availability.of(table, all, |question| {
                asked.push(question.to_owned());
                answer.map(|answer| answer.as_bytes().to_vec())
            })
        };
        let accounts = r#"{"value":[{"sdkmessagefilterid":"x","primaryobjecttypecode":"account"}]}"#;
        assert!(of("account", &all, Some(accounts)));
        assert!(!of("contact", &all, None), "it is known already");
        // A service that does not say, or refuses to, has it for none.
        assert!(!of("product", &["product".to_owned()], None));
        assert!(!of("uom", &["uom".to_owned(), "account".to_owned()], Some("<html>")));
        insta::assert_snapshot!(asked.join("\n"), @r"
        sdkmessagefilters?$select=sdkmessagefilterid,primaryobjecttypecode&$filter=sdkmessageid%2Fname%20eq%20'CreateMultiple'%20and%20(primaryobjecttypecode%20eq%20'account'%20or%20primaryobjecttypecode%20eq%20'contact')
        sdkmessagefilters?$select=sdkmessagefilterid,primaryobjecttypecode&$filter=sdkmessageid%2Fname%20eq%20'CreateMultiple'%20and%20(primaryobjecttypecode%20eq%20'product')
        sdkmessagefilters?$select=sdkmessagefilterid,primaryobjecttypecode&$filter=sdkmessageid%2Fname%20eq%20'CreateMultiple'%20and%20(primaryobjecttypecode%20eq%20'uom')
        ");
        for left in (0..REFUSALS_MAX).rev() {
            availability.refused("account");
            assert_eq!(availability.of("account", &all, |_| None), left > 0);
        }
    }
}
