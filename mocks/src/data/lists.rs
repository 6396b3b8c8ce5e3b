//! The short lists that every data set starts from: currencies, units, terms, salespeople and users, on both sides.
//!
//! They do not depend on the seed. About three quarters of each list are on both sides; which ones is written beside
//! them. The ERP's currency list lacks the local currency, as the product has it.

use super::{COMPANY, Chunk, LOCAL_CURRENCY, Record, Side, id};
use uuid::Uuid;

/// A currency of the ERP.
pub struct Currency {
    pub code: &'static str,
    name: &'static str,
    symbol: &'static str,
    /// How many of it one unit of the local currency buys.
    rate: &'static str,
    decimals: i64,
    /// Whether the CRM has it too.
    pub common: bool,
}

const fn currency(
    code: &'static str,
    name: &'static str,
    symbol: &'static str,
    rate: &'static str,
    decimals: i64,
    common: bool,
) -> Currency {
    Currency { code, name, symbol, rate, decimals, common }
}

pub const CURRENCIES: &[Currency] = &[
    currency("AED", "United Arab Emirates dirham", "د.إ", "4.6512", 2, true),
    currency("AUD", "Australian dollar", "A$", "1.9230", 2, true),
    currency("BGN", "Bulgarian leva", "лв", "2.2905", 2, false),
    currency("BRL", "Brazilian real", "R$", "7.2411", 2, true),
    currency("CAD", "Canadian dollar", "C$", "1.7324", 2, true),
    currency("CHF", "Swiss franc", "CHF", "1.1188", 2, true),
    currency("CNY", "Chinese yuan", "¥", "9.1077", 2, true),
    currency("CZK", "Czech koruna", "Kč", "29.3540", 2, true),
    currency("DKK", "Danish krone", "kr.", "8.7350", 2, true),
    currency("EUR", "Euro", "€", "1.1710", 2, true),
    currency("HKD", "Hong Kong dollar", "HK$", "9.8755", 2, true),
    currency("HUF", "Hungarian forint", "Ft", "461.2000", 2, true),
    currency("IDR", "Indonesian rupiah", "Rp", "20150.0000", 0, true),
    currency("INR", "Indian rupee", "₹", "106.4400", 2, true),
    currency("ISK", "Iceland krona", "kr", "175.6000", 0, false),
    currency("JPY", "Japanese yen", "¥", "189.9500", 0, true),
    currency("KES", "Kenyan shilling", "KSh", "163.9000", 2, false),
    currency("MAD", "Moroccan dirham", "د.م.", "12.6580", 2, false),
    currency("MXN", "Mexican peso", "Mex$", "23.9160", 2, true),
    currency("MYR", "Malaysian ringgit", "RM", "5.6240", 2, true),
    currency("NOK", "Norwegian krone", "kr", "13.7090", 2, true),
    currency("NZD", "New Zealand dollar", "NZ$", "2.1144", 2, true),
    currency("PLN", "Polish złoty", "zł", "5.0003", 2, true),
    currency("RSD", "Serbian dinar", "din.", "137.1000", 2, false),
    currency("SEK", "Swedish krona", "kr", "13.3620", 2, true),
    currency("SGD", "Singapore dollar", "S$", "1.6990", 2, true),
    currency("TND", "Tunisian dinar", "د.ت", "3.9310", 3, false),
    currency("UAH", "Ukrainian hryvnia", "₴", "52.3300", 2, false),
    currency("USD", "US dollar", "$", "1.2667", 2, true),
    currency("ZAR", "South African rand", "R", "23.0045", 2, true),
];

/// A unit of measure of the ERP: code, name, international code, whether the CRM has its unit group.
pub const UNITS: &[(&str, &str, &str, bool)] = &[
    ("BOX", "Box", "BX", true),
    ("CAN", "Can", "CA", false),
    ("DAY", "Day", "DAY", true),
    ("GR", "Gram", "GRM", true),
    ("HOUR", "Hour", "HUR", true),
    ("KG", "Kilo", "KGM", true),
    ("KM", "Kilometer", "KMT", false),
    ("L", "Liter", "LTR", true),
    ("M", "Meter", "MTR", true),
    ("MILES", "Miles", "1A", false),
    ("PACK", "Pack", "PK", true),
    ("PAIR", "Pair", "PR", true),
    ("PALLET", "Pallet", "PF", false),
    ("PCS", "Piece", "EA", true),
    ("SET", "Set", "SET", true),
];

/// The CRM's own unit group, which no unit of the ERP belongs to.
const OWN_GROUP: &str = "Default Unit";

/// Payment terms of the ERP: code, name, formula, and the choice that the CRM has for them, if any.
pub const PAYMENT_TERMS: &[(&str, &str, &str, Option<i64>)] = &[
    ("14 DAYS", "Net 14 days", "14D", Some(2)),
    ("30 DAYS", "Net 30 days", "30D", Some(1)),
    ("45 DAYS", "Net 45 days", "45D", Some(3)),
    ("60 DAYS", "Net 60 days", "60D", Some(4)),
    ("COD", "Cash on delivery", "0D", None),
];

