//! What waits for a person, as lines under table and kind and as the JSON of design §5.
//!
//! Runs, plans and the state all show the inbox; they differ in how much of it and under which heading.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Serialize;

use crate::config::Side;
use crate::delta::decided::told;
use crate::report::answers::{self, Answered, DecisionDocument, Known};
use crate::report::document;
use crate::report::layout::{count, plural, quoted};
use crate::store::{Background, Cure, DECIDED_BY, InboxItem, InboxKind};

/// Every kind, in the order in which they are told.
pub const KINDS: [InboxKind; 5] = InboxKind::ALL;

/// Items that a text shows where there are more.
const LINES_MAX: usize = 20;

/// What to do about a value that a person gave and a side cannot take; the command follows.
pub const ANOTHER_VALUE: &str = "decide on another value";

/// Items of one table and kind that fail for the like reason and are shown where the list is cut.
const ALIKE_MAX: usize = 3;

/// One item of the inbox in JSON.
#[derive(Serialize)]
pub struct ItemDocument<'a> {
    table: &'a str,
    record: &'a str,
    kind: &'static str,
    field: Option<&'a str>,
    base: Option<&'a str>,
    erp: Option<&'a str>,
    crm: Option<&'a str>,
    message: Cow<'a, str>,
    /// Null for what was only planned: no run has raised it yet.
    since: Option<&'a str>,
    attempts: u32,
    /// The record that the CRM's value leads to.
    crm_record: Option<&'a str>,
    /// Of a contested field, when the records were last modified, whichever field it was, and by whom.
    erp_modified: Option<&'a str>,
    crm_modified: Option<&'a str>,
    crm_modified_by: Option<&'a str>,
}

/// Returns an item as JSON shows it.
pub fn item_document(item: &InboxItem) -> ItemDocument<'_> {
    ItemDocument {
        table: &item.table,
        record: &item.record,
        kind: item.kind.key(),
        field: item.field.as_deref(),
        base: item.base.as_deref(),
        erp: item.erp.as_deref(),
        crm: item.crm.as_deref(),
        message: told(item),
        since: Some(item.since.as_str()).filter(|since| !since.is_empty()),
        attempts: item.attempts,
        crm_record: item.background.crm_record.as_deref(),
        erp_modified: item.background.modified.erp.as_deref(),
        crm_modified: item.background.modified.crm.as_deref(),
        crm_modified_by: item.background.crm_modified_by.as_deref(),
    }
}

/// What waits in one table map for one kind of answer.
struct Group<'a> {
    table: &'a str,
    kind: InboxKind,
    items: Vec<&'a InboxItem>,
    /// How many of the items are shown.
    shown: usize,
}

/// Groups items by table, in the order in which tables first appear, and by kind; shows of each as many as of the
/// others, as far as there are that many.
fn groups(items: &[InboxItem], items_max: usize) -> Vec<Group<'_>> {
    let mut tables: Vec<&str> = Vec::new();
    for item in items {
        if !tables.contains(&item.table.as_str()) {
            tables.push(&item.table);
        }
    }
    let mut groups: Vec<Group<'_>> = tables
        .iter()
        .flat_map(|table| KINDS.map(|kind| (*table, kind)))
        .map(|(table, kind)| {
            let items = items.iter().filter(|item| item.table == table && item.kind == kind).collect();
            Group { table, kind, items, shown: 0 }
        })
        .filter(|group| !group.items.is_empty())
        .collect();
    let cut = items.len() > items_max;
    let offered: Vec<usize> =
        groups.iter_mut().map(|group| if cut { telling_first(group) } else { group.items.len() }).collect();
    let mut left = items_max.min(offered.iter().sum());
    while left > 0 {
        for (group, _) in groups.iter_mut().zip(&offered).filter(|(group, offered)| group.shown < **offered) {
            if left > 0 {
                group.shown += 1;
                left -= 1;
            }
        }
    }
    groups
}

