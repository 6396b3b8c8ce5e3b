//! How a saved plan is written: the document, key by key, and what it stands for.
//!
//! Unknown keys are refused: whoever adds one gives the format another number.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::binding::Binding;
use crate::config::{PerSide, Side};
use crate::endpoint::Identity;
use crate::frame::Value;
use crate::plan::{Action, ActionKind, Drifted, FieldChange, FollowUp, Later, Plan, TablePlan, fingerprint};
use crate::report::document;
use crate::report::notes::Notes;
use crate::report::saved::{AskedFor, FORMAT, Saved};
use crate::store::{Background, InboxItem, InboxKind, Origin};

/// An id, as a text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
struct Id(Uuid);

/// Returns the word for the way that leads to a side.
fn way_to(side: Side) -> String {
    format!("to_{}", side.key())
}

fn side_of_way(way: &str) -> Result<Side, String> {
    let side = Side::BOTH.into_iter().find(|side| way_to(*side) == way);
    side.ok_or_else(|| format!("`{way}` is no direction"))
}

impl From<Id> for String {
    fn from(id: Id) -> String {
        id.0.to_string()
    }
}

impl TryFrom<String> for Id {
    type Error = String;

    fn try_from(text: String) -> Result<Id, String> {
        text.parse().map(Id).map_err(|_| format!("`{text}` is no id"))
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    plan_format: u64,
    program: String,
    pipeline: String,
    file: String,
    fingerprint: String,
    state: String,
    erp: IdentityDocument,
    crm: IdentityDocument,
    mode: String,
    only: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    direction: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    force: Option<String>,
    moment: String,
    pub(super) hash: String,
    /// Of the whole document, but for itself.
    seal: String,
    tables: Vec<TableDocument>,
    inbox: Vec<ItemDocument>,
    unfinished: Vec<UnfinishedDocument>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<NoteDocument>,
    names: BTreeMap<Id, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityDocument {
    id: Id,
    name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableDocument {
    table: String,
    guarded: Option<String>,
    /// The columns of each field map.
    fields: Vec<ColumnsDocument>,
    actions: Vec<ActionDocument>,
    later: Vec<LaterDocument>,
    drifted: Vec<DriftedDocument>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnsDocument {
    erp: Option<String>,
    crm: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionDocument {
    record: String,
    side: String,
    action: String,
    /// Of a restored record: the id that it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone: Option<Id>,
    /// Of a coupling: the match rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rule: Option<usize>,
    why: String,
    erp_id: Id,
    crm_id: Id,
    etag: Option<String>,
    fields: Vec<ChangeDocument>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    then: Vec<FollowUpDocument>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeDocument {
    column: String,
    field: Option<usize>,
    old: serde_json::Value,
    new: serde_json::Value,
    why: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FollowUpDocument {
    field: usize,
    from: String,
    to: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LaterDocument {
    record: String,
    erp_id: Option<Id>,
    crm_id: Option<Id>,
    message: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DriftedDocument {
    record: String,
    erp_id: Id,
    crm_id: Id,
    field: usize,
    side: String,
    column: String,
    owned: String,
    held: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemDocument {
    table: String,
    record: String,
    kind: String,
    erp_id: Option<Id>,
    crm_id: Option<Id>,
    field: Option<String>,
    base: Option<String>,
    erp: Option<String>,
    crm: Option<String>,
    message: String,
    since: String,
    attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crm_record: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    erp_modified: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crm_modified: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crm_modified_by: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unreadable: bool,
    /// The plan decided it, other than what a side refused before and the plan sends again.
    decided: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnfinishedDocument {
    table: String,
    error: String,
}

/// A note, of a table map or of none.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoteDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    table: Option<String>,
    message: String,
}

impl Document {
    /// Writes what is saved.
    pub(super) fn of(saved: &Saved) -> Document {
        let identity = |side: Side| {
            let Identity { id, name } = saved.binding.sides.of(side);
            IdentityDocument { id: Id(*id), name: name.clone() }
        };
        let columns = |table: &str| saved.columns.get(table).map_or(&[][..], Vec::as_slice);
        let note =
            |table: Option<&String>, message: &String| NoteDocument { table: table.cloned(), message: message.clone() };
        let mut notes: Vec<NoteDocument> = saved.notes.general.iter().map(|message| note(None, message)).collect();
        for (table, messages) in &saved.notes.tables {
            notes.extend(messages.iter().map(|message| note(Some(table), message)));
        }
        let table = |table: &TablePlan| TableDocument {
            table: table.table.clone(),
            guarded: table.guarded.clone(),
            fields: columns(&table.table)
                .iter()
                .map(|columns| ColumnsDocument { erp: columns.erp.clone(), crm: columns.crm.clone() })
                .collect(),
            actions: table.actions.iter().map(action_document).collect(),
            later: table
                .later
                .iter()
                .map(|later| LaterDocument {
                    record: later.record.clone(),
                    erp_id: later.ids.erp.map(Id),
                    crm_id: later.ids.crm.map(Id),
                    message: later.message.clone(),
                })
                .collect(),
            drifted: table.drifted.iter().map(drifted_document).collect(),
        };
        let mut held: Vec<&InboxItem> = saved.plan.held().collect();
        let mut decided = |item: &InboxItem| {
            let bare = undated(item);
            let at = held.iter().position(|held| **held == bare);
            at.map(|at| held.remove(at)).is_some()
        };
        let mut document = Document {
            plan_format: FORMAT,
            program: saved.program.clone(),
            pipeline: saved.plan.pipeline.clone(),
            file: saved.file.clone(),
            fingerprint: saved.fingerprint.clone(),
            state: saved.state.clone(),
            erp: identity(Side::Erp),
            crm: identity(Side::Crm),
            mode: if saved.asked.changed { "changed" } else { "full" }.to_owned(),
            only: saved.asked.only.clone(),
            direction: saved.asked.to.map(way_to),
            force: saved.asked.force.map(way_to),
            moment: saved.moment.clone(),
            hash: saved.plan.hash(),
            seal: String::new(),
            tables: saved.plan.tables.iter().map(table).collect(),
            inbox: saved.inbox.iter().map(|item| item_document(item, decided(item))).collect(),
            unfinished: saved
                .unfinished
                .iter()
                .map(|(table, error)| UnfinishedDocument { table: table.clone(), error: error.clone() })
                .collect(),
            notes,
            names: saved.names.iter().map(|(id, name)| (Id(*id), name.clone())).collect(),
        };
        document.seal = document.fitting_seal();
        document
    }

    /// Returns the seal that belongs to what the document says, however it is laid out.
    fn fitting_seal(&mut self) -> String {
        let seal = std::mem::take(&mut self.seal);
        let fitting = fingerprint(&document(self));
        self.seal = seal;
        fitting
    }

    /// Tells whether it says what it said when it was made.
    pub(super) fn is_as_made(&mut self) -> bool {
        self.fitting_seal() == self.seal
    }

    /// Returns what was saved; the message says what a value should have been.
    pub(super) fn into_saved(self) -> Result<Saved, String> {
        let identity = |document: IdentityDocument| Identity { id: document.id.0, name: document.name };
        let changed = match self.mode.as_str() {
            "full" => false,
            "changed" => true,
            other => return Err(format!("`{other}` is no mode")),
        };
        let to = self.direction.as_deref().map(side_of_way).transpose()?;
        let force = self.force.as_deref().map(side_of_way).transpose()?;
        let mut held: BTreeMap<String, Vec<InboxItem>> = BTreeMap::new();
        let mut inbox = Vec::new();
        for document in self.inbox {
            let decided = document.decided;
            let item = item(document)?;
            if decided {
                held.entry(item.table.clone()).or_default().push(undated(&item));
            }
            inbox.push(item);
        }
        let mut columns = BTreeMap::new();
        let mut tables = Vec::new();
        for document in self.tables {
            let TableDocument { table, guarded, fields, actions, later, drifted } = document;
            let fields = fields.into_iter().map(|fields| PerSide { erp: fields.erp, crm: fields.crm });
            columns.insert(table.clone(), fields.collect());
            tables.push(TablePlan {
                actions: actions.into_iter().map(|document| action(&table, document)).collect::<Result<_, _>>()?,
                drifted: drifted.into_iter().map(drifted_of).collect::<Result<_, _>>()?,
                held: held.remove(&table).unwrap_or_default(),
                guarded,
                later: later
                    .into_iter()
                    .map(|later| Later {
                        record: later.record,
                        ids: PerSide { erp: later.erp_id.map(|id| id.0), crm: later.crm_id.map(|id| id.0) },
                        message: later.message,
                    })
                    .collect(),
                table,
            });
        }
        let mut notes = Notes::default();
        for NoteDocument { table, message } in self.notes {
            match (table, notes.tables.last_mut()) {
                (None, _) => notes.general.push(message),
                (Some(table), Some((last, messages))) if *last == table => messages.push(message),
                (Some(table), _) => notes.tables.push((table, vec![message])),
            }
        }
        Ok(Saved {
            program: self.program,
            file: self.file,
            fingerprint: self.fingerprint,
            state: self.state,
            binding: Binding {
                pipeline: self.pipeline.clone(),
                sides: PerSide { erp: identity(self.erp), crm: identity(self.crm) },
            },
            asked: AskedFor { changed, only: self.only, to, force },
            moment: self.moment,
            plan: Plan { pipeline: self.pipeline, tables },
            inbox,
            unfinished: self.unfinished.into_iter().map(|document| (document.table, document.error)).collect(),
            notes,
            names: self.names.into_iter().map(|(id, name)| (id.0, name)).collect(),
            columns,
        })
    }
}

/// Returns an item as a plan holds it.
fn undated(item: &InboxItem) -> InboxItem {
    InboxItem { since: String::new(), attempts: 0, background: Background::default(), ..item.clone() }
}

fn side(key: &str) -> Result<Side, String> {
    Side::BOTH.into_iter().find(|side| side.key() == key).ok_or_else(|| format!("`{key}` is no side"))
}

fn action_document(action: &Action) -> ActionDocument {
    let (word, gone, rule) = match &action.kind {
        ActionKind::Insert => ("insert", None, None),
        ActionKind::Update => ("update", None, None),
        ActionKind::Restore { gone } => ("restore", Some(Id(*gone)), None),
        ActionKind::Delete => ("delete", None, None),
        ActionKind::Couple { origin: Origin::Matched(rule) } => ("couple", None, Some(*rule)),
        ActionKind::Couple { origin: Origin::Created(Side::Erp) } => ("couple_created_erp", None, None),
        ActionKind::Couple { origin: Origin::Created(Side::Crm) } => ("couple_created_crm", None, None),
        ActionKind::Couple { origin: Origin::Hand } => ("couple_by_hand", None, None),
        ActionKind::Uncouple => ("uncouple", None, None),
        ActionKind::KeepApart => ("keep_apart", None, None),
    };
    ActionDocument {
        record: action.record.clone(),
        side: action.side.key().to_owned(),
        action: word.to_owned(),
        gone,
        rule,
        why: action.why.clone(),
        erp_id: Id(action.ids.erp),
        crm_id: Id(action.ids.crm),
        etag: action.etag.clone(),
        fields: action.fields.iter().map(change_document).collect(),
        then: action
            .follow_ups
            .iter()
            .map(|then| FollowUpDocument { field: then.field, from: then.from.clone(), to: then.to.clone() })
            .collect(),
    }
}

fn change_document(change: &FieldChange) -> ChangeDocument {
    ChangeDocument {
        column: change.column.clone(),
        field: change.field,
        old: value_document(&change.old),
        new: value_document(&change.new),
        why: change.why.clone(),
    }
}

fn action(table: &str, document: ActionDocument) -> Result<Action, String> {
    let kind = match (document.action.as_str(), document.gone, document.rule) {
        ("insert", None, None) => ActionKind::Insert,
        ("update", None, None) => ActionKind::Update,
        ("restore", Some(Id(gone)), None) => ActionKind::Restore { gone },
        ("delete", None, None) => ActionKind::Delete,
        ("couple", None, Some(rule)) => ActionKind::Couple { origin: Origin::Matched(rule) },
        ("couple_created_erp", None, None) => ActionKind::Couple { origin: Origin::Created(Side::Erp) },
        ("couple_created_crm", None, None) => ActionKind::Couple { origin: Origin::Created(Side::Crm) },
        ("couple_by_hand", None, None) => ActionKind::Couple { origin: Origin::Hand },
        ("uncouple", None, None) => ActionKind::Uncouple,
        ("keep_apart", None, None) => ActionKind::KeepApart,
        (other, ..) => return Err(format!("`{other}` of {} is no action", document.record)),
    };
    let change = |change: ChangeDocument| {
        let place = format!("{} {}", document.record, change.column);
        let value =
            |value: &serde_json::Value| value_of(value).ok_or_else(|| format!("`{value}` of {place} is no value"));
        Ok(FieldChange {
            old: value(&change.old)?,
            new: value(&change.new)?,
            column: change.column,
            field: change.field,
            why: change.why,
        })
    };
    Ok(Action {
        table: table.to_owned(),
        side: side(&document.side)?,
        kind,
        why: document.why,
        ids: PerSide { erp: document.erp_id.0, crm: document.crm_id.0 },
        etag: document.etag,
        fields: document.fields.into_iter().map(change).collect::<Result<_, String>>()?,
        follow_ups: document
            .then
            .into_iter()
            .map(|then| FollowUp { field: then.field, from: then.from, to: then.to })
            .collect(),
        record: document.record,
    })
}

fn drifted_document(drifted: &Drifted) -> DriftedDocument {
    DriftedDocument {
        record: drifted.record.clone(),
        erp_id: Id(drifted.ids.erp),
        crm_id: Id(drifted.ids.crm),
        field: drifted.field,
        side: drifted.side.key().to_owned(),
        column: drifted.column.clone(),
        owned: drifted.owned.clone(),
        held: drifted.held.clone(),
    }
}

fn drifted_of(document: DriftedDocument) -> Result<Drifted, String> {
    Ok(Drifted {
        ids: PerSide { erp: document.erp_id.0, crm: document.crm_id.0 },
        field: document.field,
        side: side(&document.side)?,
        record: document.record,
        column: document.column,
        owned: document.owned,
        held: document.held,
    })
}

fn item_document(item: &InboxItem, decided: bool) -> ItemDocument {
    let item = item.clone();
    ItemDocument {
        table: item.table,
        record: item.record,
        kind: item.kind.key().to_owned(),
        erp_id: item.erp_id.map(Id),
        crm_id: item.crm_id.map(Id),
        field: item.field,
        base: item.base,
        erp: item.erp,
        crm: item.crm,
        message: item.message,
        since: item.since,
        attempts: item.attempts,
        crm_record: item.background.crm_record,
        erp_modified: item.background.modified.erp,
        crm_modified: item.background.modified.crm,
        crm_modified_by: item.background.crm_modified_by,
        unreadable: item.background.unreadable,
        decided,
    }
}

fn item(document: ItemDocument) -> Result<InboxItem, String> {
    let kind = InboxKind::from_key(&document.kind).ok_or_else(|| format!("nothing waits as `{}`", document.kind))?;
    Ok(InboxItem {
        table: document.table,
        record: document.record,
        kind,
        erp_id: document.erp_id.map(|id| id.0),
        crm_id: document.crm_id.map(|id| id.0),
        field: document.field,
        base: document.base,
        erp: document.erp,
        crm: document.crm,
        message: document.message,
        outstanding: None,
        since: document.since,
        attempts: document.attempts,
        background: Background {
            crm_record: document.crm_record,
            modified: PerSide { erp: document.erp_modified, crm: document.crm_modified },
            crm_modified_by: document.crm_modified_by,
            unreadable: document.unreadable,
        },
    })
}

/// Returns a value with its type: see the head of this file.
fn value_document(value: &Value) -> serde_json::Value {
    let typed = |kind: &str, text: String| serde_json::json!({ kind: text });
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Text(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Boolean(value) => (*value).into(),
        // Its own digits: a detour over a float would change them.
        Value::Decimal(number) => typed("decimal", number.to_string()),
        Value::Date(date) => typed("date", date.to_string()),
        Value::DateTime(time) => typed("moment", time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
        Value::Guid(id) => typed("guid", id.to_string()),
        Value::Link { table, id } => serde_json::json!({ "link": table, "id": id.to_string() }),
    }
}

fn value_of(document: &serde_json::Value) -> Option<Value> {
    use serde_json::Value as Json;
    match document {
        Json::Null => Some(Value::Null),
        Json::String(text) => Some(Value::Text(text.clone())),
        Json::Bool(value) => Some(Value::Boolean(*value)),
        Json::Number(number) => number.as_i64().map(Value::Integer),
        Json::Array(_) => None,
        Json::Object(typed) => {
            let text = |key: &str| typed.get(key).and_then(Json::as_str);
            let (kind, _) = typed.iter().next()?;
            match (kind.as_str(), typed.len()) {
                ("decimal", 1) => text(kind)?.parse().ok().map(Value::Decimal),
                ("date", 1) => text(kind)?.parse().ok().map(Value::Date),
                ("moment", 1) => text(kind)?.parse().ok().map(Value::DateTime),
                ("guid", 1) => text(kind)?.parse().ok().map(Value::Guid),
                ("link", 2) => Some(Value::Link { table: text("link")?.to_owned(), id: text("id")?.parse().ok()? }),
                _ => None,
            }
        }
    }
}
