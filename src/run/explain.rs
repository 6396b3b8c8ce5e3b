//! Single records as a run would treat them: the same passes as a run, over these records and whatever they depend on.
//!
//! Whom a reference leads to may get its coupling in the very run that needs it, or lose it. So the records that a
//! subject refers to become subjects as well, and the passes are gone through again, until nobody else is needed.

use uuid::Uuid;

use crate::config::{PerSide, Pipeline, Side};
use crate::endpoint::Endpoint;
use crate::run::account::{Event, RunReport};
use crate::run::context::Options;
use crate::run::selection::Selection;
use crate::run::sight::{Sight, Subjects};
use crate::run::{RunError, carry_out};
use crate::store::Store;

/// References that lead on to references: a chain longer than this is explained as far as that.
const CHAIN_MAX: usize = 16;

/// What a run would do with one record, and what it knows of it.
#[derive(Debug)]
pub struct Explained {
    /// Of a dry run over the record and what it depends on.
    pub report: RunReport,
    /// What the record's own pass saw; `None` where it could not be finished.
    pub sight: Option<Sight>,
}

/// Goes through a run on paper for one record; nothing is written anywhere.
pub fn explain(
    pipeline: &Pipeline,
    endpoints: PerSide<&dyn Endpoint>,
    store: &mut dyn Store,
    options: &Options<'_>,
    tell: &(dyn Fn(Event<'_>) + Sync),
    (table, side, id): (&str, Side, Uuid),
) -> Result<Explained, RunError> {
    let mut subjects = Subjects::new();
    subjects.entry(table.to_owned()).or_default().of_mut(side).insert(id);
    let (report, sights) = foresee(pipeline, endpoints, store, options, tell, subjects)?;
    let sight = sights.into_iter().find(|sight| sight.table == table);
    Ok(Explained { report, sight })
}

/// Goes through a run on paper for some records, and returns what it saw of these and of those that they depend on;
/// nothing is written anywhere.
pub fn foresee(
    pipeline: &Pipeline,
    endpoints: PerSide<&dyn Endpoint>,
    store: &mut dyn Store,
    options: &Options<'_>,
    tell: &(dyn Fn(Event<'_>) + Sync),
    mut subjects: Subjects,
) -> Result<(RunReport, Vec<Sight>), RunError> {
    let mut links = 0;
    loop {
        let options = Options {
            approved: None,
            guarded_plan: None,
            only: subjects.keys().cloned().collect(),
            selection: Selection::default(),
            changed: true,
            dry_run: true,
            run: options.run.clone(),
            started: options.started.clone(),
            elapsed: options.elapsed,
            stop: options.stop,
        };
        let (report, sights) = carry_out(pipeline, endpoints, store, &options, tell, Some(&subjects))?;
        let mut grown = false;
        for (table, side, id) in sights.iter().flat_map(|sight| &sight.refers) {
            grown |= subjects.entry(table.clone()).or_default().of_mut(*side).insert(*id);
        }
        links += 1;
        if !grown || links == CHAIN_MAX {
            return Ok((report, sights));
        }
    }
}
