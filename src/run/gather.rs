//! Records brought together one by one: ids in, their couplings and partners out, with as few requests as it takes.
//!
//! Whatever is coupled comes with its partner; a partner that does not come although it was asked for by id is for the
//! pass to find out about. Why a record is wanted is not known here.

use std::collections::{BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::couple::rows_by_id;
use crate::endpoint::EndpointError;
use crate::extract::{self, Inside, Scope};
use crate::frame::Frame;
use crate::run::account::Mode;
use crate::run::context::Context;
use crate::run::reading::{Reading, sorted};
use crate::run::rows::without;
use crate::run::step::PassError;
use crate::store::{Couplings, OpenIntent, Watermark};

/// What has been brought together of one table map.
pub(super) struct Gathered<'a> {
    context: &'a Context<'a>,
    scope: &'a Scope,
    map: &'a TableMap,
    couplings: &'a Couplings,
    /// The coupling of each coupled record.
    coupled: PerSide<HashMap<Uuid, usize>>,
    /// Everything read, inside the filters or not.
    pub(super) rows: PerSide<Frame>,
    /// Records that came and are of no interest, unless somebody wants them.
    spares: PerSide<Frame>,
    /// Records that came, or were asked for by id.
    seen: PerSide<HashSet<Uuid>>,
    wanted: PerSide<HashSet<Uuid>>,
    selected: BTreeSet<usize>,
}

