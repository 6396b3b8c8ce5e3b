//! What both sides hold at one moment, and what a value of one is in the terms of the other.

use std::collections::{BTreeMap, HashMap};

use pipeline::config::{FieldMap, Fit, PerSide, Side};
use pipeline::store::Store;
use uuid::Uuid;

use crate::adversary::drawn::draw::{Drawn, Terms};
use crate::adversary::drawn::oracle::Arriving;
use crate::rules::World;

pub type Record = BTreeMap<String, String>;
pub type Records = BTreeMap<Uuid, Record>;

/// Both sides at one moment.
#[derive(Clone)]
pub(super) struct Look {
    pub(super) records: PerSide<Records>,
    pub(super) coupled: Vec<PerSide<Uuid>>,
    /// What a code of the ERP is in the CRM, and the other way round, by table map.
    ids: HashMap<(Through, String), String>,
    codes: HashMap<(Through, String), String>,
}

/// Which table map a reference goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Through {
    People,
    Customers,
}

impl Look {
    pub(super) fn at(world: &World) -> Look {
        let couplings = |table: &str| {
            let couplings = world.store.couplings(table, &[]).unwrap();
            couplings.erp.into_iter().zip(couplings.crm).map(|(erp, crm)| PerSide { erp, crm }).collect::<Vec<_>>()
        };
        let (mut ids, mut codes) = (HashMap::new(), HashMap::new());
        for (through, table, erp, crm, column) in [
            (Through::People, "people", "people", "users", "code"),
            (Through::Customers, "customers", "customers", "accounts", "number"),
        ] {
            let (erp, crm) = (world.erp.all(erp), world.crm.all(crm));
            for pair in couplings(table) {
                let code = erp.get(&pair.erp).and_then(|record| record.get(column)).filter(|code| !code.is_empty());
                if let (Some(code), true) = (code, crm.contains_key(&pair.crm)) {
                    ids.insert((through, code.clone()), pair.crm.to_string());
                    codes.insert((through, pair.crm.to_string()), code.clone());
                }
            }
        }
        let records = PerSide { erp: world.erp.all("customers"), crm: world.crm.all("accounts") };
        Look { records, coupled: couplings("customers"), ids, codes }
    }

    pub(super) fn record(&self, side: Side, id: Uuid) -> Option<&Record> {
        self.records.of(side).get(&id)
    }

    pub(super) fn text(&self, side: Side, id: Uuid, column: Option<&str>) -> String {
        let value = column.and_then(|column| self.record(side, id)?.get(column)).cloned().unwrap_or_default();
        // The ERP has no null: what is not true is false.
        if side == Side::Erp && value == "false" { String::new() } else { value }
    }

    pub(super) fn both_exist(&self, ids: PerSide<Uuid>) -> bool {
        Side::BOTH.into_iter().all(|side| self.record(side, *ids.of(side)).is_some())
    }

    /// What a field of one side's record would be on the other side.
    pub(super) fn arriving(
        &self,
        drawn: &Drawn,
        number: usize,
        field: &FieldMap,
        to: Side,
        text: &str,
    ) -> Option<Arriving> {
        if !field.direction?.writes(to) {
            return None;
        }
        let value = |text: &str| Arriving::Value(text.to_owned());
        let known = |text: Option<&String>| text.map_or(Arriving::Unresolved, |text| Arriving::Value(text.clone()));
        let through = if drawn.terms[number] == Terms::Owner { Through::People } else { Through::Customers };
        Some(match (drawn.terms[number], to) {
            (Terms::Constant(text), _) => value(text),
            (_, _) if text.is_empty() => value(""),
            (Terms::Values, Side::Crm) => match text {
                "A" => value("1"),
                "B" => value("2"),
                _ => Arriving::Broken,
            },
            (Terms::Values, Side::Erp) => match text {
                "1" => value("A"),
                "2" => value("B"),
                _ => Arriving::Broken,
            },
            (Terms::Plus, Side::Crm) => Arriving::Value(format!("+{text}")),
            (Terms::Plus, Side::Erp) => value(&text[1..]),
            (Terms::Owner | Terms::Parent, Side::Crm) => known(self.ids.get(&(through, text.to_owned()))),
            (Terms::Owner | Terms::Parent, Side::Erp) => known(self.codes.get(&(through, text.to_owned()))),
            (terms, _) => {
                // A number is a code in the ERP.
                let capital = terms == Terms::Upper || to == Side::Erp && field.erp.as_deref() == Some("number");
                let text = if capital { text.to_uppercase() } else { text.to_owned() };
                let column_max = drawn.memo_max.filter(|_| to == Side::Crm && field.crm.as_deref() == Some("memo"));
                match column_max {
                    Some(max) if text.chars().count() > max => match field.fit {
                        Fit::Truncate => Arriving::Value(text.chars().take(max).collect()),
                        Fit::Reject => Arriving::Broken,
                    },
                    _ => Arriving::Value(text),
                }
            }
        })
    }
}
