//! The tables of the CRM, declared.
//!
//! The logical name of a column is its schema name in lower case, as in Dataverse. Lengths, ranges and choices are
//! those of the standard tables in Microsoft's entity reference; columns that no integration of customers, contacts,
//! products and prices touches are left out.

use std::collections::HashMap;

use super::schema::{Choice, Column, Kind, OnDelete, Required, Table, Target};

/// Declares all tables, in an order that lets references come after what they refer to.
pub fn declare() -> Vec<Table> {
    vec![
        business_unit(),
        team(),
        system_user(),
        currency(),
        unit_group(),
        unit(),
        price_list(),
        product(),
        price_line(),
        account(),
        contact(),
    ]
}

fn business_unit() -> Table {
    let columns = vec![
        key("BusinessUnitId"),
        text("Name", 160).required(Required::System),
        flag("IsDisabled"),
        lookup("ParentBusinessUnitId", "businessunit", OnDelete::Restrict),
    ];
    table_of("businessunit", "businessunits", "BusinessUnit", 10, "businessunitid", "name", [columns, audit()])
}

fn team() -> Table {
    let columns = vec![
        key("TeamId"),
        text("Name", 160).required(Required::System),
        flag("IsDefault").read_only(),
        picklist("TeamType", &[(0, "Owner"), (1, "Access"), (2, "AAD Security Group"), (3, "AAD Office Group")])
            .create_only(),
        lookup("BusinessUnitId", "businessunit", OnDelete::Restrict).required(Required::System),
    ];
    table_of("team", "teams", "Team", 9, "teamid", "name", [columns, audit()])
}

fn system_user() -> Table {
    let columns = vec![
        key("SystemUserId"),
        text("FullName", 200).read_only(),
        text("FirstName", 256).required(Required::Application),
        text("MiddleName", 50),
        text("LastName", 256).required(Required::Application),
        text("InternalEMailAddress", 100).required(Required::Application),
        text("PersonalEMailAddress", 100),
        text("DomainName", 1024).required(Required::Application),
        text("JobTitle", 100),
        text("Title", 128),
        text("MobilePhone", 64),
        text("HomePhone", 50),
        text("Address1_Telephone1", 64),
        text("EmployeeId", 100),
        guid("AzureActiveDirectoryObjectId").read_only(),
        guid("ApplicationId"),
        flag("IsDisabled").update_only(),
        flag("IsLicensed").read_only(),
        flag("IsIntegrationUser"),
        picklist(
            "AccessMode",
            &[
                (0, "Read-Write"),
                (1, "Administrative"),
                (2, "Read"),
                (3, "Support User"),
                (4, "Non-interactive"),
                (5, "Delegated Admin"),
            ],
        ),
        lookup("BusinessUnitId", "businessunit", OnDelete::Restrict).required(Required::System),
        lookup("ParentSystemUserId", "systemuser", OnDelete::Unlink),
    ];
    table_of("systemuser", "systemusers", "SystemUser", 8, "systemuserid", "fullname", [columns, audit()])
}

fn currency() -> Table {
    let columns = vec![
        key("TransactionCurrencyId"),
        text("CurrencyName", 100).required(Required::System),
        text("ISOCurrencyCode", 5).required(Required::System).create_only(),
        text("CurrencySymbol", 13).required(Required::System),
        integer("CurrencyPrecision", 0, 4).required(Required::System),
        decimal("ExchangeRate", 12, "0.000000000001", "100000000000").required(Required::System),
    ];
    table_of(
        "transactioncurrency",
        "transactioncurrencies",
        "TransactionCurrency",
        9105,
        "transactioncurrencyid",
        "currencyname",
        [columns, state(&ACTIVE_INACTIVE), audit()],
    )
}

fn unit_group() -> Table {
    let columns = vec![
        key("UoMScheduleId"),
        text("Name", 200).required(Required::System),
        text("BaseUoMName", 100).create_only(),
        memo("Description", 2000),
    ];
    table_of(
        "uomschedule",
        "uomschedules",
        "UoMSchedule",
        1056,
        "uomscheduleid",
        "name",
        [columns, state(&ACTIVE_INACTIVE), audit()],
    )
}

