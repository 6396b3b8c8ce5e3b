//! `uncouple` as a person types it.

use pipeline::store::Store;
use serde_json::json;

use super::oracle::{assert_same, contents};
use super::selected::customer;
use super::{FULL, World};

#[test]
fn a_pair_is_parted_and_coupled_again() {
    let world = World::start();
    world.run(&format!("run {FULL}")).code(0);
    let coupled = |table: &str| world.store().couplings(table, &[]).unwrap().len();
    let (number, erp, crm) = customer(&world, 0);
    let before = (contents(&world), coupled("customers"), coupled("contacts"));
    let answer = world.run(&format!("uncouple {FULL} customers:{number}")).code(0);
    let told = format!("uncoupled 1 pair; they are kept apart until somebody couples them:\n  customers:{number}\n");
    assert!(answer.stdout.starts_with(&told), "{answer:#?}");
    assert_same(&contents(&world), &before.0, "uncoupling writes neither side");
    assert_eq!(coupled("customers"), before.1 - 1);
    let again = world.run(&format!("uncouple {FULL} customers:{number}")).code(2);
    assert!(again.stderr.contains("is not coupled; nothing was done"), "{again:#?}");
    let history = world.run(&format!("history {FULL} last")).code(0);
    assert!(history.stdout.contains(&format!("uncouple customers:{number}")), "{history:#?}");

    world.run(&format!("couple {FULL} customers:{number} {crm}")).code(0);
    world.turnstile.reset();
    world.run(&format!("run {FULL}")).code(0);
    assert_eq!(world.turnstile.seen().1, 0, "they agreed before");

    let answer = world.run(&format!("uncouple {FULL} customers:{number} --with salespeople")).code(2);
    assert!(answer.stderr.contains("`salespeople` has no field that refers to `customers`"), "{answer:#?}");
    let document = world.run(&format!("uncouple {FULL} customers:{erp} --format json")).code(0).json();
    let expected = json!([{"table": "customers", "record": format!("customers:{number}"), "erp": erp.to_string(),
        "crm": crm.to_string(), "gone": null, "released": false, "message": null}]);
    assert_eq!(document["uncoupled"], expected);
}

#[test]
fn all_of_a_table_are_parted_only_with_a_yes() {
    let world = World::start();
    world.run(&format!("run {FULL}")).code(0);
    let coupled = || world.store().couplings("contacts", &[]).unwrap().len();
    let number = coupled();
    let asked = world.run(&format!("uncouple {FULL} contacts --all")).code(2);
    assert!(asked.stderr.contains(&format!("whether to uncouple {number} pairs has to be asked")), "{asked:#?}");
    assert_eq!(coupled(), number);
    let refused = world.run(&format!("uncouple {FULL} contacts:1 --all")).code(2);
    assert!(refused.stderr.contains("`--all` takes one table map"), "{refused:#?}");
    world.run(&format!("uncouple {FULL} contacts --all --yes")).code(0);
    assert_eq!(coupled(), 0);
    world.turnstile.reset();
    world.run(&format!("run {FULL} --only contacts")).code(0);
    assert_eq!(world.turnstile.seen().1, 0, "neither matched nor made anew");
}
