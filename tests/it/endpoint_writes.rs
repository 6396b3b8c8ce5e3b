//! Writing through both adapters, over HTTP to the fakes: what is written arrives once, and every fault of the wire ends
//! in the outcome that says no more than is known.

use mocks::crm::error::Telling;
use mocks::fault::{Fault, Faults};
use pipeline::config::Side;
use pipeline::endpoint::{Outcome, Report, Write};
use pipeline::frame::Value;
use serde_json::json;
use uuid::Uuid;

use crate::world::{RESOURCES, delete, insert, names, read, refusal, text, update, world};

#[test]
fn erp_writes_have_the_outcomes_that_they_deserve() {
    let world = world();
    let endpoint = world.endpoint(Side::Erp);
    let info = endpoint.describe("customers").unwrap();
    let all = read(&*endpoint, "customers", &["number"]);
    let (ids, etag) = (all.ids(), |row: usize| all.etag(row));
    world.erp.with(|state| state.edit("customers", ids[2], json!({"city": "Elsewhere"}).as_object().unwrap())).unwrap();
    let taken = all.value("number", 0);
    let writes = [
        insert(
            1,
            &[
                ("displayName", text("Dahl\n& \"Elektro\"")),
                ("creditLimit", text("1500.50")),
                ("blocked", text("")),
                ("country", text("gb")),
            ],
        ),
        update(ids[0], etag(0), &[("displayName", text("Ahlgren Group")), ("phoneNumber", Value::Null)]),
        update(ids[1], None, &[("city", text("Bath"))]),
        update(ids[2], etag(2), &[("city", text("York"))]),
        update(Uuid::from_u128(5), None, &[("city", text("York"))]),
        insert(2, &[("number", taken), ("displayName", text("Twin"))]),
        insert(3, &[("displayName", text("x")), ("salespersonCode", text("NOBODY"))]),
        update(ids[3], etag(3), &[("blocked", text("Sometimes"))]),
        update(ids[4], etag(4), &[("creditLimit", text("much"))]),
    ];
    let columns = names(&["displayName", "number", "creditLimit", "phoneNumber", "country", "city"]);
    let Report { outcomes, rows, .. } = endpoint.write(&info, &columns, &writes);
    assert_eq!(outcomes[..5], [Outcome::Written, Outcome::Written, Outcome::Written, Outcome::Stale, Outcome::Gone]);
    let messages: Vec<&str> = outcomes[5..].iter().map(refusal).collect();
    insta::assert_snapshot!(messages.join("\n"), @r#"
    The record in table Customer already exists. Identification fields and values: No.='10000' (Internal_EntityWithSameKeyExists)
    The field Salesperson Code of table Customer contains a value (NOBODY) that cannot be found in the related table (Salesperson/Purchaser) (Internal_InvalidTableRelation)
    `Sometimes` is no value of column `blocked`; it takes: blank, `Ship`, `Invoice`, `All`
    `much` is no decimal for column `creditLimit`
    "#);
    // The answers hold what the ERP made of it.
    let row = rows.ids().iter().position(|id| *id == writes[0].id).unwrap();
    assert_eq!(
        (rows.rows(), rows.value("displayName", row), rows.value("country", row)),
        (3, text("Dahl\n& \"Elektro\""), text("GB"))
    );
    assert_ne!(rows.value("number", row), text(""));
    let row = rows.ids().iter().position(|id| *id == ids[0]).unwrap();
    assert_eq!((rows.value("displayName", row), rows.value("phoneNumber", row)), (text("Ahlgren Group"), text("")));
    // The versions in the answers are the present ones.
    let again = update(ids[0], rows.etag(row), &[("city", text("Ely"))]);
    assert_eq!(endpoint.write(&info, &columns, &[again]).outcomes, [Outcome::Written]);
    // The same insert again is recognised by its id, and its record is in the answer.
    let Report { outcomes, rows, .. } = endpoint.write(&info, &columns, &writes[..1]);
    assert_eq!((outcomes, rows.ids()), (vec![Outcome::Exists], vec![writes[0].id]));
}

#[test]
fn a_custom_page_and_a_column_of_a_navigation_take_part_in_writes() {
    let world = world();
    let endpoint = world.endpoint(Side::Erp);
    let info = endpoint.describe(RESOURCES).unwrap();
    let report = endpoint.write(
        &info,
        &names(&["name", "unitPrice"]),
        &[insert(9, &[("name", text("Marta")), ("type", text("Person")), ("unitPrice", Value::Integer(80))])],
    );
    assert_eq!((report.outcomes, report.rows.value("name", 0)), (vec![Outcome::Written], text("Marta")));
    let info = endpoint.describe("customers").unwrap();
    let columns = names(&["city", "paymentTerm/code"]);
    let report = endpoint.write(&info, &columns, &[insert(10, &[("displayName", text("X")), ("city", text("Ely"))])]);
    // The answer to a write does not expand, which is read besides; all else and the version are the answer's.
    assert_eq!((report.outcomes, report.rows.rows()), (vec![Outcome::Written], 1));
    assert_eq!(report.rows.value("city", 0), text("Ely"));
    let of_somebody = read(&*endpoint, "customers", &["paymentTerm/code"]);
    let row = (0..of_somebody.rows()).find(|row| of_somebody.value("paymentTerm/code", *row) != text("")).unwrap();
    let change = update(of_somebody.id(row), of_somebody.etag(row), &[("city", text("Ely"))]);
    let report = endpoint.write(&info, &columns, &[change]);
    assert_eq!(report.rows.value("paymentTerm/code", 0), of_somebody.value("paymentTerm/code", row));
    let again = update(of_somebody.id(row), report.rows.etag(0), &[("city", text("Wells"))]);
    assert_eq!(endpoint.write(&info, &columns, &[again]).outcomes, [Outcome::Written]);
}

#[test]
fn crm_writes_have_the_outcomes_that_they_deserve() {
    let world = world();
    let endpoint = world.endpoint(Side::Crm);
    let info = endpoint.describe("contacts").unwrap();
    let all = read(&*endpoint, "contacts", &["lastname", "parentcustomerid"]);
    let accounts = read(&*endpoint, "accounts", &["name"]).ids();
    let (ids, etag) = (all.ids(), |row: usize| all.etag(row));
    world.crm.with(|state| state.edit("contacts", ids[2], json!({"jobtitle": "Buyer"}).as_object().unwrap())).unwrap();
    let account = |id: Uuid| Value::Link { table: "accounts".into(), id };
    let writes = [
        insert(
            1,
            &[
                ("lastname", text("Sørli \"Berg\"")),
                ("parentcustomerid", account(accounts[0])),
                ("ownerid", Value::Null),
            ],
        ),
        update(
            ids[0],
            etag(0),
            &[("lastname", text("Falk")), ("jobtitle", text("")), ("parentcustomerid", account(accounts[1]))],
        ),
        update(ids[1], None, &[("parentcustomerid", Value::Null)]),
        update(ids[2], etag(2), &[("lastname", text("Late"))]),
        update(Uuid::from_u128(5), None, &[("lastname", text("Nobody"))]),
        update(ids[3], etag(3), &[("parentcustomerid", account(Uuid::from_u128(6)))]),
        insert(2, &[("firstname", text(&"x".repeat(51))), ("lastname", text("Long"))]),
        update(ids[4], etag(4), &[("parentcustomerid", Value::Link { table: "products".into(), id: Uuid::nil() })]),
    ];
    let columns = names(&["lastname", "jobtitle", "parentcustomerid", "fullname"]);
    let Report { outcomes, rows, .. } = endpoint.write(&info, &columns, &writes);
    assert_eq!(outcomes[..5], [Outcome::Written, Outcome::Written, Outcome::Written, Outcome::Stale, Outcome::Gone]);
    let messages: Vec<&str> = outcomes[5..].iter().map(refusal).collect();
    insta::assert_snapshot!(messages.join("\n"), @r#"
    account With Id = 00000000-0000-0000-0000-000000000006 Does Not Exist (0x80040217)
    A validation error occurred.  The length of the 'firstname' attribute of the 'contact' entity exceeded the maximum allowed length of '50' (0x80044331)
    lookup `parentcustomerid` cannot point to `products`
    "#);
    let row = |id: Uuid| rows.ids().iter().position(|other| *other == id).unwrap();
    assert_eq!(rows.rows(), 3);
    assert_eq!(rows.value("parentcustomerid", row(writes[0].id)), Value::Guid(accounts[0]));
    assert_eq!(rows.value("parentcustomerid", row(ids[0])), Value::Guid(accounts[1]));
    assert_eq!(
        (rows.value("jobtitle", row(ids[0])), rows.value("parentcustomerid", row(ids[1]))),
        (Value::Null, Value::Null)
    );
    let again = update(ids[0], rows.etag(row(ids[0])), &[("jobtitle", text("Head"))]);
    assert_eq!(endpoint.write(&info, &columns, &[again]).outcomes, [Outcome::Written]);
    let Report { outcomes, rows, .. } = endpoint.write(&info, &columns, &writes[..1]);
    assert_eq!((outcomes, rows.ids()), (vec![Outcome::Exists], vec![writes[0].id]));
}

#[test]
fn deletions_have_the_outcomes_that_they_deserve() {
    let world = world();
    let endpoint = world.endpoint(Side::Erp);
    let info = endpoint.describe("customers").unwrap();
    let all = read(&*endpoint, "customers", &["number"]);
    let id = |row: usize| all.ids()[row];
    world.erp.with(|state| state.edit("customers", id(1), json!({"city": "Ely"}).as_object().unwrap())).unwrap();
    let writes = [
        delete(id(0), all.etag(0)),
        delete(id(1), all.etag(1)),
        delete(Uuid::from_u128(5), None),
        delete(id(2), None),
        insert(1, &[("displayName", text("Beside deletions"))]),
    ];
    let Report { outcomes, rows, .. } = endpoint.write(&info, &names(&["displayName"]), &writes);
    let expected = [Outcome::Written, Outcome::Stale, Outcome::Gone, Outcome::Written, Outcome::Written];
    assert_eq!(outcomes, expected);
    assert_eq!(rows.ids(), [writes[4].id]);
    let left = read(&*endpoint, "customers", &[]).ids();
    assert_eq!([0, 1, 2].map(|row| left.contains(&id(row))), [false, true, false]);
    assert_eq!(endpoint.write(&info, &[], &writes[..1]).outcomes, [Outcome::Gone]);
    // What is on stock has entries, and stays.
    let info = endpoint.describe("items").unwrap();
    let all = read(&*endpoint, "items", &["number"]);
    let row = (0..all.rows()).find(|row| {
        let item = world.erp.with(|state| state.record("items", all.id(*row))).unwrap();
        item["inventory"].as_f64() != Some(0.0)
    });
    let row = row.unwrap();
    let outcomes = endpoint.write(&info, &[], &[delete(all.id(row), all.etag(row))]).outcomes;
    let expected = "because there are one or more open ledger entries (Application_DialogException)";
    assert!(refusal(&outcomes[0]).ends_with(expected), "{outcomes:?}");

    let endpoint = world.endpoint(Side::Crm);
    let info = endpoint.describe("accounts").unwrap();
    let all = read(&*endpoint, "accounts", &["name"]);
    let id = |row: usize| all.ids()[row];
    world.crm.with(|state| state.edit("accounts", id(1), json!({"fax": "1"}).as_object().unwrap())).unwrap();
    let writes = [
        delete(id(0), all.etag(0)),
        delete(id(1), all.etag(1)),
        delete(Uuid::from_u128(5), None),
        delete(Uuid::from_u128(5), all.etag(0)),
        delete(id(2), None),
        insert(2, &[("name", text("Beside deletions"))]),
    ];
    let Report { outcomes, rows, .. } = endpoint.write(&info, &names(&["name"]), &writes);
    let expected = [Outcome::Written, Outcome::Stale, Outcome::Gone, Outcome::Gone, Outcome::Written, Outcome::Written];
    assert_eq!(outcomes, expected);
    assert_eq!(rows.ids(), [writes[5].id]);
    let left = read(&*endpoint, "accounts", &[]).ids();
    assert_eq!([0, 1, 2].map(|row| left.contains(&id(row))), [false, true, false]);
    // What others refer to stays, where the relationship says so.
    let info = endpoint.describe("transactioncurrencies").unwrap();
    let used = read(&*endpoint, "transactioncurrencies", &[]);
    let writes: Vec<Write> = used.ids().into_iter().map(|id| delete(id, None)).collect();
    let outcomes = endpoint.write(&info, &[], &writes).outcomes;
    let message = "The object you tried to delete is associated with another object and cannot be deleted (0x80040227)";
    assert!(outcomes.contains(&Outcome::Refused { message: message.into() }), "{outcomes:?}");
}

#[test]
fn a_lost_deletion_is_unknown_and_a_throttled_one_is_sent_again() {
    let world = world();
    for (side, table) in [(Side::Erp, "contacts"), (Side::Crm, "contacts")] {
        let endpoint = world.endpoint(side);
        let info = endpoint.describe(table).unwrap();
        let ids = read(&*endpoint, table, &[]).ids();
        for (number, (fault, written, left)) in [
            (Fault::Throttled, true, false),
            (Fault::UnavailableBefore, false, true),
            (Fault::UnavailableAfter, false, false),
            (Fault::DroppedBefore, false, true),
            (Fault::DroppedAfter, false, false),
            (Fault::TimedOut, false, false),
        ]
        .into_iter()
        .enumerate()
        {
            world.set_faults(side, Faults::once(fault, 1));
            let outcomes = endpoint.write(&info, &[], &[delete(ids[number], None)]).outcomes;
            assert_eq!(outcomes == [Outcome::Written], written, "{side:?} {fault}: {outcomes:?}");
            assert!(written || matches!(outcomes[0], Outcome::Unknown { .. }), "{side:?} {fault}: {outcomes:?}");
            assert_eq!(read(&*endpoint, table, &[]).ids().contains(&ids[number]), left, "{side:?} {fault}");
        }
    }
}

#[test]
fn a_write_is_repeated_only_where_nothing_was_done() {
    let world = world();
    for (side, table, column, set) in
        [(Side::Erp, "customers", "displayName", "customers"), (Side::Crm, "accounts", "name", "accounts")]
    {
        let endpoint = world.endpoint(side);
        let info = endpoint.describe(table).unwrap();
        let count = || world.records(side, set).len();
        for (number, fault) in [Fault::Throttled, Fault::ThrottledPlain, Fault::ExpiredToken].into_iter().enumerate() {
            let before = count();
            world.set_faults(side, Faults::once(fault, 1));
            let write = insert(0x100 + number as u128, &[(column, text("New"))]);
            let report = endpoint.write(&info, &names(&[column]), &[write]);
            assert_eq!((report.outcomes, count()), (vec![Outcome::Written], before + 1), "{side:?} {fault}");
            assert_eq!(world.faults(side).impatient(), 0);
        }
        let faults = [
            (Fault::UnavailableBefore, 0),
            (Fault::UnavailableAfter, 2),
            (Fault::DroppedBefore, 0),
            (Fault::DroppedAfter, 2),
            (Fault::HalfBatch, 1),
            (Fault::TimedOut, 2),
        ];
        for (number, (fault, done)) in faults.into_iter().enumerate() {
            let before = count();
            world.set_faults(side, Faults::once(fault, 1));
            let write = |more: u128| insert(0x200 + 2 * number as u128 + more, &[(column, text("Lost"))]);
            let report = endpoint.write(&info, &names(&[column]), &[write(0), write(1)]);
            let unknown = report.outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Unknown { .. })).count();
            assert_eq!((unknown, count()), (2, before + done), "{side:?} {fault}: {:?}", report.outcomes);
        }
    }
}

