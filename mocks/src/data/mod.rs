//! Records for the two fakes: the default company, a company of any size, and what a folder of CSV files holds.
//!
//! What comes out are plain rows in the wire names of the two APIs, a chunk of one entity set at a time and in an
//! order in which every reference points at a row that came before. Nothing here is random or taken from the clock:
//! the same arguments give the same bytes.

pub mod company;
pub mod files;
pub mod kept;
mod lists;
mod party;
pub mod random;
pub mod scaled;
#[cfg(test)]
mod tests;
mod words;

use crate::{crm, erp};
use serde_json::{Map, Number, Value};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// The company that both the default data and the scaled data belong to.
pub const COMPANY: &str = "CRONUS International Ltd.";

/// The ERP's local currency: the base currency of the CRM, and no row of the ERP's currency table.
pub const LOCAL_CURRENCY: &str = "GBP";

/// One record: wire name of a property, value of that property. A property that is not there is blank.
pub type Row = Map<String, Value>;

/// One of the two services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    Erp,
    Crm,
}

impl Side {
    /// The entity sets of the service, in an order in which they can be loaded: what others refer to comes first.
    pub fn sets(self) -> &'static [&'static str] {
        match self {
            Side::Erp => &[
                "companies",
                "salespeoplePurchasers",
                "currencies",
                "unitsOfMeasure",
                "paymentTerms",
                "shipmentMethods",
                "customers",
                "contacts",
                "items",
                "resources",
            ],
            Side::Crm => &[
                "businessunits",
                "teams",
                "systemusers",
                "transactioncurrencies",
                "uomschedules",
                "uoms",
                "pricelevels",
                "products",
                "productpricelevels",
                "accounts",
                "contacts",
            ],
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Erp => "erp",
            Side::Crm => "crm",
        })
    }
}

impl FromStr for Side {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "erp" => Ok(Side::Erp),
            "crm" => Ok(Side::Crm),
            _ => Err(format!("no side `{text}`: erp or crm")),
        }
    }
}

/// Some rows of one entity set; a large set comes as several chunks.
#[derive(Debug, Clone)]
pub struct Chunk {
    pub side: Side,
    pub set: &'static str,
    pub rows: Vec<Row>,
}

impl Chunk {
    fn erp(set: &'static str, rows: Vec<Row>) -> Self {
        Chunk { side: Side::Erp, set, rows }
    }

    fn crm(set: &'static str, rows: Vec<Row>) -> Self {
        Chunk { side: Side::Crm, set, rows }
    }
}

/// Loads chunks into the two fakes, in the order in which they come; they must go in as they are.
pub fn fill(chunks: impl Iterator<Item = Chunk>, erp: &mut erp::State, crm: &mut crm::State) -> Result<(), String> {
    for Chunk { side, set, rows } in chunks {
        match side {
            Side::Erp => erp.load(set, rows),
            Side::Crm => crm.load(set, rows),
        }
    }
    crm.settle();
    match erp.adjusted().iter().chain(crm.adjusted()).next() {
        Some((misfit, count)) => Err(format!("the data set does not fit: {misfit} ({count} times)")),
        None => Ok(()),
    }
}

/// The id of a record: made from its side, set and key alone, hence another one on each side for the same party.
fn id(side: Side, set: &str, key: &str) -> Uuid {
    const SPACE: Uuid = Uuid::from_u128(0x6d0c_5e1b_2f4a_5c83_9a77_3b1e_90d4_f265);
    Uuid::new_v5(&SPACE, format!("{side}/{set}/{key}").as_bytes())
}

/// Collects the properties of a record; a blank one is left out.
#[derive(Debug, Default)]
struct Record(Row);

impl Record {
    fn new(key: &str, id: Uuid) -> Self {
        Record::default().id(key, id)
    }

    fn id(mut self, name: &str, id: Uuid) -> Self {
        self.0.insert(name.to_owned(), Value::String(id.to_string()));
        self
    }

    fn text(mut self, name: &str, text: &str) -> Self {
        if !text.is_empty() {
            self.0.insert(name.to_owned(), Value::String(text.to_owned()));
        }
        self
    }

    /// A decimal keeps its digits: it goes from text to JSON without becoming a float.
    fn decimal(mut self, name: &str, digits: &str) -> Self {
        if !digits.is_empty() {
            let number = Number::from_str(digits).expect("a decimal of the data set is a JSON number");
            self.0.insert(name.to_owned(), Value::Number(number));
        }
        self
    }

    fn number(mut self, name: &str, number: i64) -> Self {
        self.0.insert(name.to_owned(), Value::from(number));
        self
    }

    fn flag(mut self, name: &str, flag: bool) -> Self {
        self.0.insert(name.to_owned(), Value::Bool(flag));
        self
    }

    /// Sets a lookup of the CRM by the name under which it is read.
    fn lookup(mut self, name: &str, target: Option<Uuid>) -> Self {
        if let Some(target) = target {
            self.0.insert(format!("_{name}_value"), Value::String(target.to_string()));
        }
        self
    }

    fn row(self) -> Row {
        self.0
    }
}
