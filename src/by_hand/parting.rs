//! Couplings that people end: both records stay, and are kept apart from then on.
//!
//! Neither record's business data changes. Where the CRM holds several companies, its record is given back: the company
//! is cleared, so that another one may take it (sync-semantics §15); that is a write like any other, intent first. Records
//! of other table maps that refer to a parted one have no partner to point to any more, and are told or parted as well.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::AtomicBool;

use uuid::Uuid;

use crate::address::{Address, find};
use crate::apply::{Target, apply, ending};
use crate::by_hand::{Desk, Known, Moment, Objection, begin, end, pairs_by_id};
use crate::config::{OnUnresolved, PerSide, Pipeline, Side, TableMap, When};
use crate::endpoint::{Outcome, Query};
use crate::extract::{self, Scope};
use crate::frame::Value;
use crate::plan::{Action, ActionKind, FieldChange};
use crate::run::RunError;
use crate::store::{Answer, Intent, Reply, Store, StoreError};

/// Keys that one request may name; more of them, and the table is read.
const KEYS_MAX: usize = 200;

/// Writes to one record that are looked through for the one that parted it.
const WRITES_MAX: usize = 100;

/// A pair that is to be parted.
#[derive(Debug, Clone, PartialEq)]
pub struct Parting {
    pub table: String,
    pub ids: PerSide<Uuid>,
    /// As people name it.
    pub record: String,
    /// The side that lost its record, if one did.
    pub gone: Option<Side>,
    /// What gives the CRM's record back.
    pub release: Option<Action>,
    /// It was parted before; what still refers to it can be parted as well.
    pub before: bool,
    /// What records refer to it by, where the ERP's record is there: by column, as references may use several.
    keys: BTreeMap<String, String>,
}

/// What became of a parting.
#[derive(Debug, Clone, PartialEq)]
pub struct Parted {
    pub parting: Parting,
    /// The CRM's record belongs to no company any more.
    pub released: bool,
    /// Why it could not be given back.
    pub failed: Option<String>,
}

