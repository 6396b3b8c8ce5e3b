//! Couplings that people make: names of two records in, a coupling out, or everything that stands in its way.
//!
//! Nothing is decided about values here; the next run compares the pair like any that is newly coupled. What is done is
//! written into the journal together with the coupling, so that it can be told later who belongs together since when
//! and why. Neither side is written.

pub mod bonds;
pub mod parting;

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::address::{Address, find};
use crate::binding::Binding;
use crate::by_hand::parting::parted_from;
use crate::config::{PerSide, Pipeline, Side, TableMap};
use crate::couple::rows_by_id;
use crate::delta::names::Names;
use crate::endpoint::{Endpoint, Hidden, Key};
use crate::extract::{self, Scope, Undecided};
use crate::frame::Frame;
use crate::run::RunError;
use crate::run::prepare::{belongs_to, elsewhere, note_tables};
use crate::run::{orphans, remembered};
use crate::store::{
    Answer, CouplingChange, Couplings, InboxItem, InboxKind, Intent, Origin, RunRow, Store, StoreError,
};

/// Requests by id; where it takes more, the table is read.
const REQUESTS_MAX: usize = 20;

/// Two records that somebody wants to couple.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where it stands in a list, for messages.
    pub line: Option<usize>,
    /// Both names; they have to be of different sides.
    pub addresses: [Address; 2],
}

/// Two records that can be coupled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub ids: PerSide<Uuid>,
    /// As people name it.
    pub record: String,
    /// The record of the CRM as people name it, or its id.
    pub partner: String,
    pub origin: Origin,
    /// Couplings of theirs whose other record is gone; they end.
    pub dead: Vec<Dead>,
    /// What is odd about it, and no reason against it.
    pub notes: Vec<String>,
}

/// A coupling of which one record is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dead {
    pub ids: PerSide<Uuid>,
    pub gone: Side,
}

/// What somebody wants to couple, when nothing is against it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    pub pairs: Vec<Pair>,
    /// Pairs of a list that are coupled with each other already.
    pub already: Vec<PerSide<Uuid>>,
}

/// Why something that a person asked for cannot be done, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    pub line: Option<usize>,
    pub message: String,
    pub hint: String,
}

/// Both sides, and what the file says.
pub struct Desk<'a> {
    pub pipeline: &'a Pipeline,
    pub endpoints: PerSide<&'a dyn Endpoint>,
    pub map: &'a TableMap,
    /// What a state has to belong to.
    binding: Binding,
}

