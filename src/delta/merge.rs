//! One field of one coupled record: whose value goes where?
//!
//! Three fingerprints a side go in (what it holds, what it held when the pair was last settled, what the other side's
//! value would be here), a [`Verdict`] comes out. No values, no names, no clock.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};

use crate::config::{Blank, Drift, FieldMap, OnConflict, OnUnresolved, PerSide, Policy, Side, TableMap, When};
use crate::endpoint::NoClock;
use crate::store::{DECIDED_BY, Terms};
use crate::translate::canonical::{BLANK, fold};

/// Two edits that are no further apart count as done at the same time: the CRM tells whole seconds only, and clocks are
/// compared by answers that tell no more.
const NEWEST_TOLERANCE_MS: i64 = 2_000;

/// What is known of one field of one pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// What was remembered when the pair was last settled; see [`settled`].
    pub base: Option<PerSide<u64>>,
    /// How the two values were to each other then; see [`Terms`].
    pub terms: u64,
    /// What both sides hold.
    pub own: PerSide<u64>,
    /// What each side would hold if the other side's value came over; `None` where nothing travels to it.
    pub arriving: PerSide<Option<Arriving>>,
    /// The side where a record was made for the other's; `None` for two that were there before.
    pub created: Option<Side>,
    /// The side that cleared a reference by itself, as the record that it led to was deleted there.
    pub cascaded: Option<Side>,
}

/// The base of an owner whose value is still to be sent; no value has this fingerprint.
pub const UNSENT: u64 = 1;

/// Returns what is remembered of a settled field.
///
/// Of a two-way field that is what both sides hold. Of a one-way field it is what the target holds, and what the
/// owner's value was in the target's terms: where the file or a coupling makes something else of the same value, that
/// is a difference like any other.
pub fn settled(writes: PerSide<bool>, own: PerSide<u64>, arriving: PerSide<Option<u64>>) -> PerSide<u64> {
    match (writes.erp, writes.crm) {
        (true, false) => PerSide { crm: arriving.erp.unwrap_or(own.crm), ..own },
        (false, true) => PerSide { erp: arriving.crm.unwrap_or(own.erp), ..own },
        _ => own,
    }
}

/// The other side's value in this side's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arriving {
    Value(u64),
    /// The value refers to a record without coupling.
    Unresolved,
    /// The value refers to a record that gets its coupling only by what the run makes first.
    Awaited,
    /// The value refers, or may refer, to a record of which the key cannot be read. It may be `there` already.
    Illegible {
        there: bool,
    },
    /// The value has no counterpart here.
    Broken,
}

impl Facts {
    /// Returns the value that would come over to `to`, where there is one.
    fn value_to(&self, to: Side) -> Option<u64> {
        match self.arriving.of(to) {
            Some(Arriving::Value(value)) => Some(*value),
            _ => None,
        }
    }

    /// Tells whether either side's value is what the other side's makes of it.
    pub fn comes_back(&self) -> bool {
        Side::BOTH.into_iter().all(|to| self.value_to(to) == Some(*self.own.of(to)))
    }

    /// Tells whether neither side's value is what the other side's makes of it.
    pub fn differs(&self) -> bool {
        Side::BOTH.into_iter().all(|to| self.value_to(to) != Some(*self.own.of(to)))
    }

    /// Returns how the two values are to each other, to be remembered once the field is settled.
    ///
    /// Only a two-way field is asked for that: what is remembered of a one-way field tells it by itself.
    pub fn terms_now(&self, rule: &Rule) -> u64 {
        match (rule.writes.erp && rule.writes.crm, self.differs()) {
            (false, _) | (_, false) => Terms::AGREED,
            (true, true) if self.leads_nowhere() => {
                match self.base == Some(self.own) {
                    // A side that still has its reference has not cleared it along with what it led to.
                    true if self.terms == Terms::ORPHANED => Terms::AGREED,
                    true => self.terms,
                    false => Terms::UNSURE,
                }
            }
            (true, true) => self.difference(rule.blank) | u64::from(self.is_unsure()),
        }
    }

    /// Fingerprints a difference: what each value would be on the other side, and whether a blank is kept from going there.
    fn difference(&self, blank: Blank) -> u64 {
        let arriving = |to: Side| match self.arriving.of(to) {
            Some(Arriving::Value(value)) => *value,
            // No value has any of these fingerprints, nor has a field one that is equal.
            Some(Arriving::Unresolved | Arriving::Awaited | Arriving::Illegible { .. }) => UNSENT,
            Some(Arriving::Broken) => UNSENT + 1,
            None => UNSENT + 2,
        };
        let keeps = blank == Blank::Keep && Side::BOTH.into_iter().any(|to| self.value_to(to) == Some(BLANK));
        fold(u64::from(keeps), [arriving(Side::Erp), arriving(Side::Crm)].into_iter()).max(Terms::FIRST) & !1
    }

