//! The records of the business — firms, people, items, resources — before they are rows of one side or the other.
//!
//! Each has one truth and renders it as each side would hold it; a [`Drift`] makes one field differ between the two,
//! as it does where two systems were kept by hand for years.

use super::lists::{self, PAYMENT_TERMS, SHIPMENT_METHODS, crm_currency, crm_time, crm_unit, erp_time, user};
use super::random::Random;
use super::words::{
    self, BRANDS, COUNTRIES, FAMILY_NAMES, GIVEN_NAMES, GOODS, JOB_TITLES, MATERIALS, PLACES, Place, TRADES,
};
use super::{LOCAL_CURRENCY, Record, Row, Side, id};
use uuid::Uuid;

/// On which side a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum On {
    #[default]
    Both,
    Erp,
    Crm,
}

impl On {
    pub fn erp(self) -> bool {
        self != On::Crm
    }

    pub fn crm(self) -> bool {
        self != On::Erp
    }
}

/// How one side's copy of a record that is on both differs from the other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// The CRM has the name in capitals.
    NameCase,
    /// The CRM has a blank after the name.
    NameBlank,
    /// The ERP lacks the city.
    NoCityErp,
    /// The CRM lacks the city.
    NoCityCrm,
    /// The CRM has another telephone number.
    Phone,
    /// The CRM has the mail address with capitals.
    MailCase,
    /// The CRM has the post code without its blank.
    PostCode,
    /// The CRM has another amount: a firm's credit limit, an item's price.
    Amount,
}

impl Drift {
    pub const OF_FIRMS: [Drift; 8] = [
        Drift::NameCase,
        Drift::NameBlank,
        Drift::NoCityErp,
        Drift::NoCityCrm,
        Drift::Phone,
        Drift::MailCase,
        Drift::PostCode,
        Drift::Amount,
    ];
    pub const OF_PEOPLE: [Drift; 5] =
        [Drift::Phone, Drift::NoCityCrm, Drift::MailCase, Drift::NameCase, Drift::NoCityErp];
    pub const OF_GOODS: [Drift; 3] = [Drift::Amount, Drift::NameCase, Drift::NameBlank];
}

/// Where a firm or a person lives.
#[derive(Debug, Clone, Default)]
pub struct Address {
    pub street: String,
    pub second: &'static str,
    pub city: &'static str,
    pub region: &'static str,
    pub country: &'static str,
    pub post_code: String,
}

impl Address {
    fn erp(&self, record: Record, drift: Option<Drift>) -> Record {
        record
            .text("addressLine1", &self.street)
            .text("addressLine2", self.second)
            .text("city", if drift == Some(Drift::NoCityErp) { "" } else { self.city })
            .text("state", self.region)
            .text("country", self.country)
            .text("postalCode", &self.post_code)
    }

    fn crm(&self, record: Record, drift: Option<Drift>) -> Record {
        let post_code = match drift {
            Some(Drift::PostCode) => self.post_code.replace(' ', ""),
            _ => self.post_code.clone(),
        };
        record
            .text("address1_line1", &self.street)
            .text("address1_line2", self.second)
            .text("address1_city", if drift == Some(Drift::NoCityCrm) { "" } else { self.city })
            .text("address1_stateorprovince", self.region)
            .text("address1_country", self.country)
            .text("address1_postalcode", &post_code)
    }
}

/// A firm: customer and company contact of the ERP, account of the CRM.
#[derive(Debug, Clone, Default)]
pub struct Firm {
    /// What the ids are made of; the customer number where there is one.
    pub key: String,
    pub on: On,
    pub drift: Option<Drift>,
    pub place: usize,
    pub name: String,
    pub account_number: String,
    /// Number of the ERP's company contact.
    pub contact_number: String,
    pub address: Address,
    pub phone: String,
    pub mail: String,
    pub domain: String,
    pub salesperson: &'static str,
    /// Who owns the account, if not the salesperson's user.
    pub owner: Option<Uuid>,
    /// Blank is the local currency.
    pub currency: &'static str,
    pub credit_limit: String,
    /// Places in the lists of terms and methods.
    pub terms: Option<usize>,
    pub shipment: Option<usize>,
    pub tax_number: String,
    /// Wire name of a way to be blocked; blank is none.
    pub blocked: &'static str,
    pub inactive: bool,
    /// The CRM's relationship type.
    pub relation: i64,
    pub employees: i64,
}

