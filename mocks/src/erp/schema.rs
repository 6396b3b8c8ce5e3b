//! The entity sets of the fake: their columns, types, lengths, keys, relations and number series.
//!
//! Names and types are those of the standard API v2.0 and of the custom page `resources`; captions and tables are those
//! behind the pages, because messages name them. Nothing here changes at run time.

/// The type of a column, with the longest text it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Guid,
    Text(usize),
    Code(usize),
    Decimal,
    Bool,
    Date,
    DateTime,
    Enum(&'static Members),
}

/// An enum type: its name and its members, in the wire's encoding and in the order of their values.
#[derive(Debug, PartialEq)]
pub struct Members {
    pub name: &'static str,
    pub names: &'static [&'static str],
}

/// What a write may do with a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Any value of its type.
    Plain,
    /// The row's id: taken on insert, fixed afterwards.
    Id,
    /// The primary key of the table.
    Key,
    /// Set by the service only.
    ReadOnly,
    /// The time of the last change.
    Stamp,
    /// The primary key of a row of another set; the second name is that of the column with the row's id, if any.
    Code(&'static str, Option<&'static str>),
    /// The id of a row of another set; the second name is that of the column with the row's key, if any.
    Link(&'static str, Option<&'static str>),
}

/// One property of an entity.
#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// The caption of the field or control.
    pub caption: &'static str,
    pub role: Role,
}

/// A to-one navigation: its name, the column with the id, and the set that the id is in.
#[derive(Debug)]
pub struct Navigation {
    pub name: &'static str,
    pub column: &'static str,
    pub set: &'static str,
}

/// Numbers given to records that come without one: a prefix, the digits after it, the first number and the step.
#[derive(Debug)]
pub struct Series {
    pub prefix: &'static str,
    pub digits: usize,
    pub first: u64,
    pub step: u64,
}

/// Where a set is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    Standard,
    Custom,
}

impl Api {
    /// The path below the service's root.
    pub fn path(self) -> &'static str {
        match self {
            Api::Standard => "/api/v2.0",
            Api::Custom => "/api/contoso/crm/v1.0",
        }
    }
}

/// An entity set and the table behind it.
#[derive(Debug)]
pub struct Set {
    pub name: &'static str,
    pub entity: &'static str,
    pub table: &'static str,
    pub api: Api,
    pub series: Option<Series>,
    pub columns: &'static [Column],
    pub navigations: &'static [Navigation],
}

impl Set {
    /// Returns the place of a column of exactly that name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Returns the place of the first column in a role.
    pub fn role(&self, role: Role) -> usize {
        self.columns.iter().position(|column| column.role == role).expect("every set has an id, a key and a stamp")
    }
}

/// Returns the place of an entity set in [`SETS`].
pub fn set(name: &str) -> Option<usize> {
    SETS.iter().position(|set| set.name == name)
}

const fn column(name: &'static str, kind: Kind, caption: &'static str, role: Role) -> Column {
    Column { name, kind, caption, role }
}

use Kind::{Bool, Date, DateTime, Decimal, Enum, Guid, Text};
use Role::{Id, Key, Link, Plain, ReadOnly, Stamp};

const fn code(max: usize) -> Kind {
    Kind::Code(max)
}

const CONTACT_TYPE: Members = Members { name: "contactType", names: &["Company", "Person"] };
const CUSTOMER_BLOCKED: Members = Members { name: "customerBlocked", names: &["_x0020_", "Ship", "Invoice", "All"] };
const ITEM_TYPE: Members = Members { name: "itemType", names: &["Inventory", "Service", "Non_x002D_Inventory"] };
const RESOURCE_TYPE: Members = Members { name: "resourceType", names: &["Person", "Machine"] };
/// The member for a contact that is nobody's, and for one that belongs to a customer.
pub const NO_RELATION: u8 = 5;
pub const CUSTOMER_RELATION: u8 = 1;
const BUSINESS_RELATION: Members = Members {
    name: "contactBusinessRelation",
    names: &["_x0020_", "Customer", "Vendor", "Bank_x0020_Account", "Employee", "None", "Other", "Multiple"],
};

