//! What a pass remarks about fields that need nothing: nobody has to do anything about it, and it is told all the same.

use std::collections::{BTreeMap, HashSet};

use uuid::Uuid;

use crate::config::TableMap;
use crate::plan::Drifted;

/// The remarks of a pass.
#[derive(Default)]
pub(super) struct Remarks {
    /// What was changed on the side that does not own it.
    drifted: Vec<Drifted>,
    /// By field and ERP id, records of which a value does not come back as it went.
    lossy: BTreeMap<(usize, Uuid), String>,
}

impl Remarks {
    /// Takes what drifted, in the place of what is decided `again`.
    pub(super) fn note_drifted(&mut self, again: impl Fn(&Drifted) -> bool, drifted: Vec<Drifted>) {
        let decided: HashSet<(Uuid, usize)> = drifted.iter().map(|told| (told.ids.erp, told.field)).collect();
        self.drifted.retain(|told| !again(told) && !decided.contains(&(told.ids.erp, told.field)));
        self.drifted.extend(drifted);
    }

    /// Takes a record of which a value does not come back as it went.
    pub(super) fn note_lossy(&mut self, field: usize, erp: Uuid, record: String) {
        self.lossy.insert((field, erp), record);
    }

    /// Puts what drifted into an order that does not depend on rounds.
    pub(super) fn sort(&mut self) {
        self.drifted.sort_by(|one, other| (&one.record, one.field).cmp(&(&other.record, other.field)));
    }

    /// Returns what drifted.
    pub(super) fn into_drifted(self) -> Vec<Drifted> {
        self.drifted
    }

    /// Tells of each field whose two expressions are not each other's inverse, of how many records that is so.
    pub(super) fn lossy_notes(&self, map: &TableMap) -> Vec<String> {
        let told = |(number, field): (usize, &crate::config::FieldMap)| {
            let mut records = self.lossy.range((number, Uuid::nil())..=(number, Uuid::max())).map(|(_, record)| record);
            let first = records.next()?;
            let (values, rest) = match records.count() {
                0 => ("1 value does not come back as it went".to_owned(), ""),
                more => (format!("{} values do not come back as they went", more + 1), ", …"),
            };
            let name = field.name();
            Some(format!("{name}: {values}, `to_crm` and `to_erp` being no inverse there ({first}{rest})"))
        };
        map.fields.iter().enumerate().filter_map(told).collect()
    }
}
