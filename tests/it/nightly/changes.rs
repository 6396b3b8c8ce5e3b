//! `--changed` against both fakes: how many requests it takes, and that what people typed arrives.

use std::collections::BTreeSet;

use mocks::fault::{Fault, Faults};
use pipeline::config::{Create, OnDelete, PerSide, Side};
use pipeline::run::account::{Mode, RunOutcome, RunReport};
use pipeline::store::{InboxKind, Store};
use serde_json::json;
use uuid::Uuid;

use super::world::World;

const DAY: i64 = 86_400;
/// A few thousand records a side: as many customers and contacts.
const FIRMS: usize = 2_000;

fn modes(report: &RunReport) -> BTreeSet<&str> {
    report.tables.iter().filter(|table| table.mode == Mode::Changed).map(|table| table.table.as_str()).collect()
}

fn requests(asked: &[(String, usize)]) -> usize {
    asked.iter().map(|(_, requests)| requests).sum()
}

/// A company after a full night and a first run over changes, a day later.
fn settled(world: &mut World) {
    assert_eq!(world.run().outcome, RunOutcome::Converged, "{:#?}", world.inbox());
    world.later(DAY);
    assert_eq!(world.run_changed().outcome, RunOutcome::Converged);
    world.later(DAY);
}

#[test]
fn a_night_with_few_edits_takes_few_requests() {
    let mut world = World::scaled(FIRMS);
    settled(&mut world);
    let customers = world.records(Side::Erp, "customers");
    let accounts = world.records(Side::Crm, "accounts");
    let erp_id = |place: usize| customers[place]["id"].as_str().unwrap().parse::<Uuid>().unwrap();
    let crm_id = |place: usize| accounts[place]["accountid"].as_str().unwrap().parse::<Uuid>().unwrap();

    // 0.1 % of the customers on each side, and no record on both.
    let edited = FIRMS / 1_000;
    let partner = |world: &World, erp: Uuid| {
        let couplings = world.store().couplings("customers", &[]).unwrap();
        couplings.crm[couplings.erp.iter().position(|id| *id == erp).unwrap()]
    };
    let in_erp: Vec<Uuid> = (0..edited).map(|place| erp_id(100 + place)).collect();
    let taken: Vec<Uuid> = in_erp.iter().map(|erp| partner(&world, *erp)).collect();
    let candidates = (100..).map(crm_id).filter(|id| !taken.contains(id));
    let in_crm: Vec<Uuid> = candidates.take(edited).collect();
    for (number, id) in in_erp.iter().enumerate() {
        world.edit(Side::Erp, "customers", *id, json!({"city": format!("Town {number}")}));
    }
    for (number, id) in in_crm.iter().enumerate() {
        world.edit(Side::Crm, "accounts", *id, json!({"telephone1": format!("555 {number}")}));
    }
    world.forget();
    let report = world.run_changed();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    let asked = world.asked();
    let writes = world.writes();

    // Both edits arrive, and nothing else is written.
    for (number, id) in in_erp.iter().enumerate() {
        assert_eq!(world.get(Side::Crm, "accounts", partner(&world, *id), "address1_city"), format!("Town {number}"));
    }
    let written = |side: Side| writes.of(side).iter().map(|entry| entry.id.unwrap()).collect::<BTreeSet<Uuid>>();
    assert_eq!(written(Side::Crm), taken.into_iter().collect());
    assert_eq!((writes.erp.len(), writes.crm.len()), (edited, edited));
    for (number, id) in writes.erp.iter().map(|entry| entry.id.unwrap()).enumerate() {
        assert!(world.get(Side::Erp, "customers", id, "phoneNumber").starts_with("555 "), "{number}");
    }

    // The figure. Both sides: one request for what changed in each of the table maps, and one for the partners. The ERP
    // besides: one for the company, one for each kind of key that edited customers refer to by, and one to read back
    // what was written, as its answer does not hold it all. The CRM: one for the local currency, which has no coupling.
    assert_eq!((modes(&report).len(), report.tables.len()), (11, 11));
    let counts = PerSide { erp: requests(&asked.erp), crm: requests(&asked.crm) };
    assert_eq!(counts, PerSide { erp: 11 + 1 + 1 + 2 + 1, crm: 11 + 1 + 1 }, "{asked:#?}");
    world.later(DAY);
    world.changed = true;
    world.quiet();
}

#[test]
fn deletions_in_the_crm_are_told_by_its_change_tracking() {
    let mut world = World::small();
    settled(&mut world);
    let couplings = world.store().couplings("contacts", &[]).unwrap();
    let (erp, crm) = (couplings.erp[0], couplings.crm[0]);
    world.crm.with(|state| state.delete("contacts", crm)).unwrap();
    world.forget();
    let report = world.run_changed();
    assert!(modes(&report).contains("contacts"));
    let [item] = &report.inbox[..] else { panic!("{:#?}", report.inbox) };
    assert_eq!((item.kind, item.erp_id, item.crm_id), (InboxKind::Deleted, Some(erp), Some(crm)));
    assert_eq!(world.writes(), PerSide::default(), "a deletion travels nowhere by itself (I7)");
    // It waits, and is told again though the CRM does not mention it any more.
    world.later(DAY);
    assert_eq!(world.run_changed().inbox.len(), 1);
    assert_eq!(world.run().inbox.len(), 1, "a full run says the same");
}