    /// Tells whether nobody edited the field and nobody knows why it differs.
    fn is_unsure(&self) -> bool {
        self.base == Some(self.own) && self.terms & 1 == 1
    }

    /// Tells whether both values are references that lead to nobody on the other side.
    fn leads_nowhere(&self) -> bool {
        Side::BOTH.into_iter().all(|to| *self.arriving.of(to) == Some(Arriving::Unresolved))
    }

    /// Tells whether the two may be equal, and nobody can say before a record can be read that one of them refers to.
    fn may_agree(&self) -> bool {
        Side::BOTH.into_iter().any(|to| *self.arriving.of(to) == Some(Arriving::Illegible { there: true }))
    }

    /// Tells whether a reference that leads nowhere takes nothing away on this side.
    fn clears_nothing(&self, rule: &Rule, to: Side) -> bool {
        *self.own.of(to) == BLANK || rule.blank == Blank::Keep
    }

    /// Tells whether a record cannot be read that one of the two refers to.
    pub fn is_illegible(&self) -> bool {
        Side::BOTH.into_iter().any(|to| matches!(self.arriving.of(to), Some(Arriving::Illegible { .. })))
    }

    /// Tells whether a difference that nobody made since is the one that was settled.
    fn is_as_settled(&self, rule: &Rule) -> bool {
        let now = |blank: Blank| self.terms & !1 == self.difference(blank);
        let untold = matches!(self.terms, Terms::UNSURE | Terms::ANSWERED);
        // Where blanks are kept, one that differed for another reason may differ for this one, too.
        untold || self.leads_nowhere() || now(rule.blank) || (rule.blank == Blank::Keep && now(Blank::Write))
    }

    /// Returns the base that a field with these facts has once it is settled.
    pub fn settled(&self, rule: &Rule) -> PerSide<u64> {
        settled(rule.writes, self.own, PerSide::from_fn(|to| self.value_to(to)))
    }
}

/// What a field map says about its values.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub first_sync: Option<Policy>,
    pub on_conflict: OnConflict,
    pub on_unresolved: OnUnresolved,
    pub when: When,
    pub blank: Blank,
    pub drift: Drift,
    pub writes: PerSide<bool>,
}

impl Rule {
    /// Takes the rule of a field out of its table map.
    pub fn of(map: &TableMap, field: &FieldMap) -> Rule {
        Rule {
            first_sync: field.first_sync.or(map.first_sync),
            on_conflict: field.on_conflict,
            on_unresolved: field.on_unresolved,
            when: field.when,
            blank: field.blank,
            drift: field.drift,
            writes: PerSide::from_fn(|side| field.writes(side)),
        }
    }
}

/// Why a value travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// That side was edited since the pair was last settled.
    Edited(Side),
    /// The field has one owner, and the other side differs.
    Owner(Side),
    /// A newly coupled pair: the table map says who fills it.
    FirstSync(Side),
    /// A newly coupled pair: the other side is blank.
    FirstValue(Side),
    /// Nobody edited either side, but what one makes of the other is not what it was when the pair was settled: this side
    /// fills it, as in a first synchronization.
    Retold(Side),
    /// The record that the field refers to was made anew on that side, which had cleared the reference.
    Restored(Side),
    /// Both sides were edited; the policy says who wins.
    Conflict(Side),
    /// A person lets that side win.
    Forced(Side),
    /// Both sides were edited, this one later.
    Newer(Side, Edits),
    /// A person decided, on that day.
    Decided(NaiveDate),
    /// A person wants it of this very run.
    ByHand,
}

/// What a person decided about a field, for exactly the values that both sides hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ruling {
    pub take: Take,
    pub on: NaiveDate,
}

/// Whose value a person takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    Side(Side),
    /// Neither side's, but one of his own.
    Value,
}

/// When both records of a pair were last edited, each by its own side's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edits {
    /// `None` where that cannot be told.
    pub at: PerSide<Option<DateTime<Utc>>>,
    /// When the records were last modified, by whomever: no edit is later.
    pub latest: PerSide<Option<DateTime<Utc>>>,
    pub crm_ahead_ms: i64,
}

