//! What a person asked of one run: named records, one direction, one side that wins. Names in, ids out.
//!
//! A run over named records writes those records and nothing else, so everything that it decides about others on the way
//! is dropped, and what waits of others stays as it is.

use std::collections::HashSet;

use uuid::Uuid;

use crate::address::{Address, Unclear, find};
use crate::config::{PerSide, Pipeline, Side, TableMap};
use crate::delta::Force;
use crate::endpoint::{Endpoint, EndpointError};
use crate::store::Couplings;

/// What a run is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Records of table maps that are not named as a whole.
    pub records: Vec<Address>,
    /// The one side that is written; what would go to the other one stays undone, and is not forgotten.
    pub to: Option<Side>,
    /// One side wins in two-way fields.
    pub force: Option<Force>,
    /// Pairs that somebody may couple, by table map: a dry run takes them for coupled.
    pub pairs: Vec<(String, PerSide<Uuid>)>,
    /// A person wants partners made for the named records, also for those that are kept apart, and those of which the partner was
    /// deleted get it back.
    pub create: bool,
    /// Partners are made even where the other side has somebody who looks the same, kept apart or outside the filter.
    pub double: bool,
}

impl Selection {
    /// Tells whether a table map has anything to do with it.
    pub(super) fn reaches(&self, map: &TableMap) -> bool {
        let sides = [self.to, self.force.as_ref().map(|force| force.to)];
        sides.into_iter().flatten().all(|side| map.direction.writes(side))
    }

    /// Says of the table maps that are left out for their direction why that is.
    pub(super) fn left_out(&self, maps: &[&TableMap]) -> Option<String> {
        let to = self.to.or(self.force.as_ref().map(|force| force.to))?;
        let option = if self.to.is_some() { "direction" } else { "force" };
        let names: Vec<String> = maps.iter().map(|map| format!("`{}`", map.name)).collect();
        (!names.is_empty()).then(|| {
            let does = if names.len() == 1 { "writes" } else { "write" };
            format!(
                "left out by `--{option} to_{}`: {}, which {does} only to the {}",
                to.key(),
                names.join(", "),
                to.other().name()
            )
        })
    }
}

/// A record that was asked for by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) address: Address,
    pub(super) id: Uuid,
}

/// Looks up all names; `Err` within tells of each that means nothing, or several records.
pub(super) fn look_up(
    pipeline: &Pipeline,
    endpoints: PerSide<&dyn Endpoint>,
    addresses: &[Address],
) -> Result<Result<Vec<Named>, Vec<Unclear>>, EndpointError> {
    let (mut named, mut unclear): (Vec<Named>, Vec<Unclear>) = Default::default();
    for map in &pipeline.tables {
        let of_map: Vec<Address> = addresses.iter().filter(|address| address.table == map.name).cloned().collect();
        if of_map.is_empty() {
            continue;
        }
        for (address, found) in of_map.iter().zip(find(map, endpoints, &of_map)?) {
            match found {
                Ok(id) => named.push(Named { address: address.clone(), id }),
                Err(why) => unclear.push(why),
            }
        }
    }
    Ok(if unclear.is_empty() { Ok(named) } else { Err(unclear) })
}

/// The records of one table map that a run is about, by their sides.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    ids: PerSide<HashSet<Uuid>>,
    /// Those that had a partner when the pass began.
    coupled: PerSide<HashSet<Uuid>>,
}

impl Asked {
    /// Takes the named records of a table map.
    pub(super) fn of(map: &TableMap, named: &[Named]) -> Asked {
        let ids = PerSide::from_fn(|side| {
            let here = named.iter().filter(|named| named.address.table == map.name && named.address.side == side);
            here.map(|named| named.id).collect()
        });
        Asked { ids, ..Asked::default() }
    }

    /// Adds the partners of those that have one.
    pub(super) fn with_partners(mut self, couplings: &Couplings) -> Asked {
        for (erp, crm) in couplings.erp.iter().zip(&couplings.crm) {
            if self.ids.erp.contains(erp) || self.ids.crm.contains(crm) {
                for ids in [&mut self.ids, &mut self.coupled] {
                    ids.erp.insert(*erp);
                    ids.crm.insert(*crm);
                }
            }
        }
        self
    }

    /// Returns the records of a side.
    pub(super) fn ids(&self, side: Side) -> &HashSet<Uuid> {
        self.ids.of(side)
    }

    /// Tells whether one of them had a partner when the pass began.
    pub(super) fn was_coupled(&self, side: Side, id: Uuid) -> bool {
        self.coupled.of(side).contains(&id)
    }

    /// Tells whether something is about one of them, by the ids that are known of it.
    pub(super) fn holds(&self, erp: Option<Uuid>, crm: Option<Uuid>) -> bool {
        erp.is_some_and(|id| self.ids.erp.contains(&id)) || crm.is_some_and(|id| self.ids.crm.contains(&id))
    }
}
