//! The records that a run looks at: all of them, with `--changed` those that somebody touched since the last time, or
//! single ones: those that were named, or are to be explained.
//!
//! A read of changes proves nothing by absence. What it brings are the changed records of both sides, the partners of
//! those that are coupled, what waits in the inbox, and for records without a partner everything that a match rule could
//! take for the same one; of single records likewise, and whoever would be made just like them. So whatever is decided is
//! decided on the same rows as in a full run; only rows are missing of which a full run would say that nothing happened.
//! Where that cannot be had, the table is read in full.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::config::{FieldMap, OnDelete, OnUnresolved, PerSide, Reference, Side, TableMap};
use crate::endpoint::{EndpointError, Query, Tracked};
use crate::extract::{self, Scope};
use crate::frame::{Frame, Kind};
use crate::order::Pass;
use crate::run::account::{Event, Mode};
use crate::run::candidates::candidates;
use crate::run::context::Context;
use crate::run::decided;
use crate::run::gather::Gathered;
use crate::run::reading::{Reading, sorted};
use crate::run::rows::unreadable_in;
use crate::run::selection::Asked;
use crate::run::step::PassError;
use crate::run::twins::add_twins;
use crate::store::{Couplings, InboxItem, OpenIntent, Origin, Store, StoreError, Watermark};
use crate::translate::links::Links;
use crate::watermark::{advanced, fingerprint_of, reached, read_from, rows_since, seen, since, version};

/// What a pass knows of its table map before it reads.
pub(super) struct Before<'a> {
    pub(super) couplings: &'a Couplings,
    /// Writes that nobody knows the end of.
    pub(super) under_way: &'a [OpenIntent],
    /// The records that were asked for by name, where the pass is about those.
    pub(super) asked: Option<&'a Asked>,
}

