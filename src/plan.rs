//! What a plan is: the actions that would make both sides agree, each with its reason and what must still hold, and
//! what waits for a person instead.
//!
//! A plan is data. Whether it is printed, hashed, approved or carried out is decided elsewhere.

pub mod choice;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::config::{PerSide, Side};
use crate::frame::Value;
use crate::store::{InboxItem, Origin};

/// What is done to one record.
#[derive(Debug, Clone, PartialEq)]
pub enum ActionKind {
    /// Makes the partner on the action's side, under the id that the action names, and couples the two.
    Insert,
    /// Changes fields of a coupled record.
    Update,
    /// Makes a record that was deleted anew from its partner, and couples the two; `gone` is the id that it had.
    Restore { gone: Uuid },
    /// Deletes a record whose partner was deleted; the link goes with it.
    Delete,
    /// Links two records that exist.
    Couple { origin: Origin },
    /// Removes the link of two records that are both gone.
    Uncouple,
    /// Removes the link of a record whose partner was deleted; it is not coupled again until a person does it.
    KeepApart,
}

impl ActionKind {
    /// Returns the word of the JSON output.
    pub fn key(&self) -> &'static str {
        match self {
            ActionKind::Insert | ActionKind::Restore { .. } => "insert",
            ActionKind::Update => "update",
            ActionKind::Delete => "delete",
            ActionKind::Couple { .. } => "couple",
            ActionKind::Uncouple | ActionKind::KeepApart => "uncouple",
        }
    }

    /// Tells whether a new record comes of it.
    pub fn makes_record(&self) -> bool {
        matches!(self, ActionKind::Insert | ActionKind::Restore { .. })
    }

    /// Tells whether a side is written; couplings alone change only the state.
    pub fn writes(&self) -> bool {
        self.makes_record() || matches!(self, ActionKind::Update | ActionKind::Delete)
    }
}

/// One column that changes.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldChange {
    /// The column of the side that is written.
    pub column: String,
    /// Number of the field map; `None` for a template's column.
    pub field: Option<usize>,
    pub old: Value,
    pub new: Value,
    /// Why this value goes there.
    pub why: String,
}

/// One decision that a run carries out.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    pub table: String,
    /// The record as people name it.
    pub record: String,
    /// The side that is written; for couplings the ERP.
    pub side: Side,
    pub kind: ActionKind,
    pub why: String,
    /// Ids on both sides; for an insert the one on `side` is the id chosen for the new record.
    pub ids: PerSide<Uuid>,
    /// The version of the record to be written that the decision was made on.
    pub etag: Option<String>,
    pub fields: Vec<FieldChange>,
    /// What goes back to the other side once the record is made; only what makes a record has it.
    pub follow_ups: Vec<FollowUp>,
}

/// A column of a new record that is left to its side: what the side gives there goes on to the other one in the same
/// run, and which value that is no plan can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowUp {
    /// Number of the field map.
    pub field: usize,
    /// What the field map reads of the new record.
    pub from: String,
    /// The column of the other side where it goes.
    pub to: String,
}

/// Returns what stands in a plan for the key that a side gives to the new record with this id, where other records
/// refer to it.
pub fn placeholder(id: Uuid) -> String {
    // Forty bits keep a hundred thousand new records apart, and fit into a number of the ERP.
    format!("(NEW {:010X})", id.as_u128() >> 88)
}

/// A record that can be decided only when the run has made something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Later {
    pub record: String,
    /// As far as they are known.
    pub ids: PerSide<Option<Uuid>>,
    /// What it waits for.
    pub message: String,
}

/// A value of a side that does not own the field: it was changed there, stays, and is told (`drift: report`).
#[derive(Debug, Clone, PartialEq)]
pub struct Drifted {
    /// The record as people name it.
    pub record: String,
    pub ids: PerSide<Uuid>,
    /// Number of the field map.
    pub field: usize,
    /// The side that holds the value, and the column there.
    pub side: Side,
    pub column: String,
    /// What the owner would put there, as people read it.
    pub owned: String,
    pub held: String,
}

/// The plan of one table map.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TablePlan {
    pub table: String,
    pub actions: Vec<Action>,
    /// Values that are left alone, and told. They wait for nobody.
    pub drifted: Vec<Drifted>,
    /// What waits for a person, or for another record, instead; since when and how often is the inbox's to know.
    pub held: Vec<InboxItem>,
    /// Why nothing of it is carried out: it is more than the guard of the table map allows.
    pub guarded: Option<String>,
    /// What waits for what the run itself makes first; none of it has failed.
    pub later: Vec<Later>,
}

/// The plan of a whole pipeline.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    pub pipeline: String,
    pub tables: Vec<TablePlan>,
}

impl Plan {
    /// Returns the actions of all tables in the order in which they are carried out, save that deletions come last, the
    /// last table first: what refers to a record goes before it.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.tables.iter().flat_map(|table| &table.actions)
    }

    /// Returns what waits, table by table.
    pub fn held(&self) -> impl Iterator<Item = &InboxItem> {
        self.tables.iter().flat_map(|table| &table.held)
    }

    /// Returns the records that the run decides later, each with its table map.
    pub fn later(&self) -> impl Iterator<Item = (&str, &Later)> {
        self.tables.iter().flat_map(|table| table.later.iter().map(|later| (table.table.as_str(), later)))
    }

    /// Returns the SHA-256 of everything that the plan would do and why, of what must hold before, and of what waits
    /// instead, as lower-case hex: whoever approves a plan approves its reasons, too.
    ///
    /// The same decisions on the same records give the same hash, on any machine and with any number of threads.
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        let mut feed = |text: &str| {
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        feed(&self.pipeline);
        for action in self.actions() {
            feed(&action.table);
            feed(action.side.key());
            feed(&format!("{:?}", action.kind));
            feed(&action.why);
            feed(&action.ids.erp.to_string());
            feed(&action.ids.crm.to_string());
            feed(action.etag.as_deref().unwrap_or(""));
            for field in &action.fields {
                feed(&field.column);
                feed(&format!("{:?}", field.old));
                feed(&format!("{:?}", field.new));
                feed(&field.why);
            }
            for FollowUp { from, to, .. } in &action.follow_ups {
                feed("follow-up");
                feed(from);
                feed(to);
            }
        }
        for table in &self.tables {
            feed(table.guarded.as_deref().unwrap_or_default());
        }
        // Not since when and how often: a run in between that decides the same leaves the plan the same.
        for item in self.held() {
            feed("held");
            feed(&item.table);
            feed(&item.record);
            feed(item.kind.key());
            for id in [item.erp_id, item.crm_id] {
                feed(&id.map(|id| id.to_string()).unwrap_or_default());
            }
            for text in [&item.field, &item.base, &item.erp, &item.crm] {
                feed(if text.is_some() { "some" } else { "none" });
                feed(text.as_deref().unwrap_or_default());
            }
            feed(&item.message);
        }
        for (table, later) in self.later() {
            feed("later");
            feed(table);
            feed(&later.record);
            feed(&later.message);
        }
        hex(hasher)
    }
}

/// Returns the SHA-256 of a text, as lower-case hex: a plan remembers by it what its pipeline file said.
pub fn fingerprint(text: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(text.as_bytes());
    hex(hasher)
}

fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
