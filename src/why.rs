//! One record explained: a run over it on paper, what that saw, and what the state remembers in; where the record is,
//! what belongs to it and why, field by field, out.
//!
//! Nothing is decided here. Every decision is the run's own ([`crate::run::explain`]); this only finds what concerns the
//! one record, and says in words what it was decided from.

pub mod verdict;

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::config::expression::Expression;
use crate::config::{Blank, Direction, FieldMap, PerSide, Side, TableMap, When};
use crate::couple::rows_by_id;
use crate::delta::judging::Judged;
use crate::delta::merge::{self, Rule};
use crate::endpoint::Hidden;
use crate::frame::{Frame, Value};
use crate::plan::{Action, ActionKind};
use crate::run::account::{RunReport, Stopped};
use crate::run::explain::Explained;
use crate::run::sight::{Search, Sight};
use crate::store::{Coupling, InboxItem, InboxKind, JournalRow, Origin};
use crate::why::verdict::{Circumstances, Verdict, verdict};

/// Which record is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub map: &'a TableMap,
    pub side: Side,
    pub id: Uuid,
    /// Number of the one field that is of interest; `None` for all.
    pub field: Option<usize>,
}

/// What the state remembers of the record.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    pub coupling: Option<Coupling>,
    /// Since when the record is kept apart.
    pub apart: Option<String>,
    /// The values behind the base, by field key.
    pub bases: BTreeMap<String, PerSide<String>>,
    /// Newest first.
    pub writes: Vec<JournalRow>,
    /// What waits in its table map.
    pub inbox: Vec<InboxItem>,
    /// Why the last run that visited the table map was stopped by its guard, and when.
    pub guarded: Option<Stopped>,
}

/// Everything that is known of one record, and why it is treated as it is.
#[derive(Debug, Clone)]
pub struct Why {
    pub table: String,
    /// The record as people name it.
    pub record: String,
    pub verdict: Verdict,
    pub places: PerSide<Place>,
    pub coupling: Option<Coupling>,
    /// Which columns the match rule compares by which the pair was coupled, or would be now.
    pub rule: Option<String>,
    pub apart: Option<String>,
    /// Why the guard stops the table map, or stopped it in the last run: what a share or a number counts, all records of the
    /// table map have to be decided to know, so what is known of them is of that run.
    pub guarded: Option<Guarded>,
    pub fields: Vec<FieldWhy>,
    /// What the match rules find, where the record has no coupling.
    pub searches: Vec<Search>,
    /// What the next run does with it.
    pub actions: Vec<Action>,
    /// What waits for a person.
    pub waits: Vec<InboxItem>,
    pub writes: Vec<JournalRow>,
    /// What people call the records that values point to.
    pub names: BTreeMap<Uuid, String>,
}

/// What the guard of the table map says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guarded {
    pub why: String,
    /// In which run it said so, RFC 3339; `None` where the record and what it depends on are enough to stop it now.
    pub at: Option<String>,
}

/// Where a record is on one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub id: Option<Uuid>,
    /// Blank where the record has none, or is not there.
    pub label: String,
    pub presence: Presence,
}

/// Whether a side has the record, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    Inside,
    /// The terms of the filter that do not hold.
    Outside(Vec<Term>),
    /// The filter has no answer for it.
    Undecided(String),
    /// It is coupled, and the side does not show it: nothing is concluded from that.
    Hidden(Hidden),
    /// It was coupled, and is not there any more.
    Deleted,
    /// There is none.
    Missing,
}

/// A term of a filter that does not hold for a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// As it stands in the file.
    pub text: String,
    /// What the record holds in the columns that it reads.
    pub values: Vec<(String, String)>,
}

/// One field, and what is decided about it.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldWhy {
    pub name: String,
    pub columns: PerSide<Option<String>>,
    /// `None` where nothing travels.
    pub direction: Option<Direction>,
    /// What each side holds; `None` where it has no column or no record, or it cannot be read.
    pub values: PerSide<Option<Value>>,
    /// Why it cannot be read.
    pub unreadable: PerSide<Option<String>>,
    /// By the side where it would go: the other side's value in this one's terms, where it reads otherwise there.
    pub translated: PerSide<Option<Value>>,
    /// What both sides held when the pair was last settled, where values are kept.
    pub base: Option<PerSide<String>>,
    pub decision: Decision,
    pub reason: String,
}

/// What is decided about a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The pair is not compared, or there is none.
    NotCompared,
    Equal,
    /// They differ, and nothing is done about it.
    Known,
    Goes(Side),
    /// A value that a person gave goes to both sides.
    GoesToBoth,
    Contested,
    /// Changed on the side that does not own it, and left alone.
    Drifted,
    /// Its reference has no coupling yet.
    Waits,
    /// Its value has no counterpart on that side.
    Fails(Side),
}

