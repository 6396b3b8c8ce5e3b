//! What waits about coupled pairs of which a record is outside its filter.

use uuid::Uuid;

use crate::config::PerSide;
use crate::couple::Pairs;
use crate::frame::Frame;
use crate::store::InboxItem;

/// What waits about pairs outside their filters.
#[derive(Default)]
pub(super) struct Outside {
    open: Option<Open>,
    /// What stays in the inbox.
    items: Vec<InboxItem>,
}

impl Outside {
    /// Takes what waited before, and was not looked at yet.
    pub(super) fn take(&mut self, open: Open) {
        self.open = Some(open);
    }

    /// Returns the pairs about which something waits.
    pub(super) fn open(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    /// Takes what stays in the inbox.
    pub(super) fn keep(&mut self, items: Vec<InboxItem>) {
        self.items.extend(items);
    }

    /// Returns what stays in the inbox.
    pub(super) fn items(&self) -> &[InboxItem] {
        &self.items
    }

    /// Returns the records of the pairs about which something waits.
    pub(super) fn frames(&self) -> Option<&PerSide<Frame>> {
        self.open.as_ref().map(|open| &open.frames)
    }

    /// Tells whether something that a side refused stays in the inbox.
    pub(super) fn holds(&self, ids: (Option<Uuid>, Option<Uuid>)) -> bool {
        self.items.iter().any(|item| item.field.is_none() && (item.erp_id, item.crm_id) == ids)
    }
}

/// Pairs outside that somebody was asked about.
pub(super) struct Open {
    /// What it is.
    pub(super) earlier: Vec<InboxItem>,
    pub(super) frames: PerSide<Frame>,
    pub(super) pairs: Pairs,
}
