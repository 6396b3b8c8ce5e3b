//! Where a person lets one side win: what the other one made of a value is its answer, and is not overwritten again.
//!
//! A side may refill what was cleared, or hold a value in a form of its own. Written once, the field is decided as in any
//! other run from then on: what the answer told is that side's base, what was read goes over as an edit.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use crate::config::{Side, TableMap};
use crate::delta::Overwritten;
use crate::frame::Kind;
use crate::run::kept::shown;
use crate::run::records::Records;
use crate::run::step::Step;
use crate::run::written::{Written, fingerprint_in};
use crate::translate::canonical::fingerprint;

/// What came of it that a person lets one side win.
#[derive(Default)]
pub(super) struct Forced {
    /// What gave way, on either side.
    overwritten: Vec<Overwritten>,
    /// By ERP id and field, where the side that is to win has had its way: what stands there now is the other's answer.
    won: HashSet<(Uuid, usize)>,
    /// What that answer is where it is something else, by field and ERP id: the record, and what is to be said.
    remade: BTreeMap<(usize, Uuid), (String, String)>,
}

impl Forced {
    /// Takes what gives way by what was decided.
    pub(super) fn note_overwritten(&mut self, overwritten: Vec<Overwritten>) {
        self.overwritten.extend(overwritten);
    }

    /// Returns what gave way of what was `written`, by the side and the ERP id.
    pub(super) fn overwritten(&self, written: &HashSet<(Side, Uuid)>) -> Vec<Overwritten> {
        let kept = self.overwritten.iter().filter(|lost| written.contains(&(lost.to, lost.ids.erp)));
        let mut kept: Vec<Overwritten> = kept.cloned().collect();
        kept.sort_by(|one, other| (&one.record, &one.field).cmp(&(&other.record, &other.field)));
        kept
    }

    /// Returns where the side that is to win has had its way.
    pub(super) fn won(&self) -> &HashSet<(Uuid, usize)> {
        &self.won
    }

    /// Takes note of the two-way fields that were written on the side that gives way, and of what it made of them.
    pub(super) fn note(&mut self, step: &Step<'_>, records: &Records, to: Side, written: &[Written<'_>]) {
        if step.context.options.selection.force.as_ref().is_none_or(|force| force.to != to) {
            return;
        }
        let by_erp: HashMap<Uuid, usize> = records.pairs_by_erp();
        for Written { action, kept, .. } in written.iter().filter(|record| !record.action.kind.makes_record()) {
            let Some(&pair) = by_erp.get(&action.ids.erp) else { continue };
            let row = *records.pairs().rows[pair].of(to);
            for (_, change) in action.fields.iter().enumerate().filter(|(at, _)| !kept.contains(at)) {
                let both = |number: &usize| Side::BOTH.iter().all(|side| step.map.fields[*number].writes(*side));
                let Some(number) = change.field.filter(both) else { continue };
                self.won.insert((action.ids.erp, number));
                let frame = records.frame(to);
                let kind = frame.column(&change.column).map_or(Kind::Text, |column| column.kind);
                if fingerprint_in(frame, to, &change.column, row) != fingerprint(&change.new, to, kind) {
                    let (held, new) = (shown(&frame.value(&change.column, row)), shown(&change.new));
                    let told = format!("the {} holds {held} where {new} was written", to.name());
                    self.remade.insert((number, action.ids.erp), (action.record.clone(), told));
                }
            }
        }
    }

    /// Says what a side made of values that were forced on it: of each field the first, and how many more.
    pub(super) fn take_notes(&mut self, map: &TableMap) -> Vec<String> {
        let remade = std::mem::take(&mut self.remade);
        let mut notes = Vec::new();
        for (number, field) in map.fields.iter().enumerate() {
            let mut those = remade.range((number, Uuid::nil())..=(number, Uuid::max())).map(|(_, told)| told);
            let Some((record, told)) = those.next() else { continue };
            let (name, more) = (field.name(), those.count());
            let note = match more {
                0 => format!("{name}: {told} ({record}); it is not overwritten again"),
                more => {
                    let records = more + 1;
                    format!(
                        "{name}: {told} ({record}), and the like in {records} records; they are not overwritten again"
                    )
                }
            };
            notes.push(note);
        }
        notes
    }
}
