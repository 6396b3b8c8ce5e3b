//! Pairs of which one record was deleted: decided with the rest of the pass. Where that means deleting the other, it is
//! carried out when every table map had its turn.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::couple::resembling::{alike, found_beyond};
use crate::couple::{Absent, rows_by_id};
use crate::delta::Held;
use crate::delta::deletion::{Facts, Fate, Reason, decide, edited};
use crate::delta::merge::Why;
use crate::extract;
use crate::frame::Frame;
use crate::plan::{Action, ActionKind};
use crate::run::account::Mode;
use crate::run::agenda::Agenda;
use crate::run::apart::who_is_there;
use crate::run::consequences::Doomed;
use crate::run::decided;
use crate::run::given::gives_key;
use crate::run::notes::note_it;
use crate::run::partners::Widowed;
use crate::run::rows::{not_in, unreadable_in, without};
use crate::run::state::PassState;
use crate::run::step::{PassError, Step};
use crate::run::unreadable::note_survivors;
use crate::store::{CouplingChange, Couplings, InboxKind, Store, Survivor};

/// Decides what becomes of the survivors; what is to be made anew goes into `agenda`.
pub(super) fn settle_widowed(
    step: &Step<'_>,
    store: &dyn Store,
    state: &mut PassState,
    widowed: Vec<Widowed>,
    couplings: &Couplings,
    agenda: &mut Agenda,
) -> Result<(), PassError> {
    let map = step.map;
    let mut restores: PerSide<Vec<Widowed>> = PerSide::default();
    let mut deletes: PerSide<Vec<Widowed>> = PerSide::default();
    for widow in widowed {
        state.by_people.note_pair(widow.ids);
        let left = widow.gone.other();
        let survivor = *widow.ids.of(left);
        let fate = match fate(map, state, &widow) {
            _ if state.aside.is_unreadable(left, survivor) => Fate::Hold(Reason::Unreadable),
            Fate::Restore | Fate::Delete if state.aside.is_resembling(left, survivor) => Fate::Hold(Reason::Unreadable),
            Fate::Restore if !step.context.writes(widow.gone) => Fate::Hold(Reason::OtherWay),
            Fate::Delete if !step.context.writes(widow.gone.other()) => Fate::Hold(Reason::OtherWay),
            fate => fate,
        };
        match fate {
            Fate::Hold(reason) => hold(step, state, &widow, reason),
            Fate::Restore => restores.of_mut(widow.gone).push(widow),
            Fate::Delete => deletes.of_mut(widow.gone.other()).push(widow),
            Fate::Uncouple => {
                let (PerSide { erp, crm }, record) = (widow.ids, widow.record.clone());
                let why = format!("deleted in the {}; the two are kept apart from now on", widow.gone.name());
                let action = widow.action(map, ActionKind::KeepApart, Side::Erp, why);
                if state.admits(step.context, map, step.links, &action) {
                    state.draft.recouple(action, CouplingChange::KeepApart { erp, crm, record });
                }
                skip(state, map, &widow);
            }
        }
    }
    for gone in Side::BOTH {
        let widows = std::mem::take(restores.of_mut(gone));
        if !widows.is_empty() {
            restore(step, store, state, (gone, widows), couplings, agenda)?;
        }
        let widows = std::mem::take(deletes.of_mut(gone.other()));
        if !widows.is_empty() {
            doom(step, store, state, gone.other(), widows, couplings)?;
        }
    }
    Ok(())
}

fn fate(map: &TableMap, state: &PassState, widow: &Widowed) -> Fate {
    decide(&Facts {
        on_delete: decided::on_delete(map, &state.by_people, widow.ids),
        gone: widow.gone,
        writes: PerSide::from_fn(|side| map.direction.writes(side)),
        inside: widow.row.is_some(),
    })
}

/// Returns the couplings that hold on while records are matched, and adds to those kept apart the survivors of the others:
/// what the next run would find uncoupled, this one does.
pub(super) fn still_coupled(
    map: &TableMap,
    state: &PassState,
    absent: &[Absent],
    widowed: &[Widowed],
    apart: &mut PerSide<Frame>,
) -> Vec<Absent> {
    let freed: Vec<&Widowed> = widowed.iter().filter(|widow| fate(map, state, widow) == Fate::Uncouple).collect();
    for left in Side::BOTH {
        let rows: Vec<usize> = freed.iter().filter(|widow| widow.gone != left).filter_map(|widow| widow.row).collect();
        if !rows.is_empty() {
            apart.of_mut(left).upsert(&state.records.frame(left).take(&rows));
        }
    }
    let freed: HashSet<Uuid> = freed.iter().map(|widow| widow.ids.erp).collect();
    absent.iter().filter(|absent| !freed.contains(&absent.ids.erp)).copied().collect()
}

