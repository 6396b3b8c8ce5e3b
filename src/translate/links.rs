//! Whom a reference leads to: the couplings and keys of the table maps that ran before, and of this one so far.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Reference, Side};
use crate::endpoint::capitals;
use crate::frame::{Frame, Value};

/// The couplings and keys of the table maps that ran before, for references.
#[derive(Debug, Clone, Default)]
pub struct Links {
    tables: HashMap<String, TableLinks>,
}

/// The couplings and keys of one table map.
#[derive(Debug, Clone, Default)]
pub struct TableLinks {
    partners: PerSide<HashMap<Uuid, Uuid>>,
    /// By column of that side: the canonical key and the one record that bears it, `None` where several do.
    ids: PerSide<HashMap<String, HashMap<String, Option<Uuid>>>>,
    /// By column of that side: the key of each record.
    keys: PerSide<HashMap<String, HashMap<Uuid, String>>>,
    /// What people call the CRM's records, for messages.
    labels: HashMap<Uuid, String>,
    /// In a plan, the records that it makes on each side, and what people call them.
    made: PerSide<HashMap<Uuid, String>>,
    /// In a plan, the records of each side whose partner depends on what the run makes first, and why.
    awaited: PerSide<HashMap<Uuid, String>>,
    /// The records of each side whose partner was deleted, and of which nobody decided before this run what follows.
    left: PerSide<HashSet<Uuid>>,
    /// By column of each side, the records whose key there could not be read, and why.
    illegible: PerSide<HashMap<String, BTreeMap<Uuid, String>>>,
    /// Whether the keys of all records were told; else whoever needs one asks for it.
    whole: bool,
    /// The columns of each side that were read of all records.
    read: PerSide<HashSet<String>>,
    /// Whether a record was coupled in this run.
    grown: bool,
    /// Keys and ids that were asked for, whether there was an answer or not.
    asked: HashSet<String>,
}

impl TableLinks {
    /// Links two records.
    pub fn couple(&mut self, erp: Uuid, crm: Uuid) {
        self.partners.erp.insert(erp, crm);
        self.partners.crm.insert(crm, erp);
    }

    /// Tells that a plan makes this record on `side`.
    pub fn make(&mut self, side: Side, id: Uuid, record: &str) {
        self.made.of_mut(side).insert(id, record.to_owned());
    }

    /// Tells whether a plan makes this record on `side`: nobody needs ask for it, or can.
    pub fn makes(&self, side: Side, id: Uuid) -> bool {
        self.made.of(side).contains_key(&id)
    }

    /// Tells that a record of `side` gets its partner only by what the run makes first.
    pub fn wait(&mut self, side: Side, id: Uuid, reason: &str) {
        self.awaited.of_mut(side).insert(id, reason.to_owned());
    }

    /// Tells that the partner of this record of `side` was deleted, and that nobody decided yet what follows.
    pub fn leave(&mut self, side: Side, id: Uuid) {
        self.left.of_mut(side).insert(id);
    }

    /// Tells that a side has lost its record of a pair: the other one is left, and nobody refers to either any more.
    pub fn bereave(&mut self, gone: Side, ids: PerSide<Uuid>) {
        for side in Side::BOTH {
            let partners = self.partners.of_mut(side);
            if partners.get(ids.of(side)) == Some(ids.of(side.other())) {
                partners.remove(ids.of(side));
            }
        }
        self.leave(gone.other(), *ids.of(gone.other()));
    }

    /// Returns the records of a side that were left.
    pub fn all_left(&self, side: Side) -> &HashSet<Uuid> {
        self.left.of(side)
    }

    /// Tells whether a record that was left has a partner again: it was made anew in this run.
    pub fn has_restored(&self) -> bool {
        Side::BOTH.into_iter().any(|side| self.left.of(side).iter().any(|id| self.partners.of(side).contains_key(id)))
    }

    /// Notes that every key is told.
    pub fn complete(&mut self) {
        self.whole = true;
    }

    /// Tells whether every key is told.
    pub fn is_complete(&self) -> bool {
        self.whole
    }

    /// Notes that a column was read of all records of a side.
    pub fn note_read(&mut self, side: Side, column: &str) {
        self.read.of_mut(side).insert(column.to_owned());
    }

    /// Tells whether a column was read of all records of a side.
    pub fn is_read(&self, side: Side, column: &str) -> bool {
        self.read.of(side).contains(column)
    }

