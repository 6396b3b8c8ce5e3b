//! What both sides must hold after a night, said from the meaning of the data alone.
//!
//! In go what both fakes held before and what they hold after; out come the couplings that must exist, or the first
//! thing that is wrong. Tables of field pairs, keys and filters of its own; nothing of the engine is asked. Values are
//! compared by what they mean: a reference by the key of what it leads to, an amount by its digits, a zero as a blank.

use std::collections::{BTreeMap, BTreeSet};

use mocks::data::{Row, Side as FakeSide};
use pipeline::config::Side;

use crate::nightly::world::{World, text};

/// Everything that both fakes hold: side and set, then id.
pub struct Snapshot {
    sets: BTreeMap<(Side, &'static str), BTreeMap<String, Row>>,
}

impl Snapshot {
    /// Takes a look at both fakes.
    pub fn of(world: &World) -> Snapshot {
        let mut sets = BTreeMap::new();
        for (side, fake) in [(Side::Erp, FakeSide::Erp), (Side::Crm, FakeSide::Crm)] {
            for set in fake.sets() {
                let rows = world.records(side, set).into_iter().map(|row| (id_of(side, set, &row), row));
                sets.insert((side, *set), rows.collect());
            }
        }
        Snapshot { sets }
    }

    /// Returns the records of a set by id.
    pub fn set(&self, side: Side, set: &str) -> &BTreeMap<String, Row> {
        self.sets.iter().find(|((at, name), _)| *at == side && *name == set).unwrap().1
    }

    /// Returns a property of the record of that id; blank where there is none.
    fn via(&self, side: Side, set: &str, id: &str, property: &str) -> String {
        self.set(side, set).get(id).map(|row| raw(row, property)).unwrap_or_default()
    }

    /// Returns the property `wanted` of the one record whose `property` is that text.
    fn by(&self, side: Side, set: &str, property: &str, text: &str, wanted: &str) -> String {
        let found = self.set(side, set).values().find(|row| raw(row, property).eq_ignore_ascii_case(text));
        found.map(|row| raw(row, wanted)).unwrap_or_default()
    }

    /// Takes a record as another snapshot has it.
    pub fn take(&mut self, other: &Snapshot, side: Side, set: &'static str, id: &str) {
        let row = other.set(side, set)[id].clone();
        self.sets.get_mut(&(side, set)).unwrap().insert(id.to_owned(), row);
    }
}

/// What moves by itself whenever a record is written.
const STAMPS: &[&str] =
    &["lastModifiedDateTime", "systemModifiedAt", "modifiedon", "_modifiedby_value", "versionnumber"];

/// What the sides work out from other properties.
const COMPUTED: &[&str] = &[
    "currencyId",
    "baseUnitOfMeasureId",
    "companyNumber",
    "companyName",
    "contactBusinessRelation",
    "searchName",
    "exchangerate",
    "_owninguser_value",
    "_owningbusinessunit_value",
    "fullname",
    // Where the fake's people leave a note.
    "description",
];

fn id_property(side: Side, set: &str) -> &'static str {
    match (side, set) {
        (Side::Erp, _) => "id",
        (_, "businessunits") => "businessunitid",
        (_, "teams") => "teamid",
        (_, "systemusers") => "systemuserid",
        (_, "transactioncurrencies") => "transactioncurrencyid",
        (_, "uomschedules") => "uomscheduleid",
        (_, "uoms") => "uomid",
        (_, "pricelevels") => "pricelevelid",
        (_, "products") => "productid",
        (_, "productpricelevels") => "productpricelevelid",
        (_, "accounts") => "accountid",
        (_, "contacts") => "contactid",
        _ => panic!("no key for {set}"),
    }
}

fn id_of(side: Side, set: &str, row: &Row) -> String {
    raw(row, id_property(side, set))
}

fn raw(row: &Row, property: &str) -> String {
    row.get(property).map(text).unwrap_or_default()
}

/// What a property's text means.
type Meaning = fn(&Snapshot, &str) -> String;

/// Which way a field goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Whoever has a value gives it to the other; the ERP where both have one.
    Both,
    ToCrm,
    /// As `ToCrm`, and a blank changes nothing.
    ToCrmUnlessBlank,
    /// Only into a record that is made in the CRM.
    IntoNewCrm,
    ToErp,
    ToErpUnlessBlank,
}

