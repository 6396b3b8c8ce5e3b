//! What the bases of a pair become when one of its records was written (I1).

use std::collections::HashMap;

use uuid::Uuid;

use crate::config::{FieldMap, OnUnresolved, PerSide, Side, When};
use crate::delta::merge::UNSENT;
use crate::delta::{Settled, Work, decided, held_now};
use crate::frame::{Column, Kind, Value};
use crate::plan::{Action, ActionKind, FieldChange};
use crate::run::account::Event;
use crate::run::kept::Forms;
use crate::run::records::is_two_way;
use crate::run::state::PassState;
use crate::run::step::Step;
use crate::run::written::{Before, Got, Proof, Written, fingerprint_in};
use crate::store::{Agreed, Terms};
use crate::translate::canonical::{BLANK, fingerprint};

/// What the pairs of actions on one side agree on when these are carried out. One rule says it, for the intent before the
/// write, for the answer to it, and for the pass.
pub(super) struct Agreeing<'a> {
    work: Work<'a>,
    to: Side,
    /// The forms in which that side may keep what it is sent.
    forms: Forms,
    /// By ERP id.
    pairs: HashMap<Uuid, usize>,
    /// The rows of what is sent, by id.
    sources: &'a HashMap<Uuid, usize>,
}

/// A field on which a pair agrees: its base, how its values are to each other, and what the written side holds.
struct Settling {
    base: PerSide<u64>,
    terms: u64,
    held: Value,
}

impl<'a> Agreeing<'a> {
    /// Prepares for actions on `to`; `sources` are the rows of what is sent, by id.
    pub(super) fn new(work: Work<'a>, (to, forms): (Side, Forms), sources: &'a HashMap<Uuid, usize>) -> Agreeing<'a> {
        let pairs = work.pairs.ids.iter().enumerate().map(|(pair, ids)| (ids.erp, pair)).collect();
        Agreeing { work, to, forms, pairs, sources }
    }

    /// Returns what the pair of an action will agree on: the fields that are sent and not `kept`, and of a new record those
    /// that are not; as they are sent, or where the record is known as the side made them.
    pub(super) fn on(&self, action: &Action, kept: &[usize], got: Option<Got<'_>>) -> Vec<Agreed> {
        let owner = self.to.other();
        let Some(&source) = self.sources.get(action.ids.of(owner)) else { return Vec::new() };
        let fields = self.work.map.fields.iter().enumerate();
        let agreed = fields.filter_map(|(number, field)| {
            let Settling { base, terms, held } = self.settling(action, kept, number, source, got)?;
            let given = field.column(owner).map(|column| self.work.frames.of(owner).value(column, source));
            let mut values = PerSide::from_fn(|_| given.as_ref().map_or_else(String::new, Value::to_string));
            *values.of_mut(self.to) = held.to_string();
            Some(Agreed { field: field.key(), base, values, terms })
        });
        agreed.collect()
    }

    /// Returns on what the pair of an action agrees in a field that it writes, or leaves to the side of a new record; nothing
    /// where only comparing tells.
    fn settling(
        &self,
        action: &Action,
        kept: &[usize],
        number: usize,
        source: usize,
        got: Option<Got<'_>>,
    ) -> Option<Settling> {
        let Agreeing { work, to, forms, pairs, .. } = self;
        let (owner, field) = (to.other(), &work.map.fields[number]);
        let column = field.column(*to)?;
        let at = action.fields.iter().position(|change| change.field == Some(number));
        if at.is_none() && !action.kind.makes_record() {
            return None;
        }
        let template = || action.fields.iter().find(|change| change.column == column);
        let sent = at.map(|at| &action.fields[at]).or_else(template).map(|change| &change.new);
        // Before anything is known of the record, it will hold what is sent.
        let held = match got {
            Some((frame, row, _)) => frame.value(column, row),
            None => sent.cloned().unwrap_or(Value::Null),
        };
        let proof = got.map_or(Proof::Returned, |(_, _, proof)| proof);
        let kind = work.frames.of(*to).column(column).map_or(Kind::Text, |column| column.kind);
        let given = |column: &str| fingerprint_in(work.frames.of(owner), owner, column, source);
        let mut now = PerSide::from_fn(|_| field.column(owner).map_or(BLANK, given));
        *now.of_mut(*to) = fingerprint(&held, *to, kind);
        let Some(at) = at else {
            let base = base_of_unsent(work, *to, number, action, now, proof)?;
            return Some(Settling { base, terms: terms_after(field, base, false), held });
        };
        // Half of what a person gave for both sides agrees with nothing yet.
        let is_half = |pair: &usize| decided::is_to_come(work, number, *pair, owner);
        let new = &action.fields[at].new;
        // What is given back, to its owner or to a record made anew, is compared like any value that is new there.
        let is_restored = matches!(action.kind, ActionKind::Restore { .. }) && field.reference.is_some();
        let is_given_back = !field.writes(*to) || (is_restored && *now.of(owner) == BLANK && !new.is_blank());
        if is_given_back || kept.contains(&at) || pairs.get(&action.ids.erp).is_some_and(is_half) {
            return None;
        }
        let sent = fingerprint(new, *to, kind);
        let is_own = proof == Proof::Read && forms.are(&held, new);
        let proof = if is_own { Proof::Returned } else { proof };
        let base = base_of_change(field, *to, now, sent, proof)?;
        let agrees = sent == *now.of(*to) || proof == Proof::Read;
        let held = if *base.of(*to) == *now.of(*to) { held } else { new.clone() };
        Some(Settling { base, terms: terms_after(field, base, agrees), held })
    }
}

