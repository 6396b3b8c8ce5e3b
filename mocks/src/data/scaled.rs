//! A company of any size, made by formula: for benches, and for trials of memory and time.
//!
//! `records` is the number of firms N. With each comes one person, with each ten one item; resources and the short
//! lists are those of the default company. Of the firms, with their people, and of the items, six in eight are on both
//! sides, one in eight in the ERP only and one in eight in the CRM only, so each side holds seven eighths of N. Of the
//! common ones one in twenty differs in one field. All match by number, people by mail address. A record depends on the
//! seed and its place only: the first thousand of a million are the thousand. Rows come in blocks, so that what feeds
//! the fakes never holds more than a block.

use super::company::resources;
use super::lists;
use super::party::{Drift, Firm, Goods, On, Person, price_list_row};
use super::random::Random;
use super::{Chunk, Row};

/// How many firms a block has.
const BLOCK: usize = 5_000;

/// Makes N firms and what belongs to them, in an order in which they can be loaded.
pub fn scaled(records: usize, seed: u64) -> impl Iterator<Item = Chunk> {
    let firms = blocks(records).flat_map(move |(from, to)| parties(from, to, seed));
    let items = blocks(records / 10).flat_map(move |(from, to)| {
        let items: Vec<Goods> = (from..to).map(|place| item(place, seed)).collect();
        [
            Chunk::erp("items", erp_rows(&items, Goods::item_row)),
            Chunk::crm("products", crm_rows(&items, Goods::product_row)),
        ]
    });
    let resources = resources(seed);
    let rest = [
        Chunk::crm("pricelevels", vec![price_list_row()]),
        Chunk::erp("resources", erp_rows(&resources, Goods::resource_row)),
        Chunk::crm("products", crm_rows(&resources, Goods::product_row)),
    ];
    lists::erp().into_iter().chain(lists::crm()).chain(firms).chain(items).chain(rest)
}

fn blocks(records: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..records).step_by(BLOCK).map(move |from| (from, records.min(from + BLOCK)))
}

/// The firms of a block and their people.
fn parties(from: usize, to: usize, seed: u64) -> [Chunk; 5] {
    let firms: Vec<Firm> = (from..to).map(|place| firm(place, seed)).collect();
    let people: Vec<Person> = firms.iter().map(|firm| person(firm, seed)).collect();
    [
        Chunk::erp("customers", erp_rows(&firms, Firm::customer_row)),
        Chunk::erp("contacts", erp_rows(&firms, Firm::company_contact_row)),
        Chunk::erp("contacts", erp_rows(&people, Person::erp_row)),
        Chunk::crm("accounts", crm_rows(&firms, Firm::account_row)),
        Chunk::crm("contacts", crm_rows(&people, Person::crm_row)),
    ]
}

fn on(place: usize) -> On {
    match place % 8 {
        6 => On::Erp,
        7 => On::Crm,
        _ => On::Both,
    }
}

/// One in twenty of the common records drifts, in one of the ways given.
fn drift(random: &mut Random, on: On, ways: &[Drift]) -> Option<Drift> {
    let drifts = random.below(20) == 0;
    let way = ways[random.below(ways.len())];
    (on == On::Both && drifts).then_some(way)
}

fn firm(place: usize, seed: u64) -> Firm {
    let mut random = Random::new(seed, 4 * place as u64);
    let mut firm = Firm::draw(&mut random, place, &format!(" {place}"));
    firm.on = on(place);
    firm.key = format!("{}", 100_000 + place);
    firm.account_number = firm.key.clone();
    firm.contact_number = format!("CT{:06}", 2 * place + 1);
    firm.salesperson = lists::with_user().nth(place % 11).unwrap_or_default();
    if !place.is_multiple_of(3) {
        firm.currency = "";
    }
    // Of all ways only this one may change nothing, so it is left out.
    let ways = Drift::OF_FIRMS.map(|way| if way == Drift::PostCode { Drift::Phone } else { way });
    firm.drift = drift(&mut random, firm.on, &ways);
    firm
}

fn person(firm: &Firm, seed: u64) -> Person {
    let mut random = Random::new(seed, 4 * firm.place as u64 + 1);
    let mut person = Person::draw(&mut random, firm.place, Some(firm));
    person.on = firm.on;
    person.number = format!("CT{:06}", 2 * firm.place + 2);
    person.key = person.number.clone();
    person.writes_from(&firm.domain, "");
    person.drift = drift(&mut random, firm.on, &Drift::OF_PEOPLE);
    person
}

fn item(place: usize, seed: u64) -> Goods {
    let mut random = Random::new(seed, 4 * place as u64 + 2);
    let mut item = Goods::draw(&mut random, place, &format!(" {place}"));
    item.on = on(place);
    item.key = format!("{}-S", 1000 + place);
    item.drift = drift(&mut random, item.on, &Drift::OF_GOODS);
    item
}

/// What is on one side or on both.
trait Placed {
    fn on(&self) -> On;
}

impl Placed for Firm {
    fn on(&self) -> On {
        self.on
    }
}

impl Placed for Person {
    fn on(&self) -> On {
        self.on
    }
}

impl Placed for Goods {
    fn on(&self) -> On {
        self.on
    }
}

fn erp_rows<T: Placed>(records: &[T], row: impl Fn(&T) -> Row) -> Vec<Row> {
    records.iter().filter(|record| record.on().erp()).map(row).collect()
}

fn crm_rows<T: Placed>(records: &[T], row: impl Fn(&T) -> Row) -> Vec<Row> {
    records.iter().filter(|record| record.on().crm()).map(row).collect()
}
