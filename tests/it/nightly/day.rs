//! A day on which people make, edit and delete records on both sides of a company that is coupled already; and what both
//! sides must hold after the night, whatever happened in it.
//!
//! In go both fakes, between two nights; out comes what people typed, which is the whole oracle: it is on both sides in the
//! end, what they deleted is on neither, what they made is on each side once, and everything else is as it was.

use std::collections::{BTreeMap, BTreeSet};

use mocks::data::Row;
use mocks::{crm, erp};
use pipeline::config::Side;
use serde_json::{Value, json};
use uuid::Uuid;

use super::oracle::{Snapshot, computed, raw};

/// Writes that each firm leads to, on average: somewhat fewer than there will be.
const CHANGES_PER_FIRM: f64 = 2.2;
/// The sets that a day is about.
const SETS: [(Side, &str); 4] =
    [(Side::Erp, "customers"), (Side::Erp, "contacts"), (Side::Crm, "accounts"), (Side::Crm, "contacts")];

/// Returns how many firms a day of so many changes takes.
pub fn firms(changes: u64) -> usize {
    (changes as f64 / CHANGES_PER_FIRM).ceil() as usize
}

/// A customer and its account, a person of the firm on both sides.
struct Firm {
    customer: Uuid,
    account: Uuid,
    erp_person: Uuid,
    crm_person: Uuid,
}

/// What people did.
#[derive(Default)]
pub struct Day {
    before: Option<Snapshot>,
    /// Values by record and property, on both sides.
    typed: Vec<[(Side, &'static str, Uuid, &'static str); 2]>,
    texts: Vec<String>,
    deleted: Vec<(Side, &'static str, Uuid)>,
    /// Names of new customers.
    made: Vec<String>,
}

impl Day {
    /// Types a value on a side, and expects it on both.
    fn type_in(
        &mut self,
        sides: (&mut erp::State, &mut crm::State),
        at: Side,
        places: [(&'static str, Uuid, &'static str); 2],
        text: String,
    ) {
        let [(erp_set, erp_id, erp_property), (crm_set, crm_id, crm_property)] = places;
        match at {
            Side::Erp => sides.0.edit(erp_set, erp_id, &row(&json!({ erp_property: text }))).unwrap(),
            Side::Crm => sides.1.edit(crm_set, crm_id, &row(&json!({ crm_property: text }))).unwrap(),
        }
        self.typed.push([(Side::Erp, erp_set, erp_id, erp_property), (Side::Crm, crm_set, crm_id, crm_property)]);
        self.texts.push(text);
    }

    fn delete_firm(&mut self, sides: (&mut erp::State, &mut crm::State), at: Side, firm: &Firm) {
        let gone = [
            (Side::Erp, "contacts", firm.erp_person),
            (Side::Erp, "customers", firm.customer),
            (Side::Crm, "contacts", firm.crm_person),
            (Side::Crm, "accounts", firm.account),
        ];
        for (_, set, id) in gone.iter().filter(|(side, ..)| *side == at) {
            match at {
                Side::Erp => sides.0.delete(set, *id).unwrap(),
                Side::Crm => sides.1.delete(set, *id).unwrap(),
            }
        }
        self.deleted.extend(gone);
    }

    fn make(&mut self, sides: (&mut erp::State, &mut crm::State), at: Side, number: usize) {
        let name = format!("New {} {number}", at.name());
        match at {
            Side::Erp => {
                let customer = json!({"displayName": name, "city": "Bath", "phoneNumber": format!("+44 {number}")});
                sides.0.insert("customers", &row(&customer)).unwrap();
            }
            Side::Crm => {
                let account = json!({"name": name, "address1_city": "Bath", "telephone1": format!("+44 {number}"),
                    "customertypecode": 3});
                sides.1.insert("accounts", &row(&account)).unwrap();
            }
        }
        self.made.push(name);
    }

