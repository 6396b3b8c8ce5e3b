//! Records as people write them: `TABLE:KEY` in, the ids that are meant out.
//!
//! `customers:10000` is the record of that label in the ERP, `customers:crm:A-1001` the one in the CRM; an id stands for
//! a label anywhere. A name is looked up on its side whatever the filters say, so that people can ask about a record
//! that no run looks at. What is coupled with what is not known here.

use std::collections::HashMap;
use std::fmt;

use uuid::Uuid;

use crate::config::complaint::near;
use crate::config::{PerSide, Side, TableMap};
use crate::endpoint::{Endpoint, EndpointError, Query};
use crate::extract::of_company;
use crate::frame::Frame;
use crate::store::{Store, StoreError};

/// The name of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The table map.
    pub table: String,
    /// The side on which the record is looked for.
    pub side: Side,
    /// A label or an id, as it was written.
    pub key: String,
}

impl Address {
    /// Reads `TABLE:KEY`, `TABLE:crm:KEY` or `TABLE:erp:KEY`; nothing where a part is missing.
    pub fn parse(text: &str) -> Option<Address> {
        let (table, rest) = text.split_once(':')?;
        let (side, key) = match rest.split_once(':') {
            Some(("crm", key)) => (Side::Crm, key),
            Some(("erp", key)) => (Side::Erp, key),
            _ => (Side::Erp, rest),
        };
        let (table, key) = (table.trim(), key.trim());
        let whole = !table.is_empty() && !key.is_empty();
        whole.then(|| Address { table: table.to_owned(), side, key: key.to_owned() })
    }

    /// Returns the id that the key is, or that stands behind a label as messages write it: `10000 (3f2504e0-…)`.
    pub fn id(&self) -> Option<Uuid> {
        let behind = || self.key.strip_suffix(')')?.rsplit_once(" (").map(|(_, id)| id);
        Uuid::try_parse(&self.key).ok().or_else(|| Uuid::try_parse(behind()?).ok())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.side == Side::Crm { "crm:" } else { "" };
        write!(f, "{}:{side}{}", self.table, self.key)
    }
}

/// Of many records of one name, so many ids say enough.
const SHOWN_MAX: usize = 5;

/// Why an address does not say which record is meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unclear {
    /// Nothing of that name.
    #[error("the {side} has no record `{address}`", side = .0.side.name(), address = .0)]
    Nobody(Address),
    /// The label is no key.
    #[error("{} records of the {side} are named `{address}`", .1.len(), side = .0.side.name(), address = .0)]
    Several(Address, Vec<Uuid>),
    /// The file names no label for that side.
    #[error("`{address}` is no id, and the {side} has no label in the table map", side = .0.side.name(), address = .0)]
    NoLabel(Address),
}

impl Unclear {
    /// Says how to name a record instead.
    pub fn hint(&self) -> String {
        match self {
            Unclear::Nobody(Address { table, side: Side::Erp, .. }) => {
                format!("records are named by ERP label or id; one of the CRM is `{table}:crm:KEY`")
            }
            Unclear::Nobody(Address { table, .. }) => {
                format!("`{table}:crm:KEY` takes a CRM label or id; one of the ERP is `{table}:KEY`")
            }
            Unclear::Several(address, ids) => {
                let named = |id: &Uuid| Address { key: id.to_string(), ..address.clone() }.to_string();
                let shown: Vec<String> = ids.iter().take(SHOWN_MAX).map(named).collect();
                let more = ids.len() - shown.len();
                let more = if more > 0 { format!(", or {more} more") } else { String::new() };
                format!("take one of {}{more}", shown.join(", "))
            }
            Unclear::NoLabel(Address { table, side, .. }) => {
                format!("name it by its id, or set tables.{table}.{}.label", side.key())
            }
        }
    }
}

