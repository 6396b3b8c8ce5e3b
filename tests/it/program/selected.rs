//! `run --only TABLE:KEY`, `--direction` and `--force` as a person types them.

use pipeline::config::Side;
use pipeline::store::Store;
use serde_json::{Value, json};
use uuid::Uuid;

use super::oracle::{assert_same, contents};
use super::{FULL, World};

/// A coupled customer, with its number.
pub fn customer(world: &World, place: usize) -> (String, Uuid, Uuid) {
    let couplings = world.store().couplings("customers", &[]).unwrap();
    let (erp, crm) = (couplings.erp[place], couplings.crm[place]);
    let records = world.erp.with(|state| state.records("customers"));
    let record = records.iter().find(|record| record["id"] == erp.to_string()).unwrap();
    (record["number"].as_str().unwrap().to_owned(), erp, crm)
}

/// Somebody edits one record.
pub fn edit(world: &World, side: Side, id: Uuid, values: serde_json::Value) {
    let values = values.as_object().unwrap();
    match side {
        Side::Erp => world.erp.with(|state| state.edit("customers", id, values)).unwrap(),
        Side::Crm => world.crm.with(|state| state.edit("accounts", id, values)).unwrap(),
    }
}

fn account(world: &World, id: Uuid, property: &str) -> String {
    let records = world.crm.with(|state| state.records("accounts"));
    let record = records.iter().find(|record| record["accountid"] == id.to_string()).unwrap();
    record[property].as_str().unwrap_or_default().to_owned()
}

#[test]
fn one_record_is_synchronized_and_told_why() {
    let world = World::start();
    world.run(&format!("run {FULL}")).code(0);
    let (number, erp, crm) = customer(&world, 0);
    let only = format!("--only customers:{number}");
    let answer = world.run(&format!("run {FULL} {only}")).code(0);
    let quiet = format!("customers:{number}: neither side changed since it was last settled: there is nothing to do");
    assert!(answer.stderr.contains(&quiet), "{answer:#?}");

    edit(&world, Side::Erp, erp, json!({"city": "Elsewhere"}));
    let advice = format!("customers:{number}: one side has something new: city goes to the CRM (edited in the ERP)");
    let answer = world.run(&format!("plan {FULL} {only} --format json")).code(0);
    assert!(answer.stderr.contains(&advice), "{answer:#?}");
    let selected = json!([{"record": format!("customers:{number}"), "standing": "settled",
        "to_crm": [{"field": "city", "why": "edited in the ERP"}], "to_erp": [], "contested": []}]);
    assert_eq!(answer.json()["selected"], selected);
    let answer = world.run(&format!("run {FULL} {only} --format json")).code(0);
    assert!(answer.stderr.contains(&advice), "{answer:#?}");
    let report = answer.json();
    assert_eq!((&report["tables"][0]["mode"], &report["tables"][0]["selected"]), (&json!("selected"), &selected));
    assert_eq!(account(&world, crm, "address1_city"), "Elsewhere");
    world.turnstile.reset();
    world.run(&format!("run {FULL}")).code(0);
    assert_eq!(world.turnstile.seen().1, 0);
}

#[test]
fn what_is_asked_for_in_vain_is_refused_before_anything_is_written() {
    let world = World::start();
    world.run(&format!("run {FULL}")).code(0);
    let (number, erp, _) = customer(&world, 0);
    edit(&world, Side::Erp, erp, json!({"city": "Elsewhere"}));
    let before = (contents(&world), world.store().runs(99).unwrap().len());
    for (options, message, hint) in [
        (
            "--only customers:NOBODY",
            "the ERP has no record `customers:NOBODY`",
            "one of the CRM is `customers:crm:KEY`",
        ),
        ("--only custmers:1", "has no table map `custmers`", "did you mean `customers`?"),
        ("--only customers:", "`customers:` names no record", "`TABLE:KEY`"),
        (
            "--only salespeople --direction to_crm",
            "`salespeople` does not go to the CRM: tables.salespeople.direction is to_erp",
            "leave `--direction to_crm` out",
        ),
        ("--direction to_crm --force to_erp", "exclude each other", "leave one of the two out"),
    ] {
        let options =
            if options.contains("NOBODY") { format!("--only customers:{number} {options}") } else { options.into() };
        for verb in ["run", "plan"] {
            let failure = world.run(&format!("{verb} {FULL} {options} --format json")).code(2).json();
            let told = (failure["error"]["message"].as_str().unwrap(), failure["error"]["hint"].as_str().unwrap());
            assert!(told.0.contains(message) && told.1.contains(hint), "{options}: {failure:#}");
        }
    }
    assert_same(&contents(&world), &before.0, "refused");
    assert_eq!(world.store().runs(99).unwrap().len(), before.1, "no run began");
}

