//! The program `mocks`: both fakes for the time of a command, or until it is told to stop.
//!
//! `mocks -- COMMAND` starts the fakes on free loopback ports, tells the command where they are by its environment, and
//! ends with the command's exit code. `serve` does the same for whoever reads the lines it prints. With `--data` the
//! records outlive the call, and `add`, `edit` and `show` work on what is kept. Own failures end with 125, as those of `env`
//! and `timeout` do; a command that cannot be run with 126 or 127; one that a signal ended with 128 and its number.

use clap::{Args, Parser, Subcommand};
use mocks::conform::verb::{Asked, conform};
use mocks::crm::quota::Quota;
use mocks::crm::{self, Crm};
use mocks::data::kept::Folder;
use mocks::data::{self, COMPANY, Row, Side, company, files, scaled};
use mocks::erp::{self, Erp};
use mocks::fault::{Fault, Faults};
use rust_decimal::Decimal;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::str::FromStr;
use std::time::Duration;
use uuid::Uuid;

/// Exit code of the program's own failures.
const FAILED: u8 = 125;

/// Fakes of an ERP (Business Central API v2.0) and a CRM (Dataverse Web API) on loopback ports.
///
/// Runs COMMAND with ERP_URL, ERP_TOKEN_URL, ERP_CLIENT_ID, ERP_CLIENT_SECRET and the same for CRM in its environment,
/// NAV_URL, NAV_USER and NAV_ACCESS_KEY for the ERP's OData V4 pages, ODATA_URL, ODATA_USER and ODATA_PASSWORD for the same
/// pages as any OData service,
/// ERP_COMPANY where the company is not the usual one, and PIPELINE_STATE where --data names a folder.
///
/// Exit codes: those of COMMAND; 128 and the signal's number where a signal ended it; 126 or 127 where it could not be
/// run or found; 125 where the fakes themselves failed.
#[derive(Parser)]
#[command(name = "mocks", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    source: Source,
    /// What to run, and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the fakes until SIGINT or SIGTERM; print the environment of a client to stdout.
    Serve {
        #[command(flatten)]
        source: Source,
        /// Port of the ERP; a free one without it.
        #[arg(long, value_name = "N")]
        erp_port: Option<u16>,
        /// Port of the CRM; a free one without it.
        #[arg(long, value_name = "N")]
        crm_port: Option<u16>,
    },
    /// Add a record to those kept as a person would, and print it.
    ///
    /// The side's own rules hold: what it gives on its own is given (a number of its series, defaults), and what it refuses
    /// is refused with its message. Example: mocks add --data DIR erp customers displayName='Jug & Son' city=Bath
    Add {
        #[command(flatten)]
        kept: Kept,
        /// What it holds.
        #[arg(required = true, value_name = "PROP=VALUE")]
        values: Vec<Assignment>,
    },
    /// Change or delete a kept record as a person would.
    ///
    /// The side's own rules hold: references are cleared along with what they lead to, and what it refuses is refused with
    /// its message. Examples: mocks edit --data DIR erp customers number=10000 city=Bath;
    /// mocks edit --data DIR crm accounts accountnumber=10000 --delete
    Edit {
        #[command(flatten)]
        kept: Kept,
        /// Which record: a property that identifies it, as number=10000.
        #[arg(value_name = "KEYPROP=VALUE")]
        key: Assignment,
        /// What to set; nothing after the sign clears the property.
        #[arg(required_unless_present = "delete", value_name = "PROP=VALUE")]
        changes: Vec<Assignment>,
        /// Delete the record instead.
        #[arg(long, conflicts_with = "changes")]
        delete: bool,
    },
    /// Print kept records, one JSON object a line.
    Show {
        #[command(flatten)]
        kept: Kept,
        /// Only the records with that value.
        #[arg(value_name = "KEYPROP=VALUE")]
        key: Option<Assignment>,
    },
    /// Tell which expectations a service does not meet, be it a fake or a real one; exit code 1 where one is not met, 125 where nobody answers.
    ///
    /// Reads only, unless --write allows more. Example, over the ERP's fake: mocks -- mocks conform erp --write
    Conform {
        #[command(subcommand)]
        asked: Asked,
    },
}

