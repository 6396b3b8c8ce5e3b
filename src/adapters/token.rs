//! What a request logs in with: bearer tokens of the client-credentials grant, fetched when first needed, shared by all
//! threads and renewed in time; a token that something else keeps fresh in a file; or a user's name and password.
//!
//! In go credentials and the answers of the token endpoint; out come the values of `Authorization` headers. How a form is
//! posted is the caller's business, so that this module knows no network; a secret leaves it in the form and in the header
//! only, never in an error.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::adapters::credentials::{assertion, basic, secret, text};
use crate::adapters::odata::percent;
use crate::config::{Auth, ClientCredentials, Proof, SecretSource};
use crate::endpoint::Keys;

/// How long before its end a token is renewed.
const EARLY: Duration = Duration::from_secs(300);
/// The longest lifetime that is believed; real ones are hours at most.
const LIFETIME_MAX: Duration = Duration::from_secs(86_400);
/// How long a token from a file is used before the file is read again.
const REREAD: Duration = Duration::from_secs(60);

/// Where in the file the address of the token endpoint stands.
pub const TOKEN_URL: Keys = &["auth", "token_url"];
/// The same for a token that something else keeps fresh.
const TOKEN_FILE: Keys = &["auth", "token_file"];

/// The errors of the grant (RFC 6749 §5.2) and what the vendor adds (crm-api.md §2).
const ERRORS: [&str; 14] = [
    "access_denied",
    "consent_required",
    "interaction_required",
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_resource",
    "invalid_scope",
    "invalid_tenant",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "unsupported_response_type",
];

/// A login and its number; a newer one has a higher number.
#[derive(Clone)]
pub struct Token {
    /// The value of the `Authorization` header.
    pub authorization: String,
    pub number: u64,
    fresh_until: Duration,
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenError {
    /// The credentials are wrong; asking again is in vain.
    Refused(Keys, String),
    /// What the login is made of lies in a file, and cannot be had from there.
    Unusable(Keys, String),
    /// Nothing is known by the scope that was asked for.
    Scope(String),
    /// The endpoint could not answer.
    Unreachable(String),
    /// It was not waited for, because the program is to end.
    Interrupted,
}

/// What the token endpoint said, if it said anything for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenAnswer {
    pub status: u16,
    pub body: Vec<u8>,
    /// Where it sends us on to, by host.
    pub elsewhere: Option<String>,
}

/// The tokens of one connection.
pub struct TokenSource {
    auth: Auth,
    cache: Mutex<Option<Token>>,
}

#[derive(Deserialize)]
struct Grant<'a> {
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    expires_in: Option<&'a serde_json::value::RawValue>,
}

#[derive(Deserialize, Default)]
struct Refusal<'a> {
    #[serde(borrow, default)]
    error: Cow<'a, str>,
    #[serde(default)]
    error_codes: Vec<u64>,
}

impl Refusal<'_> {
    /// Returns the name of the error, if it is one that the protocol knows.
    fn name(&self) -> Option<&str> {
        Some(&*self.error).filter(|error| ERRORS.contains(error))
    }

    /// Returns the vendor's number as a message has it.
    fn number(&self) -> String {
        self.error_codes.first().map(|number| format!(" (AADSTS{number})")).unwrap_or_default()
    }
}

impl TokenSource {
    /// Makes a source that has no token yet.
    pub fn new(auth: Auth) -> TokenSource {
        TokenSource { auth, cache: Mutex::new(None) }
    }

    /// Returns the endpoint's address; blank where no token is fetched.
    pub fn url(&self) -> &str {
        self.auth.client_credentials().map_or("", |credentials| &credentials.token_url)
    }

    /// Returns what a token is asked for; blank where none is fetched.
    pub fn scope(&self) -> &str {
        self.auth.client_credentials().map_or("", |credentials| &credentials.scope)
    }

