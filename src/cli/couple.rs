//! `pipeline couple`: who belongs to whom, by hand, by a list or by the match rules.
//!
//! A coupling changes the state only, and needs it for itself. What is written besides, a partner that is made or values
//! that are to be equal at once, goes through a run like any other.

mod create;
mod list;
mod rules;

use std::time::Instant;

use uuid::Uuid;

use crate::adapters::sqlite::SqliteStore;
use crate::address::{Address, labels};
use crate::by_hand::bonds::{Bond, bonds, moved};
use crate::by_hand::{Desk, Looked, Moment, Objection, Pair, Wanted};
use crate::cli::args::{CoupleArguments, PartArguments, Way};
use crate::cli::ask::{self, Question};
use crate::cli::exit::{Exit, Failure, of_run};
use crate::cli::named::name_the_others;
use crate::cli::part::{Part, address};
use crate::cli::run::{self, Asked};
use crate::cli::signals::Signals;
use crate::cli::world::{self, Loaded};
use crate::cli::{print_as, progress};
use crate::config::check::Purpose;
use crate::config::{PerSide, Side, TableMap};
use crate::delta::{Force, Overwritten, Seen};
use crate::report;
use crate::report::asked::Ask;
use crate::report::couple::{Coupled, First};
use crate::report::layout::{count, list, plural};
use crate::run::account::RunReport;
use crate::run::context::Options;
use crate::run::explain::foresee;
use crate::run::selection::Selection;
use crate::run::sight::{Sight, Subjects};
use crate::store::Store;

/// Carries out `couple`.
pub fn couple(arguments: &CoupleArguments) -> Result<Exit, Failure> {
    let signals = Signals::listen(progress::stopping);
    let mut loaded = world::load(&arguments.file.path, Purpose::Run)?;
    world::warn(&loaded);
    let Some(first) = arguments.records.first() else { return Err(nobody(arguments, &loaded)) };
    let table = first.split(':').next().unwrap_or_default().to_owned();
    world::known_tables(&loaded, std::slice::from_ref(&table))?;
    let at = loaded.pipeline.tables.iter().position(|map| map.name == table).expect("the name is known");
    if let Some(way) = arguments.sync {
        goes(&loaded, &loaded.pipeline.tables[at], way.side(), &format!("leave `--sync to_{}` out", way.side().key()))?;
    }
    let done = if arguments.create {
        create::create(arguments, &mut loaded, at, &signals)?
    } else if arguments.by_match {
        rules::by_rules(arguments, &loaded, at, &signals)?
    } else {
        by_name(arguments, &loaded, at, &signals)?
    };
    print_as(arguments.file.format, || report::couple::text(&done), || report::couple::json(&done))?;
    Ok(exit(&done, signals.number()))
}

/// A record that a person asked about and that got no partner leaves something to do, and so does one that fails.
fn exit(done: &Coupled, signal: Option<u8>) -> Exit {
    let hindered = done.pairs.is_empty() && !done.notes.is_empty();
    let leaves = !done.ambiguous.is_empty() || !done.left.is_empty() || done.failing > 0 || hindered;
    match done.run.as_ref().map_or(Exit::Done, |run| of_run(run, signal)) {
        Exit::Done if leaves => Exit::Unfinished,
        exit => exit,
    }
}

/// Couples the two records that are named, or those of a list.
fn by_name(arguments: &CoupleArguments, loaded: &Loaded, at: usize, signals: &Signals) -> Result<Coupled, Failure> {
    let map = &loaded.pipeline.tables[at];
    let (wanted, mut objections) = match &arguments.from {
        Some(path) => {
            only_table(arguments, map)?;
            list::pairs(&list::text(path)?, &path.display().to_string(), map)?
        }
        None => (vec![named(loaded, map, &arguments.records)?], Vec::new()),
    };
    let endpoints = world::endpoints(&loaded.pipeline);
    let sides = PerSide { erp: &*endpoints.erp, crm: &*endpoints.crm };
    let store = look(loaded)?;
    let told = |error| run::failure(loaded, None, error);
    let desk = Desk::open(&loaded.pipeline, sides, &store, map).map_err(told)?;
    let looked = desk.look(&store, &wanted).map_err(told)?;
    let Looked { pairs, already } = looked.unwrap_or_else(|more| {
        objections.extend(more);
        Looked::default()
    });
    if !objections.is_empty() {
        objections.sort_by_key(|objection| objection.line);
        return Err(objected(&objections));
    }
    let done = Coupled { pairs, already, ..Coupled::new(map) };
    finish(arguments, loaded, &desk, store, done, signals)
}

