//! The door to the HTTP client: one request out, one answer or the reason why there is none.
//!
//! In go an address, headers and perhaps a body; out comes an answer of any status, read to its end. Nothing here is
//! repeated, throttled or understood; how far a failed request came is told, because that decides what may be repeated.

use std::io::Read;
use std::time::Duration;

use serde::de::IgnoredAny;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::adapters::odata::amiss::Amiss;
use crate::adapters::odata::fault::{self, Fault};
use crate::adapters::odata::link;

/// More than any page or batch answer has; what is larger is no answer of these services.
const BODY_BYTES_MAX: u64 = 1 << 28;

/// What some programs begin a text with, and no JSON does (RFC 8259 §8.1).
const MARK: &[u8] = "\u{feff}".as_bytes();

/// The connections to one host or a few, shared by all threads.
#[derive(Clone)]
pub struct Agent {
    connections: ureq::Agent,
    /// How long an answer may take to begin, and again to end.
    pub answer_max: Duration,
}

/// An answer, whatever its status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns the first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Returns what a service said went wrong, or what came in place of that.
    pub fn fault(&self) -> Fault {
        let fault = Fault::read(self.status, &self.body);
        let instead = match self.elsewhere() {
            Some(elsewhere) => {
                format!("it sends us on to {elsewhere}; if the service has moved there, write that as `url`")
            }
            None if self.is_page() => "a page of HTML, as a gateway or a sign-in page gives".to_owned(),
            None => String::new(),
        };
        Fault { instead, ..fault }
    }

    /// Returns where an answer sends us on to, by host: what stands behind it may hold what nobody should read.
    pub fn elsewhere(&self) -> Option<String> {
        let target = self.header("location").filter(|_| (300..400).contains(&self.status))?;
        Some(match link::origin(target) {
            Some((scheme, host, port)) => format!("{scheme}://{host}:{port}"),
            None => "another address of its own".to_owned(),
        })
    }

    /// Returns the body as a text.
    pub fn text(&self) -> Result<&str, Amiss> {
        std::str::from_utf8(&self.body).map_err(|_| Amiss::Broken("the answer is no UTF-8".to_owned()))
    }

    /// Tells whether it is a page for people instead of data.
    pub fn is_page(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.to_ascii_lowercase().contains("html"))
    }

    /// Tells whether it is no data at all, and no part of any: a page for people, nothing, or what another program made.
    pub fn is_no_data(&self) -> bool {
        self.is_page() || self.body.is_empty() || self.body.starts_with(MARK)
    }

    /// Says what stands there in place of JSON, shortened; `None` where it is JSON.
    pub fn no_json(&self) -> Option<String> {
        const SHOWN_CHARS: usize = 60;
        if self.body.is_empty() {
            return Some("it is empty".to_owned());
        }
        if serde_json::from_slice::<IgnoredAny>(&self.body).is_ok() {
            return None;
        }
        if self.body.starts_with(MARK) {
            return Some("it begins with a byte order mark".to_owned());
        }
        let head = String::from_utf8_lossy(&self.body[..self.body.len().min(4 * SHOWN_CHARS)]).into_owned();
        let shown: String = head.chars().take(SHOWN_CHARS).collect();
        Some(format!("it begins with `{}`", fault::legible(&shown)))
    }

    /// Tells whether the status says that all is well.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Returns the first of some headers that has that name, whatever its case.
pub fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// A request that got no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    pub message: String,
    pub reach: Reach,
}

/// How far a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Not out of this program: the address or a header cannot be sent.
    Unsendable,
    /// No connection came about.
    Unconnected,
    /// Nor did one there: the other end does not prove that it is who it should be, and nothing was said to it.
    Distrusted,
    /// The other end may have seen it.
    Sent,
    /// The same, but no way leads there now: a connection that stood says so as one that never came about does.
    Away,
    /// The other end may have seen it, and took longer over it than we wait.
    Unanswered,
    /// The other end answers without end.
    Endless,
}

