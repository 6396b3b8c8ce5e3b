//! `couple` as a person types it.

use std::collections::BTreeSet;

use pipeline::config::Side;
use pipeline::store::Store;
use serde_json::json;
use uuid::Uuid;

use super::oracle::{assert_same, contents};
use super::selected::edit;
use super::{FULL, World};

/// A world where customers are neither matched nor created, so that people couple them; and both ids of two of them.
pub fn world() -> (World, Vec<(String, Uuid, String, Uuid)>) {
    let world = World::start();
    let full = std::fs::read_to_string(FULL).unwrap();
    let (head, tail) = full.split_once("\n  customers:\n").unwrap();
    let tail = tail.replacen("    create: both\n", "    create: none\n", 1);
    world.file("by_hand.yaml", &format!("{head}\n  customers:\n{tail}"));
    let customers = world.erp.with(|state| state.records("customers"));
    let accounts = world.crm.with(|state| state.records("accounts"));
    let text = |record: &serde_json::Map<String, serde_json::Value>, key: &str| {
        record.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
    };
    let both = customers.iter().filter_map(|customer| {
        let number = text(customer, "number");
        let account = accounts.iter().find(|account| text(account, "accountnumber") == number)?;
        let ids = (text(customer, "id").parse().unwrap(), text(account, "accountid").parse().unwrap());
        Some((number.clone(), ids.0, number, ids.1))
    });
    let both: Vec<_> = both.take(3).collect();
    (world, both)
}

#[test]
fn a_pair_is_coupled_shown_and_synchronized() {
    let (world, pairs) = world();
    world.run("run by_hand.yaml --only salespeople --only currencies").code(0);
    let (number, erp, key, crm) = &pairs[0];
    edit(&world, Side::Crm, *crm, json!({"address1_city": "There"}));
    edit(&world, Side::Erp, *erp, json!({"city": "Here"}));
    let before = contents(&world);
    let answer = world.run(&format!("couple by_hand.yaml customers:{number} {key}")).code(0);
    let told = format!("coupled 1 pair:\n  customers:{number} with customers:crm:{key}");
    assert!(answer.stdout.contains(&told), "{answer:#?}");
    let differs = "address1_city: ERP \"Here\", CRM \"There\"; ERP → CRM (first synchronization, the ERP fills it)";
    assert!(answer.stdout.contains(differs), "{answer:#?}");
    assert_same(&contents(&world), &before, "coupling writes neither side");
    assert_eq!(world.store().couplings("customers", &[]).unwrap().len(), 1);
    let again = world.run(&format!("couple by_hand.yaml customers:{number} {key}")).code(2);
    assert!(again.stderr.contains("are coupled already; nothing was done"), "{again:#?}");
    let history = world.run("history by_hand.yaml last").code(0);
    assert!(history.stdout.contains(&format!("couple customers:{number}")), "{history:#?}");

    // The CRM wins at once, where a script says yes.
    let (number, _, key, crm) = &pairs[1];
    edit(&world, Side::Crm, *crm, json!({"address1_city": "There"}));
    let line = format!("couple by_hand.yaml customers:crm:{key} {number} --sync to_erp");
    let asked = world.run(&line).code(2);
    let customers = world.erp.with(|state| state.records("customers"));
    let city = customers.iter().find(|customer| customer["number"] == **number).unwrap()["city"].clone();
    let city = city.as_str().unwrap();
    let told = format!("  customers:{number} city: the ERP loses `{city}` for `There`\n");
    let (heading, rest) = asked.stderr.split_once("would be overwritten, as the CRM wins: ").unwrap();
    let (values, rest) = rest.split_once('\n').unwrap();
    assert!(heading.is_empty() && rest.contains(&told), "{asked:#?}");
    let question = format!("error: whether to couple 1 pair and overwrite {values} has to be asked");
    assert!(rest.contains(&question) && rest.contains("`--yes` answers it"), "{asked:#?}");
    assert_eq!(world.store().couplings("customers", &[]).unwrap().len(), 1);
    // The same for a list.
    world.file("one.csv", &format!("erp,crm\n{number},{key}\n"));
    let listed = world.run("couple by_hand.yaml customers --from one.csv --sync to_erp").code(2);
    assert_eq!(listed.stderr, asked.stderr);
    let done = world.run(&format!("{line} --yes --format json")).code(0).json();
    assert_eq!((&done["coupled"][0]["origin"], &done["run"]["outcome"]), (&json!("by hand"), &json!("converged")));
    let customers = world.erp.with(|state| state.records("customers"));
    let customer = customers.iter().find(|customer| customer["number"] == **number).unwrap();
    assert_eq!(customer["city"], "There");
    let overwritten = done["run"]["tables"][0]["overwritten"].as_array().unwrap();
    let lost = json!({"table": "customers", "record": format!("customers:{number}"), "field": "city", "side": "erp",
        "old": city, "new": "There"});
    assert!(overwritten.contains(&lost), "{done:#}");
}

