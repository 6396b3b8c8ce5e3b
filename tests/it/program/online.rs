//! `check --online`: both sides are asked, everything that does not fit is told at once with its place, and nothing is
//! written.

use mocks::crm::privilege::{Holding, Privilege, Special};
use serde_json::json;

use super::oracle::{assert_same, contents};
use super::refusals::Transcript;
use super::{FULL, World};

/// Path and message of each complaint.
fn complaints(document: &serde_json::Value) -> Vec<(&str, &str)> {
    let complaints = document["complaints"].as_array().unwrap();
    complaints.iter().map(|one| (one["path"].as_str().unwrap(), one["message"].as_str().unwrap())).collect()
}

/// The same, without the warnings.
fn errors(document: &serde_json::Value) -> Vec<(&str, &str)> {
    let mut all = complaints(document);
    let mut errors = document["complaints"].as_array().unwrap().iter().map(|one| one["severity"] == "error");
    all.retain(|_| errors.next() == Some(true));
    all
}

#[test]
fn the_shipped_file_fits_both_sides() {
    let world = World::start();
    let before = contents(&world);
    let told = Transcript::new(&world).scrub(&world.run(&format!("check {FULL} --online")).code(0).stdout);
    insta::assert_snapshot!("online", told);
    let document = world.run(&format!("check {FULL} --online --format json")).code(0).json();
    assert_eq!(errors(&document), []);
    assert!(
        told.contains(&format!(": {} warnings; ", complaints(&document).len())),
        "what is told together is counted"
    );
    let online = &document["online"];
    assert_eq!(online["erp"]["name"], "CRONUS International Ltd.");
    assert_eq!(online["crm"]["limits"]["concurrency"], 8, "the CRM recommends fewer than the file allows");
    let customers = online["tables"].as_array().unwrap().iter().find(|table| table["table"] == "customers").unwrap();
    assert_eq!(customers["erp"]["filter"], "there");
    assert_eq!(customers["crm"]["needs"], json!(["read", "create", "update", "assign", "append", "append_to"]));
    let rights = |side: &str| (&customers[side]["rights"], &customers[side]["missing"], &customers[side]["partly"]);
    assert_eq!(rights("crm"), (&json!("told"), &json!([]), &json!([])));
    assert_eq!(rights("erp"), (&json!("untold"), &json!(null), &json!(null)), "no API of the ERP tells it");
    assert_same(&contents(&world), &before, "nothing was written");
    assert!(!world.state().exists(), "no state was made");
}

#[test]
fn everything_that_does_not_fit_is_told_at_once() {
    let world = World::start();
    let full = std::fs::read_to_string(FULL).unwrap();
    let wrong = full
        .replacen("erp: { table: currencies", "erp: { table: curencies", 1)
        .replacen("erp: displayName, crm: name", "erp: displayNam, crm: name", 1)
        .replacen("filter: \"blocked = ''\"", "filter: \"blocked = '' AND UPPER(city) <> 'OSLO'\"", 1);
    world.file("wrong.yaml", &wrong);
    let document = world.run("check wrong.yaml --online --format json").code(2).json();
    let found = complaints(&document);
    assert!(found.contains(&("tables.currencies.erp.table", "the ERP has no table `curencies`")), "{found:#?}");
    assert!(found.iter().any(|(_, message)| message.contains("`displayNam`")), "{found:#?}");
    let lines: Vec<u64> =
        document["complaints"].as_array().unwrap().iter().map(|one| one["line"].as_u64().unwrap()).collect();
    assert!(lines.iter().all(|line| *line > 1), "each has its line: {lines:?}");
    let partly = |table: &&serde_json::Value| table["erp"]["filter"] == "partly";
    let tables = document["online"]["tables"].as_array().unwrap();
    let filtered: Vec<&serde_json::Value> = tables.iter().filter(partly).map(|table| &table["erp"]).collect();
    assert_eq!(filtered.len(), 1);
    assert_eq!(filtered[0]["filtered_here"], serde_json::json!(["UPPER(city) <> 'OSLO'"]));
}

#[test]
fn one_side_in_trouble_does_not_hide_the_other() {
    let world = World::start();
    let ask = |name: &str, value: &str| {
        let mut command = world.command(&format!("check {FULL} --online --format json"));
        super::Answer::of(command.env(name, value).output().unwrap()).code(3).json()
    };
    let document = ask("CRM_CLIENT_SECRET", "wrong");
    let [(path, message)] = complaints(&document)[..] else { panic!("{document:#}") };
    assert_eq!(path, "connections.crm.auth.client_secret");
    assert!(message.contains("invalid_client"), "{message}");
    assert_eq!(document["online"]["erp"]["name"], "CRONUS International Ltd.");
    assert_eq!(document["online"]["crm"]["name"], serde_json::Value::Null);
    let document = ask("ERP_COMPANY", "Nobody Ltd.");
    assert_eq!(complaints(&document)[0].0, "connections.erp.company");
    assert!(document["online"]["crm"]["id"].is_string());
}

