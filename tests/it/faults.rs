//! What the CRM's own faults lead to, each by its status and code: who is told what, and what is there afterwards.

use mocks::crm::quota::Quota;
use mocks::fault::{Fault, Faults};
use pipeline::adapters::dataverse::bulk::RECORDS_MIN;
use pipeline::config::Side;
use pipeline::endpoint::{Endpoint, EndpointError, Outcome, Write};

use crate::world::{World, insert, query, read, text, world};

fn accounts(from: u128, count: u128) -> Vec<Write> {
    (from..from + count).map(|id| insert(id, &[("name", text(&format!("Account {id}")))])).collect()
}

fn count(world: &World) -> usize {
    world.records(Side::Crm, "accounts").len()
}

/// Writes under a fault that happens once.
fn under(world: &World, crm: &dyn Endpoint, fault: Fault, writes: &[Write]) -> Vec<Outcome> {
    let info = crm.describe("accounts").unwrap();
    world.set_faults(Side::Crm, Faults::once(fault, 1));
    let outcomes = crm.write(&info, &[], writes).outcomes;
    assert_eq!(world.faults(Side::Crm).applied().get(&fault), Some(&1));
    outcomes
}

/// Its body is empty, a page of HTML or an error, and nobody looks at it.
#[test]
fn an_expired_token_is_renewed_whatever_the_refusal_looks_like() {
    let world = world();
    let crm = world.endpoint(Side::Crm);
    let before = count(&world);
    for number in 0..6 {
        let outcomes = under(&world, &*crm, Fault::ExpiredToken, &accounts(number, 1));
        assert_eq!((outcomes, count(&world)), (vec![Outcome::Written], before + number as usize + 1));
        world.set_faults(Side::Crm, Faults::once(Fault::ExpiredToken, 1));
        assert_eq!(read(&*crm, "accounts", &["name"]).rows(), count(&world));
    }
}

#[test]
fn a_second_refusal_of_a_fresh_token_ends_it() {
    let world = world();
    let crm = world.endpoint(Side::Crm);
    let before = count(&world);
    let outcomes = under(&world, &*crm, Fault::LockedOut, &accounts(0, 2));
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::NotSent { .. })), "{outcomes:?}");
    assert_eq!(count(&world), before);
    assert!(matches!(crm.line().lost(), Some(EndpointError::Login { .. })));
    let crm = world.endpoint(Side::Crm);
    let info = crm.describe("accounts").unwrap();
    world.set_faults(Side::Crm, Faults::once(Fault::LockedOut, 1));
    let requests = world.crm.counts().requests;
    let error = crm.read(&query(&info, &["name"]), &|_| {}).unwrap_err();
    assert!(matches!(error, EndpointError::Login { .. }), "{error}");
    // The request, once more, and a token between them.
    assert_eq!(world.crm.counts().requests - requests, 3);
}

#[test]
fn whoever_is_no_user_is_told_so() {
    let world = world();
    let crm = world.endpoint(Side::Crm);
    world.set_faults(Side::Crm, Faults::once(Fault::NotAMember, 1));
    let error = crm.open().unwrap_err().to_string();
    assert_eq!(error, "CRM refused the login: The user is not a member of the organization (0x80072560)");
    let before = count(&world);
    let crm = world.endpoint(Side::Crm);
    let outcomes = under(&world, &*crm, Fault::NotAMember, &accounts(0, 2));
    // What the login may not do is held against no record.
    assert_eq!(outcomes, vec![Outcome::NotSent { message: error }; 2]);
    assert_eq!(count(&world), before);
    let disabled = serde_json::json!({"isdisabled": true});
    world.crm.with(|state| state.edit("systemusers", state.caller(), disabled.as_object().unwrap())).unwrap();
    // Whoever was refused is not asked again in the same run.
    let error = world.endpoint(Side::Crm).open().unwrap_err().to_string();
    assert!(
        error.starts_with("CRM refused the login: The specified user(Id = ") && error.ends_with("(0x80040225)"),
        "{error}"
    );
}

#[test]
fn what_is_too_large_goes_in_halves() {
    let world = world();
    let crm = world.endpoint(Side::Crm);
    let before = count(&world);
    for (round, fault) in [Fault::TooLarge, Fault::BatchRefused].into_iter().enumerate() {
        let outcomes = under(&world, &*crm, fault, &accounts(round as u128 * 100, 40));
        assert_eq!(outcomes, vec![Outcome::Written; 40], "{fault}");
        assert_eq!(count(&world), before + 40 * (round + 1), "{fault}");
    }
    // What was too large is not tried again at once; what was refused for another reason says nothing of that.
    assert_eq!(crm.batch_max(), 40);
}

#[test]
fn what_a_database_had_no_time_for_is_left_open_and_fewer_go_at_once() {
    let world = world();
    let crm = world.endpoint(Side::Crm);
    let before = count(&world);
    assert_eq!(crm.batch_max(), 1_000);
    let outcomes = under(&world, &*crm, Fault::SqlTimeout, &accounts(0, 40));
    assert_eq!(outcomes[..20], vec![Outcome::Written; 20]);
    let lost = |outcomes: &[Outcome]| outcomes.iter().all(|outcome| matches!(outcome, Outcome::Unknown { .. }));
    assert!(lost(&outcomes[20..]), "{outcomes:?}");
    assert_eq!((count(&world), crm.batch_max()), (before + 20, 20));
    let many = RECORDS_MIN as u128;
    let outcomes = under(&world, &*crm, Fault::SqlTimeout, &accounts(1_000, many));
    assert!(lost(&outcomes), "{outcomes:?}");
    assert_eq!((count(&world), crm.batch_max()), (before + 20, 20));
    // Where all goes well, it grows again.
    let info = crm.describe("accounts").unwrap();
    crm.write(&info, &[], &accounts(2_000, many));
    assert_eq!(crm.batch_max(), 40);
}

/// The service's servers each count by themselves, and a cookie would keep us at one of them.
#[test]
fn no_cookie_is_kept() {
    let world = world();
    let crm = world.endpoint(Side::Crm);
    crm.open().unwrap();
    read(&*crm, "accounts", &["name"]);
    under(&world, &*crm, Fault::ExpiredToken, &accounts(0, 2));
    assert_eq!(world.crm.with(|state| state.pinned()), 0);
    // So what several servers grant is there for us: three times as much as one refuses no request.
    let granted = 8;
    world.crm.with(|state| {
        state.set_servers(3);
        state.quota = Quota { requests_max: granted, ..Quota::default() };
    });
    let before = world.crm.counts().requests;
    while world.crm.counts().requests < before + 3 * granted as u64 {
        crm.open().unwrap();
    }
    let (served, throttled) = (world.crm.with(|state| state.served()), world.crm.counts().throttled);
    assert_eq!((served, throttled), (vec![granted as u64; 3], 0));
}