#[test]
fn a_person_who_was_faster_makes_a_write_stale() {
    let world = world();
    for (side, table, column) in [(Side::Erp, "customers", "city"), (Side::Crm, "accounts", "address1_city")] {
        let endpoint = world.endpoint(side);
        let info = endpoint.describe(table).unwrap();
        let frame = read(&*endpoint, table, &[]);
        world.set_faults(side, Faults::once(Fault::StaleEtag, 1));
        let write = update(frame.ids()[0], frame.etag(0), &[(column, text("Bath"))]);
        assert_eq!(endpoint.write(&info, &names(&[column]), &[write]).outcomes, [Outcome::Stale], "{side:?}");
    }
}

#[test]
fn a_key_that_is_taken_names_the_record_that_has_it() {
    let world = world();
    world.crm.with(|state| {
        state.add_key("account", "Account Number", &["accountnumber"]);
        state.add_key("account", "Name and City", &["name", "address1_city"]);
    });
    let crm = world.endpoint(Side::Crm);
    let info = crm.describe("accounts").unwrap();
    let all = read(&*crm, "accounts", &["accountnumber", "name"]);
    let row = (0..all.rows()).find(|row| all.value("accountnumber", *row) != Value::Null).unwrap();
    let (holder, number) = (all.ids()[row], all.value("accountnumber", row));
    let other = all.ids()[(row + 1) % all.rows()];
    let city = ("address1_city", text("Nowhere"));
    let writes = [
        insert(1, &[("name", text("Twin")), ("accountnumber", number.clone())]),
        update(other, None, &[("accountnumber", number.clone())]),
        insert(2, &[("name", text("Both")), city.clone()]),
        insert(3, &[("name", text("both ")), city.clone()]),
        // Not all of the key is in the write: the refusal is the service's alone.
        insert(4, &[("name", text("Both"))]),
        update(insert(4, &[]).id, None, &[city]),
        // A blank takes no part.
        insert(5, &[("name", text("No number")), ("accountnumber", Value::Null)]),
    ];
    let outcomes = crm.write(&info, &[], &writes).outcomes;
    let told = outcomes.iter().map(|outcome| match outcome {
        Outcome::Refused { message } => {
            let message = message.replace(&holder.to_string(), "HOLDER").replace(&writes[2].id.to_string(), "BOTH");
            message.replace(&number.to_string(), "NUMBER")
        }
        other => format!("{other:?}"),
    });
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"), @r"
    Entity Key Account Number violated. A record with the same value for Account Number already exists. A duplicate record cannot be created. Select one or more unique values and try again (0x80060892); HOLDER has `accountnumber` `NUMBER`
    Entity Key Account Number violated. A record with the same value for Account Number already exists. A duplicate record cannot be created. Select one or more unique values and try again (0x80060892); HOLDER has `accountnumber` `NUMBER`
    Written
    Entity Key Name and City violated. A record with the same value for Name, Address1 City already exists. A duplicate record cannot be created. Select one or more unique values and try again (0x80060892); BOTH has `name` `both ` and `address1_city` `Nowhere`
    Written
    Entity Key Name and City violated. A record with the same value for Name, Address1 City already exists. A duplicate record cannot be created. Select one or more unique values and try again (0x80060892)
    Written
    ");
}

