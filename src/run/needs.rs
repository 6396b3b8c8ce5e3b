//! Keys that references need, where not every record of the referenced table was read.
//!
//! A run over changes reads of a referenced table only what changed there. So when records refer to others whose keys were
//! not told, these are asked for: by the key, or through the coupling by id, whichever of the two the record has; by
//! reading the keys of the whole table where the side cannot be asked or that takes fewer requests. A key is asked for
//! once in a run.

use std::collections::{BTreeSet, HashMap, HashSet};

use uuid::Uuid;

use crate::config::{FieldMap, OnUnresolved, PerSide, Reference, Side, TableMap};
use crate::endpoint::Query;
use crate::extract::{self, Scope};
use crate::frame::{Frame, Value};
use crate::run::context::Context;
use crate::run::gather::read_some;
use crate::run::rows::without;
use crate::run::step::PassError;
use crate::translate::Translator;
use crate::translate::convert::Problem;
use crate::translate::links::Links;

/// Tells the links whatever the records in `frames` refer to, save in fields that wait for a later step; returns whether
/// anything had to be asked for.
pub(super) fn name_needed(
    context: &Context<'_>,
    map: &TableMap,
    scope: &Scope,
    left_out: &[bool],
    frames: &PerSide<Frame>,
    links: &mut Links,
) -> Result<bool, PassError> {
    if !context.reads_parts() {
        return Ok(false);
    }
    let mut asked = false;
    for field in map.fields.iter().zip(left_out).filter(|(_, left_out)| !**left_out).map(|(field, _)| field) {
        let Some(reference) = &field.reference else { continue };
        if links.table(&reference.table).is_complete() {
            continue;
        }
        let is_matched = is_matched(map, field);
        if field.writes(Side::Crm) || is_matched {
            let mut keys = unresolved_keys(field, scope, frames, links)?;
            // A record that is still to be made in the ERP refers to it, too.
            keys.extend(constant_key(field, frames).filter(|key| !links.resolves(reference, key)));
            asked |= name_keys(context, reference, keys, links)?;
        }
        // Most of the ids are those of records whose keys were just told.
        if field.writes(Side::Erp) || is_matched {
            asked |= name_ids(context, field, reference, frames, links)?;
        }
    }
    Ok(asked)
}

/// Tells the links whatever survivors refer to in fields that only the side that is `gone` sends: a record made anew there gets it
/// back from them.
pub(super) fn name_shown(
    context: &Context<'_>,
    map: &TableMap,
    scope: &Scope,
    gone: Side,
    survivors: &PerSide<Frame>,
    links: &mut Links,
) -> Result<(), PassError> {
    if !context.reads_parts() {
        return Ok(());
    }
    for field in map.fields.iter().filter(|field| field.writes(gone.other()) && !field.writes(gone)) {
        let Some(reference) = &field.reference else { continue };
        if links.table(&reference.table).is_complete() {
            continue;
        }
        match gone {
            Side::Erp => name_ids(context, field, reference, survivors, links)?,
            Side::Crm => name_keys(context, reference, unresolved_keys(field, scope, survivors, links)?, links)?,
        };
    }
    Ok(())
}

/// Tells the links of records that have no key which can be read, where a reference in `frames` leads nowhere: nobody is found by
/// a key that stands there no more, and nothing fails or is cleared for one that somebody only has to correct.
///
/// Whom the CRM refers to meanwhile is known by the coupling. If that is not the one, nothing less than all keys tells.
pub(super) fn name_illegible(
    context: &Context<'_>,
    map: &TableMap,
    scope: &Scope,
    left_out: &[bool],
    frames: &PerSide<Frame>,
    links: &mut Links,
) -> Result<(), PassError> {
    if !context.reads_parts() {
        return Ok(());
    }
    for field in map.fields.iter().zip(left_out).filter(|(_, left_out)| !**left_out).map(|(field, _)| field) {
        let Some(reference) = &field.reference else { continue };
        let is_decided = field.writes(Side::Crm) && field.on_unresolved != OnUnresolved::Keep;
        if links.table(&reference.table).is_complete() || !(is_decided || is_matched(map, field)) {
            continue;
        }
        let is_lost = |links: &Links| {
            let problems = problems(field, scope, frames, links)?;
            Ok::<bool, PassError>(problems.values().any(|problem| matches!(problem, Problem::Unresolved { .. })))
        };
        if is_lost(links)? {
            name_ids(context, field, reference, frames, links)?;
        }
        // What fails takes nothing away, and is not worth a table in every run over changes, which tells of it in other words.
        let only_fails = field.on_unresolved == OnUnresolved::Fail && !is_matched(map, field);
        if !(only_fails && context.options.changed) && is_lost(links)? {
            Asking::about(context, reference)?.all(links)?;
        }
    }
    Ok(())
}

/// Tells whether a match rule compares the field.
fn is_matched(map: &TableMap, field: &FieldMap) -> bool {
    let mut matches = map.match_rules.iter().flat_map(|rule| &rule.by);
    matches.any(|(erp, crm)| field.erp.as_ref() == Some(erp) && field.crm.as_ref() == Some(crm))
}

