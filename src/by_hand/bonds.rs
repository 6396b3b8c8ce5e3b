//! What a person was shown of couplings, held against what is so once the state is held for writing.
//!
//! A question takes as long as a person thinks, and a run beside it must not wait for that: so it is asked before the state
//! is taken, and what was shown is looked at again afterwards.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::{PerSide, Side};
use crate::store::{Store, StoreError};

/// One record of a table map, and what the state says of its ties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bond {
    pub table: String,
    pub side: Side,
    pub id: Uuid,
    /// The pair that it belongs to.
    pub pair: Option<PerSide<Uuid>>,
    /// Since when it is kept apart.
    pub apart: Option<String>,
}

/// Looks at the ties of both records of pairs.
pub fn bonds<'a>(
    store: &dyn Store,
    pairs: impl IntoIterator<Item = (&'a str, PerSide<Uuid>)>,
) -> Result<Vec<Bond>, StoreError> {
    let mut seen = HashSet::new();
    let mut bonds = Vec::new();
    for (table, ids) in pairs {
        for side in Side::BOTH {
            let id = *ids.of(side);
            if seen.insert((table, side, id)) {
                let pair = store.coupling_of(table, side, id)?.map(|coupling| coupling.ids);
                let apart = store.kept_apart_since(table, side, id)?;
                bonds.push(Bond { table: table.to_owned(), side, id, pair, apart });
            }
        }
    }
    Ok(bonds)
}

/// Returns the first record whose ties are not what they were.
pub fn moved<'a>(store: &dyn Store, before: &'a [Bond]) -> Result<Option<&'a Bond>, StoreError> {
    for bond in before {
        let pair = store.coupling_of(&bond.table, bond.side, bond.id)?.map(|coupling| coupling.ids);
        if pair != bond.pair || store.kept_apart_since(&bond.table, bond.side, bond.id)? != bond.apart {
            return Ok(Some(bond));
        }
    }
    Ok(None)
}