impl Desk<'_> {
    /// Looks at couplings that are to end: those of named records, or all of the table map where none is named; where what
    /// refers to them is parted `along`, those that ended before, too.
    pub fn look_apart(
        &self,
        store: &dyn Store,
        addresses: &[Address],
        along: bool,
    ) -> Result<Result<Vec<Parting>, Vec<Objection>>, RunError> {
        let couplings = store.couplings(&self.map.name, &[])?;
        let pairs = pairs_by_id(&couplings);
        let mut chosen: Vec<PerSide<Uuid>> = Vec::new();
        let mut before: Vec<PerSide<Uuid>> = Vec::new();
        let mut objections = Vec::new();
        if addresses.is_empty() {
            let all = couplings.erp.iter().zip(&couplings.crm);
            chosen.extend(all.map(|(erp, crm)| PerSide { erp: *erp, crm: *crm }));
            let apart = if along { store.kept_apart(&self.map.name)? } else { PerSide::default() };
            for id in apart.erp {
                before.extend(parted_from(store, self.map, Side::Erp, id)?);
            }
            before.sort_unstable_by_key(|ids| ids.erp);
        }
        for (address, found) in addresses.iter().zip(find(self.map, self.endpoints, addresses)?) {
            // A record that is gone is still known by its id.
            let id = found.or_else(|unclear| {
                let known = address.id().filter(|id| pairs.of(address.side).contains_key(id));
                known.ok_or(unclear)
            });
            let objection = match id {
                Ok(id) => match pairs.of(address.side).get(&id) {
                    Some(ids) => {
                        if !chosen.contains(ids) {
                            chosen.push(*ids);
                        }
                        continue;
                    }
                    None => match if along { parted_from(store, self.map, address.side, id)? } else { None } {
                        Some(ids) => {
                            if !before.contains(&ids) {
                                before.push(ids);
                            }
                            continue;
                        }
                        None => (format!("`{address}` is not coupled"), "there is nothing to part".to_owned()),
                    },
                },
                Err(unclear) => (unclear.to_string(), unclear.hint()),
            };
            objections.push(Objection { line: None, message: objection.0, hint: objection.1 });
        }
        if !objections.is_empty() {
            return Ok(Err(objections));
        }
        let mut partings = self.partings(store, &chosen)?;
        let before = self.partings(store, &before)?;
        partings.extend(before.into_iter().map(|parting| Parting { before: true, ..parting }));
        Ok(Ok(partings))
    }

    /// Gathers what has to be known of pairs before they are parted.
    fn partings(&self, store: &dyn Store, pairs: &[PerSide<Uuid>]) -> Result<Vec<Parting>, RunError> {
        let known = Known::of(self, store, pairs.iter().copied())?;
        let company = self.map.company_of(Side::Crm);
        let fields = self.pipeline.tables.iter().flat_map(|map| &map.fields);
        let references = fields.filter_map(|field| field.reference.as_ref());
        let columns: BTreeSet<&String> =
            references.filter(|reference| reference.table == self.map.name).map(|reference| &reference.erp).collect();
        let parting = |ids: &PerSide<Uuid>| {
            let gone = Side::BOTH.into_iter().find(|side| !known.exists(*side, *ids.of(*side)));
            let was_read = PerSide::from_fn(|side| known.rows.of(side).contains_key(ids.of(side)));
            let named_by = if was_read.crm && !was_read.erp { Side::Crm } else { Side::Erp };
            let record = known.name(named_by, *ids.of(named_by));
            let value = |side: Side, column: &str| {
                let row = known.rows.of(side).get(ids.of(side))?;
                Some(known.frames.of(side).value(column, *row)).filter(|value| !value.is_blank())
            };
            // What another company has claimed meanwhile is not ours to give back.
            let old = company.as_ref().and_then(|company| {
                let old = value(Side::Crm, company.column)?;
                company.may_own(&old.to_string()).then(|| (company.column.to_owned(), old))
            });
            let release = old.map(|(column, old)| Action {
                table: self.map.name.clone(),
                record: record.clone(),
                side: Side::Crm,
                kind: ActionKind::Update,
                why: "uncoupled by hand".to_owned(),
                ids: *ids,
                etag: known.rows.crm.get(&ids.crm).and_then(|row| known.frames.crm.etag(*row)),
                fields: vec![FieldChange {
                    column: column.clone(),
                    field: None,
                    old,
                    new: Value::Null,
                    why: "given back".to_owned(),
                }],
                follow_ups: Vec::new(),
            });
            let key = |column: &&String| Some(((*column).clone(), value(Side::Erp, column)?.to_string()));
            let keys = columns.iter().filter_map(key).collect();
            Parting { table: self.map.name.clone(), ids: *ids, record, gone, release, before: false, keys }
        };
        Ok(pairs.iter().map(parting).collect())
    }

    /// Finds, in another table map, the pairs of which both records refer to one of the parted ones.
    pub fn referring(
        &self,
        store: &dyn Store,
        other: &TableMap,
        partings: &[Parting],
    ) -> Result<Vec<Parting>, RunError> {
        let desk = Desk { map: other, binding: self.binding.clone(), ..*self };
        let table = self.pipeline.tables.iter().position(|map| map.name == other.name).unwrap_or_default();
        let scope = Scope::describe(self.pipeline, table, self.endpoints)?;
        let pairs = pairs_by_id(&store.couplings(&other.name, &[])?);
        let mut found: Vec<PerSide<Uuid>> = Vec::new();
        for field in &other.fields {
            let (Some(erp), Some(crm), Some(reference)) = (&field.erp, &field.crm, &field.reference) else { continue };
            if reference.table != self.map.name {
                continue;
            }
            let fold = |text: &str| text.trim().to_lowercase();
            let keys: Vec<String> =
                partings.iter().filter_map(|parting| parting.keys.get(&reference.erp).cloned()).collect();
            let wanted: HashSet<String> = keys.iter().map(|key| fold(key)).collect();
            let query = Query { info: &scope.infos.erp, columns: scope.columns.erp.clone(), filter: None, ids: None };
            let held = match keys.len() {
                0 => continue,
                number if number > KEYS_MAX => None,
                _ => self.endpoints.erp.read_holding(&query, erp, &keys)?,
            };
            let frame = match held {
                Some(frame) => frame,
                None => extract::read_all(&scope, Side::Erp, self.endpoints.erp)?,
            };
            let rows = (0..frame.rows()).filter(|row| wanted.contains(&fold(&frame.value(erp, *row).to_string())));
            let refer: Vec<PerSide<Uuid>> = rows.filter_map(|row| pairs.erp.get(&frame.id(row)).copied()).collect();
            let ids: Vec<Uuid> = refer.iter().map(|ids| ids.crm).collect();
            let partners = extract::read_ids(&scope, Side::Crm, self.endpoints.crm, ids)?;
            let accounts: HashSet<Uuid> = partings.iter().map(|parting| parting.ids.crm).collect();
            let points = |row: &usize| match partners.value(crm, *row) {
                Value::Guid(id) | Value::Link { id, .. } => accounts.contains(&id),
                _ => false,
            };
            let both: HashSet<Uuid> = (0..partners.rows()).filter(points).map(|row| partners.id(row)).collect();
            for ids in refer.into_iter().filter(|ids| both.contains(&ids.crm)) {
                if !found.contains(&ids) {
                    found.push(ids);
                }
            }
        }
        if found.is_empty() { Ok(Vec::new()) } else { desk.partings(store, &found) }
    }
}

