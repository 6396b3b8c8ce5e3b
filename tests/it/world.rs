//! Both fakes with the default company, and our end of the wire to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mocks::crm::Crm;
use mocks::erp::Erp;
use mocks::fault::Faults;
use mocks::{crm, data, erp};
use pipeline::adapters;
use pipeline::adapters::clock::{Clock, Patience};
use pipeline::config::{
    Adapter, Auth, Bypass, ClientCredentials, Connection, Features, Limits, Proof, SecretSource, Side,
};
use pipeline::endpoint::{Endpoint, Outcome, Query, TableInfo, Write, WriteKind};
use pipeline::frame::{Frame, Value};
use serde_json::Map;
use uuid::Uuid;

/// The custom page of the ERP.
pub const RESOURCES: &str = "contoso/crm/v1.0/resources";

/// The default company on both fakes, and our end of the wire.
pub struct World {
    pub erp: Erp,
    pub crm: Crm,
}

/// A clock whose waits are real only as far as the fakes insist on them.
struct Quick(Instant);

impl Clock for Quick {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&self, wait: Duration) {
        std::thread::sleep(wait);
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}

/// Starts both fakes with the default company.
pub fn world() -> World {
    let (mut erp, mut crm) = (erp::State::default(), crm::State::default());
    erp.set_local_currency(data::LOCAL_CURRENCY);
    crm.set_base_currency(data::LOCAL_CURRENCY).unwrap();
    data::fill(data::company::company(1), &mut erp, &mut crm).unwrap();
    World {
        erp: Erp::start(erp, erp::Options::default()).unwrap(),
        crm: Crm::start(crm, crm::Options::default()).unwrap(),
    }
}

impl World {
    /// Returns how to reach a side.
    pub fn connection(&self, side: Side) -> Connection {
        match side {
            Side::Erp => Connection {
                adapter: Adapter::BusinessCentral,
                url: self.erp.url(),
                company: Some(self.erp.company()),
                auth: Auth::OAuth2(ClientCredentials {
                    token_url: self.erp.token_url(),
                    client_id: self.erp.client_id(),
                    proof: Proof::Secret(SecretSource::given(self.erp.client_secret())),
                    scope: "https://api.businesscentral.dynamics.com/.default".to_owned(),
                }),
                limits: Limits { concurrency: 5, requests: 6000, per_seconds: 300, batch: 100, page: 70 },
                features: Features { bulk: false, change_tracking: false, bypass: Bypass::default() },
                act_as: None,
                keys: BTreeMap::new(),
                options: BTreeMap::new(),
                ca_file: None,
                authorities: Vec::new(),
            },
            Side::Crm => Connection {
                adapter: Adapter::Dataverse,
                url: self.crm.url(),
                company: None,
                auth: Auth::OAuth2(ClientCredentials {
                    token_url: self.crm.token_url(),
                    client_id: self.crm.client_id(),
                    proof: Proof::Secret(SecretSource::given(self.crm.client_secret())),
                    scope: format!("{}/.default", self.crm.url()),
                }),
                limits: Limits { concurrency: 8, requests: 6000, per_seconds: 300, batch: 1000, page: 70 },
                features: Features { bulk: true, change_tracking: true, bypass: Bypass::default() },
                act_as: None,
                keys: BTreeMap::new(),
                options: BTreeMap::new(),
                ca_file: None,
                authorities: Vec::new(),
            },
        }
    }

    /// Returns how to reach the ERP by its OData V4 pages, as NAV serves them.
    pub fn nav(&self) -> Connection {
        let (user, password) = self.erp.nav_login();
        Connection {
            adapter: Adapter::Nav,
            url: self.erp.nav_url(),
            auth: Auth::Basic { user, password: SecretSource::given(password) },
            limits: Limits { batch: 1, ..self.connection(Side::Erp).limits },
            ..self.connection(Side::Erp)
        }
    }

    /// Opens a side.
    pub fn endpoint(&self, side: Side) -> Box<dyn Endpoint> {
        open(side, &self.connection(side))
    }

    /// Returns what a fake holds.
    pub fn records(&self, side: Side, set: &str) -> Vec<Map<String, serde_json::Value>> {
        match side {
            Side::Erp => self.erp.with(|state| state.records(set)),
            Side::Crm => self.crm.with(|state| state.records(set)),
        }
    }

    /// Replaces the fault plan of a side.
    pub fn set_faults(&self, side: Side, faults: Faults) {
        match side {
            Side::Erp => self.erp.set_faults(faults),
            Side::Crm => self.crm.set_faults(faults),
        }
    }

    /// Returns the fault plan of a side with what happened.
    pub fn faults(&self, side: Side) -> Faults {
        match side {
            Side::Erp => self.erp.faults(),
            Side::Crm => self.crm.faults(),
        }
    }
}

/// Opens a connection with little patience.
pub fn open(side: Side, connection: &Connection) -> Box<dyn Endpoint> {
    let patience = Patience { attempts: 4, base_ms: 5, cap_ms: 20, retry_after_cap_ms: 5_000, ..Patience::default() };
    adapters::open(side, connection, patience, Arc::new(Quick(Instant::now())))
}

/// Returns what a connection to a fake is logged in with.
pub fn login(connection: &mut Connection) -> &mut ClientCredentials {
    match &mut connection.auth {
        Auth::OAuth2(credentials) => credentials,
        other => panic!("both fakes give tokens, and this is {other:?}"),
    }
}

/// Returns names as the port wants them.
pub fn names(columns: &[&str]) -> Vec<String> {
    columns.iter().map(|column| (*column).to_owned()).collect()
}

/// Asks for all records of a table.
pub fn query<'a>(info: &'a TableInfo, columns: &[&str]) -> Query<'a> {
    Query { info, columns: names(columns), filter: None, ids: None }
}

/// Reads all records of a table.
pub fn read(endpoint: &dyn Endpoint, table: &str, columns: &[&str]) -> Frame {
    let info = endpoint.describe(table).unwrap();
    endpoint.read(&query(&info, columns), &|_| {}).unwrap()
}

/// Makes a text.
pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Makes an insert with an id of its own.
pub fn insert(id: u128, fields: &[(&str, Value)]) -> Write {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Write {
        kind: WriteKind::Insert,
        id: Uuid::from_u128(0x1111_0000_0000_4000_8000_0000_0000_0000 | id),
        etag: None,
        fields,
    }
}

/// Makes an update.
pub fn update(id: Uuid, etag: Option<String>, fields: &[(&str, Value)]) -> Write {
    Write { kind: WriteKind::Update, id, etag, ..insert(0, fields) }
}

/// Makes a deletion.
pub fn delete(id: Uuid, etag: Option<String>) -> Write {
    Write { kind: WriteKind::Delete, id, etag, ..insert(0, &[]) }
}

/// Returns the message of a refusal.
pub fn refusal(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Refused { message } => message,
        other => panic!("{other:?} is no refusal"),
    }
}