const ID: Column = column("id", Guid, "Id", Id);
const STAMP: Column = column("lastModifiedDateTime", DateTime, "Last Date Modified", Stamp);

/// All entity sets in a company.
pub static SETS: &[Set] = &[
    Set {
        name: "customers",
        entity: "customer",
        table: "Customer",
        api: Api::Standard,
        series: Some(Series { prefix: "C", digits: 5, first: 10, step: 10 }),
        columns: &[
            ID,
            column("number", code(20), "No.", Key),
            column("displayName", Text(100), "Name", Plain),
            column("type", Enum(&CONTACT_TYPE), "Type", Plain),
            column("addressLine1", Text(100), "Address", Plain),
            column("addressLine2", Text(50), "Address 2", Plain),
            column("city", Text(30), "City", Plain),
            column("state", Text(30), "County", Plain),
            column("country", code(10), "Country/Region Code", Plain),
            column("postalCode", code(20), "Post Code", Plain),
            column("phoneNumber", Text(30), "Phone No.", Plain),
            column("email", Text(80), "Email", Plain),
            column("website", Text(255), "Home Page", Plain),
            column("salespersonCode", code(20), "Salesperson Code", Role::Code("salespeoplePurchasers", None)),
            column("balanceDue", Decimal, "Balance Due (LCY)", ReadOnly),
            column("creditLimit", Decimal, "Credit Limit (LCY)", Plain),
            column("taxLiable", Bool, "Tax Liable", Plain),
            column("taxAreaId", Guid, "Tax Area Id", Plain),
            column("taxAreaDisplayName", Text(100), "Tax Area Display Name", ReadOnly),
            column("taxRegistrationNumber", Text(20), "VAT Registration No.", Plain),
            column("currencyId", Guid, "Currency Id", Link("currencies", Some("currencyCode"))),
            column("currencyCode", code(10), "Currency Code", Role::Code("currencies", Some("currencyId"))),
            column("paymentTermsId", Guid, "Payment Terms Id", Link("paymentTerms", None)),
            column("shipmentMethodId", Guid, "Shipment Method Id", Link("shipmentMethods", None)),
            column("paymentMethodId", Guid, "Payment Method Id", Plain),
            column("blocked", Enum(&CUSTOMER_BLOCKED), "Blocked", Plain),
            STAMP,
        ],
        navigations: &[
            Navigation { name: "currency", column: "currencyId", set: "currencies" },
            Navigation { name: "paymentTerm", column: "paymentTermsId", set: "paymentTerms" },
            Navigation { name: "shipmentMethod", column: "shipmentMethodId", set: "shipmentMethods" },
        ],
    },
    Set {
        name: "contacts",
        entity: "contact",
        table: "Contact",
        api: Api::Standard,
        series: Some(Series { prefix: "CT", digits: 6, first: 1, step: 1 }),
        columns: &[
            ID,
            column("number", code(20), "No.", Key),
            column("type", Enum(&CONTACT_TYPE), "Type", Plain),
            column("displayName", Text(100), "Name", Plain),
            column("jobTitle", Text(30), "Job Title", Plain),
            column("companyNumber", code(20), "Company No.", Role::Code("contacts", None)),
            column("companyName", Text(100), "Company Name", ReadOnly),
            column("contactBusinessRelation", Enum(&BUSINESS_RELATION), "Contact Business Relation", ReadOnly),
            column("addressLine1", Text(100), "Address", Plain),
            column("addressLine2", Text(50), "Address 2", Plain),
            column("city", Text(30), "City", Plain),
            column("state", Text(30), "County", Plain),
            column("country", code(10), "Country/Region Code", Plain),
            column("postalCode", code(20), "Post Code", Plain),
            column("phoneNumber", Text(30), "Phone No.", Plain),
            column("mobilePhoneNumber", Text(30), "Mobile Phone No.", Plain),
            column("email", Text(80), "Email", Plain),
            column("website", Text(255), "Home Page", Plain),
            column("searchName", code(100), "Search Name", Plain),
            column("privacyBlocked", Bool, "Privacy Blocked", Plain),
            column("taxRegistrationNumber", Text(20), "VAT Registration No.", Plain),
            column("lastInteractionDate", Date, "Last Date Attempted", ReadOnly),
            STAMP,
        ],
        navigations: &[],
    },
    Set {
        name: "items",
        entity: "item",
        table: "Item",
        api: Api::Standard,
        series: Some(Series { prefix: "ITEM", digits: 5, first: 10, step: 10 }),
        columns: &[
            ID,
            column("number", code(20), "No.", Key),
            column("displayName", Text(100), "Description", Plain),
            column("displayName2", Text(50), "Description 2", Plain),
            column("type", Enum(&ITEM_TYPE), "Type", Plain),
            column("itemCategoryId", Guid, "Item Category Id", Plain),
            column("itemCategoryCode", code(20), "Item Category Code", Plain),
            column("blocked", Bool, "Blocked", Plain),
            column("gtin", code(14), "GTIN", Plain),
            column("inventory", Decimal, "Inventory", ReadOnly),
            column("unitPrice", Decimal, "Unit Price", Plain),
            column("priceIncludesTax", Bool, "Price Includes VAT", Plain),
            column("unitCost", Decimal, "Unit Cost", Plain),
            column("taxGroupId", Guid, "Tax Group Id", Plain),
            column("taxGroupCode", code(20), "Tax Group Code", Plain),
            column(
                "baseUnitOfMeasureId",
                Guid,
                "Unit of Measure Id",
                Link("unitsOfMeasure", Some("baseUnitOfMeasureCode")),
            ),
            column(
                "baseUnitOfMeasureCode",
                code(10),
                "Base Unit of Measure",
                Role::Code("unitsOfMeasure", Some("baseUnitOfMeasureId")),
            ),
            column("generalProductPostingGroupId", Guid, "Gen. Prod. Posting Group Id", Plain),
            column("generalProductPostingGroupCode", code(20), "Gen. Prod. Posting Group", Plain),
            column("inventoryPostingGroupId", Guid, "Inventory Posting Group Id", Plain),
            column("inventoryPostingGroupCode", code(20), "Inventory Posting Group", Plain),
            STAMP,
        ],
        navigations: &[Navigation { name: "unitOfMeasure", column: "baseUnitOfMeasureId", set: "unitsOfMeasure" }],
    },
    Set {
        name: "currencies",
        entity: "currency",
        table: "Currency",
        api: Api::Standard,
        series: None,
        columns: &[
            ID,
            column("code", code(10), "Code", Key),
            column("displayName", Text(30), "Description", Plain),
            column("symbol", Text(10), "Symbol", Plain),
            column("amountDecimalPlaces", Text(5), "Amount Decimal Places", Plain),
            column("amountRoundingPrecision", Decimal, "Amount Rounding Precision", Plain),
            STAMP,
        ],
        navigations: &[],
    },
    Set {
        name: "unitsOfMeasure",
        entity: "unitOfMeasure",
        table: "Unit of Measure",
        api: Api::Standard,
        series: None,
        columns: &[
            ID,
            column("code", code(10), "Code", Key),
            column("displayName", Text(50), "Description", Plain),
            column("internationalStandardCode", code(10), "International Standard Code", Plain),
            column("symbol", Text(10), "Symbol", Plain),
            STAMP,
        ],
        navigations: &[],
    },
    Set {
        name: "salespeoplePurchasers",
        entity: "salespersonPurchaser",
        table: "Salesperson/Purchaser",
        api: Api::Standard,
        series: None,
        columns: &[
            ID,
            column("code", code(20), "Code", Key),
            column("displayName", Text(50), "Name", Plain),
            column("email", Text(80), "E-Mail", Plain),
            column("email2", Text(80), "E-Mail 2", Plain),
            column("phoneNo", Text(30), "Phone No.", Plain),
            column("jobTitle", Text(30), "Job Title", Plain),
            column("commisionPercent", Decimal, "Commission %", Plain),
            column("privacyBlocked", Bool, "Privacy Blocked", Plain),
            column("blocked", Bool, "Blocked", Plain),
            STAMP,
        ],
        navigations: &[],
    },
    Set {
        name: "paymentTerms",
        entity: "paymentTerm",
        table: "Payment Terms",
        api: Api::Standard,
        series: None,
        columns: &[
            ID,
            column("code", code(10), "Code", Key),
            column("displayName", Text(100), "Description", Plain),
            column("dueDateCalculation", Text(32), "Due Date Calculation", Plain),
            column("discountDateCalculation", Text(32), "Discount Date Calculation", Plain),
            column("discountPercent", Decimal, "Discount %", Plain),
            column("calculateDiscountOnCreditMemos", Bool, "Calc. Pmt. Disc. on Cr. Memos", Plain),
            STAMP,
        ],
        navigations: &[],
    },
    Set {
        name: "shipmentMethods",
        entity: "shipmentMethod",
        table: "Shipment Method",
        api: Api::Standard,
        series: None,
        columns: &[
            ID,
            column("code", code(10), "Code", Key),
            column("displayName", Text(100), "Description", Plain),
            STAMP,
        ],
        navigations: &[],
    },
    Set {
        name: "resources",
        entity: "resource",
        table: "Resource",
        api: Api::Custom,
        series: Some(Series { prefix: "R", digits: 4, first: 10, step: 10 }),
        columns: &[
            ID,
            column("number", code(20), "No.", Key),
            column("type", Enum(&RESOURCE_TYPE), "Type", Plain),
            column("name", Text(100), "Name", Plain),
            column("baseUnitOfMeasure", code(10), "Base Unit of Measure", Role::Code("unitsOfMeasure", None)),
            column("unitPrice", Decimal, "Unit Price", Plain),
            column("unitCost", Decimal, "Unit Cost", Plain),
            column("vendorNumber", code(20), "Vendor No.", Plain),
            column("capacity", Decimal, "Capacity", ReadOnly),
            column("blocked", Bool, "Blocked", Plain),
            column("systemModifiedAt", DateTime, "SystemModifiedAt", Stamp),
        ],
        navigations: &[],
    },
];