/// Moves the bases of written pairs (I1).
///
/// What the server made of a written value, and what it changed besides, is that side's base from now on where the
/// answer itself tells it, or the side that nobody else was at the record: the version that the write demanded proves that
/// no person did it. What the side did not take leaves its base where it was.
pub(super) fn move_bases(
    step: &Step<'_>,
    state: &mut PassState,
    to: Side,
    written: &[Written<'_>],
    (sources, before): (&HashMap<Uuid, usize>, &Before),
) {
    let mut moved: Vec<Settled> = Vec::new();
    let mut notes = Vec::new();
    let agreeing = Agreeing::new(state.work(step), (to, step.forms(to)), sources);
    let Agreeing { work, pairs, .. } = &agreeing;
    for Written { action, proof, kept } in written {
        let Some(&pair) = pairs.get(&action.ids.erp) else { continue };
        let rows = work.pairs.rows[pair];
        let got = (work.frames.of(to), *rows.of(to), *proof);
        for (number, field) in step.map.fields.iter().enumerate() {
            let settling = agreeing.settling(action, kept, number, *rows.of(to.other()), Some(got));
            let settled = settling.map(|Settling { base, terms, .. }| (base, terms));
            moved.extend(settled.map(|(base, terms)| Settled { pair, field: number, base, terms }));
            if let Some(at) = action.fields.iter().position(|change| change.field == Some(number)) {
                notes.extend(remade(action, at, got).filter(|_| !kept.contains(&at)));
                continue;
            }
            // Without a version nothing proves that no person did it.
            if action.kind.makes_record() || *proof != Proof::Returned || action.etag.is_none() {
                continue;
            }
            let was = before.get(action.ids.of(to)).map(|held| held[number]);
            let (now, base) = (held_now(work, number, rows), work.pairs.bases[number][pair]);
            if let Some(base) = base_of_own_change(field, to, now, base, was) {
                notes.push(format!("{}: the {} changed {} on its own", action.record, to.name(), field.name()));
                moved.push(Settled { pair, field: number, base, terms: terms_after(field, base, false) });
            }
        }
    }
    for Settled { pair, field, base, terms } in moved {
        state.settle(pair, field, base, terms);
    }
    for note in notes {
        (step.context.tell)(Event::Note { table: &step.map.name, message: &note });
    }
}

/// Says what a side made of a value, where it made something else of it.
fn remade(action: &Action, at: usize, (frame, row, _): Got<'_>) -> Option<String> {
    let FieldChange { column, new, .. } = &action.fields[at];
    let (record, side, got) = (&action.record, action.side.name(), frame.value(column, row));
    differs(new, &got).then(|| format!("{record}: the {side} made `{got}` of `{new}` in {column}"))
}

/// The base of a field of which an action gives a new record nothing. A field of the other step is not written here, but the
/// server may fill it in all the same.
fn base_of_unsent(
    work: &Work<'_>,
    to: Side,
    number: usize,
    action: &Action,
    now: PerSide<u64>,
    proof: Proof,
) -> Option<PerSide<u64>> {
    let field = &work.map.fields[number];
    let info = field.column(to).and_then(|column| work.infos.of(to).column(column));
    let sent = info.is_some_and(|info| info.insertable) && field.when != When::Update && !work.left_out[number];
    // What a template gave is no edit, however its arrival is known.
    let templated = info.is_some_and(|info| holds_template(action, to, &info.column, *now.of(to)));
    let proof = if templated { Proof::Returned } else { proof };
    let blank = templated && *now.of(to.other()) == BLANK;
    if sent || blank { base_of_blank(field, to, now, proof) } else { None }
}

/// Returns how the two values of a field are to each other after a write that settled it on `base`, as in [`Terms`]. `agrees`
/// says that the written side holds what it was sent; what it made of it differs in a way that only comparing tells.
pub(super) fn terms_after(field: &FieldMap, base: PerSide<u64>, agrees: bool) -> u64 {
    let plain = field.values.is_empty() && Side::BOTH.iter().all(|side| field.expression_to(*side).is_none());
    let blank = plain && base == PerSide { erp: BLANK, crm: BLANK };
    if agrees || blank || !is_two_way(field) { Terms::AGREED } else { Terms::ANSWERED }
}

/// Tells whether a column of a new record holds what a template put there.
fn holds_template(action: &Action, to: Side, column: &Column, now: u64) -> bool {
    let given = action.fields.iter().find(|change| change.field.is_none() && change.column == column.name);
    given.is_some_and(|change| fingerprint(&change.new, to, column.kind) == now)
}

/// The base of a field that was written with the value `sent`; none where only comparing tells.
fn base_of_change(field: &FieldMap, to: Side, now: PerSide<u64>, sent: u64, proof: Proof) -> Option<PerSide<u64>> {
    let owner = to.other();
    let both = field.writes(owner);
    if proof == Proof::Found && *now.of(to) != sent {
        return None;
    }
    let mut base = now;
    if !both {
        *base.of_mut(owner) = sent;
    }
    if sent == BLANK && field.on_unresolved == OnUnresolved::Clear && field.reference.is_some() {
        // Cleared only until the reference resolves: from then on the owner's value is one to be sent.
        if *now.of(owner) != BLANK {
            *base.of_mut(owner) = UNSENT;
        }
    } else if both && proof == Proof::Read && *now.of(to) != sent {
        // A person may have edited it since: then it goes back as an edit.
        *base.of_mut(to) = sent;
    }
    Some(base)
}

/// The base of a field that a new record got no value for, so that what it holds is the server's own default. A number
/// that the written side assigns and owns goes on to the other side instead, and so does what somebody may have typed.
fn base_of_blank(field: &FieldMap, to: Side, now: PerSide<u64>, proof: Proof) -> Option<PerSide<u64>> {
    let owner = to.other();
    let unresolved = field.reference.is_some() && *now.of(owner) != BLANK;
    if !field.writes(to) || unresolved || (proof != Proof::Returned && *now.of(to) != BLANK) {
        return None;
    }
    let mut base = now;
    if !field.writes(owner) {
        *base.of_mut(owner) = BLANK;
    }
    Some(base)
}

/// The base of a field that was not written and holds something else after the write than before; a field that the
/// written side owns is left to be compared.
fn base_of_own_change(
    field: &FieldMap,
    to: Side,
    now: PerSide<u64>,
    base: Option<PerSide<u64>>,
    was: Option<u64>,
) -> Option<PerSide<u64>> {
    let owned_there = field.writes(to.other()) && !field.writes(to);
    let (mut base, was) = (base?, was?);
    if owned_there || was == *now.of(to) || *base.of(to) != was {
        return None;
    }
    *base.of_mut(to) = *now.of(to);
    Some(base)
}

/// Tells whether a side holds something else than what was written.
fn differs(written: &Value, held: &Value) -> bool {
    match (written, held) {
        (Value::Link { id, .. }, Value::Guid(held)) => id != held,
        (Value::Decimal(written), Value::Decimal(held)) => written != held,
        (written, held) => written.to_string() != held.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Blank, Direction, Drift, Fit, OnConflict, Reference};

    const OWNER: u64 = 3;
    const SENT: u64 = 5;
    const OTHER: u64 = 7;

    /// A field that the ERP sends, and the CRM as well where it goes both ways.
    fn field(direction: Direction) -> FieldMap {
        FieldMap {
            erp: Some("name".into()),
            crm: Some("name".into()),
            direction: Some(direction),
            to_crm: None,
            to_erp: None,
            values: Vec::new(),
            reference: None,
            on_unresolved: OnUnresolved::Fail,
            first_sync: None,
            on_conflict: OnConflict::Hold,
            when: When::Always,
            blank: Blank::Write,
            fit: Fit::Reject,
            drift: Drift::Leave,
            value: None,
        }
    }

    fn both(erp: u64, crm: u64) -> PerSide<u64> {
        PerSide { erp, crm }
    }

    #[test]
    fn what_a_side_holds_is_its_base_as_far_as_it_is_surely_its_own() {
        use Direction::{Both, ToCrm};
        for (direction, proof, held, expected) in [
            (Both, Proof::Returned, SENT, Some(both(OWNER, SENT))),
            (Both, Proof::Read, SENT, Some(both(OWNER, SENT))),
            (Both, Proof::Found, SENT, Some(both(OWNER, SENT))),
            // The side made something of its own of it.
            (Both, Proof::Returned, OTHER, Some(both(OWNER, OTHER))),
            // Somebody may have edited it since: that goes back as an edit.
            (Both, Proof::Read, OTHER, Some(both(OWNER, SENT))),
            // What was there before is compared.
            (Both, Proof::Found, OTHER, None),
            // Of a one-way field the owner's base is what went over.
            (ToCrm, Proof::Returned, SENT, Some(both(SENT, SENT))),
            (ToCrm, Proof::Returned, OTHER, Some(both(SENT, OTHER))),
            (ToCrm, Proof::Read, OTHER, Some(both(SENT, OTHER))),
            (ToCrm, Proof::Found, OTHER, None),
        ] {
            let base = base_of_change(&field(direction), Side::Crm, both(OWNER, held), SENT, proof);
            assert_eq!(base, expected, "{direction:?}, {proof:?}, {held}");
        }
    }

    #[test]
    fn a_reference_that_is_cleared_until_it_resolves_stays_to_be_sent() {
        let reference = Some(Reference { table: "people".into(), erp: "code".into(), crm: None });
        let field = FieldMap { reference, on_unresolved: OnUnresolved::Clear, ..field(Direction::Both) };
        let base = |owner| base_of_change(&field, Side::Crm, both(owner, BLANK), BLANK, Proof::Returned);
        assert_eq!(base(OWNER), Some(both(UNSENT, BLANK)));
        assert_eq!(base(BLANK), Some(both(BLANK, BLANK)));
    }

    #[test]
    fn what_a_new_record_was_not_given_is_its_sides_own_default() {
        use Direction::{Both, ToCrm, ToErp};
        for (direction, proof, held, expected) in [
            (Both, Proof::Returned, OTHER, Some(both(BLANK, OTHER))),
            (Both, Proof::Read, BLANK, Some(both(BLANK, BLANK))),
            // Somebody may have typed it.
            (Both, Proof::Read, OTHER, None),
            (ToCrm, Proof::Returned, OTHER, Some(both(BLANK, OTHER))),
            // A number that this side gives goes on to the other one.
            (ToErp, Proof::Returned, OTHER, None),
        ] {
            let base = base_of_blank(&field(direction), Side::Crm, both(BLANK, held), proof);
            assert_eq!(base, expected, "{direction:?}, {proof:?}, {held}");
        }
    }

    #[test]
    fn what_a_side_changes_besides_is_its_own_doing_where_nothing_was_known_to_differ() {
        use Direction::{Both, ToErp};
        let settled = Some(both(OWNER, SENT));
        for (direction, base, was, now, expected) in [
            (Both, settled, Some(SENT), OTHER, Some(both(OWNER, OTHER))),
            (Both, settled, Some(SENT), SENT, None),
            // It had been edited before the write.
            (Both, settled, Some(OTHER), OTHER + 1, None),
            (Both, None, Some(SENT), OTHER, None),
            (Both, settled, None, OTHER, None),
            // What that side owns is compared.
            (ToErp, settled, Some(SENT), OTHER, None),
        ] {
            let moved = base_of_own_change(&field(direction), Side::Crm, both(OWNER, now), base, was);
            assert_eq!(moved, expected, "{direction:?}, {base:?}, {was:?}, {now}");
        }
    }
}
