//! The OData V4 pages: the same tables by the names of their fields, as NAV 2018 and Business Central publish them.
//!
//! A page knows its records by the table's primary key, has no GUID, tells of a change the day only, and shows options as
//! texts. Here are the pages, what a path below `/ODataV4` names, and what is told of them; records are read and written
//! as everywhere else. NAV answers on a root of its own, to a user with an access key, with errors that have no code.

use std::fmt::Write;

use serde_json::{Value, json};
use uuid::Uuid;

use super::State;
use super::cell::capitals;
use super::error::Refusal;
use super::http::Place;
use super::schema::{self, Api, Kind, LAST_DAY, PAGES, Shown};
use crate::filter;
use crate::service::{Request, Response};

/// Where the pages are below a service's root.
pub(super) const PATH: &str = "/ODataV4";
/// The root of NAV on the same host: the name of its server instance.
pub(super) const NAV: &str = "/DynamicsNAV110";

/// Characters of a key that no address carries, encoded or not.
const NOT_IN_PATHS: [char; 3] = ['/', '%', '+'];

/// The pages: their names, the sets behind them, and what they show.
pub(super) const PUBLISHED: [(&str, &str, &[Shown]); 10] = [
    (
        "Customer",
        "customers",
        &[
            ("No", "number", false),
            ("Name", "displayName", false),
            ("Address", "addressLine1", false),
            ("Address_2", "addressLine2", false),
            ("City", "city", false),
            ("County", "state", false),
            ("Country_Region_Code", "country", false),
            ("Post_Code", "postalCode", false),
            ("Phone_No", "phoneNumber", false),
            ("E_Mail", "email", false),
            ("Home_Page", "website", false),
            ("Salesperson_Code", "salespersonCode", false),
            ("Balance_LCY", "balanceDue", false),
            ("Credit_Limit_LCY", "creditLimit", false),
            ("Tax_Liable", "taxLiable", false),
            ("VAT_Registration_No", "taxRegistrationNumber", false),
            ("Currency_Code", "currencyCode", false),
            ("Blocked", "blocked", false),
            ("Last_Date_Modified", LAST_DAY, true),
        ],
    ),
    (
        "Contact",
        "contacts",
        &[
            ("No", "number", false),
            ("Type", "type", false),
            ("Name", "displayName", false),
            ("First_Name", "firstName", false),
            ("Middle_Name", "middleName", false),
            ("Surname", "surname", false),
            ("Job_Title", "jobTitle", false),
            ("Company_No", "companyNumber", false),
            ("Company_Name", "companyName", true),
            ("Address", "addressLine1", false),
            ("Address_2", "addressLine2", false),
            ("City", "city", false),
            ("County", "state", false),
            ("Country_Region_Code", "country", false),
            ("Post_Code", "postalCode", false),
            ("Phone_No", "phoneNumber", false),
            ("Mobile_Phone_No", "mobilePhoneNumber", false),
            ("E_Mail", "email", false),
            ("Home_Page", "website", false),
            ("Search_Name", "searchName", false),
            ("VAT_Registration_No", "taxRegistrationNumber", false),
            ("Last_Date_Modified", LAST_DAY, true),
        ],
    ),
    (
        "Item",
        "items",
        &[
            ("No", "number", false),
            ("Description", "displayName", false),
            ("Description_2", "displayName2", false),
            ("Type", "type", false),
            ("Blocked", "blocked", false),
            ("GTIN", "gtin", false),
            ("Inventory", "inventory", false),
            ("Unit_Price", "unitPrice", false),
            ("Price_Includes_VAT", "priceIncludesTax", false),
            ("Unit_Cost", "unitCost", false),
            ("Base_Unit_of_Measure", "baseUnitOfMeasureCode", false),
            ("Last_Date_Modified", LAST_DAY, true),
        ],
    ),
    (
        "Currency",
        "currencies",
        &[
            ("Code", "code", false),
            ("Description", "displayName", false),
            ("Symbol", "symbol", false),
            ("Last_Date_Modified", LAST_DAY, true),
        ],
    ),
    (
        "UnitOfMeasure",
        "unitsOfMeasure",
        &[
            ("Code", "code", false),
            ("Description", "displayName", false),
            ("International_Standard_Code", "internationalStandardCode", false),
        ],
    ),
    (
        "Salesperson",
        "salespeoplePurchasers",
        &[
            ("Code", "code", false),
            ("Name", "displayName", false),
            ("E_Mail", "email", false),
            ("E_Mail_2", "email2", false),
            ("Phone_No", "phoneNo", false),
            ("Job_Title", "jobTitle", false),
            ("Commission_Percent", "commisionPercent", false),
        ],
    ),
    ("PaymentTerms", "paymentTerms", &[("Code", "code", false), ("Description", "displayName", false)]),
    ("ShipmentMethod", "shipmentMethods", &[("Code", "code", false), ("Description", "displayName", false)]),
    (
        "Resource",
        "resources",
        &[
            ("No", "number", false),
            ("Type", "type", false),
            ("Name", "name", false),
            ("Base_Unit_of_Measure", "baseUnitOfMeasure", false),
            ("Unit_Price", "unitPrice", false),
            ("Unit_Cost", "unitCost", false),
            ("Vendor_No", "vendorNumber", false),
            ("Capacity", "capacity", true),
            ("Blocked", "blocked", false),
            ("Last_Date_Modified", LAST_DAY, true),
        ],
    ),
    (
        "ItemUnitOfMeasure",
        "itemUnitsOfMeasure",
        &[
            ("Item_No", "itemNumber", false),
            ("Code", "code", false),
            ("Qty_per_Unit_of_Measure", "qtyPerUnitOfMeasure", false),
            ("Weight", "weight", false),
        ],
    ),
];

