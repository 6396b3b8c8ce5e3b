//! Records that are there and cannot be read to the end: a value of theirs is none of its column.
//!
//! Nothing is concluded from what such a record holds. Its pair is left alone, and one that has no partner gets none. Nor does
//! whoever may be its partner, as far as what could be read of it tells: else it would be made a second time, or coupled
//! with another one that looks the same. All of that lasts until somebody has corrected the value; the run after that goes
//! on as if nothing had happened, since what is remembered of the pair is as it was.

use std::collections::HashMap;

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::couple::resembling::may_be;
use crate::delta::Held;
use crate::delta::names::Names;
use crate::extract::{Inside, Undecided};
use crate::frame::Frame;
use crate::frame::unreadable::Unreadable;
use crate::run::notes::{count, note_it};
use crate::run::state::PassState;
use crate::run::step::Step;
use crate::store::{Couplings, InboxKind};
use crate::translate::links::Links;

/// Says which record cannot be read, and why.
pub(super) fn which(map: &TableMap, side: Side, id: Uuid, why: &Unreadable) -> String {
    format!("{id} in {} of the {} cannot be read: {why}", map.sides.of(side).table, side.name())
}

/// Says why `record` is `left_alone`: which record cannot be read, and what to do about it.
pub(super) fn told(record: &str, left_alone: &str, which: &str) -> String {
    format!("{record} {left_alone}: {which}; correct it there, and the next run goes on with it")
}

/// Returns the number of the field that could not be read, where it is one of the table map's.
pub(super) fn field_of(map: &TableMap, side: Side, why: &Unreadable) -> Option<usize> {
    let column = why.columns.first()?;
    map.fields.iter().position(|field| field.column(side) == Some(column))
}

/// Names the records that cannot be read, each with its partner where it has one.
pub(super) fn hold(map: &TableMap, read: &PerSide<Inside>, couplings: &Couplings, names: &Names) -> Vec<Held> {
    let mut held: Vec<Held> = Vec::new();
    for side in Side::BOTH {
        let Inside { undecided, why, .. } = read.of(side);
        for (row, why) in why.iter().enumerate() {
            let Undecided::Unreadable(why) = why else { continue };
            let id = undecided.id(row);
            let (own, other) =
                if side == Side::Erp { (&couplings.erp, &couplings.crm) } else { (&couplings.crm, &couplings.erp) };
            let partner = own.iter().position(|known| *known == id).map(|coupling| other[coupling]);
            let ids = match side {
                Side::Erp => PerSide { erp: Some(id), crm: partner },
                Side::Crm => PerSide { erp: partner, crm: Some(id) },
            };
            // A pair is known by its ERP record.
            let erp = ids.erp.filter(|_| side == Side::Crm);
            let erp = erp
                .and_then(|erp| Some((&read.erp.frame, read.erp.frame.ids().iter().position(|known| *known == erp)?)));
            let record = match erp {
                Some((frame, row)) => names.row(frame, Side::Erp, row),
                None => names.row(undecided, side, row),
            };
            let message = told(&record, "is left alone", &which(map, side, id, why));
            // Of both records of a pair one is enough to leave it alone, and both have to be corrected.
            if let Some(pair) = held.iter_mut().find(|held| partner.is_some() && held.ids == ids) {
                pair.message.push_str("; ");
                pair.message.push_str(&message);
                continue;
            }
            // A row counts in the direction away from its side. A pair of which no row does so fails in the other one.
            let to = if partner.is_none() || map.direction.writes(side.other()) { side.other() } else { side };
            let (field, values) = (field_of(map, side, why), PerSide::default());
            held.push(Held { kind: InboxKind::Failed, record, ids, field, values, to: Some(to), message });
        }
    }
    held
}

/// Tells whether a reference of the table map may lead to a record of which the key cannot be read.
pub(super) fn is_referred_to(map: &TableMap, links: &Links) -> bool {
    map.fields.iter().filter_map(|field| field.reference.as_ref()).any(|reference| links.is_unclear(reference))
}

/// Notes which of these survivors may have their partner, made anew, among the records in `there`, as in
/// [`leave_resembling`]: somebody may have done that by hand.
pub(super) fn note_survivors(step: &Step<'_>, state: &mut PassState, left: Side, rows: &[usize], there: &Frame) {
    let found = may_be(step.map, &step.scope.infos, left, state.records.frame(left), rows, there, step.links);
    note_all(step.map, state, left, found, there);
}

/// Takes note of records that may be the same as one in `there`, each by its row and the row there.
fn note_all(map: &TableMap, state: &mut PassState, side: Side, found: HashMap<usize, usize>, there: &Frame) {
    for (row, other) in found {
        let id = there.id(other);
        let Some(why) = there.unreadable(id) else { continue };
        state.aside.note_resembling(side, state.records.frame(side).id(row), which(map, side.other(), id, why));
    }
}

/// Takes out of the rows of `from` those that may be the same as one of the records of the other side in `there`, which cannot
/// be read and have no partner: they are neither matched nor created. One note tells of all.
pub(super) fn leave_resembling(
    step: &Step<'_>,
    state: &mut PassState,
    from: Side,
    rows: &mut Vec<usize>,
    there: &Frame,
) {
    let Step { context, map, scope, links, .. } = *step;
    let found = may_be(map, &scope.infos, from, state.records.frame(from), rows, there, links);
    let (doubtful, others): (Vec<usize>, Vec<usize>) = rows.iter().partition(|row| found.contains_key(row));
    *rows = others;
    note_all(map, state, from, found.clone(), there);
    let asked: Vec<usize> = doubtful.into_iter().filter(|row| state.asks_row(from, *row)).collect();
    let Some(&first) = asked.first() else { return };
    let (to, table) = (from.other(), &map.sides.of(from.other()).table);
    let name = |row: usize| state.records.names().row(there, to, found[&row]);
    let whose = |row: usize| format!("{} in {table} of the {}, which cannot be read", name(row), to.name());
    let records = count(asked.len(), "record");
    let (more, may) = if asked.len() > 1 { (", …", "any of them may be one of") } else { ("", "it may be") };
    let note = format!(
        "{records} of the {} neither matched nor created: {may} {} ({}{more})",
        from.name(),
        whose(first),
        state.records.name(from, first)
    );
    note_it(context, &mut state.report, note);
    if map.direction.writes(to) {
        state.tally.skip(to, asked.len());
    }
    for row in asked {
        let why = there.unreadable(there.id(found[&row])).map_or_else(String::new, |why| format!(": {why}"));
        let why = format!("it may be {}{why}", whose(row));
        state.aside.leave_unpartnered(from, state.records.frame(from).id(row), why);
    }
    // They come again only in a run that reads everything.
    state.reached.forget();
}