/// Makes the agent for what stands at an address. Cookies are off by build (they would pin us to one server, crm-api.md §15),
/// redirects by setting: a service that moves must be configured anew, since the token would go along. An answer may take so
/// long to begin, and again to end. Besides the public ones these `authorities` are trusted, by their certificates.
pub fn agent(url: &str, concurrency: usize, answer_max: Duration, authorities: &[Vec<u8>]) -> Agent {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let mut config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(concat!("pipeline/", env!("CARGO_PKG_VERSION")))
        .max_idle_connections(concurrency + 2)
        .max_idle_connections_per_host(concurrency + 2)
        .timeout_resolve(seconds(20))
        .timeout_connect(seconds(20))
        .timeout_send_body(seconds(300))
        .timeout_recv_response(Some(answer_max))
        .timeout_recv_body(Some(answer_max));
    let host = link::host(url);
    if host == "localhost" || host == "[::1]" || host.starts_with("127.") {
        // No proxy of the environment leads to this very machine.
        config = config.proxy(None);
    }
    if !authorities.is_empty() {
        let public = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(AsRef::as_ref);
        let all = public.chain(authorities.iter().map(Vec::as_slice));
        let all = all.map(|certificate| Certificate::from_der(certificate).to_owned());
        config = config.tls_config(TlsConfig::builder().root_certs(RootCerts::from(all)).build());
    }
    Agent { connections: config.build().into(), answer_max }
}

/// Sends one request.
pub fn send<'a>(
    agent: &Agent,
    method: &str,
    url: &str,
    headers: impl Iterator<Item = (&'a str, &'a str)>,
    body: Option<&[u8]>,
) -> Result<Answer, Broken> {
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let unsendable = |error: ureq::http::Error| Broken {
        message: format!("the request cannot be sent: {error}"),
        reach: Reach::Unsendable,
    };
    let response = match body {
        Some(body) => agent.connections.run(request.body(body).map_err(unsendable)?),
        None => agent.connections.run(request.body(()).map_err(unsendable)?),
    };
    let (parts, mut body) = response.map_err(broken)?.into_parts();
    // A body that is shorter than announced is an error here already; one without announced length is for `parse`.
    let mut bytes = Vec::new();
    // The client's own limit is one for what comes over the wire, which a body may be a thousandth of.
    let mut unpacked = body.with_config().reader().take(BODY_BYTES_MAX + 1);
    unpacked.read_to_end(&mut bytes).map_err(|error| broken(error.into()))?;
    if bytes.len() as u64 > BODY_BYTES_MAX {
        let message = format!("its answer has no end: it is longer than {} MiB", BODY_BYTES_MAX >> 20);
        return Err(Broken { message, reach: Reach::Endless });
    }
    let headers = parts
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    Ok(Answer { status: parts.status.as_u16(), headers, body: bytes })
}

