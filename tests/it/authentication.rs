//! The ways to log in, against both fakes: a secret in a file, a certificate that signs for its application, a token that
//! something else keeps fresh.

use std::sync::Arc;

use pipeline::adapters;
use pipeline::adapters::clock::{Patience, SystemClock};
use pipeline::config::{Auth, ClientCredentials, Proof, SecretSource, Side};
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
