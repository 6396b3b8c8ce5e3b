//! Records in doubt, looked at again when the pass has written: what told them apart from nobody may be gone by then.
//!
//! Who looks like whom is decided before anything is written. A number that somebody corrected on the one side reaches
//! the other one only then, and a record must not wait a night longer than its reason lasts.

use std::collections::HashSet;

use uuid::Uuid;

use crate::config::{PerSide, TableMap};
use crate::couple::taken::Coupled;
use crate::couple::{Absent, Matched, match_rows, rows_by_id};
use crate::delta::Held;
use crate::extract::Scope;
use crate::frame::Frame;
use crate::run::state::PassState;
use crate::store::InboxKind;
use crate::translate::links::Links;

/// Records that the match rules had doubts about, by side.
pub(super) struct Doubtful(PerSide<HashSet<Uuid>>);

impl Doubtful {
    /// Takes them out of what the match rules found.
    pub(super) fn of(matched: &Matched, frames: &PerSide<Frame>) -> Doubtful {
        let mut ids: PerSide<HashSet<Uuid>> = PerSide::default();
        for doubt in &matched.doubts {
            ids.of_mut(doubt.side).insert(frames.of(doubt.side).id(doubt.row));
        }
        Doubtful(ids)
    }

    /// Matches them once more, against what both sides hold by now; nothing where all of them are as doubtful as before.
    /// What was filed about them is taken back then.
    pub(super) fn match_again(
        &self,
        map: &TableMap,
        scope: &Scope,
        state: &mut PassState,
        links: &Links,
        absent: &[Absent],
        beyond: &PerSide<Frame>,
    ) -> Option<Matched> {
        if self.0.erp.is_empty() && self.0.crm.is_empty() {
            return None;
        }
        // Rows move when frames are brought up to date.
        let by_id = PerSide::from_fn(|side| rows_by_id(state.records.frame(side)));
        let uncoupled = PerSide::from_fn(|side| {
            let rows = self.0.of(side).iter().filter_map(|id| by_id.of(side).get(id).copied());
            let mut rows: Vec<usize> = rows.collect();
            rows.sort_unstable();
            rows
        });
        let row = |absent: &Absent| PerSide::from_fn(|side| by_id.of(side).get(absent.ids.of(side)).copied());
        let absent: Vec<Absent> = absent.iter().map(|absent| Absent { rows: row(absent), ..*absent }).collect();
        let coupled = Coupled { pairs: state.records.pairs(), absent: &absent, beyond };
        let matched = match_rows(map, &scope.infos, state.records.frames(), links, &uncoupled, &coupled);
        if Doubtful::of(&matched, state.records.frames()).0 == self.0 {
            return None;
        }
        let filed = |held: &Held| match (held.ids.erp, held.ids.crm) {
            (Some(id), None) => self.0.erp.contains(&id),
            (None, Some(id)) => self.0.crm.contains(&id),
            _ => false,
        };
        state.waits.take_back(|held| held.kind == InboxKind::Ambiguous && filed(held));
        Some(matched)
    }
}