/// Couples what is found in a state that was `looked` at, once everything is agreed to, and makes it equal or looks at what
/// the next run does.
fn finish(
    arguments: &CoupleArguments,
    loaded: &Loaded,
    desk: &Desk<'_>,
    mut looked: SqliteStore<'_>,
    mut done: Coupled,
    signals: &Signals,
) -> Result<Coupled, Failure> {
    let map = desk.map;
    let pairs = done.pairs.iter().map(|pair| pair.ids).chain(done.already.iter().copied());
    let shown = bonds(&looked, pairs.map(|ids| (map.name.as_str(), ids)))?;
    let seen = agree(arguments, loaded, map, &done, &mut looked, signals)?;
    drop(looked);
    if !done.pairs.is_empty() {
        let mut store = take(loaded, desk, &shown)?;
        desk.couple(&mut store, &done.pairs, &moment()).map_err(|error| run::failure(loaded, None, error))?;
    }
    match arguments.sync {
        Some(way) if !(done.pairs.is_empty() && done.already.is_empty()) => {
            done.run = Some(synchronize(arguments, loaded, map, &done, (way, seen), signals)?);
        }
        None if !done.pairs.is_empty() => {
            done.first = Some(first_run(loaded, map, &done.pairs, arguments.talk.verbose, signals)?)
        }
        _ => {}
    }
    Ok(done)
}

/// Calls the records of one side what people call them; `some` is a selection, not worth a read of the whole table.
fn name_pairs(
    loaded: &Loaded,
    map: &TableMap,
    side: Side,
    some: bool,
    mut pairs: Vec<&mut Pair>,
) -> Result<(), Failure> {
    if pairs.is_empty() {
        return Ok(());
    }
    let endpoints = world::endpoints(&loaded.pipeline);
    let ids = some.then(|| pairs.iter().map(|pair| *pair.ids.of(side)).collect());
    let labels = labels(map, side, &**endpoints.of(side), ids)?;
    for pair in &mut pairs {
        if let Some(label) = labels.get(pair.ids.of(side)) {
            let name = Address { table: map.name.clone(), side, key: label.trim().to_owned() }.to_string();
            *(if side == Side::Erp { &mut pair.record } else { &mut pair.partner }) = name;
        }
    }
    Ok(())
}

/// Makes coupled records equal at once: one side is overwritten, as far as a person has `seen` it where one was asked.
fn synchronize(
    arguments: &CoupleArguments,
    loaded: &Loaded,
    map: &TableMap,
    done: &Coupled,
    (way, seen): (Way, Option<Vec<Overwritten>>),
    signals: &Signals,
) -> Result<RunReport, Failure> {
    let force = Some(Force { to: way.side(), seen: seen.map(Seen::from_iter) });
    let part = Part { only: Vec::new(), selection: Selection { force, ..records(map, done) } };
    perform(arguments, loaded, &part, signals)
}

/// Returns what the next run would do with these pairs; whom they refer to may get its coupling in that very run.
fn first_run(
    loaded: &Loaded,
    map: &TableMap,
    pairs: &[Pair],
    verbose: u8,
    signals: &Signals,
) -> Result<First, Failure> {
    let mut store = SqliteStore::read_only(&loaded.state)?;
    let began = Instant::now();
    let elapsed = || began.elapsed().as_secs_f64();
    let options = run::looking(&elapsed, signals.stop());
    let ids = PerSide::from_fn(|side| pairs.iter().map(|pair| *pair.ids.of(side)).collect());
    let subjects = Subjects::from([(map.name.clone(), ids)]);
    let endpoints = world::endpoints(&loaded.pipeline);
    let sides = PerSide { erp: &*endpoints.erp, crm: &*endpoints.crm };
    let foreseen =
        progress::on_request(verbose, |tell| foresee(&loaded.pipeline, sides, &mut store, &options, tell, subjects));
    let (mut report, sights) = foreseen.map_err(|error| run::failure(loaded, None, error))?;
    name_the_others(loaded, &store, &mut report)?;
    let sight = sights.iter().find(|sight| sight.table == map.name);
    // Of what cannot be read the run itself says that.
    let is_outside = |pair: &&Pair| {
        let is = |held: &dyn Fn(&Sight, Side, &Uuid) -> bool| {
            let held = |side: Side| sight.is_some_and(|sight| held(sight, side, pair.ids.of(side)));
            PerSide::from_fn(held)
        };
        let inside = is(&|sight, side, id| sight.inside.of(side).contains(id));
        let undecided = is(&|sight, side, id| sight.undecided.of(side).contains_key(id));
        !(inside.erp && inside.crm || undecided.erp || undecided.crm)
    };
    let outside = pairs.iter().filter(is_outside).count() as u64;
    Ok(First { report, outside })
}

