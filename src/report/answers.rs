//! What people answered to the inbox: what was taken, what is decided and waits for the next run, and what is kept apart.

use serde::Serialize;

use crate::config::Side;
use crate::report::document;
use crate::report::layout::{count, plural, quoted};
use crate::store::pairs::{Decisions, Items};
use crate::store::{Apart, Decided, Decision, InboxItem, Reply};

/// What people answered, and the next run acts on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answered {
    /// Those that are due.
    pub decisions: Vec<Decision>,
    /// Those that wait until what hindered the last run has ended; what they are about waits for a person, too.
    pub unmet: Vec<Decision>,
    /// What was skipped, and somebody wants sent again.
    pub retried: Vec<InboxItem>,
}

/// The same, found by what it is about.
pub struct Known<'a> {
    decisions: Decisions<'a>,
    unmet: Decisions<'a>,
    retried: Items<'a>,
}

impl Answered {
    /// Looks all of it up by what it is about.
    pub fn known(&self) -> Known<'_> {
        Known {
            decisions: Decisions::new(&self.decisions),
            unmet: Decisions::new(&self.unmet),
            retried: Items::new(&self.retried),
        }
    }

    /// Returns all answers as JSON shows them.
    pub fn documents(&self) -> Vec<DecisionDocument<'_>> {
        let decisions = self.decisions.iter().chain(&self.unmet);
        decisions.map(decision_document).chain(self.retried.iter().map(retry_document)).collect()
    }

    /// Returns the answers to these items, in their order.
    pub fn to(&self, items: &[InboxItem]) -> Answered {
        let (known, items_known) = (self.known(), Items::new(items));
        Answered {
            decisions: items.iter().filter_map(|item| known.decisions.about(item)).cloned().collect(),
            unmet: self.unmet.iter().filter(|unmet| items_known.decided(unmet).is_some()).cloned().collect(),
            retried: self.retried.iter().filter(|item| items_known.contains(item)).cloned().collect(),
        }
    }

    /// Returns the table map of each answer that the next run is expected to act on.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        let retried = self.retried.iter().map(|item| item.table.as_str());
        self.decisions.iter().map(|decision| decision.table.as_str()).chain(retried)
    }
}

impl<'a> Known<'a> {
    /// Tells whether somebody answered to an item.
    pub fn covers(&self, item: &InboxItem) -> bool {
        self.decisions.about(item).is_some() || self.retried.contains(item)
    }

    /// Returns the answer to an item as JSON shows it.
    pub fn document(&self, item: &'a InboxItem) -> Option<DecisionDocument<'a>> {
        let retried = || self.retried.contains(item).then(|| retry_document(item));
        let decision = self.decisions.about(item).or_else(|| self.unmet.about(item));
        decision.map(decision_document).or_else(retried)
    }
}

/// Says what the next run makes of a decision.
fn outlook(decision: &Decision) -> String {
    let values = &decision.values;
    match &decision.verdict {
        Decided::Take(side) => {
            let (value, old) = (values.of(*side), values.of(side.other()));
            format!("{} goes to the {} in place of {}", quoted(value), side.other().name(), quoted(old))
        }
        Decided::Value(value) => format!("{} goes to both sides", quoted(value)),
        Decided::Restore => "the deleted record is made anew".to_owned(),
        Decided::Delete => "the record that is left is deleted too, unless it is edited before".to_owned(),
    }
}

fn subject(decision: &Decision) -> String {
    match decision.field_name() {
        Some(field) => format!("{} {field}", decision.record),
        None => decision.record.clone(),
    }
}

/// Returns what is decided and waits for the next run, under a heading.
pub fn section(answered: &Answered) -> Vec<String> {
    let number = answered.tables().count() as u64;
    if number == 0 {
        return Vec::new();
    }
    let mut lines = vec![format!("decided, for the next run: {}", count(number))];
    lines.extend(answered.decisions.iter().map(|decision| {
        format!("  {}: {} since {}; {}", subject(decision), decision.verdict, decision.at, outlook(decision))
    }));
    lines.extend(answered.retried.iter().map(|item| format!("  {}: retry; its side is sent it again", item.record)));
    lines
}

/// Returns the decision about the same that an answer takes the place of, and that says something else.
fn replaced<'a>(reply: &Reply, earlier: &Decisions<'a>) -> Option<&'a Decision> {
    let Reply::Decide(decision) = reply else { return None };
    earlier.same(decision).filter(|other| other.verdict != decision.verdict)
}

/// Says of each answer what the next run makes of it, and what was decided before; `earlier` stood before the answers.
pub fn text(replies: &[Reply], earlier: &[Decision]) -> String {
    if replies.is_empty() {
        return "nothing was decided\n".to_owned();
    }
    let earlier = Decisions::new(earlier);
    let line = |reply: &Reply| match reply {
        Reply::Decide(decision) => {
            let before = replaced(reply, &earlier);
            let before = before.map(|old| format!(" (in place of {} of {})", old.verdict, old.at)).unwrap_or_default();
            format!("{}: {}{before}; with the next run {}", subject(decision), decision.verdict, outlook(decision))
        }
        Reply::Withdraw(decision) => {
            let Decision { verdict, at, .. } = decision;
            format!("{}: {verdict} of {at} is withdrawn; it waits for a person again", subject(decision))
        }
        Reply::Retry { record, .. } => format!("{record}: the next run sends it again"),
        Reply::Part { record, .. } => format!("{record}: uncoupled; the two are kept apart from now on"),
    };
    replies.iter().map(|reply| line(reply) + "\n").collect()
}

