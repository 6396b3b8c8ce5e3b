//! What was read of a table map, however it was read.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::config::PerSide;
use crate::extract::Inside;
use crate::frame::Frame;
use crate::run::account::Mode;
use crate::store::Watermark;

/// What a pass works on.
pub(super) struct Reading {
    pub(super) mode: Mode,
    /// What both sides hold inside their filters, as far as it was read.
    pub(super) inside: PerSide<Inside>,
    /// What was read besides, outside of the filters; `None` where everything inside was read and nothing else.
    pub(super) besides: Option<PerSide<Frame>>,
    /// Which couplings to look at, where that is not all of them.
    pub(super) couplings: Option<Vec<usize>>,
    /// How far both sides are known once everything read is settled; `None` where a side tells no times.
    pub(super) mark: Option<Watermark>,
    /// Up to when each side was read as a whole, where it was, by its own times: what was modified before and is inside the
    /// filter is among what came.
    pub(super) whole_to: Option<PerSide<Option<DateTime<Utc>>>>,
    /// Records that came again as they were, and were left out.
    pub(super) again: PerSide<Vec<(Uuid, u64)>>,
    /// Why the table was read in full although only changes were asked for.
    pub(super) note: Option<String>,
}

/// Returns ids in a fixed order, each once.
pub(super) fn sorted(ids: HashSet<Uuid>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = ids.into_iter().collect();
    ids.sort_unstable();
    ids
}
