//! The whole state on disk, in the form that both fakes share.
//!
//! Kept are the records with their versions, the link from a customer to its company contact, the number series and the
//! clock; the log and the tokens are not.

use std::io;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::load::{LINK, VERSION};
use super::schema::{self, SETS};
use super::{CONTACTS, CUSTOMERS, Row, State};
use crate::saved::{self, broken};

/// The number of the saved form; another form is refused.
const FORMAT: u64 = 2;
/// The sets in the order in which they are kept: each points only at sets before it.
const KEPT_ORDER: [&str; 10] = [
    "currencies",
    "unitsOfMeasure",
    "salespeoplePurchasers",
    "paymentTerms",
    "shipmentMethods",
    "contacts",
    "customers",
    "items",
    "resources",
    "itemUnitsOfMeasure",
];

impl State {
    /// Writes everything but the log and the tokens: a head, then a record a line.
    pub fn save(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let kept = || KEPT_ORDER.iter().filter_map(|name| Some((*name, schema::set(name)?)));
        let counts: Map<String, Value> =
            kept().map(|(name, place)| (name.to_string(), self.tables[place].len().into())).collect();
        let head = json!({
            "format": FORMAT, "now": self.now.to_rfc3339(), "version": self.version,
            "localCurrency": self.local_currency, "series": self.series, "company": self.company_record(),
            "sets": counts,
        });
        saved::write(out, &head)?;
        for (_, place) in kept() {
            for (_, _, row) in self.tables[place].iter() {
                saved::write(out, &Value::Object(self.kept_record(place, row)))?;
            }
        }
        Ok(())
    }

    /// Reads back what [`State::save`] wrote.
    pub fn restore(input: &mut dyn io::Read) -> io::Result<State> {
        let mut lines = saved::Lines::new(input);
        let mut head = Value::Object(lines.read()?);
        if head["format"].as_u64() != Some(FORMAT) {
            return Err(broken("not in a format of this version"));
        }
        let mut state = State::default();
        let Value::Object(company) = head["company"].take() else { return Err(broken("no company")) };
        state.load_company(vec![company]);
        state.local_currency = head["localCurrency"].as_str().ok_or_else(|| broken("no local currency"))?.into();
        let now = head["now"].as_str().and_then(crate::filter::instant).ok_or_else(|| broken("no time"))?;
        for (name, count) in saved::sets(&head)? {
            let place = schema::set(&name).ok_or_else(|| broken(format!("no set {name}")))?;
            for _ in 0..count {
                state.load_row(place, &lines.read()?, now);
            }
            let ids: Vec<Uuid> = state.tables[place].iter().map(|(_, id, _)| id).collect();
            ids.into_iter().for_each(|id| state.check_relations(place, id, true));
        }
        lines.end()?;
        for (place, next) in state.series.iter_mut().enumerate() {
            // What was kept before a set was there has no series of it.
            let Some(kept) = head["series"].get(place) else { continue };
            *next = kept.as_u64().ok_or_else(|| broken("a number series is missing"))?;
        }
        state.version = head["version"].as_u64().ok_or_else(|| broken("no version"))?;
        state.now = now;
        match state.adjusted.keys().next() {
            Some(adjustment) => Err(broken(adjustment)),
            None => Ok(state),
        }
    }

    fn kept_record(&self, set: usize, row: &Row) -> Map<String, Value> {
        let mut record = Map::new();
        for (column, cell) in SETS[set].columns.iter().zip(&row.cells) {
            if !cell.is_blank(column.kind) {
                record.insert(column.name.into(), cell.json(column.kind));
            }
        }
        record.insert(VERSION.into(), row.version.into());
        if set == CUSTOMERS
            && let Some(number) = self.tables[CONTACTS].key(&row.partner)
        {
            record.insert(LINK.into(), number.into());
        }
        record
    }
}
