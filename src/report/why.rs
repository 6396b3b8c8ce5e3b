//! One record explained, as text and as one JSON object.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::address::Address;
use crate::config::{Direction, PerSide, Side};
use crate::endpoint::Hidden;
use crate::frame::Value;
use crate::report::history::{self, WriteDocument};
use crate::report::inbox::{self, ItemDocument};
use crate::report::layout::{columns, named, plural, quoted};
use crate::report::plan::{self, ActionDocument};
use crate::report::{document, json_value};
use crate::run::sight::{Found, Search};
use crate::store::Origin;
use crate::why::verdict::Kind;
use crate::why::{Decision, FieldWhy, Guarded, Place, Presence, Term, Why};

/// Returns the explanation for people; it ends with a line end.
pub fn text(why: &Why) -> String {
    let Why { record, verdict, .. } = why;
    let mut lines = vec![match verdict.message.starts_with(record.as_str()) {
        true => verdict.message.clone(),
        false => format!("{record}: {}", verdict.message),
    }];
    lines.extend(why.waits.first().map(|item| match item.since.as_str() {
        "" => "  no run has raised it yet".to_owned(),
        since => format!("  since {since}, in {}", plural(u64::from(item.attempts), "run", "runs")),
    }));
    let mut part = |heading: &str, told: Vec<String>| {
        if !told.is_empty() {
            lines.push(String::new());
            lines.push(heading.to_owned());
            lines.extend(told.into_iter().map(|line| format!("  {line}")));
        }
    };
    part("where it is:", Side::BOTH.iter().flat_map(|side| place_lines(*side, why.places.of(*side))).collect());
    part("coupling:", coupling_lines(why));
    part("match rules:", why.searches.iter().map(search_line).collect());
    let rows: Vec<Vec<String>> = why.fields.iter().map(|field| field_row(why, field)).collect();
    part("fields:", columns(&rows, 3));
    // A verdict that the guard gives says so already.
    let guarded = why.guarded.iter().filter(|_| verdict.kind != Kind::Guarded);
    let stopped = |Guarded { why, at }: &Guarded| match at {
        Some(at) => format!("the guard stopped the one of {at}: {why}"),
        None => format!("the guard stops it: {why}"),
    };
    let mut next: Vec<String> = guarded.map(stopped).collect();
    let without = if why.guarded.is_some() { "without its guard: " } else { "" };
    next.extend(why.actions.iter().flat_map(|action| {
        let mut lines = plan::action_lines(&why.names, action);
        lines[0].insert_str(0, without);
        lines
    }));
    if next.is_empty() {
        next.push("writes nothing of it".to_owned());
    }
    part("the next run:", next);
    if !why.waits.is_empty() {
        lines.push(String::new());
        lines.extend(inbox::whole(&why.waits));
        lines.extend(inbox::modified(&why.waits));
    }
    if !why.writes.is_empty() {
        lines.push(String::new());
        lines.push("last writes, newest first:".to_owned());
        lines.extend(why.writes.iter().flat_map(history::dated_lines));
    }
    lines.join("\n") + "\n"
}

fn place_lines(side: Side, place: &Place) -> Vec<String> {
    let name = match (&place.id, place.label.as_str()) {
        (None, _) => String::new(),
        (Some(id), "") => format!(" {id}"),
        (Some(id), label) => format!(" {label} ({id})"),
    };
    let side = side.name();
    match &place.presence {
        Presence::Inside => vec![format!("{side}{name}: inside the filter")],
        Presence::Outside(terms) => {
            let mut lines = vec![format!("{side}{name}: outside the filter, of which does not hold:")];
            lines.extend(terms.iter().map(|term| format!("  {}", term_line(term))));
            lines
        }
        Presence::Undecided(why) => vec![format!("{side}{name}: left alone, {why}")],
        Presence::Hidden(why) => vec![format!("{side}{name}: {}", unseen(*why))],
        Presence::Deleted => vec![format!("{side}{name}: not there any more")],
        Presence::Missing => vec![format!("{side}: no partner")],
    }
}

fn unseen(why: Hidden) -> &'static str {
    match why {
        Hidden::Forbidden => "the login may not read it",
        Hidden::Untold => "whether it is still there cannot be told",
    }
}

fn term_line(term: &Term) -> String {
    let values: Vec<String> =
        term.values.iter().map(|(column, value)| format!("{column} is {}", quoted(value))).collect();
    format!("{} ({})", term.text, values.join(", "))
}

