//! A request, a response, and what turns one into the other; no network here.

/// An HTTP request as a fake sees it.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The verb, in capitals.
    pub method: String,
    /// The path and the query as they came over the wire, still percent-encoded.
    pub target: String,
    /// Header names as sent; compare them without regard to case.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
}

impl Request {
    /// Returns the first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// An HTTP response as a fake makes it.
#[derive(Debug, Clone, Default)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// A stateful fake: one request in, one response out.
pub trait Service: Send + 'static {
    /// Answers one request and changes the state as the real service would.
    fn answer(&mut self, request: &Request) -> Response;
}