/// The CRM's relationship type of customers.
pub const CUSTOMER: i64 = 3;
/// The CRM's relationship type of suppliers.
pub const SUPPLIER: i64 = 10;

impl Firm {
    /// Draws a firm somewhere on the map; `mark` goes into its name, to tell apart what the words do not.
    pub fn draw(random: &mut Random, place: usize, mark: &str) -> Self {
        let at = &PLACES[random.below(PLACES.len())];
        Firm::draw_at(random, at, place, mark)
    }

    /// Draws a firm in a certain town.
    pub fn draw_at(random: &mut Random, at: &'static Place, place: usize, mark: &str) -> Self {
        let country = COUNTRIES.iter().find(|country| country.code == at.country).expect("each place has its country");
        let core = format!("{} {}{mark}", random.pick(BRANDS), random.pick(TRADES));
        let house = 1 + random.below(180);
        let street = random.pick(country.streets);
        let mut firm = Firm {
            place,
            name: format!("{core} {}", random.pick(country.forms)),
            address: Address {
                street: if country.number_first { format!("{house} {street}") } else { format!("{street} {house}") },
                second: if random.below(8) == 0 { "2nd floor" } else { "" },
                city: at.city,
                region: at.region,
                country: at.country,
                post_code: random.fill(at.post_code),
            },
            phone: random.fill(at.phone),
            currency: if country.currency == LOCAL_CURRENCY { "" } else { country.currency },
            credit_limit: match random.below(5) {
                0 => String::new(),
                1 => format!("{}.50", 100 * (1 + random.below(90))),
                _ => format!("{}", 500 * (1 + random.below(100))),
            },
            terms: Some(random.below(4)),
            shipment: [None, Some(2), Some(3)][random.below(3)],
            tax_number: format!("{}{}", at.country, random.fill("#########")),
            relation: CUSTOMER,
            employees: 1 + random.below(400) as i64,
            ..Firm::default()
        };
        firm.lives_at(&words::fold(&core));
        firm
    }

    /// Sets the firm's domain, and its mail address with it.
    pub fn lives_at(&mut self, name: &str) {
        self.domain = format!("{name}.example");
        self.mail = format!("info@{}", self.domain);
    }

    /// Whether the usual filters of both sides let it through.
    pub fn is_open(&self) -> bool {
        self.relation == CUSTOMER && self.blocked.is_empty() && !self.inactive
    }

    pub fn account(&self) -> Uuid {
        id(Side::Crm, "accounts", &self.key)
    }

    pub fn customer_row(&self) -> Row {
        let record = Record::new("id", id(Side::Erp, "customers", &self.key))
            .text("number", &self.key)
            .text("displayName", &self.name)
            .text("type", "Company");
        let mut record = self
            .address
            .erp(record, self.drift)
            .text("phoneNumber", &self.phone)
            .text("email", &self.mail)
            .text("website", &self.website())
            .text("salespersonCode", self.salesperson)
            .decimal("creditLimit", &self.credit_limit)
            .flag("taxLiable", self.address.country == "GB")
            .text("taxRegistrationNumber", &self.tax_number)
            .text("currencyCode", self.currency)
            .text("blocked", if self.blocked.is_empty() { "_x0020_" } else { self.blocked });
        if let Some(terms) = self.terms {
            record = record.id("paymentTermsId", id(Side::Erp, "paymentTerms", PAYMENT_TERMS[terms].0));
        }
        if let Some(method) = self.shipment {
            record = record.id("shipmentMethodId", id(Side::Erp, "shipmentMethods", SHIPMENT_METHODS[method].0));
        }
        // How the ERP fake is told which contact is the customer's own; no property of the page.
        record = record.text("_companyContactNumber", &self.contact_number);
        record.text("lastModifiedDateTime", &erp_time(1000 + self.place)).row()
    }

    /// The contact of type Company that the ERP keeps beside each customer.
    pub fn company_contact_row(&self) -> Row {
        let record = Record::new("id", id(Side::Erp, "contacts", &self.contact_number))
            .text("number", &self.contact_number)
            .text("type", "Company")
            .text("displayName", &self.name)
            .text("companyNumber", &self.contact_number)
            .text("companyName", &self.name)
            .text("contactBusinessRelation", "Customer");
        self.address
            .erp(record, self.drift)
            .text("phoneNumber", &self.phone)
            .text("email", &self.mail)
            .text("website", &self.website())
            .text("taxRegistrationNumber", &self.tax_number)
            .text("lastModifiedDateTime", &erp_time(1000 + self.place))
            .row()
    }