/// Some tables take no version as a condition; what somebody edited is not written over there either.
#[test]
fn a_table_without_versions_is_looked_at_just_before() {
    let world = world();
    world.crm.with(|state| state.unversioned.insert("account".to_owned()));
    let crm = world.endpoint(Side::Crm);
    let info = crm.describe("accounts").unwrap();
    let versioned = [(Side::Erp, "customers"), (Side::Crm, "contacts")];
    let gives_versions = |(side, table): &(Side, &str)| {
        let endpoint = world.endpoint(*side);
        endpoint.gives_versions(&endpoint.describe(table).unwrap())
    };
    assert!(!crm.gives_versions(&info) && versioned.iter().all(gives_versions));
    let all = read(&*crm, "accounts", &["name"]);
    let (ids, etag) = (all.ids(), |row: usize| all.etag(row));
    world.crm.with(|state| {
        state.edit("accounts", ids[1], json!({"fax": "2"}).as_object().unwrap()).unwrap();
        state.delete("accounts", ids[2]).unwrap();
    });
    let fax = |number: &str| [("fax", text(number))];
    let writes = [
        update(ids[0], etag(0), &fax("1")),
        update(ids[1], etag(1), &fax("1")),
        update(ids[2], etag(2), &fax("1")),
        insert(1, &[("name", text("New"))]),
        update(ids[3], None, &fax("1")),
        delete(ids[1], etag(1)),
    ];
    let report = crm.write(&info, &names(&["fax"]), &writes);
    use Outcome::{Gone, Stale, Written};
    assert_eq!(report.outcomes, [Written, Stale, Gone, Written, Written, Stale]);
    assert_eq!(report.rows.rows(), 3);
    let held = |id: Uuid| world.crm.with(|state| state.record("accounts", id)).unwrap()["fax"].clone();
    assert_eq!([ids[0], ids[1], ids[3]].map(held), ["1", "2", "1"]);
    let stale = crm.write(&info, &[], &[delete(ids[1], etag(1))]);
    assert_eq!(stale.outcomes, [Outcome::Stale]);
}

