//! What a pair has to hold after a night, field by field.

use pipeline::config::{Direction, Drift, FieldMap, OnConflict, OnUnresolved, PerSide, Policy, Side, When};
use pipeline::run::account::RunReport;
use pipeline::store::{Decided, InboxKind};
use uuid::Uuid;

use crate::adversary::drawn::draw::Terms;
use crate::adversary::drawn::judge::Waiting;
use crate::adversary::drawn::look::Look;
use crate::adversary::drawn::night::{Ids, Night};
use crate::adversary::drawn::oracle::{Arriving, Decision, Facts, Held, UNSENT, Verdict};

/// A field of a pair after the night.
struct Outcome<'a> {
    field: &'a FieldMap,
    facts: &'a Facts,
    verdict: &'a Verdict,
    /// What both sides hold now.
    got: Held,
    /// What was known, for whoever reads of a failure.
    place: String,
    /// Whether the record fails in the direction of a side.
    fails: PerSide<bool>,
}

impl Night {
    /// Holds one pair against what the oracle says.
    pub(super) fn pair(
        &mut self,
        ids: PerSide<Uuid>,
        edited: &Look,
        after: &Look,
        report: &RunReport,
        expected: &mut Waiting,
    ) {
        let (key, known) = ((ids.erp, ids.crm), (Some(ids.erp), Some(ids.crm)));
        let map = self.map().clone();
        if !after.both_exist(ids) {
            return;
        }
        let created = Side::BOTH.into_iter().find(|side| edited.record(*side, *ids.of(*side)).is_none());
        let mut seen = Side::BOTH.into_iter().filter(|side| Some(*side) != created);
        if seen.any(|side| !self.inside(edited, side, *ids.of(side))) {
            expected.free.insert(known);
            for side in Side::BOTH {
                let id = *ids.of(side);
                assert_eq!(edited.record(side, id), after.record(side, id), "{}: {ids:?} is outside", self.place);
            }
            return;
        }
        if let Some(Side::Crm) = created.filter(|_| self.drawn.templates_company) {
            let company = after.text(Side::Crm, ids.crm, Some("company"));
            let first = after.text(Side::Crm, ids.crm, Some("city")) == "city 3";
            assert_eq!(company, if first { "first" } else { "other" }, "{}: {ids:?}, template", self.place);
        }
        let mut bases = self.bases.get(&key).cloned().unwrap_or_else(|| vec![None; map.fields.len()]);
        let facts: Vec<Facts> = map
            .fields
            .iter()
            .enumerate()
            .map(|(number, field)| self.facts(ids, (number, field), bases[number].clone(), created, [edited, after]))
            .collect();
        let verdicts: Vec<Verdict> =
            map.fields.iter().zip(&facts).map(|(field, facts)| facts.verdict(field, map.first_sync)).collect();
        if verdicts.iter().any(|verdict| matches!(verdict, Verdict::Fails(_))) {
            expected.failed.insert(known);
        }
        // References to the same table come in a second step, which stops nothing in the first one.
        let second = |number: usize| self.drawn.terms[number] == Terms::Parent;
        let fails = |to: Side, number: usize| {
            let failing = |other: usize| verdicts[other] == Verdict::Fails(to) && (second(number) || !second(other));
            (0..verdicts.len()).any(failing)
        };
        let mut ended = Vec::new();
        for (number, field) in map.fields.iter().enumerate() {
            let (facts, verdict) = (&facts[number], &verdicts[number]);
            let outcome = Outcome {
                field,
                facts,
                verdict,
                got: PerSide::from_fn(|side| after.text(side, *ids.of(side), field.column(side))),
                place: format!("{}: {ids:?}, {} was {facts:?}, {verdict:?}", self.place, field.name()),
                fails: PerSide::from_fn(|to| fails(to, number)),
            };
            let edits = |base: &Held| base.erp != facts.own.erp && base.crm != facts.own.crm;
            let by_time = field.on_conflict == OnConflict::Newest
                && field.direction == Some(Direction::Both)
                && facts.base.as_ref().is_some_and(edits);
            let forced = facts.forced.is_some();
            let unclear = !forced && (self.disturbed || facts.newer.is_none());
            let typed = self.typed.get(&key).filter(|_| field.name() == "name");
            let agreed = if let Some((side, text)) = typed {
                let waits = report.inbox.iter().any(|item| {
                    (item.erp_id, item.crm_id) == known
                        && (item.field.as_deref() == Some("name") || item.kind != InboxKind::Contested)
                });
                if waits {
                    expected.free.insert(known);
                }
                outcome.keeps_typed(*side, text, waits, map.first_sync)
            } else if by_time && unclear && *verdict != Verdict::Settled {
                let agreed = outcome.by_time();
                if agreed.is_none() {
                    expected.free.insert(known);
                }
                agreed
            } else {
                match verdict {
                    Verdict::Contested => drop(expected.contested.insert((known, field.name().to_owned()))),
                    Verdict::Drifts if field.drift == Drift::Report => {
                        expected.drifted.insert((ids.erp, field.name().to_owned()));
                    }
                    _ => {}
                }
                outcome.as_foretold()
            };
            ended.push(agreed.is_some());
            bases[number] = agreed.or_else(|| outcome.still_to_win()).or(bases[number].take());
        }
        for ((field, facts), agreed) in map.fields.iter().zip(&facts).zip(ended) {
            self.ends(key, field, facts, agreed);
        }
        self.bases.insert(key, bases);
    }

