//! What a run is asked for, and what all its passes share.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicBool;

use uuid::Uuid;

use crate::config::{PerSide, Pipeline, Reference, Side, TableMap};
use crate::endpoint::Endpoint;
use crate::run::account::Event;
use crate::run::approval::Approved;
use crate::run::pretend::Pretended;
use crate::run::selection::{Asked, Named, Selection};
use crate::run::sight::Subjects;

/// What a run is asked for.
pub struct Options<'a> {
    /// Table maps by name; empty means all, unless records are named.
    pub only: Vec<String>,
    /// Named records, one direction, one side that wins.
    pub selection: Selection,
    /// Reads what was modified since the last time, instead of everything.
    pub changed: bool,
    /// Decides and writes nothing, not even to the state.
    pub dry_run: bool,
    /// A plan of which nothing but its actions is carried out.
    pub approved: Option<&'a Approved>,
    /// Where the plan of what a guard stops is saved, as the caller would have to name it.
    pub guarded_plan: Option<&'a str>,
    /// The id of this run.
    pub run: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// Seconds since it began, by a clock that never goes back.
    pub elapsed: &'a (dyn Fn() -> f64 + Sync),
    /// Set when the run has to end at the next safe point.
    pub stop: &'a AtomicBool,
}

/// What all passes of a run share.
pub(super) struct Context<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) endpoints: PerSide<&'a dyn Endpoint>,
    pub(super) options: &'a Options<'a>,
    pub(super) tell: &'a (dyn Fn(Event<'_>) + Sync),
    /// The same two sides where nothing is written in earnest.
    pub(super) pretended: Option<&'a PerSide<Pretended<'a>>>,
    /// Where the rest of the plan of a table map goes that its guard stopped; nobody reads it there.
    pub(super) scratch: &'a PerSide<Pretended<'a>>,
    /// CRM table of each table map, for references.
    pub(super) crm_tables: HashMap<String, String>,
    /// The records to explain, where that is what the run is for: no others are looked at.
    pub(super) subjects: Option<&'a Subjects>,
    /// Records that were asked for by name.
    pub(super) named: Vec<Named>,
}

impl Context<'_> {
    /// Returns the records that a table map's turn is about; `None` where that is the whole table.
    pub(super) fn asked(&self, map: &TableMap) -> Option<Asked> {
        let whole = self.options.only.contains(&map.name) || self.named.is_empty();
        (!whole).then(|| Asked::of(map, &self.named))
    }

    /// Returns the records to explain in a table map; `None` where there are none, or the run is for all records.
    pub(super) fn subjects_of(&self, map: &TableMap) -> Option<&PerSide<BTreeSet<Uuid>>> {
        self.subjects?.get(&map.name)
    }

    /// Returns the number of the table map that a reference leads to.
    pub(super) fn target(&self, reference: &Reference) -> usize {
        let leads_to = |table: &TableMap| table.name == reference.table;
        self.pipeline.tables.iter().position(leads_to).expect("a file whose references lead nowhere is refused")
    }

    /// Tells whether some table is not read in full, so that keys of references have to be asked for.
    pub(super) fn reads_parts(&self) -> bool {
        self.options.changed || !self.named.is_empty()
    }

    /// Tells whether the run writes to a side.
    pub(super) fn writes(&self, side: Side) -> bool {
        self.options.selection.to.is_none_or(|to| to == side)
    }
}