/// Returns the pair that a record belonged to until somebody parted it; `None` where it is not kept apart.
pub(super) fn parted_from(
    store: &dyn Store,
    map: &TableMap,
    side: Side,
    id: Uuid,
) -> Result<Option<PerSide<Uuid>>, StoreError> {
    if store.kept_apart_since(&map.name, side, id)?.is_none() {
        return Ok(None);
    }
    let ids = PerSide::from_fn(|of| (of == side).then_some(id));
    let writes = store.writes_to(&map.name, ids, WRITES_MAX)?;
    let parted = writes.into_iter().find(|write| write.intent.action == "uncouple");
    Ok(parted.map(|write| match write.intent.side {
        Side::Erp => PerSide { erp: write.intent.id, crm: write.intent.partner },
        Side::Crm => PerSide { erp: write.intent.partner, crm: write.intent.id },
    }))
}

/// Tells whether records of `other` fail in the next run where what they refer to in `table` has no coupling any more.
///
/// What both sides may edit was settled, and is resolved again only after an edit; a one-way reference is translated anew
/// in every run.
pub fn fails_without(other: &TableMap, table: &str) -> bool {
    other.fields.iter().any(|field| {
        field.reference.as_ref().is_some_and(|reference| reference.table == table)
            && field.writes(Side::Erp) != field.writes(Side::Crm)
            && field.when != When::Create
            && field.on_unresolved == OnUnresolved::Fail
    })
}

/// Parts pairs that are coupled, table map by table map: what gives CRM records back is written first, then the links go. Where
/// the CRM cannot be spoken to any more none is parted.
pub fn part(
    desk: &Desk<'_>,
    store: &mut dyn Store,
    partings: Vec<Parting>,
    moment: &Moment,
) -> Result<Vec<Parted>, RunError> {
    let partings: Vec<Parting> = partings.into_iter().filter(|parting| !parting.before).collect();
    if partings.is_empty() {
        return Ok(Vec::new());
    }
    begin(store, moment)?;
    let mut parted: Vec<Parted> =
        partings.into_iter().map(|parting| Parted { parting, released: false, failed: None }).collect();
    for (table, map) in desk.pipeline.tables.iter().enumerate() {
        if parted.iter().any(|one| one.parting.table == map.name && one.parting.release.is_some()) {
            let scope = Scope::describe(desk.pipeline, table, desk.endpoints)?;
            release(desk, store, &scope, &mut parted, map, moment)?;
        }
        // What is given back is nobody's then; the pairs are parted when somebody asks again, and the rest is given back.
        if let Some(error) = desk.endpoints.crm.line().lost() {
            end(store, moment, false)?;
            return Err(error.into());
        }
    }
    let replies = parted.iter().map(|Parted { parting, .. }| Reply::Part {
        table: parting.table.clone(),
        ids: parting.ids,
        record: parting.record.clone(),
    });
    reply(desk.pipeline, store, &replies.collect::<Vec<_>>(), moment)?;
    end(store, moment, parted.iter().all(|one| one.failed.is_none()))?;
    Ok(parted)
}