    /// Notes that a record was coupled in this run.
    pub fn grow(&mut self) {
        self.grown = true;
    }

    /// Tells whether a record was coupled in this run.
    pub fn has_grown(&self) -> bool {
        self.grown
    }

    /// Notes that a key is asked for; `false` where it was before.
    pub fn ask(&mut self, key: &str) -> bool {
        self.asked.insert(canonical_key(key))
    }

    /// Returns the number of couplings.
    pub fn couplings_count(&self) -> usize {
        self.partners.erp.len()
    }

    /// Returns the record on the other side.
    pub fn partner(&self, side: Side, id: Uuid) -> Option<Uuid> {
        self.partners.of(side).get(&id).copied()
    }

    /// Tells what `column` holds in a record of `side`.
    pub fn name(&mut self, side: Side, column: &str, id: Uuid, key: &str) {
        let canonical = canonical_key(key);
        let keys = self.keys.of_mut(side).entry(column.to_owned()).or_default();
        let old = if canonical.is_empty() { keys.remove(&id) } else { keys.insert(id, key.to_owned()) };
        let old = old.map(|old| canonical_key(&old)).filter(|old| !old.is_empty());
        if old.as_ref() == Some(&canonical) {
            return;
        }
        let ids = self.ids.of_mut(side).entry(column.to_owned()).or_default();
        // Its former key leads nowhere now, unless another record bears it as well.
        if let Some(old) = old
            && ids.get(&old) == Some(&Some(id))
        {
            ids.remove(&old);
        }
        if !canonical.is_empty() {
            ids.entry(canonical).and_modify(|known| *known = None).or_insert(Some(id));
        }
    }

    /// Takes over what people call the CRM's records.
    pub fn label_all(&mut self, column: &str, frame: &Frame) {
        for (row, id) in frame.ids().into_iter().enumerate() {
            let label = frame.value(column, row).to_string();
            if !label.trim().is_empty() {
                self.labels.insert(id, label.trim().to_owned());
            }
        }
    }

    /// Takes over what `column` holds in all records of a frame.
    pub fn name_all(&mut self, side: Side, column: &str, frame: &Frame) {
        let lacks = frame.unreadables().iter().filter(|(_, why)| why.columns.iter().any(|name| name == column));
        let lacks: Vec<(Uuid, String)> = lacks.map(|(id, why)| (*id, why.why.clone())).collect();
        if !lacks.is_empty() {
            self.illegible.of_mut(side).entry(column.to_owned()).or_default().extend(lacks);
        }
        for (row, id) in frame.ids().into_iter().enumerate() {
            self.name(side, column, id, &frame.value(column, row).to_string());
        }
    }
}

impl Links {
    /// Returns the links of a table map, empty at first.
    pub fn table(&mut self, name: &str) -> &mut TableLinks {
        self.tables.entry(name.to_owned()).or_default()
    }

    /// Tells whether a record waits for what the run makes first.
    pub fn waits(&self) -> bool {
        self.tables.values().any(|table| !table.awaited.erp.is_empty() || !table.awaited.crm.is_empty())
    }

    /// Returns why a record that `value` of `side` refers to, and what refers to it, can be coupled only when the run
    /// has made something: a plan makes its partner, or that waits as well.
    pub fn depends(&self, reference: &Reference, side: Side, value: &Value) -> Option<String> {
        let table = self.tables.get(&reference.table)?;
        let id = table.named(reference, side, value)?;
        if table.awaited.of(side).contains_key(&id) {
            return Some(format!("{}:{value} waits itself for what this run creates first", reference.table));
        }
        let partner = table.partners.of(side).get(&id)?;
        let record = table.made.of(side.other()).get(partner)?;
        Some(format!("its partner can come with {record}, which this run creates first"))
    }

    /// Tells of a value of `side` that refers to a record whose partner was deleted, without that anybody had decided
    /// before this run what follows, whether the record has a partner again; `None` for any other value.
    pub fn left(&self, reference: &Reference, side: Side, value: &Value) -> Option<bool> {
        let table = self.tables.get(&reference.table).filter(|table| !table.left.of(side).is_empty())?;
        let id = table.named(reference, side, value).filter(|id| table.left.of(side).contains(id))?;
        Some(table.partners.of(side).contains_key(&id))
    }

