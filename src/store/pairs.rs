//! What waits and what is decided, found by the pair that it is about: of thousands nobody looks at each for each.

use std::collections::HashMap;
use std::hash::Hash;

use uuid::Uuid;

use crate::store::{Decision, InboxItem};

/// Things by what they are about; of one subject in the order in which they came.
#[derive(Debug)]
struct Groups<K, T>(HashMap<K, Vec<T>>);

impl<K: Eq + Hash, T> Groups<K, T> {
    fn new(all: impl Iterator<Item = (K, T)>) -> Groups<K, T> {
        let mut groups: HashMap<K, Vec<T>> = HashMap::new();
        for (key, one) in all {
            groups.entry(key).or_default().push(one);
        }
        Groups(groups)
    }

    fn of(&self, key: &K) -> &[T] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }
}

/// A table map and the records of both sides, as far as they are known.
type Ids<'a> = (&'a str, Option<Uuid>, Option<Uuid>);

fn ids(item: &InboxItem) -> Ids<'_> {
    (&item.table, item.erp_id, item.crm_id)
}

fn pair(decision: &Decision) -> Ids<'_> {
    (&decision.table, Some(decision.ids.erp), Some(decision.ids.crm))
}

/// Decisions by their pairs.
#[derive(Debug)]
pub struct Decisions<'a>(Groups<Ids<'a>, &'a Decision>);

impl<'a> Decisions<'a> {
    /// Groups decisions.
    pub fn new(all: impl IntoIterator<Item = &'a Decision>) -> Decisions<'a> {
        Decisions(Groups::new(all.into_iter().map(|decision| (pair(decision), decision))))
    }

    /// Returns the first decision about an item, with the values that it has now.
    pub fn about(&self, item: &InboxItem) -> Option<&'a Decision> {
        self.0.of(&ids(item)).iter().copied().find(|decision| decision.is_about(item))
    }

    /// Returns the first decision about the field of an item, or about its pair, on whatever values.
    pub fn on_field_of(&self, item: &InboxItem) -> Option<&'a Decision> {
        self.0.of(&ids(item)).iter().copied().find(|decision| decision.field_name() == item.field.as_deref())
    }

    /// Returns the first decision about the same as another one.
    pub fn same(&self, other: &Decision) -> Option<&'a Decision> {
        self.0.of(&pair(other)).iter().copied().find(|decision| decision.field == other.field)
    }
}

/// What waits, by its records.
#[derive(Debug)]
pub struct Items<'a>(Groups<Ids<'a>, &'a InboxItem>);

impl<'a> Items<'a> {
    /// Groups items.
    pub fn new(all: impl IntoIterator<Item = &'a InboxItem>) -> Items<'a> {
        Items(Groups::new(all.into_iter().map(|item| (ids(item), item))))
    }

    /// Returns what waits of these records, `None` for one that is not known.
    pub fn of<'s>(&'s self, table: &'s str, erp: Option<Uuid>, crm: Option<Uuid>) -> &'s [&'a InboxItem] {
        self.0.of(&(table, erp, crm))
    }

    /// Returns the first item that a decision is about.
    pub fn decided(&self, decision: &Decision) -> Option<&'a InboxItem> {
        self.0.of(&pair(decision)).iter().copied().find(|item| decision.is_about(item))
    }

    /// Tells whether an item is among them.
    pub fn contains(&self, item: &InboxItem) -> bool {
        self.0.of(&ids(item)).contains(&item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PerSide;
    use crate::store::{Background, Decided, InboxKind};

    #[test]
    fn a_decision_and_what_it_is_about_find_each_other() {
        let ids = PerSide { erp: Uuid::from_u128(1), crm: Uuid::from_u128(2) };
        let text = |text: &str| Some(text.to_owned());
        let item = InboxItem {
            table: "customers".to_owned(),
            record: "customers:C1".to_owned(),
            kind: InboxKind::Contested,
            erp_id: Some(ids.erp),
            crm_id: Some(ids.crm),
            field: text("phone"),
            base: None,
            erp: text("1"),
            crm: text("2"),
            message: String::new(),
            outstanding: None,
            since: String::new(),
            attempts: 1,
            background: Background::default(),
        };
        let decision = Decision {
            table: "customers".to_owned(),
            record: "customers:C1".to_owned(),
            ids,
            field: text("phone=telephone"),
            verdict: Decided::Restore,
            values: PerSide { erp: "1".to_owned(), crm: "2".to_owned() },
            seen: None,
            at: String::new(),
            unmet: None,
            ended: None,
        };
        let other = Decision { field: text("other=x"), ..decision.clone() };
        let (decided, others) = ([other.clone(), decision.clone()], [item.clone()]);
        let (decisions, items) = (Decisions::new(&decided), Items::new(&others));
        assert_eq!(decisions.about(&item), Some(&decision));
        assert_eq!((decisions.same(&other), items.decided(&decision)), (Some(&other), Some(&item)));
        assert_eq!((items.decided(&other), items.contains(&item)), (None, true));
        assert_eq!(items.of(&item.table, item.erp_id, item.crm_id), [&item]);
        // The same records of another table map, and the same item with another value, are something else.
        let moved = InboxItem { table: "others".to_owned(), ..item.clone() };
        let edited = InboxItem { erp: text("3"), ..item };
        assert_eq!((decisions.about(&moved), decisions.about(&edited)), (None, None));
        assert_eq!((decisions.on_field_of(&moved), decisions.on_field_of(&edited)), (None, Some(&decision)));
        assert!(!items.contains(&moved) && !items.contains(&edited));
    }
}
