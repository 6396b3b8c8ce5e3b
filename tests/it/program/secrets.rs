//! No secret is told or kept (I10): every verb as talkative as it gets, for every way to log in; and services that repeat
//! all they are sent in what they say went wrong.
//!
//! Searched is everything that was printed, and every file that is left behind: plans, exports, the state, and what a
//! killed run leaves beside it. The files that logins are read from lie in a folder of their own.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use mocks::data::Row;
use mocks::data::scaled::scaled;
use pipeline::config::Side;
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use super::answers::filled;
use super::selected::edit;
use super::turnstile::{Fate, Nth, Parrot};
use super::{Answer, FULL, World};

const NAV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/nav.yaml");
const CERTIFICATE: &str = include_str!("../data/client.pem");
const FIRMS: usize = 8;
/// Who is no user of NAV, and no application of anybody.
const WRONG: &str = "not+the/secret=of-anybody";

/// How a side logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Login {
    /// A client secret in a variable.
    Secret,
    /// A client secret in a file.
    SecretFile,
    /// A key that signs.
    Certificate,
    /// A token that something else keeps in a file.
    Bearer,
    /// NAV's access key in a variable.
    Password,
    /// NAV's access key in a file.
    PasswordFile,
}

/// Both sides, a pipeline file whose logins are of these ways, and all that was printed.
struct Session {
    world: World,
    /// Where secrets are meant to be.
    safe: TempDir,
    secrets: Vec<String>,
    told: String,
    /// Whether what can be asked in both formats is asked as JSON.
    json: bool,
    /// Whether a token is fetched for a side, by a proof of who asks.
    fetches: bool,
}

impl Session {
    fn new(erp: Login, crm: Login) -> Session {
        let mut world = World::of(scaled(FIRMS, 1));
        for name in ["ERP_CLIENT_SECRET", "CRM_CLIENT_SECRET"] {
            world.variables.remove(name);
        }
        let nav = matches!(erp, Login::Password | Login::PasswordFile);
        let text = std::fs::read_to_string(if nav { NAV } else { FULL }).unwrap();
        // Customers and what they refer to.
        let (head, tail) = text.split_once("\n  customers:\n").unwrap();
        let head = head.split("\n  # A unit is").next().unwrap();
        let customers = tail.split("\n  contacts:\n").next().unwrap();
        let mut text = format!("{head}\n  customers:\n{customers}");
        let fetches =
            [erp, crm].iter().any(|login| matches!(login, Login::Secret | Login::SecretFile | Login::Certificate));
        let json = matches!(erp, Login::SecretFile | Login::PasswordFile);
        let safe = tempfile::tempdir().unwrap();
        let mut session = Session { world, safe, secrets: Vec::new(), told: String::new(), json, fetches };
        for (side, login) in [(Side::Erp, erp), (Side::Crm, crm)] {
            let (old, new) = session.logs_in(side, login);
            assert_eq!(text.matches(&old).count(), 1, "{old}");
            text = text.replace(&old, &new);
        }
        session.world.file("night.yaml", &text);
        session
    }