    /// Returns the partner of the record that a value of `side` refers to.
    pub fn partner_of(&self, reference: &Reference, side: Side, value: &Value) -> Option<Uuid> {
        let table = self.tables.get(&reference.table)?;
        table.named(reference, side, value).and_then(|id| table.partner(side, id))
    }

    /// Returns the record of `side` that a value of that side refers to, as far as keys were told.
    pub fn refers_to(&self, reference: &Reference, side: Side, value: &Value) -> Option<Uuid> {
        self.tables.get(&reference.table)?.named(reference, side, value)
    }

    /// Tells whether an ERP key leads to a CRM record.
    pub fn resolves(&self, reference: &Reference, key: &str) -> bool {
        self.crm_id(reference, key).is_some()
    }

    /// Tells whether a CRM id leads to an ERP key.
    pub fn names(&self, reference: &Reference, id: Uuid) -> bool {
        self.erp_key(reference, id).is_some()
    }

    /// Translates an ERP key into the CRM id of the partner.
    pub(super) fn crm_id(&self, reference: &Reference, key: &str) -> Option<Uuid> {
        let table = self.tables.get(&reference.table)?;
        let canonical = canonical_key(key);
        let erp = table.ids.erp.get(&reference.erp).and_then(|ids| ids.get(&canonical).copied().flatten());
        if let Some(crm) = erp.and_then(|erp| table.partners.erp.get(&erp)) {
            return Some(*crm);
        }
        let column = reference.crm.as_ref()?;
        table.ids.crm.get(column).and_then(|ids| ids.get(&canonical).copied().flatten())
    }

    /// Returns what people call the CRM's record that a reference points to: its key, else its label.
    pub fn name_of(&self, reference: &Reference, id: Uuid) -> Option<&str> {
        self.erp_key(reference, id).or_else(|| self.label(reference, id))
    }

    /// Returns the name under which the CRM's record is known: by its ERP key, else as one of the CRM.
    pub fn record_of(&self, reference: &Reference, id: Uuid) -> Option<String> {
        let key = self.erp_key(reference, id).map(|key| format!("{}:{key}", reference.table));
        key.or_else(|| Some(format!("{}:crm:{}", reference.table, self.label(reference, id)?)))
    }

    /// Returns what people call the CRM's record, whether a reference can name it or not.
    pub(super) fn label(&self, reference: &Reference, id: Uuid) -> Option<&str> {
        self.tables.get(&reference.table)?.labels.get(&id).map(String::as_str)
    }

    /// Returns why the record that a value of `side` refers to gets its partner only by what the run makes first.
    pub(super) fn awaited(&self, reference: &Reference, side: Side, value: &Value) -> Option<&str> {
        let table = self.tables.get(&reference.table)?;
        let id = table.named(reference, side, value)?;
        table.awaited.of(side).get(&id).map(String::as_str)
    }

    /// Returns a record of which the key cannot be read and that `value` of `side`, which leads nowhere, refers to or may refer
    /// to, as people name it, and why it cannot be read.
    pub(super) fn illegible(&self, reference: &Reference, side: Side, value: &Value) -> Option<(String, &str)> {
        let table = self.tables.get(&reference.table)?;
        let (of, id, why) = match side {
            // A key says not which record of those it is.
            Side::Erp => Side::BOTH.into_iter().find_map(|of| {
                let (id, why) = table.illegible_in(reference, of)?.first_key_value()?;
                Some((of, *id, why))
            })?,
            Side::Crm => table.illegible_of(reference, table.named(reference, Side::Crm, value)?)?,
        };
        let of_crm =
            |crm: Uuid| self.record_of(reference, crm).unwrap_or_else(|| format!("{}:crm:{crm}", reference.table));
        let name = match (of, table.partners.erp.get(&id)) {
            (Side::Crm, _) => of_crm(id),
            // By its id alone nobody knows it.
            (Side::Erp, Some(partner)) => format!("{}:{id} (partner of {})", reference.table, of_crm(*partner)),
            (Side::Erp, None) => format!("{}:{id}", reference.table),
        };
        Some((name, why))
    }

    /// Tells whether a reference may lead to a record of which the key cannot be read.
    pub fn is_unclear(&self, reference: &Reference) -> bool {
        let table = self.tables.get(&reference.table);
        table.is_some_and(|table| Side::BOTH.into_iter().any(|side| table.illegible_in(reference, side).is_some()))
    }

