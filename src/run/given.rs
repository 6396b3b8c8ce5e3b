//! New records whose key their side gives, as a number series does: which record a lost answer was about (I2).
//!
//! Nobody knows the id of such a record before it is there. It goes out under a name of our own, and the answer tells the
//! id. Where the answer is lost, what was sent is all that tells: before anything leaves, nobody may hold exactly that and
//! be without a partner, so that afterwards the one record that does, and was not there before, was made by us. Where none
//! came, none was made. In every other case nobody knows: the intent stays open, and neither the record nor those that may
//! be its partner get a new one, until a person has coupled it or has it made anew.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::apply::Applied;
use crate::config::{Side, TableMap};
use crate::endpoint::{Key, Outcome};
use crate::extract::{self, Scope};
use crate::frame::{Frame, Kind, Value};
use crate::plan::Action;
use crate::run::failures::failed;
use crate::run::state::PassState;
use crate::run::step::{PassError, Step};
use crate::run::unanswered::InDoubt;
use crate::run::written::fingerprint_in;
use crate::store::{Intent, Store, StoreError};
use crate::translate::canonical::fingerprint;

/// What a person can do about two that may be one.
const CURE: &str = "couple the two, or have another one made by `couple TABLE:KEY --create --yes`";

/// What was sent of a new record and is read again: columns and fingerprints.
pub(super) type Sent = Vec<(String, u64)>;

/// What became of a new record whose answer was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trace {
    /// It is this one.
    Made(Uuid),
    NotMade,
    /// It may be one of these, or none.
    Doubt(Vec<Uuid>),
}

/// Tells whether a side gives the key of new records of a table map.
pub(super) fn gives_key(scope: &Scope, map: &TableMap, side: Side) -> bool {
    scope.left_to_side(map, side).len() == 1
}

/// Tells whether a new record leaves its key to its side: one that is made anew may bring the one that it had.
pub(super) fn leaves_key(scope: &Scope, map: &TableMap, action: &Action) -> bool {
    let sent = |name: &&str| action.fields.iter().any(|change| change.column == **name && !change.new.is_blank());
    let left = scope.left_to_side(map, action.side);
    action.kind.makes_record() && left.len() == 1 && !left.iter().any(sent)
}

/// Holds new records about which nobody knows whether they are there already.
pub(super) fn hold_doubtful(state: &mut PassState, to: Side, actions: &mut Vec<Action>) {
    if state.unanswered.in_doubt(to.other()).is_empty() {
        return;
    }
    let mut held = Vec::new();
    actions.retain(|action| match state.unanswered.in_doubt(to.other()).get(action.ids.of(to.other())) {
        Some(message) => {
            held.push(failed(action, message));
            false
        }
        None => true,
    });
    state.waits.hold_all(held);
}

/// Holds new records of which exactly what would be sent is there already with nobody, or is sent for another one as well:
/// after a lost answer they could not be told apart. Who is there already gets no partner either, or a person could couple the
/// two no more. Returns the sources of those that are sent for another one as well, which have their turn once the first one is
/// made.
pub(super) fn hold_twins(
    step: &Step<'_>,
    store: &dyn Store,
    state: &mut PassState,
    (to, beyond): (Side, Option<&Frame>),
    actions: &mut Vec<Action>,
) -> Result<Vec<Uuid>, PassError> {
    let there = there(state, to, beyond);
    for frame in &there {
        state.unanswered.note_before(to, frame.ids());
    }
    let mut twins = Twins::new(to, &there, taken(step.map, store, state, to)?);
    let mut sent: HashSet<Sent> = HashSet::new();
    let (mut held, mut put_off, mut alike) = (Vec::new(), Vec::new(), Vec::new());
    actions.retain(|action| {
        if !leaves_key(step.scope, step.map, action) {
            return true;
        }
        let own = sent_by(step.scope, action);
        let found = if step.context.options.selection.double { Vec::new() } else { twins.of(&own, state) };
        match found.iter().map(|(_, name)| name).min() {
            Some(twin) => {
                let message = format!("{twin} is there already, holds all of it and has no partner; {CURE}");
                held.push(failed(action, &message));
                alike.extend(found.iter().map(|(id, _)| (*id, of_twin(action))));
                false
            }
            None if sent.insert(own) => true,
            None => {
                put_off.push(*action.ids.of(to.other()));
                false
            }
        }
    });
    state.waits.hold_all(held);
    alike.into_iter().for_each(|(id, message)| state.unanswered.note_alike(to, id, message));
    Ok(put_off)
}