impl<'a> Desk<'a> {
    /// Opens both sides, and makes sure that the state belongs to them.
    pub fn open(
        pipeline: &'a Pipeline,
        endpoints: PerSide<&'a dyn Endpoint>,
        store: &dyn Store,
        map: &'a TableMap,
    ) -> Result<Desk<'a>, RunError> {
        let binding = belongs_to(pipeline, endpoints, store.binding()?.as_ref())?;
        Ok(Desk { pipeline, endpoints, map, binding })
    }

    /// Notes what the state belongs to, once it is held for writing; refuses one that was bound to others meanwhile.
    pub fn bind(&self, store: &mut dyn Store) -> Result<(), RunError> {
        let bound = store.binding()?;
        if let Some(bound) = &bound {
            bound.of_pipeline(&self.pipeline.name)?;
            bound.of_sides(&self.binding.sides)?;
        }
        if bound.as_ref() != Some(&self.binding) {
            store.bind(&self.binding)?;
        }
        Ok(())
    }

    /// Looks at pairs that somebody wants to couple; all objections at once, and nothing is done then.
    ///
    /// That the two are coupled with each other already is an objection to a single pair. In a list it is none: what was
    /// exported can be read back.
    pub fn look(&self, store: &dyn Store, wanted: &[Wanted]) -> Result<Result<Looked, Vec<Objection>>, RunError> {
        self.refuse_other_table(store)?;
        let mut objections = Vec::new();
        let flat: Vec<Address> = wanted.iter().flat_map(|wanted| wanted.addresses.clone()).collect();
        let found = find(self.map, self.endpoints, &flat)?;
        let mut pairs: Vec<(Option<usize>, PerSide<Uuid>)> = Vec::new();
        for (wanted, found) in wanted.iter().zip(found.chunks(2)) {
            let mut object = |message: String, hint: String| {
                objections.push(Objection { line: wanted.line, message, hint });
            };
            let [one, other] = &wanted.addresses;
            if one.side == other.side {
                let hint = "couple one of the ERP with one of the CRM".to_owned();
                object(format!("`{one}` and `{other}` are both of the {}", one.side.name()), hint);
                continue;
            }
            match (&found[0], &found[1]) {
                (Ok(one_id), Ok(other_id)) if one.side == Side::Erp => {
                    pairs.push((wanted.line, PerSide { erp: *one_id, crm: *other_id }));
                }
                (Ok(one_id), Ok(other_id)) => pairs.push((wanted.line, PerSide { erp: *other_id, crm: *one_id })),
                (one, other) => {
                    for unclear in [one, other].into_iter().filter_map(|found| found.as_ref().err()) {
                        object(unclear.to_string(), unclear.hint());
                    }
                }
            }
        }
        let known = Known::of(self, store, pairs.iter().map(|(_, ids)| *ids))?;
        let mut taken: PerSide<HashSet<Uuid>> = PerSide::default();
        let mut good = Looked::default();
        for (line, ids) in pairs {
            let record = known.name(Side::Erp, ids.erp);
            let mut is_known = false;
            let mut dead = Vec::new();
            let mut against = Vec::new();
            for side in Side::BOTH {
                let id = *ids.of(side);
                if !taken.of_mut(side).insert(id) {
                    against
                        .push((format!("{} is named twice", known.name(side, id)), "each has one partner".to_owned()));
                }
                let Some(pair) = known.coupled.of(side).get(&id).copied() else { continue };
                let partner = *pair.of(side.other());
                if pair == ids {
                    is_known = line.is_some();
                    if side == Side::Erp && !is_known {
                        let hint = format!("`pipeline run FILE --only {record}` makes the two equal");
                        against.push((
                            format!("{record} and {} are coupled already", known.name(Side::Crm, ids.crm)),
                            hint,
                        ));
                    }
                } else if known.exists(side.other(), partner) {
                    let own = known.name(side, id);
                    let message = format!("{own} is coupled already, with {}", known.name(side.other(), partner));
                    against.push((message, format!("part the two first: `pipeline uncouple FILE {own}`")));
                } else {
                    dead.push(Dead { ids: pair, gone: side.other() });
                }
            }
            if against.is_empty() && is_known {
                good.already.push(ids);
            } else if against.is_empty() {
                let notes = known.notes(self.map, ids, &dead)?;
                let partner = known.name(Side::Crm, ids.crm);
                good.pairs.push(Pair { ids, record, partner, origin: Origin::Hand, dead, notes });
            }
            objections.extend(against.into_iter().map(|(message, hint)| Objection { line, message, hint }));
        }
        objections.sort_by_key(|objection| objection.line);
        Ok(if objections.is_empty() { Ok(good) } else { Err(objections) })
    }

    /// Looks at records that are to get a partner made: returns the couplings that are dead, and what is against it.
    pub fn look_alone(
        &self,
        store: &dyn Store,
        addresses: &[Address],
    ) -> Result<Result<Vec<Pair>, Vec<Objection>>, RunError> {
        self.refuse_other_table(store)?;
        let couplings = store.couplings(&self.map.name, &[])?;
        let pairs = pairs_by_id(&couplings);
        let (mut dead, mut objections): (Vec<Pair>, Vec<Objection>) = Default::default();
        let found = find(self.map, self.endpoints, addresses)?;
        let coupled = addresses
            .iter()
            .zip(&found)
            .filter_map(|(address, found)| pairs.of(address.side).get(found.as_ref().ok()?).copied());
        let known = Known::of(self, store, coupled)?;
        for (address, found) in addresses.iter().zip(&found) {
            match found {
                Err(unclear) => {
                    objections.push(Objection { line: None, message: unclear.to_string(), hint: unclear.hint() });
                }
                Ok(id) => {
                    let Some(ids) = pairs.of(address.side).get(id).copied() else { continue };
                    let partner = *ids.of(address.side.other());
                    if known.exists(address.side.other(), partner) {
                        let partner = known.name(address.side.other(), partner);
                        let message = format!("{address} is coupled already, with {partner}");
                        let hint = format!("part the two first: `pipeline uncouple FILE {address}`");
                        objections.push(Objection { line: None, message, hint });
                    } else {
                        let record = known.name(address.side, *id);
                        dead.push(Pair {
                            ids,
                            record,
                            partner: partner.to_string(),
                            origin: Origin::Hand,
                            dead: vec![Dead { ids, gone: address.side.other() }],
                            notes: Vec::new(),
                        });
                    }
                }
            }
        }
        Ok(if objections.is_empty() { Ok(dead) } else { Err(objections) })
    }

    /// Couples pairs: the journal and the couplings in one transaction.
    ///
    /// Their keys are kept with them, where their ids do not tell these: a record that is deleted before the next run reads it
    /// can be asked for by nothing else.
    pub fn couple(&self, store: &mut dyn Store, pairs: &[Pair], moment: &Moment) -> Result<(), RunError> {
        let map = self.map;
        let scope = self.scope()?;
        for side in Side::BOTH {
            let (endpoint, info) = (*self.endpoints.of(side), scope.infos.of(side));
            let ids: Vec<Uuid> = pairs.iter().map(|pair| *pair.ids.of(side)).collect();
            if matches!(info.key, Key::Values(_)) && endpoint.seen_keys(info, &ids).len() < ids.len() {
                extract::read_ids(&scope, side, endpoint, ids)?;
            }
        }
        let mut changes = Vec::new();
        for pair in pairs {
            let dead = pair.dead.iter().map(|dead| dead.ids);
            changes.extend(dead.map(|PerSide { erp, crm }| CouplingChange::Uncouple { erp, crm }));
            let (PerSide { erp, crm }, origin) = (pair.ids, pair.origin.clone());
            changes.push(CouplingChange::Couple { erp, crm, origin });
        }
        note_tables(std::iter::once(map), store)?;
        self.mark_orphans(store, pairs)?;
        let records = pairs.iter().flat_map(|pair| Side::BOTH.map(|side| (side, *pair.ids.of(side))));
        self.mark_bereft(store, records)?;
        let told: Vec<(PerSide<Uuid>, &str)> = pairs.iter().map(|pair| (pair.ids, pair.record.as_str())).collect();
        file(store, map, "couple", &told, &changes, moment)?;
        // Whom the two belong to is no question any more; what else waits is decided by the next run.
        let mut items = store.inbox(Some(&map.name))?;
        let before = items.len();
        let about = |item: &InboxItem, ids: &PerSide<Uuid>| match item.kind {
            InboxKind::Ambiguous => item.erp_id == Some(ids.erp) || item.crm_id == Some(ids.crm),
            _ => false,
        };
        let ended = |item: &InboxItem, ids: &PerSide<Uuid>| {
            item.kind == InboxKind::Deleted && item.erp_id == Some(ids.erp) && item.crm_id == Some(ids.crm)
        };
        items.retain(|item| {
            !pairs.iter().any(|pair| about(item, &pair.ids) || pair.dead.iter().any(|dead| ended(item, &dead.ids)))
        });
        if items.len() < before {
            store.replace_inbox(&map.name, &items)?;
        }
        // Nor is what somebody decided about a pair that is none any more.
        store.end_decisions(&map.name, &[])?;
        remembered::remember(self.endpoints, &scope, store, map)?;
        Ok(())
    }

    /// Marks what led to the records that are gone, as a run would have done that had seen it.
    fn mark_orphans(&self, store: &mut dyn Store, pairs: &[Pair]) -> Result<(), StoreError> {
        let mut lost: PerSide<Vec<Uuid>> = PerSide::default();
        for dead in pairs.iter().flat_map(|pair| &pair.dead) {
            lost.of_mut(dead.gone).push(dead.ids.crm);
        }
        orphans::mark(self.pipeline, self.number(), &lost, store, &mut |_, _, _| {})
    }

    /// Marks what led to the records from which these were parted and that are gone by now: whoever gets another partner is
    /// referred to again.
    fn mark_bereft(&self, store: &mut dyn Store, records: impl Iterator<Item = (Side, Uuid)>) -> Result<(), RunError> {
        let mut parted: PerSide<Vec<PerSide<Uuid>>> = PerSide::default();
        for (side, id) in records {
            parted.of_mut(side.other()).extend(parted_from(store, self.map, side, id)?);
        }
        let scope = self.scope()?;
        let mut lost: PerSide<Vec<Uuid>> = PerSide::default();
        for side in Side::BOTH {
            let ids: Vec<Uuid> = parted.of(side).iter().map(|ids| *ids.of(side)).collect();
            if ids.is_empty() {
                continue;
            }
            remembered::recall(self.endpoints, &scope, store, self.map)?;
            let sought = extract::seek(&scope, side, *self.endpoints.of(side), ids)?;
            let there = rows_by_id(&sought.frame);
            let is_gone = |id: &Uuid| !there.contains_key(id) && !sought.hidden.contains_key(id);
            lost.of_mut(side).extend(parted.of(side).iter().filter(|ids| is_gone(ids.of(side))).map(|ids| ids.crm));
        }
        Ok(orphans::mark(self.pipeline, self.number(), &lost, store, &mut |_, _, _| {})?)
    }

    /// Prepares for partners that are to be made for these records: see [`couple`](Self::couple).
    pub fn prepare_alone(&self, store: &mut dyn Store, addresses: &[Address]) -> Result<(), RunError> {
        let found = find(self.map, self.endpoints, addresses)?;
        let records = addresses.iter().zip(found).filter_map(|(address, found)| Some((address.side, found.ok()?)));
        self.mark_bereft(store, records)
    }

    /// Refuses to add couplings to those of another table.
    fn refuse_other_table(&self, store: &dyn Store) -> Result<(), RunError> {
        let asked = PerSide { erp: Some(self.endpoints.erp), crm: Some(self.endpoints.crm) };
        let misfits = elsewhere(&self.pipeline.tables, &[self.number()], asked, store)?;
        if misfits.is_empty() { Ok(()) } else { Err(RunError::Mapping(misfits)) }
    }

    fn scope(&self) -> Result<Scope, RunError> {
        Ok(Scope::describe(self.pipeline, self.number(), self.endpoints)?)
    }

    fn number(&self) -> usize {
        self.pipeline.tables.iter().position(|map| map.name == self.map.name).unwrap_or_default()
    }
}