impl Edits {
    /// Says the time of one side's edit, as that side tells it.
    fn told(&self, side: Side) -> String {
        let text = |time: &DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        match (self.at.of(side), self.latest.of(side)) {
            (Some(time), _) => text(time),
            (None, Some(time)) => format!("{} at the latest", text(time)),
            (None, None) => "an unknown time".to_owned(),
        }
    }

    /// Returns a time as the ERP's clock would have told it, in milliseconds since 1970.
    fn common_ms(&self, side: Side, time: DateTime<Utc>) -> i64 {
        let ahead_ms = if side == Side::Crm { self.crm_ahead_ms } else { 0 };
        time.timestamp_millis().saturating_sub(ahead_ms)
    }

    /// Tells whether the edit of `side` is newer than whatever the other one may have been.
    fn is_newer(&self, side: Side) -> bool {
        let other = side.other();
        match (*self.at.of(side), self.at.of(other).or(*self.latest.of(other))) {
            (Some(own), Some(theirs)) => {
                self.common_ms(side, own).saturating_sub(self.common_ms(other, theirs)) > NEWEST_TOLERANCE_MS
            }
            _ => false,
        }
    }

    /// Says how the clocks differ, where they do.
    fn clocks(&self) -> String {
        let seconds = self.crm_ahead_ms.abs().saturating_add(500) / 1_000;
        match self.crm_ahead_ms.signum() {
            0 => String::new(),
            1 => format!(", the CRM's clock being {seconds} s ahead"),
            _ => format!(", the ERP's clock being {seconds} s ahead"),
        }
    }
}

/// Why a contested field is not decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standoff {
    /// Nothing says who wins.
    Policy,
    /// The edits are too close to each other to be told apart.
    Close(Edits),
    /// This program wrote to that side's record since, and does not know when it was edited before.
    Untold(Side),
    /// The clocks of both sides cannot be compared.
    Clock(NoClock),
}

/// Why an unfilled field waits: a pair that was never settled, or one that was, in other terms.
pub fn unfilled(settled: bool) -> &'static str {
    if settled {
        "edited on neither side, but translated otherwise than when the pair was settled, and `first_sync` does not say who \
         fills it"
    } else {
        "newly coupled with different values, and `first_sync` does not say who fills it"
    }
}

impl std::fmt::Display for Standoff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Standoff::Policy => f.write_str("edited on both sides to different values"),
            Standoff::Close(edits) => {
                let [erp, crm] = Side::BOTH.map(|side| edits.told(side));
                let seconds = NEWEST_TOLERANCE_MS / 1_000;
                let clocks = edits.clocks();
                write!(f, "edited on both sides within {seconds} s (ERP {erp}, CRM {crm}{clocks}): neither is newer")
            }
            Standoff::Untold(side) => {
                let side = side.name();
                write!(f, "edited on both sides, and when the {side} record was edited before we wrote it is not known")
            }
            Standoff::Clock(NoClock::Untold(side)) => {
                write!(
                    f,
                    "edited on both sides, and the answers of the {} do not tell what its clock shows",
                    side.name()
                )
            }
            Standoff::Clock(NoClock::Unsteady(side)) => {
                let side = side.name();
                write!(
                    f,
                    "edited on both sides, and the answers of the {side} contradict each other about what its clock shows"
                )
            }
        }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Why::Edited(side) => write!(f, "edited in the {}", side.name()),
            Why::Owner(side) => write!(f, "the {} owns the field", side.name()),
            Why::FirstSync(side) => write!(f, "first synchronization, the {} fills it", side.name()),
            Why::FirstValue(side) => write!(f, "first synchronization, only the {} has a value", side.name()),
            Why::Retold(side) => {
                write!(f, "edited on neither side, but translated otherwise than before; the {} fills it", side.name())
            }
            Why::Restored(side) => write!(f, "it refers to a record that was made anew in the {}", side.name()),
            Why::Conflict(side) => write!(f, "edited on both sides, the {} wins", side.name()),
            Why::Forced(side) => write!(f, "the {} wins, as was asked for", side.name()),
            Why::Newer(side, edits) => {
                let (own, other, clocks) = (edits.told(*side), edits.told(side.other()), edits.clocks());
                write!(f, "edited on both sides, the {} is newer ({own} against {other}{clocks})", side.name())
            }
            Why::Decided(on) => write!(f, "{DECIDED_BY}{on}"),
            Why::ByHand => write!(f, "asked for by hand"),
        }
    }
}

