//! `couple --create` as a person types it: who is made, who is found instead, and who would be made a second time.

use mocks::crm::privilege::{Holding, Privilege};
use pipeline::config::Side;
use pipeline::store::Store;
use serde_json::json;
use uuid::Uuid;

use super::couple::world;
use super::oracle::{assert_same, contents};
use super::selected::{customer, edit};
use super::{FULL, World};

#[test]
fn a_partner_is_made_where_the_direction_allows_it() {
    let (world, _) = world();
    world.run("run by_hand.yaml --only salespeople --only currencies --only customers").code(0);
    let coupled = world.store().couplings("customers", &[]).unwrap();
    let customers = world.erp.with(|state| state.records("customers"));
    let alone = customers.iter().find(|customer| {
        let id: Uuid = customer["id"].as_str().unwrap().parse().unwrap();
        customer["blocked"]
            .as_str()
            .is_none_or(|blocked| blocked.trim_matches([' ', '_']).is_empty() || blocked == "_x0020_")
            && !coupled.erp.contains(&id)
    });
    let number = alone.unwrap()["number"].as_str().unwrap();
    let accounts = world.crm.with(|state| state.records("accounts").len());
    let done = world.run(&format!("couple by_hand.yaml customers:{number} --create")).code(0);
    assert!(done.stdout.contains("both sides agree: wrote 1 record to the CRM"), "{done:#?}");
    let told = format!("  customers:{number} with customers:crm:{number} (created in the CRM)\n");
    assert!(done.stdout.starts_with(&format!("coupled 1 pair:\n{told}")), "{done:#?}");
    assert_eq!(world.crm.with(|state| state.records("accounts").len()), accounts + 1);
    let again = world.run(&format!("couple by_hand.yaml customers:{number} --create")).code(2);
    assert!(again.stderr.contains("is coupled already, with customers:crm:"), "{again:#?}");
    let (number, ..) = customer(&world, 0);
    let person = world.run("couple by_hand.yaml salespeople:NOBODY --create").code(2);
    let told = "`salespeople` does not go to the CRM: tables.salespeople.direction is to_erp";
    assert!(person.stderr.contains(told), "{person:#?} {number}");
    // From the CRM's side: the ERP gives a number, and both labels are known when it is done.
    let accounts = world.crm.with(|state| state.records("accounts"));
    let coupled = world.store().couplings("customers", &[]).unwrap();
    let is_alone = |account: &&serde_json::Map<String, serde_json::Value>| {
        let id: Uuid = account["accountid"].as_str().unwrap().parse().unwrap();
        account["customertypecode"] == 3 && account["statecode"] == 0 && !coupled.crm.contains(&id)
    };
    let alone = accounts.iter().find(is_alone).expect("an account without customer");
    let (id, key) = (alone["accountid"].as_str().unwrap(), alone["accountnumber"].as_str().unwrap());
    // A look at who is matched calls it what people call it, too.
    let left = world.run(&format!("couple {FULL} customers:crm:{key} --match --yes")).code(1);
    assert!(left.stdout.ends_with(&format!("  customers:crm:{key}: no rule finds a partner\n")), "{left:#?}");
    let done = world.run(&format!("couple by_hand.yaml customers:crm:{id} --create --format json")).code(0).json();
    let couplings = world.store().couplings("customers", &[]).unwrap();
    let at = couplings.crm.iter().position(|crm| crm.to_string() == id).unwrap();
    let customers = world.erp.with(|state| state.records("customers"));
    let made = customers.iter().find(|customer| customer["id"] == couplings.erp[at].to_string()).unwrap();
    let number = made["number"].as_str().unwrap();
    let pair = json!([{"record": format!("customers:{number}"), "partner": format!("customers:crm:{number}"),
        "erp": couplings.erp[at].to_string(), "crm": id, "origin": "created in the ERP",
        "notes": ["created in the ERP"]}]);
    assert_eq!(done["coupled"], pair, "{done:#}");
    world.turnstile.reset();
    world.run("run by_hand.yaml --only salespeople --only currencies --only customers").code(0);
    assert_eq!(world.turnstile.seen().1, 0);
}