    /// Returns a token that is fresh at `now`, and newer than the one of number `stale`.
    ///
    /// `fetch` posts a form; other threads wait for it meanwhile, so that one token is fetched and not many. `failed` hears why
    /// there is none before the next of them has its turn.
    pub fn token<E>(
        &self,
        now: Duration,
        stale: Option<u64>,
        fetch: impl FnOnce(&str) -> Result<TokenAnswer, TokenError>,
        failed: impl FnOnce(TokenError) -> E,
    ) -> Result<Token, E> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        self.newest(&mut cache, now, stale, fetch).map_err(failed)
    }

    fn newest(
        &self,
        cache: &mut Option<Token>,
        now: Duration,
        stale: Option<u64>,
        fetch: impl FnOnce(&str) -> Result<TokenAnswer, TokenError>,
    ) -> Result<Token, TokenError> {
        let number = match cache {
            Some(token) if now < token.fresh_until && stale.is_none_or(|stale| token.number > stale) => {
                return Ok(token.clone());
            }
            Some(token) => token.number + 1,
            None => 1,
        };
        let (authorization, fresh_until) = match &self.auth {
            Auth::OAuth2(credentials) => {
                let (bearer, lifetime) = read(&fetch(&form(credentials, now)?)?, proof_keys(&credentials.proof))?;
                (format!("Bearer {bearer}"), now + fresh_for(lifetime))
            }
            Auth::Basic { user, password } => {
                let password =
                    secret(password).map_err(|error| TokenError::Unusable(&["auth", "password_file"], error))?;
                (basic(user, &password), Duration::MAX)
            }
            Auth::Bearer { token_file } => {
                let token = text(token_file).map_err(|error| TokenError::Unusable(TOKEN_FILE, error))?;
                (format!("Bearer {token}"), now + REREAD)
            }
        };
        // What was refused is refused again, unless somebody has changed it since.
        let refused = |before: &Token| stale == Some(before.number) && before.authorization == authorization;
        if cache.as_ref().is_some_and(refused) {
            match &self.auth {
                Auth::OAuth2(_) => {}
                Auth::Basic { .. } => {
                    let message = "the user or the password is wrong; check `user` and `password`, which is the access \
                                   key for web services";
                    return Err(TokenError::Refused(&["auth"], message.to_owned()));
                }
                Auth::Bearer { token_file } => {
                    let file = token_file.display();
                    let message = format!("the token in {file} is not accepted; check what keeps it fresh");
                    return Err(TokenError::Refused(TOKEN_FILE, message));
                }
            }
        }
        let token = Token { authorization, number, fresh_until };
        *cache = Some(token.clone());
        Ok(token)
    }
}

