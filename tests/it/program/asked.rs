//! What a person is asked to agree to, where nobody can be asked: a script reads it in the JSON of the refusal.

use pipeline::adapters::sqlite::SqliteStore;
use pipeline::config::Side;
use pipeline::store::{CouplingChange, Origin, Store};
use serde_json::{Value, json};
use uuid::Uuid;

use super::couple::world;
use super::selected::{customer, edit};
use super::turnstile::{Fate, Nth};
use super::{FULL, World};

/// Runs a command that has to be refused, and returns what it asked in JSON; the text has to ask the same.
fn asks(world: &World, line: &str, question: &str) -> Vec<Value> {
    let told = world.run(line).code(2);
    assert!(told.stderr.contains(question), "{told:#?}");
    let refused = world.run(&format!("{line} --format json")).code(2);
    assert_eq!(refused.stderr, told.stderr, "people are told the same");
    let refused = refused.json();
    assert_eq!(refused["error"]["kind"], "not_agreed", "{refused:#}");
    refused["asks"].as_array().unwrap_or_else(|| panic!("{refused:#}")).clone()
}

fn of_action<'a>(asks: &'a [Value], action: &str) -> Vec<&'a Value> {
    asks.iter().filter(|ask| ask["action"] == action).collect()
}

#[test]
fn pairs_and_all_that_is_written_in_them_are_in_the_refusal() {
    let (world, pairs) = world();
    world.run("run by_hand.yaml --only salespeople --only currencies").code(0);
    let (number, erp, key, crm) = &pairs[0];
    // One value gives way, one goes to where nothing is, and one goes the other way: there a blank never wins.
    edit(&world, Side::Crm, *crm, json!({"address1_city": "There", "telephone1": null}));
    edit(&world, Side::Erp, *erp, json!({"city": "Here", "phoneNumber": "123"}));
    let record = format!("customers:{number}");
    let value = |action: &str, field: &str, old: &str, new: &str| {
        json!({"action": action, "table": "customers", "record": record, "erp": erp.to_string(),
            "crm": crm.to_string(), "side": "crm", "field": field, "old": old, "new": new})
    };
    let line = format!("couple by_hand.yaml {record} {key} --sync to_crm");
    let all = asks(&world, &line, "whether to couple 1 pair and overwrite ");
    let pair = json!({"action": "couple", "table": "customers", "record": record,
        "partner": format!("customers:crm:{key}"), "erp": erp.to_string(), "crm": crm.to_string()});
    assert_eq!(of_action(&all, "couple"), [&pair]);
    assert!(all.contains(&value("overwrite", "city", "There", "Here")), "{all:#?}");
    let why = all.iter().find(|ask| ask["field"] == "phoneNumber").unwrap()["why"].clone();
    let mut besides = value("update", "phoneNumber", "", "123");
    besides["why"] = why;
    assert!(all.contains(&besides), "{all:#?}");
    // People read it, too.
    let told = world.run(&line).code(2);
    let shown = format!("  {record} phoneNumber: the CRM gets `123` for blank (");
    let (_, rest) = told.stderr.split_once("would be written besides: ").unwrap();
    assert!(rest.contains(&shown), "{told:#?}");

    let all = asks(&world, "couple by_hand.yaml customers --match", " pairs has to be asked");
    assert!(all.len() > 3 && of_action(&all, "couple").len() == all.len(), "{all:#?}");
    assert!(all[0]["why"].as_str().unwrap().starts_with("match rule "), "{all:#?}");
}

#[test]
fn what_a_forced_run_overwrites_and_writes_besides_is_in_the_refusal() {
    let world = World::start();
    world.run(&format!("run {FULL}")).code(0);
    let (number, erp, crm) = customer(&world, 0);
    edit(&world, Side::Erp, erp, json!({"city": "Here", "phoneNumber": "123"}));
    edit(&world, Side::Crm, crm, json!({"address1_city": "There"}));
    let line = format!("run {FULL} --only customers:{number} --force to_crm");
    let all = asks(&world, &line, "whether to overwrite 1 value has to be asked");
    let lost = of_action(&all, "overwrite");
    assert_eq!((lost.len(), &lost[0]["field"], &lost[0]["old"]), (1, &json!("city"), &json!("There")));
    let besides = of_action(&all, "update");
    assert_eq!((besides.len(), &besides[0]["field"], &besides[0]["new"]), (1, &json!("phoneNumber"), &json!("123")));
    assert_eq!(besides[0]["why"], "edited in the ERP");
}