/// What the CRM tells to be gone is asked for by itself there; what we delete in the ERP for it is looked for in one list.
#[test]
fn deletions_are_carried_out_in_few_requests() {
    let mut world = World::small();
    for table in &mut world.pipeline.tables {
        (table.on_delete, table.guard.delete) = (OnDelete::Delete, None);
    }
    settled(&mut world);
    let couplings = world.store().couplings("contacts", &[]).unwrap();
    let deleted = 12;
    for crm in &couplings.crm[..deleted] {
        world.crm.with(|state| state.delete("contacts", *crm)).unwrap();
    }
    world.forget();
    let report = world.run_changed();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:#?}", report.inbox);
    let table = report.tables.iter().find(|table| table.table == "contacts").unwrap();
    assert_eq!((table.to.erp.deleted, table.uncoupled), (deleted as u64, deleted as u64));
    let contacts = |asked: Vec<(String, usize)>| asked.into_iter().find(|(set, _)| set == "contacts").unwrap().1;
    let PerSide { erp, crm } = world.asked();
    assert!(contacts(erp) < deleted && contacts(crm) > deleted, "by itself only what others deleted");
    world.later(DAY);
    world.changed = true;
    world.quiet();
}

#[test]
fn a_token_that_is_too_old_means_a_full_read() {
    let mut world = World::small();
    settled(&mut world);
    let couplings = world.store().couplings("contacts", &[]).unwrap();
    world.crm.with(|state| state.delete("contacts", couplings.crm[0])).unwrap();
    world.set_faults(Side::Crm, Faults::once(Fault::ExpiredChanges, 1));
    let report = world.run_changed();
    let tracked = ["salespeople", "customers", "contacts", "items", "resources"];
    for table in &report.tables {
        let full = tracked.contains(&table.table.as_str());
        assert_eq!(table.mode == Mode::Full, full, "{}", table.table);
    }
    assert_eq!(report.inbox.len(), 1, "{:#?}", report.inbox);
    let told = "read in full: the CRM does not tell the changes since the last run any more (Version stamp associated \
                with the client has expired. Please perform a full sync (0x80044352))";
    assert!(report.tables.iter().any(|table| table.notes.iter().any(|note| note == told)), "{:#?}", report.tables);
    world.later(DAY);
    assert_eq!(modes(&world.run_changed()).len(), report.tables.len());
}

#[test]
fn without_change_tracking_it_goes_by_the_time() {
    let mut world = World::small();
    world.pipeline.connections.crm.features.change_tracking = false;
    assert_eq!(world.run().outcome, RunOutcome::Converged);
    world.later(DAY);
    let couplings = world.store().couplings("contacts", &[]).unwrap();
    world.edit(Side::Crm, "contacts", couplings.crm[0], json!({"jobtitle": "Head of Print"}));
    world.crm.with(|state| state.delete("contacts", couplings.crm[1])).unwrap();
    let report = world.run_changed();
    assert_eq!(modes(&report).len(), report.tables.len());
    assert_eq!(world.get(Side::Erp, "contacts", couplings.erp[0], "jobTitle"), "Head of Print");
    assert_eq!(report.outcome, RunOutcome::Converged, "nothing is concluded from absence (I7)");
    // Its survivor is edited: then the deletion is found.
    world.edit(Side::Erp, "contacts", couplings.erp[1], json!({"jobTitle": "Survivor"}));
    let report = world.run_changed();
    assert_eq!(report.inbox.len(), 1, "{:#?}", report.inbox);
    assert_eq!(report.inbox[0].kind, InboxKind::Deleted);
}

/// The CRM clears a reference to a record that is deleted there, whether it tells the deletion or not.
#[test]
fn a_reference_that_the_crm_cleared_along_with_a_deletion_is_no_edit() {
    for tracked in [true, false] {
        let mut world = World::small();
        world.rewrite(&[("filter: parentcustomerid IS NOT NULL AND statecode = 0", "filter: statecode = 0")]);
        world.pipeline.connections.crm.features.change_tracking = tracked;
        let contacts = world.pipeline.tables.iter_mut().find(|table| table.name == "contacts").unwrap();
        contacts.create = Create::None;
        settled(&mut world);
        let couplings = world.store().couplings("contacts", &[]).unwrap();
        let (erp, crm) = (couplings.erp[0], couplings.crm[0]);
        let company = world.get(Side::Erp, "contacts", erp, "customerNumber");
        let account: Uuid = world.get(Side::Crm, "contacts", crm, "_parentcustomerid_value").parse().unwrap();
        world.crm.with(|state| state.delete("accounts", account)).unwrap();
        assert_eq!(world.get(Side::Crm, "contacts", crm, "_parentcustomerid_value"), "", "the CRM clears it");
        world.forget();
        for _ in 0..2 {
            let report = world.run_changed();
            assert!(modes(&report).contains("contacts"));
            assert_eq!(world.get(Side::Erp, "contacts", erp, "customerNumber"), company, "tracked: {tracked}");
            assert_eq!(world.writes(), PerSide::default(), "tracked: {tracked}");
            let [item] = &report.inbox[..] else { panic!("tracked: {tracked}: {:#?}", report.inbox) };
            assert_eq!((item.kind, item.table.as_str(), item.crm_id), (InboxKind::Deleted, "customers", Some(account)));
            world.later(DAY);
        }
        assert_eq!(world.run().inbox.len(), 1, "a full run says the same");
    }
}
