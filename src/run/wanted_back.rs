//! Survivors whose partner a person wants back: they are matched like any record without partner, since somebody may have
//! made the other one anew by hand.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::config::{PerSide, Side, TableMap};
use crate::couple::taken::Seat;
use crate::couple::{Absent, Matched};
use crate::plan::ActionKind;
use crate::run::partners::Widowed;
use crate::run::state::PassState;
use crate::run::step::Turn;
use crate::store::CouplingChange;
use crate::translate::links::Links;

/// Such survivors: the pair, the side and its row.
pub(super) struct WantedBack(Vec<(PerSide<Uuid>, Side, usize)>);

impl WantedBack {
    /// Frees them for the match rules.
    pub(super) fn free(
        map: &TableMap,
        state: &PassState,
        widowed: &[Widowed],
        absent: &mut Vec<Absent>,
        uncoupled: &mut PerSide<Vec<usize>>,
    ) -> WantedBack {
        let is_wanted = |widow: &&Widowed| state.by_people.wants_back(widow.ids) && map.direction.writes(widow.gone);
        let wanted = widowed.iter().filter(is_wanted);
        let wanted: Vec<_> = wanted.filter_map(|widow| Some((widow.ids, widow.gone.other(), widow.row?))).collect();
        let freed: HashSet<PerSide<Uuid>> = wanted.iter().map(|(ids, _, _)| *ids).collect();
        absent.retain(|absent| !freed.contains(&absent.ids));
        for (_, left, row) in &wanted {
            uncoupled.of_mut(*left).push(*row);
        }
        Side::BOTH.into_iter().for_each(|side| uncoupled.of_mut(side).sort_unstable());
        WantedBack(wanted)
    }

    /// Parts those that found another partner from the one that is gone, where the run may: who may not be parted gets no other
    /// partner either. The others are left to be made anew.
    pub(super) fn settle(
        self,
        turn: &Turn<'_>,
        state: &mut PassState,
        matched: &mut Matched,
        widowed: &mut Vec<Widowed>,
        links: &Links,
    ) {
        let Turn { context, map, .. } = *turn;
        let rows = |side: Side| matched.matches.iter().map(move |found| *found.rows.of(side));
        let found: PerSide<HashSet<usize>> = PerSide::from_fn(|side| rows(side).collect());
        let (found, alone): (Vec<_>, Vec<_>) =
            self.0.into_iter().partition(|(_, left, row)| found.of(*left).contains(row));
        let alone: HashSet<(Side, usize)> = alone.into_iter().map(|(_, left, row)| (left, row)).collect();
        for side in Side::BOTH {
            matched.alone.of_mut(side).retain(|row| !alone.contains(&(side, *row)));
        }
        matched.doubts.retain(|doubt| !alone.contains(&(doubt.side, doubt.row)));
        let places: HashMap<PerSide<Uuid>, usize> = widowed.iter().map(|widow| widow.ids).zip(0..).collect();
        let mut parted: HashSet<PerSide<Uuid>> = HashSet::new();
        let mut bound: HashSet<(Side, usize)> = HashSet::new();
        for (ids, left, row) in found {
            let Some(&at) = places.get(&ids) else { continue };
            let wanted = state.by_people.why(ids).map(|why| format!("; {why}")).unwrap_or_default();
            let why = format!("deleted in the {0} and made anew there{wanted}", widowed[at].gone.name());
            let parting = widowed[at].action(map, ActionKind::Uncouple, Side::Erp, why);
            if state.admits(context, map, links, &parting) {
                parted.insert(ids);
                // What referred to the record that is gone refers to this one, as where it is made by the run.
                state.consequences.bereave(left, *ids.of(left));
                state.draft.recouple(parting, CouplingChange::Uncouple { erp: ids.erp, crm: ids.crm });
            } else {
                bound.insert((left, row));
            }
        }
        let is_bound = |side: Side, rows: PerSide<usize>| bound.contains(&(side, *rows.of(side)));
        matched.matches.retain(|found| !Side::BOTH.into_iter().any(|side| is_bound(side, found.rows)));
        widowed.retain(|widow| !parted.contains(&widow.ids));
    }
}

/// Notes which survivors have a record on the other side that looks like the one that is gone.
pub(super) fn note_made_anew(state: &mut PassState, matched: &Matched) {
    for doubt in &matched.doubts {
        let Some(likeness) = &doubt.likeness else { continue };
        if let ([Seat { row, beyond: false }], 1) = (&likeness.seats[..], likeness.count) {
            let survivor = state.records.frame(doubt.side.other()).id(*row);
            let record = state.records.name(doubt.side, doubt.row);
            state.consequences.note_made_anew(survivor, record);
        }
    }
}