/// Takes note of those that hold all of what new records would be made with which this run is not about.
pub(super) fn note_twins(
    step: &Step<'_>,
    store: &dyn Store,
    state: &mut PassState,
    (to, beyond): (Side, Option<&Frame>),
    actions: &[Action],
) -> Result<(), PassError> {
    let there = there(state, to, beyond);
    let mut twins = Twins::new(to, &there, taken(step.map, store, state, to)?);
    let mut alike = Vec::new();
    for action in actions.iter().filter(|action| leaves_key(step.scope, step.map, action)) {
        // Who may be there already is not made, whoever looks the same.
        if !state.unanswered.in_doubt(to.other()).contains_key(action.ids.of(to.other())) {
            let found = twins.of(&sent_by(step.scope, action), state);
            alike.extend(found.into_iter().map(|(id, _)| (id, of_twin(action))));
        }
    }
    alike.into_iter().for_each(|(id, message)| state.unanswered.note_alike(to, id, message));
    Ok(())
}

/// Says why a record gets no partner that may be the one which is to be made.
fn of_twin(action: &Action) -> String {
    format!("it holds all of what {} would be made with; {CURE}", action.record)
}

/// Returns what is known to be on a side, with what it holds `beyond` its filter.
fn there(state: &PassState, to: Side, beyond: Option<&Frame>) -> Vec<Frame> {
    std::iter::once(state.records.frame(to)).chain(beyond).cloned().collect()
}

/// Records without partner, to be found by what they hold.
struct Twins<'a> {
    to: Side,
    taken: HashSet<Uuid>,
    found: Vec<Found<'a>>,
}