/// Where the records come from, and what goes wrong with them.
#[derive(Args)]
struct Source {
    /// Keep the records in this folder, and their addresses as long as nobody else has these; what is kept there already is
    /// used instead of other data.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Start from DIR/erp/SET.csv and DIR/crm/SET.csv.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["records", "seed"])]
    from: Option<PathBuf>,
    /// Start from this many customers, made by formula.
    #[arg(long, value_name = "N")]
    records: Option<usize>,
    /// The seed of the data that is made.
    #[arg(long, value_name = "S", default_value_t = company::SEED)]
    seed: u64,
    /// Let a fault happen, at the Nth request of each side that it can happen to (the first without N); with a plus, from
    /// that one on.
    #[arg(long = "fault", value_name = "NAME[:N[+]]", value_parser = fault)]
    faults: Vec<(Fault, u64, bool)>,
    /// Let each request meet a fault with this probability; the same seed (0 without S) draws the same.
    ///
    /// It is any fault that a caller can outlast. At the end each side's requests and faults are told. Example: mocks --noise 0.05:7 -- pipeline run FILE
    #[arg(long, value_name = "RATE[:S]", value_parser = noise)]
    noise: Option<(f64, u64)>,
    /// Let the CRM grant so many requests in a window of so many seconds (300 without SECONDS), instead of 6,000.
    ///
    /// At the end it is told how many it refused. Example: mocks --quota 60:10 -- pipeline run FILE
    #[arg(long, value_name = "REQUESTS[:SECONDS]", value_parser = quota)]
    quota: Option<(usize, u64)>,
    /// Let the ERP grant so many requests in a window of so many seconds (300 without SECONDS), instead of 6,000.
    ///
    /// It says neither how long to wait nor how much it grants. Example: mocks --erp-quota 60:10 -- pipeline run FILE
    #[arg(long, value_name = "REQUESTS[:SECONDS]", value_parser = quota)]
    erp_quota: Option<(usize, u64)>,
}

impl Source {
    /// The faults of one side.
    fn plan(&self, side: Side) -> Faults {
        let noise = self.noise.map(|(rate, seed)| {
            // Each side draws its own.
            let seed = seed.wrapping_mul(2).wrapping_add(u64::from(side == Side::Crm));
            Faults::noise(seed, rate)
        });
        self.faults.iter().fold(noise.unwrap_or_default(), |plan, (fault, nth, lasts)| match lasts {
            true => plan.from(*fault, *nth),
            false => plan.and(*fault, *nth),
        })
    }
}

/// Records that are kept in a folder.
#[derive(Args)]
struct Kept {
    /// The folder.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// erp or crm.
    side: Side,
    /// The entity set.
    set: String,
}

impl Kept {
    fn records(&self, erp: &erp::State, crm: &crm::State) -> Result<Vec<Row>, String> {
        let (side, set, sets) = (self.side, &self.set, self.side.sets());
        match side {
            _ if !sets.contains(&set.as_str()) => Err(format!("{side}: no set `{set}`; there are {}", sets.join(", "))),
            Side::Erp => Ok(erp.records(set)),
            Side::Crm => Ok(crm.records(set)),
        }
    }

    /// Returns the id of the one record that has a value.
    fn find(&self, key: &Assignment, erp: &erp::State, crm: &crm::State) -> Result<Uuid, String> {
        let found: Vec<Row> = self.records(erp, crm)?.into_iter().filter(|record| key.holds(record)).collect();
        let [record] = &found[..] else {
            return Err(format!("{} of {} have {}={}", found.len(), self.set, key.property, key.value));
        };
        // On both sides a record begins with its id.
        let id = record.values().next().and_then(Value::as_str).and_then(|id| Uuid::parse_str(id).ok());
        id.ok_or_else(|| "the record has no id".to_owned())
    }
}

/// A property and a value, in text.
#[derive(Clone)]
struct Assignment {
    property: String,
    value: String,
}

impl Assignment {
    /// Whether a record has that value; a blank one may be absent.
    fn holds(&self, record: &Row) -> bool {
        match record.get(&self.property) {
            Some(Value::String(text)) => *text == self.value,
            Some(Value::Null) | None => self.value.is_empty(),
            Some(Value::Bool(flag)) => flag.to_string() == self.value,
            // By value: money has four decimals on the one side and few on the other.
            Some(Value::Number(number)) => {
                let wanted = Decimal::from_str(&self.value);
                wanted.is_ok_and(|wanted| Decimal::from_str(number.as_str()) == Ok(wanted))
            }
            Some(Value::Array(_) | Value::Object(_)) => false,
        }
    }
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (property, value) = text.split_once('=').ok_or("a property, an equals sign and a value are expected")?;
        Ok(Assignment { property: property.to_owned(), value: value.to_owned() })
    }
}

fn fault(text: &str) -> Result<(Fault, u64, bool), String> {
    let (name, nth) = text.split_once(':').unwrap_or((text, "1"));
    let (nth, lasts) = nth.strip_suffix('+').map_or((nth, false), |nth| (nth, true));
    let fault = name.parse::<Fault>().map_err(|error| error.to_string())?;
    match nth.parse() {
        Ok(nth) if nth > 0 => Ok((fault, nth, lasts)),
        _ => Err(format!("`{nth}` is no count of requests")),
    }
}