/// Puts a few failures of each reason first, so that one reason does not fill the list; returns how many those are.
fn telling_first(group: &mut Group<'_>) -> usize {
    if group.kind != InboxKind::Failed {
        return group.items.len();
    }
    // What differs between failures for a like reason are numbers and keys.
    let reason = |item: &InboxItem| {
        let message = told(item);
        let message = message.strip_prefix(&item.record).unwrap_or(&message);
        let words = message.split(' ').filter(|word| !word.contains(|letter: char| letter.is_ascii_digit()));
        words.collect::<Vec<_>>().join(" ")
    };
    let mut seen: HashMap<String, usize> = HashMap::new();
    let (mut first, mut alike) = (Vec::new(), Vec::new());
    for item in std::mem::take(&mut group.items) {
        let times = seen.entry(reason(item)).or_default();
        *times += 1;
        if *times <= ALIKE_MAX { &mut first } else { &mut alike }.push(item);
    }
    let offered = first.len();
    group.items = first;
    group.items.append(&mut alike);
    offered
}

/// Returns what waits under a heading, and what to do about it: some of each table and kind, where there is much.
pub fn section(items: &[InboxItem]) -> Vec<String> {
    part(items, LINES_MAX)
}

/// Returns all that waits under a heading, and what to do about it.
pub fn whole(items: &[InboxItem]) -> Vec<String> {
    part(items, items.len())
}

fn part(items: &[InboxItem], items_max: usize) -> Vec<String> {
    if items.is_empty() {
        return Vec::new();
    }
    let number = count(items.len() as u64);
    let shown: usize = groups(items, items_max).iter().map(|group| group.shown).sum();
    let cut = items.len() > shown;
    let more = if cut { format!(" ({shown} of them here; `pipeline inbox FILE` lists all)") } else { String::new() };
    let mut part = vec![format!("waiting for a person: {number}{more}")];
    part.extend(lines(items, items_max));
    part.push("what to do:".to_owned());
    part.extend(advice(items, items_max));
    part
}

/// Returns the lines for `items_max` items, some of each table and kind.
fn lines(items: &[InboxItem], items_max: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for Group { table, kind, items, shown } in groups(items, items_max) {
        let number = if shown < items.len() {
            format!(" ({} of {})", count(shown as u64), count(items.len() as u64))
        } else {
            String::new()
        };
        lines.push(format!("  {table}, {}{number}", kind.key()));
        lines.extend(items.iter().take(shown).map(|item| format!("    {}", line(item))));
    }
    lines
}

/// Returns what a person can do about each kind of which [`lines`] shows something, of failures by what they take.
fn advice(items: &[InboxItem], items_max: usize) -> Vec<String> {
    let groups = groups(items, items_max);
    let shown = |kind: InboxKind| {
        let groups = groups.iter().filter(move |group| group.kind == kind);
        groups.flat_map(|group| &group.items[..group.shown])
    };
    KINDS
        .into_iter()
        .filter(|kind| shown(*kind).next().is_some())
        .flat_map(|kind| of_kind(kind, &shown(kind).copied().collect::<Vec<_>>()))
        .collect()
}

fn of_kind(kind: InboxKind, shown: &[&InboxItem]) -> Vec<String> {
    let advice = match kind {
        InboxKind::Contested => {
            "`pipeline inbox FILE resolve TABLE:KEY --field F --take erp|crm|value=V`; `on_conflict`, for a new pair `first_sync`, decides for all records"
        }
        InboxKind::Failed => return of_failures(shown),
        InboxKind::Skipped => "change the record, or ask for it: `pipeline inbox FILE retry TABLE:KEY`",
        InboxKind::Deleted => {
            "`pipeline inbox FILE restore TABLE:KEY` makes it anew, `delete` deletes its partner too, `uncouple` keeps that one"
        }
        InboxKind::Ambiguous => {
            "make the columns of `match` differ, or agree with one record only, or remove what is one too many; `pipeline couple FILE TABLE:KEY KEY` couples the two that belong together"
        }
    };
    vec![format!("  {}: {advice}", kind.key())]
}

fn of_failures(shown: &[&InboxItem]) -> Vec<String> {
    let decided = shown.iter().any(|item| item.message.contains(DECIDED_BY));
    let line = |cure: Cure| {
        let (what, other) = match cure {
            Cure::Correction if decided => (
                "",
                format!(
                    "; of what a person decided, {ANOTHER_VALUE}: `pipeline inbox FILE resolve TABLE:KEY --field F --take erp|crm|value=V`"
                ),
            ),
            Cure::Correction => ("", String::new()),
            Cure::Access => (", not let in", String::new()),
            Cure::Time => (", did not get there", String::new()),
        };
        format!("  {}{what}: {}{other}", InboxKind::Failed.key(), cured(cure))
    };
    let cures = [Cure::Correction, Cure::Access, Cure::Time].into_iter();
    cures.filter(|cure| shown.iter().any(|item| item.cure() == *cure)).map(line).collect()
}

