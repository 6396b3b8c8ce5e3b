//! What is told, and what is done, beside a record that cannot be read.

use pipeline::cli::inbox::answer::Wish;
use pipeline::config::{OnDelete, PerSide, Side};
use pipeline::delta::inserts::new_id;
use pipeline::report;
use pipeline::run::account::RunOutcome;
use pipeline::store::{InboxKind, Store};
use pipeline::why::Why;
use uuid::Uuid;

use super::{partner_of, waits};
use crate::decisions::{answer, resolve};
use crate::deletions::{coupled, id, side, table};
use crate::rules::{CUSTOMERS, PEOPLE, World};
use crate::selected::only;

/// Explains a customer.
fn ask(world: &mut World, at: Side, id: u128) -> Why {
    let sides = PerSide { erp: &world.erp as _, crm: &world.crm as _ };
    crate::why::ask(&world.pipeline, sides, &mut world.store, ("customers", at, Uuid::from_u128(id)))
}

/// Who refers to a record of which the key cannot be read is no failure each: what needs no write is quiet, and what does waits, told
/// once for all.
#[test]
fn references_to_a_key_that_cannot_be_read_wait_and_are_told_once() {
    for spoilt in Side::BOTH {
        let keyed = CUSTOMERS.replace("erp: code }", "erp: code, crm: mail }");
        let mut world = World::with(&format!("{PEOPLE}{keyed}"));
        // The key of the one is its code, of the other its address, which has no partner in the ERP by its code.
        let key = if spoilt == Side::Erp { "AA" } else { "aa@a.example" };
        world.erp.put("people", 11, &[("code", "AA"), ("email", "aa@a.example"), ("name", "A")]);
        world.crm.put("users", 111, &[("mail", "aa@a.example"), ("name", "A")]);
        world.erp.put("people", 12, &[("code", "BB"), ("email", "bb@a.example"), ("name", "B")]);
        world.crm.put("users", 112, &[("mail", "bb@a.example"), ("name", "B")]);
        for (id, number) in (1..=9).map(|id| (id, format!("C{id}"))) {
            let person = if id < 7 { key } else { "BB" };
            world.erp.put("customers", id, &[("number", &*number), ("name", &number), ("person", person)]);
        }
        assert_eq!(world.run().outcome, RunOutcome::Converged);
        let (table, id, column) = if spoilt == Side::Erp { ("people", 11, "code") } else { ("users", 111, "mail") };
        side(&world, spoilt).spoil(table, id, column);
        let writes = world.crm.writes();
        let report = world.run();
        assert_eq!(
            report.inbox.iter().map(|item| &*item.table).collect::<Vec<_>>(),
            ["people"],
            "{:?}",
            waits(&report)
        );
        assert_eq!((report.tables[1].to.crm.unchanged, world.crm.writes()), (9, writes), "{:?}", report.tables[1].to);

        // A rename goes over, and what needs the key waits.
        world.erp.put("customers", 1, &[("name", "renamed")]);
        for id in [7, 8] {
            world.erp.put("customers", id, &[("person", key), ("city", "Oslo")]);
        }
        for (id, number) in [(21, "C21"), (22, "C22")] {
            world.erp.put("customers", id, &[("number", number), ("name", number), ("person", key)]);
        }
        let planned = world.run_as(true);
        let report = world.run();
        assert_eq!(waits(&planned), waits(&report));
        let told: Vec<String> = waits(&report).into_iter().map(|wait| wait.3).skip(1).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("customers:C21 and 3 more wait: person: "), "{told:?}");
        // It is the record that cannot be read which is named, and not its partner.
        let unread = uuid::Uuid::from_u128(if spoilt == Side::Erp { 11 } else { 111 });
        let named = match spoilt {
            Side::Erp => format!("people:{unread} (partner of people:aa@a.example), which cannot be read: column"),
            Side::Crm => "people:AA, which cannot be read: column".to_owned(),
        };
        assert!(told[0].contains(&named), "{told:?}");
        let counts = report.tables[1].to.crm;
        assert_eq!((counts.modified, counts.skipped, counts.failed, counts.unchanged), (3, 2, 0, 6), "{counts:?}");
        assert_eq!((world.crm.get("accounts", partner_of(&world, 7).unwrap(), "city")), "Oslo");
        assert_eq!(world.crm.column("accounts", "number").len(), 9);
        world.quiet();
        // Named, each tells for itself.
        let report = world.run_part(only(&["customers:C8"])).unwrap();
        let told: Vec<String> = waits(&report).into_iter().map(|wait| wait.3).collect();
        assert!(told.len() == 1 && told[0].starts_with("customers:C8 waits: person: "), "{told:?}");

        side(&world, spoilt).mend(table, id, column);
        let report = world.run_changed();
        assert_eq!(report.outcome, RunOutcome::Converged, "{:?}", waits(&report));
        assert_eq!(world.crm.column("accounts", "number").len(), 11);
        assert_eq!(
            world.crm.get("accounts", partner_of(&world, 7).unwrap(), "owner"),
            Uuid::from_u128(111).to_string()
        );
        world.quiet();
    }
}