#[test]
fn what_both_sides_edited_is_overwritten_only_with_a_yes() {
    let world = World::start();
    world.run(&format!("run {FULL}")).code(0);
    let (number, erp, crm) = customer(&world, 0);
    edit(&world, Side::Erp, erp, json!({"city": "Here"}));
    edit(&world, Side::Crm, crm, json!({"address1_city": "There"}));
    let only = format!("--only customers:{number}");
    let answer = world.run(&format!("run {FULL} {only}")).code(1);
    let way = format!("`pipeline run FILE --only customers:{number} --force to_crm` lets the ERP win");
    assert!(answer.stderr.contains(&way), "{answer:#?}");

    let lost = format!("customers:{number} city: the CRM loses `There` for `Here`");
    let answer = world.run(&format!("run {FULL} {only} --force to_crm")).code(2);
    assert!(answer.stderr.contains(&lost) && answer.stderr.contains("`--yes` answers it"), "{answer:#?}");
    assert_eq!(account(&world, crm, "address1_city"), "There");
    let plan = world.run(&format!("plan {FULL} {only} --force to_crm")).code(0);
    assert!(plan.stdout.contains(&lost), "{plan:#?}");

    let report = world.run(&format!("run {FULL} {only} --force to_crm --yes --format json")).code(0).json();
    let overwritten = json!([{"table": "customers", "record": format!("customers:{number}"), "field": "city",
        "side": "crm", "old": "There", "new": "Here"}]);
    assert_eq!(report["tables"][0]["overwritten"], overwritten, "{report:#}");
    assert_eq!(account(&world, crm, "address1_city"), "Here");
    // Where nothing gives way there is nothing to agree to.
    world.run(&format!("run {FULL} {only} --force to_erp")).code(0);
    world.turnstile.reset();
    world.run(&format!("run {FULL}")).code(0);
    assert_eq!(world.turnstile.seen().1, 0);
}

#[test]
fn one_direction_leaves_the_other_tables_out_and_says_so() {
    let world = World::start();
    world.run(&format!("run {FULL}")).code(0);
    let (_, erp, crm) = customer(&world, 0);
    edit(&world, Side::Erp, erp, json!({"city": "Here"}));
    edit(&world, Side::Crm, crm, json!({"telephone1": "12345"}));
    let closing = "the other direction was left out: 1 record would go to the ERP";
    for verb in ["plan", "run --dry-run"] {
        let answer = world.run(&format!("{verb} {FULL} --direction to_crm")).code(0);
        assert!(answer.stdout.contains(closing), "{answer:#?}");
    }
    let answer = world.run(&format!("run {FULL} --direction to_crm")).code(0);
    let told = "left out by `--direction to_crm`: `salespeople`, which writes only to the ERP";
    assert!(answer.stderr.contains(told) && answer.stdout.contains(told), "{answer:#?}");
    assert!(answer.stdout.contains(closing), "{answer:#?}");
    let report = world.run(&format!("run {FULL} --direction to_erp --format json")).code(0).json();
    assert!(report["tables"].as_array().unwrap().iter().all(|table| table["to_crm"]["modified"] == 0), "{report:#}");
    assert!(report["notes"][0].as_str().unwrap().starts_with("left out by `--direction to_erp`"), "{report:#}");
    world.turnstile.reset();
    world.run(&format!("run {FULL}")).code(0);
    assert_eq!(world.turnstile.seen().1, 0);
}