fn unit() -> Table {
    let columns = vec![
        key("UoMId"),
        text("Name", 100).required(Required::Application),
        decimal("Quantity", 10, "0", "100000000000").required(Required::Application),
        flag("IsScheduleBaseUoM").read_only(),
        lookup("UoMScheduleId", "uomschedule", OnDelete::Cascade).required(Required::System).create_only(),
        lookup("BaseUoM", "uom", OnDelete::Restrict).required(Required::Application),
    ];
    table_of("uom", "uoms", "UoM", 1055, "uomid", "name", [columns, audit()])
}

fn price_list() -> Table {
    let columns = vec![
        key("PriceLevelId"),
        text("Name", 100).required(Required::System),
        memo("Description", 2000),
        date("BeginDate"),
        date("EndDate"),
        picklist("FreightTermsCode", &[(1, "Default Value")]),
        picklist("PaymentMethodCode", &[(1, "Default Value")]),
        picklist("ShippingMethodCode", &[(1, "Default Value")]),
        lookup("TransactionCurrencyId", "transactioncurrency", OnDelete::Restrict).required(Required::Application),
        decimal("ExchangeRate", 12, "0.000000000001", "100000000000").read_only(),
    ];
    table_of(
        "pricelevel",
        "pricelevels",
        "PriceLevel",
        1022,
        "pricelevelid",
        "name",
        [columns, state(&[(0, "Active", 100_001), (1, "Inactive", 100_002)]), audit()],
    )
}

fn product() -> Table {
    let amount_max = "1000000000000";
    let count_max = "1000000000";
    let columns = vec![
        key("ProductId"),
        text("Name", 100).required(Required::System),
        text("ProductNumber", 100).required(Required::System),
        memo("Description", 2000),
        picklist(
            "ProductTypeCode",
            &[(1, "Sales Inventory"), (2, "Miscellaneous Charges"), (3, "Services"), (4, "Flat Fees")],
        ),
        picklist("ProductStructure", &[(1, "Product"), (2, "Product Family"), (3, "Product Bundle")])
            .required(Required::System)
            .create_only(),
        integer("QuantityDecimal", 0, 5).required(Required::Application),
        decimal("QuantityOnHand", 2, "0", count_max),
        decimal("StockVolume", 2, "0", count_max),
        decimal("StockWeight", 2, "0", count_max),
        money("Price", 1, amount_max),
        base("Price_Base"),
        money("StandardCost", 1, amount_max),
        base("StandardCost_Base"),
        money("CurrentCost", 1, amount_max),
        base("CurrentCost_Base"),
        text("SupplierName", 100),
        text("VendorID", 100),
        text("VendorName", 100),
        text("VendorPartNumber", 100),
        text("ProductUrl", 255),
        text("Size", 200),
        flag("IsStockItem"),
        date("ValidFromDate"),
        date("ValidToDate"),
        lookup("DefaultUoMId", "uom", OnDelete::Restrict).required(Required::Application),
        lookup("DefaultUoMScheduleId", "uomschedule", OnDelete::Restrict).required(Required::Application),
        lookup("PriceLevelId", "pricelevel", OnDelete::Restrict).required(Required::Recommended).update_only(),
        lookup("ParentProductId", "product", OnDelete::Restrict).create_only(),
        lookup("TransactionCurrencyId", "transactioncurrency", OnDelete::Restrict),
        decimal("ExchangeRate", 12, "0.000000000001", "100000000000").read_only(),
    ];
    let mut states = state(&[(0, "Active", 1), (1, "Retired", 2), (2, "Draft", 0), (3, "Under Revision", 3)]);
    states[1].kind = Kind::Status(vec![
        Choice { value: 0, label: "Draft", pair: 2 },
        Choice { value: 1, label: "Active", pair: 0 },
        Choice { value: 2, label: "Retired", pair: 1 },
        Choice { value: 3, label: "Under Revision", pair: 3 },
    ]);
    table_of("product", "products", "Product", 1024, "productid", "name", [columns, states, audit()])
}