/// Says what to do about something that failed.
pub fn cured(cure: Cure) -> &'static str {
    match cure {
        Cure::Correction => "correct the record as its message says; every run tries again",
        Cure::Time => "nothing to do: the next run sends it again",
        Cure::Access => {
            "nothing is wrong with the record; give the login the right, or clear the way, that the message speaks of: every run tries again"
        }
    }
}

/// The inbox with what is known besides.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inbox {
    pub items: Vec<InboxItem>,
    /// For each item, the last write of ours to a contested field, where the journal still has it.
    pub last_writes: Vec<Option<LastWrite>>,
    /// What people answered, and is not carried out.
    pub answered: Answered,
    /// How many items wait besides, which were not asked for.
    pub elsewhere: u64,
}

/// A write to one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastWrite {
    pub side: Side,
    pub old: String,
    pub new: String,
    /// RFC 3339.
    pub at: String,
    pub run: String,
    pub why: String,
}

/// Returns the whole inbox for people; it ends with a line end.
pub fn text(inbox: &Inbox) -> String {
    let answered = inbox.answered.known();
    let waiting: Vec<usize> = (0..inbox.items.len()).filter(|item| !answered.covers(&inbox.items[*item])).collect();
    let mut lines = match (waiting.is_empty(), inbox.elsewhere) {
        (true, 0) => vec!["nothing waits for a person".to_owned()],
        (true, elsewhere) => {
            let items = plural(elsewhere, "item does", "items do");
            vec![format!("nothing of this waits for a person; elsewhere {items}: `pipeline inbox FILE` lists all")]
        }
        (false, _) => Vec::new(),
    };
    let items: Vec<InboxItem> = waiting.iter().map(|item| inbox.items[*item].clone()).collect();
    lines.extend(whole(&items));
    // The lines stand in another order than the items; each begins with its record.
    let written =
        waiting.iter().filter_map(|item| Some((&inbox.items[*item], inbox.last_writes.get(*item)?.as_ref()?)));
    let written: Vec<String> = written.map(|(item, write)| write_line(item, write)).collect();
    if !written.is_empty() {
        lines.push("what we wrote there last:".to_owned());
        lines.extend(written);
    }
    lines.extend(modified(&items));
    lines.extend(answers::section(&inbox.answered.to(&inbox.items)));
    lines.join("\n") + "\n"
}

/// Returns when the records of contested fields were last modified, and by whom, under a heading; once for each record, or
/// for the fields of it that were filed at different times.
pub fn modified(items: &[InboxItem]) -> Vec<String> {
    let mut known: Vec<(&str, String, Vec<&str>)> = Vec::new();
    let mut of_record: HashMap<&str, Vec<usize>> = HashMap::new();
    for InboxItem { record, field, background: Background { modified, crm_modified_by, .. }, .. } in items {
        let by = crm_modified_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        let told = |side: Side, by: &str| Some(format!("{} {}{by}", side.name(), modified.of(side).as_ref()?));
        let sides: Vec<String> = [told(Side::Erp, ""), told(Side::Crm, &by)].into_iter().flatten().collect();
        let sides = sides.join(", ");
        let field = field.as_deref().unwrap_or_default();
        let places = of_record.entry(record).or_default();
        match places.iter().find(|place| known[**place].1 == sides) {
            _ if sides.is_empty() => {}
            Some(place) => known[*place].2.push(field),
            None => {
                places.push(known.len());
                known.push((record, sides, vec![field]));
            }
        }
    }
    let line = |(record, sides, fields): &(&str, String, Vec<&str>)| match of_record[record].len() > 1 {
        true => format!("  {record} {}: {sides}", fields.join(", ")),
        false => format!("  {record}: {sides}"),
    };
    let mut lines: Vec<String> = known.iter().map(line).collect();
    if !lines.is_empty() {
        lines.insert(
            0,
            "last modification of the records, in whatever field, as known when they were filed:".to_owned(),
        );
    }
    lines
}

fn write_line(item: &InboxItem, write: &LastWrite) -> String {
    let LastWrite { side, old, new, at, why, .. } = write;
    let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
    let field = item.field.as_deref().unwrap_or_default();
    format!("  {} {field}: {} → {} in the {} at {at}{why}", item.record, quoted(old), quoted(new), side.name())
}

