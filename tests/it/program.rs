//! The program as a process against both fakes: what it says when it cannot go on, and what is left behind when it is
//! stopped, killed or started twice.
//!
//! The fakes stand behind a turnstile that counts requests and holds one of them where a test asks for it, so that no
//! test waits for a time to pass.

mod answers;
mod approved;
mod asked;
mod calls;
mod couple;
mod couplings;
mod created;
mod damaged;
mod documents;
mod held;
mod killed;
mod lost;
mod online;
mod oracle;
mod places;
mod procedures;
mod refusals;
mod secrets;
mod selected;
mod shells;
mod talk;
mod turnstile;
mod why;
mod uncouple;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use mocks::fault::Faults;
use mocks::net::Server;
use mocks::{crm, data, erp};
use pipeline::adapters::sqlite::SqliteStore;
use tempfile::TempDir;

use turnstile::{Gate, Turnstile};

/// The nightly pipeline of the default company.
pub const FULL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/full.yaml");

/// One side behind the turnstile.
pub struct Fake<S> {
    service: Arc<Mutex<Gate<S>>>,
    server: Server,
    faults: Arc<Mutex<Faults>>,
}

impl<S> Fake<S> {
    /// Replaces what goes wrong.
    pub fn set_faults(&self, faults: Faults) {
        *self.faults.lock().unwrap() = faults;
    }

    /// Looks at the side or changes it; not while the turnstile holds one of its requests.
    pub fn with<T>(&self, look: impl FnOnce(&mut S) -> T) -> T {
        look(&mut self.service.lock().unwrap().service)
    }
}

/// Both fakes with a company, a folder for state and files, and what the program has to know.
pub struct World {
    pub erp: Fake<erp::State>,
    pub crm: Fake<crm::State>,
    pub turnstile: Arc<Turnstile>,
    pub folder: TempDir,
    variables: BTreeMap<&'static str, String>,
}

impl World {
    /// Starts both fakes with the default company.
    pub fn start() -> World {
        World::of(data::company::company(data::company::SEED))
    }

    /// Starts both fakes with these records.
    pub fn of(records: impl Iterator<Item = data::Chunk>) -> World {
        let (mut erp, mut crm) = (erp::State::default(), crm::State::default());
        erp.set_local_currency(data::LOCAL_CURRENCY);
        crm.set_base_currency(data::LOCAL_CURRENCY).unwrap();
        data::fill(records, &mut erp, &mut crm).unwrap();
        crm.settle();
        let turnstile = Arc::new(Turnstile::default());
        let (erp, crm) = (serve(erp, &turnstile), serve(crm, &turnstile));
        let (erp_url, crm_url) = (erp.server.url(), crm.server.url());
        crm.with(|crm| {
            crm.tokens.scope = format!("{crm_url}/.default");
            crm.root = crm_url.clone();
        });
        let folder = tempfile::tempdir().unwrap();
        let mut variables =
            BTreeMap::from([("PIPELINE_STATE", format!("sqlite:{}", folder.path().join("full.db").display()))]);
        erp.with(|erp| {
            variables.insert("ERP_URL", erp_url.clone() + &erp.prefix);
            variables.insert("ERP_TOKEN_URL", erp_url.clone() + &erp.tokens.path);
            variables.insert("ERP_CLIENT_ID", erp.tokens.client_id.clone());
            variables.insert("ERP_CLIENT_SECRET", erp.tokens.client_secret.clone());
        });
        crm.with(|crm| {
            variables.insert("CRM_URL", crm_url.clone());
            variables.insert("CRM_TOKEN_URL", crm_url.clone() + &crm.tokens.path);
            variables.insert("CRM_CLIENT_ID", crm.tokens.client_id.clone());
            variables.insert("CRM_CLIENT_SECRET", crm.tokens.client_secret.clone());
        });
        World { erp, crm, turnstile, folder, variables }
    }

    /// Returns the path of the state.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("full.db")
    }

    /// Opens the state for reading.
    pub fn store(&self) -> SqliteStore<'static> {
        SqliteStore::read_only(&self.state()).unwrap()
    }

    /// Writes a file beside the state.
    pub fn file(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Returns the program with these words as arguments, in the folder, with the variables of the fakes.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline"));
        // The variables of whoever runs the tests must not decide what they show.
        command.current_dir(self.folder.path()).env_clear().envs(&self.variables).args(line.split_whitespace());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, line: &str) -> Answer {
        Answer::of(self.command(line).output().unwrap())
    }

    /// Runs the program to its end where no file may have more than so many blocks.
    pub fn run_limited(&self, blocks: u32, line: &str) -> Answer {
        let mut command = Command::new("sh");
        command.current_dir(self.folder.path()).env_clear().envs(&self.variables);
        command.arg("-c").arg(format!("ulimit -f {blocks}; exec {} {line}", env!("CARGO_BIN_EXE_pipeline")));
        Answer::of(command.stdin(Stdio::null()).output().unwrap())
    }

    /// Starts the program.
    pub fn spawn(&self, line: &str) -> Running {
        Running(Some(self.command(line).spawn().unwrap()))
    }

    /// Returns the files of the state with their bytes.
    pub fn state_files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name.starts_with("full.db") && entry.path().is_file() {
                files.insert(name, std::fs::read(entry.path()).unwrap());
            }
        }
        files
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A test that fails while a request is held would wait for it for ever: the fakes end with their last answer.
        self.turnstile.open();
    }
}

/// The program under way; it is killed where a test ends before it.
pub struct Running(Option<Child>);

impl Running {
    pub fn id(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    /// Tells whether it has not ended yet.
    pub fn runs(&mut self) -> bool {
        self.0.as_mut().unwrap().try_wait().unwrap().is_none()
    }

    /// Kills it, and waits until it is no more.
    pub fn kill(mut self) {
        self.end();
    }

    /// Waits for its end.
    pub fn answer(mut self) -> Answer {
        Answer::of(self.0.take().unwrap().wait_with_output().unwrap())
    }

    fn end(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

fn serve<S: mocks::fault::Faulty>(service: S, turnstile: &Arc<Turnstile>) -> Fake<S> {
    let service = Arc::new(Mutex::new(Gate { service, turnstile: Arc::clone(turnstile) }));
    let faults = Arc::new(Mutex::new(Faults::none()));
    let server = Server::start(Arc::clone(&service), None, Arc::clone(&faults)).unwrap();
    Fake { service, server, faults }
}

/// What the program said and how it ended.
#[derive(Debug)]
pub struct Answer {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    pub fn of(output: Output) -> Answer {
        Answer {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Answer {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Demands a text on stdout; `FOLDER` stands for the world's.
    #[track_caller]
    pub fn prints(self, text: &str, world: &World) -> Answer {
        let text = text.replace("FOLDER", &world.folder.path().to_string_lossy());
        assert!(self.stdout.contains(&text), "no `{text}` in {self:#?}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}