    /// Tells what must be after the night and is not.
    pub fn broken(&self, after: &Snapshot) -> Vec<String> {
        let mut broken = Vec::new();
        let before = self.before.as_ref().expect("a day begins with a look at both sides");
        // What may be another value than before, by record.
        let mut typed: BTreeMap<(Side, &str, String), BTreeSet<&str>> = BTreeMap::new();
        for (places, text) in self.typed.iter().zip(&self.texts) {
            for (side, set, id, property) in places {
                let found = after.via(*side, set, &id.to_string(), property);
                if found != *text {
                    broken.push(format!("{} {set}({id}).{property} is {found:?}, typed was {text:?}", side.name()));
                }
                typed.entry((*side, *set, id.to_string())).or_default().insert(property);
            }
        }
        let deleted: BTreeSet<String> = self.deleted.iter().map(|(.., id)| id.to_string()).collect();
        for (side, set, id) in &self.deleted {
            if after.set(*side, set).contains_key(&id.to_string()) {
                broken.push(format!("{} {set}({id}) was deleted, and is there", side.name()));
            }
        }
        let mut new: BTreeSet<String> = BTreeSet::new();
        let named = |side: Side, set: &str, property: &str| {
            let mut found: BTreeMap<String, Vec<(&String, &Row)>> = BTreeMap::new();
            for (id, row) in after.set(side, set) {
                found.entry(raw(row, property)).or_default().push((id, row));
            }
            found
        };
        let (customers, accounts) =
            (named(Side::Erp, "customers", "displayName"), named(Side::Crm, "accounts", "name"));
        for name in &self.made {
            let erp = customers.get(name).cloned().unwrap_or_default();
            let crm = accounts.get(name).cloned().unwrap_or_default();
            new.extend(erp.iter().chain(&crm).map(|(id, _)| (*id).clone()));
            let ([(_, customer)], [(_, account)]) = (&erp[..], &crm[..]) else {
                broken.push(format!("{name} is {} times in the ERP, {} in the CRM", erp.len(), crm.len()));
                continue;
            };
            for (of_erp, of_crm) in
                [("number", "accountnumber"), ("city", "address1_city"), ("phoneNumber", "telephone1")]
            {
                let held = (raw(customer, of_erp), raw(account, of_crm));
                if held.0 != held.1 || held.0.is_empty() {
                    broken.push(format!("{name}: {of_erp} and {of_crm} are {held:?}"));
                }
            }
        }
        for (side, set) in SETS {
            // The ERP makes a company contact for each customer.
            let takes_part = |row: &Row| side == Side::Crm || set != "contacts" || raw(row, "type") == "Person";
            let was = before.set(side, set).iter().filter(|(_, row)| takes_part(row));
            let was: BTreeMap<&String, &Row> = was.collect();
            let is = after.set(side, set).iter().filter(|(id, row)| takes_part(row) && !new.contains(*id));
            let is: BTreeMap<&String, &Row> = is.collect();
            for id in was.keys().chain(is.keys()).copied().collect::<BTreeSet<&String>>() {
                let own = typed.get(&(side, set, id.clone()));
                let may = |name: &str| computed(name) || own.is_some_and(|own| own.contains(name));
                let same = match (was.get(id), is.get(id)) {
                    (Some(was), Some(is)) => {
                        let names: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
                        names.into_iter().all(|name| may(name) || was.get(name) == is.get(name))
                    }
                    _ => false,
                };
                if !same && !deleted.contains(id) {
                    broken.push(format!(
                        "{} {set}({id}) was {:?} and had to stay, is {:?}",
                        side.name(),
                        was.get(id),
                        is.get(id)
                    ));
                }
            }
        }
        broken
    }
}

/// Lets the day pass: of each eight firms two are edited on one side, one on both; two are deleted, on one side each, with
/// their people; people are edited at three; and four customers are new, two on each side.
pub fn live(erp: &mut erp::State, crm: &mut crm::State) -> Day {
    let mut day = Day { before: Some(look(erp, crm)), ..Day::default() };
    for (place, firm) in coupled(erp, crm).iter().enumerate() {
        let phone = [("customers", firm.customer, "phoneNumber"), ("accounts", firm.account, "telephone1")];
        let city = [("customers", firm.customer, "city"), ("accounts", firm.account, "address1_city")];
        let title = [("contacts", firm.erp_person, "jobTitle"), ("contacts", firm.crm_person, "jobtitle")];
        let mobile = [("contacts", firm.erp_person, "mobilePhoneNumber"), ("contacts", firm.crm_person, "mobilephone")];
        let text = |what: &str| format!("{what} {place}");
        match place % 8 {
            0 => day.type_in((erp, crm), Side::Erp, phone, text("+45")),
            1 => day.type_in((erp, crm), Side::Crm, city, text("Town")),
            2 => {
                day.type_in((erp, crm), Side::Erp, phone, text("+46"));
                day.type_in((erp, crm), Side::Crm, city, text("City"));
            }
            3 => day.delete_firm((erp, crm), Side::Erp, firm),
            4 => day.delete_firm((erp, crm), Side::Crm, firm),
            5 => {
                day.type_in((erp, crm), Side::Erp, title, text("Head"));
                day.make((erp, crm), Side::Erp, place);
                day.make((erp, crm), Side::Crm, place);
            }
            6 => {
                day.type_in((erp, crm), Side::Crm, mobile, text("+47"));
                day.make((erp, crm), Side::Erp, place);
                day.make((erp, crm), Side::Crm, place);
            }
            _ => {
                day.type_in((erp, crm), Side::Crm, title, text("Chair"));
                day.type_in((erp, crm), Side::Erp, mobile, text("+48"));
            }
        }
    }
    day
}

/// Looks at both sides.
fn look(erp: &erp::State, crm: &crm::State) -> Snapshot {
    Snapshot::from(|side, set| match side {
        Side::Erp => erp.records(set),
        Side::Crm => crm.records(set),
    })
}

/// The firms that are on both sides, inside the filters, with one person each, and that may be deleted.
fn coupled(erp: &erp::State, crm: &crm::State) -> Vec<Firm> {
    let by = |rows: Vec<Row>, key: &str| -> BTreeMap<String, Vec<Row>> {
        let mut found: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        rows.into_iter().for_each(|row| found.entry(raw(&row, key)).or_default().push(row));
        found
    };
    let accounts = by(crm.records("accounts"), "accountnumber");
    let erp_people = by(erp.records("contacts"), "customerNumber");
    let crm_people = by(crm.records("contacts"), "_parentcustomerid_value");
    let firm = |customer: Row| {
        let open = ["", " ", "_x0020_"].contains(&raw(&customer, "blocked").as_str());
        let settled = raw(&customer, "balanceDue").parse() == Ok(0.0);
        let number = raw(&customer, "number");
        let [account] = &accounts.get(&number)?[..] else { return None };
        let customer_account = account["statecode"] == json!(0) && account["customertypecode"] == json!(3);
        let people: Vec<&Row> =
            erp_people.get(&number)?.iter().filter(|person| raw(person, "type") == "Person").collect();
        let ([erp_person], [crm_person]) = (&people[..], &crm_people.get(&raw(account, "accountid"))?[..]) else {
            return None;
        };
        let id = |row: &Row, property: &str| raw(row, property).parse().unwrap();
        (open && settled && customer_account && crm_person["statecode"] == json!(0)).then(|| Firm {
            customer: id(&customer, "id"),
            account: id(account, "accountid"),
            erp_person: id(erp_person, "id"),
            crm_person: id(crm_person, "contactid"),
        })
    };
    erp.records("customers").into_iter().filter_map(firm).collect()
}

fn row(values: &Value) -> Row {
    values.as_object().unwrap().clone()
}