    /// Prepares a way to log in, and notes its secrets; returns what it takes in the shipped file, and instead of what.
    fn logs_in(&mut self, side: Side, login: Login) -> (String, String) {
        let file = self.safe.path().join(side.name());
        let variables = &mut self.world.variables;
        let variable = if side == Side::Erp { "ERP_CLIENT_SECRET" } else { "CRM_CLIENT_SECRET" };
        let client_secret = format!("client_secret: ${{{variable}}}");
        let instead = |key: &str| (client_secret.clone(), format!("{key}: {}", file.display()));
        let tokens = |look: &mut dyn FnMut(&mut mocks::token::Tokens) -> String| match side {
            Side::Erp => self.world.erp.with(|erp| look(&mut erp.tokens)),
            Side::Crm => self.world.crm.with(|crm| look(&mut crm.tokens)),
        };
        let (secret, change) = match login {
            Login::Secret => {
                let secret = tokens(&mut |tokens| tokens.client_secret.clone());
                variables.insert(variable, secret.clone());
                (secret, (client_secret.clone(), client_secret))
            }
            Login::SecretFile => (tokens(&mut |tokens| tokens.client_secret.clone()), instead("client_secret_file")),
            Login::Certificate => {
                tokens(&mut |tokens| {
                    tokens.register(CERTIFICATE);
                    String::new()
                });
                (CERTIFICATE.to_owned(), instead("certificate"))
            }
            Login::Bearer => {
                let scope = if side == Side::Erp { "https://api.businesscentral.dynamics.com" } else { "${CRM_URL}" };
                let name = side.name();
                let old = format!(
                    "\n      type: oauth2\n      token_url: ${{{name}_TOKEN_URL}}\n      client_id: ${{{name}_CLIENT_ID}}\n      \
                     {client_secret}\n      scope: {scope}/.default\n"
                );
                let new = format!(" {{ type: bearer, token_file: {} }}\n", file.display());
                (tokens(&mut mocks::token::Tokens::issue), (old, new))
            }
            Login::Password | Login::PasswordFile => {
                let (user, password) = self.world.erp.with(|erp| erp.nav_login.clone());
                let url = self.world.erp.server.url() + "/DynamicsNAV110";
                variables.extend([("NAV_URL", url), ("NAV_USER", user.clone())]);
                self.secrets.push(BASE64_STANDARD.encode(format!("{user}:{password}")));
                let old = "password: \"${NAV_ACCESS_KEY}\"".to_owned();
                let change = match login {
                    Login::Password => {
                        variables.insert("NAV_ACCESS_KEY", password.clone());
                        (old.clone(), old)
                    }
                    _ => (old, format!("password_file: {}", file.display())),
                };
                (password, change)
            }
        };
        std::fs::write(&file, secret.clone() + "\n").unwrap();
        // Of a certificate's file the key alone is secret.
        let secret = secret.split("-----BEGIN PRIVATE KEY-----").last().unwrap_or_default();
        self.secrets
            .extend(secret.lines().filter(|line| !line.starts_with("-----") && !line.is_empty()).map(str::to_owned));
        change
    }

    /// Runs the program.
    #[track_caller]
    fn ask(&mut self, line: &str, code: i32) -> Answer {
        let line = line.replace("FILE", "night.yaml");
        let answer = self.world.run(&line);
        self.told += &format!("$ pipeline {line}\n{}{}", answer.stdout, answer.stderr);
        assert_eq!(answer.code, Some(code), "{line}\n{}\n{}", answer.stdout, answer.stderr);
        answer
    }

    /// The same, for people in one session and for programs in another.
    #[track_caller]
    fn ask_as_well(&mut self, line: &str, code: i32) {
        let format = if self.json { "json" } else { "text" };
        self.ask(&format!("{line} --format {format}"), code);
    }

