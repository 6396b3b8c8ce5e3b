//! The program `mocks` as a process: exit codes, the environment it gives, signals, and records kept over calls.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn mocks() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mocks"));
    command.env_remove("PIPELINE_STATE").env("ERP_COMPANY", "Somebody Else");
    command
}

fn run(arguments: &[&str]) -> Output {
    mocks().args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn code(arguments: &[&str]) -> Option<i32> {
    run(arguments).status.code()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Reads `NAME=value` lines up to the one that is asked for.
fn variables(lines: &mut impl BufRead, last: &str) -> HashMap<String, String> {
    let mut variables = HashMap::new();
    while !variables.contains_key(last) {
        let mut line = String::new();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the lines end before {last}");
        let (name, value) = line.trim_end().split_once('=').unwrap();
        variables.insert(name.to_owned(), value.trim_matches('\'').to_owned());
    }
    variables
}

/// `mocks serve`, running.
struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
    environment: HashMap<String, String>,
}

impl Server {
    fn start(arguments: &[&str], last: &str) -> Self {
        let mut child =
            mocks().arg("serve").args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let environment = variables(&mut out, last);
        Server { child, out, environment }
    }

    /// Ends it by a signal; returns its exit code, what else it printed, and what it said.
    fn stop(mut self, signal: Signal) -> (Option<i32>, String, String) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let mut printed = String::new();
        self.out.read_to_string(&mut printed).unwrap();
        let output = self.child.wait_with_output().unwrap();
        (output.status.code(), printed, stderr(&output))
    }

    /// Fetches a token for a side.
    fn token(&self, side: &str) -> String {
        let of = |name: &str| self.environment[&format!("{side}_{name}")].clone();
        let scope = match side {
            "ERP" => "https://api.businesscentral.dynamics.com/.default".to_owned(),
            _ => format!("{}/.default", of("URL")),
        };
        let form = [("grant_type", "client_credentials".to_owned()), ("client_id", of("CLIENT_ID"))]
            .into_iter()
            .chain([("client_secret", of("CLIENT_SECRET")), ("scope", scope)]);
        let form: Vec<String> = form.map(|(name, value)| format!("{name}={}", encoded(&value))).collect();
        let (status, body) =
            ask("POST", &of("TOKEN_URL"), &["Content-Type: application/x-www-form-urlencoded"], &form.join("&"));
        assert_eq!(status, 200, "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        format!("Authorization: Bearer {}", body["access_token"].as_str().unwrap())
    }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// One HTTP request on a connection of its own.
fn ask(method: &str, url: &str, headers: &[&str], body: &str) -> (u16, String) {
    let (host, target) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    write!(
        stream,
        "{method} /{target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAccept: application/json\r\n\
         Content-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn show(folder: &Path, what: &[&str]) -> Vec<Value> {
    let output = mocks().arg("show").arg("--data").arg(folder).args(what).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn it_ends_as_the_command_ends() {
    assert_eq!(code(&["--", "true"]), Some(0));
    assert_eq!(code(&["--", "sh", "-c", "exit 7"]), Some(7));
    assert_eq!(code(&["--", "sh", "-c", "kill -TERM $$"]), Some(128 + 15));
    assert_eq!(code(&["--", "sh", "-c", "kill -KILL $$"]), Some(128 + 9));
    assert_eq!(code(&["--", "no-such-program-anywhere"]), Some(127));
    assert_eq!(code(&["--", "/"]), Some(126));
}

#[test]
fn its_own_failures_are_told_apart() {
    for (arguments, complaint) in [
        (&[][..], "COMMAND"),
        (&["--fault", "earthquake", "--", "true"], "earthquake"),
        (&["--fault", "throttled:none", "--", "true"], "no count of requests"),
        (&["--noise", "5", "--", "true"], "a probability from 0 to 1"),
        (&["--noise", "0.05:lots", "--", "true"], "`lots` is no seed"),
        (&["--quota", "60:", "--", "true"], "`60:` is no count of requests"),
        (&["--from", "/no/such/folder", "--", "true"], "/no/such/folder"),
        (&["show", "--data", "/no/such/folder", "erp", "customers"], "no such folder"),
        (&["show", "--data", "/", "lms", "customers"], "no side `lms`"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(125), "{arguments:?}");
        assert!(stderr(&output).contains(complaint), "{arguments:?}: {}", stderr(&output));
    }
    assert_eq!(code(&["--help"]), Some(0));
}

#[test]
fn the_command_learns_where_the_fakes_are() {
    let output = run(&["--", "env"]);
    let lines = stdout(&output);
    let environment: HashMap<&str, &str> = lines.lines().filter_map(|line| line.split_once('=')).collect();
    for side in ["ERP", "CRM"] {
        for name in ["URL", "TOKEN_URL"] {
            assert!(environment[format!("{side}_{name}").as_str()].starts_with("http://127.0.0.1:"), "{side}_{name}");
        }
        for name in ["CLIENT_ID", "CLIENT_SECRET"] {
            assert!(!environment[format!("{side}_{name}").as_str()].is_empty(), "{side}_{name}");
        }
    }
    assert_ne!(environment["ERP_URL"], environment["CRM_URL"]);
    // A variable that is meant for a real ERP does not get through.
    assert!(!environment.contains_key("ERP_COMPANY"));
    assert!(!environment.contains_key("PIPELINE_STATE"));
    assert!(stderr(&output).contains("erp: 0 reads, 0 writes, 0 tokens"), "{}", stderr(&output));
    assert!(stderr(&output).contains("crm: 0 reads, 0 writes, 0 tokens"), "{}", stderr(&output));
}

#[test]
fn a_signal_reaches_the_command_and_the_records_are_kept_all_the_same() {
    for (signal, expected) in [(Signal::TERM, 128 + 15), (Signal::INT, 128 + 2)] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = mocks()
            .arg("--data")
            .arg(folder.path())
            .args(["--", "sh", "-c", "echo ready; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The command's standard input stays open, so only the signal can end it.
        let input = child.stdin.take();
        let mut ready = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait_with_output().unwrap().status.code(), Some(expected));
        drop(input);
        assert_eq!(show(folder.path(), &["erp", "customers"]).len(), 200);
    }
}

#[test]
fn what_was_written_is_there_the_next_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let server = Server::start(&["--data", path], "PIPELINE_STATE");
    let state = format!("sqlite:{}", folder.path().canonicalize().unwrap().join("full.db").display());
    assert_eq!(server.environment["PIPELINE_STATE"], state);
    assert_eq!(code(&["--data", path, "--", "true"]), Some(125), "two programs on one folder");

    let (erp, crm) = (server.token("ERP"), server.token("CRM"));
    let api = format!("{}/api/v2.0/companies", server.environment["ERP_URL"]);
    let (status, companies) = ask("GET", &api, &[&erp], "");
    assert_eq!(status, 200, "{companies}");
    let companies: Value = serde_json::from_str(&companies).unwrap();
    assert_eq!(companies["value"][0]["name"], "CRONUS International Ltd.");
    let company = companies["value"][0]["id"].as_str().unwrap();
    let body = r#"{"number":"T-1","displayName":"Teapot"}"#;
    let (status, item) =
        ask("POST", &format!("{api}({company})/items"), &[&erp, "Content-Type: application/json"], body);
    assert_eq!(status, 201, "{item}");
    let accounts = format!("{}/api/data/v9.2/accounts", server.environment["CRM_URL"]);
    let (status, refusal) =
        ask("POST", &accounts, &[&crm, "Content-Type: application/json"], r#"{"name":"Teapots & Sons"}"#);
    assert_eq!(status, 204, "{refusal}");

    let (code, printed, said) = server.stop(Signal::TERM);
    assert_eq!((code, printed.as_str()), (Some(0), ""));
    assert!(said.contains("erp: 1 reads, 1 writes, 1 tokens"), "{said}");
    assert!(said.contains("crm: 0 reads, 1 writes, 1 tokens"), "{said}");

    let again = run(&["--data", path, "--records", "8", "--", "true"]);
    assert_eq!(again.status.code(), Some(0));
    assert!(stderr(&again).contains("has records already"), "{}", stderr(&again));
    assert_eq!(show(folder.path(), &["erp", "items", "number=T-1"])[0]["displayName"], "Teapot");
    assert_eq!(show(folder.path(), &["crm", "accounts", "name=Teapots & Sons"]).len(), 1);
    assert_eq!(show(folder.path(), &["crm", "accounts"]).len(), 201);
    let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["crm.json", "erp.json", "lock", "ports.json"], "no half-written file is left");
}

/// A service that has no name is known by its address.
#[test]
fn what_is_kept_has_the_same_address_the_next_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let address = |output: &Output| {
        let mut lines = BufReader::new(output.stdout.as_slice());
        let lines = variables(&mut lines, "CRM_CLIENT_SECRET");
        [lines["ERP_URL"].clone(), lines["CRM_URL"].clone()]
    };
    let environment = ["--data", path, "--", "sh", "-c", "env | grep -E '^(ERP|CRM)_' | LC_ALL=C sort -r"];
    let first = address(&run(&environment));
    let again = run(&environment);
    assert_eq!((address(&again), stderr(&again).contains("another address")), (first.clone(), false));

    let _somebody_else = TcpListener::bind(first[0].split('/').nth(2).unwrap()).unwrap();
    let moved = run(&environment);
    let said = stderr(&moved);
    assert!(said.contains("mocks: erp: port ") && said.contains("it has another address now"), "{said}");
    let [erp, crm] = address(&moved);
    assert_eq!((erp == first[0], &crm), (false, &first[1]), "{said}");
}

#[test]
fn a_fault_happens_where_it_was_asked_for() {
    let server = Server::start(&["--fault", "throttled-plain:2", "--fault", "unavailable-before"], "CRM_CLIENT_SECRET");
    let (token, url) = (server.token("CRM"), format!("{}/api/data/v9.2/accounts", server.environment["CRM_URL"]));
    let headers = [token.as_str(), "Content-Type: application/json"];
    let statuses = ["GET", "GET", "GET", "POST", "POST"].map(|method| {
        let body = if method == "POST" { r#"{"name":"Teapots & Sons"}"# } else { "" };
        ask(method, &format!("{url}?$select=name"), &headers, body).0
    });
    assert_eq!(statuses, [200, 429, 200, 503, 204]);
    assert_eq!(server.stop(Signal::INT).0, Some(0));
}

#[test]
fn noise_is_the_same_for_the_same_seed_and_told_at_the_end() {
    let told = |noise: &str| {
        let server = Server::start(&["--noise", noise], "CRM_CLIENT_SECRET");
        let (token, url) = (server.token("CRM"), format!("{}/api/data/v9.2/WhoAmI", server.environment["CRM_URL"]));
        ask("GET", &url, &[&token], "");
        let (_, _, said) = server.stop(Signal::TERM);
        said.lines().filter(|line| line.contains(" requests, ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(told("0:7"), ["mocks: erp: 0 requests, 0 faults", "mocks: crm: 2 requests, 0 faults"]);
    let drawn: Vec<_> = (0..4).map(|seed| told(&format!("1:{seed}"))).collect();
    assert_eq!(told("1:3"), drawn[3]);
    assert!(drawn.iter().any(|other| *other != drawn[3]), "{drawn:?}");
    assert!(drawn.iter().all(|told| told[1].starts_with("mocks: crm: 2 requests, 1 faults: 1 ")), "{drawn:?}");
}

#[test]
fn a_quota_is_granted_and_what_it_refused_is_told_at_the_end() {
    let server = Server::start(&["--quota", "2:300"], "CRM_CLIENT_SECRET");
    let (token, url) = (server.token("CRM"), format!("{}/api/data/v9.2/WhoAmI", server.environment["CRM_URL"]));
    let statuses = [0; 4].map(|_| ask("GET", &url, &[&token], "").0);
    assert_eq!(statuses, [200, 200, 429, 429]);
    let (_, _, said) = server.stop(Signal::TERM);
    assert!(said.contains("mocks: crm: 2 refused by the quota, 1 of them twice in a row\n"), "{said}");
    let server = Server::start(&["--erp-quota", "2:300"], "ERP_CLIENT_SECRET");
    let (token, url) = (server.token("ERP"), format!("{}/api/v2.0/companies", server.environment["ERP_URL"]));
    let statuses = [0; 4].map(|_| ask("GET", &url, &[&token], "").0);
    assert_eq!(statuses, [200, 200, 429, 429]);
    let (_, _, said) = server.stop(Signal::TERM);
    assert!(said.contains("mocks: erp: 2 refused by the quota, 1 of them twice in a row\n"), "{said}");
}

#[test]
fn a_person_edits_kept_records() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    assert_eq!(code(&["--data", path, "--", "true"]), Some(0));
    let edit = |arguments: &[&str]| run(&[&["edit", "--data", path], arguments].concat());
    for (side, set, key, stamp, change) in [
        ("erp", "customers", "number=10000", "lastModifiedDateTime", "phoneNumber=+45 55 50 99 99"),
        ("crm", "accounts", "accountnumber=10000", "modifiedon", "telephone1=+45 55 50 11 11"),
    ] {
        let before = show(folder.path(), &[side, set, key]);
        assert_eq!(before.len(), 1);
        let output = edit(&[side, set, key, change]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let after = show(folder.path(), &[side, set, key]);
        let (property, value) = change.split_once('=').unwrap();
        assert_eq!(after[0][property], value);
        assert!(after[0][stamp].as_str() > before[0][stamp].as_str(), "{side}: the time of the change moves on");
    }
    for (arguments, complaint) in [
        (["erp", "unicorns", "number=none", "city=Bath"], "no set `unicorns`"),
        (["erp", "customers", "number=none", "city=Bath"], "0 of customers"),
        (["erp", "customers", "city=London", "city=Bath"], "of customers have city=London"),
        (["crm", "accounts", "accountnumber=10000", "colour=red"], "colour"),
        (["erp", "customers", "number=10000", "colour=red"], "colour"),
    ] {
        let output = edit(&arguments);
        assert_eq!(output.status.code(), Some(125), "{arguments:?}");
        assert!(stderr(&output).contains(complaint), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn a_person_adds_and_deletes_kept_records() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    assert_eq!(code(&["--data", path, "--", "true"]), Some(0));
    let verb = |verb: &str, arguments: &[&str]| run(&[&[verb, "--data", path], arguments].concat());
    let done = |output: &Output| {
        assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
        stdout(output)
    };
    // What the side gives on its own, it gives; what is given, it takes.
    let added: Value = serde_json::from_str(&done(&verb("add", &["erp", "customers", "displayName=Jug"]))).unwrap();
    assert!(added["number"].as_str().unwrap().starts_with('C'), "{added}");
    assert_eq!(added["creditLimit"].to_string(), "0");
    let key = format!("number={}", added["number"].as_str().unwrap());
    assert_eq!(show(folder.path(), &["erp", "customers", &key]), [added]);
    done(&verb("add", &["erp", "customers", "number=KETTLE", "displayName=Kettle", "creditLimit=12.5"]));
    let kettle = show(folder.path(), &["erp", "customers", "number=KETTLE"]);
    assert_eq!(kettle[0]["creditLimit"].to_string(), "12.5");
    let added: Value = serde_json::from_str(&done(&verb("add", &["crm", "accounts", "name=Jug"]))).unwrap();
    assert_eq!(added["statecode"], 0);

    // A reference to a deleted contact goes with it.
    done(&verb("add", &["crm", "contacts", "lastname=Spout"]));
    let contact = show(folder.path(), &["crm", "contacts", "lastname=Spout"])[0]["contactid"].clone();
    done(&verb(
        "edit",
        &["crm", "accounts", "name=Jug", &format!("_primarycontactid_value={}", contact.as_str().unwrap())],
    ));
    assert_eq!(show(folder.path(), &["crm", "accounts", "name=Jug"])[0]["_primarycontactid_value"], contact);
    done(&verb("edit", &["crm", "contacts", "lastname=Spout", "--delete"]));
    assert!(show(folder.path(), &["crm", "contacts", "lastname=Spout"]).is_empty());
    assert_eq!(show(folder.path(), &["crm", "accounts", "name=Jug"])[0]["_primarycontactid_value"], Value::Null);
    done(&verb("edit", &["erp", "customers", "number=KETTLE", "--delete"]));
    assert!(show(folder.path(), &["erp", "customers", "number=KETTLE"]).is_empty());

    // The ERP lets a code be deleted that others bear, and they go on bearing it.
    for (set, code, bearers, property) in [
        ("currencies", "DKK", "customers", "currencyCode"),
        ("unitsOfMeasure", "PCS", "items", "baseUnitOfMeasureCode"),
        ("salespeoplePurchasers", "AB", "customers", "salespersonCode"),
    ] {
        let bearing = ["erp", bearers, &format!("{property}={code}")];
        let before = show(folder.path(), &bearing);
        assert!(!before.is_empty(), "{code}");
        done(&verb("edit", &["erp", set, &format!("code={code}"), "--delete"]));
        assert_eq!(show(folder.path(), &bearing), before, "{code}");
    }

    // What a side refuses is refused in its own words, and nothing is kept of it.
    let before = show(folder.path(), &["erp", "customers"]).len();
    for (arguments, complaint) in [
        (&["add", "erp", "unicorns", "name=A"][..], "no set `unicorns`"),
        (&["add", "erp", "customers", "number=10010", "displayName=Twice"], "already exists"),
        (&["add", "crm", "accounts", "colour=red"], "colour"),
        (&["add", "erp", "customers"], "PROP=VALUE"),
        (&["edit", "erp", "customers", "number=none", "--delete"], "0 of customers"),
        (&["edit", "erp", "customers", "number=10010", "city=Bath", "--delete"], "--delete"),
        (&["edit", "erp", "customers", "number=10010"], "PROP=VALUE"),
    ] {
        let output = verb(arguments[0], &arguments[1..]);
        assert_eq!(output.status.code(), Some(125), "{arguments:?}");
        assert!(stderr(&output).contains(complaint), "{arguments:?}: {}", stderr(&output));
    }
    assert_eq!(show(folder.path(), &["erp", "customers"]).len(), before);
}

#[test]
fn data_is_made_by_number_and_seed() {
    let customers = |arguments: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        assert_eq!(code(&[&["--data", path], arguments, &["--", "true"]].concat()), Some(0));
        show(folder.path(), &["erp", "customers"])
    };
    let (first, again) = (customers(&["--records", "80"]), customers(&["--records", "80"]));
    assert_eq!(first.len(), 70);
    assert_eq!(first, again);
    assert_ne!(first, customers(&["--records", "80", "--seed", "9"]));
}

#[test]
fn csv_files_become_records_and_what_was_made_to_fit_is_said() {
    let files = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = files.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("erp/companies.csv", "id,name\n43cc3486-114b-5025-abd6-3a50f4ad89ce,Kettle & Co\n");
    let long = "Ö".repeat(101);
    put(
        "erp/customers.csv",
        &format!(
            "number,displayName,creditLimit,blocked,salespersonCode,shoeSize\n\
             K1,\"Jug, \"\"big\"\"\",12.50,_x0020_,,\nK2,{long},0,All,NOBODY,44\n"
        ),
    );
    put("erp/unicorns.csv", "name\nA\nB\n");
    put(
        "crm/accounts.csv",
        "name,accountnumber,creditlimit,statecode,_primarycontactid_value\nJug,K1,12.50,0,43cc3486-114b-5025-abd6-3a50f4ad89ce\n",
    );
    let data = tempfile::tempdir().unwrap();
    let output = run(&["--data", data.path().to_str().unwrap(), "--from", files.path().to_str().unwrap(), "--", "env"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("ERP_COMPANY=Kettle & Co\n"));
    let said = stderr(&output);
    for adjustment in ["shoeSize", "unicorns", "displayName", "salespersonCode", "_primarycontactid_value"] {
        assert!(said.contains(adjustment), "{adjustment} in {said}");
    }
    let customers = show(data.path(), &["erp", "customers"]);
    assert_eq!(customers.len(), 2);
    assert_eq!(customers[0]["displayName"], "Jug, \"big\"");
    assert_eq!(customers[0]["creditLimit"].to_string(), "12.5");
    assert_eq!(customers[1]["displayName"].as_str().unwrap().chars().count(), 100);
    assert_eq!(customers[1]["blocked"], "All");
    assert_eq!(show(data.path(), &["crm", "accounts"])[0]["creditlimit"].to_string(), "12.5000");

    // What is no number is told like the rest; what is no CSV ends it.
    put("crm/accounts.csv", "name,creditlimit\nJug,plenty\n");
    let output = run(&["--from", files.path().to_str().unwrap(), "--", "true"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("creditlimit"), "{}", stderr(&output));
    put("crm/accounts.csv", "name,creditlimit\nJug,1,2,3\n");
    let output = run(&["--from", files.path().to_str().unwrap(), "--", "true"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(stderr(&output).contains("accounts.csv"), "{}", stderr(&output));
}
