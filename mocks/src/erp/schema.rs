//! The entity sets of the fake: their columns, types, lengths, keys, relations and number series; and the pages that
//! show them.
//!
//! Names and types are those of the standard API v2.0 and of the custom pages `resources` and `contacts`; captions and
//! tables are those behind the pages, because messages name them. A set is one table; `contacts` has two pages, because
//! the standard one lacks the parts of a person's name and the customer. Nothing here changes at run time.

use std::sync::LazyLock;

use super::cell::Cell;
use super::pages;

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

/// Where pages are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// The product's own API.
    Standard,
    /// What a shop's own extension publishes.
    Custom,
    /// OData V4 pages beside the API.
    Pages,
    /// The same pages, on a NAV server.
    Nav,
}

impl Api {
    /// The path below the service's root.
    pub fn path(self) -> &'static str {
        match self {
            Api::Standard => "/api/v2.0",
            Api::Custom => "/api/contoso/crm/v1.0",
            Api::Pages | Api::Nav => pages::PATH,
        }
    }
}

/// What stands between the parts of a primary key.
pub const PART_END: &str = "\u{1}";

/// An entity set and the table behind it.
#[derive(Debug)]
pub struct Set {
    pub name: &'static str,
    pub entity: &'static str,
    pub table: &'static str,
    pub series: Option<Series>,
    /// The columns that the primary key is made of, where that is more than one; the key's own column is shown nowhere then.
    pub parts: &'static [&'static str],
    pub columns: &'static [Column],
    pub navigations: &'static [Navigation],
}

impl Set {
    /// Returns the place of a column of exactly that name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Returns the primary key that the parts make; `None` where it is a column of its own.
    pub fn composed(&self, cells: &[Cell]) -> Option<String> {
        let parts = self.parts.iter().filter_map(|name| self.column(name)).map(|place| cells[place].text());
        // Below any character of a code, so that the rows come in the order of their parts.
        (!self.parts.is_empty()).then(|| parts.collect::<Vec<_>>().join(PART_END))
    }

    /// Returns the place of the first column in a role.
    pub fn role(&self, role: Role) -> usize {
        self.columns.iter().position(|column| column.role == role).expect("every set has an id, a key and a stamp")
    }
}

/// One property of a page: its name on the wire and the place of the column behind it.
#[derive(Debug)]
pub struct Property {
    pub name: &'static str,
    pub place: usize,
    /// Whether the page refuses to write it, if the column does not.
    read_only: bool,
}

/// What an API shows of a set.
#[derive(Debug)]
pub struct Page {
    pub api: Api,
    /// That of the set, except for OData V4 pages.
    pub name: &'static str,
    pub entity: &'static str,
    /// The place of the set in [`SETS`].
    pub set: usize,
    pub properties: Vec<Property>,
}

impl Page {
    /// Returns the set behind the page.
    pub fn table(&self) -> &'static Set {
        &SETS[self.set]
    }

    /// Returns the navigations that the page has.
    pub fn navigations(&self) -> &'static [Navigation] {
        if self.api == Api::Pages { &[] } else { self.table().navigations }
    }

    /// Returns the place, among the page's properties, of that of exactly this name.
    pub fn property(&self, name: &str) -> Option<usize> {
        self.properties.iter().position(|property| property.name == name)
    }

    /// Returns the type of its records, as the metadata calls it.
    pub fn type_name(&self) -> String {
        let namespace = if self.api == Api::Pages { "NAV" } else { "Microsoft.NAV" };
        format!("{namespace}.{}", self.entity)
    }

    /// Returns the place of the column behind the property of exactly this name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.property(name).map(|property| self.properties[property].place)
    }

    /// Returns the column behind a property.
    pub fn behind(&self, property: &Property) -> &'static Column {
        &self.table().columns[property.place]
    }

    /// Returns the properties that the primary key is made of.
    pub fn key(&self) -> impl Iterator<Item = &Property> {
        let parts = self.table().parts;
        self.properties.iter().filter(move |property| match parts {
            [] => self.behind(property).role == Role::Key,
            parts => parts.contains(&self.behind(property).name),
        })
    }

    /// Tells whether a property cannot be written here.
    pub fn is_read_only(&self, property: &Property) -> bool {
        property.read_only || matches!(self.behind(property).role, Role::ReadOnly | Role::Stamp)
    }
}

