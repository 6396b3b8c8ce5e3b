//! The token endpoint of the client-credentials grant, and the check of what it issued.
//!
//! A client proves who it is by a secret, or by an assertion that is signed with the key of a registered certificate.
//!
//! In: the form that a client posts. Out: a bearer token with an expiry, or the identity platform's error. How an API
//! phrases its 401 is that API's business; here only [`Access`] is told.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::filter;
use crate::service::{Request, Response};

/// The one application that may fetch tokens, and the tokens it holds.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// The path of the endpoint, as `/{tenant}/oauth2/v2.0/token`.
    pub path: String,
    pub client_id: String,
    pub client_secret: String,
    /// The only scope granted, exactly as the client must send it after decoding.
    pub scope: String,
    /// How long a token is good.
    pub lifetime: Duration,
    /// The certificate that is registered for the application, if any.
    certificate: Option<CertificateDer<'static>>,
    /// Assertions that were presented; each is good once.
    presented: HashSet<String>,
    issued: HashMap<String, Instant>,
    serial: u64,
}

/// What an `Authorization` header is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Granted,
    /// No header, no bearer token, or a token never issued here.
    Missing,
    /// Issued here once, and not good any more.
    Expired,
}

impl Tokens {
    /// Makes an endpoint for one application; tokens last the usual hour.
    pub fn new(tenant: &str, client_id: &str, client_secret: &str, scope: &str) -> Self {
        Self {
            path: format!("/{tenant}/oauth2/v2.0/token"),
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            scope: scope.into(),
            lifetime: Duration::from_secs(3599),
            certificate: None,
            presented: HashSet::new(),
            issued: HashMap::new(),
            serial: 0,
        }
    }

    /// Registers a certificate, in PEM, for the application; its secret goes on to be good.
    ///
    /// # Panics
    ///
    /// Where the text holds none.
    pub fn register(&mut self, pem: &str) {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).expect("the text holds a certificate in PEM");
        self.certificate = Some(certificate.into_owned());
    }

    /// Answers a request to the endpoint; `None` when the request is for another path.
    pub fn answer(&mut self, request: &Request) -> Option<Response> {
        let (path, _) = filter::query(&request.target);
        if path != self.path {
            return None;
        }
        Some(match self.grant(request) {
            Ok(token) => reply(
                200,
                &json!({
                    "token_type": "Bearer",
                    "expires_in": self.lifetime.as_secs(),
                    "ext_expires_in": self.lifetime.as_secs(),
                    "access_token": token,
                }),
            ),
            Err((status, error, number, message)) => refusal(status, error, number, message),
        })
    }

    /// Judges an `Authorization` header.
    pub fn check(&self, authorization: Option<&str>) -> Access {
        let token = authorization.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("Bearer").then_some(token.trim())
        });
        match token.and_then(|token| self.issued.get(token)) {
            Some(until) if Instant::now() < *until => Access::Granted,
            Some(_) => Access::Expired,
            None => Access::Missing,
        }
    }

    /// Makes every token expire now.
    pub fn expire(&mut self) {
        let now = Instant::now();
        self.issued.values_mut().for_each(|until| *until = now);
    }

    fn grant(&mut self, request: &Request) -> Result<String, (u16, &'static str, u32, &'static str)> {
        if request.method != "POST" {
            return Err((400, "invalid_request", 900561, "The endpoint only accepts POST requests."));
        }
        let content_type = request.header("content-type").unwrap_or_default();
        let content_type = content_type.split(';').next().unwrap_or_default().trim();
        if !content_type.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let message = "The request body must contain the following parameter: 'grant_type'.";
            return Err((400, "invalid_request", 900144, message));
        }
        // A form is a query string without its question mark.
        let body = String::from_utf8_lossy(&request.body);
        let target = format!("?{body}");
        let (_, form) = filter::query(&target);
        let field = |name: &str| filter::option(&form, name).unwrap_or_default();
        match field("grant_type") {
            "client_credentials" => {}
            "" => {
                let message = "The request body must contain the following parameter: 'grant_type'.";
                return Err((400, "invalid_request", 900144, message));
            }
            _ => return Err((400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")),
        }
        if field("client_id") != self.client_id {
            let message = "Application with the given identifier was not found in the directory.";
            return Err((400, "unauthorized_client", 700016, message));
        }
        match (field("client_assertion_type"), field("client_secret")) {
            ("", "") => {
                let message =
                    "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
                return Err((401, "invalid_client", 7000218, message));
            }
            ("", secret) if secret == self.client_secret => {}
            ("", _) => return Err((401, "invalid_client", 7000215, "Invalid client secret provided.")),
            ("urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "") => {
                let audience = request.header("host").map(|host| format!("http://{host}{}", self.path));
                self.believe(field("client_assertion"), audience.as_deref())?;
            }
            _ => {
                return Err((
                    400,
                    "invalid_request",
                    90014,
                    "The assertion is of an unknown type, or beside a secret.",
                ));
            }
        }
        if field("scope") != self.scope {
            let message = "The provided value for the input parameter 'scope' is not valid.";
            return Err((400, "invalid_scope", 70011, message));
        }
        Ok(self.issue())
    }

    /// Issues a token to whoever has it from elsewhere.
    pub fn issue(&mut self) -> String {
        // An hour after its end nobody presents a token any more, and a bench fetches many.
        let now = Instant::now();
        self.issued.retain(|_, until| now.duration_since(*until) < Duration::from_secs(3600));
        self.serial += 1;
        let token = format!("eyJ0eXAi.{}.sig{}", uuid::Uuid::new_v4().simple(), self.serial);
        self.issued.insert(token.clone(), now + self.lifetime);
        token
    }
}