    pub fn account_row(&self) -> Row {
        let drift = self.drift;
        let amount = match (drift, self.credit_limit.as_str()) {
            (Some(Drift::Amount), "") => "2500".to_owned(),
            (Some(Drift::Amount), limit) => format!("1{limit}"),
            (_, limit) => limit.to_owned(),
        };
        let record = Record::new("accountid", self.account())
            .text("name", &drifted_name(&self.name, drift))
            .text("accountnumber", &self.account_number)
            .number("customertypecode", self.relation);
        let mut record = self
            .address
            .crm(record, drift)
            .text("telephone1", &drifted_phone(&self.phone, drift))
            .text("emailaddress1", &drifted_mail(&self.mail, drift))
            .text("websiteurl", &self.website())
            .decimal("creditlimit", &money(&amount))
            .flag("creditonhold", false)
            .number("numberofemployees", self.employees)
            .lookup("transactioncurrencyid", Some(crm_currency(self.currency)))
            .lookup("ownerid", self.owner());
        if let Some(choice) = self.terms.and_then(|terms| PAYMENT_TERMS[terms].3) {
            record = record.number("paymenttermscode", choice);
        }
        if let Some(choice) = self.shipment.and_then(|method| SHIPMENT_METHODS[method].2) {
            record = record.number("address1_freighttermscode", choice);
        }
        state(record, self.inactive, 2000 + self.place)
    }

    fn website(&self) -> String {
        format!("https://www.{}", self.domain)
    }

    fn owner(&self) -> Option<Uuid> {
        self.owner.or_else(|| lists::with_user().find(|code| *code == self.salesperson).map(user))
    }
}

/// A person: contact of the ERP and of the CRM.
#[derive(Debug, Clone, Default)]
pub struct Person {
    pub key: String,
    pub on: On,
    pub drift: Option<Drift>,
    pub place: usize,
    /// Number of the ERP's contact.
    pub number: String,
    /// The first name, or two of them.
    pub given: &'static str,
    /// One word, so that both sides break up the whole name alike.
    pub family: &'static str,
    pub title: &'static str,
    pub mail: String,
    pub phone: String,
    pub mobile: String,
    pub address: Address,
    /// Number of the ERP's company contact and id of the CRM's account.
    pub firm: Option<(String, Uuid)>,
    pub owner: Option<Uuid>,
}

impl Person {
    /// Draws a person who works at a firm, or for no one.
    pub fn draw(random: &mut Random, place: usize, firm: Option<&Firm>) -> Self {
        let mut person = Person {
            place,
            given: random.pick(GIVEN_NAMES),
            family: random.pick(FAMILY_NAMES),
            title: random.pick(JOB_TITLES),
            ..Person::default()
        };
        if let Some(firm) = firm {
            person.address = firm.address.clone();
            person.firm = Some((firm.contact_number.clone(), firm.account()));
            person.owner = firm.owner();
        }
        let at = firm.map_or("GB", |firm| firm.address.country);
        let at = PLACES.iter().find(|place| place.country == at).unwrap_or(&PLACES[0]);
        person.phone = random.fill(at.phone);
        if random.below(3) == 0 {
            person.mobile = random.fill(at.phone);
        }
        person
    }

    /// Sets the mail address, by name and domain; `mark` tells namesakes apart.
    pub fn writes_from(&mut self, domain: &str, mark: &str) {
        self.mail = format!("{}.{}{mark}@{domain}", words::fold(self.given), words::fold(self.family));
    }

    pub fn erp_row(&self) -> Row {
        let record = Record::new("id", id(Side::Erp, "contacts", &self.number))
            .text("number", &self.number)
            .text("type", "Person")
            .text("displayName", &format!("{} {}", self.given, self.family))
            .text("jobTitle", self.title)
            .text("companyNumber", self.firm.as_ref().map_or("", |(number, _)| number));
        self.address
            .erp(record, self.drift)
            .text("phoneNumber", &self.phone)
            .text("mobilePhoneNumber", &self.mobile)
            .text("email", &self.mail)
            .text("lastModifiedDateTime", &erp_time(3000 + self.place))
            .row()
    }