/// Returns what is posted for a token: the grant, and the proof of who asks for it.
fn form(credentials: &ClientCredentials, now: Duration) -> Result<String, TokenError> {
    let ClientCredentials { token_url, client_id, proof, scope } = credentials;
    let unusable = |error| TokenError::Unusable(proof_keys(proof), error);
    let proof = match proof {
        Proof::Secret(source) => {
            let secret = secret(source).map_err(unusable)?;
            format!("client_secret={}", percent::strict(secret.reveal()))
        }
        Proof::Certificate(pem) => {
            let assertion = assertion(pem, client_id, token_url, now).map_err(unusable)?;
            let kind = percent::strict("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            format!("client_assertion_type={kind}&client_assertion={assertion}")
        }
    };
    let (client_id, scope) = (percent::strict(client_id), percent::strict(scope));
    Ok(format!("grant_type=client_credentials&client_id={client_id}&{proof}&scope={scope}"))
}

/// Returns the key of the file by which an application proves who it is.
fn proof_keys(proof: &Proof) -> Keys {
    match proof {
        Proof::Secret(SecretSource::Given(_)) => &["auth", "client_secret"],
        Proof::Secret(SecretSource::File(_)) => &["auth", "client_secret_file"],
        Proof::Certificate(_) => &["auth", "certificate"],
    }
}

/// Returns how long a token is used: until five minutes before its end, but half its life at least.
fn fresh_for(lifetime: Duration) -> Duration {
    lifetime.saturating_sub(EARLY).max(lifetime / 2)
}

/// Returns what an endpoint says that cannot answer for now, whatever its status; `None` where it says something else.
pub fn put_off(body: &[u8]) -> Option<String> {
    let refusal = serde_json::from_slice::<Refusal<'_>>(body).ok()?;
    let name = refusal.name().filter(|name| matches!(*name, "temporarily_unavailable" | "server_error"))?;
    Some(format!("{name}{}", refusal.number()))
}

/// Reads a token and its lifetime, or why there is none.
///
/// Whatever comes may repeat what was sent, so of an error only a name that the protocol knows and its number are passed on.
fn read(answer: &TokenAnswer, proof: Keys) -> Result<(String, Duration), TokenError> {
    if let Some(elsewhere) = &answer.elsewhere {
        let message = format!(
            "the token endpoint sends us on to {elsewhere} (HTTP {}); check `token_url`, and write the address that \
             gives tokens there if it has moved",
            answer.status
        );
        return Err(TokenError::Refused(TOKEN_URL, message));
    }
    let refusal: Refusal<'_> = serde_json::from_slice(&answer.body).unwrap_or_default();
    if (200..300).contains(&answer.status) {
        let grant = serde_json::from_slice::<Grant<'_>>(&answer.body).ok();
        // What is in none of these characters goes into no header (RFC 6750 §2.1).
        let sendable = |token: &str| !token.is_empty() && token.bytes().all(|character| character.is_ascii_graphic());
        match grant.filter(|grant| sendable(&grant.access_token)) {
            Some(grant) => {
                // A number on the v2.0 endpoint, a string on the old one (crm-api.md §2); an hour is the usual lifetime.
                let seconds = grant.expires_in.and_then(|raw| raw.get().trim_matches('"').parse().ok());
                let lifetime = Duration::from_secs(seconds.unwrap_or(3_600)).min(LIFETIME_MAX);
                return Ok((grant.access_token.into_owned(), lifetime));
            }
            // Some say what is wrong with a status that says that all is well.
            None if refusal.name().is_some() => {}
            None => return Err(TokenError::Refused(TOKEN_URL, tokenless(answer))),
        }
    }
    let is_grant = !refusal.error.is_empty();
    let (error, number) = (refusal.name(), refusal.number());
    let error = error.map_or_else(|| format!("HTTP {}", answer.status), str::to_owned);
    if matches!(&*error, "invalid_scope" | "invalid_resource") {
        return Err(TokenError::Scope(format!("{error}{number}")));
    }
    let (keys, hint): (Keys, _) = match &*error {
        "invalid_client" => {
            let key = proof.last().copied().unwrap_or_default();
            (proof, format!("check `{key}`, which may have expired"))
        }
        "unauthorized_client" => (&["auth", "client_id"], "check `client_id` and the tenant in `token_url`".to_owned()),
        // No token endpoint speaks so.
        _ if !is_grant => (TOKEN_URL, "check `token_url`".to_owned()),
        _ => (&["auth"], "check `auth`".to_owned()),
    };
    Err(TokenError::Refused(keys, format!("{error}{number}; {hint}")))
}

/// Says what came in place of a token, as far as it can be nothing that was sent.
fn tokenless(answer: &TokenAnswer) -> String {
    let came = match serde_json::from_slice::<IgnoredAny>(&answer.body) {
        Ok(_) => "JSON without an `access_token` that can be sent",
        Err(_) if answer.body.trim_ascii_start().starts_with(b"<") => "a page for people",
        Err(_) => "no JSON",
    };
    format!(
        "the token endpoint answered without a token: HTTP {}, and {came}; check that `token_url` is the address that \
         gives tokens, and not a page to sign in at",
        answer.status
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> ClientCredentials {
        ClientCredentials {
            token_url: "https://login.example/t/oauth2/v2.0/token".into(),
            client_id: "app".into(),
            proof: Proof::Secret(SecretSource::given("s3cr+t/val=".into())),
            scope: "https://api.example/.default".into(),
        }
    }

    const PROOF: Keys = &["auth", "client_secret"];

    fn source() -> TokenSource {
        TokenSource::new(Auth::OAuth2(credentials()))
    }

    fn answer(status: u16, body: &str) -> Result<TokenAnswer, TokenError> {
        Ok(TokenAnswer { status, body: body.into(), elsewhere: None })
    }

    #[test]
    fn the_form_is_encoded() {
        assert_eq!(
            form(&credentials(), Duration::ZERO).unwrap(),
            "grant_type=client_credentials&client_id=app&client_secret=s3cr%2Bt%2Fval%3D&\
             scope=https%3A%2F%2Fapi.example%2F.default"
        );
    }

    #[test]
    fn a_token_is_used_until_it_is_stale_or_refused() {
        let source = source();
        let mut fetched = 0;
        let mut ask = |seconds: u64, stale: Option<u64>| {
            let token = source.token(
                Duration::from_secs(seconds),
                stale,
                |_| {
                    fetched += 1;
                    answer(200, &format!(r#"{{"token_type":"Bearer","expires_in":3599,"access_token":"t{fetched}"}}"#))
                },
                |error| error,
            );
            token.map(|token| (token.authorization, token.number)).unwrap()
        };
        let first = ("Bearer t1".to_owned(), 1);
        let second = ("Bearer t2".to_owned(), 2);
        assert_eq!(ask(0, None), first);
        assert_eq!(ask(3_298, None), first);
        assert_eq!(ask(3_299, None), second, "five minutes before the end");
        assert_eq!(ask(3_300, Some(1)), second, "another thread has renewed it already");
        assert_eq!(ask(3_300, Some(2)), ("Bearer t3".to_owned(), 3));
    }

    #[test]
    fn a_user_and_a_password_are_the_same_in_every_request_and_refused_for_good() {
        for (password, expected) in
            [("", "TkFWOg=="), ("a", "TkFWOmE="), ("ab", "TkFWOmFi"), ("Zm9+/ü=", "TkFWOlptOSsvw7w9")]
        {
            let auth = Auth::Basic { user: "NAV".into(), password: SecretSource::given(password.into()) };
            let source = TokenSource::new(auth);
            let ask = |stale| source.token(Duration::ZERO, stale, |_| panic!("nothing is fetched"), |error| error);
            let token = ask(None).ok().unwrap();
            assert_eq!(token.authorization, format!("Basic {expected}"));
            let Err(TokenError::Refused(_, message)) = ask(Some(token.number)) else { panic!("it was refused") };
            assert!(message.starts_with("the user or the password is wrong"), "{message}");
        }
    }

    #[test]
    fn a_token_in_a_file_is_read_again_when_it_was_refused_and_from_time_to_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let source = TokenSource::new(Auth::Bearer { token_file: path.clone() });
        let ask = |seconds: u64, stale: Option<u64>| {
            let token =
                source.token(Duration::from_secs(seconds), stale, |_| panic!("nothing is fetched"), |error| error);
            token.map(|token| (token.authorization, token.number))
        };
        assert!(matches!(ask(0, None), Err(TokenError::Unusable(_, message)) if message.contains("cannot be read")));
        std::fs::write(&path, "one\n").unwrap();
        assert_eq!(ask(1, None), Ok(("Bearer one".to_owned(), 1)));
        std::fs::write(&path, "two\n").unwrap();
        assert_eq!(ask(2, None), Ok(("Bearer one".to_owned(), 1)), "not for each request");
        assert_eq!(ask(2, Some(1)), Ok(("Bearer two".to_owned(), 2)), "the first was refused");
        assert_eq!(ask(2, Some(1)), Ok(("Bearer two".to_owned(), 2)), "another thread has read it already");
        let refused = ask(2, Some(2)).unwrap_err();
        assert!(
            matches!(&refused, TokenError::Refused(_, message) if message.contains("is not accepted")),
            "{refused:?}"
        );
        std::fs::write(&path, "three\n").unwrap();
        assert_eq!(ask(62, None), Ok(("Bearer three".to_owned(), 3)), "a minute later");
    }

    #[test]
    fn lifetimes_are_numbers_or_strings() {
        for (body, seconds) in [
            (r#"{"expires_in":3599,"access_token":"t"}"#, 3_599),
            (r#"{"expires_in":"120","access_token":"t","expires_on":"1"}"#, 120),
            (r#"{"access_token":"t"}"#, 3_600),
            (r#"{"expires_in":-1,"access_token":"t"}"#, 3_600),
            (r#"{"expires_in":18446744073709551615,"access_token":"t"}"#, 86_400),
        ] {
            let read = read(&answer(200, body).unwrap(), PROOF);
            assert_eq!(read, Ok(("t".to_owned(), Duration::from_secs(seconds))), "{body}");
        }
        assert_eq!(fresh_for(Duration::from_secs(3_599)), Duration::from_secs(3_299));
        assert_eq!(fresh_for(Duration::from_secs(400)), Duration::from_secs(200));
    }

    #[test]
    fn a_refusal_names_the_error_and_nothing_that_was_sent() {
        let long = r#"{"error":"invalid_client","error_description":"AADSTS7000215: secret s3cr+t/val= for app",
                       "error_codes":[7000215]}"#;
        let unauthorized = r#"{"error":"unauthorized_client","error_codes":[700016]}"#;
        let of_client = "unauthorized_client (AADSTS700016); check `client_id` and the tenant in `token_url`";
        let of_secret = "invalid_client (AADSTS7000215); check `client_secret`, which may have expired";
        for (status, body, keys, expected) in [
            (401, long, PROOF, of_secret),
            (200, long, PROOF, of_secret),
            (400, unauthorized, &["auth", "client_id"], of_client),
            (200, unauthorized, &["auth", "client_id"], of_client),
            (200, r#"{"error":"invalid_grant"}"#, &["auth"], "invalid_grant; check `auth`"),
            (401, r#"{"error":"s3cr+t/val="}"#, &["auth"], "HTTP 401; check `auth`"),
            // It is all small letters, as a name is.
            (401, r#"{"error":"correcthorse_battery"}"#, &["auth"], "HTTP 401; check `auth`"),
            (404, "<html>", TOKEN_URL, "HTTP 404; check `token_url`"),
        ] {
            let refused = TokenError::Refused(keys, expected.to_owned());
            assert_eq!(read(&answer(status, body).unwrap(), PROOF), Err(refused), "{body}");
        }
        let scope = TokenError::Scope("invalid_resource (AADSTS500011)".to_owned());
        let body = r#"{"error":"invalid_resource","error_codes":[500011]}"#;
        for status in [400, 200] {
            assert_eq!(read(&answer(status, body).unwrap(), PROOF), Err(scope.clone()));
        }
    }

    #[test]
    fn an_endpoint_that_cannot_answer_for_now_says_so() {
        for (body, expected) in [
            (
                r#"{"error":"temporarily_unavailable","error_codes":[90033]}"#,
                Some("temporarily_unavailable (AADSTS90033)"),
            ),
            (r#"{"error":"server_error"}"#, Some("server_error")),
            (r#"{"error":"invalid_client"}"#, None),
            (r#"{"access_token":"t"}"#, None),
            ("", None),
        ] {
            assert_eq!(put_off(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }

    /// No word of it is from what came but names that the protocol knows.
    #[test]
    fn an_answer_without_a_token_says_what_came_in_its_place() {
        for (status, body, expected) in [
            (200, r#"{"error":"s3cr+t/val="}"#, "HTTP 200, and JSON without an `access_token` that can be sent"),
            (200, "\r\n<html>s3cr+t/val=", "HTTP 200, and a page for people"),
            (200, "s3cr+t/val=", "HTTP 200, and no JSON"),
            (204, "", "HTTP 204, and no JSON"),
            (200, r#"{"access_token":""}"#, "HTTP 200, and JSON without an `access_token` that can be sent"),
            (200, r#"{"access_token":"a\r\nX: b"}"#, "HTTP 200, and JSON without an `access_token` that can be sent"),
            (200, r#"{"access_token":7}"#, "HTTP 200, and JSON without an `access_token` that can be sent"),
        ] {
            let Err(TokenError::Refused(keys, told)) = read(&answer(status, body).unwrap(), PROOF) else {
                panic!("{body} is no token");
            };
            assert_eq!(keys, TOKEN_URL);
            let rest = "check that `token_url` is the address that gives tokens, and not a page to sign in at";
            assert_eq!(told, format!("the token endpoint answered without a token: {expected}; {rest}"));
        }
        let elsewhere = Some("https://login.example:443".to_owned());
        let moved = read(&TokenAnswer { status: 302, body: Vec::new(), elsewhere }, PROOF);
        let Err(TokenError::Refused(TOKEN_URL, told)) = moved else { panic!("it is elsewhere") };
        assert!(told.starts_with("the token endpoint sends us on to https://login.example:443 (HTTP 302)"), "{told}");
    }
}
