//! One field of one coupled record: whose value goes where?
//!
//! Three fingerprints a side go in (what it holds, what it held when the pair was last settled, what the other side's
//! value would be here), a [`Verdict`] comes out. No values, no names, no clock.

use crate::config::{Blank, FieldMap, OnUnresolved, PerSide, Policy, Side, TableMap, When};
use crate::translate::BLANK;

/// What is known of one field of one pair.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// What was remembered when the pair was last settled; see [`settled`].
    pub base: Option<PerSide<u64>>,
    /// What both sides hold.
    pub own: PerSide<u64>,
    /// What each side would hold if the other side's value came over; `None` where nothing travels to it.
    pub arriving: PerSide<Option<Arriving>>,
    /// The side where a record was made for the other's; `None` for two that were there before.
    pub created: Option<Side>,
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

    /// Returns the base that a field with these facts has once it is settled.
    pub fn settled(&self, rule: &Rule) -> PerSide<u64> {
        settled(rule.writes, self.own, PerSide::from_fn(|to| self.value_to(to)))
    }
}

/// What a field map says about its values.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub first_sync: Option<Policy>,
    pub on_conflict: Policy,
    pub on_unresolved: OnUnresolved,
    pub when: When,
    pub blank: Blank,
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
    /// Both sides were edited; the policy says who wins.
    Conflict(Side),
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Why::Edited(side) => write!(f, "edited in the {}", side.name()),
            Why::Owner(side) => write!(f, "the {} owns the field", side.name()),
            Why::FirstSync(side) => write!(f, "first synchronization, the {} fills it", side.name()),
            Why::FirstValue(side) => write!(f, "first synchronization, only the {} has a value", side.name()),
            Why::Conflict(side) => write!(f, "edited on both sides, the {} wins", side.name()),
        }
    }
}

/// What is to be done about a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Both sides agree; what they hold becomes the base.
    Equal,
    /// They differ, as they did when the pair was settled or as the field map wants it; what they hold becomes the base.
    Known,
    /// Nothing is done and nothing is remembered: the field waits.
    Wait,
    /// The other side's value goes to this side.
    Write(Side, Why),
    /// Edited on both sides to different values.
    Contested,
    /// A newly coupled pair that differs, and nothing says who fills it.
    Unfilled,
    /// The value that would go to this side has no counterpart there.
    Fail(Side),
}