/// Selects the pairs that were asked for, those that are coupled now and those that were before.
fn records(map: &TableMap, done: &Coupled) -> Selection {
    let ids = done.pairs.iter().map(|pair| pair.ids).chain(done.already.iter().copied());
    let address = |ids: PerSide<Uuid>| Address { table: map.name.clone(), side: Side::Erp, key: ids.erp.to_string() };
    Selection { records: ids.map(address).collect(), ..Selection::default() }
}

fn dry_run(
    arguments: &CoupleArguments,
    loaded: &Loaded,
    part: &Part,
    store: &mut dyn Store,
    signals: &Signals,
) -> Result<RunReport, Failure> {
    let began = Instant::now();
    let elapsed = || began.elapsed().as_secs_f64();
    let everything = PartArguments::default();
    let asked = Asked { part: &everything, dry_run: true, yes: true, verbose: arguments.talk.verbose, approved: None };
    let options = Options { dry_run: true, ..run::options(part, &asked, None, &elapsed, signals) };
    progress::on_request(asked.verbose, |tell| run::decide(loaded, store, &asked, &options, tell))
}

fn perform(arguments: &CoupleArguments, loaded: &Loaded, part: &Part, signals: &Signals) -> Result<RunReport, Failure> {
    let everything = PartArguments::default();
    let asked = Asked { part: &everything, dry_run: false, yes: true, verbose: arguments.talk.verbose, approved: None };
    run::perform_part(loaded, part, &asked, signals)
}

/// Opens the state for reading, to look at what a person may have to agree to; what is broken in it is refused before a side is
/// asked, as where it is opened for writing.
pub fn look(loaded: &Loaded) -> Result<SqliteStore<'static>, Failure> {
    let store = SqliteStore::read_only(&loaded.state)?;
    for map in &loaded.pipeline.tables {
        store.couplings(&map.name, &[])?;
    }
    Ok(store)
}

