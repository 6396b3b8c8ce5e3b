//! What the program says when it cannot go on: one message, the place, the next step, and the exit code; neither side
//! is written to, and no secret is told (I10).

use std::fmt::Write;

use insta::assert_snapshot;
use pipeline::adapters::sqlite::SqliteStore;
use pipeline::store::Store;

use super::oracle::contents;
use super::{Answer, FULL, World};

const WRONG_SECRET: &str = "not-the-secret-of-anybody";

/// Commands with their answers, as a person would see them in a terminal.
pub struct Transcript<'a> {
    world: &'a World,
    pub text: String,
    /// Everything that was printed, as it was.
    raw: String,
}

impl<'a> Transcript<'a> {
    /// Starts with nothing said.
    pub fn new(world: &'a World) -> Transcript<'a> {
        Transcript { world, text: String::new(), raw: String::new() }
    }

    /// Runs the program with other variables; once for people, and once for programs, who must be told the same.
    #[track_caller]
    pub fn ask(&mut self, line: &str, variables: &[(&str, &str)], code: i32) {
        let run = |line: &str| {
            let mut command = self.world.command(line);
            for (name, value) in variables {
                match *value {
                    "" => command.env_remove(name),
                    value => command.env(name, value),
                };
            }
            Answer::of(command.output().unwrap()).code(code)
        };
        let (people, programs) = (run(line), run(&format!("{line} --format json")));
        assert!(people.stdout.is_empty(), "talk on stdout: {people:#?}");
        let document = programs.json();
        let of = |key: &str| document["error"][key].as_str().unwrap_or_default();
        assert!(!of("kind").is_empty(), "{document:#}");
        for told in [of("message"), of("hint")] {
            assert!(people.stderr.contains(told.lines().next().unwrap_or_default()), "{told} is not in {people:#?}");
        }
        let said = self.scrub(&people.stderr);
        let variables: String =
            variables.iter().map(|(name, value)| format!("{name}={} ", self.scrub(value))).collect();
        writeln!(self.text, "$ {variables}pipeline {}\n{said}[{code}, {}]\n", self.scrub(line), of("kind")).unwrap();
        for answer in [&people, &programs] {
            self.raw += &answer.stdout;
            self.raw += &answer.stderr;
        }
    }

    /// Replaces what is another in each run: folders, ports, processes, times, ids.
    pub fn scrub(&self, text: &str) -> String {
        let text = text.replace(FULL, "full.yaml").replace(&*self.world.folder.path().to_string_lossy(), "FOLDER");
        let mut scrubbed = String::new();
        for word in text.split_inclusive([' ', '\n']) {
            let digits = word.chars().filter(char::is_ascii_digit).count();
            match word.split_once("127.0.0.1:") {
                Some((head, tail)) => {
                    let rest = tail.trim_start_matches(|letter: char| letter.is_ascii_digit());
                    scrubbed += &format!("{head}127.0.0.1:PORT{rest}");
                }
                // A GUID or a time is one word with many digits.
                None if digits >= 12 => {
                    let core = word.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric());
                    scrubbed += &word.replace(core, "STAMP");
                }
                None => scrubbed += word,
            }
        }
        scrubbed
    }