impl Decision {
    /// Returns the word of the JSON output.
    pub fn key(self) -> &'static str {
        match self {
            Decision::NotCompared => "not_compared",
            Decision::Equal => "equal",
            Decision::Known => "known",
            Decision::Goes(Side::Crm) => "to_crm",
            Decision::Goes(Side::Erp) => "to_erp",
            Decision::GoesToBoth => "to_both",
            Decision::Contested => "contested",
            Decision::Drifted => "drifted",
            Decision::Waits => "waits",
            Decision::Fails(_) => "fails",
        }
    }
}

/// Explains one record.
pub fn why(question: &Question<'_>, explained: Explained, remembered: Remembered) -> Why {
    let Question { map, side, id, field } = *question;
    let Explained { report, sight } = explained;
    let of_table = report.plan.tables.iter().filter(|table| table.table == map.name);
    // One that is gone is made anew under another id; its partner is known by its own.
    let partner = remembered.coupling.as_ref().map(|coupling| *coupling.ids.of(side.other()));
    let is_own =
        |action: &&Action| *action.ids.of(side) == id || partner.is_some_and(|own| *action.ids.of(side.other()) == own);
    let mut actions: Vec<Action> = of_table.clone().flat_map(|table| &table.actions).filter(is_own).cloned().collect();
    let matched = actions.iter().find(|action| matches!(action.kind, ActionKind::Couple { .. })).cloned();
    let matched = matched.as_ref();
    let pair = remembered.coupling.as_ref().map(|coupling| coupling.ids).or(matched.map(|action| action.ids));
    let ids = PerSide::from_fn(|of| if of == side { Some(id) } else { pair.map(|ids| *ids.of(of)) });
    let sight = sight.as_ref();
    let places = PerSide::from_fn(|of| place(map, of, *ids.of(of), sight, remembered.coupling.is_some()));
    let record = named(map, &places, side, id);
    let is_it = |item: &&InboxItem| {
        let same = |known: Option<Uuid>, own: Option<Uuid>| known.is_some() && known == own;
        item.table == map.name && (same(item.erp_id, ids.erp) || same(item.crm_id, ids.crm))
    };
    let mut waits: Vec<InboxItem> = report.inbox.iter().filter(is_it).cloned().collect();
    let refused: Vec<InboxItem> =
        remembered.inbox.iter().filter(is_it).filter(|item| hangs(map, &report, &actions, item)).cloned().collect();
    waits.extend(refused.into_iter().filter(|item| report.inbox.iter().all(|known| !is_same(known, item))));
    if let Some(number) = field {
        // What fails keeps the whole record back; what is contested only its own field.
        let name = map.fields[number].name();
        waits.retain(|item| item.kind != InboxKind::Contested || item.field.as_deref() == Some(name));
        actions.retain_mut(|action| {
            let whole = action.fields.is_empty();
            action.fields.retain(|change| change.field == Some(number));
            whole || !action.fields.is_empty()
        });
    }
    let rule = match remembered.coupling.as_ref().map(|coupling| &coupling.origin) {
        Some(Origin::Matched(rule)) => rule_columns(map, *rule),
        Some(Origin::Created(_) | Origin::Hand) => None,
        None => matched.map(|action| action.why.clone()),
    };
    let fields = map.fields.iter().enumerate().filter(|(number, _)| field.is_none_or(|field| field == *number));
    let fields = fields.map(|(number, field)| {
        let judged = sight.and_then(|sight| {
            let own = |judged: &&Judged| judged.field == number && *judged.ids.of(side) == id;
            sight.judged.iter().find(own)
        });
        let mut told = field_why(map, field, judged, &ids, sight, remembered.bases.get(&field.key()));
        let goes = matches!(told.decision, Decision::Goes(_) | Decision::GoesToBoth);
        let sent = || actions.iter().any(|action| action.fields.iter().any(|change| change.field == Some(number)));
        let back = |item: &InboxItem| matches!(item.kind, InboxKind::Failed | InboxKind::Skipped);
        if goes && waits.iter().any(back) && !sent() {
            told.reason.push_str("; held back, as the record waits");
        }
        told
    });
    let fields: Vec<FieldWhy> = fields.collect();
    let mut searches = sight.map(|sight| sight.searches.clone()).unwrap_or_default();
    searches.retain(|search| (search.side, search.id) == (side, id) && remembered.coupling.is_none());
    let table = report.tables.iter().find(|table| table.table == map.name);
    let later = of_table.flat_map(|table| &table.later).find(|later| {
        later.record == record || later.record.strip_prefix(&record).is_some_and(|rest| rest.starts_with(" ("))
    });
    let now = table.and_then(|table| table.guarded.clone()).map(|why| Guarded { why, at: None });
    let earlier = || remembered.guarded.clone().map(|Stopped { why, at }| Guarded { why, at: Some(at) });
    let guarded = now.or_else(earlier);
    let circumstances = Circumstances {
        error: table.and_then(|table| table.error.as_deref()),
        guarded: guarded.as_ref(),
        notes: table.map_or(&[][..], |table| &table.notes),
        later: later.map(|later| later.message.as_str()),
        apart: remembered.apart.as_deref(),
        is_coupled: remembered.coupling.is_some(),
        unpartnered: sight.and_then(|sight| sight.unpartnered.of(side).get(&id)).map(String::as_str),
    };
    let verdict = verdict(map, side, &circumstances, &waits, &actions, &places, &searches);
    let mut names = report.names;
    names.extend(sight.into_iter().flat_map(|sight| sight.names.clone()));
    let Remembered { coupling, apart, writes, .. } = remembered;
    Why {
        table: map.name.clone(),
        record,
        verdict,
        places,
        coupling,
        rule,
        apart,
        guarded,
        fields,
        searches,
        actions,
        waits,
        writes,
        names,
    }
}