/// What is to be done about a field. A field on which both sides agree is in no write, whatever else of the record is (I5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Both sides agree; what they hold becomes the base.
    Equal,
    /// They differ, as they did when the pair was settled or as the field map wants it; what they hold becomes the base, and
    /// a further run writes nothing of it (I3).
    Known,
    /// Nothing is done and nothing is remembered: the field waits.
    Wait,
    /// The other side's value goes to this side.
    Write(Side, Why),
    /// A value that a person gave on that day goes to both sides.
    Put(NaiveDate),
    /// Edited on both sides to different values.
    Contested(Standoff),
    /// The side that does not own the field was changed, and keeps the change.
    Drifted,
    /// A newly coupled pair that differs, or one that differs otherwise than it was settled, and nothing says who fills it.
    Unfilled,
    /// The value that would go to this side has no counterpart there.
    Fail(Side),
    /// The value that would go to this side waits for a record that cannot be read.
    Illegible(Side),
}

/// Decides one field.
pub fn merge(facts: &Facts, rule: &Rule) -> Verdict {
    if rule.when == When::Create {
        return Verdict::Known;
    }
    let agrees = |side: Side| facts.value_to(side) == Some(*facts.own.of(side));
    match (rule.writes.erp, rule.writes.crm) {
        (false, false) => Verdict::Known,
        _ if let Some(side) = facts.cascaded => merge_cascaded(facts, rule, side),
        (true, true) => {
            if agrees(Side::Crm) || agrees(Side::Erp) {
                Verdict::Equal
            } else if facts.may_agree() || (facts.is_illegible() && facts.base == Some(facts.own)) {
                Verdict::Wait
            } else {
                merge_both(facts, rule)
            }
        }
        (to_erp, _) => {
            let to = if to_erp { Side::Erp } else { Side::Crm };
            if agrees(to) { Verdict::Equal } else { merge_owned(facts, rule, to) }
        }
    }
}

/// Decides a field that [`merge`] found contested and of which the newer value wins.
pub fn merge_newest(facts: &Facts, rule: &Rule, edits: Result<Edits, NoClock>) -> Verdict {
    let edits = match edits {
        Ok(edits) => edits,
        Err(no_clock) => return Verdict::Contested(Standoff::Clock(no_clock)),
    };
    if let Some(newer) = Side::BOTH.into_iter().find(|side| edits.is_newer(*side)) {
        return send(facts, rule, newer.other(), Why::Newer(newer, edits));
    }
    let untold = Side::BOTH.into_iter().find(|side| edits.at.of(*side).is_none());
    Verdict::Contested(untold.map_or(Standoff::Close(edits), Standoff::Untold))
}

/// Decides a field that would wait for a person, and of which one has decided.
pub fn merge_decided(facts: &Facts, rule: &Rule, ruling: Ruling) -> Verdict {
    match ruling.take {
        Take::Value => Verdict::Put(ruling.on),
        // Who takes a blank means it, whatever is done with blanks otherwise.
        Take::Side(side) => send(facts, &Rule { blank: Blank::Write, ..*rule }, side.other(), Why::Decided(ruling.on)),
    }
}

/// A reference that `side` cleared by itself: that is nobody's edit. Once what it leads to is there again the reference
/// is put back, and until then it waits.
fn merge_cascaded(facts: &Facts, rule: &Rule, side: Side) -> Verdict {
    match facts.value_to(side) {
        Some(value) if value != BLANK => send(facts, rule, side, Why::Restored(side)),
        _ => Verdict::Wait,
    }
}

/// Decides a field whose value on `to` has to give way; `None` where that changes nothing: where both sides agree or differ as
/// a side left it, where the value goes to `to` anyway, and where the field has one owner.
pub fn merge_forced(facts: &Facts, rule: &Rule, to: Side) -> Option<Verdict> {
    let both = rule.writes.erp && rule.writes.crm && rule.when != When::Create;
    let left = facts.base == Some(facts.own) && facts.is_as_settled(rule) && !facts.is_unsure();
    if !both || left {
        return None;
    }
    match merge(facts, rule) {
        Verdict::Equal => None,
        Verdict::Write(side, _) if side == to => None,
        _ => Some(send(facts, rule, to, Why::Forced(to.other()))),
    }
}