    /// Tells whether a side, which holds `own`, may refer already to the very record that a value of the other side leads to and
    /// of which the key cannot be read.
    pub fn may_lead_there(&self, reference: &Reference, side: Side, own: &Value) -> bool {
        let Some(table) = self.tables.get(&reference.table).filter(|_| !own.is_blank()) else { return false };
        match side {
            Side::Erp => {
                self.crm_id(reference, &own.to_string()).is_none() && table.named(reference, Side::Erp, own).is_none()
            }
            Side::Crm => {
                table.named(reference, Side::Crm, own).is_some_and(|id| table.illegible_of(reference, id).is_some())
            }
        }
    }

    /// Translates a CRM id into the ERP key of the partner.
    pub(super) fn erp_key(&self, reference: &Reference, id: Uuid) -> Option<&str> {
        let table = self.tables.get(&reference.table)?;
        let key = table
            .partners
            .crm
            .get(&id)
            .and_then(|erp| table.keys.erp.get(&reference.erp).and_then(|keys| keys.get(erp)));
        if let Some(key) = key {
            return Some(key);
        }
        let column = reference.crm.as_ref()?;
        table.keys.crm.get(column).and_then(|keys| keys.get(&id)).map(String::as_str)
    }
}

impl TableLinks {
    /// Returns the records of `side` whose key cannot be read.
    fn illegible_in(&self, reference: &Reference, side: Side) -> Option<&BTreeMap<Uuid, String>> {
        let column = if side == Side::Erp { Some(&reference.erp) } else { reference.crm.as_ref() };
        self.illegible.of(side).get(column?).filter(|records| !records.is_empty())
    }

    /// Returns which record has no key that could be read, of a record of the CRM and its partner, and why.
    fn illegible_of(&self, reference: &Reference, crm: Uuid) -> Option<(Side, Uuid, &String)> {
        let erp = self.partners.crm.get(&crm).copied();
        let ids = [(Side::Erp, erp), (Side::Crm, Some(crm))];
        ids.into_iter().find_map(|(side, id)| Some((side, id?, self.illegible_in(reference, side)?.get(&id?)?)))
    }

    /// Returns the record of `side` that a value of that side refers to: by its key in the ERP, by its id in the CRM.
    fn named(&self, reference: &Reference, side: Side, value: &Value) -> Option<Uuid> {
        match (side, value) {
            (Side::Erp, value) => {
                let key = canonical_key(&value.to_string());
                self.ids.erp.get(&reference.erp)?.get(&key).copied().flatten()
            }
            (Side::Crm, Value::Guid(id) | Value::Link { id, .. }) => Some(*id),
            (Side::Crm, other) => Uuid::parse_str(&other.to_string()).ok(),
        }
    }
}

/// Returns a key as it is compared: keys are codes, or compared as if they were.
pub fn canonical_key(key: &str) -> String {
    capitals(key.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lead_to_partners_and_back() {
        let id = Uuid::from_u128;
        let mut links = Links::default();
        let table = links.table("currencies");
        table.couple(id(1), id(11));
        for (erp, code) in [(1, "EUR"), (2, "NOK"), (3, "DUP"), (4, "dup")] {
            table.name(Side::Erp, "code", id(erp), code);
        }
        for (crm, code) in [(11, "EUR"), (12, "GBP"), (13, "XXX"), (14, "XXX")] {
            table.name(Side::Crm, "isocurrencycode", id(crm), code);
        }
        let plain = Reference { table: "currencies".into(), erp: "code".into(), crm: None };
        let keyed = Reference { crm: Some("isocurrencycode".into()), ..plain.clone() };
        for (reference, key, expected) in [
            (&plain, "eur", Some(11)),
            (&plain, "NOK", None),
            (&plain, "DUP", None),
            (&plain, "GBP", None),
            (&keyed, "GBP", Some(12)),
            (&keyed, "XXX", None),
        ] {
            assert_eq!(links.crm_id(reference, key), expected.map(id), "{key}");
        }
        for (reference, crm, expected) in
            [(&plain, 11, Some("EUR")), (&plain, 12, None), (&keyed, 12, Some("GBP")), (&keyed, 99, None)]
        {
            assert_eq!(links.erp_key(reference, id(crm)), expected, "{crm}");
        }
    }
}
