//! A state that belongs to other places, to another pipeline, or to people who may only read it.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;

use insta::assert_snapshot;
use pipeline::store::Store;
use serde_json::json;
use uuid::Uuid;

use super::oracle::contents;
use super::refusals::Transcript;
use super::{Answer, FULL, World};

const TWO: &str = "--only salespeople --only currencies";

impl World {
    /// Puts another company behind the same address, with the records as they are.
    fn other_company(&self, id: u128, name: &str) {
        let company = json!({"id": Uuid::from_u128(id).to_string(), "name": name, "displayName": name});
        self.erp.with(|erp| erp.load("companies", vec![company.as_object().unwrap().clone()]));
    }
}

#[test]
fn a_state_is_not_held_against_other_places() {
    let world = World::start();
    world.run(&format!("run {FULL} {TWO}")).code(0);
    let kept = || {
        let store = world.store();
        (store.binding().unwrap(), store.coupling_counts().unwrap(), store.runs(9).unwrap())
    };
    let state = kept();
    world.other_company(7, "Fabrikam, Inc.");
    world.crm.with(|crm| crm.set_organization(Uuid::from_u128(8)));
    let before = contents(&world);
    let fabrikam = [("ERP_COMPANY", "Fabrikam, Inc.")];
    world.turnstile.reset();
    let mut told = Transcript::new(&world);
    told.ask(&format!("run {FULL}"), &fabrikam, 3);
    told.ask(&format!("plan {FULL} --exit-code"), &fabrikam, 3);
    assert_eq!(world.turnstile.seen(), (16, 0), "a token of each side and who it is: two commands in two formats");
    let full = std::fs::read_to_string(FULL).unwrap();
    world.file("night.yaml", &full.replacen("name: full", "name: night", 1));
    world.turnstile.reset();
    for verb in ["run", "plan", "status", "inbox", "history"] {
        told.ask(&format!("{verb} night.yaml"), &fabrikam, 3);
    }
    assert_eq!(world.turnstile.seen(), (0, 0));
    world.run("check night.yaml").code(0).prints("the state FOLDER/full.db belongs to the pipeline `full`", &world);
    assert_eq!(kept(), state);
    assert!(contents(&world) == before, "nothing was written");
    assert_snapshot!("places", told.text);
}

#[test]
fn a_renamed_company_goes_on_under_its_new_name() {
    let world = World::start();
    world.run(&format!("run {FULL} {TWO}")).code(0);
    let id = world.erp.with(|erp| erp.company_id());
    world.other_company(id.as_u128(), "CRONUS AG");
    let renamed = |line: String| Answer::of(world.command(&line).env("ERP_COMPANY", "CRONUS AG").output().unwrap());
    renamed(format!("run {FULL} {TWO}")).code(0);
    let status = world.run(&format!("status {FULL} --format json")).code(0).json();
    assert_eq!(status["belongs_to"]["erp"], json!({"id": id.to_string(), "name": "CRONUS AG"}));
    assert_eq!(status["belongs_to"]["pipeline"], "full");
    world.run(&format!("status {FULL}")).code(0).prints("it belongs to the ERP company `CRONUS AG`", &world);
}

#[test]
fn a_mistyped_address_is_seen_in_what_the_login_says() {
    let world = World::start();
    let mut told = Transcript::new(&world);
    told.ask(&format!("plan {FULL}"), &[("CRM_URL", "https://cronuss.crm4.dynamics.com")], 3);
    assert_snapshot!("mistyped", told.text);
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that proves nothing says so")]
fn who_may_only_read_sees_the_status_and_leaves_nothing_behind() {
    let world = World::start();
    world.run(&format!("run {FULL} {TWO}")).code(0);
    let names = || world.state_files().into_keys().collect::<Vec<_>>();
    let before = names();
    let rights =
        |path: &Path, mode: u32| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    std::fs::copy(FULL, world.folder.path().join("full.yaml")).unwrap();
    for entry in std::fs::read_dir(world.folder.path()).unwrap() {
        rights(&entry.unwrap().path(), 0o444);
    }
    rights(world.folder.path(), 0o555);
    // Rights bind everybody but the superuser, who has to become somebody else first.
    let superuser = std::fs::write(world.folder.path().join("try"), "").is_ok();
    if superuser {
        std::fs::remove_file(world.folder.path().join("try")).unwrap();
    }
    let mut command = world.command("status full.yaml");
    if superuser {
        let nobody = 65_534;
        command.uid(nobody).gid(nobody);
    }
    let answer = match command.output() {
        Ok(output) => Answer::of(output),
        Err(error) if superuser => return eprintln!("skipped: the program cannot be started as another user: {error}"),
        Err(error) => panic!("{error}"),
    };
    let after = names();
    rights(world.folder.path(), 0o755);
    let answer = answer.code(0);
    assert!(answer.stdout.contains("salespeople"), "{answer:#?}");
    assert!(!answer.stdout.contains("no run so far"), "{answer:#?}");
    assert_eq!(after, before);
}