#[test]
fn a_partner_is_not_made_a_second_time_without_a_yes() {
    let world = World::start();
    world.run(&format!("run {FULL} --only salespeople --only currencies --only customers"));
    let accounts = || world.crm.with(|state| state.records("accounts").len());
    let number = accounts();
    // Kept apart, or outside the filter: either way the CRM has it.
    let (apart, ..) = customer(&world, 0);
    let (outside, _, crm) = customer(&world, 1);
    world.run(&format!("uncouple {FULL} customers:{apart} customers:{outside} --yes")).code(0);
    edit(&world, Side::Crm, crm, json!({"customertypecode": 1}));
    for (record, reason) in [
        (&apart, format!("customers:crm:{apart}, which is kept apart, looks the same")),
        (&outside, format!("customers:crm:{outside} is there already, outside the filter")),
    ] {
        let asked = world.run(&format!("couple {FULL} customers:{record} --create")).code(2);
        assert!(asked.stderr.contains(&format!("customers:{record}: {reason}\n")), "{asked:#?}");
        let question = "whether to make 1 record a second time has to be asked";
        assert!(asked.stderr.contains(question) && asked.stderr.contains("`--yes` answers it"), "{asked:#?}");
        assert_eq!(accounts(), number);
    }
    world.run(&format!("couple {FULL} customers:{apart} customers:{outside} --create --yes")).code(0);
    assert_eq!(accounts(), number + 2);
    world.turnstile.reset();
    world.run(&format!("run {FULL} --only salespeople --only currencies --only customers"));
    assert_eq!(world.turnstile.seen().1, 0);
}

#[test]
fn whom_a_rule_finds_is_named_and_not_overwritten_without_a_yes() {
    let (world, pairs) = world();
    world.run("run by_hand.yaml --only salespeople --only currencies").code(0);
    let (number, _, key, crm) = &pairs[0];
    edit(&world, Side::Crm, *crm, json!({"telephone1": "CRM ONLY"}));
    let before = contents(&world);
    let accounts = world.crm.with(|state| state.records("accounts").len());
    let line = format!("couple by_hand.yaml customers:{number} --create");
    let asked = world.run(&line).code(2);
    let pair = format!("  customers:{number} with customers:crm:{key} (");
    assert!(asked.stderr.contains(&format!("1 pair to couple:\n{pair}")), "{asked:#?}");
    let lost = format!("  customers:{number} phoneNumber: the CRM loses `CRM ONLY` for `");
    assert!(
        asked.stderr.contains("would be overwritten, as the ERP wins: ") && asked.stderr.contains(&lost),
        "{asked:#?}"
    );
    assert!(asked.stderr.contains("whether to couple 1 pair and overwrite "), "{asked:#?}");
    assert!(asked.stderr.contains("`--yes` answers it"), "{asked:#?}");
    assert_same(&contents(&world), &before, "nothing is written without a yes");
    assert_eq!(world.store().couplings("customers", &[]).unwrap().len(), 0);

    let done = world.run(&format!("{line} --yes")).code(0);
    assert!(done.stdout.starts_with(&format!("coupled 1 pair:\n{pair}")), "{done:#?}");
    assert_eq!(world.crm.with(|state| state.records("accounts").len()), accounts, "nobody is made twice");
    assert_eq!(world.store().couplings("customers", &[]).unwrap().crm, [*crm]);
    let (number, ..) = &pairs[1];
    let done =
        world.run(&format!("couple by_hand.yaml customers:{number} --create --yes --format json")).code(0).json();
    assert_eq!(done["coupled"][0]["record"], format!("customers:{number}"), "{done:#}");
    assert!(done["coupled"][0]["origin"].as_str().unwrap().starts_with("match rule "), "{done:#}");
}

