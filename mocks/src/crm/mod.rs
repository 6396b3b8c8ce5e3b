//! A stateful fake of a CRM: the Dataverse Web API with the tables of customers, contacts, products and prices.
//!
//! [`State`] is the CRM itself, a pure state machine from request to response; [`Crm`] is one on a loopback port. As
//! strict as the real service: what that refuses, this refuses, with the same status, code and body. Change tracking
//! (`odata.track-changes`) and the bulk messages (`CreateMultiple` and its kin) are answered like a service where neither
//! is enabled. It knows nothing of who uses it.

mod address;
mod batch;
mod condition;
mod error;
mod metadata;
mod prefer;
mod query;
mod reply;
mod rules;
pub mod schema;
mod serve;
mod state;
mod store;
mod value;
mod write;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use state::{CLIENT_ID, CLIENT_SECRET, State, TENANT};

use crate::fault::Faults;
use crate::log;
use crate::net::Server;

/// How to serve a CRM.
#[derive(Debug, Default)]
pub struct Options {
    /// The port of 127.0.0.1, or a free one.
    pub port: Option<u16>,
    pub faults: Faults,
}

/// A CRM on a loopback port; it stops when dropped.
pub struct Crm {
    state: Arc<Mutex<State>>,
    faults: Arc<Mutex<Faults>>,
    log: log::Shared,
    server: Server,
}

impl Crm {
    /// Serves a CRM. The token endpoint is on the same port, under its usual path.
    pub fn start(state: State, options: Options) -> io::Result<Crm> {
        let log = state.log.clone();
        let state = Arc::new(Mutex::new(state));
        let faults = Arc::new(Mutex::new(options.faults));
        // Nobody knows the address before `start` returns, so no request can meet the wrong root.
        let server = Server::start(state.clone(), options.port, faults.clone())?;
        let crm = Crm { state, faults, log, server };
        let url = crm.url();
        crm.with(|state| {
            state.tokens.scope = format!("{url}/.default");
            state.root = url;
        });
        Ok(crm)
    }

    /// Returns the root of the service, without `/api/data/v9.2`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Returns the URL of the token endpoint.
    pub fn token_url(&self) -> String {
        self.url() + &self.with(|state| state.tokens.path.clone())
    }

    /// Returns the client id that gets tokens.
    pub fn client_id(&self) -> String {
        self.with(|state| state.tokens.client_id.clone())
    }

    /// Returns the client secret that gets tokens.
    pub fn client_secret(&self) -> String {
        self.with(|state| state.tokens.client_secret.clone())
    }

    /// Looks at what has arrived so far.
    pub fn log(&self) -> MutexGuard<'_, log::Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the CRM, or changes it as a person would; no request is answered meanwhile.
    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the plan of faults, whatever is left of the old one.
    pub fn set_faults(&self, faults: Faults) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Looks at the plan of faults, to see which have happened.
    pub fn faults<T>(&self, look: impl FnOnce(&Faults) -> T) -> T {
        look(&self.faults.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