struct Field {
    way: Way,
    erp: (&'static str, Meaning),
    crm: (&'static str, Meaning),
}

/// What the ERP's row and the CRM's row say of one thing.
type Views = (fn(&Snapshot, &Row) -> String, fn(&Snapshot, &Row) -> String);

/// A kind of record and where it is on both sides.
struct Subject {
    name: &'static str,
    erp: &'static str,
    crm: &'static str,
    /// Which records take part.
    erp_in: fn(&Row) -> bool,
    crm_in: fn(&Row) -> bool,
    /// What makes two records the same before the night: in order, and blank never counts.
    same: &'static [Views],
    /// What makes them the same after it.
    after: Views,
    makes_erp: bool,
    makes_crm: bool,
    fields: &'static [Field],
}

fn plain(_: &Snapshot, text: &str) -> String {
    text.trim_end_matches(' ').to_owned()
}

fn code(_: &Snapshot, text: &str) -> String {
    text.trim().to_uppercase()
}

fn amount(_: &Snapshot, text: &str) -> String {
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    if text == "0" { String::new() } else { text.to_owned() }
}

fn iso(after: &Snapshot, id: &str) -> String {
    after.via(Side::Crm, "transactioncurrencies", id, "isocurrencycode")
}

fn terms(after: &Snapshot, id: &str) -> String {
    after.via(Side::Erp, "paymentTerms", id, "code")
}

fn terms_choice(_: &Snapshot, choice: &str) -> String {
    match choice {
        "1" => "30 DAYS",
        "2" => "14 DAYS",
        "3" => "45 DAYS",
        "4" => "60 DAYS",
        other => other,
    }
    .to_owned()
}

fn method(after: &Snapshot, id: &str) -> String {
    after.via(Side::Erp, "shipmentMethods", id, "code")
}

fn method_choice(_: &Snapshot, choice: &str) -> String {
    match choice {
        "1" => "FOB",
        "2" => "FREE",
        other => other,
    }
    .to_owned()
}

fn seller(after: &Snapshot, code: &str) -> String {
    if code.is_empty() {
        return String::new();
    }
    after.by(Side::Erp, "salespeoplePurchasers", "code", code, "email").to_lowercase()
}

fn owner(after: &Snapshot, id: &str) -> String {
    after.via(Side::Crm, "systemusers", id, "internalemailaddress").to_lowercase()
}

/// A company's number means the customer, whatever it was called before the night.
fn account(after: &Snapshot, id: &str) -> String {
    after.via(Side::Crm, "accounts", id, "accountnumber")
}

fn unit(after: &Snapshot, id: &str) -> String {
    group(after, &after.via(Side::Crm, "uoms", id, "_uomscheduleid_value"))
}

fn group(after: &Snapshot, id: &str) -> String {
    let name = after.via(Side::Crm, "uomschedules", id, "name");
    name.strip_prefix("NAV ").unwrap_or("no unit of the ERP").to_owned()
}

fn unit_of_group(_: &Snapshot, name: &str) -> String {
    name.strip_prefix("NAV ").unwrap_or("no unit of the ERP").to_owned()
}

fn list(after: &Snapshot, id: &str) -> String {
    after.via(Side::Crm, "pricelevels", id, "name")
}

fn product(after: &Snapshot, id: &str) -> String {
    after.via(Side::Crm, "products", id, "productnumber")
}

/// The one list, for whatever stands beside it.
fn the_list(_: &Snapshot, _: &str) -> String {
    "Dynamics NAV Default Price List".into()
}

fn one(_: &Snapshot, _: &str) -> String {
    "1".into()
}

fn two(_: &Snapshot, _: &str) -> String {
    "2".into()
}

fn three(_: &Snapshot, _: &str) -> String {
    "3".into()
}

macro_rules! fields {
    ($($way:ident $erp:literal $erp_means:ident, $crm:literal $crm_means:ident;)*) => {
        &[$(Field { way: Way::$way, erp: ($erp, $erp_means), crm: ($crm, $crm_means) }),*]
    };
}

const SUBJECTS: &[Subject] = &[
    Subject {
        name: "salespeople",
        erp: "salespeoplePurchasers",
        crm: "systemusers",
        erp_in: |_| true,
        crm_in: |row| {
            raw(row, "isdisabled") == "false"
                && raw(row, "applicationid").is_empty()
                && !raw(row, "internalemailaddress").is_empty()
        },
        same: &[(|_, row| raw(row, "email").to_lowercase(), |_, row| raw(row, "internalemailaddress").to_lowercase())],
        after: (|_, row| raw(row, "email"), |_, row| raw(row, "internalemailaddress")),
        makes_erp: true,
        makes_crm: false,
        fields: fields! {
            ToErp "email" plain, "internalemailaddress" plain;
            ToErp "displayName" plain, "fullname" plain;
            ToErpUnlessBlank "phoneNo" plain, "mobilephone" plain;
        },
    },
    Subject {
        name: "currencies",
        erp: "currencies",
        crm: "transactioncurrencies",
        erp_in: |_| true,
        crm_in: |_| true,
        same: &[(|_, row| raw(row, "code"), |_, row| raw(row, "isocurrencycode"))],
        after: (|_, row| raw(row, "code"), |_, row| raw(row, "isocurrencycode")),
        makes_erp: false,
        makes_crm: true,
        fields: fields! {
            ToCrm "displayName" plain, "currencyname" plain;
            // A currency without a sign shows its code; the data has a sign for each.
            ToCrm "symbol" plain, "currencysymbol" plain;
            IntoNewCrm "" one, "exchangerate" amount;
            IntoNewCrm "" two, "currencyprecision" plain;
        },
    },
    Subject {
        name: "unit_groups",
        erp: "unitsOfMeasure",
        crm: "uomschedules",
        erp_in: |_| true,
        crm_in: |_| true,
        same: &[(|_, row| raw(row, "code"), |_, row| unit_of_group_row(row))],
        after: (|_, row| raw(row, "code"), |_, row| unit_of_group_row(row)),
        makes_erp: false,
        makes_crm: true,
        fields: fields! {
            ToCrm "code" code, "name" unit_of_group;
            IntoNewCrm "code" code, "baseuomname" plain;
        },
    },
    Subject {
        name: "units",
        erp: "unitsOfMeasure",
        crm: "uoms",
        erp_in: |_| true,
        crm_in: |_| true,
        // The base unit of a group that is made comes with the group.
        same: &[(|_, row| raw(row, "code"), |seen, row| group(seen, &raw(row, "_uomscheduleid_value")))],
        after: (|_, row| raw(row, "code"), |seen, row| group(seen, &raw(row, "_uomscheduleid_value"))),
        makes_erp: false,
        makes_crm: true,
        fields: fields! {
            IntoNewCrm "code" code, "name" plain;
            IntoNewCrm "" one, "quantity" amount;
        },
    },
    Subject {
        name: "customers",
        erp: "customers",
        crm: "accounts",
        erp_in: |row| raw(row, "blocked") == "_x0020_",
        crm_in: |row| raw(row, "customertypecode") == "3" && raw(row, "statecode") == "0",
        same: &[
            (|_, row| raw(row, "number"), |_, row| raw(row, "accountnumber")),
            (|_, row| name_and_city(row, "displayName", "city"), |_, row| name_and_city(row, "name", "address1_city")),
        ],
        after: (|_, row| raw(row, "number"), |_, row| raw(row, "accountnumber")),
        makes_erp: true,
        makes_crm: true,
        fields: fields! {
            ToCrm "number" code, "accountnumber" plain;
            Both "displayName" plain, "name" plain;
            Both "addressLine1" plain, "address1_line1" plain;
            Both "addressLine2" plain, "address1_line2" plain;
            Both "postalCode" code, "address1_postalcode" plain;
            Both "city" plain, "address1_city" plain;
            Both "country" code, "address1_country" plain;
            Both "state" plain, "address1_stateorprovince" plain;
            Both "currencyCode" code, "_transactioncurrencyid_value" iso;
            Both "email" plain, "emailaddress1" plain;
            Both "website" plain, "websiteurl" plain;
            Both "phoneNumber" plain, "telephone1" plain;
            ToCrm "creditLimit" amount, "creditlimit" amount;
            ToCrm "paymentTermsId" terms, "paymenttermscode" terms_choice;
            ToCrm "shipmentMethodId" method, "address1_freighttermscode" method_choice;
            ToCrmUnlessBlank "salespersonCode" seller, "_ownerid_value" owner;
            ToCrm "" three, "customertypecode" plain;
        },
    },
    Subject {
        name: "contacts",
        erp: "contacts",
        crm: "contacts",
        erp_in: |row| raw(row, "type") == "Person" && !raw(row, "customerNumber").is_empty(),
        crm_in: |row| !raw(row, "_parentcustomerid_value").is_empty() && raw(row, "statecode") == "0",
        same: &[(|_, row| raw(row, "email").to_lowercase(), |_, row| raw(row, "emailaddress1").to_lowercase())],
        after: (|_, row| raw(row, "email"), |_, row| raw(row, "emailaddress1")),
        makes_erp: true,
        makes_crm: true,
        fields: fields! {
            Both "customerNumber" code, "_parentcustomerid_value" account;
            Both "firstName" plain, "firstname" plain;
            Both "middleName" plain, "middlename" plain;
            Both "surname" plain, "lastname" plain;
            Both "jobTitle" plain, "jobtitle" plain;
            Both "addressLine1" plain, "address1_line1" plain;
            Both "addressLine2" plain, "address1_line2" plain;
            Both "postalCode" code, "address1_postalcode" plain;
            Both "city" plain, "address1_city" plain;
            Both "country" code, "address1_country" plain;
            Both "state" plain, "address1_stateorprovince" plain;
            Both "email" plain, "emailaddress1" plain;
            Both "website" plain, "websiteurl" plain;
            Both "phoneNumber" plain, "telephone1" plain;
            Both "mobilePhoneNumber" plain, "mobilephone" plain;
        },
    },
    Subject {
        name: "price_list",
        erp: "companies",
        crm: "pricelevels",
        erp_in: |_| true,
        crm_in: |row| raw(row, "statecode") == "0",
        same: &[(|_, _| "the list".into(), |_, _| "the list".into())],
        after: (|_, _| "the list".into(), |_, _| "the list".into()),
        makes_erp: false,
        makes_crm: true,
        fields: fields! {
            ToCrm "" the_list, "name" plain;
            IntoNewCrm "" gbp, "_transactioncurrencyid_value" iso;
        },
    },
    Subject {
        name: "items",
        erp: "items",
        crm: "products",
        erp_in: |row| raw(row, "type") == "Inventory" && raw(row, "blocked") == "false",
        crm_in: |row| raw(row, "producttypecode") == "1" && raw(row, "statecode") == "0",
        same: &[(|_, row| raw(row, "number"), |_, row| raw(row, "productnumber"))],
        after: (|_, row| raw(row, "number"), |_, row| raw(row, "productnumber")),
        makes_erp: true,
        makes_crm: true,
        fields: fields! {
            ToCrm "number" code, "productnumber" plain;
            Both "displayName" plain, "name" plain;
            ToCrm "unitPrice" amount, "price" amount;
            ToCrm "unitCost" amount, "standardcost" amount;
            ToCrm "unitCost" amount, "currentcost" amount;
            ToCrm "inventory" amount, "quantityonhand" amount;
            Both "baseUnitOfMeasureCode" code, "_defaultuomid_value" unit;
            Both "baseUnitOfMeasureCode" code, "_defaultuomscheduleid_value" group;
            IntoNewCrm "" two, "quantitydecimal" plain;
            ToCrm "" the_list, "_pricelevelid_value" list;
        },
    },
    Subject {
        name: "item_prices",
        erp: "items",
        crm: "productpricelevels",
        erp_in: |row| raw(row, "type") == "Inventory" && raw(row, "blocked") == "false",
        crm_in: |_| true,
        same: &[(|_, row| raw(row, "number"), |_, row| raw(row, "productnumber"))],
        after: (|_, row| raw(row, "number"), |seen, row| product(seen, &raw(row, "_productid_value"))),
        makes_erp: false,
        makes_crm: true,
        fields: PRICE_FIELDS_OF_ITEMS,
    },
    Subject {
        name: "resources",
        erp: "resources",
        crm: "products",
        erp_in: |row| raw(row, "blocked") == "false",
        crm_in: |row| raw(row, "producttypecode") == "3" && raw(row, "statecode") == "0",
        same: &[(|_, row| raw(row, "number"), |_, row| raw(row, "productnumber"))],
        after: (|_, row| raw(row, "number"), |_, row| raw(row, "productnumber")),
        makes_erp: true,
        makes_crm: true,
        fields: fields! {
            ToCrm "number" code, "productnumber" plain;
            Both "name" plain, "name" plain;
            ToCrm "unitPrice" amount, "price" amount;
            ToCrm "unitCost" amount, "standardcost" amount;
            ToCrm "unitCost" amount, "currentcost" amount;
            ToCrm "capacity" amount, "quantityonhand" amount;
            Both "baseUnitOfMeasure" code, "_defaultuomid_value" unit;
            Both "baseUnitOfMeasure" code, "_defaultuomscheduleid_value" group;
            IntoNewCrm "" two, "quantitydecimal" plain;
            ToCrm "" the_list, "_pricelevelid_value" list;
        },
    },
    Subject {
        name: "resource_prices",
        erp: "resources",
        crm: "productpricelevels",
        erp_in: |row| raw(row, "blocked") == "false",
        crm_in: |_| true,
        same: &[(|_, row| raw(row, "number"), |_, row| raw(row, "productnumber"))],
        after: (|_, row| raw(row, "number"), |seen, row| product(seen, &raw(row, "_productid_value"))),
        makes_erp: false,
        makes_crm: true,
        fields: fields! {
            IntoNewCrm "number" code, "_productid_value" product;
            IntoNewCrm "" the_list, "_pricelevelid_value" list;
            IntoNewCrm "baseUnitOfMeasure" code, "_uomid_value" unit;
            ToCrm "unitPrice" amount, "amount" amount;
            ToCrm "" one, "pricingmethodcode" plain;
        },
    },
];

const PRICE_FIELDS_OF_ITEMS: &[Field] = fields! {
    IntoNewCrm "number" code, "_productid_value" product;
    IntoNewCrm "" the_list, "_pricelevelid_value" list;
    IntoNewCrm "baseUnitOfMeasureCode" code, "_uomid_value" unit;
    ToCrm "unitPrice" amount, "amount" amount;
    ToCrm "" one, "pricingmethodcode" plain;
};

fn gbp(_: &Snapshot, _: &str) -> String {
    "GBP".into()
}

fn unit_of_group_row(row: &Row) -> String {
    raw(row, "name").strip_prefix("NAV ").unwrap_or_default().to_owned()
}

fn name_and_city(row: &Row, name: &str, city: &str) -> String {
    match (raw(row, name).trim(), raw(row, city).trim()) {
        (_, "") | ("", _) => String::new(),
        (name, city) => format!("{} in {}", name.to_lowercase(), city.to_lowercase()),
    }
}

/// Two records that belong together after the night, and which of them were there before.
struct Pair {
    erp: String,
    crm: String,
    new_erp: bool,
    new_crm: bool,
}

/// Collects what is wrong; a test shows all of it.
#[derive(Default)]
struct Findings(Vec<String>);

impl Findings {
    fn say(&mut self, finding: String) {
        self.0.push(finding);
    }
}

/// What a night may do to one record that was there before.
#[derive(Default)]
struct Licence {
    changes: bool,
    properties: BTreeSet<&'static str>,
}

/// Couplings by the name of the table map: ERP id and CRM id.
pub type Couplings = BTreeMap<&'static str, BTreeSet<(String, String)>>;

/// Demands that a first night's result is what it must be; returns the couplings that must exist.
#[track_caller]
pub fn judge(before: &Snapshot, after: &Snapshot) -> Couplings {
    let (couplings, findings) = findings(before, after);
    let shown = findings.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(findings.is_empty(), "{} findings:\n{shown}", findings.len());
    couplings
}

/// Holds a first night's result against what it must be; returns the couplings that must exist, and what is wrong.
pub fn findings(before: &Snapshot, after: &Snapshot) -> (Couplings, Vec<String>) {
    let mut findings = Findings::default();
    let mut couplings = Couplings::new();
    let mut licences: BTreeMap<(Side, &str, String), Licence> = BTreeMap::new();
    let mut made: BTreeSet<(Side, &str, String)> = BTreeSet::new();
    for subject in SUBJECTS {
        let known = partners(subject, before);
        let pairs = pairs(subject, before, after, &mut findings);
        for pair in &pairs {
            if let Some(crm) = known.get(&pair.erp).filter(|_| !pair.new_erp)
                && *crm != pair.crm
            {
                findings.say(format!("{}: {} belongs to {crm}, not to {}", subject.name, pair.erp, pair.crm));
            }
            let alone = !known.contains_key(&pair.erp) && !known.values().any(|crm| *crm == pair.crm);
            if !pair.new_erp && !pair.new_crm && alone {
                findings.say(format!("{}: {} and {} are no pair", subject.name, pair.erp, pair.crm));
            }
            for field in subject.fields {
                compare(subject, field, pair, before, after, &mut licences, &mut findings);
            }
            for (side, set, id, new) in
                [(Side::Erp, subject.erp, &pair.erp, pair.new_erp), (Side::Crm, subject.crm, &pair.crm, pair.new_crm)]
            {
                if new {
                    made.insert((side, set, id.clone()));
                }
            }
        }
        couplings.insert(subject.name, pairs.into_iter().map(|pair| (pair.erp, pair.crm)).collect());
    }
    leave_alone(before, after, &licences, &made, &mut findings);
    (couplings, findings.0)
}

/// Tells which records of both sides are the same one before the night.
fn partners(subject: &Subject, before: &Snapshot) -> BTreeMap<String, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for (erp_key, crm_key) in subject.same {
        let mut by_key: BTreeMap<String, Vec<&String>> = BTreeMap::new();
        for (id, row) in before.set(Side::Crm, subject.crm).iter().filter(|(_, row)| (subject.crm_in)(row)) {
            if !found.values().any(|taken| taken == id) {
                by_key.entry(crm_key(before, row)).or_default().push(id);
            }
        }
        for (id, row) in before.set(Side::Erp, subject.erp).iter().filter(|(_, row)| (subject.erp_in)(row)) {
            let key = erp_key(before, row);
            if key.is_empty() || found.contains_key(id) {
                continue;
            }
            if let Some([crm]) = by_key.get(&key).map(Vec::as_slice) {
                found.insert(id.clone(), (*crm).clone());
            }
        }
    }
    found
}

/// Tells which records belong together after the night; each that takes part must have exactly one partner.
fn pairs(subject: &Subject, before: &Snapshot, after: &Snapshot, findings: &mut Findings) -> Vec<Pair> {
    let side_of = |side: Side| -> BTreeMap<String, Vec<String>> {
        let (set, inside, key) = match side {
            Side::Erp => (subject.erp, subject.erp_in, subject.after.0),
            Side::Crm => (subject.crm, subject.crm_in, subject.after.1),
        };
        let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (id, row) in after.set(side, set).iter().filter(|(_, row)| inside(row)) {
            by_key.entry(key(after, row)).or_default().push(id.clone());
        }
        by_key
    };
    let (erp, crm) = (side_of(Side::Erp), side_of(Side::Crm));
    let mut pairs = Vec::new();
    for (key, ids) in &erp {
        match (ids.as_slice(), crm.get(key).map(Vec::as_slice).unwrap_or_default()) {
            ([erp], [crm]) => pairs.push(Pair {
                erp: erp.clone(),
                crm: crm.clone(),
                new_erp: !before.set(Side::Erp, subject.erp).contains_key(erp),
                new_crm: !before.set(Side::Crm, subject.crm).contains_key(crm),
            }),
            (_, []) if !subject.makes_crm => {}
            (ids, others) => findings.say(format!(
                "{}: {key:?} is {} times in the ERP, {} in the CRM",
                subject.name,
                ids.len(),
                others.len()
            )),
        }
    }
    for (key, ids) in crm {
        if !erp.contains_key(&key) && subject.makes_erp {
            findings.say(format!("{}: {key:?} is {} times in the CRM and not in the ERP", subject.name, ids.len()));
        }
    }
    pairs
}

/// Compares one field of a pair with what it must be.
fn compare<'a>(
    subject: &'a Subject,
    field: &Field,
    pair: &Pair,
    before: &Snapshot,
    after: &Snapshot,
    licences: &mut BTreeMap<(Side, &'a str, String), Licence>,
    findings: &mut Findings,
) {
    // Ids and numbers of the ERP never change, so what a reference of before means is looked up after.
    let look = |snapshot: &Snapshot, side: Side| -> Option<String> {
        let (set, id, (property, meaning)) = match side {
            Side::Erp => (subject.erp, &pair.erp, field.erp),
            Side::Crm => (subject.crm, &pair.crm, field.crm),
        };
        let row = snapshot.set(side, set).get(id)?;
        Some(meaning(after, &raw(row, property)))
    };
    let (erp_was, crm_was) = (look(before, Side::Erp), look(before, Side::Crm));
    let (erp_is, crm_is) = (look(after, Side::Erp).unwrap(), look(after, Side::Crm).unwrap());
    let constant = field.erp.0.is_empty();
    let erp_kept = erp_was.clone().unwrap_or_else(|| erp_is.clone());
    let crm_kept = crm_was.clone().unwrap_or_else(|| crm_is.clone());
    let (erp_must, crm_must) = match field.way {
        Way::Both => {
            let value = match (&erp_was, &crm_was) {
                (Some(erp), Some(crm)) if erp.is_empty() => crm.clone(),
                (Some(erp), _) => erp.clone(),
                (None, Some(crm)) => crm.clone(),
                (None, None) => unreachable!("no record is made on both sides"),
            };
            (value.clone(), value)
        }
        Way::ToCrm => (erp_kept.clone(), erp_kept.clone()),
        Way::ToCrmUnlessBlank if erp_kept.is_empty() => (String::new(), crm_kept.clone()),
        Way::ToCrmUnlessBlank => (erp_kept.clone(), erp_kept.clone()),
        Way::IntoNewCrm if pair.new_crm => (erp_kept.clone(), erp_kept.clone()),
        Way::IntoNewCrm => (erp_kept.clone(), crm_kept.clone()),
        Way::ToErp => (crm_kept.clone(), crm_kept.clone()),
        Way::ToErpUnlessBlank if crm_kept.is_empty() => (erp_kept.clone(), String::new()),
        Way::ToErpUnlessBlank => (crm_kept.clone(), crm_kept.clone()),
    };
    for (side, set, id, property, was, is, must) in [
        (Side::Erp, subject.erp, &pair.erp, field.erp.0, &erp_was, &erp_is, &erp_must),
        (Side::Crm, subject.crm, &pair.crm, field.crm.0, &crm_was, &crm_is, &crm_must),
    ] {
        if side == Side::Erp && constant {
            continue;
        }
        if is != must {
            findings.say(format!("{}: {set}({id}).{property} was {was:?}, must be {must:?}, is {is:?}", subject.name));
        }
        let licence = licences.entry((side, set, id.clone())).or_default();
        licence.changes |= was.as_ref().is_some_and(|was| was != must);
        licence.properties.insert(property);
    }
}

/// Looks at everything that is not the night's business.
fn leave_alone(
    before: &Snapshot,
    after: &Snapshot,
    licences: &BTreeMap<(Side, &str, String), Licence>,
    made: &BTreeSet<(Side, &str, String)>,
    findings: &mut Findings,
) {
    let nothing = Licence::default();
    for ((side, set), rows) in &before.sets {
        for (id, was) in rows {
            let Some(is) = after.set(*side, set).get(id) else {
                findings.say(format!("{set}({id}) is gone"));
                continue;
            };
            // The ERP keeps a customer's company contact as it keeps the customer.
            if *side == Side::Erp && *set == "contacts" && raw(was, "type") == "Company" {
                continue;
            }
            let licence = licences.get(&(*side, *set, id.clone())).unwrap_or(&nothing);
            if !licence.changes {
                if was != is {
                    findings.say(format!("{set}({id}) was {was:?} and had to stay, is {is:?}"));
                }
                continue;
            }
            let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
            for name in names {
                let own = STAMPS.contains(&name.as_str())
                    || COMPUTED.contains(&name.as_str())
                    || name.contains('@')
                    || name.ends_with("_base")
                    || licence.properties.contains(name.as_str())
                    || (*set == "contacts" && name == "displayName");
                if !own && was.get(name) != is.get(name) {
                    findings.say(format!("{set}({id}).{name} was {:?}, is {:?}", was.get(name), is.get(name)));
                }
            }
        }
        for (id, is) in after.set(*side, set) {
            let company_contact = *side == Side::Erp && *set == "contacts" && raw(is, "type") == "Company";
            if !rows.contains_key(id) && !company_contact && !made.contains(&(*side, *set, id.clone())) {
                findings.say(format!("{set}({id}) was made, and nothing asked for it: {is:?}"));
            }
        }
    }
}