#[test]
fn the_match_rules_couple_after_a_yes() {
    let (world, pairs) = world();
    world.run("run by_hand.yaml --only salespeople --only currencies").code(0);
    let before = contents(&world);
    let (number, ..) = &pairs[0];
    let asked = world.run("couple by_hand.yaml customers --match").code(2);
    assert!(asked.stderr.contains(" to couple:\n") && asked.stderr.contains("`--yes` answers it"), "{asked:#?}");
    // What is overwritten is shown besides.
    let asked = world.run("couple by_hand.yaml customers --match --sync to_crm").code(2);
    let (pairs_told, values_told) = asked.stderr.split_once("would be overwritten, as the ERP wins: ").unwrap();
    assert!(pairs_told.contains(" to couple:\n") && values_told.contains(": the CRM loses `"), "{asked:#?}");
    assert!(values_told.contains(" and overwrite ") && values_told.contains("`--yes` answers it"), "{asked:#?}");
    assert_eq!(world.store().couplings("customers", &[]).unwrap().len(), 0);
    let one = world.run(&format!("couple by_hand.yaml customers:{number} --match --yes --format json")).code(0).json();
    let first = &one["coupled"].as_array().unwrap()[..];
    assert_eq!((first.len(), &first[0]["record"]), (1, &json!(format!("customers:{number}"))));
    // Where there is merely nothing to do, all is done.
    let nothing = world.run(&format!("couple by_hand.yaml customers:{number} --match --yes")).code(0);
    assert_eq!(nothing.stdout, "there was nothing to couple\n");
    // Of a table map that creates: who gets no partner by a rule is told, although a run would make one.
    let accounts = world.crm.with(|state| state.records("accounts"));
    let customers = world.erp.with(|state| state.records("customers"));
    let like = |customer: &&serde_json::Map<String, serde_json::Value>| {
        customer["blocked"] == "_x0020_"
            && !accounts.iter().any(|account| {
                account.get("accountnumber") == Some(&customer["number"])
                    || account["name"].as_str().map(str::to_lowercase)
                        == customer["displayName"].as_str().map(str::to_lowercase)
            })
    };
    let alone = customers.iter().find(like).unwrap()["number"].as_str().unwrap();
    let left = world.run(&format!("couple {FULL} customers:{alone} --match --yes")).code(1);
    let told = format!("there was nothing to couple\n  customers:{alone}: no rule finds a partner\n");
    assert_eq!(left.stdout, told);
    let all = world.run("couple by_hand.yaml customers --match --yes --format json");
    let all = all.json();
    assert!(all["coupled"].as_array().unwrap().len() > 3, "{all:#}");
    assert!(all["coupled"][0]["origin"].as_str().unwrap().starts_with("match rule "), "{all:#}");
    assert_same(&contents(&world), &before, "coupling writes neither side");
    let coupled = world.store().couplings("customers", &[]).unwrap().len();
    assert_eq!(coupled, all["coupled"].as_array().unwrap().len() + 1);
}