impl State {
    /// Tells whether a request goes to the pages, and to whose.
    pub(super) fn pages_of(&self, request: &Request) -> Option<Api> {
        let (path, _) = filter::query(&request.target);
        [(Api::Nav, NAV), (Api::Pages, self.prefix.as_str())].into_iter().find_map(|(api, root)| {
            let rest = path.strip_prefix(root)?.strip_prefix(PATH)?;
            (rest.is_empty() || rest.starts_with('/')).then_some(api)
        })
    }

    /// Finds what a path below the pages' root names.
    pub(super) fn page_place(&self, api: Api, request: &Request) -> Result<Place, Refusal> {
        let (path, options) = filter::query(&request.target);
        let rest = path.strip_prefix(&self.root(api)).unwrap_or_default();
        let mut segments =
            rest.split('/').filter(|segment| !segment.is_empty()).map(|text| filter::decode(text, false));
        let Some(first) = segments.next() else { return Ok(Place::Service) };
        let place = match (first.as_ref(), key(&first)) {
            ("$metadata", _) => Place::Metadata,
            ("$batch", _) if api == Api::Pages || self.nav_batches => Place::Batch,
            ("Company", _) => Place::Companies(None),
            (_, Some(("Company", key))) => {
                let company = unquoted(key).ok_or_else(Refusal::not_found)?;
                // Such a name breaks in a path, however it is written.
                if company.contains(['/', '\\', '%', '+', '&', '?', '#']) {
                    return Err(Refusal::not_found());
                }
                self.is_called(&company)?;
                match segments.next() {
                    None => Place::Companies(Some(self.company_id())),
                    Some(second) => self.published(&second)?,
                }
            }
            _ => {
                filter::option(&options, "company").map_or(Ok(()), |name| self.is_called(name))?;
                self.published(&first)?
            }
        };
        match segments.next() {
            None => Ok(place),
            Some(more) => Err(Refusal::no_segment(&more)),
        }
    }

    fn is_called(&self, name: &str) -> Result<(), Refusal> {
        let missing = || Refusal::new(404, "Internal_CompanyNotFound", "Cannot find company.");
        if name == self.company() { Ok(()) } else { Err(missing()) }
    }

    /// Finds a page, or a record on it by its primary key: `Customer('10000')` or `Customer(No='10000')`; of a key of several
    /// fields each is named, in any order.
    fn published(&self, text: &str) -> Result<Place, Refusal> {
        let (name, key) = key(text).map_or((text, None), |(name, key)| (name, Some(key)));
        let page = schema::page(Api::Pages, name).ok_or_else(|| Refusal::no_segment(name))?;
        let Some(key) = key else { return Ok(Place::Records(page)) };
        let names: Vec<&str> = PAGES[page].key().map(|property| property.name).collect();
        let parts = match names[..] {
            [name] => vec![unquoted(key.strip_prefix(name).and_then(|key| key.strip_prefix('=')).unwrap_or(key))],
            _ => {
                let pairs: Vec<(&str, &str)> = pairs(key).into_iter().filter_map(|pair| pair.split_once('=')).collect();
                let of =
                    |name: &&str| pairs.iter().find(|(other, _)| other == name).and_then(|(_, text)| unquoted(text));
                if pairs.len() != names.len() {
                    return Err(Refusal::not_found());
                }
                names.iter().map(of).collect()
            }
        };
        let parts: Vec<String> = parts.into_iter().collect::<Option<_>>().ok_or_else(Refusal::not_found)?;
        if parts.iter().any(|part| part.contains(NOT_IN_PATHS)) {
            return Err(Refusal::not_found());
        }
        // Primary keys are codes.
        let parts: Vec<String> = parts.iter().map(|part| capitals(part.trim())).collect();
        let found = self.tables[PAGES[page].set].find(&parts.join(schema::PART_END));
        found.map(|(id, _)| Place::Record(page, id)).ok_or_else(Refusal::not_found)
    }