/// Tells the links the keys of whom the CRM's values of a field refer to, as far as nobody asked before; returns whether
/// anything had to be asked for.
pub(super) fn name_ids(
    context: &Context<'_>,
    field: &FieldMap,
    reference: &Reference,
    frames: &PerSide<Frame>,
    links: &mut Links,
) -> Result<bool, PassError> {
    let mut ids = unnamed_ids(field, reference, frames, links);
    ids.retain(|id| links.table(&reference.table).ask(&id.to_string()));
    if ids.is_empty() {
        return Ok(false);
    }
    Asking::about(context, reference)?.by_ids(ids, links)?;
    Ok(true)
}

/// Tells the links whom these keys of the ERP lead to, as far as nobody asked before; returns whether anything had to be
/// asked for.
pub(super) fn name_keys(
    context: &Context<'_>,
    reference: &Reference,
    mut keys: BTreeSet<String>,
    links: &mut Links,
) -> Result<bool, PassError> {
    keys.retain(|key| links.table(&reference.table).ask(key));
    if keys.is_empty() {
        return Ok(false);
    }
    Asking::about(context, reference)?.by_keys(&keys, links)?;
    Ok(true)
}

/// Returns the key that a constant of the file refers to, where there is a record that has it.
fn constant_key(field: &FieldMap, frames: &PerSide<Frame>) -> Option<String> {
    let constant = field.value.as_ref().filter(|_| field.erp.is_none())?;
    (frames.erp.rows() + frames.crm.rows() > 0).then(|| constant.text())
}

/// Returns the ERP keys that lead to no CRM record yet.
fn unresolved_keys(
    field: &FieldMap,
    scope: &Scope,
    frames: &PerSide<Frame>,
    links: &Links,
) -> Result<BTreeSet<String>, PassError> {
    let key = |problem: Problem| match problem {
        Problem::Unresolved { key, .. } | Problem::Illegible { key: Some(key), .. } => Some(key),
        _ => None,
    };
    Ok(problems(field, scope, frames, links)?.into_values().filter_map(key).collect())
}

/// Returns why values of the ERP have none in the CRM, by their rows.
fn problems(
    field: &FieldMap,
    scope: &Scope,
    frames: &PerSide<Frame>,
    links: &Links,
) -> Result<HashMap<usize, Problem>, PassError> {
    let info = field.crm.as_ref().and_then(|column| scope.infos.crm.column(column));
    let Some(info) = info else { return Ok(HashMap::new()) };
    let translator = Translator::new(field, Side::Crm, info, links, &frames.erp)?;
    Ok(translator.map(|translator| translator.all().problems).unwrap_or_default())
}

/// Returns the CRM ids that lead to no ERP key yet.
fn unnamed_ids(field: &FieldMap, reference: &Reference, frames: &PerSide<Frame>, links: &Links) -> HashSet<Uuid> {
    let Some(column) = &field.crm else { return HashSet::new() };
    let id = |row: usize| match frames.crm.value(column, row) {
        Value::Guid(id) if !id.is_nil() && !links.names(reference, id) => Some(id),
        _ => None,
    };
    (0..frames.crm.rows()).filter_map(id).collect()
}

/// Returns the records that a field's references lead to, as far as their keys were told; those of a side whose values
/// travel, or of both where `compared`.
pub(super) fn referred(
    field: &FieldMap,
    compared: bool,
    scope: &Scope,
    frames: &PerSide<Frame>,
    links: &Links,
) -> Result<BTreeSet<(Side, Uuid)>, PassError> {
    let mut referred = BTreeSet::new();
    let Some(reference) = &field.reference else { return Ok(referred) };
    let constant = constant_key(field, frames).map(Value::Text);
    let constant = constant.and_then(|key| links.refers_to(reference, Side::Erp, &key));
    referred.extend(constant.map(|id| (Side::Erp, id)));
    for from in Side::BOTH {
        let info = field.column(from.other()).and_then(|column| scope.infos.of(from.other()).column(column));
        let Some(info) = info.filter(|_| compared || field.writes(from.other())) else { continue };
        let frame = frames.of(from);
        let Some(translator) = Translator::new(field, from.other(), info, links, frame)? else { continue };
        // What has no value refers to nobody.
        let values = (0..frame.rows()).filter_map(|row| translator.source(row).ok());
        let ids = values.filter_map(|value| links.refers_to(reference, from, &value)).filter(|id| !id.is_nil());
        referred.extend(ids.map(|id| (from, id)));
    }
    Ok(referred)
}

/// One reference, and the table map that it leads to.
struct Asking<'a> {
    context: &'a Context<'a>,
    reference: &'a Reference,
    map: &'a TableMap,
    scope: Scope,
}

