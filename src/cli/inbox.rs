//! `pipeline inbox`: what waits for a person, and the answers to it. Asks neither side.
//!
//! An answer changes the state only; the next run acts on it. It needs the state for itself, as a run does. Of several
//! answers none is taken where one of them makes no sense.

pub mod answer;
pub mod by_file;
pub mod find;

use std::path::Path;

use crate::adapters::sqlite::SqliteStore;
use crate::by_hand::parting::take_answers;
use crate::cli::args::Format;
use crate::cli::args::inbox::{InboxAction, InboxArguments, InboxFilter};
use crate::cli::ask::{self, Question};
use crate::cli::couple::moment;
use crate::cli::exit::{Exit, Failure};
use crate::cli::inbox::answer::{Desk, Wish};
use crate::cli::inbox::find::{means, survivor};
use crate::cli::world::{self, Loaded};
use crate::cli::{print, print_as, progress};
use crate::config::complaint::{Complaint, Severity, suggestion};
use crate::config::{PerSide, Side};
use crate::report;
use crate::report::asked::Ask;
use crate::report::inbox::{Inbox, LastWrite};
use crate::store::{Decided, Decision, InboxItem, InboxKind, Reply, Store};

/// How many writes to a pair are looked through for the last one to a field.
const WRITES_MAX: usize = 200;

/// Carries out `inbox`.
pub fn inbox(arguments: &InboxArguments) -> Result<Exit, Failure> {
    let loaded = world::load_state(&arguments.file.path)?;
    let with = |records: &[String], wish: Wish, yes: bool| {
        let wishes: Vec<(String, Wish)> = records.iter().map(|record| (record.clone(), wish.clone())).collect();
        take(arguments, &loaded, &wishes, yes)
    };
    if let (Some(action), false) = (&arguments.action, arguments.filter == InboxFilter::default()) {
        return Err(Failure::Arguments {
            message: "`--table`, `--kind`, `--field` and `--record` before the action say nothing about it".to_owned(),
            hint: match action {
                InboxAction::List(_) | InboxAction::Export { .. } => "give them behind `list` or `export`".to_owned(),
                _ => "leave them out; `pipeline inbox FILE ACTION --help` has what the action takes".to_owned(),
            },
        });
    }
    match &arguments.action {
        None => list(arguments, &loaded, &arguments.filter),
        Some(InboxAction::List(filter)) => list(arguments, &loaded, filter),
        Some(InboxAction::Apart) => apart(arguments, &loaded),
        Some(InboxAction::Retry { records }) => retry(arguments, &loaded, records),
        Some(InboxAction::Restore { records }) => with(records, Wish::Restore, false),
        Some(InboxAction::Delete { records, yes }) => with(records, Wish::Delete, *yes),
        Some(InboxAction::Uncouple { records }) => with(records, Wish::Uncouple, false),
        Some(InboxAction::Withdraw { records, field }) => withdraw(arguments, &loaded, records, field.as_deref()),
        Some(InboxAction::Export { out, filter }) => export(arguments, &loaded, out.as_deref(), filter),
        Some(InboxAction::Import { file, yes }) => import(arguments, &loaded, file, *yes),
        Some(InboxAction::Resolve(resolve)) => {
            let wish = Wish::Resolve { field: resolve.field.clone(), verdict: resolve.take.clone() };
            if resolve.all {
                return resolve_all(arguments, &loaded, &resolve.table, &wish);
            }
            with(&resolve.records, wish, false)
        }
    }
}

/// Opens the state for reading, to look at what is answered. One that is not there is not made, as nothing waits in it.
fn look(loaded: &Loaded) -> Result<SqliteStore<'static>, Failure> {
    world::has_state(loaded, "nothing waits")?;
    world::store(loaded)
}

/// Opens the state for an answer: alone, as a run does.
fn open<'a>(loaded: &Loaded, now: &'a dyn Fn() -> String) -> Result<SqliteStore<'a>, Failure> {
    drop(look(loaded)?);
    Ok(SqliteStore::open(&loaded.state, &world::holder(), now, loaded.pipeline.keep_values)?)
}