/// Lets the partners of survivors be made anew, but for those of which the side has another record already, unless somebody wants
/// them a second time beside one that is kept apart or outside the filter.
fn restore(
    step: &Step<'_>,
    store: &dyn Store,
    state: &mut PassState,
    (gone, widows): (Side, Vec<Widowed>),
    couplings: &Couplings,
    agenda: &mut Agenda,
) -> Result<(), PassError> {
    let (map, context, left) = (step.map, step.context, gone.other());
    let mut everything = state.records.frame(gone).clone();
    // Among some of its records no running number is the next one, and nobody tells what it made.
    let counts = map.counts_on(gone) || gives_key(step.scope, map, gone);
    if map.sides.of(gone).filter.is_some() || (counts && state.report.mode != Mode::Full) {
        everything = extract::read_beyond(step.map, step.scope, gone, *context.endpoints.of(gone))?;
        // New numbers count on past what is outside, too.
        let outside = not_in(&everything, state.records.frame(gone));
        agenda.beyond.of_mut(gone).get_or_insert_with(|| step.scope.empty(gone)).upsert(&outside);
    }
    let taken = coupled(state, couplings, gone);
    let apart = store.kept_apart(&map.name)?;
    let matched: HashSet<Uuid> =
        state.records.frame(gone).ids().into_iter().filter(|id| !apart.of(gone).contains(id)).collect();
    let double = context.options.selection.double;
    let free = without(&everything, |id| taken.contains(id) || (double && !matched.contains(id)));
    let unreadable = unreadable_in(&free);
    let rows: Vec<usize> = widows.iter().filter_map(|widow| widow.row).collect();
    let survivors = state.records.frame(left).clone();
    let twins = found_beyond(map, &step.scope.infos, left, &survivors, &rows, &free, step.links);
    note_survivors(step, state, left, &rows, &unreadable);
    let doubtful = |state: &PassState, widow: &Widowed| state.aside.is_resembling(left, *widow.ids.of(left));
    let (doubtful, widows): (Vec<Widowed>, Vec<Widowed>) = widows.into_iter().partition(|widow| doubtful(state, widow));
    doubtful.iter().for_each(|widow| hold(step, state, widow, Reason::Unreadable));
    let rows: Vec<usize> = widows.iter().filter_map(|widow| widow.row).collect();
    let restored: Vec<usize> = rows.iter().copied().filter(|row| !twins.contains_key(row)).collect();
    hold_doubles(step, state, left, &restored, agenda);
    for widow in widows {
        let survivor = *widow.ids.of(left);
        if let Some(twin) = widow.row.and_then(|row| twins.get(&row)) {
            // What the match rules had doubts about is no question of one record more or less.
            if context.options.selection.create && !matched.contains(&free.id(*twin)) {
                let there = state.records.names().row(&free, gone, *twin);
                let is_apart = apart.of(gone).contains(&free.id(*twin));
                state.aside.leave_unpartnered(left, survivor, who_is_there(&there, is_apart));
            }
            hold(step, state, &widow, Reason::Twin);
            continue;
        }
        state.consequences.restore(gone, survivor, *widow.ids.of(gone));
        agenda.sources.of_mut(left).push(survivor);
    }
    Ok(())
}

/// Holds the records that would get a new partner beside one that is made anew and looks the same: one of the two is one
/// too many, and the next run would say so.
fn hold_doubles(step: &Step<'_>, state: &mut PassState, left: Side, restored: &[usize], agenda: &mut Agenda) {
    let frame = state.records.frame(left);
    let by_id = rows_by_id(frame);
    let rows: Vec<usize> = agenda.sources.of(left).iter().filter_map(|id| by_id.get(id).copied()).collect();
    let found = alike(step.map, &step.scope.infos, left, frame, (&rows, restored), step.links);
    for (row, other, rule) in found {
        let (id, record) = (frame.id(row), state.records.names().row(frame, left, row));
        let other = state.records.names().row(frame, left, other);
        let message = format!(
            "{record} matches {other} by rule {rule}, whose partner was deleted in the {} and is made anew",
            left.other().name()
        );
        let ids = match left {
            Side::Erp => PerSide { erp: Some(id), crm: None },
            Side::Crm => PerSide { erp: None, crm: Some(id) },
        };
        let (kind, values) = (InboxKind::Ambiguous, PerSide::default());
        state.waits.hold(Held { kind, record, ids, field: None, values, to: None, message });
        agenda.sources.of_mut(left).retain(|known| *known != id);
    }
}

/// Returns the records of a side that have a partner, those that this run coupled among them.
fn coupled(state: &PassState, couplings: &Couplings, side: Side) -> HashSet<Uuid> {
    let ids = if side == Side::Erp { &couplings.erp } else { &couplings.crm };
    ids.iter().chain(state.records.pairs().ids.iter().map(|ids| ids.of(side))).copied().collect()
}