/// Classifies an error: only a connection that never came about proves that nothing was sent.
fn broken(error: ureq::Error) -> Broken {
    use std::io::ErrorKind;
    use ureq::{Error, Timeout};
    let (message, reach) = match &error {
        Error::HostNotFound => ("the host is not known".to_owned(), Reach::Unconnected),
        Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
            ("the connection was refused".to_owned(), Reach::Unconnected)
        }
        Error::ConnectionFailed
        | Error::ConnectProxyFailed(_)
        | Error::InvalidProxyUrl
        | Error::TlsRequired
        | Error::Timeout(Timeout::Resolve | Timeout::Connect) => (error.to_string(), Reach::Unconnected),
        // Certificates are looked at before anything is said.
        other if other.to_string().contains(CERTIFICATE) => (certificate(&other.to_string()), Reach::Distrusted),
        other if other.to_string().contains("received corrupt message of type InvalidContentType") => {
            ("it does not speak TLS, as `https://` asks for".to_owned(), Reach::Unconnected)
        }
        Error::Io(error)
            if matches!(
                error.kind(),
                ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable | ErrorKind::NetworkDown
            ) =>
        {
            ("no way leads there".to_owned(), Reach::Away)
        }
        Error::Timeout(Timeout::RecvResponse | Timeout::RecvBody) => {
            ("it did not answer in time".to_owned(), Reach::Unanswered)
        }
        Error::BadUri(_) | Error::Http(_) | Error::RequireHttpsOnly(_) => (error.to_string(), Reach::Unsendable),
        Error::Io(error)
            if matches!(
                error.kind(),
                ErrorKind::UnexpectedEof
                    | ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
            ) =>
        {
            ("the connection was cut".to_owned(), Reach::Sent)
        }
        // What the client says of these speaks of its own insides.
        Error::Decompress(..) => ("its answer cannot be unpacked".to_owned(), Reach::Sent),
        Error::LargeResponseHeader(..) => ("the head of its answer has no end".to_owned(), Reach::Sent),
        Error::Protocol(_) => ("what came is no answer of HTTP".to_owned(), Reach::Sent),
        other => (other.to_string(), Reach::Sent),
    };
    Broken { message, reach }
}

/// What the client begins with where it does not trust a certificate.
const CERTIFICATE: &str = "invalid peer certificate: ";

/// Says why a certificate is not trusted; the client knows names of errors for that, and sentences for some of them.
fn certificate(error: &str) -> String {
    const REASONS: [(&[&str], &str); 6] = [
        (&["CaUsedAsEndEntity", "UnknownIssuer"], "is signed by no authority that this program knows, or by itself"),
        (&["NotValidForName", "not valid for name"], "is one for other names"),
        (&["Expired", "expired"], "has expired"),
        (&["NotValidYet", "not valid yet"], "is not valid yet"),
        (&["Revoked"], "was revoked"),
        (&["BadSignature", "BadEncoding"], "is damaged"),
    ];
    let told = error.split_once(CERTIFICATE).map_or(error, |(_, told)| told);
    let known = REASONS.iter().find(|(words, _)| words.iter().any(|word| told.contains(word)));
    match known {
        Some((_, reason)) => format!("the certificate that it shows {reason}"),
        None => format!("the certificate that it shows is not trusted: {told}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_place_of_json_is_shown_in_short() {
        let long = format!("<html>\r\n{}", "x".repeat(200));
        for (body, expected) in [
            ("", Some("it is empty".to_owned())),
            ("{}", None),
            ("\u{feff}{}", Some("it begins with a byte order mark".to_owned())),
            ("{\"value\":[", Some("it begins with `{\"value\":[`".to_owned())),
            (&long, Some(format!("it begins with `<html> {}`", "x".repeat(52)))),
        ] {
            assert_eq!(Answer { body: body.into(), ..Answer::default() }.no_json(), expected, "{body}");
        }
    }

    /// What the client says, as it was seen.
    #[test]
    fn a_certificate_that_is_not_trusted_is_told_in_words() {
        let unknown = "the certificate that it shows is signed by no authority that this program knows, or by itself";
        for (error, expected) in [
            ("io: invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))", unknown),
            ("io: invalid peer certificate: UnknownIssuer", unknown),
            (
                "io: invalid peer certificate: certificate not valid for name \"127.0.0.1\"; certificate is only valid for \
                 DnsName(\"erp.example\")",
                "the certificate that it shows is one for other names",
            ),
            (
                "io: invalid peer certificate: certificate expired: verification time 1795909026 (UNIX), but certificate is \
                 not valid after 1764000000 (3000 seconds ago)",
                "the certificate that it shows has expired",
            ),
            ("io: invalid peer certificate: NotValidYet", "the certificate that it shows is not valid yet"),
            (
                "io: invalid peer certificate: UnhandledCriticalExtension",
                "the certificate that it shows is not trusted: UnhandledCriticalExtension",
            ),
        ] {
            assert_eq!(certificate(error), expected);
        }
    }
}