#[test]
fn a_list_is_coupled_as_a_whole_or_not_at_all() {
    let (world, pairs) = world();
    let line = |pair: &(String, Uuid, String, Uuid)| format!("{},{}\n", pair.0, pair.3);
    let bad = format!("erp,crm\n{}NOBODY,{}\n,1\n", line(&pairs[0]), pairs[1].2);
    world.file("bad.csv", &bad);
    let refused = world.run("couple by_hand.yaml customers --from bad.csv").code(2);
    // All of it at once, whatever finds it.
    let told = "error: 2 objections, and nothing was done:\n  line 3: the ERP has no record `customers:NOBODY`\n  line 4: \
                a pair needs both an `erp` and a `crm`\n";
    assert!(refused.stderr.contains(told), "{refused:#?}");
    world.file("bad.csv", &bad.replace(",1\n", ""));
    let refused = world.run("couple by_hand.yaml customers --from bad.csv").code(2);
    let told = "line 3: the ERP has no record `customers:NOBODY`; nothing was done";
    assert!(refused.stderr.contains(told), "{refused:#?}");
    assert_eq!(world.store().couplings("customers", &[]).unwrap().len(), 0);
    world.file("good.csv", &format!("crm,erp\n{},{}\n{},{}\n", pairs[0].3, pairs[0].0, pairs[1].2, pairs[1].1));
    world.run("couple by_hand.yaml customers --from good.csv").code(0);
    let couplings = world.store().couplings("customers", &[]).unwrap();
    assert_eq!((couplings.erp, couplings.crm), (vec![pairs[0].1, pairs[1].1], vec![pairs[0].3, pairs[1].3]));
}

#[test]
fn a_new_pair_is_compared_as_the_next_run_does_it() {
    // Nothing is coupled yet, and whom the salespeople belong to is found by the very run that decides about the pair.
    let world = World::start();
    let couple = world.run(&format!("couple {FULL} customers:10000 A-1005 --format json")).code(0).json();
    let plan = world.run(&format!("plan {FULL} --format json")).json();
    let of_pair = |action: &&serde_json::Value| action["record"] == "customers:10000" && action["action"] == "update";
    let updates: Vec<&serde_json::Value> = plan["actions"].as_array().unwrap().iter().filter(of_pair).collect();
    let planned: BTreeSet<&str> =
        updates.iter().flat_map(|action| action["fields"].as_object().unwrap().keys()).map(String::as_str).collect();
    let differs = couple["differs"].as_array().unwrap();
    let told: BTreeSet<&str> = differs.iter().map(|one| one["field"].as_str().unwrap()).collect();
    assert_eq!((told, couple["undecided"].as_array().unwrap().len()), (planned.clone(), 0), "{couple:#}");
    assert!(planned.len() > 10, "{plan:#}");
    assert_eq!(world.store().couplings("salespeople", &[]).unwrap().len(), 0, "it was a look only");
}

#[test]
fn a_new_pair_that_the_next_run_cannot_write_is_not_called_equal() {
    let (world, pairs) = world();
    world.run("run by_hand.yaml --only salespeople --only currencies").code(0);
    let (number, erp, key, crm) = &pairs[0];
    edit(&world, Side::Crm, *crm, json!({"telephone1": "5"}));
    let coupled = world.store().couplings("salespeople", &[]).unwrap().erp;
    let people = world.erp.with(|state| state.records("salespeoplePurchasers"));
    let is_alone = |person: &&serde_json::Map<String, serde_json::Value>| {
        !coupled.contains(&person["id"].as_str().unwrap().parse::<Uuid>().unwrap())
    };
    let code = people.iter().find(is_alone).expect("somebody is no user of the CRM")["code"].clone();
    edit(&world, Side::Erp, *erp, json!({"salespersonCode": code}));
    let answer = world.run(&format!("couple by_hand.yaml customers:{number} {key}")).code(0);
    let told = format!("  customers:{number} cannot go to the CRM: salespersonCode: ");
    assert!(answer.stdout.contains(&told), "{answer:#?}");
    assert!(!answer.stdout.contains("no mapped field differs"), "{answer:#?}");
}