impl<'a> Twins<'a> {
    fn new(to: Side, there: &'a [Frame], taken: HashSet<Uuid>) -> Twins<'a> {
        Twins { to, taken, found: there.iter().map(|frame| Found::new(to, frame)).collect() }
    }

    /// Returns those that hold all of what is sent, and what people call them.
    fn of(&mut self, sent: &Sent, state: &PassState) -> Vec<(Uuid, String)> {
        let Twins { to, taken, found } = self;
        let mut twins: Vec<(Uuid, String)> = Vec::new();
        for found in found {
            for id in found.holding(sent) {
                if !taken.contains(&id) && !twins.iter().any(|(known, _)| *known == id) {
                    twins.push((id, state.records.names().row(found.frame, *to, found.row(id))));
                }
            }
        }
        twins
    }
}

/// Renames new records to the ids that their side gave them.
pub(super) fn take_given(state: &mut PassState, to: Side, actions: &mut [Action], given: &HashMap<Uuid, Uuid>) {
    for action in actions.iter_mut().filter(|action| action.side == to) {
        if let Some(id) = given.get(action.ids.of(to)) {
            *action.ids.of_mut(to) = *id;
        }
    }
    state.draft.rename(to, given);
    state.approval.rename(to, given);
}

/// Finds new records whose answer was lost, by what they were sent. What stays in doubt is taken out: its intent has no
/// answer, and the next run looks again.
pub(super) fn find_lost(
    step: &Step<'_>,
    store: &dyn Store,
    state: &mut PassState,
    to: Side,
    actions: &mut Vec<Action>,
    applied: &mut Applied,
) -> Result<(), PassError> {
    if !gives_key(step.scope, step.map, to) {
        return Ok(());
    }
    let is_lost = |(action, outcome): (&Action, &Outcome)| {
        matches!(outcome, Outcome::Unknown { .. }) && leaves_key(step.scope, step.map, action)
    };
    let lost: Vec<usize> =
        (0..applied.outcomes.len()).filter(|&at| is_lost((&actions[at], &applied.outcomes[at]))).collect();
    if lost.is_empty() {
        return Ok(());
    }
    let all = extract::read_all(step.scope, to, *step.context.endpoints.of(to))?;
    let mut taken = taken(step.map, store, state, to)?;
    taken.extend(applied.given.values());
    let sent: Vec<Sent> = lost.iter().map(|&at| sent_by(step.scope, &actions[at])).collect();
    let traces = trace(to, &all, &sent, &taken, Some(state.unanswered.before(to)));
    let mut found = HashMap::new();
    for (&at, trace) in lost.iter().zip(traces).rev() {
        match trace {
            Trace::Made(id) => drop(found.insert(*actions[at].ids.of(to), id)),
            Trace::NotMade => {}
            Trace::Doubt(candidates) => {
                let action = actions.remove(at);
                applied.outcomes.remove(at);
                applied.journal.remove(at);
                let source = *action.ids.of(to.other());
                let doubt = InDoubt::new(to, source, candidates, &all, step.scope.key_columns(to));
                state.waits.hold(failed(&action, doubt.message()));
                state.unanswered.note_doubt(doubt);
            }
        }
    }
    take_given(state, to, actions, &found);
    Ok(())
}

/// Finds the records that new ones became whose answers were lost, among `all` records of a side. Those `taken` are
/// somebody's; `before` names those that were there before anything was sent, where that is known.
pub(super) fn trace(
    side: Side,
    all: &Frame,
    sent: &[Sent],
    taken: &HashSet<Uuid>,
    before: Option<&HashSet<Uuid>>,
) -> Vec<Trace> {
    let free: HashSet<Uuid> = all
        .ids()
        .into_iter()
        .filter(|id| !taken.contains(id) && before.is_none_or(|before| !before.contains(id)))
        .collect();
    let mut found = Found::new(side, all);
    let exact: Vec<Vec<Uuid>> = sent
        .iter()
        .map(|sent| found.holding(sent).into_iter().filter(|id| !sent.is_empty() && free.contains(id)).collect())
        .collect();
    let mut claims: HashMap<Uuid, usize> = HashMap::new();
    for id in exact.iter().filter(|exact| exact.len() == 1).flatten() {
        *claims.entry(*id).or_default() += 1;
    }
    let rows: Vec<usize> = (0..all.rows()).filter(|row| free.contains(&all.id(*row))).collect();
    let unclaimed = || rows.iter().copied().filter(|row| !claims.contains_key(&all.id(*row)));
    let of = |(exact, sent): (&Vec<Uuid>, &Sent)| match exact[..] {
        [one] if claims[&one] == 1 => Trace::Made(one),
        [] => {
            // A side may alter what it is sent, so what came since is doubtful whatever it holds.
            let resembles = |row: &usize| {
                // What cannot be read may be what was sent.
                let holds = |(column, print): &&(String, u64)| {
                    fingerprint_in(all, side, column, *row) == *print || all.lacks(column, *row)
                };
                before.is_some() || 2 * sent.iter().filter(holds).count() >= sent.len()
            };
            let alike: Vec<Uuid> = unclaimed().filter(resembles).map(|row| all.id(row)).collect();
            if alike.is_empty() { Trace::NotMade } else { Trace::Doubt(alike) }
        }
        _ => Trace::Doubt(exact.clone()),
    };
    exact.iter().zip(sent).map(of).collect()
}

/// Returns what an intent sent.
pub(super) fn sent_of(scope: &Scope, intent: &Intent) -> Sent {
    let read = |(column, _, new): &(String, String, String)| {
        let kind = scope.infos.of(intent.side).column(column).map_or(Kind::Text, |info| info.column.kind);
        (column.clone(), kind.parse(new).unwrap_or_else(|| Value::Text(new.clone())))
    };
    sent(scope, intent.side, intent.fields.iter().map(read))
}

fn sent_by(scope: &Scope, action: &Action) -> Sent {
    sent(scope, action.side, action.fields.iter().map(|change| (change.column.clone(), change.new.clone())))
}

fn sent(scope: &Scope, side: Side, fields: impl Iterator<Item = (String, Value)>) -> Sent {
    let mut sent: Sent = fields
        .filter(|(column, new)| !new.is_blank() && scope.columns.of(side).contains(column))
        .map(|(column, new)| {
            let kind = scope.infos.of(side).column(&column).map_or(Kind::Text, |info| info.column.kind);
            let print = fingerprint(&new, side, kind);
            (column, print)
        })
        .collect();
    sent.sort_unstable();
    sent
}

/// Returns the records of a side that are somebody's, or kept apart.
fn taken(map: &TableMap, store: &dyn Store, state: &PassState, side: Side) -> Result<HashSet<Uuid>, StoreError> {
    let couplings = store.couplings(&map.name, &[])?;
    let mut taken = store.kept_apart(&map.name)?.of(side).clone();
    taken.extend(if side == Side::Erp { couplings.erp } else { couplings.crm });
    taken.extend(state.records.pairs().ids.iter().map(|ids| *ids.of(side)));
    Ok(taken)
}

/// The records of a frame, to be found by what they hold.
struct Found<'a> {
    side: Side,
    frame: &'a Frame,
    /// By column, the rows by what they hold in it.
    rows: HashMap<String, HashMap<u64, Vec<usize>>>,
}

