//! The ways to log in, against both fakes: a secret in a file, a certificate that signs for its application, a token that
//! something else keeps fresh.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use pipeline::adapters;
use pipeline::adapters::clock::{Patience, SystemClock};
use pipeline::adapters::http::{self, Reach};
use pipeline::config::{Auth, ClientCredentials, Connection, Proof, SecretSource, Side};
use pipeline::endpoint::EndpointError;

use crate::world::{World, open, world};

const CERTIFICATE: &str = include_str!("data/client.pem");

/// Opens a side with another proof of who asks.
fn with(world: &World, side: Side, proof: Proof) -> Result<(), String> {
    let mut connection = world.connection(side);
    let Auth::OAuth2(credentials) = &mut connection.auth else { panic!("both fakes give tokens") };
    *credentials = ClientCredentials { proof, ..credentials.clone() };
    // What is signed holds for some minutes of the wall's clock.
    let clock = Arc::new(SystemClock::start());
    match adapters::open(side, &connection, Patience::default(), clock).open() {
        Ok(_) => Ok(()),
        Err(EndpointError::Login { message, .. }) => Err(message),
        Err(error @ EndpointError::Credentials { .. }) => Err(error.to_string()),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_secret_in_a_file_is_as_good_as_one_in_a_variable() {
    let world = world();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let proof = || Proof::Secret(SecretSource::File(path.clone()));
    let missing = with(&world, Side::Crm, proof()).unwrap_err();
    assert!(
        missing.starts_with("there is no login for CRM: ") && missing.contains("secret cannot be read"),
        "{missing}"
    );
    std::fs::write(&path, world.crm.client_secret() + "\n").unwrap();
    assert_eq!(with(&world, Side::Crm, proof()), Ok(()));
    std::fs::write(&path, "hush-hush\n").unwrap();
    let wrong = with(&world, Side::Crm, proof()).unwrap_err();
    assert_eq!(wrong, "invalid_client (AADSTS7000215); check `client_secret_file`, which may have expired");
}

#[test]
fn a_certificate_signs_in_place_of_a_secret() {
    let world = world();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.pem");
    std::fs::write(&path, CERTIFICATE).unwrap();
    let proof = || Proof::Certificate(path.clone());
    let unknown = with(&world, Side::Erp, proof()).unwrap_err();
    assert_eq!(unknown, "invalid_client (AADSTS700027); check `certificate`, which may have expired");
    world.erp.with(|erp| erp.tokens.register(CERTIFICATE));
    assert_eq!(with(&world, Side::Erp, proof()), Ok(()));
    // A key that is not the certificate's signs nothing that is believed.
    let other = include_str!("data/other.pem");
    let cut = |pem: &str| pem.find("-----BEGIN PRIVATE KEY").unwrap();
    std::fs::write(&path, format!("{}{}", &CERTIFICATE[..cut(CERTIFICATE)], &other[cut(other)..])).unwrap();
    assert!(with(&world, Side::Erp, proof()).unwrap_err().starts_with("invalid_client (AADSTS700027)"));
}

#[test]
fn a_token_in_a_file_is_read_again_when_it_is_refused() {
    let world = world();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let mut connection = world.connection(Side::Crm);
    connection.auth = Auth::Bearer { token_file: path.clone() };
    let crm = open(Side::Crm, &connection);
    std::fs::write(&path, "stale").unwrap();
    let refused = crm.open().unwrap_err().to_string();
    assert!(refused.ends_with("is not accepted; check what keeps it fresh"), "{refused}");
    assert!(!refused.contains("stale"), "{refused}");
    // What was refused ends that run; the next one reads the file again.
    let crm = open(Side::Crm, &connection);
    let token = world.crm.with(|crm| crm.tokens.issue());
    std::fs::write(&path, format!("{token}\n")).unwrap();
    crm.open().unwrap();
    // It ends, and a fresh one lies there: the next request goes on without a word.
    world.crm.with(|crm| crm.tokens.expire());
    std::fs::write(&path, world.crm.with(|crm| crm.tokens.issue())).unwrap();
    crm.open().unwrap();
}

/// Answers some requests over TLS, with a certificate of an authority of one's own; tells the port. Of the connections,
/// from 1, those that are `spoilt` are shown a certificate of nobody's.
fn behind_tls(answer: fn(&str) -> &'static str, spoilt: fn(usize) -> bool) -> u16 {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let config = |pem: &[u8]| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let chain = vec![CertificateDer::from_pem_slice(pem).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(pem).unwrap();
        Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap())
    };
    let [own, nobodys] = [&include_bytes!("data/server.pem")[..], include_bytes!("data/other.pem")].map(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (number, stream) in (1..).zip(listener.incoming()) {
            let config = if spoilt(number) { &nobodys } else { &own };
            let connection = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
            let mut stream = BufReader::new(rustls::StreamOwned::new(connection, stream.unwrap()));
            let (mut head, mut length) = (String::new(), 0);
            // Who does not believe the certificate goes away here.
            while stream.read_line(&mut head).is_ok_and(|read| read > 2) {
                let line = head.lines().last().unwrap_or_default().to_ascii_lowercase();
                length = line.strip_prefix("content-length: ").map_or(length, |length| length.parse().unwrap());
            }
            if !head.ends_with("\r\n\r\n") {
                continue;
            }
            let _ = stream.read_exact(&mut vec![0; length]);
            let body = answer(&head);
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            let _ = stream.get_mut().write_all((head + body).as_bytes());
            stream.get_mut().conn.send_close_notify();
            let _ = stream.get_mut().flush();
        }
    });
    port
}