#[test]
fn whom_a_rule_finds_and_who_is_made_a_second_time_is_in_the_refusal() {
    let (world, pairs) = world();
    world.run("run by_hand.yaml --only salespeople --only currencies").code(0);
    let (number, _, key, crm) = &pairs[0];
    edit(&world, Side::Crm, *crm, json!({"telephone1": "CRM ONLY"}));
    let line = format!("couple by_hand.yaml customers:{number} --create");
    let all = asks(&world, &line, "whether to couple 1 pair and overwrite ");
    let pair = of_action(&all, "couple");
    assert_eq!((pair.len(), &pair[0]["partner"]), (1, &json!(format!("customers:crm:{key}"))));
    assert!(of_action(&all, "overwrite").iter().any(|ask| ask["old"] == "CRM ONLY"), "{all:#?}");

    world.run(&format!("couple by_hand.yaml customers:{number} {key}")).code(0);
    world.run(&format!("uncouple by_hand.yaml customers:{number}")).code(0);
    let all = asks(&world, &line, "whether to make 1 record a second time");
    let made = json!({"action": "insert", "table": "customers", "record": format!("customers:{number}"), "side": "crm",
        "why": format!("customers:crm:{key}, which is kept apart, looks the same")});
    assert_eq!(of_action(&all, "insert"), [&made]);
}

#[test]
fn records_that_would_be_given_up_are_in_the_refusal() {
    let world = World::start();
    let tables = "--only salespeople --only currencies --only customers";
    world.run(&format!("run {FULL} {tables}")).code(0);
    let (number, erp, crm) = customer(&world, 0);
    world.crm.with(|state| state.delete("accounts", crm)).unwrap();
    world.run(&format!("run {FULL} {tables}")).code(1);
    let line = format!("inbox {FULL} delete customers:{number}");
    let all = asks(&world, &line, &format!("whether to let the next run delete customers:{number} has to be asked"));
    let given_up = json!({"action": "delete", "table": "customers", "record": format!("customers:{number}"),
        "erp": erp.to_string(), "crm": crm.to_string()});
    assert_eq!(all, [given_up]);
}

#[test]
fn pairs_that_would_be_parted_are_in_the_refusal() {
    let (world, pairs) = world();
    let names = pairs.iter().map(|pair| format!("customers:{}", pair.0)).collect::<Vec<_>>();
    for (name, pair) in names.iter().zip(&pairs) {
        world.run(&format!("couple by_hand.yaml {name} {}", pair.3)).code(0);
    }
    let all = asks(&world, "uncouple by_hand.yaml customers --all", "whether to uncouple 3 pairs has to be asked");
    let parted: Vec<&str> = of_action(&all, "uncouple").iter().map(|ask| ask["record"].as_str().unwrap()).collect();
    assert_eq!(parted, names);
    assert_eq!((&all[0]["erp"], &all[0]["crm"]), (&json!(pairs[0].1.to_string()), &json!(pairs[0].3.to_string())));
}

#[test]
fn a_question_is_asked_before_the_state_is_taken() {
    let (world, pairs) = world();
    world.run("run by_hand.yaml --only salespeople --only currencies").code(0);
    let now = || "2026-01-31T02:00:00Z".to_owned();
    let beside = |lines: &[String]| {
        // Somebody else writes to the state meanwhile.
        let other = SqliteStore::open(&world.state(), "a run beside it", &now, true).unwrap();
        for line in lines {
            asks(&world, line, "has to be asked, and there is no terminal to ask on");
            let locked = world.run(&format!("{line} --yes --format json")).code(3).json();
            assert_eq!(locked["error"]["kind"], "locked", "{line}: {locked:#}");
        }
        drop(other);
    };
    beside(&["couple by_hand.yaml customers --match".to_owned()]);
    for (number, _, _, crm) in &pairs {
        world.run(&format!("couple by_hand.yaml customers:{number} {crm}")).code(0);
    }
    let tables = "--only salespeople --only currencies --only customers";
    world.run(&format!("run by_hand.yaml {tables}"));
    world.crm.with(|state| state.delete("accounts", pairs[2].3)).unwrap();
    world.run(&format!("run by_hand.yaml {tables}")).code(1);
    world.run(&format!("uncouple by_hand.yaml customers:{}", pairs[1].0)).code(0);
    edit(&world, Side::Crm, pairs[1].3, json!({"address1_city": "There"}));
    beside(&[
        format!("couple by_hand.yaml customers:{} {} --sync to_crm", pairs[1].0, pairs[1].3),
        format!("couple by_hand.yaml customers:{} --create", pairs[1].0),
        "uncouple by_hand.yaml customers --all".to_owned(),
        format!("inbox by_hand.yaml delete customers:{}", pairs[2].0),
    ]);
}