impl Tokens {
    /// Holds an assertion against the registered certificate: whose it is, for whom, how long, and who signed it.
    fn believe(
        &mut self,
        assertion: &str,
        audience: Option<&str>,
    ) -> Result<(), (u16, &'static str, u32, &'static str)> {
        let wrong = |number, message| Err((401, "invalid_client", number, message));
        let Some(certificate) = &self.certificate else {
            return wrong(
                700027,
                "The certificate with identifier used to sign the client assertion is not registered.",
            );
        };
        let parts: Vec<&str> = assertion.split('.').collect();
        let decoded = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).ok();
        let json = |part: &str| serde_json::from_slice::<Value>(&decoded(part)?).ok();
        let [head, claims, signature] = parts[..] else {
            return wrong(50027, "JWT token is invalid or malformed.");
        };
        let (Some(header), Some(claimed), Some(signature)) = (json(head), json(claims), decoded(signature)) else {
            return wrong(50027, "JWT token is invalid or malformed.");
        };
        let thumbprint = ring::digest::digest(&ring::digest::SHA256, certificate);
        if header["x5t#S256"] != BASE64_URL_SAFE_NO_PAD.encode(thumbprint).as_str() {
            return wrong(
                700027,
                "The certificate with identifier used to sign the client assertion is not registered.",
            );
        }
        let message = format!("{head}.{claims}");
        let signed = header["alg"] == "PS256"
            && webpki::EndEntityCert::try_from(certificate).is_ok_and(|certificate| {
                let algorithm = webpki::ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY;
                certificate.verify_signature(algorithm, message.as_bytes(), &signature).is_ok()
            });
        if !signed {
            return wrong(700027, "The signature of the client assertion is not valid.");
        }
        let now = chrono::Utc::now().timestamp();
        let seconds = |claim: &str| claimed[claim].as_i64();
        let (Some(from), Some(until)) = (seconds("nbf"), seconds("exp")) else {
            return wrong(50027, "JWT token is invalid or malformed.");
        };
        if now + 300 < from || until <= now || until - from > 86_400 {
            return wrong(700024, "Client assertion is not within its valid time range.");
        }
        if claimed["iss"] != self.client_id.as_str() || claimed["sub"] != self.client_id.as_str() {
            return wrong(700021, "Client assertion application identifier doesn't match 'client_id' parameter.");
        }
        if audience.is_none_or(|audience| claimed["aud"] != audience) {
            return wrong(700023, "Client assertion audience claim does not match the token endpoint.");
        }
        match claimed["jti"].as_str() {
            Some(id) if self.presented.insert(id.to_owned()) => Ok(()),
            _ => wrong(50027, "JWT token is invalid or malformed."),
        }
    }
}

fn refusal(status: u16, error: &str, number: u32, message: &str) -> Response {
    let (trace, correlation) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let at = chrono::Utc::now().format("%Y-%m-%d %H:%M:%SZ").to_string();
    reply(
        status,
        &json!({
            "error": error,
            "error_description": format!(
                "AADSTS{number}: {message} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {at}"
            ),
            "error_codes": [number],
            "timestamp": at,
            "trace_id": trace.to_string(),
            "correlation_id": correlation.to_string(),
        }),
    )
}

fn reply(status: u16, body: &serde_json::Value) -> Response {
    Response {
        status,
        headers: vec![
            ("Content-Type".into(), "application/json; charset=utf-8".into()),
            ("Cache-Control".into(), "no-store, no-cache".into()),
        ],
        body: body.to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::new("tenant", "app", "s3cr+t/val=", "https://api.example/.default")
    }

    fn ask(tokens: &mut Tokens, body: &str) -> (u16, serde_json::Value) {
        let request = Request {
            method: "POST".into(),
            target: "/tenant/oauth2/v2.0/token".into(),
            headers: vec![("content-type".into(), "application/x-www-form-urlencoded".into())],
            body: body.into(),
        };
        let response = tokens.answer(&request).expect("the path is the endpoint's");
        (response.status, serde_json::from_slice(&response.body).expect("the body is JSON"))
    }

    const GOOD: &str = "grant_type=client_credentials&client_id=app&client_secret=s3cr%2Bt%2Fval%3D&\
                        scope=https%3A%2F%2Fapi.example%2F.default";

    #[test]
    fn a_good_form_gives_a_token_until_it_expires() {
        let mut tokens = tokens();
        let (status, body) = ask(&mut tokens, GOOD);
        let header = format!("Bearer {}", body["access_token"].as_str().unwrap());
        assert_eq!((status, body["expires_in"].as_u64()), (200, Some(3599)));
        assert_eq!(tokens.check(Some(&header)), Access::Granted);
        tokens.expire();
        assert_eq!(tokens.check(Some(&header)), Access::Expired);
        assert_eq!(tokens.check(Some("Bearer made.up")), Access::Missing);
        assert_eq!(tokens.check(None), Access::Missing);
    }

    #[test]
    fn every_wrong_part_has_its_refusal() {
        let cases = [
            (GOOD.replace("%2Bt", "+t"), 401, "invalid_client", 7000215),
            (GOOD.replace("=app", "=other"), 400, "unauthorized_client", 700016),
            (GOOD.replace(".default", "default"), 400, "invalid_scope", 70011),
            (GOOD.replace("client_credentials", "password"), 400, "unsupported_grant_type", 70003),
            (String::new(), 400, "invalid_request", 900144),
        ];
        for (body, status, error, number) in cases {
            let (found, answer) = ask(&mut tokens(), &body);
            assert_eq!((found, answer["error"].as_str()), (status, Some(error)), "{body}");
            assert_eq!(answer["error_codes"][0].as_u64(), Some(number));
            assert!(answer["error_description"].as_str().unwrap().starts_with(&format!("AADSTS{number}: ")));
        }
    }
}