fn price_line() -> Table {
    let columns = vec![
        key("ProductPriceLevelId"),
        money("Amount", 1, "100000000000000").required(Required::Application),
        base("Amount_Base"),
        decimal("Percentage", 2, "0", "1000000000").required(Required::Application),
        picklist(
            "PricingMethodCode",
            &[
                (1, "Currency Amount"),
                (2, "Percent of List"),
                (3, "Percent Markup - Current Cost"),
                (4, "Percent Margin - Current Cost"),
                (5, "Percent Markup - Standard Cost"),
                (6, "Percent Margin - Standard Cost"),
            ],
        )
        .required(Required::Application),
        picklist("QuantitySellingCode", &[(1, "No Control"), (2, "Whole"), (3, "Whole and Fractional")])
            .required(Required::Application),
        picklist("RoundingPolicyCode", &[(1, "None"), (2, "Up"), (3, "Down"), (4, "To Nearest")])
            .required(Required::Application),
        picklist("RoundingOptionCode", &[(1, "Ends in"), (2, "Multiple of")]).required(Required::Application),
        text("ProductNumber", 100).read_only(),
        lookup("PriceLevelId", "pricelevel", OnDelete::Cascade).required(Required::System).create_only(),
        lookup("ProductId", "product", OnDelete::Cascade).required(Required::System),
        lookup("UoMId", "uom", OnDelete::Restrict).required(Required::Application),
        lookup("UoMScheduleId", "uomschedule", OnDelete::Restrict),
        lookup("TransactionCurrencyId", "transactioncurrency", OnDelete::Restrict).update_only(),
        decimal("ExchangeRate", 12, "0.000000000001", "100000000000").read_only(),
    ];
    table_of(
        "productpricelevel",
        "productpricelevels",
        "ProductPriceLevel",
        1026,
        "productpricelevelid",
        "productidname",
        [columns, audit()],
    )
}

/// The column with the format Date Only and the behavior User Local: what it holds is the moment at which the day begins
/// for whoever typed it.
pub const LOCAL_DAY: &str = "new_CustomerSince";

fn account() -> Table {
    let columns = vec![
        key("AccountId"),
        text("Name", 160).required(Required::Application),
        text("AccountNumber", 20),
        picklist(
            "CustomerTypeCode",
            &[
                (1, "Competitor"),
                (2, "Consultant"),
                (3, "Customer"),
                (4, "Investor"),
                (5, "Partner"),
                (6, "Influencer"),
                (7, "Press"),
                (8, "Prospect"),
                (9, "Reseller"),
                (10, "Supplier"),
                (11, "Vendor"),
                (12, "Other"),
            ],
        ),
        picklist("IndustryCode", INDUSTRIES),
        picklist("AccountCategoryCode", &[(1, "Preferred Customer"), (2, "Standard")]),
        picklist("OwnershipCode", &[(1, "Public"), (2, "Private"), (3, "Subsidiary"), (4, "Other")]),
        picklist("PaymentTermsCode", &[(1, "Net 30"), (2, "2% 10, Net 30"), (3, "Net 45"), (4, "Net 60")]),
        money("CreditLimit", 2, "100000000000000"),
        base("CreditLimit_Base"),
        money("Revenue", 2, "100000000000000"),
        base("Revenue_Base"),
        // A custom column: people see a day in it, each of their own time zone.
        column(LOCAL_DAY, Kind::DateTime),
        flag("CreditOnHold"),
        integer("NumberOfEmployees", 0, 1_000_000_000),
        text("SIC", 20),
        text("TickerSymbol", 10),
        text("Telephone1", 50),
        text("Telephone2", 50),
        text("Telephone3", 50),
        text("Fax", 50),
        text("EMailAddress1", 100),
        text("EMailAddress2", 100),
        text("EMailAddress3", 100),
        text("WebSiteURL", 200),
        memo("Description", 2000),
        flag("DoNotEMail"),
        flag("DoNotPhone"),
        lookup("PrimaryContactId", "contact", OnDelete::Unlink),
        lookup("ParentAccountId", "account", OnDelete::Unlink),
        lookup("DefaultPriceLevelId", "pricelevel", OnDelete::Unlink),
        lookup("PreferredSystemUserId", "systemuser", OnDelete::Unlink),
        // No standard table has a choice of several values, so this one is the organization's own.
        multi_select(
            "nb_Interests",
            &[(727_000_000, "Cables"), (727_000_001, "Lighting"), (727_000_002, "Solar"), (727_000_003, "Service")],
        ),
    ];
    table_of(
        "account",
        "accounts",
        "Account",
        1,
        "accountid",
        "name",
        [columns, address(), state(&ACTIVE_INACTIVE), owned(), with_currency(), audit()],
    )
}

