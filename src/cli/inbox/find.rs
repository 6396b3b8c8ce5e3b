//! Which of the things that wait a person means by the name of a record.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::address::Address;
use crate::cli::exit::Failure;
use crate::config::{FieldMap, Side, TableMap};
use crate::store::{InboxItem, InboxKind, Store, StoreError};

/// Tells whether a name means an item: the name under which the inbox shows the record, or an id as `TABLE:ID` (ERP) or
/// `TABLE:crm:ID`. A name that several records bear is shown with the id behind it; without it, it means them all.
pub fn means(item: &InboxItem, name: &str) -> bool {
    is_called((&item.table, &item.record), (item.erp_id, item.crm_id), name)
}

/// Tells the same of a record by its table map and name, and by the ids that are known.
pub fn is_called((table, record): (&str, &str), (erp, crm): (Option<Uuid>, Option<Uuid>), name: &str) -> bool {
    let id = |prefix: &str, id: Option<Uuid>| {
        id.is_some_and(|id| format!("{table}:{prefix}{id}").eq_ignore_ascii_case(name))
    };
    let bare = record.rsplit_once(" (").is_some_and(|(bare, _)| bare == name);
    record == name || bare || id("", erp) || id("crm:", crm)
}

/// Returns what waits of the one record that a name means.
///
/// Of several records of that name those count of which something waits that `suits`; where nothing does, all that waits
/// of them is returned, for the message that says so.
pub fn of_record<'a>(
    items: &'a [InboxItem],
    name: &str,
    suits: &dyn Fn(&InboxItem) -> bool,
) -> Result<Vec<&'a InboxItem>, Failure> {
    let meant: Vec<&InboxItem> = items.iter().filter(|item| means(item, name)).collect();
    let suited: Vec<&InboxItem> = meant.iter().copied().filter(|item| suits(item)).collect();
    let waiting = if suited.is_empty() { meant } else { suited };
    let Some(first) = waiting.first() else {
        return Err(Failure::Arguments {
            message: format!("nothing waits of `{name}`"),
            hint: "`pipeline inbox FILE` lists what waits, by the names to use here; a run files it, a plan does not"
                .to_owned(),
        });
    };
    let records: BTreeSet<_> = waiting.iter().map(|item| (&item.table, item.erp_id, item.crm_id)).collect();
    if records.len() == 1 {
        return Ok(waiting);
    }
    let ids = records.iter().map(|(table, erp, crm)| match (erp, crm) {
        (Some(id), _) => format!("{table}:{id}"),
        (None, Some(id)) => format!("{table}:crm:{id}"),
        (None, None) => name.to_owned(),
    });
    Err(Failure::Arguments {
        message: format!("{} records of `{}` are named `{name}`", records.len(), first.table),
        hint: format!("take one of {}", ids.collect::<Vec<_>>().join(", ")),
    })
}

/// Returns, for each deletion in a table map that waits, what people called the record that is gone: by the label that it
/// bore when both sides last agreed, where the state keeps that, else by the one that its survivor bears.
pub fn lost_names<'a>(
    store: &dyn Store,
    map: &TableMap,
    items: &'a [InboxItem],
) -> Result<Vec<(Address, &'a InboxItem)>, StoreError> {
    let mut names = Vec::new();
    for item in items.iter().filter(|item| item.kind == InboxKind::Deleted && item.table == map.name) {
        let survivor = Address::parse(&item.record);
        let (Some(survivor), Some(erp), Some(crm)) = (survivor, item.erp_id, item.crm_id) else { continue };
        let side = survivor.side.other();
        let label = map.sides.of(side).label.as_deref();
        let field = label.and_then(|label| map.fields.iter().find(|field| field.column(side) == Some(label)));
        let kept = match field.map(FieldMap::key) {
            Some(key) => store.base_values(&map.name, erp, crm)?.remove(&key),
            None => None,
        };
        let kept = kept.map(|values| values.of(side).trim().to_owned()).filter(|key| !key.is_empty());
        names.push((Address { side, key: kept.unwrap_or_else(|| survivor.key.clone()), ..survivor }, item));
    }
    Ok(names)
}

/// Names the record that is left of a pair of which a deletion waits, by a name of the one that is gone.
pub fn survivor(store: &dyn Store, map: &TableMap, gone: &Address) -> Result<Option<String>, StoreError> {
    let items = store.inbox(Some(&map.name))?;
    let names = lost_names(store, map, &items)?;
    let found = names.iter().find(|(name, item)| {
        let id = if name.side == Side::Erp { item.erp_id } else { item.crm_id };
        let called = name.key.eq_ignore_ascii_case(&gone.key) || (id.is_some() && gone.id() == id);
        name.side == gone.side && called
    });
    Ok(found.map(|(_, item)| item.record.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    #[test]
    fn a_record_is_found_by_name_or_id() {
        let (erp, crm) = (Uuid::from_u128(7), Uuid::from_u128(8));
        let mut items = samples::inbox();
        items.truncate(1);
        items[0].table = "customers".into();
        items[0].record = "customers:10000".into();
        items[0].erp_id = Some(erp);
        items[0].crm_id = Some(crm);
        let mut field = items[0].clone();
        field.field = Some("city".into());
        items.push(field);
        let find = |items: &[InboxItem], name: &str| of_record(items, name, &|_| true).map(|found| found.len());
        for (name, found) in [
            ("customers:10000".to_owned(), 2),
            (format!("customers:{erp}"), 2),
            (format!("customers:crm:{crm}"), 2),
            (format!("customers:{crm}"), 0),
            ("customers:1".to_owned(), 0),
        ] {
            assert_eq!(find(&items, &name).unwrap_or(0), found, "{name}");
        }
        let mut twin = items[0].clone();
        twin.erp_id = Some(Uuid::from_u128(9));
        twin.record = format!("customers:10000 ({})", Uuid::from_u128(9));
        items.push(twin);
        assert_eq!(find(&items, &items[2].record).unwrap(), 1);
        let failure = find(&items, "customers:10000").unwrap_err();
        assert_eq!(failure.to_string(), "2 records of `customers` are named `customers:10000`");
        assert!(failure.hint().contains(&erp.to_string()), "{}", failure.hint());
        // Only one of them can be meant.
        let of_city = |item: &InboxItem| item.field.as_deref() == Some("city");
        assert_eq!(of_record(&items, "customers:10000", &of_city).unwrap(), [&items[1]]);
    }
}