/// Plans to delete survivors, but for those that somebody edited, or of which the other side has another record.
fn doom(
    step: &Step<'_>,
    store: &dyn Store,
    state: &mut PassState,
    left: Side,
    widows: Vec<Widowed>,
    couplings: &Couplings,
) -> Result<(), PassError> {
    let frame = state.records.frame(left);
    let bases: Vec<Vec<Option<PerSide<u64>>>> =
        widows.iter().map(|widow| couplings.bases.iter().map(|field| field[widow.coupling]).collect()).collect();
    let rows: Vec<usize> = widows.iter().filter_map(|widow| widow.row).collect();
    let ids: Vec<PerSide<Uuid>> = widows.iter().map(|widow| widow.ids).collect();
    let text = |row: usize, field: usize| text_before(store, step.map, ids[row], left, field);
    let reasons = edited(step.map, &step.scope.infos, step.links, left, &frame.take(&rows), &bases, &text)?;
    let taken = coupled(state, couplings, left.other());
    let free = without(state.records.frame(left.other()), |id| taken.contains(id));
    let twins = found_beyond(step.map, &step.scope.infos, left, frame, &rows, &free, step.links);
    let etags: Vec<Option<String>> = rows.iter().map(|row| frame.etag(*row)).collect();
    let mut actions = Vec::new();
    for (((widow, bases), reason), etag) in widows.into_iter().zip(bases).zip(reasons).zip(etags) {
        let twin = widow.row.filter(|row| twins.contains_key(row)).map(|_| Reason::Twin);
        let ruled = state.by_people.of_pair(widow.ids).map(|ruled| (ruled.seen, ruled.on));
        let now = widow.row.map(|row| decided::print_of(step.map, left, state.records.frame(left), row));
        let reason = match ruled {
            // What the record held when somebody decided is what he decided about.
            Some((Some(seen), _)) => (now != Some(seen)).then_some(Reason::Changed).or(twin),
            _ => twin.or(reason),
        };
        if let Some(reason) = reason {
            hold(step, state, &widow, reason);
            continue;
        }
        skip(state, step.map, &widow);
        let gone = widow.gone.name();
        let why = match ruled {
            Some((_, on)) => format!("deleted in the {gone}; {}", Why::Decided(on)),
            None => format!("deleted in the {gone}, and not edited in the {} since", left.name()),
        };
        if ruled.is_some() {
            state.guarding.spare(widow.ids.erp);
        }
        let action = Action { etag, ..widow.action(step.map, ActionKind::Delete, left, why) };
        actions.push(action.clone());
        state.consequences.doom(Doomed { action, bases, print: now.filter(|_| ruled.is_some()) });
    }
    state.waits.hold_all(state.refusals.skip(&state.records, step.map, &mut actions));
    state.admit(step.context, step.map, step.links, &mut actions);
    let sent: HashSet<Uuid> = actions.iter().map(|action| action.ids.erp).collect();
    state.consequences.keep_doomed(|doomed| doomed.action.side != left || sent.contains(&doomed.action.ids.erp));
    state.draft.add_deletions(actions);
    Ok(())
}

/// Returns what a side held in a field when a pair was last settled; nothing where values are not kept.
pub(super) fn text_before(
    store: &dyn Store,
    map: &TableMap,
    ids: PerSide<Uuid>,
    side: Side,
    field: usize,
) -> Option<String> {
    // Who cannot read the state now cannot write it a moment later either; until then nothing is known.
    let values = store.base_values(&map.name, ids.erp, ids.crm).ok()?;
    values.get(&map.fields[field].key()).map(|value| value.of(side).clone())
}

fn hold(step: &Step<'_>, state: &mut PassState, widow: &Widowed, reason: Reason) {
    let map = step.map;
    skip(state, map, widow);
    let left = widow.gone.other();
    let print = widow.row.map(|row| decided::print_of(map, left, state.records.frame(left), row));
    state.consequences.bereave(left, *widow.ids.of(left));
    // Somebody made it anew by hand: then there is one thing to do about both records.
    let anew = state.consequences.made_anew(*widow.ids.of(left)).filter(|_| map.direction.writes(widow.gone));
    let ruled = state.by_people.of_pair(widow.ids);
    // Whoever decided is told why that does not help, and not what else he could do.
    let message = match (anew.filter(|_| state.by_people.why(widow.ids).is_none()), reason) {
        (Some(anew), Reason::Asked | Reason::Twin | Reason::Edited | Reason::NeverSettled) => {
            reason_made_anew(&widow.record, widow.gone, anew)
        }
        _ => reason.told(&widow.record, widow.gone, state.aside.unread(left, *widow.ids.of(left))),
    };
    if reason == Reason::Unreadable && ruled.is_some() {
        // The inbox does not ask about it, as it is decided.
        note_it(step.context, &mut state.report, message.clone());
    }
    state.by_people.note_held(widow.ids, reason);
    state.waits.hold_survivor(Survivor { ids: widow.ids, left, print }, widow.record.clone(), message);
}

fn reason_made_anew(record: &str, gone: Side, anew: &str) -> String {
    let name = if record.contains(' ') { format!("'{record}'") } else { record.to_owned() };
    format!(
        "{record} was deleted in the {}, and {anew} there looks like it: `pipeline inbox FILE restore {name}` couples the two",
        gone.name()
    )
}

/// Counts a survivor that was read, in the direction away from it.
fn skip(state: &mut PassState, map: &TableMap, widow: &Widowed) {
    if widow.row.is_some() && map.direction.writes(widow.gone) {
        state.tally.skip(widow.gone, 1);
    }
}