/// Returns the items that a filter lets through.
fn filtered(loaded: &Loaded, store: &dyn Store, filter: &InboxFilter) -> Result<Vec<InboxItem>, Failure> {
    world::known_tables(loaded, &filter.table)?;
    let kinds: Vec<InboxKind> = filter.kind.iter().filter_map(|kind| InboxKind::from_key(kind)).collect();
    let of_field = |item: &InboxItem| {
        filter.field.is_empty()
            || columns(loaded, item).is_some_and(|columns| {
                Side::BOTH
                    .into_iter()
                    .any(|side| filter.field.iter().any(|field| columns.of(side).as_ref() == Some(field)))
            })
    };
    let mut items = store.inbox(None)?;
    known_fields(loaded, &items, filter)?;
    let mut records = filter.record.clone();
    for record in &filter.record {
        let (address, map) = world::address(loaded, record)?;
        // What is gone waits under the name of its partner.
        records.extend(survivor(store, map, &address)?);
    }
    items.retain(|item| {
        (filter.table.is_empty() || filter.table.contains(&item.table))
            && (kinds.is_empty() || kinds.contains(&item.kind))
            && of_field(item)
            && (records.is_empty() || records.iter().any(|record| means(item, record)))
    });
    Ok(items)
}

/// Refuses a field that no table map has which the filter lets through; one that still waits may be gone from the file.
fn known_fields(loaded: &Loaded, items: &[InboxItem], filter: &InboxFilter) -> Result<(), Failure> {
    let maps = loaded.pipeline.tables.iter();
    let maps: Vec<_> = maps.filter(|map| filter.table.is_empty() || filter.table.contains(&map.name)).collect();
    let fields = || maps.iter().flat_map(|map| &map.fields);
    let known = || fields().flat_map(|field| Side::BOTH.into_iter().filter_map(|side| field.column(side)));
    let waits = |name: &str| items.iter().any(|item| item.field.as_deref() == Some(name));
    let Some(unknown) = filter.field.iter().find(|name| !known().any(|own| own == *name) && !waits(name)) else {
        return Ok(());
    };
    let (who, hint) = match maps[..] {
        [map] => (map.name.as_str(), format!("it has: {}", known().collect::<Vec<_>>().join(", "))),
        _ => ("no table map", "a field is named by its ERP column, or by its CRM column".to_owned()),
    };
    let has = if maps.len() == 1 { "has no field" } else { "has a field" };
    Err(Failure::Arguments {
        message: format!("{who} {has} `{unknown}`"),
        hint: suggestion(unknown, known()).unwrap_or(hint),
    })
}

/// Returns the columns of an item's field; nothing for an item about a whole record. A field that the file does not have
/// any more is known by its name only.
fn columns(loaded: &Loaded, item: &InboxItem) -> Option<PerSide<Option<String>>> {
    let name = item.field.as_ref()?;
    let map = loaded.pipeline.tables.iter().find(|map| map.name == item.table);
    let field = map.and_then(|map| map.fields.iter().find(|field| field.name() == name));
    Some(match field {
        Some(field) => PerSide::from_fn(|side| field.column(side).map(str::to_owned)),
        None => PerSide { erp: Some(name.clone()), crm: None },
    })
}

fn list(arguments: &InboxArguments, loaded: &Loaded, filter: &InboxFilter) -> Result<Exit, Failure> {
    let store = world::store(loaded)?;
    let items = filtered(loaded, &store, filter)?;
    for record in filter.record.iter().filter(|_| items.is_empty()) {
        progress::say(&format!(
            "the inbox knows nothing of `{record}`; `pipeline why FILE {record}` asks both sides whether there is one"
        ));
    }
    print_list(arguments, loaded, &store, items)
}

/// Prints items, what was decided about them, and what was written there last.
fn print_list(
    arguments: &InboxArguments,
    loaded: &Loaded,
    store: &dyn Store,
    items: Vec<InboxItem>,
) -> Result<Exit, Failure> {
    let all = store.inbox(None)?;
    let answered = world::answered(store, &all)?;
    let last_writes = items.iter().map(|item| last_write(loaded, store, item)).collect::<Result<_, _>>()?;
    let known = answered.known();
    let open = |items: &[InboxItem]| items.iter().filter(|item| !known.covers(item)).count() as u64;
    let elsewhere = open(&all).saturating_sub(open(&items));
    let inbox = Inbox { items, last_writes, answered, elsewhere };
    print_as(arguments.file.format, || report::inbox::text(&inbox), || report::inbox::json(&inbox))?;
    Ok(Exit::Done)
}