/// The properties of a company, which is read-only here.
pub static COMPANY: &[Column] = &[
    ID,
    column("systemVersion", Text(250), "System Version", ReadOnly),
    column("timestamp", Decimal, "Timestamp", ReadOnly),
    column("name", Text(30), "Name", Key),
    column("displayName", Text(250), "Display Name", ReadOnly),
    column("businessProfileId", Text(250), "Business Profile Id", ReadOnly),
    column("systemCreatedAt", DateTime, "SystemCreatedAt", ReadOnly),
    column("systemCreatedBy", Guid, "SystemCreatedBy", ReadOnly),
    column("systemModifiedAt", DateTime, "SystemModifiedAt", Stamp),
    column("systemModifiedBy", Guid, "SystemModifiedBy", ReadOnly),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_relation_leads_to_a_set_and_back() {
        for owner in SETS {
            owner.role(Id);
            owner.role(Key);
            owner.role(Stamp);
            for column in owner.columns {
                if let Role::Code(target, twin) | Link(target, twin) = column.role {
                    assert!(set(target).is_some(), "{}.{}", owner.name, column.name);
                    assert!(twin.is_none_or(|twin| owner.column(twin).is_some()), "{}.{}", owner.name, column.name);
                }
            }
            for navigation in owner.navigations {
                assert!(owner.column(navigation.column).is_some() && set(navigation.set).is_some());
            }
        }
    }
}