fn noise(text: &str) -> Result<(f64, u64), String> {
    let (rate, seed) = text.split_once(':').unwrap_or((text, "0"));
    let rate = rate.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
    let rate = rate.ok_or_else(|| format!("`{text}` does not begin with a probability from 0 to 1"))?;
    Ok((rate, seed.parse().map_err(|_| format!("`{seed}` is no seed: a whole number is expected"))?))
}

fn quota(text: &str) -> Result<(usize, u64), String> {
    let (requests, seconds) = text.split_once(':').unwrap_or((text, "300"));
    match (requests.parse(), seconds.parse()) {
        (Ok(requests), Ok(seconds)) if requests > 0 && seconds > 0 => Ok((requests, seconds)),
        _ => Err(format!("`{text}` is no count of requests, a colon and seconds")),
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { FAILED } else { 0 };
            // Nothing is left to be told where even this cannot be printed.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let result = match cli.verb {
        None => run(&cli.source, &cli.command),
        Some(Verb::Serve { source, erp_port, crm_port }) => serve(&source, erp_port, crm_port),
        Some(Verb::Add { kept, values }) => add(&kept, &values),
        Some(Verb::Edit { kept, key, delete: true, .. }) => delete(&kept, &key),
        Some(Verb::Edit { kept, key, changes, delete: false }) => edit(&kept, &key, &changes),
        Some(Verb::Show { kept, key }) => show(&kept, key.as_ref()),
        Some(Verb::Conform { asked }) => conform(&asked).and_then(|(text, met)| {
            print(&text)?;
            Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }),
    };
    result.unwrap_or_else(|message| {
        talk(&message);
        ExitCode::from(FAILED)
    })
}

/// Runs a command against the fakes.
fn run(source: &Source, command: &[OsString]) -> Result<ExitCode, String> {
    // From here on a signal waits in a queue, so none can end this program before the command and before the records
    // are kept.
    let mut signals = Signals::new([SIGCHLD, SIGHUP, SIGINT, SIGTERM]).map_err(|error| error.to_string())?;
    let fakes = Fakes::start(source, None, None)?;
    let (program, arguments) = command.split_first().ok_or("no command")?;
    // What came before there was a command cannot be handed on to it; it is obeyed here.
    if let Some(signal) = signals.pending().find(|signal| *signal != SIGCHLD) {
        fakes.stop()?;
        return Ok(ExitCode::from(ended_by(signal)));
    }
    let mut child = Command::new(program);
    child.args(arguments).env_remove("ERP_COMPANY").envs(fakes.environment());
    let code = match child.spawn() {
        Ok(mut child) => exit_code(wait(&mut child, &mut signals)?),
        Err(error) => {
            talk(&format!("{}: {error}", program.display()));
            if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
        }
    };
    fakes.stop()?;
    Ok(ExitCode::from(code))
}

/// Runs the fakes until a signal comes.
fn serve(source: &Source, erp_port: Option<u16>, crm_port: Option<u16>) -> Result<ExitCode, String> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).map_err(|error| error.to_string())?;
    let fakes = Fakes::start(source, erp_port, crm_port)?;
    let lines: String = fakes.environment().iter().map(|(name, value)| format!("{name}={}\n", quoted(value))).collect();
    print(&lines)?;
    signals.forever().next();
    fakes.stop()?;
    Ok(ExitCode::SUCCESS)
}

fn add(kept: &Kept, values: &[Assignment]) -> Result<ExitCode, String> {
    let (folder, mut erp, mut crm) = Folder::open_kept(&kept.data)?;
    // An unknown set is told as every verb tells it.
    kept.records(&erp, &crm)?;
    let id = match kept.side {
        Side::Erp => erp.insert(&kept.set, &row(values)).map_err(|refusal| refusal.message)?,
        Side::Crm => crm.insert(&kept.set, &row(values)).map_err(|error| error.message)?,
    };
    folder.save(&erp, &crm)?;
    let added = match kept.side {
        Side::Erp => erp.record(&kept.set, id),
        Side::Crm => crm.record(&kept.set, id),
    };
    print(&added.map(|record| Value::Object(record).to_string() + "\n").unwrap_or_default())?;
    Ok(ExitCode::SUCCESS)
}