/// Returns the last write to a contested field that arrived, on either side.
fn last_write(loaded: &Loaded, store: &dyn Store, item: &InboxItem) -> Result<Option<LastWrite>, Failure> {
    let (InboxKind::Contested, Some(columns)) = (item.kind, columns(loaded, item)) else { return Ok(None) };
    let writes = store.writes_to(&item.table, PerSide { erp: item.erp_id, crm: item.crm_id }, WRITES_MAX)?;
    let arrived = writes.into_iter().filter(|write| matches!(write.outcome.as_deref(), Some("written" | "found")));
    Ok(arrived.into_iter().find_map(|write| {
        let intent = write.intent;
        // What it was coupled with before has nothing to do with it.
        let pair = if intent.side == Side::Erp { (intent.id, intent.partner) } else { (intent.partner, intent.id) };
        if (Some(pair.0), Some(pair.1)) != (item.erp_id, item.crm_id) {
            return None;
        }
        let column = columns.of(intent.side).clone()?;
        let (_, old, new) = intent.fields.into_iter().find(|(name, ..)| *name == column)?;
        let at = write.answered_at.unwrap_or(write.intended_at);
        Some(LastWrite { side: intent.side, old, new, at, run: write.run, why: intent.why })
    }))
}

fn apart(arguments: &InboxArguments, loaded: &Loaded) -> Result<Exit, Failure> {
    let store = world::store(loaded)?;
    let apart = store.apart()?;
    print_as(arguments.file.format, || report::answers::apart_text(&apart), || report::answers::apart_json(&apart))?;
    Ok(Exit::Done)
}

/// Lets the next run send records again that were left alone.
fn retry(arguments: &InboxArguments, loaded: &Loaded, records: &[String]) -> Result<Exit, Failure> {
    let mut store = open(loaded, &world::now)?;
    let desk = Desk::new(&loaded.pipeline, &store)?;
    let replies = records.iter().map(|record| desk.answer(record, &Wish::Retry)).collect::<Result<Vec<_>, _>>()?;
    let mut retried = Vec::new();
    for reply in &replies {
        if let Reply::Retry { table, erp, crm, record } = reply {
            let refusals = store.refusals(table)?;
            let refused = refusals.iter().any(|refusal| (refusal.erp, refusal.crm) == (*erp, *crm));
            // Whoever asks twice is told the same twice.
            let asked_before = desk.items.iter().any(|item| {
                item.kind == InboxKind::Skipped && item.table == *table && (item.erp_id, item.crm_id) == (*erp, *crm)
            });
            retried.push((record.as_str(), refused || asked_before));
        }
    }
    store.reply(&replies)?;
    print_as(
        arguments.file.format,
        || report::inbox::retried_text(&retried),
        || report::inbox::retried_json(&retried),
    )?;
    Ok(Exit::Done)
}

/// Takes answers: all of them, or none where one makes no sense.
fn take(arguments: &InboxArguments, loaded: &Loaded, wishes: &[(String, Wish)], yes: bool) -> Result<Exit, Failure> {
    let replies = |store: &dyn Store| {
        let desk = Desk::new(&loaded.pipeline, store)?;
        wishes.iter().map(|(record, wish)| desk.answer(record, wish)).collect()
    };
    reply(arguments, loaded, &replies, yes)
}

/// Forgets decisions that are not carried out: all of those named, or none.
fn withdraw(
    arguments: &InboxArguments,
    loaded: &Loaded,
    records: &[String],
    field: Option<&str>,
) -> Result<Exit, Failure> {
    let replies = |store: &dyn Store| {
        let desk = Desk::new(&loaded.pipeline, store)?;
        let mut replies = Vec::new();
        for record in records {
            replies.extend(desk.withdraw(record, field)?);
        }
        Ok(replies)
    };
    reply(arguments, loaded, &replies, false)
}

/// Decides a field of every record in which it is contested.
fn resolve_all(arguments: &InboxArguments, loaded: &Loaded, tables: &[String], wish: &Wish) -> Result<Exit, Failure> {
    let field = match wish {
        Wish::Resolve { field, .. } => vec![field.clone()],
        _ => Vec::new(),
    };
    let filter = InboxFilter { table: tables.to_vec(), field, ..InboxFilter::default() };
    let replies = |store: &dyn Store| {
        let desk = Desk::new(&loaded.pipeline, store)?;
        let mut items = filtered(loaded, store, &filter)?;
        items.retain(|item| desk.can_be_decided(item));
        if items.is_empty() {
            return Err(Failure::Arguments {
                message: format!("{} is contested nowhere", filter.field.join(", ")),
                hint: "`pipeline inbox FILE list --kind contested` lists what is".to_owned(),
            });
        }
        items.iter().map(|item| desk.answer_to(&[item], wish)).collect()
    };
    reply(arguments, loaded, &replies, false)
}

