//! Which part of everything a run is about: `--only`, `--direction` and `--force` as they are written in, table maps and
//! a [`Selection`] out. What the file alone can refuse is refused here, before anybody is asked anything.

use crate::address::{Address, Unclear};
use crate::cli::args::PartArguments;
use crate::cli::exit::Failure;
use crate::cli::world::{self, Loaded};
use crate::config::Side;
use crate::delta::Force;
use crate::run::selection::Selection;

/// Table maps that are named as a whole, and what else a run is narrowed to.
#[derive(Debug, Default)]
pub struct Part {
    pub only: Vec<String>,
    pub selection: Selection,
}

/// Reads the options.
pub fn part(loaded: &Loaded, arguments: &PartArguments) -> Result<Part, Failure> {
    let mut part = Part::default();
    for name in &arguments.only {
        if name.contains(':') {
            part.selection.records.push(address(name)?);
        } else {
            part.only.push(name.clone());
        }
    }
    let named = part.only.iter().chain(part.selection.records.iter().map(|record| &record.table));
    let named: Vec<String> = named.cloned().collect();
    world::known_tables(loaded, &named)?;
    part.selection.to = arguments.direction.map(|way| way.side());
    part.selection.force = arguments.force.map(|way| Force { to: way.side(), seen: None });
    let force = arguments.force.map(|way| way.side());
    for (option, to) in [("direction", part.selection.to), ("force", force)] {
        if let Some(to) = to {
            named.iter().try_for_each(|name| goes(loaded, name, option, to))?;
        }
    }
    if let (Some(to), Some(force)) = (part.selection.to, force)
        && to != force
    {
        return Err(Failure::Arguments {
            message: format!("`--direction to_{}` and `--force to_{}` exclude each other", to.key(), force.key()),
            hint: "the side that is to win is written on the other one; leave one of the two out".to_owned(),
        });
    }
    Ok(part)
}

/// Reads the name of one record.
pub fn address(text: &str) -> Result<Address, Failure> {
    Address::parse(text).ok_or_else(|| no_record(text))
}

/// Refuses a word that cannot be a record's name.
pub fn no_record(text: &str) -> Failure {
    Failure::Arguments {
        message: format!("`{text}` names no record"),
        hint: "records are named `TABLE:KEY` by ERP label or id, or `TABLE:crm:KEY`".to_owned(),
    }
}

/// Refuses names that mean no record, or several, all at once.
///
/// `left` names those of their partners that are still there, `gone` those of which neither record is, or is known to be.
pub fn unclear(all: &[Unclear], left: &[String], gone: &[String]) -> Failure {
    let mut hints: Vec<String> = Vec::new();
    for hint in all.iter().map(Unclear::hint) {
        if !hints.contains(&hint) {
            hints.push(hint);
        }
    }
    if !left.is_empty() {
        let (are, partners) = if left.len() == 1 { ("is", "its partner") } else { ("are", "their partners") };
        hints.insert(0, format!("`{}` {are} still there, {partners}", left.join("`, `")));
    }
    if let Some(first) = gone.first() {
        hints.insert(0, format!("it was there once: `pipeline why FILE {first}` says what became of it"));
    }
    let messages: Vec<String> = all.iter().map(Unclear::to_string).collect();
    Failure::Arguments { message: messages.join("; "), hint: hints.join("; ") }
}

/// Refuses a table map that does not write to a side.
fn goes(loaded: &Loaded, name: &str, option: &str, to: Side) -> Result<(), Failure> {
    let map = loaded.pipeline.tables.iter().find(|table| table.name == name);
    match map {
        Some(map) if !map.direction.writes(to) => Err(Failure::Arguments {
            message: format!(
                "`{name}` does not go to the {}: tables.{name}.direction is {}",
                to.name(),
                map.direction.key()
            ),
            hint: format!("leave `--{option} to_{}` out, or change `direction` in {}", to.key(), loaded.file),
        }),
        _ => Ok(()),
    }
}
