//! What both data sets promise: references that resolve, values that fit, match keys that find one partner.

use super::company::{SEED, UNUSER, company};
use super::scaled::scaled;
use super::{COMPANY, Chunk, LOCAL_CURRENCY, Row, Side, fill};
use crate::{crm, erp};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};

struct Data(BTreeMap<(Side, &'static str), Vec<Row>>);

impl Data {
    fn of(chunks: impl Iterator<Item = Chunk>) -> Self {
        let mut sets = BTreeMap::<_, Vec<Row>>::new();
        for chunk in chunks {
            sets.entry((chunk.side, chunk.set)).or_default().extend(chunk.rows);
        }
        Data(sets)
    }

    fn rows(&self, side: Side, set: &'static str) -> &[Row] {
        self.0.get(&(side, set)).map_or(&[], Vec::as_slice)
    }

    fn erp(&self, set: &'static str) -> &[Row] {
        self.rows(Side::Erp, set)
    }

    fn crm(&self, set: &'static str) -> &[Row] {
        self.rows(Side::Crm, set)
    }

    fn bytes(&self) -> String {
        self.0.iter().map(|(set, rows)| format!("{set:?} {}", serde_json::to_string(rows).unwrap())).collect()
    }
}

fn text<'a>(row: &'a Row, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or("")
}

fn number_of(row: &Row, name: &str) -> i64 {
    row.get(name).and_then(Value::as_i64).unwrap_or(0)
}

/// Reference: side, set, property, and the set and property that it points at.
const REFERENCES: &[(Side, &str, &str, &str, &str)] = &[
    (Side::Erp, "customers", "salespersonCode", "salespeoplePurchasers", "code"),
    (Side::Erp, "customers", "currencyCode", "currencies", "code"),
    (Side::Erp, "customers", "paymentTermsId", "paymentTerms", "id"),
    (Side::Erp, "customers", "shipmentMethodId", "shipmentMethods", "id"),
    (Side::Erp, "contacts", "companyNumber", "contacts", "number"),
    (Side::Erp, "items", "baseUnitOfMeasureCode", "unitsOfMeasure", "code"),
    (Side::Erp, "resources", "baseUnitOfMeasure", "unitsOfMeasure", "code"),
    (Side::Crm, "uoms", "_uomscheduleid_value", "uomschedules", "uomscheduleid"),
    (Side::Crm, "accounts", "_ownerid_value", "systemusers", "systemuserid"),
    (Side::Crm, "accounts", "_transactioncurrencyid_value", "transactioncurrencies", "transactioncurrencyid"),
    (Side::Crm, "contacts", "_ownerid_value", "systemusers", "systemuserid"),
    (Side::Crm, "contacts", "_parentcustomerid_value", "accounts", "accountid"),
    (Side::Crm, "products", "_defaultuomid_value", "uoms", "uomid"),
    (Side::Crm, "products", "_defaultuomscheduleid_value", "uomschedules", "uomscheduleid"),
    (Side::Crm, "products", "_transactioncurrencyid_value", "transactioncurrencies", "transactioncurrencyid"),
    (Side::Crm, "products", "_pricelevelid_value", "pricelevels", "pricelevelid"),
    (Side::Crm, "pricelevels", "_transactioncurrencyid_value", "transactioncurrencies", "transactioncurrencyid"),
    (Side::Crm, "productpricelevels", "_productid_value", "products", "productid"),
    (Side::Crm, "productpricelevels", "_pricelevelid_value", "pricelevels", "pricelevelid"),
    (Side::Crm, "productpricelevels", "_uomid_value", "uoms", "uomid"),
    (Side::Crm, "productpricelevels", "_uomscheduleid_value", "uomschedules", "uomscheduleid"),
    (Side::Crm, "productpricelevels", "_transactioncurrencyid_value", "transactioncurrencies", "transactioncurrencyid"),
];

/// The longest text that both sides hold, by what the property is about.
#[rustfmt::skip]
const LENGTHS: &[(&str, usize)] = &[
    ("number", 20), ("accountnumber", 20), ("productnumber", 20), ("code", 20), ("displayName", 100), ("name", 100),
    ("firstname", 30), ("middlename", 30), ("lastname", 30), ("fullname", 100), ("jobTitle", 30), ("jobtitle", 30), ("addressLine1", 100),
    ("addressLine2", 50), ("address1_line1", 100), ("address1_line2", 50), ("city", 30), ("address1_city", 30),
    ("state", 30), ("address1_stateorprovince", 30), ("country", 10), ("address1_country", 10), ("postalCode", 20),
    ("address1_postalcode", 20), ("phoneNumber", 30), ("mobilePhoneNumber", 30), ("phoneNo", 30), ("telephone1", 30),
    ("mobilephone", 30), ("email", 80), ("emailaddress1", 80), ("internalemailaddress", 80), ("website", 200),
    ("websiteurl", 200), ("taxRegistrationNumber", 20), ("gtin", 14), ("symbol", 10), ("currencysymbol", 10),
    ("isocurrencycode", 3), ("currencyname", 30), ("baseuomname", 100), ("baseUnitOfMeasureCode", 10),
    ("salespersonCode", 20), ("currencyCode", 10), ("companyNumber", 20),
];

fn check_consistent(data: &Data) {
    for (side, set, property, target, key) in REFERENCES {
        let keys: HashSet<&str> = data.rows(*side, target).iter().map(|row| text(row, key)).collect();
        for row in data.rows(*side, set) {
            let value = text(row, property);
            assert!(value.is_empty() || keys.contains(value), "{side} {set}.{property}: no {target} {value}");
        }
    }
    for ((side, set), rows) in &data.0 {
        let key = match side {
            Side::Erp => "id".to_owned(),
            Side::Crm => {
                rows[0].keys().find(|name| name.ends_with("id") && !name.starts_with('_')).cloned().expect("a key")
            }
        };
        let ids: HashSet<&str> = rows.iter().map(|row| text(row, &key)).collect();
        assert_eq!(ids.len(), rows.len(), "{side} {set}: ids are unique");
        for (name, max) in LENGTHS {
            for row in rows {
                let value = text(row, name);
                assert!(value.chars().count() <= *max, "{side} {set}.{name} is at most {max} long: {value}");
                if name.to_lowercase().contains("phone") {
                    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
                    assert!(digits.is_empty() || digits.contains("555"), "{set}.{name} is invented: {value}");
                }
                if name.to_lowercase().contains("mail") {
                    assert!(value.is_empty() || value.to_lowercase().ends_with(".example"), "{set}.{name}: {value}");
                }
            }
        }
    }
    let all_ids: Vec<&str> = data.erp("customers").iter().map(|row| text(row, "id")).collect();
    let accounts: HashSet<&str> = data.crm("accounts").iter().map(|row| text(row, "accountid")).collect();
    assert!(all_ids.iter().all(|id| !accounts.contains(id)), "the sides give a party different ids");
}

/// Records of the ERP with their partners in the CRM.
type Pairs<'a> = Vec<(&'a Row, &'a Row)>;

/// Pairs the rows of two sets by a key that both have, blank keys aside, and asserts that no key has two owners.
fn pairs<'a>(
    erp: impl IntoIterator<Item = &'a Row>,
    crm: impl IntoIterator<Item = &'a Row>,
    erp_key: impl Fn(&Row) -> String,
    crm_key: impl Fn(&Row) -> String,
) -> Pairs<'a> {
    let mut partners = HashMap::new();
    for row in crm {
        let key = crm_key(row);
        if !key.is_empty() {
            assert!(partners.insert(key.clone(), row).is_none(), "two rows of the CRM have the key {key}");
        }
    }
    let mut taken = HashSet::new();
    let mut pairs = Vec::new();
    for row in erp {
        let key = erp_key(row);
        if !key.is_empty() {
            assert!(taken.insert(key.clone()), "two rows of the ERP have the key {key}");
            pairs.extend(partners.get(&key).map(|partner| (row, *partner)));
        }
    }
    pairs
}