/// Writes what waits as CSV: into a file, or to stdout.
fn export(
    arguments: &InboxArguments,
    loaded: &Loaded,
    out: Option<&Path>,
    filter: &InboxFilter,
) -> Result<Exit, Failure> {
    let store = world::store(loaded)?;
    let mut items = filtered(loaded, &store, filter)?;
    // What is decided does not wait for a person any more.
    let answered = world::answered(&store, &items)?;
    let known = answered.known();
    items.retain(|item| !known.covers(item));
    let csv = by_file::export(&items);
    let Some(path) = out else {
        return match arguments.file.format {
            Format::Text => print(&csv).map(|()| Exit::Done),
            // Programs get the same document whichever way they ask.
            Format::Json => print_list(arguments, loaded, &store, items),
        };
    };
    world::save(path, &csv)?;
    let file = path.display().to_string();
    let number = items.len() as u64;
    print_as(
        arguments.file.format,
        || report::answers::exported_text(&file, number),
        || report::answers::exported_json(&file, number),
    )?;
    Ok(Exit::Done)
}

/// Takes the answers that people wrote into an exported file.
fn import(arguments: &InboxArguments, loaded: &Loaded, file: &Path, yes: bool) -> Result<Exit, Failure> {
    let name = file.display().to_string();
    let unreadable = |message: String, hint: &str| Failure::Answers {
        file: name.clone(),
        complaints: vec![Complaint {
            severity: Severity::Error,
            file: name.clone(),
            line: 1,
            column: 1,
            path: String::new(),
            message,
            hint: Some(hint.to_owned()),
        }],
    };
    let bytes = std::fs::read(file).map_err(|error| {
        unreadable(format!("cannot be read: {error}"), "give the path of a file that `export` made")
    })?;
    let text =
        String::from_utf8(bytes).map_err(|_| unreadable("is not UTF-8".to_owned(), "save it as CSV in UTF-8"))?;
    let replies = |store: &dyn Store| by_file::replies(file, &text, &Desk::new(&loaded.pipeline, store)?);
    reply(arguments, loaded, &replies, yes)
}

/// Makes answers of what a person said and of what the state holds now.
type Answering<'a> = dyn Fn(&dyn Store) -> Result<Vec<Reply>, Failure> + 'a;

/// Writes answers into the state, and asks before records are given up: before the state is taken, and what is answered is
/// looked at again afterwards.
fn reply(arguments: &InboxArguments, loaded: &Loaded, replies: &Answering<'_>, yes: bool) -> Result<Exit, Failure> {
    let shown = replies(&look(loaded)?)?;
    agree(&shown, yes)?;
    let mut store = open(loaded, &world::now)?;
    let replies = replies(&store)?;
    if replies != shown {
        return Err(Failure::Moved { what: "what waits".to_owned() });
    }
    let mut earlier = store.decisions(None)?;
    earlier.retain(|decision| decision.ended.is_none());
    take_answers(&loaded.pipeline, &mut store, &replies, &moment())?;
    print_as(
        arguments.file.format,
        || report::answers::text(&replies, &earlier),
        || report::answers::json(&replies, &earlier),
    )?;
    Ok(Exit::Done)
}

/// Asks before records are given up.
fn agree(replies: &[Reply], yes: bool) -> Result<(), Failure> {
    let deletions = replies.iter().filter_map(|reply| match reply {
        Reply::Decide(decision) if decision.verdict == Decided::Delete => Some(decision),
        _ => None,
    });
    let deletions: Vec<&Decision> = deletions.collect();
    if !deletions.is_empty() {
        let records: Vec<&str> = deletions.iter().map(|decision| decision.record.as_str()).collect();
        let asks = deletions.iter().map(|decision| Ask::delete(decision)).collect();
        let otherwise = "`inbox restore` makes the partner anew, `inbox uncouple` parts the two";
        let what = format!("let the next run delete {}", records.join(", "));
        ask::agree(Question { what, asks, otherwise }, yes)?;
    }
    Ok(())
}