impl<'a> Gathered<'a> {
    /// Starts with nothing.
    pub(super) fn new(
        context: &'a Context<'a>,
        scope: &'a Scope,
        map: &'a TableMap,
        couplings: &'a Couplings,
    ) -> Gathered<'a> {
        let index = |ids: &[Uuid]| ids.iter().enumerate().map(|(coupling, id)| (*id, coupling)).collect();
        Gathered {
            context,
            scope,
            map,
            couplings,
            coupled: PerSide { erp: index(&couplings.erp), crm: index(&couplings.crm) },
            rows: PerSide::from_fn(|side| scope.empty(side)),
            spares: PerSide::from_fn(|side| scope.empty(side)),
            seen: PerSide::default(),
            wanted: PerSide::default(),
            selected: BTreeSet::new(),
        }
    }

    /// Returns how many records have a partner.
    pub(super) fn couplings_count(&self) -> usize {
        self.couplings.len()
    }

    /// Tells whether a record has a partner.
    pub(super) fn is_coupled(&self, side: Side, id: Uuid) -> bool {
        self.coupled.of(side).contains_key(&id)
    }

    /// Takes over records that were just read, and wants the partners of those that have one.
    pub(super) fn add(&mut self, side: Side, frame: &Frame) {
        let known = rows_by_id(self.rows.of(side));
        let new = without(frame, |id| known.contains_key(id));
        let ids = new.ids();
        self.seen.of_mut(side).extend(ids.iter().copied());
        self.rows.of_mut(side).upsert(&new);
        self.want(side, ids);
    }

    /// Takes over records that need not be looked at for their own sake.
    pub(super) fn spare(&mut self, side: Side, frame: Frame) {
        *self.spares.of_mut(side) = frame;
    }

    /// Wants records, and the partners of those that have one.
    pub(super) fn want(&mut self, side: Side, ids: Vec<Uuid>) {
        for id in ids {
            self.wanted.of_mut(side).insert(id);
            if let Some(&coupling) = self.coupled.of(side).get(&id)
                && self.selected.insert(coupling)
            {
                self.wanted.erp.insert(self.couplings.erp[coupling]);
                self.wanted.crm.insert(self.couplings.crm[coupling]);
            }
        }
    }

    /// Wants the records of writes that nobody knows the end of: whether one arrived, only reading tells.
    pub(super) fn want_written(&mut self, under_way: &[OpenIntent]) {
        for OpenIntent { intent, .. } in under_way {
            self.want(intent.side, vec![intent.id]);
            self.want(intent.side.other(), vec![intent.partner]);
        }
    }

    /// Reads what is wanted and was not read yet.
    pub(super) fn fetch(&mut self) -> Result<(), PassError> {
        for side in Side::BOTH {
            let mut ids = std::mem::take(self.wanted.of_mut(side));
            ids.retain(|id| !self.seen.of(side).contains(id));
            if ids.is_empty() {
                continue;
            }
            self.seen.of_mut(side).extend(ids.iter().copied());
            let spares = without(self.spares.of(side), |id| !ids.contains(id));
            spares.ids().iter().for_each(|id| {
                ids.remove(id);
            });
            self.rows.of_mut(side).upsert(&spares);
            let frame = read_some(self.context, self.scope, self.map, side, ids, self.couplings.len())?;
            self.rows.of_mut(side).upsert(&frame);
        }
        Ok(())
    }

    /// Splits what was read at the filters.
    pub(super) fn split(&self, side: Side) -> Result<(Inside, Frame), EndpointError> {
        let rows = self.rows.of(side);
        let inside = extract::inside(self.map, side, rows.clone())?;
        let (ids, undecided) = (rows_by_id(&inside.frame), rows_by_id(&inside.undecided));
        let beyond = without(rows, |id| ids.contains_key(id) || undecided.contains_key(id));
        Ok((inside, beyond))
    }

    /// Returns the records that are wanted and have a partner that is not there any more.
    pub(super) fn widowed(&self) -> PerSide<HashSet<Uuid>> {
        let there = PerSide::from_fn(|side| rows_by_id(self.rows.of(side)));
        let mut widowed: PerSide<HashSet<Uuid>> = PerSide::default();
        for &coupling in &self.selected {
            let (erp, crm) = (self.couplings.erp[coupling], self.couplings.crm[coupling]);
            match (there.erp.contains_key(&erp), there.crm.contains_key(&crm)) {
                (true, false) => drop(widowed.erp.insert(erp)),
                (false, true) => drop(widowed.crm.insert(crm)),
                _ => {}
            }
        }
        widowed
    }

    /// Makes of it what a pass works on.
    pub(super) fn finish(
        self,
        mode: Mode,
        mark: Option<Watermark>,
        again: PerSide<Vec<(Uuid, u64)>>,
    ) -> Result<Reading, PassError> {
        let (erp, crm) = (self.split(Side::Erp)?, self.split(Side::Crm)?);
        let selected: Vec<usize> = self.selected.into_iter().collect();
        Ok(Reading {
            mode,
            inside: PerSide { erp: erp.0, crm: crm.0 },
            besides: Some(PerSide { erp: erp.1, crm: crm.1 }),
            couplings: Some(selected),
            mark,
            whole_to: None,
            again,
            note: None,
        })
    }
}

/// Reads the records of these ids, whatever takes fewer requests: asking for them, or reading the table, of which about
/// `rows_count` records are inside the filter.
pub(super) fn read_some(
    context: &Context<'_>,
    scope: &Scope,
    map: &TableMap,
    side: Side,
    ids: HashSet<Uuid>,
    rows_count: usize,
) -> Result<Frame, EndpointError> {
    let endpoint = *context.endpoints.of(side);
    let bounds = endpoint.bounds();
    let by_id = ids.len().div_ceil(bounds.ids_max.max(1));
    let whole = rows_count.div_ceil(bounds.page_rows_max.max(1)).max(1);
    let mut found = scope.empty(side);
    let mut left = ids;
    if by_id > whole {
        let all = extract::read_side(map, scope, side, endpoint, &|_| {})?.frame;
        found = without(&all, |id| !left.contains(id));
        found.ids().iter().for_each(|id| {
            left.remove(id);
        });
    }
    found.upsert(&extract::read_ids(scope, side, endpoint, sorted(left))?);
    Ok(found)
}