fn coupling_lines(why: &Why) -> Vec<String> {
    let mut lines = Vec::new();
    match (&why.coupling, &why.rule) {
        (Some(coupling), rule) => {
            let how = how(&coupling.origin);
            let rule = rule.as_ref().map(|rule| format!(" ({rule})")).unwrap_or_default();
            let settled = coupling
                .settled_at
                .as_ref()
                .map_or_else(|| "; never settled yet".to_owned(), |settled| format!("; last settled {settled}"));
            lines.push(format!("since {} {how}{rule}{settled}", coupling.coupled_at));
        }
        (None, Some(rule)) => lines.push(format!("none yet; the next run couples it by {rule}")),
        (None, None) => lines.push("none".to_owned()),
    }
    lines.extend(why.apart.iter().map(|since| format!("kept apart since {since}")));
    lines
}

/// Says how a coupling came about.
fn how(origin: &Origin) -> String {
    match origin {
        Origin::Matched(rule) => format!("by match rule {rule}"),
        Origin::Created(side) => format!("by making the record in the {}", side.name()),
        Origin::Hand => "by hand".to_owned(),
    }
}

fn search_line(search: &Search) -> String {
    let values: Vec<String> =
        search.values.iter().map(|(erp, crm, value)| format!("{erp} = {crm} {}", quoted(value))).collect();
    let found: Vec<String> = search.found.iter().map(|found| found_text(search, found)).collect();
    let blank = search.values.iter().any(|(_, _, value)| value.trim().is_empty());
    let found = match (found.is_empty(), blank) {
        (true, true) => "finds nothing, as a blank matches nobody".to_owned(),
        (true, false) => "finds nothing".to_owned(),
        (false, _) => format!("finds {}", found.join(", ")),
    };
    format!("{}: {}: {found}", search.rule, values.join(" and "))
}

fn found_text(search: &Search, found: &Found) -> String {
    let mut marks = Vec::new();
    if found.side == search.side {
        marks.push(format!("of the {} as well", found.side.name()));
    }
    if !found.inside {
        marks.push("outside the filter".to_owned());
    }
    if let Some(partner) = &found.partner {
        marks.push(format!("already coupled with {partner}"));
    }
    if let Some(rule) = found.told_apart {
        marks.push(format!("another one, as rule {rule} has a value for both and they differ"));
    }
    if marks.is_empty() { found.record.clone() } else { format!("{} ({})", found.record, marks.join(", ")) }
}

/// Returns name, decision and values of a field.
fn field_row(why: &Why, field: &FieldWhy) -> Vec<String> {
    let arrow = match field.direction {
        Some(Direction::ToCrm) => "→",
        Some(Direction::ToErp) => "←",
        Some(Direction::Both) => "↔",
        None => "|",
    };
    let column = |side: Side| field.columns.of(side).as_deref().unwrap_or("constant");
    let name = format!("{} {arrow} {}", column(Side::Erp), column(Side::Crm));
    let decision = match field.decision {
        Decision::NotCompared => "not compared".to_owned(),
        Decision::Equal => "equal".to_owned(),
        Decision::Known => "stays".to_owned(),
        Decision::Goes(side) => format!("goes to the {}", side.name()),
        Decision::GoesToBoth => "goes to both sides".to_owned(),
        Decision::Contested => "contested".to_owned(),
        Decision::Drifted => "drifted".to_owned(),
        Decision::Waits => "waits".to_owned(),
        Decision::Fails(side) => format!("cannot go to the {}", side.name()),
    };
    let texts = PerSide::from_fn(|side| field.values.of(side).as_ref().map(|value| named(&why.names, value)));
    let mut told = Vec::new();
    if texts.erp.is_some() && texts.erp == texts.crm {
        told.extend(texts.erp.map(|text| format!("both {text}")));
        return vec![name, decision, joined(&field.reason, &told)];
    }
    for side in Side::BOTH {
        if let Some(why) = field.unreadable.of(side) {
            let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
            told.push(format!("{} cannot be read{why}", side.name()));
        }
        let Some(value) = field.values.of(side) else { continue };
        // Where both are equal, the other side's value says it.
        let there = field.translated.of(side.other()).as_ref().filter(|_| field.decision != Decision::Equal);
        let there = there.map(|there| format!(" (in the {} {})", side.other().name(), named(&why.names, there)));
        told.push(format!("{} {}{}", side.name(), named(&why.names, value), there.unwrap_or_default()));
    }
    if let (Some(base), false) = (&field.base, field.decision == Decision::Equal) {
        told.push(match base.erp == base.crm {
            true => format!("before {}", quoted(&base.erp)),
            false => format!("before ERP {}, CRM {}", quoted(&base.erp), quoted(&base.crm)),
        });
    }
    vec![name, decision, joined(&field.reason, &told)]
}