/// Takes answers of a person, all of them or none; of pairs that they part, history and journal are told. Nothing is written
/// on either side.
pub fn take_answers(
    pipeline: &Pipeline,
    store: &mut dyn Store,
    replies: &[Reply],
    moment: &Moment,
) -> Result<(), StoreError> {
    if !replies.iter().any(|reply| matches!(reply, Reply::Part { .. })) {
        return store.reply(replies);
    }
    begin(store, moment)?;
    reply(pipeline, store, replies, moment)?;
    end(store, moment, true)
}

/// Takes answers within an entry of the history.
fn reply(pipeline: &Pipeline, store: &mut dyn Store, replies: &[Reply], moment: &Moment) -> Result<(), StoreError> {
    let mut intents = Vec::new();
    for reply in replies {
        let Reply::Part { table, ids, record } = reply else { continue };
        let told = Intent {
            table: table.clone(),
            side: Side::Erp,
            action: "uncouple".to_owned(),
            id: ids.erp,
            partner: ids.crm,
            record: record.clone(),
            also: String::new(),
            fields: Vec::new(),
            why: "by hand".to_owned(),
            agreed: Vec::new(),
        };
        intents.push(match pipeline.tables.iter().find(|map| map.name == *table) {
            Some(map) => ending(told, store, map, *ids)?,
            None => told,
        });
    }
    let journal = store.intend(&moment.run, &intents)?;
    store.reply(replies)?;
    let done = |journal_id: i64| Answer { journal_id, outcome: "done".into(), message: String::new() };
    let Some(Intent { table, .. }) = intents.first() else { return Ok(()) };
    store.answer(&journal.into_iter().map(done).collect::<Vec<_>>(), table, &[], &[])
}

/// Gives the CRM records of one table map back.
fn release(
    desk: &Desk<'_>,
    store: &mut dyn Store,
    scope: &Scope,
    parted: &mut [Parted],
    map: &TableMap,
    moment: &Moment,
) -> Result<(), RunError> {
    let mut own: Vec<&mut Parted> =
        parted.iter_mut().filter(|one| one.parting.table == map.name && one.parting.release.is_some()).collect();
    let actions: Vec<Action> = own.iter().filter_map(|one| one.parting.release.clone()).collect();
    let target = Target {
        map,
        endpoint: desk.endpoints.crm,
        info: &scope.infos.crm,
        columns: &scope.columns.crm,
        run: &moment.run,
        stop: &AtomicBool::new(false),
    };
    let applied = apply(&actions, Side::Crm, &target, store, scope.empty(Side::Crm), &|_, _| Vec::new(), &|_| {})?;
    let unsure =
        actions.iter().zip(&applied.outcomes).filter(|(_, outcome)| matches!(outcome, Outcome::Unknown { .. }));
    let unsure: Vec<Uuid> = unsure.map(|(action, _)| action.ids.crm).collect();
    if desk.endpoints.crm.line().lost().is_some() {
        return Ok(());
    }
    let read = extract::read_ids(scope, Side::Crm, desk.endpoints.crm, unsure)?;
    let mut answers = Vec::new();
    for (index, one) in own.iter_mut().enumerate() {
        match applied.outcomes.get(index) {
            Some(Outcome::Written | Outcome::Gone) => one.released = true,
            Some(Outcome::Unknown { .. }) => {
                // Only reading tells whether it arrived.
                let column = &actions[index].fields[0].column;
                let row = read.ids().iter().position(|id| *id == actions[index].ids.crm);
                one.released = row.is_none_or(|row| read.value(column, row).is_blank());
                let outcome = if one.released { "found" } else { "not found" }.to_owned();
                answers.push(Answer { journal_id: applied.journal[index], outcome, message: String::new() });
                one.failed = (!one.released).then(|| "the answer was lost, and nothing arrived".to_owned());
            }
            Some(Outcome::Refused { message } | Outcome::NotSent { message } | Outcome::Barred { message }) => {
                one.failed = Some(message.clone());
            }
            Some(Outcome::Stale | Outcome::Exists) => {
                one.failed = Some("somebody changed it at the same time".to_owned())
            }
            None => one.failed = Some("it was not sent".to_owned()),
        }
    }
    if !answers.is_empty() {
        store.answer(&answers, &map.name, &[], &[])?;
    }
    Ok(())
}