/// Shipment methods of the ERP: code, name, and the freight terms that the CRM has for them, if any.
pub const SHIPMENT_METHODS: &[(&str, &str, Option<i64>)] = &[
    ("CFR", "Cost and Freight", None),
    ("DDP", "Delivered Duty Paid", None),
    ("FOB", "Free on Board", Some(1)),
    ("FREE", "No Charge", Some(2)),
];

/// Salespeople of the ERP: code, name. All but the last are users of the CRM.
pub const SALESPEOPLE: &[(&str, &str)] = &[
    ("AB", "Agnes Bielak"),
    ("CE", "Carys Evans"),
    ("DH", "Daniel Hughes"),
    ("EL", "Eirik Lund"),
    ("FM", "Fiona MacLeod"),
    ("HS", "Håkon Sørli"),
    ("JR", "Jana Richter"),
    ("NW", "Nadia Walsh"),
    ("OG", "Oliver Grant"),
    ("PD", "Pavel Dvořák"),
    ("SI", "Samir Ibrahim"),
    ("ZT", "Zofia Thorne"),
];

/// Users of the CRM who are no salespeople of the ERP yet: name, whether disabled.
pub const OTHER_USERS: &[(&str, bool)] =
    &[("Imogen Carver", false), ("Rafael Almeida", false), ("Wanda Nowak", false), ("Hugo Fontaine", true)];

/// The salesperson whom no user of the CRM stands for.
pub fn without_user() -> &'static str {
    SALESPEOPLE[SALESPEOPLE.len() - 1].0
}

/// The codes of the salespeople who are users of the CRM.
pub fn with_user() -> impl Iterator<Item = &'static str> {
    SALESPEOPLE[..SALESPEOPLE.len() - 1].iter().map(|(code, _)| *code)
}

/// The id of the CRM user who stands for a salesperson or, by name, of another user.
pub fn user(key: &str) -> Uuid {
    id(Side::Crm, "systemusers", key)
}

/// The id of a currency in the CRM; a blank code is the local currency.
pub fn crm_currency(code: &str) -> Uuid {
    id(Side::Crm, "transactioncurrencies", if code.is_empty() { LOCAL_CURRENCY } else { code })
}

/// The ids of a unit group and of its base unit in the CRM.
pub fn crm_unit(code: &str) -> (Uuid, Uuid) {
    (id(Side::Crm, "uomschedules", code), id(Side::Crm, "uoms", code))
}

/// The lists of the ERP, in an order in which they can be loaded.
pub fn erp() -> Vec<Chunk> {
    vec![
        Chunk::erp("companies", vec![company()]),
        Chunk::erp("salespeoplePurchasers", SALESPEOPLE.iter().enumerate().map(salesperson).collect()),
        Chunk::erp("currencies", CURRENCIES.iter().enumerate().map(erp_currency).collect()),
        Chunk::erp("unitsOfMeasure", UNITS.iter().enumerate().map(erp_unit).collect()),
        Chunk::erp("paymentTerms", PAYMENT_TERMS.iter().enumerate().map(payment_terms).collect()),
        Chunk::erp("shipmentMethods", SHIPMENT_METHODS.iter().enumerate().map(shipment_method).collect()),
    ]
}

/// The lists of the CRM, in an order in which they can be loaded.
pub fn crm() -> Vec<Chunk> {
    let users = SALESPEOPLE[..SALESPEOPLE.len() - 1]
        .iter()
        .enumerate()
        .map(|(place, (code, name))| crm_user(place, code, name, false))
        .chain(OTHER_USERS.iter().enumerate().map(|(place, (name, off))| crm_user(100 + place, name, name, *off)));
    let groups: Vec<&str> = UNITS.iter().filter(|unit| unit.3).map(|unit| unit.0).collect();
    vec![
        Chunk::crm("systemusers", users.collect()),
        Chunk::crm("transactioncurrencies", crm_currencies()),
        Chunk::crm(
            "uomschedules",
            groups.iter().map(|code| unit_group(code, &format!("NAV {code}"), code)).chain([own_group()]).collect(),
        ),
        Chunk::crm(
            "uoms",
            groups.iter().map(|code| base_unit(code, code)).chain([base_unit(OWN_GROUP, "Primary Unit")]).collect(),
        ),
    ]
}

/// When a record of the ERP was last changed: one after the other, in the year before the stories begin.
pub fn erp_time(place: usize) -> String {
    format!("{}:00.{:03}Z", minute(place), place * 37 % 1000)
}

/// The same for the CRM, which knows whole seconds only.
pub fn crm_time(place: usize) -> String {
    format!("{}:{:02}Z", minute(place), place * 7 % 60)
}

/// The minute of a place, counted in months of 28 days so that each exists.
fn minute(place: usize) -> String {
    let minutes = place % (12 * 28 * 1440);
    let (days, minutes) = (minutes / 1440, minutes % 1440);
    format!("2025-{:02}-{:02}T{:02}:{:02}", 1 + days / 28, 1 + days % 28, minutes / 60, minutes % 60)
}

