//! Writes past an organization's own logic, and in the name of one of its users: in each operation, wherever it is sent.

use mocks::crm::caller::Logic;
use mocks::crm::privilege::{Holding, Privilege, Special};
use pipeline::adapters::dataverse::bulk::RECORDS_MIN;
use pipeline::config::{Bypass, Connection, Features, Side};
use pipeline::endpoint::{Endpoint, EndpointError, Outcome, Reach, Right, Write};
use pipeline::frame::Value;
use serde_json::json;
use uuid::Uuid;

use crate::world::{World, delete, insert, names, open, read, refusal, text, update, world};

const OBJECT: Uuid = Uuid::from_u128(0xe39c_5d16_675b_48d1_8e67_6674_27e9_c084);
const ALL: Bypass = Bypass { sync: true, asynchronous: true, flows: true };

/// Opens the CRM with what is asked for besides.
fn opened(world: &World, bypass: Bypass, act_as: Option<Uuid>) -> Box<dyn Endpoint> {
    let connection = world.connection(Side::Crm);
    let features = Features { bypass, ..connection.features };
    open(Side::Crm, &Connection { features, act_as, ..connection })
}

/// Gives a user of the organization the object id; returns the user.
fn inga(world: &World) -> Uuid {
    let users = world.records(Side::Crm, "systemusers");
    let is_person = |user: &&serde_json::Map<String, serde_json::Value>| {
        user["isdisabled"] == false && !user.contains_key("applicationid")
    };
    let id: Uuid = users.iter().find(is_person).unwrap()["systemuserid"].as_str().unwrap().parse().unwrap();
    let object = json!({"azureactivedirectoryobjectid": OBJECT.to_string()});
    world.crm.with(|state| state.edit("systemusers", id, object.as_object().unwrap())).unwrap();
    id
}

fn allow(world: &World) {
    let all = [Special::ActOnBehalfOfAnotherUser, Special::BypassCustomBusinessLogic];
    world.crm.with(|state| (state.specials, state.people.specials) = (all.into(), all.into()));
}

#[test]
fn every_write_says_what_it_passes_by() {
    let world = world();
    allow(&world);
    let crm = opened(&world, ALL, None);
    let info = crm.describe("accounts").unwrap();
    let all = read(&*crm, "accounts", &["name"]);
    let writes = [
        insert(1, &[("name", text("New"))]),
        insert(2, &[("name", text("Inactive")), ("statecode", Value::Integer(1))]),
        update(all.ids()[0], None, &[("fax", text("1"))]),
        delete(insert(1, &[]).id, None),
    ];
    let report = crm.write(&info, &names(&["name"]), &writes);
    assert_eq!(report.outcomes, vec![Outcome::Written; 4]);
    let many: Vec<Write> = (100..100 + RECORDS_MIN as u128).map(|id| insert(id, &[("name", text("Many"))])).collect();
    assert_eq!(crm.write(&info, &[], &many).outcomes, vec![Outcome::Written; RECORDS_MIN]);
    // A record that is made and brought into its state is written twice.
    let count = 5 + RECORDS_MIN as u64;
    let counted = [(Logic::Sync, count), (Logic::Async, count), (Logic::Flows, count)];
    assert_eq!(world.crm.with(|state| state.bypasses.clone()), counted.into());
    let bypass = Bypass { asynchronous: true, ..Bypass::default() };
    opened(&world, bypass, None).write(&info, &[], &[update(all.ids()[0], None, &[("fax", text("2"))])]);
    let counted = [(Logic::Sync, count), (Logic::Async, count + 1), (Logic::Flows, count)];
    assert_eq!(world.crm.with(|state| state.bypasses.clone()), counted.into());
    // By itself nothing is bypassed.
    world.endpoint(Side::Crm).write(&info, &[], &[update(all.ids()[0], None, &[("fax", text("3"))])]);
    assert_eq!(world.crm.with(|state| state.bypasses.clone()), counted.into());
}