/// A file in which something is wrong on either side of one table map.
fn wrong_on_both_sides() -> String {
    let full = std::fs::read_to_string(FULL).unwrap();
    let wrong = full
        .replacen("{ erp: displayName, crm: name }", "{ erp: displayNam, crm: nam }", 1)
        .replacen("filter: \"blocked = ''\"", "filter: \"blocked = 0 OR balanceDue > 'x'\"", 1)
        .replacen("customertypecode = 3 AND", "customertypecode = 'Customer' AND modifiedon > 17 AND", 1);
    assert_ne!(wrong, full);
    wrong
}

#[test]
fn what_is_wrong_on_the_side_that_answers_is_told_whole() {
    let world = World::start();
    world.file("wrong.yaml", &wrong_on_both_sides());
    let ask = |name: &str, value: &str| {
        let mut command = world.command("check wrong.yaml --online --format json");
        super::Answer::of(command.env(name, value).output().unwrap()).code(3).json()
    };
    let of_erp = [
        "the ERP has no column `displayNam` on `customers`",
        "`blocked = 0` does not fit its columns: `blocked` is an enum",
        "`balanceDue > 'x'` does not fit: `x` is no number",
    ];
    let of_crm = [
        "the CRM has no column `nam` on `accounts`",
        "`customertypecode = 'Customer'` does not fit its columns: `customertypecode` is a choice",
        "`modifiedon > 17` does not fit: `17` is no date and time",
    ];
    for (name, value, place, told, silent) in [
        ("CRM_CLIENT_SECRET", "wrong", "connections.crm.auth.client_secret", of_erp, of_crm),
        ("CRM_URL", "http://127.0.0.1:1", "connections.crm.url", of_erp, of_crm),
        ("ERP_COMPANY", "Nobody Ltd.", "connections.erp.company", of_crm, of_erp),
        ("ERP_URL", "http://127.0.0.1:1", "connections.erp.url", of_crm, of_erp),
    ] {
        let document = ask(name, value);
        let found = errors(&document);
        assert!(found.iter().any(|(path, _)| *path == place), "{place}: {found:#?}");
        for message in told {
            assert!(found.iter().any(|(_, told)| *told == message), "{name}: `{message}` in {found:#?}");
        }
        for message in silent {
            assert!(!found.iter().any(|(_, told)| *told == message), "{name}: nobody said `{message}`");
        }
        let tables = document["online"]["tables"].as_array().unwrap();
        assert_eq!(tables.len(), 11, "{name}");
        let (asked, closed) = if place.contains("crm") { ("erp", "crm") } else { ("crm", "erp") };
        assert!(tables.iter().all(|table| table[asked].is_object() && table[closed].is_null()), "{tables:#?}");
    }
    let told = world.run("check wrong.yaml --online").code(2);
    for message in of_erp.iter().chain(&of_crm) {
        assert!(told.stdout.contains(message), "`{message}` in {told:#?}");
    }
}

#[test]
fn what_is_wrong_in_the_file_hides_nothing_that_a_side_says() {
    let world = World::start();
    let wrong = wrong_on_both_sides().replacen("  contacts:\n", "  contacts:\n    on_conflcit: hold\n", 1);
    let wrong = wrong.replacen("state: ${PIPELINE_STATE", "state: ${NOWHERE}${PIPELINE_STATE", 1);
    world.file("wrong.yaml", &wrong);
    let mut command = world.command("check wrong.yaml --online");
    let told = super::Answer::of(command.env("ERP_CLIENT_SECRET", "wrong").output().unwrap()).code(3);
    for message in [
        "tables.contacts.on_conflcit: unknown key `on_conflcit`",
        "state: the environment has no variable `NOWHERE`",
        "connections.erp.auth.client_secret: ERP refused the login",
        "the CRM has no column `nam` on `accounts`",
        "tables, columns and filters of the ERP were not looked at",
        "table maps that are wrong in the file itself were held against neither side: `contacts`",
        "wrong.yaml: 6 errors and 1 warning; nothing was touched",
    ] {
        assert!(told.stdout.contains(message), "`{message}` in {told:#?}");
    }
    // A side of which nobody knows where it is does not keep the other one from being asked.
    world.file("wrong.yaml", &wrong.replacen("url: ${CRM_URL}", "url: ${CRM_PLACE}", 1));
    let told = world.run("check wrong.yaml --online").code(2);
    assert!(told.stdout.contains("the ERP has no column `displayNam` on `customers`"), "{told:#?}");
    assert!(told.stdout.contains("ERP: company `CRONUS International Ltd.`"), "{told:#?}");
    assert!(told.stdout.contains("CRM: nothing is known of it, see below"), "{told:#?}");
}

