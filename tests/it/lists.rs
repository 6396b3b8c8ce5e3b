//! Choices of several values: compared as sets, mapped member by member, refused where one member is no option. And
//! numbers that are out of a column's bounds.

use pipeline::config::Side;
use pipeline::endpoint::Outcome;
use pipeline::frame::{Kind, Value};
use pipeline::run::account::RunOutcome;
use serde_json::json;
use uuid::Uuid;

use crate::nightly::world::World;
use crate::world::{insert, names, read, refusal, text, update, world};

#[test]
fn a_choice_of_several_values_is_read_and_written_as_a_set() {
    let world = world();
    let crm = world.endpoint(Side::Crm);
    let info = crm.describe("accounts").unwrap();
    let column = info.column("nb_interests").expect("its type is virtual, and its other one is not");
    assert_eq!((column.column.kind, column.options.len()), (Kind::Choices, 4));
    assert_eq!(column.options[1], (727_000_001, "Lighting".to_owned()));
    let interests = |text: Value| ("nb_interests", text);
    let name = || ("name", text("List"));
    let writes = [
        insert(1, &[name(), interests(text("727000002,727000000"))]),
        insert(2, &[name(), interests(text("727000002, 727000000,727000002"))]),
        insert(3, &[name(), interests(Value::Null)]),
        insert(4, &[name(), interests(text("727000002,7"))]),
        insert(5, &[name(), interests(text("Solar"))]),
    ];
    let columns = names(&["name", "nb_interests"]);
    let outcomes = crm.write(&info, &columns, &writes).outcomes;
    assert_eq!(outcomes[..3], vec![Outcome::Written; 3]);
    insta::assert_snapshot!(outcomes[3..].iter().map(refusal).collect::<Vec<_>>().join("\n"), @r"
    `7` is no value of column `nb_interests`; it takes: 727000000 Cables, 727000001 Lighting, 727000002 Solar, 727000003 Service
    `Solar` is no list of choices for column `nb_interests`
    ");
    let sent = world.crm.with(|state| state.record("accounts", writes[1].id)).unwrap()["nb_interests"].clone();
    assert_eq!(sent, "727000000,727000002");
    // The service gives them back as a person chose them.
    let chosen = json!({"nb_interests": "727000003,727000001"});
    world.crm.with(|state| state.edit("accounts", writes[0].id, chosen.as_object().unwrap())).unwrap();
    let all = read(&*crm, "accounts", &["nb_interests"]);
    let held = |id: Uuid| all.value("nb_interests", all.ids().iter().position(|known| *known == id).unwrap());
    assert_eq!(
        [0, 1, 2].map(|at: usize| held(writes[at].id)),
        [text("727000001,727000003"), text("727000000,727000002"), Value::Null]
    );
    let cleared = crm.write(&info, &columns, &[update(writes[0].id, None, &[interests(Value::Null)])]);
    assert_eq!((&cleared.outcomes[0], cleared.rows.value("nb_interests", 0)), (&Outcome::Written, Value::Null));
}

#[test]
fn each_member_of_a_list_goes_through_the_value_map() {
    let mut world = World::small();
    world.rewrite(&[(
        "      - { crm: customertypecode, value: 3 }\n",
        "      - { crm: customertypecode, value: 3 }
      - { erp: taxRegistrationNumber, crm: nb_interests, values: { CABLES: 727000000, SOLAR: 727000002, ALL: \"727000000,727000001,727000002,727000003\" } }\n",
    )]);
    for firm in world.records(Side::Erp, "customers") {
        let id = firm["id"].as_str().unwrap().parse().unwrap();
        world.edit(Side::Erp, "customers", id, json!({"taxRegistrationNumber": ""}));
    }
    let customer = |name: &str, interests: &str| {
        let customer = json!({"displayName": name, "number": name, "taxRegistrationNumber": interests});
        world.erp.with(|state| state.insert("customers", customer.as_object().unwrap())).unwrap()
    };
    let both = customer("BOTH", "SOLAR,CABLES");
    customer("ALL", "ALL");
    customer("NONE", "");
    let wrong = customer("WRONG", "SOLAR,WIND");
    assert_eq!(world.run().outcome, RunOutcome::Incomplete);
    let inbox: Vec<String> = world.inbox().into_iter().map(|item| item.message).collect();
    insta::assert_snapshot!(inbox.join("\n"), @"customers:WRONG cannot go to the CRM: taxRegistrationNumber: `WIND` is not in `values`; known: `CABLES`, `SOLAR`, `ALL`");
    let held = |world: &World, number: &str| {
        let account = world.find(Side::Crm, "accounts", "accountnumber", number);
        world.get(Side::Crm, "accounts", account, "nb_interests")
    };
    assert_eq!(
        ["BOTH", "ALL", "NONE"].map(|number| held(&world, number)),
        ["727000000,727000002", "727000000,727000001,727000002,727000003", ""]
    );
    world.edit(Side::Erp, "customers", wrong, json!({"taxRegistrationNumber": ""}));
    assert_eq!(world.run().outcome, RunOutcome::Converged, "{:#?}", world.inbox());
    world.quiet();
    // Another order is no edit.
    world.later(3_600);
    let account = world.find(Side::Crm, "accounts", "accountnumber", "BOTH");
    world.edit(Side::Crm, "accounts", account, json!({"nb_interests": "727000002,727000000"}));
    world.quiet();
    // One member less is one, and goes back in the words of the ERP.
    world.later(3_600);
    world.edit(Side::Crm, "accounts", account, json!({"nb_interests": "727000002"}));
    assert_eq!(world.run().outcome, RunOutcome::Converged, "{:#?}", world.inbox());
    assert_eq!(world.get(Side::Erp, "customers", both, "taxRegistrationNumber"), "SOLAR");
    world.quiet();
    world.later(3_600);
    world.edit(Side::Crm, "accounts", account, json!({"nb_interests": "727000002,727000000"}));
    assert_eq!(world.run().outcome, RunOutcome::Converged, "{:#?}", world.inbox());
    assert_eq!(world.get(Side::Erp, "customers", both, "taxRegistrationNumber"), "CABLES,SOLAR");
    world.quiet();
}

/// A plan knows it before anything is sent.
#[test]
fn a_number_out_of_bounds_fails_its_record_before_it_is_sent() {
    let mut world = World::small();
    world.rewrite(&[(
        "      - { crm: customertypecode, value: 3 }\n",
        "      - { crm: customertypecode, value: 3 }\n      - { crm: numberofemployees, to_crm: \"0 - LENGTH(displayName) + 60\" }\n",
    )]);
    let name = "x".repeat(61);
    let customer = json!({"displayName": name, "number": "LONG"});
    let customer = world.erp.with(|state| state.insert("customers", customer.as_object().unwrap())).unwrap();
    let told = |world: &World, inbox: Vec<pipeline::store::InboxItem>| {
        assert_eq!(world.find(Side::Erp, "customers", "number", "LONG"), customer);
        inbox.into_iter().filter(|item| item.erp_id == Some(customer)).map(|item| item.message).collect::<Vec<_>>()
    };
    let expected = "customers:LONG cannot go to the CRM: numberofemployees: `-1` is not in the range of \
                    `numberofemployees`, 0 to 1000000000";
    let plan = world.plan();
    assert_eq!(told(&world, plan.inbox), [expected]);
    assert_eq!(world.run().outcome, RunOutcome::Incomplete);
    assert_eq!(told(&world, world.inbox()), [expected]);
    assert!(world.crm.with(|state| state.find("accounts", "accountnumber", "LONG")).is_none());
}
