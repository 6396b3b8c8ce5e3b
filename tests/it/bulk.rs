//! Many new records in one message to the CRM: what is written arrives once, and one bad record costs itself only.

use mocks::fault::{Fault, Faults};
use pipeline::adapters::dataverse::bulk::RECORDS_MIN;
use pipeline::config::{Connection, Features, Side};
use pipeline::endpoint::{Endpoint, Outcome, Report, Write};
use uuid::Uuid;

use crate::world::{World, delete, insert, names, open, read, refusal, text, update, world};

/// As many as make a message worth it.
const MANY: u128 = RECORDS_MIN as u128;

fn accounts(from: u128, count: u128) -> Vec<Write> {
    (from..from + count).map(|id| insert(id, &[("name", text(&format!("Account {id}")))])).collect()
}

/// Writes accounts; tells the outcomes, how many records came back, and the requests and batches that it took.
fn written(world: &World, crm: &dyn Endpoint, writes: &[Write]) -> (Vec<Outcome>, usize, u64, u64) {
    let info = crm.describe("accounts").unwrap();
    let before = world.crm.counts();
    let Report { outcomes, rows, .. } = crm.write(&info, &names(&["name"]), writes);
    let after = world.crm.counts();
    (outcomes, rows.rows(), after.requests - before.requests, after.batches - before.batches)
}

fn count(world: &World) -> usize {
    world.records(Side::Crm, "accounts").len()
}

#[test]
fn many_inserts_take_one_message_and_few_a_batch() {
    let world = world();
    let crm = world.endpoint(Side::Crm);
    let (before, many) = (count(&world), RECORDS_MIN);
    // The first also asks which tables have the message.
    assert_eq!(written(&world, &*crm, &accounts(0, MANY)), (vec![Outcome::Written; many], 0, 2, 0));
    assert_eq!(written(&world, &*crm, &accounts(1_000, MANY)), (vec![Outcome::Written; many], 0, 1, 0));
    assert_eq!(written(&world, &*crm, &accounts(2_000, MANY - 1)), (vec![Outcome::Written; many - 1], many - 1, 1, 1));
    assert_eq!(count(&world), before + 3 * many - 1);
    let off = Features { bulk: false, ..world.connection(Side::Crm).features };
    let off = open(Side::Crm, &Connection { features: off, ..world.connection(Side::Crm) });
    off.describe("accounts").unwrap();
    assert_eq!(written(&world, &*off, &accounts(3_000, MANY)), (vec![Outcome::Written; many], many, 1, 1));
    world.crm.with(|state| state.bulk_tables.clear());
    let crm = world.endpoint(Side::Crm);
    crm.describe("accounts").unwrap();
    assert_eq!(written(&world, &*crm, &accounts(4_000, MANY)), (vec![Outcome::Written; many], many, 2, 1));
}

/// What nobody has changed since is what the service made of it, though the answer to the message shows no record.
#[test]
fn who_changed_a_new_record_last_is_told() {
    let world = world();
    let crm = world.endpoint(Side::Crm);
    let info = crm.describe("accounts").unwrap();
    let writes = accounts(0, MANY);
    written(&world, &*crm, &writes);
    let ids: Vec<Uuid> = writes.iter().map(|write| write.id).collect();
    assert_eq!(crm.untouched(&info, &ids).unwrap().len(), RECORDS_MIN);
    world
        .crm
        .with(|state| state.edit("accounts", ids[3], serde_json::json!({"name": "X"}).as_object().unwrap()))
        .unwrap();
    let untouched = crm.untouched(&info, &ids).unwrap();
    assert_eq!((untouched.len(), untouched.contains(&ids[3])), (RECORDS_MIN - 1, false));
}

#[test]
fn one_request_asks_for_all_tables() {
    let world = world();
    let crm = world.endpoint(Side::Crm);
    crm.prepare(&["accounts", "contacts", "uoms"]).unwrap();
    world.crm.log().lock().unwrap().clear();
    for table in ["accounts", "contacts"] {
        let column = if table == "accounts" { "name" } else { "lastname" };
        let writes: Vec<Write> = (0..MANY).map(|id| insert(id, &[(column, text("X"))])).collect();
        let info = crm.describe(table).unwrap();
        assert!(crm.write(&info, &[], &writes).outcomes.iter().all(|outcome| *outcome == Outcome::Written));
    }
    let reads = world.crm.log().lock().unwrap().reads();
    let sets: Vec<&str> = reads.iter().map(|read| &*read.set).collect();
    assert_eq!((sets, world.crm.counts().requests), (vec!["sdkmessagefilters"], 3));
}

