//! Records of a frame that could not be read to the end: they are there, and what is missing of them is not blank.
//!
//! A cell that is no value of its column costs its record, not its table. The record keeps its row, so that nobody takes it
//! for gone, and the columns that could be read keep their values: they name it, and tell whom it looks like. Nothing else
//! may be concluded from it; whoever reads it in order to compare or write takes the rows of [`Frame::readable`].

use std::borrow::Cow;
use std::collections::BTreeMap;

use uuid::Uuid;

use crate::frame::Frame;

/// Why a record could not be read to the end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unreadable {
    /// The columns without a value, by the names that the file gives them; they are null in the frame.
    pub columns: Vec<String>,
    /// What came in the first of them.
    pub why: String,
}

impl Frame {
    /// Returns why a record could not be read to the end, where that is so.
    pub fn unreadable(&self, id: Uuid) -> Option<&Unreadable> {
        self.unreadable.get(&id)
    }

    /// Returns the records that could not be read to the end, and why.
    pub fn unreadables(&self) -> &BTreeMap<Uuid, Unreadable> {
        &self.unreadable
    }

    /// Returns the rows that could be read to the end.
    pub fn readable(&self) -> Cow<'_, Frame> {
        if self.unreadable.is_empty() {
            return Cow::Borrowed(self);
        }
        let ids = self.ids();
        Cow::Owned(self.take(&(0..ids.len()).filter(|row| self.unreadable(ids[*row]).is_none()).collect::<Vec<_>>()))
    }

    /// Tells whether a column of a row could not be read.
    pub fn lacks(&self, column: &str, row: usize) -> bool {
        let unreadable =
            || self.unreadable(self.id(row)).is_some_and(|it| it.columns.iter().any(|name| name == column));
        !self.unreadable.is_empty() && unreadable()
    }
}