    /// Lists the company, as pages show it.
    pub(super) fn published_companies(&self, context: &str, id: Option<Uuid>) -> Value {
        let record = json!({"Name": self.company(), "Evaluation_Company": false, "Display_Name": self.company()});
        let context = format!("{context}/$metadata#Company");
        match (id, record) {
            (Some(_), Value::Object(mut record)) => {
                record.insert("@odata.context".into(), format!("{context}/$entity").into());
                Value::Object(record)
            }
            (_, record) => json!({"@odata.context": context, "value": [record]}),
        }
    }
}

/// Writes the `$metadata` document of the pages.
pub(super) fn document() -> String {
    let mut out = String::with_capacity(16 << 10);
    out.push_str(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
         <edmx:Edmx Version=\"4.0\" xmlns:edmx=\"http://docs.oasis-open.org/odata/ns/edmx\"><edmx:DataServices>\
         <Schema Namespace=\"NAV\" xmlns=\"http://docs.oasis-open.org/odata/ns/edm\">\
         <EntityType Name=\"Company\"><Key><PropertyRef Name=\"Name\" /></Key>\
         <Property Name=\"Name\" Type=\"Edm.String\" Nullable=\"false\" MaxLength=\"30\" />\
         <Property Name=\"Evaluation_Company\" Type=\"Edm.Boolean\" Nullable=\"false\" />\
         <Property Name=\"Display_Name\" Type=\"Edm.String\" MaxLength=\"250\" /></EntityType>",
    );
    let pages = || PAGES.iter().filter(|page| page.api == Api::Pages);
    for page in pages() {
        let _ = write!(out, "<EntityType Name=\"{}\"><Key>", page.name);
        let keys: Vec<&str> = page.key().map(|property| property.name).collect();
        keys.iter().for_each(|key| out.push_str(&format!("<PropertyRef Name=\"{key}\" />")));
        out.push_str("</Key>");
        for property in &page.properties {
            let _ = write!(out, "<Property Name=\"{}\" ", property.name);
            let _ = match page.behind(property).kind {
                Kind::Guid => write!(out, "Type=\"Edm.Guid\""),
                Kind::Text(max) | Kind::Code(max) => write!(out, "Type=\"Edm.String\" MaxLength=\"{max}\""),
                Kind::Decimal => write!(out, "Type=\"Edm.Decimal\" Scale=\"Variable\""),
                Kind::Bool => write!(out, "Type=\"Edm.Boolean\""),
                Kind::Date => write!(out, "Type=\"Edm.Date\""),
                Kind::DateTime => write!(out, "Type=\"Edm.DateTimeOffset\""),
                // An option: a text whose members nobody tells.
                Kind::Enum(_) => write!(out, "Type=\"Edm.String\""),
            };
            out.push_str(if keys.contains(&property.name) { " Nullable=\"false\" />" } else { " />" });
        }
        out.push_str("</EntityType>");
    }
    out.push_str("<EntityContainer Name=\"NAV\"><EntitySet Name=\"Company\" EntityType=\"NAV.Company\" />");
    for page in pages() {
        let _ = write!(out, "<EntitySet Name=\"{0}\" EntityType=\"NAV.{0}\" />", page.name);
    }
    out.push_str("</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>");
    out
}

/// Dresses an answer as NAV does: its errors have no code and no correlation id, and who does not ask for JSON gets XML.
pub(super) fn as_nav(request: &Request, mut response: Response) -> Response {
    if let Ok(Value::Object(error)) = serde_json::from_slice(&response.body)
        && let Some(message) = error.get("error").and_then(|error| error["message"].as_str())
    {
        let message = message.split("  CorrelationId:").next().unwrap_or_default();
        response.body = json!({"error": {"code": "", "message": message}}).to_string().into_bytes();
        return response;
    }
    let accepts = request.header("accept").unwrap_or_default();
    let formats = filter::query(&request.target).1;
    let is_json = response.headers.iter().any(|(_, value)| value.starts_with("application/json"));
    if is_json && !accepts.contains("json") && filter::option(&formats, "$format") != Some("json") {
        response.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
        response.headers.push(("Content-Type".into(), "application/atom+xml;type=feed;charset=utf-8".into()));
        response.body =
            b"<?xml version=\"1.0\" encoding=\"utf-8\"?><feed xmlns=\"http://www.w3.org/2005/Atom\" />".to_vec();
    }
    response
}

/// Splits `Name(key)`.
fn key(text: &str) -> Option<(&str, &str)> {
    let (name, key) = text.split_once('(')?;
    Some((name, key.strip_suffix(')')?))
}

/// Splits a key at the commas outside of quotes.
fn pairs(key: &str) -> Vec<&str> {
    let (mut pairs, mut start, mut quoted) = (Vec::new(), 0, false);
    for (at, character) in key.char_indices() {
        match character {
            '\'' => quoted = !quoted,
            ',' if !quoted => {
                pairs.push(&key[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pairs.push(&key[start..]);
    pairs
}

/// Reads a text literal: in quotes, and its own doubled.
fn unquoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let plain = inner.replace("''", "\0");
    (!plain.contains('\'')).then(|| plain.replace('\0', "'"))
}