/// Single records to read, and what for.
enum Single<'a> {
    /// They were named: the run writes them and nothing else, so they and what belongs to them are all that counts.
    Named(&'a Asked),
    /// They are to be explained, as a run over everything would decide about them.
    Explained(&'a PerSide<BTreeSet<Uuid>>),
}

/// What one side tells of its changes.
struct Changes {
    frame: Frame,
    deleted: Vec<Uuid>,
    token: Option<String>,
}

/// Reads both sides of a table map as far as the run wants it.
pub(super) fn read(
    context: &Context<'_>,
    store: &dyn Store,
    scope: &Scope,
    turn: &Pass,
    before: &Before<'_>,
    links: &mut Links,
) -> Result<Reading, PassError> {
    let map = &context.pipeline.tables[turn.table];
    let asked = before.asked;
    let fingerprint = fingerprint_of(map, &scope.columns);
    let known = store.watermarks()?.remove(&map.name).filter(|known| known.fingerprint == fingerprint);
    let fresh = Watermark { fingerprint, ..Watermark::default() };
    let explained = || context.subjects_of(map).map(Single::Explained);
    if let Some(records) = asked.map(Single::Named).or_else(explained) {
        let some = read_single(context, store, scope, turn, before, &records, links)?;
        return some.map_or_else(|| full(context, scope, map, fresh, None), Ok);
    }
    if !context.options.changed {
        // A token leads on from where it was given, whatever is read meanwhile.
        let token = known.map(|known| known.token).unwrap_or_default();
        return full(context, scope, map, Watermark { token, ..fresh }, None);
    }
    let tracks = tracked_sides(context, map)?;
    let in_full = |note: String| full(context, scope, map, fresh.clone(), Some((note, tracks)));
    let known = match why_in_full(context, scope, map, known.as_ref(), &tracks, links) {
        Some(note) => return in_full(note),
        None => known.unwrap_or_default(),
    };

    let began = (context.options.elapsed)();
    let tell = |side: Side, rows: usize| (context.tell)(Event::Reading { table: &map.name, side, rows });
    let one = |side: Side| {
        let token = known.token.of(side).as_deref().filter(|_| *tracks.of(side));
        changes(context, scope, map, side, *known.read_to.of(side), token, &|rows| tell(side, rows))
    };
    let both = both(one)?;
    let took = (context.options.elapsed)() - began;
    let both = match (both.erp, both.crm) {
        (Ok(erp), Ok(crm)) => PerSide { erp, crm },
        (Err(message), _) | (_, Err(message)) => return in_full(message),
    };
    let read_to = PerSide::from_fn(|side| {
        advanced(*known.read_to.of(side), reached(newest(context, scope, side, &both.of(side).frame), took))
    });
    let token = PerSide::from_fn(|side| both.of(side).token.clone());
    let mark = Watermark { read_to, token, ..fresh.clone() };

    let gathered = gather(context, store, scope, (map, &turn.deferred), before, (&both, &known, mark), links)?;
    gathered.map_or_else(in_full, Ok)
}

/// Returns why only a full read can tell what changed, where that is so.
fn why_in_full(
    context: &Context<'_>,
    scope: &Scope,
    map: &TableMap,
    known: Option<&Watermark>,
    tracks: &PerSide<bool>,
    links: &mut Links,
) -> Option<String> {
    if let Some(side) = Side::BOTH.into_iter().find(|side| !tells(scope, *side)) {
        return Some(format!("the {} does not tell when a record was changed", side.name()));
    }
    let Some(known) = known else {
        return Some("there is no watermark for it as the file has it now".to_owned());
    };
    if let Some(reference) = may_resolve(map, links) {
        return Some(format!("{reference} has new couplings, which its references may have waited for"));
    }
    let ahead = |side: &Side| {
        known.read_to.of(*side).zip(context.endpoints.of(*side).line().clock()).is_some_and(|(to, now)| to > now)
    };
    if let Some(side) = Side::BOTH.into_iter().find(ahead) {
        return Some(format!("it counts as read up to a time that the {} has not reached yet", side.name()));
    }
    let untracked = |side: &Side| *tracks.of(*side) && known.token.of(*side).is_none();
    let side = Side::BOTH.into_iter().find(untracked)?;
    Some(format!("the {} tracks its changes from now on", side.name()))
}

/// Brings together what changed and what belongs to it; the message says why only a full read can tell.
fn gather(
    context: &Context<'_>,
    store: &dyn Store,
    scope: &Scope,
    (map, deferred): (&TableMap, &[bool]),
    before: &Before<'_>,
    (both, known, mark): (&PerSide<Changes>, &Watermark, Watermark),
    links: &mut Links,
) -> Result<Result<Reading, String>, PassError> {
    let Before { couplings, under_way, .. } = *before;
    let mut gathered = Gathered::new(context, scope, map, couplings);
    let mut again = PerSide::default();
    for side in Side::BOTH {
        let (new, old) = apart(&both.of(side).frame, known.seen.of(side));
        if let Some(column) = scope.modified.of(side) {
            *again.of_mut(side) = seen(&old, column, *mark.read_to.of(side));
        }
        gathered.spare(side, old);
        gathered.add(side, &new);
        gathered
            .want(side, both.of(side).deleted.iter().copied().filter(|id| gathered.is_coupled(side, *id)).collect());
    }
    gathered.want(Side::Erp, unsettled(map, couplings));
    for item in store.inbox(Some(&map.name))? {
        gathered.want(Side::Erp, item.erp_id.into_iter().collect());
        gathered.want(Side::Crm, item.crm_id.into_iter().collect());
    }
    gathered.want_written(under_way);
    gathered.fetch()?;
    let widowed = acted_on(&gathered, context, store, map)?;
    let number = widowed.erp.len() + widowed.crm.len();
    if number > 0 {
        // Whether a record was deleted, or made anew under another id, only the whole table tells.
        return Ok(Err(format!("{number} of the coupled records lost their partner")));
    }
    candidates(context, scope, map, deferred, (&mut gathered, &widowed), links)?;
    gathered.finish(Mode::Changed, Some(mark), again).map(Ok)
}

/// Reads single records of a table map, with what belongs to them; `None` where only a full read can tell.
///
/// Of a record that does not exist nothing comes.
fn read_single(
    context: &Context<'_>,
    store: &dyn Store,
    scope: &Scope,
    turn: &Pass,
    before: &Before<'_>,
    records: &Single<'_>,
    links: &mut Links,
) -> Result<Option<Reading>, PassError> {
    let map = &context.pipeline.tables[turn.table];
    let mut gathered = Gathered::new(context, scope, map, before.couplings);
    for side in Side::BOTH {
        gathered.want(
            side,
            match records {
                Single::Named(asked) => sorted(asked.ids(side).clone()),
                Single::Explained(subjects) => subjects.of(side).iter().copied().collect(),
            },
        );
    }
    let is_explained = matches!(records, Single::Explained(_));
    if is_explained {
        gathered.want_written(before.under_way);
    }
    gathered.fetch()?;
    let widowed = acted_on(&gathered, context, store, map)?;
    if is_explained && widowed.erp.len() + widowed.crm.len() > 0 {
        return Ok(None);
    }
    add_unread(context, store, scope, map, &mut gathered)?;
    add_twins(context, scope, map, &mut gathered)?;
    candidates(context, scope, map, &turn.deferred, (&mut gathered, &widowed), links)?;
    // What else the sides hold is not known any better than before.
    gathered.finish(Mode::Selected, None, PerSide::default()).map(Some)
}

/// Adds the records without partner that could not be read the last time and still cannot: a side that is asked by a value which
/// nobody can read does not bring them, and they may be whoever is looked at.
fn add_unread(
    context: &Context<'_>,
    store: &dyn Store,
    scope: &Scope,
    map: &TableMap,
    gathered: &mut Gathered<'_>,
) -> Result<(), PassError> {
    let alone = |item: &InboxItem| match (item.background.unreadable, item.erp_id, item.crm_id) {
        (true, Some(id), None) => Some((Side::Erp, id)),
        (true, None, Some(id)) => Some((Side::Crm, id)),
        _ => None,
    };
    let waiting: HashSet<(Side, Uuid)> = store.inbox(Some(&map.name))?.iter().filter_map(alone).collect();
    for side in Side::BOTH {
        let ids: HashSet<Uuid> = waiting.iter().filter(|(at, _)| *at == side).map(|(_, id)| *id).collect();
        if !ids.is_empty() {
            let frame = extract::read_ids(scope, side, *context.endpoints.of(side), sorted(ids))?;
            gathered.add(side, &unreadable_in(&frame));
        }
    }
    Ok(())
}

/// Returns the survivors of deletions about which something is done: the file says what, somebody decided, or the run is asked
/// for their partners.
fn acted_on(
    gathered: &Gathered<'_>,
    context: &Context<'_>,
    store: &dyn Store,
    map: &TableMap,
) -> Result<PerSide<HashSet<Uuid>>, StoreError> {
    let widowed = gathered.widowed();
    let none = widowed.erp.is_empty() && widowed.crm.is_empty();
    let is_said = map.on_delete != OnDelete::Hold || context.options.selection.create;
    let acts = !none && (is_said || decided::load(store, map)?.of_pairs());
    Ok(if acts { widowed } else { PerSide::default() })
}

/// Returns the table map whose new couplings a reference may have waited for in silence: a field that is cleared or kept
/// until then puts its record into no inbox, and no more does one that the CRM cleared when a record was deleted that this
/// run made anew.
fn may_resolve<'a>(map: &'a TableMap, links: &mut Links) -> Option<&'a str> {
    let mut waits = |field: &FieldMap, reference: &Reference| {
        let table = links.table(&reference.table);
        table.has_grown() && (field.on_unresolved != OnUnresolved::Fail || table.has_restored())
    };
    let references = map.fields.iter().filter_map(|field| Some((field, field.reference.as_ref()?)));
    references
        .into_iter()
        .find(|(field, reference)| waits(field, reference))
        .map(|(_, reference)| reference.table.as_str())
}

