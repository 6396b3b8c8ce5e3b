//! What people want to know besides of what waits: whom a reference leads to, and when and by whom the records of a
//! contested field were last modified.
//!
//! Both are taken down when something is held, before this run writes anything to the records: our own write of another
//! field is no answer. A field that stays contested by the same values keeps what was known when it was filed. Nothing is
//! decided by any of it, so a side that does not tell stops no run.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::SecondsFormat;
use uuid::Uuid;

use crate::config::{PerSide, Side};
use crate::delta::Held;
use crate::frame::Value;
use crate::run::records::Records;
use crate::run::step::Step;
use crate::run::tally::Tally;
use crate::store::pairs::Items;
use crate::store::{Background, InboxItem, InboxKind, Store, StoreError};

/// What a pass has taken down.
#[derive(Debug, Default)]
pub(super) struct Backgrounds {
    /// By the ERP ids of pairs with a contested field.
    edits: HashMap<Uuid, Background>,
    /// What people call the CRM's records that references lead to.
    names: HashMap<Uuid, String>,
}

impl Backgrounds {
    /// Takes down what is known of what is held now; `tally` tells what of it this run has written itself.
    pub(super) fn note(
        &mut self,
        step: &Step<'_>,
        store: &dyn Store,
        (records, tally): (&Records, &Tally),
        held: &[Held],
    ) -> Result<(), StoreError> {
        for one in held {
            let reference = one.field.and_then(|field| step.map.fields[field].reference.as_ref());
            let id = one.values.crm.as_deref().and_then(|text| Uuid::try_parse(text).ok());
            if let (Some(reference), Some(id)) = (reference, id)
                && let Some(name) = step.links.record_of(reference, id)
            {
                self.names.insert(id, name);
            }
        }
        let contested = |held: &&Held| held.kind == InboxKind::Contested;
        if !held.iter().any(|held| contested(&held)) {
            return Ok(());
        }
        let earlier = store.inbox(Some(&step.map.name))?;
        let earlier = Items::new(&earlier);
        let known = |held: &Held| {
            let name = held.field.map(|field| step.map.fields[field].name());
            let of_record = earlier.of(&step.map.name, held.ids.erp, held.ids.crm).iter();
            let mut same = of_record.filter(|item| item.field.as_deref() == name);
            same.any(|item| keeps(item, &held.values.erp, &held.values.crm))
        };
        let new = held.iter().filter(contested).filter(|held| !known(held)).filter_map(|held| held.ids.erp);
        let new: HashSet<Uuid> = new.filter(|erp| !self.edits.contains_key(erp)).collect();
        let pairs: Vec<usize> =
            (0..records.pairs().len()).filter(|pair| new.contains(&records.pairs().ids[*pair].erp)).collect();
        let ours = |side: Side, pair: usize| tally.modified(side).contains(&records.pairs().ids[pair].erp);
        let asked: BTreeSet<Uuid> =
            pairs.iter().filter(|pair| !ours(Side::Crm, **pair)).map(|pair| records.pairs().ids[*pair].crm).collect();
        let asked: Vec<Uuid> = asked.into_iter().collect();
        let people = match asked.is_empty() {
            true => HashMap::new(),
            false => step.context.endpoints.crm.modifiers(&step.scope.infos.crm, &asked).unwrap_or_default(),
        };
        let modified = |side: Side, pair: usize| {
            let column = step.scope.modified.of(side).as_ref().filter(|_| !ours(side, pair))?;
            match records.frame(side).value(column, *records.pairs().rows[pair].of(side)) {
                Value::DateTime(time) => Some(time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
                _ => None,
            }
        };
        let noted = pairs.into_iter().map(|pair| {
            let ids = records.pairs().ids[pair];
            let modified = PerSide::from_fn(|side| modified(side, pair));
            let crm_modified_by = people.get(&ids.crm).cloned().filter(|_| modified.crm.is_some());
            (ids.erp, Background { modified, crm_modified_by, ..Background::default() })
        });
        let noted: Vec<(Uuid, Background)> = noted.collect();
        self.edits.extend(noted);
        Ok(())
    }

    /// Gives an item what is known of it; `earlier` is what the inbox had of the same so far.
    pub(super) fn give(&self, item: &mut InboxItem, earlier: Option<&InboxItem>) {
        let id = item.field.as_ref().and(item.crm.as_deref()).and_then(|text| Uuid::try_parse(text).ok());
        if item.kind == InboxKind::Contested {
            let kept =
                earlier.filter(|earlier| keeps(earlier, &item.erp, &item.crm)).map(|earlier| &earlier.background);
            let noted = item.erp_id.and_then(|erp| self.edits.get(&erp));
            item.background = kept.or(noted).cloned().unwrap_or_default();
        }
        let same =
            earlier.filter(|earlier| earlier.crm == item.crm).and_then(|earlier| earlier.background.crm_record.clone());
        item.background.crm_record = id.and_then(|id| self.names.get(&id).cloned()).or(same);
    }
}

/// Tells whether what was known of an item stays: it was contested by the same values.
fn keeps(item: &InboxItem, erp: &Option<String>, crm: &Option<String>) -> bool {
    let known = item.background.modified != PerSide::default();
    item.kind == InboxKind::Contested && known && (&item.erp, &item.crm) == (erp, crm)
}