fn lower(row: &Row, name: &str) -> String {
    text(row, name).trim_end().to_lowercase()
}

fn name_and_city(row: &Row, name: &str, city: &str) -> String {
    let (name, city) = (lower(row, name), lower(row, city));
    if name.is_empty() || city.is_empty() { String::new() } else { format!("{name}|{city}") }
}

/// The pairs of firms, by number and by name and city.
fn firms(data: &Data) -> (Pairs<'_>, Pairs<'_>) {
    let (customers, accounts) = (data.erp("customers"), data.crm("accounts"));
    let by_number = pairs(customers, accounts, |row| lower(row, "number"), |row| lower(row, "accountnumber"));
    let by_name = pairs(
        customers,
        accounts,
        |row| name_and_city(row, "displayName", "city"),
        |row| name_and_city(row, "name", "address1_city"),
    );
    (by_number, by_name)
}

fn people(data: &Data) -> Pairs<'_> {
    let persons = data.erp("contacts").iter().filter(|row| text(row, "type") == "Person");
    pairs(persons, data.crm("contacts"), |row| lower(row, "email"), |row| lower(row, "emailaddress1"))
}

/// Counts the fields that differ in a pair of firms or people.
fn differences(pair: &(&Row, &Row)) -> usize {
    let (erp, crm) = pair;
    let mut fields = vec![
        ("addressLine1", "address1_line1"),
        ("addressLine2", "address1_line2"),
        ("city", "address1_city"),
        ("state", "address1_stateorprovince"),
        ("postalCode", "address1_postalcode"),
        ("country", "address1_country"),
        ("phoneNumber", "telephone1"),
        ("email", "emailaddress1"),
    ];
    let name = if crm.contains_key("accountid") {
        fields.extend([("displayName", "name"), ("website", "websiteurl")]);
        text(erp, "displayName") == text(crm, "name")
    } else {
        fields.extend([("jobTitle", "jobtitle"), ("mobilePhoneNumber", "mobilephone")]);
        let parts = ["firstname", "middlename", "lastname"].map(|name| text(crm, name));
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        text(erp, "displayName") == parts.join(" ")
    };
    let limit = |row: &Row, name: &str| row.get(name).map(|limit| limit.to_string().parse::<f64>().unwrap());
    let amount = limit(erp, "creditLimit") == limit(crm, "creditlimit");
    let texts = fields.iter().filter(|(erp_name, crm_name)| text(erp, erp_name) != text(crm, crm_name)).count();
    // The name of an account is among the texts already.
    texts + usize::from(!amount) + usize::from(!name && crm.contains_key("contactid"))
}