/// The server of a company whose certificates are of its own authority, and the endpoint of its tokens.
#[test]
fn an_authority_of_ones_own_is_trusted_where_the_file_names_it() {
    let answer = |head: &str| match head.starts_with("POST /token ") {
        true => r#"{"access_token":"t","expires_in":3599}"#,
        false => r#"{"value":[{"id":"5b1e0c52-7a44-ef11-8e52-6045bd2b1a01","name":"Own","displayName":"Own"}]}"#,
    };
    let url = format!("https://127.0.0.1:{}", behind_tls(answer, |_| false));
    let agent = http::agent(&url, 1, Duration::from_secs(20), &[]);
    let broken = http::send(&agent, "GET", &format!("{url}/x"), std::iter::empty(), None).unwrap_err();
    assert_eq!(broken.reach, Reach::Distrusted, "{broken:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authority.pem");
    std::fs::write(&path, include_str!("data/authority.pem")).unwrap();
    let authorities = adapters::credentials::authorities(&path).unwrap();
    let mut connection = world().connection(Side::Erp);
    let Auth::OAuth2(credentials) = &mut connection.auth else { panic!("the fake gives tokens") };
    credentials.token_url = format!("{url}/token");
    let connection = Connection { url, company: Some("Own".to_owned()), authorities, ..connection };
    assert_eq!(open(Side::Erp, &connection).open().unwrap().name, "Own");
}

/// One server of many that shows a wrong certificate, in the middle of a run, costs a request; all of them cost the side.
#[test]
fn a_certificate_that_is_wrong_for_once_passes() {
    let answer = |head: &str| match head {
        head if head.starts_with("POST /token ") => r#"{"access_token":"t","expires_in":3599}"#,
        head if head.contains("$metadata") => {
            r#"<edmx:Edmx xmlns:edmx="x"><Schema><EntityType Name="item"><Key><PropertyRef Name="id"/></Key>
            <Property Name="id" Type="Edm.Guid"/></EntityType><EntityContainer><EntitySet Name="items"
            EntityType="N.item"/></EntityContainer></Schema></edmx:Edmx>"#
        }
        _ => r#"{"value":[{"id":"5b1e0c52-7a44-ef11-8e52-6045bd2b1a01","name":"Own","displayName":"Own"}]}"#,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authority.pem");
    std::fs::write(&path, include_str!("data/authority.pem")).unwrap();
    // A token, the company, and then the metadata.
    type Spoilt = fn(usize) -> bool;
    let spoilt: [(Spoilt, &str); 2] =
        [(|number| number == 3, ""), (|number| number >= 3, "the certificate that it shows is signed by no authority")];
    for (spoilt, expected) in spoilt {
        let url = format!("https://127.0.0.1:{}", behind_tls(answer, spoilt));
        let mut connection = world().connection(Side::Erp);
        let Auth::OAuth2(credentials) = &mut connection.auth else { panic!("the fake gives tokens") };
        credentials.token_url = format!("{url}/token");
        let authorities = adapters::credentials::authorities(&path).unwrap();
        let connection = Connection { url, company: Some("Own".to_owned()), authorities, ..connection };
        let patience = Patience { attempts: 3, base_ms: 1, ..Patience::default() };
        let erp = adapters::open(Side::Erp, &connection, patience, Arc::new(SystemClock::start()));
        erp.open().unwrap();
        let told = erp.describe("items").err().map(|error| error.to_string()).unwrap_or_default();
        assert!(told.contains(expected) && told.is_empty() == expected.is_empty(), "{told}");
        assert_eq!(erp.line().lost().is_some(), !expected.is_empty());
        let sent = erp.line().traffic();
        assert_eq!(sent.retried, if expected.is_empty() { 1 } else { 2 }, "{sent:?}");
    }
}