/// Opens the state for writing, where it is still what was `shown` of it.
pub fn take(loaded: &Loaded, desk: &Desk<'_>, shown: &[Bond]) -> Result<SqliteStore<'static>, Failure> {
    let opened = SqliteStore::open(&loaded.state, &world::holder(), &world::now, loaded.pipeline.keep_values);
    let mut store = opened.map_err(|error| run::named(error, &loaded.state))?;
    desk.bind(&mut store).map_err(|error| run::failure(loaded, None, error))?;
    match moved(&store, shown)? {
        None => Ok(store),
        Some(bond) => Err(Failure::Moved { what: format!("a coupling of `{}`", bond.table) }),
    }
}

/// Returns the moment and an id for what is done by hand.
pub fn moment() -> Moment {
    Moment { run: Uuid::new_v4().to_string(), at: world::now() }
}

/// Asks where something is overwritten, which it shows first, or where nobody named the pairs; returns what would be
/// overwritten, where a person was shown it.
fn agree(
    arguments: &CoupleArguments,
    loaded: &Loaded,
    map: &TableMap,
    done: &Coupled,
    store: &mut dyn Store,
    signals: &Signals,
) -> Result<Option<Vec<Overwritten>>, Failure> {
    if arguments.yes || (done.pairs.is_empty() && done.already.is_empty()) {
        return Ok(None);
    }
    let mut asks: Vec<Ask> = done.pairs.iter().map(|pair| Ask::couple(&map.name, pair)).collect();
    let seen = match arguments.sync {
        Some(way) => {
            let force = Some(Force { to: way.side(), seen: None });
            let coupled = done.pairs.iter().map(|pair| (map.name.clone(), pair.ids)).collect();
            let selection = Selection { force, pairs: coupled, ..records(map, done) };
            let mut plan = dry_run(arguments, loaded, &Part { only: Vec::new(), selection }, store, signals)?;
            name_the_others(loaded, store, &mut plan)?;
            let lost: Vec<Overwritten> = plan.tables.iter().flat_map(|table| table.overwritten.clone()).collect();
            if !lost.is_empty() {
                asks.extend(run::show_losses(loaded, store, &plan, &lost)?);
            }
            Some(lost)
        }
        None => None,
    };
    let overwritten = seen.as_ref().map_or(0, Vec::len) as u64;
    let is_found = arguments.by_match && !done.pairs.is_empty();
    if overwritten == 0 && !is_found {
        return Ok(seen);
    }
    let mut questions = Vec::new();
    for (number, verb, one, many) in
        [(done.pairs.len() as u64, "couple", "pair", "pairs"), (overwritten, "overwrite", "value", "values")]
    {
        if number > 0 {
            questions.push(format!("{verb} {}", plural(number, one, many)));
        }
    }
    let otherwise = match arguments.sync {
        Some(_) => "without `--sync`, `couple` writes neither side and shows where the records differ",
        None => "`pipeline couple FILE TABLE:KEY KEY` couples single records",
    };
    ask::agree(Question { what: list(&questions), asks, otherwise }, false)?;
    Ok(seen)
}

/// Reads `TABLE:KEY KEY`: the second one is of the other side.
fn named(loaded: &Loaded, map: &TableMap, records: &[String]) -> Result<Wanted, Failure> {
    let [one, other] = records else {
        return Err(Failure::Arguments {
            message: format!(
                "{} given, and two belong together",
                plural(records.len() as u64, "record is", "records are")
            ),
            hint: "`pipeline couple FILE customers:10000 A-1001`; or `--create`, `--match`, `--from`".to_owned(),
        });
    };
    let one = address(one)?;
    // A key may hold a colon, but hardly the name of a table map before it.
    let is_table = |name: &str| loaded.pipeline.tables.iter().any(|table| table.name == name);
    let other = match other.split_once(':') {
        Some((table, _)) if table == map.name => address(other)?,
        Some((table, _)) if is_table(table) => return Err(one_table(map)),
        _ => Address { table: one.table.clone(), side: one.side.other(), key: other.trim().to_owned() },
    };
    Ok(Wanted { line: None, addresses: [one, other] })
}

/// Refuses a call that names nobody.
fn nobody(arguments: &CoupleArguments, loaded: &Loaded) -> Failure {
    let table = loaded.pipeline.tables.first().map_or("TABLE", |map| &map.name);
    let (message, hint) = match (&arguments.from, arguments.create, arguments.by_match) {
        (Some(path), ..) => (
            "`--from` takes one table map, of which the list names the records",
            format!("`pipeline couple FILE {table} --from {}`", path.display()),
        ),
        (None, true, _) => ("`--create` takes the records that lack a partner", "`TABLE:KEY --create`".to_owned()),
        (None, false, true) => {
            ("`--match` takes a table map, or records of one", format!("`pipeline couple FILE {table} --match`"))
        }
        (None, false, false) => (
            "no record is given, and two belong together",
            "`pipeline couple FILE customers:10000 A-1001`; or `--create`, `--match`, `--from`".to_owned(),
        ),
    };
    Failure::Arguments { message: message.to_owned(), hint }
}

fn only_table(arguments: &CoupleArguments, map: &TableMap) -> Result<(), Failure> {
    match arguments.records.as_slice() {
        [table] if *table == map.name => Ok(()),
        _ => Err(Failure::Arguments {
            message: "`--from` takes one table map, and the list names the records".to_owned(),
            hint: format!("`pipeline couple FILE {} --from pairs.csv`", map.name),
        }),
    }
}

/// Refuses records of several table maps.
pub fn one_table(map: &TableMap) -> Failure {
    Failure::Arguments {
        message: "the records are of several table maps".to_owned(),
        hint: format!("name those of `{}` by themselves", map.name),
    }
}

/// Refuses a side that the table map does not write.
fn goes(loaded: &Loaded, map: &TableMap, to: Side, hint: &str) -> Result<(), Failure> {
    if map.direction.writes(to) {
        return Ok(());
    }
    let (name, key) = (&map.name, map.direction.key());
    Err(Failure::Arguments {
        message: format!("`{name}` does not go to the {}: tables.{name}.direction is {key}", to.name()),
        hint: format!("{hint}, or change `direction` in {}", loaded.file),
    })
}

/// Tells all objections at once.
pub fn objected(all: &[Objection]) -> Failure {
    let line = |objection: &Objection| match objection.line {
        Some(line) => format!("line {line}: {}", objection.message),
        None => objection.message.clone(),
    };
    let mut hints: Vec<String> = Vec::new();
    for objection in all {
        if !hints.contains(&objection.hint) {
            hints.push(objection.hint.clone());
        }
    }
    let messages: Vec<String> = all.iter().map(line).collect();
    let message = match &messages[..] {
        [message] => format!("{message}; nothing was done"),
        all => format!("{} objections, and nothing was done:\n  {}", count(all.len() as u64), all.join("\n  ")),
    };
    Failure::Arguments { message, hint: hints.join("; ") }
}