#[derive(Serialize)]
struct AnsweredDocument<'a> {
    answered: Vec<AnswerDocument<'a>>,
}

#[derive(Serialize)]
struct AnswerDocument<'a> {
    table: &'a str,
    record: &'a str,
    field: Option<&'a str>,
    decision: String,
    /// What was decided about it before; absent where nothing else was.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<String>,
}

/// Says the same for programs.
pub fn json(replies: &[Reply], earlier: &[Decision]) -> String {
    let earlier = Decisions::new(earlier);
    let answered = replies.iter().map(|reply| AnswerDocument {
        replaces: replaced(reply, &earlier).map(|old| old.verdict.to_string()),
        ..answer_document(reply)
    });
    document(&AnsweredDocument { answered: answered.collect() })
}

fn answer_document(reply: &Reply) -> AnswerDocument<'_> {
    let replaces = None;
    match reply {
        Reply::Decide(decision) => {
            let Decision { table, record, verdict, .. } = decision;
            AnswerDocument { table, record, field: decision.field_name(), decision: verdict.to_string(), replaces }
        }
        Reply::Withdraw(decision) => {
            let Decision { table, record, .. } = decision;
            AnswerDocument { table, record, field: decision.field_name(), decision: "withdraw".to_owned(), replaces }
        }
        Reply::Retry { table, record, .. } => {
            AnswerDocument { table, record, field: None, decision: "retry".to_owned(), replaces }
        }
        Reply::Part { table, record, .. } => {
            AnswerDocument { table, record, field: None, decision: "uncouple".to_owned(), replaces }
        }
    }
}

/// Says where the inbox was written to.
pub fn exported_text(file: &str, items: u64) -> String {
    format!("{} written to {file}; fill in `decision` and import it\n", plural(items, "item", "items"))
}

#[derive(Serialize)]
struct ExportedDocument<'a> {
    file: &'a str,
    items: u64,
}

/// Says the same for programs.
pub fn exported_json(file: &str, items: u64) -> String {
    document(&ExportedDocument { file, items })
}

/// A decision in JSON.
#[derive(Serialize)]
pub struct DecisionDocument<'a> {
    table: &'a str,
    record: &'a str,
    field: Option<&'a str>,
    decision: String,
    erp: Option<&'a str>,
    crm: Option<&'a str>,
    /// Null for `retry`, of which no more is kept than that it is wanted.
    at: Option<&'a str>,
    /// A run could not carry it out; the message of the item says what hinders it.
    unmet: bool,
}

/// Returns a decision as JSON shows it.
fn decision_document(decision: &Decision) -> DecisionDocument<'_> {
    let field = decision.field_name();
    let value = |side: Side| field.map(|_| decision.values.of(side).as_str());
    DecisionDocument {
        table: &decision.table,
        record: &decision.record,
        field,
        decision: decision.verdict.to_string(),
        erp: value(Side::Erp),
        crm: value(Side::Crm),
        at: Some(&decision.at),
        unmet: decision.unmet.is_some(),
    }
}

fn retry_document(item: &InboxItem) -> DecisionDocument<'_> {
    let InboxItem { table, record, .. } = item;
    DecisionDocument {
        table,
        record,
        field: None,
        decision: "retry".to_owned(),
        erp: None,
        crm: None,
        at: None,
        unmet: false,
    }
}

/// Returns the records that are kept apart, for people.
pub fn apart_text(apart: &[Apart]) -> String {
    let mut lines = match apart.len() as u64 {
        0 => vec!["no record is kept apart".to_owned()],
        number => vec![format!("kept apart, neither matched nor created anew: {}", count(number))],
    };
    lines.extend(apart.iter().map(|apart| {
        let Apart { table, side, id, record, since } = apart;
        let name = record.as_ref().map(|record| format!("{record}, ")).unwrap_or_default();
        format!("  {table}: {name}{} {id}, since {since}", side.name())
    }));
    lines.join("\n") + "\n"
}

#[derive(Serialize)]
struct ApartDocument<'a> {
    apart: Vec<ApartRecord<'a>>,
}

#[derive(Serialize)]
struct ApartRecord<'a> {
    table: &'a str,
    record: Option<&'a str>,
    side: &'static str,
    id: String,
    since: &'a str,
}

/// Returns the same for programs.
pub fn apart_json(apart: &[Apart]) -> String {
    document(&ApartDocument { apart: apart.iter().map(apart_record).collect() })
}

fn apart_record(Apart { table, side, id, record, since }: &Apart) -> ApartRecord<'_> {
    ApartRecord { table, record: record.as_deref(), side: side.key(), id: id.to_string(), since }
}
