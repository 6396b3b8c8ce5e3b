//! What a deletion would take along: records of other table maps that refer to the record that is to go, or are the very
//! same one.
//!
//! A side deletes, clears or refuses by rules of its own what refers to a deleted record, and asks nobody here. So a
//! deletion waits as long as a coupled record, or one that waits for a person, hangs on it and does not go in the same run
//! (I7).

use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Reference, Side, TableMap};
use crate::couple::rows_by_id;
use crate::plan::ActionKind;
use crate::run::account::Mode;
use crate::run::consequences::Doomed;
use crate::run::decided;
use crate::run::referring::{Going, Known, Turns, referring};
use crate::run::state::PassState;
use crate::store::{Store, StoreError, Survivor};

/// Who hangs on the records that are to be deleted.
pub(super) struct Along {
    ties: Vec<Tie>,
    /// Deletions of a pass on a side of which a table map could not be asked: the pass, the side and why.
    unknown: Vec<(usize, Side, String)>,
}

/// A record that hangs on one that is to be deleted.
struct Tie {
    /// The pass that deletes, the side, and the record there.
    place: usize,
    left: Side,
    id: Uuid,
    /// The table map of the other record, its pass where it has one, and the record itself.
    table: usize,
    by: Option<usize>,
    by_id: Uuid,
    /// As people name it.
    record: String,
    /// It is the same record.
    is_same: bool,
    /// Its own table map deletes it in this run.
    is_doomed: bool,
}

/// Who holds a deletion, and why it stays itself.
type Reason<'t> = (Stay, &'t Tie);

/// Why a record that hangs on another one does not go with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stay {
    /// It waits for a person itself.
    Waits,
    /// Its table map was stopped by its guard.
    Guarded,
    /// Its table map was not brought to its end.
    Failed,
    /// The run is not about it.
    Unasked,
    /// A run over changes has not read it.
    Unread,
    /// Nobody deleted its partner.
    Lives,
}

impl Along {
    /// Asks who hangs on what is to be deleted; `None` where nothing is.
    pub(super) fn find(turns: &mut Turns<'_>, store: &dyn Store) -> Result<Option<Along>, StoreError> {
        let mut along = Along { ties: Vec::new(), unknown: Vec::new() };
        let mut known: BTreeMap<usize, Known> = BTreeMap::new();
        let mut any = false;
        for place in 0..turns.states.len() {
            let Some(state) = &turns.states[place] else { continue };
            // What a guard stopped is deleted on paper only, and looked at again by whoever carries that out.
            if state.consequences.doomed().is_empty()
                || state.guarding.has_stopped()
                || turns.reports[place].error.is_some()
            {
                continue;
            }
            any = true;
            for left in Side::BOTH {
                along.find_in(turns, store, (place, left), &mut known)?;
            }
        }
        if turns.context.subjects.is_some() {
            along.tell_sights(turns);
        }
        Ok(any.then_some(along))
    }

