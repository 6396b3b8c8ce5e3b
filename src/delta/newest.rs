//! When was each record of a pair last edited by somebody else than us?
//!
//! Frames with times of modification and versions go in, and what we remember of our own writes; out come the times of
//! both edits. Our own write moves a record's time without anybody having edited it: a record that still has the version
//! in which we left it was edited when it was edited before that. The clock's offset is an argument.

use chrono::{DateTime, Utc};
use xxhash_rust::xxh3::xxh3_64;

use crate::config::{PerSide, Side};
use crate::couple::Pairs;
use crate::delta::merge::Edits;
use crate::endpoint::NoClock;
use crate::frame::{Frame, Value};

/// Under these names the state keeps, beside the bases of the fields, in which version we left each record of a pair, and
/// when it had been edited before. No field has such a key.
pub const KEYS: [&str; 2] = ["#left", "#edited"];

/// The version of a record that a write is under way to: whether it arrived is not known.
pub const UNDER_WAY: u64 = 1;

/// Where times come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// The columns that tell when a record was last modified.
    pub columns: PerSide<String>,
    /// How far the CRM's clock is ahead of the ERP's, or why nobody knows.
    pub crm_ahead_ms: Result<i64, NoClock>,
    /// Number of the base that holds the first of [`KEYS`]; the other one follows.
    pub left: usize,
}

/// What is remembered of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The version, see [`Times::version`].
    pub left: u64,
    /// Milliseconds since 1970 by the side's own clock; 0 where nobody knows.
    pub edited: u64,
}

/// Returns what stands for the version of a record: a side that tells none is asked when the record was modified, and where
/// it does not tell that either nothing is known of it.
fn version(etag: Option<String>, modified: Option<DateTime<Utc>>) -> u64 {
    let told = etag.or_else(|| modified.map(|time| time.to_rfc3339()));
    // 0 means that nothing is remembered.
    told.map_or(UNDER_WAY, |told| xxh3_64(told.as_bytes()).max(UNDER_WAY + 1))
}

impl Times {
    /// Returns what is remembered of a pair's record.
    pub fn mark(&self, pairs: &Pairs, pair: usize, side: Side) -> Option<Mark> {
        let of = |base: usize| pairs.bases.get(base)?[pair].map(|both| *both.of(side));
        let mark = Mark { left: of(self.left)?, edited: of(self.left + 1)? };
        (mark.left != 0).then_some(mark)
    }

    /// Returns when a pair's record was last edited by somebody else, by its own side's clock; `None` where that cannot
    /// be told.
    pub fn edited(&self, frames: &PerSide<Frame>, pairs: &Pairs, pair: usize, side: Side) -> Option<DateTime<Utc>> {
        let (frame, row) = (frames.of(side), *pairs.rows[pair].of(side));
        match self.mark(pairs, pair, side) {
            Some(mark) if mark.left == UNDER_WAY => None,
            Some(mark) if mark.left == self.version(frame, side, row) => {
                let ms = i64::try_from(mark.edited).ok().filter(|ms| *ms > 0)?;
                DateTime::from_timestamp_millis(ms)
            }
            _ => self.modified(frame, side, row),
        }
    }

    /// Returns what stands for the version of a record.
    pub fn version(&self, frame: &Frame, side: Side, row: usize) -> u64 {
        version(frame.etag(row), self.modified(frame, side, row))
    }

    fn modified(&self, frame: &Frame, side: Side, row: usize) -> Option<DateTime<Utc>> {
        match frame.value(self.columns.of(side), row) {
            Value::DateTime(time) => Some(time),
            _ => None,
        }
    }

    /// Returns when both records of a pair were edited; an error where their clocks cannot be compared.
    pub fn edits(&self, frames: &PerSide<Frame>, pairs: &Pairs, pair: usize) -> Result<Edits, NoClock> {
        let crm_ahead_ms = self.crm_ahead_ms?;
        let at = PerSide::from_fn(|side| self.edited(frames, pairs, pair, side));
        let latest = PerSide::from_fn(|side| self.modified(frames.of(side), side, *pairs.rows[pair].of(side)));
        Ok(Edits { at, latest, crm_ahead_ms })
    }
}