fn contact() -> Table {
    let columns = vec![
        key("ContactId"),
        text("FullName", 160).read_only(),
        text("FirstName", 50).required(Required::Recommended),
        text("MiddleName", 50),
        text("LastName", 50).required(Required::Application),
        text("Salutation", 100),
        text("Suffix", 10),
        text("NickName", 100),
        text("JobTitle", 100),
        text("Department", 100),
        text("EMailAddress1", 100),
        text("EMailAddress2", 100),
        text("EMailAddress3", 100),
        text("Telephone1", 50),
        text("Telephone2", 50),
        text("Telephone3", 50),
        text("MobilePhone", 50),
        text("Pager", 50),
        text("Fax", 50),
        text("WebSiteUrl", 200),
        text("EmployeeId", 50),
        text("ExternalUserIdentifier", 50),
        memo("Description", 2000),
        date("BirthDate"),
        picklist("GenderCode", &[(1, "Male"), (2, "Female")]),
        picklist("CustomerTypeCode", &[(1, "Default Value")]),
        picklist("PaymentTermsCode", &[(1, "Net 30"), (2, "2% 10, Net 30"), (3, "Net 45"), (4, "Net 60")]),
        money("CreditLimit", 2, "100000000000000"),
        base("CreditLimit_Base"),
        flag("CreditOnHold"),
        flag("DoNotEMail"),
        flag("DoNotPhone"),
        column(
            "ParentCustomerId",
            Kind::Customer(vec![
                Target { navigation: "parentcustomerid_account", table: "account" },
                Target { navigation: "parentcustomerid_contact", table: "contact" },
            ]),
        ),
        lookup("DefaultPriceLevelId", "pricelevel", OnDelete::Unlink),
    ];
    table_of(
        "contact",
        "contacts",
        "Contact",
        2,
        "contactid",
        "fullname",
        [columns, address(), state(&ACTIVE_INACTIVE), owned(), with_currency(), audit()],
    )
}

const ACTIVE_INACTIVE: [(i64, &str, i64); 2] = [(0, "Active", 1), (1, "Inactive", 2)];

const INDUSTRIES: &[(i64, &str)] = &[
    (1, "Accounting"),
    (2, "Agriculture and Non-petrol Natural Resource Extraction"),
    (3, "Broadcasting Printing and Publishing"),
    (4, "Brokers"),
    (5, "Building Supply Retail"),
    (6, "Business Services"),
    (7, "Consulting"),
    (8, "Consumer Services"),
    (9, "Design, Direction and Creative Management"),
    (10, "Distributors, Dispatchers and Processors"),
    (11, "Doctor's Offices and Clinics"),
    (12, "Durable Manufacturing"),
    (13, "Eating and Drinking Places"),
    (14, "Entertainment Retail"),
    (15, "Equipment Rental and Leasing"),
    (16, "Financial"),
    (17, "Food and Tobacco Processing"),
    (18, "Inbound Capital Intensive Processing"),
    (19, "Inbound Repair and Services"),
    (20, "Insurance"),
    (21, "Legal Services"),
    (22, "Non-Durable Merchandise Retail"),
    (23, "Outbound Consumer Service"),
    (24, "Petrochemical Extraction and Distribution"),
    (25, "Service Retail"),
    (26, "SIG Affiliations"),
    (27, "Social Services"),
    (28, "Special Outbound Trade Contractors"),
    (29, "Specialty Realty"),
    (30, "Transportation"),
    (31, "Utility Creation and Distribution"),
    (32, "Vehicle Retail"),
    (33, "Wholesale"),
];

