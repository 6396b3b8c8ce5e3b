//! What a series of rounds is about.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::PerSide;
use crate::frame::Frame;

/// What is to be decided, and written.
#[derive(Default)]
pub(super) struct Agenda {
    /// Records that get a partner, by the side where they are; ids, because rows move when frames are brought up to date.
    pub(super) sources: PerSide<Vec<Uuid>>,
    /// Records that would get one as well in a run over everything, where this one is about others.
    pub(super) bystanders: PerSide<Vec<Uuid>>,
    /// What each side holds outside its filter, where that was read: running numbers count past it.
    pub(super) beyond: PerSide<Option<Frame>>,
    /// The pairs to decide first, by their ERP ids; all of them where nothing is named.
    pub(super) pairs: Option<HashSet<Uuid>>,
    /// The first writes of a table map come now: its guard counts what the second step is known to change besides.
    pub(super) foresees: bool,
}
