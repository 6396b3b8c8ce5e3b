//! Rows of frames, told apart by their ids.

use uuid::Uuid;

use crate::couple::rows_by_id;
use crate::frame::Frame;

/// Returns the rows of `all` that the frame does not hold.
pub(super) fn not_in(all: &Frame, frame: &Frame) -> Frame {
    let inside = rows_by_id(frame);
    without(all, |id| inside.contains_key(id))
}

/// Returns the rows of a frame whose ids are not `left_out`.
pub(super) fn without(frame: &Frame, left_out: impl Fn(&Uuid) -> bool) -> Frame {
    let ids = frame.ids();
    let rows: Vec<usize> = (0..ids.len()).filter(|&row| !left_out(&ids[row])).collect();
    frame.take(&rows)
}

/// Returns the records of a frame that cannot be read and have no partner.
pub(super) fn free_in(frame: &Frame, is_coupled: impl Fn(&Uuid) -> bool) -> Frame {
    let ids = frame.ids();
    let is_free = |row: &usize| frame.unreadable(ids[*row]).is_some() && !is_coupled(&ids[*row]);
    frame.take(&(0..ids.len()).filter(is_free).collect::<Vec<_>>())
}