#[test]
fn pairs_of_a_list_that_are_coupled_already_are_counted_and_no_mistake() {
    let (world, pairs) = world();
    let line = |erp: &str, crm: &str| format!("{erp},{crm}\n");
    let number = |place: usize| pairs[place].0.as_str();
    world.file("one.csv", &format!("erp,crm\n{}", line(number(0), number(0))));
    world.run("couple by_hand.yaml customers --from one.csv").code(0);
    let both = format!("erp,crm\n{}{}", line(number(0), number(0)), line(number(1), number(1)));
    world.file("both.csv", &both);
    let answer = world.run("couple by_hand.yaml customers --from both.csv").code(0);
    assert!(answer.stdout.starts_with("coupled 1 pair:\n"), "{answer:#?}");
    assert!(answer.stdout.contains("\n1 pair was coupled already\n"), "{answer:#?}");
    let again = world.run("couple by_hand.yaml customers --from both.csv --format json").code(0).json();
    assert_eq!((&again["coupled"], &again["already"]), (&json!([]), &json!(2)));
    // One that belongs to another record is refused, each on a line of its own.
    let wrong = format!("{both}{}{}", line(number(0), number(2)), line(number(1), number(2)));
    world.file("wrong.csv", &wrong);
    let refused = world.run("couple by_hand.yaml customers --from wrong.csv").code(2);
    let told: Vec<&str> = refused.stderr.lines().filter(|told| told.contains("line ")).collect();
    assert!(told.len() > 1, "{refused:#?}");
    assert!(told[0].contains(&format!("line 4: customers:{} is ", number(0))), "{refused:#?}");
    assert!(!refused.stderr.contains("there is nothing to do"), "{refused:#?}");
}

#[test]
fn pairs_of_a_list_that_are_coupled_already_are_synchronized_as_the_others_are() {
    let (world, pairs) = world();
    world.run("run by_hand.yaml --only salespeople --only currencies").code(0);
    let line = |pair: &(String, Uuid, String, Uuid)| format!("{},{}\n", pair.0, pair.2);
    world.file("one.csv", &format!("erp,crm\n{}", line(&pairs[0])));
    world.run("couple by_hand.yaml customers --from one.csv --sync to_crm --yes").code(0);
    for (_, _, _, crm) in &pairs[..2] {
        edit(&world, Side::Crm, *crm, json!({"address1_city": "There"}));
    }
    world.file("both.csv", &format!("erp,crm\n{}{}", line(&pairs[0]), line(&pairs[1])));
    let command = "couple by_hand.yaml customers --from both.csv --sync to_crm";
    let asked = world.run(command).code(2);
    for (number, ..) in &pairs[..2] {
        let lost = format!("  customers:{number} city: the CRM loses `There` for `");
        assert!(asked.stderr.contains(&lost), "{asked:#?}");
    }
    assert!(asked.stderr.contains("whether to couple 1 pair and overwrite "), "{asked:#?}");
    let done = world.run(&format!("{command} --yes --format json")).code(0).json();
    assert_eq!((done["coupled"].as_array().unwrap().len(), &done["already"]), (1, &json!(1)), "{done:#}");
    let accounts = world.crm.with(|state| state.records("accounts"));
    for (_, _, _, crm) in &pairs[..2] {
        let account = accounts.iter().find(|account| account["accountid"] == crm.to_string()).unwrap();
        assert_ne!(account["address1_city"], "There");
    }
    // Nothing is coupled any more, and what was edited since is asked for all the same.
    edit(&world, Side::Crm, pairs[1].3, json!({"address1_city": "Elsewhere"}));
    let asked = world.run(command).code(2);
    assert!(asked.stderr.contains("whether to overwrite 1 value has to be asked"), "{asked:#?}");
    let done = world.run(&format!("{command} --yes")).code(0);
    assert!(done.stdout.starts_with("2 pairs were coupled already\n\nfull: run "), "{done:#?}");
}

#[test]
fn what_is_lost_is_told_by_names_when_it_is_done_as_well() {
    let (world, pairs) = world();
    world.run("run by_hand.yaml --only salespeople --only currencies").code(0);
    let (number, _, key, crm) = &pairs[0];
    let couplings = world.store().couplings("salespeople", &[]).unwrap();
    let owner = |accounts: &[serde_json::Map<String, serde_json::Value>]| {
        let account = accounts.iter().find(|account| account["accountid"] == crm.to_string()).unwrap();
        account["_ownerid_value"].as_str().map(str::to_owned)
    };
    let present = owner(&world.crm.with(|state| state.records("accounts")));
    let other = couplings.crm.iter().find(|id| Some(id.to_string()) != present).unwrap();
    edit(&world, Side::Crm, *crm, json!({"_ownerid_value": other.to_string()}));
    let line = format!("couple by_hand.yaml customers:{number} {key} --sync to_crm");
    let (asked, done) = (world.run(&line).code(2).stderr, world.run(&format!("{line} --yes")).code(0).stdout);
    for told in [asked, done] {
        let lost = format!("  customers:{number} salespersonCode: the CRM loses salespeople:");
        assert!(told.contains(&lost), "{told}");
    }
}

