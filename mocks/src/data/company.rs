//! The default company: some two hundred customers and what belongs to them, as two systems that drifted apart.
//!
//! Three quarters of the records are on both sides under different ids, an eighth on either side alone. Customers match
//! by number, some (whose account has no number) by name and city only; people by mail address, goods by number. Every
//! sixth or so of the common records differs in one field. What the usual filters keep out is there as well — blocked,
//! inactive, a supplier, people without a firm — and nothing within them refers to it, so that a first run finds its way.
//! The seed changes names, addresses and amounts, not the counts.

use super::lists::{self, without_user};
use super::party::{Drift, Firm, Goods, Kind, On, Person, SUPPLIER, price_list_row};
use super::random::Random;
use super::words::{self, PLACES};
use super::{Chunk, Row};
use std::collections::HashSet;

/// The seed of the company that the tests and the demo know.
pub const SEED: u64 = 1;

/// Number of the customer whose salesperson is no user of the CRM. It is blocked, hence out of the usual filter.
pub const UNUSER: &str = "UNUSER";

const FIRMS: Share = Share { both: 172, erp: 28, crm: 28 };
const PEOPLE: Share = Share { both: 430, erp: 70, crm: 70 };
const ITEMS: Share = Share { both: 258, erp: 42, crm: 42 };
const RESOURCES: Share = Share { both: 17, erp: 3, crm: 3 };
/// People of each side alone who belong to no firm.
const ON_THEIR_OWN: usize = 6;
/// How many products have a line in the price list.
const LISTED: usize = 120;

/// How many records are on both sides, on the ERP's alone, on the CRM's alone; they come in this order.
struct Share {
    both: usize,
    erp: usize,
    crm: usize,
}

impl Share {
    fn all(&self) -> impl Iterator<Item = (usize, On)> {
        let (both, erp, crm) = (self.both, self.erp, self.crm);
        (0..both + erp + crm).map(move |place| {
            let on = match place {
                _ if place < both => On::Both,
                _ if place < both + erp => On::Erp,
                _ => On::Crm,
            };
            (place, on)
        })
    }
}

/// Firms with letters and signs that have to survive both protocols: place in the data, town, name.
#[rustfmt::skip]
const NAMED_FIRMS: &[(usize, &str, &str)] = &[
    (0, "København K", "Møller & Søn ApS"),
    (1, "Plzeň", "Žižka Strojírny s.r.o."),
    (2, "Łódź", "Łódź Textile Sp. z o.o."),
    (3, "北京", "北京 Bicycle Trading Co., Ltd."),
    (4, "Dublin", "O'Brien & Daughters Ltd."),
    (6, "London", "The \"Quoted\" Bakery Ltd."),
    (8, "Bristol", "Smith, Jones and Partners LLP"),
    (9, "Cambridge", "C# Consulting Ltd."),
    (10, "Portland", "100% Cotton Inc."),
    (12, "Berlin", "A+B Logistik GmbH"),
    (14, "Besançon", "Café René SARL"),
    (15, "München", "Größe & Straße AG"),
    (172, "Coeur d'Alene", "D'Amico's Fish; Chips = More LLC"),
    (173, "Llandudno", "50/50 Builders & Sons Ltd."),
    (174, "Gdańsk", "Wiśniewski?? S.A."),
    (200, "St. Ives", "Tre, Pol & Pen Ltd."),
    (201, "Luleå", "Åkerö % Älvsjö AB"),
    (202, "Ærøskøbing", "Ærø's \"Gamle\" Købmand A/S"),
];

/// Items with such names: place in the data, name.
const NAMED_ITEMS: &[(usize, &str)] = &[
    (0, "Desk 3/4\" Oak & Ash"),
    (2, "Lamp, 100% Linen"),
    (4, "Bench #7 (kit)"),
    (6, "Cable A+B 5 m"),
    (258, "Étagère d'angle"),
    (300, "Stół dębowy = 2 m²"),
];

const WORKERS: &[&str] = &[
    "Astrid Lund, Fitter",
    "Bartosz Nowak, Upholsterer",
    "Carys Price, Designer",
    "Emil Graf, Installer",
    "Gareth Owens, Carpenter",
    "Ida Sørli, Surveyor",
    "Jonas Weiß, Polisher",
    "Klara Svoboda, Trainer",
    "Liam Quinn, Driver",
    "Mei Chen, Draughtsman",
    "Nils Berg, Restorer",
    "Rosa Almeida, Glazier",
];

const MACHINES: &[&str] = &[
    "CNC Router",
    "Edge Bander",
    "Forklift",
    "Furniture Lift",
    "Kiln",
    "Laser Cutter",
    "Panel Saw",
    "Spray Booth",
    "Truck 7.5 t",
    "Vacuum Press",
    "Wide-Belt Sander",
];

