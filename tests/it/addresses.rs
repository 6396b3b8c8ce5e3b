//! Names of records, and the ids that they mean, on a side that can be asked by label and on one that cannot.

use std::sync::atomic::Ordering;

use pipeline::address::{Address, Unclear, find, similar};
use pipeline::config::PerSide;
use pipeline::endpoint::Endpoint;
use uuid::Uuid;

use crate::rules::World;

/// Looks up names of customers, and says what came of each.
fn found(world: &World, names: &[&str]) -> Vec<String> {
    let map = world.pipeline.tables.iter().find(|map| map.name == "customers").unwrap();
    let sides = PerSide { erp: &world.erp as &dyn Endpoint, crm: &world.crm };
    let addresses: Vec<Address> = names.iter().map(|name| Address::parse(name).unwrap()).collect();
    let told = |found: Result<Uuid, Unclear>| match found {
        Ok(id) => format!("{}", id.as_u128()),
        Err(unclear) => format!("{unclear}; {}", unclear.hint()),
    };
    find(map, sides, &addresses).unwrap().into_iter().map(told).collect()
}

#[test]
fn a_name_means_the_one_record_that_bears_it() {
    for searchable in [true, false] {
        let world = World::new();
        world.erp.searchable.store(searchable, Ordering::Relaxed);
        world.crm.searchable.store(searchable, Ordering::Relaxed);
        world.erp.put("customers", 1, &[("number", "10000")]);
        world.erp.put("customers", 2, &[("number", "ab1"), ("blocked", "All")]);
        world.erp.put("customers", 3, &[("number", "20000")]);
        world.erp.put("customers", 4, &[("number", "20000")]);
        world.crm.put("accounts", 7, &[("number", "10000"), ("kind", "10")]);
        let (erp, crm) = (Uuid::from_u128(2), Uuid::from_u128(7));
        let names = [
            "customers:10000".to_owned(),
            "customers:crm:10000".to_owned(),
            "customers: AB1 ".to_owned(),
            format!("customers:{erp}"),
            format!("customers:crm:any label ({crm})"),
            format!("customers:{crm}"),
            "customers:20000".to_owned(),
            "customers:99".to_owned(),
            "customers:crm:99".to_owned(),
        ];
        let told = found(&world, &names.each_ref().map(String::as_str));
        assert_eq!(told[..5], ["1", "7", "2", "2", "7"], "searchable: {searchable}");
        assert_eq!(
            told[5..],
            [
                format!(
                    "the ERP has no record `customers:{crm}`; records are named by ERP label or id; one of the CRM is \
                     `customers:crm:KEY`"
                ),
                format!(
                    "2 records of the ERP are named `customers:20000`; take one of customers:{}, customers:{}",
                    Uuid::from_u128(3),
                    Uuid::from_u128(4)
                ),
                "the ERP has no record `customers:99`; records are named by ERP label or id; one of the CRM is \
                 `customers:crm:KEY`"
                    .to_owned(),
                "the CRM has no record `customers:crm:99`; `customers:crm:KEY` takes a CRM label or id; one of the ERP \
                 is `customers:KEY`"
                    .to_owned(),
            ]
        );
    }
}

#[test]
fn similar_names_are_found_on_both_sides() {
    let mut world = World::new();
    for (id, number) in [(1, "10000"), (2, "10010"), (3, "A-7"), (4, "10000")] {
        world.erp.put("customers", id, &[("number", number)]);
    }
    world.crm.put("accounts", 7, &[("number", "1000"), ("kind", "10")]);
    let map = |world: &World| world.pipeline.tables.iter().find(|map| map.name == "customers").unwrap().clone();
    let found = |world: &World| {
        let sides = PerSide { erp: &world.erp as &dyn Endpoint, crm: &world.crm };
        similar(&map(world), sides, "1000").unwrap()
    };
    let expected = PerSide { erp: vec!["10000".to_owned(), "10010".to_owned()], crm: vec!["1000".to_owned()] };
    assert_eq!(found(&world), expected);
    world.pipeline.tables.iter_mut().for_each(|map| map.sides.crm.label = None);
    assert_eq!(found(&world).crm, [""; 0]);
}

#[test]
fn without_a_label_only_an_id_names_a_record() {
    let mut world = World::new();
    let map = world.pipeline.tables.iter_mut().find(|map| map.name == "customers").unwrap();
    map.sides.crm.label = None;
    world.crm.put("accounts", 7, &[("number", "10000")]);
    let told = found(&world, &["customers:crm:10000", &format!("customers:crm:{}", Uuid::from_u128(7))]);
    assert_eq!(
        told,
        [
            "`customers:crm:10000` is no id, and the CRM has no label in the table map; name it by its id, or set \
             tables.customers.crm.label",
            "7"
        ]
    );
}