    fn find_in(
        &mut self,
        turns: &mut Turns<'_>,
        store: &dyn Store,
        (place, left): (usize, Side),
        known: &mut BTreeMap<usize, Known>,
    ) -> Result<(), StoreError> {
        let pipeline = turns.context.pipeline;
        let own = turns.passes[place].table;
        let Some(doomed) = Going::of(turns, place, left) else { return Ok(()) };
        for (table, map) in pipeline.tables.iter().enumerate() {
            let is_same_table = map.sides.of(left).table == pipeline.tables[own].sides.of(left).table;
            let leads = |to: &Reference| to.table == pipeline.tables[own].name;
            let refers = map.fields.iter().any(|field| field.reference.as_ref().is_some_and(leads));
            let shares = is_same_table && table != own;
            if !refers && !shares {
                continue;
            }
            let known = match known.entry(table) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(known) => known.insert(Known::of(turns, store, table)?),
            };
            if known.is_nobody {
                continue;
            }
            let mut found: BTreeMap<(Uuid, Uuid), Option<String>> = BTreeMap::new();
            if shares && known.goes_by_itself != Some(left) {
                found.extend(doomed.rows.iter().map(|(id, _)| ((*id, *id), None)));
            }
            if refers {
                match referring(turns, (table, left), (place, &doomed), known) {
                    Ok(referring) => {
                        // Of one record in two table maps it is told that it is the same one.
                        let others = referring.into_iter().filter(|((id, by), _)| !is_same_table || id != by);
                        found.extend(others.map(|(tie, record)| (tie, Some(record))));
                    }
                    Err(error) => {
                        self.unknown.push((place, left, format!("`{}` could not be asked: {error}", map.name)))
                    }
                }
            }
            for ((id, by_id), record) in found {
                if !known.is_bound(turns, store, left, by_id)? {
                    continue;
                }
                let is_same = record.is_none();
                let record = known.names.of(left).get(&by_id).cloned().or(record);
                let record = record.unwrap_or_else(|| doomed.named_in(map, left, id));
                let is_doomed = known.doomed.of(left).contains(&by_id);
                self.ties.push(Tie { place, left, id, table, by: known.place, by_id, record, is_same, is_doomed });
            }
        }
        Ok(())
    }

    /// Makes subjects, where some records are to be explained, of those on which that depends.
    fn tell_sights(&self, turns: &mut Turns<'_>) {
        for tie in &self.ties {
            let table = turns.context.pipeline.tables[tie.table].name.clone();
            if let Some(sight) = turns.states[tie.place].as_mut().and_then(|state| state.sight.as_mut()) {
                sight.refers.push((table, tie.left, tie.by_id));
            }
        }
    }

    /// Takes out of what is to be deleted whatever would take along a record that stays, until nothing of that kind is left:
    /// who stays may hang on others.
    pub(super) fn hold_back(&self, turns: &mut Turns<'_>) {
        loop {
            let staying: Vec<Staying> = turns.states.iter().map(Staying::of).collect();
            let mut reasons: HashMap<(usize, Side, Uuid), Vec<Reason<'_>>> = HashMap::new();
            for tie in &self.ties {
                if let Some(why) = why_stays(turns, &staying, tie) {
                    reasons.entry((tie.place, tie.left, tie.id)).or_default().push((why, tie));
                }
            }
            let mut grown = false;
            for place in 0..turns.states.len() {
                let Some(state) = &mut turns.states[place] else { continue };
                if state.guarding.has_stopped() || turns.reports[place].error.is_some() {
                    continue;
                }
                let map = &turns.context.pipeline.tables[turns.passes[place].table];
                for doomed in state.consequences.take_doomed() {
                    let left = doomed.action.side;
                    let unknown = self.unknown.iter().find(|(at, side, _)| (*at, *side) == (place, left));
                    let reasons = reasons.get_mut(&(place, left, *doomed.action.ids.of(left)));
                    let reason = match (reasons, unknown) {
                        (Some(reasons), _) => because(turns.context.pipeline.tables.as_slice(), left, reasons),
                        (None, Some((_, _, why))) => {
                            format!("as long as nobody knows what refers to it there: {why}; the next run asks again")
                        }
                        (None, None) => {
                            state.consequences.doom(doomed);
                            continue;
                        }
                    };
                    hold(state, map, &doomed, &reason);
                    grown = true;
                }
            }
            if !grown {
                break;
            }
        }
    }
}

/// The records of a pass that do not go, whatever was decided before.
struct Staying {
    /// Waiting for a person by now, or out of the plan that is carried out.
    ids: PerSide<HashSet<Uuid>>,
}

impl Staying {
    fn of(state: &Option<PassState>) -> Staying {
        let mut ids: PerSide<HashSet<Uuid>> = PerSide::default();
        if let Some(state) = state {
            for side in Side::BOTH {
                let waits = state.waits.held().iter().filter_map(|held| *held.ids.of(side));
                let filed = state
                    .waits
                    .inbox()
                    .iter()
                    .filter_map(|item| if side == Side::Erp { item.erp_id } else { item.crm_id });
                let dropped = state.approval.dropped().iter().filter(|action| action.kind == ActionKind::Delete);
                ids.of_mut(side).extend(waits.chain(filed).chain(dropped.map(|action| *action.ids.of(side))));
            }
        }
        Staying { ids }
    }
}

