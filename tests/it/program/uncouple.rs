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
    let advice = "the same command with `--with contacts` parts them, too";
    assert_eq!(answer.stdout.contains(advice), answer.stdout.contains("of `contacts` refer"), "{answer:#?}");
    let apart = world.run(&format!("couple {FULL} customers --match")).code(0);
    assert!(
        apart.stdout.contains("\n1 record of the ERP is kept apart, which no rule finds a partner for; "),
        "{apart:#?}"
    );
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

#[test]
fn what_refers_to_a_parted_record_can_be_parted_afterwards() {
    let world = World::start();
    world.run(&format!("run {FULL} --only salespeople --only currencies --only customers"));
    let coupled = |table: &str| world.store().couplings(table, &[]).unwrap().len();
    let before = coupled("customers");
    let parted = world.run(&format!("uncouple {FULL} salespeople:AB --format json")).code(0).json();
    let referring = parted["referring"].as_array().unwrap().iter().find(|one| one["table"] == "customers").unwrap();
    let number = referring["records"].as_array().unwrap().len();
    assert!(number > 1, "{parted:#}");
    // What is advised afterwards can be done.
    let with = format!("uncouple {FULL} salespeople:AB --with customers");
    let asked = world.run(&with).code(2);
    assert!(asked.stderr.contains(&format!("whether to uncouple {number} pairs has to be asked")), "{asked:#?}");
    let done = world.run(&format!("{with} --yes")).code(0);
    assert!(done.stdout.starts_with(&format!("uncoupled {number} pairs; ")), "{done:#?}");
    assert_eq!((coupled("customers"), coupled("salespeople")), (before - number, 13));
    let again = world.run(&with).code(2);
    let told = "`salespeople:AB` is not coupled, and nothing of `customers` refers to it; nothing was done";
    assert!(again.stderr.contains(told), "{again:#?}");
}

#[test]
fn nothing_is_made_where_there_is_no_state() {
    let world = World::start();
    let refused = world.run(&format!("uncouple {FULL} customers:10010")).code(2);
    assert!(refused.stderr.starts_with("error: nothing is coupled: there is no state in "), "{refused:#?}");
    assert!(world.state_files().is_empty(), "{:?}", world.state_files().keys());
}