/// Returns the ERP ids of pairs that somebody coupled and no run has compared since: no change of theirs tells of them.
///
/// Of a pair that was coupled by hand the run after it may have written one direction only. Of all others a field without
/// base is one that came into the file while the pair was outside its filter, or a reference that waits: the edit that
/// ends either is read as such, or left to a full run.
fn unsettled(map: &TableMap, couplings: &Couplings) -> Vec<Uuid> {
    let waits = |field: &FieldMap| field.reference.is_some() && field.on_unresolved != OnUnresolved::Fail;
    let fields = || map.fields.iter().zip(&couplings.bases);
    let is_new = |coupling: &usize| match couplings.origins[*coupling] {
        Origin::Hand => fields().any(|(field, bases)| bases[*coupling].is_none() && !waits(field)),
        Origin::Matched(_) | Origin::Created(_) => fields().all(|(_, bases)| bases[*coupling].is_none()),
    };
    (0..couplings.len()).filter(is_new).map(|coupling| couplings.erp[coupling]).collect()
}

/// Parts what is new from what was settled in the very version that came again.
fn apart(frame: &Frame, seen: &[(Uuid, u64)]) -> (Frame, Frame) {
    let seen: HashSet<&(Uuid, u64)> = seen.iter().collect();
    let is_old = |row: &usize| version(frame, *row).is_some_and(|version| seen.contains(&(frame.id(*row), version)));
    let (old, new): (Vec<usize>, Vec<usize>) = (0..frame.rows()).partition(is_old);
    (frame.take(&new), frame.take(&old))
}

