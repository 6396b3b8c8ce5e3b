//! `couple --create`: partners for records that have none, and whom a match rule finds instead.
//!
//! A partner that was deleted is made anew by the run itself, as where somebody decided `restore`: until it stands there the
//! pair stays as it is.

use std::collections::HashSet;

use uuid::Uuid;

use crate::adapters::sqlite::SqliteStore;
use crate::address::Address;
use crate::by_hand::bonds::bonds;
use crate::by_hand::{Desk, Pair};
use crate::cli::args::CoupleArguments;
use crate::cli::ask::{self, Question};
use crate::cli::couple::rules::found;
use crate::cli::couple::{dry_run, goes, look, name_pairs, objected, one_table, perform, take};
use crate::cli::exit::Failure;
use crate::cli::named::name_the_others;
use crate::cli::part::{Part, address};
use crate::cli::progress;
use crate::cli::run;
use crate::cli::signals::Signals;
use crate::cli::world::{self, Loaded};
use crate::config::{Create, PerSide, Side, TableMap};
use crate::delta::Overwritten;
use crate::plan::{Action, ActionKind};
use crate::report;
use crate::report::asked::Ask;
use crate::report::couple::Coupled;
use crate::report::layout::{list, plural};
use crate::run::account::RunReport;
use crate::run::selection::Selection;
use crate::store::{Origin, Store};

/// Makes the partners of records that have none.
pub(super) fn create(
    arguments: &CoupleArguments,
    loaded: &mut Loaded,
    at: usize,
    signals: &Signals,
) -> Result<Coupled, Failure> {
    let addresses = arguments.records.iter().map(|record| address(record)).collect::<Result<Vec<_>, _>>()?;
    let map = &mut loaded.pipeline.tables[at];
    if addresses.iter().any(|address| address.table != map.name) {
        return Err(one_table(map));
    }
    map.create = Create::along(map.direction);
    let map = &loaded.pipeline.tables[at];
    for address in &addresses {
        goes(
            loaded,
            map,
            address.side.other(),
            "couple it with a record that is there: `pipeline couple FILE TABLE:KEY KEY`",
        )?;
    }
    let endpoints = world::endpoints(&loaded.pipeline);
    let sides = PerSide { erp: &*endpoints.erp, crm: &*endpoints.crm };
    let mut looked_at = look(loaded)?;
    let told = |error| run::failure(loaded, None, error);
    let desk = Desk::open(&loaded.pipeline, sides, &looked_at, map).map_err(told)?;
    let dead = desk.look_alone(&looked_at, &addresses).map_err(told)?.map_err(|all| objected(&all))?;
    let shown = bonds(&looked_at, dead.iter().map(|pair| (map.name.as_str(), pair.ids)))?;
    let mut selection = Selection { records: addresses, create: true, double: arguments.yes, ..Selection::default() };
    if !selection.double {
        selection.double = agree_to_partners(arguments, loaded, map, selection.clone(), &mut looked_at, signals)?;
    }
    drop(looked_at);
    let mut store = take(loaded, &desk, &shown)?;
    desk.prepare_alone(&mut store, &selection.records).map_err(told)?;
    drop(store);
    let part = Part { only: Vec::new(), selection };
    let run = perform(arguments, loaded, &part, signals)?;
    let store = SqliteStore::read_only(&loaded.state)?;
    let couplings = store.couplings(&map.name, &[])?;
    // Where the side refused the new record, the pair is what it was.
    let mut new: HashSet<PerSide<Uuid>> =
        couplings.erp.iter().zip(&couplings.crm).map(|(erp, crm)| PerSide { erp: *erp, crm: *crm }).collect();
    let ended = dead.into_iter().filter(|pair| !new.remove(&pair.ids)).collect();
    let pairs = coupled(loaded, map, &new, &run)?;
    Ok(Coupled { pairs, ended, run: Some(run), ..Coupled::new(map) })
}

