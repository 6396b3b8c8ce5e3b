//! `couple --match`: whom the match rules find, shown and asked for before it is coupled.

use std::collections::HashSet;

use crate::by_hand::{Desk, Pair};
use crate::cli::args::CoupleArguments;
use crate::cli::couple::{dry_run, finish, look, name_pairs, one_table};
use crate::cli::exit::Failure;
use crate::cli::named::name_the_others;
use crate::cli::part::{Part, address, no_record};
use crate::cli::progress;
use crate::cli::run;
use crate::cli::signals::Signals;
use crate::cli::world::{self, Loaded};
use crate::config::{PerSide, Side, TableMap};
use crate::plan::ActionKind;
use crate::report;
use crate::report::couple::Coupled;
use crate::report::layout::plural;
use crate::run::account::RunReport;
use crate::run::chosen::{Chosen, Standing};
use crate::store::{InboxItem, InboxKind, Store};

/// Couples what the match rules find.
pub(super) fn by_rules(
    arguments: &CoupleArguments,
    loaded: &Loaded,
    at: usize,
    signals: &Signals,
) -> Result<Coupled, Failure> {
    let map = &loaded.pipeline.tables[at];
    if map.match_rules.is_empty() {
        return Err(Failure::Arguments {
            message: format!("`{}` has no match rules", map.name),
            hint: format!(
                "write `match` into tables.{}, or couple by name: `pipeline couple FILE TABLE:KEY KEY`",
                map.name
            ),
        });
    }
    let mut part = Part::default();
    for record in &arguments.records {
        match record.contains(':') {
            true => part.selection.records.push(address(record)?),
            false if *record == map.name => part.only.push(record.clone()),
            false if loaded.pipeline.tables.iter().any(|table| table.name == *record) => return Err(one_table(map)),
            false => return Err(no_record(record)),
        }
    }
    if part.selection.records.iter().any(|record| record.table != map.name) {
        return Err(one_table(map));
    }
    let endpoints = world::endpoints(&loaded.pipeline);
    let sides = PerSide { erp: &*endpoints.erp, crm: &*endpoints.crm };
    let mut store = look(loaded)?;
    let desk = Desk::open(&loaded.pipeline, sides, &store, map).map_err(|error| run::failure(loaded, None, error))?;
    let mut plan = dry_run(arguments, loaded, &part, &mut store, signals)?;
    name_the_others(loaded, &store, &mut plan)?;
    let mut done = Coupled::new(map);
    done.notes = plan.notes.clone();
    if !part.only.is_empty() {
        done.apart = store.kept_apart(&map.name)?.erp.len() as u64;
    }
    done.failing = failing(&plan, map);
    if done.failing > 0 {
        let (records, name) = (plural(done.failing, "record fails", "records fail"), &map.name);
        done.notes.push(format!("{records} in `{name}`: `pipeline plan FILE --only {name}` says why"));
    }
    done.notes.iter().for_each(|note| progress::say(&format!("warning: {note}")));
    done.pairs = found(&plan);
    name_pairs(loaded, map, Side::Crm, part.only.is_empty(), done.pairs.iter_mut().collect())?;
    done.ambiguous = plan.inbox.iter().filter(|item| item.kind == InboxKind::Ambiguous).cloned().collect();
    let selected = plan.tables.iter().flat_map(|table| &table.selected);
    // For whom a run would make a partner, no rule has found one.
    let standing = |chosen: &Chosen| match chosen.outlook.created {
        Some(_) => Standing::Alone,
        None => chosen.standing,
    };
    let left = selected.map(|chosen| (chosen.record.clone(), standing(chosen)));
    // What waits in doubt is told with the doubts.
    let is_left = |standing: Standing| match standing {
        Standing::Alone | Standing::Outside | Standing::Apart => true,
        Standing::Waits(kind) => matches!(kind, InboxKind::Failed | InboxKind::Skipped | InboxKind::Deleted),
        _ => false,
    };
    done.left = left.filter(|(_, standing)| is_left(*standing)).collect();
    if !done.pairs.is_empty() && !arguments.yes {
        report::couple::preview(&done).iter().for_each(|line| progress::say(line));
    }
    finish(arguments, loaded, &desk, store, done, signals)
}

/// Returns whom the match rules couple in a run.
pub(super) fn found(report: &RunReport) -> Vec<Pair> {
    let found = report.plan.actions().filter_map(|action| match &action.kind {
        ActionKind::Couple { origin } => Some(Pair {
            ids: action.ids,
            record: action.record.clone(),
            partner: action.ids.crm.to_string(),
            origin: origin.clone(),
            dead: Vec::new(),
            notes: vec![action.why.clone()],
        }),
        _ => None,
    });
    found.collect()
}

/// Counts the records that fail, whatever the rules could find for them: what they refer to is not coupled, or does not
/// fit, or their side refused it.
fn failing(plan: &RunReport, map: &TableMap) -> u64 {
    let fails = |item: &&InboxItem| matches!(item.kind, InboxKind::Failed | InboxKind::Skipped);
    let own = plan.inbox.iter().filter(|item| item.table == map.name).filter(fails);
    own.map(|item| (item.erp_id, item.crm_id)).collect::<HashSet<_>>().len() as u64
}