#[test]
fn the_company_is_consistent() {
    check_consistent(&Data::of(company(SEED)));
}

#[test]
fn the_fakes_hold_the_company_as_it_was_made() {
    let (mut erp, mut crm) = (erp::State::default(), crm::State::default());
    fill(company(SEED), &mut erp, &mut crm).unwrap();
    let data = Data::of(company(SEED));
    for ((side, set), rows) in &data.0 {
        let (key, records) = match side {
            Side::Erp => ("id".to_owned(), erp.records(set)),
            Side::Crm => (rows[0].keys().next().unwrap().clone(), crm.records(set)),
        };
        let records: HashMap<&str, &Row> = records.iter().map(|record| (text(record, &key), record)).collect();
        for row in rows {
            let record = records[text(row, &key)];
            for (name, value) in row.iter().filter(|(name, _)| *name != "_companyContactNumber") {
                let same = match value {
                    Value::Number(number) => {
                        let decimal = |number: &str| number.parse::<rust_decimal::Decimal>().unwrap();
                        decimal(number.as_str()) == decimal(&record[name].to_string())
                    }
                    other => record.get(name) == Some(other),
                };
                assert!(same, "{side} {set}.{name}: {value} became {:?}", record.get(name));
            }
        }
    }
    // What the service has of its own is there still: its own users, and no second base currency.
    assert_eq!(crm.records("systemusers").len(), 17);
    assert_eq!(crm.records("transactioncurrencies").len(), 24);
    let base = crm.record("transactioncurrencies", crm.base_currency()).unwrap();
    assert_eq!(text(&base, "isocurrencycode"), LOCAL_CURRENCY);
    assert_eq!(erp.company(), COMPANY);
}

#[test]
fn a_customers_change_reaches_its_company_contact() {
    let (mut erp, mut crm) = (erp::State::default(), crm::State::default());
    fill(scaled(8, 1), &mut erp, &mut crm).unwrap();
    let (customer, contact) = (erp.find("customers", "number", "100003"), erp.find("contacts", "number", "CT000007"));
    let mut change = Row::new();
    change.insert("displayName".to_owned(), Value::from("Renamed Ltd."));
    erp.edit("customers", customer.unwrap(), &change).unwrap();
    assert_eq!(text(&erp.record("contacts", contact.unwrap()).unwrap(), "displayName"), "Renamed Ltd.");
}