fn is_same(one: &InboxItem, other: &InboxItem) -> bool {
    let about = |item: &InboxItem| (item.kind, item.erp_id, item.crm_id, item.field.clone());
    about(one) == about(other)
}

/// Tells whether what failed before for a reference still hangs on the record that it leads to: one that the next run makes,
/// and that its side refused before. What the side says this time, no plan knows.
fn hangs(map: &TableMap, report: &RunReport, actions: &[Action], item: &InboxItem) -> bool {
    let is_refused = |id: Uuid| {
        let made = report
            .plan
            .tables
            .iter()
            .flat_map(|table| &table.actions)
            .find(|action| action.kind.makes_record() && *action.ids.of(action.side) == id);
        made.is_some_and(|made| {
            let source = Some(*made.ids.of(made.side.other()));
            report.inbox.iter().any(|item| {
                let about = if made.side == Side::Crm { item.erp_id } else { item.crm_id };
                item.table == made.table && item.kind == InboxKind::Failed && about == source
            })
        })
    };
    let leads = |value: &Value| match value {
        Value::Guid(id) | Value::Link { id, .. } => Some(*id),
        _ => None,
    };
    let field = map.fields.iter().position(|field| Some(field.name()) == item.field.as_deref());
    let changes = actions.iter().flat_map(|action| &action.fields);
    item.kind == InboxKind::Failed
        && field.is_some()
        && changes.filter(|change| change.field == field).filter_map(|change| leads(&change.new)).any(is_refused)
}

/// Returns the columns that a match rule compares.
fn rule_columns(map: &TableMap, rule: usize) -> Option<String> {
    let rule = map.match_rules.get(rule.checked_sub(1)?)?;
    Some(rule.by.iter().map(|(erp, crm)| format!("{erp} = {crm}")).collect::<Vec<_>>().join(" and "))
}

/// Names a record by its ERP label, else its CRM label, else its id.
fn named(map: &TableMap, places: &PerSide<Place>, side: Side, id: Uuid) -> String {
    match (places.erp.label.as_str(), places.crm.label.as_str(), side) {
        ("", "", Side::Erp) => format!("{}:{id}", map.name),
        ("", "", Side::Crm) => format!("{}:crm:{id}", map.name),
        ("", label, _) => format!("{}:crm:{label}", map.name),
        (label, _, _) => format!("{}:{label}", map.name),
    }
}

fn row_of(sight: Option<&Sight>, side: Side, id: Option<Uuid>) -> Option<(&Frame, usize)> {
    let frame = sight?.rows.of(side);
    Some((frame, *rows_by_id(frame).get(&id?)?))
}

fn place(map: &TableMap, side: Side, id: Option<Uuid>, sight: Option<&Sight>, is_coupled: bool) -> Place {
    let (Some(sight), Some(known)) = (sight, id) else {
        return Place { id, label: String::new(), presence: Presence::Missing };
    };
    let Some((frame, row)) = row_of(Some(sight), side, id) else {
        let presence = match sight.hidden.of(side).get(&known) {
            Some(why) => Presence::Hidden(*why),
            None if is_coupled => Presence::Deleted,
            None => Presence::Missing,
        };
        return Place { id, label: String::new(), presence };
    };
    let label = map.sides.of(side).label.as_ref();
    let label = label.map_or_else(String::new, |label| frame.value(label, row).to_string().trim().to_owned());
    let presence = match sight.undecided.of(side).get(&known) {
        Some(why) => Presence::Undecided(why.to_string()),
        None if sight.inside.of(side).contains(&known) => Presence::Inside,
        None => Presence::Outside(terms(map, side, &frame.take(&[row]))),
    };
    Place { id, label, presence }
}