#[test]
fn whom_a_rule_finds_in_place_of_a_partner_that_is_gone_is_asked_for_as_well() {
    let (world, pairs) = world();
    world.run("run by_hand.yaml --only salespeople --only currencies").code(0);
    let ((number, _, key, crm), (_, _, _, other)) = (&pairs[0], &pairs[1]);
    world.run(&format!("couple by_hand.yaml customers:{number} {key}")).code(0);
    world.crm.with(|state| state.delete("accounts", *crm)).unwrap();
    // Somebody gave the number to another account.
    edit(&world, Side::Crm, *other, json!({"accountnumber": number, "telephone1": "CRM ONLY"}));
    let line = format!("couple by_hand.yaml customers:{number} --create");
    let asked = world.run(&line).code(2);
    let lost = format!("  customers:{number} phoneNumber: the CRM loses `CRM ONLY` for `");
    assert!(asked.stderr.contains("whether to couple 1 pair and overwrite "), "{asked:#?}");
    assert!(asked.stderr.contains(&lost), "{asked:#?}");
    assert_eq!(world.store().couplings("customers", &[]).unwrap().crm, [*crm], "nothing was done");
    let done = world.run(&format!("{line} --yes")).code(0);
    let ended = format!("ended, because the other record is gone:\n  customers:{number} with {crm}\n");
    assert!(done.stdout.starts_with(&ended), "{done:#?}");
    assert_eq!(world.store().couplings("customers", &[]).unwrap().crm, [*other]);
}

#[test]
fn a_deleted_partner_is_made_anew_with_what_only_its_side_knew() {
    let (world, pairs) = world();
    world.run("run by_hand.yaml --only salespeople --only currencies").code(0);
    let (number, erp, key, _) = &pairs[0];
    world.run(&format!("couple by_hand.yaml customers:{number} {key} --sync to_crm --yes")).code(0);
    world.erp.with(|state| state.delete("customers", *erp)).unwrap();
    let before = world.erp.with(|state| state.records("customers").len());
    let done = world.run(&format!("couple by_hand.yaml customers:crm:{key} --create")).code(0);
    let pair = format!("  customers:{number} with customers:crm:{key} (created in the ERP)\n");
    let ended = format!("ended, because the other record is gone:\n  customers:crm:{key} with {erp}\n");
    assert!(done.stdout.starts_with(&format!("{ended}coupled 1 pair:\n{pair}")), "{done:#?}");
    assert_eq!(world.erp.with(|state| state.records("customers").len()), before + 1);
    let history = world.run("history by_hand.yaml last").code(0);
    assert!(history.stdout.contains("; asked for by hand"), "{history:#?}");
}

#[test]
fn a_deleted_partner_that_its_side_refuses_stays_what_it_was() {
    let (world, pairs) = world();
    world.run("run by_hand.yaml --only salespeople --only currencies").code(0);
    let (number, _, key, crm) = &pairs[0];
    world.run(&format!("couple by_hand.yaml customers:{number} {key} --sync to_crm --yes")).code(0);
    world.crm.with(|state| state.delete("accounts", *crm)).unwrap();
    let create = ("account".to_owned(), Privilege::Create);
    world.crm.with(|state| state.privileges.insert(create.clone(), Holding::None));
    let line = format!("couple by_hand.yaml customers:{number} --create");
    let refused = world.run(&line).code(1);
    assert!(!refused.stdout.contains("coupled 1 pair") && !refused.stdout.contains("ended, "), "{refused:#?}");
    let told = format!("customers:{number} was not let into the CRM: ");
    assert!(refused.stdout.contains(&told), "{refused:#?}");
    assert_eq!(world.store().couplings("customers", &[]).unwrap().crm, [*crm], "the pair waits");
    world.crm.with(|state| state.privileges.remove(&create));
    let done = world.run(&line).code(0);
    let ended = format!("ended, because the other record is gone:\n  customers:{number} with {crm}\n");
    assert!(done.stdout.starts_with(&ended), "{done:#?}");
    let couplings = world.store().couplings("customers", &[]).unwrap();
    assert!(couplings.len() == 1 && couplings.crm != [*crm]);
}