#[derive(Serialize)]
struct Document<'a> {
    items: Vec<ListedDocument<'a>>,
}

/// An item with what is known besides.
#[derive(Serialize)]
struct ListedDocument<'a> {
    #[serde(flatten)]
    item: ItemDocument<'a>,
    /// Null where nobody answered, or for other values. One that is `unmet` waits, and so does the item.
    decision: Option<DecisionDocument<'a>>,
    last_write: Option<WriteDocument<'a>>,
}

#[derive(Serialize)]
struct WriteDocument<'a> {
    side: &'static str,
    old: &'a str,
    new: &'a str,
    at: &'a str,
    run: &'a str,
    why: &'a str,
}

/// Returns the whole inbox for programs.
pub fn json(inbox: &Inbox) -> String {
    let answered = inbox.answered.known();
    document(&Document {
        items: inbox.items.iter().enumerate().map(|(number, item)| listed(inbox, &answered, number, item)).collect(),
    })
}

fn listed<'a>(inbox: &'a Inbox, answered: &Known<'a>, number: usize, item: &'a InboxItem) -> ListedDocument<'a> {
    let write = |LastWrite { side, old, new, at, run, why }: &'a LastWrite| WriteDocument {
        side: side.key(),
        old,
        new,
        at,
        run,
        why,
    };
    ListedDocument {
        item: item_document(item),
        decision: answered.document(item),
        last_write: inbox.last_writes.get(number).and_then(Option::as_ref).map(write),
    }
}

/// Says of each record whether it was skipped, and is sent again by the next run.
pub fn retried_text(records: &[(&str, bool)]) -> String {
    let line = |(record, was_refused): &(&str, bool)| match was_refused {
        true => format!("{record}: the next run sends it again\n"),
        false => format!("{record}: was not refused by its side; every run tries it anyway\n"),
    };
    records.iter().map(line).collect()
}

#[derive(Serialize)]
struct RetriedDocument<'a> {
    retried: Vec<&'a str>,
    unchanged: Vec<&'a str>,
}

/// Says the same for programs.
pub fn retried_json(records: &[(&str, bool)]) -> String {
    let those = |wanted: bool| records.iter().filter(|(_, was)| *was == wanted).map(|(record, _)| *record).collect();
    document(&RetriedDocument { retried: those(true), unchanged: those(false) })
}

