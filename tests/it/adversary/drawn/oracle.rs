//! What becomes of a field, told from the texts that both sides hold and from what the documentation says of each key.
//!
//! Written after docs/keys.md and docs/rules.md, over plain texts: it shares nothing with the engine but the file's keys.

use pipeline::config::{Blank, Direction, Drift, FieldMap, OnConflict, OnUnresolved, PerSide, Policy, Side, When};

/// What both sides hold, as texts; a blank is empty.
pub type Held = PerSide<String>;

/// What an owner held whose value is still to be sent.
pub const UNSENT: &str = "(to be sent)";

/// The other side's value in this side's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arriving {
    Value(String),
    /// It refers to somebody without partner.
    Unresolved,
    /// It cannot be held here.
    Broken,
}

/// What is known of one field of one pair.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What both held when they last agreed. Of a one-way field the owner's part is what it was in the other's terms.
    pub base: Option<Held>,
    pub own: Held,
    /// By the side that it would go to; `None` where nothing goes there.
    pub arriving: PerSide<Option<Arriving>>,
    /// The side on which the record was made for the other's.
    pub created: Option<Side>,
    /// Who edited the record last; `None` where neither was clearly later.
    pub newer: Option<Side>,
    /// The side that gives way, whoever edited what.
    pub forced: Option<Side>,
    /// What a person decided about these very values.
    pub decided: Option<Decision>,
}

/// What a person decided about a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Take(Side),
    /// What both sides are to hold.
    Put(Held),
}

/// What becomes of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Both stay as they are, and that is agreed on.
    Settled,
    Goes(Side, String),
    /// Both get what a person gave.
    Put(Held),
    Contested,
    Fails(Side),
    /// Both stay as they are until somebody is coupled.
    Waits,
    /// The side that does not own the field keeps its change.
    Drifts,
}

impl Facts {
    fn value(&self, to: Side) -> Option<&str> {
        match self.arriving.of(to) {
            Some(Arriving::Value(text)) => Some(text),
            _ => None,
        }
    }

    /// What both are agreed to hold from now on.
    pub fn settled(&self, field: &FieldMap) -> Held {
        let mut base = self.own.clone();
        let owner = match field.direction {
            Some(Direction::ToCrm) => Side::Erp,
            Some(Direction::ToErp) => Side::Crm,
            _ => return base,
        };
        if let Some(value) = self.value(owner.other()) {
            *base.of_mut(owner) = value.to_owned();
        }
        base
    }

    /// Says what becomes of the field.
    pub fn verdict(&self, field: &FieldMap, table_first: Option<Policy>) -> Verdict {
        let Some(direction) = field.direction else { return Verdict::Settled };
        if field.when == When::Create {
            return Verdict::Settled;
        }
        let agrees = |to: Side| direction.writes(to) && self.value(to) == Some(self.own.of(to));
        if Side::BOTH.into_iter().any(agrees) {
            return Verdict::Settled;
        }
        match direction {
            Direction::ToCrm => self.owned(field, Side::Crm),
            Direction::ToErp => self.owned(field, Side::Erp),
            Direction::Both => self.asked(field, self.shared(field, field.first_sync.or(table_first))),
        }
    }

    /// What a person asked for counts more than what follows from the edits.
    fn asked(&self, field: &FieldMap, verdict: Verdict) -> Verdict {
        let blank = self.own.erp.is_empty() && self.own.crm.is_empty();
        if let Some(to) = self.forced {
            let nothing = blank || self.base.as_ref() == Some(&self.own);
            return match verdict {
                Verdict::Goes(side, _) if side == to => verdict,
                _ if nothing => Verdict::Settled,
                _ => self.send(field, to),
            };
        }
        match &self.decided {
            Some(Decision::Put(goal)) => Verdict::Put(goal.clone()),
            Some(Decision::Take(side)) => {
                // Who takes a blank means it.
                self.send(&FieldMap { blank: Blank::Write, ..field.clone() }, side.other())
            }
            _ => verdict,
        }
    }

    fn owned(&self, field: &FieldMap, to: Side) -> Verdict {
        let owner = to.other();
        match &self.base {
            Some(base) if self.value(to) == Some(base.of(owner)) => {
                if base.of(to) == self.own.of(to) {
                    return Verdict::Settled;
                }
                if field.drift != Drift::Restore {
                    return Verdict::Drifts;
                }
            }
            None if self.created == Some(owner) && self.value(to) == Some("") => return Verdict::Settled,
            _ => {}
        }
        self.send(field, to)
    }

    fn shared(&self, field: &FieldMap, first: Option<Policy>) -> Verdict {
        let Some(base) = &self.base else {
            // A blank never wins a first synchronization.
            let blank = |side: Side| self.own.of(side).is_empty();
            return match (blank(Side::Erp), blank(Side::Crm), first) {
                (true, true, _) => Verdict::Settled,
                (true, false, _) | (false, false, Some(Policy::Crm)) => self.send(field, Side::Erp),
                (false, true, _) | (false, false, Some(Policy::Erp)) => self.send(field, Side::Crm),
                (false, false, _) => Verdict::Contested,
            };
        };
        match (base.erp != self.own.erp, base.crm != self.own.crm) {
            (false, false) => Verdict::Settled,
            (true, false) => self.send(field, Side::Crm),
            (false, true) => self.send(field, Side::Erp),
            (true, true) => match (field.on_conflict, self.newer) {
                (OnConflict::Erp, _) | (OnConflict::Newest, Some(Side::Erp)) => self.send(field, Side::Crm),
                (OnConflict::Crm, _) | (OnConflict::Newest, Some(Side::Crm)) => self.send(field, Side::Erp),
                (OnConflict::Hold | OnConflict::Newest, _) => Verdict::Contested,
            },
        }
    }

    fn send(&self, field: &FieldMap, to: Side) -> Verdict {
        match self.arriving.of(to) {
            None => Verdict::Settled,
            Some(Arriving::Value(text)) if text.is_empty() && field.blank == Blank::Keep => Verdict::Settled,
            Some(Arriving::Value(text)) => Verdict::Goes(to, text.clone()),
            Some(Arriving::Broken) => Verdict::Fails(to),
            Some(Arriving::Unresolved) => match field.on_unresolved {
                OnUnresolved::Fail => Verdict::Fails(to),
                OnUnresolved::Clear if !self.own.of(to).is_empty() && field.blank == Blank::Write => {
                    Verdict::Goes(to, String::new())
                }
                OnUnresolved::Clear | OnUnresolved::Keep => Verdict::Waits,
            },
        }
    }
}
