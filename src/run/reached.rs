//! How far a pass knows both sides, for the watermark that a run over changes goes by (I1).

use uuid::Uuid;

use crate::config::{PerSide, Side};
use crate::extract::Scope;
use crate::frame::Frame;
use crate::store::Watermark;
use crate::watermark::seen;

/// How far both sides are known when everything is settled.
#[derive(Default)]
pub(super) struct Reached {
    /// `None` where a side tells no times, or something was left to be read again.
    mark: Option<Watermark>,
    /// Records that came again as they were settled, and were left out.
    again: PerSide<Vec<(Uuid, u64)>>,
}

impl Reached {
    /// Takes what a reading came to.
    pub(super) fn new(mark: Option<Watermark>, again: PerSide<Vec<(Uuid, u64)>>) -> Reached {
        Reached { mark, again }
    }

    /// Returns it.
    pub(super) fn mark(&self) -> Option<&Watermark> {
        self.mark.as_ref()
    }

    /// Has everything read again by the next run over changes.
    pub(super) fn forget(&mut self) {
        self.mark = None;
    }

    /// Notes which records the next read brings again, now that every record of the pass is settled or in the inbox.
    pub(super) fn note_seen(&mut self, scope: &Scope, frames: &PerSide<Frame>) {
        let Some(mark) = &mut self.mark else { return };
        for side in Side::BOTH {
            let Some(column) = scope.modified.of(side) else { continue };
            let mut all = seen(frames.of(side), column, *mark.read_to.of(side));
            all.extend(self.again.of(side));
            all.sort_unstable();
            all.dedup();
            *mark.seen.of_mut(side) = all;
        }
    }
}