/// Returns one item on one line: record, field, the values that are known, message.
///
/// A message that names the record itself stands for all but the values.
fn line(item: &InboxItem) -> String {
    // The message may quote a server; a line end in it must not break the list.
    let message = told(item).replace(['\n', '\r'], " ");
    let said = |value: &str| !value.is_empty() && message.contains(&format!("`{value}`"));
    let record = item.background.crm_record.as_ref();
    let values: Vec<String> = [("before", &item.base), ("ERP", &item.erp), ("CRM", &item.crm)]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_ref()?)))
        // Once is enough: some are long. Whoever decides between values needs all of them as they are now, and a message may
        // tell of earlier ones.
        .filter(|(_, value)| item.kind == InboxKind::Contested || !said(value))
        .map(|(name, value)| match record.filter(|_| name == "CRM") {
            Some(record) => format!("{name} {record}"),
            None => format!("{name} {}", quoted(value)),
        })
        .collect();
    let values = values.join(", ");
    if message.starts_with(&item.record) {
        return if values.is_empty() { message } else { format!("{message} ({values})") };
    }
    let record = match &item.field {
        Some(field) => format!("{} {field}", item.record),
        None => item.record.clone(),
    };
    match (values.is_empty(), message.is_empty()) {
        (true, true) => record,
        (true, false) => format!("{record}: {message}"),
        (false, true) => format!("{record}: {values}"),
        (false, false) => format!("{record}: {values}; {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PerSide;
    use crate::report::samples;
    use crate::store::{Decided, Outstanding};
    #[test]
    fn no_more_items_than_asked_for() {
        let mut items = samples::inbox();
        items.extend(samples::inbox());
        let shown = |max| lines(&items, max).iter().filter(|line| line.starts_with("    ")).count();
        assert_eq!((shown(0), shown(1), shown(3), shown(100)), (0, 1, 3, items.len()));
    }

    #[test]
    fn a_cut_list_shows_some_of_each_table_and_kind() {
        let failed = samples::inbox().remove(0);
        let mut items: Vec<InboxItem> =
            (0..50).map(|number| InboxItem { record: number.to_string(), ..failed.clone() }).collect();
        items.extend(samples::inbox().into_iter().skip(1).map(|item| InboxItem { table: "items".into(), ..item }));
        let lines = lines(&items, 5);
        let headings: Vec<&String> = lines.iter().filter(|line| !line.starts_with("    ")).collect();
        assert_eq!(headings, ["  customers, failed (2 of 50)", "  items, contested", "  items, ambiguous"]);
        assert_eq!(lines.len(), 3 + 5);
    }

    #[test]
    fn a_contested_field_shows_all_values_whatever_its_message_says() {
        let told = |text: &str| Some(text.to_owned());
        let item = InboxItem {
            record: "items:1".into(),
            kind: InboxKind::Contested,
            field: told("displayName"),
            base: told("A20"),
            erp: told("E20"),
            crm: told("C20b"),
            message: "both sides edited it".into(),
            outstanding: Some(Outstanding {
                verdict: Decided::Take(Side::Erp),
                values: PerSide { erp: "E20".into(), crm: "C20".into() },
                on: "2026-01-31".into(),
            }),
            ..samples::inbox().remove(0)
        };
        let line = line(&item);
        assert!(line.contains("before \"A20\", ERP \"E20\", CRM \"C20b\""), "{line}");
        assert!(line.contains("both sides edited it; decided on 2026-01-31 for other values (ERP `E20`, CRM `C20`)"));
    }

    #[test]
    fn fields_that_were_filed_at_different_times_are_told_apart() {
        let item = |record: &str, field: &str, at: &str| InboxItem {
            record: record.into(),
            field: Some(field.into()),
            background: Background { modified: PerSide { erp: Some(at.into()), crm: None }, ..Background::default() },
            ..samples::inbox().remove(0)
        };
        let items = [
            item("1", "city", "9:00"),
            item("1", "phone", "9:00"),
            item("1", "name", "8:00"),
            item("2", "city", "9:00"),
        ];
        assert_eq!(modified(&items)[1..], ["  1 city, phone: ERP 9:00", "  1 name: ERP 8:00", "  2: ERP 9:00"]);
        assert_eq!(modified(&items[..2])[1..], ["  1: ERP 9:00"]);
    }

    #[test]
    fn one_reason_does_not_fill_a_cut_list() {
        let failed = |number: usize, message: &str| InboxItem {
            record: format!("contacts:{number}"),
            message: format!("contacts:{number} cannot go to the CRM: {message}"),
            ..samples::inbox().remove(0)
        };
        let mut items: Vec<InboxItem> =
            (0..30).map(|number| failed(number, &format!("customers:{number} is not coupled"))).collect();
        items.push(failed(99, "the e-mail address is no address"));
        let section = section(&items);
        assert_eq!(section[0], "waiting for a person: 31 (4 of them here; `pipeline inbox FILE` lists all)");
        assert_eq!(section[1], "  customers, failed (4 of 31)");
        assert!(section[5].contains("no address"), "{section:#?}");
        assert_eq!(whole(&items).iter().filter(|line| line.starts_with("    ")).count(), 31);
    }

    #[test]
    fn advice_is_given_for_what_is_shown() {
        let items = samples::inbox();
        assert_eq!(advice(&items, 0), [""; 0]);
        let kinds = |max| advice(&items, max).iter().map(|line| line[2..5].to_owned()).collect::<Vec<_>>();
        assert_eq!(kinds(1), ["con"]);
        assert_eq!(kinds(99), ["con", "fai", "amb"]);
    }

    #[test]
    fn a_value_that_the_message_holds_is_not_told_again() {
        let long = "x".repeat(300);
        let item = InboxItem {
            record: "items:1".into(),
            field: Some("name".into()),
            erp: Some("short".into()),
            crm: Some(long.clone()),
            message: format!("items:1 cannot go to the ERP: name: `{long}` has 300 characters"),
            ..samples::inbox().remove(0)
        };
        let line = line(&item);
        assert_eq!(line.matches(&long).count(), 1, "{line}");
        assert!(line.ends_with("(ERP \"short\")"), "{line}");
    }

    #[test]
    fn a_message_stays_on_its_line() {
        let mut item = samples::inbox().remove(0);
        item.message = "no\r\nno".into();
        assert!(line(&item).ends_with(": no  no"), "{}", line(&item));
    }
}