/// What is known of records that are to be coupled, and of the partners that they have.
struct Known {
    frames: PerSide<Frame>,
    rows: PerSide<HashMap<Uuid, usize>>,
    /// Those that no list brings, and that may exist all the same.
    hidden: PerSide<HashMap<Uuid, Hidden>>,
    names: Names,
    coupled: PerSide<HashMap<Uuid, PerSide<Uuid>>>,
}

impl Known {
    fn of(desk: &Desk<'_>, store: &dyn Store, pairs: impl Iterator<Item = PerSide<Uuid>>) -> Result<Known, RunError> {
        let scope = desk.scope()?;
        let coupled = pairs_by_id(&store.couplings(&desk.map.name, &[])?);
        let mut wanted: PerSide<HashSet<Uuid>> = PerSide::default();
        for ids in pairs {
            for side in Side::BOTH {
                wanted.of_mut(side).insert(*ids.of(side));
                if let Some(pair) = coupled.of(side).get(ids.of(side)) {
                    wanted.of_mut(side.other()).insert(*pair.of(side.other()));
                }
            }
        }
        let mut frames = PerSide::from_fn(|side| scope.empty(side));
        let mut hidden: PerSide<HashMap<Uuid, Hidden>> = PerSide::default();
        remembered::recall(desk.endpoints, &scope, store, desk.map)?;
        for side in Side::BOTH {
            let mut ids: Vec<Uuid> = wanted.of(side).iter().copied().collect();
            let endpoint = *desk.endpoints.of(side);
            let mut found = scope.empty(side);
            if ids.len() > REQUESTS_MAX * endpoint.bounds().ids_max {
                let all = extract::read_all(&scope, side, endpoint)?;
                let of_pairs = all.ids().into_iter().enumerate().filter(|(_, id)| wanted.of(side).contains(id));
                found = all.take(&of_pairs.map(|(row, _)| row).collect::<Vec<_>>());
                let there = rows_by_id(&found);
                ids.retain(|id| !there.contains_key(id));
            }
            ids.sort_unstable();
            // What a list leaves out may be there all the same: then its coupling is none that is dead.
            let sought = extract::seek(&scope, side, endpoint, ids)?;
            found.upsert(&sought.frame);
            (*frames.of_mut(side), *hidden.of_mut(side)) = (found, sought.hidden);
        }
        let rows = PerSide::from_fn(|side| rows_by_id(frames.of(side)));
        let names = Names::new(desk.map, &[&frames]);
        Ok(Known { frames, rows, hidden, names, coupled })
    }