/// A one-way field: its owner's value goes over where the other side differs.
fn merge_owned(facts: &Facts, rule: &Rule, to: Side) -> Verdict {
    let owner = to.other();
    let value = facts.value_to(to);
    let why = match facts.base {
        // Cut or filled in by the server: the difference was there when the pair was settled.
        Some(base) if value == Some(*base.of(owner)) && base.of(to) == facts.own.of(to) => return Verdict::Known,
        Some(base) if value != Some(*base.of(owner)) => Why::Edited(owner),
        Some(_) if rule.drift != Drift::Restore => return Verdict::Drifted,
        // The owner's record was made a moment ago, without a value that it could not be given: nobody cleared it.
        None if facts.created == Some(owner) && value == Some(BLANK) => return Verdict::Known,
        _ => Why::Owner(owner),
    };
    send(facts, rule, to, why)
}

/// A two-way field whose sides differ.
fn merge_both(facts: &Facts, rule: &Rule) -> Verdict {
    let Some(base) = facts.base else { return merge_first(facts, rule) };
    let edited = |side: Side| base.of(side) != facts.own.of(side);
    match (edited(Side::Erp), edited(Side::Crm)) {
        (false, false) if facts.is_as_settled(rule) => Verdict::Known,
        (false, false) => merge_first(facts, rule),
        (true, false) => send(facts, rule, Side::Crm, Why::Edited(Side::Erp)),
        (false, true) => send(facts, rule, Side::Erp, Why::Edited(Side::Crm)),
        (true, true) => match rule.on_conflict {
            OnConflict::Hold | OnConflict::Newest => Verdict::Contested(Standoff::Policy),
            OnConflict::Erp => send(facts, rule, Side::Crm, Why::Conflict(Side::Erp)),
            OnConflict::Crm => send(facts, rule, Side::Erp, Why::Conflict(Side::Crm)),
        },
    }
}

/// A two-way field of a newly coupled pair, or of one that nobody edited and that is translated otherwise than when it was
/// settled: a blank never wins, nor does what leads nowhere by now; else the policy decides.
fn merge_first(facts: &Facts, rule: &Rule) -> Verdict {
    // A value map may name `false`, and an expression may make something of nothing: that is a value, then.
    let blank = |side: Side| {
        let travels = facts.value_to(side.other()).is_some_and(|value| value != BLANK);
        let lost = facts.base.is_some() && *facts.arriving.of(side.other()) == Some(Arriving::Unresolved);
        (*facts.own.of(side) == BLANK && !travels) || lost
    };
    let because = |side: Side, first: Why| if facts.base.is_some() { Why::Retold(side) } else { first };
    match (blank(Side::Erp), blank(Side::Crm)) {
        (true, true) => Verdict::Known,
        (true, false) => send(facts, rule, Side::Erp, because(Side::Crm, Why::FirstValue(Side::Crm))),
        (false, true) => send(facts, rule, Side::Crm, because(Side::Erp, Why::FirstValue(Side::Erp))),
        (false, false) => match rule.first_sync {
            Some(Policy::Erp) => send(facts, rule, Side::Crm, because(Side::Erp, Why::FirstSync(Side::Erp))),
            Some(Policy::Crm) => send(facts, rule, Side::Erp, because(Side::Crm, Why::FirstSync(Side::Crm))),
            Some(Policy::Hold) | None => Verdict::Unfilled,
        },
    }
}

/// The value goes to `to`, unless it is blank and blanks stay, or has no counterpart there.
fn send(facts: &Facts, rule: &Rule, to: Side, why: Why) -> Verdict {
    match facts.arriving.of(to) {
        None => Verdict::Known,
        Some(Arriving::Value(BLANK)) if rule.blank == Blank::Keep => Verdict::Known,
        Some(Arriving::Value(_)) => Verdict::Write(to, why),
        Some(Arriving::Illegible { there: true }) => Verdict::Wait,
        Some(Arriving::Illegible { there: false }) => match rule.on_unresolved {
            OnUnresolved::Keep => Verdict::Wait,
            OnUnresolved::Clear if facts.clears_nothing(rule, to) => Verdict::Wait,
            OnUnresolved::Fail | OnUnresolved::Clear => Verdict::Illegible(to),
        },
        // Whatever is done with unresolved references: this one resolves in the run.
        Some(Arriving::Broken | Arriving::Awaited) => Verdict::Fail(to),
        Some(Arriving::Unresolved) => match rule.on_unresolved {
            OnUnresolved::Fail => Verdict::Fail(to),
            OnUnresolved::Keep => Verdict::Wait,
            OnUnresolved::Clear if facts.clears_nothing(rule, to) => Verdict::Wait,
            OnUnresolved::Clear => Verdict::Write(to, why),
        },
    }
}

#[cfg(test)]
mod tests;
