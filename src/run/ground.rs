//! What the first step of a pass stands on: what was read, beside the pairs, and what the couplings leave over.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::config::PerSide;
use crate::couple::Absent;
use crate::endpoint::Hidden;
use crate::extract::Undecided;
use crate::frame::Frame;
use crate::run::partners::Widowed;
use crate::store::Couplings;

/// What the first step of a pass knows of its table map, besides its state.
pub(super) struct Ground {
    pub(super) couplings: Couplings,
    /// Coupled records that exist outside their filter.
    pub(super) beyond: PerSide<Frame>,
    /// Coupled records that no list brings and that may exist all the same.
    pub(super) hidden: PerSide<HashMap<Uuid, Hidden>>,
    /// Records that people keep apart.
    pub(super) apart: PerSide<Frame>,
    /// What was read besides, outside of the filters; `None` where everything inside was read and nothing else.
    pub(super) besides: Option<PerSide<Frame>>,
    /// Up to when each side was read as a whole, where it was.
    pub(super) whole_to: Option<PerSide<Option<DateTime<Utc>>>>,
    /// Records that are neither inside their filter nor outside, and why.
    pub(super) undecided: PerSide<(Frame, Vec<Undecided>)>,
}

/// What the couplings leave over.
pub(super) struct Loose {
    /// Couplings of which at least one record was not read.
    pub(super) absent: Vec<Absent>,
    /// Rows without a coupling.
    pub(super) uncoupled: PerSide<Vec<usize>>,
    /// Pairs of which one record is gone.
    pub(super) widowed: Vec<Widowed>,
}