    fn exists(&self, side: Side, id: Uuid) -> bool {
        self.rows.of(side).contains_key(&id) || self.hidden.of(side).contains_key(&id)
    }

    fn name(&self, side: Side, id: Uuid) -> String {
        match self.rows.of(side).get(&id) {
            Some(row) => self.names.row(self.frames.of(side), side, *row),
            None => match self.hidden.of(side).get(&id) {
                Some(Hidden::Forbidden) => format!("{id}, which the login may not read"),
                Some(Hidden::Untold) => format!("{id}, of which nobody can tell whether it is still there"),
                None => id.to_string(),
            },
        }
    }

    /// Says what is odd about a pair.
    fn notes(&self, map: &TableMap, ids: PerSide<Uuid>, dead: &[Dead]) -> Result<Vec<String>, RunError> {
        let mut notes: Vec<String> = dead
            .iter()
            .map(|Dead { ids, gone }| {
                let id = ids.of(*gone);
                format!("its coupling with {id} ends: the {} has no such record any more", gone.name())
            })
            .collect();
        for side in Side::BOTH {
            let row = self.rows.of(side).get(ids.of(side)).copied();
            let frame = self.frames.of(side).take(&row.into_iter().collect::<Vec<_>>());
            let inside = extract::inside(map, side, frame)?;
            let name = self.name(side, *ids.of(side));
            match inside.why.first() {
                Some(Undecided::Unreadable(why)) => {
                    notes.push(format!("{name} cannot be read: {why}; nothing is written until that is corrected"));
                }
                Some(Undecided::Filter(fault)) => {
                    notes.push(format!("{name} is left alone: the filter {fault}"));
                }
                None if inside.frame.rows() == 0 => {
                    notes.push(format!("{name} is outside its filter: nothing is written until it comes back"));
                }
                None => {}
            }
        }
        Ok(notes)
    }
}