/// Reads everything inside the filters; of a side that is to be tracked everything at all.
fn full(
    context: &Context<'_>,
    scope: &Scope,
    map: &TableMap,
    mut mark: Watermark,
    changed: Option<(String, PerSide<bool>)>,
) -> Result<Reading, PassError> {
    let began = (context.options.elapsed)();
    let tell = |side: Side, rows: usize| (context.tell)(Event::Reading { table: &map.name, side, rows });
    let tracks = changed.as_ref().map(|(_, tracks)| *tracks).unwrap_or_default();
    let mut note = changed.map(|(note, _)| format!("read in full: {note}"));
    let inside = if tracks.erp || tracks.crm {
        let read = both(|side| {
            let query = query(scope, side);
            let progress = |rows: usize| tell(side, rows);
            if *tracks.of(side) {
                match context.endpoints.of(side).read_tracked(&query, None, &progress)? {
                    Tracked::Changes { frame, token, .. } => {
                        return Ok((extract::inside(map, side, frame)?, Some(token), None));
                    }
                    Tracked::Refused { message } => {
                        let refusal = format!("the {} refuses to track its changes: {message}", side.name());
                        return Ok((
                            extract::read_side(map, scope, side, *context.endpoints.of(side), &progress)?,
                            None,
                            Some(refusal),
                        ));
                    }
                }
            }
            Ok((extract::read_side(map, scope, side, *context.endpoints.of(side), &progress)?, None, None))
        })?;
        for (_, _, refusal) in [&read.erp, &read.crm] {
            if let (Some(note), Some(refusal)) = (&mut note, refusal) {
                note.push_str(&format!("; {refusal}"));
            }
        }
        mark.token = PerSide { erp: read.erp.1, crm: read.crm.1 };
        PerSide { erp: read.erp.0, crm: read.crm.0 }
    } else {
        extract::read(map, scope, context.endpoints, &tell)?
    };
    let took = (context.options.elapsed)() - began;
    mark.read_to = PerSide::from_fn(|side| reached(newest(context, scope, side, &inside.of(side).frame), took));
    let whole_to = Some(mark.read_to);
    let tells = Side::BOTH.into_iter().all(|side| tells(scope, side));
    Ok(Reading {
        whole_to,
        mode: Mode::Full,
        inside,
        besides: None,
        couplings: None,
        mark: tells.then_some(mark),
        again: PerSide::default(),
        note,
    })
}

/// Reads what changed on one side; the message says why only a full read can tell.
fn changes(
    context: &Context<'_>,
    scope: &Scope,
    map: &TableMap,
    side: Side,
    read_to: Option<DateTime<Utc>>,
    token: Option<&str>,
    progress: &dyn Fn(usize),
) -> Result<Result<Changes, String>, EndpointError> {
    let endpoint = *context.endpoints.of(side);
    if let Some(token) = token {
        return Ok(match endpoint.read_tracked(&query(scope, side), Some(token), progress)? {
            Tracked::Changes { frame, deleted, token } => Ok(Changes { frame, deleted, token: Some(token) }),
            Tracked::Refused { message } => {
                Err(format!("the {} does not tell the changes since the last run any more ({message})", side.name()))
            }
        });
    }
    let Some(column) = scope.modified.of(side) else {
        return Ok(Err(format!("the {} does not tell when a record was changed", side.name())));
    };
    // A coupled record that was edited out of its filter does not come. Nothing follows from that: where its partner
    // was edited too, it is asked for by id.
    let filter = map.sides.of(side).filter.as_ref().and_then(|filter| filter.predicate().cloned());
    let from = read_to.map(read_from);
    let filter = match scope.infos.of(side).column(column) {
        Some(info) => since(filter, &info.column, from),
        None => filter,
    };
    let mut frame = endpoint.read(&Query { filter, ..query(scope, side) }, progress)?;
    if let Some(from) = from {
        frame = frame.take(&rows_since(&frame, column, from));
    }
    Ok(Ok(Changes { frame, deleted: Vec::new(), token: None }))
}

/// Asks which sides track the changes of their table.
fn tracked_sides(context: &Context<'_>, map: &TableMap) -> Result<PerSide<bool>, EndpointError> {
    let tracks = |side: Side| context.endpoints.of(side).tracks(&map.sides.of(side).table);
    Ok(PerSide { erp: tracks(Side::Erp)?, crm: tracks(Side::Crm)? })
}

/// Does something on both sides at the same time.
fn both<T: Send>(one: impl Fn(Side) -> Result<T, EndpointError> + Sync) -> Result<PerSide<T>, EndpointError> {
    let (erp, crm) = std::thread::scope(|threads| {
        let erp = threads.spawn(|| one(Side::Erp));
        let crm = one(Side::Crm);
        (erp.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), crm)
    });
    Ok(PerSide { erp: erp?, crm: crm? })
}

fn query(scope: &Scope, side: Side) -> Query<'_> {
    Query { info: scope.infos.of(side), columns: scope.columns.of(side).clone(), filter: None, ids: None }
}

/// Tells whether a side shows when a record was modified, to the moment or to the day.
fn tells(scope: &Scope, side: Side) -> bool {
    let info = scope.modified.of(side).as_ref().and_then(|column| scope.infos.of(side).column(column));
    info.is_some_and(|info| info.readable && matches!(info.column.kind, Kind::DateTime | Kind::Date))
}

///
/// What bears a time that its side has not reached yet, as after a clock that was wrong for a day, does not count: everything
/// that is edited until then would count as read.
fn newest(context: &Context<'_>, scope: &Scope, side: Side, frame: &Frame) -> Option<DateTime<Utc>> {
    frame.latest(scope.modified.of(side).as_ref()?, context.endpoints.of(side).line().clock())
}
