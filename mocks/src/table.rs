//! An in-memory table: rows in the order of their primary key, found by that key or by their id.
//!
//! The order is what makes paging stable. The row type is the fake's own; the table knows nothing of its columns.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use uuid::Uuid;

/// Rows ordered by primary key, each with an id that never changes.
#[derive(Debug, Clone)]
pub struct Table<R> {
    rows: BTreeMap<String, (Uuid, R)>,
    keys: HashMap<Uuid, String>,
}

/// What stood in the way of an insertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// A row has that primary key.
    Key,
    /// A row has that id.
    Id,
}

impl<R> Default for Table<R> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), keys: HashMap::new() }
    }
}

impl<R> Table<R> {
    /// Adds a row, or says which of its two keys another row has.
    pub fn insert(&mut self, key: String, id: Uuid, row: R) -> Result<(), Taken> {
        if self.rows.contains_key(&key) {
            return Err(Taken::Key);
        }
        if self.keys.contains_key(&id) {
            return Err(Taken::Id);
        }
        self.keys.insert(id, key.clone());
        self.rows.insert(key, (id, row));
        Ok(())
    }

    /// Returns the row of that id.
    pub fn get(&self, id: &Uuid) -> Option<&R> {
        Some(&self.rows.get(self.keys.get(id)?)?.1)
    }

    /// Returns the row of that id, to be changed in all but its primary key.
    pub fn get_mut(&mut self, id: &Uuid) -> Option<&mut R> {
        Some(&mut self.rows.get_mut(self.keys.get(id)?)?.1)
    }

    /// Returns the primary key of the row of that id.
    pub fn key(&self, id: &Uuid) -> Option<&str> {
        self.keys.get(id).map(String::as_str)
    }

    /// Returns the id and the row of a primary key.
    pub fn find(&self, key: &str) -> Option<(Uuid, &R)> {
        self.rows.get(key).map(|(id, row)| (*id, row))
    }

    /// Moves a row to another primary key; its id stays.
    pub fn rename(&mut self, id: &Uuid, key: String) -> Result<(), Taken> {
        if self.rows.contains_key(&key) {
            return Err(Taken::Key);
        }
        if let Some(old) = self.keys.get_mut(id)
            && let Some(row) = self.rows.remove(old)
        {
            self.rows.insert(key.clone(), row);
            *old = key;
        }
        Ok(())
    }

    /// Takes a row out.
    pub fn remove(&mut self, id: &Uuid) -> Option<R> {
        let key = self.keys.remove(id)?;
        self.rows.remove(&key).map(|(_, row)| row)
    }

    /// Walks key, id and row in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Uuid, &R)> {
        self.rows.iter().map(|(key, (id, row))| (key.as_str(), *id, row))
    }

    /// Walks what comes after a key, which need not exist any more.
    pub fn after(&self, key: &str) -> impl Iterator<Item = (&str, Uuid, &R)> {
        let rows = self.rows.range::<str, _>((Bound::Excluded(key), Bound::Unbounded));
        rows.map(|(key, (id, row))| (key.as_str(), *id, row))
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Tells whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_order_and_both_keys_are_unique() {
        let ids = [1, 2, 3].map(Uuid::from_u128);
        let mut table = Table::default();
        table.insert("20".into(), ids[0], 'b').unwrap();
        table.insert("10".into(), ids[1], 'a').unwrap();
        assert_eq!(table.insert("10".into(), ids[2], 'x'), Err(Taken::Key));
        assert_eq!(table.insert("30".into(), ids[0], 'x'), Err(Taken::Id));
        table.insert("30".into(), ids[2], 'c').unwrap();
        assert_eq!(table.iter().map(|(_, _, row)| *row).collect::<String>(), "abc");
        assert_eq!(table.rename(&ids[1], "20".into()), Err(Taken::Key));
        table.rename(&ids[1], "40".into()).unwrap();
        assert_eq!(table.after("20").map(|(_, _, row)| *row).collect::<String>(), "ca");
        assert_eq!((table.key(&ids[1]), table.find("10")), (Some("40"), None));
        assert_eq!(table.remove(&ids[1]), Some('a'));
        assert_eq!((table.get(&ids[1]), table.len()), (None, 2));
    }
}