#[test]
fn what_changed_since_it_was_looked_at_is_not_done() {
    let (world, pairs) = world();
    world.run("run by_hand.yaml --only salespeople --only currencies").code(0);
    let line =
        |number: &str, crm: Uuid| format!("couple by_hand.yaml customers:{number} {crm} --sync to_crm --format json");
    // Two pairs that agree, so that nothing is asked: they are looked at, looked at on paper, and coupled.
    for (number, _, _, crm) in &pairs[..2] {
        world.run(&format!("{} --yes", line(number, *crm))).code(0);
        world.run(&format!("uncouple by_hand.yaml customers:{number}")).code(0);
    }
    world.turnstile.reset();
    world.run(&line(&pairs[1].0, pairs[1].3)).code(0);
    let (requests, _) = world.turnstile.seen();
    // In the middle is the look on paper, before what it is like the run after it.
    world.turnstile.stop_at(Nth::Request(requests / 2), Fate::Unanswered);
    let (number, erp, _, crm) = &pairs[0];
    let child = world.spawn(&line(number, *crm));
    world.turnstile.wait();
    let now = || "2026-01-31T02:00:00Z".to_owned();
    let mut other = SqliteStore::open(&world.state(), "a run beside it", &now, true).unwrap();
    let coupled = CouplingChange::Couple { erp: *erp, crm: pairs[2].3, origin: Origin::Hand };
    other.commit("customers", &[], &[coupled], &[]).unwrap();
    drop(other);
    world.turnstile.open();
    let refused = child.answer().code(3).json();
    assert_eq!(refused["error"]["kind"], "moved", "{refused:#}");
    let coupled = world.store().coupling_of("customers", Side::Erp, *erp).unwrap().unwrap();
    assert_eq!(coupled.ids.crm, pairs[2].3);
}

#[test]
fn a_decision_that_one_side_s_win_overrules_is_in_the_refusal() {
    let world = World::start();
    world.run(&format!("run {FULL}")).code(0);
    let (number, erp, crm) = customer(&world, 0);
    edit(&world, Side::Erp, erp, json!({"city": "Here"}));
    edit(&world, Side::Crm, crm, json!({"address1_city": "There"}));
    world.run(&format!("run {FULL}")).code(1);
    world.run(&format!("inbox {FULL} resolve customers:{number} --field city --take crm")).code(0);
    let line = format!("run {FULL} --only customers:{number} --force to_crm");
    let all = asks(&world, &line, "whether to overwrite 1 value has to be asked");
    let given_up = of_action(&all, "withdraw");
    assert_eq!((given_up.len(), &given_up[0]["field"]), (1, &json!("city")), "{all:#?}");
    assert!(given_up[0]["why"].as_str().unwrap().starts_with("take crm since 20"), "{all:#?}");
    let told = world.run(&line).code(2).stderr;
    let heading = format!("1 decision of a person is given up for it:\n  customers:{number} city: take crm since 20");
    assert!(told.contains(&heading), "{told}");
    // What was decided about other fields stays.
    let other = format!("run {FULL} --only customers:{number} --force to_erp");
    let all = asks(&world, &other, "whether to overwrite 1 value has to be asked");
    assert_eq!(of_action(&all, "withdraw").len(), 1);
    world.run(&format!("inbox {FULL} withdraw customers:{number}")).code(0);
    assert!(of_action(&asks(&world, &line, "whether to"), "withdraw").is_empty());
}