fn edit(kept: &Kept, key: &Assignment, changes: &[Assignment]) -> Result<ExitCode, String> {
    let (folder, mut erp, mut crm) = Folder::open_kept(&kept.data)?;
    let (id, changes) = (kept.find(key, &erp, &crm)?, row(changes));
    match kept.side {
        Side::Erp => erp.edit(&kept.set, id, &changes).map_err(|refusal| refusal.message)?,
        Side::Crm => crm.edit(&kept.set, id, &changes).map_err(|error| error.message)?,
    }
    folder.save(&erp, &crm)?;
    Ok(ExitCode::SUCCESS)
}

fn delete(kept: &Kept, key: &Assignment) -> Result<ExitCode, String> {
    let (folder, mut erp, mut crm) = Folder::open_kept(&kept.data)?;
    let id = kept.find(key, &erp, &crm)?;
    match kept.side {
        Side::Erp => erp.delete(&kept.set, id).map_err(|refusal| refusal.message)?,
        Side::Crm => crm.delete(&kept.set, id).map_err(|error| error.message)?,
    }
    folder.save(&erp, &crm)?;
    Ok(ExitCode::SUCCESS)
}

fn row(assignments: &[Assignment]) -> Row {
    assignments.iter().map(|given| (given.property.clone(), Value::String(given.value.clone()))).collect()
}

fn show(kept: &Kept, key: Option<&Assignment>) -> Result<ExitCode, String> {
    let (_folder, erp, crm) = Folder::open_kept(&kept.data)?;
    let records = kept.records(&erp, &crm)?.into_iter().filter(|record| key.is_none_or(|key| key.holds(record)));
    let lines: String = records.map(|record| Value::Object(record).to_string() + "\n").collect();
    print(&lines)?;
    Ok(ExitCode::SUCCESS)
}

/// Both fakes, running.
struct Fakes {
    erp: Erp,
    crm: Crm,
    folder: Option<Folder>,
    noise: bool,
    quota: bool,
    erp_quota: bool,
}

impl Fakes {
    fn start(source: &Source, erp_port: Option<u16>, crm_port: Option<u16>) -> Result<Self, String> {
        let folder = source.data.as_deref().map(Folder::open).transpose()?;
        let kept = folder.as_ref().map(Folder::load).transpose()?.flatten();
        let (mut erp, mut crm) = match kept {
            Some(kept) => {
                if source.from.is_some() || source.records.is_some() {
                    talk("the folder of --data has records already; they are used, and no others made");
                }
                kept
            }
            None => fresh(source)?,
        };
        if let Some((requests_max, seconds)) = source.quota {
            crm.quota = Quota { requests_max, window: Duration::from_secs(seconds), ..Quota::default() };
        }
        if let Some((requests_max, seconds)) = source.erp_quota {
            let window = Duration::from_secs(seconds);
            erp.quota = erp::quota::Quota { requests_max, window, ..erp::quota::Quota::default() };
        }
        let [erp_kept, crm_kept] = folder.as_ref().map_or(Ok([None; 2]), Folder::ports)?;
        let wrong = |side, error| format!("{side}: cannot start: {error}");
        let port = port_of(Side::Erp, erp_port, erp_kept);
        let erp = Erp::start(erp, erp::Options { port, faults: source.plan(Side::Erp) })
            .map_err(|error| wrong(Side::Erp, error))?;
        let port = port_of(Side::Crm, crm_port, crm_kept);
        let crm = Crm::start(crm, crm::Options { port, faults: source.plan(Side::Crm) })
            .map_err(|error| wrong(Side::Crm, error))?;
        if let Some(folder) = &folder {
            folder.keep_ports([erp.port(), crm.port()])?;
        }
        Ok(Fakes {
            erp,
            crm,
            folder,
            noise: source.noise.is_some(),
            quota: source.quota.is_some(),
            erp_quota: source.erp_quota.is_some(),
        })
    }

