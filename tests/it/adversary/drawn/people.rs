//! What people do by day: they make records, edit, rename, merge and delete them.

use pipeline::config::{OnDelete, Side};
use uuid::Uuid;

use crate::adversary::drawn::draw::Terms;
use crate::adversary::drawn::look::Look;
use crate::adversary::drawn::night::{CRM, ERP, Night, STABLE};

impl Night {
    /// Makes a record of the business: on both sides (0), in the ERP (1) or in the CRM (2).
    pub(super) fn make(&mut self, how: u64) {
        let id = self.made;
        self.made += 1;
        let (city, number, name) = (format!("city {id}"), format!("N{id}"), format!("name {id}"));
        let person = self.chance.pick(&["", "", "AA", "CC"]);
        let grade = self.chance.pick(&["", "", "", "A", "Z"]);
        let grade = if id < STABLE { "" } else { grade };
        if how != 2 {
            let values = [("number", &*number), ("name", &name), ("city", &city), ("person", person), ("limit", "5")];
            self.put(Side::Erp, Uuid::from_u128(ERP + id), &[&values[..], &[("grade", grade)]].concat());
        }
        if how != 1 {
            let folded = self.drawn.folds_case && self.chance.one_in(2);
            let number = if folded { number.to_lowercase() } else { number };
            // Numbers come from the ERP, unless it is the CRM that gives them.
            let blank = how == 2 && self.map().direction.writes(Side::Crm);
            let number = if blank { String::new() } else { number };
            let name = if how == 0 && !self.drawn.matches_names { "another name" } else { &*name };
            let values = [("number", &*number), ("name", name), ("city", &city), ("phone", "+00"), ("kind", "3")];
            self.put(Side::Crm, Uuid::from_u128(CRM + id), &values);
        }
    }

    /// One person's edit of one record.
    pub(super) fn edit(&mut self, look: &Look, side: Side, id: Uuid, stable: bool) {
        let coupled = look.coupled.iter().any(|ids| *ids.of(side) == id);
        let erp = side == Side::Erp;
        let rare = self.map().on_delete == OnDelete::Hold;
        let plus = self.drawn.terms.contains(&Terms::Plus);
        let parents = if self.merged { 2 } else { 3 };
        let chance = &mut self.chance;
        let word = format!("word {}", chance.below(4));
        let fresh = format!("M{}", chance.below(1_000_000));
        let user = Uuid::from_u128(chance.pick(&[111, 112, 114])).to_string();
        let parent = chance.below(parents);
        let account = Uuid::from_u128(CRM + u128::from(parent)).to_string();
        let number = look.text(Side::Erp, Uuid::from_u128(ERP + u128::from(parent)), Some("number"));
        let later_ms = chance.pick(&[300, 1_200, 2_600, 60_000]);
        let (column, text): (&str, &str) = match chance.below(if stable { 12 } else { 17 }) {
            0 | 1 if coupled || !self.drawn.matches_names => ("name", &word),
            2 | 3 if erp => ("phone", chance.pick(&["", "1", "2"])),
            2 | 3 => ("phone", if plus { chance.pick(&["", "+1", "+3"]) } else { chance.pick(&["", "1", "3"]) }),
            4 | 5 if erp => ("memo", chance.pick(&["", "x", "xyzz", "xy", "xyz"])),
            4 | 5 => ("memo", chance.pick(&["", "x", "y", "xy", "z"])),
            6 if erp => ("grade", chance.pick(&["", "A", "B", "Z"])),
            6 => ("state", chance.pick(&["", "1", "2", "9"])),
            7 => ("limit", chance.pick(&["", "7", "8.5"])),
            8 if erp => ("person", chance.pick(&["", "AA", "BB", "CC"])),
            8 => ("owner", chance.pick(&["", &user])),
            9 if erp => ("parent", chance.pick(&["", &number])),
            9 => ("parent", chance.pick(&["", &account])),
            10 if erp => ("flag", chance.pick(&["true", "false"])),
            10 => ("company", chance.pick(&["North", "South"])),
            11 if coupled && chance.one_in(3) => {
                self.told.renamed += 1;
                self.world.pass_ms(later_ms);
                return self.rename(look, side, id, &fresh);
            }
            12 | 13 if erp => ("blocked", chance.pick(&["", "All"])),
            12 | 13 => ("kind", chance.pick(&["3", "10"])),
            14 if !rare || chance.one_in(4) => return self.memory(side).delete(Night::table(side), id.as_u128()),
            _ => return,
        };
        let (column, text) = (column.to_owned(), text.to_owned());
        self.world.pass_ms(later_ms);
        self.put(side, id, &[(&column, &text)]);
    }

    /// Gives a record another number; in the ERP everybody who refers to it says the new one.
    pub(super) fn rename(&mut self, look: &Look, side: Side, id: Uuid, fresh: &str) {
        let old = look.text(side, id, Some("number"));
        self.put(side, id, &[("number", fresh)]);
        if side == Side::Erp && !old.is_empty() {
            self.refer(Side::Erp, &old, fresh);
        }
    }

    pub(super) fn refer(&mut self, side: Side, old: &str, new: &str) {
        let of_old: Vec<Uuid> = self
            .memory(side)
            .all(Night::table(side))
            .into_iter()
            .filter(|(_, record)| record.get("parent").is_some_and(|parent| parent == old))
            .map(|(id, _)| id)
            .collect();
        for id in of_old {
            self.put(side, id, &[("parent", new)]);
        }
    }

    /// Two records of one side become one: what refers to the last of the stable ones refers to the one before.
    pub(super) fn merge(&mut self, look: &Look) {
        self.merged = true;
        self.told.merged += 1;
        let side = self.chance.pick(&Side::BOTH);
        let first = if side == Side::Erp { ERP } else { CRM };
        let (lost, kept) = (Uuid::from_u128(first + 2), Uuid::from_u128(first + 1));
        let name = |id: Uuid| match side {
            Side::Erp => look.text(side, id, Some("number")),
            Side::Crm => id.to_string(),
        };
        if !name(kept).is_empty() {
            self.refer(side, &name(lost), &name(kept));
        }
        self.memory(side).delete(Night::table(side), lost.as_u128());
    }

    pub(super) fn edits(&mut self) {
        let look = Look::at(&self.world);
        let everybody: Vec<(Side, Uuid)> =
            Side::BOTH.into_iter().flat_map(|side| look.records.of(side).keys().map(move |id| (side, *id))).collect();
        let crowd = everybody.len() > 20;
        let busy = if crowd && self.chance.one_in(4) { 1 } else { 3 };
        for (side, id) in everybody {
            let stable = id.as_u128() < ERP + STABLE || (CRM..CRM + STABLE).contains(&id.as_u128());
            for _ in 0..self.chance.below(3) {
                // Who was renamed or deleted a moment ago is another record now.
                let there = self.memory(side).all(Night::table(side)).contains_key(&id);
                if there && self.chance.one_in(busy) {
                    let look = Look::at(&self.world);
                    self.edit(&look, side, id, stable);
                }
            }
        }
        if !self.merged && self.number > 1 && self.chance.one_in(8) {
            self.merge(&Look::at(&self.world));
        }
        for _ in 0..self.chance.below(3) {
            let how = self.chance.below(3);
            self.make(how);
        }
    }
}
