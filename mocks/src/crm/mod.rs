//! A stateful fake of a CRM: the Dataverse Web API with the tables of customers, contacts, products and prices.
//!
//! [`State`] is the CRM itself, a pure state machine from request to response; [`Crm`] is one on a loopback port. As
//! strict as the real service: what that refuses, this refuses, with the same status, code and body. Changes are
//! tracked (`odata.track-changes`) of the standard tables that come so; the bulk messages `CreateMultiple` and
//! `UpdateMultiple` are there for the tables that the organization has them for. It knows nothing of who uses it.

mod address;
mod batch;
pub mod bulk;
pub mod caller;
mod condition;
mod csdl;
mod definition;
pub mod error;
mod kept;
mod metadata;
mod picture;
mod prefer;
pub mod privilege;
mod query;
pub mod quota;
mod read;
mod reply;
mod rules;
mod sales;
pub mod schema;
mod seed;
mod serve;
pub mod servers;
mod state;
mod store;
mod tables;
mod tracking;
mod value;
mod write;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use error::Error;
pub use state::State;

use crate::fault::Faults;
use crate::log;
use crate::net::Server;

/// How a fake is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The port of 127.0.0.1, or any free one.
    pub port: Option<u16>,
    pub faults: Faults,
}

/// The CRM on a loopback port; it stops when dropped.
pub struct Crm {
    state: Arc<Mutex<State>>,
    faults: Arc<Mutex<Faults>>,
    server: Server,
}

impl Crm {
    /// Starts to serve a state; the token endpoint is on the same port.
    pub fn start(mut state: State, options: Options) -> io::Result<Crm> {
        state.settle();
        let (state, faults) = (Arc::new(Mutex::new(state)), Arc::new(Mutex::new(options.faults)));
        // Nobody knows the address before this returns, so no request can meet the wrong root.
        let server = Server::start(state.clone(), options.port, faults.clone())?;
        let crm = Crm { state, faults, server };
        let url = crm.url();
        crm.with(|state| {
            state.tokens.scope = format!("{url}/.default");
            state.root = url;
        });
        Ok(crm)
    }

    /// Returns the port of 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Returns the service's root, to which `/api/data/v9.2` is added.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Returns the address of the token endpoint.
    pub fn token_url(&self) -> String {
        format!("{}{}", self.server.url(), self.lock().tokens.path)
    }

    /// Returns the client id that gets tokens.
    pub fn client_id(&self) -> String {
        self.lock().tokens.client_id.clone()
    }

    /// Returns the client secret that gets tokens.
    pub fn client_secret(&self) -> String {
        self.lock().tokens.client_secret.clone()
    }

    /// Gives the log of what arrived.
    pub fn log(&self) -> log::Shared {
        self.lock().log()
    }

    /// Returns the sums of what arrived.
    pub fn counts(&self) -> log::Counts {
        let log = self.log();
        log.lock().unwrap_or_else(PoisonError::into_inner).counts()
    }

    /// Looks at the state or changes it, between two requests.
    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.lock())
    }

    /// Replaces the fault plan.
    pub fn set_faults(&self, faults: Faults) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Returns the fault plan with what of it has happened.
    pub fn faults(&self) -> Faults {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
