//! Every verb that asks the sides, with a login that is taken away in the middle of it, at one request after the other: it says
//! so once, ends with 3, files nothing, and the same command goes on when the login is back.

use mocks::crm::privilege::Special;
use mocks::fault::{Fault, Faults};
use pipeline::config::Side;
use pipeline::store::Store;
use serde_json::json;

use super::couple::world;
use super::selected::{customer, edit};
use super::{FULL, World};

/// Runs a command with the login taken away from ever later requests of a side on, until it ends before that.
#[track_caller]
fn play(world: &World, side: Side, line: &str, last: &[i32]) -> usize {
    let set = |faults: Faults| match side {
        Side::Erp => world.erp.set_faults(faults),
        Side::Crm => world.crm.set_faults(faults),
    };
    let before = world.store().inbox(None).unwrap();
    for (lost, nth) in (1..).step_by(2).enumerate() {
        set(Faults::none().from(Fault::LockedOut, nth));
        let answer = world.run(line);
        set(Faults::none());
        if answer.code != Some(3) {
            assert!(answer.code.is_some_and(|code| last.contains(&code)), "{line} without trouble: {answer:#?}");
            return lost;
        }
        let said = format!("{}{}", answer.stdout, answer.stderr);
        let told = format!("{} refused the login", side.name());
        assert_eq!(said.matches(&told).count(), 1, "{line} at {nth}: {said}");
        assert_eq!(world.store().inbox(None).unwrap(), before, "{line} at {nth}: {said}");
    }
    unreachable!("a command takes so many requests");
}

/// Two customers are edited, one on each side, and one is new.
fn a_day(world: &World, day: &str) {
    for (place, side, property) in [(0, Side::Erp, "phoneNumber"), (1, Side::Crm, "telephone1")] {
        let (_, erp, crm) = customer(world, place);
        edit(world, side, if side == Side::Erp { erp } else { crm }, json!({ property: format!("+44 {day}") }));
    }
    let new = json!({"displayName": format!("Lost & Found {day}"), "city": "Ely"});
    world.erp.with(|erp| erp.insert("customers", new.as_object().unwrap())).unwrap();
}

#[test]
fn a_run_a_run_over_changes_and_a_plan_that_is_carried_out() {
    let world = World::start();
    world.run(&format!("run {FULL}")).code(0);
    for side in Side::BOTH {
        let day = side.key();
        a_day(&world, &format!("1 {day}"));
        assert!(play(&world, side, &format!("run {FULL} --only customers"), &[0]) > 2);
        a_day(&world, &format!("2 {day}"));
        assert!(play(&world, side, &format!("run {FULL} --only customers --changed"), &[0]) > 2);
        a_day(&world, &format!("3 {day}"));
        assert!(play(&world, side, &format!("plan {FULL} --only customers -o {day}.plan"), &[0]) > 1);
        assert!(play(&world, side, &format!("apply {day}.plan --yes"), &[0]) > 2);
    }
    quiet(&world);
}

/// Hundreds of records would be refused for it, and none of them is to blame.
#[test]
fn a_name_to_write_in_that_the_side_does_not_know_is_told_once_and_files_nothing() {
    let world = World::start();
    let full = std::fs::read_to_string(FULL).unwrap();
    let named = "adapter: dataverse\n    act_as: e39c5d16-675b-48d1-8e67-667427e9c084";
    world.file("named.yaml", &full.replacen("adapter: dataverse", named, 1));
    let ends = |line: &str| {
        let answer = world.run(line).code(3);
        let said = format!("{}{}", answer.stdout, answer.stderr);
        assert_eq!(said.matches("it may not write for the user of `act_as`").count(), 1, "{line}: {said}");
        assert!(said.contains("hint: check `act_as`, and that a role of the login has"), "{line}: {said}");
        assert_eq!(world.turnstile.seen().1, 0, "{line} wrote");
    };
    ends("run named.yaml");
    ends("plan named.yaml");
    ends("run named.yaml --only customers --changed");
    let is_known = |object: serde_json::Value| {
        world.crm.with(|crm| {
            let all = [Special::ActOnBehalfOfAnotherUser];
            (crm.specials, crm.people.specials) = (all.into(), all.into());
            let user = crm.records("systemusers").into_iter().find(|user| !user.contains_key("applicationid")).unwrap();
            let id = user["systemuserid"].as_str().unwrap().parse().unwrap();
            let edit = json!({"azureactivedirectoryobjectid": object, "isdisabled": false});
            crm.edit("systemusers", id, edit.as_object().unwrap()).unwrap();
        });
    };
    is_known(json!("e39c5d16-675b-48d1-8e67-667427e9c084"));
    world.run("plan named.yaml -o named.plan").code(0);
    is_known(serde_json::Value::Null);
    ends("apply named.plan --yes");
    assert_eq!(world.store().inbox(None).unwrap(), []);
    is_known(json!("e39c5d16-675b-48d1-8e67-667427e9c084"));
    world.run("apply named.plan --yes").code(0);
}

/// A run goes through without trouble, and the next one writes nothing.
fn quiet(world: &World) {
    world.run(&format!("run {FULL}")).code(0);
    world.turnstile.reset();
    world.run(&format!("run {FULL}")).code(0);
    assert_eq!(world.turnstile.seen().1, 0, "a run without edits writes nothing");
}

#[test]
fn a_partner_that_is_made_by_hand_and_answers_that_are_carried_out() {
    let (world, _) = world();
    world.run("run by_hand.yaml --only salespeople --only currencies --only customers").code(0);
    for (side, number) in [(Side::Erp, 1), (Side::Crm, 2)] {
        let new = json!({"displayName": format!("Lost & Found {number}"), "number": format!("LOST{number}")});
        world.erp.with(|erp| erp.insert("customers", new.as_object().unwrap())).unwrap();
        // Where it had been made already, it is coupled the next time.
        let line = format!("couple by_hand.yaml customers:LOST{number} --create");
        assert!(play(&world, side, &line, &[0, 2]) > 2);
        let made = world.crm.with(|crm| crm.records("accounts"));
        let is_it = |account: &&serde_json::Map<String, serde_json::Value>| {
            account.get("accountnumber").is_some_and(|own| *own == format!("LOST{number}"))
        };
        assert_eq!(made.iter().filter(is_it).count(), 1);
    }
    for (side, verb) in [(Side::Erp, "restore"), (Side::Crm, "restore"), (Side::Erp, "delete"), (Side::Crm, "delete")] {
        let (number, _, crm) = customer(&world, 0);
        world.crm.with(|state| state.delete("accounts", crm)).unwrap();
        world.run("run by_hand.yaml --only customers").code(1);
        let yes = if verb == "delete" { " --yes" } else { "" };
        world.run(&format!("inbox by_hand.yaml {verb} customers:{number}{yes}")).code(0);
        // A customer may have what keeps it from being deleted.
        let last: &[i32] = if verb == "restore" { &[0] } else { &[0, 1] };
        assert!(play(&world, side, "run by_hand.yaml --only customers", last) > 2, "{verb}");
    }
}