#[test]
fn the_company_has_the_counts_it_says() {
    let data = Data::of(company(SEED));
    let count = |side, set| data.rows(side, set).len();
    let erp = [("companies", 1), ("salespeoplePurchasers", 12), ("currencies", 30), ("unitsOfMeasure", 15)];
    let erp =
        erp.into_iter().chain([("paymentTerms", 5), ("shipmentMethods", 4), ("customers", 200), ("contacts", 700)]);
    for (set, rows) in erp.chain([("items", 300), ("resources", 20)]) {
        assert_eq!(count(Side::Erp, set), rows, "{set}");
    }
    let crm = [("systemusers", 15), ("transactioncurrencies", 24), ("uomschedules", 12), ("uoms", 12)];
    let crm = crm.into_iter().chain([("accounts", 200), ("contacts", 500), ("products", 320), ("pricelevels", 1)]);
    for (set, rows) in crm.chain([("productpricelevels", 120)]) {
        assert_eq!(count(Side::Crm, set), rows, "{set}");
    }
    assert!(data.erp("currencies").iter().all(|row| text(row, "code") != LOCAL_CURRENCY));
    let companies = data.erp("contacts").iter().filter(|row| text(row, "type") == "Company").count();
    assert_eq!(companies, 200, "one company contact with each customer");
}

#[test]
fn the_companys_records_find_their_partners() {
    let data = Data::of(company(SEED));
    let (by_number, by_name) = firms(&data);
    let numbered: HashSet<&str> = by_number.iter().map(|(erp, _)| text(erp, "number")).collect();
    let by_name_only = by_name.iter().filter(|(erp, _)| !numbered.contains(text(erp, "number"))).count();
    assert_eq!((by_number.len(), by_name_only), (158, 14));
    for (erp, crm) in &by_name {
        let account_number = text(crm, "accountnumber");
        assert!(account_number.is_empty() || account_number == text(erp, "number"), "both rules name the same partner");
    }
    assert_eq!(people(&data).len(), 430);
    for (set, name, kind, count) in [("items", "displayName", 1, 258), ("resources", "name", 3, 17)] {
        let products = data.crm("products").iter().filter(|row| number_of(row, "producttypecode") == kind);
        let goods = pairs(data.erp(set), products, |row| lower(row, "number"), |row| lower(row, "productnumber"));
        assert_eq!(goods.len(), count, "{set}");
        let renamed = goods.iter().filter(|(erp, crm)| lower(erp, name) != lower(crm, "name")).count();
        assert_eq!(renamed, 0, "names of {set} differ in case and blanks only");
    }
    let users = pairs(
        data.erp("salespeoplePurchasers"),
        data.crm("systemusers"),
        |row| lower(row, "email"),
        |row| lower(row, "internalemailaddress"),
    );
    assert_eq!(users.len(), 11);
    assert!(users.iter().any(|(erp, crm)| text(erp, "email") != text(crm, "internalemailaddress")), "in another case");
}

#[test]
fn some_common_records_differ_in_one_field() {
    let data = Data::of(company(SEED));
    let (mut firms, by_name) = firms(&data);
    firms.extend(by_name.into_iter().filter(|(_, crm)| text(crm, "accountnumber").is_empty()));
    for (pairs, expected) in [(firms, 36), (people(&data), 61)] {
        let differences: Vec<usize> = pairs.iter().map(differences).collect();
        assert!(differences.iter().all(|count| *count <= 1), "never in two");
        assert_eq!(differences.iter().sum::<usize>(), expected);
    }
}

