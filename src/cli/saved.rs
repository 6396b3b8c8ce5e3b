//! Saved plans and the world: where they are read and saved, and what they were made for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::adapters::plan_file::{self, ReadError};
use crate::cli::args::{PartArguments, Way};
use crate::cli::exit::Failure;
use crate::cli::world::Loaded;
use crate::plan::{TablePlan, fingerprint};
use crate::report::saved::{AskedFor, Origins, Saved};
use crate::run::account::{RunReport, Stopped, TableReport};
use crate::run::approval::Approved;
use crate::run::carried::Carried;

const PROGRAM: &str = concat!("pipeline ", env!("CARGO_PKG_VERSION"));

/// Reads a saved plan.
pub fn read(path: &Path) -> Result<Saved, Failure> {
    plan_file::read(path).map_err(|error| {
        let hint = match &error {
            ReadError::File(_) => "give the path of a plan that `pipeline plan FILE -o PLAN` saved",
            ReadError::Unusable(_) => "make it anew with `pipeline plan FILE -o PLAN`",
        };
        Failure::Plan { plan: path.display().to_string(), message: error.to_string(), hint: hint.to_owned() }
    })
}

/// Refuses a path under which something else is kept, before anything is asked of anybody.
pub fn may_save(path: &Path) -> Result<(), Failure> {
    match plan_file::may_save(path) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::Arguments {
            message: format!("{} is there already and is no saved plan; it stays as it is", path.display()),
            hint: "give another name behind `-o`".to_owned(),
        }),
        Err(error) => Err(unsaved(path, &error)),
    }
}

/// Saves what a dry run decided.
pub fn save(path: &Path, report: &RunReport, loaded: &Loaded, part: &PartArguments) -> Result<(), Failure> {
    let plan = with_origins(loaded, &asked_for(part), |origins| Saved::of(report, &loaded.pipeline, origins));
    plan_file::save(path, &plan).map_err(|error| unsaved(path, &error))
}

/// Says from where a plan is to whoever makes one.
fn with_origins<T>(loaded: &Loaded, asked: &AskedFor, make: impl FnOnce(&Origins<'_>) -> T) -> T {
    let (file, state) = (absolute(Path::new(&loaded.file)), absolute(&loaded.state));
    let fingerprint = fingerprint(&loaded.text);
    make(&Origins { program: PROGRAM, file: &file, fingerprint: &fingerprint, state: &state, asked })
}

fn asked_for(part: &PartArguments) -> AskedFor {
    AskedFor {
        changed: part.changed,
        only: part.only.clone(),
        to: part.direction.map(Way::side),
        force: part.force.map(Way::side),
    }
}

/// Returns the options by which a run decides what a saved plan decided; `only` is what is to be carried out of it.
pub fn part_of(asked: &AskedFor, only: Vec<String>) -> PartArguments {
    PartArguments {
        only,
        changed: asked.changed,
        full: false,
        direction: asked.to.map(Way::to),
        force: asked.force.map(Way::to),
    }
}

/// Returns a path by which the file is found from every folder.
pub fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// Returns where the plan of what a guard stops is saved, beside the state; a run over a part of table maps leaves alone what
/// one over the whole of them left.
pub fn guarded_path(loaded: &Loaded, part: bool) -> PathBuf {
    let mut name = loaded.state.clone().into_os_string();
    name.push(if part { ".guarded-part.plan" } else { ".guarded.plan" });
    PathBuf::from(name)
}

/// Returns what of both is there, the plan over whole table maps first.
fn kept_plans(loaded: &Loaded) -> Vec<(PathBuf, Result<Saved, ReadError>)> {
    let paths = [false, true].map(|part| guarded_path(loaded, part));
    paths.map(|path| (path.clone(), plan_file::read(&path))).into()
}

/// Returns the table maps of which a guard stopped, as a whole, something that is kept; why it did, and when.
pub fn stopped(loaded: &Loaded) -> BTreeMap<String, Stopped> {
    let Ok(Saved { plan, moment, .. }) = plan_file::read(&guarded_path(loaded, false)) else { return BTreeMap::new() };
    let why = |guarded: Option<String>| Stopped { why: guarded.unwrap_or_default(), at: moment.clone() };
    plan.tables.into_iter().map(|TablePlan { table, guarded, .. }| (table, why(guarded))).collect()
}

/// Returns a path as a shell takes it.
pub fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%".contains(c);
    if !path.is_empty() && path.chars().all(plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

/// Saves at `path` what the guards of a run stopped, in place of what an earlier run left there. Of what is kept, that of
/// which every table map had its whole turn without being stopped has had its time and goes.
pub fn keep_guarded(report: &RunReport, loaded: &Loaded, part: &PartArguments, path: &Path) -> Result<(), Failure> {
    let stopped = with_origins(loaded, &asked_for(part), |origins| Saved::stopped(report, &loaded.pipeline, origins));
    if let Some(plan) = &stopped {
        plan_file::save(path, plan).map_err(|error| unsaved(path, &error))?;
    }
    let passed = |name: &str| {
        let whole = |table: &TableReport| !table.partial && table.error.is_none() && table.guarded.is_none();
        report.tables.iter().any(|table| table.table == name && whole(table))
    };
    for (path, earlier) in kept_plans(loaded) {
        let is_stale = match earlier {
            Ok(earlier) => earlier.plan.tables.iter().all(|table| passed(&table.table)),
            // What cannot be applied is of no use to anybody.
            Err(ReadError::Unusable(_)) => true,
            Err(ReadError::File(_)) => false,
        };
        if is_stale {
            plan_file::remove(&path).map_err(|error| unsaved(&path, &error))?;
        }
    }
    Ok(())
}

/// Removes what a guard stopped and a person has approved, once all of it is carried out.
pub fn drop_carried(report: &RunReport, loaded: &Loaded, approved: &Approved) -> Result<(), Failure> {
    let whole = |carried: &Carried| {
        let Carried { failed, unreached, left_out, moved, .. } = carried;
        (*failed, *unreached, *left_out) == (0, 0, 0) && moved.is_empty()
    };
    if !report.carried.as_ref().is_some_and(whole) {
        return Ok(());
    }
    for (path, plan) in kept_plans(loaded) {
        if plan.is_ok_and(|plan| plan.moment == approved.moment && plan.plan.hash() == approved.plan.hash()) {
            plan_file::remove(&path).map_err(|error| unsaved(&path, &error))?;
        }
    }
    Ok(())
}

fn unsaved(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Unsaved { plan: path.display().to_string(), message: error.to_string() }
}