/// Looks up names of records of one table map; an id is believed only where its record exists.
///
/// Labels are the same whatever their case, as they are to people. One request for each side and kind of name, or a read
/// of the label column alone where the side cannot be asked by it.
pub fn find(
    map: &TableMap,
    endpoints: PerSide<&dyn Endpoint>,
    addresses: &[Address],
) -> Result<Vec<Result<Uuid, Unclear>>, EndpointError> {
    let mut frames: PerSide<(Option<Frame>, Option<Frame>)> = PerSide::default();
    for side in Side::BOTH {
        let here = || addresses.iter().filter(|address| address.side == side);
        let ids: Vec<Uuid> = here().filter_map(Address::id).collect();
        let labels: Vec<String> =
            here().filter(|address| address.id().is_none()).map(|address| address.key.clone()).collect();
        let endpoint = *endpoints.of(side);
        let by_id = if ids.is_empty() { None } else { Some(read(map, side, endpoint, Wanted::Ids(ids))?) };
        let by_label = match map.sides.of(side).label {
            Some(_) if !labels.is_empty() => Some(read(map, side, endpoint, Wanted::Labels(&labels))?),
            _ => None,
        };
        *frames.of_mut(side) = (by_id, by_label);
    }
    let found = |address: &Address| {
        let (by_id, by_label) = frames.of(address.side);
        if let Some(id) = address.id() {
            let there = by_id.as_ref().is_some_and(|frame| frame.ids().contains(&id));
            return if there { Ok(id) } else { Err(Unclear::Nobody(address.clone())) };
        }
        let (Some(frame), Some(label)) = (by_label, &map.sides.of(address.side).label) else {
            return Err(Unclear::NoLabel(address.clone()));
        };
        let bears = |row: &usize| same(&frame.value(label, *row).to_string(), &address.key);
        let mut ids: Vec<Uuid> = (0..frame.rows()).filter(bears).map(|row| frame.id(row)).collect();
        ids.sort_unstable();
        match ids.as_slice() {
            [] => Err(Unclear::Nobody(address.clone())),
            [id] => Ok(*id),
            _ => Err(Unclear::Several(address.clone(), ids)),
        }
    };
    Ok(addresses.iter().map(found).collect())
}

/// How many names are worth telling where one is not there.
const SIMILAR_MAX: usize = 3;

/// Returns labels of each side that come close to a key that nobody bears, the closest first.
///
/// Reads the label columns of both sides.
pub fn similar(
    map: &TableMap,
    endpoints: PerSide<&dyn Endpoint>,
    key: &str,
) -> Result<PerSide<Vec<String>>, EndpointError> {
    let mut similar = PerSide::default();
    for side in Side::BOTH {
        let Some(label) = &map.sides.of(side).label else { continue };
        let frame = read(map, side, *endpoints.of(side), Wanted::All)?;
        let labels: Vec<String> = (0..frame.rows()).map(|row| frame.value(label, row).to_string()).collect();
        let mut labels: Vec<&str> = labels.iter().map(|label| label.trim()).filter(|label| !label.is_empty()).collect();
        labels.sort_unstable();
        labels.dedup();
        *similar.of_mut(side) = near(key, labels).into_iter().take(SIMILAR_MAX).map(str::to_owned).collect();
    }
    Ok(similar)
}

/// Returns what people called both records of a pair when it was last settled, as far as the state keeps values.
pub fn when_settled(
    store: &dyn Store,
    map: &TableMap,
    ids: PerSide<Uuid>,
) -> Result<PerSide<Option<String>>, StoreError> {
    let values = store.base_values(&map.name, ids.erp, ids.crm)?;
    Ok(PerSide::from_fn(|side| {
        let label = map.sides.of(side).label.as_deref()?;
        let field = map.fields.iter().find(|field| field.column(side) == Some(label))?;
        let key = values.get(&field.key())?.of(side).trim();
        (!key.is_empty()).then(|| Address { table: map.name.clone(), side, key: key.to_owned() }.to_string())
    }))
}

