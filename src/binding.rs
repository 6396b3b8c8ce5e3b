//! What a state belongs to: one pipeline, one company of the ERP, one organization of the CRM.
//!
//! Couplings and bases say something about the records of these two places only: held against another company they would
//! be taken for edits, and its records overwritten. The pipeline's name counts because the ids of new records follow
//! from it. Where each place is reached, and what it is called, may change. How the binding is kept is not known here.

use std::fmt;

use crate::config::{PerSide, Side};
use crate::endpoint::Identity;

/// What a state belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The name in the pipeline file.
    pub pipeline: String,
    /// Its company and its organization.
    pub sides: PerSide<Identity>,
}

/// A state that belongs to others than it is asked to serve; nothing was read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it belongs to {bound}, and the pipeline file now leads to {now}; nothing was read or written",
    bound = both(.bound, .differs), now = both(.now, .differs))]
pub struct Foreign {
    /// What the state belongs to.
    pub bound: PerSide<Identity>,
    /// Where the file leads to.
    pub now: PerSide<Identity>,
    /// On which sides these are not the same.
    differs: PerSide<bool>,
}

/// A state that belongs to a pipeline of another name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it belongs to the pipeline `{bound}`, and this file is the pipeline `{now}`; nothing was read or written")]
pub struct Renamed {
    pub bound: String,
    pub now: String,
}

impl Binding {
    /// Refuses a pipeline of another name.
    pub fn of_pipeline(&self, name: &str) -> Result<(), Renamed> {
        if self.pipeline == name {
            return Ok(());
        }
        Err(Renamed { bound: self.pipeline.clone(), now: name.to_owned() })
    }

    /// Refuses another company or organization; another name of the same one is none.
    pub fn of_sides(&self, now: &PerSide<Identity>) -> Result<(), Box<Foreign>> {
        let differs = PerSide::from_fn(|side| self.sides.of(side).id != now.of(side).id);
        if !differs.erp && !differs.crm {
            return Ok(());
        }
        Err(Box::new(Foreign { bound: self.sides.clone(), now: now.clone(), differs }))
    }
}

/// Returns what a side's identity is called there.
fn noun(side: Side) -> &'static str {
    match side {
        Side::Erp => "company",
        Side::Crm => "organization",
    }
}

/// Names a side's identity: `the ERP company `CRONUS` (11111111-…)`.
struct Named<'a>(Side, &'a Identity);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Named(side, Identity { id, name }) = self;
        write!(f, "the {} {} `{name}` ({id})", side.name(), noun(*side))
    }
}

/// Names both sides.
pub fn names(sides: &PerSide<Identity>) -> String {
    both(sides, &PerSide { erp: true, crm: true })
}

fn both(sides: &PerSide<Identity>, differs: &PerSide<bool>) -> String {
    let other = Side::BOTH.into_iter().filter(|side| *differs.of(*side));
    other.map(|side| Named(side, sides.of(side)).to_string()).collect::<Vec<_>>().join(" and ")
}
