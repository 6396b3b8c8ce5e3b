//! Products of Dataverse become active by being published, not by an update of their state (crm-api.md §9).
//!
//! Where the organization makes new products as drafts, a write that sets a draft active goes in two steps: what else it
//! says as an update with its condition, then the action that publishes. In go writes, out come requests; which products
//! are drafts is asked by the adapter. Nothing is sent here.

use crate::adapters::dataverse::states::{STATE, STATUS};
use crate::adapters::definitions::CrmTable;
use crate::adapters::odata::batch_multipart::Operation;
use crate::adapters::verdict::Verdict;
use crate::endpoint::{Outcome, Write, WriteKind};
use crate::frame::Value;

const ACTIVE: i64 = 0;
/// Draft, and under revision: these are published.
const UNPUBLISHED: [i64; 2] = [2, 3];

/// Tells whether a write sets a product active.
pub fn activates(table: &CrmTable, write: &Write) -> bool {
    let is_active = |value: &Value| value.to_string() == ACTIVE.to_string();
    table.name == "product"
        && write.kind == WriteKind::Update
        && write.fields.iter().any(|(name, value)| name == STATE && is_active(value))
}

/// Tells whether a product of this state is active only once it is published.
pub fn is_unpublished(state: &Value) -> bool {
    UNPUBLISHED.iter().any(|unpublished| *state == Value::Integer(*unpublished))
}

/// Returns the write without what publishing sets.
pub fn without_state(write: &Write) -> Write {
    let fields = write.fields.iter().filter(|(name, _)| name != STATE && name != STATUS);
    Write { fields: fields.cloned().collect(), ..write.clone() }
}

/// Makes the request that publishes a product.
pub fn publication(root: &str, table: &CrmTable, write: &Write) -> Operation {
    let path = format!("{root}/{}({})/Microsoft.Dynamics.CRM.PublishProductHierarchy", table.info.table, write.id);
    Operation { method: "POST", path, headers: Vec::new(), body: "{}".to_owned() }
}

/// Returns what became of a write whose first step, `stripped`, was carried out, by what is said of its publication.
///
/// Where that failed, what else the write says is there all the same. So nothing less than a reading tells, and what is
/// left to be done then is to publish alone.
pub fn outcome(stripped: &Write, publication: Verdict) -> Outcome {
    let outcome = match publication {
        Verdict::Settled(outcome) => outcome,
        Verdict::Duplicate(message) => Outcome::Refused { message },
    };
    match outcome {
        Outcome::Refused { message } | Outcome::NotSent { message } | Outcome::Barred { message }
            if !stripped.fields.is_empty() =>
        {
            Outcome::Unknown { message: format!("the product was not published: {message}") }
        }
        outcome => outcome,
    }
}
