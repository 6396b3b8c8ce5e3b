//! `couplings` as a person types it: who is coupled with whom, and the list that `couple --from` takes back.

use mocks::data::scaled::scaled;
use pipeline::store::Store;
use serde_json::json;

use super::refusals::Transcript;
use super::{FULL, World};

const TWO: &str = "--only salespeople --only currencies";

#[test]
fn an_exported_list_couples_the_same_pairs_again() {
    let world = World::start();
    world.run(&format!("run {FULL} {TWO}")).code(0);
    let before = world.store().couplings("currencies", &[]).unwrap();
    assert_eq!(before.len(), 30);
    let answer = world.run(&format!("couplings {FULL} export all.csv")).code(0);
    assert_eq!(answer.stdout, "44 pairs written to all.csv\n");
    let csv = std::fs::read_to_string(world.folder.path().join("all.csv")).unwrap();
    assert_eq!(world.run(&format!("couplings {FULL} export")).code(0).stdout, csv);
    assert!(csv.starts_with("\u{feff}table,erp,crm,erp_label,crm_label,origin,coupled,settled\r\n"), "{csv}");
    let ids = format!("currencies,{},{},", before.erp[0], before.crm[0]);
    let row = csv.lines().find(|line| line.starts_with(&ids)).unwrap();
    let labels = world.erp.with(|erp| erp.records("currencies"));
    let currency = labels.iter().find(|record| record["id"] == before.erp[0].to_string()).unwrap();
    let code = currency["code"].as_str().unwrap();
    assert!(row.starts_with(&format!("{ids}{code},{code},match rule 1,20")), "{row}");

    // Without asking anybody the ids are the same, and without labels.
    world.turnstile.reset();
    let offline = world.run(&format!("couplings {FULL} export --offline --table currencies")).code(0);
    assert_eq!(world.turnstile.seen(), (0, 0));
    assert!(offline.stdout.contains(&format!("{ids},,match rule 1,20")), "{offline:#?}");
    assert_eq!(offline.stdout.lines().count(), 31);

    // Whatever has the name already stays as it is.
    let refused = world.run(&format!("couplings {FULL} export all.csv --table currencies")).code(2);
    assert!(refused.stderr.contains("all.csv is there already, and stays as it is"), "{refused:#?}");
    assert_eq!(std::fs::read_to_string(world.folder.path().join("all.csv")).unwrap(), csv);

    // Its lines of other table maps are left out, and told.
    world.run(&format!("uncouple {FULL} currencies --all --yes")).code(0);
    assert_eq!(world.store().couplings("currencies", &[]).unwrap().len(), 0);
    let again = world.run(&format!("couple {FULL} currencies --from all.csv")).code(0);
    assert!(again.stderr.contains("all.csv: 14 lines of other table maps left out"), "{again:#?}");
    let after = world.store().couplings("currencies", &[]).unwrap();
    assert_eq!((after.erp, after.crm), (before.erp, before.crm));
}

/// A limit is like a full disk: nothing of the file is left, and the program says why.
#[test]
fn a_list_that_does_not_fit_leaves_no_half_of_it() {
    // More than the index that readers of a state make, which is 32 KiB, whatever a block is.
    const BLOCKS: u32 = 80;
    let world = World::of(scaled(300, 1));
    let failed = world.run_limited(BLOCKS, &format!("run {FULL}")).code(3);
    assert!(failed.stderr.contains("full.db: the file cannot be written to its end"), "{failed:#?}");
    assert!(failed.stderr.contains("hint: make room, and see what one file may have (`ulimit -f`)"), "{failed:#?}");
    world.run(&format!("run {FULL}")).code(0);
    let whole = world.run(&format!("couplings {FULL} export --offline")).code(0).stdout;
    assert!(whole.len() > BLOCKS as usize * 1_024, "{}", whole.len());
    let files =
        || std::fs::read_dir(world.folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect::<Vec<_>>();
    let before = files();
    let export = format!("couplings {FULL} export all.csv --offline");
    let failed = world.run_limited(BLOCKS, &export).code(2);
    assert!(failed.stderr.contains("all.csv cannot be written: File too large"), "{failed:#?}");
    assert_eq!(files().len(), before.len(), "{:?}", files());
    world.run(&export).code(0);
    assert_eq!(std::fs::read_to_string(world.folder.path().join("all.csv")).unwrap(), whole);
}

#[test]
fn the_list_is_for_people_and_for_programs() {
    let world = World::start();
    world.run(&format!("run {FULL} {TWO}")).code(0);
    let list = world.run(&format!("couplings {FULL} list --table salespeople")).code(0).stdout;
    assert!(list.contains("SP NO. 00002  rafael.almeida@cronus.example  created in the ERP  20"), "{list}");
    assert!(list.ends_with("\n\n14 pairs are coupled\n"), "{list}");
    let empty = world.run(&format!("couplings {FULL} list --table customers")).code(0);
    assert_eq!(empty.stdout, "nothing of customers is coupled\n");
    // What is listed needs no word for it.
    assert_eq!(world.run(&format!("couplings {FULL} --table salespeople")).code(0).stdout, list);
    let refused = world.run(&format!("couplings {FULL} --table salespeople list")).code(2);
    assert!(refused.stderr.contains("  hint: give them behind it\n"), "{refused:#?}");
    let document = world.run(&format!("couplings {FULL} --format json")).code(0).json();
    let first = &document["couplings"][0];
    let keys: Vec<&String> = first.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["table", "erp", "crm", "erp_label", "crm_label", "origin", "coupled", "settled"]);
    assert_eq!((&first["erp_label"], &first["origin"]), (&json!("AB"), &json!("match rule 1")));
    assert_eq!(world.run(&format!("couplings {FULL} export --format json")).code(0).json(), document);
    let written = world.run(&format!("couplings {FULL} export all.csv --format json")).code(0).json();
    assert_eq!(written, json!({"file": "all.csv", "couplings": 44}));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let world = World::start();
    world.run(&format!("run {FULL} {TWO}")).code(0);
    world.run(&format!("couplings {FULL} export people.csv --table salespeople")).code(0);
    let mut told = Transcript::new(&world);
    told.ask(&format!("couplings {FULL} list --table custmers"), &[], 2);
    told.ask(&format!("couplings {FULL} export nowhere/all.csv"), &[], 2);
    told.ask(&format!("couplings {FULL} export"), &[("CRM_CLIENT_SECRET", "wrong")], 3);
    told.ask(&format!("couple {FULL} currencies --from people.csv"), &[], 2);
    told.ask(&format!("couple {FULL} currencies --from nowhere.csv"), &[], 2);
    insta::assert_snapshot!(told.text);
}