impl<'a> Asking<'a> {
    fn about(context: &'a Context<'a>, reference: &'a Reference) -> Result<Asking<'a>, PassError> {
        let target = context.target(reference);
        let scope = Scope::describe(context.pipeline, target, context.endpoints)?;
        Ok(Asking { context, reference, map: &context.pipeline.tables[target], scope })
    }

    fn by_keys(&self, keys: &BTreeSet<String>, links: &mut Links) -> Result<(), PassError> {
        let reference = self.reference;
        self.ask_keys(Side::Erp, &reference.erp, keys.iter().cloned().collect(), links)?;
        if let Some(column) = &reference.crm {
            let left = keys.iter().filter(|key| !links.resolves(reference, key)).cloned().collect();
            self.ask_keys(Side::Crm, column, left, links)?;
        }
        Ok(())
    }

    fn by_ids(&self, ids: HashSet<Uuid>, links: &mut Links) -> Result<(), PassError> {
        let reference = self.reference;
        let table = links.table(&reference.table);
        let partners: HashSet<Uuid> = ids.iter().filter_map(|id| table.partner(Side::Crm, *id)).collect();
        self.ask_ids(Side::Erp, &reference.erp, partners, links)?;
        // The others are told by the CRM itself, or named in a complaint.
        let left: HashSet<Uuid> = ids.into_iter().filter(|id| !links.names(reference, *id)).collect();
        let label = self.map.sides.crm.label.as_ref();
        if let Some(column) = reference.crm.as_ref().or(label) {
            self.ask_ids(Side::Crm, column, left, links)?;
        }
        Ok(())
    }

    /// By the keys of everybody, once in a run.
    fn all(&self, links: &mut Links) -> Result<(), PassError> {
        let columns = PerSide { erp: Some(&self.reference.erp), crm: self.reference.crm.as_ref() };
        for (side, column) in Side::BOTH.into_iter().filter_map(|side| Some((side, (*columns.of(side))?))) {
            if !links.table(&self.reference.table).is_read(side, column) {
                self.ask_all(side, column, links)?;
            }
        }
        Ok(())
    }

    fn ask_all(&self, side: Side, column: &str, links: &mut Links) -> Result<(), PassError> {
        let endpoint = *self.context.endpoints.of(side);
        self.tell(side, column, &extract::read_all(&self.narrow(side, column), side, endpoint)?, links)?;
        links.table(&self.reference.table).note_read(side, column);
        Ok(())
    }

    /// The same scope with a few columns only: the key, the label, and what the filter looks at.
    fn narrow(&self, side: Side, column: &str) -> Scope {
        let map = self.map;
        let mut columns = vec![column.to_owned()];
        let filter = map.sides.of(side).filter.iter().flat_map(|filter| filter.columns());
        let label = map.sides.crm.label.iter().filter(|_| side == Side::Crm);
        for column in filter.chain(label) {
            if !columns.contains(column) {
                columns.push(column.clone());
            }
        }
        let mut scope = self.scope.clone();
        *scope.columns.of_mut(side) = columns;
        scope
    }

    fn ask_keys(&self, side: Side, column: &str, keys: Vec<String>, links: &mut Links) -> Result<(), PassError> {
        if keys.is_empty() {
            return Ok(());
        }
        let (endpoint, scope) = (*self.context.endpoints.of(side), self.narrow(side, column));
        let bounds = endpoint.bounds();
        let table_rows = links.table(&self.reference.table).couplings_count();
        let whole = table_rows.div_ceil(bounds.page_rows_max.max(1)).max(1);
        let mut frame = None;
        if keys.len().div_ceil(bounds.ids_max.max(1)) <= whole {
            let columns = scope.columns.of(side).clone();
            let query = Query { info: scope.infos.of(side), columns, filter: None, ids: None };
            frame = endpoint.read_holding(&query, column, &keys)?;
        }
        match frame {
            Some(frame) => self.tell(side, column, &frame, links),
            None => self.ask_all(side, column, links),
        }
    }

    fn ask_ids(&self, side: Side, column: &str, ids: HashSet<Uuid>, links: &mut Links) -> Result<(), PassError> {
        if ids.is_empty() {
            return Ok(());
        }
        let table_rows = links.table(&self.reference.table).couplings_count();
        let frame = read_some(self.context, &self.narrow(side, column), self.map, side, ids, table_rows)?;
        self.tell(side, column, &frame, links)
    }

    /// Tells the keys of what is coupled or inside the filter, as a full read does.
    fn tell(&self, side: Side, column: &str, frame: &Frame, links: &mut Links) -> Result<(), PassError> {
        let inside = extract::inside(self.map, side, frame.clone())?.referred();
        let table = links.table(&self.reference.table);
        let known = without(frame, |id| !inside.contains(id) && table.partner(side, *id).is_none());
        let is_key = match side {
            Side::Erp => self.reference.erp == column,
            Side::Crm => self.reference.crm.as_deref() == Some(column),
        };
        if is_key {
            table.name_all(side, column, &known);
        }
        if let (Side::Crm, Some(label)) = (side, &self.map.sides.crm.label) {
            table.label_all(label, &known);
        }
        Ok(())
    }
}