#[test]
fn references_of_common_records_agree() {
    let data = Data::of(company(SEED));
    let users: HashMap<&str, String> = data
        .crm("systemusers")
        .iter()
        .map(|row| (text(row, "systemuserid"), lower(row, "internalemailaddress")))
        .collect();
    let mails: HashMap<&str, String> =
        data.erp("salespeoplePurchasers").iter().map(|row| (text(row, "code"), lower(row, "email"))).collect();
    let currencies: HashMap<&str, &str> = data
        .crm("transactioncurrencies")
        .iter()
        .map(|row| (text(row, "transactioncurrencyid"), text(row, "isocurrencycode")))
        .collect();
    let terms: HashMap<&str, &str> =
        data.erp("paymentTerms").iter().map(|row| (text(row, "id"), text(row, "code"))).collect();
    let (mut pairs, by_name) = firms(&data);
    pairs.extend(by_name);
    let mut choices = HashMap::new();
    for (customer, account) in &pairs {
        let number = text(customer, "number");
        let owner = users.get(text(account, "_ownerid_value"));
        assert_eq!(mails.get(text(customer, "salespersonCode")), owner, "{number}");
        let code = text(customer, "currencyCode");
        let code = if code.is_empty() { LOCAL_CURRENCY } else { code };
        assert_eq!(currencies[text(account, "_transactioncurrencyid_value")], code, "{number}");
        let (term, choice) = (terms[text(customer, "paymentTermsId")], number_of(account, "paymenttermscode"));
        assert_eq!(*choices.entry(term).or_insert(choice), choice, "{number}: one choice for {term}");
    }
    assert_eq!(choices.len(), 4);
    let accounts: HashMap<&str, &str> =
        pairs.iter().map(|(customer, account)| (text(account, "accountid"), text(customer, "displayName"))).collect();
    let companies: HashMap<&str, &str> =
        data.erp("contacts").iter().map(|row| (text(row, "number"), text(row, "displayName"))).collect();
    for (person, contact) in people(&data) {
        let company = companies[text(person, "companyNumber")];
        assert_eq!(accounts[text(contact, "_parentcustomerid_value")], company, "{}", text(person, "number"));
    }
    let unit = |set, key, name| -> HashMap<&str, &str> {
        data.crm(set).iter().map(|row| (text(row, key), text(row, name))).collect()
    };
    let (groups, units) = (unit("uomschedules", "uomscheduleid", "name"), unit("uoms", "uomid", "name"));
    let products: HashMap<&str, &Row> =
        data.crm("products").iter().map(|row| (text(row, "productnumber"), row)).collect();
    for (set, base) in [("items", "baseUnitOfMeasureCode"), ("resources", "baseUnitOfMeasure")] {
        for row in data.erp(set) {
            if let Some(product) = products.get(text(row, "number")) {
                assert_eq!(units[text(product, "_defaultuomid_value")], text(row, base));
                assert_eq!(groups[text(product, "_defaultuomscheduleid_value")], format!("NAV {}", text(row, base)));
            }
        }
    }
}

#[test]
fn nothing_in_the_usual_filters_refers_to_what_they_keep_out() {
    let data = Data::of(company(SEED));
    let open_account = |row: &Row| number_of(row, "customertypecode") == 3 && number_of(row, "statecode") == 0;
    let open: HashSet<&str> =
        data.crm("accounts").iter().filter(|row| open_account(row)).map(|row| text(row, "accountid")).collect();
    assert_eq!(data.crm("accounts").len() - open.len(), 3, "a supplier and two that are inactive");
    for row in data.crm("contacts") {
        let parent = text(row, "_parentcustomerid_value");
        assert!(parent.is_empty() || open.contains(parent));
    }
    // The company contact bears the customer's name, which is all that connects the two in the rows.
    let blocked: HashSet<&str> = data
        .erp("customers")
        .iter()
        .filter(|row| text(row, "blocked") != "_x0020_")
        .map(|row| text(row, "displayName"))
        .collect();
    assert_eq!(blocked.len(), 4, "the twin of an inactive account, two that are alone, and {UNUSER}");
    let (companies, persons): (Vec<&Row>, Vec<&Row>) =
        data.erp("contacts").iter().partition(|row| text(row, "type") == "Company");
    let kept_out: HashSet<&str> = companies
        .iter()
        .filter(|row| blocked.contains(text(row, "displayName")))
        .map(|row| text(row, "number"))
        .collect();
    assert_eq!(kept_out.len(), 4);
    assert!(persons.iter().all(|row| !kept_out.contains(text(row, "companyNumber"))));
    let users: HashSet<String> = data.crm("systemusers").iter().map(|row| lower(row, "internalemailaddress")).collect();
    let with_user: HashSet<&str> = data
        .erp("salespeoplePurchasers")
        .iter()
        .filter(|row| users.contains(&lower(row, "email")))
        .map(|row| text(row, "code"))
        .collect();
    let customers = data.erp("customers").iter();
    let lost: Vec<&Row> = customers
        .filter(|row| !text(row, "salespersonCode").is_empty() && !with_user.contains(text(row, "salespersonCode")))
        .collect();
    assert_eq!(lost.len(), 1);
    assert_eq!((text(lost[0], "number"), text(lost[0], "blocked")), (UNUSER, "All"));
    let alone = |rows: &[Row], name: &str| rows.iter().filter(|row| text(row, name).is_empty()).count();
    assert_eq!(alone(data.crm("contacts"), "_parentcustomerid_value"), 6);
    assert_eq!(alone(data.erp("contacts"), "companyNumber"), 6);
}