fn joined(reason: &str, values: &[String]) -> String {
    let values = values.join(", ");
    let parts = [reason, &values];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

#[derive(Serialize)]
struct Document<'a> {
    table: &'a str,
    record: &'a str,
    verdict: &'static str,
    message: &'a str,
    erp: PlaceDocument<'a>,
    crm: PlaceDocument<'a>,
    coupling: Option<CouplingDocument<'a>>,
    kept_apart: Option<&'a str>,
    /// Why the guard stops the table map, or stopped it in the last run.
    guarded: Option<&'a str>,
    /// When the run began that its numbers are of; absent where it stops the record by itself, now.
    #[serde(skip_serializing_if = "Option::is_none")]
    guarded_at: Option<&'a str>,
    #[serde(rename = "match")]
    searches: Vec<SearchDocument<'a>>,
    fields: Vec<FieldDocument<'a>>,
    actions: Vec<ActionDocument<'a>>,
    waits: Vec<ItemDocument<'a>>,
    writes: Vec<WriteDocument<'a>>,
}

#[derive(Serialize)]
struct PlaceDocument<'a> {
    id: Option<String>,
    label: Option<&'a str>,
    /// `inside`, `outside`, `undecided`, `hidden`, `deleted` or `missing`.
    place: &'static str,
    /// The terms of the filter that do not hold, with the values that they read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    filter: Vec<TermDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

#[derive(Serialize)]
struct TermDocument<'a> {
    term: &'a str,
    values: serde_json::Map<String, serde_json::Value>,
}

#[derive(Serialize)]
struct CouplingDocument<'a> {
    how: String,
    rule: Option<&'a str>,
    coupled: &'a str,
    settled: Option<&'a str>,
}

#[derive(Serialize)]
struct SearchDocument<'a> {
    rule: usize,
    values: Vec<ComparedDocument<'a>>,
    found: Vec<FoundDocument<'a>>,
}

#[derive(Serialize)]
struct ComparedDocument<'a> {
    erp: &'a str,
    crm: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
struct FoundDocument<'a> {
    record: &'a str,
    side: &'static str,
    id: String,
    inside: bool,
    partner: Option<&'a str>,
    /// An earlier rule that tells the two apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    told_apart: Option<usize>,
}

#[derive(Serialize)]
struct FieldDocument<'a> {
    field: &'a str,
    direction: Option<&'static str>,
    erp: ValueDocument<'a>,
    crm: ValueDocument<'a>,
    base: Option<BaseDocument<'a>>,
    decision: &'static str,
    reason: &'a str,
}

#[derive(Serialize)]
struct ValueDocument<'a> {
    column: Option<&'a str>,
    value: Option<Box<RawValue>>,
    /// What it would be on the other side, where it reads otherwise there.
    #[serde(skip_serializing_if = "Option::is_none")]
    there: Option<Box<RawValue>>,
    /// The record that it points to.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<&'a str>,
    /// Why the value cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<&'a str>,
}

#[derive(Serialize)]
struct BaseDocument<'a> {
    erp: &'a str,
    crm: &'a str,
}

/// Returns the explanation for programs.
pub fn json(why: &Why) -> String {
    document(&Document {
        table: &why.table,
        record: &why.record,
        verdict: why.verdict.kind.key(),
        message: &why.verdict.message,
        erp: place_document(&why.places.erp),
        crm: place_document(&why.places.crm),
        coupling: why.coupling.as_ref().map(|coupling| CouplingDocument {
            how: how(&coupling.origin),
            rule: why.rule.as_deref(),
            coupled: &coupling.coupled_at,
            settled: coupling.settled_at.as_deref(),
        }),
        kept_apart: why.apart.as_deref(),
        guarded: why.guarded.as_ref().map(|guarded| guarded.why.as_str()),
        guarded_at: why.guarded.as_ref().and_then(|guarded| guarded.at.as_deref()),
        searches: why.searches.iter().map(search_document).collect(),
        fields: why.fields.iter().map(|field| field_document(why, field)).collect(),
        actions: why.actions.iter().map(plan::action_document).collect(),
        waits: why.waits.iter().map(inbox::item_document).collect(),
        writes: why.writes.iter().map(history::write_document).collect(),
    })
}