    /// Fails where a secret was told, or is in a file.
    #[track_caller]
    fn assert_nothing_told(&self) {
        let mut files = vec![("what was printed".to_owned(), self.told.clone())];
        for entry in std::fs::read_dir(self.world.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            files.push((path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
        }
        let tokens = self.world.turnstile.tokens();
        for secret in self.secrets.iter().chain(&tokens).map(String::as_str).chain([WRONG]) {
            for form in forms(secret) {
                assert!(form.len() > 8, "`{form}` is anywhere");
                for (name, text) in &files {
                    assert!(!text.contains(&form), "`{form}` is in {name}");
                }
            }
        }
    }
}

/// A secret as it is, as it is in an address or a form, in JSON, and as what carries it.
fn forms(secret: &str) -> Vec<String> {
    let escaped = |lower: bool| -> String {
        let byte = |byte: u8| match byte {
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte if lower => format!("%{byte:02x}"),
            byte => format!("%{byte:02X}"),
        };
        secret.bytes().map(byte).collect()
    };
    let mut forms = vec![secret.to_owned(), escaped(false), escaped(true), secret.replace('/', "\\/")];
    forms.extend([BASE64_STANDARD.encode(secret), BASE64_URL_SAFE_NO_PAD.encode(secret)]);
    forms
}

/// A customer that both sides hold since before the first night: its number, and both ids.
fn customer(world: &World, place: usize) -> (String, Uuid, Uuid) {
    let text = |record: &Row, property: &str| record[property].as_str().unwrap_or_default().to_owned();
    let accounts = world.crm.with(|crm| crm.records("accounts"));
    let both = world.erp.with(|erp| erp.records("customers")).into_iter().filter_map(|customer| {
        let number = text(&customer, "number");
        let account = accounts.iter().find(|account| text(account, "accountnumber") == number)?;
        Some((number, text(&customer, "id").parse().unwrap(), text(account, "accountid").parse().unwrap()))
    });
    both.collect::<Vec<_>>().swap_remove(place)
}

/// Everything a person does with the program, with as much talk as there is.
fn all_verbs(session: &mut Session) {
    session.ask_as_well("check FILE", 0);
    session.ask_as_well("check FILE --online", 0);
    session.ask_as_well("review FILE", 0);
    session.ask_as_well("plan FILE -vvv", 0);
    session.ask("plan FILE -vvv --exit-code -o first.plan", 10);
    session.ask_as_well("show first.plan", 0);
    session.ask("show first.plan --table customers --field address1_city", 0);

    // What is beside the state while a run goes on: it is killed with a write on its way.
    session.world.turnstile.stop_at(Nth::Write(2), Fate::Unanswered);
    let run = session.world.spawn("run night.yaml -vvv");
    session.world.turnstile.wait();
    run.kill();
    session.world.turnstile.open();
    assert!(session.world.state_files().contains_key("full.db-wal"), "{:?}", session.world.state_files().keys());
    session.assert_nothing_told();
    session.world.turnstile.reset();
    session.ask("apply first.plan -vvv --yes --format json", 0);
    session.ask("run FILE -vvv", 0);
    session.ask("run FILE -vvv --format json", 0);

    // What a guard stops is saved as a plan, and carried out.
    let night = std::fs::read_to_string(session.world.folder.path().join("night.yaml")).unwrap();
    let guarded = night.replacen("\n  customers:\n", "\n  customers:\n    guard: { update: 0 }\n", 1);
    session.world.file("guarded.yaml", &guarded);
    let (_, erp, _) = customer(&session.world, 4);
    edit(&session.world, Side::Erp, erp, json!({"city": "Behind a guard"}));
    session.ask_as_well("run guarded.yaml -vvv", 4);
    session.ask_as_well("status guarded.yaml", 0);
    let files = session.world.state_files();
    let plan = files.keys().find(|name| name.ends_with(".guarded.plan")).unwrap();
    session.ask(&format!("show {plan}"), 0);
    session.assert_nothing_told();
    session.ask(&format!("apply {plan} -vvv --yes"), 0);

    // Something of each kind waits for a person; what is refused, is so by a side that repeats all it was sent.
    let world = &session.world;
    let (contested, erp, crm) = customer(world, 0);
    edit(world, Side::Erp, erp, json!({"city": "Here"}));
    edit(world, Side::Crm, crm, json!({"address1_city": "There"}));
    let (deleted, _, crm) = customer(world, 1);
    world.crm.with(|state| state.delete("accounts", crm)).unwrap();
    let (refused, erp, _) = customer(world, 2);
    edit(world, Side::Erp, erp, json!({"city": "Elsewhere"}));
    let (other, _, crm) = customer(world, 3);
    edit(world, Side::Crm, crm, json!({"address1_city": "Elsewhere"}));
    world.turnstile.repeat(Some(Parrot::Writes));
    session.ask("run FILE --changed -vvv", 1);
    let repeated = session.ask("run FILE -vvv", 1);
    assert_eq!(repeated.stdout.matches("Repeated").count(), 2, "{repeated:#?}");
    session.world.turnstile.repeat(None);
    session.ask("run FILE --dry-run -vvv", 1);
    session.ask_as_well("status FILE", 0);
    session.ask_as_well("inbox FILE", 0);
    session.ask_as_well("inbox FILE list --table customers", 0);
    session.ask_as_well("inbox FILE apart", 0);
    session.ask("inbox FILE export inbox.csv", 0);
    for record in [&contested, &deleted, &refused] {
        session.ask_as_well(&format!("why FILE customers:{record}"), 0);
    }
    session.ask_as_well(&format!("why FILE customers:{contested} --field address1_city"), 0);
    session.ask(&format!("inbox FILE resolve customers:{contested} --field address1_city --take erp"), 0);
    session.ask(&format!("inbox FILE withdraw customers:{contested}"), 0);
    session.ask(&format!("inbox FILE retry customers:{refused} customers:{other}"), 0);
    session.ask(&format!("inbox FILE delete customers:{deleted} --yes"), 0);
    session.ask(&format!("inbox FILE restore customers:{deleted}"), 0);
    let written = std::fs::read_to_string(session.world.folder.path().join("inbox.csv")).unwrap();
    let decided = filled(&written, &|_, field| if field.is_empty() { "" } else { "crm" });
    session.world.file("filled.csv", &decided);
    session.ask("inbox FILE import filled.csv --yes", 0);
    session.ask(&format!("run FILE -vvv --only customers:{contested}"), 0);
    session.ask(&format!("run FILE -vvv --only customers:{refused} --force to_crm --yes"), 0);
    session.ask("run FILE -vvv --direction to_crm", 1);
    session.ask_as_well("history FILE", 0);
    session.ask_as_well("history FILE last", 0);
    session.ask_as_well(&format!("history FILE --record customers:{contested}"), 0);

    session.ask_as_well("couplings FILE", 0);
    session.ask("couplings FILE export pairs.csv --table customers", 0);
    let csv = std::fs::read_to_string(session.world.folder.path().join("pairs.csv")).unwrap();
    let line = csv.lines().find(|line| line.contains(&contested)).unwrap();
    session.world.file("one.csv", &format!("{}\n{line}\n", csv.lines().next().unwrap()));
    session.ask(&format!("uncouple FILE customers:{contested} --yes"), 0);
    session.ask("couple FILE customers --from one.csv --yes -vvv", 0);
    session.ask(&format!("uncouple FILE customers:{contested} --yes --format json"), 0);
    session.ask(&format!("couple FILE customers:{contested} {contested} --sync to_crm --yes -vvv"), 0);
    session.ask(&format!("inbox FILE uncouple customers:{contested}"), 2);
    session.ask("uncouple FILE customers --all --yes", 0);
    session.ask(&format!("couple FILE customers:{refused} --create --yes -vvv"), 0);
    session.ask("couple FILE customers --match --yes -vvv --format json", 0);
    session.assert_nothing_told();
}

/// Sides that repeat what they were sent: as they refuse the login, and whatever else is asked of them.
fn refused(session: &mut Session) {
    let turnstile = Arc::clone(&session.world.turnstile);
    let repeating = [Parrot::Logins].into_iter().chain([400, 401, 403, 404].map(Parrot::Requests));
    for parrot in repeating {
        turnstile.repeat(Some(parrot));
        for line in ["run FILE -vvv", "check FILE --online"] {
            session.ask_as_well(line, if parrot == Parrot::Logins && !session.fetches { 0 } else { 3 });
        }
    }
    turnstile.repeat(None);
    // Logins that are wrong, and one where none belongs.
    for side in Side::BOTH {
        std::fs::write(session.safe.path().join(side.name()), WRONG).unwrap();
    }
    for name in ["ERP_CLIENT_SECRET", "CRM_CLIENT_SECRET", "NAV_ACCESS_KEY"] {
        session.world.variables.entry(name).and_modify(|secret| WRONG.clone_into(secret));
    }
    session.ask_as_well("run FILE -vvv", 3);
    session.ask_as_well("check FILE --online", 3);
    for name in ["ERP_URL", "NAV_URL", "CRM_URL"] {
        let user = |url: &mut String| *url = url.replace("://", &format!("://user:{WRONG}@"));
        session.world.variables.entry(name).and_modify(user);
    }
    session.ask_as_well("run FILE -vvv", 2);
    session.assert_nothing_told();
}

#[track_caller]
fn play(erp: Login, crm: Login) {
    let mut session = Session::new(erp, crm);
    all_verbs(&mut session);
    refused(&mut session);
    assert!(!session.world.turnstile.tokens().is_empty());
}

#[test]
fn secrets_in_variables() {
    play(Login::Secret, Login::Secret);
}

#[test]
fn secrets_in_files_and_keys_that_sign() {
    play(Login::SecretFile, Login::Certificate);
}

#[test]
fn tokens_in_files() {
    play(Login::Bearer, Login::Bearer);
}

#[test]
fn access_keys_in_variables() {
    play(Login::Password, Login::SecretFile);
}

#[test]
fn access_keys_in_files() {
    play(Login::PasswordFile, Login::Secret);
}