/// Messages are in the language of the user, and codes are often missing: neither changes what an answer means.
#[test]
fn what_an_answer_means_goes_by_no_word_of_it() {
    let outcomes = |telling: Telling| {
        let world = world();
        let crm = world.endpoint(Side::Crm);
        let info = crm.describe("contacts").unwrap();
        let all = read(&*crm, "contacts", &["lastname"]);
        let (ids, etag) = (all.ids(), all.etag(0));
        world.crm.with(|state| state.telling = telling);
        let nobody = Value::Link { table: "accounts".into(), id: Uuid::from_u128(9) };
        let writes = [
            insert(1, &[("lastname", text("One"))]),
            insert(1, &[("lastname", text("Again"))]),
            update(ids[0], None, &[("jobtitle", text("Boss"))]),
            update(ids[0], etag, &[("jobtitle", text("Too late"))]),
            update(insert(2, &[]).id, None, &[("jobtitle", text("Nobody"))]),
            update(insert(2, &[]).id, None, &[("parentcustomerid", nobody.clone())]),
            update(ids[1], None, &[("parentcustomerid", nobody)]),
            update(ids[2], None, &[("jobtitle", text(&"x".repeat(101)))]),
            delete(insert(2, &[]).id, None),
        ];
        let outcomes = crm.write(&info, &names(&["jobtitle"]), &writes).outcomes;
        let word = |outcome: Outcome| match outcome {
            Outcome::Refused { message } => {
                assert!(!message.is_empty());
                "refused".to_owned()
            }
            other => format!("{other:?}").to_lowercase(),
        };
        outcomes.into_iter().map(word).collect::<Vec<_>>().join(" ")
    };
    let plainly = "written exists written stale gone gone refused refused gone";
    for telling in [Telling::Plainly, Telling::Strangely, Telling::WithoutCodes] {
        assert_eq!(outcomes(telling), plainly, "{telling:?}");
    }
}
