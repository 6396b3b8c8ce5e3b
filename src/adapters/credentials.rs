//! What a login is made of, as far as it lies in files: secrets, a token that something else keeps fresh, and a
//! certificate with its key, which signs an assertion in place of a secret.
//!
//! Nothing of it is ever in a message: those name the file and what is wrong with it.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{RSA_PSS_SHA256, RsaKeyPair};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::adapters::odata::percent;
use crate::config::{Secret, SecretSource};

/// How long an assertion holds; it is sent at once.
const ASSERTION_SECONDS: u64 = 600;

/// Returns a secret, read from its file where it has one; the end of its line is none of it.
pub fn secret(source: &SecretSource) -> Result<Secret, String> {
    match source {
        SecretSource::Given(secret) => Ok(secret.clone()),
        SecretSource::File(path) => text(path).map(Secret::new),
    }
}

/// Returns the text of a file with one secret in it.
pub fn text(path: &Path) -> Result<String, String> {
    let file = path.display();
    let bytes = std::fs::read(path).map_err(|error| format!("{file} cannot be read: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{file} is no text"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    match text.is_empty() || text.contains(['\r', '\n']) {
        true => Err(format!("{file} has to hold one line")),
        false => Ok(text.to_owned()),
    }
}

/// Returns the certificates that a file holds, as a side's is to be held against them.
pub fn authorities(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let file = path.display();
    let bytes = std::fs::read(path).map_err(|error| format!("{file} cannot be read: {error}"))?;
    let found: Result<Vec<Vec<u8>>, _> =
        CertificateDer::pem_slice_iter(&bytes).map(|found| found.map(|found| found.to_vec())).collect();
    // Each is a sequence (X.690 §8.9); what is none is passed over in silence where it is used.
    match found {
        Ok(found) if found.is_empty() => Err(format!("{file} holds no certificate in PEM")),
        Ok(found) if found.iter().all(|found| found.first() == Some(&0x30)) => Ok(found),
        _ => Err(format!("a certificate in {file} is damaged")),
    }
}

/// Returns the value of an `Authorization` header for a user (RFC 7617).
pub fn basic(user: &str, password: &Secret) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.reveal())))
}

/// What is shorter is no secret, and may be a part of anything.
const SECRET_CHARS_MIN: usize = 8;

/// Returns what of an `Authorization` header must not be told, in every form in which a side may repeat it, the longest
/// first: as it is, as JSON and addresses write it, and what a user's header was made of.
pub fn untold(authorization: &str) -> Vec<String> {
    let (scheme, secret) = authorization.split_once(' ').unwrap_or_default();
    let mut plain = vec![secret.to_owned()];
    if scheme == "Basic" {
        let user = BASE64_STANDARD.decode(secret).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        plain.extend(user.as_deref().and_then(|user| user.split_once(':')).map(|(_, password)| password.to_owned()));
    }
    let written = |secret: &String| {
        let json = serde_json::Value::from(secret.as_str()).to_string();
        let json = json[1..json.len() - 1].to_owned();
        [secret.clone(), json.replace('/', "\\/"), json, percent::strict(secret), percent::query(secret)]
    };
    let mut untold: Vec<String> = plain.iter().flat_map(written).collect();
    untold.retain(|secret| secret.len() >= SECRET_CHARS_MIN);
    untold.sort_unstable_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
    untold.dedup();
    untold
}

/// Returns an assertion that proves that we have the key of a certificate (RFC 7523, signed as PS256), for an application
/// at a token endpoint; `now` is the time since 1970.
pub fn assertion(pem: &Path, client_id: &str, token_url: &str, now: Duration) -> Result<String, String> {
    let file = pem.display();
    let bytes = std::fs::read(pem).map_err(|error| format!("{file} cannot be read: {error}"))?;
    let certificate =
        CertificateDer::from_pem_slice(&bytes).map_err(|_| format!("{file} holds no certificate in PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| format!("{file} holds no private key in PEM"))?;
    let pair = match &key {
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        _ => return Err(format!("the key in {file} is no RSA key")),
    };
    let pair = pair.map_err(|_| format!("the key in {file} is no RSA key of 2048 bits or more"))?;
    let random = SystemRandom::new();
    let mut id = [0; 16];
    random.fill(&mut id).map_err(|_| "there is no randomness to be had".to_owned())?;
    let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, &certificate));
    let header = serde_json::json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint});
    let now = now.as_secs();
    let claims = serde_json::json!({
        "aud": token_url, "iss": client_id, "sub": client_id, "jti": BASE64_URL_SAFE_NO_PAD.encode(id),
        "nbf": now, "iat": now, "exp": now + ASSERTION_SECONDS,
    });
    let part = |json: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let mut signature = vec![0; pair.public().modulus_len()];
    let signed = pair.sign(&RSA_PSS_SHA256, &random, message.as_bytes(), &mut signature);
    signed.map_err(|_| format!("the key in {file} does not sign"))?;
    Ok(format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        for (written, expected) in [
            ("hush\n", Some("hush")),
            ("hush", Some("hush")),
            (" hush \r\n", Some(" hush ")),
            ("", None),
            ("\n", None),
            ("one\ntwo", None),
        ] {
            std::fs::write(&path, written).unwrap();
            assert_eq!(text(&path).ok().as_deref(), expected, "{written:?}");
        }
        std::fs::write(&path, b"\xff").unwrap();
        assert!(text(&path).unwrap_err().ends_with("is no text"));
        assert!(text(&folder.path().join("none")).unwrap_err().contains("cannot be read"));
    }

    /// The example of RFC 7617.
    #[test]
    fn a_user_is_told_in_base64() {
        assert_eq!(basic("Aladdin", &Secret::new("open sesame".into())), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn a_login_is_known_in_every_form() {
        assert_eq!(untold("Bearer abc.def-ghi"), ["abc.def-ghi"]);
        assert_eq!(untold("Bearer short"), Vec::<String>::new());
        let forms = untold(&basic("user", &Secret::new("a\"b/c d+e?".into())));
        for form in ["dXNlcjphImIvYyBkK2U/", "dXNlcjphImIvYyBkK2U\\/", "dXNlcjphImIvYyBkK2U%2F"] {
            assert!(forms.iter().any(|known| known == form), "{form} in {forms:?}");
        }
        for form in ["a\"b/c d+e?", "a\\\"b/c d+e?", "a\\\"b\\/c d+e?", "a%22b%2Fc%20d%2Be%3F"] {
            assert!(forms.iter().any(|known| known == form), "{form} in {forms:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_without_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("client.pem");
        let whole = include_str!("../../tests/it/data/client.pem");
        let key_at = whole.find("-----BEGIN PRIVATE KEY").unwrap();
        for (written, expected) in [
            ("", "holds no certificate"),
            (&whole[..key_at], "holds no private key"),
            (&whole.replace("PRIVATE KEY", "EC PRIVATE KEY"), "is no RSA key"),
        ] {
            std::fs::write(&path, written).unwrap();
            let told = assertion(&path, "app", "https://login.example/token", Duration::ZERO).unwrap_err();
            assert!(told.contains(expected), "{told}");
        }
        std::fs::write(&path, whole).unwrap();
        let made = assertion(&path, "app", "https://login.example/token", Duration::from_secs(5)).unwrap();
        let claims = BASE64_URL_SAFE_NO_PAD.decode(made.split('.').nth(1).unwrap()).unwrap();
        let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!((&claims["sub"], &claims["exp"]), (&"app".into(), &605.into()));
    }
}
