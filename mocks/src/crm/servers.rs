//! The web servers in front of the organization: each counts by itself what a user asks for, and names itself in a cookie.
//!
//! In: a request. Out: the server that answers it: the one that its cookie names, else the next in turn. So whoever keeps
//! the cookie gets what one server grants, and whoever does not gets what all of them grant.

use super::quota::Spent;
use crate::service::Request;

/// The cookie that names a server.
const COOKIE: &str = "ARRAffinity";

/// One server.
#[derive(Debug)]
pub struct Server {
    number: usize,
    /// What was asked of it.
    pub spent: Spent,
    /// How many requests it has taken.
    pub taken: u64,
}

impl Server {
    fn new(number: usize) -> Server {
        Server { number, spent: Spent::default(), taken: 0 }
    }

    /// Returns what the cookie says of it.
    fn name(&self) -> String {
        format!("4f1c8d0b7a2e{:04x}", self.number)
    }

    /// Returns the header that pins its receiver to this server.
    pub fn cookie(&self) -> String {
        format!("{COOKIE}={};Path=/;HttpOnly;Secure;SameSite=None", self.name())
    }
}

/// All of them.
#[derive(Debug)]
pub struct Servers {
    all: Vec<Server>,
    /// Whose turn it was last.
    turn: usize,
    /// Who answers the request that is under way.
    current: usize,
}

impl Default for Servers {
    fn default() -> Servers {
        Servers::new(1)
    }
}

impl Servers {
    /// Makes so many, of which nothing was asked yet.
    pub fn new(count: usize) -> Servers {
        Servers { all: (0..count.max(1)).map(Server::new).collect(), turn: 0, current: 0 }
    }

    /// Returns the server that answers a request.
    pub fn answering(&mut self, request: &Request) -> &mut Server {
        let named = request.header("cookie").and_then(|cookies| {
            let mut cookies = cookies.split(';').filter_map(|cookie| cookie.trim().split_once('='));
            let (_, name) = cookies.find(|(cookie, _)| *cookie == COOKIE)?;
            self.all.iter().position(|server| server.name() == name)
        });
        self.current = named.unwrap_or_else(|| {
            self.turn = (self.turn + 1) % self.all.len();
            self.turn
        });
        &mut self.all[self.current]
    }

    /// Returns the server that answers the request under way.
    pub fn current(&mut self) -> &mut Server {
        &mut self.all[self.current]
    }

    /// Returns how many requests each has taken.
    pub fn served(&self) -> Vec<u64> {
        self.all.iter().map(|server| server.taken).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_leads_to_its_server_and_without_one_each_has_its_turn() {
        let mut servers = Servers::new(3);
        let request = |cookie: Option<&str>| {
            let headers = cookie.map(|cookie| ("Cookie".to_owned(), format!("a=b; {cookie}"))).into_iter().collect();
            Request { headers, ..Request::default() }
        };
        let mut ask = |cookie: Option<&str>| servers.answering(&request(cookie)).number;
        assert_eq!([None; 4].map(&mut ask), [1, 2, 0, 1]);
        assert_eq!([Some("ARRAffinity=4f1c8d0b7a2e0000"); 3].map(&mut ask), [0, 0, 0]);
        // A server that is gone is named in vain.
        assert_eq!(ask(Some("ARRAffinity=4f1c8d0b7a2e0009")), 2);
    }
}