    pub fn crm_row(&self) -> Row {
        let drift = self.drift;
        let (first, middle) = self.given.split_once(' ').unwrap_or((self.given, ""));
        let record = Record::new("contactid", id(Side::Crm, "contacts", &self.key))
            .text("firstname", first)
            .text("middlename", middle)
            .text("lastname", &drifted_name(self.family, drift))
            .text("jobtitle", self.title)
            .lookup("parentcustomerid", self.firm.as_ref().map(|(_, account)| *account));
        let record = self
            .address
            .crm(record, drift)
            .text("telephone1", &drifted_phone(&self.phone, drift))
            .text("mobilephone", &self.mobile)
            .text("emailaddress1", &drifted_mail(&self.mail, drift))
            .lookup("ownerid", self.owner);
        state(record, false, 4000 + self.place)
    }
}

/// Whether goods are things or work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    #[default]
    Item,
    /// A person's work.
    Person,
    /// A machine's work.
    Machine,
}

/// Goods: item or resource of the ERP, product of the CRM.
#[derive(Debug, Clone, Default)]
pub struct Goods {
    /// What the ids are made of; the item's or the resource's number where there is one.
    pub key: String,
    pub on: On,
    pub drift: Option<Drift>,
    pub place: usize,
    pub kind: Kind,
    pub name: String,
    pub unit: &'static str,
    pub price: String,
    pub cost: String,
    pub quantity: usize,
    pub blocked: bool,
    /// Whether the product has a price line in the default price list.
    pub listed: bool,
}

impl Goods {
    /// Draws an item; `mark` goes into its name.
    pub fn draw(random: &mut Random, place: usize, mark: &str) -> Self {
        let cost = 150 + random.below(60_000);
        let price = cost * (120 + random.below(80)) / 100;
        Goods {
            place,
            name: format!("{} {}{mark}", random.pick(MATERIALS), random.pick(GOODS)),
            unit: random.pick(&["PCS", "PCS", "PCS", "BOX", "PACK", "SET", "KG", "L", "M", "PAIR"]),
            price: cents(price),
            cost: cents(cost),
            quantity: random.below(500),
            ..Goods::default()
        }
    }

    pub fn product(&self) -> Uuid {
        id(Side::Crm, "products", &self.key)
    }

    pub fn item_row(&self) -> Row {
        Record::new("id", id(Side::Erp, "items", &self.key))
            .text("number", &self.key)
            .text("displayName", &self.name)
            .text("type", "Inventory")
            .flag("blocked", self.blocked)
            .text("gtin", &format!("{:013}", 5_550_000_000_000_u64 + self.place as u64))
            .number("inventory", self.quantity as i64)
            .decimal("unitPrice", &self.price)
            .decimal("unitCost", &self.cost)
            .text("baseUnitOfMeasureCode", self.unit)
            .text("lastModifiedDateTime", &erp_time(5000 + self.place))
            .row()
    }

    pub fn resource_row(&self) -> Row {
        Record::new("id", id(Side::Erp, "resources", &self.key))
            .text("number", &self.key)
            .text("type", if self.kind == Kind::Machine { "Machine" } else { "Person" })
            .text("name", &self.name)
            .text("baseUnitOfMeasure", self.unit)
            .decimal("unitPrice", &self.price)
            .decimal("unitCost", &self.cost)
            .number("capacity", self.quantity as i64)
            .flag("blocked", self.blocked)
            .text("systemModifiedAt", &erp_time(6000 + self.place))
            .row()
    }

    pub fn product_row(&self) -> Row {
        let (group, unit) = crm_unit(self.unit);
        let record = Record::new("productid", self.product())
            .text("productnumber", &self.key)
            .text("name", &drifted_name(&self.name, self.drift))
            .number("producttypecode", if self.kind == Kind::Item { 1 } else { 3 })
            .number("productstructure", 1)
            .number("quantitydecimal", 2)
            .decimal("price", &self.crm_price())
            .decimal("standardcost", &money(&self.cost))
            .decimal("currentcost", &money(&self.cost))
            .number("quantityonhand", self.quantity as i64)
            .lookup("defaultuomscheduleid", Some(group))
            .lookup("defaultuomid", Some(unit))
            .lookup("transactioncurrencyid", Some(crm_currency("")))
            .lookup("pricelevelid", self.listed.then(price_list));
        state(record, self.blocked, 7000 + self.place)
    }