/// What a page shows of its set.
enum Choice {
    /// Without the day of the last change in any case.
    AllBut(&'static [&'static str]),
    Only(&'static [Shown]),
}

/// A property of a page: name, column, and whether the page refuses to write it.
pub type Shown = (&'static str, &'static str, bool);

/// Returns the place of an API's page in [`PAGES`].
pub fn page(api: Api, name: &str) -> Option<usize> {
    let api = if api == Api::Nav { Api::Pages } else { api };
    PAGES.iter().position(|page| page.api == api && page.name == name)
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

/// The column that tells the day of the last change, on OData V4 pages only; it is worked out from the time.
pub const LAST_DAY: &str = "lastDateModified";

const DAY: Column = column(LAST_DAY, Date, "Last Date Modified", ReadOnly);
const ID: Column = column("id", Guid, "Id", Id);
const STAMP: Column = column("lastModifiedDateTime", DateTime, "Last Date Modified", Stamp);

/// All entity sets in a company.
pub static SETS: &[Set] = &[
    Set {
        name: "customers",
        entity: "customer",
        table: "Customer",
        series: Some(Series { prefix: "C", digits: 5, first: 10, step: 10 }),
        parts: &[],
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
            DAY,
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
        series: Some(Series { prefix: "CT", digits: 6, first: 1, step: 1 }),
        parts: &[],
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
            column("firstName", Text(30), "First Name", Plain),
            column("middleName", Text(30), "Middle Name", Plain),
            column("surname", Text(30), "Surname", Plain),
            // Always blank in the table: it is worked out from the company, and writing it sets the company.
            column("customerNumber", code(20), "Customer No.", Role::Code("customers", None)),
            STAMP,
            DAY,
        ],
        navigations: &[],
    },
    Set {
        name: "items",
        entity: "item",
        table: "Item",
        series: Some(Series { prefix: "ITEM", digits: 5, first: 10, step: 10 }),
        parts: &[],
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
            DAY,
        ],
        navigations: &[Navigation { name: "unitOfMeasure", column: "baseUnitOfMeasureId", set: "unitsOfMeasure" }],
    },
    Set {
        name: "currencies",
        entity: "currency",
        table: "Currency",
        series: None,
        parts: &[],
        columns: &[
            ID,
            column("code", code(10), "Code", Key),
            column("displayName", Text(30), "Description", Plain),
            column("symbol", Text(10), "Symbol", Plain),
            column("amountDecimalPlaces", Text(5), "Amount Decimal Places", Plain),
            column("amountRoundingPrecision", Decimal, "Amount Rounding Precision", Plain),
            STAMP,
            DAY,
        ],
        navigations: &[],
    },
    Set {
        name: "unitsOfMeasure",
        entity: "unitOfMeasure",
        table: "Unit of Measure",
        series: None,
        parts: &[],
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
        series: None,
        parts: &[],
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
        series: None,
        parts: &[],
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
        series: None,
        parts: &[],
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
        series: Some(Series { prefix: "R", digits: 4, first: 10, step: 10 }),
        parts: &[],
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
            DAY,
        ],
        navigations: &[],
    },
    // In no API (erp-api.md §9): on an OData V4 page only.
    Set {
        name: "itemUnitsOfMeasure",
        entity: "itemUnitOfMeasure",
        table: "Item Unit of Measure",
        series: None,
        parts: &["itemNumber", "code"],
        columns: &[
            ID,
            column("key", code(31), "Key", Key),
            column("itemNumber", code(20), "Item No.", Role::Code("items", None)),
            column("code", code(10), "Code", Role::Code("unitsOfMeasure", None)),
            column("qtyPerUnitOfMeasure", Decimal, "Qty. per Unit of Measure", Plain),
            column("weight", Decimal, "Weight", Plain),
            STAMP,
        ],
        navigations: &[],
    },
];