    /// Fails where a secret or a token was told, or is in a file of the state.
    fn assert_no_secret(&self) {
        let secrets = self.world.secrets();
        for secret in secrets.iter().map(String::as_str).chain([WRONG_SECRET]) {
            assert!(!self.raw.contains(secret), "`{secret}` was told");
            for (name, bytes) in self.world.state_files() {
                assert!(!holds(&bytes, secret), "`{secret}` is in {name}");
            }
        }
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

impl World {
    /// Returns what must never be told: the secrets, as they are and as they are sent, and every token.
    fn secrets(&self) -> Vec<String> {
        let mut secrets = self.turnstile.tokens();
        let own = [
            self.erp.with(|erp| erp.tokens.client_secret.clone()),
            self.crm.with(|crm| crm.tokens.client_secret.clone()),
        ];
        for secret in own {
            assert!(secret.len() > 8);
            secrets.push(
                secret
                    .bytes()
                    .map(|byte| {
                        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
                    })
                    .collect(),
            );
            secrets.push(secret);
        }
        secrets
    }
}

#[test]
fn wrong_arguments_and_files_are_refused_before_anything_is_asked() {
    let world = World::start();
    let full = std::fs::read_to_string(FULL).unwrap();
    world.file("broken.yaml", "version: 1\nname: broken\ntables:\n  customers: [\n");
    world.file("later.yaml", &full.replace("defaults:", "schedule: \"0 2 * * *\"\n\ndefaults:"));
    world.file("typo.yaml", &full.replacen("direction: to_erp", "direktion: to_erp", 1));
    let mut told = Transcript::new(&world);
    for line in ["run nowhere.yaml", "run broken.yaml", "run later.yaml", "run typo.yaml"] {
        told.ask(line, &[], 2);
    }
    told.ask(&format!("run {FULL} --only custmers"), &[], 2);
    told.ask(&format!("run {FULL} --only salespeople --force to_crm"), &[], 2);
    told.ask(&format!("run {FULL} --direction to_erp --force to_crm"), &[], 2);
    told.ask("show nothing.plan", &[], 2);
    told.ask(&format!("couple {FULL} customers:10000"), &[], 2);
    told.ask(&format!("uncouple {FULL} customers:"), &[], 2);
    told.ask(&format!("run {FULL}"), &[("ERP_URL", ""), ("CRM_CLIENT_SECRET", "")], 2);
    told.ask(&format!("run {FULL}"), &[("PIPELINE_STATE", "postgres://somewhere/full")], 2);
    assert_eq!(world.turnstile.seen(), (0, 0));
    assert!(!world.state().exists());
    told.assert_no_secret();
    assert_snapshot!("arguments_and_files", told.text);
}

#[test]
fn columns_that_a_side_does_not_have_are_refused_all_at_once() {
    let world = World::start();
    let full = std::fs::read_to_string(FULL).unwrap();
    let odd = full
        .replace("crm: telephone1 }\n      - { erp: creditLimit", "crm: telefone1 }\n      - { erp: creditLimit")
        .replace("table: currencies, label: code", "table: currencys, label: code")
        .replace("erp: jobTitle, crm", "erp: jobTittle, crm");
    world.file("odd.yaml", &odd);
    let mut told = Transcript::new(&world);
    told.ask("run odd.yaml", &[], 2);
    assert_eq!(world.turnstile.seen().1, 0);
    told.assert_no_secret();
    assert_snapshot!("columns", told.text);
}

#[test]
fn a_side_that_cannot_be_used_is_named_and_nothing_is_written() {
    let world = World::start();
    let before = contents(&world);
    // Nobody listens at the first port of a machine that has no ancient services.
    let nobody = "http://127.0.0.1:1";
    // In the shipped file the scope follows from the address, so another address is refused at the login already.
    let full = std::fs::read_to_string(FULL).unwrap();
    world.file("scope.yaml", &full.replace("scope: ${CRM_URL}/.default", "scope: ${CRM_SCOPE}"));
    let scope = world.crm.with(|crm| crm.tokens.scope.clone());
    let run = format!("run {FULL} -vv");
    let mut told = Transcript::new(&world);
    told.ask(&run, &[("ERP_CLIENT_SECRET", WRONG_SECRET)], 3);
    told.ask(&run, &[("CRM_CLIENT_SECRET", WRONG_SECRET)], 3);
    told.ask(&run, &[("CRM_CLIENT_ID", "somebody-else")], 3);
    told.ask(&run, &[("ERP_COMPANY", "Nobody & Sons")], 3);
    told.ask(&run, &[("ERP_URL", nobody)], 3);
    told.ask("run scope.yaml -vv", &[("CRM_SCOPE", &scope), ("CRM_URL", nobody)], 3);
    told.ask(&run, &[("ERP_TOKEN_URL", &format!("{nobody}/token"))], 3);
    assert_eq!(world.turnstile.seen().1, 0);
    assert_eq!(contents(&world), before);
    told.assert_no_secret();
    assert!(world.store().coupling_counts().unwrap().is_empty() && world.store().runs(1).unwrap().is_empty());
    assert_snapshot!("sides", told.text);
}

#[test]
fn a_state_that_cannot_be_used_is_named_before_a_side_is_asked() {
    let world = World::start();
    let run = format!("run {FULL} -vv");
    let mut told = Transcript::new(&world);
    let now = || "2026-01-31T02:00:00Z".to_owned();
    let held = SqliteStore::open(&world.state(), "night pid 12", &now, true).unwrap();
    told.ask(&run, &[], 3);
    drop(held);
    let sound = std::fs::read(world.state()).unwrap();
    let mut cut = sound.clone();
    cut.truncate(sound.len() / 2);
    let mut scratched = sound.clone();
    scratched[100..200].fill(0xAA);
    let text =
        b"no database at all, but long enough to be read as the head of one, and then a little more than that".to_vec();
    for bytes in [text, cut, scratched] {
        for entry in std::fs::read_dir(world.folder.path()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        std::fs::write(world.state(), &bytes).unwrap();
        told.ask(&run, &[], 3);
        told.ask(&format!("plan {FULL}"), &[], 3);
        told.ask(&format!("status {FULL}"), &[], 3);
        assert!(std::fs::read(world.state()).unwrap() == bytes, "a broken file is evidence and stays as it is");
    }
    std::fs::remove_file(world.state()).unwrap();
    std::fs::create_dir(world.state()).unwrap();
    told.ask(&run, &[], 3);
    assert_eq!(world.turnstile.seen(), (0, 0), "neither side was asked");
    told.assert_no_secret();
    assert_snapshot!("states", told.text);
}

#[test]
fn a_state_with_any_broken_page_is_found_before_a_side_is_asked() {
    let world = World::start();
    let run = format!("run {FULL} --only salespeople --only currencies");
    world.run(&run).code(0);
    let sound = std::fs::read(world.state()).unwrap();
    let page_bytes = 4096;
    world.turnstile.reset();
    let mut pages = 0;
    for start in (0..sound.len()).step_by(page_bytes) {
        let mut bytes = sound.clone();
        bytes[start..start + page_bytes].fill(0xAA);
        std::fs::write(world.state(), &bytes).unwrap();
        let answer = world.run(&run).code(3);
        assert!(answer.stderr.contains("error: the state cannot be read: "), "page {pages}: {answer:#?}");
        pages += 1;
    }
    assert!(pages > 10, "{pages} pages");
    assert_eq!(world.turnstile.seen(), (0, 0), "neither side was asked");
    std::fs::write(world.state(), &sound).unwrap();
    world.run(&run).code(0);
    assert_eq!(world.turnstile.seen().1, 0);
}