fn place_document(place: &Place) -> PlaceDocument<'_> {
    let (key, terms, message) = match &place.presence {
        Presence::Inside => ("inside", &[][..], None),
        Presence::Outside(terms) => ("outside", &terms[..], None),
        Presence::Undecided(why) => ("undecided", &[][..], Some(why.as_str())),
        Presence::Hidden(why) => ("hidden", &[][..], Some(unseen(*why))),
        Presence::Deleted => ("deleted", &[][..], None),
        Presence::Missing => ("missing", &[][..], None),
    };
    let term =
        |term: &'_ Term| term.values.iter().map(|(column, value)| (column.clone(), value.clone().into())).collect();
    PlaceDocument {
        id: place.id.map(|id| id.to_string()),
        label: Some(place.label.as_str()).filter(|label| !label.is_empty()),
        place: key,
        filter: terms.iter().map(|known| TermDocument { term: &known.text, values: term(known) }).collect(),
        message,
    }
}

fn search_document(search: &Search) -> SearchDocument<'_> {
    SearchDocument {
        rule: search.rule,
        values: search.values.iter().map(|(erp, crm, value)| ComparedDocument { erp, crm, value }).collect(),
        found: search
            .found
            .iter()
            .map(|found| FoundDocument {
                record: &found.record,
                side: found.side.key(),
                id: found.id.to_string(),
                inside: found.inside,
                partner: found.partner.as_deref(),
                told_apart: found.told_apart,
            })
            .collect(),
    }
}

fn field_document<'a>(why: &'a Why, field: &'a FieldWhy) -> FieldDocument<'a> {
    let value = |side: Side| {
        let value = field.values.of(side).as_ref();
        let record = match value {
            Some(Value::Guid(id) | Value::Link { id, .. }) => why.names.get(id).map(String::as_str),
            _ => None,
        };
        ValueDocument {
            column: field.columns.of(side).as_deref(),
            value: value.map(json_value),
            there: field.translated.of(side.other()).as_ref().map(json_value),
            record,
            unreadable: field.unreadable.of(side).as_deref(),
        }
    };
    FieldDocument {
        field: &field.name,
        direction: field.direction.map(Direction::key),
        erp: value(Side::Erp),
        crm: value(Side::Crm),
        base: field.base.as_ref().map(|base| BaseDocument { erp: &base.erp, crm: &base.crm }),
        decision: field.decision.key(),
        reason: &field.reason,
    }
}

/// Says that there is no such record, and which bear a similar name; each by what `why` takes.
pub fn nobody_text(address: &Address, message: &str, hint: &str, similar: &PerSide<Vec<String>>) -> String {
    let mut lines = vec![message.to_owned()];
    for side in Side::BOTH {
        let prefix = if side == Side::Crm { "crm:" } else { "" };
        let names: Vec<String> =
            similar.of(side).iter().map(|label| format!("{}:{prefix}{label}", address.table)).collect();
        if !names.is_empty() {
            lines.push(format!("  similar in the {}: {}", side.name(), names.join(", ")));
        }
    }
    if lines.len() == 1 {
        lines.push(format!("  no name on either side is like it; {hint}"));
    }
    lines.join("\n") + "\n"
}

#[derive(Serialize)]
struct NobodyDocument<'a> {
    table: &'a str,
    record: String,
    verdict: &'static str,
    message: &'a str,
    hint: &'a str,
    similar: SimilarDocument<'a>,
}

#[derive(Serialize)]
struct SimilarDocument<'a> {
    erp: &'a [String],
    crm: &'a [String],
}

/// Says the same for programs.
pub fn nobody_json(address: &Address, message: &str, hint: &str, similar: &PerSide<Vec<String>>) -> String {
    document(&NobodyDocument {
        table: &address.table,
        record: address.to_string(),
        verdict: "no_record",
        message,
        hint,
        similar: SimilarDocument { erp: &similar.erp, crm: &similar.crm },
    })
}
