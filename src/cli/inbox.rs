//! `pipeline inbox`: what waits for a person, and the answers to it. Asks neither side.
//!
//! An answer changes the state only; the next run acts on it. It needs the state for itself, as a run does.

use crate::adapters::sqlite::SqliteStore;
use crate::cli::args::{InboxAction, InboxArguments, InboxFilter};
use crate::cli::exit::{Exit, Failure};
use crate::cli::print_as;
use crate::cli::world::{self, Loaded};
use crate::report;
use crate::store::{InboxItem, InboxKind, Store};

/// Carries out `inbox`.
pub fn inbox(arguments: &InboxArguments) -> Result<Exit, Failure> {
    let loaded = world::load_state(&arguments.file.path)?;
    let none = InboxFilter { table: Vec::new(), kind: Vec::new() };
    match &arguments.action {
        None => list(arguments, &loaded, &none),
        Some(InboxAction::List(filter)) => list(arguments, &loaded, filter),
        Some(InboxAction::Retry { records }) => retry(arguments, &loaded, records),
    }
}

fn list(arguments: &InboxArguments, loaded: &Loaded, filter: &InboxFilter) -> Result<Exit, Failure> {
    world::known_tables(loaded, &filter.table)?;
    let kinds: Vec<InboxKind> = filter.kind.iter().filter_map(|kind| InboxKind::from_key(kind)).collect();
    let store = SqliteStore::read_only(&loaded.state)?;
    world::binding(loaded, &store)?;
    let mut items = store.inbox(None)?;
    items.retain(|item| {
        (filter.table.is_empty() || filter.table.contains(&item.table))
            && (kinds.is_empty() || kinds.contains(&item.kind))
    });
    print_as(arguments.file.format, || report::inbox::text(&items), || report::inbox::json(&items))?;
    Ok(Exit::Done)
}

/// Lets the next run send records again that were left alone.
fn retry(arguments: &InboxArguments, loaded: &Loaded, records: &[String]) -> Result<Exit, Failure> {
    let holder = world::holder();
    let mut store = SqliteStore::open(&loaded.state, &holder, &world::now, loaded.pipeline.keep_values)?;
    world::binding(loaded, &store)?;
    let items = store.inbox(None)?;
    // All names are looked up first, so that nothing is done for a list with a slip in it.
    let meant = records.iter().map(|record| find(&items, record)).collect::<Result<Vec<_>, _>>()?;
    let mut retried = Vec::new();
    for item in meant {
        let skipped = store.retry(&item.table, item.erp_id, item.crm_id)?;
        retried.push((item.record.as_str(), skipped));
    }
    print_as(
        arguments.file.format,
        || report::inbox::retried_text(&retried),
        || report::inbox::retried_json(&retried),
    )?;
    Ok(Exit::Done)
}

/// Finds what waits of a record: by the name under which the inbox shows it, or by an id as `TABLE:ID` (ERP) or
/// `TABLE:crm:ID`.
fn find<'a>(items: &'a [InboxItem], record: &str) -> Result<&'a InboxItem, Failure> {
    let id = |item: &InboxItem| {
        let erp = item.erp_id.map(|id| format!("{}:{id}", item.table));
        let crm = item.crm_id.map(|id| format!("{}:crm:{id}", item.table));
        [erp, crm].into_iter().flatten().any(|name| name.eq_ignore_ascii_case(record))
    };
    // A name that several records bear is shown with the id behind it.
    let bare = |item: &InboxItem| item.record.rsplit_once(" (").is_some_and(|(name, _)| name == record);
    let named = |item: &InboxItem| item.record == record || bare(item);
    let mut meant: Vec<&InboxItem> = items.iter().filter(|item| named(item) || id(item)).collect();
    meant.dedup_by_key(|item| (item.erp_id, item.crm_id));
    match meant.as_slice() {
        [item] => Ok(item),
        [] => Err(Failure::Arguments {
            message: format!("nothing waits of `{record}`"),
            hint: "`pipeline inbox FILE` lists what waits, by the names to use here".to_owned(),
        }),
        [first, ..] => {
            let ids = meant.iter().map(|item| match (item.erp_id, item.crm_id) {
                (Some(id), _) => format!("{}:{id}", item.table),
                (None, Some(id)) => format!("{}:crm:{id}", item.table),
                (None, None) => item.record.clone(),
            });
            Err(Failure::Arguments {
                message: format!("{} records of `{}` are named `{record}`", meant.len(), first.table),
                hint: format!("take one of {}", ids.collect::<Vec<_>>().join(", ")),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;
    use uuid::Uuid;

    #[test]
    fn a_record_is_found_by_name_or_id() {
        let (erp, crm) = (Uuid::from_u128(7), Uuid::from_u128(8));
        let mut items = samples::inbox();
        items.truncate(1);
        items[0].table = "customers".into();
        items[0].record = "customers:10000".into();
        items[0].erp_id = Some(erp);
        items[0].crm_id = Some(crm);
        let mut field = items[0].clone();
        field.field = Some("city".into());
        items.push(field);
        for (name, found) in [
            ("customers:10000".to_owned(), true),
            (format!("customers:{erp}"), true),
            (format!("customers:crm:{crm}"), true),
            (format!("customers:{crm}"), false),
            ("customers:1".to_owned(), false),
        ] {
            assert_eq!(find(&items, &name).is_ok(), found, "{name}");
        }
        let mut twin = items[0].clone();
        twin.erp_id = Some(Uuid::from_u128(9));
        twin.record = format!("customers:10000 ({})", Uuid::from_u128(9));
        items.push(twin);
        assert!(find(&items, &items[2].record).is_ok());
        let failure = find(&items, "customers:10000").unwrap_err();
        assert_eq!(failure.to_string(), "2 records of `customers` are named `customers:10000`");
        assert!(failure.hint().contains(&erp.to_string()), "{}", failure.hint());
    }
}