#[test]
fn what_refers_to_records_that_are_not_coupled_is_not_passed_over_in_silence() {
    let world = World::start();
    let told = world.run(&format!("couple {FULL} contacts --match")).code(1);
    assert_eq!(told.stdout, "there was nothing to couple\n");
    assert!(told.stderr.contains("`contacts` refers to `customers`, which has no couplings yet"), "{told:#?}");
    let contact = a_contact(&world);
    let told = world.run(&format!("couple {FULL} {contact} --match --format json")).code(1).json();
    assert_eq!((&told["left"][0]["record"], &told["left"][0]["standing"]), (&contact.into(), &"failed".into()));
    assert!(!told["notes"].as_array().unwrap().is_empty(), "{told:#}");
    // One coupled customer does not hide that the others are not.
    world.run(&format!("couple {FULL} customers:10000 10000")).code(0);
    let told = world.run(&format!("couple {FULL} contacts --match")).code(2);
    assert!(told.stderr.contains(" pairs to couple:\n"), "{told:#?}");
    assert!(
        told.stderr.contains(" records fail in `contacts`: `pipeline plan FILE --only contacts` says why"),
        "{told:#?}"
    );
    // What is coupled is coupled, and the call is not whole.
    let told = world.run(&format!("couple {FULL} contacts --match --yes --format json")).code(1).json();
    let number = |key: &str| told[key].as_array().unwrap().len();
    assert_eq!((number("coupled") > 0, number("ambiguous"), number("left")), (true, 0, 0), "{told:#}");
}

/// Returns the name of a person in the ERP who has a customer.
fn a_contact(world: &World) -> String {
    let contacts = world.erp.with(|side| side.records("contacts"));
    let is_one = |record: &&serde_json::Map<String, serde_json::Value>| {
        record["type"] == "Person" && record["customerNumber"] != "" && record["companyNumber"] != ""
    };
    let found = contacts.iter().find(is_one).unwrap();
    format!("contacts:{}", found["number"].as_str().unwrap())
}

#[test]
fn words_that_do_not_belong_together_are_refused_each_for_its_own_reason() {
    let (world, pairs) = world();
    let (number, _, key, crm) = &pairs[0];
    for (words, told) in [
        (format!("customers:{number} {key} --match"), format!("error: `{key}` names no record\n")),
        (format!("customers:{number} contacts --match"), "error: the records are of several table maps\n".to_owned()),
        (format!("customers:{number} contacts:crm:Ida"), "error: the records are of several table maps\n".to_owned()),
        (
            format!("customers:{number} no:table:map"),
            "error: the CRM has no record `customers:crm:no:table:map`; nothing was done\n".to_owned(),
        ),
    ] {
        let refused = world.run(&format!("couple by_hand.yaml {words}")).code(2);
        assert!(refused.stderr.starts_with(&told), "{words}: {refused:#?}");
    }
    for (words, told) in [
        ("couple by_hand.yaml --from pairs.csv", "`--from` takes one table map, of which the list names the records"),
        ("couple by_hand.yaml --match", "`--match` takes a table map, or records of one"),
        ("couple by_hand.yaml --create", "`--create` takes the records that lack a partner"),
        ("couple by_hand.yaml", "no record is given, and two belong together"),
        ("uncouple by_hand.yaml --all", "no record is given that is to be parted from its partner"),
    ] {
        let refused = world.run(words).code(2);
        assert!(refused.stderr.starts_with(&format!("error: {told}\n  hint: `")), "{words}: {refused:#?}");
    }
    // Whoever is coupled with a record that is gone is told so, and not passed over.
    world.run(&format!("couple by_hand.yaml customers:{number} {key}")).code(0);
    world.crm.with(|state| state.delete("accounts", *crm)).unwrap();
    let left = world.run(&format!("couple by_hand.yaml customers:{number} --match --yes")).code(1);
    let told = format!(
        "there was nothing to couple\n  customers:{number}: its partner was deleted; `--create` makes a new one, \
         `uncouple` parts the two\n"
    );
    assert_eq!(left.stdout, told);
}