/// Made and not to be read since, it is coupled: what refers to it goes on in the same run.
#[test]
fn what_refers_to_a_record_that_cannot_be_read_back_is_no_failure() {
    let mut world = coupled(OnDelete::Hold, 3);
    world.erp.put("customers", 40, &[("number", "C40"), ("name", "New")]);
    world.erp.put("customers", 2, &[("parent", "C40")]);
    world.crm.silent.store(true, std::sync::atomic::Ordering::Relaxed);
    let new = new_id(&world.pipeline.name, "customers", Side::Crm, Uuid::from_u128(40));
    world.crm.spoils.lock().unwrap().extend([(new, "city".to_owned())]);
    let report = world.run();
    assert_eq!(waits(&report).iter().map(|wait| wait.1).collect::<Vec<_>>(), [Some(40)], "{:?}", waits(&report));
    assert_eq!(world.crm.get("accounts", 102, "parent"), new.to_string());
}

/// Whoever is asked for by name is told which other record has a say in it.
#[test]
fn a_survivor_that_waits_for_a_record_that_cannot_be_read_names_it() {
    for policy in [OnDelete::Restore, OnDelete::Delete] {
        let mut world = coupled(policy, 12);
        world.crm.delete("accounts", 103);
        world.crm.put("accounts", 203, &[("number", "C3"), ("name", "name 3"), ("city", "Oslo"), ("kind", "3")]);
        world.crm.spoil("accounts", 203, "number");
        let full = world.run();
        let report = world.run_part(only(&["customers:C3"])).unwrap();
        assert_eq!(report.outcome, RunOutcome::Incomplete);
        let told = waits(&report);
        assert_eq!(told.len(), 1, "{told:?}");
        let which =
            format!("{} in accounts of the CRM cannot be read: column `number` holds `?`", Uuid::from_u128(203));
        assert!(told[0].3.ends_with(&format!("that has a say in it: {which}, which is no value")), "{told:?}");
        assert!(waits(&full).contains(&told[0]), "{:?}", waits(&full));
        // What is decided is not in the inbox.
        let wish = if policy == OnDelete::Restore { Wish::Restore } else { Wish::Delete };
        answer(&mut world, "customers:C3", &wish).unwrap();
        let report = world.run_part(only(&["customers:C3"])).unwrap();
        assert_eq!((report.outcome, waits(&report)), (RunOutcome::Incomplete, vec![]));
        let notes = report.tables[0].notes.iter().filter(|note| note.starts_with("customers:C3 was deleted"));
        assert!(notes.clone().count() == 1 && notes.clone().all(|note| note.contains(&which)), "{report:#?}");
    }
}

/// Named or explained, a record is decided about as in a run over everything.
#[test]
fn who_may_be_a_record_that_cannot_be_read_is_left_alone_by_each_way() {
    for spoilt in Side::BOTH {
        let other = spoilt.other();
        let mut world = coupled(OnDelete::Hold, 3);
        let kind = |at: Side| if at == Side::Crm { &[("kind", "3")][..] } else { &[] };
        side(&world, spoilt).put(table(spoilt), 601, &[&[("number", "N1"), ("name", "One")], kind(spoilt)].concat());
        side(&world, spoilt).spoil(table(spoilt), 601, "number");
        side(&world, other).put(table(other), 502, &[&[("number", "N2"), ("name", "Two")], kind(other)].concat());
        let before = (world.erp.writes(), world.crm.writes());
        assert_eq!(waits(&world.run()).len(), 1);
        let name = if other == Side::Erp { "customers:N2" } else { "customers:crm:N2" };
        let report = world.run_part(only(&[name])).unwrap();
        let chosen = &report.tables[0].selected[0];
        let reason = chosen.outlook.unpartnered.clone().unwrap();
        assert!(reason.contains("which cannot be read: column `number` holds `?`"), "{reason}");
        assert_eq!((world.erp.writes(), world.crm.writes()), before);
        let told = report::why::text(&ask(&mut world, other, 502));
        assert!(told.starts_with(&format!("{name}: not coupled: {reason}\n")), "{told}");
        assert!(told.contains("the next run:\n  writes nothing of it"), "{told}");
    }
}

/// A value that cannot be read is none that is blank.
#[test]
fn why_says_of_a_value_that_it_cannot_be_read() {
    let mut world = coupled(OnDelete::Hold, 3);
    world.crm.spoil("accounts", 103, "city");
    world.run();
    let why = ask(&mut world, Side::Erp, 3);
    let told = report::why::text(&why);
    let line = told.lines().find(|line| line.contains("city ↔ city")).unwrap();
    assert!(
        line.ends_with(
            "ERP \"Oslo\", CRM cannot be read (column `city` holds `?`, which is no value), before \"Oslo\""
        ),
        "{told}"
    );
    let json: serde_json::Value = serde_json::from_str(&report::why::json(&why)).unwrap();
    let fields = json["fields"].as_array().unwrap();
    let city = fields.iter().find(|field| field["field"] == "city").unwrap();
    assert_eq!(city["crm"]["value"], serde_json::Value::Null);
    assert_eq!(city["crm"]["unreadable"], "column `city` holds `?`, which is no value");
    assert_eq!(city["erp"].get("unreadable"), None);
}