/// The first address of an account or contact.
fn address() -> Vec<Column> {
    vec![
        text("Address1_Name", 200),
        text("Address1_PrimaryContactName", 100),
        text("Address1_Line1", 250),
        text("Address1_Line2", 250),
        text("Address1_Line3", 250),
        text("Address1_City", 80),
        text("Address1_County", 50),
        text("Address1_StateOrProvince", 50),
        text("Address1_PostalCode", 20),
        text("Address1_Country", 80),
        text("Address1_Telephone1", 50),
        text("Address1_Fax", 50),
        column("Address1_Latitude", Kind::Double { precision: 5, min: -90, max: 90 }),
        column("Address1_Longitude", Kind::Double { precision: 5, min: -180, max: 180 }),
        picklist("Address1_FreightTermsCode", &[(1, "FOB"), (2, "No Charge")]),
        picklist(
            "Address1_ShippingMethodCode",
            &[
                (1, "Airborne"),
                (2, "DHL"),
                (3, "FedEx"),
                (4, "UPS"),
                (5, "Postal Mail"),
                (6, "Full Load"),
                (7, "Will Call"),
            ],
        ),
    ]
}

fn owned() -> Vec<Column> {
    vec![
        column(
            "OwnerId",
            Kind::Owner(vec![
                Target { navigation: "ownerid", table: "systemuser" },
                Target { navigation: "ownerid", table: "team" },
            ]),
        )
        .required(Required::System),
        lookup("OwningBusinessUnit", "businessunit", OnDelete::Restrict).read_only(),
        lookup("OwningUser", "systemuser", OnDelete::Restrict).read_only(),
        lookup("OwningTeam", "team", OnDelete::Restrict).read_only(),
    ]
}

fn with_currency() -> Vec<Column> {
    vec![
        lookup("TransactionCurrencyId", "transactioncurrency", OnDelete::Restrict),
        decimal("ExchangeRate", 12, "0.000000000001", "100000000000").read_only(),
    ]
}

fn audit() -> Vec<Column> {
    vec![
        column("CreatedOn", Kind::DateTime).read_only(),
        lookup("CreatedBy", "systemuser", OnDelete::Restrict).read_only(),
        column("ModifiedOn", Kind::DateTime).read_only(),
        lookup("ModifiedBy", "systemuser", OnDelete::Restrict).read_only(),
        lookup("CreatedOnBehalfBy", "systemuser", OnDelete::Restrict).read_only(),
        lookup("ModifiedOnBehalfBy", "systemuser", OnDelete::Restrict).read_only(),
        column("OverriddenCreatedOn", Kind::DateTime).create_only(),
        integer("ImportSequenceNumber", -2_147_483_648, 2_147_483_647).create_only(),
        column("VersionNumber", Kind::BigInt).read_only(),
    ]
}