/// All pages, in the order in which an API lists them.
pub static PAGES: LazyLock<Vec<Page>> = LazyLock::new(|| {
    let all = SETS.iter().enumerate().filter_map(|(set, declared)| match declared.name {
        "contacts" => Some(page_of(Api::Standard, set, &Choice::AllBut(EXTENSION))),
        "resources" => Some(page_of(Api::Custom, set, &Choice::AllBut(&[]))),
        "itemUnitsOfMeasure" => None,
        _ => Some(page_of(Api::Standard, set, &Choice::AllBut(&[]))),
    });
    let contacts = set("contacts").map(|set| page_of(Api::Custom, set, &Choice::Only(CUSTOM_CONTACT)));
    let published = pages::PUBLISHED.iter().filter_map(|(name, declared, shown)| {
        let page = page_of(Api::Pages, set(declared)?, &Choice::Only(shown));
        Some(Page { name, entity: name, ..page })
    });
    all.chain(contacts).chain(published).collect()
});

/// What the standard page of contacts lacks.
const EXTENSION: &[&str] = &["firstName", "middleName", "surname", "customerNumber"];

const CUSTOM_CONTACT: &[Shown] = &[
    ("id", "id", false),
    ("number", "number", false),
    ("type", "type", false),
    ("firstName", "firstName", false),
    ("middleName", "middleName", false),
    ("surname", "surname", false),
    ("displayName", "displayName", true),
    ("jobTitle", "jobTitle", false),
    ("companyNumber", "companyNumber", true),
    ("customerNumber", "customerNumber", false),
    ("addressLine1", "addressLine1", false),
    ("addressLine2", "addressLine2", false),
    ("city", "city", false),
    ("state", "state", false),
    ("country", "country", false),
    ("postalCode", "postalCode", false),
    ("phoneNumber", "phoneNumber", false),
    ("mobilePhoneNumber", "mobilePhoneNumber", false),
    ("email", "email", false),
    ("website", "website", false),
    ("systemModifiedAt", "lastModifiedDateTime", true),
];

fn page_of(api: Api, set: usize, choice: &Choice) -> Page {
    let table = &SETS[set];
    let own = || table.columns.iter().map(|column| (column.name, column.name, false));
    let shown: Vec<Shown> = match choice {
        Choice::AllBut(hidden) => own().filter(|(name, ..)| *name != LAST_DAY && !hidden.contains(name)).collect(),
        Choice::Only(shown) => shown.to_vec(),
    };
    let properties = shown.into_iter().map(|(name, column, read_only)| {
        let place = table.column(column).expect("a page shows columns of its table, as a test says");
        Property { name, place, read_only }
    });
    Page { api, name: table.name, entity: table.entity, set, properties: properties.collect() }
}

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
    fn every_set_has_a_page_and_every_page_an_id_and_a_stamp() {
        for (place, set) in SETS.iter().enumerate() {
            assert!(PAGES.iter().any(|page| page.set == place), "{}", set.name);
        }
        for page in PAGES.iter() {
            for navigation in page.navigations() {
                assert!(super::page(page.api, navigation.set).is_some(), "{}", navigation.name);
            }
            // Pages know their records by the primary key alone.
            let roles: &[Role] = if page.api == Api::Pages { &[] } else { &[Id, Key, Stamp] };
            for role in roles.iter().copied() {
                assert!(page.properties.iter().any(|property| page.behind(property).role == role), "{page:?}");
            }
            assert_eq!(page.key().count(), page.table().parts.len().max(1), "{page:?}");
            assert_eq!(PAGES[super::page(page.api, page.name).unwrap()].properties.len(), page.properties.len());
        }
    }

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