/// Returns the pair of each coupled record, by its side.
fn pairs_by_id(couplings: &Couplings) -> PerSide<HashMap<Uuid, PerSide<Uuid>>> {
    let pairs = || couplings.erp.iter().zip(&couplings.crm).map(|(erp, crm)| PerSide { erp: *erp, crm: *crm });
    PerSide { erp: pairs().map(|ids| (ids.erp, ids)).collect(), crm: pairs().map(|ids| (ids.crm, ids)).collect() }
}

/// When something is done by hand, for the history.
#[derive(Debug, Clone)]
pub struct Moment {
    /// An id like that of a run.
    pub run: String,
    /// RFC 3339.
    pub at: String,
}

/// Writes into history and journal what is done to couplings, and does it.
fn file(
    store: &mut dyn Store,
    map: &TableMap,
    action: &str,
    records: &[(PerSide<Uuid>, &str)],
    changes: &[CouplingChange],
    moment: &Moment,
) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    begin(store, moment)?;
    let intents: Vec<Intent> = records
        .iter()
        .map(|(ids, record)| Intent {
            table: map.name.clone(),
            side: Side::Erp,
            action: action.to_owned(),
            id: ids.erp,
            partner: ids.crm,
            record: (*record).to_owned(),
            also: String::new(),
            fields: Vec::new(),
            why: "by hand".to_owned(),
            agreed: Vec::new(),
        })
        .collect();
    let journal = store.intend(&moment.run, &intents)?;
    let done = |journal_id: &i64| Answer { journal_id: *journal_id, outcome: "done".into(), message: String::new() };
    store.answer(&journal.iter().map(done).collect::<Vec<_>>(), &map.name, changes, &[])?;
    end(store, moment, true)
}

/// Begins a row of the history.
fn begin(store: &mut dyn Store, moment: &Moment) -> Result<(), StoreError> {
    store.begin_run(&moment.run, &moment.at)
}

/// Ends it; `whole` tells whether everything was done.
fn end(store: &mut dyn Store, moment: &Moment, whole: bool) -> Result<(), StoreError> {
    store.finish_run(&RunRow {
        run: moment.run.clone(),
        started: moment.at.clone(),
        finished: Some(moment.at.clone()),
        outcome: if whole { "converged" } else { "incomplete" }.to_owned(),
        report: "{}".to_owned(),
    })
}