#[test]
fn a_pair_that_was_never_settled_is_asked_about_in_the_direction_of_its_first_synchronization_too() {
    let world = World::start();
    world.run(&format!("run {FULL} --only salespeople --only currencies --only customers"));
    let (number, erp, crm) = customer(&world, 0);
    world.run(&format!("uncouple {FULL} customers:{number}")).code(0);
    edit(&world, Side::Crm, crm, json!({"telephone1": "CRM EDIT"}));
    edit(&world, Side::Erp, erp, json!({"phoneNumber": "ERP EDIT"}));
    world.run(&format!("couple {FULL} customers:{number} {crm}")).code(0);
    let before = contents(&world);
    for (to, winner, loser, lost, new) in
        [("crm", "ERP", "CRM", "CRM EDIT", "ERP EDIT"), ("erp", "CRM", "ERP", "ERP EDIT", "CRM EDIT")]
    {
        let asked = world.run(&format!("run {FULL} --only customers:{number} --force to_{to}")).code(2);
        let told = format!(
            "would be overwritten, as the {winner} wins: 1 value\n  customers:{number} phoneNumber: the {loser} loses \
             `{lost}` for `{new}`\n"
        );
        assert!(asked.stderr.contains(&told), "{asked:#?}");
        assert_same(&contents(&world), &before, "nothing is written without a yes");
    }
    // The ERP owns the credit limit, and what the CRM loses by that is shown whoever is to win.
    edit(&world, Side::Crm, crm, json!({"creditlimit": 777}));
    let before = contents(&world);
    let asked = world.run(&format!("run {FULL} --only customers:{number} --force to_erp")).code(2);
    let told = format!(
        "would be overwritten, as the ERP wins: 1 value\n  customers:{number} creditLimit: the CRM loses `777` for "
    );
    assert!(asked.stderr.contains(&told), "{asked:#?}");
    assert!(asked.stderr.contains("whether to overwrite 2 values has to be asked"), "{asked:#?}");
    assert_same(&contents(&world), &before, "nothing is written without a yes");
}

#[test]
fn a_part_can_be_reviewed() {
    let world = World::start();
    world.run(&format!("run {FULL}")).code(0);
    let whole = world.run(&format!("review {FULL} --format json")).code(0).json();
    assert_eq!((&whole["only"], &whole["selected"]), (&Value::Null, &Value::Null), "{whole:#}");
    let part = world.run(&format!("review {FULL} --only items --only customers:10000 --format json")).code(0).json();
    assert_eq!(part["only"], json!(["items", "customers:10000"]));
    let tables: Vec<&Value> = part["tables"].as_array().unwrap().iter().collect();
    assert_eq!(tables.iter().map(|table| table["table"].as_str().unwrap()).collect::<Vec<_>>(), ["customers", "items"]);
    assert_eq!((&tables[0]["rows"], &tables[0]["coupled"]), (&json!({"erp": 1, "crm": 1}), &json!(1)));
    let of_whole = whole["tables"].as_array().unwrap().iter().find(|table| table["table"] == "items");
    assert_eq!(Some(tables[1]), of_whole, "a whole table map is told as ever");
    assert_eq!(
        (&part["selected"][0]["record"], &part["selected"][0]["standing"]),
        (&json!("customers:10000"), &json!("settled"))
    );
    let text = world.run(&format!("review {FULL} --only customers:10000")).code(0);
    assert!(
        text.stdout.starts_with("full, only customers:10000: what each side holds inside its filters\n"),
        "{text:#?}"
    );
    assert!(text.stdout.ends_with("\nnext: nothing to do now\n"), "{text:#?}");
    for (part, message) in [
        ("custmers", "error: PIPELINE has no table map `custmers`\n"),
        ("customers:NOBODY", "error: the ERP has no record `customers:NOBODY`\n"),
    ] {
        let refused = world.run(&format!("review {FULL} --only {part}")).code(2);
        assert!(refused.stderr.contains(&message.replace("PIPELINE", FULL)), "{refused:#?}");
    }
}

#[test]
fn a_name_whose_records_are_both_gone_leads_to_what_became_of_them() {
    let world = World::start();
    world.run(&format!("run {FULL}")).code(0);
    let (number, erp, crm) = customer(&world, 0);
    world.erp.with(|state| state.delete("customers", erp)).unwrap();
    world.crm.with(|state| state.delete("accounts", crm)).unwrap();
    let line = format!("run {FULL} --only customers:{number}");
    let hint = format!("it was there once: `pipeline why FILE customers:{number}` says what became of it");
    for _ in 0..2 {
        let refused = world.run(&line).code(2);
        assert!(refused.stderr.contains(&hint), "{refused:#?}");
        let told = world.run(&format!("why {FULL} customers:{number}"));
        assert!(matches!(told.code, Some(0 | 1)) && !told.stdout.contains("no name on either side"), "{told:#?}");
        world.run(&format!("run {FULL} --only customers"));
    }
    let nobody = world.run(&format!("run {FULL} --only customers:NOBODY")).code(2);
    assert!(!nobody.stderr.contains("it was there once"), "{nobody:#?}");
}