/// Makes the company that belongs to a seed, in an order in which it can be loaded.
pub fn company(seed: u64) -> impl Iterator<Item = Chunk> {
    let firms = firms(&mut Random::new(seed, 1));
    let people = people(&mut Random::new(seed, 2), &firms);
    let items = items(&mut Random::new(seed, 3));
    let resources = resources(seed);
    let goods = || items.iter().chain(&resources).filter(|goods| goods.on.crm());
    let records = [
        Chunk::erp("customers", rows(&firms, |firm| firm.on.erp(), Firm::customer_row)),
        Chunk::erp("contacts", rows(&firms, |firm| firm.on.erp(), Firm::company_contact_row)),
        Chunk::erp("contacts", rows(&people, |person| person.on.erp(), Person::erp_row)),
        Chunk::erp("items", rows(&items, |item| item.on.erp(), Goods::item_row)),
        Chunk::erp("resources", rows(&resources, |resource| resource.on.erp(), Goods::resource_row)),
        Chunk::crm("accounts", rows(&firms, |firm| firm.on.crm(), Firm::account_row)),
        Chunk::crm("contacts", rows(&people, |person| person.on.crm(), Person::crm_row)),
        Chunk::crm("pricelevels", vec![price_list_row()]),
        Chunk::crm("products", goods().map(Goods::product_row).collect()),
        Chunk::crm("productpricelevels", goods().filter(|goods| goods.listed).map(Goods::price_row).collect()),
    ];
    lists::erp().into_iter().chain(lists::crm()).chain(records)
}

/// Makes the resources of every data set; only their amounts depend on the seed.
pub fn resources(seed: u64) -> Vec<Goods> {
    let mut random = Random::new(seed, 4);
    let names =
        MACHINES.iter().map(|name| (*name, Kind::Machine)).chain(WORKERS.iter().map(|name| (*name, Kind::Person)));
    RESOURCES
        .all()
        .zip(names)
        .map(|((place, on), (name, kind))| {
            let drawn = Goods::draw(&mut random, place, "");
            Goods {
                key: if on.erp() { format!("R{:04}", 10 * (place + 1)) } else { format!("W-{}", 100 + place) },
                name: name.to_owned(),
                kind,
                on,
                drift: (on == On::Both && place % 6 == 3).then_some(Drift::Amount),
                unit: if place % 5 == 0 { "DAY" } else { "HOUR" },
                quantity: 8 * (1 + place % 3),
                ..drawn
            }
        })
        .collect()
}

fn rows<T>(records: &[T], on: impl Fn(&&T) -> bool, row: impl Fn(&T) -> Row) -> Vec<Row> {
    records.iter().filter(on).map(row).collect()
}

fn firms(random: &mut Random) -> Vec<Firm> {
    let mut taken = HashSet::new();
    let mut in_the_erp = 0;
    let firms = FIRMS.all().map(|(place, on)| {
        let mut firm = named_or_drawn(random, place, &mut taken);
        firm.on = on;
        firm.key = if on.erp() { format!("{}", 10_000 + 10 * place) } else { format!("account {place}") };
        firm.salesperson = match lists::with_user().nth(place % 11) {
            _ if place % 9 == 4 => "",
            code => code.unwrap_or_default(),
        };
        // Two thirds of the firms abroad trade in the local currency.
        if !place.is_multiple_of(3) {
            firm.currency = "";
        }
        match on {
            On::Both => common(&mut firm),
            On::Erp => erp_only(&mut firm, place - FIRMS.both),
            On::Crm => crm_only(&mut firm, place - FIRMS.both - FIRMS.erp),
        }
        if on.erp() {
            in_the_erp += 1;
            firm.contact_number = format!("CT{in_the_erp:06}");
        }
        firm
    });
    firms.collect()
}

/// Draws until neither the name nor the domain is taken.
fn named_or_drawn(random: &mut Random, place: usize, taken: &mut HashSet<String>) -> Firm {
    let named = NAMED_FIRMS.iter().find(|(at, ..)| *at == place);
    loop {
        let mut firm = match named {
            Some((_, city, name)) => {
                let at = PLACES.iter().find(|at| at.city == *city).expect("a named firm is in a town of the list");
                let mut firm = Firm::draw_at(random, at, place, "");
                firm.name = (*name).to_owned();
                firm.lives_at(&words::fold(name));
                firm
            }
            None => Firm::draw(random, place, ""),
        };
        firm.place = place;
        if taken.insert(firm.domain.clone()) {
            return firm;
        }
    }
}