/// Decides one field.
pub fn merge(facts: &Facts, rule: &Rule) -> Verdict {
    if rule.when == When::Create {
        return Verdict::Known;
    }
    let agrees = |side: Side| facts.value_to(side) == Some(*facts.own.of(side));
    match (rule.writes.erp, rule.writes.crm) {
        (false, false) => Verdict::Known,
        (true, true) => {
            if agrees(Side::Crm) || agrees(Side::Erp) {
                Verdict::Equal
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

/// A one-way field: its owner's value goes over where the other side differs.
fn merge_owned(facts: &Facts, rule: &Rule, to: Side) -> Verdict {
    let owner = to.other();
    let value = facts.value_to(to);
    let why = match facts.base {
        // Cut or filled in by the server: the difference was there when the pair was settled.
        Some(base) if value == Some(*base.of(owner)) && base.of(to) == facts.own.of(to) => return Verdict::Known,
        Some(base) if value != Some(*base.of(owner)) => Why::Edited(owner),
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
        (false, false) => Verdict::Known,
        (true, false) => send(facts, rule, Side::Crm, Why::Edited(Side::Erp)),
        (false, true) => send(facts, rule, Side::Erp, Why::Edited(Side::Crm)),
        (true, true) => match rule.on_conflict {
            Policy::Hold => Verdict::Contested,
            Policy::Erp => send(facts, rule, Side::Crm, Why::Conflict(Side::Erp)),
            Policy::Crm => send(facts, rule, Side::Erp, Why::Conflict(Side::Crm)),
        },
    }
}

/// A two-way field of a newly coupled pair: a blank never wins, else the policy decides.
fn merge_first(facts: &Facts, rule: &Rule) -> Verdict {
    // A value map may name `false`, and an expression may make something of nothing: that is a value, then.
    let blank = |side: Side| {
        let travels = facts.value_to(side.other()).is_some_and(|value| value != BLANK);
        *facts.own.of(side) == BLANK && !travels
    };
    match (blank(Side::Erp), blank(Side::Crm)) {
        (true, true) => Verdict::Known,
        (true, false) => send(facts, rule, Side::Erp, Why::FirstValue(Side::Crm)),
        (false, true) => send(facts, rule, Side::Crm, Why::FirstValue(Side::Erp)),
        (false, false) => match rule.first_sync {
            Some(Policy::Erp) => send(facts, rule, Side::Crm, Why::FirstSync(Side::Erp)),
            Some(Policy::Crm) => send(facts, rule, Side::Erp, Why::FirstSync(Side::Crm)),
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
        // Whatever is done with unresolved references: this one resolves in the run.
        Some(Arriving::Broken | Arriving::Awaited) => Verdict::Fail(to),
        Some(Arriving::Unresolved) => match rule.on_unresolved {
            OnUnresolved::Fail => Verdict::Fail(to),
            OnUnresolved::Keep => Verdict::Wait,
            OnUnresolved::Clear if *facts.own.of(to) == BLANK || rule.blank == Blank::Keep => Verdict::Wait,
            OnUnresolved::Clear => Verdict::Write(to, why),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH_WAYS: Rule = Rule {
        first_sync: None,
        on_conflict: Policy::Hold,
        on_unresolved: OnUnresolved::Fail,
        when: When::Always,
        blank: Blank::Write,
        writes: PerSide { erp: true, crm: true },
    };

    fn facts(base: Option<(u64, u64)>, erp: u64, crm: u64) -> Facts {
        Facts {
            base: base.map(|(erp, crm)| PerSide { erp, crm }),
            own: PerSide { erp, crm },
            arriving: PerSide { erp: Some(Arriving::Value(crm)), crm: Some(Arriving::Value(erp)) },
            created: None,
        }
    }

    fn to_crm(rule: Rule) -> Rule {
        Rule { writes: PerSide { erp: false, crm: true }, ..rule }
    }

    #[test]
    fn a_two_way_field() {
        use Side::{Crm, Erp};
        use Verdict::{Contested, Equal, Known, Unfilled, Write};
        let erp_first = Rule { first_sync: Some(Policy::Erp), ..BOTH_WAYS };
        let crm_first = Rule { first_sync: Some(Policy::Crm), ..BOTH_WAYS };
        let erp_wins = Rule { on_conflict: Policy::Erp, ..BOTH_WAYS };
        let crm_wins = Rule { on_conflict: Policy::Crm, ..BOTH_WAYS };
        let keep = Rule { blank: Blank::Keep, ..BOTH_WAYS };
        for (name, base, erp, crm, rule, expected) in [
            ("nothing happened", Some((1, 1)), 1, 1, BOTH_WAYS, Equal),
            ("edited to the same", Some((1, 1)), 2, 2, BOTH_WAYS, Equal),
            ("edited in the ERP", Some((1, 1)), 2, 1, BOTH_WAYS, Write(Crm, Why::Edited(Erp))),
            ("edited in the CRM", Some((1, 1)), 1, 2, BOTH_WAYS, Write(Erp, Why::Edited(Crm))),
            ("cleared in the ERP", Some((1, 1)), 0, 1, BOTH_WAYS, Write(Crm, Why::Edited(Erp))),
            ("cleared, blanks stay", Some((1, 1)), 0, 1, keep, Known),
            ("edited on both sides", Some((1, 1)), 2, 3, BOTH_WAYS, Contested),
            ("edited on both sides, ERP wins", Some((1, 1)), 2, 3, erp_wins, Write(Crm, Why::Conflict(Erp))),
            ("edited on both sides, CRM wins", Some((1, 1)), 2, 3, crm_wins, Write(Erp, Why::Conflict(Crm))),
            ("a known difference", Some((1, 2)), 1, 2, BOTH_WAYS, Known),
            ("a known difference, then an edit", Some((1, 2)), 1, 3, BOTH_WAYS, Write(Erp, Why::Edited(Crm))),
            ("new and equal", None, 1, 1, BOTH_WAYS, Equal),
            ("new and different", None, 1, 2, BOTH_WAYS, Unfilled),
            ("new and different, ERP fills", None, 1, 2, erp_first, Write(Crm, Why::FirstSync(Erp))),
            ("new and different, CRM fills", None, 1, 2, crm_first, Write(Erp, Why::FirstSync(Crm))),
            ("new, a blank never wins", None, 0, 2, erp_first, Write(Erp, Why::FirstValue(Crm))),
            ("new, a blank never wins either way", None, 1, 0, crm_first, Write(Crm, Why::FirstValue(Erp))),
        ] {
            assert_eq!(merge(&facts(base, erp, crm), &rule), expected, "{name}");
        }
    }

    #[test]
    fn a_one_way_field() {
        use Side::{Crm, Erp};
        use Verdict::{Equal, Known, Write};
        for (name, base, erp, crm, expected) in [
            ("equal", Some((1, 1)), 1, 1, Equal),
            ("edited by the owner", Some((1, 1)), 2, 1, Write(Crm, Why::Edited(Erp))),
            ("drifted", Some((1, 1)), 1, 2, Write(Crm, Why::Owner(Erp))),
            ("edited on both sides", Some((1, 1)), 2, 3, Write(Crm, Why::Edited(Erp))),
            ("a known difference", Some((1, 2)), 1, 2, Known),
            ("new and different", None, 1, 2, Write(Crm, Why::Owner(Erp))),
            ("new, the owner is blank", None, 0, 2, Write(Crm, Why::Owner(Erp))),
        ] {
            assert_eq!(merge(&facts(base, erp, crm), &to_crm(BOTH_WAYS)), expected, "{name}");
        }
        for (name, created, erp, expected) in [
            ("a blank of a record just made clears nothing", Some(Erp), 0, Known),
            ("a number that it was given goes over", Some(Erp), 1, Write(Crm, Why::Owner(Erp))),
            ("the owner's record was there before", Some(Crm), 0, Write(Crm, Why::Owner(Erp))),
        ] {
            let facts = Facts { created, ..facts(None, erp, 2) };
            assert_eq!(merge(&facts, &to_crm(BOTH_WAYS)), expected, "{name}");
        }
        let create = Rule { when: When::Create, ..to_crm(BOTH_WAYS) };
        assert_eq!(merge(&facts(None, 1, 2), &create), Known, "only for new records");
        let keep = Rule { blank: Blank::Keep, ..to_crm(BOTH_WAYS) };
        assert_eq!(merge(&facts(None, 0, 2), &keep), Known, "blanks stay");
    }

    #[test]
    fn values_that_only_one_direction_makes_equal() {
        // 12.345678 there is 12.3457 here; the way back differs, and that is no edit.
        let facts = Facts {
            base: None,
            own: PerSide { erp: 1, crm: 2 },
            arriving: PerSide { erp: Some(Arriving::Value(2)), crm: Some(Arriving::Value(2)) },
            created: None,
        };
        assert_eq!(merge(&facts, &BOTH_WAYS), Verdict::Equal);
    }

    #[test]
    fn references_without_coupling() {
        use Verdict::{Fail, Wait, Write};
        let unresolved = |base, erp, crm| Facts {
            arriving: PerSide { erp: Some(Arriving::Value(crm)), crm: Some(Arriving::Unresolved) },
            ..facts(base, erp, crm)
        };
        let rule = |on_unresolved| Rule { on_unresolved, ..to_crm(BOTH_WAYS) };
        for (name, on_unresolved, crm, expected) in [
            ("fails", OnUnresolved::Fail, 2, Fail(Side::Crm)),
            ("stays", OnUnresolved::Keep, 2, Wait),
            ("is cleared", OnUnresolved::Clear, 2, Write(Side::Crm, Why::Edited(Side::Erp))),
            ("is clear already", OnUnresolved::Clear, BLANK, Wait),
        ] {
            assert_eq!(merge(&unresolved(Some((1, 2)), 3, crm), &rule(on_unresolved)), expected, "{name}");
        }
    }
}