/// Tells why the record that hangs on another one stays; `None` where it goes as well.
fn why_stays(turns: &Turns<'_>, staying: &[Staying], tie: &Tie) -> Option<Stay> {
    let Some(by) = tie.by else { return Some(Stay::Unasked) };
    let Some(state) = &turns.states[by] else { return Some(Stay::Failed) };
    let is_asked = match tie.left {
        Side::Erp => state.asks(Some(tie.by_id), None),
        Side::Crm => state.asks(None, Some(tie.by_id)),
    };
    let waits = staying[by].ids.of(tie.left).contains(&tie.by_id);
    let was_read = || rows_by_id(state.records.frame(tie.left)).contains_key(&tie.by_id);
    match () {
        () if waits => Some(Stay::Waits),
        () if state.guarding.has_stopped() => Some(Stay::Guarded),
        () if turns.reports[by].error.is_some() => Some(Stay::Failed),
        () if tie.is_doomed => None,
        () if !is_asked => Some(Stay::Unasked),
        () if state.report.mode == Mode::Changed && turns.context.subjects.is_none() && !was_read() => {
            Some(Stay::Unread)
        }
        () => Some(Stay::Lives),
    }
}

/// Says what the record waits for, and what to do about it.
fn because(tables: &[TableMap], left: Side, reasons: &mut [Reason<'_>]) -> String {
    reasons.sort_by(|(one, tie), (other, other_tie)| {
        (one, tie.table, &tie.record).cmp(&(other, other_tie.table, &other_tie.record))
    });
    let (why, first) = reasons[0];
    let (record, table) = (&first.record, &tables[first.table].name);
    let quoted = if record.contains(' ') { format!("'{record}'") } else { record.clone() };
    let hangs = match (first.is_same, reasons.len()) {
        (true, _) => format!("{record} is the same record there"),
        (false, 1) => format!("{record} refers to it there"),
        (false, several) => format!("{record} and {} more refer to it there", several - 1),
    };
    let then = match why {
        Stay::Waits => "which waits for a person itself: decide about that first".to_owned(),
        Stay::Guarded => format!("and the guard of `{table}` stopped that table: see to that first"),
        Stay::Failed => format!("and `{table}` was not brought to its end: see to that first"),
        Stay::Unasked => "and this run is not about that one: a run over everything decides".to_owned(),
        Stay::Unread => "and a run over changes has not read that one: a full run decides".to_owned(),
        Stay::Lives if first.is_same => {
            format!(
                "and its partner in the {} was not deleted: `pipeline uncouple FILE {quoted}` parts those two, and \
                     then it goes",
                left.other().name()
            )
        }
        Stay::Lives => format!(
            "and nobody deleted that: let it refer to something else, delete it, or part it by `pipeline uncouple FILE \
             {quoted}`"
        ),
    };
    format!("as long as {hangs}, {then}")
}

/// Makes something that waits of a deletion.
fn hold(state: &mut PassState, map: &TableMap, doomed: &Doomed, reason: &str) {
    let action = &doomed.action;
    let (ids, left) = (action.ids, action.side);
    state.draft.drop_deletion(left, ids);
    let frame = state.records.frame(left);
    let row = rows_by_id(frame).get(ids.of(left)).copied();
    let print = row.map(|row| decided::print_of(map, left, frame, row));
    state.by_people.note_unmet(ids);
    state.approval.take_back(action);
    state.refusals.note_unsent(action);
    let (gone, left) = (left.other().name(), left.name());
    let message = format!("{} was deleted in the {gone}; it stays in the {left} {reason}", action.record);
    state.waits.hold_survivor(Survivor { ids, left: action.side, print }, action.record.clone(), message);
}