/// A firm on both sides: how it is found there, and what differs.
fn common(firm: &mut Firm) {
    let place = firm.place;
    firm.account_number = firm.key.clone();
    match place % 6 {
        1 => firm.drift = Some(Drift::OF_FIRMS[place / 6 % 8]),
        // Found by name and city only.
        5 if place % 12 == 5 => {
            firm.account_number.clear();
            firm.drift = (place % 24 == 5).then_some(Drift::NameCase);
        }
        _ => {}
    }
    // A post code without a blank has none to lose.
    if firm.drift == Some(Drift::PostCode) && !firm.address.post_code.contains(' ') {
        firm.drift = Some(Drift::Phone);
    }
    if place == FIRMS.both - 2 {
        (firm.inactive, firm.blocked) = (true, "All");
    }
}

fn erp_only(firm: &mut Firm, nth: usize) {
    match nth {
        // Currencies that the CRM does not have yet.
        5 => firm.currency = "ISK",
        6 => firm.currency = "BGN",
        // Terms and a method that the CRM has no choice for.
        10 => (firm.blocked, firm.terms, firm.shipment) = ("Invoice", Some(4), Some(0)),
        11 => firm.blocked = "Ship",
        _ if nth == FIRMS.erp - 1 => {
            firm.key = UNUSER.to_owned();
            firm.salesperson = without_user();
            firm.blocked = "All";
        }
        _ => {}
    }
}

fn crm_only(firm: &mut Firm, nth: usize) {
    if nth.is_multiple_of(4) {
        firm.account_number = format!("A-{}", 1001 + nth);
    }
    match nth {
        // Owned by a user who becomes a salesperson only by a run.
        7 => firm.owner = Some(lists::user(lists::OTHER_USERS[0].0)),
        9 => firm.relation = SUPPLIER,
        11 => firm.inactive = true,
        _ => {}
    }
}

fn people(random: &mut Random, firms: &[Firm]) -> Vec<Person> {
    // A firm out of the usual filter has no people: whoever reads a person would look for the firm in vain.
    let open = |on: On| firms.iter().filter(move |firm| firm.on == on && firm.is_open());
    let both: Vec<&Firm> = open(On::Both).collect();
    let erp: Vec<&Firm> = open(On::Both).step_by(5).chain(open(On::Erp)).collect();
    let crm: Vec<&Firm> = open(On::Both).step_by(7).chain(open(On::Crm)).collect();
    let mut taken = HashSet::new();
    let mut in_the_erp = FIRMS.both + FIRMS.erp;
    let people = PEOPLE.all().map(|(place, on)| {
        let (circle, alone) = match on {
            On::Both => (&both, false),
            On::Erp => (&erp, place >= PEOPLE.both + PEOPLE.erp - ON_THEIR_OWN),
            On::Crm => (&crm, place >= PEOPLE.both + PEOPLE.erp + PEOPLE.crm - ON_THEIR_OWN),
        };
        let firm = (!alone).then(|| circle[place % circle.len()]);
        let mut person = Person::draw(random, place, firm);
        person.on = on;
        if on == On::Both && place % 7 == 3 {
            person.drift = Some(Drift::OF_PEOPLE[place / 7 % 5]);
        }
        let domain = firm.map_or("mail.example", |firm| &firm.domain);
        person.writes_from(domain, "");
        let mut namesakes = 1;
        while !taken.insert(person.mail.clone()) {
            namesakes += 1;
            person.writes_from(domain, &namesakes.to_string());
        }
        person.key = person.mail.clone();
        if on.erp() {
            in_the_erp += 1;
            person.number = format!("CT{in_the_erp:06}");
        }
        person
    });
    people.collect()
}

fn items(random: &mut Random) -> Vec<Goods> {
    let mut taken = HashSet::new();
    let items = ITEMS.all().map(|(place, on)| {
        let mut item = Goods::draw(random, place, "");
        while !taken.insert(item.name.clone()) {
            item = Goods::draw(random, place, "");
        }
        if let Some((_, name)) = NAMED_ITEMS.iter().find(|(at, _)| *at == place) {
            item.name = (*name).to_owned();
        }
        item.on = on;
        item.key = if on.erp() { format!("{}-S", 1000 + place) } else { format!("P-{}", 5000 + place) };
        item.listed = on.crm() && place < LISTED;
        match (on, place) {
            // A blocked item whose product is retired, and one that the CRM never had.
            (On::Both, 250) | (On::Erp, 260) => item.blocked = true,
            (On::Both, _) if place % 8 == 3 => item.drift = Some(Drift::OF_GOODS[place / 8 % 3]),
            // Units whose groups the CRM does not have yet.
            (On::Erp, 262 | 263) => item.unit = "PALLET",
            (On::Erp, 264) => item.unit = "CAN",
            _ => {}
        }
        item
    });
    items.collect()
}