/// Each at the line of the key that is wrong, with a hint that names it.
#[test]
fn what_keeps_from_logging_in_is_told_at_its_key() {
    let world = World::start();
    let nowhere = "http://127.0.0.1:1/token".to_owned();
    let elsewhere = format!("{}/elsewhere", world.erp.server.url());
    for (name, value, place, message, hint) in [
        ("ERP_TOKEN_URL", &nowhere, "auth.token_url", "the connection was refused", "check `token_url`; see"),
        ("ERP_TOKEN_URL", &elsewhere, "auth.token_url", "ERP refused the login: HTTP 40", "check `token_url`; see"),
        ("ERP_CLIENT_SECRET", &nowhere, "auth.client_secret", "invalid_client", "check `client_secret`, which"),
        ("ERP_CLIENT_ID", &nowhere, "auth.client_id", "unauthorized_client", "check `client_id` and the tenant in"),
        ("ERP_URL", &nowhere, "url", "the connection was refused", "check `url`; see"),
    ] {
        let mut command = world.command(&format!("check {FULL} --online --format json"));
        let document = super::Answer::of(command.env(name, value).output().unwrap()).code(3).json();
        let one = document["complaints"].as_array().unwrap().iter().find(|one| one["severity"] == "error").unwrap();
        assert_eq!(one["path"], format!("connections.erp.{place}"), "{name} {one:#}");
        assert!(one["message"].as_str().unwrap().contains(message), "{name} {one:#}");
        assert!(one["hint"].as_str().unwrap().starts_with(hint), "{name} {one:#}");
    }
}

#[test]
fn a_state_of_another_place_is_told_with_the_rest() {
    let world = World::start();
    world.run(&format!("run {FULL} --only salespeople")).code(0);
    let other = World::start();
    std::fs::copy(world.state(), other.state()).unwrap();
    other.crm.with(|crm| crm.set_organization(uuid::Uuid::from_u128(8)));
    let document = other.run(&format!("check {FULL} --online --format json")).code(3).json();
    assert_eq!(complaints(&document)[0].0, "state", "{document:#}");
}

/// What the user's roles do not give is told before a run finds out, and what is told to be allowed is.
#[test]
fn what_the_login_may_not_do_in_the_crm_is_told_by_its_privileges() {
    let world = World::start();
    let before = contents(&world);
    let withhold = |table: &str, privilege: Privilege, holding: Holding| {
        world.crm.with(|crm| crm.privileges.insert((table.to_owned(), privilege), holding));
    };
    withhold("account", Privilege::Create, Holding::None);
    withhold("account", Privilege::AppendTo, Holding::None);
    withhold("contact", Privilege::Append, Holding::None);
    // Nothing is deleted there, and a team gives as much as a role.
    withhold("contact", Privilege::Delete, Holding::None);
    withhold("contact", Privilege::Write, Holding::Team);
    let document = world.run(&format!("check {FULL} --online --format json")).code(3).json();
    let found = errors(&document);
    assert_eq!(
        found,
        [
            ("tables.customers.crm.table", "the login may not create and refer to records of `accounts`"),
            ("tables.contacts.crm.table", "the login may not set references in records of `contacts`"),
        ]
    );
    let hints: Vec<&str> =
        document["complaints"].as_array().unwrap().iter().map(|one| one["hint"].as_str().unwrap()).collect();
    assert_eq!(
        hints[0],
        "give a role of its user in the CRM `prvCreateAccount` and `prvAppendToAccount` for the whole organization"
    );
    let table = |name: &str| {
        let tables = document["online"]["tables"].as_array().unwrap();
        tables.iter().find(|table| table["table"] == name).unwrap()["crm"].clone()
    };
    assert_eq!(table("customers")["missing"], json!(["create", "append_to"]));
    assert_eq!(table("contacts")["missing"], json!(["append"]));
    let told = world.run(&format!("check {FULL} --online")).code(3);
    assert!(told.stdout.contains("all but create and append to"), "{told:#?}");
    assert_same(&contents(&world), &before, "nothing was written");

    // The run meets just that.
    let run = world.run(&format!("run {FULL} --only salespeople --only currencies --only customers")).code(1);
    assert!(run.stdout.contains("is missing prvCreateAccount privilege"), "{run:#?}");
    // A table that must not be read is told as that, not by what else is missing.
    withhold("account", Privilege::Read, Holding::None);
    let document = world.run(&format!("check {FULL} --online --format json")).code(3).json();
    let found = complaints(&document);
    assert!(found.iter().any(|(_, message)| message.contains("is missing prvReadAccount privilege")), "{found:#?}");
    let customers = document["online"]["tables"].as_array().unwrap().iter().find(|one| one["table"] == "customers");
    let customers = customers.unwrap();
    assert!(customers["crm"].is_null() && customers["erp"].is_object(), "nothing is proven of it: {customers:#}");
    let told = world.run(&format!("check {FULL} --online")).code(3).stdout;
    assert!(told.contains("\neach table that is known was asked for one record at most"), "{told}");
}

