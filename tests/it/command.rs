//! The program as people start it: arguments, files, both fakes, exit codes and what is printed where.
//!
//! What a run decides is tested elsewhere; here it is proven that all parts are wired together and that every exit
//! code can be met.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use mocks::crm::{self, Crm};
use mocks::data;
use mocks::erp::{self, Erp};
use mocks::fault::{Fault, Faults};
use serde_json::{Value, json};
use tempfile::TempDir;

/// One table map of the default company, which needs no other.
const SALESPEOPLE: &str = r#"
version: 1
name: small
connections:
  erp:
    adapter: business-central
    url: ${ERP_URL}
    company: ${ERP_COMPANY:-CRONUS International Ltd.}
    auth: { type: oauth2, token_url: "${ERP_TOKEN_URL}", client_id: "${ERP_CLIENT_ID}",
            client_secret: "${ERP_CLIENT_SECRET}", scope: "https://api.businesscentral.dynamics.com/.default" }
  crm:
    adapter: dataverse
    url: ${CRM_URL}
    auth: { type: oauth2, token_url: "${CRM_TOKEN_URL}", client_id: "${CRM_CLIENT_ID}",
            client_secret: "${CRM_CLIENT_SECRET}", scope: "${CRM_URL}/.default" }
state: sqlite:kept/small.db
tables:
  salespeople:
    erp: { table: salespeoplePurchasers, label: code }
    crm:
      table: systemusers
      label: internalemailaddress
      filter: isdisabled = false AND applicationid IS NULL AND internalemailaddress IS NOT NULL
    direction: both
    create: to_erp
    match:
      - by: { email: internalemailaddress }
    on_create:
      - { side: erp, set: { code: "next_number('SP NO. ', 5)" } }
    first_sync: crm
    fields:
      - { erp: email, crm: internalemailaddress, direction: to_erp }
      - { erp: displayName, crm: fullname, direction: to_erp }
      - { erp: phoneNo, crm: mobilephone }
"#;

/// Both fakes with the default company, and a folder with the pipeline file.
struct Place {
    erp: Erp,
    crm: Crm,
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        let (mut erp, mut crm) = (erp::State::default(), crm::State::default());
        erp.set_local_currency(data::LOCAL_CURRENCY);
        crm.set_base_currency(data::LOCAL_CURRENCY).unwrap();
        data::fill(data::company::company(data::company::SEED), &mut erp, &mut crm).unwrap();
        let erp = Erp::start(erp, erp::Options::default()).unwrap();
        let crm = Crm::start(crm, crm::Options::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("small.yaml"), SALESPEOPLE).unwrap();
        Place { erp, crm, folder }
    }

    /// Returns the program with these words as arguments, in the folder, with the variables of the fakes.
    fn command(&self, line: &str) -> Command {
        let mut command = program(self.folder.path(), line);
        command.envs([
            ("ERP_URL", self.erp.url()),
            ("ERP_TOKEN_URL", self.erp.token_url()),
            ("ERP_CLIENT_ID", self.erp.client_id()),
            ("ERP_CLIENT_SECRET", self.erp.client_secret()),
            ("CRM_URL", self.crm.url()),
            ("CRM_TOKEN_URL", self.crm.token_url()),
            ("CRM_CLIENT_ID", self.crm.client_id()),
            ("CRM_CLIENT_SECRET", self.crm.client_secret()),
        ]);
        command
    }

    fn run(&self, line: &str) -> Answer {
        Answer::of(self.command(line).output().unwrap())
    }

    fn writes(&self) -> u64 {
        self.erp.counts().writes + self.crm.counts().writes
    }

    fn state(&self) -> std::path::PathBuf {
        self.folder.path().join("kept/small.db")
    }
}

fn program(folder: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline"));
    // The variables of whoever runs the tests must not decide what they show.
    command.current_dir(folder).env_clear().args(line.split_whitespace());
    command
}