#[test]
fn a_login_that_may_not_is_found_before_it_writes() {
    let world = world();
    let crm = opened(&world, ALL, None);
    let found = |crm: &dyn Endpoint| -> Vec<(Vec<&str>, &str)> {
        crm.lacking().unwrap().into_iter().map(|demand| (demand.keys.to_vec(), demand.name)).collect()
    };
    assert_eq!(found(&*crm), [(vec!["features", "custom_logic"], "prvBypassCustomBusinessLogic")]);
    let info = crm.describe("accounts").unwrap();
    let report = crm.write(&info, &[], &[insert(1, &[("name", text("New"))])]);
    let Outcome::Barred { message } = &report.outcomes[0] else { panic!("{report:?}") };
    assert!(message.contains("prvBypassCustomBusinessLogic"), "{message}");
    let named = opened(&world, Bypass::default(), Some(OBJECT));
    let demands = named.lacking().unwrap();
    assert_eq!(found(&*named), [(vec!["act_as"], "prvActOnBehalfOfAnotherUser")]);
    assert!(demands[0].what.contains("not a member of the organization"), "{demands:?}");
    inga(&world);
    assert!(named.lacking().unwrap()[0].what.contains("prvActOnBehalfOfAnotherUser"));
    allow(&world);
    assert_eq!((found(&*opened(&world, ALL, None)), found(&*named)), (Vec::new(), Vec::new()));
    world.crm.with(|state| state.people.specials.clear());
    let both = opened(&world, ALL, Some(OBJECT));
    assert_eq!(found(&*both), [(vec!["features", "custom_logic"], "prvBypassCustomBusinessLogic")]);
    assert_eq!(found(&*opened(&world, Bypass { flows: true, ..Bypass::default() }, None)), []);
    assert_eq!(found(&*world.endpoint(Side::Erp)), []);
}

/// Whom the side does not know, or the login may not write for, is no fault of a record: nothing more is sent.
#[test]
fn a_name_that_nobody_may_write_in_ends_it_once() {
    for known in [false, true] {
        let world = world();
        let inga = inga(&world);
        allow(&world);
        let crm = opened(&world, Bypass::default(), Some(OBJECT));
        let info = crm.describe("accounts").unwrap();
        let id = read(&*crm, "accounts", &["name"]).ids()[0];
        assert_eq!(crm.write(&info, &[], &[update(id, None, &[("fax", text("1"))])]).outcomes, [Outcome::Written]);
        assert_eq!((crm.stands_in(), crm.line().lost()), (Ok(()), None));
        world.crm.with(|state| match known {
            true => state.specials.clear(),
            false => {
                let nobody = json!({"azureactivedirectoryobjectid": null});
                state.edit("systemusers", inga, nobody.as_object().unwrap()).unwrap();
            }
        });
        let report = crm.write(&info, &[], &[update(id, None, &[("fax", text("2"))]), insert(1, &[])]);
        assert!(report.outcomes.iter().all(|outcome| matches!(outcome, Outcome::NotSent { .. })), "{report:?}");
        let Some(EndpointError::Login { keys, message, .. }) = crm.line().lost() else {
            panic!("{:?}", crm.line().lost())
        };
        assert_eq!(keys, ["act_as"]);
        assert!(message.starts_with("it may not write for the user of `act_as`: "), "{message}");
        let again = opened(&world, Bypass::default(), Some(OBJECT));
        assert_eq!(again.stands_in(), Err(crm.line().lost().unwrap()));
        assert_eq!(opened(&world, Bypass::default(), None).stands_in(), Ok(()));
    }
}