    /// The product's line in the default price list.
    pub fn price_row(&self) -> Row {
        let (group, unit) = crm_unit(self.unit);
        Record::new("productpricelevelid", id(Side::Crm, "productpricelevels", &self.key))
            .decimal("amount", &self.crm_price())
            .number("pricingmethodcode", 1)
            .number("quantitysellingcode", 1)
            .number("roundingpolicycode", 1)
            .lookup("pricelevelid", Some(price_list()))
            .lookup("productid", Some(self.product()))
            .lookup("uomid", Some(unit))
            .lookup("uomscheduleid", Some(group))
            .lookup("transactioncurrencyid", Some(crm_currency("")))
            .text("createdon", &crm_time(7000 + self.place))
            .text("modifiedon", &crm_time(8000 + self.place))
            .row()
    }

    fn crm_price(&self) -> String {
        match self.drift {
            Some(Drift::Amount) => money(&format!("1{}", self.price)),
            _ => money(&self.price),
        }
    }
}

/// The id of the CRM's default price list.
fn price_list() -> Uuid {
    id(Side::Crm, "pricelevels", "default")
}

/// The row of the CRM's default price list.
pub fn price_list_row() -> Row {
    let record = Record::new("pricelevelid", price_list())
        .text("name", "Dynamics NAV Default Price List")
        .text("description", "Prices in local currency, one line for a product")
        .lookup("transactioncurrencyid", Some(crm_currency("")))
        .number("statecode", 0)
        .number("statuscode", 100_001);
    record.text("createdon", &crm_time(0)).text("modifiedon", &crm_time(1)).row()
}

/// Writes an amount of hundredths, without zeros at its end, as the ERP does.
pub fn cents(amount: usize) -> String {
    match (amount / 100, amount % 100) {
        (whole, 0) => format!("{whole}"),
        (whole, part) if part % 10 == 0 => format!("{whole}.{}", part / 10),
        (whole, part) => format!("{whole}.{part:02}"),
    }
}

/// Writes an amount with the four decimals of the CRM's money columns.
pub fn money(amount: &str) -> String {
    match amount.split_once('.') {
        _ if amount.is_empty() => String::new(),
        Some((whole, part)) => format!("{whole}.{part:0<4}"),
        None => format!("{amount}.0000"),
    }
}

fn drifted_name(name: &str, drift: Option<Drift>) -> String {
    match drift {
        Some(Drift::NameCase) => name.to_uppercase(),
        Some(Drift::NameBlank) => format!("{name} "),
        _ => name.to_owned(),
    }
}

/// Somebody got a new extension: the last digit differs.
fn drifted_phone(phone: &str, drift: Option<Drift>) -> String {
    let mut phone = phone.to_owned();
    if drift == Some(Drift::Phone)
        && let Some(last) = phone.pop()
    {
        phone.push(if last == '0' { '7' } else { '0' });
    }
    phone
}

fn drifted_mail(mail: &str, drift: Option<Drift>) -> String {
    match (drift, mail.split_once('@')) {
        (Some(Drift::MailCase), Some((name, domain))) => format!("{}@{domain}", name.to_uppercase()),
        _ => mail.to_owned(),
    }
}

/// Ends a row of the CRM: its state, and when it was made and changed.
fn state(record: Record, inactive: bool, place: usize) -> Row {
    record
        .number("statecode", i64::from(inactive))
        .number("statuscode", if inactive { 2 } else { 1 })
        .text("createdon", &crm_time(place / 2))
        .text("modifiedon", &crm_time(place))
        .row()
}

#[cfg(test)]
mod tests {
    use super::{cents, money};

    #[test]
    fn amounts_are_written_as_each_side_writes_them() {
        for (amount, erp, crm) in
            [(0, "0", "0.0000"), (1200, "12", "12.0000"), (1250, "12.5", "12.5000"), (1205, "12.05", "12.0500")]
        {
            assert_eq!((cents(amount).as_str(), money(&cents(amount)).as_str()), (erp, crm));
        }
        assert_eq!(money(""), "");
    }
}