/// Returns the labels of records of a side, of some or of all, whatever the filters say; a blank one is left out, and all
/// are where the file names no label there.
///
/// Reads the label column alone.
pub fn labels(
    map: &TableMap,
    side: Side,
    endpoint: &dyn Endpoint,
    ids: Option<Vec<Uuid>>,
) -> Result<HashMap<Uuid, String>, EndpointError> {
    let Some(label) = &map.sides.of(side).label else { return Ok(HashMap::new()) };
    let frame = read(map, side, endpoint, ids.map_or(Wanted::All, Wanted::Ids))?;
    let labels = (0..frame.rows()).map(|row| (frame.id(row), frame.value(label, row).to_string()));
    Ok(labels.filter(|(_, label)| !label.trim().is_empty()).collect())
}

/// Records to be read.
enum Wanted<'a> {
    Ids(Vec<Uuid>),
    Labels(&'a [String]),
    All,
}

/// Reads the labels of records, those of another company left out.
fn read(map: &TableMap, side: Side, endpoint: &dyn Endpoint, wanted: Wanted<'_>) -> Result<Frame, EndpointError> {
    let info = endpoint.describe(&map.sides.of(side).table)?;
    let label = map.sides.of(side).label.clone();
    let company = map.company_of(side).map(|company| company.column.to_owned());
    let mut columns: Vec<String> = label.iter().cloned().collect();
    columns.extend(company.filter(|company| label.as_ref() != Some(company)));
    let mut query = Query { info: &info, columns, filter: None, ids: None };
    let frame = match (wanted, label) {
        (Wanted::Labels(labels), Some(label)) => match endpoint.read_holding(&query, &label, labels)? {
            Some(frame) => frame,
            None => endpoint.read(&query, &|_| {})?,
        },
        (Wanted::Ids(ids), _) => {
            query.ids = Some(ids);
            endpoint.read(&query, &|_| {})?
        }
        (Wanted::Labels(_), None) | (Wanted::All, _) => endpoint.read(&query, &|_| {})?,
    };
    Ok(of_company(map, side, frame))
}

fn same(label: &str, key: &str) -> bool {
    label.trim().to_lowercase() == key.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_table_a_side_and_a_key() {
        let id = "3f2504e0-4f89-11d3-9a0c-0305e82c3301";
        for (text, expected) in [
            ("customers:10000", Some(("customers", Side::Erp, "10000"))),
            ("customers:crm:A-1001", Some(("customers", Side::Crm, "A-1001"))),
            ("customers:erp:crm:1", Some(("customers", Side::Erp, "crm:1"))),
            ("customers:a:b", Some(("customers", Side::Erp, "a:b"))),
            ("people:crm:a@b.example", Some(("people", Side::Crm, "a@b.example"))),
            ("customers:", None),
            ("customers:crm:", None),
            (":10000", None),
            ("customers", None),
            ("", None),
        ] {
            let address = Address::parse(text);
            let expected = expected.map(|(table, side, key)| Address { table: table.into(), side, key: key.into() });
            assert_eq!(address, expected, "{text}");
        }
        let id_of = |text: &str| Address::parse(text).unwrap().id().map(|id| id.to_string());
        assert_eq!(id_of(&format!("customers:{id}")).as_deref(), Some(id));
        assert_eq!(id_of(&format!("customers:crm:10000 ({id})")).as_deref(), Some(id));
        assert_eq!(id_of("customers:10000 (Berlin)"), None);
        assert_eq!(id_of("customers:10000"), None);
    }

    #[test]
    fn of_many_records_of_one_name_the_first_are_named() {
        let address = Address { table: "customers".into(), side: Side::Crm, key: "1".into() };
        let of = |number: u128| Unclear::Several(address.clone(), (1..=number).map(Uuid::from_u128).collect()).hint();
        assert!(of(5).ends_with("0000-000000000005"), "{}", of(5));
        assert!(of(1000).ends_with("0000-000000000005, or 995 more"), "{}", of(1000));
    }

    #[test]
    fn an_address_is_written_as_it_is_read() {
        for text in ["customers:10000", "customers:crm:A-1001"] {
            assert_eq!(Address::parse(text).unwrap().to_string(), text);
        }
    }
}