#[test]
fn what_the_connection_asks_for_besides_is_looked_at() {
    let world = World::start();
    let full = std::fs::read_to_string(FULL).unwrap();
    let besides = "adapter: dataverse\n    features: { custom_logic: bypass_async, flows: bypass }";
    world.file("bypass.yaml", &full.replacen("adapter: dataverse", besides, 1));
    let named = "adapter: dataverse\n    act_as: e39c5d16-675b-48d1-8e67-667427e9c084";
    world.file("named.yaml", &full.replacen("adapter: dataverse", named, 1));
    let found = |file: &str, code: i32| {
        let document = world.run(&format!("check {file} --online --format json")).code(code).json();
        let complaints = document["complaints"].as_array().unwrap().clone();
        let errors = complaints.into_iter().filter(|one| one["severity"] == "error");
        errors.map(|one| format!("{} {}\n{}", one["path"], one["message"], one["hint"])).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(found("bypass.yaml", 3), @r#"
    "connections.crm.features.custom_logic" "the login may not bypass the organization's own logic"
    "it takes `prvBypassCustomBusinessLogic` in a role of its user in the CRM; or leave the key out"
    "#);
    insta::assert_snapshot!(found("named.yaml", 3), @r#"
    "connections.crm.act_as" "the login may not write for the user of `act_as`: The user is not a member of the organization (0x80072560)"
    "it takes `prvActOnBehalfOfAnotherUser` in a role of its user in the CRM; or leave the key out"
    "#);
    world.crm.with(|crm| crm.specials = [Special::BypassCustomBusinessLogic].into());
    assert_eq!(found("bypass.yaml", 0), "");
}

/// Who may not know its privileges is let in all the same.
#[test]
fn a_login_that_may_not_know_its_rights_is_told_as_that() {
    let world = World::start();
    // To be asked for its privileges, a user has to be read.
    let users = ("systemuser".to_owned(), Privilege::Read);
    world.crm.with(|crm| crm.privileges.insert(users, Holding::None));
    let told = world.run(&format!("check {FULL} --online")).code(3);
    assert!(told.stdout.contains("read; the rest unknown"), "{told:#?}");
    let why = "what the login may do is not told to it: CRM refused the request: Principal user (";
    assert_eq!(told.stdout.matches(why).count(), 1, "{told:#?}");
    assert!(!told.stdout.contains("the login may not"), "what is not known is no finding: {told:#?}");
}

#[test]
fn what_may_not_fit_is_a_warning_that_only_those_get_who_ask() {
    let world = World::start();
    let full = std::fs::read_to_string(FULL).unwrap();
    let doubtful = full.replacen(
        "      - { erp: displayName, crm: name }\n",
        "      - { erp: displayName, crm: name }
      - { erp: creditLimit, crm: address1_line3 }
      - { erp: city, crm: numberofemployees, direction: to_crm }
      - { erp: balanceDue, crm: importsequencenumber, direction: to_crm, when: create }
      - { erp: lastModifiedDateTime, crm: overriddencreatedon, direction: to_crm }
      - { erp: state, crm: accountcategorycode, direction: to_crm }
      - { erp: addressLine1, crm: telephone3, direction: to_crm }
      - { erp: addressLine2, crm: telephone2, direction: to_crm, fit: truncate }\n",
        1,
    );
    assert_ne!(doubtful, full);
    world.file("doubtful.yaml", &doubtful);
    let document = world.run("check doubtful.yaml --online --format json").code(0).json();
    let found = complaints(&document);
    for message in [
        "`address1_line3` is a text and `creditLimit` a decimal: only what spells such a value fits",
        "`city` is a text and `numberofemployees` a whole number: only what spells such a value fits",
        "`balanceDue` is a decimal and `importsequencenumber` a whole number: only what is such a value fits",
        "`state` is a text and `accountcategorycode` a choice: only what is one of its options fits",
        "`addressLine1` holds up to 100 characters, `telephone3` takes 50",
        "`overriddencreatedon` is taken of new records and not changed afterwards",
    ] {
        assert!(found.iter().any(|(_, told)| *told == message), "{message}: {found:#?}");
    }
    assert!(!found.iter().any(|(_, told)| told.contains("telephone2")), "it is cut: {found:#?}");
    let offline = world.run("check doubtful.yaml --format json").code(0).json();
    assert_eq!(complaints(&offline), []);
}