/// What the program said and how it ended.
#[derive(Debug)]
struct Answer {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Answer {
    fn of(output: Output) -> Answer {
        Answer {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    fn code(self, code: i32) -> Answer {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    fn says(self, text: &str) -> Answer {
        assert!(self.stderr.contains(text), "no `{text}` in {self:#?}");
        self
    }

    #[track_caller]
    fn prints(self, text: &str) -> Answer {
        assert!(self.stdout.contains(text), "no `{text}` in {self:#?}");
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

fn alone(line: &str) -> Answer {
    let folder = tempfile::tempdir().unwrap();
    Answer::of(program(folder.path(), line).output().unwrap())
}

#[test]
fn help_and_version_are_results() {
    alone("--help").code(0).prints("Exit codes:");
    alone("run --help").code(0).prints("Example: pipeline run");
    alone("--version").code(0).prints("pipeline ");
}

#[test]
fn arguments_that_make_no_sense_end_with_2() {
    alone("").code(2).says("Usage");
    alone("rum full.yaml").code(2).says("run");
    alone("run full.yaml --nonsense").code(2).says("--nonsense");
    let answer = alone("run --format json --nonsense").code(2);
    assert_eq!(answer.json()["error"]["kind"], "arguments", "{answer:#?}");
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    alone("serve full.yaml").code(2).says("`serve` is not built yet");
    let answer = alone("serve full.yaml --format json").code(2);
    let error = json!({"kind": "not_built", "message": "`serve` is not built yet",
        "hint": "`pipeline --help` lists what is there"});
    assert_eq!(answer.json(), json!({ "error": error }));
}

#[test]
fn a_run_over_changes_says_so() {
    let place = Place::new();
    alone("run full.yaml --changed --full").code(2).says("--full");
    let mode = |answer: &Answer| answer.json()["tables"][0]["mode"].as_str().unwrap().to_owned();
    let first = place.run("run small.yaml --changed").code(0).prints("read in full: there is no watermark for it");
    assert!(!first.stdout.contains("changes only"), "{first:#?}");
    let answer = place.run("run small.yaml --changed --format json").code(0);
    assert_eq!(mode(&answer), "changed");
    place.run("run small.yaml --changed").code(0).prints(", changes only").prints("there was nothing to write");
    place.run("plan small.yaml --changed").code(0);
    assert_eq!(mode(&place.run("run small.yaml --full --format json").code(0)), "full");
    let answer = place.run("status small.yaml --format json").code(0);
    for side in ["erp", "crm"] {
        assert!(answer.json()["tables"][0]["read_to"][side].is_string(), "{answer:#?}");
    }
}

#[test]
fn a_file_that_cannot_be_used_ends_with_2() {
    alone("run nowhere.yaml").code(2).says("nowhere.yaml cannot be read");
    let place = Place::new();
    std::fs::write(place.folder.path().join("wrong.yaml"), SALESPEOPLE.replace("version: 1", "version: 7\nnmae: a"))
        .unwrap();
    place.run("run wrong.yaml").code(2).says("wrong.yaml:2:").says("wrong.yaml:3:").says("did you mean `name`?");
    place.run("check wrong.yaml").code(2).prints("wrong.yaml:2:").prints("2 errors");
    let answer = place.run("run wrong.yaml --format json").code(2);
    assert_eq!(answer.json()["error"]["kind"], "configuration");
    assert_eq!(answer.json()["complaints"].as_array().map(Vec::len), Some(2));
    place.run("run small.yaml --only salesperson").code(2).says("did you mean `salespeople`?");
    assert_eq!(place.writes(), 0);
    assert!(!place.state().exists());
}

#[test]
fn a_missing_variable_is_named_and_stops_a_run_only() {
    let place = Place::new();
    let without = |line: &str| Answer::of(place.command(line).env_remove("CRM_CLIENT_SECRET").output().unwrap());
    without("run small.yaml").code(2).says("`CRM_CLIENT_SECRET`");
    without("plan small.yaml").code(2).says("`CRM_CLIENT_SECRET`");
    without("check small.yaml").code(0).prints("`CRM_CLIENT_SECRET`").prints("1 warning");
    without("status small.yaml").code(0).prints("no run so far");
    assert!(!place.state().exists());
}

#[test]
fn a_column_that_the_side_does_not_have_ends_with_2() {
    let place = Place::new();
    let text = SALESPEOPLE.replace("crm: mobilephone", "crm: mobilfone");
    std::fs::write(place.folder.path().join("small.yaml"), text).unwrap();
    place
        .run("run small.yaml")
        .code(2)
        .says("small.yaml:34:")
        .says("tables.salespeople.fields[2].crm")
        .says("mobilfone");
    assert_eq!(place.writes(), 0);
}

#[test]
fn a_plan_writes_nothing_and_a_run_makes_both_sides_agree() {
    let place = Place::new();
    place.run("plan small.yaml").code(0).prints("salespeople\n").prints("plan: ");
    let plan = place.run("plan small.yaml --exit-code --format json").code(10).json();
    assert!(plan["actions"].as_array().is_some_and(|actions| !actions.is_empty()), "{plan:#}");
    place.run("run small.yaml --dry-run").code(0).prints("dry run, nothing was written: a run would write");
    assert_eq!(place.writes(), 0);
    assert!(!place.state().exists());

    let answer = place.run("run small.yaml --format json").code(0).says("salespeople: ");
    let report = answer.json();
    assert_eq!(report["outcome"], "converged", "{report:#}");
    let to_erp = &report["tables"][0]["to_erp"];
    assert!(to_erp["inserted"].as_u64() > Some(0) && to_erp["modified"].as_u64() > Some(0), "{report:#}");
    let written = place.writes();
    assert!(written > 0);

    place.run("run small.yaml").code(0).prints("both sides agree: there was nothing to write");
    assert_eq!(place.writes(), written);
    place.run("plan small.yaml --exit-code").code(0).prints("plan: nothing to do");
    let status = place.run("status small.yaml --format json").code(0).json();
    assert_eq!(status["tables"][0]["coupled"], report["tables"][0]["coupled"], "{status:#}");
    assert_eq!(status["runs"][1]["run"], report["run"], "{status:#}");
    assert_eq!((&status["in_use_by"], &status["runs"][0]["outcome"]), (&Value::Null, &json!("converged")));
}

#[test]
fn a_contested_field_ends_with_1_and_shows_all_three_values() {
    let place = Place::new();
    place.run("run small.yaml").code(0);
    let phone = |property: &str, value: &str| json!({ property: value }).as_object().unwrap().clone();
    let (code, address) = place.erp.with(|erp| {
        let known = |row: &&serde_json::Map<String, Value>| row["email"] != "" && row["phoneNo"] != "";
        let rows = erp.records("salespeoplePurchasers");
        let row = rows.iter().find(known).unwrap();
        let text = |property: &str| row[property].as_str().unwrap().to_owned();
        (text("code"), text("email"))
    });
    place.erp.with(|erp| {
        let id = erp.find("salespeoplePurchasers", "code", &code).unwrap();
        erp.edit("salespeoplePurchasers", id, &phone("phoneNo", "+45 11")).unwrap();
    });
    place.crm.with(|crm| {
        let id = crm.find("systemusers", "internalemailaddress", &address).unwrap();
        crm.edit("systemusers", id, &phone("mobilephone", "+45 22")).unwrap();
    });
    let written = place.writes();
    let answer = place.run("run small.yaml").code(1).prints("salespeople, contested");
    answer.prints(&format!("{code} phoneNo: before ")).prints("ERP \"+45 11\", CRM \"+45 22\"");
    assert_eq!(place.writes(), written);
    place.run("status small.yaml").code(0).prints("1 item waits for a person");
    place.run("plan small.yaml --exit-code").code(1).prints("plan: nothing to do; 1 waits for a person");
}

#[test]
fn a_side_that_cannot_be_used_ends_with_3() {
    let place = Place::new();
    let with = |name: &str, value: &str| Answer::of(place.command("run small.yaml").env(name, value).output().unwrap());
    let answer = with("CRM_CLIENT_SECRET", "a-wrong-secret").code(3).says("error: CRM refused the login");
    assert!(!format!("{answer:?}").contains("a-wrong-secret"), "{answer:#?}");
    with("ERP_COMPANY", "Nobody Ltd.").code(3).says("ERP has no company `Nobody Ltd.`").says("CRONUS");
    let login = place.command("run small.yaml --format json").env("CRM_CLIENT_ID", "someone").output().unwrap();
    assert_eq!(Answer::of(login).code(3).json()["error"]["kind"], "login");
    assert_eq!(place.writes(), 0);
}

#[test]
fn a_state_that_cannot_be_used_ends_with_3_before_any_side_is_asked() {
    let place = Place::new();
    let now = || "2026-01-31T02:00:00Z".to_owned();
    let held = pipeline::adapters::sqlite::SqliteStore::open(&place.state(), "night pid 12", &now, true).unwrap();
    place.run("run small.yaml").code(3).says("in use by night pid 12").says("since 2026-01-31T02:00:00Z");
    drop(held);
    std::fs::write(place.state(), "no database at all, but long enough to be read as the head of one, to be sure")
        .unwrap();
    place.run("run small.yaml").code(3).says("error: the state cannot be").says("small.db").says("hint: ");
    place.run("status small.yaml").code(3).says("small.db");
    assert_eq!((place.erp.counts().requests, place.crm.counts().requests), (0, 0));
}

#[test]
fn a_signal_ends_a_run_at_the_next_safe_point() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let place = Place::new();
        place.erp.set_faults(Faults::once(Fault::SlowPage, 1));
        let mut child =
            place.command("run small.yaml -vv").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for(&mut child, "[1/1] salespeople");
        let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let mut stdout = String::new();
        child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{stdout}");
        assert!(stdout.contains("interrupted: what was done is kept; run again to go on"), "{stdout}");
        place.run("run small.yaml").code(0).prints("both sides agree");
    }
}

/// Reads stderr until a line holds `text`, and goes on reading it in the background.
fn wait_for(child: &mut Child, text: &str) {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let seen = lines.by_ref().map(Result::unwrap).any(|line| line.contains(text));
    assert!(seen, "no `{text}`");
    std::thread::spawn(move || lines.count());
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    let mut child = place.command("check small.yaml").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let answer = Answer::of(child.wait_with_output().unwrap()).code(0);
    assert_eq!(answer.stderr, "");
}
