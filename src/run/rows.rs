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

/// Returns the rows of a frame that could not be read to the end.
pub(super) fn unreadable_in(frame: &Frame) -> Frame {
    without(frame, |id| frame.unreadable(*id).is_none())
}
