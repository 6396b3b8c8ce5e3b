//! What people call a record: its label, and its id beside it where other records of its side have the same label.
//!
//! A record outside its filter counts as well where the run knows it, so that a name does not change because another
//! record comes or goes. Labels are the same here whatever their case, as they are to people.

use std::collections::HashMap;
use std::sync::OnceLock;

use polars::prelude::Series;

use crate::config::{PerSide, Side, TableMap};
use crate::frame::{Frame, Kind, value_at};

/// The names of one table map's records.
#[derive(Debug, Clone, Default)]
pub struct Names {
    table: String,
    labels: PerSide<Option<String>>,
    /// The label columns of what was read.
    columns: PerSide<Vec<(Kind, Series)>>,
    /// The folded labels, and whether several records bear them; made when the first record of a side is named.
    borne: PerSide<OnceLock<HashMap<String, bool>>>,
}

impl Names {
    /// Knows the labels of all records of these frames.
    pub fn new(map: &TableMap, frames: &[&PerSide<Frame>]) -> Names {
        let labels = PerSide::from_fn(|side| map.sides.of(side).label.clone());
        let columns = PerSide::from_fn(|side| {
            let column = |frame: &Frame| {
                let label = labels.of(side).as_ref()?;
                Some((frame.column(label)?.kind, frame.series(label)?.clone()))
            };
            frames.iter().filter_map(|frames| column(frames.of(side))).collect()
        });
        Names { table: map.name.clone(), labels, columns, borne: PerSide::default() }
    }

    /// Names a row by its label, else by its id.
    pub fn row(&self, frame: &Frame, side: Side, row: usize) -> String {
        let prefix = if side == Side::Crm { "crm:" } else { "" };
        let name = self.labelled(frame, side, row).unwrap_or_else(|| frame.id(row).to_string());
        format!("{}:{prefix}{name}", self.table)
    }

    /// Names a pair by its ERP label, else its CRM label, else its ERP id.
    pub fn pair(&self, frames: &PerSide<Frame>, rows: PerSide<usize>) -> String {
        let labelled = |side: Side| self.labelled(frames.of(side), side, *rows.of(side)).is_some();
        let side = if !labelled(Side::Erp) && labelled(Side::Crm) { Side::Crm } else { Side::Erp };
        self.row(frames.of(side), side, *rows.of(side))
    }

    fn labelled(&self, frame: &Frame, side: Side, row: usize) -> Option<String> {
        let label = frame.value(self.labels.of(side).as_ref()?, row).to_string();
        let label = label.trim();
        match self.borne(side).get(&label.to_lowercase()) {
            _ if label.is_empty() => None,
            Some(true) => Some(format!("{label} ({})", frame.id(row))),
            _ => Some(label.to_owned()),
        }
    }

    fn borne(&self, side: Side) -> &HashMap<String, bool> {
        self.borne.of(side).get_or_init(|| {
            let mut borne: HashMap<String, bool> = HashMap::new();
            for (kind, column) in self.columns.of(side) {
                for row in 0..column.len() {
                    let label = value_at(column, *kind, row).to_string().trim().to_lowercase();
                    borne.entry(label).and_modify(|several| *several = true).or_insert(false);
                }
            }
            borne
        })
    }
}