impl<'a> Found<'a> {
    fn new(side: Side, frame: &'a Frame) -> Found<'a> {
        Found { side, frame, rows: HashMap::new() }
    }

    /// Returns the records that hold all of it.
    fn holding(&mut self, sent: &Sent) -> Vec<Uuid> {
        let Some((column, print)) = sent.first() else { return Vec::new() };
        let (side, frame) = (self.side, self.frame);
        let by_print = self.rows.entry(column.clone()).or_insert_with(|| {
            let mut rows: HashMap<u64, Vec<usize>> = HashMap::new();
            for row in 0..frame.rows() {
                rows.entry(fingerprint_in(frame, side, column, row)).or_default().push(row);
            }
            rows
        });
        let holds =
            |row: &usize| sent.iter().all(|(column, print)| fingerprint_in(frame, side, column, *row) == *print);
        let rows = by_print.get(print).into_iter().flatten().copied();
        rows.filter(holds).map(|row| frame.id(row)).collect()
    }

    fn row(&self, id: Uuid) -> usize {
        self.frame.ids().iter().position(|other| *other == id).expect("it was found in this frame")
    }
}

impl Scope {
    /// Returns the columns of the key by which a side knows its records.
    pub(super) fn key_columns(&self, side: Side) -> &[String] {
        match &self.infos.of(side).key {
            Key::Values(names) => names,
            Key::Id(_) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Cell, Column, builder::Builder};

    /// Records by number: what each holds as name and as city.
    fn side(records: &[(u128, &str, &str)]) -> Frame {
        let column = |name: &str| Column { name: name.into(), kind: Kind::Text };
        let mut builder = Builder::new(vec![column("Name"), column("City")]);
        for (id, name, city) in records {
            builder.push(0, Cell::Text(name)).unwrap();
            builder.push(1, Cell::Text(city)).unwrap();
            builder.end(Uuid::from_u128(*id), "");
        }
        builder.finish()
    }

    fn text(name: &str, city: &str) -> Sent {
        let print = |text: &str| fingerprint(&Value::Text(text.into()), Side::Erp, Kind::Text);
        let both = [("City", city), ("Name", name)].into_iter().filter(|(_, text)| !text.is_empty());
        both.map(|(column, text)| (column.to_owned(), print(text))).collect()
    }

    #[test]
    fn only_one_record_that_nobody_has_and_that_was_not_there_is_ours() {
        let ids = |ids: &[u128]| ids.iter().copied().map(Uuid::from_u128).collect::<HashSet<Uuid>>();
        let doubt = |ids: &[u128]| Trace::Doubt(ids.iter().copied().map(Uuid::from_u128).collect());
        let made = |id: u128| Trace::Made(Uuid::from_u128(id));
        let there = [(1, "Dahl", "Ely"), (2, "Dahl", "Ely"), (3, "Falk", "Ely"), (4, "Berg", "York")];
        for (what, there, sent, taken, before, expected) in [
            ("one is new", &there[..2], vec![text("Dahl", "Ely")], &[][..], Some(&[1][..]), vec![made(2)]),
            ("it was there before", &there[..1], vec![text("Dahl", "Ely")], &[], Some(&[1]), vec![Trace::NotMade]),
            ("none came", &there[3..], vec![text("Dahl", "Ely")], &[], Some(&[4]), vec![Trace::NotMade]),
            // Perhaps the side altered it, perhaps a person made it.
            ("another one came", &there[3..], vec![text("Dahl", "Ely")], &[], Some(&[]), vec![doubt(&[4])]),
            ("two came", &there, vec![text("Dahl", "Ely")], &[], Some(&[3, 4]), vec![doubt(&[1, 2])]),
            ("one is somebody's", &there, vec![text("Dahl", "Ely")], &[2], None, vec![made(1)]),
            ("both are somebody's", &there, vec![text("Dahl", "")], &[1, 2], None, vec![Trace::NotMade]),
            ("one resembles it", &there, vec![text("Dahl", "Ely")], &[1, 2], None, vec![doubt(&[3])]),
            ("nothing tells it", &there, vec![text("", "")], &[], Some(&[1, 2, 3]), vec![doubt(&[4])]),
            (
                "each has its own, and what is left came by another hand",
                &there[1..],
                vec![text("Falk", "Ely"), text("Dahl", "Ely"), text("Lund", "Oslo")],
                &[],
                Some(&[]),
                vec![made(3), made(2), doubt(&[4])],
            ),
            (
                "two want the same",
                &there[..1],
                vec![text("Dahl", "Ely"), text("Dahl", "")],
                &[],
                Some(&[]),
                vec![doubt(&[1]), doubt(&[1])],
            ),
        ] {
            let before = before.map(ids);
            let traces = trace(Side::Erp, &side(there), &sent, &ids(taken), before.as_ref());
            assert_eq!(traces, expected, "{what}");
        }
    }
}