#[test]
fn what_is_no_insert_keeps_its_condition_and_its_place() {
    let world = world();
    let crm = world.endpoint(Side::Crm);
    let all = read(&*crm, "accounts", &["name"]);
    let (first, second) = (all.ids()[0], all.ids()[1]);
    let mut writes = vec![update(first, Some("W/\"1\"".into()), &[("name", text("Too late"))])];
    writes.extend(accounts(0, MANY));
    writes.push(delete(second, all.etag(1)));
    let (outcomes, rows, requests, batches) = written(&world, &*crm, &writes);
    assert_eq!(outcomes[0], Outcome::Stale);
    assert!(outcomes[1..].iter().all(|outcome| *outcome == Outcome::Written), "{outcomes:?}");
    assert_eq!((rows, requests, batches), (0, 4, 2));
    let log = world.crm.log().lock().unwrap().writes();
    let methods: Vec<&str> = log.iter().map(|write| write.method).collect();
    assert_eq!((methods[0], methods[1], methods[methods.len() - 1]), ("PATCH", "POST", "DELETE"));
}

#[test]
fn a_bad_record_is_found_and_costs_itself_only() {
    let world = world();
    let crm = world.endpoint(Side::Crm);
    let mut spoilt = accounts(0, MANY);
    spoilt[7].fields[0].1 = text(&"x".repeat(161));
    spoilt[8].fields.push(("nonsense".into(), text("x")));
    let before = count(&world);
    crm.describe("accounts").unwrap();
    for (round, (requests, batches)) in [(3, 1), (2, 1), (2, 1), (1, 1)].into_iter().enumerate() {
        for (number, write) in spoilt.iter_mut().enumerate() {
            write.id = Uuid::from_u128((round * 1_000 + number + 1) as u128);
        }
        let (outcomes, rows, sent, batched) = written(&world, &*crm, &spoilt);
        assert!(refusal(&outcomes[7]).contains("exceeded the maximum allowed length"), "{outcomes:?}");
        assert_eq!(refusal(&outcomes[8]), "there is no column `nonsense`");
        let good = outcomes.iter().filter(|outcome| **outcome == Outcome::Written).count();
        let well = RECORDS_MIN - 2;
        assert_eq!((good, rows, count(&world)), (well, well, before + well * (round + 1)), "round {round}");
        // After three of them nobody tries the message again.
        assert_eq!((sent, batched), (requests, batches), "round {round}");
    }
}

#[test]
fn a_lost_answer_is_settled_by_reading_and_doubles_nothing() {
    let world = world();
    let crm = world.endpoint(Side::Crm);
    crm.describe("accounts").unwrap();
    written(&world, &*crm, &accounts(9_000, MANY));
    for (number, (fault, known, there)) in [
        (Fault::Throttled, true, MANY),
        (Fault::ExpiredToken, true, MANY),
        (Fault::UnavailableBefore, false, 0),
        (Fault::UnavailableAfter, false, MANY),
        (Fault::DroppedBefore, false, 0),
        (Fault::DroppedAfter, false, MANY),
    ]
    .into_iter()
    .enumerate()
    {
        let before = count(&world);
        let writes = accounts(number as u128 * 1_000, MANY);
        world.set_faults(Side::Crm, Faults::once(fault, 1));
        let (outcomes, ..) = written(&world, &*crm, &writes);
        let all = |wanted: fn(&Outcome) -> bool| outcomes.iter().all(wanted);
        assert!(
            if known { all(|o| *o == Outcome::Written) } else { all(|o| matches!(o, Outcome::Unknown { .. })) },
            "{fault}"
        );
        assert_eq!(count(&world), before + there as usize, "{fault}");
        // Whoever sends them again all the same hears which ones were there.
        let (outcomes, ..) = written(&world, &*crm, &writes);
        let expected = if there > 0 { Outcome::Exists } else { Outcome::Written };
        assert_eq!(outcomes, vec![expected; RECORDS_MIN], "{fault}");
        assert_eq!(count(&world), before + RECORDS_MIN, "{fault}");
    }
}