#[test]
fn names_have_letters_and_signs_that_must_survive() {
    let data = Data::of(company(SEED));
    let (by_number, _) = firms(&data);
    let names: String = by_number.iter().map(|(erp, _)| text(erp, "displayName")).collect();
    for sign in ["ø", "Ž", "Łó", "北京", "'", "\"", ",", "&", "+", "#", "%", "ß"] {
        assert!(names.contains(sign), "{sign}");
    }
    let foreign = by_number.iter().filter(|(erp, _)| !text(erp, "currencyCode").is_empty()).count();
    let unassigned = by_number.iter().filter(|(erp, _)| text(erp, "salespersonCode").is_empty()).count();
    assert!(foreign > 10 && unassigned > 10, "{foreign} in foreign currency, {unassigned} without a salesperson");
}

#[test]
fn both_sides_break_a_name_up_alike() {
    for data in [Data::of(company(SEED)), Data::of(scaled(800, 3))] {
        let mut erp = erp::State::default();
        for set in ["salespeoplePurchasers", "currencies", "paymentTerms", "shipmentMethods", "customers", "contacts"] {
            erp.load(set, data.erp(set).to_vec());
        }
        assert_eq!(erp.adjusted().len(), 0, "{:?}", erp.adjusted());
        assert_eq!(
            erp.count("contacts"),
            data.erp("contacts").len(),
            "no company contact is made beside those that are there"
        );
        let persons = erp.records("contacts");
        let pairs = pairs(&persons, data.crm("contacts"), |row| lower(row, "email"), |row| lower(row, "emailaddress1"));
        let names = [("firstName", "firstname"), ("middleName", "middlename"), ("surname", "lastname")];
        for (person, contact) in &pairs {
            for (erp_name, crm_name) in names {
                assert_eq!(lower(person, erp_name), lower(contact, crm_name), "{}", text(person, "number"));
            }
        }
        let middle = pairs.iter().filter(|(person, _)| !text(person, "middleName").is_empty()).count();
        let drifted =
            pairs.iter().filter(|(person, contact)| text(person, "surname") != text(contact, "lastname")).count();
        assert!(middle > 3 && drifted > 3, "{middle} with a middle name, {drifted} in another case");
        let customers: HashSet<&str> = data.erp("customers").iter().map(|row| text(row, "number")).collect();
        let of_firms = pairs.iter().filter(|(person, _)| !text(person, "companyNumber").is_empty());
        for (person, _) in of_firms {
            assert!(customers.contains(text(person, "customerNumber")), "{}", text(person, "number"));
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let bytes = |seed| Data::of(company(seed)).bytes();
    assert_eq!(bytes(7), bytes(7));
    assert_ne!(bytes(7), bytes(8));
    check_consistent(&Data::of(company(8)));
}

#[test]
fn the_scaled_company_keeps_its_rates() {
    let data = Data::of(scaled(8_000, 3));
    check_consistent(&data);
    assert_eq!((data.erp("customers").len(), data.crm("accounts").len()), (7_000, 7_000));
    assert_eq!((data.erp("contacts").len(), data.crm("contacts").len()), (14_000, 7_000));
    assert_eq!(data.erp("items").len(), 700);
    let (by_number, by_name) = firms(&data);
    assert_eq!(by_number.len(), 6_000);
    assert!(by_name.iter().all(|(erp, crm)| text(erp, "number") == text(crm, "accountnumber")));
    for pairs in [by_number, people(&data)] {
        assert_eq!(pairs.len(), 6_000);
        let different = pairs.iter().map(differences).filter(|count| *count > 0).count();
        assert!((240..=360).contains(&different), "about one in twenty: {different}");
    }
}

#[test]
fn a_larger_company_begins_as_the_smaller_one() {
    let rows = |records| Data::of(scaled(records, 5)).erp("customers").to_vec();
    let (small, large) = (rows(40), rows(6_000));
    assert_eq!(small, large[..small.len()]);
}