fn state(pairs: &[(i64, &'static str, i64)]) -> Vec<Column> {
    let states = pairs.iter().map(|&(value, label, pair)| Choice { value, label, pair }).collect();
    let statuses = pairs.iter().map(|&(state, label, value)| Choice { value, label, pair: state }).collect();
    vec![
        // New rows start in the state of the table; what a create says of it is passed over.
        column("StateCode", Kind::State(states)).required(Required::System).update_only(),
        column("StatusCode", Kind::Status(statuses)),
    ]
}

fn table_of<const N: usize>(
    name: &'static str,
    set: &'static str,
    schema_name: &'static str,
    code: i64,
    primary_key: &'static str,
    primary_name: &'static str,
    columns: [Vec<Column>; N],
) -> Table {
    let columns: Vec<Column> = columns.into_iter().flatten().collect();
    let index = |name: fn(&Column) -> &String| {
        columns.iter().enumerate().map(|(index, column)| (name(column).clone(), index)).collect::<HashMap<_, _>>()
    };
    let (names, properties) = (index(|column| &column.name), index(|column| &column.property));
    Table { name, set, schema_name, code, primary_key, primary_name, columns, names, properties }
}

fn column(schema_name: &'static str, kind: Kind) -> Column {
    let name = schema_name.to_ascii_lowercase();
    let lookup = matches!(kind, Kind::Lookup { .. } | Kind::Owner(_) | Kind::Customer(_));
    let property = if lookup { format!("_{name}_value") } else { name.clone() };
    Column { name, schema_name, property, kind, required: Required::None, create: true, update: true }
}

fn key(schema_name: &'static str) -> Column {
    column(schema_name, Kind::Key).required(Required::System).create_only()
}

fn guid(schema_name: &'static str) -> Column {
    column(schema_name, Kind::Guid)
}

fn text(schema_name: &'static str, max: usize) -> Column {
    column(schema_name, Kind::Text { max })
}

fn memo(schema_name: &'static str, max: usize) -> Column {
    column(schema_name, Kind::Memo { max })
}

fn integer(schema_name: &'static str, min: i64, max: i64) -> Column {
    column(schema_name, Kind::Integer { min, max })
}

fn decimal(schema_name: &'static str, precision: u32, min: &'static str, max: &'static str) -> Column {
    column(schema_name, Kind::Decimal { precision, min, max })
}

fn money(schema_name: &'static str, source: u8, max: &'static str) -> Column {
    column(schema_name, Kind::Money { precision: 2, source, min: "0", max })
}

fn base(schema_name: &'static str) -> Column {
    let of = schema_name.trim_end_matches("_Base").to_ascii_lowercase();
    column(schema_name, Kind::Base { of }).read_only()
}

fn flag(schema_name: &'static str) -> Column {
    column(schema_name, Kind::Boolean)
}

fn date(schema_name: &'static str) -> Column {
    column(schema_name, Kind::Date)
}

fn picklist(schema_name: &'static str, choices: &[(i64, &'static str)]) -> Column {
    column(
        schema_name,
        Kind::Picklist(choices.iter().map(|&(value, label)| Choice { value, label, pair: 0 }).collect()),
    )
}

fn multi_select(schema_name: &'static str, choices: &[(i64, &'static str)]) -> Column {
    let choices = choices.iter().map(|&(value, label)| Choice { value, label, pair: 0 }).collect();
    column(schema_name, Kind::MultiSelect(choices))
}

/// A lookup to one table; the navigation property of a standard lookup is its logical name.
fn lookup(schema_name: &'static str, table: &'static str, on_delete: OnDelete) -> Column {
    let navigation: &'static str = NAVIGATIONS
        .iter()
        .find(|name| **name == schema_name.to_ascii_lowercase())
        .expect("every standard lookup has a navigation property");
    column(schema_name, Kind::Lookup { targets: vec![Target { navigation, table }], on_delete })
}

const NAVIGATIONS: &[&str] = &[
    "baseuom",
    "businessunitid",
    "createdby",
    "createdonbehalfby",
    "defaultpricelevelid",
    "defaultuomid",
    "defaultuomscheduleid",
    "modifiedby",
    "modifiedonbehalfby",
    "owningbusinessunit",
    "owningteam",
    "owninguser",
    "parentaccountid",
    "parentbusinessunitid",
    "parentproductid",
    "parentsystemuserid",
    "preferredsystemuserid",
    "pricelevelid",
    "primarycontactid",
    "productid",
    "transactioncurrencyid",
    "uomid",
    "uomscheduleid",
];

impl Column {
    fn required(mut self, level: Required) -> Column {
        self.required = level;
        self
    }

    fn read_only(mut self) -> Column {
        (self.create, self.update) = (false, false);
        self
    }

    fn create_only(mut self) -> Column {
        self.update = false;
        self
    }

    fn update_only(mut self) -> Column {
        self.create = false;
        self
    }
}