/// What somebody has decided is no question while the pair cannot be read, and is carried out when it can.
#[test]
fn what_is_decided_of_a_pair_that_cannot_be_read_is_not_asked_again() {
    let mut world = coupled(OnDelete::Hold, 12);
    world.erp.put("customers", 3, &[("name", "by the ERP")]);
    world.crm.put("accounts", 103, &[("name", "by the CRM")]);
    assert_eq!(world.run().tables[1].contested, 1);
    resolve(&mut world, "customers:C3", "name", "crm");
    world.crm.spoil("accounts", 103, "city");
    for _ in 0..2 {
        let planned = world.run_as(true);
        let report = world.run();
        assert_eq!(waits(&planned), waits(&report));
        let kinds: Vec<InboxKind> = waits(&report).iter().map(|wait| wait.0).collect();
        assert_eq!((kinds, report.tables[1].contested), (vec![InboxKind::Failed], 0));
        // It can be decided otherwise, still.
        assert_eq!(world.store.inbox(None).unwrap().len(), 2);
    }
    world.crm.mend("accounts", 103, "city");
    let report = world.run();
    assert_eq!(report.outcome, RunOutcome::Converged, "{:?}", waits(&report));
    assert_eq!(world.erp.get("customers", 3, "name"), "by the CRM");
}

/// A number that cannot be read may be the next one.
#[test]
fn a_running_number_waits_for_one_that_cannot_be_read() {
    for outside in [false, true] {
        let people = PEOPLE.replace("label: code }", "label: code, filter: \"home = ''\" }");
        let mut world = World::with(&format!("{people}{CUSTOMERS}"));
        let home = if outside { "X" } else { "" };
        world.erp.put("people", 1, &[("code", "SP001"), ("email", "a@a.example"), ("name", "A"), ("home", home)]);
        world.erp.put("people", 2, &[("code", "SP002"), ("email", "b@a.example"), ("name", "B")]);
        world.crm.put("users", 101, &[("mail", "b@a.example"), ("name", "B")]);
        world.run();
        world.erp.spoil("people", 1, "code");
        for (id, mail) in [(111, "c@a.example"), (112, "d@a.example")] {
            world.crm.put("users", id, &[("mail", mail), ("name", mail)]);
        }
        let report = world.run();
        let told: Vec<String> = waits(&report).into_iter().map(|wait| wait.3).collect();
        let told = told.iter().filter(|told| told.contains("the next number behind `SP`")).collect::<Vec<_>>();
        assert_eq!(told.len(), 1, "{outside}: {:?}", waits(&report));
        assert!(told[0].starts_with("people:crm:c@a.example and 1 more wait: code: "), "{told:?}");
        // A row counts in the direction away from its side, whether the table map goes that way or not.
        let (to, outside) = (report.tables[0].to, u64::from(outside));
        assert_eq!((to.erp.unchanged, to.erp.skipped, to.erp.failed), (1, 2, 0), "{to:?}");
        assert_eq!(to.crm.failed, 1 - outside, "{to:?}");
        assert_eq!(world.erp.column("people", "code").len(), 2);
        // Where it can be read that it has another one, the others go on.
        world.erp.mend("people", 1, "code");
        world.erp.spoil("people", 1, "name");
        world.run();
        let mut codes = world.erp.column("people", "code");
        codes.sort();
        assert_eq!(codes, ["SP001", "SP002", "SP003", "SP004"], "{outside}");
    }
}

/// Two that are coupled by hand, of which one cannot be read, are told as just that.
#[test]
fn couple_says_of_a_pair_that_cannot_be_read_what_hinders_it() {
    let mut world = coupled(OnDelete::Hold, 3);
    world.pipeline.tables[1].create = pipeline::config::Create::None;
    world.erp.put("customers", 8, &[("number", "C8"), ("name", "Eight")]);
    world.crm.put("accounts", 108, &[("number", "A8"), ("name", "Acht"), ("kind", "3")]);
    world.crm.spoil("accounts", 108, "city");
    let account = format!("customers:crm:{}", Uuid::from_u128(108));
    let pairs = crate::by_hand::by_hand(&mut world, &[("customers:C8", &account)]).unwrap();
    let told = "customers:crm:A8 cannot be read: column `city` holds `?`, which is no value; nothing is written until \
                that is corrected";
    assert_eq!(pairs[0].notes, [told]);
    let report = world.run();
    assert_eq!(partner_of(&world, 8), Some(108));
    assert_eq!(
        waits(&report).iter().map(|wait| (wait.1, wait.2)).collect::<Vec<_>>(),
        [(Some(8), Some(id(Side::Crm, 8)))]
    );
    world.crm.mend("accounts", 108, "city");
    world.run();
    assert_eq!(world.crm.get("accounts", 108, "name"), "Eight");
}
