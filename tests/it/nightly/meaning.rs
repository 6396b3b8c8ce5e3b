//! What the properties of both sides mean, and which of them belong together: the oracle's own tables.
//!
//! Written from the meaning of the data: keys, filters and directions are said anew here, not taken from the file.

use mocks::data::Row;
use pipeline::config::Side;

use super::oracle::{Snapshot, raw};

/// What a property's text means.
pub type Meaning = fn(&Snapshot, &str) -> String;

/// What a record is called, for one that belongs to it to be found.
pub type Key = fn(&Snapshot, &Row) -> String;

/// Which way a field goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
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

pub struct Field {
    pub way: Way,
    pub erp: (&'static str, Meaning),
    pub crm: (&'static str, Meaning),
}

/// A kind of record and where it is on both sides.
pub struct Subject {
    pub name: &'static str,
    pub erp: &'static str,
    pub crm: &'static str,
    /// Which records take part.
    pub erp_in: fn(&Row) -> bool,
    pub crm_in: fn(&Row) -> bool,
    /// What makes two records the same before the night: in order, and blank never counts.
    pub same: &'static [(Key, Key)],
    /// What makes them the same after it.
    pub after: (Key, Key),
    pub makes_erp: bool,
    pub makes_crm: bool,
    pub fields: &'static [Field],
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

pub const SUBJECTS: &[Subject] = &[
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