/// Returns the pairs that a run coupled, those that a match rule found and those that it made.
fn coupled(
    loaded: &Loaded,
    map: &TableMap,
    couplings: &HashSet<PerSide<Uuid>>,
    run: &RunReport,
) -> Result<Vec<Pair>, Failure> {
    let mut pairs = found(run);
    let made = run.plan.actions().filter(|action| action.kind.makes_record());
    pairs.extend(made.map(|action| Pair {
        ids: action.ids,
        record: action.record.clone(),
        partner: String::new(),
        origin: Origin::Created(action.side),
        dead: Vec::new(),
        notes: vec![report::couple::origin(&Origin::Created(action.side))],
    }));
    // What a run was kept from is in its plan as well, and some sides give a new record another id than we chose.
    pairs.retain_mut(|pair| {
        let known = couplings.iter().find(|ids| match pair.origin {
            Origin::Created(Side::Erp) => ids.crm == pair.ids.crm,
            Origin::Created(Side::Crm) => ids.erp == pair.ids.erp,
            _ => **ids == pair.ids,
        });
        known.is_some_and(|ids| {
            pair.ids = *ids;
            pair.partner = ids.crm.to_string();
            true
        })
    });
    // The ERP may have given a number of its own. What was done is done, whether it can be named or not.
    let new_in_erp = pairs.iter_mut().filter(|pair| pair.origin == Origin::Created(Side::Erp)).collect();
    let named = name_pairs(loaded, map, Side::Erp, true, new_in_erp);
    let named = named.and_then(|()| name_pairs(loaded, map, Side::Crm, true, pairs.iter_mut().collect()));
    if let Err(failure) = named {
        progress::say(&format!("warning: {failure}"));
    }
    Ok(pairs)
}

/// Shows whom a match rule couples the selection with, and what is overwritten then, and whom the other side has already
/// that looks like one of its records; asks about both, and tells whether partners are made a second time.
fn agree_to_partners(
    arguments: &CoupleArguments,
    loaded: &Loaded,
    map: &TableMap,
    selection: Selection,
    store: &mut dyn Store,
    signals: &Signals,
) -> Result<bool, Failure> {
    let part = Part { only: Vec::new(), selection };
    let mut plan = dry_run(arguments, loaded, &part, store, signals)?;
    let selected = plan.tables.iter().flat_map(|table| &table.selected);
    let alike = selected.filter_map(|chosen| {
        // A record without partner goes by its name on its own side.
        let from = Address::parse(&chosen.record).map_or(Side::Erp, |address| address.side);
        Some(Ask::make_again(&map.name, &chosen.record, from.other(), chosen.outlook.unpartnered.as_ref()?))
    });
    let alike: Vec<Ask> = alike.collect();
    let mut pairs = found(&plan);
    if pairs.is_empty() && alike.is_empty() {
        return Ok(false);
    }
    let (mut questions, mut asks) = (Vec::new(), Vec::new());
    if !pairs.is_empty() {
        name_pairs(loaded, map, Side::Crm, true, pairs.iter_mut().collect())?;
        name_the_others(loaded, store, &mut plan)?;
        let lost = lost(map, &plan, &pairs);
        questions.push(format!("couple {}", plural(pairs.len() as u64, "pair", "pairs")));
        if !lost.is_empty() {
            questions.push(format!("overwrite {}", plural(lost.len() as u64, "value", "values")));
        }
        asks.extend(pairs.iter().map(|pair| Ask::couple(&map.name, pair)));
        let lines = report::couple::preview(&Coupled { pairs, ..Coupled::new(map) });
        lines.iter().for_each(|line| progress::say(line));
        asks.extend(run::show_losses(loaded, store, &plan, &lost)?);
    }
    if !alike.is_empty() {
        alike.iter().for_each(|ask| progress::say(&format!("{}: {}", ask.record, ask.why)));
        questions.push(format!("make {} a second time", plural(alike.len() as u64, "record", "records")));
    }
    let double = !alike.is_empty();
    asks.extend(alike);
    let otherwise =
        "`pipeline couple FILE TABLE:KEY KEY` couples it with another record, or with the one that is there";
    ask::agree(Question { what: list(&questions), asks, otherwise }, false)?;
    Ok(double)
}

/// Returns what these pairs of a plan lose: nobody has agreed to any value of a new one, so whatever is not blank.
fn lost(map: &TableMap, plan: &RunReport, pairs: &[Pair]) -> Vec<Overwritten> {
    let is_theirs =
        |action: &&Action| action.kind == ActionKind::Update && pairs.iter().any(|pair| pair.ids == action.ids);
    let of_action = |action: &Action| {
        let lost = action.fields.iter().filter(|change| !change.old.is_blank()).map(|change| Overwritten {
            table: map.name.clone(),
            record: action.record.clone(),
            ids: action.ids,
            field: change.field.map_or(change.column.as_str(), |field| map.fields[field].name()).to_owned(),
            to: action.side,
            old: change.old.to_string(),
            new: change.new.to_string(),
        });
        lost.collect::<Vec<_>>()
    };
    plan.plan.actions().filter(is_theirs).flat_map(of_action).collect()
}
