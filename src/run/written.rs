//! A written record: what it held before, and how it is known what it holds now.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{Side, TableMap};
use crate::frame::{Frame, Kind};
use crate::plan::Action;
use crate::run::records::Records;
use crate::translate::canonical::{BLANK, fingerprint};

/// What the fields of the records to be updated or deleted hold before the write.
pub(super) fn before_write(records: &Records, map: &TableMap, to: Side, actions: &[Action]) -> Before {
    let wanted: HashSet<Uuid> =
        actions.iter().filter(|action| !action.kind.makes_record()).map(|action| *action.ids.of(to)).collect();
    let frame = records.frame(to);
    frame
        .ids()
        .into_iter()
        .enumerate()
        .filter(|(_, id)| wanted.contains(id))
        .map(|(row, id)| {
            let held = map.fields.iter().map(|field| match field.column(to) {
                Some(column) => fingerprint_in(frame, to, column, row),
                None => BLANK,
            });
            (id, held.collect())
        })
        .collect()
}

/// By record, the fingerprint of each field before the write.
pub(super) type Before = HashMap<Uuid, Vec<u64>>;

/// Returns the fingerprint of one cell.
pub(super) fn fingerprint_in(frame: &Frame, side: Side, column: &str, row: usize) -> u64 {
    let kind = frame.column(column).map_or(Kind::Text, |column| column.kind);
    fingerprint(&frame.value(column, row), side, kind)
}

/// How it is known what a written record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    /// The answer to the write holds it, or it was read and the side tells that nobody else has changed it since.
    Returned,
    /// It was read after the write, so what differs may be a person's edit.
    Read,
    /// It was there before, under the id that only we give.
    Found,
}

/// A written record.
pub(super) struct Written<'a> {
    pub(super) action: &'a Action,
    pub(super) proof: Proof,
    /// Positions of the changes that the side did not take.
    pub(super) kept: Vec<usize>,
}

/// A written record as it is known: where it is, and how.
pub(super) type Got<'a> = (&'a Frame, usize, Proof);
