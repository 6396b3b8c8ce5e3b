//! What makes a run impossible: told in one error, and nothing is written.

use pipeline::config::{PerSide, Proof, SecretSource, Side};
use pipeline::endpoint::EndpointError;
use pipeline::run::RunError;
use pipeline::store::Store;

use super::world::World;
use crate::world::login;

/// Spoils a connection of a world that is fine otherwise, and returns the error of the run.
#[track_caller]
fn refused(spoil: impl FnOnce(&mut World)) -> EndpointError {
    let mut world = World::small();
    spoil(&mut world);
    let error = match world.attempt(&[], false) {
        Err(RunError::Endpoint(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(world.writes(), PerSide::default(), "{error}");
    assert!(world.store().coupling_counts().unwrap().is_empty());
    assert_eq!(world.store().runs(1).unwrap(), []);
    error
}

/// An address at which nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn a_wrong_secret() {
    for side in Side::BOTH {
        let secret = "not the one + more";
        let error = refused(|world| {
            login(world.pipeline.connections.of_mut(side)).proof = Proof::Secret(SecretSource::given(secret.into()));
        });
        assert!(matches!(&error, EndpointError::Login { side: at, .. } if *at == side), "{error:?}");
        assert!(!error.to_string().contains("not the one"), "{error}");
    }
}

#[test]
fn a_host_that_nobody_answers_at() {
    for side in Side::BOTH {
        let of_service = refused(|world| world.pipeline.connections.of_mut(side).url = nobody());
        let of_login = refused(|world| login(world.pipeline.connections.of_mut(side)).token_url = nobody() + "/token");
        for error in [of_service, of_login] {
            assert!(matches!(&error, EndpointError::Unreachable { side: at, .. } if *at == side), "{error:?}");
        }
    }
}

#[test]
fn an_unknown_company() {
    let error = refused(|world| world.pipeline.connections.erp.company = Some("Contoso".into()));
    let EndpointError::NoCompany { side: Side::Erp, company, known } = &error else { panic!("{error:?}") };
    assert_eq!((company.as_str(), known.as_str()), ("Contoso", "CRONUS International Ltd."));
}