fn erp_record(set: &str, code: &str, place: usize) -> Record {
    Record::new("id", id(Side::Erp, set, code)).text("code", code).text("lastModifiedDateTime", &erp_time(place))
}

fn crm_record(set: &str, key: &str, code: &str, place: usize) -> Record {
    Record::new(key, id(Side::Crm, set, code))
        .text("createdon", &crm_time(place / 2))
        .text("modifiedon", &crm_time(place))
        .number("statecode", 0)
        .number("statuscode", 1)
}

fn company() -> super::Row {
    Record::new("id", id(Side::Erp, "companies", COMPANY))
        .text("systemVersion", "28.0.0.0")
        .text("name", COMPANY)
        .text("displayName", COMPANY)
        .row()
}

fn mail(name: &str) -> String {
    format!("{}@cronus.example", super::words::fold(name).replace('-', "."))
}

fn salesperson((place, (code, name)): (usize, &(&str, &str))) -> super::Row {
    erp_record("salespeoplePurchasers", code, place)
        .text("displayName", name)
        .text("email", &mail(name))
        .text("phoneNo", &format!("+44 1223 555 1{place:02}"))
        .text("jobTitle", if place % 4 == 0 { "Sales Manager" } else { "Account Manager" })
        .decimal("commisionPercent", ["5", "2.5", "4.25"][place % 3])
        .row()
}

/// Every third user writes the mail address in another case than the ERP does.
fn crm_user(place: usize, key: &str, name: &str, disabled: bool) -> super::Row {
    let mail = mail(name);
    let shown = if place % 3 == 1 { mail.to_uppercase() } else { mail.clone() };
    let (first, last) = name.rsplit_once(' ').expect("a user's name has two words");
    Record::new("systemuserid", user(key))
        .text("firstname", first)
        .text("lastname", last)
        .text("fullname", name)
        .text("internalemailaddress", &shown)
        .text("domainname", &mail)
        .text("mobilephone", &format!("+44 7700 555 1{:02}", place % 100))
        .flag("isdisabled", disabled)
        .flag("islicensed", true)
        .flag("isintegrationuser", false)
        .number("accessmode", 0)
        .text("createdon", &crm_time(place / 2))
        .text("modifiedon", &crm_time(place))
        .row()
}

fn erp_currency((place, currency): (usize, &Currency)) -> super::Row {
    let precision = ["1", "0.1", "0.01", "0.001"][currency.decimals as usize];
    erp_record("currencies", currency.code, 40 + place)
        .text("displayName", currency.name)
        .text("symbol", currency.symbol)
        .text("amountDecimalPlaces", &format!("{0}:{0}", currency.decimals))
        .decimal("amountRoundingPrecision", precision)
        .row()
}

/// The CRM's currencies: the base currency and those that are on both sides; some bear another name there.
fn crm_currencies() -> Vec<super::Row> {
    let row = |place: usize, code: &str, name: &str, symbol: &str, rate: &str, decimals: i64| {
        crm_record("transactioncurrencies", "transactioncurrencyid", code, 40 + place)
            .text("isocurrencycode", code)
            .text("currencyname", name)
            .text("currencysymbol", symbol)
            .decimal("exchangerate", rate)
            .number("currencyprecision", decimals)
            .row()
    };
    let common = CURRENCIES.iter().filter(|currency| currency.common).enumerate().map(|(place, currency)| {
        let name = if place % 6 == 2 { currency.name.to_uppercase() } else { currency.name.to_owned() };
        row(1 + place, currency.code, &name, currency.symbol, currency.rate, currency.decimals)
    });
    [row(0, LOCAL_CURRENCY, "Pound Sterling", "£", "1", 2)].into_iter().chain(common).collect()
}

fn erp_unit((place, (code, name, iso, _)): (usize, &(&str, &str, &str, bool))) -> super::Row {
    erp_record("unitsOfMeasure", code, 80 + place)
        .text("displayName", name)
        .text("internationalStandardCode", iso)
        .row()
}

fn unit_group(code: &str, name: &str, base: &str) -> super::Row {
    crm_record("uomschedules", "uomscheduleid", code, 80).text("name", name).text("baseuomname", base).row()
}

fn own_group() -> super::Row {
    unit_group(OWN_GROUP, OWN_GROUP, "Primary Unit")
}

fn base_unit(code: &str, name: &str) -> super::Row {
    let (group, unit) = crm_unit(code);
    Record::new("uomid", unit)
        .text("name", name)
        .decimal("quantity", "1")
        .flag("isschedulebaseuom", true)
        .lookup("uomscheduleid", Some(group))
        .text("createdon", &crm_time(40))
        .text("modifiedon", &crm_time(80))
        .row()
}

fn payment_terms((place, (code, name, due, _)): (usize, &(&str, &str, &str, Option<i64>))) -> super::Row {
    erp_record("paymentTerms", code, 120 + place).text("displayName", name).text("dueDateCalculation", due).row()
}

fn shipment_method((place, (code, name, _)): (usize, &(&str, &str, Option<i64>))) -> super::Row {
    erp_record("shipmentMethods", code, 140 + place).text("displayName", name).row()
}