    /// What a client has to know, as names and values of its environment.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = vec![
            ("ERP_URL", self.erp.url()),
            ("ERP_TOKEN_URL", self.erp.token_url()),
            ("ERP_CLIENT_ID", self.erp.client_id()),
            ("ERP_CLIENT_SECRET", self.erp.client_secret()),
            ("NAV_URL", self.erp.nav_url()),
            ("NAV_USER", self.erp.nav_login().0),
            ("NAV_ACCESS_KEY", self.erp.nav_login().1),
            ("ODATA_URL", self.erp.nav_url() + "/ODataV4"),
            ("ODATA_USER", self.erp.nav_login().0),
            ("ODATA_PASSWORD", self.erp.nav_login().1),
            ("CRM_URL", self.crm.url()),
            ("CRM_TOKEN_URL", self.crm.token_url()),
            ("CRM_CLIENT_ID", self.crm.client_id()),
            ("CRM_CLIENT_SECRET", self.crm.client_secret()),
        ];
        let company = self.erp.company();
        if company != COMPANY {
            environment.push(("ERP_COMPANY", company.clone()));
            environment.push(("NAV_COMPANY", company));
        }
        if let Some(folder) = &self.folder {
            environment.push(("PIPELINE_STATE", format!("sqlite:{}", folder.path().join("full.db").display())));
        }
        environment
    }

    /// Keeps the records, and says what was asked of each side.
    fn stop(self) -> Result<(), String> {
        if let Some(folder) = &self.folder {
            self.erp.with(|erp| self.crm.with(|crm| folder.save(erp, crm)))?;
        }
        for (side, counts) in [(Side::Erp, self.erp.counts()), (Side::Crm, self.crm.counts())] {
            talk(&format!("{side}: {} reads, {} writes, {} tokens", counts.reads, counts.writes, counts.tokens));
        }
        if self.noise {
            talk(&format!("erp: {}", met(&self.erp.faults())));
            talk(&format!("crm: {}", met(&self.crm.faults())));
        }
        let quotas = [(self.erp_quota, Side::Erp, self.erp.counts()), (self.quota, Side::Crm, self.crm.counts())];
        for (_, side, counts) in quotas.into_iter().filter(|(asked, ..)| *asked) {
            let (refused, again) = (counts.throttled, counts.throttled_again);
            talk(&format!("{side}: {refused} refused by the quota, {again} of them twice in a row"));
        }
        Ok(())
    }
}

/// Returns the port to start on: the one that is asked for, else the one that was kept, as long as nobody else has it.
fn port_of(side: Side, asked: Option<u16>, kept: Option<u16>) -> Option<u16> {
    let taken = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_err();
    if let (None, Some(port)) = (asked, kept.filter(taken)) {
        talk(&format!("{side}: port {port}, where it was before, is somebody else's; it has another address now"));
        return None;
    }
    asked.or(kept)
}

/// What went wrong, as `412 requests, 3 faults: 2 throttled, 1 half-batch`.
fn met(faults: &Faults) -> String {
    let kinds: Vec<String> = faults.applied().iter().map(|(fault, count)| format!("{count} {fault}")).collect();
    let sum: u64 = faults.applied().values().sum();
    let colon = if kinds.is_empty() { "" } else { ": " };
    format!("{} requests, {sum} faults{colon}{}", faults.requests(), kinds.join(", "))
}

/// Makes the records of a first start.
fn fresh(source: &Source) -> Result<(erp::State, crm::State), String> {
    let (mut erp, mut crm) = (erp::State::default(), crm::State::default());
    match (&source.from, source.records) {
        (Some(folder), _) => {
            files::load(folder, &mut erp, &mut crm)?;
            for (side, adjusted) in [(Side::Erp, erp.adjusted()), (Side::Crm, crm.adjusted())] {
                for (what, count) in adjusted {
                    talk(&format!("{side}: {what}: {count} times"));
                }
            }
        }
        (None, Some(records)) => data::fill(scaled::scaled(records, source.seed), &mut erp, &mut crm)?,
        (None, None) => data::fill(company::company(source.seed), &mut erp, &mut crm)?,
    }
    Ok((erp, crm))
}

/// Waits for the command, and hands on the signals that it did not get itself.
fn wait(child: &mut Child, signals: &mut Signals) -> Result<ExitStatus, String> {
    let pid = Pid::from_child(child);
    // What is typed at a terminal reaches the command too, being of the same process group; twice would be too often.
    let typed = io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal();
    let mut arrived = signals.forever();
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok(status);
        }
        let signal = match arrived.next() {
            Some(SIGTERM) => Signal::TERM,
            Some(SIGHUP) if !typed => Signal::HUP,
            Some(SIGINT) if !typed => Signal::INT,
            _ => continue,
        };
        // It may just have ended; then the next turn finds out.
        let _ = kill_process(pid, signal);
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(FAILED),
        (None, Some(signal)) => ended_by(signal),
        (None, None) => FAILED,
    }
}

/// The exit code that shells give to a program that a signal ended.
fn ended_by(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(FAILED)
}

/// Quotes a value for a shell, where it needs to be.
fn quoted(value: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:@%+=,".contains(letter);
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', "'\\''"))
    }
}

fn print(text: &str) -> Result<(), String> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads no further has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| format!("stdout: {error}")),
    }
}

fn talk(message: &str) {
    // A closed stderr is no reason to lose records.
    let _ = writeln!(io::stderr(), "mocks: {message}");
}