#[test]
fn who_writes_for_somebody_is_told_with_them() {
    let world = world();
    let inga = inga(&world);
    allow(&world);
    let crm = opened(&world, Bypass::default(), Some(OBJECT));
    let info = crm.describe("accounts").unwrap();
    let all = read(&*crm, "accounts", &["name"]);
    let (ours, theirs) = (all.ids()[0], all.ids()[1]);
    crm.write(&info, &[], &[update(ours, None, &[("fax", text("1"))])]);
    world.crm.with(|state| state.edit("accounts", theirs, json!({"fax": "2"}).as_object().unwrap())).unwrap();
    let row = world.crm.with(|state| state.record("accounts", ours)).unwrap();
    assert_eq!(row["_modifiedby_value"], inga.to_string());
    let name =
        world.crm.with(|state| state.record("systemusers", inga)).unwrap()["fullname"].as_str().unwrap().to_owned();
    let people = crm.modifiers(&info, &[ours, theirs]).unwrap();
    let behalf = people[&ours].strip_suffix(&format!(" for {name}")).expect("both are named");
    assert!(behalf.contains("Integration") && people[&theirs] == name, "{people:?}");
    // Reading is the login's own: what the user may not see is not taken for deleted.
    world.crm.with(|state| state.people.withheld.insert(("account".to_owned(), Privilege::Read), Holding::None));
    assert_eq!(read(&*crm, "accounts", &["name"]).rows(), all.rows());
    world.crm.with(|state| {
        state.people.withheld.clear();
        state.people.withheld.insert(("account".to_owned(), Privilege::Create), Holding::None);
    });
    let crm = opened(&world, Bypass::default(), Some(OBJECT));
    let grants = crm.grants(&info).unwrap().unwrap();
    let reach = |right: Right| grants.iter().find(|grant| grant.right == right).unwrap().reach;
    assert_eq!((reach(Right::Create), reach(Right::Read)), (Reach::Nothing, Reach::Everything));
    let told = crm.write(&info, &[], &[insert(1, &[("name", text("New"))]), update(ours, None, &[("fax", text("3"))])]);
    assert!(
        matches!(&told.outcomes[0], Outcome::Barred { message } if message.contains("prvCreateAccount")),
        "{told:?}"
    );
    assert_eq!(told.outcomes[1], Outcome::Written);
    let refused = crm.write(&info, &[], &[update(ours, None, &[("customertypecode", text("99"))])]);
    assert!(refusal(&refused.outcomes[0]).contains("99"));
}

/// The service says the same of an owner who is no user any more as of a caller who is none.
#[test]
fn an_owner_who_is_no_user_any_more_costs_one_record_only() {
    let world = world();
    allow(&world);
    let caller = inga(&world);
    let gone = world.records(Side::Crm, "systemusers").into_iter().find_map(|user| {
        let id: Uuid = user["systemuserid"].as_str().unwrap().parse().unwrap();
        (user["isdisabled"] == false && !user.contains_key("applicationid") && id != caller).then_some(id)
    });
    let gone = gone.unwrap();
    let disabled = json!({"isdisabled": true});
    world.crm.with(|state| state.edit("systemusers", gone, disabled.as_object().unwrap())).unwrap();
    let owner = Value::Link { table: "systemusers".to_owned(), id: gone };
    let mut from = 1_000;
    for act_as in [None, Some(OBJECT)] {
        for count in [2, RECORDS_MIN as u128] {
            let crm = opened(&world, Bypass::default(), act_as);
            let info = crm.describe("accounts").unwrap();
            let mut writes: Vec<Write> = (from..from + count).map(|id| insert(id, &[("name", text("X"))])).collect();
            from += count;
            writes[1].fields.push(("ownerid".to_owned(), owner.clone()));
            let outcomes = crm.write(&info, &[], &writes).outcomes;
            let message = format!("{act_as:?}, {count}: {:?}", outcomes[1]);
            assert!(matches!(outcomes[1], Outcome::Barred { .. } | Outcome::Refused { .. }), "{message}");
            assert!(message.contains("0x80040225"), "{message}");
            let written = outcomes.iter().filter(|outcome| **outcome == Outcome::Written).count();
            assert_eq!((written as u128, crm.line().lost()), (count - 1, None), "{message}");
        }
    }
}