    /// Returns what a person decided about a field, as long as it holds what it held then, or half of what he gave.
    fn decided(
        &self,
        ids: PerSide<Uuid>,
        (number, field): (usize, &FieldMap),
        own: &Held,
        after: &Look,
    ) -> Option<Decision> {
        let key = ((ids.erp, ids.crm), field.name().to_owned());
        let (decided, on) = self.people.as_ref()?.fields.get(&key)?;
        match decided {
            Decided::Take(side) => (on == own).then_some(Decision::Take(*side)),
            Decided::Value(erp) => match after.arriving(&self.drawn, number, field, Side::Crm, erp)? {
                Arriving::Value(crm) => {
                    let goal = PerSide { erp: erp.clone(), crm };
                    let counts = |side: Side| own.of(side) == on.of(side) || own.of(side) == goal.of(side);
                    Side::BOTH.into_iter().all(counts).then_some(Decision::Put(goal))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// A decision ends when it was carried out, or when nothing is contested any more.
    fn ends(&mut self, key: Ids, field: &FieldMap, facts: &Facts, agreed: bool) {
        let first = self.map().first_sync;
        let Some(people) = &mut self.people else { return };
        let plain = Facts { decided: None, ..facts.clone() };
        if agreed || plain.verdict(field, first) != Verdict::Contested {
            people.fields.remove(&(key, field.name().to_owned()));
        }
    }

    /// Gathers what is known of a field of a pair. Of a record that was made, what was sent is what it held first.
    fn facts(
        &self,
        ids: PerSide<Uuid>,
        (number, field): (usize, &FieldMap),
        base: Option<Held>,
        created: Option<Side>,
        [edited, after]: [&Look; 2],
    ) -> Facts {
        let text = |look: &Look, side: Side| look.text(side, *ids.of(side), field.column(side));
        let own = PerSide::from_fn(|side| text(edited, side));
        let arriving = PerSide::from_fn(|to| after.arriving(&self.drawn, number, field, to, own.of(to.other())));
        let forced = self.people.as_ref().and_then(|people| people.forced);
        let decided = self.decided(ids, (number, field), &own, after);
        let mut facts = Facts { base, own, arriving, created, newer: self.newer(ids), forced, decided };
        let Some(side) = created else { return facts };
        let at_once = field.when != When::Update && self.drawn.terms[number] != Terms::Parent;
        let sent = at_once && field.direction.is_some_and(|direction| direction.writes(side));
        match facts.arriving.of(side).clone() {
            Some(Arriving::Value(value)) if sent || value.is_empty() => {
                // Where nothing is sent, a template may have given something.
                *facts.own.of_mut(side) = if value.is_empty() { text(after, side) } else { value };
                facts.base = Some(facts.settled(field));
            }
            _ => {
                let given = if at_once && !sent { text(after, side) } else { String::new() };
                let back = after.arriving(&self.drawn, number, field, side.other(), &given);
                *facts.arriving.of_mut(side.other()) = back;
                *facts.own.of_mut(side) = given;
            }
        }
        facts
    }
}

impl Outcome<'_> {
    /// What is remembered of a field whose winner somebody named, and whose record failed: its value is still to be sent.
    fn still_to_win(&self) -> Option<Held> {
        let Outcome { field, facts, .. } = self;
        let to = facts.forced?;
        let both = field.direction == Some(Direction::Both) && field.when != When::Create;
        (both && *self.fails.of(to) && facts.base.as_ref() != Some(&facts.own)).then(|| {
            let mut base = facts.own.clone();
            *base.of_mut(to.other()) = UNSENT.to_owned();
            base
        })
    }

    /// Demands what the oracle says; returns what is agreed on now, if anything.
    fn as_foretold(&self) -> Option<Held> {
        let Outcome { field, facts, got, place, .. } = self;
        let stays = |why: &str| assert_eq!(*got, facts.own, "{place}{why}");
        match self.verdict {
            Verdict::Goes(to, _) if *self.fails.of(*to) => stays(", and the record failed"),
            Verdict::Goes(to, value) => {
                let mut goal = facts.own.clone();
                goal.of_mut(*to).clone_from(value);
                assert_eq!(*got, goal, "{place}");
                let mut agreed = got.clone();
                if field.direction != Some(Direction::Both) {
                    agreed.of_mut(to.other()).clone_from(value);
                }
                if value.is_empty() && *facts.arriving.of(*to) == Some(Arriving::Unresolved) {
                    UNSENT.clone_into(agreed.of_mut(to.other()));
                }
                return Some(agreed);
            }
            Verdict::Settled => {
                stays("");
                return Some(facts.settled(field));
            }
            Verdict::Put(goal) => {
                let fails = self.fails.erp || self.fails.crm;
                let here = |side: Side| got.of(side) == goal.of(side) || fails && got.of(side) == facts.own.of(side);
                assert!(Side::BOTH.into_iter().all(here), "{place}: got {got:?}");
                return (got == goal).then(|| got.clone());
            }
            Verdict::Contested => stays(" (I6)"),
            Verdict::Fails(_) | Verdict::Waits | Verdict::Drifts => stays(""),
        }
        None
    }

    /// Where a write is lost or a record touched, the times tell less: a field may wait, or go to whom they favour.
    fn by_time(&self) -> Option<Held> {
        let Outcome { field, facts, got, place, .. } = self;
        let came = |to: Side| {
            let value = match facts.arriving.of(to) {
                Some(Arriving::Value(value)) => value.as_str(),
                Some(Arriving::Unresolved) if field.on_unresolved == OnUnresolved::Clear => "",
                _ => return false,
            };
            got.of(to) == value && got.of(to.other()) == facts.own.of(to.other())
        };
        let stays = *got == facts.own;
        assert!(stays || came(Side::Erp) || came(Side::Crm), "{place}: got {got:?}");
        (!stays).then(|| got.clone())
    }

    /// What somebody typed during a run is on both sides, or waits, or was overruled by a policy.
    fn keeps_typed(&self, side: Side, text: &str, waits: bool, table_first: Option<Policy>) -> Option<Held> {
        let Outcome { field, facts, got, place, .. } = self;
        let other = facts.own.of(side.other());
        let edited = facts.base.as_ref().is_none_or(|base| base.of(side.other()) != other);
        let is = |policy: Option<Policy>| match side {
            Side::Erp => policy == Some(Policy::Crm),
            Side::Crm => policy == Some(Policy::Erp),
        };
        let overruled = match field.on_conflict {
            _ if facts.base.is_none() => is(field.first_sync.or(table_first)),
            OnConflict::Newest => edited,
            OnConflict::Erp => edited && side == Side::Crm,
            OnConflict::Crm => edited && side == Side::Erp,
            OnConflict::Hold => false,
        };
        let overruled = overruled && got.erp == *other && got.crm == *other;
        let wins = got.erp == text && got.crm == text;
        // What was typed before may have gone over before the record began to fail.
        let there = got.of(side.other()) == other || got.of(side.other()) == facts.own.of(side);
        let stays = got.of(side) == text && there && (waits || self.fails.erp || self.fails.crm);
        let name = side.name();
        assert!(wins || stays || overruled, "{place}: got {got:?}, and `{text}` was typed in the {name}");
        (got.erp == got.crm).then(|| got.clone())
    }
}