/// Returns the terms of a side's filter that do not hold for the one record of a frame.
fn terms(map: &TableMap, side: Side, one: &Frame) -> Vec<Term> {
    let Some(filter) = &map.sides.of(side).filter else { return Vec::new() };
    let failing = filter.terms().into_iter().filter(|term| one.rows_where(term).is_ok_and(|held| held.rows.is_empty()));
    let told = |term: Expression| {
        let values = term.columns().iter().map(|column| (column.clone(), one.value(column, 0).to_string()));
        Term { text: term.written().to_owned(), values: values.collect() }
    };
    failing.map(told).collect()
}

fn field_why(
    map: &TableMap,
    field: &FieldMap,
    judged: Option<&Judged>,
    ids: &PerSide<Option<Uuid>>,
    sight: Option<&Sight>,
    base: Option<&PerSide<String>>,
) -> FieldWhy {
    let (decision, reason) = match judged {
        Some(judged) => decided(map, field, judged),
        None => (Decision::NotCompared, String::new()),
    };
    let cell = |side: Side| {
        let (frame, row) = row_of(sight, side, *ids.of(side))?;
        Some((frame, field.column(side)?, row))
    };
    let held = |side: Side| cell(side).filter(|(frame, column, row)| !frame.lacks(column, *row));
    let held = |side: Side| held(side).map(|(frame, column, row)| frame.value(column, row));
    let unreadable = |side: Side| {
        let (frame, column, row) = cell(side)?;
        let why = frame.unreadable(frame.id(row)).filter(|_| frame.lacks(column, row))?;
        // What came is known of the first column only.
        let is_first = why.columns.first().is_some_and(|first| first == column);
        Some(if is_first { why.why.clone() } else { String::new() })
    };
    let values = judged.map_or_else(|| PerSide::from_fn(held), |judged| judged.own.clone());
    let translated = PerSide::from_fn(|to| {
        let value = judged?.arriving.of(to).as_ref()?.as_ref().ok()?;
        let source = values.of(to.other()).as_ref().map(Value::to_string).unwrap_or_default();
        (value.to_string() != source).then(|| value.clone())
    });
    FieldWhy {
        name: field.name().to_owned(),
        columns: PerSide { erp: field.erp.clone(), crm: field.crm.clone() },
        direction: field.direction,
        values,
        unreadable: PerSide::from_fn(unreadable),
        translated,
        base: base.cloned(),
        decision,
        reason,
    }
}

/// Says what a verdict means, and why it was given.
fn decided(map: &TableMap, field: &FieldMap, judged: &Judged) -> (Decision, String) {
    let rule = Rule::of(map, field);
    match judged.verdict {
        merge::Verdict::Equal => (Decision::Equal, String::new()),
        merge::Verdict::Known => (Decision::Known, known(&rule, judged).to_owned()),
        merge::Verdict::Wait => {
            let problem = Side::BOTH.iter().find_map(|to| judged.arriving.of(*to).as_ref()?.as_ref().err());
            (Decision::Waits, problem.map_or_else(String::new, ToString::to_string))
        }
        merge::Verdict::Illegible(to) => {
            let problem = judged.arriving.of(to).as_ref().and_then(|value| value.as_ref().err());
            (Decision::Waits, problem.map_or_else(String::new, ToString::to_string))
        }
        merge::Verdict::Write(to, _) if field.column(to.other()).is_none() => {
            (Decision::Goes(to), "a constant of the file".to_owned())
        }
        merge::Verdict::Write(to, why) => (Decision::Goes(to), why.to_string()),
        merge::Verdict::Put(on) => (Decision::GoesToBoth, merge::Why::Decided(on).to_string()),
        merge::Verdict::Contested(standoff) => (Decision::Contested, standoff.to_string()),
        merge::Verdict::Unfilled => (Decision::Contested, merge::unfilled(judged.facts.base.is_some()).to_owned()),
        merge::Verdict::Drifted => {
            (Decision::Drifted, "changed on the side that does not own it, and `drift` leaves it there".to_owned())
        }
        merge::Verdict::Fail(to) => {
            let problem = judged.arriving.of(to).as_ref().and_then(|value| value.as_ref().err());
            (Decision::Fails(to), problem.map_or_else(|| "no value".to_owned(), ToString::to_string))
        }
    }
}

/// Says why a difference stays, in the order in which [`merge::merge`] asks.
fn known(rule: &Rule, judged: &Judged) -> &'static str {
    let writes = rule.writes;
    let settled = judged.facts.base == Some(judged.facts.settled(rule));
    match (rule.when, writes.erp || writes.crm) {
        (When::Create, _) => "only for new records (`when: create`)",
        (_, false) => "nothing travels in this direction",
        _ if settled => "as it was when the pair was last settled",
        _ if rule.blank == Blank::Keep => "a blank stays where it is (`blank: keep`)",
        _ => "there is nothing to send",
    }
}
